/*
 * root.h: the directory a server works in, and that it is the only one there.
 *
 *	lock        held with flock while a server runs; holds its pid
 *	address     where the server is reached; may be stale after a crash, the lock decides
 *	run.lock    held by whoever starts or joins a server, and by a server that leaves for want of holders
 *	reserve     reserve.h
 *	faults      faults.h, if a test puts it there
 *	meta.db     store.h     blocks/     blocks.h    ufs/    ufs.h
 */
#ifndef SLIPSTREAM_SERVER_ROOT_H
#define SLIPSTREAM_SERVER_ROOT_H

#include <limits.h>
#include <stdbool.h>

struct root {
	char path[PATH_MAX];
	int lock_fd;
	int leave_fd; /* run.lock, once we leave */
};

/* Make it if needed, lock it. 0, or -errno after saying why. */
int root_open(struct root *, const char *path);
/* Tell the world, atomically: DIR/address, and file if it is not NULL. 0, or -errno after saying why. */
int root_publish(struct root *, const char *address, const char *file);
void root_unpublish(struct root *, const char *file);
/* Keep others from joining (wait: until they are through). True when we have run.lock; it is kept until the end, or
 * root_stay(). */
bool root_leave(struct root *, bool wait);
void root_stay(struct root *);
void root_close(struct root *);

#endif
