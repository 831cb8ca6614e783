/* log.c: a line leaves in one write(), so that those of several processes that share a file do not mix. */
#include "tools/server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static struct {
	bool errors_only, ready;
	int fd; /* -1: standard error */
} the_log = {.fd = -1};

int log_open(const char *spec)
{
	static const char *const levels[] = {"error", "warn", "note", "debug"};
	const char *file;
	size_t n, i = 0;

	if (!spec || !*spec)
		return 0;
	n = strcspn(spec, ",");
	while (i < 4 && (strlen(levels[i]) != n || strncasecmp(spec, levels[i], n)))
		i++;
	if (i == 4) {
		log_error("SLIPSTREAM_LOG=%s: the level is error, warn, note or debug", spec);
		return -EINVAL;
	}
	the_log.errors_only = i == 0;
	file = spec[n] ? spec + n + 1 + strspn(spec + n + 1, " ") : "";
	if (!*file)
		return 0;
	the_log.fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (the_log.fd >= 0)
		return 0;
	log_error("log file %s: %s", file, strerror(errno));
	return -EIO;
}

void log_ready(void)
{
	the_log.ready = true;
}

static void log_put(int fd, const char *line, size_t n)
{
	ssize_t put;

	do
		put = write(fd, line, n);
	while (put < 0 && errno == EINTR);
}

void log_write(bool error, const char *format, ...)
{
	char line[1024];
	struct timespec now;
	struct tm tm;
	size_t time_n, n;
	va_list args;
	int more;

	if (!error && the_log.errors_only)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	time_n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
	time_n += (size_t)snprintf(line + time_n, sizeof line - time_n, ".%03ldZ ", now.tv_nsec / 1000000);
	n = time_n +
	    (size_t)snprintf(line + time_n, sizeof line - time_n, "slipstream server: %s", error ? "" : "warning: ");
	va_start(args, format);
	more = vsnprintf(line + n, sizeof line - n - 1, format, args);
	va_end(args);
	if (more > 0)
		n += (size_t)more < sizeof line - n - 1 ? (size_t)more : sizeof line - n - 2;
	line[n++] = '\n';
	if (the_log.fd >= 0)
		log_put(the_log.fd, line, n);
	if (the_log.fd < 0 || (error && !the_log.ready)) /* to who looks on: without the time */
		log_put(STDERR_FILENO, line + time_n, n - time_n);
}
