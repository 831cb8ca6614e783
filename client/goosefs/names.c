/*
 * names.c: the namespace, one call to the master for each.
 */
#include "client/goosefs/names.h"
#include "client/goosefs/write_type.h"
#include "client/log.h"
#include "client/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int call_empty(struct backend *b, enum rpc_id id, const void *request)
{
	struct gfs_empty reply;
	int rc = master_call(b->master, id, request, &reply);

	if (!rc)
		rpc_release(&reply);
	return rc;
}

static struct gfs_get_status status_request(const struct backend *b, const char *path)
{
	return (struct gfs_get_status){
		.path = path,
		.load_type = (int)config_u64(b->config, CONFIG_LOAD_TYPE),
		.has_load_type = true,
		.common = master_common(b->master),
	};
}

int goosefs_sayable(const char *name)
{
	if (path_is_utf8(name))
		return 0;
	error_note("a name that is not UTF-8: the protocol has only such");
	return -EILSEQ;
}

int goosefs_fetch(struct backend *b, const char *path, struct gfs_file_reply *reply)
{
	struct gfs_get_status request = status_request(b, path);

	if (goosefs_sayable(path))
		return -ENOENT;
	return master_call(b->master, RPC_GET_STATUS, &request, reply);
}

int goosefs_import(struct backend *b, const char *path, struct gfs_file_reply *reply)
{
	struct gfs_get_status request = status_request(b, path);

	request.load_type = GFS_LOAD_ALWAYS;
	request.common.sync_interval_ms = 0;
	return master_call(b->master, RPC_GET_STATUS, &request, reply);
}

int goosefs_stat(struct backend *b, const char *path, struct slip_stat *st)
{
	struct gfs_file_reply reply;
	int rc = goosefs_fetch(b, path, &reply);

	if (rc)
		return rc;
	file_stat(&reply.info, st);
	rpc_release(&reply);
	return 0;
}

int goosefs_lookup(struct backend *b, const char *path, struct backend_file *out)
{
	struct gfs_file_reply reply;
	int rc = goosefs_fetch(b, path, &reply);

	if (rc)
		return rc;
	file_stat(&reply.info, &out->st);
	rc = layout_new(&reply.info, &out->layout);
	rpc_release(&reply);
	return rc;
}

void goosefs_release(struct backend *b, struct backend_file *file)
{
	(void)b;
	layout_put(file->layout);
	file->layout = NULL;
}

/* ---- listings --------------------------------------------------------------------------------------------------- */

struct entry {
	char *name;
	struct slip_stat st;
};

#define ENTRIES_MAX (1u << 22) /* of one directory; beyond it a peer that does not stop would have all memory */

struct listing {
	struct entry *entries;
	size_t n, room;
	bool ordered; /* each name comes after the one before it, so none comes twice */
};

/* A listing that breaks off is asked for again from the start, so nothing is told before all of it is here (6.3). */
static void listing_clear(void *context)
{
	struct listing *l = context;

	for (size_t i = 0; i < l->n; i++)
		free(l->entries[i].name);
	l->n = 0;
	l->ordered = true;
}

/* A directory may echo itself (15.28), and a file is listed as itself: neither has a name to show below it. */
static bool is_a_name(const char *name)
{
	return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/');
}

static int listing_add(struct listing *l, const struct gfs_file_info *info)
{
	struct entry *e;

	if (l->n == ENTRIES_MAX)
		return -EOVERFLOW;
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		struct entry *more = reallocarray(l->entries, room, sizeof *more);

		if (!more)
			return -ENOMEM;
		l->entries = more;
		l->room = room;
	}
	e = &l->entries[l->n];
	e->name = strdup(info->name);
	if (!e->name)
		return -ENOMEM;
	file_stat(info, &e->st);
	l->ordered &= !l->n || strcmp(l->entries[l->n - 1].name, e->name) < 0;
	l->n++;
	return 0;
}

