/*
 * handle.c: the bytes half of the public API: struct slip_file.
 *
 * Reading knows one thing the backend does not: whether the caller reads on where it stopped. That goes by the end of
 * the last read, whichever call made it; the first read of a file counts as sequential if it is at the start.
 *
 * Writing over an existing file goes to a hidden name in the same directory (write type and attributes are inherited
 * there) and takes the old one's place at close: until then readers see the old content, and an error leaves it.
 */
#include "client/client.h"
#include "client/log.h"
#include "client/path.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { LINKS_MAX = 40 };

struct slip_file {
	struct place place; /* the name it was opened by, links followed */
	pthread_mutex_t lock;
	bool writing;
	int64_t offset; /* of the next slip_read(), or bytes written */

	struct backend_file file;      /* reading */
	struct backend_reader *reader; /* NULL until the first read */
	int64_t read_end;              /* where the last read ended */

	struct backend_writer *writer; /* writing */
	char *temporary;               /* within the backend; NULL: straight under its own name */
	uint64_t id;
	uint32_t mode;
	int error; /* the first failure of a write, once and for all */
};

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* One step along a symbolic link: its target, relative to the directory it lies in, in place of at. */
static int follow(struct slip_client *client, struct place *at)
{
	char target[PATH_MAX], parent[PATH_MAX], joined[PATH_MAX];
	const struct mount *mount = at->mount;
	int rc = at->ops->readlink(at->backend, at->path, target, sizeof target);

	if (rc < 0)
		return rc;
	if (*target == '/' || strstr(target, "://"))
		return place_find(client, target, at);
	path_parent(at->path, parent);
	rc = path_join(joined, parent, target);
	if (!rc)
		rc = path_normalise(joined, at->path);
	if (!rc && !path_below(at->path, mount->root))
		rc = -ENOENT;
	return rc;
}

/* Look up a file, links followed; *at is where it really is. */
static int lookup(struct slip_client *client, struct place *at, struct backend_file *out)
{
	for (unsigned i = 0; i <= LINKS_MAX; i++) {
		int rc = at->ops->lookup(at->backend, at->path, out);

		if (rc || out->st.type != SLIP_SYMLINK)
			return rc;
		at->ops->release(at->backend, out);
		rc = follow(client, at);
		if (rc)
			return rc;
	}
	return -ELOOP;
}

static int open_reading(struct slip_client *client, struct slip_file *f)
{
	int rc = lookup(client, &f->place, &f->file);

	if (rc)
		return rc;
	if (f->file.st.type == SLIP_DIRECTORY)
		rc = -EISDIR;
	else if (!f->file.st.complete)
		rc = -EBUSY;
	if (rc)
		f->place.ops->release(f->place.backend, &f->file);
	return rc;
}

static int temporary_name(const char *path, char out[PATH_MAX])
{
	char parent[PATH_MAX], name[sizeof HIDDEN_PREFIX + 16];
	uint64_t id;

	while (getrandom(&id, sizeof id, 0) != sizeof id)
		;
	snprintf(name, sizeof name, HIDDEN_PREFIX "%016llx", (unsigned long long)id);
	path_parent(path, parent);
	return path_join(out, parent, name);
}

static int open_replacing(struct slip_file *f, uint32_t mode)
{
	char name[PATH_MAX];
	int rc = temporary_name(f->place.path, name);

	if (rc)
		return rc;
	f->temporary = strdup(name);
	if (!f->temporary)
		return -ENOMEM;
	return f->place.ops->create(f->place.backend, f->temporary, mode, &f->writer, &f->id);
}

/* Create without asking first, as most files that are written are new. */
static int open_writing(struct slip_client *client, struct slip_file *f, int flags, uint32_t mode)
{
	struct backend_file old;
	int rc = -EEXIST;

	if (place_is_root(&f->place))
		return -EISDIR;
	f->mode = mode & 0777;
	if (flags & O_CREAT)
		rc = f->place.ops->create(f->place.backend, f->place.path, mode, &f->writer, &f->id);
	if (rc != -EEXIST || (flags & O_EXCL && flags & O_CREAT))
		return rc;
	rc = lookup(client, &f->place, &old);
	if (rc == -ENOENT && flags & O_CREAT) /* a dangling link, or gone meanwhile */
		return f->place.ops->create(f->place.backend, f->place.path, mode, &f->writer, &f->id);
	if (rc)
		return rc;
	f->mode = old.st.mode;
	if (old.st.type == SLIP_DIRECTORY)
		rc = -EISDIR;
	else if (!(flags & O_TRUNC))
		rc = -EOPNOTSUPP;
	else
		rc = open_replacing(f, f->mode);
	f->place.ops->release(f->place.backend, &old);
	return rc;
}

static bool flags_fit(int flags)
{
	const int known = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_LARGEFILE;

	if (flags & ~known)
		return false;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return !(flags & (O_CREAT | O_TRUNC));
	return (flags & O_ACCMODE) == O_WRONLY;
}

static void file_free(struct slip_file *f)
{
	pthread_mutex_destroy(&f->lock);
	free(f->temporary);
	free(f);
}

