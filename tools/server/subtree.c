/*
 * subtree.c: what may concern everything below an inode: removing, attributes, persisting.
 */
#include "tools/server/tree.h"
#include "tools/server/walk.h"
#include "proto/rpc.h"

#include <stdlib.h>

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, RPC_RESOURCE_EXHAUSTED, "Out of memory");
}

static int run_or_fault(int rc, struct fault *fault)
{
	return rc ? fault_of_db(fault, rc) : 0;
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

void garbage_release(struct garbage *garbage)
{
	free(garbage->blocks);
	*garbage = (struct garbage){0};
}

static bool garbage_add(struct garbage *garbage, int64_t id, int worker)
{
	if (garbage->n == garbage->room) {
		size_t room = garbage->room ? garbage->room * 2 : 16;
		struct garbage_block *blocks = realloc(garbage->blocks, room * sizeof(*blocks));

		if (!blocks)
			return false;
		garbage->blocks = blocks;
		garbage->room = room;
	}
	garbage->blocks[garbage->n++] = (struct garbage_block){id, worker};
	return true;
}

static int drop_blocks(struct store *store, int64_t first, int64_t last, struct garbage *garbage, struct fault *fault)
{
	sqlite3_stmt *row;
	int rc = db_row(store->db, &row, SQL_BLOCK_DELETE_RANGE, "ii", first, last);

	while (rc > 0) {
		if (!garbage_add(garbage, sqlite3_column_int64(row, 0), sqlite3_column_int(row, 1))) {
			db_done(row);
			return out_of_memory(fault);
		}
		rc = db_next(store->db, row);
	}
	return run_or_fault(rc, fault);
}

int tree_block_remove(struct store *store, int64_t block, struct garbage *garbage, struct fault *fault)
{
	return drop_blocks(store, block, block, garbage, fault);
}

static int drop_inode(struct store *store, int64_t id, enum inode_type type, struct garbage *garbage,
		      struct fault *fault)
{
	int rc = db_run(store->db, SQL_INODE_DELETE, "i", id);

	if (rc)
		return fault_of_db(fault, rc);
	return type == INODE_FILE ? drop_blocks(store, FIRST_BLOCK(id), id, garbage, fault) : 0;
}

/* Inodes below the one to remove, breadth first, in one growing array. */
struct subtree {
	struct {
		int64_t id;
		enum inode_type type;
	} * nodes;
	size_t n, room;
};

static bool subtree_add(struct subtree *tree, int64_t id, enum inode_type type)
{
	if (tree->n == tree->room) {
		size_t room = tree->room ? tree->room * 2 : 64;
		void *nodes = realloc(tree->nodes, room * sizeof(*tree->nodes));

		if (!nodes)
			return false;
		tree->nodes = nodes;
		tree->room = room;
	}
	tree->nodes[tree->n].id = id;
	tree->nodes[tree->n++].type = type;
	return true;
}

static int subtree_collect(struct store *store, struct subtree *tree, struct fault *fault)
{
	for (size_t i = 0; i < tree->n; i++) {
		sqlite3_stmt *row;
		int rc;

		if (tree->nodes[i].type != INODE_DIR)
			continue;
		rc = db_row(store->db, &row, SQL_INODE_CHILDREN, "i", tree->nodes[i].id);
		while (rc > 0) {
			if (!subtree_add(tree, sqlite3_column_int64(row, 0), sqlite3_column_int(row, 1))) {
				db_done(row);
				return out_of_memory(fault);
			}
			rc = db_next(store->db, row);
		}
		if (rc)
			return fault_of_db(fault, rc);
	}
	return 0;
}

static int drop_subtree(struct store *store, int64_t top, struct garbage *garbage, struct fault *fault)
{
	struct subtree tree = {0};
	int code = subtree_add(&tree, top, INODE_DIR) ? 0 : out_of_memory(fault);

	if (!code)
		code = subtree_collect(store, &tree, fault);
	for (size_t i = 0; !code && i < tree.n; i++)
		code = drop_inode(store, tree.nodes[i].id, tree.nodes[i].type, garbage, fault);
	free(tree.nodes);
	return code;
}

static int has_children(struct store *store, int64_t dir)
{
	sqlite3_stmt *row;
	int rc = db_row(store->db, &row, SQL_INODE_HAS_CHILD, "i", dir);

	if (rc > 0)
		db_done(row);
	return rc;
}

int tree_remove(struct store *store, const char *path, bool recursive, struct garbage *garbage, struct fault *fault)
{
	struct walk walk;
	int code, rc;

	if (walk_path(store, path, 0, &walk, fault))
		return fault->code;
	if (!walk_found(&walk))
		return walk_missing(&walk, fault);
	if (walk.id == TREE_ROOT)
		return fault_set(fault, RPC_INVALID_ARGUMENT, "The root cannot be removed");
	rc = walk.type == INODE_DIR ? has_children(store, walk.id) : 0;
	if (rc < 0)
		return fault_of_db(fault, rc);
	if (rc && !recursive)
		return fault_set(fault, RPC_FAILED_PRECONDITION, "Directory \"%.100s\" is not empty", path);
	code = rc ? drop_subtree(store, walk.id, garbage, fault)
		  : drop_inode(store, walk.id, walk.type, garbage, fault);
	return code ? code : tree_touch(store, walk.parent, fault);
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static int set_one(struct store *store, int64_t id, const struct tree_attributes *want, struct fault *fault)
{
	int rc = 0;

	if (want->owner && *want->owner)
		rc = db_run(store->db, SQL_INODE_OWNER, "is", id, want->owner);
	if (!rc && want->group && *want->group)
		rc = db_run(store->db, SQL_INODE_GROUP, "is", id, want->group);
	if (!rc && want->mode >= 0)
		rc = db_run(store->db, SQL_INODE_MODE, "ii", id, (int64_t)(want->mode & 0777));
	return run_or_fault(rc, fault);
}

int tree_set_attributes(struct store *store, const char *path, const struct tree_attributes *want, struct fault *fault)
{
	struct subtree tree = {0};
	struct walk walk;
	int code;

	if (walk_path(store, path, 0, &walk, fault))
		return fault->code;
	if (!walk_found(&walk))
		return walk_missing(&walk, fault);
	code = subtree_add(&tree, walk.id, walk.type) ? 0 : out_of_memory(fault);
	if (!code && want->recursive)
		code = subtree_collect(store, &tree, fault);
	for (size_t i = 0; !code && i < tree.n; i++)
		code = set_one(store, tree.nodes[i].id, want, fault);
	free(tree.nodes);
	return code;
}

/* ---- the under file system --------------------------------------------------------------------------------------- */

int tree_refreshed(struct store *store, int64_t id, const struct tree_import *import, struct garbage *garbage,
		   struct fault *fault)
{
	int rc = db_run(store->db, SQL_INODE_REFRESHED, "iiii", id, import->length, import->modified_ms, import->stamp);

	return rc ? fault_of_db(fault, rc) : drop_blocks(store, FIRST_BLOCK(id), id, garbage, fault);
}

static int persist_one_at(struct store *store, int64_t id, int64_t due_ms, struct inode *inode, struct fault *fault)
{
	if (tree_get(store, id, inode, fault))
		return fault->code;
	if (inode->type != INODE_FILE || !inode->completed || inode->ufs == UFS_PERSISTED)
		return 0;
	return tree_persist_at(store, id, due_ms, fault);
}

int tree_persist_all_at(struct store *store, int64_t id, int64_t due_ms, struct fault *fault)
{
	struct inode *inode = malloc(sizeof(*inode));
	struct subtree tree = {0};
	int code = inode && subtree_add(&tree, id, INODE_DIR) ? 0 : out_of_memory(fault);

	if (!code)
		code = subtree_collect(store, &tree, fault);
	for (size_t i = 0; !code && i < tree.n; i++)
		code = persist_one_at(store, tree.nodes[i].id, due_ms, inode, fault);
	free(tree.nodes);
	free(inode);
	return code;
}