static int listing_batch(void *context, const void *message)
{
	const struct gfs_list_reply *reply = message;
	int rc = 0;

	for (size_t i = 0; !rc && i < reply->ninfos; i++)
		if (is_a_name(reply->infos[i].name))
			rc = listing_add(context, &reply->infos[i]);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* A directory that changes while its batches are made may have a name in two of them. */
static void listing_unique(struct listing *l)
{
	size_t kept = 0;

	if (l->ordered || !l->n)
		return;
	qsort(l->entries, l->n, sizeof *l->entries, by_name);
	for (size_t i = 0; i < l->n; i++)
		if (kept && !strcmp(l->entries[kept - 1].name, l->entries[i].name))
			free(l->entries[i].name);
		else
			l->entries[kept++] = l->entries[i];
	l->n = kept;
}

/* Listing a file yields the file itself (8.2); only its type tells. */
static int refuse_other_than_directory(struct backend *b, const char *path, const struct listing *l)
{
	const char *name = strrchr(path, '/') + 1;
	struct slip_stat st;
	int rc;

	if (l->n != 1 || strcmp(l->entries[0].name, name) || l->entries[0].st.type == SLIP_DIRECTORY)
		return 0;
	rc = goosefs_stat(b, path, &st);
	return rc ? rc : st.type == SLIP_DIRECTORY ? 0 : -ENOTDIR;
}

int goosefs_list(struct backend *b, const char *path, slip_list_fn *each, void *context)
{
	struct gfs_get_status request = status_request(b, path);
	struct listing l = {0};
	int rc = master_collect(b->master, RPC_LIST_STATUS, &request, listing_batch, listing_clear, &l);

	if (rc == -EOVERFLOW)
		error_note("%s has more than %u entries", path, ENTRIES_MAX);
	listing_unique(&l);
	if (!rc)
		rc = refuse_other_than_directory(b, path, &l);
	for (size_t i = 0; !rc && i < l.n; i++)
		rc = each(context, l.entries[i].name, &l.entries[i].st);
	listing_clear(&l);
	free(l.entries);
	return rc;
}

/* ---- changes ---------------------------------------------------------------------------------------------------- */

/* Where files are written through, a worker may refuse to make the directories they are to lie in (spec goosefs 8.8). */
int goosefs_mkdir(struct backend *b, const char *path, uint32_t mode)
{
	int type = write_type_of(b, path);
	struct gfs_create_directory request = {
		.path = path,
		.mode = (int)(mode & 0777),
		.has_mode = true,
		.write_type = type == GFS_CACHE_THROUGH || type == GFS_THROUGH ? type : GFS_WT_UNSET,
		.common = master_mutation(b->master),
	};

	return goosefs_sayable(path) ?: call_empty(b, RPC_CREATE_DIRECTORY, &request);
}

static int remove_path(struct backend *b, struct gfs_remove request)
{
	request.common = master_mutation(b->master);
	return goosefs_sayable(request.path) ? -ENOENT : call_empty(b, RPC_REMOVE, &request);
}

/*
 * The SDK's comments say that `unchecked` also skips the test for an empty directory (spec goosefs 21.11). Nobody has seen it,
 * but rmdir must not be what finds out: only a removal that takes everything below along goes unchecked.
 */
int goosefs_remove(struct backend *b, const char *path, bool recursive)
{
	return remove_path(b, (struct gfs_remove){.path = path, .recursive = recursive, .unchecked = recursive});
}

int goosefs_discard(struct backend *b, const char *path)
{
	return remove_path(b, (struct gfs_remove){.path = path, .unchecked = true});
}

int goosefs_forget(struct backend *b, const char *path)
{
	return remove_path(b, (struct gfs_remove){.path = path, .unchecked = true, .goosefs_only = true});
}

int goosefs_rename(struct backend *b, const char *from, const char *to)
{
	struct gfs_rename request = {
		.path = from,
		.to = to,
		.persist = config_bool(b->config, CONFIG_PERSIST_ON_RENAME),
		.common = master_mutation(b->master),
	};

	return goosefs_sayable(to) ?: call_empty(b, RPC_RENAME, &request);
}

int goosefs_symlink(struct backend *b, const char *target, const char *path)
{
	struct gfs_create_symlink request = {
		.link = path,
		.target = target,
		.mode = 0777,
		.has_mode = true,
		.common = master_mutation(b->master),
	};

	return goosefs_sayable(path) ?: goosefs_sayable(target) ?: call_empty(b, RPC_CREATE_SYMLINK, &request);
}

int goosefs_readlink(struct backend *b, const char *path, char *buf, size_t size)
{
	struct gfs_get_link_target request = {.link = path};
	struct gfs_link_target reply;
	size_t n;
	int rc = master_call(b->master, RPC_GET_LINK_TARGET, &request, &reply);

	if (rc)
		return rc;
	n = strlen(reply.target);
	if (n < size)
		memcpy(buf, reply.target, n + 1);
	else
		rc = -ENAMETOOLONG;
	rpc_release(&reply);
	return rc ? rc : (int)n;
}

int goosefs_set_attribute(struct backend *b, const char *path, const uint32_t *mode, const char *owner,
			  const char *group)
{
	struct gfs_set_attribute request = {
		.path = path,
		.owner = owner,
		.group = group,
		.mode = mode ? (int)(*mode & 0777) : 0,
		.has_mode = mode != NULL,
		.common = master_mutation(b->master),
	};

	return call_empty(b, RPC_SET_ATTRIBUTE, &request);
}

int goosefs_capacity(struct backend *b, int64_t *total_bytes, int64_t *used_bytes)
{
	struct gfs_empty request = {0};
	struct gfs_bytes total, used;
	int rc = master_call(b->master, RPC_GET_CAPACITY, &request, &total);

	if (rc)
		return rc;
	*total_bytes = total.bytes;
	rpc_release(&total);
	rc = master_call(b->master, RPC_GET_USED, &request, &used);
	if (rc)
		return rc;
	*used_bytes = used.bytes;
	rpc_release(&used);
	return 0;
}
