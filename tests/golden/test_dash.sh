# dash, the shell behind system(3) and make.
case_basics() { dash -c 'echo a > f; cat < f; for i in 1 2; do echo $i; done >> f; wc -l < f; [ -f f ] && echo file'; }
case_script() { printf '#!/bin/dash\necho "$0" "$@"\ncat words.txt | head -2\n' > s; chmod +x s; ./s x; dash s y; }
case_cd() { dash -c 'cd docs && ls && cd .. && ls -d docs && cat docs/one.md'; }
case_dot() { dash -c 'echo "v=7" > lib; . ./lib; echo $v'; }
case_no_exec() { dash -c './words.txt; echo $?; ./nothing; echo $?' ; }
