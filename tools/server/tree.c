/*
 * tree.c: reading and changing the namespace, a few rows at a time.
 */
#include "tools/server/tree.h"
#include "tools/server/walk.h"
#include "proto/rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t tree_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, RPC_RESOURCE_EXHAUSTED, "Out of memory");
}

static int run_or_fault(int rc, struct fault *fault)
{
	return rc ? fault_of_db(fault, rc) : 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void copy_text(char *out, size_t size, sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);
	size_t n = text ? strnlen(text, size - 1) : 0;

	memcpy(out, text ? text : "", n);
	out[n] = 0;
}

static void inode_read(struct inode *inode, sqlite3_stmt *row)
{
	inode->id = sqlite3_column_int64(row, 0);
	inode->parent = sqlite3_column_int64(row, 1);
	copy_text(inode->name, sizeof(inode->name), row, 2);
	inode->type = sqlite3_column_int(row, 3);
	copy_text(inode->owner, sizeof(inode->owner), row, 4);
	copy_text(inode->group, sizeof(inode->group), row, 5);
	inode->mode = sqlite3_column_int(row, 6);
	inode->created_ms = sqlite3_column_int64(row, 7);
	inode->modified_ms = sqlite3_column_int64(row, 8);
	inode->accessed_ms = sqlite3_column_int64(row, 9);
	inode->completed = sqlite3_column_int(row, 10);
	inode->length = sqlite3_column_int64(row, 11);
	inode->block_size = sqlite3_column_int64(row, 12);
	inode->write_type = sqlite3_column_int(row, 13);
	inode->has_crc = sqlite3_column_type(row, 14) != SQLITE_NULL;
	inode->crc_type = sqlite3_column_int(row, 14);
	inode->crc_value = sqlite3_column_int64(row, 15);
	copy_text(inode->target, sizeof(inode->target), row, 16);
	inode->ufs = sqlite3_column_int(row, 17);
	inode->ufs_stamp = sqlite3_column_int64(row, 18);
	inode->loaded = sqlite3_column_int(row, 19);
}

int tree_get(struct store *store, int64_t id, struct inode *inode, struct fault *fault)
{
	sqlite3_stmt *row;
	int rc = db_row(store->db, &row, SQL_INODE_GET, "i", id);

	if (rc < 0)
		return fault_of_db(fault, rc);
	if (!rc)
		return fault_set(fault, RPC_NOT_FOUND, "Inode %lld does not exist.", (long long)id);
	inode_read(inode, row);
	db_done(row);
	return 0;
}

int tree_lookup(struct store *store, const char *path, struct inode *inode, struct fault *fault)
{
	struct walk walk;

	if (walk_path(store, path, 0, &walk, fault))
		return fault->code;
	if (!walk_found(&walk))
		return walk_missing(&walk, fault);
	return tree_get(store, walk.id, inode, fault);
}

int tree_find(struct store *store, const char *path, int64_t id, struct inode *inode, struct fault *fault)
{
	if (id > 0 && !tree_get(store, id, inode, fault))
		return 0;
	if (id > 0 && fault->code != RPC_NOT_FOUND)
		return fault->code;
	if (tree_lookup(store, path, inode, fault))
		return fault->code;
	if (id > 0 && inode->id != id)
		return fault_set(fault, RPC_NOT_FOUND, "Inode %lld does not exist.", (long long)id);
	return 0;
}

int tree_children(struct store *store, int64_t parent, const char *after, struct inode *out, size_t max, size_t *n,
		  struct fault *fault)
{
	sqlite3_stmt *row;
	int rc = db_row(store->db, &row, SQL_INODE_LIST, "isi", parent, after, (int64_t)max);

	*n = 0;
	while (rc > 0) {
		inode_read(&out[(*n)++], row);
		rc = db_next(store->db, row);
	}
	return run_or_fault(rc, fault);
}

