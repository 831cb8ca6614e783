/*
 * message.h: protobuf-c messages to and from our structs, without copying the body.
 *
 * Only proto/ includes this: it speaks of gRPC's slices. rpc.def says which struct belongs to which RPC.
 * Everything a peer sends is checked here (see goosefs.h): what is absurd is -EPROTO, and the reason is logged by nobody but
 * said by message_complaint().
 * Threads: any; no state but message_complaint()'s, which is per thread.
 */
#ifndef SLIPSTREAM_PROTO_MESSAGE_H
#define SLIPSTREAM_PROTO_MESSAGE_H

#include "proto/rpc.h"

#include <grpc/slice.h>

enum message_body {
	BODY_NONE,
	BODY_READ,
	BODY_WRITE
}; /* where a body may stand: ReadResponse.chunk, WriteRequest.chunk */

/* The request or reply of id, packed into one new slice. 0, -EINVAL, -ENOMEM. */
int message_pack(enum rpc_id id, bool reply, const void *message, grpc_slice *out);

/* The reverse. in is contiguous. Zeroes message first; on success it owns what it points to until rpc_release(). 0, -EPROTO, -ENOMEM. */
int message_unpack(enum rpc_id id, bool reply, const void *in, size_t bytes, void *message);

/* Which of this RPC's messages can be a body. */
enum message_body message_body_kind(enum rpc_id id, bool reply);

/* Everything of a body message that precedes the data itself: tags and lengths for a chunk of this many bytes. */
grpc_slice message_body_head(enum message_body, size_t bytes);

/*
 * Take one received message apart without copying its data. slices are the transport's, in order; they are referenced
 * where body points into them. Returns 1 if it was a body (rpc_body_release() drops the references; a ReadResponse
 * without chunk is a body of no bytes), 0 if it is something else (a WriteRequest with a command: use message_unpack), -EPROTO or -ENOMEM.
 */
int message_body_parse(enum message_body, const grpc_slice *slices, size_t nslices, struct rpc_body *body);

/* Why the last -EPROTO of this thread: a field's name and what was wrong with it. Never NULL. */
const char *message_complaint(void);

/* ReadRequest{offset_received}: an acknowledgement, packed without the general packer. */
grpc_slice message_ack(int64_t offset_received);

/* SaslMessage (spec goosefs 4). Strings in a decoded one live until sasl_release(). */
struct sasl_message {
	int type; /* 0 CHALLENGE, 1 SUCCESS; unknown values decode as CHALLENGE */
	const void *message;
	size_t message_bytes;
	const char *client_id, *channel_ref; /* NULL or "": absent */
	int scheme;
	bool has_scheme; /* 1 SIMPLE */
	void *backing;
};
int sasl_pack(const struct sasl_message *, grpc_slice *out);
int sasl_unpack(const void *in, size_t bytes, struct sasl_message *out);
void sasl_release(struct sasl_message *);

#endif
