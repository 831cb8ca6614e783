/* test_client.c: the client library against an embedded server, well and unwell. */
#include "client/backend.h"
#include "client/client.h"
#include "client/log.h"
#include "client/slipstream.h"
#include "tests/backend/fixture.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define KIB   1024
#define BLOCK (256 * KIB)
#define CHUNK (64 * KIB)

static struct fixture server;
static struct slip_client *client;

static struct slip_client *connect_to(const char *master, const char *more)
{
	char mounts[256];
	const char *overrides[] = {mounts,
				   "BLOCK_SIZE=256K",
				   "CHUNK_SIZE=64K",
				   "RPC_TIMEOUT=5s",
				   "CONNECT_TIMEOUT=2s",
				   "METADATA_TTL_MS=0",
				   more ? more : "WORKER_POOL=2",
				   NULL};
	struct slip_client *c;

	snprintf(mounts, sizeof mounts, "MOUNTS=/g=goosefs://%s/", master);
	assert_int_equal(slip_client_new(overrides, &c), 0);
	return c;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static unsigned char *pattern(size_t n, unsigned seed)
{
	unsigned char *data = malloc(n + 1);
	uint32_t x = seed * 2654435761u + 1;

	assert_non_null(data);
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (unsigned char)(x >> 24);
	}
	return data;
}

static int write_whole(struct slip_client *c, const char *path, const void *data, size_t n, size_t piece)
{
	struct slip_file *f;
	int rc = slip_open(c, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &f);

	if (rc)
		return rc;
	for (size_t off = 0; off < n; off += piece) {
		size_t part = n - off < piece ? n - off : piece;
		ssize_t put = slip_write(f, (const char *)data + off, part);

		if (put < 0) {
			slip_abort(f);
			return (int)put;
		}
		assert_int_equal(put, part);
	}
	return slip_close(f);
}

static void expect_content(struct slip_client *c, const char *path, const unsigned char *data, size_t n, size_t piece)
{
	unsigned char *buf = malloc(piece);
	struct slip_file *f;
	size_t off = 0;
	ssize_t got;

	assert_non_null(buf);
	assert_int_equal(slip_open(c, path, O_RDONLY, 0, &f), 0);
	while ((got = slip_read(f, buf, piece)) > 0) {
		assert_true(off + (size_t)got <= n);
		assert_memory_equal(buf, data + off, got);
		off += (size_t)got;
	}
	assert_int_equal(got, 0);
	assert_int_equal(off, n);
	assert_int_equal(slip_close(f), 0);
	free(buf);
}

static void create(const char *path, const char *text)
{
	assert_int_equal(write_whole(client, path, text, strlen(text), 4096), 0);
}

static void expect_text(const char *path, const char *text)
{
	expect_content(client, path, (const unsigned char *)text, strlen(text), 4096);
}

static void sizes(void **state)
{
	static const size_t sizes[] = {0,      1,         CHUNK - 1,     CHUNK,     CHUNK + 1,     BLOCK - 1,
				       BLOCK,  BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK + CHUNK,
				       1000003};
	static const size_t pieces[] = {4096, 65537, 1 << 20};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		unsigned char *data = pattern(sizes[i], (unsigned)i);

		for (size_t p = 0; p < 3; p++) {
			struct slip_stat st;
			char path[64];

			snprintf(path, sizeof path, "/g/size-%zu-%zu", sizes[i], pieces[p]);
			assert_int_equal(write_whole(client, path, data, sizes[i], pieces[p]), 0);
			assert_int_equal(slip_stat(client, path, &st), 0);
			assert_int_equal(st.size, sizes[i]);
			assert_true(st.complete);
			expect_content(client, path, data, sizes[i], pieces[(p + 1) % 3]);
			assert_int_equal(slip_unlink(client, path), 0);
		}
		free(data);
	}
}

