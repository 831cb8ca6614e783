"""A mixed load on a directory, and a journal of it on another disk: what must be there, and what is not known.

    load.py DIRECTORY JOURNAL SEED SECONDS

A line before an operation says which file it concerns, one after it what the file holds now. So a file whose last line is
"done" must have that content whatever was killed; one whose last line is "begin" may be old, new, partial or absent.
What is read back in between is compared at once: a difference is a line "WRONG".
"""
import errno
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time

# What a call may fail with while something is being killed. Anything else is a wrong answer.
PASSING = {errno.EIO, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EBUSY, errno.ECONNREFUSED, errno.EAGAIN}

directory, journal_path, seed, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
dice = random.Random(seed)
journal = os.open(journal_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
known = {}


def note(*words):
    os.write(journal, (" ".join(map(str, words)) + "\n").encode())


def content():
    size = dice.choice([0, 1, 4096, 70000, dice.randrange(1 << 20), dice.randrange(6 << 20)])
    return dice.randbytes(size)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def put(name):
    data = content()
    with open(name, "wb") as f:
        for at in range(0, len(data), 150001):
            f.write(data[at:at + 150001])
    return data


def grow(name):
    """Slowly enough to be sent meanwhile; some go back to the beginning at the end."""
    data = bytearray(dice.randbytes(dice.randrange(10 << 20, 20 << 20)))
    with open(name, "wb", buffering=0) as f:
        for at in range(0, len(data), 500001):
            f.write(data[at:at + 500001])
            time.sleep(0.005)
        if dice.random() < 0.3:
            data[:4] = b"head"
            f.seek(0)
            f.write(data[:4])
    return bytes(data)


def append(name):
    more = dice.randbytes(dice.randrange(100000))
    with open(name, "ab") as f:
        f.write(more)
    return known[name] + more


def patch(name):
    data = bytearray(known[name])
    more = dice.randbytes(dice.randrange(1, 5000))
    at = dice.randrange(len(data) + 1)
    with open(name, "r+b") as f:
        f.seek(at)
        f.write(more)
    data[at:at + len(more)] = more
    return bytes(data)


def rename_over(name):
    data = put(name + ".new")
    os.rename(name + ".new", name)
    return data


def copy(name):
    other = dice.choice(list(known))
    if subprocess.run(["cp", other, name], stderr=subprocess.DEVNULL).returncode:
        raise OSError(errno.EIO, "cp failed")
    return known[other]


def check(name):
    if dice.random() < 0.5:
        with open(name, "rb") as f:
            got = f.read()
    else:
        with open(name, "rb", buffering=0) as f:
            got = b""
            while True:
                part = os.pread(f.fileno(), 100003, len(got))
                if not part:
                    break
                got += part
    if got != known[name]:
        note("WRONG", name, "%d bytes, not the %d that were written" % (len(got), len(known[name])))
    return known[name]


def listing(name):
    if os.path.basename(name) not in os.listdir(directory):
        note("WRONG", name, "is not listed")
    if os.stat(name).st_size != len(known[name]):
        note("WRONG", name, "has another size")
    return known[name]


def step():
    name = os.path.join(directory, "f%d-%d" % (seed, dice.randrange(12)))
    if name in known:
        act = dice.choice([put, append, patch, rename_over, copy, check, check, check, listing] + [grow] * (dice.random() < 0.2))
    else:
        act = dice.choice([put, rename_over] + ([copy] if known else []))
    changes = act not in (check, listing)
    if changes:
        note("begin", name)
    try:
        data = act(name)
    except OSError as e:
        if e.errno not in PASSING:
            note("WRONG", name, "%s: %s" % (act.__name__, e))
        if changes:
            known.pop(name, None)
        time.sleep(0.05)
        return
    if changes:
        known[name] = data
        note("done", name, digest(data))


end = time.time() + seconds
while time.time() < end:
    step()
