/*
 * sys.h: the kernel itself. What the shim does for its own ends goes here and not through libc: no errno is touched, no
 * cancellation point is passed, no wrapper of ours is met, and it is as safe in a signal handler as the call it serves.
 * Every function returns the result or -errno.
 */
#ifndef SLIPSTREAM_SHIM_SYS_H
#define SLIPSTREAM_SHIM_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>

_Static_assert(sizeof(long) == 8 && sizeof(off_t) == 8, "64-bit Linux only: foo and foo64 are one function here");

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	long rc;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return rc;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
#else
#error "sys6() is not written for this machine"
#endif
}

#define sys0(nr)                sys6(nr, 0, 0, 0, 0, 0, 0)
#define sys1(nr, a)             sys6(nr, (long)(a), 0, 0, 0, 0, 0)
#define sys2(nr, a, b)          sys6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define sys3(nr, a, b, c)       sys6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys4(nr, a, b, c, d)    sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define sys5(nr, a, b, c, d, e) sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

static inline int sys_open(const char *path, int flags, mode_t mode)
{
	return (int)sys4(SYS_openat, AT_FDCWD, path, flags, mode);
}

static inline int sys_close(int fd)
{
	return (int)sys1(SYS_close, fd);
}

static inline int sys_dup3(int from, int to, int flags)
{
	return (int)sys3(SYS_dup3, from, to, flags);
}

static inline int sys_fcntl(int fd, int command, long argument)
{
	return (int)sys3(SYS_fcntl, fd, command, argument);
}

static inline int sys_fstat(int fd, struct stat *st)
{
	return (int)sys2(SYS_fstat, fd, st);
}

static inline int sys_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	return (int)sys4(SYS_newfstatat, dirfd, path, st, flags);
}

static inline long sys_readlink(const char *path, char *out, size_t n)
{
	return sys4(SYS_readlinkat, AT_FDCWD, path, out, n);
}

#define SYS_FD_NAME 32

/* "/proc/self/fd/N", by which the kernel opens a descriptor anew. */
static inline char *sys_fd_name(char out[SYS_FD_NAME], int fd)
{
	static const char proc[] = "/proc/self/fd/";
	char *at = out + SYS_FD_NAME - 1;

	*at = '\0';
	do
		*--at = (char)('0' + fd % 10);
	while (fd /= 10);
	return __builtin_memcpy(at - (sizeof proc - 1), proc, sizeof proc - 1);
}

/* In decimal, without an end; its length. */
static inline unsigned sys_number(char *out, unsigned long v)
{
	char digits[24];
	unsigned n = 0, written = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		out[written++] = digits[--n];
	return written;
}

/* Room that a thread's stack may not have. Zeroed; NULL: there is none. As safe in a signal handler as the rest. */
static inline void *sys_room(size_t n)
{
	long at = sys6(SYS_mmap, 0, (long)n, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);

	return at < 0 && at > -4096 ? NULL : (void *)at;
}

static inline void sys_room_end(void *at, size_t n)
{
	sys2(SYS_munmap, at, n);
}

static inline off_t sys_lseek(int fd, off_t off, int whence)
{
	return sys3(SYS_lseek, fd, off, whence);
}

#endif
