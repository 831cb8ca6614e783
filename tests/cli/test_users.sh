#!/bin/bash
# A user who is not root, where the worker's block files are not his own: no lease tells of them, and his session ends all the same.
. "$TOP/tests/cli/lib.sh"
[ "$(id -u)" = 0 ] || exit 0 # who is not root cannot become another

chmod 755 "$HOME"
mkdir "$HOME/bin" "$HOME/his"
cp "$BUILD"/slipstream "$BUILD"/libslipstream*.so "$HOME/bin"
chown 1234:1234 "$HOME/his"
mkfifo "$HOME/hold"
exec 9<>"$HOME/hold"
"$slipstream" server --root "$HOME/root" --exit-with-parent-fd 8 8<"$HOME/hold" >"$HOME/ready" &
server=$!
trap 'kill $server; wait $server 2>/dev/null' EXIT
for _ in $(seq 200); do grep -q master= "$HOME/ready" && break; sleep 0.05; done
mount=/goosefs=goosefs://$(sed -n 's/.*master=\([^ ]*\).*/\1/p' "$HOME/ready")/
as() { # gid, groups, what
	XDG_RUNTIME_DIR=$HOME/his HOME=$HOME/his setpriv --reuid 1234 --regid "$1" $([ "$2" ] && echo --groups "$2" || echo --clear-groups) \
		"$HOME/bin/slipstream" run --mount "$mount" -- sh -c "$3" 2>&1
}
"$slipstream" run --mount "$mount" -- sh -c 'echo text >/goosefs/f; chown 0:4321 /goosefs/f; chmod 640 /goosefs/f
	mkdir /goosefs/d; chgrp 4321 /goosefs/d; chmod 770 /goosefs/d; echo his >/goosefs/his; chown 1234:1234 /goosefs/his; chmod 600 /goosefs/his'
is "his own" "$(as 1234 "" 'cat /goosefs/his')" his
is "written after it was read" "$(as 1234 "" 'exec 3</goosefs/his; echo too >>/goosefs/his; cat <&3')" "$(printf 'his\ntoo')"
exit $failed
