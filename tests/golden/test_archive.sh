# tar, cpio, gzip, xz, zstd: archives of trees. Those that hold times of the run are removed before trees are compared.
case_tar() { tar cf a.tar docs words.txt link; tar tf a.tar; mkdir x; tar xf a.tar -C x; diff -r docs x/docs && echo same; readlink x/link; rm -f a.tar a.tgz a.cpio ../a.cpio *.gz }
case_tar_gzip() { tar czf a.tgz docs *.txt; mkdir x; tar xzf a.tgz -C x; ls -R x; cmp words.txt x/words.txt && echo same; rm -f a.tar a.tgz a.cpio ../a.cpio *.gz }
case_tar_stream() { tar cf - docs binary.bin | (mkdir y; cd y; tar xf -); diff -r docs y/docs; cmp binary.bin y/binary.bin && echo same; rm -f a.tar a.tgz a.cpio ../a.cpio *.gz }
case_tar_update() { tar cf a.tar words.txt; tar rf a.tar numbers.txt; tar tf a.tar; echo more >> words.txt; tar uf a.tar words.txt; tar tf a.tar; tar --delete -f a.tar numbers.txt; tar tf a.tar; rm -f a.tar a.tgz a.cpio ../a.cpio *.gz }
case_tar_modes() { chmod 700 script.sh; mkdir -m 750 m; touch -d '2010-01-01' m/f; tar cf a.tar script.sh m; rm -r script.sh m; tar xpf a.tar; stat -c '%n %a' script.sh m; stat -c %Y m/f; rm -f a.tar a.tgz a.cpio ../a.cpio *.gz }
case_tar_verify() { tar cf a.tar docs; tar df a.tar && echo equal; echo x >> docs/one.md; tar df a.tar; echo $?; tar xf nothing.tar; rm -f a.tar a.tgz a.cpio ../a.cpio *.gz }
case_gzip() { gzip -k words.txt; gzip -dc words.txt.gz | cmp - words.txt && echo same; gzip numbers.txt; ls numbers*; gunzip numbers.txt.gz; ls numbers*; gzip -l words.txt.gz | awk 'NR==2 {print $2}'; zcat words.txt.gz | head -1; gzip words.txt < /dev/null; gzip -t words.txt.gz && echo good; rm -f a.tar a.tgz a.cpio ../a.cpio *.gz }
case_xz() { xz -k -0 words.txt; xz -dc words.txt.xz | cmp - words.txt && echo same; xz -0 binary.bin; unxz binary.bin.xz; stat -c %s binary.bin; }
case_zstd() { zstd -q words.txt; zstd -qdc words.txt.zst | cmp - words.txt && echo same; zstd -q --rm binary.bin; zstd -qd binary.bin.zst; stat -c %s binary.bin; }
case_cpio() { find docs words.txt | sort | cpio -o 2> /dev/null > a.cpio; mkdir x; cd x; cpio -idm < ../a.cpio 2> /dev/null; find . | sort; diff -r docs ../docs && echo same; rm -f a.tar a.tgz a.cpio ../a.cpio *.gz }
case_cpio_pass() { mkdir to; find docs | cpio -pdm to 2> /dev/null; diff -r docs to/docs && echo same; rm -f a.tar a.tgz a.cpio ../a.cpio *.gz }
