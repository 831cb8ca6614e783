/*
 * test_client_hostile.c: a cluster that means ill. Its master and its worker live in this process and say what a test tells
 * them to: messages that are messages, with values that are none. The client, alone or in a keeper, has an answer to each,
 * and soon: what waits for ever is stopped by an alarm.
 */
#include "client/client.h"
#include "client/log.h"
#include "proto/goosefs.h"
#include "tests/unit/unit.h"
#include "tests/backend/fixture.h"
#include "tests/unit/session_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdatomic.h>

enum { BLOCK = 64 << 10, CHUNK = 16 << 10, FILE_ID = 33554431, ALARM_S = 60, NAMES = 6 };

static struct {
	struct rpc_server *master, *worker;
	char address[64]; /* the master's */
	struct gfs_worker here;

	struct gfs_file_info info; /* what GetStatus and CreateFile say */
	const char *target;        /* of a link */
	int64_t total, used;
	const struct gfs_worker *workers;
	size_t nworkers;
	int (*list)(struct rpc_call *);
	int (*read)(struct rpc_call *, const struct gfs_read_request *);
	int (*write)(struct rpc_call *);
	const char *local; /* the block file's path; NULL: none */
	atomic_int asked;  /* streams and listings */
} cluster;

static const struct gfs_file_info honest = {
	.file_id = FILE_ID,
	.name = "f",
	.path = "/f",
	.owner = "me",
	.group = "me",
	.length = 1000,
	.block_size = BLOCK,
	.completed = true,
	.mode = 0644,
};

/* ---- what it says ----------------------------------------------------------------------------------------------- */

static int get_status(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_get_status *request = message;
	struct gfs_file_info *info = &((struct gfs_file_reply *)reply)->info;

	(void)context, (void)call;
	if (!strcmp(request->path, "/") || !strcmp(request->path, "/d"))
		*info = (struct gfs_file_info){.file_id = 1, .folder = true, .mode = 0755};
	else
		*info = cluster.info;
	return 0;
}

static int create_file(void *context, struct rpc_call *call, const void *message, void *reply)
{
	(void)context, (void)call, (void)message;
	((struct gfs_file_reply *)reply)->info = cluster.info;
	return 0;
}

static int get_workers(void *context, struct rpc_call *call, const void *message, void *reply)
{
	(void)context, (void)call, (void)message;
	*(struct gfs_worker_list *)reply = (struct gfs_worker_list){.workers = cluster.workers, .n = cluster.nworkers};
	return 0;
}

static int get_link_target(void *context, struct rpc_call *call, const void *message, void *reply)
{
	(void)context, (void)call, (void)message;
	((struct gfs_link_target *)reply)->target = cluster.target;
	return 0;
}

static int get_capacity(void *context, struct rpc_call *call, const void *message, void *reply)
{
	(void)context, (void)call, (void)message;
	((struct gfs_bytes *)reply)->bytes = cluster.total;
	return 0;
}

static int get_used(void *context, struct rpc_call *call, const void *message, void *reply)
{
	(void)context, (void)call, (void)message;
	((struct gfs_bytes *)reply)->bytes = cluster.used;
	return 0;
}

static int done(void *context, struct rpc_call *call, const void *message, void *reply)
{
	(void)context, (void)call, (void)message, (void)reply;
	return 0;
}

static int list_status(void *context, struct rpc_call *call, const void *message)
{
	(void)context, (void)message;
	atomic_fetch_add(&cluster.asked, 1);
	return cluster.list(call);
}

static int read_block(void *context, struct rpc_call *call, const void *first)
{
	(void)context;
	atomic_fetch_add(&cluster.asked, 1);
	return cluster.read(call, first);
}

static int write_block(void *context, struct rpc_call *call, const void *first)
{
	(void)context, (void)first;
	atomic_fetch_add(&cluster.asked, 1);
	return cluster.write(call);
}

static int open_local(void *context, struct rpc_call *call, const void *first)
{
	struct gfs_local_block reply = {.path = cluster.local};
	const void *message;
	struct rpc_body body;

	(void)context, (void)first;
	if (!cluster.local)
		return rpc_call_fail(call, RPC_NOT_FOUND, "no such block");
	rpc_call_send(call, &reply);
	while (rpc_call_recv(call, 0, &message, &body) == 1)
		;
	return 0;
}

