/*
 * block_writer.c: a new file on its way up.
 *
 * To the workers: the cutter decides what goes into which block and chunk, a replica set carries each block. A block that
 * fails anywhere, to its close, is opened anew on other workers and sent again from the bytes that refill() gives back
 * (spec goosefs 10.4 has no such replay, and asks for it). To the under file system: one stream from the first byte to
 * the last, which cannot be taken up again elsewhere. Which of the two there is says the write type (10.1); where the
 * workers fail a file that may do without them, it goes on without them (10.5).
 *
 * What cannot be saved leaves the writer failed: every later call says so, and abort() gives back what was committed. The
 * stream to the under file system is ended last, so that until then nothing of the file is there (the SDK ends it first).
 */
#include "client/goosefs/block_cutter.h"
#include "client/goosefs/clock.h"
#include "client/goosefs/crc.h"
#include "client/goosefs/goosefs.h"
#include "client/goosefs/replica_set.h"
#include "client/goosefs/ufs_stream.h"
#include "client/goosefs/write_type.h"
#include "client/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct backend_writer {
	struct backend *backend;
	char *path; /* as it was created */
	int64_t file_id;
	int type;            /* enum gfs_write_type */
	struct gfs_op_id op; /* of CompleteFile, made with the writer (8.4) */

	bool cached; /* bytes go to workers; no more once they have failed the file */
	bool opened; /* a block was, once */
	struct block_cutter cutter;
	struct replica_set replicas;

	bool through; /* bytes go to the under file system: from the first on, or from where the workers failed */
	struct ufs_stream *ufs; /* NULL: they cannot */
	bool forgotten;         /* the name was removed, so that what is there be found instead */

	int crc_type;
	uint32_t crc;
	int64_t bytes;

	int64_t *committed; /* ids of blocks to give back on abort */
	size_t ncommitted;

	struct gfs_file_location last; /* ASYNC_THROUGH: of the last block, once it is closed; else all 0 */
	int64_t last_workers[REPLICAS_MAX];

	refill_fn *refill;
	void *refill_context;
	int fatal;  /* -errno of what no worker could change */
	int failed; /* -errno once and for all */
};

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static int sink_open(void *context, int64_t number)
{
	struct backend_writer *w = context;
	struct replica_block block = {block_id_of(w->file_id, number), number, w->cutter.block_size};
	int rc;

	if (number >= BLOCKS_MAX)
		return -EFBIG;
	rc = replica_set_open(&w->replicas, &block);
	if (!rc)
		w->opened = true;
	return rc;
}

