#include "proto/exchange.h"
#include "proto/process.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/impl/codegen/propagation_bits.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

static int start_batch(struct exchange *x, const grpc_op *ops, size_t n, enum exchange_op tag)
{
	if (grpc_call_start_batch(x->call, ops, n, (void *)(uintptr_t)tag, NULL) != GRPC_CALL_OK)
		return -EIO;
	x->pending |= tag;
	return 0;
}

static int arm_recv(struct exchange *x)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &x->incoming};

	x->incoming = NULL;
	return start_batch(x, &op, 1, EXCHANGE_RECV);
}

static int arm_headers(struct exchange *x)
{
	grpc_op op = {.op = GRPC_OP_RECV_INITIAL_METADATA,
		      .data.recv_initial_metadata.recv_initial_metadata = &x->headers};

	return start_batch(x, &op, 1, EXCHANGE_HEADERS);
}

static int arm_status(struct exchange *x)
{
	grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
		      .data.recv_status_on_client = {
			      .trailing_metadata = &x->trailers, .status = &x->status, .status_details = &x->text}};

	return start_batch(x, &op, 1, EXCHANGE_STATUS);
}

grpc_metadata exchange_channel_id(grpc_slice id)
{
	return (grpc_metadata){.key = grpc_slice_from_static_string("channel-id"), .value = id};
}

/* Headers, first message, and the end if that is all: one batch, so that they share a packet. */
static int send_first(struct exchange *x, const struct exchange_request *request, grpc_byte_buffer *first)
{
	grpc_metadata id = {0};
	grpc_op ops[3] = {
		{.op = GRPC_OP_SEND_INITIAL_METADATA},
		{.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = first},
		{.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
	};

	if (request->channel_id) {
		id = exchange_channel_id(*request->channel_id);
		ops[0].data.send_initial_metadata.count = 1;
		ops[0].data.send_initial_metadata.metadata = &id;
	}
	x->closed = request->only;
	return start_batch(x, ops, request->only ? 3 : 2, EXCHANGE_SEND);
}

/* In this order (spec goosefs 3): no receive before the headers were asked for, and no status without. */
static int start_all(struct exchange *x, const struct exchange_request *request)
{
	grpc_byte_buffer *first;
	grpc_slice message = request->first;
	int rc;

	first = grpc_raw_byte_buffer_create(&message, 1);
	rc = send_first(x, request, first);
	grpc_byte_buffer_destroy(first);
	if (!rc)
		rc = arm_status(x);
	if (!rc)
		rc = arm_headers(x);
	if (!rc)
		rc = arm_recv(x);
	return rc;
}

int exchange_open(struct exchange *x, grpc_channel *channel, const struct exchange_request *request)
{
	int rc = -ENOMEM;

	memset(x, 0, sizeof *x);
	x->text = grpc_empty_slice();
	grpc_metadata_array_init(&x->headers);
	grpc_metadata_array_init(&x->trailers);
	x->queue = grpc_completion_queue_create_for_next(NULL);
	x->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, x->queue,
					   grpc_slice_from_static_string(request->path), NULL, request->deadline, NULL);
	if (x->call)
		rc = start_all(x, request);
	grpc_slice_unref(request->first);
	if (rc)
		exchange_release(x);
	return rc;
}

static void queue_free(grpc_completion_queue *queue)
{
	grpc_completion_queue_shutdown(queue);
	while (grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type != GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(queue);
}

void exchange_release(struct exchange *x)
{
	if (x->call && !x->ended)
		grpc_call_cancel(x->call, NULL);
	while (x->pending)
		exchange_step(x, gpr_inf_future(GPR_CLOCK_MONOTONIC));
	if (x->call)
		grpc_call_unref(x->call);
	if (x->incoming)
		grpc_byte_buffer_destroy(x->incoming);
	queue_free(x->queue);
	grpc_metadata_array_destroy(&x->headers);
	grpc_metadata_array_destroy(&x->trailers);
	grpc_slice_unref(x->text);
}

int exchange_step(struct exchange *x, gpr_timespec deadline)
{
	grpc_event event = grpc_completion_queue_next(x->queue, deadline, NULL);
	enum exchange_op op = (enum exchange_op)(uintptr_t)event.tag;

	if (event.type != GRPC_OP_COMPLETE)
		return -ETIMEDOUT;
	x->pending &= ~(unsigned)op;
	if (op == EXCHANGE_STATUS)
		x->ended = true;
	if ((op == EXCHANGE_SEND || op == EXCHANGE_CLOSE) && !event.success)
		x->broken = true;
	return 0;
}

void exchange_pump(struct exchange *x)
{
	while (!exchange_step(x, gpr_time_0(GPR_CLOCK_MONOTONIC)))
		;
}

grpc_byte_buffer *exchange_take(struct exchange *x)
{
	grpc_byte_buffer *message;

	if ((x->pending & EXCHANGE_RECV) || !x->incoming)
		return NULL;
	message = x->incoming;
	x->incoming = NULL;
	if (!x->ended)
		arm_recv(x); /* else nothing more can come */
	return message;
}

bool exchange_over(const struct exchange *x)
{
	return x->ended && !(x->pending & EXCHANGE_RECV) && !x->incoming;
}

/*
 * The status comes only behind the messages before it, so those are lost: nobody waits for them once sending failed. A
 * peer that has always another one ready would keep us here: no step waits then, so none is late.
 */
static int wait_end(struct exchange *x, gpr_timespec deadline)
{
	int rc = 0;

	while (!rc && !x->ended) {
		grpc_byte_buffer *message = exchange_take(x);

		if (message)
			grpc_byte_buffer_destroy(message);
		rc = deadline_passed(deadline) ? -ETIMEDOUT : exchange_step(x, deadline);
	}
	return rc ? rc : -EPIPE;
}

int exchange_room(struct exchange *x, gpr_timespec deadline)
{
	int rc = 0;

	exchange_pump(x);
	while (!rc && !x->ended && !x->broken && (x->pending & EXCHANGE_SEND))
		rc = exchange_step(x, deadline);
	if (!rc && (x->ended || x->broken))
		rc = wait_end(x, deadline);
	return rc;
}

int exchange_send(struct exchange *x, grpc_slice *slices, size_t n, bool last)
{
	grpc_byte_buffer *message = grpc_raw_byte_buffer_create(slices, n);
	grpc_op ops[2] = {
		{.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
		{.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
	};
	int rc = start_batch(x, ops, last ? 2 : 1, EXCHANGE_SEND);

	grpc_byte_buffer_destroy(message);
	for (size_t i = 0; i < n; i++)
		grpc_slice_unref(slices[i]);
	if (!rc && last)
		x->closed = true;
	return rc;
}

int exchange_half_close(struct exchange *x)
{
	grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};

	if (x->closed)
		return 0;
	x->closed = true;
	return start_batch(x, &op, 1, EXCHANGE_CLOSE);
}

void exchange_cancel(struct exchange *x)
{
	atomic_store(&x->cancelled, true);
	grpc_call_cancel(x->call, NULL);
}

int buffer_flatten(grpc_byte_buffer *buffer, grpc_slice *out)
{
	grpc_byte_buffer_reader reader;
	int rc = -EPROTO;

	if (grpc_byte_buffer_reader_init(&reader, buffer)) {
		*out = grpc_byte_buffer_reader_readall(&reader);
		grpc_byte_buffer_reader_destroy(&reader);
		rc = 0;
	}
	grpc_byte_buffer_destroy(buffer);
	return rc;
}
