/*
 * master.c: what each RPC means, in terms of tree.c.
 *
 * Everything that changes the namespace goes through mutate(): one lock, one transaction, the operation cache inside
 * it. Block files go after the commit; if we die in between, the next start finds them. There is no under file system
 * here. What would need one is refused in words, not silently left undone.
 */
#include "tools/server/master.h"
#include "tools/server/log.h"
#include "tools/server/opcache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define LIST_BATCH      100
#define SERVICE_VERSION 2
#define STATE_ACTIVE    1

static void *alloc_of_call(void *call, size_t bytes)
{
	return rpc_call_alloc(call, bytes);
}

static int fail_with(struct rpc_call *call, const struct fault *fault)
{
	return rpc_call_fail(call, fault->code, "%s", fault->text);
}

static int no_ufs(struct fault *fault, const char *what)
{
	return fault_set(fault, RPC_INVALID_ARGUMENT, "%s needs an under file system, and this server has none", what);
}

/* The user's name is what new inodes belong to. Its group is known here only for the user we run as. */
static const char *owner_of(const struct master *master, struct rpc_call *call, const char **group)
{
	const char *user = rpc_call_user(call);

	if (!user || !*user || strlen(user) > TREE_NAME_MAX)
		user = master->owner;
	*group = strcmp(user, master->owner) ? user : master->group;
	return user;
}

