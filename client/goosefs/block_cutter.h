/*
 * block_cutter.h: a file's bytes, cut into blocks and chunks (spec goosefs 9.5, 9.6). Knows nothing of a network.
 *
 * Every chunk is exactly chunk_size bytes; a shorter one goes out only as the last of its block. A full block is closed
 * when the next byte arrives, or at the end.
 *
 * A step that fails leaves counts as they were before it: the block may be opened again and its block_bytes be sent
 * once more.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_BLOCK_CUTTER_H
#define SLIPSTREAM_CLIENT_GOOSEFS_BLOCK_CUTTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct block_sink { /* each returns 0 or -errno */
	int (*open)(void *context, int64_t number);
	int (*chunk)(void *context, const void *data, size_t n);
	int (*close)(void *context, bool last);
};

struct block_cutter {
	const struct block_sink *sink;
	void *context;
	size_t chunk_size;
	int64_t block_size;

	int64_t number;      /* of the open block, or of the one to open next */
	int64_t block_bytes; /* accepted for it, the pending ones included */
	bool open;
	unsigned char *pending; /* chunk_size bytes of room, made with the first tail */
	size_t npending;        /* always less than chunk_size */
};

void block_cutter_init(struct block_cutter *, const struct block_sink *, void *context, size_t chunk_size,
		       int64_t block_size);
void block_cutter_release(struct block_cutter *);

/* Take some bytes of buf, up to the end of a block. How many, or -errno. n > 0. */
ssize_t block_cutter_step(struct block_cutter *, const void *buf, size_t n);

/* Close the last block, if one is open. */
int block_cutter_finish(struct block_cutter *);

/* Where the bytes of the present block begin in the file. */
int64_t block_cutter_start(const struct block_cutter *);

/* After a failure: open the block anew, and send again bytes that were accepted before, in order, block_bytes of them
 * in all. */
int block_cutter_reopen(struct block_cutter *);
int block_cutter_again(struct block_cutter *, const void *buf, size_t n);

/* Both, with bytes that refill(context, buf, n, off in the file) gives back. NULL will do if there are none. */
typedef int refill_fn(void *context, void *buf, size_t n, int64_t off);
int block_cutter_replay(struct block_cutter *, refill_fn *refill, void *context);

#endif
