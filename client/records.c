/*
 * records.c: readers search the buckets without a lock, so a chain of buckets is never broken under them: a record that
 * is freed leaves its bucket occupied ("stale") until a newcomer takes it, or until the bucket after it was never used;
 * then it ends the chain and can be emptied, and so can the stale ones before it.
 *
 * Freed indices are used again in the order they were freed, and late: a program may still have a number in its table whose
 * descriptor another program's system call closed. Not as late as possible, for a record once used takes memory, perhaps
 * all there is: the space of each is allocated before it is touched, and where there is no more the freed ones must do.
 */
#include "client/records.h"
#include "client/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct record_private) == sizeof(((struct session_record *)0)->pad), "fits the pad");

#define RECORDS_AT  offsetof(struct session_records, record)
#define REUSE_AFTER 4096u /* so many others have been freed since */

struct records {
	int fd;
	struct session_records *table;
	struct lock lock;                   /* LOCK_RECORDS, guards the rest, and writing to the table */
	int32_t bucket_of[SESSION_RECORDS]; /* -1: none */
	uint8_t kind[SESSION_RECORDS];      /* as in the table, where each is a page apart */
	uint32_t free[SESSION_RECORDS];     /* a ring of indices */
	uint32_t free_first, free_count;
	int high;
};

static void seq_begin(_Atomic uint32_t *seq)
{
	atomic_store_explicit(seq, atomic_load_explicit(seq, memory_order_relaxed) | 1, memory_order_relaxed);
	__sync_synchronize();
}

static void seq_end(_Atomic uint32_t *seq)
{
	atomic_store_explicit(seq, atomic_load_explicit(seq, memory_order_relaxed) + 1, memory_order_release);
}

static void write_begin(struct session_record *rec)
{
	seq_begin(&rec->seq);
}

static void write_end(struct session_record *rec)
{
	seq_end(&rec->seq);
}

/* ---- buckets ---------------------------------------------------------------------------------------------------- */

static bool bucket_stale(const struct records *r, uint32_t at)
{
	uint32_t entry = atomic_load_explicit(&r->table->bucket[at], memory_order_relaxed);

	return !entry || entry > SESSION_RECORDS || r->bucket_of[entry - 1] != (int32_t)at;
}

static void bucket_insert(struct records *r, int index)
{
	const struct session_record *rec = &r->table->record[index];
	uint32_t at = session_hash(rec->kernel_dev, rec->kernel_ino);

	while (!bucket_stale(r, at)) /* there are twice as many buckets as records */
		at = (at + 1) & (SESSION_BUCKETS - 1);
	r->bucket_of[index] = (int32_t)at;
	atomic_store_explicit(&r->table->bucket[at], (uint32_t)index + 1, memory_order_release);
}

static void bucket_remove(struct records *r, int index)
{
	uint32_t at = (uint32_t)r->bucket_of[index];

	r->bucket_of[index] = -1;
	if (atomic_load(&r->table->bucket[(at + 1) & (SESSION_BUCKETS - 1)]))
		return;
	for (unsigned n = 0; n < SESSION_BUCKETS; n++, at = (at - 1) & (SESSION_BUCKETS - 1)) {
		if (!atomic_load(&r->table->bucket[at]) || !bucket_stale(r, at))
			return;
		atomic_store(&r->table->bucket[at], 0);
	}
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

/* Take up what an earlier keeper left: repair a record it was writing to when it died, find all buckets again. */
static void records_adopt(struct records *r)
{
	uint32_t used = atomic_load(&r->table->used);
	unsigned live = 0;

	for (uint32_t at = 0; at < SESSION_BUCKETS; at++) {
		uint32_t entry = atomic_load(&r->table->bucket[at]);
		struct session_record *rec = entry && entry <= used ? &r->table->record[entry - 1] : NULL;

		if (rec && atomic_load(&rec->kind) != SESSION_FREE && r->bucket_of[entry - 1] < 0)
			r->bucket_of[entry - 1] = (int32_t)at;
	}
	for (int i = 0; i < (int)used; i++) {
		struct session_record *rec = &r->table->record[i];

		/* Without a bucket: its maker died before anybody had a descriptor of it. */
		if (atomic_load(&rec->kind) != SESSION_FREE && r->bucket_of[i] < 0)
			atomic_store(&rec->kind, SESSION_FREE);
		if (atomic_load(&rec->seq) & 1)
			write_end(rec);
		atomic_store(&rec->passing, 0);
		rec->path[sizeof rec->path - 1] = '\0';
		r->kind[i] = (uint8_t)atomic_load(&rec->kind);
		if (r->kind[i] == SESSION_FREE) {
			r->free[r->free_count++] = (uint32_t)i;
		} else {
			r->high = i + 1;
			live++;
		}
	}
	atomic_store(&r->table->live, live);
}

/* What a full tmpfs refuses here it would refuse by SIGBUS at the first touch. Some file systems cannot tell. */
static int space_take(int fd, size_t at, size_t n)
{
	return fallocate(fd, 0, (off_t)at, (off_t)n) && errno != EOPNOTSUPP ? -errno : 0;
}

/* A descriptor. made: it was not there before. */
static int table_map(int dir_fd, struct session_records **out, bool *made)
{
	int fd = openat(dir_fd, "records", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;
	struct session_records *table;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || (!st.st_size && ftruncate(fd, sizeof *table)))
		rc = -errno;
	else if (st.st_size && st.st_size != sizeof *table)
		rc = -EPROTO;
	table = rc ? MAP_FAILED : mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!rc && table == MAP_FAILED)
		rc = -errno;
	if (!rc)
		rc = space_take(fd, 0, RECORDS_AT);
	if (rc) {
		if (table != MAP_FAILED)
			munmap(table, sizeof *table);
		close(fd);
		return rc;
	}
	*made = !table->size;
	if (*made) {
		table->version = SESSION_VERSION;
		table->size = sizeof *table;
	}
	if (table->version != SESSION_VERSION || table->size != sizeof *table || table->used > SESSION_RECORDS) {
		munmap(table, sizeof *table);
		close(fd);
		return -EPROTO;
	}
	*out = table;
	return fd;
}

