#!/bin/bash
# slipstream run: status, signals, streams, environment; two runs on one root; sessions after each other.
. "$TOP/tests/cli/lib.sh"

$slipstream run -- sh -c 'exit 7'; is "status" $? 7
$slipstream run -- true; is "status 0" $? 0
$slipstream run -- nothing-of-that-name 2>/dev/null; is "no such command" $? 127
$slipstream run -- /etc/passwd 2>/dev/null; is "not executable" $? 126
$slipstream run -- sh -c 'kill -TERM $$'; is "killed by a signal" $? 143
is "arguments" "$($slipstream run -- printf '%s|' a 'b c' -x)" "a|b c|-x|"
is "standard input" "$(echo hello | $slipstream run -- cat)" hello
is "standard error" "$($slipstream run -- sh -c 'echo err >&2' 2>&1 >/dev/null)" err
is "environment" "$(FOO=bar $slipstream run -- sh -c 'echo $FOO')" bar
is "directory" "$(cd /usr && $slipstream run -- pwd)" /usr
is "a file" "$($slipstream run -- sh -c 'echo text > /goosefs/f; cat /goosefs/f')" text
is "a later session" "$($slipstream run -- cat /goosefs/f)" text
is "nested" "$($slipstream run -- "$slipstream" run -- cat /goosefs/f)" text
is "nested: one session" "$($slipstream run -- sh -c "echo pending > /goosefs/n; exec 3>>/goosefs/n; $slipstream run -- cat /goosefs/n")" pending
$slipstream run -- sh -c 'cp /bin/echo /goosefs/prog; chmod 755 /goosefs/prog'
is "a program on the mount" "$($slipstream run -- /goosefs/prog here)" here
is "a program on the mount, along PATH" "$(PATH=/goosefs:$PATH $slipstream run -- prog here)" here
gcc -shared -fPIC -o "$HOME/libone.so" -x c - <<< 'int one(void) { return 41; }'
gcc -o "$HOME/linked" -x c - -L"$HOME" -lone <<< 'int one(void); int main(void) { return one() + 1; }'
$slipstream run -- mkdir /goosefs/lib; $slipstream run -- mv "$HOME/libone.so" /goosefs/lib
LD_LIBRARY_PATH=/goosefs/lib $slipstream run -- "$HOME/linked"
is "a library on the mount" $? 42; $slipstream run -- rm -r /goosefs/lib
is "a relative root" "$(cd "$HOME" && $slipstream run --root r -- sh -c 'echo x > /goosefs/x; ls /goosefs' && ls -d r)" "$(printf 'x\nr')"

# A real link into the mount, also one to what is not there yet; and the way out of it.
ln -s /goosefs/in "$HOME/link"; ln -s /goosefs/in/made "$HOME/dangling"
is "through a link" "$(cd "$HOME" && $slipstream run -- sh -c 'mkdir /goosefs/in; echo one >link/f; echo two >dangling; cat link/f /goosefs/in/made
	cp -r link/ copied && ls copied; find link/ -type f | sort; tar chf - link | tar tf -; (cd link && pwd -P && ls ..); rm link/made; rm dangling link; ls /goosefs/in' 2>&1 | tr '\n' '|')" \
	"one|two|f|made|link/f|link/made|link/|link/f|link/made|/goosefs/in|f|in|n|prog|f|"
is "out of it" "$($slipstream run -- sh -c 'ls -d /goosefs/../etc; cd /goosefs && ls -d ../etc && cd .. && pwd && ls -d goosefs')" "$(printf '/goosefs/../etc\n../etc\n/\ngoosefs')"

# The shell, when nothing is named.
is "a shell" "$(echo 'echo $0; cat /goosefs/f; exit 4' | SHELL=/bin/sh $slipstream run; echo $?)" "$(printf '/bin/sh\ntext\n4')"
is "no shell" "$(echo 'echo $0' | SHELL=/none $slipstream run)" /bin/sh

