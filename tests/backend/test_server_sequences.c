/*
 * test_server_sequences.c: what clients of several ages say to the embedded server, call by call, in their order (spec
 * goosefs 16, 17.1, 20), made small: blocks of 256 KiB, chunks of 64.
 */
#include "tests/backend/raw.h"

#include <errno.h>

static struct rpc_channel *second; /* the other worker */

static int set_up(void **state)
{
	set_up_server(state);
	second = connect_to(server.worker[1]);
	return 0;
}

static int tear_down(void **state)
{
	rpc_channel_put(second);
	return tear_down_server(state);
}

/* ---- the steps -------------------------------------------------------------------------------------------------- */

struct created {
	int64_t id;
	char ufs_path[300], owner[64], group[64];
	int mode;
	int64_t mount_id;
};

static struct created create_022(const char *path, int write_type)
{
	struct gfs_create_file request = {.path = path,
					  .block_size = BLOCK,
					  .recursive = true,
					  .mode = 0644,
					  .has_mode = true,
					  .write_type = write_type,
					  .has_persistence_wait = true,
					  .common = fresh()};
	struct gfs_file_reply reply;
	struct created created;

	assert_int_equal(rpc_unary(master, RPC_CREATE_FILE, &request, &reply, &said), 0);
	assert_int_equal(reply.info.block_size, BLOCK);
	created = (struct created){.id = reply.info.file_id, .mode = reply.info.mode, .mount_id = reply.info.mount_id};
	snprintf(created.ufs_path, sizeof(created.ufs_path), "%s", reply.info.ufs_path);
	snprintf(created.owner, sizeof(created.owner), "%s", reply.info.owner);
	snprintf(created.group, sizeof(created.group), "%s", reply.info.group);
	rpc_release(&reply);
	return created;
}

static struct rpc_stream *open_block(struct rpc_channel *channel, int64_t id, bool async)
{
	struct gfs_write_command first = {.id = id, .space_to_reserve = BLOCK, .async_write = async};
	struct rpc_stream *stream;

	assert_int_equal(rpc_stream_open(channel, RPC_WRITE_BLOCK, &first, &stream), 0);
	return stream;
}

static struct rpc_stream *open_ufs(const struct created *file)
{
	struct gfs_write_command first = {.type = GFS_UFS_FILE,
					  .id = -1,
					  .space_to_reserve = INT64_MAX,
					  .ufs = {.present = true,
						  .ufs_path = file->ufs_path,
						  .owner = file->owner,
						  .group = file->group,
						  .mode = file->mode,
						  .mount_id = file->mount_id}};
	struct rpc_stream *stream;

	assert_int_equal(rpc_stream_open(worker, RPC_WRITE_BLOCK, &first, &stream), 0);
	return stream;
}

static struct gfs_complete_file completion(const char *path, int64_t id, int64_t length)
{
	return (struct gfs_complete_file){.path = path,
					  .inode_id = id,
					  .ufs_length = length,
					  .has_ufs_length = true,
					  .crc_type = GFS_CRC32C,
					  .crc_value = 0x12345678,
					  .has_crc = true,
					  .common = fresh()};
}

/* Sequentially, as the stream of 0.2.2 does: a half-close at the end, and the call is dropped without its status. */
static void read_sequentially(int64_t id, int64_t bytes, struct gfs_ufs_options ufs)
{
	struct gfs_read_request first = {
		.block_id = id, .length = bytes, .chunk_size = CHUNK, .prefetch_window = 8, .ufs = ufs};
	struct rpc_stream *stream;
	int64_t got = 0;

	assert_int_equal(rpc_stream_open(worker, RPC_READ_BLOCK, &first, &stream), 0);
	while (got < bytes) {
		struct rpc_body body;

		assert_int_equal(rpc_stream_recv(stream, PATIENT, &body, NULL, &said), 1);
		for (unsigned p = 0; p < body.nparts; p++)
			for (size_t i = 0; i < body.part[p].iov_len; i++, got++)
				assert_int_equal(((char *)body.part[p].iov_base)[i], pattern(ufs.offset_in_file + got));
		rpc_body_release(&body);
		assert_int_equal(rpc_stream_ack(stream, got), 0);
	}
	assert_int_equal(got, bytes);
	rpc_stream_half_close(stream, PATIENT);
	rpc_stream_free(stream);
}

