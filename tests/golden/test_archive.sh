# tar and cpio: archives of trees. Archives that hold times of the run are removed before trees are compared.
tar_of() { tar --sort=name --mtime=@1000000000 --owner=0 --group=0 --numeric-owner "$@"; }
case_tar() { tar cf a.tar docs words.txt link; tar tf a.tar | sort; mkdir x; tar xf a.tar -C x; diff -r docs x/docs && echo same; readlink x/link; rm a.tar; }
case_tar_stream() { tar cf - docs binary.bin | (mkdir y; cd y; tar xf -); diff -r docs y/docs; cmp binary.bin y/binary.bin && echo same; }
case_tar_reproducible() { tar_of -c --exclude=./a.tar -f a.tar .; md5sum < a.tar; tar_of -cf - docs table.csv | md5sum; }
case_tar_gzip() { tar_of -czf a.tgz docs words.txt; mkdir x; tar xzf a.tgz -C x; ls -R x; cmp words.txt x/words.txt && echo same; gzip -t a.tgz && echo good; }
case_tar_bzip2() { tar_of -cjf a.tbz docs words.txt; tar tjf a.tbz; mkdir x; tar xf a.tbz -C x; cmp words.txt x/words.txt && echo same; }
case_tar_xz() { tar_of -cJf a.txz docs words.txt; tar tJf a.txz; mkdir x; tar xf a.txz -C x; cmp words.txt x/words.txt && echo same; }
case_tar_zstd() { tar_of --zstd -cf a.tzst docs words.txt; tar -tf a.tzst; mkdir x; tar xf a.tzst -C x; cmp words.txt x/words.txt && echo same; }
case_tar_lz4() { tar_of -I lz4 -cf a.tlz4 docs words.txt; tar -I lz4 -tf a.tlz4; mkdir x; tar -a -cf b.tar.lzma words.txt; tar xf b.tar.lzma -C x; cmp words.txt x/words.txt && echo same; rm b.tar.lzma; }
case_tar_append() { tar_of -cf a.tar words.txt; tar_of -rf a.tar numbers.txt; tar tf a.tar; tar_of --append -f a.tar docs; tar tvf a.tar | wc -l; tar_of -cf b.tar table.csv; tar -A -f a.tar b.tar; tar tf a.tar | tail -2; md5sum a.tar; }
case_tar_update() { tar cf a.tar words.txt; touch -d '+1 hour' words.txt; echo more >> words.txt; touch -d '+2 hours' words.txt; tar uf a.tar words.txt; tar tf a.tar; tar uf a.tar words.txt; tar tf a.tar | wc -l; rm a.tar; }
case_tar_delete() { tar_of -cf a.tar words.txt numbers.txt docs table.csv; tar --delete -f a.tar numbers.txt docs; tar tf a.tar; md5sum a.tar; tar --delete -f a.tar nothing; echo $?; }
case_tar_modes() { chmod 700 script.sh; mkdir -m 750 m; touch -d '2010-01-01' m/f; tar cf a.tar script.sh m; rm -r script.sh m; tar xpf a.tar; stat -c '%n %a' script.sh m; stat -c %Y m/f; rm a.tar; }
case_tar_verify() { tar cf a.tar docs; tar df a.tar && echo equal; echo x >> docs/one.md; tar df a.tar 2>&1 | grep -v time; tar xf nothing.tar; tar cWf b.tar words.txt && echo verified; rm ./*.tar; }
case_tar_long_names() {
	long=$(printf 'n%.0s' $(seq 120))
	mkdir -p "$long/$long"; echo deep > "$long/$long/$long"; ln -s "$long/$long/$long" l
	for format in gnu pax posix oldgnu; do tar_of --format=$format -cf a.tar "$long" l; tar tf a.tar | md5sum; mkdir x; tar xf a.tar -C x; cat "x/$long/$long/$long"; readlink x/l | wc -c; rm -r x a.tar; done
	tar_of --format=ustar -cf a.tar "$long" 2>&1 | cut -c1-60; rm -f a.tar
}
case_tar_sparse() { truncate -s 2M hole; printf data | dd of=hole bs=1 seek=1000000 conv=notrunc status=none; tar_of -Scf a.tar hole; mkdir x; tar xf a.tar -C x; cmp hole x/hole && echo same; stat -c %s x/hole; rm a.tar; }
case_tar_overwrite() { tar cf a.tar words.txt docs; echo other > words.txt; tar xf a.tar; wc -l words.txt; echo other > words.txt; tar xkf a.tar 2>&1 | head -1; cat words.txt; tar x --overwrite -f a.tar; tar x --unlink-first -f a.tar; tar xvf a.tar docs/one.md; tar xOf a.tar docs/two.md; rm a.tar; }
case_tar_transform() { tar cf a.tar --transform 's,^docs,papers,' docs; tar tf a.tar | sort; mkdir x; tar xf a.tar --strip-components=1 -C x; find x | sort; tar cf b.tar --exclude='*.md' docs; tar tf b.tar | sort; printf 'words.txt\nnumbers.txt\n' > list; tar cf c.tar -T list; tar tf c.tar; tar cf d.tar --remove-files words.txt; ls words.txt; rm ./*.tar; }
case_tar_incremental() { tar_of -cf full.tar -g snap docs; echo new > docs/three.md; touch -d '+1 hour' docs/three.md; tar -cf inc.tar -g snap docs; tar tf inc.tar | grep three; rm ./*.tar snap; }
case_tar_multi_volume() { seq 20000 > big; echo 'n b.tar' | tar -c -M -L 100 -f a.tar big 2>&1 | head -1; ls ./*.tar; rm ./*.tar; }
case_cpio() { find docs words.txt | sort | cpio -o 2> /dev/null > a.cpio; mkdir x; cd x; cpio -idm < ../a.cpio 2> /dev/null; find . | sort; diff -r docs ../docs && echo same; rm ../a.cpio; }
case_cpio_formats() { for f in newc crc odc ustar tar; do echo words.txt | cpio -o -H $f 2> /dev/null > a; cpio -t < a 2> /dev/null; mkdir x; (cd x; cpio -i < ../a 2> /dev/null); cmp words.txt x/words.txt; rm -r x a; done; }
case_cpio_pass() { mkdir to; find docs | cpio -pdm to 2> /dev/null; diff -r docs to/docs && echo same; echo words.txt | cpio -pdu to; }
case_fakeroot() { fakeroot sh -c 'cp words.txt w; chown 5:6 w; stat -c "%n %u %g" w docs; tar cf - w | tar tvf - --numeric-owner | cut -d" " -f2; ls -n w | cut -d" " -f3,4; find docs -uid 0 | sort'; fakeroot cat docs/one.md; }
