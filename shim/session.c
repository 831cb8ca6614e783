/*
 * session.c: the pool of connections to the keeper, and one exchange over one of them.
 *
 * A slot holds a connected descriptor or nothing, and is taken by an atomic exchange: threads and signal handlers never
 * share a connection, and nobody waits. Fork is found out by a page the kernel wipes in the child (also for forks that
 * pass libc by): then the inherited sockets are closed unused. A vfork child, which has our memory but another pid and an
 * unwiped page, opens a connection of its own and closes it again.
 */
#include "shim/session.h"
#include "shim/inside.h"
#include "shim/ofd.h"
#include "shim/report.h"
#include "shim/start.h"
#include "shim/sys.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#define POOL         8
#define PRIVATE_ROOM 16   /* numbers below the limit that we look for ours in */
#define PRIVATE_FEW  2    /* ... if there are not many */
#define PRIVATE_MIN  16   /* with a lower limit a program has none to spare */
#define PRIVATE_TOP  1024 /* not higher: the kernel's table grows to the highest number, and fork copies it */
#define CONNECT_MS   10000

static NEAR _Atomic int pool[POOL];  /* descriptor + 1; 0: none */
static NEAR _Atomic int owned[POOL]; /* the same, and while the connection is in use too */
_Atomic int session_private_low = INT_MAX;
_Atomic bool session_fsids;

static const bool again[] = {
#define yes                          true
#define no                           false
#define SESSION_OP(ID, name, resend) [SESSION_##ID] = resend,
#include "client/session.def"
#undef SESSION_OP
#undef yes
#undef no
};

static const char *const op_names[] = {
#define SESSION_OP(ID, name, resend) [SESSION_##ID] = #name,
#include "client/session.def"
#undef SESSION_OP
};

/* ---- whose memory is this? ------------------------------------------------------------------------------------------ */

static NEAR _Atomic(_Atomic int *) page; /* pid of the process that maps it; 0 in a forked child */

static STARTUP int page_pid(void)
{
	_Atomic int *mine = atomic_load(&page), *raced = NULL;
	int pid = (int)sys0(SYS_getpid);
	long at;

	if (mine)
		return pid;
	at = sys6(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0 && at > -4096)
		return pid; /* no page: every child looks like a vfork child, slow and right */
	sys3(SYS_madvise, at, 4096, MADV_WIPEONFORK);
	mine = (_Atomic int *)at;
	atomic_store(mine, pid);
	if (!atomic_compare_exchange_strong(&page, &raced, mine))
		sys2(SYS_munmap, at, 4096);
	return pid;
}

STARTUP bool session_vfork_child(void)
{
	int pid = page_pid(), owner;
	_Atomic int *mine = atomic_load(&page);

	if (!mine)
		return false;
	owner = atomic_load(mine);
	if (owner == pid)
		return false;
	if (owner)
		return true;
	atomic_store(mine, pid); /* a fork: this memory is ours alone now */
	session_drop();
	return false;
}

/* ---- private descriptors ---------------------------------------------------------------------------------------------- */

bool session_private(int fd)
{
	if (likely(fd < atomic_load_explicit(&session_private_low, memory_order_relaxed)))
		return false;
	for (int i = 0; i < POOL; i++)
		if (atomic_load(&owned[i]) == fd + 1)
			return !session_vfork_child();
	return false;
}

void session_drop(void)
{
	for (int i = 0; i < POOL; i++) {
		int fd = atomic_exchange(&owned[i], 0) - 1;

		atomic_store(&pool[i], 0);
		if (fd >= 0)
			sys_close(fd);
	}
}

/* Up and out of the way; where it is if there is no room. */
static int private_place(int fd)
{
	struct rlimit limit;
	long top = PRIVATE_TOP;
	int up;

	if (!sys4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) && limit.rlim_cur < PRIVATE_TOP)
		top = (long)limit.rlim_cur;
	if (top < PRIVATE_MIN)
		return -1;
	up = sys_fcntl(fd, F_DUPFD_CLOEXEC, top - (top <= 2 * PRIVATE_ROOM ? PRIVATE_FEW : PRIVATE_ROOM));
	if (up < 0)
		return -1;
	for (int low = atomic_load(&session_private_low); up < low;)
		if (atomic_compare_exchange_weak(&session_private_low, &low, up))
			break;
	return up;
}

