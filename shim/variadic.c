/*
 * variadic.c: open, openat, fcntl, ioctl, syscall: unpack the va_list, then join the common road.
 *
 * The mode of open() is looked at only where there is one.
 */
#include "shim/fdtab.h"
#include "shim/op.h"
#include "shim/path.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/sys.h"

#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define UNPACKED        __attribute__((used)) static /* its names are all in assembly */
#define HAS_MODE(flags) (((flags)&O_CREAT) || ((flags)&__O_TMPFILE) == __O_TMPFILE)

static long failed(long rc)
{
	if (rc >= 0)
		return rc;
	errno = (int)-rc;
	return -1;
}

static COLD long open_ours(int dirfd, const char *path, int flags, mode_t mode)
{
	struct where w;
	int ours = path_find(&w, dirfd, path);
	long rc = ours;

	mode = HAS_MODE(flags) ? mode : 0;
	if (ours > 0)
		rc = op_open(&w, flags, mode);
	if (ours == 0 || rc == SESSION_ELSEWHERE)
		rc = sys4(SYS_openat, ours ? AT_FDCWD : dirfd, w.native, flags | O_LARGEFILE, mode);
	return failed(rc);
}

static COLD long open_missed(int dirfd, const char *path, int flags, mode_t mode)
{
	struct where w;
	int saved = errno;
	long rc;

	if (path_missed(&w, dirfd, path, saved)) { /* O_NOFOLLOW or not: a link at the end would be ELOOP */
		rc = op_open(&w, flags, HAS_MODE(flags) ? mode : 0);
		if (rc != SESSION_ELSEWHERE)
			return failed(rc);
	}
	errno = saved;
	return -1;
}

static inline int open_common(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	if (unlikely(path_maybe(dirfd, path)))
		return (int)open_ours(dirfd, path, flags, mode);
	fd = REAL(openat)(dirfd, path, flags, mode);
	return likely(fd >= 0) ? fd : (int)open_missed(dirfd, path, flags, mode);
}

/*
 * A mode lies where a third parameter would, whether or not there is one: so these two take it unread, and leave it to those
 * who want it. To unpack a va_list would cost as much as the look at the path.
 */
UNPACKED int open_3(const char *path, int flags, mode_t mode)
{
	int fd;

	if (unlikely(path_maybe(AT_FDCWD, path)))
		return (int)open_ours(AT_FDCWD, path, flags, mode);
	fd = REAL(open)(path, flags, mode);
	return likely(fd >= 0) ? fd : (int)open_missed(AT_FDCWD, path, flags, mode);
}
EXPORT_ALIAS(open_3, open)
EXPORT_ALIAS(open_3, open64)
EXPORT_ALIAS(open_3, __open)
EXPORT_ALIAS(open_3, __open64)

UNPACKED int openat_4(int dirfd, const char *path, int flags, mode_t mode)
{
	return open_common(dirfd, path, flags, mode);
}
EXPORT_ALIAS(openat_4, openat)
EXPORT_ALIAS(openat_4, openat64)

static void no_mode(int flags)
{
	static const char said[] = "*** invalid open call: O_CREAT or O_TMPFILE without mode ***: terminated\n";

	if (likely(!HAS_MODE(flags)))
		return;
	sys3(SYS_write, 2, said, sizeof said - 1); /* libc's own words, and its end */
	abort();
}

EXPORT int __open_2(const char *path, int flags)
{
	no_mode(flags);
	return open_common(AT_FDCWD, path, flags, 0);
}
EXPORT_ALIAS(__open_2, __open64_2)

EXPORT int __openat_2(int dirfd, const char *path, int flags)
{
	no_mode(flags);
	return open_common(dirfd, path, flags, 0);
}
EXPORT_ALIAS(__openat_2, __openat64_2)

