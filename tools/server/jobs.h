/*
 * jobs.h: what a mutation orders in the under file system: to remove or to rename there. The order is written in the
 * mutation's transaction and carried out after its commit, before anybody else may change the tree; a crash in between
 * leaves it for the next start.
 *
 * Threads: with the store locked.
 */
#ifndef SLIPSTREAM_SERVER_JOBS_H
#define SLIPSTREAM_SERVER_JOBS_H

#include "tools/server/store.h"
#include "tools/server/ufs.h"

/* target: NULL to remove. In a transaction. 0 or -errno. */
int jobs_add(struct store *, const char *path, const char *target);
/* All that is ordered. What fails is logged and given up. */
void jobs_run(struct store *, const struct ufs *);

#endif
