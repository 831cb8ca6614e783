/*
 * small.c: many small files: NATIVE/0, NATIVE/1... and the same under OURS, in turns, per file.
 *
 *   small make NATIVE OURS N     create + write + close of N files of 4 KiB, new ones in each round; those of the last stay
 *   small read NATIVE OURS N     open + read + close
 *   small stat NATIVE OURS N
 *   small once NATIVE OURS N     open + read + close, one round: nothing here was read before
 */
#include "tools/bench/bench.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES  4096
#define ROUNDS 11

static char buf[BYTES];

static const char *name(const char *dir, unsigned i)
{
	static char path[4096];

	snprintf(path, sizeof path, "%s/%u", dir, i);
	return path;
}

static void make_one(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, buf, BYTES) != BYTES || close(fd))
		die("%s", path);
}

static void read_one(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, buf, BYTES) != BYTES || close(fd))
		die("%s", path);
}

static void stat_one(const char *path)
{
	struct stat st;

	if (stat(path, &st) || st.st_size != BYTES)
		die("%s", path);
}

static double each(const char *dir, unsigned n, void (*one)(const char *path))
{
	double began = now_ns();

	for (unsigned i = 0; i < n; i++)
		one(name(dir, i));
	return (now_ns() - began) / n;
}

static void empty(const char *dir, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		unlink(name(dir, i));
}

int main(int argc, char **argv)
{
	const char *kind = argc == 5 ? argv[1] : "";
	unsigned n = argc == 5 ? (unsigned)strtoul(argv[4], NULL, 0) : 0;
	void (*one)(const char *) = !strcmp(kind, "make") ? make_one : !strcmp(kind, "stat") ? stat_one : read_one;
	struct rounds r = {.n = !strcmp(kind, "once") ? 1 : ROUNDS};

	if (!n)
		die("small make|read|stat|once NATIVE OURS N");
	for (unsigned i = 0; i < r.n; i++) {
		if (one == make_one) {
			empty(argv[2], n);
			empty(argv[3], n);
		}
		r.theirs[i] = each(argv[2], n, one);
		r.ours[i] = each(argv[3], n, one);
	}
	report(kind, &r);
	return 0;
}
