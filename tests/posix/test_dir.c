/* test_dir.c: directory streams, the working directory, walks. */
#include "check.h"
#include <ftw.h>
#include <fts.h>
#include <glob.h>
#include <sys/vfs.h>

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a stream, sorted, without "." and "..". */
static const char *names(DIR *d)
{
	static char out[65536];
	static char *all[4096];
	size_t n = 0;
	struct dirent *e;

	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			all[n++] = strdup(e->d_name);
	qsort(all, n, sizeof *all, by_text);
	out[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		strcat(strcat(out, i ? " " : ""), all[i]);
		free(all[i]);
	}
	return out;
}

TEST(dir, lists_names_and_types)
{
	struct dirent *e;
	int dots = 0;
	DIR *d;

	make_file("f", "x");
	mkdir(scratch("d"), 0755);
	CHECK_INT(symlink("f", scratch("l")), 0);
	d = opendir(scratch(""));
	CHECK_TRUE(d != NULL);
	while ((e = readdir(d))) {
		struct stat st;

		CHECK_INT(fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
		CHECK_TRUE(e->d_type == DT_UNKNOWN || e->d_type == IFTODT(st.st_mode));
		if (e->d_name[0] == '.')
			dots++;
		else
			CHECK_INT(e->d_ino, st.st_ino);
	}
	CHECK_INT(dots, 2);
	rewinddir(d);
	CHECK_STR(names(d), "d f l");
	make_file("g", "");
	rewinddir(d);
	CHECK_STR(names(d), "d f g l");
	CHECK_INT(closedir(d), 0);
	errno = 0;
	CHECK_TRUE(!opendir(scratch("nothing")) && errno == ENOENT);
	CHECK_TRUE(!opendir(scratch("f")) && errno == ENOTDIR);
}

TEST(dir, tells_and_seeks)
{
	DIR *d;
	char name[256];
	long at;

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "n%02d", i);
		make_file(name, "");
	}
	d = opendir(scratch(""));
	for (int i = 0; i < 5; i++)
		CHECK_TRUE(readdir(d) != NULL);
	at = telldir(d);
	snprintf(name, sizeof name, "%s", readdir(d)->d_name);
	while (readdir(d))
		;
	seekdir(d, at);
	CHECK_STR(readdir(d)->d_name, name);
	closedir(d);
}

TEST(dir, many_entries)
{
	char name[16];
	int n = 0;
	DIR *d;

	for (int i = 0; i < 1500; i++) {
		snprintf(name, sizeof name, "entry%04d", i);
		CHECK_INT(close(CHECK(open(scratch(name), O_WRONLY | O_CREAT, 0644))), 0);
	}
	d = opendir(scratch(""));
	while (readdir(d))
		n++;
	CHECK_INT(n, 1502);
	rewinddir(d);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			CHECK_INT(unlinkat(dirfd(d), e->d_name, 0), 0);
	closedir(d);
	CHECK_INT(rmdir(scratch("")), 0);
}

TEST(dir, from_a_descriptor)
{
	int fd = CHECK(open(scratch(""), O_RDONLY | O_DIRECTORY));
	DIR *d;

	make_file("f", "");
	d = fdopendir(fd);
	CHECK_TRUE(d != NULL);
	CHECK_INT(dirfd(d), fd);
	CHECK_STR(names(d), "f");
	CHECK_INT(closedir(d), 0);
	CHECK_ERRNO(close(fd), EBADF);
	fd = CHECK(open(make_file("g", ""), O_RDONLY));
	CHECK_TRUE(!fdopendir(fd) && errno == ENOTDIR);
	close(fd);
}

TEST(dir, made_and_removed)
{
	CHECK_INT(mkdir(scratch("d"), 0750), 0);
	CHECK_ERRNO(mkdir(scratch("d"), 0750), EEXIST);
	CHECK_ERRNO(mkdir(scratch("nothing/d"), 0750), ENOENT);
	make_file("d/f", "");
	CHECK_ERRNO(mkdir(scratch("d/f/x"), 0750), ENOTDIR);
	CHECK_ERRNO(rmdir(scratch("d")), ENOTEMPTY);
	CHECK_ERRNO(unlink(scratch("d")), EISDIR);
	CHECK_ERRNO(rmdir(scratch("d/f")), ENOTDIR);
	CHECK_INT(remove(scratch("d/f")), 0);
	CHECK_INT(remove(scratch("d")), 0);
	CHECK_ERRNO(rmdir(scratch("d")), ENOENT);
	CHECK_INT(mkdir(scratch("e/"), 0755), 0);
	CHECK_INT(rmdir(scratch("e/")), 0);
}

static int again_by_number(int fd, int flags)
{
	char name[32];

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	return open(name, flags);
}

