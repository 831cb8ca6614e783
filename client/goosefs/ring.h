/*
 * ring.h: which workers a block belongs to (spec goosefs 11). A snapshot of the worker list and the hash ring over it.
 *
 * Threads: a ring does not change once made, but for the numbers of ring_renew(); it is shared by reference.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_RING_H
#define SLIPSTREAM_CLIENT_GOOSEFS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gfs_worker_list;

struct ring_worker {
	int64_t id; /* the list index where the worker has none */
	bool has_id;
	char *host;    /* "" when its address is unknown, or none: never chosen */
	char *address; /* "host:port", what is dialled and what failures are remembered by */
	bool forbid_write;
	uint32_t nodes;                            /* places on the ring */
	int64_t capacity_bytes, unpersisted_bytes; /* atomic: as told last */
};

struct ring {
	unsigned refs;               /* atomic */
	struct ring_worker *workers; /* in list order */
	unsigned nworkers;
	struct ring_node {
		int64_t key;
		uint32_t worker; /* index */
	} * nodes;               /* by key */
	size_t nnodes;
};

/* Is this worker out of the question at the moment? */
typedef bool ring_skip_fn(void *context, const struct ring_worker *);

int64_t ring_hash(int64_t key, int32_t index); /* murmur3 x64 128, first half (11.1) */

int ring_new(const struct gfs_worker_list *, struct ring **out); /* -EPROTO: absurdly many; -ENOMEM */
struct ring *ring_get(struct ring *);
void ring_put(struct ring *);

/* The same workers in the same places? Order does not matter. */
bool ring_same(const struct ring *, const struct ring *);

/* What changes all the time, of the same workers: how full they are. */
void ring_renew(struct ring *, const struct ring *from);

const struct ring_worker *ring_worker_by_id(const struct ring *, int64_t id); /* NULL */

/*
 * select_n of 11.4: up to n workers for a block, in order, skip()ped ones and second workers of one host left out;
 * if nothing is left, once more without skip(). skip may be NULL. Returns how many; 0 when there is no worker at all.
 */
unsigned ring_select(const struct ring *, int64_t block, unsigned n, ring_skip_fn *skip, void *context,
		     const struct ring_worker **out);

#endif
