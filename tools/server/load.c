/* load.c: a look, then an import in one transaction. */
#include "tools/server/load.h"
#include "tools/server/log.h"
#include "tools/server/walk.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE_DEFAULT (64LL << 20)
#define IMPORTS_AT_ONCE    500 /* in one transaction: others wait meanwhile */

/* ---- one inode --------------------------------------------------------------------------------------------------- */

/* Names of the last owner seen: most files of a directory have the same one. */
static void name_owner(struct master *master, const struct ufs_entry *entry)
{
	struct known_owner *known = &master->known_owner;
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	char text[4096];

	if (known->valid && known->uid == entry->uid && known->gid == entry->gid)
		return;
	*known = (struct known_owner){.valid = true, .uid = entry->uid, .gid = entry->gid};
	if (!getpwuid_r(entry->uid, &user, text, sizeof(text), &found_user) && found_user)
		snprintf(known->owner, sizeof(known->owner), "%s", user.pw_name);
	else
		snprintf(known->owner, sizeof(known->owner), "%u", entry->uid);
	if (!getgrgid_r(entry->gid, &group, text, sizeof(text), &found_group) && found_group)
		snprintf(known->group, sizeof(known->group), "%s", group.gr_name);
	else
		snprintf(known->group, sizeof(known->group), "%u", entry->gid);
}

static struct tree_import import_of(const struct ufs_entry *entry)
{
	return (struct tree_import){entry->bytes, entry->modified_ms, entry->stamp};
}

static int import(struct master *master, const char *path, const struct ufs_entry *entry, int64_t *id,
		  struct fault *fault)
{
	struct tree_import import = import_of(entry);
	struct tree_new new = {
		.path = path,
		.type = entry->dir ? INODE_DIR : INODE_FILE,
		.owner = master->known_owner.owner,
		.group = master->known_owner.group,
		.mode = entry->mode,
		.block_size = master->block_size ? master->block_size : BLOCK_SIZE_DEFAULT,
	};

	if (!entry->dir && entry->bytes / new.block_size >= TREE_MAX_BLOCKS)
		return fault_set(fault, RPC_INVALID_ARGUMENT, "\"%.100s\" is too large", path);
	name_owner(master, entry);
	if (tree_create(&master->store, &new, id, fault))
		return fault->code;
	return tree_imported(&master->store, *id, &import, fault);
}

/* ---- a path ------------------------------------------------------------------------------------------------------ */

int load_path_locked(struct master *master, const char *path, struct fault *fault)
{
	struct walk walk;

	if (walk_path(&master->store, path, 0, &walk, fault))
		return fault->code;
	while (!walk.id) {
		char part[PATH_MAX];
		struct ufs_entry entry;
		size_t n = (size_t)(walk.name + walk.name_bytes - path);
		int64_t id;

		if (n >= sizeof(part))
			return 0;
		memcpy(part, path, n);
		part[n] = 0;
		if (ufs_stat(&master->ufs, part, &entry))
			return 0;
		if (import(master, part, &entry, &id, fault))
			return fault->code;
		if (walk.last || !entry.dir)
			return 0;
		if (walk_on(&master->store, &walk, id, 0, fault))
			return fault->code;
	}
	return 0;
}

static int refresh(struct master *master, const char *path, const struct ufs_entry *entry, struct garbage *garbage,
		   struct fault *fault)
{
	struct tree_import import = import_of(entry);
	struct inode inode;

	if (tree_lookup(&master->store, path, &inode, fault))
		return fault->code == RPC_NOT_FOUND ? 0 : fault->code;
	if (inode.type != INODE_FILE || inode.ufs != UFS_PERSISTED || entry->dir ||
	    (inode.length == entry->bytes && inode.ufs_stamp == entry->stamp))
		return 0;
	return tree_refreshed(&master->store, inode.id, &import, garbage, fault);
}

/* End the transaction: commit, or roll back what failed. */
static int finish(struct master *master, int code, struct fault *fault)
{
	int rc;

	if (code) {
		store_rollback(&master->store);
		return code;
	}
	rc = store_commit(&master->store);
	return rc ? fault_of_db(fault, rc) : 0;
}

