/*
 * check.h: plain C tests of POSIX behaviour. Nothing here knows Slipstream: every test runs on the kernel first, where a
 * failure is the test's own, and then on us.
 *
 *   TEST(dup, shares_the_offset) { int a = CHECK(open(scratch("f"), O_RDWR | O_CREAT, 0600)); ... }
 *
 * ./test_dup runs all; ./test_dup shares_the_offset runs one; SKIP names some that do not run. SCRATCH is an empty directory.
 */
#ifndef TESTS_POSIX_CHECK_H
#define TESTS_POSIX_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct test {
	const char *group, *name;
	void (*run)(void);
	struct test *next;
};
static struct test *test_first, **test_last = &test_first;
static const char *test_running = "";
static int test_failures;

#define TEST(group, what)                                                                                              \
	static void test_##group##_##what(void);                                                                       \
	static struct test test_row_##group##_##what = {#group, #what, test_##group##_##what, NULL};                   \
	__attribute__((constructor)) static void test_add_##group##_##what(void)                                       \
	{                                                                                                              \
		*test_last = &test_row_##group##_##what;                                                               \
		test_last = &test_row_##group##_##what.next;                                                           \
	}                                                                                                              \
	static void test_##group##_##what(void)

static inline void test_fail(const char *file, int line, const char *text, long got, long wanted, int error)
{
	printf("%s:%d: %s: %s: got %ld, wanted %ld (errno %d, %s)\n", file, line, test_running, text, got, wanted,
	       error, strerror(error));
	fflush(stdout);
	test_failures++;
}

/* The call must not fail; its value. */
#define CHECK(call)                                                                                                    \
	({                                                                                                             \
		errno = 0;                                                                                             \
		long check_ = (long)(call);                                                                            \
		if (check_ == -1)                                                                                      \
			test_fail(__FILE__, __LINE__, #call, check_, 0, errno);                                        \
		check_;                                                                                                \
	})
#define CHECK_INT(call, wanted)                                                                                        \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		long check_ = (long)(call), wanted_ = (long)(wanted);                                                  \
		if (check_ != wanted_)                                                                                 \
			test_fail(__FILE__, __LINE__, #call, check_, wanted_, errno);                                  \
	} while (0)
/* The call must fail with this errno. */
#define CHECK_ERRNO(call, wanted)                                                                                      \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		long check_ = (long)(call);                                                                            \
		int error_ = errno;                                                                                    \
		if (check_ != -1 || error_ != (wanted))                                                                \
			test_fail(__FILE__, __LINE__, #call, check_ == -1 ? error_ : check_, wanted, error_);          \
	} while (0)
#define CHECK_TRUE(what)                                                                                               \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		if (!(what))                                                                                           \
			test_fail(__FILE__, __LINE__, #what, 0, 1, errno);                                             \
	} while (0)
#define CHECK_STR(got, wanted)                                                                                         \
	do {                                                                                                           \
		const char *got_ = (got), *wanted_ = (wanted);                                                         \
		if (!got_ || strcmp(got_, wanted_)) {                                                                  \
			test_fail(__FILE__, __LINE__, #got, 0, 0, errno);                                              \
			printf("  got \"%s\", wanted \"%s\"\n", got_ ? got_ : "(null)", wanted_);                      \
		}                                                                                                      \
	} while (0)

static char test_dir[2048];

/* A path in this test's own empty directory; one of eight buffers, in turn. */
static inline char *scratch(const char *name)
{
	static char ring[8][PATH_MAX];
	static unsigned next;
	char *out = ring[next++ % 8];

	snprintf(out, sizeof ring[0], "%s%s%s", test_dir, *name ? "/" : "", name);
	return out;
}

/*
 * A file that somebody else put there. ELSEWHERE, if set, names a directory with two pipes: two names, each with its NUL,
 * written to the one copy a file by other means than this process's, and a line from the other says that it is done.
 */
static inline char *put_file(const char *name, const void *data, size_t n)
{
	const char *elsewhere = getenv("ELSEWHERE");
	char source[PATH_MAX], line[PATH_MAX], *path = scratch(name);
	int fd, to, from;

	snprintf(source, sizeof source, "%s/source-%d", elsewhere ? elsewhere : "", (int)getpid());
	fd = (int)CHECK(open(elsewhere ? source : path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
	CHECK_INT(write(fd, data, n), n);
	CHECK_INT(close(fd), 0);
	if (!elsewhere)
		return path;
	snprintf(line, sizeof line, "%s/to", elsewhere);
	to = (int)CHECK(open(line, O_WRONLY));
	snprintf(line, sizeof line, "%s/from", elsewhere);
	from = (int)CHECK(open(line, O_RDWR));
	CHECK_INT(write(to, source, strlen(source) + 1), strlen(source) + 1);
	CHECK_INT(write(to, path, strlen(path) + 1), strlen(path) + 1);
	CHECK_INT(read(from, line, 3), 3);
	CHECK_TRUE(!memcmp(line, "ok\n", 3));
	close(to);
	close(from);
	return path;
}

static inline char *make_file(const char *name, const char *content)
{
	return put_file(name, content, strlen(content));
}

/* What a file holds now; static. */
static inline const char *content(const char *path)
{
	static char buf[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

	if (fd < 0 || n < 0)
		snprintf(buf, sizeof buf, "(%s)", strerror(errno));
	else
		buf[n] = '\0';
	if (fd >= 0)
		close(fd);
	return buf;
}

/* Run in a child; its exit status. */
#define IN_CHILD(...)                                                                                                  \
	({                                                                                                             \
		fflush(stdout);                                                                                        \
		pid_t child_ = fork();                                                                                 \
		int status_ = -1;                                                                                      \
		if (child_ == 0) {                                                                                     \
			test_failures = 0;                                                                             \
			__VA_ARGS__;                                                                                   \
			fflush(stdout);                                                                                \
			_exit(test_failures ? 1 : 0);                                                                  \
		}                                                                                                      \
		waitpid(child_, &status_, 0);                                                                          \
		WIFEXITED(status_) ? WEXITSTATUS(status_) : 256 + WTERMSIG(status_);                                   \
	})

static inline bool test_skipped(const char *name)
{
	const char *skip = getenv("SKIP"), *at = skip ? strstr(skip, name) : NULL;

	return at && (at == skip || at[-1] == ' ') && (!at[strlen(name)] || at[strlen(name)] == ' ');
}

int main(int argc, char **argv)
{
	const char *base = getenv("SCRATCH");
	int failed = 0, ran = 0;

	if (!base) {
		fprintf(stderr, "SCRATCH must name an empty directory\n");
		return 2;
	}
	umask(022);
	for (struct test *t = test_first; t; t = t->next) {
		if ((argc > 1 && strcmp(argv[1], t->name)) || test_skipped(t->name))
			continue;
		snprintf(test_dir, sizeof test_dir, "%s/%s.%s", base, t->group, t->name);
		if (mkdir(test_dir, 0755) || chdir(base)) {
			printf("%s: %s\n", test_dir, strerror(errno));
			return 2;
		}
		test_running = t->name;
		test_failures = 0;
		t->run();
		ran++;
		if (test_failures) {
			failed++;
			printf("not ok %s.%s\n", t->group, t->name);
		}
		fflush(stdout);
	}
	printf("%d ran, %d failed\n", ran, failed);
	return failed || !ran ? 1 : 0;
}

#endif
