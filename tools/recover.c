/*
 * recover.c: `slipstream recover`: what sessions left unpublished: list it, publish it, copy it, or let it go.
 *
 * What a file was meant for is known with it: the mount's URL, or the embedded server's data. It goes there, unless the
 * command line names another cluster.
 */
#include "tools/copy.h"
#include "tools/leftover.h"
#include "tools/progress.h"
#include "tools/session.h"
#include "tools/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS  4000 /* for a session that is ending: `run` returns before its keeper has left */
#define LOOK_MS  100
#define STALE_MS 1 /* the server's clock ticks in milliseconds */

struct recover {
	int list, all, discard, force;
	char *to, *from, *root, *mounts;
	const char **names;
	struct leftovers left;
	bool *chosen;
	struct cluster cluster; /* of client */
	struct slip_client *client;
	char *meant_for; /* what client is for; NULL: no client */
	int status;
};

static void failed(struct recover *r, const struct leftover *l, const char *why)
{
	r->status = complain(1, "recover: %s: %s", l->path ? l->path : l->id, why);
}

/* ---- list ------------------------------------------------------------------------------------------------------- */

static void list_one(const struct leftover *l)
{
	time_t when = l->mtime_ms / 1000;
	char text[32];

	strftime(text, sizeof text, "%F %H:%M", localtime(&when));
	printf("%-20s %12lld %s %s: %s%s\n", l->id, (long long)l->bytes, text, l->path ? l->path : "(name not known)",
	       l->why ? l->why : "not published", l->stage->alive ? " (its session still runs)" : "");
}

static int list(struct recover *r)
{
	if (!r->left.n)
		complain(0, "nothing is left unpublished");
	for (size_t i = 0; i < r->left.n; i++)
		list_one(&r->left.e[i]);
	return 0;
}

/* ---- which ------------------------------------------------------------------------------------------------------ */

static bool is(const struct leftover *l, const char *name)
{
	return !strcmp(l->id, name) || (l->path && !strcmp(l->path, name));
}

/* Of several versions of one path the last is meant; the others by their ids only. */
static bool superseded(struct recover *r, size_t i)
{
	const struct leftover *l = &r->left.e[i];

	for (size_t later = i + 1; l->path && later < r->left.n; later++)
		if (r->left.e[later].path && !strcmp(r->left.e[later].path, l->path))
			return true;
	return false;
}

static int choose(struct recover *r)
{
	int rc = 0;

	free(r->chosen);
	r->chosen = calloc(r->left.n + 1, sizeof *r->chosen);
	if (!r->chosen)
		return -ENOMEM;
	for (size_t i = 0; r->all && i < r->left.n; i++)
		r->chosen[i] = r->discard || r->to || !superseded(r, i);
	for (const char **name = r->names; !r->all && *name; name++) {
		bool found = false;

		for (size_t i = 0; i < r->left.n; i++) {
			bool this = is(&r->left.e[i], *name) && (!strcmp(r->left.e[i].id, *name) || !superseded(r, i));

			r->chosen[i] |= this;
			found |= this;
		}
		if (!found)
			rc = complain(-ENOENT, "recover: %s: nothing of that name is left unpublished", *name);
	}
	return rc;
}

static bool waits(const struct recover *r)
{
	for (size_t i = 0; i < r->left.n; i++)
		if (r->chosen[i] && r->left.e[i].stage->alive)
			return true;
	return false;
}

/* Find and choose; wait a little for sessions that are ending. 0 or -errno, told. */
static int look(struct recover *r)
{
	int rc;

	for (int waited_ms = 0;; waited_ms += LOOK_MS) {
		rc = leftovers_find(r->from, &r->left);
		if (!rc)
			rc = choose(r);
		if (rc || !waits(r) || waited_ms >= WAIT_MS)
			return rc;
		leftovers_release(&r->left);
		usleep(LOOK_MS * 1000);
	}
}

/* ---- publish ---------------------------------------------------------------------------------------------------- */

static void client_close(struct recover *r)
{
	if (!r->meant_for)
		return;
	slip_client_free(r->client);
	cluster_close(&r->cluster);
	free(r->meant_for);
	r->meant_for = NULL;
}

