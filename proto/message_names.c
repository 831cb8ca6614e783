/*
 * message_names.c: what is asked of the master's name space (spec goosefs 8).
 *
 * Options are always there, be they empty: so the clients of every version have it.
 */
#include "proto/message_codec.h"

#include "goosefs/file.pb-c.h"

/* ---- parts that many have ---------------------------------------------------------------------------------------- */

struct common {
	GRPC(File__FileSystemMasterCommonPOptions) options;
	GRPC(File__FsOpPId) op;
};

static GRPC(File__FileSystemMasterCommonPOptions) * common_fill(struct common *out, const struct gfs_common *in)
{
	if (in->absent)
		return NULL;
	*out = (struct common){
		GRPC_INIT(FILE__FILE_SYSTEM_MASTER_COMMON_POPTIONS),
		GRPC_INIT(FILE__FS_OP_PID),
	};
	SET(&out->options, syncintervalms, in->sync_interval_ms);
	if (in->op.most || in->op.least) {
		SET(&out->op, mostsignificantbits, in->op.most);
		SET(&out->op, leastsignificantbits, in->op.least);
		out->options.operationid = &out->op;
	}
	return &out->options;
}

static struct gfs_common common_read(const GRPC(File__FileSystemMasterCommonPOptions) * in)
{
	struct gfs_common out = {.sync_interval_ms = -1};

	if (!in) {
		out.absent = true;
		return out;
	}
	if (in->has_syncintervalms)
		out.sync_interval_ms = in->syncintervalms;
	if (in->operationid)
		out.op =
			(struct gfs_op_id){in->operationid->mostsignificantbits, in->operationid->leastsignificantbits};
	return out;
}

/* Each digit plus one (spec goosefs 7.4). */
static GRPC(PMode) * mode_fill(GRPC(PMode) * out, bool has, int mode)
{
	if (!has)
		return NULL;
	*out = (GRPC(PMode))GRPC_INIT(PMODE);
	out->ownerbits = (GRPC(Bits))((mode >> 6 & 7) + 1);
	out->groupbits = (GRPC(Bits))((mode >> 3 & 7) + 1);
	out->otherbits = (GRPC(Bits))((mode & 7) + 1);
	return out;
}

static int mode_read(const GRPC(PMode) * in, bool *has, int *mode)
{
	int digits[3];

	if (!in)
		return 0;
	digits[0] = (int)in->ownerbits - 1;
	digits[1] = (int)in->groupbits - 1;
	digits[2] = (int)in->otherbits - 1;
	for (int i = 0; i < 3; i++)
		if (digits[i] < 0 || digits[i] > 7)
			return refuse_number("PMode", "no such bits", digits[i] + 1LL);
	*has = true;
	*mode = digits[0] << 6 | digits[1] << 3 | digits[2];
	return 0;
}

/* A value that this protocol does not know is as good as absent: so proto2 has it. */
static int known(int value, int most)
{
	return value >= 0 && value <= most ? value : 0;
}

static DATA(Shared__FileLocation) * *locations_fill(const struct gfs_file_location *in, size_t n, struct arena *arena)
{
	DATA(Shared__FileLocation) *items = arena_array(arena, n, sizeof(*items));

	for (size_t i = 0; items && i < n; i++) {
		items[i] = (DATA(Shared__FileLocation))DATA_INIT(SHARED__FILE_LOCATION);
		SET(&items[i], blockid, in[i].block_id);
		SET(&items[i], offset, in[i].offset);
		SET(&items[i], length, in[i].length);
		items[i].worker_id = (int64_t *)in[i].workers;
		items[i].n_worker_id = in[i].nworkers;
	}
	return items ? arena_pointers(arena, items, n, sizeof(*items)) : NULL;
}

static int location_read(const DATA(Shared__FileLocation) * in, struct gfs_file_location *out)
{
	int64_t end;

	for (size_t i = 0; i < in->n_worker_id; i++)
		if (in->worker_id[i] < 0)
			return refuse_number("FileLocation.worker_id", "negative", in->worker_id[i]);
	*out = (struct gfs_file_location){
		.block_id = in->blockid,
		.offset = in->offset,
		.length = in->length,
		.workers = in->worker_id,
		.nworkers = in->n_worker_id,
	};
	if (in->length > 0 && __builtin_add_overflow(in->offset, in->length, &end))
		return refuse_number("FileLocation.length", "beyond any file", in->length);
	return REFUSE_NEGATIVES({"FileLocation.blockId", in->blockid}, {"FileLocation.offset", in->offset},
				{"FileLocation.length", in->length});
}

