/*
 * name.c: names: directories, links, renames, and the working directory.
 */
#include "shim/op.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/sys.h"
#include "shim/user.h"

#include <stdlib.h>
#include <string.h>

static long by_path(struct where *w, enum session_op op, mode_t mode)
{
	struct call c;

	call_where(&c, op, w);
	c.request.mode = mode;
	return call_do(&c, w);
}

/* 0, or why it is not there; also where links lead out of the mounts. */
static long there(struct where *w, int flags)
{
	long rc = op_faccessat(w, F_OK, flags);
	struct stat st;

	return rc == SESSION_ELSEWHERE ? sys_fstatat(AT_FDCWD, w->native, &st, flags) : rc;
}

long op_dot(struct where *w, int why)
{
	return there(w, 0) ?: -why;
}

/* Of the directory above a name: 0, or why it is none. w is used up. */
static long above(struct where *w)
{
	char *name = w->end < PATH_DOT ? strrchr(w->path, '/') : NULL;

	if (name)
		*name = '\0';
	if (w->record >= 0 || !prefix_of(w->path))
		return 0;
	w->end = PATH_SLASH;
	return there(w, 0);
}

/* Of what is no directory and is to be made: 0, w used up, if its name is free; SESSION_ELSEWHERE; or what the kernel says. */
static long vacant(struct where *w)
{
	enum path_end end = w->end;
	size_t n;
	long rc;

	if (end >= PATH_DOT)
		return op_dot(w, EEXIST);
	w->end = PATH_NAME;
	rc = op_faccessat(w, F_OK, AT_SYMLINK_NOFOLLOW) ?: -EEXIST;
	w->end = end;
	if (rc == SESSION_ELSEWHERE && end == PATH_SLASH && (n = strlen(w->path)) + 1 < PATH_MAX)
		memcpy(w->path + n, "/", 2);
	if (rc != -ENOENT)
		return rc;
	if (end == PATH_SLASH)
		return -ENOENT;
	return above(w);
}

long op_mkdir(struct where *w, mode_t mode)
{
	if (w->end >= PATH_DOT)
		return op_dot(w, EEXIST);
	return by_path(w, SESSION_MKDIR, mode & 01777 & ~process_umask());
}

long op_rmdir(struct where *w)
{
	return w->end == PATH_DOT ? op_dot(w, EINVAL) : by_path(w, SESSION_RMDIR, 0);
}

long op_unlink(struct where *w)
{
	return w->end >= PATH_DOT ? op_dot(w, EISDIR) : by_path(w, SESSION_UNLINK, 0);
}

long op_unlinkat(struct where *w, int flags)
{
	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	return flags & AT_REMOVEDIR ? op_rmdir(w) : op_unlink(w);
}

long op_remove(struct where *w)
{
	long rc = w->end >= PATH_DOT ? -EISDIR : op_unlink(w);

	return rc == -EISDIR || rc == -EPERM ? op_rmdir(w) : rc;
}

/* What /proc/self/fd/N shows: the file's name, as the kernel writes it. */
static size_t record_name(struct where *w)
{
	static const char deleted[] = " (deleted)";
	struct session_record *rec = record_get(w->record);
	size_t bytes = strlen(w->path);

	if (rec && atomic_load(&rec->deleted) && bytes + sizeof deleted <= sizeof w->path) {
		memcpy(w->path + bytes, deleted, sizeof deleted);
		bytes += sizeof deleted - 1;
	}
	return bytes;
}

long op_readlink(struct where *w, char *out, size_t n)
{
	struct call c;
	size_t bytes;
	long rc;

	if (!n || n > LONG_MAX)
		return -EINVAL;
	if (w->end == PATH_LINK && !strncmp(w->native, "/dev/std", 8))
		return SESSION_ELSEWHERE; /* a link to a link */
	if (w->record >= 0 && w->end >= PATH_SLASH)
		return -EINVAL;
	if (w->record >= 0) {
		bytes = record_name(w);
	} else if (path_is_image(w)) {
		bytes = strlen(w->path);
	} else {
		call_where(&c, SESSION_READLINK, w);
		rc = call_do(&c, w); /* the target, in w->path */
		if (rc < 0)
			return rc;
		bytes = c.reply.bytes && !w->path[c.reply.bytes - 1] ? c.reply.bytes - 1 : c.reply.bytes;
	}
	if (bytes < n)
		n = bytes;
	n = user_put(out, w->path, n) < n ? 0 : n;
	return n ? (long)n : -EFAULT;
}

/* A regular file is made as open() would; what else mknod() makes is the kernel's alone. */
long op_mknod(struct where *w, mode_t mode, dev_t dev)
{
	long fd;

	(void)dev;
	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
		break;
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return vacant(w) ?: -EPERM;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	if (w->end >= PATH_SLASH)
		return vacant(w);
	fd = op_open(w, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode & 07777);
	return fd < 0 ? fd : process_close((int)fd);
}

