/*
 * master.c: what the master says of itself and of its workers, and the table of all it answers.
 */
#include "tools/server/master.h"
#include "tools/server/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define SERVICE_VERSION 2
#define STATE_ACTIVE    1

/* ---- for the other files of the master --------------------------------------------------------------------------- */

int master_fail(struct rpc_call *call, const struct fault *fault)
{
	return rpc_call_fail(call, fault->code, "%s", fault->text);
}

char *master_path(struct rpc_call *call, const char *path)
{
	char *copy = rpc_call_strdup(call, path);
	size_t n = copy ? strlen(copy) : 0;

	if (n > 1 && copy[n - 1] == '/')
		copy[n - 1] = 0;
	return copy;
}

void master_collect(struct master *master, struct garbage *garbage)
{
	for (size_t i = 0; i < garbage->n; i++) {
		const struct garbage_block *block = &garbage->blocks[i];
		int rc;

		if (block->worker < 1 || block->worker > master->nworkers)
			continue; /* found at the next start with that worker */
		rc = blocks_remove(&master->workers[block->worker - 1].blocks, block->id);
		if (rc)
			log_warn("block %" PRId64 " cannot be removed: %s", block->id, strerror(-rc));
	}
	garbage_release(garbage);
}

/* ---- workers, space, the rest ------------------------------------------------------------------------------------ */

/* Of the file system below the root. Used is what is not available to us, so that the difference is what can be
 * written. */
static int space(const struct master *master, struct rpc_call *call, int64_t *capacity, int64_t *used)
{
	struct statvfs fs;

	if (statvfs(master->root, &fs)) {
		log_error("%s: %s", master->root, strerror(errno));
		return rpc_call_fail(call, RPC_INTERNAL, "The space of this server is not known");
	}
	*capacity = (int64_t)(fs.f_blocks * fs.f_frsize);
	*used = (int64_t)((fs.f_blocks - fs.f_bavail) * fs.f_frsize);
	return 0;
}

static int get_workers(void *context, struct rpc_call *call, const void *request, void *reply)
{
	const struct master *master = context;
	struct gfs_worker_list *answer = reply;
	struct gfs_worker *workers = rpc_call_alloc(call, (size_t)master->nworkers * sizeof(*workers));
	int64_t capacity = 0, used = 0;

	(void)request;
	if (!workers)
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	if (space(master, call, &capacity, &used))
		return RPC_INTERNAL;
	if (fault_on(&master->faults, FAULT_NO_CAPACITY))
		capacity = used = 0;
	for (int i = 0; i < master->nworkers; i++)
		workers[i] = (struct gfs_worker){
			.id = i + 1,
			.has_id = true,
			.host = master->workers[i].host,
			.rpc_port = master->workers[i].port,
			.domain_socket = "",
			.capacity_bytes = capacity / master->nworkers, /* they share one disk */
			.used_bytes = used / master->nworkers,
			.state = STATE_ACTIVE,
			.alive = true,
			.forbid_write = fault_of_worker(&master->faults, FAULT_FORBID_WRITE, i + 1),
		};
	answer->workers = workers;
	answer->n = (size_t)master->nworkers;
	return 0;
}

static int get_capacity(void *context, struct rpc_call *call, const void *request, void *reply)
{
	int64_t used;

	(void)request;
	return space(context, call, &((struct gfs_bytes *)reply)->bytes, &used);
}

static int get_used(void *context, struct rpc_call *call, const void *request, void *reply)
{
	int64_t capacity;

	(void)request;
	return space(context, call, &capacity, &((struct gfs_bytes *)reply)->bytes);
}

static int get_version(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_get_version *request = message;
	const struct master *master = context;

	if (fault_on(&master->faults, FAULT_STANDBY) && !request->allowed_on_standby)
		return rpc_call_fail(call, RPC_NOT_FOUND, "This is a standby master");
	((struct gfs_version *)reply)->version = SERVICE_VERSION;
	return 0;
}

