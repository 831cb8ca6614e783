/*
 * open.c: OPEN and CONTENT: which form a descriptor gets. Any write access: the staging file. Else a file staged here, or
 * fetched lately; a worker's block file on this host that is the whole file; a file of at most a page, fetched; a range.
 */
#include "client/keeper.h"
#include "client/log.h"
#include "client/path.h"
#include "client/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREATE_ROUNDS 40
#define FETCH_BYTES   (1u << 20)

/* What a fresh description of a staging file is opened with. */
#define KERNEL_FLAGS (O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_NOATIME | O_DIRECT | O_TRUNC | O_ASYNC)

struct local_key {
	uint64_t mount, id;
};

struct local {
	UT_hash_handle hh;
	struct local_key key;
	int fd, record;
	uint64_t used;
	bool unleased;       /* the worker is another user: who has it open is read in /proc */
	struct inode *inode; /* its file was opened for writing since: a reference */
};

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

static int access_wanted(int flags)
{
	if (flags & O_PATH)
		return 0;
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return R_OK | (flags & O_TRUNC ? W_OK : 0);
	case O_WRONLY:
		return W_OK;
	default:
		return R_OK | W_OK;
	}
}

/* ext4 and xfs know O_DIRECT, tmpfs does not: then without, as the data comes out right either way. */
static int reopen(int fd, int flags)
{
	int again = fd_reopen(fd, flags & KERNEL_FLAGS);

	return again == -EINVAL && (flags & O_DIRECT) ? fd_reopen(fd, flags & KERNEL_FLAGS & ~O_DIRECT) : again;
}

static int64_t reply_fd(struct request *r, int fd, int record)
{
	struct session_record *rec = record_at(r->k->records, record);

	if (fd < 0)
		return fd;
	r->fd = fd;
	r->reply->record = record;
	r->reply->kind = atomic_load(&rec->kind);
	if (r->reply->kind == SESSION_STAGED || r->reply->kind == SESSION_LOCAL) {
		r->passing = &rec->passing;
		atomic_fetch_add(r->passing, 1);
	}
	return 0;
}

/* ---- content ---------------------------------------------------------------------------------------------------- */

static int write_all(int fd, const char *buf, size_t n)
{
	while (n) {
		ssize_t part = write(fd, buf, n);

		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return -errno;
		buf += part;
		n -= (size_t)part;
	}
	return 0;
}

static int content_copy(struct spot *s, struct backend_reader *reader, int fd, int64_t size)
{
	size_t room = size < FETCH_BYTES ? (size_t)size : FETCH_BYTES;
	char *buf = malloc(room ? room : 1);
	int rc = buf ? 0 : -ENOMEM;

	for (int64_t off = 0; off < size && !rc;) {
		size_t want = size - off < (int64_t)room ? (size_t)(size - off) : room;
		ssize_t n = s->at.ops->reader_read(reader, buf, want, off, true);

		rc = n < 0 ? (int)n : n == 0 ? -EIO : write_all(fd, buf, (size_t)n);
		off += n > 0 ? n : 0;
	}
	free(buf);
	return rc;
}

/* Out of the worker's block file, if that is the whole of it and is here. */
static int content_copy_local(struct spot *s, int fd, int64_t size)
{
	int from = s->at.ops->open_local(s->at.backend, &s->file), rc = -EIO;
	off_t off = 0;

	if (from < 0)
		return from;
	while (off < size && sendfile(fd, from, &off, (size_t)(size - off)) > 0)
		;
	if (off == size)
		rc = 0;
	else if (ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET))
		log_warn("staging %s anew: %s", s->path, strerror(errno));
	close(from);
	return rc;
}

