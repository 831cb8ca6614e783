"""Random calls on the same names in two directories, an ordinary one and one of ours: both must answer the same.

    fuzz.py contents|names SEED CALLS ORDINARY OURS

contents: a few files, opened several times, written, cut, mapped, locked, renamed and removed, by this process and by children.
names: a small tree of files, directories and links, also relative to descriptors and to the working directory.
The first difference ends it, with the calls that led there. What differs by design is not called here.
"""
import errno
import fcntl
import hashlib
import mmap
import os
import random
import signal
import sys

SHOWN = 30  # calls before the difference


class Both:
    """The two directories, and what was done in them."""

    def __init__(self, seed, ordinary, ours):
        self.dice, self.seed, self.log = random.Random(seed), seed, []
        self.dirs = [os.path.join(d, *"nested") for d in (ordinary, ours)]  # links that go up stay within
        for d in self.dirs:
            os.makedirs(d, exist_ok=True)

    def __call__(self, what, call):
        """call(0) and call(1), one in each. The result of both, or None where both failed alike."""
        answers = []
        for side in (0, 1):
            try:
                answers.append(("is", call(side)))
            except OSError as e:
                answers.append(("fails", errno.errorcode.get(e.errno, e.errno)))
        shown = [(how, short(value)) for how, value in answers]
        self.log.append("%s: %s" % (" ".join(map(str, what)), shown[0]))
        if answers[0] != answers[1]:
            print("\n".join(self.log[-SHOWN - 1:]))
            print("seed %d, call %d: ordinary %s, ours %s" % (self.seed, len(self.log), *shown))
            sys.exit(1)
        return answers[0][1] if answers[0][0] == "is" else None

    def path(self, side, name):
        return os.path.join(self.dirs[side], name)

    def on_path(self, what, name, call):
        return self((what, name), lambda side: call(self.path(side, name)))


def short(value):
    text = repr(value)
    if len(text) <= 200:
        return text
    return "%d bytes, %s" % (len(value), hashlib.md5(value).hexdigest()) if isinstance(value, bytes) else text[:200]


def in_child(call):
    """Exit status or signal of a child that does it; an errno is its status."""
    pid = os.fork()
    if not pid:
        status = 255
        try:
            status = call() or 0
        except OSError as e:
            status = e.errno
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


# ---- contents ----------------------------------------------------------------------------------------------------------

NAMES = ["f%d" % i for i in range(5)]
LARGEST = 12 << 20
OPEN_MAX, MAPS_MAX = 12, 4
WAYS = (os.O_RDONLY, os.O_RDWR, os.O_WRONLY)
MORE = (0, os.O_TRUNC, os.O_CREAT, os.O_CREAT | os.O_TRUNC, os.O_CREAT | os.O_EXCL, os.O_CREAT | os.O_APPEND)


