/* test_walk.c: realpath, scandir, nftw, glob, fts: walks that libc does by itself; and stdin over a file. */
#include "check.h"
#include <ftw.h>
#include <fts.h>
#include <glob.h>
#include <wchar.h>
#include <wordexp.h>

/* ---- realpath ---------------------------------------------------------------------------------------------------- */

TEST(realpath, resolves_links_and_dots)
{
	char out[PATH_MAX], *made;

	mkdir(scratch("d"), 0755);
	mkdir(scratch("d/e"), 0755);
	make_file("d/e/f", "");
	CHECK_INT(symlink("d/e", scratch("l")), 0);
	CHECK_INT(symlink(scratch("l"), scratch("ll")), 0);
	CHECK_INT(symlink("../e/f", scratch("d/e/lf")), 0);
	CHECK_STR(realpath(scratch("d//e/./f"), out), scratch("d/e/f"));
	CHECK_STR(realpath(scratch("ll/lf"), out), scratch("d/e/f"));
	CHECK_STR(realpath(scratch("l/.."), out), scratch("d")); /* the parent of where the link leads */
	CHECK_STR(realpath(scratch("d/e/"), out), scratch("d/e"));
	CHECK_STR(realpath("/", out), "/");
	CHECK_STR(realpath("/..", out), "/");
	made = realpath(scratch("ll/f"), NULL);
	CHECK_STR(made, scratch("d/e/f"));
	free(made);
	made = canonicalize_file_name(scratch("l"));
	CHECK_STR(made, scratch("d/e"));
	free(made);
}

TEST(realpath, relative)
{
	char out[PATH_MAX];

	mkdir(scratch("d"), 0755);
	make_file("f", "");
	CHECK_INT(chdir(scratch("d")), 0);
	CHECK_STR(realpath("../f", out), scratch("f"));
	CHECK_STR(realpath(".", out), scratch("d"));
	CHECK_STR(realpath("..", out), scratch(""));
	CHECK_INT(symlink("../f", "l"), 0);
	CHECK_STR(realpath("l", out), scratch("f"));
	CHECK_INT(chdir("/"), 0);
}

TEST(realpath, fails)
{
	char out[PATH_MAX], longer[PATH_MAX + 16];
	const char *none = NULL;

	make_file("f", "");
	CHECK_INT(symlink("nothing", scratch("dangling")), 0);
	CHECK_INT(symlink("loop", scratch("loop")), 0);
	CHECK_TRUE(!realpath(scratch("nothing"), out) && errno == ENOENT);
	CHECK_TRUE(!realpath(scratch("nothing/f"), out) && errno == ENOENT);
	CHECK_TRUE(!realpath(scratch("dangling"), out) && errno == ENOENT);
	CHECK_TRUE(!realpath(scratch("loop"), out) && errno == ELOOP);
	CHECK_TRUE(!realpath(scratch("f/x"), out) && errno == ENOTDIR);
	CHECK_TRUE(!realpath(scratch("f/"), out) && errno == ENOTDIR);
	CHECK_TRUE(!realpath(scratch("f/."), out) && errno == ENOTDIR);
	CHECK_TRUE(!realpath(scratch("f/.."), out) && errno == ENOTDIR);
	__asm__("" : "+r"(none));
	CHECK_TRUE(!realpath(none, out) && errno == EINVAL);
	CHECK_TRUE(!realpath("", out) && errno == ENOENT);
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	CHECK_TRUE(!realpath(longer, out) && errno == ENAMETOOLONG);
}

/* From another file system, by a link. */
TEST(realpath, from_outside)
{
	char out[PATH_MAX], link[64], below[80];

	snprintf(link, sizeof link, "/tmp/test_walk.%d", (int)getpid());
	snprintf(below, sizeof below, "%s/f", link);
	mkdir(scratch("d"), 0755);
	make_file("d/f", "");
	CHECK_INT(symlink(scratch("d"), link), 0);
	CHECK_STR(realpath(link, out), scratch("d"));
	CHECK_STR(realpath(below, out), scratch("d/f"));
	CHECK_INT(unlink(scratch("d/f")), 0);
	CHECK_TRUE(!realpath(below, out) && errno == ENOENT);
	CHECK_INT(unlink(link), 0);
}

