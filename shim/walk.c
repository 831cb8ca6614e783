/*
 * walk.c: realpath, scandir, nftw, glob, wordexp: what libc does with its own readlink, opendir and stat, done over ours
 * when the path is ours. glob() is libc's: it can be told which functions to use.
 *
 * A walk that begins outside does not come upon a prefix, which no real directory lists; only realpath() and scandir()
 * are led there by a real symbolic link, and are done over once libc's found nothing.
 */
#include "shim/path.h"
#include "shim/real.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* ---- realpath ---------------------------------------------------------------------------------------------------- */

#define LINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

struct resolution {         /* on the heap: a thread's stack may be small */
	char out[PATH_MAX]; /* resolved so far; "" is the root */
	size_t n;           /* of out */
	char left[PATH_MAX];
	char *at;              /* in left: the rest */
	char target[PATH_MAX]; /* of the link at hand */
	int links;
};

/* "/mnt" of "/mnt/goosefs": the kernel need not know it. */
static bool above_prefix(const char *path)
{
	size_t n = strlen(path);

	for (unsigned i = 0; i < shim.prefix_count; i++)
		if (!strncmp(shim.prefix[i].path, path, n) && shim.prefix[i].path[n] == '/')
			return true;
	return false;
}

static int resolve_begin(struct resolution *r, const char *path)
{
	size_t n = strnlen(path, sizeof r->left);

	if (n == sizeof r->left)
		return -ENAMETOOLONG;
	memcpy(r->left, path, n + 1);
	r->at = r->left;
	r->links = 0;
	r->out[0] = '\0';
	if (path[0] != '/' && !getcwd(r->out, sizeof r->out))
		return -errno;
	r->n = strlen(r->out);
	if (r->n == 1)
		r->n = 0;
	return 0;
}

/* What was just added is a link: its target stands before what is left. */
static int resolve_link(struct resolution *r, const char *target, size_t bytes, size_t before)
{
	size_t rest = strlen(r->at) + 1;

	if (++r->links > LINKS_MAX)
		return -ELOOP;
	if (!bytes)
		return -ENOENT;
	if (bytes + rest > sizeof r->left)
		return -ENAMETOOLONG;
	memmove(r->left + bytes, r->at, rest);
	memcpy(r->left, target, bytes);
	r->at = r->left;
	r->n = target[0] == '/' ? 0 : before;
	r->out[r->n] = '\0';
	return 0;
}

/* The rest is "/", "/." or "/..": nothing that would be looked up in out, which has to be a directory all the same. */
static bool must_be_dir(const char *rest)
{
	size_t slashes = strspn(rest, "/"), bytes = strcspn(rest + slashes, "/");

	return slashes && strspn(rest + slashes, ".") >= bytes && bytes <= 2;
}

