/*
 * server.c: START HERE for the server's end. Threads take turns at waiting for calls: the one that gets a call serves it,
 * on the spot and for as long as it takes, and another waits in its place. Threads are made when none is left to wait, and
 * those that nobody misses for a while go.
 *
 * To wake another thread for every short call would cost a third of the call. So who serves a unary call stays on duty,
 * and one thread, the relief, looks every millisecond while there are calls: somebody who is away for longer is replaced.
 *
 * A few calls are always requested of gRPC beforehand, each with a queue of its own, and used again afterwards.
 */
#include "proto/server.h"
#include "proto/message.h"
#include "proto/process.h"

#include <grpc/grpc_security.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	REQUESTED_MIN = 4, /* calls asked for beforehand */
	REQUESTED_MAX = 16,
	IDLE_S = 10,       /* how long a thread without work stays */
	LOOK_NS = 1000000, /* how often the relief looks */
	RECEIVE_MAX = 128 << 20,
};

struct thread {
	struct rpc_server *server;
	pthread_t id;
	struct thread *next;
};

struct rpc_server {
	grpc_server *server;
	grpc_completion_queue *queue; /* of new calls */
	const struct rpc_handler *handlers[RPC_COUNT];
	enum rpc_auth auth;
	void *context;
	struct sessions sessions;

	pthread_t relief;
	bool has_relief;

	pthread_mutex_t lock;  /* guards the rest */
	pthread_cond_t wanted; /* somebody must wait for calls */
	pthread_cond_t busy;   /* there are calls again: for the relief */
	bool stopping;
	bool waiting; /* a thread waits for calls */
	bool away;    /* none does, and none was asked to: who should is serving the last call that came */
	bool relief_sleeps;
	unsigned calls;                /* that have come */
	unsigned spare;                /* threads that wait for their turn */
	unsigned requested;            /* calls asked for and not come */
	struct thread *threads, *gone; /* gone: not joined yet */
};

static char stop_tag;

/* ---- calls ------------------------------------------------------------------------------------------------------ */

/* Ask for one more call, with this or, if NULL, a new struct for it. */
static void request_call(struct rpc_server *server, struct rpc_call *call)
{
	grpc_completion_queue *queue;
	grpc_call_error rc;

	if (!call)
		call = call_new(server);
	if (!call)
		return; /* one fewer, until memory comes back */
	queue = call->queue;
	pthread_mutex_lock(&server->lock);
	server->requested++;
	pthread_mutex_unlock(&server->lock);
	atomic_store(&call->passed, 1);
	rc = grpc_server_request_call(server->server, &call->call, &call->details, &call->metadata, queue,
				      server->queue, call);
	if (rc == GRPC_CALL_OK)
		return;
	pthread_mutex_lock(&server->lock);
	server->requested--;
	pthread_mutex_unlock(&server->lock);
	call_free(call);
}

/* The call that was asked for, whoever asked. */
static struct rpc_call *call_of(grpc_event event)
{
	struct rpc_call *call = event.tag;

	atomic_load(&call->passed);
	return call;
}

static void put_back(struct rpc_server *server, struct rpc_call *call)
{
	bool wanted;

	pthread_mutex_lock(&server->lock);
	wanted = !server->stopping && server->requested < REQUESTED_MAX;
	pthread_mutex_unlock(&server->lock);
	if (wanted)
		request_call(server, call);
	else
		call_free(call);
}

static bool authenticated(struct rpc_server *server, struct rpc_call *call)
{
	grpc_slice key = grpc_slice_from_static_string("channel-id"), id = grpc_empty_slice();

	if (server->auth == RPC_AUTH_NOSASL || call->id == RPC_GET_VERSION)
		return true;
	for (size_t i = 0; i < call->metadata.count; i++)
		if (grpc_slice_eq(call->metadata.metadata[i].key, key))
			id = call->metadata.metadata[i].value;
	if (sessions_find(&server->sessions, id, call, &call->user))
		return true;
	rpc_call_fail(call, RPC_UNAUTHENTICATED, "Channel: %.*s is not authenticated",
		      (int)(GRPC_SLICE_LENGTH(id) < 64 ? GRPC_SLICE_LENGTH(id) : 64),
		      (const char *)GRPC_SLICE_START_PTR(id));
	return false;
}

