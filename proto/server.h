/*
 * server.h: what the parts of the server know of each other: server.c takes calls and has threads for them,
 * server_call.c is one call, server_sessions.c who is authenticated.
 */
#ifndef SLIPSTREAM_PROTO_SERVER_H
#define SLIPSTREAM_PROTO_SERVER_H

#include "proto/method.h"
#include "proto/rpc.h"

#include <grpc/grpc.h>

#include <pthread.h>
#include <stdatomic.h>

/* ---- sessions --------------------------------------------------------------------------------------------------- */

struct session; /* one authenticated id, as long as its call lives */

enum { SESSION_BUCKETS = 256 };

struct sessions {
	pthread_mutex_t lock;
	struct session *buckets[SESSION_BUCKETS];
};

void sessions_init(struct sessions *);
void sessions_release(struct sessions *);
void sessions_revoke_all(struct sessions *);

/* Is this id known? Then who it is, in the call's memory. */
bool sessions_find(struct sessions *, grpc_slice id, struct rpc_call *, const char **user);

/* The authenticate call, from its first message to its end; the status to end with. */
int sessions_serve(struct sessions *, struct rpc_call *);

/* ---- one call --------------------------------------------------------------------------------------------------- */

enum call_op { CALL_SEND = 1, CALL_RECV = 2, CALL_CLOSE = 4 }; /* also the tags of their batches */

struct rpc_call {
	struct rpc_server *server;
	grpc_completion_queue *queue; /* of this call alone; its handler's thread waits on it */

	/* filled by gRPC when a client calls */
	grpc_call *call;
	grpc_call_details details;
	grpc_metadata_array metadata;
	atomic_uint passed; /* what one thread wrote here another sees: gRPC carries the pointer between them */

	enum rpc_id id;
	unsigned number; /* of the server's calls */
	const char *user;

	unsigned pending; /* enum call_op, those in flight */
	bool headers_sent;
	bool broken; /* a send failed: the client is gone */
	bool half_closed;
	int reset;                  /* valid once CALL_CLOSE is not pending: the client went without an orderly end */
	grpc_byte_buffer *incoming; /* valid unless CALL_RECV is pending; NULL: none */

	union message first, next; /* decoded; not backed: none */
	struct memory *memory;     /* of rpc_call_alloc() */
	char text[256];            /* of rpc_call_fail() */
};

struct rpc_call *call_new(struct rpc_server *); /* NULL: out of memory */
void call_free(struct rpc_call *);

void call_begin(struct rpc_call *);         /* gRPC has filled it */
void call_end(struct rpc_call *, int code); /* send the status, wait until all is over; ready to be filled again */
void call_end_with(struct rpc_call *, const void *reply); /* the same, with OK and a reply */

/* The message, or the end, is here already. */
bool call_has_news(struct rpc_call *);
/* The next message as it came. 1, 0, -ECANCELED, -ETIMEDOUT as rpc_call_recv(). */
int call_take(struct rpc_call *, unsigned timeout_ms, grpc_byte_buffer **out);
/* Takes the slices. 0 or -ECANCELED. May return while the message is still on its way. */
int call_put(struct rpc_call *, grpc_slice *slices, size_t n);

#endif
