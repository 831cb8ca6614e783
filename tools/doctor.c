/*
 * doctor.c: `slipstream doctor [PROGRAM]`: will it work here, and if not exactly why. One line for each check; the checks
 * are a table.
 */
#include "tools/image.h"
#include "tools/session.h"
#include "tools/tools.h"
#include "client/command.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <popt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CONNECT_MS   2000
#define FILES_FEW    1024
#define SHM_FEW      (64ull << 20)
#define SCRIPT_DEPTH 4

struct doctor {
	const char *program; /* or NULL */
	char *root, *mounts; /* of the command line, or NULL */
	struct slip_client *client;
	bool failed;
};

enum verdict { OK, WARN, FAIL };

__attribute__((format(printf, 3, 4))) static void say(struct doctor *d, enum verdict v, const char *format, ...)
{
	static const char *const words[] = {"OK  ", "WARN", "FAIL"};
	va_list ap;

	printf("%s ", words[v]);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	d->failed |= v == FAIL;
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static void elf_check(struct doctor *d, const struct image *image)
{
	switch (image->kind) {
	case IMAGE_STATIC:
		say(d, FAIL,
		    "%s is statically linked: nothing can be preloaded into it, and it will not see the mounts",
		    image->path);
		return;
	case IMAGE_FOREIGN:
		say(d, FAIL, "%s is built for another architecture than libslipstream.so, which is not loaded into it",
		    image->path);
		return;
	case IMAGE_OTHER:
		say(d, FAIL, "%s is neither an ELF program nor a script that names its interpreter", image->path);
		return;
	default:
		break;
	}
	if (image->privileged)
		say(d, FAIL,
		    "%s runs with other rights than yours (setuid, setgid or capabilities): nothing is preloaded into "
		    "it",
		    image->path);
	else if (image->go)
		say(d, FAIL, "%s is a Go program: it makes its system calls itself, past the preloaded library",
		    image->path);
	else if (image->other_libc)
		say(d, WARN, "%s is started by %s, another C library than libslipstream.so is built for", image->path,
		    image->interpreter);
	else
		say(d, OK, "%s is a dynamically linked program", image->path);
}

static void program_check(struct doctor *d)
{
	struct image image, next;
	char path[PATH_MAX];
	int rc;

	if (!d->program)
		return;
	rc = image_find(d->program, path);
	if (!rc)
		rc = image_look(path, &image);
	for (unsigned depth = 0; !rc && image.kind == IMAGE_SCRIPT && depth < SCRIPT_DEPTH; depth++) {
		rc = image_next(&image, &next);
		if (rc) {
			say(d, FAIL, "%s is a script for %s: %s", image.path, image.interpreter, strerror(-rc));
			return;
		}
		say(d, OK, "%s is a script for %s", image.path, next.path);
		image = next;
	}
	if (rc)
		say(d, FAIL, "%s: %s", d->program, strerror(-rc));
	else
		elf_check(d, &image);
}

/* ---- the cluster ------------------------------------------------------------------------------------------------ */

static int connect_within(const struct addrinfo *to, int timeout_ms)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof error;

	if (fd < 0)
		return -errno;
	if (connect(fd, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS)
		error = errno;
	else if (poll(&ready, 1, timeout_ms) != 1)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		error = errno;
	close(fd);
	return -error;
}

/* "host:port": why it cannot be reached, or NULL. */
static const char *master_check(const char *address)
{
	static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(address, ':');
	struct addrinfo *found;
	char host[256];
	int rc;

	if (!colon)
		return "no port";
	snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
	rc = getaddrinfo(host, colon + 1, &hints, &found);
	if (rc)
		return gai_strerror(rc);
	rc = -ETIMEDOUT;
	for (const struct addrinfo *a = found; a && rc; a = a->ai_next)
		rc = connect_within(a, CONNECT_MS);
	freeaddrinfo(found);
	return rc ? strerror(-rc) : NULL;
}

/* Masters "a:1,b:2": one that listens is enough. true: there is one. */
static bool masters_check(struct doctor *d, const char *prefix, const char *masters)
{
	char *list = strdup(masters), *save = NULL;
	bool any = false;

	for (char *address = strtok_r(list, ", ", &save); address; address = strtok_r(NULL, ", ", &save)) {
		const char *why = master_check(address);

		any |= !why;
		if (why)
			say(d, WARN, "%s: master %s cannot be reached: %s", prefix, address, why);
	}
	if (!any)
		say(d, FAIL, "%s: none of the masters %s can be reached", prefix, masters);
	free(list);
	return any;
}

static void mount_check(struct doctor *d, const char *prefix, const char *url)
{
	const char *authority = strstr(url, "://"), *masters = slip_setting(d->client, "MASTER");
	char named[1024];
	struct slip_stat st;
	int rc;

	if (cluster_hides(prefix))
		say(d, WARN, "%s is on this machine, too: programs in a session see the mount instead", prefix);
	snprintf(named, sizeof named, "%.*s", authority ? (int)strcspn(authority + 3, "/") : 0,
		 authority ? authority + 3 : "");
	if (!masters_check(d, prefix, *named ? named : masters))
		return;
	rc = slip_stat(d->client, prefix, &st);
	if (rc)
		say(d, FAIL, "%s: %s does not answer: %s%s%s", prefix, url, strerror(-rc),
		    *slip_last_error() ? ": " : "", slip_last_error());
	else if (st.type != SLIP_DIRECTORY)
		say(d, FAIL, "%s: %s is not a directory", prefix, url);
	else
		say(d, OK, "%s: %s answers", prefix, url);
}

/* The deepest directory of a path that exists, if no more than so many below it are to be made. */
static void existing(const char *path, unsigned made, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s", path);
	while (made-- && access(out, F_OK)) {
		char *slash = strrchr(out, '/');

		if (!slash)
			strcpy(out, ".");
		else
			slash[slash == out] = '\0';
	}
}

/* The embedded server's data: there and ours, or to be made in a directory that is. */
static void root_check(struct doctor *d)
{
	char root[PATH_MAX], above[PATH_MAX];
	int rc = d->root ? 0 : cluster_default_root(root);

	if (d->root)
		snprintf(root, sizeof root, "%s", d->root);
	if (rc) {
		say(d, FAIL,
		    "no cluster is configured, and neither HOME nor --root says where the embedded server may keep its "
		    "data");
		return;
	}
	existing(root, UINT_MAX, above);
	if (access(above, R_OK | W_OK | X_OK))
		say(d, FAIL, "no cluster is configured, and the embedded server cannot keep its data in %s: %s", root,
		    strerror(errno));
	else
		say(d, OK, "no cluster is configured: the embedded server is started, with its data in %s", root);
}

static void settings_check(struct doctor *d)
{
	char mounts[4096], name[128];
	const char *overrides[] = {"CONNECT_TIMEOUT=2s", "RPC_TIMEOUT=2s", NULL, NULL}, *nearest;
	int rc;

	snprintf(mounts, sizeof mounts, "MOUNTS=%s", d->mounts ? d->mounts : "");
	overrides[2] = d->mounts ? mounts : NULL;
	rc = slip_client_new(overrides, &d->client);
	if (rc)
		say(d, FAIL, "the settings are wrong: %s", *slip_last_error() ? slip_last_error() : strerror(-rc));
	else
		say(d, OK, "the settings can be read");
	for (unsigned i = 0; slip_unknown_setting(i, name, &nearest); i++)
		say(d, WARN, "the environment has %s, which is no setting: %s is", name, nearest);
}

static void cluster_check(struct doctor *d)
{
	const char *prefix, *url;
	unsigned n = 0;

	if (!d->client)
		return;
	while (!d->root && !slip_mount_at(d->client, n, &prefix, &url)) {
		mount_check(d, prefix, url);
		n++;
	}
	if (!n)
		root_check(d);
}

/* ---- this machine ----------------------------------------------------------------------------------------------- */

static void library_check(struct doctor *d)
{
	char path[PATH_MAX];

	if (install_shim(path))
		say(d, FAIL, "libslipstream.so is neither beside this program nor in ../lib/slipstream");
	else if (access(path, R_OK))
		say(d, FAIL, "%s cannot be read: %s", path, strerror(errno));
	else if (strpbrk(path, " :"))
		say(d, FAIL, "%s cannot be preloaded: its name has a blank or a colon", path);
	else
		say(d, OK, "%s is there", path);
}

static void files_check(struct doctor *d)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		say(d, WARN, "the limit of open files is not known: %s", strerror(errno));
	else if (files.rlim_max < FILES_FEW)
		say(d, WARN, "%llu open files at most (ulimit -Hn): a session may want more",
		    (unsigned long long)files.rlim_max);
	else
		say(d, OK, "%llu open files at most", (unsigned long long)files.rlim_max);
}