static int content_fetch(struct keeper *k, struct spot *s, struct inode *in)
{
	struct backend_reader *reader = NULL;
	int fd, rc;

	if (!s->file.st.size)
		return 0;
	lock_take(&k->lock);
	rc = inodes_room(k, (uint64_t)s->file.st.size) && stage_room(k->stage, k->stage_max, (uint64_t)s->file.st.size)
		     ? 0
		     : -ENOSPC;
	lock_drop(&k->lock);
	if (rc)
		return rc;
	fd = fd_reopen(in->fd, O_WRONLY);
	if (fd < 0)
		return fd;
	if (content_copy_local(s, fd, s->file.st.size)) {
		rc = s->at.ops->reader_open(s->at.backend, &s->file, &reader);
		if (!rc)
			rc = content_copy(s, reader, fd, s->file.st.size);
		if (reader)
			s->at.ops->reader_close(reader);
	}
	close(fd);
	return rc;
}

/* A program's view of the times of a file it did not write: the server's, so the staging file gets them, as far as they can be set. */
static void times_set(struct inode *in, const struct session_attr *attr)
{
	struct stat st;
	struct timespec times[2] = {
		{attr->atime_ns / 1000000000, attr->atime_ns % 1000000000},
		{attr->mtime_ns / 1000000000, attr->mtime_ns % 1000000000},
	};

	if (futimens(in->fd, times))
		log_note("times of %s: %s", in->path, strerror(errno));
	if (!fstat(in->fd, &st))
		in->filled_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
}

int inode_fetch(struct keeper *k, struct spot *s, bool content, struct inode **out)
{
	struct inode *in;
	int rc = content ? spot_file(s) : 0;

	if (!rc && content && !s->st.complete)
		rc = -EBUSY; /* another session is writing it */
	if (!rc)
		rc = inode_new(k, s->path, s->at.mount->index, &s->attr, s->st.id, &in);
	if (rc)
		return rc;
	if (content)
		rc = content_fetch(k, s, in);
	lock_take(&k->lock);
	if (rc) {
		inode_put(k, in);
	} else {
		if (content)
			times_set(in, &s->attr);
		inode_save(k, in);
		*out = in;
	}
	lock_drop(&k->lock);
	return rc;
}

int inode_for_writing(struct keeper *k, struct spot *s, bool content, struct inode **out)
{
	struct inode *in;
	int rc;

	lock_take(&k->lock);
	in = inode_find(k, s->path);
	if (in)
		inode_get(in);
	rc = s->changes == k->metas.changes; /* what was found is still there */
	lock_drop(&k->lock);
	*out = in;
	if (in)
		return 0;
	if (!rc && s->has_file) {
		s->at.ops->release(s->at.backend, &s->file);
		s->has_file = false;
	}
	rc = inode_fetch(k, s, content, &in);
	if (rc)
		return rc;
	lock_take(&k->lock);
	if (!content) {
		in->state = INODE_DIRTY;
		in->modified = true;
	}
	inode_link(k, in);
	lock_drop(&k->lock);
	*out = in;
	return 0;
}

/* ---- block files on this host ------------------------------------------------------------------------------------ */

/* Under the lock. */
static struct local *local_find(struct keeper *k, uint64_t mount, uint64_t id)
{
	struct local_key key = {mount, id};
	struct local *l;

	HASH_FIND(hh, k->locals, &key, sizeof key, l);
	return l;
}

static void local_free(struct keeper *k, struct local *l)
{
	HASH_DEL(k->locals, l);
	k->local_count--;
	k->locals_unleased -= l->unleased;
	k->of_record[l->record] = NULL;
	record_free(k->records, l->record);
	close(l->fd);
	if (l->inode) {
		k->locals_overridden--;
		inode_put(k, l->inode);
	}
	free(l);
}

void locals_trim(struct keeper *k, unsigned keep)
{
	struct local *l, *next;

	HASH_ITER(hh, k->locals, l, next)
	{
		if (k->local_count <= keep && !k->locals_overridden)
			return;
		if ((k->local_count > keep || l->inode) && !l->unleased && lease_alone(l->fd))
			local_free(k, l);
	}
}

