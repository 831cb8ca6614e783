/*
 * worker.h: the worker role: blocks in and out (spec goosefs 9, 19.3). Several may run in one process, each with its
 * own port and its own blocks.
 */
#ifndef SLIPSTREAM_SERVER_WORKER_H
#define SLIPSTREAM_SERVER_WORKER_H

#include "tools/server/blocks.h"
#include "tools/server/store.h"
#include "proto/rpc.h"

#define MAX_WORKERS 8

struct worker {
	int id;        /* from 1 */
	char host[64]; /* as announced to clients */
	int port;
	struct blocks blocks;
	struct store *store; /* not ours: the master's, told of commits */
	struct rpc_server *server;
};

/* What a worker answers; the context is its struct worker. */
extern const struct rpc_handler worker_handlers[];

/* Make metadata and block files of a worker agree, before it serves. 0 or -errno. */
int worker_reconcile(struct worker *);

#endif
