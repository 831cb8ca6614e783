/*
 * master_change.c: what changes the namespace, in terms of tree.c.
 *
 * Everything here goes through mutate(): one lock, one transaction, the operation cache inside it. Block files go after
 * the commit; if we die in between, the next start finds them. What is to happen in the under file system is ordered
 * in the transaction and done after it (jobs.h). Without an under file system, what would need one is refused in words,
 * not silently left undone.
 */
#include "tools/server/jobs.h"
#include "tools/server/load.h"
#include "tools/server/log.h"
#include "tools/server/master.h"
#include "tools/server/opcache.h"
#include "tools/server/reserve.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

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

/* ---- one mutation ------------------------------------------------------------------------------------------------ */

struct mutation {
	struct master *master;
	struct rpc_call *call;
	const void *request;
	int64_t inode; /* what it made or changed, for the reply */
	struct fault fault;
	struct garbage garbage;
	const char *ufs_path;   /* what is to be done in the under file system: remove it, */
	const char *ufs_target; /* or rename it to this */
	bool persists;          /* there may be something new to persist */
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
	if (!rc && mutation->ufs_path)
		rc = jobs_add(store, mutation->ufs_path, mutation->ufs_target);
	if (rc)
		store_rollback(store);
	else
		rc = store_commit(store);
	if (!rc) {
		jobs_run(store, &mutation->master->ufs);
		return 0;
	}
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

/* What gives space back may use the last of it. */
static int mutate_at_last(struct mutation *mutation, enum rpc_id id, struct gfs_op_id op,
			  int (*apply)(struct mutation *))
{
	struct master *master = mutation->master;
	int code = mutate_locked(mutation, id, op, apply);

	if (code != RPC_RESOURCE_EXHAUSTED || (id != RPC_REMOVE && id != RPC_REMOVE_BLOCKS) ||
	    !reserve_spend(master->root))
		return code;
	atomic_store(&master->reserve_spent, true);
	mutation->ufs_path = mutation->ufs_target = NULL;
	return mutate_locked(mutation, id, op, apply);
}

/* What can be done without the lock, after the commit. */
static void mutation_end(struct mutation *mutation, int code)
{
	master_collect(mutation->master, &mutation->garbage);
	if (code)
		return;
	if (mutation->ufs_path && !mutation->ufs_target)
		ufs_empty_trash(&mutation->master->ufs);
	if (mutation->persists)
		persist_wake(mutation->master);
	if (atomic_load(&mutation->master->reserve_spent) && !reserve_make(mutation->master->root))
		atomic_store(&mutation->master->reserve_spent, false);
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
	code = mutate_at_last(mutation, id, op, apply);
	if (!code && info)
		code = tree_get(&master->store, mutation->inode, inode, &mutation->fault);
	if (!code && info)
		code = master_info(master, mutation->call, inode, path, info, &mutation->fault);
	store_unlock(&master->store);
	mutation_end(mutation, code);
	return code ? master_fail(mutation->call, &mutation->fault) : 0;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Import a path before it is judged, if the under file system has it. */
static int import_if_there(struct mutation *mutation, const char *path)
{
	if (!ufs_may_have(&mutation->master->ufs, path))
		return 0;
	return load_path_locked(mutation->master, path, &mutation->fault);
}

/* The name may be taken in the under file system, or its parents may be there alone. */
static int create_in_tree(struct mutation *mutation, const struct tree_new *new)
{
	struct master *master = mutation->master;
	int code = import_if_there(mutation, new->path);

	if (!code)
		code = tree_create(&master->store, new, &mutation->inode, &mutation->fault);
	if (code != RPC_NOT_FOUND || !ufs_on(&master->ufs))
		return code;
	mutation->fault = (struct fault){0};
	code = load_path_locked(master, new->path, &mutation->fault);
	return code ? code : tree_create(&master->store, new, &mutation->inode, &mutation->fault);
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
	if (write_type_needs_ufs(request->write_type) && !ufs_on(&master->ufs))
		return no_ufs(&mutation->fault, "This write type");
	new.owner = owner_of(master, mutation->call, &new.group);
	return create_in_tree(mutation, &new);
}

int master_create_file(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_create_file *request = message;
	struct gfs_file_reply *answer = reply;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	return mutate(&mutation, RPC_CREATE_FILE, request->common.op, apply_create_file,
		      master_path(call, request->path), &answer->info);
}

/* It goes from the under file system too, unless that would take along what nobody has seen. */
static int remove_in_ufs(struct mutation *mutation, const char *path)
{
	const struct gfs_remove *request = mutation->request;
	struct master *master = mutation->master;
	struct ufs_entry entry;
	struct inode inode;
	int rc;

	if (load_path_locked(master, path, &mutation->fault) ||
	    tree_lookup(&master->store, path, &inode, &mutation->fault))
		return mutation->fault.code;
	if (request->goosefs_only || (inode.type != INODE_DIR && !inode_in_ufs(&inode)))
		return 0;
	if (inode.type != INODE_DIR && !ufs_stat(&master->ufs, path, &entry) && entry.dir)
		return 0; /* somebody else's, made there since */
	if (inode.type == INODE_DIR && (!request->recursive || !request->unchecked)) {
		rc = load_compare(master, path, inode.id);
		if (rc && !request->recursive)
			return fault_set(&mutation->fault, RPC_FAILED_PRECONDITION, "Directory \"%.100s\" is not empty",
					 path);
		if (rc)
			return fault_set(
				&mutation->fault, RPC_FAILED_PRECONDITION,
				"Directory \"%.100s\" has contents in the under file system that were never loaded",
				path);
	}
	mutation->ufs_path = path;
	return 0;
}

static int apply_remove(struct mutation *mutation)
{
	const struct gfs_remove *request = mutation->request;
	const char *path = master_path(mutation->call, request->path);

	if (!path)
		return fault_set(&mutation->fault, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	if (ufs_may_have(&mutation->master->ufs, path) && remove_in_ufs(mutation, path))
		return mutation->fault.code;
	return tree_remove(&mutation->master->store, path, request->recursive, &mutation->garbage, &mutation->fault);
}

int master_remove(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_remove *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_REMOVE, request->common.op, apply_remove, NULL, NULL);
}

/* Not earlier than asked for, and not earlier than we do such things; -1: never. */
static int64_t persist_due(const struct master *master, int64_t wait_ms)
{
	if (wait_ms < 0)
		return -1;
	return tree_now_ms() + (wait_ms > master->persist_delay_ms ? wait_ms : master->persist_delay_ms);
}

static int persist_renamed(struct mutation *mutation, const char *path)
{
	struct master *master = mutation->master;
	struct inode inode;

	if (tree_lookup(&master->store, path, &inode, &mutation->fault))
		return mutation->fault.code;
	mutation->persists = true;
	return tree_persist_all_at(&master->store, inode.id, persist_due(master, 0), &mutation->fault);
}

static int apply_rename(struct mutation *mutation)
{
	const struct gfs_rename *request = mutation->request;
	struct master *master = mutation->master;
	const char *from = master_path(mutation->call, request->path);
	const char *to = master_path(mutation->call, request->to);

	if (!from || !to)
		return fault_set(&mutation->fault, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	if (request->persist && !ufs_on(&master->ufs))
		return no_ufs(&mutation->fault, "Persistence");
	if (import_if_there(mutation, from) || import_if_there(mutation, to) ||
	    tree_rename(&master->store, from, to, &mutation->fault))
		return mutation->fault.code;
	if (strcmp(from, to) && ufs_may_have(&master->ufs, from)) {
		mutation->ufs_path = from;
		mutation->ufs_target = to;
	}
	return request->persist ? persist_renamed(mutation, to) : 0;
}

int master_rename(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_rename *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_RENAME, request->common.op, apply_rename, NULL, NULL);
}

/* A directory that is to be in the under file system, too. One that is left behind there by a crash is imported later. */
static int directory_through(struct mutation *mutation, const char *path)
{
	const struct ufs *ufs = &mutation->master->ufs;
	int rc;

	if (!path)
		return fault_set(&mutation->fault, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	if (!ufs_on(ufs))
		return no_ufs(&mutation->fault, "This write type");
	rc = ufs_make_dirs(ufs, path);
	if (rc)
		return fault_set(&mutation->fault, RPC_INTERNAL,
				 "\"%.100s\" cannot be made in the under file system: %s", path, strerror(-rc));
	return tree_persisted(&mutation->master->store, mutation->inode, 0, &mutation->fault);
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
	if (create_in_tree(mutation, &new))
		return mutation->fault.code;
	if (request->write_type == GFS_CACHE_THROUGH || request->write_type == GFS_THROUGH)
		return directory_through(mutation, master_path(mutation->call, request->path));
	return 0;
}

int master_create_directory(void *context, struct rpc_call *call, const void *message, void *reply)
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
	return create_in_tree(mutation, &new);
}

int master_create_symlink(void *context, struct rpc_call *call, const void *message, void *reply)
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
	if (import_if_there(mutation, request->path) ||
	    tree_set_attributes(&mutation->master->store, request->path, &want, &mutation->fault))
		return mutation->fault.code;
	if (want.mode >= 0 && ufs_may_have(&mutation->master->ufs, request->path))
		ufs_set_mode(&mutation->master->ufs, request->path, want.mode); /* of files, as far as it goes */
	return 0;
}

int master_set_attribute(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_set_attribute *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_SET_ATTRIBUTE, request->common.op, apply_set_attribute, NULL, NULL);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int persist_later(struct mutation *mutation, int64_t id, int64_t wait_ms)
{
	mutation->persists = true;
	return tree_persist_at(&mutation->master->store, id, persist_due(mutation->master, wait_ms), &mutation->fault);
}

/*
 * The client says that it has written the file to the under file system. Believe what is there. Not there, though its
 * blocks are (the file was renamed while it was written): copy it. Not there at all: it is not persisted; who completes
 * a THROUGH file that was never written gets what it asked for.
 */
static int completed_through(struct mutation *mutation, const struct inode *inode)
{
	struct master *master = mutation->master;
	struct ufs_entry entry;
	char path[PATH_MAX];

	if (tree_path(&master->store, inode->id, path, sizeof(path), &mutation->fault))
		return mutation->fault.code;
	if (!ufs_stat(&master->ufs, path, &entry) && !entry.dir && entry.bytes == inode->length)
		return tree_persisted(&master->store, inode->id, entry.stamp, &mutation->fault);
	return inode->write_type == GFS_CACHE_THROUGH ? persist_later(mutation, inode->id, 0) : 0;
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
	struct inode inode;

	if ((request->async_persist || request->force_persisted) && !ufs_on(&mutation->master->ufs))
		return no_ufs(&mutation->fault, "Persistence");
	if (tree_complete(&mutation->master->store, &done, &inode, &mutation->fault))
		return mutation->fault.code;
	mutation->inode = inode.id;
	if (request->force_persisted || inode.write_type == GFS_CACHE_THROUGH || inode.write_type == GFS_THROUGH)
		return completed_through(mutation, &inode);
	if (request->async_persist)
		return persist_later(mutation, inode.id, request->persistence_wait_ms);
	return 0;
}

int master_complete_file(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_complete_file *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	return mutate(&mutation, RPC_COMPLETE_FILE, request->common.op, apply_complete_file, NULL, NULL);
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

int master_remove_blocks(void *context, struct rpc_call *call, const void *message, void *reply)
{
	struct mutation mutation = {.master = context, .call = call, .request = message};

	(void)reply;
	return mutate(&mutation, RPC_REMOVE_BLOCKS, (struct gfs_op_id){0}, apply_remove_blocks, NULL, NULL);
}

/* Our workers tell the master what they commit, which is better than a client's word: there is nothing left to note. */
int master_commit_location(void *context, struct rpc_call *call, const void *message, void *reply)
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
	return code ? master_fail(call, &fault) : 0;
}

static int apply_schedule_persist(struct mutation *mutation)
{
	const struct gfs_schedule_persist *request = mutation->request;
	struct master *master = mutation->master;
	struct inode inode;

	if (tree_lookup(&master->store, request->path, &inode, &mutation->fault))
		return mutation->fault.code;
	if (inode.type == INODE_DIR)
		return fault_set(&mutation->fault, RPC_FAILED_PRECONDITION, "Is a directory: %.100s", request->path);
	if (!inode.completed)
		return fault_set(&mutation->fault, RPC_FAILED_PRECONDITION, "File %.100s is incomplete", request->path);
	if (inode.type != INODE_FILE || inode.ufs == UFS_PERSISTED)
		return 0;
	return persist_later(mutation, inode.id, request->has_wait ? request->wait_ms : 0);
}

int master_schedule_persist(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_schedule_persist *request = message;
	struct mutation mutation = {.master = context, .call = call, .request = request};

	(void)reply;
	if (!ufs_on(&mutation.master->ufs))
		return rpc_call_fail(call, RPC_FAILED_PRECONDITION,
				     "This server has no under file system to persist to");
	return mutate(&mutation, RPC_SCHEDULE_PERSIST, request->common.op, apply_schedule_persist, NULL, NULL);
}
