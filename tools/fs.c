/*
 * fs.c: `slipstream fs`: direct commands on a cluster's files, through the client's public header as any program could.
 */
#include "tools/tools.h"
#include "client/slipstream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COPY_BYTES (4u << 20)

struct fs {
	struct slip_client *client;
	int long_form, recursive, reverse, parents, force;
	int status; /* 0, or 1 after the first failure */
};

static void failed(struct fs *fs, const char *what, int rc)
{
	const char *said = slip_last_error();

	fs->status = complain(1, "%s: %s%s%s%s", what, strerror(-rc), *said ? " (" : "", said, *said ? ")" : "");
}

static char *join(const char *dir, const char *name)
{
	size_t n = strlen(dir);
	char *path = NULL;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (asprintf(&path, "%.*s%s%s", (int)n, dir, n && dir[n - 1] == '/' ? "" : "/", name) < 0) {
		complain(1, "out of memory");
		exit(1);
	}
	return path;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_directory(struct fs *fs, const char *path)
{
	struct slip_stat st;

	return slip_stat(fs->client, path, &st) == 0 && st.type == SLIP_DIRECTORY;
}

/* ---- listings ------------------------------------------------------------------------------------------------------ */

struct entry {
	char *name;
	struct slip_stat st;
};

struct entries {
	struct entry *e;
	size_t n, room;
};

static int collect(void *context, const char *name, const struct slip_stat *st)
{
	struct entries *all = context;

	if (all->n == all->room) {
		size_t room = all->room ? 2 * all->room : 64;
		struct entry *e = realloc(all->e, room * sizeof *e);

		if (!e)
			return -ENOMEM;
		all->e = e;
		all->room = room;
	}
	all->e[all->n].name = strdup(name);
	all->e[all->n].st = *st;
	return all->e[all->n++].name ? 0 : -ENOMEM;
}

static void entries_release(struct entries *all)
{
	for (size_t i = 0; i < all->n; i++)
		free(all->e[i].name);
	free(all->e);
	*all = (struct entries){0};
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* The entries of a directory in the order of their names. */
static int list_sorted(struct fs *fs, const char *path, struct entries *all)
{
	int rc = slip_list(fs->client, path, collect, all);

	if (!rc && all->n)
		qsort(all->e, all->n, sizeof *all->e, by_name);
	return rc;
}

static void print_entry(struct fs *fs, const char *path, const char *name, const struct slip_stat *st)
{
	static const char bits[] = "rwxrwxrwx", types[] = {'-', 'd', 'l'};
	char mode[11] = {types[st->type]}, when[32], target[PATH_MAX];
	time_t mtime = st->mtime_ms / 1000;

	if (!fs->long_form) {
		puts(name);
		return;
	}
	for (int i = 0; i < 9; i++)
		mode[1 + i] = st->mode & (0400 >> i) ? bits[i] : '-';
	strftime(when, sizeof when, "%F %H:%M", localtime(&mtime));
	printf("%s %-8s %-8s %12lld %s %s", mode, st->owner, st->group, (long long)st->size, when, name);
	if (st->type == SLIP_SYMLINK && slip_readlink(fs->client, path, target, sizeof target) >= 0)
		printf(" -> %s", target);
	puts(st->complete || st->type != SLIP_FILE ? "" : " (incomplete)");
}

static void list_directory(struct fs *fs, const char *path, bool title)
{
	struct entries all = {0};
	int rc = list_sorted(fs, path, &all);

	if (title)
		printf("%s:\n", path);
	if (rc)
		failed(fs, path, rc);
	for (size_t i = 0; i < all.n; i++) {
		char *below = join(path, all.e[fs->reverse ? all.n - 1 - i : i].name);

		print_entry(fs, below, all.e[fs->reverse ? all.n - 1 - i : i].name, &all.e[fs->reverse ? all.n - 1 - i : i].st);
		free(below);
	}
	for (size_t i = 0; fs->recursive && i < all.n; i++)
		if (all.e[i].st.type == SLIP_DIRECTORY) {
			char *below = join(path, all.e[i].name);

			putchar('\n');
			list_directory(fs, below, true);
			free(below);
		}
	entries_release(&all);
}

static void fs_ls(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slip_stat st;
		int rc = slip_stat(fs->client, paths[i], &st);

		if (rc)
			failed(fs, paths[i], rc);
		else if (st.type == SLIP_DIRECTORY)
			list_directory(fs, paths[i], n > 1 || fs->recursive);
		else
			print_entry(fs, paths[i], paths[i], &st);
	}
}

static void fs_stat(struct fs *fs, const char **paths, size_t n)
{
	static const char *const types[] = {"file", "directory", "symbolic link"};

	for (size_t i = 0; i < n; i++) {
		struct slip_stat st;
		int rc = slip_stat(fs->client, paths[i], &st);
		time_t mtime = rc ? 0 : st.mtime_ms / 1000;
		char when[40];

		if (rc) {
			failed(fs, paths[i], rc);
			continue;
		}
		strftime(when, sizeof when, "%F %T %z", localtime(&mtime));
		printf("path:     %s\ntype:     %s%s\nsize:     %lld\nblock:    %lld\nmode:     %04o\nowner:    %s\ngroup:    %s\nmodified: %s\nid:       %llu\n",
		       paths[i], types[st.type], st.complete || st.type != SLIP_FILE ? "" : " (incomplete)", (long long)st.size,
		       (long long)st.block_size, st.mode, st.owner, st.group, when, (unsigned long long)st.id);
	}
}

/* ---- copies --------------------------------------------------------------------------------------------------------- */

static int write_all(int fd, const char *buf, size_t n)
{
	while (n) {
		ssize_t done = write(fd, buf, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		buf += done;
		n -= done;
	}
	return 0;
}

/* The file at path to a descriptor. */
static int copy_out(struct fs *fs, const char *path, int fd)
{
	struct slip_file *f;
	char *buf;
	ssize_t n;
	int rc = slip_open(fs->client, path, O_RDONLY, 0, &f);

	if (rc)
		return rc;
	buf = malloc(COPY_BYTES);
	rc = buf ? 0 : -ENOMEM;
	while (!rc && (n = slip_read(f, buf, COPY_BYTES)) != 0)
		rc = n < 0 ? (int)n : write_all(fd, buf, n);
	free(buf);
	slip_close(f);
	return rc;
}

/* A descriptor to the file at path. */
static int copy_in(struct fs *fs, int fd, const char *path, uint32_t mode)
{
	struct slip_file *f;
	char *buf;
	ssize_t n = 1;
	int rc = slip_open(fs->client, path, O_WRONLY | O_CREAT | (fs->force ? O_TRUNC : O_EXCL), mode, &f);

	if (rc)
		return rc;
	buf = malloc(COPY_BYTES);
	rc = buf ? 0 : -ENOMEM;
	while (!rc && n > 0) {
		n = read(fd, buf, COPY_BYTES);
		if (n < 0)
			rc = errno == EINTR ? (n = 1, 0) : -errno;
		else if (n > 0 && (n = slip_write(f, buf, n)) < 0)
			rc = (int)n;
	}
	free(buf);
	if (rc)
		slip_abort(f);
	else
		rc = slip_close(f);
	return rc;
}

static void fs_cat(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = copy_out(fs, paths[i], STDOUT_FILENO);

		if (rc)
			failed(fs, paths[i], rc);
	}
}

static void get_one(struct fs *fs, const char *from, const char *to);

static void get_tree(struct fs *fs, const char *from, const char *to)
{
	struct entries all = {0};
	int rc = list_sorted(fs, from, &all);

	if (rc)
		failed(fs, from, rc);
	else if (mkdir(to, 0777) && errno != EEXIST)
		failed(fs, to, -errno);
	else
		for (size_t i = 0; i < all.n; i++) {
			char *source = join(from, all.e[i].name), *target = join(to, all.e[i].name);

			get_one(fs, source, target);
			free(source);
			free(target);
		}
	entries_release(&all);
}

static int get_link(struct fs *fs, const char *from, const char *to)
{
	char target[PATH_MAX];
	int rc = slip_readlink(fs->client, from, target, sizeof target);

	if (rc < 0)
		return rc;
	if (fs->force)
		unlink(to);
	return symlink(target, to) ? -errno : 0;
}

static int get_file(struct fs *fs, const char *from, const char *to, uint32_t mode)
{
	int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC | (fs->force ? O_TRUNC : O_EXCL), mode);
	int rc;

	if (fd < 0)
		return -errno;
	rc = copy_out(fs, from, fd);
	if (close(fd) && !rc)
		rc = -errno;
	if (rc)
		unlink(to);
	return rc;
}

