/*
 * serve.c: connections and requests. Every thread waits for the next packet of any connection, answers it, and waits again;
 * whoever finds that nobody else is waiting starts another thread first, so that a request that takes long holds up no
 * other. A connection is armed for one packet at a time: one exchange owns it.
 */
#include "client/keeper.h"
#include "client/log.h"
#include "client/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 256
#define IDLE_MAX    8
#define IDLE_MS     5000
#define QUIET_MS    1000

static request_handler *const handlers[] = {
#define SESSION_OP(ID, name, again) [SESSION_##ID] = request_##name,
#include "client/session.def"
#undef SESSION_OP
};

static const char *const names[] = {
#define SESSION_OP(ID, name, again) [SESSION_##ID] = #name,
#include "client/session.def"
#undef SESSION_OP
};

struct connection {
	int fd;
	uid_t uid;
	gid_t gid;
	size_t group_count; /* those that are his besides */
	gid_t groups[];
};

struct packet_in {
	struct session_request head;
	char payload[SESSION_PAYLOAD_MAX];
};

struct packet_out {
	struct session_reply head;
	char payload[SESSION_PAYLOAD_MAX];
};

struct server {
	struct keeper *k;
	struct packet_in in;
	struct packet_out out;
	struct request request;
};

const char *op_name(uint32_t op)
{
	return op < SESSION_OP_COUNT ? names[op] : "?";
}

/* ---- one request ------------------------------------------------------------------------------------------------ */

/* One NUL-terminated string of the payload; false if there is none. */
static bool string_take(const char **at, size_t *left, const char **out)
{
	size_t n = strnlen(*at, *left);

	if (n == *left)
		return false;
	*out = *at;
	*at += n + 1;
	*left -= n + 1;
	return true;
}

static bool takes_path2(uint32_t op)
{
	return op == SESSION_RENAME || op == SESSION_SYMLINK;
}

static bool takes_path(const struct session_request *head)
{
	switch (head->op) {
	case SESSION_OPEN:
	case SESSION_STAT:
	case SESSION_ACCESS:
	case SESSION_READLINK:
	case SESSION_STATFS:
	case SESSION_CHMOD:
	case SESSION_CHOWN:
	case SESSION_UTIMENS:
	case SESSION_TRUNCATE:
		return head->record < 0;
	case SESSION_MKDIR:
	case SESSION_UNLINK:
	case SESSION_RMDIR:
	case SESSION_RENAME:
	case SESSION_SYMLINK:
	case SESSION_LINK:
		return true;
	default:
		return false;
	}
}

static int request_parse(struct request *r, const char *at, size_t left)
{
	const char *text;
	int rc;

	r->path[0] = r->path2[0] = '\0';
	if (takes_path(r->head)) {
		if (!string_take(&at, &left, &text))
			return -EINVAL;
		rc = path_normalise(text, r->path);
		if (rc)
			return rc;
	}
	if (takes_path2(r->head->op)) {
		if (!string_take(&at, &left, &text))
			return -EINVAL;
		if (strlen(text) >= sizeof r->path2)
			return -ENAMETOOLONG;
		strcpy(r->path2, text);
		if (r->head->op == SESSION_RENAME && path_normalise(text, r->path2))
			return -EINVAL;
	}
	r->data = at;
	r->data_bytes = left;
	return 0;
}

/* Answers that are no news about a file, but a day gone bad. */
static bool trouble(int64_t rc)
{
	switch (rc) {
	case -EHOSTUNREACH:
	case -ETIMEDOUT:
	case -EIO:
	case -EPROTO:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -ENOSPC:
		return true;
	default:
		return false;
	}
}

/* What it is about: named, or by its record. */
static void request_path(const struct request *r, char path[PATH_MAX])
{
	const struct session_record *rec = *r->path ? NULL : record_at(r->k->records, r->head->record);

	lock_take(&r->k->lock);
	snprintf(path, PATH_MAX, "%s", rec ? rec->path : r->path);
	lock_drop(&r->k->lock);
}