static int locations_read(DATA(Shared__FileLocation) * *in, size_t n, const struct gfs_file_location **out,
			  size_t *nout, struct arena *arena)
{
	struct gfs_file_location *locations = arena_array(arena, n, sizeof(*locations));
	int rc = 0;

	if (n && !locations)
		return arena_failure(arena);
	for (size_t i = 0; !rc && i < n; i++)
		rc = location_read(in[i], &locations[i]);
	*out = locations;
	*nout = n;
	return rc;
}

/* ---- GetStatus, ListStatus --------------------------------------------------------------------------------------- */

int get_status_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_get_status *in = message;
	GRPC(File__GetStatusPRequest) wire = GRPC_INIT(FILE__GET_STATUS_PREQUEST);
	GRPC(File__GetStatusPOptions) options = GRPC_INIT(FILE__GET_STATUS_POPTIONS);
	struct common common;

	wire.path = sent(in->path);
	wire.options = &options;
	if (in->has_load_type)
		SET(&options, loadmetadatatype, (GRPC(File__LoadMetadataPType))in->load_type);
	options.commonoptions = common_fill(&common, &in->common);
	if (in->resolve_link)
		SET(&options, resolvelink, true);
	return emit(&wire, arena, out);
}

static void load_type_read(struct gfs_get_status *out, bool has, int type)
{
	out->has_load_type = has && type >= GFS_LOAD_NEVER && type <= GFS_LOAD_ALWAYS;
	out->load_type = out->has_load_type ? type : GFS_LOAD_NEVER;
}

int get_status_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__GetStatusPRequest) *in = wire;
	const GRPC(File__GetStatusPOptions) *options = in->options;
	struct gfs_get_status *out = message;

	(void)arena;
	out->path = received(in->path);
	out->common = common_read(options ? options->commonoptions : NULL);
	if (!options)
		return 0;
	load_type_read(out, options->has_loadmetadatatype, options->loadmetadatatype);
	out->resolve_link = options->resolvelink;
	return 0;
}

int list_status_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_get_status *in = message;
	GRPC(File__ListStatusPRequest) wire = GRPC_INIT(FILE__LIST_STATUS_PREQUEST);
	GRPC(File__ListStatusPOptions) options = GRPC_INIT(FILE__LIST_STATUS_POPTIONS);
	struct common common;

	wire.path = sent(in->path);
	wire.options = &options;
	if (in->has_load_type)
		SET(&options, loadmetadatatype, (GRPC(File__LoadMetadataPType))in->load_type);
	options.commonoptions = common_fill(&common, &in->common);
	return emit(&wire, arena, out);
}

int list_status_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__ListStatusPRequest) *in = wire;
	const GRPC(File__ListStatusPOptions) *options = in->options;
	struct gfs_get_status *out = message;

	(void)arena;
	out->path = received(in->path);
	out->common = common_read(options ? options->commonoptions : NULL);
	if (options)
		load_type_read(out, options->has_loadmetadatatype, options->loadmetadatatype);
	return 0;
}

/* ---- CreateFile -------------------------------------------------------------------------------------------------- */

int create_file_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_create_file *in = message;
	GRPC(File__CreateFilePRequest) wire = GRPC_INIT(FILE__CREATE_FILE_PREQUEST);
	GRPC(File__CreateFilePOptions) options = GRPC_INIT(FILE__CREATE_FILE_POPTIONS);
	struct common common;
	GRPC(PMode) mode;

	wire.path = sent(in->path);
	wire.options = &options;
	SET(&options, blocksizebytes, in->block_size);
	SET(&options, recursive, in->recursive);
	options.mode = mode_fill(&mode, in->has_mode, in->mode);
	if (in->write_type)
		SET(&options, writetype, (GRPC(File__WritePType))in->write_type);
	options.commonoptions = common_fill(&common, &in->common);
	if (in->has_persistence_wait)
		SET(&options, persistencewaittime, in->persistence_wait_ms);
	return emit(&wire, arena, out);
}