/* ---- connections ---------------------------------------------------------------------------------------------------------- */

static int address(struct sockaddr_un *to, int *dirfd)
{
	size_t n = strlen(shim.session);
	char name[SYS_FD_NAME];
	char *at;

	*to = (struct sockaddr_un){.sun_family = AF_UNIX};
	*dirfd = -1;
	if (n + 3 <= sizeof to->sun_path) {
		memcpy(to->sun_path, shim.session, n);
		memcpy(to->sun_path + n, "/s", 3);
		return 0;
	}
	*dirfd = sys_open(shim.session, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (*dirfd < 0)
		return *dirfd;
	at = sys_fd_name(name, *dirfd);
	n = strlen(at);
	memcpy(to->sun_path, at, n);
	memcpy(to->sun_path + n, "/s", 3);
	return 0;
}

/* SLIPSTREAM_SHIM_TIMEOUT_MS: when the wait that begins now is over; 0: never. */
static int64_t deadline_new(void)
{
	struct timespec now;

	if (likely(!shim.timeout_ms))
		return 0;
	sys2(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000 + shim.timeout_ms;
}

static bool deadline_past(int64_t deadline)
{
	return deadline && deadline_new() - shim.timeout_ms >= deadline;
}

static int connect_once(void)
{
	struct timeval limit = {shim.timeout_ms / 1000, shim.timeout_ms % 1000 * 1000};
	struct sockaddr_un to;
	int dirfd, rc, fd;

	rc = address(&to, &dirfd);
	if (rc)
		return rc;
	fd = (int)sys3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		if (shim.timeout_ms) { /* a keeper that stands still takes no connections either, once they queue up */
			sys5(SYS_setsockopt, fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
			sys5(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		}
		do
			rc = (int)sys3(SYS_connect, fd, &to, sizeof to);
		while (rc == -EINTR);
		if (rc) {
			sys_close(fd);
			fd = rc;
		}
	}
	if (dirfd >= 0)
		sys_close(dirfd);
	return fd;
}

/* While a keeper is replaced its socket refuses, or is not there. In a session of one's own perhaps nobody keeps it yet. */
static int connect_wait(void)
{
	struct timespec nap = {0, 20 * 1000 * 1000};
	int64_t deadline = deadline_new();
	struct stat st;
	int fd = -EIO;

	for (int waited_ms = 0; waited_ms < CONNECT_MS && !deadline_past(deadline); waited_ms += 20) {
		fd = connect_once();
		if (fd != -ECONNREFUSED && fd != -ENOENT && fd != -EAGAIN)
			break;
		if (shim.alone && fd != -EAGAIN) {
			if (shim.inside ? inside_start() : start_keeper())
				break;
			fd = connect_once(); /* it serves, unless another starter was before us */
			if (fd >= 0)
				break;
		}
		if (fd == -ENOENT && sys_fstatat(AT_FDCWD, shim.session, &st, 0))
			break; /* the session itself is over */
		sys4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL);
	}
	if (fd < 0 && fd != -EMFILE && fd != -ENFILE) {
		shim_log("no keeper answers in", shim.session, fd);
		fd = fd == -EACCES ? fd : -EIO; /* somebody else's session: setuid(), then exec */
	}
	return fd;
}

struct link {
	int fd, slot; /* slot -1: for this exchange only */
};

static int link_take(struct link *link, bool fresh)
{
	bool alone = session_vfork_child();
	int fd, up;

	for (int i = 0; i < POOL && !alone && !fresh; i++) {
		fd = atomic_exchange(&pool[i], 0);
		if (fd) {
			*link = (struct link){fd - 1, i};
			return 0;
		}
	}
	fd = connect_wait();
	if (fd < 0)
		return fd;
	*link = (struct link){fd, -1};
	for (int i = 0; i < POOL && !alone; i++) {
		int none = 0;

		if (!atomic_compare_exchange_strong(&owned[i], &none, fd + 1))
			continue;
		up = private_place(fd);
		if (up < 0) {
			atomic_store(&owned[i], 0);
			break;
		}
		atomic_store(&owned[i], up + 1);
		sys_close(fd);
		*link = (struct link){up, i};
		break;
	}
	return 0;
}

static void link_give(struct link *link, bool good)
{
	if (link->slot >= 0 && good) {
		atomic_store(&pool[link->slot], link->fd + 1);
		return;
	}
	/* Somebody may have closed it behind us, and the number be another's by now: only ours is closed. */
	if (link->slot < 0 || atomic_exchange(&owned[link->slot], 0) == link->fd + 1)
		sys_close(link->fd);
}

/* ---- an exchange ------------------------------------------------------------------------------------------------------------ */

static long send_request(int fd, const struct call *c)
{
	struct iovec iov[3] = {
		{(void *)&c->request, sizeof c->request},
		{(void *)c->path, c->path ? strlen(c->path) + 1 : 0},
		{(void *)c->data, c->data_bytes},
	};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 3};
	long n;

	do
		n = sys3(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
	while (n == -EINTR);
	return n;
}

static int received_fd(struct msghdr *message)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

/* A connection for one exchange took the lowest number: what came over it gets that one. */
static void fd_lower(struct call *c, int freed)
{
	int down;

	if (c->fd <= freed)
		return;
	down = sys_fcntl(c->fd, c->cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, freed);
	if (down < 0)
		return;
	sys_close(down < c->fd ? c->fd : down);
	c->fd = down < c->fd ? down : c->fd;
}

/* Returns 0, -EMFILE (the reply came, its descriptor found no number) or what ails the connection. */
static long receive_reply(int fd, struct call *c)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov[2] = {{&c->reply, sizeof c->reply}, {c->in, c->in_bytes}};
	struct msghdr message = {
		.msg_iov = iov, .msg_iovlen = 2, .msg_control = control.space, .msg_controllen = sizeof control.space};
	int64_t deadline = deadline_new();
	long n;

	/* As a disk: a signal's handler runs at once, and then the wait goes on. */
	do
		n = sys3(SYS_recvmsg, fd, &message, c->cloexec ? MSG_CMSG_CLOEXEC : 0);
	while (n == -EINTR && !deadline_past(deadline));
	if (n < 0)
		return n == -EAGAIN || n == -EINTR ? -ETIMEDOUT : n;
	if (n < (long)sizeof c->reply)
		return -ECONNRESET;
	c->fd = received_fd(&message);
	n -= (long)sizeof c->reply;
	if (c->reply.bytes > n)
		c->reply.bytes = (uint32_t)n; /* what we asked room for */
	if (message.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	return 0;
}

/* The kernel looks for a number before it looks for the file: who has none left makes no file and empties none. */
static bool no_number_left(int fd)
{
	int room = sys_fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (room >= 0)
		sys_close(room);
	return room == -EMFILE;
}

/* The answer is lost: may the same be asked once more? To open a second time is to open, unless it must make the file. */
static bool may_repeat(const struct call *c)
{
	return again[c->request.op] || (c->request.op == SESSION_OPEN && !(c->request.flags & O_EXCL));
}

/* Whose call it is. To set an id that is none is to ask; but a sandbox may forbid it, so only who has set one before does. */
static void fsids(struct session_request *request)
{
	bool own = atomic_load_explicit(&session_fsids, memory_order_relaxed);

	request->uid = (uint32_t)(own ? sys1(SYS_setfsuid, -1) : sys0(SYS_geteuid));
	request->gid = (uint32_t)(own ? sys1(SYS_setfsgid, -1) : sys0(SYS_getegid));
}

long session_call(struct call *c)
{
	struct link link;
	long rc;

	report_request(c->request.op);
	fsids(&c->request);
	c->request.bytes = (c->path ? (uint32_t)strlen(c->path) + 1 : 0) + c->data_bytes;
	for (int attempt = 0; attempt < 3; attempt++) {
		bool sent;

		c->fd = -1;
		rc = link_take(&link, attempt > 0);
		if (rc)
			return rc;
		if (c->needs_fd && no_number_left(link.fd)) {
			link_give(&link, true);
			return -EMFILE;
		}
		rc = send_request(link.fd, c);
		sent = rc >= 0;
		if (sent)
			rc = receive_reply(link.fd, c);
		link_give(&link, sent && (!rc || rc == -EMFILE));
		if (link.slot < 0)
			fd_lower(c, link.fd);
		if (!rc)
			return c->reply.rc;
		if (rc == -ETIMEDOUT)
			shim_log("the keeper does not answer:", op_names[c->request.op], rc);
		if (rc == -EMFILE || rc == -ETIMEDOUT || rc == -EFAULT)
			return rc;
		if (sent && !may_repeat(c))
			break; /* done or not done, nobody knows */
	}
	shim_log("lost the keeper during", op_names[c->request.op], rc);
	return -EIO;
}

void call_record(struct call *c, enum session_op op, int record)
{
	memset(c, 0, sizeof *c);
	c->request.op = op;
	c->request.record = record;
	c->fd = -1;
}

void call_where(struct call *c, enum session_op op, const struct where *w)
{
	call_record(c, op, w->record);
	c->path = w->record < 0 ? w->path : NULL;
	c->request.must_be_dir = w->end >= PATH_SLASH;
}

long call_do(struct call *c, struct where *w)
{
	bool borrowed = !c->in;
	long rc;

	if (borrowed) { /* an answer that is another path takes the place of the one asked for */
		c->in = w->path;
		c->in_bytes = sizeof w->path - 1;
	}
	rc = session_call(c);
	if (rc == SESSION_ELSEWHERE) {
		report_add(STAT_ELSEWHERE, 1);
		size_t n = c->reply.bytes < PATH_MAX ? c->reply.bytes : PATH_MAX - 1;

		memmove(w->path, c->in, n);
		w->path[n] = '\0';
		w->native = w->path;
		if (c->request.must_be_dir && n && n + 1 < PATH_MAX)
			memcpy(w->path + n, "/", 2);
	}
	if (borrowed)
		c->in = NULL;
	return rc;
}

/* ---- the page cache ---------------------------------------------------------------------------------------------------------- */

static _Atomic(const struct session_cache *) cache;
static _Atomic uint32_t cache_keeper; /* who made it; another keeper's keys mean other pages */

static const struct session_cache *cache_map(uint32_t keeper)
{
	const struct session_cache *mapped = NULL;
	struct session_hello hello = {0};
	struct call c;
	long rc, at;

	call_record(&c, SESSION_HELLO, -1);
	c.request.a = SESSION_VERSION;
	c.in = &hello;
	c.in_bytes = sizeof hello;
	c.cloexec = true;
	rc = session_call(&c);
	if (rc >= 0 && c.fd >= 0 && c.reply.bytes == sizeof hello && hello.version == SESSION_VERSION &&
	    hello.page_bytes) {
		at = sys6(SYS_mmap, 0, (long)hello.cache_bytes, PROT_READ, MAP_SHARED, c.fd, 0);
		if (at > 0 || at < -4095)
			mapped = (const struct session_cache *)at;
		else if (at != -ENOMEM) /* ulimit -v: the bytes come over the connection */
			shim_log("cannot map the page cache of", shim.session, at);
	}
	if (c.fd >= 0)
		sys_close(c.fd);
	/* An earlier mapping stays: another thread may be reading in it. Keepers are replaced seldom. */
	atomic_store(&cache, mapped);
	atomic_store(&cache_keeper, keeper);
	return mapped;
}

const struct session_cache *session_cache(void)
{
	struct session_records *table = records_map();
	uint32_t keeper = table ? atomic_load_explicit(&table->keeper_pid, memory_order_relaxed) : 0;

	if (likely(keeper == atomic_load_explicit(&cache_keeper, memory_order_acquire)))
		return atomic_load_explicit(&cache, memory_order_acquire);
	return cache_map(keeper);
}
