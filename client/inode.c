#include "client/inode.h"
#include "client/keeper.h"
#include "client/kept.h"
#include "client/log.h"
#include "client/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CACHED_MAX  1024u
#define WEIGH_MS    1000
#define LITTLE_ROOM (16u << 20)

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- making ----------------------------------------------------------------------------------------------------- */

static struct record_private private_of(const struct inode *in)
{
	return (struct record_private){
		.file_id = in->id,
		.place = in->stage,
		.hidden = in->hidden,
		.flags = (in->state != INODE_CLEAN ? RECORD_DIRTY : 0) | (in->reserved ? RECORD_RESERVED : 0) |
			 (in->begun ? RECORD_BEGUN : 0) | (in->nameless ? RECORD_NAMELESS : 0),
	};
}

static struct inode *inode_alloc(const char *path, unsigned mount, const struct session_attr *attr, uint64_t id)
{
	struct inode *in = calloc(1, sizeof *in);

	if (!in)
		return NULL;
	in->path = strdup(path);
	if (!in->path) {
		free(in);
		return NULL;
	}
	pthread_cond_init(&in->settled, NULL);
	in->fd = in->record = -1;
	in->mount = mount;
	in->id = id;
	in->ino = attr->ino;
	in->mode = attr->mode & 07777;
	in->uid = attr->uid;
	in->gid = attr->gid;
	in->ctime_ns = attr->ctime_ns;
	return in;
}

static void inode_free(struct inode *in)
{
	if (in->fd >= 0)
		close(in->fd);
	pthread_cond_destroy(&in->settled);
	sent_forget(&in->sent);
	free(in->path);
	free(in);
}

static int inode_record(struct keeper *k, struct inode *in)
{
	struct record_private private = private_of(in);
	struct record_identity identity = {.kind = SESSION_STAGED, .mount = in->mount};
	struct session_attr attr;
	struct stat st;

	if (fstat(in->fd, &st))
		return -errno;
	identity.dev = st.st_dev;
	identity.ino = st.st_ino;
	inode_attr(in, &attr);
	in->record = record_new(k->records, &identity, &attr, in->path, &private);
	return in->record < 0 ? in->record : 0;
}

/* Under the lock: known by its number and its record from now on. */
static void inode_register(struct keeper *k, struct inode *in)
{
	k->of_record[in->record] = in;
	HASH_ADD(by_stage, k->inodes.by_stage, stage, sizeof in->stage, in);
	in->used = ++k->inodes.clock;
}

int inode_new(struct keeper *k, const char *path, unsigned mount, const struct session_attr *attr, uint64_t id,
	      struct inode **out)
{
	struct inode *in = inode_alloc(path, mount, attr, id);
	int rc;

	if (!in)
		return -ENOMEM;
	lock_take(&k->lock);
	rc = inodes_room(k, 0) ? 0 : -ENOSPC;
	lock_drop(&k->lock);
	if (!rc)
		in->fd = rc = stage_create(k->stage, &in->stage);
	if (rc >= 0)
		rc = inode_record(k, in);
	if (rc < 0) {
		if (in->fd >= 0)
			stage_remove(k->stage, in->stage);
		inode_free(in);
		return rc;
	}
	in->refs = 1;
	lock_take(&k->lock);
	inode_register(k, in);
	lock_drop(&k->lock);
	*out = in;
	return 0;
}

void inode_get(struct inode *in)
{
	in->refs++;
}

