/*
 * names.c: making, removing and moving names; and who may do so when. Whoever changes a name has it to himself, across the
 * calls to the server; a directory is renamed while nobody changes any.
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
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40

/* ---- serialising ------------------------------------------------------------------------------------------------ */

static unsigned stripe(const char *path)
{
	uint32_t h = 2166136261u;

	while (*path)
		h = (h ^ (unsigned char)*path++) * 16777619u;
	return (h ^ (h >> 15)) % NAME_STRIPES;
}

void names_lock(struct keeper *k, const char *path, const char *path2, bool tree)
{
	unsigned a = stripe(path), b = path2 ? stripe(path2) : a;

	if (LOCK_CHECKED)
		lock_enter(LOCK_TREE);
	if (tree)
		pthread_rwlock_wrlock(&k->tree);
	else
		pthread_rwlock_rdlock(&k->tree);
	lock_take(&k->name[a < b ? a : b]);
	if (a != b)
		lock_take(&k->name[a < b ? b : a]);
}

void names_unlock(struct keeper *k, const char *path, const char *path2, bool tree)
{
	unsigned a = stripe(path), b = path2 ? stripe(path2) : a;

	(void)tree;
	if (a != b)
		lock_drop(&k->name[a < b ? b : a]);
	lock_drop(&k->name[a < b ? a : b]);
	pthread_rwlock_unlock(&k->tree);
	if (LOCK_CHECKED)
		lock_leave(LOCK_TREE);
}

uint64_t hidden_id(void)
{
	uint64_t id;

	while (getrandom(&id, sizeof id, 0) != sizeof id || !id)
		;
	return id;
}

void hidden_path(const char *path, uint64_t id, char out[PATH_MAX])
{
	char parent[PATH_MAX], name[40];

	path_parent(path, parent);
	snprintf(name, sizeof name, HIDDEN_PREFIX "%016llx", (unsigned long long)id);
	if (path_join(out, parent, name))
		out[0] = '\0'; /* too long: the server refuses it */
}

/* Take the names while nobody uploads to them. cancel: what is on its way to the first (1), the second (2) is not wanted. */
static void names_settle(struct keeper *k, const char *path, const char *path2, bool tree, unsigned cancel)
{
	struct inode *in, *held = NULL;

	for (;;) {
		unsigned which = 1;

		names_lock(k, path, path2, tree);
		lock_take(&k->lock);
		if (held) {
			publish_let_go(k, held);
			inode_put(k, held);
			held = NULL;
		}
		in = inode_find(k, path);
		if ((!in || !in->busy) && path2) {
			in = inode_find(k, path2);
			which = 2;
		}
		if (!in || !in->busy) {
			lock_drop(&k->lock);
			return;
		}
		inode_get(in);
		lock_drop(&k->lock);
		names_unlock(k, path, path2, tree);
		lock_take(&k->lock);
		if (cancel & which) {
			publish_hold(in);
			held = in;
		}
		publish_wait(k, in, held);
		if (!held)
			inode_put(k, in);
		lock_drop(&k->lock);
	}
}

/* ---- one name --------------------------------------------------------------------------------------------------- */

typedef int name_act(struct request *, const char *path, const struct place *);

/* Do it; if a symbolic link among the directories is why it fails, do it where that leads. */
static int64_t on_name(struct request *r, name_act *act)
{
	char path[PATH_MAX];
	struct place at;

	memcpy(path, r->path, sizeof path);
	for (int links = 0; links < LINKS_MAX; links++) {
		int walked, rc = place_find(r->k->client, path, &at);

		if (!rc)
			rc = act(r, path, &at);
		if (rc != -ENOENT && rc != -ENOTDIR)
			return rc;
		walked = path_rewalk(r->k, path);
		if (walked == SESSION_ELSEWHERE)
			return reply_elsewhere(r, path);
		if (walked <= 0)
			return walked ? walked : rc;
	}
	return -ELOOP;
}

static void name_changed(struct keeper *k, const char *path)
{
	lock_take(&k->lock);
	meta_drop(k, path);
	lock_drop(&k->lock);
}

/* ... and if that succeeded, was made or removed. */
static void entry_changed(struct keeper *k, const char *path, int rc)
{
	lock_take(&k->lock);
	if (!rc)
		dated_changed(k, path);
	meta_drop(k, path);
	lock_drop(&k->lock);
}

