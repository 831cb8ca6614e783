/*
 * goosefs.h: what travels between a GooseFS client, master and worker, as plain structs.
 *
 * One struct per message we use, in the spec's words. Both ends of proto/ are drawn from it: message.c packs and
 * unpacks. A field whose absence means something has a has_ flag beside it; otherwise absent is 0, false or "".
 * Strings are never NULL in a decoded message; in one to be sent, NULL means absent.
 * message.c is where what a peer says is checked: negative or absurd sizes, ids and offsets, counts, missing required fields
 * and map keys make the whole message -EPROTO.
 */
#ifndef SLIPSTREAM_PROTO_GOOSEFS_H
#define SLIPSTREAM_PROTO_GOOSEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A table of messages: one line where one line says it. */
/* clang-format off */

/* Logical clock and identity of one mutation (spec goosefs 6.3, 7.2). */
struct gfs_op_id {
	int64_t most, least; /* both 0: no id is sent */
};

/* FileSystemMasterCommonPOptions. Sent whenever the request has them. */
struct gfs_common {
	int64_t sync_interval_ms; /* default -1 */
	struct gfs_op_id op;
	bool absent;              /* decoded from a request without common options; sent: leave them out */
};

enum gfs_write_type { GFS_WT_UNSET = 0, GFS_MUST_CACHE, GFS_TRY_CACHE, GFS_CACHE_THROUGH, GFS_THROUGH, GFS_ASYNC_THROUGH, GFS_WT_NONE };
enum gfs_load_type { GFS_LOAD_NEVER = 0, GFS_LOAD_ONCE = 1, GFS_LOAD_ALWAYS = 2 };
enum gfs_crc_type { GFS_CRC_NULL = 0, GFS_CRC32 = 1, GFS_CRC32C = 2 };

struct gfs_location { /* BlockLocation */
	int64_t worker_id;
	const char *host; /* "" if the address was absent */
	int rpc_port;
};

struct gfs_block { /* FileBlockInfo */
	int64_t id, length, offset;
	const struct gfs_location *locations;
	size_t nlocations;
};

struct gfs_xattr {
	const char *name;
	const void *value;
	size_t bytes;
};

struct gfs_file_info {
	int64_t file_id;
	const char *name, *path, *ufs_path, *owner, *group, *persistence_state, *symlink;
	int64_t length, block_size;
	int64_t creation_ms, modification_ms, access_ms;
	bool completed, folder, persisted, mount_point;
	bool cacheable, has_cacheable;
	int mode;         /* permission bits, 0644 = 420 */
	int64_t mount_id;
	int in_goosefs_percentage, in_memory_percentage;
	const struct gfs_block *blocks; /* sorted by offset */
	size_t nblocks;
	const int64_t *block_ids; /* usually empty */
	size_t nblock_ids;
	const struct gfs_xattr *xattr;
	size_t nxattr;
};

struct gfs_empty { void *backing; };

/* GetStatus; also the request of ListStatus. */
struct gfs_get_status {
	void *backing;
	const char *path;
	int load_type; bool has_load_type;
	struct gfs_common common;
	bool resolve_link; /* GetStatus only */
};
struct gfs_file_reply { void *backing; struct gfs_file_info info; };                        /* GetStatus, CreateFile */
struct gfs_list_reply { void *backing; const struct gfs_file_info *infos; size_t ninfos; }; /* one batch of ListStatus */

struct gfs_create_file {
	void *backing;
	const char *path;
	int64_t block_size;
	bool recursive;
	int mode; bool has_mode;
	int write_type; /* 0: absent */
	int64_t persistence_wait_ms; bool has_persistence_wait;
	struct gfs_common common;
};

struct gfs_file_location { /* FileLocation */
	int64_t block_id, offset, length;
	const int64_t *workers;
	size_t nworkers;
};

struct gfs_complete_file {
	void *backing;
	const char *path;
	int64_t inode_id; /* 0: absent */
	int64_t ufs_length; bool has_ufs_length;
	bool async_persist; int64_t persistence_wait_ms; /* asyncPersistOptions */
	int crc_type; int64_t crc_value; bool has_crc;
	const struct gfs_file_location *locations;
	size_t nlocations;
	bool force_persisted;
	struct gfs_common common;
};

struct gfs_commit_location {
	void *backing;
	const char *path;
	int64_t inode_id, block_id;
	const struct gfs_file_location *locations;
	size_t nlocations;
};

