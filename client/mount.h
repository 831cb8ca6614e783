/*
 * mount.h: path prefix to backend.
 *
 * A mount is "/goosefs=goosefs://host:9200/root". Prefixes do not overlap. Its backend is opened on first use.
 * Threads: any. The table is fixed once made.
 */
#ifndef SLIPSTREAM_CLIENT_MOUNT_H
#define SLIPSTREAM_CLIENT_MOUNT_H

#include "client/backend.h"

#include <limits.h>

struct config;

struct mount {
	unsigned index;  /* its place in the table; also in the session's records */
	char *prefix;    /* "/goosefs"; no trailing slash */
	char *url;       /* as configured */
	char *authority; /* "host:port", or "" */
	char *root;      /* "" or "/data": put before every path sent to the backend */
	const struct backend_ops *ops;
};

struct mount_table;

/* Parse "PREFIX=URL;PREFIX=URL". -EINVAL with a line in the log that quotes the offending part. */
int mount_table_new(const struct config *, const char *text, struct mount_table **out);
void mount_table_free(struct mount_table *);
const struct mount *mount_at(const struct mount_table *, unsigned index); /* NULL past the last */

/*
 * Whose path is it? Normalises (".", "..", "//") first; URLs of a mount's scheme are understood. NULL: nobody's.
 * below receives the path within the backend, root included: at least "/".
 */
const struct mount *mount_find(const struct mount_table *, const char *path, char below[PATH_MAX]);

/* The mount's backend, opened on first use (single flight). */
int mount_backend(const struct mount_table *, const struct mount *, struct backend **out);

#endif
