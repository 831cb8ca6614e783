/* test_stack.c: files from a thread with the smallest stack there may be. */
#include <pthread.h>

#include "tests/posix/check.h"

/* Nothing big on the stack: these are the thread's arguments. */
static char file[PATH_MAX], other[PATH_MAX], missing[PATH_MAX], buf[PATH_MAX];

static void *bytes(void *unused)
{
	int fd = (int)CHECK(open(file, O_RDWR | O_CREAT | O_TRUNC, 0644));

	CHECK_INT(write(fd, "hello", 5), 5);
	CHECK_INT(fsync(fd), 0);
	CHECK_INT(close(fd), 0);
	fd = (int)CHECK(open(file, O_RDONLY));
	CHECK_INT(read(fd, buf, 10), 5);
	CHECK_INT(close(fd), 0);
	return unused;
}

static void *names(void *unused)
{
	static struct stat st;

	CHECK_INT(stat(file, &st), 0);
	CHECK_INT(access(file, R_OK), 0);
	CHECK_INT(rename(file, other), 0);
	CHECK_ERRNO(stat(file, &st), ENOENT);
	CHECK_INT(symlink("t", file), 0);
	CHECK_INT(readlink(file, buf, sizeof buf), 1);
	CHECK_INT(unlink(file), 0);
	CHECK_INT(mkdir(file, 0755), 0);
	CHECK_INT(rmdir(file), 0);
	return unused;
}

static void *directory(void *unused)
{
	DIR *dir = opendir(test_dir);
	unsigned n = 0;

	CHECK_TRUE(dir != NULL);
	while (dir && readdir(dir))
		n++;
	CHECK_INT(n, 3);
	if (dir)
		closedir(dir);
	CHECK_INT(chdir(test_dir), 0);
	CHECK_TRUE(getcwd(buf, sizeof buf) != NULL);
	CHECK_INT(chdir("/"), 0);
	return unused;
}

static void *absent(void *unused)
{
	static struct stat st;

	CHECK_ERRNO(stat(missing, &st), ENOENT);
	CHECK_ERRNO(open(missing, O_RDONLY), ENOENT);
	CHECK_ERRNO(rename(missing, other), ENOENT);
	CHECK_TRUE(!realpath(missing, buf));
	CHECK_ERRNO(stat("/nonexistent/of/that/name", &st), ENOENT);
	CHECK_ERRNO(rename("/nonexistent/of/that/name", "/nonexistent/other"), ENOENT);
	CHECK_TRUE(!realpath("/nonexistent/of/that/name", buf));
	return unused;
}

static void *stream(void *unused)
{
	FILE *f = fopen(other, "r");

	CHECK_TRUE(f != NULL);
	if (f) {
		CHECK_TRUE(fgets(buf, sizeof buf, f) != NULL);
		CHECK_INT(fclose(f), 0);
	}
	CHECK_TRUE(realpath(other, buf) != NULL);
	return unused;
}

static void in_small_thread(void *(*run)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	CHECK_INT(pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN), 0);
	CHECK_INT(pthread_create(&thread, &attr, run, NULL), 0);
	CHECK_INT(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
}

TEST(stack, smallest_does)
{
	strcpy(file, scratch("f"));
	strcpy(other, scratch("g"));
	strcpy(missing, scratch("no/such/file"));
	in_small_thread(bytes);
	in_small_thread(names);
	in_small_thread(directory);
	in_small_thread(absent);
	in_small_thread(stream);
}
