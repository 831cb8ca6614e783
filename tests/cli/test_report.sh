#!/bin/bash
# SLIPSTREAM_REPORT: what each program did, on standard error or in a file; nothing unless it is asked for.
. "$TOP/tests/cli/lib.sh"
line() { # what, file, pattern
	grep -Eq "$3" "$2" && return
	printf '%s: no line like "%s" in:\n%s\n' "$1" "$3" "$(cat "$2")"
	failed=1
}

"$slipstream" run -- sh -c 'head -c 3000000 /dev/urandom > /goosefs/big; echo x > /goosefs/small' 2>"$HOME/err"
[ -s "$HOME/err" ] && { echo "a report nobody asked for: $(cat "$HOME/err")"; failed=1; }

export SLIPSTREAM_SHORT_CIRCUIT=false
SLIPSTREAM_REPORT=1 "$slipstream" run -- sh -c 'cat /goosefs/big > /dev/null; cp /goosefs/small /goosefs/copy' 2>"$HOME/err"
line "cat" "$HOME/err" '^slipstream: cat\[[0-9]+\]:$'
line "by range" "$HOME/err" '^  1 opened by range$'
line "bytes" "$HOME/err" '^  3000000 bytes read by range from the page cache$'
line "cp" "$HOME/err" '^slipstream: cp\[[0-9]+\]:$'
line "requests" "$HOME/err" '^  asked the keeper: .*open [0-9]'

SLIPSTREAM_REPORT=$HOME/report "$slipstream" run -- python3 -c '
import mmap
f = open("/goosefs/big", "rb")
print(len(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)))' >"$HOME/out" 2>"$HOME/err"
line "mapped" "$HOME/out" '^3000000$'
line "fell back" "$HOME/report" '^  1 fell back'
[ -s "$HOME/err" ] && { echo "not only into the file: $(cat "$HOME/err")"; failed=1; }

# From the settings file, too.
cd "$HOME" && mkdir elsewhere && echo "report = by-file" >conf || exit 1
SLIPSTREAM_CONFIG=conf "$slipstream" run -- sh -c 'cd elsewhere && cat /goosefs/small' >/dev/null
line "by the file" by-file '^slipstream: cat\[[0-9]+\]:$'
exit $failed
