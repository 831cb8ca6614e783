/*
 * file.h: what the master says of a file, as the client sees it: attributes, and where which byte lies.
 *
 * Threads: a layout does not change once made; it is shared by reference.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_FILE_H
#define SLIPSTREAM_CLIENT_GOOSEFS_FILE_H

#include "client/backend.h"
#include "proto/goosefs.h"

#define BLOCK_SIZE_DEFAULT (64LL << 20) /* of a file that names none (spec goosefs 12.1) */
#define BLOCKS_MAX         (1LL << 24)  /* numbers of blocks have 24 bits (7.1) */

struct layout_block {       /* what the master told of one block */
	int64_t id, offset; /* offset in the file */
	int64_t *workers;   /* ids of those who have it */
	size_t nworkers;
};

struct backend_layout {
	unsigned refs; /* atomic */
	int64_t file_id, length, block_size;
	struct layout_block *blocks; /* by offset; may lack some, or all */
	size_t nblocks;
	int64_t *block_ids; /* by number; usually none */
	size_t nblock_ids;

	char *ufs_path; /* "" if the file is in the cache alone */
	int64_t mount_id;
	bool no_cache;
};

/* A run of bytes inside one block. */
struct segment {
	int64_t block_id; /* -1 when the number is beyond all ids */
	int64_t index;    /* block number */
	int64_t offset;   /* within the block */
	int64_t n;
};

void file_stat(const struct gfs_file_info *, struct slip_stat *out);

int layout_new(const struct gfs_file_info *, struct backend_layout **out); /* -ENOMEM, -EPROTO */
struct backend_layout *layout_get(struct backend_layout *);
void layout_put(struct backend_layout *);

/* The first segment of n bytes at off. False when off is at or beyond the end of the file, or n is 0. */
bool layout_segment(const struct backend_layout *, int64_t off, int64_t n, struct segment *out);

/* What the master told of block number index, or NULL. */
const struct layout_block *layout_block(const struct backend_layout *, int64_t index);

/* The options by which a worker may load this block from the underlying store (9.3). */
struct gfs_ufs_options layout_ufs(const struct backend_layout *, int64_t index);

int64_t block_id_of(int64_t file_id, int64_t index); /* 7.1 */

#endif
