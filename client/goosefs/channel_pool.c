#include "client/goosefs/channel_pool.h"
#include "client/goosefs/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SILENT_MS 1000 /* so long a peer that did not answer is not asked again */

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

	pthread_mutex_t lock; /* guards the next two; a slot's may be held when it is taken */
	int64_t silent_until_ms;
	struct rpc_error silence;

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
	pthread_mutex_init(&pool->lock, NULL);
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
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* Did somebody wait in vain just now? Whoever queued up behind him has waited as long, and shares the answer. */
static bool pool_silent(struct channel_pool *pool, struct rpc_error *error)
{
	bool silent;

	pthread_mutex_lock(&pool->lock);
	silent = now_ms() < pool->silent_until_ms;
	if (silent)
		*error = pool->silence;
	pthread_mutex_unlock(&pool->lock);
	return silent;
}

static void pool_note_silence(struct channel_pool *pool, const struct rpc_error *error)
{
	pthread_mutex_lock(&pool->lock);
	pool->silence = *error;
	pool->silent_until_ms = now_ms() + SILENT_MS;
	pthread_mutex_unlock(&pool->lock);
}

static int slot_connect(struct channel_pool *pool, struct channel_slot *slot, struct rpc_error *error)
{
	int rc;

	if (pool_silent(pool, error))
		return -ETIMEDOUT;
	rc = pool->connect(pool->context, &slot->channel, error);
	if (rc == -ETIMEDOUT)
		pool_note_silence(pool, error);
	if (rc)
		slot->channel = NULL;
	else
		slot->generation = atomic_fetch_add(&generations, 1) + 1;
	return rc;
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
	if (!slot->channel)
		rc = slot_connect(pool, slot, error);
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
