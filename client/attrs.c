/*
 * attrs.c: attributes, and what the session tells of itself.
 */
#include "client/keeper.h"
#include "client/log.h"
#include "client/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MODE_HIGH   07000u
#define STATFS_TYPE 0x534c4950u /* "SLIP" */
#define BLOCK       4096

static unsigned follow(const struct request *r)
{
	return r->head->flags & AT_SYMLINK_NOFOLLOW ? 0 : SPOT_FOLLOW;
}

/* So that the next who asks need not. */
static void answer_keep(struct request *r, const struct spot *s, int rc, uint64_t generation)
{
	if (r->head->record < 0 && !r->head->must_be_dir && (!rc || rc == -ENOENT) && !s->inode && s->until_ms &&
	    !strcmp(s->path, r->path))
		record_name(r->k->records, s->path, rc, &s->attr, generation, s->until_ms);
}

int64_t request_stat(struct request *r)
{
	uint64_t generation = records_generation(r->k->records);
	struct spot s;
	int rc = request_spot(r, follow(r), &s);

	if (!rc)
		r->reply->attr = s.attr;
	answer_keep(r, &s, rc, generation);
	spot_release(&s);
	return rc;
}

int64_t request_access(struct request *r)
{
	struct spot s;
	int rc;

	if (r->head->mode & ~(uint32_t)(R_OK | W_OK | X_OK))
		return -EINVAL;
	rc = request_spot(r, follow(r), &s);
	if (!rc)
		rc = attr_allows(r, &s.attr, (int)r->head->mode);
	spot_release(&s);
	return rc;
}

int64_t request_readlink(struct request *r)
{
	char target[PATH_MAX];
	struct spot s;
	int rc = request_spot(r, 0, &s);
	int64_t n;

	if (!rc)
		rc = s.type == SLIP_SYMLINK ? s.at.ops->readlink(s.at.backend, s.at.path, target, sizeof target)
					    : -EINVAL;
	spot_release(&s);
	if (rc < 0)
		return rc;
	n = (int64_t)strnlen(target, sizeof target);
	memcpy(r->out, target, (size_t)n);
	r->reply->bytes = (uint32_t)n;
	return n;
}

int64_t request_statfs(struct request *r)
{
	struct session_statfs fs = {.type = STATFS_TYPE, .bsize = BLOCK};
	int64_t total = 0, used = 0;
	struct spot s;
	int rc = request_spot(r, SPOT_FOLLOW, &s);

	if (!rc)
		rc = s.at.ops->capacity(s.at.backend, &total, &used);
	if (!rc) {
		fs.blocks = (uint64_t)total / BLOCK;
		fs.bfree = used < total ? (uint64_t)(total - used) / BLOCK : 0;
		fs.fsid = mount_dev(s.at.mount->index);
		memcpy(r->out, &fs, sizeof fs);
		r->reply->bytes = sizeof fs;
	}
	spot_release(&s);
	return rc;
}

/* ---- changing --------------------------------------------------------------------------------------------------- */

static bool owns(const struct request *r, const struct session_attr *attr)
{
	return !r->uid || r->uid == attr->uid;
}

static bool record_about(const struct session_record *rec, const struct spot *s)
{
	if (*s->at.path)
		return !atomic_load(&rec->deleted) && !strcmp(rec->path, s->path);
	return atomic_load(&rec->deleted) && rec->attr.ino == s->attr.ino && rec->attr.dev == s->attr.dev;
}

/* Every record that is about this file says so. Under the lock. */
static void records_attr(struct keeper *k, const struct spot *s)
{
	RECORDS_EACH(k, i, RECORD_NAMED)
	if (record_about(record_at(k->records, i), s))
		record_set_attr(k->records, i, &s->attr);
}

/*
 * What was set is set, s->attr.ctime_ns says when: here for a file that is not on the server yet or is known by more than it can
 * hold. Of one that has no name any more, the records know alone.
 */
