/* walk.h: from a path to the place it names. For tree.c; threads as there. */
#ifndef SLIPSTREAM_SERVER_WALK_H
#define SLIPSTREAM_SERVER_WALK_H

#include "tools/server/tree.h"

/* How far a path leads: to the first component that is missing, or that is in the way, or to its end. */
struct walk {
	const char *path;
	size_t path_bytes;    /* without a slash at the end */
	int64_t parent;       /* where the component was looked for */
	const char *name;     /* the component, inside path */
	size_t name_bytes;    /* 0: the root */
	int64_t id;           /* what it is; 0: nothing there */
	enum inode_type type; /* of it */
	bool last;            /* it is the path's last component */
	bool crossed;         /* the walk went through the inode it was to avoid */
};

/* Only a bad path and a broken database are errors. avoid: an inode id to watch for, or 0. */
int walk_path(struct store *, const char *path, int64_t avoid, struct walk *, struct fault *);
/* Go on from a missing component that has been made since, as directory id. */
int walk_on(struct store *, struct walk *, int64_t id, int64_t avoid, struct fault *);

/* True when the walk ended at an inode. */
bool walk_found(const struct walk *);
/* NOT_FOUND, in words that tell a missing component from one that is not a directory. */
int walk_missing(const struct walk *, struct fault *);
/* Why nothing can be made there: NOT_FOUND for a missing parent, FAILED_PRECONDITION for one that is not a directory.
 */
int walk_no_parent(const struct walk *, struct fault *);

#endif
