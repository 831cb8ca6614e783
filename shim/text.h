/*
 * text.h: text at the start of a process, which every process waits for. Nothing here calls libc: the first call of each
 * function there is bound, and often the first to touch its page.
 */
#ifndef SLIPSTREAM_SHIM_TEXT_H
#define SLIPSTREAM_SHIM_TEXT_H

#include "shim/shim.h"

static inline bool text_begins(const char *text, const char *with)
{
	while (*with)
		if (*text++ != *with++)
			return false;
	return true;
}

/* The value of a variable, or NULL. */
const char *text_env(const char *name);

/* Does a variable's value say no, as the client reads it (client/config.c)? NULL does not. Async-signal-safe. */
bool text_no(const char *value);

/*
 * A copy that stays: the program may write over its environment. No more than PATH_MAX with the NUL, or NULL: it is longer, or
 * there is no room. By the constructor alone.
 */
const char *text_keep(const char *text, size_t n);
const char *text_join(const char *a, const char *b, const char *c);

#endif
