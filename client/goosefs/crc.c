/*
 * crc.c: eight tables for each polynomial take eight bytes a step; SSE 4.2 has an instruction for CRC32C.
 *
 * The instruction's result takes three cycles, but one can begin in each: so three lanes of LANE bytes run side by side,
 * and are put together by what LANE bytes of zeros would make of a lane's result.
 */
#include "client/goosefs/crc.h"
#include "proto/goosefs.h"

#include <pthread.h>
#include <string.h>

static uint32_t castagnoli[8][256], ieee[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void table_make(uint32_t table[8][256], uint32_t polynomial)
{
	for (unsigned i = 0; i < 256; i++) {
		uint32_t c = i;

		for (unsigned bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ polynomial : c >> 1;
		table[0][i] = c;
	}
	for (unsigned i = 0; i < 256; i++)
		for (unsigned k = 1; k < 8; k++)
			table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
}

static void tables_make(void)
{
	table_make(castagnoli, 0x82f63b78);
	table_make(ieee, 0xedb88320);
}

static uint32_t by_table(uint32_t table[8][256], uint32_t crc, const unsigned char *p, size_t n)
{
	pthread_once(&once, tables_make);
	crc = ~crc;
	for (; n >= 8; p += 8, n -= 8) {
		uint32_t a = crc ^ (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);

		crc = table[7][a & 0xff] ^ table[6][a >> 8 & 0xff] ^ table[5][a >> 16 & 0xff] ^ table[4][a >> 24] ^
		      table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	while (n--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return ~crc;
}

uint32_t crc32_update(uint32_t crc, const void *data, size_t n)
{
	return by_table(ieee, crc, data, n);
}

uint32_t crc32c_update_portable(uint32_t crc, const void *data, size_t n)
{
	return by_table(castagnoli, crc, data, n);
}

#ifdef __x86_64__
#define LANE 4096

static uint32_t skip[4][256]; /* a register after LANE bytes of zeros, by each of its bytes */
static pthread_once_t skip_once = PTHREAD_ONCE_INIT;

static void skip_make(void);

static inline uint32_t skip_lane(uint32_t c)
{
	return skip[0][c & 0xff] ^ skip[1][c >> 8 & 0xff] ^ skip[2][c >> 16 & 0xff] ^ skip[3][c >> 24];
}

static inline uint64_t word_at(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof word);
	return word;
}

__attribute__((target("sse4.2"))) static uint32_t lanes(uint32_t c, const unsigned char *p)
{
	uint64_t c0 = c, c1 = 0, c2 = 0;

	for (const unsigned char *end = p + LANE; p < end; p += 8) {
		c0 = __builtin_ia32_crc32di(c0, word_at(p));
		c1 = __builtin_ia32_crc32di(c1, word_at(p + LANE));
		c2 = __builtin_ia32_crc32di(c2, word_at(p + 2 * LANE));
	}
	return skip_lane(skip_lane((uint32_t)c0) ^ (uint32_t)c1) ^ (uint32_t)c2;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t c = (uint32_t)~crc;

	if (n >= 3 * LANE)
		pthread_once(&skip_once, skip_make);
	for (; n >= 3 * LANE; p += 3 * LANE, n -= 3 * LANE)
		c = lanes((uint32_t)c, p);
	for (; n >= 8; p += 8, n -= 8)
		c = __builtin_ia32_crc32di(c, word_at(p));
	while (n--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
	return ~(uint32_t)c;
}

/* The bits are independent of each other. */
static void skip_make(void)
{
	static const unsigned char zeros[LANE];

	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t after = ~by_instruction(~(1u << bit), zeros, LANE);

		for (unsigned i = 0; i < 256; i++)
			if (i >> bit % 8 & 1)
				skip[bit / 8][i] ^= after;
	}
}
#endif

uint32_t crc32c_update(uint32_t crc, const void *data, size_t n)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return by_instruction(crc, data, n);
#endif
	return by_table(castagnoli, crc, data, n);
}

uint32_t crc_update(int kind, uint32_t crc, const void *data, size_t n)
{
	switch (kind) {
	case GFS_CRC32C:
		return crc32c_update(crc, data, n);
	case GFS_CRC32:
		return crc32_update(crc, data, n);
	default:
		return 0;
	}
}
