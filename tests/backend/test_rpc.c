/* test_rpc.c: both ends of rpc.h on loopback, in one process. */
#include "proto/goosefs.h"
#include "proto/rpc.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENT  20000
#define CHUNK    (1 << 20)
#define MANY     200 /* streams at once */
#define RESETS   3000
#define TOGETHER 8 /* calls that wait for each other */

/* ---- a server --------------------------------------------------------------------------------------------------- */

static struct {
	struct rpc_server *rpc;
	char address[64];
	atomic_int lent, returned; /* chunks */
	atomic_int resets, half_closes, together;
	atomic_int open;          /* OpenLocalBlock streams that wait in their handler */
	atomic_bool seen[RESETS]; /* WriteBlock streams that came to theirs, by block id */
} server;

static unsigned char pattern(int64_t off)
{
	return (unsigned char)(off * 31 + off / 1021);
}

/* As many calls as that are in their handlers at the same time. */
static bool all_are_here(void)
{
	int tries = 0;

	atomic_fetch_add(&server.together, 1);
	while (atomic_load(&server.together) < TOGETHER && tries++ < PATIENT)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return atomic_load(&server.together) >= TOGETHER;
}

static int get_status(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_get_status *request = message;
	struct gfs_file_info *info = &((struct gfs_file_reply *)reply)->info;

	assert_ptr_equal(context, &server);
	if (!strcmp(request->path, "/slow"))
		usleep(300000);
	if (!strcmp(request->path, "/together") && !all_are_here())
		return rpc_call_fail(call, RPC_ABORTED, "alone");
	if (!strcmp(request->path, "/none"))
		return rpc_call_fail(call, RPC_NOT_FOUND, "Path \"%s\" does not exist.", request->path);
	info->file_id = 1;
	info->path = rpc_call_strdup(call, request->path);
	info->name = strrchr(info->path, '/') + 1;
	info->owner = rpc_call_strdup(call, rpc_call_user(call));
	info->block_size = strcmp(request->path, "/absurd") ? 64 << 20 : -5;
	return 0;
}

static int get_version(void *context, struct rpc_call *call, const void *request, void *reply)
{
	(void)context;
	(void)call;
	(void)request;
	((struct gfs_version *)reply)->version = 2;
	return 0;
}

/* Ten batches of one; "/bad" fails behind the fifth. */
static int list_status(void *context, struct rpc_call *call, const void *message)
{
	const struct gfs_get_status *request = message;

	(void)context;
	for (int i = 0; i < 10; i++) {
		char name[16];
		struct gfs_file_info info = {.file_id = i + 1, .name = name, .path = name};
		struct gfs_list_reply reply = {.infos = &info, .ninfos = 1};

		snprintf(name, sizeof name, "%d", i);
		if (i == 5 && !strcmp(request->path, "/bad"))
			return rpc_call_fail(call, RPC_UNAVAILABLE, "enough");
		if (rpc_call_send(call, &reply))
			return RPC_CANCELLED;
	}
	return 0;
}

static void give_back(void *data)
{
	atomic_fetch_add(&server.returned, 1);
	free(data);
}

static int send_lent(struct rpc_call *call, int64_t off, size_t n)
{
	unsigned char *data = malloc(n ? n : 1);

	for (size_t i = 0; i < n; i++)
		data[i] = pattern(off + (int64_t)i);
	atomic_fetch_add(&server.lent, 1);
	return rpc_call_send_chunk(call, data, n, give_back, data);
}

/* As a worker does: a window, and keep-alives between. Block 2 falls silent, 3 ends early, 4 fails, 5 is endless. */
static int read_block(void *context, struct rpc_call *call, const void *first)
{
	const struct gfs_read_request *request = first;
	int64_t off = request->offset, acked = off, end = off + request->length;

	(void)context;
	while (off < end || request->block_id == 5) {
		int64_t n = request->block_id == 5 || end - off > request->chunk_size ? request->chunk_size : end - off;
		const struct gfs_read_request *ack;
		struct rpc_body body;
		int rc = 1;

		while (rc == 1 && (off - acked >= 4 * request->chunk_size || request->block_id == 2)) {
			rc = rpc_call_recv(call, 0, (const void **)&ack, &body);
			if (rc == 1)
				acked = ack->offset_received;
		}
		if (rc != 1)
			return rc ? RPC_CANCELLED : 0;
		if (off > request->offset && request->block_id == 3)
			return 0;
		if (off > request->offset && request->block_id == 4)
			return rpc_call_fail(call, RPC_INTERNAL, "the disk broke");
		if (send_lent(call, off, 0) || send_lent(call, off, (size_t)n))
			return RPC_CANCELLED;
		off += n;
	}
	return 0;
}

