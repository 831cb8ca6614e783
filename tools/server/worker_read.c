/*
 * worker_read.c: ReadBlock (spec goosefs 9.1 to 9.3).
 *
 * Long reads of a block go out of a mapping of its file: no copy of ours. Each chunk is brought in first, with
 * MADV_POPULATE_READ: a failing disk is then an error of one call; and nobody but the kernel looks at the bytes, who knows how
 * to say EFAULT where a process gets SIGBUS. Short reads, and those of the under file system, whose files others may cut while
 * we read, go through pooled buffers that the transport gives back.
 *
 * A block that is not here is read from the under file system, if the client says where it lies. What is read there is
 * cached afterwards, when the client has all its bytes; but only if the master, too, has this block at that place:
 * otherwise one client could put what it likes under the blocks of another's file.
 */
#include "tools/server/worker.h"
#include "tools/server/io.h"
#include "tools/server/log.h"
#include "tools/server/tree.h"
#include "proto/goosefs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* ---- mappings ---------------------------------------------------------------------------------------------------- */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

struct mapping {
	_Atomic unsigned refs; /* the read's, and each chunk's that is on its way */
	char *data;
	size_t bytes;
};

static struct mapping *mapping_new(int fd, int64_t bytes)
{
	struct mapping *map = malloc(sizeof(*map));