static void get_one(struct fs *fs, const char *from, const char *to)
{
	struct slip_stat st;
	int rc = slip_stat(fs->client, from, &st);

	if (!rc && st.type == SLIP_DIRECTORY) {
		if (fs->recursive)
			get_tree(fs, from, to);
		else
			failed(fs, from, -EISDIR);
		return;
	}
	if (!rc)
		rc = st.type == SLIP_SYMLINK ? get_link(fs, from, to) : get_file(fs, from, to, st.mode);
	if (rc)
		failed(fs, from, rc);
}

static void put_one(struct fs *fs, const char *from, const char *to);

static void put_tree(struct fs *fs, const char *from, const char *to, uint32_t mode)
{
	int rc = slip_mkdir(fs->client, to, mode);
	struct dirent *entry;
	DIR *dir;

	if (rc && !(rc == -EEXIST && is_directory(fs, to))) {
		failed(fs, to, rc);
		return;
	}
	dir = opendir(from);
	if (!dir) {
		failed(fs, from, -errno);
		return;
	}
	while ((entry = readdir(dir))) {
		char *source, *target;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		source = join(from, entry->d_name);
		target = join(to, entry->d_name);
		put_one(fs, source, target);
		free(source);
		free(target);
	}
	closedir(dir);
}

static int put_link(struct fs *fs, const char *from, const char *to)
{
	char target[PATH_MAX];
	ssize_t n = readlink(from, target, sizeof target - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (fs->force)
		slip_unlink(fs->client, to);
	return slip_symlink(fs->client, target, to);
}

static int put_file(struct fs *fs, const char *from, const char *to, uint32_t mode)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = copy_in(fs, fd, to, mode);
	close(fd);
	return rc;
}

