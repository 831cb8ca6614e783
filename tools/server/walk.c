/*
 * walk.c: one indexed step per component.
 *
 * Links in the middle of a path are not followed: what an absolute target means depends on where a client mounted us,
 * so clients follow them, and for us a link is just not a directory. Paths in messages are cut short: clients tell
 * errors apart by words near the end, and they keep only so much.
 */
#include "tools/server/walk.h"
#include "proto/rpc.h"

#include <string.h>

#define SHOWN 100 /* bytes of a path in a message */

static int component_check(const char *path, const char *name, size_t bytes, struct fault *fault)
{
	if (bytes > TREE_NAME_MAX)
		return fault_set(fault, RPC_INVALID_ARGUMENT, "Path component longer than %d bytes: %.40s...",
				 TREE_NAME_MAX, name);
	if (!bytes || (bytes <= 2 && !memcmp(name, "..", bytes)))
		return fault_set(fault, RPC_INVALID_ARGUMENT, "Invalid path \"%.*s\"", SHOWN, path);
	return 0;
}

static int path_check(const char *path, size_t *bytes, struct fault *fault)
{
	const char *name, *end;

	if (path[0] != '/')
		return fault_set(fault, RPC_INVALID_ARGUMENT, "Invalid path \"%.*s\": not absolute", SHOWN, path);
	*bytes = strlen(path);
	if (*bytes > 1 && path[*bytes - 1] == '/')
		(*bytes)--;
	if (*bytes == 1)
		return 0;
	for (name = path + 1; name <= path + *bytes; name = end + 1) {
		size_t left = (size_t)(path + *bytes - name);

		end = memchr(name, '/', left);
		if (!end)
			end = name + left;
		if (component_check(path, name, (size_t)(end - name), fault))
			return fault->code;
	}
	return 0;
}

/* Take the component after `after` and look it up in walk->parent. */
static int walk_step(struct store *store, struct walk *walk, const char *after, struct fault *fault)
{
	const char *end = walk->path + walk->path_bytes;
	const char *slash;
	sqlite3_stmt *row;
	int rc;

	walk->name = after + 1;
	slash = memchr(walk->name, '/', (size_t)(end - walk->name));
	walk->last = !slash;
	walk->name_bytes = (size_t)((slash ? slash : end) - walk->name);
	walk->id = 0;
	rc = db_row(store->db, &row, SQL_INODE_STEP, "it", walk->parent, walk->name, walk->name_bytes);
	if (rc < 0)
		return fault_of_db(fault, rc);
	if (rc) {
		walk->id = sqlite3_column_int64(row, 0);
		walk->type = sqlite3_column_int(row, 1);
		db_done(row);
	}
	return 0;
}

int walk_on(struct store *store, struct walk *walk, int64_t id, int64_t avoid, struct fault *fault)
{
	walk->id = id;
	walk->type = INODE_DIR;
	while (walk->id && !walk->last && walk->type == INODE_DIR) {
		walk->crossed |= walk->id == avoid;
		walk->parent = walk->id;
		if (walk_step(store, walk, walk->name + walk->name_bytes, fault))
			return fault->code;
	}
	return 0;
}

int walk_path(struct store *store, const char *path, int64_t avoid, struct walk *walk, struct fault *fault)
{
	size_t bytes = 0;

	if (path_check(path, &bytes, fault))
		return fault->code;
	*walk = (struct walk){.path = path, .path_bytes = bytes, .name = path, .last = bytes == 1};
	return walk_on(store, walk, TREE_ROOT, avoid, fault);
}

bool walk_found(const struct walk *walk)
{
	return walk->id && walk->last;
}

int walk_missing(const struct walk *walk, struct fault *fault)
{
	int shown = walk->path_bytes < SHOWN ? (int)walk->path_bytes : SHOWN;

	if (walk->id)
		return fault_set(fault, RPC_NOT_FOUND, "Path \"%.*s\" does not exist: \"%.*s\" is not a directory.",
				 shown, walk->path, walk->name_bytes < SHOWN ? (int)walk->name_bytes : SHOWN,
				 walk->name);
	return fault_set(fault, RPC_NOT_FOUND, "Path \"%.*s\" does not exist.", shown, walk->path);
}

int walk_no_parent(const struct walk *walk, struct fault *fault)
{
	if (walk->id)
		return fault_set(fault, RPC_FAILED_PRECONDITION, "\"%.*s\" is not a directory",
				 walk->name_bytes < SHOWN ? (int)walk->name_bytes : SHOWN, walk->name);
	return walk_missing(walk, fault);
}
