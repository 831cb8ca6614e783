/*
 * test_same.c: calls on every kind of name, in an ordinary directory and in ours: which succeed, how the others fail, and what is
 * there afterwards. On the kernel the two are alike.
 *
 * SAME=word: only calls whose description has it. Each difference is a line.
 */
#include "check.h"
#include <ftw.h>
#include <stdarg.h>
#include <sys/xattr.h>

#define OUTCOME 512

/* ---- two trees ------------------------------------------------------------------------------------------------------- */

enum { ORDINARY, OURS };
static char base[PATH_MAX]; /* what is ordinary on both sides */
static char top[2][PATH_MAX];

static const char *const links[][2] = {{"f", "lf"},      {"d", "ld"},           {"nothing", "dangling"},
				       {"loop", "loop"}, {"nothing/", "slash"}, {"d/", "ds"},
				       {"f/", "fs"},     {"lf", "llf"},         {"no/where", "lost"},
				       {"d/.", "dd"},    {"f/.//", "fd"},       {"nothing/.", "dot"}};

/* What a call is done to: alone, or the first with each other. */
static char paired[] =
	"f d full lf ld dangling loop new f/ d/ full/ lf/ ld/ loop/ new/ f/x d/x full/g ld/x loop/x new/x ds/x "
	"f/. d/. ld/. new/. loop/. d/.. full/g/x out out/ out/f out/x out/x/ of/x";
static char alone[] = "slash ds fs llf lost dd fd dot dd/x dot/x dangling/ slash/ ds/ fs/ lost/ new// lf/x dangling/x "
		      "fs/x full/g/ ld/x/ ./f out/. of of/";
static const char *names[80];
static unsigned names_count, names_paired;

static char *at(int side, const char *name)
{
	static char ring[8][2 * PATH_MAX];
	static unsigned next;
	char *out = ring[next++ % 8];

	snprintf(out, sizeof ring[0], "%s/%s", top[side], name);
	return *name ? out : "";
}

static int take_away(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	return ftw->level ? remove(path) : 0;
}

static void put(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, "12345", 5) != 5 || close(fd))
		CHECK_STR(strerror(errno), path);
}

/* A link's target outside of both: its own directory for each side, with a name of the same length. */
static char *outside(int side, const char *name)
{
	static char path[2 * PATH_MAX];

	snprintf(path, sizeof path, "%s/out%d%s", base, side, name);
	return path;
}

static void tree_make(int side)
{
	CHECK_INT(nftw(top[side], take_away, 8, FTW_DEPTH | FTW_PHYS), 0);
	CHECK_INT(nftw(outside(side, ""), take_away, 8, FTW_DEPTH | FTW_PHYS), 0);
	put(outside(side, "/f"));
	CHECK_INT(symlink(outside(side, "/f"), at(side, "of")), 0);
	CHECK_INT(symlink(outside(side, ""), at(side, "out")), 0);
	CHECK_INT(chmod(top[side], 0755), 0);
	put(at(side, "f"));
	CHECK_INT(mkdir(at(side, "d"), 0755), 0);
	CHECK_INT(mkdir(at(side, "full"), 0755), 0);
	put(at(side, "full/g"));
	for (unsigned i = 0; i < sizeof links / sizeof *links; i++)
		CHECK_INT(symlink(links[i][0], at(side, links[i][1])), 0);
}

static char *listed;
static size_t listed_above;

static int list_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	size_t n = strlen(listed);

	(void)flag;
	(void)ftw;
	snprintf(listed + n, 4096 - n, " %s:%o,%ld", path + listed_above, st->st_mode,
		 S_ISDIR(st->st_mode) ? 0 : (long)st->st_size);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every name with its mode and size, in order. */
