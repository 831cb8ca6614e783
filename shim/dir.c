/*
 * dir.c: directory streams. A DIR of ours begins with a mark that cannot be libc's (whose first word is a descriptor), so
 * one load tells them apart. Entries come in pages of the keeper's LIST reply; a position is the index of an entry.
 */
#include "shim/op.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/sys.h"
#include "shim/user.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MARK 0x5349504c53444952u

struct folder { /* what a DIR * of ours points to */
	uint64_t mark;
	int fd;
	int record;
	pthread_mutex_t lock; /* guards the rest */
	int64_t next;         /* index of the entry after those in the page */
	int64_t index;        /* of the next entry to give */
	unsigned at, bytes;   /* in page */
	struct dirent entry;
	char *page;
};

static struct folder *folder_of(DIR *dir)
{
	struct folder *f = (struct folder *)dir;

	__asm__("" : "+r"(f));
	return likely(!f || f->mark != MARK) ? NULL : f;
}

/* Entries from index on. Returns how many, 0 at the end, or -errno; bytes of them are in page. */
static long list(int record, int64_t index, void *page, unsigned room, unsigned *bytes)
{
	struct call c;
	long rc;

	call_record(&c, SESSION_LIST, record);
	c.request.a = index;
	c.request.b = room;
	c.in = page;
	c.in_bytes = room;
	rc = session_call(&c);
	*bytes = c.reply.bytes;
	return rc;
}

/* The entry at offset at of a page, or NULL if what is there is none. */
static const struct session_dirent *entry_at(const char *page, unsigned at, unsigned bytes)
{
	const struct session_dirent *e = (const struct session_dirent *)(page + at);
	size_t head = offsetof(struct session_dirent, name);

	if (at + head >= bytes || e->bytes <= head || e->bytes > bytes - at || (e->bytes & 7) ||
	    !memchr(e->name, '\0', e->bytes - head))
		return NULL;
	return e;
}

static DIR *folder_new(int fd, int record)
{
	struct folder *f = calloc(1, sizeof *f);

	if (f)
		f->page = malloc(SESSION_PAYLOAD_MAX);
	if (!f || !f->page) {
		free(f);
		return NULL;
	}
	f->mark = MARK;
	f->fd = fd;
	f->record = record;
	pthread_mutex_init(&f->lock, NULL);
	return (DIR *)f;
}

