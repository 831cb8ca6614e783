/*
 * master_read.c: GetStatus, ListStatus, GetLinkTarget.
 *
 * A name that the tree does not have is looked for in the under file system, unless the caller says NEVER; a request
 * without a load type, as old clients send it, is taken for ONCE (spec goosefs 16.2).
 */
#include "tools/server/load.h"
#include "tools/server/master.h"

#include <stdlib.h>
#include <string.h>

#define LIST_BATCH 100

static void *alloc_of_call(void *call, size_t bytes)
{
	return rpc_call_alloc(call, bytes);
}

static int load_type_of(const struct gfs_get_status *request)
{
	return request->has_load_type ? request->load_type : GFS_LOAD_ONCE;
}

int master_info(struct master *master, struct rpc_call *call, const struct inode *inode, const char *path,
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

static int find_status(struct master *master, struct rpc_call *call, const struct gfs_get_status *request,
		       const char *path, struct inode *inode, struct gfs_file_info *info, struct fault *fault)
{
	int code;

	*fault = (struct fault){0};
	store_lock(&master->store);
	if (request->resolve_link)
		code = resolve_in_call(master, call, &path, inode, fault);
	else
		code = tree_lookup(&master->store, path, inode, fault);
	if (!code)
		code = master_info(master, call, inode, path, info, fault);
	store_unlock(&master->store);
	return code;
}

int master_get_status(void *context, struct rpc_call *call, const void *message, void *reply)
{
	const struct gfs_get_status *request = message;
	struct gfs_file_reply *answer = reply;
	struct master *master = context;
	const char *path = master_path(call, request->path);
	struct inode *inode = rpc_call_alloc(call, sizeof(*inode));
	struct fault fault = {0};
	int type = load_type_of(request), code = 0;

	if (!path || !inode)
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	if (type == GFS_LOAD_ALWAYS)
		code = load_path(master, path, true, &fault);
	if (!code)
		code = find_status(master, call, request, path, inode, &answer->info, &fault);
	if (code == RPC_NOT_FOUND && type == GFS_LOAD_ONCE && ufs_may_have(&master->ufs, path)) {
		code = load_path(master, path, false, &fault);
		if (!code)
			code = find_status(master, call, request, path, inode, &answer->info, &fault);
	}
	return code ? master_fail(call, &fault) : 0;
}

/* A listing's memory is that of one batch, however long it gets. */
struct batch {
	struct inode inodes[LIST_BATCH];
	struct gfs_file_info infos[LIST_BATCH];
	void *pieces[LIST_BATCH * (INFO_PIECES + 1)]; /* and a path of each */
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
		code = master_fail(call, &fault);
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
			return master_fail(call, &fault);
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
	code = master_info(master, call, inode, path, &info, &fault);
	store_unlock(&master->store);
	if (code)
		return master_fail(call, &fault);
	return rpc_call_send(call, &reply) ? RPC_CANCELLED : 0;
}

/* Find it, import it if need be, and import its children if that was never done. */
static int find_listed(struct master *master, const char *path, int type, struct inode *inode, struct fault *fault)
{
	int code;

	store_lock(&master->store);
	code = tree_lookup(&master->store, path, inode, fault);
	store_unlock(&master->store);
	if ((code == RPC_NOT_FOUND && type == GFS_LOAD_ONCE) || type == GFS_LOAD_ALWAYS) {
		struct fault missing = *fault;

		if (load_path(master, path, type == GFS_LOAD_ALWAYS, fault))
			return fault->code;
		*fault = missing;
		store_lock(&master->store);
		code = tree_lookup(&master->store, path, inode, fault);
		store_unlock(&master->store);
	}
	if (!code && inode->type == INODE_DIR && (type == GFS_LOAD_ALWAYS || (type == GFS_LOAD_ONCE && !inode->loaded)))
		load_children(master, path, inode->id, type == GFS_LOAD_ALWAYS);
	return code;
}

int master_list_status(void *context, struct rpc_call *call, const void *message)
{
	const struct gfs_get_status *request = message;
	struct master *master = context;
	const char *path = master_path(call, request->path);
	struct batch *batch = malloc(sizeof(*batch));
	struct inode *inode = batch ? &batch->inodes[0] : NULL;
	struct fault fault = {0};
	int code;

	if (!path || !batch) {
		free(batch);
		return rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
	}
	batch->npieces = 0;
	if (find_listed(master, path, load_type_of(request), inode, &fault))
		code = master_fail(call, &fault);
	else if (inode->type == INODE_DIR)
		code = list_children(master, call, batch, path, inode->id);
	else
		code = list_one(master, call, path, inode);
	free(batch);
	return code;
}

int master_get_link_target(void *context, struct rpc_call *call, const void *message, void *reply)
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
		return master_fail(call, &fault);
	if (inode.type != INODE_LINK)
		return rpc_call_fail(call, RPC_INVALID_ARGUMENT, "\"%.100s\" is not a symbolic link", request->link);
	answer->target = rpc_call_strdup(call, inode.target);
	return answer->target ? 0 : rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
}
