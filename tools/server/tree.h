/*
 * tree.h: the namespace. Files, directories and symbolic links, by parent and name.
 *
 * tree.c: one inode at a time; subtree.c: all below one; walk.c: paths.
 *
 * An inode points to its parent, so a directory of any size is renamed by changing one row.
 * Paths are absolute, without empty, "." and ".." components; a slash at the end is forgiven.
 *
 * Everything returns 0 or a gRPC status code, with the words in *fault; whoever gets a code from a function that
 * changes the tree rolls the transaction back.
 * Threads: with the store locked, and in a transaction where the tree changes.
 */
#ifndef SLIPSTREAM_SERVER_TREE_H
#define SLIPSTREAM_SERVER_TREE_H

#include "tools/server/store.h"

#define TREE_ROOT       FILE_ID(1)
#define TREE_NAME_MAX   255
#define TREE_LINK_MAX   4095
#define TREE_MAX_LINKS  40
#define TREE_MAX_BLOCKS (1 << 20) /* of one file: 64 TiB of 64 MiB blocks, and a reply that still fits a message */

enum inode_type { INODE_FILE = 0, INODE_DIR = 1, INODE_LINK = 2 };

enum ufs_state { UFS_ABSENT = 0, UFS_DUE = 1, UFS_PERSISTED = 2 };

struct inode {
	int64_t id, parent;
	enum inode_type type;
	int mode; /* nine bits */
	int64_t created_ms, modified_ms, accessed_ms;
	bool completed;
	int64_t length, block_size;
	int write_type;
	bool has_crc;
	int crc_type;
	int64_t crc_value;
	enum ufs_state ufs; /* UFS_DUE: to be persisted */
	int64_t ufs_stamp;  /* of the copy there, when we last knew it */
	bool loaded;        /* a directory whose children were imported once */
	char name[TREE_NAME_MAX + 1];
	char owner[TREE_NAME_MAX + 1];
	char group[TREE_NAME_MAX + 1];
	char target[TREE_LINK_MAX + 1]; /* of a link */
};

/* Blocks of removed files: their bytes go when the transaction is through. */
struct garbage {
	struct garbage_block {
		int64_t id;
		int worker;
	} * blocks;
	size_t n, room;
};
void garbage_release(struct garbage *);

/* Make the root directory if the store is new. */
int tree_init(struct store *, const char *owner, const char *group, struct fault *);

int tree_lookup(struct store *, const char *path, struct inode *, struct fault *);
int tree_get(struct store *, int64_t id, struct inode *, struct fault *);
/* As tree_lookup, but a link at the end is followed; path becomes what it led to (malloc'ed, the caller's). */
int tree_resolve(struct store *, const char *path, char **resolved, struct inode *, struct fault *);
/* Up to max children whose names come after a name, in order. */
int tree_children(struct store *, int64_t parent, const char *after, struct inode *out, size_t max, size_t *n,
		  struct fault *);

/* The path of an inode. */
int tree_path(struct store *, int64_t id, char *out, size_t size, struct fault *);

struct tree_new {
	const char *path;
	enum inode_type type;
	const char *owner, *group;
	int mode;
	int64_t block_size; /* of a file */
	int write_type;
	const char *target;  /* of a link */
	bool make_parents;   /* as directories of mode 0755 */
	bool exists_is_fine; /* for a directory that is there already */
};
int tree_create(struct store *, const struct tree_new *, int64_t *id, struct fault *);
int tree_rename(struct store *, const char *from, const char *to, struct fault *);
/* A directory's content changes now. */
int tree_touch(struct store *, int64_t dir, struct fault *);
int tree_remove(struct store *, const char *path, bool recursive, struct garbage *, struct fault *);

struct tree_attributes {
	const char *owner, *group; /* NULL or "": leave */
	int mode;                  /* -1: leave */
	bool recursive;
};
int tree_set_attributes(struct store *, const char *path, const struct tree_attributes *, struct fault *);

struct tree_completion {
	const char *path;
	int64_t inode_id; /* 0: the path decides; else it does, wherever the file is now */
	int64_t length;   /* -1: the sum of its committed blocks */
	bool has_crc;
	int crc_type;
	int64_t crc_value;
};
/* *inode becomes what it is then. */
int tree_complete(struct store *, const struct tree_completion *, struct inode *, struct fault *);
/* The inode with this id, else at this path. */
int tree_find(struct store *, const char *path, int64_t id, struct inode *, struct fault *);

/* ---- the under file system ------------------------------------------------------------------------------------- */

struct tree_import {
	int64_t length, modified_ms, stamp;
};
/* Make an inode complete and persisted, as it was found there. */
int tree_imported(struct store *, int64_t id, const struct tree_import *, struct fault *);
/* Its content there has changed: the blocks go. */
int tree_refreshed(struct store *, int64_t id, const struct tree_import *, struct garbage *, struct fault *);
int tree_loaded(struct store *, int64_t dir, struct fault *);
/* Persisted now, its parents with it. */
int tree_persisted(struct store *, int64_t id, int64_t stamp, struct fault *);
/* To be persisted at this time; < 0: never. */
int tree_persist_at(struct store *, int64_t id, int64_t due_ms, struct fault *);
/* Every complete file at or below an inode that is not persisted is to be. */
int tree_persist_all_at(struct store *, int64_t id, int64_t due_ms, struct fault *);
/* The first that is due, ever. NOT_FOUND when there is none. */
int tree_persist_next(struct store *, int64_t *id, int64_t *due_ms, struct fault *);
/* True when a name is known in a directory. */
bool tree_has_child(struct store *, int64_t dir, const char *name, int64_t *id);
/* Milliseconds since the epoch. */
int64_t tree_now_ms(void);

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

/* A worker has committed a block. NOT_FOUND: its file was removed meanwhile. One statement, outside a transaction. */
int tree_block_committed(struct store *, int64_t block, int worker, int64_t length, struct fault *);
int tree_block_remove(struct store *, int64_t block, struct garbage *, struct fault *);

struct tree_block {
	int64_t id, length;
	int worker;
};
/* Committed copies of a file's blocks by id, then worker; *out is malloc'ed. */
int tree_blocks(struct store *, int64_t file, struct tree_block **out, size_t *n, struct fault *);

#endif
