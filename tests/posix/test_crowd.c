/* test_crowd.c: threads, forks and signals that meet in the middle of a call; descriptors closed where libc does not see it. */
#include <pthread.h>
#include <sys/resource.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "tests/posix/check.h"

#define BIG     1500000
#define READERS 3

static _Atomic int shared = -1;
static _Atomic bool stop;
static _Atomic long wrong;

static char *file_of(const char *name, char byte)
{
	char *path = scratch(name), *bytes = malloc(BIG);
	int fd = (int)CHECK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));

	memset(bytes, byte, BIG);
	CHECK_INT(write(fd, bytes, BIG), BIG);
	CHECK_INT(close(fd), 0);
	free(bytes);
	return path;
}

/* What is read is of the file, whoever closes the descriptor and opens another under its number. */
static void *reader(void *seed)
{
	char buf[3000];

	for (long off = (long)seed; !stop; off = (off + 77777) % BIG) {
		ssize_t n = pread(shared, buf, sizeof buf, off);

		if (n < 0 && errno != EBADF)
			wrong++;
		for (ssize_t i = 0; i < n; i++)
			wrong += buf[i] != 'a';
	}
	return NULL;
}

static void readers_start(pthread_t thread[READERS])
{
	stop = false;
	wrong = 0;
	for (long i = 0; i < READERS; i++)
		CHECK_INT(pthread_create(&thread[i], NULL, reader, (void *)(i * 5000)), 0);
}

static void readers_end(pthread_t thread[READERS])
{
	stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(thread[i], NULL);
	CHECK_INT(wrong, 0);
}

TEST(crowd, reading_while_another_closes)
{
	char *path = file_of("f", 'a');
	pthread_t thread[READERS];

	shared = (int)CHECK(open(path, O_RDONLY));
	readers_start(thread);
	for (int i = 0; i < 200; i++) {
		int next = (int)CHECK(open(path, O_RDONLY)), old = shared;

		shared = next;
		CHECK_INT(close(old), 0);
	}
	readers_end(thread);
	close(shared);
}

TEST(crowd, fork_while_others_read)
{
	char *path = file_of("f", 'a'), *out = scratch("out");
	pthread_t thread[READERS];
	char c = 0;

	shared = (int)CHECK(open(path, O_RDONLY));
	readers_start(thread);
	for (int i = 0; i < 20; i++)
		CHECK_INT(IN_CHILD({
				  int fd = (int)CHECK(open(out, O_RDWR | O_CREAT | O_TRUNC, 0644));
				  CHECK_INT(write(fd, "child", 5), 5);
				  CHECK_INT(close(fd), 0);
				  CHECK_STR(content(out), "child");
				  CHECK_INT(pread(shared, &c, 1, 1000), 1);
				  CHECK_INT(c, 'a');
			  }),
			  0);
	readers_end(thread);
	close(shared);
}

static char handled[PATH_MAX];
static volatile long hits, misses;

static void handler(int signal)
{
	int saved = errno, fd = open(handled, O_WRONLY | O_CREAT | O_APPEND, 0644);
	struct stat st;

	(void)signal;
	misses += fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &st) || close(fd) || stat(handled, &st);
	hits++;
	errno = saved;
}

/* It opens, writes and closes while the same thread is inside one of those calls. */
TEST(crowd, handlers_in_the_middle)
{
	struct sigaction action = {.sa_handler = handler};
	struct itimerval timer = {{0, 7000}, {0, 7000}}, never = {{0, 0}, {0, 0}};
	char *path = scratch("f");
	struct stat st;

	strcpy(handled, scratch("handled"));
	CHECK_INT(sigaction(SIGALRM, &action, NULL), 0);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (int i = 0; hits < 20 || i < 50; i++) {
		int fd = (int)CHECK(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644));

		CHECK_INT(write(fd, "hello", 5), 5);
		CHECK_INT(close(fd), 0);
		CHECK_INT(stat(path, &st), 0);
		CHECK_INT(st.st_size, 5);
		CHECK_STR(content(path), "hello");
	}
	setitimer(ITIMER_REAL, &never, NULL);
	CHECK_INT(misses, 0);
	CHECK_INT(stat(handled, &st), 0);
	CHECK_INT(st.st_size, hits);
}

#if defined(__x86_64__)
static long close_all_unseen(void)
{
	long rc;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "a"(SYS_close_range), "D"(3l), "S"(~0ul >> 33), "d"(0l)
			 : "rcx", "r11", "memory");
	return rc;
}

TEST(crowd, everything_closed_unseen)
{
	char *path = make_file("f", "abc"), *out = scratch("out");
	struct rlimit limit;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max; /* more numbers than are taken below */
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_INT(IN_CHILD({
			  CHECK_STR(content(path), "abc");
			  CHECK_INT(open(path, O_RDONLY) >= 3, 1);
			  CHECK_INT(close_all_unseen(), 0);
			  CHECK_INT(open(path, O_RDONLY), 3);
			  CHECK_STR(content(path), "abc");
			  CHECK_INT(close((int)CHECK(creat(out, 0644))), 0);
			  CHECK_INT(close_all_unseen(), 0);
			  for (int i = 3; i < 1024; i++) /* every number is another's now */
				  CHECK_INT(dup2(1, i), i);
			  CHECK_INT(close(500), 0);
			  CHECK_INT(open(path, O_RDONLY), 500);
			  for (int i = 3; i < 1024; i++)
				  CHECK(fcntl(i, F_GETFD));
		  }),
		  0);
}
#endif

TEST(crowd, no_environment)
{
	char *path = make_file("f", "abc");

	CHECK_INT(IN_CHILD({
			  environ = NULL;
			  CHECK_STR(content(path), "abc");
			  execl("/bin/cmp", "cmp", "-s", path, path, (char *)NULL);
			  CHECK_TRUE(!"executed");
		  }),
		  0);
}

TEST(crowd, a_network_of_its_own)
{
	char *path = make_file("f", "abc");

	CHECK_INT(IN_CHILD({
			  if (!unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET))
				  CHECK_STR(content(path), "abc");
		  }),
		  0);
}
