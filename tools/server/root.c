/* root.c: a directory, two locks and an address file. */
#include "tools/server/root.h"
#include "tools/server/log.h"
#include "tools/server/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_at(const struct root *root, const char *name, int flags, mode_t mode)
{
	char path[PATH_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root->path, name);
	fd = open(path, flags | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd;
}

static int lock_fd(int fd, int how)
{
	int rc;

	do
		rc = flock(fd, how);
	while (rc && errno == EINTR);
	return rc ? -errno : 0;
}

static void complain_of_holder(const struct root *root)
{
	char text[32];
	ssize_t n = pread(root->lock_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	log_error("%s: another server runs on this root, pid %s", root->path, *text ? text : "unknown");
}

static int write_pid(const struct root *root)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(root->lock_fd, 0) || pwrite(root->lock_fd, text, (size_t)n, 0) != n)
		return -errno;
	return 0;
}

int root_open(struct root *root, const char *path)
{
	int rc;

	root->lock_fd = root->leave_fd = -1;
	if (mkdir(path, 0755) && errno != EEXIST) {
		rc = -errno;
		log_error("%s: %s", path, strerror(-rc));
		return rc;
	}
	if (!realpath(path, root->path)) {
		rc = -errno;
		log_error("%s: %s", path, strerror(-rc));
		return rc;
	}
	root->lock_fd = open_at(root, "lock", O_RDWR | O_CREAT, 0644);
	if (root->lock_fd < 0) {
		rc = root->lock_fd;
		log_error("%s: cannot write there: %s", root->path, strerror(-rc));
		return rc;
	}
	rc = lock_fd(root->lock_fd, LOCK_EX | LOCK_NB);
	if (!rc)
		reserve_spend(root->path); /* to start on a full disk; set aside again when all is up */
	if (rc == -EWOULDBLOCK)
		complain_of_holder(root);
	else if (rc || (rc = write_pid(root)))
		log_error("%s/lock: %s", root->path, strerror(-rc));
	if (rc)
		root_close(root);
	return rc;
}

/* A name of our own, renamed into place: readers see the old file, the new one or none. */
static int write_address(const char *path, const char *address)
{
	char temporary[PATH_MAX + 64];
	FILE *file;
	int rc = 0;

	snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
	file = fopen(temporary, "we");
	if (!file)
		return -errno;
	if (fprintf(file, "master=%s\npid=%ld\n", address, (long)getpid()) < 0)
		rc = -EIO;
	if (fclose(file) && !rc)
		rc = -errno;
	if (!rc && rename(temporary, path))
		rc = -errno;
	if (rc)
		unlink(temporary);
	return rc;
}

int root_publish(struct root *root, const char *address, const char *file)
{
	char path[PATH_MAX + 32];
	int rc;

	snprintf(path, sizeof(path), "%s/address", root->path);
	rc = write_address(path, address);
	if (!rc && file) {
		snprintf(path, sizeof(path), "%s", file);
		rc = write_address(path, address);
	}
	if (rc)
		log_error("%s: %s", path, strerror(-rc));
	return rc;
}

void root_unpublish(struct root *root, const char *file)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/address", root->path);
	if (unlink(path) && errno != ENOENT)
		log_warn("%s: %s", path, strerror(errno));
	if (file && unlink(file) && errno != ENOENT)
		log_warn("%s: %s", file, strerror(errno));
}

bool root_leave(struct root *root, bool wait)
{
	int fd = open_at(root, "run.lock", O_RDWR | O_CREAT, 0600);

	if (fd < 0) {
		log_warn("%s/run.lock: %s", root->path, strerror(-fd));
		return false;
	}
	if (lock_fd(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB)) {
		close(fd);
		return false;
	}
	root->leave_fd = fd;
	return true;
}

void root_stay(struct root *root)
{
	if (root->leave_fd >= 0)
		close(root->leave_fd);
	root->leave_fd = -1;
}

void root_close(struct root *root)
{
	if (root->lock_fd >= 0)
		close(root->lock_fd);
	root->lock_fd = -1;
	root_stay(root);
}
