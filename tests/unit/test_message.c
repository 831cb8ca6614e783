/* test_message.c: every message as other GooseFS clients and servers write it (spec goosefs 17.1), and as nobody should. */
#include "proto/goosefs.h"
#include "proto/message.h"
#include "proto/message_codec.h"
#include "tests/unit/unit.h"
#include "tests/unit/chance.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define OP                                                                                                             \
	{                                                                                                              \
		-568210367123275312, -6384696206158828554                                                              \
	}
#define COMMON_OP                                                                                                      \
	{                                                                                                              \
		.sync_interval_ms = -1, .op = OP                                                                       \
	}
#define COMMON                                                                                                         \
	{                                                                                                              \
		.sync_interval_ms = -1                                                                                 \
	}
#define NO_COMMON                                                                                                      \
	{                                                                                                              \
		.sync_interval_ms = -1, .absent = true                                                                 \
	}
#define BLOCK 16777216
#define INODE 33554431

/* ---- bytes ------------------------------------------------------------------------------------------------------ */

struct bytes {
	unsigned char *data; /* of exactly this size, so that a sanitizer sees who goes too far */
	size_t n;
};

static struct bytes bytes_copy(const void *data, size_t n)
{
	struct bytes b = {malloc(n), n};

	assert_true(b.data || !n);
	if (n)
		memcpy(b.data, data, n);
	return b;
}

static struct bytes unhex(const char *hex)
{
	struct bytes b = {malloc(strlen(hex) / 2), strlen(hex) / 2};

	for (size_t i = 0; i < b.n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		b.data[i] = (unsigned char)byte;
	}
	return b;
}

/* Room for any struct of goosefs.h. */
union message {
	void *backing;
	struct gfs_get_status get_status;
	struct gfs_file_reply file;
	struct gfs_list_reply list;
	struct gfs_create_file create_file;
	struct gfs_complete_file complete_file;
	struct gfs_commit_location commit_location;
	struct gfs_block_ids block_ids;
	struct gfs_check_blocks_reply check_blocks;
	struct gfs_remove remove;
	struct gfs_rename rename;
	struct gfs_create_directory create_directory;
	struct gfs_set_attribute set_attribute;
	struct gfs_create_symlink create_symlink;
	struct gfs_get_link_target get_link_target;
	struct gfs_link_target link_target;
	struct gfs_schedule_persist schedule_persist;
	struct gfs_worker_list workers;
	struct gfs_bytes bytes;
	struct gfs_get_version get_version;
	struct gfs_version version;
	struct gfs_metrics_heartbeat metrics;
	struct gfs_read_request read;
	struct gfs_write_command write;
	struct gfs_write_reply write_reply;
	struct gfs_open_local open_local;
	struct gfs_local_block local_block;
};

static int unpack_hex(enum rpc_id id, bool reply, const char *hex, union message *out)
{
	struct bytes b = unhex(hex);
	int rc = gfs_unpack(id, reply, b.data, b.n, out);

	free(b.data); /* nothing may point into it */
	return rc;
}

/* What comes of a message on its way over the wire. */
static int pass(enum rpc_id id, bool reply, const void *message, union message *out)
{
	void *data;
	size_t n;
	int rc;

	assert_int_equal(gfs_pack(id, reply, message, &data, &n), 0);
	rc = gfs_unpack(id, reply, data, n, out);
	free(data);
	return rc;
}

/* ---- vectors ---------------------------------------------------------------------------------------------------- */

static const int64_t worker_ids[] = {1, 2}, block_ids[] = {BLOCK, BLOCK + 1};
static const struct gfs_file_location last_block[] = {{BLOCK, 0, 9, worker_ids, 2}};
static const struct gfs_file_location first_block[] = {{BLOCK, 0, 67108864, worker_ids, 2}};
static const struct gfs_metric metric = {"Client", "app1", "BytesReadLocal", 1024, 1};
static const struct {
	int64_t id, bytes;
} cached[] = {{BLOCK, 67108864}};

#define UFS(LENGTH, WHOLE)                                                                                             \
	{                                                                                                              \
		.present = true, .ufs_path = "file:///u/f", .block_size = LENGTH, .mount_id = 1, .file_length = WHOLE, \
		.max_concurrency = 8                                                                                   \
	}
#define REQUEST(ID, STRUCT, HEX, ...)                                                                                  \
	{                                                                                                              \
		RPC_##ID, false, HEX, &(struct STRUCT)                                                                 \
		{                                                                                                      \
			__VA_ARGS__                                                                                    \
		}                                                                                                      \
	}
#define REPLY(ID, STRUCT, HEX, ...)                                                                                    \
	{                                                                                                              \
		RPC_##ID, true, HEX, &(struct STRUCT)                                                                  \
		{                                                                                                      \
			__VA_ARGS__                                                                                    \
		}                                                                                                      \
	}

