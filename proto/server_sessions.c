/*
 * server_sessions.c: SASL, the server's part (spec goosefs 4, 19.1). A session lives on the stack of the thread that
 * serves its authenticate call, and is listed from SUCCESS to the end of that call.
 */
#include "proto/exchange.h"
#include "proto/message.h"
#include "proto/server.h"

#include <stdlib.h>
#include <string.h>

enum { ID_MAX = 128, USER_MAX = 256, SASL_SUCCESS = 1 };

struct session {
	struct session *next;
	bool listed; /* as is next, guarded by the lock */
	char id[ID_MAX];
	char user[USER_MAX];
};

void sessions_init(struct sessions *sessions)
{
	pthread_mutex_init(&sessions->lock, NULL);
}

void sessions_release(struct sessions *sessions)
{
	pthread_mutex_destroy(&sessions->lock);
}

static struct session **bucket_of(struct sessions *sessions, const char *id, size_t n)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)id[i]) * 16777619u;
	return &sessions->buckets[hash % SESSION_BUCKETS];
}

/* Under the lock. */
static struct session *lookup(struct sessions *sessions, const char *id, size_t n)
{
	struct session *s = *bucket_of(sessions, id, n);

	while (s && (strlen(s->id) != n || memcmp(s->id, id, n)))
		s = s->next;
	return s;
}

bool sessions_find(struct sessions *sessions, grpc_slice id, struct rpc_call *call, const char **user)
{
	const struct session *session;

	pthread_mutex_lock(&sessions->lock);
	session = lookup(sessions, (const char *)GRPC_SLICE_START_PTR(id), GRPC_SLICE_LENGTH(id));
	if (session)
		*user = rpc_call_strdup(call, session->user);
	pthread_mutex_unlock(&sessions->lock);
	return session && *user;
}

/* False: somebody else has this id. */
static bool session_list(struct sessions *sessions, struct session *session)
{
	struct session **bucket = bucket_of(sessions, session->id, strlen(session->id));
	bool free;

	pthread_mutex_lock(&sessions->lock);
	free = !lookup(sessions, session->id, strlen(session->id));
	if (free) {
		session->next = *bucket;
		*bucket = session;
	}
	session->listed = free;
	pthread_mutex_unlock(&sessions->lock);
	return free;
}

static void session_unlist(struct sessions *sessions, struct session *session)
{
	struct session **at = bucket_of(sessions, session->id, strlen(session->id));

	pthread_mutex_lock(&sessions->lock);
	while (session->listed && *at != session)
		at = &(*at)->next;
	if (session->listed)
		*at = session->next;
	pthread_mutex_unlock(&sessions->lock);
}

void sessions_revoke_all(struct sessions *sessions)
{
	pthread_mutex_lock(&sessions->lock);
	for (size_t i = 0; i < SESSION_BUCKETS; i++) {
		for (struct session *s = sessions->buckets[i]; s; s = s->next)
			s->listed = false;
		sessions->buckets[i] = NULL;
	}
	pthread_mutex_unlock(&sessions->lock);
}

/* The user's name stands between the NULs of the token. */
static bool user_of(const struct sasl_message *hello, char user[USER_MAX])
{
	const char *begin = hello->message_bytes ? memchr(hello->message, 0, hello->message_bytes) : NULL;
	const char *end;
	size_t left;

	if (!begin)
		return false;
	begin++;
	left = hello->message_bytes - (size_t)(begin - (const char *)hello->message);
	end = memchr(begin, 0, left);
	if (!end || end == begin || end - begin >= USER_MAX)
		return false;
	memcpy(user, begin, (size_t)(end - begin));
	user[end - begin] = '\0';
	return true;
}

/* 0 or the status to end with. */
static int session_read(struct rpc_call *call, const struct sasl_message *hello, struct session *session)
{
	if (!hello->client_id || !*hello->client_id || strlen(hello->client_id) >= ID_MAX)
		return rpc_call_fail(call, RPC_UNAUTHENTICATED, "A handshake without a client id");
	if (!user_of(hello, session->user))
		return rpc_call_fail(call, RPC_UNAUTHENTICATED, "A handshake without a user");
	strcpy(session->id, hello->client_id);
	return 0;
}

static int session_open(struct rpc_call *call, struct session *session)
{
	struct sasl_message hello;
	grpc_byte_buffer *buffer;
	grpc_slice bytes;
	int code;

	if (call_take(call, 0, &buffer) != 1)
		return rpc_call_fail(call, RPC_UNAUTHENTICATED, "A handshake without a message");
	if (buffer_flatten(buffer, &bytes))
		return rpc_call_fail(call, RPC_INTERNAL, "A message that cannot be read");
	if (sasl_unpack(GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes), &hello)) {
		code = rpc_call_fail(call, RPC_INVALID_ARGUMENT, "%s", message_complaint());
	} else {
		code = session_read(call, &hello, session);
		sasl_release(&hello);
	}
	grpc_slice_unref(bytes);
	return code;
}

static int say_success(struct rpc_call *call)
{
	struct sasl_message success = {.type = SASL_SUCCESS};
	grpc_slice slice;
	int rc = sasl_pack(&success, &slice);

	return rc ? rc : call_put(call, &slice, 1);
}

int sessions_serve(struct sessions *sessions, struct rpc_call *call)
{
	struct session session = {0};
	grpc_byte_buffer *ignored;
	int code = session_open(call, &session);

	if (code)
		return code;
	if (!session_list(sessions, &session))
		return rpc_call_fail(call, RPC_UNAUTHENTICATED, "Channel: %s is in use", session.id);
	if (!say_success(call))
		while (call_take(call, 0, &ignored) == 1)
			grpc_byte_buffer_destroy(ignored);
	session_unlist(sessions, &session);
	return RPC_OK;
}
