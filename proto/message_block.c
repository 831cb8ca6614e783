/*
 * message_block.c: the data plane (spec goosefs 9), but for the data.
 */
#include "proto/message_codec.h"

#include "goosefs/block_worker.pb-c.h"
#include "goosefs/file.pb-c.h"

/* ---- lists of blocks --------------------------------------------------------------------------------------------- */

int remove_blocks_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_block_ids *in = message;
	GRPC(File__RemoveBlocksPRequest) wire = GRPC_INIT(FILE__REMOVE_BLOCKS_PREQUEST);

	wire.blockids = (int64_t *)in->ids;
	wire.n_blockids = in->n;
	return emit(&wire, arena, out);
}

static int ids_read(const char *field, const int64_t *ids, size_t n, struct gfs_block_ids *out)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] < 0)
			return refuse_number(field, "negative", ids[i]);
	out->ids = ids;
	out->n = n;
	return 0;
}

int remove_blocks_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__RemoveBlocksPRequest) *in = wire;

	(void)arena;
	return ids_read("blockIds", in->blockids, in->n_blockids, message);
}

int check_blocks_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_block_ids *in = message;
	GRPC(Block__CheckBlocksRequest) wire = GRPC_INIT(BLOCK__CHECK_BLOCKS_REQUEST);

	wire.block_ids = (int64_t *)in->ids;
	wire.n_block_ids = in->n;
	return emit(&wire, arena, out);
}

int check_blocks_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(Block__CheckBlocksRequest) *in = wire;

	(void)arena;
	return ids_read("block_ids", in->block_ids, in->n_block_ids, message);
}

#define ENTRY      GRPC(Block__CheckBlocksResponse__BlockCachedBytesEntry)
#define ENTRY_INIT GRPC_INIT(BLOCK__CHECK_BLOCKS_RESPONSE__BLOCK_CACHED_BYTES_ENTRY)

int check_blocks_reply_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_check_blocks_reply *in = message;
	GRPC(Block__CheckBlocksResponse) wire = GRPC_INIT(BLOCK__CHECK_BLOCKS_RESPONSE);
	ENTRY *entries = arena_array(arena, in->n, sizeof(*entries));

	for (size_t i = 0; entries && i < in->n; i++) {
		entries[i] = (ENTRY)ENTRY_INIT;
		SET(&entries[i], key, in->cached[i].id);
		SET(&entries[i], value, in->cached[i].bytes);
	}
	wire.block_cached_bytes = entries ? arena_pointers(arena, entries, in->n, sizeof(*entries)) : NULL;
	wire.n_block_cached_bytes = in->n;
	return emit(&wire, arena, out);
}

int check_blocks_reply_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(Block__CheckBlocksResponse) *in = wire;
	struct gfs_check_blocks_reply *out = message;
	struct {
		int64_t id, bytes;
	} *cached = arena_array(arena, in->n_block_cached_bytes, sizeof(*out->cached));

	if (in->n_block_cached_bytes && !cached)
		return arena_failure(arena);
	for (size_t i = 0; i < in->n_block_cached_bytes; i++) {
		const ENTRY *from = in->block_cached_bytes[i];
		int rc = REFUSE_NEGATIVES({"block_cached_bytes.key", from->key},
					  {"block_cached_bytes.value", from->value});

		if (rc)
			return rc;
		if (!from->has_key)
			return refuse("block_cached_bytes", "an entry without its key");
		cached[i].id = from->key;
		cached[i].bytes = from->value;
	}
	out->cached = (const void *)cached;
	out->n = in->n_block_cached_bytes;
	return 0;
}

/* ---- ReadBlock --------------------------------------------------------------------------------------------------- */

static DATA(Dataserver__OpenUfsBlockOptions) *
	ufs_read_fill(DATA(Dataserver__OpenUfsBlockOptions) * out, const struct gfs_ufs_options *in)
{
	if (!in->present)
		return NULL;
	*out = (DATA(Dataserver__OpenUfsBlockOptions))DATA_INIT(DATASERVER__OPEN_UFS_BLOCK_OPTIONS);
	out->ufs_path = sent(in->ufs_path);
	SET(out, offset_in_file, in->offset_in_file);
	SET(out, block_size, in->block_size);
	if (in->max_concurrency)
		SET(out, maxufsreadconcurrency, in->max_concurrency);
	SET(out, mountid, in->mount_id);
	SET(out, no_cache, in->no_cache);
	SET(out, file_length, in->file_length);
	return out;
}

int read_request_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_read_request *in = message;
	GRPC(Block__ReadRequest) wire = GRPC_INIT(BLOCK__READ_REQUEST);
	DATA(Dataserver__OpenUfsBlockOptions) ufs;

	if (in->has_offset_received) {
		*out = message_ack(in->offset_received);
		return 0;
	}
	SET(&wire, block_id, in->block_id);
	SET(&wire, offset, in->offset);
	SET(&wire, length, in->length);
	SET(&wire, chunk_size, in->chunk_size);
	wire.open_ufs_block_options = ufs_read_fill(&ufs, &in->ufs);
	if (in->position_short)
		SET(&wire, position_short, true);
	if (in->prefetch_window)
		SET(&wire, prefetch_window, in->prefetch_window);
	return emit(&wire, arena, out);
}

