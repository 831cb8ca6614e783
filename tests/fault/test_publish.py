#!/usr/bin/env python3
"""When a file is published, seen from another session: at the last close, and not before; or close() says why not."""
import errno
import os
import signal
import subprocess
import time

from sessions import HOME, SLIPSTREAM, Server, Session, expect, run_tests

WRITE = "f = os.open(%r, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644); os.write(f, b'text');"


def eventually(what, seen, wanted):
    for _ in range(300):
        if seen() == wanted:
            return
        time.sleep(0.02)
    expect(what, seen(), wanted)


# ---- the last holder, by whatever it lets go ----

ENDS = {
    "close": "os.close(f)",
    "close of a copy": "g = os.dup(f); os.close(f); os.close(g)",
    "dup2 onto it": "n = os.open('/dev/null', os.O_RDONLY); os.dup2(n, f); os.close(n); os.close(f)",
    "dup3 of itself onto a copy": "g = os.dup(f); n = os.open('/dev/null', os.O_RDONLY); os.dup2(n, f); os.dup2(n, g); os.close(n)",
    "close_range": "libc.close_range(f, f, 0)",
    "closefrom": "os.dup2(f, 200); os.close(f); libc.closefrom(200)",
    "fclose": "libc.fclose(ctypes.c_void_p(libc.fdopen(f, b'r+')))",
    "munmap": "m = libc.mmap(None, 4, 3, 1, f, 0); os.close(f); ctypes.memmove(m, b'text', 4); libc.munmap(ctypes.c_void_p(m), 4)",
    "munmap of a private mapping": "m = libc.mmap(None, 4, 3, 2, f, 0); os.close(f); libc.munmap(ctypes.c_void_p(m), 4)",
    "munmap in parts": "os.ftruncate(f, 12288); m = libc.mmap(None, 12288, 3, 1, f, 0); os.ftruncate(f, 4); os.close(f); "
                       "libc.munmap(ctypes.c_void_p(m + 4096), 4096); libc.munmap(ctypes.c_void_p(m), 4096); libc.munmap(ctypes.c_void_p(m + 8192), 4096)",
    "a mapping over it": "m = libc.mmap(None, 4, 3, 1, f, 0); os.close(f); libc.mmap(ctypes.c_void_p(m), 4096, 3, 0x32, -1, 0)",
    "mremap and munmap": "m = libc.mmap(None, 4096, 3, 1, f, 0); os.close(f); m = libc.mremap(ctypes.c_void_p(m), 4096, 8192, 1); libc.munmap(ctypes.c_void_p(m), 8192)",
    "exit of a child": "pid = os.fork()\nif pid == 0: time.sleep(0.02); os._exit(0)\nos.close(f); os.waitpid(pid, 0)",
    "exit of a program that inherited it": "p = subprocess.Popen(['sleep', '0.05'], pass_fds=[f]); os.close(f); p.wait()",
    "exit of a child that mapped it": "pid = os.fork()\nif pid == 0:\n m = libc.mmap(None, 4, 3, 1, f, 0); os.close(f); os._exit(0)\nos.close(f); os.waitpid(pid, 0)",
    "a descriptor sent": "a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [f]); os.close(f); g = socket.recv_fds(b, 1, 1)[1][0]; os.close(g)",
}


def test_last_holder(server):
    writer, reader = Session(server), Session(server)
    for n, (what, code) in enumerate(ENDS.items()):
        path = "/goosefs/end%d" % n
        writer.do((WRITE + code) % path)
        expect(what, reader.read(path), "text")
        writer.do(WRITE.replace("text", "more") % path + code.replace("b'text'", "b'more'"))
        expect(what + ", again", reader.read(path), "more")
    expect("writer", writer.end()[0], 0)
    expect("reader", reader.end()[0], 0)


