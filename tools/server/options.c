/* options.c: one popt table; what it cannot check is checked after it. */
#include "tools/server/options.h"
#include "tools/server/faults.h"
#include "tools/server/log.h"
#include "tools/server/worker.h"

#include <fcntl.h>
#include <popt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_BLOCK_SIZE (1LL << 40)

/* "64M": bytes, or -1. */
static int64_t parse_size(const char *text)
{
	static const char suffixes[] = "KMGT";
	char *end;
	int64_t n = strtoll(text, &end, 10);
	const char *suffix = *end ? strchr(suffixes, *end & ~0x20) : NULL;

	if (end == text || n <= 0 || (*end && (!suffix || end[1])))
		return -1;
	for (const char *s = suffixes; suffix && s <= suffix; s++) {
		if (n > MAX_BLOCK_SIZE / 1024)
			return -1;
		n *= 1024;
	}
	return n <= MAX_BLOCK_SIZE ? n : -1;
}

static int faults_check(char **list)
{
	struct faults faults;
	char why[128];

	faults_clear(&faults);
	for (; list && *list; list++)
		if (faults_set(&faults, *list, why, sizeof(why))) {
			log_error("--fault: %s", why);
			return 2;
		}
	return 0;
}

static int options_check(struct options *o, const char *auth, const char *block_size)
{
	if (!o->root || !*o->root) {
		log_error("--root DIR is needed");
		return 2;
	}
	if (auth && strcasecmp(auth, "nosasl") && strcasecmp(auth, "simple")) {
		log_error("--auth=%s: neither nosasl nor simple", auth);
		return 2;
	}
	o->auth = auth && !strcasecmp(auth, "nosasl") ? RPC_AUTH_NOSASL : RPC_AUTH_SIMPLE;
	if (block_size && (o->block_size = parse_size(block_size)) < 0) {
		log_error("--block-size=%s: not a size such as 4096, 64K or 1M", block_size);
		return 2;
	}
	if (o->workers < 1 || o->workers > MAX_WORKERS) {
		log_error("--workers=%d: not between 1 and %d", o->workers, MAX_WORKERS);
		return 2;
	}
	if (o->port < 0 || o->port > 65535 || o->worker_port < 0 || o->worker_port + o->workers - 1 > 65535) {
		log_error("a port is not between 0 and 65535");
		return 2;
	}
	if (o->persist_delay_ms < 0) {
		log_error("--persist-delay=%d: not a number of milliseconds", o->persist_delay_ms);
		return 2;
	}
	if (o->ufs && !strcmp(o->ufs, "none"))
		*o->ufs = 0;
	if (faults_check(o->faults))
		return 2;
	if (o->parent_fd != -1 && fcntl(o->parent_fd, F_SETFD, FD_CLOEXEC) < 0) {
		log_error("--exit-with-parent-fd=%d: not an open descriptor", o->parent_fd);
		return 2;
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv)
{
	char *auth = NULL, *block_size = NULL;
	int help = 0;

	*o = (struct options){.workers = 1, .persist_delay_ms = 3000, .parent_fd = -1};

	struct poptOption table[] = {
		{"root", 0, POPT_ARG_STRING, &o->root, 0, "directory that keeps everything; made if missing", "DIR"},
		{"port", 0, POPT_ARG_INT, &o->port, 0, "master's port (default: any free one)", "N"},
		{"worker-port", 0, POPT_ARG_INT, &o->worker_port, 0, "first worker's port, the others follow", "N"},
		{"auth", 0, POPT_ARG_STRING, &auth, 0, "nosasl or simple (default)", "HOW"},
		{"block-size", 0, POPT_ARG_STRING, &block_size, 0, "give every new file blocks of this size", "SIZE"},
		{"workers", 0, POPT_ARG_INT, &o->workers, 0, "how many workers (default 1)", "N"},
		{"ufs", 0, POPT_ARG_STRING, &o->ufs, 0,
		 "directory of the under file system, or none (default: ufs in the root)", "DIR"},
		{"persist-delay", 0, POPT_ARG_INT, &o->persist_delay_ms, 0,
		 "persist in the background no sooner than that (default 3000)", "MS"},
		{"fault", 0, POPT_ARG_ARGV, &o->faults, 0, "fail in this way; may be repeated", "NAME[=VALUE]"},
		{"address-file", 0, POPT_ARG_STRING, &o->address_file, 0, "write the master's address here too",
		 "FILE"},
		{"exit-with-parent-fd", 0, POPT_ARG_INT, &o->parent_fd, 0, "stop when this pipe's writers are gone",
		 "FD"},
		{"help", '?', POPT_ARG_NONE, &help, 0, "print this", NULL},
		POPT_TABLEEND,
	};

	argv[0] = (char *)"slipstream server"; /* what --help calls us */

	poptContext context = poptGetContext("slipstream server", argc, (const char **)argv, table, 0);
	int rc = poptGetNextOpt(context);
	const char *extra = poptPeekArg(context);

	if (rc < -1) {
		log_error("%s: %s", poptBadOption(context, POPT_BADOPTION_NOALIAS), poptStrerror(rc));
		rc = 2;
	} else if (help) {
		poptPrintHelp(context, stdout, 0);
		faults_help(stdout);
		rc = 1;
	} else if (extra) {
		log_error("'%s': the server takes options only", extra);
		rc = 2;
	} else {
		rc = options_check(o, auth, block_size);
	}
	poptFreeContext(context);
	free(auth);
	free(block_size);
	return rc;
}

void options_release(struct options *o)
{
	free(o->root);
	free(o->address_file);
	free(o->ufs);
	for (char **fault = o->faults; fault && *fault; fault++)
		free(*fault);
	free(o->faults);
}
