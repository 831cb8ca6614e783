/*
 * ufs.c: names below a directory, resolved by the kernel so that they stay below it.
 *
 * openat2(RESOLVE_BENEATH) does that in one call. Where it is missing (old kernels, some sandboxes) we walk the
 * components ourselves and follow no symbolic link at all.
 */
#include "tools/server/ufs.h"
#include "tools/server/io.h"
#include "tools/server/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORK_DIR ".slipstream"
#define SCHEME   "file://"

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* False for "", ".", "..", for a name too long, and for our own directory at the top. */
static bool component_allowed(const char *name, size_t bytes, bool top)
{
	if (!bytes || bytes > NAME_MAX || (bytes <= 2 && !memcmp(name, "..", bytes)))
		return false;
	return !top || bytes != strlen(WORK_DIR) || memcmp(name, WORK_DIR, bytes);
}

/* "/" or "/a/b" with nothing odd in it. */
static bool path_allowed(const char *path)
{
	const char *name = path + 1;

	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return false;
	while (*name) {
		size_t n = strcspn(name, "/");

		if (!component_allowed(name, n, name == path + 1) || (name[n] && !name[n + 1]))
			return false;
		name += n + (name[n] != 0);
	}
	return true;
}

static const char *relative(const char *path)
{
	return path[1] ? path + 1 : ".";
}

bool ufs_uri(const struct ufs *ufs, const char *path, char out[UFS_URI_MAX])
{
	return snprintf(out, UFS_URI_MAX, SCHEME "%s%s", ufs->path, path) < UFS_URI_MAX;
}

const char *ufs_path_of(const struct ufs *ufs, const char *uri)
{
	size_t n = strlen(ufs->path);

	if (!ufs_on(ufs))
		return NULL;
	if (!strncmp(uri, SCHEME, strlen(SCHEME)))
		uri += strlen(SCHEME);
	if (strncmp(uri, ufs->path, n) || uri[n] != '/' || !path_allowed(uri + n))
		return NULL;
	return uri + n;
}

/* ---- opening below the directory --------------------------------------------------------------------------------- */

