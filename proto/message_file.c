/*
 * message_file.c: FileInfo, and the replies that carry it.
 */
#include "proto/message_codec.h"

#include "goosefs/file.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX (1 << 24) /* of one file: the low bits of a block id (spec goosefs 7.1) */

/* ---- out --------------------------------------------------------------------------------------------------------- */

static int locations_fill(GRPC(BlockInfo) * out, const struct gfs_block *in, struct arena *arena)
{
	GRPC(BlockLocation) *items = arena_array(arena, in->nlocations, sizeof(*items));
	GRPC(WorkerNetAddress) *addresses = arena_array(arena, in->nlocations, sizeof(*addresses));

	out->locations = arena_pointers(arena, items, in->nlocations, sizeof(*items));
	out->n_locations = in->nlocations;
	if (in->nlocations && (!items || !addresses || !out->locations))
		return -ENOMEM;
	for (size_t i = 0; i < in->nlocations; i++) {
		const struct gfs_location *from = &in->locations[i];

		items[i] = (GRPC(BlockLocation))GRPC_INIT(BLOCK_LOCATION);
		SET(&items[i], workerid, from->worker_id);
		if (!sent(from->host))
			continue;
		addresses[i] = (GRPC(WorkerNetAddress))GRPC_INIT(WORKER_NET_ADDRESS);
		addresses[i].host = sent(from->host);
		SET(&addresses[i], rpcport, from->rpc_port);
		items[i].workeraddress = &addresses[i];
	}
	return 0;
}

static int blocks_fill(GRPC(File__FileInfo) * out, const struct gfs_file_info *in, struct arena *arena)
{
	GRPC(File__FileBlockInfo) *items = arena_array(arena, in->nblocks, sizeof(*items));
	GRPC(BlockInfo) *blocks = arena_array(arena, in->nblocks, sizeof(*blocks));
	int rc = 0;

	out->fileblockinfos = arena_pointers(arena, items, in->nblocks, sizeof(*items));
	out->n_fileblockinfos = in->nblocks;
	if (in->nblocks && (!items || !blocks || !out->fileblockinfos))
		return -ENOMEM;
	for (size_t i = 0; !rc && i < in->nblocks; i++) {
		items[i] = (GRPC(File__FileBlockInfo))GRPC_INIT(FILE__FILE_BLOCK_INFO);
		blocks[i] = (GRPC(BlockInfo))GRPC_INIT(BLOCK_INFO);
		if (in->blocks[i].id)
			SET(&blocks[i], blockid, in->blocks[i].id);
		SET(&blocks[i], length, in->blocks[i].length);
		SET(&items[i], offset, in->blocks[i].offset);
		items[i].blockinfo = &blocks[i];
		rc = locations_fill(&blocks[i], &in->blocks[i], arena);
	}
	return rc;
}

static int xattr_fill(GRPC(File__FileInfo) * out, const struct gfs_file_info *in, struct arena *arena)
{
	GRPC(File__FileInfo__XattrEntry) *items = arena_array(arena, in->nxattr, sizeof(*items));

	out->xattr = arena_pointers(arena, items, in->nxattr, sizeof(*items));
	out->n_xattr = in->nxattr;
	if (in->nxattr && (!items || !out->xattr))
		return -ENOMEM;
	for (size_t i = 0; i < in->nxattr; i++) {
		const struct gfs_xattr *from = &in->xattr[i];

		items[i] = (GRPC(File__FileInfo__XattrEntry))GRPC_INIT(FILE__FILE_INFO__XATTR_ENTRY);
		items[i].key = (char *)received(from->name);
		SET(&items[i], value, ((ProtobufCBinaryData){from->bytes, (uint8_t *)from->value}));
	}
	return 0;
}

static void texts_fill(GRPC(File__FileInfo) * out, const struct gfs_file_info *in)
{
	out->name = sent(in->name);
	out->path = sent(in->path);
	out->ufspath = sent(in->ufs_path);
	out->owner = sent(in->owner);
	out->group = sent(in->group);
	out->persistencestate = sent(in->persistence_state);
	out->symlink = sent(in->symlink);
}

static int info_fill(GRPC(File__FileInfo) * out, const struct gfs_file_info *in, struct arena *arena)
{
	int rc;

	*out = (GRPC(File__FileInfo))GRPC_INIT(FILE__FILE_INFO);
	texts_fill(out, in);
	SET(out, fileid, in->file_id);
	SET(out, length, in->length);
	SET(out, blocksizebytes, in->block_size);
	SET(out, creationtimems, in->creation_ms);
	SET(out, lastmodificationtimems, in->modification_ms);
	SET(out, lastaccesstimems, in->access_ms);
	SET(out, completed, in->completed);
	SET(out, folder, in->folder);
	SET(out, persisted, in->persisted);
	SET(out, mountpoint, in->mount_point);
	SET(out, mode, in->mode);
	SET(out, mountid, in->mount_id);
	if (in->has_cacheable)
		SET(out, cacheable, in->cacheable);
	if (in->in_goosefs_percentage)
		SET(out, ingoosefspercentage, in->in_goosefs_percentage);
	if (in->in_memory_percentage)
		SET(out, inmemorypercentage, in->in_memory_percentage);
	out->blockids = (int64_t *)in->block_ids;
	out->n_blockids = in->nblock_ids;
	rc = blocks_fill(out, in, arena);
	return rc ? rc : xattr_fill(out, in, arena);
}