static void inotify_check(struct doctor *d)
{
	long most = 0;
	FILE *f = fopen("/proc/sys/fs/inotify/max_user_instances", "re");
	int fd = inotify_init1(IN_CLOEXEC);

	if (f && fscanf(f, "%ld", &most) != 1)
		most = 0;
	if (f)
		fclose(f);
	if (fd < 0)
		say(d, FAIL, "no inotify instance is left of %ld (fs.inotify.max_user_instances): %s", most,
		    strerror(errno));
	else
		say(d, OK, "inotify instances can be made, of %ld (fs.inotify.max_user_instances)", most);
	if (fd >= 0)
		close(fd);
}

static void shm_check(struct doctor *d)
{
	struct statvfs fs;
	unsigned long long size, available;

	if (statvfs("/dev/shm", &fs)) {
		say(d, WARN, "/dev/shm: %s: sessions are kept in slower places", strerror(errno));
		return;
	}
	size = (unsigned long long)fs.f_blocks * fs.f_frsize;
	available = (unsigned long long)fs.f_bavail * fs.f_frsize;
	if (access("/dev/shm", W_OK))
		say(d, WARN, "/dev/shm cannot be written to: sessions are kept in slower places");
	else
		say(d, available < SHM_FEW ? WARN : OK, "/dev/shm has %llu MiB, %llu MiB free", size >> 20,
		    available >> 20);
}