static int walk_without_links(int dir, const char *path, int flags)
{
	char name[NAME_MAX + 1];
	int at = dir, fd = -1;

	for (;;) {
		size_t n = strcspn(path, "/");
		bool last = !path[n];

		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, n);
		name[n] = 0;
		fd = openat(at, name, (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
		if (at != dir)
			close(at);
		if (last || fd < 0)
			return fd;
		at = fd;
		path += n + 1;
	}
}

/* path is one of path_allowed(). */
static int open_below(const struct ufs *ufs, const char *path, int flags)
{
	static atomic_bool missing;
	struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	int fd, tries = 0;

	if (!path_allowed(path))
		return -ENOENT;
	if (!missing) {
		do
			fd = (int)syscall(SYS_openat2, ufs->dir_fd, relative(path), &how, sizeof(how));
		while (fd < 0 && (errno == EAGAIN || errno == EINTR) && ++tries < 100);
		if (fd >= 0)
			return fd;
		if (errno != ENOSYS && errno != EPERM)
			return errno == EXDEV || errno == ELOOP ? -ENOENT : -errno;
		missing = errno == ENOSYS;
	}
	fd = walk_without_links(ufs->dir_fd, relative(path), flags);
	return fd == -ELOOP ? -ENOENT : fd;
}

/* The directory of a path's last component, and that component. */
static int open_parent(const struct ufs *ufs, const char *path, const char **name)
{
	char parent[PATH_MAX];

	if (!path_allowed(path) || !path[1])
		return -ENOENT;
	*name = strrchr(path, '/') + 1;
	snprintf(parent, sizeof(parent), "%.*s", *name - path > 1 ? (int)(*name - path - 1) : 1, path);
	return open_below(ufs, parent, O_PATH | O_DIRECTORY);
}

int ufs_make_dirs(const struct ufs *ufs, const char *path)
{
	char part[PATH_MAX];
	int rc = open_below(ufs, path, O_PATH | O_DIRECTORY);

	if (rc >= 0)
		close(rc);
	if (rc != -ENOENT || !path_allowed(path))
		return rc < 0 ? rc : 0;
	strcpy(part, path);
	for (char *end = part + 1;;) {
		char *slash = strchr(end, '/');
		const char *name;
		int fd;

		if (slash)
			*slash = 0;
		fd = open_parent(ufs, part, &name);
		if (fd < 0)
			return fd;
		rc = mkdirat(fd, name, 0755) && errno != EEXIST ? -errno : 0;
		close(fd);
		if (rc || !slash)
			return rc;
		*slash = '/';
		end = slash + 1;
	}
}

/* open_parent(), making what is missing. */
static int make_parent(const struct ufs *ufs, const char *path, const char **name)
{
	char parent[PATH_MAX];
	int fd = open_parent(ufs, path, name), rc;

	if (fd != -ENOENT || !path_allowed(path))
		return fd;
	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	rc = *parent ? ufs_make_dirs(ufs, parent) : -ENOENT;
	return rc ? rc : open_parent(ufs, path, name);
}

/* ---- our own directory ------------------------------------------------------------------------------------------- */

static int open_work(const struct ufs *ufs, bool make)
{
	int fd = openat(ufs->dir_fd, ufs->work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd < 0 ? -errno : fd;
	if ((mkdirat(ufs->dir_fd, WORK_DIR, 0755) && errno != EEXIST) ||
	    (mkdirat(ufs->dir_fd, ufs->work, 0755) && errno != EEXIST))
		return -errno;
	return open_work(ufs, false);
}

static int remove_all(int dir, const char *name);

static int remove_entries(int fd, const char *prefix)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	while (!rc && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
		    !strncmp(entry->d_name, prefix, strlen(prefix)))
			rc = remove_all(dirfd(dir), entry->d_name);
	closedir(dir);
	return rc;
}

static int remove_all(int dir, const char *name)
{
	int fd, rc;

	if (!unlinkat(dir, name, 0) || errno == ENOENT)
		return 0;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = fd < 0 ? -errno : remove_entries(fd, "");
	if (rc)
		return rc;
	return unlinkat(dir, name, AT_REMOVEDIR) && errno != ENOENT ? -errno : 0;
}

static void empty_work(const struct ufs *ufs, const char *prefix)
{
	int fd = open_work(ufs, false);
	int rc = fd < 0 ? fd : remove_entries(fd, prefix);

	if (rc && rc != -ENOENT)
		log_warn("%s/%s: %s", ufs->path, ufs->work, strerror(-rc));
}

void ufs_empty_trash(const struct ufs *ufs)
{
	empty_work(ufs, "trash.");
}

static void work_name(const struct ufs *ufs, const char *kind, char *out, size_t size)
{
	static atomic_uint serial;

	snprintf(out, size, "%s/%s.%u", ufs->work, kind, atomic_fetch_add(&serial, 1));
}

/* ---- the mount --------------------------------------------------------------------------------------------------- */

/* Several servers, each with a root of its own, may share an under file system. */
static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325;

	while (*text)
		hash = (hash ^ (unsigned char)*text++) * 0x100000001b3;
	return hash;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n] || n == 1);
}

int ufs_open(struct ufs *ufs, const char *path, const char *root)
{
	ufs->dir_fd = -1;
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	if (!realpath(path, ufs->path))
		return -errno;
	if (is_below(root, ufs->path))
		return -EINVAL;
	ufs->dir_fd = open(ufs->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ufs->dir_fd < 0)
		return -errno;
	snprintf(ufs->work, sizeof(ufs->work), WORK_DIR "/%016" PRIx64, hash_of(root));
	empty_work(ufs, "");
	return 0;
}

void ufs_close(struct ufs *ufs)
{
	if (ufs->dir_fd >= 0)
		close(ufs->dir_fd);
	ufs->dir_fd = -1;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

bool ufs_may_have(const struct ufs *ufs, const char *path)
{
	struct stat st;

	if (!ufs_on(ufs) || !path_allowed(path))
		return false;
	return !fstatat(ufs->dir_fd, relative(path), &st, AT_SYMLINK_NOFOLLOW) || (errno != ENOENT && errno != ENOTDIR);
}

static int entry_of(int fd, struct ufs_entry *entry)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -ENOENT;
	*entry = (struct ufs_entry){
		.dir = S_ISDIR(st.st_mode),
		.bytes = S_ISDIR(st.st_mode) ? 0 : st.st_size,
		.modified_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
		.stamp = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		.mode = st.st_mode & 0777,
		.uid = st.st_uid,
		.gid = st.st_gid,
	};
	return 0;
}

int ufs_stat(const struct ufs *ufs, const char *path, struct ufs_entry *entry)
{
	int fd, rc;

	*entry = (struct ufs_entry){0};
	if (!ufs_may_have(ufs, path))
		return -ENOENT;
	fd = open_below(ufs, path, O_PATH);
	if (fd < 0)
		return fd == -ENOTDIR ? -ENOENT : fd;
	rc = entry_of(fd, entry);
	close(fd);
	return rc;
}

