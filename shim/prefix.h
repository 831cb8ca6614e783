/*
 * prefix.h: the prefixes of the mounts, and what the text of a path alone says about them.
 *
 * Threads: any, once prefix_parse() has returned. Async-signal-safe. No system call.
 */
#ifndef SLIPSTREAM_SHIM_PREFIX_H
#define SLIPSTREAM_SHIM_PREFIX_H

#include "shim/shim.h"

/* What a path ended in. All but a name must be a directory. */
enum path_end {
	PATH_NAME,
	PATH_LINK, /* a name of the kernel's that is a link to something of ours: /proc/self/fd/3 */
	PATH_SLASH,
	PATH_DOT,
	PATH_DOTDOT,
};

/* Every "/goosefs=goosefs://host:port/" of a list with ';' between them, into shim.prefix. */
void prefix_parse(const char *mounts);

/* The prefix a normalised path lies in, or NULL. */
const struct prefix *prefix_of(const char *path);

/*
 * "goosefs://host:9200/data/a" or "goosefs:///data/a" as "/goosefs/a", if /data is mounted there. out has PATH_MAX bytes.
 * 1: done; 0: it is no URL of a mount; -ENAMETOOLONG.
 */
int prefix_of_url(const char *path, char *out, enum path_end *end);

/*
 * Could an absolute path lead below a prefix, or name a descriptor (/dev/fd/3) or the working directory (/proc/self/cwd)?
 * Could a relative one lead below a prefix, seen from some directory that is not, or is it a URL? False is certain.
 */
bool prefix_absolute(const char *path);
bool prefix_relative(const char *path);

/*
 * Join base and path by components: "." and "//" go, ".." takes one away. Both name the root as "/".
 *
 * out       PATH_MAX bytes; may be base
 * through   set if the walk was below a prefix at any time; may be NULL
 *
 * Returns 0 or -ENAMETOOLONG.
 */
int prefix_join(char *out, const char *base, const char *path, enum path_end *end, bool *through);

#endif
