/*
 * wrap.c: turns each row of symbols.def into a function. All routing and errno policy is here.
 *
 * What passes through costs a compare and a jump; a path that libc does not find, a look whether a link leads to us. The rest of a wrapper with a path stands in a function of its own,
 * because its buffers would otherwise be room on the stack of every call.
 */
#include "shim/op.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/stream.h"
#include "shim/sys.h"

#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

/* How a symbol reports: -1 and errno; the error's number itself; -1, and errno only if there is one. */
#define ERRNO(ret, r)  ((r) < 0 ? (errno = (int)-(r), (ret)-1) : (ret)(r))
#define ERRNUM(ret, r) ((ret)((r) < 0 ? -(r) : 0))
#define LIMIT(ret, r)  ((r) == -ENODATA ? (ret)-1 : ERRNO(ret, r))

#define UNPAREN(...)       __VA_ARGS__
#define APPLY(m, op, args) APPLY_(m, op, UNPAREN args)
#define APPLY_(m, ...)     m(__VA_ARGS__)

/* A descriptor of any kind of ours; one whose bytes come by range; one that is not content-backed. */
#define FD_CALL(op, fd, ...)   op(&of, ##__VA_ARGS__)
#define NONE_CALL(op, fd, ...) op()
#define WRAP_KINDS(kinds, call, fails, ret, sym, op, params, args)                                                     \
	EXPORT ret sym params                                                                                          \
	{                                                                                                              \
		struct ofd of;                                                                                         \
		long r;                                                                                                \
                                                                                                                       \
		if (likely(!APPLY(FD_FIND_##kinds, 0, args)))                                                          \
			return REAL(sym) args;                                                                         \
		r = APPLY(call, op, args);                                                                             \
		return fails(ret, r);                                                                                  \
	}
#define FD_FIND_any(zero, fd, ...)    ofd_find(&of, fd, ANY_KIND)
#define FD_FIND_used(zero, fd, ...)   ofd_find(&of, fd, USED_KIND)
#define FD_FIND_range(zero, fd, ...)  ofd_find(&of, fd, KIND(RANGE))
#define FD_FIND_seeks(zero, fd, ...)  ofd_find(&of, fd, KIND(RANGE) | KIND(DIRECTORY))
#define FD_FIND_folder(zero, fd, ...) ofd_find(&of, fd, KIND(DIRECTORY))
#define FD_FIND_shown(zero, fd, ...)  ofd_find(&of, fd, KIND(RANGE) | KIND(DIRECTORY) | KIND(LOCAL))

#define WRAP_FD(...)      WRAP_KINDS(any, FD_CALL, __VA_ARGS__)
#define WRAP_USED(...)    WRAP_KINDS(used, FD_CALL, __VA_ARGS__)
#define WRAP_RANGE(...)   WRAP_KINDS(range, FD_CALL, __VA_ARGS__)
#define WRAP_SEEKS(...)   WRAP_KINDS(seeks, FD_CALL, __VA_ARGS__)
#define WRAP_FOLDER(...)  WRAP_KINDS(folder, FD_CALL, __VA_ARGS__)
#define WRAP_USEDNO(...)  WRAP_KINDS(used, NONE_CALL, __VA_ARGS__)
#define WRAP_RANGENO(...) WRAP_KINDS(range, NONE_CALL, __VA_ARGS__)
#define WRAP_SHOWNNO(...) WRAP_KINDS(shown, NONE_CALL, __VA_ARGS__)

/* A path; a path after a dirfd; the same, and an empty one may be the dirfd itself. Parameters are named path, dirfd, flags. */
#define PATH_CALL(op, path, ...)      op(&w, ##__VA_ARGS__)
#define AT_CALL(op, dirfd, path, ...) op(&w, ##__VA_ARGS__)
#define PATHNO_CALL(op, path, ...)    op()
#define THERE_CALL(op, path, ...)     op(&w)
#define WRAP_NAMED(maybe, find, base, call, fails, ret, sym, op, params, args)                                         \
	static COLD ret slow_##sym params                                                                              \
	{                                                                                                              \
		struct where w;                                                                                        \
		long r = find;                                                                                         \
                                                                                                                       \
		if (r > 0) {                                                                                           \
			r = APPLY(call, op, args);                                                                     \
			if (r != SESSION_ELSEWHERE)                                                                    \
				return fails(ret, r);                                                                  \
			r = 0;                                                                                         \
		}                                                                                                      \
		if (r < 0)                                                                                             \
			return fails(ret, r);                                                                          \
		path = w.native;                                                                                       \
		return REAL(sym) args;                                                                                 \
	}                                                                                                              \
	static COLD ret missed_##sym params                                                                            \
	{                                                                                                              \
		struct where w;                                                                                        \
		int why = errno;                                                                                       \
		long r;                                                                                                \
                                                                                                                       \
		if (path_missed(&w, base, path, why)) {                                                                \
			r = APPLY(call, op, args);                                                                     \
			if (r != SESSION_ELSEWHERE)                                                                    \
				return fails(ret, r);                                                                  \
			path = w.native;                                                                               \
			return REAL(sym) args;                                                                         \
		}                                                                                                      \
		errno = why;                                                                                           \
		return (ret)-1;                                                                                        \
	}                                                                                                              \
	EXPORT ret sym params                                                                                          \
	{                                                                                                              \
		ret r;                                                                                                 \
                                                                                                                       \
		if (unlikely(maybe))                                                                                   \
			return slow_##sym args;                                                                        \
		r = REAL(sym) args;                                                                                    \
		if (unlikely(r == (ret)-1))                                                                            \
			return missed_##sym args;                                                                      \
		return r;                                                                                              \
	}

static inline bool empty_maybe(int dirfd, const char *path, int flags)
{
	__asm__("" : "+r"(path));
	if (path_maybe(dirfd, path))
		return true;
	return unlikely(shim.active) && (flags & AT_EMPTY_PATH) && (!path || (path_is_text(path) && !path[0])) &&
	       (dirfd == AT_FDCWD ? cwd_record() >= 0 : fdtab_word(dirfd) != FD_NATIVE);
}

#define WRAP_PATH(...)                                                                                                 \
	WRAP_NAMED(path_maybe(AT_FDCWD, path), path_find(&w, AT_FDCWD, path), AT_FDCWD, PATH_CALL, __VA_ARGS__)
#define WRAP_THERE(...)                                                                                                \
	WRAP_NAMED(path_maybe(AT_FDCWD, path), path_find(&w, AT_FDCWD, path), AT_FDCWD, THERE_CALL, __VA_ARGS__)
#define WRAP_PATHNO(...)                                                                                               \
	WRAP_NAMED(path_maybe(AT_FDCWD, path), path_find(&w, AT_FDCWD, path), AT_FDCWD, PATHNO_CALL, __VA_ARGS__)
#define WRAP_AT(...)   WRAP_NAMED(path_maybe(dirfd, path), path_find(&w, dirfd, path), dirfd, AT_CALL, __VA_ARGS__)
#define WRAP_ATNO(...) WRAP_NAMED(path_maybe(dirfd, path), path_find(&w, dirfd, path), dirfd, PATHNO_CALL, __VA_ARGS__)
#define WRAP_ATE(...)                                                                                                  \
	WRAP_NAMED(empty_maybe(dirfd, path, flags), path_find_empty(&w, dirfd, path, flags), dirfd, AT_CALL,           \
		   __VA_ARGS__)

/*
 * Names that glibc had for stat() and mknod(), which old programs have in them, with a version in front. Each goes to its own
 * function behind us: other preloaded libraries, fakeroot's, turn the new names into the old ones, and would meet themselves.
 */
#if defined(__x86_64__)
#define STAT_VER 1
#else
#define STAT_VER 0
#endif

static long old_stat(struct where *w, int version, struct stat *st)
{
	return version != STAT_VER ? -EINVAL : op_stat(w, st);
}

static long old_lstat(struct where *w, int version, struct stat *st)
{
	return version != STAT_VER ? -EINVAL : op_lstat(w, st);
}

static long old_fstat(struct ofd *of, int version, struct stat *st)
{
	return version != STAT_VER ? -EINVAL : op_fstat(of, st);
}

static long old_fstatat(struct where *w, int version, struct stat *st, int flags)
{
	return version != STAT_VER ? -EINVAL : op_fstatat(w, st, flags);
}

static long old_mknod(struct where *w, int version, mode_t mode, dev_t *dev)
{
	return version != 0 ? -EINVAL : op_mknod(w, mode, *dev);
}

#define FD_FIND_second(zero, version, fd, ...)    ofd_find(&of, fd, ANY_KIND)
#define OLDFD_CALL(op, version, fd, ...)          op(&of, version, ##__VA_ARGS__)
#define OLDPATH_CALL(op, version, path, ...)      op(&w, version, ##__VA_ARGS__)
#define OLDAT_CALL(op, version, dirfd, path, ...) op(&w, version, ##__VA_ARGS__)
#define WRAP_OLDFD(...)                           WRAP_KINDS(second, OLDFD_CALL, __VA_ARGS__)
#define WRAP_OLDPATH(...)                                                                                              \
	WRAP_NAMED(path_maybe(AT_FDCWD, path), path_find(&w, AT_FDCWD, path), AT_FDCWD, OLDPATH_CALL, __VA_ARGS__)
#define WRAP_OLDAT(...) WRAP_NAMED(path_maybe(dirfd, path), path_find(&w, dirfd, path), dirfd, OLDAT_CALL, __VA_ARGS__)
#define WRAP_OLDATE(...)                                                                                               \
	WRAP_NAMED(empty_maybe(dirfd, path, flags), path_find_empty(&w, dirfd, path, flags), dirfd, OLDAT_CALL,        \
		   __VA_ARGS__)

#define WRAP(route, fails, ret, sym, op, params, args) WRAP_##route(fails, ret, sym, op, params, args)
#define READY(prepare, ret, sym, params, args)                                                                         \
	EXPORT ret sym params                                                                                          \
	{                                                                                                              \
		prepare;                                                                                               \
		return REAL(sym) args;                                                                                 \
	}
#define ALIAS(sym, alias) EXPORT_ALIAS(sym, alias)
#define HAND(where, ret, sym, params)
#define SAME(sym, alias)
#define NATIVE(sym, why)
#define LATER(sym, why)
#include "shim/symbols.def"

/* ---- fortified and old names: a check, then the function ----------------------------------------------------------- */

/* As libc ends a program that would overflow its buffer. */
static void check_room(size_t n, size_t room)
{
	static const char said[] = "*** buffer overflow detected ***: terminated\n";

	if (likely(n <= room))
		return;
	sys3(SYS_write, 2, said, sizeof said - 1);
	abort();
}

EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	check_room(n, room);
	return read(fd, buf, n);
}

EXPORT ssize_t __pread_chk(int fd, void *buf, size_t n, off_t off, size_t room)
{
	check_room(n, room);
	return pread(fd, buf, n, off);
}
EXPORT_ALIAS(__pread_chk, __pread64_chk)

EXPORT ssize_t __readlink_chk(const char *path, char *out, size_t n, size_t room)
{
	check_room(n, room);
	return readlink(path, out, n);
}

EXPORT ssize_t __readlinkat_chk(int dirfd, const char *path, char *out, size_t n, size_t room)
{
	check_room(n, room);
	return readlinkat(dirfd, path, out, n);
}
