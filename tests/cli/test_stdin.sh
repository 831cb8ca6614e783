#!/bin/bash
# Standard input over a file whose bytes come by range: every way libc has to read it, as on a local file; and the offset
# stays one for all who share it.
set -u
slipstream=$BUILD/slipstream
export SLIPSTREAM_PAGE_SIZE=4096 # a file of more than a page, in a session that did not write it, comes by range
seq 1000 20000 >"$HOME/f"
{ printf 'echo from the script\nread x\n'; seq -f '# %g' 3000; } >"$HOME/script"
$slipstream run -- cp "$HOME/f" "$HOME/script" /goosefs/ || exit 1
export SLIPSTREAM_SHORT_CIRCUIT=false

cat >"$HOME/first.py" <<'EOF'
"""The first thing done to stdin is libc's function argv[1]; then a line, and the position."""
import ctypes, os, sys
libc = ctypes.CDLL(None)
stdin = ctypes.c_void_p.in_dll(libc, "stdin")
buf, long_, size_t = ctypes.create_string_buffer(256), ctypes.c_long, ctypes.c_size_t
at, room, n = ctypes.create_string_buffer(64), size_t(256), ctypes.c_int(0)
line = ctypes.c_void_p(None)
none = size_t(0)
CALLS = {
    "fread": (buf, size_t(1), size_t(7), stdin), "fread_unlocked": (buf, size_t(1), size_t(7), stdin), "_IO_fread": (buf, size_t(1), size_t(7), stdin),
    "__fread_chk": (buf, room, size_t(1), size_t(7), stdin), "__fread_unlocked_chk": (buf, room, size_t(1), size_t(7), stdin),
    "_IO_sgetn": (stdin, buf, size_t(7)),
    "fgets": (buf, 9, stdin), "fgets_unlocked": (buf, 9, stdin), "_IO_fgets": (buf, 9, stdin),
    "__fgets_chk": (buf, room, 9, stdin), "__fgets_unlocked_chk": (buf, room, 9, stdin),
    "fgetc": (stdin,), "fgetc_unlocked": (stdin,), "getc": (stdin,), "getc_unlocked": (stdin,), "_IO_getc": (stdin,),
    "getchar": (), "getchar_unlocked": (), "getw": (stdin,), "ungetc": (ord("9"), stdin), "_IO_ungetc": (ord("9"), stdin),
    "getline": (ctypes.byref(line), ctypes.byref(none), stdin), "getdelim": (ctypes.byref(line), ctypes.byref(none), ord("3"), stdin),
    "__getdelim": (ctypes.byref(line), ctypes.byref(none), ord("3"), stdin),
    "__gets_chk": (buf, room), "_IO_getline": (stdin, buf, size_t(9), 10, 1), "_IO_getline_info": (stdin, buf, size_t(9), 10, 1, ctypes.byref(n)),
    "_IO_peekc_locked": (stdin,), "__uflow": (stdin,), "__underflow": (stdin,),
    "scanf": (b"%d", ctypes.byref(n)), "fscanf": (stdin, b"%d", ctypes.byref(n)),
    "__isoc99_scanf": (b"%d", ctypes.byref(n)), "__isoc99_fscanf": (stdin, b"%d", ctypes.byref(n)),
    "fseek": (stdin, long_(10), 0), "fseeko": (stdin, long_(10), 0), "fseeko64": (stdin, long_(-10), 2), "ftell": (stdin,), "ftello": (stdin,),
    "_IO_ftell": (stdin,), "rewind": (stdin,), "fgetpos": (stdin, at), "fsetpos": (stdin, at), "fsetpos64": (stdin, at),
    "fflush": (stdin,), "fflush_unlocked": (stdin,), "_IO_fflush": (stdin,),
}
WIDE = {
    "fgetwc": (stdin,), "fgetwc_unlocked": (stdin,), "getwc": (stdin,), "getwc_unlocked": (stdin,), "getwchar": (), "getwchar_unlocked": (),
    "ungetwc": (ord("9"), stdin), "fgetws": (buf, 9, stdin), "fgetws_unlocked": (buf, 9, stdin), "__fgetws_chk": (buf, size_t(64), 9, stdin),
    "__fgetws_unlocked_chk": (buf, size_t(64), 9, stdin), "__wunderflow": (stdin,),
    "wscanf": (ctypes.c_wchar_p("%d"), ctypes.byref(n)), "fwscanf": (stdin, ctypes.c_wchar_p("%d"), ctypes.byref(n)),
    "__isoc99_wscanf": (ctypes.c_wchar_p("%d"), ctypes.byref(n)), "__isoc99_fwscanf": (stdin, ctypes.c_wchar_p("%d"), ctypes.byref(n)),
}


def one(name, call, wide):
    os.lseek(0, 50, 0)
    f = getattr(libc, name)
    f.restype = long_
    rc = f(*call) if name != "rewind" else f(*call) and 0
    text = buf.raw.rstrip(b"\0")
    after = libc.getwchar() if wide else libc.getchar()
    libc.ftell.restype = long_
    print(name, rc if -2 < rc < 256 else "pointer", text, n.value, after, libc.ftell(stdin), libc.ferror(stdin), flush=True)


for table in CALLS, WIDE:
    for name, call in table.items():
        if os.fork() == 0:  # each begins with a fresh stdin
            fd = os.open(sys.argv[1], os.O_RDONLY)
            os.dup2(fd, 0)
            os.close(fd)
            one(name, call, table is WIDE)
            os._exit(0)
        os.wait()
EOF

cat >"$HOME/shared.sh" <<'EOF'
f=$1
(sed 1q; read x; echo "read $x"; cut -c1-3 | tail -n 1; cat | wc -c) <$f
(head -n 1; cat | head -n 1) <$f
sort -rn <$f | head -n 1
for shell in sh bash; do (echo 'echo "and read: $x"; tail -n 1' | cat $2 - | $shell; $shell; cat | head -n 1) <$2; done
EOF

failed=0
same() { # what, command... with the file as its last argument
	local what=$1 && shift
	"$@" "$HOME/f" "$HOME/script" >"$HOME/native" 2>&1 </dev/null
	$slipstream run -- "$@" /goosefs/f /goosefs/script >"$HOME/ours" 2>&1 </dev/null
	[ -s "$HOME/native" ] && diff -u "$HOME/native" "$HOME/ours" && return
	echo "$what: not as on a local file"
	failed=1
}
same "every function" python3 "$HOME/first.py"
same "one offset" sh "$HOME/shared.sh"

# Kernel flags end in 3: by range, or this test tests nothing.
$slipstream run -- sh -c 'grep ^flags: /proc/self/fdinfo/3 3</goosefs/f' | grep -q '3$' || { echo "not by range"; failed=1; }
exit $failed
