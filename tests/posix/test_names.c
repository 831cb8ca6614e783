/* test_names.c: rename, links, attributes, temporary names. */
#include "check.h"
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

TEST(names, mkdir_takes_the_sticky_bit)
{
	mode_t mask = umask(0);
	struct stat st;

	CHECK_INT(mkdir(scratch("sticky"), 01777), 0);
	CHECK_INT(stat(scratch("sticky"), &st), 0);
	CHECK_INT(st.st_mode, S_IFDIR | 01777);
	umask(mask);
}

TEST(rename, replaces_a_file)
{
	struct stat a, b;

	make_file("f", "new");
	make_file("g", "old");
	CHECK_INT(stat(scratch("f"), &a), 0);
	CHECK_INT(rename(scratch("f"), scratch("g")), 0);
	CHECK_INT(stat(scratch("g"), &b), 0);
	CHECK_INT(a.st_ino, b.st_ino);
	CHECK_STR(content(scratch("g")), "new");
	CHECK_ERRNO(rename(scratch("f"), scratch("g")), ENOENT);
	CHECK_INT(rename(scratch("g"), scratch("g")), 0);
	CHECK_STR(content(scratch("g")), "new");
}

TEST(rename, directories)
{
	mkdir(scratch("d"), 0755);
	make_file("d/f", "below");
	CHECK_INT(rename(scratch("d"), scratch("e")), 0);
	CHECK_STR(content(scratch("e/f")), "below");
	mkdir(scratch("empty"), 0755);
	CHECK_INT(rename(scratch("e"), scratch("empty")), 0);
	CHECK_STR(content(scratch("empty/f")), "below");
	mkdir(scratch("d"), 0755);
	CHECK_ERRNO(rename(scratch("d"), scratch("empty")), ENOTEMPTY);
	make_file("g", "");
	CHECK_ERRNO(rename(scratch("g"), scratch("d")), EISDIR);
	CHECK_ERRNO(rename(scratch("d"), scratch("g")), ENOTDIR);
	CHECK_ERRNO(rename(scratch("empty"), scratch("empty/x")), EINVAL);
	CHECK_ERRNO(rename(scratch("empty"), scratch("empty/none/x")), ENOENT);
	CHECK_ERRNO(rename(scratch("empty"), scratch("empty/f/x")), ENOTDIR);
	CHECK_ERRNO(rename(scratch("empty/f"), scratch("empty")), ENOTEMPTY);
	CHECK_ERRNO(rename(scratch("g"), scratch("nothing/g")), ENOENT);
	CHECK_ERRNO(rename(scratch("g"), scratch("g/")), ENOTDIR);
	CHECK_ERRNO(rename(scratch("g/"), scratch("nothing/g")), ENOENT);
	CHECK_ERRNO(rename(scratch("g/"), scratch("h")), ENOTDIR);
}

