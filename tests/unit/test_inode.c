/* test_inode.c: names, attributes and lives of staged files, and what is believed of the server's. */
#include "tests/unit/unit.h"
#include "client/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct keeper *k;
static char dir[64];

static int start(void **state)
{
	const char *const settings[] = {"mounts=/t=goosefs://x:1/", NULL};

	(void)state;
	strcpy(dir, "/dev/shm/slipstream-inode-XXXXXX");
	assert_non_null(mkdtemp(dir));
	k = calloc(1, sizeof *k);
	lock_init(&k->lock, LOCK_INODE);
	publisher_init(&k->publisher);
	strcpy(k->dir, dir);
	k->dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	k->ttl_ms = 60000;
	strcpy(k->user, "me");
	k->uid = 1234;
	k->gid = 5678;
	assert_int_equal(slip_client_new(settings, &k->client), 0);
	assert_int_equal(records_open(k->dir_fd, &k->records), 0);
	assert_int_equal(stage_open(k->dir_fd, "/dev/shm", &k->stage), 0);
	return 0;
}

static int stop(void **state)
{
	struct inode *in, *next;

	(void)state;
	lock_take(&k->lock);
	HASH_ITER(by_stage, k->inodes.by_stage, in, next)
	{
		in->refs = 0;
		in->state = INODE_CLEAN;
		inode_reclaim(k, in);
	}
	metas_free(k);
	lock_drop(&k->lock);
	stage_remove_all(k->stage, k->dir_fd);
	stage_close(k->stage);
	records_close(k->records);
	unlinkat(k->dir_fd, "records", 0);
	close(k->dir_fd);
	slip_client_free(k->client);
	free(k);
	rmdir(dir);
	return 0;
}

static struct inode *make(const char *path, uint64_t id)
{
	struct session_attr attr = {.ino = id, .mode = 0640, .uid = 1, .gid = 2};
	struct inode *in;

	assert_int_equal(inode_new(k, path, 0, &attr, id, &in), 0);
	lock_take(&k->lock);
	inode_link(k, in);
	inode_put(k, in);
	lock_drop(&k->lock);
	return in;
}

static void is_found_by_its_name(void **state)
{
	struct inode *a = make("/t/a", 1), *b;

	(void)state;
	lock_take(&k->lock);
	assert_ptr_equal(inode_find(k, "/t/a"), a);
	assert_null(inode_find(k, "/t/b"));
	inode_rename(k, a, "/t/b");
	assert_ptr_equal(inode_find(k, "/t/b"), a);
	assert_null(inode_find(k, "/t/a"));
	assert_string_equal(record_at(k->records, a->record)->path, "/t/b");
	assert_true(inode_any_below(k, "/t"));
	assert_false(inode_any_below(k, "/t/b"));
	lock_drop(&k->lock);
	b = make("/t/b", 2); /* over it */
	assert_ptr_equal(inode_find(k, "/t/b"), b);
	assert_int_equal(records_live(k->records), 1); /* nobody had the first one open */
}

static void lives_as_long_as_somebody_has_it_open(void **state)
{
	struct inode *a = make("/t/a", 1);
	int fd = fd_reopen(a->fd, O_RDONLY), record = a->record;

	(void)state;
	lock_take(&k->lock);
	inode_unlink(k, a, true);
	assert_int_equal(atomic_load(&record_at(k->records, record)->deleted), 1);
	assert_int_equal(records_live(k->records), 1);
	assert_false(inode_reclaim(k, a));
	close(fd);
	assert_true(inode_reclaim(k, a));
	assert_int_equal(records_live(k->records), 0);
	lock_drop(&k->lock);
}

static void what_is_not_published_stays(void **state)
{
	struct inode *a = make("/t/a", 1);

	(void)state;
	lock_take(&k->lock);
	a->state = INODE_DIRTY;
	assert_true(inodes_unpublished(k));
	assert_false(inode_reclaim(k, a));
	inodes_trim(k, true);
	assert_ptr_equal(inode_find(k, "/t/a"), a);
	a->state = INODE_CLEAN;
	assert_false(inodes_unpublished(k));
	inodes_trim(k, true);
	assert_null(inode_find(k, "/t/a"));
	lock_drop(&k->lock);
}

