/*
 * stream.c: an exchange that speaks in messages.
 *
 * The acknowledgements of a read are worth only as much as their newest: one that cannot go out at once waits here, and
 * is replaced by the next. It leaves when the message before it has left, in whatever call notices.
 */
#include "proto/channel.h"
#include "proto/message.h"
#include "proto/method.h"
#include "proto/process.h"
#include "proto/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ENDING_MS = 50 }; /* how long a stream that is freed may take to end by itself */

struct rpc_stream {
	struct exchange x;
	struct rpc_channel *channel; /* a reference */
	enum rpc_id id;
	bool ack_waits;
	int64_t ack;
};

int rpc_stream_open(struct rpc_channel *channel, enum rpc_id id, const void *first, struct rpc_stream **out)
{
	struct exchange_request request = {
		.path = methods[id].path, .channel_id = &channel->id, .deadline = deadline_after(0)};
	struct rpc_stream *s = calloc(1, sizeof *s);
	int rc = s ? message_pack(id, false, first, &request.first) : -ENOMEM;

	if (!rc)
		rc = exchange_open(&s->x, channel->channel, &request);
	if (rc) {
		free(s);
		return rc;
	}
	s->id = id;
	s->channel = rpc_channel_get(channel);
	*out = s;
	return 0;
}

/* The status it ended with: 0 or -errno. */
static int stream_status(const struct rpc_stream *s, struct rpc_error *error)
{
	struct rpc_error said;

	if (atomic_load(&s->x.cancelled))
		return status_none(error, -EINTR, "cancelled");
	status_say(&said, (int)s->x.status, (const char *)GRPC_SLICE_START_PTR(s->x.text),
		   GRPC_SLICE_LENGTH(s->x.text));
	if (error)
		*error = said;
	return status_errno(s->id, said.code, said.message);
}

/* ---- receiving -------------------------------------------------------------------------------------------------- */

static void ack_if_possible(struct rpc_stream *s)
{
	grpc_slice ack;

	if (!s->ack_waits || (s->x.pending & EXCHANGE_SEND) || s->x.closed || s->x.broken || s->x.ended)
		return;
	s->ack_waits = false;
	ack = message_ack(s->ack);
	exchange_send(&s->x, &ack, 1, false);
}

int rpc_stream_ack(struct rpc_stream *s, int64_t offset_received)
{
	s->ack = offset_received;
	s->ack_waits = true;
	if (s->x.pending & EXCHANGE_SEND)
		exchange_pump(&s->x);
	ack_if_possible(s);
	return 0;
}

/* 1 and a message; 0: the end; -ETIMEDOUT. */
static int next_message(struct rpc_stream *s, gpr_timespec deadline, grpc_byte_buffer **out)
{
	int rc = 0;

	while (!rc) {
		ack_if_possible(s);
		*out = exchange_take(&s->x);
		if (*out)
			return 1;
		if (exchange_over(&s->x))
			return 0;
		rc = exchange_step(&s->x, deadline);
	}
	return rc;
}

static int take_body(struct rpc_stream *s, grpc_byte_buffer *buffer, struct rpc_body *body)
{
	const grpc_slice_buffer *slices = &buffer->data.raw.slice_buffer;
	struct rpc_body unwanted;
	int rc = message_body_parse(message_body_kind(s->id, true), slices->slices, slices->count,
				    body ? body : &unwanted);

	grpc_byte_buffer_destroy(buffer);
	if (rc == 1 && !body)
		rpc_body_release(&unwanted);
	return rc ? rc : -EPROTO; /* a reply is a body or nothing */
}

static int take_reply(struct rpc_stream *s, grpc_byte_buffer *buffer, void *reply)
{
	union message unwanted;
	grpc_slice bytes;
	int rc = buffer_flatten(buffer, &bytes);

	if (rc)
		return rc;
	rc = message_unpack(s->id, true, GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes),
			    reply ? reply : &unwanted);
	grpc_slice_unref(bytes);
	if (rc)
		return rc;
	if (!reply)
		rpc_release(&unwanted);
	return 1;
}

