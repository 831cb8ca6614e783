#!/usr/bin/env python3
"""Programs, the keeper and the server are killed at random under a mixed load; what was written must be there, whole.

KILLS=15 by default; the long form is KILLS=200. SEED repeats a run's choices, as far as time lets it.
"""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

BUILD, HOME = os.environ["BUILD"], os.environ["HOME"]
HERE = os.path.dirname(os.path.abspath(__file__))
SLIPSTREAM = os.path.join(BUILD, "slipstream")
KILLS = int(os.environ.get("KILLS", "15"))
SEED = int(os.environ.get("SEED", str(time.time_ns() % 1000000)))
LOADS = 6
EVERY_S = 0.7

VERIFY = r'''
import hashlib, sys
bad = 0
for line in open(sys.argv[1]):
    name, wanted = line.split()
    try:
        got = hashlib.sha256(open(name, "rb").read()).hexdigest()
    except OSError as e:
        got = str(e)
    if got != wanted:
        print("%s: %s, not %s" % (name, got, wanted))
        bad = 1
sys.exit(bad)
'''


class Server:
    """The embedded server, on the same ports and the same directory every time."""

    def __init__(self, root):
        self.root, self.ports = root, ["--port", "0", "--worker-port", "0"]
        self.start()

    def start(self):
        self.process = subprocess.Popen([SLIPSTREAM, "server", "--root", self.root] + self.ports, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.findall(r"127\.0\.0\.1:(\d+)", line)
        if len(found) < 2:
            sys.exit("the server does not come up: %r" % line)
        self.ports = ["--port", found[0], "--worker-port", found[1]]
        self.master = "127.0.0.1:" + found[0]

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()


def pids_of(text):
    """Processes of this test whose command line begins with text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f, open("/proc/%s/environ" % pid, "rb") as g:
                if f.read().replace(b"\0", b" ").startswith(text.encode()) and HOME.encode() in g.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def kill_one(dice, text):
    pids = pids_of(text)
    if not pids:
        return False
    try:
        os.kill(dice.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def journals():
    """What must be there: {name: digest}; and what was seen to be wrong."""
    certain, wrong = {}, []
    for entry in sorted(os.listdir(HOME)):
        if not entry.startswith("journal-"):
            continue
        with open(os.path.join(HOME, entry)) as f:
            for line in f:
                words = line.split()
                if words and words[0] == "WRONG":
                    wrong.append(line.strip())
                elif len(words) == 2 and words[0] == "begin":
                    certain.pop(words[1], None)
                elif len(words) == 3 and words[0] == "done":
                    certain[words[1]] = words[2]
    return certain, wrong


def verify(mount, certain, which):
    path = os.path.join(HOME, "certain")
    with open(path, "w") as f:
        f.writelines("%s %s\n" % item for item in sorted(certain.items()))
    done = subprocess.run([SLIPSTREAM, "run", "--mount", mount, "--", "python3", "-c", VERIFY, path], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print("%s:\n%s" % (which, done.stdout))
    return done.returncode == 0


def main():
    dice = random.Random(SEED)
    print("SEED=%d KILLS=%d" % (SEED, KILLS))
    server = Server(os.path.join(HOME, "root"))
    mount = "/goosefs=goosefs://%s/" % server.master
    # Each load is started again when it is killed, with files of its own.
    script = '''until mkdir -p /goosefs/load 2>/dev/null; do sleep 0.1; done
        for i in $(seq %d); do (n=0; while [ ! -e "$HOME/stop" ]; do n=$((n + 1)); python3 "%s/load.py" /goosefs/load "$HOME/journal-$i-$n" $i$n 5; done) & done
        wait''' % (LOADS, HERE)
    session = subprocess.Popen([SLIPSTREAM, "run", "--mount", mount, "--", "bash", "-c", script], stderr=subprocess.PIPE, text=True)
    # What is killed before the session is there ends it with 125, and rightly so: the first journal says that it is.
    while session.poll() is None and not any(name.startswith("journal-") for name in os.listdir(HOME)):
        time.sleep(0.05)
    killed = {"program": 0, "keeper": 0, "server": 0}
    while session.poll() is None and sum(killed.values()) < KILLS:
        time.sleep(EVERY_S * dice.random() * 2)
        what = dice.choice(["program", "program", "keeper", "server"])
        if what == "server":
            server.kill()
            time.sleep(dice.random() * 0.5)
            server.start()
            killed[what] += 1
        else:
            killed[what] += kill_one(dice, "python3 %s/load.py" % HERE if what == "program" else "slipstream keeper")
    time.sleep(1)
    open(os.path.join(HOME, "stop"), "w").close()
    _, errors = session.communicate()
    certain, wrong = journals()
    for line in wrong[:20]:
        print(line)
    ok = not wrong and verify(mount, certain, "read by a later session")
    server.kill()
    server.start()
    ok = verify(mount, certain, "read after a last SIGKILL of the server") and ok
    server.kill(signal.SIGTERM)
    print("killed %s; %d files checked, status %d" % (killed, len(certain), session.returncode))
    if not ok or len(certain) < LOADS:
        print(errors[-3000:])
        sys.exit(1)


main()