static const struct rpc_handler master_handlers[] = {
	{RPC_GET_STATUS, get_status, NULL},
	{RPC_CREATE_FILE, create_file, NULL},
	{RPC_COMPLETE_FILE, done, NULL},
	{RPC_REMOVE, done, NULL},
	{RPC_REMOVE_BLOCKS, done, NULL},
	{RPC_GET_WORKERS, get_workers, NULL},
	{RPC_GET_LINK_TARGET, get_link_target, NULL},
	{RPC_GET_CAPACITY, get_capacity, NULL},
	{RPC_GET_USED, get_used, NULL},
	{RPC_LIST_STATUS, NULL, list_status},
	{0, NULL, NULL},
};

static const struct rpc_handler worker_handlers[] = {
	{RPC_READ_BLOCK, NULL, read_block},
	{RPC_WRITE_BLOCK, NULL, write_block},
	{RPC_OPEN_LOCAL_BLOCK, NULL, open_local},
	{0, NULL, NULL},
};

/* ---- ways to list, read and write ------------------------------------------------------------------------------- */

static int list_names(struct rpc_call *call, const char *const *names)
{
	for (; *names; names++) {
		struct gfs_file_info info = honest;

		info.name = *names;
		info.path = "";
		if (rpc_call_send(call, &(struct gfs_list_reply){.infos = &info, .ninfos = 1}))
			return RPC_CANCELLED;
	}
	return 0;
}

static char long_name[300];

static int list_duplicates(struct rpc_call *call)
{
	static const char *const names[] = {"b", "a", "b", "c", "a", "b", "c", NULL};

	return list_names(call, names);
}

static int list_long(struct rpc_call *call)
{
	const char *const names[] = {"a", long_name, "z", NULL};

	return list_names(call, names);
}

static const char *odd_name;

static int list_odd(struct rpc_call *call)
{
	const char *const names[] = {"a", odd_name, NULL};

	return list_names(call, names);
}

static int list_for_ever(struct rpc_call *call)
{
	for (unsigned i = 0;; i++) {
		char name[16];
		struct gfs_file_info info = {.file_id = i + 1, .name = name};

		snprintf(name, sizeof name, "%u", i);
		if (rpc_call_send(call, &(struct gfs_list_reply){.infos = &info, .ninfos = 1}))
			return RPC_CANCELLED;
	}
}

static int send_zeros(struct rpc_call *call, int64_t n)
{
	static const char zeros[CHUNK];
	int rc = 0;

	for (; n > 0 && !rc; n -= CHUNK)
		rc = rpc_call_send_chunk(call, zeros, n < CHUNK ? (size_t)n : CHUNK, NULL, NULL);
	return rc ? RPC_CANCELLED : 0;
}

static int read_well(struct rpc_call *call, const struct gfs_read_request *request)
{
	return send_zeros(call, request->length);
}

static int read_too_much(struct rpc_call *call, const struct gfs_read_request *request)
{
	return send_zeros(call, request->length + 1);
}

/* In one message, of 64 times the size that was asked for. */
static int read_huge_chunk(struct rpc_call *call, const struct gfs_read_request *request)
{
	static const char zeros[64 * CHUNK];

	(void)request;
	return rpc_call_send_chunk(call, zeros, sizeof zeros, NULL, NULL) ? RPC_CANCELLED : 0;
}

static int read_nothing_for_ever(struct rpc_call *call, const struct gfs_read_request *request)
{
	(void)request;
	while (!rpc_call_send_chunk(call, "", 0, NULL, NULL))
		;
	return RPC_CANCELLED;
}

static int read_and_never_end(struct rpc_call *call, const struct gfs_read_request *request)
{
	return send_zeros(call, request->length) ?: read_nothing_for_ever(call, request);
}

/* Replies that nobody asked for, and no end. */
static int write_for_ever(struct rpc_call *call)
{
	struct gfs_write_reply reply = {.offset = INT64_MAX, .has_offset = true};

	while (!rpc_call_send(call, &reply))
		;
	return RPC_CANCELLED;
}

/* ---- clients ---------------------------------------------------------------------------------------------------- */