/* Block 2 is full after three chunks, 3 ends after them. Tells resets from half-closes. */
static int write_block(void *context, struct rpc_call *call, const void *first)
{
	int64_t id = ((const struct gfs_write_command *)first)->id;
	struct gfs_write_reply reply = {.has_offset = true};
	const struct gfs_write_command *command;
	struct rpc_body body;
	int rc, chunks = 0;

	(void)context;
	if (id >= 1000)
		atomic_store(&server.seen[id - 1000], true);
	while ((rc = rpc_call_recv(call, 0, (const void **)&command, &body)) == 1) {
		if (command) {
			assert_true(command->flush);
			rpc_call_send(call, &reply);
			continue;
		}
		for (unsigned i = 0; i < body.nparts; i++)
			for (size_t k = 0; k < body.part[i].iov_len; k += 97)
				assert_int_equal(((unsigned char *)body.part[i].iov_base)[k], 'w');
		reply.offset += (int64_t)body.bytes;
		rpc_body_release(&body);
		if (++chunks == 3 && id == 2)
			return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "full");
		if (chunks == 3 && id == 3)
			return 0;
	}
	atomic_fetch_add(rc ? &server.resets : &server.half_closes, 1);
	return rc ? RPC_CANCELLED : 0;
}

static int open_local(void *context, struct rpc_call *call, const void *first)
{
	struct gfs_local_block reply = {.path = "/where/it/is", .has_block_size = true};
	const void *message;
	struct rpc_body body;

	(void)context;
	reply.block_size = ((const struct gfs_open_local *)first)->block_size;
	atomic_fetch_add(&server.open, 1);
	if (rpc_call_send(call, &reply))
		return RPC_CANCELLED;
	while (rpc_call_recv(call, 0, &message, &body) == 1)
		;
	atomic_fetch_sub(&server.open, 1);
	return 0;
}

static const struct rpc_handler handlers[] = {
	{RPC_GET_STATUS, get_status, NULL},
	{RPC_GET_VERSION, get_version, NULL},
	{RPC_LIST_STATUS, NULL, list_status},
	{RPC_READ_BLOCK, NULL, read_block},
	{RPC_WRITE_BLOCK, NULL, write_block},
	{RPC_OPEN_LOCAL_BLOCK, NULL, open_local},
	{0},
};

static void serve(enum rpc_auth auth)
{
	struct rpc_server_options options = {.auth = auth, .handlers = handlers, .context = &server};
	int port;

	memset(&server, 0, sizeof server);
	assert_int_equal(rpc_server_new(&options, &server.rpc, &port), 0);
	snprintf(server.address, sizeof server.address, "127.0.0.1:%d", port);
}

static int with_simple(void **state)
{
	(void)state;
	serve(RPC_AUTH_SIMPLE);
	return 0;
}