long op_mkfifo(struct where *w, mode_t mode)
{
	return op_mknod(w, (mode & 07777) | S_IFIFO, 0);
}

/* ---- the working directory -------------------------------------------------------------------------------------------- */

long op_chdir(struct where *w)
{
	struct call c;
	long rc;

	call_where(&c, SESSION_OPEN, w);
	c.request.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	c.request.mode = SESSION_ENTERS;
	c.cloexec = true;
	rc = call_do(&c, w);
	if (rc >= 0 && c.fd < 0)
		rc = -EIO;
	if (rc >= 0)
		rc = sys1(SYS_fchdir, c.fd);
	if (c.fd >= 0)
		sys_close(c.fd);
	cwd_changed();
	return rc < 0 ? rc : 0;
}

long op_fchdir(struct ofd *of)
{
	long rc = S_ISDIR(of->rec->attr.mode) ? sys1(SYS_fchdir, of->fd) : -ENOTDIR;

	cwd_changed();
	return rc;
}

EXPORT int chdir(const char *path)
{
	struct where w;
	long rc;

	if (!shim.active)
		return REAL(chdir)(path);
	if (!path_maybe(AT_FDCWD, path)) {
		rc = REAL(chdir)(path);
		cwd_changed();
		if (likely(!rc) || !path_missed(&w, AT_FDCWD, path, errno))
			return (int)rc;
		rc = op_chdir(&w);
	} else {
		int ours = path_find(&w, AT_FDCWD, path);

		rc = ours > 0 ? op_chdir(&w) : ours ? ours : SESSION_ELSEWHERE;
	}
	if (rc == SESSION_ELSEWHERE) {
		rc = REAL(chdir)(w.native);
		cwd_changed();
		return (int)rc;
	}
	if (rc >= 0)
		return 0;
	errno = (int)-rc;
	return -1;
}

EXPORT int fchdir(int fd)
{
	struct ofd of;
	int rc;

	if (!shim.active)
		return REAL(fchdir)(fd);
	if (ofd_find(&of, fd, ANY_KIND)) {
		rc = (int)op_fchdir(&of);
		if (rc >= 0)
			return 0;
		errno = -rc;
		return -1;
	}
	rc = REAL(fchdir)(fd);
	cwd_changed();
	return rc;
}

EXPORT char *getcwd(char *out, size_t size)
{
	char path[PATH_MAX];
	size_t n;
	int record;

	if (likely(!shim.active) || (record = cwd_record()) < 0)
		return REAL(getcwd)(out, size);
	if (record_path(record_get(record), path) || atomic_load(&record_get(record)->deleted)) {
		errno = ENOENT;
		return NULL;
	}
	n = strlen(path) + 1;
	if (!size && out) {
		errno = EINVAL;
		return NULL;
	}
	if (size && n > size) {
		errno = ERANGE;
		return NULL;
	}
	if (!out)
		out = malloc(size ?: n);
	if (!out || user_put(out, path, n) == n)
		return out;
	errno = EFAULT;
	return NULL;
}

EXPORT char *__getcwd_chk(char *out, size_t size, size_t space)
{
	if (size > space)
		abort();
	return getcwd(out, size);
}

EXPORT char *getwd(char *out)
{
	return getcwd(out, PATH_MAX);
}

EXPORT char *__getwd_chk(char *out, size_t space)
{
	return getcwd(out, space < PATH_MAX ? space : PATH_MAX);
}

EXPORT char *get_current_dir_name(void)
{
	if (likely(!shim.active) || cwd_record() < 0)
		return REAL(get_current_dir_name)();
	return getcwd(NULL, 0);
}

/* ---- two paths ---------------------------------------------------------------------------------------------------------------- */

struct pair {
	struct where from, to;
	char name[NAME_MAX + 3];
};

/* 1: both ours; 0: both libc's; -EXDEV: one of each, -ENOENT, if the other is none. */
static int pair_find(struct pair *p, int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	int first, second;

	if (!path_is_text(from) || !path_is_text(to))
		return -EFAULT;
	first = path_find_empty(&p->from, from_dirfd, from, (int)flags);
	if (first < 0)
		return first;
	second = path_find(&p->to, to_dirfd, to);
	if (second < 0)
		return second;
	if (first == second)
		return first;
	return (*from || (flags & AT_EMPTY_PATH)) && *to ? -EXDEV : -ENOENT;
}

static long call_pair(struct call *c, struct pair *p)
{
	/* path2 follows path in the payload: one buffer is sent as data after the other's NUL */
	c->data = p->to.path;
	c->data_bytes = (unsigned)strlen(p->to.path) + 1;
	return session_call(c);
}

