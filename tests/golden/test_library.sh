# dlopen: shared libraries, what they need, and the modules of python and perl, loaded from the prefix.
twice() { echo "int $1_value = $2; int $1(void) { return $1_value; }"; }
library() { gcc -shared -fPIC -O1 -x c -o "$@"; }
opener() { # a program that opens what it is told to
	gcc -O1 -o opener -x c - "$@" <<'EOF'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
static int named(struct dl_phdr_info *l, size_t n, void *name) { (void)n; return !strcmp(l->dlpi_name, name); }
static void *opened(const char *path, int mode) {
	void *l = dlopen(path, mode);
	char *why = l ? NULL : dlerror();
	printf("%s: %s\n", path, l ? "opened" : why ? why : "not loaded");
	return l;
}
int main(int argc, char **argv) {
	void *first = NULL, *l;
	int (*f)(void), *value;
	Dl_info about;
	for (int i = 2; i < argc; i++) {
		opened(argv[i], RTLD_NOW | RTLD_NOLOAD);
		l = opened(argv[i], RTLD_NOW);
		if (!l) continue;
		if (i == 2) first = l; else printf("%s the first\n", l == first ? "it is" : "it is not");
		printf("again: %d %d\n", dlopen(argv[i], RTLD_LAZY) == l, dlopen(argv[i], RTLD_NOW | RTLD_NOLOAD) == l);
		f = (int (*)(void))dlsym(l, argv[1]);
		if (!f) { printf("%s\n", dlerror()); continue; }
		value = dlsym(l, strcat(strcpy((char[64]){0}, argv[1]), "_value"));
		printf("%d\n", f());
		if (value) ++*value;
		dladdr(f, &about);
		printf("in %s: %d\n", about.dli_fname, dl_iterate_phdr(named, argv[i]));
	}
	l = opened(argv[2], RTLD_NOW | RTLD_NOLOAD);
	for (int i = 0; l && i < 99 && !dlclose(first); i++) ;
	opened(argv[2], RTLD_NOW | RTLD_NOLOAD);
	printf("%s\n", dlerror() ? "an error" : "no error");
	return 0;
}
EOF
}
case_open() { twice a 7 | library a.so -; ln -s a.so link.so; cp a.so other.so; opener; ./opener a "$D/a.so" "$D/link.so" "$D/other.so"; (cd docs && ../opener a ../a.so); rm -f ./*.so opener; }
case_errors() { twice a 7 | library a.so -; echo 'int none(void); int a(void) { return none(); }' | library b.so -; opener; ./opener a "$D/nothing.so" "$D/words.txt" "$D/docs" "$D/b.so"; cp a.so c.so; chmod 0 a.so; head -c 40 c.so > d.so; ./opener a "$D/d.so"; ./opener zzz "$D/c.so"; rm -f ./*.so opener; }
case_needed() {
	mkdir -p lib/deep; twice c 3 | library lib/deep/libc3.so -; echo 'int c(void); int b(void) { return c() * 10; }' | library lib/libb.so - -Wl,-soname,libb.so -Llib/deep -lc3 -Wl,--disable-new-dtags,-rpath,'${ORIGIN}/deep'
	echo 'int b(void), c(void); int a(void) { return b() + c(); }' | library a.so - -Llib -lb -Llib/deep -lc3 -Wl,--enable-new-dtags,-rpath,'/nowhere:$ORIGIN/lib:$ORIGIN/lib/deep'
	echo 'int b(void); int d(void) { return b() + 1; }' | library d.so - -Llib -lb -Wl,--disable-new-dtags,-rpath,'$ORIGIN/lib'
	opener; ./opener a "$D/a.so"; ./opener d "$D/d.so" "$D/a.so"; ./opener b "$D/lib/libb.so" "$D/d.so"; mv lib/libb.so x; ./opener a "$D/a.so"; rm -rf ./*.so lib x opener
}
case_needed_by_path() { twice c 3 | library c.so -; echo 'int c(void); int a(void) { return c() + 1; }' | library a.so - "$D/c.so"; readelf -d a.so | grep -c "$D/c.so"; opener; ./opener a "$D/a.so"; rm -f ./*.so opener; }
case_library_path() { mkdir l; twice c 3 | library l/libc3.so -; echo 'int c(void); int a(void) { return c() + 1; }' | library a.so - -Ll -lc3; opener; LD_LIBRARY_PATH=$D/l ./opener a "$D/a.so"; rm -rf a.so l opener; }
case_name_alone() { d=$(mktemp -d); twice a 7 | library "$d/liba9.so" -; opener "-Wl,--enable-new-dtags,-rpath,$d"; ./opener a liba9.so | sed "s,$d,,g"; ./opener a nothing.so; rm -rf "$d" opener; }
case_name_alone_of_ours() {
	mkdir l; twice a 7 | library l/liba9.so -; opener; LD_LIBRARY_PATH=$D/l ./opener a liba9.so; LD_LIBRARY_PATH=$D/l python3 -c 'import ctypes; print(ctypes.CDLL("liba9.so").a())'
	./opener a liba9.so; opener '-Wl,-rpath,$ORIGIN/l'; ./opener a liba9.so libm.so.6; opener '-Wl,--disable-new-dtags,-rpath,$ORIGIN/l'; ./opener a liba9.so nothing.so
	echo '#include <dlfcn.h>
int b(void) { void *l = dlopen("liba9.so", RTLD_NOW); return l ? ((int (*)(void))dlsym(l, "a"))() + 1 : -1; }' | library l/libb9.so - '-Wl,-rpath,$ORIGIN'; opener; ./opener b "$D/l/libb9.so"; rm -rf l opener
}
case_link() { twice a 7 | library a.so -; d=$(mktemp -d); ln -s "$D" "$d/app"; opener; ./opener a "$d/app/a.so" "$D/a.so" "$d/app/nothing.so" | sed "s,$d,,g"; rm -rf "$d" a.so opener; }
case_not_closed() { twice a 7 | library a.so -; python3 -I -B -c 'import ctypes, os, sys
numbers = lambda: sorted(f for f in os.listdir("/proc/self/fd") if int(f) < 100)
before = numbers()
l = [ctypes.CDLL(sys.argv[1]) for _ in range(3)]
print(numbers() == before, len({x._handle for x in l}), ctypes.c_int.in_dll(l[0], "a_value").value)
os.remove(sys.argv[1])
print(l[0].a(), ctypes.CDLL(sys.argv[1]).a())' "$D/a.so"; }
case_python() {
	mkdir site; cp "$(python3 -c 'import _json; print(_json.__file__)')" "$(python3 -c 'import _bisect as m, _queue as q; print(getattr(m, "__file__", q.__file__))')" site
	PYTHONPATH=$D/site python3 -B -c 'import _json, _queue, os, sys
print(_json.__file__.startswith(sys.argv[1]), _json.scanstring("one\" two", 0), _queue.SimpleQueue().qsize())
import json; print(json.dumps({"a": [1, 2.5, None]}), json.c_make_encoder is not None)
open(sys.argv[1] + "/bad.so", "w").write("no library")
try: import bad
except ImportError as e: print(str(e).replace(sys.argv[1], ""))' "$D/site"
	rm -r site
}
case_perl() {
	arch=$(perl -MConfig -e 'print $Config{archlib}'); mkdir -p p/auto/List/Util p/List; cp "$arch/List/Util.pm" p/List; cp "$arch/auto/List/Util/Util.so" p/auto/List/Util
	PERL5LIB=$D/p perl -e 'use List::Util qw(sum max); print "$INC{q(List/Util.pm)}\n", sum(1 .. 10), " ", max(3, 9, 2), "\n"; print grep { m(/p/auto/) } @DynaLoader::dl_shared_objects'; echo; rm -r p
}
case_catalogue() {
	printf '$set 1\n1 hallo\n2 welt\n' > m.msg; gencat m.cat m.msg
	gcc -o say -x c - <<< '#include <nl_types.h>
#include <stdio.h>
int main(int c, char **v) { nl_catd d = catopen(v[1], 0); if (d == (nl_catd)-1) perror("catopen"); printf("%s %s\n", catgets(d, 1, 1, "hello"), catgets(d, 1, 2, "world")); return d == (nl_catd)-1 ? 1 : catclose(d); }'
	./say "$D/m.cat"; ./say ./m.cat; ./say "$D/nothing.cat"; ./say nothing; rm m.cat say
}
# Programs that are linked with libraries in the prefix.
with_libraries() {
	mkdir -p app/bin app/lib/deep
	twice c 3 | library app/lib/deep/libc3.so - -Wl,-soname,libc3.so
	echo 'int c(void); int b(void) { return c() * 10; }' | library app/lib/libb.so.1 - -Wl,-soname,libb.so.1 -Lapp/lib/deep -lc3 -Wl,-rpath,'$ORIGIN/deep'
	ln -s libb.so.1 app/lib/libb.so
	link_program -Lapp/lib -lb -Wl,-rpath-link,app/lib/deep "$@"
}
link_program() {
	gcc -o app/bin/linked -x c - "$@" <<'EOF'
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int b(void);
int main(int argc, char **argv) {
	Dl_info about;
	int numbers = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d)) numbers++;
	dladdr((void *)b, &about);
	printf("%s: %d from %s, %s, %d numbers\n", argv[0], b(), about.dli_fname, getenv("SLIPSTREAM_NEEDED"), numbers);
	return 0;
}
EOF
}
case_linked() {
	with_libraries -Wl,-rpath,'$ORIGIN/../lib'
	{ app/bin/linked; "$D/app/bin/linked"; env app/bin/linked; PATH=$D/app/bin:$PATH linked; (cd /; exec "$D/app/bin/linked"); ln -s ../bin/linked app/lib/alias; app/lib/alias; env -i "$D/app/bin/linked"; } < /dev/null
	printf '#!%s/app/bin/linked\n' "$D" > script; chmod +x script; ./script
	python3 -c 'import os, subprocess, sys
print(subprocess.run(sys.argv[1], capture_output=True).stdout)
sys.stdout.flush()
os.waitpid(os.posix_spawn(sys.argv[1], ["spawned"], os.environ), 0)
os.waitpid(os.posix_spawn(sys.argv[1], ["spawned"], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 1, 2), (os.POSIX_SPAWN_CLOSE, 0)]), 0)' "$D/app/bin/linked"
	(ulimit -n 40; perl -e 'system($ARGV[0]); print "$?\n"' "$D/app/bin/linked")
	mv app/lib/libb.so.1 x; app/bin/linked 2>&1 | sed 's/[^:]*: //'; rm -rf app script x
}
case_linked_library_path() {
	d0=$(mktemp -d); with_libraries; cp app/bin/linked "$d0/linked"
	export LD_LIBRARY_PATH=/nowhere:$D/app/lib
	{ app/bin/linked; "$d0/linked"; sh -c "$d0/linked"; python3 -c 'import os, sys; os.waitpid(os.posix_spawn(sys.argv[1], ["spawned"], os.environ), 0)' "$d0/linked"; } | sed "s,$d0,,"
	unset LD_LIBRARY_PATH; app/bin/linked 2>&1 | sed 's/[^:]*: //'; rm -rf app "$d0"
}
case_linked_without_soname() {
	mkdir -p app/bin; twice c 3 | library app/libc3.so -; echo 'int c(void); int b(void) { return c() * 10; }' | library app/libb.so - -Lapp -lc3
	link_program -Lapp -lb -Wl,-rpath-link,app '-Wl,-rpath,$ORIGIN/..'; d0=$(mktemp -d); cp app/bin/linked "$d0"
	app/bin/linked 2>&1 | sed 's/[^:]*: //'
	export LD_LIBRARY_PATH=$D/app; { app/bin/linked; "$d0/linked"; env env | grep LIBRARY; } | sed "s,$d0,,"
	twice c 4 | library app/libc3.so - -Wl,-soname,another.so; "$d0/linked" | sed "s,$d0,,"
	LD_LIBRARY_PATH=$D/app:/nowhere "$d0/linked" | sed "s,$d0,,"; LD_LIBRARY_PATH=app app/bin/linked
	python3 -c 'import os, sys; os.waitpid(os.posix_spawn(sys.argv[1], ["spawned"], os.environ), 0)' app/bin/linked
	rm -rf app "$d0"
}