static void attributes_are_the_staging_files(void **state)
{
	struct inode *a = make("/t/a", 77);
	struct session_attr attr;
	int fd = fd_reopen(a->fd, O_WRONLY);

	(void)state;
	assert_int_equal(write(fd, "12345", 5), 5);
	close(fd);
	lock_take(&k->lock);
	inode_attr(a, &attr);
	lock_drop(&k->lock);
	assert_int_equal(attr.size, 5);
	assert_int_equal(attr.ino, 77);
	assert_int_equal(attr.mode, S_IFREG | 0640);
	assert_int_equal(attr.uid, 1);
	assert_true(attr.dev == mount_dev(0));
}

static void believes_the_server_for_a_while(void **state)
{
	struct slip_stat st = {.type = SLIP_FILE, .id = 5, .size = 10}, got;
	uint64_t changes;

	(void)state;
	lock_take(&k->lock);
	changes = k->metas.changes;
	assert_int_equal(meta_get(k, "/t/x", &got), -EAGAIN);
	meta_put(k, "/t/x", 0, &st, changes);
	meta_put(k, "/t/none", -ENOENT, NULL, changes);
	assert_int_equal(meta_get(k, "/t/x", &got), 0);
	assert_int_equal(got.size, 10);
	assert_int_equal(meta_get(k, "/t/none", &got), -ENOENT);
	meta_drop(k, "/t/x");
	assert_int_equal(meta_get(k, "/t/x", &got), -EAGAIN);
	/* an answer to a question from before the change */
	meta_put(k, "/t/x", 0, &st, changes);
	assert_int_equal(meta_get(k, "/t/x", &got), -EAGAIN);
	changes = k->metas.changes;
	meta_put(k, "/t/d/x", 0, &st, changes);
	meta_put(k, "/t/dd", 0, &st, changes);
	meta_drop_below(k, "/t/d");
	assert_int_equal(meta_get(k, "/t/d/x", &got), -EAGAIN);
	assert_int_equal(meta_get(k, "/t/dd", &got), 0);
	k->ttl_ms = 0;
	meta_put(k, "/t/y", 0, &st, k->metas.changes);
	assert_int_equal(meta_get(k, "/t/y", &got), -EAGAIN);
	lock_drop(&k->lock);
}

static void holds_what_the_server_cannot(void **state)
{
	struct slip_stat st = {.type = SLIP_FILE, .id = 5, .size = 10, .mode = 0755, .owner = "me", .group = "12"};
	struct session_attr attr;

	(void)state;
	lock_take(&k->lock);
	held_put(k, 0, 5, &(struct held_value){.set = HELD_INO, .ino = 3});
	held_put(k, 0, 5, &(struct held_value){.set = HELD_MODE | HELD_MTIME, .mode = 04000, .mtime_ns = 42});
	attr_of_stat(k, 0, &st, &attr);
	assert_int_equal(attr.ino, 3);
	assert_int_equal(attr.mode, S_IFREG | 04755);
	assert_int_equal(attr.mtime_ns, 42);
	assert_int_equal(attr.uid, 1234);
	assert_int_equal(attr.gid, 12);
	strcpy(st.owner, "no-such-user-here");
	attr_of_stat(k, 1, &st, &attr); /* another mount's */
	assert_int_equal(attr.ino, inode_number(5));
	assert_int_equal(attr.uid, 65534);
	lock_drop(&k->lock);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(is_found_by_its_name),
		T(lives_as_long_as_somebody_has_it_open),
		T(what_is_not_published_stays),
		T(attributes_are_the_staging_files),
		T(believes_the_server_for_a_while),
		T(holds_what_the_server_cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
