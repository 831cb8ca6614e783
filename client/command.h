/*
 * command.h: what `slipstream`, the command, needs of this library and no other program should: exported, but no promise.
 *
 * Threads: any.
 */
#ifndef SLIPSTREAM_CLIENT_COMMAND_H
#define SLIPSTREAM_CLIENT_COMMAND_H

#include "client/slipstream.h"

#include <limits.h>

/* A setting in force, as written; "" when not set, NULL when there is none of that name ("MASTER"). Lives as the client. */
SLIP_EXPORT const char *slip_setting(const struct slip_client *, const char *name);

/* The i-th (0..) SLIPSTREAM_* in the environment that is no setting, and which may be meant. false past the last. */
SLIP_EXPORT bool slip_unknown_setting(unsigned i, char name[128], const char **nearest);

/*
 * Candidate i (0..) for staging directories, in the order of preference, "" if there is none of that kind here; false past
 * the last. Sessions' own are candidate/STAGE_PREFIX* (stage.h).
 */
SLIP_EXPORT bool slip_stage_candidate(const struct slip_client *, unsigned i, char out[PATH_MAX]);
/* Is this directory fit? 0 or -errno; -EOPNOTSUPP: slip_last_error() says what it lacks. */
SLIP_EXPORT int slip_stage_probe(const char *dir);

#endif