static int with_nosasl(void **state)
{
	(void)state;
	serve(RPC_AUTH_NOSASL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rpc_server_free(server.rpc);
	assert_int_equal(atomic_load(&server.lent), atomic_load(&server.returned));
	return 0;
}

/* ---- a client --------------------------------------------------------------------------------------------------- */

static struct rpc_channel *dial(enum rpc_auth auth)
{
	struct rpc_channel_options options = {.auth = auth, .user = "alice"};
	struct rpc_channel *channel;
	struct rpc_error error;

	assert_int_equal(rpc_channel_new(server.address, &options, &channel, &error), 0);
	return channel;
}

static int status_of(struct rpc_channel *channel, const char *path, struct rpc_error *error)
{
	struct gfs_get_status request = {.path = path, .common.sync_interval_ms = -1};
	struct gfs_file_reply reply;
	int rc = rpc_unary(channel, RPC_GET_STATUS, &request, &reply, error);

	if (!rc) {
		assert_string_equal(reply.info.path, path);
		rpc_release(&reply);
	}
	return rc;
}

/* Until it is so; a test that waits too long fails. */
#define EVENTUALLY(what)                                                                                               \
	do {                                                                                                           \
		for (int tries = 0; !(what); tries++) {                                                                \
			assert_true(tries < 20000);                                                                    \
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                                       \
		}                                                                                                      \
	} while (0)

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static void a_call_comes_back(void **state)
{
	struct gfs_get_status request = {.path = "/a/b", .common.sync_interval_ms = -1};
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct gfs_file_reply reply;
	struct rpc_error error;

	(void)state;
	assert_int_equal(rpc_unary(channel, RPC_GET_STATUS, &request, &reply, &error), 0);
	assert_int_equal(error.code, RPC_OK);
	assert_string_equal(reply.info.path, "/a/b");
	assert_string_equal(reply.info.owner, "alice");
	rpc_release(&reply);
	assert_int_equal(status_of(channel, "/none", &error), -ENOENT);
	assert_int_equal(error.code, RPC_NOT_FOUND);
	assert_string_equal(error.message, "Path \"/none\" does not exist.");
	assert_int_equal(status_of(channel, "/none", NULL), -ENOENT);
	assert_false(rpc_channel_dead(channel));
	rpc_channel_put(channel);
}

static void what_a_server_does_not_have_is_unimplemented(void **state)
{
	struct gfs_remove request = {.path = "/x"};
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct gfs_empty reply;
	struct rpc_error error;

	(void)state;
	assert_int_equal(rpc_unary(channel, RPC_REMOVE, &request, &reply, &error), -EOPNOTSUPP);
	assert_int_equal(error.code, RPC_UNIMPLEMENTED);
	rpc_channel_put(channel);
}

static void rubbish_is_named(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct rpc_stream *stream;
	struct rpc_error error;

	(void)state;
	assert_int_equal(status_of(channel, "/absurd", &error), -EPROTO); /* from a server */
	assert_true(*error.message);
	assert_int_equal(rpc_stream_open(channel, RPC_READ_BLOCK, /* and to one */
					 &(struct gfs_read_request){.block_id = 1, .offset = -7, .length = 1}, &stream),
			 0);
	assert_int_equal(rpc_stream_drain(stream, PATIENT, &error), -EINVAL);
	assert_int_equal(error.code, RPC_INVALID_ARGUMENT);
	assert_true(*error.message);
	rpc_stream_free(stream);
	rpc_channel_put(channel);
}

static void a_call_has_a_deadline(void **state)
{
	struct rpc_channel_options options = {.auth = RPC_AUTH_SIMPLE, .user = "alice", .rpc_timeout_ms = 50};
	struct rpc_channel *channel;
	struct rpc_error error;

	(void)state;
	assert_int_equal(rpc_channel_new(server.address, &options, &channel, &error), 0);
	assert_int_equal(status_of(channel, "/slow", &error), -ETIMEDOUT);
	assert_int_equal(error.code, RPC_DEADLINE_EXCEEDED);
	assert_true(error.retriable);
	rpc_channel_put(channel);
}

struct collected {
	int n, stop_at;
};

static int collect(void *context, const void *message)
{
	const struct gfs_list_reply *reply = message;
	struct collected *c = context;
	char name[16];

	snprintf(name, sizeof name, "%d", c->n);
	assert_int_equal(reply->ninfos, 1);
	assert_string_equal(reply->infos[0].name, name);
	return ++c->n == c->stop_at ? -EXDEV : 0;
}

static void a_server_stream_is_collected(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct gfs_get_status request = {.path = "/d", .common.sync_interval_ms = -1};
	struct collected all = {0}, some = {.stop_at = 3}, bad = {0};
	struct rpc_error error;

	(void)state;
	assert_int_equal(rpc_collect(channel, RPC_LIST_STATUS, &request, collect, &all, &error), 0);
	assert_int_equal(all.n, 10);
	assert_int_equal(rpc_collect(channel, RPC_LIST_STATUS, &request, collect, &some, &error), -EXDEV);
	assert_int_equal(some.n, 3);
	request.path = "/bad";
	assert_int_equal(rpc_collect(channel, RPC_LIST_STATUS, &request, collect, &bad, &error), -EHOSTUNREACH);
	assert_int_equal(bad.n, 5);
	assert_string_equal(error.message, "enough");
	rpc_channel_put(channel);
}

/* ---- channels --------------------------------------------------------------------------------------------------- */

static void nobody_there_is_noticed(void **state)
{
	struct rpc_channel *channel;
	struct rpc_error error;

	(void)state;
	for (enum rpc_auth auth = RPC_AUTH_NOSASL; auth <= RPC_AUTH_SIMPLE; auth++) {
		struct rpc_channel_options options = {.auth = auth, .user = "alice", .connect_timeout_ms = 5000};

		assert_int_equal(rpc_channel_new("127.0.0.1:1", &options, &channel, &error), -EHOSTUNREACH);
		assert_int_equal(error.code, -1);
		assert_true(error.retriable && *error.message);
		assert_int_equal(rpc_channel_new("no-such-host.invalid:1", &options, &channel, NULL), -EHOSTUNREACH);
	}
}

static void a_name_is_as_good_as_a_number(void **state)
{
	struct rpc_channel *channel;

	(void)state;
	snprintf(server.address, sizeof server.address, "localhost:%s",
		 strcpy((char[16]){0}, strchr(server.address, ':') + 1));
	channel = dial(RPC_AUTH_SIMPLE);
	assert_int_equal(status_of(channel, "/a", NULL), 0);
	rpc_channel_put(channel);
}

static void who_is_not_authenticated_is_told(void **state)
{
	struct rpc_channel *simple = dial(RPC_AUTH_SIMPLE), *none = dial(RPC_AUTH_NOSASL);
	struct gfs_version version;
	struct rpc_error error;

	(void)state;
	assert_int_equal(status_of(none, "/a", &error), -EACCES);
	assert_int_equal(error.code, RPC_UNAUTHENTICATED);
	assert_true(error.unauthenticated && error.retriable);
	assert_non_null(strstr(error.message, "is not authenticated"));
	assert_int_equal(rpc_unary(none, RPC_GET_VERSION, &(struct gfs_get_version){0}, &version, &error), 0);
	rpc_release(&version);

	rpc_server_revoke_all(server.rpc);
	assert_int_equal(status_of(simple, "/a", &error), -EACCES);
	assert_true(error.unauthenticated);
	assert_false(rpc_channel_dead(simple));
	rpc_channel_put(simple);
	simple = dial(RPC_AUTH_SIMPLE);
	assert_int_equal(status_of(simple, "/a", &error), 0);
	rpc_channel_put(simple);
	rpc_channel_put(none);
}

static void without_sasl_ids_are_ignored(void **state)
{
	struct gfs_get_status request = {.path = "/a", .common.sync_interval_ms = -1};
	struct rpc_channel *channel = dial(RPC_AUTH_NOSASL), *simple = dial(RPC_AUTH_SIMPLE);
	struct gfs_file_reply reply;

	(void)state;
	assert_int_equal(rpc_unary(channel, RPC_GET_STATUS, &request, &reply, NULL), 0);
	assert_string_equal(reply.info.owner, "");
	rpc_release(&reply);
	assert_false(rpc_channel_dead(channel));
	assert_int_equal(status_of(simple, "/a", NULL), 0);
	rpc_channel_put(channel);
	rpc_channel_put(simple);
}

/* Calls in flight keep it, and a server that goes takes it along. */
static void a_channel_dies_with_its_session(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE), *again = rpc_channel_get(channel);
	struct gfs_open_local first = {.block_id = 1, .block_size = 10};
	struct rpc_stream *stream;
	struct rpc_error error;

	(void)state;
	assert_int_equal(rpc_stream_open(channel, RPC_OPEN_LOCAL_BLOCK, &first, &stream), 0);
	assert_int_equal(rpc_stream_recv(stream, PATIENT, NULL, NULL, &error), 1);
	rpc_channel_put(channel);
	rpc_channel_put(again);
	assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0);
	assert_int_equal(rpc_stream_drain(stream, PATIENT, &error), 0);
	rpc_stream_free(stream);

	channel = dial(RPC_AUTH_SIMPLE);
	assert_int_equal(rpc_stream_open(channel, RPC_OPEN_LOCAL_BLOCK, &first, &stream), 0);
	assert_int_equal(rpc_stream_recv(stream, PATIENT, NULL, NULL, &error), 1);
	rpc_server_free(server.rpc); /* with a call in its handler */
	assert_true(rpc_stream_drain(stream, PATIENT, &error) < 0);
	rpc_stream_free(stream);
	EVENTUALLY(rpc_channel_dead(channel));
	rpc_channel_put(channel);
	serve(RPC_AUTH_SIMPLE);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static struct rpc_stream *read_open(struct rpc_channel *channel, int64_t id, int64_t off, int64_t n)
{
	struct gfs_read_request first = {.block_id = id, .offset = off, .length = n, .chunk_size = CHUNK};
	struct rpc_stream *stream;

	assert_int_equal(rpc_stream_open(channel, RPC_READ_BLOCK, &first, &stream), 0);
	return stream;
}

