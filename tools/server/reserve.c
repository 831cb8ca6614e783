/* reserve.c: a file with blocks of its own, and no content. */
#include "tools/server/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE_BYTES (512 << 10)

static void path_of(const char *root, char out[PATH_MAX + 16])
{
	snprintf(out, PATH_MAX + 16, "%s/reserve", root);
}

int reserve_make(const char *root)
{
	char path[PATH_MAX + 16];
	int fd, rc;

	path_of(root, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	rc = -posix_fallocate(fd, 0, RESERVE_BYTES);
	close(fd);
	if (rc)
		unlink(path); /* half of it would look like all of it */
	return rc;
}

bool reserve_spend(const char *root)
{
	char path[PATH_MAX + 16];

	path_of(root, path);
	return !unlink(path);
}
