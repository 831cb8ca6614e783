/* test_page_cache.c: pages shared with readers in other processes, who take no lock. */
#include "tests/unit/unit.h"
#include "client/page_cache.h"
#include "client/session.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u

static char byte_of(uint64_t content, uint64_t number)
{
	return (char)(content * 31 + number * 7 + 1);
}

static int fill(struct page_cache *cache, uint64_t content, uint64_t number)
{
	char bytes[PAGE];
	struct iovec parts[] = {{bytes, 1000}, {bytes + 1000, PAGE - 1100}}, rest = {bytes + PAGE - 100, 100};
	struct page_claim claim;
	int rc = page_cache_claim(cache, content, number, &claim);

	if (rc)
		return rc;
	memset(bytes, byte_of(content, number), PAGE);
	assert_int_equal(page_cache_write(cache, &claim, 0, parts, 2), 0);
	assert_int_equal(page_cache_write(cache, &claim, PAGE - 100, &rest, 1), 0);
	page_cache_filled(cache, &claim, content, number, PAGE, false);
	return 0;
}

static void keeps_pages(void **state)
{
	struct page_cache *cache;
	char buf[100];

	(void)state;
	assert_int_equal(page_cache_new(PAGE, 7 * PAGE, &cache), -EINVAL);
	assert_int_equal(page_cache_new(PAGE + 1, 1 << 20, &cache), -EINVAL);
	assert_int_equal(page_cache_new(PAGE, 64 * PAGE, &cache), 0);
	assert_int_equal(page_cache_peek(cache, 2, 0), 0);
	assert_int_equal(fill(cache, 2, 0), 0);
	assert_int_equal(fill(cache, 2, 0), 1);
	assert_int_equal(page_cache_peek(cache, 2, 0), PAGE);
	assert_int_equal(page_cache_read(cache, 2, PAGE - 10, buf, sizeof buf), 10);
	assert_int_equal(buf[9], byte_of(2, 0));
	assert_int_equal(page_cache_read(cache, 2, PAGE, buf, 1), 0);
	assert_int_equal(page_cache_read(cache, 4, 0, buf, 1), 0);
	page_cache_free(cache);
}

static void forgets_the_coldest(void **state)
{
	struct page_cache *cache;

	(void)state;
	assert_int_equal(page_cache_new(PAGE, 8 * PAGE, &cache), 0); /* one set */
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(fill(cache, 2, i), 0);
	assert_int_equal(page_cache_peek(cache, 2, 0), PAGE); /* used: 1 is the coldest now */
	assert_int_equal(fill(cache, 2, 8), 0);
	assert_int_equal(page_cache_peek(cache, 2, 1), 0);
	assert_int_equal(page_cache_peek(cache, 2, 0), PAGE);
	page_cache_free(cache);
}

static void streams_go_round_in_a_few_places(void **state)
{
	struct page_cache *cache;
	char buf[PAGE];

	(void)state;
	assert_int_equal(page_cache_new(PAGE, 64 * PAGE, &cache), 0);
	assert_int_equal(page_cache_capacity(cache), 64 * PAGE);
	for (uint64_t i = 0; i < 48; i++)
		assert_int_equal(fill(cache, 2, i), 0);
	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(fill(cache, 2 | SESSION_STREAM, i), 0);
		for (uint64_t back = SESSION_STREAM_SETS * SESSION_WAYS; back--;)
			assert_true(i < back || page_cache_peek(cache, 2 | SESSION_STREAM, i - back) == PAGE);
	}
	for (uint64_t i = 0, stay = 0; i < 48; i++) {
		stay += page_cache_peek(cache, 2, i) != 0;
		assert_true(i < 47 || stay >= 48 - SESSION_STREAM_SETS * SESSION_WAYS);
	}
	assert_int_equal(page_cache_read(cache, 2 | SESSION_STREAM, 999 * PAGE, buf, PAGE), PAGE);
	for (size_t i = 0; i < PAGE; i++)
		assert_int_equal(buf[i], byte_of(2 | SESSION_STREAM, 999));
	page_cache_free(cache);
}

/* The end of a file, then a whole page in the same place: a part of it has no memory yet. */
static void a_place_grows(void **state)
{
	const struct iovec part = {"short", 5};
	struct page_cache *cache;
	struct page_claim claim;
	char buf[PAGE];

	(void)state;
	assert_int_equal(page_cache_new(PAGE, 8 * PAGE, &cache), 0);
	for (uint64_t i = 0; i < 8; i++) {
		assert_int_equal(page_cache_claim(cache, 2, i, &claim), 0);
		assert_int_equal(page_cache_write(cache, &claim, 0, &part, 1), 0);
		page_cache_filled(cache, &claim, 2, i, part.iov_len, false);
	}
	for (uint64_t i = 8; i < 24; i++)
		assert_int_equal(fill(cache, 2, i), 0);
	for (uint64_t i = 16; i < 24; i++) {
		assert_int_equal(page_cache_read(cache, 2, i * PAGE, buf, PAGE), PAGE);
		for (size_t at = 0; at < PAGE; at++)
			assert_int_equal(buf[at], byte_of(2, i));
	}
	page_cache_free(cache);
}