/* path without a slash at its end, living as long as the call. */
static char *clean_path(struct rpc_call *call, const char *path)
{
	char *copy = rpc_call_strdup(call, path);
	size_t n = copy ? strlen(copy) : 0;

	if (n > 1 && copy[n - 1] == '/')
		copy[n - 1] = 0;
	return copy;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* FileInfo with locations, of an inode that lives in the call. The store is locked. */
static int full_info(struct master *master, struct rpc_call *call, const struct inode *inode, const char *path,
		     struct gfs_file_info *info, struct fault *fault)
{
	struct arena arena = {alloc_of_call, call};
	struct tree_block *blocks = NULL;
	size_t n = 0;
	int code = 0;

	if (inode->type == INODE_FILE && inode->length)
		code = tree_blocks(&master->store, inode->id, &blocks, &n, fault);
	if (!code)
		code = info_fill(master, &arena, inode, path, blocks, n, info, fault);
	free(blocks);
	return code;
}

static int resolve_in_call(struct master *master, struct rpc_call *call, const char **path, struct inode *inode,
			   struct fault *fault)
{
	char *resolved;

	if (tree_resolve(&master->store, *path, &resolved, inode, fault))
		return fault->code;
	*path = rpc_call_strdup(call, resolved);
	free(resolved);
	return *path ? 0 : fault_set(fault, RPC_RESOURCE_EXHAUSTED, "Out of memory");
}

static int get_status(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_get_status *request = message;
	struct gfs_file_reply *answer = reply;
	struct master *master = context;
	const char *path = clean_path(call, request->path);
	struct inode *inode = rpc_call_alloc(call, sizeof(*inode));
	struct fault fault = {0};
	int code;

	if (!path || !inode)
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	store_lock(&master->store);
	if (request->resolve_link)
		code = resolve_in_call(master, call, &path, inode, &fault);
	else
		code = tree_lookup(&master->store, path, inode, &fault);
	if (!code)
		code = full_info(master, call, inode, path, &answer->info, &fault);
	store_unlock(&master->store);
	return code ? fail_with(call, &fault) : 0;
}

/* A listing's memory is that of one batch, however long it gets. */
struct batch {
	struct inode inodes[LIST_BATCH];
	struct gfs_file_info infos[LIST_BATCH];
	void *pieces[LIST_BATCH * 3 + 1]; /* path, blocks, checksum of each */
	size_t npieces;
};

static void *alloc_of_batch(void *from, size_t bytes)
{
	struct batch *batch = from;
	void *piece = batch->npieces < sizeof(batch->pieces) / sizeof(batch->pieces[0]) ? calloc(1, bytes) : NULL;

	if (piece)
		batch->pieces[batch->npieces++] = piece;
	return piece;
}

static void batch_clear(struct batch *batch)
{
	while (batch->npieces)
		free(batch->pieces[--batch->npieces]);
}

static char *child_path(struct batch *batch, const char *dir, const char *name)
{
	size_t bytes = strlen(dir) + strlen(name) + 2;
	char *path = alloc_of_batch(batch, bytes);

	if (path)
		snprintf(path, bytes, "%s/%s", dir[1] ? dir : "", name);
	return path;
}

static int batch_send(struct master *master, struct rpc_call *call, struct batch *batch, const char *dir, size_t n)
{
	struct arena arena = {alloc_of_batch, batch};
	struct gfs_list_reply reply = {.infos = batch->infos, .ninfos = n};
	struct fault fault = {0};
	int code = 0;

	for (size_t i = 0; !code && i < n; i++) {
		char *path = child_path(batch, dir, batch->inodes[i].name);

		if (!path)
			code = fault_set(&fault, RPC_RESOURCE_EXHAUSTED, "Out of memory");
		else
			code = info_fill(master, &arena, &batch->inodes[i], path, NULL, 0, &batch->infos[i], &fault);
	}
	if (code)
		code = fail_with(call, &fault);
	else if (rpc_call_send(call, &reply))
		code = RPC_CANCELLED;
	batch_clear(batch);
	return code;
}

/* Names are the cursor: entries that come and go between two batches are seen or not, the others once each. */
static int list_children(struct master *master, struct rpc_call *call, struct batch *batch, const char *dir, int64_t id)
{
	char after[TREE_NAME_MAX + 1] = "";
	size_t n;
	int code;

	do {
		struct fault fault = {0};

		store_lock(&master->store);
		code = tree_children(&master->store, id, after, batch->inodes, LIST_BATCH, &n, &fault);
		store_unlock(&master->store);
		if (code)
			return fail_with(call, &fault);
		if (!n)
			return 0;
		strcpy(after, batch->inodes[n - 1].name);
		code = batch_send(master, call, batch, dir, n);
	} while (!code && n == LIST_BATCH);
	return code;
}

static int list_one(struct master *master, struct rpc_call *call, const char *path, const struct inode *inode)
{
	struct gfs_file_info info;
	struct gfs_list_reply reply = {.infos = &info, .ninfos = 1};
	struct fault fault = {0};
	int code;

	store_lock(&master->store);
	code = full_info(master, call, inode, path, &info, &fault);
	store_unlock(&master->store);
	if (code)
		return fail_with(call, &fault);
	return rpc_call_send(call, &reply) ? RPC_CANCELLED : 0;
}

static int list_status(void *context, struct rpc_call *call, const void *message)
{
	const struct gfs_get_status *request = message;
	struct master *master = context;
	const char *path = clean_path(call, request->path);
	struct batch *batch = malloc(sizeof(*batch));
	struct inode *inode = batch ? &batch->inodes[0] : NULL;
	struct fault fault = {0};
	int code;

	if (!path || !batch) {
		free(batch);
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	}
	batch->npieces = 0;
	store_lock(&master->store);
	code = tree_lookup(&master->store, path, inode, &fault);
	store_unlock(&master->store);
	if (code)
		code = fail_with(call, &fault);
	else if (inode->type == INODE_DIR)
		code = list_children(master, call, batch, path, inode->id);
	else
		code = list_one(master, call, path, inode);
	free(batch);
	return code;
}

static int get_link_target(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_get_link_target *request = message;
	struct gfs_link_target *answer = reply;
	struct master *master = context;
	struct fault fault = {0};
	struct inode inode;
	int code;

	store_lock(&master->store);
	code = tree_lookup(&master->store, request->link, &inode, &fault);
	store_unlock(&master->store);
	if (code)
		return fail_with(call, &fault);
	if (inode.type != INODE_LINK)
		return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "\"%.100s\" is not a symbolic link", request->link);
	answer->target = rpc_call_strdup(call, inode.target);
	return answer->target ? 0 : rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

struct mutation {
	struct master *master;
	struct rpc_call *call;
	const void *request;
	int64_t inode; /* what it made or changed, for the reply */
	struct fault fault;
	struct garbage garbage;
};

/* What a second attempt might do better is not remembered. */
static bool outcome_is_final(int code)
{
	return code != RPC_INTERNAL && code != RPC_RESOURCE_EXHAUSTED && code != RPC_UNAVAILABLE;
}

static int mutation_fail(struct mutation *mutation, enum rpc_id id, struct gfs_op_id op)
{
	store_rollback(&mutation->master->store);
	garbage_release(&mutation->garbage);
	if (outcome_is_final(mutation->fault.code) &&
	    opcache_add(&mutation->master->store, op, id, &mutation->fault, 0))
		log_warn("an outcome could not be remembered");
	return mutation->fault.code;
}

static int mutation_succeed(struct mutation *mutation, enum rpc_id id, struct gfs_op_id op)
{
	struct store *store = &mutation->master->store;
	int rc;

	mutation->fault = (struct fault){0};
	rc = opcache_add(store, op, id, &mutation->fault, mutation->inode);
	if (rc)
		store_rollback(store);
	else
		rc = store_commit(store);
	if (!rc)
		return 0;
	garbage_release(&mutation->garbage);
	return fault_of_db(&mutation->fault, rc);
}

static int mutate_locked(struct mutation *mutation, enum rpc_id id, struct gfs_op_id op,
			 int (*apply)(struct mutation *))
{
	struct store *store = &mutation->master->store;
	int rc = opcache_find(store, op, id, &mutation->fault, &mutation->inode);

	if (rc > 0)
		return mutation->fault.code;
	if (!rc)
		rc = store_begin(store);
	if (rc)
		return fault_of_db(&mutation->fault, rc);
	if (apply(mutation))
		return mutation_fail(mutation, id, op);
	return mutation_succeed(mutation, id, op);
}

static void collect_garbage(struct master *master, struct garbage *garbage)
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

/* info, if wanted, describes the inode the mutation was about, known to the caller as path. */
static int mutate(struct mutation *mutation, enum rpc_id id, struct gfs_op_id op, int (*apply)(struct mutation *),
		  const char *path, struct gfs_file_info *info)
{
	struct master *master = mutation->master;
	struct inode *inode = NULL;
	int code;

	if (info) {
		inode = rpc_call_alloc(mutation->call, sizeof(*inode));
		if (!inode || !path)
			return rpc_call_fail(mutation->call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	}
	store_lock(&master->store);
	code = mutate_locked(mutation, id, op, apply);
	if (!code && info)
		code = tree_get(&master->store, mutation->inode, inode, &mutation->fault);
	if (!code && info)
		code = full_info(master, mutation->call, inode, path, info, &mutation->fault);
	store_unlock(&master->store);
	collect_garbage(master, &mutation->garbage);
	return code ? fail_with(mutation->call, &mutation->fault) : 0;
}

static bool needs_ufs(int write_type)
{
	return write_type == GFS_CACHE_THROUGH || write_type == GFS_THROUGH || write_type == GFS_ASYNC_THROUGH;
}

static int apply_create_file(struct mutation *mutation)
{
	const struct gfs_create_file *request = mutation->request;
	const struct master *master = mutation->master;
	struct tree_new new = {
		.path = request->path,
		.type = INODE_FILE,
		.mode = request->has_mode ? request->mode : 0644,
		.block_size = master->block_size ? master->block_size : request->block_size,
		.write_type = request->write_type ? request->write_type : GFS_MUST_CACHE,
		.make_parents = request->recursive,
	};

	if (request->block_size <= 0)
		return fault_set(&mutation->fault, RPC_INVALID_ARGUMENT, "Invalid block size %" PRId64,
				 request->block_size);
	if (needs_ufs(request->write_type))
		return no_ufs(&mutation->fault, "This write type");
	new.owner = owner_of(master, mutation->call, &new.group);
	return tree_create(&mutation->master->store, &new, &mutation->inode, &mutation->fault);
}

static int create_file(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_create_file *request = message;
	struct gfs_file_reply *answer = reply;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	return mutate(&mutation, RPC_CREATE_FILE, request->common.op, apply_create_file,
		      clean_path(call, request->path), &answer->info);
}

static int apply_complete_file(struct mutation *mutation)
{
	const struct gfs_complete_file *request = mutation->request;
	struct tree_completion done = {
		.path = request->path,
		.inode_id = request->inode_id,
		.length = request->has_ufs_length ? request->ufs_length : -1,
		.has_crc = request->has_crc,
		.crc_type = request->crc_type,
		.crc_value = request->crc_value,
	};

	if (request->async_persist || request->force_persisted)
		return no_ufs(&mutation->fault, "Persistence");
	return tree_complete(&mutation->master->store, &done, &mutation->inode, &mutation->fault);
}

static int complete_file(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_complete_file *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_COMPLETE_FILE, request->common.op, apply_complete_file, NULL, NULL);
}

static int apply_remove(struct mutation *mutation)
{
	const struct gfs_remove *request = mutation->request;

	return tree_remove(&mutation->master->store, request->path, request->recursive, &mutation->garbage,
			   &mutation->fault);
}

static int remove_path(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_remove *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_REMOVE, request->common.op, apply_remove, NULL, NULL);
}

