/*
 * behind.h: what of a file was sent while it is still being written.
 *
 * Whole parts, from the first on, with a hash of each. That a part is not written again afterwards nobody knows: upload.c
 * compares them all when nobody writes any more.
 */
#ifndef SLIPSTREAM_CLIENT_BEHIND_H
#define SLIPSTREAM_CLIENT_BEHIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENT_PART (1u << 20) /* bytes */

struct keeper;
struct inode;

struct sent {
	int64_t bytes;
	struct sent_hash {
		uint64_t low, high;
	} * hash; /* of each part */
	size_t room;

	bool running, stop; /* the thread; while it is there, the inode's writer is its own */
	bool failed;        /* what was sent is of no use */
	int64_t hole;       /* there is none before */
	uint64_t id;        /* of the replacement that it went to; 0: to the reserved file */
	int64_t look_ms;    /* when to look how long the file is; 0: never */
	unsigned looks;
};

bool sent_same(const struct sent *, int64_t off, const void *part); /* as it was when it was sent */
void sent_forget(struct sent *);

/* All of these with the keeper's lock held. */

void behind_expect(struct keeper *, struct inode *); /* it begins empty, and somebody writes it */
/* From time to time. Milliseconds until it wants to be called again; -1: need not be. */
int64_t behind_tick(struct keeper *, struct inode *, int64_t now_ms);
/* The lock is let go meanwhile, for as long as one part takes. Then the inode's writer is the caller's. */
void behind_stop(struct keeper *, struct inode *);

#endif
