/* test_crc.c: checksums of spec goosefs 17.9, by instruction and by table, whole and in parts. */
#include "client/goosefs/crc.h"
#include "proto/goosefs.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

typedef uint32_t update_fn(uint32_t crc, const void *data, size_t n);

static update_fn *const castagnoli[] = {crc32c_update, crc32c_update_portable};

static void check(const void *data, size_t n, uint32_t c, uint32_t ieee)
{
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(castagnoli[i](0, data, n), c);
	assert_int_equal(crc32_update(0, data, n), ieee);
	assert_int_equal(crc_update(GFS_CRC32C, 0, data, n), c);
	assert_int_equal(crc_update(GFS_CRC32, 0, data, n), ieee);
	assert_int_equal(crc_update(GFS_CRC_NULL, 0, data, n), 0);
}

static void vectors(void **state)
{
	unsigned char bytes[32];
	void *zeros = calloc(1, 1 << 20);

	(void)state;
	assert_non_null(zeros);
	check("", 0, 0, 0);
	check("a", 1, 0xc1d04330, 0xe8b7be43);
	check("abc", 3, 0x364b3fb7, 0x352441c2);
	check("hello", 5, 0x9a71bb4c, 0x3610a686);
	check("Hello world!", 12, 0x7b98e751, 0x1b851995);
	check("123456789", 9, 0xe3069283, 0xcbf43926);
	check("The quick brown fox jumps over the lazy dog", 43, 0x22620404, 0x414fa339);
	memset(bytes, 0, 32);
	check(bytes, 32, 0x8a9136aa, 0x190a55ad);
	memset(bytes, 0xff, 32);
	check(bytes, 32, 0x62a8ab43, 0xff6cab0b);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (unsigned char)i;
	check(bytes, 32, 0x46dd794e, 0x91267e8a);
	check(zeros, 1 << 20, 0x14298c12, 0xa738ea1c);
	free(zeros);
}

static void running_value(void **state)
{
	static const uint32_t c[] = {0x0daafcde, 0x7ae059ce, 0x32c4ee5e, 0x9fa363fa};
	static const uint32_t ieee[] = {0x7faa50d3, 0x73edb138, 0x12c3818e, 0x9c20a08f};
	enum { N = 3 * 65536 + 123 };
	unsigned char *data = malloc(N);
	uint32_t a[2] = {0}, b = 0;

	(void)state;
	assert_non_null(data);
	for (unsigned i = 0; i < N; i++)
		data[i] = (unsigned char)(i % 251);
	for (unsigned block = 0; block < 4; block++) {
		size_t n = block < 3 ? 65536 : 123;

		for (unsigned i = 0; i < 2; i++) {
			a[i] = castagnoli[i](a[i], data + block * 65536, n);
			assert_int_equal(a[i], c[block]);
		}
		b = crc32_update(b, data + block * 65536, n);
		assert_int_equal(b, ieee[block]);
	}
	assert_int_equal(crc32c_update(0x18d12335, "6789", 4), 0xe3069283);
	assert_int_equal(crc32_update(0xcbf53a1c, "6789", 4), 0xcbf43926);
	free(data);
}

/* Any start, any length: the two ways agree. */
static void ways_agree(void **state)
{
	unsigned char data[256];

	(void)state;
	for (unsigned i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 167 + 13);
	for (unsigned start = 0; start < 9; start++)
		for (unsigned n = 0; start + n <= sizeof data; n++)
			assert_int_equal(crc32c_update(n, data + start, n), crc32c_update_portable(n, data + start, n));
}

/* Long enough for lanes that are put together again. */
static void long_ways_agree(void **state)
{
	enum { N = 50000 };
	unsigned char *data = malloc(N);

	(void)state;
	assert_non_null(data);
	for (unsigned i = 0; i < N; i++)
		data[i] = (unsigned char)(i * i >> 7 ^ i);
	for (unsigned n = 12000; n < N - 9; n += 1 + n % 379)
		assert_int_equal(crc32c_update(n, data + n % 9, n), crc32c_update_portable(n, data + n % 9, n));
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(running_value),
		cmocka_unit_test(ways_agree),
		cmocka_unit_test(long_ways_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
