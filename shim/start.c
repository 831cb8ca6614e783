/*
 * start.c: a session of one's own. Programs of one user with equal mounts find each other by its directory's name. Whoever
 * finds no keeper there starts one; of two, one finds the lock taken and leaves.
 *
 * The keeper is made by a bare clone without an exit signal, so that no handler and no wait() of the program ever hears of
 * it, and it gets nothing of the program's but the environment.
 */
#include "shim/start.h"
#include "shim/session.h"
#include "shim/sys.h"
#include "shim/text.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_MAX 16384

extern char **environ;

/* Text made of parts; false: it does not fit. */
static bool join(char *out, size_t size, const char *a, const char *b, const char *c)
{
	const char *const parts[] = {a, b, c};
	size_t at = 0;

	for (unsigned i = 0; i < 3; i++) {
		size_t n = strlen(parts[i]);

		if (at + n >= size)
			return false;
		memcpy(out + at, parts[i], n);
		at += n;
	}
	out[at] = '\0';
	return true;
}

/* ---- mounts ----------------------------------------------------------------------------------------------------------- */

static bool named_mounts(const char *line, size_t n)
{
	if (n > 11 && !strncasecmp(line, "slipstream_", 11)) {
		line += 11;
		n -= 11;
	}
	while (n && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	return n == 6 && !strncasecmp(line, "mounts", 6);
}

/* The value of "mounts = value" in a file of such lines. */
static bool mounts_in(char *text, char *out, size_t size)
{
	bool found = false;

	for (char *line = text; *line;) {
		char *end = line + strcspn(line, "\n"), *equals, *value, *last = end;
		bool more = *end == '\n';

		*end = '\0';
		line += strspn(line, " \t");
		equals = strchr(line, '=');
		if (equals && named_mounts(line, (size_t)(equals - line))) {
			value = equals + 1 + strspn(equals + 1, " \t");
			while (last > value && strchr(" \t\r", last[-1]))
				*--last = '\0';
			found = join(out, size, value, "", "");
		}
		line = end + more;
	}
	return found && *out;
}

static bool mounts_of_file(const char *path, char *out, size_t size, bool *exists)
{
	char text[FILE_MAX];
	int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? fd : sys3(SYS_read, fd, text, sizeof text - 1);

	*exists = fd >= 0;
	if (fd >= 0)
		sys_close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return mounts_in(text, out, size);
}

/* The first of these files counts, as for the client (client/config.c). */
static bool mounts_of_first(char *out, size_t size)
{
	const char *named = text_env("SLIPSTREAM_CONFIG"), *home = text_env("HOME"),
		   *config = text_env("XDG_CONFIG_HOME");
	char path[PATH_MAX];
	bool exists = false, found;

	if (named && *named)
		return mounts_of_file(named, out, size, &exists);
	found = config && *config && join(path, sizeof path, config, "/slipstream/slipstream.conf", "") &&
		mounts_of_file(path, out, size, &exists);
	if (!exists && home && *home && join(path, sizeof path, home, "/.config/slipstream/slipstream.conf", ""))
		found = mounts_of_file(path, out, size, &exists);
	return exists ? found : mounts_of_file("/etc/slipstream.conf", out, size, &exists);
}

static COLD const char *mounts_of_files(void)
{
	char mounts[PATH_MAX];

	return mounts_of_first(mounts, sizeof mounts) ? text_join(mounts, "", "") : NULL;
}

STARTUP const char *start_mounts(const char *mounts)
{
	if (mounts)
		return *mounts ? text_join(mounts, "", "") : NULL;
	return mounts_of_files();
}

/* ---- the session ---------------------------------------------------------------------------------------------------------- */

static const char *hex(uint64_t v, char out[17])
{
	for (int i = 15; i >= 0; i--, v >>= 4)
		out[i] = "0123456789abcdef"[v & 15];
	out[16] = '\0';
	return out;
}

static const char *decimal(unsigned v, char out[12])
{
	char *at = out + 11;

	*at = '\0';
	do
		*--at = (char)('0' + v % 10);
	while (v /= 10);
	return at;
}

/* The same for everybody with these mounts (FNV-1a); who lands on another's by chance is told by the keeper: not mounted. */
static uint64_t hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h;
}

/* A directory that is private to us, or can be made, as `slipstream run` wants it (tools/session.c); else NULL. */
static STARTUP const char *private_place(const char *above, const char *name, const char *uid)
{
	const char *path = text_join(above, name, uid);
	struct stat st;

	if (!path)
		return NULL;
	if (!sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW))
		return S_ISDIR(st.st_mode) && st.st_uid == (uid_t)sys0(SYS_geteuid) && !(st.st_mode & 077) ? path
													   : NULL;
	return sys3(SYS_faccessat, AT_FDCWD, above, W_OK | X_OK) ? NULL : path;
}

