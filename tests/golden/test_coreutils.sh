# GNU coreutils: files whole, names, attributes.
case_cp() { cp words.txt w; cmp words.txt w && echo same; cp -r docs d2; find d2 | sort; cp -p script.sh s2; ls -l s2 | cut -c1-10; cp nothing x; cp -a link l2; readlink l2; }
case_cp_over() { echo old > f; cp words.txt f; cmp words.txt f; cp -f numbers.txt f; cmp f numbers.txt; cp -n words.txt f; cmp f numbers.txt; cp --remove-destination words.txt f; cmp words.txt f; cp -b numbers.txt f; ls f*; }
case_mv() { mv words.txt w; ls w words.txt; mv docs d; ls d; mv w d/; ls d; mv d/w numbers.txt; wc numbers.txt; mv -n table.csv numbers.txt; ls table.csv; mv nothing x; }
case_rm() { rm words.txt; ls words.txt; rm -r docs; ls -d docs; rm nothing; rm -f nothing; mkdir e; rm e; rmdir e; rm -rf a b with*; ls; }
case_mkdir() { mkdir a; mkdir a; mkdir -p a/b/c; mkdir -p a/b/c; mkdir x/y; mkdir -m 700 priv; ls -ld priv a | cut -c1-10; rmdir a; rmdir -p a/b/c; ls -d a; }
case_touch() { touch new; ls -l new | cut -c1-10; stat -c %s new; touch -d '2001-02-03 04:05:06' new; stat -c %Y new; touch -r new other; stat -c %Y other; touch -c nothing; ls nothing; }
case_chmod() { chmod 600 words.txt; stat -c %a words.txt; chmod u+x,go=r words.txt; stat -c %A words.txt; chmod -R go-rwx docs; find docs -printf '%P %m\n' | sort; chmod 644 nothing; }
case_ln() { ln -s words.txt s; cat s | head -1; readlink s; ln -s nothing dangling; cat dangling; ls -l dangling | cut -c1; ln -s docs d; ls d; cat d/one.md; ln -sf numbers.txt s; head -1 s; rm s d; ls; }
case_ls() { ls; ls -a; ls -1 docs; ls -R docs; ls -F; ls -S *.txt; ls nothing; ls -d .; ls -l | awk '{print $1, $5, $NF}'; ls -p docs/; }
case_stat() { stat -c '%n %s %F %a %h' words.txt binary.bin script.sh link; stat -L -c '%s %F' link; stat -c %F docs; stat nothing; test words.txt -ef ./docs/../words.txt && echo same; }
case_cat() { cat words.txt numbers.txt > both; wc both; cat -n docs/one.md; cat - docs/two.md < docs/one.md; cat both >> both2; cmp both both2; cat words.txt nothing numbers.txt | wc -l; }
case_head_tail() { head -3 words.txt; tail -2 words.txt; head -c 20 binary.bin | od -c | head -2; tail -c +69990 binary.bin | od -An -tx1; tail -n +398 words.txt; head -n -398 words.txt; tail -q -n 1 *.txt; }
case_sort() { sort words.txt > s; sort -u -o u words.txt; sort -n numbers.txt | head -3; sort -k2,2 -t, table.csv | tail -2; sort -o numbers.txt numbers.txt; head -2 numbers.txt; sort -c s && echo sorted; sort -m s u | wc -l; sort -S 32K -T . words.txt words.txt words.txt | md5sum; }
case_uniq_cut_paste() { cut -d, -f2 table.csv | sort | uniq -c > c; cat c; paste -d: numbers.txt words.txt | head -3; cut -c1-5 words.txt | uniq -d; join <(sort words.txt | head -5) <(sort words.txt | head -5) | wc -l; comm -12 <(sort words.txt) <(sort words.txt) | wc -l; }
case_tr_fold() { tr a-z A-Z < words.txt > W; head -2 W; fold -w 20 words.txt | head -3; fmt -w 40 docs/two.md; nl docs/one.md; expand words.txt | cmp - words.txt; rev docs/one.md; tac words.txt | head -1; }
case_split() { split -l 100 words.txt part-; ls part-*; cat part-* | cmp - words.txt && echo whole; split -b 30000 binary.bin b-; cat b-* | cmp - binary.bin; csplit -s docs/one.md 2; ls xx*; }
case_dd() { dd if=binary.bin of=d bs=1000 count=10 2>/dev/null; stat -c %s d; dd if=words.txt of=d bs=1 seek=5 count=3 conv=notrunc 2>/dev/null; md5sum d; dd if=binary.bin bs=512 skip=3 count=2 2>/dev/null | md5sum; dd if=/dev/zero of=z bs=4k count=100 status=none; stat -c %s z; dd if=d of=d2 conv=swab,sync status=none; md5sum d2; dd if=/dev/null of=d seek=20 bs=1 2>/dev/null; stat -c %s d; }
case_truncate() { truncate -s 100 words.txt; wc -c words.txt; truncate -s +50 words.txt; wc -c words.txt; truncate -s 5000 new; od -c new | head -2; truncate -s 0 new; stat -c %s new; truncate -r binary.bin t; stat -c %s t; }
case_tee() { echo a | tee f g; echo b | tee -a f > /dev/null; cat f g; seq 1000 | tee x | md5sum; md5sum < x; echo z | tee nothing/x; }
case_sums() { md5sum words.txt binary.bin > sums; md5sum -c sums; sha256sum *.txt > s256; sha256sum --quiet -c s256 && echo ok; cksum binary.bin; sum words.txt; b2sum numbers.txt | cut -c1-20; }
case_wc_od() { wc words.txt numbers.txt table.csv; wc -c < binary.bin; wc -L words.txt; od -An -tx1 -N 32 binary.bin; od -j 69990 -c binary.bin | tail -1; base64 binary.bin | base64 -d | cmp - binary.bin && echo same; }
case_install() { install -m 750 script.sh bin; stat -c %a bin; install -d x/y/z; ls -d x/y/z; install -D words.txt p/q/w; ls p/q; }
case_mktemp() { f=$(mktemp -p . tXXXXXX); [ -f "$f" ] && stat -c %a "$f" && rm "$f"; d=$(mktemp -d -p . dXXXXXX); stat -c %a "$d"; rmdir "$d"; ls; }
case_realpath() { realpath link | sed "s|$TOP_DIR||"; realpath docs/../words.txt | sed "s|$TOP_DIR||"; readlink -f link | sed "s|$TOP_DIR||"; basename docs/one.md .md; dirname docs/one.md; pwd | sed "s|$TOP_DIR||"; realpath nothing/x; (cd docs; pwd -P | sed "s|$TOP_DIR||"); }
case_du_df() { du -b words.txt binary.bin; du -ab docs | sort -k2 | grep -v '	docs'; df . > /dev/null && echo df; }
case_shuf_seq() { seq 1 2000 > s; shuf s | sort -n | cmp - s && echo permuted; seq -w 1 5; factor 12; numfmt --to=iec 123456; tsort <<< "a b b c"; }
case_sparse() { truncate -s 3M hole; echo end >> hole; stat -c %s hole; cp hole hole2; cmp hole hole2; md5sum hole2; }
case_unicode() { echo x > 'häß ☃'; ls h*; cat 'häß ☃'; mv 'häß ☃' 'новый'; ls; rm новый; echo y > "$(printf 'tab\there')"; ls; }
case_big() { seq 1 600000 > big; md5sum big; sed -n 500000p big; tail -1 big; cp big big2; cmp big big2; sort -rn big | head -1; wc big2; }
case_env() { env -i /bin/cat words.txt | md5sum; env -i PATH="$PATH" sh -c 'cat numbers.txt | md5sum'; nohup cat words.txt 2> /dev/null | md5sum; timeout 5 cat words.txt | md5sum; nice cat words.txt | md5sum; xargs -a docs/one.md echo; }
