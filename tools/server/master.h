/*
 * master.h: the master role: the namespace, where blocks are, which workers there are (spec goosefs 8, 19.2).
 *
 * master.c: what it answers about itself, and the table of handlers; master_read.c and master_change.c: the rest.
 */
#ifndef SLIPSTREAM_SERVER_MASTER_H
#define SLIPSTREAM_SERVER_MASTER_H

#include "tools/server/faults.h"
#include "tools/server/persist.h"
#include "tools/server/store.h"
#include "tools/server/tree.h"
#include "tools/server/ufs.h"
#include "tools/server/worker.h"
#include "proto/goosefs.h"
#include "proto/rpc.h"

/* The names of a user and a group of the under file system. */
struct known_owner {
	bool valid;
	uid_t uid;
	gid_t gid;
	char owner[64], group[64];
};

struct master {
	struct store store;
	struct ufs ufs;
	struct faults faults;
	struct persist persist;
	struct worker workers[MAX_WORKERS];
	int nworkers;
	const char *root;         /* the directory, for its space */
	int64_t block_size;       /* of every new file; 0: as the client asks */
	int64_t persist_delay_ms; /* nothing is persisted earlier after it was asked for */
	char owner[64];           /* of what an unnamed client makes */
	char group[64];
	atomic_bool reserve_spent;      /* see reserve.h */
	struct known_owner known_owner; /* guarded by the store's lock */
	struct rpc_server *server;
};

/* What a master answers; the context is its struct master. */
extern const struct rpc_handler master_handlers[];

/* Remove the blocks of what was removed, after the commit, and the list. The store need not be locked. */
void master_collect(struct master *, struct garbage *);

/* ---- between the files of the master ------------------------------------------------------------------------------ */

int master_get_status(void *, struct rpc_call *, const void *, void *);
int master_list_status(void *, struct rpc_call *, const void *);
int master_get_link_target(void *, struct rpc_call *, const void *, void *);

int master_create_file(void *, struct rpc_call *, const void *, void *);
int master_complete_file(void *, struct rpc_call *, const void *, void *);
int master_commit_location(void *, struct rpc_call *, const void *, void *);
int master_remove_blocks(void *, struct rpc_call *, const void *, void *);
int master_remove(void *, struct rpc_call *, const void *, void *);
int master_rename(void *, struct rpc_call *, const void *, void *);
int master_create_directory(void *, struct rpc_call *, const void *, void *);
int master_set_attribute(void *, struct rpc_call *, const void *, void *);
int master_create_symlink(void *, struct rpc_call *, const void *, void *);
int master_schedule_persist(void *, struct rpc_call *, const void *, void *);

/* End a call as a fault says. */
int master_fail(struct rpc_call *, const struct fault *);
/* FileInfo with locations, of an inode that lives in the call. The store is locked. */
int master_info(struct master *, struct rpc_call *, const struct inode *, const char *path, struct gfs_file_info *,
		struct fault *);
/* path without a slash at its end, living as long as the call; NULL without memory. */
char *master_path(struct rpc_call *, const char *path);

/* ---- info.c: an inode as the protocol tells it -------------------------------------------------------------------- */

/* Memory of a reply. Zeroed; NULL when there is none left. */
struct arena {
	void *(*alloc)(void *from, size_t bytes);
	void *from;
};

#define INFO_PIECES 4 /* at most so many pieces of the arena for one FileInfo */

/*
 * Fill a FileInfo. Its strings point into inode and path, which must live as long; the rest comes from the arena.
 * blocks: what tree_blocks() found, or NULL to leave locations out.
 */
int info_fill(const struct master *, const struct arena *, const struct inode *, const char *path,
	      const struct tree_block *blocks, size_t nblocks, struct gfs_file_info *, struct fault *);
/* True when the file has, or is to have, a copy in the under file system. */
bool inode_in_ufs(const struct inode *);
bool write_type_needs_ufs(int write_type);

#endif
