/*
 * exchange.h: one outgoing streaming call, as bytes: what streams, server streams and the handshake have in common.
 *
 * An exchange has a completion queue of its own and no thread: whoever waits on it does its work. One message may be
 * on its way out, one receive is always outstanding, and the transport's flow control holds the rest.
 *
 * Threads: one at a time, but for exchange_cancel().
 */
#ifndef SLIPSTREAM_PROTO_EXCHANGE_H
#define SLIPSTREAM_PROTO_EXCHANGE_H

#include <grpc/grpc.h>

#include <stdatomic.h>
#include <stdbool.h>

enum exchange_op { /* also the tags of their batches */
		   EXCHANGE_SEND = 1,
		   EXCHANGE_CLOSE = 2,
		   EXCHANGE_HEADERS = 4,
		   EXCHANGE_RECV = 8,
		   EXCHANGE_STATUS = 16,
};

struct exchange {
	grpc_call *call;
	grpc_completion_queue *queue;
	unsigned pending; /* enum exchange_op, those in flight */
	bool broken;      /* a send failed: a status is on its way */
	bool closed;      /* we have sent our last */
	bool ended;       /* the status is here */
	atomic_bool cancelled;

	grpc_byte_buffer *incoming; /* valid unless EXCHANGE_RECV is pending; NULL: none */
	grpc_metadata_array headers, trailers;
	grpc_status_code status;
	grpc_slice text;
};

struct exchange_request {
	const char *path;             /* lives for ever */
	const grpc_slice *channel_id; /* NULL: none is sent */
	grpc_slice first;             /* the exchange's from now on, also on failure */
	gpr_timespec deadline;        /* of the whole call */
	bool only;                    /* half-close behind it */
};

/* 0, -ENOMEM or -EIO. Waits for nobody. */
int exchange_open(struct exchange *, grpc_channel *, const struct exchange_request *);
void exchange_release(struct exchange *); /* cancels first if it has not ended */

/* Wait for one event. 0 or -ETIMEDOUT. */
int exchange_step(struct exchange *, gpr_timespec deadline);
/* Whatever is ready, without waiting. */
void exchange_pump(struct exchange *);

/* The message that came, if any; the caller's. Asks for the next. */
grpc_byte_buffer *exchange_take(struct exchange *);
/* All messages were taken, and the status is here. */
bool exchange_over(const struct exchange *);

/* Wait until a message may be sent. 0, -ETIMEDOUT, or -EPIPE: it has ended. */
int exchange_room(struct exchange *, gpr_timespec deadline);
/* There must be room. Takes the slices, also on failure. last: half-close behind it. 0 or -EIO. */
int exchange_send(struct exchange *, grpc_slice *slices, size_t n, bool last);
int exchange_half_close(struct exchange *); /* 0 or -EIO */

void exchange_cancel(struct exchange *); /* any thread, while it lives */

/* What a peer's "channel-id" travels as. */
grpc_metadata exchange_channel_id(grpc_slice id);

/* A message as one slice; the buffer is gone. */
int buffer_flatten(grpc_byte_buffer *, grpc_slice *out); /* 0 or -EPROTO */

#endif