TEST(realpath, of_a_descriptor)
{
	char out[PATH_MAX], name[40];
	int fd = (int)CHECK(open(make_file("f", ""), O_RDONLY));

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	CHECK_STR(realpath(name, out), scratch("f"));
	snprintf(name, sizeof name, "/dev/fd/%d", fd);
	CHECK_STR(realpath(name, out), scratch("f"));
	close(fd);
	CHECK_INT(chdir(scratch("")), 0);
	CHECK_STR(realpath("/proc/self/cwd", out), scratch(""));
	CHECK_STR(realpath("/proc/self/cwd/f", out), scratch("f"));
	CHECK_INT(chdir("/"), 0);
}

/* ---- scandir ----------------------------------------------------------------------------------------------------- */

static int not_dot(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static const char *joined(struct dirent **all, int n)
{
	static char out[4096];

	out[0] = '\0';
	for (int i = 0; i < n; i++) {
		strcat(strcat(out, i ? " " : ""), all[i]->d_name);
		free(all[i]);
	}
	if (n >= 0)
		free(all);
	return out;
}

TEST(scandir, picks_and_orders)
{
	struct dirent **all;
	int n;

	make_file("f10", "");
	make_file("f9", "");
	mkdir(scratch("d"), 0755);
	n = (int)CHECK(scandir(scratch(""), &all, not_dot, alphasort));
	CHECK_INT(n, 3);
	CHECK_INT(all[0]->d_type == DT_DIR || all[0]->d_type == DT_UNKNOWN, 1);
	CHECK_STR(joined(all, n), "d f10 f9");
	n = (int)CHECK(scandir(scratch(""), &all, not_dot, versionsort));
	CHECK_STR(joined(all, n), "d f9 f10");
	n = (int)CHECK(scandir(scratch("d"), &all, not_dot, NULL));
	CHECK_INT(n, 0);
	free(all);
	CHECK_ERRNO(scandir(scratch("nothing"), &all, NULL, NULL), ENOENT);
	CHECK_ERRNO(scandir(scratch("f9"), &all, NULL, NULL), ENOTDIR);
}

TEST(scandir, at_a_descriptor)
{
	struct dirent **all;
	int fd, n;

	mkdir(scratch("d"), 0755);
	make_file("d/f", "");
	fd = (int)CHECK(open(scratch(""), O_RDONLY | O_DIRECTORY));
	n = (int)CHECK(scandirat(fd, "d", &all, NULL, alphasort));
	CHECK_STR(joined(all, n), ". .. f");
	CHECK_ERRNO(scandirat(fd, "nothing", &all, NULL, NULL), ENOENT);
	close(fd);
	CHECK_INT(chdir(scratch("d")), 0);
	n = (int)CHECK(scandir(".", &all, not_dot, alphasort));
	CHECK_STR(joined(all, n), "f");
	CHECK_INT(chdir("/"), 0);
}

/* ---- nftw -------------------------------------------------------------------------------------------------------- */

static char seen[8192];                 /* "D0 name F1 name ...", in the order of the visits */
static int (*answer)(const char *name); /* what the visitor returns */
static int misplaced;                   /* visits that found the working directory, or a name, wrong */
static bool chdirs;

static void note(char type, int level, const char *name)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof seen - n, "%s%c%d %s", n ? " " : "", type, level, name);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
	static const char letter[] = {[FTW_F] = 'F',  [FTW_D] = 'D',  [FTW_DNR] = 'R', [FTW_NS] = 'N',
				      [FTW_SL] = 'L', [FTW_DP] = 'P', [FTW_SLN] = 'X'};
	const char *name = path + at->base;
	char cwd[PATH_MAX];
	struct stat now;

	note(letter[type], at->level, at->level ? name : "root");
	if (chdirs && type != FTW_DP) {
		size_t n = (size_t)(at->base - 1);

		if (!getcwd(cwd, sizeof cwd) || strncmp(cwd, path, n) || cwd[n])
			misplaced++;
	}
	if (type == FTW_F && (lstat(chdirs ? name : path, &now) || now.st_ino != st->st_ino))
		misplaced++;
	return answer ? answer(name) : 0;
}

