#include "tools/leftover.h"
#include "tools/session.h"
#include "tools/tools.h"
#include "client/command.h"
#include "client/kept.h"
#include "client/records.h"
#include "client/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOTE_MAX 16384
#define YOUNG_S  60 /* an empty staging directory may be a session's that starts */

/* ---- staging directories ---------------------------------------------------------------------------------------- */

static bool ours(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/* Where a link leads, or "". */
static void link_read(const char *dir, const char *name, char out[PATH_MAX])
{
	char path[PATH_MAX + 16];
	ssize_t n;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	n = readlink(path, out, PATH_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
}

/* Take it if nobody keeps it. A killed keeper that `run` starts again is gone for a moment; its socket is not. */
static void stage_claim(struct leftover_stage *s)
{
	link_read(s->path, "session", s->session);
	if (!ours(s->session))
		s->session[0] = '\0';
	s->alive = *s->session && session_alive(s->session);
	s->lock = s->alive ? -1 : open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->alive |= s->lock < 0 || flock(s->lock, LOCK_EX | LOCK_NB);
}

static int stage_add(struct leftovers *all, const char *found)
{
	struct leftover_stage *s, **more;
	char path[PATH_MAX];

	if (!ours(found) || !realpath(found, path))
		return 0;
	for (size_t i = 0; i < all->stage_count; i++)
		if (!strcmp(all->stages[i]->path, path))
			return 0;
	more = realloc(all->stages, (all->stage_count + 1) * sizeof(struct leftover_stage *));
	if (!more)
		return -ENOMEM;
	all->stages = more;
	s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	strcpy(s->path, path);
	stage_claim(s);
	all->stages[all->stage_count++] = s;
	return 0;
}

/* Those in a directory. */
static int stages_in(struct leftovers *all, const char *where)
{
	DIR *dir = opendir(where);
	char path[PATH_MAX + 256];
	struct dirent *entry;
	int rc = 0;

	while (dir && !rc && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, STAGE_PREFIX, strlen(STAGE_PREFIX)))
			continue;
		snprintf(path, sizeof path, "%s/%s", where, entry->d_name);
		rc = stage_add(all, path);
	}
	if (dir)
		closedir(dir);
	return rc;
}

static int stage_of_session(void *context, const char *session)
{
	char path[PATH_MAX];

	link_read(session, "stage", path);
	return *path ? stage_add(context, path) : 0;
}

static int stages_usual(struct leftovers *all)
{
	struct slip_client *client;
	char where[PATH_MAX];
	int rc = slip_client_new(NULL, &client);

	if (rc)
		return complain(rc, "settings: %s", *slip_last_error() ? slip_last_error() : strerror(-rc));
	for (unsigned i = 0; !rc && slip_stage_candidate(client, i, where); i++)
		if (*where)
			rc = stages_in(all, where);
	slip_client_free(client);
	return rc ? rc : session_each(stage_of_session, all);
}

static int stages_find(struct leftovers *all, const char *from)
{
	const char *name = from ? strrchr(from, '/') : NULL;
	struct stat st;

	if (!from)
		return stages_usual(all);
	if (stat(from, &st))
		return complain(-errno, "%s: %s", from, strerror(errno));
	name = name ? name + 1 : from;
	return strncmp(name, STAGE_PREFIX, strlen(STAGE_PREFIX)) ? stages_in(all, from) : stage_add(all, from);
}

/* ---- notes ------------------------------------------------------------------------------------------------------ */

/* The value of a field of a note (client/kept.h), the caller's, or NULL. */
static char *field(const char *note, size_t n, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = note; at < note + n;) {
		size_t here = strnlen(at, (size_t)(note + n - at));

		if (here > length && !strncmp(at, name, length) && at[length] == '=')
			return strndup(at + length + 1, here - length - 1);
		at += here + 1;
	}
	return NULL;
}