int load_path(struct master *master, const char *path, bool always, struct fault *fault)
{
	struct garbage garbage = {0};
	struct ufs_entry entry;
	int code, rc;

	*fault = (struct fault){0};
	if (ufs_stat(&master->ufs, path, &entry))
		return 0;
	store_lock(&master->store);
	rc = store_begin(&master->store);
	code = rc ? fault_of_db(fault, rc) : load_path_locked(master, path, fault);
	if (!code && always)
		code = refresh(master, path, &entry, &garbage, fault);
	if (!rc)
		code = finish(master, code, fault);
	store_unlock(&master->store);
	if (code)
		garbage_release(&garbage);
	master_collect(master, &garbage);
	return code;
}

/* ---- a directory ------------------------------------------------------------------------------------------------- */

/* One after the other, each with its NUL. */
struct names {
	char *text;
	size_t bytes, room;
};

static int add_name(void *context, const char *name)
{
	struct names *names = context;
	size_t n = strlen(name) + 1;

	if (names->bytes + n > names->room) {
		size_t room = (names->room + n) * 2;
		char *text = realloc(names->text, room);

		if (!text)
			return -ENOMEM;
		names->text = text;
		names->room = room;
	}
	memcpy(names->text + names->bytes, name, n);
	names->bytes += n;
	return 0;
}

static bool join(char out[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(out, PATH_MAX, "%s/%s", dir[1] ? dir : "", name) < PATH_MAX;
}

/* One child; what cannot be imported is left out, with a word. Other than 0: the database is in trouble. */
static int load_child(struct master *master, const char *path, bool known, struct garbage *garbage)
{
	struct fault fault = {0};
	struct ufs_entry entry;
	int64_t id;

	if (ufs_stat(&master->ufs, path, &entry))
		return 0;
	if (known)
		refresh(master, path, &entry, garbage, &fault);
	else
		import(master, path, &entry, &id, &fault);
	if (fault.code == RPC_INTERNAL || fault.code == RPC_RESOURCE_EXHAUSTED)
		return fault.code;
	if (fault.code)
		log_warn("%s is not imported: %s", path, fault.text);
	return 0;
}

/* Up to IMPORTS_AT_ONCE names from *at on, in one transaction. */
static int load_some(struct master *master, const char *dir, int64_t id, const struct names *names, size_t *at,
		     bool always, struct fault *fault)
{
	struct garbage garbage = {0};
	int64_t child;
	int code = 0;

	for (int n = 0; !code && *at < names->bytes && n < IMPORTS_AT_ONCE; n++) {
		const char *name = names->text + *at;
		bool known = tree_has_child(&master->store, id, name, &child);
		char path[PATH_MAX];

		*at += strlen(name) + 1;
		if ((!known || always) && join(path, dir, name))
			code = load_child(master, path, known, &garbage);
	}
	if (!code && *at == names->bytes)
		code = tree_loaded(&master->store, id, fault);
	code = finish(master, code, fault);
	if (code)
		garbage_release(&garbage);
	master_collect(master, &garbage);
	return code;
}

void load_children(struct master *master, const char *path, int64_t dir, bool always)
{
	struct fault fault = {.text = "the database"};
	struct names names = {0};
	size_t at = 0;
	int rc;

	if (!ufs_may_have(&master->ufs, path))
		return;
	rc = ufs_list(&master->ufs, path, add_name, &names);
	if (rc && rc != -ENOENT && rc != -ENOTDIR)
		log_warn("%s%s: %s", master->ufs.path, path, strerror(-rc));
	while (!rc && !fault.code) {
		store_lock(&master->store);
		rc = store_begin(&master->store);
		if (!rc && load_some(master, path, dir, &names, &at, always, &fault))
			rc = -EIO;
		store_unlock(&master->store);
		if (rc)
			log_warn("%s%s is not imported: %s", master->ufs.path, path, fault.text);
		if (at == names.bytes)
			break;
	}
	free(names.text);
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

struct compare {
	struct master *master;
	const char *path;
	int64_t dir;
};

static int compare_one(void *context, const char *name)
{
	const struct compare *compare = context;
	struct ufs_entry entry;
	char path[PATH_MAX];
	int64_t id;

	if (!join(path, compare->path, name) || !tree_has_child(&compare->master->store, compare->dir, name, &id))
		return 1;
	if (ufs_stat(&compare->master->ufs, path, &entry) || !entry.dir)
		return 0;
	return load_compare(compare->master, path, id);
}

int load_compare(struct master *master, const char *path, int64_t dir)
{
	struct compare compare = {master, path, dir};
	int rc = ufs_list(&master->ufs, path, compare_one, &compare);

	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}