static void tree_tell(int side, char out[4096])
{
	static char text[4096];
	char *words[64], *word;
	unsigned n = 0;

	*text = '\0';
	listed = text;
	listed_above = strlen(top[side]);
	nftw(top[side], list_one, 8, FTW_PHYS);
	listed_above = strlen(outside(side, ""));
	nftw(outside(side, ""), list_one, 8, FTW_PHYS);
	for (word = strtok(text, " "); word && n < 64; word = strtok(NULL, " "))
		words[n++] = word;
	qsort(words, n, sizeof *words, by_text);
	*out = '\0';
	for (unsigned i = 0; i < n; i++)
		strcat(strcat(out, " "), words[i]);
}

/* ---- calls ------------------------------------------------------------------------------------------------------------- */

static char outcome[2][OUTCOME];

__attribute__((format(printf, 2, 3))) static void told(int side, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(outcome[side], OUTCOME, format, args);
	va_end(args);
}

/* What came out of a call that gives 0 or -1. */
static void came(int side, long rc)
{
	if (rc == -1)
		told(side, "%s", strerrorname_np(errno));
	else
		told(side, "%ld", rc);
}

static void came_fd(int side, int fd)
{
	struct stat st;
	int flags;

	if (fd < 0) {
		came(side, fd);
		return;
	}
	CHECK_INT(fstat(fd, &st), 0);
	flags = fcntl(fd, F_GETFL);
	told(side, "a descriptor of %o,%ld, %s, flags %o", st.st_mode, S_ISDIR(st.st_mode) ? 0 : (long)st.st_size,
	     fcntl(fd, F_GETFD) & FD_CLOEXEC ? "closed by exec" : "kept",
	     flags & ~(O_NOFOLLOW | (S_ISREG(st.st_mode) ? O_TMPFILE : 0))); /* these were about the name */
	close(fd);
}

static char fresh[4096]; /* the tree as it is made */

/* Is in both what is to be there? Both are made as they were. */
static void compare_trees(const char *what, const char *a, const char *b)
{
	char tree[2][4096];

	for (int side = ORDINARY; side <= OURS; side++)
		tree_tell(side, tree[side]);
	if (strcmp(tree[ORDINARY], tree[OURS])) {
		printf("after %s \"%s\" \"%s\" there is\n\t%s, not\n\t%s\n", what, a, b, tree[OURS], tree[ORDINARY]);
		test_failures++;
	}
	for (int side = ORDINARY; side <= OURS; side++)
		if (strcmp(tree[side], fresh))
			tree_make(side);
}

static void compare(const char *what, const char *a, const char *b, bool changes)
{
	if (strcmp(outcome[ORDINARY], outcome[OURS])) {
		printf("%s \"%s\" \"%s\": %s, not %s\n", what, a, b, outcome[OURS], outcome[ORDINARY]);
		test_failures++;
	}
	if (changes && (*outcome[ORDINARY] != 'E' || *outcome[OURS] != 'E'))
		compare_trees(what, a, b);
}

typedef void one_name(int side, const char *path, int arg);
typedef void two_names(int side, const char *from, const char *to, int arg);

static void begin(void)
{
	const char *tmp = getenv("TMPDIR");

	if (!names_count) {
		for (char *word = strtok(paired, " "); word; word = strtok(NULL, " "))
			names[names_count++] = word;
		names_paired = names_count;
		for (char *word = strtok(alone, " "); word; word = strtok(NULL, " "))
			names[names_count++] = word;
		names[names_count++] = "";
	}

	snprintf(base, sizeof base, "%s/same-XXXXXX", tmp ? tmp : "/tmp");
	CHECK_TRUE(mkdtemp(base) != NULL);
	snprintf(top[ORDINARY], PATH_MAX, "%.2048s/ordinary", base);
	snprintf(top[OURS], PATH_MAX, "%s", scratch(""));
	CHECK_INT(mkdir(top[ORDINARY], 0755), 0);
	for (int side = ORDINARY; side <= OURS; side++) {
		CHECK_INT(mkdir(outside(side, ""), 0755), 0);
		tree_make(side);
	}
	tree_tell(ORDINARY, fresh);
}

