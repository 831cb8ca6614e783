/*
 * test_server_ufs.c: the embedded server's under file system: what is written through is there, what is there is found,
 * and nothing outside it is reached.
 */
#define SERVER_OPTION "--persist-delay=200"
#include "tests/backend/raw.h"

/* ---- below the server ------------------------------------------------------------------------------------------- */

static const char *below(const char *path)
{
	static char full[512];

	snprintf(full, sizeof(full), "%s/ufs%s", server.root, path);
	return full;
}

static const char *uri(const char *path)
{
	static char full[512];

	snprintf(full, sizeof(full), "file://%s/ufs%s", server.root, path);
	return full;
}

/* Bytes of a file there, all of them the pattern; -1: there is none. */
static int64_t bytes_below(const char *path)
{
	FILE *file = fopen(below(path), "r");
	int64_t n = 0;
	int c;

	if (!file)
		return -1;
	for (; (c = fgetc(file)) != EOF; n++)
		assert_int_equal((char)c, pattern(n));
	fclose(file);
	return n;
}

static void put_below(const char *path, int64_t bytes)
{
	FILE *file = fopen(below(path), "w");

	assert_non_null(file);
	for (int64_t i = 0; i < bytes; i++)
		fputc(pattern(i), file);
	assert_int_equal(fclose(file), 0);
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

struct told {
	int64_t id, length;
	size_t nblocks, nlocations; /* of the first block */
	bool completed, persisted;
	char state[32], ufs_path[512];
};

static void tell(const struct gfs_file_info *info, struct told *told)
{
	*told = (struct told){
		.id = info->file_id,
		.length = info->length,
		.nblocks = info->nblocks,
		.nlocations = info->nblocks ? info->blocks[0].nlocations : 0,
		.completed = info->completed,
		.persisted = info->persisted,
	};
	snprintf(told->state, sizeof(told->state), "%s", info->persistence_state);
	snprintf(told->ufs_path, sizeof(told->ufs_path), "%s", info->ufs_path);
}

static int load(const char *path, int load_type, struct told *told)
{
	struct gfs_get_status request = {
		.path = path, .load_type = load_type, .has_load_type = true, .common = {.sync_interval_ms = -1}};
	struct gfs_file_reply reply;
	int rc = rpc_unary(master, RPC_GET_STATUS, &request, &reply, &said);

	if (rc)
		return said.code;
	tell(&reply.info, told);
	rpc_release(&reply);
	return 0;
}

static struct told look(const char *path)
{
	struct told told;

	assert_int_equal(load(path, GFS_LOAD_NEVER, &told), 0);
	return told;
}

static struct told create_typed(const char *path, int write_type)
{
	struct gfs_create_file request = {
		.path = path, .block_size = BLOCK, .write_type = write_type, .common = fresh()};
	struct gfs_file_reply reply;
	struct told told;

	assert_int_equal(rpc_unary(master, RPC_CREATE_FILE, &request, &reply, &said), 0);
	tell(&reply.info, &told);
	rpc_release(&reply);
	return told;
}

static struct rpc_stream *ufs_open(const char *ufs_path)
{
	struct gfs_write_command first = {
		.type = GFS_UFS_FILE,
		.id = -1,
		.space_to_reserve = INT64_MAX,
		.ufs = {.present = true, .ufs_path = ufs_path, .owner = "alice", .group = "alice", .mode = 0644},
	};
	struct rpc_stream *stream;

	assert_int_equal(rpc_stream_open(worker, RPC_WRITE_BLOCK, &first, &stream), 0);
	return stream;
}

static void put_through(const char *ufs_path, int64_t bytes)
{
	struct rpc_stream *stream = ufs_open(ufs_path);

	send_pattern(stream, 0, bytes);
	assert_int_equal(flush(stream), bytes);
	assert_int_equal(block_end(stream), 0);
}

static struct told put_typed(const char *path, int write_type, int64_t bytes)
{
	struct told told = create_typed(path, write_type);

	put_through(told.ufs_path, bytes);
	assert_int_equal(complete(path, told.id, bytes), 0);
	return look(path);
}

static int64_t get_through(int64_t id, int64_t from, int64_t length, struct gfs_ufs_options ufs)
{
	struct gfs_read_request first = {
		.block_id = id, .offset = from, .length = length, .chunk_size = CHUNK, .ufs = ufs};

	first.ufs.present = true;
	return get(worker, &first, ufs.offset_in_file + from);
}

static bool cached(int64_t block)
{
	struct gfs_block_ids ids = {.ids = &block, .n = 1};
	struct gfs_check_blocks_reply reply;
	bool found;

	assert_int_equal(rpc_unary(worker, RPC_CHECK_BLOCKS, &ids, &reply, &said), 0);
	found = reply.n && reply.cached[0].bytes > 0;
	rpc_release(&reply);
	return found;
}

static int remove_as(const char *path, bool recursive, bool unchecked, bool goosefs_only)
{
	return call(RPC_REMOVE, &(struct gfs_remove){.path = path,
						     .recursive = recursive,
						     .unchecked = unchecked,
						     .goosefs_only = goosefs_only,
						     .common = fresh()});
}

/* Wait until the server has persisted it, or for what it should not do: until it could have. */
static bool becomes_persisted(const char *path, int patience_ms)
{
	for (int i = 0; i < patience_ms / 10; i++) {
		struct told told = look(path);

		if (told.persisted) {
			assert_string_equal(told.state, "PERSISTED");
			return true;
		}
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	return false;
}

/* ---- written through -------------------------------------------------------------------------------------------- */

static void a_cache_through_file_is_in_both(void **state)
{
	struct rpc_stream *stream;
	struct told told;

	(void)state;
	assert_int_equal(make_dir("/both"), 0); /* in the cache alone: the stream must make them below */
	assert_int_equal(make_dir("/both/deep"), 0);
	told = create_typed("/both/deep/file", GFS_CACHE_THROUGH);
	assert_string_equal(told.ufs_path, uri("/both/deep/file"));
	assert_false(told.persisted);
	stream = ufs_open(told.ufs_path);
	assert_int_equal(flush(stream), 0); /* also with nothing written */
	send_pattern(stream, 0, BLOCK);
	assert_int_equal(put_block(worker, block_of(told.id, 0), 0, BLOCK), 0);
	send_pattern(stream, BLOCK, BLOCK + 100);
	assert_int_equal(flush(stream), BLOCK + 100);
	assert_int_equal(bytes_below("/both/deep/file"), -1); /* whole or not at all */
	assert_int_equal(block_end(stream), 0);
	assert_int_equal(put_block(worker, block_of(told.id, 1), BLOCK, 100), 0);
	assert_int_equal(complete("/both/deep/file", told.id, BLOCK + 100), 0);
	told = look("/both/deep/file");
	assert_true(told.completed && told.persisted);
	assert_string_equal(told.state, "PERSISTED");
	assert_int_equal(bytes_below("/both/deep/file"), BLOCK + 100);
	check_file("/both/deep/file", BLOCK + 100);
	assert_int_equal(work_files(), 0);
}

static void a_directory_made_through_is_in_both(void **state)
{
	struct gfs_create_directory request = {.path = "/made/through/", .recursive = true, .common = fresh()};
	struct stat st;

	(void)state;
	assert_int_equal(call(RPC_CREATE_DIRECTORY, &request), 0);
	assert_false(look("/made/through").persisted);
	assert_int_not_equal(stat(below("/made/through"), &st), 0);
	request.common = fresh();
	request.allow_exists = true;
	request.write_type = GFS_CACHE_THROUGH;
	assert_int_equal(call(RPC_CREATE_DIRECTORY, &request), 0);
	assert_true(look("/made/through").persisted && look("/made").persisted);
	assert_int_equal(stat(below("/made/through"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(remove_as("/made", true, true, false), 0);
}

static void a_through_file_is_read_from_below_and_kept(void **state)
{
	struct told told = put_typed("/through", GFS_THROUGH, BLOCK + 1000);
	struct gfs_ufs_options where = {.ufs_path = told.ufs_path,
					.offset_in_file = BLOCK,
					.block_size = 1000,
					.max_concurrency = 8,
					.file_length = BLOCK + 1000};
	int64_t tail = block_of(told.id, 1);

	(void)state;
	assert_true(told.persisted);
	assert_int_equal(told.nblocks, 2);
	assert_int_equal(told.nlocations, 0);
	assert_int_equal(get_block(worker, tail, 0, 1000, BLOCK), -1); /* without the options: unknown */
	assert_int_equal(said.code, RPC_INTERNAL);
	where.no_cache = true;
	assert_int_equal(get_through(tail, 0, 1000, where), 1000);
	assert_false(cached(tail));
	where.no_cache = false;
	where.max_concurrency = 0;
	assert_int_equal(get_through(tail, 10, 100, where), 100);
	assert_true(cached(tail)); /* all of it */
	assert_int_equal(get_block(worker, tail, 0, 1000, BLOCK), 1000);
	assert_int_equal(get_through(tail, 0, 1001, where), -1);
	assert_int_equal(said.code, RPC_OUT_OF_RANGE);
	where = (struct gfs_ufs_options){.ufs_path = told.ufs_path, .block_size = BLOCK, .file_length = BLOCK + 1000};
	assert_int_equal(get_through(block_of(told.id, 0), 0, BLOCK, where), BLOCK);
	assert_int_equal(look("/through").nlocations, 1);
}

static void a_stream_without_chunks_makes_an_empty_file(void **state)
{
	struct told told;

	(void)state;
	told = put_typed("/empty", GFS_CACHE_THROUGH, 0);
	assert_true(told.persisted);
	assert_int_equal(told.length, 0);
	assert_int_equal(bytes_below("/empty"), 0);
}

static void a_cancelled_stream_leaves_nothing(void **state)
{
	struct told told = create_typed("/aborted", GFS_CACHE_THROUGH);
	struct rpc_stream *stream = ufs_open(told.ufs_path);

	(void)state;
	send_pattern(stream, 0, CHUNK);
	assert_int_equal(flush(stream), CHUNK);
	rpc_stream_cancel(stream);
	rpc_stream_free(stream);
	for (int i = 0; work_files() && i < 500; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_int_equal(work_files(), 0);
	assert_int_equal(bytes_below("/aborted"), -1);
	assert_int_equal(erase("/aborted", false), 0);
}

static void a_file_renamed_while_it_is_written_is_below_where_it_went(void **state)
{
	struct told told = create_typed("/moving", GFS_THROUGH);
	struct rpc_stream *stream = ufs_open(told.ufs_path);

	(void)state;
	send_pattern(stream, 0, 100);
	assert_int_equal(flush(stream), 100); /* by now it knows which file it writes */
	assert_int_equal(make_dir("/moved to"), 0);
	assert_int_equal(move("/moving", "/moved to/here"), 0);
	assert_int_equal(block_end(stream), 0);
	assert_int_equal(complete("/moving", told.id, 100), 0);
	assert_true(look("/moved to/here").persisted);
	assert_int_equal(bytes_below("/moved to/here"), 100);
	assert_int_equal(bytes_below("/moving"), -1);
}

static void a_file_removed_while_it_is_written_stays_gone(void **state)
{
	struct told told = create_typed("/going", GFS_THROUGH);
	struct rpc_stream *stream = ufs_open(told.ufs_path);

	(void)state;
	assert_int_equal(flush(stream), 0); /* by now it knows which file it writes */
	assert_int_equal(erase("/going", false), 0);
	assert_int_equal(block_end(stream), RPC_NOT_FOUND);
	assert_int_equal(bytes_below("/going"), -1);
}

static void a_complete_file_is_not_written_again(void **state)
{
	struct told told = put_typed("/once", GFS_THROUGH, 100);

	(void)state;
	assert_int_equal(block_end(ufs_open(told.ufs_path)), RPC_FAILED_PRECONDITION);
	assert_int_equal(bytes_below("/once"), 100);
}

/* A file completed as its client says, which never wrote it: no lie about it. */
static void what_was_never_written_is_not_persisted(void **state)
{
	struct told told = create_typed("/unwritten", GFS_THROUGH);

	(void)state;
	assert_int_equal(complete("/unwritten", told.id, 5000), 0);
	told = look("/unwritten");
	assert_true(told.completed && !told.persisted);
	assert_int_equal(told.nblocks, 1);
}

/* ---- found below ------------------------------------------------------------------------------------------------ */

static int count_entries(void *context, const void *message)
{
	*(int *)context += (int)((const struct gfs_list_reply *)message)->ninfos;
	return 0;
}

/* How many entries; -status. */
static int list(const char *path, int load_type)
{
	struct gfs_get_status request = {
		.path = path, .load_type = load_type, .has_load_type = true, .common = {.sync_interval_ms = -1}};
	int n = 0;

	return rpc_collect(master, RPC_LIST_STATUS, &request, count_entries, &n, &said) ? -said.code : n;
}

static void a_file_below_is_found_by_who_asks(void **state)
{
	struct told told;

	(void)state;
	assert_int_equal(mkdir(below("/found"), 0755), 0);
	assert_int_equal(mkdir(below("/found/deep"), 0755), 0);
	put_below("/found/deep/file", 1234);
	assert_int_equal(load("/found/deep/file", GFS_LOAD_NEVER, &told), RPC_NOT_FOUND);
	assert_non_null(strstr(said.message, "does not exist."));
	assert_int_equal(list("/found/deep", GFS_LOAD_NEVER), -RPC_NOT_FOUND);
	assert_int_equal(load("/found/deep/file", GFS_LOAD_ONCE, &told), 0);
	assert_true(told.completed && told.persisted && told.id > 0);
	assert_int_equal(told.length, 1234);
	assert_string_equal(told.ufs_path, uri("/found/deep/file"));
	assert_int_equal(told.nblocks, 1);
	assert_int_equal(get_through(block_of(told.id, 0), 0, 1234,
				     (struct gfs_ufs_options){.ufs_path = told.ufs_path, .block_size = 1234}),
			 1234);
	assert_int_equal(look("/found/deep/file").id, told.id);
}

static void a_directory_below_is_listed_once_loaded(void **state)
{
	char path[64];

	(void)state;
	assert_int_equal(mkdir(below("/many"), 0755), 0);
	for (int i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), "/many/f%d", i);
		put_below(path, i % 3);
	}
	assert_int_equal(symlink("/etc/hostname", below("/many/out")), 0);
	assert_int_equal(symlink("f1", below("/many/in")), 0);
	assert_int_equal(mkfifo(below("/many/fifo"), 0600), 0);
	assert_int_equal(list("/many", GFS_LOAD_ONCE), 601); /* with /many/in, which leads to a file of ours */
	put_below("/many/late", 1);
	assert_int_equal(list("/many", GFS_LOAD_ONCE), 601);
	assert_int_equal(list("/many", GFS_LOAD_NEVER), 601);
	assert_int_equal(list("/many", GFS_LOAD_ALWAYS), 602);
}

static void a_file_that_changes_below_is_noticed_by_who_always_asks(void **state)
{
	struct told before, after;
	struct gfs_ufs_options where = {.ufs_path = NULL, .block_size = 1000};

	(void)state;
	put_below("/changing", 1000);
	assert_int_equal(load("/changing", GFS_LOAD_ONCE, &before), 0);
	where.ufs_path = before.ufs_path;
	assert_int_equal(get_through(block_of(before.id, 0), 0, 1000, where), 1000);
	assert_true(cached(block_of(before.id, 0)));
	put_below("/changing", 2000);
	assert_int_equal(load("/changing", GFS_LOAD_ONCE, &after), 0);
	assert_int_equal(after.length, 1000);
	assert_int_equal(load("/changing", GFS_LOAD_ALWAYS, &after), 0);
	assert_int_equal(after.length, 2000);
	assert_int_equal(after.id, before.id);
	assert_false(cached(block_of(before.id, 0)));
	/* What is gone below stays: what is cached may be all that is left. */
	assert_int_equal(unlink(below("/changing")), 0);
	assert_int_equal(load("/changing", GFS_LOAD_ALWAYS, &after), 0);
}

static void a_name_below_is_taken(void **state)
{
	struct gfs_create_file request = {.path = "/taken", .block_size = BLOCK, .common = fresh()};
	struct gfs_file_reply reply;
	int64_t id;

	(void)state;
	put_below("/taken", 10);
	assert_int_not_equal(rpc_unary(master, RPC_CREATE_FILE, &request, &reply, &said), 0);
	assert_int_equal(said.code, RPC_ALREADY_EXISTS);
	assert_int_equal(make_dir("/taken"), RPC_ALREADY_EXISTS);
	create("/not taken");
	assert_int_equal(move("/not taken", "/taken"), RPC_ALREADY_EXISTS);
	assert_int_equal(mkdir(below("/parent"), 0755), 0);
	assert_int_equal(create_as("/parent/file", fresh(), &id), 0); /* its parent is there alone */
}

/* ---- nothing outside -------------------------------------------------------------------------------------------- */

static void paths_that_lead_out_are_refused(void **state)
{
	struct told told = put_typed("/honest", GFS_THROUGH, 100);
	int64_t block = block_of(told.id, 0);
	char outside[256], path[512];
	const char *hostile[] = {"/etc/hostname", "file:///etc/hostname", "", "/", "file://", "relative", NULL};

	(void)state;
	snprintf(outside, sizeof(outside), "%s/secret", server.dir);
	assert_int_equal(mkdir(outside, 0755), 0);
	assert_int_equal(symlink(outside, below("/escape")), 0);
	snprintf(path, sizeof(path), "%s/file", outside);
	assert_int_equal(symlink(path, below("/escape file")), 0);
	fclose(fopen(path, "w"));
	for (int i = 0; hostile[i]; i++) {
		struct gfs_ufs_options where = {.ufs_path = hostile[i], .block_size = 100};

		assert_int_equal(get_through(block, 0, 1, where), -1);
		assert_int_equal(said.code, RPC_INTERNAL);
		assert_int_equal(block_end(ufs_open(hostile[i])), RPC_INVALID_ARGUMENT);
	}
	hostile[0] = "/../../secret/file", hostile[1] = "/a/../../secret/file", hostile[2] = "/escape/file";
	hostile[3] = "/escape file", hostile[4] = "/.slipstream/x", hostile[5] = "/./honest";
	for (int i = 0; hostile[i]; i++) {
		struct gfs_ufs_options where = {.ufs_path = uri(hostile[i]), .block_size = 100};

		assert_int_equal(get_through(block, 0, 1, where), -1);
		assert_int_equal(said.code, RPC_INTERNAL);
	}
	assert_int_equal(block_end(ufs_open(uri("/../../secret/new"))), RPC_INVALID_ARGUMENT);
	assert_int_equal(block_end(ufs_open(uri("/escape/new"))), RPC_NOT_FOUND);
	snprintf(path, sizeof(path), "%s/new", outside);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(load("/escape", GFS_LOAD_ALWAYS, &told), RPC_NOT_FOUND);
	assert_int_equal(load("/escape/file", GFS_LOAD_ALWAYS, &told), RPC_NOT_FOUND);
	assert_int_equal(load("/.slipstream", GFS_LOAD_ALWAYS, &told), RPC_NOT_FOUND);
	/* A link in the place of a file: the link is replaced, not what it leads to. */
	put_through(uri("/escape file"), 10);
	assert_int_equal(bytes_below("/escape file"), 10);
	snprintf(path, sizeof(path), "%s/file", outside);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(bytes_below("/escape file"), 10);
}

static void one_files_blocks_are_not_anothers(void **state)
{
	struct told victim = put_typed("/victim", GFS_THROUGH, 100), other = put_typed("/other", GFS_THROUGH, 100);
	struct gfs_ufs_options where = {.ufs_path = other.ufs_path, .block_size = 100};

	(void)state;
	assert_int_equal(get_through(block_of(victim.id, 0), 0, 100, where), 100); /* what it asked for, */
	assert_false(cached(block_of(victim.id, 0)));                              /* but nobody else gets it */
	where = (struct gfs_ufs_options){.ufs_path = victim.ufs_path, .offset_in_file = 50, .block_size = 50};
	assert_int_equal(get_through(block_of(victim.id, 0), 0, 50, where), 50);
	assert_false(cached(block_of(victim.id, 0)));
}

/* ---- removed and renamed ---------------------------------------------------------------------------------------- */

static void a_removal_takes_the_copy_along_unless_told_not_to(void **state)
{
	struct told told;

	(void)state;
	put_typed("/half gone", GFS_CACHE_THROUGH, 500);
	assert_int_equal(remove_as("/half gone", false, true, true), 0);
	assert_int_equal(load("/half gone", GFS_LOAD_NEVER, &told), RPC_NOT_FOUND);
	assert_int_equal(bytes_below("/half gone"), 500);
	assert_int_equal(load("/half gone", GFS_LOAD_ALWAYS, &told), 0);
	assert_true(told.completed && told.persisted);
	assert_int_equal(told.length, 500);
	assert_int_equal(remove_as("/half gone", false, true, false), 0);
	assert_int_equal(bytes_below("/half gone"), -1);
	assert_int_equal(load("/half gone", GFS_LOAD_ALWAYS, &told), RPC_NOT_FOUND);
}

static void a_directory_is_not_removed_over_what_nobody_has_seen(void **state)
{
	(void)state;
	assert_int_equal(make_dir("/dir"), 0);
	put_typed("/dir/seen", GFS_THROUGH, 5);
	put_below("/dir/unseen", 7);
	assert_int_equal(remove_as("/dir", true, false, false), RPC_FAILED_PRECONDITION);
	assert_int_equal(remove_as("/dir/seen", false, true, false), 0);
	assert_int_equal(remove_as("/dir", false, true, false), RPC_FAILED_PRECONDITION);
	assert_non_null(strstr(said.message, "is not empty"));
	assert_int_equal(bytes_below("/dir/unseen"), 7);
	assert_int_equal(list("/dir", GFS_LOAD_ONCE), 1);
	assert_int_equal(remove_as("/dir", true, false, false), 0);
	assert_int_not_equal(access(below("/dir"), F_OK), 0);
	assert_int_equal(make_dir("/unchecked"), 0);
	put_typed("/unchecked/seen", GFS_THROUGH, 5);
	put_below("/unchecked/unseen", 7);
	assert_int_equal(remove_as("/unchecked", true, true, false), 0);
	assert_int_not_equal(access(below("/unchecked"), F_OK), 0);
	assert_int_equal(work_files(), 0);
}

static void a_rename_takes_the_copy_along(void **state)
{
	(void)state;
	put_typed("/old", GFS_CACHE_THROUGH, 300);
	assert_int_equal(make_dir("/tree"), 0);
	assert_int_equal(make_dir("/tree/new"), 0);
	assert_int_equal(move("/old", "/tree/new/name"), 0);
	assert_int_equal(bytes_below("/old"), -1);
	assert_int_equal(bytes_below("/tree/new/name"), 300);
	assert_string_equal(look("/tree/new/name").ufs_path, uri("/tree/new/name"));
	assert_int_equal(move("/tree", "/forest"), 0);
	assert_int_equal(bytes_below("/forest/new/name"), 300);
	assert_true(look("/forest/new/name").persisted);
	put_below("/only below", 20);
	assert_int_equal(move("/only below", "/forest/came"), 0);
	assert_int_equal(bytes_below("/forest/came"), 20);
}

static void what_is_in_the_cache_alone_leaves_no_trace_below(void **state)
{
	(void)state;
	assert_int_equal(make_dir("/cache"), 0);
	put_file("/cache/file", 100);
	assert_int_equal(move("/cache/file", "/cache/moved"), 0);
	assert_string_equal(look("/cache/moved").ufs_path, "");
	assert_string_equal(look("/cache/moved").state, "NOT_PERSISTED");
	assert_int_not_equal(access(below("/cache"), F_OK), 0);
	assert_int_equal(erase("/cache", true), 0);
}

/* ---- persisted later -------------------------------------------------------------------------------------------- */

static int complete_async(const char *path, int64_t id, int64_t length, int64_t wait_ms)
{
	return call(RPC_COMPLETE_FILE, &(struct gfs_complete_file){.path = path,
								   .inode_id = id,
								   .ufs_length = length,
								   .has_ufs_length = true,
								   .async_persist = true,
								   .persistence_wait_ms = wait_ms,
								   .common = fresh()});
}

static void an_async_file_is_persisted_after_its_time(void **state)
{
	struct told told = create_typed("/async", GFS_ASYNC_THROUGH);

	(void)state;
	assert_string_equal(told.ufs_path, uri("/async"));
	assert_int_equal(put_block(worker, block_of(told.id, 0), 0, BLOCK), 0);
	assert_int_equal(put_block(worker, block_of(told.id, 1), BLOCK, 10), 0);
	assert_int_equal(complete_async("/async", told.id, BLOCK + 10, 0), 0);
	told = look("/async");
	assert_string_equal(told.state, "TO_BE_PERSISTED");
	assert_false(told.persisted);
	assert_int_equal(bytes_below("/async"), -1);
	assert_int_equal(move("/async", "/async moved"), 0);
	assert_true(becomes_persisted("/async moved", 10000));
	assert_int_equal(bytes_below("/async moved"), BLOCK + 10);
	assert_int_equal(bytes_below("/async"), -1);
	assert_int_equal(work_files(), 0);
}

static void an_async_file_that_waits_for_ever_waits(void **state)
{
	struct told told = create_typed("/never", GFS_ASYNC_THROUGH);

	(void)state;
	assert_int_equal(complete_async("/never", told.id, 0, -1), 0);
	assert_string_equal(look("/never").state, "NOT_PERSISTED");
	assert_false(becomes_persisted("/never", 400));
	assert_int_equal(bytes_below("/never"), -1);
}

static void an_aborted_async_file_leaves_nothing(void **state)
{
	struct told told = create_typed("/aborted async", GFS_ASYNC_THROUGH);
	int64_t block = block_of(told.id, 0);

	(void)state;
	assert_int_equal(put_block(worker, block, 0, 100), 0);
	assert_int_equal(call(RPC_REMOVE_BLOCKS, &(struct gfs_block_ids){.ids = &block, .n = 1}), 0);
	assert_int_equal(remove_as("/aborted async", false, true, false), 0);
	assert_int_equal(bytes_below("/aborted async"), -1);
	assert_int_equal(load("/aborted async", GFS_LOAD_ALWAYS, &told), RPC_NOT_FOUND);
}

static void a_kill_does_not_forget_what_is_due(void **state)
{
	struct told told;
	char path[32];

	(void)state;
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/due%d", i);
		told = create_typed(path, GFS_ASYNC_THROUGH);
		assert_int_equal(put_block(worker, block_of(told.id, 0), 0, 100), 0);
		assert_int_equal(complete_async(path, told.id, 100, i * 60), 0);
	}
	fixture_kill(&server);
	restart();
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/due%d", i);
		assert_true(becomes_persisted(path, 10000));
		assert_int_equal(bytes_below(path), 100);
	}
}

static void a_file_that_fell_back_is_persisted_at_once(void **state)
{
	struct told told = create_typed("/fell back", GFS_ASYNC_THROUGH);
	struct gfs_complete_file done = {.path = "/fell back",
					 .inode_id = told.id,
					 .ufs_length = 700,
					 .has_ufs_length = true,
					 .force_persisted = true,
					 .common = fresh()};

	(void)state;
	put_through(told.ufs_path, 700);
	assert_int_equal(call(RPC_COMPLETE_FILE, &done), 0);
	told = look("/fell back");
	assert_true(told.persisted);
	assert_int_equal(
		get_through(block_of(told.id, 0), 0, 700,
			    (struct gfs_ufs_options){.ufs_path = told.ufs_path, .block_size = 700, .file_length = 700}),
		700);
}

static void a_file_is_persisted_on_request(void **state)
{
	struct gfs_schedule_persist request = {.path = "/wanted"};

	(void)state;
	put_file("/wanted", 50);
	assert_int_equal(call(RPC_SCHEDULE_PERSIST, &request), 0);
	assert_string_equal(look("/wanted").state, "TO_BE_PERSISTED");
	assert_true(becomes_persisted("/wanted", 10000));
	assert_int_equal(bytes_below("/wanted"), 50);
	request.path = "/absent";
	assert_int_equal(call(RPC_SCHEDULE_PERSIST, &request), RPC_NOT_FOUND);
	create("/incomplete");
	request.path = "/incomplete";
	assert_int_equal(call(RPC_SCHEDULE_PERSIST, &request), RPC_FAILED_PRECONDITION);
	assert_non_null(strstr(said.message, "is incomplete"));
	assert_int_equal(make_dir("/a dir"), 0);
	request.path = "/a dir";
	assert_int_equal(call(RPC_SCHEDULE_PERSIST, &request), RPC_FAILED_PRECONDITION);
	assert_non_null(strstr(said.message, "Is a directory"));
}

static void a_rename_persists_if_it_says_so(void **state)
{
	(void)state;
	assert_int_equal(make_dir("/draft"), 0);
	put_file("/draft/one", 10);
	put_file("/draft/two", 20);
	assert_int_equal(
		call(RPC_RENAME,
		     &(struct gfs_rename){.path = "/draft", .to = "/published", .persist = true, .common = fresh()}),
		0);
	assert_true(becomes_persisted("/published/one", 10000));
	assert_true(becomes_persisted("/published/two", 10000));
	assert_int_equal(bytes_below("/published/two"), 20);
}

/* ---- spec goosefs 10.4 ------------------------------------------------------------------------------------------ */

static void a_lost_completion_is_mended_by_importing_the_copy(void **state)
{
	struct told told = create_typed("/mended", GFS_CACHE_THROUGH);
	struct gfs_get_status ask = {.path = "/mended", .load_type = GFS_LOAD_ALWAYS, .has_load_type = true};
	struct gfs_file_reply reply;

	(void)state;
	put_through(told.ufs_path, 90);
	assert_int_equal(put_block(worker, block_of(told.id, 0), 0, 90), 0);
	fixture_fault(&server, "master-status=13@1\n");
	assert_int_equal(complete("/mended", told.id, 90), RPC_INTERNAL);
	assert_int_equal(remove_as("/mended", false, true, true), 0);
	assert_int_equal(rpc_unary(master, RPC_GET_STATUS, &ask, &reply, &said), 0);
	assert_true(reply.info.completed && reply.info.persisted);
	assert_int_equal(reply.info.length, 90);
	rpc_release(&reply);
	fixture_fault(&server, "");
}

/* ---- other mounts ----------------------------------------------------------------------------------------------- */

static void without_an_under_file_system_what_needs_it_is_refused(void **state)
{
	struct fixture with = server;
	struct gfs_create_file request = {
		.path = "/refused", .block_size = BLOCK, .write_type = GFS_CACHE_THROUGH, .common = fresh()};
	struct gfs_file_reply reply;
	int64_t id;

	(void)state;
	hang_up();
	fixture_start(&server, "--ufs=none", NULL);
	connect_all();
	assert_int_not_equal(rpc_unary(master, RPC_CREATE_FILE, &request, &reply, &said), 0);
	assert_int_equal(said.code, RPC_INVALID_ARGUMENT);
	assert_non_null(strstr(said.message, "under file system"));
	assert_int_equal(block_end(ufs_open("/x")), RPC_UNIMPLEMENTED);
	id = put_file("/plain", 10);
	assert_string_equal(look("/plain").ufs_path, "");
	assert_int_equal(call(RPC_SCHEDULE_PERSIST, &(struct gfs_schedule_persist){.path = "/plain"}),
			 RPC_FAILED_PRECONDITION);
	assert_int_equal(complete_async("/plain", id, 10, 0), RPC_INVALID_ARGUMENT);
	hang_up();
	fixture_release(&server);
	server = with;
	connect_all();
}

static void another_directory_may_be_mounted(void **state)
{
	struct fixture with = server;
	char other[256], option[300];
	struct told told;

	(void)state;
	hang_up();
	snprintf(other, sizeof(other), "%s/elsewhere", with.dir);
	assert_int_equal(mkdir(other, 0755), 0);
	snprintf(option, sizeof(option), "%s/file", other);
	fclose(fopen(option, "w"));
	snprintf(option, sizeof(option), "--ufs=%s", other);
	fixture_start(&server, option, NULL);
	connect_all();
	assert_int_equal(load("/file", GFS_LOAD_ONCE, &told), 0);
	snprintf(option, sizeof(option), "file://%s/file", other);
	assert_string_equal(told.ufs_path, option);
	hang_up();
	fixture_release(&server);
	server = with;
	connect_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cache_through_file_is_in_both),
		TEST(a_directory_made_through_is_in_both),
		TEST(a_through_file_is_read_from_below_and_kept),
		TEST(a_stream_without_chunks_makes_an_empty_file),
		TEST(a_cancelled_stream_leaves_nothing),
		TEST(a_file_renamed_while_it_is_written_is_below_where_it_went),
		TEST(a_file_removed_while_it_is_written_stays_gone),
		TEST(a_complete_file_is_not_written_again),
		TEST(what_was_never_written_is_not_persisted),
		TEST(a_file_below_is_found_by_who_asks),
		TEST(a_directory_below_is_listed_once_loaded),
		TEST(a_file_that_changes_below_is_noticed_by_who_always_asks),
		TEST(a_name_below_is_taken),
		TEST(paths_that_lead_out_are_refused),
		TEST(one_files_blocks_are_not_anothers),
		TEST(a_removal_takes_the_copy_along_unless_told_not_to),
		TEST(a_directory_is_not_removed_over_what_nobody_has_seen),
		TEST(a_rename_takes_the_copy_along),
		TEST(what_is_in_the_cache_alone_leaves_no_trace_below),
		TEST(an_async_file_is_persisted_after_its_time),
		TEST(an_async_file_that_waits_for_ever_waits),
		TEST(an_aborted_async_file_leaves_nothing),
		TEST(a_kill_does_not_forget_what_is_due),
		TEST(a_file_that_fell_back_is_persisted_at_once),
		TEST(a_file_is_persisted_on_request),
		TEST(a_rename_persists_if_it_says_so),
		TEST(a_lost_completion_is_mended_by_importing_the_copy),
		TEST(without_an_under_file_system_what_needs_it_is_refused),
		TEST(another_directory_may_be_mounted),
	};

	return cmocka_run_group_tests_name("server_ufs", tests, set_up_server, tear_down_server);
}