/* How much came. */
static int64_t read_on(struct rpc_stream *stream, int64_t off, int64_t n, int *rc, struct rpc_error *error)
{
	int64_t at = off;
	struct rpc_body body;

	while (at < off + n && (*rc = rpc_stream_recv(stream, PATIENT, &body, NULL, error)) == 1) {
		for (unsigned i = 0; i < body.nparts; i++)
			for (size_t k = 0; k < body.part[i].iov_len; k++, at++)
				if (((unsigned char *)body.part[i].iov_base)[k] != pattern(at))
					fail_msg("wrong byte at %lld", (long long)at);
		rpc_body_release(&body);
		assert_int_equal(rpc_stream_ack(stream, at), 0);
	}
	return at - off;
}

static void a_block_is_read(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	static const int64_t sizes[] = {1, 1000, CHUNK, 3 * CHUNK + 5, 20 * CHUNK};
	struct rpc_error error;
	int rc;

	(void)state;
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct rpc_stream *stream = read_open(channel, 1, 77, sizes[i]);

		assert_int_equal(read_on(stream, 77, sizes[i], &rc, &error), sizes[i]);
		assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0);
		assert_int_equal(rpc_stream_drain(stream, PATIENT, &error), 0);
		assert_int_equal(rpc_stream_recv(stream, PATIENT, NULL, NULL, &error), 0);
		rpc_stream_free(stream);
	}
	rpc_channel_put(channel);
}