int rpc_stream_recv(struct rpc_stream *s, unsigned timeout_ms, struct rpc_body *body, void *reply,
		    struct rpc_error *error)
{
	grpc_byte_buffer *buffer;
	int rc = next_message(s, deadline_after(timeout_ms), &buffer);

	if (rc == 0)
		return stream_status(s, error);
	if (rc < 0)
		return status_none(error, rc, "silent for %u ms", timeout_ms);
	if (message_body_kind(s->id, true) != BODY_NONE)
		rc = take_body(s, buffer, body);
	else
		rc = take_reply(s, buffer, reply);
	if (rc < 0)
		status_none(error, rc, "reply: %s", rc == -EPROTO ? message_complaint() : strerror(-rc));
	return rc;
}

int rpc_stream_drain(struct rpc_stream *s, unsigned timeout_ms, struct rpc_error *error)
{
	gpr_timespec deadline = deadline_after(timeout_ms);
	grpc_byte_buffer *buffer;
	int rc;

	while ((rc = next_message(s, deadline, &buffer)) == 1) {
		grpc_byte_buffer_destroy(buffer);
		if (deadline_passed(deadline)) { /* there is always one more */
			rc = -ETIMEDOUT;
			break;
		}
	}
	return rc ? status_none(error, rc, "no end in %u ms", timeout_ms) : stream_status(s, error);
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

/* Wait for our turn. A peer that ended with OK while we had more to say has failed us too. */
static int stream_room(struct rpc_stream *s, unsigned timeout_ms, struct rpc_error *error)
{
	int rc = exchange_room(&s->x, deadline_after(timeout_ms));

	if (rc == -ETIMEDOUT)
		return status_none(error, rc, "took nothing for %u ms", timeout_ms);
	if (!rc)
		return 0;
	rc = stream_status(s, error);
	return rc ? rc : -EIO;
}

static int stream_put(struct rpc_stream *s, grpc_slice *slices, size_t n, struct rpc_error *error)
{
	int rc = exchange_send(&s->x, slices, n, false);

	return rc ? status_none(error, rc, "cannot send") : 0;
}

int rpc_stream_send_chunk(struct rpc_stream *s, const void *data, size_t bytes, unsigned timeout_ms,
			  struct rpc_error *error)
{
	grpc_slice slices[2];
	int rc = stream_room(s, timeout_ms, error);

	if (rc)
		return rc;
	slices[0] = message_body_head(message_body_kind(s->id, false), bytes);
	slices[1] = grpc_slice_from_copied_buffer(data, bytes);
	return stream_put(s, slices, 2, error);
}

int rpc_stream_send(struct rpc_stream *s, const void *message, unsigned timeout_ms, struct rpc_error *error)
{
	grpc_slice slice;
	int rc = stream_room(s, timeout_ms, error);

	if (rc)
		return rc;
	rc = message_pack(s->id, false, message, &slice);
	if (rc)
		return status_none(error, rc, "message: %s", strerror(-rc));
	return stream_put(s, &slice, 1, error);
}

/* The last acknowledgement goes first. A stream that has ended has nothing to be closed: its status tells. */
int rpc_stream_half_close(struct rpc_stream *s, unsigned timeout_ms)
{
	grpc_slice ack;
	int rc;

	if (s->x.closed)
		return 0;
	rc = exchange_room(&s->x, deadline_after(timeout_ms));
	if (rc)
		return rc == -EPIPE ? 0 : rc;
	if (!s->ack_waits)
		return exchange_half_close(&s->x);
	s->ack_waits = false;
	ack = message_ack(s->ack);
	return exchange_send(&s->x, &ack, 1, true);
}

/* ---- ending ----------------------------------------------------------------------------------------------------- */

void rpc_stream_cancel(struct rpc_stream *s)
{
	exchange_cancel(&s->x);
}

/* What is half-closed is about to end well; a cancel could leave a block locked (spec goosefs 9.2). */
void rpc_stream_free(struct rpc_stream *s)
{
	if (!s)
		return;
	if (s->x.closed && !atomic_load(&s->x.cancelled))
		rpc_stream_drain(s, ENDING_MS, NULL);
	exchange_release(&s->x);
	rpc_channel_put(s->channel);
	free(s);
}