/* The session's user has made it; the server's word on whose it is to be is not the program's failure. */
static void give_away(struct request *r, const char *path, const struct place *at)
{
	char owner[64], group[64];
	uint32_t uid, gid;

	if (!owner_of_new(r, &uid, &gid))
		return;
	owner_name(r->k, uid, owner);
	owner_group(r->k, gid, group);
	if (at->ops->set_attribute(at->backend, at->path, NULL, owner, group))
		log_warn("owner of %s: %s", path, error_noted());
}

/* Of the high bits mkdir(2) takes this one. The protocol has no room for it. */
static void sticky_keep(struct keeper *k, const struct place *at)
{
	const struct held_value held = {.set = HELD_MODE, .mode = S_ISVTX};
	struct slip_stat st;

	if (at->ops->stat(at->backend, at->path, &st))
		return;
	lock_take(&k->lock);
	held_put(k, at->mount->index, st.id, &held);
	lock_drop(&k->lock);
}

int name_claim(struct request *r, const char *path, const struct place *at)
{
	int rc = place_is_root(at) ? -EEXIST : change_allows(r, path, true);
	struct inode *in;

	if (rc)
		return rc;
	names_lock(r->k, path, NULL, false);
	lock_take(&r->k->lock);
	in = inode_find(r->k, path);
	rc = in && in->state != INODE_CLEAN ? -EEXIST : 0;
	lock_drop(&r->k->lock);
	if (rc)
		names_unlock(r->k, path, NULL, false);
	return rc;
}

static int do_mkdir(struct request *r, const char *path, const struct place *at)
{
	int rc = name_claim(r, path, at);

	if (rc)
		return rc;
	rc = at->ops->mkdir(at->backend, at->path, r->head->mode & 0777);
	if (!rc)
		give_away(r, path, at);
	if (!rc && (r->head->mode & S_ISVTX))
		sticky_keep(r->k, at);
	entry_changed(r->k, path, rc);
	names_unlock(r->k, path, NULL, false);
	return rc;
}

int64_t request_mkdir(struct request *r)
{
	return on_name(r, do_mkdir);
}

static int do_symlink(struct request *r, const char *path, const struct place *at)
{
	int rc = name_claim(r, path, at);

	if (rc)
		return rc;
	rc = at->ops->symlink(at->backend, r->path2, at->path);
	if (!rc)
		give_away(r, path, at);
	entry_changed(r->k, path, rc);
	names_unlock(r->k, path, NULL, false);
	return rc;
}

int64_t request_symlink(struct request *r)
{
	return *r->path2 ? on_name(r, do_symlink) : -ENOENT;
}

/* ---- the first name of a file that O_TMPFILE made -------------------------------------------------------------- */

/* With the name claimed, and the file made that is to have the content. */
static int link_unnamed(struct request *r, struct inode *in, const char *path, const struct place *at,
			struct backend_writer *writer, uint64_t id)
{
	struct keeper *k = r->k;
	int rc;

	lock_take(&k->lock);
	rc = in->nameless ? inode_name(k, in, path, writer, id) : -EPERM; /* two at once */
	if (!rc) {
		in->set_owner = in->uid != k->uid || in->gid != k->gid;
		dated_changed(k, path);
		publish_event(k, in);
	}
	lock_drop(&k->lock);
	if (rc) {
		at->ops->writer_abort(writer, true);
		at->ops->writer_free(writer);
	}
	return rc;
}

static int do_link(struct request *r, const char *path, const struct place *at)
{
	struct inode *in = staged_get(r->k, r->head->record);
	struct backend_writer *writer;
	bool linked, nameless;
	uint32_t mode;
	uint64_t id;
	int rc;

	if (!in)
		return -EPERM;
	lock_take(&r->k->lock);
	linked = in->linked;
	nameless = in->nameless;
	mode = in->mode & 0777;
	lock_drop(&r->k->lock);
	rc = linked ? -EPERM : in->mount != at->mount->index ? -EXDEV : name_claim(r, path, at);
	if (!rc) {
		rc = nameless ? at->ops->create(at->backend, at->path, mode, &writer, &id) : -ENOENT;
		if (!rc)
			rc = link_unnamed(r, in, path, at, writer, id);
		names_unlock(r->k, path, NULL, false);
	}
	inode_release(r->k, in);
	return rc;
}

int64_t request_link(struct request *r)
{
	return r->head->must_be_dir ? -ENOENT : on_name(r, do_link);
}

/* ---- removing --------------------------------------------------------------------------------------------------- */

/*
 * With the name held: the file of that name is to go or to give way. Whoever reads it by range keeps it, under a hidden
 * name: then 1, and it is out of the way.
 */
