/*
 * stage.h: where staging files live, and what the kernel says of who has one open.
 *
 * A staging file is DIR/<number in hex>. The keeper keeps a read-only descriptor of each, the only kind that lets a lease
 * prove that nobody has the file open or mapped for writing. It holds a shared flock(2) on DIR, and DIR/session leads to the
 * session's directory: with nobody there and no lock, DIR is left over.
 *
 * Threads: any.
 */
#ifndef SLIPSTREAM_CLIENT_STAGE_H
#define SLIPSTREAM_CLIENT_STAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct stage;

/*
 * Is this directory's file system fit? 0, or -EOPNOTSUPP with error_note() naming what is missing: a writer seen by the
 * lease, also one through /proc and one that is only a mapping; the event of its end; and then the lease granted.
 */
int stage_probe(const char *dir);

#define STAGE_PREFIX "slipstream-stage-" /* what the directories are called, in a candidate */

/* Candidate i (0..) for where to make one, "" if there is none of that kind here; false past the last. */
bool stage_candidate(unsigned i, const char *configured, char out[PATH_MAX]);

/*
 * The session's staging directory: the one session_fd's link "stage" leads to, else a new private one in the first
 * candidate that is fit (configured, "" for none, comes first), to which the link is then made. Without any: memfds, which
 * die with the keeper and are reported by no event.
 */
int stage_open(int session_fd, const char *configured, struct stage **);
void stage_close(struct stage *);                      /* leaves the files */
void stage_remove_all(struct stage *, int session_fd); /* the directory too, if it is empty */

const char *stage_dir(const struct stage *);                                /* NULL: memfds */
uint64_t stage_free(const struct stage *);                                  /* bytes of the disk; 0: not known */
bool stage_room(const struct stage *, uint64_t max_bytes, uint64_t wanted); /* of the disk, within the session's cap */

/* A new empty staging file: its number, and a read-only descriptor, the caller's. */
int stage_create(struct stage *, uint64_t *number);
int stage_adopt(struct stage *, uint64_t number); /* the descriptor of one that is there */
void stage_remove(struct stage *, uint64_t number);
/* The number in an event's name; 0: none of ours. */
uint64_t stage_number(const char *name);

/*
 * What else a staging file's time of change tells here, as tried out: neither is needed, both save uploads.
 *   mapped  a store through a mapping, the first into a page (not on tmpfs)
 *   each    every change since it was last looked at (Linux 6.13); else the kernel's tick is all it tells
 */
struct stage_times {
	bool mapped, each;
};
struct stage_times stage_times(const struct stage *);

/* A fresh description of the same file. flags as open(2); never creates. -errno. */
int fd_reopen(int fd, int flags);

/* Leases, on the keeper's own descriptor. -EAGAIN: somebody has the file open (for writing). */
int lease_unwritten(int fd);   /* take it: nobody writes; who wants to waits until it is dropped, a signal telling us */
void lease_watcher(pid_t tid); /* who is told, if it is not the process: called before any lease is taken */
int lease_drop(int fd);
bool lease_alone(int fd);     /* true: nobody else has it open at all; no lease stays */
bool lease_permitted(int fd); /* false: another user's file, of which no lease will ever tell anything */

/* Which signal tells of a broken lease; before the first lease_unwritten(). */
#define LEASE_SIGNAL (SIGRTMIN + 5)

#endif