static const char *walked(const char *root, int flags)
{
	seen[0] = '\0';
	misplaced = 0;
	chdirs = flags & FTW_CHDIR;
	if (nftw(root, visit, 4, flags) == -1)
		snprintf(seen, sizeof seen, "%s", strerror(errno));
	return seen;
}

/* The visits of a walk whose order is the directory's, sorted. */
static const char *sorted(const char *visits)
{
	static char out[8192];
	char copy[8192], *word[512], *at = copy;
	size_t n = 0;

	snprintf(copy, sizeof copy, "%s", visits);
	while (*at && n < 512) {
		word[n++] = at;
		at += strcspn(at, " ");
		at += *at != '\0';
		at += strcspn(at, " ");
		if (*at)
			*at++ = '\0';
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			if (strcmp(word[i], word[k]) > 0) {
				char *swap = word[i];

				word[i] = word[k];
				word[k] = swap;
			}
	out[0] = '\0';
	for (size_t i = 0; i < n; i++)
		strcat(strcat(out, i ? " " : ""), word[i]);
	return out;
}

/* A chain, so that every walk has one order: d/e/f. */
static void make_chain(void)
{
	mkdir(scratch("d"), 0755);
	mkdir(scratch("d/e"), 0755);
	make_file("d/e/f", "x");
}

TEST(nftw, before_and_after)
{
	char slashes[PATH_MAX];

	make_chain();
	CHECK_STR(walked(scratch("d"), FTW_PHYS), "D0 root D1 e F2 f");
	CHECK_STR(walked(scratch("d"), FTW_PHYS | FTW_DEPTH), "F2 f P1 e P0 root");
	CHECK_STR(walked(scratch("d"), 0), "D0 root D1 e F2 f");
	CHECK_STR(walked(scratch("d"), FTW_PHYS | FTW_MOUNT), "D0 root D1 e F2 f");
	CHECK_INT(misplaced, 0);
	snprintf(slashes, sizeof slashes, "%s//", scratch("d"));
	CHECK_STR(walked(slashes, FTW_PHYS), "D0 root D1 e F2 f");
	CHECK_STR(walked(scratch("d/e/f"), FTW_PHYS), "F0 root");
}

TEST(nftw, changes_directory)
{
	char cwd[PATH_MAX];

	make_chain();
	make_file("d/g", "y");
	mkdir(scratch("d/h"), 0755);
	make_file("d/h/i", "z");
	CHECK_INT(chdir(scratch("")), 0);
	CHECK_STR(sorted(walked(scratch("d"), FTW_PHYS | FTW_CHDIR)), "D0 root D1 e D1 h F1 g F2 f F2 i");
	CHECK_INT(misplaced, 0);
	CHECK_STR(getcwd(cwd, sizeof cwd), scratch(""));
	CHECK_STR(sorted(walked(scratch("d"), FTW_PHYS | FTW_CHDIR | FTW_DEPTH)), "F1 g F2 f F2 i P0 root P1 e P1 h");
	CHECK_INT(misplaced, 0);
	CHECK_STR(getcwd(cwd, sizeof cwd), scratch(""));
	CHECK_STR(sorted(walked("d", FTW_PHYS)), "D0 root D1 e D1 h F1 g F2 f F2 i");
	CHECK_STR(sorted(walked(".", FTW_PHYS)), "D0 root D1 d D2 e D2 h F2 g F3 f F3 i");
	CHECK_INT(chdir("/"), 0);
}

TEST(nftw, links)
{
	make_chain();
	CHECK_INT(symlink("f", scratch("d/e/to_f")), 0);
	CHECK_INT(symlink("..", scratch("d/e/up")), 0);
	CHECK_INT(symlink("nothing", scratch("d/e/no")), 0);
	CHECK_STR(sorted(walked(scratch("d"), FTW_PHYS)), "D0 root D1 e F2 f L2 no L2 to_f L2 up");
	CHECK_STR(sorted(walked(scratch("d"), 0)),
		  "D0 root D1 e F2 f F2 to_f X2 no"); /* up is root again: once is enough */
	CHECK_INT(symlink("d", scratch("l")), 0);
	CHECK_STR(walked(scratch("l"), FTW_PHYS), "L0 root");
	CHECK_STR(sorted(walked(scratch("l"), 0)), "D0 root D1 e F2 f F2 to_f X2 no");
}

static int skip_e(const char *name)
{
	return strcmp(name, "e") ? FTW_CONTINUE : FTW_SKIP_SUBTREE;
}

static int skip_siblings_of_f(const char *name)
{
	return strcmp(name, "f") ? FTW_CONTINUE : FTW_SKIP_SIBLINGS;
}

static int stop_at_e(const char *name)
{
	return strcmp(name, "e") ? 0 : 42;
}

TEST(nftw, obeys_its_visitor)
{
	make_chain();
	make_file("d/g", "");
	answer = skip_e;
	CHECK_STR(sorted(walked(scratch("d"), FTW_PHYS | FTW_ACTIONRETVAL)), "D0 root D1 e F1 g");
	answer = skip_siblings_of_f;
	CHECK_STR(sorted(walked(scratch("d"), FTW_PHYS | FTW_ACTIONRETVAL | FTW_CHDIR)), "D0 root D1 e F1 g F2 f");
	CHECK_INT(misplaced, 0);
	answer = stop_at_e;
	seen[0] = '\0';
	chdirs = false;
	CHECK_INT(nftw(scratch("d"), visit, 4, FTW_PHYS), 42);
	CHECK_TRUE(!strstr(seen, "F2 f"));
	answer = NULL;
}

static int remove_it(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

TEST(nftw, removes_a_tree)
{
	char name[64];

	make_chain();
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "d/d%d", i);
		mkdir(scratch(name), 0755);
		strcat(name, "/f");
		make_file(name, "");
	}
	CHECK_INT(nftw(scratch("d"), remove_it, 16, FTW_DEPTH | FTW_PHYS), 0);
	CHECK_ERRNO(access(scratch("d"), F_OK), ENOENT);
}

