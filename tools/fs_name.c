/*
 * fs_name.c: names and attributes: mkdir, mv, rm, ln, touch, chmod, chown.
 */
#include "tools/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ------------------------------------------------------------------------------------------------------ */

static int make_parents(struct fs *fs, const char *path)
{
	char *part = strdup(path);
	int rc = part ? 0 : -ENOMEM;

	for (char *p = part + 1; part && *p && !rc; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (slip_owns(fs->client, part)) {
			rc = slip_mkdir(fs->client, part, 0755);
			if (rc == -EEXIST)
				rc = 0;
		}
		*p = '/';
	}
	free(part);
	return rc;
}

void fs_mkdir(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = fs->on['p'] ? make_parents(fs, paths[i]) : 0;

		if (!rc)
			rc = slip_mkdir(fs->client, paths[i], 0755);
		if (rc == -EEXIST && fs->on['p'] && fs_is_directory(fs, paths[i]))
			rc = 0;
		if (rc)
			fs_failed(fs, paths[i], rc);
	}
}

static void move_one(struct fs *fs, const char *from, const char *to)
{
	int rc = slip_rename(fs->client, from, to, false);

	if (rc)
		fs_failed(fs, from, rc);
}

void fs_mv(struct fs *fs, const char **paths, size_t n)
{
	fs_each_to(fs, paths, n, fs_is_directory(fs, paths[n - 1]), move_one);
}

void fs_rm(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = fs->on['R'] ? slip_remove_tree(fs->client, paths[i]) : slip_unlink(fs->client, paths[i]);

		if (rc && !(rc == -ENOENT && fs->on['f']))
			fs_failed(fs, paths[i], rc);
	}
}

static void link_one(struct fs *fs, const char *target, const char *path)
{
	int rc = slip_symlink(fs->client, target, path);

	if (rc == -EEXIST && fs->on['f']) {
		rc = slip_unlink(fs->client, path);
		if (!rc)
			rc = slip_symlink(fs->client, target, path);
	}
	if (rc)
		fs_failed(fs, path, rc);
}

void fs_ln(struct fs *fs, const char **paths, size_t n)
{
	if (!fs->on['S'])
		fs_failed_here(fs, paths[n - 1], -EOPNOTSUPP); /* a hard link: no cluster has them */
	else
		fs_each_to(fs, paths, n, fs_is_directory(fs, paths[n - 1]), link_one);
}

/* ---- attributes ------------------------------------------------------------------------------------------------- */

/* The protocol makes files, but sets no times. */
static int touch_one(struct fs *fs, const char *path)
{
	struct slip_stat st;
	struct slip_file *f;
	int rc = -EEXIST;

	if (!fs->on['C'])
		rc = slip_open(fs->client, path, O_WRONLY | O_CREAT | O_EXCL, 0644, &f);
	if (!rc)
		return slip_close(f);
	if (rc != -EEXIST)
		return rc;
	rc = slip_stat(fs->client, path, &st);
	return !rc ? -EOPNOTSUPP : rc == -ENOENT && fs->on['C'] ? 0 : rc;
}

void fs_touch(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = touch_one(fs, paths[i]);

		if (rc == -EOPNOTSUPP)
			fs_failed_here(fs, paths[i], rc);
		else if (rc)
			fs_failed(fs, paths[i], rc);
	}
}

/* One clause "who op permissions" of a symbolic mode; false: it is none. */
static bool clause_apply(const char *text, size_t n, bool directory, uint32_t *mode)
{
	static const char whose[] = "ugo";
	size_t ops = 0, i;
	uint32_t who = 0, bits = 0;

	while (ops < n && strchr("ugoa", text[ops])) {
		const char *w = strchr(whose, text[ops++]);

		who |= w ? 0700u >> (3 * (w - whose)) : 0777;
	}
	if (ops == n || !strchr("+-=", text[ops]))
		return false;
	for (i = ops + 1; i < n && strchr("rwxX", text[i]); i++)
		bits |= text[i] == 'r'                                  ? 0444
			: text[i] == 'w'                                ? 0222
			: text[i] == 'x' || directory || (*mode & 0111) ? 0111
									: 0;
	who = who ? who : 0777;
	*mode = text[ops] == '-' ? *mode & ~(bits & who) : (text[ops] == '=' ? *mode & ~who : *mode) | (bits & who);
	return i == n;
}

/* "644" or "u+x,go-w" applied to *mode. false: it is no mode. */
static bool mode_apply(const char *text, bool directory, uint32_t *mode)
{
	char *end;
	unsigned long octal = strtoul(text, &end, 8);

	if (*text >= '0' && *text <= '7') {
		*mode = (uint32_t)octal;
		return !*end && octal <= 07777;
	}
	while (*text) {
		size_t n = strcspn(text, ",");

		if (!clause_apply(text, n, directory, mode))
			return false;
		text += n + (text[n] == ',');
	}
	return true;
}

static void chmod_one(struct fs *fs, void *context, const char *path, const struct slip_stat *st)
{
	uint32_t mode = st->mode;
	int rc;

	if (st->type == SLIP_SYMLINK && fs->on['R'])
		return; /* has no mode of its own */
	mode_apply(context, st->type == SLIP_DIRECTORY, &mode);
	rc = mode > 0777 ? -EOPNOTSUPP : slip_chmod(fs->client, path, mode); /* the protocol has nine bits */
	if (rc)
		fs_failed(fs, path, rc);
}

static void chown_one(struct fs *fs, void *context, const char *path, const struct slip_stat *st)
{
	const char **names = context;
	int rc = slip_chown(fs->client, path, names[0], names[1]);

	(void)st;
	if (rc)
		fs_failed(fs, path, rc);
}

/* each() for the path, or with -R for all below, it last: then its own permissions are the old ones as long as they are needed. */
static void attribute_each(struct fs *fs, const char *path, fs_walk_fn *each, void *context)
{
	struct slip_stat st;
	int rc;

	if (fs->on['R']) {
		fs_walk(fs, path, true, each, context);
		return;
	}
	rc = slip_stat(fs->client, path, &st);
	if (rc)
		fs_failed(fs, path, rc);
	else
		each(fs, context, path, &st);
}

void fs_chmod(struct fs *fs, const char **paths, size_t n)
{
	uint32_t any = 0;

	if (!mode_apply(paths[0], false, &any)) {
		fs_misused(fs, "%s: not a mode", paths[0]);
		return;
	}
	for (size_t i = 1; i < n; i++)
		attribute_each(fs, paths[i], chmod_one, (void *)paths[0]);
}

void fs_chown(struct fs *fs, const char **paths, size_t n)
{
	char *owner = strdup(paths[0]), *group = owner ? strchr(owner, ':') : NULL;
	const char *names[2];

	if (!owner)
		exit(1);
	if (group)
		*group++ = '\0';
	names[0] = *owner ? owner : NULL;
	names[1] = group && *group ? group : NULL;
	if (!names[0] && !names[1])
		fs_misused(fs, "%s: neither an owner nor a group", paths[0]);
	for (size_t i = 1; i < n && (names[0] || names[1]); i++)
		attribute_each(fs, paths[i], chown_one, names);
	free(owner);
}
