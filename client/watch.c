/*
 * watch.c: the one thread that hears what the kernel has to tell: closes of staging files, of slots and of directories;
 * leases that somebody waits for; the end of `slipstream run`; and time.
 */
#include "client/keeper.h"
#include "client/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define SWEEP_MS   1000
#define CENSUS_MS  3000 /* how often we look who holds what nobody would tell us of */
#define LEAVING_MS 100  /* how often we look whether the last one is gone */

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t coarse_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int watch_add(struct keeper *k, const char *path, uint32_t mask)
{
	int watch = k->inotify_fd < 0 ? -1 : inotify_add_watch(k->inotify_fd, path, mask);

	if (watch < 0 && k->inotify_fd >= 0)
		log_error("watch on %s: %s", path, strerror(errno));
	return watch;
}

int watch_start(struct keeper *k)
{
	char slots[PATH_MAX + 8];
	sigset_t signals;

	if (k->inside)
		lease_watcher(gettid());
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGIO);
	sigaddset(&signals, LEASE_SIGNAL);
	k->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	k->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->signal_fd < 0 || k->wake_fd < 0)
		return -errno;
	if (k->inotify_fd < 0)
		log_error("no inotify instance is left (fs.inotify.max_user_instances): what programs close is found "
			  "out by looking");
	snprintf(slots, sizeof slots, "%s/slots", k->dir);
	k->slots_watch = watch_add(k, slots, IN_OPEN | IN_ATTRIB | IN_CLOSE_NOWRITE | IN_CLOSE_WRITE);
	k->stage_watch = stage_dir(k->stage) ? watch_add(k, stage_dir(k->stage), IN_CLOSE_WRITE) : -1;
	k->unwatched = k->slots_watch < 0;
	return 0;
}

void watch_wake(struct keeper *k)
{
	uint64_t one = 1;

	if (write(k->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
		log_error("wake: %s", strerror(errno));
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void staging_closed(struct keeper *k, const char *name)
{
	struct inode *in;

	lock_take(&k->lock);
	in = inode_by_stage(k, stage_number(name));
	if (in && !in->linked) {
		inode_reclaim(k, in);
	} else if (in) {
		in->probes = 0;
		publish_event(k, in);
	}
	lock_drop(&k->lock);
}

static void directory_closed(struct keeper *k, int watch)
{
	int record = directory_record(k, watch);

	if (record < 0)
		return;
	lock_take(&k->lock);
	listing_free(k->of_record[record]);
	k->of_record[record] = NULL;
	k->watch_of[record] = 0;
	record_free(k->records, record);
	lock_drop(&k->lock);
}

static void overflowed(struct keeper *k)
{
	log_note("the queue of events overflowed: looking at everything");
	lock_take(&k->lock);
	publish_all(k, true);
	inodes_trim(k, false);
	lock_drop(&k->lock);
	placeholders_check(k, false);
}

static void event_take(struct keeper *k, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW)
		overflowed(k);
	else if (e->wd == k->stage_watch && e->len)
		staging_closed(k, e->name);
	else if (e->wd == k->slots_watch && (e->mask & IN_OPEN))
		slot_opened(k, e->name);
	else if (e->wd == k->slots_watch && (e->mask & IN_CLOSE))
		slot_closed(k, e->name);
	else if (e->mask & (IN_DELETE_SELF | IN_IGNORED))
		directory_closed(k, e->wd);
}

static void events_take(struct keeper *k)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(k->inotify_fd, buf, sizeof buf)) > 0)
		for (char *at = buf; at < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)at;

			event_take(k, e);
			at += sizeof *e + e->len;
		}
}

/* ... and who waits for that hears of it. */
static void events_heard(struct keeper *k, bool last)
{
	uint64_t asked;

	lock_take(&k->lock);
	asked = last ? UINT64_MAX : k->asked;
	lock_drop(&k->lock);
	events_take(k);
	lock_take(&k->lock);
	k->heard = asked;
	pthread_cond_broadcast(&k->caught_up);
	lock_drop(&k->lock);
}

void watch_catch_up(struct keeper *k)
{
	uint64_t mine = ++k->asked;

	watch_wake(k);
	while (k->heard < mine)
		pthread_cond_wait(&k->caught_up, &k->lock.mutex);
}

/* ---- signals ---------------------------------------------------------------------------------------------------- */

static void *settle_thread(void *argument)
{
	struct keeper *k = argument;
	char text[4096];

	publish_settle(k, text, sizeof text);
	atomic_store(&k->settled, true);
	watch_wake(k);
	return NULL;
}

