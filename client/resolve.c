/*
 * resolve.c: what a path names. The session's own files come first, then what the server said lately, then the server.
 *
 * The server is asked for the whole path at once. Only when that meets ENOENT or ENOTDIR are its directories looked at one
 * by one: a symbolic link among them is what a server that follows none would answer so for.
 */
#include "client/keeper.h"
#include "client/path.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40

/* ---- one name --------------------------------------------------------------------------------------------------- */

/* Under the lock. */
static void spot_take(struct keeper *k, struct spot *s, struct inode *in)
{
	inode_get(in);
	in->used = ++k->inodes.clock;
	s->inode = in;
	s->type = SLIP_FILE;
	inode_attr(in, &s->attr);
	inode_stat(k, in, &s->st);
}

static int server_ask(struct spot *s, unsigned how)
{
	int rc;

	if (!(how & SPOT_FILE))
		return s->at.ops->stat(s->at.backend, s->at.path, &s->st);
	rc = s->at.ops->lookup(s->at.backend, s->at.path, &s->file);
	if (rc)
		return rc;
	s->has_file = true;
	s->st = s->file.st;
	return 0;
}

/* Locked. The server has spoken (rc 0 or -ENOENT): is what we keep under that name still it? */
static int spot_merge(struct keeper *k, struct spot *s, int rc)
{
	struct inode *in = inode_find(k, s->path);

	if (in && (in->state != INODE_CLEAN || (!rc && in->id == s->st.id))) {
		spot_take(k, s, in);
		return 0;
	}
	if (in && s->changes == k->metas.changes)
		inode_unlink(k, in, false); /* replaced or removed by somebody outside */
	if (rc)
		return rc;
	s->type = s->st.type;
	attr_of_stat(k, s->at.mount->index, &s->st, &s->attr);
	return 0;
}

/* What s->path itself names. */
static int node_find(struct keeper *k, struct spot *s, unsigned how)
{
	struct inode *in;
	int rc;

	spot_release(s);
	s->until_ms = 0;
	rc = place_find(k->client, s->path, &s->at);
	if (rc)
		return rc;
	assert(s->at.mount && s->at.ops);
	lock_take(&k->lock);
	s->changes = k->metas.changes;
	in = inode_find(k, s->path);
	if (in && in->state != INODE_CLEAN) {
		spot_take(k, s, in);
		lock_drop(&k->lock);
		return 0;
	}
	rc = meta_get(k, s->path, &s->st);
	if (rc != -EAGAIN) {
		s->until_ms = meta_until(k, s->path);
		rc = spot_merge(k, s, rc);
		lock_drop(&k->lock);
		return rc;
	}
	lock_drop(&k->lock);
	rc = server_ask(s, how);
	if (rc && rc != -ENOENT)
		return rc;
	lock_take(&k->lock);
	meta_put(k, s->path, rc, rc ? NULL : &s->st, s->changes);
	s->until_ms = meta_until(k, s->path);
	rc = spot_merge(k, s, rc);
	lock_drop(&k->lock);
	return rc;
}

void spot_release(struct spot *s)
{
	struct keeper *k = s->keeper;

	if (s->has_file)
		s->at.ops->release(s->at.backend, &s->file);
	s->has_file = false;
	if (s->inode) {
		lock_take(&k->lock);
		inode_put(k, s->inode);
		lock_drop(&k->lock);
	}
	s->inode = NULL;
}

int spot_file(struct spot *s)
{
	int rc = s->has_file ? 0 : s->at.ops->lookup(s->at.backend, s->at.path, &s->file);

	if (rc)
		return rc;
	s->has_file = true;
	s->st = s->file.st;
	return 0;
}

/* ---- links ------------------------------------------------------------------------------------------------------ */

enum { LEADS = 1, LEADS_SLASH, LEADS_DOT };

/* "name/" has to be a directory, and "name/." one that is there. */
static int link_end(const char *target)
{
	size_t all = strlen(target), n = all;

	while (n > 1 && target[n - 1] == '/')
		n--;
	if (n > 1 && target[n - 1] == '.' && target[n - 2] == '/')
		return LEADS_DOT;
	return n < all ? LEADS_SLASH : LEADS;
}

/* path is a link, followed by rest ("" or "/more"): path becomes where that leads. LEADS...; or SESSION_ELSEWHERE, or -errno. */
static int link_follow(struct keeper *k, const struct place *at, const char *link, const char *rest,
		       char path[PATH_MAX])
{
	char target[PATH_MAX], parent[PATH_MAX], joined[2 * PATH_MAX + 2], below[PATH_MAX], out[PATH_MAX];
	const struct mount *mount;
	int rc = at->ops->readlink(at->backend, at->path, target, sizeof target);

	if (rc < 0)
		return rc;
	path_parent(link, parent);
	mount = strstr(target, "://") ? mount_find(k->client->mounts, target, below) : NULL;
	if (mount)
		rc = snprintf(joined, sizeof joined, "%s%s%s", mount->prefix, below + strlen(mount->root), rest);
	else if (*target == '/')
		rc = snprintf(joined, sizeof joined, "%s%s", target, rest);
	else
		rc = snprintf(joined, sizeof joined, "%s/%s%s", parent, target, rest);
	if (rc >= (int)sizeof joined)
		return -ENAMETOOLONG;
	rc = path_normalise(joined, out);
	if (rc)
		return rc;
	memcpy(path, out, strlen(out) + 1);
	if (!mount_find(k->client->mounts, path, below))
		return SESSION_ELSEWHERE;
	return *rest ? LEADS : link_end(target);
}

