/*
 * worker_write.c: WriteBlock (spec goosefs 9.4 to 9.7): a block of the cache, or a whole file of the under file system.
 *
 * Both are written beside their place and appear there, whole, at the half-close: file first, row second, and what a
 * crash leaves between them reconcile.c finds. Response headers go out with the first reply, as on real workers, or
 * when a client has been silent for a while: some give up on a call that has shown none for some minutes.
 */
#include "tools/server/worker.h"
#include "tools/server/log.h"
#include "tools/server/tree.h"
#include "proto/goosefs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SILENCE_MS 10000

struct write_session {
	struct worker *worker;
	struct rpc_call *call;
	const struct gfs_write_command *open;
	struct block_writer block;
	struct ufs_writer ufs; /* of a UFS_FILE stream */
	int64_t inode;         /* UFS_FILE: the file it is about, wherever it is at the end; 0: the master has none */
	int64_t bytes;
	int64_t nchunks;
	size_t first_chunk, last_chunk; /* bytes; since the last flush */
};

static bool to_ufs(const struct write_session *write)
{
	return write->open->type == GFS_UFS_FILE;
}

/* ---- why not ----------------------------------------------------------------------------------------------------- */

static int block_fault(struct rpc_call *call, int64_t id, int rc)
{
	if (rc == -EEXIST)
		return rpc_call_fail(call, RPC_ALREADY_EXISTS, "Block %" PRId64 " is already committed", id);
	if (rc == -ENOSPC || rc == -EDQUOT)
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "No space left for block %" PRId64, id);
	log_error("block %" PRId64 ": %s", id, strerror(-rc));
	return rpc_call_fail(call, RPC_INTERNAL, "Block %" PRId64 " cannot be written: %s", id, strerror(-rc));
}

static int ufs_fault(struct rpc_call *call, const char *path, int rc)
{
	static const struct {
		int rc, code;
		const char *text;
	} table[] = {
		{-ENOSPC, RPC_RESOURCE_EXHAUSTED, "No space left for %.100s"},
		{-EDQUOT, RPC_RESOURCE_EXHAUSTED, "No space left for %.100s"},
		{-EACCES, RPC_PERMISSION_DENIED, "No permission to write %.100s"},
		{-EPERM, RPC_PERMISSION_DENIED, "No permission to write %.100s"},
		{-EROFS, RPC_PERMISSION_DENIED, "The under file system is read-only: %.100s"},
		{-ENOENT, RPC_NOT_FOUND, "The parent of %.100s does not exist."},
		{-ENOTDIR, RPC_FAILED_PRECONDITION, "The parent of %.100s is not a directory"},
		{-EISDIR, RPC_FAILED_PRECONDITION, "Is a directory: %.100s"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].rc == rc)
			return rpc_call_fail(call, table[i].code, table[i].text, path);
	log_error("%s: %s", path, strerror(-rc));
	return rpc_call_fail(call, RPC_INTERNAL, "%.100s cannot be written: %s", path, strerror(-rc));
}

