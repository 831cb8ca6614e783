/*
 * load.h: from the under file system into the tree (spec goosefs 8.1, 8.2).
 *
 * Whoever looks for a name that the tree does not have may find it there: then it becomes an inode, complete and
 * persisted, with its missing parents. Under load type ALWAYS a persisted file whose copy has changed since gets the
 * new length and loses its blocks. A copy that is gone changes nothing: what is cached may be all that is left.
 *
 * Threads: any. "Locked" means: the store is locked and in a transaction.
 */
#ifndef SLIPSTREAM_SERVER_LOAD_H
#define SLIPSTREAM_SERVER_LOAD_H

#include "tools/server/master.h"

/* Import what is missing of a path, as far as it is there. 0 also when nothing is. */
int load_path(struct master *, const char *path, bool always, struct fault *);
int load_path_locked(struct master *, const char *path, struct fault *);
/* Import a directory's children. Errors are logged: a listing of what we know is better than none. */
void load_children(struct master *, const char *path, int64_t dir, bool always);
/* 1 when the under file system has something at or below this directory that the tree does not know; 0; -errno. Locked. */
int load_compare(struct master *, const char *path, int64_t dir);

#endif