static void session_check(struct doctor *d)
{
	char dir[PATH_MAX];
	int rc = session_new(dir);

	if (rc) {
		say(d, FAIL, "no directory for sessions can be made in $XDG_RUNTIME_DIR, /dev/shm or /tmp");
		return;
	}
	rmdir(dir);
	*strrchr(dir, '/') = '\0';
	say(d, OK, "sessions are kept in %s", dir);
}

static void stage_check(struct doctor *d)
{
	char where[PATH_MAX], tested[PATH_MAX];
	int rc;

	for (unsigned i = 0; d->client && slip_stage_candidate(d->client, i, where); i++) {
		if (!*where)
			continue;
		existing(where, i ? 2 : 1, tested); /* as stage.c makes them */
		rc = slip_stage_probe(tested);
		if (!rc) {
			say(d, OK, "%s is fit for staging files", where);
			return;
		}
		say(d, WARN, "%s is not fit for staging files: %s", where,
		    rc == -EOPNOTSUPP ? slip_last_error() : strerror(-rc));
	}
	if (d->client)
		say(d, WARN,
		    "no directory is fit for staging files: they will live in memory, and be lost with the session's "
		    "keeper");
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static void (*const checks[])(struct doctor *) = {
	program_check, library_check, settings_check, cluster_check, session_check,
	stage_check,   shm_check,     files_check,    inotify_check,
};

int doctor_main(int argc, char **argv)
{
	struct doctor d = {0};
	struct poptOption options[] = {
		{"root", 0, POPT_ARG_STRING, &d.root, 0, "the embedded server's data, as for run", "DIR"},
		{"mount", 'm', POPT_ARG_STRING, &d.mounts, 0, "a cluster, as for run", "PREFIX=URL"},
		POPT_AUTOHELP POPT_TABLEEND,
	};
	poptContext popt = poptGetContext("slipstream doctor", argc, (const char **)argv, options, 0);
	int rc;

	poptSetOtherOptionHelp(popt, "[OPTION]... [PROGRAM]");
	rc = poptGetNextOpt(popt);
	d.program = poptGetArg(popt);
	if (rc < -1)
		rc = complain(2, "doctor: %s: %s", poptBadOption(popt, 0), poptStrerror(rc));
	else if (poptPeekArg(popt))
		rc = complain(2, "doctor: one program at a time");
	else
		rc = 0;
	for (size_t i = 0; !rc && i < sizeof checks / sizeof *checks; i++)
		checks[i](&d);
	slip_client_free(d.client);
	poptFreeContext(popt);
	free(d.root);
	free(d.mounts);
	return rc ? rc : d.failed;
}
