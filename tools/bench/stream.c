/*
 * stream.c: one large file from one end to the other, 1 MiB a call, as a plain program does it. Prints MB/s, from open()
 * to the return of close().
 *
 *   stream read FILE
 *   stream write FILE MIB
 */
#include "tools/bench/bench.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES (1 << 20)

static char buf[BYTES];

static int64_t copy_in(const char *path)
{
	int fd = open(path, O_RDONLY);
	int64_t total = 0;
	ssize_t n;

	if (fd < 0)
		die("%s", path);
	while ((n = read(fd, buf, sizeof buf)) > 0)
		total += n;
	if (n < 0 || close(fd))
		die("%s", path);
	return total;
}

static int64_t copy_out(const char *path, int64_t mib)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		die("%s", path);
	memset(buf, 'x', sizeof buf);
	for (int64_t i = 0; i < mib; i++) {
		memcpy(buf, &i, sizeof i);
		if (write(fd, buf, sizeof buf) != sizeof buf)
			die("%s", path);
	}
	if (close(fd))
		die("%s", path);
	return mib * BYTES;
}

int main(int argc, char **argv)
{
	double began = now_ns();
	int64_t bytes;

	if (argc == 3 && !strcmp(argv[1], "read"))
		bytes = copy_in(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "write"))
		bytes = copy_out(argv[2], strtoll(argv[3], NULL, 0));
	else
		die("stream read FILE | stream write FILE MIB");
	printf("stream %.1f MB/s\n", (double)bytes * 1e3 / (now_ns() - began));
	return 0;
}
