/*
 * placeholder.c: the kernel objects behind RANGE, DIRECTORY and PATH descriptions.
 *
 * A slot is a file of mode 0, opened with access mode 3: its close is reported by the watch on the directory of slots. It
 * can be used again then. But root opens also what has mode 0, to search it, to save it; the close of that would be taken for
 * ours, and the slot be another file's while somebody still reads this one. So opens are watched too: where there was one more
 * than ours (the change of mode stands between them, or the kernel would make one event of two), a close proves nothing, and
 * who still has the slot is read in /proc. A directory is made with its parent, opened, and both are removed: nothing is above it that
 * could be listed by "..", and its name is never used twice. So is what is opened with O_PATH: a directory, a file, a link.
 */
#include "client/keeper.h"
#include "client/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- slots ------------------------------------------------------------------------------------------------------ */

static void slot_path(uint64_t slot, char out[40])
{
	snprintf(out, 40, "slots/%llx", (unsigned long long)slot);
}

static bool placeholder_held(struct keeper *, int record);

struct slot {
	UT_hash_handle hh;
	uint64_t number;
	unsigned opens; /* of ours that we have not been told of yet */
	bool disturbed; /* somebody else opened it, or may have */
};

/* Under the lock. */
static struct slot *slot_find(struct keeper *k, uint64_t number)
{
	struct slot *s;

	HASH_FIND(hh, k->slots, &number, sizeof number, s);
	return s;
}

static bool slot_expect(struct keeper *k, uint64_t number)
{
	struct slot *s = slot_find(k, number);

	if (!s) {
		s = calloc(1, sizeof *s);
		if (!s)
			return false;
		s->number = number;
		HASH_ADD(hh, k->slots, number, sizeof s->number, s);
	}
	s->opens++;
	return true;
}

static void slot_give(struct keeper *k, uint64_t slot)
{
	lock_take(&k->lock);
	if (k->slots_free_count < SESSION_RECORDS)
		k->slots_free[k->slots_free_count++] = slot;
	lock_drop(&k->lock);
}

static int slot_take(struct keeper *k, uint64_t *slot)
{
	char path[40];
	bool fresh, expected;

	lock_take(&k->lock);
	fresh = !k->slots_free_count;
	*slot = fresh ? ++k->slots_made : k->slots_free[--k->slots_free_count];
	expected = slot_expect(k, *slot);
	lock_drop(&k->lock);
	if (!expected)
		return -ENOMEM;
	slot_path(*slot, path);
	/* mknod, because a close would be reported */
	return fresh && mknodat(k->dir_fd, path, S_IFREG, 0) ? -errno : 0;
}

int slot_open(struct keeper *k, uint64_t *slot, struct stat *st)
{
	char path[40];
	int fd, rc = slot_take(k, slot);

	if (rc)
		return rc;
	slot_path(*slot, path);
	if (fchmodat(k->dir_fd, path, 0600, 0))
		goto fail;
	fd = openat(k->dir_fd, path, O_ACCMODE | O_CLOEXEC | O_NOFOLLOW);
	rc = fd < 0 ? -errno : fd;
	fchmodat(k->dir_fd, path, 0, 0);
	if (fd >= 0 && !fstat(fd, st))
		return fd;
	if (fd < 0) {
		slot_give(k, *slot);
		return rc;
	}
	close(fd);
fail:
	rc = -errno;
	slot_drop(k, *slot);
	return rc;
}

void slot_drop(struct keeper *k, uint64_t slot)
{
	struct slot *s;
	char path[40];

	lock_take(&k->lock);
	s = slot_find(k, slot);
	if (s)
		HASH_DEL(k->slots, s);
	lock_drop(&k->lock);
	free(s);
	slot_path(slot, path);
	unlinkat(k->dir_fd, path, 0);
}