TEST(links, to_what_ends_in_a_slash)
{
	mkdir(scratch("d"), 0755);
	make_file("f", "f");
	CHECK_INT(symlink("nothing/", scratch("to_nothing")), 0);
	CHECK_INT(symlink("d/", scratch("to_d")), 0);
	CHECK_INT(symlink("f/", scratch("to_f")), 0);
	CHECK_ERRNO(open(scratch("to_nothing"), O_CREAT | O_WRONLY, 0644), EISDIR);
	CHECK_ERRNO(access(scratch("nothing"), F_OK), ENOENT);
	CHECK_ERRNO(open(scratch("to_d"), O_CREAT | O_WRONLY, 0644), EISDIR);
	CHECK_ERRNO(open(scratch("d"), O_CREAT | O_RDONLY, 0644), EISDIR);
	CHECK_INT(access(scratch("to_d"), F_OK), 0);
	CHECK_INT(symlink("none/nothing/", scratch("to_none")), 0);
	CHECK_ERRNO(open(scratch("to_none"), O_CREAT | O_WRONLY, 0644), ENOENT);
	CHECK_ERRNO(open(scratch("nothing/"), O_CREAT | O_WRONLY, 0644), EISDIR);
	CHECK_ERRNO(open(scratch("d/"), O_CREAT | O_WRONLY, 0644), EISDIR);
	CHECK_ERRNO(open(scratch("f/"), O_CREAT | O_WRONLY, 0644), EISDIR);
	CHECK_ERRNO(open(scratch("nothing/f/"), O_CREAT | O_WRONLY, 0644), ENOENT);
	CHECK_ERRNO(open(scratch("f/f/"), O_CREAT | O_WRONLY, 0644), ENOTDIR);
	CHECK_ERRNO(symlink("x", scratch("f/")), EEXIST);
	CHECK_ERRNO(symlink("x", scratch("to_nothing/")), EEXIST);
	CHECK_ERRNO(symlink("x", scratch("f/f/")), ENOTDIR);
	CHECK_ERRNO(unlink(scratch("f/")), ENOTDIR);
	CHECK_ERRNO(unlink(scratch("d/")), EISDIR);
	CHECK_ERRNO(unlink(scratch("to_d/")), ENOTDIR);
	CHECK_ERRNO(unlink(scratch("nothing/")), ENOENT);
	CHECK_ERRNO(open(scratch("to_f"), O_RDONLY), ENOTDIR);
	CHECK_ERRNO(access(scratch("to_f"), F_OK), ENOTDIR);
}

TEST(rename, below_itself_by_a_link)
{
	mkdir(scratch("d"), 0755);
	mkdir(scratch("d/in"), 0755);
	mkdir(scratch("elsewhere"), 0755);
	CHECK_INT(symlink("../elsewhere", scratch("d/out")), 0);
	CHECK_INT(symlink("../d/in", scratch("elsewhere/in")), 0);
	CHECK_ERRNO(rename(scratch("d"), scratch("elsewhere/in/d")), EINVAL);
	CHECK_INT(rename(scratch("d"), scratch("d/out/d")), 0);
	CHECK_INT(access(scratch("elsewhere/d/in"), F_OK), 0);
}

TEST(rename, no_replace)
{
	make_file("f", "f");
	make_file("g", "g");
	CHECK_ERRNO(renameat2(AT_FDCWD, scratch("f"), AT_FDCWD, scratch("g"), RENAME_NOREPLACE), EEXIST);
	CHECK_INT(renameat2(AT_FDCWD, scratch("f"), AT_FDCWD, scratch("h"), RENAME_NOREPLACE), 0);
	CHECK_STR(content(scratch("h")), "f");
	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	CHECK_INT(symlink("d", scratch("to_d")), 0);
	make_file("d/f", "f");
	CHECK_ERRNO(renameat2(AT_FDCWD, scratch("to_d/f"), AT_FDCWD, scratch("to_d/f"), RENAME_NOREPLACE), EEXIST);
	CHECK_ERRNO(renameat2(AT_FDCWD, scratch("to_d/f"), AT_FDCWD, scratch("d/f"), RENAME_NOREPLACE), EEXIST);
	CHECK_ERRNO(rename(scratch("to_d/f"), scratch("to_d/f/")), ENOTDIR);
}

