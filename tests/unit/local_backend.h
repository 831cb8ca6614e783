/*
 * local_backend.h: a backend over a local directory, for tests: files that are incomplete carry the sticky bit. What it
 * is to do wrong, and how often it was asked, is in memory shared with the process that uses it.
 */
#ifndef SLIPSTREAM_TESTS_LOCAL_BACKEND_H
#define SLIPSTREAM_TESTS_LOCAL_BACKEND_H

#include "client/backend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct local_knobs {
	char root[256];
	_Atomic int stats, lists, creates, completes, renames; /* how often */
	_Atomic int fail_complete;                             /* so many times, with EIO */
	_Atomic int fail_create;                               /* for good, with this errno */
	_Atomic int write_ms, read_ms, list_ms, rename_ms;     /* slow */
	_Atomic int local;                                     /* open_local() works */
};

static struct local_knobs *local_knobs;

struct backend {
	int unused;
};

struct backend_layout {
	int fd;
};

#define LOCAL_READ 100000 /* at once */

struct backend_reader {
	int fd;
	char lent[LOCAL_READ];
};

struct backend_writer {
	int fd;
	char path[PATH_MAX];
};

static void local_pause(int ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

	if (ms)
		nanosleep(&t, NULL);
}

static const char *local_path(const char *path, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s%s", local_knobs->root, path);
	return out;
}

static int local_open(const struct config *config, const char *authority, struct backend **out)
{
	(void)config;
	(void)authority;
	*out = calloc(1, sizeof **out);
	return *out ? 0 : -ENOMEM;
}

static void local_close(struct backend *b)
{
	free(b);
}

static void local_fill(const struct stat *s, struct slip_stat *st)
{
	*st = (struct slip_stat){
		.type = S_ISDIR(s->st_mode)   ? SLIP_DIRECTORY
			: S_ISLNK(s->st_mode) ? SLIP_SYMLINK
					      : SLIP_FILE,
		.id = s->st_ino,
		.size = s->st_size,
		.block_size = 1 << 20,
		.mtime_ms = s->st_mtime * 1000,
		.atime_ms = s->st_mtime * 1000,
		.ctime_ms = s->st_mtime * 1000,
		.mode = s->st_mode & 0777,
		.complete = !S_ISREG(s->st_mode) || !(s->st_mode & S_ISVTX),
	};
	snprintf(st->owner, sizeof st->owner, "%u", s->st_uid);
	snprintf(st->group, sizeof st->group, "%u", s->st_gid);
}

static int local_stat(struct backend *b, const char *path, struct slip_stat *st)
{
	char real[PATH_MAX];
	struct stat s;
	int fd;

	(void)b;
	atomic_fetch_add(&local_knobs->stats, 1);
	/* as a server that follows no link anywhere */
	for (char *at = strchr(local_path(path, real) + strlen(local_knobs->root) + 1, '/'); at;
	     at = strchr(at + 1, '/')) {
		*at = '\0';
		fd = lstat(real, &s) ? -errno : S_ISDIR(s.st_mode) ? 0 : -ENOENT;
		*at = '/';
		if (fd)
			return fd;
	}
	if (lstat(real, &s))
		return -errno;
	local_fill(&s, st);
	return 0;
}

static int local_lookup(struct backend *b, const char *path, struct backend_file *out)
{
	char real[PATH_MAX];
	int rc = local_stat(b, path, &out->st);

	out->layout = NULL;
	if (rc || out->st.type != SLIP_FILE)
		return rc;
	out->layout = calloc(1, sizeof *out->layout);
	out->layout->fd = open(local_path(path, real), O_RDONLY | O_CLOEXEC);
	if (out->layout->fd >= 0)
		return 0;
	rc = -errno;
	free(out->layout);
	return rc;
}

static void local_release(struct backend *b, struct backend_file *file)
{
	(void)b;
	if (file->layout)
		close(file->layout->fd);
	free(file->layout);
}

static int local_list(struct backend *b, const char *path, slip_list_fn *each, void *context)
{
	char real[PATH_MAX];
	struct slip_stat st;
	struct dirent *e;
	DIR *dir = opendir(local_path(path, real));
	int rc = 0;

	(void)b;
	atomic_fetch_add(&local_knobs->lists, 1);
	if (!dir)
		return -errno;
	while (!rc && (e = readdir(dir))) {
		struct stat s;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    fstatat(dirfd(dir), e->d_name, &s, AT_SYMLINK_NOFOLLOW))
			continue;
		local_fill(&s, &st);
		rc = each(context, e->d_name, &st);
	}
	closedir(dir);
	local_pause(atomic_load(&local_knobs->list_ms));
	return rc;
}

static int local_mkdir(struct backend *b, const char *path, uint32_t mode)
{
	char real[PATH_MAX];

	(void)b;
	return mkdir(local_path(path, real), mode) ? -errno : 0;
}

static int local_remove(struct backend *b, const char *path, bool recursive)
{
	char real[PATH_MAX];

	(void)b;
	(void)recursive;
	return remove(local_path(path, real)) ? -errno : 0;
}

static int local_rename(struct backend *b, const char *from, const char *to)
{
	char a[PATH_MAX], z[PATH_MAX];

	(void)b;
	atomic_fetch_add(&local_knobs->renames, 1);
	local_pause(atomic_load(&local_knobs->rename_ms));
	return renameat2(AT_FDCWD, local_path(from, a), AT_FDCWD, local_path(to, z), RENAME_NOREPLACE) ? -errno : 0;
}

static int local_symlink(struct backend *b, const char *target, const char *path)
{
	char real[PATH_MAX];

	(void)b;
	return symlink(target, local_path(path, real)) ? -errno : 0;
}

