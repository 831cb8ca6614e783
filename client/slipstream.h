/*
 * slipstream.h: files in a distributed cache, for any C program. No preload, no keeper: this library speaks to the cluster.
 *
 *   struct slip_client *c;
 *   struct slip_file *f;
 *   slip_client_new(NULL, &c);                          (settings: docs, SLIPSTREAM_*, goosefs-site.properties)
 *   slip_open(c, "/goosefs/in/a.txt", O_RDONLY, 0, &f);
 *   n = slip_read(f, buf, sizeof buf);
 *   slip_close(f);
 *   slip_client_free(c);
 *
 * Paths are absolute, below a configured mount ("/goosefs/in/a.txt"), or URLs ("goosefs:///in/a.txt",
 * "goosefs://host:port/in/a.txt"). Functions return 0 or a count, or -errno; errno itself is not touched.
 * Threads: a client may be used by any number of threads; a file too (its reads and writes are serialised).
 * Fork:    a client does not survive fork; a child must make its own.
 */
#ifndef SLIPSTREAM_H
#define SLIPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLIP_EXPORT __attribute__((visibility("default")))

struct slip_client;
struct slip_file;

/* ---- the client -------------------------------------------------------------------------------------------- */

/*
 * Settings come from the environment (SLIPSTREAM_*, GOOSEFS_*), then the files, then defaults. overrides is NULL or
 * "name=value" strings ending in NULL, which win over all (names as in config.def).
 * Connects lazily: an unreachable master shows at the first call. -EINVAL: a bad setting; the log says which.
 */
SLIP_EXPORT int slip_client_new(const char *const *overrides, struct slip_client **out);
SLIP_EXPORT void slip_client_free(struct slip_client *);

/* Is this path (or URL) below a mount? */
SLIP_EXPORT bool slip_owns(const struct slip_client *, const char *path);

/* Mount number i (0..): its prefix and URL, valid while the client lives. -ENOENT past the last. */
SLIP_EXPORT int slip_mount_at(const struct slip_client *, unsigned i, const char **prefix, const char **url);

/* What the peer said about the last failure of the calling thread, or "". */
SLIP_EXPORT const char *slip_last_error(void);

/* ---- names ----------------------------------------------------------------------------------------------------- */

enum slip_type { SLIP_FILE, SLIP_DIRECTORY, SLIP_SYMLINK };

struct slip_stat {
	enum slip_type type;
	uint64_t id;                          /* the backend's inode id; stable over renames */
	int64_t size;                         /* bytes */
	int64_t block_size;                   /* bytes per block; 0 for directories */
	int64_t mtime_ms, atime_ms, ctime_ms; /* since the epoch */
	uint32_t mode;                        /* nine permission bits */
	bool complete;                        /* false: somebody is still writing it */
	char owner[64], group[64];            /* names as the backend has them */
};

/* Does not follow a final symbolic link. -ENOENT, -ENOTDIR, -EACCES, -ETIMEDOUT, -EHOSTUNREACH, ... */
SLIP_EXPORT int slip_stat(struct slip_client *, const char *path, struct slip_stat *);

/* each() is called once per entry, in no order, without "." and "..". A nonzero return ends the listing and is returned. */
typedef int slip_list_fn(void *context, const char *name, const struct slip_stat *);
SLIP_EXPORT int slip_list(struct slip_client *, const char *path, slip_list_fn *each, void *context);

SLIP_EXPORT int slip_mkdir(struct slip_client *, const char *path, uint32_t mode); /* -EEXIST, -ENOENT */
SLIP_EXPORT int slip_unlink(struct slip_client *, const char *path);               /* -EISDIR */
SLIP_EXPORT int slip_rmdir(struct slip_client *, const char *path);                /* -ENOTDIR, -ENOTEMPTY */
SLIP_EXPORT int slip_remove_tree(struct slip_client *, const char *path); /* a file, or a directory and all below */
/* As rename(2): replaces an existing file, or an empty directory by a directory. Within one mount, else -EXDEV. */
SLIP_EXPORT int slip_rename(struct slip_client *, const char *from, const char *to, bool noreplace);
SLIP_EXPORT int slip_symlink(struct slip_client *, const char *target, const char *path);
SLIP_EXPORT int slip_readlink(struct slip_client *, const char *path, char *buf,
			      size_t size); /* bytes, NUL-terminated; -EINVAL: no link */
SLIP_EXPORT int slip_chmod(struct slip_client *, const char *path, uint32_t mode);
SLIP_EXPORT int slip_chown(struct slip_client *, const char *path, const char *owner,
			   const char *group); /* NULL: leave */
SLIP_EXPORT int slip_capacity(struct slip_client *, const char *path, int64_t *total_bytes, int64_t *used_bytes);

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/*
 * flags: O_RDONLY; or O_WRONLY with O_CREAT, O_EXCL, O_TRUNC as open(2). Files are write-once: O_WRONLY on an existing
 * file wants O_TRUNC, and the new content appears at slip_close(), the old one staying until then. Anything else: -EOPNOTSUPP.
 */
SLIP_EXPORT int slip_open(struct slip_client *, const char *path, int flags, uint32_t mode, struct slip_file **out);
SLIP_EXPORT ssize_t slip_read(struct slip_file *, void *buf, size_t n); /* 0 at the end of the file only */
SLIP_EXPORT ssize_t slip_pread(struct slip_file *, void *buf, size_t n, int64_t off);
SLIP_EXPORT int64_t slip_seek(struct slip_file *, int64_t off, int whence);    /* reading only; the new offset */
SLIP_EXPORT ssize_t slip_write(struct slip_file *, const void *buf, size_t n); /* all n, or -errno */
SLIP_EXPORT int slip_fstat(struct slip_file *, struct slip_stat *);
/* Writing: completes the file; an error means nothing was published. Frees the file in every case. */
SLIP_EXPORT int slip_close(struct slip_file *);
SLIP_EXPORT void slip_abort(struct slip_file *); /* as slip_close(), but what was written is dropped */

SLIP_EXPORT const char *slip_version(void);

/* The session keeper, for tools/: `slipstream keeper`. Returns an exit status. */
SLIP_EXPORT int slip_keeper_main(int argc, char **argv);
/*
 * The same as threads of this process, for shim/ (client/inside.c): 0 when the session is over. mounts as in SLIPSTREAM_MOUNTS, which the
 * program may have taken out of its environment.
 */
SLIP_EXPORT int slip_keeper_inside(const char *dir, const char *mounts, void (*ready)(void *), void *context);

#ifdef __cplusplus
}
#endif
#endif
