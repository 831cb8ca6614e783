#!/bin/bash
# What is set wrongly is said once, by name, with what would have been right; and nothing runs.
set -u
slipstream=$BUILD/slipstream
failed=0
refuses() { # what the message names, command...
	local names=$1 && shift
	"$@" >"$HOME/out" 2>&1
	local status=$?
	[ $status -ne 0 ] && grep -q -- "$names" "$HOME/out" "$HOME"/.local/state/slipstream/*.log 2>/dev/null || {
		printf '%s: status %d, does not name %s:\n%s\n' "$*" $status "$names" "$(cat "$HOME/out")"
		failed=1
	}
	rm -rf "$HOME/.local/state"
}
once() { # command...: one line says why, and nothing else is said
	"$@" >"$HOME/out" 2>&1 && { echo "$*: succeeds"; failed=1; }
	[ "$(wc -l <"$HOME/out")" = 1 ] && ! grep -qE 'No route|: Invalid argument$' "$HOME/out" && return
	printf '%s: says\n%s\n' "$*" "$(cat "$HOME/out")"
	failed=1
}
run() { "$slipstream" run "$@" -- touch "$HOME/it-ran"; }
config() { printf "$1" >"$HOME/conf" && SLIPSTREAM_CONFIG=$HOME/conf run; }

refuses SLIPSTREAM_BLOCK_SIZE config 'blok_size = 1M\n'
refuses conf:2 config '# fine\nno equals sign\n'
refuses conf:1 config 'rpc_timeout = soon\n'
refuses conf:1 config 'stage_max = -1\n'
refuses 'conf' config '\377\376\0\1garbage\n'
refuses 'No such file' env SLIPSTREAM_CONFIG="$HOME/none" "$slipstream" run -- touch "$HOME/it-ran"
refuses 'a size such as' env SLIPSTREAM_BLOCK_SIZE=lots "$slipstream" run -- touch "$HOME/it-ran"
refuses larger env SLIPSTREAM_CHUNK_SIZE=2M SLIPSTREAM_BLOCK_SIZE=1M "$slipstream" run -- touch "$HOME/it-ran"
refuses 'within 0..' env SLIPSTREAM_SHIM_TIMEOUT_MS=forever "$slipstream" run -- touch "$HOME/it-ran"
refuses /prefix= run --mount nonsense
refuses absolute run --mount a=goosefs://h:1/
refuses goosefs:// run --mount /a=foo://h:1/
refuses goosefs:// run --mount /a=goosefs:/h:1/
refuses port run --mount /a=goosefs://h:99999/
refuses port run --mount /a=goosefs://h:x/
refuses 'root directory' run --mount /=goosefs://h:1/
refuses overlaps run --mount /a=goosefs://h:1/ --mount /a/b=goosefs://h:2/
refuses goosefs:// env SLIPSTREAM_MOUNTS=/a=rubbish "$slipstream" fs ls /a
once run --mount nonsense
once run --mount /a=foo://h:1/
once env SLIPSTREAM_MOUNTS=/a=rubbish "$slipstream" run -- touch "$HOME/it-ran"
once env SLIPSTREAM_MOUNTS=/a=rubbish "$slipstream" fs ls /a
once "$slipstream" fs --mount /a=rubbish ls /a
once env SLIPSTREAM_BLOCK_SIZE=lots "$slipstream" run -- touch "$HOME/it-ran"
once env SLIPSTREAM_LOG=loud "$slipstream" run --mount /a=goosefs://h:1/ -- touch "$HOME/it-ran"
mkdir -p "$HOME/root/d" && echo "no database" >"$HOME/root/meta.db"
once "$slipstream" run --root "$HOME/root" -- touch "$HOME/it-ran"
once "$slipstream" fs --root "$HOME/root" ls /goosefs
once "$slipstream" run --root "$HOME/root/meta.db/d" -- touch "$HOME/it-ran"
[ -e "$HOME/it-ran" ] && { echo "something ran"; failed=1; }

# A name that nobody knows may be another version's: it is said, and the program runs.
SLIPSTREAM_BLOCKSIZE=1M "$slipstream" run -- true 2>"$HOME/err" || { echo "an unknown name stops it"; failed=1; }
grep -q SLIPSTREAM_BLOCK_SIZE "$HOME/err" || { echo "no name is suggested: $(cat "$HOME/err")"; failed=1; }

# The manual page has them all, and no others.
is() { [ "$2" = "$3" ] || { printf '%s:\n%s\n' "$1" "$(diff <(echo "$2") <(echo "$3"))"; failed=1; }; }
is "the manual page" "$(grep -o '^\.It Ev SLIPSTREAM_.*' "$TOP/docs/slipstream.1" | grep -o 'SLIPSTREAM_[A-Z_]*' | sort)" \
	"$(sed -n 's/^SETTING(\([A-Z_]*\),.*/SLIPSTREAM_\1/p' "$TOP/client/config.def" | sort)"
exit $failed
