#include "client/goosefs/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text(const char *s)
{
	return s ? s : "";
}

/* Within what counts in nanoseconds, the years 1677 to 2262. */
static int64_t time_shown(int64_t ms)
{
	const int64_t most = INT64_MAX / 1000000;

	return ms > most ? most : ms < -most ? -most : ms;
}

void file_stat(const struct gfs_file_info *info, struct slip_stat *st)
{
	memset(st, 0, sizeof *st);
	st->type = *text(info->symlink) ? SLIP_SYMLINK : info->folder ? SLIP_DIRECTORY : SLIP_FILE;
	st->id = (uint64_t)info->file_id;
	st->size = st->type == SLIP_SYMLINK     ? (int64_t)strlen(info->symlink)
		   : st->type == SLIP_DIRECTORY ? 0
						: info->length;
	st->block_size = st->type != SLIP_FILE ? 0 : info->block_size > 0 ? info->block_size : BLOCK_SIZE_DEFAULT;
	st->mtime_ms = time_shown(info->modification_ms);
	st->atime_ms = time_shown(info->access_ms ? info->access_ms : info->modification_ms);
	st->ctime_ms = time_shown(info->modification_ms ? info->modification_ms : info->creation_ms);
	st->mode = (uint32_t)info->mode & 0777;
	st->complete = info->completed || st->type != SLIP_FILE;
	snprintf(st->owner, sizeof st->owner, "%s", text(info->owner));
	snprintf(st->group, sizeof st->group, "%s", text(info->group));
}

/* ---- layout --------------------------------------------------------------------------------------------------------
 */

int64_t block_id_of(int64_t file_id, int64_t index)
{
	return (file_id >> 24 & 0xffffffffffLL) << 24 | (index & 0xffffff);
}

static int block_copy(const struct gfs_block *from, struct layout_block *to)
{
	to->id = from->id;
	to->offset = from->offset;
	if (!from->nlocations)
		return 0;
	to->workers = calloc(from->nlocations, sizeof *to->workers);
	if (!to->workers)
		return -ENOMEM;
	for (size_t i = 0; i < from->nlocations; i++)
		to->workers[i] = from->locations[i].worker_id;
	to->nworkers = from->nlocations;
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct layout_block *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int layout_fill(struct backend_layout *l, const struct gfs_file_info *info)
{
	int rc = 0;

	l->ufs_path = strdup(text(info->ufs_path));
	l->blocks = calloc(info->nblocks + 1, sizeof *l->blocks);
	l->block_ids = calloc(info->nblock_ids + 1, sizeof *l->block_ids);
	if (!l->ufs_path || !l->blocks || !l->block_ids)
		return -ENOMEM;
	for (size_t i = 0; !rc && i < info->nblocks; i++) {
		rc = block_copy(&info->blocks[i], &l->blocks[i]);
		l->nblocks = i + 1;
	}
	if (l->nblocks)
		qsort(l->blocks, l->nblocks, sizeof *l->blocks, by_offset);
	if (info->nblock_ids)
		memcpy(l->block_ids, info->block_ids, info->nblock_ids * sizeof *l->block_ids);
	l->nblock_ids = info->nblock_ids;
	return rc;
}

int layout_new(const struct gfs_file_info *info, struct backend_layout **out)
{
	struct backend_layout *l;
	int rc;

	if (info->length < 0 || info->block_size < 0)
		return -EPROTO;
	l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	l->refs = 1;
	l->file_id = info->file_id;
	l->length = info->length;
	l->block_size = info->block_size ? info->block_size : BLOCK_SIZE_DEFAULT;
	l->mount_id = info->mount_id;
	l->no_cache = info->has_cacheable ? !info->cacheable : true;
	rc = layout_fill(l, info);
	if (rc) {
		layout_put(l);
		return rc;
	}
	*out = l;
	return 0;
}

struct backend_layout *layout_get(struct backend_layout *l)
{
	__atomic_fetch_add(&l->refs, 1, __ATOMIC_RELAXED);
	return l;
}

void layout_put(struct backend_layout *l)
{
	if (!l || __atomic_fetch_sub(&l->refs, 1, __ATOMIC_ACQ_REL) > 1)
		return;
	for (size_t i = 0; i < l->nblocks; i++)
		free(l->blocks[i].workers);
	free(l->blocks);
	free(l->block_ids);
	free(l->ufs_path);
	free(l);
}

const struct layout_block *layout_block(const struct backend_layout *l, int64_t index)
{
	struct layout_block key;

	if (!l->nblocks || __builtin_mul_overflow(index, l->block_size, &key.offset))
		return NULL;
	return bsearch(&key, l->blocks, l->nblocks, sizeof key, by_offset);
}

/* Both lookups of the SDK should agree (7.3); where neither gives an id it follows from the file's. */
static int64_t layout_block_id(const struct backend_layout *l, int64_t index)
{
	const struct layout_block *block = layout_block(l, index);

	if (block && block->id > 0)
		return block->id;
	if ((uint64_t)index < l->nblock_ids && l->block_ids[index] > 0)
		return l->block_ids[index];
	return index < BLOCKS_MAX && l->file_id > 0 ? block_id_of(l->file_id, index) : -1;
}

bool layout_segment(const struct backend_layout *l, int64_t off, int64_t n, struct segment *out)
{
	int64_t room;

	if (n <= 0 || off < 0 || off >= l->length)
		return false;
	if (n > l->length - off)
		n = l->length - off;
	out->index = off / l->block_size;
	out->offset = off % l->block_size;
	out->block_id = layout_block_id(l, out->index);
	room = l->block_size - out->offset;
	out->n = n < room ? n : room;
	return true;
}

struct gfs_ufs_options layout_ufs(const struct backend_layout *l, int64_t index)
{
	int64_t start = index * l->block_size, left = l->length - start;

	if (!*l->ufs_path)
		return (struct gfs_ufs_options){.present = false};
	return (struct gfs_ufs_options){
		.present = true,
		.ufs_path = l->ufs_path,
		.offset_in_file = start,
		.block_size = left < l->block_size ? left : l->block_size, /* the real length (9.3) */
		.mount_id = l->mount_id,
		.file_length = l->length,
		.max_concurrency = 8,
		.no_cache = l->no_cache,
	};
}
