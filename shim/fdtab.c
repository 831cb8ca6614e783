/*
 * fdtab.c: a word per descriptor number.
 *
 * Writers store before the kernel can hand the number out again (close) or after it did (open); whoever races with that
 * races with the kernel in the same way.
 */
#include "shim/fdtab.h"
#include "shim/ofd.h"
#include "shim/session.h"
#include "shim/stream.h"
#include "shim/sys.h"

#include <poll.h>

_Atomic uint32_t fdtab[FDTAB_SIZE];

static _Atomic int highest = -1;

/* One call says of 256 numbers which are open. */
STARTUP void fdtab_init(void)
{
	struct pollfd polled[FDTAB_POLLED];
	struct timespec now = {0, 0};

	for (int fd = 0; fd < FDTAB_POLLED; fd++)
		polled[fd] = (struct pollfd){.fd = fd};
	if (sys5(SYS_ppoll, polled, FDTAB_POLLED, &now, NULL, 0) < 0)
		for (int fd = 0; fd < FDTAB_POLLED; fd++)
			polled[fd].revents = 0; /* a limit below 256: take all as open */
	for (int fd = 0; fd < FDTAB_POLLED; fd++)
		if (!(polled[fd].revents & POLLNVAL))
			fdtab_set(fd, FD_UNKNOWN);
}

STARTUP void fdtab_set(int fd, uint32_t word)
{
	if ((unsigned)fd >= FDTAB_SIZE)
		return;
	if (word >= FD_OURS)
		for (int seen = atomic_load(&highest); seen < fd;)
			if (atomic_compare_exchange_weak(&highest, &seen, fd))
				break;
	atomic_store_explicit(&fdtab[fd], word ^ (fd >= FDTAB_POLLED), memory_order_release);
	if (fd == 0)
		stream_note_stdin(word);
}

void fdtab_forget(int fd)
{
	if (shim.active && !session_vfork_child())
		fdtab_set(fd, FD_UNKNOWN);
}

int fdtab_highest(void)
{
	return atomic_load(&highest);
}

/* What the kernel's file says: only a regular file, a directory or a link can be ours. */
STARTUP uint32_t fdtab_ask(int fd)
{
	struct session_record *rec;
	struct stat st;
	int record, flags;

	if (!shim.active || sys_fstat(fd, &st) ||
	    (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)))
		return FD_NATIVE;
	record = record_lookup(st.st_dev, st.st_ino);
	if (record < 0)
		return FD_NATIVE;
	rec = record_get(record);
	flags = sys_fcntl(fd, F_GETFL, 0);
	return FD_INHERITED | fdtab_pack((uint32_t)record, atomic_load(&rec->kind),
					 rec->kind == SESSION_STAGED && flags >= 0 && (flags & O_ACCMODE) != O_RDONLY);
}

STARTUP uint32_t fdtab_resolve(int fd)
{
	uint32_t word = fdtab_word(fd);

	if (word == FD_NATIVE)
		return word;
	if (session_vfork_child())
		return fdtab_ask(fd);
	if (word != FD_UNKNOWN)
		return word;
	word = fdtab_ask(fd);
	fdtab_set(fd, word);
	return word;
}
