/*
 * status.h: gRPC status to errno (spec goosefs 6.1, 6.2). One table; what a code means may depend on the call and on words.
 */
#ifndef SLIPSTREAM_PROTO_STATUS_H
#define SLIPSTREAM_PROTO_STATUS_H

#include "proto/rpc.h"

/* -errno for a status that ended a call of this id; 0 for RPC_OK. text may be NULL. */
int status_errno(enum rpc_id, int code, const char *text);

/* What the peer said; the flags follow from the code. n bytes of text, cut to fit; controls become '?'. error may be NULL. */
void status_say(struct rpc_error *error, int code, const char *text, size_t n);

/* No status came. Returns rc, so that a caller can say: return status_none(error, -ETIMEDOUT, "..."). error may be NULL. */
int status_none(struct rpc_error *error, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