/* Every pattern of reads gives the bytes of the reference. */
static void seeks(void **state)
{
	enum { N = 5 * BLOCK + 12345 };
	unsigned char *data = pattern(N, 7), *buf = malloc(N);
	struct slip_file *f;
	uint32_t x = 1;

	(void)state;
	assert_int_equal(write_whole(client, "/g/seeks", data, N, N), 0);
	assert_int_equal(slip_open(client, "/g/seeks", O_RDONLY, 0, &f), 0);
	for (unsigned i = 0; i < 400; i++) {
		int64_t off;
		size_t n, left;
		ssize_t got;

		x = x * 1664525 + 1013904223;
		off = slip_seek(f, 0, SEEK_CUR);
		switch (x >> 29) {
		case 0: /* anywhere */
			off = x % N;
			break;
		case 1: /* a little back */
			off = off > 5000 ? off - (int64_t)(x % 5000) : 0;
			break;
		case 2: /* a little on */
			off += x % 9000;
			break;
		case 3: /* around a block border */
			off = BLOCK * (x % 5) + x % 64 - 32 + (x % 5 ? 0 : 32);
			break;
		default: /* read on */
			break;
		}
		if (off > N)
			off = 0;
		n = 1 + (x >> 7) % (x & 1 ? 3 * CHUNK : 700);
		left = (size_t)(N - off);
		assert_int_equal(slip_seek(f, off, SEEK_SET), off);
		got = x & 2 ? slip_pread(f, buf, n, off) : slip_read(f, buf, n);
		assert_int_equal(got, n < left ? n : left);
		assert_memory_equal(buf, data + off, got);
	}
	assert_int_equal(slip_pread(f, buf, 10, N), 0);
	assert_int_equal(slip_pread(f, buf, 10, N + 1000000), 0);
	assert_int_equal(slip_pread(f, buf, 10, -1), -EINVAL);
	assert_int_equal(slip_seek(f, -5, SEEK_END), N - 5);
	assert_int_equal(slip_read(f, buf, 100), 5);
	assert_int_equal(slip_read(f, buf, 100), 0);
	assert_int_equal(slip_seek(f, -1, SEEK_SET), -EINVAL);
	slip_close(f);
	assert_int_equal(slip_unlink(client, "/g/seeks"), 0);
	free(buf);
	free(data);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static int count(void *context, const char *name, const struct slip_stat *st)
{
	(void)name;
	(void)st;
	++*(unsigned *)context;
	return 0;
}

static int stop_at_ten(void *context, const char *name, const struct slip_stat *st)
{
	count(context, name, st);
	return *(unsigned *)context == 10 ? 77 : 0;
}

static unsigned list(const char *path)
{
	unsigned n = 0;

	assert_int_equal(slip_list(client, path, count, &n), 0);
	return n;
}

static void directories(void **state)
{
	struct slip_stat st;
	unsigned n = 0;

	(void)state;
	assert_int_equal(slip_mkdir(client, "/g/d", 0750), 0);
	assert_int_equal(slip_mkdir(client, "/g/d", 0750), -EEXIST);
	assert_int_equal(slip_mkdir(client, "/g/none/d", 0750), -ENOENT);
	assert_int_equal(slip_stat(client, "/g/d", &st), 0);
	assert_int_equal(st.type, SLIP_DIRECTORY);
	assert_int_equal(st.mode, 0750);
	assert_int_equal(slip_stat(client, "/g/none", &st), -ENOENT);
	assert_true(*slip_last_error());
	assert_int_equal(slip_stat(client, "/g", &st), 0);
	assert_int_equal(st.type, SLIP_DIRECTORY);
	create("/g/d/f", "x");
	assert_int_equal(slip_stat(client, "/g/d/f/x", &st), -ENOTDIR);
	assert_int_equal(slip_list(client, "/g/d/f", count, &n), -ENOTDIR);
	assert_int_equal(slip_list(client, "/g/none", count, &n), -ENOENT);
	assert_int_equal(slip_rmdir(client, "/g/d"), -ENOTEMPTY);
	assert_int_equal(slip_unlink(client, "/g/d"), -EISDIR);
	assert_int_equal(slip_rmdir(client, "/g/d/f"), -ENOTDIR);
	assert_int_equal(slip_unlink(client, "/g/d/f"), 0);
	assert_int_equal(slip_unlink(client, "/g/d/f"), -ENOENT);
	assert_int_equal(slip_rmdir(client, "/g/d"), 0);
	assert_int_equal(slip_stat(client, "/elsewhere", &st), -ENOENT);
	assert_int_equal(slip_rmdir(client, "/g"), -EBUSY);
}

static void listing_a_thousand(void **state)
{
	unsigned n = 0;

	(void)state;
	assert_int_equal(slip_mkdir(client, "/g/many", 0755), 0);
	for (unsigned i = 0; i < 1000; i++) {
		char path[64];

		snprintf(path, sizeof path, "/g/many/%u", i);
		create(path, "");
	}
	assert_int_equal(list("/g/many"), 1000);
	assert_int_equal(slip_list(client, "/g/many", stop_at_ten, &n), 77);
	assert_int_equal(n, 10);
	assert_int_equal(slip_remove_tree(client, "/g/many"), 0);
	assert_int_equal(slip_list(client, "/g/many", count, &n), -ENOENT);
}

static void renaming(void **state)
{
	struct slip_stat a, b;

	(void)state;
	create("/g/a", "from a");
	create("/g/b", "from b");
	assert_int_equal(slip_stat(client, "/g/a", &a), 0);
	assert_int_equal(slip_rename(client, "/g/a", "/g/b", true), -EEXIST);
	assert_int_equal(slip_rename(client, "/g/a", "/g/b", false), 0);
	assert_int_equal(slip_stat(client, "/g/b", &b), 0);
	assert_true(a.id == b.id);
	expect_text("/g/b", "from a");
	assert_int_equal(slip_stat(client, "/g/a", &a), -ENOENT);
	assert_int_equal(slip_rename(client, "/g/a", "/g/b", false), -ENOENT);
	assert_int_equal(slip_rename(client, "/g/b", "/g/b", false), 0);
	assert_int_equal(slip_mkdir(client, "/g/dir", 0755), 0);
	assert_int_equal(slip_mkdir(client, "/g/dir2", 0755), 0);
	assert_int_equal(slip_rename(client, "/g/b", "/g/dir", false), -EISDIR);
	assert_int_equal(slip_rename(client, "/g/dir", "/g/b", false), -ENOTDIR);
	assert_int_equal(slip_rename(client, "/g/dir", "/g/dir/x", false), -EINVAL);
	assert_int_equal(slip_rename(client, "/g/dir", "/g/dir2", false), 0);
	create("/g/dir2/f", "x");
	assert_int_equal(slip_mkdir(client, "/g/dir", 0755), 0);
	assert_int_equal(slip_rename(client, "/g/dir", "/g/dir2", false), -ENOTEMPTY);
	assert_int_equal(slip_rename(client, "/g/b", "/g/dir/b", false), 0);
	assert_int_equal(slip_rename(client, "/g/b", "/elsewhere", false), -ENOENT);
	assert_int_equal(slip_remove_tree(client, "/g/dir"), 0);
	assert_int_equal(slip_remove_tree(client, "/g/dir2"), 0);
}

static void links(void **state)
{
	struct slip_stat st;
	struct slip_file *f;
	char target[256];

	(void)state;
	create("/g/target", "content");
	assert_int_equal(slip_symlink(client, "target", "/g/link"), 0);
	assert_int_equal(slip_symlink(client, "target", "/g/link"), -EEXIST);
	assert_int_equal(slip_stat(client, "/g/link", &st), 0);
	assert_int_equal(st.type, SLIP_SYMLINK);
	assert_int_equal(slip_readlink(client, "/g/link", target, sizeof target), 6);
	assert_string_equal(target, "target");
	assert_int_equal(slip_readlink(client, "/g/target", target, sizeof target), -EINVAL);
	expect_text("/g/link", "content");
	assert_int_equal(slip_symlink(client, "loop", "/g/loop"), 0);
	assert_int_equal(slip_open(client, "/g/loop", O_RDONLY, 0, &f), -ELOOP);
	assert_int_equal(slip_unlink(client, "/g/loop"), 0);
	assert_int_equal(slip_unlink(client, "/g/link"), 0);
	expect_text("/g/target", "content");
	assert_int_equal(slip_unlink(client, "/g/target"), 0);
}

static void names_of_all_kinds(void **state)
{
	static const char *const names[] = {"/g/äöü €", "/g/日本語", "/g/a b\tc", "/g/%s%n",
					    "/g/'\"\\", "/g/\x01",   "/g/..."};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		create(names[i], names[i]);
		expect_text(names[i], names[i]);
		assert_int_equal(slip_unlink(client, names[i]), 0);
	}
	assert_int_equal(list("/g"), 0);
}

