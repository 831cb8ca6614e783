/*
 * fs.c: `slipstream fs`: direct commands on a cluster's files, through the client's public header as any program could.
 *
 * Two tables: verbs, and the options that verbs name by their keys. What a verb does not name it refuses.
 */
#include "tools/fs.h"
#include "tools/tools.h"

#include <errno.h>
#include <popt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 8 /* of one verb */

static const struct verb {
	const char *name;
	fs_verb *run;
	size_t least;        /* paths it wants */
	const char *options; /* keys */
	const char *usage, *help;
} verbs[] = {
	{"ls", fs_ls, 1, "ldhRr", "PATH...", "list"},
	{"stat", fs_stat, 1, "", "PATH...", "attributes"},
	{"du", fs_du, 1, "shRQ", "PATH...", "bytes below directories"},
	{"count", fs_count, 1, "h", "PATH...", "files, directories and bytes below"},
	{"df", fs_df, 0, "h", "[PATH...]", "space of the cluster; of all mounts by default"},
	{"cat", fs_cat, 1, "", "PATH...", "contents to standard output"},
	{"head", fs_head, 1, "nc", "PATH...", "the first lines (10) or bytes"},
	{"tail", fs_tail, 1, "ncF", "PATH...", "the last lines (10) or bytes; and what comes"},
	{"get", fs_get, 2, "RQf", "PATH... LOCAL|-", "copy from the cluster"},
	{"put", fs_put, 2, "RQf", "LOCAL|-... PATH", "copy to the cluster"},
	{"mkdir", fs_mkdir, 1, "p", "PATH...", "make directories"},
	{"mv", fs_mv, 2, "", "PATH... PATH", "rename, or move into a directory"},
	{"rm", fs_rm, 1, "RQf", "PATH...", "remove"},
	{"ln", fs_ln, 2, "Sf", "TARGET LINK", "make a symbolic link"},
	{"touch", fs_touch, 1, "C", "PATH...", "make empty files"},
	{"chmod", fs_chmod, 2, "RQ", "MODE PATH...", "change permissions: 644, u+x,go-w"},
	{"chown", fs_chown, 2, "RQ", "[OWNER][:GROUP] PATH...", "change who owns it"},
};

static const struct option {
	char key; /* what verbs call it, and fs->on is indexed by */
	char letter;
	const char *name, *argument, *help;
} options[] = {
	{'l', 'l', "long", NULL, "with attributes"},
	{'d', 'd', "directory", NULL, "directories themselves, not what is in them"},
	{'h', 'h', "human-readable", NULL, "sizes such as 1.5M"},
	{'r', 'r', "reverse", NULL, "in reverse order"},
	{'R', 'R', "recursive", NULL, "with all below"},
	{'Q', 'r', NULL, NULL, NULL}, /* as users of cp and rm expect */
	{'s', 's', "summarize", NULL, "the total of each path only"},
	{'n', 'n', "lines", "N", "this many lines"},
	{'c', 'c', "bytes", "N", "this many bytes; 4K, 1M"},
	{'F', 'f', "follow", NULL, "print what is added until interrupted"},
	{'f', 'f', "force", NULL, "replace what is there; absent is fine"},
	{'p', 'p', "parents", NULL, "with the directories above; there already is fine"},
	{'S', 's', "symbolic", NULL, "the only kind of link there is"},
	{'C', 'c', "no-create", NULL, "make nothing"},
};

/* ---- what the verbs use ----------------------------------------------------------------------------------------- */

void fs_failed(struct fs *fs, const char *what, int rc)
{
	const char *said = slip_last_error();

	fs->status = complain(1, "fs %s: %s: %s%s%s%s", fs->verb, what, strerror(-rc), *said ? " (" : "", said,
			      *said ? ")" : "");
}

void fs_failed_here(struct fs *fs, const char *what, int rc)
{
	fs->status = complain(1, "fs %s: %s: %s", fs->verb, what, strerror(-rc));
}

void fs_misused(struct fs *fs, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	fs->status = complain(2, "fs %s: %s", fs->verb, text);
}

char *fs_join(const char *dir, const char *name)
{
	size_t n = strlen(dir);
	char *path = NULL;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (asprintf(&path, "%.*s%s%s", (int)n, dir, n && dir[n - 1] == '/' ? "" : "/", name) < 0)
		exit(complain(1, "out of memory"));
	return path;
}

