/*
 * server_call.c: one incoming call.
 *
 * A reset looks like a half-close at first: the receive gives nothing in both cases, and that the call was cancelled is
 * told a moment later (spec goosefs 19.1). But gRPC knows whether the receive ended in order or by a failure, and says so
 * when asked; only what both ways of asking call orderly is a half-close.
 */
#include "proto/exchange.h"
#include "proto/message.h"
#include "proto/process.h"
#include "proto/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ----------------------------------------------------------------------------------------------------- */

struct memory {
	struct memory *next;
	max_align_t bytes[];
};

void *rpc_call_alloc(struct rpc_call *call, size_t bytes)
{
	struct memory *memory = bytes < SIZE_MAX / 2 ? calloc(1, sizeof *memory + bytes) : NULL;

	if (!memory)
		return NULL;
	memory->next = call->memory;
	call->memory = memory;
	return memory->bytes;
}

char *rpc_call_strdup(struct rpc_call *call, const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = rpc_call_alloc(call, n);

	return copy ? memcpy(copy, text, n) : NULL;
}

static void memory_free(struct rpc_call *call)
{
	for (struct memory *m = call->memory, *next; m; m = next) {
		next = m->next;
		free(m);
	}
	call->memory = NULL;
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static int start_batch(struct rpc_call *call, const grpc_op *ops, size_t n, enum call_op tag)
{
	if (grpc_call_start_batch(call->call, ops, n, (void *)(uintptr_t)tag, NULL) != GRPC_CALL_OK)
		return -EIO;
	call->pending |= tag;
	return 0;
}

static int arm_recv(struct rpc_call *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->incoming};

	call->incoming = NULL;
	return start_batch(call, &op, 1, CALL_RECV);
}

static int arm_close(struct rpc_call *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &call->reset};

	return start_batch(call, &op, 1, CALL_CLOSE);
}

static int call_step(struct rpc_call *call, gpr_timespec deadline)
{
	grpc_event event = grpc_completion_queue_next(call->queue, deadline, NULL);
	enum call_op op = (enum call_op)(uintptr_t)event.tag;

	if (event.type != GRPC_OP_COMPLETE)
		return -ETIMEDOUT;
	call->pending &= ~(unsigned)op;
	if (op == CALL_SEND && !event.success)
		call->broken = true;
	return 0;
}

static void call_pump(struct rpc_call *call)
{
	while (!call_step(call, gpr_time_0(GPR_CLOCK_MONOTONIC)))
		;
}

static bool was_reset(const struct rpc_call *call)
{
	return !(call->pending & CALL_CLOSE) && call->reset;
}

/* For the handler's thread: it may find the news in its own queue. */
bool rpc_call_cancelled(const struct rpc_call *asked)
{
	struct rpc_call *call = (struct rpc_call *)asked;

	call_pump(call);
	return was_reset(call);
}

bool call_has_news(struct rpc_call *call)
{
	call_pump(call);
	return !(call->pending & CALL_RECV);
}

/* ---- receiving -------------------------------------------------------------------------------------------------- */

static int end_of_messages(struct rpc_call *call)
{
	if (grpc_call_failed_before_recv_message(call->call) || rpc_call_cancelled(call))
		return -ECANCELED;
	call->half_closed = true;
	return 0;
}

int call_take(struct rpc_call *call, unsigned timeout_ms, grpc_byte_buffer **out)
{
	gpr_timespec deadline = deadline_after(timeout_ms);

	*out = NULL;
	if (call->half_closed)
		return rpc_call_cancelled(call) ? -ECANCELED : 0;
	while (call->pending & CALL_RECV)
		if (call_step(call, deadline))
			return -ETIMEDOUT;
	if (!call->incoming)
		return end_of_messages(call);
	*out = call->incoming;
	arm_recv(call);
	return 1;
}

static int decode(struct rpc_call *call, grpc_byte_buffer *buffer, union message *message)
{
	grpc_slice bytes;
	int rc = buffer_flatten(buffer, &bytes);

	if (rc)
		return rc;
	rc = message_unpack(call->id, false, GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes), message);
	grpc_slice_unref(bytes);
	if (rc)
		message->backing = NULL;
	return rc ? rc : 1;
}

