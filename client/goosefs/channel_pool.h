/*
 * channel_pool.h: a few channels to one peer, made on first use and replaced when they die.
 *
 * Every channel that is made has a generation of its own. Who fails on a channel says so by that number, and only if
 * the slot still holds it is a new one made: of many callers that fail at once, one reconnects and the others get its
 * channel (spec goosefs 4.5).
 *
 * Threads: any. Locks: one per slot, held while connecting; nothing else is taken under it but what connect() takes.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_CHANNEL_POOL_H
#define SLIPSTREAM_CLIENT_GOOSEFS_CHANNEL_POOL_H

#include "proto/rpc.h"

struct channel_pool;

/* One channel, and a reference on it. */
struct lease {
	struct rpc_channel *channel;
	uint64_t generation;
};

typedef int connect_fn(void *context, struct rpc_channel **out, struct rpc_error *);

int channel_pool_new(unsigned n, connect_fn *connect, void *context, struct channel_pool **out); /* -ENOMEM */
void channel_pool_free(struct channel_pool *);

/* The next channel in turn. Errors are connect()'s, a timeout again at once for a second; error is filled then. Give back with lease_put(). */
int channel_pool_get(struct channel_pool *, struct lease *out, struct rpc_error *error);
void lease_put(struct lease *);

/* The channel of this generation is no good: its slot connects anew when its turn comes. */
void channel_pool_spoil(struct channel_pool *, uint64_t generation);

#endif
