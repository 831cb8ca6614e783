/*
 * ufs_stream.h: a new file's bytes on their way to the under file system, in the one stream of its whole life
 * (spec goosefs 9.7).
 *
 * Opened with the first byte, or at the end for an empty file: what is created may wait long for its content, and go by
 * another name by then. Never a second time while the first may live: a worker begins the file anew for each stream. Only
 * where it let none begin, because the session had expired, are all bytes sent again.
 *
 * Threads: one at a time.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_UFS_STREAM_H
#define SLIPSTREAM_CLIENT_GOOSEFS_UFS_STREAM_H

#include "client/goosefs/block_cutter.h"
#include "client/goosefs/goosefs.h"

struct ufs_stream;

/* info: of the file as it was created. -EOPNOTSUPP: the master names no place for it in an under file system. */
int ufs_stream_new(struct backend *, const struct gfs_file_info *info, struct ufs_stream **out);
void ufs_stream_free(struct ufs_stream *); /* what was not ended leaves nothing behind */

/* refill may be NULL. After an error there is nothing but free(). */
int ufs_stream_write(struct ufs_stream *, const void *buf, size_t n, refill_fn *refill, void *context);
int ufs_stream_end(struct ufs_stream *, refill_fn *refill, void *context); /* the file is there, whole */

/* It may be there: the end was sent. */
bool ufs_stream_ended(const struct ufs_stream *);

#endif
