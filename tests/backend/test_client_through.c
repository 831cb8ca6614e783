/* test_client_through.c: files that are to reach the under file system: at once, later, alone; and what is there when that fails. */
#include "client/backend.h"
#include "client/client.h"
#include "client/goosefs/file.h"
#include "client/log.h"
#include "client/slipstream.h"
#include "tests/backend/fixture.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

enum { KIB = 1024, BLOCK = 256 * KIB, CHUNK = 64 * KIB, LARGE = 3 * BLOCK + CHUNK + 5 };

static struct fixture server;
static char below_dir[128]; /* the under file system */
static unsigned char *data; /* LARGE bytes */

static const char *const types[] = {"must_cache", "try_cache", "cache_through", "through", "async_through"};

enum { THROUGH_FIRST = 2, LATER = 4 };

#define SETTINGS_MAX 8

/* more: further settings, up to a NULL. */
static struct slip_client *connect_as(const char *type, ...)
{
	char mounts[128], write_type[64];
	const char *overrides[8 + SETTINGS_MAX] = {
		mounts,           write_type,           "BLOCK_SIZE=256K",  "CHUNK_SIZE=64K",
		"RPC_TIMEOUT=5s", "CONNECT_TIMEOUT=2s", "METADATA_TTL_MS=0"};
	struct slip_client *c;
	va_list more;
	unsigned n = 7;

	snprintf(mounts, sizeof mounts, "MOUNTS=/g=goosefs://%s/", server.master);
	snprintf(write_type, sizeof write_type, "WRITE_TYPE=%s", type);
	va_start(more, type);
	while (n < 7 + SETTINGS_MAX && (overrides[n] = va_arg(more, const char *)))
		n++;
	va_end(more);
	assert_int_equal(slip_client_new(overrides, &c), 0);
	return c;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static int refill(void *context, void *buf, size_t n, int64_t off)
{
	memcpy(buf, (unsigned char *)context + off, n);
	return 0;
}

/* Open for writing, with what a keeper has and a plain program has not: the bytes of before. */
struct writing {
	struct place at;
	struct backend_writer *w;
	uint64_t id;
};

static int writing_begin(struct slip_client *c, const char *path, struct writing *out)
{
	assert_int_equal(place_find(c, path, &out->at), 0);
	return out->at.ops->create(out->at.backend, out->at.path, 0640, &out->w, &out->id);
}

static int writing_put(struct writing *out, size_t from, size_t to)
{
	return out->at.ops->writer_write(out->w, data + from, to - from, refill, data);
}

static int writing_end(struct writing *out, int rc)
{
	if (!rc)
		rc = out->at.ops->writer_complete(out->w, out->at.path);
	if (rc)
		out->at.ops->writer_abort(out->w, true);
	out->at.ops->writer_free(out->w);
	return rc;
}

static int put(struct slip_client *c, const char *path, size_t n)
{
	struct slip_file *f;
	int rc = slip_open(c, path, O_WRONLY | O_CREAT | O_TRUNC, 0640, &f);

	if (rc)
		return rc;
	for (size_t off = 0; off < n && rc >= 0; off += 50000)
		rc = (int)slip_write(f, data + off, n - off < 50000 ? n - off : 50000);
	if (rc < 0)
		slip_abort(f);
	return rc < 0 ? rc : slip_close(f);
}

static void expect_content(struct slip_client *c, const char *path, size_t n)
{
	unsigned char *buf = malloc(n + 1);
	struct slip_file *f;

	assert_int_equal(slip_open(c, path, O_RDONLY, 0, &f), 0);
	assert_int_equal(slip_pread(f, buf, n + 1, 0), n);
	assert_memory_equal(buf, data, n);
	assert_int_equal(slip_close(f), 0);
	free(buf);
}

static bool exists(struct slip_client *c, const char *path)
{
	struct slip_stat st;
	int rc = slip_stat(c, path, &st);

	assert_true(!rc || rc == -ENOENT);
	return !rc;
}

/* ---- below the server ------------------------------------------------------------------------------------------- */

static const char *below(const char *path)
{
	static char full[256];

	snprintf(full, sizeof full, "%s%s", below_dir, path);
	return full;
}

/* Bytes of a file there, all of them those of data; -1: there is none. */
static int64_t bytes_below(const char *path)
{
	FILE *file = fopen(below(path), "r");
	int64_t n = 0;
	int c;

	if (!file)
		return -1;
	for (; (c = fgetc(file)) != EOF; n++)
		assert_int_equal(c, data[n]);
	fclose(file);
	return n;
}

/* Names in the under file system, the server's own directory aside. */
static unsigned names_below(void)
{
	DIR *dir = opendir(below_dir);
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(dir);
	while ((e = readdir(dir)))
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, ".slipstream");
	closedir(dir);
	return n;
}

