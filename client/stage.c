#include "client/stage.h"
#include "client/log.h"
#include "client/path.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define EVENT_MS 200

struct stage {
	char dir[PATH_MAX]; /* "": memfds */
	int fd;             /* of dir, or -1 */
	struct stage_times times;
	_Atomic uint64_t next;
};

/* ---- leases ----------------------------------------------------------------------------------------------------- */

static struct f_owner_ex watcher; /* pid 0: the process */

void lease_watcher(pid_t tid)
{
	watcher = (struct f_owner_ex){.type = F_OWNER_TID, .pid = tid};
}

int lease_unwritten(int fd)
{
	if (watcher.pid && fcntl(fd, F_SETOWN_EX, &watcher))
		return -errno;
	if (fcntl(fd, F_SETSIG, LEASE_SIGNAL) || fcntl(fd, F_SETLEASE, F_RDLCK))
		return -errno;
	return 0;
}

int lease_drop(int fd)
{
	return fcntl(fd, F_SETLEASE, F_UNLCK) ? -errno : 0;
}

bool lease_alone(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK))
		return false;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

bool lease_permitted(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK))
		return errno == EAGAIN;
	lease_drop(fd);
	return true;
}

int fd_reopen(int fd, int flags)
{
	char name[32];
	int again;

	snprintf(name, sizeof name, "/proc/thread-self/fd/%d", fd);
	do
		again = open(name, (flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_CLOEXEC);
	while (again < 0 && errno == EINTR);
	return again < 0 ? -errno : again;
}

/* ---- is a directory fit? ---------------------------------------------------------------------------------------- */

struct probe {
	char name[PATH_MAX];
	int events, reader, writer;
	void *map;
};

static bool event_seen(struct probe *p)
{
	struct pollfd ready = {.fd = p->events, .events = POLLIN};
	char buf[4096];

	if (p->events < 0) /* none is left for this user: the keeper looks itself, see watch.c */
		return true;
	return poll(&ready, 1, EVENT_MS) == 1 && read(p->events, buf, sizeof buf) > 0;
}

static int lacking(const char *what)
{
	error_note("%s", what);
	return -EOPNOTSUPP;
}

static void writer_close(struct probe *p)
{
	close(p->writer);
	p->writer = -1;
}

static int probe_run(struct probe *p)
{
	if (ftruncate(p->writer, 4096))
		return lacking("no space");
	if (lease_unwritten(p->reader) != -EAGAIN)
		return lacking("a lease does not see a writer");
	p->map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p->writer, 0);
	if (p->map == MAP_FAILED)
		return lacking("no shared mappings");
	*(volatile char *)p->map = 1;
	writer_close(p);
	if (lease_unwritten(p->reader) != -EAGAIN)
		return lacking("a lease does not see a mapping after close");
	munmap(p->map, 4096);
	p->map = MAP_FAILED;
	if (!event_seen(p))
		return lacking("no event when the last writer is gone");
	if (lease_unwritten(p->reader) || lease_drop(p->reader))
		return lacking("no lease");
	p->writer = fd_reopen(p->reader, O_WRONLY);
	if (p->writer < 0 || lease_unwritten(p->reader) != -EAGAIN)
		return lacking("a lease does not see a writer through /proc");
	writer_close(p);
	if (!event_seen(p))
		return lacking("no event when a writer through /proc is gone");
	return 0;
}

int stage_probe(const char *dir)
{
	struct probe p = {.events = -1, .reader = -1, .writer = -1, .map = MAP_FAILED};
	int rc = -ENAMETOOLONG;

	if (snprintf(p.name, sizeof p.name, "%s/.probe-XXXXXX", dir) >= (int)sizeof p.name)
		return rc;
	p.writer = mkostemp(p.name, O_CLOEXEC);
	if (p.writer < 0) {
		rc = -errno;
		error_note("%s", strerror(-rc));
		return rc;
	}
	p.events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	p.reader = open(p.name, O_RDONLY | O_CLOEXEC);
	if (p.reader < 0)
		rc = lacking(strerror(errno));
	else if (p.events >= 0 && inotify_add_watch(p.events, dir, IN_CLOSE_WRITE) < 0)
		rc = lacking("no inotify watch");
	else
		rc = probe_run(&p);
	if (p.map != MAP_FAILED)
		munmap(p.map, 4096);
	if (p.writer >= 0)
		close(p.writer);
	if (p.reader >= 0)
		close(p.reader);
	if (p.events >= 0)
		close(p.events);
	unlink(p.name);
	return rc;
}

