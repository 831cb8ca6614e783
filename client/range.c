/*
 * range.c: RANGE descriptions: bytes by range, through the page cache.
 *
 * Each has two ways to its bytes: a positioned reader, serialised, for whoever needs a page now; and once reading has gone
 * from one page to the next, a thread with a sequential reader that keeps the next pages coming. It leaves when nobody
 * reads on for a while. Programs find those pages without asking us; so that we hear how far they are before they have read
 * them all, every few pages one is marked: who reads on into it asks for it all the same.
 *
 * What could not stay in the cache and is read in sequence goes through a few places of it (SESSION_STREAM): copies into
 * memory that is there cost half of copies into new one, and what else is in the cache stays. Each description has places of
 * its own, or two readers would take the pages from each other.
 */
#include "client/keeper.h"
#include "client/log.h"
#include "client/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INLINE_READ  1u /* request.flags of READ: send the bytes */
#define AHEAD_PAGES  16u
#define AHEAD_STREAM 8u /* the page that is being read has to be among SESSION_STREAM's still */
#define AHEAD_TELL   4u /* one in so many pages is marked */
#define AHEAD_IDLE_S 2
#define STREAM_AFTER 8u /* pages in sequence */

struct range {
	struct keeper *k;
	_Atomic unsigned refs;
	int record;
	uint64_t slot;
	struct place at;
	struct backend_file file; /* ours */
	uint64_t content;         /* even */
	_Atomic uint64_t key;     /* in the page cache, the record's too: content, or stream_key() while streamed */
	int64_t size;
	char hidden[PATH_MAX]; /* within the backend: to be removed at the end; "": nothing */
	struct inode *inode;   /* LOCK_INODE: its path was opened for writing since: a reference */

	struct lock lock; /* LOCK_RANGE, guards the positioned reader and its use */
	struct backend_reader *positioned;

	struct lock ahead_lock; /* LOCK_RANGE, guards the rest; never held across a read */
	pthread_cond_t ahead_changed;
	bool ahead_runs, ahead_ends;
	uint64_t expected; /* page after the last one asked for */
	unsigned streak;
	uint64_t ahead_next, ahead_limit;  /* pages the thread fetches: [next, limit) */
	struct backend_reader *sequential; /* the thread's */
};

/* The mount stands in it as it is: whatever a cluster says of a file, it gives no other cluster's file its bytes. */
static uint64_t content_key(const struct spot *s)
{
	const uint64_t parts[] = {s->st.id, (uint64_t)s->st.mtime_ms, (uint64_t)s->st.size};
	uint64_t key = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		key = (key ^ parts[i]) * 0x9e3779b97f4a7c15u;
		key ^= key >> 29;
	}
	return (key >> 8 | (uint64_t)(s->at.mount->index + 1) << 56) & ~(uint64_t)SESSION_STREAM;
}

static uint64_t stream_key(uint64_t content, int record)
{
	return (content ^ (uint64_t)(record + 1) << 32) | SESSION_STREAM;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static struct range *range_new(struct keeper *k, struct spot *s)
{
	struct range *g = calloc(1, sizeof *g);
	pthread_condattr_t attr;

	if (!g)
		return NULL;
	lock_init(&g->lock, LOCK_RANGE);
	lock_init(&g->ahead_lock, LOCK_RANGE);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->ahead_changed, &attr);
	pthread_condattr_destroy(&attr);
	g->k = k;
	g->refs = 1;
	g->at = s->at;
	g->file = s->file;
	s->has_file = false;
	g->content = content_key(s);
	g->key = g->content;
	g->size = s->st.size;
	return g;
}

static void range_free(struct range *g)
{
	int rc;

	if (g->positioned)
		g->at.ops->reader_close(g->positioned);
	if (g->sequential)
		g->at.ops->reader_close(g->sequential);
	g->at.ops->release(g->at.backend, &g->file);
	if (*g->hidden) {
		rc = g->at.ops->remove(g->at.backend, g->hidden, false);
		if (rc && rc != -ENOENT)
			log_note("%s stays on the server: %s", g->hidden, strerror(-rc));
	}
	pthread_cond_destroy(&g->ahead_changed);
	lock_release(&g->ahead_lock);
	lock_release(&g->lock);
	free(g);
}

static void *range_free_thread(void *argument)
{
	range_free(argument);
	return NULL;
}

