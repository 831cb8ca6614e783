/*
 * backend.h: the vtable a backend fills in. What a distributed file system must be able to do for us.
 *
 * Paths are absolute within the backend, normalised ("/" or "/a/b": no ".", "..", "//" or trailing "/").
 * Every function may block on the network and may be called from any thread. Results are 0 or -errno (spec goosefs 6.2);
 * what the peer said goes to error_note() (log.h), for slip_last_error().
 * Retries, re-authentication, master failover and worker choice are the backend's own affair.
 */
#ifndef SLIPSTREAM_CLIENT_BACKEND_H
#define SLIPSTREAM_CLIENT_BACKEND_H

#include "client/slipstream.h"

#include <sys/uio.h>

#define BACKEND_PARTS 64u

struct config;
struct backend;        /* one connection to one cluster */
struct backend_reader; /* one open file's way to its bytes */
struct backend_writer; /* one new file on its way up */

struct backend_file { /* what a reader needs to know of a file; from stat or create */
	struct slip_stat st;
	struct backend_layout
		*layout; /* blocks and where they are; the backend's own, freed with backend_file_release() */
};

struct backend_ops {
	const char *scheme; /* "goosefs" */

	/* authority: "host:port,host:port" of the URL or "" (then the settings say). root: path the URL ended in. */
	int (*open)(const struct config *, const char *authority, struct backend **);
	void (*close)(struct backend *);

	int (*stat)(struct backend *, const char *path, struct slip_stat *);
	/* the same, and what reading it takes; out is valid until release */
	int (*lookup)(struct backend *, const char *path, struct backend_file *out);
	void (*release)(struct backend *, struct backend_file *);
	int (*list)(struct backend *, const char *path, slip_list_fn *each, void *context);
	int (*mkdir)(struct backend *, const char *path, uint32_t mode);
	int (*remove)(struct backend *, const char *path, bool recursive); /* -ENOTEMPTY */
	int (*rename)(struct backend *, const char *from, const char *to); /* never replaces: -EEXIST */
	int (*symlink)(struct backend *, const char *target, const char *path);
	int (*readlink)(struct backend *, const char *path, char *buf, size_t size);
	int (*set_attribute)(struct backend *, const char *path, const uint32_t *mode, const char *owner,
			     const char *group);
	int (*capacity)(struct backend *, int64_t *total_bytes, int64_t *used_bytes);

	/* ---- reading. One reader per open file; calls on one reader are serialised by the caller ------------------- */
	int (*reader_open)(struct backend *, const struct backend_file *, struct backend_reader **);
	/*
	 * Bytes at off: 1..n of them, 0 only at or past the file's end. sequential says that the caller reads on from
	 * where it stopped (a streaming read with prefetch); otherwise a positioned read of exactly what is asked.
	 * A worker that dies is replaced, at the exact offset; the caller sees the bytes or -EIO, never a short file.
	 */
	ssize_t (*reader_read)(struct backend_reader *, void *buf, size_t n, int64_t off, bool sequential);
	/*
	 * The same, but the bytes stay where they lie: in parts[0..*nparts), valid until the next call on this reader. n 0 is
	 * such a call, and gives back what only a positioned read would keep.
	 */
	ssize_t (*reader_lend)(struct backend_reader *, struct iovec parts[BACKEND_PARTS], unsigned *nparts, size_t n,
			       int64_t off, bool sequential);
	void (*reader_close)(struct backend_reader *);
	/*
	 * A readable local file that is exactly this file's content (one block, worker on this host): an O_RDONLY
	 * descriptor, the caller's. -EOPNOTSUPP if there is none: read through a reader.
	 */
	int (*open_local)(struct backend *, const struct backend_file *);

	/* ---- writing ------------------------------------------------------------------------------------------------ */
	/* CreateFile: the name is taken, the file incomplete. -EEXIST, -ENOENT (parent), -ENOTDIR, ... *id is its inode id. */
	int (*create)(struct backend *, const char *path, uint32_t mode, struct backend_writer **, uint64_t *id);
	/*
	 * Take up an incomplete file made earlier by create(), of which no byte was sent: by the keeper after a restart, for one.
	 * path may have changed by rename since.
	 */
	int (*resume)(struct backend *, const char *path, uint64_t id, struct backend_writer **);
	/*
	 * Append. The writer keeps nothing of buf. A block that fails is replayed by asking again for its bytes:
	 * refill(context, buf, n, off) fills buf with the bytes written at off, or returns -errno. NULL: cannot.
	 * The last call's refill and context stay in use until writer_complete() or writer_abort() has returned.
	 */
	int (*writer_write)(struct backend_writer *, const void *buf, size_t n,
			    int (*refill)(void *context, void *buf, size_t n, int64_t off), void *context);
	int (*writer_complete)(struct backend_writer *, const char *path); /* path: as it is called now */
	void (*writer_abort)(struct backend_writer *,
			     bool remove_name);       /* gives blocks back; with remove_name, the inode too */
	void (*writer_free)(struct backend_writer *); /* after complete or abort */
};

extern const struct backend_ops goosefs_backend;

#endif
