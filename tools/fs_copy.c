/*
 * fs_copy.c: bytes: cat, head, tail, get, put.
 */
#include "tools/copy.h"
#include "tools/fs.h"
#include "tools/progress.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART_BYTES    65536
#define LINES_DEFAULT 10
#define FOLLOW_MS     500

/* ---- cat -------------------------------------------------------------------------------------------------------- */

static void cat_one(struct fs *fs, const char *path)
{
	struct progress silent = {.silent = true};
	struct slip_file *f;
	int rc = slip_open(fs->client, path, O_RDONLY, 0, &f);

	if (!rc) {
		rc = copy_out(f, STDOUT_FILENO, &silent);
		slip_close(f);
	}
	if (rc)
		fs_failed(fs, path, rc);
}

void fs_cat(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cat_one(fs, paths[i]);
}

/* ---- head, tail ------------------------------------------------------------------------------------------------- */

/* "10", "4K": how many. false, and told, if it is no number. */
static bool count_parse(struct fs *fs, const char *text, int64_t *out)
{
	static const char units[] = "KMGT";
	char *end;
	const char *unit;

	errno = 0;
	*out = strtoll(text, &end, 10);
	unit = *end ? strchr(units, *end & ~0x20) : NULL;
	for (const char *u = units; unit && u <= unit; u++)
		if (__builtin_mul_overflow(*out, 1024, out))
			errno = ERANGE;
	if (end != text && !errno && *out >= 0 && !(*end && (!unit || end[1])))
		return true;
	fs_misused(fs, "%s: not a number", text);
	return false;
}

struct part { /* of a file: so many lines, or bytes */
	bool lines;
	int64_t n;
};

static bool part_parse(struct fs *fs, struct part *part)
{
	*part = (struct part){.lines = !fs->bytes, .n = LINES_DEFAULT};
	if (fs->bytes && fs->lines)
		fs_misused(fs, "-n or -c, not both");
	else if (fs->bytes || fs->lines)
		return count_parse(fs, fs->bytes ? fs->bytes : fs->lines, &part->n);
	return !fs->status;
}

/* How many of these n bytes are wanted; part->n is what remains then. */
static size_t head_take(struct part *part, const char *buf, size_t n)
{
	size_t taken = 0;

	if (!part->lines) {
		taken = part->n < (int64_t)n ? (size_t)part->n : n;
		part->n -= (int64_t)taken;
		return taken;
	}
	while (part->n && taken < n) {
		const char *newline = memchr(buf + taken, '\n', n - taken);

		if (!newline)
			return n;
		taken = (size_t)(newline + 1 - buf);
		part->n--;
	}
	return taken;
}

static int head_one(struct slip_file *f, struct part part)
{
	char buf[PART_BYTES];
	ssize_t n;
	int rc = 0;

	while (!rc && part.n && (n = slip_read(f, buf, sizeof buf)) != 0)
		rc = n < 0 ? (int)n : write_all(STDOUT_FILENO, buf, head_take(&part, buf, (size_t)n));
	return rc;
}

/* Where the last lines begin: looked for from the end. A newline at the very end ends the last line. */
static int64_t lines_begin(struct slip_file *f, int64_t size, int64_t lines)
{
	char buf[PART_BYTES];
	int64_t end = size;

	while (lines && end > 0) {
		size_t want = end < PART_BYTES ? (size_t)end : PART_BYTES;
		ssize_t n = slip_pread(f, buf, want, end - (int64_t)want);

		if (n != (ssize_t)want)
			return n < 0 ? n : -EIO;
		for (size_t i = want; i--;)
			if (buf[i] == '\n' && end - (int64_t)(want - i) != size - 1 && !--lines)
				return end - (int64_t)want + (int64_t)i + 1;
		end -= (int64_t)want;
	}
	return lines ? 0 : size;
}

static int tail_one(struct slip_file *f, struct part part)
{
	struct progress silent = {.silent = true};
	struct slip_stat st;
	int64_t off = slip_fstat(f, &st);

	if (!off)
		off = part.lines ? lines_begin(f, st.size, part.n) : part.n < st.size ? st.size - part.n : 0;
	if (off >= 0)
		off = slip_seek(f, off, SEEK_SET);
	return off < 0 ? (int)off : copy_out(f, STDOUT_FILENO, &silent);
}

