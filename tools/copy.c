#include "tools/copy.h"
#include "tools/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int write_all(int fd, const void *buf, size_t n)
{
	const char *at = buf;

	while (n) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

int copy_out(struct slip_file *f, int fd, struct progress *progress)
{
	char *buf = malloc(COPY_BYTES);
	int rc = buf ? 0 : -ENOMEM;
	ssize_t n;

	while (!rc && (n = slip_read(f, buf, COPY_BYTES)) != 0) {
		rc = n < 0 ? (int)n : write_all(fd, buf, (size_t)n);
		if (!rc)
			progress_add(progress, (size_t)n);
	}
	free(buf);
	return rc;
}

static int copy_all(struct slip_file *f, int fd, struct progress *progress)
{
	char *buf = malloc(COPY_BYTES);
	int rc = buf ? 0 : -ENOMEM;

	while (!rc) {
		ssize_t n = read(fd, buf, COPY_BYTES);

		if (n < 0 && errno == EINTR)
			continue;
		if (!n)
			break;
		if (n < 0)
			rc = -errno;
		else if ((n = slip_write(f, buf, (size_t)n)) < 0)
			rc = (int)n;
		else
			progress_add(progress, (size_t)n);
	}
	free(buf);
	return rc;
}

int copy_in(struct slip_client *client, int fd, const char *path, int flags, uint32_t mode, struct progress *progress)
{
	struct slip_file *f;
	int rc = slip_open(client, path, O_WRONLY | O_CREAT | flags, mode, &f);

	if (rc)
		return rc;
	rc = copy_all(f, fd, progress);
	if (!rc)
		return slip_close(f);
	slip_abort(f);
	return rc;
}
