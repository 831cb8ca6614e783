/* test_libc.c: what libc does for a program behind its back: asynchronous reads, keys and names made of files, calls by number. */
#include "check.h"
#include <aio.h>
#include <dlfcn.h>
#include <sys/ipc.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/time.h>

static struct aiocb request(int fd, char *buf, size_t n, off_t off)
{
	struct aiocb cb;

	memset(&cb, 0, sizeof cb);
	cb.aio_fildes = fd;
	cb.aio_buf = buf;
	cb.aio_nbytes = n;
	cb.aio_offset = off;
	cb.aio_lio_opcode = LIO_READ;
	return cb;
}

/* Its error, once it is done. */
static int finished(struct aiocb *cb)
{
	const struct aiocb *wait[] = {cb};

	while (aio_error(cb) == EINPROGRESS)
		aio_suspend(wait, 1, NULL);
	return aio_error(cb);
}

TEST(aio, reads)
{
	char first[8] = "", second[8] = "";
	int fd = (int)CHECK(open(make_file("f", "0123456789"), O_RDONLY));
	struct aiocb a = request(fd, first, 4, 2), b = request(fd, second, 4, 8), nowhere = request(-1, first, 1, 0);
	struct aiocb *both[] = {&a, NULL, &b};

	CHECK_INT(aio_read(&a), 0);
	CHECK_INT(finished(&a), 0);
	CHECK_INT(aio_return(&a), 4);
	CHECK_STR(first, "2345");
	a = request(fd, first, 4, 0);
	CHECK_INT(lio_listio(LIO_WAIT, both, 3, NULL), 0);
	CHECK_INT(aio_return(&a), 4);
	CHECK_INT(aio_return(&b), 2);
	CHECK_STR(first, "0123");
	CHECK_STR(second, "89");
	if (!aio_read(&nowhere))
		CHECK_INT(finished(&nowhere), EBADF);
	close(fd);
}

TEST(aio, writes)
{
	char text[] = "text";
	int fd = (int)CHECK(open(scratch("f"), O_RDWR | O_CREAT, 0600));
	struct aiocb a = request(fd, text, 4, 0), b = {.aio_sigevent.sigev_notify = SIGEV_NONE};

	CHECK_INT(aio_write(&a), 0);
	CHECK_INT(finished(&a), 0);
	CHECK_INT(aio_return(&a), 4);
	CHECK_INT(aio_write(&a), 0);
	b.aio_fildes = fd;
	CHECK_INT(aio_fsync(O_SYNC, &b), 0);
	CHECK_INT(finished(&b), 0);
	CHECK_INT(aio_return(&b), 0);
	CHECK_INT(aio_error(&a), 0);
	CHECK_ERRNO(aio_fsync(0, &b), EINVAL);
	close(fd);
	CHECK_STR(content(scratch("f")), "text");
}

TEST(ftok, is_the_file)
{
	key_t key;

	make_file("f", "");
	make_file("g", "");
	key = (key_t)CHECK(ftok(scratch("f"), 'x'));
	CHECK_INT(ftok(scratch("f"), 'x'), key);
	CHECK_TRUE(ftok(scratch("f"), 'y') != key);
	CHECK_TRUE(ftok(scratch("g"), 'x') != key);
	CHECK_ERRNO(ftok(scratch("nothing"), 'x'), ENOENT);
}

/* By dlsym(), because the linker has an opinion about it. */
TEST(temporary, names)
{
	char *(*make)(char *) = (char *(*)(char *))dlsym(RTLD_DEFAULT, "mktemp");
	char *template = scratch("nameXXXXXX");

	CHECK_TRUE(make(template) == template);
	CHECK_TRUE(strncmp(strrchr(template, '/'), "/name", 5) == 0 && !strstr(template, "XXXXXX"));
	CHECK_ERRNO(access(template, F_OK), ENOENT);
	CHECK_STR(make(scratch("nothing")), "");
}

TEST(temporary, names_where_they_are_wanted)
{
	char *(*make)(const char *, const char *) =
		(char *(*)(const char *, const char *))dlsym(RTLD_DEFAULT, "tempnam");
	char *name, wanted[PATH_MAX];

	snprintf(wanted, sizeof wanted, "%s/prefi", test_dir);
	name = make(test_dir, "prefix");
	CHECK_TRUE(name && !strncmp(name, wanted, strlen(wanted)) && strlen(name) == strlen(wanted) + 6);
	CHECK_ERRNO(access(name, F_OK), ENOENT);
	free(name);
	CHECK_INT(setenv("TMPDIR", test_dir, 1), 0);
	snprintf(wanted, sizeof wanted, "%s/file", test_dir);
	name = make("/nowhere", NULL);
	CHECK_TRUE(name && !strncmp(name, wanted, strlen(wanted)));
	free(name);
	CHECK_INT(setenv("TMPDIR", scratch("nothing"), 1), 0);
	name = make(scratch("nothing"), "p");
	CHECK_TRUE(name && !strncmp(name, "/tmp/p", 6));
	free(name);
	CHECK_INT(unsetenv("TMPDIR"), 0);
}

TEST(sync, returns)
{
	int fd = (int)CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0600));

	CHECK_INT(write(fd, "x", 1), 1);
	sync();
	CHECK_INT(close(fd), 0);
	sync();
	CHECK_STR(content(scratch("f")), "x");
}

