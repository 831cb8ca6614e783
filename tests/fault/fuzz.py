"""What programs do to files, drawn by dice and played in one directory; a line says what came of each.

    fuzz.py OPERATIONS DIRECTORY

OPERATIONS is a file of operations, as draw() made them: [who, name, arguments] on a line. Two processes play, the second forked by
the first, so that each has descriptors, mappings, locks and a working directory of its own, or inherited ones. Nothing here
mentions Slipstream: the lines of a run on the kernel and of one on us must be the same.

What differs by design (README.md, docs/design.md) is not drawn, or not shown; "by design" marks the places.
"""
import ctypes
import errno
import fcntl
import hashlib
import json
import mmap
import os
import random
import resource
import signal
import socket
import stat
import subprocess
import sys
import time

FILE_MAX = 12 << 20
USER = 65534

# ---- dice -----------------------------------------------------------------------------------------------------------------


def one_of(*values):
    return lambda dice, kind: dice.choice(values)


def up_to(*ends):
    return lambda dice, kind: dice.randrange(dice.choice(ends))


def salt(dice, kind):
    return dice.randrange(1 << 32)


def path(dice, kind):
    """A name, from the root ("/a"), from where one is ("a"), or from a directory that is open ("3:a")."""
    return dice.choice(["", "", "/", "/", "%d:" % slot(dice, kind)]) + kind.name(dice)


def moved(dice, kind):
    """Of two mistakes, where one is a dot, the other may be told."""
    name = path(dice, kind)
    return name[:-2] if name.endswith("/.") else name


def rooted(dice, kind):
    return dice.choice(["", "/"]) + kind.name(dice)


def target(dice, kind):
    return dice.choice(kind.targets)


def mode(dice, kind):
    """By design, a directory that was removed, or is named by its dot, is not asked whether one may search it: root may."""
    return dice.choice(kind.modes) | (0o100 if os.geteuid() else 0)


def flags_for_open(dice, kind):
    flags = dice.choice([os.O_RDONLY, os.O_RDONLY, os.O_RDWR, os.O_RDWR, os.O_WRONLY])
    flags |= dice.choice([0, 0, os.O_CREAT, os.O_CREAT | os.O_TRUNC, os.O_CREAT | os.O_EXCL, os.O_CREAT | os.O_APPEND, os.O_APPEND])
    return flags | dice.choice([0] * 20 + [os.O_NOFOLLOW] + [os.O_DIRECTORY] * (not flags & os.O_CREAT))  # both: kernels differ


slot = one_of(0, 0, 0, 1, 1, 2)  # of the descriptors, directories, mappings, streams that a process has
size = one_of(1, 10, 100, 4096, 5000, 70000, 70001, 1 << 20, 3 << 20)
offset = up_to(1, 2, 5000, 1 << 20, FILE_MAX)
whence = one_of(os.SEEK_SET, os.SEEK_CUR, os.SEEK_END)
time_ns = one_of(1000, 2000000000000)


class Kind:
    """A kind of life: what its files are called and which modes they get; and how often it does what, beside an operation's own weight."""

    TARGETS = ["a", "b", "a/b", "nothing", "link", ".", "a/", "a/b/c"]

    def __init__(self, components, depth, modes, odd=("/", "/."), targets=TARGETS + ["..", "../a"], **weights):
        self.components, self.depth, self.modes, self.odd, self.targets, self.weights = components, depth, modes, odd, targets, weights

    def name(self, dice):
        name = "/".join(dice.choice(self.components) for _ in range(dice.choice(self.depth)))
        return dice.choice([name] * 30 + [name + odd for odd in self.odd] + ["./" + name, name.replace("/", "//")])


