/*
 * test_client_faults.c: the client against workers that misbehave on demand. A master and two workers live in this process,
 * know one file, and do exactly one thing wrong, a given number of times.
 */
#include "client/client.h"
#include "client/goosefs/crc.h"
#include "client/log.h"
#include "proto/goosefs.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256 << 10, CHUNK = 64 << 10, SIZE = 3 * BLOCK + 1000, BLOCKS = 4, FILE_ID = 33554431 };

enum fault {
	NO_FAULT,
	REFUSES,         /* an error before the first byte */
	ENDS_EARLY,      /* a good end, too soon */
	FAILS_MIDWAY,    /* an error after some bytes */
	SENDS_TOO_MUCH,  /* more than was asked for */
	FALLS_SILENT,    /* nothing more, for ever */
	KEEPS_ALIVE,     /* empty messages in between: no fault at all */
	SESSION_EXPIRED, /* UNAUTHENTICATED */
	FAILS_AT_CLOSE,  /* writing: all is well until the end */
	FLUSH_LIES,      /* writing: says another number of bytes than came */
};

static struct {
	struct rpc_server *master, *workers[2];
	struct gfs_worker list[2];
	char master_address[64];
	unsigned char content[SIZE]; /* of the one file */
	unsigned char blocks[BLOCKS][BLOCK];
	size_t lengths[BLOCKS]; /* as committed */
	atomic_int fault, budget;
	atomic_bool blocks_only;                       /* streams to the under file system do not misbehave */
	atomic_int streams, removed, completed, asked; /* asked: after the root directory */
	const char *_Atomic inner;                     /* its innerWriteType; NULL: it has none */
	unsigned char through[SIZE];                   /* as it came to the under file system */
	int64_t completed_length, completed_crc;
	struct told {                         /* by the last writer */
		int write_type, asynchronous; /* streams that said so */
		int64_t through_length;       /* -1: no stream was ended */
		bool persist, forced;
		int64_t wait_ms;
		struct gfs_file_location where[BLOCKS + 1]; /* in the order told; its workers are below */
		int64_t workers[BLOCKS + 1][2];
		unsigned nwhere;
	} told;
	pthread_mutex_t lock; /* guards blocks, lengths, through and what was told */
} cluster = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void misbehave(enum fault fault, int times)
{
	atomic_store(&cluster.fault, fault);
	atomic_store(&cluster.budget, times);
	atomic_store(&cluster.streams, 0);
}

/* Each stream asks once. */
static enum fault fault_of_this_stream(void)
{
	atomic_fetch_add(&cluster.streams, 1);
	return atomic_fetch_sub(&cluster.budget, 1) > 0 ? (enum fault)atomic_load(&cluster.fault) : NO_FAULT;
}

/* ---- the master ------------------------------------------------------------------------------------------------- */

static void describe(struct gfs_file_info *info, bool complete)
{
	info->file_id = FILE_ID;
	info->name = "f";
	info->path = "/f";
	info->owner = info->group = "me";
	info->length = complete ? SIZE : 0;
	info->block_size = BLOCK;
	info->completed = complete;
	info->mode = 0644;
}

static int get_status(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_get_status *request = message;

	(void)context;
	if (!strcmp(request->path, "/") && cluster.inner) {
		struct gfs_file_info *info = &((struct gfs_file_reply *)reply)->info;
		struct gfs_xattr *xattr = rpc_call_alloc(call, sizeof *xattr);

		atomic_fetch_add(&cluster.asked, 1);
		*xattr = (struct gfs_xattr){"innerWriteType", cluster.inner, strlen(cluster.inner)};
		*info = (struct gfs_file_info){.file_id = 1, .folder = true, .xattr = xattr, .nxattr = 1};
		return 0;
	}
	if (strcmp(request->path, "/f"))
		return rpc_call_fail(call, RPC_NOT_FOUND, "Path \"%s\" does not exist.", request->path);
	describe(&((struct gfs_file_reply *)reply)->info, true);
	return 0;
}

static int create_file(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_create_file *request = message;

	(void)context;
	(void)call;
	pthread_mutex_lock(&cluster.lock);
	cluster.told = (struct told){.write_type = request->write_type, .through_length = -1};
	pthread_mutex_unlock(&cluster.lock);
	describe(&((struct gfs_file_reply *)reply)->info, false);
	((struct gfs_file_reply *)reply)->info.ufs_path = "cosn://bucket/f";
	return 0;
}

