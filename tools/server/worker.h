/*
 * worker.h: the worker role: blocks in and out (spec goosefs 9, 19.3). Several may run in one process, each with its
 * own port and its own blocks.
 */
#ifndef SLIPSTREAM_SERVER_WORKER_H
#define SLIPSTREAM_SERVER_WORKER_H

#include "tools/server/blocks.h"
#include "tools/server/faults.h"
#include "tools/server/store.h"
#include "tools/server/ufs.h"
#include "proto/rpc.h"

#define MAX_WORKERS      8
#define WORKER_STUCK_MAX 16

struct worker {
	int id;        /* from 1 */
	char host[64]; /* as announced to clients */
	int port;
	struct blocks blocks;
	struct store *store; /* not ours: the master's, told of commits; so are these: */
	const struct ufs *ufs;
	const struct faults *faults;
	struct rpc_server *server; /* NULL: not listening */
	atomic_uint nstuck;        /* blocks left locked, under the fault strict-lock */
	_Atomic int64_t stuck[WORKER_STUCK_MAX];
};

/* What a worker answers; the context is its struct worker. */
extern const struct rpc_handler worker_handlers[];

int worker_read_block(void *, struct rpc_call *, const void *);
int worker_write_block(void *, struct rpc_call *, const void *);

/* A block whose lock nobody gives back (spec goosefs 9.2). */
void worker_stick(struct worker *, int64_t block);
bool worker_is_stuck(const struct worker *, int64_t block);
void worker_unstick(struct worker *); /* all of them */

/* Make metadata and block files of a worker agree, before it serves. 0 or -errno. */
int worker_reconcile(struct worker *);

#endif