static struct slip_client *connect_with(const char *rpc_timeout, const char *connect_timeout)
{
	char mounts[128];
	const char *overrides[] = {mounts,         rpc_timeout,     connect_timeout,    "CHUNK_SIZE=16K",
				   "READ_RETRY=2", "WRITE_RETRY=2", "CONFIG=/dev/null", NULL};
	struct slip_client *c;

	snprintf(mounts, sizeof mounts, "MOUNTS=/g=goosefs://%s/", cluster.address);
	assert_int_equal(slip_client_new(overrides, &c), 0);
	return c;
}

static struct slip_client *connect_client(void)
{
	return connect_with("RPC_TIMEOUT=20s", "CONNECT_TIMEOUT=20s");
}

/* For who waits in vain. */
static struct slip_client *connect_impatient(void)
{
	return connect_with("RPC_TIMEOUT=300ms", "CONNECT_TIMEOUT=100ms");
}

static int honest_again(void **state)
{
	(void)state;
	cluster.info = honest;
	cluster.target = "f";
	cluster.total = 1 << 30;
	cluster.used = 0;
	cluster.workers = &cluster.here;
	cluster.nworkers = 1;
	cluster.list = list_duplicates;
	cluster.read = read_well;
	cluster.write = write_for_ever;
	cluster.local = NULL;
	atomic_store(&cluster.asked, 0);
	alarm(ALARM_S);
	return 0;
}

static int read_file(struct slip_client *c, size_t n)
{
	char *buf = malloc(n);
	struct slip_file *f;
	int rc = slip_open(c, "/g/f", O_RDONLY, 0, &f);

	if (!rc) {
		ssize_t got = slip_read(f, buf, n);

		assert_true(got <= (ssize_t)n);
		rc = (int)got;
		slip_close(f);
	}
	free(buf);
	return rc;
}

static int write_file(struct slip_client *c)
{
	static const char data[3 * CHUNK];
	struct slip_file *f;
	int rc = slip_open(c, "/g/new", O_WRONLY | O_CREAT, 0644, &f), closed;

	if (rc)
		return rc;
	rc = (int)slip_write(f, data, sizeof data);
	closed = slip_close(f);
	return rc < 0 ? rc : closed;
}

/* ---- attributes ------------------------------------------------------------------------------------------------- */

static void numbers_of_files_are_not_believed(void **state)
{
	static const struct gfs_location nobody = {.worker_id = INT64_MIN};
	static const struct gfs_block blocks[] = {
		{.id = 1, .offset = -BLOCK, .length = 1},
		{.id = INT64_MIN, .length = 1},
		{.id = 1, .offset = INT64_MAX, .length = INT64_MAX},
		{.id = 1, .length = 1, .locations = &nobody, .nlocations = 1},
	};
	struct slip_client *c = connect_client();
	struct slip_stat st;

	(void)state;
	for (unsigned i = 0; i < 4 + sizeof blocks / sizeof *blocks; i++) {
		cluster.info = honest;
		if (i == 0)
			cluster.info.length = INT64_MIN;
		else if (i == 1)
			cluster.info.block_size = -1;
		else if (i == 2)
			cluster.info.file_id = -1;
		else if (i == 3)
			cluster.info.mode = INT32_MIN;
		else
			cluster.info.blocks = &blocks[i - 4], cluster.info.nblocks = 1;
		assert_int_equal(slip_stat(c, "/g/f", &st), -EPROTO);
		assert_true(*slip_last_error());
		assert_int_equal(read_file(c, 10), -EPROTO);
		assert_int_equal(write_file(c), -EPROTO);
	}
	slip_client_free(c);
}

/* Times that no clock shows are the first or the last that one does. */
static void times_are_kept_within_what_a_clock_shows(void **state)
{
	static const int64_t times[] = {INT64_MIN, INT64_MAX, -1, INT64_MAX / 1000000 + 1};
	struct slip_client *c = connect_client();

	(void)state;
	for (unsigned i = 0; i < sizeof times / sizeof *times; i++) {
		struct slip_stat st;
		int64_t ns;

		cluster.info.modification_ms = cluster.info.access_ms = cluster.info.creation_ms = times[i];
		assert_int_equal(slip_stat(c, "/g/f", &st), 0);
		assert_false(__builtin_mul_overflow(st.mtime_ms, 1000000, &ns));
		assert_false(__builtin_mul_overflow(st.atime_ms, 1000000, &ns));
		assert_false(__builtin_mul_overflow(st.ctime_ms, 1000000, &ns));
		assert_true((st.mtime_ms < 0) == (times[i] < 0));
	}
	slip_client_free(c);
}

