/*
 * raw.h: a foreign client: raw calls, no client of ours in between. One server, one channel to its master and one to its
 * first worker; what fails unexpectedly fails the test.
 *
 *	fixture_start(&server, ...); connect_all();      or set_up_server(), with SERVER_OPTION if that is defined
 *	put_file("/f", bytes); check_file("/f", bytes);
 *	hang_up(); fixture_release(&server);             or tear_down_server()
 */
#ifndef SLIPSTREAM_TESTS_RAW_H
#define SLIPSTREAM_TESTS_RAW_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/goosefs.h"
#include "proto/rpc.h"
#include "tests/backend/fixture.h"

#include <sys/stat.h>
#include <time.h>

#define KIB     1024
#define BLOCK   (256 * KIB)
#define CHUNK   (64 * KIB)
#define PATIENT 20000

#define TEST(name) cmocka_unit_test(name)

/* ---- calls --------------------------------------------------------------------------------------------------- */

static struct fixture server;
static struct rpc_channel *master, *worker;
static struct rpc_error said; /* by the peer, last */

static inline struct rpc_channel *connect_to(const char *address)
{
	struct rpc_channel_options options = {.auth = RPC_AUTH_SIMPLE, .user = "alice"};
	struct rpc_channel *channel = NULL;

	assert_int_equal(rpc_channel_new(address, &options, &channel, &said), 0);
	return channel;
}

static inline void connect_all(void)
{
	master = connect_to(server.master);
	worker = connect_to(server.worker[0]);
}

static inline void hang_up(void)
{
	rpc_channel_put(master);
	rpc_channel_put(worker);
}

/* What most groups of tests begin and end with. */
#ifndef SERVER_OPTION
#define SERVER_OPTION NULL
#endif

static inline int set_up_server(void **state)
{
	(void)state;
	fixture_start(&server, "--workers=2", SERVER_OPTION, NULL);
	connect_all();
	return 0;
}

static inline int tear_down_server(void **state)
{
	(void)state;
	hang_up();
	fixture_release(&server);
	return 0;
}

/* The server again, on what it left behind. */
static inline void restart(void)
{
	hang_up();
	fixture_restart(&server);
	connect_all();
}

static inline struct gfs_common fresh(void)
{
	static int64_t serial;

	return (struct gfs_common){.sync_interval_ms = -1, .op = {0x5115 + getpid(), ++serial}};
}

/* The gRPC status of a call whose reply is empty. */
static inline int call(enum rpc_id id, const void *request)
{
	struct gfs_empty reply;
	int rc = rpc_unary(master, id, request, &reply, &said);

	if (!rc)
		rpc_release(&reply);
	return rc ? said.code : 0;
}

static inline int make_dir(const char *path)
{
	return call(RPC_CREATE_DIRECTORY, &(struct gfs_create_directory){.path = path, .common = fresh()});
}

static inline int move(const char *from, const char *to)
{
	return call(RPC_RENAME, &(struct gfs_rename){.path = from, .to = to, .common = fresh()});
}

static inline int erase(const char *path, bool recursive)
{
	return call(RPC_REMOVE, &(struct gfs_remove){.path = path, .recursive = recursive, .common = fresh()});
}

static inline int create_as(const char *path, struct gfs_common common, int64_t *id)
{
	struct gfs_create_file request = {
		.path = path, .block_size = BLOCK, .mode = 0640, .has_mode = true, .common = common};
	struct gfs_file_reply reply;
	int rc = rpc_unary(master, RPC_CREATE_FILE, &request, &reply, &said);

	if (rc)
		return said.code;
	*id = reply.info.file_id;
	assert_false(reply.info.completed);
	assert_int_equal(reply.info.block_size, BLOCK);
	rpc_release(&reply);
	return 0;
}

static inline int64_t create(const char *path)
{
	int64_t id = 0;

	assert_int_equal(create_as(path, fresh(), &id), 0);
	return id;
}

static inline int complete(const char *path, int64_t id, int64_t length)
{
	return call(
		RPC_COMPLETE_FILE,
		&(struct gfs_complete_file){
			.path = path, .inode_id = id, .ufs_length = length, .has_ufs_length = true, .common = fresh()});
}

static inline int status_of(const char *path, bool resolve, struct gfs_file_reply *reply)
{
	struct gfs_get_status request = {.path = path,
					 .resolve_link = resolve,
					 .load_type = GFS_LOAD_ONCE,
					 .has_load_type = true,
					 .common = {.sync_interval_ms = -1}};

	return rpc_unary(master, RPC_GET_STATUS, &request, reply, &said) ? said.code : 0;
}

static inline bool exists(const char *path)
{
	struct gfs_file_reply reply;
	int code = status_of(path, false, &reply);

	if (!code)
		rpc_release(&reply);
	else
		assert_int_equal(code, RPC_NOT_FOUND);
	return !code;
}

static inline int64_t length_of(const char *path)
{
	struct gfs_file_reply reply;
	int64_t length;

	assert_int_equal(status_of(path, false, &reply), 0);
	length = reply.info.completed ? reply.info.length : -1;
	rpc_release(&reply);
	return length;
}

static inline int64_t block_of(int64_t file, int number)
{
	return (file & ~0xFFFFFFLL) + number;
}

static inline char pattern(int64_t off)
{
	return (char)(off * 31 + off / 251);
}

static inline void send_pattern(struct rpc_stream *stream, int64_t from, int64_t to)
{
	static char chunk[CHUNK];

	while (from < to) {
		size_t n = to - from < CHUNK ? (size_t)(to - from) : CHUNK;

		for (size_t i = 0; i < n; i++)
			chunk[i] = pattern(from + (int64_t)i);
		assert_int_equal(rpc_stream_send_chunk(stream, chunk, n, PATIENT, &said), 0);
		from += (int64_t)n;
	}
}

