/*
 * fdtab.h: descriptor numbers, and which of them are ours.
 *
 * A word per number, atomic, never locked. In a vfork child, which shares our memory but not our descriptors, nobody
 * writes here and the kernel is asked instead.
 */
#ifndef SLIPSTREAM_SHIM_FDTAB_H
#define SLIPSTREAM_SHIM_FDTAB_H

#include "shim/shim.h"
#include "client/session.h"

#define FDTAB_SIZE   65536
#define FDTAB_POLLED 256 /* below, what was open at exec is known; above, everything begins as unknown */

/* The low bit is flipped from FDTAB_POLLED on, so that a table of zeros is right everywhere. */
enum { FD_NATIVE = 0, FD_UNKNOWN = 1, FD_OURS = 2 };

extern HIDDEN _Atomic uint32_t fdtab[FDTAB_SIZE];

static inline uint32_t fdtab_word(int fd)
{
	if (unlikely((unsigned)fd >= FDTAB_SIZE))
		return fd < 0 ? FD_NATIVE : FD_UNKNOWN;
	return atomic_load_explicit(&fdtab[fd], memory_order_relaxed) ^ (fd >= FDTAB_POLLED);
}

static inline uint32_t fdtab_pack(uint32_t record, enum session_kind kind, bool writable)
{
	return FD_OURS | (uint32_t)kind << 2 | (uint32_t)writable << 5 | record << 8;
}

/* Of a descriptor that this process did not open itself: its description may be another process's too. */
#define FD_INHERITED (1u << 6)

static inline uint32_t fdtab_record(uint32_t word)
{
	return word >> 8;
}

static inline enum session_kind fdtab_kind(uint32_t word)
{
	return (enum session_kind)(word >> 2 & 7);
}

static inline bool fdtab_writable(uint32_t word)
{
	return word >> 5 & 1;
}

/* At exec: what is open already may be ours. */
void fdtab_init(void);
void fdtab_set(int fd, uint32_t word);
/* Numbers that arrived by ways we do not follow: asked at their next use. */
void fdtab_forget(int fd);
/* The word of a number, the kernel asked if it was unknown. Never FD_UNKNOWN. */
uint32_t fdtab_resolve(int fd);
/* What the kernel says of a number, whatever the table does: for a vfork child. */
uint32_t fdtab_ask(int fd);
/* Highest number that may be ours, for walks; -1: none. */
int fdtab_highest(void);

#endif