TEST(nftw, fails)
{
	CHECK_ERRNO(nftw(scratch("nothing"), visit, 4, FTW_PHYS), ENOENT);
	CHECK_ERRNO(nftw("", visit, 4, FTW_PHYS), ENOENT);
	CHECK_ERRNO(nftw(scratch(""), visit, 4, 0x4000), EINVAL);
	CHECK_INT(symlink("nothing", scratch("l")), 0);
	CHECK_STR(walked(scratch("l"), 0), "X0 root");
}

static int old_visit(const char *path, const struct stat *st, int type)
{
	(void)path, (void)st;
	note((char)('0' + type), 0, "");
	return 0;
}

TEST(nftw, the_old_way)
{
	make_chain();
	seen[0] = '\0';
	CHECK_INT(ftw(scratch("d"), old_visit, 4), 0);
	CHECK_INT(strlen(seen), strlen("10 ") * 3 + 2);
}

/* ---- glob -------------------------------------------------------------------------------------------------------- */

/* What a pattern below the scratch directory matches, without the directory. */
static const char *globbed(const char *pattern, int flags)
{
	static char out[4096];
	size_t skip = pattern[0] == '/' ? strlen(scratch("")) + 1 : 0;
	glob_t g = {.gl_offs = 0};
	int rc = glob(pattern, flags, NULL, &g);

	snprintf(out, sizeof out, "%s", rc == GLOB_NOMATCH ? "(no match)" : rc ? "(failed)" : "");
	for (size_t i = 0; !rc && i < g.gl_pathc; i++)
		strcat(strcat(out, i ? " " : ""), g.gl_pathv[i] + skip);
	globfree(&g);
	return out;
}

