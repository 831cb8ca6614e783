/*
 * local_block.c: the short circuit (spec goosefs 9.9). A worker on this host names the file that is the block.
 *
 * Only where one block is the whole file, so that the descriptor can be given to a program as the file itself. The
 * descriptor keeps the data alive, so the worker's lock is let go at once.
 */
#include "client/goosefs/clock.h"
#include "client/goosefs/goosefs.h"
#include "client/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENDING_MS = 200 };

static bool worth_trying(struct backend *b, int64_t block_id)
{
	int64_t now = now_ms();
	bool worth;

	pthread_mutex_lock(&b->lock);
	worth = b->short_circuit;
	for (unsigned i = 0; worth && i < NOT_LOCAL_MAX; i++)
		worth = b->not_local[i].block_id != block_id || b->not_local[i].until_ms <= now;
	pthread_mutex_unlock(&b->lock);
	return worth;
}

static void remember_failure(struct backend *b, int64_t block_id, int rc)
{
	unsigned i;

	pthread_mutex_lock(&b->lock);
	i = b->not_local_next++ % NOT_LOCAL_MAX;
	b->not_local[i].block_id = block_id;
	b->not_local[i].until_ms = now_ms() + NOT_LOCAL_MS;
	if (rc == -EACCES && b->short_circuit) {
		b->short_circuit = false;
		log_note("block files of the local worker may not be opened: no more short circuit");
	}
	pthread_mutex_unlock(&b->lock);
}

/*
 * The path is a peer's word, and what it leads to is given to a program as bytes of the cluster. So it must not make us
 * wait (a FIFO), nor pass for a file of another size, nor be just any file that the user may read: block files are called
 * by their ids.
 */
static int block_file_open(const char *path, int64_t block_id, int64_t size)
{
	int fd, rc = -EOPNOTSUPP;
	struct stat st;
	char name[24];

	snprintf(name, sizeof name, "/%lld", (long long)block_id);
	if (strcmp(strrchr(path, '/'), name)) {
		log_note("short circuit: %s is not called as block %lld is", path, (long long)block_id);
		return rc;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : -EOPNOTSUPP;
	if (fstat(fd, &st))
		rc = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size != size)
		log_note("short circuit: %s is not a file of %lld bytes", path, (long long)size);
	else
		rc = fcntl(fd, F_SETFL, 0) ? -errno : fd;
	if (rc < 0)
		close(fd);
	return rc;
}

static int ask_worker(struct backend *b, const struct ring_worker *worker, int64_t block_id, int64_t size)
{
	struct gfs_open_local request = {.block_id = block_id, .block_size = size};
	struct gfs_local_block reply;
	struct rpc_stream *stream;
	struct rpc_error error;
	struct lease lease;
	int rc, fd;

	rc = worker_lease(b->workers, worker->address, &lease, &error);
	if (rc)
		return rc;
	rc = rpc_stream_open(lease.channel, RPC_OPEN_LOCAL_BLOCK, &request, &stream);
	lease_put(&lease);
	if (rc)
		return rc;
	memset(&error, 0, sizeof error);
	fd = -EOPNOTSUPP;
	rc = rpc_stream_recv(stream, b->rpc_timeout_ms, NULL, &reply, &error);
	if (rc == 1) {
		if (*reply.path == '/' && (!reply.has_block_size || reply.block_size >= size))
			fd = block_file_open(reply.path, block_id, size);
		rpc_release(&reply);
	} else if (error.unauthenticated) {
		worker_spoil(b->workers, worker->address, lease.generation);
	}
	if (!rpc_stream_half_close(stream, ENDING_MS))
		rpc_stream_drain(stream, ENDING_MS, &error);
	rpc_stream_free(stream);
	return fd;
}

static const struct ring_worker *local_candidate(struct backend *b, const struct ring *ring,
						 const struct backend_layout *layout, const struct segment *segment)
{
	const struct ring_worker *candidates[CANDIDATES_MAX];
	unsigned n = block_candidates(b, ring, layout, segment, candidates, 4);

	for (unsigned i = 0; i < n; i++)
		if (worker_is_local(b->workers, candidates[i]))
			return candidates[i];
	return NULL;
}

int local_block_open(struct backend *b, const struct backend_file *file)
{
	const struct backend_layout *layout = file->layout;
	const struct ring_worker *worker;
	struct segment segment;
	struct ring *ring;
	int fd = -EOPNOTSUPP;

	if (!file->st.complete || file->st.type != SLIP_FILE || layout->length > layout->block_size ||
	    !layout_segment(layout, 0, layout->length, &segment) || !worth_trying(b, segment.block_id))
		return -EOPNOTSUPP;
	if (workers_ring(b->workers, &ring))
		return -EOPNOTSUPP;
	worker = local_candidate(b, ring, layout, &segment);
	if (worker)
		fd = ask_worker(b, worker, segment.block_id, layout->length);
	if (fd < 0)
		remember_failure(b, segment.block_id, fd);
	ring_put(ring);
	return fd < 0 ? -EOPNOTSUPP : fd;
}