static void leave_duty(struct rpc_server *server, struct rpc_call *call);

/* 0 and *out, valid as long as the call; or the status to end with. */
static int first_message(struct rpc_call *call, const void **out)
{
	struct rpc_body body;
	int rc = rpc_call_recv(call, 0, out, &body);

	if (rc == -ECANCELED)
		return RPC_CANCELLED;
	if (rc < 0)
		return rpc_call_fail(call, rc == -EPROTO ? RPC_INVALID_ARGUMENT : RPC_RESOURCE_EXHAUSTED, "%s",
				     rc == -EPROTO ? message_complaint() : strerror(-rc));
	if (!rc)
		return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "A call without a request");
	if (!*out) {
		rpc_body_release(&body);
		return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "A stream that does not begin with a command");
	}
	call->first = call->next;
	call->next.backing = NULL;
	*out = &call->first;
	return 0;
}

static void serve_unary(struct rpc_server *server, struct rpc_call *call, const struct rpc_handler *handler,
			const void *request)
{
	union message reply;
	int code;

	memset(&reply, 0, sizeof reply);
	code = handler->unary(server->context, call, request, &reply);
	if (code)
		call_end(call, code);
	else
		call_end_with(call, &reply);
}

static void serve(struct rpc_server *server, struct rpc_call *call)
{
	const struct rpc_handler *handler;
	const void *first;
	int code;

	call_begin(call);
	if (grpc_slice_str_cmp(call->details.method, SASL_PATH) == 0) {
		leave_duty(server, call);
		call_end(call, sessions_serve(&server->sessions, call));
		return;
	}
	call->id = method_lookup(call->details.method);
	handler = call->id < RPC_COUNT ? server->handlers[call->id] : NULL;
	if (!handler) {
		call_end(call, rpc_call_fail(call, RPC_UNIMPLEMENTED, "Method not found"));
		return;
	}
	if (handler->stream || !call_has_news(call))
		leave_duty(server, call);
	code = authenticated(server, call) ? first_message(call, &first) : RPC_UNAUTHENTICATED;
	if (code)
		call_end(call, code);
	else if (handler->stream)
		call_end(call, handler->stream(server->context, call, first));
	else
		serve_unary(server, call, handler, first);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

static void *thread_main(void *arg);

static void join_gone(struct thread *gone)
{
	for (struct thread *next; gone; gone = next) {
		next = gone->next;
		pthread_join(gone->id, NULL);
		free(gone);
	}
}

/* Under the lock. Without memory or threads, calls wait until one of those that are busy comes back. */
static void thread_add(struct rpc_server *server)
{
	struct thread *thread = calloc(1, sizeof *thread);
	sigset_t saved;
	int rc;

	if (!thread)
		return;
	thread->server = server;
	signals_block(&saved);
	rc = pthread_create(&thread->id, NULL, thread_main, thread);
	signals_restore(&saved);
	if (rc) {
		free(thread);
		return;
	}
	thread->next = server->threads;
	server->threads = thread;
}

/* Under the lock: somebody else, please. While stopping everybody who is not busy waits for calls anyway. */
static void hand_over(struct rpc_server *server)
{
	if (server->stopping)
		return;
	server->away = false;
	if (server->spare)
		pthread_cond_signal(&server->wanted);
	else
		thread_add(server);
}

/* This call will take a while, or it waits for a message that somebody must receive. */
static void leave_duty(struct rpc_server *server, struct rpc_call *call)
{
	pthread_mutex_lock(&server->lock);
	if (server->away && server->calls == call->number)
		hand_over(server);
	pthread_mutex_unlock(&server->lock);
}

static void look_in(struct rpc_server *server, unsigned *seen)
{
	struct timespec until;

	server->relief_sleeps = server->calls == *seen && !server->away;
	while (server->relief_sleeps && !server->stopping)
		pthread_cond_wait(&server->busy, &server->lock);
	*seen = server->calls;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&server->busy, &server->lock, &until);
	if (server->away && server->calls == *seen)
		hand_over(server);
}

