/*
 * init.c: START HERE. What happens when the library is loaded.
 *
 * Nothing, unless the environment names a session, or mounts are configured (start.c): then the mounts are parsed into static memory and the descriptors
 * that were inherited are marked as unknown. Everything else happens at the first use of something of ours. The names
 * libc exports are drawn from symbols.def by wrap.c; those that need more than a row are in variadic.c (open, fcntl...),
 * process.c (close, dup...), exec.c (exec, spawn), stream.c (FILE *), dir.c (DIR *), walk.c (nftw, fts, glob...).
 */
#include "shim/shim.h"
#include "shim/fdtab.h"
#include "shim/inside.h"
#include "shim/prefix.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/report.h"
#include "shim/session.h"
#include "shim/stream.h"
#include "shim/start.h"
#include "shim/sys.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIBRARY "/libslipstream.so"

struct shim shim;

int __cxa_atexit(void (*)(void *), void *, void *);
int __cxa_at_quick_exit(void (*)(void *), void *);

static unsigned text_append(char *line, unsigned at, unsigned size, const char *text)
{
	size_t n = text ? strnlen(text, size - at) : 0;

	memcpy(line + at, text ? text : "", n);
	return at + (unsigned)n;
}

void shim_log(const char *what, const char *detail, long rc)
{
	char line[512];
	unsigned n;
	int fd;

	fd = sys_open(shim.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | (shim.log_own ? 0 : O_NOFOLLOW), 0600);
	if (fd < 0)
		return; /* no session, no log: there is nobody else to tell */
	n = text_append(line, 0, 40, "error: shim: process ");
	n += sys_number(line + n, (unsigned long)sys0(SYS_getpid));
	line[n++] = ' ';
	n = text_append(line, n, 200, what);
	line[n++] = ' ';
	n = text_append(line, n, 450, detail);
	if (rc < 0) {
		n = text_append(line, n, 470, ": errno ");
		n += sys_number(line + n, (unsigned long)-rc);
	}
	line[n++] = '\n';
	sys3(SYS_write, fd, line, n);
	sys_close(fd);
}

static bool copy(char *out, size_t size, const char *from)
{
	size_t n = strlen(from);

	if (n >= size)
		return false;
	memcpy(out, from, n + 1);
	return true;
}

/* log: SLIPSTREAM_LOG, "level[,file]". A name from where this program happens to be is not the one that was meant. */
static void session_names(const char *log)
{
	const char *file = log ? strchr(log, ',') : NULL;
	size_t n = strlen(shim.session);

	memcpy(shim.records, shim.session, n);
	memcpy(shim.records + n, "/records", sizeof "/records");
	if (file)
		file += 1 + strspn(file + 1, " ");
	shim.log_own = file && *file == '/' && copy(shim.log, sizeof shim.log, file);
	if (shim.log_own)
		return;
	memcpy(shim.log, shim.session, n);
	memcpy(shim.log + n, "/log", sizeof "/log");
}

/*
 * Registered before ld.so's own exit function, so it runs after every destructor, and before libc flushes its streams:
 * the last moment at which a program's files can be closed and their publication waited for.
 */
static void at_exit(void *unused)
{
	(void)unused;
	stream_give_back();
	process_exit(true);
	inside_end();
	report_tell();
}

static void at_quick_exit_(void *unused)
{
	(void)unused;
	process_exit(false);
	inside_end();
	report_tell();
}

/* Ours among the preloaded libraries. */
static void preload_find(const char *list)
{
	while (list && *list) {
		size_t n = strcspn(list, ": ");

		if (n < sizeof shim.preload && memmem(list, n, LIBRARY, strlen(LIBRARY))) {
			memcpy(shim.preload, list, n);
			shim.preload[n] = '\0';
			return;
		}
		list += n + (list[n] != '\0');
	}
}

__attribute__((constructor)) static void shim_init(void)
{
	const char *session = getenv("SLIPSTREAM_SESSION"), *mounts = getenv("SLIPSTREAM_MOUNTS");
	const char *preload = getenv("LD_PRELOAD"), *inherit = getenv("SLIPSTREAM_INHERIT");
	const char *timeout = getenv("SLIPSTREAM_SHIM_TIMEOUT_MS");

	(void)REAL(dlerror); /* to look it up later is to lose what it would say */
	if (session && *session) {
		if (!mounts || session[0] != '/' || !copy(shim.session, sizeof shim.session, session) ||
		    !copy(shim.mounts, sizeof shim.mounts, mounts))
			return;
	} else {
		const char *client = getenv("SLIPSTREAM_CLIENT"), *cwd = getenv("SLIPSTREAM_CWD");

		shim.alone = true;
		shim.inside = client && !strcmp(client, "process");
		if (shim.inside && cwd)
			cwd_told(cwd);
		if (!start_mounts(shim.mounts, sizeof shim.mounts) || !start_session(shim.mounts))
			return;
	}
	session_names(getenv("SLIPSTREAM_LOG"));
	preload_find(preload);
	prefix_parse(shim.mounts);
	report_init(getenv("SLIPSTREAM_REPORT"));
	shim.inherit = !inherit || strcmp(inherit, "0") != 0;
	shim.timeout_ms = timeout ? (unsigned)strtoul(timeout, NULL, 10) : 0;
	if (!shim.prefix_count)
		return;
	session_vfork_child(); /* the page that tells fork from vfork exists before either */
	fdtab_init();
	shim.active = true;
	__cxa_atexit(at_exit, NULL, NULL);
	__cxa_at_quick_exit(at_quick_exit_, NULL);
}