/* Under the lock. */
static void note_location(const struct gfs_file_location *where)
{
	unsigned i = cluster.told.nwhere++;

	assert_true(i <= BLOCKS && where->nworkers <= 2);
	cluster.told.where[i] = *where;
	memcpy(cluster.told.workers[i], where->workers, where->nworkers * sizeof *where->workers);
}

static int commit_location(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_commit_location *request = message;

	(void)context;
	(void)reply;
	if (request->inode_id != FILE_ID || request->nlocations != 1 ||
	    request->block_id != request->locations->block_id)
		return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "a strange location");
	pthread_mutex_lock(&cluster.lock);
	note_location(request->locations);
	pthread_mutex_unlock(&cluster.lock);
	return 0;
}

static int complete_file(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_complete_file *request = message;

	(void)context;
	(void)call;
	(void)reply;
	pthread_mutex_lock(&cluster.lock);
	cluster.completed_length = request->ufs_length;
	cluster.completed_crc = request->crc_value;
	cluster.told.persist = request->async_persist;
	cluster.told.wait_ms = request->persistence_wait_ms;
	cluster.told.forced = request->force_persisted;
	for (size_t i = 0; i < request->nlocations; i++)
		note_location(&request->locations[i]);
	pthread_mutex_unlock(&cluster.lock);
	atomic_fetch_add(&cluster.completed, 1);
	return 0;
}

static int remove_blocks(void *context, struct rpc_call *call, const void *message, void *reply)
{
	(void)context;
	(void)call;
	(void)message;
	(void)reply;
	atomic_fetch_add(&cluster.removed, 1);
	return 0;
}

static int get_workers(void *context, struct rpc_call *call, const void *message, void *reply)
{
	struct gfs_worker_list *list = reply;

	(void)context;
	(void)call;
	(void)message;
	list->workers = cluster.list;
	list->n = 2;
	return 0;
}

/* ---- the workers ------------------------------------------------------------------------------------------------ */

static int fall_silent(struct rpc_call *call)
{
	const void *message;
	struct rpc_body body;
	int rc;

	while ((rc = rpc_call_recv(call, 200, &message, &body)) == 1 || rc == -ETIMEDOUT)
		if (rc == 1 && !message)
			rpc_body_release(&body);
	return 0;
}

static int read_block(void *context, struct rpc_call *call, const void *first)
{
	const struct gfs_read_request *request = first;
	int64_t at = (request->block_id & 0xffffff) * BLOCK + request->offset, left = request->length;
	enum fault fault = fault_of_this_stream();
	static const unsigned char junk[CHUNK];

	(void)context;
	if (fault == REFUSES)
		return rpc_call_fail(call, RPC_NOT_FOUND, "Block %lld is not here.", (long long)request->block_id);
	if (fault == SESSION_EXPIRED)
		return rpc_call_fail(call, RPC_UNAUTHENTICATED, "Channel: x is not authenticated");
	if (fault == FALLS_SILENT)
		return fall_silent(call);
	if (at < 0 || left < 0 || at + left > SIZE)
		return rpc_call_fail(call, RPC_OUT_OF_RANGE, "beyond the block");
	for (unsigned i = 0; left; i++) {
		int64_t n = left < request->chunk_size ? left : request->chunk_size;

		if (fault == KEEPS_ALIVE && rpc_call_send_chunk(call, "", 0, NULL, NULL))
			return 0;
		if (i && fault == ENDS_EARLY)
			return 0;
		if (i && fault == FAILS_MIDWAY)
			return rpc_call_fail(call, RPC_INTERNAL, "the disk broke");
		if (rpc_call_send_chunk(call, cluster.content + at, (size_t)n, NULL, NULL))
			return 0;
		at += n;
		left -= n;
	}
	if (fault == SENDS_TOO_MUCH)
		rpc_call_send_chunk(call, junk, sizeof junk, NULL, NULL);
	return 0;
}

struct upload {
	unsigned char *data;
	size_t n;
	bool tail; /* a short chunk came: nothing may follow but the end (spec goosefs 9.6) */
};

