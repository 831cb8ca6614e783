/*
 * message.c: which codec each RPC's messages have, and the way in and out.
 */
#include "proto/message_codec.h"

#include "goosefs/block_worker.pb-c.h"
#include "goosefs/file.pb-c.h"
#include "goosefs/metric.pb-c.h"
#include "goosefs/sasl.pb-c.h"
#include "goosefs/version.pb-c.h"
#include "goosefs/worker_manager.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- which is which ---------------------------------------------------------------------------------------------- */

static int empty_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	(void)message, (void)arena;
	*out = grpc_empty_slice();
	return 0;
}

static int empty_unpack(const void *wire, void *message, struct arena *arena)
{
	(void)wire, (void)message, (void)arena;
	return 0;
}

/* The shape of the message, and the codec of its struct. */
#define MESSAGE(shape, name)                                                                                           \
	{                                                                                                              \
		GRPC_WIRE(shape), name##_pack, name##_unpack                                                           \
	}

static const struct codec codecs[RPC_COUNT][2] = {
	[RPC_GET_STATUS] = {MESSAGE(file__get_status_prequest, get_status),
			    MESSAGE(file__get_status_presponse, file_reply)},
	[RPC_LIST_STATUS] = {MESSAGE(file__list_status_prequest, list_status),
			     MESSAGE(file__list_status_presponse, list_reply)},
	[RPC_CREATE_FILE] = {MESSAGE(file__create_file_prequest, create_file),
			     MESSAGE(file__create_file_presponse, file_reply)},
	[RPC_COMPLETE_FILE] = {MESSAGE(file__complete_file_prequest, complete_file),
			       MESSAGE(file__complete_file_presponse, empty)},
	[RPC_COMMIT_LOCATION] = {MESSAGE(file__commit_location_prequest, commit_location),
				 MESSAGE(file__commit_location_presponse, empty)},
	[RPC_REMOVE_BLOCKS] = {MESSAGE(file__remove_blocks_prequest, remove_blocks),
			       MESSAGE(file__remove_blocks_presponse, empty)},
	[RPC_REMOVE] = {MESSAGE(file__delete_prequest, remove), MESSAGE(file__delete_presponse, empty)},
	[RPC_RENAME] = {MESSAGE(file__rename_prequest, rename), MESSAGE(file__rename_presponse, empty)},
	[RPC_CREATE_DIRECTORY] = {MESSAGE(file__create_directory_prequest, create_directory),
				  MESSAGE(file__create_directory_presponse, empty)},
	[RPC_SET_ATTRIBUTE] = {MESSAGE(file__set_attribute_prequest, set_attribute),
			       MESSAGE(file__set_attribute_presponse, empty)},
	[RPC_CREATE_SYMLINK] = {MESSAGE(file__create_symlink_prequest, create_symlink),
				MESSAGE(file__create_symlink_presponse, empty)},
	[RPC_GET_LINK_TARGET] = {MESSAGE(file__get_link_target_prequest, get_link_target),
				 MESSAGE(file__get_link_target_presponse, link_target)},
	[RPC_SCHEDULE_PERSIST] = {MESSAGE(file__schedule_async_persistence_prequest, schedule_persist),
				  MESSAGE(file__schedule_async_persistence_presponse, empty)},
	[RPC_GET_WORKERS] = {MESSAGE(block__get_worker_info_list_poptions, empty),
			     MESSAGE(block__get_worker_info_list_presponse, worker_list)},
	[RPC_GET_CAPACITY] = {MESSAGE(block__get_capacity_bytes_poptions, empty),
			      MESSAGE(block__get_capacity_bytes_presponse, capacity)},
	[RPC_GET_USED] = {MESSAGE(block__get_used_bytes_poptions, empty),
			  MESSAGE(block__get_used_bytes_presponse, used)},
	[RPC_GET_VERSION] = {MESSAGE(version__get_service_version_prequest, get_version),
			     MESSAGE(version__get_service_version_presponse, version)},
	[RPC_METRICS_HEARTBEAT] = {MESSAGE(metric__metrics_heartbeat_prequest, metrics_heartbeat),
				   MESSAGE(metric__metrics_heartbeat_presponse, empty)},
	[RPC_CHECK_BLOCKS] = {MESSAGE(block__check_blocks_request, check_blocks),
			      MESSAGE(block__check_blocks_response, check_blocks_reply)},
	[RPC_READ_BLOCK] = {MESSAGE(block__read_request, read_request), {0}}, /* a body */
	[RPC_WRITE_BLOCK] = {MESSAGE(block__write_request, write_command), MESSAGE(block__write_response, write_reply)},
	[RPC_OPEN_LOCAL_BLOCK] = {MESSAGE(block__open_local_block_request, open_local),
				  MESSAGE(block__open_local_block_response, local_block)},
};

struct body {
	void *backing;
};

