# python3: files, directories, subprocesses, archives, temporary files.
py() { /usr/bin/python3 -I -B -c "$1"; }
case_files() { py '
f = open("out", "w"); f.write("hello\n" * 1000); f.close()
print(len(open("out").read()))
with open("out", "r+b") as f:
    f.seek(3); f.write(b"XYZ"); f.seek(0, 2); print(f.tell()); f.truncate(100)
print(open("out", "rb").read()[:10], len(open("out", "rb").read()))
with open("out", "a") as f: f.write("end")
print(open("out").read()[-5:])
try: open("nothing")
except OSError as e: print(e)
try: open("out", "x")
except OSError as e: print(e)
'; }
case_os() { py '
import os, stat
os.mkdir("d"); os.makedirs("d/e/f"); print(sorted(os.listdir("."))); print(sorted(e.name for e in os.scandir("docs") if e.is_file()))
os.rename("words.txt", "d/w"); os.replace("d/w", "numbers.txt"); print(os.path.getsize("numbers.txt"))
os.symlink("table.csv", "t"); print(os.readlink("t"), os.path.islink("t"), os.path.exists("t"))
os.chmod("table.csv", 0o600); print(oct(stat.S_IMODE(os.stat("t").st_mode)))
os.utime("table.csv", (1000000000, 1000000000)); print(os.stat("table.csv").st_mtime)
for d, ds, fs in sorted(os.walk("docs")): print(d, sorted(ds), sorted(fs))
os.removedirs("d/e/f"); print(os.path.exists("d")); os.remove("t")
for f, a in ((os.rmdir, "docs"), (os.remove, "docs"), (os.mkdir, "docs"), (os.listdir, "nothing"), (os.readlink, "table.csv")):
    try: f(a)
    except OSError as e: print(e)
'; }
case_descriptors() { py '
import os, fcntl
fd = os.open("f", os.O_RDWR | os.O_CREAT, 0o644); os.write(fd, b"0123456789"); d = os.dup(fd)
os.lseek(d, 3, 0); print(os.read(fd, 2), os.pread(fd, 3, 7), os.pwrite(d, b"ab", 0)); os.ftruncate(fd, 6); os.fsync(fd)
print(os.fstat(fd).st_size, os.lseek(fd, 0, 1)); fcntl.flock(fd, fcntl.LOCK_EX); fcntl.lockf(fd, fcntl.LOCK_UN)
os.close(fd); os.lseek(d, 0, 0); print(os.read(d, 100)); os.close(d)
r = os.open(".", os.O_RDONLY | os.O_DIRECTORY); g = os.open("f", os.O_RDONLY, dir_fd=r); print(os.read(g, 3)); print(sorted(os.listdir(r)))
try: os.close(99)
except OSError as e: print(e)
'; }
case_subprocess() { py '
import subprocess, os
with open("o", "w") as f: subprocess.run(["echo", "hello"], stdout=f); subprocess.run("cat numbers.txt | head -2", shell=True, stdout=f)
print(open("o").read())
print(subprocess.run(["cat"], stdin=open("docs/one.md"), stdout=subprocess.PIPE).stdout)
print(subprocess.run(["ls"], cwd="docs", stdout=subprocess.PIPE).stdout); print(os.popen("wc -l < words.txt").read())
print(subprocess.run(["./script.sh", "x"], stdout=subprocess.PIPE).stdout, os.system("cat docs/two.md > s"))
'; }
case_mmap() { py '
import mmap
with open("binary.bin", "rb") as f:
    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); print(len(m), m[:5], m[-5:]); m.close()
with open("words.txt", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0); m[0:5] = b"FIRST"; m.flush(); m.close()
print(open("words.txt").readline()[:5])
'; }
case_archives() { py '
import zipfile, tarfile, gzip, shutil, json, csv, tempfile, glob, pathlib
with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as z: z.write("words.txt"); z.writestr("x/y", "text")
with zipfile.ZipFile("a.zip") as z: print(z.namelist(), z.testzip()); z.extractall("un")
with tarfile.open("a.tgz", "w:gz") as t: t.add("docs")
with tarfile.open("a.tgz") as t: print(sorted(t.getnames()))
with gzip.open("g.gz", "wt") as g: g.write("x" * 100000)
print(len(gzip.open("g.gz", "rt").read())); shutil.copytree("docs", "copy"); shutil.copy2("words.txt", "w2"); shutil.move("w2", "copy/"); print(sorted(glob.glob("copy/**", recursive=True))); shutil.rmtree("copy")
json.dump({"a": [1, 2]}, open("j", "w")); print(json.load(open("j"))); print(sum(float(r["amount"]) for r in csv.DictReader(open("table.csv"))))
with tempfile.NamedTemporaryFile(dir=".") as t: t.write(b"x"); t.flush(); print(pathlib.Path(t.name).stat().st_size)
with tempfile.TemporaryDirectory(dir=".") as t: pathlib.Path(t, "f").write_text("hi"); print(pathlib.Path(t, "f").read_text())
shutil.rmtree("un"); import os; os.remove("a.tgz"); os.remove("g.gz"); os.remove("a.zip")
'; }
case_script() { echo 'import sys; print(sys.argv[1:], open("docs/one.md").read())' > p.py; /usr/bin/python3 p.py a b; printf '#!/usr/bin/python3\nprint("direct")\n' > q; chmod +x q; ./q; mkdir m; echo 'V = 5' > m/lib.py; echo 'import lib; print(lib.V)' > m/main.py; /usr/bin/python3 -B m/main.py; }
