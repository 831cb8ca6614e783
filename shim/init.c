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
#include "shim/needed.h"
#include "shim/prefix.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/report.h"
#include "shim/session.h"
#include "shim/stream.h"
#include "shim/start.h"
#include "shim/sys.h"
#include "shim/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LIBRARY "/libslipstream.so"

NEAR struct shim shim;

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

/* A name for the log from where this program happens to be is not the one that was meant. */
static bool session_names(void)
{
	const char *file = text_env("SLIPSTREAM_LOG"); /* "level[,file]" */

	while (file && *file && *file != ',')
		file++;
	while (file && (*file == ',' || *file == ' '))
		file++;
	shim.log_own = file && *file == '/';
	shim.log = shim.log_own ? text_join(file, "", "") : text_join(shim.session, "/log", "");
	shim.records = text_join(shim.session, "/records", "");
	return shim.log && shim.records;
}

/*
 * Registered before ld.so's own exit function, so it runs after every destructor, and before libc flushes its streams:
 * the last moment at which a program's files can be closed and their publication waited for.
 */
static STARTUP void at_exit(void *unused)
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
static const char *preload_find(const char *list)
{
	for (const char *entry = list; list && *list; list++) {
		if (*list == ':' || *list == ' ')
			entry = list + 1;
		else if (text_begins(list, LIBRARY)) {
			while (*list && *list != ':' && *list != ' ')
				list++;
			return text_keep(entry, (size_t)(list - entry)) ?: "";
		}
	}
	return "";
}

/* Which session, and what is mounted in it. */
static bool session_find(const char *session)
{
	const char *mounts = text_env("SLIPSTREAM_MOUNTS"), *client, *cwd;

	if (session && *session) {
		shim.session = session[0] == '/' ? text_join(session, "", "") : NULL;
		shim.mounts = mounts ? text_join(mounts, "", "") : NULL;
	} else {
		client = text_env("SLIPSTREAM_CLIENT");
		cwd = text_env("SLIPSTREAM_CWD");
		shim.alone = true;
		shim.inside = client && !strcmp(client, "process");
		if (shim.inside && cwd)
			cwd_told(cwd);
		shim.mounts = start_mounts(mounts);
		shim.session = shim.mounts ? start_session(shim.mounts) : NULL;
	}
	return shim.session && shim.mounts;
}

/* A program of ours is executed by number, and that is what the kernel calls it. */
static void image_title(void)
{
	const char *executed = (const char *)getauxval(AT_EXECFN);
	struct where w;

	if (executed && !strncmp(executed, "/dev/fd/", 8) && path_find(&w, AT_FDCWD, "/proc/self/exe") > 0)
		sys2(SYS_prctl, PR_SET_NAME, strrchr(w.path, '/') + 1);
}

__attribute__((constructor)) static void shim_init(void)
{
	const char *inherit = text_env("SLIPSTREAM_INHERIT"), *timeout = text_env("SLIPSTREAM_SHIM_TIMEOUT_MS"),
		   *needed = text_env(NEEDED_NAME);

	if (unlikely(needed))
		needed_arrive(needed);
	if (!session_find(text_env("SLIPSTREAM_SESSION")) || !session_names())
		return;
	prefix_parse(shim.mounts);
	if (!shim.prefix_count)
		return;
	shim.preload = preload_find(text_env("LD_PRELOAD"));
	shim.inherit = !text_no(inherit);
	shim.timeout_ms = timeout ? (unsigned)strtoul(timeout, NULL, 10) : 0;
	report_init(text_env("SLIPSTREAM_REPORT"));
	session_vfork_child(); /* the page that tells fork from vfork exists before either */
	fdtab_init();
	shim.active = true;
	image_title();
	__cxa_atexit(at_exit, NULL, NULL);
	__cxa_at_quick_exit(at_quick_exit_, NULL);
}