int slip_open(struct slip_client *client, const char *path, int flags, uint32_t mode, struct slip_file **out)
{
	struct slip_file *f;
	int rc;

	if (!flags_fit(flags))
		return -EOPNOTSUPP;
	f = calloc(1, sizeof *f);
	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	f->writing = (flags & O_ACCMODE) != O_RDONLY;
	rc = place_find(client, path, &f->place);
	if (!rc)
		rc = f->writing ? open_writing(client, f, flags, mode) : open_reading(client, f);
	if (rc) {
		file_free(f);
		return rc;
	}
	*out = f;
	return 0;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* All of n, or up to the end of the file. Under the lock. */
static ssize_t read_at(struct slip_file *f, void *buf, size_t n, int64_t off)
{
	bool sequential = off == f->read_end;
	size_t got = 0;

	if (f->writing)
		return -EBADF;
	if (off < 0)
		return -EINVAL;
	if (!f->reader) {
		int rc = f->place.ops->reader_open(f->place.backend, &f->file, &f->reader);

		if (rc)
			return rc;
	}
	while (got < n) {
		ssize_t part = f->place.ops->reader_read(f->reader, (char *)buf + got, n - got, off + (int64_t)got,
							 sequential || got);

		if (part < 0 && !got)
			return part;
		if (part <= 0)
			break;
		got += (size_t)part;
	}
	f->read_end = off + (int64_t)got;
	return (ssize_t)got;
}

ssize_t slip_read(struct slip_file *f, void *buf, size_t n)
{
	ssize_t got;

	pthread_mutex_lock(&f->lock);
	got = read_at(f, buf, n, f->offset);
	if (got > 0)
		f->offset += got;
	pthread_mutex_unlock(&f->lock);
	return got;
}

ssize_t slip_pread(struct slip_file *f, void *buf, size_t n, int64_t off)
{
	ssize_t got;

	pthread_mutex_lock(&f->lock);
	got = read_at(f, buf, n, off);
	pthread_mutex_unlock(&f->lock);
	return got;
}

static int64_t seek_base(const struct slip_file *f, int whence)
{
	switch (whence) {
	case SEEK_SET:
		return 0;
	case SEEK_CUR:
		return f->offset;
	case SEEK_END:
		return f->file.st.size;
	default:
		return -1;
	}
}

int64_t slip_seek(struct slip_file *f, int64_t off, int whence)
{
	int64_t base, to = -EINVAL;

	if (f->writing)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&f->lock);
	base = seek_base(f, whence);
	if (base >= 0 && !__builtin_add_overflow(base, off, &to) && to >= 0)
		f->offset = to;
	else
		to = -EINVAL;
	pthread_mutex_unlock(&f->lock);
	return to;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

ssize_t slip_write(struct slip_file *f, const void *buf, size_t n)
{
	int rc;

	if (!f->writing)
		return -EBADF;
	pthread_mutex_lock(&f->lock);
	rc = f->error;
	if (!rc)
		rc = f->place.ops->writer_write(f->writer, buf, n, NULL, NULL);
	if (!rc)
		f->offset += (int64_t)n;
	f->error = rc;
	pthread_mutex_unlock(&f->lock);
	return rc ? rc : (ssize_t)n;
}

/* A file being written: the backend does not know its length yet. */
static int stat_writing(struct slip_file *f, struct slip_stat *st)
{
	int rc = f->place.ops->stat(f->place.backend, f->temporary ? f->temporary : f->place.path, st);

	if (!rc && st->id == f->id)
		st->size = f->offset;
	return rc;
}

int slip_fstat(struct slip_file *f, struct slip_stat *st)
{
	int rc = 0;

	pthread_mutex_lock(&f->lock);
	if (f->writing)
		rc = stat_writing(f, st);
	else
		*st = f->file.st;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static int replace(struct slip_file *f)
{
	struct place from = f->place;
	int rc;

	snprintf(from.path, sizeof from.path, "%s", f->temporary);
	rc = place_rename(&from, &f->place, false);
	if (rc)
		from.ops->remove(from.backend, from.path, false);
	return rc;
}

static int finish_writing(struct slip_file *f)
{
	int rc = f->error;

	if (!rc)
		rc = f->place.ops->writer_complete(f->writer, f->temporary ? f->temporary : f->place.path);
	if (rc)
		f->place.ops->writer_abort(f->writer, true);
	f->place.ops->writer_free(f->writer);
	return rc || !f->temporary ? rc : replace(f);
}

static void finish_reading(struct slip_file *f)
{
	if (f->reader)
		f->place.ops->reader_close(f->reader);
	f->place.ops->release(f->place.backend, &f->file);
}

int slip_close(struct slip_file *f)
{
	int rc = 0;

	if (!f)
		return 0;
	if (f->writing)
		rc = finish_writing(f);
	else
		finish_reading(f);
	file_free(f);
	return rc;
}

void slip_abort(struct slip_file *f)
{
	if (f && f->writing && !f->error)
		f->error = -ECANCELED;
	slip_close(f);
}
