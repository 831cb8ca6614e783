/*
 * info.c: from inode to FileInfo (spec goosefs 7.3). As real masters do, the list of block ids and the percentages are
 * left out: clients take them from the blocks.
 */
#include "tools/server/master.h"

#include <string.h>

static int out_of_memory(struct fault *fault)
{
	return fault_set(fault, RPC_RESOURCE_EXHAUSTED, "Out of memory");
}

static int fill_locations(const struct master *master, const struct arena *arena, struct gfs_block *block,
			  const struct tree_block *copies, size_t n, struct fault *fault)
{
	struct gfs_location *locations = n ? arena->alloc(arena->from, n * sizeof(*locations)) : NULL;
	size_t used = 0;

	if (n && !locations)
		return out_of_memory(fault);
	for (size_t i = 0; i < n; i++) {
		const struct worker *worker;

		/* Of a worker that is not started this time. */
		if (copies[i].worker < 1 || copies[i].worker > master->nworkers)
			continue;
		worker = &master->workers[copies[i].worker - 1];
		locations[used++] = (struct gfs_location){worker->id, worker->host, worker->port};
	}
	block->locations = locations;
	block->nlocations = used;
	return 0;
}

static int fill_blocks(const struct master *master, const struct arena *arena, const struct inode *inode,
		       const struct tree_block *copies, size_t ncopies, struct gfs_file_info *info, struct fault *fault)
{
	size_t n = (size_t)((inode->length + inode->block_size - 1) / inode->block_size);
	struct gfs_block *blocks = arena->alloc(arena->from, n * sizeof(*blocks));
	size_t next = 0;

	if (!blocks)
		return out_of_memory(fault);
	for (size_t i = 0; i < n; i++) {
		struct gfs_block *block = &blocks[i];
		size_t first;

		block->id = FIRST_BLOCK(inode->id) + (int64_t)i;
		block->offset = (int64_t)i * inode->block_size;
		block->length = inode->length - block->offset;
		if (block->length > inode->block_size)
			block->length = inode->block_size;
		while (next < ncopies && copies[next].id < block->id)
			next++;
		for (first = next; next < ncopies && copies[next].id == block->id;)
			next++;
		if (fill_locations(master, arena, block, copies + first, next - first, fault))
			return fault->code;
	}
	info->blocks = blocks;
	info->nblocks = n;
	return 0;
}

/* CrcType is one byte, CrcValue four, big-endian. */
static int fill_crc(const struct arena *arena, const struct inode *inode, struct gfs_file_info *info,
		    struct fault *fault)
{
	struct {
		struct gfs_xattr xattr[2];
		unsigned char type, value[4];
	} *crc = arena->alloc(arena->from, sizeof(*crc));

	if (!crc)
		return out_of_memory(fault);
	crc->type = (unsigned char)inode->crc_type;
	for (int i = 0; i < 4; i++)
		crc->value[i] = (unsigned char)(inode->crc_value >> (24 - 8 * i));
	crc->xattr[0] = (struct gfs_xattr){"CrcType", &crc->type, 1};
	crc->xattr[1] = (struct gfs_xattr){"CrcValue", crc->value, 4};
	info->xattr = crc->xattr;
	info->nxattr = 2;
	return 0;
}

bool write_type_needs_ufs(int write_type)
{
	return write_type == GFS_CACHE_THROUGH || write_type == GFS_THROUGH || write_type == GFS_ASYNC_THROUGH;
}

bool inode_in_ufs(const struct inode *inode)
{
	return inode->ufs != UFS_ABSENT || (inode->type == INODE_FILE && write_type_needs_ufs(inode->write_type));
}

static int fill_ufs_path(const struct master *master, const struct arena *arena, const char *path,
			 struct gfs_file_info *info, struct fault *fault)
{
	char uri[UFS_URI_MAX];
	char *copy;

	if (!ufs_uri(&master->ufs, path, uri))
		return 0;
	copy = arena->alloc(arena->from, strlen(uri) + 1);
	if (!copy)
		return out_of_memory(fault);
	info->ufs_path = strcpy(copy, uri);
	return 0;
}

int info_fill(const struct master *master, const struct arena *arena, const struct inode *inode, const char *path,
	      const struct tree_block *blocks, size_t nblocks, struct gfs_file_info *info, struct fault *fault)
{
	static const char *const state_names[] = {"NOT_PERSISTED", "TO_BE_PERSISTED", "PERSISTED"};

	*info = (struct gfs_file_info){
		.file_id = inode->id,
		.name = inode->name,
		.path = path,
		.ufs_path = "",
		.owner = inode->owner,
		.group = inode->group,
		.persistence_state = state_names[inode->ufs],
		.persisted = inode->ufs == UFS_PERSISTED,
		.symlink = inode->target,
		.length = inode->length,
		.block_size = inode->block_size,
		.creation_ms = inode->created_ms,
		.modification_ms = inode->modified_ms,
		.access_ms = inode->accessed_ms,
		.completed = inode->completed,
		.folder = inode->type == INODE_DIR,
		.mount_point = inode->id == TREE_ROOT,
		.cacheable = true,
		.has_cacheable = true,
		.mode = inode->mode,
		.mount_id = 1,
	};
	if (ufs_on(&master->ufs) && inode_in_ufs(inode) && fill_ufs_path(master, arena, path, info, fault))
		return fault->code;
	if (inode->has_crc && fill_crc(arena, inode, info, fault))
		return fault->code;
	if (inode->type != INODE_FILE || !inode->length)
		return 0;
	return fill_blocks(master, arena, inode, blocks, nblocks, info, fault);
}