/* What a client last sent, for who tests one: "KIND NAME VALUE SOURCE" to a line. */
static void keep_metrics(const struct master *master, const struct gfs_metrics_heartbeat *request)
{
	char path[PATH_MAX + 16], temporary[PATH_MAX + 32];
	FILE *file;

	snprintf(path, sizeof(path), "%s/metrics", master->root);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "we");
	if (!file)
		return;
	for (size_t i = 0; i < request->n; i++) {
		const struct gfs_metric *metric = &request->metrics[i];

		fprintf(file, "%s %s %.17g %s\n", metric->type ? "counter" : "gauge", metric->name, metric->value,
			metric->source);
	}
	if (fclose(file) || rename(temporary, path))
		log_warn("%s: %s", path, strerror(errno));
}

/* Nobody asks for them here; what a client gets wrong about them it should learn all the same. */
static int metrics_heartbeat(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_metrics_heartbeat *request = message;
	const struct master *master = context;

	(void)reply;
	for (size_t i = 0; i < request->n; i++)
		if (!request->metrics[i].instance || !*request->metrics[i].instance)
			return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "A metric without an instance");
	if (fault_on(&master->faults, FAULT_KEEP_METRICS))
		keep_metrics(master, request);
	return 0;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

/* Failures on request, before anything is done: 0 to go on. A standby answers nothing but what it is. */
static int gate(struct master *master, struct rpc_call *call, bool asks_who)
{
	int64_t code = fault_value(&master->faults, FAULT_MASTER_STATUS);

	fault_wait(&master->faults, FAULT_MASTER_DELAY);
	if (fault_take(&master->faults, FAULT_MASTER_UNAVAILABLE))
		return rpc_call_fail(call, RPC_UNAVAILABLE, "Unavailable, as was asked for");
	if (fault_take(&master->faults, FAULT_MASTER_STATUS))
		return rpc_call_fail(call, (int)code, "A failure, as was asked for");
	if (fault_on(&master->faults, FAULT_STANDBY) && !asks_who)
		return rpc_call_fail(call, RPC_UNAVAILABLE, "This is a standby master");
	return 0;
}

#define GATED(function)                                                                                                \
	static int gated_##function(void *context, struct rpc_call *call, const void *request, void *reply)            \
	{                                                                                                              \
		int code = gate(context, call, function == get_version);                                               \
		return code ? code : function(context, call, request, reply);                                          \
	}

GATED(master_get_status)
GATED(master_create_file)
GATED(master_complete_file)
GATED(master_commit_location)
GATED(master_remove_blocks)
GATED(master_remove)
GATED(master_rename)
GATED(master_create_directory)
GATED(master_set_attribute)
GATED(master_create_symlink)
GATED(master_get_link_target)
GATED(master_schedule_persist)
GATED(get_workers)
GATED(get_capacity)
GATED(get_used)
GATED(get_version)
GATED(metrics_heartbeat)

static int gated_list_status(void *context, struct rpc_call *call, const void *request)
{
	int code = gate(context, call, false);

	return code ? code : master_list_status(context, call, request);
}

const struct rpc_handler master_handlers[] = {
	{RPC_GET_STATUS, gated_master_get_status, NULL},
	{RPC_LIST_STATUS, NULL, gated_list_status},
	{RPC_CREATE_FILE, gated_master_create_file, NULL},
	{RPC_COMPLETE_FILE, gated_master_complete_file, NULL},
	{RPC_COMMIT_LOCATION, gated_master_commit_location, NULL},
	{RPC_REMOVE_BLOCKS, gated_master_remove_blocks, NULL},
	{RPC_REMOVE, gated_master_remove, NULL},
	{RPC_RENAME, gated_master_rename, NULL},
	{RPC_CREATE_DIRECTORY, gated_master_create_directory, NULL},
	{RPC_SET_ATTRIBUTE, gated_master_set_attribute, NULL},
	{RPC_CREATE_SYMLINK, gated_master_create_symlink, NULL},
	{RPC_GET_LINK_TARGET, gated_master_get_link_target, NULL},
	{RPC_SCHEDULE_PERSIST, gated_master_schedule_persist, NULL},
	{RPC_GET_WORKERS, gated_get_workers, NULL},
	{RPC_GET_CAPACITY, gated_get_capacity, NULL},
	{RPC_GET_USED, gated_get_used, NULL},
	{RPC_GET_VERSION, gated_get_version, NULL},
	{RPC_METRICS_HEARTBEAT, gated_metrics_heartbeat, NULL},
	{0},
};