KINDS = {
    "contents": Kind("fghde", [1, 1, 1, 2], [0o644, 0o600, 0o755], names=0.25, directories=0.25, others=0),
    "names": Kind(["a", "b", "c", "link"], [1, 1, 2, 2, 3], [0o644, 0o755], contents=0.25, streams=0.1, mappings=0.1, locks=0.2, others=0),
    # By design, the session is closed to another user's programs, and he enters no directory. No link goes up: whether he may search the directory
    # above is asked on us alone, where every name begins at the mount.
    "others": Kind("abc", [1, 2, 2], [0, 0o400, 0o500, 0o300, 0o700, 0o755, 0o644, 0o200, 0o100, 0o777, 0o1777], odd=["/"], targets=Kind.TARGETS,
                   contents=0.2, streams=0.1, mappings=0, locks=0, programs=0, directories=0),
}

OPERATIONS = {}


def operation(of, weight, **arguments):
    def add(function):
        OPERATIONS[function.__name__] = (of, weight, arguments, function)
        return function
    return add


def on_fd(of, weight, name, call, **arguments):
    """On a descriptor."""
    OPERATIONS[name] = (of, weight, dict(f=slot, **arguments), lambda player, f, **more: call(player.fds[f], *more.values()))


def on_name(of, weight, name, call, **arguments):
    """On a name, and the descriptor of the directory that it begins at."""
    OPERATIONS[name] = (of, weight, dict(name=path, **arguments), lambda player, name, **more: call(*player.at(name), *more.values()))


def draw(dice, name, count, without=()):
    """A list of operations of this kind of life; without: those that are not to be drawn."""
    kind = KINDS[name]
    names = [n for n in OPERATIONS if n not in without]
    weights = [OPERATIONS[n][1] * kind.weights.get(OPERATIONS[n][0], 1) for n in names]
    drawn = [[0, "fork", {"how": "exit"}]]
    for n in dice.choices(names, weights, k=count):
        arguments = {key: roll(dice, kind) for key, roll in OPERATIONS[n][2].items()}
        drawn.append([0 if n == "fork" else dice.choice([0, 0, 0, 1]), n, arguments])
    return drawn


# ---- players ----------------------------------------------------------------------------------------------------------------

libc = ctypes.CDLL(None, use_errno=True)
for returns_pointer in "mmap", "fopen64", "freopen64", "fdopen":
    getattr(libc, returns_pointer).restype = ctypes.c_void_p
for returns_long in "fread", "fwrite", "ftello64", "read", "write":
    getattr(libc, returns_long).restype = ctypes.c_long


class Nothing(Exception):
    """There is nothing in this slot."""


class Slots(dict):
    def __missing__(self, key):
        raise Nothing


class Player:
    def __init__(self, root):
        self.root = root
        self.fds, self.directories, self.maps, self.streams = Slots(), Slots(), Slots(), Slots()
        self.shared = set()  # slots of descriptions that another process may have
        self.pipe = os.pipe()

    def at(self, name):
        """A path, and the descriptor of the directory that it begins at."""
        if name[0].isdigit():
            as_ourselves()  # by design, another user is asked about every directory from the mount on
            return name[2:], self.directories[int(name[0])]
        return self.path(name), None

    def path(self, name):
        return self.root + name if name[0] == "/" else name

    def below(self, path):
        return path[len(self.root):] if path.startswith(self.root) else "elsewhere"

    def put(self, f, fd, copy_of=None):
        if f in self.fds:
            os.close(self.fds[f])
        self.fds[f] = fd
        (self.shared.add if copy_of in self.shared else self.shared.discard)(f)

    def fd(self, f):
        """For what wants the kernel's file. By design, a reader's is another description from then on, and no longer one with another process."""
        if f in self.shared and fcntl.fcntl(self.fds[f], fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise Nothing
        return self.fds[f]


def as_ourselves():
    """By design, a process that begins as another user is shut out."""
    if os.geteuid() != os.getuid():
        raise Nothing


def checked(value):
    """As os does it: what libc calls a failure is an OSError."""
    if value in (-1, None):
        raise OSError(ctypes.get_errno(), "")
    return value


def data(seed, n):
    return random.Random(seed).randbytes(n)


def shown(value):
    if isinstance(value, bytes) and len(value) > 32:
        return "%d bytes, %s" % (len(value), hashlib.md5(value).hexdigest()[:12])
    if isinstance(value, (list, tuple)):
        return "(%s)" % ", ".join(map(shown, value))
    return repr(value)


def play(player, name, arguments):
    try:
        return shown(OPERATIONS[name][3](player, **arguments)).replace(player.root, "")
    except Nothing:
        return "nothing there"
    except OSError as e:
        return errno.errorcode.get(e.errno, repr(e))


# ---- descriptors ----------------------------------------------------------------------------------------------------------------

@operation("contents", 18, f=slot, name=path, flags=flags_for_open, m=mode)
def open_(player, f, name, flags, m):
    name, at = player.at(name)
    fd = os.open(name, flags, m, dir_fd=at)
    player.put(f, fd)
    return fd


@operation("contents", 1, f=slot, name=path, flags=one_of(os.O_RDWR, os.O_WRONLY))
def open_unnamed(player, f, name, flags):
    name, at = player.at(name)
    player.put(f, os.open(name, os.O_TMPFILE | flags, 0o600, dir_fd=at))


@operation("contents", 2, f=slot, g=slot, flags=flags_for_open)
def open_by_number(player, f, g, flags):
    if stat.S_ISDIR(os.fstat(player.fds[f]).st_mode):
        raise Nothing  # by design, one that was removed is not found again
    player.put(g, os.open("/proc/self/fd/%d" % player.fds[f], flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)))


