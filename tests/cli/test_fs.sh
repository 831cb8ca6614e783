#!/bin/bash
# slipstream fs: every command, standard streams, errors.
. "$TOP/tests/cli/lib.sh"
fs="$slipstream fs"
cd "$HOME" || exit 1
# One server for all of it.
exec 9> >("$BUILD/slipstream" run -- cat >/dev/null)

mkdir -p tree/sub; echo one >tree/a; echo two >tree/sub/b; ln -s a tree/l; head -c 3000000 /dev/urandom >tree/big
$fs mkdir /goosefs/d; is mkdir $? 0
$fs mkdir /goosefs/d 2>err; is "mkdir again" $? 1
grep -q 'File exists' err || { echo "mkdir: no reason"; failed=1; }
$fs mkdir -p /goosefs/d/e/f /goosefs/d; is "mkdir -p" $? 0
$fs put -R tree /goosefs/d; is "put -R" $? 0
is "ls" "$($fs ls /goosefs/d/tree)" "$(printf 'a\nbig\nl\nsub')"
is "ls -r" "$($fs ls -r /goosefs/d/tree)" "$(printf 'sub\nl\nbig\na')"
is "ls -R" "$($fs ls -R /goosefs/d/tree)" "$(printf '/goosefs/d/tree:\na\nbig\nl\nsub\n\n/goosefs/d/tree/sub:\nb')"
is "ls -l" "$($fs ls -l /goosefs/d/tree | awk '{print $1, $4, $7, $8, $9}' | sed 's/ *$//')" "$(printf -- '-rw-r--r-- 4 a\n-rw-r--r-- 3000000 big\nlrwxrwxrwx 1 l -> a\ndrwxr-xr-x 0 sub')"
is "cat" "$($fs cat /goosefs/d/tree/a /goosefs/d/tree/sub/b)" "$(printf 'one\ntwo')"
is "stat" "$($fs stat /goosefs/d/tree/a | sed -n '/^size/p;/^mode/p')" "$(printf 'size:     4\nmode:     0644')"
$fs get -R /goosefs/d/tree back; is "get -R" $? 0
diff -r tree back || failed=1
echo piped | $fs put - /goosefs/d/piped; is "put -" "$($fs get /goosefs/d/piped -)" piped
echo again | $fs put - /goosefs/d/piped 2>/dev/null; is "put without -f" $? 1
echo again | $fs put -f - /goosefs/d/piped; is "put -f" "$($fs cat /goosefs/d/piped)" again
: | $fs put - /goosefs/d/empty; is "an empty file" "$($fs cat /goosefs/d/empty | wc -c)" 0
$fs mv /goosefs/d/piped /goosefs/d/moved; is "mv" "$($fs cat /goosefs/d/moved)" again
$fs mv /goosefs/d/moved /goosefs/d/e; is "mv into" "$($fs ls /goosefs/d/e)" "$(printf 'f\nmoved')"
$fs rm /goosefs/d/e 2>/dev/null; is "rm of a directory" $? 1
$fs rm /goosefs/d/nothing 2>/dev/null; is "rm of nothing" $? 1
$fs rm -f /goosefs/d/nothing; is "rm -f of nothing" $? 0
$fs rm -R /goosefs/d/tree; is "rm -R" "$($fs ls /goosefs/d)" "$(printf 'e\nempty')"
$fs cat /goosefs/nothing 2>err; is "cat of nothing" $? 1
grep -q '/goosefs/nothing: No such file' err || { cat err; failed=1; }
$fs cat /etc/passwd 2>err; is "not on a mount" $? 1
says() { # what, pattern: in the file err
	grep -q -- "$2" err && return
	printf '%s: "%s" does not say "%s"\n' "$1" "$(cat err)" "$2"
	failed=1
}

# Parts of files.
seq 1000 | $fs put - /goosefs/d/n; seq 20000 >20000; $fs put 20000 /goosefs/d/e; printf 'a\nb' | $fs put - /goosefs/d/open
for f in d/n d/e/20000 d/open d/empty; do
	$fs get -f /goosefs/$f copy
	for part in '' '-n 0' '-n 1' '-n 3' '-n 5000' '-c 0' '-c 5' '-c 1K' '-c 1M'; do
		is "head $part $f" "$($fs head $part /goosefs/$f | md5sum)" "$(head $part copy | md5sum)"
		is "tail $part $f" "$($fs tail $part /goosefs/$f | md5sum)" "$(tail $part copy | md5sum)"
	done
done
echo x >x; echo y >y; $fs put x y /goosefs/d; is "put into" "$($fs cat /goosefs/d/x /goosefs/d/y)" "$(printf 'x\ny')"
is "head of two" "$($fs head /goosefs/d/x /goosefs/d/y)" "$(printf '==> /goosefs/d/x <==\nx\n\n==> /goosefs/d/y <==\ny')"
$fs head -n one /goosefs/d/x 2>err; is "head of a wrong number" $? 2; says "a wrong number" 'fs head: one: not a number'
$fs head -n 1 -c 1 /goosefs/d/x 2>err; is "head of lines and bytes" $? 2
mkdir into; $fs get /goosefs/d/x /goosefs/d/y into; is "get into" "$(cat into/x into/y)" "$(printf 'x\ny')"
$fs get /goosefs/d/x /goosefs/d/y nowhere 2>err; is "several to no directory" $? 1; says "no directory" 'fs get: nowhere: Not a directory'
$fs get /goosefs/d/x into 2>err; is "get over a file" $? 1; says "over a file" 'fs get: into/x: File exists'
[ -s err ] && ! grep -q '%' err || { echo "progress without a terminal"; failed=1; }
is "tail -f" "$(timeout 20 $fs tail -f /goosefs/d/x | { read -r a; printf 'x\nmore\n' | $fs put -f - /goosefs/d/x; read -r b; echo "$a $b"; })" "x more"