void local_unheld(struct keeper *k, int record)
{
	struct local *l = k->of_record[record];

	if (!l)
		record_free(k->records, record); /* of a keeper before us */
	else if (l->unleased)
		local_free(k, l);
}

struct inode *local_inode(struct keeper *k, int record)
{
	struct local *l = k->of_record[record];

	return l ? l->inode : NULL;
}

/* Under the lock: inode's path was opened for writing; the shims of its readers see the mark, and ask for CONTENT. */
static void locals_override(struct keeper *k, struct inode *in)
{
	struct local *l, *next;

	if (!in->linked)
		return;
	HASH_ITER(hh, k->locals, l, next)
	{
		struct session_record *rec = record_at(k->records, l->record);

		if (l->inode || atomic_load(&rec->deleted) || strcmp(rec->path, in->path))
			continue;
		inode_get(in);
		l->inode = in;
		k->locals_overridden++;
		k->unwatched |= l->unleased; /* the new content is kept until nobody has the old one */
		record_override(k->records, l->record);
	}
}

/* Of those without a lease there are no more than may be kept; then it is time to look who has them. */
static bool local_fits(struct keeper *k, bool unleased)
{
	if (!unleased || k->locals_unleased < cached_max(k))
		return true;
	k->unwatched = true;
	return false;
}

/* Takes fd over. Under the lock. */
static struct local *local_new(struct keeper *k, const struct spot *s, int fd)
{
	struct record_identity identity = {.kind = SESSION_LOCAL, .mount = s->at.mount->index};
	struct record_private private = {.file_id = s->st.id};
	struct local *l = calloc(1, sizeof *l);
	bool unleased = !lease_permitted(fd);
	struct stat st;

	if (l && local_fits(k, unleased) && !fstat(fd, &st) && record_find(k->records, st.st_dev, st.st_ino) < 0) {
		identity.dev = st.st_dev;
		identity.ino = st.st_ino;
		l->record = record_new(k->records, &identity, &s->attr, s->path, &private);
		if (l->record >= 0) {
			l->key = (struct local_key){identity.mount, s->st.id};
			l->fd = fd;
			l->unleased = unleased;
			k->locals_unleased += unleased;
			k->of_record[l->record] = l;
			k->local_count++;
			HASH_ADD(hh, k->locals, key, sizeof l->key, l);
			return l;
		}
	}
	close(fd);
	free(l);
	return NULL;
}

/* ---- for writing ------------------------------------------------------------------------------------------------ */

/* Under the lock: so that no proof that nobody writes comes between the mark and the descriptor. */
static int64_t open_inode_locked(struct request *r, struct inode *in, int flags)
{
	int fd;

	if (writes(flags))
		publish_open(r->k, in, flags);
	fd = reopen(in->fd, flags);
	if (writes(flags)) {
		ranges_overridden(r->k, in);
		locals_override(r->k, in);
		if (fd < 0 || (flags & O_ACCMODE) == O_RDONLY) /* no close of a writer will tell */
			publish_event(r->k, in);
	}
	inode_attr(in, &r->reply->attr);
	return reply_fd(r, fd, in->record);
}

static int64_t open_inode(struct request *r, struct inode *in, int flags)
{
	int64_t rc;

	lock_take(&r->k->lock);
	rc = open_inode_locked(r, in, flags);
	lock_drop(&r->k->lock);
	return rc;
}

void inode_release(struct keeper *k, struct inode *in)
{
	lock_take(&k->lock);
	inode_put(k, in);
	lock_drop(&k->lock);
}