/* A line for the first, and one a second while it lasts: a program may ask thousands of times. */
static bool told_lately(void)
{
	static _Atomic int64_t quiet_until_ms;
	int64_t until = atomic_load(&quiet_until_ms), now = now_ms();

	return now < until || !atomic_compare_exchange_strong(&quiet_until_ms, &until, now + QUIET_MS);
}

static void failure_log(const struct request *r, int rc)
{
	const char *op = op_name(r->head->op), *why = error_noted();
	char path[PATH_MAX];

	/* What publishing met is in the log already. */
	if (!trouble(rc) || r->head->op == SESSION_CLOSED || told_lately()) {
		log_debug("%s %s: %s %s", op, r->path, strerror(-rc), why);
		return;
	}
	request_path(r, path);
	log_error("%s %s: %s%s%s", op, path, strerror(-rc), *why ? ": " : "", why);
}

/* May it have changed what a name leads to, or the attributes of that? */
static bool request_changes(const struct session_request *head)
{
	switch (head->op) {
	case SESSION_HELLO:
	case SESSION_READ:
	case SESSION_STAT:
	case SESSION_LIST:
	case SESSION_ACCESS:
	case SESSION_READLINK:
	case SESSION_STATFS:
	case SESSION_NAME:
	case SESSION_STATUS:
		return false;
	case SESSION_OPEN:
		return (head->flags & O_ACCMODE) != O_RDONLY || (head->flags & (O_CREAT | O_TRUNC));
	default:
		return true;
	}
}

static void request_answer(struct server *s, const struct connection *c, size_t bytes)
{
	struct request *r = &s->request;
	int64_t rc = -EINVAL;

	memset(&s->out.head, 0, sizeof s->out.head);
	s->out.head.record = -1;
	r->k = s->k;
	r->head = &s->in.head;
	r->reply = &s->out.head;
	r->out = s->out.payload;
	r->uid = c->uid ? c->uid : s->in.head.uid;
	r->gid = c->uid ? c->gid : s->in.head.gid;
	r->groups = c->groups;
	r->group_count = c->uid ? c->group_count : 0; /* root's are not those of whom he has become */
	r->fd = -1;
	r->fd_lent = false;
	r->passing = NULL;
	error_note("%s", "");
	if (s->in.head.op < SESSION_OP_COUNT && s->in.head.bytes == bytes)
		rc = request_parse(r, s->in.payload, bytes);
	if (!rc)
		rc = handlers[s->in.head.op](r);
	if (request_changes(&s->in.head))
		records_changed(s->k->records);
	s->out.head.rc = rc;
	if (rc < 0 && rc != SESSION_ELSEWHERE) {
		s->out.head.bytes = 0;
		s->out.head.flags = 0;
		failure_log(r, (int)rc);
	}
}

/* ---- packets ---------------------------------------------------------------------------------------------------- */

/* Bytes of payload; -errno: this connection is over. */
static ssize_t packet_receive(int fd, struct packet_in *in)
{
	struct iovec iov = {in, sizeof *in};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	do
		n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n < (ssize_t)sizeof in->head || (message.msg_flags & MSG_TRUNC))
		return -EPROTO; /* or the end: n is 0 */
	return n - (ssize_t)sizeof in->head;
}

static int packet_send(int fd, struct packet_out *out, int passed)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {out, sizeof out->head + out->head.bytes};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (passed >= 0) {
		struct cmsghdr *c;

		message.msg_control = control.space;
		message.msg_controllen = sizeof control.space;
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof passed);
		memcpy(CMSG_DATA(c), &passed, sizeof passed);
		out->head.flags |= REPLY_FD;
	}
	do
		n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

static void connection_close(struct keeper *k, struct connection *c)
{
	close(c->fd);
	free(c);
	atomic_fetch_sub(&k->connections, 1);
}

static int connection_arm(struct keeper *k, struct connection *c, int how)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = c};

	return epoll_ctl(k->epoll_fd, how, c->fd, &event) ? -errno : 0;
}