static int take_chunk(struct rpc_call *call, struct upload *u, const struct rpc_body *body)
{
	if (u->n + body->bytes > BLOCK || u->tail)
		return rpc_call_fail(call, RPC_INTERNAL, "The file length is inconsistent");
	u->tail = body->bytes != CHUNK;
	for (unsigned i = 0; i < body->nparts; i++) {
		memcpy(u->data + u->n, body->part[i].iov_base, body->part[i].iov_len);
		u->n += body->part[i].iov_len;
	}
	return 0;
}

static int commit(struct rpc_call *call, const struct upload *u, int64_t id)
{
	if (id < 16777216 || id >= 16777216 + BLOCKS)
		return rpc_call_fail(call, RPC_INTERNAL, "no such block");
	pthread_mutex_lock(&cluster.lock);
	memcpy(cluster.blocks[id - 16777216], u->data, u->n);
	cluster.lengths[id - 16777216] = u->n;
	pthread_mutex_unlock(&cluster.lock);
	return 0;
}

static int take_block(struct rpc_call *call, struct upload *u, enum fault fault, int64_t id)
{
	const struct gfs_write_command *command;
	struct gfs_write_reply reply = {.has_offset = true};
	const void *message;
	struct rpc_body body;
	int rc;

	for (unsigned i = 0; (rc = rpc_call_recv(call, 0, &message, &body)) == 1; i++) {
		command = message;
		if (command && command->flush) {
			reply.offset = (int64_t)u->n - (fault == FLUSH_LIES);
			rpc_call_send(call, &reply);
			continue;
		}
		if (command)
			return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "a second command");
		rc = take_chunk(call, u, &body);
		rpc_body_release(&body);
		if (rc)
			return rc;
		if (i == 1 && fault == FAILS_MIDWAY)
			return rpc_call_fail(call, RPC_INTERNAL, "the disk is full, or broke");
		if (i == 1 && fault == ENDS_EARLY)
			return 0;
	}
	if (rc)
		return 0;
	return fault == FAILS_AT_CLOSE ? rpc_call_fail(call, RPC_INTERNAL, "could not commit") : commit(call, u, id);
}

/* A stream to the under file system has no blocks, and what it delivers may be cut anyhow. */
static int take_file(struct rpc_call *call, enum fault fault)
{
	struct gfs_write_reply reply = {.has_offset = true};
	const void *message;
	struct rpc_body body;
	size_t n = 0;
	int rc;

	for (unsigned i = 0; (rc = rpc_call_recv(call, 0, &message, &body)) == 1; i++) {
		if (message) {
			reply.offset = (int64_t)n - (fault == FLUSH_LIES);
			rpc_call_send(call, &reply);
			continue;
		}
		pthread_mutex_lock(&cluster.lock);
		for (unsigned p = 0; p < body.nparts && n + body.part[p].iov_len <= SIZE; p++) {
			memcpy(cluster.through + n, body.part[p].iov_base, body.part[p].iov_len);
			n += body.part[p].iov_len;
		}
		pthread_mutex_unlock(&cluster.lock);
		rpc_body_release(&body);
		if (i == 1 && fault == FAILS_MIDWAY)
			return rpc_call_fail(call, RPC_INTERNAL, "the store is full, or broke");
	}
	if (rc || fault == FAILS_AT_CLOSE)
		return rpc_call_fail(call, RPC_INTERNAL, "could not commit");
	pthread_mutex_lock(&cluster.lock);
	cluster.told.through_length = (int64_t)n;
	pthread_mutex_unlock(&cluster.lock);
	return 0;
}

static int write_block(void *context, struct rpc_call *call, const void *first)
{
	const struct gfs_write_command *command = first;
	int64_t id = command->id;
	bool to_ufs = command->type == GFS_UFS_FILE;
	enum fault fault = !cluster.blocks_only || !to_ufs ? fault_of_this_stream() : NO_FAULT;
	struct upload u = {.data = malloc(BLOCK)};
	int rc;

	(void)context;
	pthread_mutex_lock(&cluster.lock);
	cluster.told.asynchronous += command->async_write;
	pthread_mutex_unlock(&cluster.lock);
	if (fault == REFUSES)
		rc = rpc_call_fail(call, RPC_UNAVAILABLE, "not now");
	else if (fault == SESSION_EXPIRED)
		rc = rpc_call_fail(call, RPC_UNAUTHENTICATED, "Channel: x is not authenticated");
	else
		rc = to_ufs ? take_file(call, fault) : take_block(call, &u, fault, id);
	free(u.data);
	return rc;
}