@operation("contents", 3, f=slot)
def close(player, f):
    os.close(player.fds.pop(f) if f in player.fds else player.fds[f])


@operation("contents", 2, f=slot, g=slot)
def dup(player, f, g):
    player.put(g, os.dup(player.fds[f]), f)


@operation("contents", 2, f=slot, g=slot)
def dup2(player, f, g):
    (player.shared.add if f in player.shared else player.shared.discard)(g)
    return os.dup2(player.fds[f], player.fds[g])


def get_flags(fd):
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    return flags & os.O_ACCMODE, flags & os.O_ACCMODE and flags & os.O_APPEND  # to who only reads it is nothing


def set_append(fd, on):
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_APPEND if on else flags & ~os.O_APPEND)


on_fd("contents", 1, "get_flags", get_flags)
on_fd("contents", 1, "set_append", set_append, on=one_of(True, False))

# ---- bytes ------------------------------------------------------------------------------------------------------------------


def grow(fd, pieces, seed):
    """Enough in sequence to be sent while it is written."""
    return [os.write(fd, data(seed + i, 1 << 20)) for i in range(pieces)]


def scatter(read, *sizes):
    buffers = [bytearray(n) for n in sizes]
    return read(buffers), [bytes(b) for b in buffers]


def extents(fd, end):
    """What is said to be data, as (begin, end)."""
    off = 0
    while off < end:
        try:
            begin = os.lseek(fd, off, os.SEEK_DATA)
        except OSError as e:
            if e.errno != errno.ENXIO:
                raise
            return
        off = os.lseek(fd, begin, os.SEEK_HOLE)
        yield begin, off


def read_extents(fd):
    """As cp --sparse does: what is in holes is zero. By design, how many there are is the file system's to say."""
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
        raise Nothing
    whole, at, end, was = hashlib.md5(), 0, os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_CUR)
    try:
        for begin, hole in extents(fd, end):
            whole.update(bytes(begin - at) + os.pread(fd, hole - begin, begin))
            at = hole
    finally:
        os.lseek(fd, was, os.SEEK_SET)
    whole.update(bytes(end - at))
    return end, was, whole.hexdigest()[:12]


FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE = 1, 2

on_fd("contents", 8, "write", lambda fd, n, seed: os.write(fd, data(seed, n)), n=size, seed=salt)
on_fd("contents", 5, "pwrite", lambda fd, n, off, seed: os.pwrite(fd, data(seed, n), off), n=size, off=offset, seed=salt)
on_fd("contents", 1, "pwritev", lambda fd, n, off, seed, flags: os.pwritev(fd, [data(seed, n), b"", b"and more"], off, flags),
      n=size, off=offset, seed=salt, flags=one_of(0, 0, os.RWF_DSYNC, os.RWF_APPEND))
