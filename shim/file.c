/*
 * file.c: bytes. Content-backed files move theirs natively, so what is here is for RANGE descriptions, whose bytes come
 * out of the page cache without a system call, and the few calls that concern all kinds.
 *
 * The offset of a RANGE description is shared by every process that holds it. It is moved by compare-and-swap: read at an
 * offset, then advance it if it is still there, else read again. So nobody holds a lock over a fetch, nobody can die with
 * one, and a signal handler may read the same description.
 */
#include "shim/op.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/report.h"
#include "shim/sys.h"
#include "shim/user.h"

#include <string.h>
#include <sys/single_threaded.h>

#define COUNT_MAX   0x7ffff000u /* as the kernel's MAX_RW_COUNT */
#define READ_TRIES  16
#define EXPECTED    65536 /* more is asked about as a whole */
#define INLINE_READ 1u    /* request.flags of READ: the page cache cannot be read here, send the bytes */

/* ---- opening --------------------------------------------------------------------------------------------------------- */

long fd_received(struct call *c, int flags)
{
	bool writable = c->reply.kind == SESSION_STAGED && (flags & O_ACCMODE) != O_RDONLY;

	if (c->fd < 0) {
		shim_log("the keeper sent no descriptor", NULL, 0);
		return -EIO;
	}
	if (c->reply.kind >= SESSION_RANGE && !records_map()) {
		sys_close(c->fd);
		return -ENOMEM; /* ulimit -v: nothing could be done with it */
	}
	if (c->reply.kind > SESSION_FREE && c->reply.kind <= SESSION_PATH)
		report_add(STAT_OPEN_STAGED + c->reply.kind - SESSION_STAGED, 1);
	if (c->reply.kind > SESSION_FREE && c->reply.kind <= SESSION_PATH &&
	    (uint32_t)c->reply.record < SESSION_RECORDS)
		process_opened(c->fd, fdtab_pack((uint32_t)c->reply.record, c->reply.kind, writable));
	else
		fdtab_forget(c->fd);
	return c->fd;
}

long op_open(struct where *w, int flags, mode_t mode)
{
	struct call c;
	long rc;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if ((flags & O_CREAT) && (flags & (O_DIRECTORY | __O_TMPFILE)))
		return -EINVAL;
	if (w->end >= PATH_SLASH && (flags & O_CREAT)) {
		if (w->end >= PATH_DOT)
			return op_dot(w, flags & O_EXCL ? EEXIST : EISDIR);
		if (w->record >= 0)
			return -EISDIR;
	}
	if (path_is_image(w))
		return SESSION_ELSEWHERE;
	call_where(&c, SESSION_OPEN, w);
	c.request.flags = (uint32_t)flags;
	c.request.mode = (flags & (O_CREAT | __O_TMPFILE)) ? mode & 07777 & ~process_umask() : 0;
	c.cloexec = flags & O_CLOEXEC;
	c.needs_fd = flags & (O_CREAT | O_TRUNC);
	rc = call_do(&c, w);
	if (rc < 0) {
		if (c.fd >= 0)
			sys_close(c.fd);
		return rc;
	}
	return fd_received(&c, flags);
}

/* ---- reading by range -------------------------------------------------------------------------------------------------- */