class Contents:
    def __init__(self, both):
        self.both, self.dice = both, both.dice
        self.files, self.maps = [], []  # descriptors and mappings, a pair each

    def name(self):
        return self.dice.choice(NAMES)

    def on_file(self, what, call, *about):
        """With one of the open files, if there is one: call(descriptor)."""
        if self.files:
            pair = self.dice.choice(self.files)
            self.both((what, pair) + about, lambda side: call(pair[side]))

    def size(self):
        return self.dice.choice([0, 1, 1000, self.dice.randrange(LARGEST)])

    def offset(self):
        return self.dice.choice([0, self.dice.randrange(1 << 20), self.dice.randrange(LARGEST - (3 << 20))])

    def some(self):
        return self.dice.choice([10, 5000, 3 << 20])

    def data(self):
        return self.dice.randbytes(self.dice.choice([1, 100, 5000, 70000, 1 << 20, 3 << 20]))

    def take(self, what, call):
        """Two descriptors more."""
        if len(self.files) < OPEN_MAX:
            pair = []
            if self.both(what, lambda side: (pair.append(call(side)), 0)[1]) is not None:
                self.files.append(tuple(pair))

    def open(self):
        name, flags = self.name(), self.dice.choice(WAYS) | self.dice.choice(MORE)
        self.take(("open", name, oct(flags)), lambda side: os.open(self.both.path(side, name), flags, 0o644))

    def temporary(self):
        self.take(("open O_TMPFILE",), lambda side: os.open(self.both.dirs[side], os.O_RDWR | os.O_TMPFILE, 0o600))

    def dup(self):
        if self.files:
            pair = self.dice.choice(self.files)
            self.take(("dup", pair), lambda side: os.dup(pair[side]))

    def close(self):
        if self.files:
            pair = self.files.pop(self.dice.randrange(len(self.files)))
            self.both(("close", pair), lambda side: os.close(pair[side]))

    def write(self):
        data = self.data()
        self.on_file("write", lambda fd: limited(fd, len(data)) and os.write(fd, data), len(data))

    def pwrite(self):
        data, off = self.data(), self.offset()
        self.on_file("pwrite", lambda fd: limited(fd, len(data)) and os.pwrite(fd, data, off), len(data), off)

    def pwritev(self):
        data, off = self.data(), self.offset()
        self.on_file("pwritev", lambda fd: limited(fd, 2 * len(data)) and os.pwritev(fd, [data, b"", data], off), len(data), off)

    def read(self):
        n = self.some()
        self.on_file("read", lambda fd: os.read(fd, n), n)

    def pread(self):
        n, off = self.some(), self.offset()
        self.on_file("pread", lambda fd: os.pread(fd, n, off), n, off)

    def preadv(self):
        n, off = self.some(), self.offset()

        def call(fd):
            parts = [bytearray(7), bytearray(n)]
            return os.preadv(fd, parts, off), bytes(parts[0]), hashlib.md5(parts[1]).hexdigest()
        self.on_file("preadv", call, n, off)

    def seek(self):
        off, whence = self.dice.choice([0, self.offset(), -self.dice.randrange(1000)]), self.dice.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
        self.on_file("lseek", lambda fd: os.lseek(fd, off, whence), off, whence)

    def truncate(self):
        size = self.size()
        self.on_file("ftruncate", lambda fd: os.ftruncate(fd, size), size)

    def truncate_path(self):
        name, size = self.name(), self.size()
        self.both(("truncate", name, size), lambda side: os.truncate(self.both.path(side, name), size))

    def allocate(self):
        off, n = self.offset(), self.some()
        self.on_file("posix_fallocate", lambda fd: os.posix_fallocate(fd, off, n), off, n)

    def fsync(self):
        self.on_file("fsync", os.fsync)

    def fstat(self):
        self.on_file("fstat", lambda fd: facts(os.fstat(fd)))

    def lock(self):
        how = self.dice.choice([fcntl.LOCK_SH, fcntl.LOCK_UN])
        self.on_file("flock", lambda fd: fcntl.flock(fd, how | fcntl.LOCK_NB), how)

    def copy(self, what, call):
        """From one open file to another. Not to itself, and not to one that appends, where kernels differ."""
        if len(self.files) > 1:
            a, b = self.dice.sample(self.files, 2)
            if not fcntl.fcntl(b[0], fcntl.F_GETFL) & os.O_APPEND and not os.path.sameopenfile(a[0], b[0]):
                self.both((what, a, b), lambda side: call(a[side], b[side]))

    def sendfile(self):
        off, n = self.offset(), self.dice.choice([100, 100000])
        self.copy("sendfile %d from %d" % (n, off), lambda a, b: limited(b, n) and os.sendfile(b, a, off, n))

    def copy_file_range(self):
        off, to, n = self.offset(), self.offset(), self.dice.choice([100, 100000])
        self.copy("copy_file_range %d from %d to %d" % (n, off, to), lambda a, b: os.copy_file_range(a, b, n, off, to))

    def map(self):
        if not self.files or len(self.maps) == MAPS_MAX:
            return
        pair, prot, maps = self.dice.choice(self.files), self.dice.choice([mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE]), []

        def call(side):
            size = os.fstat(pair[side]).st_size
            if size:
                maps.append(mmap.mmap(pair[side], size, mmap.MAP_SHARED, prot))
            return size
        if self.both(("mmap", pair, prot), call):
            self.maps.append(maps)

    def unmap(self):
        if self.maps:
            for m in self.maps.pop(self.dice.randrange(len(self.maps))):
                m.close()

    def rename(self):
        a, b = self.name(), self.name()
        self.both(("rename", a, b), lambda side: os.rename(self.both.path(side, a), self.both.path(side, b)))

    def unlink(self):
        self.both.on_path("unlink", self.name(), os.unlink)

    def stat(self):
        self.both.on_path("stat", self.name(), lambda path: facts(os.stat(path)))

    def chmod(self):
        mode = self.dice.choice([0o644, 0o600, 0o755])
        self.both.on_path("chmod %o" % mode, self.name(), lambda path: os.chmod(path, mode))

    def list(self):
        self.both(("list",), lambda side: sorted((e.name, e.stat().st_size) for e in os.scandir(self.both.dirs[side])))

    def append_by_stdio(self):
        data = self.data()

        def call(path):
            if os.stat(path).st_size + len(data) <= LARGEST:
                with open(path, "ab") as f:
                    return f.tell(), f.write(data)
        self.both.on_path("append %d" % len(data), self.name(), call)

    def child_writes(self):
        """To a descriptor it inherited."""
        data = self.dice.randbytes(1000)
        self.on_file("write by a child", lambda fd: in_child(lambda: os.write(fd, data) and 0), len(data))

    def child_appends(self):
        """To a descriptor of its own; sometimes it is killed before it closes that."""
        data, killed = self.dice.randbytes(self.dice.choice([10, 100000])), self.dice.random() < 0.5

        def call(path):
            fd = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.write(fd, data)
            if killed:
                os.kill(os.getpid(), signal.SIGKILL)
            os.close(fd)
        self.both.on_path("append by a child, killed %s" % killed, self.name(), lambda path: in_child(lambda: call(path)))

    def end(self):
        while self.maps:
            self.unmap()
        while self.files:
            self.close()
        self.both(("all of it",), lambda side: sorted(whole(e) for e in os.scandir(self.both.dirs[side])))