	if (!map)
		return NULL;
	map->refs = 1;
	map->bytes = (size_t)bytes;
	map->data = mmap(NULL, map->bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (map->data != MAP_FAILED)
		return map;
	free(map);
	return NULL;
}

static void mapping_put(void *arg)
{
	struct mapping *map = arg;

	if (!map || atomic_fetch_sub(&map->refs, 1) != 1)
		return;
	munmap(map->data, map->bytes);
	free(map);
}

/* Bytes that are in memory, or NULL: the kernel cannot tell, or it cannot read them. */
static const char *mapping_bytes(struct mapping *map, int64_t off, size_t bytes)
{
	size_t lead = (size_t)off % (size_t)sysconf(_SC_PAGESIZE);

	if (!map || madvise(map->data + off - lead, bytes + lead, MADV_POPULATE_READ))
		return NULL;
	atomic_fetch_add(&map->refs, 1);
	return map->data + off;
}

/* ---- one read ---------------------------------------------------------------------------------------------------- */

struct read_session {
	struct worker *worker;
	struct rpc_call *call;
	const struct gfs_read_request *request;
	int fd;
	struct mapping *map; /* or NULL */
	int64_t id;
	int64_t base;     /* where in fd the block begins */
	int64_t bytes;    /* of the block */
	bool through;     /* fd is of the under file system */
	int64_t off, end; /* what is still to send */
	int64_t acked;    /* how far the client has read */
	int64_t window;   /* bytes it lets us be ahead */
	size_t chunk;
	int64_t nchunks;  /* sent, or tried */
	bool half_closed; /* the client wants no more */
};

static int read_fault(struct rpc_call *call, int64_t id)
{
	/* Not NOT_FOUND: real workers and their clients have it so (spec goosefs 9.3). */
	return rpc_call_fail(call, RPC_INTERNAL, "Failed to read block ID=%" PRId64, id);
}

/* One acknowledgement. 1, 0 when the client half-closed, -errno (-ETIMEDOUT). */
static int read_take_ack(struct read_session *read, unsigned timeout_ms)
{
	const struct gfs_read_request *ack;
	const void *message = NULL;
	struct rpc_body body = {0};
	int rc = rpc_call_recv(read->call, timeout_ms, &message, &body);

	rpc_body_release(&body);
	read->half_closed |= rc == 0;
	if (rc <= 0)
		return rc;
	ack = message;
	if (ack && ack->has_offset_received && ack->offset_received > read->acked)
		read->acked = ack->offset_received;
	return 1;
}

/* Wait until the client has read on. 1: go on; 0: it wants no more; -errno. */
static int read_wait_ack(struct read_session *read)
{
	while (read->off - read->acked >= read->window) {
		int rc = read_take_ack(read, 0);

		if (rc <= 0)
			return rc;
	}
	return 1;
}

static int read_sent(struct read_session *read, size_t bytes, int rc)
{
	if (rc)
		return RPC_CANCELLED;
	read->off += (int64_t)bytes;
	return 0;
}

/* 0 or the status to end with. */
static int read_send(struct read_session *read)
{
	int64_t left = read->end - read->off;
	size_t bytes = left < (int64_t)read->chunk ? (size_t)left : read->chunk;
	const char *mapped = mapping_bytes(read->map, read->off, bytes);
	struct buffer *buffer;
	int rc;

	if (mapped)
		return read_sent(read, bytes, rpc_call_send_chunk(read->call, mapped, bytes, mapping_put, read->map));
	buffer = buffer_get();
	if (!buffer)
		return rpc_call_fail(read->call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	rc = io_read(read->fd, buffer->data, bytes, read->base + read->off);
	if (rc) {
		buffer_put(buffer);
		log_error("block %" PRId64 ": %s", read->id, strerror(-rc));
		return read_fault(read->call, read->id);
	}
	return read_sent(read, bytes, rpc_call_send_chunk(read->call, buffer->data, bytes, buffer_put, buffer));
}

/* Failures on request, before a chunk. 0: send it; else what read_loop() returns; *end: and that is success. */
static int read_misbehave(struct read_session *read, bool *end)
{
	const struct faults *faults = read->worker->faults;

	*end = false;
	read->nchunks++;
	fault_wait(faults, FAULT_WORKER_DELAY);
	if (fault_at(faults, FAULT_READ_STATUS, read->nchunks))
		return rpc_call_fail(read->call, (int)fault_value(faults, FAULT_READ_STATUS),
				     "A failure at chunk %" PRId64 ", as was asked for", read->nchunks);
	*end = fault_on(faults, FAULT_SHORT_READ) && read->nchunks > fault_value(faults, FAULT_SHORT_READ);
	if (!*end && fault_on(faults, FAULT_EMPTY_CHUNKS) && rpc_call_send_chunk(read->call, "", 0, NULL, NULL))
		return RPC_CANCELLED;
	/* To know a half-close from a cancel, see the one before the other comes. */
	while (!read->half_closed && fault_on(faults, FAULT_STRICT_LOCK))
		if (read_take_ack(read, 1) <= 0)
			break;
	*end |= read->half_closed;
	return 0;
}

static int read_loop(struct read_session *read)
{
	while (read->off < read->end) {
		int rc = read_wait_ack(read);
		bool end;
		int code;

		if (rc <= 0)
			return rc ? RPC_CANCELLED : 0;
		code = read_misbehave(read, &end);
		if (code || end)
			return code;
		code = read_send(read);
		if (code)
			return code;
	}
	return 0;
}

/* ---- what to read ------------------------------------------------------------------------------------------------ */

/* 0, or -errno: the block is not where the client says. */
static int open_through(struct read_session *read)
{
	const struct gfs_ufs_options *where = &read->request->ufs;
	const struct ufs *ufs = read->worker->ufs;
	const char *path = where->present && ufs_on(ufs) ? ufs_path_of(ufs, where->ufs_path) : NULL;
	struct ufs_entry entry;
	int64_t bytes;

	if (!path || where->offset_in_file < 0 || where->block_size < 0)
		return -ENOENT;
	read->fd = ufs_read(ufs, path, &entry);
	if (read->fd < 0)
		return read->fd;
	bytes = entry.bytes;
	if (where->file_length > 0 && where->file_length < bytes)
		bytes = where->file_length;
	bytes = bytes > where->offset_in_file ? bytes - where->offset_in_file : 0;
	read->bytes = bytes < where->block_size ? bytes : where->block_size;
	read->base = where->offset_in_file;
	read->through = true;
	return 0;
}

static int read_open(struct read_session *read)
{
	int rc;

	read->fd = blocks_read(&read->worker->blocks, read->id, &read->bytes);
	if (read->fd >= 0)
		return 0;
	rc = read->fd == -ENOENT ? open_through(read) : read->fd;
	return rc ? read_fault(read->call, read->id) : 0;
}

/* True when the master has this block at this place: a persisted file's, of the length that the file has there. */
static bool block_is_of_file(struct read_session *read)
{
	struct worker *worker = read->worker;
	struct fault fault = {0};
	struct inode inode;
	char path[PATH_MAX];
	bool same;

	store_lock(worker->store);
	same = !tree_get(worker->store, FILE_OF_BLOCK(read->id), &inode, &fault) && inode.completed &&
	       inode.ufs == UFS_PERSISTED && !tree_path(worker->store, inode.id, path, sizeof(path), &fault);
	store_unlock(worker->store);
	if (same) {
		const char *asked = ufs_path_of(worker->ufs, read->request->ufs.ufs_path);
		int64_t off = (read->id - FIRST_BLOCK(inode.id)) * inode.block_size;
		int64_t left = inode.length - off;
		struct ufs_entry entry;

		same = asked && !strcmp(asked, path) && read->base == off && left > 0 &&
		       read->bytes == (left < inode.block_size ? left : inode.block_size) &&
		       !ufs_stat(worker->ufs, path, &entry) && entry.bytes == inode.length &&
		       entry.stamp == inode.ufs_stamp;
	}
	return same;
}

/* Keep what was read through. It is only a cache: no room is no error. */
static void cache_block(struct read_session *read)
{
	struct worker *worker = read->worker;
	struct fault fault = {0};
	struct block_writer writer;
	int64_t bytes;
	int rc;

	if (blocks_has(&worker->blocks, read->id, &bytes) || !block_is_of_file(read))
		return;
	rc = block_writer_open(&worker->blocks, read->id, &writer);
	if (rc)
		return;
	rc = io_copy(read->fd, read->base, read->bytes, writer.fd, NULL, NULL);
	if (!rc) {
		writer.bytes = read->bytes;
		rc = block_writer_commit(&writer);
	}
	block_writer_discard(&writer);
	if (rc)
		return;
	store_lock(worker->store);
	tree_block_committed(worker->store, read->id, worker->id, read->bytes, &fault);
	store_unlock(worker->store);
	if (fault.code)
		blocks_remove(&worker->blocks, read->id);
}

/* ---- strict-lock ------------------------------------------------------------------------------------------------- */

/*
 * As real workers have it: who cancels without having half-closed leaves the block locked (spec goosefs 9.2). A client
 * that half-closes and resets in one breath, not waiting for its status, may be taken for one of those: the two come
 * together, and the transport tells of the reset alone (19.1).
 */
static void keep_lock(struct read_session *read, int code)
{
	int rc = 1;

	while (rc > 0 && !code && !read->half_closed)
		rc = read_take_ack(read, 0);
	if (read->half_closed || !rpc_call_cancelled(read->call))
		return;
	worker_stick(read->worker, read->id);
}

/* Nothing comes, until the client gives up. */
static int hang(struct read_session *read)
{
	while (read_take_ack(read, 0) > 0)
		;
	return RPC_CANCELLED;
}

/* ---- the RPC ----------------------------------------------------------------------------------------------------- */

static int64_t read_window(const struct gfs_read_request *request, int64_t chunk)
{
	if (request->prefetch_window <= 0)
		return WINDOW_DEFAULT;
	return (1 + (int64_t)request->prefetch_window) * chunk;
}

static int read_range(struct read_session *read)
{
	const struct gfs_read_request *request = read->request;

	if (request->offset < 0 || request->length < 0 || request->offset > read->bytes ||
	    request->length > read->bytes - request->offset)
		return rpc_call_fail(read->call, RPC_OUT_OF_RANGE, "Block %" PRId64 " has %" PRId64 " bytes", read->id,
				     read->bytes);
	read->end = request->offset + request->length;
	read->chunk =
		request->chunk_size > 0 && request->chunk_size < CHUNK_MAX ? (size_t)request->chunk_size : CHUNK_MAX;
	read->window = read_window(request, (int64_t)read->chunk);
	if (!request->position_short && request->length > (int64_t)read->chunk) {
		posix_fadvise(read->fd, read->base + request->offset, request->length, POSIX_FADV_SEQUENTIAL);
		if (!read->through)
			read->map = mapping_new(read->fd, read->bytes);
	}
	return read_loop(read);
}

int worker_read_block(void *context, struct rpc_call *call, const void *first)
{
	const struct gfs_read_request *request = first;
	struct worker *worker = context;
	struct read_session read = {
		.worker = worker,
		.call = call,
		.request = request,
		.id = request->block_id,
		.off = request->offset,
		.acked = request->offset,
	};
	int code;

	if (fault_on(worker->faults, FAULT_STRICT_LOCK) && worker_is_stuck(worker, read.id))
		return hang(&read);
	code = read_open(&read);
	if (code)
		return code;
	code = read_range(&read);
	mapping_put(read.map);
	if (!code && read.through && read.off == read.end && !request->ufs.no_cache)
		cache_block(&read);
	close(read.fd);
	if (fault_on(worker->faults, FAULT_STRICT_LOCK))
		keep_lock(&read, code);
	return code;
}
