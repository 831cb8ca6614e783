#!/bin/bash
# What is a group's is every member's, also of those whose groups it is besides. Root may do all: as root, it becomes somebody else.
if [ "$(id -u)" = 0 ]; then
	chown -R 54321:54321 "$HOME" "$XDG_RUNTIME_DIR"
	as="setpriv --reuid=54321 --regid=54321 --groups=54322"
	$as test -x "$BUILD/slipstream" && $as test -x "$0" && exec $as "$0"
	echo "another user cannot get here: skipped"
	exit 0
fi
. "$TOP/tests/cli/lib.sh"
mine=$(id -g)
group=$(id -G | tr ' ' '\n' | grep -vx -m1 "$mine")
[ -n "$group" ] || { echo "one group only: skipped"; exit 0; }
export SLIPSTREAM_METADATA_TTL_MS=0 slipstream group
$slipstream run -- sh -c 'cd /goosefs && mkdir d && echo of the group >d/f && echo >mine && chmod 640 d/f && chmod 770 d'
$slipstream fs chown "4321:$group" /goosefs/d/f
$slipstream fs chown "4321:$group" /goosefs/d
is "a group's file and directory" "$($slipstream run -- bash -c '
	cd /goosefs && cat d/f && [ -r d/f ] && ! [ -w d/f ] && ! (echo no >>d/f) 2>/dev/null && echo >d/new && ls d
	chmod 604 d/f 2>/dev/null || echo not the owner
	$slipstream fs chmod 604 /goosefs/d/f; [ -r d/f ] || echo not the others
	chgrp $group mine && stat -c %g mine | grep -x $group >/dev/null && echo given
	chgrp 4321 mine 2>/dev/null || echo no member' 2>&1 | tr '\n' '|')" "of the group|f|new|not the owner|not the others|given|no member|"
is "directories to search, and to read" "$($slipstream run -- bash -c '
	cd /goosefs && mkdir s r && echo x >s/f && echo y >r/f && chmod 100 s && chmod 400 r
	cat s/f && (cd s && cat f) && ls s 2>/dev/null || echo not listed; ls r; cat r/f 2>/dev/null || echo not searched
	cd r 2>/dev/null || echo not entered; echo z 2>/dev/null >>r/f || echo not written' 2>/dev/null | tr '\n' '|')" "x|x|not listed|f|not searched|not entered|not written|"
exit $failed
