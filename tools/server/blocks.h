/*
 * blocks.h: one worker's blocks, as files.
 *
 *	ROOT/blocks/WORKER/XX/ID    committed, mode 0444, never changed again; XX are bits of the id
 *	ROOT/blocks/WORKER/tmp/...  being written; what a crash leaves there is deleted at the next start
 *
 * A commit is one rename, without fsync: like the metadata it outlives the process, not a power loss.
 *
 * Threads: every function may be called from any thread; a block_writer belongs to one.
 */
#ifndef SLIPSTREAM_SERVER_BLOCKS_H
#define SLIPSTREAM_SERVER_BLOCKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BLOCK_PATH_MAX 4200

struct blocks {
	int dir_fd;      /* ROOT/blocks/WORKER */
	char path[4096]; /* the same, absolute */

	pthread_mutex_t lock;     /* guards the rest */
	struct block_lock *locks; /* blocks somebody knows the path of */
};

/* Open or make the directory of a worker, and delete what was never committed. 0 or -errno. */
int blocks_open(struct blocks *, const char *root, int worker);
void blocks_close(struct blocks *);

bool blocks_has(const struct blocks *, int64_t id, int64_t *bytes);
/* Where a block is, absolute. */
void blocks_path(const struct blocks *, int64_t id, char out[BLOCK_PATH_MAX]);
/* A descriptor of a committed block, or -errno: -ENOENT. Its bytes stay readable when the block is removed. */
int blocks_read(const struct blocks *, int64_t id, int64_t *bytes);
/* Keep the file of a block under its name until blocks_unlock(), removed or not. 0, -ENOENT, -ENOMEM. */
int blocks_lock(struct blocks *, int64_t id, int64_t *bytes);
void blocks_unlock(struct blocks *, int64_t id);
/* Absent is fine. 0 or -errno. */
int blocks_remove(struct blocks *, int64_t id);
/* Every committed block; each() may remove it, and ends the walk by returning other than 0. */
int blocks_each(const struct blocks *, int (*each)(void *context, int64_t id, int64_t bytes), void *context);

struct block_writer {
	const struct blocks *blocks;
	int64_t id;
	int fd;        /* -1: done with */
	int64_t bytes; /* written so far */
	char name[64]; /* of the temporary file */
};

int block_writer_open(const struct blocks *, int64_t id, struct block_writer *);
/* All of it or -errno (-ENOSPC). */
int block_writer_append(struct block_writer *, const struct iovec *parts, unsigned nparts);
/* 0, -EEXIST (somebody else has committed this block) or -errno; the writer is done with either way. */
int block_writer_commit(struct block_writer *);
/* Throw it away; nothing after a commit. */
void block_writer_discard(struct block_writer *);

#endif
