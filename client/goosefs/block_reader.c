/*
 * block_reader.c: the dual path to a file's bytes.
 *
 * A reader keeps at most one sequential stream, which the worker fills ahead of us, and opens a positioned stream for
 * anything else. What arrived last stays in the transport's buffers until the next message, so seeks within it, forth
 * or back, cost nothing, and every byte is copied once: from there to the caller.
 *
 * A stream that fails, ends early, or falls silent is replaced by one on the next worker, at the exact offset. Progress
 * resets the count of tries. When it is used up the caller gets an error: never an early end of file.
 *
 * A stream that has delivered everything is half-closed, so that the worker unlocks the block (spec goosefs 9.2), and
 * its status is read when the next one ends: by then it is there, and nobody waits for it.
 */
#include "client/goosefs/clock.h"
#include "client/goosefs/goosefs.h"
#include "client/log.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENDING_MS = 200, /* longest wait for the status of a stream that is done */
	HALF_CLOSE_MS = 1000,
	SKIP_CHUNKS = 2, /* a sequential stream reads on over a gap this small */
};

struct block_stream {
	struct rpc_stream *rpc;           /* NULL: not open */
	const struct ring_worker *worker; /* of the reader's ring */
	uint64_t generation;
	int64_t start;        /* file offset of the block's first byte */
	int64_t next;         /* file offset of the next byte to arrive */
	int64_t end;          /* file offset where the stream ends */
	struct rpc_body body; /* the last message: bytes [next - body.bytes, next) */
};

struct backend_reader {
	struct backend *backend;
	struct backend_layout *layout;
	struct ring *ring; /* NULL until the first stream */

	struct block_stream sequential, positioned;
	struct rpc_stream *ending;

	int64_t try_block; /* which block the candidates are for; -1: none */
	const struct ring_worker *candidates[CANDIDATES_MAX];
	unsigned ncandidates, candidate; /* the next to try; the last leads to doubt, and to a new list */
	unsigned tries;                  /* since the last progress */
	bool renewed;                    /* an expired session was renewed once for free */
	bool doubt;                      /* every candidate failed: before the next try, ask who the workers are */
};

/* ---- candidates ------------------------------------------------------------------------------------------------- */

static bool skip_failed(void *context, const struct ring_worker *worker)
{
	return worker_failed(context, worker->address);
}

static bool among(const struct ring_worker *worker, const struct ring_worker **list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == worker)
			return true;
	return false;
}

unsigned block_candidates(struct backend *b, const struct ring *ring, const struct backend_layout *layout,
			  const struct segment *segment, const struct ring_worker **out, unsigned max)
{
	const struct layout_block *block = layout_block(layout, segment->index);
	const struct ring_worker *chosen[CANDIDATES_MAX];
	unsigned n = 0, more;

	for (size_t i = 0; block && i < block->nworkers && n < max; i++) {
		const struct ring_worker *w = ring_worker_by_id(ring, block->workers[i]);

		if (w && *w->host && !among(w, out, n) && !worker_failed(b->workers, w->address))
			out[n++] = w;
	}
	more = ring_select(ring, segment->block_id, max, skip_failed, b->workers, chosen);
	for (unsigned i = 0; i < more && n < max; i++)
		if (!among(chosen[i], out, n))
			out[n++] = chosen[i];
	return n;
}

static unsigned tries_max(const struct backend_reader *r)
{
	unsigned retry = (unsigned)config_u64(r->backend->config, CONFIG_READ_RETRY);
	unsigned copies = (unsigned)config_u64(r->backend->config, CONFIG_REPLICATION);

	return retry > copies ? retry : copies;
}

static void reader_progressed(struct backend_reader *r)
{
	r->tries = 0;
	r->renewed = false;
}

static void stream_finish(struct backend_reader *r, struct block_stream *s);

/* Streams point into the ring, so they end with it. */
static void reader_drop_ring(struct backend_reader *r)
{
	stream_finish(r, &r->sequential);
	stream_finish(r, &r->positioned);
	ring_put(r->ring);
	r->ring = NULL;
	r->try_block = -1;
	r->doubt = false;
}

static int reader_find_workers(struct backend_reader *r, const struct segment *segment)
{
	struct ring *ring;
	int rc;

	if (r->doubt)
		reader_drop_ring(r);
	if (r->try_block == segment->index)
		return 0;
	if (!r->ring) {
		rc = workers_ring(r->backend->workers, &ring);
		if (rc)
			return rc;
		r->ring = ring;
	}
	r->ncandidates = block_candidates(r->backend, r->ring, r->layout, segment, r->candidates, tries_max(r));
	if (!r->ncandidates) {
		error_note("no worker for block %lld", (long long)segment->block_id);
		return -EHOSTUNREACH;
	}
	r->candidate = 0;
	r->try_block = segment->index;
	return 0;
}

/* ---- one stream ------------------------------------------------------------------------------------------------- */