static const struct rpc_handler master_handlers[] = {
	{RPC_GET_STATUS, get_status, NULL},
	{RPC_CREATE_FILE, create_file, NULL},
	{RPC_COMPLETE_FILE, complete_file, NULL},
	{RPC_REMOVE_BLOCKS, remove_blocks, NULL},
	{RPC_GET_WORKERS, get_workers, NULL},
	{RPC_COMMIT_LOCATION, commit_location, NULL},
	{0, NULL, NULL},
};

static const struct rpc_handler worker_handlers[] = {
	{RPC_READ_BLOCK, NULL, read_block},
	{RPC_WRITE_BLOCK, NULL, write_block},
	{0, NULL, NULL},
};

/* ---- a client of this cluster ----------------------------------------------------------------------------------- */

/*
 * A new one for each test: what failed in one must not be remembered in the next. Whom a busy machine keeps waiting is not
 * silent yet, nor is what he was told old.
 */
static struct slip_client *connect_with(const char *setting)
{
	char mounts[128];
	const char *overrides[] = {
		mounts,         "BLOCK_SIZE=256K", "CHUNK_SIZE=64K",   "RPC_TIMEOUT=20s", "METADATA_TTL_MS=60s",
		"READ_RETRY=3", "WRITE_RETRY=3",   "CONFIG=/dev/null", setting,           NULL};
	struct slip_client *c;

	snprintf(mounts, sizeof mounts, "MOUNTS=/g=goosefs://%s/", cluster.master_address);
	assert_int_equal(slip_client_new(overrides, &c), 0);
	return c;
}

static struct slip_client *connect_client(void)
{
	return connect_with(NULL);
}

static void read_all(size_t piece, const char *setting)
{
	struct slip_client *c = connect_with(setting);
	unsigned char *buf = malloc(SIZE + 1);
	struct slip_file *f;
	size_t off = 0;
	ssize_t got;

	assert_int_equal(slip_open(c, "/g/f", O_RDONLY, 0, &f), 0);
	while ((got = slip_read(f, buf + off, off + piece <= SIZE ? piece : SIZE + 1 - off)) > 0)
		off += (size_t)got;
	assert_int_equal(got, 0);
	assert_int_equal(off, SIZE);
	assert_memory_equal(buf, cluster.content, SIZE);
	slip_close(f);
	slip_client_free(c);
	free(buf);
}

static void read_pieces(void)
{
	struct slip_client *c = connect_client();
	unsigned char *buf = malloc(SIZE);
	struct slip_file *f;

	assert_int_equal(slip_open(c, "/g/f", O_RDONLY, 0, &f), 0);
	for (int64_t off = SIZE - 100; off >= 0; off -= 70001) {
		size_t n = SIZE - off < 150000 ? (size_t)(SIZE - off) : 150000;

		assert_int_equal(slip_pread(f, buf, 150000, off), n);
		assert_memory_equal(buf, cluster.content + off, n);
	}
	slip_close(f);
	slip_client_free(c);
	free(buf);
}

static void reading_survives(void **state)
{
	static const enum fault faults[] = {NO_FAULT,       REFUSES,     ENDS_EARLY,     FAILS_MIDWAY,
					    SENDS_TOO_MUCH, KEEPS_ALIVE, SESSION_EXPIRED};

	(void)state;
	for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
		misbehave(faults[i], 2);
		read_all(10007, NULL);
		misbehave(faults[i], 2);
		read_all(SIZE, NULL);
		misbehave(faults[i], 2);
		read_pieces();
	}
	misbehave(FALLS_SILENT, 1);
	read_all(50000, "RPC_TIMEOUT=1s");
}

