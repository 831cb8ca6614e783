/*
 * unary.c: one request, one reply; and one request, many. The caller's thread does all the work, on a queue of its own.
 */
#include "proto/channel.h"
#include "proto/message.h"
#include "proto/method.h"
#include "proto/process.h"
#include "proto/status.h"

#include <grpc/impl/codegen/propagation_bits.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct unary {
	grpc_completion_queue *queue;
	grpc_call *call;
	grpc_metadata_array headers, trailers;
	grpc_byte_buffer *request, *reply;
	grpc_status_code status;
	grpc_slice text;
};

static void unary_init(struct unary *u, struct rpc_channel *channel, enum rpc_id id, grpc_slice *request)
{
	unsigned deadline_ms = method_deadline_ms(id, channel->rpc_timeout_ms);

	memset(u, 0, sizeof *u);
	u->queue = grpc_completion_queue_create_for_pluck(NULL);
	u->call = grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS, u->queue,
					   grpc_slice_from_static_string(methods[id].path), NULL,
					   deadline_after(deadline_ms), NULL);
	u->request = grpc_raw_byte_buffer_create(request, 1);
	grpc_metadata_array_init(&u->headers);
	grpc_metadata_array_init(&u->trailers);
	u->text = grpc_empty_slice();
}

static void unary_release(struct unary *u)
{
	if (u->call)
		grpc_call_unref(u->call);
	grpc_completion_queue_shutdown(u->queue);
	grpc_completion_queue_destroy(u->queue);
	grpc_metadata_array_destroy(&u->headers);
	grpc_metadata_array_destroy(&u->trailers);
	grpc_byte_buffer_destroy(u->request);
	if (u->reply)
		grpc_byte_buffer_destroy(u->reply);
	grpc_slice_unref(u->text);
}

/* Everything in one batch, so one thing to wait for. It ends by the call's deadline, whatever the peer does. */
static int unary_run(struct unary *u, const struct rpc_channel *channel)
{
	grpc_metadata id = exchange_channel_id(channel->id);
	grpc_op ops[] = {
		{.op = GRPC_OP_SEND_INITIAL_METADATA, .data.send_initial_metadata = {.count = 1, .metadata = &id}},
		{.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = u->request},
		{.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
		{.op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &u->headers},
		{.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &u->reply},
		{.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
		 .data.recv_status_on_client = {.trailing_metadata = &u->trailers,
						.status = &u->status,
						.status_details = &u->text}},
	};

	if (!u->call)
		return -ENOMEM;
	if (grpc_call_start_batch(u->call, ops, sizeof ops / sizeof *ops, u, NULL) != GRPC_CALL_OK)
		return -EIO;
	grpc_completion_queue_pluck(u->queue, u, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	return 0;
}

static int unpack_reply(enum rpc_id id, grpc_byte_buffer *buffer, void *reply)
{
	grpc_slice bytes;
	int rc = buffer_flatten(buffer, &bytes);

	if (rc)
		return rc;
	rc = message_unpack(id, true, GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes), reply);
	grpc_slice_unref(bytes);
	return rc;
}

/* The peer's status, said in error, as -errno; the text has no end of its own. */
static int say_status(enum rpc_id id, int code, grpc_slice text, struct rpc_error *error)
{
	struct rpc_error said;

	status_say(&said, code, (const char *)GRPC_SLICE_START_PTR(text), GRPC_SLICE_LENGTH(text));
	if (error)
		*error = said;
	return status_errno(id, code, said.message);
}

static int unary_outcome(struct unary *u, enum rpc_id id, void *reply, struct rpc_error *error)
{
	int rc = say_status(id, (int)u->status, u->text, error);

	if (rc)
		return rc;
	if (!u->reply)
		return status_none(error, -EPROTO, "an end without a reply");
	rc = unpack_reply(id, u->reply, reply);
	u->reply = NULL;
	if (rc)
		status_none(error, rc, "reply: %s", rc == -EPROTO ? message_complaint() : strerror(-rc));
	return rc;
}

int rpc_unary(struct rpc_channel *channel, enum rpc_id id, const void *request, void *reply, struct rpc_error *error)
{
	grpc_slice packed;
	struct unary u;
	int rc;

	memset(reply, 0, methods[id].reply_bytes);
	rc = message_pack(id, false, request, &packed);
	if (rc)
		return status_none(error, rc, "request: %s", strerror(-rc));
	unary_init(&u, channel, id, &packed);
	grpc_slice_unref(packed);
	rc = unary_run(&u, channel);
	if (rc)
		status_none(error, rc, "%s", strerror(-rc));
	else
		rc = unary_outcome(&u, id, reply, error);
	unary_release(&u);
	return rc;
}

/* ---- a server stream -------------------------------------------------------------------------------------------- */

static int collect_one(enum rpc_id id, grpc_byte_buffer *buffer, int (*each)(void *context, const void *reply),
		       void *context, struct rpc_error *error)
{
	union message reply;
	int rc = unpack_reply(id, buffer, &reply);

	if (rc)
		return status_none(error, rc, "reply: %s", rc == -EPROTO ? message_complaint() : strerror(-rc));
	rc = each(context, &reply);
	rpc_release(&reply);
	return rc;
}

int rpc_collect(struct rpc_channel *channel, enum rpc_id id, const void *request,
		int (*each)(void *context, const void *reply), void *context, struct rpc_error *error)
{
	struct exchange_request open = {
		.path = methods[id].path,
		.channel_id = &channel->id,
		.deadline = deadline_after(method_deadline_ms(id, channel->rpc_timeout_ms)),
		.only = true,
	};
	struct exchange x;
	int rc = message_pack(id, false, request, &open.first);

	if (!rc)
		rc = exchange_open(&x, channel->channel, &open);
	if (rc)
		return status_none(error, rc, "request: %s", strerror(-rc));
	while (!rc && !exchange_over(&x)) {
		grpc_byte_buffer *buffer = exchange_take(&x);

		if (buffer)
			rc = collect_one(id, buffer, each, context, error);
		else
			exchange_step(&x, deadline_after(0));
	}
	if (!rc)
		rc = say_status(id, (int)x.status, x.text, error);
	exchange_release(&x);
	return rc;
}