def limited(fd, more):
    """Is there room for so many bytes more?"""
    return max(os.lseek(fd, 0, os.SEEK_CUR), os.fstat(fd).st_size) + more <= LARGEST


def facts(st):
    return st.st_size, st.st_mode, st.st_nlink


def whole(entry):
    with open(entry.path, "rb") as f:
        return entry.name, facts(entry.stat()), hashlib.md5(f.read()).hexdigest()


CONTENTS = {
    "write": 5, "pwrite": 2, "pwritev": 1, "read": 2, "pread": 2, "preadv": 1, "seek": 2, "open": 4, "temporary": 0.2, "close": 3, "dup": 1,
    "truncate": 1, "truncate_path": 1, "allocate": 0.5, "fsync": 0.3, "fstat": 0.5, "lock": 0.5, "sendfile": 1, "copy_file_range": 0.5,
    "map": 2, "unmap": 1, "rename": 1, "unlink": 0.5, "stat": 1, "chmod": 0.7, "list": 1, "append_by_stdio": 0.7, "child_writes": 0.7, "child_appends": 1,
}

# ---- names -------------------------------------------------------------------------------------------------------------

COMPONENTS = ["a", "b", "c", "l"]
TARGETS = ["a", "b", "../a", "a/b", "../../b", "nothing", "l", ".", "..", "a/"]
DIRECTORIES_MAX = 4