static void ending_settle(struct backend_reader *r, unsigned timeout_ms)
{
	struct rpc_error error;

	if (!r->ending)
		return;
	rpc_stream_drain(r->ending, timeout_ms, &error);
	rpc_stream_free(r->ending);
	r->ending = NULL;
}

/* We want no more of it, whether it delivered all or not. Its last bytes stay. */
static void stream_finish(struct backend_reader *r, struct block_stream *s)
{
	if (!s->rpc)
		return;
	ending_settle(r, ENDING_MS);
	if (rpc_stream_half_close(s->rpc, HALF_CLOSE_MS))
		rpc_stream_free(s->rpc);
	else
		r->ending = s->rpc;
	s->rpc = NULL;
}

static void stream_forget(struct block_stream *s)
{
	rpc_body_release(&s->body);
	memset(&s->body, 0, sizeof s->body);
}

static void stream_break(struct block_stream *s)
{
	stream_forget(s);
	if (s->rpc)
		rpc_stream_free(s->rpc);
	s->rpc = NULL;
}

static bool stream_holds(const struct block_stream *s, int64_t off)
{
	return off < s->next && off >= s->next - (int64_t)s->body.bytes;
}

static struct gfs_read_request read_request(const struct backend_reader *r, const struct segment *segment,
					    bool positioned)
{
	struct gfs_read_request request = {
		.block_id = segment->block_id,
		.offset = segment->offset,
		.length = segment->n,
		.chunk_size = r->backend->chunk_size,
		.position_short = positioned,
		.ufs = layout_ufs(r->layout, segment->index),
	};

	if (!positioned)
		request.prefetch_window = (int)config_u64(r->backend->config, CONFIG_PREFETCH_WINDOW);
	return request;
}

static int stream_open(struct backend_reader *r, struct block_stream *s, const struct segment *segment, bool positioned,
		       struct rpc_error *error)
{
	struct gfs_read_request request = read_request(r, segment, positioned);
	struct lease lease;
	int rc;

	s->worker = r->candidates[r->candidate];
	s->generation = 0;
	rc = worker_lease(r->backend->workers, s->worker->address, &lease, error);
	if (rc)
		return rc;
	s->generation = lease.generation;
	rc = rpc_stream_open(lease.channel, RPC_READ_BLOCK, &request, &s->rpc);
	lease_put(&lease);
	if (rc) {
		s->rpc = NULL;
		return rc;
	}
	s->start = segment->index * r->layout->block_size;
	s->next = s->start + segment->offset;
	s->end = s->next + segment->n;
	return 0;
}

/*
 * The next bytes, in place of the last. An end before the end is an error, and so is more than was asked. Keep-alives are
 * no bytes: a worker that has nothing else to say is waited for no longer than one that is silent.
 */
static int stream_next(struct backend_reader *r, struct block_stream *s, struct rpc_error *error)
{
	int64_t deadline = now_ms() + r->backend->rpc_timeout_ms, left;
	int rc;

	do {
		stream_forget(s);
		left = deadline - now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		rc = rpc_stream_recv(s->rpc, (unsigned)left, &s->body, NULL, error);
		if (rc == 0)
			return -EIO;
		if (rc < 0)
			return rc;
	} while (!s->body.bytes);
	if ((int64_t)s->body.bytes > s->end - s->next)
		return -EPROTO;
	s->next += (int64_t)s->body.bytes;
	rpc_stream_ack(s->rpc, s->next - s->start);
	if (s->next == s->end)
		stream_finish(r, s);
	return 0;
}

/* ---- trying again ----------------------------------------------------------------------------------------------- */

static bool transport_failed(int rc, const struct rpc_error *error)
{
	return rc == -ETIMEDOUT || error->code == -1 || error->code == RPC_UNAVAILABLE;
}

/* What a worker's failure means for the next try. Returns 0 to try again. */
static int reader_failed(struct backend_reader *r, struct block_stream *s, int rc, const struct rpc_error *error)
{
	struct workers *workers = r->backend->workers;
	const char *said = *error->message ? error->message : rc == -EIO ? "the stream ended early" : strerror(-rc);

	error_note("worker %s: %s", s->worker->address, said);
	log_note("read: worker %s: %s, at offset %lld", s->worker->address, said, (long long)s->next);
	if (rc == -ENOMEM || rc == -EINTR)
		return rc;
	if (s->generation && (error->unauthenticated || transport_failed(rc, error)))
		worker_spoil(workers, s->worker->address, s->generation);
	if (error->unauthenticated && !r->renewed) {
		r->renewed = true; /* the same worker, over a new channel */
		return 0;
	}
	if (!error->unauthenticated && transport_failed(rc, error))
		worker_fail(workers, s->worker->address);
	if (++r->candidate == r->ncandidates) {
		workers_doubt(workers);
		r->doubt = true;
	}
	if (++r->tries < tries_max(r))
		return 0;
	log_error("read: block %lld of file %lld: no worker could serve it: %s",
		  (long long)(s->next / r->layout->block_size), (long long)r->layout->file_id, error_noted());
	workers_doubt(workers);
	return error->code == RPC_PERMISSION_DENIED || error->unauthenticated ? -EACCES : -EIO;
}