static void expect_nothing(struct slip_client *c, const char *path)
{
	assert_false(exists(c, path));
	assert_int_equal(names_below(), 0);
}

static void wait_for(bool (*done)(const char *path, int64_t n), const char *path, int64_t n)
{
	for (int i = 0; i < 1000 && !done(path, n); i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_true(done(path, n));
}

static bool has_come(const char *path, int64_t n)
{
	return bytes_below(path) == n;
}

/* ---- well ------------------------------------------------------------------------------------------------------- */

static void every_type_and_size(void **state)
{
	static const size_t sizes[] = {0, 1, CHUNK, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, LARGE};

	(void)state;
	for (unsigned t = 0; t < 5; t++) {
		struct slip_client *c =
			connect_as(types[t], "REPLICATION_DURABLE=1", "REPLICATION_DURABLE_MIN=1", NULL);

		for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			struct slip_stat st;

			assert_int_equal(put(c, "/g/f", sizes[i]), 0);
			assert_int_equal(slip_stat(c, "/g/f", &st), 0);
			assert_int_equal(st.size, sizes[i]);
			assert_true(st.complete);
			assert_int_equal(st.mode, 0640);
			if (t == LATER)
				wait_for(has_come, "/f", (int64_t)sizes[i]);
			assert_int_equal(bytes_below("/f"), t < THROUGH_FIRST ? -1 : (int64_t)sizes[i]);
			expect_content(c, "/g/f", sizes[i]);
			assert_int_equal(slip_unlink(c, "/g/f"), 0);
			expect_nothing(c, "/g/f");
		}
		slip_client_free(c);
	}
}

static void later_is_not_at_once(void **state)
{
	struct slip_client *c = connect_as("async_through", NULL);
	struct slip_client *never = connect_as("async_through", "PERSISTENCE_WAIT=-1", NULL);

	(void)state;
	assert_int_equal(put(never, "/g/never", LARGE), 0);
	assert_int_equal(put(c, "/g/later", LARGE), 0);
	assert_int_equal(bytes_below("/later"), -1);
	expect_content(c, "/g/later", LARGE);
	wait_for(has_come, "/later", LARGE);
	assert_int_equal(bytes_below("/never"), -1);
	expect_content(c, "/g/never", LARGE);
	assert_int_equal(slip_unlink(c, "/g/later"), 0);
	assert_int_equal(slip_unlink(c, "/g/never"), 0);
	slip_client_free(never);
	slip_client_free(c);
}

/* By way of a hidden name; readers, and the under file system, have the old one or the new one. */
static void replacing(void **state)
{
	(void)state;
	for (unsigned t = THROUGH_FIRST; t < 5; t++) {
		struct slip_client *c = connect_as(types[t], NULL);
		struct slip_file *f;

		assert_int_equal(put(c, "/g/f", BLOCK + 10), 0);
		if (t == LATER)
			wait_for(has_come, "/f", BLOCK + 10);
		assert_int_equal(slip_open(c, "/g/f", O_WRONLY | O_TRUNC, 0, &f), 0);
		assert_int_equal(slip_write(f, data, LARGE), LARGE);
		assert_int_equal(bytes_below("/f"), BLOCK + 10);
		slip_abort(f);
		expect_content(c, "/g/f", BLOCK + 10);
		assert_int_equal(bytes_below("/f"), BLOCK + 10);
		assert_int_equal(names_below(), 1);
		assert_int_equal(put(c, "/g/f", LARGE), 0);
		if (t == LATER)
			wait_for(has_come, "/f", LARGE);
		assert_int_equal(bytes_below("/f"), LARGE);
		assert_int_equal(names_below(), 1);
		expect_content(c, "/g/f", LARGE);
		assert_int_equal(slip_rename(c, "/g/f", "/g/h", false), 0);
		assert_int_equal(bytes_below("/h"), LARGE);
		assert_int_equal(names_below(), 1);
		assert_int_equal(slip_unlink(c, "/g/h"), 0);
		expect_nothing(c, "/g/h");
		slip_client_free(c);
	}
}

