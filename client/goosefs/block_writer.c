/*
 * block_writer.c: a new file on its way up.
 *
 * The cutter decides what goes into which block and chunk; here are the streams that carry it, one per copy of the
 * block. A block that fails anywhere, to its close, is opened anew on other workers and sent again from the bytes that
 * refill() gives back (spec goosefs 10.4 has no such replay, and asks for it). What cannot be saved leaves the writer
 * failed: every later call says so, and abort() gives back what was committed.
 */
#include "client/goosefs/block_cutter.h"
#include "client/goosefs/clock.h"
#include "client/goosefs/crc.h"
#include "client/goosefs/goosefs.h"
#include "client/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	COPIES_MAX = 8,
	AVOIDED_MAX = 16,
};

struct copy { /* one stream of the present block */
	struct rpc_stream *rpc;
	const struct ring_worker *worker; /* of the writer's ring */
	uint64_t generation;
};

struct backend_writer {
	struct backend *backend;
	struct ring *ring; /* NULL until the first block */
	char *path;        /* as it was created */
	int64_t file_id;
	struct gfs_op_id op; /* of CompleteFile, made with the writer (8.4) */

	struct block_cutter cutter;
	struct copy copies[COPIES_MAX];
	unsigned ncopies;
	const struct ring_worker *avoided[AVOIDED_MAX]; /* failed this block, though perhaps not as machines */
	unsigned navoided;
	unsigned renewals; /* expired sessions met, that did not count against their workers */

	int crc_type;
	uint32_t crc;
	int64_t bytes;

	int64_t *committed; /* ids of blocks to give back on abort */
	size_t ncommitted;

	int (*refill)(void *context, void *buf, size_t n, int64_t off);
	void *refill_context;
	int failed; /* -errno once and for all */
};

/* ---- choosing workers ----------------------------------------------------------------------------------------------
 */

static bool avoid(const struct backend_writer *w, const struct ring_worker *worker)
{
	for (unsigned i = 0; i < w->navoided; i++)
		if (w->avoided[i] == worker)
			return true;
	return false;
}

static bool skip(void *context, const struct ring_worker *worker)
{
	const struct backend_writer *w = context;

	return worker->forbid_write || avoid(w, worker) || worker_failed(w->backend->workers, worker->address);
}

static bool among(const struct ring_worker *worker, const struct ring_worker **list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == worker)
			return true;
	return false;
}

/* ---- streams of one block --------------------------------------------------------------------------------------- */

static void copies_drop(struct backend_writer *w)
{
	for (unsigned i = 0; i < w->ncopies; i++)
		if (w->copies[i].rpc)
			rpc_stream_free(w->copies[i].rpc);
	w->ncopies = 0;
}

/* A worker failed us: with the machine, with this block, or only with a session that expired. Keeps rc. */
static int copy_failed(struct backend_writer *w, const struct ring_worker *worker, uint64_t generation, int rc,
		       const struct rpc_error *error)
{
	const char *said = *error->message ? error->message : strerror(-rc);
	bool transport = rc == -ETIMEDOUT || error->code == -1 || error->code == RPC_UNAVAILABLE;

	error_note("worker %s: %s", worker->address, said);
	log_note("write: worker %s: %s", worker->address, said);
	if (generation && (transport || error->unauthenticated))
		worker_spoil(w->backend->workers, worker->address, generation);
	if (error->unauthenticated && w->renewals++ < AVOIDED_MAX)
		return rc;
	if (transport)
		worker_fail(w->backend->workers, worker->address);
	if (w->navoided < AVOIDED_MAX && !avoid(w, worker))
		w->avoided[w->navoided++] = worker;
	return rc;
}

static int copy_open(struct backend_writer *w, const struct ring_worker *worker, int64_t block_id)
{
	struct gfs_write_command command = {
		.type = GFS_BLOCK,
		.id = block_id,
		.space_to_reserve = w->cutter.block_size,
	};
	struct copy *copy = &w->copies[w->ncopies];
	struct rpc_error error = {0};
	struct lease lease;
	int rc;

	rc = worker_lease(w->backend->workers, worker->address, &lease, &error);
	if (rc)
		return copy_failed(w, worker, 0, rc, &error);
	rc = rpc_stream_open(lease.channel, RPC_WRITE_BLOCK, &command, &copy->rpc);
	if (!rc) {
		copy->worker = worker;
		copy->generation = lease.generation;
		w->ncopies++;
	}
	lease_put(&lease);
	return rc ? copy_failed(w, worker, lease.generation, rc, &error) : 0;
}

