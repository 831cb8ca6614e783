/*
 * publish.c: when. How it is uploaded is in upload.c.
 */
#include "client/publish.h"
#include "client/keeper.h"
#include "client/kept.h"
#include "client/log.h"
#include "client/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define THREADS_MAX   16
#define IDLE_S        5
#define TRIES         3
#define RETRY_MS      200
#define SETTLE_PROBES 3

static const int probe_ms[] = {1, 10, 100, 1000};

void publisher_init(struct publisher *p)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->work, &attr);
	pthread_condattr_destroy(&attr);
}

/* ---- the proof -------------------------------------------------------------------------------------------------- */

static int64_t change_time(const struct inode *in)
{
	struct stat st;

	return fstat(in->fd, &st) ? -1 : (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
}

/*
 * Could the content differ from what the cluster has? A write leaves a time of change that is no earlier than the open; so may
 * have, in the same tick, what fetched the file, unless each change has a time of its own.
 */
static bool inode_changed(const struct keeper *k, const struct inode *in)
{
	int64_t changed = change_time(in);

	if (in->modified || in->mapped || changed < 0)
		return true;
	return changed >= in->opened_ns && !(stage_times(k->stage).each && changed == in->found_ns);
}

static void lease_let_go(struct inode *in)
{
	if (in->leased)
		lease_drop(in->fd);
	in->leased = false;
}

static void set_clean(struct keeper *k, struct inode *in)
{
	in->state = INODE_CLEAN;
	in->modified = in->mappable = in->mapped = false;
	in->error = 0;
	inode_save(k, in);
	kept_remove(k, in);
}

/* Locked. 0: the caller must upload it now. 1: nothing to do. -EAGAIN: somebody writes. -EBUSY: being uploaded, or held. */
static int claim(struct keeper *k, struct inode *in)
{
	int rc;

	if (in->busy || in->held) {
		in->again = true;
		return -EBUSY;
	}
	if (in->state != INODE_DIRTY || !in->linked)
		return 1;
	rc = lease_unwritten(in->fd);
	if (rc) {
		if (rc != -EAGAIN)
			log_warn("lease on the staging file of %s: %s", in->path, strerror(-rc));
		return -EAGAIN;
	}
	if (!inode_changed(k, in)) {
		lease_drop(in->fd);
		set_clean(k, in);
		return 1;
	}
	in->leased = in->busy = true;
	in->again = false;
	atomic_store(&in->cancel, false);
	return 0;
}

static void probe_later(struct keeper *k, struct inode *in)
{
	unsigned last = sizeof probe_ms / sizeof *probe_ms - 1;

	in->probe_ms = now_ms() + probe_ms[in->probes < last ? in->probes : last];
	in->probes++;
	if (in->probes <= last + 1)
		watch_wake(k);
}

void publish_open(struct keeper *k, struct inode *in, int flags)
{
	bool both = (flags & O_ACCMODE) == O_RDWR;

	if (in->leased) {
		atomic_store(&in->cancel, true);
		lease_let_go(in);
	}
	in->changes++;
	if (in->state == INODE_CLEAN) {
		in->opened_ns = coarse_ns();
		in->found_ns = change_time(in);
		in->state = INODE_DIRTY;
	} else if (in->state == INODE_FAILED) {
		in->state = INODE_DIRTY;
	}
	in->modified |= (flags & O_TRUNC) != 0;
	in->mappable |= both;
	in->mapped |= both && !stage_times(k->stage).mapped;
	in->probe_ms = 0;
	in->used = ++k->inodes.clock;
	inode_save(k, in);
}

void publish_lease_broken(struct keeper *k, int fd)
{
	struct inode *in, *next;

	HASH_ITER(by_path, k->inodes.by_path, in, next)
	{
		if (!in->leased || (fd >= 0 && in->fd != fd))
			continue;
		if (fd < 0 && fcntl(in->fd, F_GETLEASE) == F_RDLCK)
			continue;
		atomic_store(&in->cancel, true);
		in->changes++;
		in->modified = true;
		lease_let_go(in);
		pthread_cond_broadcast(&in->settled);
	}
}

/* ---- the upload ------------------------------------------------------------------------------------------------- */

static bool transient(int rc)
{
	return rc == -EHOSTUNREACH || rc == -ETIMEDOUT || rc == -EIO;
}

/* Wait a little, less if it is cancelled. */
static void retry_pause(struct keeper *k, struct inode *in, unsigned tried)
{
	struct timespec until;
	int64_t ns = (int64_t)RETRY_MS * 1000000 << tried;

	clock_gettime(CLOCK_REALTIME, &until);
	ns += until.tv_nsec;
	until.tv_sec += ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	lock_take(&k->lock);
	if (!atomic_load(&in->cancel))
		pthread_cond_timedwait(&in->settled, &k->lock.mutex, &until);
	lock_drop(&k->lock);
}

static int upload_tries(struct keeper *k, struct inode *in, bool sync)
{
	int64_t deadline = now_ms() + (int64_t)config_u64(k->client->config, CONFIG_RPC_TIMEOUT);
	int rc = 0;

	for (unsigned tried = 0; tried < TRIES; tried++) {
		rc = upload(k, in, sync);
		if (!transient(rc) || tried == TRIES - 1 || now_ms() >= deadline)
			break;
		log_warn("publishing %s: %s; trying again", in->path, strerror(-rc));
		retry_pause(k, in, tried);
		if (atomic_load(&in->cancel))
			rc = -ECANCELED;
		if (rc == -ECANCELED)
			break;
	}
	return rc;
}

/* Locked. What became of it. */
static void settle_state(struct keeper *k, struct inode *in, int rc, uint64_t changes, bool sync)
{
	bool untouched = in->changes == changes && (in->leased || sync) && !atomic_load(&in->cancel);

	if (!in->linked)
		return;
	if (!rc && untouched && !sync) {
		set_clean(k, in);
	} else if (!rc && untouched) { /* writers are still there, but what they wrote so far is safe */
		in->modified = false;
		inode_save(k, in);
	} else if (rc && rc != -ECANCELED && !sync) {
		in->state = INODE_FAILED;
		in->error = rc;
		log_error("%s is not published: %s%s%s; its content is in %s/%llx", in->path, strerror(-rc),
			  *error_noted() ? ": " : "", error_noted(),
			  stage_dir(k->stage) ? stage_dir(k->stage) : "memory", (unsigned long long)in->stage);
		inode_save(k, in);
		kept_write(k, in);
	}
}

/*
 * Unlocked; the inode is busy, by us. Its reference is ours too. Locked on return, so that we let go of it in the step in which those
 * who wait hear of it: what they ask next may need its room.
 */
static int publish_run(struct keeper *k, struct inode *in, bool sync)
{
	uint64_t changes;
	int64_t began;
	int rc;

	lock_take(&k->lock);
	changes = in->changes;
	began = coarse_ns();
	lock_drop(&k->lock);
	rc = upload_tries(k, in, sync);
	lock_take(&k->lock);
	settle_state(k, in, rc, changes, sync);
	if (sync && !rc && !in->modified) {
		in->opened_ns = began;
		in->found_ns = 0;
		in->mapped |= in->mappable; /* only the first store into a page leaves a time */
	}
	lease_let_go(in);
	in->busy = false;
	pthread_cond_broadcast(&in->settled);
	if (in->again || rc == -ECANCELED) {
		in->again = false;
		publish_event(k, in);
	}
	inodes_weigh(k, in);
	inodes_trim(k, false);
	return rc;
}

static struct inode *queue_next(struct keeper *k)
{
	struct publisher *p = &k->publisher;
	struct inode *in;
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_S;
	p->idle++;
	while (!p->first && !rc)
		rc = pthread_cond_timedwait(&p->work, &k->lock.mutex, &until);
	p->idle--;
	in = p->first;
	if (in) {
		p->first = in->next_queued;
		in->next_queued = NULL;
	}
	return in;
}

static void *publish_thread(void *argument)
{
	struct keeper *k = argument;
	struct inode *in;

	lock_take(&k->lock);
	while ((in = queue_next(k))) {
		lock_drop(&k->lock);
		publish_run(k, in, false);
		inode_put(k, in);
	}
	k->publisher.threads--;
	lock_drop(&k->lock);
	return NULL;
}

/* Locked; the inode is claimed. */
static void enqueue(struct keeper *k, struct inode *in)
{
	struct publisher *p = &k->publisher;
	pthread_t thread;

	inode_get(in);
	if (p->first)
		p->last->next_queued = in;
	else
		p->first = in;
	p->last = in;
	if (p->idle || p->threads >= THREADS_MAX) {
		pthread_cond_signal(&p->work);
	} else if (!pthread_create(&thread, NULL, publish_thread, k)) {
		pthread_detach(thread);
		p->threads++;
	} else if (!p->threads) {
		log_error("no thread to publish with");
	}
}

void publish_event(struct keeper *k, struct inode *in)
{
	int rc = claim(k, in);

	in->probes = rc == -EAGAIN ? in->probes : 0;
	in->probe_ms = 0;
	if (!rc)
		enqueue(k, in);
	else if (rc == -EAGAIN)
		probe_later(k, in);
}

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

void publish_wait(struct keeper *k, struct inode *in, bool cancel)
{
	inode_get(in);
	while (in->busy || (in->held && !cancel)) {
		if (cancel && !atomic_load(&in->cancel)) {
			atomic_store(&in->cancel, true);
			pthread_cond_broadcast(&in->settled);
		}
		pthread_cond_wait(&in->settled, &k->lock.mutex);
	}
	in->refs--; /* the caller, who has the lock, still uses it */
}

void publish_hold(struct inode *in)
{
	in->held++;
}

void publish_let_go(struct keeper *k, struct inode *in)
{
	if (--in->held)
		return;
	pthread_cond_broadcast(&in->settled);
	if (in->state == INODE_DIRTY && in->linked) {
		in->probes = 0;
		probe_later(k, in);
	}
}

/* Locked, and let go meanwhile; the inode is claimed. */
static int publish_now(struct keeper *k, struct inode *in, bool sync)
{
	int rc;

	inode_get(in);
	lock_drop(&k->lock);
	rc = publish_run(k, in, sync);
	in->refs--; /* the caller, who has the lock, still uses it */
	return rc;
}

int publish_closed(struct keeper *k, struct inode *in)
{
	int rc;

	lock_take(&k->lock);
	/* Cancelled: somebody writes again, then it is his; or its directory was renamed, then it goes on under the new name. */
	while ((rc = claim(k, in)) == -EBUSY || (!rc && (rc = publish_now(k, in, false)) == -ECANCELED))
		if (rc == -EBUSY)
			publish_wait(k, in, false);
	if (rc == -EAGAIN) {
		in->probes = 0;
		probe_later(k, in);
	}
	rc = in->state == INODE_FAILED ? in->error : 0;
	lock_drop(&k->lock);
	return rc;
}

int publish_sync(struct keeper *k, struct inode *in)
{
	int rc = 0;

	lock_take(&k->lock);
	publish_wait(k, in, false);
	if (in->state == INODE_CLEAN || !in->linked || !inode_changed(k, in)) {
		lock_drop(&k->lock);
		return 0;
	}
	do {
		publish_wait(k, in, false);
		in->busy = true;
		in->again = false;
		atomic_store(&in->cancel, false);
		rc = publish_now(k, in, true);
	} while (rc == -ECANCELED && in->linked);
	lock_drop(&k->lock);
	return rc == -ECANCELED ? 0 : rc;
}

/* References to all of a mount's that may be unpublished: an array that ends with NULL; NULL: out of memory. */
static struct inode **dirty_of(struct keeper *k, unsigned mount)
{
	struct inode *in, *next, **list;
	unsigned n = 0;

	lock_take(&k->lock);
	list = calloc(HASH_CNT(by_path, k->inodes.by_path) + 1, sizeof(struct inode *));
	HASH_ITER(by_path, k->inodes.by_path, in, next)
	{
		if (!list || in->mount != mount || in->state != INODE_DIRTY)
			continue;
		inode_get(in);
		list[n++] = in;
	}
	lock_drop(&k->lock);
	return list;
}

int publish_sync_mount(struct keeper *k, unsigned mount)
{
	struct inode **list = dirty_of(k, mount);
	int rc = list ? 0 : -ENOMEM;

	for (struct inode **in = list; in && *in; in++) {
		int one = publish_sync(k, *in);

		rc = rc ? rc : one;
		lock_take(&k->lock);
		inode_put(k, *in);
		lock_drop(&k->lock);
	}
	free(list);
	return rc;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

void publish_all(struct keeper *k, bool dirty_only)
{
	struct inode *in, *next;

	HASH_ITER(by_path, k->inodes.by_path, in, next)
	if (!dirty_only || in->state == INODE_DIRTY)
		publish_event(k, in);
}

/* -1 is never. */
static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

int64_t publish_tick(struct keeper *k)
{
	bool events = stage_dir(k->stage) && k->stage_watch >= 0;
	int64_t now = now_ms(), soonest = -1;
	struct inode *in, *next;

	HASH_ITER(by_path, k->inodes.by_path, in, next)
	{
		if (in->state != INODE_DIRTY || in->busy)
			continue;
		soonest = sooner(soonest, behind_tick(k, in, now));
		if (!events && !in->probe_ms)
			in->probe_ms = now + probe_ms[2];
		if (in->probe_ms && in->probe_ms <= now)
			publish_event(k, in);
		if (in->probe_ms)
			soonest = sooner(soonest, in->probe_ms > now ? in->probe_ms - now : 0);
	}
	return soonest;
}

/* Locked. Claim what can be; returns one that is being uploaded, and whether somebody still writes another. */
static struct inode *settle_round(struct keeper *k, bool *written)
{
	struct inode *in, *next, *busy = NULL;

	*written = false;
	HASH_ITER(by_path, k->inodes.by_path, in, next)
	{
		int rc = claim(k, in);

		if (!rc)
			enqueue(k, in);
		if (!rc || rc == -EBUSY)
			busy = in;
		*written |= rc == -EAGAIN;
	}
	return busy;
}

static int failures_tell(struct keeper *k, char *text, size_t size)
{
	const char *lost = stage_dir(k->stage) ? "" : " (staged in memory: lost with the session)";
	struct inode *in, *next;
	size_t n = 0;
	int failures = 0;

	text[0] = '\0';
	HASH_ITER(by_path, k->inodes.by_path, in, next)
	{
		if (in->state != INODE_FAILED)
			continue;
		failures++;
		if (n < size)
			n += (size_t)snprintf(text + n, size - n, "%s: %s%s\n", in->path, strerror(-in->error), lost);
	}
	return failures;
}

/* What the kernel frees late (a killed program's descriptors in a ring, in a socket) gets a tenth of a second. */
int publish_settle(struct keeper *k, char *text, size_t size)
{
	struct inode *busy;
	bool written;
	int failures;

	lock_take(&k->lock);
	for (unsigned probes = 0;;) {
		busy = settle_round(k, &written);
		if (busy) {
			publish_wait(k, busy, false);
			continue;
		}
		if (!written || probes == SETTLE_PROBES)
			break;
		lock_drop(&k->lock);
		nanosleep(&(struct timespec){.tv_nsec = probe_ms[probes] * 1000000L}, NULL);
		probes++;
		lock_take(&k->lock);
	}
	failures = failures_tell(k, text, size);
	lock_drop(&k->lock);
	return failures;
}