static int write_fault(struct write_session *write, int rc)
{
	return to_ufs(write) ? ufs_fault(write->call, write->open->ufs.ufs_path, rc)
			     : block_fault(write->call, write->open->id, rc);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int open_block(struct write_session *write)
{
	struct worker *worker = write->worker;
	int64_t id = write->open->id, bytes;
	int rc;

	if (id <= 0 || (id & SEQUENCE_MASK) == SEQUENCE_MASK)
		return rpc_call_fail(write->call, RPC_INVALID_ARGUMENT, "Invalid block id %" PRId64, id);
	if (blocks_has(&worker->blocks, id, &bytes))
		return write_fault(write, -EEXIST);
	rc = block_writer_open(&worker->blocks, id, &write->block);
	return rc ? write_fault(write, rc) : 0;
}

/* Which file of the master's this is. A complete one is final: a second stream would truncate it (spec goosefs 9.7). */
static int find_inode(struct write_session *write, const char *path)
{
	struct store *store = write->worker->store;
	struct fault fault = {0};
	struct inode inode;
	int code;

	store_lock(store);
	code = tree_lookup(store, path, &inode, &fault);
	store_unlock(store);
	if (code == RPC_NOT_FOUND)
		return 0;
	if (code)
		return rpc_call_fail(write->call, code, "%s", fault.text);
	if (inode.type != INODE_FILE)
		return write_fault(write, -EISDIR);
	if (inode.completed)
		return rpc_call_fail(write->call, RPC_FAILED_PRECONDITION, "File %.100s is already completed", path);
	write->inode = inode.id;
	return 0;
}

static int make_parents(struct write_session *write, const char *path)
{
	const struct ufs *ufs = write->worker->ufs;
	char parent[PATH_MAX];
	struct ufs_entry entry;
	int rc;

	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (!*parent)
		return 0;
	if (fault_on(write->worker->faults, FAULT_STRICT_PARENTS))
		rc = ufs_stat(ufs, parent, &entry);
	else
		rc = ufs_make_dirs(ufs, parent);
	return rc ? write_fault(write, rc) : 0;
}

static int open_ufs(struct write_session *write)
{
	const struct gfs_write_command *open = write->open;
	const struct ufs *ufs = write->worker->ufs;
	const char *path;
	int rc;

	if (!ufs_on(ufs))
		return rpc_call_fail(write->call, RPC_UNIMPLEMENTED, "This server has no under file system");
	path = open->ufs.present ? ufs_path_of(ufs, open->ufs.ufs_path) : NULL;
	if (!path || !path[1])
		return rpc_call_fail(write->call, RPC_INVALID_ARGUMENT, "Not a path of the under file system: %.100s",
				     open->ufs.present ? open->ufs.ufs_path : "none");
	rc = find_inode(write, path);
	if (!rc)
		rc = make_parents(write, path);
	if (rc)
		return rc;
	rc = ufs_writer_open(ufs, open->ufs.mode ? open->ufs.mode : 0644, &write->ufs);
	return rc ? write_fault(write, rc) : 0;
}

static int write_open(struct write_session *write)
{
	const struct gfs_write_command *open = write->open;

	write->block.fd = write->ufs.fd = -1;
	if (open->flush)
		return rpc_call_fail(write->call, RPC_INVALID_ARGUMENT, "A block stream does not begin with a flush");
	if (open->offset)
		return rpc_call_fail(write->call, RPC_INVALID_ARGUMENT, "A block is written from its beginning");
	if (open->type == GFS_BLOCK)
		return open_block(write);
	if (open->type == GFS_UFS_FILE)
		return open_ufs(write);
	return rpc_call_fail(write->call, RPC_UNIMPLEMENTED, "No such kind of stream: %d", open->type);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int reply_offset(struct write_session *write)
{
	struct gfs_write_reply reply = {.offset = write->bytes, .has_offset = true};

	return rpc_call_send(write->call, &reply) ? RPC_CANCELLED : 0;
}

static int write_flush(struct write_session *write)
{
	const struct faults *faults = write->worker->faults;

	fault_wait(faults, FAULT_WORKER_DELAY);
	if (!to_ufs(write) && fault_on(faults, FAULT_FLUSH_STATUS))
		return rpc_call_fail(write->call, (int)fault_value(faults, FAULT_FLUSH_STATUS),
				     "Flush is not implemented");
	write->first_chunk = write->last_chunk = 0;
	return reply_offset(write);
}

/* Failures on request. 0, or the status to end with. */
static int write_misbehave(struct write_session *write, size_t bytes)
{
	const struct faults *faults = write->worker->faults;

	write->nchunks++;
	if (fault_at(faults, FAULT_WRITE_STATUS, write->nchunks))
		return rpc_call_fail(write->call, (int)fault_value(faults, FAULT_WRITE_STATUS),
				     "A failure at chunk %" PRId64 ", as was asked for", write->nchunks);
	if (fault_on(faults, FAULT_DISK_FULL) && write->bytes + (int64_t)bytes > fault_value(faults, FAULT_DISK_FULL))
		return write_fault(write, -ENOSPC);
	if (!to_ufs(write) && fault_on(faults, FAULT_STRICT_CHUNKS) && write->last_chunk != write->first_chunk)
		return rpc_call_fail(write->call, RPC_INTERNAL,
				     "The file length is inconsistent with the amount of data that has been written");
	if (!write->first_chunk)
		write->first_chunk = bytes;
	write->last_chunk = bytes;
	return 0;
}

static int write_chunk(struct write_session *write, const struct rpc_body *body)
{
	int64_t reserved = write->open->space_to_reserve;
	int code, rc;

	if (reserved && (int64_t)body->bytes > reserved - write->bytes)
		return rpc_call_fail(write->call, RPC_RESOURCE_EXHAUSTED,
				     "Block %" PRId64 ": more than the %" PRId64 " bytes reserved", write->open->id,
				     reserved);
	code = write_misbehave(write, body->bytes);
	if (code)
		return code;
	rc = to_ufs(write) ? ufs_writer_append(&write->ufs, body->part, body->nparts)
			   : block_writer_append(&write->block, body->part, body->nparts);
	write->bytes += (int64_t)body->bytes;
	return rc ? write_fault(write, rc) : 0;
}

/* One message of the client. 0, or the status to end with. */
static int write_step(struct write_session *write, const struct gfs_write_command *command, const struct rpc_body *body)
{
	if (!command)
		return write_chunk(write, body);
	if (!command->flush)
		return rpc_call_fail(write->call, RPC_INVALID_ARGUMENT, "A second command on a block stream");
	return write_flush(write);
}

/* The next message, as rpc_call_recv(). */
static int write_recv(struct write_session *write, const void **command, struct rpc_body *body)
{
	unsigned patience = fault_on(write->worker->faults, FAULT_STRICT_HEADERS) ? 0 : SILENCE_MS;
	int rc = rpc_call_recv(write->call, patience, command, body);

	if (rc != -ETIMEDOUT)
		return rc;
	rpc_call_send_headers(write->call);
	return rpc_call_recv(write->call, 0, command, body);
}

/* 0 at the half-close, or the status to end with. */
static int write_loop(struct write_session *write)
{
	int code = 0, rc;

	while (!code) {
		struct rpc_body body = {0};
		const void *command = NULL;

		rc = write_recv(write, &command, &body);
		if (!rc)
			return 0;
		if (rc < 0)
			return rpc_call_fail(write->call, rc == -EPROTO ? RPC_INVALID_ARGUMENT : RPC_CANCELLED,
					     "Block %" PRId64 ": %s", write->open->id, strerror(-rc));
		code = write_step(write, command, &body);
		rpc_body_release(&body);
	}
	return code;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static int commit_block(struct write_session *write)
{
	struct worker *worker = write->worker;
	struct fault fault = {0};
	int rc = block_writer_commit(&write->block);

	if (rc)
		return write_fault(write, rc);
	store_lock(worker->store);
	/* A reset told late, after all messages (spec goosefs 19.1), is still no commit. */
	if (rpc_call_cancelled(write->call))
		fault_set(&fault, RPC_CANCELLED, "Cancelled");
	else
		tree_block_committed(worker->store, write->open->id, worker->id, write->bytes, &fault);
	store_unlock(worker->store);
	if (!fault.code)
		return 0;
	rc = blocks_remove(&worker->blocks, write->open->id);
	if (rc)
		log_warn("block %" PRId64 " cannot be removed: %s", write->open->id, strerror(-rc));
	return rpc_call_fail(write->call, fault.code, "%s", fault.text);
}

/* Under the lock, so that the file is not renamed or removed between the question where it is and the answer. */
static int commit_ufs(struct write_session *write)
{
	struct store *store = write->worker->store;
	struct fault fault = {0};
	struct ufs_entry entry;
	char path[PATH_MAX];
	int rc = 0;

	snprintf(path, sizeof(path), "%s", ufs_path_of(write->worker->ufs, write->open->ufs.ufs_path));
	store_lock(store);
	if (rpc_call_cancelled(write->call))
		fault_set(&fault, RPC_CANCELLED, "Cancelled");
	else if (!write->inode || !tree_path(store, write->inode, path, sizeof(path), &fault))
		rc = ufs_writer_commit(&write->ufs, path, &entry);
	store_unlock(store);
	if (fault.code)
		return rpc_call_fail(write->call, fault.code, "%s", fault.text);
	return rc ? write_fault(write, rc) : 0;
}

int worker_write_block(void *context, struct rpc_call *call, const void *first)
{
	struct write_session write = {.worker = context, .call = call, .open = first};
	int code = write_open(&write);

	if (!code)
		code = write_loop(&write);
	if (!code)
		code = to_ufs(&write) ? commit_ufs(&write) : commit_block(&write);
	if (!code)
		reply_offset(&write); /* gone by now? committed all the same */
	block_writer_discard(&write.block);
	ufs_writer_discard(&write.ufs);
	return code;
}