/* The ring of this moment. Who was avoided is forgotten with the old one. */
static int writer_find_workers(struct backend_writer *w)
{
	struct ring *ring;
	int rc = workers_ring(w->backend->workers, &ring);

	if (rc)
		return rc;
	if (ring == w->ring) {
		ring_put(ring);
		return 0;
	}
	ring_put(w->ring);
	w->ring = ring;
	w->navoided = 0;
	return 0;
}

static unsigned copies_wanted(const struct backend_writer *w)
{
	unsigned n = (unsigned)config_u64(w->backend->config, CONFIG_REPLICATION);

	return n < COPIES_MAX ? n : COPIES_MAX;
}

/* In the order of the ring; if that does not do, whoever is left, failed or not: only a worker that forbids it is out.
 */
static int block_open_copies(struct backend_writer *w, int64_t block_id, unsigned wanted)
{
	unsigned width = (unsigned)config_u64(w->backend->config, CONFIG_WRITE_RETRY);
	const struct ring_worker *chosen[CANDIDATES_MAX];
	unsigned n = ring_select(w->ring, block_id, width > wanted ? width : wanted, skip, w, chosen);
	int rc = -EHOSTUNREACH;

	for (unsigned i = 0; i < n && w->ncopies < wanted; i++)
		if (!chosen[i]->forbid_write)
			rc = copy_open(w, chosen[i], block_id);
	for (unsigned i = 0; i < w->ring->nworkers && w->ncopies < wanted; i++) {
		const struct ring_worker *worker = &w->ring->workers[i];

		if (*worker->host && !worker->forbid_write && !among(worker, chosen, n))
			rc = copy_open(w, worker, block_id);
	}
	return w->ncopies == wanted ? 0 : rc;
}

static unsigned writable_workers(const struct ring *ring)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ring->nworkers; i++)
		n += *ring->workers[i].host && !ring->workers[i].forbid_write;
	return n;
}

static int sink_open(void *context, int64_t number)
{
	struct backend_writer *w = context;
	unsigned wanted = copies_wanted(w), there;
	int rc;

	if (number >= BLOCKS_MAX)
		return -EFBIG;
	copies_drop(w);
	rc = writer_find_workers(w);
	if (rc)
		return rc;
	there = writable_workers(w->ring);
	if (!there) {
		error_note("no worker takes writes");
		return -EHOSTUNREACH;
	}
	rc = block_open_copies(w, block_id_of(w->file_id, number), wanted < there ? wanted : there);
	if (rc)
		copies_drop(w);
	return rc;
}

static int sink_chunk(void *context, const void *data, size_t n)
{
	struct backend_writer *w = context;

	for (unsigned i = 0; i < w->ncopies; i++) {
		struct copy *copy = &w->copies[i];
		struct rpc_error error = {0};
		int rc = rpc_stream_send_chunk(copy->rpc, data, n, w->backend->rpc_timeout_ms, &error);

		if (rc)
			return copy_failed(w, copy->worker, copy->generation, rc, &error);
	}
	return 0;
}

/* The worker says how much it has; another number than ours means that bytes were lost on the way. */
static int copy_flush(struct backend_writer *w, struct copy *copy, struct rpc_error *error)
{
	struct gfs_write_command command = {.flush = true};
	struct gfs_write_reply reply;
	int rc = rpc_stream_send(copy->rpc, &command, w->backend->rpc_timeout_ms, error);

	if (rc)
		return rc;
	rc = rpc_stream_recv(copy->rpc, w->backend->rpc_timeout_ms, NULL, &reply, error);
	if (rc != 1)
		return rc ? rc : -EIO;
	rc = reply.has_offset && reply.offset != w->cutter.block_bytes ? -EIO : 0;
	rpc_release(&reply);
	return rc;
}

static int copy_close(struct backend_writer *w, struct copy *copy, bool last)
{
	struct rpc_error error = {0};
	int rc = last ? 0 : copy_flush(w, copy, &error);

	if (!rc)
		rc = rpc_stream_half_close(copy->rpc, w->backend->rpc_timeout_ms);
	if (!rc)
		rc = rpc_stream_drain(copy->rpc, w->backend->rpc_timeout_ms, &error);
	return rc ? copy_failed(w, copy->worker, copy->generation, rc, &error) : 0;
}

/* Also when closing it failed: it may have been committed all the same. */
static int remember_committed(struct backend_writer *w, int64_t block_id)
{
	int64_t *more;

	if (w->ncommitted && w->committed[w->ncommitted - 1] == block_id)
		return 0;
	more = reallocarray(w->committed, w->ncommitted + 1, sizeof *more);
	if (!more)
		return -ENOMEM;
	w->committed = more;
	w->committed[w->ncommitted++] = block_id;
	return 0;
}

