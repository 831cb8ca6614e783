#include "client/goosefs/worker.h"
#include "client/goosefs/clock.h"
#include "client/log.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LIST_STALE_MS = 30000,
	LIST_RETRY_MS = 1000,
	FAILED_MS = 60000,
};

/* One worker that was ever dialled. Stays until the end, for its number is that of a cluster's machines. */
struct peer {
	struct peer *next;
	struct workers *owner;
	struct channel_pool *pool;
	int64_t failed_until_ms; /* 0: not failed */
	int local;               /* -1: not known yet */
	char address[];
};

struct workers {
	struct master *master;
	struct rpc_channel_options options;
	unsigned pool_size;

	pthread_mutex_t refresh; /* held while the list is being asked for; taken before lock */

	pthread_mutex_t lock; /* guards the rest; never held across a call */
	struct ring *ring;    /* NULL before the first list */
	int64_t stale_at_ms;
	struct peer *peers;
};

/* ---- the list ------------------------------------------------------------------------------------------------------
 */

static struct ring *ring_if_fresh(struct workers *w, bool any)
{
	struct ring *ring = NULL;

	pthread_mutex_lock(&w->lock);
	if (w->ring && (any || now_ms() < w->stale_at_ms))
		ring = ring_get(w->ring);
	pthread_mutex_unlock(&w->lock);
	return ring;
}

/* Keep the old ring object when nothing but numbers changed: building one costs milliseconds, comparing nothing. */
static void ring_install(struct workers *w, struct ring *fresh)
{
	struct ring *old = fresh;

	pthread_mutex_lock(&w->lock);
	if (w->ring && ring_same(w->ring, fresh)) {
		ring_renew(w->ring, fresh);
	} else {
		old = w->ring;
		w->ring = fresh;
	}
	w->stale_at_ms = now_ms() + LIST_STALE_MS;
	pthread_mutex_unlock(&w->lock);
	ring_put(old);
}

