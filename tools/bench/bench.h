/*
 * bench.h: two ways of doing the same, measured in turns. What is printed are medians, and the ratio of each pair of
 * rounds: its median and its quartiles. The ratio is ours over theirs in time, so above 1 is slower.
 *
 *   NAME|theirs, ns|ours, ns|ratio|first quartile|third quartile
 */
#ifndef SLIPSTREAM_BENCH_H
#define SLIPSTREAM_BENCH_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_MAX 2001

struct rounds {
	unsigned n;
	double theirs[ROUNDS_MAX], ours[ROUNDS_MAX]; /* ns */
};

static inline double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *format, ...)
{
	int why = errno;
	va_list args;

	va_start(args, format);
	fprintf(stderr, "bench: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s\n", strerror(why));
	exit(1);
}

static inline int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The value below which a share of all lies. */
static inline double quantile(const double *values, unsigned n, double share)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, values, n * sizeof *values);
	qsort(sorted, n, sizeof *sorted, by_value);
	return sorted[(unsigned)(share * (n - 1) + 0.5)];
}

static inline void report(const char *name, const struct rounds *r)
{
	double ratio[ROUNDS_MAX];

	for (unsigned i = 0; i < r->n; i++)
		ratio[i] = r->ours[i] / r->theirs[i];
	printf("%s|%.1f|%.1f|%.3f|%.3f|%.3f\n", name, quantile(r->theirs, r->n, 0.5), quantile(r->ours, r->n, 0.5),
	       quantile(ratio, r->n, 0.5), quantile(ratio, r->n, 0.25), quantile(ratio, r->n, 0.75));
	fflush(stdout);
}

#endif
