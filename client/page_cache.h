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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct page_cache;

struct page_claim {
	uint32_t index;
};

/* page_bytes: a power of two. At most max_bytes, in whole sets; -EINVAL if that is less than one set. */
int page_cache_new(size_t page_bytes, size_t max_bytes, struct page_cache **);
void page_cache_free(struct page_cache *);

int page_cache_fd(const struct page_cache *); /* read-only; not the caller's */
size_t page_cache_bytes(const struct page_cache *);
size_t page_cache_page_bytes(const struct page_cache *);
uint64_t page_cache_capacity(const struct page_cache *); /* bytes of all its pages */

/* Valid bytes of a page that is here, counted as used; 0: not here. Whoever read it needs not tell of it any more. */
size_t page_cache_peek(struct page_cache *, uint64_t content, uint64_t number);
/* Copy from a page, as a reader in another process would: bytes moved, 0 is a miss. */
size_t page_cache_read(struct page_cache *, uint64_t content, uint64_t off, void *buf, size_t n);
/*
 * 1: the page is here. 0: the caller must fill it, by page_cache_write(), and say page_cache_filled(). -ENOSPC: every place
 * it could have is being filled. Waits while somebody else fills this very page.
 */
int page_cache_claim(struct page_cache *, uint64_t content, uint64_t number, struct page_claim *);
/* Bytes of the page, from its byte `at` on. 0, or -ENOSPC: the memory is full. */
int page_cache_write(struct page_cache *, const struct page_claim *, size_t at, const struct iovec *, unsigned nparts);
/*
 * bytes 0: could not be filled; whoever waits for it tries himself. tell: the first who reads on into it is to tell the
 * keeper, which then reads further ahead.
 */
void page_cache_filled(struct page_cache *, const struct page_claim *, uint64_t content, uint64_t number, size_t bytes,
		       bool tell);

#endif