static const struct vector {
	enum rpc_id id;
	bool reply;
	const char *hex;
	const void *message; /* NULL: we read it, but would not write it so */
} vectors[] = {
	REQUEST(GET_VERSION, gfs_get_version, "08071000", .service_type = 7),
	REPLY(GET_VERSION, gfs_version, "0801", .version = 1),
	REQUEST(GET_STATUS, gfs_get_status, "0a042f612f62120f0801120b08ffffffffffffffffff01", .path = "/a/b",
		.load_type = GFS_LOAD_ONCE, .has_load_type = true, .common = COMMON),
	REQUEST(GET_STATUS, gfs_get_status, "0a042f612f661206080212020800", .path = "/a/f",
		.load_type = GFS_LOAD_ALWAYS, .has_load_type = true, .common = {0}),
	REQUEST(LIST_STATUS, gfs_get_status, "0a022f61120f0801120b08ffffffffffffffffff01", .path = "/a",
		.load_type = GFS_LOAD_ONCE, .has_load_type = true, .common = COMMON),
	REQUEST(CREATE_FILE, gfs_create_file,
		"0a042f612f661238088080802010011a0608071005180520012a2308ffffffffffffffffff01221608d083b1efe7f5d38ef8"
		"0110f6d7f9c88c94c0b2a7013000",
		.path = "/a/f", .block_size = 67108864, .recursive = true, .mode = 0644, .has_mode = true,
		.write_type = GFS_MUST_CACHE, .has_persistence_wait = true, .common = COMMON_OP),
	REQUEST(CREATE_DIRECTORY, gfs_create_directory,
		"0a022f611231080110011a060808100618062a2308ffffffffffffffffff01221608d083b1efe7f5d38ef80110f6d7f9c88c"
		"94c0b2a701",
		.path = "/a", .recursive = true, .allow_exists = true, .mode = 0755, .has_mode = true,
		.common = COMMON_OP),
	REQUEST(REMOVE, gfs_remove,
		"0a022f61122b080110001801222308ffffffffffffffffff01221608d083b1efe7f5d38ef80110f6d7f9c88c94c0b2a701",
		.path = "/a", .recursive = true, .unchecked = true, .common = COMMON_OP),
	REQUEST(RENAME, gfs_rename,
		"0a042f612f6612042f612f671a270a2308ffffffffffffffffff01221608d083b1efe7f5d38ef80110f6d7f9c88c94c0b2a7"
		"011000",
		.path = "/a/f", .to = "/a/g", .common = COMMON_OP),
	REQUEST(COMPLETE_FILE, gfs_complete_file,
		"0a042f612f66122f08091a2308ffffffffffffffffff01221608d083b1efe7f5d38ef80110f6d7f9c88c94c0b2a701200228"
		"83a59a980e18ffffff0f",
		.path = "/a/f", .inode_id = INODE, .ufs_length = 9, .has_ufs_length = true, .crc_type = GFS_CRC32C,
		.crc_value = 0xe3069283, .has_crc = true, .common = COMMON_OP),
	REQUEST(COMPLETE_FILE, gfs_complete_file,
		"0a042f612f6612420809120210001a2308ffffffffffffffffff01221608d083b1efe7f5d38ef80110f6d7f9c88c94c0b2a7"
		"0120022883a59a980e320d0880808008100018092001200218ffffff0f",
		.path = "/a/f", .inode_id = INODE, .ufs_length = 9, .has_ufs_length = true, .async_persist = true,
		.crc_type = GFS_CRC32C, .crc_value = 0xe3069283, .has_crc = true, .locations = last_block,
		.nlocations = 1, .common = COMMON_OP),
	REQUEST(COMPLETE_FILE, gfs_complete_file,
		"0a042f612f66123108091a2308ffffffffffffffffff01221608d083b1efe7f5d38ef80110f6d7f9c88c94c0b2a701200228"
		"83a59a980e380118ffffff0f",
		.path = "/a/f", .inode_id = INODE, .ufs_length = 9, .has_ufs_length = true, .crc_type = GFS_CRC32C,
		.crc_value = 0xe3069283, .has_crc = true, .force_persisted = true, .common = COMMON_OP),
	REQUEST(COMMIT_LOCATION, gfs_commit_location,
		"0a042f612f6610ffffff0f188080800822120a1008808080081000188080802020012002", .path = "/a/f",
		.inode_id = INODE, .block_id = BLOCK, .locations = first_block, .nlocations = 1),
	REQUEST(SCHEDULE_PERSIST, gfs_schedule_persist, "0a042f612f66120d0a0b08ffffffffffffffffff01", .path = "/a/f",
		.common = COMMON),
	REQUEST(READ_BLOCK, gfs_read_request,
		"088080800810001864208080402a1b0a0b66696c653a2f2f2f752f66100018ac0220082801300048ac02",
		.block_id = BLOCK, .length = 100, .chunk_size = 1 << 20, .ufs = UFS(300, 300)),
	REQUEST(READ_BLOCK, gfs_read_request,
		"088080800810001864208080402a1b0a0b66696c653a2f2f2f752f66100018ac0220082801300048ac023801",
		.block_id = BLOCK, .length = 100, .chunk_size = 1 << 20, .ufs = UFS(300, 300), .position_short = true),
	/* Older forms. */
	REQUEST(GET_STATUS, gfs_get_status, "0a042f612f621200", .path = "/a/b", .common = NO_COMMON),
	REQUEST(LIST_STATUS, gfs_get_status, "0a022f6112020801", .path = "/a", .load_type = GFS_LOAD_ONCE,
		.has_load_type = true, .common = NO_COMMON),
	REQUEST(LIST_STATUS, gfs_get_status, "0a022f611200", .path = "/a", .common = NO_COMMON),
	REQUEST(CREATE_FILE, gfs_create_file, "0a042f612f661211088080802010011a060807100518052001", .path = "/a/f",
		.block_size = 67108864, .recursive = true, .mode = 0644, .has_mode = true, .write_type = GFS_MUST_CACHE,
		.common = NO_COMMON),
	REQUEST(CREATE_DIRECTORY, gfs_create_directory, "0a022f61120e080110011a060808100618062003", .path = "/a",
		.recursive = true, .allow_exists = true, .mode = 0755, .has_mode = true,
		.write_type = GFS_CACHE_THROUGH, .common = NO_COMMON),
	REQUEST(CREATE_DIRECTORY, gfs_create_directory, "0a022f61120c080110011a06080810061806", .path = "/a",
		.recursive = true, .allow_exists = true, .mode = 0755, .has_mode = true, .common = NO_COMMON),
	REQUEST(REMOVE, gfs_remove, "0a022f611206080110001800", .path = "/a", .recursive = true, .common = NO_COMMON),
	REQUEST(SCHEDULE_PERSIST, gfs_schedule_persist, "0a042f612f661200", .path = "/a/f", .common = NO_COMMON),
	{RPC_COMPLETE_FILE, false, "0a042f612f66121c08051a18221608d083b1efe7f5d38ef80110f6d7f9c88c94c0b2a701", NULL},
	{RPC_RENAME, false, "0a042f612f6612042f612f671a00", NULL},
	/* Unchanged. */
	REQUEST(REMOVE_BLOCKS, gfs_block_ids, "08808080080881808008", .ids = block_ids, .n = 2),
	REQUEST(READ_BLOCK, gfs_read_request, "0880808008100018808040208080405808", .block_id = BLOCK,
		.length = 1 << 20, .chunk_size = 1 << 20, .prefetch_window = 8),
	REQUEST(READ_BLOCK, gfs_read_request,
		"08808080081080201864208080402a1f0a0b66696c653a2f2f2f752f661000188080802020082801300048c096b1023801",
		.block_id = BLOCK, .offset = 4096, .length = 100, .chunk_size = 1 << 20, .position_short = true,
		.ufs = UFS(67108864, 5000000)),
	REQUEST(READ_BLOCK, gfs_read_request, "30808040", .offset_received = 1 << 20, .has_offset_received = true),
	REQUEST(WRITE_BLOCK, gfs_write_command, "0a1008001080808008180030808080204800", .id = BLOCK,
		.space_to_reserve = 67108864),
	REQUEST(WRITE_BLOCK, gfs_write_command,
		"0a3d080110ffffffffffffffffff0118002a200a0b66696c653a2f2f2f752f661205616c6963651a05737461666620a40328"
		"0130ffffffffffffffff7f4800",
		.type = GFS_UFS_FILE, .id = -1, .space_to_reserve = INT64_MAX,
		.ufs = {true, "file:///u/f", "alice", "staff", 0644, 1}),
	REQUEST(WRITE_BLOCK, gfs_write_command, "0a022001", .flush = true),
	REPLY(WRITE_BLOCK, gfs_write_reply, "0805", .offset = 5, .has_offset = true),
	REPLY(WRITE_BLOCK, gfs_write_reply, "", .has_offset = false),
	REQUEST(OPEN_LOCAL_BLOCK, gfs_open_local, "088080800818c096b102", .block_id = BLOCK, .block_size = 5000000),
	REPLY(OPEN_LOCAL_BLOCK, gfs_local_block, "0a132f6465762f73686d2f772f313637373732313610c096b102",
	      .path = "/dev/shm/w/16777216", .block_size = 5000000, .has_block_size = true),
	REQUEST(CHECK_BLOCKS, gfs_block_ids, "08808080080881808008", .ids = block_ids, .n = 2),
	REPLY(CHECK_BLOCKS, gfs_check_blocks_reply, "0a0a08808080081080808020", .cached = (const void *)cached, .n = 1),
	REQUEST(METRICS_HEARTBEAT, gfs_metrics_heartbeat,
		"0a330a310a046170703112290a06436c69656e741204617070311a0e4279746573526561644c6f63616c2100000000000090"
		"402801",
		.metrics = &metric, .n = 1),
	{RPC_GET_WORKERS, true, "0a1a080112140a093132372e302e302e3110f34718f34720f4472001", NULL},
};