/* Closing readers and removing files may wait for the network; whoever puts does not. */
static void range_put(struct range *g)
{
	pthread_t thread;

	if (atomic_fetch_sub(&g->refs, 1) != 1)
		return;
	if (!g->positioned && !g->sequential && !*g->hidden)
		range_free(g);
	else if (pthread_create(&thread, NULL, range_free_thread, g))
		range_free(g);
	else
		pthread_detach(thread);
}

/* Under the lock: its readers see the inode's content from now on. */
static void range_override(struct keeper *k, int record, struct inode *in)
{
	struct range *g = k->of_record[record];

	atomic_store(&record_at(k->records, record)->content, 0);
	if (g && !g->inode) {
		inode_get(in);
		g->inode = in;
	}
}

int range_open(struct keeper *k, struct spot *s, int flags, int *record)
{
	struct record_identity identity = {.kind = SESSION_RANGE, .mount = s->at.mount->index};
	struct record_private private = {.file_id = s->st.id};
	struct range *g = range_new(k, s);
	struct session_record *rec;
	struct inode *in;
	struct stat st;
	int fd;

	if (!g)
		return -ENOMEM;
	fd = slot_open(k, &g->slot, &st);
	if (fd < 0) {
		range_put(g);
		return fd;
	}
	identity.dev = st.st_dev;
	identity.ino = st.st_ino;
	private.place = g->slot;
	*record = g->record = record_new(k->records, &identity, &s->attr, s->path, &private);
	if (*record < 0) { /* the slot comes back when its close is seen, by the name it has not got a record for */
		close(fd);
		slot_drop(k, g->slot);
		range_put(g);
		return *record;
	}
	rec = record_at(k->records, *record);
	atomic_store(&rec->content, g->content);
	atomic_store(&rec->status, (uint32_t)flags & (O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME | O_SYNC));
	lock_take(&k->lock);
	k->of_record[*record] = g;
	in = inode_find(k, s->path);
	if (in && in->state != INODE_CLEAN) /* opened for writing since we looked */
		range_override(k, *record, in);
	lock_drop(&k->lock);
	return fd;
}

void range_close(struct keeper *k, int record)
{
	struct range *g;

	lock_take(&k->lock);
	g = k->of_record[record];
	if (g) { /* before the record can be another's */
		lock_take(&g->ahead_lock);
		g->ahead_ends = true;
		pthread_cond_broadcast(&g->ahead_changed);
		lock_drop(&g->ahead_lock);
	}
	k->of_record[record] = NULL;
	record_free(k->records, record);
	if (g && g->inode)
		inode_put(k, g->inode);
	lock_drop(&k->lock);
	if (g)
		range_put(g);
}

/* ---- what happens to the name ----------------------------------------------------------------------------------- */

static bool range_of(struct keeper *k, int i, const char *path)
{
	struct session_record *rec = record_at(k->records, i);

	return atomic_load(&rec->kind) == SESSION_RANGE && !atomic_load(&rec->deleted) && !strcmp(rec->path, path);
}

void ranges_overridden(struct keeper *k, struct inode *in)
{
	if (!in->linked)
		return;
	RECORDS_EACH(k, i, RECORD_KIND(RANGE))
	if (range_of(k, i, in->path))
		range_override(k, i, in);
}

struct inode *range_inode(struct keeper *k, int record)
{
	struct range *g = k->of_record[record];

	return g ? g->inode : NULL;
}

bool ranges_named(struct keeper *k, const char *path)
{
	RECORDS_EACH(k, i, RECORD_KIND(RANGE))
	if (range_of(k, i, path) && !(k->of_record[i] && ((struct range *)k->of_record[i])->inode))
		return true;
	return false;
}

void ranges_unlinked(struct keeper *k, const char *path, uint64_t hidden)
{
	bool first = true;

	RECORDS_EACH(k, i, RECORD_KIND(RANGE))
	{
		struct range *g = k->of_record[i];
		struct record_private private;

		if (!range_of(k, i, path))
			continue;
		private = record_private(k->records, i);
		private.hidden = hidden;
		record_set_private(k->records, i, &private);
		atomic_store(&record_at(k->records, i)->deleted, 1);
		if (g && hidden) {
			char name[PATH_MAX];

			hidden_path(g->at.path, hidden, name);
			memcpy(g->at.path, name, sizeof name);
			if (first) /* the last of several would be right; the worker keeps a block that is being read */
				memcpy(g->hidden, name, sizeof name);
			first = false;
		}
	}
}