void inode_put(struct keeper *k, struct inode *in)
{
	in->refs--;
	if (!in->refs && !in->linked)
		inode_reclaim(k, in);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

struct inode *inode_find(struct keeper *k, const char *path)
{
	struct inode *in;

	HASH_FIND(by_path, k->inodes.by_path, path, strlen(path), in);
	return in;
}

struct inode *inode_by_stage(struct keeper *k, uint64_t number)
{
	struct inode *in;

	HASH_FIND(by_stage, k->inodes.by_stage, &number, sizeof number, in);
	return in;
}

bool inode_any_below(struct keeper *k, const char *directory)
{
	struct inode *in, *next;

	HASH_ITER(by_path, k->inodes.by_path, in, next)
	if (path_below(in->path, directory) && strcmp(in->path, directory))
		return true;
	return false;
}

void inode_link(struct keeper *k, struct inode *in)
{
	struct inode *old = inode_find(k, in->path);

	if (old == in)
		return;
	if (old)
		inode_unlink(k, old, true);
	in->linked = true;
	HASH_ADD_KEYPTR(by_path, k->inodes.by_path, in->path, strlen(in->path), in);
	meta_drop(k, in->path);
}

void inode_unlink(struct keeper *k, struct inode *in, bool deleted)
{
	if (!in->linked)
		return;
	meta_drop(k, in->path);
	HASH_DELETE(by_path, k->inodes.by_path, in);
	in->linked = false;
	atomic_store(&record_at(k->records, in->record)->deleted, deleted);
	if (!in->refs)
		inode_reclaim(k, in);
}

/* What was reserved is taken up again by its new name: where its content belongs may hang on that. Not if bytes were sent. */
static void inode_leave_writer(struct keeper *k, struct inode *in)
{
	if (!in->reserved && (in->sent.running || in->writer)) /* the hidden name is in the old directory */
		in->sent.failed = true;
	if (in->begun || in->sent.failed)
		return;
	if (in->writer)
		mount_at(k->client->mounts, in->mount)->ops->writer_free(in->writer);
	in->writer = NULL;
}

void inode_rename(struct keeper *k, struct inode *in, const char *path)
{
	char *copy = strdup(path);

	if (!copy) {
		log_error("out of memory: %s keeps that name here, though it is %s now", in->path, path);
		return;
	}
	HASH_DELETE(by_path, k->inodes.by_path, in);
	in->linked = false;
	free(in->path);
	in->path = copy;
	inode_leave_writer(k, in);
	inode_link(k, in);
	record_set_path(k->records, in->record, path);
	if (in->kept)
		kept_write(k, in);
}

int inode_name(struct keeper *k, struct inode *in, const char *path, struct backend_writer *writer, uint64_t id)
{
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	free(in->path);
	in->path = copy;
	in->nameless = false;
	in->id = id;
	in->ino = inode_number(id);
	in->ctime_ns = coarse_ns();
	in->writer = writer;
	in->reserved = in->modified = true;
	in->state = INODE_DIRTY;
	record_set_path(k->records, in->record, path);
	atomic_store(&record_at(k->records, in->record)->deleted, 0);
	inode_link(k, in);
	inode_save(k, in);
	return 0;
}

/* ---- attributes ------------------------------------------------------------------------------------------------- */

bool inode_is(const struct inode *in, uint64_t id)
{
	return in->state == INODE_CLEAN && in->id == id;
}

void inode_attr(const struct inode *in, struct session_attr *attr)
{
	struct stat st = {0};

	if (fstat(in->fd, &st))
		log_error("staging file of %s: %s", in->path, strerror(errno));
	*attr = (struct session_attr){
		.dev = mount_dev(in->mount),
		.ino = in->ino,
		.mode = in->mode | S_IFREG,
		.nlink = 1,
		.uid = in->uid,
		.gid = in->gid,
		.size = st.st_size,
		.mtime_ns = ns_of(st.st_mtim),
		.atime_ns = ns_of(st.st_atim),
		.ctime_ns = session_ctime(ns_of(st.st_ctim), in->filled_ns, in->ctime_ns),
	};
}

void inode_stat(struct keeper *k, const struct inode *in, struct slip_stat *st)
{
	struct session_attr attr;

	inode_attr(in, &attr);
	*st = (struct slip_stat){
		.type = SLIP_FILE,
		.id = in->id,
		.size = attr.size,
		.mode = in->mode & 0777,
		.mtime_ms = attr.mtime_ns / 1000000,
		.atime_ms = attr.atime_ns / 1000000,
		.ctime_ms = attr.ctime_ns / 1000000,
		.complete = in->state == INODE_CLEAN,
	};
	owner_name(k, in->uid, st->owner);
	owner_group(k, in->gid, st->group);
}

void inode_save(struct keeper *k, struct inode *in)
{
	struct record_private private = private_of(in);
	struct session_attr attr;

	inode_attr(in, &attr);
	record_set_private(k->records, in->record, &private);
	atomic_store(&record_at(k->records, in->record)->filled_ns, in->filled_ns);
	record_set_attr(k->records, in->record, &attr);
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

bool inode_reclaim(struct keeper *k, struct inode *in)
{
	if (in->refs || in->busy || (in->linked && in->state != INODE_CLEAN) || !lease_alone(in->fd))
		return false;
	if (in->linked)
		HASH_DELETE(by_path, k->inodes.by_path, in);
	HASH_DELETE(by_stage, k->inodes.by_stage, in);
	k->of_record[in->record] = NULL;
	record_free(k->records, in->record);
	stage_remove(k->stage, in->stage);
	kept_remove(k, in);
	if (in->writer) /* cannot be: whoever takes the name away ends the writer */
		log_error("%s: its writer is left open", in->path);
	inode_free(in);
	return true;
}

static int colder(const void *a, const void *b)
{
	const struct inode *x = *(struct inode *const *)a, *y = *(struct inode *const *)b;

	return x->used < y->used ? -1 : x->used > y->used;
}

static uint64_t inode_bytes(const struct inode *in)
{
	struct stat st;

	return fstat(in->fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

static bool cached(const struct inode *in)
{
	return in->linked && in->state == INODE_CLEAN && !in->busy && !in->refs;
}

static uint64_t at_least(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * How many bytes of published files must go: what is staged beyond the cap, or in the way of what is wanted; and what the disk has
 * less room for than for them, so that who writes on finds as much again before we look the next time.
 */
static uint64_t cached_excess(struct keeper *k, uint64_t wanted)
{
	uint64_t kept = 0, excess = 0, room = stage_free(k->stage);
	struct inode *in, *next;

	k->inodes.weighed_ms = now_ms();
	k->inodes.staged_bytes = 0;
	HASH_ITER(by_stage, k->inodes.by_stage, in, next)
	{
		uint64_t bytes = inode_bytes(in);

		k->inodes.staged_bytes += bytes;
		kept += cached(in) ? bytes : 0;
	}
	if (k->stage_max && k->inodes.staged_bytes + wanted > k->stage_max)
		excess = k->inodes.staged_bytes + wanted - k->stage_max;
	if (!stage_dir(k->stage)) /* memory: its room is not known */
		return excess;
	if (kept > room)
		excess = at_least(excess, (kept - room) / 2);
	if (wanted + wanted / 8 > room)
		excess = at_least(excess, wanted + wanted / 8 - room);
	return excess;
}

/* Coldest first, until so many bytes are gone and no more than so many files are left. */
static void cached_evict(struct keeper *k, uint64_t excess, unsigned keep)
{
	unsigned n = 0, count = HASH_CNT(by_path, k->inodes.by_path);
	struct inode *in, *next, **list = calloc(count + 1, sizeof(struct inode *));

	if (!list)
		return;
	HASH_ITER(by_path, k->inodes.by_path, in, next)
	if (cached(in))
		list[n++] = in;
	qsort(list, n, sizeof *list, colder);
	for (unsigned i = 0; i < n && (excess || count > keep); i++) {
		uint64_t bytes = inode_bytes(list[i]);

		if (!inode_reclaim(k, list[i]))
			continue;
		k->inodes.staged_bytes -= bytes < k->inodes.staged_bytes ? bytes : k->inodes.staged_bytes;
		excess -= bytes < excess ? bytes : excess;
		count--;
	}
	free(list);
}

/* Weighing them asks the kernel for each: once a second is enough. */
static bool weighed_lately(const struct keeper *k)
{
	return k->inodes.weighed_ms && now_ms() - k->inodes.weighed_ms < WEIGH_MS;
}

/* Of the descriptors we may have, a quarter: the rest is for files that are open, connections, the cluster. */
unsigned cached_max(const struct keeper *k)
{
	return k->files_max && k->files_max / 4 < CACHED_MAX ? (unsigned)(k->files_max / 4) : CACHED_MAX;
}

/* Published files beyond the bounds. */
static void cached_trim(struct keeper *k, bool all)
{
	unsigned count = HASH_CNT(by_path, k->inodes.by_path), max = cached_max(k);
	uint64_t excess = all || weighed_lately(k) ? 0 : cached_excess(k, 0);

	if (all)
		cached_evict(k, 0, 0);
	else if (excess || count > max) /* some more, so that it is not done for every file */
		cached_evict(k, excess, count > max ? max / 4 * 3 : max);
}

bool inodes_room(struct keeper *k, uint64_t wanted)
{
	uint64_t excess;

	if (weighed_lately(k) && (!k->stage_max || k->inodes.staged_bytes + wanted < k->stage_max) &&
	    (!stage_dir(k->stage) || stage_free(k->stage) > LITTLE_ROOM + wanted + wanted / 8)) {
		k->inodes.staged_bytes += wanted;
		return true;
	}
	excess = cached_excess(k, wanted ? wanted : 1);
	if (excess)
		cached_evict(k, excess, cached_max(k));
	return !k->stage_max || k->inodes.staged_bytes + wanted < k->stage_max;
}

void inodes_weigh(struct keeper *k, const struct inode *in)
{
	if (stage_dir(k->stage) && inode_bytes(in) > stage_free(k->stage) / 8)
		k->inodes.weighed_ms = 0;
}

void inodes_trim(struct keeper *k, bool all)
{
	struct inode *in, *next;

	if (HASH_CNT(by_stage, k->inodes.by_stage) != HASH_CNT(by_path, k->inodes.by_path))
		HASH_ITER(by_stage, k->inodes.by_stage, in, next)
	if (!in->linked)
		inode_reclaim(k, in);
	cached_trim(k, all);
}

bool inodes_unpublished(struct keeper *k)
{
	struct inode *in, *next;

	HASH_ITER(by_path, k->inodes.by_path, in, next)
	if (in->busy || in->state == INODE_DIRTY)
		return true;
	return false;
}

unsigned inodes_failed(struct keeper *k)
{
	struct inode *in, *next;
	unsigned n = 0;

	HASH_ITER(by_path, k->inodes.by_path, in, next)
	n += in->state == INODE_FAILED;
	return n;
}

/* ---- after a restart -------------------------------------------------------------------------------------------- */

/* What nobody has a name for any more lives on as long as somebody has it open: as the record of a file without a name. */
static void inode_adopt(struct keeper *k, int record)
{
	struct session_record *rec = record_at(k->records, record);
	struct record_private private = record_private(k->records, record);
	struct inode *in = inode_alloc(rec->path, rec->mount, &rec->attr, private.file_id);
	struct stat st;

	if (!in)
		return;
	in->stage = private.place;
	in->record = record;
	in->fd = stage_adopt(k->stage, in->stage);
	if (in->fd < 0 || fstat(in->fd, &st) || st.st_dev != rec->kernel_dev || st.st_ino != rec->kernel_ino) {
		log_write(private.flags & RECORD_DIRTY ? LOG_LEVEL_ERROR : LOG_LEVEL_NOTE,
			  "the staging file of %s is gone", rec->path);
		record_free(k->records, record);
		inode_free(in);
		return;
	}
	in->filled_ns = atomic_load(&rec->filled_ns);
	in->hidden = private.hidden;
	in->reserved = private.flags & RECORD_RESERVED;
	in->begun = private.flags & RECORD_BEGUN;
	in->nameless = private.flags & RECORD_NAMELESS;
	in->state = private.flags & RECORD_DIRTY ? INODE_DIRTY : INODE_CLEAN;
	in->modified = in->mapped = in->state == INODE_DIRTY;
	in->kept = kept_there(k, in);
	inode_register(k, in);
	if (!atomic_load(&rec->deleted))
		inode_link(k, in);
}

void inodes_adopt(struct keeper *k)
{
	RECORDS_EACH(k, i, RECORD_KIND(STAGED))
	if (!k->of_record[i])
		inode_adopt(k, i);
}
