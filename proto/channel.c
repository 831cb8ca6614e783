/*
 * channel.c: a connection, and the session on it.
 *
 * The handshake's call stays open and nobody waits on it. That it ended is noticed when somebody asks, by a look into
 * its queue; a thread for it would be the one that polls, and every other call would cost a change of threads (spec
 * grpc-core, "Unary round trip"). While nobody calls, gRPC itself looks every few seconds, which answers pings.
 */
#include "proto/channel.h"
#include "proto/message.h"
#include "proto/method.h"
#include "proto/process.h"
#include "proto/status.h"

#include <grpc/grpc_security.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	TIMEOUT_DEFAULT_MS = 30000,
	ATTEMPT_MORE_MS = 1000,
	RECEIVE_MAX = 128 << 20,
	RECONNECT_FIRST_MS = 100,
	RECONNECT_MAX_MS = 3000,
	CHALLENGES_MAX = 16,
	SCHEME_SIMPLE = 1,
	UUID_BYTES = 36,
};

enum { SASL_CHALLENGE = 0, SASL_SUCCESS = 1 };

static unsigned or_default(unsigned timeout_ms)
{
	return timeout_ms ? timeout_ms : TIMEOUT_DEFAULT_MS;
}

/* ---- connecting ------------------------------------------------------------------------------------------------- */

/* An address that is written in numbers needs no resolver. */
static void target_of(const char *address, char *out, size_t size)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : strlen(address);
	char host[INET_ADDRSTRLEN];
	struct in_addr ip;
	const char *scheme = "dns:///";

	if (*address == '[')
		scheme = "ipv6:";
	if (n < sizeof host) {
		memcpy(host, address, n);
		host[n] = '\0';
		if (inet_pton(AF_INET, host, &ip) == 1)
			scheme = "ipv4:";
	}
	snprintf(out, size, "%s%s", scheme, address);
}