/* Bytes of one page, if the cache has it: 0 is a miss; or -EFAULT. tell: the keeper wants to know that reading got here. */
static long cache_copy(const struct session_cache *cache, uint64_t content, char *buf, size_t n, uint64_t off,
		       bool *tell)
{
	uint64_t number = off / cache->page_bytes, at = off % cache->page_bytes;
	size_t first = (size_t)session_set(cache, content, number) * SESSION_WAYS;

	for (size_t i = first; i < first + SESSION_WAYS; i++) {
		const struct session_page *page = &cache->page[i];
		uint32_t gen = atomic_load_explicit(&page->gen, memory_order_acquire), bytes;
		size_t part, put;

		if ((gen & 1) || page->content != content || page->number != number)
			continue;
		bytes = page->bytes;
		if (bytes > cache->page_bytes || at >= bytes)
			return 0;
		part = bytes - at < n ? bytes - at : n;
		put = user_put(buf, (const char *)cache + cache->first_page + i * cache->page_bytes + at, part);
		*tell = !at && atomic_load_explicit(&page->tell, memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (gen == atomic_load_explicit(&page->gen, memory_order_relaxed))
			return put ? (long)put : -EFAULT;
	}
	return 0;
}

/* Ask for [off, off + n). Returns bytes moved into buf, 0 if they are in the cache now, -ENODATA at the end of the file. */
static long fetch(struct ofd *of, char *buf, size_t n, uint64_t off, bool want_inline)
{
	struct call c;
	long rc;

	call_record(&c, SESSION_READ, of->record);
	c.request.flags = want_inline ? INLINE_READ : 0;
	c.request.a = (int64_t)off;
	c.request.b = (int64_t)(want_inline && n > SESSION_PAYLOAD_MAX ? SESSION_PAYLOAD_MAX : n);
	c.in = buf;
	c.in_bytes = n < SESSION_PAYLOAD_MAX ? (unsigned)n : SESSION_PAYLOAD_MAX;
	rc = session_call(&c);
	if (rc == 0)
		return -ENODATA;
	if (rc < 0 || !(c.reply.flags & REPLY_INLINE))
		return rc < 0 ? rc : 0;
	rc = rc < (long)c.reply.bytes ? rc : (long)c.reply.bytes;
	report_add(STAT_KEEPER_BYTES, (uint64_t)rc);
	return rc;
}

/* A part of what was asked for, at least one byte; 0 at the end of the file; -errno. */
static long read_some(struct ofd *of, char *buf, size_t n, uint64_t off)
{
	const struct session_cache *cache = session_cache();

	for (int i = 0; i < READ_TRIES; i++) {
		uint64_t content = atomic_load_explicit(&of->rec->content, memory_order_acquire);
		bool in_cache = cache && content;
		bool tell = false;
		long rc, got = in_cache ? cache_copy(cache, content, buf, n, off, &tell) : 0;

		if (got < 0)
			return got;
		if (unlikely(tell))
			fetch(of, buf, (size_t)got, off, false); /* it is here: answered at once */
		if (got) {
			report_add(STAT_CACHE_BYTES, (size_t)got);
			return got;
		}
		/* Evicted again and again before we looked: then by hand. */
		rc = fetch(of, buf, n, off, !in_cache || i >= READ_TRIES / 2);
		if (rc)
			return rc == -ENODATA ? 0 : rc;
	}
	shim_log("the page cache loses pages as fast as they come", of->rec->path, 0);
	return -EIO;
}

static long range_read(struct ofd *of, void *buf, size_t n, off_t off)
{
	size_t done = 0;
	long rc = 0;

	if (n > LONG_MAX - (uintptr_t)buf)
		return -EFAULT;
	if (off > LONG_MAX - (off_t)n)
		return -EINVAL;
	if (n > COUNT_MAX)
		n = COUNT_MAX;
	if (atomic_load_explicit(&of->rec->content, memory_order_acquire)) {
		int64_t size = atomic_load_explicit(&of->rec->size, memory_order_relaxed);

		if (off >= size)
			return 0;
		if (n > (uint64_t)(size - off))
			n = (size_t)(size - off);
	}
	while (done < n) {
		if (n - done > EXPECTED)
			user_expect((char *)buf + done, n - done);
		rc = read_some(of, (char *)buf + done, n - done, (uint64_t)off + done);
		if (rc <= 0)
			break;
		done += (size_t)rc;
	}
	return done ? (long)done : rc;
}

long op_read(struct ofd *of, void *buf, size_t n)
{
	for (;;) {
		int64_t off = atomic_load_explicit(&of->rec->off, memory_order_acquire);
		long rc = range_read(of, buf, n, off);

		if (rc <= 0 || atomic_compare_exchange_strong(&of->rec->off, &off, off + rc))
			return rc;
	}
}

long op_pread(struct ofd *of, void *buf, size_t n, off_t off)
{
	return off < 0 ? -EINVAL : range_read(of, buf, n, off);
}

long op_preadv(struct ofd *of, const struct iovec *iov, int count, off_t off)
{
	size_t done = 0, all = 0;

	if (count < 0 || count > IOV_MAX || off < 0)
		return -EINVAL;
	if (count && (uintptr_t)iov < 4096)
		return -EFAULT;
	for (int i = 0; i < count; i++)
		if (iov[i].iov_len > LONG_MAX || (all += iov[i].iov_len) > LONG_MAX)
			return -EINVAL;
	for (int i = 0; i < count; i++) {
		long rc = range_read(of, iov[i].iov_base, iov[i].iov_len, off + (off_t)done);

		if (rc < 0)
			return done ? (long)done : rc;
		done += (size_t)rc;
		if ((size_t)rc < iov[i].iov_len)
			break;
	}
	return (long)done;
}

long op_readv(struct ofd *of, const struct iovec *iov, int count)
{
	for (;;) {
		int64_t off = atomic_load_explicit(&of->rec->off, memory_order_acquire);
		long rc = op_preadv(of, iov, count, off);

		if (rc <= 0 || atomic_compare_exchange_strong(&of->rec->off, &off, off + rc))
			return rc;
	}
}

long op_preadv2(struct ofd *of, const struct iovec *iov, int count, off_t off, int flags)
{
	if (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND))
		return -EOPNOTSUPP;
	return off == -1 ? op_readv(of, iov, count) : op_preadv(of, iov, count, off);
}

