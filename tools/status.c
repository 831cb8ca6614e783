/*
 * status.c: `slipstream status`: this user's sessions: what they say of themselves, and what dead ones left.
 */
#include "tools/leftover.h"
#include "tools/session.h"
#include "tools/tools.h"

#include <errno.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ANSWER_MS 2000
#define LOG_LINES 3
#define LOG_BYTES 8192

struct tally {
	unsigned alive, dead;
	bool verbose;
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

static void print_alive(const char *dir, bool verbose)
{
	char *text = malloc(SESSION_PAYLOAD_MAX + 1);
	int64_t rc = text ? session_ask(dir, SESSION_STATUS, ANSWER_MS, text, SESSION_PAYLOAD_MAX + 1) : -ENOMEM;

	printf("session %s\n", dir);
	if (rc < 0)
		printf("  the keeper does not answer: %s\n", strerror((int)-rc));
	else
		print_lines(text, verbose);
	print_log(dir);
	free(text);
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
	printf("session %s\n  dead: nobody keeps it\n", dir);
	print_log(dir);
	return 0;
}

/* Staging directories of dead sessions: what is in them. */
static unsigned leftovers_tell(void)
{
	struct leftovers left;
	unsigned dead = 0;

	if (leftovers_find(NULL, &left))
		return 0;
	for (size_t s = 0; s < left.stage_count; s++) {
		const struct leftover_stage *stage = left.stages[s];
		long long bytes = 0;
		unsigned files = 0;

		for (size_t i = 0; i < left.n; i++)
			if (left.e[i].stage == stage) {
				files++;
				bytes += left.e[i].bytes;
			}
		if (stage->alive || (stage->empty && !*stage->session))
			continue;
		dead++;
		printf("leftover %s\n  %u files not published, %lld bytes\n", stage->path, files, bytes);
	}
	leftovers_release(&left);
	return dead;
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
	session_each(session_tell, &t);
	t.dead += leftovers_tell();
	if (!t.alive)
		puts("no sessions");
	if (t.dead)
		puts("`slipstream recover --list` says what dead sessions left, `slipstream recover --all` publishes "
		     "it and tidies up");
	return 0;
}
