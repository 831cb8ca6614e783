#!/bin/bash
# Sessions that nobody runs: plain LD_PRELOAD with mounts configured; and the client in the process itself.
. "$TOP/tests/cli/lib.sh"

mkfifo "$HOME/hold"
exec 9<>"$HOME/hold"
"$slipstream" server --root "$HOME/root" --exit-with-parent-fd 8 8<"$HOME/hold" >"$HOME/ready" &
server=$!
trap 'kill $server; wait $server 2>/dev/null' EXIT
for _ in $(seq 200); do grep -q master= "$HOME/ready" && break; sleep 0.05; done
master=$(sed -n 's/.*master=\([^ ]*\).*/\1/p' "$HOME/ready")
[ -n "$master" ] || { echo "no server: $(cat "$HOME/ready")"; exit 1; }

export SLIPSTREAM_MOUNTS="/goosefs=goosefs://$master/"
ours() { LD_PRELOAD=$BUILD/libslipstream.so "$@"; }

# Nothing configured: inert.
is "nothing configured" "$(SLIPSTREAM_MOUNTS= ours sh -c 'echo x > /goosefs/x' 2>&1 | grep -c goosefs)" 1

# One session of this user for all programs with these mounts.
ours sh -c 'mkdir /goosefs/d; echo one > /goosefs/d/f'; is "write" $? 0
is "read by another program" "$(ours cat /goosefs/d/f)" one
is "a pipeline" "$(ours sh -c 'seq 100 > /goosefs/n; sort -rn /goosefs/n | head -n 1')" 100
is "cleaned environment" "$(ours env -i "$BASH" -c 'cat /goosefs/d/f')" one
is "no child of ours" "$(ours bash -c 'cat /goosefs/d/f > /dev/null; jobs; wait -n 2>/dev/null; echo $?')" 127
for i in $(seq 8); do ours sh -c "echo $i > /goosefs/par$i" & pids[i]=$!; done
wait "${pids[@]}"
is "eight at once" "$(ours sh -c 'cat /goosefs/par?' | sort -n | tr '\n' ' ')" "1 2 3 4 5 6 7 8 "

# Two mounts, with a blank between them.
is "two mounts" "$(SLIPSTREAM_MOUNTS="$SLIPSTREAM_MOUNTS; /b=goosefs://$master/d" ours cat /goosefs/n /b/f | tail -n 1)" one

# Mounts from the file.
mkdir -p "$HOME/.config/slipstream"
echo "mounts = $SLIPSTREAM_MOUNTS" >"$HOME/.config/slipstream/slipstream.conf"
is "mounts of the file" "$(env -u SLIPSTREAM_MOUNTS LD_PRELOAD="$BUILD/libslipstream.so" cat /goosefs/d/f)" one
rm "$HOME/.config/slipstream/slipstream.conf"

# The client in the process.
export SLIPSTREAM_CLIENT=process
is "inside: read" "$(ours cat /goosefs/d/f)" one
ours cp "$BASH" /goosefs/bash; is "inside: copy" $? 0
ours cmp "$BASH" /goosefs/bash; is "inside: compare" $? 0
is "inside: descriptor numbers" "$(ours python3 -c 'import os
a = os.open("/goosefs/d/f", os.O_RDONLY); b = os.open("/goosefs/new", os.O_WRONLY | os.O_CREAT); os.closerange(b + 1, 1000)
os.write(b, b"kept"); os.close(b); print(a, b, open("/goosefs/new").read(), oct(os.umask(0)))')" "3 4 kept $(python3 -c 'import os; print(oct(os.umask(0)))')"
is "inside: a forked child" "$(ours python3 -c 'import os
if os.fork() == 0:
	open("/goosefs/child", "w").write("of a child"); os._exit(0)