static void vectors_are_packed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct bytes want = unhex(v->hex);
		void *data;
		size_t n;

		if (v->message) {
			assert_int_equal(gfs_pack(v->id, v->reply, v->message, &data, &n), 0);
			assert_int_equal(n, want.n);
			assert_memory_equal(data, want.data, n);
			free(data);
		}
		free(want.data);
	}
}

/* Nothing is lost on the way in: packed again, they are the same bytes. */
static void vectors_are_unpacked(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct bytes want = unhex(v->hex);
		union message got;
		void *data;
		size_t n;

		assert_int_equal(unpack_hex(v->id, v->reply, v->hex, &got), 0);
		assert_int_equal(gfs_pack(v->id, v->reply, &got, &data, &n), 0);
		if (v->message) {
			assert_int_equal(n, want.n);
			assert_memory_equal(data, want.data, n);
		}
		free(data);
		free(want.data);
		rpc_release(&got);
		assert_null(got.backing);
	}
}

static void older_forms_are_understood(void **state)
{
	union message got;

	(void)state;
	assert_int_equal(unpack_hex(RPC_COMPLETE_FILE, false,
				    "0a042f612f66121c08051a18221608d083b1efe7f5d38ef80110f6d7f9c88c94c0b2a701", &got),
			 0);
	assert_string_equal(got.complete_file.path, "/a/f");
	assert_true(got.complete_file.has_ufs_length && got.complete_file.ufs_length == 5);
	assert_true(got.complete_file.common.op.most == -568210367123275312);
	assert_true(got.complete_file.common.op.least == -6384696206158828554);
	assert_false(got.complete_file.common.absent || got.complete_file.has_crc);
	rpc_release(&got);

	assert_int_equal(unpack_hex(RPC_RENAME, false, "0a042f612f6612042f612f671a00", &got), 0);
	assert_string_equal(got.rename.to, "/a/g");
	assert_true(got.rename.common.absent);
	assert_false(got.rename.persist);
	rpc_release(&got);

	assert_int_equal(
		unpack_hex(RPC_GET_WORKERS, true, "0a1a080112140a093132372e302e302e3110f34718f34720f4472001", &got), 0);
	assert_int_equal(got.workers.n, 1);
	assert_true(got.workers.workers[0].has_id && got.workers.workers[0].id == 1);
	assert_string_equal(got.workers.workers[0].host, "127.0.0.1");
	assert_string_equal(got.workers.workers[0].domain_socket, "");
	assert_int_equal(got.workers.workers[0].rpc_port, 9203);
	assert_int_equal(got.workers.workers[0].state, 1);
	assert_false(got.workers.workers[0].has_virtual_nodes);
	rpc_release(&got);
}

static void packed_ids_are_accepted(void **state)
{
	union message got;

	(void)state;
	assert_int_equal(unpack_hex(RPC_CHECK_BLOCKS, false, "0a088080800881808008", &got), 0);
	assert_int_equal(got.block_ids.n, 2);
	assert_memory_equal(got.block_ids.ids, block_ids, sizeof block_ids);
	rpc_release(&got);
	/* map<int64, bool> of older workers */
	assert_int_equal(unpack_hex(RPC_CHECK_BLOCKS, true, "0a0708808080081001", &got), 0);
	assert_true(got.check_blocks.n == 1 && got.check_blocks.cached[0].id == BLOCK);
	assert_true(got.check_blocks.cached[0].bytes == 1);
	rpc_release(&got);
}

/* Not in the spec's table, but ours to send. */
static void attributes_and_links_travel(void **state)
{
	struct gfs_set_attribute chown = {.path = "/a", .owner = "alice", .group = "", .common = COMMON};
	struct gfs_set_attribute chmod = {
		.path = "/a", .mode = 0750, .has_mode = true, .recursive = true, .common = COMMON_OP};
	struct gfs_create_symlink symlink = {
		.link = "/l", .target = "../t", .mode = 0777, .has_mode = true, .common = COMMON_OP};
	union message got;

	(void)state;
	assert_int_equal(pass(RPC_SET_ATTRIBUTE, false, &chown, &got), 0);
	assert_string_equal(got.set_attribute.owner, "alice");
	assert_string_equal(got.set_attribute.group, "");
	assert_false(got.set_attribute.has_mode || got.set_attribute.recursive);
	rpc_release(&got);
	assert_int_equal(pass(RPC_SET_ATTRIBUTE, false, &chmod, &got), 0);
	assert_true(got.set_attribute.has_mode && got.set_attribute.recursive);
	assert_int_equal(got.set_attribute.mode, 0750);
	rpc_release(&got);
	assert_int_equal(pass(RPC_CREATE_SYMLINK, false, &symlink, &got), 0);
	assert_string_equal(got.create_symlink.link, "/l");
	assert_string_equal(got.create_symlink.target, "../t");
	assert_int_equal(got.create_symlink.mode, 0777);
	assert_true(got.create_symlink.common.op.most == -568210367123275312);
	rpc_release(&got);
	assert_int_equal(pass(RPC_GET_LINK_TARGET, false, &(struct gfs_get_link_target){.link = "/l"}, &got), 0);
	assert_string_equal(got.get_link_target.link, "/l");
	rpc_release(&got);
	assert_int_equal(pass(RPC_GET_LINK_TARGET, true, &(struct gfs_link_target){.target = "../t"}, &got), 0);
	assert_string_equal(got.link_target.target, "../t");
	rpc_release(&got);
	assert_int_equal(pass(RPC_GET_USED, true, &(struct gfs_bytes){.bytes = INT64_MAX}, &got), 0);
	assert_true(got.bytes.bytes == INT64_MAX);
	rpc_release(&got);
}