static int rename_pair(struct pair *p, int ours, unsigned flags);

/* libc found one of them missing: a link on the way may lead to us. */
static int rename_linked(struct pair *p, int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	struct stat st;
	int why = errno, ours = 0;
	bool first = path_missed(&p->from, from_dirfd, from, why), second = path_missed(&p->to, to_dirfd, to, why);

	if (first && second)
		ours = 1;
	else if (first || second)
		ours = second && sys_fstatat(from_dirfd, from, &st, AT_SYMLINK_NOFOLLOW) ? -ENOENT : -EXDEV;
	if (ours > 0)
		return rename_pair(p, ours, flags);
	errno = ours ? -ours : why;
	return -1;
}

static int rename_found(struct pair *p, int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	struct call check;
	int ours = pair_find(p, from_dirfd, from, to_dirfd, to, 0);
	long rc;

	if (ours == 0)
		return REAL(renameat2)(from_dirfd, p->from.native, to_dirfd, p->to.native, flags);
	if (ours == -EXDEV && p->from.native == from && prefix_of(p->from.path)) {
		/* A source that is not there is told before the device that differs. */
		call_where(&check, SESSION_STAT, &p->from);
		check.request.flags = AT_SYMLINK_NOFOLLOW;
		rc = session_call(&check);
		ours = rc == -ENOENT || rc == -ENOTDIR ? (int)rc : -EXDEV;
	}
	return rename_pair(p, ours, flags);
}

typedef int pair_fn(struct pair *, int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags);

/* With room for both paths. */
static COLD int with_pair(pair_fn *fn, int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	struct pair *p = sys_room(sizeof *p);
	int rc;

	if (!p) {
		errno = ENOMEM;
		return -1;
	}
	rc = fn(p, from_dirfd, from, to_dirfd, to, flags);
	sys_room_end(p, sizeof *p);
	return rc;
}

static bool may_be_link(int why)
{
	return why == ENOENT || why == ENOTDIR;
}

/* The directories of both are looked up before a dot is found at the end of either. */
static long rename_dots(struct pair *p, unsigned flags)
{
	bool source = p->from.end >= PATH_DOT;
	long rc = above(&p->from) ?: above(&p->to);

	return rc ?: !source && (flags & RENAME_NOREPLACE) ? -EEXIST : -EBUSY;
}

/* Does the directory of a name lead out of the mounts? 1: w->path is the ordinary name now; 0: no; or -errno. */
static long name_elsewhere(struct where *w, char name[NAME_MAX + 3])
{
	char *last = strrchr(w->path, '/');
	size_t n = strlen(last), at;
	long rc;

	if (w->record >= 0 || n > NAME_MAX + 1)
		return 0;
	memcpy(name, last, n);
	if (w->end == PATH_SLASH)
		name[n++] = '/';
	name[n] = '\0';
	*last = '\0';
	w->end = PATH_NAME;
	rc = prefix_of(w->path) ? op_access(w, F_OK) : 0;
	if (rc != SESSION_ELSEWHERE)
		return rc;
	at = strlen(w->path);
	if (at + n >= sizeof w->path)
		return -ENAMETOOLONG;
	memcpy(w->path + at, name, n + 1);
	return 1;
}

static long rename_elsewhere(struct pair *p, unsigned flags)
{
	long from = name_elsewhere(&p->from, p->name), to = name_elsewhere(&p->to, p->name);

	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	if (!from || !to)
		return -EXDEV;
	return REAL(renameat2)(AT_FDCWD, p->from.path, AT_FDCWD, p->to.path, flags) ? -errno : 0;
}

static int rename_pair(struct pair *p, int ours, unsigned flags)
{
	struct call c;
	long rc = ours;

	if (ours > 0) {
		if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
			rc = -EINVAL;
		} else if (p->from.end >= PATH_DOT || p->to.end >= PATH_DOT) {
			rc = rename_dots(p, flags);
		} else {
			call_where(&c, SESSION_RENAME, &p->from);
			c.request.flags = flags;
			c.request.must_be_dir |= p->to.end >= PATH_SLASH;
			rc = call_pair(&c, p);
			if (rc == SESSION_ELSEWHERE)
				rc = rename_elsewhere(p, flags);
		}
	}
	if (rc >= 0)
		return 0;
	errno = (int)-rc;
	return -1;
}

#define RENAME(real_call, from_dirfd, to_dirfd, flags)                                                                 \
	do {                                                                                                           \
		int rc;                                                                                                \
                                                                                                                       \
		if (unlikely(path_maybe(from_dirfd, from) || path_maybe(to_dirfd, to)))                                \
			return with_pair(rename_found, from_dirfd, from, to_dirfd, to, flags);                         \
		rc = real_call;                                                                                        \
		if (unlikely(rc && shim.active && may_be_link(errno)))                                                 \
			return with_pair(rename_linked, from_dirfd, from, to_dirfd, to, flags);                        \
		return rc;                                                                                             \
	} while (0)