static void *relief_main(void *arg)
{
	struct rpc_server *server = arg;
	unsigned seen = 0;

	pthread_mutex_lock(&server->lock);
	while (!server->stopping)
		look_in(server, &seen);
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

/* Under the lock. False: our time without work is up. */
static bool wait_turn(struct rpc_server *server)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_S;
	server->spare++;
	while (server->waiting && !server->stopping && !rc)
		rc = pthread_cond_timedwait(&server->wanted, &server->lock, &until);
	server->spare--;
	return !server->waiting || server->stopping;
}

/* The next call. NULL: there will be none, for this thread. */
static struct rpc_call *next_call(struct rpc_server *server)
{
	grpc_event event;
	bool turn;

	pthread_mutex_lock(&server->lock);
	turn = wait_turn(server);
	server->waiting = true;
	server->away = server->away && !turn;
	pthread_mutex_unlock(&server->lock);
	if (!turn)
		return NULL;
	do {
		event = grpc_completion_queue_next(server->queue, deadline_after(0), NULL);
		if (event.tag == &stop_tag)
			grpc_completion_queue_shutdown(server->queue);
		else if (event.type == GRPC_OP_COMPLETE && !event.success)
			call_free(call_of(event));
	} while (event.type == GRPC_OP_COMPLETE && (event.tag == &stop_tag || !event.success));
	return event.type == GRPC_OP_COMPLETE ? call_of(event) : NULL;
}

/* Nobody waits for the next one now. Ask for more if few are asked for. */
static void call_came(struct rpc_server *server, struct rpc_call *call)
{
	bool more;

	pthread_mutex_lock(&server->lock);
	more = --server->requested < REQUESTED_MIN && !server->stopping;
	server->waiting = false;
	server->away = true;
	call->number = ++server->calls;
	if (server->relief_sleeps)
		pthread_cond_signal(&server->busy);
	server->relief_sleeps = false;
	pthread_mutex_unlock(&server->lock);
	if (more)
		request_call(server, NULL);
}

/* Off the list of the living, unless the server is being freed: then it is joined from there. */
static void thread_leave(struct rpc_server *server, struct thread *thread)
{
	struct thread **at = &server->threads, *gone = NULL;

	pthread_mutex_lock(&server->lock);
	if (!server->stopping) {
		while (*at != thread)
			at = &(*at)->next;
		*at = thread->next;
		gone = server->gone;
		thread->next = NULL;
		server->gone = thread;
	}
	pthread_mutex_unlock(&server->lock);
	join_gone(gone);
}