static int local_readlink(struct backend *b, const char *path, char *buf, size_t size)
{
	char real[PATH_MAX];
	ssize_t n = readlink(local_path(path, real), buf, size - 1);

	(void)b;
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return (int)n;
}

static int local_set_attribute(struct backend *b, const char *path, const uint32_t *mode, const char *owner,
			       const char *group)
{
	char real[PATH_MAX];

	(void)b;
	if (mode && chmod(local_path(path, real), *mode))
		return -errno;
	return lchown(local_path(path, real), owner ? (uid_t)atoi(owner) : (uid_t)-1,
		      group ? (gid_t)atoi(group) : (gid_t)-1)
		       ? -errno
		       : 0;
}

static int local_capacity(struct backend *b, int64_t *total, int64_t *used)
{
	(void)b;
	*total = 1 << 30;
	*used = 1 << 20;
	return 0;
}

static int local_reader_open(struct backend *b, const struct backend_file *file, struct backend_reader **out)
{
	(void)b;
	*out = calloc(1, sizeof **out);
	(*out)->fd = dup(file->layout->fd);
	return 0;
}

static ssize_t local_reader_read(struct backend_reader *r, void *buf, size_t n, int64_t off, bool sequential)
{
	ssize_t got;

	(void)sequential;
	local_pause(atomic_load(&local_knobs->read_ms));
	got = pread(r->fd, buf, n > LOCAL_READ ? LOCAL_READ : n, off);
	return got < 0 ? -errno : got;
}

static ssize_t local_reader_lend(struct backend_reader *r, struct iovec *parts, unsigned *nparts, size_t n, int64_t off,
				 bool sequential)
{
	ssize_t got = n ? local_reader_read(r, r->lent, n, off, sequential) : 0;

	*nparts = got > 0;
	parts[0] = (struct iovec){r->lent, got > 0 ? (size_t)got : 0};
	return got;
}

static void local_reader_close(struct backend_reader *r)
{
	close(r->fd);
	free(r);
}

static int local_open_local(struct backend *b, const struct backend_file *file)
{
	char name[32];
	int fd;

	(void)b;
	if (!atomic_load(&local_knobs->local))
		return -EOPNOTSUPP;
	snprintf(name, sizeof name, "/proc/self/fd/%d", file->layout->fd);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int local_create(struct backend *b, const char *path, uint32_t mode, struct backend_writer **out, uint64_t *id)
{
	struct backend_writer *w = calloc(1, sizeof *w);
	struct stat s;
	int rc;

	(void)b;
	atomic_fetch_add(&local_knobs->creates, 1);
	rc = -atomic_load(&local_knobs->fail_create);
	if (!rc) {
		w->fd = open(local_path(path, w->path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		rc = w->fd < 0 ? -errno : 0;
	}
	if (rc) {
		free(w);
		return rc;
	}
	fchmod(w->fd, mode | S_ISVTX);
	fstat(w->fd, &s);
	*id = s.st_ino;
	*out = w;
	return 0;
}

static int local_resume(struct backend *b, const char *path, uint64_t id, struct backend_writer **out)
{
	struct backend_writer *w = calloc(1, sizeof *w);
	struct stat s;

	(void)b;
	w->fd = open(local_path(path, w->path), O_WRONLY | O_CLOEXEC);
	if (w->fd >= 0 && !fstat(w->fd, &s) && s.st_ino == id && (s.st_mode & S_ISVTX) && !s.st_size) {
		*out = w;
		return 0;
	}
	if (w->fd >= 0)
		close(w->fd);
	free(w);
	return -ENOENT;
}

static int local_writer_write(struct backend_writer *w, const void *buf, size_t n,
			      int (*refill)(void *, void *, size_t, int64_t), void *context)
{
	(void)refill;
	(void)context;
	local_pause(atomic_load(&local_knobs->write_ms));
	return write(w->fd, buf, n) == (ssize_t)n ? 0 : -EIO;
}

static int local_writer_complete(struct backend_writer *w, const char *path)
{
	char real[PATH_MAX];
	struct stat s, named;

	if (atomic_load(&local_knobs->fail_complete) > 0) {
		atomic_fetch_sub(&local_knobs->fail_complete, 1);
		return -EIO;
	}
	atomic_fetch_add(&local_knobs->completes, 1);
	fstat(w->fd, &s);
	if (stat(local_path(path, real), &named) || named.st_ino != s.st_ino)
		return -ENOENT;
	return fchmod(w->fd, s.st_mode & 0777) ? -errno : 0;
}

static void local_writer_abort(struct backend_writer *w, bool remove_name)
{
	if (remove_name)
		unlink(w->path);
}

static void local_writer_free(struct backend_writer *w)
{
	close(w->fd);
	free(w);
}

static const struct backend_ops local_backend = {
	.scheme = "goosefs",
	.open = local_open,
	.close = local_close,
	.stat = local_stat,
	.lookup = local_lookup,
	.release = local_release,
	.list = local_list,
	.mkdir = local_mkdir,
	.remove = local_remove,
	.rename = local_rename,
	.symlink = local_symlink,
	.readlink = local_readlink,
	.set_attribute = local_set_attribute,
	.capacity = local_capacity,
	.reader_open = local_reader_open,
	.reader_read = local_reader_read,
	.reader_lend = local_reader_lend,
	.reader_close = local_reader_close,
	.open_local = local_open_local,
	.create = local_create,
	.resume = local_resume,
	.writer_write = local_writer_write,
	.writer_complete = local_writer_complete,
	.writer_abort = local_writer_abort,
	.writer_free = local_writer_free,
};

#endif
