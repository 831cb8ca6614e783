#include "tools/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS 1000 /* what is done by then needs no line */
#define EVERY_MS 250

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

char *bytes_text(int64_t bytes, char out[16])
{
	static const char units[] = "BKMGTPE";
	double n = (double)bytes;
	unsigned u = 0;

	while (n >= 1024 && units[u + 1]) {
		n /= 1024;
		u++;
	}
	if (!u)
		snprintf(out, 16, "%d", (int)bytes);
	else
		snprintf(out, 16, n < 9.95 ? "%.1f%c" : "%.0f%c", n, units[u]);
	return out;
}

void progress_init(struct progress *p, const char *what, int64_t total)
{
	*p = (struct progress){.what = what, .total = total, .began_ms = now_ms(), .silent = !isatty(STDERR_FILENO)};
}

static void tell(struct progress *p, int64_t now)
{
	char done[16], rate[16], share[16] = "";

	if (p->total > 0)
		snprintf(share, sizeof share, " %3d%%", (int)(100 * (double)p->done / (double)p->total));
	fprintf(stderr, "\r\033[K%s: %s, %s/s%s", p->what, bytes_text(p->done, done),
		bytes_text(p->done * 1000 / (now - p->began_ms), rate), share);
	fflush(stderr);
	p->told_ms = now;
}

void progress_add(struct progress *p, size_t n)
{
	int64_t now;

	p->done += (int64_t)n;
	if (p->silent)
		return;
	now = now_ms();
	if (now - p->began_ms >= FIRST_MS && now - p->told_ms >= EVERY_MS)
		tell(p, now);
}

void progress_end(struct progress *p)
{
	if (p->told_ms)
		fputs("\r\033[K", stderr);
	p->told_ms = 0;
}