/* ---- offsets ----------------------------------------------------------------------------------------------------------------- */

/* SEEK_DATA and SEEK_HOLE: all of it is data. */
static int64_t seek_target(struct ofd *of, int64_t from, off_t off, int whence)
{
	int64_t size = whence == SEEK_SET || whence == SEEK_CUR ? 0 : ofd_size(of), to;

	if (size < 0)
		return size;

	switch (whence) {
	case SEEK_SET:
		return off;
	case SEEK_CUR:
		return __builtin_add_overflow(from, off, &to) ? -EOVERFLOW : to < 0 ? -EINVAL : to;
	case SEEK_END:
		return __builtin_add_overflow(size, off, &to) ? -EOVERFLOW : to < 0 ? -EINVAL : to;
	case SEEK_DATA:
		return off < 0 || off >= size ? -ENXIO : off;
	case SEEK_HOLE:
		return off < 0 || off >= size ? -ENXIO : size;
	default:
		return -EINVAL;
	}
}

long op_lseek(struct ofd *of, off_t off, int whence)
{
	int64_t from = atomic_load(&of->rec->off), to;

	if (of->kind == SESSION_DIRECTORY && whence > SEEK_CUR)
		return -EINVAL;
	if (whence == SEEK_SET && off < 0)
		return -EINVAL;
	do {
		to = seek_target(of, from, off, whence);
		if (to < 0)
			return to;
	} while (to != from && !atomic_compare_exchange_strong(&of->rec->off, &from, to));
	return to;
}

/* ---- content ------------------------------------------------------------------------------------------------------------------- */

static int move_onto(int content, int fd, uint32_t word)
{
	int flags = sys_fcntl(fd, F_GETFD, 0);
	int rc = sys_dup3(content, fd, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);

	if (rc >= 0)
		process_opened(fd, word);
	return rc;
}

/* Has fd the same description? A record of a block file is for all of the file's. */
static bool is_copy(const struct ofd *of, int fd)
{
	uint32_t word = fd == of->fd ? FD_NATIVE : fdtab_resolve(fd);
	int pid = (int)sys0(SYS_getpid);

	return word >= FD_OURS && fdtab_record(word) == (uint32_t)of->record && fdtab_kind(word) == of->kind &&
	       (of->kind == SESSION_RANGE || !sys5(SYS_kcmp, pid, pid, 0 /* KCMP_FILE */, of->fd, fd));
}

