/*
 * ufs_stream.c: to the cutter, the file is one block without an end.
 */
#include "client/goosefs/ufs_stream.h"
#include "client/goosefs/clock.h"
#include "client/goosefs/write_stream.h"
#include "client/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RENEWALS_MAX = 3 };

struct ufs_stream {
	struct backend *backend;
	char *path, *owner, *group;
	struct gfs_write_command first; /* its strings are those above */
	struct block_cutter cutter;
	struct ring *ring; /* of the stream's worker */
	struct write_stream stream;
	unsigned renewals;
	bool ended;
};

/* ---- the stream -------------------------------------------------------------------------------------------------- */

/* Of the second choice are those who failed lately, and those who want nothing written. */
static bool eligible(const struct ufs_stream *u, const struct ring_worker *worker, bool second_choice)
{
	bool doubtful = worker->forbid_write || worker_failed(u->backend->workers, worker->address);

	return *worker->host && doubtful == second_choice;
}

/* Any worker, whatever its blocks; one after the other as long as one answer may take. */
static int open_anywhere(struct ufs_stream *u)
{
	unsigned n = u->ring->nworkers, start = n ? (unsigned)((uint64_t)op_id_new().most % n) : 0;
	int64_t deadline = now_ms() + u->backend->rpc_timeout_ms;
	int rc = 0;

	for (unsigned i = 0; i < 2 * n && now_ms() < deadline; i++) {
		const struct ring_worker *worker = &u->ring->workers[(start + i) % n];

		if (!eligible(u, worker, i >= n))
			continue;
		rc = write_stream_open(&u->stream, u->backend, worker, &u->first);
		if (!rc)
			return 0;
	}
	if (!rc)
		error_note("no worker is there to write to the under file system");
	return rc ? rc : -EHOSTUNREACH;
}

static int sink_open(void *context, int64_t number)
{
	struct ufs_stream *u = context;
	struct ring *ring;
	int rc;

	(void)number;
	write_stream_drop(&u->stream);
	rc = workers_ring(u->backend->workers, &ring);
	if (rc)
		return rc;
	ring_put(u->ring);
	u->ring = ring;
	return open_anywhere(u);
}

static int sink_chunk(void *context, const void *data, size_t n)
{
	struct ufs_stream *u = context;

	return write_stream_chunk(&u->stream, u->backend, data, n);
}

static int sink_close(void *context, bool last)
{
	struct ufs_stream *u = context;
	int rc = write_stream_end(&u->stream, u->backend, u->cutter.block_bytes, last, &u->ended);

	write_stream_drop(&u->stream);
	return rc;
}

static const struct block_sink sink = {sink_open, sink_chunk, sink_close};

/* After a failure with rc: once more from the beginning, if nothing had begun. */
static int renew(struct ufs_stream *u, int rc, refill_fn *refill, void *context)
{
	while (rc && u->stream.expired && !u->ended && u->renewals++ < RENEWALS_MAX) {
		if (u->cutter.block_bytes && !refill)
			return rc;
		rc = block_cutter_replay(&u->cutter, refill, context);
	}
	return rc;
}

int ufs_stream_write(struct ufs_stream *u, const void *buf, size_t n, refill_fn *refill, void *context)
{
	const unsigned char *p = buf;

	while (n) {
		ssize_t took = block_cutter_step(&u->cutter, p, n);

		if (took < 0) {
			int rc = renew(u, (int)took, refill, context);

			if (rc)
				return rc;
			continue;
		}
		p += took;
		n -= (size_t)took;
	}
	return 0;
}

int ufs_stream_end(struct ufs_stream *u, refill_fn *refill, void *context)
{
	int rc = u->cutter.open ? 0 : block_cutter_reopen(&u->cutter);

	while (!rc && u->cutter.open) {
		rc = block_cutter_finish(&u->cutter);
		if (rc)
			rc = renew(u, rc, refill, context);
	}
	return rc;
}

bool ufs_stream_ended(const struct ufs_stream *u)
{
	return u->ended;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int copy(const char *text, char **out)
{
	*out = strdup(text ? text : "");
	return *out ? 0 : -ENOMEM;
}

int ufs_stream_new(struct backend *b, const struct gfs_file_info *info, struct ufs_stream **out)
{
	struct ufs_stream *u;

	if (!info->ufs_path || !*info->ufs_path) {
		error_note("the master names no place for it in an under file system");
		return -EOPNOTSUPP;
	}
	u = calloc(1, sizeof *u);
	if (!u)
		return -ENOMEM;
	if (copy(info->ufs_path, &u->path) || copy(info->owner, &u->owner) || copy(info->group, &u->group)) {
		ufs_stream_free(u);
		return -ENOMEM;
	}
	u->backend = b;
	u->first = (struct gfs_write_command){
		.type = GFS_UFS_FILE,
		.id = -1,
		.space_to_reserve = INT64_MAX,
		.ufs = {true, u->path, u->owner, u->group, info->mode, info->mount_id},
	};
	block_cutter_init(&u->cutter, &sink, u, (size_t)b->chunk_size, INT64_MAX);
	*out = u;
	return 0;
}

void ufs_stream_free(struct ufs_stream *u)
{
	if (!u)
		return;
	write_stream_drop(&u->stream);
	block_cutter_release(&u->cutter);
	ring_put(u->ring);
	free(u->path);
	free(u->owner);
	free(u->group);
	free(u);
}
