/*
 * log.c: a line is built on the stack and leaves in one write(), so that lines of several threads and processes
 * that share a file (O_APPEND) do not mix. A line that cannot be written is lost: there is nobody to tell.
 */
#include "client/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct {
	atomic_int level;
	atomic_int fd;
	pthread_mutex_t lock; /* serialises log_open() */
	char fallback[PATH_MAX];
} the_log = {LOG_LEVEL_ERROR, STDERR_FILENO, PTHREAD_MUTEX_INITIALIZER, ""};

static const char *const level_names[] = {"error", "warn", "note", "debug"};

static __thread char noted[512];

static int level_of(const char *name, size_t n)
{
	for (int i = 0; i <= LOG_LEVEL_DEBUG; i++)
		if (strlen(level_names[i]) == n && !strncasecmp(name, level_names[i], n))
			return i;
	return -EINVAL;
}

/* A descriptor that somebody may be writing to is replaced in place, never closed under him. */
static int log_switch(int fd)
{
	int old = atomic_load(&the_log.fd);

	if (old == STDERR_FILENO) {
		atomic_store(&the_log.fd, fd);
		return 0;
	}
	if (fd == STDERR_FILENO) {
		atomic_store(&the_log.fd, fd);
		close(old);
		return 0;
	}
	if (dup3(fd, old, O_CLOEXEC) < 0)
		return -errno;
	close(fd);
	return 0;
}

/* The level of "level[,file]"; file: what follows the comma, or NULL. */
static int spec_parse(const char *spec, const char **file)
{
	size_t n = strcspn(spec, ",");
	int level = level_of(spec, n);

	*file = NULL;
	if (level < 0)
		error_note("SLIPSTREAM_LOG=%s: the level is error, warn, note or debug", spec);
	else if (spec[n] && spec[n + 1 + strspn(spec + n + 1, " ")])
		*file = spec + n + 1 + strspn(spec + n + 1, " ");
	return level;
}

static int log_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), rc;

	if (fd >= 0)
		return fd;
	rc = -errno;
	error_note("log file %s: %s", path, strerror(-rc));
	return rc;
}

/* Under the lock. */
static int log_open_locked(const char *file, const char *fallback, int level)
{
	int fd = STDERR_FILENO, rc;

	if (fallback && snprintf(the_log.fallback, PATH_MAX, "%s", fallback) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (!file && *the_log.fallback)
		file = the_log.fallback;
	if (file)
		fd = log_file(file);
	if (fd < 0)
		return fd;
	rc = log_switch(fd);
	if (!rc)
		atomic_store(&the_log.level, level);
	else if (file)
		close(fd);
	return rc;
}

int log_open(const char *spec, const char *fallback_path)
{
	const char *file = NULL;
	int level = spec && *spec ? spec_parse(spec, &file) : LOG_LEVEL_ERROR, rc;

	if (level < 0)
		return level;
	pthread_mutex_lock(&the_log.lock);
	rc = log_open_locked(file, fallback_path, level);
	pthread_mutex_unlock(&the_log.lock);
	return rc;
}

void log_end(void)
{
	pthread_mutex_lock(&the_log.lock);
	the_log.fallback[0] = '\0';
	log_switch(STDERR_FILENO);
	pthread_mutex_unlock(&the_log.lock);
}

static size_t stamp(char *line, size_t size, enum log_level level)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
	n += snprintf(line + n, size - n, ".%03ldZ slipstream[%d.%ld] %s: ", now.tv_nsec / 1000000, (int)getpid(),
		      syscall(SYS_gettid), level_names[level]);
	return n;
}

/* One line is one event: words of a peer do not begin another, nor speak to the terminal it is read on. */
static void make_printable(char *line, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 127)
			line[i] = '?';
}

void log_write(enum log_level level, const char *format, ...)
{
	int saved = errno;
	char line[1024];
	size_t n;
	int more;
	va_list args;
	ssize_t put;

	if ((int)level > atomic_load_explicit(&the_log.level, memory_order_relaxed))
		return;
	n = stamp(line, sizeof line, level);
	va_start(args, format);
	more = vsnprintf(line + n, sizeof line - n - 1, format, args);
	va_end(args);
	if (more > 0)
		n += (size_t)more < sizeof line - n - 1 ? (size_t)more : sizeof line - n - 2;
	make_printable(line, n);
	line[n++] = '\n';
	do
		put = write(atomic_load(&the_log.fd), line, n);
	while (put < 0 && errno == EINTR);
	errno = saved;
}

void error_note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(noted, sizeof noted, format, args);
	va_end(args);
	make_printable(noted, strlen(noted));
}

const char *error_noted(void)
{
	return noted;
}