on_fd("contents", 3, "grow", grow, pieces=up_to(12), seed=salt)
on_fd("contents", 6, "read", os.read, n=size)
on_fd("contents", 6, "pread", os.pread, n=size, off=offset)
on_fd("contents", 2, "readv", lambda fd, n: scatter(lambda buffers: os.readv(fd, buffers), 3, n), n=size)
on_fd("contents", 2, "preadv", lambda fd, n, off: scatter(lambda buffers: os.preadv(fd, buffers, off), n, 3, 5000), n=size, off=offset)
on_fd("contents", 5, "lseek", os.lseek, off=one_of(0, 0, 1, -1, -1000, 4096, 100000, 5 << 20), whence=whence)
on_fd("contents", 2, "read_extents", read_extents)
on_fd("contents", 1, "seek_beyond", lambda fd, off, whence: os.lseek(fd, off if off < 0 else off + os.fstat(fd).st_size, whence),
      off=one_of(-1, 0, FILE_MAX), whence=one_of(os.SEEK_DATA, os.SEEK_HOLE))
on_fd("contents", 3, "ftruncate", os.ftruncate, n=offset)
on_fd("contents", 2, "fallocate", lambda fd, how, off, n: checked(libc.fallocate(fd, how, ctypes.c_long(off), ctypes.c_long(n))),
      how=one_of(0, FALLOC_KEEP_SIZE, FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE), off=offset, n=offset)
on_fd("contents", 1, "posix_fallocate", os.posix_fallocate, off=offset, n=offset)
on_fd("contents", 1, "sync", lambda fd, how: getattr(os, how)(fd), how=one_of("fsync", "fdatasync"))
on_fd("contents", 1, "fadvise", lambda fd, advice: os.posix_fadvise(fd, 0, 0, advice),
      advice=one_of(os.POSIX_FADV_DONTNEED, os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_WILLNEED))


@operation("contents", 2, name=rooted, n=offset)
def truncate(player, name, n):
    if os.stat(player.path(name)).st_size == n:
        raise Nothing  # file systems differ in whether that is a change
    os.truncate(player.path(name), n)


# Between two files of which one is where it is, or told where: how much a call moves is the kernel's, so up to what it said.

@operation("contents", 2, f=slot, g=slot, n=size, off=one_of(None, 0, 1000))
def sendfile(player, f, g, n, off):
    return os.sendfile(player.fds[g], player.fd(f), off, n)


@operation("contents", 2, f=slot, g=slot, n=size, src=one_of(None, 0, 1000), dst=one_of(None, 0, 200000))
def copy_file_range(player, f, g, n, src, dst):
    return os.copy_file_range(player.fd(f), player.fds[g], n, src, dst)


@operation("contents", 1, f=slot, n=one_of(1, 4096, 10000))
def splice(player, f, n):
    """As tee(1) and cat do, through a pipe."""
    moved = os.splice(player.fd(f), player.pipe[1], n)
    return moved, os.read(player.pipe[0], moved) if moved else b""


@operation("contents", 1, f=slot, n=one_of(1, 4096, 10000), seed=salt)
def splice_into(player, f, n, seed):
    fd, left = player.fds[f], n
    os.write(player.pipe[1], data(seed, n))
    try:
        moved = os.splice(player.pipe[0], fd, n)
        left -= moved
        return moved
    finally:
        if left:
            os.read(player.pipe[0], left)


# ---- mappings ----------------------------------------------------------------------------------------------------------------
# Looked at and written to through a pipe: where nothing is, the kernel says EFAULT and sends no signal.

@operation("mappings", 8, f=slot, i=slot, prot=one_of(1, 3), kind=one_of(mmap.MAP_SHARED, mmap.MAP_SHARED, mmap.MAP_PRIVATE), first=one_of(0, 0, 1, 20))
def map_(player, f, i, prot, kind, first):
    n = os.fstat(player.fds[f]).st_size
    if i in player.maps:
        unmap(player, i)
    player.maps[i] = checked(libc.mmap(None, ctypes.c_ulong(n), prot, kind, player.fd(f), ctypes.c_long(first * mmap.PAGESIZE))), n