TEST(rename, not_dots)
{
	mkdir(scratch("d"), 0755);
	CHECK_ERRNO(rename(scratch("d/."), scratch("e")), EBUSY);
	CHECK_ERRNO(rename(scratch("d"), scratch("d/..")), EBUSY);
	CHECK_ERRNO(rename(scratch("d/./"), scratch("e")), EBUSY);
	CHECK_ERRNO(rename(scratch("none/."), scratch("e")), ENOENT);
	CHECK_ERRNO(rename(scratch("d"), scratch("none/.")), ENOENT);
	CHECK_ERRNO(mkdir(scratch("d/."), 0755), EEXIST);
	CHECK_ERRNO(mkdir(scratch("none/."), 0755), ENOENT);
	CHECK_ERRNO(open(scratch("d/."), O_CREAT | O_WRONLY, 0644), EISDIR);
	CHECK_ERRNO(open(scratch("d/."), O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
	CHECK_ERRNO(open(scratch("none/."), O_CREAT | O_WRONLY, 0644), ENOENT);
	CHECK_ERRNO(rmdir(scratch("none/.")), ENOENT);
	CHECK_ERRNO(rmdir(scratch("d/.")), EINVAL);
	CHECK_ERRNO(rmdir(scratch("d/..")), ENOTEMPTY);
	CHECK_ERRNO(symlink("x", scratch("d/")), EEXIST);
	CHECK_ERRNO(symlink("x", scratch("none/")), ENOENT);
	CHECK_INT(rename(scratch("d/"), scratch("e//")), 0);
	CHECK_INT(rmdir(scratch("e/")), 0);
}

TEST(link, symbolic)
{
	struct stat st;
	char target[64] = "";

	make_file("f", "through");
	CHECK_INT(symlink("f", scratch("l")), 0);
	CHECK_ERRNO(symlink("f", scratch("l")), EEXIST);
	CHECK_INT(readlink(scratch("l"), target, sizeof target), 1);
	CHECK_STR(target, "f");
	CHECK_INT(lstat(scratch("l"), &st), 0);
	CHECK_TRUE(S_ISLNK(st.st_mode));
	CHECK_INT(st.st_size, 1);
	CHECK_INT(stat(scratch("l"), &st), 0);
	CHECK_TRUE(S_ISREG(st.st_mode));
	CHECK_STR(content(scratch("l")), "through");
	CHECK_ERRNO(readlink(scratch("f"), target, sizeof target), EINVAL);
	CHECK_INT(unlink(scratch("l")), 0);
	CHECK_STR(content(scratch("f")), "through");
	CHECK_INT(symlink("/etc/passwd", scratch("out")), 0);
	CHECK_TRUE(strstr(content(scratch("out")), "root:") != NULL);
	mkdir(scratch("d"), 0755);
	make_file("d/g", "deep");
	CHECK_INT(symlink("d", scratch("ld")), 0);
	CHECK_STR(content(scratch("ld/g")), "deep");
	CHECK_INT(symlink(scratch("f"), scratch("absolute")), 0);
	CHECK_STR(content(scratch("absolute")), "through");
}

TEST(attr, stat_of_a_file)
{
	struct stat st, f;
	struct statx x;
	int fd = CHECK(open(make_file("f", "12345"), O_RDONLY));

	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(fstat(fd, &f), 0);
	CHECK_INT(st.st_ino, f.st_ino);
	CHECK_INT(st.st_dev, f.st_dev);
	CHECK_INT(st.st_mode, f.st_mode);
	CHECK_INT(f.st_mode, S_IFREG | 0644);
	CHECK_INT(st.st_size, 5);
	CHECK_INT(f.st_size, 5);
	CHECK_INT(f.st_uid, geteuid());
	CHECK_TRUE(st.st_blksize > 0);
	CHECK_INT(st.st_mtime, f.st_mtime);
	CHECK_INT(fstatat(fd, "", &f, AT_EMPTY_PATH), 0);
	CHECK_INT(st.st_ino, f.st_ino);
	CHECK_INT(statx(AT_FDCWD, scratch("f"), 0, STATX_BASIC_STATS, &x), 0);
	CHECK_INT(x.stx_ino, st.st_ino);
	CHECK_INT(x.stx_size, 5);
	CHECK_INT(makedev(x.stx_dev_major, x.stx_dev_minor), st.st_dev);
	CHECK_INT(close(fd), 0);
	CHECK_INT(stat(scratch(""), &st), 0);
	CHECK_TRUE(S_ISDIR(st.st_mode));
	CHECK_ERRNO(stat(scratch("f/x"), &st), ENOTDIR);
	CHECK_ERRNO(stat(scratch("f/"), &st), ENOTDIR);
}

TEST(attr, identity_outlives_writing)
{
	struct stat a, b, c;
	int fd = CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644));

	CHECK_INT(fstat(fd, &a), 0);
	CHECK_INT(write(fd, "x", 1), 1);
	CHECK_INT(stat(scratch("f"), &b), 0);
	CHECK_INT(close(fd), 0);
	CHECK_INT(stat(scratch("f"), &c), 0);
	CHECK_INT(a.st_ino, b.st_ino);
	CHECK_INT(b.st_ino, c.st_ino);
	CHECK_INT(a.st_dev, c.st_dev);
}

