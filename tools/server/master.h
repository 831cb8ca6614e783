/*
 * master.h: the master role: the namespace, where blocks are, which workers there are (spec goosefs 8, 19.2).
 */
#ifndef SLIPSTREAM_SERVER_MASTER_H
#define SLIPSTREAM_SERVER_MASTER_H

#include "tools/server/store.h"
#include "tools/server/tree.h"
#include "tools/server/worker.h"
#include "proto/goosefs.h"
#include "proto/rpc.h"

struct master {
	struct store store;
	struct worker workers[MAX_WORKERS];
	int nworkers;
	const char *root;   /* the directory, for its space */
	int64_t block_size; /* of every new file; 0: as the client asks */
	char owner[64];     /* of what an unnamed client makes */
	char group[64];
	struct rpc_server *server;
};

/* What a master answers; the context is its struct master. */
extern const struct rpc_handler master_handlers[];

/* ---- info.c: an inode as the protocol tells it --------------------------------------------------------------------
 */

/* Memory of a reply. Zeroed; NULL when there is none left. */
struct arena {
	void *(*alloc)(void *from, size_t bytes);
	void *from;
};

/*
 * Fill a FileInfo. Its strings point into inode and path, which must live as long; the rest comes from the arena.
 * blocks: what tree_blocks() found, or NULL to leave locations out.
 */
int info_fill(const struct master *, const struct arena *, const struct inode *, const char *path,
	      const struct tree_block *blocks, size_t nblocks, struct gfs_file_info *, struct fault *);

#endif
