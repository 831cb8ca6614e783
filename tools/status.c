/*
 * status.c: `slipstream status`: this user's sessions: what they say of themselves, and what dead ones left.
 */
#include "tools/leftover.h"
#include "tools/session.h"
#include "tools/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <popt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 2000
#define LOG_LINES 3
#define LOG_BYTES 8192
#define FILES_MAX 10 /* of each session, unless more is asked for */

struct tally {
	unsigned alive, dead;
	bool verbose;
	struct leftovers left;
};

/* Lines of a keeper's answer that only those want who ask for more. */
static const char *const details[] = {"connections ", "threads ",    "records ",   "staged ",
				      "local ",       "page cache ", "uploading ", NULL};

static bool shown(const char *line, bool verbose)
{
	if (!strncmp(line, "session ", 8)) /* the title */
		return false;
	for (const char *const *d = details; !verbose && *d; d++)
		if (!strncmp(line, *d, strlen(*d)))
			return false;
	return true;
}

static void print_lines(char *text, bool verbose)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (shown(line, verbose))
			printf("  %s\n", line);
}

/* The last lines of a session's log: its last errors. */
static void print_log(const char *dir)
{
	char path[PATH_MAX + 8], text[LOG_BYTES + 1];
	FILE *log;
	size_t n;
	unsigned lines = 0;
	char *at;

	snprintf(path, sizeof path, "%s/log", dir);
	log = fopen(path, "re");
	if (!log)
		return;
	if (fseek(log, -LOG_BYTES, SEEK_END))
		rewind(log);
	n = fread(text, 1, LOG_BYTES, log);
	fclose(log);
	while (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	for (at = text + n; at > text && !(at[-1] == '\n' && ++lines == LOG_LINES); at--)
		;
	for (char *save = NULL, *line = strtok_r(at, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		printf("  log %s\n", line);
}

/* Is there no process any more that keeps it? Who keeps it and does not answer is not gone. */
static bool keeper_gone(const char *dir)
{
	char path[PATH_MAX + 16];
	uint32_t pid = 0;
	int fd;

	snprintf(path, sizeof path, "%s/records", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (pread(fd, &pid, sizeof pid, offsetof(struct session_records, keeper_pid)) != sizeof pid)
		pid = 0;
	close(fd);
	snprintf(path, sizeof path, "/proc/%u/exe", pid); /* a zombie has none */
	return pid && access(path, F_OK) && errno == ENOENT;
}

static void print_alive(const char *dir, bool verbose)
{
	char *text = malloc(SESSION_PAYLOAD_MAX + 1);
	int64_t rc = text ? session_ask(dir, SESSION_STATUS, ANSWER_MS, text, SESSION_PAYLOAD_MAX + 1) : -ENOMEM;

	if (rc >= 0) {
		printf("session %s\n", dir);
		print_lines(text, verbose);
	} else if (keeper_gone(dir)) {
		printf("session %s: dead, its keeper is gone: `slipstream run` is to start another\n", dir);
	} else {
		printf("session %s: its keeper does not answer: %s\n", dir, strerror((int)-rc));
	}
	print_log(dir);
	free(text);
}

/* What is in a staging directory that nobody keeps. */
static void print_files(const struct tally *t, struct leftover_stage *stage)
{
	unsigned n = 0;

	stage->told = true;
	for (size_t i = 0; i < t->left.n; i++) {
		const struct leftover *l = &t->left.e[i];

		if (l->stage != stage || (++n > FILES_MAX && !t->verbose))
			continue;
		printf("  not published %s: %s (%lld bytes)\n", l->path ? l->path : l->id, l->why ? l->why : "",
		       (long long)l->bytes);
	}
	if (n > FILES_MAX && !t->verbose)
		printf("  and %u more\n", n - FILES_MAX);
	if (!n && !stage->alive) /* or it is just ending */
		puts("  nothing in it that is not published");
}

static void print_dead(const struct tally *t, const char *dir)
{
	char path[PATH_MAX];

	printf("session %s: dead, its keeper is gone\n", dir);
	for (size_t i = 0; realpath(dir, path) && i < t->left.stage_count; i++)
		if (!strcmp(t->left.stages[i]->session, path))
			print_files(t, t->left.stages[i]);
	print_log(dir);
}

static int session_tell(void *context, const char *dir)
{
	struct tally *t = context;

	if (session_alive(dir)) {
		t->alive++;
		print_alive(dir, t->verbose);
		return 0;
	}
	t->dead++;
	print_dead(t, dir);
	return 0;
}

/* Staging directories of sessions that are not where sessions usually are, or not there at all. */
static void leftovers_tell(struct tally *t)
{
	for (size_t i = 0; i < t->left.stage_count; i++) {
		struct leftover_stage *stage = t->left.stages[i];

		if (stage->alive || stage->told || (stage->empty && !*stage->session))
			continue;
		t->dead++;
		printf("leftover %s\n", stage->path);
		print_files(t, stage);
	}
}

int status_main(int argc, char **argv)
{
	struct tally t = {0};
	int verbose = 0;
	struct poptOption options[] = {
		{"verbose", 'v', POPT_ARG_NONE, &verbose, 0, "all that the keepers say", NULL},
		POPT_AUTOHELP POPT_TABLEEND,
	};
	poptContext popt = poptGetContext("slipstream status", argc, (const char **)argv, options, 0);
	int rc = poptGetNextOpt(popt);
	bool extra = poptPeekArg(popt) != NULL;

	if (rc < -1)
		rc = complain(2, "status: %s: %s", poptBadOption(popt, 0), poptStrerror(rc));
	else if (extra)
		rc = complain(2, "status: it takes no arguments");
	else
		rc = 0;
	poptFreeContext(popt);
	if (rc)
		return rc;
	t.verbose = verbose;
	leftovers_find(NULL, &t.left); /* none, if it fails */
	session_each(session_tell, &t);
	leftovers_tell(&t);
	leftovers_release(&t.left);
	if (!t.alive)
		puts("no sessions");
	if (t.dead)
		puts("`slipstream recover --list` says what dead sessions left, `slipstream recover --all` publishes "
		     "it and tidies up");
	return 0;
}
