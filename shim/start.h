/*
 * start.h: a session of one's own: plain LD_PRELOAD, without `slipstream run`.
 */
#ifndef SLIPSTREAM_SHIM_START_H
#define SLIPSTREAM_SHIM_START_H

#include <stdbool.h>
#include <stddef.h>

/* The mounts that the environment names, or the settings' file if it says nothing, kept; NULL: none. Called by the constructor. */
const char *start_mounts(const char *mounts);

/* The session that all of this user's programs with these mounts share; NULL: it has no place. Called by the constructor. */
const char *start_session(const char *mounts);

/* Where our libslipstream-client.so is. */
bool start_client(char out[4096]);

/* Nobody keeps it: start a keeper, wait until it serves. 0 or -errno. Not from a vfork child: -EIO. */
int start_keeper(void);

#endif
