/*
 * test_server.c: the embedded server, spoken to as a foreign client would: raw calls, no client of ours in between.
 * The sequences are those of spec goosefs 20, the beliefs those of 19.2 and 19.3.
 */
#include "tests/backend/raw.h"

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void a_file_of_several_blocks_comes_back(void **state)
{
	(void)state;
	put_file("/several", 2 * BLOCK + 1000);
	check_file("/several", 2 * BLOCK + 1000);
}

static void a_flush_answers_with_the_bytes_so_far(void **state)
{
	int64_t id = block_of(create("/flushed"), 0);
	struct rpc_stream *stream = block_begin(worker, id, 0, CHUNK + 10);

	(void)state;
	assert_int_equal(flush(stream), CHUNK + 10);
	assert_int_equal(block_end(stream), 0);
	assert_int_equal(get_block(worker, id, 100, 50, 100), 50);
}

static void status_says_what_was_asked_for(void **state)
{
	struct gfs_file_reply reply;
	int64_t id = create("/told");

	(void)state;
	assert_int_equal(status_of("/told", false, &reply), 0);
	assert_false(reply.info.completed);
	assert_int_equal(reply.info.length, 0);
	rpc_release(&reply);
	assert_int_equal(call(RPC_COMPLETE_FILE, &(struct gfs_complete_file){.path = "/told",
									     .has_ufs_length = true,
									     .crc_type = GFS_CRC32C,
									     .crc_value = 0xe3069283,
									     .has_crc = true,
									     .common = fresh()}),
			 0);
	assert_int_equal(status_of("/told", false, &reply), 0);
	assert_int_equal(reply.info.file_id, id);
	assert_string_equal(reply.info.name, "told");
	assert_string_equal(reply.info.path, "/told");
	assert_string_equal(reply.info.owner, "alice");
	assert_int_equal(reply.info.mode, 0640);
	assert_true(reply.info.completed);
	assert_false(reply.info.folder);
	assert_int_equal(reply.info.nxattr, 2);
	for (size_t i = 0; i < reply.info.nxattr; i++) {
		const struct gfs_xattr *x = &reply.info.xattr[i];

		if (!strcmp(x->name, "CrcValue"))
			assert_memory_equal(x->value, "\xe3\x06\x92\x83", 4);
		else
			assert_memory_equal(x->value, "\x02", 1);
	}
	rpc_release(&reply);
}

static void complete_finds_a_renamed_file_by_its_id(void **state)
{
	int64_t id = create("/before");

	(void)state;
	assert_int_equal(move("/before", "/after"), 0);
	assert_int_equal(complete("/before", id, 0), 0);
	assert_int_equal(length_of("/after"), 0);
	assert_int_equal(complete("/after", id, 0), RPC_FAILED_PRECONDITION);
}

static void without_a_length_committed_blocks_count(void **state)
{
	int64_t id = create("/counted");

	(void)state;
	assert_int_equal(put_block(worker, block_of(id, 0), 0, BLOCK), 0);
	assert_int_equal(put_block(worker, block_of(id, 1), BLOCK, 7), 0);
	assert_int_equal(call(RPC_COMPLETE_FILE, &(struct gfs_complete_file){.path = "/counted"}), 0);
	assert_int_equal(length_of("/counted"), BLOCK + 7);
}