/*
 * Copies share the offset, so they move together. Not where another thread could close one of them meanwhile, and its number
 * be another file's: there each moves by itself.
 */
static void copies_move(const struct ofd *of, int content, uint32_t word)
{
	int last = fdtab_highest();

	if (!__libc_single_threaded || session_vfork_child())
		return;
	if (last < FDTAB_POLLED - 1)
		last = FDTAB_POLLED - 1; /* of what was there at exec not all is asked about yet */
	for (int fd = 0; fd <= last; fd++)
		if (is_copy(of, fd))
			move_onto(content, fd, word);
}

long ofd_content(struct ofd *of)
{
	struct call c;
	uint32_t word;
	int64_t off;
	int rc = of->kind == SESSION_RANGE ? (int)atomic_load(&of->rec->status) : sys_fcntl(of->fd, F_GETFL, 0);

	call_record(&c, SESSION_CONTENT, of->record);
	c.request.flags = rc < 0 ? 0 : (uint32_t)rc;
	c.cloexec = true;
	rc = (int)session_call(&c);
	if (rc >= 0 && c.fd < 0)
		rc = -EIO;
	if (rc < 0)
		goto out;
	off = of->kind == SESSION_LOCAL ? sys_lseek(of->fd, 0, SEEK_CUR) : atomic_load(&of->rec->off);
	if (off < 0 || sys_lseek(c.fd, off, SEEK_SET) < 0) {
		rc = -EIO;
		goto out;
	}
	word = fdtab_pack((uint32_t)c.reply.record, c.reply.kind, false);
	copies_move(of, c.fd, word);
	rc = move_onto(c.fd, of->fd, word);
	if (rc >= 0)
		report_add(STAT_CONTENT, 1);
out:
	if (c.fd >= 0)
		sys_close(c.fd);
	if (rc < 0)
		shim_log("no content behind", of->rec->path, rc);
	return rc < 0 ? rc : 0;
}

void fd_content(int fd)
{
	struct ofd of;

	if (unlikely(ofd_find(&of, fd, KIND(RANGE))))
		ofd_content(&of);
}

/*
 * Before a lock: all who lock the file must do so on one kernel file, and a writer has the staging file. A file without a name
 * has no writer. A lock that is the description's (shared) must stay with the one that was inherited, for whom it is
 * taken: flock(1) on a shell's descriptor. That one holds among those who do the same.
 */
void fd_lockable(int fd, bool shared)
{
	struct ofd of;

	if (likely(!ofd_find(&of, fd, KIND(RANGE) | KIND(LOCAL))))
		return;
	if (of.kind == SESSION_LOCAL && !atomic_load(&of.rec->content) &&
	    ((shared && of.inherited) || atomic_load(&of.rec->deleted)))
		return;
	ofd_content(&of);
}

/* Also by who only reads, as sync(1) does. In a directory there is nothing that is not safe: the server has its names. */
long op_sync(struct ofd *of)
{
	struct call c;

	if (of->kind == SESSION_DIRECTORY || (of->kind != SESSION_STAGED && !ofd_follows(of)))
		return 0;
	call_record(&c, SESSION_SYNC, of->record);
	return session_call(&c);
}

long op_syncfs(struct ofd *of)
{
	struct call c;

	call_record(&c, SESSION_SYNC, of->record);
	c.request.flags = SYNC_MOUNT;
	return session_call(&c);
}

EXPORT void sync(void)
{
	struct session_records *table;
	struct call c;

	REAL(sync)();
	table = shim.active ? records_map() : NULL;
	if (!table || !atomic_load(&table->live))
		return;
	call_record(&c, SESSION_SETTLE, -1); /* sync() cannot fail; what does is told when the session ends */
	session_call(&c);
}

long op_hint(struct ofd *of, off_t off, off_t n, int advice)
{
	(void)of;
	(void)off;
	return n < 0 || advice < 0 || advice > 5 ? -EINVAL : 0; /* the keeper sees what is read */
}

