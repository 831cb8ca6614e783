#!/bin/bash
# Disks that are full, small or not fit: in a mount namespace of this test's own, so it skips where there is none to be had.
if [ -z "${IN_NAMESPACE-}" ]; then
	for way in "unshare -m" "unshare -rm"; do
		$way true 2>/dev/null && IN_NAMESPACE=1 exec $way "$0"
	done
	echo "no mount namespace: skipped"
	exit 0
fi
. "$TOP/tests/cli/lib.sh"
logged() { grep -q "$1" "$HOME"/.local/state/slipstream/*.log 2>/dev/null; is "logged: $1" $? 0; }
disk() { # size: a fresh disk at $HOME/disk
	umount "$HOME/disk" 2>/dev/null
	mkdir -p "$HOME/disk"
	mount -t tmpfs -o "size=$1" tmpfs "$HOME/disk" || exit 1
}

# A full staging disk: ENOSPC where it is met, the old content stays or what was written is there, and published files give way.
disk 2m
export SLIPSTREAM_STAGE=$HOME/disk
$slipstream run -- bash -c '
	echo old >/goosefs/a
	dd if=/dev/zero of=/goosefs/b bs=64k count=100 2>&1 | grep -c "No space left"
	dd if=/dev/zero of=/goosefs/c bs=64k count=16 2>/dev/null && stat -c %s /goosefs/c
	cat /goosefs/a
	echo more >>/goosefs/b || echo "no room to fetch it"
	cat /goosefs/a' >"$HOME/out" 2>/dev/null
is "status" $? 0
is "full staging disk" "$(tr '\n' '|' <"$HOME/out")" "1|1048576|old|no room to fetch it|old|"
is "staging disk left empty" "$(ls -A "$HOME/disk")" ""
is "what was written is published" $(($($slipstream run -- stat -c %s /goosefs/b) > 2000000)) 1
unset SLIPSTREAM_STAGE

# The session's own bound.
SLIPSTREAM_STAGE_MAX=1M $slipstream run -- bash -c '
	exec 3>/goosefs/d
	head -c 1500000 /dev/zero >&3
	sleep 1.1
	echo x >/goosefs/e || echo refused
	exec 3>&-
	echo y >/goosefs/e && cat /goosefs/e' >"$HOME/out" 2>/dev/null
is "SLIPSTREAM_STAGE_MAX" "$(tr '\n' '|' <"$HOME/out")" "refused|y|"

# A full server: old content, what was written kept, and said.
disk 6m
rm -rf "$HOME/.local/state"
$slipstream run --root "$HOME/disk/root" -- sh -c 'echo old >/goosefs/f; head -c 8000000 /dev/zero >/goosefs/f' 2>"$HOME/err"
is "full server" $? 125
grep -q "not published: /goosefs/f: No space left" "$HOME/err"; is "named" $? 0
logged "/goosefs/f is not published: No space left"
is "its content is kept" "$(stat -c %s "$(sed -n 's/.*its content is in //p' "$HOME"/.local/state/slipstream/*.log | head -n 1)")" 8000000
is "the old one stays" "$($slipstream run --root "$HOME/disk/root" -- cat /goosefs/f)" old
rm -rf "$HOME/.cache" "$HOME/.local/state"

# Next to nothing for the session's directory; and nothing at all.
export XDG_RUNTIME_DIR=$HOME/disk
disk 600k
$slipstream run -- python3 -c '
import errno
files = []
try:
	while True:
		files.append(open("/goosefs/n%d" % len(files), "w"))
		files[-1].write(str(len(files) - 1))
except OSError as e:
	print(errno.errorcode[e.errno], len(files) > 20)
while files:
	files.pop().close()
print(open("/goosefs/n7").read())' >"$HOME/out" 2>&1
is "small session directory" "$(tr '\n' '|' <"$HOME/out")" "ENOSPC True|7|"
disk 64k
$slipstream run -- true 2>"$HOME/err"; is "no session" $? 125
grep -q "No space left" "$HOME/err" "$HOME"/.local/state/slipstream/*.log 2>/dev/null; is "said" $? 0
unset XDG_RUNTIME_DIR

# Where sessions usually are is somebody else's, as for who is uid 0 in a user namespace alone.
for usual in /dev/shm /tmp; do
	mkdir -p -m 700 "$usual/slipstream-$(id -u)"
	mount -t tmpfs -o mode=755 tmpfs "$usual/slipstream-$(id -u)" || exit 1
done
is "somewhere else" "$($slipstream run -- sh -c 'echo x >/goosefs/s; cat /goosefs/s; "$0" status | grep -cF "session $SLIPSTREAM_SESSION"' "$slipstream" | tr '\n' '|')" "x|1|"

# Overlayfs cannot tell who writes.
disk 4m
mkdir "$HOME"/disk/{lower,upper,work,merged}
if mount -t overlay overlay -o "lowerdir=$HOME/disk/lower,upperdir=$HOME/disk/upper,workdir=$HOME/disk/work" "$HOME/disk/merged" 2>/dev/null; then
	rm -rf "$HOME/.local/state"
	is "another directory" "$(SLIPSTREAM_LOG=warn SLIPSTREAM_STAGE=$HOME/disk/merged $slipstream run -- sh -c 'echo x >/goosefs/o; cat /goosefs/o; readlink "$SLIPSTREAM_SESSION/stage"' 2>/dev/null | grep -c -e '^x$' -e "^$HOME/.cache")" 2
	logged "merged is not fit for staging files"
fi
exit $failed
