/*
 * session.h: questions to the session's keeper.
 *
 * Threads: any; one exchange owns one connection. Async-signal-safe; never allocates. Not interrupted by handled signals,
 * as a disk is not.
 */
#ifndef SLIPSTREAM_SHIM_SESSION_H
#define SLIPSTREAM_SHIM_SESSION_H

#include "client/session.h"
#include "shim/path.h"

struct call {
	struct session_request request;
	const char *path; /* sent with its NUL; NULL: none */
	const void *data; /* sent after it */
	unsigned data_bytes;
	struct session_reply reply;
	void *in; /* where the payload of the reply goes; reply.bytes of it are valid */
	unsigned in_bytes;
	int fd;        /* received, or -1 */
	bool cloexec;  /* of it */
	bool needs_fd; /* ask only if there is a number for it */
};

/* The keeper's rc: >= 0, -errno or SESSION_ELSEWHERE. Fills c->reply, c->in, c->fd. */
long session_call(struct call *c);

/* Begin a call about a path, or the record it stands for. */
void call_where(struct call *c, enum session_op op, const struct where *w);
void call_record(struct call *c, enum session_op op, int record);

/* The call of a handler with a path: SESSION_ELSEWHERE turns w into the ordinary path to use instead. */
long call_do(struct call *c, struct where *w);

/* A vfork child: our memory, not our descriptors. */
bool session_vfork_child(void);
/* After fork, exec refused, setuid: forget the connections, close them. */
void session_drop(void);
/* Is this number one of our connections? */
bool session_private(int fd);
/* Lowest number that may be; INT_MAX: none. */
extern HIDDEN _Atomic int session_private_low;

/* A thread may have file system ids of its own, which else are the effective ones. */
extern _Atomic bool session_fsids;

/* The page cache, or NULL. */
const struct session_cache *session_cache(void);

#endif