TEST(dprintf, writes)
{
	int fd = (int)CHECK(open(scratch("f"), O_RDWR | O_CREAT, 0600)), r = (int)CHECK(open(scratch("f"), O_RDONLY));

	CHECK_INT(dprintf(fd, "%d %s\n", 42, "text"), 8);
	CHECK_ERRNO(dprintf(r, "x"), EBADF);
	close(fd);
	close(r);
	CHECK_STR(content(scratch("f")), "42 text\n");
}

/* The calls by their numbers, as programs make them that libc is not enough for. */
TEST(syscall, is_the_function)
{
	char buf[4096], *f = make_file("f", "0123456789"), *g = scratch("g"), *d = scratch("d");
	int fd = (int)CHECK(syscall(SYS_openat, AT_FDCWD, f, O_RDONLY | O_CLOEXEC, 0)), to, other;
	off_t from = 8;
	struct statx stx;
	struct stat st;

	other = (int)syscall(SYS_openat2, AT_FDCWD, f, &(struct open_how){.flags = O_RDONLY}, sizeof(struct open_how));
	CHECK_TRUE(other >= 0 || errno == ENOSYS);
	close(other);
	CHECK_INT(syscall(SYS_read, fd, buf, 3), 3);
	CHECK_INT(syscall(SYS_pread64, fd, buf, 3, 4), 3);
	CHECK_TRUE(!memcmp(buf, "456", 3));
	CHECK_INT(syscall(SYS_lseek, fd, 0, SEEK_CUR), 3);
	CHECK_INT(syscall(SYS_fstat, fd, &st), 0);
	CHECK_INT(st.st_size, 10);
	CHECK_INT(syscall(SYS_newfstatat, AT_FDCWD, f, &st, 0), 0);
	CHECK_INT(st.st_size, 10);
	CHECK_INT(syscall(SYS_statx, AT_FDCWD, f, 0, STATX_BASIC_STATS, &stx), 0);
	CHECK_INT(stx.stx_size, 10);
	CHECK_INT(syscall(SYS_faccessat, AT_FDCWD, f, R_OK), 0);
	CHECK_INT(syscall(SYS_mkdirat, AT_FDCWD, d, 0700), 0);
	CHECK_INT(syscall(SYS_unlinkat, AT_FDCWD, d, AT_REMOVEDIR), 0);
	to = (int)CHECK(syscall(SYS_openat, AT_FDCWD, g, O_RDWR | O_CREAT, 0600));
	CHECK_INT(syscall(SYS_copy_file_range, fd, &from, to, NULL, 5, 0), 2);
	CHECK_INT(from, 10);
	CHECK_INT(syscall(SYS_fcntl, to, F_GETFL) & O_ACCMODE, O_RDWR);
	other = (int)CHECK(syscall(SYS_dup, to));
	CHECK_INT(syscall(SYS_dup3, to, fd, O_CLOEXEC), fd);
	CHECK_INT(syscall(SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
	CHECK_INT(syscall(SYS_close, to), 0);
	CHECK_INT(syscall(SYS_close, other), 0);
	CHECK_INT(syscall(SYS_close_range, fd, fd, 0), 0);
	CHECK_ERRNO(syscall(SYS_read, fd, buf, 1), EBADF);
	CHECK_STR(content(g), "89");
	CHECK_INT(syscall(SYS_renameat2, AT_FDCWD, g, AT_FDCWD, f, 0), 0);
	CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, g, F_OK, AT_EACCESS), ENOENT);
	CHECK_INT(symlink("f", g), 0);
	CHECK_INT(syscall(SYS_readlinkat, AT_FDCWD, g, buf, sizeof buf), 1);
	fd = (int)CHECK(open(scratch(""), O_RDONLY | O_DIRECTORY));
	CHECK_TRUE(syscall(SYS_getdents64, fd, buf, sizeof buf) > 0);
	close(fd);
#ifdef SYS_open
	fd = (int)CHECK(syscall(SYS_open, f, O_RDONLY));
	CHECK_INT(syscall(SYS_dup2, fd, fd), fd);
	CHECK_INT(close(fd), 0);
	CHECK_INT(syscall(SYS_stat, g, &st), 0);
	CHECK_TRUE(S_ISREG(st.st_mode));
	CHECK_INT(syscall(SYS_lstat, g, &st), 0);
	CHECK_TRUE(S_ISLNK(st.st_mode));
#endif
}

/* What a program that failed to load something may do before it asks why: calls that nothing here made before. */
TEST(library, error_is_told_later)
{
	struct timeval times[2] = {{1, 0}, {2, 0}};
	char buf[16];

	make_file("f", "x");
	CHECK_TRUE(!dlopen("/nothing/of-that-name.so", RTLD_NOW));
	CHECK_INT(lutimes("/nothing/of-that-name", times), -1);
	CHECK_INT(lutimes(scratch("f"), times), 0);
	CHECK_INT(readlinkat(AT_FDCWD, "/nothing", buf, sizeof buf), -1);
	CHECK_INT(truncate("/nothing", 0), -1);
	CHECK_TRUE(strstr(dlerror() ?: "", "of-that-name.so") != NULL);
	CHECK_TRUE(!dlerror());
}
