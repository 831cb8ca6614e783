/* test_faults.c: addresses where nothing is, counts beyond reason, names too long or odd, and no descriptor left. */
#include <pthread.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/posix/check.h"

#define BIG 3000000

/* What the compiler does not see through, or it would warn. */
static void *hide(void *p)
{
	__asm__("" : "+r"(p));
	return p;
}

/* Two pages: one to write to, and one where nothing is. */
static char *half_mapped(void)
{
	char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_INT(munmap(at + 4096, 4096), 0);
	return at;
}

static char *read_only(void)
{
	return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static char *big_file(const char *name)
{
	char *path = scratch(name), *bytes = calloc(1, BIG);
	int fd = (int)CHECK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));

	memset(bytes, 'a', BIG);
	CHECK_INT(write(fd, bytes, BIG), BIG);
	CHECK_INT(close(fd), 0);
	free(bytes);
	return path;
}

static void reads(const char *path, off_t size)
{
	volatile size_t all = SIZE_MAX;
	volatile int minus = -1;
	int fd = (int)CHECK(open(path, O_RDONLY));
	char *half = half_mapped(), *none = half + 4096, *fixed = read_only();
	struct iovec second[2] = {{half, 5}, {none, 5}}, negative[2] = {{half, 5}, {half, (size_t)-1}};

	CHECK_ERRNO(read(fd, none, 5), EFAULT);
	CHECK_ERRNO(read(fd, hide(NULL), 5), EFAULT);
	CHECK_ERRNO(read(fd, fixed, 5), EFAULT);
	CHECK_INT(read(fd, none, 0), 0);
	CHECK_INT(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_INT(pread(fd, none - 6, 10, 0), 6);
	CHECK_INT(pread(fd, none, 5, size), 0);
	CHECK_INT(pread(fd, half, 4096, 0), size < 4096 ? size : 4096);
	CHECK_ERRNO(pread(fd, half, all, 0), EFAULT);
	CHECK_ERRNO(pread(fd, half, all / 2, 0), EFAULT);
	CHECK_ERRNO(pread(fd, half, 5, -1), EINVAL);
	CHECK_INT(preadv(fd, second, 2, 0), 5);
	CHECK_ERRNO(preadv(fd, negative, 2, 0), EINVAL);
	CHECK_ERRNO(readv(fd, second, minus), EINVAL);
	CHECK_ERRNO(readv(fd, hide(NULL), 2), EFAULT);
	CHECK_ERRNO(fstat(fd, (void *)none), EFAULT);
	CHECK_ERRNO(fstat(fd, hide(NULL)), EFAULT);
	CHECK_INT(close(fd), 0);
}

TEST(faults, buffers)
{
	reads(make_file("small", "0123456789"), 10);
	reads(big_file("big"), BIG);
}

TEST(faults, attributes)
{
	char *f = make_file("f", "x"), *l = scratch("l"), *none = half_mapped() + 4096;

	CHECK_ERRNO(stat(f, (void *)none), EFAULT);
	CHECK_ERRNO(stat(f, hide(NULL)), EFAULT);
	CHECK_ERRNO(lstat(f, hide(NULL)), EFAULT);
	CHECK_ERRNO(fstatat(AT_FDCWD, f, (void *)none, 0), EFAULT);
	CHECK_ERRNO(statx(AT_FDCWD, f, 0, STATX_ALL, (void *)none), EFAULT);
	CHECK_ERRNO(statx(AT_FDCWD, f, 0xffffff, STATX_ALL, (void *)(none - 4096)), EINVAL);
	CHECK_ERRNO(stat(scratch("nothing"), (void *)none), ENOENT);
	CHECK_ERRNO(statfs(f, (void *)none), EFAULT);
	CHECK_INT(symlink("target", l), 0);
	CHECK_ERRNO(readlink(l, none, 10), EFAULT);
}

TEST(faults, null_paths)
{
	char *f = make_file("f", "x"), *null = hide(NULL);
	struct stat st;

	CHECK_ERRNO(open(null, O_RDONLY), EFAULT);
	CHECK_ERRNO(stat(null, &st), EFAULT);
	CHECK_ERRNO(mkdir(null, 0755), EFAULT);
	CHECK_ERRNO(unlink(null), EFAULT);
	CHECK_ERRNO(rename(null, f), EFAULT);
	CHECK_ERRNO(rename(f, null), EFAULT);
	CHECK_ERRNO(symlink(null, scratch("s")), EFAULT);
	CHECK_ERRNO(symlink("t", null), EFAULT);
	CHECK_ERRNO(linkat(AT_FDCWD, null, AT_FDCWD, f, AT_EMPTY_PATH), EFAULT);
	CHECK_ERRNO(chdir(null), EFAULT);
	CHECK_ERRNO(open("", O_RDONLY), ENOENT);
	CHECK_ERRNO(stat("", &st), ENOENT);
	CHECK_ERRNO(rename("", f), ENOENT);
	CHECK_ERRNO(rename(f, ""), ENOENT);
	CHECK_ERRNO(symlink("", scratch("s")), ENOENT);
}

/* What mmap() and others say when they fail, taken for a path. */
TEST(faults, failed_pointers_as_paths)
{
	char *f = make_file("f", "x"), *failed = MAP_FAILED;
	struct stat st;

	CHECK_ERRNO(open(failed, O_RDONLY), EFAULT);
	CHECK_ERRNO(openat(AT_FDCWD, failed, O_RDONLY), EFAULT);
	CHECK_ERRNO(stat(failed, &st), EFAULT);
	CHECK_ERRNO(fstatat(AT_FDCWD, failed, &st, AT_EMPTY_PATH), EFAULT);
	CHECK_ERRNO(access(failed, F_OK), EFAULT);
	CHECK_ERRNO(mkdir(failed, 0755), EFAULT);
	CHECK_ERRNO(unlink(failed), EFAULT);
	CHECK_ERRNO(rename(failed, f), EFAULT);
	CHECK_ERRNO(rename(f, failed), EFAULT);
	CHECK_ERRNO(symlink("t", failed), EFAULT);
	CHECK_ERRNO(chdir(failed), EFAULT);
}

TEST(faults, directories)
{
	int fd = (int)CHECK(open(test_dir, O_RDONLY | O_DIRECTORY));
	char *none = half_mapped() + 4096, buf[100];

	CHECK_ERRNO(getdents64(fd, none, 4096), EFAULT);
	CHECK_ERRNO(read(fd, buf, sizeof buf), EISDIR);
	CHECK_INT(close(fd), 0);
	CHECK_INT(chdir(test_dir), 0);
	CHECK_TRUE(getcwd(none, 4096) == NULL && errno == EFAULT);
	CHECK_TRUE(getcwd(buf, 1) == NULL && errno == ERANGE);
	CHECK_INT(chdir("/"), 0);
}

TEST(faults, long_names)
{
	char *name = calloc(1, 6000);
	struct stat st;

	memset(name, 'n', 256);
	CHECK_ERRNO(open(scratch(name), O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
	CHECK_ERRNO(stat(scratch(name), &st), ENAMETOOLONG);
	CHECK_ERRNO(mkdir(scratch(name), 0755), ENAMETOOLONG);
	name[255] = '\0';
	CHECK_INT(mkdir(scratch(name), 0755), 0);
	for (size_t n = (size_t)snprintf(name, 6000, "%s", test_dir); n < 5000; n += 2)
		strcpy(name + n, "/x");
	CHECK_ERRNO(stat(name, &st), ENAMETOOLONG);
	CHECK_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
	CHECK_ERRNO(rename(name, scratch("y")), ENAMETOOLONG);
	for (size_t n = (size_t)snprintf(name, 6000, "%s", test_dir); n < 5000; n += 2)
		strcpy(name + n, "/.");
	CHECK_ERRNO(stat(name, &st), ENAMETOOLONG);
	free(name);
}

TEST(faults, odd_names)
{
	static const char *const names[] = {
		"new\nline", "tab\there", " ",   "\1\2", "back\\slash", "quo\"te'",         "*?[x]", "%41",
		"a:b;c",     "#x?y",      "...", "-f",   "\xc3\xa9",    "\xf0\x9f\x98\x80", "\x7f"};
	unsigned seen = 0;
	struct dirent *e;
	DIR *dir;
	int fd;

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		fd = (int)CHECK(open(scratch(names[i]), O_WRONLY | O_CREAT | O_EXCL, 0644));
		CHECK_INT(write(fd, names[i], strlen(names[i])), strlen(names[i]));
		CHECK_INT(close(fd), 0);
		CHECK_STR(content(scratch(names[i])), names[i]);
	}
	dir = opendir(test_dir);
	while (dir && (e = readdir(dir)))
		for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
			seen += !strcmp(e->d_name, names[i]);
	CHECK_INT(seen, sizeof names / sizeof *names);
	if (dir)
		closedir(dir);
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		CHECK_INT(unlink(scratch(names[i])), 0);
}

/* Without a number for the descriptor nothing is made, and nothing emptied. */
TEST(faults, no_descriptor_left)
{
	char *f = make_file("f", "precious"), *fresh = scratch("fresh");
	struct rlimit files;
	struct stat st;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = 40;
	CHECK_INT(IN_CHILD({
			  CHECK_INT(stat(f, &st), 0);
			  CHECK_INT(setrlimit(RLIMIT_NOFILE, &files), 0);
			  while (open("/dev/null", O_RDONLY) >= 0)
				  ;
			  CHECK_ERRNO(open("/dev/null", O_RDONLY), EMFILE);
			  CHECK_ERRNO(open(f, O_RDONLY), EMFILE);
			  CHECK_ERRNO(open(f, O_WRONLY | O_TRUNC), EMFILE);
			  CHECK_ERRNO(open(f, O_WRONLY | O_TRUNC | O_CREAT, 0644), EMFILE);
			  CHECK_ERRNO(open(fresh, O_WRONLY | O_CREAT, 0644), EMFILE);
			  CHECK_INT(close(10), 0);
			  CHECK_INT(open(f, O_RDONLY), 10);
		  }),
		  0);
	CHECK_STR(content(f), "precious");
	CHECK_ERRNO(stat(fresh, &st), ENOENT);
}

/* Whoever gives up root's rights has them no more, also over what he had open to ask. */
TEST(faults, another_user)
{
	struct stat st;

	make_file("mine", "x");
	if (geteuid())
		return;
	CHECK_INT(chmod(scratch("mine"), 0600), 0);
	CHECK_INT(chmod(test_dir, 0777), 0);
	CHECK_INT(IN_CHILD({
			  CHECK_INT(chdir(test_dir), 0);
			  CHECK_INT(access("mine", R_OK), 0);
			  CHECK_INT(setgid(1234), 0);
			  CHECK_INT(setuid(1234), 0);
			  CHECK_ERRNO(open("mine", O_RDONLY), EACCES);
			  CHECK_INT(close((int)CHECK(open("his", O_WRONLY | O_CREAT | O_EXCL, 0600))), 0);
			  CHECK_INT(mkdir("dir", 0700), 0);
			  CHECK_INT(symlink("his", "link"), 0);
			  CHECK_INT(close((int)CHECK(open("his", O_RDWR))), 0);
			  CHECK_INT(close((int)CHECK(creat("dir/f", 0644))), 0);
			  CHECK_ERRNO(chmod("mine", 0777), EPERM);
		  }),
		  0);
	CHECK_INT(stat(scratch("his"), &st), 0);
	CHECK_INT(st.st_uid, 1234);
	CHECK_INT(st.st_gid, 1234);
	CHECK_INT(stat(scratch("dir"), &st), 0);
	CHECK_INT(st.st_uid, 1234);
	CHECK_INT(lstat(scratch("link"), &st), 0);
	CHECK_INT(st.st_uid, 1234);
}

/* A directory that may not be searched hides all below it; and what is not there, or there already, is that before it is refused. */
TEST(faults, directories_of_another)
{
	struct stat st;
	char buf[16];

	CHECK_INT(mkdir(scratch("closed"), 0755), 0);
	CHECK_INT(mkdir(scratch("closed/d"), 0777), 0);
	make_file("closed/d/f", "x");
	CHECK_INT(mkdir(scratch("fixed"), 0755), 0);
	CHECK_INT(mkdir(scratch("fixed/d"), 0755), 0);
	CHECK_INT(symlink("../closed/d/f", scratch("fixed/link")), 0);
	make_file("fixed/f", "x");
	CHECK_INT(symlink("../closed/gone", scratch("fixed/gone")), 0);
	CHECK_INT(symlink("../closed/d/f/x", scratch("fixed/below")), 0);
	CHECK_INT(symlink("f/x", scratch("fixed/near")), 0);
	CHECK_INT(mkdir(scratch("sticky"), 0755), 0);
	CHECK_INT(mkdir(scratch("sticky/d"), 0755), 0);
	make_file("sticky/f", "x");
	CHECK_INT(mkdir(scratch("read"), 0744), 0);
	CHECK_INT(mkdir(scratch("search"), 0711), 0);
	CHECK_INT(mkdir(scratch("one"), 0777), 0);
	CHECK_INT(mkdir(scratch("one/d"), 0755), 0);
	CHECK_INT(mkdir(scratch("other"), 0777), 0);
	CHECK_INT(symlink("one", scratch("again")), 0);
	CHECK_INT(symlink("fixed", scratch("inside")), 0);
	if (geteuid())
		return;
	CHECK_INT(chmod(scratch("sticky"), 01777), 0);
	CHECK_INT(chmod(scratch("one"), 0777), 0);
	CHECK_INT(chmod(scratch("other"), 0777), 0);
	CHECK_INT(chmod(test_dir, 0755), 0);
	CHECK_INT(chmod(scratch("closed/d"), 0777), 0);
	CHECK_INT(chmod(scratch("closed"), 0700), 0);
	CHECK_INT(IN_CHILD({
			  CHECK_INT(chdir(test_dir), 0);
			  CHECK_INT(access("fixed", R_OK), 0);
			  CHECK_INT(setgid(1234), 0);
			  CHECK_INT(setuid(1234), 0);
			  CHECK_ERRNO(open("closed/d/f", O_RDONLY), EACCES);
			  CHECK_ERRNO(open("fixed/link", O_RDONLY), EACCES);
			  CHECK_ERRNO(open("fixed/link", O_RDWR | O_CREAT, 0644), EACCES);
			  CHECK_ERRNO(open("fixed/below", O_WRONLY | O_CREAT, 0644), EACCES);
			  CHECK_ERRNO(open("fixed/below", O_RDONLY), EACCES);
			  CHECK_ERRNO(open("fixed/near", O_WRONLY | O_CREAT, 0644), ENOTDIR);
			  CHECK_ERRNO(stat("closed/d/f", &st), EACCES);
			  CHECK_ERRNO(stat("closed/none", &st), EACCES);
			  CHECK_ERRNO(open("closed/d", O_RDONLY | O_DIRECTORY), EACCES);
			  CHECK_ERRNO(mkdir("closed/d/e", 0777), EACCES);
			  CHECK_ERRNO(unlink("closed/d/f"), EACCES);
			  CHECK_ERRNO(rename("closed/d/f", "f"), EACCES);
			  CHECK_ERRNO(creat("closed/d/g", 0644), EACCES);
			  CHECK_ERRNO(chdir("closed/d"), EACCES);
			  CHECK_ERRNO(open("closed/d/f", O_WRONLY | O_CREAT, 0644), EACCES);
			  CHECK_ERRNO(chdir("closed"), EACCES);
			  CHECK_ERRNO(chdir("read"), EACCES);
			  CHECK_ERRNO(open("search", O_RDONLY | O_DIRECTORY), EACCES);
			  CHECK_INT(stat("closed", &st), 0);
			  CHECK_ERRNO(mkdir("fixed/d", 0777), EEXIST);
			  CHECK_ERRNO(mkdir("fixed/e", 0777), EACCES);
			  CHECK_ERRNO(unlink("fixed/none"), ENOENT);
			  CHECK_ERRNO(rmdir("fixed/none"), ENOENT);
			  CHECK_ERRNO(rmdir("fixed/d"), EACCES);
			  CHECK_ERRNO(rename("fixed/none", "fixed/e"), ENOENT);
			  CHECK_ERRNO(unlink("fixed/f/"), ENOTDIR);
			  CHECK_ERRNO(unlink("fixed/d/"), EISDIR);
			  CHECK_INT(rename("fixed/f", "fixed/f"), 0);
			  CHECK_ERRNO(rename("fixed/f", "fixed/f/g"), ENOTDIR);
			  CHECK_ERRNO(rename("fixed/f", "fixed"), ENOTEMPTY);
			  CHECK_ERRNO(rename("fixed/f/", "fixed/g"), ENOTDIR);
			  CHECK_ERRNO(renameat2(AT_FDCWD, "fixed/f", AT_FDCWD, "fixed/d", RENAME_NOREPLACE), EEXIST);
			  CHECK_ERRNO(access("fixed/gone", F_OK), EACCES);
			  CHECK_ERRNO(readlink("fixed/gone/x", buf, sizeof buf), EACCES);
			  CHECK_ERRNO(unlink("sticky/f"), EPERM);
			  CHECK_ERRNO(rmdir("sticky/d"), EPERM);
			  CHECK_ERRNO(unlink("sticky/d"), EPERM);
			  CHECK_ERRNO(rename("sticky/f", "sticky/g"), EPERM);
			  CHECK_INT(close((int)CHECK(open("sticky/mine", O_CREAT | O_WRONLY, 0644))), 0);
			  CHECK_ERRNO(rename("sticky/mine", "sticky/f"), EPERM);
			  CHECK_INT(rename("sticky/mine", "sticky/g"), 0);
			  CHECK_INT(unlink("sticky/g"), 0);
			  CHECK_INT(rename("one/d", "one/e"), 0);
			  CHECK_ERRNO(rename("one/e", "other/e"), EACCES);
			  CHECK_INT(rename("one/e", "again/d"), 0);
			  CHECK_INT(rename("again/d", "one/e"), 0);
			  CHECK_ERRNO(rename("fixed", "inside/d"), EINVAL);
			  CHECK_ERRNO(renameat2(AT_FDCWD, "fixed/f", AT_FDCWD, "inside/f", RENAME_NOREPLACE), EEXIST);
		  }),
		  0);
}

/* As a server does that works for others: a thread's own ids, and back. */
static void *as_another(void *unused)
{
	setfsgid(1234);
	setfsuid(1234);
	CHECK_ERRNO(open("mine", O_RDONLY), EACCES);
	CHECK_INT(close((int)CHECK(open("his", O_WRONLY | O_CREAT | O_EXCL, 0600))), 0);
	CHECK_INT(syscall(SYS_setfsuid, 0), 1234);
	CHECK_INT(close((int)CHECK(open("mine", O_RDONLY))), 0);
	CHECK_INT(syscall(SYS_setfsuid, 1234), 0);
	CHECK_ERRNO(open("mine", O_RDONLY), EACCES);
	return unused;
}

TEST(faults, ids_of_a_thread)
{
	pthread_t thread;
	struct stat st;

	make_file("mine", "x");
	if (geteuid())
		return;
	CHECK_INT(chmod(scratch("mine"), 0600), 0);
	CHECK_INT(chmod(test_dir, 0777), 0);
	CHECK_INT(IN_CHILD({
			  CHECK_INT(chdir(test_dir), 0);
			  CHECK_INT(pthread_create(&thread, NULL, as_another, NULL), 0);
			  CHECK_INT(pthread_join(thread, NULL), 0);
			  CHECK_INT(close((int)CHECK(open(scratch("mine"), O_RDONLY))), 0);
		  }),
		  0);
	CHECK_INT(stat(scratch("his"), &st), 0);
	CHECK_INT(st.st_uid, 1234);
	CHECK_INT(st.st_gid, 1234);
}
