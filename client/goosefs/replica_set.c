#include "client/goosefs/replica_set.h"
#include "client/goosefs/clock.h"
#include "client/log.h"

#include <errno.h>
#include <string.h>

#define MILLION 1000000

/* ---- plans ------------------------------------------------------------------------------------------------------- */

int replica_plan_make(const struct config *config, int write_type, struct replica_plan *out)
{
	unsigned copies = (unsigned)config_u64(config, CONFIG_REPLICATION);
	unsigned durable = (unsigned)config_u64(config, CONFIG_REPLICATION_DURABLE);

	*out = (struct replica_plan){.wanted = copies, .needed = 1};
	if (write_type != GFS_ASYNC_THROUGH)
		return 0;
	out->durable = true;
	out->wanted = durable > copies ? durable : copies;
	out->needed = (unsigned)config_u64(config, CONFIG_REPLICATION_DURABLE_MIN);
	if (out->needed <= out->wanted)
		return 0;
	error_note("%s=%u asks for more copies than %s=%u makes", config_name(CONFIG_REPLICATION_DURABLE_MIN),
		   out->needed, config_name(CONFIG_REPLICATION_DURABLE), out->wanted);
	log_error("%s", error_noted());
	return -EINVAL;
}

bool replica_fits(const struct config *config, int64_t capacity_bytes, int64_t unpersisted_bytes)
{
	int64_t part = MILLION - config_i64(config, CONFIG_SPACE_READ_RATIO);
	__int128 room = ((__int128)capacity_bytes * part + MILLION - 1) / MILLION, rest = room - unpersisted_bytes;

	return capacity_bytes > 0 && rest >= config_i64(config, CONFIG_SPACE_MIN) &&
	       rest * MILLION >= room * config_i64(config, CONFIG_SPACE_MIN_RATIO);
}

/* ---- choosing workers -------------------------------------------------------------------------------------------- */

static bool among(const struct ring_worker *worker, const struct ring_worker *const *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == worker)
			return true;
	return false;
}

static bool skip(void *context, const struct ring_worker *worker)
{
	const struct replica_set *set = context;

	return worker->forbid_write || among(worker, set->avoided, set->navoided) ||
	       worker_failed(set->backend->workers, worker->address);
}

static bool has_it(const struct replica_set *set, const struct ring_worker *worker)
{
	for (unsigned i = 0; i < set->ndone; i++)
		if (set->done[i].id == worker->id && set->done[i].has_id == worker->has_id)
			return true;
	return false;
}

static bool fits(const struct replica_set *set, const struct ring_worker *worker)
{
	return !set->plan.durable ||
	       replica_fits(set->backend->config, __atomic_load_n(&worker->capacity_bytes, __ATOMIC_RELAXED),
			    __atomic_load_n(&worker->unpersisted_bytes, __ATOMIC_RELAXED));
}

static bool writable(const struct ring_worker *worker)
{
	return *worker->host && !worker->forbid_write;
}

/* The ring of this moment. Who was avoided is forgotten with the old one. */
static int find_workers(struct replica_set *set)
{
	struct ring *ring;
	int rc = workers_ring(set->backend->workers, &ring);

	if (rc)
		return rc;
	if (ring == set->ring) {
		ring_put(ring);
		return 0;
	}
	ring_put(set->ring);
	set->ring = ring;
	set->navoided = 0;
	return 0;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

/* Not this one again, for this block. Keeps rc. */
static int blame(struct replica_set *set, const struct write_stream *s, int rc)
{
	if (s->expired && set->renewals++ < AVOIDED_MAX)
		return rc;
	if (set->navoided < AVOIDED_MAX && !among(s->worker, set->avoided, set->navoided))
		set->avoided[set->navoided++] = s->worker;
	return rc;
}

static int open_one(struct replica_set *set, const struct replica_block *block, const struct ring_worker *worker)
{
	struct gfs_write_command command = {
		.type = GFS_BLOCK,
		.id = block->id,
		.space_to_reserve = block->size,
		.async_write = set->plan.durable,
	};
	struct write_stream *s = &set->open[set->nopen];
	int rc = write_stream_open(s, set->backend, worker, &command);

	if (rc)
		return blame(set, s, rc);
	set->nopen++;
	return 0;
}

static unsigned count_fitting(const struct replica_set *set, const struct ring_worker *const *list, unsigned n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++)
		count += writable(list[i]) && fits(set, list[i]);
	return count;
}

