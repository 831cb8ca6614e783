#!/bin/bash
# The shim inside simple programs, and the example that links the client library alone, under valgrind.
set -u
failed=0
slipstream=$BUILD/slipstream
export SLIPSTREAM_SHORT_CIRCUIT=false # "big" is read by range

under() {
	"$slipstream" run -- valgrind -q --trace-children=yes --error-exitcode=9 "$@" >"$HOME/out" 2>&1 </dev/null && return
	echo "valgrind $*:"
	tail -n 30 "$HOME/out"
	failed=1
}

"$slipstream" run -- sh -c 'head -c 3000000 /dev/urandom > /goosefs/big; seq 100 > /goosefs/n'
under cat /goosefs/n
under cp /goosefs/big /goosefs/copy
under cmp /goosefs/big /goosefs/copy
under ls -lR /goosefs
under sh -c 'sort -rn < /goosefs/n | head -n 3 > /goosefs/top; cd /goosefs; mkdir d; mv top d; rm -r d'
under tar cf /goosefs/t.tar -C /goosefs n

mkfifo "$HOME/hold"
exec 9<>"$HOME/hold"
"$slipstream" server --root "$HOME/root" --exit-with-parent-fd 8 8<"$HOME/hold" >"$HOME/ready" &
for _ in $(seq 200); do grep -q master= "$HOME/ready" && break; sleep 0.05; done
export SLIPSTREAM_MOUNTS="/goosefs=goosefs://$(sed -n 's/.*master=\([^ ]*\).*/\1/p' "$HOME/ready")/"
# What gRPC keeps until the end of the process is reachable; nothing of ours may be lost.
if ! valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect --show-leak-kinds=definite,indirect --error-exitcode=9 \
	"$BUILD/examples/readwrite" /goosefs/example >"$HOME/out" 2>&1; then
	echo "the example:"
	tail -n 30 "$HOME/out"
	failed=1
fi
kill %1
wait
exit $failed