@operation("mappings", 1, i=slot)
def unmap(player, i):
    address, n = player.maps[i]
    del player.maps[i]
    checked(libc.munmap(ctypes.c_void_p(address), ctypes.c_ulong(n)))


def place(player, i, off):
    address, n = player.maps[i]
    if not n:
        raise Nothing
    return ctypes.c_void_p(address + off % n & ~63)


@operation("mappings", 6, i=slot, off=offset)
def peek(player, i, off):
    n = checked(libc.write(player.pipe[1], place(player, i, off), ctypes.c_ulong(64)))
    return os.read(player.pipe[0], n)


@operation("mappings", 5, i=slot, off=offset, seed=salt)
def poke(player, i, off, seed):
    where = place(player, i, off)
    os.write(player.pipe[1], data(seed, 64))
    try:
        return checked(libc.read(player.pipe[0], where, ctypes.c_ulong(64)))
    except OSError:
        os.read(player.pipe[0], 64)
        raise


@operation("mappings", 1, i=slot)
def msync(player, i):
    address, n = player.maps[i]
    checked(libc.msync(ctypes.c_void_p(address), ctypes.c_ulong(n), 4))


# ---- streams -------------------------------------------------------------------------------------------------------------------
# Their buffers are of one size: what is read ahead is old when somebody else writes, and how much is the library's own affair.

class Stream:
    buffers = []  # for good: after freopen() a stream may have its old one

    def __init__(self, pointer):
        self.pointer, self.direction = ctypes.c_void_p(checked(pointer)), None
        self.buffers.append(ctypes.create_string_buffer(4096))
        libc.setvbuf(self.pointer, self.buffers[-1], 0, ctypes.c_ulong(4096))

    def turned(self, direction):
        """Who changes direction seeks in between, as the standard says."""
        if self.direction != direction:
            libc.fseeko64(self.pointer, ctypes.c_long(0), os.SEEK_CUR)
        self.direction = direction
        return self.pointer

    def said(self, value):
        """What an error or the end of the file does later is not looked at."""
        libc.clearerr(self.pointer)
        return value


def stream_put(player, s, stream):
    if s in player.streams:
        fclose(player, s)
    player.streams[s] = stream


def on_stream(weight, name, call, **arguments):
    OPERATIONS[name] = ("streams", weight, dict(s=slot, **arguments), lambda player, s, **more: call(player.streams[s], *more.values()))


@operation("streams", 8, s=slot, name=rooted, how=one_of("r", "r+", "w", "w+", "a", "a+", "wx", "re"))
def fopen(player, s, name, how):
    stream_put(player, s, Stream(libc.fopen64(player.path(name).encode(), how.encode())))


@operation("streams", 2, s=slot, f=slot, how=one_of("r", "r+", "w", "a", "a+"))
def fdopen(player, s, f, how):
    fd = os.dup(player.fd(f))
    try:
        stream_put(player, s, Stream(libc.fdopen(fd, how.encode())))
    except OSError:
        os.close(fd)
        raise


@operation("streams", 1, s=slot, name=one_of(None, "/g", "h"), how=one_of("r", "r+", "w", "a", "a+"))
def freopen(player, s, name, how):
    this = player.streams[s]
    del player.streams[s]
    stream_put(player, s, Stream(libc.freopen64(name and player.path(name).encode(), how.encode(), this.pointer)))


@operation("streams", 1, s=slot)
def fclose(player, s):
    this = player.streams[s]
    del player.streams[s]
    checked(libc.fclose(this.pointer))


def fread(stream, n):
    buffer = ctypes.create_string_buffer(n)
    return stream.said(buffer.raw[:libc.fread(buffer, ctypes.c_ulong(1), ctypes.c_ulong(n), stream.turned("in"))])


def fwrite(stream, n, seed):
    return stream.said(libc.fwrite(data(seed, n), ctypes.c_ulong(1), ctypes.c_ulong(n), stream.turned("out")))