int file_reply_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_file_reply *in = message;
	GRPC(File__GetStatusPResponse) wire = GRPC_INIT(FILE__GET_STATUS_PRESPONSE); /* CreateFile's looks the same */
	GRPC(File__FileInfo) info;
	int rc = info_fill(&info, &in->info, arena);

	if (rc)
		return rc;
	wire.fileinfo = &info;
	return emit(&wire, arena, out);
}

int list_reply_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_list_reply *in = message;
	GRPC(File__ListStatusPResponse) wire = GRPC_INIT(FILE__LIST_STATUS_PRESPONSE);
	GRPC(File__FileInfo) *infos = arena_array(arena, in->ninfos, sizeof(*infos));
	int rc = 0;

	wire.fileinfos = arena_pointers(arena, infos, in->ninfos, sizeof(*infos));
	wire.n_fileinfos = in->ninfos;
	if (in->ninfos && (!infos || !wire.fileinfos))
		return -ENOMEM;
	for (size_t i = 0; !rc && i < in->ninfos; i++)
		rc = info_fill(&infos[i], &in->infos[i], arena);
	return rc ? rc : emit(&wire, arena, out);
}

/* ---- in: blocks -------------------------------------------------------------------------------------------------- */

static int locations_read(const GRPC(BlockInfo) * in, struct gfs_block *out, struct arena *arena)
{
	struct gfs_location *locations = arena_array(arena, in->n_locations, sizeof(*locations));

	if (in->n_locations && !locations)
		return arena_failure(arena);
	for (size_t i = 0; i < in->n_locations; i++) {
		const GRPC(BlockLocation) *from = in->locations[i];
		const GRPC(WorkerNetAddress) *address = from->workeraddress;

		if (from->workerid < 0)
			return refuse_number("BlockLocation.workerId", "negative", from->workerid);
		locations[i] = (struct gfs_location){
			.worker_id = from->workerid,
			.host = received(address ? address->host : NULL),
			.rpc_port = address ? address->rpcport : 0,
		};
	}
	out->locations = locations;
	out->nlocations = in->n_locations;
	return 0;
}

/* Where the master leaves it out, the id follows from the file's (spec goosefs 7.3). 0: from nothing. */
static int64_t block_id(const GRPC(File__FileInfo) * info, int64_t offset)
{
	int64_t index;

	if (info->blocksizebytes <= 0 || offset % info->blocksizebytes)
		return 0;
	index = offset / info->blocksizebytes;
	if ((uint64_t)index < info->n_blockids && info->blockids[index] > 0)
		return info->blockids[index];
	if (index >= BLOCKS_MAX || info->fileid <= 0)
		return 0;
	return (info->fileid >> 24 & 0xffffffffff) << 24 | index;
}

static int block_read(const GRPC(File__FileInfo) * info, const GRPC(File__FileBlockInfo) * in, struct gfs_block *out,
		      struct arena *arena)
{
	const GRPC(BlockInfo) *block = in->blockinfo;
	int64_t end;
	int rc;

