/* test_keeper.c: the keeper as `slipstream run` starts it, and a program's questions to it, over the embedded server. */
#include "tests/unit/unit.h"
#include "tests/backend/fixture.h"
#include "tests/unit/session_fixture.h"
#include "client/slipstream.h"

static struct fixture server;
static struct session s;
static char mounts[96];
static struct slip_client *outside; /* somebody without a session */

static int keeper_exec(struct session *session, int ready)
{
	return session_exec(session, ready, fixture_program());
}

static int start(void **state)
{
	char setting[128];
	const char *const settings[] = {setting, NULL};

	(void)state;
	fixture_start(&server, NULL);
	snprintf(mounts, sizeof mounts, "/t=goosefs://%s/", server.master);
	snprintf(setting, sizeof setting, "mounts=%s", mounts);
	setenv("SLIPSTREAM_MOUNTS", mounts, 1);
	session_make(&s);
	session_keeper(&s, keeper_exec);
	session_map(&s);
	assert_int_equal(slip_client_new(settings, &outside), 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	slip_client_free(outside);
	session_release(&s);
	fixture_release(&server);
	return 0;
}

/* Content as somebody outside reads it; NULL: there is none yet. */
static const char *published(const char *path)
{
	static char text[4096];
	struct slip_file *f;
	ssize_t n;

	if (slip_open(outside, path, O_RDONLY, 0, &f))
		return NULL;
	n = slip_read(f, text, sizeof text - 1);
	slip_close(f);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static bool comes(const char *path, const char *text)
{
	for (int i = 0; i < 500; i++) {
		const char *have = published(path);

		if (have && !strcmp(have, text))
			return true;
		poll(NULL, 0, 10);
	}
	return false;
}

static void published_at_close(void **state)
{
	(void)state;
	assert_int_equal(session_write(&s, "/t/a", "first"), 0);
	assert_string_equal(published("/t/a"), "first");
	assert_int_equal(session_write(&s, "/t/a", "second"), 0);
	assert_string_equal(published("/t/a"), "second");
	assert_int_equal(session_op(&s, SESSION_UNLINK, "/t/a"), 0);
	assert_null(published("/t/a"));
}

static void read_by_range_and_whole(void **state)
{
	enum { SIZE = 3 << 20 };
	static char big[SIZE];
	struct slip_file *f;
	int fd;

	(void)state;
	for (int i = 0; i < SIZE; i++)
		big[i] = (char)(i * 7 + i / 1000);
	assert_int_equal(slip_open(outside, "/t/big", O_WRONLY | O_CREAT, 0644, &f), 0);
	assert_int_equal(slip_write(f, big, SIZE), SIZE);
	assert_int_equal(slip_close(f), 0);
	fd = session_open(&s, "/t/big", O_RDONLY, 0);
	assert_true(fd >= 0);
	if (s.reply.kind == SESSION_RANGE) {
		int record = s.reply.record;

		for (int64_t off = 0; off < SIZE; off += 500000) {
			struct session_request read = {
				.op = SESSION_READ, .record = record, .flags = 1, .a = off, .b = 1000};
			int64_t n = session_ask(&s, read, NULL, NULL, 0);

			assert_true(n > 0 && n <= 1000);
			assert_memory_equal(s.in, big + off, n);
		}
	} else { /* its worker is on this host */
		char *map = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);

		assert_memory_equal(map, big, SIZE);
		munmap(map, SIZE);
	}
	close(fd);
}

static void names_are_the_servers(void **state)
{
	struct session_request head = {.op = SESSION_MKDIR, .record = -1, .mode = 0755};
	struct slip_stat st;

	(void)state;
	assert_int_equal(session_ask(&s, head, "/t/d", NULL, 0), 0);
	assert_int_equal(session_write(&s, "/t/d/x", "x"), 0);
	head = (struct session_request){.op = SESSION_RENAME, .record = -1};
	assert_int_equal(session_ask(&s, head, "/t/d", "/t/e", 5), 0);
	assert_int_equal(slip_stat(outside, "/t/e/x", &st), 0);
	assert_int_equal(slip_stat(outside, "/t/d", &st), -ENOENT);
	assert_int_equal(session_op(&s, SESSION_RMDIR, "/t/e"), -ENOTEMPTY);
	assert_int_equal(session_op(&s, SESSION_STATFS, "/t"), 0);
}

static void a_new_keeper_publishes_what_was_closed(void **state)
{
	int closed, open, record;

	(void)state;
	closed = session_open(&s, "/t/closed", O_WRONLY | O_CREAT, 0600);
	open = session_open(&s, "/t/open", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	assert_int_equal(write(closed, "closed", 6), 6);
	kill(s.keeper, SIGKILL);
	session_reap(&s);
	close(closed);
	close(s.fd);
	s.fd = -1;
	session_keeper(&s, keeper_exec);
	assert_true(comes("/t/closed", "closed"));
	assert_int_equal(write(open, "goes on", 7), 7);
	assert_int_equal(session_close(&s, open, record), 0);
	assert_string_equal(published("/t/open"), "goes on");
	assert_int_equal(session_op(&s, SESSION_SETTLE, NULL), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(published_at_close),
		T(read_by_range_and_whole),
		T(names_are_the_servers),
		T(a_new_keeper_publishes_what_was_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