static void title(const char *path, bool first)
{
	printf("%s==> %s <==\n", first ? "" : "\n", path);
	fflush(stdout);
}

static void each_part(struct fs *fs, const char **paths, size_t n, int (*one)(struct slip_file *, struct part))
{
	struct part part;
	bool first = true;

	if (!part_parse(fs, &part))
		return;
	for (size_t i = 0; i < n; i++) {
		struct slip_file *f;
		int rc = slip_open(fs->client, paths[i], O_RDONLY, 0, &f);

		if (!rc) {
			if (n > 1)
				title(paths[i], first);
			first = false;
			rc = one(f, part);
			slip_close(f);
		}
		if (rc)
			fs_failed(fs, paths[i], rc);
	}
}

void fs_head(struct fs *fs, const char **paths, size_t n)
{
	each_part(fs, paths, n, head_one);
}

/* What has been added since, when a longer version has taken the file's place. A shorter one is new from its start. */
static int64_t follow_more(struct fs *fs, const char *path, int64_t had)
{
	struct progress more = {.silent = true};
	struct slip_stat st;
	struct slip_file *f;
	int rc = slip_stat(fs->client, path, &st);

	if (rc || !st.complete || st.size == had)
		return rc ? rc : had;
	if (st.size < had) {
		fs_failed_here(fs, path, -ESTALE);
		had = 0;
	}
	rc = slip_open(fs->client, path, O_RDONLY, 0, &f);
	if (rc == -EBUSY) /* being replaced just now */
		return had;
	if (rc)
		return rc;
	if (slip_seek(f, had, SEEK_SET) >= 0)
		rc = copy_out(f, STDOUT_FILENO, &more);
	slip_close(f);
	return rc ? rc : had + more.done;
}

/* Wait; true: nobody reads our standard output any more. */
static bool reader_gone(int wait_ms)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	return poll(&out, 1, wait_ms) == 1;
}

static void follow(struct fs *fs, const char *path)
{
	struct slip_stat st;
	int64_t had = slip_stat(fs->client, path, &st);

	for (had = had ? had : st.size; had >= 0; had = follow_more(fs, path, had))
		if (reader_gone(FOLLOW_MS))
			return;
	fs_failed(fs, path, (int)had);
}

void fs_tail(struct fs *fs, const char **paths, size_t n)
{
	if (fs->on['F'] && n > 1) {
		fs_misused(fs, "-f follows one file");
		return;
	}
	each_part(fs, paths, n, tail_one);
	if (fs->on['F'] && !fs->status)
		follow(fs, paths[0]);
}

/* ---- get -------------------------------------------------------------------------------------------------------- */

static void get_one(struct fs *fs, const char *from, const char *to);

static void get_tree(struct fs *fs, const char *from, const char *to)
{
	struct entries all = {0};
	int rc = entries_list(fs, from, &all);

	if (rc)
		fs_failed(fs, from, rc);
	else if (mkdir(to, 0777) && errno != EEXIST)
		fs_failed_here(fs, to, -errno);
	else
		for (size_t i = 0; i < all.n; i++) {
			char *source = fs_join(from, all.e[i].name), *target = fs_join(to, all.e[i].name);

			get_one(fs, source, target);
			free(source);
			free(target);
		}
	entries_release(&all);
}

static void get_link(struct fs *fs, const char *from, const char *to)
{
	char target[PATH_MAX];
	int rc = slip_readlink(fs->client, from, target, sizeof target);

	if (rc < 0) {
		fs_failed(fs, from, rc);
		return;
	}
	if (fs->on['f'])
		unlink(to);
	if (symlink(target, to))
		fs_failed_here(fs, to, -errno);
}

/* The content of what may be a link. */
static void get_file(struct fs *fs, const char *from, const char *to)
{
	struct progress progress;
	struct slip_stat st;
	struct slip_file *f;
	int rc = slip_open(fs->client, from, O_RDONLY, 0, &f), fd;

	if (rc) {
		fs_failed(fs, from, rc);
		return;
	}
	if (slip_fstat(f, &st))
		st = (struct slip_stat){.mode = 0644, .size = -1};
	fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC | (fs->on['f'] ? O_TRUNC : O_EXCL), st.mode);
	if (fd < 0) {
		fs_failed_here(fs, to, -errno);
		slip_close(f);
		return;
	}
	progress_init(&progress, from, st.size);
	rc = copy_out(f, fd, &progress);
	progress_end(&progress);
	slip_close(f);
	if (close(fd) && !rc)
		rc = -errno;
	if (rc) {
		unlink(to);
		fs_failed(fs, from, rc);
	}
}