static int sink_close(void *context, bool last)
{
	struct backend_writer *w = context;
	int rc = remember_committed(w, block_id_of(w->file_id, w->cutter.number));

	for (unsigned i = 0; !rc && i < w->ncopies; i++)
		rc = copy_close(w, &w->copies[i], last);
	copies_drop(w);
	if (!rc)
		w->navoided = 0;
	return rc;
}

static const struct block_sink sink = {sink_open, sink_chunk, sink_close};

/* ---- replaying -------------------------------------------------------------------------------------------------- */

static int replay_once(struct backend_writer *w, unsigned char *buf)
{
	struct block_cutter *c = &w->cutter;
	int64_t start = block_cutter_start(c);
	int rc = block_cutter_reopen(c);

	for (int64_t done = 0; !rc && done < c->block_bytes;) {
		int64_t left = c->block_bytes - done;
		size_t n = left < (int64_t)c->chunk_size ? (size_t)left : c->chunk_size;

		rc = w->refill(w->refill_context, buf, n, start + done);
		if (!rc)
			rc = block_cutter_again(c, buf, n);
		done += (int64_t)n;
	}
	return rc;
}

/*
 * The block that failed with rc, brought back to where it was, on workers that have not failed it. *tries counts the
 * failures of one block. Once it or the time of one answer is used up, or nobody can give the bytes back: -errno, for good.
 */
static int writer_replay(struct backend_writer *w, int rc, unsigned *tries)
{
	unsigned max = (unsigned)config_u64(w->backend->config, CONFIG_WRITE_RETRY);
	int64_t deadline = now_ms() + w->backend->rpc_timeout_ms;
	unsigned char *buf;

	copies_drop(w);
	if (rc == -ENOMEM || rc == -EFBIG || (w->cutter.block_bytes && !w->refill))
		return rc;
	buf = malloc(w->cutter.chunk_size);
	if (!buf)
		return -ENOMEM;
	while (rc && ++*tries <= max && now_ms() < deadline) {
		workers_doubt(w->backend->workers);
		log_note("write: block %lld of file %lld again, try %u", (long long)w->cutter.number,
			 (long long)w->file_id, *tries);
		rc = replay_once(w, buf);
	}
	free(buf);
	return rc;
}

/* What a program may see of it: the words of a peer about its own affairs become EIO. */
static int writer_error(int rc)
{
	switch (rc) {
	case -ENOSPC:
	case -EACCES:
	case -ENOMEM:
	case -EFBIG:
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
	case -EOPNOTSUPP:
		return rc;
	default:
		return -EIO;
	}
}

static int writer_fail(struct backend_writer *w, int rc)
{
	w->failed = writer_error(rc);
	log_error("write: file %lld: %s: %s", (long long)w->file_id, strerror(-w->failed), error_noted());
	copies_drop(w);
	return w->failed;
}

