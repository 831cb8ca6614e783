/*
 * ring.c: nodes in one sorted array. 5000 nodes per worker are built in some milliseconds, and only when the list
 * changed.
 */
#include "client/goosefs/ring.h"
#include "client/log.h"
#include "proto/goosefs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NODES_DEFAULT = 5000,
	ATTEMPTS_MAX = 100,
	/* Numbers of a peer, that would be a mistake, and memory, if they were larger. */
	NODES_MAX = 100000,
	RING_NODES_MAX = 1 << 25, /* 512 MiB */
	WORKERS_MAX = 1 << 14,
	HOST_MAX = 255,
};

static uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static uint64_t mix(uint64_t k)
{
	k ^= k >> 33;
	k *= 0xff51afd7ed558ccd;
	k ^= k >> 33;
	k *= 0xc4ceb9fe1a85ec53;
	return k ^ k >> 33;
}

/* Twelve bytes fit in the tail step, so there is no block step. */
int64_t ring_hash(int64_t key, int32_t index)
{
	const uint64_t c1 = 0x87c37b91114253d5, c2 = 0x4cf5ad432745937f;
	uint64_t h1 = rotl((uint64_t)key * c1, 31) * c2;
	uint64_t h2 = rotl((uint64_t)(uint32_t)index * c2, 33) * c1;

	h1 ^= 12;
	h2 ^= 12;
	h1 += h2;
	h2 += h1;
	return (int64_t)(mix(h1) + mix(h2));
}

/* ---- making one ------------------------------------------------------------------------------------------------- */

/* A negative or absurd number of virtual nodes comes from a confused peer (spec goosefs 15.21). */
static uint32_t worker_nodes(const struct gfs_worker *w)
{
	if (!w->has_virtual_nodes || w->virtual_nodes < 0)
		return NODES_DEFAULT;
	return w->virtual_nodes > NODES_MAX ? NODES_MAX : (uint32_t)w->virtual_nodes;
}

/* What is no name of a host would be some other thing to whoever takes the address apart, and to who reads it in a log. */
static bool may_be_host(const char *host)
{
	size_t n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%");

	return !host[n] && n <= HOST_MAX;
}

