/*
 * method.h: the rows of rpc.def, as data.
 */
#ifndef SLIPSTREAM_PROTO_METHOD_H
#define SLIPSTREAM_PROTO_METHOD_H

#include "proto/goosefs.h"
#include "proto/rpc.h"

#include <grpc/slice.h>

enum method_kind { METHOD_UNARY, METHOD_COLLECT, METHOD_BIDI };

struct method {
	const char *path;
	enum method_kind kind;
	size_t reply_bytes; /* of the struct; 0: a body */
	unsigned deadline_ms;
};

extern const struct method methods[RPC_COUNT];

/* Not in rpc.def, for no message of it leaves proto/. */
#define SASL_PATH "/com.qcloud.cos.goosefs.grpc.sasl.SaslAuthenticationService/authenticate"

/* RPC_COUNT: none. */
enum rpc_id method_lookup(grpc_slice path);

/* The deadline of a call, in ms from now; cap_ms 0: no cap. */
unsigned method_deadline_ms(enum rpc_id, unsigned cap_ms);

/* Room for any decoded message. */
union message {
	void *backing;
#define body gfs_empty
#define RPC(ID, service, name, kind, request, reply, deadline, again)                                                  \
	struct request ID##_request;                                                                                   \
	struct reply ID##_reply;
#include "proto/rpc.def"
#undef RPC
#undef body
};

#endif