struct gfs_block_ids { void *backing; const int64_t *ids; size_t n; }; /* RemoveBlocks, CheckBlocks */

struct gfs_check_blocks_reply {
	void *backing;
	const struct { int64_t id, bytes; } *cached;
	size_t n;
};

struct gfs_remove {
	void *backing;
	const char *path;
	bool recursive, goosefs_only, unchecked; /* always sent */
	struct gfs_common common;
};

struct gfs_rename {
	void *backing;
	const char *path, *to;
	bool persist;
	struct gfs_common common;
};

struct gfs_create_directory {
	void *backing;
	const char *path;
	bool recursive, allow_exists;
	int mode; bool has_mode;
	int write_type; /* 0: absent */
	struct gfs_common common;
};

struct gfs_set_attribute {
	void *backing;
	const char *path;
	const char *owner, *group;     /* NULL or "": leave */
	int mode; bool has_mode;
	bool recursive;
	struct gfs_common common;
};

struct gfs_create_symlink {
	void *backing;
	const char *link, *target;
	int mode; bool has_mode;
	struct gfs_common common;
};
struct gfs_get_link_target { void *backing; const char *link; };
struct gfs_link_target { void *backing; const char *target; };

struct gfs_schedule_persist { void *backing; const char *path; int64_t wait_ms; bool has_wait; struct gfs_common common; };

struct gfs_worker {
	int64_t id; bool has_id;
	const char *host;
	int rpc_port;
	const char *domain_socket;
	int64_t capacity_bytes, used_bytes, persist_used_bytes;
	int virtual_nodes; bool has_virtual_nodes;
	int state;
	bool alive, forbid_write;
};
struct gfs_worker_list { void *backing; const struct gfs_worker *workers; size_t n; };

struct gfs_bytes { void *backing; int64_t bytes; }; /* GetCapacityBytes, GetUsedBytes */

struct gfs_get_version { void *backing; int service_type; bool allowed_on_standby; };
struct gfs_version { void *backing; int64_t version; };

struct gfs_metrics_heartbeat { /* what a server checks and keeps of it */
	void *backing;
	const struct gfs_metric { const char *instance, *source, *name; double value; int type; } *metrics;
	size_t n;
};

/* ---- the data plane ------------------------------------------------------------------------------------------- */

struct gfs_ufs_options { /* OpenUfsBlockOptions */
	bool present;
	const char *ufs_path;
	int64_t offset_in_file, block_size, mount_id, file_length;
	int max_concurrency;
	bool no_cache;
};

struct gfs_read_request {
	void *backing;
	int64_t block_id, offset, length, chunk_size;
	bool position_short;
	int prefetch_window;       /* 0: absent */
	int64_t offset_received; bool has_offset_received; /* acknowledgements carry this alone */
	struct gfs_ufs_options ufs;
};
/* ReadResponse is a body: rpc_stream_recv() and rpc_call_send_chunk(). */

enum gfs_block_type { GFS_BLOCK = 0, GFS_UFS_FILE = 1, GFS_UFS_FALLBACK_BLOCK = 2 };

struct gfs_write_command { /* WriteRequest.command; chunks are bodies */
	void *backing;
	bool flush;         /* true: this alone is sent */
	int type;           /* enum gfs_block_type */
	int64_t id, offset, space_to_reserve;
	bool async_write;
	struct {
		bool present;
		const char *ufs_path, *owner, *group;
		int mode;
		int64_t mount_id;
	} ufs;
};
struct gfs_write_reply { void *backing; int64_t offset; bool has_offset; };

struct gfs_open_local { void *backing; int64_t block_id, block_size; };
struct gfs_local_block { void *backing; const char *path; int64_t block_size; bool has_block_size; };

/* ---- bytes, for tests and for whoever keeps a message -------------------------------------------------------------- */

#include "proto/rpc.h"
/* The request (or reply) of id as wire bytes; *out is malloc'ed. 0, -EINVAL, -ENOMEM. */
int gfs_pack(enum rpc_id, bool reply, const void *message, void **out, size_t *bytes);
/* The reverse; message is the struct of rpc.def. 0, -EPROTO, -ENOMEM. */
int gfs_unpack(enum rpc_id, bool reply, const void *in, size_t bytes, void *message);

/* clang-format on */

#endif
