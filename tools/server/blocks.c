/*
 * blocks.c: a directory of 256 directories of blocks.
 *
 * A commit renames the temporary file to a name that must be free, so two writers of one block cannot both win, and a
 * reader sees a whole block or none.
 *
 * A block that somebody was told the path of (blocks_lock) is removed when the last of them has let go. Opened blocks
 * need no such care: the kernel keeps them.
 */
#include "tools/server/blocks.h"
#include "tools/server/io.h"
#include "tools/server/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#define NAME_MAX_BYTES 48

/* Block numbers of a file are neighbours, containers too: spread by both. */
static unsigned block_shard(int64_t id)
{
	return (unsigned)((id >> 24) + id) & 0xff;
}

static void block_name(int64_t id, char out[NAME_MAX_BYTES])
{
	snprintf(out, NAME_MAX_BYTES, "%02x/%" PRId64, block_shard(id), id);
}

static int make_dir(int at, const char *name)
{
	return mkdirat(at, name, 0755) && errno != EEXIST ? -errno : 0;
}

/* The entries of a directory, "." and ".." left out. */
static int each_entry(int at, const char *name, int (*each)(void *, int, const char *), void *context)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = each(context, dirfd(dir), entry->d_name);
	if (!rc && errno)
		rc = -errno;
	closedir(dir);
	return rc;
}

static int remove_entry(void *context, int dir, const char *name)
{
	(void)context;
	return unlinkat(dir, name, 0) ? -errno : 0;
}

static int make_dirs(struct blocks *blocks)
{
	char name[8];
	int rc = make_dir(blocks->dir_fd, "tmp");

	for (unsigned i = 0; !rc && i < 256; i++) {
		snprintf(name, sizeof(name), "%02x", i);
		rc = make_dir(blocks->dir_fd, name);
	}
	return rc;
}

