/*
 * worker.c: OpenLocalBlock, CheckBlocks, and the table of all that a worker answers; the rest is in worker_read.c and
 * worker_write.c.
 */
#include "tools/server/worker.h"
#include "proto/goosefs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- strict-lock ------------------------------------------------------------------------------------------------- */

void worker_stick(struct worker *worker, int64_t block)
{
	unsigned n = atomic_fetch_add(&worker->nstuck, 1);

	atomic_store(&worker->stuck[n % WORKER_STUCK_MAX], block);
}

bool worker_is_stuck(const struct worker *worker, int64_t block)
{
	for (int i = 0; i < WORKER_STUCK_MAX; i++)
		if (atomic_load(&worker->stuck[i]) == block)
			return true;
	return false;
}

void worker_unstick(struct worker *worker)
{
	for (int i = 0; i < WORKER_STUCK_MAX; i++)
		atomic_store(&worker->stuck[i], 0);
}

/* ---- RPCs -------------------------------------------------------------------------------------------------------- */

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
	fault_wait(worker->faults, FAULT_WORKER_DELAY);
	if (fault_on(worker->faults, FAULT_LOCAL_UNREADABLE))
		strcat(path, ".unreadable");
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

	fault_wait(worker->faults, FAULT_WORKER_DELAY);
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
	{RPC_READ_BLOCK, NULL, worker_read_block},
	{RPC_WRITE_BLOCK, NULL, worker_write_block},
	{RPC_OPEN_LOCAL_BLOCK, NULL, open_local_block},
	{0},
};