/* Written from its end to its beginning, one parent at a time. */
int tree_path(struct store *store, int64_t id, char *out, size_t size, struct fault *fault)
{
	size_t at = size - 1;

	out[at] = 0;
	while (id != TREE_ROOT) {
		sqlite3_stmt *row;
		int rc = db_row(store->db, &row, SQL_INODE_NAME, "i", id);
		size_t n;

		if (rc <= 0)
			return rc ? fault_of_db(fault, rc)
				  : fault_set(fault, RPC_NOT_FOUND, "An inode does not exist.");
		n = (size_t)sqlite3_column_bytes(row, 1);
		if (n + 1 > at) {
			db_done(row);
			return fault_set(fault, RPC_INVALID_ARGUMENT, "A path is too long");
		}
		at -= n;
		memcpy(out + at, sqlite3_column_text(row, 1), n);
		out[--at] = '/';
		id = sqlite3_column_int64(row, 0);
		db_done(row);
	}
	if (!out[at])
		out[--at] = '/';
	memmove(out, out + at, size - at);
	return 0;
}

/* Where a link at `path` leads, textually: absolute, or from the directory it lies in; "." and ".." go. */
static char *link_join(const char *path, const char *target)
{
	size_t bytes = strlen(path) + strlen(target) + 3;
	char *joined = malloc(bytes), *out = malloc(bytes);
	char *save = NULL;
	size_t n = 0;

	if (!joined || !out) {
		free(joined);
		free(out);
		return NULL;
	}
	*joined = 0;
	if (target[0] != '/') {
		strcpy(joined, path);
		*(strrchr(joined, '/') + 1) = 0;
	}
	strcat(joined, target);
	for (char *name = strtok_r(joined, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		if (!strcmp(name, "."))
			continue;
		if (!strcmp(name, "..")) {
			while (n && out[--n] != '/')
				;
			continue;
		}
		out[n++] = '/';
		memcpy(out + n, name, strlen(name));
		n += strlen(name);
	}
	if (!n)
		out[n++] = '/';
	out[n] = 0;
	free(joined);
	return out;
}

int tree_resolve(struct store *store, const char *path, char **resolved, struct inode *inode, struct fault *fault)
{
	char *here = strdup(path);
	int links = 0;

	while (here) {
		char *next;

		if (tree_lookup(store, here, inode, fault))
			break;
		if (inode->type != INODE_LINK) {
			*resolved = here;
			return 0;
		}
		if (++links > TREE_MAX_LINKS) {
			fault_set(fault, RPC_INVALID_ARGUMENT, "Too many levels of symbolic links");
			break;
		}
		next = link_join(here, inode->target);
		free(here);
		here = next;
	}
	if (!here)
		return out_of_memory(fault);
	free(here);
	return fault->code;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

int tree_touch(struct store *store, int64_t dir, struct fault *fault)
{
	return run_or_fault(db_run(store->db, SQL_INODE_TOUCH, "ii", dir, tree_now_ms()), fault);
}

static int inode_add(struct store *store, const struct tree_new *new, int64_t id, int64_t parent, const char *name,
		     size_t name_bytes, struct fault *fault)
{
	int rc = db_run(store->db, SQL_INODE_ADD, new->target ? "iitissiiiiis" : "iitissiiiiin", id, parent, name,
			name_bytes, (int64_t) new->type, new->owner, new->group, (int64_t)(new->mode & 0777),
			tree_now_ms(), (int64_t)(new->type != INODE_FILE), new->block_size, (int64_t) new->write_type,
			new->target);

	return run_or_fault(rc, fault);
}

int tree_init(struct store *store, const char *owner, const char *group, struct fault *fault)
{
	struct tree_new root = {.type = INODE_DIR, .owner = owner, .group = group, .mode = 0777};
	struct inode inode;

	if (!tree_get(store, TREE_ROOT, &inode, fault))
		return 0;
	if (fault->code != RPC_NOT_FOUND)
		return fault->code;
	return inode_add(store, &root, TREE_ROOT, 0, "", 0, fault);
}

/* Make the component where the walk ended. */
static int make_here(struct store *store, const struct walk *walk, const struct tree_new *new, int64_t *id,
		     struct fault *fault)
{
	int rc = store_new_id(store, id);

	if (rc)
		return fault_of_db(fault, rc);
	if (inode_add(store, new, *id, walk->parent, walk->name, walk->name_bytes, fault))
		return fault->code;
	return tree_touch(store, walk->parent, fault);
}

static int make_parents(struct store *store, struct walk *walk, const struct tree_new *new, struct fault *fault)
{
	struct tree_new dir = {.type = INODE_DIR, .owner = new->owner, .group = new->group, .mode = 0755};
	int64_t id;

	while (!walk->id && !walk->last) {
		if (make_here(store, walk, &dir, &id, fault) || walk_on(store, walk, id, 0, fault))
			return fault->code;
	}
	return 0;
}

int tree_create(struct store *store, const struct tree_new *new, int64_t *id, struct fault *fault)
{
	struct walk walk;

	if (walk_path(store, new->path, 0, &walk, fault))
		return fault->code;
	if (new->make_parents && make_parents(store, &walk, new, fault))
		return fault->code;
	if (!walk.last)
		return walk_no_parent(&walk, fault);
	if (!walk.id)
		return make_here(store, &walk, new, id, fault);
	*id = walk.id;
	if (new->exists_is_fine &&new->type == INODE_DIR && walk.type == INODE_DIR)
		return 0;
	return fault_set(fault, RPC_ALREADY_EXISTS, "Path \"%.100s\" already exists.", new->path);
}

/* ---- renaming ---------------------------------------------------------------------------------------------------- */

static bool same_place(const struct walk *a, const struct walk *b)
{
	return a->parent == b->parent && a->name_bytes == b->name_bytes && !memcmp(a->name, b->name, a->name_bytes);
}

int tree_rename(struct store *store, const char *from, const char *to, struct fault *fault)
{
	struct walk source, target;
	int rc;

	if (walk_path(store, from, 0, &source, fault))
		return fault->code;
	if (!walk_found(&source))
		return walk_missing(&source, fault);
	if (source.id == TREE_ROOT)
		return fault_set(fault, RPC_INVALID_ARGUMENT, "The root cannot be renamed");
	if (walk_path(store, to, source.id, &target, fault))
		return fault->code;
	if (walk_found(&target) && same_place(&source, &target))
		return 0;
	if (target.crossed)
		return fault_set(fault, RPC_INVALID_ARGUMENT, "\"%.100s\" cannot be moved into itself", from);
	if (!target.last)
		return walk_no_parent(&target, fault);
	if (target.id)
		return fault_set(fault, RPC_ALREADY_EXISTS, "Path \"%.100s\" already exists.", to);
	rc = db_run(store->db, SQL_INODE_MOVE, "iit", source.id, target.parent, target.name, target.name_bytes);
	if (rc)
		return fault_of_db(fault, rc);
	if (tree_touch(store, source.parent, fault))
		return fault->code;
	return source.parent == target.parent ? 0 : tree_touch(store, target.parent, fault);
}

/* ---- files and their blocks -------------------------------------------------------------------------------------- */

static int committed_length(struct store *store, int64_t file, int64_t *length)
{
	sqlite3_stmt *row;
	int rc = db_row(store->db, &row, SQL_BLOCK_SUM, "ii", FIRST_BLOCK(file), file);

	if (rc <= 0)
		return rc ? rc : -EIO;
	*length = sqlite3_column_int64(row, 0);
	db_done(row);
	return 0;
}

int tree_complete(struct store *store, const struct tree_completion *done, struct inode *inode, struct fault *fault)
{
	int64_t length = done->length;
	int rc = 0;

	if (tree_find(store, done->path, done->inode_id, inode, fault))
		return fault->code;
	if (inode->type != INODE_FILE)
		return fault_set(fault, RPC_FAILED_PRECONDITION,
				 inode->type == INODE_DIR ? "Is a directory: %.100s" : "Not a file: %.100s",
				 done->path);
	if (inode->completed)
		return fault_set(fault, RPC_FAILED_PRECONDITION, "File %.100s is already completed", done->path);
	if (length < -1 || length / inode->block_size >= TREE_MAX_BLOCKS)
		return fault_set(fault, RPC_INVALID_ARGUMENT, "Invalid length %lld", (long long)length);
	if (length < 0)
		rc = committed_length(store, inode->id, &length);
	if (!rc)
		rc = db_run(store->db, SQL_INODE_COMPLETE, "iii", inode->id, length, tree_now_ms());
	if (!rc && done->has_crc)
		rc = db_run(store->db, SQL_INODE_CRC, "iii", inode->id, (int64_t)done->crc_type, done->crc_value);
	inode->completed = true;
	inode->length = length;
	return run_or_fault(rc, fault);
}

int tree_block_committed(struct store *store, int64_t block, int worker, int64_t length, struct fault *fault)
{
	int64_t file = FILE_OF_BLOCK(block);
	struct inode inode;
	int rc;

	/* An id we never gave out is a client's own experiment; a file we knew and know no more was removed. */
	if (store_id_was_given(store, file) && tree_get(store, file, &inode, fault))
		return fault->code;
	rc = db_run(store->db, SQL_BLOCK_SET, "iii", block, (int64_t)worker, length);
	return run_or_fault(rc, fault);
}

int tree_blocks(struct store *store, int64_t file, struct tree_block **out, size_t *n, struct fault *fault)
{
	struct tree_block *blocks = NULL;
	size_t room = 0;
	sqlite3_stmt *row;
	int rc = db_row(store->db, &row, SQL_BLOCK_LIST, "ii", FIRST_BLOCK(file), file);

	*n = 0;
	while (rc > 0) {
		if (*n == room) {
			struct tree_block *more = realloc(blocks, (room = room ? room * 2 : 8) * sizeof(*more));

			if (!more) {
				db_done(row);
				free(blocks);
				return out_of_memory(fault);
			}
			blocks = more;
		}
		blocks[(*n)++] = (struct tree_block){.id = sqlite3_column_int64(row, 0),
						     .worker = sqlite3_column_int(row, 1),
						     .length = sqlite3_column_int64(row, 2)};
		rc = db_next(store->db, row);
	}
	if (rc) {
		free(blocks);
		return fault_of_db(fault, rc);
	}
	*out = blocks;
	return 0;
}

/* ---- the under file system --------------------------------------------------------------------------------------- */

int tree_imported(struct store *store, int64_t id, const struct tree_import *import, struct fault *fault)
{
	return run_or_fault(
		db_run(store->db, SQL_INODE_IMPORTED, "iiii", id, import->length, import->modified_ms, import->stamp),
		fault);
}

int tree_loaded(struct store *store, int64_t dir, struct fault *fault)
{
	return run_or_fault(db_run(store->db, SQL_INODE_LOADED, "i", dir), fault);
}

/* 0 with the parent, -ENOENT or -errno. */
static int parent_of(struct store *store, int64_t id, int64_t *parent)
{
	sqlite3_stmt *row = NULL;
	int rc = db_row(store->db, &row, SQL_INODE_NAME, "i", id);

	if (rc <= 0)
		return rc ? rc : -ENOENT;
	*parent = sqlite3_column_int64(row, 0);
	db_done(row);
	return 0;
}

int tree_persisted(struct store *store, int64_t id, int64_t stamp, struct fault *fault)
{
	int rc = 0;

	for (int64_t at = id; !rc && at != TREE_ROOT; stamp = 0) {
		rc = db_run(store->db, SQL_INODE_PERSISTED, "ii", at, stamp);
		if (!rc)
			rc = parent_of(store, at, &at);
	}
	return run_or_fault(rc, fault);
}

int tree_persist_at(struct store *store, int64_t id, int64_t due_ms, struct fault *fault)
{
	int rc = due_ms < 0 ? db_run(store->db, SQL_INODE_PERSIST_NEVER, "i", id)
			    : db_run(store->db, SQL_INODE_PERSIST_AT, "ii", id, due_ms);

	return run_or_fault(rc, fault);
}

int tree_persist_next(struct store *store, int64_t *id, int64_t *due_ms, struct fault *fault)
{
	sqlite3_stmt *row;
	int rc = db_row(store->db, &row, SQL_PERSIST_NEXT, "");

	if (rc <= 0)
		return rc ? fault_of_db(fault, rc) : fault_set(fault, RPC_NOT_FOUND, "Nothing is to be persisted");
	*id = sqlite3_column_int64(row, 0);
	*due_ms = sqlite3_column_int64(row, 1);
	db_done(row);
	return 0;
}

bool tree_has_child(struct store *store, int64_t dir, const char *name, int64_t *id)
{
	sqlite3_stmt *row;

	if (db_row(store->db, &row, SQL_INODE_STEP, "it", dir, name, strlen(name)) <= 0)
		return false;
	*id = sqlite3_column_int64(row, 0);
	db_done(row);
	return true;
}