static int apply_rename(struct mutation *mutation)
{
	const struct gfs_rename *request = mutation->request;

	if (request->persist)
		return no_ufs(&mutation->fault, "Persistence");
	return tree_rename(&mutation->master->store, request->path, request->to, &mutation->fault);
}

static int rename_path(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_rename *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_RENAME, request->common.op, apply_rename, NULL, NULL);
}

static int apply_create_directory(struct mutation *mutation)
{
	const struct gfs_create_directory *request = mutation->request;
	struct tree_new new = {
		.path = request->path,
		.type = INODE_DIR,
		.mode = request->has_mode ? request->mode : 0755,
		.make_parents = request->recursive,
		.exists_is_fine = request->allow_exists,
	};

	new.owner = owner_of(mutation->master, mutation->call, &new.group);
	return tree_create(&mutation->master->store, &new, &mutation->inode, &mutation->fault);
}

static int create_directory(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_create_directory *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_CREATE_DIRECTORY, request->common.op, apply_create_directory, NULL, NULL);
}

static int apply_create_symlink(struct mutation *mutation)
{
	const struct gfs_create_symlink *request = mutation->request;
	struct tree_new new = {
		.path = request->link,
		.type = INODE_LINK,
		.mode = request->has_mode ? request->mode : 0777,
		.target = request->target,
	};

	if (!*request->target || strlen(request->target) > TREE_LINK_MAX)
		return fault_set(&mutation->fault, RPC_INVALID_ARGUMENT, "Invalid link target");
	new.owner = owner_of(mutation->master, mutation->call, &new.group);
	return tree_create(&mutation->master->store, &new, &mutation->inode, &mutation->fault);
}

