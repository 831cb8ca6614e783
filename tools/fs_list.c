/*
 * fs_list.c: what there is: ls, stat, du, count, df.
 */
#include "tools/fs.h"
#include "tools/progress.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *size_text(struct fs *fs, int64_t bytes, char out[32])
{
	if (fs->on['h'])
		return bytes_text(bytes, out);
	snprintf(out, 32, "%lld", (long long)bytes);
	return out;
}

/* A name as a terminal may have it: what would be a command to it is '?', as ls(1) has it. */
static const char *shown(const char *name, char out[PATH_MAX])
{
	size_t n = 0;

	if (!isatty(STDOUT_FILENO))
		return name;
	for (; name[n] && n < PATH_MAX - 1; n++)
		out[n] = iscntrl((unsigned char)name[n]) ? '?' : name[n];
	out[n] = '\0';
	return out;
}

/* ---- ls, stat --------------------------------------------------------------------------------------------------- */

static void print_entry(struct fs *fs, const char *path, const char *name, const struct slip_stat *st)
{
	static const char bits[] = "rwxrwxrwx", types[] = {'-', 'd', 'l'};
	char mode[11] = {types[st->type]}, when[32], size[32], target[PATH_MAX], text[PATH_MAX];
	time_t mtime = st->mtime_ms / 1000;

	if (!fs->on['l']) {
		puts(shown(name, text));
		return;
	}
	for (int i = 0; i < 9; i++)
		mode[1 + i] = st->mode & (0400 >> i) ? bits[i] : '-';
	strftime(when, sizeof when, "%F %H:%M", localtime(&mtime));
	printf("%s %-8s %-8s %12s %s %s", mode, st->owner, st->group, size_text(fs, st->size, size), when,
	       shown(name, text));
	if (st->type == SLIP_SYMLINK && slip_readlink(fs->client, path, target, sizeof target) >= 0)
		printf(" -> %s", shown(target, text));
	puts(st->complete || st->type != SLIP_FILE ? "" : " (incomplete)");
}

static void list_directory(struct fs *fs, const char *path, bool title)
{
	struct entries all = {0};
	int rc = entries_list(fs, path, &all);

	if (title)
		printf("%s:\n", path);
	if (rc)
		fs_failed(fs, path, rc);
	for (size_t i = 0; i < all.n; i++) {
		const struct entry *e = &all.e[fs->on['r'] ? all.n - 1 - i : i];
		char *below = fs_join(path, e->name);

		print_entry(fs, below, e->name, &e->st);
		free(below);
	}
	for (size_t i = 0; fs->on['R'] && i < all.n; i++)
		if (all.e[i].st.type == SLIP_DIRECTORY) {
			char *below = fs_join(path, all.e[i].name);

			putchar('\n');
			list_directory(fs, below, true);
			free(below);
		}
	entries_release(&all);
}

void fs_ls(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slip_stat st;
		int rc = slip_stat(fs->client, paths[i], &st);

		if (rc)
			fs_failed(fs, paths[i], rc);
		else if (st.type == SLIP_DIRECTORY && !fs->on['d'])
			list_directory(fs, paths[i], n > 1 || fs->on['R']);
		else
			print_entry(fs, paths[i], paths[i], &st);
	}
}

void fs_stat(struct fs *fs, const char **paths, size_t n)
{
	static const char *const types[] = {"file", "directory", "symbolic link"};

	for (size_t i = 0; i < n; i++) {
		struct slip_stat st;
		int rc = slip_stat(fs->client, paths[i], &st);
		time_t mtime = rc ? 0 : st.mtime_ms / 1000;
		char when[40];

		if (rc) {
			fs_failed(fs, paths[i], rc);
			continue;
		}
		strftime(when, sizeof when, "%F %T %z", localtime(&mtime));
		printf("path:     %s\ntype:     %s%s\nsize:     %lld\nblock:    %lld\n", paths[i], types[st.type],
		       st.complete || st.type != SLIP_FILE ? "" : " (incomplete)", (long long)st.size,
		       (long long)st.block_size);
		printf("mode:     %04o\nowner:    %s\ngroup:    %s\nmodified: %s\nid:       %llu\n", st.mode, st.owner,
		       st.group, when, (unsigned long long)st.id);
	}
}

/* ---- du, count -------------------------------------------------------------------------------------------------- */

static int64_t sum(struct fs *fs, const char *path, const struct slip_stat *st, bool show)
{
	int64_t bytes = st->type == SLIP_DIRECTORY ? 0 : st->size;
	struct entries all = {0};
	char text[32];
	int rc = st->type == SLIP_DIRECTORY ? entries_list(fs, path, &all) : 0;

	if (rc)
		fs_failed(fs, path, rc);
	for (size_t i = 0; i < all.n; i++) {
		char *below = fs_join(path, all.e[i].name);

		bytes += sum(fs, below, &all.e[i].st, all.e[i].st.type == SLIP_DIRECTORY && !fs->on['s']);
		free(below);
	}
	if (show)
		printf("%s\t%s\n", size_text(fs, bytes, text), path);
	entries_release(&all);
	return bytes;
}

void fs_du(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slip_stat st;
		int rc = slip_stat(fs->client, paths[i], &st);

		if (rc)
			fs_failed(fs, paths[i], rc);
		else
			sum(fs, paths[i], &st, true);
	}
}

struct tally {
	long long files, directories, bytes;
};

static void tally_add(struct fs *fs, void *context, const char *path, const struct slip_stat *st)
{
	struct tally *t = context;

	(void)fs;
	(void)path;
	if (st->type == SLIP_DIRECTORY) {
		t->directories++;
		return;
	}
	t->files++;
	t->bytes += st->size;
}

void fs_count(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tally t = {0};
		char bytes[32];

		fs_walk(fs, paths[i], false, tally_add, &t);
		if (t.files || t.directories)
			printf("%10lld %10lld %16s %s\n", t.files, t.directories, size_text(fs, t.bytes, bytes),
			       paths[i]);
	}
}

/* ---- df --------------------------------------------------------------------------------------------------------- */

static void capacity(struct fs *fs, const char *path, const char *url)
{
	char size[32], used_text[32], free_text[32];
	int64_t total, used;
	int rc = slip_capacity(fs->client, path, &total, &used);

	if (rc) {
		fs_failed(fs, path, rc);
		return;
	}
	printf("%-32s %16s %16s %16s %3d%% %s\n", url, size_text(fs, total, size), size_text(fs, used, used_text),
	       size_text(fs, used < total ? total - used : 0, free_text),
	       total > 0 ? (int)(100.0 * (double)used / (double)total + 0.5) : 0, path);
}

/* The URL of the mount that a path is below, as far as a name can tell. */
static const char *url_of(struct fs *fs, const char *path)
{
	const char *prefix, *url;

	for (unsigned i = 0; !slip_mount_at(fs->client, i, &prefix, &url); i++) {
		size_t k = 0;

		while (prefix[k] && prefix[k] == path[k])
			k++;
		if (!prefix[k] && (!path[k] || path[k] == '/'))
			return url;
	}
	return "-";
}

void fs_df(struct fs *fs, const char **paths, size_t n)
{
	const char *prefix, *url;

	printf("%-32s %16s %16s %16s %4s %s\n", "cluster", "bytes", "used", "free", "use", "path");
	for (unsigned i = 0; !n && !slip_mount_at(fs->client, i, &prefix, &url); i++)
		capacity(fs, prefix, url);
	for (size_t i = 0; i < n; i++)
		capacity(fs, paths[i], url_of(fs, paths[i]));
}
