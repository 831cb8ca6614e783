/*
 * opcache.h: outcomes of recent mutations, so that one that is sent again is answered again, not done again
 * (spec goosefs 6.3, 19.2). Kept in the database, in the transaction of the mutation: a crash parts neither from the
 * other.
 *
 * Threads: with the store locked.
 */
#ifndef SLIPSTREAM_SERVER_OPCACHE_H
#define SLIPSTREAM_SERVER_OPCACHE_H

#include "tools/server/store.h"
#include "proto/goosefs.h"

/* 1 with the fault (code 0 for a success) and inode of that time; 0 if it is new; -errno. */
int opcache_find(struct store *, struct gfs_op_id, enum rpc_id, struct fault *, int64_t *inode);
/* 0 or -errno. */
int opcache_add(struct store *, struct gfs_op_id, enum rpc_id, const struct fault *, int64_t inode);

#endif
