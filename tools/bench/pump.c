/*
 * pump.c: what the data path can reach at best: a bare stream of 1 MiB chunks over rpc.h, on loopback, between two
 * processes. Prints MB/s and the CPU seconds per GB of the client and the server, then what a unary call costs.
 *
 *   pump [MIB [ROUNDS [FILE]]]
 *
 * With FILE the server writes what it gets into that file, made anew, and sends what is in it: the least that a server which
 * keeps data can do.
 */
#include "proto/goosefs.h"
#include "proto/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK   (1 << 20)
#define WINDOW  8
#define UNARIES 20000
#define PATIENT 30000

static char chunk[CHUNK];
static const char *stored; /* NULL: nowhere */

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

__attribute__((noreturn)) static void fail(const char *what, int rc)
{
	fprintf(stderr, "pump: %s: %s\n", what, rc < 0 ? strerror(-rc) : "ended early");
	exit(1);
}

/* ---- the server ------------------------------------------------------------------------------------------------- */

static void keep(void *arg)
{
	(void)arg;
}

/* Kept: what is sent may be looked at until the call is over. */
static char *map_file(size_t bytes)
{
	int fd = open(stored, O_RDONLY);
	char *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (fd < 0 || map == MAP_FAILED)
		fail(stored, -errno);
	close(fd);
	return map;
}

static int read_block(void *context, struct rpc_call *call, const void *first)
{
	const struct gfs_read_request *request = first;
	int64_t acked = 0, window = (1 + request->prefetch_window) * (int64_t)CHUNK;
	char *file = stored ? map_file((size_t)request->length) : NULL;

	(void)context;
	for (int64_t off = 0; off < request->length; off += CHUNK) {
		while (off - acked >= window) {
			const void *message;
			struct rpc_body body;

			if (rpc_call_recv(call, 0, &message, &body) != 1)
				return RPC_CANCELLED;
			acked = ((const struct gfs_read_request *)message)->offset_received;
		}
		if (rpc_call_send_chunk(call, file ? file + off : chunk, CHUNK, keep, NULL))
			return RPC_CANCELLED;
	}
	return 0;
}

static int write_block(void *context, struct rpc_call *call, const void *first)
{
	struct gfs_write_reply reply = {.has_offset = true};
	static char sink[CHUNK];
	int rc, fd = stored ? open(stored, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;

	(void)context;
	(void)first;
	if (stored && fd < 0)
		fail(stored, -errno);
	for (;;) {
		const void *message;
		struct rpc_body body;
		size_t at = 0;

		rc = rpc_call_recv(call, 0, &message, &body);
		if (rc != 1)
			break;
		if (stored && writev(fd, body.part, (int)body.nparts) != (ssize_t)body.bytes)
			fail(stored, -errno);
		for (unsigned i = 0; !stored && i < body.nparts; i++) {
			memcpy(sink + at, body.part[i].iov_base, body.part[i].iov_len);
			at += body.part[i].iov_len;
		}
		reply.offset += (int64_t)body.bytes;
		rpc_body_release(&body);
	}
	if (stored)
		close(fd);
	return rc || rpc_call_send(call, &reply) ? RPC_CANCELLED : 0;
}

static int get_version(void *context, struct rpc_call *call, const void *request, void *reply)
{
	(void)context;
	(void)call;
	(void)request;
	((struct gfs_version *)reply)->version = 2;
	return 0;
}

static const struct rpc_handler handlers[] = {
	{RPC_READ_BLOCK, NULL, read_block},
	{RPC_WRITE_BLOCK, NULL, write_block},
	{RPC_GET_VERSION, get_version, NULL},
	{0},
};

/* Until nobody holds the other end of alive. */
static void server_main(int port_fd, int alive)
{
	struct rpc_server_options options = {.auth = RPC_AUTH_SIMPLE, .handlers = handlers};
	struct rpc_server *server;
	int port, rc;
	char byte;

	rpc_tune_own_process();
	rc = rpc_server_new(&options, &server, &port);
	if (rc)
		fail("server", rc);
	if (write(port_fd, &port, sizeof port) != sizeof port)
		fail("pipe", 0);
	while (read(alive, &byte, 1) > 0)
		;
	rpc_server_free(server);
	exit(0);
}

static pid_t server_start(int *port)
{
	int up[2], down[2];
	pid_t pid;

	if (pipe(up) || pipe(down))
		fail("pipe", 0);
	pid = fork();
	if (pid < 0)
		fail("fork", 0);
	if (!pid) {
		close(up[0]);
		close(down[1]);
		server_main(up[1], down[0]);
	}
	close(up[1]);
	close(down[0]);
	if (read(up[0], port, sizeof *port) != sizeof *port)
		fail("server", 0);
	return pid;
}

/* ---- the client ------------------------------------------------------------------------------------------------- */

static void pump_read(struct rpc_channel *channel, int64_t bytes)
{
	struct gfs_read_request first = {
		.block_id = 1, .length = bytes, .chunk_size = CHUNK, .prefetch_window = WINDOW};
	struct rpc_stream *stream;
	struct rpc_error error;
	int64_t got = 0;
	int rc = rpc_stream_open(channel, RPC_READ_BLOCK, &first, &stream);

	while (!rc && got < bytes) {
		struct rpc_body body;
		size_t at = 0;

		rc = rpc_stream_recv(stream, PATIENT, &body, NULL, &error);
		if (rc != 1)
			fail("read", rc);
		for (unsigned i = 0; i < body.nparts; i++) {
			memcpy(chunk + at, body.part[i].iov_base, body.part[i].iov_len);
			at += body.part[i].iov_len;
		}
		got += (int64_t)body.bytes;
		rpc_body_release(&body);
		rc = rpc_stream_ack(stream, got);
	}
	if (!rc)
		rc = rpc_stream_half_close(stream, PATIENT);
	if (!rc)
		rc = rpc_stream_drain(stream, PATIENT, &error);
	if (rc)
		fail("read", rc);
	rpc_stream_free(stream);
}

static void pump_write(struct rpc_channel *channel, int64_t bytes)
{
	struct gfs_write_command first = {.id = 1, .space_to_reserve = bytes};
	struct rpc_stream *stream;
	struct rpc_error error;
	int rc = rpc_stream_open(channel, RPC_WRITE_BLOCK, &first, &stream);

	for (int64_t put = 0; !rc && put < bytes; put += CHUNK)
		rc = rpc_stream_send_chunk(stream, chunk, CHUNK, PATIENT, &error);
	if (!rc)
		rc = rpc_stream_half_close(stream, PATIENT);
	if (!rc)
		rc = rpc_stream_drain(stream, PATIENT, &error);
	if (rc)
		fail("write", rc);
	rpc_stream_free(stream);
}

struct cost {
	double wall, client, server;
};

static struct cost measure(void (*pump)(struct rpc_channel *, int64_t), struct rpc_channel *channel, int64_t n,
			   clockid_t server)
{
	struct cost cost = {seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID), seconds(server)};

	pump(channel, n);
	cost.wall = seconds(CLOCK_MONOTONIC) - cost.wall;
	cost.client = seconds(CLOCK_PROCESS_CPUTIME_ID) - cost.client;
	cost.server = seconds(server) - cost.server;
	return cost;
}