/* A block stream with its chunks sent, still open. */
static inline struct rpc_stream *block_begin(struct rpc_channel *channel, int64_t id, int64_t off, size_t bytes)
{
	struct gfs_write_command first = {.type = GFS_BLOCK, .id = id, .space_to_reserve = BLOCK};
	struct rpc_stream *stream;

	assert_int_equal(rpc_stream_open(channel, RPC_WRITE_BLOCK, &first, &stream), 0);
	send_pattern(stream, off, off + (int64_t)bytes);
	return stream;
}

/* The offset that the worker answers with, or minus the status it ended with. */
static inline int64_t flush(struct rpc_stream *stream)
{
	struct gfs_write_reply reply;
	int rc = rpc_stream_send(stream, &(struct gfs_write_command){.flush = true}, PATIENT, &said);

	if (!rc)
		rc = rpc_stream_recv(stream, PATIENT, NULL, &reply, &said);
	if (rc != 1)
		return -said.code;
	assert_true(reply.has_offset);
	rpc_release(&reply);
	return reply.offset;
}

static inline int block_end(struct rpc_stream *stream)
{
	int rc = rpc_stream_half_close(stream, PATIENT);

	if (!rc)
		rc = rpc_stream_drain(stream, PATIENT, &said);
	rpc_stream_free(stream);
	return rc ? said.code : 0;
}

static inline int put_block(struct rpc_channel *channel, int64_t id, int64_t off, size_t bytes)
{
	return block_end(block_begin(channel, id, off, bytes));
}

/* How many bytes came before the stream ended well; checks that they are the pattern at off. -1: a status is in said. */
static inline int64_t get(struct rpc_channel *channel, const struct gfs_read_request *first, int64_t off)
{
	struct rpc_stream *stream;
	int64_t got = 0;
	int rc;

	assert_int_equal(rpc_stream_open(channel, RPC_READ_BLOCK, first, &stream), 0);
	for (;;) {
		struct rpc_body body;

		rc = rpc_stream_recv(stream, PATIENT, &body, NULL, &said);
		if (rc != 1)
			break;
		for (unsigned p = 0; p < body.nparts; p++)
			for (size_t i = 0; i < body.part[p].iov_len; i++, got++)
				assert_int_equal(((char *)body.part[p].iov_base)[i], pattern(off + got));
		rpc_body_release(&body);
		assert_int_equal(rpc_stream_ack(stream, first->offset + got), 0);
	}
	rpc_stream_free(stream);
	return rc ? -1 : got;
}

static inline int64_t get_block(struct rpc_channel *channel, int64_t id, int64_t from, int64_t length, int64_t off)
{
	struct gfs_read_request first = {.block_id = id, .offset = from, .length = length, .chunk_size = CHUNK};

	return get(channel, &first, off);
}

static inline int put_ufs(const char *path, const void *data, size_t bytes)
{
	char ufs_path[300];
	struct gfs_write_command first = {.type = GFS_UFS_FILE,
					  .id = -1,
					  .space_to_reserve = INT64_MAX,
					  .ufs = {.present = true, .ufs_path = ufs_path, .mode = 0600}};
	struct rpc_stream *stream;

	snprintf(ufs_path, sizeof(ufs_path), "file://%s/ufs%s", server.root, path);
	assert_int_equal(rpc_stream_open(worker, RPC_WRITE_BLOCK, &first, &stream), 0);
	if (bytes)
		rpc_stream_send_chunk(stream, data, bytes, PATIENT, &said);
	return block_end(stream);
}

/* What the server has not put in its place: 0. */
static inline int work_files(void)
{
	char command[600];

	snprintf(command, sizeof(command),
		 "test -z \"$(find '%s' -type f \\( -path '*/.slipstream/*' -o -path '*/blocks/*/tmp/*' \\))\"",
		 server.root);
	return system(command);
}

/* Where the server keeps a block, whatever directory it chose. */
static inline bool block_file(int worker_id, int64_t id, struct stat *st)
{
	char path[256];

	for (int shard = 0; shard < 256; shard++) {
		snprintf(path, sizeof(path), "%s/blocks/%d/%02x/%lld", server.root, worker_id, shard, (long long)id);
		if (!stat(path, st))
			return true;
	}
	return false;
}

static inline int64_t put_file(const char *path, int64_t bytes)
{
	int64_t id = create(path);

	for (int64_t off = 0; off < bytes; off += BLOCK)
		assert_int_equal(put_block(worker, block_of(id, (int)(off / BLOCK)), off,
					   (size_t)(bytes - off < BLOCK ? bytes - off : BLOCK)),
				 0);
	assert_int_equal(complete(path, id, bytes), 0);
	return id;
}

static inline void check_file(const char *path, int64_t bytes)
{
	struct gfs_file_reply reply;

	assert_int_equal(status_of(path, false, &reply), 0);
	assert_true(reply.info.completed);
	assert_int_equal(reply.info.length, bytes);
	assert_int_equal(reply.info.nblocks, (bytes + BLOCK - 1) / BLOCK);
	for (size_t i = 0; i < reply.info.nblocks; i++) {
		const struct gfs_block *block = &reply.info.blocks[i];

		assert_int_equal(block->offset, (int64_t)i * BLOCK);
		assert_int_equal(block->nlocations, 1);
		assert_int_equal(get_block(worker, block->id, 0, block->length, block->offset), block->length);
	}
	rpc_release(&reply);
}

#endif