/* An error it is, and never an early end. */
static void reading_gives_up_with_an_error(void **state)
{
	static const enum fault faults[] = {REFUSES, ENDS_EARLY, FAILS_MIDWAY, SESSION_EXPIRED};

	(void)state;
	for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct slip_client *c = connect_client();
		unsigned char *buf = malloc(SIZE);
		struct slip_file *f;
		ssize_t got = 1, sum = 0;

		misbehave(REFUSES, 0);
		assert_int_equal(slip_open(c, "/g/f", O_RDONLY, 0, &f), 0);
		misbehave(faults[i], 1000000);
		while (got > 0 && sum < SIZE) {
			got = slip_read(f, buf, SIZE);
			sum += got > 0 ? got : 0;
		}
		/* A stream that always delivers something before it breaks gets there in the end. */
		if (sum < SIZE)
			assert_int_equal(got, faults[i] == SESSION_EXPIRED ? -EACCES : -EIO);
		assert_true(faults[i] == ENDS_EARLY || faults[i] == FAILS_MIDWAY || sum == 0);
		misbehave(NO_FAULT, 0);
		assert_int_equal(slip_pread(f, buf, 100, 5), 100); /* and it recovers */
		assert_memory_equal(buf, cluster.content + 5, 100);
		slip_close(f);
		slip_client_free(c);
		free(buf);
	}
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static int refill(void *context, void *buf, size_t n, int64_t off)
{
	(void)context;
	memcpy(buf, cluster.content + off, n);
	return 0;
}

static int write_all(struct slip_client *c, int (*again)(void *, void *, size_t, int64_t), size_t piece)
{
	struct backend_writer *w;
	struct place at;
	uint64_t id;
	int rc;

	assert_int_equal(place_find(c, "/g/f", &at), 0);
	assert_int_equal(at.ops->create(at.backend, at.path, 0644, &w, &id), 0);
	rc = 0;
	for (size_t off = 0; !rc && off < SIZE; off += piece)
		rc = at.ops->writer_write(w, cluster.content + off, SIZE - off < piece ? SIZE - off : piece, again,
					  NULL);
	if (!rc)
		rc = at.ops->writer_complete(w, at.path);
	if (rc)
		at.ops->writer_abort(w, false);
	at.ops->writer_free(w);
	return rc;
}

static void expect_written(void)
{
	pthread_mutex_lock(&cluster.lock);
	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t n = i + 1 < BLOCKS ? BLOCK : SIZE - (BLOCKS - 1) * BLOCK;

		assert_int_equal(cluster.lengths[i], n);
		assert_memory_equal(cluster.blocks[i], cluster.content + i * BLOCK, n);
		cluster.lengths[i] = 0;
	}
	assert_int_equal(cluster.completed_length, SIZE);
	assert_true(cluster.completed_crc == crc32c_update(0, cluster.content, SIZE));
	pthread_mutex_unlock(&cluster.lock);
}

static void writing_survives(void **state)
{
	static const enum fault faults[] = {NO_FAULT,        REFUSES,        ENDS_EARLY, FAILS_MIDWAY,
					    SESSION_EXPIRED, FAILS_AT_CLOSE, FLUSH_LIES};
	static const size_t pieces[] = {1000, CHUNK, 100003, SIZE};

	(void)state;
	for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
		for (unsigned p = 0; p < 4; p++) {
			struct slip_client *c = connect_client();

			misbehave(faults[i], 2);
			assert_int_equal(write_all(c, refill, pieces[p]), 0);
			expect_written();
			slip_client_free(c);
		}
	}
}

/* Who cannot give bytes back gets an error, and what was committed is given back. */
static void writing_gives_up_with_an_error(void **state)
{
	struct slip_client *c = connect_client();
	int completed = atomic_load(&cluster.completed);

	(void)state;
	misbehave(FAILS_MIDWAY, 1);
	assert_int_equal(write_all(c, NULL, 1000), -EIO);
	misbehave(FAILS_AT_CLOSE, 1000000);
	atomic_store(&cluster.removed, 0);
	assert_int_equal(write_all(c, refill, 1000), -EIO);
	assert_int_equal(atomic_load(&cluster.removed), 1);
	assert_int_equal(atomic_load(&cluster.completed), completed);
	slip_client_free(c);
}

/* ---- writing through -------------------------------------------------------------------------------------------- */

static struct told told(void)
{
	struct told now;