int records_open(int dir_fd, struct records **out)
{
	struct records *r = calloc(1, sizeof *r);
	bool made = false;
	int rc;

	if (!r)
		return -ENOMEM;
	rc = table_map(dir_fd, &r->table, &made);
	if (rc < 0) {
		free(r);
		return rc;
	}
	r->fd = rc;
	lock_init(&r->lock, LOCK_RECORDS);
	for (int i = 0; i < (int)SESSION_RECORDS; i++)
		r->bucket_of[i] = -1;
	if (!made)
		records_adopt(r);
	*out = r;
	return 0;
}

void records_close(struct records *r)
{
	if (!r)
		return;
	munmap(r->table, sizeof *r->table);
	close(r->fd);
	lock_release(&r->lock);
	free(r);
}

/* ---- one record ------------------------------------------------------------------------------------------------- */

static void path_store(struct session_record *rec, const char *path)
{
	size_t n = strnlen(path, sizeof rec->path - 1);

	memcpy(rec->path, path, n);
	rec->path[n] = '\0';
}

/* One that was never used, or else the one that was freed first. */
static int index_take(struct records *r)
{
	uint32_t used = atomic_load(&r->table->used);
	int index = (int)used, rc = used < SESSION_RECORDS ? 0 : -ENFILE;

	if (r->free_count < REUSE_AFTER && !rc)
		rc = space_take(r->fd, RECORDS_AT + used * sizeof(struct session_record),
				sizeof(struct session_record));
	if (r->free_count < REUSE_AFTER && !rc) {
		atomic_store(&r->table->used, used + 1);
		return index;
	}
	if (!r->free_count)
		return rc;
	index = (int)r->free[r->free_first];
	r->free_first = (r->free_first + 1) % SESSION_RECORDS;
	r->free_count--;
	return index;
}

int record_new(struct records *r, const struct record_identity *identity, const struct session_attr *attr,
	       const char *path, const struct record_private *private)
{
	struct session_record *rec;
	int index;

	lock_take(&r->lock);
	index = index_take(r);
	if (index < 0) {
		lock_drop(&r->lock);
		return index;
	}
	rec = &r->table->record[index];
	write_begin(rec);
	rec->kernel_dev = identity->dev;
	rec->kernel_ino = identity->ino;
	rec->mount = identity->mount;
	rec->attr = *attr;
	path_store(rec, path);
	memcpy(rec->pad, private, sizeof *private);
	atomic_store(&rec->filled_ns, 0);
	atomic_store(&rec->content, 0);
	atomic_store(&rec->size, attr->size);
	atomic_store(&rec->off, 0);
	atomic_store(&rec->passing, 0);
	atomic_store(&rec->status, 0);
	atomic_store(&rec->deleted, 0);
	atomic_fetch_add(&rec->serial, 1);
	atomic_store(&rec->kind, (uint32_t)identity->kind);
	write_end(rec);
	r->kind[index] = (uint8_t)identity->kind;
	bucket_insert(r, index);
	if (index >= r->high)
		r->high = index + 1;
	atomic_fetch_add(&r->table->live, 1);
	lock_drop(&r->lock);
	return index;
}

void record_free(struct records *r, int index)
{
	struct session_record *rec = record_at(r, index);

	lock_take(&r->lock);
	if (rec && atomic_load(&rec->kind) != SESSION_FREE) {
		write_begin(rec);
		atomic_store(&rec->kind, SESSION_FREE);
		rec->kernel_dev = rec->kernel_ino = 0;
		write_end(rec);
		r->kind[index] = SESSION_FREE;
		bucket_remove(r, index);
		r->free[(r->free_first + r->free_count++) % SESSION_RECORDS] = (uint32_t)index;
		atomic_fetch_sub(&r->table->live, 1);
	}
	lock_drop(&r->lock);
}