	out->offset = in->offset;
	out->id = block ? block->blockid : 0;
	out->length = block ? block->length : 0;
	rc = REFUSE_NEGATIVES({"FileBlockInfo.offset", out->offset}, {"BlockInfo.blockId", out->id},
			      {"BlockInfo.length", out->length});
	if (rc)
		return rc;
	if (__builtin_add_overflow(out->offset, out->length, &end))
		return refuse_number("BlockInfo.length", "beyond any file", out->length);
	if (!out->id)
		out->id = block_id(info, out->offset);
	return block ? locations_read(block, out, arena) : 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct gfs_block *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int blocks_read(const GRPC(File__FileInfo) * in, struct gfs_file_info *out, struct arena *arena)
{
	struct gfs_block *blocks = arena_array(arena, in->n_fileblockinfos, sizeof(*blocks));
	bool sorted = true;

	if (in->n_fileblockinfos && !blocks)
		return arena_failure(arena);
	for (size_t i = 0; i < in->n_fileblockinfos; i++) {
		int rc = block_read(in, in->fileblockinfos[i], &blocks[i], arena);

		if (rc)
			return rc;
		sorted = sorted && (!i || blocks[i - 1].offset <= blocks[i].offset);
	}
	if (!sorted)
		qsort(blocks, in->n_fileblockinfos, sizeof(*blocks), by_offset);
	out->blocks = blocks;
	out->nblocks = in->n_fileblockinfos;
	return 0;
}

static int block_ids_read(const GRPC(File__FileInfo) * in, struct gfs_file_info *out)
{
	for (size_t i = 0; i < in->n_blockids; i++)
		if (in->blockids[i] < 0)
			return refuse_number("FileInfo.blockIds", "negative", in->blockids[i]);
	out->block_ids = in->blockids;
	out->nblock_ids = in->n_blockids;
	return 0;
}

/* ---- in: the rest ------------------------------------------------------------------------------------------------ */

static int xattr_read(const GRPC(File__FileInfo) * in, struct gfs_file_info *out, struct arena *arena)
{
	struct gfs_xattr *xattr = arena_array(arena, in->n_xattr, sizeof(*xattr));

	if (in->n_xattr && !xattr)
		return arena_failure(arena);
	for (size_t i = 0; i < in->n_xattr; i++) {
		const GRPC(File__FileInfo__XattrEntry) *from = in->xattr[i];

		if (!sent(from->key))
			return refuse("FileInfo.xattr", "an entry without its key");
		xattr[i] = (struct gfs_xattr){
			.name = from->key,
			.value = from->value.len ? (const void *)from->value.data : "",
			.bytes = from->value.len,
		};
	}
	out->xattr = xattr;
	out->nxattr = in->n_xattr;
	return 0;
}

/* The root may be called "", and "/" too. */
static int name_check(const struct gfs_file_info *info)
{
	if (!strcmp(info->name, ".") || !strcmp(info->name, ".."))
		return refuse("FileInfo.name", "a dot entry");
	if (strchr(info->name, '/') && strcmp(info->name, "/") != 0)
		return refuse("FileInfo.name", "a slash in it");
	return 0;
}

/* What can be negative in good faith is not here: times, and the mount id of what is not mounted. */
static int numbers_check(const GRPC(File__FileInfo) * in)
{
	return REFUSE_NEGATIVES({"FileInfo.fileId", in->fileid}, {"FileInfo.length", in->length},
				{"FileInfo.blockSizeBytes", in->blocksizebytes}, {"FileInfo.mode", in->mode});
}

static void plain_read(const GRPC(File__FileInfo) * in, struct gfs_file_info *out)
{
	*out = (struct gfs_file_info){
		.file_id = in->fileid,
		.name = received(in->name),
		.path = received(in->path),
		.ufs_path = received(in->ufspath),
		.owner = received(in->owner),
		.group = received(in->group),
		.persistence_state = received(in->persistencestate),
		.symlink = received(in->symlink),
		.length = in->length,
		.block_size = in->blocksizebytes,
		.creation_ms = in->creationtimems,
		.modification_ms = in->lastmodificationtimems,
		.access_ms = in->lastaccesstimems,
		.completed = in->completed,
		.folder = in->folder,
		.persisted = in->persisted,
		.mount_point = in->mountpoint,
		.cacheable = in->cacheable,
		.has_cacheable = in->has_cacheable,
		.mode = in->mode & 0777,
		.mount_id = in->mountid,
		.in_goosefs_percentage = in->ingoosefspercentage,
		.in_memory_percentage = in->inmemorypercentage,
	};
}

static int info_read(const GRPC(File__FileInfo) * in, struct gfs_file_info *out, struct arena *arena)
{
	int rc = numbers_check(in);

	if (rc)
		return rc;
	plain_read(in, out);
	rc = name_check(out);
	if (!rc)
		rc = block_ids_read(in, out);
	if (!rc)
		rc = blocks_read(in, out, arena);
	return rc ? rc : xattr_read(in, out, arena);
}

int file_reply_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__GetStatusPResponse) *in = wire;
	struct gfs_file_reply *out = message;

	if (!in->fileinfo)
		return refuse("fileInfo", "missing");
	return info_read(in->fileinfo, &out->info, arena);
}

/* An entry is its name. Some say only the path, whose last component that is. */
static int entry_name(struct gfs_file_info *info)
{
	const char *slash = strrchr(info->path, '/');

	if (!*info->name && slash)
		info->name = slash + 1;
	if (!*info->name && strcmp(info->path, "/") != 0)
		return refuse("FileInfo.name", "an entry without one");
	return name_check(info);
}

int list_reply_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__ListStatusPResponse) *in = wire;
	struct gfs_list_reply *out = message;
	struct gfs_file_info *infos = arena_array(arena, in->n_fileinfos, sizeof(*infos));
	int rc = 0;

	if (in->n_fileinfos && !infos)
		return arena_failure(arena);
	for (size_t i = 0; !rc && i < in->n_fileinfos; i++) {
		rc = info_read(in->fileinfos[i], &infos[i], arena);
		if (!rc)
			rc = entry_name(&infos[i]);
	}
	out->infos = infos;
	out->ninfos = in->n_fileinfos;
	return rc;
}
