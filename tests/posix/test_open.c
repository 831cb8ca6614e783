/* test_open.c: open(2) flags, what they promise and how they fail. */
#include "check.h"
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

TEST(open, creates_with_mode_and_umask)
{
	struct stat st;

	CHECK_INT(close(CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0666))), 0);
	CHECK(stat(scratch("f"), &st));
	CHECK_INT(st.st_mode & 07777, 0644);
	umask(077);
	CHECK_INT(close(CHECK(creat(scratch("g"), 0666))), 0);
	umask(022);
	CHECK(stat(scratch("g"), &st));
	CHECK_INT(st.st_mode & 07777, 0600);
	CHECK_TRUE(S_ISREG(st.st_mode));
	CHECK_INT(st.st_size, 0);
	CHECK_INT(st.st_nlink, 1);
}

TEST(open, missing_file)
{
	CHECK_ERRNO(open(scratch("nothing"), O_RDONLY), ENOENT);
	CHECK_ERRNO(open(scratch("nothing/x"), O_WRONLY | O_CREAT, 0644), ENOENT);
	CHECK_ERRNO(open(scratch("nothing"), O_RDWR), ENOENT);
	make_file("f", "x");
	CHECK_ERRNO(open(scratch("f/x"), O_RDONLY), ENOTDIR);
	CHECK_ERRNO(open(scratch("f/"), O_RDONLY), ENOTDIR);
}

TEST(open, exclusive)
{
	CHECK_INT(close(CHECK(open(scratch("f"), O_WRONLY | O_CREAT | O_EXCL, 0644))), 0);
	CHECK_ERRNO(open(scratch("f"), O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	CHECK_INT(close(CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644))), 0);
}

TEST(open, directories)
{
	int fd;

	CHECK_ERRNO(open(scratch(""), O_WRONLY), EISDIR);
	CHECK_ERRNO(open(scratch(""), O_RDWR), EISDIR);
	CHECK_ERRNO(open(make_file("f", ""), O_RDONLY | O_DIRECTORY), ENOTDIR);
	fd = CHECK(open(scratch(""), O_RDONLY | O_DIRECTORY));
	CHECK_ERRNO(read(fd, &fd, 1), EISDIR);
	CHECK_INT(close(fd), 0);
}

TEST(open, truncates_only_when_told)
{
	int fd;

	make_file("f", "0123456789");
	fd = CHECK(open(scratch("f"), O_WRONLY));
	CHECK_INT(write(fd, "ab", 2), 2);
	CHECK_INT(close(fd), 0);
	CHECK_STR(content(scratch("f")), "ab23456789");
	CHECK_INT(close(CHECK(open(scratch("f"), O_WRONLY | O_TRUNC))), 0);
	CHECK_STR(content(scratch("f")), "");
}

TEST(open, append)
{
	int fd = CHECK(open(make_file("f", "one"), O_WRONLY | O_APPEND));

	CHECK_INT(write(fd, "two", 3), 3);
	CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
	CHECK_INT(write(fd, "three", 5), 5);
	CHECK_INT(lseek(fd, 0, SEEK_CUR), 11);
	CHECK_INT(fcntl(fd, F_GETFL) & O_APPEND, O_APPEND);
	CHECK_INT(close(fd), 0);
	CHECK_STR(content(scratch("f")), "onetwothree");
}

