/*
 * warm.c: what one small read costs. Reads FILE once to warm it, then times preads of N bytes at random and in sequence;
 * prints "sequential <ns>" and "random <ns>" per read, the best of five rounds. Knows nothing of Slipstream.
 *
 *   warm FILE [BYTES]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READS  20000
#define ROUNDS 5

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nanoseconds per read, the best round. */
static double measure(int fd, char *buf, size_t bytes, uint64_t places, int at_random)
{
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t x = 88172645463325252u, began = now_ns();
		double each;

		for (uint64_t i = 0; i < READS; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			off_t off = (off_t)((at_random ? x % places : i % places) * bytes);

			if (pread(fd, buf, bytes, off) != (ssize_t)bytes) {
				fprintf(stderr, "warm: short read at %lld: %s\n", (long long)off, strerror(errno));
				exit(1);
			}
		}
		each = (double)(now_ns() - began) / READS;
		best = each < best ? each : best;
	}
	return best;
}

int main(int argc, char **argv)
{
	size_t bytes = argc > 2 ? strtoul(argv[2], NULL, 0) : 4096;
	char *buf = malloc(1 << 20);
	struct stat st;
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0 || !buf || fstat(fd, &st) || !bytes || bytes > 1 << 20 || (uint64_t)st.st_size < bytes) {
		fprintf(stderr, "warm: wants a file of at least %zu bytes\n", bytes);
		return 2;
	}
	while (read(fd, buf, 1 << 20) > 0)
		;
	printf("sequential %.0f\n", measure(fd, buf, bytes, (uint64_t)st.st_size / bytes, 0));
	printf("random %.0f\n", measure(fd, buf, bytes, (uint64_t)st.st_size / bytes, 1));
	return 0;
}