def fseek(stream, off, whence):
    stream.direction = None
    checked(libc.fseeko64(stream.pointer, ctypes.c_long(off), whence))


def fflush(stream):
    stream.direction = None
    checked(libc.fflush(stream.pointer))


piece = one_of(1, 100, 4095, 5000, 100000)
on_stream(4, "fwrite", fwrite, n=piece, seed=salt)
on_stream(4, "fread", fread, n=piece)
on_stream(1, "getc", lambda stream: stream.said(libc.getc(stream.turned("in"))))
on_stream(2, "fseek", fseek, off=one_of(0, 0, -10, 5000), whence=whence)
on_stream(2, "ftell", lambda stream: checked(libc.ftello64(stream.pointer)))
on_stream(2, "fflush", fflush)

# ---- attributes -----------------------------------------------------------------------------------------------------------------


def time_of(st):
    """When it was changed, if that was set; of what the clock says only that it is not to come."""
    if st.st_mtime_ns < 10 ** 15:
        return st.st_mtime_ns
    return "now" if st.st_mtime_ns <= time.time_ns() + 10 ** 7 and st.st_mtime_ns <= st.st_ctime_ns + 10 ** 7 else "later"


def attributes(st):
    """By design, how many links and bytes a directory has is not shown; and where a link leads may be told by the whole of a path."""
    is_file = stat.S_ISREG(st.st_mode)
    return (oct(st.st_mode), st.st_uid) + ((st.st_size, st.st_nlink, time_of(st)) if is_file else ())


on_name("contents", 5, "stat", lambda name, at, follow: attributes(os.stat(name, dir_fd=at, follow_symlinks=follow)), follow=one_of(True, True, False))
on_fd("contents", 4, "fstat", lambda fd: attributes(os.fstat(fd)))
on_name("names", 3, "chmod", lambda name, at, m: os.chmod(name, m, dir_fd=at), m=mode)
on_fd("contents", 1, "fchmod", os.fchmod, m=mode)
on_name("contents", 2, "utime", lambda name, at, ns, follow: os.utime(name, ns=(ns, ns), dir_fd=at, follow_symlinks=follow),
        ns=time_ns, follow=one_of(True, True, False))
on_fd("contents", 1, "futime", lambda fd, ns: os.utime(fd, ns=(ns, ns)), ns=time_ns)
on_name("names", 3, "access", lambda name, at: [os.access(name, m, dir_fd=at, effective_ids=True) for m in (os.F_OK, os.R_OK, os.W_OK, os.X_OK)])


@operation("contents", 3, f=slot, name=path)
def same_file(player, f, name):
    name, at = player.at(name)
    return os.path.samestat(os.stat(name, dir_fd=at), os.fstat(player.fds[f]))


@operation("contents", 2, f=slot)
def name_of(player, f):
    name = os.readlink("/proc/self/fd/%d" % player.fds[f])
    return "deleted" if name.endswith(" (deleted)") else player.below(name)  # by design, what never had a name has its directory's


# ---- names ----------------------------------------------------------------------------------------------------------------------

on_name("names", 8, "mkdir", lambda name, at, m: os.mkdir(name, m, dir_fd=at), m=mode)
on_name("names", 3, "rmdir", lambda name, at: os.rmdir(name, dir_fd=at))
on_name("names", 4, "unlink", lambda name, at: os.unlink(name, dir_fd=at))
on_name("names", 4, "symlink", lambda name, at, text: os.symlink(text, name, dir_fd=at), text=target)
on_name("names", 2, "readlink", lambda name, at: os.readlink(name, dir_fd=at))
on_name("names", 3, "touch", lambda name, at, m: os.close(os.open(name, os.O_CREAT | os.O_WRONLY, m, dir_fd=at)), m=mode)


def gone(player, name):
    """By design, from a directory that was removed to one that is there is from one file system to another (EXDEV)."""
    if name[0] == "/":
        return False
    base = "/proc/self/fd/%d" % player.directories[int(name[0])] if name[0].isdigit() else "/proc/self/cwd"
    return os.readlink(base).endswith(" (deleted)")