/* Who connected, as he was then. NULL: no memory. */
static struct connection *connection_of(int fd)
{
	socklen_t size = sizeof(struct ucred), bytes = 0;
	struct connection *c;
	struct ucred peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return NULL;
	getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes); /* ERANGE, and how many bytes it takes */
	c = calloc(1, sizeof *c + bytes);
	if (!c)
		return NULL;
	c->fd = fd;
	c->uid = peer.uid;
	c->gid = peer.gid;
	if (bytes && !getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, c->groups, &bytes))
		c->group_count = bytes / sizeof *c->groups;
	return c;
}

static int connection_new(struct keeper *k, int fd)
{
	struct connection *c = connection_of(fd);

	if (!c)
		return -ENOMEM;
	if (c->uid != k->uid && k->uid && c->uid) {
		log_warn("a process of user %u is not served", c->uid);
		free(c);
		return -EPERM;
	}
	atomic_fetch_add(&k->connections, 1);
	if (connection_arm(k, c, EPOLL_CTL_ADD)) {
		atomic_fetch_sub(&k->connections, 1);
		free(c);
		return -ENOSPC;
	}
	return 0; /* epoll has it: NOLINT(clang-analyzer-unix.Malloc) */
}

/* Out of descriptors: room is made by what nobody uses, and the connection stays queued meanwhile. */
static void make_room(struct keeper *k)
{
	caches_empty(k);
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

static void accept_all(struct keeper *k)
{
	for (;;) {
		int fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
			log_warn("a connection waits: %s", strerror(errno));
			make_room(k);
		}
		if (fd < 0)
			return;
		if (connection_new(k, fd))
			close(fd);
	}
}

/* Not below 0: without our copy the record may be another's already. */
static void passed(_Atomic uint32_t *passing)
{
	for (uint32_t n = atomic_load(passing); n && !atomic_compare_exchange_weak(passing, &n, n - 1);)
		;
}

static void connection_serve(struct server *s, struct connection *c)
{
	ssize_t bytes = packet_receive(c->fd, &s->in);
	struct request *r = &s->request;
	int rc;

	if (bytes == -EAGAIN) {
		if (connection_arm(s->k, c, EPOLL_CTL_MOD))
			connection_close(s->k, c);
		return;
	}
	if (bytes < 0) {
		connection_close(s->k, c);
		return;
	}
	request_answer(s, c, (size_t)bytes);
	rc = packet_send(c->fd, &s->out, r->fd);
	if (r->fd >= 0 && !r->fd_lent)
		close(r->fd); /* if it was not sent, this is its last close: the kernel reports it as any other */
	if (r->passing)
		passed(r->passing);
	if (rc || connection_arm(s->k, c, EPOLL_CTL_MOD))
		connection_close(s->k, c);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

static void *serve_thread(void *argument);

static int thread_add(struct keeper *k)
{
	pthread_t thread;
	int rc;

	if (atomic_fetch_add(&k->threads, 1) >= THREADS_MAX) {
		atomic_fetch_sub(&k->threads, 1);
		return -EAGAIN;
	}
	rc = pthread_create(&thread, NULL, serve_thread, k);
	if (rc) {
		atomic_fetch_sub(&k->threads, 1);
		return -rc;
	}
	pthread_detach(thread);
	return 0;
}

static void *serve_thread(void *argument)
{
	struct keeper *k = argument;
	struct server *s = calloc(1, sizeof *s);
	struct epoll_event event;

	while (s) {
		int n;

		s->k = k;
		if (atomic_fetch_add(&k->idle, 1) >= IDLE_MAX) {
			n = epoll_wait(k->epoll_fd, &event, 1, IDLE_MS);
			if (n == 0) {
				atomic_fetch_sub(&k->idle, 1);
				break;
			}
		} else {
			n = epoll_wait(k->epoll_fd, &event, 1, -1);
		}
		if (atomic_fetch_sub(&k->idle, 1) == 1 && n == 1)
			thread_add(k);
		if (n == 1 && !event.data.ptr)
			accept_all(k);
		else if (n == 1)
			connection_serve(s, event.data.ptr);
	}
	free(s);
	atomic_fetch_sub(&k->threads, 1);
	return NULL;
}

int serve_start(struct keeper *k)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL};

	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (k->epoll_fd < 0 || epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, k->listen_fd, &event))
		return -errno;
	return thread_add(k);
}
