/*
 * upload.c: a file made by the session's open() is still incomplete under its own name: its content follows, then it is
 * completed. Any other gets its content under a hidden name, and takes the place of the old one when that is complete.
 * Of either a part may have been sent already (behind.h): what is no more as it was makes that useless.
 *
 * The content is read under the lease. That it was not broken until the last byte was read makes it one version; so it is
 * asked once more before the step that makes it visible.
 */
#include "client/upload.h"
#include "client/behind.h"
#include "client/keeper.h"
#include "client/log.h"
#include "client/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
	struct keeper *k;
	struct inode *in;
	bool sync;
	int64_t size;
	struct place at;
	char path[PATH_MAX]; /* as programs name it */
	bool reserved;       /* into the file made at open */
	struct backend_writer *writer;
	uint64_t id;
	uint32_t mode;
};

static bool stopped(const struct job *j)
{
	return !j->sync && atomic_load(&j->in->cancel);
}

/* All of n bytes, which were there when the upload began; zeros for what a writer cut off since. */
static int content_read(struct job *j, void *buf, size_t n, int64_t off)
{
	size_t done = 0;

	while (done < n) {
		ssize_t part = pread(j->in->fd, (char *)buf + done, n - done, off + (int64_t)done);

		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return -errno;
		if (!part) {
			if (!j->sync)
				return -ECANCELED;
			memset((char *)buf + done, 0, n - done);
			break;
		}
		done += (size_t)part;
	}
	return stopped(j) ? -ECANCELED : 0;
}

static int refill(void *context, void *buf, size_t n, int64_t off)
{
	return content_read(context, buf, n, off);
}

/* What is left of it. Whatever a block needs again is as it was, from here on. */
static int content_send(struct job *j)
{
	size_t room = j->size < SENT_PART ? (size_t)j->size : SENT_PART;
	char *buf = malloc(room ? room : 1);
	int rc = buf ? j->at.ops->writer_write(j->writer, "", 0, refill, j) : -ENOMEM;

	for (int64_t off = j->in->sent.bytes; off < j->size && !rc; off += (int64_t)room) {
		size_t n = j->size - off < (int64_t)room ? (size_t)(j->size - off) : room;

		rc = content_read(j, buf, n, off);
		if (!rc)
			rc = j->at.ops->writer_write(j->writer, buf, n, refill, j);
	}
	free(buf);
	return rc ? rc : stopped(j) ? -ECANCELED : 0;
}

/* Is what was sent of it what is there now? 0; -ESTALE: no. */
static int content_check(struct job *j)
{
	const struct sent *sent = &j->in->sent;
	char *buf = NULL;
	int rc = sent->failed || j->size < sent->bytes ? -ESTALE : 0;

	if (!rc && sent->bytes) {
		buf = malloc(SENT_PART);
		rc = buf ? 0 : -ENOMEM;
	}
	for (int64_t off = 0; off < sent->bytes && !rc; off += SENT_PART) {
		rc = content_read(j, buf, SENT_PART, off);
		if (!rc && !sent_same(sent, off, buf))
			rc = -ESTALE;
	}
	free(buf);
	return rc;
}

static void writer_drop(struct job *j, bool remove)
{
	j->at.ops->writer_abort(j->writer, remove);
	j->at.ops->writer_free(j->writer);
	j->writer = NULL;
}

/* Take the name; j->path and j->at say what it is now. -ECANCELED: there is none, or somebody writes. */
static int name_hold(struct job *j)
{
	for (;;) {
		bool same;
		int rc;

		lock_take(&j->k->lock);
		snprintf(j->path, sizeof j->path, "%s", j->in->path);
		lock_drop(&j->k->lock);
		names_lock(j->k, j->path, NULL, false);
		lock_take(&j->k->lock);
		same = !strcmp(j->path, j->in->path);
		rc = j->in->linked && !stopped(j) ? 0 : -ECANCELED;
		lock_drop(&j->k->lock);
		if (same && !rc)
			rc = place_find(j->k->client, j->path, &j->at);
		if (same && !rc)
			return 0;
		names_unlock(j->k, j->path, NULL, false);
		if (rc)
			return rc;
	}
}

