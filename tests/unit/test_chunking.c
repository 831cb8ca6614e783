/* test_chunking.c: a stream of writes, cut into chunks and blocks (spec goosefs 9.5, 9.6, 17.8). */
#include "client/goosefs/block_cutter.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What was sent, as text: 0[ opens block 0, letters and commas are its chunks, F] flushes and closes, ] closes as the
 * last. */
struct wire {
	char text[4096];
	size_t n;
	unsigned fail_at, calls; /* the fail_at-th call fails; 0: none */
};

static int call(struct wire *w, const char *text, size_t n)
{
	if (++w->calls == w->fail_at)
		return -EIO;
	assert_true(w->n + n + 1 < sizeof w->text);
	memcpy(w->text + w->n, text, n);
	w->n += n;
	w->text[w->n] = '\0';
	return 0;
}

static int wire_open(void *context, int64_t number)
{
	char text[16];

	return call(context, text, (size_t)snprintf(text, sizeof text, "%d[", (int)number));
}

static int wire_chunk(void *context, const void *data, size_t n)
{
	char text[64];

	return call(context, text, (size_t)snprintf(text, sizeof text, "%.*s,", (int)n, (const char *)data));
}

static int wire_close(void *context, bool last)
{
	return call(context, last ? "]" : "F]", last ? 1 : 2);
}

static const struct block_sink sink = {wire_open, wire_chunk, wire_close};

static void put(struct block_cutter *c, const char *text)
{
	size_t n = strlen(text);

	while (n) {
		ssize_t took = block_cutter_step(c, text, n);

		assert_true(took > 0);
		text += took;
		n -= (size_t)took;
	}
}

static void expect(const char *const writes[], const char *wanted)
{
	struct wire wire = {.n = 0};
	struct block_cutter c;

	block_cutter_init(&c, &sink, &wire, 4, 10);
	for (; *writes; writes++)
		put(&c, *writes);
	assert_int_equal(block_cutter_finish(&c), 0);
	assert_string_equal(wire.text, wanted);
	block_cutter_release(&c);
}

#define WRITES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void vectors(void **state)
{
	(void)state;
	expect(WRITES("ab", "cdefg"), "0[abcd,efg,]");
	expect(WRITES("abcdefghijkl"), "0[abcd,efgh,ij,F]1[kl,]");
	expect(WRITES("abcdefghij"), "0[abcd,efgh,ij,]");
	expect(WRITES("abcdefghij", "k"), "0[abcd,efgh,ij,F]1[k,]");
	expect(WRITES("ab", "cdef"), "0[abcd,ef,]");
	expect(WRITES(""), "");
	expect(WRITES("abcdefghijABCDEFGHIJ"), "0[abcd,efgh,ij,F]1[ABCD,EFGH,IJ,]");
	expect(WRITES("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"), "0[abcd,efgh,ij,F]1[k,]");
}

/* Whichever call fails: opened again and sent again, the blocks come out whole. */
static void replay(unsigned fail_at)
{
	static const char data[] = "abcdefghijABCDEFGHIJ123";
	struct wire wire = {.fail_at = fail_at};
	struct block_cutter c;
	size_t done = 0;
	bool finished = false;

	block_cutter_init(&c, &sink, &wire, 4, 10);
	while (!finished) {
		size_t left = sizeof data - 1 - done, n = left < 7 ? left : 7;
		ssize_t took = left ? block_cutter_step(&c, data + done, n) : block_cutter_finish(&c);

		if (took < 0) {
			/* What this block got so far went down with its stream. */
			char *block = strrchr(wire.text, '[');

			if (block && !strchr(block, ']'))
				wire.text[wire.n = (size_t)(block - wire.text) - 1] = '\0';
			assert_int_equal(block_cutter_reopen(&c), 0);
			assert_int_equal(block_cutter_again(&c, data + block_cutter_start(&c), (size_t)c.block_bytes),
					 0);
			continue;
		}
		finished = !left;
		done += (size_t)took;
	}
	assert_string_equal(wire.text, "0[abcd,efgh,ij,F]1[ABCD,EFGH,IJ,F]2[123,]");
	block_cutter_release(&c);
}

static void any_call_may_fail(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 14; i++)
		replay(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(any_call_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