static unsigned have(const struct replica_set *set)
{
	return set->nopen + set->ndone;
}

/*
 * In the order of the ring; if that does not do, whoever is left, failed or not, as long as one answer may take. A file that
 * was begun goes on even where there is little room.
 */
static int open_some(struct replica_set *set, const struct replica_block *block)
{
	unsigned width = (unsigned)config_u64(set->backend->config, CONFIG_WRITE_RETRY), wanted = set->plan.wanted;
	const struct ring_worker *chosen[CANDIDATES_MAX];
	unsigned n = ring_select(set->ring, block->id, width > wanted ? width : wanted, skip, set, chosen);
	bool crowded = block->number > 0 && count_fitting(set, chosen, n) < set->plan.needed;
	int64_t deadline = now_ms() + set->backend->rpc_timeout_ms;
	int rc = 0;

	for (unsigned i = 0; i < n + set->ring->nworkers && have(set) < wanted && now_ms() < deadline; i++) {
		const struct ring_worker *worker = i < n ? chosen[i] : &set->ring->workers[i - n];

		if ((i >= n && among(worker, chosen, n)) || !writable(worker) || has_it(set, worker))
			continue;
		if (crowded || fits(set, worker))
			rc = open_one(set, block, worker);
	}
	if (rc || have(set))
		return rc;
	error_note("no worker %s", set->plan.durable ? "has room for what is not persisted" : "takes writes");
	return -EHOSTUNREACH;
}

int replica_set_open(struct replica_set *set, const struct replica_block *block)
{
	int rc;

	replica_set_drop(set);
	set->too_few = false;
	rc = find_workers(set);
	if (rc)
		return rc;
	rc = open_some(set, block);
	if (have(set) >= set->plan.needed)
		return 0;
	if (have(set)) {
		set->too_few = true;
		rc = -EIO;
		error_note("%u of the %u copies that %s asks for can be written", have(set), set->plan.needed,
			   config_name(CONFIG_REPLICATION_DURABLE_MIN));
	}
	replica_set_drop(set);
	set->navoided = 0; /* nobody is left: the next try begins afresh */
	return rc;
}

/* Does the block go on without one of them? Where others have it already, nobody insists on another copy. */
static bool enough(const struct replica_set *set)
{
	return (set->plan.durable || set->ndone) && have(set) >= set->plan.needed;
}

/* One stream less. */
static void lose(struct replica_set *set, unsigned i)
{
	write_stream_drop(&set->open[i]);
	set->nopen--;
	memmove(&set->open[i], &set->open[i + 1], (set->nopen - i) * sizeof set->open[0]);
}

int replica_set_chunk(struct replica_set *set, const void *data, size_t n)
{
	for (unsigned i = 0; i < set->nopen;) {
		int rc = write_stream_chunk(&set->open[i], set->backend, data, n);

		if (!rc) {
			i++;
			continue;
		}
		rc = blame(set, &set->open[i], rc);
		lose(set, i);
		if (!enough(set))
			return rc;
	}
	return 0;
}

/* All are closed, whatever becomes of one: what is done need not be done again. */
int replica_set_close(struct replica_set *set, int64_t bytes, bool last)
{
	bool insist = !set->plan.durable && !set->ndone;
	int rc = 0;

	for (unsigned i = 0; i < set->nopen; i++) {
		struct write_stream *s = &set->open[i];
		bool closed;
		int one = write_stream_end(s, set->backend, bytes, !last, &closed);

		if (one)
			rc = blame(set, s, one);
		else
			set->done[set->ndone++] = (struct replica){s->worker->id, s->worker->has_id};
	}
	replica_set_drop(set);
	return !insist && enough(set) ? 0 : rc;
}

void replica_set_drop(struct replica_set *set)
{
	while (set->nopen)
		write_stream_drop(&set->open[--set->nopen]);
}

unsigned replica_set_ids(const struct replica_set *set, int64_t out[REPLICAS_MAX])
{
	for (unsigned i = 0; i < set->ndone; i++)
		out[i] = set->done[i].has_id ? set->done[i].id : 0;
	return set->ndone;
}

void replica_set_next(struct replica_set *set)
{
	set->ndone = set->navoided = 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void replica_set_init(struct replica_set *set, struct backend *b, const struct replica_plan *plan)
{
	*set = (struct replica_set){.backend = b, .plan = *plan};
}

void replica_set_release(struct replica_set *set)
{
	replica_set_drop(set);
	ring_put(set->ring);
	set->ring = NULL;
}