/* A string of the protocol is UTF-8; a server may make one name of two that are not. */
static void names_that_are_none(void **state)
{
	static const char *const names[] = {"/g/\xff", "/g/a\xc3", "/g/\xc0\x80", "/g/\xed\xa0\x80",
					    "/g/\xf5\x80\x80\x80"};
	struct slip_stat st;
	struct slip_file *f;

	(void)state;
	create("/g/f", "x");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_int_equal(slip_open(client, names[i], O_WRONLY | O_CREAT, 0644, &f), -EILSEQ);
		assert_int_equal(slip_mkdir(client, names[i], 0755), -EILSEQ);
		assert_int_equal(slip_rename(client, "/g/f", names[i], false), -EILSEQ);
		assert_int_equal(slip_symlink(client, names[i], "/g/l"), -EILSEQ);
		assert_int_equal(slip_open(client, names[i], O_RDONLY, 0, &f), -ENOENT);
		assert_int_equal(slip_stat(client, names[i], &st), -ENOENT);
		assert_int_equal(slip_unlink(client, names[i]), -ENOENT);
	}
	assert_int_equal(slip_unlink(client, "/g/f"), 0);
	assert_int_equal(list("/g"), 0);
}

static void attributes(void **state)
{
	int64_t total = 0, used = -1;
	struct slip_stat st;

	(void)state;
	create("/g/f", "x");
	assert_int_equal(slip_chmod(client, "/g/f", 0601), 0);
	assert_int_equal(slip_stat(client, "/g/f", &st), 0);
	assert_int_equal(st.mode, 0601);
	assert_true(*st.owner);
	assert_true(st.mtime_ms > 1600000000000);
	assert_int_equal(slip_chmod(client, "/g/none", 0601), -ENOENT);
	assert_int_equal(slip_capacity(client, "/g", &total, &used), 0);
	assert_true(total > 0 && used >= 0);
	assert_int_equal(slip_unlink(client, "/g/f"), 0);
}

