/*
 * replica_set.h: the workers that are to have a block, and a stream to each (spec goosefs 10.5).
 *
 * A block may be begun again, any number of times until it is closed well: whoever closed it well keeps it, and need not get it
 * again; whoever failed it is passed over.
 * Threads: one at a time.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_REPLICA_SET_H
#define SLIPSTREAM_CLIENT_GOOSEFS_REPLICA_SET_H

#include "client/goosefs/write_stream.h"

enum { REPLICAS_MAX = 8, AVOIDED_MAX = 16 };

struct replica_plan {
	bool durable;    /* ASYNC_THROUGH: the copies are all there is until the file is persisted */
	unsigned wanted; /* fewer if there are fewer workers */
	unsigned needed; /* else the block is not written */
};

/* -EINVAL: more are needed than wanted; error_noted() names the settings. */
int replica_plan_make(const struct config *, int write_type, struct replica_plan *out);

/* Has a worker with so much in it room for blocks that are not persisted yet? */
bool replica_fits(const struct config *, int64_t capacity_bytes, int64_t unpersisted_bytes);

struct replica_set {
	struct backend *backend; /* not ours; outlives us */
	struct replica_plan plan;
	struct ring *ring; /* NULL before the first block */

	struct write_stream open[REPLICAS_MAX];
	unsigned nopen;
	struct replica { /* has closed this block well */
		int64_t id;
		bool has_id;
	} done[REPLICAS_MAX];
	unsigned ndone;
	const struct ring_worker *avoided[AVOIDED_MAX]; /* of ring; failed this block, though perhaps not as machines */
	unsigned navoided;
	unsigned renewals; /* expired sessions met, that did not count against their workers */
	bool too_few;      /* the last opening found workers, but fewer than are needed */
};

void replica_set_init(struct replica_set *, struct backend *, const struct replica_plan *);
void replica_set_release(struct replica_set *);

struct replica_block {
	int64_t id, number; /* its place in the file */
	int64_t size;       /* what to reserve */
};

/* Streams to all who are to get it. "Open" says nothing of what the workers think of it: that shows later. */
int replica_set_open(struct replica_set *, const struct replica_block *);
int replica_set_chunk(struct replica_set *, const void *data, size_t n);
int replica_set_close(struct replica_set *, int64_t bytes, bool last);
void replica_set_drop(struct replica_set *); /* the streams */

/* After a good close: ids of the workers that have it; how many. Then next(). */
unsigned replica_set_ids(const struct replica_set *, int64_t out[REPLICAS_MAX]);
void replica_set_next(struct replica_set *);

#endif