int create_file_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__CreateFilePRequest) *in = wire;
	const GRPC(File__CreateFilePOptions) *options = in->options;
	struct gfs_create_file *out = message;

	(void)arena;
	out->path = received(in->path);
	out->common = common_read(options ? options->commonoptions : NULL);
	if (!options)
		return 0;
	if (options->blocksizebytes < 0)
		return refuse_number("blockSizeBytes", "negative", options->blocksizebytes);
	out->block_size = options->blocksizebytes;
	out->recursive = options->recursive;
	out->write_type = known(options->writetype, GFS_WT_NONE);
	out->has_persistence_wait = options->has_persistencewaittime;
	out->persistence_wait_ms = options->persistencewaittime;
	return mode_read(options->mode, &out->has_mode, &out->mode);
}

/* ---- CompleteFile, CommitLocation -------------------------------------------------------------------------------- */

static void crc_fill(GRPC(File__CompleteFilePOptions) * options, const struct gfs_complete_file *in)
{
	if (!in->has_crc)
		return;
	SET(options, crctype, (GRPC(ChecksumTypeProto))in->crc_type);
	SET(options, crcvalue, in->crc_value);
}

int complete_file_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_complete_file *in = message;
	GRPC(File__CompleteFilePRequest) wire = GRPC_INIT(FILE__COMPLETE_FILE_PREQUEST);
	GRPC(File__CompleteFilePOptions) options = GRPC_INIT(FILE__COMPLETE_FILE_POPTIONS);
	GRPC(File__ScheduleAsyncPersistencePOptions) persist = GRPC_INIT(FILE__SCHEDULE_ASYNC_PERSISTENCE_POPTIONS);
	struct common common;

	wire.path = sent(in->path);
	wire.options = &options;
	if (in->inode_id)
		SET(&wire, inodeid, in->inode_id);
	if (in->has_ufs_length)
		SET(&options, ufslength, in->ufs_length);
	if (in->async_persist) {
		SET(&persist, persistencewaittime, in->persistence_wait_ms);
		options.asyncpersistoptions = &persist;
	}
	options.commonoptions = common_fill(&common, &in->common);
	crc_fill(&options, in);
	options.locations = locations_fill(in->locations, in->nlocations, arena);
	options.n_locations = in->nlocations;
	if (in->force_persisted)
		SET(&options, forcepersisted, true);
	return emit(&wire, arena, out);
}

/* Both or neither (spec goosefs 8.4). A type we do not know leaves us without a checksum. */
static int crc_read(const GRPC(File__CompleteFilePOptions) * options, struct gfs_complete_file *out)
{
	bool is_known = (int)options->crctype >= GFS_CRC_NULL && (int)options->crctype <= GFS_CRC32C;

	if (!options->has_crctype || !options->has_crcvalue || !is_known)
		return 0;
	if (options->crcvalue < 0 || options->crcvalue > UINT32_MAX)
		return refuse_number("crcValue", "not of 32 bits", options->crcvalue);
	out->has_crc = true;
	out->crc_type = (int)options->crctype;
	out->crc_value = options->crcvalue;
	return 0;
}

int complete_file_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__CompleteFilePRequest) *in = wire;
	const GRPC(File__CompleteFilePOptions) *options = in->options;
	struct gfs_complete_file *out = message;
	int rc;

	out->path = received(in->path);
	out->inode_id = in->inodeid;
	out->common = common_read(options ? options->commonoptions : NULL);
	rc = REFUSE_NEGATIVES({"inodeId", in->inodeid}, {"ufsLength", options ? options->ufslength : 0});
	if (rc || !options)
		return rc;
	out->has_ufs_length = options->has_ufslength;
	out->ufs_length = options->ufslength;
	out->force_persisted = options->forcepersisted;
	out->async_persist = options->asyncpersistoptions;
	if (out->async_persist)
		out->persistence_wait_ms = options->asyncpersistoptions->persistencewaittime;
	rc = crc_read(options, out);
	if (rc)
		return rc;
	return locations_read(options->locations, options->n_locations, &out->locations, &out->nlocations, arena);
}

int commit_location_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_commit_location *in = message;
	GRPC(File__CommitLocationPRequest) wire = GRPC_INIT(FILE__COMMIT_LOCATION_PREQUEST);
	GRPC(File__CommitLocationPOptions) options = GRPC_INIT(FILE__COMMIT_LOCATION_POPTIONS);

	wire.path = sent(in->path);
	wire.options = &options;
	SET(&wire, inodeid, in->inode_id);
	SET(&wire, blockid, in->block_id);
	options.locations = locations_fill(in->locations, in->nlocations, arena);
	options.n_locations = in->nlocations;
	return emit(&wire, arena, out);
}

