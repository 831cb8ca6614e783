#!/usr/bin/env python3
"""Operations on files, drawn by dice (fuzz.py), on the kernel and on us: what each of them says must be the same.

A round is two sessions, the second on what the first one published. ROUNDS=6 by default, each setting once and the same in every run; the
long form, ROUNDS=2000, goes on with new ones. What differs is told with its SEED, which plays that round alone, and as a shorter list of
operations that differs, too, looked for as long as SHRINK_S says.
"""
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import fuzz
from sessions import BUILD, HOME, SLIPSTREAM, Server

FUZZ = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fuzz.py")
ROUNDS = int(os.environ.get("ROUNDS", "6"))
LENGTH = 300  # operations in a session, many of which meet nothing
HANGS_S = 100
SHRINK_S = float(os.environ.get("SHRINK_S", "60"))

RANGES = {"SLIPSTREAM_SHORT_CIRCUIT": "false"}
FRESH = {"SLIPSTREAM_METADATA_TTL_MS": "0"}

# Settings, and what is not drawn with them. By design, a block file's descriptor that was inherited has an offset of its own once the file
# is written, and a mapping from before is old; programs with clients of their own are sessions of their own: what one has open for writing is
# busy for the other; and another user's server and staging directory are closed to such a client.
BLOCK_FILES = ["fork", "program_on", "map_"]
PROCESS = ["program", "program_on", "become"]
VARIANTS = (
    ("block files", {}, BLOCK_FILES),
    ("ranges", RANGES, []),
    ("small pages and blocks", dict(RANGES, SLIPSTREAM_PAGE_SIZE="4096", SLIPSTREAM_PAGE_CACHE_MAX="256K", SLIPSTREAM_BLOCK_SIZE="1M", SLIPSTREAM_CHUNK_SIZE="10000"), []),
    ("nothing sent before the close", dict(RANGES, **FRESH, SLIPSTREAM_WRITE_BEHIND="false"), []),
    ("written through", dict(RANGES, SLIPSTREAM_WRITE_TYPE="cache_through", SLIPSTREAM_FSYNC="session"), []),
    ("the client in the process", dict(RANGES, **FRESH, SLIPSTREAM_CLIENT="process"), PROCESS),
)


class Round:
    """What is played: drawn by a seed alone."""

    def __init__(self, seed):
        dice = random.Random(seed)
        variant, self.settings, without = VARIANTS[seed % len(VARIANTS)]
        others = os.geteuid() == 0 and "become" not in without
        kind = dice.choice(["contents"] * 3 + ["names"] * 2 + ["others"] * others)
        if kind == "others":
            self.settings = dict(self.settings, **FRESH)  # by design, what was asked in the last second is told to anybody
        self.sessions = [fuzz.draw(dice, kind, LENGTH, without) for _ in range(2)]
        self.name = "SEED=%d (%s, %s)" % (seed, kind, variant)


def run(argv, env, said):
    """The lines it says, and how it ends."""
    with open(said, "w") as out:
        child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out, start_new_session=True)
        try:
            status = child.wait(HANGS_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            status = child.wait()
    with open(said) as f:
        return [line for line in f.read().splitlines() if not line.endswith("= nothing there")] + ["status %d" % status]


def forget(directory):
    """By design, times that were set and modes above 0777 are the session's."""
    for where, _, names in os.walk(directory):
        for name in [where] + [os.path.join(where, n) for n in names]:
            if not os.path.islink(name):
                os.chmod(name, os.stat(name).st_mode & 0o777)
                os.utime(name)


def play(sessions, settings):
    """Both ways, in new directories: the lines up to the first that differs, that one, and what it is on us; or None."""
    private = tempfile.mkdtemp(dir=os.environ["XDG_RUNTIME_DIR"])
    os.chmod(private, 0o711)
    operations, said = os.path.join(private, "operations"), os.path.join(private, "said")
    native, ours = [[sys.executable, FUZZ, operations, directory] for directory in (os.path.join(private, "top/files"), "/goosefs/top/files")]
    server = Server(os.path.join(HOME, "root"))
    env = dict(os.environ, SLIPSTREAM_STAGE=private, **settings)
    if "SLIPSTREAM_CLIENT" in settings:  # `run` has a session, and so no client in the process
        env.update(LD_PRELOAD=os.path.join(BUILD, "libslipstream.so"), SLIPSTREAM_MOUNTS=server.mount)
    else:
        ours = [SLIPSTREAM, "run", "--mount", server.mount, "--"] + ours
    lines = []
    try:
        for drawn in sessions:
            with open(operations, "w") as f:
                f.writelines(json.dumps(o) + "\n" for o in [[0, "tree", {}]] + drawn + [[0, "tree", {}]])
            wanted = run(native, os.environ, said)
            for one, other in itertools.zip_longest(wanted, run(ours, env, said)):
                if one != other:
                    return lines, one, other
                lines.append(one)
            if lines[-1] != "status 0":
                sys.exit("the fuzzer fails:\n" + "\n".join(lines))
            forget(native[-1])
        return None
    finally:
        server.kill(signal.SIGTERM)
        shutil.rmtree(server.root, ignore_errors=True)
        shutil.rmtree(private, ignore_errors=True)


def told(difference):
    return "".join("    %.300s\n" % line for line in difference[0]) + "    wanted: %s\n    got:    %s" % difference[1:]


def shrunk(played):
    """The difference of a shorter list: parts are left out, half of it at first, then less, as long as there is time."""
    sessions, found, end = played.sessions, None, time.time() + SHRINK_S
    for which in (1, 0):
        part = len(sessions[which])
        while part and time.time() < end:
            at = 0
            while at < len(sessions[which]) and time.time() < end:
                shorter = list(sessions)
                shorter[which] = sessions[which][:at] + sessions[which][at + part:]
                difference = play(shorter, played.settings)
                if difference:
                    sessions, found = shorter, difference
                else:
                    at += part
            part //= 2
    return found


def fails(seed):
    played = Round(seed)
    difference = play(played.sessions, played.settings)
    if difference:
        print("%s:\n%s" % (played.name, told(difference)), flush=True)
        shorter = shrunk(played)
        print("shorter:\n" + told(shorter) if shorter else "it did not do it again", flush=True)
    return difference


def main():
    os.chmod(os.environ["XDG_RUNTIME_DIR"], 0o711)
    always = range(min(ROUNDS, len(VARIANTS)))
    seeds = [*always, *random.sample(range(1000, 10 ** 9), ROUNDS - len(always))]
    if os.environ.get("SEED"):
        seeds = [int(os.environ["SEED"])]
    failed = [seed for seed in seeds if fails(seed)]
    if failed:
        sys.exit("again: " + ", ".join("SEED=%d" % seed for seed in failed))


main()
