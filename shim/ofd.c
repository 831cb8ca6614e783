/*
 * ofd.c: the record table of the session, mapped by the first who needs it.
 */
#include "shim/ofd.h"
#include "shim/op.h"
#include "shim/path.h"
#include "shim/sys.h"

#include <string.h>
#include <sys/mman.h>

static NEAR _Atomic(struct session_records *) records;

struct session_records *records_map(void)
{
	struct session_records *table = atomic_load_explicit(&records, memory_order_acquire), *raced = NULL;
	struct stat st;
	long at;
	int fd;

	if (likely(table && atomic_load_explicit(&table->version, memory_order_relaxed) == SESSION_VERSION))
		return table;
	if (!shim.active)
		return NULL;
	/* A session that ended, and began again under the same name: the old mapping stays, another thread may look into it. */
	if (table)
		atomic_compare_exchange_strong(&records, &table, NULL);
	fd = sys_open(shim.records, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0)
		return NULL;
	at = -EINVAL;
	if (!sys_fstat(fd, &st) && st.st_size >= (off_t)sizeof *table)
		at = sys6(SYS_mmap, 0, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	sys_close(fd);
	if (at < 0 && at > -4096) {
		shim_log("cannot map the records of", shim.session, at);
		return NULL;
	}
	table = (struct session_records *)at;
	if (atomic_load(&table->version) != SESSION_VERSION || table->size != sizeof *table) {
		shim_log("another version keeps", shim.session, 0);
		sys2(SYS_munmap, at, sizeof *table);
		return NULL;
	}
	if (!atomic_compare_exchange_strong(&records, &raced, table)) {
		sys2(SYS_munmap, at, sizeof *table);
		table = raced;
	}
	return table;
}

struct session_record *record_get(int index)
{
	struct session_records *table = records_map();

	return table && (unsigned)index < SESSION_RECORDS ? &table->record[index] : NULL;
}

int record_lookup(uint64_t dev, uint64_t ino)
{
	struct session_records *table = records_map();
	uint32_t at = session_hash(dev, ino);

	if (!table || !atomic_load(&table->live))
		return -1;
	for (uint32_t probe = 0; probe < SESSION_BUCKETS; probe++, at = (at + 1) & (SESSION_BUCKETS - 1)) {
		uint32_t entry = atomic_load_explicit(&table->bucket[at], memory_order_acquire), seq;
		struct session_record *rec;
		bool same;

		if (!entry)
			return -1;
		if (entry > SESSION_RECORDS)
			continue;
		rec = &table->record[entry - 1];
		do {
			seq = atomic_load_explicit(&rec->seq, memory_order_acquire);
			same = rec->kernel_dev == dev && rec->kernel_ino == ino &&
			       atomic_load(&rec->kind) != SESSION_FREE;
			atomic_thread_fence(memory_order_acquire);
		} while (!(seq & 1) && seq != atomic_load(&rec->seq));
		/* Odd is not waited for: identity is written before anybody has a descriptor to ask about. */
		if (same)
			return (int)entry - 1;
	}
	return -1;
}

/* A bounded wait: a keeper killed while it wrote leaves seq odd, and the next one repairs it. */
#define SEQ_TRIES 1000

void record_attr(struct session_record *rec, struct session_attr *attr)
{
	for (int i = 0; i < SEQ_TRIES; i++) {
		uint32_t seq = atomic_load_explicit(&rec->seq, memory_order_acquire);

		*attr = rec->attr;
		atomic_thread_fence(memory_order_acquire);
		if (!(seq & 1) && seq == atomic_load(&rec->seq))
			return;
		sys0(SYS_sched_yield);
	}
}

int record_path(struct session_record *rec, char *path)
{
	for (int i = 0; rec && i < SEQ_TRIES; i++) {
		uint32_t seq = atomic_load_explicit(&rec->seq, memory_order_acquire);
		size_t n = strnlen(rec->path, sizeof rec->path - 1);

		memcpy(path, rec->path, n);
		path[n] = '\0';
		atomic_thread_fence(memory_order_acquire);
		if (!(seq & 1) && seq == atomic_load(&rec->seq))
			return 0;
		sys0(SYS_sched_yield);
	}
	return -EIO;
}

bool ofd_overridden(uint32_t word)
{
	struct session_record *rec = record_get((int)fdtab_record(word));

	return rec && atomic_load_explicit(&rec->content, memory_order_acquire);
}

static bool ofd_view(struct ofd *of, int fd, uint32_t word, unsigned kinds)
{
	if (word < FD_OURS)
		return false;
	of->fd = fd;
	of->record = (int)fdtab_record(word);
	of->kind = fdtab_kind(word);
	of->writable = fdtab_writable(word);
	of->inherited = word & FD_INHERITED;
	of->rec = record_get(of->record);
	if (kinds >> of->kind & 1)
		return of->rec != NULL;
	if (of->kind == SESSION_LOCAL && (kinds & KIND(RANGE)) && ofd_overridden(word))
		ofd_content(of);
	return false;
}

bool ofd_find_slow(struct ofd *of, int fd, unsigned kinds)
{
	return ofd_view(of, fd, fdtab_resolve(fd), kinds);
}

bool ofd_ask(struct ofd *of, int fd)
{
	return ofd_view(of, fd, fdtab_ask(fd), ANY_KIND);
}
