/* test_records.c: the record table as its readers, in other processes, see it. */
#include "tests/unit/unit.h"
#include "client/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char dir[64];
static int dir_fd;
static struct records *records;
static struct session_records *view; /* a reader's */

static int start(void **state)
{
	char name[80];
	int fd;

	(void)state;
	strcpy(dir, "/dev/shm/slipstream-records-XXXXXX");
	assert_non_null(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(records_open(dir_fd, &records), 0);
	snprintf(name, sizeof name, "%s/records", dir);
	fd = open(name, O_RDWR);
	view = mmap(NULL, sizeof *view, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	records_close(records);
	munmap(view, sizeof *view);
	unlinkat(dir_fd, "records", 0);
	close(dir_fd);
	rmdir(dir);
	return 0;
}

static int add(ino_t ino, const char *path)
{
	struct record_identity identity = {SESSION_STAGED, 7, ino, 0};
	struct session_attr attr = {.ino = ino, .size = 3};
	struct record_private private = {.file_id = ino, .place = 9, .flags = RECORD_DIRTY};

	return record_new(records, &identity, &attr, path, &private);
}

/* As a program's shim looks. */
static int look(ino_t ino)
{
	uint32_t at = session_hash(7, ino), entry;

	for (uint32_t n = 0; n < SESSION_BUCKETS; n++, at = (at + 1) & (SESSION_BUCKETS - 1)) {
		entry = atomic_load(&view->bucket[at]);
		if (!entry)
			return -1;
		if (view->record[entry - 1].kernel_ino == ino && view->record[entry - 1].kernel_dev == 7 &&
		    atomic_load(&view->record[entry - 1].kind))
			return (int)entry - 1;
	}
	return -1;
}

static unsigned used_buckets(void)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < SESSION_BUCKETS; i++)
		n += view->bucket[i] != 0;
	return n;
}

static void finds_what_is_there(void **state)
{
	int a = add(100, "/t/a"), b = add(101, "/t/b");

	(void)state;
	assert_int_equal(look(100), a);
	assert_int_equal(look(101), b);
	assert_int_equal(record_find(records, 7, 101), b);
	assert_int_equal(records_live(records), 2);
	assert_string_equal(view->record[a].path, "/t/a");
	record_set_path(records, a, "/t/c");
	assert_string_equal(view->record[a].path, "/t/c");
	assert_int_equal(view->record[a].seq & 1, 0);
	record_free(records, a);
	record_free(records, a); /* twice does nothing */
	assert_int_equal(look(100), -1);
	assert_int_equal(record_find(records, 7, 100), -ENOENT);
	assert_int_equal(look(101), b);
	assert_int_equal(records_live(records), 1);
}

static void survives_churn(void **state)
{
	static int index[SESSION_RECORDS];
	static ino_t inos[SESSION_RECORDS];
	ino_t next = 1;

	(void)state;
	for (int i = 0; i < 2000; i++)
		index[i] = add(inos[i] = next++, "/t");
	srand(1);
	for (int round = 0; round < 100000; round++) {
		int i = rand() % 2000;

		record_free(records, index[i]);
		index[i] = add(inos[i] = next++, "/t");
		assert_true(index[i] >= 0);
	}
	for (int i = 0; i < 2000; i++)
		assert_int_equal(look(inos[i]), index[i]);
	assert_int_equal(look(next + 5), -1);
	assert_true(used_buckets() < 2 * 2000); /* stale ones are taken or emptied */
	for (int i = 0; i < 2000; i++)
		record_free(records, index[i]);
	assert_int_equal(records_live(records), 0);
}

static void is_full_at_its_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SESSION_RECORDS; i++)
		assert_true(add(i + 1, "/t") >= 0);
	assert_int_equal(add(99999, "/t"), -ENFILE);
	record_free(records, 5);
	assert_int_equal(add(99999, "/t"), 5);
}

static void reuses_late(void **state)
{
	int a = add(1, "/t");

	(void)state;
	record_free(records, a);
	assert_int_not_equal(add(2, "/t"), a);
}

/* What is never used takes no memory, and a long session does not use all of them. */
static void stays_small(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * SESSION_RECORDS; i++)
		record_free(records, add(i + 1, "/t"));
	assert_true(view->used < SESSION_RECORDS / 2);
	assert_int_equal(records_high(records), view->used);
}

static void is_taken_up_again(void **state)
{
	struct record_private private;
	int a = add(100, "/t/a"), b = add(101, "/t/b");

	(void)state;
	record_free(records, b);
	atomic_fetch_or(&view->record[a].seq, 1); /* killed while writing it */
	records_close(records);
	assert_int_equal(records_open(dir_fd, &records), 0);
	assert_int_equal(records_live(records), 1);
	assert_int_equal(record_find(records, 7, 100), a);
	assert_int_equal(view->record[a].seq & 1, 0);
	private = record_private(records, a);
	assert_int_equal(private.file_id, 100);
	assert_int_equal(private.place, 9);
	assert_int_equal(private.flags, RECORD_DIRTY);
	record_free(records, a);
	assert_int_equal(look(100), -1);
}

static void refuses_another_version(void **state)
{
	struct records *other;

	(void)state;
	view->version = 77;
	assert_int_equal(records_open(dir_fd, &other), -EPROTO);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(finds_what_is_there), T(survives_churn),    T(is_full_at_its_end),      T(reuses_late),
		T(stays_small),         T(is_taken_up_again), T(refuses_another_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