# Nobody waits for these; the keeper does not need to be told.
DEATHS = {
    "killed": "pid = os.fork()\nif pid == 0:\n os.write(f, b''); os.kill(os.getpid(), 9)\nos.close(f); os.waitpid(pid, 0)",
    "close by exec": "pid = os.fork()\nif pid == 0:\n os.set_inheritable(f, False); os.execv('/bin/true', ['true'])\nos.close(f); os.waitpid(pid, 0)",
    "a descriptor in flight": "a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [f]); os.close(f); a.close(); b.close()",
    "exit of a program without the shim": "p = subprocess.Popen(['sleep', '0.05'], pass_fds=[f], env={'LD_PRELOAD': '', 'SLIPSTREAM_INHERIT': '0'}); os.close(f); p.wait()",
}


def test_nobody_waits(server):
    writer, reader = Session(server), Session(server)
    for n, (what, code) in enumerate(DEATHS.items()):
        path = "/goosefs/death%d" % n
        writer.do(WRITE % path + code)
        eventually(what, lambda: reader.read(path), "text")
    reader.end()
    expect("writer", writer.end()[0], 0)


def test_not_before(server):
    """A stopped holder, a mapping, another writer: as long as there is one, nothing is published."""
    writer, reader = Session(server), Session(server)
    writer.do(WRITE % "/goosefs/stopped" + """
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
    os.write(f, b' more')
    os._exit(0)
os.waitpid(pid, os.WUNTRACED)
os.close(f)""")
    time.sleep(0.3)
    expect("a stopped holder", reader.read("/goosefs/stopped"), None)
    writer.do("os.kill(pid, signal.SIGCONT); os.waitpid(pid, 0)")
    expect("... continued, and ended", reader.read("/goosefs/stopped"), "text more")
    writer.do(WRITE % "/goosefs/mapped" + "m = libc.mmap(None, 4, 3, 1, f, 0); os.close(f)")
    time.sleep(0.3)
    expect("a mapping", reader.read("/goosefs/mapped"), None)
    writer.do("ctypes.memmove(m, b'TEXT', 4); libc.munmap(ctypes.c_void_p(m), 4)")
    expect("... gone", reader.read("/goosefs/mapped"), "TEXT")
    writer.do(WRITE % "/goosefs/two" + "g = os.open('/goosefs/two', os.O_WRONLY); os.close(f)")
    expect("another writer", reader.read("/goosefs/two"), None)
    writer.do("os.pwrite(g, b'TWO', 1); os.close(g)")
    expect("... gone", reader.read("/goosefs/two"), "tTWO")
    # a program without the shim opens it again by number
    writer.do(WRITE % "/goosefs/again" + """
p = subprocess.Popen(["sh", "-c", "exec 5>>/proc/self/fd/%d; echo; read x; echo more >&5" % f], pass_fds=[f], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                     env={"PATH": os.environ["PATH"], "LD_PRELOAD": "", "SLIPSTREAM_INHERIT": "0"})
p.stdout.readline()
os.close(f)""")
    expect("opened again through /proc", reader.read("/goosefs/again"), None)
    writer.do("p.stdin.write(b'x\\n'); p.stdin.close(); p.wait()")
    eventually("... and closed", lambda: reader.read("/goosefs/again"), "textmore\n")
    reader.end()
    expect("writer", writer.end()[0], 0)