/* A server may fill a row or not, but there is a codec for each. */
static void every_message_has_a_codec(void **state)
{
	static const union message nothing;

	(void)state;
	for (int id = 0; id < RPC_COUNT; id++)
		for (int reply = 0; reply < 2; reply++) {
			bool body = message_body_kind((enum rpc_id)id, reply) == BODY_READ;
			void *data;
			size_t n;
			int rc = gfs_pack((enum rpc_id)id, reply, &nothing, &data, &n);

			assert_int_equal(rc, body ? -EINVAL : 0);
			if (!rc)
				free(data);
		}
	assert_int_equal(gfs_pack(RPC_COUNT, false, &nothing, &(void *){NULL}, &(size_t){0}), -EINVAL);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static const struct gfs_location homes[] = {{7, "w7", 9203}, {9, "", 0}};
static const struct gfs_block blocks[] = {
	{.length = 50, .offset = 200},
	{.id = 33554434, .length = 100, .offset = 0, .locations = homes, .nlocations = 2},
	{.length = 100, .offset = 100},
};
static const struct gfs_xattr xattr[] = {{"CrcType", "\2", 1}, {"CrcValue", "\0\1\2\3", 4}, {"empty", "", 0}};

static struct gfs_file_info file_info(void)
{
	return (struct gfs_file_info){
		.file_id = 50331647,
		.name = "f",
		.path = "/a/f",
		.owner = "alice",
		.group = "staff",
		.persistence_state = "NOT_PERSISTED",
		.length = 250,
		.block_size = 100,
		.creation_ms = 1,
		.modification_ms = 2,
		.access_ms = 3,
		.completed = true,
		.has_cacheable = true,
		.mode = 0640,
		.mount_id = 1,
		.blocks = blocks,
		.nblocks = 3,
		.xattr = xattr,
		.nxattr = 3,
	};
}

static void file_info_travels(void **state)
{
	struct gfs_file_reply reply = {.info = file_info()};
	union message got;
	const struct gfs_file_info *info = &got.file.info;

	(void)state;
	assert_int_equal(pass(RPC_GET_STATUS, true, &reply, &got), 0);
	assert_true(info->file_id == 50331647 && info->length == 250 && info->block_size == 100);
	assert_string_equal(info->name, "f");
	assert_string_equal(info->path, "/a/f");
	assert_string_equal(info->ufs_path, "");
	assert_string_equal(info->symlink, "");
	assert_string_equal(info->owner, "alice");
	assert_string_equal(info->group, "staff");
	assert_string_equal(info->persistence_state, "NOT_PERSISTED");
	assert_true(info->creation_ms == 1 && info->modification_ms == 2 && info->access_ms == 3);
	assert_true(info->completed && !info->folder && info->has_cacheable && !info->cacheable);
	assert_int_equal(info->mode, 0640);
	assert_int_equal(info->nxattr, 3);
	assert_string_equal(info->xattr[1].name, "CrcValue");
	assert_int_equal(info->xattr[1].bytes, 4);
	assert_memory_equal(info->xattr[1].value, "\0\1\2\3", 4);
	assert_int_equal(info->xattr[2].bytes, 0);
	rpc_release(&got);
}

/* In order of their offsets, and with ids even where the master said none (spec goosefs 7.1, 7.3). */
static void blocks_are_sorted_and_have_ids(void **state)
{
	struct gfs_file_reply reply = {.info = file_info()};
	static const int64_t ids[] = {0, 0, 77};
	union message got;
	const struct gfs_block *b;

	(void)state;
	assert_int_equal(pass(RPC_CREATE_FILE, true, &reply, &got), 0);
	b = got.file.info.blocks;
	assert_int_equal(got.file.info.nblocks, 3);
	assert_true(b[0].offset == 0 && b[1].offset == 100 && b[2].offset == 200);
	assert_true(b[0].id == 33554434 && b[1].id == 33554433 && b[2].id == 33554434);
	assert_int_equal(b[0].nlocations, 2);
	assert_true(b[0].locations[0].worker_id == 7 && b[0].locations[0].rpc_port == 9203);
	assert_string_equal(b[0].locations[0].host, "w7");
	assert_string_equal(b[0].locations[1].host, "");
	rpc_release(&got);

	reply.info.block_ids = ids;
	reply.info.nblock_ids = 3;
	assert_int_equal(pass(RPC_CREATE_FILE, true, &reply, &got), 0);
	assert_true(got.file.info.blocks[1].id == 33554433 && got.file.info.blocks[2].id == 77);
	rpc_release(&got);
}

static int list_one(const char *name, const char *path, union message *got)
{
	struct gfs_file_info info = {.name = name, .path = path, .folder = true};

	return pass(RPC_LIST_STATUS, true, &(struct gfs_list_reply){.infos = &info, .ninfos = 1}, got);
}

static void entries_have_names(void **state)
{
	static const char *const bad[] = {"a/b", "/a", ".", ".."};
	union message got;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(list_one(bad[i], "/a/b", &got), -EPROTO);
		assert_non_null(strstr(message_complaint(), "FileInfo.name"));
	}
	assert_int_equal(list_one("", "", &got), -EPROTO);
	assert_int_equal(list_one("", "/a/..", &got), -EPROTO);
	assert_int_equal(list_one("", "/a/b", &got), 0);
	assert_string_equal(got.list.infos[0].name, "b");
	rpc_release(&got);
	assert_int_equal(list_one("", "/", &got), 0); /* the root, echoed */
	rpc_release(&got);
}

/* ---- what is absurd --------------------------------------------------------------------------------------------- */

static void refused(enum rpc_id id, bool reply, const void *message, const char *field)
{
	union message got;

	assert_int_equal(pass(id, reply, message, &got), -EPROTO);
	assert_non_null(strstr(message_complaint(), field));
	assert_null(got.backing);
}

static void negative_numbers_of_files_are_refused(void **state)
{
	static const struct gfs_location nobody = {.worker_id = -1};
	static const struct gfs_block wrong[] = {
		{.offset = -1},
		{.length = -1},
		{.id = -1},
		{.offset = INT64_MAX, .length = 1},
		{.locations = &nobody, .nlocations = 1},
	};
	static const char *const fields[] = {"offset", "length", "blockId", "length", "workerId"};
	static const int64_t below = -3;
	struct gfs_file_reply reply = {0};

	(void)state;
	reply.info = (struct gfs_file_info){.length = -1};
	refused(RPC_GET_STATUS, true, &reply, "FileInfo.length");
	reply.info = (struct gfs_file_info){.block_size = -1};
	refused(RPC_GET_STATUS, true, &reply, "FileInfo.blockSizeBytes");
	reply.info = (struct gfs_file_info){.file_id = INT64_MIN};
	refused(RPC_GET_STATUS, true, &reply, "FileInfo.fileId");
	reply.info = (struct gfs_file_info){.mode = -1};
	refused(RPC_GET_STATUS, true, &reply, "FileInfo.mode");
	reply.info = (struct gfs_file_info){.block_ids = &below, .nblock_ids = 1};
	refused(RPC_GET_STATUS, true, &reply, "FileInfo.blockIds");
	for (size_t i = 0; i < COUNT(wrong); i++) {
		reply.info = (struct gfs_file_info){.blocks = &wrong[i], .nblocks = 1};
		refused(RPC_CREATE_FILE, true, &reply, fields[i]);
	}
}

