/*
 * session.h: the directories of this user's sessions, and asking who keeps one. What lies in them: client/session.h.
 */
#ifndef SLIPSTREAM_TOOLS_SESSION_H
#define SLIPSTREAM_TOOLS_SESSION_H

#include "client/session.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* A new one, private. 0 or -errno. */
int session_new(char out[PATH_MAX]);
int session_listen(const char *dir);  /* its socket, made: a descriptor or -errno */
int session_connect(const char *dir); /* a descriptor; -ENOENT, -ECONNREFUSED: nobody keeps it */

/*
 * One request without a payload. The reply's rc; -EPIPE when there is no keeper or it went away, -ETIMEDOUT.
 *
 * timeout_ms  0: as long as it takes
 * text        the reply's payload, NUL-terminated, cut at size
 */
int64_t session_ask(const char *dir, enum session_op, unsigned timeout_ms, char *text, size_t size);

/* Each directory of a session that there is, alive or not. A nonzero return ends it and is returned. */
typedef int session_fn(void *context, const char *dir);
int session_each(session_fn *, void *context);

bool session_alive(const char *dir); /* does somebody keep it, or is it being started? */
/* Remove what a dead session left in its directory. 0, -EBUSY (not dead), -errno. */
int session_remove(const char *dir);

#endif
