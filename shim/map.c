/*
 * map.c: mappings. One of a content-backed file is the kernel's. What is kept here is which mappings hold a description that
 * may write: with the last of them the file is published, and whoever takes it away is told when that is done.
 *
 * A process without such mappings pays one load per munmap(). Threads and signal handlers share the table under a lock that
 * blocks signals; a forked child may find it held by a thread that it has not got, and takes it over.
 */
#include "shim/map.h"
#include "shim/op.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/sys.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define REGIONS 128 /* the ends of more are not waited for; the keeper hears of them all the same */
#define PAGE    4096

static struct region {
	uintptr_t from, to; /* [from, to); 0, 0: none */
	off_t off;          /* of from, in the file */
	int record;
} regions[REGIONS];

static _Atomic unsigned count;
static _Atomic int holder; /* pid; 0: free */

static void lock(sigset_t *saved)
{
	int me = (int)sys0(SYS_getpid), free = 0;
	sigset_t all;

	sigfillset(&all);
	sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, saved, 8);
	while (!atomic_compare_exchange_strong(&holder, &free, me)) {
		if (free != me && atomic_compare_exchange_strong(&holder, &free, me))
			return; /* of the process we were forked from */
		free = 0;
		sys0(SYS_sched_yield);
	}
}

static void unlock(const sigset_t *saved)
{
	atomic_store(&holder, 0);
	sys4(SYS_rt_sigprocmask, SIG_SETMASK, saved, NULL, 8);
}

/* Under the lock. */
static void region_add(uintptr_t from, uintptr_t to, off_t off, int record)
{
	for (int i = 0; i < REGIONS && from < to; i++)
		if (!regions[i].to) {
			regions[i] = (struct region){from, to, off, record};
			atomic_fetch_add(&count, 1);
			return;
		}
}

/* Under the lock: what is left of it when [from, to) is gone. */
static void region_cut(struct region *r, uintptr_t from, uintptr_t to)
{
	struct region was = *r;

	*r = (struct region){0};
	atomic_fetch_sub(&count, 1);
	region_add(was.from, was.to < from ? was.to : from, was.off, was.record);
	if (was.from < to)
		region_add(to, was.to, was.off + (off_t)(to - was.from), was.record);
}

static uintptr_t up(size_t n)
{
	return (n + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
}

/* The records that are mapped in the pages of [at, at + n), each once. gone: and are no more. */
static unsigned regions_in(const void *at, size_t n, int records[REGIONS], bool gone)
{
	uintptr_t from = (uintptr_t)at, to = from + up(n);
	unsigned found = 0;
	sigset_t saved;

	lock(&saved);
	for (int i = 0; i < REGIONS; i++) {
		struct region *r = &regions[i];
		unsigned seen = 0;

		if (!r->to || r->to <= from || r->from >= to)
			continue;
		while (seen < found && records[seen] != r->record)
			seen++;
		if (seen == found)
			records[found++] = r->record;
		if (gone)
			region_cut(r, from, to);
	}
	unlock(&saved);
	return found;
}

/* The first error of those that nobody writes any more by now. */
static long published(const int records[REGIONS], unsigned n)
{
	long rc = 0;

	for (unsigned i = 0; i < n; i++) {
		long one = process_closed(-1, fdtab_pack((uint32_t)records[i], SESSION_STAGED, true));

		rc = rc ? rc : one;
	}
	return rc;
}

static COLD long unmapped(const void *at, size_t n)
{
	int records[REGIONS];

	if (session_vfork_child())
		return 0; /* the memory is its parent's */
	return published(records, regions_in(at, n, records, true));
}

static void note(void *at, size_t n, int fd, off_t off)
{
	struct ofd of;
	sigset_t saved;

	if (!ofd_find(&of, fd, KIND(STAGED)) || !of.writable || session_vfork_child())
		return;
	lock(&saved);
	region_add((uintptr_t)at, (uintptr_t)at + up(n), off, of.record);
	unlock(&saved);
}

EXPORT void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	void *map;

	if (!(flags & MAP_ANONYMOUS))
		fd_content(fd);
	map = REAL(mmap)(at, n, prot, flags, fd, off);
	if (map == MAP_FAILED)
		return map;
	if (unlikely(atomic_load(&count)) && (flags & MAP_FIXED))
		unmapped(map, n);
	if (!(flags & MAP_ANONYMOUS) && unlikely(fdtab_word(fd) != FD_NATIVE))
		note(map, n, fd, off);
	return map;
}
EXPORT_ALIAS(mmap, mmap64)