static int64_t open_writing(struct request *r, struct spot *s, int flags)
{
	struct inode *in = s->inode;
	int64_t rc;

	if (in && (!in->linked || r->head->record >= 0)) /* by descriptor: perhaps without a name */
		return open_inode(r, in, flags);
	if (!*s->at.path)
		return -ENOENT;
	names_lock(r->k, s->path, NULL, false);
	rc = inode_for_writing(r->k, s, !(flags & O_TRUNC), &in);
	if (!rc) {
		rc = open_inode(r, in, flags);
		lock_take(&r->k->lock);
		if (flags & O_TRUNC)
			behind_expect(r->k, in);
		inode_put(r->k, in);
		lock_drop(&r->k->lock);
	}
	names_unlock(r->k, s->path, NULL, false);
	return rc;
}

/* ---- for reading ------------------------------------------------------------------------------------------------ */

/* 0; -EOPNOTSUPP: not that way. */
static int64_t open_local(struct request *r, struct spot *s, int flags)
{
	struct keeper *k = r->k;
	struct inode *in;
	struct local *l;
	int64_t rc;
	int fd = -1;

	if (s->has_file) {
		fd = s->at.ops->open_local(s->at.backend, &s->file);
		if (fd < 0)
			return -EOPNOTSUPP;
	}
	lock_take(&k->lock);
	if (k->locals_overridden)
		locals_trim(k, cached_max(k));
	l = local_find(k, s->at.mount->index, s->st.id);
	if (l && fd >= 0)
		close(fd);
	else if (!l && fd >= 0) {
		locals_trim(k, cached_max(k));
		l = local_new(k, s, fd);
	}
	in = inode_find(k, s->path);
	if (in && in->state != INODE_CLEAN) { /* opened for writing since we looked */
		rc = open_inode_locked(r, in, flags);
		lock_drop(&k->lock);
		return rc;
	}
	if (l && l->inode)
		l = NULL;
	rc = l ? reply_fd(r, reopen(l->fd, flags & ~O_TRUNC), l->record) : -EOPNOTSUPP;
	if (l && strcmp(record_at(k->records, l->record)->path, s->path)) /* renamed outside */
		record_set_path(k->records, l->record, s->path);
	lock_drop(&k->lock);
	r->reply->attr = s->attr;
	return rc;
}

/* With the name held: does it still lead to what was found? Names of the session changed meanwhile, perhaps this one. */
static bool found_again(struct keeper *k, const struct spot *s)
{
	struct spot again;
	bool same;
	int rc;

	if (name_is_hidden(path_name(s->path)))
		return false;
	rc = spot_find(k, s->path, 0, &again);
	same = !rc && !strcmp(again.path, s->path) && again.st.id == s->st.id;
	spot_release(&again);
	return same;
}

/* Whoever opens the name from now on gets this inode: or a lock on it would exclude nobody. */
static void link_fetched(struct keeper *k, const struct spot *s, struct inode *in)
{
	bool same;

	names_lock(k, s->path, NULL, false);
	lock_take(&k->lock);
	same = s->changes == k->metas.changes;
	lock_drop(&k->lock);
	same = same || found_again(k, s);
	lock_take(&k->lock);
	if (same && !inode_find(k, s->path))
		inode_link(k, in);
	lock_drop(&k->lock);
	names_unlock(k, s->path, NULL, false);
}

static int64_t open_fetched(struct request *r, struct spot *s, int flags)
{
	struct keeper *k = r->k;
	struct inode *in, *have;
	int64_t rc = inode_fetch(k, s, true, &in);

	if (rc)
		return rc;
	link_fetched(k, s, in);
	lock_take(&k->lock);
	have = inode_find(k, s->path);
	if (have && have != in &&
	    (inode_is(have, s->st.id) || have->state != INODE_CLEAN)) { /* two at once; written since we looked */
		inode_get(have);
		inode_put(k, in);
		in = have;
	}
	rc = open_inode_locked(r, in, flags);
	inode_put(k, in);
	inodes_trim(k, false);
	lock_drop(&k->lock);
	return rc;
}

static int64_t open_range(struct request *r, struct spot *s, int flags)
{
	int record = -1, fd = range_open(r->k, s, flags, &record);

	r->reply->attr = s->attr;
	return reply_fd(r, fd, record);
}