TEST(glob, matches)
{
	char braces[PATH_MAX];

	mkdir(scratch("d"), 0755);
	mkdir(scratch("e"), 0755);
	make_file("d/a.c", "");
	make_file("d/b.c", "");
	make_file("e/c.c", "");
	make_file("d/.hidden", "");
	CHECK_STR(globbed(scratch("*"), 0), "d e");
	CHECK_STR(globbed(scratch("*/*.c"), 0), "d/a.c d/b.c e/c.c");
	CHECK_STR(globbed(scratch("?/[a-b].c"), 0), "d/a.c d/b.c");
	CHECK_STR(globbed(scratch("d/*"), GLOB_PERIOD), "d/. d/.. d/.hidden d/a.c d/b.c");
	CHECK_STR(globbed(scratch("*"), GLOB_MARK), "d/ e/");
	CHECK_STR(globbed(scratch("d/a.c"), 0), "d/a.c");
	CHECK_STR(globbed(scratch("d/x.c"), 0), "(no match)");
	CHECK_STR(globbed(scratch("d/x*"), GLOB_NOCHECK), "d/x*");
	snprintf(braces, sizeof braces, "%s/{d,e}/*.c", scratch(""));
	CHECK_STR(globbed(braces, GLOB_BRACE), "d/a.c d/b.c e/c.c");
}

TEST(glob, relative)
{
	make_chain();
	CHECK_INT(chdir(scratch("d")), 0);
	CHECK_STR(globbed("*", 0), "e");
	CHECK_STR(globbed("e/*", 0), "e/f");
	CHECK_STR(globbed("../*/e", 0), "../d/e");
	CHECK_INT(chdir("/"), 0);
}

TEST(glob, links_and_home)
{
	char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
	glob_t g = {.gl_offs = 0};

	make_chain();
	CHECK_INT(symlink("nothing", scratch("d/dangling")), 0);
	CHECK_STR(globbed(scratch("d/*"), 0), "d/dangling d/e");
	setenv("HOME", scratch("d"), 1);
	CHECK_INT(glob("~/e*", GLOB_TILDE, NULL, &g), 0);
	CHECK_STR(g.gl_pathv[0], scratch("d/e"));
	globfree(&g);
	if (home)
		setenv("HOME", home, 1);
	free(home);
}

TEST(glob, appends)
{
	glob_t g = {.gl_offs = 1};

	make_file("a", "");
	make_file("b", "");
	CHECK_INT(glob(scratch("b"), GLOB_DOOFFS, NULL, &g), 0);
	CHECK_INT(glob(scratch("a"), GLOB_DOOFFS | GLOB_APPEND, NULL, &g), 0);
	CHECK_INT(g.gl_pathc, 2);
	CHECK_TRUE(!g.gl_pathv[0]);
	CHECK_STR(g.gl_pathv[1], scratch("b"));
	CHECK_STR(g.gl_pathv[2], scratch("a"));
	globfree(&g);
}

TEST(wordexp, matches)
{
	char text[3 * PATH_MAX];
	wordexp_t words = {.we_offs = 1};

	mkdir(scratch("d"), 0755);
	make_file("d/a", "");
	make_file("d/b", "");
	setenv("here", scratch("d"), 1);
	snprintf(text, sizeof text, "first $here/* %s/no* last", scratch("d"));
	CHECK_INT(wordexp(text, &words, WRDE_DOOFFS), 0);
	CHECK_INT(words.we_wordc, 5);
	CHECK_STR(words.we_wordv[1], "first");
	CHECK_STR(words.we_wordv[2], scratch("d/a"));
	CHECK_STR(words.we_wordv[3], scratch("d/b"));
	CHECK_STR(words.we_wordv[4], scratch("d/no*"));
	CHECK_STR(words.we_wordv[5], "last");
	CHECK_TRUE(!words.we_wordv[6]);
	CHECK_INT(chdir(scratch("d")), 0);
	CHECK_INT(wordexp("*", &words, WRDE_DOOFFS | WRDE_APPEND), 0);
	CHECK_INT(chdir("/"), 0);
	CHECK_INT(words.we_wordc, 7);
	CHECK_STR(words.we_wordv[7], "b");
	wordfree(&words);
	CHECK_INT(wordexp("'*'", &words, 0), 0);
	CHECK_STR(words.we_wordv[0], "*");
	wordfree(&words);
}