int commit_location_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__CommitLocationPRequest) *in = wire;
	const GRPC(File__CommitLocationPOptions) *options = in->options;
	struct gfs_commit_location *out = message;
	int rc;

	out->path = received(in->path);
	out->inode_id = in->inodeid;
	out->block_id = in->blockid;
	rc = REFUSE_NEGATIVES({"inodeId", in->inodeid}, {"blockId", in->blockid});
	if (rc || !options)
		return rc;
	return locations_read(options->locations, options->n_locations, &out->locations, &out->nlocations, arena);
}

/* ---- Remove, Rename ---------------------------------------------------------------------------------------------- */

int remove_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_remove *in = message;
	GRPC(File__DeletePRequest) wire = GRPC_INIT(FILE__DELETE_PREQUEST);
	GRPC(File__DeletePOptions) options = GRPC_INIT(FILE__DELETE_POPTIONS);
	struct common common;

	wire.path = sent(in->path);
	wire.options = &options;
	SET(&options, recursive, in->recursive);
	SET(&options, goosefsonly, in->goosefs_only);
	SET(&options, unchecked, in->unchecked);
	options.commonoptions = common_fill(&common, &in->common);
	return emit(&wire, arena, out);
}

int remove_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__DeletePRequest) *in = wire;
	const GRPC(File__DeletePOptions) *options = in->options;
	struct gfs_remove *out = message;

	(void)arena;
	out->path = received(in->path);
	out->common = common_read(options ? options->commonoptions : NULL);
	if (!options)
		return 0;
	out->recursive = options->recursive;
	out->goosefs_only = options->goosefsonly;
	out->unchecked = options->unchecked;
	return 0;
}

int rename_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_rename *in = message;
	GRPC(File__RenamePRequest) wire = GRPC_INIT(FILE__RENAME_PREQUEST);
	GRPC(File__RenamePOptions) options = GRPC_INIT(FILE__RENAME_POPTIONS);
	struct common common;

	wire.path = sent(in->path);
	wire.dstpath = sent(in->to);
	wire.options = &options;
	options.commonoptions = common_fill(&common, &in->common);
	SET(&options, persist, in->persist);
	return emit(&wire, arena, out);
}

int rename_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__RenamePRequest) *in = wire;
	const GRPC(File__RenamePOptions) *options = in->options;
	struct gfs_rename *out = message;

	(void)arena;
	out->path = received(in->path);
	out->to = received(in->dstpath);
	out->common = common_read(options ? options->commonoptions : NULL);
	out->persist = options && options->persist;
	return 0;
}

/* ---- CreateDirectory, SetAttribute ------------------------------------------------------------------------------- */

int create_directory_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_create_directory *in = message;
	GRPC(File__CreateDirectoryPRequest) wire = GRPC_INIT(FILE__CREATE_DIRECTORY_PREQUEST);
	GRPC(File__CreateDirectoryPOptions) options = GRPC_INIT(FILE__CREATE_DIRECTORY_POPTIONS);
	struct common common;
	GRPC(PMode) mode;

	wire.path = sent(in->path);
	wire.options = &options;
	SET(&options, recursive, in->recursive);
	SET(&options, allowexists, in->allow_exists);
	options.mode = mode_fill(&mode, in->has_mode, in->mode);
	if (in->write_type)
		SET(&options, writetype, (GRPC(File__WritePType))in->write_type);
	options.commonoptions = common_fill(&common, &in->common);
	return emit(&wire, arena, out);
}

int create_directory_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__CreateDirectoryPRequest) *in = wire;
	const GRPC(File__CreateDirectoryPOptions) *options = in->options;
	struct gfs_create_directory *out = message;

	(void)arena;
	out->path = received(in->path);
	out->common = common_read(options ? options->commonoptions : NULL);
	if (!options)
		return 0;
	out->recursive = options->recursive;
	out->allow_exists = options->allowexists;
	out->write_type = known(options->writetype, GFS_WT_NONE);
	return mode_read(options->mode, &out->has_mode, &out->mode);
}