static void a_reader_may_leave_at_any_time(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct rpc_error error;
	int rc;

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct rpc_stream *stream = read_open(channel, 5, 0, 1);

		read_on(stream, 0, i * (CHUNK / 4), &rc, &error);
		if (i % 2)
			assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0);
		rpc_stream_free(stream);
	}
	rpc_channel_put(channel);
}

static void the_end_of_a_read_says_why(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct rpc_stream *stream = read_open(channel, 3, 0, 5 * CHUNK);
	struct rpc_error error;
	struct rpc_body body;
	int rc;

	(void)state;
	assert_int_equal(read_on(stream, 0, 5 * CHUNK, &rc, &error), CHUNK);
	assert_int_equal(rc, 0);
	rpc_stream_free(stream);

	stream = read_open(channel, 4, 0, 5 * CHUNK);
	assert_int_equal(read_on(stream, 0, 5 * CHUNK, &rc, &error), CHUNK);
	assert_int_equal(rc, -EIO);
	assert_string_equal(error.message, "the disk broke");
	rpc_stream_free(stream);

	stream = read_open(channel, 2, 0, CHUNK); /* silence is not the end */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rpc_stream_recv(stream, 10, &body, NULL, &error), -ETIMEDOUT);
		assert_int_equal(error.code, -1);
	}
	assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0);
	assert_int_equal(rpc_stream_recv(stream, PATIENT, &body, NULL, &error), 0);
	rpc_stream_free(stream);
	rpc_channel_put(channel);
}

static void *cancel_soon(void *stream)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	rpc_stream_cancel(stream);
	return NULL;
}

