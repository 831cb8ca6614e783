#include "client/meta.h"
#include "client/keeper.h"
#include "client/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <uthash.h>

#define META_MAX 65536u /* then all are forgotten */
#define HELD_MAX 65536u

struct meta {
	UT_hash_handle hh;
	int rc;
	int64_t until_ms;
	struct slip_stat st;
	char path[];
};

struct held_key {
	uint64_t mount, id;
};

struct dated {
	UT_hash_handle hh;
	struct held_key key;
	char path[];
};

struct held {
	UT_hash_handle hh;
	struct held_key key;
	struct held_value value;
};

/* ---- what the server said --------------------------------------------------------------------------------------- */

static struct meta *meta_find(struct keeper *k, const char *path)
{
	struct meta *m;

	HASH_FIND_STR(k->metas.by_path, path, m);
	return m;
}

static void meta_remove(struct keeper *k, struct meta *m)
{
	HASH_DEL(k->metas.by_path, m);
	free(m);
}

static void meta_clear(struct keeper *k)
{
	struct meta *m, *next;

	HASH_ITER(hh, k->metas.by_path, m, next)
	meta_remove(k, m);
}

int meta_get(struct keeper *k, const char *path, struct slip_stat *st)
{
	struct meta *m = meta_find(k, path);

	if (!m || m->until_ms <= now_ms())
		return -EAGAIN;
	*st = m->st;
	return m->rc;
}

int64_t meta_until(struct keeper *k, const char *path)
{
	const struct meta *m = meta_find(k, path);

	return m ? m->until_ms : 0;
}

void meta_put(struct keeper *k, const char *path, int rc, const struct slip_stat *st, uint64_t changes)
{
	struct meta *m = meta_find(k, path);
	size_t n = strlen(path);

	if (changes != k->metas.changes || !k->ttl_ms)
		return;
	if (!m) {
		if (HASH_COUNT(k->metas.by_path) >= META_MAX)
			meta_clear(k);
		m = calloc(1, sizeof *m + n + 1);
		if (!m)
			return;
		memcpy(m->path, path, n + 1);
		HASH_ADD_KEYPTR(hh, k->metas.by_path, m->path, n, m);
	}
	m->rc = rc;
	m->until_ms = now_ms() + k->ttl_ms;
	if (st)
		m->st = *st;
}

static void meta_drop_one(struct keeper *k, const char *path)
{
	struct meta *m = meta_find(k, path);

	if (m)
		meta_remove(k, m);
}

void meta_drop(struct keeper *k, const char *path)
{
	char parent[PATH_MAX];

	k->metas.changes++;
	records_changed(k->records);
	meta_drop_one(k, path);
	path_parent(path, parent);
	meta_drop_one(k, parent);
}

void meta_drop_below(struct keeper *k, const char *path)
{
	struct meta *m, *next;

	meta_drop(k, path);
	HASH_ITER(hh, k->metas.by_path, m, next)
	if (path_below(m->path, path))
		meta_remove(k, m);
}

/* ---- what only we know ------------------------------------------------------------------------------------------ */

static struct held *held_find(struct keeper *k, unsigned mount, uint64_t id)
{
	struct held_key key = {mount, id};
	struct held *h;

	HASH_FIND(hh, k->metas.by_id, &key, sizeof key, h);
	return h;
}

static void held_evict(struct keeper *k)
{
	struct held *oldest = k->metas.by_id; /* uthash keeps the order of insertion */

	HASH_DEL(k->metas.by_id, oldest);
	free(oldest);
}