static int name_hide(struct keeper *k, const char *path, const struct place *at)
{
	char hidden[PATH_MAX];
	uint64_t id = hidden_id();
	bool open;
	int rc;

	lock_take(&k->lock);
	open = ranges_named(k, path);
	lock_drop(&k->lock);
	if (!open)
		return 0;
	hidden_path(at->path, id, hidden);
	rc = at->ops->rename(at->backend, at->path, hidden);
	if (rc)
		return rc;
	lock_take(&k->lock);
	ranges_unlinked(k, path, id);
	lock_drop(&k->lock);
	return 1;
}

/* Records that are about path say that it is gone. Under the lock. */
static void records_deleted(struct keeper *k, const char *path)
{
	RECORDS_EACH(k, i, RECORD_NAMED)
	{
		struct session_record *rec = record_at(k->records, i);

		struct session_attr attr = rec->attr;

		if (strcmp(rec->path, path) || atomic_exchange(&rec->deleted, 1))
			continue;
		attr.ctime_ns = coarse_ns();
		record_set_attr(k->records, i, &attr);
	}
}

/* The staged file of that name loses it. remove: what was reserved for it on the server, too. 1: there was one. */
static int inode_drop(struct keeper *k, const char *path, bool remove)
{
	struct inode *in;

	lock_take(&k->lock);
	in = inode_find(k, path);
	if (in) {
		inode_get(in);
		in->ctime_ns = coarse_ns();
		inode_unlink(k, in, true);
		inode_save(k, in);
	}
	meta_drop(k, path);
	records_deleted(k, path);
	lock_drop(&k->lock);
	if (!in)
		return 0;
	upload_forget(k, in, remove);
	lock_take(&k->lock);
	inode_put(k, in);
	lock_drop(&k->lock);
	return 1;
}

static int remove_on_server(struct request *r, const char *path, const struct place *at, bool staged)
{
	int rc = name_hide(r->k, path, at);

	if (rc)
		return rc > 0 ? 0 : rc;
	rc = at->ops->remove(at->backend, at->path, false);
	return rc == -ENOENT && staged ? 0 : rc; /* it was only here */
}

/* What has this very name. -ENOENT too if a link leads there, or out of the mounts: on_name() goes there. */
static int named_find(struct request *r, const char *path, struct spot *s)
{
	int rc = spot_find(r->k, path, 0, s);

	return rc == SESSION_ELSEWHERE || (!rc && strcmp(s->path, path)) ? -ENOENT : rc;
}

/* "a/" cannot be unlinked: why. */
static int refuse_slashed(struct request *r, const char *path)
{
	struct spot s;
	int rc = parent_allows(r, path, X_OK);

	if (rc)
		return rc;
	rc = named_find(r, path, &s);
	if (!rc)
		rc = s.type == SLIP_DIRECTORY ? -EISDIR : -ENOTDIR;
	spot_release(&s);
	return rc;
}

static int do_unlink(struct request *r, const char *path, const struct place *at)
{
	struct spot s;
	bool staged;
	int rc = place_is_root(at)      ? -EISDIR
		 : r->head->must_be_dir ? refuse_slashed(r, path)
					: change_allows(r, path, false);

	if (rc)
		return rc;
	names_settle(r->k, path, NULL, false, 1);
	rc = named_find(r, path, &s);
	staged = s.inode && s.inode->state != INODE_CLEAN;
	if (!rc && s.type == SLIP_DIRECTORY)
		rc = -EISDIR;
	spot_release(&s);
	if (!rc)
		rc = remove_on_server(r, path, at, staged);
	if (!rc)
		inode_drop(r->k, path, false);
	entry_changed(r->k, path, rc);
	names_unlock(r->k, path, NULL, false);
	return rc;
}

int64_t request_unlink(struct request *r)
{
	return on_name(r, do_unlink);
}

static int do_rmdir(struct request *r, const char *path, const struct place *at)
{
	struct spot s;
	int rc = place_is_root(at) ? -EBUSY : change_allows(r, path, false);

	if (rc)
		return rc;
	names_lock(r->k, path, NULL, true); /* nobody may be making a file in it */
	rc = named_find(r, path, &s);
	if (!rc && s.type != SLIP_DIRECTORY)
		rc = -ENOTDIR;
	spot_release(&s);
	lock_take(&r->k->lock);
	inodes_trim(r->k, false);
	for (struct inode *in = r->k->inodes.by_path, *next; !rc && in; in = next) {
		next = in->by_path.next;
		if (in->state != INODE_CLEAN && path_below(in->path, path))
			rc = -ENOTEMPTY;
	}
	lock_drop(&r->k->lock);
	if (!rc)
		rc = at->ops->remove(at->backend, at->path, false);
	lock_take(&r->k->lock);
	meta_drop_below(r->k, path);
	if (!rc) {
		records_deleted(r->k, path);
		dated_changed(r->k, path);
	}
	lock_drop(&r->k->lock);
	names_unlock(r->k, path, NULL, true);
	return rc;
}

