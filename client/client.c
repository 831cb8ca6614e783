/*
 * client.c: the public API: start, stop, and names. Bytes are in handle.c.
 */
#include "client/client.h"
#include "client/log.h"
#include "client/path.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Whoever names a cluster but no mounts, in GooseFS's own files for one, gets it where everybody looks first. */
static const char *mounts_text(const struct config *config)
{
	const char *text = config_text(config, CONFIG_MOUNTS);

	if (!*text && config_source(config, CONFIG_MASTER) != CONFIG_FROM_DEFAULT)
		return "/goosefs=goosefs:///";
	return text;
}

/* Misspelt names in the environment, once. */
static void unknown_settings_tell(void)
{
	static _Atomic bool told;
	char name[CONFIG_NAME_MAX];
	const char *nearest;

	if (atomic_exchange(&told, true))
		return;
	for (unsigned i = 0; config_unknown(i, name, &nearest); i++)
		log_warn("environment: no setting is called %s; did you mean %s?", name, nearest);
}

int slip_client_new(const char *const *overrides, struct slip_client **out)
{
	struct slip_client *client = calloc(1, sizeof *client);
	int rc;

	if (!client)
		return -ENOMEM;
	rc = config_new(overrides, &client->config);
	if (!rc && config_source(client->config, CONFIG_LOG) != CONFIG_FROM_DEFAULT)
		rc = log_open(config_text(client->config, CONFIG_LOG), NULL);
	if (!rc)
		rc = mount_table_new(client->config, mounts_text(client->config), &client->mounts);
	if (rc) {
		slip_client_free(client);
		return rc;
	}
	unknown_settings_tell();
	*out = client;
	return 0;
}

void slip_client_free(struct slip_client *client)
{
	if (!client)
		return;
	mount_table_free(client->mounts);
	config_free(client->config);
	free(client);
}

const char *slip_version(void)
{
	return SLIPSTREAM_VERSION;
}

const char *slip_last_error(void)
{
	return error_noted();
}

bool slip_owns(const struct slip_client *client, const char *path)
{
	char below[PATH_MAX];

	return mount_find(client->mounts, path, below) != NULL;
}

int slip_mount_at(const struct slip_client *client, unsigned i, const char **prefix, const char **url)
{
	const struct mount *mount = mount_at(client->mounts, i);

	if (!mount)
		return -ENOENT;
	*prefix = mount->prefix;
	*url = mount->url;
	return 0;
}

/* ---- places ----------------------------------------------------------------------------------------------------- */

int place_find(struct slip_client *client, const char *path, struct place *out)
{
	char normal[PATH_MAX];

	error_note("%s", "");
	out->mount = mount_find(client->mounts, path, out->path);
	if (!out->mount) {
		if (*path == '/' && path_normalise(path, normal) == -ENAMETOOLONG)
			return -ENAMETOOLONG;
		error_note("%s is not below any mount", path);
		return -ENOENT;
	}
	out->ops = out->mount->ops;
	return mount_backend(client->mounts, out->mount, &out->backend);
}

bool place_is_root(const struct place *place)
{
	return !strcmp(place->path, *place->mount->root ? place->mount->root : "/");
}