/* Block ids that are another file's, or nobody's, and blocks that overlap or lie elsewhere: bytes, or an error. */
static void odd_blocks_do_no_harm(void **state)
{
	static const struct gfs_location locations[] = {
		{1, "127.0.0.1", -1}, {1, "127.0.0.1", INT32_MAX}, {INT64_MAX, "\n", 0}, {1, "", 9203}};
	static const struct gfs_block blocks[] = {
		{.id = INT64_MAX, .length = INT64_MAX, .locations = locations, .nlocations = 4},
		{.id = 16777216, .length = 0, .offset = 0},
		{.id = 1, .length = 5, .offset = 3},
		{.id = 1, .length = 1, .offset = INT64_MAX - 1},
	};
	static const int64_t ids[] = {INT64_MAX, 0, 1};
	static const int64_t block_sizes[] = {0, 1, 7, BLOCK, INT64_MAX};
	struct slip_client *c = connect_client();

	(void)state;
	cluster.info.blocks = blocks;
	cluster.info.nblocks = 4;
	for (unsigned i = 0; i < sizeof block_sizes / sizeof *block_sizes; i++)
		for (unsigned with_ids = 0; with_ids < 2; with_ids++) {
			cluster.info.block_size = block_sizes[i];
			cluster.info.block_ids = ids;
			cluster.info.nblock_ids = with_ids ? 3 : 0;
			assert_int_equal(read_file(c, 20), 20);
		}
	slip_client_free(c);
}

/* As long as a file can be said to be. */
static void a_file_without_end_is_read_in_part(void **state)
{
	struct slip_client *c = connect_client();
	struct slip_file *f;
	char buf[100];

	(void)state;
	cluster.info.length = INT64_MAX;
	assert_int_equal(slip_open(c, "/g/f", O_RDONLY, 0, &f), 0);
	assert_int_equal(slip_pread(f, buf, sizeof buf, 0), sizeof buf);
	assert_int_equal(slip_pread(f, buf, sizeof buf, INT64_MAX - 10), -EIO); /* no block has such a number */
	assert_int_equal(slip_pread(f, buf, sizeof buf, INT64_MAX), 0);
	slip_close(f);
	slip_client_free(c);
}

static void a_link_is_too_long(void **state)
{
	struct slip_client *c = connect_client();
	char *target = malloc(1 << 20), buf[PATH_MAX];

	(void)state;
	memset(target, 'x', 1 << 20);
	target[(1 << 20) - 1] = '\0';
	cluster.info.symlink = cluster.target = target;
	assert_int_equal(slip_readlink(c, "/g/f", buf, sizeof buf), -ENAMETOOLONG);
	assert_int_equal(read_file(c, 10), -ENAMETOOLONG);
	cluster.info.symlink = cluster.target = "f"; /* to itself */
	assert_int_equal(read_file(c, 10), -ELOOP);
	slip_client_free(c);
	free(target);
}

/* ---- listings --------------------------------------------------------------------------------------------------- */

struct listed {
	unsigned n;
	char names[NAMES][NAME_MAX + 1];
};

static int note_name(void *context, const char *name, const struct slip_stat *st)
{
	struct listed *all = context;

	(void)st;
	assert_true(all->n < NAMES);
	snprintf(all->names[all->n++], sizeof all->names[0], "%s", name);
	return 0;
}

static void a_name_is_listed_once(void **state)
{
	struct slip_client *c = connect_client();
	struct listed all = {0};

	(void)state;
	assert_int_equal(slip_list(c, "/g/d", note_name, &all), 0);
	assert_int_equal(all.n, 3);
	assert_string_equal(all.names[0], "a");
	assert_string_equal(all.names[1], "b");
	assert_string_equal(all.names[2], "c");
	slip_client_free(c);
}

