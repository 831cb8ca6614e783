/*
 * lock.h: the order in which the keeper's locks are taken, and the proof that it is kept.
 *
 * A thread may take a lock only of a higher rank than all it holds (two names: in the order of their stripes, names.c).
 * Unoptimised and sanitized builds check that and abort; others compile to the bare mutex.
 *
 *   LOCK_TREE        held across RPCs: shared by whoever changes a name, alone by the rename of a directory
 *   LOCK_NAME        held across RPCs: one change of one name at a time
 *   LOCK_INODE       inodes, attributes, listings: struct keeper; never across an RPC
 *   LOCK_RANGE       one RANGE description's readers; held across reads of that file only
 *   LOCK_RECORDS, LOCK_PAGE_CACHE, LOCK_OWNERS   leaves
 */
#ifndef SLIPSTREAM_CLIENT_LOCK_H
#define SLIPSTREAM_CLIENT_LOCK_H

#include <pthread.h>
#include <stdbool.h>

enum lock_rank {
	LOCK_TREE = 1,
	LOCK_NAME,
	LOCK_INODE,
	LOCK_RANGE,
	LOCK_RECORDS,
	LOCK_PAGE_CACHE,
	LOCK_OWNERS,
	LOCK_RANKS
};

#if !defined(__OPTIMIZE__) || defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define LOCK_CHECKED 1
#else
#define LOCK_CHECKED 0
#endif

struct lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
};

void lock_enter(enum lock_rank); /* what a lock that is no struct lock says of itself (LOCK_TREE) */
void lock_leave(enum lock_rank);

static inline void lock_init(struct lock *lock, enum lock_rank rank)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->rank = rank;
}

static inline void lock_release(struct lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

static inline void lock_take(struct lock *lock)
{
	if (LOCK_CHECKED)
		lock_enter(lock->rank);
	pthread_mutex_lock(&lock->mutex);
}

static inline void lock_drop(struct lock *lock)
{
	pthread_mutex_unlock(&lock->mutex);
	if (LOCK_CHECKED)
		lock_leave(lock->rank);
}

#endif
