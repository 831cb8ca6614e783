/*
 * ufs.h: the under file system: a local directory that is mounted at /, where what is persisted lies under its own name.
 *
 *	UFS/a/b                 /a/b
 *	UFS/.slipstream/ID/...  this server's: what is being written, what is being removed; emptied at start
 *
 * Paths are those of the tree ("/a/b"); "file://UFS/a/b" and "UFS/a/b" are what clients call them. Nothing outside the directory is
 * reached: not by "..", not by a symbolic link that leads out (then it is as if there were nothing). What is neither a
 * file nor a directory does not exist either.
 *
 * Returns 0 or -errno. Threads: any; a writer belongs to one.
 */
#ifndef SLIPSTREAM_SERVER_UFS_H
#define SLIPSTREAM_SERVER_UFS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define UFS_URI_MAX (PATH_MAX * 2)

struct ufs {
	int dir_fd;          /* -1: there is no under file system */
	char path[PATH_MAX]; /* absolute */
	char work[40];       /* our own directory, below path */
};

struct ufs_entry {
	bool dir;
	int64_t bytes;
	int64_t modified_ms;
	int64_t stamp; /* changes with the content: its mtime in ns */
	int mode;      /* nine bits */
	uid_t uid;
	gid_t gid;
};

/* Make the directory if it is missing. -EINVAL: it holds root, the server's own directory. */
int ufs_open(struct ufs *, const char *path, const char *root);
void ufs_close(struct ufs *);

static inline bool ufs_on(const struct ufs *ufs)
{
	return ufs->dir_fd >= 0;
}

/* How clients call a path. False if it does not fit. */
bool ufs_uri(const struct ufs *, const char *path, char out[UFS_URI_MAX]);
/* The path in what a client said (a part of it), or NULL when that is not below our directory. */
const char *ufs_path_of(const struct ufs *, const char *uri);

/* One cheap look: false when there is nothing. True may be wrong. */
bool ufs_may_have(const struct ufs *, const char *path);
int ufs_stat(const struct ufs *, const char *path, struct ufs_entry *); /* -ENOENT */
/* A descriptor for reading a file; -EISDIR. */
int ufs_read(const struct ufs *, const char *path, struct ufs_entry *);

/* Every name in a directory but ours; other than 0 from each() ends it and is returned. */
int ufs_list(const struct ufs *, const char *path, int (*each)(void *context, const char *name), void *context);

/* Absent is fine. A directory goes with all it holds; ufs_empty_trash() frees the space. */
int ufs_remove(const struct ufs *, const char *path);
void ufs_empty_trash(const struct ufs *);
/* Missing parents of `to` are made. -ENOENT: there is no `from`. */
int ufs_rename(const struct ufs *, const char *from, const char *to);
int ufs_set_mode(const struct ufs *, const char *path, int mode);
int ufs_make_dirs(const struct ufs *, const char *path);

/* A file that appears, whole, when it is committed. */
struct ufs_writer {
	const struct ufs *ufs;
	int fd; /* -1: done with */
	int64_t bytes;
	char name[80];
};

int ufs_writer_open(const struct ufs *, int mode, struct ufs_writer *);
int ufs_writer_append(struct ufs_writer *, const struct iovec *parts, unsigned nparts);
/* Under this path, in the place of a file that is there; missing parents are made. -EISDIR. The writer is done with. */
int ufs_writer_commit(struct ufs_writer *, const char *path, struct ufs_entry *);
void ufs_writer_discard(struct ufs_writer *); /* nothing after a commit */

#endif