static void opening(void **state)
{
	struct slip_file *f, *g;
	char byte;

	(void)state;
	assert_int_equal(slip_open(client, "/g/new", O_RDONLY, 0, &f), -ENOENT);
	assert_int_equal(slip_open(client, "/g/new", O_WRONLY | O_TRUNC, 0, &f), -ENOENT);
	assert_int_equal(slip_open(client, "/g", O_RDONLY, 0, &f), -EISDIR);
	assert_int_equal(slip_open(client, "/g", O_WRONLY | O_CREAT | O_TRUNC, 0644, &f), -EISDIR);
	assert_int_equal(slip_open(client, "/g/new", O_RDWR, 0, &f), -EOPNOTSUPP);
	assert_int_equal(slip_open(client, "/g/new", O_WRONLY | O_CREAT | O_EXCL, 0640, &f), 0);
	assert_int_equal(slip_open(client, "/g/new", O_WRONLY | O_CREAT | O_EXCL, 0640, &g), -EEXIST);
	assert_int_equal(slip_open(client, "/g/new", O_RDONLY, 0, &g), -EBUSY);
	assert_int_equal(slip_write(f, "abc", 3), 3);
	assert_int_equal(slip_read(f, &byte, 1), -EBADF);
	assert_int_equal(slip_close(f), 0);
	expect_text("/g/new", "abc");
	assert_int_equal(slip_open(client, "/g/new", O_WRONLY, 0, &f), -EOPNOTSUPP);
	assert_int_equal(slip_open(client, "/g/new", O_RDONLY, 0, &f), 0);
	assert_int_equal(slip_write(f, "abc", 3), -EBADF);
	assert_int_equal(slip_close(f), 0);
	assert_int_equal(slip_unlink(client, "/g/new"), 0);
}

static void replacing_keeps_the_old_until_the_end(void **state)
{
	struct slip_stat st;
	struct slip_file *f;

	(void)state;
	create("/g/f", "old");
	assert_int_equal(slip_open(client, "/g/f", O_WRONLY | O_TRUNC, 0, &f), 0);
	assert_int_equal(slip_write(f, "newer", 5), 5);
	assert_int_equal(slip_fstat(f, &st), 0);
	assert_int_equal(st.size, 5);
	expect_text("/g/f", "old");
	assert_int_equal(list("/g"), 1); /* the other one is hidden */
	assert_int_equal(slip_close(f), 0);
	expect_text("/g/f", "newer");
	assert_int_equal(slip_open(client, "/g/f", O_WRONLY | O_TRUNC, 0, &f), 0);
	assert_int_equal(slip_write(f, "dropped", 7), 7);
	slip_abort(f);
	expect_text("/g/f", "newer");
	assert_int_equal(slip_open(client, "/g/g", O_WRONLY | O_CREAT, 0644, &f), 0);
	assert_int_equal(slip_write(f, "dropped", 7), 7);
	slip_abort(f);
	assert_int_equal(slip_stat(client, "/g/g", &st), -ENOENT);
	assert_int_equal(slip_unlink(client, "/g/f"), 0);
}