static void names_that_are_none_are_refused(void **state)
{
	static const char *const names[] = {"..", ".", "a/../../b", "/", ""};
	struct slip_client *c = connect_client();

	(void)state;
	cluster.list = list_odd;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		struct listed all = {0};
		int rc;

		odd_name = names[i];
		rc = slip_list(c, "/g/d", note_name, &all);
		if (rc)
			assert_int_equal(rc, -EPROTO);
		else /* the directory itself may be among them, called "/" */
			assert_int_equal(all.n, 1);
		assert_true(rc || !strcmp(names[i], "/"));
	}
	slip_client_free(c);
}

static void a_listing_without_end_ends(void **state)
{
	struct slip_client *c = connect_impatient();

	(void)state;
	cluster.list = list_for_ever;
	assert_int_equal(slip_list(c, "/g/d", note_name, NULL), -ETIMEDOUT);
	assert_int_equal(atomic_load(&cluster.asked), 1);
	assert_true(*slip_last_error());
	slip_client_free(c);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

static void more_bytes_than_were_asked_for_are_refused(void **state)
{
	struct slip_client *c = connect_client();

	(void)state;
	cluster.read = read_huge_chunk;
	assert_int_equal(read_file(c, 1000), -EIO);
	assert_int_equal(atomic_load(&cluster.asked), 2);
	slip_client_free(c);
	c = connect_client();
	cluster.read = read_too_much; /* what came before it was right */
	assert_true(read_file(c, 1000) == 1000 || read_file(c, 1000) == -EIO);
	slip_client_free(c);
}

static void a_stream_of_nothing_ends(void **state)
{
	struct slip_client *c = connect_impatient();

	(void)state;
	cluster.read = read_nothing_for_ever;
	assert_int_equal(read_file(c, 1000), -EIO);
	assert_int_equal(atomic_load(&cluster.asked), 2);
	slip_client_free(c);
}

static void a_stream_that_does_not_end_is_left(void **state)
{
	struct slip_client *c = connect_client();

	(void)state;
	cluster.read = read_and_never_end;
	for (int i = 0; i < 3; i++)
		assert_int_equal(read_file(c, 1000), 1000);
	slip_client_free(c);
}

static void an_upload_that_is_talked_at_ends(void **state)
{
	struct slip_client *c = connect_impatient();

	(void)state;
	cluster.info.completed = false;
	cluster.info.length = 0;
	assert_int_equal(write_file(c), -ETIMEDOUT);
	slip_client_free(c);
}

static void no_file_is_made_of_absurd_blocks(void **state)
{
	struct slip_client *c = connect_client();

	(void)state;
	cluster.info.completed = false;
	cluster.info.block_size = 0;
	assert_int_equal(write_file(c), -EPROTO);
	cluster.info = honest;
	cluster.info.file_id = 0;
	assert_int_equal(write_file(c), -EPROTO);
	assert_int_equal(atomic_load(&cluster.asked), 0);
	slip_client_free(c);
}

static char scratch[64];

/* A file of as many bytes as the file has, or a link to one. */
static const char *local_file(const char *name, const char *link_to)
{
	static char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", scratch, name);
	if (link_to) {
		assert_int_equal(symlink(link_to, path), 0);
		return path;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, honest.length), 0);
	close(fd);
	return path;
}

static int open_block_file(const char *path)
{
	struct slip_client *c = connect_client();
	struct backend_file file;
	struct place at;
	int fd;

	cluster.local = path;
	assert_int_equal(place_find(c, "/g/f", &at), 0);
	assert_int_equal(at.ops->lookup(at.backend, at.path, &file), 0);
	fd = at.ops->open_local(at.backend, &file);
	at.ops->release(at.backend, &file);
	slip_client_free(c);
	return fd;
}

