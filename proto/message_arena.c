/*
 * message_arena.c: memory for one message, taken piece by piece and given back at once.
 *
 * A received message may take a multiple of its own bytes and no more: two bytes on the wire are enough for an empty
 * FileInfo, which is some hundred times as large here. What we really receive needs a fifth of the limit at most. And there
 * is a limit to all: a file of a million blocks stays below it.
 */
#include "proto/message_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	ALIGN = sizeof(int64_t),
	CHUNK_BYTES = 512,
	ROOM_FACTOR = 128,
	ROOM_LEAST = 64 << 10,
	ROOM_MOST = 1 << 30,
};

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	_Alignas(ALIGN) char data[];
};

void arena_init(struct arena *arena)
{
	*arena = (struct arena){.room = SIZE_MAX, .next_bytes = CHUNK_BYTES};
}

void arena_init_for(struct arena *arena, size_t bytes)
{
	arena_init(arena);
	arena->room = bytes < ROOM_MOST / ROOM_FACTOR ? bytes * ROOM_FACTOR + ROOM_LEAST : ROOM_MOST;
	arena->next_bytes += bytes < ROOM_MOST / 8 ? 4 * bytes : 0;
}

static bool arena_grow(struct arena *arena, size_t bytes)
{
	size_t size = bytes > arena->next_bytes ? bytes : arena->next_bytes;
	struct arena_chunk *chunk = malloc(sizeof(*chunk) + size);

	if (!chunk)
		return false;
	*chunk = (struct arena_chunk){.next = arena->chunks, .size = size};
	arena->chunks = chunk;
	arena->next_bytes = 2 * size;
	return true;
}

static void *arena_alloc(struct arena *arena, size_t bytes)
{
	struct arena_chunk *chunk = arena->chunks;
	void *piece;

	if (bytes > arena->room || bytes > SIZE_MAX / 4) {
		arena->out_of_room = true;
		return NULL;
	}
	bytes = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if ((!chunk || bytes > chunk->size - chunk->used) && !arena_grow(arena, bytes)) {
		arena->out_of_memory = true;
		return NULL;
	}
	chunk = arena->chunks;
	piece = chunk->data + chunk->used;
	chunk->used += bytes;
	arena->room -= bytes < arena->room ? bytes : arena->room;
	return piece;
}

void *arena_array(struct arena *arena, size_t n, size_t size)
{
	size_t bytes;
	void *array;

	if (!n)
		return NULL;
	if (__builtin_mul_overflow(n, size, &bytes)) {
		arena->out_of_room = true;
		return NULL;
	}
	array = arena_alloc(arena, bytes);
	return array ? memset(array, 0, bytes) : NULL;
}

void *arena_pointers(struct arena *arena, void *items, size_t n, size_t size)
{
	void **pointers = arena_array(arena, n, sizeof(*pointers));

	for (size_t i = 0; pointers && i < n; i++)
		pointers[i] = (char *)items + i * size;
	return pointers;
}

void arena_release(struct arena_chunk *chunk)
{
	while (chunk) {
		struct arena_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

int arena_failure(const struct arena *arena)
{
	return arena->out_of_memory ? -ENOMEM : refuse("message", "more entries than its bytes should hold");
}

static void *alloc_for_wire(void *arena, size_t bytes)
{
	return arena_alloc(arena, bytes);
}

static void free_for_wire(void *arena, void *piece)
{
	(void)arena, (void)piece;
}

int arena_unpack(struct arena *arena, const ProtobufCMessageDescriptor *descriptor, const void *in, size_t bytes,
		 void **wire)
{
	ProtobufCAllocator allocator = {alloc_for_wire, free_for_wire, arena};
	ProtobufCMessage *message;
	int rc = check_wire(descriptor, in, bytes);

	if (rc)
		return rc;
	message = protobuf_c_message_unpack(descriptor, &allocator, bytes, in);
	if (arena->out_of_memory || arena->out_of_room)
		return arena_failure(arena);
	if (!message)
		return refuse(descriptor->short_name, "malformed, or a required field is missing");
	*wire = message;
	return 0;
}
