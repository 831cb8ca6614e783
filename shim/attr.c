/*
 * attr.c: attributes. What the program sees of a file is what the keeper says; of a staging file, size and times are the
 * kernel's, which alone knows of native writes.
 */
#include "shim/op.h"
#include "shim/real.h"
#include "shim/sys.h"
#include "shim/user.h"

#include <string.h>
#include <sys/sysmacros.h>

#define NS 1000000000

static struct timespec time_of(int64_t ns)
{
	struct timespec t = {ns / NS, ns % NS};

	if (t.tv_nsec < 0) {
		t.tv_nsec += NS;
		t.tv_sec--;
	}
	return t;
}

/*
 * As on a disk: dbm libraries take the preferred block for the unit of what they write, and readers that seek fetch one of
 * it at every seek. Who reads from one end to the other loses nothing.
 */
#define BLOCK_BYTES 4096

/* Of such blocks, in units of 512. */
static uint64_t blocks_of(const struct session_attr *attr)
{
	if (S_ISDIR(attr->mode))
		return BLOCK_BYTES / 512;
	return S_ISREG(attr->mode) ? ((uint64_t)attr->size + BLOCK_BYTES - 1) / BLOCK_BYTES * (BLOCK_BYTES / 512) : 0;
}

void attr_stat(const struct session_attr *attr, struct stat *st)
{
	memset(st, 0, sizeof *st);
	st->st_dev = attr->dev;
	st->st_ino = attr->ino;
	st->st_mode = attr->mode;
	st->st_nlink = attr->nlink;
	st->st_uid = attr->uid;
	st->st_gid = attr->gid;
	st->st_size = attr->size;
	st->st_blksize = BLOCK_BYTES;
	st->st_blocks = (blkcnt_t)blocks_of(attr);
	st->st_atim = time_of(attr->atime_ns);
	st->st_mtim = time_of(attr->mtime_ns);
	st->st_ctim = time_of(attr->ctime_ns);
}

static long attr_give(const struct session_attr *attr, struct stat *st)
{
	if (!user_takes(st, sizeof *st))
		return -EFAULT;
	attr_stat(attr, st);
	return 0;
}

/* What session.h says of names. -EAGAIN: the keeper must be asked. */
static long name_known(const struct session_records *table, const struct where *w, struct session_attr *attr)
{
	size_t n = strlen(w->path), first;
	uint64_t hash = session_name_hash(w->path, n);
	struct timespec now;

	first = (size_t)session_name_set(hash) * SESSION_NAME_WAYS;
	if (n >= sizeof table->name->path ||
	    !atomic_load_explicit(&table->name_page[first * sizeof *table->name / 4096], memory_order_acquire))
		return -EAGAIN;
	for (size_t i = first; i < first + SESSION_NAME_WAYS; i++) {
		const struct session_name *name = &table->name[i];
		uint32_t seq = atomic_load_explicit(&name->seq, memory_order_acquire);
		uint64_t generation = name->generation;
		int64_t until_ms = name->until_ms;
		long rc = name->rc;

		if ((seq & 1) || name->hash != (uint32_t)hash || memcmp(name->path, w->path, n + 1) != 0)
			continue;
		*attr = name->attr;
		atomic_thread_fence(memory_order_acquire);
		if (seq != atomic_load_explicit(&name->seq, memory_order_relaxed))
			continue;
		clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
		if (generation != atomic_load_explicit(&table->generation, memory_order_acquire) ||
		    until_ms <= now.tv_sec * 1000 + now.tv_nsec / 1000000)
			return -EAGAIN;
		return rc;
	}
	return -EAGAIN;
}

static long stat_where(struct where *w, struct session_attr *attr, int flags)
{
	const struct session_records *table = w->record < 0 && w->end == PATH_NAME ? records_map() : NULL;
	struct call c;
	long rc = table ? name_known(table, w, attr) : -EAGAIN;

	if (rc == -ENOENT || (!rc && (!S_ISLNK(attr->mode) || (flags & AT_SYMLINK_NOFOLLOW))))
		return rc;
	call_where(&c, SESSION_STAT, w);
	c.request.flags = (uint32_t)flags & AT_SYMLINK_NOFOLLOW;
	rc = call_do(&c, w);
	*attr = c.reply.attr;
	return rc < 0 ? rc : 0;
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * NS + t.tv_nsec;
}

static long ask(struct ofd *of, struct session_attr *attr)
{
	struct call c;
	long rc;

	call_record(&c, SESSION_STAT, of->record);
	rc = session_call(&c);
	if (rc >= 0)
		*attr = c.reply.attr;
	return rc < 0 ? rc : 0;
}

