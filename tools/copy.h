/*
 * copy.h: bytes between a descriptor and a file of a cluster.
 */
#ifndef SLIPSTREAM_TOOLS_COPY_H
#define SLIPSTREAM_TOOLS_COPY_H

#include "client/slipstream.h"

#define COPY_BYTES (4u << 20) /* at a time */

struct progress;

int write_all(int fd, const void *buf, size_t n); /* 0 or -errno */

/* From where the file is up to its end; 0 or -errno. */
int copy_out(struct slip_file *, int fd, struct progress *);
/*
 * From the descriptor up to its end, to a new file at path. flags: O_EXCL, or O_TRUNC to replace. The old content stays
 * until all is there; after an error, nothing has changed. 0 or -errno.
 */
int copy_in(struct slip_client *, int fd, const char *path, int flags, uint32_t mode, struct progress *);

#endif