/* Given up: the next call starts afresh, with the workers of that time. */
static void reader_gave_up(struct backend_reader *r)
{
	stream_break(&r->sequential);
	stream_break(&r->positioned);
	reader_drop_ring(r);
	reader_progressed(r);
}

/* Make s hold the byte at off; positioned streams are asked for want bytes. */
static int reader_fill(struct backend_reader *r, struct block_stream *s, int64_t off, size_t want, bool positioned)
{
	struct rpc_error error;
	struct segment segment;
	int rc;

	while (!stream_holds(s, off)) {
		memset(&error, 0, sizeof error);
		if (s->rpc && (off < s->next || off >= s->end || off - s->next > SKIP_CHUNKS * r->backend->chunk_size))
			stream_finish(r, s);
		rc = 0;
		if (!s->rpc) {
			stream_forget(s);
			layout_segment(r->layout, off, positioned ? (int64_t)want : INT64_MAX, &segment);
			rc = reader_find_workers(r, &segment);
			if (rc)
				return rc;
			s->next = off; /* for whoever reports a failure to open */
			rc = stream_open(r, s, &segment, positioned, &error);
		}
		if (!rc)
			rc = stream_next(r, s, &error);
		if (!rc) {
			reader_progressed(r);
			continue;
		}
		rc = reader_failed(r, s, rc, &error);
		stream_break(s);
		if (rc) {
			reader_gave_up(r);
			return rc;
		}
	}
	return 0;
}

/* At most n bytes of the message that s holds, from off on, in at most BACKEND_PARTS parts. */
static size_t stream_lend(const struct block_stream *s, int64_t off, size_t n, struct iovec *parts, unsigned *nparts)
{
	size_t skip = (size_t)(off - (s->next - (int64_t)s->body.bytes)), lent = 0;

	*nparts = 0;
	for (unsigned i = 0; i < s->body.nparts && lent < n && *nparts < BACKEND_PARTS; i++) {
		const struct iovec *part = &s->body.part[i];
		size_t take;

		if (skip >= part->iov_len) {
			skip -= part->iov_len;
			continue;
		}
		take = part->iov_len - skip;
		if (take > n - lent)
			take = n - lent;
		parts[(*nparts)++] = (struct iovec){(char *)part->iov_base + skip, take};
		lent += take;
		skip = 0;
	}
	return lent;
}

/* The sequential stream also serves what it has, and what it is about to have. */
static bool sequential_serves(const struct backend_reader *r, int64_t off)
{
	const struct block_stream *s = &r->sequential;

	return stream_holds(s, off) ||
	       (s->rpc && off >= s->next && off < s->end && off - s->next <= SKIP_CHUNKS * r->backend->chunk_size);
}

ssize_t block_reader_lend(struct backend_reader *r, struct iovec *parts, unsigned *nparts, size_t n, int64_t off,
			  bool sequential)
{
	struct block_stream *s;
	size_t lent;
	int rc;

	*nparts = 0;
	if (off < 0)
		return -EINVAL;
	if (!n)
		stream_forget(&r->positioned);
	if (!n || off >= r->layout->length)
		return 0;
	if (n > SSIZE_MAX || (int64_t)n > r->layout->length - off)
		n = (size_t)(r->layout->length - off);
	sequential |= sequential_serves(r, off);
	s = sequential ? &r->sequential : &r->positioned;
	rc = reader_fill(r, s, off, n, !sequential);
	if (rc)
		return rc;
	lent = stream_lend(s, off, n, parts, nparts);
	return lent ? (ssize_t)lent : -EPROTO; /* the body's parts and its size disagree */
}

ssize_t block_reader_read(struct backend_reader *r, void *buf, size_t n, int64_t off, bool sequential)
{
	struct iovec parts[BACKEND_PARTS];
	unsigned nparts;
	size_t got = 0;
	ssize_t lent = 0;

	while (got < n) {
		lent = block_reader_lend(r, parts, &nparts, n - got, off + (int64_t)got, sequential);
		if (lent <= 0)
			break;
		for (unsigned i = 0; i < nparts; i++) {
			memcpy((char *)buf + got, parts[i].iov_base, parts[i].iov_len);
			got += parts[i].iov_len;
		}
	}
	stream_forget(&r->positioned);
	return got ? (ssize_t)got : lent;
}

int block_reader_open(struct backend *b, const struct backend_file *file, struct backend_reader **out)
{
	struct backend_reader *r = calloc(1, sizeof *r);

	if (!r)
		return -ENOMEM;
	r->backend = b;
	r->layout = layout_get(file->layout);
	r->try_block = -1;
	*out = r;
	return 0;
}

void block_reader_close(struct backend_reader *r)
{
	if (!r)
		return;
	stream_finish(r, &r->sequential);
	stream_finish(r, &r->positioned);
	stream_forget(&r->sequential);
	stream_forget(&r->positioned);
	ending_settle(r, ENDING_MS);
	ring_put(r->ring);
	layout_put(r->layout);
	free(r);
}
