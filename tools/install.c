/*
 * install.c: where our own files are. A build tree and an installed tree look alike: libraries beside the program,
 * or in ../lib/slipstream.
 */
#include "tools/tools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void caller_leave(void)
{
	unsetenv("LD_PRELOAD");
	unsetenv("SLIPSTREAM_SESSION");
	setenv("SLIPSTREAM_INHERIT", "0", 1); /* a session that we are in ourselves must not lead its library there */
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
}

int install_program(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

	if (n < 0)
		return -errno;
	out[n] = '\0';
	return 0;
}

int install_shim(char out[PATH_MAX])
{
	static const char *const places[] = {"libslipstream.so", "../lib/slipstream/libslipstream.so"};
	char program[PATH_MAX], path[2 * PATH_MAX];
	char *slash;
	int rc = install_program(program);

	if (rc)
		return rc;
	slash = strrchr(program, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(path, sizeof path, "%s/%s", program, places[i]);
		if (realpath(path, out))
			return 0;
	}
	return -ENOENT;
}