int ufs_read(const struct ufs *ufs, const char *path, struct ufs_entry *entry)
{
	int fd, rc = ufs_stat(ufs, path, entry); /* before opening: opening a device may do things */

	if (!rc && entry->dir)
		rc = -EISDIR;
	if (rc)
		return rc;
	fd = open_below(ufs, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fd;
	rc = entry_of(fd, entry);
	if (!rc && entry->dir)
		rc = -EISDIR;
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

int ufs_list(const struct ufs *ufs, const char *path, int (*each)(void *context, const char *name), void *context)
{
	int fd = open_below(ufs, path, O_RDONLY | O_DIRECTORY), rc = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd < 0)
		return fd;
	if (!dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	while (!rc && (errno = 0, entry = readdir(dir)))
		if (component_allowed(entry->d_name, strlen(entry->d_name), !path[1]))
			rc = each(context, entry->d_name);
	if (!rc && errno)
		rc = -errno;
	closedir(dir);
	return rc;
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

int ufs_remove(const struct ufs *ufs, const char *path)
{
	char trash[80];
	const char *name = NULL;
	int fd = open_parent(ufs, path, &name), rc;

	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
	rc = !unlinkat(fd, name, 0) || errno == ENOENT ? 0 : -errno;
	if (rc == -EISDIR || rc == -EPERM) {
		int work = open_work(ufs, true);

		work_name(ufs, "trash", trash, sizeof(trash));
		rc = work < 0 ? work : renameat(fd, name, ufs->dir_fd, trash) ? -errno : 0;
		if (rc == -EXDEV) /* something is mounted below */
			rc = remove_all(fd, name);
		if (work >= 0)
			close(work);
	}
	close(fd);
	return rc;
}

int ufs_rename(const struct ufs *ufs, const char *from, const char *to)
{
	const char *old = NULL, *new = NULL;
	int source = open_parent(ufs, from, &old), target, rc;

	if (source < 0)
		return source;
	if (!ufs_may_have(ufs, from)) {
		close(source);
		return -ENOENT;
	}
	target = make_parent(ufs, to, &new);
	rc = target < 0 ? target : renameat(source, old, target, new) ? -errno : 0;
	if (target >= 0)
		close(target);
	close(source);
	return rc;
}

int ufs_set_mode(const struct ufs *ufs, const char *path, int mode)
{
	struct ufs_entry entry;
	int fd = ufs_read(ufs, path, &entry), rc;

	if (fd < 0)
		return fd;
	rc = fchmod(fd, (mode_t)mode & 0777) ? -errno : 0;
	close(fd);
	return rc;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

int ufs_writer_open(const struct ufs *ufs, int mode, struct ufs_writer *writer)
{
	int work = open_work(ufs, true);

	*writer = (struct ufs_writer){.ufs = ufs, .fd = work};
	if (work < 0)
		return work;
	close(work);
	work_name(ufs, "write", writer->name, sizeof(writer->name));
	writer->fd = openat(ufs->dir_fd, writer->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (writer->fd < 0)
		return -errno;
	if (fchmod(writer->fd, (mode_t)mode & 0777)) {
		int rc = -errno;

		ufs_writer_discard(writer);
		return rc;
	}
	return 0;
}

int ufs_writer_append(struct ufs_writer *writer, const struct iovec *parts, unsigned nparts)
{
	return io_write(writer->fd, parts, nparts, &writer->bytes);
}

static void unlink_work(const struct ufs_writer *writer)
{
	if (unlinkat(writer->ufs->dir_fd, writer->name, 0))
		log_warn("%s/%s: %s", writer->ufs->path, writer->name, strerror(errno));
}

/* Some file systems tell only at close that they had no space. */
int ufs_writer_commit(struct ufs_writer *writer, const char *path, struct ufs_entry *entry)
{
	const struct ufs *ufs = writer->ufs;
	int rc = entry_of(writer->fd, entry), dir = -1;
	const char *name = NULL;

	if (close(writer->fd) && !rc)
		rc = -errno;
	writer->fd = -1;
	if (!rc) {
		dir = make_parent(ufs, path, &name);
		rc = dir < 0 ? dir : renameat(ufs->dir_fd, writer->name, dir, name) ? -errno : 0;
	}
	if (dir >= 0)
		close(dir);
	if (rc)
		unlink_work(writer);
	return rc;
}

void ufs_writer_discard(struct ufs_writer *writer)
{
	if (writer->fd < 0)
		return;
	close(writer->fd);
	writer->fd = -1;
	unlink_work(writer);
}
