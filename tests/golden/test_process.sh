# Programs that name their files in full and open them themselves: what works with the client in each of them.
# process: cp mv rm ln touch dd sort split tee sums text install stat truncate find du sed grep awk tar compress cpio zip patch sqlite python mmap threads perl openssl jq rsync editors lua tcl bc xxd file samtools big shell
case_cp() {
	cp "$D/words.txt" "$D/w" && cmp "$D/words.txt" "$D/w" && echo same
	cp -r "$D/docs" "$D/d2" && diff -r "$D/docs" "$D/d2" && echo same
	cp -a "$D/link" "$D/script.sh" "$D/d2/"; readlink "$D/d2/link"; stat -c %a "$D/d2/script.sh"
	cp "$D/nothing" "$D/x"
	cp --reflink=auto --sparse=always "$D/binary.bin" "$D/b"; cmp "$D/binary.bin" "$D/b"
}
case_mv() { mv "$D/words.txt" "$D/docs/"; mv "$D/docs" "$D/d"; ls "$D/d"; mv -f "$D/d/words.txt" "$D/numbers.txt"; wc -l "$D/numbers.txt"; mv "$D/nothing" "$D/x"; }
case_rm() { rm "$D/words.txt"; rm -r "$D/docs"; rm "$D/words.txt"; rmdir "$D"; ls "$D"; mkdir -p "$D/a/b"; rmdir -p "$D/a/b" 2>/dev/null; ls -d "$D/a"; }
case_ln() { ln -s words.txt "$D/s"; cat "$D/s" | md5sum; readlink "$D/s"; ln -s nothing "$D/dangling"; cat "$D/dangling"; ln -sfn docs "$D/s"; ls "$D/s"; }
case_touch() { touch "$D/new"; stat -c '%s %a' "$D/new"; touch -d '2001-02-03 04:05:06' "$D/new"; stat -c %Y "$D/new"; touch -r "$D/new" "$D/other"; stat -c %Y "$D/other"; chmod 600 "$D/new"; stat -c %a "$D/new"; }
case_dd() { dd if="$D/binary.bin" of="$D/o" bs=1000 count=7 status=none; dd if="$D/words.txt" of="$D/o" bs=1 seek=50 count=9 conv=notrunc status=none; dd if="$D/words.txt" of="$D/o" bs=100 count=1 oflag=append conv=notrunc status=none; md5sum <"$D/o"; stat -c %s "$D/o"; }
case_sort() { sort -o "$D/s" "$D/words.txt"; sort -c "$D/s" && echo sorted; sort -S 32K -T "$D" -o "$D/words.txt" "$D/words.txt" "$D/words.txt"; md5sum <"$D/words.txt"; }
case_split() { split -l 100 "$D/words.txt" "$D/part-"; split -b 20000 -d "$D/binary.bin" "$D/b-"; csplit -s -f "$D/c" "$D/docs/one.md" 2; ls "$D" | wc -l; cat "$D"/part-* | cmp - "$D/words.txt"; }
case_tee() { seq 1000 | tee "$D/a" "$D/b" | md5sum; echo z | tee -a "$D/a" >/dev/null; tail -n 1 "$D/a"; echo z | tee "$D/nothing/x"; }
case_sums() { md5sum "$D/words.txt" "$D/binary.bin"; sha256sum "$D/numbers.txt"; cksum "$D/binary.bin"; b2sum "$D/table.csv"; cd "$D" 2>/dev/null; sum "$D/words.txt"; }
case_text() { cat -n "$D/docs/one.md"; nl "$D/docs/two.md"; paste -d: "$D/numbers.txt" "$D/words.txt" | head -3; cut -d, -f2 "$D/table.csv" | sort -u; od -An -tx1 -N 16 "$D/binary.bin"; tac "$D/docs/one.md"; wc "$D/words.txt"; tail -c 20 "$D/words.txt"; head -n 2 "$D/numbers.txt"; comm "$D/docs/one.md" "$D/docs/one.md"; }
case_install() { install -m 750 "$D/script.sh" "$D/bin"; stat -c %a "$D/bin"; install -d "$D/x/y/z"; install -D "$D/words.txt" "$D/p/q/w"; ls "$D/p/q"; f=$(mktemp "$D/tXXXXXX"); stat -c %a "$f"; rm "$f"; }
case_stat() { stat -c '%s %F %a %h' "$D/words.txt" "$D/binary.bin" "$D/script.sh" "$D/link"; stat -L -c '%s %F' "$D/link"; ls -1F "$D"; ls -lR "$D/docs" | awk '{print $1, $5}' | grep -v total; stat "$D/nothing"; readlink -f "$D/link"; realpath "$D/docs/../words.txt"; }
case_truncate() { truncate -s 100 "$D/words.txt"; truncate -s +50 "$D/words.txt"; truncate -s 5000 "$D/new"; stat -c %s "$D/words.txt" "$D/new"; truncate -r "$D/binary.bin" "$D/t"; stat -c %s "$D/t"; }
case_find() { find "$D" -type f | sort; find "$D" -name '*.md' -delete; find "$D/docs" -printf '%P %y\n' | sort; find "$D" -name '*.txt' -exec wc -l {} + | sort; }
case_du() { du -ab --apparent-size "$D/words.txt" "$D/binary.bin"; df "$D" >/dev/null && echo df; test -d "$D" && test -f "$D/words.txt" && test ! -e "$D/nothing" && echo tests; }
case_sed() { sed -i.bak 's/alpha/ALPHA/' "$D/words.txt"; grep -c ALPHA "$D/words.txt"; sed -n "1,2w $D/two" "$D/numbers.txt"; cat "$D/two"; }
case_grep() { grep -c omega "$D/words.txt"; grep -rl text "$D" | sort; grep x "$D/nothing"; grep binary "$D/binary.bin"; }
case_awk() { awk -v d="$D/" '{print > (d "len" length($1))}' "$D/words.txt"; ls "$D" | grep len; mawk 'END {print NR}' "$D/words.txt"; gawk -v f="$D/docs/one.md" 'BEGIN {while ((getline l < f) > 0) n++; print n}'; }
case_tar() { tar --sort=name -cf "$D/a.tar" -C "$D" docs words.txt link; tar -tf "$D/a.tar"; mkdir "$D/x"; tar -xf "$D/a.tar" -C "$D/x"; diff -r "$D/docs" "$D/x/docs" && echo same; tar -rf "$D/a.tar" -C "$D" table.csv; tar --delete -f "$D/a.tar" words.txt; tar -tf "$D/a.tar"; rm "$D/a.tar"; }
case_compress() { gzip -kn "$D/words.txt"; bzip2 -k "$D/words.txt"; xz -k0 "$D/words.txt"; zstd -q "$D/words.txt"; ls "$D"; for p in gzip bzip2 xz zstd; do rm -f "$D/w"; done; zcat "$D/words.txt.gz" | cmp - "$D/words.txt"; bzcat "$D/words.txt.bz2" | cmp - "$D/words.txt"; xzcat "$D/words.txt.xz" | cmp - "$D/words.txt"; zstdcat "$D/words.txt.zst" | cmp - "$D/words.txt"; gunzip -f "$D/words.txt.gz"; bunzip2 -f "$D/words.txt.bz2"; ls "$D"; }
case_cpio() { printf '%s\n' "$D/words.txt" "$D/numbers.txt" | cpio -o -O "$D/a.cpio" 2>/dev/null; cpio -it -I "$D/a.cpio" 2>/dev/null; rm "$D/a.cpio"; }
case_zip() { zip -qjX "$D/a.zip" "$D/words.txt" "$D/binary.bin"; unzip -qo "$D/a.zip" -d "$D/x"; cmp "$D/words.txt" "$D/x/words.txt" && cmp "$D/binary.bin" "$D/x/binary.bin" && echo same; unzip -tq "$D/a.zip"; rm "$D/a.zip"; }
case_patch() { sed 5d "$D/words.txt" >w; diff -u --label a --label b "$D/words.txt" w >p; patch -s "$D/words.txt" p; cmp w "$D/words.txt" && echo patched; diff "$D/words.txt" "$D/numbers.txt" | wc -l; rm w p; }
case_sqlite() { sqlite3 "$D/db" 'create table t(a, b); insert into t values(1, "x"), (2, "y"); select * from t;'; sqlite3 "$D/db" 'update t set b = "z" where a = 1; select count(*), max(b) from t; vacuum; pragma integrity_check'; rm "$D/db"; }
case_python() {
	python3 -I -B - "$D" <<-'END'
	import os, shutil, sys, json, zipfile, tempfile
	d = sys.argv[1]
	with open(d + "/out", "w") as f: f.write("hello\n" * 1000)
	with open(d + "/out", "r+b") as f: f.seek(3); f.write(b"XYZ"); f.truncate(100)
	print(open(d + "/out").read()[:12], os.path.getsize(d + "/out"))
	shutil.copytree(d + "/docs", d + "/copy", symlinks=True); print(sorted(os.listdir(d + "/copy")))
	json.dump({"a": [1, 2]}, open(d + "/j", "w")); print(json.load(open(d + "/j")))
	with tempfile.TemporaryDirectory(dir=d) as t: open(t + "/x", "w").write("x")
	os.rename(d + "/j", d + "/k"); os.remove(d + "/k"); shutil.rmtree(d + "/copy")
	for f, a in ((os.rmdir, "docs"), (os.mkdir, "docs"), (os.listdir, "nothing"), (open, "docs")):
	    try: f(d + "/" + a)
	    except OSError as e: print(e.strerror)
	END
}
case_mmap() { python3 -I -B -c 'import mmap, sys
with open(sys.argv[1], "r+b") as f:
    m = mmap.mmap(f.fileno(), 0); m[0:5] = b"FIRST"; m.flush(); m.close()
print(open(sys.argv[1]).readline()[:5])' "$D/words.txt"; }
case_threads() {
	python3 -I -B - "$D" <<-'END'
	import sys, hashlib, concurrent.futures as c
	d = sys.argv[1]
	def one(i):
	    open("%s/t%d" % (d, i), "w").write("%d\n" % i * 1000)
	    return hashlib.md5(open("%s/t%d" % (d, i), "rb").read()).hexdigest()
	with c.ThreadPoolExecutor(8) as pool: print("\n".join(pool.map(one, range(20))))
	END
}
case_perl() { perl -i.orig -pe 's/gamma/G/' "$D/words.txt"; perl -e 'my $d = shift; open my $f, "+<", "$d/words.txt" or die $!; seek $f, 5, 0; print $f "X"; close $f; print -s "$d/words.txt", "\n"; opendir D, $d; print join(" ", grep !/^\./, sort readdir D), "\n"; symlink "docs", "$d/l"; print readlink "$d/l", "\n"' "$D"; }
case_openssl() { openssl dgst -sha256 -r "$D/words.txt"; openssl enc -aes-128-cbc -pbkdf2 -pass pass:x -nosalt -in "$D/words.txt" -out "$D/e"; openssl enc -d -aes-128-cbc -pbkdf2 -pass pass:x -nosalt -in "$D/e" -out "$D/words2"; cmp "$D/words.txt" "$D/words2" && echo same; }
case_jq() { jq -n '{a: [1, {b: "c"}]}' | tee "$D/j" >/dev/null; jq -c '.a[1].b' "$D/j"; jq . "$D/nothing"; }
case_rsync() { rsync -r "$D/docs/" "$D/copy/"; diff -r "$D/docs" "$D/copy" && echo same; }
case_editors() { printf '2d\n1s/a/A/\nw\nq\n' | ed -s "$D/words.txt"; ex -u NONE -s -c '%s/beta/BETA/ge' -c 'wq' "$D/words.txt" </dev/null; md5sum <"$D/words.txt"; }
case_lua() { lua5.4 -e 'local d = arg[1]; local f = assert(io.open(d .. "/o", "w")); f:write("one\n", 2, "\n"); f:close(); for l in io.lines(d .. "/o") do print(l) end; print(os.rename(d .. "/o", d .. "/p")); print((select(2, io.open(d .. "/nothing"))):match(": (.*)"))' x "$D" 2>&1 || echo "status $?"; }
case_tcl() { echo 'set d [lindex $argv 0]; set f [open $d/o w]; puts $f hello; close $f; file copy $d/o $d/p; file rename $d/p $d/q; puts [file size $d/q]; puts [lsort [glob -directory $d -tails *.txt]]; file delete -force $d/docs; puts [file exists $d/docs]' >s.tcl; tclsh s.tcl "$D"; rm s.tcl; }
case_bc() { bc -q "$D/nothing" </dev/null; head -3 "$D/numbers.txt" | paste -sd+ | bc; m4 -DX="$D" <<<'include(X/docs/one.md)'; }
case_xxd() { xxd -l 64 "$D/binary.bin" "$D/hex"; xxd -r "$D/hex" "$D/back"; stat -c %s "$D/back"; hexdump -C "$D/docs/one.md" | head -2; strings "$D/binary.bin" | head -2; column -t -s, "$D/table.csv" | head -2; rev "$D/docs/one.md"; }
case_file() { file -b "$D/words.txt" "$D/binary.bin" "$D/script.sh" | cut -d' ' -f1-3; }
case_samtools() { printf '@SQ\tSN:c\tLN:100\nr1\t0\tc\t7\t60\t4M\t*\t0\t0\tACGT\tIIII\n' >s.sam; samtools view --no-PG -b -o "$D/a.bam" s.sam; samtools view "$D/a.bam"; samtools index "$D/a.bam"; samtools idxstats "$D/a.bam"; rm s.sam; }
case_big() { dd if=/dev/zero of="$D/zero" bs=1M count=24 status=none; md5sum <"$D/zero"; cp "$D/zero" "$D/z2"; cmp "$D/zero" "$D/z2" && echo same; tail -c 1000 "$D/z2" | md5sum; }
case_shell() { for i in 1 2 3; do echo "line $i" >>"$D/log"; done; cat "$D/log"; while read -r a b; do echo "$b-$a"; done <"$D/log"; [ -s "$D/log" ] && echo "$D"/*.txt; bash "$D/script.sh" a; }
case_links_of_proc() { exec 7< docs 3< words.txt 4>> new; for f in /dev/fd/7 /proc/self/fd/7 /proc/$$/fd/7; do cat $f/one.md $f//two.md; ls $f/ $f/.; realpath $f $f/one.md; cat $f/one.md/x $f/nothing; done 2>&1 | sed "s|$TOP_DIR||; s|/$$/|/N/|"; for f in /dev/fd/3 /proc/self/fd/3 /proc/$$/fd/3; do head -1 $f; readlink $f; stat -c '%F' $f; stat -L -c '%s %F' $f; cat $f/; done 2>&1 | sed "s|$TOP_DIR||; s|/$$/|/N/|"; echo more > /proc/$$/fd/4; cat new; ls -l /proc/$$/fd | grep -c 'words.txt\|new'; readlink /dev/stdin < words.txt; cd docs; cat /proc/$$/cwd/one.md /proc/self/cwd//one.md; readlink /proc/$$/cwd | sed "s|$TOP_DIR||"; pwdx $$ | sed "s|.*$TOP_DIR||"; (cd deep; ls /proc/$$/cwd/); python3 -I -B -c 'import os; print(*(os.path.relpath(os.path.realpath(f"/proc/{p}/{n}")) for p in ("self", os.getppid()) for n in ("fd/3", "cwd")))'; }
case_program_names() { cp /bin/readlink rl; cp /bin/bash sh-here; cp "$(command -v perl)" p; ln -s rl other; ./rl /proc/self/exe | sed "s|$TOP_DIR||"; ./other -f /proc/self/exe | sed "s|$TOP_DIR||"; ./sh-here -c 'readlink /proc/$$/exe; cat /proc/$$/comm; ps -o comm= $$; test /proc/$$/exe -ef sh-here && echo same; cmp /proc/$$/exe sh-here && echo equal; ./rl /proc/$$/exe; stat -c %F /proc/$$/exe; cd docs; (exec -a x ../rl /proc/self/exe); /proc/self/exe --version; /proc/$$/exe -c "readlink /proc/\$\$/exe"' | sed "s|$TOP_DIR||"; ./p -e 'print "$^X\n"; system $^X, "-e", "print 42"' | sed "s|$TOP_DIR||"; n=$(printf 'n%.0s' {1..240}); mkdir $n; cp rl $n/$n; $n/$n words.txt; echo $?; rm -r p rl sh-here $n; }
