/* test_keeper.c: a keeper process over a local directory, asked as a program asks it. */
#include "tests/unit/keeper_fixture.h"
#include "tests/unit/chance.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/uio.h>

static int start_on_disk(void **state)
{
	staged_in = "stage=/var/tmp";
	return start(state);
}

static int stop_on_disk(void **state)
{
	staged_in = "stage=/dev/shm";
	return stop(state);
}

static const char *read_fd(int fd)
{
	static char text[4096];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void cat(const char *path, const char *expected)
{
	int fd = session_open(&s, path, O_RDONLY, 0);

	assert_true(fd >= 0);
	assert_string_equal(read_fd(fd), expected);
	close(fd);
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

static void says_hello(void **state)
{
	struct session_hello hello;

	(void)state;
	assert_int_equal(session_ask(&s,
				     (struct session_request){.op = SESSION_HELLO, .record = -1, .a = SESSION_VERSION},
				     NULL, NULL, 0),
			 0);
	memcpy(&hello, s.in, sizeof hello);
	assert_int_equal(hello.page_bytes, 65536);
	assert_true(s.got >= 0);
	assert_int_equal(fcntl(s.got, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(s.got);
	assert_int_equal(
		session_ask(&s, (struct session_request){.op = SESSION_HELLO, .record = -1, .a = 99}, NULL, NULL, 0),
		-EPROTO);
}

static void refuses_nonsense(void **state)
{
	struct session_request head = {.op = 9999, .record = -1};
	char byte = 0;
	int n;

	(void)state;
	assert_int_equal(session_ask(&s, head, NULL, NULL, 0), -EINVAL);
	head = (struct session_request){.op = SESSION_STAT, .record = -1};
	assert_int_equal(session_ask(&s, head, NULL, "no-nul", 6), -EINVAL);
	head.record = 1 << 30;
	assert_int_equal(session_ask(&s, head, NULL, NULL, 0), -EBADF);
	head = (struct session_request){.op = SESSION_READ, .record = 5, .a = -1, .b = INT64_MAX};
	assert_true(session_ask(&s, head, NULL, NULL, 0) < 0);
	/* half a header: hung up on, and others are served */
	assert_int_equal(send(s.fd, &byte, 1, MSG_NOSIGNAL), 1);
	n = (int)recv(s.fd, &byte, 1, 0);
	assert_true(n <= 0);
	close(s.fd);
	s.fd = -1;
	/* a client that is gone before its answer */
	for (int i = 0; i < 20; i++) {
		session_connect(&s);
		head = (struct session_request){.op = SESSION_OPEN, .bytes = 3, .record = -1, .flags = O_DIRECTORY};
		struct iovec iov[2] = {{&head, sizeof head}, {"/t", 3}};

		assert_true(writev(s.fd, iov, 2) > 0);
		close(s.fd);
	}
	s.fd = -1;
	assert_int_equal(session_op(&s, SESSION_STAT, "/t"), 0);
}

static int64_t any_number(void)
{
	static const int64_t numbers[] = {INT64_MIN, -1,        0,          1,         7,        4096,
					  65536,     INT32_MAX, UINT32_MAX, 1LL << 40, INT64_MAX};

	return numbers[chance(sizeof numbers / sizeof *numbers)];
}

/* Any operation on any record or path, with any numbers, and whatever descriptors come of it held or closed at once. */
static void outlives_nonsense(void **state)
{
	static const char *const paths[] = {"/t",      "/t/", "/t/a", "/t/b", "/t/a/c",          "/t/d",
					    "/t/../x", "",    "t",    "/",    "/t/.slipstream-1"};
	static const uint32_t flags[] = {O_RDONLY,
					 O_RDWR,
					 O_WRONLY | O_CREAT,
					 O_RDWR | O_CREAT | O_TRUNC,
					 O_CREAT | O_EXCL,
					 O_DIRECTORY,
					 O_PATH,
					 AT_SYMLINK_NOFOLLOW,
					 1,
					 UINT32_MAX};
	int held[16];

	(void)state;
	if (geteuid()) /* by chmod() an ordinary user would take the directory from himself */
		skip();
	memset(held, -1, sizeof held);
	for (int i = 0; i < 4000; i++) {
		char data[64];
		struct session_request head = {
			.op = (uint32_t)chance(SESSION_OP_COUNT + 1),
			.record = chance(2)   ? -1
				  : chance(2) ? (int32_t)chance(8)
					      : (int32_t)any_number(),
			.flags = flags[chance(sizeof flags / sizeof *flags)],
			.mode = (uint32_t)any_number(),
			.must_be_dir = (uint32_t)chance(2),
			.uid = (uint32_t)any_number(),
			.gid = (uint32_t)any_number(),
			.a = any_number(),
			.b = any_number(),
		};
		size_t n = chance(4) ? chance(sizeof data) : 0;

		for (size_t k = 0; k < n; k++)
			data[k] = (char)(chance(4) ? 'a' + chance(26) : 0);
		if (head.op == SESSION_TRUNCATE && head.a > 65536)
			head.a = 65536; /* every byte of it would be uploaded */
		session_ask(&s, head, chance(8) ? paths[chance(sizeof paths / sizeof *paths)] : NULL, data, n);
		if (s.got >= 0) {
			int *one = &held[chance(sizeof held / sizeof *held)];

			if (*one >= 0)
				close(*one);
			*one = s.got;
		}
	}
	for (size_t i = 0; i < sizeof held / sizeof *held; i++)
		if (held[i] >= 0)
			close(held[i]);
	assert_int_equal(session_write(&s, "/t/after all", "text"), 0);
	cat("/t/after all", "text");
}

static void publishes_at_close(void **state)
{
	struct stat st;
	int fd, record;

	(void)state;
	fd = session_open(&s, "/t/new", O_WRONLY | O_CREAT | O_EXCL, 0640);
	assert_true(fd >= 0);
	record = s.reply.record;
	assert_int_equal(s.reply.kind, SESSION_STAGED);
	assert_int_equal(session_find(&s, fd), record);
	assert_int_equal(write(fd, "hello\n", 6), 6);
	assert_null(published("/new"));
	assert_int_equal(session_open(&s, "/t/new", O_WRONLY | O_CREAT | O_EXCL, 0600), -EEXIST);
	cat("/t/new", "hello\n"); /* as if it were published */
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/new"), 0);
	assert_int_equal(s.reply.attr.size, 6);
	assert_int_equal(s.reply.attr.mode, S_IFREG | 0640);
	uint64_t ino = s.reply.attr.ino;

	assert_int_equal(session_close(&s, fd, record), 0);
	assert_string_equal(published("/new"), "hello\n");
	assert_int_equal(stat(outside("/new"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/new"), 0);
	assert_int_equal(s.reply.attr.ino, ino);
}

static void tells_errors_at_open(void **state)
{
	(void)state;
	assert_int_equal(session_open(&s, "/t/none/x", O_WRONLY | O_CREAT, 0600), -ENOENT);
	assert_int_equal(session_open(&s, "/t/none", O_RDONLY, 0), -ENOENT);
	assert_int_equal(session_open(&s, "/t", O_WRONLY, 0), -EISDIR);
	put_outside("/f", "x", 1);
	assert_int_equal(session_open(&s, "/t/f/x", O_RDONLY, 0), -ENOTDIR);
	assert_int_equal(session_open(&s, "/t/f", O_RDONLY | O_DIRECTORY, 0), -ENOTDIR);
}

static void replaces_only_when_complete(void **state)
{
	int fd, record;

	(void)state;
	put_outside("/old", "old content", 11);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/old"), 0);
	uint64_t ino = s.reply.attr.ino;

	fd = session_open(&s, "/t/old", O_WRONLY | O_TRUNC, 0);
	record = s.reply.record;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "new", 3), 3);
	assert_string_equal(published("/old"), "old content");
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_string_equal(published("/old"), "new");
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/old"), 0);
	assert_int_equal(s.reply.attr.ino, ino); /* though the server has another file there */
}

static void appends_to_what_is_there(void **state)
{
	int fd, record;

	(void)state;
	put_outside("/log", "one\n", 4);
	fd = session_open(&s, "/t/log", O_WRONLY | O_APPEND, 0);
	record = s.reply.record;
	assert_int_equal(write(fd, "two\n", 4), 4);
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_string_equal(published("/log"), "one\ntwo\n");
}

static void waits_for_the_last_writer(void **state)
{
	int fd, copy, record;

	(void)state;
	fd = session_open(&s, "/t/w", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	copy = dup(fd);
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_null(published("/w"));
	assert_int_equal(write(copy, "x", 1), 1);
	close(copy); /* nobody says so: the kernel does */
	assert_true(eventually(is_published, "/w"));
	assert_string_equal(published("/w"), "x");
}

static void waits_for_a_mapping(void **state)
{
	int fd, record;
	char *map;

	(void)state;
	fd = session_open(&s, "/t/m", O_RDWR | O_CREAT, 0600);
	record = s.reply.record;
	assert_int_equal(ftruncate(fd, 4), 0);
	map = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_int_equal(session_close(&s, fd, record), 0);
	memcpy(map, "maps", 4);
	assert_null(published("/m"));
	munmap(map, 4);
	assert_true(eventually(is_published, "/m"));
	assert_string_equal(published("/m"), "maps");
}

static void lets_a_writer_back_in(void **state)
{
	char path[4096], name[96], *big = calloc(1, 8 << 20);
	int fd, again, record;
	struct timespec a, b;

	(void)state;
	fd = session_open(&s, "/t/big", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	assert_int_equal(write(fd, big, 8 << 20), 8 << 20);
	free(big);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(name, path, sizeof path - 1);

	path[n] = '\0';
	atomic_store(&local_knobs->write_ms, 200);
	close(fd);
	poll(NULL, 0, 100); /* the upload is under way */
	clock_gettime(CLOCK_MONOTONIC, &a);
	again = open(path, O_WRONLY); /* natively: the kernel holds it back until the lease is let go */
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(again >= 0);
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 100);
	assert_int_equal(pwrite(again, "late", 4, 0), 4);
	atomic_store(&local_knobs->write_ms, 0);
	assert_null(published("/big"));
	close(again);
	assert_int_equal(session_on(&s, SESSION_CLOSED, record), 0);
	assert_true(eventually(is_published, "/big"));
	assert_memory_equal(published("/big"), "late", 4);
}

/* A child that closes the file, and by its status tells what that said. */
static pid_t close_in_child(int fd, int record)
{
	int go[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid) {
		close(go[0]);
		close(fd);
		close(go[1]);
		return pid;
	}
	s.fd = -1;
	close(go[1]);
	if (read(go[0], &byte, 1)) /* until the parent has closed its own */
		_exit(2);
	_exit(session_close(&s, fd, record) ? 1 : 0);
}

static void close_waits_though_its_directory_moves(void **state)
{
	char *big = calloc(1, 4 << 20);
	int fd, record, status = -1;
	pid_t pid;

	(void)state;
	memset(big, 'x', 4 << 20);
	assert_int_equal(mkdir(outside("/d"), 0755), 0);
	put_outside("/d/f", "old", 3); /* a replacement has a name of its own, in a directory that will be gone */
	fd = session_open(&s, "/t/d/f", O_WRONLY | O_TRUNC, 0);
	record = s.reply.record;
	assert_int_equal(write(fd, big, 4 << 20), 4 << 20);
	free(big);
	atomic_store(&local_knobs->write_ms, 50);
	pid = close_in_child(fd, record);
	poll(NULL, 0, 100); /* the upload is under way */
	assert_int_equal(
		session_ask(&s, (struct session_request){.op = SESSION_RENAME, .record = -1}, "/t/d", "/t/e", 5), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(strspn(published("/e/f"), "x"), (1 << 20) - 1); /* as much as published() shows */
	assert_null(published("/d/f"));
	assert_int_equal(session_op(&s, SESSION_SETTLE, NULL), 0);
}

/* While the keeper sleeps: so many closes of writers, of two files in turn, so that the kernel merges none. */
static void closes(const int fd[2], int n)
{
	char name[32];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd[i % 2]);
		close(open(name, O_WRONLY));
	}
}

static void merged_events_and_none_at_all(void **state)
{
	static char big[300000];
	int fd[2], range, range_record, dir, dir_record;

	(void)state;
	put_outside("/range", big, sizeof big);
	for (int overflow = 0; overflow < 2; overflow++) {
		char names[2][32];

		for (int i = 0; i < 2; i++) {
			snprintf(names[i], sizeof names[i], "/t/%d-%d", overflow, i);
			fd[i] = session_open(&s, names[i], O_WRONLY | O_CREAT, 0600);
			assert_int_equal(write(fd[i], names[i], strlen(names[i])), strlen(names[i]));
		}
		range = session_open(&s, "/t/range", O_RDONLY, 0);
		range_record = s.reply.record;
		dir = session_open(&s, "/t", O_RDONLY, 0);
		dir_record = s.reply.record;
		poll(NULL, 0, 50); /* the keeper has closed its copies */
		kill(s.keeper, SIGSTOP);
		if (overflow)
			closes(fd, 20000); /* the queue has room for 16384 */
		else
			closes((int[]){fd[0], fd[0]}, 1000); /* one event */
		for (int i = 0; i < 2; i++)
			close(fd[i]);
		close(range);
		close(dir);
		kill(s.keeper, SIGCONT);
		for (int i = 0; i < 2; i++) {
			assert_true(eventually(is_published, names[i] + 2));
			assert_string_equal(published(names[i] + 2), names[i]);
		}
		assert_true(eventually(record_is_free, &range_record));
		assert_true(eventually(record_is_free, &dir_record));
	}
}

/* As many as there are records. */
static void a_full_table_recovers(void **state)
{
	unsigned live = atomic_load(&s.records->live), most = 0;
	int *fd = calloc(SESSION_RECORDS + 2, sizeof *fd), rc = 0, record;
	struct rlimit files;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_max < SESSION_RECORDS + 100) {
		free(fd);
		skip();
	}
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){files.rlim_max, files.rlim_max});
	assert_int_equal(session_write(&s, "/t/f", "f"), 0);
	while (most <= SESSION_RECORDS && (rc = session_open(&s, "/t", O_RDONLY, 0)) >= 0)
		fd[most++] = rc;
	assert_int_equal(rc, -ENFILE);
	assert_int_equal(most, SESSION_RECORDS); /* what was only a cache gave way */
	assert_int_equal(session_open(&s, "/t/new", O_WRONLY | O_CREAT, 0600), -ENFILE);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/new"),
			 -ENOENT); /* nothing stays of what did not get a descriptor */
	assert_null(published("/new"));
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/f"), 0);
	for (unsigned i = 0; i < most; i++)
		close(fd[i]);
	free(fd);
	for (int i = 0; i < 3000 && atomic_load(&s.records->live) > live + 2; i++)
		poll(NULL, 0, 10);
	assert_true(atomic_load(&s.records->live) <= live + 2);
	rc = session_open(&s, "/t/new", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	assert_true(rc >= 0);
	assert_int_equal(session_close(&s, rc, record), 0);
	assert_string_equal(published("/new"), "");
	setrlimit(RLIMIT_NOFILE, &files);
}

static void syncs_and_goes_on(void **state)
{
	int fd, record;

	(void)state;
	fd = session_open(&s, "/t/s", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	assert_int_equal(write(fd, "one", 3), 3);
	assert_int_equal(session_on(&s, SESSION_SYNC, record), 0);
	assert_string_equal(published("/s"), "one");
	assert_int_equal(write(fd, "two", 3), 3);
	assert_string_equal(published("/s"), "one");
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_string_equal(published("/s"), "onetwo");
}

static void does_not_publish_what_is_unchanged(void **state)
{
	int fd, record, completes;

	(void)state;
	assert_int_equal(session_write(&s, "/t/u", "same"), 0);
	poll(NULL, 0, 30); /* past the tick that the write was stamped with */
	completes = atomic_load(&local_knobs->completes);
	fd = session_open(&s, "/t/u", O_WRONLY, 0);
	record = s.reply.record;
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_int_equal(atomic_load(&local_knobs->completes), completes);
	fd = session_open(&s, "/t/u", O_WRONLY, 0);
	assert_int_equal(pwrite(fd, "S", 1, 0), 1);
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_string_equal(published("/u"), "Same");
}

static int64_t cut(const char *path, int64_t n)
{
	return session_ask(&s, (struct session_request){.op = SESSION_TRUNCATE, .record = -1, .a = n}, path, NULL, 0);
}

static void does_not_publish_what_is_that_long_already(void **state)
{
	int completes;

	(void)state;
	assert_int_equal(session_write(&s, "/t/cut", "four"), 0);
	assert_int_equal(session_write(&s, "/t/none", ""), 0);
	put_outside("/other", "four", 4);
	completes = atomic_load(&local_knobs->completes);
	assert_int_equal(cut("/t/cut", 4), 0);
	assert_int_equal(cut("/t/none", 0), 0);
	assert_int_equal(cut("/t/other", 4), 0);
	assert_int_equal(atomic_load(&local_knobs->completes), completes);
	/* said lately to be as long as that, and written over outside since */
	put_outside("/other", "longer", 6);
	assert_int_equal(cut("/t/other", 4), 0);
	assert_string_equal(published("/other"), "long");
	assert_int_equal(cut("/t/cut", 3), 0);
	assert_string_equal(published("/cut"), "fou");
}

/* What its staging files' times tell, here. */
static struct stage_times times_here(void)
{
	int dir_fd = open(s.dir, O_RDONLY | O_DIRECTORY);
	struct stage_times times;
	struct stage *stage;

	assert_int_equal(stage_open(dir_fd, "", &stage), 0);
	times = stage_times(stage);
	stage_close(stage);
	close(dir_fd);
	return times;
}

/* Opened for both, as a database is to be asked; with so many bytes stored into a mapping of it. Was it published again? */
static bool publishes(const char *path, unsigned stored)
{
	int fd, record, completes = atomic_load(&local_knobs->completes);
	char *map;

	fd = session_open(&s, path, O_RDWR, 0);
	record = s.reply.record;
	map = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(*(volatile char *)map, 'b');
	memset(map, 'b', stored);
	munmap(map, 1);
	assert_int_equal(session_close(&s, fd, record), 0);
	return atomic_load(&local_knobs->completes) != completes;
}

static void publishes_what_a_mapping_changed(void **state)
{
	struct stage_times times = times_here();
	int fd, record;
	char *map;

	(void)state;
	put_outside("/base", "base", 4);
	assert_int_equal(publishes("/t/base", 0), !times.mapped || !times.each);
	poll(NULL, 0, 30); /* past the tick of the fetch: now an earlier kernel tells, too */
	assert_int_equal(publishes("/t/base", 0), !times.mapped);
	assert_true(publishes("/t/base", 1));
	/* A mapping that a sync has seen may be stored into again without a trace. */
	fd = session_open(&s, "/t/base", O_RDWR, 0);
	record = s.reply.record;
	map = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	map[1] = 'A';
	poll(NULL, 0, 30);
	assert_int_equal(session_on(&s, SESSION_SYNC, record), 0);
	assert_string_equal(published("/base"), "bAse");
	map[1] = 'i';
	munmap(map, 4);
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_string_equal(published("/base"), "bise");
}

static void names(void **state)
{
	struct session_request head = {.op = SESSION_RENAME, .record = -1};
	int fd, record;

	(void)state;
	assert_int_equal(session_ask(&s, (struct session_request){.op = SESSION_MKDIR, .record = -1, .mode = 0755},
				     "/t/d", NULL, 0),
			 0);
	assert_int_equal(session_op(&s, SESSION_MKDIR, "/t/d"), -EEXIST);
	fd = session_open(&s, "/t/d/a", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	assert_int_equal(session_op(&s, SESSION_RMDIR, "/t/d"), -ENOTEMPTY);
	/* a renamed directory carries what is pending below it */
	assert_int_equal(session_ask(&s, head, "/t/d", "/t/e", 5), 0);
	assert_string_equal(s.records->record[record].path, "/t/e/a");
	assert_int_equal(write(fd, "a", 1), 1);
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_string_equal(published("/e/a"), "a");
	/* over a pending one */
	fd = session_open(&s, "/t/e/b", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	assert_int_equal(write(fd, "lost", 4), 4);
	assert_int_equal(session_ask(&s, head, "/t/e/a", "/t/e/b", 7), 0);
	assert_int_equal(atomic_load(&s.records->record[record].deleted), 1);
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_string_equal(published("/e/b"), "a");
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/e/a"), -ENOENT);
	/* removed while pending */
	fd = session_open(&s, "/t/e/c", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	assert_int_equal(session_op(&s, SESSION_UNLINK, "/t/e/c"), 0);
	assert_int_equal(access(outside("/e/c"), F_OK), -1);
	session_on(&s, SESSION_NAME, record);
	assert_string_equal(s.in, "/t/e/c (deleted)");
	assert_int_equal(session_write(&s, "/t/e/c", "again"), 0);
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_string_equal(published("/e/c"), "again");
	assert_int_equal(session_op(&s, SESSION_UNLINK, "/t/e"), -EISDIR);
	assert_int_equal(session_op(&s, SESSION_RMDIR, "/t/e/c"), -ENOTDIR);
}

static int listed(const char *path, char names[][256], int max)
{
	int fd = session_open(&s, path, O_RDONLY | O_DIRECTORY, 0), record = s.reply.record, n = 0;
	int64_t at = 0, rc;

	assert_true(fd >= 0);
	assert_int_equal(s.reply.kind, SESSION_DIRECTORY);
	while ((rc = session_ask(&s, (struct session_request){.op = SESSION_LIST, .record = record, .a = at, .b = 256},
				 NULL, NULL, 0)) > 0) {
		for (unsigned i = 0; i < s.reply.bytes;) {
			const struct session_dirent *d = (const struct session_dirent *)(s.in + i);

			if (n < max)
				strcpy(names[n++], d->name);
			i += d->bytes;
		}
		at += rc;
	}
	assert_int_equal(rc, 0);
	assert_int_equal(n, at);
	close(fd);
	return n;
}

static bool is_gone(const void *path)
{
	return access(outside(path), F_OK) != 0;
}

/* A replacement is a removal and a renaming on the server, who is asked in between, and answers when it is done. */
static void lists_what_is_replaced_meanwhile(void **state)
{
	char names[64][256];
	bool found = false;
	int fd;

	(void)state;
	put_outside("/f", "old", 3);
	fd = session_open(&s, "/t/f", O_WRONLY | O_TRUNC, 0);
	assert_int_equal(write(fd, "new", 3), 3);
	atomic_store(&local_knobs->rename_ms, 100);
	atomic_store(&local_knobs->list_ms, 400);
	close(fd);
	assert_true(eventually(is_gone, "/f"));
	for (int n = listed("/t", names, 64); n-- > 0;)
		found |= !strcmp(names[n], "f");
	assert_true(found);
	assert_string_equal(published("/f"), "new");
}

static void lists_pending_files_and_hides_ours(void **state)
{
	char names[64][256];
	int fd, stats;

	(void)state;
	for (int i = 0; i < 10; i++) {
		char name[16];

		snprintf(name, sizeof name, "/f%d", i);
		put_outside(name, "x", 1);
	}
	put_outside("/.slipstream-0123456789abcdef", "x", 1);
	fd = session_open(&s, "/t/pending", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(listed("/t", names, 64), 13);
	assert_string_equal(names[0], ".");
	assert_string_equal(names[1], "..");
	assert_string_equal(names[12], "pending");
	stats = atomic_load(&local_knobs->stats);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/f3"), 0);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/f7"), 0);
	assert_int_equal(atomic_load(&local_knobs->stats), stats); /* the listing told */
	close(fd);
}

static void frees_records_of_the_gone(void **state)
{
	static char big[300000];
	int fd, record, copy;
	struct stat st;

	(void)state;
	fd = session_open(&s, "/t", O_RDONLY, 0);
	record = s.reply.record;
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISDIR(st.st_mode) && st.st_nlink == 0);
	copy = dup(fd);
	close(fd);
	poll(NULL, 0, 50);
	assert_false(record_is_free(&record));
	close(copy);
	assert_true(eventually(record_is_free, &record));
	put_outside("/big", big, sizeof big);
	for (int i = 0; i < 3; i++) {
		fd = session_open(&s, "/t/big", O_RDONLY, 0);
		record = s.reply.record;
		assert_int_equal(s.reply.kind, SESSION_RANGE);
		assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, 3);
		close(fd);
		assert_true(eventually(record_is_free, &record));
	}
}

/* Root's own reading of everything below /dev/shm, as a backup or grep -r does it. */
static void is_not_misled_by_who_reads_its_slots(void **state)
{
	static char big[300000];
	int fd, record, other, other_record, slots, foreign, seen = 0;
	struct dirent *e;
	char name[80];
	DIR *dir;

	(void)state;
	put_outside("/a", big, sizeof big);
	put_outside("/b", big, sizeof big);
	fd = session_open(&s, "/t/a", O_RDONLY, 0);
	record = s.reply.record;
	assert_int_equal(s.reply.kind, SESSION_RANGE);
	for (int round = 0; round < 3; round++) {
		snprintf(name, sizeof name, "%s/slots", s.dir);
		dir = opendir(name);
		while ((e = readdir(dir)))
			if (*e->d_name != '.' && (foreign = openat(dirfd(dir), e->d_name, O_RDONLY)) >= 0) {
				close(foreign);
				seen++;
			}
		closedir(dir);
		poll(NULL, 0, 100);
		assert_false(record_is_free(&record));
		other = session_open(&s, "/t/b", O_RDONLY, 0);
		other_record = s.reply.record;
		assert_int_equal(session_find(&s, fd), record);
		assert_int_equal(session_find(&s, other), other_record);
		assert_int_not_equal(record, other_record);
		close(other);
		assert_true(eventually(record_is_free, &other_record));
	}
	assert_true(seen || geteuid());
	close(fd);
	assert_true(eventually(record_is_free, &record));
	slots = 0;
	dir = opendir(name);
	while ((e = readdir(dir)))
		slots += *e->d_name != '.';
	closedir(dir);
	assert_true(slots <= 2); /* what was looked into is not used again */
}

static int64_t range_read(int record, int64_t off, int64_t n, unsigned flags)
{
	return session_ask(
		&s, (struct session_request){.op = SESSION_READ, .record = record, .flags = flags, .a = off, .b = n},
		NULL, NULL, 0);
}

#define PAGE 65536

static size_t cache_map(const struct session_cache **cache)
{
	struct session_hello hello;

	session_ask(&s, (struct session_request){.op = SESSION_HELLO, .record = -1, .a = SESSION_VERSION}, NULL, NULL,
		    0);
	memcpy(&hello, s.in, sizeof hello);
	*cache = mmap(NULL, hello.cache_bytes, PROT_READ, MAP_SHARED, s.got, 0);
	assert_true(*cache != MAP_FAILED);
	close(s.got);
	return hello.cache_bytes;
}

/* Where the page is; NULL: nowhere. */
static const char *cached(const struct session_cache *cache, uint64_t content, uint64_t number)
{
	uint64_t first = (uint64_t)session_set(cache, content, number) * SESSION_WAYS;

	for (uint64_t i = first; i < first + SESSION_WAYS; i++)
		if (cache->page[i].content == content && cache->page[i].number == number)
			return (const char *)cache + cache->first_page + i * PAGE;
	return NULL;
}

static uint64_t record_content(int record)
{
	return atomic_load(&s.records->record[record].content);
}

/* From one end to the other, as a program does it. */
static void read_through(const struct session_cache *cache, int record, const char *expected)
{
	for (int64_t off = 0, n; (n = range_read(record, off, PAGE, 0)) != 0;) {
		const char *page = cached(cache, record_content(record), (uint64_t)off / PAGE);

		assert_true(n > 0);
		if (s.reply.flags & REPLY_INLINE)
			assert_memory_equal(s.in, expected + off, n);
		else if (page)
			assert_memory_equal(page + off % PAGE, expected + off, n);
		else
			continue; /* its pages are kept elsewhere from now on: once more */
		off += n;
	}
}

static void reads_by_range(void **state)
{
	static char big[700000];
	const struct session_cache *cache;
	size_t bytes;
	int fd, record;

	(void)state;
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i * 31 + i / 4096);
	put_outside("/r", big, sizeof big);
	bytes = cache_map(&cache);
	fd = session_open(&s, "/t/r", O_RDONLY, 0);
	record = s.reply.record;
	assert_true(record_content(record));
	read_through(cache, record, big);
	assert_int_equal(range_read(record, 500000, 1000, 1), 1000);
	assert_true(s.reply.flags & REPLY_INLINE);
	assert_memory_equal(s.in, big + 500000, 1000);
	assert_int_equal(range_read(record, sizeof big, 1, 0), 0);
	/* content-backed after all: for mmap */
	assert_int_equal(session_on(&s, SESSION_CONTENT, record), 0);
	assert_int_equal(s.reply.kind, SESSION_STAGED);
	char *map = mmap(NULL, sizeof big, PROT_READ, MAP_PRIVATE, s.got, 0);

	assert_memory_equal(map, big, sizeof big);
	munmap(map, sizeof big);
	close(s.got);
	close(fd);
	munmap((void *)cache, bytes);
}

static void what_cannot_stay_leaves_the_rest_in_the_cache(void **state)
{
	enum { SMALL = 11 * PAGE, LARGE = 200 * PAGE }; /* the cache has 128 pages */
	char *large = malloc(LARGE);
	const struct session_cache *cache;
	size_t bytes = cache_map(&cache), stay = 0;
	int small, small_record, fd[2], record[2];

	(void)state;
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)(i * 7 + i / PAGE);
	put_outside("/small", large, SMALL);
	put_outside("/large", large, LARGE);
	small = session_open(&s, "/t/small", O_RDONLY, 0);
	small_record = s.reply.record;
	read_through(cache, small_record, large);
	assert_false(record_content(small_record) & SESSION_STREAM);
	for (int i = 0; i < 2; i++) {
		fd[i] = session_open(&s, "/t/large", O_RDONLY, 0);
		record[i] = s.reply.record;
		read_through(cache, record[i], large);
		assert_true(record_content(record[i]) & SESSION_STREAM);
	}
	assert_int_not_equal(record_content(record[0]), record_content(record[1]));
	for (uint64_t i = 0; i < SMALL / PAGE; i++)
		stay += cached(cache, record_content(small_record), i) != NULL;
	assert_true(stay >= SMALL / PAGE - 2 * SESSION_STREAM_SETS); /* a stream's sets may be some of these */

	/* Who goes somewhere else reads like anybody. */
	assert_true(range_read(record[0], 3 * PAGE, PAGE, 0) > 0);
	assert_int_equal(record_content(record[0]) & SESSION_STREAM, 0);
	assert_memory_equal(cached(cache, record_content(record[0]), 3), large + (size_t)3 * PAGE, PAGE);
	read_through(cache, record[0], large);
	for (int i = 0; i < 2; i++)
		close(fd[i]);
	close(small);
	munmap((void *)cache, bytes);
	free(large);
}

static void range_readers_see_what_is_written_and_keep_what_is_removed(void **state)
{
	static char big[300000];
	int fd, record, writer, staged;

	(void)state;
	memset(big, 'o', sizeof big);
	put_outside("/r", big, sizeof big);
	fd = session_open(&s, "/t/r", O_RDONLY, 0);
	record = s.reply.record;
	writer = session_open(&s, "/t/r", O_RDWR, 0);
	staged = s.reply.record;
	assert_int_equal(record_content(record), 0);
	assert_int_equal(pwrite(writer, "new", 3, 0), 3);
	assert_int_equal(range_read(record, 0, 10, 0), 10);
	assert_true(s.reply.flags & REPLY_INLINE);
	assert_memory_equal(s.in, "newooooooo", 10);
	assert_int_equal(session_close(&s, writer, staged), 0);
	close(fd);

	put_outside("/q", big, sizeof big);
	fd = session_open(&s, "/t/q", O_RDONLY, 0);
	record = s.reply.record;
	assert_int_equal(session_op(&s, SESSION_UNLINK, "/t/q"), 0);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/q"), -ENOENT);
	assert_int_equal(atomic_load(&s.records->record[record].deleted), 1);
	assert_int_equal(range_read(record, 200000, 10, 1), 10);
	assert_memory_equal(s.in, "oooooooooo", 10);
	close(fd);
	assert_true(eventually(record_is_free, &record));
}

/* The answer that is kept for whoever asks again; NULL: none that is still true. */
static const struct session_name *kept(const char *path)
{
	uint64_t hash = session_name_hash(path, strlen(path));
	const struct session_name *name = &s.records->name[(size_t)session_name_set(hash) * SESSION_NAME_WAYS];

	for (unsigned i = 0; i < SESSION_NAME_WAYS; i++, name++)
		if (name->hash == (uint32_t)hash && !strcmp(name->path, path) &&
		    name->generation == atomic_load(&s.records->generation) && name->until_ms > now_ms())
			return name;
	return NULL;
}

static void answers_are_kept_until_something_changes(void **state)
{
	int dir, record, fd;

	(void)state;
	put_outside("/f", "four", 4);
	put_outside("/g", "fifth", 5);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/f"), 0);
	assert_int_equal(kept("/t/f")->rc, 0);
	assert_int_equal(kept("/t/f")->attr.size, 4);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/none"), -ENOENT);
	assert_int_equal(kept("/t/none")->rc, -ENOENT);
	assert_null(kept("/t/g"));
	dir = session_open(&s, "/t", O_RDONLY, 0);
	record = s.reply.record;
	assert_true(session_ask(&s, (struct session_request){.op = SESSION_LIST, .record = record, .b = 4096}, NULL,
				NULL, 0) > 0);
	close(dir);
	assert_int_equal(kept("/t/g")->attr.size, 5);

	assert_int_equal(session_op(&s, SESSION_MKDIR, "/t/d"), 0);
	assert_null(kept("/t/f"));
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/f"), 0);
	assert_non_null(kept("/t/f"));
	fd = session_open(&s, "/t/f", O_WRONLY, 0);
	record = s.reply.record;
	assert_null(kept("/t/f"));
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/f"), 0);
	assert_null(kept("/t/f")); /* its size is the kernel's to tell */
	assert_int_equal(session_close(&s, fd, record), 0);
}

static bool nothing_hidden(const void *unused)
{
	DIR *dir = opendir(root);
	struct dirent *e;
	bool none = true;

	(void)unused;
	while ((e = readdir(dir)))
		none &= strncmp(e->d_name, ".slipstream-", 12) != 0;
	closedir(dir);
	return none;
}

static void gives_local_blocks(void **state)
{
	int a, b, record;

	(void)state;
	atomic_store(&local_knobs->local, 1);
	put_outside("/l", "local", 5);
	a = session_open(&s, "/t/l", O_RDONLY, 0);
	record = s.reply.record;
	assert_int_equal(s.reply.kind, SESSION_LOCAL);
	b = session_open(&s, "/t/l", O_RDONLY, 0);
	assert_int_equal(s.reply.record, record);
	assert_int_equal(lseek(a, 3, SEEK_SET), 3);
	assert_int_equal(lseek(b, 0, SEEK_CUR), 0); /* descriptions of their own */
	assert_string_equal(read_fd(b), "local");
	close(a);
	close(b);
}

static void follows_links(void **state)
{
	(void)state;
	assert_int_equal(session_ask(&s, (struct session_request){.op = SESSION_MKDIR, .record = -1, .mode = 0755},
				     "/t/d", NULL, 0),
			 0);
	assert_int_equal(session_write(&s, "/t/d/f", "there"), 0);
	assert_int_equal(
		session_ask(&s, (struct session_request){.op = SESSION_SYMLINK, .record = -1}, "/t/rel", "d/f", 4), 0);
	assert_int_equal(
		session_ask(&s, (struct session_request){.op = SESSION_SYMLINK, .record = -1}, "/t/dir", "/t/d", 5), 0);
	assert_int_equal(session_ask(&s, (struct session_request){.op = SESSION_SYMLINK, .record = -1}, "/t/out",
				     "/etc/passwd", 12),
			 0);
	assert_int_equal(
		session_ask(&s, (struct session_request){.op = SESSION_SYMLINK, .record = -1}, "/t/loop", "loop", 5),
		0);
	assert_int_equal(session_ask(&s, (struct session_request){.op = SESSION_SYMLINK, .record = -1}, "/t/dangling",
				     "d/new", 6),
			 0);
	cat("/t/rel", "there");
	cat("/t/dir/f", "there");
	assert_int_equal(session_write(&s, "/t/dir/g", "through"), 0);
	assert_string_equal(published("/d/g"), "through");
	assert_int_equal(session_write(&s, "/t/dangling", "made"), 0);
	assert_string_equal(published("/d/new"), "made");
	assert_int_equal(session_op(&s, SESSION_UNLINK, "/t/dir/g"), 0);
	assert_null(published("/d/g"));
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/out"), SESSION_ELSEWHERE);
	assert_string_equal(s.in, "/etc/passwd");
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/loop"), -ELOOP);
	assert_int_equal(session_open(&s, "/t/rel", O_RDONLY | O_NOFOLLOW, 0), -ELOOP);
	assert_int_equal(session_op(&s, SESSION_READLINK, "/t/rel"), 3);
	assert_string_equal(s.in, "d/f");
	assert_int_equal(session_op(&s, SESSION_READLINK, "/t/d/f"), -EINVAL);
}

static void keeps_attributes(void **state)
{
	const struct timespec times[2] = {{1000, 5}, {2000, 7}};
	struct session_request head = {.op = SESSION_UTIMENS, .record = -1};
	struct stat st;
	int fd, record;

	(void)state;
	put_outside("/a", "a", 1);
	assert_int_equal(session_ask(&s, head, "/t/a", times, sizeof times), 0);
	assert_int_equal(session_ask(&s, (struct session_request){.op = SESSION_CHMOD, .record = -1, .mode = 04711},
				     "/t/a", NULL, 0),
			 0);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/a"), 0);
	assert_int_equal(s.reply.attr.mode, S_IFREG | 04711);
	assert_true(s.reply.attr.mtime_ns == 2000000000007);
	assert_int_equal(stat(outside("/a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	/* of a pending file: told when it is published */
	fd = session_open(&s, "/t/b", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	assert_int_equal(session_ask(&s, (struct session_request){.op = SESSION_CHMOD, .record = record, .mode = 0644},
				     NULL, NULL, 0),
			 0);
	assert_int_equal(session_ask(&s, (struct session_request){.op = SESSION_UTIMENS, .record = record}, NULL, times,
				     sizeof times),
			 0);
	assert_int_equal(session_close(&s, fd, record), 0);
	assert_int_equal(stat(outside("/b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/b"), 0);
	assert_true(s.reply.attr.mtime_ns == 2000000000007);
	assert_int_equal(session_ask(&s, (struct session_request){.op = SESSION_TRUNCATE, .record = -1, .a = 3}, "/t/b",
				     NULL, 0),
			 0);
	assert_int_equal(stat(outside("/b"), &st), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(session_op(&s, SESSION_STATFS, "/t"), 0);
}

/* Its staging file goes to make room for others, and the server has times of its own. */
static void keeps_the_times_of_what_it_published(void **state)
{
	struct session_attr attr;
	char name[32];

	(void)state;
	assert_int_equal(session_write(&s, "/t/first", "x"), 0);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/first"), 0);
	attr = s.reply.attr;
	for (int i = 0; i < 1100; i++) {
		snprintf(name, sizeof name, "/t/%d", i);
		assert_int_equal(session_write(&s, name, "x"), 0);
	}
	assert_true(session_op(&s, SESSION_STATUS, NULL) >= 0);
	assert_true(atoi(strstr(s.in, "staged ") + 7) < 1100);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/first"), 0);
	assert_true(s.reply.attr.mtime_ns == attr.mtime_ns && s.reply.attr.ctime_ns == attr.ctime_ns);
	assert_int_equal(s.reply.attr.ino, attr.ino);
	assert_int_equal(session_ask(&s, (struct session_request){.op = SESSION_CHMOD, .record = -1, .mode = 0600},
				     "/t/first", NULL, 0),
			 0);
	assert_int_equal(session_op(&s, SESSION_STAT, "/t/first"), 0);
	assert_true(s.reply.attr.mtime_ns == attr.mtime_ns && s.reply.attr.ctime_ns > attr.ctime_ns);
}

static void tells_what_failed(void **state)
{
	(void)state;
	atomic_store(&local_knobs->fail_complete, 1); /* transient: tried again */
	assert_int_equal(session_write(&s, "/t/again", "x"), 0);
	assert_string_equal(published("/again"), "x");
	atomic_store(&local_knobs->fail_complete, 100);
	assert_int_equal(session_write(&s, "/t/bad", "kept"), -EIO);
	assert_int_equal(session_op(&s, SESSION_SETTLE, NULL), 1);
	assert_non_null(strstr(s.in, "/t/bad: Input/output error"));
	cat("/t/bad", "kept"); /* nothing is lost */
	atomic_store(&local_knobs->fail_complete, 0);
	assert_int_equal(session_write(&s, "/t/bad", "better"), 0);
	assert_string_equal(published("/bad"), "better");
	assert_int_equal(session_op(&s, SESSION_SETTLE, NULL), 0);
	assert_true(eventually(nothing_hidden, NULL));
}

static void a_new_keeper_goes_on(void **state)
{
	static char big[300000];
	int range, staged, dir, writer, fd, range_record, dir_record, record;

	(void)state;
	memset(big, 'r', sizeof big);
	put_outside("/range", big, sizeof big);
	range = session_open(&s, "/t/range", O_RDONLY, 0);
	range_record = s.reply.record;
	dir = session_open(&s, "/t", O_RDONLY, 0);
	dir_record = s.reply.record;
	staged = session_open(&s, "/t/closed", O_WRONLY | O_CREAT, 0600);
	writer = session_open(&s, "/t/open", O_WRONLY | O_CREAT, 0600);
	record = s.reply.record;
	assert_int_equal(write(staged, "closed", 6), 6);
	assert_int_equal(write(writer, "open", 4), 4);
	kill(s.keeper, SIGKILL);
	session_reap(&s);
	close(staged); /* nobody sees it */
	close(s.fd);
	s.fd = -1;
	session_keeper(&s, keeper_child);
	assert_true(eventually(is_published, "/closed"));
	assert_string_equal(published("/closed"), "closed");
	assert_null(published("/open"));
	assert_int_equal(session_find(&s, writer), record);
	assert_int_equal(write(writer, "ed", 2), 2);
	assert_int_equal(session_close(&s, writer, record), 0);
	assert_string_equal(published("/open"), "opened");
	assert_int_equal(session_find(&s, range), range_record);
	assert_int_equal(range_read(range_record, 1000, 4, 1), 4);
	assert_memory_equal(s.in, "rrrr", 4);
	assert_true(session_ask(&s, (struct session_request){.op = SESSION_LIST, .record = dir_record, .a = 2}, NULL,
				NULL, 0) > 0);
	close(dir);
	assert_true(eventually(record_is_free, &dir_record));
	close(range);
	assert_true(eventually(record_is_free, &range_record));
	fd = session_open(&s, "/t/closed", O_RDONLY, 0);
	assert_string_equal(read_fd(fd), "closed");
	close(fd);
}

static void one_keeper_and_it_leaves(void **state)
{
	struct session other = s;
	int fd, status = 0;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid) {
		dup2(open("/dev/null", O_WRONLY), 2);
		_exit(keeper_child(&other, -1));
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 1);
	fd = session_open(&s, "/t/left", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	close(s.alive[1]);
	s.alive[1] = -1;
	close(s.fd);
	s.fd = -1;
	poll(NULL, 0, 300);
	assert_int_equal(kill(s.keeper, 0), 0); /* not while somebody has a file */
	close(fd);
	assert_int_equal(session_reap(&s), 0);
	assert_string_equal(published("/left"), "x");
	assert_int_equal(access(s.dir, F_OK), -1);
}

static void terminates_when_told(void **state)
{
	int fd = session_open(&s, "/t/x", O_WRONLY | O_CREAT, 0600);

	(void)state;
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	kill(s.keeper, SIGTERM);
	assert_int_equal(session_reap(&s), 0);
	assert_string_equal(published("/x"), "x");
}

/* Nobody waits for these uploads; who takes the name away has no use for them. */
static void an_upload_gives_way_to_who_takes_its_name(void **state)
{
	(void)state;
	put_outside("/f", "old", 3);
	atomic_store(&local_knobs->write_ms, 50);
	for (int i = 0; i < 6; i++) {
		int fd = session_open(&s, "/t/f", O_WRONLY | O_CREAT | O_TRUNC, 0644);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, "new", 3), 3);
		close(fd);
		poll(NULL, 0, i * 5);
		if (i % 2)
			assert_int_equal(session_write(&s, "/t/g", "over"), 0);
		assert_int_equal(i % 2 ? session_ask(&s, (struct session_request){.op = SESSION_RENAME, .record = -1},
						     "/t/g", "/t/f", 5)
				       : session_op(&s, SESSION_UNLINK, "/t/f"),
				 0);
		assert_int_equal(session_op(&s, SESSION_SETTLE, NULL), 0);
		if (i % 2)
			assert_string_equal(published("/f"), "over");
		else
			assert_null(published("/f"));
	}
	assert_true(eventually(nothing_hidden, NULL));
}

static void many_at_once(void **state)
{
	enum { PROCESSES = 8, FILES = 50 };

	(void)state;
	for (int p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		s.fd = -1;
		for (int i = 0; i < FILES; i++) {
			char name[32];

			snprintf(name, sizeof name, "/t/%d-%d", p, i);
			if (session_write(&s, name, name))
				_exit(1);
			if (i % 3 == 0 && session_op(&s, SESSION_UNLINK, name))
				_exit(2);
			if (session_write(&s, "/t/shared", name))
				_exit(3);
		}
		_exit(0);
	}
	for (int p = 0, status; p < PROCESSES; p++) {
		wait(&status);
		assert_int_equal(status, 0);
	}
	for (int p = 0; p < PROCESSES; p++)
		for (int i = 0; i < FILES; i++) {
			char name[32];

			snprintf(name, sizeof name, "/%d-%d", p, i);
			if (i % 3)
				assert_string_equal(published(name) + 2, name);
			else
				assert_null(published(name));
		}
	assert_int_equal(session_op(&s, SESSION_SETTLE, NULL), 0);
	assert_true(eventually(nothing_hidden, NULL));
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(says_hello),
		T(refuses_nonsense),
		T(outlives_nonsense),
		T(publishes_at_close),
		T(tells_errors_at_open),
		T(replaces_only_when_complete),
		T(appends_to_what_is_there),
		T(waits_for_the_last_writer),
		T(waits_for_a_mapping),
		T(lets_a_writer_back_in),
		T(close_waits_though_its_directory_moves),
		T(merged_events_and_none_at_all),
		T(a_full_table_recovers),
		T(syncs_and_goes_on),
		T(does_not_publish_what_is_unchanged),
		T(does_not_publish_what_is_that_long_already),
		T(publishes_what_a_mapping_changed),
		cmocka_unit_test_setup_teardown(publishes_what_a_mapping_changed, start_on_disk, stop_on_disk),
		T(names),
		T(lists_pending_files_and_hides_ours),
		T(lists_what_is_replaced_meanwhile),
		T(frees_records_of_the_gone),
		T(is_not_misled_by_who_reads_its_slots),
		T(reads_by_range),
		T(what_cannot_stay_leaves_the_rest_in_the_cache),
		T(answers_are_kept_until_something_changes),
		T(range_readers_see_what_is_written_and_keep_what_is_removed),
		T(gives_local_blocks),
		T(follows_links),
		T(keeps_attributes),
		T(keeps_the_times_of_what_it_published),
		T(tells_what_failed),
		T(a_new_keeper_goes_on),
		T(one_keeper_and_it_leaves),
		T(terminates_when_told),
		T(an_upload_gives_way_to_who_takes_its_name),
		T(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