/* r->client for this file; it has complained if that fails. */
static int client_for(struct recover *r, const struct leftover *l)
{
	bool told = r->root || r->mounts;
	const char *root = told ? r->root : l->root, *mounts = told ? r->mounts : l->root ? NULL : l->mount;
	const char *meant_for = root ? root : mounts ? mounts : "";
	int rc;

	if (r->meant_for && !strcmp(r->meant_for, meant_for))
		return 0;
	client_close(r);
	rc = cluster_open(root, mounts, &r->cluster);
	if (rc)
		return rc;
	rc = cluster_client(&r->cluster, &r->client);
	if (rc) {
		cluster_close(&r->cluster);
		return rc;
	}
	r->meant_for = strdup(meant_for);
	return r->meant_for ? 0 : -ENOMEM;
}

static void publish(struct recover *r, struct leftover *l)
{
	struct progress progress;
	struct slip_stat st;
	int fd, rc;

	if (!l->path) {
		failed(r, l, "its name is not known: copy it with --to, or let it go with --discard");
		return;
	}
	rc = client_for(r, l);
	if (rc) {
		failed(r, l, "not published: see above");
		return;
	}
	if (!r->force && !slip_stat(r->client, l->path, &st) && st.complete && st.mtime_ms > l->mtime_ms + STALE_MS) {
		failed(r, l, "what is there is newer: -f replaces it");
		return;
	}
	fd = leftover_open(l);
	progress_init(&progress, l->path, l->bytes);
	rc = fd < 0 ? fd : copy_in(r->client, fd, l->path, O_TRUNC, l->mode, &progress);
	progress_end(&progress);
	if (fd >= 0)
		close(fd);
	if (!rc)
		rc = leftover_remove(l);
	if (rc)
		r->status = complain(1, "recover: %s: %s%s%s", l->path, strerror(-rc), *slip_last_error() ? ": " : "",
				     slip_last_error());
	else
		printf("published %s\n", l->path);
}

/* ---- copy ------------------------------------------------------------------------------------------------------- */

/* The directories above a path. */
static int make_above(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int rc;

		*slash = '\0';
		rc = mkdir(path, 0777) && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (rc)
			return rc;
	}
	return 0;
}

static int copy_bytes(int from, int to)
{
	char buf[65536];
	ssize_t n;
	int rc = 0;

	while (!rc && (n = read(from, buf, sizeof buf)) != 0)
		rc = n < 0 ? -errno : write_all(to, buf, (size_t)n);
	return rc;
}

static int copy_to(const struct leftover *l, const char *path, bool force)
{
	struct timespec times[2] = {{l->mtime_ms / 1000, l->mtime_ms % 1000 * 1000000}};
	int from = leftover_open(l), to, rc;

	if (from < 0)
		return from;
	to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), l->mode);
	rc = to < 0 ? -errno : copy_bytes(from, to);
	times[1] = times[0];
	if (!rc && futimens(to, times))
		rc = -errno;
	if (to >= 0 && close(to) && !rc)
		rc = -errno;
	if (rc && to >= 0)
		unlink(path);
	close(from);
	return rc;
}

/* Under its whole path, so that no two meet: DIR/goosefs/out/a. */
static void copy(struct recover *r, struct leftover *l)
{
	char path[2 * PATH_MAX];
	int rc;

	snprintf(path, sizeof path, "%s/%s", r->to, l->path ? l->path + strspn(l->path, "/") : l->id);
	if (superseded(r, (size_t)(l - r->left.e))) {
		strcat(path, "-");
		strcat(path, l->id);
	}
	rc = make_above(path);
	if (!rc)
		rc = copy_to(l, path, r->force);
	if (!rc)
		rc = leftover_remove(l);
	if (rc)
		r->status = complain(1, "recover: %s: %s", path, strerror(-rc));
	else
		printf("copied %s to %s\n", l->path ? l->path : l->id, path);
}