static void check_completed(const char *path, int64_t bytes, const char *persistence)
{
	struct gfs_file_reply reply;

	assert_int_equal(status_of(path, false, &reply), 0);
	assert_true(reply.info.completed && reply.info.cacheable);
	assert_int_equal(reply.info.length, bytes);
	assert_int_equal(reply.info.mode, 0644);
	assert_int_equal(reply.info.nblock_ids, 0); /* as real masters have it */
	assert_int_equal(reply.info.nblocks, (bytes + BLOCK - 1) / BLOCK);
	assert_int_equal(reply.info.nxattr, 2);
	assert_string_equal(reply.info.persistence_state, persistence);
	rpc_release(&reply);
}

/* ---- 0.2.2 ------------------------------------------------------------------------------------------------------ */

static void a_client_starts(void **state)
{
	struct rpc_channel *files = connect_to(server.master), *workers = connect_to(server.master);
	struct rpc_channel *metrics = connect_to(server.master);
	struct gfs_metric metric = {"Client", "app1", "BytesReadLocal", 1024, 1};
	struct gfs_empty done;
	struct gfs_worker_list list;
	struct gfs_file_reply reply;

	(void)state;
	assert_int_equal(rpc_unary(workers, RPC_GET_WORKERS, &(struct gfs_empty){0}, &list, &said), 0);
	assert_int_equal(list.n, 2);
	for (size_t i = 0; i < list.n; i++)
		assert_true(list.workers[i].has_id && list.workers[i].id > 0 && list.workers[i].rpc_port > 0 &&
			    list.workers[i].capacity_bytes > 0 && !list.workers[i].persist_used_bytes &&
			    !list.workers[i].forbid_write);
	rpc_release(&list);
	assert_int_equal(rpc_unary(metrics, RPC_METRICS_HEARTBEAT,
				   &(struct gfs_metrics_heartbeat){.metrics = &metric, .n = 1}, &done, &said),
			 0);
	rpc_release(&done);
	assert_int_equal(rpc_unary(files, RPC_GET_STATUS,
				   &(struct gfs_get_status){.path = "/",
							    .load_type = GFS_LOAD_ONCE,
							    .has_load_type = true,
							    .common = {.sync_interval_ms = -1}},
				   &reply, &said),
			 0);
	assert_true(reply.info.folder);
	rpc_release(&reply);
	rpc_channel_put(files);
	rpc_channel_put(workers);
	rpc_channel_put(metrics);
}

static void must_cache_is_written_and_read(void **state)
{
	struct created file = create_022("/seq/must cache", GFS_MUST_CACHE);
	struct gfs_complete_file done = completion("/seq/must cache", file.id, BLOCK + 3 * CHUNK);
	struct rpc_stream *stream = open_block(worker, block_of(file.id, 0), false);

	(void)state;
	assert_string_equal(file.ufs_path, "");
	send_pattern(stream, 0, BLOCK);
	assert_int_equal(flush(stream), BLOCK); /* only because more follows */
	assert_int_equal(block_end(stream), 0);
	stream = open_block(worker, block_of(file.id, 1), false);
	send_pattern(stream, BLOCK, BLOCK + 3 * CHUNK);
	assert_int_equal(block_end(stream), 0); /* the last one ends without a flush */
	assert_int_equal(call(RPC_COMPLETE_FILE, &done), 0);
	assert_int_equal(call(RPC_COMPLETE_FILE, &done), 0); /* its reply was lost: sent again */
	check_completed("/seq/must cache", BLOCK + 3 * CHUNK, "NOT_PERSISTED");
	read_sequentially(block_of(file.id, 0), BLOCK, (struct gfs_ufs_options){0});
	read_sequentially(block_of(file.id, 1), 3 * CHUNK, (struct gfs_ufs_options){.offset_in_file = BLOCK});
}

