/*
 * worker.c: WriteBlock, ReadBlock, OpenLocalBlock, CheckBlocks.
 *
 * Reads go through pooled buffers that the transport gives back, not through a mapping: a failing disk is then an error
 * of one call, where a mapping would be a SIGBUS for the process.
 */
#include "tools/server/worker.h"
#include "tools/server/log.h"
#include "tools/server/tree.h"
#include "proto/goosefs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_MAX      (1 << 20)
#define WINDOW_DEFAULT (4LL << 20)
#define POOL_MAX       32

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

struct buffer {
	struct buffer *next;
	char data[CHUNK_MAX];
};

static struct {
	pthread_mutex_t lock;
	struct buffer *idle;
	unsigned n;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct buffer *buffer_get(void)
{
	struct buffer *buffer;

	pthread_mutex_lock(&pool.lock);
	buffer = pool.idle;
	if (buffer) {
		pool.idle = buffer->next;
		pool.n--;
	}
	pthread_mutex_unlock(&pool.lock);
	return buffer ? buffer : malloc(sizeof(*buffer));
}

static void buffer_put(void *arg)
{
	struct buffer *buffer = arg;

	pthread_mutex_lock(&pool.lock);
	if (pool.n < POOL_MAX) {
		buffer->next = pool.idle;
		pool.idle = buffer;
		pool.n++;
		buffer = NULL;
	}
	pthread_mutex_unlock(&pool.lock);
	free(buffer);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int write_fault(struct rpc_call *call, int64_t id, int rc)
{
	if (rc == -EEXIST)
		return rpc_call_fail(call, RPC_ALREADY_EXISTS, "Block %" PRId64 " is already committed", id);
	if (rc == -ENOSPC || rc == -EDQUOT)
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "No space left for block %" PRId64, id);
	log_error("block %" PRId64 ": %s", id, strerror(-rc));
	return rpc_call_fail(call, RPC_INTERNAL, "Block %" PRId64 " cannot be written: %s", id, strerror(-rc));
}

static int check_write(struct worker *worker, struct rpc_call *call, const struct gfs_write_command *command)
{
	int64_t bytes;

	if (command->flush)
		return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "A block stream does not begin with a flush");
	if (command->type != GFS_BLOCK)
		return rpc_call_fail(call, RPC_UNIMPLEMENTED, "This server has no under file system");
	if (command->id <= 0 || (command->id & SEQUENCE_MASK) == SEQUENCE_MASK)
		return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "Invalid block id %" PRId64, command->id);
	if (command->offset)
		return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "A block is written from its beginning");
	if (blocks_has(&worker->blocks, command->id, &bytes))
		return write_fault(call, command->id, -EEXIST);
	return 0;
}

static int reply_offset(struct rpc_call *call, int64_t offset)
{
	struct gfs_write_reply reply = {.offset = offset, .has_offset = true};

	return rpc_call_send(call, &reply);
}

/* File first, row second: what a crash leaves between them, reconcile.c finds. */
static int write_commit(struct worker *worker, struct rpc_call *call, struct block_writer *writer)
{
	struct fault fault = {0};
	int rc = block_writer_commit(writer);

	if (rc)
		return write_fault(call, writer->id, rc);
	store_lock(worker->store);
	/* A reset told late, after all messages (spec goosefs 19.1), is still no commit. */
	if (rpc_call_cancelled(call))
		fault_set(&fault, RPC_CANCELLED, "Cancelled");
	else
		tree_block_committed(worker->store, writer->id, worker->id, writer->bytes, &fault);
	store_unlock(worker->store);
	if (!fault.code)
		return 0;
	rc = blocks_remove(&worker->blocks, writer->id);
	if (rc)
		log_warn("block %" PRId64 " cannot be removed: %s", writer->id, strerror(-rc));
	return rpc_call_fail(call, fault.code, "%s", fault.text);
}