/* No file, not there, of another size, or a file of the user's that has nothing to do with it: the stream has the bytes. */
static void block_files_are_looked_at(void **state)
{
	static const char *const paths[] = {"/", "/dev/zero", "/proc/self/mem", "/nowhere/16777216", "16777216"};
	int fd;

	(void)state;
	snprintf(scratch, sizeof scratch, "/tmp/slipstream-test-XXXXXX");
	assert_non_null(mkdtemp(scratch));
	for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
		assert_int_equal(open_block_file(paths[i]), -EOPNOTSUPP);
	assert_int_equal(open_block_file(local_file("secret", NULL)), -EOPNOTSUPP);
	assert_int_equal(open_block_file(local_file("16777216", "secret")), -EOPNOTSUPP);
	assert_int_equal(unlink(cluster.local), 0);
	fd = open_block_file(local_file("16777216", NULL));
	assert_true(fd >= 0);
	close(fd);
	nftw(scratch, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- workers ---------------------------------------------------------------------------------------------------- */

static void workers_that_cannot_be_are_passed_over(void **state)
{
	static char far[70000];
	static struct gfs_worker list[] = {
		{.host = "127.0.0.1", .rpc_port = -1},
		{.host = "127.0.0.1", .rpc_port = INT32_MAX},
		{.host = "127.0.0.1\n", .rpc_port = 9203},
		{.host = "unix:/etc/passwd", .rpc_port = 9203},
		{.host = far, .rpc_port = 9203},
		{.host = "", .rpc_port = 9203},
		{0}, /* the one that is there */
	};
	struct slip_client *c = connect_client();

	(void)state;
	memset(far, 'x', sizeof far - 1);
	list[6] = cluster.here;
	for (unsigned i = 0; i < 7; i++) {
		list[i].id = i + 1;
		list[i].virtual_nodes = 200;
		list[i].has_id = list[i].has_virtual_nodes = true;
	}
	cluster.workers = list;
	cluster.nworkers = 7;
	for (int i = 1; i <= 20; i++) {
		cluster.info.file_id = FILE_ID * (int64_t)i;
		assert_int_equal(read_file(c, 1000), 1000);
	}
	slip_client_free(c);
}

/* A ring of them would be as large as memory. */
static void too_many_workers_are_refused(void **state)
{
	enum { N = 100000 };
	struct gfs_worker *list = calloc(N, sizeof *list);
	struct slip_client *c = connect_client();

	(void)state;
	for (int i = 0; i < N; i++)
		list[i] = (struct gfs_worker){.id = i, .has_id = true, .host = "h", .rpc_port = 1};
	cluster.workers = list;
	cluster.nworkers = N;
	assert_int_equal(read_file(c, 1000), -EPROTO);
	assert_true(*slip_last_error());
	for (int i = 0; i < N; i++)
		list[i].has_virtual_nodes = true; /* none */
	assert_int_equal(read_file(c, 1000), -EPROTO);
	cluster.nworkers = 1000;
	for (int i = 0; i < N; i++)
		list[i].virtual_nodes = INT32_MAX;
	assert_int_equal(read_file(c, 1000), -EPROTO);
	slip_client_free(c);
	free(list);
}

/* Hosts that take a connection and say nothing: they are tried as long as one answer may take, not each as long as that. */
static void workers_that_are_silent_are_not_all_waited_for(void **state)
{
	enum { N = 60 };
	static struct gfs_worker list[N];
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	socklen_t size = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), dialled = 0;
	struct slip_client *c = connect_impatient();
	static char hosts[N][32];

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(listener, 4096), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
	for (int i = 0; i < N; i++) {
		snprintf(hosts[i], sizeof hosts[i], "127.0.1.%d", i + 1);
		list[i] = (struct gfs_worker){.id = i + 1,
					      .has_id = true,
					      .host = hosts[i],
					      .rpc_port = ntohs(at.sin_port),
					      .virtual_nodes = 10,
					      .has_virtual_nodes = true};
	}
	cluster.workers = list;
	cluster.nworkers = N;
	cluster.info.completed = false;
	assert_true(write_file(c) < 0);
	slip_client_free(c);
	for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; dialled++)
		close(fd);
	assert_in_range(dialled, 1, N / 2);
	close(listener);
}

/* ---- a keeper --------------------------------------------------------------------------------------------------- */

static struct session s;
static char mounts[256];

static int keeper_exec(struct session *session, int ready)
{
	return session_exec(session, ready, fixture_program());
}