static void another_thread_may_cancel(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct rpc_stream *stream = read_open(channel, 2, 0, CHUNK);
	struct rpc_error error;
	struct rpc_body body;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, cancel_soon, stream);
	assert_int_equal(rpc_stream_recv(stream, PATIENT, &body, NULL, &error), -EINTR);
	pthread_join(thread, NULL);
	assert_int_equal(rpc_stream_recv(stream, PATIENT, &body, NULL, &error), -EINTR);
	rpc_stream_free(stream);
	rpc_channel_put(channel);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static char *chunk_of_w(void)
{
	static char chunk[CHUNK];

	return memset(chunk, 'w', sizeof chunk);
}

static struct rpc_stream *write_open(struct rpc_channel *channel, int64_t id)
{
	struct gfs_write_command first = {.id = id, .space_to_reserve = 64 << 20};
	struct rpc_stream *stream;

	assert_int_equal(rpc_stream_open(channel, RPC_WRITE_BLOCK, &first, &stream), 0);
	return stream;
}

static void a_block_is_written(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct rpc_stream *stream = write_open(channel, 1);
	struct gfs_write_reply reply;
	struct rpc_error error;
	const char *chunk = chunk_of_w();

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(rpc_stream_send_chunk(stream, chunk, CHUNK, PATIENT, &error), 0);
	assert_int_equal(rpc_stream_send_chunk(stream, chunk, 17, PATIENT, &error), 0);
	assert_int_equal(rpc_stream_send(stream, &(struct gfs_write_command){.flush = true}, PATIENT, &error), 0);
	assert_int_equal(rpc_stream_recv(stream, PATIENT, NULL, &reply, &error), 1);
	assert_int_equal(reply.offset, 20 * CHUNK + 17);
	rpc_release(&reply);
	assert_int_equal(rpc_stream_send_chunk(stream, chunk, 0, PATIENT, &error), 0);
	assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0);
	assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0);
	assert_int_equal(rpc_stream_drain(stream, PATIENT, &error), 0);
	rpc_stream_free(stream);
	assert_int_equal(atomic_load(&server.half_closes), 1);
	rpc_channel_put(channel);
}

/* One of the next chunks says so, long before the block is full. */
static int write_until_it_fails(struct rpc_stream *stream, struct rpc_error *error)
{
	const char *chunk = chunk_of_w();
	int rc = 0;

	for (int i = 0; !rc && i < 1000; i++)
		rc = rpc_stream_send_chunk(stream, chunk, CHUNK, PATIENT, error);
	return rc;
}

static void a_writer_is_told_early(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct rpc_stream *stream = write_open(channel, 2);
	struct rpc_error error;

	(void)state;
	assert_int_equal(write_until_it_fails(stream, &error), -ENOSPC);
	assert_int_equal(error.code, RPC_RESOURCE_EXHAUSTED);
	assert_string_equal(error.message, "full");
	assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0);
	assert_int_equal(rpc_stream_drain(stream, PATIENT, &error), -ENOSPC);
	rpc_stream_free(stream);

	stream = write_open(channel, 3);
	assert_int_equal(write_until_it_fails(stream, &error), -EIO);
	assert_int_equal(error.code, RPC_OK);
	rpc_stream_free(stream);
	rpc_channel_put(channel);
}

/* The server must never take the one for the other, however they come (spec goosefs 19.1). */
static void a_reset_is_no_half_close(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	const char *chunk = chunk_of_w();

	(void)state;
	for (int i = 0; i < RESETS; i++) {
		struct rpc_stream *stream = write_open(channel, 1000 + i);

		if (i % 3)
			rpc_stream_send_chunk(stream, chunk, i % 3 == 1 ? 10 : 70000, PATIENT, NULL);
		if (i % 10 == 9) /* it waits in its handler */
			EVENTUALLY(atomic_load(&server.seen[i]));
		if (i % 2)
			rpc_stream_cancel(stream);
		rpc_stream_free(stream);
	}
	for (int i = 0; i < 100; i++) {
		struct rpc_stream *stream = write_open(channel, 1);

		assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0);
		assert_int_equal(rpc_stream_drain(stream, PATIENT, NULL), 0);
		rpc_stream_free(stream);
	}
	assert_int_equal(atomic_load(&server.half_closes), 100);
	assert_true(atomic_load(&server.resets) <= RESETS);
	rpc_channel_put(channel);
}

/* ---- many ------------------------------------------------------------------------------------------------------- */