static int sink_chunk(void *context, const void *data, size_t n)
{
	struct backend_writer *w = context;

	return replica_set_chunk(&w->replicas, data, n);
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

/* Where the only copies are, of a file that is persisted later: told now, and of the last block with its completion (8.4.1). */
static int block_locate(struct backend_writer *w, int64_t block_id, bool last)
{
	struct gfs_file_location where = {
		.block_id = block_id,
		.offset = block_cutter_start(&w->cutter),
		.length = w->cutter.block_bytes,
		.workers = w->last_workers,
		.nworkers = replica_set_ids(&w->replicas, w->last_workers),
	};
	struct gfs_commit_location request = {
		.path = w->path, .inode_id = w->file_id, .block_id = block_id, .locations = &where, .nlocations = 1};
	struct gfs_empty reply;

	if (last) {
		w->last = where;
		return 0;
	}
	w->fatal = master_call(w->backend->master, RPC_COMMIT_LOCATION, &request, &reply);
	if (!w->fatal)
		rpc_release(&reply);
	return w->fatal;
}

static int sink_close(void *context, bool last)
{
	struct backend_writer *w = context;
	int64_t block_id = block_id_of(w->file_id, w->cutter.number);
	int rc = remember_committed(w, block_id);

	if (!rc)
		rc = replica_set_close(&w->replicas, w->cutter.block_bytes, last);
	if (!rc && w->type == GFS_ASYNC_THROUGH)
		rc = block_locate(w, block_id, last);
	if (!rc)
		replica_set_next(&w->replicas);
	return rc;
}

static const struct block_sink sink = {sink_open, sink_chunk, sink_close};

/* ---- replaying --------------------------------------------------------------------------------------------------- */

/* That the bytes are not to be had any more is nobody's fault but the caller's. */
static int refill(void *context, void *buf, size_t n, int64_t off)
{
	struct backend_writer *w = context;

	w->fatal = w->refill(w->refill_context, buf, n, off);
	return w->fatal;
}

/*
 * The block that failed with rc, brought back to where it was, on workers that have not failed it. *tries counts the
 * failures of one block. Once it or the time of one answer is used up, or nobody can give the bytes back: -errno.
 */
static int writer_replay(struct backend_writer *w, int rc, unsigned *tries)
{
	unsigned max = (unsigned)config_u64(w->backend->config, CONFIG_WRITE_RETRY);
	int64_t deadline = now_ms() + w->backend->rpc_timeout_ms;

	replica_set_drop(&w->replicas);
	while (rc && !w->fatal && ++*tries <= max && now_ms() < deadline) {
		if (rc == -ENOMEM || rc == -EFBIG || w->replicas.too_few || (w->cutter.block_bytes && !w->refill))
			break;
		workers_doubt(w->backend->workers);
		log_note("write: block %lld of file %lld again, try %u", (long long)w->cutter.number,
			 (long long)w->file_id, *tries);
		rc = block_cutter_replay(&w->cutter, refill, w);
	}
	return rc;
}

/* May a file whose workers failed with rc go on to the under file system alone? (10.5) */
static bool may_degrade(const struct backend_writer *w, int rc)
{
	if (!w->ufs || w->fatal || rc == -ENOMEM || rc == -EFBIG || rc == -EACCES || w->replicas.too_few)
		return false;
	if (w->opened)
		return w->type == GFS_CACHE_THROUGH;
	return config_bool(w->backend->config, CONFIG_UFS_FALLBACK);
}

/* 0: it does. Bytes that were accepted are there, or there were none: who writes through later had no block. */
static int writer_degrade(struct backend_writer *w, int rc)
{
	if (!may_degrade(w, rc))
		return rc;
	log_warn("write: %s goes to the under file system alone: %s", w->path, error_noted());
	replica_set_drop(&w->replicas);
	w->cached = false;
	w->through = true;
	return 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

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
	replica_set_drop(&w->replicas);
	return w->failed;
}

/* To the workers: some of it, up to the end of a block; all of it, if they have none of this file. */
static ssize_t blocks_take(struct backend_writer *w, const void *buf, size_t n)
{
	unsigned tries = 0;

	while (w->cached) {
		ssize_t took = block_cutter_step(&w->cutter, buf, n);
		int rc;

		if (took > 0)
			return took;
		rc = writer_replay(w, (int)took, &tries);
		if (rc)
			rc = writer_degrade(w, rc);
		if (rc)
			return rc;
	}
	return (ssize_t)n;
}

int block_writer_write(struct backend_writer *w, const void *buf, size_t n, refill_fn *again, void *context)
{
	const unsigned char *p = buf;

	if (w->failed)
		return w->failed;
	w->refill = again;
	w->refill_context = context;
	while (n) {
		ssize_t took = blocks_take(w, p, n);
		int rc = took < 0 ? (int)took : 0;

		if (!rc && w->through)
			rc = ufs_stream_write(w->ufs, p, (size_t)took, again ? refill : NULL, w);
		if (rc)
			return writer_fail(w, rc);
		w->crc = crc_update(w->crc_type, w->crc, p, (size_t)took);
		w->bytes += took;
		p += took;
		n -= (size_t)took;
	}
	return 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool type_is_through(int type)
{
	return type == GFS_CACHE_THROUGH || type == GFS_THROUGH;
}

/* Who persists later may fall back; if the master names no place for that, he may not. */
static int writer_open_ufs(struct backend_writer *w, const struct gfs_file_info *info)
{
	int rc;

	w->through = type_is_through(w->type);
	if (!w->through && w->type != GFS_ASYNC_THROUGH)
		return 0;
	rc = ufs_stream_new(w->backend, info, &w->ufs);
	if (rc == -EOPNOTSUPP && !w->through)
		return 0;
	if (rc)
		log_error("write: %s: %s", w->path, error_noted());
	return rc;
}

static int writer_new(struct backend *b, const char *path, int type, const struct gfs_file_info *info,
		      struct backend_writer **out)
{
	int64_t block_size = info->block_size, chunk = b->chunk_size;
	struct replica_plan plan;
	struct backend_writer *w;
	int rc = replica_plan_make(b->config, type, &plan);

	if (rc)
		return rc;
	if (info->file_id <= 0 || block_size <= 0) {
		error_note("the master created file %lld with a block size of %lld", (long long)info->file_id,
			   (long long)block_size);
		return -EPROTO;
	}
	w = calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	w->backend = b;
	w->file_id = info->file_id;
	w->type = type;
	w->op = op_id_new();
	w->cached = type != GFS_THROUGH;
	w->crc_type = (int)config_u64(b->config, CONFIG_CHECKSUM);
	block_cutter_init(&w->cutter, &sink, w, (size_t)(chunk < block_size ? chunk : block_size), block_size);
	replica_set_init(&w->replicas, b, &plan);
	w->path = strdup(path);
	rc = w->path ? writer_open_ufs(w, info) : -ENOMEM;
	if (rc) {
		block_writer_free(w);
		return rc;
	}
	*out = w;
	return 0;
}

int block_writer_create(struct backend *b, const char *path, uint32_t mode, struct backend_writer **out, uint64_t *id)
{
	struct gfs_create_file request = {
		.path = path,
		.block_size = config_i64(b->config, CONFIG_BLOCK_SIZE),
		.mode = (int)(mode & 0777),
		.has_mode = true,
		.write_type = write_type_of(b, path),
		.persistence_wait_ms = config_i64(b->config, CONFIG_PERSISTENCE_WAIT),
		.has_persistence_wait = true,
	};
	struct replica_plan plan;
	struct gfs_file_reply reply;
	int rc = goosefs_sayable(path)
			 ?: replica_plan_make(b->config, request.write_type, &plan); /* before there is a file */

	if (rc)
		return rc;
	request.common = master_mutation(b->master);
	rc = master_call(b->master, RPC_CREATE_FILE, &request, &reply);
	if (rc)
		return rc;
	rc = writer_new(b, path, request.write_type, &reply.info, out);
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
		rc = writer_new(b, path, write_type_of(b, path), &reply.info, out);
	rpc_release(&reply);
	return rc;
}

void block_writer_free(struct backend_writer *w)
{
	if (!w)
		return;
	ufs_stream_free(w->ufs);
	replica_set_release(&w->replicas);
	block_cutter_release(&w->cutter);
	free(w->committed);
	free(w->path);
	free(w);
}

/* ---- completing -------------------------------------------------------------------------------------------------- */

static int blocks_finish(struct backend_writer *w)
{
	unsigned tries = 0;
	int rc = 0;

	while (w->cached && !rc && w->cutter.open) {
		rc = block_cutter_finish(&w->cutter);
		if (rc)
			rc = writer_replay(w, rc, &tries);
		if (rc)
			rc = writer_degrade(w, rc);
	}
	return rc;
}

/* By another name by now, a file would be looked for in another place of the under file system than its bytes went to. */
static int through_finish(struct backend_writer *w, const char *path)
{
	if (strcmp(path, w->path)) {
		error_note("%s was renamed to %s while it was written", w->path, path);
		return -EIO;
	}
	return ufs_stream_end(w->ufs, w->refill ? refill : NULL, w);
}

static int complete_file(struct backend_writer *w, const char *path)
{
	bool later = w->type == GFS_ASYNC_THROUGH;
	int64_t wait_ms = config_i64(w->backend->config, CONFIG_PERSISTENCE_WAIT);
	struct gfs_complete_file request = {
		.path = path,
		.inode_id = w->file_id,
		.ufs_length = w->bytes,
		.has_ufs_length = true,
		.async_persist = later && !w->through && wait_ms >= 0,
		.persistence_wait_ms = wait_ms,
		.crc_type = w->crc_type,
		.crc_value = w->crc,
		.has_crc = true,
		.locations = &w->last,
		.nlocations = w->last.nworkers > 0,
		.force_persisted = later && w->through,
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

/* What the name leads to is a complete file as long as ours. *ours: and it is ours. */
static bool whole(struct backend_writer *w, const struct gfs_file_info *info, bool *ours)
{
	*ours = info->file_id == w->file_id;
	return info->completed && !info->folder && info->length == w->bytes;
}

/*
 * CompleteFile failed, but the copy in the under file system is whole: it becomes the file, by a name that is forgotten and found
 * again there (10.4). Perhaps only the answer was lost, and nothing is to be done.
 */
static bool copy_found(struct backend_writer *w)
{
	struct gfs_file_reply reply;
	bool ours, found;

	if (goosefs_fetch(w->backend, w->path, &reply))
		return false;
	found = whole(w, &reply.info, &ours) && ours;
	rpc_release(&reply);
	if (found || !ours)
		return found;
	if (goosefs_forget(w->backend, w->path))
		return false;
	w->forgotten = true;
	if (goosefs_import(w->backend, w->path, &reply))
		return false;
	found = whole(w, &reply.info, &ours);
	rpc_release(&reply);
	return found;
}

int block_writer_complete(struct backend_writer *w, const char *path)
{
	char said[256];
	int rc;

	if (w->failed)
		return w->failed;
	rc = blocks_finish(w);
	if (!rc && w->through)
		rc = through_finish(w, path);
	if (rc)
		return writer_fail(w, rc);
	rc = complete_file(w, path);
	if (!rc || !w->through)
		return w->failed = rc;
	snprintf(said, sizeof said, "%s", error_noted());
	if (copy_found(w)) {
		log_warn("write: %s was taken from the under file system, for it could not be completed: %s", path,
			 said);
		return 0;
	}
	error_note("%s", said);
	return w->failed = rc;
}

/* ---- giving up --------------------------------------------------------------------------------------------------- */

/* A copy that was whole must not be found by the next who looks: as long as ours, and not completed by anybody, it is ours. */
static void remove_copy(struct backend_writer *w)
{
	struct gfs_file_reply reply;
	bool ours, found;

	if (goosefs_import(w->backend, w->path, &reply))
		return;
	found = whole(w, &reply.info, &ours) && (ours || (reply.info.persisted && !reply.info.nxattr));
	rpc_release(&reply);
	if (found && goosefs_discard(w->backend, w->path))
		log_warn("write: %s could not be removed: %s", w->path, error_noted());
}

/* Only if the name still is this file's: it may have been renamed, and another one be called so now. copied: see remove_copy(). */
static void remove_incomplete(struct backend_writer *w, bool copied)
{
	struct gfs_file_reply reply;
	bool ours = false;

	if (!goosefs_fetch(w->backend, w->path, &reply)) {
		ours = reply.info.file_id == w->file_id;
		rpc_release(&reply);
	}
	if (ours && goosefs_discard(w->backend, w->path))
		log_warn("write: %s could not be removed: %s", w->path, error_noted());
	if (copied && (ours || w->forgotten))
		remove_copy(w);
}

void block_writer_abort(struct backend_writer *w, bool remove_name)
{
	struct gfs_block_ids request = {.ids = w->committed, .n = w->ncommitted};
	bool copied = w->ufs && ufs_stream_ended(w->ufs);
	struct gfs_empty reply;
	char said[256];

	snprintf(said, sizeof said, "%s", error_noted());
	replica_set_drop(&w->replicas);
	ufs_stream_free(w->ufs);
	w->ufs = NULL;
	if (w->ncommitted) {
		if (master_call(w->backend->master, RPC_REMOVE_BLOCKS, &request, &reply))
			log_warn("write: %zu blocks could not be given back: %s", w->ncommitted, error_noted());
		else
			rpc_release(&reply);
		w->ncommitted = 0;
	}
	if (remove_name)
		remove_incomplete(w, copied);
	if (!w->failed)
		w->failed = -EIO;
	error_note("%s", said); /* why it was given up, not how that went */
}