static int create_symlink(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_create_symlink *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_CREATE_SYMLINK, request->common.op, apply_create_symlink, NULL, NULL);
}

static int apply_set_attribute(struct mutation *mutation)
{
	const struct gfs_set_attribute *request = mutation->request;
	struct tree_attributes want = {
		.owner = request->owner,
		.group = request->group,
		.mode = request->has_mode ? request->mode : -1,
		.recursive = request->recursive,
	};

	if ((want.owner && strlen(want.owner) > TREE_NAME_MAX) || (want.group && strlen(want.group) > TREE_NAME_MAX))
		return fault_set(&mutation->fault, RPC_INVALID_ARGUMENT, "Name of an owner or group too long");
	return tree_set_attributes(&mutation->master->store, request->path, &want, &mutation->fault);
}

static int set_attribute(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_set_attribute *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_SET_ATTRIBUTE, request->common.op, apply_set_attribute, NULL, NULL);
}

static int apply_remove_blocks(struct mutation *mutation)
{
	const struct gfs_block_ids *request = mutation->request;
	int code = 0;

	for (size_t i = 0; !code && i < request->n; i++)
		code = tree_block_remove(&mutation->master->store, request->ids[i], &mutation->garbage,
					 &mutation->fault);
	return code;
}

static int remove_blocks(void *context, struct rpc_call *call, const void *message, void *reply)
{
	struct mutation mutation = {.master = context, .call = call, .request = message};

	(void)reply;
	return mutate(&mutation, RPC_REMOVE_BLOCKS, (struct gfs_op_id){0}, apply_remove_blocks, NULL, NULL);
}

