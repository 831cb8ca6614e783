/*
 * path.h: paths as components; nothing here asks a file system.
 *
 * Threads: any.
 */
#ifndef SLIPSTREAM_CLIENT_PATH_H
#define SLIPSTREAM_CLIENT_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Normalise an absolute path by components: no ".", "..", "//", no trailing "/". ".." of the root is the root.
 * -EINVAL (not absolute), -ENAMETOOLONG (also for one component over NAME_MAX).
 */
int path_normalise(const char *path, char out[PATH_MAX]);

/* Is path the directory itself, or below it? Both normalised. directory "" or "/" is above everything. */
bool path_below(const char *path, const char *directory);

/* Well-formed UTF-8, which is what protocols can carry; names on a disk may be any bytes. */
bool path_is_utf8(const char *path);

const char *path_name(const char *path);                                    /* last component; "" for "/" */
void path_parent(const char *path, char out[PATH_MAX]);                     /* normalised; "/" for "/" */
int path_join(char out[PATH_MAX], const char *directory, const char *name); /* -ENAMETOOLONG */

#endif