int set_attribute_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_set_attribute *in = message;
	GRPC(File__SetAttributePRequest) wire = GRPC_INIT(FILE__SET_ATTRIBUTE_PREQUEST);
	GRPC(File__SetAttributePOptions) options = GRPC_INIT(FILE__SET_ATTRIBUTE_POPTIONS);
	struct common common;
	GRPC(PMode) mode;

	wire.path = sent(in->path);
	wire.options = &options;
	options.owner = sent(in->owner);
	options.group = sent(in->group);
	options.mode = mode_fill(&mode, in->has_mode, in->mode);
	if (in->recursive)
		SET(&options, recursive, true);
	options.commonoptions = common_fill(&common, &in->common);
	return emit(&wire, arena, out);
}

int set_attribute_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__SetAttributePRequest) *in = wire;
	const GRPC(File__SetAttributePOptions) *options = in->options;
	struct gfs_set_attribute *out = message;

	(void)arena;
	out->path = received(in->path);
	out->owner = received(options ? options->owner : NULL);
	out->group = received(options ? options->group : NULL);
	out->common = common_read(options ? options->commonoptions : NULL);
	if (!options)
		return 0;
	out->recursive = options->recursive;
	return mode_read(options->mode, &out->has_mode, &out->mode);
}

/* ---- symbolic links ---------------------------------------------------------------------------------------------- */

int create_symlink_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_create_symlink *in = message;
	GRPC(File__CreateSymlinkPRequest) wire = GRPC_INIT(FILE__CREATE_SYMLINK_PREQUEST);
	GRPC(File__CreateSymlinkPOptions) options = GRPC_INIT(FILE__CREATE_SYMLINK_POPTIONS);
	struct common common;
	GRPC(PMode) mode;

	wire.link = sent(in->link);
	wire.options = &options;
	options.target = sent(in->target);
	options.commonoptions = common_fill(&common, &in->common);
	options.mode = mode_fill(&mode, in->has_mode, in->mode);
	return emit(&wire, arena, out);
}

int create_symlink_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__CreateSymlinkPRequest) *in = wire;
	const GRPC(File__CreateSymlinkPOptions) *options = in->options;
	struct gfs_create_symlink *out = message;

	(void)arena;
	out->link = received(in->link);
	out->target = received(options ? options->target : NULL);
	out->common = common_read(options ? options->commonoptions : NULL);
	return options ? mode_read(options->mode, &out->has_mode, &out->mode) : 0;
}

int get_link_target_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_get_link_target *in = message;
	GRPC(File__GetLinkTargetPRequest) wire = GRPC_INIT(FILE__GET_LINK_TARGET_PREQUEST);

	wire.link = sent(in->link);
	return emit(&wire, arena, out);
}

int get_link_target_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__GetLinkTargetPRequest) *in = wire;
	struct gfs_get_link_target *out = message;

	(void)arena;
	out->link = received(in->link);
	return 0;
}

int link_target_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_link_target *in = message;
	GRPC(File__GetLinkTargetPResponse) wire = GRPC_INIT(FILE__GET_LINK_TARGET_PRESPONSE);

	wire.target = sent(in->target);
	return emit(&wire, arena, out);
}

int link_target_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__GetLinkTargetPResponse) *in = wire;
	struct gfs_link_target *out = message;

	(void)arena;
	out->target = received(in->target);
	return 0;
}

/* ---- ScheduleAsyncPersistence ------------------------------------------------------------------------------------ */

int schedule_persist_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_schedule_persist *in = message;
	GRPC(File__ScheduleAsyncPersistencePRequest) wire = GRPC_INIT(FILE__SCHEDULE_ASYNC_PERSISTENCE_PREQUEST);
	GRPC(File__ScheduleAsyncPersistencePOptions) options = GRPC_INIT(FILE__SCHEDULE_ASYNC_PERSISTENCE_POPTIONS);
	struct common common;

	wire.path = sent(in->path);
	wire.options = &options;
	options.commonoptions = common_fill(&common, &in->common);
	if (in->has_wait)
		SET(&options, persistencewaittime, in->wait_ms);
	return emit(&wire, arena, out);
}

int schedule_persist_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(File__ScheduleAsyncPersistencePRequest) *in = wire;
	const GRPC(File__ScheduleAsyncPersistencePOptions) *options = in->options;
	struct gfs_schedule_persist *out = message;

	(void)arena;
	out->path = received(in->path);
	out->common = common_read(options ? options->commonoptions : NULL);
	out->has_wait = options && options->has_persistencewaittime;
	out->wait_ms = options ? options->persistencewaittime : 0;
	return 0;
}