/* The fastest of the rounds, and what that one cost. */
static struct cost best(void (*pump)(struct rpc_channel *, int64_t), struct rpc_channel *channel, int64_t n,
			clockid_t server, int rounds)
{
	struct cost least = {.wall = 1e9};

	while (rounds--) {
		struct cost cost = measure(pump, channel, n, server);

		if (cost.wall < least.wall)
			least = cost;
	}
	return least;
}

static void unaries(struct rpc_channel *channel, int64_t n)
{
	struct gfs_get_version request = {.service_type = 7};
	struct gfs_version reply;
	int rc = 0;

	while (!rc && n--) {
		rc = rpc_unary(channel, RPC_GET_VERSION, &request, &reply, NULL);
		if (!rc)
			rpc_release(&reply);
	}
	if (rc)
		fail("unary", rc);
}

static void report(const char *kind, struct cost cost, int64_t bytes)
{
	double gb = (double)bytes / 1e9;

	printf("pump %s %.0f MB/s, %.2f + %.2f CPU s/GB, client and server\n", kind, gb * 1000 / cost.wall,
	       cost.client / gb, cost.server / gb);
}

int main(int argc, char **argv)
{
	int64_t bytes = (argc > 1 ? strtoll(argv[1], NULL, 0) : 1024) << 20;
	struct rpc_channel_options options = {.auth = RPC_AUTH_SIMPLE, .user = "pump"};
	int rounds = argc > 2 ? atoi(argv[2]) : 3, port, rc;
	struct rpc_channel *channel;
	struct rpc_error error;
	struct cost cost;
	clockid_t server;
	char address[32];
	pid_t pid;

	stored = argc > 3 ? argv[3] : NULL;
	rpc_tune_own_process();
	pid = server_start(&port);
	if (clock_getcpuclockid(pid, &server))
		fail("clock", 0);
	snprintf(address, sizeof address, "127.0.0.1:%d", port);
	rc = rpc_channel_new(address, &options, &channel, &error);
	if (rc)
		fail(error.message, rc);
	report("write", best(pump_write, channel, bytes, server, rounds), bytes);
	report("read", best(pump_read, channel, bytes, server, rounds), bytes);
	cost = best(unaries, channel, UNARIES, server, rounds);
	printf("pump unary %.1f us, %.1f + %.1f CPU us\n", cost.wall / UNARIES * 1e6, cost.client / UNARIES * 1e6,
	       cost.server / UNARIES * 1e6);
	rpc_channel_put(channel);
	return 0;
}
