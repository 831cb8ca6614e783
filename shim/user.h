/*
 * user.h: addresses that a program gives us to write to. The kernel says EFAULT where nothing can be written; we would crash.
 *
 * Threads: any. Async-signal-safe. A system call for memory that was not asked about lately by this thread, else none.
 */
#ifndef SLIPSTREAM_SHIM_USER_H
#define SLIPSTREAM_SHIM_USER_H

#include "shim/shim.h"

/* Can n bytes be written at to? Some of them may be overwritten in finding out. */
bool user_takes(void *to, size_t n);

/* Copy what fits, from the beginning on: how many bytes that were, less than n if the rest cannot be written. */
size_t user_put(void *to, const void *from, size_t n);

/* Bytes are about to be put here, in parts: ask about all of it, within reason. */
void user_expect(void *to, size_t n);

#endif
