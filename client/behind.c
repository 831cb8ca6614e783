/*
 * behind.c: sending what is written while it is still being written.
 *
 * One thread for each file that grows, of a few, hands whole parts to the writer of the reserved file, or of a replacement
 * that it makes. Bytes are read while somebody may be writing them, so a block that fails is not replayed here, where other bytes
 * might be read by now: then the file is sent anew when it is closed.
 *
 * Programs that go back (to put a length into a header) send for nothing. Those that can be told before are not begun with:
 * who opened for reading too (databases, linkers, who maps), who leaves holes. The last few parts wait, for who goes back a little.
 */
#include "client/behind.h"
#include "client/keeper.h"
#include "client/log.h"
#include "client/path.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX  4
#define BEGIN_PARTS  8 /* shorter ones are soon sent */
#define LAG_PARTS    4
#define LOOK_MS      50
#define LOOKS_MAX_MS 1600
#define WAIT_MS      20
#define WAITS        50 /* then the thread leaves */

/* ---- what was sent ---------------------------------------------------------------------------------------------- */

static struct sent_hash part_hash(const void *part)
{
	XXH128_hash_t hash = XXH3_128bits(part, SENT_PART);

	return (struct sent_hash){hash.low64, hash.high64};
}

static int sent_add(struct sent *s, struct sent_hash hash)
{
	size_t n = (size_t)(s->bytes / SENT_PART);

	if (n == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		struct sent_hash *more = reallocarray(s->hash, room, sizeof *more);

		if (!more)
			return -ENOMEM;
		s->hash = more;
		s->room = room;
	}
	s->hash[n] = hash;
	s->bytes += SENT_PART;
	return 0;
}

bool sent_same(const struct sent *s, int64_t off, const void *part)
{
	struct sent_hash hash = part_hash(part), *was = &s->hash[off / SENT_PART];

	return hash.low == was->low && hash.high == was->high;
}

void sent_forget(struct sent *s)
{
	free(s->hash);
	*s = (struct sent){0};
}

/* ---- sending ---------------------------------------------------------------------------------------------------- */

struct behind {
	struct keeper *k;
	struct inode *in; /* a reference */
	struct place at;
	char *part;
};

/* Locked. Will there be anything to send? */
static bool goes_on(const struct inode *in)
{
	return !in->sent.stop && !in->sent.failed && in->linked && !in->busy && !in->mappable &&
	       in->state == INODE_DIRTY;
}

static int64_t ahead(const struct inode *in)
{
	struct stat st;

	return fstat(in->fd, &st) ? 0 : st.st_size - in->sent.bytes;
}

/*
 * A part that is written, and whose neighbours are. The kernel looks for a hole as far as there is none, so it is asked once
 * for all of that. The offset of this description is nobody's.
 */
static bool part_there(struct inode *in)
{
	int64_t wanted = (int64_t)SENT_PART * (1 + LAG_PARTS);

	if (ahead(in) < wanted)
		return false;
	if (in->sent.hole < in->sent.bytes + wanted)
		in->sent.hole = lseek(in->fd, in->sent.bytes, SEEK_HOLE);
	return in->sent.hole >= in->sent.bytes + wanted;
}

