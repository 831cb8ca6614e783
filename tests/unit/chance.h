/* chance.h: dice that fall the same way every time. */
#ifndef SLIPSTREAM_TESTS_UNIT_CHANCE_H
#define SLIPSTREAM_TESTS_UNIT_CHANCE_H

#include <stddef.h>
#include <stdint.h>

static uint64_t seed = 0x5eed;

static size_t chance(size_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % below);
}

#endif
