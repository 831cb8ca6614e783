#!/bin/bash
# Programs and keepers that are short of something: descriptors, address space, inotify, standard streams, and the keeper itself.
. "$TOP/tests/cli/lib.sh"
logged() { grep -q "$1" "$HOME"/.local/state/slipstream/*.log 2>/dev/null; is "logged: $1" $? 0; }
quiet() { is "$1: nothing in the log" "$(cat "$HOME"/.local/state/slipstream/*.log 2>/dev/null)" ""; }

seq 1000000 >"$HOME/big"
sum=$(md5sum <"$HOME/big")
export SLIPSTREAM_SHORT_CIRCUIT=false # the big one comes by range
$slipstream run -- cp "$HOME/big" /goosefs/big || exit 1

# Few descriptors from the start: there is no room for connections that stay.
is "sixteen descriptors" "$($slipstream run -- bash -c 'ulimit -n 16; echo x >/goosefs/f; cat /goosefs/f; ls /goosefs; md5sum </goosefs/big' | tr '\n' '|')" "x|big|f|$sum|"
quiet "sixteen descriptors"

# One number left, for a program that has asked something before: its connection has a place of its own, also under a small limit,
# and one lowered since; a keeper that is replaced finds the program again. With none left: EMFILE, and what takes none on a disk works.
cat >"$HOME/numbers.py" <<'EOP'
import errno, os, resource, signal, subprocess, sys
def limit(n): resource.setrlimit(resource.RLIMIT_NOFILE, (n, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
def says(what, call):
    try:
        print(what, call())
    except OSError as e:
        print(what, errno.errorcode[e.errno])
def use(name, flags):
    fd = os.open(name, flags, 0o644)
    try:
        return os.write(fd, b"new") if flags else "list" if name == "/goosefs" else os.read(fd, 3)
    finally:
        os.close(fd)
session = os.environ["SLIPSTREAM_SESSION"]
if sys.argv[2] == "before": limit(int(sys.argv[1]))
os.stat("/goosefs")
if sys.argv[2] != "before": limit(int(sys.argv[1]))
if sys.argv[2] == "killed":
    os.kill(int(subprocess.run(["pgrep", "-f", "keeper --session " + session], capture_output=True, text=True).stdout), signal.SIGKILL)
    os.stat("/goosefs/big")
fds = []
try:
    while True: fds.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
says("none:", lambda: os.stat("/goosefs/big").st_size)
says("none:", lambda: use("/goosefs/big", 0))
says("none:", lambda: use("/goosefs/made", os.O_RDWR | os.O_CREAT))
says("none:", lambda: os.path.exists("/goosefs/made"))
os.close(fds.pop())
for name, flags in ("/f", 0), ("/big", 0), ("/made", os.O_RDWR | os.O_CREAT), ("", 0):
    says("one:", lambda: use("/goosefs" + name, flags))
says("one:", lambda: sorted(os.listdir("/goosefs")))
os.unlink("/goosefs/made")
EOP
for how in "64 before" "16 before" "40 later" "16 later" "16 killed"; do
	is "one number left, $how" "$($slipstream run -- python3 "$HOME/numbers.py" $how 2>&1 | tr '\n' '|')" \
		"none: $(stat -c %s "$HOME/big")|none: EMFILE|none: EMFILE|none: False|one: b'x\\n'|one: b'1\\n2'|one: 3|one: list|one: ['big', 'f', 'made']|"
done
rm -rf "$HOME/.local/state"

# Too little address space for the page cache: bytes come in the answers. For less than the session's records: ENOMEM, not nonsense.
is "ulimit -v" "$($slipstream run -- bash -c 'ulimit -v 400000; dd if=/goosefs/big bs=100k 2>/dev/null | md5sum' 2>&1)" "$sum"
is "ulimit -v: written and read" "$($slipstream run -- sh -c 'ulimit -v 50000; echo x >/goosefs/f; cat /goosefs/f' 2>/dev/null)" x
$slipstream run -- sh -c 'ulimit -v 50000; dd if=/goosefs/big of=/dev/null' 2>"$HOME/err"; is "ulimit -v: by range" $? 1
grep -q "Cannot allocate memory" "$HOME/err"; is "ulimit -v: says why" $? 0
logged "cannot map the records"
rm -rf "$HOME/.local/state"

# No inotify instance: none is allowed in a user namespace of this test's own.
if unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances' 2>/dev/null; then
	is "no inotify" "$(unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"' sh "$slipstream" run -- sh -c '
		echo x >/goosefs/f; cat /goosefs/f; dd if=/goosefs/big bs=100k 2>/dev/null | md5sum; ls /goosefs
		sh -c "exec 5>/goosefs/killed; echo kept >&5; kill -9 \$\$"' 2>/dev/null | tr '\n' '|')" "x|$sum|big|f|"
	is "no inotify: published" "$($slipstream run -- cat /goosefs/killed)" kept
	logged "no inotify instance"
	rm -rf "$HOME/.local/state"
fi

# Closed standard streams.
is "closed input" "$($slipstream run -- cat /goosefs/f <&-)" x
$slipstream run -- sh -c 'echo closed >/goosefs/g' <&- >&- 2>&-; is "all closed" $? 0
$slipstream run -- sh -c 'exit 3' <&- >&- 2>&-; is "all closed: status" $? 3
is "all closed: written" "$($slipstream run -- cat /goosefs/g)" closed
is "closed within" "$($slipstream run -- bash -c 'exec <&- 2>&-; exec 0</goosefs/g; cat')" closed
quiet "closed streams"

# A static program reads and writes what it inherits.
if printf '%s\n' '#include <unistd.h>' 'int main(void) { char b[10000]; long n; while ((n = read(0, b, sizeof b)) > 0) if (write(1, b, n) != n) return 2; return n != 0; }' |
	${CC:-cc} -static -x c -o "$HOME/static-cat" - 2>/dev/null; then
	$slipstream run -- sh -c '"$1" </goosefs/big >/goosefs/copy; cmp /goosefs/copy "$2"' sh "$HOME/static-cat" "$HOME/big" 2>/dev/null
	is "static program" $? 0
	is "static program: published" "$($slipstream run -- md5sum /goosefs/copy | cut -d' ' -f1)" "${sum%% *}"
	is "static program: from the middle" "$($slipstream run -- bash -c 'exec 3</goosefs/big; read -u 3 x; "$1" <&3 | md5sum' sh "$HOME/static-cat" 2>/dev/null)" "$(tail -n +2 "$HOME/big" | md5sum)"
fi

# A keeper that is killed under a program that waits, and one that stands still.
cat >"$HOME/keepers.py" <<'EOP'
import os, signal, subprocess, time
def stopped(pid): # a thread that has not heard of it yet would answer
    tasks = "/proc/%d/task/" % pid
    return all(open(tasks + t + "/stat").read().rpartition(")")[2].split()[0] == "T" for t in os.listdir(tasks))
def stop():
    """The session's keeper, standing still. One that was killed may be seen for a while yet."""
    while True:
        for pid in subprocess.run(["pgrep", "-f", "keeper --session " + os.environ["SLIPSTREAM_SESSION"]], capture_output=True, text=True).stdout.split():
            try:
                os.kill(int(pid), signal.SIGSTOP)
                while not stopped(int(pid)):
                    time.sleep(0.005)
                return int(pid)
            except OSError:
                pass
        time.sleep(0.02)
EOP
cat >"$HOME/keeper.py" <<'EOP'
import errno, os, signal, subprocess, sys, threading, time
from keepers import stop
def during(what, call):
    pid = stop()
    threading.Timer(0.1, os.kill, (pid, signal.SIGKILL)).start()
    try:
        call()
    except OSError as e:
        print(what, e)
big = os.open("/goosefs/big", os.O_RDONLY)
out = os.open("/goosefs/w", os.O_WRONLY | os.O_CREAT)
os.write(out, b"hello")
during("open", lambda: os.close(os.open("/goosefs/w", os.O_RDONLY)))
during("create", lambda: os.close(os.open("/goosefs/c", os.O_WRONLY | os.O_CREAT)))
during("read", lambda: os.pread(big, 10, 5000000))
during("stat", lambda: os.stat("/goosefs/w"))
during("fsync", lambda: os.fsync(out))
during("close", lambda: os.close(out))
print(open("/goosefs/w").read())
pid = stop()
for sig in signal.SIGINT, signal.SIGTERM:
    p = subprocess.Popen(["stat", "/goosefs/w"], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    time.sleep(0.2)
    p.send_signal(sig)
    print(p.wait(5))
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
threading.Timer(0.2, os.kill, (pid, signal.SIGCONT)).start()
print(os.stat("/goosefs/w").st_size)
EOP
is "killed keeper, stopped keeper" "$($slipstream run -- python3 "$HOME/keeper.py" 2>&1 | tr '\n' '|')" "hello|-2|-15|5|"
rm -rf "$HOME/.local/state"
began=$(date +%s%3N)
SLIPSTREAM_SHIM_TIMEOUT_MS=300 PYTHONPATH=$HOME $slipstream run -- python3 -c '
import errno, os, signal
from keepers import stop
os.stat("/goosefs")
pid = stop()
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
try:
	os.stat("/goosefs/none")
except OSError as e:
	print(errno.errorcode[e.errno])
os.kill(pid, signal.SIGCONT)' >"$HOME/out" 2>/dev/null
is "SLIPSTREAM_SHIM_TIMEOUT_MS" "$(cat "$HOME/out")" ETIMEDOUT
is "in time" $(($(date +%s%3N) - began < 5000)) 1
logged "does not answer: stat"
exit $failed