static void attr_changed(struct request *r, struct spot *s, struct held_value *held)
{
	struct keeper *k = r->k;

	held->set |= HELD_CTIME;
	held->ctime_ns = s->attr.ctime_ns;

	lock_take(&k->lock);
	if (*s->at.path)
		meta_drop(k, s->path);
	if (*s->at.path)
		held_put(k, s->at.mount->index, s->st.id, held);
	if (*s->at.path && s->type == SLIP_DIRECTORY && (held->set & HELD_MTIME))
		dated_put(k, s->path, s->at.mount->index, s->st.id);
	records_attr(k, s);
	lock_drop(&k->lock);
}

/*
 * A staged file: the inode has it. later: the server is told when it is published. It may never be, if nobody writes who has it open to
 * write. So the file that it is to replace is told as well, and that is what true means: the server has something to be told about.
 */
static bool inode_change(struct request *r, struct spot *s, bool mode, bool owner, bool *later)
{
	struct inode *in = s->inode;
	bool now;

	*later = false;
	if (!in)
		return true;
	lock_take(&r->k->lock);
	*later = in->state != INODE_CLEAN;
	now = !*later || !in->reserved;
	in->mode = mode ? s->attr.mode & 07777 : in->mode;
	in->uid = owner ? s->attr.uid : in->uid;
	in->gid = owner ? s->attr.gid : in->gid;
	in->ctime_ns = s->attr.ctime_ns;
	in->set_mode |= mode && *later;
	in->set_owner |= owner && *later;
	inode_save(r->k, in);
	lock_drop(&r->k->lock);
	return now;
}

int64_t request_chmod(struct request *r)
{
	struct held_value held = {.set = HELD_MODE, .mode = r->head->mode & MODE_HIGH};
	uint32_t mode = r->head->mode & 0777;
	struct spot s;
	int rc = request_spot(r, follow(r), &s);

	if (!rc && s.type == SLIP_SYMLINK)
		rc = -EOPNOTSUPP;
	else if (!rc && !owns(r, &s.attr))
		rc = -EPERM;
	if (!rc) {
		uint32_t was = s.attr.mode;
		bool later;

		s.attr.mode = (s.attr.mode & S_IFMT) | (r->head->mode & 07777);
		s.attr.ctime_ns = coarse_ns();
		if (inode_change(r, &s, true, false, &later) && *s.at.path && (was & 0777) != mode)
			rc = s.at.ops->set_attribute(s.at.backend, s.at.path, &mode, NULL, NULL);
		if (rc == -ENOENT && later)
			rc = 0; /* it is only here by now */
		if (!rc)
			attr_changed(r, &s, &held);
	}
	spot_release(&s);
	return rc;
}

static int chown_on_server(struct request *r, struct spot *s)
{
	char owner[64], group[64];

	owner_name(r->k, s->attr.uid, owner);
	owner_group(r->k, s->attr.gid, group);
	return s->at.ops->set_attribute(s->at.backend, s->at.path, NULL, r->head->a < 0 ? NULL : owner,
					r->head->b < 0 ? NULL : group);
}

/* Whoever names an owner or a group has to own it, also if it is whose it is. */
static bool may_chown(const struct request *r, const struct session_attr *attr, uid_t uid, gid_t gid)
{
	if (!r->uid || (r->head->a < 0 && r->head->b < 0))
		return true;
	return owns(r, attr) && uid == attr->uid && (gid == attr->gid || in_group(r, gid));
}

int64_t request_chown(struct request *r)
{
	struct held_value held = {0};
	struct spot s;
	uid_t uid;
	gid_t gid;
	int rc = request_spot(r, follow(r), &s);

	if (rc) {
		spot_release(&s);
		return rc;
	}
	uid = r->head->a < 0 ? s.attr.uid : (uid_t)r->head->a;
	gid = r->head->b < 0 ? s.attr.gid : (gid_t)r->head->b;
	if (!may_chown(r, &s.attr, uid, gid))
		rc = -EPERM;
	if (!rc) {
		bool another = uid != s.attr.uid || gid != s.attr.gid, later;

		s.attr.uid = uid;
		s.attr.gid = gid;
		s.attr.ctime_ns = coarse_ns();
		if (inode_change(r, &s, false, another, &later) && another && *s.at.path)
			rc = chown_on_server(r, &s);
		if (rc == -ENOENT && later)
			rc = 0;
		if (!rc)
			attr_changed(r, &s, &held);
	}
	spot_release(&s);
	return rc;
}

