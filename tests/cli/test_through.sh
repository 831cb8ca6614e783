#!/bin/bash
# Write types in a session: what programs write reaches the under file system, under the names they give it, and goes from there.
. "$TOP/tests/cli/lib.sh"
cd "$HOME" || exit 1
below() { (cd root/ufs && find . -path ./.slipstream -prune -o -type f -print | sort | tr '\n' ' '); }
run() { "$slipstream" run --root root -- bash -c "$1"; }
work='
	echo old >/goosefs/f; echo newer >/goosefs/f; cp /goosefs/f /goosefs/g; mv /goosefs/g /goosefs/h
	mkdir -p /goosefs/d/e; : >/goosefs/d/e/empty; head -c 3000000 /dev/zero | tr "\0" x >/goosefs/d/large
	exec 3>/goosefs/open; echo one >&3; mv /goosefs/open /goosefs/moved; echo two >&3; exec 3>&-
	exec 3>/goosefs/d/dir; echo three >&3; mv /goosefs/d /goosefs/D; exec 3>&-
	exec 3>/goosefs/gone; echo four >&3; rm /goosefs/gone; exec 3>&-; echo five >/goosefs/away; rm /goosefs/away
	echo six >>/goosefs/h; echo seven >/goosefs/i; echo eight | tee /goosefs/j >/dev/null; mv /goosefs/j /goosefs/i'
wanted="./D/dir ./D/e/empty ./D/large ./f ./h ./i ./moved "
export SLIPSTREAM_BLOCK_SIZE=1M SLIPSTREAM_REPLICATION_DURABLE=1 SLIPSTREAM_REPLICATION_DURABLE_MIN=1
for type in cache_through through; do
	export SLIPSTREAM_WRITE_TYPE=$type
	run "$work"; is "$type" $? 0
	is "$type: what is there" "$(below)" "$wanted"
	is "$type: contents" "$(cd root/ufs && cat D/dir f h i moved)" "$(printf 'three\nnewer\nnewer\nsix\neight\none\ntwo')"
	is "$type: bytes" "$(wc -c <root/ufs/D/large)" 3000000
	is "$type: read again" "$(run 'cat /goosefs/D/dir /goosefs/f /goosefs/h /goosefs/moved')" "$(printf 'three\nnewer\nnewer\nsix\none\ntwo')"
	is "$type: a large one" "$(run 'cmp /goosefs/D/large <(head -c 3000000 /dev/zero | tr "\0" x) && echo same')" same
	run 'rm -r /goosefs/D /goosefs/[f-i] /goosefs/moved'; is "$type: removed" "$?$(below)" 0
done

# Later: the session is over before that, and the next server goes on with it.
export SLIPSTREAM_WRITE_TYPE=async_through
run "$work"; is "async_through" $? 0
is "async_through: not yet" "$(below)" ""
is "async_through: read again" "$(run 'cat /goosefs/f /goosefs/moved')" "$(printf 'newer\none\ntwo')"
run 'for ((i = 0; i < 200; i++)); do [ -f '"$HOME"'/root/ufs/moved ] && [ -f '"$HOME"'/root/ufs/i ] && exit; sleep 0.1; done'
is "async_through: by now" "$(below)" "$wanted"

# In the program itself.
is "in the process" "$(SLIPSTREAM_INHERIT=0 run 'SLIPSTREAM_SESSION= SLIPSTREAM_CLIENT=process SLIPSTREAM_WRITE_TYPE=through python3 -c "
import os
open(\"/goosefs/own\", \"w\").write(\"own\"); print(open(\"/goosefs/own\").read(), len(os.listdir(\"/proc/self/task\")) > 1)"'; cat root/ufs/own)" "$(printf 'own True\nown')"

# Nobody misreads what he asked for.
SLIPSTREAM_WRITE_TYPE=write_back run true 2>err; is "no such type" $? 125
grep -q 'must_cache|try_cache|cache_through|through|async_through' err || { echo "no such type: $(cat err)"; failed=1; }
exit $failed