static void abandoned(void **state)
{
	(void)state;
	for (unsigned t = 0; t < 5; t++) {
		struct slip_client *c = connect_as(types[t], NULL);
		struct slip_file *f;

		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(slip_open(c, "/g/f", O_WRONLY | O_CREAT, 0644, &f), 0);
			if (n)
				assert_int_equal(slip_write(f, data, LARGE), LARGE);
			slip_abort(f);
			expect_nothing(c, "/g/f");
		}
		slip_client_free(c);
	}
}

/* Also where a worker makes no directories of its own. */
static void in_new_directories(void **state)
{
	struct slip_client *c = connect_as("through", NULL);

	(void)state;
	fixture_fault(&server, "strict-parents\n");
	assert_int_equal(slip_mkdir(c, "/g/d", 0755), 0);
	assert_int_equal(slip_mkdir(c, "/g/d/e", 0755), 0);
	assert_int_equal(put(c, "/g/d/e/f", 1000), 0);
	assert_int_equal(bytes_below("/d/e/f"), 1000);
	assert_int_equal(slip_rename(c, "/g/d", "/g/r", false), 0);
	assert_int_equal(bytes_below("/r/e/f"), 1000);
	expect_content(c, "/g/r/e/f", 1000);
	assert_int_equal(slip_remove_tree(c, "/g/r"), 0);
	fixture_fault(&server, "");
	assert_int_equal(names_below(), 0);
	slip_client_free(c);
}

/* Real workers say nothing before the first flush, count chunks, and keep a block locked whose reader just went away. */
static void strict_workers_are_satisfied(void **state)
{
	static const char *const types[] = {"must_cache", "cache_through", "through", "async_through"};

	(void)state;
	fixture_fault(&server, "strict-headers\nstrict-chunks\nstrict-parents\nstrict-lock\nempty-chunks\n");
	for (unsigned i = 0; i < 4; i++) {
		struct slip_client *c = connect_as(types[i], "SHORT_CIRCUIT=no", NULL);
		struct slip_file *f;
		char some[10];

		assert_int_equal(put(c, "/g/f", LARGE), 0);
		assert_int_equal(slip_open(c, "/g/f", O_RDONLY, 0, &f), 0);
		assert_int_equal(slip_read(f, some, sizeof some), sizeof some);
		assert_int_equal(slip_close(f), 0);
		expect_content(c, "/g/f", LARGE);
		assert_int_equal(slip_unlink(c, "/g/f"), 0);
		slip_client_free(c);
	}
	fixture_fault(&server, "");
}

/* What was created by one name and is written by another belongs there below. */
static void renamed_before_it_is_written(void **state)
{
	struct slip_client *c = connect_as("cache_through", NULL);
	struct writing w;

	(void)state;
	assert_int_equal(writing_begin(c, "/g/a", &w), 0);
	assert_int_equal(slip_rename(c, "/g/a", "/g/b", false), 0);
	w.at.ops->writer_free(w.w);
	assert_int_equal(w.at.ops->resume(w.at.backend, "/b", w.id, &w.w), 0);
	strcpy(w.at.path, "/b");
	assert_int_equal(writing_end(&w, writing_put(&w, 0, LARGE)), 0);
	assert_int_equal(bytes_below("/b"), LARGE);
	assert_int_equal(names_below(), 1);
	assert_int_equal(slip_unlink(c, "/g/b"), 0);
	assert_int_equal(writing_begin(c, "/g/a", &w), 0); /* and while it is: then it is not said to be there */
	assert_int_equal(writing_put(&w, 0, BLOCK), 0);
	assert_int_equal(slip_rename(c, "/g/a", "/g/b", false), 0);
	strcpy(w.at.path, "/b");
	assert_int_equal(writing_end(&w, 0), -EIO);
	assert_int_equal(names_below(), 0);
	assert_int_equal(slip_unlink(c, "/g/b"), 0);
	slip_client_free(c);
}