bool ofd_follows(const struct ofd *of)
{
	uint64_t content = atomic_load_explicit(&of->rec->content, memory_order_acquire);

	return of->kind == SESSION_RANGE ? !content : of->kind == SESSION_LOCAL && content;
}

int64_t ofd_size(struct ofd *of)
{
	struct session_attr attr;
	long rc;

	if (likely(!ofd_follows(of)))
		return atomic_load(&of->rec->size);
	rc = ask(of, &attr);
	return rc ? rc : attr.size;
}

/* Of an open descriptor. */
static long attr_ofd(struct ofd *of, struct session_attr *attr)
{
	struct stat st;
	long rc;

	if (unlikely(ofd_follows(of)))
		return ask(of, attr);
	record_attr(of->rec, attr);
	if (atomic_load(&of->rec->deleted))
		attr->nlink = 0;
	switch (of->kind) {
	case SESSION_STAGED:
		rc = sys_fstat(of->fd, &st);
		if (rc < 0)
			return rc;
		attr->size = st.st_size;
		attr->mtime_ns = ns_of(st.st_mtim);
		attr->atime_ns = ns_of(st.st_atim);
		attr->ctime_ns = session_ctime(ns_of(st.st_ctim), atomic_load(&of->rec->filled_ns), attr->ctime_ns);
		return 0;
	case SESSION_DIRECTORY: /* what is made in it changes its times */
	case SESSION_PATH:
		rc = atomic_load(&of->rec->deleted) ? 0 : ask(of, attr);
		return rc == -ENOENT ? 0 : rc; /* removed: as it was */
	default:
		attr->size = atomic_load(&of->rec->size) ?: attr->size;
		return 0;
	}
}

static long attr_where(struct where *w, struct session_attr *attr, int flags)
{
	struct ofd of;
	long rc;

	if (w->end == PATH_LINK && (flags & AT_SYMLINK_NOFOLLOW))
		return SESSION_ELSEWHERE; /* the link itself */
	if (w->record >= 0 && w->fd >= 0 && ofd_find(&of, w->fd, ANY_KIND))
		return attr_ofd(&of, attr);
	rc = stat_where(w, attr, flags);
	return rc == -ENOENT && path_is_image(w) ? SESSION_ELSEWHERE : rc; /* removed since: as it was */
}

