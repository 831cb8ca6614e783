#include "client/kept.h"
#include "client/keeper.h"
#include "client/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* false: staged in memory, so nothing can be kept. */
static bool note_name(const struct keeper *k, const struct inode *in, char out[PATH_MAX])
{
	const char *dir = stage_dir(k->stage);

	return dir && snprintf(out, PATH_MAX, "%s/%llx" KEPT_SUFFIX, dir, (unsigned long long)in->stage) < PATH_MAX;
}

static void field(FILE *note, const char *name, const char *value)
{
	fprintf(note, "%s=%s", name, value);
	putc('\0', note);
}

static void note_fields(const struct keeper *k, const struct inode *in, FILE *note)
{
	const struct mount *mount = mount_at(k->client->mounts, in->mount);
	const char *said = in->error ? error_noted() : "";
	char root[PATH_MAX];
	ssize_t n = readlinkat(k->dir_fd, "root", root, sizeof root - 1);

	field(note, "path", in->path);
	if (mount)
		fprintf(note, "mount=%s=%s%c", mount->prefix, mount->url, '\0');
	fprintf(note, "mode=%o%c", in->mode & 0777, '\0');
	if (n > 0) {
		root[n] = '\0';
		field(note, "root", root);
	}
	fprintf(note, "error=%s%s%s%c", strerror(-in->error), *said ? ": " : "", said, '\0');
}

void kept_write(struct keeper *k, struct inode *in)
{
	char name[PATH_MAX];
	FILE *note;
	bool bad;

	if (!note_name(k, in, name))
		return;
	note = fopen(name, "we");
	if (note)
		note_fields(k, in, note);
	bad = !note || ferror(note);
	if ((note && fclose(note)) || bad)
		log_error("%s, which says that it is %s: %s", name, in->path, strerror(errno));
	in->kept = true;
}

void kept_remove(struct keeper *k, struct inode *in)
{
	char name[PATH_MAX];

	if (in->kept && note_name(k, in, name))
		unlink(name);
	in->kept = false;
}

bool kept_there(struct keeper *k, const struct inode *in)
{
	char name[PATH_MAX];

	return note_name(k, in, name) && access(name, F_OK) == 0;
}
