/*
 * reserve.h: a little space set aside in the root, so that on a disk that is full files can still be removed and the
 * server can still start: both need to write something first.
 *
 * Threads: any.
 */
#ifndef SLIPSTREAM_SERVER_RESERVE_H
#define SLIPSTREAM_SERVER_RESERVE_H

#include <stdbool.h>

/* Set it aside, if it is not and there is room; 0 or -errno, which is no error of anything else. */
int reserve_make(const char *root);
/* Give it back to the disk. False if there was none. */
bool reserve_spend(const char *root);

#endif