static void discard(struct recover *r, struct leftover *l)
{
	int rc = leftover_remove(l);

	if (rc)
		failed(r, l, strerror(-rc));
	else
		printf("discarded %s\n", l->path ? l->path : l->id);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static void deal_with(struct recover *r, struct leftover *l)
{
	if (l->stage->alive)
		failed(r, l, "its session still runs; see slipstream status");
	else if (r->discard)
		discard(r, l);
	else if (r->to)
		copy(r, l);
	else
		publish(r, l);
}

/* Dead sessions of which nothing is left: with --all each, otherwise those that we took the last file of. */
static void tidy(struct recover *r)
{
	for (size_t s = 0; s < r->left.stage_count; s++) {
		bool mine = r->all, left = false;

		for (size_t i = 0; i < r->left.n; i++) {
			if (r->left.e[i].stage != r->left.stages[s])
				continue;
			mine |= r->left.e[i].gone;
			left |= !r->left.e[i].gone;
		}
		if (mine && !left)
			leftover_stage_remove(r->left.stages[s]);
	}
}

/* A session that died before it had, or after it had lost, its staging directory. */
static int remove_if_bare(void *context, const char *session)
{
	char path[PATH_MAX + 16];
	struct stat st;

	(void)context;
	snprintf(path, sizeof path, "%s/stage", session);
	if (stat(path, &st))
		session_remove(session);
	return 0;
}

static int recover(struct recover *r)
{
	int rc = look(r);

	if (rc)
		return 1;
	for (size_t i = 0; i < r->left.n; i++)
		if (r->chosen[i])
			deal_with(r, &r->left.e[i]);
	client_close(r);
	tidy(r);
	if (r->all && !r->from)
		session_each(remove_if_bare, NULL);
	return r->status;
}

static int misused(const char *why)
{
	return complain(2, "recover: %s", why);
}

static int recover_checked(struct recover *r)
{
	struct stat st;

	if (r->all && *r->names)
		return misused("--all or names, not both");
	if (r->to && r->discard)
		return misused("--to or --discard, not both");
	if (r->root && r->mounts)
		return misused("--root is for the embedded server, --mount for a cluster; give one");
	if ((r->to || r->discard) && !r->all && !*r->names)
		return misused("which files? --all, or their names as --list has them");
	if (r->to && (stat(r->to, &st) || !S_ISDIR(st.st_mode)))
		return complain(1, "recover: %s: %s", r->to, strerror(ENOTDIR));
	if (!r->list && (r->all || *r->names))
		return recover(r);
	return leftovers_find(r->from, &r->left) ? 1 : list(r);
}

int recover_main(int argc, char **argv)
{
	static const char *none[] = {NULL};
	struct recover r = {.names = none};
	struct poptOption options[] = {
		{"list", 'l', POPT_ARG_NONE, &r.list, 0, "say what there is, and do nothing (default)", NULL},
		{"all", 'a', POPT_ARG_NONE, &r.all, 0, "all of it; dead sessions' directories go, too", NULL},
		{"to", 't', POPT_ARG_STRING, &r.to, 0, "copy into a local directory instead of publishing", "DIR"},
		{"discard", 0, POPT_ARG_NONE, &r.discard, 0, "let it go", NULL},
		{"force", 'f', POPT_ARG_NONE, &r.force, 0, "replace what is newer, or what is in DIR", NULL},
		{"from", 0, POPT_ARG_STRING, &r.from, 0, "look for staging directories there only", "DIR"},
		{"root", 0, POPT_ARG_STRING, &r.root, 0, "publish to the embedded server of this root", "DIR"},
		{"mount", 'm', POPT_ARG_STRING, &r.mounts, 0, "publish to this cluster", "PREFIX=URL"},
		POPT_AUTOHELP POPT_TABLEEND,
	};
	poptContext popt = poptGetContext("slipstream recover", argc, (const char **)argv, options, 0);
	const char **rest;
	int rc;

	poptSetOtherOptionHelp(popt, "[OPTION]... [NAME]...");
	rc = poptGetNextOpt(popt);
	if (rc < -1) {
		rc = complain(2, "recover: %s: %s", poptBadOption(popt, 0), poptStrerror(rc));
	} else {
		rest = poptGetArgs(popt);
		r.names = rest ? rest : none;
		rc = recover_checked(&r);
	}
	leftovers_release(&r.left);
	free(r.chosen);
	poptFreeContext(popt);
	return rc;
}