/* The directories of path one by one, from the top. As path_rewalk(). */
static int walk(struct keeper *k, const char *prefix, char path[PATH_MAX], struct spot *s)
{
	for (size_t n = strlen(prefix); path[n]; n += 1 + strcspn(path + n + 1, "/")) {
		int rc;

		memcpy(s->path, path, n);
		s->path[n] = '\0';
		rc = node_find(k, s, 0);
		if (rc)
			return rc;
		if (s->type == SLIP_SYMLINK) {
			char rest[PATH_MAX];

			snprintf(rest, sizeof rest, "%s", path + n);
			return link_follow(k, &s->at, s->path, rest, path);
		}
		if (s->type != SLIP_DIRECTORY)
			return -ENOTDIR;
	}
	return 0;
}

int path_rewalk(struct keeper *k, char path[PATH_MAX])
{
	char below[PATH_MAX];
	const struct mount *mount = mount_find(k->client->mounts, path, below);
	struct spot s = {.keeper = k};
	int rc;

	if (!mount)
		return -ENOENT;
	if (!strcmp(path, mount->prefix))
		return -ENOENT; /* the mount itself is not there */
	path_parent(path, s.path);
	rc = node_find(k, &s, 0);
	if (rc || s.type != SLIP_DIRECTORY)
		rc = rc && rc != -ENOENT && rc != -ENOTDIR ? rc : walk(k, mount->prefix, path, &s);
	spot_release(&s);
	return rc;
}

int spot_find(struct keeper *k, const char *path, unsigned how, struct spot *s)
{
	bool must_be_dir = false;

	*s = (struct spot){.keeper = k};
	snprintf(s->path, sizeof s->path, "%s", path);
	for (int links = 0; links <= LINKS_MAX; links++) {
		char link[PATH_MAX];
		int rc = node_find(k, s, how);

		if (rc == -ENOENT || rc == -ENOTDIR) {
			rc = path_rewalk(k, s->path);
			if (!rc)
				return -ENOENT;
		} else if (rc || s->type != SLIP_SYMLINK || !(how & SPOT_FOLLOW)) {
			return !rc && must_be_dir && s->type != SLIP_DIRECTORY ? -ENOTDIR : rc;
		} else {
			memcpy(link, s->path, sizeof link);
			rc = link_follow(k, &s->at, link, "", s->path);
			must_be_dir |= rc >= LEADS_SLASH;
			s->dotted |= rc == LEADS_DOT;
			if (rc == LEADS_SLASH && (how & SPOT_CREATE))
				rc = -EISDIR;
		}
		if (rc < 0) {
			s->at.path[0] = '\0';
			return rc;
		}
	}
	return -ELOOP;
}

/* ---- permission to search ------------------------------------------------------------------------------------------ */

int search_allows(struct request *r, const char *path)
{
	struct spot s = {.keeper = r->k};
	char below[PATH_MAX];
	const struct mount *mount = mount_find(r->k->client->mounts, path, below);
	int rc = 0;

	if (!r->uid || !mount)
		return 0;
	for (size_t n = strlen(mount->prefix); !rc && path[n]; n += 1 + strcspn(path + n + 1, "/")) {
		memcpy(s.path, path, n);
		s.path[n] = '\0';
		if (node_find(r->k, &s, 0) || s.type != SLIP_DIRECTORY)
			break;
		rc = attr_allows(r, &s.attr, X_OK);
	}
	spot_release(&s);
	return rc;
}

/* ---- of a request ----------------------------------------------------------------------------------------------- */

int64_t reply_elsewhere(struct request *r, const char *path)
{
	size_t n = strlen(path);

	memcpy(r->out, path, n + 1);
	r->reply->bytes = (uint32_t)n;
	return SESSION_ELSEWHERE;
}

/* Where it was, but for its name: that is another's, or nobody's. */
static int place_nameless(struct keeper *k, const char *path, struct place *at)
{
	int rc = place_find(k->client, path, at);

	at->path[0] = '\0';
	return rc;
}

/* A file without a name: what its record says is all there is to know. */
static int spot_nameless(struct keeper *k, const struct session_record *rec, const char *path, struct spot *s)
{
	s->attr = rec->attr;
	s->attr.nlink = 0;
	s->attr.size = atomic_load(&rec->kind) == SESSION_RANGE ? atomic_load(&rec->size) : rec->attr.size;
	s->type = S_ISDIR(rec->attr.mode) ? SLIP_DIRECTORY : S_ISLNK(rec->attr.mode) ? SLIP_SYMLINK : SLIP_FILE;
	snprintf(s->path, sizeof s->path, "%s", path);
	return place_nameless(k, path, &s->at);
}