/* 1: it is a body; 0: something else. */
static int decode_body(struct rpc_call *call, const grpc_byte_buffer *buffer, struct rpc_body *body)
{
	const grpc_slice_buffer *slices = &buffer->data.raw.slice_buffer;
	enum message_body kind = message_body_kind(call->id, false);

	return kind == BODY_NONE ? 0 : message_body_parse(kind, slices->slices, slices->count, body);
}

int rpc_call_recv(struct rpc_call *call, unsigned timeout_ms, const void **message, struct rpc_body *body)
{
	grpc_byte_buffer *buffer;
	int rc;

	*message = NULL;
	memset(body, 0, sizeof *body);
	rpc_release(&call->next);
	rc = call_take(call, timeout_ms, &buffer);
	if (rc != 1)
		return rc;
	rc = decode_body(call, buffer, body);
	if (rc) {
		grpc_byte_buffer_destroy(buffer);
		return rc;
	}
	rc = decode(call, buffer, &call->next);
	if (rc == 1)
		*message = &call->next;
	return rc;
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* Wait for our turn. */
static int call_room(struct rpc_call *call)
{
	while ((call->pending & CALL_SEND) && !was_reset(call))
		call_step(call, deadline_after(0));
	return call->broken || was_reset(call) ? -ECANCELED : 0;
}

/* Response headers, if they have not gone yet: the first operation of whatever batch comes first. */
static size_t headers_first(struct rpc_call *call, grpc_op *ops)
{
	if (call->headers_sent)
		return 0;
	call->headers_sent = true;
	ops[0] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
	return 1;
}

int call_put(struct rpc_call *call, grpc_slice *slices, size_t nslices)
{
	grpc_byte_buffer *message = grpc_raw_byte_buffer_create(slices, nslices);
	grpc_op ops[2];
	size_t n;
	int rc = call_room(call);

	for (size_t i = 0; i < nslices; i++)
		grpc_slice_unref(slices[i]);
	if (!rc) {
		n = headers_first(call, ops);
		ops[n++] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message};
		rc = start_batch(call, ops, n, CALL_SEND);
	}
	grpc_byte_buffer_destroy(message);
	return rc ? -ECANCELED : 0;
}

int rpc_call_send(struct rpc_call *call, const void *reply)
{
	grpc_slice slice;
	int rc = message_pack(call->id, true, reply, &slice);

	if (!rc)
		rc = call_put(call, &slice, 1);
	return rc ? rc : call_room(call);
}

int rpc_call_send_headers(struct rpc_call *call)
{
	grpc_op op;
	int rc = call_room(call);

	if (rc || !headers_first(call, &op))
		return rc;
	return start_batch(call, &op, 1, CALL_SEND) ? -ECANCELED : 0;
}

/* Somebody else's bytes, lent to the transport. */
struct loan {
	void (*release)(void *arg);
	void *arg;
	atomic_uint passed; /* what was written before the loan is seen by whoever ends it */
};

static void loan_end(void *p)
{
	struct loan *loan = p;

	atomic_load(&loan->passed);
	loan->release(loan->arg);
	free(loan);
}

static int lend(const void *data, size_t bytes, void (*release)(void *arg), void *arg, grpc_slice *out)
{
	struct loan *loan = malloc(sizeof *loan);

	if (!loan) {
		release(arg);
		return -ENOMEM;
	}
	loan->release = release;
	loan->arg = arg;
	atomic_init(&loan->passed, 0);
	atomic_store(&loan->passed, 1);
	*out = grpc_slice_new_with_user_data((void *)data, bytes, loan_end, loan);
	return 0;
}