static int resolve_name(struct resolution *r, size_t bytes)
{
	size_t before = r->n;
	struct stat st;
	ssize_t n;

	if (r->n + bytes + 1 >= sizeof r->out)
		return -ENAMETOOLONG;
	r->out[r->n] = '/';
	memcpy(r->out + r->n + 1, r->at, bytes);
	r->n += bytes + 1;
	r->out[r->n] = '\0';
	r->at += bytes;
	n = readlink(r->out, r->target, sizeof r->target);
	if (n == (ssize_t)sizeof r->target)
		return -ENAMETOOLONG;
	if (n >= 0)
		return resolve_link(r, r->target, (size_t)n, before);
	if (errno == ENOENT && above_prefix(r->out))
		return 0;
	if (errno != EINVAL)
		return -errno;
	if (must_be_dir(r->at) && !stat(r->out, &st) && !S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return 0;
}

static int resolve(struct resolution *r, const char *path)
{
	int rc = resolve_begin(r, path);

	while (!rc) {
		size_t bytes;

		r->at += strspn(r->at, "/");
		bytes = strcspn(r->at, "/");
		if (!bytes)
			break;
		if (bytes == 1 && r->at[0] == '.') {
			r->at++;
		} else if (bytes == 2 && r->at[0] == '.' && r->at[1] == '.') {
			while (r->n && r->out[--r->n] != '/')
				;
			r->out[r->n] = '\0';
			r->at += 2;
		} else {
			rc = resolve_name(r, bytes);
		}
	}
	if (!r->n)
		memcpy(r->out, "/", 2);
	return rc;
}

/* The caller's buffer also gets the name that could not be resolved, as libc's gives it. */
static char *resolved(const struct resolution *r, char *out, int rc)
{
	if (out)
		memcpy(out, r->out, strlen(r->out) + 1);
	if (!rc)
		return out ?: strdup(r->out);
	errno = -rc;
	return NULL;
}

/* libc found nothing: perhaps a link on the way leads into a prefix. */
static COLD char *realpath_missed(const char *path, char *out)
{
	struct resolution *r = malloc(sizeof *r);
	char *found = NULL;

	if (r && !resolve(r, path) && prefix_of(r->out))
		found = resolved(r, out, 0);
	else
		errno = r ? ENOENT : ENOMEM;
	free(r);
	return found;
}

static char *realpath_native(const char *path, char *out)
{
	char *found = REAL(realpath)(path, out);

	return found || errno != ENOENT || !path[0] ? found : realpath_missed(path, out);
}

static COLD char *realpath_slow(const char *path, char *out)
{
	struct {
		struct where w;
		struct resolution r;
	} *both = malloc(sizeof *both);
	int ours, rc;
	char *found;

	if (!both)
		return NULL;
	rc = ours = path_find(&both->w, AT_FDCWD, path);
	both->r.out[0] = '\0';
	if (ours >= 0 && (ours || both->w.native != path))
		rc = resolve(&both->r, ours && path[0] != '/' && strstr(path, "://") ? both->w.path : path);
	found = ours == 0 && both->w.native == path ? realpath_native(path, out) : resolved(&both->r, out, rc);
	rc = errno;
	free(both);
	errno = rc;
	return found;
}

EXPORT char *realpath(const char *path, char *out)
{
	char *found;
	int saved = errno;

	if (likely(!shim.active))
		return REAL(realpath)(path, out);
	found = path_maybe(AT_FDCWD, path) ? realpath_slow(path, out) : realpath_native(path, out);
	if (found)
		errno = saved;
	return found;
}

EXPORT char *__realpath_chk(const char *path, char *out, size_t room)
{
	if (likely(!shim.active) || room < PATH_MAX)
		return REAL(__realpath_chk)(path, out, room); /* which ends a program with too small a buffer */
	return realpath(path, out);
}

EXPORT char *canonicalize_file_name(const char *path)
{
	return likely(!shim.active) ? REAL(canonicalize_file_name)(path) : realpath(path, NULL);
}

/* ---- scandir ----------------------------------------------------------------------------------------------------- */

typedef int pick_fn(const struct dirent *);
typedef int order_fn(const struct dirent **, const struct dirent **);

struct names {
	struct dirent **name;
	size_t count, room;
};

static bool names_add(struct names *all, const struct dirent *e)
{
	struct dirent *copy = malloc(e->d_reclen);

	if (copy && all->count == all->room) {
		size_t room = all->room ? all->room * 2 : 16;
		struct dirent **more = realloc(all->name, room * sizeof *more);

		if (!more) {
			free(copy);
			return false;
		}
		all->name = more;
		all->room = room;
	}
	if (copy)
		all->name[all->count++] = memcpy(copy, e, e->d_reclen);
	return copy;
}

static void names_free(struct names *all)
{
	while (all->count)
		free(all->name[--all->count]);
	free(all->name);
}

/* All entries that are picked; 0, or an errno. */
static int names_read(struct names *all, DIR *dir, pick_fn *pick)
{
	for (;;) {
		struct dirent *e;

		errno = 0;
		e = readdir(dir);
		if (!e)
			return errno;
		if ((!pick || pick(e)) && !names_add(all, e))
			return ENOMEM;
	}
}

static COLD int scan(int dirfd, const char *path, struct dirent ***out, pick_fn *pick, order_fn *order)
{
	struct names all = {NULL, 0, 0};
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK), saved = errno, why;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		why = errno;
		if (fd >= 0)
			close(fd);
		errno = why;
		return -1;
	}
	why = names_read(&all, dir, pick);
	closedir(dir);
	if (why) {
		names_free(&all);
		errno = why;
		return -1;
	}
	errno = saved;
	if (order && all.count)
		qsort(all.name, all.count, sizeof *all.name, (int (*)(const void *, const void *))order);
	*out = all.name;
	return (int)all.count;
}

