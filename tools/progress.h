/*
 * progress.h: one line on standard error about a copy that takes long, if that is a terminal; otherwise nothing.
 */
#ifndef SLIPSTREAM_TOOLS_PROGRESS_H
#define SLIPSTREAM_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	const char *what;          /* not ours */
	int64_t total, done;       /* bytes; total < 0: not known */
	int64_t began_ms, told_ms; /* told_ms 0: no line yet */
	bool silent;
};

void progress_init(struct progress *, const char *what, int64_t total);
void progress_add(struct progress *, size_t n);
void progress_end(struct progress *); /* the line goes away */

/* "1.5M": bytes for people. Returns out. */
char *bytes_text(int64_t bytes, char out[16]);

#endif
