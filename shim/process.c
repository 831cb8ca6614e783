/*
 * process.c: dup, close, exit: what a process does to its descriptors.
 *
 * The closing of a writable descriptor may be the last one of a file: the keeper is asked, waits for the publication if
 * so, and its answer is close()'s. Whatever closes descriptors behind libc's back (exec, a signal) is seen by the keeper
 * alone and not waited for.
 */
#include "shim/process.h"
#include "shim/inside.h"
#include "shim/map.h"
#include "shim/ofd.h"
#include "shim/op.h"
#include "shim/path.h"
#include "shim/real.h"
#include "shim/report.h"
#include "shim/session.h"
#include "shim/stream.h"
#include "shim/sys.h"

#include <stdlib.h>
#include <string.h>

static long failed(long rc)
{
	if (rc >= 0)
		return rc;
	errno = (int)-rc;
	return -1;
}

/* ---- closing -------------------------------------------------------------------------------------------------------------- */

#define PASSING_YIELDS 50
#define PASSING_NAPS   10000 /* of a tenth of a millisecond */

/*
 * A descriptor we received may still be open in the keeper, which sent it: what the last close does, it would do a moment
 * later than ours. The bound is for a keeper that was killed just then.
 */
static void passed_await(int record)
{
	static const struct timespec nap = {0, 100000};
	struct session_record *rec = record_get(record);

	for (int i = 0; rec && atomic_load_explicit(&rec->passing, memory_order_acquire) && i < PASSING_NAPS; i++)
		if (i < PASSING_YIELDS)
			sys0(SYS_sched_yield);
		else
			sys4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL);
}

long process_closed(int fd, unsigned word)
{
	struct call c;
	long rc;

	(void)fd;
	if (word < FD_OURS || (fdtab_kind(word) != SESSION_STAGED && fdtab_kind(word) != SESSION_LOCAL))
		return 0;
	passed_await((int)fdtab_record(word));
	if (!fdtab_writable(word))
		return 0;
	call_record(&c, SESSION_CLOSED, (int)fdtab_record(word));
	rc = session_call(&c);
	return rc < 0 ? rc : 0;
}

void process_opened(int fd, unsigned word)
{
	if (!session_vfork_child())
		fdtab_set(fd, word);
}

/* The word of a number that is about to be closed, taken out of the table first: the number may be another's at once. */
static uint32_t take(int fd)
{
	uint32_t word = fdtab_resolve(fd);

	if (session_vfork_child())
		return FD_NATIVE; /* the parent still has it */
	fdtab_set(fd, FD_NATIVE);
	return word;
}

long process_close(int fd)
{
	uint32_t word = FD_NATIVE;
	long rc, published;

	if (session_private(fd))
		return -EBADF;
	if (shim.active && fdtab_word(fd) != FD_NATIVE)
		word = take(fd);
	rc = sys_close(fd);
	published = rc == -EBADF ? 0 : process_closed(fd, word);
	return rc < 0 ? rc : published;
}

static COLD int close_slow(int fd)
{
	return (int)failed(process_close(fd));
}

EXPORT int close(int fd)
{
	if (likely(fdtab_word(fd) == FD_NATIVE &&
		   fd < atomic_load_explicit(&session_private_low, memory_order_relaxed)))
		return REAL(close)(fd);
	return shim.active ? close_slow(fd) : REAL(close)(fd);
}
EXPORT_ALIAS(close, __close)

/* Publish what was closed in one sweep; the first error is told. */
static long closed_all(unsigned first, unsigned last, bool close_them)
{
	long rc = 0;

	for (unsigned fd = first; fd <= last && (int)fd <= fdtab_highest(); fd++)
		if (fdtab_word((int)fd) >= FD_OURS) {
			uint32_t word = take((int)fd);
			long one;

			if (close_them)
				sys_close((int)fd);
			one = process_closed((int)fd, word);
			rc = rc ?: one;
		}
	return rc;
}

/* Around our connections. */
static long close_range_parts(unsigned first, unsigned last, int flags)
{
	unsigned low = (unsigned)atomic_load(&session_private_low), high = low + 64;
	long rc = 0;

	if (last < low || first > high || session_vfork_child())
		return sys3(SYS_close_range, first, last, flags);
	if (first < low)
		rc = sys3(SYS_close_range, first, low - 1, flags);
	for (unsigned fd = first > low ? first : low; !rc && fd <= high && fd <= last; fd++)
		if (!session_private((int)fd))
			rc = sys3(SYS_close_range, fd, fd, flags);
	if (!rc && last > high)
		rc = sys3(SYS_close_range, high + 1, last, flags);
	return rc;
}

/* Unknown numbers in the range are asked first: one of them may be the last writer of a file. */
static void resolve_range(unsigned first, unsigned last)
{
	for (unsigned fd = first; fd <= last && fd < FDTAB_POLLED; fd++)
		if (fdtab_word((int)fd) == FD_UNKNOWN)
			fdtab_resolve((int)fd);
}