/* What the file had been told while it was not there yet. Its content is safe by now: a refusal is only logged. */
static void attributes_send(struct job *j, bool mode_too)
{
	char owner[64], group[64];
	bool set_mode, set_owner;
	uint32_t mode;
	int rc = 0;

	lock_take(&j->k->lock);
	set_mode = j->in->set_mode && mode_too;
	set_owner = j->in->set_owner;
	mode = j->in->mode & 0777;
	owner_name(j->k, j->in->uid, owner);
	owner_group(j->k, j->in->gid, group);
	j->in->set_mode = j->in->set_owner = false;
	lock_drop(&j->k->lock);
	if (set_mode || set_owner)
		rc = j->at.ops->set_attribute(j->at.backend, j->at.path, set_mode ? &mode : NULL,
					      set_owner ? owner : NULL, set_owner ? group : NULL);
	if (rc)
		log_warn("attributes of %s: %s", j->path, strerror(-rc));
}

/* With the name held: the server has it. */
static void published(struct job *j)
{
	struct held_value held = {.set = HELD_MTIME | HELD_ATIME | HELD_CTIME};
	struct session_attr attr;
	struct inode *in = j->in;
	struct slip_stat st;

	lock_take(&j->k->lock);
	in->id = j->id;
	in->reserved = in->begun = false;
	in->hidden = 0;
	in->filled_ns = 0; /* in one tick with what fetched it, perhaps */
	inode_attr(in, &attr);
	held.mtime_ns = attr.mtime_ns;
	held.atime_ns = attr.atime_ns;
	held.ctime_ns = attr.ctime_ns;
	if (in->ino != in->id)
		held.set |= HELD_INO;
	held.ino = in->ino;
	if (in->mode & ~0777u)
		held.set |= HELD_MODE;
	held.mode = in->mode & ~0777u;
	held_put(j->k, in->mount, in->id, &held);
	inode_save(j->k, in);
	meta_drop(j->k, in->path);
	in->appeared = j->k->metas.changes;
	inode_stat(j->k, in, &st);
	st.complete = true;
	meta_put(j->k, in->path, 0, &st, j->k->metas.changes);
	lock_drop(&j->k->lock);
}

/* What was made at open, if it is still there, gives way to a replacement. */
static void reserved_leave(struct job *j)
{
	lock_take(&j->k->lock);
	j->in->reserved = j->in->begun = j->reserved = false;
	inode_save(j->k, j->in);
	lock_drop(&j->k->lock);
}

/* Into the file made at open. Its name stays taken while somebody writes on. */
static int upload_reserved(struct job *j)
{
	int rc = content_send(j);

	if (!rc)
		rc = name_hold(j);
	if (rc) {
		writer_drop(j, rc != -ECANCELED);
		reserved_leave(j);
		return rc;
	}
	rc = j->at.ops->writer_complete(j->writer, j->at.path);
	if (rc) {
		writer_drop(j, true);
		reserved_leave(j);
	} else {
		j->at.ops->writer_free(j->writer);
		attributes_send(j, true);
		published(j);
	}
	names_unlock(j->k, j->path, NULL, false);
	return rc;
}

static int replacement_make(struct job *j)
{
	uint64_t hidden = hidden_id();
	char path[PATH_MAX];

	hidden_path(j->at.path, hidden, path);
	lock_take(&j->k->lock);
	j->in->hidden = hidden;
	inode_save(j->k, j->in);
	lock_drop(&j->k->lock);
	return j->at.ops->create(j->at.backend, path, j->mode & 0777, &j->writer, &j->id);
}

/* A replacement that an earlier keeper was at when it died. */
static void leftover_remove(struct job *j, uint64_t hidden)
{
	char path[PATH_MAX];
	int rc;

	hidden_path(j->at.path, hidden, path);
	rc = j->at.ops->remove(j->at.backend, path, false);
	if (rc && rc != -ENOENT)
		log_note("%s stays on the server: %s", path, strerror(-rc));
}