static void end(void)
{
	CHECK_INT(nftw(base, take_away, 8, FTW_DEPTH | FTW_PHYS), 0);
	CHECK_INT(rmdir(base), 0);
}

static bool wanted(const char *what)
{
	const char *only = getenv("SAME");

	return !only || strstr(what, only);
}

static void each_name(const char *what, one_name *call, int arg, bool changes)
{
	for (unsigned i = 0; wanted(what) && i < names_count; i++) {
		for (int side = ORDINARY; side <= OURS; side++)
			call(side, at(side, names[i]), arg);
		compare(what, names[i], "", changes);
	}
	compare_trees(what, "each", "");
}

static bool is_outside(const char *name)
{
	return *name == 'o' && strchr(name, '/') && *(strchr(name, '/') + 1);
}

/* What leads out of ours is on another device, on the ordinary side it is not. */
static void each_pair(const char *what, two_names *call, int arg)
{
	for (unsigned i = 0; wanted(what) && i < names_paired; i++) {
		for (unsigned j = 0; j < names_paired; j++) {
			if (is_outside(names[i]) != is_outside(names[j]))
				continue;
			for (int side = ORDINARY; side <= OURS; side++)
				call(side, at(side, names[i]), at(side, names[j]), arg);
			compare(what, names[i], names[j], true);
		}
		compare_trees(what, names[i], "each");
	}
}

/* ---- open -------------------------------------------------------------------------------------------------------------- */

static void do_open(int side, const char *path, int flags)
{
	came_fd(side, open(path, flags, 0640));
}

