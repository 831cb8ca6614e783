#include "client/goosefs/write_stream.h"
#include "client/log.h"

#include <errno.h>
#include <string.h>

/* With the machine, or only with a session that expired? Keeps rc. */
static int failed(struct write_stream *s, struct backend *b, int rc, const struct rpc_error *error)
{
	const char *said = *error->message ? error->message : strerror(-rc);
	bool transport = rc == -ETIMEDOUT || error->code == -1 || error->code == RPC_UNAVAILABLE;

	error_note("worker %s: %s", s->worker->address, said);
	log_note("write: worker %s: %s", s->worker->address, said);
	if (s->generation && (transport || error->unauthenticated))
		worker_spoil(b->workers, s->worker->address, s->generation);
	if (transport && !error->unauthenticated)
		worker_fail(b->workers, s->worker->address);
	s->expired = error->unauthenticated;
	return rc;
}

int write_stream_open(struct write_stream *s, struct backend *b, const struct ring_worker *worker,
		      const struct gfs_write_command *first)
{
	struct rpc_error error = {0};
	struct lease lease;
	int rc;

	*s = (struct write_stream){.worker = worker};
	rc = worker_lease(b->workers, worker->address, &lease, &error);
	if (rc)
		return failed(s, b, rc, &error);
	s->generation = lease.generation;
	rc = rpc_stream_open(lease.channel, RPC_WRITE_BLOCK, first, &s->rpc);
	lease_put(&lease);
	if (!rc)
		return 0;
	s->rpc = NULL;
	return failed(s, b, rc, &error);
}

int write_stream_chunk(struct write_stream *s, struct backend *b, const void *data, size_t n)
{
	struct rpc_error error = {0};
	int rc = rpc_stream_send_chunk(s->rpc, data, n, b->rpc_timeout_ms, &error);

	return rc ? failed(s, b, rc, &error) : 0;
}

/* The worker says how much it has; another number than ours means that bytes were lost on the way. */
static int flush_and_check(struct write_stream *s, struct backend *b, int64_t bytes, struct rpc_error *error)
{
	struct gfs_write_command command = {.flush = true};
	struct gfs_write_reply reply;
	int rc = rpc_stream_send(s->rpc, &command, b->rpc_timeout_ms, error);

	if (rc)
		return rc;
	rc = rpc_stream_recv(s->rpc, b->rpc_timeout_ms, NULL, &reply, error);
	if (rc != 1)
		return rc ? rc : -EIO;
	rc = reply.has_offset && reply.offset != bytes ? -EIO : 0;
	rpc_release(&reply);
	return rc;
}

int write_stream_end(struct write_stream *s, struct backend *b, int64_t bytes, bool flush, bool *closed)
{
	struct rpc_error error = {0};
	int rc = flush ? flush_and_check(s, b, bytes, &error) : 0;

	*closed = !rc;
	if (!rc)
		rc = rpc_stream_half_close(s->rpc, b->rpc_timeout_ms);
	if (!rc)
		rc = rpc_stream_drain(s->rpc, b->rpc_timeout_ms, &error);
	return rc ? failed(s, b, rc, &error) : 0;
}

void write_stream_drop(struct write_stream *s)
{
	if (s->rpc)
		rpc_stream_free(s->rpc);
	s->rpc = NULL;
}