/* Under a hidden name, and then in place of the old one. */
static int upload_replacing(struct job *j)
{
	struct place temporary = j->at;
	bool complete = false;
	int rc = j->writer ? 0 : replacement_make(j);

	if (rc)
		return rc;
	hidden_path(j->at.path, j->in->hidden, temporary.path);
	rc = content_send(j);
	if (!rc)
		rc = j->at.ops->writer_complete(j->writer, temporary.path);
	if (rc) {
		writer_drop(j, true);
		return rc;
	}
	j->at.ops->writer_free(j->writer);
	rc = name_hold(j);
	if (!rc) {
		rc = place_rename(&temporary, &j->at, false);
		complete = !rc;
		if (complete) {
			attributes_send(j, true);
			published(j);
		}
		names_unlock(j->k, j->path, NULL, false);
	}
	if (!complete)
		temporary.ops->remove(temporary.backend, temporary.path, false);
	return rc;
}

/* An attempt that failed while a directory above was renamed says nothing. */
static bool moved(struct job *j, const char *began_as)
{
	bool is;

	lock_take(&j->k->lock);
	is = strcmp(began_as, j->in->path) != 0;
	lock_drop(&j->k->lock);
	return is;
}

/* Where is it to go? No writer: to a replacement. Not 0: what there was is left as it was. */
static int writer_find(struct job *j, bool begun, uint64_t leftover)
{
	int rc = stopped(j) ? -ECANCELED : j->writer ? content_check(j) : -ENOENT;

	if (rc == -ESTALE) {
		log_note("%s is sent anew: it was written again where it had been sent", j->path);
		writer_drop(j, !j->reserved);
		sent_forget(&j->in->sent);
		begun = true;
	} else if (rc != -ENOENT) {
		return rc;
	} else if (leftover) {
		leftover_remove(j, leftover);
	}
	if (j->reserved && (begun || j->at.ops->resume(j->at.backend, j->at.path, j->id, &j->writer))) {
		j->writer = NULL;
		reserved_leave(j);
	}
	return 0;
}

int upload(struct keeper *k, struct inode *in, bool sync)
{
	struct job *j = calloc(1, sizeof *j);
	char began_as[PATH_MAX];
	uint64_t leftover;
	struct stat st;
	bool begun;
	int rc;

	if (!j)
		return -ENOMEM;
	j->k = k;
	j->in = in;
	j->sync = sync;
	lock_take(&k->lock);
	behind_stop(k, in);
	snprintf(j->path, sizeof j->path, "%s", in->path);
	memcpy(began_as, j->path, sizeof began_as);
	j->writer = in->writer;
	in->writer = NULL;
	j->reserved = in->reserved;
	begun = in->begun;
	in->begun = j->reserved;
	inode_save(k, in);
	j->id = in->sent.id ? in->sent.id : in->id;
	j->mode = in->mode;
	leftover = in->hidden;
	rc = fstat(in->fd, &st) ? -errno : 0;
	j->size = st.st_size;
	lock_drop(&k->lock);
	if (!rc)
		rc = place_find(k->client, j->path, &j->at);
	if (!rc)
		rc = writer_find(j, begun, leftover);
	if (rc) {
		lock_take(&k->lock);
		in->writer = j->writer;
		in->begun = begun;
		inode_save(k, in);
		lock_drop(&k->lock);
	} else {
		rc = j->reserved ? upload_reserved(j) : upload_replacing(j);
		sent_forget(&in->sent);
	}
	if (rc && moved(j, began_as))
		rc = -ECANCELED;
	free(j);
	return rc;
}

void upload_forget(struct keeper *k, struct inode *in, bool remove)
{
	struct backend_writer *writer;
	struct place at;

	lock_take(&k->lock);
	behind_stop(k, in);
	writer = in->writer;
	in->writer = NULL;
	remove |= !in->reserved;
	in->reserved = in->begun = false;
	sent_forget(&in->sent);
	lock_drop(&k->lock);
	if (!writer || place_find(k->client, in->path, &at))
		return;
	at.ops->writer_abort(writer, remove);
	at.ops->writer_free(writer);
}