static bool note_read(struct leftover *l)
{
	char path[PATH_MAX + 64], note[NOTE_MAX];
	char *mode;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/%s" KEPT_SUFFIX, l->stage->path, l->name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	n = read(fd, note, sizeof note);
	close(fd);
	if (n < 0)
		return false;
	l->path = field(note, (size_t)n, "path");
	l->mount = field(note, (size_t)n, "mount");
	l->root = field(note, (size_t)n, "root");
	l->why = field(note, (size_t)n, "error");
	mode = field(note, (size_t)n, "mode");
	l->mode = mode ? (uint32_t)strtoul(mode, NULL, 8) & 0777 : 0600;
	free(mode);
	return true;
}

/* ---- records of a killed session -------------------------------------------------------------------------------- */

/* Read, not mapped: a mapping of a sparse file on tmpfs takes memory for its holes. */
struct table {
	int fd; /* -1: none, or of another version */
	struct staged {
		uint64_t number;
		ino_t ino;
		int index;
	} * staged;
	size_t n;
};

static bool table_at(const struct table *f, int index, struct session_record *rec, size_t n)
{
	off_t off = (off_t)offsetof(struct session_records, record) + (off_t)index * (off_t)sizeof *rec;

	return pread(f->fd, rec, n, off) == (ssize_t)n;
}

static struct record_private private_of(const struct session_record *rec)
{
	struct record_private private;

	memcpy(&private, rec->pad, sizeof private);
	return private;
}

static void table_read(struct table *f)
{
	struct session_record rec;

	f->staged = calloc(SESSION_RECORDS, sizeof *f->staged);
	for (int i = 0; f->staged && i < (int)SESSION_RECORDS; i++)
		if (table_at(f, i, &rec, offsetof(struct session_record, path)) && rec.kind == SESSION_STAGED)
			f->staged[f->n++] = (struct staged){private_of(&rec).place, rec.kernel_ino, i};
}

static void table_close(struct table *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->staged);
	*f = (struct table){.fd = -1};
}

static void table_open(struct table *f, const char *session)
{
	char path[PATH_MAX + 16];
	uint32_t head[2];

	snprintf(path, sizeof path, "%s/records", session);
	*f = (struct table){.fd = *session ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1};
	if (f->fd < 0)
		return;
	if (pread(f->fd, head, sizeof head, 0) == sizeof head && head[0] == SESSION_VERSION &&
	    head[1] == sizeof(struct session_records))
		table_read(f);
	else
		table_close(f);
}

/* The record of a staging file; false: there is none. */
static bool table_find(const struct table *f, uint64_t number, ino_t ino, struct session_record *out)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->staged[i].number == number && f->staged[i].ino == ino)
			return table_at(f, f->staged[i].index, out, sizeof *out);
	return false;
}

static bool unpublished(const struct session_record *rec)
{
	return (private_of(rec).flags & RECORD_DIRTY) && !rec->deleted;
}

/* Line i of the session's list of mounts, or NULL. */
static char *mount_line(const char *session, unsigned i)
{
	char path[PATH_MAX + 16], *line = NULL;
	size_t room = 0;
	FILE *file;
	bool found = false;

	snprintf(path, sizeof path, "%s/mounts", session);
	file = fopen(path, "re");
	while (file && getline(&line, &room, file) > 0 && !(found = !i--))
		;
	if (file)
		fclose(file);
	if (found) {
		line[strcspn(line, "\n")] = '\0';
		return line;
	}
	free(line);
	return NULL;
}

