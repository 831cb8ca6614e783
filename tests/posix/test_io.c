/* test_io.c: reading, writing, seeking, truncating. */
#include "check.h"
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/file.h>
#include <poll.h>

TEST(io, read_write_seek)
{
	char buf[16];
	int fd = CHECK(open(scratch("f"), O_RDWR | O_CREAT, 0600));

	CHECK_INT(write(fd, "0123456789", 10), 10);
	CHECK_INT(read(fd, buf, 5), 0);
	CHECK_INT(lseek(fd, 2, SEEK_SET), 2);
	CHECK_INT(read(fd, buf, 3), 3);
	CHECK_TRUE(!memcmp(buf, "234", 3));
	CHECK_INT(lseek(fd, -2, SEEK_END), 8);
	CHECK_INT(read(fd, buf, 16), 2);
	CHECK_INT(lseek(fd, -5, SEEK_CUR), 5);
	CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERRNO(lseek(fd, 0, 99), EINVAL);
	CHECK_INT(lseek(fd, 0, SEEK_CUR), 5);
	CHECK_INT(pread(fd, buf, 4, 6), 4);
	CHECK_TRUE(!memcmp(buf, "6789", 4));
	CHECK_INT(pwrite(fd, "ab", 2, 0), 2);
	CHECK_INT(lseek(fd, 0, SEEK_CUR), 5);
	CHECK_ERRNO(pread(fd, buf, 1, -1), EINVAL);
	CHECK_INT(close(fd), 0);
	CHECK_STR(content(scratch("f")), "ab23456789");
}

TEST(io, read_only_file)
{
	char buf[32];
	struct iovec v[2] = {{buf, 3}, {buf + 3, 20}};
	int fd = CHECK(open(make_file("f", "hello world"), O_RDONLY));

	CHECK_INT(lseek(fd, 0, SEEK_END), 11);
	CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
	CHECK_INT(readv(fd, v, 2), 11);
	CHECK_TRUE(!memcmp(buf, "hello world", 11));
	CHECK_INT(read(fd, buf, 1), 0);
	CHECK_INT(preadv(fd, v, 2, 6), 5);
	CHECK_TRUE(!memcmp(buf, "world", 5));
	CHECK_INT(pread(fd, buf, 5, 100), 0);
	CHECK_INT(lseek(fd, 100, SEEK_SET), 100);
	CHECK_INT(read(fd, buf, 5), 0);
	CHECK_ERRNO(ftruncate(fd, 3), EINVAL);
	CHECK_ERRNO(lseek(fd, 100, SEEK_DATA), ENXIO);
	CHECK_INT(lseek(fd, 0, SEEK_HOLE), 11);
	close(fd);
}

TEST(io, holes_and_truncation)
{
	struct stat st;
	char buf[8];
	int fd = CHECK(open(scratch("f"), O_RDWR | O_CREAT, 0600));

	CHECK_INT(pwrite(fd, "end", 3, 5000), 3);
	CHECK_INT(pread(fd, buf, 4, 100), 4);
	CHECK_INT(buf[0] | buf[1] | buf[2] | buf[3], 0);
	CHECK_INT(ftruncate(fd, 2), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_size, 2);
	CHECK_INT(ftruncate(fd, 10), 0);
	CHECK_ERRNO(ftruncate(fd, -1), EINVAL);
	CHECK_INT(close(fd), 0);
	CHECK_INT(truncate(scratch("f"), 4), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_size, 4);
	CHECK_ERRNO(truncate(scratch("nothing"), 4), ENOENT);
	CHECK_ERRNO(truncate(scratch(""), 4), EISDIR);
	fd = CHECK(open(scratch("g"), O_WRONLY | O_CREAT, 0644));
	CHECK_INT(posix_fallocate(fd, 0, 1000), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_size, 1000);
	CHECK_INT(fsync(fd), 0);
	CHECK_INT(fdatasync(fd), 0);
	close(fd);
}

TEST(io, seen_while_written)
{
	struct stat st;
	char buf[8];
	int w = CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644)), r = CHECK(open(scratch("f"), O_RDONLY));

	CHECK_INT(write(w, "abc", 3), 3);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_size, 3);
	CHECK_INT(read(r, buf, 8), 3);
	CHECK_INT(read(r, buf, 8), 0);
	CHECK_INT(write(w, "def", 3), 3);
	CHECK_INT(read(r, buf, 8), 3);
	CHECK_INT(close(w), 0);
	CHECK_STR(content(scratch("f")), "abcdef");
	close(r);
}

TEST(io, written_again_while_read)
{
	char buf[8];
	int r = CHECK(open(make_file("f", "old content"), O_RDONLY)), w;

	CHECK_INT(read(r, buf, 3), 3);
	w = CHECK(open(scratch("f"), O_WRONLY));
	CHECK_INT(pwrite(w, "NEW", 3, 4), 3);
	CHECK_INT(read(r, buf, 5), 5);
	CHECK_INT(close(w), 0);
	CHECK_STR(content(scratch("f")), "old NEWtent");
	close(r);
}