/* ---- the backend's own ------------------------------------------------------------------------------------------ */

static int refill_from(void *context, void *buf, size_t n, int64_t off)
{
	memcpy(buf, (char *)context + off, n);
	return 0;
}

static void resuming(void **state)
{
	const struct backend_ops *ops = &goosefs_backend;
	unsigned char *data = pattern(BLOCK + 10, 3);
	struct backend_writer *w;
	struct place at;
	uint64_t id;

	(void)state;
	assert_int_equal(place_find(client, "/g/r", &at), 0);
	assert_int_equal(ops->create(at.backend, at.path, 0644, &w, &id), 0);
	ops->writer_free(w);
	assert_int_equal(ops->resume(at.backend, at.path, id + 1, &w), -ESTALE);
	assert_int_equal(slip_rename(client, "/g/r", "/g/s", false), 0);
	assert_int_equal(ops->resume(at.backend, "/s", id, &w), 0);
	assert_int_equal(ops->writer_write(w, data, BLOCK + 10, refill_from, data), 0);
	assert_int_equal(ops->writer_complete(w, "/s"), 0);
	ops->writer_free(w);
	expect_content(client, "/g/s", data, BLOCK + 10, 10000);
	assert_int_equal(ops->resume(at.backend, "/s", id, &w), -EEXIST);
	assert_int_equal(slip_unlink(client, "/g/s"), 0);
	free(data);
}

static void local_blocks(void **state)
{
	const struct backend_ops *ops = &goosefs_backend;
	unsigned char *data = pattern(BLOCK, 5), buf[100];
	struct backend_file file;
	struct place at;
	int fd;

	(void)state;
	assert_int_equal(write_whole(client, "/g/one", data, 100, 100), 0);
	assert_int_equal(write_whole(client, "/g/two", data, BLOCK, 4096), 0);
	assert_int_equal(place_find(client, "/g/one", &at), 0);
	assert_int_equal(ops->lookup(at.backend, "/one", &file), 0);
	fd = ops->open_local(at.backend, &file);
	assert_true(fd >= 0);
	ops->release(at.backend, &file);
	assert_int_equal(slip_unlink(client, "/g/one"), 0);
	assert_int_equal(read(fd, buf, sizeof buf), 100); /* the descriptor keeps it */
	assert_memory_equal(buf, data, 100);
	close(fd);
	assert_int_equal(slip_unlink(client, "/g/two"), 0);
	free(data);
}

/* ---- many at once ----------------------------------------------------------------------------------------------- */

static void *one_of_many(void *argument)
{
	unsigned me = (unsigned)(uintptr_t)argument;
	size_t n = BLOCK + me * 7001;
	unsigned char *data = pattern(n, me);
	char path[64];

	snprintf(path, sizeof path, "/g/thread-%u", me);
	for (unsigned round = 0; round < 5; round++) {
		if (write_whole(client, path, data, n, 30011))
			abort();
		expect_content(client, path, data, n, 20011);
	}
	if (slip_unlink(client, path))
		abort();
	free(data);
	return NULL;
}

static void threads(void **state)
{
	pthread_t ids[8];

	(void)state;
	for (uintptr_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, one_of_many, (void *)i), 0);
	for (unsigned i = 0; i < 8; i++)
		pthread_join(ids[i], NULL);
	assert_int_equal(list("/g"), 0);
}

/* ---- unwell ----------------------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* A server that was killed and came back, on other ports, or the same: the client finds its way. */
static void server_comes_back(void **state)
{
	char port[32];
	struct slip_client *c;
	struct slip_stat st;
	struct fixture f;

	(void)state;
	fixture_start(&f, "--workers=1", NULL);
	snprintf(port, sizeof port, "--port=%s", strchr(f.master, ':') + 1);
	c = connect_to(f.master, NULL);
	assert_int_equal(write_whole(c, "/g/f", "content", 7, 7), 0);
	fixture_kill(&f);
	assert_true(slip_stat(c, "/g/f", &st) < 0);
	for (unsigned i = 0; i < FIXTURE_MAX_ARGS - 1; i++) {
		if (!f.extra[i]) {
			f.extra[i] = strdup(port);
			break;
		}
	}
	fixture_restart(&f);
	assert_int_equal(slip_stat(c, "/g/f", &st), 0);
	expect_content(c, "/g/f", (const unsigned char *)"content", 7, 100);
	slip_client_free(c);
	fixture_release(&f);
}