TEST(dir, gone_and_still_open)
{
	const struct timespec times[2] = {{1000, 0}, {2000, 0}};
	struct statfs fs;
	struct stat st, was;
	int here = CHECK(open("/", O_RDONLY)), fd, again;
	DIR *d;

	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	fd = CHECK(open(scratch("d"), O_RDONLY | O_DIRECTORY));
	CHECK_INT(fstat(fd, &was), 0);
	CHECK_INT(rmdir(scratch("d")), 0);
	CHECK_INT(mkdir(scratch("d"), 0711), 0); /* another one */
	make_file("d/f", "");
	again = CHECK(again_by_number(fd, O_RDONLY | O_DIRECTORY));
	CHECK_INT(fchmod(fd, 0700), 0);
	CHECK_INT(fchown(fd, getuid(), getgid()), 0);
	CHECK_INT(futimens(fd, times), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(fstat(i ? again : fd, &st), 0);
		CHECK_INT(st.st_mode, S_IFDIR | 0700);
		CHECK_INT(st.st_mtime, 2000);
		CHECK_INT(st.st_atime, 1000);
		CHECK_INT(st.st_ino, was.st_ino);
		CHECK_INT(st.st_nlink, 0);
	}
	CHECK_INT(fstatfs(fd, &fs), 0);
	CHECK_INT(fsync(fd), 0);
	CHECK_ERRNO(again_by_number(fd, O_WRONLY), EISDIR);
	CHECK_ERRNO(openat(again, "f", O_RDONLY), ENOENT);
	CHECK_ERRNO(mkdirat(again, "f", 0755), ENOENT);
	CHECK_INT(fchdir(again), 0);
	CHECK_ERRNO(open("f", O_RDONLY), ENOENT);
	CHECK_INT(fchdir(here), 0);
	d = fdopendir(again);
	CHECK_TRUE(d && !readdir(d));
	closedir(d);
	CHECK_INT(stat(scratch("d"), &st), 0);
	CHECK_INT(st.st_mode, S_IFDIR | 0711);
	close(fd);
	close(here);
}

/* By this process: of what others make in it, who set a directory's time need not know. */
static void write_file(const char *name, const char *text)
{
	int fd = CHECK(open(scratch(name), O_WRONLY | O_CREAT | O_TRUNC, 0644));

	CHECK_INT(write(fd, text, strlen(text)), strlen(text));
	CHECK_INT(close(fd), 0);
}

static void dates(const char *name, bool is)
{
	const struct timespec times[2] = {{1000, 0}, {2000, 0}};
	struct stat st;

	CHECK_INT(stat(scratch(name), &st), 0);
	CHECK_TRUE((st.st_mtime == 2000) == is);
	CHECK_INT(utimensat(AT_FDCWD, scratch(name), times, 0), 0);
	CHECK_INT(stat(scratch(name), &st), 0);
	CHECK_INT(st.st_mtime, 2000);
}

TEST(dir, what_is_made_in_it_changes_its_time)
{
	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	dates("d", false);
	write_file("d/f", "x");
	dates("d", false);
	write_file("d/f", "more");
	CHECK_STR(content(scratch("d/f")), "more");
	CHECK_INT(chmod(scratch("d/f"), 0600), 0);
	CHECK_INT(chmod(scratch("d"), 0700), 0);
	dates("d", true);
	CHECK_INT(mkdir(scratch("d/e"), 0755), 0);
	dates("d", false);
	dates("d/e", false);
	CHECK_INT(symlink("f", scratch("d/l")), 0);
	dates("d", false);
	CHECK_INT(rename(scratch("d/f"), scratch("d/e/f")), 0);
	dates("d", false);
	dates("d/e", false);
	CHECK_ERRNO(unlink(scratch("d/none")), ENOENT);
	CHECK_INT(rename(scratch("d"), scratch("moved")), 0);
	dates("moved", true);
	dates("moved/e", true);
	CHECK_INT(unlink(scratch("moved/e/f")), 0);
	dates("moved/e", false);
	dates("moved", true);
	CHECK_INT(rmdir(scratch("moved/e")), 0);
	dates("moved", false);
}

TEST(dir, scanned)
{
	struct dirent **all;
	int n;

	make_file("b", "");
	make_file("a", "");
	n = CHECK(scandir(scratch(""), &all, NULL, alphasort));
	CHECK_INT(n, 4);
	CHECK_STR(all[2]->d_name, "a");
	CHECK_STR(all[3]->d_name, "b");
	while (n--)
		free(all[n]);
	free(all);
}

static int visits;
static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path, (void)st, (void)ftw;
	visits += type == FTW_F ? 1 : 100;
	return 0;
}