static void get_one(struct fs *fs, const char *from, const char *to)
{
	struct slip_stat st;
	int rc = slip_stat(fs->client, from, &st);

	if (!rc && st.type == SLIP_DIRECTORY && !fs->on['R'])
		rc = -EISDIR;
	if (rc)
		fs_failed(fs, from, rc);
	else if (st.type == SLIP_DIRECTORY)
		get_tree(fs, from, to);
	else if (st.type == SLIP_SYMLINK && fs->on['R'])
		get_link(fs, from, to);
	else
		get_file(fs, from, to);
}

void fs_get(struct fs *fs, const char **paths, size_t n)
{
	struct stat st;

	if (!strcmp(paths[n - 1], "-"))
		fs_cat(fs, paths, n - 1);
	else
		fs_each_to(fs, paths, n, stat(paths[n - 1], &st) == 0 && S_ISDIR(st.st_mode), get_one);
}

/* ---- put -------------------------------------------------------------------------------------------------------- */

static void put_one(struct fs *fs, const char *from, const char *to);

static void put_tree(struct fs *fs, const char *from, const char *to, uint32_t mode)
{
	int rc = slip_mkdir(fs->client, to, mode);
	struct dirent *entry;
	DIR *dir;

	if (rc && !(rc == -EEXIST && fs_is_directory(fs, to))) {
		fs_failed(fs, to, rc);
		return;
	}
	dir = opendir(from);
	if (!dir) {
		fs_failed_here(fs, from, -errno);
		return;
	}
	while ((entry = readdir(dir))) {
		char *source, *target;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		source = fs_join(from, entry->d_name);
		target = fs_join(to, entry->d_name);
		put_one(fs, source, target);
		free(source);
		free(target);
	}
	closedir(dir);
}

static void put_link(struct fs *fs, const char *from, const char *to)
{
	char target[PATH_MAX];
	ssize_t n = readlink(from, target, sizeof target - 1);
	int rc;

	if (n < 0) {
		fs_failed_here(fs, from, -errno);
		return;
	}
	target[n] = '\0';
	if (fs->on['f'])
		slip_unlink(fs->client, to);
	rc = slip_symlink(fs->client, target, to);
	if (rc)
		fs_failed(fs, to, rc);
}

static void put_content(struct fs *fs, int fd, const char *from, const char *to, const struct stat *st)
{
	struct progress progress;
	int rc;

	progress_init(&progress, from, st ? st->st_size : -1);
	rc = copy_in(fs->client, fd, to, fs->on['f'] ? O_TRUNC : O_EXCL, st ? st->st_mode & 0777 : 0644, &progress);
	progress_end(&progress);
	if (rc)
		fs_failed(fs, to, rc);
}

static void put_file(struct fs *fs, const char *from, const char *to, const struct stat *st)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		fs_failed_here(fs, from, -errno);
		return;
	}
	put_content(fs, fd, from, to, st);
	close(fd);
}

static void put_one(struct fs *fs, const char *from, const char *to)
{
	struct stat st;

	if (!strcmp(from, "-"))
		put_content(fs, STDIN_FILENO, from, to, NULL);
	else if (fs->on['R'] ? lstat(from, &st) : stat(from, &st))
		fs_failed_here(fs, from, -errno);
	else if (S_ISDIR(st.st_mode) && !fs->on['R'])
		fs_failed_here(fs, from, -EISDIR);
	else if (S_ISDIR(st.st_mode))
		put_tree(fs, from, to, st.st_mode & 0777);
	else if (S_ISLNK(st.st_mode))
		put_link(fs, from, to);
	else if (S_ISREG(st.st_mode))
		put_file(fs, from, to, &st);
	else
		fs_failed_here(fs, from, -EOPNOTSUPP); /* a device, a FIFO, a socket */
}

void fs_put(struct fs *fs, const char **paths, size_t n)
{
	fs_each_to(fs, paths, n, fs_is_directory(fs, paths[n - 1]), put_one);
}
