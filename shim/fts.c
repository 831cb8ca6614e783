/*
 * fts.c: fts_open() and what follows, over our functions when one of the roots is ours. The entries are laid out as fts.h
 * says; a stream of ours is told from libc's by a bit in its options that libc's never have.
 *
 * It never changes the working directory, whether FTS_NOCHDIR was asked for or not: fts_accpath is always the whole path,
 * and that is what a program has to use.
 */
#include "shim/path.h"
#include "shim/real.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OURS 0x40000000

enum build { CHILDREN, NAMES, READ };

static bool ours(const FTS *fts)
{
	return fts && (fts->fts_options & OURS);
}

static FTSENT *entry_new(FTS *fts, FTSENT *parent, const char *name, size_t n)
{
	size_t head = (offsetof(FTSENT, fts_name) + n + 1 + 15) & ~(size_t)15;
	FTSENT *e = calloc(1, head + sizeof(struct stat));

	if (!e)
		return NULL;
	memcpy(e->fts_name, name, n);
	e->fts_namelen = (unsigned short)n;
	e->fts_statp = (struct stat *)((char *)e + head);
	e->fts_path = e->fts_accpath = fts->fts_path;
	e->fts_instr = FTS_NOINSTR;
	e->fts_parent = parent;
	e->fts_level = parent ? (short)(parent->fts_level + 1) : FTS_ROOTPARENTLEVEL;
	return e;
}

