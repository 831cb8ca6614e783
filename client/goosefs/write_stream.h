/*
 * write_stream.h: one WriteBlock stream to one worker (spec goosefs 9.4): a copy of a block, or a file on its way to the
 * under file system.
 *
 * What fails is told in the log and to error_note(), and remembered of the worker and its channels, here.
 * Threads: one at a time.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_WRITE_STREAM_H
#define SLIPSTREAM_CLIENT_GOOSEFS_WRITE_STREAM_H

#include "client/goosefs/goosefs.h"

struct write_stream {
	struct rpc_stream *rpc;           /* NULL: not open */
	const struct ring_worker *worker; /* of a ring that outlives it */
	uint64_t generation;              /* of its channel */
	bool expired;                     /* what failed last was the session, not the worker */
};

/* Begin with this message. Does not wait for the worker. */
int write_stream_open(struct write_stream *, struct backend *, const struct ring_worker *,
		      const struct gfs_write_command *first);
int write_stream_chunk(struct write_stream *, struct backend *, const void *data, size_t n);
/*
 * The end: the worker commits what it has. bytes: what was sent; with flush it must say that it has got so many, before.
 * After an error it may have committed or not, unless *closed is false: then it has not.
 */
int write_stream_end(struct write_stream *, struct backend *, int64_t bytes, bool flush, bool *closed);
void write_stream_drop(struct write_stream *); /* nothing is committed, unless it was ended. Any number of times */

#endif
