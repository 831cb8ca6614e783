/*
 * clock.h: milliseconds on a clock that nobody sets.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_CLOCK_H
#define SLIPSTREAM_CLIENT_GOOSEFS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

#endif
