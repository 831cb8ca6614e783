/*
 * master.c: the retry loop, and finding the primary among several masters (spec goosefs 5).
 *
 * A channel is made by asking who is primary and connecting there, so a failover needs no code of its own: the call
 * that fails spoils its channel, and the next attempt connects to whoever leads now.
 */
#include "client/goosefs/master.h"
#include "client/goosefs/channel_pool.h"
#include "client/goosefs/clock.h"
#include "client/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
	ATTEMPTS = 3,
	META_MASTER_CLIENT_SERVICE = 7,
	ADDRESSES_MAX = 16,
	POLL_MAX_MS = 120000, /* how long to look for a primary */
	POLL_SLEEP_MIN_MS = 50,
	POLL_SLEEP_MAX_MS = 3000,
};

struct master {
	struct rpc_channel_options options;
	int64_t sync_interval_ms;
	char *list; /* the addresses, cut in place */
	const char *addresses[ADDRESSES_MAX];
	unsigned naddresses;
	struct channel_pool *pool;
};

/* ---- who is primary --------------------------------------------------------------------------------------------- */

enum ping { PING_PRIMARY, PING_NEXT, PING_FATAL };

static enum ping ping_class(int rc, const struct rpc_error *error)
{
	if (!rc)
		return PING_PRIMARY;
	switch (error->code) {
	case RPC_NOT_FOUND: /* a standby */
	case RPC_UNAVAILABLE:
	case RPC_DEADLINE_EXCEEDED:
	case RPC_CANCELLED:
	case -1:
	case RPC_OK: /* no status came: nobody there */
		return PING_NEXT;
	default:
		return PING_FATAL;
	}
}

/* On a connection of its own, without a handshake. */
static enum ping master_ping(const struct master *m, const char *address, struct rpc_error *error)
{
	struct rpc_channel_options options = m->options;
	struct gfs_get_version request = {.service_type = META_MASTER_CLIENT_SERVICE};
	struct gfs_version reply;
	struct rpc_channel *channel;
	int rc;

	options.auth = RPC_AUTH_NOSASL;
	memset(error, 0, sizeof *error);
	rc = rpc_channel_new(address, &options, &channel, error);
	if (rc)
		return PING_NEXT;
	rc = rpc_unary(channel, RPC_GET_VERSION, &request, &reply, error);
	if (!rc)
		rpc_release(&reply);
	rpc_channel_put(channel);
	return ping_class(rc, error);
}

/* One round over all addresses in their order. NULL: no primary among them. */
static const char *poll_round(const struct master *m, struct rpc_error *error)
{
	for (unsigned i = 0; i < m->naddresses; i++) {
		enum ping answer = master_ping(m, m->addresses[i], error);

		if (answer == PING_PRIMARY)
			return m->addresses[i];
		log_debug("master %s is not primary: %s", m->addresses[i], error->message);
		if (answer == PING_FATAL)
			break;
	}
	return NULL;
}