	pthread_mutex_lock(&cluster.lock);
	now = cluster.told;
	pthread_mutex_unlock(&cluster.lock);
	return now;
}

/* Two copies of each block, and the master is told of each, of the last one with the completion. */
static void a_file_persisted_later_says_where_it_is(void **state)
{
	struct slip_client *c = connect_with("WRITE_TYPE=async_through");
	struct told t;

	(void)state;
	misbehave(NO_FAULT, 0);
	assert_int_equal(write_all(c, NULL, 100003), 0);
	expect_written();
	t = told();
	assert_int_equal(t.write_type, GFS_ASYNC_THROUGH);
	assert_int_equal(t.asynchronous, 2 * BLOCKS);
	assert_int_equal(t.nwhere, BLOCKS);
	for (unsigned i = 0; i < BLOCKS; i++) {
		assert_int_equal(t.where[i].block_id, 16777216 + i);
		assert_int_equal(t.where[i].offset, i * BLOCK);
		assert_int_equal(t.where[i].length, i + 1 < BLOCKS ? BLOCK : 1000);
		assert_int_equal(t.where[i].nworkers, 2);
		assert_int_equal(t.workers[i][0] + t.workers[i][1], 3);
	}
	assert_true(t.persist && t.wait_ms == 0 && !t.forced && t.through_length == -1);
	slip_client_free(c);
}

/* One of two copies fails, once: it is made again, the other one is not. */
static void a_copy_is_made_again(void **state)
{
	static const enum fault faults[] = {REFUSES, FAILS_MIDWAY, FAILS_AT_CLOSE, FLUSH_LIES, SESSION_EXPIRED};

	(void)state;
	for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct slip_client *c = connect_with("WRITE_TYPE=async_through");

		misbehave(faults[i], 1);
		assert_int_equal(write_all(c, refill, 100003), 0);
		expect_written();
		assert_int_equal(told().nwhere, BLOCKS);
		slip_client_free(c);
	}
}

static void the_stream_below_is_one(void **state)
{
	static const size_t pieces[] = {1000, CHUNK, SIZE};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct slip_client *c = connect_with("WRITE_TYPE=cache_through");
		struct told t;

		misbehave(NO_FAULT, 0);
		assert_int_equal(write_all(c, NULL, pieces[i]), 0);
		assert_int_equal(atomic_load(&cluster.streams), BLOCKS + 1);
		expect_written();
		t = told();
		assert_int_equal(t.through_length, SIZE);
		assert_memory_equal(cluster.through, cluster.content, SIZE);
		assert_true(!t.persist && !t.forced && !t.nwhere && !t.asynchronous);
		slip_client_free(c);
	}
}

/* An expired session let nothing begin, so all may be sent again; anything else ends the file. */
static void the_stream_below_fails(void **state)
{
	static const enum fault faults[] = {REFUSES, FAILS_MIDWAY, FAILS_AT_CLOSE, FLUSH_LIES};
	struct slip_client *c = connect_with("WRITE_TYPE=through");
	int completed = atomic_load(&cluster.completed);

	(void)state;
	for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
		misbehave(faults[i], 1);
		assert_int_equal(write_all(c, refill, 1000), -EIO);
		assert_int_equal(told().through_length, -1);
	}
	slip_client_free(c);
	assert_int_equal(atomic_load(&cluster.completed), completed);
	for (unsigned i = 0; i < 2; i++) {
		c = connect_with("WRITE_TYPE=through");
		misbehave(SESSION_EXPIRED, 2);
		assert_int_equal(write_all(c, refill, i ? 1000 : SIZE), 0);
		assert_int_equal(told().through_length, SIZE);
		assert_memory_equal(cluster.through, cluster.content, SIZE);
		slip_client_free(c);
	}
}