static void natives(unsigned first, unsigned last)
{
	for (unsigned fd = first; fd <= last && fd < FDTAB_SIZE; fd++)
		if (fdtab_word((int)fd) == FD_UNKNOWN && fd < FDTAB_POLLED)
			fdtab_set((int)fd, FD_NATIVE);
}

static COLD long close_range_slow(unsigned first, unsigned last, int flags)
{
	long rc, published;

	if (flags || first > last || session_vfork_child())
		return close_range_parts(first, last, flags);
	resolve_range(first, last);
	rc = closed_all(first, last, true);
	natives(first, last);
	published = rc;
	rc = close_range_parts(first, last, flags);
	return rc < 0 ? rc : published;
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	if (likely(!shim.active))
		return REAL(close_range)(first, last, flags);
	return (int)failed(close_range_slow(first, last, flags));
}

EXPORT void closefrom(int low)
{
	if (likely(!shim.active))
		REAL(closefrom)(low);
	else if (close_range_slow(low < 0 ? 0 : (unsigned)low, ~0u, 0) == -ENOSYS)
		for (int fd = low < 0 ? 0 : low; fd < FDTAB_SIZE; fd++)
			process_close(fd);
}

/* What this program inherited and never used may be a writer as well. */
static STARTUP void resolve_writers(void)
{
	for (int fd = 0; fd < FDTAB_POLLED; fd++) {
		int mode = fdtab_word(fd) == FD_UNKNOWN ? sys_fcntl(fd, F_GETFL, 0) & O_ACCMODE : O_RDONLY;

		if (mode == O_WRONLY || mode == O_RDWR)
			fdtab_resolve(fd);
	}
}

/* Every writable file of ours, closed now, so that its publication is waited for. */
STARTUP void process_exit(bool streams)
{
	bool any = false;

	if (!shim.active || session_vfork_child())
		return;
	resolve_writers();
	if (fdtab_highest() < 0)
		return;
	for (int fd = 0; fd <= fdtab_highest() && !any; fd++)
		any = fdtab_word(fd) >= FD_OURS && fdtab_writable(fdtab_word(fd));
	if (any && streams && !stream_flush_ours())
		return;
	map_exit();
	for (int fd = 0; fd <= fdtab_highest(); fd++) {
		uint32_t word = fdtab_word(fd);

		if (any && word >= FD_OURS && fdtab_writable(word))
			process_close(fd);
	}
}

EXPORT void _exit(int status)
{
	process_exit(false);
	if (!session_vfork_child()) {
		inside_end();
		report_tell();
	}
	REAL(_exit)(status);
	__builtin_unreachable();
}
EXPORT_ALIAS(_exit, _Exit)

/* ---- copies ----------------------------------------------------------------------------------------------------------------- */

int process_dup(int fd)
{
	uint32_t word = fdtab_resolve(fd);
	int copy = session_private(fd) ? -EBADF : (int)sys1(SYS_dup, fd);

	if (copy >= 0)
		process_opened(copy, word);
	return copy;
}

EXPORT int dup(int fd)
{
	if (likely(fdtab_word(fd) == FD_NATIVE &&
		   fd < atomic_load_explicit(&session_private_low, memory_order_relaxed)))
		return REAL(dup)(fd);
	return (int)failed(process_dup(fd));
}

/* A connection of ours in the way is given up; the next exchange makes another. */
static void make_way(int to)
{
	if (session_private(to))
		session_drop();
}

int process_dup3(int from, int to, int flags, bool is_dup2)
{
	uint32_t word, old = FD_NATIVE;
	long published = 0;
	int rc;

	if (session_private(from))
		return -EBADF;
	if (from == to)
		return is_dup2 ? (sys_fcntl(from, F_GETFD, 0) < 0 ? -EBADF : to) : -EINVAL;
	make_way(to);
	if (session_vfork_child())
		return sys_dup3(from, to, flags);
	word = fdtab_resolve(from);
	old = fdtab_resolve(to);
	rc = sys_dup3(from, to, flags);
	if (rc < 0)
		return rc;
	process_opened(to, word);
	published = process_closed(to, old);
	return published < 0 ? (int)published : rc;
}

static bool plain_copy(int from, int to)
{
	int low = atomic_load_explicit(&session_private_low, memory_order_relaxed);

	return fdtab_word(from) == FD_NATIVE && fdtab_word(to) == FD_NATIVE && from < low && to < low;
}

EXPORT int dup2(int from, int to)
{
	if (likely(!shim.active || plain_copy(from, to)))
		return REAL(dup2)(from, to);
	return (int)failed(process_dup3(from, to, 0, true));
}
EXPORT_ALIAS(dup2, __dup2)

EXPORT int dup3(int from, int to, int flags)
{
	if (likely(!shim.active || plain_copy(from, to)))
		return REAL(dup3)(from, to, flags);
	return (int)failed(process_dup3(from, to, flags, false));
}

/* ---- fcntl ------------------------------------------------------------------------------------------------------------------ */

static long range_setfl(struct ofd *of, long flags)
{
	const long settable = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;
	uint32_t fixed = atomic_load(&of->rec->status) & ~(uint32_t)settable;

	atomic_store(&of->rec->status, fixed | (uint32_t)(flags & settable));
	return 0;
}