static void nobody_there(void **state)
{
	struct slip_client *c = connect_to("127.0.0.1:1", NULL);
	int64_t start = now_ms();
	struct slip_stat st;

	(void)state;
	assert_int_equal(slip_stat(c, "/g/f", &st), -EHOSTUNREACH);
	assert_true(now_ms() - start < 8000);
	assert_true(*slip_last_error());
	slip_client_free(c);
}

static int listen_somewhere(char address[64])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	snprintf(address, 64, "127.0.0.1:%d", ntohs(at.sin_port));
	return fd;
}

static void *answer_garbage(void *argument)
{
	int listener = *(int *)argument, fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		char in[512];
		static const char garbage[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno\n\xff\xff\xff\xff";

		if (read(fd, in, sizeof in) >= 0 && write(fd, garbage, sizeof garbage) < 0)
			perror("write");
		close(fd);
	}
	return NULL;
}

static void a_server_of_garbage(void **state)
{
	char address[64];
	int listener = listen_somewhere(address);
	struct slip_client *c = connect_to(address, NULL);
	struct slip_stat st;
	pthread_t thread;
	int64_t start = now_ms();
	int rc;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, answer_garbage, &listener), 0);
	rc = slip_stat(c, "/g/f", &st);
	assert_true(rc == -EHOSTUNREACH || rc == -ETIMEDOUT || rc == -EIO || rc == -EPROTO);
	assert_true(now_ms() - start < 15000);
	slip_client_free(c);
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
}

/* It takes the connection, and never says a word. */
static void a_silent_server(void **state)
{
	char address[64];
	int listener = listen_somewhere(address);
	struct slip_client *c = connect_to(address, NULL);
	int64_t start = now_ms();
	struct slip_stat st;
	int rc;

	(void)state;
	rc = slip_stat(c, "/g/f", &st);
	assert_int_equal(rc, -ETIMEDOUT);
	rc = slip_stat(c, "/g/g", &st); /* as if it had waited along */
	assert_int_equal(rc, -ETIMEDOUT);
	assert_true(now_ms() - start < 3500); /* CONNECT_TIMEOUT is 2 s */
	slip_client_free(c);
	close(listener);
}

static void two_copies(void **state)
{
	struct slip_client *c = connect_to(server.master, "REPLICATION=2");
	unsigned char *data = pattern(3 * BLOCK + 5, 9);

	(void)state;
	assert_int_equal(write_whole(c, "/g/f", data, 3 * BLOCK + 5, 100000), 0);
	expect_content(c, "/g/f", data, 3 * BLOCK + 5, 100000);
	assert_int_equal(slip_unlink(c, "/g/f"), 0);
	slip_client_free(c);
	free(data);
}

/* Of several masters only one leads; the others are not there. */
static void several_masters(void **state)
{
	char masters[160];
	struct slip_client *c;
	struct slip_stat st;

	(void)state;
	snprintf(masters, sizeof masters, "127.0.0.1:1,%s", server.master);
	c = connect_to(masters, NULL);
	assert_int_equal(slip_stat(c, "/g", &st), 0);
	slip_client_free(c);
}

static int group_set_up(void **state)
{
	(void)state;
	fixture_start(&server, "--workers=3", NULL);
	client = connect_to(server.master, NULL);
	return log_open(getenv("SLIPSTREAM_LOG") ? getenv("SLIPSTREAM_LOG") : "error", NULL);
}

static int group_tear_down(void **state)
{
	(void)state;
	slip_client_free(client);
	fixture_release(&server);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(directories),
		cmocka_unit_test(opening),
		cmocka_unit_test(sizes),
		cmocka_unit_test(seeks),
		cmocka_unit_test(listing_a_thousand),
		cmocka_unit_test(renaming),
		cmocka_unit_test(links),
		cmocka_unit_test(names_of_all_kinds),
		cmocka_unit_test(names_that_are_none),
		cmocka_unit_test(attributes),
		cmocka_unit_test(replacing_keeps_the_old_until_the_end),
		cmocka_unit_test(resuming),
		cmocka_unit_test(local_blocks),
		cmocka_unit_test(threads),
		cmocka_unit_test(two_copies),
		cmocka_unit_test(several_masters),
		cmocka_unit_test(server_comes_back),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(a_silent_server),
		cmocka_unit_test(a_server_of_garbage),
	};

	return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
