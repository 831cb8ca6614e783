/*
 * rpc.h: calls to one peer, and calls from many. The only way anything above proto/ reaches gRPC.
 *
 * What travels is described by the plain structs of a dialect's header (goosefs.h); rpc.def says for each RPC
 * which struct goes out, which comes back, how long it may take, and whether it may be sent twice.
 * Everything returns 0 or -errno unless it says otherwise; where it takes a struct rpc_error, the peer's own words are there too.
 *
 * Threads: a channel may be used by any number of threads. A stream belongs to one thread at a time, but for
 *          rpc_stream_cancel(), which any thread may call while the stream lives.
 * Fork:    a channel does not survive fork (spec grpc-core, "Fork"): a child must not touch it.
 */
#ifndef SLIPSTREAM_PROTO_RPC_H
#define SLIPSTREAM_PROTO_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum rpc_id {
#define RPC(ID, ...) RPC_##ID,
#include "proto/rpc.def"
#undef RPC
	RPC_COUNT
};

/* What the peer said. code is a gRPC status code (0..16), or -1 when no status came. */
struct rpc_error {
	int code;
	bool retriable; /* spec goosefs 6.1: UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED, UNAUTHENTICATED, transport */
	bool unauthenticated; /* the channel's session is gone: replace the channel, then try again */
	char message[256];
};

/* ---- the process ------------------------------------------------------------------------------------------- */

/* Keep the heap (spec grpc-core): for our own processes only, never inside a program. Call before any other thread. */
void rpc_tune_own_process(void);

/* ---- a client's channel ------------------------------------------------------------------------------------ */

struct rpc_channel;

enum rpc_auth { RPC_AUTH_NOSASL = 0, RPC_AUTH_SIMPLE = 1 };

struct rpc_channel_options {
	enum rpc_auth auth;
	const char *user;            /* SIMPLE: who we say we are */
	unsigned connect_timeout_ms; /* 0: 30 000 */
	unsigned rpc_timeout_ms;     /* caps every deadline of rpc.def; 0: no cap */
	unsigned auth_timeout_ms;    /* 0: 30 000 */
};

/*
 * Connect to "host:port" and, with SIMPLE, shake hands (spec goosefs 4.3). The handshake's call stays open as long as the channel.
 * -EHOSTUNREACH (nobody there), -ETIMEDOUT, -EACCES (refused), -EPROTO, -ENOMEM.
 */
int rpc_channel_new(const char *address, const struct rpc_channel_options *, struct rpc_channel **, struct rpc_error *);

/* True once the handshake's call has ended, for any reason: replace the channel (spec goosefs 3). */
bool rpc_channel_dead(const struct rpc_channel *);

struct rpc_channel *rpc_channel_get(struct rpc_channel *);
void rpc_channel_put(struct rpc_channel *); /* the last put hangs up; calls in flight hold references of their own */

/* ---- unary calls, and a server stream read to its end -------------------------------------------------------- */

/*
 * request and reply are the structs that rpc.def names for this id. The reply is zeroed first; on success its
 * strings and arrays live until rpc_release(reply). Waits on the calling thread's own queue (28 us, not 38).
 * error may be NULL.
 */
int rpc_unary(struct rpc_channel *, enum rpc_id, const void *request, void *reply, struct rpc_error *error);

/* each() gets every reply message in turn, valid during the call; what it returns other than 0 ends the stream and is returned. */
int rpc_collect(struct rpc_channel *, enum rpc_id, const void *request, int (*each)(void *context, const void *reply),
		void *context, struct rpc_error *error);

/* Free what a decoded message points to. Every decoded struct begins with `void *backing`. Zeroes the backing; NULL is fine. */
void rpc_release(void *message);

/* ---- bidirectional streams, the client's end ------------------------------------------------------------------ */

struct rpc_stream;

/* Bytes of a message body, still in the transport's own buffers. */
struct rpc_body {
	struct iovec part[32]; /* in order; a chunk of 1 MiB comes in some 20 */
	unsigned nparts;
	size_t bytes; /* sum of the parts; 0 is a keep-alive, not an end */
	void *backing;
};
void rpc_body_release(struct rpc_body *);

/*
 * Start a stream with its first message (the struct rpc.def names). Does not wait for the peer (spec goosefs 9.4: a
 * worker may stay silent until the first flush). No deadline; timeout_ms below is per wait.
 */
int rpc_stream_open(struct rpc_channel *, enum rpc_id, const void *first, struct rpc_stream **);

/*
 * The next message. body is filled for streams whose reply is a body (ReadBlock), reply (may be NULL) for others.
 * Returns 1 with a message; 0 when the peer ended the stream with OK; -errno otherwise (-ETIMEDOUT: none came in
 * time, the stream is still good). -EINTR when rpc_stream_cancel() was called.
 */
int rpc_stream_recv(struct rpc_stream *, unsigned timeout_ms, struct rpc_body *body, void *reply, struct rpc_error *);