static int with_keeper(void **state)
{
	honest_again(state);
	snprintf(mounts, sizeof mounts, "/g=goosefs://%s/;/h=goosefs://%s/", cluster.address, cluster.address);
	setenv("SLIPSTREAM_MOUNTS", mounts, 1);
	setenv("SLIPSTREAM_RPC_TIMEOUT", "500ms", 1);
	setenv("SLIPSTREAM_READ_RETRY", "1", 1);
	setenv("SLIPSTREAM_METADATA_TTL_MS", "0", 1);
	session_make(&s);
	session_keeper(&s, keeper_exec);
	session_map(&s);
	return 0;
}

static int without_keeper(void **state)
{
	(void)state;
	session_release(&s);
	return 0;
}

/* The names of a directory, as a program hears of them. */
static int64_t session_list(struct listed *all)
{
	struct session_request head = {.op = SESSION_LIST, .b = SESSION_PAYLOAD_MAX};
	int fd = session_open(&s, "/g/d", O_RDONLY | O_DIRECTORY, 0);
	int64_t rc;

	assert_true(fd >= 0);
	head.record = s.reply.record;
	memset(all, 0, sizeof *all);
	while ((rc = session_ask(&s, head, NULL, NULL, 0)) > 0) {
		for (size_t at = 0; at < s.reply.bytes;) {
			const struct session_dirent *d = (const void *)(s.in + at);

			note_name(all, d->name, NULL);
			at += d->bytes;
		}
		head.a += rc;
	}
	close(fd);
	return rc;
}

static bool logged(const char *words)
{
	char name[80], line[2048];
	bool found = false;
	FILE *log;

	snprintf(name, sizeof name, "%s/log", s.dir);
	log = fopen(name, "r");
	while (log && !found && fgets(line, sizeof line, log))
		found = strstr(line, words) != NULL;
	if (log)
		fclose(log);
	return found;
}

static void programs_hear_of_each_name_once(void **state)
{
	struct listed all;

	(void)state;
	assert_int_equal(session_list(&all), 0);
	assert_int_equal(all.n, 5); /* with "." and ".." */
	cluster.list = list_long;
	assert_int_equal(session_list(&all), 0);
	assert_int_equal(all.n, 4);
	assert_string_equal(all.names[2], "a");
	assert_string_equal(all.names[3], "z");
}

static void programs_get_an_error_and_the_log_a_line(void **state)
{
	struct listed all;

	(void)state;
	cluster.list = list_for_ever;
	assert_int_equal(session_list(&all), -ETIMEDOUT);
	assert_true(logged("list /g/d"));
	cluster.info.length = -5;
	assert_int_equal(session_op(&s, SESSION_STAT, "/g/f"), -EPROTO);
	assert_true(session_open(&s, "/g/f", O_RDONLY, 0) < 0);
	cluster.info = honest;
	cluster.read = read_nothing_for_ever;
	assert_int_equal(session_open(&s, "/g/f", O_RDONLY, 0), -EIO);
	assert_true(logged("no worker could serve it"));
}

static void programs_follow_links_only_so_far(void **state)
{
	char *target = malloc(PATH_MAX + 100);

	(void)state;
	memset(target, '/', PATH_MAX + 99);
	target[PATH_MAX + 99] = '\0';
	cluster.info.symlink = "f";
	assert_int_equal(session_op(&s, SESSION_STAT, "/g/f"), -ELOOP);
	cluster.target = target;
	assert_int_equal(session_op(&s, SESSION_STAT, "/g/f"), -ENAMETOOLONG);
	assert_int_equal(session_op(&s, SESSION_READLINK, "/g/f"), -ENAMETOOLONG);
	cluster.target = "../../../../elsewhere"; /* that is the program's own affair, with the program's own rights */
	assert_int_equal(session_op(&s, SESSION_STAT, "/g/f"), SESSION_ELSEWHERE);
	assert_string_equal(s.in, "/elsewhere");
	free(target);
}

/* Whatever it says of a file: pages of it are found by who reads that mount alone. */
static void no_cluster_gives_bytes_to_anothers_files(void **state)
{
	static const char *const paths[] = {"/g/f", "/h/f"};
	uint64_t content[2];

	(void)state;
	cluster.info.length = INT64_MAX; /* by range */
	for (unsigned i = 0; i < 2; i++) {
		int fd = session_open(&s, paths[i], O_RDONLY, 0);

		assert_true(fd >= 0);
		content[i] = atomic_load(&s.records->record[s.reply.record].content);
		close(fd);
	}
	assert_int_not_equal(content[0] >> 56, content[1] >> 56);
}