# Several mounts, one of them a directory of its cluster; URLs; and all that in a session within a session.
$slipstream run -- sh -c 'mkdir -p /goosefs/data/data; echo top >/goosefs/x; echo below >/goosefs/data/x; echo deep >/goosefs/data/data/x'
within() { # mounts, in which @ is the cluster's URL; command...
	$slipstream run -- bash -c 'url=${SLIPSTREAM_MOUNTS#*=}; mounts=${1//@/${url%/}}; shift; exec "$0" run --mount "$mounts" -- "$@"' "$slipstream" "$@" 2>&1 | tr '\n' '|'
}
is "two mounts" "$(within '/a=@/ ; /b=@/data' sh -c 'cat /a/x /b/x; mv /a/x /b/y; cat /b/y; mv /b/y /a/x')" "top|below|top|"
is "one by one" "$($slipstream run -m /a=goosefs://127.0.0.1:1/ --mount=/b=goosefs://127.0.0.1:2/ -- sh -c 'echo "$SLIPSTREAM_MOUNTS"')" "/a=goosefs://127.0.0.1:1/;/b=goosefs://127.0.0.1:2/"
is "URLs" "$(within '/b=@/data' sh -c 'cd /tmp; cat goosefs:///data/x goosefs:///data/../data//data/x /b/data/x; echo new >goosefs:///data/z; cat /b/z; rm goosefs:///data/z; ls /b goosefs:///data/data')" \
	"below|deep|deep|new|/b:|data|x||goosefs:///data/data:|x|"
is "a URL above the mount" "$(within '/b=@/data' sh -c 'cat goosefs:///x')" "cat: 'goosefs:///x': No such file or directory|"
is "a program's URL" "$(within '/b=@/' goosefs:///prog here)" "here|"
master='export GOOSEFS_MASTER_ADDR=gfs://${SLIPSTREAM_MOUNTS#*://}; unset SLIPSTREAM_MOUNTS SLIPSTREAM_SESSION LD_PRELOAD; exec "$0" run -- "$@"'
is "GooseFS's variable" "$(SLIPSTREAM_INHERIT=0 $slipstream run -- bash -c "$master" "$slipstream" sh -c 'echo $SLIPSTREAM_MOUNTS; cat /goosefs/data/x goosefs:///data/x')" \
	"$(printf '/goosefs=goosefs:///\nbelow\nbelow')"
is "a session within, of its own" "$(within '/b=@/data' sh -c 'cat /b/x; env -i /bin/cat /b/x; ls /goosefs')" "below|below|ls: cannot access '/goosefs': No such file or directory|"
is "a root within" "$($slipstream run -- sh -c "$slipstream run --root '$HOME/inner' -- sh -c 'echo x >/goosefs/inner'; ls /goosefs/inner; $slipstream fs --root '$HOME/inner' ls /goosefs" 2>&1)" \
	"$(printf "ls: cannot access '/goosefs/inner': No such file or directory\ninner")"
for no in 0 no False off; do
	is "SLIPSTREAM_INHERIT=$no" "$(SLIPSTREAM_INHERIT=$no $slipstream run -- env -i /bin/cat /goosefs/f 2>/dev/null)" ""
done
echo 'inherit = no' >"$HOME/conf"
is "inherit = no" "$(SLIPSTREAM_CONFIG=$HOME/conf $slipstream run -- env -i /bin/cat /goosefs/f 2>/dev/null)" ""
is "it is inherited" "$($slipstream run -- env -i /bin/cat /goosefs/f 2>/dev/null)" text

# Two at once on one root share a server, and each sees what the other has published.
mkfifo "$HOME/go"
$slipstream run --root "$HOME/shared" -- sh -c "echo first > /goosefs/a; echo ready > '$HOME/go'; read x < '$HOME/go'; cat /goosefs/b" >"$HOME/out" &
read -r _ <"$HOME/go"
is "the other's file" "$($slipstream run --root "$HOME/shared" -- sh -c 'cat /goosefs/a; echo second > /goosefs/b')" first
echo go >"$HOME/go"
wait $!; is "status of the first" $? 0
is "a file made meanwhile" "$(cat "$HOME/out")" second