def test_replacing(server):
    """Who looks from outside sees the old content until the new is complete; who has it open reads on."""
    writer, reader = Session(server), Session(server)
    old = "o" * 3000000
    writer.do("open('/goosefs/f', 'w').write('o' * 3000000)")
    reader.do("r = os.open('/goosefs/f', os.O_RDONLY); result = os.read(r, 10).decode()")
    writer.do("f = os.open('/goosefs/f', os.O_WRONLY | os.O_TRUNC); os.write(f, b'new')")
    expect("while it is written", reader.read("/goosefs/f") == old, True)
    writer.do("os.close(f)")
    expect("after close", reader.read("/goosefs/f"), "new")
    expect("no other name", reader.do("result = sorted(n for n in os.listdir('/goosefs') if n.startswith('.'))"), [])
    writer.do("f = os.open('/goosefs/f', os.O_RDWR); os.pwrite(f, b'XYZ', 2); os.unlink('/goosefs/f'); os.close(f)")
    expect("unlinked while written", reader.read("/goosefs/f"), None)
    writer.do("f = open('/goosefs/a', 'w'); f.write('moved'); f.flush(); os.rename('/goosefs/a', '/goosefs/b')")
    expect("renamed while written", reader.read("/goosefs/b"), None)
    writer.do("f.close()")
    expect("... and closed", (reader.read("/goosefs/a"), reader.read("/goosefs/b")), (None, "moved"))
    reader.end()
    expect("writer", writer.end()[0], 0)


def test_attributes(server):
    """They need nobody who writes: a file that is open to be written, and is not, has them as well."""
    writer, reader = Session(server), Session(server)
    mode = lambda path: reader.do("result = os.stat(%r).st_mode & 0o777" % path)
    for n, change in enumerate(("", "os.write(f, b'more');", "os.ftruncate(f, 0);")):
        path = "/goosefs/modes%d" % n
        writer.do("os.close(os.open(%r, os.O_WRONLY | os.O_CREAT, 0o600)); f = os.open(%r, os.O_WRONLY); os.chmod(%r, 0o644);" % (path, path, path) + change)
        writer.do("os.close(f)")
        expect("mode of a file opened for writing" + (change and ", and written"), mode(path), 0o644)
    writer.do("f = os.open('/goosefs/modes', os.O_WRONLY | os.O_CREAT, 0o600); os.chmod('/goosefs/modes', 0o640); os.close(f)")
    expect("mode of a new file", mode("/goosefs/modes"), 0o640)
    writer.do("f = os.open('/goosefs/modes', os.O_WRONLY | os.O_APPEND); os.fchmod(f, 0o604)")
    reader.end()
    expect("writer", writer.end()[0], 0)
    reader = Session(server)
    expect("mode after the end", mode("/goosefs/modes"), 0o604)
    reader.end()


def test_fsync(server):
    writer, reader = Session(server), Session(server)
    writer.do(WRITE % "/goosefs/synced" + "os.fsync(f)")
    expect("fsync publishes", reader.read("/goosefs/synced"), "text")
    writer.do("os.write(f, b' and')")
    expect("... what was written so far", reader.read("/goosefs/synced"), "text")
    writer.do("os.fdatasync(f)")
    expect("fdatasync too", reader.read("/goosefs/synced"), "text and")
    writer.do("m = mmap.mmap(f, 4); m[0:4] = b'TEXT'; m.flush(); m[0:4] = b'none'")
    expect("msync", reader.read("/goosefs/synced"), "TEXT and")
    writer.do("m[0:4] = b'text'; m.close()")
    writer.do("""
cb = (ctypes.c_char * 512)(); ctypes.cast(cb, ctypes.POINTER(ctypes.c_int))[0] = f
os.pwrite(f, b"Text", 0)
libc.aio_fsync(os.O_SYNC, cb)""")
    expect("aio_fsync", reader.read("/goosefs/synced"), "Text and")
    writer.do("while libc.aio_error(cb): pass")
    writer.do("os.write(f, b' more'); os.close(f)")
    expect("... and close the rest", reader.read("/goosefs/synced"), "Text and more")
    writer.do(WRITE.replace("text", "other") % "/goosefs/synced" + "r = os.open('/goosefs/synced', os.O_RDONLY); os.fsync(r)")
    expect("by who reads it", reader.read("/goosefs/synced"), "other")
    writer.do("os.close(f); f = os.open('/goosefs/synced', os.O_RDWR); os.pwrite(f, b'O', 0); os.fsync(r)")
    expect("... and read it before", reader.read("/goosefs/synced"), "Other")
    writer.do("os.close(f); os.close(r)")
    writer.do("g = [os.open('/goosefs/all%d' % i, os.O_RDWR | os.O_CREAT, 0o644) for i in range(3)]; [os.write(f, b'all') for f in g]; "
              "d = os.open('/goosefs', os.O_RDONLY); os.fsync(d); os.fdatasync(d)")
    expect("a directory's is about its names", [reader.read("/goosefs/all%d" % i) for i in range(3)], [None] * 3)
    writer.do("result = libc.syncfs(d)")
    expect("syncfs publishes all", [reader.read("/goosefs/all%d" % i) for i in range(3)], ["all"] * 3)
    writer.do("[os.close(f) for f in g + [d]]")
    writer.do(WRITE % "/goosefs/synced" + "os.fsync(f); os.pwrite(f, b'T', 0); os.fsync(f); os.ftruncate(f, 2); os.close(f)")
    expect("again, over what is there", reader.read("/goosefs/synced"), "Te")
    expect("writer", writer.end()[0], 0)
    writer = Session(server, SLIPSTREAM_FSYNC="session")
    writer.do(WRITE % "/goosefs/kept" + "os.fsync(f)")
    expect("fsync within the session", reader.read("/goosefs/kept"), None)
    writer.do("os.close(f)")
    expect("... published at close", reader.read("/goosefs/kept"), "text")
    expect("writer", writer.end()[0], 0)
    reader.end()


