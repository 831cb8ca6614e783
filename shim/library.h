/*
 * library.h: files of ours that libc opens by itself, by a name it can open.
 */
#ifndef SLIPSTREAM_SHIM_LIBRARY_H
#define SLIPSTREAM_SHIM_LIBRARY_H

#include "shim/path.h"

#define LIBRARY_NAME 96

/*
 * A descriptor of the file's content, to be closed by process_close(), and its name for ld.so and libc; SESSION_ELSEWHERE as
 * the handlers; -errno.
 */
int library_file(struct where *w, char name[LIBRARY_NAME]);

#endif
