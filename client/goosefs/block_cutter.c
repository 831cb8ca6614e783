#include "client/goosefs/block_cutter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void block_cutter_init(struct block_cutter *c, const struct block_sink *sink, void *context, size_t chunk_size,
		       int64_t block_size)
{
	*c = (struct block_cutter){
		.sink = sink, .context = context, .chunk_size = chunk_size, .block_size = block_size};
}

void block_cutter_release(struct block_cutter *c)
{
	free(c->pending);
	c->pending = NULL;
	c->npending = 0;
}

static int pend(struct block_cutter *c, const void *buf, size_t n)
{
	if (!c->pending)
		c->pending = malloc(c->chunk_size);
	if (!c->pending)
		return -ENOMEM;
	memcpy(c->pending + c->npending, buf, n);
	c->npending += n;
	return 0;
}

static int send_pending(struct block_cutter *c)
{
	int rc = c->npending ? c->sink->chunk(c->context, c->pending, c->npending) : 0;

	if (!rc)
		c->npending = 0;
	return rc;
}

/* Whole chunks go out of buf itself; only what is left over is copied. */
static int append(struct block_cutter *c, const unsigned char *buf, size_t n)
{
	int rc = 0;

	if (c->npending) {
		size_t room = c->chunk_size - c->npending, take = n < room ? n : room;

		rc = pend(c, buf, take);
		if (!rc && c->npending == c->chunk_size)
			rc = send_pending(c);
		buf += take;
		n -= take;
	}
	for (; !rc && n >= c->chunk_size; buf += c->chunk_size, n -= c->chunk_size)
		rc = c->sink->chunk(c->context, buf, c->chunk_size);
	return rc || !n ? rc : pend(c, buf, n);
}

static int block_end(struct block_cutter *c, bool last)
{
	int rc = send_pending(c);

	if (!rc)
		rc = c->sink->close(c->context, last);
	if (rc)
		return rc;
	c->open = false;
	c->number++;
	c->block_bytes = 0;
	return 0;
}

ssize_t block_cutter_step(struct block_cutter *c, const void *buf, size_t n)
{
	int64_t room;
	int rc = 0;

	if (c->open && c->block_bytes == c->block_size)
		rc = block_end(c, false);
	if (!rc && !c->open) {
		rc = c->sink->open(c->context, c->number);
		c->open = !rc;
	}
	if (rc)
		return rc;
	room = c->block_size - c->block_bytes;
	if ((int64_t)n > room)
		n = (size_t)room;
	rc = append(c, buf, n);
	if (rc)
		return rc;
	c->block_bytes += (int64_t)n;
	return (ssize_t)n;
}

int block_cutter_finish(struct block_cutter *c)
{
	return c->open ? block_end(c, true) : 0;
}

int64_t block_cutter_start(const struct block_cutter *c)
{
	return c->number * c->block_size;
}

int block_cutter_reopen(struct block_cutter *c)
{
	int rc = c->sink->open(c->context, c->number);

	c->npending = 0;
	c->open = !rc || c->block_bytes;
	return rc;
}

int block_cutter_again(struct block_cutter *c, const void *buf, size_t n)
{
	return append(c, buf, n);
}

int block_cutter_replay(struct block_cutter *c, refill_fn *refill, void *context)
{
	unsigned char *buf = NULL;
	int rc = block_cutter_reopen(c);

	if (!rc && c->block_bytes) {
		buf = malloc(c->chunk_size);
		rc = buf ? 0 : -ENOMEM;
	}
	for (int64_t done = 0; !rc && done < c->block_bytes;) {
		int64_t left = c->block_bytes - done;
		size_t n = left < (int64_t)c->chunk_size ? (size_t)left : c->chunk_size;

		rc = refill(context, buf, n, block_cutter_start(c) + done);
		if (!rc)
			rc = block_cutter_again(c, buf, n);
		done += (int64_t)n;
	}
	free(buf);
	return rc;
}