static int ring_fetch(struct workers *w)
{
	struct gfs_empty request = {0};
	struct gfs_worker_list reply;
	struct ring *fresh;
	int rc = master_call(w->master, RPC_GET_WORKERS, &request, &reply);

	if (!rc) {
		rc = reply.n ? ring_new(&reply, &fresh) : -EHOSTUNREACH;
		if (rc == -EHOSTUNREACH)
			error_note("the master knows no workers");
		rpc_release(&reply);
	}
	if (!rc) {
		ring_install(w, fresh);
		return 0;
	}
	log_warn("worker list: %s", error_noted());
	pthread_mutex_lock(&w->lock);
	w->stale_at_ms = now_ms() + LIST_RETRY_MS;
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int workers_ring(struct workers *w, struct ring **out)
{
	int rc = 0;

	*out = ring_if_fresh(w, false);
	if (*out)
		return 0;
	/* One asks. Whoever comes meanwhile takes the old list; without one, he waits. */
	if (pthread_mutex_trylock(&w->refresh)) {
		*out = ring_if_fresh(w, true);
		if (*out)
			return 0;
		pthread_mutex_lock(&w->refresh);
	}
	*out = ring_if_fresh(w, false);
	if (!*out)
		rc = ring_fetch(w);
	pthread_mutex_unlock(&w->refresh);
	if (!*out)
		*out = ring_if_fresh(w, true);
	return *out ? 0 : rc ? rc : -EHOSTUNREACH;
}

void workers_doubt(struct workers *w)
{
	pthread_mutex_lock(&w->lock);
	w->stale_at_ms = 0;
	pthread_mutex_unlock(&w->lock);
}

/* ---- peers ---------------------------------------------------------------------------------------------------------
 */

static int peer_connect(void *context, struct rpc_channel **out, struct rpc_error *error)
{
	const struct peer *p = context;

	return rpc_channel_new(p->address, &p->owner->options, out, error);
}

static int peer_new(struct workers *w, const char *address, struct peer **out)
{
	size_t n = strlen(address);
	struct peer *p = calloc(1, sizeof *p + n + 1);
	int rc;

	if (!p)
		return -ENOMEM;
	memcpy(p->address, address, n + 1);
	p->owner = w;
	p->local = -1;
	rc = channel_pool_new(w->pool_size, peer_connect, p, &p->pool);
	if (rc) {
		free(p);
		return rc;
	}
	p->next = w->peers;
	w->peers = p;
	*out = p;
	return 0;
}

static struct peer *peer_lookup(struct workers *w, const char *address)
{
	struct peer *p = w->peers;

	while (p && strcmp(p->address, address))
		p = p->next;
	return p;
}

/* Under the lock. */
static int peer_find(struct workers *w, const char *address, struct peer **out)
{
	*out = peer_lookup(w, address);
	return *out ? 0 : peer_new(w, address, out);
}

static int peer_get(struct workers *w, const char *address, struct peer **out)
{
	int rc;

	pthread_mutex_lock(&w->lock);
	rc = peer_find(w, address, out);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

int worker_lease(struct workers *w, const char *address, struct lease *out, struct rpc_error *error)
{
	struct peer *p;
	int rc = peer_get(w, address, &p);

	if (rc)
		return rc;
	rc = channel_pool_get(p->pool, out, error);
	if (rc) {
		log_warn("worker %s: cannot connect: %s", address, *error->message ? error->message : strerror(-rc));
		if (!error->unauthenticated && rc != -ENOMEM)
			worker_fail(w, address);
	}
	return rc;
}

void worker_spoil(struct workers *w, const char *address, uint64_t generation)
{
	struct peer *p;

	if (!peer_get(w, address, &p))
		channel_pool_spoil(p->pool, generation);
}

void worker_fail(struct workers *w, const char *address)
{
	struct peer *p;

	pthread_mutex_lock(&w->lock);
	if (!peer_find(w, address, &p))
		p->failed_until_ms = now_ms() + FAILED_MS;
	pthread_mutex_unlock(&w->lock);
}

bool worker_failed(struct workers *w, const char *address)
{
	struct peer *p;
	bool failed;

	pthread_mutex_lock(&w->lock);
	p = peer_lookup(w, address);
	failed = p && p->failed_until_ms > now_ms();
	pthread_mutex_unlock(&w->lock);
	return failed;
}

/* ---- is it here? ------------------------------------------------------------------------------------------------ */

static bool host_is_named_here(const char *host)
{
	char name[256];
	size_t label;

	if (!strcmp(host, "localhost") || !strcmp(host, "127.0.0.1") || !strcmp(host, "::1"))
		return true;
	if (gethostname(name, sizeof name))
		return false;
	name[sizeof name - 1] = '\0';
	label = strcspn(name, ".");
	return !strcmp(host, name) || (strlen(host) == label && !strncmp(host, name, label));
}

/* An address of ours can be bound; nobody else's can. */
static bool host_is_bindable(const char *host)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
	bool local = false;

	if (getaddrinfo(host, "0", &hints, &found))
		return false;
	for (struct addrinfo *a = found; a && !local; a = a->ai_next) {
		int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			continue;
		local = !bind(fd, a->ai_addr, a->ai_addrlen);
		close(fd);
	}
	freeaddrinfo(found);
	return local;
}

bool worker_is_local(struct workers *w, const struct ring_worker *worker)
{
	struct peer *p;
	int local;

	if (peer_get(w, worker->address, &p))
		return false;
	local = __atomic_load_n(&p->local, __ATOMIC_RELAXED);
	if (local < 0) {
		local = host_is_named_here(worker->host) || host_is_bindable(worker->host);
		__atomic_store_n(&p->local, local, __ATOMIC_RELAXED);
	}
	return local;
}

/* ---- life ----------------------------------------------------------------------------------------------------------
 */

int workers_new(const struct config *config, struct master *master, struct workers **out)
{
	struct workers *w = calloc(1, sizeof *w);

	if (!w)
		return -ENOMEM;
	w->master = master;
	w->options = channel_options(config);
	w->pool_size = (unsigned)config_u64(config, CONFIG_WORKER_POOL);
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->refresh, NULL);
	*out = w;
	return 0;
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	for (struct peer *p = w->peers, *next; p; p = next) {
		next = p->next;
		channel_pool_free(p->pool);
		free(p);
	}
	ring_put(w->ring);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->refresh);
	free(w);
}