static void negative_numbers_of_requests_are_refused(void **state)
{
	static const int64_t below = -3;
	static const struct gfs_file_location wrong[] = {
		{.offset = -1}, {.length = -1}, {.block_id = -1}, {.workers = &below, .nworkers = 1}};
	struct gfs_worker worker = {.capacity_bytes = -1};

	(void)state;
	refused(RPC_REMOVE_BLOCKS, false, &(struct gfs_block_ids){.ids = &below, .n = 1}, "blockIds");
	refused(RPC_CREATE_FILE, false, &(struct gfs_create_file){.block_size = -1}, "blockSizeBytes");
	refused(RPC_COMPLETE_FILE, false, &(struct gfs_complete_file){.ufs_length = -1, .has_ufs_length = true},
		"ufsLength");
	refused(RPC_COMPLETE_FILE, false, &(struct gfs_complete_file){.inode_id = -1}, "inodeId");
	refused(RPC_COMPLETE_FILE, false, &(struct gfs_complete_file){.crc_value = 1LL << 32, .has_crc = true},
		"crcValue");
	for (size_t i = 0; i < COUNT(wrong); i++)
		refused(RPC_COMMIT_LOCATION, false,
			&(struct gfs_commit_location){.locations = &wrong[i], .nlocations = 1}, "FileLocation");
	refused(RPC_READ_BLOCK, false, &(struct gfs_read_request){.offset = -1}, "offset");
	refused(RPC_READ_BLOCK, false, &(struct gfs_read_request){.ufs = {.present = true, .file_length = -1}},
		"file_length");
	refused(RPC_READ_BLOCK, false, &(struct gfs_read_request){.offset_received = -1, .has_offset_received = true},
		"offset_received");
	refused(RPC_WRITE_BLOCK, false, &(struct gfs_write_command){.id = -1}, "id");
	refused(RPC_WRITE_BLOCK, false, &(struct gfs_write_command){.space_to_reserve = -1}, "space_to_reserve");
	refused(RPC_WRITE_BLOCK, true, &(struct gfs_write_reply){.offset = -1, .has_offset = true}, "offset");
	refused(RPC_OPEN_LOCAL_BLOCK, true, &(struct gfs_local_block){.path = "etc/passwd"}, "path");
	refused(RPC_GET_USED, true, &(struct gfs_bytes){.bytes = -1}, "bytes");
	refused(RPC_GET_WORKERS, true, &(struct gfs_worker_list){.workers = &worker, .n = 1}, "capacityBytes");
}

static void malformed_messages_are_refused(void **state)
{
	static const struct {
		enum rpc_id id;
		bool reply;
		const char *hex, *field;
	} rows[] = {
		{RPC_GET_STATUS, true, "", "fileInfo"},
		{RPC_CREATE_FILE, true, "", "fileInfo"},
		{RPC_GET_STATUS, true, "0a06da0103120141", "FileInfo.xattr"},      /* no key */
		{RPC_GET_STATUS, true, "0a08da01050a00120141", "FileInfo.xattr"},  /* an empty one */
		{RPC_GET_STATUS, true, "0a0512036100620a", "name"},                /* NUL */
		{RPC_CHECK_BLOCKS, true, "0a021001", "block_cached_bytes"},        /* no key */
		{RPC_CHECK_BLOCKS, true, "0a040800100a0a", ""},                    /* cut short */
		{RPC_GET_STATUS, false, "0a032f0061", "path"},                     /* NUL */
		{RPC_GET_STATUS, false, "0a022f611203", ""},                       /* cut short */
		{RPC_GET_STATUS, false, "0affffffff0f2f", ""},                     /* 4 GiB of path */
		{RPC_GET_STATUS, false, "0affffffffffffffffff012f", ""},           /* more than there is memory */
		{RPC_GET_STATUS, false, "0a80808080808080808080012f", ""},         /* a length without end */
		{RPC_GET_STATUS, false, "0b2f", ""},                               /* a group */
		{RPC_GET_STATUS, false, "0000", ""},                               /* field 0 */
		{RPC_GET_STATUS, false, "0801", ""},                               /* a number for a path */
		{RPC_CREATE_FILE, false, "0a022f6112081a06080910051805", "PMode"}, /* a digit 8 */
		{RPC_CREATE_FILE, false, "0a022f6112081a06080010051805", "PMode"}, /* a digit -1 */
		{RPC_CREATE_FILE, false, "0a022f6112061a0408071005", ""},          /* two of three digits */
		{RPC_METRICS_HEARTBEAT, false, "0a080a06120412024141", ""},        /* no type */
		{RPC_WRITE_BLOCK, false, "", "command"},
		{RPC_WRITE_BLOCK, false, "12070a0568656c6c6f", "command"},
		{RPC_OPEN_LOCAL_BLOCK, true, "", "path"},
		{RPC_READ_BLOCK, true, "0a070a0568656c6c6f", ""}, /* a body */
	};
	union message got;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(unpack_hex(rows[i].id, rows[i].reply, rows[i].hex, &got), -EPROTO);
		assert_non_null(strstr(message_complaint(), rows[i].field));
	}
}

/* What a later protocol adds is passed over; what it adds to an enum is as good as absent. */
static void news_are_passed_over(void **state)
{
	union message got;

	(void)state;
	assert_int_equal(unpack_hex(RPC_GET_STATUS, false, "0a022f61a2060301020312020809", &got), 0);
	assert_string_equal(got.get_status.path, "/a");
	assert_false(got.get_status.has_load_type);
	rpc_release(&got);
	assert_int_equal(unpack_hex(RPC_COMPLETE_FILE, false, "0a022f61120420092801", &got), 0);
	assert_false(got.complete_file.has_crc);
	rpc_release(&got);
	assert_int_equal(unpack_hex(RPC_WRITE_BLOCK, false, "0a0408091001", &got), 0);
	assert_int_equal(got.write.type, 9); /* not a block, and not taken for one */
	rpc_release(&got);
}

/* Two bytes each, and hundreds in memory: not as many as fit in a message. */
static void a_flood_of_empty_entries_is_refused(void **state)
{
	enum { N = 1 << 20 };
	struct bytes b = {calloc(N, 2), 2 * N};
	union message got;

	(void)state;
	for (size_t i = 0; i < N; i++)
		b.data[2 * i] = 0x0a;
	assert_int_equal(gfs_unpack(RPC_LIST_STATUS, true, b.data, b.n, &got), -EPROTO);
	assert_int_equal(gfs_unpack(RPC_GET_WORKERS, true, b.data, b.n, &got), -EPROTO);
	free(b.data);
}

