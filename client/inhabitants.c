/*
 * inhabitants.c: is anybody left in a session? A program that has not touched a prefix yet has told nobody that it
 * is there; its environment does. Asked only when the keeper would leave.
 */
#include "client/keeper.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENVIRON_MAX (4u << 20)

/* The environment that a process was started with, NUL-separated; NULL: not ours to read, or it is gone. */
static char *environ_of(const char *pid, size_t *bytes)
{
	char path[64];
	size_t room = 65536, n = 0;
	char *text = NULL, *more;
	ssize_t part = 0;
	int fd;

	snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	do {
		n += (size_t)part;
		if (!text || n == room) {
			room *= text ? 2 : 1;
			more = room > ENVIRON_MAX ? NULL : realloc(text, room);
			if (!more)
				break;
			text = more;
		}
		part = read(fd, text + n, room - n);
	} while (part > 0);
	close(fd);
	*bytes = n;
	return text;
}

static bool lives_in(const char *pid, const char *variable)
{
	size_t bytes = 0;
	char *text = environ_of(pid, &bytes);
	bool found = text && memmem(text, bytes, variable, strlen(variable) + 1);

	free(text);
	return found;
}

bool session_inhabited(const char *dir)
{
	char variable[PATH_MAX + 32], self[24];
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool found = false;

	snprintf(variable, sizeof variable, "SLIPSTREAM_SESSION=%s", dir);
	snprintf(self, sizeof self, "%d", getpid());
	while (!found && proc && (e = readdir(proc)))
		found = isdigit((unsigned char)e->d_name[0]) && strcmp(e->d_name, self) &&
			lives_in(e->d_name, variable);
	if (proc)
		closedir(proc);
	return found;
}
