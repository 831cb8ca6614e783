/*
 * client.h: the struct that owns everything below the public API. The keeper builds upon it.
 */
#ifndef SLIPSTREAM_CLIENT_CLIENT_H
#define SLIPSTREAM_CLIENT_CLIENT_H

#include "client/config.h"
#include "client/mount.h"

struct slip_client {
	struct config *config;
	struct mount_table *mounts;
};

/* Names of this kind are ours: replacements on their way. No listing shows them. */
#define HIDDEN_PREFIX ".slipstream-"
#define RENAME_ROUNDS 5

/* A path, resolved to whom to ask and how it is called there. */
struct place {
	const struct mount *mount;
	const struct backend_ops *ops;
	struct backend *backend;
	char path[PATH_MAX]; /* within the backend */
};

int place_find(struct slip_client *, const char *path, struct place *out); /* -ENOENT: below no mount */
bool place_is_root(const struct place *);
bool name_is_hidden(const char *name);

/* rename(2) between two places of one mount: replaces what rename(2) replaces, by removing it first. */
int place_rename(const struct place *from, const struct place *to, bool noreplace);

#endif
