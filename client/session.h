/*
 * session.h: what a program's shim and its session's keeper share. The one header both include.
 *
 * A session is a directory (0700, on tmpfs where there is one), named by SLIPSTREAM_SESSION:
 *   s          the keeper's listening socket, SOCK_SEQPACKET
 *   records    struct session_records, mapped shared and writable by everybody in the session
 *   slots/N    placeholders: re-opened with access mode 3 ("acc3") for RANGE descriptions
 *   d/         where DIRECTORY and PATH descriptors are made: d/N and d/N/c, opened and removed again
 *   lock, log  who keeps it; what went wrong
 *   mounts     a line for each: /prefix=URL, in the order of the records' numbers; root: a link to the embedded server's data
 *   stage      a link to the directory of staging files
 * Beside it SLIPSTREAM_MOUNTS ("/goosefs=goosefs://host:port/;/a=...") tells a shim the prefixes without asking anybody.
 *
 * Requests: one packet, struct session_request and its payload; replies likewise, with at most one descriptor (SCM_RIGHTS).
 * One exchange owns one connection. The keeper serves its own user only (SO_PEERCRED) and judges permissions by the caller's ids.
 */
#ifndef SLIPSTREAM_CLIENT_SESSION_H
#define SLIPSTREAM_CLIENT_SESSION_H

#include <stdatomic.h>
#include <stdint.h>

#define SESSION_VERSION     5
#define SESSION_PAYLOAD_MAX 65536 /* bytes after the header, either way */
#define SESSION_MOUNTS_MAX  16    /* a shim has room for so many, */
#define SESSION_PREFIX_MAX  256   /* and for a prefix of less than this */

enum session_op {
#define SESSION_OP(ID, name, again) SESSION_##ID,
#include "client/session.def"
#undef SESSION_OP
	SESSION_OP_COUNT
};

/* request.mode of an OPEN for chdir(), which searches a directory and does not read it. */
#define SESSION_ENTERS 0xffff

/* reply.rc: a symbolic link leads out of the mounts; the payload is the ordinary path to use instead. */
#define SESSION_ELSEWHERE (-8001)

enum session_kind {
	SESSION_FREE,
	SESSION_STAGED, /* content-backed: the kernel file is this session's staging file. All data calls are native */
	SESSION_LOCAL,  /* content-backed, read-only: the kernel file is a worker's block file */
	SESSION_RANGE,  /* acc3: bytes by range, through the page cache */
	SESSION_DIRECTORY, /* a removed directory */
	SESSION_PATH, /* opened with O_PATH, so the kernel refuses all that it refuses of these: a removed directory, file or link */
};

struct session_attr {      /* fixed width, so that a struct stat of any flavour can be made of it */
	uint64_t dev, ino; /* as the program sees them: one dev per mount, ino stable while the session lives */
	uint32_t mode;     /* with type bits */
	uint32_t nlink, uid, gid;
	int64_t size;
	int64_t mtime_ns, atime_ns, ctime_ns; /* since the epoch */
};

struct session_request {
	uint32_t op;    /* enum session_op */
	uint32_t bytes; /* payload */
	int32_t record; /* -1: none, the path says it */
	uint32_t flags;
	uint32_t mode;
	uint32_t must_be_dir; /* the path ended in a slash */
	uint32_t uid,
		gid; /* the caller's ids for files; root alone is believed, who need not be who connected any more */
	int64_t a, b;
};

#define SYNC_MOUNT 1u /* request.flags of SYNC: all files of the record's mount */

#define REPLY_INLINE 1u /* READ: the bytes are in the payload */
#define REPLY_FD     2u /* a descriptor comes along */

struct session_reply {
	int64_t rc;     /* >= 0, -errno, or SESSION_ELSEWHERE */
	uint32_t bytes; /* payload */
	uint32_t flags; /* REPLY_* */
	int32_t record; /* index in the record table */
	uint32_t kind;  /* enum session_kind of that record */
	struct session_attr attr;
};

struct session_hello {
	uint32_t version, page_bytes; /* page_bytes 0: no page cache */
	uint64_t cache_bytes;         /* size of the mapping */
};

struct session_statfs {
	uint64_t type, bsize, blocks, bfree, files, ffree, fsid;
};

struct session_dirent { /* LIST: packed one after the other, each padded to 8 bytes */
	uint64_t ino;
	uint32_t bytes; /* of this whole entry */
	uint8_t type;   /* DT_* */
	char name[];    /* NUL-terminated */
};

/* ---- the record table ------------------------------------------------------------------------------------------- */

/*
 * One record per kernel file that stands for something of ours, found by what fstat(2) says of the descriptor.
 *   STAGED, LOCAL   one per file: every open of it is a fresh description of the same kernel inode
 *   RANGE, DIRECTORY, PATH  one per open file description: offset and status flags live here
 * While a record is in use, its kernel inode cannot go away and so not be reused: the keeper holds it, or reports of its end free the record.
 * The keeper alone writes identity, path and attributes, making seq odd meanwhile. Programs write off.
 */