static void many_streams_wait_at_once(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	struct gfs_open_local first = {.block_id = 1, .block_size = 10};
	struct rpc_stream *streams[MANY];
	struct gfs_local_block reply;
	struct rpc_error error;

	(void)state;
	for (int i = 0; i < MANY; i++)
		assert_int_equal(rpc_stream_open(channel, RPC_OPEN_LOCAL_BLOCK, &first, &streams[i]), 0);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(rpc_stream_recv(streams[i], PATIENT, NULL, &reply, &error), 1);
		assert_string_equal(reply.path, "/where/it/is");
		rpc_release(&reply);
	}
	assert_int_equal(atomic_load(&server.open), MANY);
	assert_int_equal(status_of(channel, "/a", &error), 0); /* there is still a thread for others */
	for (int i = 0; i < MANY; i++) {
		if (i % 2)
			assert_int_equal(rpc_stream_half_close(streams[i], PATIENT), 0);
		rpc_stream_free(streams[i]);
	}
	EVENTUALLY(!atomic_load(&server.open));
	rpc_channel_put(channel);
}

static void *call_often(void *channel)
{
	for (int i = 0; i < 1000; i++)
		if (status_of(channel, "/a", NULL))
			return channel;
	return NULL;
}

static void many_threads_share_a_channel(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	pthread_t threads[8];
	void *failed;

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_often, channel), 0);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	rpc_channel_put(channel);
}

static void *call_together(void *channel)
{
	return status_of(channel, "/together", NULL) ? channel : NULL;
}

static void slow_calls_hold_up_nobody(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);
	pthread_t threads[TOGETHER];
	void *failed;

	(void)state;
	for (int i = 0; i < TOGETHER; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_together, channel), 0);
	for (int i = 0; i < TOGETHER; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	rpc_channel_put(channel);
}

/* 0 when it has gone meanwhile. */
static unsigned long long blocked_by(const char *task)
{
	char path[300], line[200];
	unsigned long long blocked = 0;
	FILE *status;

	snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof line, status))
		sscanf(line, "SigBlk: %llx", &blocked);
	if (status)
		fclose(status);
	/* But SIGKILL and SIGSTOP, and what libc keeps for itself. */
	return blocked | 1ull << 8 | 1ull << 18 | 3ull << 31;
}

static bool other_threads_block_all(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	bool all = true;

	assert_non_null(tasks);
	while ((task = readdir(tasks)))
		if (*task->d_name != '.' && atoi(task->d_name) != getpid())
			all = all && blocked_by(task->d_name) == ~0ull;
	closedir(tasks);
	return all;
}

/* A signal is for the program's own threads. One that is just ending has no mask any more: look again. */
static void our_threads_block_all_signals(void **state)
{
	struct rpc_channel *channel = dial(RPC_AUTH_SIMPLE);

	(void)state;
	assert_int_equal(status_of(channel, "/a", NULL), 0);
	EVENTUALLY(other_threads_block_all());
	rpc_channel_put(channel);
}

#define SIMPLE(name) cmocka_unit_test_setup_teardown(name, with_simple, stop)
#define NOSASL(name) cmocka_unit_test_setup_teardown(name, with_nosasl, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SIMPLE(our_threads_block_all_signals), /* before there is load, see process.h */
		SIMPLE(a_call_comes_back),
		SIMPLE(what_a_server_does_not_have_is_unimplemented),
		SIMPLE(rubbish_is_named),
		SIMPLE(a_call_has_a_deadline),
		SIMPLE(a_server_stream_is_collected),
		SIMPLE(nobody_there_is_noticed),
		SIMPLE(a_name_is_as_good_as_a_number),
		SIMPLE(who_is_not_authenticated_is_told),
		NOSASL(without_sasl_ids_are_ignored),
		SIMPLE(a_channel_dies_with_its_session),
		SIMPLE(a_block_is_read),
		SIMPLE(a_reader_may_leave_at_any_time),
		SIMPLE(the_end_of_a_read_says_why),
		SIMPLE(another_thread_may_cancel),
		SIMPLE(a_block_is_written),
		SIMPLE(a_writer_is_told_early),
		SIMPLE(a_reset_is_no_half_close),
		SIMPLE(many_streams_wait_at_once),
		SIMPLE(many_threads_share_a_channel),
		SIMPLE(slow_calls_hold_up_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
