/*
 * session_fixture.h: a session directory, a keeper process in it, and the socket protocol as a program speaks it.
 */
#ifndef SLIPSTREAM_TESTS_SESSION_FIXTURE_H
#define SLIPSTREAM_TESTS_SESSION_FIXTURE_H

#include "client/session.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct session {
	char dir[64];
	int listen_fd, fd, alive[2];
	pid_t keeper;
	struct session_records *records;
	struct session_reply reply;
	char in[SESSION_PAYLOAD_MAX + 1];
	int got; /* descriptor received, or -1 */
};

#define session_die(what)                                                                                              \
	do {                                                                                                           \
		fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, what, strerror(errno));                         \
		_exit(99);                                                                                             \
	} while (0)

static inline void session_connect(struct session *s)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	snprintf(to.sun_path, sizeof to.sun_path, "%s/s", s->dir);
	s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&to, sizeof to))
		session_die("connect");
}

/* main: what the child runs; it gets the session, and the descriptor to say "ready" on. */
static inline void session_keeper(struct session *s, int (*main)(struct session *, int ready))
{
	int ready[2];
	char byte;

	if (pipe2(ready, O_CLOEXEC))
		session_die("pipe");
	fflush(NULL);
	s->keeper = fork();
	if (s->keeper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd = 3; fd < 256; fd++) /* as after exec: nothing of the program's */
			if (fd != ready[1] && fd != s->listen_fd && fd != s->alive[0])
				close(fd);
		_exit(main(s, ready[1]));
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		session_die("the keeper is not ready");
	close(ready[0]);
}

/* In that child: become the keeper of this program. Its settings come from the environment. */
static inline int session_exec(struct session *s, int ready, const char *program)
{
	char fds[3][16];

	snprintf(fds[0], sizeof fds[0], "%d", s->listen_fd);
	snprintf(fds[1], sizeof fds[1], "%d", ready);
	snprintf(fds[2], sizeof fds[2], "%d", s->alive[0]);
	fcntl(s->listen_fd, F_SETFD, 0);
	fcntl(ready, F_SETFD, 0);
	fcntl(s->alive[0], F_SETFD, 0);
	execl(program, "slipstream", "keeper", "--session", s->dir, "--listen-fd", fds[0], "--ready-fd", fds[1],
	      "--parent-fd", fds[2], (char *)NULL);
	return 127;
}

static inline void session_make(struct session *s)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	memset(s, 0, sizeof *s);
	s->fd = -1;
	strcpy(s->dir, "/dev/shm/slipstream-test-XXXXXX");
	if (!mkdtemp(s->dir))
		session_die("mkdtemp");
	snprintf(at.sun_path, sizeof at.sun_path, "%s/s", s->dir);
	s->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bind(s->listen_fd, (struct sockaddr *)&at, sizeof at) || listen(s->listen_fd, 64) ||
	    pipe2(s->alive, O_CLOEXEC))
		session_die("session");
}

static inline void session_map(struct session *s)
{
	char name[80];
	int fd;

	snprintf(name, sizeof name, "%s/records", s->dir);
	fd = open(name, O_RDWR | O_CLOEXEC);
	s->records = mmap(NULL, sizeof *s->records, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s->records == MAP_FAILED)
		session_die("records");
	close(fd);
}

static inline int session_reap(struct session *s)
{
	int status = -1;

	waitpid(s->keeper, &status, 0);
	s->keeper = 0;
	return status;
}

static inline int session_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void session_release(struct session *s)
{
	char stage[4096], name[80];
	ssize_t n;

	if (s->keeper) {
		kill(s->keeper, SIGKILL);
		session_reap(s);
	}
	snprintf(name, sizeof name, "%s/stage", s->dir);
	n = readlink(name, stage, sizeof stage - 1);
	if (n > 0) {
		stage[n] = '\0';
		nftw(stage, session_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	nftw(s->dir, session_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (s->fd >= 0)
		close(s->fd);
	close(s->listen_fd);
	close(s->alive[0]);
	if (s->alive[1] >= 0)
		close(s->alive[1]);
	if (s->records)
		munmap(s->records, sizeof *s->records);
}

/* One exchange. data follows path's NUL. s->reply, s->in, s->got tell the rest. */
static inline int64_t session_ask(struct session *s, struct session_request head, const char *path, const void *data,
				  size_t n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec out[3] = {{&head, sizeof head}, {(void *)path, path ? strlen(path) + 1 : 0}, {(void *)data, n}};
	struct iovec in[2] = {{&s->reply, sizeof s->reply}, {s->in, SESSION_PAYLOAD_MAX}};
	struct msghdr m = {.msg_iov = out, .msg_iovlen = 3};
	struct cmsghdr *c;

	head.bytes = (uint32_t)(out[1].iov_len + n);
	if (s->fd < 0)
		session_connect(s);
	if (sendmsg(s->fd, &m, MSG_NOSIGNAL) < 0)
		session_die("send");
	m = (struct msghdr){
		.msg_iov = in, .msg_iovlen = 2, .msg_control = control.space, .msg_controllen = sizeof control.space};
	if (recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC) < (ssize_t)sizeof s->reply)
		session_die("the keeper hung up");
	s->in[s->reply.bytes] = '\0';
	s->got = -1;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&s->got, CMSG_DATA(c), sizeof s->got);
	return s->reply.rc;
}

static inline int64_t session_op(struct session *s, enum session_op op, const char *path)
{
	return session_ask(s, (struct session_request){.op = op, .record = -1}, path, NULL, 0);
}

/* A descriptor, or -errno. s->reply.record, .kind. */
static inline int session_open(struct session *s, const char *path, int flags, unsigned mode)
{
	struct session_request request = {.op = SESSION_OPEN, .record = -1, .flags = (uint32_t)flags, .mode = mode};
	int64_t rc = session_ask(s, request, path, NULL, 0);

	return rc < 0 ? (int)rc : s->got;
}

static inline int64_t session_on(struct session *s, enum session_op op, int record)
{
	return session_ask(s, (struct session_request){.op = op, .record = record}, NULL, NULL, 0);
}

/* As a program with the shim: close, and hear whether it is published. */
static inline int64_t session_close(struct session *s, int fd, int record)
{
	while (s->records && atomic_load(&s->records->record[record].passing))
		usleep(10);
	close(fd);
	return session_on(s, SESSION_CLOSED, record);
}

/* Create or rewrite a file; close()'s result. */
static inline int64_t session_write(struct session *s, const char *path, const char *text)
{
	int fd = session_open(s, path, O_WRONLY | O_CREAT | O_TRUNC, 0644), record = s->reply.record;

	if (fd < 0)
		return fd;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		session_die("write");
	return session_close(s, fd, record);
}

static inline int session_find(struct session *s, int fd)
{
	struct stat st;
	uint32_t at, entry;

	fstat(fd, &st);
	at = session_hash(st.st_dev, st.st_ino);
	while ((entry = atomic_load(&s->records->bucket[at]))) {
		struct session_record *rec = &s->records->record[entry - 1];

		if (rec->kernel_dev == st.st_dev && rec->kernel_ino == st.st_ino && atomic_load(&rec->kind))
			return (int)entry - 1;
		at = (at + 1) & (SESSION_BUCKETS - 1);
	}
	return -1;
}

#endif
