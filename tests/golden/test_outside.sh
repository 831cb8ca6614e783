# What a program sees of itself: descriptor numbers, limits, memory, messages, signals. On an ordinary directory nothing of it
# may show that a library is loaded.
case_descriptor_numbers() { python3 -I -B -c '
import os, socket
fds = [os.open("words.txt", os.O_RDONLY), os.dup(0), *os.pipe(), socket.socket().detach(), os.open(".", os.O_RDONLY), os.open("new", os.O_WRONLY | os.O_CREAT), os.memfd_create("m"), os.eventfd(0)]
print(fds); os.close(4); print(os.open("numbers.txt", os.O_RDONLY)); os.dup2(3, 200); print(os.open("docs", os.O_RDONLY)); os.closerange(3, 256); print(os.open("words.txt", os.O_RDONLY))
for f in range(3, 900):
    try: os.fstat(f); print("open", f)
    except OSError as e: assert e.errno == 9
for f in (1023, 1022, 1000, 960):
    try: os.close(f); print("closed", f)
    except OSError: pass
'; }
case_proc_self_fd() { ls /proc/self/fd; cat < words.txt > /dev/null; sh -c 'ls /proc/self/fd; ls /proc/$$/fd; exec 5< words.txt; ls /proc/$$/fd'; bash -c 'exec 7> f; for i in 0 7; do readlink /proc/$$/fd/$i; done; echo x >&7' | sed "s|$TOP_DIR||"; readlink /proc/self/cwd | sed "s|$TOP_DIR||"; python3 -I -B -c 'import os; f = open("words.txt"); print(sorted(os.listdir("/proc/self/fd"), key=int)); print(os.path.basename(os.readlink("/proc/self/fd/3")))'; cat /proc/self/fdinfo/0 | head -2; find . -maxdepth 0 -exec ls /proc/self/fd \;; xargs ls < /dev/null /proc/self/fd; grep -c . /proc/self/mountinfo > /dev/null; tail -c 5 /proc/self/fd/3 3< words.txt; }
case_low_numbers() { cat > low.py <<-'END'
	import os
	print([int(f) for f in os.listdir("/proc/self/fd") if int(f) < 900 and os.path.exists("/proc/self/fd/" + f)])
	END
	python3 -I -B low.py; python3 -I -B low.py < words.txt 5< docs/one.md; (cd docs; python3 -I -B ../low.py 2> err); find docs -name one.md -exec python3 -I -B low.py \;; echo | xargs python3 -I -B low.py; cat words.txt | python3 -I -B low.py | cat; }
case_limits() { ulimit -n 20; cat words.txt | wc -l; python3 -I -B -c '
import os
n = []
try:
    while True: n.append(os.open("words.txt", os.O_RDONLY))
except OSError as e: print(e, n[0], len(n) > 10)'; ulimit -n 6; cat docs/one.md; ulimit -n; ulimit -a | grep -v 'pending\|memory' | md5sum; (ulimit -f 4; dd if=/dev/zero of=big bs=1k count=100 2> /dev/null; echo $?; stat -c %s big) 2> /dev/null; }
case_last_number() { ulimit -n 4; cat docs/one.md; }
case_memory_limit() { (ulimit -v 400000; cat words.txt | wc -l; ls docs; sort words.txt | md5sum; cp words.txt w; cmp w words.txt && echo same); (ulimit -s 256; ls docs; find . -name '*.md' | sort; cp -r docs d; rm -r d); }
case_messages() { cat nothing docs; ls nothing; cp nothing x; mv nothing x; rm nothing; mkdir docs; rmdir docs; touch nothing/x; ln -s x link; cd nothing; . nothing; exec 3< nothing; echo x > docs; echo x > nothing/x; chmod 600 nothing; readlink nothing; tar cf nothing/a.tar docs; python3 -I -B -c 'open("nothing")' 2>&1 | tail -1; perl -e 'open F, "<", "nothing" or die "$!"'; find nothing; grep x nothing; sed p nothing; sort nothing; head nothing; wc nothing; cat words.txt/x; cat "$(printf 'x%.0s' $(seq 300))"; ./nothing; ./words.txt; ./docs; nonexistent-program-name 2> /dev/null; mv docs docs/x; cp words.txt words.txt; cat ''; cat < ''; }
case_signals() { sh -c 'trap "echo int > t; exit 5" INT; kill -INT $$'; echo $?; cat t; timeout 0.2 sleep 5; echo $?; (sh -c 'kill -PIPE $$'; echo $?) 2> /dev/null; yes | head -1; seq 100000 | head -1; python3 -I -B -c 'import signal; print([s for s in signal.Signals if signal.getsignal(s) not in (signal.SIG_DFL, None)]); print(signal.pthread_sigmask(signal.SIG_BLOCK, []))'; grep -h 'Sig[BIC]' /proc/self/status; sh -c 'grep "Sig[BI]" /proc/self/status'; bash -c 'jobs; wait; echo $?'; env -i /bin/sh -c 'echo "$0"; pwd | sed "s,.*/,,"'; grep -h 'Threads\|Umask\|NoNewPrivs\|Seccomp:\|CapEff' /proc/self/status; cat /proc/self/comm; tr '\0' ' ' < /proc/self/cmdline; echo; python3 -I -B -c 'import os; print(os.getpid() == os.getpgid(0), os.getsid(0) == os.getppid(), len(os.listdir("/proc/self/task")))
try: print(os.waitpid(-1, os.WNOHANG))
except OSError as e: print(e)'; }
case_errno() { cat > e.c <<-'END'
	#include <errno.h>
	#include <fcntl.h>
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <sys/stat.h>
	#include <unistd.h>
	#include <dirent.h>
	int main(void) {
		struct stat st; char b[100]; FILE *f; DIR *d; int fd;
		errno = 77;
		fd = open("words.txt", O_RDONLY); printf("%d %d\n", fd, errno); printf("%zd %d\n", read(fd, b, 10), errno); printf("%d %d\n", fstat(fd, &st), errno); printf("%d %d\n", close(fd), errno);
		f = fopen("words.txt", "r"); printf("%d %d\n", fileno(f), errno); printf("%d %d\n", getc(f), errno); fclose(f); printf("%d\n", errno);
		d = opendir("docs"); printf("%d %d\n", dirfd(d), errno); while (readdir(d)) ; printf("%d\n", errno); closedir(d);
		printf("%d %d\n", stat("words.txt", &st), errno); printf("%d %d\n", access("words.txt", R_OK), errno); printf("%d %d\n", open("nothing", O_RDONLY), errno); errno = 77;
		printf("%d %d\n", open(NULL, O_RDONLY), errno); printf("%d %d\n", open((char *)1, O_RDONLY), errno); printf("%d %d\n", stat((char *)1, &st), errno); printf("%d %d\n", rename(NULL, "x"), errno); printf("%d %d\n", close(-1), errno); printf("%d %d\n", close(12345), errno); printf("%d %d\n", dup2(0, -1), errno);
		printf("%d\n", isatty(0)); printf("%p\n", (void *)realpath("nothing", NULL)); printf("%d\n", getenv("LD_PRELOAD_X") == NULL); printf("%d %d\n", read(0, (char *)1, 10) <= 0, chdir("nothing")); printf("%d\n", open("new", O_CREAT | O_EXCL | O_RDWR, 0640)); printf("%d\n", dup(0)); printf("%d\n", fcntl(0, F_DUPFD, 100)); return 0;
	}
	END
	gcc -w -o e e.c && ./e; ./e > /dev/null; sh -c 'exec ./e' < words.txt; rm -f e; }
case_static() { gcc -static -x c -o s - <<< '#include <stdio.h>
int main(void) { FILE *f = fopen("words.txt", "r"); puts(f ? "found" : "missing"); return !f; }'; ./s; rm s; }
case_heap() { cat > h.c <<-'END'
	#include <fcntl.h>
	#include <malloc.h>
	#include <stdio.h>
	#include <sys/stat.h>
	#include <unistd.h>
	int main(void) {
		struct stat st; char b[64]; struct mallinfo2 a = mallinfo2(); void *brk = sbrk(0);
		for (int i = 0; i < 1000; i++) { int fd = open("words.txt", O_RDONLY); read(fd, b, 64); fstat(fd, &st); lseek(fd, 5, SEEK_SET); close(fd); stat("docs", &st); access("nothing", 0); rename("nothing", "x"); open("nothing/x", O_RDONLY); }
		struct mallinfo2 c = mallinfo2(); printf("%zu %zu %d\n", a.uordblks, c.uordblks - a.uordblks, sbrk(0) == brk); return 0;
	}
	END
	gcc -w -o h h.c && ./h; rm h; }
case_environment() { env | grep -v '^\(_\|PWD\|OLDPWD\|SHLVL\|RESULTS\|TOP_DIR\|HOME\|PATH\|D\)=' | sort | md5sum; env -i env; env -i /usr/bin/python3 -I -c 'import os; print(len(os.environ))'; ldd /bin/cat | awk '{print $1}' | sort; LD_DEBUG=nothing true; grep -c slipstream /proc/self/maps; }