int blocks_open(struct blocks *blocks, const char *root, int worker)
{
	int rc, n;

	memset(blocks, 0, sizeof(*blocks));
	blocks->dir_fd = -1;
	pthread_mutex_init(&blocks->lock, NULL);
	n = snprintf(blocks->path, sizeof(blocks->path), "%s/blocks", root);
	if (n + 16 > (int)sizeof(blocks->path))
		return -ENAMETOOLONG;
	rc = make_dir(AT_FDCWD, blocks->path);
	if (rc)
		return rc;
	snprintf(blocks->path + n, sizeof(blocks->path) - (size_t)n, "/%d", worker);
	rc = make_dir(AT_FDCWD, blocks->path);
	if (rc)
		return rc;
	blocks->dir_fd = open(blocks->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (blocks->dir_fd < 0)
		return -errno;
	rc = make_dirs(blocks);
	if (!rc)
		rc = each_entry(blocks->dir_fd, "tmp", remove_entry, NULL);
	if (rc)
		blocks_close(blocks);
	return rc;
}

void blocks_close(struct blocks *blocks)
{
	if (blocks->dir_fd >= 0)
		close(blocks->dir_fd);
	blocks->dir_fd = -1;
}

bool blocks_has(const struct blocks *blocks, int64_t id, int64_t *bytes)
{
	char name[NAME_MAX_BYTES];
	struct stat st;

	block_name(id, name);
	if (fstatat(blocks->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return false;
	*bytes = st.st_size;
	return true;
}

void blocks_path(const struct blocks *blocks, int64_t id, char out[BLOCK_PATH_MAX])
{
	char name[NAME_MAX_BYTES];

	block_name(id, name);
	snprintf(out, BLOCK_PATH_MAX, "%s/%s", blocks->path, name);
}

int blocks_read(const struct blocks *blocks, int64_t id, int64_t *bytes)
{
	char name[NAME_MAX_BYTES];
	struct stat st;
	int fd;

	block_name(id, name);
	fd = openat(blocks->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	*bytes = st.st_size;
	return fd;
}

static int unlink_block(const struct blocks *blocks, int64_t id)
{
	char name[NAME_MAX_BYTES];

	block_name(id, name);
	return unlinkat(blocks->dir_fd, name, 0) && errno != ENOENT ? -errno : 0;
}

struct block_lock {
	int64_t id;
	unsigned holders;
	bool removed; /* asked for while held */
	UT_hash_handle hh;
};

int blocks_lock(struct blocks *blocks, int64_t id, int64_t *bytes)
{
	struct block_lock *lock;
	int rc = 0;

	pthread_mutex_lock(&blocks->lock);
	HASH_FIND(hh, blocks->locks, &id, sizeof(id), lock);
	if (!blocks_has(blocks, id, bytes) || (lock && lock->removed)) {
		rc = -ENOENT;
		goto out;
	}
	if (!lock) {
		lock = calloc(1, sizeof(*lock));
		if (!lock) {
			rc = -ENOMEM;
			goto out;
		}
		lock->id = id;
		HASH_ADD(hh, blocks->locks, id, sizeof(lock->id), lock);
	}
	lock->holders++;
out:
	pthread_mutex_unlock(&blocks->lock);
	return rc;
}

void blocks_unlock(struct blocks *blocks, int64_t id)
{
	struct block_lock *lock;
	int rc = 0;

	pthread_mutex_lock(&blocks->lock);
	HASH_FIND(hh, blocks->locks, &id, sizeof(id), lock);
	if (lock && !--lock->holders) {
		if (lock->removed)
			rc = unlink_block(blocks, id);
		HASH_DEL(blocks->locks, lock);
		free(lock);
	}
	pthread_mutex_unlock(&blocks->lock);
	if (rc)
		log_warn("block %" PRId64 " cannot be removed: %s", id, strerror(-rc));
}

int blocks_remove(struct blocks *blocks, int64_t id)
{
	struct block_lock *lock;
	int rc = 0;

	pthread_mutex_lock(&blocks->lock);
	HASH_FIND(hh, blocks->locks, &id, sizeof(id), lock);
	if (lock)
		lock->removed = true;
	else
		rc = unlink_block(blocks, id);
	pthread_mutex_unlock(&blocks->lock);
	return rc;
}

struct each_block {
	const struct blocks *blocks;
	int (*each)(void *context, int64_t id, int64_t bytes);
	void *context;
};

static int each_block_entry(void *context, int dir, const char *name)
{
	struct each_block *walk = context;
	char *end, expected[NAME_MAX_BYTES];
	int64_t id = strtoll(name, &end, 10);
	struct stat st;

	block_name(id, expected);
	if (*end || id <= 0 || strcmp(expected + 3, name)) {
		log_warn("%s: '%s' is not a block, left alone", walk->blocks->path, name);
		return 0;
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return walk->each(walk->context, id, st.st_size);
}

int blocks_each(const struct blocks *blocks, int (*each)(void *, int64_t, int64_t), void *context)
{
	struct each_block walk = {blocks, each, context};
	char shard[8];
	int rc = 0;

	for (unsigned i = 0; !rc && i < 256; i++) {
		snprintf(shard, sizeof(shard), "%02x", i);
		rc = each_entry(blocks->dir_fd, shard, each_block_entry, &walk);
	}
	return rc;
}

int block_writer_open(const struct blocks *blocks, int64_t id, struct block_writer *writer)
{
	static atomic_uint serial;

	*writer = (struct block_writer){.blocks = blocks, .id = id};
	snprintf(writer->name, sizeof(writer->name), "tmp/%" PRId64 ".%u", id, atomic_fetch_add(&serial, 1));
	writer->fd = openat(blocks->dir_fd, writer->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return writer->fd < 0 ? -errno : 0;
}

int block_writer_append(struct block_writer *writer, const struct iovec *parts, unsigned nparts)
{
	return io_write(writer->fd, parts, nparts, &writer->bytes);
}

/* Not every file system knows RENAME_NOREPLACE; a link does not replace either. */
static int rename_to_free(int dir, const char *from, const char *to)
{
	if (!renameat2(dir, from, dir, to, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(dir, from, dir, to, 0))
		return -errno;
	return unlinkat(dir, from, 0) ? -errno : 0;
}

int block_writer_commit(struct block_writer *writer)
{
	char name[NAME_MAX_BYTES];
	int rc = 0;

	block_name(writer->id, name);
	if (fchmod(writer->fd, 0444))
		rc = -errno;
	if (close(writer->fd) && !rc)
		rc = -errno;
	writer->fd = -1;
	if (!rc)
		rc = rename_to_free(writer->blocks->dir_fd, writer->name, name);
	if (rc)
		unlinkat(writer->blocks->dir_fd, writer->name, 0);
	return rc;
}

void block_writer_discard(struct block_writer *writer)
{
	if (writer->fd < 0)
		return;
	close(writer->fd);
	writer->fd = -1;
	if (unlinkat(writer->blocks->dir_fd, writer->name, 0))
		log_warn("%s/%s: %s", writer->blocks->path, writer->name, strerror(errno));
}