TEST(same, open)
{
	static const int ways[] = {O_RDONLY, O_WRONLY, O_RDWR, O_PATH};
	static const int bits[] = {O_CREAT, O_EXCL, O_TRUNC, O_NOFOLLOW, O_DIRECTORY, O_APPEND};
	static const char *const way_name[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_PATH"};
	static const char *const bit_name[] = {"O_CREAT", "O_EXCL", "O_TRUNC", "O_NOFOLLOW", "O_DIRECTORY", "O_APPEND"};

	begin();
	for (unsigned way = 0; way < 4; way++)
		for (unsigned set = 0; set < 1 << 6; set++) {
			char what[128];
			int flags = ways[way];

			if ((set & 2) && !(set & 1))
				continue; /* O_EXCL alone is nothing */
			if ((set & 17) == 17 || ((set & 32) && (set & ~33u)) || (ways[way] == O_PATH && (set & 38)))
				continue; /* what O_CREAT of a directory is depends on the kernel */
			snprintf(what, sizeof what, "open %s", way_name[way]);
			for (unsigned bit = 0; bit < 6; bit++)
				if (set & 1 << bit) {
					flags |= bits[bit];
					strcat(strcat(what, "|"), bit_name[bit]);
				}
			each_name(what, do_open, flags, set & 5);
		}
	each_name("open O_TMPFILE", do_open, O_TMPFILE | O_RDWR, true);
	each_name("open O_TMPFILE|O_RDONLY", do_open, O_TMPFILE | O_RDONLY, true);
	end();
}

/* ---- one name ------------------------------------------------------------------------------------------------------------ */

static void do_stat(int side, const char *path, int flags)
{
	struct stat st;
	int rc = fstatat(AT_FDCWD, path, &st, flags);

	if (rc)
		came(side, rc);
	else
		told(side, "%o,%ld,%d", st.st_mode, S_ISDIR(st.st_mode) ? 0 : (long)st.st_size,
		     S_ISDIR(st.st_mode) ? 0 : (int)st.st_nlink);
}

static void do_statx(int side, const char *path, int flags)
{
	struct statx st;
	int rc = statx(AT_FDCWD, path, flags, STATX_BASIC_STATS, &st);

	if (rc)
		came(side, rc);
	else
		told(side, "%o", st.stx_mode);
}

static void do_readlink(int side, const char *path, int n)
{
	char target[PATH_MAX];
	ssize_t rc = readlink(path, target, (size_t)n);

	if (rc < 0)
		came(side, rc);
	else
		told(side, "%.*s", (int)rc, target);
	if (rc > 0 && *target == '/')
		told(side, "out %zd", rc);
}

static void do_mkdir(int side, const char *path, int mode)
{
	came(side, mkdir(path, (mode_t)mode));
}

static void do_rmdir(int side, const char *path, int none)
{
	(void)none;
	came(side, rmdir(path));
}

static void do_unlink(int side, const char *path, int flags)
{
	came(side, unlinkat(AT_FDCWD, path, flags));
}

static void do_remove(int side, const char *path, int none)
{
	(void)none;
	came(side, remove(path));
}

static void do_mknod(int side, const char *path, int mode)
{
	came(side, mknod(path, (mode_t)mode, 0));
}

/* There are none of ours. */
static void do_mkfifo(int side, const char *path, int none)
{
	(void)none;
	came(side, mkfifo(path, 0644));
	if (!strcmp(outcome[side], "0")) {
		unlink(path);
		told(side, "EPERM");
	}
}

static void do_symlink(int side, const char *path, int none)
{
	(void)none;
	came(side, symlink("f", path));
}

static void do_truncate(int side, const char *path, int n)
{
	came(side, truncate(path, n));
}

static void do_access(int side, const char *path, int mode)
{
	came(side, access(path, mode));
}

static void do_faccessat(int side, const char *path, int flags)
{
	came(side, faccessat(AT_FDCWD, path, R_OK, flags));
}

static void do_chmod(int side, const char *path, int mode)
{
	came(side, chmod(path, (mode_t)mode));
}

static void do_chown(int side, const char *path, int flags)
{
	came(side, fchownat(AT_FDCWD, path, getuid(), getgid(), flags));
}

static void do_utimes(int side, const char *path, int flags)
{
	const struct timespec times[2] = {{1000, 0}, {2000, 0}};

	came(side, utimensat(AT_FDCWD, path, times, flags));
}

static void do_chdir(int side, const char *path, int none)
{
	(void)none;
	came(side, chdir(path));
	CHECK_INT(chdir("/"), 0);
}

static void do_opendir(int side, const char *path, int none)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	(void)none;
	if (!dir) {
		came(side, -1);
		return;
	}
	while (readdir(dir))
		n++;
	told(side, "%u entries", n);
	closedir(dir);
}

static void do_realpath(int side, const char *path, int none)
{
	char out[PATH_MAX];

	(void)none;
	if (!realpath(path, out))
		came(side, -1);
	else if (!strncmp(out, outside(side, ""), strlen(outside(side, ""))))
		told(side, "outside%s", out + strlen(outside(side, "")));
	else
		told(side, "%s", out + strlen(top[side]));
}

static void do_fopen(int side, const char *path, int none)
{
	FILE *f = fopen(path, "r+");

	(void)none;
	came(side, f ? 0 : -1);
	if (f)
		fclose(f);
}

static void do_pathconf(int side, const char *path, int none)
{
	(void)none;
	errno = 0;
	came(side, pathconf(path, _PC_NAME_MAX));
}

/* Of ours there are none. */
static void do_getxattr(int side, const char *path, int none)
{
	(void)none;
	came(side, getxattr(path, "user.none", NULL, 0));
	if (!strcmp(outcome[side], "ENODATA"))
		told(side, "EOPNOTSUPP");
}

static void do_lsetxattr(int side, const char *path, int none)
{
	(void)none;
	came(side, lsetxattr(path, "user.none", "", 0, XATTR_REPLACE));
	if (strcmp(outcome[side], "ENOENT") && strcmp(outcome[side], "ENOTDIR") && strcmp(outcome[side], "ELOOP"))
		told(side, "EOPNOTSUPP");
}

