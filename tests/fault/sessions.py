"""Servers, and sessions on them that do what they are told, for tests that look at one session from another.

A session is a python under `slipstream run` that runs the code it is sent, and answers with what `result` is then.
"""
import json
import os
import re
import signal
import subprocess
import sys

BUILD, HOME = os.environ["BUILD"], os.environ["HOME"]
SLIPSTREAM = os.path.join(BUILD, "slipstream")

LOOP = r'''
import ctypes, json, mmap, os, signal, socket, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.fdopen.restype = ctypes.c_void_p
ears, mouth = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
scope = dict(globals())
for line in ears:
    scope["result"] = None
    try:
        exec(json.loads(line), scope)
        answer = {"result": scope["result"]}
    except OSError as e:
        answer = {"errno": e.errno}
    except BaseException as e:
        answer = {"error": repr(e)}
    print(json.dumps(answer), file=mouth, flush=True)
'''


class Server:
    """The embedded server, on the same ports and the same directory every time."""

    def __init__(self, root, *options):
        self.root, self.options, self.ports = root, list(options), ["--port", "0", "--worker-port", "0"]
        self.start()

    def start(self):
        self.process = subprocess.Popen([SLIPSTREAM, "server", "--root", self.root] + self.ports + self.options, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.findall(r"127\.0\.0\.1:(\d+)", line)
        if len(found) < 2:
            sys.exit("the server does not come up: %r" % line)
        self.ports = ["--port", found[0], "--worker-port", found[1]]
        self.mount = "/goosefs=goosefs://127.0.0.1:%s/" % found[0]

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()


class Errno(Exception):
    def __init__(self, number):
        super().__init__(os.strerror(number))
        self.number = number


class Session:
    def __init__(self, server, **settings):
        env = dict(os.environ, SLIPSTREAM_METADATA_TTL_MS="0", **settings)
        self.process = subprocess.Popen([SLIPSTREAM, "run", "--mount", server.mount, "--", "python3", "-c", LOOP], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def send(self, code):
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the session is gone: " + self.process.stderr.read())
        answer = json.loads(line)
        if "errno" in answer:
            raise Errno(answer["errno"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def do(self, code):
        self.send(code)
        return self.answer()

    def errno_of(self, code):
        try:
            self.do(code)
        except Errno as e:
            return e.number
        return 0

    def read(self, path):
        """A file's content; None: it is not there, or not complete."""
        return self.do("""
try:
    result = open(%r, "rb").read().decode("latin-1")
except OSError as e:
    result = None
""" % path)

    def keeper(self):
        return self.do("result = int.from_bytes(open(os.environ['SLIPSTREAM_SESSION'] + '/records', 'rb').read(16)[12:], 'little')")

    def records(self):
        return self.do("result = int.from_bytes(open(os.environ['SLIPSTREAM_SESSION'] + '/records', 'rb').read(16)[8:12], 'little')")

    def end(self):
        """Status and standard error of `run`."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        errors = self.process.stderr.read()
        self.process.wait()
        return self.process.returncode, errors


failures = 0


def expect(what, got, wanted):
    global failures
    if got != wanted:
        failures += 1
        print("%s: got %.200r, wanted %.200r" % (what, got, wanted), flush=True)


def run_tests(scope, *arguments):
    """Every function of the caller's that begins with test_, or the one that ONE names."""
    for name, function in list(scope.items()):
        if name.startswith("test_") and os.environ.get("ONE") in (None, "", name):
            before = failures
            function(*arguments)
            if failures > before:
                print("not ok", name, flush=True)
    sys.exit(failures > 0)