static int record_spot(struct request *r, unsigned how, struct spot *s)
{
	struct keeper *k = r->k;
	struct session_record *rec = record_at(k->records, r->head->record);
	struct inode *in = NULL;
	uint32_t kind = rec ? atomic_load(&rec->kind) : SESSION_FREE;
	char path[PATH_MAX];

	*s = (struct spot){.keeper = k};
	if (kind == SESSION_FREE)
		return -EBADF;
	if (S_ISLNK(rec->attr.mode))
		how &= ~SPOT_FOLLOW;
	lock_take(&k->lock);
	if (kind == SESSION_STAGED)
		in = k->of_record[r->head->record];
	else if (kind == SESSION_RANGE)
		in = range_inode(k, r->head->record);
	else if (kind == SESSION_LOCAL)
		in = local_inode(k, r->head->record);
	snprintf(path, sizeof path, "%s", in ? in->path : rec->path);
	if (in) {
		snprintf(s->path, sizeof s->path, "%s", in->path);
		spot_take(k, s, in);
		s->attr.nlink = in->linked;
	}
	lock_drop(&k->lock);
	if (in)
		return s->attr.nlink ? place_find(k->client, s->path, &s->at) : place_nameless(k, s->path, &s->at);
	if (atomic_load(&rec->deleted))
		return spot_nameless(k, rec, path, s);
	return spot_find(k, path, how, s);
}

int request_spot(struct request *r, unsigned how, struct spot *s)
{
	int rc;

	if (r->head->record >= 0)
		return record_spot(r, how, s);
	*s = (struct spot){.keeper = r->k};
	rc = search_allows(r, r->path);
	if (rc)
		return rc;
	rc = spot_find(r->k, r->path, how, s);
	if (!rc && r->head->must_be_dir && s->type == SLIP_SYMLINK) { /* "link/" is what it leads to */
		spot_release(s);
		rc = spot_find(r->k, r->path, how | SPOT_FOLLOW, s);
	}
	if (rc == SESSION_ELSEWHERE)
		reply_elsewhere(r, s->path);
	if (!rc && r->head->must_be_dir && s->type != SLIP_DIRECTORY)
		rc = -ENOTDIR;
	if ((!rc || rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP) && strcmp(s->path, r->path)) {
		int denied = search_allows(r, s->path);

		rc = denied ? denied : rc;
	}
	return rc;
}

bool in_group(const struct request *r, gid_t gid)
{
	bool in = r->gid == gid;

	for (size_t i = 0; i < r->group_count && !in; i++)
		in = r->groups[i] == gid;
	return in;
}

int attr_allows(const struct request *r, const struct session_attr *attr, int want)
{
	unsigned shift = r->uid == attr->uid ? 6 : in_group(r, attr->gid) ? 3 : 0;

	if (!r->uid) /* root may do all but run what nobody may */
		return (want & X_OK) && S_ISREG(attr->mode) && !(attr->mode & 0111) ? -EACCES : 0;
	return ((attr->mode >> shift) & (unsigned)want) == (unsigned)want ? 0 : -EACCES;
}

int parent_find(struct request *r, const char *path, int want)
{
	char parent[PATH_MAX];
	struct spot s;
	int rc;

	path_parent(path, parent);
	rc = search_allows(r, parent);
	if (rc)
		return rc;
	rc = spot_find(r->k, parent, SPOT_FOLLOW, &s);
	if (!rc && strcmp(s.path, parent))
		rc = search_allows(r, s.path);
	if (!rc)
		rc = s.type == SLIP_DIRECTORY ? attr_allows(r, &s.attr, want) : -ENOTDIR;
	spot_release(&s);
	return rc == SESSION_ELSEWHERE ? 0 : rc; /* the call itself will meet it */
}

int parent_allows(struct request *r, const char *path, int want)
{
	return r->uid ? parent_find(r, path, want) : 0;
}

int sticky_allows(struct request *r, const char *path)
{
	char parent[PATH_MAX];
	struct spot s;
	bool others;

	if (!r->uid)
		return 0;
	path_parent(path, parent);
	others = !spot_find(r->k, parent, SPOT_FOLLOW, &s) && (s.attr.mode & S_ISVTX) && s.attr.uid != r->uid;
	spot_release(&s);
	if (!others)
		return 0;
	others = !spot_find(r->k, path, 0, &s) && s.attr.uid != r->uid;
	spot_release(&s);
	return others ? -EPERM : 0;
}

int change_allows(struct request *r, const char *path, bool makes)
{
	int rc = parent_allows(r, path, W_OK | X_OK), found;
	struct spot s;

	if (!rc && !makes)
		return sticky_allows(r, path);
	if (rc != -EACCES || parent_allows(r, path, X_OK))
		return rc;
	found = spot_find(r->k, path, 0, &s);
	spot_release(&s);
	if (makes && !found)
		return -EEXIST;
	return !makes && found == -ENOENT ? found : rc;
}
