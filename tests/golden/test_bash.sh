# bash: redirections, here documents, pipes, globbing, tests and loops on files.
case_redirect() { echo one > o; echo two >> o; cat o; cat < o > p; ls -l o | cut -c1-10; }
case_noclobber() { set -C; echo a > f; echo b > f; echo "status $?"; cat f; echo c >| f; cat f; }
case_heredoc() { cat <<-END > h
	line $((1 + 2))
	END
	cat h; }
case_descriptors() { exec 3> f 4< words.txt; read -r -u 4 line; echo "$line" >&3; read -r line <&4; echo "$line" >&3; exec 3>&- 4<&-; cat f; }
case_both_streams() { { echo out; echo err >&2; } > both 2>&1; cat both; ls nothing &> err; wc -l < err; }
case_readwrite() { printf 'abcdef\n' > f; exec 5<> f; read -r -n 2 -u 5 x; echo "$x"; printf 'XY' >&5; exec 5>&-; cat f; }
case_glob() { echo *.txt; echo docs/*; echo **/nothing; shopt -s globstar nullglob; echo **/*.md; echo no*such; }
case_tests() { for f in words.txt docs link nothing script.sh; do for t in -e -f -d -L -x -s -r; do test $t $f && echo "$f $t"; done; done; [ words.txt -nt nothing ] && echo newer; }
case_loop() { for i in 1 2 3 4 5; do echo "line $i" >> log; done; while read -r a b; do echo "$b-$a"; done < log > out; cat out; }
case_subshells() { (cd docs && pwd | sed "s|$TOP_DIR||" && ls); pwd | sed "s|$TOP_DIR||"; ( echo a; echo b ) > f; { cat f; echo c; } | tac > g; cat g; }
case_process_substitution() { diff <(sort numbers.txt) <(sort -r numbers.txt | tac) && echo same; sort words.txt | tee >(wc -l > count; : > done) > sorted; until [ -e done ]; do sleep 0.05; done; cat count; }
case_source() { echo 'X=42; f() { echo "f $1"; }' > lib; . ./lib; f "$X"; bash ./lib; echo $?; }
case_script() { ./script.sh a b; sh script.sh c; cp script.sh docs/s; docs/s d; chmod -x docs/s; docs/s e; echo $?; }
case_errors() { cat nothing; echo x > docs; echo $?; cat docs; cd nothing; echo x > nothing/y; echo x > words.txt/y; rmdir docs; rm docs; }
case_background() { (echo background > bg) & wait; cat bg; for i in 1 2 3; do echo $i > f$i & done; wait; cat f1 f2 f3; }
case_mapfile() { mapfile -t lines < words.txt; echo ${#lines[@]}; echo "${lines[7]}"; }
case_pipeline() { cat words.txt | tr ' ' '\n' | sort | uniq -c | sort -rn | head -5; echo "${PIPESTATUS[@]}"; }
case_append_many() { for i in $(seq 50); do echo $i >> f; done; md5sum < f; exec 3>> f 4>> f; echo a >&3; echo b >&4; echo c >&3; exec 3>&- 4>&-; tail -3 f; }
case_cd() { cd docs/deep; echo x > here; cd ..; cat deep/here; cd ../docs/./deep/..; ls; cd - > /dev/null; cat here; OLD=$PWD; cd /; cd "$OLD"; ls; }