static int slot_record(struct keeper *k, const char *name)
{
	char path[NAME_MAX + 8];
	struct stat st;

	snprintf(path, sizeof path, "slots/%s", name);
	if (fstatat(k->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return record_find(k->records, st.st_dev, st.st_ino);
}

void slot_opened(struct keeper *k, const char *name)
{
	struct slot *s;

	lock_take(&k->lock);
	s = slot_find(k, stage_number(name));
	if (s && s->opens)
		s->opens--;
	else if (s)
		s->disturbed = true;
	lock_drop(&k->lock);
}

void slot_closed(struct keeper *k, const char *name)
{
	uint64_t slot = stage_number(name);
	int record = slot_record(k, name);
	struct slot *s;
	bool disturbed;

	if (record < 0)
		return;
	lock_take(&k->lock);
	s = slot_find(k, slot);
	disturbed = !s || s->disturbed; /* not known: an earlier keeper's */
	lock_drop(&k->lock);
	if (disturbed && placeholder_held(k, record))
		return;
	range_close(k, record);
	if (disturbed)
		slot_drop(k, slot);
	else
		slot_give(k, slot);
}

/* ---- directories ------------------------------------------------------------------------------------------------ */

/* Those that F_GETFL shows of one. */
#define DIRECTORY_FLAGS (O_PATH | O_APPEND | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME)

/* The object of that path, opened, and its watch. */
static int directory_watched(struct keeper *k, const char *path, int flags, int *watch, struct stat *st)
{
	char whole[PATH_MAX + 48];
	int fd;

	snprintf(whole, sizeof whole, "%s/%s", k->dir, path);
	*watch = inotify_add_watch(k->inotify_fd, whole, IN_DELETE_SELF | IN_DONT_FOLLOW);
	if (*watch < 0) {
		k->unwatched = true;
		*watch = 0;
	}
	fd = openat(k->dir_fd, path, O_RDONLY | O_CLOEXEC | (flags & DIRECTORY_FLAGS));
	if (fd >= 0 && !fstat(fd, st))
		return fd;
	if (fd >= 0)
		close(fd);
	return -EMFILE;
}

static int directory_record_new(struct keeper *k, const struct spot *s, int flags, int watch, const struct stat *st)
{
	struct record_identity identity = {flags & O_PATH ? SESSION_PATH : SESSION_DIRECTORY, st->st_dev, st->st_ino,
					   s->at.mount->index};
	struct record_private private = {.file_id = s->st.id};
	int record = record_new(k->records, &identity, &s->attr, s->path, &private);

	if (record >= 0) {
		atomic_store(&record_at(k->records, record)->status,
			     (uint32_t)flags & (O_NONBLOCK | O_NOATIME | O_ASYNC));
		lock_take(&k->lock);
		k->watch_of[record] = watch;
		lock_drop(&k->lock);
	}
	return record;
}

/* What it is; a link to the same as the one that it stands for, whose text the kernel then tells. */
static int directory_made(struct keeper *k, const struct spot *s, const char *path)
{
	char target[PATH_MAX];
	int rc;

	if (s->type == SLIP_DIRECTORY)
		return mkdirat(k->dir_fd, path, 0700) ? -errno : 0;
	if (s->type == SLIP_FILE)
		return mknodat(k->dir_fd, path, S_IFREG | 0600, 0) ? -errno : 0;
	rc = s->at.ops->readlink(s->at.backend, s->at.path, target, sizeof target);
	if (rc < 0)
		return rc;
	return symlinkat(target, k->dir_fd, path) ? -errno : 0;
}

/* The removal is the last step: whatever the watch reports comes after the record is there. */
int directory_open(struct keeper *k, const struct spot *s, int flags, int *record)
{
	char parent[40], path[48];
	struct stat st;
	uint64_t number;
	int fd, watch = -1, rc;

	lock_take(&k->lock);
	number = ++k->directories_made;
	lock_drop(&k->lock);
	snprintf(parent, sizeof parent, "d/%llx", (unsigned long long)number);
	snprintf(path, sizeof path, "%s/c", parent);
	if (mkdirat(k->dir_fd, parent, 0700))
		return -errno;
	rc = directory_made(k, s, path);
	fd = rc ? rc : directory_watched(k, path, flags, &watch, &st);
	*record = fd < 0 ? fd : directory_record_new(k, s, flags, watch, &st);
	unlinkat(k->dir_fd, path, s->type == SLIP_DIRECTORY ? AT_REMOVEDIR : 0);
	unlinkat(k->dir_fd, parent, AT_REMOVEDIR);
	if (fd >= 0 && *record < 0) {
		close(fd);
		return *record;
	}
	return fd;
}

/* Of the kinds that are removed at once. */
static bool is_watched(struct keeper *k, int record)
{
	uint32_t kind = atomic_load(&record_at(k->records, record)->kind);

	return kind == SESSION_DIRECTORY || kind == SESSION_PATH;
}

int directory_record(struct keeper *k, int watch)
{
	int found = -ENOENT, high = records_high(k->records);

	lock_take(&k->lock);
	for (int i = 0; i < high && found < 0; i++)
		if (k->watch_of[i] == watch && is_watched(k, i))
			found = i;
	lock_drop(&k->lock);
	return found;
}

/* ---- who is still there? ---------------------------------------------------------------------------------------- */

enum { SEEN = 1, SEEN_ELSEWHERE = 2 };

struct census {
	struct keeper *k;
	unsigned char *seen; /* per record */
	bool elsewhere;      /* not in this process, which has the block files open itself */
};

static void census_file(struct census *c, const char *path)
{
	struct stat st;
	int record, watch;

	if (stat(path, &st) || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)))
		return;
	record = record_find(c->k->records, st.st_dev, st.st_ino);
	if (record < 0)
		return;
	c->seen[record] |= c->elsewhere ? SEEN | SEEN_ELSEWHERE : SEEN;
	if (!is_watched(c->k, record) || c->k->watch_of[record] || c->k->inotify_fd < 0)
		return;
	watch = inotify_add_watch(c->k->inotify_fd, path, IN_DELETE_SELF); /* removed, but reachable so */
	lock_take(&c->k->lock);
	c->k->unwatched |= watch < 0;
	c->k->watch_of[record] = watch > 0 ? watch : 0;
	lock_drop(&c->k->lock);
}