static unsigned copies_of(struct slip_client *c, const char *path, unsigned block)
{
	struct backend_file file;
	struct place at;
	unsigned n;

	assert_int_equal(place_find(c, path, &at), 0);
	assert_int_equal(at.ops->lookup(at.backend, at.path, &file), 0);
	n = (unsigned)layout_block(file.layout, block)->nworkers;
	at.ops->release(at.backend, &file);
	return n;
}

static void durable_copies(void **state)
{
	struct slip_client *c = connect_as("async_through", NULL);
	struct slip_client *three = connect_as("async_through", "REPLICATION_DURABLE=3", NULL);
	struct slip_client *cached = connect_as("cache_through", "REPLICATION=2", NULL);

	(void)state;
	assert_int_equal(put(c, "/g/two", LARGE), 0);
	assert_int_equal(put(three, "/g/three", LARGE), 0);
	assert_int_equal(put(cached, "/g/cached", LARGE), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(copies_of(c, "/g/two", i), 2);
		assert_int_equal(copies_of(c, "/g/three", i), 3);
		assert_int_equal(copies_of(c, "/g/cached", i), 2);
	}
	assert_int_equal(slip_unlink(c, "/g/two"), 0);
	assert_int_equal(slip_unlink(c, "/g/three"), 0);
	assert_int_equal(slip_unlink(c, "/g/cached"), 0);
	slip_client_free(cached);
	slip_client_free(three);
	slip_client_free(c);
}

/* ---- unwell ----------------------------------------------------------------------------------------------------- */

/* A worker goes when half of the file is written. Whatever it had, the file is there, whole, or it is not there at all. */
static void a_worker_dies_meanwhile(void **state)
{
	unsigned good = 0;

	(void)state;
	for (unsigned i = 0; i < 18; i++) {
		const char *type = types[THROUGH_FIRST + i % 3];
		struct slip_client *c = connect_as(type, "REPLICATION_DURABLE=3", NULL);
		char fault[32];
		struct writing w;
		int rc;

		snprintf(fault, sizeof fault, "worker-gone=%u\n", 1 + i / 3 % 3);
		assert_int_equal(writing_begin(c, "/g/f", &w), 0);
		assert_int_equal(writing_put(&w, 0, BLOCK + BLOCK / 2), 0);
		fixture_fault(&server, fault);
		rc = writing_end(&w, writing_put(&w, BLOCK + BLOCK / 2, LARGE));
		if (rc) {
			assert_true(i % 3 != 2); /* two of three copies go on */
			expect_nothing(c, "/g/f");
		} else {
			good++;
			expect_content(c, "/g/f", LARGE);
			if (i % 3 == 2)
				wait_for(has_come, "/f", LARGE);
			assert_int_equal(bytes_below("/f"), LARGE);
			assert_int_equal(slip_unlink(c, "/g/f"), 0);
		}
		fixture_fault(&server, "");
		slip_client_free(c);
	}
	assert_true(good >= 6);
}

