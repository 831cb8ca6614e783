/*
 * message_check.c: complaints, and a walk over a message's tags.
 */
#include "proto/message_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- complaints -------------------------------------------------------------------------------------------------- */

static _Thread_local char complaint[160];

const char *message_complaint(void)
{
	return complaint;
}

int refuse(const char *field, const char *why)
{
	snprintf(complaint, sizeof(complaint), "%s: %s", field, why);
	return -EPROTO;
}

int refuse_number(const char *field, const char *why, int64_t value)
{
	snprintf(complaint, sizeof(complaint), "%s: %s: %" PRId64, field, why, value);
	return -EPROTO;
}

int refuse_negatives(const struct number *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (numbers[i].value < 0)
			return refuse_number(numbers[i].field, "negative", numbers[i].value);
	return 0;
}

/* ---- cursor ------------------------------------------------------------------------------------------------------ */

void cursor_init(struct cursor *c, const grpc_slice *slices, size_t nslices)
{
	*c = (struct cursor){.slice = slices};
	for (size_t i = 0; i < nslices; i++)
		c->end += GRPC_SLICE_LENGTH(slices[i]);
}

void cursor_skip(struct cursor *c, size_t bytes)
{
	c->pos += bytes;
	while (bytes) {
		size_t here = GRPC_SLICE_LENGTH(*c->slice) - c->off;

		if (bytes <= here) {
			c->off += bytes;
			return;
		}
		bytes -= here;
		c->slice++;
		c->off = 0;
	}
}

/* There is one. */
static uint8_t cursor_byte(struct cursor *c)
{
	while (c->off == GRPC_SLICE_LENGTH(*c->slice)) {
		c->slice++;
		c->off = 0;
	}
	c->pos++;
	return GRPC_SLICE_START_PTR(*c->slice)[c->off++];
}

static bool cursor_varint(struct cursor *c, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; shift < 70 && c->pos < c->end; shift += 7) {
		uint8_t byte = cursor_byte(c);

		*out |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool cursor_skip_if_there(struct cursor *c, size_t bytes)
{
	if (bytes > c->end - c->pos)
		return false;
	cursor_skip(c, bytes);
	return true;
}

static bool cursor_value(struct cursor *c, struct field *f)
{
	uint64_t value;

	switch (f->type) {
	case WIRE_VARINT:
		return cursor_varint(c, &value);
	case WIRE_64:
		return cursor_skip_if_there(c, 8);
	case WIRE_32:
		return cursor_skip_if_there(c, 4);
	case WIRE_BYTES:
		if (!cursor_varint(c, &value) || value > c->end - c->pos)
			return false;
		f->bytes = value;
		return true;
	default: /* groups: nobody ever used them here */
		return false;
	}
}

int cursor_next(struct cursor *c, struct field *f)
{
	uint64_t tag;

	if (c->pos == c->end)
		return 0;
	if (!cursor_varint(c, &tag) || !(tag >> 3) || tag >> 3 > 0x1fffffff)
		return -EPROTO;
	*f = (struct field){.number = (uint32_t)(tag >> 3), .type = tag & 7};
	return cursor_value(c, f) ? 1 : -EPROTO;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static int check_fields(const ProtobufCMessageDescriptor *, struct cursor *);

static int check_nested(const ProtobufCMessageDescriptor *descriptor, struct cursor *c, size_t bytes)
{
	size_t end = c->end;
	int rc;

	c->end = c->pos + bytes;
	rc = check_fields(descriptor, c);
	c->end = end;
	return rc;
}

/* A length-delimited field. The message lies in one slice, so its bytes lie together. */
static int check_bytes(const ProtobufCFieldDescriptor *known, struct cursor *c, size_t bytes)
{
	if (known && known->type == PROTOBUF_C_TYPE_MESSAGE)
		return check_nested(known->descriptor, c, bytes);
	if (known && known->type == PROTOBUF_C_TYPE_STRING && bytes &&
	    memchr(GRPC_SLICE_START_PTR(*c->slice) + c->off, 0, bytes))
		return refuse(known->name, "a NUL in a string");
	cursor_skip(c, bytes);
	return 0;
}

/* As deep as the messages are defined, and none of them contains itself. */
static int check_fields(const ProtobufCMessageDescriptor *descriptor, struct cursor *c)
{
	struct field f;
	int rc;

	while ((rc = cursor_next(c, &f)) > 0) {
		if (f.type != WIRE_BYTES)
			continue;
		rc = check_bytes(protobuf_c_message_descriptor_get_field(descriptor, f.number), c, f.bytes);
		if (rc)
			return rc;
	}
	return rc ? refuse(descriptor->short_name, "cut short, or not a message") : 0;
}

int check_wire(const ProtobufCMessageDescriptor *descriptor, const void *in, size_t bytes)
{
	grpc_slice slice = grpc_slice_from_static_buffer(in, bytes);
	struct cursor c;

	cursor_init(&c, &slice, 1);
	return check_fields(descriptor, &c);
}