def test_run_waits(server):
    reader = Session(server)
    for n, script in enumerate(["echo text > /goosefs/run0", "exec 3>/goosefs/run1; echo text >&3; kill -9 $$", "(exec 3>/goosefs/run2; echo text >&3; kill -9 $BASHPID) & wait",
                                "exec 3>/goosefs/run3; echo text >&3; exec 3>&- 4>/goosefs/other; exec true"]):
        subprocess.run([SLIPSTREAM, "run", "--mount", server.mount, "--", "bash", "-c", script], stderr=subprocess.DEVNULL)
        expect(script, reader.read("/goosefs/run%d" % n), "text\n")
    reader.end()


def on_its_way(server):
    """The largest block that is being received, in MiB."""
    sizes = [0]
    for directory, _, names in os.walk(os.path.join(server.root, "blocks")):
        if os.path.basename(directory) == "tmp":
            sizes += [os.path.getsize(os.path.join(directory, name)) for name in names]
    return max(sizes) >> 20


def test_sent_while_written(server):
    """What is long is on its way before it is closed; a server that dies meanwhile, or a writer that goes back, costs nothing but that."""
    for kind in "must_cache", "cache_through":
        sent_while_written(server, kind)


def sent_while_written(server, kind):
    writer, reader = Session(server, SLIPSTREAM_WRITE_TYPE=kind), Session(server)
    for what in "in sequence", "going back", "server killed":
        path = "/goosefs/%s, %s" % (what, kind)
        writer.do("f = os.open(%r, os.O_WRONLY | os.O_CREAT | os.O_TRUNC); data = os.urandom(20 << 20); os.write(f, data[:12 << 20])" % path)
        eventually(what + ": is sent", lambda: on_its_way(server) >= 4, True)
        expect(what + ": is not there yet", reader.read(path), None)
        if what == "going back":
            writer.do("data = b'head' + data[4:]; os.pwrite(f, data[:4], 0)")
        if what == "server killed":
            server.kill()
            server.start()
        writer.do("os.pwrite(f, data[12 << 20:], 12 << 20); os.close(f)")
        wanted = writer.do("import hashlib; result = hashlib.sha256(data).hexdigest()")
        expect(what, reader.do("import hashlib; result = hashlib.sha256(open(%r, 'rb').read()).hexdigest()" % path), wanted)
    expect("no other name", reader.do("result = sorted(n for n in os.listdir('/goosefs') if n.startswith('.'))"), [])
    reader.end()
    expect("writer", writer.end()[0], 0)


