/*
 * message_body.c: messages that are data and little else: ReadResponse{chunk=1{data=1}}, WriteRequest{chunk=2{data=1}}.
 *
 * Also acknowledgements, which go out once per chunk received. Neither passes through the general packer.
 */
#include "proto/message_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { COMMAND = 1, CHUNK_DATA = 1, VARINT_MAX = 10 };
#define TAG(number, type) ((uint8_t)((number) << 3 | (type)))
#define PARTS             (sizeof((struct rpc_body){0}.part) / sizeof(struct iovec))

static const uint32_t chunk_field[] = {[BODY_READ] = 1, [BODY_WRITE] = 2};

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static size_t varint_put(uint8_t *out, uint64_t value)
{
	size_t n = 0;

	for (; value > 0x7f; value >>= 7)
		out[n++] = (uint8_t)(value | 0x80);
	out[n++] = (uint8_t)value;
	return n;
}

grpc_slice message_body_head(enum message_body kind, size_t bytes)
{
	uint8_t inner[1 + VARINT_MAX] = {TAG(CHUNK_DATA, WIRE_BYTES)}, outer[1 + VARINT_MAX];
	size_t ninner = 1 + varint_put(inner + 1, bytes), nouter;
	grpc_slice head;

	outer[0] = TAG(chunk_field[kind], WIRE_BYTES);
	nouter = 1 + varint_put(outer + 1, ninner + bytes);
	head = grpc_slice_malloc(nouter + ninner);
	memcpy(GRPC_SLICE_START_PTR(head), outer, nouter);
	memcpy(GRPC_SLICE_START_PTR(head) + nouter, inner, ninner);
	return head;
}

grpc_slice message_ack(int64_t offset_received)
{
	uint8_t ack[1 + VARINT_MAX] = {TAG(6, WIRE_VARINT)};
	size_t n = 1 + varint_put(ack + 1, (uint64_t)offset_received);

	return grpc_slice_from_copied_buffer((const char *)ack, n);
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

struct backing {
	void *copy;
	size_t nslices;
	grpc_slice slices[PARTS]; /* short ones hold their bytes themselves, so parts point in here */
};

void rpc_body_release(struct rpc_body *body)
{
	struct backing *backing = body->backing;

	for (size_t i = 0; backing && i < backing->nslices; i++)
		grpc_slice_unref(backing->slices[i]);
	if (backing)
		free(backing->copy);
	free(backing);
	memset(body, 0, sizeof(*body));
}

/* Where the data lies; as with any message, the last one said counts. */
struct found {
	struct cursor at;
	size_t bytes;
	bool command;
};

static int find_data(struct cursor *c, size_t bytes, struct found *found)
{
	size_t end = c->end;
	struct field f;
	int rc;

	c->end = c->pos + bytes;
	while ((rc = cursor_next(c, &f)) > 0) {
		if (f.number == CHUNK_DATA && f.type != WIRE_BYTES)
			return -EPROTO;
		if (f.number == CHUNK_DATA) {
			found->at = *c;
			found->bytes = f.bytes;
		}
		cursor_skip(c, f.bytes);
	}
	c->end = end;
	return rc;
}

static int find(enum message_body kind, struct cursor *c, struct found *found)
{
	struct field f;
	int rc;

	while ((rc = cursor_next(c, &f)) > 0) {
		bool chunk = f.number == chunk_field[kind];
		bool command = kind == BODY_WRITE && f.number == COMMAND;

		if ((chunk || command) && f.type != WIRE_BYTES)
			return -EPROTO;
		if (command)
			*found = (struct found){.command = true};
		else if (chunk)
			found->command = false;
		if (!chunk)
			cursor_skip(c, f.bytes);
		else if (find_data(c, f.bytes, found))
			return -EPROTO;
	}
	return rc;
}

/* How much of the data lies in the cursor's slice, or in the next one if it stands at the end of one. */
static size_t piece(struct cursor *c, size_t bytes)
{
	size_t here;

	while (c->off == GRPC_SLICE_LENGTH(*c->slice)) {
		c->slice++;
		c->off = 0;
	}
	here = GRPC_SLICE_LENGTH(*c->slice) - c->off;
	return here < bytes ? here : bytes;
}

static void body_add(struct rpc_body *body, void *base, size_t bytes)
{
	body->part[body->nparts++] = (struct iovec){base, bytes};
	body->bytes += bytes;
}

static bool fits_parts(struct cursor c, size_t bytes)
{
	unsigned n = 0;

	while (bytes && n <= PARTS) {
		size_t here = piece(&c, bytes);

		cursor_skip(&c, here);
		bytes -= here;
		n++;
	}
	return n <= PARTS;
}

static void body_reference(struct rpc_body *body, struct backing *backing, struct cursor c, size_t bytes)
{
	while (bytes) {
		size_t n = piece(&c, bytes);
		grpc_slice *slice = &backing->slices[backing->nslices++];

		*slice = grpc_slice_ref(*c.slice);
		body_add(body, GRPC_SLICE_START_PTR(*slice) + c.off, n);
		cursor_skip(&c, n);
		bytes -= n;
	}
}

static void body_copy(struct rpc_body *body, char *copy, struct cursor c, size_t bytes)
{
	body_add(body, copy, bytes);
	while (bytes) {
		size_t n = piece(&c, bytes);

		memcpy(copy, GRPC_SLICE_START_PTR(*c.slice) + c.off, n);
		cursor_skip(&c, n);
		copy += n;
		bytes -= n;
	}
}

static int body_fill(struct rpc_body *body, const struct found *found)
{
	struct backing *backing;

	if (!found->bytes)
		return 0;
	backing = calloc(1, sizeof(*backing));
	if (!backing)
		return -ENOMEM;
	body->backing = backing;
	if (fits_parts(found->at, found->bytes)) {
		body_reference(body, backing, found->at, found->bytes);
		return 0;
	}
	backing->copy = malloc(found->bytes);
	if (!backing->copy) {
		rpc_body_release(body);
		return -ENOMEM;
	}
	body_copy(body, backing->copy, found->at, found->bytes);
	return 0;
}

int message_body_parse(enum message_body kind, const grpc_slice *slices, size_t nslices, struct rpc_body *body)
{
	struct found found = {0};
	struct cursor c;
	int rc;

	memset(body, 0, sizeof(*body));
	if (kind == BODY_NONE)
		return 0;
	cursor_init(&c, slices, nslices);
	if (find(kind, &c, &found))
		return refuse(kind == BODY_READ ? "ReadResponse" : "WriteRequest", "cut short, or not a message");
	if (found.command)
		return 0;
	rc = body_fill(body, &found);
	return rc ? rc : 1;
}