static void a_huge_message_has_not_more_room_than_there_is(void **state)
{
	static const size_t sizes[] = {0, 1, 1 << 20, 128 << 20, SIZE_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct arena arena;

		arena_init_for(&arena, sizes[i]);
		assert_in_range(arena.room, 1 << 10, 1 << 30);
		assert_true(arena.next_bytes <= 1 << 30);
	}
}

/* But a directory of many files is no flood. */
static void a_long_listing_is_accepted(void **state)
{
	enum { N = 5000 };
	struct gfs_file_info *infos = calloc(N, sizeof *infos);
	union message got;

	(void)state;
	for (size_t i = 0; i < N; i++)
		infos[i] = (struct gfs_file_info){.file_id = 1, .name = "n"};
	assert_int_equal(pass(RPC_LIST_STATUS, true, &(struct gfs_list_reply){.infos = infos, .ninfos = N}, &got), 0);
	assert_int_equal(got.list.ninfos, N);
	assert_string_equal(got.list.infos[N - 1].name, "n");
	rpc_release(&got);
	free(infos);
}

/* ---- the handshake ---------------------------------------------------------------------------------------------- */

#define HELLO                                                                                                          \
	"0800121100616c696365006e6f50617373776f72641a2433663235303465302d346638392d343164332d396130632d30333035653832" \
	"63"                                                                                                           \
	"3333303120012a14727573742d636c69656e742d3366323530346530"

static void check_sasl(const struct sasl_message *message, const char *hex)
{
	struct bytes want = unhex(hex);
	grpc_slice slice;

	assert_int_equal(sasl_pack(message, &slice), 0);
	assert_int_equal(GRPC_SLICE_LENGTH(slice), want.n);
	assert_memory_equal(GRPC_SLICE_START_PTR(slice), want.data, want.n);
	grpc_slice_unref(slice);
	free(want.data);
}

static int sasl_unpack_hex(const char *hex, struct sasl_message *got)
{
	struct bytes b = unhex(hex);
	int rc = sasl_unpack(b.data, b.n, got);

	free(b.data);
	return rc;
}

static void handshake_travels(void **state)
{
	static const char token[] = "\0alice\0noPassword";
	struct sasl_message hello = {
		.message = token,
		.message_bytes = sizeof token - 1,
		.client_id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
		.channel_ref = "rust-client-3f2504e0",
		.scheme = 1,
		.has_scheme = true,
	};
	struct sasl_message got;

	(void)state;
	check_sasl(&hello, HELLO);
	check_sasl(&(struct sasl_message){.type = 1}, "0801");
	assert_int_equal(sasl_unpack_hex(HELLO, &got), 0);
	assert_int_equal(got.type, 0);
	assert_int_equal(got.message_bytes, hello.message_bytes);
	assert_memory_equal(got.message, token, hello.message_bytes);
	assert_string_equal(got.client_id, hello.client_id);
	assert_string_equal(got.channel_ref, hello.channel_ref);
	assert_true(got.has_scheme && got.scheme == 1);
	check_sasl(&got, HELLO);
	sasl_release(&got);

	assert_int_equal(sasl_unpack_hex("0801", &got), 0);
	assert_int_equal(got.type, 1);
	assert_string_equal(got.client_id, "");
	assert_false(got.has_scheme);
	sasl_release(&got);
	assert_int_equal(sasl_unpack_hex("0809", &got), 0); /* whatever it is, it is not SUCCESS */
	assert_int_equal(got.type, 0);
	sasl_release(&got);
	assert_int_equal(sasl_unpack_hex("", &got), 0);
	assert_int_equal(got.type, 0);
	sasl_release(&got);
	assert_int_equal(sasl_unpack_hex("1a03610062", &got), -EPROTO);
	assert_int_equal(sasl_unpack_hex("0801127f", &got), -EPROTO);
}

/* ---- bodies ----------------------------------------------------------------------------------------------------- */

/* Both kinds of slices: long ones are counted references, short ones hold their bytes themselves. */
static grpc_slice slice_of(const void *data, size_t n, bool counted)
{
	struct bytes b;

	if (!counted)
		return grpc_slice_from_copied_buffer(data, n);
	b = bytes_copy(data, n);
	return grpc_slice_new(b.data ? (void *)b.data : malloc(1), n, free);
}

static void expect_body(const struct rpc_body *body, const char *want)
{
	char got[256];
	size_t n = 0;

	for (unsigned i = 0; i < body->nparts; i++) {
		assert_true(n + body->part[i].iov_len <= sizeof got);
		memcpy(got + n, body->part[i].iov_base, body->part[i].iov_len);
		n += body->part[i].iov_len;
	}
	assert_int_equal(n, body->bytes);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(got, want, n);
}

/* Parse data cut at these places; the slices are gone before the body is looked at. */
static int parse_cut(enum message_body kind, struct bytes b, const size_t *cuts, size_t ncuts, struct rpc_body *body)
{
	grpc_slice slices[64];
	size_t n = 0, from = 0;
	int rc;

	for (size_t i = 0; i <= ncuts; i++) {
		size_t to = i < ncuts ? cuts[i] : b.n;

		slices[n++] = slice_of(b.data + from, to - from, i % 2);
		from = to;
	}
	rc = message_body_parse(kind, slices, n, body);
	while (n)
		grpc_slice_unref(slices[--n]);
	return rc;
}

static const struct body_vector {
	enum message_body kind;
	const char *hex, *data; /* NULL: no body */
} bodies[] = {
	{BODY_READ, "0a070a0568656c6c6f", "hello"},
	{BODY_WRITE, "12070a0568656c6c6f", "hello"},
	{BODY_READ, "", ""},
	{BODY_WRITE, "", ""},
	{BODY_READ, "0a00", ""},
	{BODY_READ, "0a020a00", ""},
	{BODY_WRITE, "12020a00", ""},
	/* unknown fields before, after, and inside */
	{BODY_READ, "1801a2060301020339000000000000000055010203040a0d18010a0568656c6c6f22020a001803", "hello"},
	/* said twice: the last one counts */
	{BODY_READ, "0a040a0261620a050a03636465", "cde"},
	{BODY_READ, "0a080a0261620a026364", "cd"},
	{BODY_READ, "0a040a0261620a00", "ab"},
	{BODY_WRITE, "0a02200112040a026162", "ab"},
	{BODY_WRITE, "0a022001", NULL},
	{BODY_WRITE, "0a1008001080808008180030808080204800", NULL},
	{BODY_WRITE, "12040a0261620a022001", NULL},
	{BODY_WRITE, "0a00", NULL},
	{BODY_NONE, "0a022001", NULL},
};