/* ---- fts --------------------------------------------------------------------------------------------------------- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void note_entry(const FTSENT *e)
{
	static const char letter[] = {
		[FTS_D] = 'D',    [FTS_DC] = 'C',  [FTS_DEFAULT] = '?', [FTS_DNR] = 'R',  [FTS_DOT] = '.',
		[FTS_DP] = 'P',   [FTS_ERR] = '!', [FTS_F] = 'F',       [FTS_INIT] = 'I', [FTS_NS] = 'N',
		[FTS_NSOK] = 'O', [FTS_SL] = 'L',  [FTS_SLNONE] = 'X'};

	note(letter[e->fts_info], e->fts_level, e->fts_name);
}

static const char *fts_walked(const char *root, const char *second, int options)
{
	char *roots[] = {(char *)root, (char *)second, NULL};
	FTS *fts = fts_open(roots, options, by_name);
	struct stat st;
	FTSENT *e;

	seen[0] = '\0';
	misplaced = 0;
	if (!fts)
		return strerror(errno);
	while ((e = fts_read(fts))) {
		note_entry(e);
		if (!strcmp(e->fts_name, "skipped"))
			fts_set(fts, e, FTS_SKIP);
		if (e->fts_pathlen != strlen(e->fts_path) || e->fts_namelen != strlen(e->fts_name))
			misplaced++;
		if (e->fts_info == FTS_F && (lstat(e->fts_accpath, &st) || st.st_ino != e->fts_statp->st_ino))
			misplaced++;
	}
	if (errno)
		note('!', errno, "errno");
	CHECK_INT(fts_close(fts), 0);
	return seen;
}

TEST(fts, walks)
{
	make_chain();
	mkdir(scratch("d/skipped"), 0755);
	make_file("d/skipped/x", "");
	mkdir(scratch("d/empty"), 0755);
	make_file("d/z", "");
	CHECK_STR(fts_walked(scratch("d"), NULL, FTS_PHYSICAL | FTS_NOCHDIR),
		  "D0 d D1 e F2 f P1 e D1 empty P1 empty D1 skipped P1 skipped F1 z P0 d");
	CHECK_INT(misplaced, 0);
	CHECK_STR(fts_walked(scratch("d"), NULL, FTS_PHYSICAL),
		  "D0 d D1 e F2 f P1 e D1 empty P1 empty D1 skipped P1 skipped F1 z P0 d");
	CHECK_INT(misplaced, 0);
	CHECK_STR(fts_walked(scratch("d/z"), scratch("d/e"), FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV),
		  "D0 e F1 f P0 e F0 z");
	CHECK_STR(fts_walked(scratch("d/e"), NULL, FTS_PHYSICAL | FTS_NOCHDIR | FTS_SEEDOT),
		  "D0 e .1 . .1 .. F1 f P0 e");
	CHECK_STR(fts_walked(scratch("nothing"), scratch("d/z"), FTS_PHYSICAL), "F0 z N0 nothing");
	CHECK_STR(fts_walked("", NULL, FTS_PHYSICAL), strerror(ENOENT));
}

TEST(fts, relative)
{
	make_chain();
	CHECK_INT(chdir(scratch("")), 0);
	CHECK_STR(fts_walked(".", NULL, FTS_PHYSICAL | FTS_NOCHDIR), "D0 . D1 d D2 e F3 f P2 e P1 d P0 .");
	CHECK_INT(misplaced, 0);
	CHECK_STR(fts_walked("d/", NULL, FTS_PHYSICAL | FTS_NOCHDIR), "D0  D1 e F2 f P1 e P0 ");
	CHECK_INT(misplaced, 0);
	CHECK_INT(chdir("/"), 0);
}

TEST(fts, links)
{
	make_chain();
	CHECK_INT(symlink("f", scratch("d/e/to_f")), 0);
	CHECK_INT(symlink("..", scratch("d/e/up")), 0);
	CHECK_INT(symlink("nothing", scratch("d/e/no")), 0);
	CHECK_INT(symlink("d", scratch("l")), 0);
	CHECK_STR(fts_walked(scratch("d"), NULL, FTS_PHYSICAL | FTS_NOCHDIR),
		  "D0 d D1 e F2 f L2 no L2 to_f L2 up P1 e P0 d");
	CHECK_STR(fts_walked(scratch("d"), NULL, FTS_LOGICAL), "D0 d D1 e F2 f X2 no F2 to_f C2 up P1 e P0 d");
	CHECK_STR(fts_walked(scratch("l"), NULL, FTS_PHYSICAL), "L0 l");
	CHECK_STR(fts_walked(scratch("l"), NULL, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR),
		  "D0 l D1 e F2 f L2 no L2 to_f L2 up P1 e P0 l");
}

TEST(fts, follows_and_lists_on_demand)
{
	char *roots[] = {strdup(scratch("d")), NULL};
	FTS *fts;
	FTSENT *e;

	make_chain();
	CHECK_INT(symlink("e", scratch("d/l")), 0);
	seen[0] = '\0';
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	CHECK_TRUE(fts != NULL);
	CHECK_TRUE((e = fts_children(fts, 0)) && e->fts_info == FTS_D && !e->fts_link);
	CHECK_TRUE((e = fts_read(fts)) && e->fts_info == FTS_D);
	for (e = fts_children(fts, 0); e; e = e->fts_link) {
		note_entry(e);
		if (e->fts_info == FTS_SL)
			fts_set(fts, e, FTS_FOLLOW);
	}
	CHECK_STR(seen, "D1 e L1 l");
	seen[0] = '\0';
	while ((e = fts_read(fts)))
		note_entry(e);
	CHECK_STR(seen, "D1 e F2 f P1 e D1 l F2 f P1 l P0 d");
	CHECK_INT(fts_close(fts), 0);
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	CHECK_TRUE(fts_read(fts) != NULL);
	seen[0] = '\0';
	for (e = fts_children(fts, FTS_NAMEONLY); e; e = e->fts_link)
		note('n', 0, e->fts_name);
	CHECK_STR(seen, "n0 e n0 l");
	CHECK_TRUE((e = fts_read(fts)) && e->fts_info == FTS_D && e->fts_level == 1);
	CHECK_INT(fts_close(fts), 0); /* in the middle */
	CHECK_TRUE(!fts_open(roots, 0x10000, NULL) && errno == EINVAL);
	free(roots[0]);
}