static void sleep_ms(int64_t ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static int find_primary(const struct master *m, const char **out, struct rpc_error *error)
{
	unsigned budget = m->options.rpc_timeout_ms < POLL_MAX_MS ? m->options.rpc_timeout_ms : POLL_MAX_MS;
	int64_t deadline = now_ms() + budget, pause = POLL_SLEEP_MIN_MS;

	if (m->naddresses == 1) {
		*out = m->addresses[0];
		return 0;
	}
	for (;;) {
		*out = poll_round(m, error);
		if (*out)
			return 0;
		if (now_ms() + pause >= deadline)
			break;
		sleep_ms(pause + (int64_t)(op_id_new().most & 0xff) * pause / 2560); /* up to a tenth more */
		pause = pause * 2 < POLL_SLEEP_MAX_MS ? pause * 2 : POLL_SLEEP_MAX_MS;
	}
	if (!*error->message)
		snprintf(error->message, sizeof error->message, "none of %u masters is primary", m->naddresses);
	return -ETIMEDOUT;
}

static int master_connect(void *context, struct rpc_channel **out, struct rpc_error *error)
{
	const struct master *m = context;
	const char *address;
	int rc = find_primary(m, &address, error);

	if (rc)
		return rc;
	rc = rpc_channel_new(address, &m->options, out, error);
	if (rc) {
		log_note("master %s: cannot connect: %s", address, *error->message ? error->message : strerror(-rc));
		if (!*error->message)
			snprintf(error->message, sizeof error->message, "master %s: %s", address, strerror(-rc));
	}
	return rc;
}

/* ---- calls ----------------------------------------------------------------------------------------------------------
 */

struct call {
	enum rpc_id id;
	const void *request;
	void *reply; /* unary */
	int (*each)(void *context, const void *reply);
	void (*restart)(void *context);
	void *context;
};

static int call_make(const struct call *call, struct rpc_channel *channel, struct rpc_error *error)
{
	if (!call->each)
		return rpc_unary(channel, call->id, call->request, call->reply, error);
	call->restart(call->context);
	return rpc_collect(channel, call->id, call->request, call->each, call->context, error);
}

/* Has waiting longer a point? A connection that timed out has had its time already. */
static bool call_again(int rc, const struct rpc_error *error, bool connected)
{
	return connected ? error->retriable : rc == -EHOSTUNREACH || error->unauthenticated;
}

static int master_try(struct master *m, const struct call *call, struct rpc_error *error, bool *again)
{
	struct lease lease;
	int rc = channel_pool_get(m->pool, &lease, error);

	if (rc) {
		*again = call_again(rc, error, false);
		return rc;
	}
	memset(error, 0, sizeof *error);
	rc = call_make(call, lease.channel, error);
	*again = rc && call_again(rc, error, true);
	if (*again)
		channel_pool_spoil(m->pool, lease.generation);
	lease_put(&lease);
	return rc;
}

static int master_make(struct master *m, const struct call *call)
{
	int64_t deadline = now_ms() + m->options.rpc_timeout_ms;
	struct rpc_error error;
	bool again = true, repeated = false;
	int rc = 0;

	for (unsigned attempt = 0; attempt < ATTEMPTS && again; attempt++) {
		rc = master_try(m, call, &error, &again);
		again &= now_ms() < deadline; /* all attempts together: nobody waits three times the longest wait */
		if (rc && again) {
			log_note("master: rpc %d: attempt %u: %s", call->id, attempt + 1, error.message);
			repeated = true;
		}
	}
	if (!rc)
		return 0;
	/* An earlier attempt may have done it, and only its answer was lost (spec goosefs 6.3). */
	if (repeated && call->id == RPC_REMOVE && rc == -ENOENT)
		return 0;
	error_note("%s", *error.message ? error.message : strerror(-rc));
	return rc;
}

int master_call(struct master *m, enum rpc_id id, const void *request, void *reply)
{
	return master_make(m, &(struct call){.id = id, .request = request, .reply = reply});
}

int master_collect(struct master *m, enum rpc_id id, const void *request, int (*each)(void *context, const void *reply),
		   void (*restart)(void *context), void *context)
{
	struct call call = {.id = id, .request = request, .each = each, .restart = restart, .context = context};

	return master_make(m, &call);
}

/* ---- what requests carry ------------------------------------------------------------------------------------------
 */

static int64_t be64(const unsigned char *p)
{
	uint64_t x = 0;

	for (unsigned i = 0; i < 8; i++)
		x = x << 8 | p[i];
	return (int64_t)x;
}

struct gfs_op_id op_id_from_bytes(const unsigned char bytes[16])
{
	return (struct gfs_op_id){be64(bytes), be64(bytes + 8)};
}

struct gfs_op_id op_id_new(void)
{
	unsigned char bytes[16];

	/* 16 bytes come whole once the pool is seeded; before that it waits. A signal may end the wait. */
	while (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
		;
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	return op_id_from_bytes(bytes);
}

struct gfs_common master_common(const struct master *m)
{
	return (struct gfs_common){.sync_interval_ms = m->sync_interval_ms};
}

struct gfs_common master_mutation(const struct master *m)
{
	return (struct gfs_common){.sync_interval_ms = m->sync_interval_ms, .op = op_id_new()};
}

struct rpc_channel_options channel_options(const struct config *config)
{
	unsigned connect = (unsigned)config_u64(config, CONFIG_CONNECT_TIMEOUT);

	return (struct rpc_channel_options){
		.auth = (enum rpc_auth)config_u64(config, CONFIG_AUTH),
		.user = config_text(config, CONFIG_USER),
		.connect_timeout_ms = connect,
		.rpc_timeout_ms = (unsigned)config_u64(config, CONFIG_RPC_TIMEOUT),
		.auth_timeout_ms = connect,
	};
}

/* ---- life -----------------------------------------------------------------------------------------------------------
 */

static int master_parse(struct master *m, const char *list)
{
	char *save = NULL;

	m->list = strdup(list);
	if (!m->list)
		return -ENOMEM;
	for (char *one = strtok_r(m->list, ", ", &save); one; one = strtok_r(NULL, ", ", &save)) {
		if (m->naddresses == ADDRESSES_MAX) {
			error_note("more than %d master addresses: %s", ADDRESSES_MAX, list);
			return -EINVAL;
		}
		m->addresses[m->naddresses++] = one;
	}
	if (m->naddresses)
		return 0;
	error_note("no master address in \"%s\"", list);
	return -EINVAL;
}

/* A port that is not written is 9200. Addresses are rewritten once, so that nobody asks again. */
static int with_ports(const char *list, char *out, size_t size)
{
	size_t n = 0;

	while (*list) {
		size_t length = strcspn(list, ", ");
		const char *colon = memchr(list, ':', length);
		int put;

		put = snprintf(out + n, size - n, "%s%.*s%s", n && length ? "," : "", (int)length, list,
			       length && !colon ? ":9200" : "");
		if (put < 0 || (size_t)put >= size - n)
			return -EINVAL;
		n += (size_t)put;
		list += length + (list[length] != '\0');
	}
	out[n] = '\0';
	return 0;
}

int master_new(const struct config *config, const char *authority, struct master **out)
{
	struct master *m = calloc(1, sizeof *m);
	char list[4096];
	int rc;

	if (!m)
		return -ENOMEM;
	m->options = channel_options(config);
	m->sync_interval_ms = config_i64(config, CONFIG_SYNC_INTERVAL);
	rc = with_ports(*authority ? authority : config_text(config, CONFIG_MASTER), list, sizeof list);
	if (!rc)
		rc = master_parse(m, list);
	if (!rc)
		rc = channel_pool_new((unsigned)config_u64(config, CONFIG_MASTER_POOL), master_connect, m, &m->pool);
	if (rc) {
		master_free(m);
		return rc;
	}
	*out = m;
	return 0;
}

void master_free(struct master *m)
{
	if (!m)
		return;
	channel_pool_free(m->pool);
	free(m->list);
	free(m);
}
