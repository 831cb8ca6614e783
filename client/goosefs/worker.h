/*
 * worker.h: the workers of one cluster: who they are, who failed lately, and channels to them.
 *
 * Threads: any.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_WORKER_H
#define SLIPSTREAM_CLIENT_GOOSEFS_WORKER_H

#include "client/goosefs/channel_pool.h"
#include "client/goosefs/master.h"
#include "client/goosefs/ring.h"

struct workers;

int workers_new(const struct config *, struct master *, struct workers **out);
void workers_free(struct workers *);

/*
 * The present ring; put it back with ring_put(). Refreshed when older than 30 s; a refresh that fails, or finds nobody,
 * leaves the old one and is tried again soon. -EHOSTUNREACH: there are no workers. Else what the master said.
 */
int workers_ring(struct workers *, struct ring **out);
void workers_doubt(struct workers *); /* the list let us down: ask again on the next use */

/* Connect errors are remembered, see worker_fail(). Use the lease's generation for worker_spoil(). */
int worker_lease(struct workers *, const char *address, struct lease *out, struct rpc_error *error);
void worker_spoil(struct workers *, const char *address, uint64_t generation);

/* Leave this worker alone for 60 s where there is a choice. Never for a session that expired (spec goosefs 11.5). */
void worker_fail(struct workers *, const char *address);
bool worker_failed(struct workers *, const char *address);

bool worker_is_local(struct workers *, const struct ring_worker *); /* on this host (9.9) */

#endif