/* The file that a record is about, as the server has it now: under its name, or the hidden one. */
static int record_lookup(struct keeper *k, int record, struct spot *s)
{
	struct session_record *rec = record_at(k->records, record);
	struct record_private private = record_private(k->records, record);
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof path, "%s", rec->path);
	if (!atomic_load(&rec->deleted)) {
		rc = spot_find(k, path, SPOT_FILE, s);
	} else if (!private.hidden) {
		*s = (struct spot){.keeper = k};
		return -ESTALE;
	} else {
		*s = (struct spot){.keeper = k};
		hidden_path(path, private.hidden, s->path);
		rc = place_find(k->client, s->path, &s->at);
	}
	if (!rc && !s->inode)
		rc = spot_file(s);
	s->attr = rec->attr;
	return rc;
}

/* After a restart: the reader of a record that an earlier keeper made. */
static int range_adopt(struct keeper *k, int record, struct range **out)
{
	struct session_record *rec = record_at(k->records, record);
	uint64_t key = atomic_load(&rec->content);
	struct range *g;
	struct spot s;
	int rc = record_lookup(k, record, &s);

	if (!rc && !s.inode && key && key != content_key(&s) && key != stream_key(content_key(&s), record))
		rc = -ESTALE; /* another file has that name now */
	if (!rc && s.inode)
		rc = s.at.ops->lookup(s.at.backend, s.at.path, &s.file);
	if (!rc)
		s.has_file = true;
	g = rc ? NULL : range_new(k, &s);
	if (g) {
		g->record = record;
		if (key)
			g->key = key;
		g->slot = record_private(k->records, record).place;
		if (record_private(k->records, record).hidden)
			snprintf(g->hidden, sizeof g->hidden, "%s", s.at.path);
		lock_take(&k->lock);
		if (s.inode && !key) {
			inode_get(s.inode);
			g->inode = s.inode;
		}
		if (k->of_record[record]) { /* two at once */
			struct range *other = k->of_record[record];

			if (g->inode)
				inode_put(k, g->inode);
			*g->hidden = '\0';
			range_put(g);
			g = other;
		} else {
			k->of_record[record] = g;
		}
		atomic_fetch_add(&g->refs, 1);
		lock_drop(&k->lock);
		*out = g;
	}
	spot_release(&s);
	return rc ? rc : g ? 0 : -ENOMEM;
}

/* The range of a record, a reference; or, if it was overridden, the inode that has the bytes now. */
static int range_get(struct keeper *k, int record, struct range **out, struct inode **in)
{
	struct session_record *rec = record_at(k->records, record);
	struct range *g;

	*in = NULL;
	if (!rec || atomic_load(&rec->kind) != SESSION_RANGE)
		return -EBADF;
	lock_take(&k->lock);
	g = atomic_load(&rec->kind) == SESSION_RANGE ? k->of_record[record] : NULL;
	if (g)
		atomic_fetch_add(&g->refs, 1);
	lock_drop(&k->lock);
	if (!g) {
		int rc = range_adopt(k, record, &g);

		if (rc)
			return rc == -ESTALE || rc == -ENOENT ? -EIO : rc;
	}
	lock_take(&k->lock);
	*in = g->inode;
	if (*in)
		inode_get(*in);
	lock_drop(&k->lock);
	*out = g;
	return 0;
}

int range_spot(struct keeper *k, int record, struct spot *s)
{
	struct range *g;
	struct inode *in;
	int rc = range_get(k, record, &g, &in);

	*s = (struct spot){.keeper = k};
	if (rc)
		return rc;
	if (in) {
		s->inode = in;
	} else {
		rc = record_lookup(k, record, s);
		if (!rc && !s->inode && content_key(s) != g->content)
			rc = -EIO;
		s->type = SLIP_FILE;
	}
	range_put(g);
	return rc;
}

/* ---- reading ahead ---------------------------------------------------------------------------------------------- */

static uint64_t range_pages(const struct range *g)
{
	uint64_t page = page_cache_page_bytes(g->k->pages);

	return ((uint64_t)g->size + page - 1) / page;
}

/* All bytes of a page; how many, or -errno. A file that ends before its size is a broken one. */
static ssize_t page_read(struct range *g, struct backend_reader *reader, uint64_t number,
			 const struct page_claim *claim, bool sequential)
{
	size_t page = page_cache_page_bytes(g->k->pages), done = 0;
	int64_t off = (int64_t)(number * page);
	size_t want = g->size - off < (int64_t)page ? (size_t)(g->size - off) : page;
	struct iovec parts[BACKEND_PARTS];
	unsigned nparts;

	while (done < want) {
		ssize_t n =
			g->at.ops->reader_lend(reader, parts, &nparts, want - done, off + (int64_t)done, sequential);
		int rc;

		if (n <= 0)
			return n < 0 ? n : -EIO;
		rc = page_cache_write(g->k->pages, claim, done, parts, nparts);
		if (rc)
			return rc;
		done += (size_t)n;
	}
	g->at.ops->reader_lend(reader, parts, &nparts, 0, 0, sequential);
	return (ssize_t)done;
}

