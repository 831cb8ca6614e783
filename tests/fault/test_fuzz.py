#!/usr/bin/env python3
"""Two sessions in a row do random things to the same names as are in an ordinary directory, and nothing may differ (fuzz.py).

ROUNDS=2 of each form by default; the long form is ROUNDS=100. SEED=n repeats the first round of a run that failed.
"""
import os
import random
import shutil
import signal
import subprocess
import sys

from sessions import BUILD, HOME, SLIPSTREAM, Server

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = int(os.environ.get("ROUNDS", "2"))
SEED = int(os.environ.get("SEED", random.randrange(1000000)))
FORMS = (
    ("contents", 250, {}),
    ("contents", 250, {"SLIPSTREAM_SHORT_CIRCUIT": "false", "SLIPSTREAM_PAGE_SIZE": "4096"}),
    ("contents", 150, {"SLIPSTREAM_CLIENT": "process"}),
    ("names", 800, {}),
    ("names", 400, {"SLIPSTREAM_CLIENT": "process"}),
)


def fuzz(root, arguments, settings):
    argv, env = [sys.executable, os.path.join(HERE, "fuzz.py")] + arguments, dict(os.environ, **settings)
    plain = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if "SLIPSTREAM_CLIENT" not in settings:
        return subprocess.run([SLIPSTREAM, "run", "--root", root, "--"] + argv, env=env, **plain)
    server = Server(root)  # `run` has a session, and so no client in the process
    try:
        return subprocess.run(argv, env=dict(env, SLIPSTREAM_MOUNTS=server.mount, LD_PRELOAD=os.path.join(BUILD, "libslipstream.so")), **plain)
    finally:
        server.kill(signal.SIGTERM)


def differs(which, calls, settings, seed):
    home = os.path.join(HOME, "round")
    os.mkdir(home)
    for number in (seed, seed + 500000):
        done = fuzz(os.path.join(home, "root"), [which, str(number), str(calls), os.path.join(home, "ordinary"), "/goosefs/ours"], settings)
        if done.returncode:
            print("%s %s, SEED=%d, status %d:\n%s" % (which, settings, seed, done.returncode, done.stdout))
            return True
    shutil.rmtree(home)
    return False


def main():
    for seed in range(SEED, SEED + ROUNDS):
        if any(differs(which, calls, settings, seed) for which, calls, settings in FORMS):
            sys.exit(1)


main()
