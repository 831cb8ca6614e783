/* io.h: all of it, or why not. Threads: any. */
#ifndef SLIPSTREAM_SERVER_IO_H
#define SLIPSTREAM_SERVER_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Append; *bytes advances by what was written. 0 or -errno (-ENOSPC). */
int io_write(int fd, const struct iovec *parts, unsigned nparts, int64_t *bytes);
/* 0, or -errno: -EIO when the file ends before. */
int io_read(int fd, void *data, size_t bytes, int64_t off);
/* Append bytes from `from` at off to `to`. 0 or -errno; -ECANCELED when stop() said so. */
int io_copy(int from, int64_t off, int64_t bytes, int to, int (*stop)(void *context), void *context);

#endif
