/*
 * cluster.c: what we talk to. The mounts on the command line win, then those of the settings; with no cluster
 * configured, the embedded server on a free loopback port.
 */
#include "tools/tools.h"
#include "client/slipstream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EMBEDDED_PREFIX "/goosefs"

int make_directories(const char *path)
{
	char part[PATH_MAX];

	if (strlen(path) >= sizeof part)
		return -ENAMETOOLONG;
	strcpy(part, path);
	for (char *p = part + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char c = *p;

		*p = '\0';
		if (mkdir(part, 0700) && errno != EEXIST)
			return -errno;
		*p = c;
		if (c == '\0')
			return 0;
	}
}

int cluster_default_root(char out[PATH_MAX])
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	int n;

	if (data && *data == '/')
		n = snprintf(out, PATH_MAX, "%s/slipstream", data);
	else if (home && *home == '/')
		n = snprintf(out, PATH_MAX, "%s/.local/share/slipstream", home);
	else
		return -ENOENT;
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* The mounts that the environment and the settings' files name, or NULL when they name none. */
static int configured_mounts(char **out)
{
	struct slip_client *client;
	const char *prefix, *url;
	char *text = NULL;
	int rc = slip_client_new(NULL, &client);

	if (rc)
		return rc;
	for (unsigned i = 0; !rc && !slip_mount_at(client, i, &prefix, &url); i++) {
		char *more;

		if (asprintf(&more, "%s%s%s=%s", text ? text : "", text ? ";" : "", prefix, url) < 0) {
			rc = -ENOMEM;
			break;
		}
		free(text);
		text = more;
	}
	slip_client_free(client);
	if (rc) {
		free(text);
		text = NULL;
	}
	*out = text;
	return rc;
}

/* ---- the embedded server ----------------------------------------------------------------------------------------- */

/* The master's address that a server on root left in its file. */
static int read_address(const char *root, char *out, size_t size)
{
	char path[PATH_MAX + 16], line[256];
	int rc = -ENOENT;
	FILE *f;

	snprintf(path, sizeof path, "%s/address", root);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, "master=", 7)) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(out, size, "%s", line + 7);
			rc = 0;
		}
	fclose(f);
	return rc;
}

static void exec_server(const char *root, int ready, int hold_read)
{
	char program[PATH_MAX], fd[16];

	/* A terminal's Ctrl-C is for the job, not for what serves it. */
	setsid();
	signal(SIGPIPE, SIG_DFL);
	caller_leave();
	if (dup2(ready, 1) < 0 || install_program(program))
		_exit(complain(127, "the embedded server cannot be started"));
	fcntl(hold_read, F_SETFD, 0);
	snprintf(fd, sizeof fd, "%d", hold_read);
	execl(program, "slipstream", "server", "--root", root, "--exit-with-parent-fd", fd, (char *)NULL);
	_exit(complain(127, "%s: %s", program, strerror(errno)));
}

