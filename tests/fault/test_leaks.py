#!/usr/bin/env python3
"""A long session: what was opened and closed leaves no record, no slot and no descriptor in the keeper.

OPENS=300 of each form by default; the long form is OPENS=20000.
"""
import os
import time

from sessions import HOME, Server, Session, expect, run_tests

OPENS = int(os.environ.get("OPENS", "300"))

# Each leaves nothing of its own; what is cached is of one file.
FORMS = {
    "by range": "os.close(os.open('/goosefs/large', os.O_RDONLY))",
    "by range, read": "f = os.open('/goosefs/large', os.O_RDONLY); os.pread(f, 100, i * 1000 % 900000); os.close(f)",
    "a directory": "os.listdir('/goosefs/d')",
    "a small file": "open('/goosefs/small').read()",
    "a rewritten file": "open('/goosefs/again', 'w').write('x')",
    "an appended file": "open('/goosefs/again', 'a').write('x')",
    "a new file, removed": "open('/goosefs/new', 'w').write('x'); os.unlink('/goosefs/new')",
    "a file removed while open": "f = open('/goosefs/new', 'w'); os.unlink('/goosefs/new'); f.write('x'); f.close()",
    "renamed over": "open('/goosefs/a', 'w').close(); os.rename('/goosefs/a', '/goosefs/b')",
    "nothing": "os.path.exists('/goosefs/nothing')",
    "an error": "\n try: open('/goosefs/d/none/x', 'w')\n except OSError: pass",
    "an open of what is there": "\n try: os.open('/goosefs/small', os.O_CREAT | os.O_EXCL)\n except OSError: pass",
    "a temporary file": "os.close(os.open('/goosefs', os.O_TMPFILE | os.O_RDWR))",
    "a read file, written and removed": "r = os.open('/goosefs/again', os.O_RDONLY); open('/goosefs/again', 'a').write('x'); os.close(r)",
    "a process": "i % 20 or subprocess.run(['cat', '/goosefs/small'], stdout=subprocess.DEVNULL)",
}


def settled(session, what):
    """Records and descriptors once nothing changes any more."""
    seen = None
    for _ in range(100):
        now = session.records(), len(os.listdir("/proc/%d/fd" % session.keeper()))
        if now == seen:
            return now
        seen = now
        time.sleep(0.15)
    expect(what + ": settles", seen, None)
    return seen


def slots(session):
    return session.do("result = len(os.listdir(os.environ['SLIPSTREAM_SESSION'] + '/slots')) + len(os.listdir(os.environ['SLIPSTREAM_SESSION'] + '/d'))")


def forms(server, **settings):
    other, session = Session(server), Session(server, **settings)
    other.do("os.makedirs('/goosefs/d', exist_ok=True); open('/goosefs/small', 'w').write('small'); open('/goosefs/again', 'w'); open('/goosefs/large', 'w').write('l' * 1000000)")
    other.end()
    for what, code in FORMS.items():
        session.do("for i in range(20): " + code)
        records, descriptors = settled(session, what)
        session.do("for i in range(%d): " % OPENS + code)
        after = settled(session, what)
        expect("%s, %s: records" % (what, settings), after[0] <= records + 2, True)
        expect("%s, %s: descriptors %s" % (what, settings, (descriptors, after[1])), after[1] <= descriptors + 8, True)
    expect("slots", slots(session) < 100, True)
    expect("staging files", session.do("d = os.readlink(os.environ['SLIPSTREAM_SESSION'] + '/stage'); result = len(os.listdir(d)) < 40"), True)
    status, errors = session.end()
    expect("status and errors of the session", (status, errors), (0, ""))


def test_ranges(server):
    forms(server, SLIPSTREAM_SHORT_CIRCUIT="false", SLIPSTREAM_PAGE_SIZE="4096")


def test_block_files(server):
    forms(server)


the_server = Server(os.path.join(HOME, "root"))
try:
    run_tests(globals(), the_server)
finally:
    the_server.kill(15)
