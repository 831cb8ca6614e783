#include "tools/session.h"
#include "tools/tools.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STARTING_S 60 /* a directory without a socket is not left over before that */

/* ---- where ------------------------------------------------------------------------------------------------------ */

#define AT_HOME 3 /* the first that need not be on tmpfs */

/*
 * Directory i (0..) that has sessions in it, "" if there is none of that kind here; false past the last. tmpfs first: slots and
 * directories are made and removed all the time. Names made of a uid may be somebody else's: uid 0 of a user namespace is not
 * the machine's, and anybody can make them.
 */
static bool base(unsigned i, char out[PATH_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *home = getenv("HOME");
	unsigned uid = (unsigned)geteuid();
	int n;

	switch (i) {
	case 0:
		n = snprintf(out, PATH_MAX, "%s/slipstream", runtime && *runtime == '/' ? runtime : "");
		if (!runtime || *runtime != '/')
			*out = '\0';
		break;
	case 1:
		n = snprintf(out, PATH_MAX, "/dev/shm/slipstream-%u", uid);
		break;
	case 2:
		n = snprintf(out, PATH_MAX, "/tmp/slipstream-%u", uid);
		break;
	case AT_HOME:
		n = snprintf(out, PATH_MAX, "%s/.cache/slipstream/sessions", home && *home == '/' ? home : "");
		if (!home || *home != '/')
			*out = '\0';
		break;
	default:
		return false;
	}
	if (n >= PATH_MAX - 16)
		*out = '\0';
	return true;
}

static int private_directory(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM; /* somebody else made it */
	return 0;
}

int session_new(char out[PATH_MAX])
{
	char dir[PATH_MAX];

	for (unsigned i = 0; base(i, dir); i++) {
		if (!*dir || (i >= AT_HOME && make_directories(dir)) || private_directory(dir))
			continue;
		snprintf(out, PATH_MAX, "%.*s/XXXXXX", PATH_MAX - 16, dir);
		if (mkdtemp(out))
			return 0;
	}
	return -EACCES;
}

/* ---- talking ---------------------------------------------------------------------------------------------------- */

/* dirfd: of dir, for as long as the address is used. */
static struct sockaddr_un address(const char *dir, int dirfd)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int n = snprintf(at.sun_path, sizeof at.sun_path, "%s/s", dir);

	if (n >= (int)sizeof at.sun_path) /* too long for a socket's name: the same file by another one */
		snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/s", dirfd);
	return at;
}

/* The session's socket, bound or connected by act. */
static int session_socket(const char *dir, int flags, int (*act)(int, const struct sockaddr *, socklen_t))
{
	int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, rc = 0;
	struct sockaddr_un at = address(dir, dirfd);

	if (dirfd < 0)
		return -errno;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
	if (fd < 0 || act(fd, (const struct sockaddr *)&at, sizeof at))
		rc = -errno;
	close(dirfd);
	if (rc && fd >= 0)
		close(fd);
	return rc ? rc : fd;
}

int session_listen(const char *dir)
{
	int fd = session_socket(dir, SOCK_NONBLOCK, bind), rc;

	if (fd < 0 || !listen(fd, 1024))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int session_connect(const char *dir)
{
	return session_socket(dir, 0, connect);
}

static ssize_t receive(int fd, void *buf, size_t size)
{
	ssize_t n;

	do
		n = recv(fd, buf, size, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int64_t session_ask(const char *dir, enum session_op op, unsigned timeout_ms, char *text, size_t size)
{
	const struct session_request request = {.op = op, .record = -1};
	const struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	struct {
		struct session_reply reply;
		char payload[SESSION_PAYLOAD_MAX];
	} *answer = malloc(sizeof *answer);
	int fd = session_connect(dir);
	int64_t rc = -EPIPE;
	ssize_t n = -EPIPE;

	*text = '\0';
	if (answer && fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) &&
	    send(fd, &request, sizeof request, MSG_NOSIGNAL) == sizeof request)
		n = receive(fd, answer, sizeof *answer);
	if (n == -EAGAIN)
		rc = -ETIMEDOUT;
	if (n >= (ssize_t)sizeof answer->reply && answer->reply.bytes <= n - sizeof answer->reply) {
		rc = answer->reply.rc;
		snprintf(text, size, "%.*s", (int)answer->reply.bytes, answer->payload);
	}
	if (fd >= 0)
		close(fd);
	free(answer);
	return rc;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

static bool ours(const char *dir)
{
	struct stat st;

	return !lstat(dir, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

static int each_in(const char *where, session_fn *each, void *context)
{
	DIR *dir = ours(where) ? opendir(where) : NULL;
	char path[PATH_MAX + 256];
	struct dirent *entry;
	int rc = 0;

	while (dir && !rc && (entry = readdir(dir))) {
		snprintf(path, sizeof path, "%s/%s", where, entry->d_name);
		if (*entry->d_name != '.' && strlen(path) < PATH_MAX && ours(path))
			rc = each(context, path);
	}
	if (dir)
		closedir(dir);
	return rc;
}

int session_each(session_fn *each, void *context)
{
	char where[PATH_MAX];
	int rc = 0;

	for (unsigned i = 0; !rc && base(i, where); i++)
		if (*where)
			rc = each_in(where, each, context);
	return rc;
}

bool session_alive(const char *dir)
{
	int fd = session_connect(dir);
	char path[PATH_MAX + 8];
	struct stat st;

	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -EAGAIN)
		return true;
	snprintf(path, sizeof path, "%s/s", dir);
	return lstat(path, &st) && !stat(dir, &st) && time(NULL) - st.st_mtime < STARTING_S;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path) && errno != ENOENT ? -errno : 0;
}

int session_remove(const char *dir)
{
	char path[PATH_MAX + 8];
	int lock, rc;

	if (session_alive(dir))
		return -EBUSY;
	snprintf(path, sizeof path, "%s/lock", dir);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		return -errno;
	rc = flock(lock, LOCK_EX | LOCK_NB) ? -EBUSY : nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	close(lock);
	return rc;
}