/* ---- what times of change tell ---------------------------------------------------------------------------------- */

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Two changes in one tick. */
static bool changes_apart(struct probe *p)
{
	struct timespec before, after;
	struct stat first, second;
	int rc;

	do {
		clock_gettime(CLOCK_REALTIME_COARSE, &before);
		rc = pwrite(p->writer, "a", 1, 0) != 1 || fstat(p->writer, &first) ||
		     pwrite(p->writer, "b", 1, 0) != 1 || fstat(p->writer, &second);
		clock_gettime(CLOCK_REALTIME_COARSE, &after);
	} while (!rc && ns_of(before) != ns_of(after));
	return !rc && ns_of(first.st_ctim) != ns_of(second.st_ctim);
}

/* Does a store into a page that was only read through the mapping stamp the file? */
static bool store_stamps(struct probe *p)
{
	const struct timespec long_ago[2] = {{1, 0}, {1, 0}};
	struct stat st;
	char byte;

	p->map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p->writer, 0);
	if (p->map == MAP_FAILED || futimens(p->writer, long_ago))
		return false;
	byte = *(volatile char *)p->map;
	*(volatile char *)p->map = (char)(byte + 1);
	return !fstat(p->writer, &st) && st.st_mtim.tv_sec != long_ago[1].tv_sec;
}

static void times_try(struct stage *s)
{
	struct probe p = {.map = MAP_FAILED};

	if (snprintf(p.name, sizeof p.name, "%s/.probe-XXXXXX", s->dir) >= (int)sizeof p.name)
		return;
	p.writer = mkostemp(p.name, O_CLOEXEC);
	if (p.writer < 0)
		return;
	unlink(p.name);
	if (!ftruncate(p.writer, 4096)) {
		s->times.each = changes_apart(&p);
		s->times.mapped = store_stamps(&p);
	}
	if (p.map != MAP_FAILED)
		munmap(p.map, 4096);
	close(p.writer);
}

/* ---- the directory ---------------------------------------------------------------------------------------------- */

static int directory_make(const char *path)
{
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

bool stage_candidate(unsigned i, const char *configured, char out[PATH_MAX])
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	out[0] = '\0';
	switch (i) {
	case 0:
		snprintf(out, PATH_MAX, "%s", configured);
		return true;
	case 1:
		if (cache && *cache == '/')
			snprintf(out, PATH_MAX, "%s/slipstream", cache);
		return true;
	case 2:
		if (home && *home == '/')
			snprintf(out, PATH_MAX, "%s/.cache/slipstream", home);
		return true;
	case 3:
		snprintf(out, PATH_MAX, "/var/tmp");
		return true;
	case 4:
		snprintf(out, PATH_MAX, "/dev/shm");
		return true;
	default:
		return false;
	}
}

/* Whoever looks for what is in it later is somewhere else. */
static int name_from_root(char path[PATH_MAX])
{
	char *whole = *path == '/' ? NULL : realpath(path, NULL);
	size_t n = whole ? strlen(whole) : 0;

	if (n && n < PATH_MAX)
		memcpy(path, whole, n + 1);
	free(whole);
	return *path == '/' ? 0 : -ENAMETOOLONG;
}