static void cache_through_has_a_stream_more(void **state)
{
	struct created file = create_022("/seq/cache through", GFS_CACHE_THROUGH);
	struct gfs_complete_file done = completion("/seq/cache through", file.id, BLOCK + 10);
	struct rpc_stream *ufs = open_ufs(&file), *stream = open_block(worker, block_of(file.id, 0), false);

	(void)state;
	assert_string_equal(file.owner, "alice");
	assert_true(file.mount_id > 0);
	send_pattern(stream, 0, BLOCK);
	send_pattern(ufs, 0, BLOCK);
	assert_int_equal(flush(stream), BLOCK);
	assert_int_equal(block_end(stream), 0);
	stream = open_block(second, block_of(file.id, 1), false);
	send_pattern(stream, BLOCK, BLOCK + 10);
	send_pattern(ufs, BLOCK, BLOCK + 10);
	assert_int_equal(flush(ufs), BLOCK + 10);
	assert_int_equal(block_end(ufs), 0); /* before the last block */
	assert_int_equal(block_end(stream), 0);
	assert_int_equal(call(RPC_COMPLETE_FILE, &done), 0);
	check_completed("/seq/cache through", BLOCK + 10, "PERSISTED");
	/* Its last block is with the second worker; the first one gets it from below. */
	read_sequentially(block_of(file.id, 1), 10,
			  (struct gfs_ufs_options){.present = true,
						   .ufs_path = file.ufs_path,
						   .offset_in_file = BLOCK,
						   .block_size = 10,
						   .max_concurrency = 8,
						   .mount_id = file.mount_id,
						   .file_length = BLOCK + 10});
}