static void record_take(struct leftover *l, const struct session_record *rec)
{
	char root[PATH_MAX];

	link_read(l->stage->session, "root", root);
	l->path = strndup(rec->path, sizeof rec->path);
	l->mount = mount_line(l->stage->session, rec->mount);
	l->root = *root ? strdup(root) : NULL;
	l->why = strdup("its session was killed");
	l->mode = rec->attr.mode & 0777;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void leftover_release(struct leftover *l)
{
	free(l->path);
	free(l->mount);
	free(l->root);
	free(l->why);
}

static int leftover_add(struct leftovers *all, const struct leftover *l)
{
	struct leftover *more = realloc(all->e, (all->n + 1) * sizeof *more);

	if (!more)
		return -ENOMEM;
	all->e = more;
	all->e[all->n++] = *l;
	return 0;
}

/* What is known of it; false: nothing that anybody misses. */
static bool leftover_look(struct leftover *l, const struct table *table, const struct stat *st)
{
	struct session_record rec;

	if (note_read(l))
		return true;
	if (l->stage->alive)
		return false;
	if (table_find(table, strtoull(l->name, NULL, 16), st->st_ino, &rec) && unpublished(&rec)) {
		record_take(l, &rec);
		return true;
	}
	if (table->fd >= 0 || !st->st_size)
		return false;
	l->why = strdup("its session ended without a trace; it may have been published");
	l->mode = 0600;
	return true;
}

static int file_add(struct leftovers *all, const struct leftover_stage *s, const struct table *table, const char *name)
{
	const char *short_name = strrchr(s->path, '/') + 1;
	struct leftover l = {.stage = s};
	struct stat st;
	int rc;

	if (strspn(name, "0123456789abcdef") != strlen(name) || strlen(name) >= sizeof l.name)
		return 0;
	strcpy(l.name, name);
	if (fstatat(s->lock, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return 0;
	if (!strncmp(short_name, STAGE_PREFIX, strlen(STAGE_PREFIX)))
		short_name += strlen(STAGE_PREFIX);
	snprintf(l.id, sizeof l.id, "%.24s-%s", short_name, name);
	l.bytes = st.st_size;
	l.mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	if (!leftover_look(&l, table, &st))
		return 0;
	rc = leftover_add(all, &l);
	if (rc)
		leftover_release(&l);
	return rc;
}

static int files_find(struct leftovers *all, struct leftover_stage *s)
{
	struct table table = {.fd = -1};
	struct dirent *entry;
	DIR *dir = opendir(s->path);
	int rc = 0;

	if (s->lock < 0)
		s->lock = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* without the lock: to look only */
	if (!s->alive)
		table_open(&table, s->session);
	s->empty = true;
	while (dir && !rc && (entry = readdir(dir))) {
		s->empty &= *entry->d_name == '.';
		rc = file_add(all, s, &table, entry->d_name);
	}
	if (dir)
		closedir(dir);
	table_close(&table);
	return rc;
}

static int older(const void *a, const void *b)
{
	const struct leftover *x = a, *y = b;

	return x->mtime_ms < y->mtime_ms ? -1 : x->mtime_ms > y->mtime_ms;
}

int leftovers_find(const char *from, struct leftovers *all)
{
	int rc;

	*all = (struct leftovers){0};
	rc = stages_find(all, from);
	for (size_t i = 0; !rc && i < all->stage_count; i++)
		rc = files_find(all, all->stages[i]);
	if (rc)
		leftovers_release(all);
	else if (all->n)
		qsort(all->e, all->n, sizeof *all->e, older);
	return rc;
}

void leftovers_release(struct leftovers *all)
{
	for (size_t i = 0; i < all->n; i++)
		leftover_release(&all->e[i]);
	free(all->e);
	for (size_t i = 0; i < all->stage_count; i++) {
		if (all->stages[i]->lock >= 0)
			close(all->stages[i]->lock);
		free(all->stages[i]);
	}
	free(all->stages);
	*all = (struct leftovers){0};
}

/* ---- dealing with them ------------------------------------------------------------------------------------------ */

int leftover_open(const struct leftover *l)
{
	int fd = openat(l->stage->lock, l->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

int leftover_remove(struct leftover *l)
{
	char note[64];

	if (unlinkat(l->stage->lock, l->name, 0))
		return -errno;
	snprintf(note, sizeof note, "%s" KEPT_SUFFIX, l->name);
	unlinkat(l->stage->lock, note, 0);
	l->gone = true;
	return 0;
}

/* Has a session that starts just made it? */
static bool young(const struct leftover_stage *s)
{
	struct stat st;

	return s->empty && !fstat(s->lock, &st) && time(NULL) - st.st_ctime < YOUNG_S;
}

void leftover_stage_remove(struct leftover_stage *s)
{
	DIR *dir = s->alive || young(s) ? NULL : opendir(s->path);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(s->lock, entry->d_name, 0);
	closedir(dir);
	rmdir(s->path);
	if (*s->session)
		session_remove(s->session);
}
