/* io.c: loops around read and write. */
#include "tools/server/io.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define COPY_AT_ONCE (1 << 20)

/* With one call: parts do not end where pages do, and a writer of parts would write each page where two meet twice. */
int io_write(int fd, const struct iovec *parts, unsigned nparts, int64_t *bytes)
{
	size_t skip = 0; /* of the first */

	while (nparts) {
		struct iovec rest = {(char *)parts->iov_base + skip, parts->iov_len - skip};
		ssize_t n = skip ? write(fd, rest.iov_base, rest.iov_len)
				 : writev(fd, parts, (int)(nparts < IOV_MAX ? nparts : IOV_MAX));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		*bytes += n;
		for (skip += (size_t)n; nparts && skip >= parts->iov_len; nparts--)
			skip -= parts++->iov_len;
	}
	return 0;
}

int io_read(int fd, void *data, size_t bytes, int64_t off)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = pread(fd, (char *)data + done, bytes - done, off + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Not copy_file_range(): it is one answer for reading and writing, and which of the two failed matters here. */
int io_copy(int from, int64_t off, int64_t bytes, int to, int (*stop)(void *context), void *context)
{
	char *data = malloc(COPY_AT_ONCE);
	int rc = data ? 0 : -ENOMEM;

	for (int64_t done = 0; !rc && done < bytes;) {
		size_t n = bytes - done < COPY_AT_ONCE ? (size_t)(bytes - done) : COPY_AT_ONCE;
		struct iovec part = {data, n};

		if (stop && stop(context))
			rc = -ECANCELED;
		else
			rc = io_read(from, data, n, off + done);
		if (!rc)
			rc = io_write(to, &part, 1, &done);
	}
	free(data);
	return rc;
}