/* One chunk is on its way while the handler fetches the next. */
int rpc_call_send_chunk(struct rpc_call *call, const void *data, size_t bytes, void (*release)(void *arg), void *arg)
{
	grpc_slice slices[2];
	int rc = 0;

	if (release)
		rc = lend(data, bytes, release, arg, &slices[1]);
	else
		slices[1] = grpc_slice_from_copied_buffer(data, bytes);
	if (rc)
		return rc;
	slices[0] = message_body_head(message_body_kind(call->id, true), bytes);
	return call_put(call, slices, 2);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

const char *rpc_call_user(const struct rpc_call *call)
{
	return call->user;
}

int rpc_call_fail(struct rpc_call *call, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(call->text, sizeof call->text, format, args);
	va_end(args);
	return code;
}

static void call_reset(struct rpc_call *call)
{
	call->call = NULL;
	call->id = RPC_COUNT;
	call->user = "";
	call->pending = 0;
	call->headers_sent = call->broken = call->half_closed = false;
	call->reset = 0;
	call->incoming = NULL;
	call->first.backing = call->next.backing = NULL;
	call->memory = NULL;
	call->text[0] = '\0';
	grpc_call_details_init(&call->details);
	grpc_metadata_array_init(&call->metadata);
}

static void call_forget(struct rpc_call *call)
{
	rpc_release(&call->first);
	rpc_release(&call->next);
	memory_free(call);
	if (call->incoming)
		grpc_byte_buffer_destroy(call->incoming);
	if (call->call)
		grpc_call_unref(call->call);
	grpc_call_details_destroy(&call->details);
	grpc_metadata_array_destroy(&call->metadata);
}

/*
 * A queue that only waits. Whoever waits for new calls does the work of all connections: were those who wait for a
 * message to take turns at that, each packet would wake two threads.
 */
static grpc_completion_queue *queue_new(void)
{
	grpc_completion_queue_attributes waits = {
		.version = GRPC_CQ_CURRENT_VERSION,
		.cq_completion_type = GRPC_CQ_NEXT,
		.cq_polling_type = GRPC_CQ_NON_POLLING,
	};

	return grpc_completion_queue_create(grpc_completion_queue_factory_lookup(&waits), &waits, NULL);
}

struct rpc_call *call_new(struct rpc_server *server)
{
	struct rpc_call *call = calloc(1, sizeof *call);

	if (!call)
		return NULL;
	call->server = server;
	call->queue = queue_new();
	call_reset(call);
	return call;
}

void call_free(struct rpc_call *call)
{
	call_forget(call);
	grpc_completion_queue_shutdown(call->queue);
	while (grpc_completion_queue_next(call->queue, deadline_after(0), NULL).type != GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(call->queue);
	free(call);
}

void call_begin(struct rpc_call *call)
{
	arm_close(call);
	arm_recv(call);
}

/* ops[0..n) go out with the status, in one packet. */
static void finish(struct rpc_call *call, int code, grpc_byte_buffer *reply)
{
	grpc_slice text = grpc_slice_from_copied_string(call->text);
	grpc_op ops[3];
	size_t n;

	call_room(call);
	n = headers_first(call, ops);
	if (reply)
		ops[n++] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = reply};
	ops[n++] = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
			     .data.send_status_from_server = {.status = (grpc_status_code)code,
							      .status_details = code ? &text : NULL}};
	while (call->pending & CALL_SEND) /* of a call that was reset */
		call_step(call, deadline_after(0));
	if (start_batch(call, ops, n, CALL_SEND))
		grpc_call_cancel(call->call, NULL);
	while (call->pending)
		call_step(call, deadline_after(0));
	grpc_slice_unref(text);
	call_forget(call);
	call_reset(call);
}

void call_end(struct rpc_call *call, int code)
{
	finish(call, code, NULL);
}

void call_end_with(struct rpc_call *call, const void *reply)
{
	grpc_byte_buffer *buffer;
	grpc_slice slice;

	if (message_pack(call->id, true, reply, &slice)) {
		call_end(call, rpc_call_fail(call, RPC_INTERNAL, "A reply that cannot be packed"));
		return;
	}
	buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	finish(call, RPC_OK, buffer);
	grpc_byte_buffer_destroy(buffer);
}