/* ---- stdin over a file ------------------------------------------------------------------------------------------- */

/* stdin reads this file from now on. */
static void become_stdin(const char *path)
{
	int fd = (int)CHECK(open(path, O_RDONLY));

	CHECK_INT(dup2(fd, 0), 0);
	close(fd);
	clearerr(stdin);
}

TEST(stdin, reads_lines_and_bytes)
{
	make_file("f", "one\ntwo 2 x\nthree\nfour\nfive\nsix\nseven");
	CHECK_INT(IN_CHILD({
			  char line[64], word[16], *more = NULL;
			  size_t room = 0;
			  int n = 0, c = 0;

			  become_stdin(scratch("f"));
			  CHECK_STR(fgets(line, sizeof line, stdin), "one\n");
			  CHECK_INT(scanf("%15s %d %c", word, &n, (char *)&c), 3);
			  CHECK_INT(n, 2);
			  CHECK_INT(c, 'x');
			  CHECK_INT(getchar(), '\n');
			  CHECK_INT(getline(&more, &room, stdin), 6);
			  CHECK_STR(more, "three\n");
			  free(more);
			  CHECK_INT(fread(line, 1, 5, stdin), 5);
			  CHECK_INT(memcmp(line, "four\n", 5), 0);
			  CHECK_INT(getc(stdin), 'f');
			  CHECK_INT(ungetc('F', stdin), 'F');
			  CHECK_INT(fgetc(stdin), 'F');
			  CHECK_INT(getc_unlocked(stdin), 'i');
			  CHECK_INT(ftell(stdin), 25);
			  CHECK_INT(fseek(stdin, -5, SEEK_END), 0);
			  CHECK_STR(fgets(line, sizeof line, stdin), "seven");
			  CHECK_TRUE(!fgets(line, sizeof line, stdin) && feof(stdin));
			  rewind(stdin);
			  CHECK_INT(getc(stdin), 'o');
		  }),
		  0);
}

