/*
 * persist.c: take what is due first, copy it without a lock, put it in its place with one.
 *
 * The place is looked up last: a file that was renamed meanwhile goes where it is now, one that was removed goes
 * nowhere. A crash between the two steps of the end (the copy is there, the inode does not say so) repeats the copy.
 */
#include "tools/server/persist.h"
#include "tools/server/io.h"
#include "tools/server/log.h"
#include "tools/server/master.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 10000

static int stopped(void *context)
{
	return atomic_load(&((struct master *)context)->persist.stop);
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

/* A descriptor of any copy of the block, of this length. */
static int open_copy(struct master *master, const struct tree_block *copies, size_t n, int64_t id, int64_t bytes)
{
	for (size_t i = 0; i < n; i++) {
		int64_t length = 0;
		int fd;

		if (copies[i].id != id || copies[i].worker < 1 || copies[i].worker > master->nworkers)
			continue;
		fd = blocks_read(&master->workers[copies[i].worker - 1].blocks, id, &length);
		if (fd >= 0 && length == bytes)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ENODATA;
}

static int copy_blocks(struct master *master, const struct inode *inode, const struct tree_block *copies, size_t n,
		       struct ufs_writer *writer)
{
	int rc = 0;

	for (int64_t off = 0, id = FIRST_BLOCK(inode->id); !rc && off < inode->length; off += inode->block_size, id++) {
		int64_t left = inode->length - off;
		int64_t bytes = left < inode->block_size ? left : inode->block_size;
		int fd = open_copy(master, copies, n, id, bytes);

		rc = fd < 0 ? fd : io_copy(fd, 0, bytes, writer->fd, stopped, master);
		if (fd >= 0)
			close(fd);
	}
	/* "Persisted" is a promise beyond this process. */
	if (!rc && fdatasync(writer->fd))
		rc = -errno;
	return rc;
}

/* The store is locked. */
static int install(struct master *master, int64_t id, struct ufs_writer *writer)
{
	struct fault fault = {0};
	struct ufs_entry entry;
	struct inode inode;
	char path[PATH_MAX];
	int rc;

	if (tree_get(&master->store, id, &inode, &fault) || inode.ufs != UFS_DUE)
		return 0; /* gone, or somebody else's by now */
	if (tree_path(&master->store, id, path, sizeof(path), &fault))
		return -ENAMETOOLONG;
	rc = ufs_writer_commit(writer, path, &entry);
	if (!rc)
		rc = store_begin(&master->store);
	if (rc)
		return rc;
	if (tree_persisted(&master->store, id, entry.stamp, &fault)) {
		store_rollback(&master->store);
		return -EIO;
	}
	return store_commit(&master->store);
}

static int persist_one(struct master *master, const struct inode *inode, const struct tree_block *copies, size_t n)
{
	struct ufs_writer writer;
	int rc = ufs_writer_open(&master->ufs, inode->mode, &writer);

	if (rc)
		return rc;
	rc = copy_blocks(master, inode, copies, n, &writer);
	if (!rc) {
		store_lock(&master->store);
		rc = install(master, inode->id, &writer);
		store_unlock(&master->store);
	}
	ufs_writer_discard(&writer);
	return rc;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* When the next is due: 0 with the inode and its blocks if that is now; else in so many milliseconds; -1: never. */
static int64_t next_due(struct master *master, struct inode *inode, struct tree_block **copies, size_t *n)
{
	struct store *store = &master->store;
	struct fault fault = {0};
	int64_t id, due = -1;

	*copies = NULL;
	*n = 0;
	store_lock(store);
	if (!tree_persist_next(store, &id, &due, &fault)) {
		due -= tree_now_ms();
		if (due <= 0) {
			due = 0;
			if (tree_get(store, id, inode, &fault) || tree_blocks(store, id, copies, n, &fault))
				due = RETRY_MS;
		}
	} else {
		due = fault.code == RPC_NOT_FOUND ? -1 : RETRY_MS;
	}
	store_unlock(store);
	return due;
}

static void put_off(struct master *master, const struct inode *inode, int rc)
{
	struct fault fault = {0};
	int64_t due = rc == -ENODATA ? -1 : tree_now_ms() + RETRY_MS;

	log_warn("\"%s\" cannot be persisted%s: %s", inode->name, due < 0 ? "" : " now",
		 due < 0 ? "a part of it is in no cache" : strerror(-rc));
	store_lock(&master->store);
	tree_persist_at(&master->store, inode->id, due, &fault);
	store_unlock(&master->store);
}

static void wait_for(struct persist *persist, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&persist->lock);
	while (!persist->wanted && !atomic_load(&persist->stop)) {
		int rc = ms < 0 ? pthread_cond_wait(&persist->changed, &persist->lock)
				: pthread_cond_timedwait(&persist->changed, &persist->lock, &until);

		if (rc == ETIMEDOUT)
			break;
	}
	persist->wanted = false;
	pthread_mutex_unlock(&persist->lock);
}

static void *run(void *context)
{
	struct master *master = context;

	while (!stopped(master)) {
		struct tree_block *copies;
		struct inode inode;
		size_t n;
		int64_t due = next_due(master, &inode, &copies, &n);
		int rc;

		if (due) {
			wait_for(&master->persist, due);
			continue;
		}
		rc = persist_one(master, &inode, copies, n);
		free(copies);
		if (rc && rc != -ECANCELED)
			put_off(master, &inode, rc);
	}
	return NULL;
}

int persist_start(struct master *master)
{
	struct persist *persist = &master->persist;
	pthread_condattr_t clock;
	int rc;

	pthread_mutex_init(&persist->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&persist->changed, &clock);
	pthread_condattr_destroy(&clock);
	if (!ufs_on(&master->ufs))
		return 0;
	rc = pthread_create(&persist->thread, NULL, run, master);
	persist->running = !rc;
	return -rc;
}

void persist_wake(struct master *master)
{
	struct persist *persist = &master->persist;

	pthread_mutex_lock(&persist->lock);
	persist->wanted = true;
	pthread_cond_signal(&persist->changed);
	pthread_mutex_unlock(&persist->lock);
}

void persist_stop(struct master *master)
{
	struct persist *persist = &master->persist;

	if (!persist->running)
		return;
	atomic_store(&persist->stop, true);
	persist_wake(master);
	pthread_join(persist->thread, NULL);
	persist->running = false;
}