static int place_stat(const struct place *place, struct slip_stat *st)
{
	return place->ops->stat(place->backend, place->path, st);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

int slip_stat(struct slip_client *client, const char *path, struct slip_stat *st)
{
	struct place at;
	int rc = place_find(client, path, &at);

	return rc ? rc : place_stat(&at, st);
}

bool name_is_hidden(const char *name)
{
	return !strncmp(name, HIDDEN_PREFIX, sizeof HIDDEN_PREFIX - 1);
}

struct shown {
	slip_list_fn *each;
	void *context;
};

static int list_shown(void *context, const char *name, const struct slip_stat *st)
{
	const struct shown *shown = context;

	return name_is_hidden(name) ? 0 : shown->each(shown->context, name, st);
}

int slip_list(struct slip_client *client, const char *path, slip_list_fn *each, void *context)
{
	struct shown shown = {each, context};
	struct place at;
	int rc = place_find(client, path, &at);

	return rc ? rc : at.ops->list(at.backend, at.path, list_shown, &shown);
}

int slip_mkdir(struct slip_client *client, const char *path, uint32_t mode)
{
	struct place at;
	int rc = place_find(client, path, &at);

	if (rc)
		return rc;
	return place_is_root(&at) ? -EEXIST : at.ops->mkdir(at.backend, at.path, mode);
}

static int remove_typed(struct slip_client *client, const char *path, bool directory)
{
	struct slip_stat st;
	struct place at;
	int rc = place_find(client, path, &at);

	if (rc)
		return rc;
	if (place_is_root(&at))
		return directory ? -EBUSY : -EISDIR;
	rc = place_stat(&at, &st);
	if (rc)
		return rc;
	if ((st.type == SLIP_DIRECTORY) != directory)
		return directory ? -ENOTDIR : -EISDIR;
	return at.ops->remove(at.backend, at.path, false);
}

int slip_unlink(struct slip_client *client, const char *path)
{
	return remove_typed(client, path, false);
}

int slip_rmdir(struct slip_client *client, const char *path)
{
	return remove_typed(client, path, true);
}

int slip_remove_tree(struct slip_client *client, const char *path)
{
	struct place at;
	int rc = place_find(client, path, &at);

	if (rc)
		return rc;
	return place_is_root(&at) ? -EBUSY : at.ops->remove(at.backend, at.path, true);
}

/* rename(2): what may take whose place. */
static int may_replace(const struct slip_stat *from, const struct slip_stat *to)
{
	if (from->type == SLIP_DIRECTORY && to->type != SLIP_DIRECTORY)
		return -ENOTDIR;
	if (from->type != SLIP_DIRECTORY && to->type == SLIP_DIRECTORY)
		return -EISDIR;
	return 0;
}

/*
 * The backend never replaces (spec goosefs 8.7), so the old one goes first. Not atomic: whoever looks in between finds
 * nothing, and others may take the name, which is why there are several rounds.
 */
int place_rename(const struct place *from, const struct place *to, bool noreplace)
{
	struct slip_stat source, target;
	int rc = -EEXIST;

	for (unsigned round = 0; round < RENAME_ROUNDS; round++) {
		rc = from->ops->rename(from->backend, from->path, to->path);
		if (rc != -EEXIST || noreplace)
			return rc;
		rc = place_stat(from, &source);
		if (rc)
			return rc;
		rc = place_stat(to, &target);
		if (!rc && source.id == target.id)
			return 0;
		if (!rc)
			rc = may_replace(&source, &target);
		if (!rc)
			rc = to->ops->remove(to->backend, to->path, false);
		if (rc && rc != -ENOENT)
			return rc;
		rc = -EEXIST;
	}
	return rc;
}

int slip_rename(struct slip_client *client, const char *from, const char *to, bool noreplace)
{
	struct place source, target;
	struct slip_stat st;
	int rc = place_find(client, from, &source);

	if (!rc)
		rc = place_find(client, to, &target);
	if (rc)
		return rc;
	if (source.mount != target.mount)
		return -EXDEV;
	if (place_is_root(&source) || place_is_root(&target))
		return -EBUSY;
	if (!strcmp(source.path, target.path)) {
		rc = place_stat(&source, &st);
		return rc ? rc : noreplace ? -EEXIST : 0;
	}
	if (path_below(target.path, source.path)) {
		rc = place_stat(&source, &st);
		return rc ? rc : st.type == SLIP_DIRECTORY ? -EINVAL : -ENOTDIR;
	}
	return place_rename(&source, &target, noreplace);
}

int slip_symlink(struct slip_client *client, const char *target, const char *path)
{
	struct place at;
	int rc = place_find(client, path, &at);

	if (rc)
		return rc;
	if (!*target)
		return -ENOENT;
	return place_is_root(&at) ? -EEXIST : at.ops->symlink(at.backend, target, at.path);
}

int slip_readlink(struct slip_client *client, const char *path, char *buf, size_t size)
{
	struct slip_stat st;
	struct place at;
	int rc = place_find(client, path, &at);

	if (!rc)
		rc = place_stat(&at, &st);
	if (rc)
		return rc;
	return st.type == SLIP_SYMLINK ? at.ops->readlink(at.backend, at.path, buf, size) : -EINVAL;
}

int slip_chmod(struct slip_client *client, const char *path, uint32_t mode)
{
	struct place at;
	int rc = place_find(client, path, &at);

	return rc ? rc : at.ops->set_attribute(at.backend, at.path, &mode, NULL, NULL);
}

int slip_chown(struct slip_client *client, const char *path, const char *owner, const char *group)
{
	struct place at;
	int rc = place_find(client, path, &at);

	return rc ? rc : at.ops->set_attribute(at.backend, at.path, NULL, owner, group);
}

int slip_capacity(struct slip_client *client, const char *path, int64_t *total_bytes, int64_t *used_bytes)
{
	struct place at;
	int rc = place_find(client, path, &at);

	return rc ? rc : at.ops->capacity(at.backend, total_bytes, used_bytes);
}