EXPORT int scandirat(int dirfd, const char *path, struct dirent ***out, pick_fn *pick, order_fn *order)
{
	int n;

	if (unlikely(path_maybe(dirfd, path)))
		return scan(dirfd, path, out, pick, order);
	n = REAL(scandirat)(dirfd, path, out, pick, order);
	if (unlikely(n < 0 && shim.active &&
		     errno == ENOENT)) /* a link on the way may lead into a prefix: openat() knows */
		return scan(dirfd, path, out, pick, order);
	return n;
}
EXPORT_ALIAS(scandirat, scandirat64)

EXPORT int scandir(const char *path, struct dirent ***out, pick_fn *pick, order_fn *order)
{
	return likely(!shim.active) ? REAL(scandir)(path, out, pick, order)
				    : scandirat(AT_FDCWD, path, out, pick, order);
}
EXPORT_ALIAS(scandir, scandir64)

/* ---- nftw -------------------------------------------------------------------------------------------------------- */

struct walk {
	__nftw_func_t nftw; /* one of the two */
	__ftw_func_t ftw;
	int flags;
	dev_t dev;  /* of the root */
	void *seen; /* a tree of the directories entered, unless FTW_PHYS: links may lead round */
	struct FTW at;
	char path[PATH_MAX];
};

struct seen {
	dev_t dev;
	ino_t ino;
};

static int seen_order(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->dev < y->dev ? -1 : x->dev > y->dev;
}

/* 1: for the first time; 0: again; -1: no memory. */
static int seen_first(struct walk *w, const struct stat *st)
{
	struct seen *new = malloc(sizeof *new), **found;

	if (!new)
		return -1;
	*new = (struct seen){st->st_dev, st->st_ino};
	found = tsearch(new, &w->seen, seen_order);
	if (found && *found == new)
		return 1;
	free(new);
	return found ? 0 : -1;
}

static int tell(struct walk *w, const struct stat *st, int type)
{
	static const int of_ftw[] = {
		[FTW_F] = FTW_F,  [FTW_D] = FTW_D,  [FTW_DNR] = FTW_DNR, [FTW_NS] = FTW_NS,
		[FTW_SL] = FTW_F, [FTW_DP] = FTW_D, [FTW_SLN] = FTW_NS,
	};

	return w->ftw ? w->ftw(w->path, st, of_ftw[type]) : w->nftw(w->path, st, type, &w->at);
}

/* What there is to call the entry at w->path now: its name where we are, or all of it. */
static const char *callable(struct walk *w)
{
	const char *name = w->path + w->at.base;

	if (!(w->flags & FTW_CHDIR))
		return w->path;
	return *name ? name : ".";
}

/* FTW_F..., or -1 when the walk cannot go on. */
static int look(struct walk *w, struct stat *st)
{
	const char *name = callable(w);

	memset(st, 0, sizeof *st);
	if (!(w->flags & FTW_PHYS ? lstat : stat)(name, st))
		return S_ISDIR(st->st_mode) ? FTW_D : S_ISLNK(st->st_mode) ? FTW_SL : FTW_F;
	if (errno != EACCES && errno != ENOENT)
		return -1;
	return !(w->flags & FTW_PHYS) && !lstat(name, st) && S_ISLNK(st->st_mode) ? FTW_SLN : FTW_NS;
}

static int enter(struct walk *w, const struct stat *st, DIR *parent);