void held_put(struct keeper *k, unsigned mount, uint64_t id, const struct held_value *v)
{
	struct held *h = held_find(k, mount, id);

	if (!h) {
		if (HASH_COUNT(k->metas.by_id) >= HELD_MAX)
			held_evict(k);
		h = calloc(1, sizeof *h);
		if (!h)
			return;
		h->key = (struct held_key){mount, id};
		/* Not to the one that is gone: NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		HASH_ADD(hh, k->metas.by_id, key, sizeof h->key, h);
	}
	h->value.set |= v->set;
	if (v->set & HELD_INO)
		h->value.ino = v->ino;
	if (v->set & HELD_MODE)
		h->value.mode = v->mode;
	if (v->set & HELD_MTIME)
		h->value.mtime_ns = v->mtime_ns;
	if (v->set & HELD_ATIME)
		h->value.atime_ns = v->atime_ns;
	if (v->set & HELD_CTIME)
		h->value.ctime_ns = v->ctime_ns;
}

bool held_get(struct keeper *k, unsigned mount, uint64_t id, struct held_value *v)
{
	struct held *h = held_find(k, mount, id);

	if (h)
		*v = h->value;
	return h != NULL;
}

static void dated_add(struct keeper *k, const char *path, struct held_key key)
{
	size_t n = strlen(path);
	struct dated *d;

	HASH_FIND(hh, k->metas.dated, path, n, d);
	if (!d && HASH_COUNT(k->metas.dated) < HELD_MAX) {
		d = calloc(1, sizeof *d + n + 1);
		if (!d)
			return;
		memcpy(d->path, path, n + 1);
		HASH_ADD_KEYPTR(hh, k->metas.dated, d->path, n, d);
	}
	if (d)
		d->key = key;
}

void dated_put(struct keeper *k, const char *path, unsigned mount, uint64_t id)
{
	dated_add(k, path, (struct held_key){mount, id});
}

void dated_changed(struct keeper *k, const char *path)
{
	char parent[PATH_MAX];
	struct dated *d;
	struct held *h;

	if (!k->metas.dated)
		return;
	path_parent(path, parent);
	HASH_FIND_STR(k->metas.dated, parent, d);
	if (!d)
		return;
	h = held_find(k, (unsigned)d->key.mount, d->key.id);
	if (h)
		h->value.set &= ~HELD_MTIME;
	HASH_DEL(k->metas.dated, d);
	free(d);
}

void dated_move(struct keeper *k, const char *from, const char *to)
{
	size_t n = strlen(from);
	struct dated *d, *next;
	char path[PATH_MAX];

	HASH_ITER(hh, k->metas.dated, d, next)
	{
		if (!path_below(d->path, from))
			continue;
		HASH_DEL(k->metas.dated, d); /* each once: NOLINT(clang-analyzer-unix.Malloc) */
		if (snprintf(path, sizeof path, "%s%s", to, d->path + n) < (int)sizeof path)
			dated_add(k, path, d->key);
		free(d);
	}
}

/* The tables first; what was in them still forms a list. */
void metas_free(struct keeper *k)
{
	struct meta *m = k->metas.by_path;
	struct held *h = k->metas.by_id;
	struct dated *d = k->metas.dated;

	HASH_CLEAR(hh, k->metas.dated);
	for (struct dated *next; d; d = next) {
		next = d->hh.next;
		free(d);
	}
	HASH_CLEAR(hh, k->metas.by_path);
	HASH_CLEAR(hh, k->metas.by_id);
	for (struct meta *next; m; m = next) {
		next = m->hh.next;
		free(m);
	}
	for (struct held *next; h; h = next) {
		next = h->hh.next;
		free(h);
	}
}

/* ---- as programs see it ----------------------------------------------------------------------------------------- */

/* Major 0 is what the kernel gives file systems without a device; it counts from below. */
uint64_t mount_dev(unsigned mount)
{
	return makedev(0, 0xfff00 + mount);
}

static uint32_t type_bits(enum slip_type type)
{
	return type == SLIP_DIRECTORY ? S_IFDIR : type == SLIP_SYMLINK ? S_IFLNK : S_IFREG;
}

void attr_of_stat(struct keeper *k, unsigned mount, const struct slip_stat *st, struct session_attr *attr)
{
	struct held_value v = {0};

	*attr = (struct session_attr){
		.dev = mount_dev(mount),
		.ino = inode_number(st->id),
		.mode = (st->type == SLIP_SYMLINK ? 0777 : st->mode & 0777) | type_bits(st->type),
		.nlink = st->type == SLIP_DIRECTORY ? 2 : 1,
		.uid = owner_uid(k, st->owner),
		.gid = owner_gid(k, st->group),
		.size = st->type == SLIP_DIRECTORY ? 4096 : st->size,
		.mtime_ns = st->mtime_ms * 1000000,
		.atime_ns = st->atime_ms * 1000000,
		.ctime_ns = st->ctime_ms * 1000000,
	};
	if (!held_get(k, mount, st->id, &v))
		return;
	if (v.set & HELD_INO)
		attr->ino = v.ino;
	if (v.set & HELD_MODE)
		attr->mode |= v.mode;
	if (v.set & HELD_MTIME)
		attr->mtime_ns = v.mtime_ns;
	if (v.set & HELD_ATIME)
		attr->atime_ns = v.atime_ns;
	/* What is made in a directory changes it later than what we know of; a file of this id has the content that it has. */
	if ((v.set & HELD_CTIME) && (st->type != SLIP_DIRECTORY || v.ctime_ns > attr->ctime_ns))
		attr->ctime_ns = v.ctime_ns;
}
