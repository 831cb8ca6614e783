#!/bin/bash
# slipstream doctor, and what is said of settings and logs.
. "$TOP/tests/cli/lib.sh"
cd "$HOME" || exit 1
doctor() { out=$("$slipstream" doctor "$@" 2>&1); status=$?; }

doctor; is "doctor" $status 0
is "lines" "$(printf '%s\n' "$out" | grep -vc '^\(OK  \|WARN\) ')" 0
has "library" '^OK .*libslipstream.so is there' "$out"
has "no cluster" '^OK .*embedded server' "$out"
has "staging" 'fit for staging files' "$out"

# Programs.
doctor ls; is "a program" $status 0; has "a program" '^OK .*/ls is a dynamically linked program' "$out"
doctor nothing-of-that-name; is "no program" $status 1; has "no program" '^FAIL nothing-of-that-name: No such file' "$out"
printf '#!/bin/sh\n' >script; printf '#!/usr/bin/env sh\n' >env; printf '#!/nowhere/sh\n' >lost; printf 'text\n' >text
printf '\177ELF\1\1\1%57s' '' >foreign
chmod 755 script env lost text foreign
doctor ./script; is "a script" $status 0; has "a script" '^OK .*script is a script for /bin/sh' "$out"
doctor ./env; is "by env" $status 0; has "by env" '^OK .*env is a script for /.*/sh' "$out"
doctor ./lost; is "no interpreter" $status 1; has "no interpreter" '^FAIL .*lost is a script for /nowhere/sh: No such file' "$out"
doctor ./text; is "a text" $status 1
doctor ./foreign; is "foreign" $status 1; has "foreign" '^FAIL .*foreign is built for another architecture' "$out"
if [ -x /sbin/ldconfig ]; then # static, in Debian
	doctor /sbin/ldconfig; is "static" $status 1; has "static" '^FAIL /sbin/ldconfig is statically linked' "$out"
fi
if [ "$(id -u)" = 0 ]; then
	cp /bin/true other; chown 65534 other; chmod 4755 other
	doctor ./other; is "setuid" $status 1; has "setuid" '^FAIL .*other runs with other rights' "$out"
fi

# Clusters.
doctor --mount /x=goosefs://127.0.0.1:1/; is "nobody there" $status 1
has "nobody there" '^FAIL /x: none of the masters 127.0.0.1:1 can be reached' "$out"
doctor --mount nonsense; is "bad mount" $status 1; has "bad mount" '^FAIL the settings are wrong: .*nonsense' "$out"
has "a cluster" '^OK .*/goosefs: goosefs://.* answers' "$("$slipstream" run -- "$slipstream" doctor)"
SLIPSTREAM_STAGE=/proc doctor; has "bad staging" '^WARN /proc is not fit for staging files' "$out"

SLIPSTREAM_STAGE=$HOME/none/stage doctor; has "no staging there" "^WARN $HOME/none/stage is not fit for staging files: No such file" "$out"
SLIPSTREAM_STAGE=$HOME/none/stage "$slipstream" run -- true 2>err; has "another place is said" "the session's log" "$(cat err)"
has "another place" "$HOME/none/stage is not fit" "$(cat .local/state/slipstream/*.log)"
SLIPSTREAM_STAGE=$HOME/none doctor; has "to be made" "^OK .*$HOME/none is fit" "$out"
mkdir -p elsewhere; doctor one two; is "two programs" $status 2; doctor --frob; is "bad option" $status 2

# Settings: names, values, files.
out=$(SLIPSTREAM_MOUNT=x "$slipstream" fs ls /goosefs 2>&1); is "a misspelt name" $? 0
is "a misspelt name" "$out" "slipstream: environment: no setting is called SLIPSTREAM_MOUNT; did you mean SLIPSTREAM_MOUNTS?"
SLIPSTREAM_MOUNT=x doctor; is "doctor of a misspelt name" $status 0; has "doctor of a misspelt name" '^WARN .*SLIPSTREAM_MOUNT, ' "$out"
out=$(SLIPSTREAM_RPC_TIMEOUT=soon "$slipstream" fs ls /goosefs 2>&1); is "a bad value" $? 1; has "a bad value" 'SLIPSTREAM_RPC_TIMEOUT=soon' "$out"
out=$(SLIPSTREAM_LOG=loud "$slipstream" fs ls /goosefs 2>&1); is "a bad level" $? 1; has "a bad level" 'error, warn, note or debug' "$out"
echo 'blok_size = 1M' >conf; out=$(SLIPSTREAM_CONFIG=$HOME/conf "$slipstream" fs ls /goosefs 2>&1)
is "a misspelt name in a file" $? 1; has "a misspelt name in a file" 'did you mean SLIPSTREAM_BLOCK_SIZE' "$out"

# Logs: into a file; else the session's, which stays if there is something in it.
SLIPSTREAM_LOG=debug,$HOME/log "$slipstream" run -- cat /goosefs/nothing 2>err
has "a log file" 'debug: ' "$(cat log)"
is "nothing else says so" "$(cat err)" "cat: /goosefs/nothing: No such file or directory"
mkdir -p elsewhere
SLIPSTREAM_INHERIT=0 SLIPSTREAM_LOG=error,ours "$slipstream" run -- sh -c 'cd elsewhere; SLIPSTREAM_SESSION=/none cat /goosefs/nothing' 2>/dev/null
has "the shim's errors, too" 'shim: .*no keeper answers in /none' "$(cat ours)"
SLIPSTREAM_LOG=error,$HOME/served "$slipstream" run --root root -- sh -c '
	echo nonsense >root/faults; kill -USR1 "$(sed -n s/pid=//p root/address)"
	for _ in $(seq 100); do [ -s served ] && break; sleep 0.05; done' 2>err
has "the server's, too" 'slipstream server: .*/root/faults' "$(cat served)"
is "and not on standard error" "$(grep -c 'slipstream server' err)" 0
out=$(SLIPSTREAM_LOG=debug "$slipstream" run -- cat /goosefs/nothing 2>&1)
has "the session's log" "the session's log: $HOME/.local/state" "$out"
is "is not on standard error" "$(printf '%s\n' "$out" | grep -c 'debug: .*stat')" 0
exit $failed