static int page_fill(struct range *g, struct backend_reader **reader, uint64_t key, uint64_t number,
		     const struct page_claim *claim, bool sequential)
{
	bool tell = sequential && number % AHEAD_TELL == 0;
	ssize_t n = 0;

	if (!*reader)
		n = g->at.ops->reader_open(g->at.backend, &g->file, reader);
	if (!n)
		n = page_read(g, *reader, number, claim, sequential);
	page_cache_filled(g->k->pages, claim, key, number, n > 0 ? (size_t)n : 0, tell);
	return n < 0 ? (int)n : 0;
}

/* Under ahead_lock: wait for more to do; false: there will not be. */
static bool ahead_wait(struct range *g)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += AHEAD_IDLE_S;
	while (g->ahead_next >= g->ahead_limit && !g->ahead_ends && !rc)
		rc = pthread_cond_timedwait(&g->ahead_changed, &g->ahead_lock.mutex, &until);
	return !g->ahead_ends && g->ahead_next < g->ahead_limit;
}

static void *ahead_thread(void *argument)
{
	struct range *g = argument;
	int rc = 0;

	lock_take(&g->ahead_lock);
	while (!rc && ahead_wait(g)) {
		struct page_claim claim;
		uint64_t number = g->ahead_next, key = g->key;

		lock_drop(&g->ahead_lock);
		rc = page_cache_claim(g->k->pages, key, number, &claim);
		if (!rc)
			rc = page_fill(g, &g->sequential, key, number, &claim, true);
		else if (rc > 0)
			rc = 0;
		lock_take(&g->ahead_lock);
		if (g->ahead_next == number && g->key == key)
			g->ahead_next++;
		pthread_cond_broadcast(&g->ahead_changed);
	}
	g->ahead_runs = false;
	pthread_cond_broadcast(&g->ahead_changed);
	lock_drop(&g->ahead_lock);
	range_put(g);
	return NULL;
}

/* Under ahead_lock. */
static void ahead_start(struct range *g)
{
	pthread_t thread;

	if (g->ahead_runs || g->ahead_ends || g->ahead_next >= g->ahead_limit)
		return;
	atomic_fetch_add(&g->refs, 1);
	if (pthread_create(&thread, NULL, ahead_thread, g)) {
		atomic_fetch_sub(&g->refs, 1);
		return;
	}
	pthread_detach(thread);
	g->ahead_runs = true;
}

/* Does reading go on where it was? Pages between that are here were read without asking. Under ahead_lock. */
static bool goes_on(struct range *g, uint64_t number)
{
	if (number < g->expected || number - g->expected > AHEAD_PAGES)
		return false;
	for (uint64_t i = g->expected; i < number; i++)
		if (!page_cache_peek(g->k->pages, g->key, i))
			return false;
	return true;
}

/* Under ahead_lock. A record that was overridden meanwhile stays so. */
static void range_rekey(struct range *g, uint64_t key)
{
	uint64_t was = g->key;

	if (g->ahead_ends || was == key)
		return;
	g->key = key;
	g->ahead_next = g->ahead_limit = 0;
	atomic_compare_exchange_strong(&record_at(g->k->records, g->record)->content, &was, key);
}

static uint64_t ahead_window(const struct range *g)
{
	if (g->streak < STREAM_AFTER)
		return g->streak;
	return g->key & SESSION_STREAM ? AHEAD_STREAM : AHEAD_PAGES;
}

/* A page was asked for: how far ahead should we be? The window grows as reading goes on. */
static void ahead_note(struct range *g, uint64_t number)
{
	uint64_t limit;

	lock_take(&g->ahead_lock);
	if (goes_on(g, number)) {
		g->streak += (unsigned)(number + 1 - g->expected);
		g->expected = number + 1;
	} else if (number + 1 != g->expected) {
		g->streak = 0;
		g->expected = number + 1;
		g->ahead_limit = g->ahead_next = 0;
		range_rekey(g, g->content);
	}
	if (g->streak >= STREAM_AFTER && (uint64_t)g->size >= page_cache_capacity(g->k->pages))
		range_rekey(g, stream_key(g->content, g->record));
	if (g->streak >= 2) {
		limit = number + 1 + ahead_window(g);
		if (limit > range_pages(g))
			limit = range_pages(g);
		if (g->ahead_next <= number)
			g->ahead_next = number + 1;
		if (limit > g->ahead_limit)
			g->ahead_limit = limit;
		ahead_start(g);
		pthread_cond_broadcast(&g->ahead_changed);
	}
	lock_drop(&g->ahead_lock);
}

