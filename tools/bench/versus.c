/*
 * versus.c: two command lines, each under its own preload, in turns, one execution a round. Prints a row of what it took
 * ("wall") and of the processor time of the command and its children ("cpu"), which other load disturbs less.
 *
 *   versus ROUNDS PRELOAD_THEIRS 'COMMAND THEIRS' PRELOAD_OURS 'COMMAND OURS'
 *
 * A PRELOAD of "-" is none, for the command and all below it. To be started without one itself. Commands are split at
 * blanks, their output is thrown away.
 */
#include "tools/bench/bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 64

extern char **environ;

struct side {
	char *argv[ARGS_MAX];
	char **envp;
};

static char **environment(const char *preload)
{
	char **envp, **out, *entry = NULL;
	unsigned n = 0;

	while (environ[n])
		n++;
	out = envp = calloc(n + 3, sizeof *envp);
	if (!strcmp(preload, "-"))
		entry = strdup("SLIPSTREAM_INHERIT=0");
	else if (asprintf(&entry, "LD_PRELOAD=%s", preload) < 0)
		entry = NULL;
	if (!envp || !entry)
		die("memory");
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "LD_PRELOAD=", 11) && strncmp(*e, "SLIPSTREAM_INHERIT=", 19))
			*out++ = *e;
	*out = entry;
	return envp;
}

static void side_init(struct side *s, const char *preload, char *command)
{
	unsigned n = 0;

	for (char *word = strtok(command, " "); word && n < ARGS_MAX - 1; word = strtok(NULL, " "))
		s->argv[n++] = word;
	s->argv[n] = NULL;
	if (!n)
		die("no command");
	s->envp = environment(preload);
}

static double cpu_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static void measure(const struct side *s, const posix_spawn_file_actions_t *quiet, double *wall, double *cpu)
{
	double began = now_ns(), used = cpu_ns();
	int status, rc;
	pid_t pid;

	rc = posix_spawnp(&pid, s->argv[0], quiet, NULL, s->argv, s->envp);
	if (rc || waitpid(pid, &status, 0) != pid || status)
		die("%s, status %d", s->argv[0], rc ? rc : status);
	*wall = now_ns() - began;
	*cpu = cpu_ns() - used;
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t quiet;
	static struct side theirs, ours;
	static struct rounds wall, cpu;
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 0;

	if (argc != 6 || !n || n > ROUNDS_MAX)
		die("versus ROUNDS PRELOAD COMMAND PRELOAD COMMAND; 1 to %d rounds", ROUNDS_MAX);
	wall.n = cpu.n = n;
	side_init(&theirs, argv[2], argv[3]);
	side_init(&ours, argv[4], argv[5]);
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	for (unsigned i = 0; i < n; i++) {
		measure(&theirs, &quiet, &wall.theirs[i], &cpu.theirs[i]);
		measure(&ours, &quiet, &wall.ours[i], &cpu.ours[i]);
	}
	report("wall", &wall);
	report("cpu", &cpu);
	return 0;
}