TEST(attr, modes)
{
	struct stat st;
	int fd = CHECK(open(make_file("f", ""), O_RDWR));

	CHECK_INT(chmod(scratch("f"), 0600), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	CHECK_INT(fchmod(fd, 0754), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0754);
	CHECK_INT(fchmodat(AT_FDCWD, scratch("f"), 0640, 0), 0);
	CHECK_INT(close(fd), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mode & 07777, 0640);
	CHECK_ERRNO(chmod(scratch("nothing"), 0600), ENOENT);
	CHECK_INT(chown(scratch("f"), geteuid(), getegid()), 0);
	CHECK_INT(access(scratch("f"), R_OK), 0);
	CHECK_ERRNO(access(scratch("f"), X_OK), EACCES);
}

/* Who has it open may still change it, and whoever else has sees that. */
static void change_removed(int fd, int other)
{
	struct timespec ts[2] = {{1000000000, 0}, {1100000000, 0}};
	struct stat st;

	CHECK_INT(fchmod(fd, 0610), 0);
	CHECK_INT(fchown(fd, geteuid(), getegid()), 0);
	CHECK_INT(futimens(fd, ts), 0);
	CHECK_INT(fstat(other, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0610);
	CHECK_INT(st.st_mtime, 1100000000);
	CHECK_INT(close(fd), 0);
	CHECK_INT(close(other), 0);
}

TEST(attr, of_what_was_removed)
{
	int fd = CHECK(open(put_file("f", "text", 4), O_RDONLY)), other = CHECK(open(scratch("f"), O_RDONLY));

	CHECK_INT(unlink(scratch("f")), 0);
	change_removed(fd, other);
	fd = CHECK(open(scratch("g"), O_RDWR | O_CREAT, 0644));
	other = CHECK(open(scratch("g"), O_RDONLY));
	CHECK_INT(unlink(scratch("g")), 0);
	change_removed(fd, other);
	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	fd = CHECK(open(scratch("d"), O_RDONLY | O_DIRECTORY));
	other = CHECK(open(scratch("d"), O_RDONLY | O_DIRECTORY));
	CHECK_INT(rmdir(scratch("d")), 0);
	change_removed(fd, other);
}

TEST(attr, times)
{
	struct timespec ts[2] = {{1000000000, 0}, {1100000000, 500000000}};
	struct timeval tv[2] = {{1200000000, 0}, {1300000000, 0}};
	struct utimbuf ut = {1400000000, 1500000000};
	struct stat st;
	int fd = CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644));

	CHECK_INT(write(fd, "x", 1), 1);
	CHECK_INT(futimens(fd, ts), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_mtime, 1100000000);
	CHECK_INT(close(fd), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mtime, 1100000000);
	CHECK_INT(st.st_atime, 1000000000);
	CHECK_INT(utimes(scratch("f"), tv), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mtime, 1300000000);
	CHECK_INT(utime(scratch("f"), &ut), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mtime, 1500000000);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_nsec = UTIME_NOW;
	CHECK_INT(utimensat(AT_FDCWD, scratch("f"), ts, 0), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_TRUE(st.st_mtime > 1600000000);
	CHECK_INT(st.st_atime, 1400000000);
	CHECK_INT(utime(scratch("f"), &ut), 0);
	CHECK_INT(truncate(scratch("f"), 1), 0); /* as long as it is */
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_TRUE(st.st_mtime > 1600000000);
	CHECK_INT(st.st_atime, 1400000000);
	CHECK_STR(content(scratch("f")), "x");
}

TEST(attr, file_system)
{
	struct statvfs v;

	CHECK_INT(statvfs(scratch(""), &v), 0);
	CHECK_TRUE(v.f_bsize > 0 && v.f_blocks > 0);
	CHECK_ERRNO(statvfs(scratch("nothing"), &v), ENOENT);
}

TEST(temporary, names)
{
	char *name = scratch("tXXXXXX"), *dir = scratch("dXXXXXX");
	struct stat st;
	int fd = CHECK(mkstemp(name));

	CHECK_INT(write(fd, "tmp", 3), 3);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	CHECK_INT(unlink(name), 0);
	CHECK_INT(lseek(fd, 0, SEEK_END), 3);
	CHECK_INT(close(fd), 0);
	CHECK_TRUE(mkdtemp(dir) != NULL);
	CHECK_INT(rmdir(dir), 0);
}

static int named(int fd, const char *path)
{
	char self[32];

	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* A file that is complete before it has a name: how a program sees to it that nobody finds half of one. */
TEST(temporary, gets_a_name)
{
	const struct timespec long_ago[2] = {{1000000000, 0}, {1000000000, 0}};
	int fd = open(scratch(""), O_TMPFILE | O_RDWR, 0640);
	struct stat st, by_name;

	if (fd < 0 && errno == EOPNOTSUPP)
		return;
	CHECK_INT(write(fd, "half", 4), 4);
	make_file("old", "old");
	CHECK_ERRNO(named(fd, scratch("old")), EEXIST);
	CHECK_ERRNO(named(fd, scratch("nothing/f")), ENOENT);
	CHECK_ERRNO(named(fd, scratch("f/")), ENOENT);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_nlink, 0);
	CHECK_ERRNO(access(scratch("f"), F_OK), ENOENT);
	mkdir(scratch("d"), 0755);
	CHECK_INT(utimensat(AT_FDCWD, scratch("d"), long_ago, 0), 0);
	CHECK_INT(named(fd, scratch("d/f")), 0);
	CHECK_INT(stat(scratch("d"), &st), 0);
	CHECK_TRUE(st.st_mtim.tv_sec > 1000000000); /* there is something new in it */
	CHECK_INT(rename(scratch("d/f"), scratch("f")), 0);
	CHECK_INT(stat(scratch("f"), &by_name), 0);
	CHECK_INT(fstat(fd, &st), 0);
	CHECK_INT(st.st_ino, by_name.st_ino);
	CHECK_INT(by_name.st_nlink, 1);
	CHECK_INT(by_name.st_size, 4);
	CHECK_STR(content(scratch("f")), "half");
	CHECK_INT(write(fd, " and half", 9), 9);
	CHECK_INT(close(fd), 0);
	CHECK_STR(content(scratch("f")), "half and half");
	CHECK_INT(rename(scratch("f"), scratch("old")), 0);
	CHECK_STR(content(scratch("old")), "half and half");
	CHECK_INT(stat(scratch("old"), &st), 0);
	CHECK_INT(st.st_ino, by_name.st_ino);
	CHECK_INT(unlink(scratch("old")), 0);
}

TEST(temporary, stays_without_a_name)
{
	int fd = open(scratch(""), O_TMPFILE | O_RDWR | O_EXCL, 0600);

	if (fd >= 0) {
		CHECK_ERRNO(named(fd, scratch("f")), ENOENT);
		close(fd);
	}
	fd = CHECK(open(scratch("g"), O_RDWR | O_CREAT, 0600));
	CHECK_INT(unlink(scratch("g")), 0);
	CHECK_ERRNO(named(fd, scratch("f")), ENOENT);
	CHECK_ERRNO(access(scratch("f"), F_OK), ENOENT);
	close(fd);
}