EXPORT int rename(const char *from, const char *to)
{
	RENAME(REAL(rename)(from, to), AT_FDCWD, AT_FDCWD, 0);
}

EXPORT int renameat2(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	RENAME(REAL(renameat2)(from_dirfd, from, to_dirfd, to, flags), from_dirfd, to_dirfd, flags);
}

EXPORT int renameat(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	RENAME(REAL(renameat)(from_dirfd, from, to_dirfd, to), from_dirfd, to_dirfd, 0);
}

/* Of what O_TMPFILE made, by its descriptor: its first name. -EPERM: something else is meant. */
static long link_first(struct pair *p, unsigned flags)
{
	bool itself = p->from.end == PATH_LINK ? flags & AT_SYMLINK_FOLLOW : p->from.end == PATH_NAME;
	struct call c;

	if (p->from.record < 0 || !itself || p->to.record >= 0 || p->to.end != PATH_NAME)
		return -EPERM;
	call_where(&c, SESSION_LINK, &p->to);
	c.request.record = p->from.record;
	return call_do(&c, &p->to);
}

/* There are no hard links of ours: EPERM, as on a file system without them; EXDEV to and from another. */
static int link_found(struct pair *p, int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	int ours = pair_find(p, from_dirfd, from, to_dirfd, to, flags);
	long rc = ours;

	if (ours == 0)
		return REAL(linkat)(from_dirfd, p->from.native, to_dirfd, p->to.native, (int)flags);
	if (ours > 0 && (flags & ~(unsigned)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)))
		rc = -EINVAL;
	else if (ours > 0)
		rc = there(&p->from, flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW);
	if (!rc) {
		rc = link_first(p, flags);
		if (!rc)
			return 0;
	}
	if (rc == -EPERM)
		rc = vacant(&p->to) ?: -EPERM;
	if (rc == SESSION_ELSEWHERE && p->from.native == p->from.path) /* both are */
		return REAL(linkat)(AT_FDCWD, p->from.native, AT_FDCWD, p->to.native, (int)flags);
	errno = rc == SESSION_ELSEWHERE ? EXDEV : (int)-rc;
	return -1;
}

EXPORT int linkat(int from_dirfd, const char *from, int to_dirfd, const char *to, int flags)
{
	struct ofd of;
	bool ours = (flags & AT_EMPTY_PATH) && path_is_text(from) && !from[0] && ofd_find(&of, from_dirfd, ANY_KIND);

	if (likely(!ours && !path_maybe(from_dirfd, from) && !path_maybe(to_dirfd, to)))
		return REAL(linkat)(from_dirfd, from, to_dirfd, to, flags);
	return with_pair(link_found, from_dirfd, from, to_dirfd, to, (unsigned)flags);
}

EXPORT int link(const char *from, const char *to)
{
	if (likely(!path_maybe(AT_FDCWD, from) && !path_maybe(AT_FDCWD, to)))
		return REAL(link)(from, to);
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT int symlinkat(const char *target, int dirfd, const char *path)
{
	struct where w;
	struct call c;
	int ours;
	long rc;

	if (likely(!path_maybe(dirfd, path)))
		return REAL(symlinkat)(target, dirfd, path);
	ours = path_find(&w, dirfd, path);
	if (ours == 0)
		return REAL(symlinkat)(target, dirfd, w.native);
	rc = ours;
	if (!path_is_text(target))
		rc = -EFAULT;
	if (rc > 0 && !*target)
		rc = -ENOENT;
	if (rc > 0 && strnlen(target, PATH_MAX) == PATH_MAX)
		rc = -ENAMETOOLONG;
	if (rc > 0 && w.end != PATH_NAME) {
		rc = vacant(&w) ?: -EEXIST;
		if (rc == SESSION_ELSEWHERE)
			return REAL(symlinkat)(target, AT_FDCWD, w.native);
	}
	if (rc > 0) {
		call_where(&c, SESSION_SYMLINK, &w);
		c.data = target;
		c.data_bytes = (unsigned)strlen(target) + 1;
		rc = call_do(&c, &w);
		if (rc == SESSION_ELSEWHERE)
			return REAL(symlinkat)(target, AT_FDCWD, w.native);
	}
	if (rc >= 0)
		return 0;
	errno = (int)-rc;
	return -1;
}

EXPORT int symlink(const char *target, const char *path)
{
	if (likely(!path_maybe(AT_FDCWD, path)))
		return REAL(symlink)(target, path);
	return symlinkat(target, AT_FDCWD, path);
}
