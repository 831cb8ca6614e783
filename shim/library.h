/*
 * library.h: files of ours that libc opens by itself, by a name it can open.
 */
#ifndef SLIPSTREAM_SHIM_LIBRARY_H
#define SLIPSTREAM_SHIM_LIBRARY_H

#include "shim/path.h"

#define LIBRARY_NAME 96

struct link_map;

/* A descriptor of the file's content that can be opened by its number and executed, to be closed by process_close(); SESSION_ELSEWHERE as the handlers; -errno. */
int library_content(struct where *w);

/*
 * The same, and its name for ld.so and libc, never the same twice.
 */
int library_file(struct where *w, char name[LIBRARY_NAME]);

/* This is what ld.so calls it from now on, and dladdr(). */
void library_call(struct link_map *, const char *name);

#endif