int64_t request_rmdir(struct request *r)
{
	return on_name(r, do_rmdir);
}

/* ---- moving ----------------------------------------------------------------------------------------------------- */

struct move {
	struct keeper *k;
	const char *from, *to;
	struct place source, target;
	enum slip_type type;
	uint64_t id;   /* of the source */
	bool staged;   /* the source has content that is only here */
	bool replaces; /* there is a target */
};

/* Everything we know below the old name goes by the new one. Under the lock. */
static void move_below(const struct move *m)
{
	size_t n = strlen(m->from);
	char path[PATH_MAX];
	struct inode *in, *next;

	HASH_ITER(by_path, m->k->inodes.by_path, in, next)
	{
		if (!path_below(in->path, m->from))
			continue;
		if (snprintf(path, sizeof path, "%s%s", m->to, in->path + n) < PATH_MAX)
			inode_rename(m->k, in, path);
	}
	RECORDS_EACH(m->k, i, RECORD_NAMED)
	{
		struct session_record *rec = record_at(m->k->records, i);

		if (atomic_load(&rec->deleted) || !path_below(rec->path, m->from))
			continue;
		if (snprintf(path, sizeof path, "%s%s", m->to, rec->path + n) < PATH_MAX)
			record_set_path(m->k->records, i, path);
	}
	dated_changed(m->k, m->from);
	dated_changed(m->k, m->to);
	dated_move(m->k, m->from, m->to);
	meta_drop_below(m->k, m->from);
	meta_drop_below(m->k, m->to);
}

/* It is changed by that; what is below it is not. Under the lock. */
static void move_stamp(const struct move *m)
{
	const struct held_value held = {.set = HELD_CTIME, .ctime_ns = coarse_ns()};
	struct inode *in = inode_find(m->k, m->to);

	if (m->id)
		held_put(m->k, m->target.mount->index, m->id, &held);
	if (in) {
		in->ctime_ns = held.ctime_ns;
		inode_save(m->k, in);
	}
	RECORDS_EACH(m->k, i, RECORD_KIND(LOCAL) | RECORD_KIND(RANGE))
	{
		struct session_record *rec = record_at(m->k->records, i);
		struct session_attr attr = rec->attr;

		if (atomic_load(&rec->deleted) || strcmp(rec->path, m->to))
			continue;
		attr.ctime_ns = held.ctime_ns;
		record_set_attr(m->k->records, i, &attr);
	}
}

static int move_look(struct request *r, struct move *m)
{
	struct spot s, t;
	int rc = spot_find(m->k, m->from, 0, &s);

	m->type = s.type;
	m->id = s.st.id;
	m->staged = s.inode && s.inode->state != INODE_CLEAN;
	if (!rc && strcmp(s.path, m->from))
		rc = -ENOENT;
	spot_release(&s);
	if (rc)
		return rc;
	if (r->head->must_be_dir && m->type != SLIP_DIRECTORY)
		return -EAGAIN; /* as it was not when rename_rules() looked */
	rc = spot_find(m->k, m->to, 0, &t);
	m->replaces = !rc;
	if (!rc && strcmp(t.path, m->to))
		rc = -ENOENT;
	else if (!rc && (r->head->flags & RENAME_NOREPLACE))
		rc = -EEXIST;
	else if (!rc && path_below(m->from, m->to))
		rc = -ENOTEMPTY;
	else if (!rc && m->type == SLIP_DIRECTORY && t.type != SLIP_DIRECTORY)
		rc = -ENOTDIR;
	else if (!rc && m->type != SLIP_DIRECTORY && t.type == SLIP_DIRECTORY)
		rc = -EISDIR;
	else if (rc == -ENOENT && !strcmp(t.path, m->to) && *t.at.path)
		rc = 0;
	spot_release(&t);
	return rc;
}

/* With the names held, and checked. */
static int move_do(struct move *m, bool noreplace)
{
	int rc = m->replaces ? name_hide(m->k, m->to, &m->target) : 0;

	if (rc >= 0)
		rc = place_rename(&m->source, &m->target, noreplace);
	if (rc == -ENOENT && m->staged)
		rc = 0; /* nothing on the server yet: it is published under the new name */
	if (rc)
		return rc;
	if (m->replaces)
		inode_drop(m->k, m->to, false);
	lock_take(&m->k->lock);
	move_below(m);
	move_stamp(m);
	lock_drop(&m->k->lock);
	return 0;
}