int block_writer_write(struct backend_writer *w, const void *buf, size_t n,
		       int (*refill)(void *context, void *buf, size_t n, int64_t off), void *context)
{
	const unsigned char *p = buf;
	unsigned tries = 0;

	if (w->failed)
		return w->failed;
	w->refill = refill;
	w->refill_context = context;
	while (n) {
		ssize_t took = block_cutter_step(&w->cutter, p, n);

		if (took < 0) {
			int rc = writer_replay(w, (int)took, &tries);

			if (rc)
				return writer_fail(w, rc);
			continue;
		}
		tries = 0;
		w->crc = crc_update(w->crc_type, w->crc, p, (size_t)took);
		w->bytes += took;
		p += took;
		n -= (size_t)took;
	}
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static int writer_new(struct backend *b, const char *path, const struct gfs_file_info *info,
		      struct backend_writer **out)
{
	struct backend_writer *w;
	int64_t block_size = info->block_size, chunk = b->chunk_size;

	if (info->file_id <= 0 || block_size <= 0) {
		error_note("the master created file %lld with a block size of %lld", (long long)info->file_id,
			   (long long)block_size);
		return -EPROTO;
	}
	w = calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	w->path = strdup(path);
	if (!w->path) {
		free(w);
		return -ENOMEM;
	}
	w->backend = b;
	w->file_id = info->file_id;
	w->op = op_id_new();
	w->crc_type = (int)config_u64(b->config, CONFIG_CHECKSUM);
	block_cutter_init(&w->cutter, &sink, w, (size_t)(chunk < block_size ? chunk : block_size), block_size);
	*out = w;
	return 0;
}

static int write_type_supported(const struct backend *b)
{
	uint64_t type = config_u64(b->config, CONFIG_WRITE_TYPE) + 1;

	if (type == GFS_MUST_CACHE || type == GFS_TRY_CACHE)
		return 0;
	error_note("%s=%s is not supported for writing: must_cache and try_cache are", config_name(CONFIG_WRITE_TYPE),
		   config_text(b->config, CONFIG_WRITE_TYPE));
	log_error("%s", error_noted());
	return -EOPNOTSUPP;
}

int block_writer_create(struct backend *b, const char *path, uint32_t mode, struct backend_writer **out, uint64_t *id)
{
	struct gfs_create_file request = {
		.path = path,
		.block_size = config_i64(b->config, CONFIG_BLOCK_SIZE),
		.mode = (int)(mode & 0777),
		.has_mode = true,
		.write_type = (int)config_u64(b->config, CONFIG_WRITE_TYPE) + 1,
		.has_persistence_wait = true,
	};
	struct gfs_file_reply reply;
	int rc = write_type_supported(b);

	if (rc)
		return rc;
	request.common = master_mutation(b->master);
	rc = master_call(b->master, RPC_CREATE_FILE, &request, &reply);
	if (rc)
		return rc;
	rc = writer_new(b, path, &reply.info, out);
	if (!rc && id)
		*id = (uint64_t)reply.info.file_id;
	rpc_release(&reply);
	if (rc)
		goosefs_discard(b, path);
	return rc;
}

int block_writer_resume(struct backend *b, const char *path, uint64_t id, struct backend_writer **out)
{
	struct gfs_file_reply reply;
	int rc = goosefs_fetch(b, path, &reply);

	if (rc)
		return rc;
	if (reply.info.folder || (uint64_t)reply.info.file_id != id)
		rc = -ESTALE;
	else if (reply.info.completed)
		rc = -EEXIST;
	else
		rc = writer_new(b, path, &reply.info, out);
	rpc_release(&reply);
	return rc;
}

static int complete_file(struct backend_writer *w, const char *path)
{
	struct gfs_complete_file request = {
		.path = path,
		.inode_id = w->file_id,
		.ufs_length = w->bytes,
		.has_ufs_length = true,
		.crc_type = w->crc_type,
		.crc_value = w->crc,
		.has_crc = true,
		.common = master_common(w->backend->master),
	};
	struct gfs_empty reply;
	int rc;

	request.common.op = w->op;
	rc = master_call(w->backend->master, RPC_COMPLETE_FILE, &request, &reply);
	if (!rc)
		rpc_release(&reply);
	return rc;
}

int block_writer_complete(struct backend_writer *w, const char *path)
{
	unsigned tries = 0;
	int rc;

	if (w->failed)
		return w->failed;
	while ((rc = block_cutter_finish(&w->cutter))) {
		rc = writer_replay(w, rc, &tries);
		if (rc)
			return writer_fail(w, rc);
	}
	rc = complete_file(w, path);
	if (rc)
		w->failed = rc;
	return rc;
}

/* Only if the name still is this file's: it may have been renamed, and another one be called so now. */
static void remove_incomplete(struct backend_writer *w)
{
	struct gfs_file_reply reply;
	bool ours;

	if (goosefs_fetch(w->backend, w->path, &reply))
		return;
	ours = reply.info.file_id == w->file_id;
	rpc_release(&reply);
	if (ours && goosefs_discard(w->backend, w->path))
		log_warn("write: %s could not be removed: %s", w->path, error_noted());
}

void block_writer_abort(struct backend_writer *w, bool remove_name)
{
	struct gfs_block_ids request = {.ids = w->committed, .n = w->ncommitted};
	struct gfs_empty reply;

	copies_drop(w);
	if (w->ncommitted) {
		if (master_call(w->backend->master, RPC_REMOVE_BLOCKS, &request, &reply))
			log_warn("write: %zu blocks could not be given back: %s", w->ncommitted, error_noted());
		else
			rpc_release(&reply);
		w->ncommitted = 0;
	}
	if (remove_name)
		remove_incomplete(w);
	if (!w->failed)
		w->failed = -EIO;
}

void block_writer_free(struct backend_writer *w)
{
	if (!w)
		return;
	copies_drop(w);
	block_cutter_release(&w->cutter);
	ring_put(w->ring);
	free(w->committed);
	free(w->path);
	free(w);
}
