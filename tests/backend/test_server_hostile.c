/*
 * test_server_hostile.c: the embedded server and a client that means ill: calls in any order, of values that are hardly ever
 * what a client means. Whatever it answers, it answers, and goes on; what others have is what it was, and nothing is made
 * outside of its root.
 */
#include "tests/backend/raw.h"
#include "tests/unit/chance.h"

#include <dirent.h>

enum { CALLS = 3000, LONG = 5000 };

/* ---- values ----------------------------------------------------------------------------------------------------- */

static int64_t number(void)
{
	static const int64_t numbers[] = {INT64_MIN,
					  INT64_MAX,
					  -1,
					  0,
					  1,
					  2,
					  BLOCK,
					  INT32_MAX,
					  (int64_t)INT32_MAX + 1,
					  1LL << 24,
					  (1LL << 24) - 1,
					  (2LL << 24) - 1,
					  2LL << 24,
					  3LL << 24,
					  1LL << 40};

	return numbers[chance(sizeof numbers / sizeof *numbers)];
}

static bool flag(void)
{
	return chance(2);
}

static char long_name[LONG], deep[LONG];

static const char *text(void)
{
	static const char *const texts[] = {
		"",
		"/",
		"//",
		"/a",
		"/a/",
		"/a/b",
		"/b",
		"/a/../b",
		"/..",
		"/../../etc",
		"..",
		".",
		"/.",
		"a",
		"/a\n",
		"/a\xff",
		"/.slipstream",
		"/%n%s",
		"file:///etc/passwd",
		"file://",
		"nobody",
		"root",
		long_name,
		deep,
	};

	return texts[chance(sizeof texts / sizeof *texts)];
}

static struct gfs_common common(void)
{
	struct gfs_common common = fresh();

	if (flag())
		common.op = (struct gfs_op_id){number(), number()};
	common.sync_interval_ms = number();
	common.absent = chance(8) == 0;
	return common;
}

static struct gfs_file_location location(const int64_t *workers)
{
	return (struct gfs_file_location){number(), number(), number(), workers, chance(3)};
}