EXPORT int creat(const char *path, mode_t mode)
{
	return open_common(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
EXPORT_ALIAS(creat, creat64)

EXPORT int fcntl(int fd, int command, ...)
{
	va_list more;
	long argument;

	va_start(more, command);
	argument = va_arg(more, long);
	va_end(more);
	if (likely(fdtab_word(fd) == FD_NATIVE &&
		   fd < atomic_load_explicit(&session_private_low, memory_order_relaxed)))
		return REAL(fcntl)(fd, command, argument);
	if (!shim.active)
		return REAL(fcntl)(fd, command, argument);
	return (int)failed(process_fcntl(fd, command, argument));
}
EXPORT_ALIAS(fcntl, fcntl64)
EXPORT_ALIAS(fcntl, __fcntl)

static long ofd_ioctl(struct ofd *of, unsigned long request, void *argument)
{
	struct ofd source;
	int64_t left;

	switch (request) {
	case FIONREAD:
		if (of->kind != SESSION_RANGE)
			break;
		left = ofd_size(of) - atomic_load(&of->rec->off);
		*(int *)argument = left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
		return 0;
	case FICLONE:
		if (ofd_find(&source, (int)(long)argument, KIND(RANGE)))
			return -EOPNOTSUPP;
		break;
	case FICLONERANGE:
	case FIDEDUPERANGE:
		return -EOPNOTSUPP;
	case FS_IOC_GETFLAGS:
	case FS_IOC_SETFLAGS:
	case FS_IOC_FSGETXATTR:
	case FS_IOC_FSSETXATTR:
		return -ENOTTY;
	default:
		break;
	}
	return sys3(SYS_ioctl, of->fd, request, argument);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct ofd of;
	va_list more;
	void *argument;

	va_start(more, request);
	argument = va_arg(more, void *);
	va_end(more);
	if (likely(!ofd_find(&of, fd, USED_KIND)))
		return REAL(ioctl)(fd, request, argument);
	return (int)failed(ofd_ioctl(&of, request, argument));
}

/* What it resolves in another way than open() does, its callers do themselves where a kernel does not know it. */
static long open_how(int dirfd, const char *path, const struct open_how *how, size_t size)
{
	if (!path_maybe(dirfd, path))
		return failed(sys4(SYS_openat2, dirfd, path, how, size));
	if (size < sizeof *how || how->resolve)
		return failed(-ENOSYS);
	return open_common(dirfd, path, (int)how->flags, (mode_t)how->mode);
}

/*
 * syscall(2): the numbers programs really use on files, led to the functions; the rest is the kernel's. Results and errno
 * are the function's, which are the call's.
 */
EXPORT long syscall(long number, ...)
{
	long a[6];
	va_list more;

	va_start(more, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(more, long);
	va_end(more);
#define P(i) ((void *)a[i])
#define LED(name, call)                                                                                                \
	case SYS_##name:                                                                                               \
		return call;
	if (unlikely(shim.active))
		switch (number) {
			LED(openat, open_common(a[0], P(1), a[2], a[3]))
			LED(openat2, open_how(a[0], P(1), P(2), a[3]))
			LED(read, read(a[0], P(1), a[2]))
			LED(pread64, pread(a[0], P(1), a[2], a[3]))
			LED(lseek, lseek(a[0], a[1], a[2]))
			LED(close, close(a[0]))
			LED(close_range, close_range(a[0], a[1], a[2]))
			LED(dup, dup(a[0]))
			LED(dup3, dup3(a[0], a[1], a[2]))
			LED(fcntl, fcntl(a[0], a[1], a[2]))
			LED(statx, statx(a[0], P(1), a[2], a[3], P(4)))
			LED(newfstatat, fstatat(a[0], P(1), P(2), a[3]))
			LED(fstat, fstat(a[0], P(1)))
			LED(getdents64, getdents64(a[0], P(1), a[2]))
			LED(renameat2, renameat2(a[0], P(1), a[2], P(3), a[4]))
			LED(unlinkat, unlinkat(a[0], P(1), a[2]))
			LED(mkdirat, mkdirat(a[0], P(1), a[2]))
			LED(readlinkat, readlinkat(a[0], P(1), P(2), a[3]))
			LED(faccessat, faccessat(a[0], P(1), a[2], 0))
			LED(faccessat2, faccessat(a[0], P(1), a[2], a[3]))
			LED(setfsuid, setfsuid(a[0]))
			LED(setfsgid, setfsgid(a[0]))
			LED(copy_file_range, copy_file_range(a[0], P(1), a[2], P(3), a[4], a[5]))
#ifdef SYS_open
			LED(open, open_common(AT_FDCWD, P(0), a[1], a[2]))
			LED(stat, stat(P(0), P(1)))
			LED(lstat, lstat(P(0), P(1)))
			LED(dup2, dup2(a[0], a[1]))
#endif
		default:
			break;
		}
#undef LED
#undef P
	return failed(sys6(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}