/* ReadBlock: tell how far we are. Never waits: if one is in flight, only the newest offset is kept. */
int rpc_stream_ack(struct rpc_stream *, int64_t offset_received);

/*
 * WriteBlock: one chunk. Copies data; waits while earlier messages have not been taken. If the peer ended: its status as
 * an errno, or -EIO for OK, with error filled.
 */
int rpc_stream_send_chunk(struct rpc_stream *, const void *data, size_t bytes, unsigned timeout_ms, struct rpc_error *);

/* Any further message of the stream's request type (a flush command). */
int rpc_stream_send(struct rpc_stream *, const void *message, unsigned timeout_ms, struct rpc_error *);

/* Half-close: no more from us. */
int rpc_stream_half_close(struct rpc_stream *, unsigned timeout_ms);

/* Read to the end and return the peer's status as 0 or -errno; replies on the way are dropped. */
int rpc_stream_drain(struct rpc_stream *, unsigned timeout_ms, struct rpc_error *);

void rpc_stream_cancel(struct rpc_stream *); /* reset; any thread */
void rpc_stream_free(struct rpc_stream *);   /* cancels first if the stream has not ended */

/* ---- the server's end ------------------------------------------------------------------------------------------ */

struct rpc_server;
struct rpc_call; /* one incoming call */

/*
 * Handlers run on the server's own threads, several at once, and may block. A unary handler fills the zeroed reply;
 * strings it makes live in the call (rpc_call_alloc). It returns 0, or a gRPC status code after rpc_call_fail().
 */
struct rpc_handler {
	enum rpc_id id;
	int (*unary)(void *context, struct rpc_call *, const void *request, void *reply);
	/* streams (server streams too): the first message is read; more through rpc_call_recv; returns the status to end with */
	int (*stream)(void *context, struct rpc_call *, const void *first);
};

struct rpc_server_options {
	const char *host; /* NULL: 127.0.0.1 */
	int port;         /* 0: any free one */
	enum rpc_auth auth;
	const struct rpc_handler *handlers; /* ends with a row that has neither function */
	void *context;
	/* SASL is answered by proto/ itself; getServiceVersion and authenticate need no channel-id (spec goosefs 19.1). */
};

int rpc_server_new(const struct rpc_server_options *, struct rpc_server **, int *port);
void rpc_server_revoke_all(struct rpc_server *); /* forget every authenticated id: a test of spec goosefs 4.5 */
void rpc_server_free(struct rpc_server *);       /* stops taking calls, cancels those in flight, joins its threads */

void *rpc_call_alloc(struct rpc_call *, size_t bytes); /* zeroed, lives as long as the call; NULL when out of memory */
char *rpc_call_strdup(struct rpc_call *, const char *);
const char *rpc_call_user(const struct rpc_call *); /* who authenticated; "" with NOSASL */
/* Set status and message, return code, so that a handler can say: return rpc_call_fail(call, RPC_NOT_FOUND, "..."). */
int rpc_call_fail(struct rpc_call *, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Streams: the next message from the client. For a WriteBlock chunk, body is filled and *message is NULL; otherwise
 * *message is the decoded struct, valid until the next call. Returns 1; 0 on half-close; -ECANCELED when the
 * client reset the call (told apart from a half-close, spec goosefs 19.1); -ETIMEDOUT (timeout_ms 0: no limit).
 */
int rpc_call_recv(struct rpc_call *, unsigned timeout_ms, const void **message, struct rpc_body *body);
/* Send one reply message; waits until the transport took it. -ECANCELED if the client is gone. */
int rpc_call_send(struct rpc_call *, const void *reply);
/* ReadBlock: one chunk of data; the bytes are copied or, with release, referenced until release(arg) is called. */
int rpc_call_send_chunk(struct rpc_call *, const void *data, size_t bytes, void (*release)(void *arg), void *arg);
/* Send response headers now (else with the first reply). */
int rpc_call_send_headers(struct rpc_call *);
bool rpc_call_cancelled(const struct rpc_call *);

/* gRPC status codes, by their standard numbers. */
enum {
	RPC_OK = 0,
	RPC_CANCELLED = 1,
	RPC_UNKNOWN = 2,
	RPC_INVALID_ARGUMENT = 3,
	RPC_DEADLINE_EXCEEDED = 4,
	RPC_NOT_FOUND = 5,
	RPC_ALREADY_EXISTS = 6,
	RPC_PERMISSION_DENIED = 7,
	RPC_RESOURCE_EXHAUSTED = 8,
	RPC_FAILED_PRECONDITION = 9,
	RPC_ABORTED = 10,
	RPC_OUT_OF_RANGE = 11,
	RPC_UNIMPLEMENTED = 12,
	RPC_INTERNAL = 13,
	RPC_UNAVAILABLE = 14,
	RPC_DATA_LOSS = 15,
	RPC_UNAUTHENTICATED = 16,
};

#endif