static void bad_files_are_refused(void **state)
{
	struct gfs_file_reply reply;
	struct gfs_create_file request = {.path = "/bad", .common = fresh()};
	int64_t id;

	(void)state;
	assert_int_equal(rpc_unary(master, RPC_CREATE_FILE, &request, &reply, &said) != 0, 1);
	assert_int_equal(said.code, RPC_INVALID_ARGUMENT);
	assert_non_null(strstr(said.message, "Invalid block size 0"));
	assert_int_equal(create_as("/no/such/parent", fresh(), &id), RPC_NOT_FOUND);
	assert_int_equal(create_as("relative", fresh(), &id), RPC_INVALID_ARGUMENT);
	assert_int_equal(create_as("/a//b", fresh(), &id), RPC_INVALID_ARGUMENT);
	assert_int_equal(create_as("/a/../b", fresh(), &id), RPC_INVALID_ARGUMENT);
	assert_false(exists("/bad"));
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static void rename_never_replaces(void **state)
{
	(void)state;
	put_file("/one", 10);
	put_file("/two", 20);
	assert_int_equal(make_dir("/three"), 0);
	assert_int_equal(move("/one", "/two"), RPC_ALREADY_EXISTS);
	assert_int_equal(move("/one", "/three"), RPC_ALREADY_EXISTS);
	check_file("/one", 10);
	check_file("/two", 20);
	assert_int_equal(move("/absent", "/four"), RPC_NOT_FOUND);
	assert_int_equal(move("/one", "/absent/one"), RPC_NOT_FOUND);
	assert_int_equal(move("/three", "/three/below"), RPC_INVALID_ARGUMENT);
}

static void a_renamed_directory_carries_its_tree(void **state)
{
	(void)state;
	assert_int_equal(make_dir("/tree"), 0);
	assert_int_equal(make_dir("/tree/deep"), 0);
	put_file("/tree/deep/leaf", 5);
	assert_int_equal(move("/tree", "/moved"), 0);
	assert_false(exists("/tree/deep/leaf"));
	check_file("/moved/deep/leaf", 5);
}

static void a_directory_that_is_not_empty_stays(void **state)
{
	(void)state;
	assert_int_equal(make_dir("/full"), 0);
	create("/full/incomplete");
	assert_int_equal(erase("/full", false), RPC_FAILED_PRECONDITION);
	assert_non_null(strstr(said.message, "is not empty"));
	assert_int_equal(erase("/full/incomplete", false), 0); /* no `unchecked` needed */
	assert_int_equal(erase("/full", false), 0);
	assert_int_equal(erase("/full", false), RPC_NOT_FOUND);
}

static void directories_are_made_as_asked(void **state)
{
	struct gfs_create_directory request = {.path = "/made", .common = fresh()};

	(void)state;
	assert_int_equal(call(RPC_CREATE_DIRECTORY, &request), 0);
	request.common = fresh();
	assert_int_equal(call(RPC_CREATE_DIRECTORY, &request), RPC_ALREADY_EXISTS);
	request.common = fresh();
	request.allow_exists = true;
	assert_int_equal(call(RPC_CREATE_DIRECTORY, &request), 0);
	put_file("/made/file", 1);
	request = (struct gfs_create_directory){.path = "/made/file", .allow_exists = true, .common = fresh()};
	assert_int_equal(call(RPC_CREATE_DIRECTORY, &request), RPC_ALREADY_EXISTS);
	assert_int_equal(make_dir("/made/absent/below"), RPC_NOT_FOUND);
	assert_int_equal(make_dir("/made/file/below"), RPC_FAILED_PRECONDITION);
	assert_non_null(strstr(said.message, "is not a directory"));
	request = (struct gfs_create_directory){.path = "/made/x/y/z", .recursive = true, .common = fresh()};
	assert_int_equal(call(RPC_CREATE_DIRECTORY, &request), 0);
	assert_true(exists("/made/x/y/z"));
}

struct listing {
	int entries, batches;
	size_t largest;
	bool seen[1000];
};

static int count_batch(void *context, const void *message)
{
	const struct gfs_list_reply *reply = message;
	struct listing *listing = context;

	listing->batches++;
	if (reply->ninfos > listing->largest)
		listing->largest = reply->ninfos;
	for (size_t i = 0; i < reply->ninfos; i++) {
		int number = atoi(reply->infos[i].name + 1);

		assert_int_equal(strncmp(reply->infos[i].path, "/list/", 6), 0);
		assert_false(listing->seen[number]);
		listing->seen[number] = true;
		listing->entries++;
	}
	return 0;
}

static void a_listing_comes_in_batches(void **state)
{
	struct gfs_get_status request = {.path = "/list", .common = {.sync_interval_ms = -1}};
	struct listing listing = {0};
	char path[32];

	(void)state;
	assert_int_equal(make_dir("/list"), 0);
	for (int i = 0; i < 250; i++) {
		snprintf(path, sizeof(path), "/list/f%d", i);
		create(path);
	}
	assert_int_equal(rpc_collect(master, RPC_LIST_STATUS, &request, count_batch, &listing, &said), 0);
	assert_int_equal(listing.entries, 250);
	assert_int_equal(listing.batches, 3);
	assert_int_equal(listing.largest, 100);
	listing = (struct listing){0};
	request.path = "/list/f7";
	assert_int_equal(rpc_collect(master, RPC_LIST_STATUS, &request, count_batch, &listing, &said), 0);
	assert_int_equal(listing.entries, 1);
	request.path = "/absent";
	assert_int_not_equal(rpc_collect(master, RPC_LIST_STATUS, &request, count_batch, &listing, &said), 0);
	assert_int_equal(said.code, RPC_NOT_FOUND);
}

static void a_link_is_followed_only_on_request(void **state)
{
	struct gfs_file_reply reply;
	struct gfs_link_target target;

	(void)state;
	assert_int_equal(make_dir("/links"), 0);
	put_file("/links/file", 9);
	assert_int_equal(call(RPC_CREATE_SYMLINK,
			      &(struct gfs_create_symlink){.link = "/links/to", .target = "file", .common = fresh()}),
			 0);
	assert_int_equal(rpc_unary(master, RPC_GET_LINK_TARGET, &(struct gfs_get_link_target){.link = "/links/to"},
				   &target, &said),
			 0);
	assert_string_equal(target.target, "file");
	rpc_release(&target);
	assert_int_equal(status_of("/links/to", false, &reply), 0);
	assert_string_equal(reply.info.symlink, "file");
	assert_false(reply.info.folder);
	rpc_release(&reply);
	assert_int_equal(status_of("/links/to", true, &reply), 0);
	assert_int_equal(reply.info.length, 9);
	assert_string_equal(reply.info.path, "/links/file");
	rpc_release(&reply);
}

static void attributes_change(void **state)
{
	struct gfs_file_reply reply;

	(void)state;
	assert_int_equal(make_dir("/attr"), 0);
	put_file("/attr/file", 1);
	assert_int_equal(call(RPC_SET_ATTRIBUTE, &(struct gfs_set_attribute){.path = "/attr",
									     .owner = "bob",
									     .group = "staff",
									     .mode = 0700,
									     .has_mode = true,
									     .recursive = true,
									     .common = fresh()}),
			 0);
	assert_int_equal(status_of("/attr/file", false, &reply), 0);
	assert_string_equal(reply.info.owner, "bob");
	assert_string_equal(reply.info.group, "staff");
	assert_int_equal(reply.info.mode, 0700);
	rpc_release(&reply);
}

static void a_mutation_sent_again_is_answered_again(void **state)
{
	struct gfs_common op = fresh(), again = fresh();
	struct gfs_remove remove = {.path = "/replayed", .common = fresh()};
	int64_t first = 0, second = 0;

	(void)state;
	assert_int_equal(create_as("/replayed", op, &first), 0);
	assert_int_equal(create_as("/replayed", op, &second), 0);
	assert_int_equal(first, second);
	assert_int_equal(create_as("/replayed", again, &second), RPC_ALREADY_EXISTS);
	assert_int_equal(call(RPC_REMOVE, &remove), 0);
	assert_int_equal(call(RPC_REMOVE, &remove), 0);
	assert_int_equal(create_as("/replayed", again, &second), RPC_ALREADY_EXISTS); /* its outcome, not a new try */
}

/* ---- blocks ----------------------------------------------------------------------------------------------------- */

static void a_cancel_is_never_a_commit(void **state)
{
	int64_t file = create("/cancelled");
	struct gfs_block_ids ids;
	int64_t all[50];

	(void)state;
	for (int i = 0; i < 50; i++) {
		struct rpc_stream *stream = block_begin(worker, block_of(file, i), 0, i % 2 ? CHUNK : 10);

		all[i] = block_of(file, i);
		rpc_stream_cancel(stream);
		rpc_stream_free(stream);
	}
	/* Every one of them may still be on its way: each is settled when the same block can be written and committed.
	 */
	for (int i = 0; i < 50; i++) {
		struct gfs_check_blocks_reply reply;

		ids = (struct gfs_block_ids){.ids = all, .n = 50};
		assert_int_equal(rpc_unary(worker, RPC_CHECK_BLOCKS, &ids, &reply, &said), 0);
		for (size_t k = 0; k < reply.n; k++)
			assert_true(reply.cached[k].bytes == 20); /* not a cancelled one */
		rpc_release(&reply);
		assert_int_equal(put_block(worker, all[i], 0, 20), 0);
	}
}

static void a_committed_block_is_read_only_and_final(void **state)
{
	int64_t id = block_of(create("/final"), 0);
	struct rpc_stream *stream;
	struct stat st;

	(void)state;
	assert_int_equal(put_block(worker, id, 0, 100), 0);
	assert_true(block_file(1, id, &st));
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(st.st_size, 100);
	assert_int_equal(rpc_stream_open(worker, RPC_WRITE_BLOCK,
					 &(struct gfs_write_command){.id = id, .space_to_reserve = BLOCK}, &stream),
			 0);
	assert_int_equal(block_end(stream), RPC_ALREADY_EXISTS);
}

static void reads_stay_inside_the_block(void **state)
{
	int64_t id = block_of(put_file("/inside", 1000), 0);

	(void)state;
	assert_int_equal(get_block(worker, id, 990, 10, 990), 10);
	assert_int_equal(get_block(worker, id, 990, 11, 990), -1);
	assert_int_equal(said.code, RPC_OUT_OF_RANGE);
	assert_int_equal(get_block(worker, id + 5, 0, 1, 0), -1);
	assert_int_equal(said.code, RPC_INTERNAL);
	assert_non_null(strstr(said.message, "Failed to read block ID="));
}

static void more_than_reserved_is_refused(void **state)
{
	struct gfs_write_command first = {.id = block_of(create("/reserved"), 0), .space_to_reserve = 100};
	struct rpc_stream *stream;
	char data[101] = {0};

	(void)state;
	assert_int_equal(rpc_stream_open(worker, RPC_WRITE_BLOCK, &first, &stream), 0);
	rpc_stream_send_chunk(stream, data, sizeof(data), PATIENT, &said);
	assert_int_equal(block_end(stream), RPC_RESOURCE_EXHAUSTED);
}

static void a_removed_file_gives_its_space_back(void **state)
{
	int64_t id = block_of(put_file("/gone", 1000), 0);
	struct stat st;

	(void)state;
	assert_true(block_file(1, id, &st));
	assert_int_equal(erase("/gone", false), 0);
	assert_false(block_file(1, id, &st));
}

static void a_block_whose_file_is_gone_is_not_committed(void **state)
{
	int64_t id = block_of(create("/leaving"), 0);
	struct rpc_stream *stream = block_begin(worker, id, 0, 100);
	struct stat st;

	(void)state;
	assert_int_equal(erase("/leaving", false), 0);
	assert_int_equal(block_end(stream), RPC_NOT_FOUND);
	assert_false(block_file(1, id, &st));
}

static void remove_blocks_leaves_the_file(void **state)
{
	int64_t id = create("/unblocked"), block = block_of(id, 0);
	struct gfs_block_ids ids = {.ids = &block, .n = 1};
	struct stat st;

	(void)state;
	assert_int_equal(put_block(worker, block, 0, 10), 0);
	assert_int_equal(call(RPC_REMOVE_BLOCKS, &ids), 0);
	assert_int_equal(call(RPC_REMOVE_BLOCKS, &ids), 0);
	assert_false(block_file(1, block, &st));
	assert_true(exists("/unblocked"));
	assert_int_equal(put_block(worker, block, 0, 12), 0); /* free to be written again */
}

static void a_local_block_stays_while_it_is_open(void **state)
{
	int64_t id = block_of(put_file("/local", 1000), 0);
	struct gfs_local_block reply;
	struct rpc_stream *stream;
	struct stat st;

	(void)state;
	assert_int_equal(rpc_stream_open(worker, RPC_OPEN_LOCAL_BLOCK,
					 &(struct gfs_open_local){.block_id = id, .block_size = 1000}, &stream),
			 0);
	assert_int_equal(rpc_stream_recv(stream, PATIENT, NULL, &reply, &said), 1);
	assert_true(reply.has_block_size);
	assert_int_equal(reply.block_size, 1000);
	assert_int_equal(erase("/local", false), 0);
	assert_int_equal(stat(reply.path, &st), 0);
	rpc_release(&reply);
	assert_int_equal(block_end(stream), 0);
	assert_false(block_file(1, id, &st));
	assert_int_equal(
		rpc_stream_open(worker, RPC_OPEN_LOCAL_BLOCK, &(struct gfs_open_local){.block_id = id}, &stream), 0);
	assert_int_equal(block_end(stream), RPC_NOT_FOUND);
}

static void replicas_are_told(void **state)
{
	struct rpc_channel *other = connect_to(server.worker[1]);
	int64_t file = create("/replicated"), id = block_of(file, 0);
	struct gfs_file_reply reply;

	(void)state;
	assert_int_equal(put_block(worker, id, 0, 10), 0);
	assert_int_equal(put_block(other, id, 0, 10), 0);
	assert_int_equal(complete("/replicated", file, 10), 0);
	assert_int_equal(status_of("/replicated", false, &reply), 0);
	assert_int_equal(reply.info.nblocks, 1);
	assert_int_equal(reply.info.blocks[0].nlocations, 2);
	assert_int_equal(reply.info.blocks[0].locations[0].worker_id, 1);
	assert_int_equal(reply.info.blocks[0].locations[1].worker_id, 2);
	rpc_release(&reply);
	rpc_channel_put(other);
}

static void workers_differ_and_have_room(void **state)
{
	struct gfs_worker_list list;
	struct gfs_bytes capacity, used;

	(void)state;
	assert_int_equal(rpc_unary(master, RPC_GET_WORKERS, &(struct gfs_empty){0}, &list, &said), 0);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.workers[0].host, "127.0.0.1");
	assert_string_equal(list.workers[1].host, "localhost");
	assert_true(list.workers[0].id == 1 && list.workers[1].id == 2);
	assert_true(list.workers[0].capacity_bytes >= 149130808);
	rpc_release(&list);
	assert_int_equal(rpc_unary(master, RPC_GET_CAPACITY, &(struct gfs_empty){0}, &capacity, &said), 0);
	assert_int_equal(rpc_unary(master, RPC_GET_USED, &(struct gfs_empty){0}, &used, &said), 0);
	assert_true(capacity.bytes > used.bytes && used.bytes > 0);
	rpc_release(&capacity);
	rpc_release(&used);
}

