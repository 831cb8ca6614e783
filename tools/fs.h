/*
 * fs.h: what the verbs of `slipstream fs` share.
 *
 *   fs.c        the command: the table of verbs, options       fs_list.c  ls, stat, du, count, df
 *   fs_copy.c   cat, head, tail, get, put                      fs_name.c  mkdir, mv, rm, ln, touch, chmod, chown
 */
#ifndef SLIPSTREAM_TOOLS_FS_H
#define SLIPSTREAM_TOOLS_FS_H

#include "client/slipstream.h"

#include <limits.h>
#include <stdbool.h>

struct fs {
	struct slip_client *client;
	const char *verb;
	bool on[128];      /* options given, by their letter; 'R' is also what "-r" means, except to ls */
	const char *lines; /* of -n; NULL: not given */
	const char *bytes; /* of -c */
	int status;        /* 0, or 1 after the first failure */
};

typedef void fs_verb(struct fs *, const char **paths, size_t n);

fs_verb fs_ls, fs_stat, fs_du, fs_count, fs_df;
fs_verb fs_cat, fs_head, fs_tail, fs_get, fs_put;
fs_verb fs_mkdir, fs_mv, fs_rm, fs_ln, fs_touch, fs_chmod, fs_chown;

/* Tell what went wrong, and go on. fs_failed: with the cluster, which may have said more; fs_failed_here: on this machine. */
void fs_failed(struct fs *, const char *what, int rc);
void fs_failed_here(struct fs *, const char *what, int rc);
/* Arguments that cannot be meant: told, and the status is that of a usage error. */
void fs_misused(struct fs *, const char *format, ...) __attribute__((format(printf, 2, 3)));

char *fs_join(const char *dir, const char *name); /* the caller's; ends the program when there is no memory */
const char *fs_base_name(const char *path);
bool fs_is_directory(struct fs *, const char *path);

/* ---- a directory's entries, in the order of their names ----------------------------------------------------------- */

struct entry {
	char *name;
	struct slip_stat st;
};

struct entries {
	struct entry *e;
	size_t n, room;
};

int entries_list(struct fs *, const char *path, struct entries *); /* into an empty one; to be released in every case */
void entries_release(struct entries *);

/* path and, if it is a directory, all below, it first; with after, last. What cannot be listed is told. */
typedef void fs_walk_fn(struct fs *, void *context, const char *path, const struct slip_stat *);
void fs_walk(struct fs *, const char *path, bool after, fs_walk_fn *, void *context);

/*
 * Sources and one target, the last path. into: the target is a directory, so each goes into it under its own name.
 * one() tells of its failures itself.
 */
void fs_each_to(struct fs *, const char **paths, size_t n, bool into,
		void (*one)(struct fs *, const char *from, const char *to));

#endif
