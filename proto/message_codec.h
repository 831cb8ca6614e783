/*
 * message_codec.h: what the message_*.c share: names of generated structs, memory, checks, and one codec per message.
 *
 * A codec's pack() builds the generated struct on its stack, or in the arena where there are arrays, and emits it. Its
 * unpack() lets our struct point into the generated one, which lives in the arena that becomes the message's backing.
 */
#ifndef SLIPSTREAM_PROTO_MESSAGE_CODEC_H
#define SLIPSTREAM_PROTO_MESSAGE_CODEC_H

#include "proto/goosefs.h"
#include "proto/message.h"

#include <grpc/slice.h>
#include <protobuf-c/protobuf-c.h>

/* GRPC(File__FileInfo) is the struct, GRPC_INIT(FILE__FILE_INFO) its value when empty, GRPC_WIRE(file__file_info) its shape. */
#define GRPC(name)      Com__Qcloud__Cos__Goosefs__Grpc__##name
#define GRPC_INIT(NAME) COM__QCLOUD__COS__GOOSEFS__GRPC__##NAME##__INIT
#define GRPC_WIRE(name) (&com__qcloud__cos__goosefs__grpc__##name##__descriptor)
#define DATA(name)      Com__Qcloud__Cos__Goosefs__Proto__##name
#define DATA_INIT(NAME) COM__QCLOUD__COS__GOOSEFS__PROTO__##NAME##__INIT

/* An optional number, flag or enum of a generated struct. */
#define SET(out, field, value) ((out)->has_##field = 1, (out)->field = (value))

/* ---- memory ------------------------------------------------------------------------------------------------------ */

struct arena {
	struct arena_chunk *chunks; /* what a message's backing is */
	size_t room;                /* bytes that may still be taken */
	size_t next_bytes;          /* size of the next chunk */
	bool out_of_memory, out_of_room;
};

void arena_init(struct arena *);                          /* for packing: no limit */
void arena_init_for(struct arena *, size_t bytes);        /* for a received message of so many bytes */
void *arena_array(struct arena *, size_t n, size_t size); /* zeroed; NULL if n is 0, or there is no memory */
void arena_release(struct arena_chunk *);
/* Check and unpack; *wire lives in the arena. 0, -EPROTO, -ENOMEM. */
int arena_unpack(struct arena *, const ProtobufCMessageDescriptor *, const void *in, size_t bytes, void **wire);
int arena_failure(const struct arena *); /* -ENOMEM or -EPROTO, once an allocation failed */
/* The messages of an array, as generated structs want them. NULL as arena_array(). */
void *arena_pointers(struct arena *, void *items, size_t n, size_t size);

/* ---- taking the wire apart --------------------------------------------------------------------------------------- */

struct cursor {
	const grpc_slice *slice; /* off is in this one */
	size_t off, pos, end;    /* pos, end: counted from the first slice on */
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct field {
	uint32_t number;
	unsigned type;
	size_t bytes; /* WIRE_BYTES: what follows; the cursor stands before it. Others have been skipped. */
};

void cursor_init(struct cursor *, const grpc_slice *slices, size_t nslices);
int cursor_next(struct cursor *, struct field *); /* 1; 0 at the end; -EPROTO */
void cursor_skip(struct cursor *, size_t bytes);  /* no more than there are */

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* Both note the complaint and return -EPROTO. */
int refuse(const char *field, const char *why);
int refuse_number(const char *field, const char *why, int64_t value);

struct number {
	const char *field;
	int64_t value;
};
int refuse_negatives(const struct number *, size_t n); /* 0 if there is none */
#define REFUSE_NEGATIVES(...)                                                                                          \
	refuse_negatives((const struct number[]){__VA_ARGS__},                                                         \
			 sizeof((const struct number[]){__VA_ARGS__}) / sizeof(struct number))

/* What the generated code does not tell us: a NUL inside a string, and where a message breaks off. */
int check_wire(const ProtobufCMessageDescriptor *, const void *in, size_t bytes);

/* ---- fields ------------------------------------------------------------------------------------------------------ */

/* To send: "" is absent as NULL is. Generated structs are not const, but pack() changes nothing. */
static inline char *sent(const char *s)
{
	return s && *s ? (char *)s : NULL;
}

static inline const char *received(const char *s)
{
	return s ? s : "";
}

int emit(const void *wire, const struct arena *, grpc_slice *out); /* arena may be NULL */

/* ---- codecs ------------------------------------------------------------------------------------------------------ */

struct codec {
	const ProtobufCMessageDescriptor *wire;
	int (*pack)(const void *message, struct arena *, grpc_slice *out); /* 0, -ENOMEM */
	int (*unpack)(const void *wire, void *message, struct arena *);    /* 0, -EPROTO, -ENOMEM */
};

/* name_pack() and name_unpack() of each message; message.c says which RPC uses them. */
#define CODEC(name)                                                                                                    \
	int name##_pack(const void *message, struct arena *, grpc_slice *out);                                         \
	int name##_unpack(const void *wire, void *message, struct arena *);

/* message_file.c: what is said of files */
CODEC(file_reply)
CODEC(list_reply)
/* message_plain.c: what message.def has */
CODEC(get_status)
CODEC(list_status)
CODEC(create_file)
CODEC(complete_file)
CODEC(commit_location)
CODEC(remove)
CODEC(rename)
CODEC(create_directory)
CODEC(set_attribute)
CODEC(create_symlink)
CODEC(get_link_target)
CODEC(link_target)
CODEC(schedule_persist)
CODEC(capacity)
CODEC(used)
CODEC(get_version)
CODEC(version)
CODEC(write_reply)
CODEC(open_local)
CODEC(local_block)
/* message_block.c: the data plane */
CODEC(remove_blocks)
CODEC(check_blocks)
CODEC(check_blocks_reply)
CODEC(read_request)
CODEC(write_command)
/* message_worker.c: workers, metrics */
CODEC(worker_list)
CODEC(metrics_heartbeat)

#endif