void record_override(struct records *r, int index)
{
	atomic_store(&r->table->record[index].content, 1);
	atomic_fetch_add(&r->table->overrides, 1);
}

int record_find(struct records *r, dev_t dev, ino_t ino)
{
	uint32_t at = session_hash(dev, ino), entry;
	int found = -ENOENT;

	lock_take(&r->lock);
	for (unsigned n = 0; n < SESSION_BUCKETS && (entry = atomic_load(&r->table->bucket[at])); n++) {
		const struct session_record *rec = &r->table->record[entry - 1];

		if (!bucket_stale(r, at) && rec->kernel_dev == dev && rec->kernel_ino == ino) {
			found = (int)entry - 1;
			break;
		}
		at = (at + 1) & (SESSION_BUCKETS - 1);
	}
	lock_drop(&r->lock);
	return found;
}

struct session_record *record_at(struct records *r, int index)
{
	return (unsigned)index < SESSION_RECORDS ? &r->table->record[index] : NULL;
}

int records_high(struct records *r)
{
	int high;

	lock_take(&r->lock);
	high = r->high;
	lock_drop(&r->lock);
	return high;
}

int records_next(struct records *r, int from, unsigned kinds)
{
	int found = -1;

	lock_take(&r->lock);
	for (int i = from < 0 ? 0 : from; i < r->high && found < 0; i++)
		if (kinds >> r->kind[i] & 1)
			found = i;
	lock_drop(&r->lock);
	return found;
}

unsigned records_live(struct records *r)
{
	return atomic_load(&r->table->live);
}

void records_set_keeper(struct records *r, pid_t pid)
{
	atomic_store(&r->table->keeper_pid, (uint32_t)pid);
}

void records_end(struct records *r)
{
	atomic_store(&r->table->version, 0);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

uint64_t records_generation(struct records *r)
{
	return atomic_load(&r->table->generation);
}

void records_changed(struct records *r)
{
	atomic_fetch_add(&r->table->generation, 1);
}

/* The place of that name, or of one that is worth least; NULL: its memory cannot be had. Under the lock. */
static struct session_name *name_place(struct records *r, const char *path, uint64_t hash, uint64_t generation)
{
	size_t first = (size_t)session_name_set(hash) * SESSION_NAME_WAYS,
	       page = first * sizeof(struct session_name) / 4096;
	struct session_name *set = &r->table->name[first], *worst = set;

	if (!atomic_load(&r->table->name_page[page])) {
		if (space_take(r->fd, offsetof(struct session_records, name) + page * 4096, 4096))
			return NULL;
		atomic_store(&r->table->name_page[page], 1);
	}
	for (struct session_name *name = set; name < set + SESSION_NAME_WAYS; name++) {
		if (name->hash == (uint32_t)hash && !strcmp(name->path, path))
			return name;
		if (name->generation != generation ||
		    (worst->generation == generation && name->until_ms < worst->until_ms))
			worst = name;
	}
	return worst;
}

void record_name(struct records *r, const char *path, int rc, const struct session_attr *attr, uint64_t generation,
		 int64_t until_ms)
{
	size_t n = strlen(path);
	uint64_t hash = session_name_hash(path, n);
	struct session_name *name;

	if (n >= sizeof name->path || generation != records_generation(r))
		return;
	lock_take(&r->lock);
	name = name_place(r, path, hash, generation);
	if (name) {
		seq_begin(&name->seq);
		name->hash = (uint32_t)hash;
		name->rc = rc;
		name->generation = generation;
		name->until_ms = until_ms;
		name->attr = *attr;
		memcpy(name->path, path, n + 1);
		seq_end(&name->seq);
	}
	lock_drop(&r->lock);
}

/* ---- one record's parts ------------------------------------------------------------------------------------------ */

void record_set_attr(struct records *r, int index, const struct session_attr *attr)
{
	struct session_record *rec = &r->table->record[index];

	lock_take(&r->lock);
	write_begin(rec);
	rec->attr = *attr;
	write_end(rec);
	lock_drop(&r->lock);
}

void record_set_path(struct records *r, int index, const char *path)
{
	struct session_record *rec = &r->table->record[index];

	lock_take(&r->lock);
	write_begin(rec);
	path_store(rec, path);
	write_end(rec);
	lock_drop(&r->lock);
}

void record_set_private(struct records *r, int index, const struct record_private *private)
{
	lock_take(&r->lock);
	memcpy(r->table->record[index].pad, private, sizeof *private);
	lock_drop(&r->lock);
}

struct record_private record_private(struct records *r, int index)
{
	struct record_private private;

	lock_take(&r->lock);
	memcpy(&private, r->table->record[index].pad, sizeof private);
	lock_drop(&r->lock);
	return private;
}
