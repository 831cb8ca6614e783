/*
 * needed.h: the libraries of ours that a program is linked with, for who executes it, and for that program itself.
 *
 * Async-signal-safe, and right in a vfork child: memory is the stack's, or given back.
 */
#ifndef SLIPSTREAM_SHIM_NEEDED_H
#define SLIPSTREAM_SHIM_NEEDED_H

#include <stdbool.h>
#include <stddef.h>

#define NEEDED_NAME "SLIPSTREAM_NEEDED"
#define NEEDED_MAX  256

struct needed {
	unsigned count;     /* 0: none, and the rest says nothing */
	int fd[NEEDED_MAX]; /* closed by exec */
	size_t text_bytes;  /* for needed_environment() */
	struct needed_list *list;
	const char *tells; /* the next program of them: in the caller's text */
};

/*
 * What the program in image is linked with; path, shorter than PATH_MAX, is where it lies. envp is what it will be given: if that does not lead
 * the shim into it, none are found. needed_environment() and needed_close() follow if there are some.
 */
void needed_open(struct needed *, int image, const char *path, char *const envp[]);

#define NEEDED_ADDED 3 /* two of ours, and the end */

/* envp, and what leads to the libraries; out has room for NEEDED_ADDED more. */
void needed_environment(struct needed *, char **out, char *const envp[], char *text);

/* Not closed by exec. */
void needed_inherit(const struct needed *);
/* arrives: another process is executing the program, and cleans up. */
void needed_close(struct needed *, bool arrives);

/* In the program, list being what NEEDED_NAME says: their names, no descriptors, and an environment that tells nothing of it. By the constructor. */
void needed_arrive(const char *list);

#endif