static int private_directory(const char *base, bool asked_for, char out[PATH_MAX])
{
	int rc;

	if (!asked_for) { /* a cache directory may have to be made, too */
		path_parent(base, out);
		directory_make(out);
	}
	rc = directory_make(base);
	if (rc)
		return rc;
	if (snprintf(out, PATH_MAX, "%s/" STAGE_PREFIX "XXXXXX", base) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (!mkdtemp(out))
		return -errno;
	rc = name_from_root(out);
	if (!rc)
		rc = stage_probe(out);
	if (rc)
		rmdir(out);
	return rc;
}

static bool candidate_take(struct stage *s, const char *base, bool asked_for)
{
	int rc = private_directory(base, asked_for, s->dir);

	if (!rc)
		return true;
	log_write(asked_for ? LOG_LEVEL_ERROR : LOG_LEVEL_NOTE, "%s is not fit for staging files: %s", base,
		  rc == -EOPNOTSUPP ? error_noted() : strerror(-rc));
	s->dir[0] = '\0';
	return false;
}

/* For whoever finds the files and nobody who knows them. */
static void session_link(const struct stage *s, int session_fd)
{
	char name[32], session[PATH_MAX];
	ssize_t n;

	snprintf(name, sizeof name, "/proc/thread-self/fd/%d", session_fd);
	n = readlink(name, session, sizeof session - 1);
	session[n > 0 ? n : 0] = '\0';
	if (symlinkat(session, s->fd, "session") && errno != EEXIST)
		log_warn("%s/session: %s", s->dir, strerror(errno));
}

int stage_open(int session_fd, const char *configured, struct stage **out)
{
	struct stage *s = calloc(1, sizeof *s);
	struct timespec now;
	char base[PATH_MAX];
	ssize_t n;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	clock_gettime(CLOCK_REALTIME, &now);
	/* Numbers of a later keeper of the same session are higher than those of an earlier one. */
	atomic_store(&s->next, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	n = readlinkat(session_fd, "stage", s->dir, sizeof s->dir - 1);
	s->dir[n > 0 ? n : 0] = '\0';
	for (unsigned i = 0; !*s->dir && stage_candidate(i, configured, base); i++)
		if (*base)
			candidate_take(s, base, i == 0);
	if (*s->dir)
		s->fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0 || (n < 0 && symlinkat(s->dir, session_fd, "stage"))) {
		if (*s->dir)
			log_error("staging directory %s: %s", s->dir, strerror(errno));
		if (n > 0) { /* it was there, with files in it */
			stage_close(s);
			return -EIO;
		}
		s->dir[0] = '\0';
		log_warn("no directory is fit for staging files: they live in memory and die with the keeper");
	}
	if (s->fd >= 0) {
		if (flock(s->fd, LOCK_SH | LOCK_NB))
			log_warn("%s: %s", s->dir, strerror(errno));
		session_link(s, session_fd);
		times_try(s);
	}
	*out = s;
	return 0;
}

void stage_close(struct stage *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

void stage_remove_all(struct stage *s, int session_fd)
{
	if (!*s->dir)
		return;
	unlinkat(s->fd, "session", 0);
	if (rmdir(s->dir) && errno != ENOENT)
		log_note("%s stays: %s", s->dir, strerror(errno));
	unlinkat(session_fd, "stage", 0);
}

struct stage_times stage_times(const struct stage *s)
{
	return s->times;
}

const char *stage_dir(const struct stage *s)
{
	return *s->dir ? s->dir : NULL;
}

uint64_t stage_free(const struct stage *s)
{
	struct statvfs fs;

	return s->fd < 0 || fstatvfs(s->fd, &fs) ? 0 : (uint64_t)fs.f_bavail * fs.f_frsize;
}

bool stage_room(const struct stage *s, uint64_t max_bytes, uint64_t wanted)
{
	uint64_t free_bytes = stage_free(s);

	if (max_bytes && wanted > max_bytes)
		return false;
	return s->fd < 0 || wanted <= free_bytes - free_bytes / 10;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void number_name(uint64_t number, char out[24])
{
	snprintf(out, 24, "%llx", (unsigned long long)number);
}

static int memory_file(void)
{
	int fd = memfd_create("slipstream-stage", MFD_CLOEXEC), reader;

	if (fd < 0)
		return -errno;
	reader = fd_reopen(fd, O_RDONLY);
	close(fd);
	return reader;
}

int stage_create(struct stage *s, uint64_t *number)
{
	char name[24];
	int fd;

	*number = atomic_fetch_add(&s->next, 1);
	if (s->fd < 0)
		return memory_file();
	number_name(*number, name);
	fd = openat(s->fd, name, O_RDONLY | O_CREAT | O_EXCL | O_NOATIME | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int stage_adopt(struct stage *s, uint64_t number)
{
	char name[24];
	int fd;

	if (s->fd < 0)
		return -ENOENT;
	number_name(number, name);
	fd = openat(s->fd, name, O_RDONLY | O_NOATIME | O_CLOEXEC | O_NOFOLLOW); /* our reading is not the program's */
	return fd < 0 ? -errno : fd;
}

void stage_remove(struct stage *s, uint64_t number)
{
	char name[24];

	number_name(number, name);
	if (s->fd >= 0 && unlinkat(s->fd, name, 0))
		log_warn("staging file %s/%s: %s", s->dir, name, strerror(errno));
}

uint64_t stage_number(const char *name)
{
	char *end;
	uint64_t number = strtoull(name, &end, 16);

	return *name && !*end ? number : 0;
}