long op_truncate(struct where *w, off_t length)
{
	struct call c;

	if (length < 0)
		return -EINVAL;
	call_where(&c, SESSION_TRUNCATE, w);
	c.request.a = length;
	return call_do(&c, w);
}

/* Calls that only a kernel file with the content behind it can serve. */

EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
	fd_content(in);
	return REAL(sendfile)(out, in, off, n);
}
EXPORT_ALIAS(sendfile, sendfile64)

EXPORT ssize_t copy_file_range(int in, off_t *in_off, int out, off_t *out_off, size_t n, unsigned flags)
{
	fd_content(in);
	return REAL(copy_file_range)(in, in_off, out, out_off, n, flags);
}

EXPORT ssize_t splice(int in, off_t *in_off, int out, off_t *out_off, size_t n, unsigned flags)
{
	fd_content(in);
	return REAL(splice)(in, in_off, out, out_off, n, flags);
}

#define LOCK_NAP_MS 50 /* the longest between two tries */

/* Interrupted by any signal's handler, also by one that has SA_RESTART: the kernel alone knows of that. */
static COLD long directory_lock(struct ofd *of, int operation)
{
	struct timespec nap = {0};

	for (unsigned ms = 1;; ms = ms < LOCK_NAP_MS ? 2 * ms : ms) {
		struct call c;
		long rc;

		call_record(&c, SESSION_LOCK, of->record);
		c.request.flags = (uint32_t)(operation & ~LOCK_NB);
		rc = session_call(&c);
		if (rc != -EWOULDBLOCK || (operation & LOCK_NB))
			return rc;
		nap.tv_nsec = ms * 1000000L;
		if (sys4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL))
			return -EINTR;
	}
}

EXPORT int flock(int fd, int operation)
{
	struct ofd of;
	long rc;

	if (unlikely(ofd_find(&of, fd, KIND(DIRECTORY)))) {
		rc = directory_lock(&of, operation);
		errno = rc < 0 ? (int)-rc : errno;
		return rc < 0 ? -1 : 0;
	}
	fd_lockable(fd, true);
	return REAL(flock)(fd, operation);
}

EXPORT int lockf(int fd, int command, off_t n)
{
	fd_lockable(fd, false);
	return REAL(lockf)(fd, command, n);
}
EXPORT_ALIAS(lockf, lockf64)

void aio_content(struct aiocb *const list[], int count)
{
	for (int i = 0; i < count; i++)
		if (list[i] && list[i]->aio_lio_opcode == LIO_READ)
			fd_content(list[i]->aio_fildes);
}

/* All that was asked for on this descriptor before is done; libc keeps the order. */
static void aio_await(int fd)
{
	struct aiocb last = {.aio_fildes = fd, .aio_sigevent.sigev_notify = SIGEV_NONE};
	const struct aiocb *list[] = {&last};

	if (REAL(aio_fsync)(O_DSYNC, &last))
		return;
	while (aio_error(&last) == EINPROGRESS)
		aio_suspend(list, 1, NULL);
	aio_return(&last);
}

/* Published here and now, so that it is when the program is told, and if it fails it is this call that does. */
EXPORT int aio_fsync(int operation, struct aiocb *cb)
{
	struct ofd of;
	long rc = 0;

	if (unlikely(ofd_find(&of, cb->aio_fildes, KIND(STAGED))) && (operation == O_SYNC || operation == O_DSYNC)) {
		aio_await(of.fd);
		rc = op_sync(&of);
	}
	if (rc >= 0)
		return REAL(aio_fsync)(operation, cb);
	errno = (int)-rc;
	return -1;
}
EXPORT_ALIAS(aio_fsync, aio_fsync64)

long op_eopnotsupp(void)
{
	return -EOPNOTSUPP;
}

long op_eperm(void)
{
	return -EPERM;
}

long op_einval(void)
{
	return -EINVAL;
}

long op_allocate(struct ofd *of, off_t off, off_t n)
{
	(void)of;
	return off < 0 || n <= 0 ? -EINVAL : -EBADF;
}

long op_nothing(void)
{
	return 0;
}
