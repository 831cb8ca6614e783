/*
 * inside.c: the keeper as threads of the program it serves (SLIPSTREAM_CLIENT=process). The thread that calls here has a
 * table of descriptors and a umask of its own, and so have the threads it makes: nothing that the program does with its
 * numbers can hurt the keeper, and the program's numbers are what they would be without it. SIGTERM to that thread alone,
 * which must block all signals, ends the session once everything is published.
 */
#include "client/keeper.h"
#include "client/log.h"
#include "client/slipstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int serve(struct keeper_options *options)
{
	int rc;

	options->lock_fd = session_lock(options->dir);
	if (options->lock_fd < 0)
		return options->lock_fd;
	options->listen_fd = session_listen(options->dir);
	if (options->listen_fd < 0)
		return options->listen_fd;
	rc = keeper_start(options);
	log_end(); /* its file is of this thread's table: the next keeper has another */
	return rc ? -1 : 0;
}

int slip_keeper_inside(const char *dir, const char *mounts, void (*ready)(void *), void *context)
{
	struct keeper_options options = {
		.dir = dir, .ready_fd = -1, .parent_fd = -1, .inside = true, .ready = ready, .ready_context = context};
	char *setting;
	int rc;

	if (asprintf(&setting, "mounts=%s", mounts) < 0)
		return -ENOMEM;
	options.settings = (const char *const[]){setting, NULL};
	rc = serve(&options);
	free(setting);
	return rc;
}