/* The first place that is fit; or else the first, which then says why not. */
static STARTUP const char *sessions_place(void)
{
	const char *runtime = text_env("XDG_RUNTIME_DIR"), *base = NULL;
	bool named = runtime && *runtime == '/';
	char digits[12];
	const char *uid = decimal((unsigned)sys0(SYS_geteuid), digits);

	if (named)
		base = private_place(runtime, "/slipstream", "");
	if (!base)
		base = private_place("/dev/shm", "/slipstream-", uid);
	if (!base)
		base = private_place("/tmp", "/slipstream-", uid);
	if (!base)
		base = named ? text_join(runtime, "/slipstream", "") : text_join("/dev/shm", "/slipstream-", uid);
	return base;
}

STARTUP const char *start_session(const char *mounts)
{
	const char *base = sessions_place(), *kind = "/user-";
	uint64_t name = hash(mounts);
	char digits[17];

	if (shim.inside) { /* of this process alone: a name that no process before it can have left */
		kind = "/process-";
		sys3(SYS_getrandom, &name, sizeof name, 0);
	}
	return base ? text_join(base, kind, hex(name, digits)) : NULL;
}

/* ---- the keeper -------------------------------------------------------------------------------------------------------------- */

/* The first of these places, seen from our library, that is there. */
static bool beside(char out[PATH_MAX], const char *const places[], int mode)
{
	Dl_info where;
	const char *slash;
	size_t n;

	if (!dladdr(&shim, &where) || !where.dli_fname)
		return false;
	slash = strrchr(where.dli_fname, '/');
	n = slash ? (size_t)(slash - where.dli_fname) : PATH_MAX;
	if (n >= PATH_MAX)
		return false;
	memcpy(out, where.dli_fname, n);
	for (unsigned i = 0; places[i]; i++)
		if (join(out + n, PATH_MAX - n, places[i], "", "") && !sys3(SYS_faccessat, AT_FDCWD, out, mode))
			return true;
	return false;
}

bool start_client(char out[PATH_MAX])
{
	return beside(out, (const char *const[]){"/libslipstream-client.so", NULL}, R_OK);
}

static size_t environment_count(void)
{
	size_t n = 0;

	while (environ && environ[n])
		n++;
	return n;
}

/* In the child: nothing of the program's stays open, and the shim stays behind. */
static void exec_keeper(const char *program, const char *mounts)
{
	char *argv[] = {"slipstream", "keeper", "--alone", (char *)shim.session, NULL};
	char *envp[environment_count() + 2], **at = envp;
	int null = sys_open("/dev/null", O_RDWR, 0);

	for (char **e = environ; e && *e; e++)
		if (strncmp(*e, "LD_PRELOAD=", 11) && strncmp(*e, "SLIPSTREAM_MOUNTS=", 18))
			*at++ = *e;
	*at++ = (char *)mounts;
	*at = NULL;
	for (int fd = 0; fd < 3; fd++)
		if (fd != null)
			sys_dup3(null, fd, 0);
	sys3(SYS_close_range, 3, ~0u, 0);
	sys3(SYS_execve, program, argv, envp);
	sys1(SYS_exit_group, 127);
}

/* Not on the stack, which may be a small thread's. */
struct start {
	char program[PATH_MAX], mounts[PATH_MAX + 24];
};

static int start_with(struct start *s)
{
	int status = 0, rc;
	long pid;

	/* In a build tree, and where `make install` puts it. */
	if (!beside(s->program, (const char *const[]){"/slipstream", "/../../bin/slipstream", NULL}, X_OK) ||
	    !join(s->mounts, sizeof s->mounts, "SLIPSTREAM_MOUNTS=", shim.mounts, "")) {
		shim_log("no slipstream beside the library: cannot start", shim.session, 0);
		return -EIO;
	}
	pid = sys5(SYS_clone, 0, 0, 0, 0, 0);
	if (pid == 0)
		exec_keeper(s->program, s->mounts);
	if (pid < 0)
		return (int)pid;
	do
		rc = (int)sys4(SYS_wait4, pid, &status, __WALL, NULL);
	while (rc == -EINTR);
	return rc < 0 || status ? -EIO : 0;
}

int start_keeper(void)
{
	struct start *s;
	int rc;

	if (session_vfork_child())
		return -EIO;
	s = sys_room(sizeof *s);
	if (!s)
		return -ENOMEM;
	rc = start_with(s);
	sys_room_end(s, sizeof *s);
	return rc;
}