EXPORT int munmap(void *at, size_t n)
{
	int rc = REAL(munmap)(at, n);
	long failed;

	if (likely(!atomic_load(&count)) || rc)
		return rc;
	failed = unmapped(at, n);
	if (!failed)
		return 0;
	errno = (int)-failed;
	return -1;
}

static COLD long synced(const void *at, size_t n)
{
	int records[REGIONS];
	unsigned found = regions_in(at, n, records, false);
	long rc = 0;

	for (unsigned i = 0; i < found; i++) {
		struct call c;
		long one;

		call_record(&c, SESSION_SYNC, records[i]);
		one = session_call(&c);
		rc = rc ? rc : one;
	}
	return rc;
}

EXPORT int msync(void *at, size_t n, int flags)
{
	int rc = REAL(msync)(at, n, flags);
	long failed;

	if (likely(!atomic_load(&count)) || rc || !(flags & MS_SYNC))
		return rc;
	failed = synced(at, n);
	if (failed >= 0)
		return 0;
	errno = (int)-failed;
	return -1;
}

/* What was mapped at from, by one mapping, is at to. */
static COLD void remapped(const void *from, size_t old, void *to, size_t n)
{
	uintptr_t at = (uintptr_t)from;
	struct region moved = {0};
	int records[REGIONS];
	sigset_t saved;
	unsigned found;

	if (session_vfork_child())
		return;
	lock(&saved);
	for (int i = 0; i < REGIONS; i++)
		if (regions[i].from <= at && at < regions[i].to)
			moved = regions[i];
	unlock(&saved);
	found = regions_in(from, old, records, true);
	lock(&saved);
	if (moved.to)
		region_add((uintptr_t)to, (uintptr_t)to + up(n), moved.off + (off_t)(at - moved.from), moved.record);
	unlock(&saved);
	published(records, found);
}

EXPORT void *mremap(void *from, size_t old, size_t n, int flags, ...)
{
	va_list more;
	void *at, *to;

	va_start(more, flags);
	at = va_arg(more, void *);
	va_end(more);
	to = REAL(mremap)(from, old, n, flags, at);
	if (unlikely(atomic_load(&count)) && to != MAP_FAILED) {
		if (flags & MREMAP_FIXED)
			unmapped(to, n);
		remapped(from, old, to, n);
	}
	return to;
}

/* ---- the end of the process ------------------------------------------------------------------------------------------ */

/* Other threads may still run, so the memory stays: as a private view of the content, which no write leaves. */
static void region_detach(const struct region *r)
{
	struct call c;
	long rc;

	call_record(&c, SESSION_OPEN, r->record);
	c.request.flags = O_RDONLY | O_CLOEXEC;
	c.cloexec = true;
	rc = session_call(&c);
	if (rc >= 0 && c.fd >= 0)
		sys6(SYS_mmap, r->from, r->to - r->from, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, c.fd, r->off);
	if (c.fd >= 0)
		sys_close(c.fd);
}

void map_exit(void)
{
	struct region held[REGIONS];
	int records[REGIONS];
	unsigned n = 0;
	sigset_t saved;

	if (!atomic_load(&count))
		return;
	lock(&saved);
	for (int i = 0; i < REGIONS; i++)
		if (regions[i].to)
			held[n++] = regions[i];
	memset(regions, 0, sizeof regions);
	atomic_store(&count, 0);
	unlock(&saved);
	for (unsigned i = 0; i < n; i++) {
		region_detach(&held[i]);
		records[i] = held[i].record;
	}
	published(records, n);
}