long op_fstatat(struct where *w, struct stat *st, int flags)
{
	struct session_attr attr;
	long rc;

	if (flags & ~(AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	rc = attr_where(w, &attr, flags);
	return rc ? rc : attr_give(&attr, st);
}

long op_stat(struct where *w, struct stat *st)
{
	return op_fstatat(w, st, 0);
}

long op_lstat(struct where *w, struct stat *st)
{
	return op_fstatat(w, st, AT_SYMLINK_NOFOLLOW);
}

long op_fstat(struct ofd *of, struct stat *st)
{
	struct session_attr attr;
	long rc = attr_ofd(of, &attr);

	return rc ? rc : attr_give(&attr, st);
}

static struct statx_timestamp statx_time(int64_t ns)
{
	struct timespec t = time_of(ns);

	return (struct statx_timestamp){.tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec};
}

#define STATX_FLAGS (AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW | AT_STATX_SYNC_TYPE)

long op_statx(struct where *w, int flags, unsigned mask, struct statx *stx)
{
	struct session_attr attr;
	long rc;

	if ((mask & 0x80000000u) || (flags & ~STATX_FLAGS) || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	rc = attr_where(w, &attr, flags);
	if (rc)
		return rc;
	if (!user_takes(stx, sizeof *stx))
		return -EFAULT;
	memset(stx, 0, sizeof *stx);
	stx->stx_mask = STATX_BASIC_STATS;
	stx->stx_blksize = BLOCK_BYTES;
	stx->stx_nlink = attr.nlink;
	stx->stx_uid = attr.uid;
	stx->stx_gid = attr.gid;
	stx->stx_mode = (uint16_t)attr.mode;
	stx->stx_ino = attr.ino;
	stx->stx_size = (uint64_t)attr.size;
	stx->stx_blocks = blocks_of(&attr);
	stx->stx_atime = statx_time(attr.atime_ns);
	stx->stx_mtime = statx_time(attr.mtime_ns);
	stx->stx_ctime = statx_time(attr.ctime_ns);
	stx->stx_dev_major = major(attr.dev);
	stx->stx_dev_minor = minor(attr.dev);
	return 0;
}

/* ---- permission ---------------------------------------------------------------------------------------------------------- */

long op_faccessat(struct where *w, int mode, int flags)
{
	struct call c;

	if ((mode & ~(R_OK | W_OK | X_OK)) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	call_where(&c, SESSION_ACCESS, w);
	c.request.mode = (uint32_t)mode;
	c.request.flags = (uint32_t)flags & (AT_EACCESS | AT_SYMLINK_NOFOLLOW);
	return call_do(&c, w);
}

long op_access(struct where *w, int mode)
{
	return op_faccessat(w, mode, 0);
}

long op_euidaccess(struct where *w, int mode)
{
	return op_faccessat(w, mode, AT_EACCESS);
}

static void fd_where(struct where *w, const struct ofd *of)
{
	w->native = NULL;
	w->record = of->record;
	w->fd = of->fd;
	w->end = PATH_NAME;
	w->path[0] = '\0';
}

long op_fchmodat(struct where *w, mode_t mode, int flags)
{
	struct call c;

	if (flags & ~AT_SYMLINK_NOFOLLOW)
		return -EINVAL;
	call_where(&c, SESSION_CHMOD, w);
	c.request.mode = mode & 07777;
	c.request.flags = (uint32_t)flags;
	return call_do(&c, w);
}

long op_chmod(struct where *w, mode_t mode)
{
	return op_fchmodat(w, mode, 0);
}

long op_lchmod(struct where *w, mode_t mode)
{
	return op_fchmodat(w, mode, AT_SYMLINK_NOFOLLOW);
}

long op_fchmod(struct ofd *of, mode_t mode)
{
	struct where w;

	fd_where(&w, of);
	return op_fchmodat(&w, mode, 0);
}

long op_fchownat(struct where *w, uid_t uid, gid_t gid, int flags)
{
	struct call c;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	call_where(&c, SESSION_CHOWN, w);
	c.request.a = uid == (uid_t)-1 ? -1 : (int64_t)uid;
	c.request.b = gid == (gid_t)-1 ? -1 : (int64_t)gid;
	c.request.flags = (uint32_t)flags & AT_SYMLINK_NOFOLLOW;
	return call_do(&c, w);
}

long op_chown(struct where *w, uid_t uid, gid_t gid)
{
	return op_fchownat(w, uid, gid, 0);
}

long op_lchown(struct where *w, uid_t uid, gid_t gid)
{
	return op_fchownat(w, uid, gid, AT_SYMLINK_NOFOLLOW);
}

long op_fchown(struct ofd *of, uid_t uid, gid_t gid)
{
	struct where w;

	fd_where(&w, of);
	return op_fchownat(&w, uid, gid, 0);
}

/* ---- times --------------------------------------------------------------------------------------------------------------------- */

static bool time_valid(const struct timespec *t)
{
	return t->tv_nsec == UTIME_NOW || t->tv_nsec == UTIME_OMIT || (t->tv_nsec >= 0 && t->tv_nsec < NS);
}

long op_utimensat(struct where *w, const struct timespec *times, int flags)
{
	const struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
	struct call c;
	struct ofd of;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (!times)
		times = now;
	if (!time_valid(&times[0]) || !time_valid(&times[1]))
		return -EINVAL;
	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0; /* whatever is there */
	/* The times of a staging file are the kernel's, so it is told as well. */
	if (w->record >= 0 && w->fd >= 0 && ofd_find(&of, w->fd, KIND(STAGED)))
		sys4(SYS_utimensat, of.fd, NULL, times, 0);
	call_where(&c, SESSION_UTIMENS, w);
	c.data = times;
	c.data_bytes = 2 * sizeof *times;
	c.request.flags = (uint32_t)flags & AT_SYMLINK_NOFOLLOW;
	return call_do(&c, w);
}

long op_futimens(struct ofd *of, const struct timespec *times)
{
	struct where w;

	fd_where(&w, of);
	return op_utimensat(&w, times, 0);
}

static long utimes_where(struct where *w, const struct timeval *times, int flags)
{
	struct timespec t[2];

	for (int i = 0; times && i < 2; i++) {
		if (times[i].tv_usec < 0 || times[i].tv_usec >= 1000000)
			return -EINVAL;
		t[i] = (struct timespec){times[i].tv_sec, times[i].tv_usec * 1000};
	}
	return op_utimensat(w, times ? t : NULL, flags);
}

long op_utimes(struct where *w, const struct timeval *times)
{
	return utimes_where(w, times, 0);
}

long op_lutimes(struct where *w, const struct timeval *times)
{
	return utimes_where(w, times, AT_SYMLINK_NOFOLLOW);
}

long op_futimes(struct ofd *of, const struct timeval *times)
{
	struct where w;

	fd_where(&w, of);
	return utimes_where(&w, times, 0);
}

long op_utime(struct where *w, const struct utimbuf *times)
{
	struct timespec t[2];

	if (times) {
		t[0] = (struct timespec){times->actime, 0};
		t[1] = (struct timespec){times->modtime, 0};
	}
	return op_utimensat(w, times ? t : NULL, 0);
}

/* ---- extended attributes: what there is has none ------------------------------------------------------------------------- */

static long no_attribute(struct where *w, int flags, long none)
{
	struct session_attr attr;

	return attr_where(w, &attr, flags) ?: none;
}

long op_no_attribute(struct where *w)
{
	return no_attribute(w, 0, -EOPNOTSUPP);
}

long op_no_attribute_link(struct where *w)
{
	return no_attribute(w, AT_SYMLINK_NOFOLLOW, -EOPNOTSUPP);
}

long op_no_attributes(struct where *w)
{
	return no_attribute(w, 0, 0);
}

long op_no_attributes_link(struct where *w)
{
	return no_attribute(w, AT_SYMLINK_NOFOLLOW, 0);
}

/* ---- the file system -------------------------------------------------------------------------------------------------------------- */

/* Also sees to it that out, of size bytes, can be written, and is empty. */
static long statfs_where(struct where *w, struct session_statfs *fs, void *out, size_t size)
{
	struct call c;
	long rc;

	call_where(&c, SESSION_STATFS, w);
	rc = call_do(&c, w);
	if (rc < 0)
		return rc;
	if (c.reply.bytes != sizeof *fs)
		return -EIO;
	memcpy(fs, w->path, sizeof *fs);
	if (!user_takes(out, size))
		return -EFAULT;
	memset(out, 0, size);
	return 0;
}

long op_statfs(struct where *w, struct statfs *out)
{
	struct session_statfs fs;
	long rc = statfs_where(w, &fs, out, sizeof *out);

	if (rc)
		return rc;
	out->f_type = (__typeof__(out->f_type))fs.type;
	out->f_bsize = (__typeof__(out->f_bsize))fs.bsize;
	out->f_frsize = out->f_bsize;
	out->f_blocks = fs.blocks;
	out->f_bfree = out->f_bavail = fs.bfree;
	out->f_files = fs.files;
	out->f_ffree = fs.ffree;
	memcpy(&out->f_fsid, &fs.fsid, sizeof fs.fsid);
	out->f_namelen = NAME_MAX;
	return 0;
}

long op_statvfs(struct where *w, struct statvfs *out)
{
	struct session_statfs fs;
	long rc = statfs_where(w, &fs, out, sizeof *out);

	if (rc)
		return rc;
	out->f_bsize = out->f_frsize = fs.bsize;
	out->f_blocks = fs.blocks;
	out->f_bfree = out->f_bavail = fs.bfree;
	out->f_files = fs.files;
	out->f_ffree = out->f_favail = fs.ffree;
	out->f_fsid = fs.fsid;
	out->f_namemax = NAME_MAX;
	return 0;
}

long op_fstatfs(struct ofd *of, struct statfs *out)
{
	struct where w;

	fd_where(&w, of);
	return op_statfs(&w, out);
}

long op_fstatvfs(struct ofd *of, struct statvfs *out)
{
	struct where w;

	fd_where(&w, of);
	return op_statvfs(&w, out);
}

/* -1 without an errno: no limit. */
static long conf(int name)
{
	switch (name) {
	case _PC_LINK_MAX:
		return 1;
	case _PC_NAME_MAX:
		return NAME_MAX;
	case _PC_PATH_MAX:
		return PATH_MAX;
	case _PC_PIPE_BUF:
		return PIPE_BUF;
	case _PC_CHOWN_RESTRICTED:
	case _PC_NO_TRUNC:
		return 1;
	case _PC_FILESIZEBITS:
		return 64;
	case _PC_REC_MIN_XFER_SIZE:
	case _PC_REC_INCR_XFER_SIZE:
	case _PC_REC_XFER_ALIGN:
	case _PC_ALLOC_SIZE_MIN:
		return 4096;
	case _PC_MAX_CANON:
	case _PC_MAX_INPUT:
		return 255;
	case _PC_VDISABLE:
	case _PC_2_SYMLINKS:
	case _PC_SYNC_IO:
		return name == _PC_2_SYMLINKS;
	default:
		return name >= 0 && name <= _PC_2_SYMLINKS ? -ENODATA : -EINVAL;
	}
}

long op_pathconf(struct where *w, int name)
{
	struct session_attr attr;
	long rc = stat_where(w, &attr, 0);

	return rc ? rc : conf(name);
}

long op_fpathconf(struct ofd *of, int name)
{
	(void)of;
	return conf(name);
}

/* libc's formula, but for the inode number: a file's low bits are all the same, and its block container's are not. */
long op_ftok(struct where *w, int project)
{
	struct stat st;
	long rc = op_stat(w, &st);
	uint64_t ino = st.st_ino ^ st.st_ino >> 24;
	unsigned key = (unsigned)project << 24 | (unsigned)(st.st_dev & 0xff) << 16 | (unsigned)(ino & 0xffff);

	return rc < 0 ? rc : (long)key;
}
