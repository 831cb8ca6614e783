/* test_behind.c: files that are sent while they are being written, and what becomes of that when they are not written in sequence. */
#include "tests/unit/keeper_fixture.h"

#include <dirent.h>

#define MIB  ((size_t)1 << 20)
#define PART SENT_PART
#define SIZE (24 * MIB + 12345)
#define SOME (10 * MIB) /* of it, and surely enough to begin */

static char content[SIZE];

static void content_make(char seed)
{
	for (size_t i = 0; i < SIZE; i++)
		content[i] = (char)(i * 31 + i / 4096 + (size_t)seed);
}

static void put(int fd, size_t from, size_t to)
{
	for (size_t off = from; off < to;) {
		ssize_t n = pwrite(fd, content + off, to - off, (off_t)off);

		assert_true(n > 0);
		off += (size_t)n;
	}
}

/* How long the file is on the server, complete or not: -1, not there. */
static int64_t sent_bytes(const char *path)
{
	struct stat st;

	return stat(outside(path), &st) ? -1 : st.st_size;
}

/* The first of a hidden name. */
static const char *hidden(void)
{
	static char path[300];
	DIR *dir = opendir(root);
	struct dirent *e;

	*path = '\0';
	while ((e = readdir(dir)))
		if (!strncmp(e->d_name, ".slipstream-", 12))
			snprintf(path, sizeof path, "/%s", e->d_name);
	closedir(dir);
	return *path ? path : NULL;
}

static bool some_is_sent(const void *path)
{
	return sent_bytes(path) >= (int64_t)(4 * PART);
}

static bool some_is_hidden(const void *unused)
{
	(void)unused;
	return hidden() && some_is_sent(hidden());
}

static void is_complete(const char *path, size_t size)
{
	char *text = malloc(SIZE);
	int fd = open(outside(path), O_RDONLY);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & S_ISVTX, 0);
	assert_int_equal(st.st_size, size);
	assert_int_equal(read(fd, text, SIZE), size);
	assert_memory_equal(text, content, size);
	close(fd);
	free(text);
}

static int64_t renames(const char *from, const char *to)
{
	return session_ask(&s, (struct session_request){.op = SESSION_RENAME, .record = -1}, from, to, strlen(to) + 1);
}

static int creates(void)
{
	return atomic_load(&local_knobs->creates);
}

/* The first part of a new file, written and on its way. */
static int begun(const char *path, int *record)
{
	int fd = session_open(&s, path, O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	*record = s.reply.record;
	put(fd, 0, SOME);
	assert_true(eventually(some_is_sent, path + 2));
	return fd;
}

static void sends_what_is_being_written(void **state)
{
	int record, fd;

	(void)state;
	content_make(1);
	fd = begun("/t/f", &record);
	assert_null(published("/f"));
	put(fd, SOME, SIZE);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/f", SIZE);
	assert_int_equal(creates(), 1);
	assert_null(hidden());
}

static void sends_again_what_was_changed(void **state)
{
	const size_t at[] = {0, 3 * PART - 1, 2 * PART + 5};
	int record, fd;

	(void)state;
	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		char path[] = {'/', 't', '/', (char)('a' + i), '\0'};

		content_make((char)i);
		fd = begun(path, &record);
		put(fd, SOME, SIZE);
		content[at[i]] ^= 1;
		put(fd, at[i], at[i] + 1);
		assert_int_equal(session_close(&s, fd, record), 0);
		is_complete(path + 2, SIZE);
	}
	assert_null(hidden());
}

static void follows_a_file_that_is_cut(void **state)
{
	int record, fd;

	(void)state;
	content_make(5);
	fd = begun("/t/short", &record);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/short", 100);

	content_make(6);
	fd = begun("/t/other", &record);
	assert_int_equal(ftruncate(fd, 0), 0);
	content_make(7);
	put(fd, 0, SIZE);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/other", SIZE);
	assert_null(hidden());
}