os.wait(); print(open("/goosefs/child").read())')" "of a child"
is "inside: exec with a file open for writing" "$(ours python3 -c 'import os
f = open("/goosefs/open", "w"); f.write("x"); f.flush()
try: os.execv("/bin/true", ["true"])
except OSError as e: print(e.strerror)')" "Device or resource busy"
is "inside: exec" "$(ours python3 -c 'import os
open("/goosefs/before", "w").write("before exec")
os.execv("/bin/cat", ["cat", "/goosefs/before"])')" "before exec"
is "inside: the working directory of a child" "$(ours bash -c 'cd /goosefs/d; cat f; /bin/pwd; ls; cat ../before; cd /; cat f 2>/dev/null || echo none')" "$(printf 'one\n/goosefs/d\nf\nbefore execnone')"
is "inside: ... that is moved or removed" "$(ours bash -c 'mkdir -p /goosefs/a/b; cd /goosefs/a/b; rmdir /goosefs/a/b; cat ../nothing 2>&1; mkdir /goosefs/a/b; ls' 2>&1 | sed 's,.*/,,')" "nothing: No such file or directory"
is "inside: ... over exec" "$(ours python3 -c 'import os
os.chdir("/goosefs/d")
try: os.execvp("nothing-of-this-name", ["x"])
except FileNotFoundError: print(open("f").read(), end="", flush=True)
os.execvp("cat", ["cat", "f"])')" "$(printf 'one\none')"
is "inside: ... without an environment" "$(ours perl -e 'delete $ENV{$_} for keys %ENV; open(F, "<", "/goosefs/d/f") or die "$!"; print <F>; exec "/bin/cat", "/goosefs/d/f"' 2>&1)" "$(printf 'one\none')"
is "inside: ... of what is spawned" "$(ours python3 -c 'import os, subprocess
os.chdir("/goosefs/d")
os.waitpid(os.posix_spawn("/bin/cat", ["cat", "f"], os.environ), 0)
subprocess.run(["cat", "before"], cwd="/goosefs"); os.system("cat f"); print(os.popen("cat f").read(), end="")')" "$(printf 'one\nbefore execone\none')"
ours cp /bin/echo /goosefs/d/say; printf '#!/bin/sh\ncat f\n' >"$HOME/run"; chmod +x "$HOME/run"; ours cp "$HOME/run" /goosefs/d/run
is "inside: programs in it" "$(ours bash -c 'cd /goosefs/d; ./say said; ./run; exec ./run')" "$(printf 'said\none\none')"
# Standard input whose bytes come by range: the next program has another session.
head -c 3000000 /dev/urandom >"$HOME/big"; ours cp "$HOME/big" /goosefs/big
sum=$(cksum <"$HOME/big")
for how in 'cksum < /goosefs/big' 'exec cksum < /goosefs/big' 'exec env cksum < /goosefs/big' 'cp /usr/bin/cksum /goosefs/sum; exec /goosefs/sum < /goosefs/big'; do
	is "inside: $how" "$(SLIPSTREAM_SHORT_CIRCUIT=false ours sh -c "$how")" "$sum"
done
is "nothing left behind but a log that nobody has read" "$(ls "$XDG_RUNTIME_DIR"/slipstream/process-*/records 2>/dev/null)" ""
is "inside: XDG_RUNTIME_DIR is of no use" "$(XDG_RUNTIME_DIR=$HOME/none ours cat /goosefs/d/f)" one
mkdir -m 755 -p "$HOME/lax/slipstream"
is "inside: ... or others may write there" "$(XDG_RUNTIME_DIR=$HOME/lax ours cat /goosefs/d/f)" one
rm -rf "$HOME/.cache/slipstream"
is "inside: written, and read in a child" "$(ours python3 -c 'import os
open("/goosefs/d/g", "w").write("two")
if os.fork() == 0: os._exit(open("/goosefs/d/g").read() != "two")
print(os.wait()[1])')" 0
is "inside: no staging directory is left" "$(ls "$HOME/.cache/slipstream")" ""
(ours python3 -c 'import os
f = open("/goosefs/d/killed", "w"); f.write("kept"); f.flush(); os.kill(os.getpid(), 9)') 2>/dev/null
is "inside: killed" "$("$slipstream" recover /goosefs/d/killed; ours cat /goosefs/d/killed)" "$(printf 'published /goosefs/d/killed\nkept')"
is "inside: a child that outlives its parent" "$(ours python3 -c 'import os, time
open("/goosefs/d/g").read(); parent = os.getpid()
if os.fork() == 0:
	while os.getppid() == parent: time.sleep(0.01)
	try: open("/goosefs/d/late", "w")
	except OSError as e: print(e.strerror)')" "Input/output error"
unset SLIPSTREAM_CLIENT

# The keepers of sessions without `run` linger; this test does not.
pkill -TERM -f "keeper --alone $XDG_RUNTIME_DIR/" 2>/dev/null
exit $failed