/* The under file system refuses the file, at the end of its stream: a directory has its name there. */
static void the_copy_fails(void **state)
{
	(void)state;
	for (unsigned t = THROUGH_FIRST; t < LATER; t++) {
		struct slip_client *c = connect_as(types[t], NULL);
		struct slip_file *f;

		assert_int_equal(slip_open(c, "/g/f", O_WRONLY | O_CREAT, 0644, &f), 0);
		assert_int_equal(slip_write(f, data, LARGE), LARGE);
		assert_int_equal(mkdir(below("/f"), 0755), 0);
		assert_int_equal(slip_close(f), -EIO);
		assert_non_null(strstr(slip_last_error(), "Is a directory"));
		assert_int_equal(rmdir(below("/f")), 0); /* it is still there, and whoever looked meanwhile knows it */
		slip_rmdir(c, "/g/f");
		expect_nothing(c, "/g/f");
		fixture_fault(&server, "write-status=13@3\n");
		assert_int_equal(put(c, "/g/f", LARGE), -EIO);
		expect_nothing(c, "/g/f");
		fixture_fault(&server, "disk-full=100000\n");
		assert_int_equal(put(c, "/g/f", LARGE), -ENOSPC);
		expect_nothing(c, "/g/f");
		fixture_fault(&server, "");
		slip_client_free(c);
	}
}

/* Workers that know no flush, as some do (spec goosefs 9.4): a file of several blocks is not for them. */
static void blocks_fail_and_the_copy_does_not(void **state)
{
	struct slip_client *both = connect_as("cache_through", NULL), *cached = connect_as("must_cache", NULL);
	struct writing w;

	(void)state;
	fixture_fault(&server, "flush-status=12\n");
	assert_true(put(cached, "/g/f", LARGE) < 0);
	expect_nothing(cached, "/g/f");
	assert_int_equal(put(both, "/g/f", LARGE), 0);
	assert_int_equal(writing_begin(both, "/g/h", &w), 0); /* the same with all tries there are */
	assert_int_equal(writing_end(&w, writing_put(&w, 0, LARGE)), 0);
	fixture_fault(&server, "");
	assert_int_equal(bytes_below("/f"), LARGE);
	assert_int_equal(bytes_below("/h"), LARGE);
	expect_content(both, "/g/f", LARGE);
	expect_content(both, "/g/h", LARGE);
	assert_int_equal(slip_unlink(both, "/g/f"), 0);
	assert_int_equal(slip_unlink(both, "/g/h"), 0);
	slip_client_free(cached);
	slip_client_free(both);
}

static void no_worker_takes_the_first_block(void **state)
{
	static const char *const faults[] = {"no-capacity\n", "forbid-write=1\nforbid-write=2\nforbid-write=3\n"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct slip_client *later = connect_as("async_through", NULL),
				   *both = connect_as("cache_through", NULL);
		struct slip_client *strict = connect_as("async_through", "UFS_FALLBACK=no", NULL);

		fixture_fault(&server, faults[i]);
		assert_int_equal(put(later, "/g/f", LARGE), 0);
		assert_int_equal(bytes_below("/f"), LARGE); /* by now, not later */
		expect_content(later, "/g/f", LARGE);
		assert_int_equal(slip_unlink(later, "/g/f"), 0);
		assert_int_equal(put(strict, "/g/f", LARGE), -EHOSTUNREACH);
		expect_nothing(strict, "/g/f");
		assert_int_equal(put(both, "/g/f", LARGE), 0);
		assert_int_equal(bytes_below("/f"), LARGE);
		assert_int_equal(slip_unlink(both, "/g/f"), 0);
		fixture_fault(&server, "");
		slip_client_free(strict);
		slip_client_free(both);
		slip_client_free(later);
	}
}

static void too_few_copies(void **state)
{
	struct slip_client *c = connect_as("async_through", NULL), *one, *bad;
	struct slip_file *f;

	(void)state;
	fixture_fault(&server, "worker-gone=1\nworker-gone=2\n");
	one = connect_as("async_through", "REPLICATION_DURABLE_MIN=1", NULL);
	assert_int_equal(put(c, "/g/f", 10), -EIO);
	assert_non_null(strstr(slip_last_error(), "1 of the 2 copies that SLIPSTREAM_REPLICATION_DURABLE_MIN"));
	expect_nothing(c, "/g/f");
	assert_int_equal(put(one, "/g/f", LARGE), 0);
	assert_int_equal(copies_of(one, "/g/f", 3), 1);
	expect_content(one, "/g/f", LARGE);
	assert_int_equal(slip_unlink(one, "/g/f"), 0);
	fixture_fault(&server, "");
	bad = connect_as("async_through", "REPLICATION_DURABLE_MIN=3", NULL);
	assert_int_equal(slip_open(bad, "/g/f", O_WRONLY | O_CREAT, 0644, &f), -EINVAL);
	assert_non_null(strstr(slip_last_error(), "SLIPSTREAM_REPLICATION_DURABLE_MIN=3"));
	expect_nothing(bad, "/g/f");
	slip_client_free(bad);
	slip_client_free(one);
	slip_client_free(c);
}

