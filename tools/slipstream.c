/*
 * slipstream.c: the command. Each subcommand is a function of its own; this file only finds it.
 */
#include "tools/tools.h"
#include "client/command.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
	const char *help;
	bool quiet; /* its standard error is not ours to comment on settings */
} commands[] = {
	{"run", run_main, "run a program (or a shell) that sees the mounts: slipstream run [--] CMD...", false},
	{"fs", fs_main, "direct commands, no preload involved: slipstream fs ls|cat|get|put|...", false},
	{"status", status_main, "sessions that are there, and what dead ones left", false},
	{"recover", recover_main, "publish or copy what sessions could not publish", false},
	{"doctor", doctor_main, "will it work here: slipstream doctor [PROGRAM]", true},
	{"server", server_main, "embedded single-machine server, GooseFS protocol: slipstream server --root DIR", true},
	{"keeper", slip_keeper_main, NULL, true}, /* `run` starts it */
};

#define COMMANDS (sizeof commands / sizeof *commands)

int complain(int status, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fflush(stdout);
	fputs("slipstream: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	return status;
}

static void usage(FILE *to)
{
	fputs("Usage: slipstream COMMAND [OPTION]... [ARG]...\n"
	      "Run unmodified programs on files of a distributed cache.\n\nCommands:\n",
	      to);
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].help)
			fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\n`slipstream COMMAND --help` explains a command. Options: --help, --version.\n", to);
}

/* Misspelt settings do nothing, which is worth saying before the command does something else. */
static void settings_tell(void)
{
	char name[128];
	const char *nearest;

	for (unsigned i = 0; slip_unknown_setting(i, name, &nearest); i++)
		complain(0, "environment: no setting is called %s; did you mean %s?", name, nearest);
}

/* What we open is not to be taken for one of these. Programs we start find them closed, as they were. */
static void standard_descriptors_fill(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	static char title[32];

	standard_descriptors_fill();

	if (argc < 2) {
		usage(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("slipstream %s\n", slip_version());
		return 0;
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		if (!commands[i].quiet)
			settings_tell();
		snprintf(title, sizeof title, "slipstream %s", commands[i].name);
		argv[1] = title; /* what --help calls it */
		return commands[i].main(argc - 1, argv + 1);
	}
	return complain(2, "unknown command '%s'; see slipstream --help", argv[1]);
}
