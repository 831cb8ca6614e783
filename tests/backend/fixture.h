/*
 * fixture.h: an embedded server of a test's own, on a private directory.
 *
 * The program is $BUILD/slipstream (BUILD defaults to `build`), run as its users run it: the server is a process that
 *can be stopped, killed and started again on what it left behind. It goes when the test does, however the test ends: it
 *watches a pipe whose other end only the test holds.
 *
 *	struct fixture f;
 *	fixture_start(&f, "--workers=2", NULL);     fails the test if the server does not come up
 *	... f.master, f.worker[0] are "host:port" ...
 *	fixture_kill(&f); fixture_restart(&f);      SIGKILL, and again on the same directory
 *	fixture_fault(&f, "short-read=1\n");        from now on, and nothing else; "" for none
 *	fixture_release(&f);                        stop, remove the directory
 */
#ifndef SLIPSTREAM_TESTS_FIXTURE_H
#define SLIPSTREAM_TESTS_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIXTURE_MAX_WORKERS 8
#define FIXTURE_MAX_ARGS    24
#define FIXTURE_READY_MS    20000

struct fixture {
	char dir[64];                         /* ours, made by mkdtemp */
	char root[80];                        /* the server's --root, inside dir */
	char master[64];                      /* "host:port" */
	char worker[FIXTURE_MAX_WORKERS][64]; /* the same, in the order of their ids 1, 2... */
	int nworkers;
	char *extra[FIXTURE_MAX_ARGS]; /* options beyond --root, kept for fixture_restart() */
	pid_t pid;                     /* 0: not running */
	int alive_fd;                  /* the end whose closing stops the server */
	int out_fd;                    /* the server's standard output */
};

__attribute__((noreturn, format(printf, 1, 2))) static inline void fixture_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("fixture: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(99);
}

static inline const char *fixture_program(void)
{
	static char path[4096];
	const char *build = getenv("BUILD");

	snprintf(path, sizeof(path), "%s/slipstream", build && *build ? build : "build");
	return path;
}

/* One line from fd, without its end; false at end of file or when time is up. */
static inline int fixture_read_line(int fd, char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int rc = poll(&ready, 1, FIXTURE_READY_MS);

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0 || read(fd, line + n, 1) != 1)
			return 0;
		if (line[n] == '\n') {
			line[n] = 0;
			return 1;
		}
		n++;
	}
	return 0;
}

static inline void fixture_parse_ready(struct fixture *f, const char *line)
{
	char workers[FIXTURE_MAX_WORKERS * 64];
	char *save = NULL;

	if (sscanf(line, "slipstream server ready: master=%63s workers=%511s", f->master, workers) != 2)
		fixture_die("not a ready line: '%s'", line);
	f->nworkers = 0;
	for (char *one = strtok_r(workers, ",", &save); one && f->nworkers < FIXTURE_MAX_WORKERS;
	     one = strtok_r(NULL, ",", &save))
		snprintf(f->worker[f->nworkers++], sizeof(f->worker[0]), "%s", one);
}

__attribute__((noreturn)) static inline void fixture_exec(struct fixture *f, int alive, int out)
{
	char number[16];
	const char *argv[FIXTURE_MAX_ARGS + 8];
	int n = 0;

	snprintf(number, sizeof(number), "%d", alive);
	argv[n++] = fixture_program();
	argv[n++] = "server";
	argv[n++] = "--root";
	argv[n++] = f->root;
	argv[n++] = "--exit-with-parent-fd";
	argv[n++] = number;
	for (int i = 0; f->extra[i]; i++)
		argv[n++] = f->extra[i];
	argv[n] = NULL;
	if (fcntl(alive, F_SETFD, 0) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(127);
	execv(argv[0], (char *const *)argv);
	fprintf(stderr, "fixture: cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Start the server on f->root, which may hold what an earlier one left, and wait until it is ready. */
static inline void fixture_restart(struct fixture *f)
{
	int alive[2], out[2];
	char line[1024];

	if (pipe2(alive, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		fixture_die("pipe: %s", strerror(errno));
	f->pid = fork();
	if (f->pid < 0)
		fixture_die("fork: %s", strerror(errno));
	if (f->pid == 0)
		fixture_exec(f, alive[0], out[1]);
	close(alive[0]);
	close(out[1]);
	f->alive_fd = alive[1];
	f->out_fd = out[0];
	if (!fixture_read_line(f->out_fd, line, sizeof(line)))
		fixture_die("the server did not become ready");
	fixture_parse_ready(f, line);
}

/* Further arguments are options of the server, up to a NULL. */
static inline void fixture_start(struct fixture *f, ...)
{
	va_list options;
	const char *option;
	int n = 0;

	memset(f, 0, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "%s", "/tmp/slipstream-test-XXXXXX");
	if (!mkdtemp(f->dir))
		fixture_die("mkdtemp: %s", strerror(errno));
	snprintf(f->root, sizeof(f->root), "%s/root", f->dir);
	va_start(options, f);
	while ((option = va_arg(options, const char *)) && n < FIXTURE_MAX_ARGS - 1)
		f->extra[n++] = strdup(option);
	va_end(options);
	fixture_restart(f);
}

/* Make the server fail in these ways (slipstream server --help), one to a line, once it says that it does. */
static inline void fixture_fault(struct fixture *f, const char *lines)
{
	char path[128], said[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/faults", f->root);
	file = fopen(path, "we");
	if (!file || fputs(lines, file) < 0 || fclose(file))
		fixture_die("%s: %s", path, strerror(errno));
	if (kill(f->pid, SIGUSR1) || !fixture_read_line(f->out_fd, said, sizeof(said)))
		fixture_die("the server did not read its faults");
	if (strncmp(said, "slipstream server faults: ", 26) || (*lines && !strcmp(said + 26, "none")))
		fixture_die("not the faults asked for: '%s'", said);
}

/* Wait for the server to end; its wait status. */
static inline int fixture_reap(struct fixture *f)
{
	int status = 0;

	while (waitpid(f->pid, &status, 0) < 0 && errno == EINTR)
		;
	f->pid = 0;
	close(f->alive_fd);
	close(f->out_fd);
	return status;
}

/* SIGTERM; 0 when the server ended well. */
static inline int fixture_stop(struct fixture *f)
{
	kill(f->pid, SIGTERM);
	return fixture_reap(f);
}

/* SIGKILL: what a crash is for the server. */
static inline void fixture_kill(struct fixture *f)
{
	kill(f->pid, SIGKILL);
	fixture_reap(f);
}

static inline int fixture_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Stop the server if it runs, and remove the directory. */
static inline void fixture_release(struct fixture *f)
{
	if (f->pid)
		fixture_stop(f);
	nftw(f->dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	for (int i = 0; f->extra[i]; i++)
		free(f->extra[i]);
}

#endif