static struct gfs_ufs_options ufs_options(void)
{
	return (struct gfs_ufs_options){.present = flag(),
					.ufs_path = text(),
					.offset_in_file = number(),
					.block_size = number(),
					.mount_id = number(),
					.file_length = number(),
					.max_concurrency = (int)number(),
					.no_cache = flag()};
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static int ignore(void *context, const void *reply)
{
	(void)context, (void)reply;
	return 0;
}

static void names_call(void)
{
	int64_t ids[3] = {number(), number(), number()};
	struct gfs_file_location where = location(ids);
	struct gfs_metric metric = {text(), text(), text(), (double)number(), (int)number()};
	const struct {
		enum rpc_id id;
		const void *request;
	} rows[] = {
		{RPC_GET_STATUS, &(struct gfs_get_status){.path = text(),
							  .load_type = (int)number(),
							  .has_load_type = flag(),
							  .common = common(),
							  .resolve_link = flag()}},
		{RPC_CREATE_FILE, &(struct gfs_create_file){.path = text(),
							    .block_size = number(),
							    .recursive = flag(),
							    .mode = (int)number(),
							    .has_mode = flag(),
							    .write_type = (int)number(),
							    .persistence_wait_ms = number(),
							    .has_persistence_wait = flag(),
							    .common = common()}},
		{RPC_COMPLETE_FILE, &(struct gfs_complete_file){.path = text(),
								.inode_id = number(),
								.ufs_length = number(),
								.has_ufs_length = flag(),
								.async_persist = flag(),
								.persistence_wait_ms = number(),
								.crc_type = (int)number(),
								.crc_value = number(),
								.has_crc = flag(),
								.locations = &where,
								.nlocations = chance(2),
								.force_persisted = flag(),
								.common = common()}},
		{RPC_COMMIT_LOCATION, &(struct gfs_commit_location){.path = text(),
								    .inode_id = number(),
								    .block_id = number(),
								    .locations = &where,
								    .nlocations = chance(2)}},
		{RPC_REMOVE_BLOCKS, &(struct gfs_block_ids){.ids = ids, .n = chance(4)}},
		{RPC_REMOVE, &(struct gfs_remove){.path = text(),
						  .recursive = flag(),
						  .goosefs_only = flag(),
						  .unchecked = flag(),
						  .common = common()}},
		{RPC_RENAME, &(struct gfs_rename){.path = text(), .to = text(), .persist = flag(), .common = common()}},
		{RPC_CREATE_DIRECTORY, &(struct gfs_create_directory){.path = text(),
								      .recursive = flag(),
								      .allow_exists = flag(),
								      .mode = (int)number(),
								      .has_mode = flag(),
								      .write_type = (int)number(),
								      .common = common()}},
		{RPC_SET_ATTRIBUTE, &(struct gfs_set_attribute){.path = text(),
								.owner = text(),
								.group = text(),
								.mode = (int)number(),
								.has_mode = flag(),
								.recursive = flag(),
								.common = common()}},
		{RPC_CREATE_SYMLINK, &(struct gfs_create_symlink){.link = text(),
								  .target = text(),
								  .mode = (int)number(),
								  .has_mode = flag(),
								  .common = common()}},
		{RPC_GET_LINK_TARGET, &(struct gfs_get_link_target){.link = text()}},
		{RPC_SCHEDULE_PERSIST,
		 &(struct gfs_schedule_persist){
			 .path = text(), .wait_ms = number(), .has_wait = flag(), .common = common()}},
		{RPC_METRICS_HEARTBEAT, &(struct gfs_metrics_heartbeat){.metrics = &metric, .n = chance(2)}},
	};
	size_t i = chance(sizeof rows / sizeof *rows);
	union {
		void *backing;
		struct gfs_file_reply file;
		struct gfs_link_target target;
	} reply;

	if (!rpc_unary(master, rows[i].id, rows[i].request, &reply, &said))
		rpc_release(&reply);
}

static void list_call(void)
{
	rpc_collect(master, RPC_LIST_STATUS,
		    &(struct gfs_get_status){
			    .path = text(), .load_type = (int)number(), .has_load_type = flag(), .common = common()},
		    ignore, NULL, &said);
}

static void check_call(void)
{
	int64_t ids[3] = {number(), number(), number()};
	struct gfs_check_blocks_reply reply;

	if (!rpc_unary(worker, RPC_CHECK_BLOCKS, &(struct gfs_block_ids){.ids = ids, .n = chance(4)}, &reply, &said))
		rpc_release(&reply);
}

/* Opened, talked to, and left in one of three ways. */
static void stream_call(void)
{
	static const char chunk[CHUNK];
	struct gfs_read_request read = {.block_id = number(),
					.offset = number(),
					.length = number(),
					.chunk_size = number(),
					.position_short = flag(),
					.prefetch_window = (int)number(),
					.ufs = ufs_options()};
	struct gfs_write_command write = {.flush = chance(8) == 0,
					  .type = (int)chance(4),
					  .id = number(),
					  .offset = number(),
					  .space_to_reserve = number(),
					  .async_write = flag(),
					  .ufs = {flag(), text(), text(), text(), (int)number(), number()}};
	struct gfs_open_local local = {.block_id = number(), .block_size = number()};
	const void *const first[] = {&read, &write, &local};
	static const enum rpc_id ids[] = {RPC_READ_BLOCK, RPC_WRITE_BLOCK, RPC_OPEN_LOCAL_BLOCK};
	size_t kind = chance(3);
	struct rpc_stream *stream;

	assert_int_equal(rpc_stream_open(worker, ids[kind], first[kind], &stream), 0);
	if (kind == 0)
		rpc_stream_ack(stream, number());
	for (size_t n = kind == 1 ? chance(4) : 0; n; n--)
		if (flag() ? rpc_stream_send(stream, &write, PATIENT, &said)
			   : rpc_stream_send_chunk(stream, chunk, chance(sizeof chunk + 1), PATIENT, &said))
			break;
	if (flag() && !rpc_stream_half_close(stream, PATIENT))
		rpc_stream_drain(stream, PATIENT, &said);
	rpc_stream_free(stream);
}

/* ---- the belief ------------------------------------------------------------------------------------------------- */

static unsigned entries(const char *directory)
{
	DIR *dir = opendir(directory);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void it_goes_on(void **state)
{
	struct gfs_file_reply reply;

	(void)state;
	memset(long_name, 'n', sizeof long_name - 1);
	*long_name = '/';
	for (int i = 0; i + 1 < LONG; i++)
		deep[i] = i % 2 ? 'd' : '/';
	for (int i = 0; i < CALLS; i++) {
		switch (chance(8)) {
		case 0:
			list_call();
			break;
		case 1:
			check_call();
			break;
		case 2:
		case 3:
			stream_call();
			break;
		default:
			names_call();
		}
		assert_int_equal(status_of("/", false, &reply), 0);
		rpc_release(&reply);
	}
	put_file("/after all", 2 * BLOCK + 10);
	check_file("/after all", 2 * BLOCK + 10);
	assert_int_equal(entries(server.dir), 3); /* ".", "..", the root */
	assert_int_equal(fixture_stop(&server), 0);
	restart();
	check_file("/after all", 2 * BLOCK + 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_goes_on),
	};

	return cmocka_run_group_tests_name("server_hostile", tests, set_up_server, tear_down_server);
}
