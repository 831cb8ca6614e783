/*
 * warm.c: what a read of something already here costs: of NATIVE, and of OURS, which has the same size.
 *
 *   warm NATIVE OURS BYTES
 *
 * In sequence by read(2), at random by pread(2); both files in one process, in turns.
 */
#include "tools/bench/bench.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS     41
#define ROUND_READ (32u << 20) /* bytes per round, at most */
#define CALLS_MAX  8192

struct file {
	int fd;
	uint64_t places; /* reads from one end to the other */
};

static size_t bytes;
static char *buf;

static double sequential(const struct file *f, uint64_t calls)
{
	double began;

	lseek(f->fd, 0, SEEK_SET);
	began = now_ns();
	for (uint64_t i = 0; i < calls; i++)
		if (read(f->fd, buf, bytes) != (ssize_t)bytes)
			die("short read");
	return (now_ns() - began) / (double)calls;
}

static double at_random(const struct file *f, uint64_t calls)
{
	uint64_t x = 88172645463325252u;
	double began = now_ns();

	for (uint64_t i = 0; i < calls; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		if (pread(f->fd, buf, bytes, (off_t)(x % f->places * bytes)) != (ssize_t)bytes)
			die("short read");
	}
	return (now_ns() - began) / (double)calls;
}

static struct file file_open(const char *path)
{
	struct file f = {.fd = open(path, O_RDONLY)};
	struct stat st;

	if (f.fd < 0 || fstat(f.fd, &st))
		die("%s", path);
	f.places = (uint64_t)st.st_size / bytes;
	if (!f.places)
		die("%s is too small", path);
	while (read(f.fd, buf, 1 << 20) > 0)
		; /* warm now */
	return f;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		double (*run)(const struct file *, uint64_t);
	} kinds[] = {{"sequential", sequential}, {"random", at_random}};
	struct file theirs, ours;
	uint64_t calls;

	bytes = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	buf = malloc(bytes > 1 << 20 ? bytes : 1 << 20);
	if (argc != 4 || !bytes || !buf)
		die("warm NATIVE OURS BYTES");
	theirs = file_open(argv[1]);
	ours = file_open(argv[2]);
	calls = ROUND_READ / bytes < CALLS_MAX ? ROUND_READ / bytes : CALLS_MAX;
	if (calls > theirs.places || calls > ours.places)
		calls = theirs.places < ours.places ? theirs.places : ours.places;
	for (unsigned k = 0; k < 2; k++) {
		struct rounds r = {.n = ROUNDS};

		for (unsigned i = 0; i < ROUNDS; i++) {
			r.theirs[i] = kinds[k].run(&theirs, calls);
			r.ours[i] = kinds[k].run(&ours, calls);
		}
		report(kinds[k].name, &r);
	}
	return 0;
}