static grpc_arg integer(const char *key, int value)
{
	return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static grpc_channel *channel_create(const char *address, unsigned connect_timeout_ms)
{
	grpc_arg args[] = {
		integer(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1), /* else equal channels are one connection */
		integer(GRPC_ARG_ENABLE_RETRIES, 0),
		integer(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
		integer(GRPC_ARG_ENABLE_CHANNELZ, 0),
		integer(GRPC_ARG_ENABLE_HTTP_PROXY, 0), /* http_proxy is the program's, and not for this */
		integer(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RECEIVE_MAX),
		/* How long one attempt may take: more than we wait, so that silence is a timeout and not a refusal. */
		integer(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, (int)connect_timeout_ms + ATTEMPT_MORE_MS),
		integer(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS),
		integer(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS),
	};
	grpc_channel_args all = {sizeof args / sizeof *args, args};
	grpc_channel_credentials *insecure = grpc_insecure_credentials_create();
	char target[512];
	grpc_channel *channel;

	target_of(address, target, sizeof target);
	channel = grpc_channel_create(target, insecure, &all);
	grpc_channel_credentials_release(insecure);
	return channel;
}

/* The state once it is no longer `from`, or time is up. */
static grpc_connectivity_state state_after(grpc_channel *channel, grpc_connectivity_state from, gpr_timespec deadline,
					   grpc_completion_queue *queue)
{
	grpc_channel_watch_connectivity_state(channel, from, deadline, queue, NULL);
	grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	return grpc_channel_check_connectivity_state(channel, 1);
}

static int wait_connected(grpc_channel *channel, unsigned timeout_ms)
{
	grpc_completion_queue *queue = grpc_completion_queue_create_for_next(NULL);
	gpr_timespec deadline = deadline_after(timeout_ms);
	grpc_connectivity_state state = grpc_channel_check_connectivity_state(channel, 1);
	int rc = 0;

	while (!rc && state != GRPC_CHANNEL_READY) {
		if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN)
			rc = -EHOSTUNREACH;
		else if (deadline_passed(deadline))
			rc = -ETIMEDOUT;
		else
			state = state_after(channel, state, deadline, queue);
	}
	grpc_completion_queue_shutdown(queue);
	grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	grpc_completion_queue_destroy(queue);
	return rc;
}

/* ---- the handshake (spec goosefs 4.3) --------------------------------------------------------------------------- */

/*
 * From the kernel: OpenSSL tears its own generator down in an exit handler, and a client that is a part of its program
 * publishes after that.
 */
static int uuid_new(char out[UUID_BYTES + 1])
{
	unsigned char b[16];

	if (getrandom(b, sizeof b, 0) != sizeof b)
		return -EIO;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(out, UUID_BYTES + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		 b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	return 0;
}

/* No authorisation id, the user, and a password that nobody checks. */
struct token {
	char bytes[300];
	size_t n;
};

static void token_make(const char *user, struct token *token)
{
	int n = snprintf(token->bytes, sizeof token->bytes, "%c%.255s%cnoPassword", 0, user, 0);

	token->n = (size_t)n;
}

static int greeting(const struct rpc_channel *channel, const struct token *token, grpc_slice *out)
{
	char id[UUID_BYTES + 1], ref[32];
	struct sasl_message hello = {
		.type = SASL_CHALLENGE,
		.message = token->bytes,
		.message_bytes = token->n,
		.client_id = id,
		.channel_ref = ref,
		.scheme = SCHEME_SIMPLE,
		.has_scheme = true,
	};

	memcpy(id, GRPC_SLICE_START_PTR(channel->id), UUID_BYTES);
	id[UUID_BYTES] = '\0';
	snprintf(ref, sizeof ref, "rust-client-%.8s", id);
	return sasl_pack(&hello, out);
}

static int answer(struct exchange *x, const struct token *token, gpr_timespec deadline)
{
	struct sasl_message message = {.type = SASL_CHALLENGE, .message = token->bytes, .message_bytes = token->n};
	grpc_slice slice;
	int rc = exchange_room(x, deadline);

	if (!rc)
		rc = sasl_pack(&message, &slice);
	return rc ? rc : exchange_send(x, &slice, 1, false);
}

/* The type of the next message; -EPIPE: the call has ended. */
static int next_type(struct exchange *x, gpr_timespec deadline)
{
	struct sasl_message message;
	grpc_byte_buffer *buffer;
	grpc_slice bytes;
	int rc;

	while (!(buffer = exchange_take(x))) {
		if (exchange_over(x))
			return -EPIPE;
		rc = exchange_step(x, deadline);
		if (rc)
			return rc;
	}
	rc = buffer_flatten(buffer, &bytes);
	if (rc)
		return rc;
	rc = sasl_unpack(GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes), &message);
	grpc_slice_unref(bytes);
	if (rc)
		return rc;
	rc = message.type;
	sasl_release(&message);
	return rc;
}

static int converse(struct exchange *x, const struct token *token, gpr_timespec deadline)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < CHALLENGES_MAX; i++) {
		rc = next_type(x, deadline);
		if (rc == SASL_SUCCESS)
			return 0;
		if (rc == SASL_CHALLENGE)
			rc = answer(x, token, deadline);
	}
	return rc ? rc : -EPROTO;
}

/* Refused is -EACCES, anything else that ends the call a failure to connect. */
static int handshake_error(const struct exchange *x, const char *address, int rc, struct rpc_error *error)
{
	if (rc == -ETIMEDOUT)
		return status_none(error, rc, "%s: no answer to the handshake", address);
	if (rc != -EPIPE)
		return status_none(error, rc, "%s: handshake: %s", address,
				   rc == -EPROTO ? message_complaint() : strerror(-rc));
	status_say(error, (int)x->status, (const char *)GRPC_SLICE_START_PTR(x->text), GRPC_SLICE_LENGTH(x->text));
	return x->status == GRPC_STATUS_UNAUTHENTICATED || x->status == GRPC_STATUS_PERMISSION_DENIED ? -EACCES
												      : -EHOSTUNREACH;
}