class Names:
    def __init__(self, both):
        self.both, self.dice = both, both.dice
        self.directories = []

    def some_name(self):
        return "/".join(self.dice.choice(COMPONENTS) for _ in range(self.dice.choice([1, 1, 2, 2, 3])))

    def some_path(self):
        return self.dice.choice(["%s"] * 18 + ["./%s", "%s/."]) % self.some_name()

    def on_path(self, what, call):
        return self.both.on_path(what, self.some_path(), call)

    def on_two(self, what, call):
        a, b = self.some_name(), self.some_name()  # of two mistakes, where one is a dot, the other may be told
        self.both((what, a, b), lambda side: call(self.both.path(side, a), self.both.path(side, b)))

    def mkdir(self):
        self.on_path("mkdir", lambda path: os.mkdir(path, 0o755))

    def rmdir(self):
        self.on_path("rmdir", os.rmdir)

    def unlink(self):
        self.on_path("unlink", os.unlink)

    def rename(self):
        self.on_two("rename", os.rename)

    def symlink(self):
        target = self.dice.choice(TARGETS)
        self.on_path("symlink to %s" % target, lambda path: os.symlink(target, path))

    def open(self):
        flags = self.dice.choice([os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, os.O_RDONLY | os.O_NOFOLLOW, os.O_RDONLY | os.O_DIRECTORY])
        self.on_path("open %o" % flags, lambda path: os.close(os.open(path, flags, 0o644)))

    def write(self):
        data = b"x" * self.dice.randrange(50)

        def call(path):
            fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
            os.write(fd, data)
            os.close(fd)
        self.on_path("write %d" % len(data), call)

    def truncate(self):
        self.on_path("truncate", lambda path: os.truncate(path, 7))

    def stat(self):
        self.on_path("stat", lambda path: kind(os.stat(path)))

    def lstat(self):
        self.on_path("lstat", lambda path: kind(os.lstat(path)))

    def readlink(self):
        self.on_path("readlink", os.readlink)

    def list(self):
        self.on_path("list", lambda path: sorted((e.name, e.is_dir(), e.is_symlink()) for e in os.scandir(path)))

    def access(self):
        self.on_path("access", lambda path: [os.access(path, how) for how in (os.F_OK, os.R_OK, os.W_OK)])

    def chmod(self):
        self.on_path("chmod", lambda path: os.chmod(path, 0o755 if os.path.isdir(path) else 0o640))

    def utime(self):
        self.on_path("utime", lambda path: (os.utime(path, (1000, 2000)), os.stat(path).st_mtime)[1])

    def realpath(self):
        path = self.some_path()
        self.both(("realpath", path), lambda side: os.path.relpath(os.path.realpath(self.both.path(side, path)), self.both.dirs[side]))

    def directory(self):
        """One more to be relative to."""
        pair = []
        if self.on_path("open a directory", lambda path: (pair.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY)), 0)[1]) is not None:
            self.directories.append(pair)
        if len(self.directories) > DIRECTORIES_MAX:
            for fd in self.directories.pop(0):
                os.close(fd)

    def at(self):
        if not self.directories:
            return
        pair, a, b = self.dice.choice(self.directories), self.some_name(), self.some_name()
        what, call = self.dice.choice([
            ("fstatat", lambda fd: kind(os.stat(a, dir_fd=fd))),
            ("mkdirat", lambda fd: os.mkdir(a, 0o755, dir_fd=fd)),
            ("openat", lambda fd: os.close(os.open(a, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))),
            ("unlinkat", lambda fd: os.unlink(a, dir_fd=fd)),
            ("unlinkat AT_REMOVEDIR", lambda fd: os.rmdir(a, dir_fd=fd)),
            ("renameat", lambda fd: os.rename(a, b, src_dir_fd=fd, dst_dir_fd=fd)),
            ("symlinkat", lambda fd: os.symlink("a", a, dir_fd=fd)),
            ("readlinkat", lambda fd: os.readlink(a, dir_fd=fd)),
            ("fdopendir", lambda fd: sorted(os.listdir(fd))),
            ("fstat", lambda fd: kind(os.fstat(fd))),
        ])
        self.both((what, pair, a, b), lambda side: call(pair[side]))

    def child_goes_there(self):
        """And does some things relative to where it is."""
        a, b = self.some_path(), self.some_path()

        def call(path, above):
            os.chdir(path)
            if not os.getcwd().startswith(above):
                return 254
            os.listdir(".")
            os.rename(b, "moved")
            os.rename("moved", b)
        self.both(("chdir in a child", a, b), lambda side: in_child(lambda: call(self.both.path(side, a), sys.argv[4 + side])))

    def tree(self):
        self.both(("the tree",), lambda side: sorted(everything(self.both.dirs[side])))

    def end(self):
        self.tree()


def kind(st):
    return st.st_mode, 0 if os.path.stat.S_ISDIR(st.st_mode) else st.st_size


def everything(top):
    for where, directories, files in os.walk(top):
        for name in directories + files:
            path = os.path.join(where, name)
            yield path[len(top):], kind(os.lstat(path)), os.readlink(path) if os.path.islink(path) else ""


NAMED = {
    "mkdir": 4, "rmdir": 1, "unlink": 1, "rename": 2, "symlink": 1, "open": 4, "write": 1, "truncate": 1, "stat": 1, "lstat": 1, "readlink": 1,
    "list": 2, "access": 1, "chmod": 1, "utime": 1, "realpath": 1, "directory": 1, "at": 3, "child_goes_there": 1, "tree": 1,
}


def main():
    which, seed, calls, ordinary, ours = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
    both = Both(seed, ordinary, ours)
    subject, weights = {"contents": (Contents, CONTENTS), "names": (Names, NAMED)}[which]
    subject = subject(both)
    for _ in range(calls):
        getattr(subject, both.dice.choices(list(weights), list(weights.values()))[0])()
    subject.end()


main()