const char *fs_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool fs_is_directory(struct fs *fs, const char *path)
{
	struct slip_stat st;

	return slip_stat(fs->client, path, &st) == 0 && st.type == SLIP_DIRECTORY;
}

void fs_each_to(struct fs *fs, const char **paths, size_t n, bool into,
		void (*one)(struct fs *, const char *from, const char *to))
{
	const char *to = paths[n - 1];

	if (n > 2 && !into) {
		fs_failed_here(fs, to, -ENOTDIR);
		return;
	}
	for (size_t i = 0; i + 1 < n; i++) {
		char *target = into ? fs_join(to, fs_base_name(paths[i])) : NULL;

		one(fs, paths[i], target ? target : to);
		free(target);
	}
}

/* ---- entries ---------------------------------------------------------------------------------------------------- */

static int collect(void *context, const char *name, const struct slip_stat *st)
{
	struct entries *all = context;

	if (all->n == all->room) {
		size_t room = all->room ? 2 * all->room : 64;
		struct entry *e = realloc(all->e, room * sizeof *e);

		if (!e)
			return -ENOMEM;
		all->e = e;
		all->room = room;
	}
	all->e[all->n].name = strdup(name);
	all->e[all->n].st = *st;
	return all->e[all->n++].name ? 0 : -ENOMEM;
}

void entries_release(struct entries *all)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->e[i].name);
	free(all->e);
	*all = (struct entries){0};
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

int entries_list(struct fs *fs, const char *path, struct entries *all)
{
	int rc = slip_list(fs->client, path, collect, all);

	if (!rc && all->n)
		qsort(all->e, all->n, sizeof *all->e, by_name);
	return rc;
}

static void walk(struct fs *fs, const char *path, const struct slip_stat *st, bool after, fs_walk_fn *each,
		 void *context)
{
	struct entries all = {0};
	int rc;

	if (!after)
		each(fs, context, path, st);
	rc = st->type == SLIP_DIRECTORY ? entries_list(fs, path, &all) : 0;
	if (rc)
		fs_failed(fs, path, rc);
	for (size_t i = 0; i < all.n; i++) {
		char *below = fs_join(path, all.e[i].name);

		walk(fs, below, &all.e[i].st, after, each, context);
		free(below);
	}
	if (after)
		each(fs, context, path, st);
	entries_release(&all);
}

void fs_walk(struct fs *fs, const char *path, bool after, fs_walk_fn *each, void *context)
{
	struct slip_stat st;
	int rc = slip_stat(fs->client, path, &st);

	if (rc)
		fs_failed(fs, path, rc);
	else
		walk(fs, path, &st, after, each, context);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static int usage(const char *why)
{
	FILE *to = why ? stderr : stdout;

	if (why)
		complain(0, "fs: %s", why);
	fputs("Usage: slipstream fs [--root DIR | --mount PREFIX=URL] COMMAND [OPTION]... PATH...\n\n", to);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		char line[80];

		snprintf(line, sizeof line, "%s %s", verbs[i].name, verbs[i].usage);
		fprintf(to, "  %-32s %s\n", line, verbs[i].help);
	}
	fputs("\n`slipstream fs COMMAND --help` lists a command's options.\n", to);
	return why ? 2 : 0;
}

static const struct option *option_of(char key)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (options[i].key == key)
			return &options[i];
	return NULL;
}

/* The verb's options as popt wants them; table has room for OPTIONS_MAX + 2. */
static void options_draw(const struct verb *verb, struct fs *fs, struct poptOption *table)
{
	size_t n = 0;

	for (const char *key = verb->options; *key && n < OPTIONS_MAX; key++) {
		const struct option *o = option_of(*key);
		struct poptOption *p = &table[n++];

		*p = (struct poptOption){o->name, o->letter, POPT_ARG_NONE, NULL, o->key, o->help, o->argument};
		if (o->argument) {
			p->argInfo = POPT_ARG_STRING;
			p->arg = *key == 'n' ? (void *)&fs->lines : (void *)&fs->bytes;
		}
		if (!o->name)
			p->argInfo |= POPT_ARGFLAG_DOC_HIDDEN;
	}
	table[n++] = (struct poptOption){"help", '?', POPT_ARG_NONE, NULL, '?', "print this", NULL};
	table[n] = (struct poptOption)POPT_TABLEEND;
}