static COLD DIR *open_ours(struct where *w)
{
	struct ofd of;
	DIR *dir;
	long fd = op_open(w, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (fd == SESSION_ELSEWHERE)
		return REAL(opendir)(w->native);
	if (fd < 0 || !ofd_find(&of, (int)fd, KIND(DIRECTORY))) {
		errno = fd < 0 ? (int)-fd : ENOTDIR;
		if (fd >= 0)
			process_close((int)fd);
		return NULL;
	}
	dir = folder_new((int)fd, of.record);
	if (!dir)
		process_close((int)fd);
	return dir;
}

EXPORT DIR *opendir(const char *path)
{
	struct where w;
	DIR *dir;
	int ours;

	if (likely(!path_maybe(AT_FDCWD, path))) {
		dir = REAL(opendir)(path);
		if (unlikely(!dir && shim.active) && path_missed(&w, AT_FDCWD, path, errno))
			return open_ours(&w);
		return dir;
	}
	ours = path_find(&w, AT_FDCWD, path);
	if (ours > 0)
		return open_ours(&w);
	if (ours == 0)
		return REAL(opendir)(w.native);
	errno = -ours;
	return NULL;
}

EXPORT DIR *fdopendir(int fd)
{
	struct ofd of;

	if (likely(!ofd_find(&of, fd, ANY_KIND)))
		return REAL(fdopendir)(fd);
	if (!S_ISDIR(of.rec->attr.mode)) {
		errno = ENOTDIR;
		return NULL;
	}
	sys_fcntl(fd, F_SETFD, FD_CLOEXEC);
	return folder_new(fd, of.record);
}

/* Under the lock. 1: f->entry is the next one; 0: the end; -errno. */
static long next(struct folder *f)
{
	const struct session_dirent *e;
	size_t n;
	long rc;

	if (f->at >= f->bytes) {
		rc = list(f->record, f->next, f->page, SESSION_PAYLOAD_MAX, &f->bytes);
		f->at = 0;
		if (rc <= 0) {
			f->bytes = 0;
			return rc == -ENOENT ? 0 : rc; /* removed meanwhile: empty, as on a disk */
		}
		f->index = f->next;
		f->next += rc;
	}
	e = entry_at(f->page, f->at, f->bytes);
	if (!e) {
		shim_log("the keeper sent a listing that is none", NULL, 0);
		return -EIO;
	}
	n = strlen(e->name);
	if (n >= sizeof f->entry.d_name)
		return -ENAMETOOLONG;
	f->at += e->bytes;
	f->index++;
	f->entry.d_ino = e->ino;
	f->entry.d_off = f->index;
	f->entry.d_type = e->type;
	f->entry.d_reclen = (unsigned short)((offsetof(struct dirent, d_name) + n + 1 + 7) & ~(size_t)7);
	memcpy(f->entry.d_name, e->name, n + 1);
	return 1;
}

EXPORT struct dirent *readdir(DIR *dir)
{
	struct folder *f = folder_of(dir);
	long rc;

	if (likely(!f))
		return REAL(readdir)(dir);
	pthread_mutex_lock(&f->lock);
	rc = next(f);
	pthread_mutex_unlock(&f->lock);
	if (rc < 0)
		errno = (int)-rc;
	return rc > 0 ? &f->entry : NULL;
}
EXPORT_ALIAS(readdir, readdir64)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
EXPORT int readdir_r(DIR *dir, struct dirent *entry, struct dirent **result)
{
	struct folder *f = folder_of(dir);
	long rc;

	if (likely(!f))
		return REAL(readdir_r)(dir, entry, result);
	pthread_mutex_lock(&f->lock);
	rc = next(f);
	if (rc > 0)
		memcpy(entry, &f->entry, f->entry.d_reclen);
	pthread_mutex_unlock(&f->lock);
	*result = rc > 0 ? entry : NULL;
	return rc < 0 ? (int)-rc : 0;
}
EXPORT_ALIAS(readdir_r, readdir64_r)
#pragma GCC diagnostic pop

EXPORT int closedir(DIR *dir)
{
	struct folder *f = folder_of(dir);
	long rc;

	if (likely(!f)) {
		int fd = unlikely(shim.active) ? REAL(dirfd)(dir) : -1;

		/* libc closes it by itself; a number that was asked about may be somebody else's next. */
		if (fd >= 0 && fdtab_word(fd) != FD_NATIVE && !session_vfork_child())
			fdtab_set(fd, FD_UNKNOWN);
		return REAL(closedir)(dir);
	}
	rc = process_close(f->fd);
	f->mark = 0;
	pthread_mutex_destroy(&f->lock);
	free(f->page);
	free(f);
	if (rc >= 0)
		return 0;
	errno = (int)-rc;
	return -1;
}

EXPORT int dirfd(DIR *dir)
{
	struct folder *f = folder_of(dir);

	return likely(!f) ? REAL(dirfd)(dir) : f->fd;
}

EXPORT long telldir(DIR *dir)
{
	struct folder *f = folder_of(dir);
	long at;

	if (likely(!f))
		return REAL(telldir)(dir);
	pthread_mutex_lock(&f->lock);
	at = f->at >= f->bytes ? f->next : f->index;
	pthread_mutex_unlock(&f->lock);
	return at;
}

EXPORT void seekdir(DIR *dir, long index)
{
	struct folder *f = folder_of(dir);

	if (likely(!f)) {
		REAL(seekdir)(dir, index);
		return;
	}
	pthread_mutex_lock(&f->lock);
	f->next = index;
	f->at = f->bytes = 0;
	pthread_mutex_unlock(&f->lock);
}

EXPORT void rewinddir(DIR *dir)
{
	if (likely(!folder_of(dir)))
		REAL(rewinddir)(dir);
	else
		seekdir(dir, 0);
}

/* ---- getdents: the index is the offset of the description ----------------------------------------------------------- */

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

long op_getdents64(struct ofd *of, void *buf, size_t n)
{
	char page[8192];
	unsigned bytes, at = 0;
	size_t done = 0;
	int64_t index = atomic_load(&of->rec->off);
	long rc;

	if (of->kind != SESSION_DIRECTORY)
		return -ENOTDIR;
	rc = list(of->record, index, page, sizeof page, &bytes);
	if (rc <= 0)
		return rc;
	if (!user_takes(buf, n))
		return -EFAULT;
	while (at < bytes) {
		const struct session_dirent *e = entry_at(page, at, bytes);
		struct linux_dirent64 *out = (struct linux_dirent64 *)((char *)buf + done);
		size_t name, room;

		if (!e)
			return -EIO;
		name = strlen(e->name) + 1;
		room = (offsetof(struct linux_dirent64, d_name) + name + 7) & ~(size_t)7;
		if (room > n - done)
			break;
		memset(out, 0, room);
		out->d_ino = e->ino;
		out->d_off = ++index;
		out->d_reclen = (unsigned short)room;
		out->d_type = e->type;
		memcpy(out->d_name, e->name, name);
		done += room;
		at += e->bytes;
	}
	if (!done)
		return -EINVAL;
	atomic_store(&of->rec->off, index);
	return (long)done;
}

EXPORT ssize_t getdirentries(int fd, char *buf, size_t n, off_t *base)
{
	struct ofd of;
	long rc;

	if (likely(!ofd_find(&of, fd, USED_KIND)))
		return REAL(getdirentries)(fd, buf, n, base);
	*base = atomic_load(&of.rec->off);
	rc = op_getdents64(&of, buf, n);
	if (rc >= 0)
		return rc;
	errno = (int)-rc;
	return -1;
}
EXPORT_ALIAS(getdirentries, getdirentries64)