static void put_one(struct fs *fs, const char *from, const char *to)
{
	struct stat st;
	int rc = 0;

	if (!strcmp(from, "-")) {
		rc = copy_in(fs, STDIN_FILENO, to, 0644);
	} else if (fs->recursive ? lstat(from, &st) : stat(from, &st)) {
		rc = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		if (fs->recursive)
			put_tree(fs, from, to, st.st_mode & 0777);
		else
			failed(fs, from, -EISDIR);
	} else if (S_ISLNK(st.st_mode)) {
		rc = put_link(fs, from, to);
	} else if (S_ISREG(st.st_mode)) {
		rc = put_file(fs, from, to, st.st_mode & 0777);
	} else {
		rc = -EOPNOTSUPP; /* a device, a FIFO, a socket */
	}
	if (rc)
		failed(fs, from, rc);
}

/* The last path is where to; into it if it is a directory, and then under the source's own name. */
static void copy_each(struct fs *fs, const char **paths, size_t n, bool into,
		      void (*one)(struct fs *, const char *, const char *))
{
	const char *to = paths[n - 1];

	if (n > 2 && !into) {
		fs->status = complain(1, "%s: several files want a directory", to);
		return;
	}
	for (size_t i = 0; i + 1 < n; i++) {
		char *target = into ? join(to, base_name(paths[i])) : strdup(to);

		one(fs, paths[i], target);
		free(target);
	}
}

static void fs_get(struct fs *fs, const char **paths, size_t n)
{
	struct stat st;

	if (!strcmp(paths[n - 1], "-"))
		fs_cat(fs, paths, n - 1);
	else
		copy_each(fs, paths, n, stat(paths[n - 1], &st) == 0 && S_ISDIR(st.st_mode), get_one);
}

static void fs_put(struct fs *fs, const char **paths, size_t n)
{
	copy_each(fs, paths, n, is_directory(fs, paths[n - 1]), put_one);
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

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

static void fs_mkdir(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = fs->parents ? make_parents(fs, paths[i]) : 0;

		if (!rc)
			rc = slip_mkdir(fs->client, paths[i], 0755);
		if (rc == -EEXIST && fs->parents && is_directory(fs, paths[i]))
			rc = 0;
		if (rc)
			failed(fs, paths[i], rc);
	}
}

static void move_one(struct fs *fs, const char *from, const char *to)
{
	int rc = slip_rename(fs->client, from, to, false);

	if (rc)
		failed(fs, from, rc);
}

static void fs_mv(struct fs *fs, const char **paths, size_t n)
{
	copy_each(fs, paths, n, is_directory(fs, paths[n - 1]), move_one);
}