/* 0, or an exit status + 1: the command is done. paths: in *popt, which is to be freed. */
static int verb_parse(const struct verb *verb, struct fs *fs, int argc, const char **argv, poptContext *popt,
		      struct poptOption *table)
{
	int key;

	options_draw(verb, fs, table);
	*popt = poptGetContext("slipstream fs", argc, argv, table, 0);
	poptSetOtherOptionHelp(*popt, verb->usage);
	while ((key = poptGetNextOpt(*popt)) > 0) {
		if (key == '?') {
			poptPrintHelp(*popt, stdout, 0);
			return 1;
		}
		fs->on[key == 'Q' ? 'R' : key] = true;
	}
	if (key < -1)
		return 1 + complain(2, "fs %s: %s: %s", verb->name, poptBadOption(*popt, 0), poptStrerror(key));
	return 0;
}

static int fs_run(const struct verb *verb, struct fs *fs, const char *root, const char *mounts, const char **paths,
		  size_t n)
{
	struct cluster cluster;

	if (cluster_open(root, mounts, &cluster))
		return 1;
	if (cluster_client(&cluster, &fs->client)) {
		fs->status = 1;
	} else {
		verb->run(fs, paths, n);
		slip_client_free(fs->client);
	}
	cluster_close(&cluster);
	if (fflush(stdout) || ferror(stdout))
		fs->status = complain(1, "fs %s: standard output: %s", fs->verb, strerror(errno));
	return fs->status;
}

static const struct verb *verb_of(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static size_t count(const char **words)
{
	size_t n = 0;

	while (words && words[n])
		n++;
	return n;
}

/* words: the verb, its options and paths. */
static int verb_main(int argc, const char **words, const char *root, const char *mounts)
{
	const struct verb *verb = verb_of(words[0]);
	const char **argv = calloc((size_t)argc + 1, sizeof *argv), **paths;
	struct poptOption table[OPTIONS_MAX + 2];
	struct fs fs = {.verb = words[0]};
	poptContext popt = NULL;
	char title[64];
	int rc;

	if (!verb || !argv) {
		free(argv);
		return usage("unknown command");
	}
	memcpy(argv, words, (size_t)argc * sizeof *argv);
	snprintf(title, sizeof title, "slipstream fs %s", verb->name);
	argv[0] = title; /* what --help calls us */
	rc = verb_parse(verb, &fs, argc, argv, &popt, table);
	paths = poptGetArgs(popt);
	if (rc)
		rc--;
	else if (count(paths) < verb->least)
		rc = complain(2, "fs %s: usage: slipstream fs %s [OPTION]... %s", verb->name, verb->name, verb->usage);
	else
		rc = fs_run(verb, &fs, root, mounts, paths, count(paths));
	poptFreeContext(popt);
	free((char *)fs.lines);
	free((char *)fs.bytes);
	free(argv);
	return rc;
}

int fs_main(int argc, char **argv)
{
	char *root = NULL, *mounts = NULL;
	int help = 0;
	struct poptOption table[] = {
		{"root", 0, POPT_ARG_STRING, &root, 0, NULL, NULL},
		{"mount", 'm', POPT_ARG_STRING, &mounts, 0, NULL, NULL},
		{"help", '?', POPT_ARG_NONE, &help, 0, NULL, NULL},
		{NULL, 'h', POPT_ARG_NONE, &help, 0, NULL, NULL},
		POPT_TABLEEND,
	};
	poptContext popt =
		poptGetContext("slipstream fs", argc, (const char **)argv, table, POPT_CONTEXT_POSIXMEHARDER);
	int rc = poptGetNextOpt(popt);
	const char **rest = poptGetArgs(popt);

	if (rc < -1)
		rc = complain(2, "fs: %s: %s", poptBadOption(popt, 0), poptStrerror(rc));
	else if (help)
		rc = usage(NULL);
	else if (!rest)
		rc = usage("which command?");
	else
		rc = verb_main((int)count(rest), rest, root, mounts);
	poptFreeContext(popt);
	free(root);
	free(mounts);
	return rc;
}