/* If the thread is about to bring it, wait for that. */
static void ahead_await(struct range *g, uint64_t number)
{
	lock_take(&g->ahead_lock);
	while (g->ahead_runs && !g->ahead_ends && g->ahead_next <= number && number < g->ahead_limit)
		pthread_cond_wait(&g->ahead_changed, &g->ahead_lock.mutex);
	lock_drop(&g->ahead_lock);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* Bytes of the page that are in the cache now, or -errno. */
static ssize_t range_page(struct range *g, uint64_t number)
{
	struct page_cache *pages = g->k->pages;
	struct page_claim claim;
	uint64_t key = g->key;
	size_t have;
	int rc;

	have = page_cache_peek(pages, key, number);
	if (!have) {
		ahead_await(g, number);
		have = page_cache_peek(pages, key, number);
	}
	ahead_note(g, number);
	if (have)
		return (ssize_t)have;
	key = g->key;
	rc = page_cache_claim(pages, key, number, &claim);
	if (rc < 0)
		return rc;
	if (!rc) {
		lock_take(&g->lock);
		rc = page_fill(g, &g->positioned, key, number, &claim, false);
		lock_drop(&g->lock);
		if (rc)
			return rc;
	}
	have = page_cache_peek(pages, key, number);
	return have ? (ssize_t)have : -ENOSPC; /* evicted at once */
}

static int64_t read_inline(struct request *r, struct range *g, size_t n, int64_t off)
{
	ssize_t got = 0;

	if (n > SESSION_PAYLOAD_MAX)
		n = SESSION_PAYLOAD_MAX;
	if (g->k->pages)
		got = (ssize_t)page_cache_read(g->k->pages, g->key, (uint64_t)off, r->out, n);
	if (!got) {
		lock_take(&g->lock);
		if (!g->positioned)
			got = g->at.ops->reader_open(g->at.backend, &g->file, &g->positioned);
		if (!got)
			got = g->at.ops->reader_read(g->positioned, r->out, n, off, false);
		lock_drop(&g->lock);
		if (!got)
			return -EIO; /* before its end */
	}
	if (got < 0)
		return got;
	r->reply->flags |= REPLY_INLINE;
	r->reply->bytes = (uint32_t)got;
	return got;
}

static int64_t read_inode(struct request *r, struct inode *in, size_t n, int64_t off)
{
	ssize_t got;

	if (n > SESSION_PAYLOAD_MAX)
		n = SESSION_PAYLOAD_MAX;
	do
		got = pread(in->fd, r->out, n, off);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	r->reply->flags |= REPLY_INLINE;
	r->reply->bytes = (uint32_t)got;
	return got;
}

static int64_t range_read(struct request *r, struct range *g, size_t n, int64_t off)
{
	size_t page = g->k->pages ? page_cache_page_bytes(g->k->pages) : 0;
	ssize_t have;

	if (off >= g->size)
		return 0;
	if (n > (uint64_t)(g->size - off))
		n = (size_t)(g->size - off);
	if (!page || (r->head->flags & INLINE_READ))
		return read_inline(r, g, n, off);
	have = range_page(g, (uint64_t)off / page);
	if (have == -ENOSPC)
		return read_inline(r, g, n, off);
	return have < 0 ? have : have - (int64_t)((uint64_t)off % page);
}

int64_t request_read(struct request *r)
{
	struct range *g;
	struct inode *in;
	int64_t rc;

	if (r->head->a < 0 || r->head->b < 0)
		return -EINVAL;
	rc = range_get(r->k, r->head->record, &g, &in);
	if (rc)
		return rc;
	if (in) {
		rc = read_inode(r, in, (size_t)r->head->b, r->head->a);
		lock_take(&r->k->lock);
		inode_put(r->k, in);
		lock_drop(&r->k->lock);
	} else {
		rc = range_read(r, g, (size_t)r->head->b, r->head->a);
	}
	range_put(g);
	return rc;
}
