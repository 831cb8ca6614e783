# python3: the modules that do odd things with files.
py() { /usr/bin/python3 -I -B -; }
case_pathlib() { py <<-'END'
	from pathlib import Path
	p = Path("a/b"); p.mkdir(parents=True); f = p / "f.txt"; f.write_text("one\ntwo\n"); print(f.read_text().split(), f.stat().st_size, f.suffix, f.exists())
	f.rename(p / "g"); print(sorted(str(x) for x in Path("a").rglob("*"))); (p / "g").replace("h"); print(Path("h").read_bytes())
	print(sorted(x.name for x in Path("docs").iterdir()), Path("docs").is_dir(), Path("link").is_symlink(), Path("link").readlink(), Path("link").resolve().name)
	Path("s").symlink_to("docs"); print(Path("s").is_dir(), Path("s/../words.txt").exists(), Path("words.txt").samefile("./words.txt"))
	Path("t").touch(mode=0o600); Path("t").chmod(0o640); print(oct(Path("t").stat().st_mode)); Path("t").unlink(); Path("t").unlink(missing_ok=True); p.rmdir()
	for g in ("*.txt", "**/*.md", "d*/*"): print(sorted(map(str, Path(".").glob(g))))
	for what in (lambda: Path("nothing").read_text(), lambda: Path("docs").unlink(), lambda: Path("docs").rmdir(), lambda: Path("docs").mkdir()):
	    try: what()
	    except OSError as e: print(type(e).__name__, e)
	END
}
case_shutil() { py <<-'END'
	import shutil, os
	shutil.copyfile("words.txt", "w"); shutil.copymode("script.sh", "w"); print(oct(os.stat("w").st_mode)); shutil.copystat("table.csv", "w"); print(oct(os.stat("w").st_mode))
	shutil.copy2("link", "l2", follow_symlinks=False); print(os.readlink("l2")); shutil.copytree("docs", "d", ignore=shutil.ignore_patterns("two*")); print(sorted(os.listdir("d")))
	shutil.move("d", "e"); shutil.move("w", "e"); print(sorted(os.listdir("e"))); shutil.copytree("docs", "e", dirs_exist_ok=True); print(sorted(os.listdir("e")))
	shutil.make_archive("a", "zip", "docs"); shutil.unpack_archive("a.zip", "un"); print(sorted(os.listdir("un"))); os.remove("a.zip")
	shutil.rmtree("e"); print(os.path.exists("e"), shutil.disk_usage(".").total > 0, shutil.which("script.sh", path="."))
	try: shutil.rmtree("nothing")
	except OSError as e: print(e)
	with open("words.txt", "rb") as a, open("c", "wb") as b: shutil.copyfileobj(a, b, 100)
	shutil.rmtree("un")
	END
}
case_tempfile() { py <<-'END'
	import tempfile, os
	tempfile.tempdir = os.getcwd()
	with tempfile.TemporaryFile() as t: t.write(b"abc"); t.seek(1); print(t.read(), os.fstat(t.fileno()).st_size)
	fd, name = tempfile.mkstemp(suffix=".x"); os.write(fd, b"y"); os.close(fd); print(os.path.getsize(name), oct(os.stat(name).st_mode)); os.remove(name)
	d = tempfile.mkdtemp(); print(oct(os.stat(d).st_mode)); os.rmdir(d)
	with tempfile.SpooledTemporaryFile(max_size=10) as s: s.write(b"z" * 50); s.seek(0); print(len(s.read()))
	with tempfile.TemporaryDirectory() as d: os.makedirs(d + "/a/b"); open(d + "/a/b/c", "w").close(); print(sum(len(f) for _, _, f in os.walk(d)))
	with tempfile.NamedTemporaryFile("w+", delete=False) as n: n.write("kept")
	print(open(n.name).read()); os.rename(n.name, "kept"); print(sorted(os.listdir(".")))
	d = os.open("docs", os.O_RDONLY); t = os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o640); os.write(t, b"complete" * 1000); os.link("/proc/self/fd/%d" % t, "named", src_dir_fd=d); os.write(t, b"."); os.close(t); print(os.stat("named").st_size, os.stat("named").st_nlink)
	END
}
case_scandir() { py <<-'END'
	import os, stat, fnmatch, glob, filecmp, fileinput
	for e in sorted(os.scandir("."), key=lambda e: e.name): print(e.name, e.is_dir(), e.is_file(follow_symlinks=False), e.is_symlink(), e.stat().st_size if e.is_file() else 0, e.inode() == e.stat(follow_symlinks=False).st_ino)
	fd = os.open("docs", os.O_RDONLY); print(sorted(os.listdir(fd))); print(sorted(e.name for e in os.scandir(fd)))
	for d, ds, fs, dfd in sorted(os.fwalk("."), key=lambda x: x[0]): print(d, sorted(ds), sorted(fs), os.stat(fs[0], dir_fd=dfd, follow_symlinks=False).st_size if d == "./docs" and 0 else "")
	os.mkdir("x", dir_fd=fd); os.symlink("one.md", "s", dir_fd=fd); os.rename("s", "t", src_dir_fd=fd, dst_dir_fd=fd); print(os.readlink("t", dir_fd=fd), os.access("two.md", os.W_OK, dir_fd=fd)); os.unlink("t", dir_fd=fd); os.rmdir("x", dir_fd=fd)
	os.fchdir(fd); print(sorted(os.listdir(".")), os.path.basename(os.getcwd())); os.chdir(".."); os.close(fd)
	c = filecmp.dircmp("docs", "docs"); print(c.diff_files, sorted(c.common)); print(sum(1 for _ in fileinput.input(["words.txt", "numbers.txt"])))
	for l in fileinput.input("table.csv", inplace=True): print(l.upper(), end="")
	print(open("table.csv").readline())
	END
}
case_zipfile() { py <<-'END'
	import zipfile, io, tarfile, gzip, bz2, lzma
	with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as z: z.write("words.txt"); z.writestr("x/y", "text" * 1000)
	with zipfile.ZipFile("a.zip", "a") as z: z.write("docs/one.md")
	with zipfile.ZipFile("a.zip") as z: print(z.namelist(), z.testzip(), len(z.read("x/y"))); z.extractall("un"); print(z.open("words.txt").readline())
	for m, n in ((gzip, "g"), (bz2, "b"), (lzma, "l")):
	    with m.open(n, "wt") as f: f.write("line\n" * 20000)
	    with m.open(n, "rt") as f: print(len(f.readlines())); f.seek(5); print(f.read(4))
	with tarfile.open("a.tar", "w") as t: t.add("docs"); t.add("words.txt", "renamed")
	with tarfile.open("a.tar", "a") as t: i = tarfile.TarInfo("mem"); i.size = 3; t.addfile(i, io.BytesIO(b"abc"))
	with tarfile.open("a.tar") as t: print(sorted(t.getnames()), t.extractfile("mem").read()); t.extractall("un")
	import os; os.remove("a.zip"); os.remove("a.tar"); os.remove("g")
	END
}
case_mmap() { py <<-'END'
	import mmap, os
	f = open("m", "w+b"); f.truncate(100000); m = mmap.mmap(f.fileno(), 0)
	m[50000:50005] = b"hello"; m.seek(99990); m.write(b"0123456789"); print(m.find(b"hello"), m.size()); m.flush(); f.close(); m.close()
	d = open("m", "rb").read(); print(len(d), d[50000:50005], d[-3:])
	with open("m", "r+b") as f:
	    m = mmap.mmap(f.fileno(), 0); m.resize(200000); m[150000] = 65; m.close(); print(os.path.getsize("m"))
	with open("words.txt", "rb") as f:
	    m = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE); m[0:3] = b"XXX"; print(m[:5]); m.close()
	    m = mmap.mmap(f.fileno(), 4096, access=mmap.ACCESS_READ, offset=4096); print(len(m), m[:10]); m.close()
	print(open("words.txt", "rb").read(3) != b"XXX")
	try: mmap.mmap(os.open("docs", os.O_RDONLY), 10)
	except OSError as e: print(e)
	pid = os.fork()
	with open("m", "r+b") as f:
	    m = mmap.mmap(f.fileno(), 0)
	    if pid == 0: m[0:5] = b"child"; os._exit(0)
	    os.waitpid(pid, 0); print(m[:5])
	END
}
case_multiprocessing() { cat > mp.py <<-'END'
	import multiprocessing as mp, os, hashlib
	def one(i):
	    with open("part%d" % i, "w") as f: f.write("%d\n" % i * 100)
	    return hashlib.md5(open("part%d" % i, "rb").read()).hexdigest()
	def add(lock, n):
	    for _ in range(n):
	        with lock:
	            with open("counter", "r+") as f: v = int(f.read()); f.seek(0); f.write(str(v + 1))
	if __name__ == "__main__":
	    for method in ("fork", "spawn", "forkserver"):
	        with mp.get_context(method).Pool(2) as pool: print(pool.map(one, range(6)))
	    open("counter", "w").write("0"); lock = mp.Lock(); ps = [mp.Process(target=add, args=(lock, 20)) for _ in range(3)]
	    for p in ps: p.start()
	    for p in ps: p.join()
	    print(open("counter").read())
	END
	/usr/bin/python3 -B mp.py
}
case_locks() { py <<-'END'
	import fcntl, os, struct
	f = open("l", "w+"); g = open("l", "r+"); fcntl.flock(f, fcntl.LOCK_EX)
	try: fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)
	except OSError as e: print(e)
	fcntl.flock(f, fcntl.LOCK_UN); fcntl.flock(g, fcntl.LOCK_SH); fcntl.flock(f, fcntl.LOCK_SH); fcntl.flock(g, fcntl.LOCK_UN); fcntl.flock(f, fcntl.LOCK_UN)
	fcntl.lockf(f, fcntl.LOCK_EX, 10, 0)
	pid = os.fork()
	if not pid:
	    h = open("l", "r+")
	    try: fcntl.lockf(h, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
	    except OSError as e: print("child", e, flush=True)
	    fcntl.lockf(h, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 20); print("child other range", flush=True); os._exit(0)
	os.waitpid(pid, 0)
	r = open("words.txt"); fcntl.flock(r, fcntl.LOCK_SH); fcntl.lockf(r, fcntl.LOCK_SH)
	try: fcntl.lockf(r, fcntl.LOCK_EX)
	except OSError as e: print(e)
	print(struct.unpack("hhqqi4x", fcntl.fcntl(g, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)))[0])
	END
}
case_data() { py <<-'END'
	import json, csv, pickle, configparser, xml.etree.ElementTree as E, dbm.dumb, shelve, array, struct, hashlib, marshal, base64
	json.dump({"k": list(range(1000))}, open("j", "w"), indent=1); print(sum(json.load(open("j"))["k"]))
	with open("c", "w", newline="") as f: csv.writer(f).writerows([[i, i * i, "a,b"] for i in range(50)])
	print(sum(int(r[1]) for r in csv.reader(open("c", newline="")))); pickle.dump({1: "x"}, open("p", "wb")); print(pickle.load(open("p", "rb")))
	c = configparser.ConfigParser(); c["s"] = {"a": "1"}; c.write(open("i", "w")); print(configparser.ConfigParser().read(["i", "nothing"]))
	r = E.Element("r"); E.SubElement(r, "x").text = "t"; E.ElementTree(r).write("e.xml"); print(E.parse("e.xml").getroot()[0].text)
	with dbm.dumb.open("d", "c") as d: d["k"] = "v"
	with dbm.dumb.open("d") as d: print(d["k"])
	array.array("i", range(10000)).tofile(open("a", "wb")); a = array.array("i"); a.fromfile(open("a", "rb"), 10000); print(sum(a))
	with open("words.txt", "rb") as f: print(hashlib.file_digest(f, "sha256").hexdigest())
	END
}
case_descriptors() { py <<-'END'
	import os, select, stat, errno, socket, array
	fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644); os.writev(fd, [b"ab", b"cd", b"ef"]); print(os.preadv(fd, [bytearray(3)], 1), os.posix_fallocate(fd, 0, 100), os.fstat(fd).st_size)
	os.ftruncate(fd, 6); b = [bytearray(2), bytearray(9)]; os.lseek(fd, 0, 0); print(os.readv(fd, b), b); print(os.pwritev(fd, [b"X", b"Y"], 10), os.lseek(fd, 0, os.SEEK_END))
	try: print(os.lseek(fd, 0, os.SEEK_DATA), os.lseek(fd, 0, os.SEEK_HOLE) > 0)
	except OSError as e: print(e)
	print(os.isatty(fd), os.get_inheritable(fd), os.get_blocking(fd), select.select([fd], [fd], [], 0) == ([fd], [fd], [])); p = select.poll(); p.register(fd); print(p.poll(0)[0][1])
	try: select.epoll().register(fd)
	except OSError as e: print(e)
	out = os.open("g", os.O_WRONLY | os.O_CREAT); os.lseek(fd, 0, 0); print(os.sendfile(out, fd, 0, 100), os.copy_file_range(fd, os.open("h", os.O_WRONLY | os.O_CREAT), 100))
	os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED); os.fdatasync(fd); os.sync(); os.fchmod(fd, 0o600); print(oct(os.fstat(fd).st_mode))
	a, b = socket.socketpair(); socket.send_fds(a, [b"x"], [fd]); _, fds, _, _ = socket.recv_fds(b, 1, 1); print(os.pread(fds[0], 3, 0)); os.close(fd); os.write(fds[0], b"!"); print(os.pread(fds[0], 100, 0))
	r, w = os.pipe(); s = os.open("words.txt", os.O_RDONLY); print(os.splice(s, w, 100)); print(len(os.read(r, 1000)))
	for f, a in ((os.read, (out, 1)), (os.write, (s, b"x")), (os.ftruncate, (s, 1)), (os.lseek, (s, -1, 0)), (os.open, ("f", os.O_CREAT | os.O_EXCL)), (os.open, ("f", os.O_DIRECTORY)), (os.open, ("docs", os.O_WRONLY)), (os.open, ("link", os.O_NOFOLLOW)), (os.open, ("words.txt/x", 0))):
	    try: print(f(*a))
	    except OSError as e: print(errno.errorcode[e.errno])
	os.dup2(s, 50); os.close(s); print(os.read(50, 5)); d = os.dup(50); print(d, os.read(d, 5)); os.closerange(3, 100); print(os.open("words.txt", os.O_RDONLY))
	END
}
case_subprocess() { py <<-'END'
	import subprocess as s, os, sys
	with open("i", "w") as f: f.write("a\nb\nc\n")
	with open("i") as i, open("o", "w") as o: print(s.run(["tac"], stdin=i, stdout=o).returncode)
	print(open("o").read()); f = open("words.txt"); f.readline(); os.lseek(f.fileno(), 10, 0); print(s.run(["head", "-c", "5"], stdin=f, stdout=s.PIPE).stdout)
	fd = os.open("i", os.O_RDONLY); print(s.run(["cat", "/dev/fd/%d" % fd], pass_fds=[fd], stdout=s.PIPE).stdout); print(s.run(["cat", "/proc/self/fd/%d" % fd], pass_fds=[fd], stdout=s.PIPE).stdout)
	p = s.Popen(["sh", "-c", "cat; echo done >&2"], cwd="docs", stdin=s.PIPE, stdout=open("out", "w"), stderr=s.STDOUT); p.communicate(b"text"); print(p.returncode, open("out").read())
	print(s.run(["pwd"], cwd="docs", stdout=s.PIPE).stdout[-6:], s.run("exit 3", shell=True).returncode, s.getoutput("ls docs"))
	for a in (["./nothing"], ["./words.txt"], ["./docs"]):
	    try: s.run(a)
	    except OSError as e: print(e)
	try: s.run(["true"], cwd="nothing")
	except OSError as e: print(e)
	try: s.run(["sleep", "10"], timeout=0.2)
	except s.TimeoutExpired: print("timeout")
	pid = os.posix_spawn("/bin/cat", ["cat"], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 0, "i", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "spawned", os.O_WRONLY | os.O_CREAT, 0o644)]); print(os.waitpid(pid, 0)[1], open("spawned").read())
	END
}
case_import() { mkdir -p pkg/sub; echo 'from .sub import v' > pkg/__init__.py; echo 'v = 7' > pkg/sub/__init__.py; echo 'import pkg, sys; print(pkg.v, pkg.__file__.split("/")[-2:])' > main.py; /usr/bin/python3 -B main.py; /usr/bin/python3 -B -c 'import pkg; print(pkg.v)'; (cd pkg && /usr/bin/python3 -B -m sub); printf 'print("main")\n' > pkg/__main__.py; /usr/bin/python3 -B -m pkg; /usr/bin/python3 -m compileall -q pkg && find pkg -name '*.pyc' | wc -l; /usr/bin/python3 -m zipfile -c app.zip main.py pkg/; PYTHONPATH=app.zip /usr/bin/python3 -B -c 'import pkg; print(pkg.v)'; /usr/bin/python3 -m json.tool <<< '{"a":1}' > j; cat j; find . -name __pycache__ -prune -exec rm -r {} +; rm app.zip; }
case_http() { py <<-'END'
	import http.server, threading, urllib.request, functools
	h = functools.partial(type("H", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *a: None}), directory=".")
	s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), h); threading.Thread(target=s.serve_forever, daemon=True).start(); u = "http://127.0.0.1:%d/" % s.server_port
	print(urllib.request.urlopen(u + "docs/one.md").read()); urllib.request.urlretrieve(u + "binary.bin", "got"); print(open("got", "rb").read() == open("binary.bin", "rb").read()); print(b"two.md" in urllib.request.urlopen(u + "docs/").read()); s.shutdown()
	END
}
case_logging() { py <<-'END'
	import logging, logging.handlers, os, signal, time, inspect, linecache, traceback
	h = logging.handlers.RotatingFileHandler("log", maxBytes=200, backupCount=2); l = logging.getLogger(); l.addHandler(h)
	for i in range(30): l.warning("message %d", i)
	h.close(); print(sorted(f for f in os.listdir(".") if f.startswith("log")), open("log").read().split("\n")[-2]); print(linecache.getline("docs/one.md", 1))
	w = open("lined", "w", buffering=1); w.write("a\n"); print(open("lined").read()); w.write("b"); print(open("lined").read()); w.close(); u = open("raw", "wb", buffering=0); u.write(b"z"); print(open("raw").read())
	f = open("left_open", "w"); f.write("flushed at exit")
	END
	cat left_open; }