static void old_content_stays_until_the_new_is_complete(void **state)
{
	int record, fd;

	(void)state;
	put_outside("/f", "old", 3);
	content_make(8);
	fd = session_open(&s, "/t/f", O_WRONLY | O_TRUNC, 0);
	record = s.reply.record;
	put(fd, 0, SOME);
	assert_true(eventually(some_is_hidden, NULL));
	assert_string_equal(published("/f"), "old");
	put(fd, SOME, SIZE);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/f", SIZE);
	assert_int_equal(creates(), 1);
	assert_null(hidden());
}

static void follows_names(void **state)
{
	const struct session_request head = {.op = SESSION_MKDIR, .record = -1, .mode = 0755};
	int record, fd;

	(void)state;
	content_make(9);
	fd = begun("/t/from", &record);
	assert_int_equal(renames("/t/from", "/t/to"), 0);
	put(fd, SOME, SIZE);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/to", SIZE);
	assert_int_equal(sent_bytes("/from"), -1);
	assert_int_equal(creates(), 1);

	assert_int_equal(session_ask(&s, head, "/t/d", NULL, 0), 0);
	content_make(10);
	fd = session_open(&s, "/t/to", O_WRONLY | O_TRUNC, 0);
	record = s.reply.record;
	put(fd, 0, SOME);
	assert_true(eventually(some_is_hidden, NULL));
	assert_int_equal(renames("/t/to", "/t/d/to"), 0);
	put(fd, SOME, SIZE);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/d/to", SIZE);
	assert_int_equal(sent_bytes("/to"), -1);
	assert_null(hidden());

	fd = begun("/t/gone", &record);
	assert_int_equal(session_op(&s, SESSION_UNLINK, "/t/gone"), 0);
	assert_int_equal(sent_bytes("/gone"), -1);
	put(fd, SOME, SIZE);
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_int_equal(sent_bytes("/gone"), -1);
	assert_null(hidden());
}

/* Another keeper knows that something was sent, but not what. */
static void outlives_its_keeper(void **state)
{
	int record, fd;

	(void)state;
	content_make(11);
	fd = begun("/t/f", &record);
	kill(s.keeper, SIGKILL);
	session_reap(&s);
	close(s.fd);
	s.fd = -1;
	content_make(12); /* all of it, the first parts too */
	put(fd, 0, SIZE);
	session_keeper(&s, keeper_child);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/f", SIZE);
	assert_null(hidden());
}

static void begins_with_nothing_that_may_go_back(void **state)
{
	int record, fd;

	(void)state;
	content_make(13);
	fd = session_open(&s, "/t/both", O_RDWR | O_CREAT, 0644);
	record = s.reply.record;
	put(fd, 0, SOME);
	poll(NULL, 0, 500);
	assert_int_equal(sent_bytes("/both"), 0);
	put(fd, SOME, SIZE);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/both", SIZE);

	fd = session_open(&s, "/t/holes", O_WRONLY | O_CREAT, 0644);
	record = s.reply.record;
	assert_int_equal(ftruncate(fd, SIZE), 0);
	put(fd, SOME, SIZE);
	poll(NULL, 0, 500);
	assert_int_equal(sent_bytes("/holes"), 0);
	put(fd, 0, SOME);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/holes", SIZE);
}

static void syncs_what_was_sent(void **state)
{
	int record, fd;

	(void)state;
	content_make(14);
	fd = begun("/t/f", &record);
	assert_int_equal(session_on(&s, SESSION_SYNC, record), 0);
	is_complete("/f", SOME);
	put(fd, SOME, SIZE);
	assert_int_equal(session_close(&s, fd, record), 0);
	is_complete("/f", SIZE);
	assert_null(hidden());
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sends_what_is_being_written),
		T(sends_again_what_was_changed),
		T(follows_a_file_that_is_cut),
		T(old_content_stays_until_the_new_is_complete),
		T(follows_names),
		T(outlives_its_keeper),
		T(begins_with_nothing_that_may_go_back),
		T(syncs_what_was_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
