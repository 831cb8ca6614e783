/*
 * list.c: LIST and LOCK, of directories. A listing is taken whole when its first entry is asked for, and given out in parts.
 * The names of the session's own files are merged into the server's; ours for replacements on their way are left out.
 */
#include "client/keeper.h"
#include "client/path.h"

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

struct entry {
	struct slip_stat st;
	struct session_attr attr;
	bool staged; /* merged: attr is the inode's */
	char *name;
};

struct listing {
	size_t count, room;
	struct entry *entries;
	struct session_dirent **packed;
};

static int entry_compare(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void listing_sort(struct listing *l)
{
	if (l->count)
		qsort(l->entries, l->count, sizeof *l->entries, entry_compare);
}

static struct entry *entry_add(struct listing *l, const char *name)
{
	struct entry *e;

	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct entry *more = realloc(l->entries, room * sizeof *more);

		if (!more)
			return NULL;
		l->entries = more;
		l->room = room;
	}
	e = &l->entries[l->count];
	*e = (struct entry){.name = strdup(name)};
	if (!e->name)
		return NULL;
	l->count++;
	return e;
}

static int entry_from_server(void *context, const char *name, const struct slip_stat *st)
{
	struct entry *e;

	if (name_is_hidden(name) || strlen(name) > NAME_MAX)
		return 0;
	e = entry_add(context, name);
	if (!e)
		return -ENOMEM;
	e->st = *st;
	return 0;
}

/*
 * Under the lock: files staged here that the server does not list, and what it says too old things of. So may be those that it
 * got since changes were so many, when it was not asked yet: a file that is replaced is not there for a moment.
 */
static int listing_merge(struct keeper *k, struct listing *l, const char *directory, uint64_t changes)
{
	struct inode *in, *next;
	size_t listed = l->count;
	char parent[PATH_MAX];

	HASH_ITER(by_path, k->inodes.by_path, in, next)
	{
		struct entry key = {.name = (char *)path_name(in->path)}, *e;

		path_parent(in->path, parent);
		if ((in->state == INODE_CLEAN && in->appeared <= changes) || strcmp(parent, directory))
			continue;
		e = listed ? bsearch(&key, l->entries, listed, sizeof *l->entries, entry_compare) : NULL;
		if (!e)
			e = entry_add(l, key.name);
		if (!e)
			return -ENOMEM;
		e->staged = true;
		inode_stat(k, in, &e->st);
		inode_attr(in, &e->attr);
	}
	listing_sort(l);
	return 0;
}

/* Under the lock: so that a stat of each costs nothing. */
static void listing_remember(struct keeper *k, const struct place *at, struct listing *l, const char *directory,
			     uint64_t changes, uint64_t generation)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < l->count; i++) {
		struct entry *e = &l->entries[i];

		if (e->staged)
			continue;
		attr_of_stat(k, at->mount->index, &e->st, &e->attr);
		if (path_join(path, directory, e->name))
			continue;
		meta_put(k, path, 0, &e->st, changes);
		if (changes == k->metas.changes && k->ttl_ms && !inode_find(k, path))
			record_name(k->records, path, 0, &e->attr, generation, meta_until(k, path));
	}
}

static int packed_add(struct session_dirent **out, const char *name, uint64_t ino, uint8_t type)
{
	size_t n = strlen(name) + 1, bytes = (offsetof(struct session_dirent, name) + n + 7) & ~(size_t)7;

	*out = calloc(1, bytes);
	if (!*out)
		return -ENOMEM;
	(*out)->ino = ino;
	(*out)->bytes = (uint32_t)bytes;
	(*out)->type = type;
	memcpy((*out)->name, name, n);
	return 0;
}

static uint8_t dirent_type(enum slip_type type)
{
	return type == SLIP_DIRECTORY ? DT_DIR : type == SLIP_SYMLINK ? DT_LNK : DT_REG;
}

/* "." and ".." first, as programs know it. */
static int listing_pack(struct listing *l, uint64_t ino, uint64_t parent_ino)
{
	size_t n = l->count;
	int rc;

	l->packed = calloc(n + 2, sizeof(struct session_dirent *));
	if (!l->packed)
		return -ENOMEM;
	l->count = 0;
	rc = packed_add(&l->packed[l->count++], ".", ino, DT_DIR);
	if (!rc)
		rc = packed_add(&l->packed[l->count++], "..", parent_ino, DT_DIR);
	for (size_t i = 0; i < n && !rc; i++)
		rc = packed_add(&l->packed[l->count++], l->entries[i].name, l->entries[i].attr.ino,
				dirent_type(l->entries[i].st.type));
	return rc;
}

static void entries_free(struct listing *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(l->entries[i].name);
	free(l->entries);
	l->entries = NULL;
}

void listing_free(struct listing *l)
{
	if (!l)
		return;
	for (size_t i = 0; l->packed && i < l->count; i++)
		free(l->packed[i]);
	free(l->packed);
	free(l);
}

