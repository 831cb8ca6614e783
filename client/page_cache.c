/*
 * page_cache.c: sets of SESSION_WAYS places; the least recently used one of a set gives way.
 *
 * A place is written with pwritev() the first time. Through our mapping each 4 KiB of it would be a fault, and be cleared
 * first: 0.65 CPU s/GiB instead of 0.3. So a place also has its memory before its page is shown: a reader of a hole on a full
 * tmpfs would get SIGBUS. From then on the mapping is the faster way, by half: a copy, and no look at each 4 KiB.
 */
#include "client/page_cache.h"
#include "client/lock.h"
#include "client/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct place {
	uint64_t used;            /* of the clock; 0: never */
	uint64_t content, number; /* what it is being filled with */
	size_t backed;            /* bytes that have memory; belongs to who fills it */
	bool filling;
};

struct page_cache {
	int fd, read_fd;
	size_t bytes;
	struct session_cache *map; /* ours, writable */
	struct lock lock;          /* LOCK_PAGE_CACHE, guards the rest */
	pthread_cond_t filled;
	uint64_t clock;
	struct place *places;
};

static size_t power_below(size_t n)
{
	size_t p = 1;

	while (p <= n / 2)
		p *= 2;
	return p;
}

static int memory_new(struct page_cache *cache, size_t head)
{
	char name[64];

	cache->fd = memfd_create("slipstream-pages", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (cache->fd < 0 || ftruncate(cache->fd, (off_t)cache->bytes) || fallocate(cache->fd, 0, 0, (off_t)head) ||
	    fcntl(cache->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	snprintf(name, sizeof name, "/proc/thread-self/fd/%d", cache->fd);
	cache->read_fd = open(name, O_RDONLY | O_CLOEXEC);
	if (cache->read_fd < 0)
		return -errno;
	cache->map = mmap(NULL, cache->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cache->fd, 0);
	if (cache->map == MAP_FAILED) {
		cache->map = NULL;
		return -errno;
	}
	return 0;
}

int page_cache_new(size_t page_bytes, size_t max_bytes, struct page_cache **out)
{
	size_t sets = max_bytes / (page_bytes * SESSION_WAYS), head;
	struct page_cache *cache;
	int rc = -ENOMEM;

	if (!sets || (page_bytes & (page_bytes - 1)))
		return -EINVAL;
	sets = power_below(sets);
	cache = calloc(1, sizeof *cache);
	if (!cache)
		return -ENOMEM;
	cache->fd = cache->read_fd = -1;
	lock_init(&cache->lock, LOCK_PAGE_CACHE);
	pthread_cond_init(&cache->filled, NULL);
	head = sizeof *cache->map + sets * SESSION_WAYS * sizeof cache->map->page[0];
	head = (head + 4095) & ~(size_t)4095;
	cache->bytes = head + sets * SESSION_WAYS * page_bytes;
	cache->places = calloc(sets * SESSION_WAYS, sizeof *cache->places);
	if (cache->places)
		rc = memory_new(cache, head);
	if (rc || !cache->map) {
		page_cache_free(cache);
		return rc ? rc : -ENOMEM;
	}
	cache->map->page_bytes = (uint32_t)page_bytes;
	cache->map->sets = (uint32_t)sets;
	cache->map->first_page = head;
	*out = cache;
	return 0;
}

void page_cache_free(struct page_cache *cache)
{
	if (!cache)
		return;
	if (cache->map)
		munmap(cache->map, cache->bytes);
	if (cache->read_fd >= 0)
		close(cache->read_fd);
	if (cache->fd >= 0)
		close(cache->fd);
	pthread_cond_destroy(&cache->filled);
	lock_release(&cache->lock);
	free(cache->places);
	free(cache);
}

int page_cache_fd(const struct page_cache *cache)
{
	return cache->read_fd;
}

size_t page_cache_bytes(const struct page_cache *cache)
{
	return cache->bytes;
}

size_t page_cache_page_bytes(const struct page_cache *cache)
{
	return cache->map->page_bytes;
}

uint64_t page_cache_capacity(const struct page_cache *cache)
{
	return (uint64_t)cache->map->sets * SESSION_WAYS * cache->map->page_bytes;
}

/* Under the lock: the place of a page that is here or on its way; -1. */
static int64_t place_find(struct page_cache *cache, uint64_t content, uint64_t number)
{
	size_t first = (size_t)session_set(cache->map, content, number) * SESSION_WAYS;

	for (size_t i = first; i < first + SESSION_WAYS; i++) {
		const struct place *p = &cache->places[i];

		if (p->used && p->content == content && p->number == number)
			return (int64_t)i;
	}
	return -1;
}

static int64_t place_coldest(struct page_cache *cache, uint64_t content, uint64_t number)
{
	size_t first = (size_t)session_set(cache->map, content, number) * SESSION_WAYS;
	int64_t coldest = -1;

	for (size_t i = first; i < first + SESSION_WAYS; i++)
		if (!cache->places[i].filling && (coldest < 0 || cache->places[i].used < cache->places[coldest].used))
			coldest = (int64_t)i;
	return coldest;
}

static char *place_bytes(struct page_cache *cache, size_t i)
{
	return (char *)cache->map + cache->map->first_page + i * cache->map->page_bytes;
}

size_t page_cache_peek(struct page_cache *cache, uint64_t content, uint64_t number)
{
	size_t bytes = 0;
	int64_t i;

	lock_take(&cache->lock);
	i = place_find(cache, content, number);
	if (i >= 0 && !cache->places[i].filling) {
		bytes = atomic_load(&cache->map->page[i].bytes);
		cache->places[i].used = ++cache->clock;
		atomic_store(&cache->map->page[i].tell, 0);
	}
	lock_drop(&cache->lock);
	return bytes;
}

size_t page_cache_read(struct page_cache *cache, uint64_t content, uint64_t off, void *buf, size_t n)
{
	uint64_t number = off / cache->map->page_bytes, at = off % cache->map->page_bytes;
	size_t first = (size_t)session_set(cache->map, content, number) * SESSION_WAYS;

	for (size_t i = first; i < first + SESSION_WAYS; i++) {
		struct session_page *page = &cache->map->page[i];
		uint32_t gen = atomic_load_explicit(&page->gen, memory_order_acquire), bytes;

		if ((gen & 1) || atomic_load(&page->content) != content || atomic_load(&page->number) != number)
			continue;
		bytes = atomic_load(&page->bytes);
		if (at >= bytes)
			return 0;
		n = bytes - at < n ? bytes - at : n;
		memcpy(buf, place_bytes(cache, i) + at, n);
		__sync_synchronize();
		return gen == atomic_load_explicit(&page->gen, memory_order_relaxed) ? n : 0;
	}
	return 0;
}

static void place_begin(struct page_cache *cache, size_t i, uint64_t content, uint64_t number)
{
	struct session_page *page = &cache->map->page[i];

	cache->places[i].content = content;
	cache->places[i].number = number;
	cache->places[i].filling = true;
	cache->places[i].used = ++cache->clock;
	atomic_store(&page->gen, atomic_load(&page->gen) | 1);
	__sync_synchronize(); /* nobody sees a new byte who has not seen this */
	atomic_store(&page->content, 0);
}

int page_cache_claim(struct page_cache *cache, uint64_t content, uint64_t number, struct page_claim *claim)
{
	int64_t i;
	int rc = 0;

	lock_take(&cache->lock);
	while ((i = place_find(cache, content, number)) >= 0 && cache->places[i].filling)
		pthread_cond_wait(&cache->filled, &cache->lock.mutex);
	if (i >= 0) {
		cache->places[i].used = ++cache->clock;
		rc = 1;
	} else {
		i = place_coldest(cache, content, number);
		if (i < 0)
			rc = -ENOSPC;
		else
			place_begin(cache, (size_t)i, content, number);
	}
	lock_drop(&cache->lock);
	if (!rc)
		claim->index = (uint32_t)i;
	return rc;
}

static void copy_parts(char *to, const struct iovec *parts, unsigned nparts)
{
	for (unsigned i = 0; i < nparts; i++) {
		memcpy(to, parts[i].iov_base, parts[i].iov_len);
		to += parts[i].iov_len;
	}
}

int page_cache_write(struct page_cache *cache, const struct page_claim *claim, size_t at, const struct iovec *parts,
		     unsigned nparts)
{
	struct place *place = &cache->places[claim->index];
	char *to = place_bytes(cache, claim->index) + at;
	size_t end = at;
	ssize_t n;

	for (unsigned i = 0; i < nparts; i++)
		end += parts[i].iov_len;
	if (end <= place->backed) {
		copy_parts(to, parts, nparts);
		return 0;
	}
	do
		n = pwritev(cache->fd, parts, (int)nparts, to - (char *)cache->map);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)(end - at))
		return -ENOSPC; /* nothing else stops a write to memory */
	place->backed = end;
	return 0;
}

void page_cache_filled(struct page_cache *cache, const struct page_claim *claim, uint64_t content, uint64_t number,
		       size_t bytes, bool tell)
{
	struct session_page *page = &cache->map->page[claim->index];
	struct place *place = &cache->places[claim->index];

	lock_take(&cache->lock);
	if (bytes) {
		atomic_store(&page->bytes, (uint32_t)bytes);
		atomic_store(&page->tell, tell);
		atomic_store(&page->number, number);
		atomic_store(&page->content, content);
	} else {
		place->used = place->content = 0;
	}
	place->filling = false;
	atomic_store_explicit(&page->gen, atomic_load(&page->gen) + 1, memory_order_release);
	pthread_cond_broadcast(&cache->filled);
	lock_drop(&cache->lock);
}