/* Start a server and wait for its one line. hold_read: the FIFO's read end, which it keeps. -ECHILD: it has said why not. */
static int start_server(const char *root, int hold_read)
{
	int ready[2], null = -1, rc = 0;
	char line[512];
	size_t n = 0;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid = fork();
	if (pid == 0) {
		/* Twice, so that it is nobody's child to wait for. */
		if (null < 0 || dup2(null, 0) < 0)
			_exit(127);
		if (fork() == 0)
			exec_server(root, ready[1], hold_read);
		_exit(0);
	}
	close(ready[1]);
	if (null >= 0)
		close(null);
	if (pid < 0) {
		close(ready[0]);
		return -errno;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	while (n < sizeof line - 1) {
		ssize_t got = read(ready[0], line + n, sizeof line - 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += got;
		if (memchr(line, '\n', n))
			break;
	}
	close(ready[0]);
	line[n] = '\0';
	if (!strstr(line, "ready"))
		rc = -ECHILD;
	return rc;
}

#define LEAVING_TRIES 500 /* of 10 ms */

/* Take hold of the server on root, starting one if there is none. Called with run.lock held. -EAGAIN: it is leaving. */
static int hold_once(const char *root, char *address, size_t size)
{
	char fifo[PATH_MAX + 16];
	int hold, reader, rc;

	snprintf(fifo, sizeof fifo, "%s/hold", root);
	if (mkfifo(fifo, 0600) && errno != EEXIST)
		return -errno;
	hold = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (hold >= 0) { /* a reader is there: it serves */
		rc = read_address(root, address, size);
		if (!rc)
			return hold;
		close(hold);
		return rc == -ENOENT ? -EAGAIN : rc;
	}
	if (errno != ENXIO)
		return -errno;
	reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (reader < 0)
		return -errno;
	hold = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (hold < 0) {
		rc = -errno;
		close(reader);
		return rc;
	}
	rc = start_server(root, reader);
	close(reader);
	if (!rc)
		rc = read_address(root, address, size);
	if (rc) {
		close(hold);
		return rc;
	}
	return hold;
}

static int hold_server(const char *root, char *address, size_t size)
{
	int rc = -EAGAIN;

	for (int i = 0; i < LEAVING_TRIES && rc == -EAGAIN; i++) {
		if (i)
			usleep(10000);
		rc = hold_once(root, address, size);
	}
	return rc;
}

static int embedded_server(const char *given, struct cluster *c)
{
	char root[PATH_MAX], path[PATH_MAX + 16], address[256];
	int lock, rc;

	if (given)
		rc = strlen(given) < sizeof root ? (strcpy(root, given), 0) : -ENAMETOOLONG;
	else
		rc = cluster_default_root(root);
	if (!rc)
		rc = make_directories(root);
	if (rc) {
		complain(0, "cannot use %s as the embedded server's root: %s", given ? given : "the default directory",
			 strerror(-rc));
		return rc;
	}
	snprintf(path, sizeof path, "%s/run.lock", root);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0) {
		rc = -errno;
		complain(0, "%s: %s", path, strerror(-rc));
		return rc;
	}
	while ((rc = flock(lock, LOCK_EX)) && errno == EINTR)
		;
	rc = rc ? -errno : hold_server(root, address, sizeof address);
	close(lock);
	if (rc < 0) {
		if (rc != -ECHILD)
			complain(0, "no embedded server on %s: %s", root, strerror(-rc));
		return rc;
	}
	c->hold_fd = rc;
	if (asprintf(&c->mounts, EMBEDDED_PREFIX "=goosefs://%s/", address) < 0)
		c->mounts = NULL;
	c->root = realpath(root, NULL);
	if (!c->mounts || !c->root) {
		cluster_close(c);
		return -ENOMEM;
	}
	return 0;
}

int cluster_open(const char *root, const char *mounts, struct cluster *c)
{
	int rc = 0;

	*c = (struct cluster){.hold_fd = -1};
	if (mounts) {
		c->mounts = strdup(mounts);
		return c->mounts ? 0 : -ENOMEM;
	}
	if (!root) {
		rc = configured_mounts(&c->mounts);
		if (rc)
			complain(0, "settings: %s", *slip_last_error() ? slip_last_error() : strerror(-rc));
		if (rc || c->mounts)
			return rc;
	}
	return embedded_server(root, c);
}

int cluster_client(const struct cluster *c, struct slip_client **out)
{
	char *setting = NULL;
	int rc = -ENOMEM;

	if (asprintf(&setting, "SLIPSTREAM_MOUNTS=%s", c->mounts) >= 0)
		rc = slip_client_new((const char *[]){setting, NULL}, out);
	if (rc)
		complain(0, "settings: %s", *slip_last_error() ? slip_last_error() : strerror(-rc));
	free(setting);
	return rc;
}

bool cluster_hides(const char *prefix)
{
	unsigned entries = 0;
	struct stat st;
	DIR *dir;

	if (getenv("SLIPSTREAM_SESSION") || lstat(prefix, &st)) /* in a session, a mount may be what we see */
		return false;
	dir = S_ISDIR(st.st_mode) ? opendir(prefix) : NULL;
	while (dir && entries <= 2 && readdir(dir))
		entries++;
	if (dir)
		closedir(dir);
	return entries > 2 || !S_ISDIR(st.st_mode);
}

void cluster_close(struct cluster *c)
{
	free(c->mounts);
	free(c->root);
	c->mounts = c->root = NULL;
	if (c->hold_fd >= 0)
		close(c->hold_fd);
	c->hold_fd = -1;
}