static void check_cut(const struct body_vector *v, struct bytes b, const size_t *cuts, size_t ncuts)
{
	struct rpc_body body;

	assert_int_equal(parse_cut(v->kind, b, cuts, ncuts, &body), v->data != NULL);
	expect_body(&body, v->data ? v->data : "");
	assert_true(body.nparts <= ncuts + 1);
	rpc_body_release(&body);
	assert_null(body.backing);
}

static void bodies_are_found_however_they_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		struct bytes b = unhex(bodies[i].hex);

		check_cut(&bodies[i], b, NULL, 0);
		for (size_t j = 0; j <= b.n; j++) {
			check_cut(&bodies[i], b, &j, 1);
			for (size_t k = j; k <= b.n; k++)
				check_cut(&bodies[i], b, (size_t[]){j, k}, 2);
		}
		free(b.data);
	}
	assert_int_equal(message_body_parse(BODY_READ, NULL, 0, &(struct rpc_body){0}), 1);
}

static void a_body_in_crumbs_is_copied(void **state)
{
	enum { PARTS = sizeof((struct rpc_body){0}.part) / sizeof(struct iovec) };
	static const unsigned sizes[] = {PARTS - 1, PARTS, PARTS + 1, PARTS + 8};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		unsigned char n = (unsigned char)sizes[i], message[64] = {0x0a, n + 2, 0x0a, n};
		struct bytes b = {message, n + 4u};
		struct rpc_body body;
		size_t cuts[64];

		memset(message + 4, 'x', n);
		for (size_t j = 0; j + 1 < b.n; j++)
			cuts[j] = j + 1;
		assert_int_equal(parse_cut(BODY_READ, b, cuts, b.n - 1, &body), 1);
		assert_int_equal(body.nparts, n <= PARTS ? n : 1);
		expect_body(&body, (char *)message + 4);
		rpc_body_release(&body);
	}
}

static void bodies_are_not_copied(void **state)
{
	grpc_slice slice = grpc_slice_malloc(4096);
	grpc_slice head = message_body_head(BODY_READ, 4096), both[] = {head, slice};
	struct rpc_body body;

	(void)state;
	memset(GRPC_SLICE_START_PTR(slice), 'x', 4096);
	assert_int_equal(message_body_parse(BODY_READ, both, 2, &body), 1);
	assert_int_equal(body.nparts, 1);
	assert_ptr_equal(body.part[0].iov_base, GRPC_SLICE_START_PTR(slice));
	assert_int_equal(body.bytes, 4096);
	grpc_slice_unref(head);
	grpc_slice_unref(slice);
	assert_int_equal(((char *)body.part[0].iov_base)[4095], 'x'); /* the body holds it */
	rpc_body_release(&body);
}