# ---- what cannot be published ----

def test_failures(server):
    """close() has the real errno; what was written is kept, and told at the end; unless it is published after all."""
    impatient = dict(SLIPSTREAM_CONNECT_TIMEOUT="2s", SLIPSTREAM_RPC_TIMEOUT="4s")
    writer, healed, quiet = (Session(server, **impatient) for _ in range(3))
    for session, name in (writer, "lost"), (healed, "healed"), (quiet, "quiet"):
        session.do(WRITE % ("/goosefs/" + name))
    writer.do("g = os.open('/goosefs/old', os.O_WRONLY | os.O_CREAT); os.write(g, b'old'); os.close(g); g = os.open('/goosefs/old', os.O_WRONLY | os.O_TRUNC); os.write(g, b'new')")
    server.kill()
    began = time.time()
    for code in "os.close(f)", "os.close(g)", "h = os.open('/goosefs/none', os.O_WRONLY | os.O_CREAT)", "os.stat('/goosefs/nowhere')":
        expect(code, writer.errno_of(code) in (errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EIO, errno.ECONNREFUSED), True)
    expect("the content, in the session", writer.read("/goosefs/lost"), "text")
    expect("close of the one", healed.errno_of("os.close(f)") != 0, True)
    quiet.do("pid = os.fork()\nif pid == 0: os.kill(os.getpid(), 9)\nos.waitpid(pid, 0)")
    expect("in time", time.time() - began < 60, True)
    status, errors = writer.end()
    expect("status", status, 125)
    expect("the lost are named", "/goosefs/lost" in errors and "/goosefs/old" in errors, True)
    server.start()
    expect("written once more", healed.errno_of("f = os.open('/goosefs/healed', os.O_WRONLY | os.O_APPEND); os.write(f, b'!'); os.close(f)"), 0)
    expect("published at the end", quiet.end(), (0, ""))
    status, errors = healed.end()
    expect("status of the healed", (status, "not published" in errors), (0, False))
    reader = Session(server)
    expect("healed", reader.read("/goosefs/healed"), "text!")
    expect("quiet", reader.read("/goosefs/quiet"), "text")
    expect("a replacement that failed leaves the old", reader.read("/goosefs/old"), "old")
    reader.end()


def test_keeper_killed(server):
    """A file that was closed while nobody looked, a reader by range, a lock: a new keeper goes on with them."""
    writer, reader = Session(server, SLIPSTREAM_SHORT_CIRCUIT="false"), Session(server)
    reader.do("open('/goosefs/big', 'wb').write(bytes(range(256)) * 20000)")
    writer.do(WRITE % "/goosefs/unseen" + "r = os.open('/goosefs/big', os.O_RDONLY); os.lseek(r, 4000000, 0); os.read(r, 10)")
    writer.do(WRITE.replace("f =", "h =").replace("os.write(f", "os.write(h") % "/goosefs/held")
    keeper = writer.keeper()
    os.kill(keeper, signal.SIGSTOP)
    writer.do("p = subprocess.Popen(['sh', '-c', 'read x'], pass_fds=[f], stdin=subprocess.PIPE)")
    os.kill(keeper, signal.SIGKILL)
    writer.do("os.close(f); p.kill(); p.wait()")
    eventually("closed while there was no keeper", lambda: reader.read("/goosefs/unseen"), "text")
    expect("range reader goes on", writer.do("result = os.read(r, 4).hex() + os.pread(r, 2, 256).hex()"), "0a0b0c0d0001")
    writer.do("os.write(h, b' more'); os.close(h)")
    expect("writer goes on", reader.read("/goosefs/held"), "text more")
    reader.end()
    expect("writer", writer.end()[0], 0)


the_server = Server(os.path.join(HOME, "root"))
try:
    run_tests(globals(), the_server)
finally:
    the_server.kill(signal.SIGTERM)