static void do_listxattr(int side, const char *path, int none)
{
	(void)none;
	came(side, listxattr(path, NULL, 0));
	if (atol(outcome[side]) > 0)
		told(side, "0");
}

TEST(same, one_name)
{
	static const struct {
		const char *what;
		one_name *call;
		int arg;
		bool changes;
	} calls[] = {
		{"stat", do_stat, 0, false},
		{"lstat", do_stat, AT_SYMLINK_NOFOLLOW, false},
		{"fstatat AT_EMPTY_PATH", do_stat, AT_EMPTY_PATH, false},
		{"statx", do_statx, 0, false},
		{"statx AT_SYMLINK_NOFOLLOW", do_statx, AT_SYMLINK_NOFOLLOW, false},
		{"readlink", do_readlink, PATH_MAX, false},
		{"readlink of 0 bytes", do_readlink, 0, false},
		{"mkdir", do_mkdir, 0755, true},
		{"mkdir 01777", do_mkdir, 01777, true},
		{"rmdir", do_rmdir, 0, true},
		{"unlink", do_unlink, 0, true},
		{"unlinkat AT_REMOVEDIR", do_unlink, AT_REMOVEDIR, true},
		{"unlinkat 1", do_unlink, 1, true},
		{"remove", do_remove, 0, true},
		{"mknod", do_mknod, S_IFREG | 0640, true},
		{"mknod of no type", do_mknod, 0640, true},
		{"mknod of a directory", do_mknod, S_IFDIR | 0755, true},
		{"mknod of all types", do_mknod, S_IFMT | 0755, true},
		{"mkfifo", do_mkfifo, 0, true},
		{"symlink", do_symlink, 0, true},
		{"truncate", do_truncate, 3, true},
		{"truncate to -1", do_truncate, -1, true},
		{"access", do_access, F_OK, false},
		{"access R_OK", do_access, R_OK, false},
		{"access X_OK", do_access, X_OK, false},
		{"access 8", do_access, 8, false},
		{"faccessat AT_SYMLINK_NOFOLLOW", do_faccessat, AT_SYMLINK_NOFOLLOW, false},
		{"chmod", do_chmod, 0750, true},
		{"chown", do_chown, 0, false},
		{"lchown", do_chown, AT_SYMLINK_NOFOLLOW, false},
		{"utimensat", do_utimes, 0, false},
		{"utimensat AT_SYMLINK_NOFOLLOW", do_utimes, AT_SYMLINK_NOFOLLOW, false},
		{"chdir", do_chdir, 0, false},
		{"opendir", do_opendir, 0, false},
		{"realpath", do_realpath, 0, false},
		{"fopen", do_fopen, 0, false},
		{"pathconf", do_pathconf, 0, false},
		{"getxattr", do_getxattr, 0, false},
		{"lsetxattr", do_lsetxattr, 0, false},
		{"listxattr", do_listxattr, 0, false},
	};

	begin();
	for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++)
		each_name(calls[i].what, calls[i].call, calls[i].arg, calls[i].changes);
	end();
}

/* ---- two names ----------------------------------------------------------------------------------------------------------- */

static void do_rename(int side, const char *from, const char *to, int flags)
{
	came(side, renameat2(AT_FDCWD, from, AT_FDCWD, to, (unsigned)flags));
}

/* There are none of ours. */
static void do_link(int side, const char *from, const char *to, int flags)
{
	came(side, linkat(AT_FDCWD, from, AT_FDCWD, to, flags));
	if (!strcmp(outcome[side], "0")) {
		unlink(to);
		told(side, "EPERM");
	}
}

TEST(same, two_names)
{
	begin();
	each_pair("rename", do_rename, 0);
	each_pair("rename RENAME_NOREPLACE", do_rename, RENAME_NOREPLACE);
	each_pair("link", do_link, 0);
	each_pair("link AT_SYMLINK_FOLLOW", do_link, AT_SYMLINK_FOLLOW);
	end();
}