static void async_through_has_two_replicas(void **state)
{
	struct created file = create_022("/seq/async", GFS_ASYNC_THROUGH);
	int64_t first = block_of(file.id, 0), last = block_of(file.id, 1), both[] = {2, 1};
	struct gfs_file_location at[] = {{first, 0, BLOCK, both, 2}, {last, BLOCK, CHUNK, both, 2}};
	struct gfs_commit_location commit = {
		.path = "/seq/async", .inode_id = file.id, .block_id = first, .locations = &at[0], .nlocations = 1};
	struct gfs_complete_file done = completion("/seq/async", file.id, BLOCK + CHUNK);
	struct rpc_channel *workers[] = {worker, second};
	struct rpc_stream *streams[2];
	struct gfs_file_reply reply;

	(void)state;
	for (int i = 0; i < 2; i++)
		streams[i] = open_block(workers[i], first, true);
	for (int i = 0; i < 2; i++)
		send_pattern(streams[i], 0, BLOCK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(flush(streams[i]), BLOCK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(block_end(streams[i]), 0);
	assert_int_equal(call(RPC_COMMIT_LOCATION, &commit), 0);
	assert_int_equal(call(RPC_COMMIT_LOCATION, &commit), 0);
	for (int i = 0; i < 2; i++) {
		streams[i] = open_block(workers[i], last, true);
		send_pattern(streams[i], BLOCK, BLOCK + CHUNK);
		assert_int_equal(block_end(streams[i]), 0);
	}
	done.async_persist = true;
	done.locations = &at[1];
	done.nlocations = 1;
	assert_int_equal(call(RPC_COMPLETE_FILE, &done), 0);
	check_completed("/seq/async", BLOCK + CHUNK, "TO_BE_PERSISTED");
	assert_int_equal(status_of("/seq/async", false, &reply), 0);
	for (size_t i = 0; i < reply.info.nblocks; i++)
		assert_int_equal(reply.info.blocks[i].nlocations, 2);
	rpc_release(&reply);
	commit = (struct gfs_commit_location){.path = "/absent", .inode_id = file.id + (1 << 24), .block_id = first};
	assert_int_equal(call(RPC_COMMIT_LOCATION, &commit), RPC_NOT_FOUND);
}

static void a_write_is_cancelled(void **state)
{
	struct created file = create_022("/seq/cancelled", GFS_MUST_CACHE);
	int64_t block = block_of(file.id, 0);
	struct rpc_stream *stream = open_block(worker, block, false);
	struct gfs_check_blocks_reply reply;

	(void)state;
	send_pattern(stream, 0, BLOCK);
	assert_int_equal(block_end(stream), 0);
	stream = open_block(worker, block_of(file.id, 1), false);
	send_pattern(stream, BLOCK, BLOCK + CHUNK);
	rpc_stream_cancel(stream);
	rpc_stream_free(stream);
	assert_int_equal(call(RPC_REMOVE_BLOCKS, &(struct gfs_block_ids){.ids = &block, .n = 1}), 0);
	assert_int_equal(
		rpc_unary(worker, RPC_CHECK_BLOCKS, &(struct gfs_block_ids){.ids = &block, .n = 1}, &reply, &said), 0);
	assert_int_equal(reply.n, 0);
	rpc_release(&reply);
	assert_true(exists("/seq/cancelled")); /* incomplete: in the way of the next one until it is removed */
	assert_int_equal(
		call(RPC_REMOVE, &(struct gfs_remove){.path = "/seq/cancelled", .unchecked = true, .common = fresh()}),
		0);
}

/* Positioned, as the page cache reads: no acknowledgement before the end. */
static void a_reader_gets_its_window_and_no_more(void **state)
{
	int64_t id = block_of(put_file("/window", 4 * CHUNK), 0);
	struct gfs_read_request first = {
		.block_id = id, .length = 4 * CHUNK, .chunk_size = CHUNK / 2, .prefetch_window = 3};
	struct rpc_stream *stream;
	struct rpc_body body;
	int64_t got = 0;
	int rc;

	(void)state;
	assert_int_equal(rpc_stream_open(worker, RPC_READ_BLOCK, &first, &stream), 0);
	while (got < 2 * CHUNK && rpc_stream_recv(stream, PATIENT, &body, NULL, &said) == 1) {
		got += (int64_t)body.bytes;
		assert_true(body.bytes <= CHUNK / 2);
		rpc_body_release(&body);
	}
	assert_int_equal(got, 2 * CHUNK);
	assert_int_equal(rpc_stream_recv(stream, 100, &body, NULL, &said), -ETIMEDOUT);
	assert_int_equal(rpc_stream_ack(stream, CHUNK), 0);
	while ((rc = rpc_stream_recv(stream, 100, &body, NULL, &said)) == 1) {
		got += (int64_t)body.bytes;
		rpc_body_release(&body);
	}
	assert_int_equal(rc, -ETIMEDOUT);
	assert_int_equal(got, 3 * CHUNK);
	assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0); /* early: a normal end */
	assert_int_equal(rpc_stream_drain(stream, PATIENT, &said), 0);
	rpc_stream_free(stream);
}

/* ---- older clients ---------------------------------------------------------------------------------------------- */

/* A request as an old client wrote it, byte for byte. */
static int call_hex(enum rpc_id id, const char *hex)
{
	unsigned char bytes[256];
	size_t n = strlen(hex) / 2;
	union {
		void *backing;
		struct gfs_create_file create;
		struct gfs_create_directory directory;
		struct gfs_complete_file complete;
		struct gfs_remove remove;
		struct gfs_rename rename;
		struct gfs_schedule_persist schedule;
		struct gfs_get_status status;
	} request;
	struct gfs_file_reply info;
	int rc;

	for (size_t i = 0; i < n; i++)
		sscanf(hex + 2 * i, "%2hhx", &bytes[i]);
	assert_int_equal(gfs_unpack(id, false, bytes, n, &request), 0);
	if (id != RPC_CREATE_FILE && id != RPC_GET_STATUS) {
		rc = call(id, &request);
	} else {
		rc = rpc_unary(master, id, &request, &info, &said) ? said.code : 0;
		if (!rc)
			rpc_release(&info);
	}
	rpc_release(&request);
	return rc;
}

static void old_forms_are_understood(void **state)
{
	(void)state;
	assert_int_equal(call_hex(RPC_CREATE_DIRECTORY, "0a022f61120c080110011a06080810061806"), 0);
	assert_int_equal(call_hex(RPC_CREATE_DIRECTORY, "0a022f61120c080110011a06080810061806"), 0);
	assert_int_equal(call_hex(RPC_GET_STATUS, "0a042f612f621200"), RPC_NOT_FOUND);
	assert_int_equal(call_hex(RPC_CREATE_FILE, "0a042f612f661211088080802010011a060807100518052001"), 0);
	assert_int_equal(call_hex(RPC_CREATE_FILE, "0a042f612f661211088080802010011a060807100518052001"),
			 RPC_ALREADY_EXISTS);
	assert_int_equal(
		call_hex(RPC_COMPLETE_FILE, "0a042f612f66121c08051a18221608d083b1efe7f5d38ef80110f6d7f9c88c94c0b2a701"),
		0);
	assert_int_equal(
		call_hex(RPC_COMPLETE_FILE, "0a042f612f66121c08051a18221608d083b1efe7f5d38ef80110f6d7f9c88c94c0b2a701"),
		0); /* the id of the writer: answered again */
	assert_int_equal(length_of("/a/f"), 5);
	assert_int_equal(call_hex(RPC_SCHEDULE_PERSIST, "0a042f612f661200"), 0);
	assert_int_equal(call_hex(RPC_RENAME, "0a042f612f6612042f612f671a00"), 0);
	assert_int_equal(length_of("/a/g"), 5);
	assert_int_equal(call_hex(RPC_REMOVE, "0a022f611206080110001800"), 0);
	assert_false(exists("/a"));
}

static int count_entries(void *context, const void *message)
{
	*(int *)context += (int)((const struct gfs_list_reply *)message)->ninfos;
	return 0;
}

/* Neither load type nor sync interval: as if ONCE, so that what is below is there for them too. */
static void empty_options_mean_once(void **state)
{
	struct gfs_get_status request = {.path = "/old", .common = {.absent = true}};
	struct gfs_file_reply reply;
	char path[200];
	int n = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/ufs/old", server.root);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/ufs/old/dir", server.root);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(rpc_collect(master, RPC_LIST_STATUS, &request, count_entries, &n, &said), 0);
	assert_int_equal(n, 1);
	request.path = "/old/dir";
	assert_int_equal(rpc_unary(master, RPC_GET_STATUS, &request, &reply, &said), 0);
	rpc_release(&reply);
}