/* One that nobody can reach gets "" for its host. */
static int worker_copy(const struct gfs_worker *from, unsigned index, struct ring_worker *to)
{
	bool usable = from->host && may_be_host(from->host) && from->rpc_port > 0 && from->rpc_port < 65536;
	const char *host = usable ? from->host : "";
	bool v6 = strchr(host, ':');

	to->id = from->has_id ? from->id : (int64_t)index;
	to->has_id = from->has_id;
	to->capacity_bytes = from->capacity_bytes;
	to->unpersisted_bytes = from->persist_used_bytes;
	to->forbid_write = from->forbid_write;
	to->nodes = worker_nodes(from);
	to->host = strdup(host);
	if (!to->host)
		return -ENOMEM;
	if (asprintf(&to->address, v6 ? "[%s]:%d" : "%s:%d", host, from->rpc_port) < 0) {
		to->address = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct ring_node *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->worker < y->worker ? -1 : x->worker > y->worker;
}

/* Of equal keys the later insertion wins, that is the worker later in the list. */
static void drop_overwritten(struct ring *ring)
{
	size_t kept = 0;

	for (size_t i = 0; i < ring->nnodes; i++)
		if (i + 1 == ring->nnodes || ring->nodes[i].key != ring->nodes[i + 1].key)
			ring->nodes[kept++] = ring->nodes[i];
	ring->nnodes = kept;
}

static int ring_fill(struct ring *ring)
{
	size_t total = 0, at = 0;

	for (unsigned i = 0; i < ring->nworkers; i++)
		total += ring->workers[i].nodes;
	if (total > RING_NODES_MAX) {
		error_note("%u workers with %zu virtual nodes", ring->nworkers, total);
		return -EPROTO;
	}
	ring->nodes = calloc(total ? total : 1, sizeof *ring->nodes);
	if (!ring->nodes)
		return -ENOMEM;
	for (unsigned i = 0; i < ring->nworkers; i++)
		for (uint32_t v = 0; v < ring->workers[i].nodes; v++)
			ring->nodes[at++] = (struct ring_node){ring_hash(ring->workers[i].id, (int32_t)v), i};
	ring->nnodes = total;
	qsort(ring->nodes, total, sizeof *ring->nodes, by_key);
	drop_overwritten(ring);
	return 0;
}

int ring_new(const struct gfs_worker_list *list, struct ring **out)
{
	struct ring *ring;
	int rc = 0;

	if (list->n > WORKERS_MAX) {
		error_note("a cluster of %zu workers", list->n);
		return -EPROTO;
	}
	ring = calloc(1, sizeof *ring);
	if (!ring)
		return -ENOMEM;
	ring->refs = 1;
	ring->workers = calloc(list->n ? list->n : 1, sizeof *ring->workers);
	if (!ring->workers)
		rc = -ENOMEM;
	for (size_t i = 0; !rc && i < list->n; i++) {
		rc = worker_copy(&list->workers[i], (unsigned)i, &ring->workers[i]);
		ring->nworkers = (unsigned)i + 1;
	}
	if (!rc)
		rc = ring_fill(ring);
	if (rc) {
		ring_put(ring);
		return rc;
	}
	*out = ring;
	return 0;
}

struct ring *ring_get(struct ring *ring)
{
	__atomic_fetch_add(&ring->refs, 1, __ATOMIC_RELAXED);
	return ring;
}

void ring_put(struct ring *ring)
{
	if (!ring || __atomic_fetch_sub(&ring->refs, 1, __ATOMIC_ACQ_REL) > 1)
		return;
	for (unsigned i = 0; i < ring->nworkers; i++) {
		free(ring->workers[i].host);
		free(ring->workers[i].address);
	}
	free(ring->workers);
	free(ring->nodes);
	free(ring);
}

/* ---- asking one ------------------------------------------------------------------------------------------------- */

bool ring_same(const struct ring *a, const struct ring *b)
{
	if (a->nworkers != b->nworkers)
		return false;
	for (unsigned i = 0; i < a->nworkers; i++) {
		const struct ring_worker *x = &a->workers[i], *y = ring_worker_by_id(b, x->id);

		if (!y || strcmp(x->address, y->address) || strcmp(x->host, y->host) || x->nodes != y->nodes ||
		    x->forbid_write != y->forbid_write)
			return false;
	}
	return true;
}

void ring_renew(struct ring *ring, const struct ring *from)
{
	for (unsigned i = 0; i < ring->nworkers; i++) {
		struct ring_worker *to = &ring->workers[i];
		const struct ring_worker *w = ring_worker_by_id(from, to->id);

		if (!w)
			continue;
		__atomic_store_n(&to->capacity_bytes, w->capacity_bytes, __ATOMIC_RELAXED);
		__atomic_store_n(&to->unpersisted_bytes, w->unpersisted_bytes, __ATOMIC_RELAXED);
	}
}

const struct ring_worker *ring_worker_by_id(const struct ring *ring, int64_t id)
{
	for (unsigned i = 0; i < ring->nworkers; i++)
		if (ring->workers[i].id == id)
			return &ring->workers[i];
	return NULL;
}

static const struct ring_worker *ring_lookup(const struct ring *ring, int64_t hash)
{
	size_t low = 0, high = ring->nnodes;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ring->nodes[middle].key < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return &ring->workers[ring->nodes[low == ring->nnodes ? 0 : low].worker];
}

static bool chosen_already(const struct ring_worker *w, const struct ring_worker **out, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (out[i] == w || !strcmp(out[i]->host, w->host))
			return true;
	return false;
}

static unsigned select_once(const struct ring *ring, int64_t block, unsigned n, ring_skip_fn *skip, void *context,
			    const struct ring_worker **out)
{
	unsigned found = 0;

	for (int32_t attempt = 0; attempt < ATTEMPTS_MAX && found < n; attempt++) {
		const struct ring_worker *w = ring_lookup(ring, ring_hash(block, attempt));

		if (*w->host && !chosen_already(w, out, found) && !(skip && skip(context, w)))
			out[found++] = w;
	}
	return found;
}

unsigned ring_select(const struct ring *ring, int64_t block, unsigned n, ring_skip_fn *skip, void *context,
		     const struct ring_worker **out)
{
	unsigned found;

	if (!ring->nnodes)
		return 0;
	found = select_once(ring, block, n, skip, context, out);
	if (!found && skip)
		found = select_once(ring, block, n, NULL, NULL, out);
	return found;
}
