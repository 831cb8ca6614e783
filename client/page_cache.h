/*
 * page_cache.h: pages already read, in a sealed memfd that every program of the session maps read-only (session.h).
 *
 * Who wants a page claims it. One caller gets to fill it; the others wait for him. Readers in other processes are not
 * asked: a page is evicted under them, and its generation tells them so.
 *
 * Threads: any. Locks: LOCK_PAGE_CACHE, never held while a page is being filled.
 */
#ifndef SLIPSTREAM_CLIENT_PAGE_CACHE_H
#define SLIPSTREAM_CLIENT_PAGE_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct page_cache;

struct page_claim {
	uint32_t index;
	char *bytes; /* page_bytes of room */
};

/* page_bytes: a power of two. At most max_bytes, in whole sets; -EINVAL if that is less than one set. */
int page_cache_new(size_t page_bytes, size_t max_bytes, struct page_cache **);
void page_cache_free(struct page_cache *);

int page_cache_fd(const struct page_cache *); /* read-only; not the caller's */
size_t page_cache_bytes(const struct page_cache *);
size_t page_cache_page_bytes(const struct page_cache *);

/* Valid bytes of a page that is here, counted as used; 0: not here. */
size_t page_cache_peek(struct page_cache *, uint64_t content, uint64_t number);
/* Copy from a page, as a reader in another process would: bytes moved, 0 is a miss. */
size_t page_cache_read(struct page_cache *, uint64_t content, uint64_t off, void *buf, size_t n);
/*
 * 1: the page is here. 0: the caller must fill it and say page_cache_filled(). -ENOSPC: no room can be made for it (every
 * place is being filled, or the memory is full). Waits while somebody else fills this very page.
 */
int page_cache_claim(struct page_cache *, uint64_t content, uint64_t number, struct page_claim *);
/* bytes 0: could not be filled; whoever waits for it tries himself. */
void page_cache_filled(struct page_cache *, const struct page_claim *, uint64_t content, uint64_t number, size_t bytes);

#endif