static uint64_t parent_ino(struct keeper *k, const struct spot *s)
{
	char parent[PATH_MAX];
	struct spot up;
	uint64_t ino;

	if (place_is_root(&s->at))
		return s->attr.ino;
	path_parent(s->path, parent);
	ino = spot_find(k, parent, SPOT_FOLLOW, &up) ? s->attr.ino : up.attr.ino;
	spot_release(&up);
	return ino;
}

static int listing_take(struct keeper *k, struct spot *s, struct listing **out)
{
	struct listing *l = calloc(1, sizeof *l);
	size_t entries;
	uint64_t changes, generation;
	int rc;

	if (!l)
		return -ENOMEM;
	lock_take(&k->lock);
	changes = k->metas.changes;
	generation = records_generation(k->records);
	lock_drop(&k->lock);
	rc = s->at.ops->list(s->at.backend, s->at.path, entry_from_server, l);
	listing_sort(l);
	lock_take(&k->lock);
	if (!rc)
		rc = listing_merge(k, l, s->path, changes);
	if (!rc)
		listing_remember(k, &s->at, l, s->path, changes, generation);
	lock_drop(&k->lock);
	entries = l->count;
	if (!rc)
		rc = listing_pack(l, s->attr.ino, parent_ino(k, s));
	entries_free(l, entries);
	if (rc) {
		listing_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

/* Under the lock. */
static int64_t listing_give(struct request *r, const struct listing *l, int64_t first)
{
	size_t room = r->head->b > 0 && r->head->b < SESSION_PAYLOAD_MAX ? (size_t)r->head->b : SESSION_PAYLOAD_MAX,
	       n = 0;
	int64_t given = 0;

	for (size_t i = (size_t)first; i < l->count; i++) {
		const struct session_dirent *d = l->packed[i];

		if (n + d->bytes > room)
			return given ? given : -EINVAL;
		memcpy(r->out + n, d, d->bytes);
		n += d->bytes;
		r->reply->bytes = (uint32_t)n;
		given++;
	}
	return given;
}

int64_t request_list(struct request *r)
{
	struct keeper *k = r->k;
	int record = r->head->record;
	struct session_record *rec = record_at(k->records, record);
	struct listing *l = NULL;
	struct spot s;
	bool have;
	int64_t rc;

	if (!rec || atomic_load(&rec->kind) != SESSION_DIRECTORY)
		return rec && atomic_load(&rec->kind) != SESSION_FREE && atomic_load(&rec->kind) != SESSION_PATH
			       ? -ENOTDIR
			       : -EBADF;
	if (r->head->a < 0)
		return -EINVAL;
	lock_take(&k->lock);
	have = k->of_record[record] && r->head->a;
	lock_drop(&k->lock);
	if (!have) {
		rc = request_spot(r, SPOT_FOLLOW, &s);
		if (!rc)
			rc = s.type != SLIP_DIRECTORY ? -ENOTDIR : *s.at.path ? listing_take(k, &s, &l) : -ENOENT;
		spot_release(&s);
		if (rc)
			return rc;
	}
	lock_take(&k->lock);
	if (atomic_load(&rec->kind) != SESSION_DIRECTORY || (!l && !k->of_record[record])) { /* closed meanwhile */
		lock_drop(&k->lock);
		listing_free(l);
		return -EBADF;
	}
	if (l) {
		listing_free(k->of_record[record]);
		k->of_record[record] = l;
	}
	rc = listing_give(r, k->of_record[record], r->head->a);
	lock_drop(&k->lock);
	return rc;
}

/* ---- locks ------------------------------------------------------------------------------------------------------ */

/* Has another description of the same directory a lock that this one cannot stand beside? Under the lock. */
static bool locked_against(struct keeper *k, const struct session_record *mine, uint64_t how)
{
	RECORDS_EACH(k, i, RECORD_KIND(DIRECTORY))
	{
		const struct session_record *rec = record_at(k->records, i);
		uint64_t held = atomic_load(&rec->content);

		if (rec != mine && held && (held == LOCK_EX || how == LOCK_EX) && rec->attr.ino == mine->attr.ino &&
		    rec->attr.dev == mine->attr.dev)
			return true;
	}
	return false;
}

/* As flock(2) does, what it had is given up first. */
static int lock_set(struct keeper *k, struct session_record *rec, uint64_t how)
{
	atomic_store(&rec->content, 0);
	if (how == LOCK_UN)
		return 0;
	if (locked_against(k, rec, how))
		watch_catch_up(k); /* whose lock it is may have closed it just now */
	if (locked_against(k, rec, how))
		return -EWOULDBLOCK;
	atomic_store(&rec->content, how);
	return 0;
}

/*
 * The kernel's lock would be on the removed directory that stands for this description alone. The record has it instead, and ends
 * with the description.
 */
int64_t request_lock(struct request *r)
{
	struct session_record *rec = record_at(r->k->records, r->head->record);
	uint64_t how = r->head->flags;
	int64_t rc = 0;

	if (how != LOCK_SH && how != LOCK_EX && how != LOCK_UN)
		return -EINVAL;
	lock_take(&r->k->lock);
	if (!rec || atomic_load(&rec->kind) != SESSION_DIRECTORY)
		rc = -EBADF;
	else
		rc = lock_set(r->k, rec, how);
	lock_drop(&r->k->lock);
	return rc;
}