/* ---- times ------------------------------------------------------------------------------------------------------ */

static int64_t time_resolve(struct timespec *t, int64_t now)
{
	if (t->tv_nsec == UTIME_NOW)
		*t = (struct timespec){now / 1000000000, now % 1000000000};
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static bool time_valid(const struct timespec *t)
{
	return t->tv_nsec == UTIME_NOW || t->tv_nsec == UTIME_OMIT || (t->tv_nsec >= 0 && t->tv_nsec < 1000000000);
}

static int may_set_times(struct request *r, const struct spot *s, const struct timespec times[2])
{
	if (owns(r, &s->attr))
		return 0;
	if (times[0].tv_nsec == UTIME_NOW && times[1].tv_nsec == UTIME_NOW)
		return attr_allows(r, &s->attr, W_OK);
	return -EPERM;
}

/* Of a staging file: that changes it, as the kernel says. */
static int staged_times(struct keeper *k, struct spot *s, const struct timespec times[2])
{
	struct session_attr attr;
	int rc;

	lock_take(&k->lock);
	rc = futimens(s->inode->fd, times) ? -errno : 0;
	inode_attr(s->inode, &attr);
	s->attr.ctime_ns = attr.ctime_ns;
	lock_drop(&k->lock);
	return rc;
}

/* The protocol has no times; they are kept as long as the session. */
int64_t request_utimens(struct request *r)
{
	struct held_value held = {0};
	struct timespec times[2], now;
	struct spot s;
	int rc;

	if (r->data_bytes != sizeof times)
		return -EINVAL;
	memcpy(times, r->data, sizeof times);
	if (!time_valid(&times[0]) || !time_valid(&times[1]))
		return -EINVAL;
	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0;
	rc = request_spot(r, follow(r), &s);
	if (!rc)
		rc = may_set_times(r, &s, times);
	if (rc) {
		spot_release(&s);
		return rc;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	s.attr.ctime_ns = coarse_ns();
	if (s.inode)
		rc = staged_times(r->k, &s, times);
	for (int i = 0; i < 2 && !rc; i++) {
		int64_t ns = time_resolve(&times[i], (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);

		if (times[i].tv_nsec == UTIME_OMIT)
			continue;
		held.set |= i ? HELD_MTIME : HELD_ATIME;
		*(i ? &held.mtime_ns : &held.atime_ns) = ns;
		*(i ? &s.attr.mtime_ns : &s.attr.atime_ns) = ns;
	}
	if (!rc)
		attr_changed(r, &s, &held);
	spot_release(&s);
	return rc;
}

void attr_written(struct request *r, struct spot *s)
{
	const struct timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
	struct held_value held = {.set = HELD_MTIME, .mtime_ns = coarse_ns()};
	int rc;

	s->attr.mtime_ns = s->attr.ctime_ns = held.mtime_ns;
	rc = s->inode ? staged_times(r->k, s, now) : 0;
	if (rc)
		log_note("times of %s: %s", s->path, strerror(-rc));
	attr_changed(r, s, &held);
}

/* ---- the session ------------------------------------------------------------------------------------------------ */

int64_t request_hello(struct request *r)
{
	struct session_hello hello = {.version = SESSION_VERSION};

	if (r->head->a != SESSION_VERSION)
		return -EPROTO;
	if (r->k->pages) {
		hello.page_bytes = (uint32_t)page_cache_page_bytes(r->k->pages);
		hello.cache_bytes = page_cache_bytes(r->k->pages);
		r->fd = page_cache_fd(r->k->pages);
		r->fd_lent = true;
	}
	memcpy(r->out, &hello, sizeof hello);
	r->reply->bytes = sizeof hello;
	return 0;
}

int64_t request_name(struct request *r)
{
	struct session_record *rec = record_at(r->k->records, r->head->record);
	int n;

	if (!rec || atomic_load(&rec->kind) == SESSION_FREE)
		return -EBADF;
	lock_take(&r->k->lock);
	n = snprintf(r->out, SESSION_PAYLOAD_MAX, "%s%s", rec->path, atomic_load(&rec->deleted) ? " (deleted)" : "");
	lock_drop(&r->k->lock);
	r->reply->bytes = (uint32_t)n;
	return n;
}

int64_t request_settle(struct request *r)
{
	int failures = publish_settle(r->k, r->out, SESSION_PAYLOAD_MAX);

	r->reply->bytes = (uint32_t)strlen(r->out);
	return failures;
}

/* ---- STATUS: lines of "what value", for people and for `slipstream status` -------------------------------------- */

struct status {
	char *text;
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void status_line(struct status *s, const char *format, ...)
{
	size_t room = SESSION_PAYLOAD_MAX - s->n;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(s->text + s->n, room, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < room)
		s->n += (size_t)n;
}

static uint64_t staged_bytes(struct keeper *k)
{
	struct inode *in, *next;
	uint64_t bytes = 0;
	struct stat st;

	HASH_ITER(by_stage, k->inodes.by_stage, in, next)
	if (!fstat(in->fd, &st))
		bytes += (uint64_t)st.st_blocks * 512;
	return bytes;
}

static void status_place(struct keeper *k, struct status *s)
{
	const struct mount *mount;

	status_line(s, "pid %d\nsession %s\n", (int)getpid(), k->dir);
	for (unsigned i = 0; (mount = mount_at(k->client->mounts, i)); i++)
		status_line(s, "mount %s=%s\n", mount->prefix, mount->url);
	status_line(s, "staging %s\n", stage_dir(k->stage) ? stage_dir(k->stage) : "(memory)");
	status_line(s, "staging used %llu of %llu bytes\n", (unsigned long long)staged_bytes(k),
		    (unsigned long long)k->stage_max);
}

static void status_counts(struct keeper *k, struct status *s)
{
	struct inode *in, *next;
	unsigned dirty = 0, busy = 0;

	HASH_ITER(by_path, k->inodes.by_path, in, next)
	{
		dirty += in->state == INODE_DIRTY;
		busy += in->busy;
	}
	status_line(s, "connections %d\nthreads %d\nrecords %u\nstaged %u\n", atomic_load(&k->connections),
		    atomic_load(&k->threads), records_live(k->records), HASH_CNT(by_stage, k->inodes.by_stage));
	status_line(s, "unpublished %u\nuploading %u\nfailed %u\nlocal %u\npage cache %zu bytes\n", dirty, busy,
		    inodes_failed(k), k->local_count, k->pages ? page_cache_bytes(k->pages) : 0);
}

/* What is not in the cluster yet, or could not be brought there. */
static void status_files(struct keeper *k, struct status *s)
{
	struct inode *in, *next;

	HASH_ITER(by_path, k->inodes.by_path, in, next)
	{
		if (in->state == INODE_FAILED)
			status_line(s, "not published %s: %s\n", in->path, strerror(-in->error));
		else if (in->state == INODE_DIRTY)
			status_line(s, "pending %s (%s)\n", in->path, in->busy ? "being uploaded" : "open for writing");
	}
}

int64_t request_status(struct request *r)
{
	struct status s = {.text = r->out};

	lock_take(&r->k->lock);
	status_place(r->k, &s);
	status_counts(r->k, &s);
	status_files(r->k, &s);
	lock_drop(&r->k->lock);
	r->reply->bytes = (uint32_t)s.n;
	return 0;
}