struct session_record {
	_Atomic uint32_t seq;  /* odd: being changed; read again */
	_Atomic uint32_t kind; /* enum session_kind */
	uint64_t kernel_dev, kernel_ino;
	_Atomic uint32_t serial;  /* counts uses of this record */
	uint32_t mount;           /* which mount */
	struct session_attr attr; /* STAGED: size and times come from the kernel file instead; of change see below */
	_Atomic int64_t
		filled_ns; /* STAGED: the kernel file's time of change when the keeper had filled it; 0: it has not */
	_Atomic uint64_t
		content; /* RANGE: key in the page cache; 0: the file was written since, every read asks the keeper.
	                             LOCAL: not 0: it was written since, and CONTENT gives the new content
	                             DIRECTORY: the lock it has, LOCK_SH or LOCK_EX; 0: none */
	_Atomic int64_t size;     /* RANGE */
	_Atomic int64_t off;      /* RANGE: the file offset; DIRECTORY: index of the next entry */
	_Atomic uint32_t passing; /* STAGED, LOCAL: descriptors sent to programs whose copy the keeper still has open */
	_Atomic uint32_t status;  /* RANGE, DIRECTORY: O_APPEND, O_NONBLOCK... as F_GETFL is to show them */
	_Atomic uint32_t deleted; /* unlinked or replaced while open */
	uint32_t pad[8];
	char path[4096]; /* as the program named it: "/goosefs/a/b" */
};

/*
 * A STAGED file's time of change: the kernel file's, unless it is of how that was made; or when what the kernel file does not have
 * was changed, the mode, the owner, the name, if that is later.
 */
static inline int64_t session_ctime(int64_t kernel_ns, int64_t filled_ns, int64_t attr_ns)
{
	return kernel_ns == filled_ns || kernel_ns < attr_ns ? attr_ns : kernel_ns;
}

/*
 * What the keeper lately answered about names, for whoever asks the same: STAT without its question. An entry is true as long as
 * until_ms has not come and nothing was changed by the session since it was found out: the keeper counts generation up after each
 * change, before whoever asked for it hears that it is done. Files staged here have none: their sizes change without the keeper.
 * A name is in one of the SESSION_NAME_WAYS places of its set; what it really says of a link is said of the link.
 */
#define SESSION_NAMES     32768u
#define SESSION_NAME_WAYS 4u

struct session_name {
	_Atomic uint32_t seq; /* odd: being changed */
	uint32_t hash;        /* of path */
	int32_t rc;           /* 0, or -ENOENT */
	uint32_t pad;
	uint64_t generation;
	int64_t until_ms; /* CLOCK_MONOTONIC */
	struct session_attr attr;
	char path[416]; /* longer ones are not kept */
};
_Static_assert(sizeof(struct session_name) == 512, "whole pages");

static inline uint64_t session_name_hash(const char *path, uint64_t n)
{
	uint64_t h = n, word;

	for (uint64_t i = 0; i < n; i += sizeof word) {
		word = 0;
		__builtin_memcpy(&word, path + i, n - i < sizeof word ? n - i : sizeof word);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	return h;
}

static inline uint32_t session_name_set(uint64_t hash)
{
	return (uint32_t)(hash >> 8) & (SESSION_NAMES / SESSION_NAME_WAYS - 1);
}

#define SESSION_RECORDS 16384u
#define SESSION_BUCKETS                                                                                                \
	32768u /* power of two; linear probing; 0: never used, else index + 1; a freed record stays in its bucket */

struct session_records {
	_Atomic uint32_t version; /* SESSION_VERSION; 0 once the session is over */
	uint32_t size;            /* sizeof(struct session_records) */
	_Atomic uint32_t live;    /* records in use: a shim that sees 0 has none of ours */
	_Atomic uint32_t keeper_pid;
	_Atomic uint32_t
		used; /* records below have been used, and have their memory: beyond, who reads on a full disk gets SIGBUS */
	_Atomic uint32_t overrides;  /* LOCAL records whose file was written since, counted up */
	_Atomic uint64_t generation; /* of names */
	_Atomic uint32_t bucket[SESSION_BUCKETS];
	_Atomic uint8_t
		name_page[SESSION_NAMES * sizeof(struct session_name) / 4096]; /* those that have their memory */
	struct session_record record[SESSION_RECORDS];
	struct session_name name[SESSION_NAMES];
};

static inline uint32_t session_hash(uint64_t dev, uint64_t ino)
{
	uint64_t x = (ino * 0x9e3779b97f4a7c15u) ^ (dev * 0xc2b2ae3d27d4eb4fu);

	return (uint32_t)(x >> 40) & (SESSION_BUCKETS - 1);
}

/* ---- the page cache ------------------------------------------------------------------------------------------- */

/*
 * A sealed memfd: struct session_cache, then the pages. A page can be only in the SESSION_WAYS places of its set, so a look-up
 * is one cache line or two and needs no lock. A reader checks gen before and after its copy; odd or changed is a miss.
 */
#define SESSION_WAYS 8u

/*
 * The lowest bit of a content key says that the file is read in sequence and could not stay: its pages go round in so many
 * sets. They are then in memory that is there, and in the processor's cache, and drive nobody else's pages out.
 */
#define SESSION_STREAM      1u
#define SESSION_STREAM_SETS 2u

struct session_page {
	_Atomic uint32_t gen;     /* odd: being filled */
	_Atomic uint32_t bytes;   /* valid bytes; less than page_bytes only at the end of the file */
	_Atomic uint64_t content; /* 0: empty */
	_Atomic uint64_t number;  /* byte offset / page_bytes */
	_Atomic uint32_t
		tell; /* who reads on into this page asks for it all the same, so that the keeper reads further ahead */
	uint32_t pad;
};

struct session_cache {
	uint32_t page_bytes, sets;  /* both powers of two */
	uint64_t first_page;        /* byte offset of page 0 in the mapping; page i follows at i * page_bytes */
	struct session_page page[]; /* sets * SESSION_WAYS */
};

static inline uint32_t session_set(const struct session_cache *cache, uint64_t content, uint64_t number)
{
	if (content & SESSION_STREAM)
		number &= SESSION_STREAM_SETS - 1;
	return (uint32_t)((((content * 0x9e3779b97f4a7c15u) >> 32) + number) & (cache->sets - 1));
}

#endif