/* 0, or why nothing can be at path; -ENOENT too if a link leads there, which path_rewalk() finds. */
static int parent_look(struct keeper *k, const char *path)
{
	char parent[PATH_MAX];
	struct spot s;
	int rc;

	path_parent(path, parent);
	rc = spot_find(k, parent, 0, &s);
	if (rc == SESSION_ELSEWHERE || (!rc && strcmp(s.path, parent)))
		rc = -ENOENT;
	else if (!rc && s.type != SLIP_DIRECTORY)
		rc = -ENOTDIR;
	spot_release(&s);
	return rc;
}

static bool same_parent(const char *a, const char *b)
{
	size_t n = (size_t)(path_name(a) - a);

	return n == (size_t)(path_name(b) - b) && !memcmp(a, b, n);
}

static bool is_there(struct request *r, const char *path)
{
	struct spot s;
	bool there = !spot_find(r->k, path, 0, &s) && !strcmp(s.path, path);

	spot_release(&s);
	return there;
}

/* What the names themselves rule out, whoever asks. */
static int rename_rules(struct request *r, const char *from, const char *to, bool tree)
{
	bool same = !strcmp(from, to);

	if ((r->head->flags & RENAME_NOREPLACE) && is_there(r, to))
		return -EEXIST;
	if (!same && path_below(to, from))
		return -EINVAL;
	if (r->head->must_be_dir && !tree)
		return -ENOTDIR;
	return !same && path_below(from, to) ? -ENOTEMPTY : 0;
}

static int rename_allows(struct request *r, const char *from, const char *to, const struct session_attr *directory)
{
	int rc = change_allows(r, from, false);

	if (!rc)
		rc = parent_allows(r, to, W_OK | X_OK);
	if (!rc)
		rc = sticky_allows(r, to);
	if (!rc && directory && !same_parent(from, to))
		rc = attr_allows(r, directory, W_OK); /* its ".." changes */
	return rc;
}

static int rename_paths(struct request *r, const char *from, const char *to)
{
	struct move m = {.k = r->k, .from = from, .to = to};
	bool tree;
	struct spot s;
	int rc = place_find(r->k->client, from, &m.source);

	if (!rc)
		rc = place_find(r->k->client, to, &m.target);
	if (!rc && m.source.mount != m.target.mount)
		rc = -EXDEV;
	if (!rc && (place_is_root(&m.source) || place_is_root(&m.target)))
		rc = -EBUSY;
	if (!rc)
		rc = parent_allows(r, from, X_OK);
	if (!rc)
		rc = parent_allows(r, to, X_OK);
	if (rc)
		return rc;
	rc = spot_find(r->k, from, 0, &s);
	tree = !rc && s.type == SLIP_DIRECTORY;
	if (!rc && strcmp(s.path, from))
		rc = -ENOENT; /* a link among the directories: request_rename() goes there */
	if (!rc)
		rc = parent_look(r->k, to); /* likewise */
	if (!rc)
		rc = rename_rules(r, from, to, tree);
	if (!rc && strcmp(from, to))
		rc = rename_allows(r, from, to, tree ? &s.attr : NULL);
	spot_release(&s);
	if (rc || !strcmp(from, to))
		return rc;
	names_settle(r->k, from, to, tree, 2);
	rc = move_look(r, &m);
	if (!rc && m.type == SLIP_DIRECTORY && !tree)
		rc = -EAGAIN; /* became one meanwhile */
	if (!rc)
		rc = move_do(&m, r->head->flags & RENAME_NOREPLACE);
	name_changed(r->k, to);
	name_changed(r->k, from);
	names_unlock(r->k, from, to, tree);
	return rc;
}

int64_t request_rename(struct request *r)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (r->head->flags & ~(uint32_t)RENAME_NOREPLACE)
		return -EINVAL;
	memcpy(from, r->path, sizeof from);
	memcpy(to, r->path2, sizeof to);
	for (int links = 0; links < LINKS_MAX; links++) {
		int walked, rc = rename_paths(r, from, to);
		char *path = from;

		if (rc == -EAGAIN)
			continue;
		if (rc != -ENOENT && rc != -ENOTDIR)
			return rc;
		walked = path_rewalk(r->k, path);
		if (!walked) {
			path = to;
			walked = path_rewalk(r->k, path);
		}
		if (walked == SESSION_ELSEWHERE)
			return reply_elsewhere(r, path);
		if (walked <= 0)
			return walked ? walked : rc;
	}
	return -ELOOP;
}