TEST(dir, walked)
{
	char *roots[2] = {strdup(scratch("")), NULL};
	FTSENT *e;
	FTS *fts;
	int files = 0, dirs = 0;

	mkdir(scratch("d"), 0755);
	make_file("d/f", "");
	make_file("g", "");
	visits = 0;
	CHECK_INT(nftw(scratch(""), visit, 8, FTW_PHYS), 0);
	CHECK_INT(visits, 202);
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	CHECK_TRUE(fts != NULL);
	while (fts && (e = fts_read(fts))) {
		files += e->fts_info == FTS_F;
		dirs += e->fts_info == FTS_D;
	}
	CHECK_INT(files, 2);
	CHECK_INT(dirs, 2);
	if (fts)
		fts_close(fts);
	free(roots[0]);
}

TEST(dir, globbed)
{
	glob_t g = {0};

	make_file("one.txt", "");
	make_file("two.txt", "");
	make_file("three.md", "");
	CHECK_INT(glob(scratch("*.txt"), 0, NULL, &g), 0);
	CHECK_INT(g.gl_pathc, 2);
	CHECK_STR(g.gl_pathv[0], scratch("one.txt"));
	globfree(&g);
	CHECK_INT(glob(scratch("*.no"), 0, NULL, &g), GLOB_NOMATCH);
}

TEST(cwd, relative_names)
{
	char cwd[PATH_MAX], *all;
	int fd;

	mkdir(scratch("d"), 0755);
	CHECK_INT(chdir(scratch("d")), 0);
	CHECK_STR(getcwd(cwd, sizeof cwd), scratch("d"));
	all = get_current_dir_name();
	CHECK_STR(all, scratch("d"));
	free(all);
	fd = CHECK(open("f", O_WRONLY | O_CREAT, 0644));
	CHECK_INT(write(fd, "x", 1), 1);
	close(fd);
	CHECK_STR(content(scratch("d/f")), "x");
	CHECK_STR(content("../d/./f"), "x");
	CHECK_INT(chdir(".."), 0);
	CHECK_STR(getcwd(cwd, sizeof cwd), scratch(""));
	CHECK_STR(content("d/f"), "x");
	CHECK_ERRNO((long)getcwd(cwd, 2) - 1, ERANGE);
	fd = CHECK(open("d", O_RDONLY | O_DIRECTORY));
	CHECK_INT(fchdir(fd), 0);
	close(fd);
	CHECK_STR(content("f"), "x");
	CHECK_ERRNO(chdir("nothing"), ENOENT);
	CHECK_ERRNO(chdir("f"), ENOTDIR);
	CHECK_INT(access("f", R_OK | W_OK), 0);
	CHECK_INT(chdir("/"), 0);
	CHECK_ERRNO(access("f", F_OK), ENOENT);
	CHECK_STR(getcwd(cwd, sizeof cwd), "/");
}

TEST(cwd, removed)
{
	struct stat st;
	int here = CHECK(open(".", O_RDONLY | O_DIRECTORY)), fd;
	DIR *d;

	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	CHECK_INT(chdir(scratch("d")), 0);
	fd = CHECK(open(".", O_RDONLY | O_DIRECTORY));
	CHECK_INT(rmdir(scratch("d")), 0);
	CHECK_INT(mkdir(scratch("d"), 0755), 0); /* another one */
	make_file("d/f", "");
	CHECK_ERRNO(open("f", O_RDONLY), ENOENT);
	CHECK_ERRNO(open("g", O_WRONLY | O_CREAT, 0644), ENOENT);
	CHECK_ERRNO(openat(fd, "f", O_RDONLY), ENOENT);
	CHECK_INT(stat(".", &st), 0);
	CHECK_TRUE(S_ISDIR(st.st_mode));
	d = opendir(".");
	CHECK_TRUE(d != NULL);
	CHECK_STR(names(d), "");
	closedir(d);
	CHECK_INT(access("../d/f", F_OK), 0);
	close(fd);
	CHECK_INT(fchdir(here), 0);
	close(here);
}

TEST(cwd, survives_exec)
{
	char out[PATH_MAX + 2] = "", wanted[PATH_MAX + 2];
	FILE *p;

	make_file("f", "seen\n");
	CHECK_INT(chdir(scratch("")), 0);
	p = popen("pwd -P; cat f", "r");
	CHECK_TRUE(p && fgets(out, sizeof out, p));
	snprintf(wanted, sizeof wanted, "%s\n", scratch(""));
	CHECK_STR(out, wanted);
	CHECK_TRUE(p && fgets(out, sizeof out, p));
	CHECK_STR(out, "seen\n");
	pclose(p);
	CHECK_INT(chdir("/"), 0);
}

TEST(cwd, real_path)
{
	char out[PATH_MAX];

	mkdir(scratch("d"), 0755);
	make_file("d/f", "");
	CHECK_INT(symlink("d", scratch("l")), 0);
	CHECK_STR(realpath(scratch("l/../d/./f"), out), scratch("d/f"));
	CHECK_STR(realpath(scratch("l/f"), out), scratch("d/f"));
	CHECK_TRUE(!realpath(scratch("nothing"), out) && errno == ENOENT);
}
