/*
 * inside.h: the client in this process (SLIPSTREAM_CLIENT=process): the session's keeper as threads of the program.
 */
#ifndef SLIPSTREAM_SHIM_INSIDE_H
#define SLIPSTREAM_SHIM_INSIDE_H

#include <stdbool.h>

/* Start it, wait until it serves. 0 or -errno. A forked or vforked child cannot: it uses its parent's, as long as that lives. */
int inside_start(void);

/* Is it in this process, and serving? */
bool inside_here(void);

/* Everything is published, the session is over, the threads are gone. */
void inside_end(void);

#endif