static const size_t sizes[RPC_COUNT][2] = {
#define RPC(ID, service, method, kind, REQUEST, REPLY, ...) [RPC_##ID] = {sizeof(struct REQUEST), sizeof(struct REPLY)},
#include "proto/rpc.def"
#undef RPC
};

static const struct codec *codec_of(enum rpc_id id, bool reply)
{
	const struct codec *codec = (unsigned)id < RPC_COUNT ? &codecs[id][reply] : NULL;

	return codec && codec->wire ? codec : NULL;
}

enum message_body message_body_kind(enum rpc_id id, bool reply)
{
	if (id == RPC_READ_BLOCK && reply)
		return BODY_READ;
	return id == RPC_WRITE_BLOCK && !reply ? BODY_WRITE : BODY_NONE;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

int emit(const void *wire, const struct arena *arena, grpc_slice *out)
{
	if (arena && (arena->out_of_memory || arena->out_of_room))
		return -ENOMEM;
	*out = grpc_slice_malloc(protobuf_c_message_get_packed_size(wire));
	protobuf_c_message_pack(wire, GRPC_SLICE_START_PTR(*out));
	return 0;
}

int message_pack(enum rpc_id id, bool reply, const void *message, grpc_slice *out)
{
	const struct codec *codec = codec_of(id, reply);
	struct arena arena;
	int rc;

	if (!codec || !message)
		return -EINVAL;
	arena_init(&arena);
	rc = codec->pack(message, &arena, out);
	arena_release(arena.chunks);
	return rc;
}

int gfs_pack(enum rpc_id id, bool reply, const void *message, void **out, size_t *bytes)
{
	grpc_slice slice;
	int rc = message_pack(id, reply, message, &slice);

	if (rc)
		return rc;
	*bytes = GRPC_SLICE_LENGTH(slice);
	*out = malloc(*bytes + 1);
	if (*out)
		memcpy(*out, GRPC_SLICE_START_PTR(slice), *bytes);
	grpc_slice_unref(slice);
	return *out ? 0 : -ENOMEM;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

int message_unpack(enum rpc_id id, bool reply, const void *in, size_t bytes, void *message)
{
	const struct codec *codec = codec_of(id, reply);
	struct arena arena;
	void *wire;
	int rc;

	if (!codec)
		return refuse("message", "there is none such");
	memset(message, 0, sizes[id][reply]);
	arena_init_for(&arena, bytes);
	rc = arena_unpack(&arena, codec->wire, in, bytes, &wire);
	if (!rc)
		rc = codec->unpack(wire, message, &arena);
	if (rc) {
		arena_release(arena.chunks);
		memset(message, 0, sizes[id][reply]);
		return rc;
	}
	*(struct arena_chunk **)message = arena.chunks;
	return 0;
}

int gfs_unpack(enum rpc_id id, bool reply, const void *in, size_t bytes, void *message)
{
	return message_unpack(id, reply, in, bytes, message);
}

void rpc_release(void *message)
{
	struct gfs_empty *any = message; /* all begin alike */

	if (!any)
		return;
	arena_release(any->backing);
	any->backing = NULL;
}

/* ---- the handshake ----------------------------------------------------------------------------------------------- */

int sasl_pack(const struct sasl_message *in, grpc_slice *out)
{
	GRPC(Sasl__SaslMessage) wire = GRPC_INIT(SASL__SASL_MESSAGE);

	SET(&wire, messagetype, (GRPC(Sasl__SaslMessageType))in->type);
	if (in->message)
		SET(&wire, message, ((ProtobufCBinaryData){in->message_bytes, (uint8_t *)in->message}));
	wire.clientid = sent(in->client_id);
	if (in->has_scheme)
		SET(&wire, authenticationscheme, (GRPC(Sasl__ChannelAuthenticationScheme))in->scheme);
	wire.channelref = sent(in->channel_ref);
	return emit(&wire, NULL, out);
}

int sasl_unpack(const void *in, size_t bytes, struct sasl_message *out)
{
	const GRPC(Sasl__SaslMessage) * wire;
	struct arena arena;
	void *unpacked;
	int rc;

	memset(out, 0, sizeof(*out));
	arena_init_for(&arena, bytes);
	rc = arena_unpack(&arena, GRPC_WIRE(sasl__sasl_message), in, bytes, &unpacked);
	if (rc) {
		arena_release(arena.chunks);
		return rc;
	}
	wire = unpacked;
	*out = (struct sasl_message){
		.type = wire->messagetype == 1,
		.message = wire->message.len ? (const void *)wire->message.data : "",
		.message_bytes = wire->message.len,
		.client_id = received(wire->clientid),
		.channel_ref = received(wire->channelref),
		.scheme = wire->authenticationscheme,
		.has_scheme = wire->has_authenticationscheme,
		.backing = arena.chunks,
	};
	return 0;
}

void sasl_release(struct sasl_message *message)
{
	arena_release(message->backing);
	memset(message, 0, sizeof(*message));
}
