#!/bin/bash
# A cluster that is not there, is something else, says nothing, or goes away: an errno within the deadlines, a line in the
# session's log, and nothing that was written is lost.
set -u
slipstream=$BUILD/slipstream
export SLIPSTREAM_CONNECT_TIMEOUT=500ms SLIPSTREAM_RPC_TIMEOUT=500ms
failed=0
wrong() {
	printf '%s\n' "$*"
	failed=1
}
logged() { grep -q "$1" "$HOME"/.local/state/slipstream/*.log 2>/dev/null || wrong "not in the log: $1: $(cat "$HOME"/.local/state/slipstream/*.log 2>&1)"; }

cat >"$HOME/liar.py" <<'EOP'
"""Listens, prints its port, and with every connection does as argv[1] says."""
import os, socket, sys, threading
def serve(c):
    try:
        if sys.argv[1] == "http":
            c.recv(100); c.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n")
        elif sys.argv[1] == "noise":
            c.sendall(os.urandom(4096))
        elif sys.argv[1] in ("silent", "http2"):
            if sys.argv[1] == "http2":
                c.sendall(b"\0\0\0\4\0\0\0\0\0")  # an empty SETTINGS frame, and then no more
            while c.recv(65536):
                pass
        c.close()
    except OSError:
        pass
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
EOP

# what, longest time in ms, wanted errno text, command...
within() {
	local what=$1 ms=$2 wanted=$3 began=$(date +%s%3N) took && shift 3
	"$@" >"$HOME/out" 2>&1 && wrong "$what: succeeds"
	took=$(($(date +%s%3N) - began))
	[ $took -le "$ms" ] || wrong "$what: took $took ms"
	grep -qE "$wanted" "$HOME/out" || wrong "$what: $(cat "$HOME/out")"
}
cluster() { # port, command...
	local port=$1 && shift
	"$slipstream" run --mount "/a=goosefs://127.0.0.1:$port/" -- "$@"
}

within "nobody there" 3000 "No route to host" cluster 1 cat /a/f
logged "open /a/f: No route to host"
within "nobody there: fs" 3000 "No route to host" "$slipstream" fs --mount /a=goosefs://127.0.0.1:1/ ls /a
for how in http noise close; do
	python3 "$HOME/liar.py" $how >"$HOME/port" &
	liar=$!
	until [ -s "$HOME/port" ]; do sleep 0.02; done
	rm -rf "$HOME/.local/state"
	within "$how" 3000 "No route to host" cluster "$(cat "$HOME/port")" sh -c 'echo x >/a/f'
	logged "open /a/f: .*127.0.0.1"
	kill $liar
	wait $liar 2>/dev/null
	: >"$HOME/port"
done
for how in silent http2; do
	python3 "$HOME/liar.py" $how >"$HOME/port" &
	liar=$!
	until [ -s "$HOME/port" ]; do sleep 0.02; done
	rm -rf "$HOME/.local/state"
	within "$how" 3000 "Connection timed out" cluster "$(cat "$HOME/port")" ls /a
	logged "Connection timed out"
	kill $liar
	wait $liar 2>/dev/null
	: >"$HOME/port"
done

# The master goes away, or stands still, in the middle of a session.
mkfifo "$HOME/hold"
exec 9<>"$HOME/hold"
cat >"$HOME/session.py" <<'EOP'
import errno, glob, os, signal, sys, time
server, sig, longest = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
def fails(what, call):
    began = time.time()
    try:
        call()
        print(what, "succeeds")
    except OSError as e:
        if e.errno not in (errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EIO):
            print(what, e)
    if time.time() - began > longest:
        print("%s took %.1f s" % (what, time.time() - began))
fd = os.open("/a/kept", os.O_WRONLY | os.O_CREAT)
os.write(fd, b"not lost")
os.kill(server, sig)
def runs(thread):
    try:
        return open(thread + "/stat").read().rsplit(")", 1)[1].split()[0] not in "TZX"
    except OSError:
        return False
while any(map(runs, glob.glob("/proc/%d/task/*" % server))):
    time.sleep(0.01)
fails("stat", lambda: os.stat("/a/none"))
fails("create", lambda: os.open("/a/new", os.O_WRONLY | os.O_CREAT))
fails("rename", lambda: os.rename("/a/x", "/a/y"))
fails("fsync", lambda: os.fsync(fd))
fails("close", lambda: os.close(fd))
EOP
for sig in 9 19; do
	: >"$HOME/ready"
	rm -rf "$HOME/.local/state"
	"$slipstream" server --root "$HOME/root$sig" --exit-with-parent-fd 8 8<"$HOME/hold" >"$HOME/ready" 2>/dev/null &
	server=$!
	until grep -q master= "$HOME/ready"; do sleep 0.02; done
	master=$(sed -n 's/.*master=\([^ ]*\).*/\1/p' "$HOME/ready")
	"$slipstream" run --mount "/a=goosefs://$master/" -- python3 "$HOME/session.py" $server $sig 5 >"$HOME/out" 2>"$HOME/err"
	[ $? -eq 125 ] || wrong "signal $sig: not 125"
	[ -s "$HOME/out" ] && wrong "signal $sig: $(cat "$HOME/out")"
	grep -q "not published: /a/kept" "$HOME/err" || wrong "signal $sig: not told: $(cat "$HOME/err")"
	logged "/a/kept is not published"
	[ "$(cat "$(sed -n 's/.*its content is in //p' "$HOME"/.local/state/slipstream/*.log | head -n 1)")" = "not lost" ] || wrong "signal $sig: lost"
	kill -9 $server 2>/dev/null
	wait $server 2>/dev/null
	rm -rf "$HOME/.cache"
done
exit $failed
