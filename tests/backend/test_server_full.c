/*
 * test_server_full.c: the embedded server on a disk that is full indeed: a file system of 8 MiB, in a namespace of this
 * program's own. Where that is not allowed nothing is tested.
 */
#include "tests/backend/raw.h"

#include <sched.h>
#include <sys/mount.h>

static char disk[32];
static int files, names; /* how many went in */

static bool tell(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	return file && fputs(text, file) >= 0 && !fclose(file);
}

/* We stay who we are. A group that is not mapped could make nothing. */
static bool map_ourselves(uid_t uid, gid_t gid)
{
	char users[64], groups[64];

	snprintf(users, sizeof(users), "%u %u 1", uid, uid);
	snprintf(groups, sizeof(groups), "%u %u 1", gid, gid);
	return tell("/proc/self/uid_map", users) && tell("/proc/self/setgroups", "deny") &&
	       tell("/proc/self/gid_map", groups);
}

/* False where it is not allowed. */
static bool small_disk(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS))
		return false;
	if (uid && !map_ourselves(uid, gid))
		return false;
	snprintf(disk, sizeof(disk), "/tmp/slipstream-full-XXXXXX");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(disk))
		return false;
	if (!mount("small", disk, "tmpfs", 0, "size=8m"))
		return true;
	rmdir(disk);
	return false;
}

/* As much as goes in: the number of files of one block, with the status that ended it. */
static int fill(int *code)
{
	char path[32];
	int64_t id = 0;

	for (int i = 0;; i++) {
		snprintf(path, sizeof(path), "/fill%d", i);
		*code = create_as(path, fresh(), &id);
		if (!*code)
			*code = put_block(worker, block_of(id, 0), 0, BLOCK);
		if (!*code)
			*code = complete(path, id, BLOCK);
		if (*code)
			return i;
	}
}

/* Create until metadata do not fit either. */
static int fill_metadata(int *code)
{
	char path[300];
	int64_t id = 0;

	for (int i = 0; i < 20000; i++) {
		snprintf(path, sizeof(path), "/%0200d", i);
		*code = create_as(path, fresh(), &id);
		if (*code)
			return i;
	}
	return -1;
}

static void check_filled(int files)
{
	char path[32];

	for (int i = 0; i < files; i++) {
		snprintf(path, sizeof(path), "/fill%d", i);
		check_file(path, BLOCK);
	}
}

/* ---- tests, each on what the one before left behind ---------------------------------------------------------------- */

static void blocks_end_with_a_status_and_leave_nothing(void **state)
{
	int code = 0;

	(void)state;
	files = fill(&code);
	assert_true(files > 8);
	assert_int_equal(code, RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(work_files(), 0);
	check_filled(files);
}

static void so_do_streams_to_the_under_file_system(void **state)
{
	static char data[BLOCK];

	(void)state;
	assert_int_equal(put_ufs("/full", data, sizeof(data)), RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(work_files(), 0);
}

static void metadata_end_with_a_status(void **state)
{
	int code = 0;

	(void)state;
	names = fill_metadata(&code);
	assert_true(names >= 0);
	assert_int_equal(code, RPC_RESOURCE_EXHAUSTED);
}

static void a_kill_loses_nothing_acknowledged(void **state)
{
	char path[300];

	(void)state;
	fixture_kill(&server);
	restart();
	check_filled(files);
	for (int i = 0; i < names; i++) {
		snprintf(path, sizeof(path), "/%0200d", i);
		assert_true(exists(path));
	}
}

static void space_comes_back_by_removing(void **state)
{
	(void)state;
	assert_int_equal(erase("/fill0", false), 0);
	assert_int_equal(erase("/fill1", false), 0);
	put_file("/after", BLOCK);
	check_file("/after", BLOCK);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(server.dir, sizeof(server.dir), "%s/d", disk);
	snprintf(server.root, sizeof(server.root), "%s/root", server.dir);
	assert_int_equal(mkdir(server.dir, 0755), 0);
	fixture_restart(&server);
	connect_all();
	return 0;
}

static int tear_down(void **state)
{
	tear_down_server(state);
	umount2(disk, MNT_DETACH);
	rmdir(disk);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blocks_end_with_a_status_and_leave_nothing),
		TEST(so_do_streams_to_the_under_file_system),
		TEST(metadata_end_with_a_status),
		TEST(a_kill_loses_nothing_acknowledged),
		TEST(space_comes_back_by_removing),
	};

	return small_disk() ? cmocka_run_group_tests_name("server_full", tests, set_up, tear_down) : 0;
}