static void census_process(struct census *c, const char *pid)
{
	char path[600];
	struct dirent *e;
	DIR *fds;

	c->elsewhere = c->k->inside || atoi(pid) != getpid(); /* a thread's table is not the process's */
	snprintf(path, sizeof path, "/proc/%.20s/cwd", pid);
	census_file(c, path);
	snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	fds = opendir(path);
	while (fds && (e = readdir(fds))) {
		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%.20s/fd/%.255s", pid, e->d_name);
		census_file(c, path);
	}
	if (fds)
		closedir(fds);
}

static void census_take(struct census *c)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc)))
		if (*e->d_name >= '0' && *e->d_name <= '9')
			census_process(c, e->d_name);
	if (proc)
		closedir(proc);
}

/* Not found the last time either, and still the same: a descriptor that was in flight then has arrived. */
static bool missed_again(struct keeper *k, int record, bool seen)
{
	uint32_t serial = atomic_load(&record_at(k->records, record)->serial) + 1;
	bool again = !seen && k->missed_at[record] == serial;

	k->missed_at[record] = seen ? 0 : serial;
	return again;
}

static bool placeholder_held(struct keeper *k, int record)
{
	struct census c = {.k = k, .seen = calloc(SESSION_RECORDS, 1)};
	bool held;

	if (!c.seen)
		return true;
	census_take(&c);
	held = c.seen[record];
	free(c.seen);
	return held;
}

/*
 * No lease sees an access mode of 3, and a removed directory has no name: who holds them is read in /proc. A descriptor in
 * flight is not found there; so that it never means another file, a slot whose end was not seen is not used again.
 */
void placeholders_check(struct keeper *k, bool again)
{
	struct census c = {.k = k, .seen = calloc(SESSION_RECORDS, 1)};
	int high = records_high(k->records);
	struct slot *s, *next;

	if (!c.seen)
		return;
	lock_take(&k->lock);
	HASH_ITER(hh, k->slots, s, next)
	s->disturbed = true; /* what was not told may have been this */
	lock_drop(&k->lock);
	census_take(&c);
	for (int i = 0; i < high; i++) {
		uint32_t kind = atomic_load(&record_at(k->records, i)->kind);
		bool seen = c.seen[i] & (kind == SESSION_LOCAL ? SEEN_ELSEWHERE : SEEN);

		if (again ? !missed_again(k, i, seen) : seen)
			continue;
		if (kind == SESSION_RANGE) {
			uint64_t slot = record_private(k->records, i).place;

			range_close(k, i);
			slot_drop(k, slot);
		} else if (kind == SESSION_LOCAL) {
			lock_take(&k->lock);
			local_unheld(k, i);
			lock_drop(&k->lock);
		} else if (kind == SESSION_DIRECTORY || kind == SESSION_PATH) {
			lock_take(&k->lock);
			listing_free(k->of_record[i]);
			k->of_record[i] = NULL;
			k->watch_of[i] = 0;
			record_free(k->records, i);
			lock_drop(&k->lock);
		}
	}
	free(c.seen);
}

/* Nobody is connected, so none of their descriptors is in flight. */
void locals_check(struct keeper *k)
{
	struct census c = {.k = k, .seen = calloc(SESSION_RECORDS, 1)};

	if (!c.seen)
		return;
	census_take(&c);
	lock_take(&k->lock);
	RECORDS_EACH(k, i, RECORD_KIND(LOCAL))
	if (!(c.seen[i] & SEEN_ELSEWHERE))
		local_unheld(k, i);
	lock_drop(&k->lock);
	free(c.seen);
}

int placeholder_start(struct keeper *k)
{
	struct timespec now;

	if ((mkdirat(k->dir_fd, "slots", 0700) && errno != EEXIST) ||
	    (mkdirat(k->dir_fd, "d", 0700) && errno != EEXIST))
		return -errno;
	clock_gettime(CLOCK_REALTIME, &now);
	/* Higher than any that an earlier keeper of this session used. */
	k->slots_made = k->directories_made = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	return 0;
}
