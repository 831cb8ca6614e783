/*
 * message_plain.c: the messages of message.def, to the wire and back.
 *
 * The table is read twice: its rows become the bodies of the functions that pack, and of those that unpack.
 */
#include "proto/message_codec.h"

#include "goosefs/block_worker.pb-c.h"
#include "goosefs/file.pb-c.h"
#include "goosefs/version.pb-c.h"
#include "goosefs/worker_manager.pb-c.h"

/* ---- what takes a function --------------------------------------------------------------------------------------- */

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

static GRPC(File__ScheduleAsyncPersistencePOptions) *
	persist_fill(GRPC(File__ScheduleAsyncPersistencePOptions) * out, const struct gfs_complete_file *in)
{
	if (!in->async_persist)
		return NULL;
	*out = (GRPC(File__ScheduleAsyncPersistencePOptions))GRPC_INIT(FILE__SCHEDULE_ASYNC_PERSISTENCE_POPTIONS);
	SET(out, persistencewaittime, in->persistence_wait_ms);
	return out;
}

static void load_type_read(struct gfs_get_status *out, bool has, int type)
{
	out->has_load_type = has && type >= GFS_LOAD_NEVER && type <= GFS_LOAD_ALWAYS;
	out->load_type = out->has_load_type ? type : GFS_LOAD_NEVER;
}

/* rc, or a complaint. */
static int at_least_0(int rc, const char *said, int64_t value)
{
	return !rc && value < 0 ? refuse_number(said, "negative", value) : rc;
}

/* ---- to the wire ------------------------------------------------------------------------------------------------- */

struct parts { /* of a message that is being packed */
	struct common common;
	GRPC(PMode) mode;
	GRPC(File__ScheduleAsyncPersistencePOptions) persist;
};

#define MESSAGE(name, ours, Shape, SHAPE)                                                                              \
	int name##_pack(const void *message, struct arena *arena, grpc_slice *out)                                     \
	{                                                                                                              \
		const struct ours *in = message;                                                                       \
		GRPC(Shape) shape = GRPC_INIT(SHAPE), *wire = &shape;
#define REQUEST(name, ours, Shape, SHAPE)                                                                              \
	MESSAGE(name, ours, File__##Shape##PRequest, FILE__##SHAPE##_PREQUEST)                                         \
	GRPC(File__##Shape##POptions) shape_options = GRPC_INIT(FILE__##SHAPE##_POPTIONS), *options = &shape_options;  \
	struct parts parts;                                                                                            \
                                                                                                                       \
	(void)parts;                                                                                                   \
	wire->options = options;
#define END                                                                                                            \
	return emit(wire, arena, out);                                                                                 \
	}

#define TEXT(at, field, ours)  at->field = sent(in->ours);
#define VALUE(at, field, ours) SET(at, field, in->ours);
#define VALUE_IF(at, field, ours, has)                                                                                 \
	if (in->has)                                                                                                   \
		SET(at, field, in->ours);
#define TRUE(at, field, ours)               VALUE_IF(at, field, ours, ours)
#define SIZE(at, field, said, ours)         VALUE(at, field, ours)
#define SIZE_IF(at, field, said, ours, has) VALUE_IF(at, field, ours, has)
#define ID(at, field, said, ours)           VALUE_IF(at, field, ours, ours)
#define HOLDS(condition, said, why)

#define COMMON     options->commonoptions = common_fill(&parts.common, &in->common);
#define MODE       options->mode = mode_fill(&parts.mode, in->has_mode, in->mode);
#define WRITE_TYPE VALUE_IF(options, writetype, write_type, write_type)
#define LOAD_TYPE  VALUE_IF(options, loadmetadatatype, load_type, has_load_type)
#define LOCATIONS                                                                                                      \
	options->locations = locations_fill(in->locations, in->nlocations, arena);                                     \
	options->n_locations = in->nlocations;
#define CHECKSUM                                                                                                       \
	VALUE_IF(options, crctype, crc_type, has_crc)                                                                  \
	VALUE_IF(options, crcvalue, crc_value, has_crc)
#define PERSIST options->asyncpersistoptions = persist_fill(&parts.persist, in);

#include "proto/message.def"

/* ---- from the wire ----------------------------------------------------------------------------------------------- */

#define MESSAGE(name, ours, Shape, SHAPE)                                                                              \
	int name##_unpack(const void *unpacked, void *message, struct arena *arena)                                    \
	{                                                                                                              \
		const GRPC(Shape) *wire = unpacked;                                                                    \
		struct ours *out = message;                                                                            \
		int rc = 0;                                                                                            \
                                                                                                                       \
		(void)arena;
#define REQUEST(name, ours, Shape, SHAPE)                                                                              \
	MESSAGE(name, ours, File__##Shape##PRequest, FILE__##SHAPE##_PREQUEST)                                         \
	static const GRPC(File__##Shape##POptions) none = GRPC_INIT(FILE__##SHAPE##_POPTIONS);                         \
	const GRPC(File__##Shape##POptions) *options = wire->options ? wire->options : &none;
#define END                                                                                                            \
	return rc;                                                                                                     \
	}

#define TEXT(at, field, ours)  out->ours = received(at->field);
#define VALUE(at, field, ours) out->ours = at->field;
#define VALUE_IF(at, field, ours, has)                                                                                 \
	out->has = at->has_##field;                                                                                    \
	out->ours = at->field;
#define TRUE(at, field, ours) VALUE(at, field, ours)
#define SIZE(at, field, said, ours)                                                                                    \
	VALUE(at, field, ours)                                                                                         \
	rc = at_least_0(rc, said, out->ours);
#define SIZE_IF(at, field, said, ours, has)                                                                            \
	VALUE_IF(at, field, ours, has)                                                                                 \
	rc = at_least_0(rc, said, out->ours);
#define ID(at, field, said, ours) SIZE(at, field, said, ours)
#define HOLDS(condition, said, why)                                                                                    \
	if (!rc && !(condition))                                                                                       \
		rc = refuse(said, why);

#define COMMON     out->common = common_read(options->commonoptions);
#define MODE       rc = rc ? rc : mode_read(options->mode, &out->has_mode, &out->mode);
#define WRITE_TYPE out->write_type = known((int)options->writetype, GFS_WT_NONE);
#define LOAD_TYPE  load_type_read(out, options->has_loadmetadatatype, (int)options->loadmetadatatype);
#define LOCATIONS                                                                                                      \
	rc = rc ? rc                                                                                                   \
		: locations_read(options->locations, options->n_locations, &out->locations, &out->nlocations, arena);
#define CHECKSUM rc = rc ? rc : crc_read(options, out);
#define PERSIST                                                                                                        \
	out->async_persist = options->asyncpersistoptions;                                                             \
	out->persistence_wait_ms = out->async_persist ? options->asyncpersistoptions->persistencewaittime : 0;

#include "proto/message.def"