static void programs_see_numbers_they_can_use(void **state)
{
	struct session_statfs fs;
	int fd;

	(void)state;
	cluster.info.modification_ms = INT64_MIN;
	cluster.info.access_ms = INT64_MAX;
	cluster.info.creation_ms = INT64_MAX;
	assert_int_equal(session_op(&s, SESSION_STAT, "/g/f"), 0);
	assert_true(s.reply.attr.mtime_ns < 0 && s.reply.attr.atime_ns > 0);
	cluster.total = 4096;
	cluster.used = INT64_MAX;
	assert_true(session_op(&s, SESSION_STATFS, "/g") >= 0);
	memcpy(&fs, s.in, sizeof fs);
	assert_int_equal(fs.bfree, 0);
	cluster.info.length = INT64_MAX;
	cluster.info.mode = 0666;
	fd = session_open(&s, "/g/f", O_RDONLY, 0);
	assert_true(fd >= 0);
	assert_int_equal(s.reply.attr.size, INT64_MAX);
	close(fd);
	assert_int_equal(session_open(&s, "/g/f", O_RDWR, 0), -ENOSPC); /* its content would have to be fetched */
}

/* ---- the cluster ------------------------------------------------------------------------------------------------ */

static int group_set_up(void **state)
{
	struct rpc_server_options options = {.auth = RPC_AUTH_SIMPLE, .handlers = worker_handlers};
	int port;

	(void)state;
	memset(long_name, 'n', sizeof long_name - 1);
	assert_int_equal(rpc_server_new(&options, &cluster.worker, &port), 0);
	cluster.here = (struct gfs_worker){.id = 1,
					   .has_id = true,
					   .host = "127.0.0.1",
					   .rpc_port = port,
					   .virtual_nodes = 200,
					   .has_virtual_nodes = true,
					   .capacity_bytes = 1 << 30,
					   .alive = true};
	options.handlers = master_handlers;
	assert_int_equal(rpc_server_new(&options, &cluster.master, &port), 0);
	snprintf(cluster.address, sizeof cluster.address, "127.0.0.1:%d", port);
	return log_open(getenv("SLIPSTREAM_LOG") ? getenv("SLIPSTREAM_LOG") : "error,/dev/null", NULL);
}

static int group_tear_down(void **state)
{
	(void)state;
	rpc_server_free(cluster.master);
	rpc_server_free(cluster.worker);
	return 0;
}

#define T(name) cmocka_unit_test_setup(name, honest_again)
#define K(name) cmocka_unit_test_setup_teardown(name, with_keeper, without_keeper)

/* Not under a thread sanitizer: libgrpc alone orders what a test says and what the cluster repeats, and it does not see that. */
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(numbers_of_files_are_not_believed),
		T(times_are_kept_within_what_a_clock_shows),
		T(odd_blocks_do_no_harm),
		T(a_file_without_end_is_read_in_part),
		T(a_link_is_too_long),
		T(a_name_is_listed_once),
		T(names_that_are_none_are_refused),
		T(a_listing_without_end_ends),
		T(more_bytes_than_were_asked_for_are_refused),
		T(a_stream_of_nothing_ends),
		T(a_stream_that_does_not_end_is_left),
		T(an_upload_that_is_talked_at_ends),
		T(no_file_is_made_of_absurd_blocks),
		T(block_files_are_looked_at),
		T(workers_that_cannot_be_are_passed_over),
		T(too_many_workers_are_refused),
		T(workers_that_are_silent_are_not_all_waited_for),
		K(programs_hear_of_each_name_once),
		K(programs_get_an_error_and_the_log_a_line),
		K(programs_follow_links_only_so_far),
		K(no_cluster_gives_bytes_to_anothers_files),
		K(programs_see_numbers_they_can_use),
	};

#ifdef __SANITIZE_THREAD__
	return 0;
#endif
	return cmocka_run_group_tests_name("client_hostile", tests, group_set_up, group_tear_down);
}
