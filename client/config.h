/*
 * config.h: the settings of one client. The table is config.def.
 *
 * Sources, the first that speaks wins: overrides; SLIPSTREAM_* in the environment; GOOSEFS_* in the environment; the
 * settings file (SLIPSTREAM_CONFIG, else $XDG_CONFIG_HOME/slipstream/slipstream.conf,
 * ~/.config/slipstream/slipstream.conf, /etc/slipstream.conf: "name = value" lines, # comments);
 * goosefs-site.properties (spec goosefs 14.1); the default.
 *
 * Threads: any. A config does not change once made, and what it returns lives as long as it.
 */
#ifndef SLIPSTREAM_CLIENT_CONFIG_H
#define SLIPSTREAM_CLIENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_id {
#define SETTING(ID, ...) CONFIG_##ID,
#define GOOSEFS(...)
#include "client/config.def"
#undef SETTING
#undef GOOSEFS
	CONFIG_COUNT
};

enum { CLIENT_IN_SESSION, CLIENT_IN_PROCESS };    /* CONFIG_CLIENT */
enum { FSYNC_PUBLISHES, FSYNC_STAYS_IN_SESSION }; /* CONFIG_FSYNC */

/* Where a value came from; the smaller wins. */
enum config_source {
	CONFIG_FROM_OVERRIDE,
	CONFIG_FROM_ENVIRONMENT,
	CONFIG_FROM_GOOSEFS_ENVIRONMENT,
	CONFIG_FROM_FILE,
	CONFIG_FROM_PROPERTIES,
	CONFIG_FROM_DEFAULT,
};

struct config;

/* overrides: NULL, or "name=value" strings ending in NULL. -EINVAL: error_noted() says what is wrong with which. */
int config_new(const char *const *overrides, struct config **out);
void config_free(struct config *);

/* A value in its own unit: bytes, milliseconds, a count, millionths, 0 or 1, the place in the list of choices. */
uint64_t config_u64(const struct config *, enum config_id);
int64_t config_i64(const struct config *, enum config_id); /* where -1 means something */
bool config_bool(const struct config *, enum config_id);
const char *config_text(const struct config *, enum config_id); /* as written; never NULL, "" when not set */
enum config_source config_source(const struct config *, enum config_id);

#define CONFIG_NAME_MAX 128

/* The i-th (0..) SLIPSTREAM_* in the environment that is no setting, and which one may be meant. false past the last. */
bool config_unknown(unsigned i, char name[CONFIG_NAME_MAX], const char **nearest);

/* The table itself, for tools and documentation. */
const char *config_name(enum config_id); /* "SLIPSTREAM_MOUNTS" */
const char *config_help(enum config_id);
const char *config_default(enum config_id); /* as one would write it */

#endif