static int visit(struct walk *w, DIR *dir, const char *name)
{
	size_t base = (size_t)w->at.base, n = strlen(name);
	struct stat st;
	int type, rc = 0;

	if (base + n >= sizeof w->path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(w->path + base, name, n + 1);
	type = look(w, &st);
	if (type < 0)
		return -1;
	if (type != FTW_NS && (w->flags & FTW_MOUNT) && st.st_dev != w->dev)
		return 0;
	if (type != FTW_D)
		rc = tell(w, &st, type);
	else if ((w->flags & FTW_PHYS) || (rc = seen_first(w, &st)) > 0)
		rc = enter(w, &st, dir);
	return (w->flags & FTW_ACTIONRETVAL) && rc == FTW_SKIP_SUBTREE ? 0 : rc;
}

/* The entries of w->path, which is a directory and stays at the end of w->path. */
static int visit_all(struct walk *w, DIR *dir)
{
	size_t n = strlen(w->path);
	int base = w->at.base, rc = 0, why;
	struct dirent *e;

	if (w->path[n - 1] != '/') {
		if (n + 1 >= sizeof w->path) {
			errno = ENAMETOOLONG;
			return -1;
		}
		w->path[n++] = '/';
	}
	w->at.base = (int)n;
	w->at.level++;
	while (!rc && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = visit(w, dir, e->d_name);
	why = errno;
	w->at.level--;
	w->path[n > 1 ? n - 1 : 1] = '\0';
	w->at.base = base;
	errno = why;
	return (w->flags & FTW_ACTIONRETVAL) && rc == FTW_SKIP_SIBLINGS ? 0 : rc;
}

/* Back where the entries of parent have their names; a walk that is at its end needs no more than the caller's return. */
static int leave(struct walk *w, DIR *parent, int rc)
{
	bool goes_on = !rc || ((w->flags & FTW_ACTIONRETVAL) && rc != -1 && rc != FTW_STOP);

	return parent && (w->flags & FTW_CHDIR) && goes_on && fchdir(dirfd(parent)) ? -1 : rc;
}

static int enter(struct walk *w, const struct stat *st, DIR *parent)
{
	DIR *dir = opendir(callable(w));
	int rc = 0, why;

	if (!dir)
		return errno == EACCES ? tell(w, st, FTW_DNR) : -1;
	if (!(w->flags & FTW_DEPTH))
		rc = tell(w, st, FTW_D);
	if (!rc) {
		rc = w->flags & FTW_CHDIR ? fchdir(dirfd(dir)) : 0;
		rc = rc ?: visit_all(w, dir);
		if (!rc && (w->flags & FTW_DEPTH))
			rc = tell(w, st, FTW_DP);
		rc = leave(w, parent, rc);
	}
	why = errno;
	closedir(dir);
	errno = why;
	return rc;
}

static int walk_root(struct walk *w)
{
	struct stat st;
	int type = look(w, &st), rc;

	if (type < 0 || type == FTW_NS)
		return -1;
	w->dev = st.st_dev;
	if (type != FTW_D)
		rc = tell(w, &st, type);
	else if (!(w->flags & FTW_PHYS) && seen_first(w, &st) < 0)
		rc = -1;
	else
		rc = enter(w, &st, NULL);
	return (w->flags & FTW_ACTIONRETVAL) && (rc == FTW_SKIP_SUBTREE || rc == FTW_SKIP_SIBLINGS) ? 0 : rc;
}

/* FTW_CHDIR: to the directory the root lies in. */
static int walk_chdir(struct walk *w)
{
	char *slash = w->path + w->at.base - 1;
	int rc;

	if (w->at.base <= 1)
		return w->at.base ? chdir("/") : 0;
	*slash = '\0';
	rc = chdir(w->path);
	*slash = '/';
	return rc;
}

static int walk_from(struct walk *w)
{
	int here, rc, why;

	if (!(w->flags & FTW_CHDIR))
		return walk_root(w);
	here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (here < 0)
		return -1;
	rc = walk_chdir(w) ?: walk_root(w);
	why = errno;
	if (fchdir(here) && !rc) {
		rc = -1;
		why = errno;
	}
	close(here);
	errno = why;
	return rc;
}

static COLD int walk(const char *path, __nftw_func_t nftw, __ftw_func_t ftw, int flags)
{
	struct walk *w = calloc(1, sizeof *w);
	size_t n = strnlen(path, sizeof w->path);
	int rc = -1, why;

	if (w && n < sizeof w->path) {
		w->nftw = nftw;
		w->ftw = ftw;
		w->flags = flags;
		while (n > 1 && path[n - 1] == '/')
			n--;
		memcpy(w->path, path, n);
		while (n && path[n - 1] != '/')
			n--;
		w->at.base = (int)n;
		rc = walk_from(w);
	} else if (w) {
		errno = ENAMETOOLONG;
	}
	why = errno;
	if (w)
		tdestroy(w->seen, free);
	free(w);
	errno = why;
	return rc;
}

#define NFTW_FLAGS (FTW_PHYS | FTW_MOUNT | FTW_CHDIR | FTW_DEPTH | FTW_ACTIONRETVAL)

static COLD int nftw_slow(const char *path, __nftw_func_t fn, int fds, int flags)
{
	struct where w;
	int ours = path_find(&w, AT_FDCWD, path);

	if (ours == 0)
		return REAL(nftw)(w.native, fn, fds, flags);
	if (ours > 0 && !(flags & ~NFTW_FLAGS))
		return walk(path, fn, NULL, flags);
	errno = ours < 0 ? -ours : EINVAL;
	return -1;
}

EXPORT int nftw(const char *path, __nftw_func_t fn, int fds, int flags)
{
	if (likely(!path_maybe(AT_FDCWD, path)))
		return REAL(nftw)(path, fn, fds, flags);
	return nftw_slow(path, fn, fds, flags);
}
EXPORT_ALIAS(nftw, nftw64)

static COLD int ftw_slow(const char *path, __ftw_func_t fn, int fds)
{
	struct where w;
	int ours = path_find(&w, AT_FDCWD, path);

	if (ours == 0)
		return REAL(ftw)(w.native, fn, fds);
	if (ours > 0)
		return walk(path, NULL, fn, 0);
	errno = -ours;
	return -1;
}

EXPORT int ftw(const char *path, __ftw_func_t fn, int fds)
{
	if (likely(!path_maybe(AT_FDCWD, path)))
		return REAL(ftw)(path, fn, fds);
	return ftw_slow(path, fn, fds);
}
EXPORT_ALIAS(ftw, ftw64)

/* ---- glob: libc's, over our functions ---------------------------------------------------------------------------- */

static void *glob_opendir(const char *path)
{
	return opendir(path);
}

static struct dirent *glob_readdir(void *dir)
{
	return readdir(dir);
}

static void glob_closedir(void *dir)
{
	closedir(dir);
}

static COLD int glob_slow(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *g)
{
	int rc;

	g->gl_opendir = glob_opendir;
	g->gl_readdir = glob_readdir;
	g->gl_closedir = glob_closedir;
	g->gl_stat = stat;
	g->gl_lstat = lstat;
	rc = REAL(glob)(pattern, flags | GLOB_ALTDIRFUNC, failed, g);
	g->gl_flags &= ~GLOB_ALTDIRFUNC;
	return rc;
}

/* A home directory may be ours, whatever the pattern says. */
static inline bool glob_maybe(const char *pattern, int flags)
{
	if (path_maybe(AT_FDCWD, pattern))
		return true;
	return unlikely(shim.active) && (flags & (GLOB_TILDE | GLOB_TILDE_CHECK)) && pattern && pattern[0] == '~';
}

EXPORT int glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *g)
{
	if (likely(!glob_maybe(pattern, flags)) || (flags & GLOB_ALTDIRFUNC))
		return REAL(glob)(pattern, flags, failed, g);
	return glob_slow(pattern, flags, failed, g);
}
EXPORT_ALIAS(glob, glob64)

/* ---- wordexp: libc's, and then patterns that only we can match --------------------------------------------------- */

/* Word i becomes all that its pattern matched. */
static bool words_replace(wordexp_t *words, size_t i, const glob_t *found)
{
	size_t after = words->we_wordc - i - 1, n = found->gl_pathc;
	char **all = realloc(words->we_wordv, (words->we_offs + i + n + after + 1) * sizeof *all);

	if (!all)
		return false;
	words->we_wordv = all;
	all += words->we_offs + i;
	free(*all);
	memmove(all + n, all + 1, (after + 1) * sizeof *all);
	for (size_t k = 0; k < n; k++)
		all[k] = strdup(found->gl_pathv[k]);
	words->we_wordc += n - 1;
	return true;
}

static COLD int words_glob(wordexp_t *words, size_t from)
{
	for (size_t i = from; i < words->we_wordc; i++) {
		const char *word = words->we_wordv[words->we_offs + i];
		glob_t found = {.gl_offs = 0};
		bool replaced = true;

		if (!strpbrk(word, "*?[") || !path_maybe(AT_FDCWD, word))
			continue;
		if (!glob_slow(word, 0, NULL, &found)) {
			replaced = words_replace(words, i, &found);
			i += replaced ? found.gl_pathc - 1 : 0;
		}
		globfree(&found);
		if (!replaced)
			return WRDE_NOSPACE;
	}
	return 0;
}

/* What was quoted can no longer be told in a result, so that nothing is matched in a text with quotes. */
EXPORT int wordexp(const char *text, wordexp_t *words, int flags)
{
	size_t from = flags & WRDE_APPEND ? words->we_wordc : 0;
	int rc;

	if (likely(!shim.active))
		return REAL(wordexp)(text, words, flags);
	rc = REAL(wordexp)(text, words, flags);
	return rc || strpbrk(text, "'\"\\") ? rc : words_glob(words, from);
}
