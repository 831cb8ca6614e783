/*
 * master.h: calls to the master, whoever that is at the moment.
 *
 * Threads: any.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_MASTER_H
#define SLIPSTREAM_CLIENT_GOOSEFS_MASTER_H

#include "client/config.h"
#include "proto/goosefs.h"
#include "proto/rpc.h"

struct master;

/* authority: "host:port,host:port", or "" for the settings'. Connects on first use. -EINVAL: no usable address. */
int master_new(const struct config *, const char *authority, struct master **out);
void master_free(struct master *);

/* rpc_unary() with the retries of spec goosefs 6.3. What the peer said goes to error_note(). Release the reply. */
int master_call(struct master *, enum rpc_id, const void *request, void *reply);

/* rpc_collect() likewise. restart() is called before each attempt: forget what came so far. */
int master_collect(struct master *, enum rpc_id, const void *request, int (*each)(void *context, const void *reply),
		   void (*restart)(void *context), void *context);

struct gfs_common master_common(const struct master *);   /* what every request carries */
struct gfs_common master_mutation(const struct master *); /* and with an id of its own: one per logical mutation */

struct gfs_op_id op_id_new(void); /* a random UUIDv4 (7.2) */
struct gfs_op_id op_id_from_bytes(const unsigned char bytes[16]);

/* The options of every channel of a client. The user's name is the config's. */
struct rpc_channel_options channel_options(const struct config *);

#endif
