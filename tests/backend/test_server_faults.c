/*
 * test_server_faults.c: the embedded server misbehaves when told to, only then, and only in the way it was told.
 */
#include "tests/backend/raw.h"

static int no_faults(void **state)
{
	(void)state;
	fixture_fault(&server, "");
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the master ------------------------------------------------------------------------------------------------- */

static void the_master_is_slow(void **state)
{
	int64_t start;

	(void)state;
	fixture_fault(&server, "master-delay=50\n");
	start = now_ms();
	assert_true(exists("/"));
	assert_true(now_ms() - start >= 50);
}

static void the_master_is_unavailable_n_times(void **state)
{
	struct gfs_file_reply reply;

	(void)state;
	fixture_fault(&server, "master-unavailable=2\n");
	assert_int_equal(status_of("/", false, &reply), RPC_UNAVAILABLE);
	assert_true(said.retriable);
	assert_int_equal(make_dir("/unavailable"), RPC_UNAVAILABLE);
	assert_true(exists("/"));
	assert_false(exists("/unavailable"));
}

static void the_master_answers_with_a_status_n_times(void **state)
{
	(void)state;
	fixture_fault(&server, "# nothing else\n\nmaster-status=7@2\n");
	assert_int_equal(make_dir("/status"), RPC_PERMISSION_DENIED);
	assert_int_equal(make_dir("/status"), RPC_PERMISSION_DENIED);
	assert_int_equal(make_dir("/status"), 0);
}

static void the_master_is_a_standby(void **state)
{
	struct gfs_get_version ask = {.service_type = 7};
	struct gfs_version version;
	struct gfs_file_reply reply;

	(void)state;
	assert_int_equal(rpc_unary(master, RPC_GET_VERSION, &ask, &version, &said), 0);
	assert_int_equal(version.version, 2);
	rpc_release(&version);
	fixture_fault(&server, "standby\n");
	assert_int_not_equal(rpc_unary(master, RPC_GET_VERSION, &ask, &version, &said), 0);
	assert_int_equal(said.code, RPC_NOT_FOUND);
	assert_int_equal(status_of("/", false, &reply), RPC_UNAVAILABLE);
}

static void sessions_are_revoked(void **state)
{
	struct gfs_file_reply reply;
	int64_t id = block_of(put_file("/revoked", 10), 0);

	(void)state;
	fixture_fault(&server, "revoke\n");
	assert_int_equal(status_of("/", false, &reply), RPC_UNAUTHENTICATED);
	assert_non_null(strstr(said.message, "is not authenticated"));
	assert_int_equal(get_block(worker, id, 0, 10, 0), -1);
	assert_int_equal(said.code, RPC_UNAUTHENTICATED);
	hang_up();
	connect_all(); /* with a new handshake all is well */
	assert_int_equal(get_block(worker, id, 0, 10, 0), 10);
	assert_true(exists("/"));
}

static void metadata_that_cannot_be_written_is_an_error(void **state)
{
	int64_t id = create("/full"), other;

	(void)state;
	fixture_fault(&server, "metadata-full\n");
	assert_int_equal(create_as("/fuller", fresh(), &other), RPC_RESOURCE_EXHAUSTED);
	assert_non_null(strstr(said.message, "No space left"));
	assert_int_equal(make_dir("/fuller"), RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(move("/full", "/fuller"), RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(complete("/full", id, 0), RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(put_block(worker, block_of(id, 0), 0, 10), RPC_RESOURCE_EXHAUSTED);
	assert_true(exists("/full"));
	fixture_fault(&server, "");
	assert_false(exists("/fuller"));
	assert_int_equal(put_block(worker, block_of(id, 0), 0, 10), 0); /* nothing was left of the first */
	assert_int_equal(complete("/full", id, 10), 0);
	check_file("/full", 10);
}

static void metrics_are_kept(void **state)
{
	struct gfs_metric metrics[] = {{"Client", "app1", "BytesReadLocal", 1024, 1},
				       {"Client", "app1", "Gauge", -1.5, 0}};
	struct gfs_metrics_heartbeat beat = {.metrics = metrics, .n = 2};
	char path[128], text[256] = "";
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/metrics", server.root);
	assert_int_equal(call(RPC_METRICS_HEARTBEAT, &beat), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	fixture_fault(&server, "keep-metrics\n");
	assert_int_equal(call(RPC_METRICS_HEARTBEAT, &beat), 0);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_string_equal(text, "counter BytesReadLocal 1024 app1\ngauge Gauge -1.5 app1\n");
	metrics[1].instance = "";
	assert_int_equal(call(RPC_METRICS_HEARTBEAT, &beat), RPC_INVALID_ARGUMENT);
}

/* ---- workers ---------------------------------------------------------------------------------------------------- */

static void a_worker_goes_and_comes_back(void **state)
{
	struct rpc_channel_options options = {.auth = RPC_AUTH_SIMPLE, .user = "alice", .connect_timeout_ms = 5000};
	struct rpc_channel *other = connect_to(server.worker[1]), *again;
	int64_t id = block_of(create("/goes"), 0);
	struct gfs_worker_list list;

	(void)state;
	assert_int_equal(put_block(other, id, 0, 100), 0);
	fixture_fault(&server, "worker-gone=2\n");
	assert_int_equal(get_block(other, id, 0, 100, 0), -1);
	assert_int_not_equal(rpc_channel_new(server.worker[1], &options, &again, &said), 0);
	assert_int_equal(rpc_unary(master, RPC_GET_WORKERS, &(struct gfs_empty){0}, &list, &said), 0);
	assert_int_equal(list.n, 2); /* nobody has told the master */
	rpc_release(&list);
	fixture_fault(&server, "");
	rpc_channel_put(other);
	other = connect_to(server.worker[1]); /* on the same port */
	assert_int_equal(get_block(other, id, 0, 100, 0), 100);
	rpc_channel_put(other);
}

static void workers_have_no_capacity_or_want_no_writes(void **state)
{
	struct gfs_worker_list list;

	(void)state;
	fixture_fault(&server, "no-capacity\nforbid-write=2\n");
	assert_int_equal(rpc_unary(master, RPC_GET_WORKERS, &(struct gfs_empty){0}, &list, &said), 0);
	assert_int_equal(list.workers[0].capacity_bytes, 0);
	assert_false(list.workers[0].forbid_write);
	assert_true(list.workers[1].forbid_write);
	rpc_release(&list);
}

static void a_worker_is_slow(void **state)
{
	int64_t id = block_of(put_file("/slow", 2 * CHUNK), 0), start;

	(void)state;
	fixture_fault(&server, "worker-delay=30\n");
	start = now_ms();
	assert_int_equal(get_block(worker, id, 0, 2 * CHUNK, 0), 2 * CHUNK);
	assert_true(now_ms() - start >= 60);
}

static void a_read_ends_with_a_status(void **state)
{
	int64_t id = block_of(put_file("/read status", 3 * CHUNK), 0);
	struct gfs_read_request first = {.block_id = id, .length = 3 * CHUNK, .chunk_size = CHUNK};
	struct rpc_stream *stream;
	struct rpc_body body;
	int chunks = 0;

	(void)state;
	fixture_fault(&server, "read-status=15@3\n");
	assert_int_equal(rpc_stream_open(worker, RPC_READ_BLOCK, &first, &stream), 0);
	for (; rpc_stream_recv(stream, PATIENT, &body, NULL, &said) == 1; chunks++)
		rpc_body_release(&body);
	rpc_stream_free(stream);
	assert_int_equal(chunks, 2);
	assert_int_equal(said.code, RPC_DATA_LOSS);
	assert_int_equal(get_block(worker, id, 0, CHUNK, 0), CHUNK); /* it has no third one */
}

static void a_read_ends_early(void **state)
{
	int64_t id = block_of(put_file("/short", 3 * CHUNK), 0);

	(void)state;
	fixture_fault(&server, "short-read=2\n");
	assert_int_equal(get_block(worker, id, 0, 3 * CHUNK, 0), 2 * CHUNK);
	fixture_fault(&server, "short-read=0\n");
	assert_int_equal(get_block(worker, id, 0, 3 * CHUNK, 0), 0);
}

static void empty_chunks_come_between(void **state)
{
	struct gfs_read_request first = {
		.block_id = block_of(put_file("/spaced", 2 * CHUNK), 0), .length = 2 * CHUNK, .chunk_size = CHUNK};
	struct rpc_stream *stream;
	struct rpc_body body;
	size_t sizes[8] = {0};
	int n = 0;

	(void)state;
	fixture_fault(&server, "empty-chunks\n");
	assert_int_equal(rpc_stream_open(worker, RPC_READ_BLOCK, &first, &stream), 0);
	for (; n < 8 && rpc_stream_recv(stream, PATIENT, &body, NULL, &said) == 1; n++) {
		sizes[n] = body.bytes;
		rpc_body_release(&body);
	}
	rpc_stream_free(stream);
	assert_int_equal(n, 4);
	assert_int_equal(sizes[0] + sizes[2], 0);
	assert_int_equal(sizes[1] + sizes[3], 2 * CHUNK);
}

/* Read one chunk and leave: by a half-close, or by a bare cancel. */
static void leave_read(int64_t id, bool half_close)
{
	struct gfs_read_request first = {.block_id = id, .length = BLOCK, .chunk_size = CHUNK};
	struct rpc_stream *stream;
	struct rpc_body body;

	assert_int_equal(rpc_stream_open(worker, RPC_READ_BLOCK, &first, &stream), 0);
	assert_int_equal(rpc_stream_recv(stream, PATIENT, &body, NULL, &said), 1);
	rpc_body_release(&body);
	if (half_close) {
		assert_int_equal(rpc_stream_half_close(stream, PATIENT), 0);
		assert_int_equal(rpc_stream_drain(stream, PATIENT, &said), 0);
	}
	rpc_stream_free(stream);
}

static void a_bare_cancel_leaves_the_block_locked(void **state)
{
	int64_t id = block_of(put_file("/locked", BLOCK), 0);
	struct gfs_read_request first = {.block_id = id, .length = 10, .chunk_size = CHUNK};
	struct rpc_stream *stream;
	struct rpc_body body;
	int rc = 1;

	(void)state;
	fixture_fault(&server, "strict-lock\n");
	leave_read(id, true);
	leave_read(id, true);
	leave_read(id, false);
	/* The server learns of a reset when it comes: until then a read is answered. */
	for (int i = 0; rc == 1 && i < 100; i++) {
		assert_int_equal(rpc_stream_open(worker, RPC_READ_BLOCK, &first, &stream), 0);
		rc = rpc_stream_recv(stream, 200, &body, NULL, &said);
		if (rc == 1) {
			rpc_body_release(&body);
			rpc_stream_half_close(stream, PATIENT);
			rpc_stream_drain(stream, PATIENT, &said);
		}
		rpc_stream_free(stream);
	}
	assert_int_equal(rc, -ETIMEDOUT);
	fixture_fault(&server, "");
	assert_int_equal(get_block(worker, id, 0, 10, 0), 10);
}

static void a_write_ends_with_a_status(void **state)
{
	int64_t id = block_of(create("/write status"), 0);

	(void)state;
	fixture_fault(&server, "write-status=13@2\n");
	assert_int_equal(put_block(worker, id, 0, CHUNK), 0);
	assert_int_equal(call(RPC_REMOVE_BLOCKS, &(struct gfs_block_ids){.ids = &id, .n = 1}), 0);
	{
		struct rpc_stream *stream = block_begin(worker, id, 0, CHUNK);
		char byte = 0;

		rpc_stream_send_chunk(stream, &byte, 1, PATIENT, &said);
		assert_int_equal(block_end(stream), RPC_INTERNAL);
	}
	assert_int_equal(work_files(), 0);
}

static void a_flush_is_not_implemented(void **state)
{
	int64_t id = block_of(create("/page mode"), 0);
	struct rpc_stream *stream;

	(void)state;
	fixture_fault(&server, "flush-status=12\n");
	stream = block_begin(worker, id, 0, CHUNK);
	assert_int_equal(flush(stream), -RPC_UNIMPLEMENTED);
	rpc_stream_free(stream);
	assert_int_equal(put_block(worker, id, 0, CHUNK), 0); /* without one all is well */
}

static void chunks_must_be_equal(void **state)
{
	int64_t file = create("/aligned");
	struct rpc_stream *stream;
	char data[100] = {0};

	(void)state;
	fixture_fault(&server, "strict-chunks\n");
	assert_int_equal(put_block(worker, block_of(file, 0), 0, CHUNK + 10), 0); /* a short one at the end */
	stream = block_begin(worker, block_of(file, 1), 0, CHUNK + 10);
	rpc_stream_send_chunk(stream, data, sizeof(data), PATIENT, &said);
	assert_int_equal(block_end(stream), RPC_INTERNAL);
	assert_non_null(strstr(said.message, "The file length is inconsistent"));
	stream = block_begin(worker, block_of(file, 1), 0, CHUNK + 10);
	assert_int_equal(flush(stream), CHUNK + 10); /* or before a flush */
	assert_int_equal(rpc_stream_send_chunk(stream, data, sizeof(data), PATIENT, &said), 0);
	assert_int_equal(block_end(stream), 0);
}

static void a_write_does_not_wait_for_headers(void **state)
{
	(void)state;
	fixture_fault(&server, "strict-headers\n");
	put_file("/silent", BLOCK + 10);
	check_file("/silent", BLOCK + 10);
}

static void parents_below_are_not_made(void **state)
{
	(void)state;
	fixture_fault(&server, "strict-parents\n");
	assert_int_equal(put_ufs("/no/parent", "x", 1), RPC_NOT_FOUND);
	assert_int_equal(put_ufs("/no parent needed", "x", 1), 0);
}

static void a_full_disk_ends_a_stream(void **state)
{
	int64_t id = block_of(create("/disk full"), 0);
	char data[200] = {0};

	(void)state;
	fixture_fault(&server, "disk-full=100000\n");
	assert_int_equal(put_block(worker, id, 0, CHUNK), 0);
	assert_int_equal(call(RPC_REMOVE_BLOCKS, &(struct gfs_block_ids){.ids = &id, .n = 1}), 0);
	assert_int_equal(block_end(block_begin(worker, id, 0, 2 * CHUNK)), RPC_RESOURCE_EXHAUSTED);
	fixture_fault(&server, "disk-full=100\n");
	assert_int_equal(put_ufs("/ufs full", data, sizeof(data)), RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(work_files(), 0);
}

static void a_local_block_cannot_be_opened(void **state)
{
	struct gfs_open_local first = {.block_id = block_of(put_file("/unreadable", 10), 0), .block_size = 10};
	struct gfs_local_block reply;
	struct rpc_stream *stream;

	(void)state;
	fixture_fault(&server, "local-unreadable\n");
	assert_int_equal(rpc_stream_open(worker, RPC_OPEN_LOCAL_BLOCK, &first, &stream), 0);
	assert_int_equal(rpc_stream_recv(stream, PATIENT, NULL, &reply, &said), 1);
	assert_int_not_equal(access(reply.path, R_OK), 0);
	rpc_release(&reply);
	assert_int_equal(block_end(stream), 0);
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

static void faults_may_be_options(void **state)
{
	struct fixture with = server;
	struct gfs_file_reply reply;

	(void)state;
	hang_up();
	fixture_start(&server, "--fault=master-unavailable=1", "--fault", "short-read=1", NULL);
	connect_all();
	assert_int_equal(status_of("/", false, &reply), RPC_UNAVAILABLE);
	assert_int_equal(get_block(worker, block_of(put_file("/f", 2 * CHUNK), 0), 0, 2 * CHUNK, 0), CHUNK);
	hang_up();
	fixture_release(&server);
	server = with;
	connect_all();
}

/* What a mistake in the file says, and that all stays as it was. */
static void mistakes_change_nothing(void **state)
{
	static const char *const bad[] = {"no-such-fault",  "short-read",    "short-read=x",   "standby=1",
					  "read-status=1@", "worker-gone=0", "master-delay=-5"};
	char path[128], line[256];

	(void)state;
	fixture_fault(&server, "short-read=7\n");
	snprintf(path, sizeof(path), "%s/faults", server.root);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		FILE *file = fopen(path, "w");

		fprintf(file, "empty-chunks\n%s\n", bad[i]);
		fclose(file);
		kill(server.pid, SIGUSR1);
		assert_true(fixture_read_line(server.out_fd, line, sizeof(line)));
		assert_string_equal(line, "slipstream server faults: short-read=7");
	}
}

#define FAULTY(name) cmocka_unit_test_teardown(name, no_faults)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAULTY(the_master_is_slow),
		FAULTY(the_master_is_unavailable_n_times),
		FAULTY(the_master_answers_with_a_status_n_times),
		FAULTY(the_master_is_a_standby),
		FAULTY(sessions_are_revoked),
		FAULTY(metadata_that_cannot_be_written_is_an_error),
		FAULTY(metrics_are_kept),
		FAULTY(a_worker_goes_and_comes_back),
		FAULTY(workers_have_no_capacity_or_want_no_writes),
		FAULTY(a_worker_is_slow),
		FAULTY(a_read_ends_with_a_status),
		FAULTY(a_read_ends_early),
		FAULTY(empty_chunks_come_between),
		FAULTY(a_bare_cancel_leaves_the_block_locked),
		FAULTY(a_write_ends_with_a_status),
		FAULTY(a_flush_is_not_implemented),
		FAULTY(chunks_must_be_equal),
		FAULTY(a_write_does_not_wait_for_headers),
		FAULTY(parents_below_are_not_made),
		FAULTY(a_full_disk_ends_a_stream),
		FAULTY(a_local_block_cannot_be_opened),
		FAULTY(faults_may_be_options),
		FAULTY(mistakes_change_nothing),
	};

	return cmocka_run_group_tests_name("server_faults", tests, set_up_server, tear_down_server);
}
