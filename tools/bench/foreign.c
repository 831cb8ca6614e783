/*
 * foreign.c: the price of a call that is not ours. Each function is called as the program sees it, and in libc itself, in
 * turns, on an ordinary file; the difference is what the shim takes. Then a child repeats the calls under ptrace: system calls are
 * counted; and calls of malloc() and its kin by the program's own.
 *
 *   foreign FILE         prints NAME|libc, ns|here, ns|difference, ns|first quartile|third|system calls more|allocations
 */
#include "tools/bench/bench.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS ROUNDS_MAX
#define CALLS  200
#define TRACED 50

/* Ours come before libc's for the whole process: what allocates is seen. */
static _Atomic unsigned long allocations;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

__attribute__((visibility("default"))) void *malloc(size_t n)
{
	allocations++;
	return __libc_malloc(n);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t n)
{
	allocations++;
	return __libc_realloc(p, n);
}

static int file, null; /* descriptors */
static const char *path;
static char byte;

typedef void one(void *function);

static void do_read(void *f)
{
	((ssize_t(*)(int, void *, size_t))f)(null, &byte, 1);
}

static void do_write(void *f)
{
	((ssize_t(*)(int, const void *, size_t))f)(null, &byte, 1);
}

static void do_lseek(void *f)
{
	((off_t(*)(int, off_t, int))f)(file, 0, SEEK_SET);
}

static void do_fstat(void *f)
{
	struct stat st;

	((int (*)(int, struct stat *))f)(file, &st);
}

static void do_stat(void *f)
{
	struct stat st;

	((int (*)(const char *, struct stat *))f)(path, &st);
}

/* Descriptors come and go by libc's own functions where they are not what is measured. */
static int (*libc_dup)(int), (*libc_close)(int);

static void do_open(void *f)
{
	libc_close(((int (*)(const char *, int, ...))f)(path, O_RDONLY));
}

static void do_close(void *f)
{
	((int (*)(int))f)(libc_dup(null));
}

static void do_dup2(void *f)
{
	((int (*)(int, int))f)(null, null + 1);
}

static const struct call {
	const char *name;
	one *run;
} calls[] = {
	{"read", do_read}, {"write", do_write}, {"lseek", do_lseek}, {"fstat", do_fstat},
	{"stat", do_stat}, {"open", do_open},   {"close", do_close}, {"dup2", do_dup2},
};

static double each(one *run, void *function)
{
	double began = now_ns();

	for (unsigned i = 0; i < CALLS; i++)
		run(function);
	return (now_ns() - began) / CALLS;
}

/* ---- system calls ------------------------------------------------------------------------------------------------ */

static pid_t traced_start(one *run, void *function)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	run(function); /* what happens once has happened */
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	for (unsigned i = 0; i < TRACED; i++)
		run(function);
	raise(SIGSTOP);
	_Exit(0);
}

static void traced_wait(pid_t pid, int *status)
{
	if (waitpid(pid, status, 0) != pid)
		die("waitpid");
}

/* How many the calls make, from one SIGSTOP to the next. */
static long system_calls(one *run, void *function)
{
	pid_t pid = traced_start(run, function);
	long stops = 0;
	int status;

	traced_wait(pid, &status);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	do {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL))
			die("ptrace");
		traced_wait(pid, &status);
		stops += WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80);
	} while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP);
	kill(pid, SIGKILL);
	traced_wait(pid, &status);
	return stops / 2;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static void measure(const struct call *call, void *libc)
{
	void *theirs = dlsym(libc, call->name), *ours = dlsym(RTLD_DEFAULT, call->name);
	static double a[ROUNDS], b[ROUNDS], more[ROUNDS];
	unsigned long before;

	if (!theirs || !ours)
		die("%s", call->name);
	each(call->run, ours);
	before = allocations;
	for (unsigned i = 0; i < ROUNDS; i++) {
		a[i] = each(call->run, theirs);
		b[i] = each(call->run, ours);
		more[i] = b[i] - a[i];
	}
	before = allocations - before;
	printf("%s|%.1f|%.1f|%.1f|%.1f|%.1f|%ld|%lu\n", call->name, quantile(a, ROUNDS, 0.5), quantile(b, ROUNDS, 0.5),
	       quantile(more, ROUNDS, 0.5), quantile(more, ROUNDS, 0.25), quantile(more, ROUNDS, 0.75),
	       system_calls(call->run, ours) - system_calls(call->run, theirs), before);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	path = argc > 1 ? argv[1] : "/";
	file = open(path, O_RDONLY);
	null = open("/dev/null", O_RDWR);
	if (argc != 2 || !libc || file < 0 || null < 0)
		die("foreign FILE");
	*(void **)&libc_dup = dlsym(libc, "dup");
	*(void **)&libc_close = dlsym(libc, "close");
	for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
		measure(&calls[i], libc);
	return 0;
}
