/* test_block_map.c: which bytes of a file lie in which block (spec goosefs 7.1, 7.3, 12.1, 17.5). */
#include "client/goosefs/file.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#define MIB (1LL << 20)

static struct backend_layout *make(const struct gfs_file_info *info)
{
	struct backend_layout *layout;

	assert_int_equal(layout_new(info, &layout), 0);
	return layout;
}

static void expect(const struct backend_layout *layout, int64_t off, int64_t n, int64_t id, int64_t index,
		   int64_t in_block, int64_t length)
{
	struct segment s;

	assert_true(layout_segment(layout, off, n, &s));
	assert_true(s.block_id == id);
	assert_true(s.index == index);
	assert_true(s.offset == in_block);
	assert_true(s.n == length);
}

static void reads_are_cut_at_blocks(void **state)
{
	static const int64_t ids[] = {100, 200, 300};
	struct gfs_file_info info = {
		.file_id = 33554431, .length = 192 * MIB, .block_size = 64 * MIB, .block_ids = ids, .nblock_ids = 3};
	struct backend_layout *layout = make(&info);
	struct segment s;

	(void)state;
	expect(layout, 70 * MIB, 100 * MIB, 200, 1, 6 * MIB, 58 * MIB);
	expect(layout, 128 * MIB, 42 * MIB, 300, 2, 0, 42 * MIB);
	assert_false(layout_segment(layout, 192 * MIB, 1, &s));
	assert_false(layout_segment(layout, 0, 0, &s));
	assert_false(layout_segment(layout, -1, 1, &s));
	expect(layout, 192 * MIB - 1, INT64_MAX, 300, 2, 64 * MIB - 1, 1);
	layout_put(layout);
}

static void what_the_blocks_say_comes_first(void **state)
{
	static const int64_t ids[] = {100, 200};
	static const struct gfs_location where[] = {{.worker_id = 7}, {.worker_id = 9}};
	static const struct gfs_block blocks[] = {
		{.id = 0, .offset = 10, .length = 10},
		{.id = 555, .offset = 0, .length = 10, .locations = where, .nlocations = 2},
	};
	struct gfs_file_info info = {.file_id = 33554431,
				     .length = 25,
				     .block_size = 10,
				     .block_ids = ids,
				     .nblock_ids = 2,
				     .blocks = blocks,
				     .nblocks = 2};
	struct backend_layout *layout = make(&info);

	(void)state;
	expect(layout, 0, 100, 555, 0, 0, 10);
	expect(layout, 12, 100, 200, 1, 2, 8);      /* an id of 0 is none */
	expect(layout, 20, 100, 16777218, 2, 0, 5); /* computed */
	assert_int_equal(layout_block(layout, 0)->nworkers, 2);
	assert_int_equal(layout_block(layout, 0)->workers[1], 9);
	assert_null(layout_block(layout, 2));
	assert_null(layout_block(layout, INT64_MAX));
	layout_put(layout);
}

static void absurd_files(void **state)
{
	struct gfs_file_info info = {.file_id = 33554431, .length = INT64_MAX, .block_size = 1};
	struct backend_layout *layout = make(&info);

	(void)state;
	expect(layout, INT64_MAX - 1, 100, -1, INT64_MAX - 1, 0, 1);
	layout_put(layout);
	info.length = -1;
	assert_int_equal(layout_new(&info, &layout), -EPROTO);
	info = (struct gfs_file_info){.file_id = 33554431, .length = 100};
	layout = make(&info);
	assert_true(layout->block_size == 64 * MIB);
	layout_put(layout);
}

static void ufs_options_name_the_real_length(void **state)
{
	struct gfs_file_info info = {
		.file_id = 33554431, .length = 25, .block_size = 10, .ufs_path = "cosn://b/f", .mount_id = 3};
	struct backend_layout *layout = make(&info);
	struct gfs_ufs_options ufs = layout_ufs(layout, 2);

	(void)state;
	assert_true(ufs.present);
	assert_string_equal(ufs.ufs_path, "cosn://b/f");
	assert_true(ufs.offset_in_file == 20 && ufs.block_size == 5 && ufs.file_length == 25);
	assert_int_equal(ufs.max_concurrency, 8);
	assert_true(ufs.no_cache);
	assert_true(layout_ufs(layout, 0).block_size == 10);
	layout_put(layout);
	info.ufs_path = "";
	layout = make(&info);
	assert_false(layout_ufs(layout, 0).present);
	layout_put(layout);
}

static void attributes(void **state)
{
	struct gfs_file_info info = {.file_id = 5,
				     .length = 7,
				     .block_size = 10,
				     .completed = true,
				     .mode = 0100644,
				     .owner = "alice",
				     .modification_ms = 12};
	struct slip_stat st;

	(void)state;
	file_stat(&info, &st);
	assert_int_equal(st.type, SLIP_FILE);
	assert_int_equal(st.mode, 0644);
	assert_int_equal(st.size, 7);
	assert_int_equal(st.atime_ms, 12);
	assert_true(st.complete);
	assert_string_equal(st.owner, "alice");
	assert_string_equal(st.group, "");
	info.folder = true;
	file_stat(&info, &st);
	assert_int_equal(st.type, SLIP_DIRECTORY);
	assert_int_equal(st.size, 0);
	info.folder = false;
	info.symlink = "/target";
	file_stat(&info, &st);
	assert_int_equal(st.type, SLIP_SYMLINK);
	assert_int_equal(st.size, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_are_cut_at_blocks),
		cmocka_unit_test(what_the_blocks_say_comes_first),
		cmocka_unit_test(absurd_files),
		cmocka_unit_test(ufs_options_name_the_real_length),
		cmocka_unit_test(attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