/* What a LOCAL record's descriptors are to read by now, or what is behind it, to be fetched: as range_spot(). */
static int local_spot(struct keeper *k, int record, struct spot *s)
{
	struct session_record *rec = record_at(k->records, record);
	uint64_t id = record_private(k->records, record).file_id;
	char path[PATH_MAX];
	struct inode *in;
	int rc;

	*s = (struct spot){.keeper = k};
	lock_take(&k->lock);
	in = local_inode(k, record);
	if (in)
		inode_get(in);
	snprintf(path, sizeof path, "%s", rec->path);
	lock_drop(&k->lock);
	s->inode = in;
	if (in)
		return 0;
	if (atomic_load(&rec->deleted))
		return -ESTALE;
	rc = spot_find(k, path, SPOT_FILE, s);
	if (!rc && s->inode && s->inode->state != INODE_CLEAN)
		return 0; /* a keeper before us knew that it was opened for writing */
	return rc ? rc : s->st.id == id ? 0 : -ESTALE;
}

/* Under no name: another description of a block file, while somebody has one. */
static int64_t open_local_again(struct request *r, int flags)
{
	struct local *l;
	int64_t rc = -ENOENT;

	lock_take(&r->k->lock);
	l = r->k->of_record[r->head->record];
	if (l && atomic_load(&record_at(r->k->records, r->head->record)->kind) == SESSION_LOCAL)
		rc = reply_fd(r, reopen(l->fd, flags & ~O_TRUNC), l->record);
	lock_drop(&r->k->lock);
	return rc;
}

/* The content behind a record of RANGE or LOCAL, in a staging file. */
static int64_t open_content(struct request *r, int flags)
{
	struct keeper *k = r->k;
	struct session_record *rec = record_at(k->records, r->head->record);
	uint32_t kind = rec ? atomic_load(&rec->kind) : SESSION_FREE;
	struct spot s;
	int64_t rc;

	if (kind != SESSION_RANGE && kind != SESSION_LOCAL)
		return kind == SESSION_PATH ? -ENOENT : -EBADF;
	rc = kind == SESSION_RANGE ? range_spot(k, r->head->record, &s) : local_spot(k, r->head->record, &s);
	if (!rc && s.inode)
		rc = open_inode(r, s.inode, flags);
	else if (!rc)
		rc = open_fetched(r, &s, flags);
	else if (rc == -ESTALE && kind == SESSION_LOCAL)
		rc = open_local_again(r, flags);
	spot_release(&s);
	if (!rc && atomic_load(&rec->deleted) && r->reply->kind == SESSION_STAGED) {
		record_set_path(k->records, r->reply->record, rec->path);
		atomic_store(&record_at(k->records, r->reply->record)->deleted, 1);
	}
	return rc;
}

static int64_t open_reading(struct request *r, struct spot *s, int flags)
{
	uint64_t page = r->k->page_max;
	int64_t rc;

	flags &= ~O_ACCMODE;
	if (s->inode)
		return open_inode(r, s->inode, flags);
	if (!*s->at.path)
		return r->head->record >= 0 ? open_content(r, flags) : -ENOENT;
	rc = open_local(r, s, flags); /* one that is known */
	if (rc != -EOPNOTSUPP)
		return rc;
	rc = spot_file(s);
	if (rc)
		return rc;
	if (!s->st.complete)
		return -EBUSY;
	rc = open_local(r, s, flags);
	if (rc != -EOPNOTSUPP)
		return rc;
	return (uint64_t)s->st.size <= page ? open_fetched(r, s, flags) : open_range(r, s, flags);
}

/* A directory, or what is opened with O_PATH. */
static int64_t open_placeholder(struct request *r, struct spot *s, int flags)
{
	int record = -1, fd;

	if (!*s->at.path && s->type == SLIP_SYMLINK)
		return -ENOENT;
	r->reply->attr = s->attr;
	fd = directory_open(r->k, s, flags, &record);
	if (fd >= 0 && !*s->at.path)
		atomic_store(&record_at(r->k->records, record)->deleted, 1);
	return reply_fd(r, fd, record);
}

