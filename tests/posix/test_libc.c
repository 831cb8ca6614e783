/* test_libc.c: what libc does for a program behind its back: asynchronous reads, keys and names made of files. */
#include "check.h"
#include <aio.h>
#include <dlfcn.h>
#include <sys/ipc.h>

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
	struct aiocb a = request(fd, text, 4, 0);

	CHECK_INT(aio_write(&a), 0);
	CHECK_INT(finished(&a), 0);
	CHECK_INT(aio_return(&a), 4);
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