# Signals are as run inherited them; programs that the library does not get into are announced.
is "an ignored signal" "$(env --ignore-signal=INT "$slipstream" run -- sh -c 'kill -INT $$; echo survived')" survived
env --default-signal=INT "$slipstream" run -- sh -c 'kill -INT $$; sleep 5'; is "a signal that is not ignored" $? 130
printf '\177ELF\1\1\1%57s' '' >"$HOME/foreign"; chmod 755 "$HOME/foreign"
$slipstream run -- "$HOME/foreign" 2>"$HOME/err" && { echo "another architecture runs"; failed=1; }
grep -q 'foreign is built for another architecture: it will not see the mounts' "$HOME/err" || { cat "$HOME/err"; failed=1; }
if [ -x /sbin/ldconfig ]; then # static, in Debian
	$slipstream run -- /sbin/ldconfig -V >/dev/null 2>"$HOME/err"; is "static" $? 0
	is "static, announced" "$(cat "$HOME/err")" "slipstream: /sbin/ldconfig is statically linked: it will not see the mounts"
fi
is "nothing to announce" "$($slipstream run -- sh -c true 2>&1)" ""

# What a mount hides is said once; an empty directory is a place to mount.
mkdir -p "$HOME/empty" "$HOME/hidden/d"
url=goosefs://127.0.0.1:1/
is "hidden" "$($slipstream run -m "$HOME/empty=$url" -m "$HOME/hidden=$url" -- true 2>&1)" "slipstream: $HOME/hidden is on this machine, too: programs in the session see the mount instead"
is "hidden, within" "$($slipstream run -- sh -c 'echo x >/goosefs/f; "$0" run --root "$HOME/inner" -- ls /goosefs' "$slipstream" 2>&1)" inner
is "hidden, by a real file" "$(within "$HOME/hidden=@/" sh -c 'ls -d "$HOME"/hidden/d; ls -d "$HOME"/hidden/x/../../empty')" "ls: cannot access '$HOME/hidden/d': No such file or directory|$HOME/hidden/x/../../empty|"
has "doctor: hidden" "^WARN $HOME/hidden is on this machine" "$($slipstream doctor -m "$HOME/hidden=$url")"

# A program that runs on in the background is still in the session when \`run\` has returned.
mkfifo "$HOME/late"
$slipstream run -- bash -c '(read x <"$HOME/late"; echo "late $x" >/goosefs/late; echo written >"$HOME/late") >/dev/null 2>&1 & true'; is "background" $? 0
echo text >"$HOME/late"; read -r _ <"$HOME/late"
is "written in the background" "$($slipstream run -- cat /goosefs/late)" "late text"

# What the caller has open is the program's, not those' who outlive it.
is "descriptor 9" "$($slipstream run -- sh -c 'echo to nine >&9; for p in $(pgrep -f "^slipstream (keeper|server)"); do readlink /proc/$p/fd/*; done | grep -c "/nine$"' 9>"$HOME/nine")" 0
is "descriptor 9, written" "$(cat "$HOME/nine")" "to nine"

# Bad usage.
$slipstream run --no-such-option 2>"$HOME/err"; is "bad option" $? 125
grep -q no-such-option "$HOME/err" || { echo "bad option is not named"; failed=1; }
$slipstream run --mount nonsense -- true 2>"$HOME/err"; is "bad mount" $? 125
grep -q nonsense "$HOME/err" || { echo "bad mount is not named"; cat "$HOME/err"; failed=1; }
$slipstream nonsense 2>/dev/null; is "bad command" $? 2
$slipstream --version | grep -q '^slipstream [0-9]' || { echo "no version"; failed=1; }
$slipstream --help | grep -q run || { echo "no help"; failed=1; }
touch "$HOME/file"
$slipstream run --root "$HOME/file/x" -- true 2>"$HOME/err"; is "unusable root" $? 125
[ -s "$HOME/err" ] || { echo "unusable root: no reason"; failed=1; }
exit $failed