static void bodies_are_headed(void **state)
{
	static const struct {
		enum message_body kind;
		size_t bytes;
		const char *hex;
	} rows[] = {
		{BODY_READ, 5, "0a070a05"},
		{BODY_WRITE, 5, "12070a05"},
		{BODY_READ, 0, "0a020a00"},
		{BODY_WRITE, 127, "1281010a7f"},
		{BODY_WRITE, 1 << 20, "128480400a808040"},
		{BODY_READ, (size_t)1 << 40, "0a8780808080200a808080808020"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		grpc_slice head = message_body_head(rows[i].kind, rows[i].bytes);
		struct bytes want = unhex(rows[i].hex);

		assert_int_equal(GRPC_SLICE_LENGTH(head), want.n);
		assert_memory_equal(GRPC_SLICE_START_PTR(head), want.data, want.n);
		grpc_slice_unref(head);
		free(want.data);
	}
}

static void acknowledgements_are_what_the_packer_makes(void **state)
{
	static const int64_t offsets[] = {0, 1, 127, 128, 1 << 20, INT64_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(offsets); i++) {
		grpc_slice ack = message_ack(offsets[i]);
		union message got;

		assert_int_equal(
			message_unpack(RPC_READ_BLOCK, false, GRPC_SLICE_START_PTR(ack), GRPC_SLICE_LENGTH(ack), &got),
			0);
		assert_true(got.read.has_offset_received && got.read.offset_received == offsets[i]);
		rpc_release(&got);
		grpc_slice_unref(ack);
	}
}

static void bodies_that_are_none_are_refused(void **state)
{
	static const struct {
		enum message_body kind;
		const char *hex;
	} rows[] = {
		{BODY_READ, "0a070a0568656c6c"},       /* cut short */
		{BODY_READ, "0a070a0668656c6c6f"},     /* the inner one longer than the outer */
		{BODY_READ, "0a060a0568656c6c6f"},     /* likewise */
		{BODY_READ, "0affffffffffffffffff01"}, /* longer than memory */
		{BODY_READ, "0a0b0affffffffffffffffff01"},
		{BODY_READ, "0a80"},
		{BODY_READ, "0801"},     /* a number for a chunk */
		{BODY_READ, "0a020801"}, /* a number for data */
		{BODY_WRITE, "0801"},
		{BODY_WRITE, "1001"},
		{BODY_READ, "0b0c"},
		{BODY_READ, "00"},
		{BODY_READ, "390000"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bytes b = unhex(rows[i].hex);
		struct rpc_body body;

		for (size_t j = 0; j <= b.n; j++) {
			assert_int_equal(parse_cut(rows[i].kind, b, &j, 1, &body), -EPROTO);
			assert_null(body.backing);
		}
		free(b.data);
	}
}

/* ---- hostile peers ---------------------------------------------------------------------------------------------- */

enum { BUILT = 10, SAMPLES = COUNT(vectors) + BUILT };

/* Decoded or refused; what was decoded can be packed, and takes no more memory than its bytes allow. */
static void survive(enum rpc_id id, bool reply, const unsigned char *data, size_t n)
{
	struct bytes b = bytes_copy(data, n);
	size_t held = mallinfo2().uordblks;
	union message got;
	int rc = gfs_unpack(id, reply, b.data, b.n, &got);
	void *again;
	size_t nagain;

	assert_true(mallinfo2().uordblks - held <= 256 * n + (256 << 10)); /* always 0 under a sanitizer */
	free(b.data);
	assert_true(rc == 0 || rc == -EPROTO);
	if (rc) {
		assert_true(*message_complaint());
		assert_null(got.backing);
		return;
	}
	assert_int_equal(gfs_pack(id, reply, &got, &again, &nagain), 0);
	free(again);
	rpc_release(&got);
}

static void survive_body(enum message_body kind, const unsigned char *data, size_t n, size_t cut)
{
	struct bytes b = bytes_copy(data, n);
	struct rpc_body body;
	int rc = parse_cut(kind, b, (size_t[]){cut, n - (n - cut) / 2}, 2, &body);
	unsigned sum = 0;

	free(b.data);
	assert_true(rc == 0 || rc == 1 || rc == -EPROTO);
	for (unsigned i = 0; i < body.nparts; i++)
		for (size_t j = 0; j < body.part[i].iov_len; j++)
			sum += ((unsigned char *)body.part[i].iov_base)[j];
	assert_true(body.bytes <= n && sum <= 255 * n);
	rpc_body_release(&body);
}

static void survive_sasl(const unsigned char *data, size_t n)
{
	struct bytes b = bytes_copy(data, n);
	struct sasl_message got;
	int rc = sasl_unpack(b.data, b.n, &got);

	free(b.data);
	assert_true(rc == 0 || rc == -EPROTO);
	sasl_release(&got);
}

/* Messages that no vector is of, and a file with everything in it. */
static struct bytes built(size_t i, enum rpc_id *id, bool *reply)
{
	struct gfs_file_info infos[] = {file_info(), file_info()};
	struct gfs_file_reply file = {.info = infos[0]};
	struct gfs_list_reply list = {.infos = infos, .ninfos = 2};
	struct gfs_worker worker = {.id = 1, .has_id = true, .host = "w1", .domain_socket = "/s", .capacity_bytes = 9};
	struct gfs_worker_list workers = {.workers = &worker, .n = 1};
	struct gfs_bytes bytes = {.bytes = 1 << 30};
	struct gfs_set_attribute chown = {.path = "/a", .owner = "alice", .mode = 0750, .has_mode = true};
	struct gfs_create_symlink symlink = {.link = "/l", .target = "t", .mode = 0777, .has_mode = true};
	struct gfs_get_link_target get_target = {.link = "/l"};
	struct gfs_link_target target = {.target = "../t"};
	const struct {
		enum rpc_id id;
		bool reply;
		const void *message;
	} rows[] = {
		{RPC_LIST_STATUS, true, &list},
		{RPC_GET_STATUS, true, &file},
		{RPC_CREATE_FILE, true, &file},
		{RPC_GET_WORKERS, true, &workers},
		{RPC_GET_CAPACITY, true, &bytes},
		{RPC_GET_USED, true, &bytes},
		{RPC_SET_ATTRIBUTE, false, &chown},
		{RPC_CREATE_SYMLINK, false, &symlink},
		{RPC_GET_LINK_TARGET, false, &get_target},
		{RPC_GET_LINK_TARGET, true, &target},
	};
	struct bytes b;

	assert_int_equal(COUNT(rows), BUILT);
	*id = rows[i].id;
	*reply = rows[i].reply;
	assert_int_equal(gfs_pack(*id, *reply, rows[i].message, (void **)&b.data, &b.n), 0);
	return b;
}

static struct bytes sample(size_t i, enum rpc_id *id, bool *reply)
{
	if (i >= COUNT(vectors))
		return built(i - COUNT(vectors), id, reply);
	*id = vectors[i].id;
	*reply = vectors[i].reply;
	return unhex(vectors[i].hex);
}

static void truncations_are_survived(void **state)
{
	struct bytes b;
	enum rpc_id id;
	bool reply;

	(void)state;
	for (size_t i = 0; i < SAMPLES; i++) {
		b = sample(i, &id, &reply);
		for (size_t n = 0; n <= b.n; n++)
			survive(id, reply, b.data, n);
		free(b.data);
	}
	b = unhex(HELLO);
	for (size_t n = 0; n <= b.n; n++)
		survive_sasl(b.data, n);
	free(b.data);
	for (size_t i = 0; i < COUNT(bodies); i++) {
		b = unhex(bodies[i].hex);
		for (size_t n = 0; n <= b.n; n++)
			survive_body(bodies[i].kind, b.data, n, n / 2);
		free(b.data);
	}
}

/* n bytes that were not there. */
static void insert(struct bytes *b, size_t at, const void *data, size_t n)
{
	struct bytes whole = {malloc(b->n + n), b->n + n};

	memcpy(whole.data, b->data, at);
	memcpy(whole.data + at, data, n);
	memcpy(whole.data + at + n, b->data + at, b->n - at);
	free(b->data);
	*b = whole;
}

static void spoil(struct bytes *b)
{
	static const unsigned char nasty[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x08};
	static const char endless[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f";

	for (size_t times = 1 + chance(4); b->n && times; times--) {
		size_t at = chance(b->n), tail = 1 + chance(11);

		switch (chance(6)) {
		case 0:
			b->data[at] = (unsigned char)chance(256);
			break;
		case 1:
			b->data[at] = nasty[chance(sizeof nasty)];
			break;
		case 2:
			b->data[at] ^= (unsigned char)(1 << chance(8));
			break;
		case 3: /* a length, or a number, that grows */
			insert(b, at, endless + sizeof endless - 1 - tail, tail);
			break;
		case 4: /* a field, or a piece of one, twice */
			insert(b, at, b->data + at, 1 + chance(b->n - at));
			break;
		default: /* a byte less */
			memmove(b->data + at, b->data + at + 1, b->n - at - 1);
			b->n--;
		}
	}
}

static void mutations_are_survived(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 60000; i++) {
		enum rpc_id id;
		bool reply;
		struct bytes b = sample(chance(SAMPLES), &id, &reply);

		spoil(&b);
		survive(id, reply, b.data, b.n);
		if (i % 4 == 0)
			survive((enum rpc_id)chance(RPC_COUNT), chance(2), b.data, b.n);
		if (i % 4 == 1)
			survive_sasl(b.data, b.n);
		free(b.data);
		b = unhex(bodies[chance(COUNT(bodies))].hex);
		spoil(&b);
		survive_body(chance(2) ? BODY_READ : BODY_WRITE, b.data, b.n, chance(b.n + 1));
		free(b.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_are_packed),
		cmocka_unit_test(vectors_are_unpacked),
		cmocka_unit_test(older_forms_are_understood),
		cmocka_unit_test(packed_ids_are_accepted),
		cmocka_unit_test(attributes_and_links_travel),
		cmocka_unit_test(every_message_has_a_codec),
		cmocka_unit_test(file_info_travels),
		cmocka_unit_test(blocks_are_sorted_and_have_ids),
		cmocka_unit_test(entries_have_names),
		cmocka_unit_test(negative_numbers_of_files_are_refused),
		cmocka_unit_test(negative_numbers_of_requests_are_refused),
		cmocka_unit_test(malformed_messages_are_refused),
		cmocka_unit_test(news_are_passed_over),
		cmocka_unit_test(a_flood_of_empty_entries_is_refused),
		cmocka_unit_test(a_huge_message_has_not_more_room_than_there_is),
		cmocka_unit_test(a_long_listing_is_accepted),
		cmocka_unit_test(handshake_travels),
		cmocka_unit_test(bodies_are_found_however_they_are_cut),
		cmocka_unit_test(a_body_in_crumbs_is_copied),
		cmocka_unit_test(bodies_are_not_copied),
		cmocka_unit_test(bodies_are_headed),
		cmocka_unit_test(acknowledgements_are_what_the_packer_makes),
		cmocka_unit_test(bodies_that_are_none_are_refused),
		cmocka_unit_test(truncations_are_survived),
		cmocka_unit_test(mutations_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