/* What it is, and then who may. A link itself is for O_PATH alone. */
static int open_allows(struct request *r, const struct spot *s, int flags)
{
	if (s->type == SLIP_SYMLINK && (flags & O_DIRECTORY))
		return -ENOTDIR;
	if (s->type == SLIP_SYMLINK)
		return (flags & (O_PATH | O_NOFOLLOW)) == (O_PATH | O_NOFOLLOW) ? 0 : -ELOOP;
	if (s->type == SLIP_DIRECTORY && (writes(flags) || (flags & O_CREAT)))
		return -EISDIR;
	if (s->type != SLIP_DIRECTORY && (flags & O_DIRECTORY))
		return -ENOTDIR;
	return attr_allows(r, &s->attr,
			   r->head->op == SESSION_OPEN && r->head->mode == SESSION_ENTERS ? X_OK
											  : access_wanted(flags));
}

static int64_t open_spot(struct request *r, struct spot *s, int flags)
{
	int64_t rc = open_allows(r, s, flags);

	if (rc)
		return rc;
	if (s->type == SLIP_FILE && !(flags & O_PATH))
		return writes(flags) ? open_writing(r, s, flags) : open_reading(r, s, flags);
	return open_placeholder(r, s, flags);
}

/* ---- making ----------------------------------------------------------------------------------------------------- */

static int created(struct request *r, const char *path, const struct place *at, struct backend_writer *writer,
		   uint64_t id, struct inode **out)
{
	struct session_attr attr = {.ino = inode_number(id), .mode = r->head->mode & 07777};
	bool anothers = owner_of_new(r, &attr.uid, &attr.gid);
	struct inode *in;
	int rc = inode_new(r->k, path, at->mount->index, &attr, id, &in);

	if (rc) {
		at->ops->writer_abort(writer, true);
		at->ops->writer_free(writer);
		return rc;
	}
	lock_take(&r->k->lock);
	in->writer = writer;
	in->reserved = true;
	in->state = INODE_DIRTY;
	in->modified = true;
	in->set_owner = anothers;
	inode_link(r->k, in);
	dated_changed(r->k, path);
	behind_expect(r->k, in);
	lock_drop(&r->k->lock);
	*out = in;
	return 0;
}

/* The name is taken at once, so that errors come at open and two cannot both win. Without asking first: most are new. */
static int64_t create_named(struct request *r, const char *path, int flags)
{
	struct backend_writer *writer;
	struct inode *in = NULL;
	struct place at;
	uint64_t id;
	int64_t rc = place_find(r->k->client, path, &at);

	if (!rc)
		rc = name_claim(r, path, &at);
	if (rc)
		return rc;
	rc = at.ops->create(at.backend, at.path, r->head->mode & 0777, &writer, &id);
	if (!rc)
		rc = created(r, path, &at, writer, id, &in);
	if (!rc) {
		rc = open_inode(r, in, flags);
		inode_release(r->k, in);
	}
	names_unlock(r->k, path, NULL, false);
	return rc;
}

/* Lately seen to be there? Then making it is not tried first. */
static bool known(struct keeper *k, const char *path)
{
	struct slip_stat st;
	bool is;

	lock_take(&k->lock);
	is = inode_find(k, path) || !meta_get(k, path, &st);
	lock_drop(&k->lock);
	return is;
}

/* "a/" is no name for a file, but what is wrong with the way there comes first. */
static int64_t refuse_slashed(struct request *r, const char *path)
{
	struct place at;
	int rc = place_find(r->k->client, path, &at);

	if (!rc && !place_is_root(&at))
		rc = parent_find(r, path, X_OK);
	return rc ? rc : -EISDIR;
}

