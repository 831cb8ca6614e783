#!/usr/bin/env python3
"""shim/symbols.def against libc, and against what libslipstream.so exports.

Every row decides about one symbol, no symbol is decided twice, and what we export is what the rows say: no more, no less.
A function of libc whose name speaks of files and that no row knows is a decision nobody took.
"""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = os.path.join(os.path.abspath(os.environ.get("BUILD", os.path.join(TOP, "build"))), "libslipstream.so")
ROWS = os.path.join(TOP, "shim/symbols.def")

# Which argument of a row is the symbol it decides about, and whether we export it.
KINDS = {"WRAP": (3, True), "READY": (2, True), "HAND": (2, True), "ALIAS": (1, True), "SAME": (1, True),
         "NATIVE": (0, False), "LATER": (0, False)}

# What speaks of files in a name, and who does so only by the way.
FILES = re.compile(r"""(?<!th)read|write|open|close|seek(?!w?mark)|dir(?!name)|path|(^|[_flx])stat(x|v?fs|at|64|$)|(?<!un_)link(?!_in)|sync|trunc
    |fallocate|chmod|chown|utim|access|mknod|mkfifo|rename|remove(?!_marker)|temp|mmap|(?<![a-z])dup[23]?$|exec|spawn(?!attr)|fork|cwd|chroot|mount
    |xattr|(?<!c)lock(f|file)|(?<!un)get(w?c|w?s|w|w?char|line|delim|pos)(64|_unlocked|_chk)*$|put(w?c|w?s|w|w?char)(_unlocked|_chk)*$
    |^_IO_(do_|w?file_|proc)|^fd|^fsp?|aio|glob|ftw|fts|notify|handle|splice|sendfile
    |(^|_)v?f?w?(printf|scanf)(_chk)?$""", re.X)
OTHERWISE = re.compile(r"^(__)?(xdr|svc|clnt|argz|envz|pthread_|_nss|ns_|res_|re_|reg|obstack_)|^_IO_str_")
KNOWN = "catgets iconv_close mq_notify process_vm_readv process_vm_writev rexec rexec_af".split()


def rows(text):
    """(kind, arguments) of every row; an argument ends at a comma outside parentheses and quotes."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    for line in filter(str.strip, text.splitlines()):
        kind, rest = re.fullmatch(r"(\w+)\((.*)\)", line.strip()).groups()
        parts, depth, quoted = [""], 0, False
        for c in rest:
            quoted ^= c == '"'
            depth += (c == "(") - (c == ")") if not quoted else 0
            if c == "," and not depth and not quoted:
                parts.append("")
            else:
                parts[-1] += c
        yield kind, [p.strip() for p in parts]


def symbols(library, *options):
    """{name: type letter} of nm -D; a version stays on the name."""
    out = subprocess.run(["nm", "-D", *options, library], check=True, capture_output=True, text=True).stdout
    return {fields[-1]: fields[-2] for fields in map(str.split, out.splitlines())}


def libc_of(library):
    out = subprocess.run(["ldd", library], check=True, capture_output=True, text=True).stdout
    return re.search(r"libc\.so\.6 => (\S+)", out).group(1)


def check_rows(table):
    seen = {}
    for kind, parts in table:
        if kind not in KINDS:
            yield "%s: no such kind of row" % kind
            continue
        name = parts[KINDS[kind][0]]
        if name in seen:
            yield "%s: two rows, %s and %s" % (name, seen[name], kind)
        seen[name] = kind
        if kind in ("NATIVE", "LATER") and len(parts[1].strip('"')) < 4:
            yield "%s: no reason given" % name
        if kind in ("ALIAS", "SAME") and seen.get(parts[0]) not in ("WRAP", "READY", "HAND"):
            yield "%s: %s, whose alias it is to be, is no row above it" % (name, parts[0])


def check_exports(decided):
    wanted = {name for name, kind in decided.items() if KINDS[kind][1]}
    got = symbols(LIBRARY, "--defined-only")
    out = subprocess.run(["readelf", "-W", "--dyn-syms", LIBRARY], check=True, capture_output=True, text=True).stdout
    types = {f[7].split("@")[0]: f[3] for f in map(str.split, out.splitlines()) if len(f) > 7}
    for name in sorted(wanted - set(got)):
        yield "%s: has a row, and is not exported" % name
    for name in sorted(set(got) - wanted):
        yield "%s: exported without a row that says so" % name
    for name in sorted(wanted & set(got)):
        if types.get(name) != "FUNC":
            yield "%s: exported as %s, not as a function" % (name, types.get(name))


def libc_functions():
    """What a program can be linked to or find: no GLIBC_PRIVATE."""
    found = symbols(libc_of(LIBRARY), "--defined-only", "--with-symbol-versions")
    return {name.split("@")[0] for name, kind in found.items() if kind in "TWi" and not name.endswith("GLIBC_PRIVATE")}


def check_libc(decided):
    for name in sorted(libc_functions() - set(decided) - set(KNOWN)):
        if FILES.search(name) and not OTHERWISE.search(name):
            yield "%s: libc has it, its name speaks of files, and no row knows it" % name


def check_imports():
    """links libc alone, whatever else the program has loaded."""
    out = subprocess.run(["readelf", "-d", LIBRARY], check=True, capture_output=True, text=True).stdout
    for needed in re.findall(r"\(NEEDED\).*\[(.*)\]", out):
        if not re.fullmatch(r"libc\.so\.6|ld-linux[^/]*\.so\.\d", needed):
            yield "needs %s" % needed
    there = {name.split("@")[0] for name in symbols(libc_of(LIBRARY), "--defined-only")}
    weak = {"__gmon_start__", "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable"}
    for name in symbols(LIBRARY, "--undefined-only"):
        if name.split("@")[0] not in there | weak and not name.startswith(("__tls_get_addr", "__asan", "__ubsan", "__tsan")):
            yield "%s: imported, and not from libc" % name


def main():
    with open(ROWS) as f:
        table = list(rows(f.read()))
    decided = {parts[KINDS[kind][0]]: kind for kind, parts in table if kind in KINDS}
    wrong = [*check_rows(table), *check_exports(decided), *check_libc(decided), *check_imports()]
    print("\n".join(wrong + ["%d rows, %d wrong" % (len(table), len(wrong))]))
    sys.exit(1 if wrong else 0)


main()