/* ---- ids of operations ------------------------------------------------------------------------------------------ */

static void the_last_thousand_are_answered_again(void **state)
{
	struct gfs_common ops[1000];
	int64_t ids[1000], again;
	char path[32];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/op%d", i);
		ops[i] = fresh();
		assert_int_equal(create_as(path, ops[i], &ids[i]), 0);
	}
	for (int i = 0; i < 1000; i += 37) {
		snprintf(path, sizeof(path), "/op%d", i);
		assert_int_equal(create_as(path, ops[i], &again), 0);
		assert_int_equal(again, ids[i]);
		assert_int_equal(create_as(path, fresh(), &again), RPC_ALREADY_EXISTS);
	}
}

/* The words that clients tell errors apart by (spec goosefs 6.1, 6.2). */
static void errors_are_worded_as_clients_expect(void **state)
{
	struct gfs_file_reply reply;
	int64_t id;

	(void)state;
	assert_int_equal(make_dir("/worded"), 0);
	put_file("/worded/file", 1);
	assert_int_equal(erase("/worded", false), RPC_FAILED_PRECONDITION);
	assert_non_null(strstr(said.message, "is not empty"));
	assert_int_equal(complete("/worded", 0, 0), RPC_FAILED_PRECONDITION);
	assert_non_null(strstr(said.message, "Is a directory"));
	assert_int_equal(status_of("/worded/absent", false, &reply), RPC_NOT_FOUND);
	assert_non_null(strstr(said.message, "Path \"/worded/absent\" does not exist."));
	assert_int_equal(create_as("/worded/file/below", fresh(), &id), RPC_FAILED_PRECONDITION);
	assert_non_null(strstr(said.message, "is not a directory"));
	assert_int_equal(status_of("/worded/file/below", false, &reply), RPC_NOT_FOUND);
	assert_non_null(strstr(said.message, "is not a directory"));
	assert_int_equal(status_of("", false, &reply), RPC_INVALID_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_client_starts),
		TEST(must_cache_is_written_and_read),
		TEST(cache_through_has_a_stream_more),
		TEST(async_through_has_two_replicas),
		TEST(a_write_is_cancelled),
		TEST(a_reader_gets_its_window_and_no_more),
		TEST(old_forms_are_understood),
		TEST(empty_options_mean_once),
		TEST(the_last_thousand_are_answered_again),
		TEST(errors_are_worded_as_clients_expect),
	};

	return cmocka_run_group_tests_name("server_sequences", tests, set_up, tear_down);
}