# How much there is.
is "du -s" "$($fs du -s /goosefs/d/e)" "$(printf '108900\t/goosefs/d/e')"
is "du" "$($fs du /goosefs/d/e | sort)" "$(printf '0\t/goosefs/d/e/f\n108900\t/goosefs/d/e')"
is "du -h" "$($fs du -sh /goosefs/d/e | cut -f1)" 106K
is "count" "$($fs count /goosefs/d/e | awk '{print $1, $2, $3, $4}')" "2 2 108900 /goosefs/d/e"
is "df" "$($fs df | awk 'NR == 2 {print $NF, ($2 > 0)}')" "/goosefs 1"
is "df of a path" "$($fs df -h /goosefs/d | tail -n 1 | awk '{print $NF}')" /goosefs/d
$fs du /goosefs/nothing 2>err; is "du of nothing" $? 1; says "du" 'fs du: /goosefs/nothing: No such file'
is "ls -d" "$($fs ls -d /goosefs/d)" /goosefs/d
is "ls -lh" "$($fs ls -lh /goosefs/d/e/20000 | awk '{print $4}')" 106K

# Attributes and links.
mode() { $fs stat "$1" | awk '/^mode/ {print $2}'; }
$fs chmod 600 /goosefs/d/x /goosefs/d/y; is "chmod" "$(mode /goosefs/d/x) $(mode /goosefs/d/y)" "0600 0600"
$fs chmod u+x,go=r /goosefs/d/x; is "chmod by letters" "$(mode /goosefs/d/x)" 0744
$fs chmod -R go-rwx /goosefs/d/e; is "chmod -R" "$(mode /goosefs/d/e) $(mode /goosefs/d/e/20000)" "0700 0600"
$fs chmod 4755 /goosefs/d/x 2>err; is "a bit that is not there" $? 1; says "no such bit" 'Operation not supported'
$fs chmod frob /goosefs/d/x 2>err; is "no mode" $? 2
$fs chown nobody:games /goosefs/d/y; is "chown" "$($fs stat /goosefs/d/y | awk '/^(owner|group)/ {print $2}' | paste -sd:)" nobody:games
$fs chown :users /goosefs/d/y; is "chown of the group" "$($fs stat /goosefs/d/y | awk '/^(owner|group)/ {print $2}' | paste -sd:)" nobody:users
$fs chown : /goosefs/d/y 2>err; is "chown to nobody" $? 2
$fs touch /goosefs/d/t1 /goosefs/d/t2; is "touch" "$($fs count /goosefs/d/t1 /goosefs/d/t2 | awk '{print $1, $3}' | paste -sd,)" "1 0,1 0"
$fs touch /goosefs/d/t1 2>err; is "touch again" $? 1; says "touch again" 'fs touch: /goosefs/d/t1: Operation not supported'
$fs touch -c /goosefs/d/t3; is "touch -c" "$? $($fs ls /goosefs/d/t3 2>&1 | grep -c 'No such')" "0 1"
$fs ln -s x /goosefs/d/link; is "ln -s" "$($fs cat /goosefs/d/link | head -n 1)" x
$fs ln -s y /goosefs/d/link 2>err; is "ln -s again" $? 1
$fs ln -s -f y /goosefs/d/link; is "ln -sf" "$($fs ls -l /goosefs/d/link | sed 's/.* link/link/;s/.*d.link/link/')" "link -> y"
$fs ln /goosefs/d/x /goosefs/d/hard 2>err; is "ln" $? 1; says "ln" 'Operation not supported'
$fs rm /goosefs/d/t1 /goosefs/d/nothing /goosefs/d/t2 2>err; is "rm of several" "$? $($fs ls /goosefs/d | grep -c '^t')" "1 0"
$fs mkdir /goosefs/m1 /goosefs/m2; is "mkdir of several" "$($fs ls -d /goosefs/m1 /goosefs/m2 | wc -l)" 2

# Names that a terminal would take for commands.
esc=$(printf '\033[1m')
$fs mkdir "/goosefs/m1/${esc}x"
is "ls to a pipe" "$($fs ls /goosefs/m1)" "${esc}x"
is "ls to a terminal" "$(script -qec "$fs ls /goosefs/m1" /dev/null </dev/null | tr -d '\r')" '?[1mx'

# Bad usage.
$fs frob /goosefs 2>/dev/null; is "bad command" $? 2
$fs ls 2>/dev/null; is "no path" $? 2
$fs ls -p /goosefs 2>err; is "another's option" $? 2; says "another's option" 'fs ls: -p: unknown option'
$fs --help | grep -q mkdir || failed=1
is "-?" "$($fs -? | md5sum) $($fs head -? | md5sum)" "$($fs --help | md5sum) $($fs head --help | md5sum)"
$fs head --help | grep -q -- '--lines=N' || { echo "head --help"; failed=1; }
exec 9>&-
wait
exit $failed
