#!/bin/bash
# slipstream fs: every command, standard streams, errors.
set -u
fs="$BUILD/slipstream fs"
failed=0
is() { # what, got, wanted
	[ "$2" = "$3" ] && return
	printf '%s: got "%s", wanted "%s"\n' "$1" "$2" "$3"
	failed=1
}
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
$fs frob /goosefs 2>/dev/null; is "bad command" $? 2
$fs ls 2>/dev/null; is "no path" $? 2
$fs --help | grep -q mkdir || failed=1
exec 9>&-
wait
exit $failed