TEST(io, many_sizes)
{
	static char data[300000], back[300000];
	size_t total = 0;
	int fd = CHECK(open(scratch("f"), O_RDWR | O_CREAT, 0600));

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (char)(i * 7 + i / 251);
	for (size_t n = 1; total + n <= sizeof data; n = n * 3 + 1, n %= 40001, n += !n) {
		CHECK_INT(write(fd, data + total, n), n);
		total += n;
		if (total > 290000)
			break;
	}
	close(fd);
	fd = CHECK(open(scratch("f"), O_RDONLY));
	for (size_t at = 0; at < total;) {
		ssize_t n = CHECK(read(fd, back + at, 977));

		if (n <= 0)
			break;
		at += n;
	}
	CHECK_TRUE(!memcmp(data, back, total));
	close(fd);
}

TEST(io, mapping)
{
	int fd = CHECK(open(make_file("f", "mapped text"), O_RDWR));
	char *p = mmap(NULL, 11, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK_TRUE(p != MAP_FAILED);
	CHECK_TRUE(!memcmp(p, "mapped text", 11));
	memcpy(p, "MAPPED", 6);
	CHECK_INT(msync(p, 11, MS_SYNC), 0);
	CHECK_INT(close(fd), 0);
	CHECK_STR(content(scratch("f")), "MAPPED text");
	p[7] = 'T'; /* the mapping outlives the descriptor */
	CHECK_INT(munmap(p, 11), 0);
	CHECK_STR(content(scratch("f")), "MAPPED Text");
	fd = CHECK(open(scratch("f"), O_RDONLY));
	p = mmap(NULL, 11, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK_TRUE(p != MAP_FAILED && !memcmp(p, "MAPPED Text", 11));
	munmap(p, 11);
	close(fd);
}

TEST(io, kernel_copies)
{
	int in = CHECK(open(make_file("f", "0123456789"), O_RDONLY)),
	    out = CHECK(open(scratch("g"), O_RDWR | O_CREAT, 0644));
	off_t off = 2;

	CHECK_INT(sendfile(out, in, &off, 3), 3);
	CHECK_INT(off, 5);
	CHECK_INT(copy_file_range(in, NULL, out, NULL, 4, 0), 4);
	close(in);
	close(out);
	CHECK_STR(content(scratch("g")), "2340123");
}

TEST(io, locks)
{
	int a = CHECK(open(make_file("f", "x"), O_RDWR)), b = CHECK(open(scratch("f"), O_RDWR));
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	CHECK_INT(flock(a, LOCK_EX), 0);
	CHECK_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_INT(flock(a, LOCK_UN), 0);
	CHECK_INT(flock(b, LOCK_EX | LOCK_NB), 0);
	CHECK_INT(fcntl(a, F_SETLK, &l), 0);
	CHECK_INT(IN_CHILD({
			  struct flock m = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
			  CHECK_ERRNO(fcntl(a, F_SETLK, &m), EAGAIN);
			  CHECK_INT(lockf(a, F_TEST, 0), -1);
		  }),
		  0);
	close(a);
	close(b);
}

TEST(io, poll_and_tty)
{
	int fd = CHECK(open(make_file("f", "x"), O_RDONLY));
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};

	CHECK_INT(poll(&p, 1, 0), 1);
	CHECK_INT(isatty(fd), 0);
	close(fd);
}

TEST(io, unlinked_while_open)
{
	struct stat st;
	char buf[8];
	int fd = CHECK(open(make_file("f", "still here"), O_RDWR)), r = CHECK(open(scratch("f"), O_RDONLY));

	CHECK_INT(unlink(scratch("f")), 0);
	CHECK_ERRNO(stat(scratch("f"), &st), ENOENT);
	CHECK_INT(read(fd, buf, 5), 5);
	CHECK_INT(write(fd, "X", 1), 1);
	CHECK_INT(read(r, buf, 8), 8);
	CHECK_TRUE(!memcmp(buf, "stillXhe", 8));
	CHECK_INT(close(fd), 0);
	CHECK_INT(close(r), 0);
	CHECK_ERRNO(open(scratch("f"), O_RDONLY), ENOENT);
	fd = CHECK(open(scratch("g"), O_WRONLY | O_CREAT, 0644)); /* never published */
	CHECK_INT(write(fd, "gone", 4), 4);
	CHECK_INT(unlink(scratch("g")), 0);
	CHECK_INT(close(fd), 0);
	CHECK_ERRNO(access(scratch("g"), F_OK), ENOENT);
}

TEST(io, renamed_while_written)
{
	int fd = CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644));

	CHECK_INT(write(fd, "one", 3), 3);
	CHECK_INT(rename(scratch("f"), scratch("g")), 0);
	CHECK_INT(write(fd, "two", 3), 3);
	CHECK_INT(close(fd), 0);
	CHECK_ERRNO(access(scratch("f"), F_OK), ENOENT);
	CHECK_STR(content(scratch("g")), "onetwo");
	make_file("h", "over me");
	fd = CHECK(open(scratch("i"), O_WRONLY | O_CREAT, 0644));
	CHECK_INT(write(fd, "new", 3), 3);
	CHECK_INT(rename(scratch("i"), scratch("h")), 0);
	CHECK_INT(close(fd), 0);
	CHECK_STR(content(scratch("h")), "new");
}
