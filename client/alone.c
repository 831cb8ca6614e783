/*
 * alone.c: a session that nobody runs: `slipstream keeper --alone DIR`, which the first program that needs it starts.
 *
 * Whoever holds DIR/lock keeps the session. Two starters: the second finds the lock taken and leaves at once, and its program
 * connects to the first. The keeper leaves some time after the last program; it takes its socket's name away first and
 * looks once more, so that nobody who found the name is turned away.
 */
#include "client/keeper.h"
#include "client/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIES        100
#define WITHDRAWN_MS 20 /* longer than a connect() between finding the name and being queued */

static int private_directory(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077) ? 0 : -EPERM;
}

static int directories(const char *dir)
{
	char parent[PATH_MAX];
	char *slash;
	int rc;

	if (snprintf(parent, sizeof parent, "%s", dir) >= (int)sizeof parent)
		return -ENAMETOOLONG;
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return -EINVAL;
	*slash = '\0';
	rc = private_directory(parent);
	return rc ? rc : private_directory(dir);
}

/* The lock of a directory that is still there; -EWOULDBLOCK: somebody keeps it, -EAGAIN: it was removed meanwhile. */
int session_lock(const char *dir)
{
	char path[PATH_MAX + 8];
	struct stat held, named;
	int fd, rc = directories(dir);

	if (rc)
		return rc;
	snprintf(path, sizeof path, "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB))
		rc = -errno;
	else if (fstat(fd, &held) || stat(path, &named) || held.st_ino != named.st_ino || held.st_dev != named.st_dev)
		rc = -EAGAIN;
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

int session_listen(const char *dir)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, rc = 0;

	if (dir_fd < 0)
		return -errno;
	unlinkat(dir_fd, "s", 0);
	snprintf(at.sun_path, sizeof at.sun_path, "/proc/thread-self/fd/%d/s", dir_fd);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 1024))
		rc = -errno;
	close(dir_fd);
	if (rc && fd >= 0)
		close(fd);
	return rc ? rc : fd;
}

/* The keeper itself; tells on ready that it serves. */
static int keep(const char *dir, int lock, int listen_fd, int ready)
{
	struct keeper_options options = {.dir = dir,
					 .listen_fd = listen_fd,
					 .ready_fd = ready,
					 .parent_fd = -1,
					 .lock_fd = lock,
					 .linger_ms = ALONE_LINGER_MS};

	setsid();
	return keeper_start(&options);
}

int keeper_alone(const char *dir)
{
	int lock = -EAGAIN, listen_fd, ready[2];
	char byte;
	pid_t pid;

	for (int i = 0; i < TRIES && lock == -EAGAIN; i++)
		lock = session_lock(dir);
	if (lock < 0)
		return lock == -EWOULDBLOCK ? 0 : lock;
	listen_fd = session_listen(dir);
	if (listen_fd < 0)
		return listen_fd;
	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0)
		_exit(keep(dir, lock, listen_fd, ready[1]));
	close(ready[1]);
	if (pid < 0)
		return -errno;
	return read(ready[0], &byte, 1) == 1 ? 0 : -ECHILD;
}

bool keeper_withdraw(struct keeper *k)
{
	struct pollfd queue = {.fd = k->listen_fd, .events = POLLIN};
	bool wanted;

	if (renameat(k->dir_fd, "s", k->dir_fd, "s-"))
		return true;
	usleep(WITHDRAWN_MS * 1000);
	wanted = poll(&queue, 1, 0) > 0 || atomic_load(&k->connections);
	if (wanted)
		renameat(k->dir_fd, "s-", k->dir_fd, "s");
	else
		unlinkat(k->dir_fd, "s-", 0);
	return !wanted;
}
