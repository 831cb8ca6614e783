/*
 * crc.c: eight tables for each polynomial take eight bytes a step; SSE 4.2 has an instruction for CRC32C.
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
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t c = (uint32_t)~crc, word;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&word, p, 8);
		c = __builtin_ia32_crc32di(c, word);
	}
	while (n--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
	return ~(uint32_t)c;
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