/* CompleteFile fails, and for some calls what follows it, too. */
static void a_completion_fails(void **state)
{
	(void)state;
	for (unsigned t = 0; t < 5; t++) {
		for (unsigned calls = 1; calls <= 4; calls++) {
			struct slip_client *c = connect_as(types[t], NULL);
			char fault[32];
			struct writing w;
			int rc;

			snprintf(fault, sizeof fault, "master-status=13@%u\n", calls);
			assert_int_equal(writing_begin(c, "/g/f", &w), 0);
			assert_int_equal(writing_put(&w, 0, BLOCK + 10), 0);
			fixture_fault(&server, fault);
			rc = writing_end(&w, 0);
			fixture_fault(&server, "");
			if (t >= THROUGH_FIRST && t < LATER && calls == 1) {
				assert_int_equal(rc, 0); /* it is taken from below */
				expect_content(c, "/g/f", BLOCK + 10);
				assert_int_equal(bytes_below("/f"), BLOCK + 10);
				assert_int_equal(slip_unlink(c, "/g/f"), 0);
			} else {
				assert_int_equal(rc, -EIO);
				assert_non_null(strstr(slip_last_error(), "as was asked for"));
			}
			if (calls < 3)
				expect_nothing(c, "/g/f");
			else if (exists(c, "/g/f")) /* the name may stay if the master is too ill: incomplete, then */
				assert_int_equal(slip_unlink(c, "/g/f"), 0);
			slip_client_free(c);
		}
	}
}

static void nowhere_to_persist(void **state)
{
	struct fixture with = server;
	struct slip_client *c;
	struct slip_file *f;

	(void)state;
	fixture_start(&server, "--ufs=none", NULL);
	c = connect_as("cache_through", NULL);
	assert_int_equal(slip_open(c, "/g/f", O_WRONLY | O_CREAT, 0644, &f), -EINVAL);
	assert_non_null(strstr(slip_last_error(), "under file system"));
	assert_false(exists(c, "/g/f"));
	slip_client_free(c);
	fixture_release(&server);
	server = with;
}

static int group_set_up(void **state)
{
	char ufs[160];

	(void)state;
	data = malloc(LARGE);
	for (unsigned i = 0, x = 1; i < LARGE; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (unsigned char)(x >> 24);
	}
	snprintf(below_dir, sizeof below_dir, "/tmp/slipstream-below-XXXXXX");
	if (!mkdtemp(below_dir))
		return -1;
	snprintf(ufs, sizeof ufs, "--ufs=%s", below_dir);
	fixture_start(&server, "--workers=3", "--persist-delay=300", ufs, NULL);
	return log_open(getenv("SLIPSTREAM_LOG") ? getenv("SLIPSTREAM_LOG") : "error,/dev/null", NULL);
}

static int group_tear_down(void **state)
{
	(void)state;
	fixture_release(&server);
	nftw(below_dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(data);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_and_size),
		cmocka_unit_test(later_is_not_at_once),
		cmocka_unit_test(replacing),
		cmocka_unit_test(abandoned),
		cmocka_unit_test(in_new_directories),
		cmocka_unit_test(strict_workers_are_satisfied),
		cmocka_unit_test(renamed_before_it_is_written),
		cmocka_unit_test(durable_copies),
		cmocka_unit_test(a_worker_dies_meanwhile),
		cmocka_unit_test(the_copy_fails),
		cmocka_unit_test(blocks_fail_and_the_copy_does_not),
		cmocka_unit_test(no_worker_takes_the_first_block),
		cmocka_unit_test(too_few_copies),
		cmocka_unit_test(a_completion_fails),
		cmocka_unit_test(nowhere_to_persist),
	};

	return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