static int part_read(const struct inode *in, char *part)
{
	for (size_t done = 0; done < SENT_PART;) {
		ssize_t n = pread(in->fd, part + done, SENT_PART - done, in->sent.bytes + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* it was cut */
			return n ? -errno : -ESTALE;
		done += (size_t)n;
	}
	return 0;
}

/* Locked, and let go meanwhile. */
static int part_send(struct behind *b)
{
	struct sent_hash hash;
	int rc;

	lock_drop(&b->k->lock);
	rc = part_read(b->in, b->part);
	if (!rc)
		rc = b->at.ops->writer_write(b->in->writer, b->part, SENT_PART, NULL, NULL);
	if (!rc)
		hash = part_hash(b->part);
	lock_take(&b->k->lock);
	return rc ? rc : sent_add(&b->in->sent, hash);
}

/* Locked, and let go meanwhile. The file's own, or that of a replacement, of which a keeper after us must know. */
static int writer_have(struct behind *b)
{
	struct inode *in = b->in;
	uint64_t hidden = hidden_id(), id = 0;
	struct place temporary = b->at;
	struct backend_writer *writer;
	uint32_t mode = in->mode & 0777;
	int rc;

	if (in->writer)
		return 0;
	in->hidden = hidden;
	inode_save(b->k, in);
	lock_drop(&b->k->lock);
	hidden_path(b->at.path, hidden, temporary.path);
	rc = b->at.ops->create(b->at.backend, temporary.path, mode, &writer, &id);
	lock_take(&b->k->lock);
	if (rc)
		return rc;
	in->writer = writer;
	in->sent.id = id;
	return 0;
}

/* Locked. */
static void pause_locked(struct keeper *k, struct inode *in)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&in->settled, &k->lock.mutex, &until);
}

static int send_all(struct behind *b)
{
	struct inode *in = b->in;
	unsigned waits = 0;
	int rc = writer_have(b);

	while (!rc && goes_on(in) && waits < WAITS) {
		if (!part_there(in)) {
			pause_locked(b->k, in);
			waits++;
			continue;
		}
		rc = part_send(b);
		waits = 0;
	}
	return rc;
}

static void *behind_thread(void *argument)
{
	struct behind *b = argument;
	struct inode *in = b->in;
	struct keeper *k = b->k;
	int rc;

	lock_take(&k->lock);
	rc = send_all(b);
	if (rc) {
		log_note("%s is sent anew when it is closed: %s", in->path, strerror(-rc));
		in->sent.failed = true;
	}
	in->sent.running = false;
	k->publisher.behind--;
	pthread_cond_broadcast(&in->settled);
	inode_put(k, in);
	lock_drop(&k->lock);
	free(b->part);
	free(b);
	return NULL;
}

/* ---- when ------------------------------------------------------------------------------------------------------- */

static void begin(struct keeper *k, struct inode *in)
{
	struct behind *b = calloc(1, sizeof *b);
	pthread_t thread;

	if (b)
		b->part = malloc(SENT_PART);
	if (!b || !b->part || place_find(k->client, in->path, &b->at)) {
		free(b ? b->part : NULL);
		free(b);
		return;
	}
	b->k = k;
	b->in = in;
	inode_get(in);
	in->sent.running = true;
	in->begun = in->reserved;
	inode_save(k, in);
	if (pthread_create(&thread, NULL, behind_thread, b)) {
		in->sent.running = false;
		in->refs--; /* the caller, who has the lock, still uses it */
		free(b->part);
		free(b);
		return;
	}
	pthread_detach(thread);
	k->publisher.behind++;
}

int64_t behind_tick(struct keeper *k, struct inode *in, int64_t now)
{
	int64_t pause;

	if (!in->sent.look_ms || !goes_on(in) || (in->reserved && !in->writer && !in->sent.running))
		return -1;
	if (in->sent.look_ms > now)
		return in->sent.look_ms - now;
	if (!in->sent.running && k->publisher.behind < THREADS_MAX && ahead(in) >= (int64_t)SENT_PART * BEGIN_PARTS)
		begin(k, in);
	pause = (int64_t)LOOK_MS << in->sent.looks;
	if (pause < LOOKS_MAX_MS)
		in->sent.looks++;
	in->sent.look_ms = now + pause;
	return pause;
}

void behind_expect(struct keeper *k, struct inode *in)
{
	if (!k->write_behind)
		return;
	in->sent.look_ms = now_ms() + LOOK_MS;
	if (k->watch_until_ms <= in->sent.look_ms + LOOK_MS) /* it looks then anyway */
		return;
	k->watch_until_ms = in->sent.look_ms;
	watch_wake(k);
}

void behind_stop(struct keeper *k, struct inode *in)
{
	in->sent.stop = true;
	pthread_cond_broadcast(&in->settled);
	while (in->sent.running)
		pthread_cond_wait(&in->settled, &k->lock.mutex);
	in->sent.stop = false;
}