static void *thread_main(void *arg)
{
	struct thread *thread = arg;
	struct rpc_server *server = thread->server;
	struct rpc_call *call;

	while ((call = next_call(server))) {
		call_came(server, call);
		serve(server, call);
		put_back(server, call);
	}
	thread_leave(server, thread);
	return NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static grpc_arg integer(const char *key, int value)
{
	return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static grpc_server *server_create(void)
{
	grpc_arg args[] = {
		integer(GRPC_ARG_ALLOW_REUSEPORT, 0), /* a port that is taken is an error */
		integer(GRPC_ARG_ENABLE_CHANNELZ, 0),
		integer(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RECEIVE_MAX),
	};
	grpc_channel_args all = {sizeof args / sizeof *args, args};

	return grpc_server_create(&all, NULL);
}

static int server_listen(struct rpc_server *server, const char *host, int port)
{
	grpc_server_credentials *insecure = grpc_insecure_server_credentials_create();
	char address[300];

	snprintf(address, sizeof address, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
	port = grpc_server_add_http2_port(server->server, address, insecure);
	grpc_server_credentials_release(insecure);
	return port > 0 ? port : -EADDRINUSE;
}

static struct rpc_server *server_alloc(const struct rpc_server_options *options)
{
	struct rpc_server *server = calloc(1, sizeof *server);
	pthread_condattr_t monotonic;

	if (!server)
		return NULL;
	server->auth = options->auth;
	server->context = options->context;
	for (const struct rpc_handler *h = options->handlers; h->unary || h->stream; h++)
		server->handlers[h->id] = h;
	sessions_init(&server->sessions);
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&server->wanted, &monotonic);
	pthread_cond_init(&server->busy, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return server;
}

/* The port, or -errno. */
static int server_start(struct rpc_server *server, const struct rpc_server_options *options)
{
	sigset_t saved;
	int port;

	process_start();
	signals_block(&saved);
	server->queue = grpc_completion_queue_create_for_next(NULL);
	server->server = server_create();
	grpc_server_register_completion_queue(server->server, server->queue, NULL);
	port = server_listen(server, options->host ? options->host : "127.0.0.1", options->port);
	grpc_server_start(server->server);
	signals_restore(&saved);
	return port;
}

/* Nobody serves: end what is left by ourselves. */
static void server_drain(struct rpc_server *server)
{
	grpc_event event;

	while ((event = grpc_completion_queue_next(server->queue, deadline_after(0), NULL)).type != GRPC_QUEUE_SHUTDOWN)
		if (event.tag == &stop_tag)
			grpc_completion_queue_shutdown(server->queue);
		else
			call_free(call_of(event));
}

void rpc_server_free(struct rpc_server *server)
{
	struct thread *threads, *gone;

	if (!server)
		return;
	pthread_mutex_lock(&server->lock);
	server->stopping = true;
	threads = server->threads;
	gone = server->gone;
	pthread_cond_broadcast(&server->wanted);
	pthread_cond_broadcast(&server->busy);
	pthread_mutex_unlock(&server->lock);
	if (server->has_relief)
		pthread_join(server->relief, NULL);
	grpc_server_shutdown_and_notify(server->server, server->queue, &stop_tag);
	grpc_server_cancel_all_calls(server->server);
	join_gone(gone);
	join_gone(threads);
	server_drain(server);
	grpc_server_destroy(server->server);
	grpc_completion_queue_destroy(server->queue);
	pthread_cond_destroy(&server->wanted);
	pthread_cond_destroy(&server->busy);
	pthread_mutex_destroy(&server->lock);
	sessions_release(&server->sessions);
	free(server);
}

/* The first thread, and the relief. */
static int server_staff(struct rpc_server *server)
{
	sigset_t saved;
	bool staffed;

	signals_block(&saved);
	server->has_relief = !pthread_create(&server->relief, NULL, relief_main, server);
	signals_restore(&saved);
	pthread_mutex_lock(&server->lock);
	hand_over(server);
	staffed = server->has_relief && server->threads;
	pthread_mutex_unlock(&server->lock);
	return staffed ? 0 : -EAGAIN;
}

int rpc_server_new(const struct rpc_server_options *options, struct rpc_server **out, int *port)
{
	struct rpc_server *server = server_alloc(options);
	int bound, rc;

	if (!server)
		return -ENOMEM;
	bound = server_start(server, options);
	rc = bound < 0 ? bound : 0;
	for (unsigned i = 0; !rc && i < REQUESTED_MIN; i++)
		request_call(server, NULL);
	if (!rc)
		rc = server_staff(server);
	if (rc) {
		rpc_server_free(server);
		return rc;
	}
	*out = server;
	if (port)
		*port = bound;
	return 0;
}

void rpc_server_revoke_all(struct rpc_server *server)
{
	sessions_revoke_all(&server->sessions);
}