/* ---- the process ------------------------------------------------------------------------------------------------ */

static void a_restart_keeps_everything(void **state)
{
	struct gfs_common op = fresh();
	int64_t first, second;

	(void)state;
	put_file("/kept", BLOCK + 5);
	assert_int_equal(create_as("/kept too", op, &first), 0);
	assert_int_equal(fixture_stop(&server), 0);
	restart();
	check_file("/kept", BLOCK + 5);
	assert_int_equal(create_as("/kept too", op, &second), 0); /* outcomes too */
	assert_int_equal(first, second);
}

static void a_kill_loses_nothing_acknowledged(void **state)
{
	struct rpc_stream *unfinished;
	char path[32], tmp[128];
	int64_t id;

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof(path), "/killed%d", i);
		put_file(path, 100 * i);
	}
	id = create("/half");
	assert_int_equal(put_block(worker, block_of(id, 0), 0, BLOCK), 0);
	unfinished = block_begin(worker, block_of(id, 1), BLOCK, CHUNK);
	fixture_kill(&server);
	rpc_stream_free(unfinished);
	restart();
	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof(path), "/killed%d", i);
		check_file(path, 100 * i);
	}
	/* The writer goes on where it was: its first block is kept, the second was never committed. */
	assert_int_equal(put_block(worker, block_of(id, 1), BLOCK, CHUNK), 0);
	assert_int_equal(complete("/half", id, BLOCK + CHUNK), 0);
	check_file("/half", BLOCK + CHUNK);
	snprintf(tmp, sizeof(tmp), "%s/blocks/1/tmp", server.root);
	assert_int_equal(rmdir(tmp), 0); /* nothing in it */
	assert_int_equal(mkdir(tmp, 0755), 0);
}