static bool locks(int command)
{
	return command == F_GETLK || command == F_SETLK || command == F_SETLKW || command == F_OFD_GETLK ||
	       command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

static long range_fcntl(struct ofd *of, int command, long argument)
{
	switch (command) {
	case F_GETFL:
		return O_RDONLY | 0100000 | (long)(atomic_load(&of->rec->status) & ~(uint32_t)O_ACCMODE);
	case F_SETFL:
		return range_setfl(of, argument);
	case F_SETLEASE:
	case F_NOTIFY:
	case F_ADD_SEALS:
	case F_GET_SEALS:
		return -EINVAL;
	default:
		return sys_fcntl(of->fd, command, argument);
	}
}

long process_fcntl(int fd, int command, long argument)
{
	struct ofd of;
	uint32_t word;
	int copy;

	if (session_private(fd))
		return -EBADF;
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
		word = fdtab_resolve(fd);
		copy = sys_fcntl(fd, command, argument);
		if (copy >= 0)
			process_opened(copy, word);
		return copy;
	}
	if (locks(command))
		fd_lockable(fd, command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW);
	if (command != F_GETFD && command != F_SETFD && ofd_find(&of, fd, KIND(RANGE)))
		return range_fcntl(&of, command, argument);
	if (command == F_SETLEASE && ofd_find(&of, fd, USED_KIND))
		return -EAGAIN; /* the keeper's own proof of who still writes */
	return sys_fcntl(fd, command, argument);
}

/* ---- descriptors that come by mail ---------------------------------------------------------------------------------------- */

static void forget_received(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i + CMSG_LEN(sizeof(int)) <= c->cmsg_len; i += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i, sizeof fd);
			fdtab_forget(fd);
		}
	}
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = REAL(recvmsg)(fd, message, flags);

	if (unlikely(shim.active && n >= 0 && message->msg_controllen))
		forget_received(message);
	return n;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	int n = REAL(recvmmsg)(fd, messages, count, flags, timeout);

	for (int i = 0; shim.active && i < n; i++)
		if (messages[i].msg_hdr.msg_controllen)
			forget_received(&messages[i].msg_hdr);
	return n;
}

EXPORT int pidfd_getfd(int pidfd, int target, unsigned flags)
{
	int fd = REAL(pidfd_getfd)(pidfd, target, flags);

	if (fd >= 0)
		fdtab_forget(fd);
	return fd;
}

/* ---- libc replaces 0, 1 and 2 by kernel calls of its own ------------------------------------------------------------------ */

static void forget_standard(void)
{
	for (int fd = 0; fd < 3; fd++)
		fdtab_forget(fd);
}

EXPORT int daemon(int stay, int keep)
{
	int rc = REAL(daemon)(stay, keep);

	forget_standard();
	cwd_changed();
	return rc;
}

EXPORT int login_tty(int fd)
{
	int rc = REAL(login_tty)(fd);

	forget_standard();
	fdtab_forget(fd);
	return rc;
}

EXPORT int forkpty(int *terminal, char *name, const struct termios *termios, const struct winsize *size)
{
	int pid = REAL(forkpty)(terminal, name, termios, size);

	if (pid == 0)
		forget_standard();
	return pid;
}

/* ---- file system ids: a thread's own -------------------------------------------------------------------------------------- */

EXPORT int setfsuid(uid_t uid)
{
	atomic_store(&session_fsids, true);
	return REAL(setfsuid)(uid);
}

EXPORT int setfsgid(gid_t gid)
{
	atomic_store(&session_fsids, true);
	return REAL(setfsgid)(gid);
}

/* ---- umask -------------------------------------------------------------------------------------------------------------------- */

#define UMASK_UNKNOWN (-1)

static _Atomic int mask = UMASK_UNKNOWN;

static mode_t umask_ask(void)
{
	char text[1024];
	int fd = sys_open("/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? fd : sys3(SYS_read, fd, text, sizeof text - 1);
	const char *at;

	if (fd >= 0)
		sys_close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "\nUmask:");
	if (!at) { /* no /proc: the old way, seen by other threads for a moment */
		mode_t old = (mode_t)sys1(SYS_umask, 077);

		sys1(SYS_umask, old);
		return old;
	}
	at += 7;
	while (*at == ' ' || *at == '\t')
		at++;
	mode_t v = 0;

	while (*at >= '0' && *at <= '7')
		v = v * 8 + (mode_t)(*at++ - '0');
	return v;
}

mode_t process_umask(void)
{
	int known = atomic_load(&mask);
	mode_t v;

	if (known != UMASK_UNKNOWN)
		return (mode_t)known;
	v = umask_ask();
	if (!session_vfork_child())
		atomic_store(&mask, (int)v);
	return v;
}

EXPORT mode_t umask(mode_t v)
{
	mode_t old = REAL(umask)(v);

	if (shim.active)
		atomic_store(&mask, session_vfork_child() ? UMASK_UNKNOWN : (int)(v & 0777));
	return old;
}