TEST(open, access_mode_is_kept)
{
	char c;
	int r = CHECK(open(make_file("f", "abc"), O_RDONLY)), w = CHECK(open(scratch("f"), O_WRONLY));

	CHECK_ERRNO(write(r, "x", 1), EBADF);
	CHECK_ERRNO(read(w, &c, 1), EBADF);
	CHECK_INT(fcntl(r, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_INT(fcntl(w, F_GETFL) & O_ACCMODE, O_WRONLY);
	CHECK_INT(close(r), 0);
	CHECK_INT(close(w), 0);
	CHECK_ERRNO(read(r, &c, 1), EBADF);
	CHECK_ERRNO(close(r), EBADF);
}

TEST(open, lowest_free_number)
{
	int a = CHECK(open("/dev/null", O_RDONLY)), b = CHECK(open(make_file("f", ""), O_RDONLY)), c;

	CHECK_INT(close(a), 0);
	c = CHECK(open(scratch("f"), O_WRONLY));
	CHECK_INT(c, a);
	CHECK_INT(close(c), 0);
	CHECK_INT(close(b), 0);
}

TEST(open, close_on_exec)
{
	int a = CHECK(open(make_file("f", ""), O_RDONLY | O_CLOEXEC)), b = CHECK(open(scratch("f"), O_RDONLY));

	CHECK_INT(fcntl(a, F_GETFD), FD_CLOEXEC);
	CHECK_INT(fcntl(b, F_GETFD), 0);
	CHECK_INT(fcntl(b, F_SETFD, FD_CLOEXEC), 0);
	CHECK_INT(fcntl(b, F_GETFD), FD_CLOEXEC);
	close(a);
	close(b);
}

TEST(open, long_names)
{
	char name[300]; /* NAME_MAX is 255 */

	memset(name, 'n', 256);
	name[256] = '\0';
	CHECK_ERRNO(open(scratch(name), O_WRONLY | O_CREAT, 0644), ENAMETOOLONG);
	name[255] = '\0';
	CHECK_INT(close(CHECK(open(scratch(name), O_WRONLY | O_CREAT, 0644))), 0);
	CHECK_INT(unlink(scratch(name)), 0);
	CHECK_ERRNO(open("", O_RDONLY), ENOENT);
}

TEST(open, relative_to_a_directory)
{
	int dir = CHECK(open(scratch(""), O_RDONLY | O_DIRECTORY)), fd;

	fd = CHECK(openat(dir, "f", O_WRONLY | O_CREAT, 0644));
	CHECK_INT(write(fd, "at", 2), 2);
	CHECK_INT(close(fd), 0);
	CHECK_STR(content(scratch("f")), "at");
	CHECK_INT(mkdirat(dir, "d", 0755), 0);
	fd = CHECK(openat(dir, "d/../f", O_RDONLY));
	CHECK_INT(close(fd), 0);
	CHECK_ERRNO(openat(dir, "nothing", O_RDONLY), ENOENT);
	CHECK_INT(unlinkat(dir, "d", AT_REMOVEDIR), 0);
	CHECK_ERRNO(unlinkat(dir, "d", 0), ENOENT);
	CHECK_INT(faccessat(dir, "f", R_OK, 0), 0);
	CHECK_INT(renameat(dir, "f", dir, "g"), 0);
	CHECK_STR(content(scratch("g")), "at");
	CHECK_INT(close(dir), 0);
	CHECK_ERRNO(openat(-5, "x", O_RDONLY), EBADF);
	fd = CHECK(open(scratch("g"), O_RDONLY));
	CHECK_ERRNO(openat(fd, "x", O_RDONLY), ENOTDIR);
	close(fd);
}

TEST(open, no_follow)
{
	make_file("f", "x");
	CHECK_INT(symlink("f", scratch("l")), 0);
	CHECK_ERRNO(open(scratch("l"), O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK_INT(close(CHECK(open(scratch("l"), O_RDONLY))), 0);
	CHECK_INT(symlink("loop", scratch("loop")), 0);
	CHECK_ERRNO(open(scratch("loop"), O_RDONLY), ELOOP);
	CHECK_INT(symlink("made", scratch("dangling")), 0);
	CHECK_ERRNO(open(scratch("dangling"), O_RDONLY), ENOENT);
	CHECK_ERRNO(open(scratch("dangling"), O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	CHECK_INT(close(CHECK(open(scratch("dangling"), O_WRONLY | O_CREAT, 0644))), 0);
	CHECK_STR(content(scratch("made")), "");
}

/* O_PATH | O_NOFOLLOW: a descriptor of the link itself. */
TEST(open, a_link_itself)
{
	char target[16] = "", name[64];
	struct stat st, l;
	int fd, copy;

	make_file("f", "x");
	CHECK_INT(symlink("f", scratch("l")), 0);
	fd = CHECK(open(scratch("l"), O_PATH | O_NOFOLLOW | O_CLOEXEC));
	CHECK_INT(lstat(scratch("l"), &l), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_TRUE(S_ISLNK(st.st_mode));
	CHECK_INT(st.st_ino, l.st_ino);
	CHECK_INT(st.st_dev, l.st_dev);
	CHECK_INT(st.st_size, 1);
	CHECK_INT(fstatat(fd, "", &st, AT_EMPTY_PATH), 0);
	CHECK_TRUE(S_ISLNK(st.st_mode));
	CHECK_INT(readlinkat(fd, "", target, sizeof target), 1);
	CHECK_STR(target, "f");
	CHECK_INT(fcntl(fd, F_GETFL) & (O_PATH | O_ACCMODE), O_PATH);
	CHECK_ERRNO(read(fd, target, 1), EBADF);
	CHECK_ERRNO(openat(fd, "f", O_RDONLY), ENOTDIR);
	CHECK_ERRNO(fchdir(fd), ENOTDIR);
	CHECK_TRUE(!fdopendir(fd));
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	CHECK_ERRNO(open(name, O_RDONLY), ELOOP);
	CHECK_INT(fchownat(fd, "", getuid(), getgid(), AT_EMPTY_PATH), 0);
	CHECK_INT(rename(scratch("l"), scratch("m")), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_ino, l.st_ino);
	copy = CHECK(dup(fd));
	CHECK_INT(close(fd), 0);
	CHECK_INT(IN_CHILD({
			  CHECK_INT(fstat(copy, &st), 0);
			  CHECK_TRUE(S_ISLNK(st.st_mode));
			  CHECK_INT(st.st_ino, l.st_ino);
		  }),
		  0);
	CHECK_INT(unlink(scratch("m")), 0);
	CHECK_INT(fstat(copy, &st), 0);
	CHECK_TRUE(S_ISLNK(st.st_mode));
	CHECK_INT(st.st_nlink, 0);
	CHECK_INT(close(copy), 0);
}

/* O_PATH: a descriptor of a file that may not be read, and by which nothing is done to it but by its name in /proc. */
TEST(open, a_path_alone)
{
	const struct timespec times[2] = {{1000, 0}, {2000, 0}};
	const char *name = make_file("f", "text");
	char byte, link[32], target[PATH_MAX] = "";
	struct statfs fs;
	struct stat st, is;
	int fd, dir;

	CHECK_INT(stat(name, &is), 0);
	CHECK_INT(chmod(name, 0), 0);
	fd = CHECK(open(name, O_PATH | O_CLOEXEC | O_TRUNC | O_RDWR));
	CHECK_INT(fcntl(fd, F_GETFL), O_PATH);
	CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_ino, is.st_ino);
	CHECK_INT(st.st_mode, S_IFREG);
	CHECK_INT(st.st_size, 4);
	CHECK_INT(fstatfs(fd, &fs), 0);
	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	dir = CHECK(open(scratch("d"), O_PATH));
	CHECK_INT(fcntl(dir, F_GETFL), O_PATH);
	for (int i = 0; i < 2; i++) {
		int it = i ? dir : fd;

		CHECK_ERRNO(read(it, &byte, 1), EBADF);
		CHECK_ERRNO(pread(it, &byte, 1, 0), EBADF);
		CHECK_ERRNO(write(it, "x", 1), EBADF);
		CHECK_ERRNO(lseek(it, 0, SEEK_END), EBADF);
		CHECK_ERRNO(fsync(it), EBADF);
		CHECK_ERRNO(fdatasync(it), EBADF);
		CHECK_ERRNO(syncfs(it), EBADF);
		CHECK_ERRNO(ftruncate(it, 0), EBADF);
		CHECK_INT(posix_fadvise(it, 0, 0, POSIX_FADV_NORMAL), EBADF);
		CHECK_ERRNO(fchmod(it, 0644), EBADF);
		CHECK_ERRNO(fchown(it, getuid(), getgid()), EBADF);
		CHECK_ERRNO(futimens(it, times), EBADF);
		CHECK_ERRNO(fgetxattr(it, "user.x", &byte, 1), EBADF);
		CHECK_ERRNO(flistxattr(it, &byte, 1), EBADF);
		CHECK_ERRNO(ioctl(it, FIONREAD, &byte), EBADF);
		CHECK_ERRNO(flock(it, LOCK_SH), EBADF);
		CHECK_ERRNO(lockf(it, F_TEST, 0), EBADF);
		CHECK_ERRNO(fcntl(it, F_SETFL, O_APPEND), EBADF);
		CHECK_TRUE(mmap(NULL, 1, PROT_READ, MAP_PRIVATE, it, 0) == MAP_FAILED && errno == EBADF);
		CHECK_ERRNO(getdents64(it, target, sizeof target), EBADF);
	}
	CHECK_TRUE(!fdopendir(fd) && errno == ENOTDIR);
	CHECK_ERRNO(fchdir(fd), ENOTDIR);
	CHECK_ERRNO(openat(fd, "x", O_RDONLY), ENOTDIR);
	CHECK_INT(close(CHECK(openat(dir, "g", O_WRONLY | O_CREAT, 0644))), 0);
	CHECK_INT(fchdir(dir), 0);
	CHECK_INT(access("g", F_OK), 0);
	CHECK_INT(chdir("/"), 0);
	CHECK_INT(fchownat(fd, "", getuid(), getgid(), AT_EMPTY_PATH), 0);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	CHECK_INT(chmod(link, 0640), 0);
	CHECK_INT(rename(name, scratch("moved")), 0);
	CHECK_TRUE(readlink(link, target, sizeof target - 1) > 0);
	CHECK_STR(target, scratch("moved"));
	CHECK_STR(content(link), "text");
	CHECK_INT(truncate(link, 2), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_mode, S_IFREG | 0640);
	CHECK_INT(st.st_size, 2);
	CHECK_INT(IN_CHILD({
			  int copy = (int)CHECK(dup(fd));

			  CHECK_INT(fstat(copy, &st), 0);
			  CHECK_INT(st.st_ino, is.st_ino);
			  CHECK_ERRNO(read(copy, &byte, 1), EBADF);
		  }),
		  0);
	CHECK_INT(unlink(scratch("moved")), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_ino, is.st_ino);
	CHECK_INT(st.st_nlink, 0);
	CHECK_INT(close(fd), 0);
	CHECK_INT(close(dir), 0);
	CHECK_ERRNO(fstat(fd, &st), EBADF);
}

TEST(open, a_program_by_its_path_alone)
{
	char *const argv[] = {"sh", "-c", "exit 7", NULL};
	char line[PATH_MAX + 16];
	int fd;

	snprintf(line, sizeof line, "cp /bin/sh %s", scratch("p"));
	CHECK_INT(system(line), 0);
	fd = CHECK(open(scratch("p"), O_PATH | O_CLOEXEC));
	CHECK_INT(IN_CHILD(fexecve(fd, argv, environ)), 7);
	close(fd);
}

TEST(open, by_descriptor_name)
{
	char name[64], c;
	int fd = CHECK(open(make_file("f", "abc"), O_RDONLY)), again;

	CHECK_INT(read(fd, &c, 1), 1);
	snprintf(name, sizeof name, "/dev/fd/%d", fd);
	again = CHECK(open(name, O_RDONLY));
	CHECK_INT(read(again, &c, 1), 1);
	CHECK_INT(c, 'a'); /* a fresh description */
	close(again);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	again = CHECK(open(name, O_RDONLY));
	CHECK_INT(read(again, &c, 1), 1);
	CHECK_INT(c, 'a');
	close(again);
	close(fd);
}

/* What /proc names is a link to what is open, there too where another process asks. */
TEST(open, names_of_descriptors_are_links)
{
	static const char *const forms[] = {"/dev/fd/%d", "/proc/self/fd/%d", "/proc/%2$d/fd/%1$d"};
	int file = CHECK((mkdir(scratch("d"), 0755), open(make_file("d/f", "abc"), O_RDONLY))),
	    dir = CHECK(open(scratch("d"), O_RDONLY));
	int parent = getpid(), status;
	pid_t child = CHECK(fork());

	for (unsigned i = 0; i < 3; i++) {
		char name[64], longer[80], target[PATH_MAX];
		struct stat st;
		ssize_t n;

		snprintf(name, sizeof name, forms[i], file, parent);
		CHECK_INT(lstat(name, &st), 0);
		CHECK_TRUE(S_ISLNK(st.st_mode));
		CHECK_INT(stat(name, &st), 0);
		CHECK_INT(st.st_size, 3);
		n = CHECK(readlink(name, target, sizeof target - 1));
		target[n] = '\0';
		CHECK_STR(target, scratch("d/f"));
		CHECK_STR(content(name), "abc");
		snprintf(longer, sizeof longer, "%s/", name);
		CHECK_ERRNO(open(longer, O_RDONLY), ENOTDIR);
		CHECK_ERRNO(stat(longer, &st), ENOTDIR);

		snprintf(name, sizeof name, forms[i], dir, parent);
		snprintf(longer, sizeof longer, "%s//f", name);
		CHECK_STR(content(longer), "abc");
		snprintf(longer, sizeof longer, "%s/", name);
		CHECK_INT(lstat(longer, &st), 0);
		CHECK_TRUE(S_ISDIR(st.st_mode));
		CHECK_ERRNO(readlink(longer, target, sizeof target), EINVAL);
	}
	if (!child)
		_exit(0);
	CHECK_INT(waitpid(child, &status, 0), child);
	CHECK_INT(status, 0);
	close(file);
	close(dir);
}

TEST(open, bad_pointers)
{
	char *const nowhere = (char *)8;
	struct stat st;

	CHECK_ERRNO(open(nowhere, O_RDONLY), EFAULT);
	CHECK_ERRNO(stat(nowhere, &st), EFAULT);
	CHECK_ERRNO(fstatat(AT_FDCWD, nowhere, &st, AT_EMPTY_PATH), EFAULT);
	CHECK_ERRNO(rename(nowhere, make_file("f", "")), EFAULT);
	CHECK_ERRNO(rename(scratch("f"), nowhere), EFAULT);
	CHECK_ERRNO(access(nowhere, F_OK), EFAULT);
}

/* Also where there is hardly a number to spare. */
TEST(open, lowest_number)
{
	const char *name = make_file("f", "");
	int status, pid = CHECK(fork());

	if (!pid) {
		int low = open("/dev/null", O_RDONLY);

		close(low);
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){20, 20});
		_exit(open(name, O_RDONLY) == low && open(name, O_RDONLY) == low + 1 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	CHECK_INT(status, 0);
}
