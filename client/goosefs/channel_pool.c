#include "client/goosefs/channel_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct channel_slot {
	pthread_mutex_t lock;
	struct rpc_channel *channel; /* NULL: connect on the next use */
	uint64_t generation;
};

struct channel_pool {
	connect_fn *connect;
	void *context;
	atomic_uint turn;
	unsigned n;
	struct channel_slot slots[];
};

static atomic_ullong generations; /* process-wide; the first is 1 */

int channel_pool_new(unsigned n, connect_fn *connect, void *context, struct channel_pool **out)
{
	struct channel_pool *pool = calloc(1, sizeof *pool + n * sizeof *pool->slots);

	if (!pool)
		return -ENOMEM;
	pool->connect = connect;
	pool->context = context;
	pool->n = n;
	for (unsigned i = 0; i < n; i++)
		pthread_mutex_init(&pool->slots[i].lock, NULL);
	*out = pool;
	return 0;
}

void channel_pool_free(struct channel_pool *pool)
{
	if (!pool)
		return;
	for (unsigned i = 0; i < pool->n; i++) {
		if (pool->slots[i].channel)
			rpc_channel_put(pool->slots[i].channel);
		pthread_mutex_destroy(&pool->slots[i].lock);
	}
	free(pool);
}

/* Calls in flight on the old channel hold references of their own, so it may go now. */
static void slot_drop(struct channel_slot *slot)
{
	if (slot->channel)
		rpc_channel_put(slot->channel);
	slot->channel = NULL;
}

int channel_pool_get(struct channel_pool *pool, struct lease *out, struct rpc_error *error)
{
	struct channel_slot *slot = &pool->slots[atomic_fetch_add(&pool->turn, 1) % pool->n];
	int rc = 0;

	memset(error, 0, sizeof *error);
	pthread_mutex_lock(&slot->lock);
	if (slot->channel && rpc_channel_dead(slot->channel))
		slot_drop(slot);
	if (!slot->channel) {
		rc = pool->connect(pool->context, &slot->channel, error);
		if (rc)
			slot->channel = NULL;
		else
			slot->generation = atomic_fetch_add(&generations, 1) + 1;
	}
	if (!rc)
		*out = (struct lease){rpc_channel_get(slot->channel), slot->generation};
	pthread_mutex_unlock(&slot->lock);
	return rc;
}

void lease_put(struct lease *lease)
{
	if (lease->channel)
		rpc_channel_put(lease->channel);
	lease->channel = NULL;
}

void channel_pool_spoil(struct channel_pool *pool, uint64_t generation)
{
	for (unsigned i = 0; i < pool->n; i++) {
		struct channel_slot *slot = &pool->slots[i];

		pthread_mutex_lock(&slot->lock);
		if (slot->generation == generation)
			slot_drop(slot);
		pthread_mutex_unlock(&slot->lock);
	}
}