static void fs_rm(struct fs *fs, const char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = fs->recursive ? slip_remove_tree(fs->client, paths[i]) : slip_unlink(fs->client, paths[i]);

		if (rc && !(rc == -ENOENT && fs->force))
			failed(fs, paths[i], rc);
	}
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static const struct verb {
	const char *name;
	void (*run)(struct fs *, const char **paths, size_t n);
	size_t least; /* paths it wants */
	const char *help;
} verbs[] = {
	{"ls", fs_ls, 1, "ls [-l] [-R] [-r] PATH...       list; -r in reverse order"},
	{"stat", fs_stat, 1, "stat PATH...                    attributes"},
	{"cat", fs_cat, 1, "cat PATH...                     contents to standard output"},
	{"get", fs_get, 2, "get [-R] [-f] PATH... LOCAL|-   copy from the cluster; -f replaces"},
	{"put", fs_put, 2, "put [-R] [-f] LOCAL|-... PATH   copy to the cluster; -f replaces"},
	{"mkdir", fs_mkdir, 1, "mkdir [-p] PATH...              make directories; -p with parents"},
	{"mv", fs_mv, 2, "mv PATH... PATH                 rename"},
	{"rm", fs_rm, 1, "rm [-R] [-f] PATH...            remove; -R with all below, -f absent is fine"},
};

static int usage(const char *why)
{
	FILE *to = why ? stderr : stdout;

	if (why)
		complain(0, "fs: %s", why);
	fputs("Usage: slipstream fs [--root DIR | --mount PREFIX=URL] COMMAND [OPTION]... PATH...\n\n", to);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		fprintf(to, "  %s\n", verbs[i].help);
	return why ? 2 : 0;
}

static int fs_run(const struct verb *verb, struct fs *fs, const char *root, const char *mounts, const char **paths, size_t n)
{
	struct cluster cluster;
	char *setting = NULL;
	int rc = cluster_open(root, mounts, &cluster);

	if (rc)
		return 1;
	if (asprintf(&setting, "SLIPSTREAM_MOUNTS=%s", cluster.mounts) < 0)
		setting = NULL;
	rc = setting ? slip_client_new((const char *[]){setting, NULL}, &fs->client) : -ENOMEM;
	if (rc) {
		failed(fs, cluster.mounts, rc);
	} else {
		verb->run(fs, paths, n);
		slip_client_free(fs->client);
	}
	free(setting);
	cluster_close(&cluster);
	if (fflush(stdout) || ferror(stdout))
		fs->status = complain(1, "standard output: %s", strerror(errno));
	return fs->status;
}

int fs_main(int argc, char **argv)
{
	struct fs fs = {0};
	char *root = NULL, *mounts = NULL;
	int help = 0, both = 0;
	struct poptOption options[] = {
		{"root", 0, POPT_ARG_STRING, &root, 0, NULL, NULL},
		{"mount", 'm', POPT_ARG_STRING, &mounts, 0, NULL, NULL},
		{"long", 'l', POPT_ARG_NONE, &fs.long_form, 0, NULL, NULL},
		{"recursive", 'R', POPT_ARG_NONE, &fs.recursive, 0, NULL, NULL},
		{"reverse", 'r', POPT_ARG_NONE, &both, 0, NULL, NULL},
		{"parents", 'p', POPT_ARG_NONE, &fs.parents, 0, NULL, NULL},
		{"force", 'f', POPT_ARG_NONE, &fs.force, 0, NULL, NULL},
		{"help", 'h', POPT_ARG_NONE, &help, 0, NULL, NULL},
		POPT_TABLEEND,
	};
	poptContext popt = poptGetContext("slipstream fs", argc, (const char **)argv, options, 0);
	const struct verb *verb = NULL;
	const char **rest;
	size_t n = 0;
	int rc = poptGetNextOpt(popt);

	if (rc < -1) {
		complain(0, "fs: %s: %s", poptBadOption(popt, 0), poptStrerror(rc));
		return 2;
	}
	if (help)
		return usage(NULL);
	rest = poptGetArgs(popt);
	if (!rest)
		return usage("which command?");
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (!strcmp(verbs[i].name, rest[0]))
			verb = &verbs[i];
	if (!verb)
		return usage("unknown command");
	while (rest[n + 1])
		n++;
	if (n < verb->least)
		return usage("too few paths");
	/* ls -r reverses, as ls does; everywhere else -r is -R, as users of cp and rm expect. */
	if (verb->run == fs_ls)
		fs.reverse = both;
	else
		fs.recursive |= both;
	rc = fs_run(verb, &fs, root, mounts, rest + 1, n);
	poptFreeContext(popt);
	return rc;
}