/* One message of the client. 0, or the status to end with. */
static int write_step(struct rpc_call *call, struct block_writer *writer, int64_t reserved,
		      const struct gfs_write_command *command, const struct rpc_body *body)
{
	int rc;

	if (command && !command->flush)
		return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "A second command on a block stream");
	if (command)
		return reply_offset(call, writer->bytes) ? RPC_CANCELLED : 0;
	if (reserved && (int64_t)body->bytes > reserved - writer->bytes)
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED,
				     "Block %" PRId64 ": more than the %" PRId64 " bytes reserved", writer->id,
				     reserved);
	rc = block_writer_append(writer, body->part, body->nparts);
	return rc ? write_fault(call, writer->id, rc) : 0;
}

static int write_block(void *context, struct rpc_call *call, const void *first)
{
	const struct gfs_write_command *open = first;
	int64_t reserved = open->space_to_reserve;
	struct worker *worker = context;
	struct block_writer writer;
	int code = check_write(worker, call, open), rc;

	if (code)
		return code;
	rc = block_writer_open(&worker->blocks, open->id, &writer);
	if (rc)
		return write_fault(call, open->id, rc);
	while (!code) {
		struct rpc_body body = {0};
		const void *command = NULL;

		rc = rpc_call_recv(call, 0, &command, &body);
		if (rc <= 0)
			break;
		code = write_step(call, &writer, reserved, command, &body);
		rpc_body_release(&body);
	}
	if (!code && rc < 0)
		code = rpc_call_fail(call, rc == -EPROTO ? RPC_INVALID_ARGUMENT : RPC_CANCELLED,
				     "Block %" PRId64 ": %s", writer.id, strerror(-rc));
	if (!code)
		code = write_commit(worker, call, &writer);
	if (!code)
		reply_offset(call, writer.bytes); /* gone by now? committed all the same */
	block_writer_discard(&writer);
	return code;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct read_session {
	struct rpc_call *call;
	int fd;
	int64_t id;
	int64_t off, end; /* what is still to send */
	int64_t acked;    /* how far the client has read */
	int64_t window;   /* bytes it lets us be ahead */
	size_t chunk;
};

static int read_fault(struct rpc_call *call, int64_t id)
{
	/* Not NOT_FOUND: real workers and their clients have it so (spec goosefs 9.3). */
	return rpc_call_fail(call, RPC_INTERNAL, "Failed to read block ID=%" PRId64, id);
}

/* Wait until the client has read on. 1: go on; 0: it wants no more; -errno. */
static int read_wait_ack(struct read_session *read)
{
	while (read->off - read->acked >= read->window) {
		const struct gfs_read_request *ack;
		const void *message = NULL;
		struct rpc_body body = {0};
		int rc = rpc_call_recv(read->call, 0, &message, &body);

		rpc_body_release(&body);
		if (rc <= 0)
			return rc;
		ack = message;
		if (ack && ack->has_offset_received && ack->offset_received > read->acked)
			read->acked = ack->offset_received;
	}
	return 1;
}

static ssize_t read_fully(int fd, char *data, size_t bytes, int64_t off)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = pread(fd, data + done, bytes - done, off + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO; /* committed blocks do not shrink */
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* 0 or the status to end with. */
static int read_send(struct read_session *read)
{
	int64_t left = read->end - read->off;
	size_t bytes = left < (int64_t)read->chunk ? (size_t)left : read->chunk;
	struct buffer *buffer = buffer_get();
	ssize_t n;

	if (!buffer)
		return rpc_call_fail(read->call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	n = read_fully(read->fd, buffer->data, bytes, read->off);
	if (n < 0) {
		buffer_put(buffer);
		log_error("block %" PRId64 ": %s", read->id, strerror((int)-n));
		return read_fault(read->call, read->id);
	}
	if (rpc_call_send_chunk(read->call, buffer->data, bytes, buffer_put, buffer))
		return RPC_CANCELLED;
	read->off += n;
	return 0;
}

static int read_loop(struct read_session *read)
{
	while (read->off < read->end) {
		int rc = read_wait_ack(read);
		int code;

		if (rc <= 0)
			return rc ? RPC_CANCELLED : 0;
		code = read_send(read);
		if (code)
			return code;
	}
	return 0;
}

static int64_t read_window(const struct gfs_read_request *request, int64_t chunk)
{
	if (request->prefetch_window <= 0)
		return WINDOW_DEFAULT;
	return (1 + (int64_t)request->prefetch_window) * chunk;
}

static int read_block(void *context, struct rpc_call *call, const void *first)
{
	const struct gfs_read_request *request = first;
	struct worker *worker = context;
	struct read_session read = {
		.call = call, .id = request->block_id, .off = request->offset, .acked = request->offset};
	int64_t bytes;
	int code;

	read.fd = blocks_read(&worker->blocks, request->block_id, &bytes);
	if (read.fd < 0)
		return read_fault(call, request->block_id);
	if (request->offset < 0 || request->length < 0 || request->offset > bytes ||
	    request->length > bytes - request->offset) {
		close(read.fd);
		return rpc_call_fail(call, RPC_OUT_OF_RANGE, "Block %" PRId64 " has %" PRId64 " bytes",
				     request->block_id, bytes);
	}
	read.end = request->offset + request->length;
	read.chunk =
		request->chunk_size > 0 && request->chunk_size < CHUNK_MAX ? (size_t)request->chunk_size : CHUNK_MAX;
	read.window = read_window(request, (int64_t)read.chunk);
	if (!request->position_short && request->length > (int64_t)read.chunk)
		posix_fadvise(read.fd, request->offset, request->length, POSIX_FADV_SEQUENTIAL);
	code = read_loop(&read);
	close(read.fd);
	return code;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static int open_local_block(void *context, struct rpc_call *call, const void *first)
{
	const struct gfs_open_local *request = first;
	struct worker *worker = context;
	int64_t id = request->block_id, bytes;
	struct gfs_local_block reply = {.has_block_size = true};
	char path[BLOCK_PATH_MAX];
	int rc = blocks_lock(&worker->blocks, id, &bytes);

	if (rc == -ENOENT)
		return rpc_call_fail(call, RPC_NOT_FOUND, "Block %" PRId64 " is not here", id);
	if (rc)
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	blocks_path(&worker->blocks, id, path);
	reply.path = path;
	reply.block_size = bytes;
	rc = rpc_call_send(call, &reply);
	while (rc >= 0) {
		struct rpc_body body = {0};
		const void *message = NULL;

		rc = rpc_call_recv(call, 0, &message, &body);
		rpc_body_release(&body);
		if (rc <= 0)
			break;
	}
	blocks_unlock(&worker->blocks, id);
	return rc < 0 ? RPC_CANCELLED : 0;
}

static int check_blocks(void *context, struct rpc_call *call, const void *request, void *reply)
{
	const struct gfs_block_ids *asked = request;
	struct gfs_check_blocks_reply *answer = reply;
	struct worker *worker = context;
	struct {
		int64_t id, bytes;
	} *cached = rpc_call_alloc(call, (asked->n ? asked->n : 1) * sizeof(*answer->cached));
	size_t n = 0;

	if (!cached)
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	for (size_t i = 0; i < asked->n; i++) {
		cached[n].id = asked->ids[i];
		if (blocks_has(&worker->blocks, asked->ids[i], &cached[n].bytes))
			n++;
	}
	answer->cached = (const void *)cached;
	answer->n = n;
	return 0;
}

const struct rpc_handler worker_handlers[] = {
	{RPC_CHECK_BLOCKS, check_blocks, NULL},
	{RPC_READ_BLOCK, NULL, read_block},
	{RPC_WRITE_BLOCK, NULL, write_block},
	{RPC_OPEN_LOCAL_BLOCK, NULL, open_local_block},
	{0},
};
