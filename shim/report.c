/*
 * report.c: one block of lines per process that touched a prefix, written at once, so that those of a pipeline do not mix.
 */
#include "shim/report.h"
#include "shim/sys.h"

#include <stdlib.h>
#include <string.h>

_Atomic uint64_t report_stats[STAT_COUNT];
_Atomic uint64_t report_requests[SESSION_OP_COUNT];

enum { COUNT, BYTES };

static const struct {
	int unit;
	const char *text;
} stats[] = {
#define STAT(ID, unit, text) [STAT_##ID] = {unit, text},
#include "shim/stats.def"
#undef STAT
};

static const char *const requests[] = {
#define SESSION_OP(ID, name, again) [SESSION_##ID] = #name,
#include "client/session.def"
#undef SESSION_OP
};

struct text {
	char bytes[4096];
	size_t n;
};

static void put(struct text *t, const char *text)
{
	size_t n = strnlen(text, sizeof t->bytes - t->n);

	memcpy(t->bytes + t->n, text, n);
	t->n += n;
}

static void put_number(struct text *t, uint64_t v)
{
	char digits[24], *at = digits + sizeof digits - 1;

	*at = '\0';
	do
		*--at = (char)('0' + v % 10);
	while (v /= 10);
	put(t, at);
}

static void put_program(struct text *t)
{
	char name[32];
	int fd = sys_open("/proc/self/comm", O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? fd : sys3(SYS_read, fd, name, sizeof name - 1);

	if (fd >= 0)
		sys_close(fd);
	name[n > 0 ? n - 1 : 0] = '\0';
	put(t, "slipstream: ");
	put(t, name);
	put(t, "[");
	put_number(t, (uint64_t)sys0(SYS_getpid));
	put(t, "]:");
}

static void put_stats(struct text *t)
{
	for (int i = 0; i < STAT_COUNT; i++) {
		uint64_t v = atomic_load(&report_stats[i]);

		if (!v)
			continue;
		put(t, "\n  ");
		put_number(t, v);
		put(t, stats[i].unit == BYTES ? " bytes " : " ");
		put(t, stats[i].text);
	}
}

static bool put_requests(struct text *t)
{
	bool any = false;

	for (int i = 0; i < SESSION_OP_COUNT; i++) {
		uint64_t v = atomic_load(&report_requests[i]);

		if (!v)
			continue;
		put(t, any ? ", " : "\n  asked the keeper: ");
		put(t, requests[i]);
		put(t, " ");
		put_number(t, v);
		any = true;
	}
	put(t, "\n");
	return any;
}

#define HIGH 900 /* out of the program's way */

static const char *file; /* NULL: standard error, as fd */
static int fd = -1;

STARTUP void report_init(const char *where)
{
	shim.report = where && *where && strcmp(where, "0") != 0;
	if (!shim.report)
		return;
	file = strcmp(where, "1") ? where : NULL;
	fd = file ? -1 : sys_fcntl(2, F_DUPFD_CLOEXEC, HIGH);
}

STARTUP void report_tell(void)
{
	struct text t = {.n = 0};

	if (!shim.report)
		return;
	shim.report = false;
	put_program(&t);
	put_stats(&t);
	if (!put_requests(&t))
		return;
	if (file)
		fd = sys_open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return shim_log("no report into", file ?: "standard error", fd);
	sys3(SYS_write, fd, t.bytes, t.n);
	sys_close(fd);
}