static void entries_free(FTSENT *e)
{
	while (e) {
		FTSENT *after = e->fts_link;

		free(e);
		e = after;
	}
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int info_of(FTSENT *e)
{
	const struct stat *st = e->fts_statp;

	if (S_ISLNK(st->st_mode))
		return FTS_SL;
	if (S_ISREG(st->st_mode))
		return FTS_F;
	if (!S_ISDIR(st->st_mode))
		return FTS_DEFAULT;
	e->fts_dev = st->st_dev;
	e->fts_ino = st->st_ino;
	e->fts_nlink = st->st_nlink;
	if (is_dot(e->fts_name))
		return FTS_DOT;
	for (FTSENT *up = e->fts_parent; up && up->fts_level >= FTS_ROOTLEVEL; up = up->fts_parent)
		if (up->fts_ino == st->st_ino && up->fts_dev == st->st_dev) {
			e->fts_cycle = up;
			return FTS_DC;
		}
	return FTS_D;
}

/* Look at path, which is e's. */
static unsigned short entry_stat(FTS *fts, FTSENT *e, const char *path, bool follow)
{
	follow |= (fts->fts_options & FTS_LOGICAL) != 0;
	if (!(follow ? stat : lstat)(path, e->fts_statp))
		return (unsigned short)info_of(e);
	e->fts_errno = errno;
	if (follow && !lstat(path, e->fts_statp)) {
		e->fts_errno = 0;
		return FTS_SLNONE;
	}
	memset(e->fts_statp, 0, sizeof *e->fts_statp);
	return FTS_NS;
}

/* The list in the order the program wants it. */
static FTSENT *sorted(FTS *fts, FTSENT *head, int count)
{
	FTSENT **all;
	int n = 0;

	if (!fts->fts_compar || count < 2)
		return head;
	all = malloc((size_t)count * sizeof(FTSENT *));
	if (!all)
		return head; /* as libc: unsorted */
	for (FTSENT *e = head; e; e = e->fts_link)
		all[n++] = e;
	qsort(all, (size_t)n, sizeof *all, fts->fts_compar);
	for (int i = 0; i < n; i++)
		all[i]->fts_link = i + 1 < n ? all[i + 1] : NULL;
	head = all[0];
	free(all);
	return head;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

EXPORT int fts_close(FTS *fts)
{
	if (likely(!ours(fts)))
		return REAL(fts_close)(fts);
	for (FTSENT *e = fts->fts_cur, *after; e; e = after) {
		after = e->fts_link ?: e->fts_parent;
		free(e);
	}
	entries_free(fts->fts_child);
	free(fts->fts_path);
	free(fts);
	return 0;
}

/* The roots as a list in the order of argv; NULL and errno. */
static FTSENT *roots(FTS *fts, char *const *argv, FTSENT *parent, int *count)
{
	FTSENT *head = NULL, **tail = &head;

	for (; *argv; argv++, ++*count) {
		size_t n = strlen(*argv);
		FTSENT *e = NULL;

		errno = n ? ENAMETOOLONG : ENOENT;
		if (n && n < PATH_MAX - 1)
			e = entry_new(fts, parent, *argv, n);
		if (!e) {
			entries_free(head);
			return NULL;
		}
		e->fts_info = entry_stat(fts, e, e->fts_name, (fts->fts_options & FTS_COMFOLLOW) != 0);
		if (e->fts_info == FTS_DOT)
			e->fts_info = FTS_D; /* on the command line they are directories like others */
		*tail = e;
		tail = &e->fts_link;
	}
	return head;
}

static COLD FTS *open_ours(char *const *argv, int options, int (*order)(const FTSENT **, const FTSENT **))
{
	FTS *fts = calloc(1, sizeof *fts);
	FTSENT *parent = NULL, *head;
	int count = 0;

	if (!fts)
		return NULL;
	fts->fts_options = options | FTS_NOCHDIR | OURS;
	fts->fts_compar = (int (*)(const void *, const void *))order;
	fts->fts_rfd = -1;
	fts->fts_path = malloc(PATH_MAX);
	fts->fts_pathlen = PATH_MAX;
	if (fts->fts_path)
		parent = entry_new(fts, NULL, "", 0);
	if (parent)
		fts->fts_cur = entry_new(fts, parent, "", 0); /* before the first: fts_read() goes on to its link */
	if (fts->fts_cur) {
		fts->fts_cur->fts_info = FTS_INIT;
		head = roots(fts, argv, parent, &count);
		fts->fts_cur->fts_link = sorted(fts, head, count);
	}
	if (fts->fts_cur && fts->fts_cur->fts_link)
		return fts;
	if (!fts->fts_cur)
		free(parent);
	fts_close(fts);
	return NULL;
}

EXPORT FTS *fts_open(char *const *argv, int options, int (*order)(const FTSENT **, const FTSENT **))
{
	struct where w;
	int found = 0;

	for (int i = 0; shim.active && argv[i] && found <= 0; i++)
		if (path_maybe(AT_FDCWD, argv[i]))
			found = path_find(&w, AT_FDCWD, argv[i]);
	if (likely(found <= 0) || (options & ~FTS_OPTIONMASK))
		return REAL(fts_open)(argv, options, order);
	return open_ours(argv, options, order);
}
EXPORT_ALIAS(fts_open, fts64_open)

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Where a name below e begins in fts_path, after its slash. */
static size_t below(const FTS *fts, const FTSENT *e)
{
	size_t n = e->fts_pathlen;

	return n && fts->fts_path[n - 1] == '/' ? n : n + 1;
}

/* Put e's name behind its parent's path. */
static bool name_append(FTS *fts, FTSENT *e)
{
	size_t at = below(fts, e->fts_parent);

	if (at + e->fts_namelen >= PATH_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	fts->fts_path[at - 1] = '/';
	memcpy(fts->fts_path + at, e->fts_name, e->fts_namelen + 1u);
	e->fts_pathlen = (unsigned short)(at + e->fts_namelen);
	return true;
}

/* An entry found while reading cur; NULL and errno. */
static FTSENT *entry_found(FTS *fts, FTSENT *cur, const struct dirent *d, enum build how)
{
	bool unasked = (fts->fts_options & FTS_NOSTAT) && (fts->fts_options & FTS_PHYSICAL) && d->d_type != DT_DIR &&
		       d->d_type != DT_UNKNOWN;
	FTSENT *e = entry_new(fts, cur, d->d_name, strlen(d->d_name));

	if (!e || !name_append(fts, e)) {
		free(e);
		return NULL;
	}
	e->fts_info = how == NAMES || unasked ? FTS_NSOK : entry_stat(fts, e, fts->fts_path, false);
	return e;
}

/* The entries of the current directory. NULL: none, or errno in fts_errno. */
static FTSENT *build(FTS *fts, enum build how)
{
	FTSENT *cur = fts->fts_cur, *head = NULL, **tail = &head;
	DIR *dir = opendir(cur->fts_accpath);
	struct dirent *d;
	int count = 0;

	if (!dir) {
		cur->fts_errno = errno;
		if (how == READ)
			cur->fts_info = FTS_DNR;
		return NULL;
	}
	while ((d = readdir(dir))) {
		if (is_dot(d->d_name) && !(fts->fts_options & FTS_SEEDOT))
			continue;
		*tail = entry_found(fts, cur, d, how);
		if (!*tail) {
			cur->fts_errno = errno;
			cur->fts_info = FTS_ERR;
			fts->fts_options |= FTS_STOP;
			entries_free(head);
			head = NULL;
			break;
		}
		tail = &(*tail)->fts_link;
		count++;
	}
	closedir(dir);
	fts->fts_path[cur->fts_pathlen] = '\0';
	if (!head && how == READ && !(fts->fts_options & FTS_STOP))
		cur->fts_info = FTS_DP;
	return sorted(fts, head, count);
}

/* A root: fts_name becomes its last component, fts_path all of it. */
static FTSENT *root_load(FTS *fts, FTSENT *e)
{
	char *slash = strrchr(e->fts_name, '/');

	memcpy(fts->fts_path, e->fts_name, e->fts_namelen + 1u);
	e->fts_pathlen = e->fts_namelen;
	if (slash && (slash != e->fts_name || slash[1])) {
		e->fts_namelen = (unsigned short)strlen(slash + 1);
		memmove(e->fts_name, slash + 1, e->fts_namelen + 1u);
	}
	fts->fts_dev = e->fts_dev;
	return e;
}

static FTSENT *child_load(FTS *fts, FTSENT *e)
{
	name_append(fts, e); /* it fitted when it was found */
	if (e->fts_instr == FTS_FOLLOW) {
		e->fts_info = entry_stat(fts, e, fts->fts_path, true);
		e->fts_instr = FTS_NOINSTR;
	}
	return e;
}

/* After the last of a directory: the directory again. NULL: after the last root. */
static FTSENT *up(FTS *fts, FTSENT *e)
{
	FTSENT *parent = e->fts_parent;

	free(e);
	if (parent->fts_level == FTS_ROOTPARENTLEVEL) {
		free(parent);
		fts->fts_cur = NULL;
		errno = 0;
		return NULL;
	}
	fts->fts_cur = parent;
	fts->fts_path[parent->fts_pathlen] = '\0';
	parent->fts_info = parent->fts_errno ? FTS_ERR : FTS_DP;
	return parent;
}

static FTSENT *next(FTS *fts)
{
	for (FTSENT *e = fts->fts_cur, *after;; e = after) {
		after = e->fts_link;
		if (!after)
			return up(fts, e);
		fts->fts_cur = after;
		free(e);
		if (after->fts_level == FTS_ROOTLEVEL)
			return root_load(fts, after);
		if (after->fts_instr != FTS_SKIP)
			return child_load(fts, after);
	}
}

/* From a directory to its first entry; to itself again if it is skipped, empty or unreadable. */
static FTSENT *descend(FTS *fts, FTSENT *e, int instr)
{
	if (instr == FTS_SKIP || ((fts->fts_options & FTS_XDEV) && e->fts_dev != fts->fts_dev)) {
		entries_free(fts->fts_child);
		fts->fts_child = NULL;
		e->fts_info = FTS_DP;
		return e;
	}
	if (fts->fts_child && (fts->fts_options & FTS_NAMEONLY)) {
		entries_free(fts->fts_child);
		fts->fts_child = NULL;
	}
	fts->fts_options &= ~FTS_NAMEONLY;
	if (!fts->fts_child)
		fts->fts_child = build(fts, READ);
	if (!fts->fts_child)
		return fts->fts_options & FTS_STOP ? NULL : e;
	e = fts->fts_cur = fts->fts_child;
	fts->fts_child = NULL;
	return child_load(fts, e);
}

static COLD FTSENT *read_ours(FTS *fts)
{
	FTSENT *e = fts->fts_cur;
	int instr;

	if (!e || (fts->fts_options & FTS_STOP))
		return NULL;
	instr = e->fts_instr;
	e->fts_instr = FTS_NOINSTR;
	if (instr == FTS_AGAIN || (instr == FTS_FOLLOW && (e->fts_info == FTS_SL || e->fts_info == FTS_SLNONE))) {
		e->fts_info = entry_stat(fts, e, fts->fts_path, instr == FTS_FOLLOW);
		return e;
	}
	return e->fts_info == FTS_D ? descend(fts, e, instr) : next(fts);
}

EXPORT FTSENT *fts_read(FTS *fts)
{
	return likely(!ours(fts)) ? REAL(fts_read)(fts) : read_ours(fts);
}

EXPORT FTSENT *fts_children(FTS *fts, int options)
{
	FTSENT *e;

	if (likely(!ours(fts)))
		return REAL(fts_children)(fts, options);
	e = fts->fts_cur;
	errno = options && options != FTS_NAMEONLY ? EINVAL : 0;
	if (errno || !e || (fts->fts_options & FTS_STOP))
		return NULL;
	if (e->fts_info == FTS_INIT)
		return e->fts_link;
	if (e->fts_info != FTS_D)
		return NULL;
	entries_free(fts->fts_child);
	fts->fts_options = (fts->fts_options & ~FTS_NAMEONLY) | options;
	fts->fts_child = build(fts, options ? NAMES : CHILDREN);
	return fts->fts_child;
}
EXPORT_ALIAS(fts_read, fts64_read)
EXPORT_ALIAS(fts_children, fts64_children)
EXPORT_ALIAS(fts_close, fts64_close)