static int64_t open_creating(struct request *r, int flags)
{
	char path[PATH_MAX];
	struct spot s;

	memcpy(path, r->path, sizeof path);
	for (int round = 0; round < CREATE_ROUNDS; round++) {
		int64_t rc = search_allows(r, path);

		if (rc)
			return rc;
		rc = -EEXIST;
		if ((flags & O_EXCL) || round || !known(r->k, path))
			rc = create_named(r, path, flags);
		if (rc == -ENOENT || rc == -ENOTDIR) {
			int walked = path_rewalk(r->k, path);

			if (walked == SESSION_ELSEWHERE)
				return reply_elsewhere(r, path);
			if (walked <= 0)
				return walked ? walked : rc;
			continue;
		}
		if (rc != -EEXIST || (flags & O_EXCL))
			return rc;
		rc = spot_find(r->k, path, SPOT_FILE | SPOT_CREATE | (flags & O_NOFOLLOW ? 0 : SPOT_FOLLOW), &s);
		if (rc == SESSION_ELSEWHERE)
			reply_elsewhere(r, s.path);
		if ((!rc || rc == -ENOTDIR) && strcmp(s.path, path))
			rc = search_allows(r, s.path) ?: rc;
		if (rc == -EISDIR) /* a link to "a/" */
			rc = refuse_slashed(r, s.path);
		if (!rc)
			rc = open_spot(r, &s, flags);
		memcpy(path, s.path, sizeof path); /* where a link that leads to nothing leads */
		spot_release(&s);
		if (rc != -ENOENT || s.dotted)
			return rc;
		lock_take(&r->k->lock);
		meta_drop(r->k, path);
		lock_drop(&r->k->lock);
	}
	return -ELOOP;
}

