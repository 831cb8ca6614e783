/*
 * persist.h: the thread that copies files to the under file system once they are due (ASYNC_THROUGH,
 * ScheduleAsyncPersistence, persist on rename). What is due is written in the inode, so a restart forgets nothing.
 */
#ifndef SLIPSTREAM_SERVER_PERSIST_H
#define SLIPSTREAM_SERVER_PERSIST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct master;

struct persist {
	pthread_t thread;
	bool running;
	atomic_bool stop;

	pthread_mutex_t lock; /* guards the rest; none other is taken under it */
	pthread_cond_t changed;
	bool wanted; /* something new may be due */
};

int persist_start(struct master *); /* 0 or -errno */
void persist_stop(struct master *);
/* Look again. Any thread. */
void persist_wake(struct master *);

#endif
