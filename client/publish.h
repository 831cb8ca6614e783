/*
 * publish.h: getting what was written to the cluster once nobody writes it any more.
 *
 * Events trigger, a lease proves (stage.h). The lease is held while the file is uploaded; who wants to write meanwhile is
 * let in at once, and the upload starts over after he is done.
 *
 * Threads: any. "Locked" says that the keeper's lock must be held, "unlocked" that it must not, nor a name's.
 */
#ifndef SLIPSTREAM_CLIENT_PUBLISH_H
#define SLIPSTREAM_CLIENT_PUBLISH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keeper;
struct inode;

struct publisher {
	struct inode *first, *last; /* queued */
	unsigned threads, idle;
	unsigned behind; /* threads that send what is still being written */
	pthread_cond_t work;
};

void publisher_init(struct publisher *);

/* Locked. A descriptor for writing is about to be made: no lease must be in its way, and its content may change. */
void publish_open(struct keeper *, struct inode *, int flags);
/* Locked. Somebody may have been the last writer: look, and look again for a while. */
void publish_event(struct keeper *, struct inode *);
/* Unlocked. The caller was one, and waits: the publication's 0 or -errno; 0 while others write. */
int publish_closed(struct keeper *, struct inode *);
/* Unlocked. The present content, whoever writes. */
int publish_sync(struct keeper *, struct inode *);
/* Unlocked. The same of all files of a mount; the first error. */
int publish_sync_mount(struct keeper *, unsigned mount);
/* Unlocked. All that nobody writes any more. How many failed so far; one line each in text, NUL-terminated. */
int publish_settle(struct keeper *, char *text, size_t size);
/* Locked. Wait until the inode is not being uploaded; with cancel, see to it that that is soon. The lock is let go meanwhile. */
void publish_wait(struct keeper *, struct inode *, bool cancel);
/* Locked. From before publish_wait() until its name is taken, or another upload would always come first. */
void publish_hold(struct inode *);
void publish_let_go(struct keeper *, struct inode *);

/* Locked. */
void publish_lease_broken(struct keeper *, int fd); /* -1: some lease */
void publish_all(struct keeper *, bool dirty_only); /* an event for each */
int64_t publish_tick(struct keeper *);              /* what is due; milliseconds until there is more, -1: nothing */

#endif