RENAME_NOREPLACE, AT_FDCWD = 1, -100


@operation("names", 10, name=moved, to=moved, how=one_of(0, 0, 0, 0, RENAME_NOREPLACE))
def rename(player, name, to, how):
    if gone(player, name) or gone(player, to):
        raise Nothing
    (name, at), (to, at2) = player.at(name), player.at(to)
    if how:
        checked(libc.renameat2(AT_FDCWD if at is None else at, name.encode(), AT_FDCWD if at2 is None else at2, to.encode(), how))
    else:
        os.rename(name, to, src_dir_fd=at, dst_dir_fd=at2)


@operation("names", 4, name=rooted)
def listdir(player, name):
    return sorted(os.listdir(player.path(name)))


@operation("names", 2, name=rooted)
def scandir(player, name):
    with os.scandir(player.path(name)) as entries:
        return sorted((e.name, e.is_dir(), e.is_symlink(), e.is_file(follow_symlinks=False)) for e in entries)


@operation("names", 2, name=rooted)
def realpath(player, name):
    return player.below(os.path.realpath(player.path(name)))


@operation("names", 4, d=slot, name=rooted)
def open_directory(player, d, name):
    fd = os.open(player.path(name), os.O_RDONLY | os.O_DIRECTORY)
    if d in player.directories:
        os.close(player.directories[d])
    player.directories[d] = fd


@operation("names", 3, d=slot)
def list_directory(player, d):
    return sorted(os.listdir(player.directories[d])), oct(os.fstat(player.directories[d]).st_mode)


@operation("directories", 1)
def getcwd(player):
    return player.below(os.getcwd())


@operation("directories", 2, name=rooted)
def chdir(player, name):
    os.chdir(player.path(name))
    return getcwd(player)


@operation("directories", 1, d=slot)
def fchdir(player, d):
    os.fchdir(player.directories[d])
    return getcwd(player)


@operation("directories", 4)
def back(player):
    os.chdir(player.root)


@operation("names", 1, mask=one_of(0o22, 0o77, 0))
def umask(player, mask):
    return os.umask(mask)


def content(at, st):
    """Of what lies in a directory."""
    if not stat.S_ISREG(st.st_mode):
        return os.readlink(at)
    try:
        with open(at, "rb") as f:
            return st.st_uid, st.st_size, f.read()
    except PermissionError:
        return st.st_uid, st.st_size, "closed to us"


@operation("contents", 1)
def tree(player):
    """Everything there is. By design, times are not shown: they are the session's."""
    found = []
    for directory, _, names in os.walk(player.root):
        found.append((player.below(directory), oct(os.stat(directory).st_mode)))
        for at in [os.path.join(directory, name) for name in names]:
            st = os.lstat(at)
            found.append((player.below(at), oct(st.st_mode), content(at, st)))
    return sorted(found, key=lambda entry: entry[0])


# ---- locks ----------------------------------------------------------------------------------------------------------------------

lock = one_of(fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN)


@operation("locks", 2, f=slot, how=lock)
def flock(player, f, how):
    fcntl.flock(player.fd(f), how)


@operation("locks", 2, f=slot, how=lock, n=one_of(0, 1, 100), off=one_of(0, 50, 1000))
def lockf(player, f, how, n, off):
    fcntl.lockf(player.fd(f), how, n, off)


# ---- processes --------------------------------------------------------------------------------------------------------------------

PROGRAMS = (
    "cat '%s' >>'%s'", "cp '%s' '%s'", "cp -p '%s' '%s'", "mv '%s' '%s'", "cat <'%s' >'%s'", "sort -r '%s' -o '%s'", "cmp '%s' '%s'",
    "dd status=none conv=notrunc bs=1000 seek=7 count=5 if='%s' of='%s'", "head -c 3000 '%s' >>'%s'", "ln -s '%s' '%s'",
    "rm -rf '%s' && mkdir '%s'", "cp -d '%s' '%s'", "(read -r line; cat) <'%s' | md5sum; wc -c <'%s'", "install -m 600 '%s' '%s'",
    "exec 3<>'%s' 4>>'%s'; echo text >&3; echo more >&4", "gzip -n <'%s' | gzip -d | cmp -s - '%s'", "truncate -s +100 '%s' '%s'",
)
PROGRAMS_ON_STDIN = ("echo text >&0", "head -c 10 | wc -c", "cat >/dev/null", "truncate -s 1000 /proc/self/fd/0", "cat /proc/self/fd/0 | wc -c")