static void cannot_be_cut_or_written_by_others(void **state)
{
	struct page_cache *cache;
	void *map;

	(void)state;
	assert_int_equal(page_cache_new(PAGE, 64 * PAGE, &cache), 0);
	assert_int_equal(fcntl(page_cache_fd(cache), F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(ftruncate(page_cache_fd(cache), 0), -1);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, page_cache_fd(cache), 0);
	assert_true(map == MAP_FAILED);
	page_cache_free(cache);
}

static void failed_fill_is_a_miss(void **state)
{
	struct page_claim claims[8], one;
	struct page_cache *cache;

	(void)state;
	assert_int_equal(page_cache_new(PAGE, 8 * PAGE, &cache), 0);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(page_cache_claim(cache, 2, i, &claims[i]), 0);
	assert_int_equal(page_cache_claim(cache, 2, 99, &one), -ENOSPC); /* all are being filled */
	for (uint64_t i = 0; i < 8; i++)
		page_cache_filled(cache, &claims[i], 1, i, 0, false);
	assert_int_equal(page_cache_peek(cache, 2, 3), 0);
	assert_int_equal(fill(cache, 2, 3), 0);
	page_cache_free(cache);
}

struct waiter {
	struct page_cache *cache;
	struct page_claim claim;
	int rc;
};

static void *wait_for_page(void *argument)
{
	struct waiter *w = argument;

	w->rc = page_cache_claim(w->cache, 5, 5, &w->claim);
	return NULL;
}

static void one_fills_the_others_wait(void **state)
{
	struct waiter w = {.rc = -1};
	struct page_claim claim;
	pthread_t thread;

	(void)state;
	assert_int_equal(page_cache_new(PAGE, 8 * PAGE, &w.cache), 0);
	assert_int_equal(page_cache_claim(w.cache, 5, 5, &claim), 0);
	pthread_create(&thread, NULL, wait_for_page, &w);
	page_cache_filled(w.cache, &claim, 5, 5, PAGE, false);
	pthread_join(thread, NULL);
	assert_int_equal(w.rc, 1);
	page_cache_free(w.cache);
}

/* What a shim does. Returns wrong bytes seen; counts hits. */
static unsigned read_racing(const struct session_cache *cache, unsigned reads, unsigned *hits)
{
	unsigned wrong = 0;
	static char buf[PAGE];

	for (unsigned r = 0; r < reads; r++) {
		uint64_t content = 1 + (unsigned)rand() % 4, number = (unsigned)rand() % 8;
		size_t first = (size_t)session_set(cache, content, number) * SESSION_WAYS;

		for (size_t i = first; i < first + SESSION_WAYS; i++) {
			const struct session_page *p = &cache->page[i];
			uint32_t gen = atomic_load_explicit(&p->gen, memory_order_acquire);

			if ((gen & 1) || atomic_load(&p->content) != content || atomic_load(&p->number) != number)
				continue;
			memcpy(buf, (const char *)cache + cache->first_page + i * PAGE, PAGE);
			__sync_synchronize();
			if (gen != atomic_load(&p->gen))
				continue;
			++*hits;
			for (unsigned b = 0; b < PAGE; b++)
				wrong += buf[b] != byte_of(content, number);
		}
	}
	return wrong;
}

/* A process of its own, as readers are: 0: saw many pages, none of them wrong. */
static int reader_process(struct page_cache *cache, unsigned seed)
{
	const struct session_cache *map =
		mmap(NULL, page_cache_bytes(cache), PROT_READ, MAP_SHARED, page_cache_fd(cache), 0);
	unsigned hits = 0, wrong = 0;

	srand(seed);
	for (unsigned i = 0; i < 1000 && !wrong && hits < 1000; i++) /* the writer may not have had a turn yet */
		wrong = read_racing(map, 100000, &hits);
	return wrong ? 1 : hits < 1000 ? 2 : 0;
}

static void readers_never_see_a_wrong_byte(void **state)
{
	struct page_cache *cache;
	pid_t readers[2];
	int left = 2, status;

	(void)state;
	assert_int_equal(page_cache_new(PAGE, 8 * PAGE, &cache), 0); /* 32 pages want 8 places */
	for (unsigned i = 0; i < 2; i++) {
		readers[i] = fork();
		if (!readers[i])
			_exit(reader_process(cache, i));
	}
	while (left) {
		for (int i = 0; i < 200; i++)
			fill(cache, 1 + (unsigned)rand() % 4, (unsigned)rand() % 8);
		if (waitpid(-1, &status, WNOHANG) > 0) {
			assert_int_equal(status, 0);
			left--;
		}
	}
	page_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_pages),
		cmocka_unit_test(forgets_the_coldest),
		cmocka_unit_test(streams_go_round_in_a_few_places),
		cmocka_unit_test(a_place_grows),
		cmocka_unit_test(cannot_be_cut_or_written_by_others),
		cmocka_unit_test(failed_fill_is_a_miss),
		cmocka_unit_test(one_fills_the_others_wait),
		cmocka_unit_test(readers_never_see_a_wrong_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