TEST(stdin, first_call_is_any)
{
	make_file("f", "0123456789");
	CHECK_INT(IN_CHILD(become_stdin(scratch("f")); CHECK_INT(getchar_unlocked(), '0')), 0);
	CHECK_INT(IN_CHILD(become_stdin(scratch("f")); CHECK_INT(fseek(stdin, 3, SEEK_SET), 0);
			   CHECK_INT(getchar(), '3')),
		  0);
	CHECK_INT(IN_CHILD(become_stdin(scratch("f")); lseek(0, 4, SEEK_SET); CHECK_INT(ftell(stdin), 4)), 0);
	CHECK_INT(IN_CHILD(become_stdin(scratch("f")); CHECK_INT(fgetwc(stdin), L'0')), 0);
	CHECK_INT(IN_CHILD(become_stdin(scratch("f")); wchar_t w[8]; CHECK_TRUE(fgetws(w, 8, stdin) && w[6] == L'6')),
		  0);
	CHECK_INT(IN_CHILD(become_stdin(scratch("f")); int n; CHECK_INT(fscanf(stdin, "%3d", &n), 1); CHECK_INT(n, 12)),
		  0);
	CHECK_INT(IN_CHILD(become_stdin(scratch("f")); CHECK_INT(ungetc('x', stdin), 'x'); CHECK_INT(getchar(), 'x');
			   CHECK_INT(getchar(), '0')),
		  0);
}

TEST(stdin, reopened)
{
	make_file("f", "of f\n");
	make_file("g", "of g\n");
	CHECK_INT(IN_CHILD({
			  char line[64];

			  become_stdin(scratch("f"));
			  CHECK_STR(fgets(line, sizeof line, stdin), "of f\n");
			  CHECK_TRUE(freopen(scratch("g"), "r", stdin) == stdin);
			  CHECK_INT(fileno(stdin), 0);
			  CHECK_STR(fgets(line, sizeof line, stdin), "of g\n");
			  become_stdin(scratch("f"));
			  CHECK_STR(fgets(line, sizeof line, stdin), "of f\n");
		  }),
		  0);
}

/* One description, one offset: who comes next goes on where the stream stopped. */
TEST(stdin, shares_the_offset)
{
	char line[64] = "";
	int fd = (int)CHECK(open(make_file("f", "one\ntwo\nthree\n"), O_RDONLY));

	CHECK_INT(IN_CHILD({
			  CHECK_INT(dup2(fd, 0), 0);
			  CHECK_STR(fgets(line, sizeof line, stdin), "one\n");
			  CHECK_INT(fflush(stdin), 0);
			  fclose(stdin);
		  }),
		  0);
	CHECK_INT(read(fd, line, 4), 4);
	CHECK_INT(memcmp(line, "two\n", 4), 0);
	CHECK_INT(IN_CHILD({
			  CHECK_INT(dup2(fd, 0), 0);
			  CHECK_INT(system("read x; test \"$x\" = three"), 0);
		  }),
		  0);
	close(fd);
}

TEST(stdin, of_a_program)
{
	char command[3 * PATH_MAX], out[64] = "";
	FILE *p;

	make_file("f", "b\na\nc\n");
	snprintf(command, sizeof command, "sort < %s | tr -d '\\n'; cut -c1 < %s | tail -n 1", scratch("f"),
		 scratch("f"));
	p = popen(command, "r");
	CHECK_TRUE(p && fgets(out, sizeof out, p));
	CHECK_STR(out, "abcc\n");
	CHECK_INT(pclose(p), 0);
}