static void leave(struct keeper *k)
{
	pthread_t thread;

	if (atomic_exchange(&k->stopping, true))
		return;
	if (pthread_create(&thread, NULL, settle_thread, k))
		atomic_store(&k->settled, true);
	else
		pthread_detach(thread);
}

static void signals_take(struct keeper *k)
{
	struct signalfd_siginfo info;

	while (read(k->signal_fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGTERM) {
			leave(k);
			continue;
		}
		lock_take(&k->lock);
		/* SIGIO: the queue of real-time signals was full; which lease is not said */
		publish_lease_broken(k, info.ssi_signo == (uint32_t)LEASE_SIGNAL ? info.ssi_fd : -1);
		lock_drop(&k->lock);
	}
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

/* Nobody is there, and nothing is left to do. What failed stays where it is, and keeps nobody here. */
static bool quiet(struct keeper *k)
{
	bool is;

	if (k->locals_unleased && k->locals_overridden && !atomic_load(&k->connections))
		locals_check(k); /* or they keep the new content here */
	lock_take(&k->lock);
	locals_trim(k, 0); /* they may refer to an inode */
	inodes_trim(k, true);
	/* Block files without a lease keep nobody here: who still reads one needs no keeper for it. */
	is = !atomic_load(&k->connections) && !inodes_unpublished(k) &&
	     records_live(k->records) == inodes_failed(k) + k->locals_unleased;
	lock_drop(&k->lock);
	return is;
}

static int tick(struct keeper *k, int64_t *swept_ms)
{
	int64_t soonest;

	lock_take(&k->lock);
	soonest = publish_tick(k);
	if (now_ms() - *swept_ms >= SWEEP_MS) {
		*swept_ms = now_ms();
		if (k->locals_overridden)
			locals_trim(k, UINT_MAX);
		inodes_trim(k, false);
	}
	if (soonest < 0 || soonest > SWEEP_MS)
		soonest = SWEEP_MS;
	k->watch_until_ms = now_ms() + soonest;
	lock_drop(&k->lock);
	return (int)soonest;
}

/* The end of `run`'s pipe: nobody writes to it. */
static bool parent_gone(struct keeper *k, short revents)
{
	char byte;

	if (k->parent_fd >= 0 && (revents & (POLLIN | POLLHUP | POLLERR)) && read(k->parent_fd, &byte, 1) <= 0 &&
	    errno != EAGAIN && errno != EINTR) {
		close(k->parent_fd);
		k->parent_fd = -1;
		return true;
	}
	return false;
}

/* Is it time to leave, after so long a quiet? Programs that are there but silent are looked for once a second. */
static bool left(struct keeper *k, int64_t quiet_ms, int64_t *looked_ms)
{
	if (k->linger_ms)
		return quiet_ms >= k->linger_ms && keeper_withdraw(k);
	if (*looked_ms && now_ms() - *looked_ms < SWEEP_MS)
		return false;
	*looked_ms = now_ms();
	return !session_inhabited(k->given);
}

void watch_run(struct keeper *k)
{
	int64_t quiet_ms = now_ms(), swept_ms = 0, looked_ms = 0, counted_ms = now_ms();
	bool alone = k->linger_ms > 0;

	for (;;) {
		struct pollfd fds[] = {
			{.fd = k->inotify_fd, .events = POLLIN},
			{.fd = k->signal_fd, .events = POLLIN},
			{.fd = k->wake_fd, .events = POLLIN},
			{.fd = k->parent_fd, .events = POLLIN},
		};
		int wait_ms = tick(k, &swept_ms);
		uint64_t wakes;

		errno = 0;
		poll(fds, 4, alone && !k->linger_ms && wait_ms > LEAVING_MS ? LEAVING_MS : wait_ms);
		if (fds[2].revents && read(k->wake_fd, &wakes, sizeof wakes) < 0 && errno != EAGAIN)
			log_error("wake: %s", strerror(errno));
		signals_take(k); /* first: somebody waits in open() */
		events_heard(k, false);
		errno = 0;
		alone |= parent_gone(k, fds[3].revents);
		if (k->unwatched && now_ms() - counted_ms >= CENSUS_MS) {
			placeholders_check(k, true);
			counted_ms = now_ms();
		}
		if (atomic_load(&k->settled))
			break;
		if (!alone || !quiet(k))
			quiet_ms = now_ms();
		else if (left(k, now_ms() - quiet_ms, &looked_ms))
			break;
	}
	events_heard(k, true);
}