static int shake_hands(struct rpc_channel *channel, const char *address, const struct rpc_channel_options *options,
		       struct rpc_error *error)
{
	struct exchange_request request = {.path = SASL_PATH, .deadline = deadline_after(0)};
	gpr_timespec deadline = deadline_after(or_default(options->auth_timeout_ms));
	struct token token;
	int rc;

	token_make(options->user ? options->user : "unknown", &token);
	rc = greeting(channel, &token, &request.first);
	if (!rc)
		rc = exchange_open(&channel->session, channel->channel, &request);
	if (rc)
		return status_none(error, rc, "%s: handshake: %s", address, strerror(-rc));
	channel->has_session = true;
	rc = converse(&channel->session, &token, deadline);
	return rc ? handshake_error(&channel->session, address, rc, error) : 0;
}

/* Messages after SUCCESS are nobody's; unread, they would hide the end. */
static bool session_over(struct exchange *x)
{
	grpc_byte_buffer *message;

	exchange_pump(x);
	while ((message = exchange_take(x)))
		grpc_byte_buffer_destroy(message);
	return x->ended;
}

bool rpc_channel_dead(const struct rpc_channel *asked)
{
	struct rpc_channel *channel = (struct rpc_channel *)asked;

	if (!channel->has_session || atomic_load(&channel->dead))
		return channel->has_session;
	if (pthread_mutex_trylock(&channel->session_lock)) /* somebody is looking */
		return false;
	if (session_over(&channel->session))
		atomic_store(&channel->dead, true);
	pthread_mutex_unlock(&channel->session_lock);
	return atomic_load(&channel->dead);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static int channel_alloc(const char *address, const struct rpc_channel_options *options, struct rpc_channel **out)
{
	struct rpc_channel *channel;
	char id[UUID_BYTES + 1];
	sigset_t saved;
	int rc = uuid_new(id);

	if (rc)
		return rc;
	channel = calloc(1, sizeof *channel);
	if (!channel)
		return -ENOMEM;
	atomic_init(&channel->refs, 1);
	pthread_mutex_init(&channel->session_lock, NULL);
	channel->rpc_timeout_ms = options->rpc_timeout_ms;
	process_start();
	channel->id = grpc_slice_from_copied_string(id);
	signals_block(&saved);
	channel->channel = channel_create(address, or_default(options->connect_timeout_ms));
	if (channel->channel)
		grpc_channel_check_connectivity_state(channel->channel, 1);
	signals_restore(&saved);
	*out = channel;
	return 0;
}

int rpc_channel_new(const char *address, const struct rpc_channel_options *options, struct rpc_channel **out,
		    struct rpc_error *error)
{
	struct rpc_channel *channel;
	int rc = channel_alloc(address, options, &channel);

	if (rc)
		return status_none(error, rc, "%s: %s", address, strerror(-rc));
	rc = channel->channel ? wait_connected(channel->channel, or_default(options->connect_timeout_ms)) : -ENOMEM;
	if (rc)
		status_none(error, rc, "%s: cannot connect: %s", address,
			    rc == -EHOSTUNREACH ? "nobody there speaks gRPC" : strerror(-rc));
	else if (options->auth == RPC_AUTH_SIMPLE)
		rc = shake_hands(channel, address, options, error);
	if (rc)
		rpc_channel_put(channel);
	else
		*out = channel;
	return rc;
}

struct rpc_channel *rpc_channel_get(struct rpc_channel *channel)
{
	atomic_fetch_add(&channel->refs, 1);
	return channel;
}

void rpc_channel_put(struct rpc_channel *channel)
{
	if (!channel || atomic_fetch_sub(&channel->refs, 1) > 1)
		return;
	if (channel->has_session)
		exchange_release(&channel->session);
	if (channel->channel)
		grpc_channel_destroy(channel->channel);
	grpc_slice_unref(channel->id);
	pthread_mutex_destroy(&channel->session_lock);
	free(channel);
}