/* Our workers tell the master what they commit, which is better than a client's word: there is nothing left to note. */
static int commit_location(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_commit_location *request = message;
	struct master *master = context;
	struct fault fault = {0};
	struct inode inode;
	int code;

	(void)reply;
	store_lock(&master->store);
	code = tree_find(&master->store, request->path, request->inode_id, &inode, &fault);
	store_unlock(&master->store);
	return code ? fail_with(call, &fault) : 0;
}

static int schedule_persist(void *context, struct rpc_call *call, const void *message, void *reply)
{
	(void)context, (void)message, (void)reply;
	return rpc_call_fail(call, RPC_FAILED_PRECONDITION, "This server has no under file system to persist to");
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
	for (int i = 0; i < master->nworkers; i++)
		workers[i] = (struct gfs_worker){
			.id = master->workers[i].id,
			.has_id = true,
			.host = master->workers[i].host,
			.rpc_port = master->workers[i].port,
			.domain_socket = "",
			.capacity_bytes = capacity / master->nworkers, /* they share one disk */
			.used_bytes = used / master->nworkers,
			.state = STATE_ACTIVE,
			.alive = true,
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

static int get_version(void *context, struct rpc_call *call, const void *request, void *reply)
{
	(void)context, (void)call, (void)request;
	((struct gfs_version *)reply)->version = SERVICE_VERSION;
	return 0;
}

/* Nobody asks for them here; what a client gets wrong about them it should learn all the same. */
static int metrics_heartbeat(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_metrics_heartbeat *request = message;

	(void)context, (void)reply;
	for (size_t i = 0; i < request->n; i++)
		if (!request->metrics[i].instance || !*request->metrics[i].instance)
			return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "A metric without an instance");
	return 0;
}

const struct rpc_handler master_handlers[] = {
	{RPC_GET_STATUS, get_status, NULL},
	{RPC_LIST_STATUS, NULL, list_status},
	{RPC_CREATE_FILE, create_file, NULL},
	{RPC_COMPLETE_FILE, complete_file, NULL},
	{RPC_COMMIT_LOCATION, commit_location, NULL},
	{RPC_REMOVE_BLOCKS, remove_blocks, NULL},
	{RPC_REMOVE, remove_path, NULL},
	{RPC_RENAME, rename_path, NULL},
	{RPC_CREATE_DIRECTORY, create_directory, NULL},
	{RPC_SET_ATTRIBUTE, set_attribute, NULL},
	{RPC_CREATE_SYMLINK, create_symlink, NULL},
	{RPC_GET_LINK_TARGET, get_link_target, NULL},
	{RPC_SCHEDULE_PERSIST, schedule_persist, NULL},
	{RPC_GET_WORKERS, get_workers, NULL},
	{RPC_GET_CAPACITY, get_capacity, NULL},
	{RPC_GET_USED, get_used, NULL},
	{RPC_GET_VERSION, get_version, NULL},
	{RPC_METRICS_HEARTBEAT, metrics_heartbeat, NULL},
	{0},
};