/* Blocks fail at some time, every time: the file is below, whole, and complete. */
static void without_blocks_it_goes_on_below(void **state)
{
	static const enum fault faults[] = {REFUSES, ENDS_EARLY, FAILS_MIDWAY, FAILS_AT_CLOSE, FLUSH_LIES};

	(void)state;
	cluster.blocks_only = true;
	for (unsigned i = 0; i < 2 * sizeof faults / sizeof *faults; i++) {
		struct slip_client *c = connect_with("WRITE_TYPE=cache_through");

		misbehave(faults[i / 2], 1000000);
		assert_int_equal(write_all(c, i % 2 ? refill : NULL, 10007), 0);
		assert_int_equal(told().through_length, SIZE);
		assert_memory_equal(cluster.through, cluster.content, SIZE);
		pthread_mutex_lock(&cluster.lock);
		assert_int_equal(cluster.completed_length, SIZE);
		assert_true(cluster.completed_crc == crc32c_update(0, cluster.content, SIZE));
		pthread_mutex_unlock(&cluster.lock);
		slip_client_free(c);
		c = connect_with("WRITE_TYPE=async_through"); /* a block of it was open: then it may not */
		misbehave(faults[i / 2], 1000000);
		assert_int_not_equal(write_all(c, refill, 10007), 0);
		assert_int_equal(told().through_length, -1);
		slip_client_free(c);
	}
	cluster.blocks_only = false;
	misbehave(NO_FAULT, 0);
}

static void a_directory_says_how(void **state)
{
	static const struct {
		const char *inner, *setting;
		int type;
	} rows[] = {
		{"Cache_Through", NULL, GFS_CACHE_THROUGH},
		{"ASYNC_THROUGH", NULL, GFS_ASYNC_THROUGH},
		{"NONSENSE", NULL, GFS_MUST_CACHE},
		{NULL, NULL, GFS_MUST_CACHE},
		{"THROUGH", "WRITE_TYPE=try_cache", GFS_TRY_CACHE}, /* the session's own word counts more */
	};

	(void)state;
	misbehave(NO_FAULT, 0);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct slip_client *c = connect_with(rows[i].setting);

		cluster.inner = rows[i].inner;
		atomic_store(&cluster.asked, 0);
		assert_int_equal(write_all(c, NULL, SIZE), 0);
		assert_int_equal(told().write_type, rows[i].type);
		assert_int_equal(write_all(c, NULL, SIZE), 0);
		assert_int_equal(atomic_load(&cluster.asked), rows[i].inner && !rows[i].setting);
		slip_client_free(c);
	}
	cluster.inner = NULL;
}

static void serve(struct rpc_server **out, const struct rpc_handler *handlers, int *port)
{
	struct rpc_server_options options = {.auth = RPC_AUTH_SIMPLE, .handlers = handlers};

	assert_int_equal(rpc_server_new(&options, out, port), 0);
}

static int group_set_up(void **state)
{
	int port;

	(void)state;
	for (unsigned i = 0; i < SIZE; i++)
		cluster.content[i] = (unsigned char)(i * 2654435761u >> 13);
	for (unsigned i = 0; i < 2; i++) {
		serve(&cluster.workers[i], worker_handlers, &port);
		/* Two names of one host, so that the ring takes them for two machines. */
		cluster.list[i] = (struct gfs_worker){.id = i + 1,
						      .has_id = true,
						      .host = i ? "localhost" : "127.0.0.1",
						      .rpc_port = port,
						      .virtual_nodes = 200,
						      .has_virtual_nodes = true,
						      .capacity_bytes = 1 << 30,
						      .alive = true};
	}
	serve(&cluster.master, master_handlers, &port);
	snprintf(cluster.master_address, sizeof cluster.master_address, "127.0.0.1:%d", port);
	return log_open(getenv("SLIPSTREAM_LOG") ? getenv("SLIPSTREAM_LOG") : "error,/dev/null", NULL);
}

static int group_tear_down(void **state)
{
	(void)state;
	rpc_server_free(cluster.master);
	rpc_server_free(cluster.workers[0]);
	rpc_server_free(cluster.workers[1]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_survives),
		cmocka_unit_test(reading_gives_up_with_an_error),
		cmocka_unit_test(writing_survives),
		cmocka_unit_test(writing_gives_up_with_an_error),
		cmocka_unit_test(a_file_persisted_later_says_where_it_is),
		cmocka_unit_test(a_copy_is_made_again),
		cmocka_unit_test(the_stream_below_is_one),
		cmocka_unit_test(the_stream_below_fails),
		cmocka_unit_test(without_blocks_it_goes_on_below),
		cmocka_unit_test(a_directory_says_how),
	};

	return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