def shell(line, stdin):
    """Without our limit, under which a client in the process would live, too."""
    limit = resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    return subprocess.run(["sh", "-c", line], preexec_fn=lambda: resource.setrlimit(*limit), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@operation("programs", 2, line=one_of(*PROGRAMS), name=rooted, to=rooted)
def program(player, line, name, to):
    """Not on what is large: what programs write has no limit but that."""
    paths = player.path(name), player.path(to)
    if any(os.path.exists(p) and os.path.getsize(p) > 2 << 20 for p in paths):
        raise Nothing
    done = shell(line % paths, subprocess.DEVNULL)
    said = done.stderr.decode("utf-8", "replace").replace(player.root, "")
    return done.returncode, done.stdout.replace(player.root.encode(), b""), "".join(sorted(said)).strip()  # of a pipe's two sides in any order


@operation("programs", 1, f=slot, line=one_of(*PROGRAMS_ON_STDIN))
def program_on(player, f, line):
    """On a descriptor it inherits; the offset is shared."""
    done = shell(line, player.fd(f))
    return done.returncode, done.stdout


@operation("contents", 2, name=rooted, n=size, seed=salt, killed=one_of(True, False))
def append_in_child(player, name, n, seed, killed):
    as_ourselves()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(os.open(player.path(name), os.O_WRONLY | os.O_APPEND), data(seed, n))
            if killed:
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
    return os.waitpid(pid, 0)[1]


@operation("others", 6, uid=one_of(0, 0, USER))
def become(player, uid):
    os.seteuid(0)
    os.setegid(uid)
    os.seteuid(uid)


class Peer:
    """The second process: forked, told what to do, and it answers."""

    def __init__(self, player):
        mine, its = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            mine.close()
            self.listen(player, its.makefile("rw"))
        its.close()
        self.line = mine.makefile("rw")
        mine.close()  # it is closed with the file

    def listen(self, player, line):
        os.listdir(player.root)  # by design, another user knows the session only if he knew it before
        player.pipe = os.pipe()
        for told in iter(line.readline, ""):
            name, arguments = json.loads(told)
            line.write(play(player, name, arguments) + "\n")
            line.flush()
        os._exit(0)

    def play(self, name, arguments):
        self.line.write(json.dumps([name, arguments]) + "\n")
        self.line.flush()
        return self.line.readline().rstrip("\n") or "the second process is gone"

    def end(self, how):
        if how == "killed":
            os.kill(self.pid, signal.SIGKILL)
        self.line.close()
        return os.waitpid(self.pid, 0)[1]


the_peer = []


@operation("processes", 2, how=one_of("exit", "killed"))
def fork(player, how):
    """The second process ends, and another begins with what the first one has."""
    as_ourselves()
    status = the_peer.pop().end(how) if the_peer else 0
    player.shared.update(player.fds)
    the_peer.append(Peer(player))
    return status


def main():
    operations, root = sys.argv[1:]
    os.makedirs(root, exist_ok=True)
    os.chdir(root)
    if os.geteuid() == 0:
        os.setgroups([])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_MAX, resource.RLIM_INFINITY))
    player = Player(root)
    with open(operations) as f:
        lines = [json.loads(line) for line in f]
    for who, name, arguments in lines:
        print("%d %s(%s)" % (who, name, ", ".join("%s=%s" % item for item in arguments.items())), end=" = ", flush=True)
        print(the_peer[0].play(name, arguments) if who and the_peer else play(player, name, arguments), flush=True)
    if the_peer:
        the_peer.pop().end("exit")
    os._exit(0)


if __name__ == "__main__":
    main()