static int ufs_read_read(const DATA(Dataserver__OpenUfsBlockOptions) * in, struct gfs_ufs_options *out)
{
	out->ufs_path = "";
	if (!in)
		return 0;
	*out = (struct gfs_ufs_options){
		.present = true,
		.ufs_path = received(in->ufs_path),
		.offset_in_file = in->offset_in_file,
		.block_size = in->block_size,
		.mount_id = in->mountid,
		.file_length = in->file_length,
		.max_concurrency = in->maxufsreadconcurrency,
		.no_cache = in->no_cache,
	};
	return REFUSE_NEGATIVES({"offset_in_file", in->offset_in_file}, {"block_size", in->block_size},
				{"file_length", in->file_length}, {"maxUfsReadConcurrency", in->maxufsreadconcurrency});
}

int read_request_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(Block__ReadRequest) *in = wire;
	struct gfs_read_request *out = message;
	int rc;

	(void)arena;
	rc = REFUSE_NEGATIVES({"block_id", in->block_id}, {"offset", in->offset}, {"length", in->length},
			      {"chunk_size", in->chunk_size}, {"offset_received", in->offset_received},
			      {"prefetch_window", in->prefetch_window});
	if (rc)
		return rc;
	out->block_id = in->block_id;
	out->offset = in->offset;
	out->length = in->length;
	out->chunk_size = in->chunk_size;
	out->position_short = in->position_short;
	out->prefetch_window = in->prefetch_window;
	out->offset_received = in->offset_received;
	out->has_offset_received = in->has_offset_received;
	return ufs_read_read(in->open_ufs_block_options, &out->ufs);
}

/* ---- WriteBlock -------------------------------------------------------------------------------------------------- */

static int command_emit(GRPC(Block__WriteRequestCommand) * command, const struct arena *arena, grpc_slice *out)
{
	GRPC(Block__WriteRequest) wire = GRPC_INIT(BLOCK__WRITE_REQUEST);

	wire.value_case = COM__QCLOUD__COS__GOOSEFS__GRPC__BLOCK__WRITE_REQUEST__VALUE_COMMAND;
	wire.command = command;
	return emit(&wire, arena, out);
}

static DATA(Dataserver__CreateUfsFileOptions) *
	ufs_write_fill(DATA(Dataserver__CreateUfsFileOptions) * out, const struct gfs_write_command *in)
{
	if (!in->ufs.present)
		return NULL;
	*out = (DATA(Dataserver__CreateUfsFileOptions))DATA_INIT(DATASERVER__CREATE_UFS_FILE_OPTIONS);
	out->ufs_path = sent(in->ufs.ufs_path);
	out->owner = sent(in->ufs.owner);
	out->group = sent(in->ufs.group);
	SET(out, mode, in->ufs.mode);
	SET(out, mount_id, in->ufs.mount_id);
	return out;
}

int write_command_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_write_command *in = message;
	GRPC(Block__WriteRequestCommand) command = GRPC_INIT(BLOCK__WRITE_REQUEST_COMMAND);
	DATA(Dataserver__CreateUfsFileOptions) ufs;

	if (in->flush) {
		SET(&command, flush, true);
		return command_emit(&command, arena, out);
	}
	SET(&command, type, (GRPC(Block__RequestType))in->type);
	SET(&command, id, in->id);
	SET(&command, offset, in->offset);
	SET(&command, space_to_reserve, in->space_to_reserve);
	SET(&command, async_write, in->async_write);
	command.create_ufs_file_options = ufs_write_fill(&ufs, in);
	return command_emit(&command, arena, out);
}

static void ufs_write_read(const DATA(Dataserver__CreateUfsFileOptions) * in, struct gfs_write_command *out)
{
	out->ufs.present = in;
	out->ufs.ufs_path = received(in ? in->ufs_path : NULL);
	out->ufs.owner = received(in ? in->owner : NULL);
	out->ufs.group = received(in ? in->group : NULL);
	out->ufs.mode = in ? in->mode & 0777 : 0;
	out->ufs.mount_id = in ? in->mount_id : 0;
}

int write_command_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(Block__WriteRequest) *request = wire;
	const GRPC(Block__WriteRequestCommand) * in;
	struct gfs_write_command *out = message;
	int rc;

	(void)arena;
	if (request->value_case != COM__QCLOUD__COS__GOOSEFS__GRPC__BLOCK__WRITE_REQUEST__VALUE_COMMAND)
		return refuse("command", "missing");
	in = request->command;
	rc = REFUSE_NEGATIVES({"id", (int)in->type == GFS_UFS_FILE ? 0 : in->id}, /* it has none, and says -1 */
			      {"offset", in->offset}, {"space_to_reserve", in->space_to_reserve});
	if (rc)
		return rc;
	out->flush = in->flush;
	out->type = (int)in->type; /* kept if unknown: to take it for a block would be wrong */
	out->id = in->id;
	out->offset = in->offset;
	out->space_to_reserve = in->space_to_reserve;
	out->async_write = in->async_write;
	ufs_write_read(in->create_ufs_file_options, out);
	return 0;
}