static void an_id_is_never_given_twice(void **state)
{
	int64_t first = create("/id");

	(void)state;
	assert_int_equal(erase("/id", false), 0);
	fixture_kill(&server);
	restart();
	assert_true(create("/id") > first);
}

/* The exit status of a server on this root, and what it said. */
static int try_server(const char *root, const char *option, char *text, size_t size)
{
	int out[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 2);
		close(out[0]);
		close(out[1]);
		execl(fixture_program(), "slipstream", "server", "--root", root, option, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while (n < size - 1 && (got = read(out[0], text + n, size - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = 0;
	close(out[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_second_server_is_refused(void **state)
{
	char text[1024], pid[32];

	(void)state;
	snprintf(pid, sizeof(pid), "%d", (int)server.pid);
	assert_int_equal(try_server(server.root, NULL, text, sizeof(text)), 1);
	assert_non_null(strstr(text, server.root));
	assert_non_null(strstr(text, pid));
}

static void mistakes_are_named(void **state)
{
	char text[1024], root[128], path[160], port[32];
	FILE *file;

	(void)state;
	assert_int_equal(try_server(server.root, "--no-such-option", text, sizeof(text)), 2);
	assert_non_null(strstr(text, "--no-such-option"));
	assert_int_equal(try_server("/proc/no-such-root", NULL, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "/proc/no-such-root"));
	snprintf(root, sizeof(root), "%s/corrupt", server.dir);
	snprintf(path, sizeof(path), "%s/meta.db", root);
	assert_int_equal(mkdir(root, 0755), 0);
	file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("this is not a database\n", file);
	fclose(file);
	assert_int_equal(try_server(root, NULL, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "not a database"));
	snprintf(root, sizeof(root), "%s/busy", server.dir);
	snprintf(port, sizeof(port), "--port=%s", strchr(server.master, ':') + 1);
	assert_int_equal(try_server(root, port, text, sizeof(text)), 1);
	assert_non_null(strstr(text, port + 7));
}

static void it_goes_when_its_starter_does(void **state)
{
	char path[128];
	int status;

	(void)state;
	snprintf(path, sizeof(path), "%s/address", server.root);
	assert_int_equal(access(path, R_OK), 0);
	close(server.alive_fd);
	server.alive_fd = -1;
	status = fixture_reap(&server);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_int_not_equal(access(path, R_OK), 0);
	restart();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_of_several_blocks_comes_back),
		TEST(a_flush_answers_with_the_bytes_so_far),
		TEST(status_says_what_was_asked_for),
		TEST(complete_finds_a_renamed_file_by_its_id),
		TEST(without_a_length_committed_blocks_count),
		TEST(bad_files_are_refused),
		TEST(rename_never_replaces),
		TEST(a_renamed_directory_carries_its_tree),
		TEST(a_directory_that_is_not_empty_stays),
		TEST(directories_are_made_as_asked),
		TEST(a_listing_comes_in_batches),
		TEST(a_link_is_followed_only_on_request),
		TEST(attributes_change),
		TEST(a_mutation_sent_again_is_answered_again),
		TEST(a_cancel_is_never_a_commit),
		TEST(a_committed_block_is_read_only_and_final),
		TEST(reads_stay_inside_the_block),
		TEST(more_than_reserved_is_refused),
		TEST(a_removed_file_gives_its_space_back),
		TEST(a_block_whose_file_is_gone_is_not_committed),
		TEST(remove_blocks_leaves_the_file),
		TEST(a_local_block_stays_while_it_is_open),
		TEST(replicas_are_told),
		TEST(workers_differ_and_have_room),
		TEST(a_restart_keeps_everything),
		TEST(a_kill_loses_nothing_acknowledged),
		TEST(an_id_is_never_given_twice),
		TEST(a_second_server_is_refused),
		TEST(mistakes_are_named),
		TEST(it_goes_when_its_starter_does),
	};

	return cmocka_run_group_tests_name("server", tests, set_up_server, tear_down_server);
}