/* O_TMPFILE: a staging file without a name. */
static int64_t open_unnamed(struct request *r, int flags)
{
	struct session_attr attr = {.mode = r->head->mode & 07777};
	struct inode *in;
	struct spot s;
	int64_t rc;

	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	rc = request_spot(r, SPOT_FOLLOW, &s);
	if (!rc && s.type != SLIP_DIRECTORY)
		rc = -ENOTDIR;
	if (!rc && !*s.at.path)
		rc = -ENOENT;
	if (!rc)
		rc = attr_allows(r, &s.attr, W_OK | X_OK);
	owner_of_new(r, &attr.uid, &attr.gid);
	attr.ino = hidden_id() | 1ull << 63; /* no file of the server's */
	if (!rc)
		rc = inode_new(r->k, s.path, s.at.mount->index, &attr, 0, &in);
	spot_release(&s);
	if (rc)
		return rc;
	lock_take(&r->k->lock);
	in->state = INODE_DIRTY;
	in->nameless = !(flags & O_EXCL);
	atomic_store(&record_at(r->k->records, in->record)->deleted, 1);
	rc = open_inode_locked(r, in, flags & ~O_EXCL);
	inode_put(r->k, in);
	lock_drop(&r->k->lock);
	return rc;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static int64_t open_request(struct request *r)
{
	int flags = (int)r->head->flags;
	struct spot s;
	int64_t rc;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return open_unnamed(r, flags & ~O_TMPFILE);
	if ((flags & O_CREAT) && (flags & O_DIRECTORY))
		return -EINVAL;
	if ((flags & O_CREAT) && r->head->record < 0)
		return r->head->must_be_dir ? refuse_slashed(r, r->path) : open_creating(r, flags);
	rc = request_spot(r, (flags & O_PATH ? 0 : SPOT_FILE) | (flags & O_NOFOLLOW ? 0 : SPOT_FOLLOW), &s);
	if (!rc)
		rc = open_spot(r, &s, flags);
	spot_release(&s);
	return rc;
}

void caches_empty(struct keeper *k)
{
	lock_take(&k->lock);
	locals_trim(k, 0); /* they may refer to an inode */
	inodes_trim(k, true);
	lock_drop(&k->lock);
}

int64_t request_open(struct request *r)
{
	int64_t rc = open_request(r);

	if (rc != -ENFILE && rc != -EMFILE)
		return rc;
	caches_empty(r->k);
	rc = open_request(r);
	return rc == -EMFILE ? -ENFILE : rc; /* it is not the program that has too many */
}

int64_t request_content(struct request *r)
{
	return open_content(r, (int)r->head->flags & KERNEL_FLAGS & ~(O_ACCMODE | O_TRUNC));
}

struct inode *staged_get(struct keeper *k, int record)
{
	struct session_record *rec = record_at(k->records, record);
	struct inode *in = NULL;

	lock_take(&k->lock);
	if (rec && atomic_load(&rec->kind) == SESSION_STAGED)
		in = k->of_record[record];
	if (in)
		inode_get(in);
	lock_drop(&k->lock);
	return in;
}

int64_t request_closed(struct request *r)
{
	struct inode *in = staged_get(r->k, r->head->record);
	int rc;

	if (!in)
		return 0; /* nobody had it open any more, and it was clean */
	rc = publish_closed(r->k, in);
	inode_release(r->k, in);
	return rc;
}

/* What is written to the file of a record, by whichever descriptor; a reference. NULL: nothing is. */
static struct inode *written_get(struct keeper *k, int record)
{
	struct session_record *rec = record_at(k->records, record);
	struct inode *in = NULL;

	lock_take(&k->lock);
	switch (atomic_load(&rec->kind)) {
	case SESSION_STAGED:
		in = k->of_record[record];
		break;
	case SESSION_RANGE:
		in = range_inode(k, record);
		break;
	case SESSION_LOCAL:
		in = local_inode(k, record);
		break;
	default:
		break;
	}
	if (in)
		inode_get(in);
	lock_drop(&k->lock);
	return in;
}

int64_t request_sync(struct request *r)
{
	struct session_record *rec = record_at(r->k->records, r->head->record);
	struct inode *in;
	int rc;

	if (!rec || atomic_load(&rec->kind) == SESSION_FREE)
		return -EBADF;
	if (!r->k->fsync_publishes)
		return 0;
	if (r->head->flags & SYNC_MOUNT)
		return publish_sync_mount(r->k, rec->mount);
	in = written_get(r->k, r->head->record);
	if (!in)
		return 0;
	rc = publish_sync(r->k, in);
	inode_release(r->k, in);
	return rc;
}

/* Nobody writes it, and the server says so by now: what it said before may be what another session wrote over. */
static bool is_long(struct spot *s, int64_t n)
{
	struct slip_stat st;

	return s->attr.size == n && (!s->inode || s->inode->state == INODE_CLEAN) && *s->at.path &&
	       !s->at.ops->stat(s->at.backend, s->at.path, &st) && st.id == s->st.id && st.complete && st.size == n;
}

/* As a program would: open, cut, close. Where there is nothing to cut, nothing is sent. */
int64_t request_truncate(struct request *r)
{
	int flags = r->head->a ? O_WRONLY : O_WRONLY | O_TRUNC;
	struct inode *in;
	struct spot s;
	bool same;
	int64_t rc;

	if (r->head->a < 0)
		return -EINVAL;
	rc = request_spot(r, SPOT_FOLLOW | SPOT_FILE, &s);
	if (!rc)
		rc = open_allows(r, &s, flags);
	same = !rc && is_long(&s, r->head->a);
	if (same)
		attr_written(r, &s);
	else if (!rc)
		rc = open_spot(r, &s, flags);
	spot_release(&s);
	if (rc || same)
		return rc;
	if (ftruncate(r->fd, r->head->a))
		rc = -errno;
	close(r->fd);
	r->fd = -1;
	in = staged_get(r->k, r->reply->record);
	if (in) {
		int published = publish_closed(r->k, in);

		rc = rc ? rc : published;
		inode_release(r->k, in);
	}
	return rc;
}
