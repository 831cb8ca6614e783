/*
 * mount.c: the table is small and fixed; lookups walk it.
 *
 * A URL is a path too: goosefs://host:port/x belongs to the mount of that authority, goosefs:///x to the first mount
 * of the scheme, each if its root is above x. A path below a prefix gets the mount's root put before it.
 */
#include "client/mount.h"
#include "client/log.h"
#include "client/path.h"
#include "client/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const struct backend_ops *const backends[] = {&goosefs_backend};

struct slot {
	struct mount mount;
	pthread_mutex_t lock;    /* held while the backend is being opened: single flight */
	struct backend *backend; /* NULL until first used */
};

struct mount_table {
	const struct config *config; /* not ours; outlives us */
	struct slot *slots;
	unsigned n;
};

static int complain(const char *part, const char *why)
{
	error_note("SLIPSTREAM_MOUNTS: \"%s\": %s", part, why);
	return -EINVAL;
}

static const struct backend_ops *ops_of(const char *url, const char **rest)
{
	for (unsigned i = 0; i < sizeof backends / sizeof *backends; i++) {
		size_t n = strlen(backends[i]->scheme);

		if (!strncmp(url, backends[i]->scheme, n) && !strncmp(url + n, "://", 3)) {
			*rest = url + n + 3;
			return backends[i];
		}
	}
	return NULL;
}

/* "authority/path" into its halves; the path normalised, "/" when there is none. */
static int url_split(const char *rest, char **authority, char path[PATH_MAX])
{
	size_t n = strcspn(rest, "/");
	int rc = path_normalise(rest[n] ? rest + n : "/", path);

	if (rc)
		return rc;
	*authority = strndup(rest, n);
	return *authority ? 0 : -ENOMEM;
}

/* "host", "host:port", "[::1]:port": the end of it, or NULL. */
static const char *address_skip(const char *at)
{
	size_t host = *at == '[' ? strcspn(at, "],") + 1 : strcspn(at, ":,");
	unsigned port = 0;

	if (!host || (*at == '[' && at[host - 1] != ']'))
		return NULL;
	at += host;
	if (*at != ':')
		return at;
	for (at++; *at >= '0' && *at <= '9' && port <= 65535; at++)
		port = port * 10 + (unsigned)(*at - '0');
	return port && port <= 65535 ? at : NULL;
}

/* Addresses separated by commas; none: those of the settings. */
static bool authority_fits(const char *at)
{
	while (at && *at) {
		at = address_skip(at);
		if (at && *at != ',')
			return *at == '\0';
		at = at && at[1] ? at + 1 : NULL;
	}
	return at != NULL;
}

static int mount_parse_url(struct mount *mount, const char *part)
{
	char root[PATH_MAX];
	const char *rest;

	mount->ops = ops_of(mount->url, &rest);
	if (!mount->ops)
		return complain(part, "the URL must begin with goosefs://");
	if (url_split(rest, &mount->authority, root))
		return complain(part, "the path in the URL is not usable");
	if (!authority_fits(mount->authority))
		return complain(part, "expected host:port, with a port of 1 to 65535; several are separated by commas");
	mount->root = strdup(strcmp(root, "/") ? root : "");
	return mount->root ? 0 : -ENOMEM;
}

static int mount_parse(struct mount *mount, const char *part)
{
	const char *equals = strchr(part, '=');
	char *prefix, path[PATH_MAX];
	int rc;

	if (!equals)
		return complain(part, "expected /prefix=goosefs://host:port/path");
	prefix = strndup(part, (size_t)(equals - part));
	if (!prefix)
		return -ENOMEM;
	rc = path_normalise(prefix, path);
	free(prefix);
	if (rc)
		return complain(part, "the prefix must be an absolute path");
	if (!strcmp(path, "/"))
		return complain(part, "the prefix cannot be the root directory");
	if (strlen(path) >= SESSION_PREFIX_MAX)
		return complain(part, "the prefix is too long");
	mount->prefix = strdup(path);
	mount->url = strdup(equals + 1);
	if (!mount->prefix || !mount->url)
		return -ENOMEM;
	return mount_parse_url(mount, part);
}

static int mount_overlaps(const struct mount_table *table, const struct mount *mount, const char *part)
{
	for (unsigned i = 0; i < table->n; i++) {
		const char *other = table->slots[i].mount.prefix;

		if (path_below(mount->prefix, other) || path_below(other, mount->prefix))
			return complain(part, "the prefix overlaps with another one");
	}
	return 0;
}

static void mount_release(struct mount *mount)
{
	free(mount->prefix);
	free(mount->url);
	free(mount->authority);
	free(mount->root);
}

static int mount_add(struct mount_table *table, const char *part)
{
	struct mount mount = {.index = table->n};
	struct slot *more;
	int rc = mount_parse(&mount, part);

	if (!rc)
		rc = mount_overlaps(table, &mount, part);
	if (!rc && table->n == SESSION_MOUNTS_MAX)
		rc = complain(part, "there are too many mounts before it");
	if (rc)
		goto fail;
	rc = -ENOMEM;
	more = realloc(table->slots, (table->n + 1) * sizeof *more);
	if (!more)
		goto fail;
	table->slots = more;
	table->slots[table->n++] = (struct slot){.mount = mount};
	return 0;
fail:
	mount_release(&mount);
	return rc;
}

static char *trimmed(char *s)
{
	size_t n;

	s += strspn(s, " \t\n");
	n = strlen(s);
	while (n && strchr(" \t\n", s[n - 1]))
		s[--n] = '\0';
	return s;
}

int mount_table_new(const struct config *config, const char *text, struct mount_table **out)
{
	struct mount_table *table = calloc(1, sizeof *table);
	char *copy = strdup(text ? text : ""), *save = NULL;
	int rc = table && copy ? 0 : -ENOMEM;

	if (table)
		table->config = config;
	for (char *part = rc ? NULL : strtok_r(copy, ";", &save); part && !rc; part = strtok_r(NULL, ";", &save)) {
		part = trimmed(part);
		if (*part)
			rc = mount_add(table, part);
	}
	free(copy);
	if (rc) {
		mount_table_free(table);
		return rc;
	}
	/* Only now does the array stay where it is, as a mutex must. */
	for (unsigned i = 0; i < table->n; i++)
		pthread_mutex_init(&table->slots[i].lock, NULL);
	*out = table;
	return 0;
}

void mount_table_free(struct mount_table *table)
{
	if (!table)
		return;
	for (unsigned i = 0; i < table->n; i++) {
		struct slot *slot = &table->slots[i];

		if (slot->backend)
			slot->mount.ops->close(slot->backend);
		mount_release(&slot->mount);
	}
	free(table->slots);
	free(table);
}

const struct mount *mount_at(const struct mount_table *table, unsigned index)
{
	return index < table->n ? &table->slots[index].mount : NULL;
}

static const struct mount *find_url(const struct mount_table *table, const char *url, char below[PATH_MAX])
{
	const struct mount *found = NULL;
	const struct backend_ops *ops;
	char *authority = NULL;
	const char *rest;

	ops = ops_of(url, &rest);
	if (!ops || url_split(rest, &authority, below))
		return NULL;
	for (unsigned i = 0; i < table->n && !found; i++) {
		const struct mount *m = &table->slots[i].mount;

		if (m->ops == ops && (!*authority || !strcmp(authority, m->authority)) && path_below(below, m->root))
			found = m;
	}
	free(authority);
	return found;
}

static const struct mount *find_path(const struct mount_table *table, const char *path, char below[PATH_MAX])
{
	for (unsigned i = 0; i < table->n; i++) {
		const struct mount *m = &table->slots[i].mount;
		const char *rest;
		size_t root = strlen(m->root);

		if (!path_below(path, m->prefix))
			continue;
		rest = path + strlen(m->prefix);
		if (root + strlen(rest) >= PATH_MAX)
			return NULL;
		memcpy(below, m->root, root);
		strcpy(below + root, rest);
		if (!*below)
			strcpy(below, "/");
		return m;
	}
	return NULL;
}

const struct mount *mount_find(const struct mount_table *table, const char *path, char below[PATH_MAX])
{
	char normal[PATH_MAX];

	if (*path != '/')
		return find_url(table, path, below);
	if (path_normalise(path, normal))
		return NULL;
	return find_path(table, normal, below);
}

int mount_backend(const struct mount_table *table, const struct mount *mount, struct backend **out)
{
	struct slot *slot = &table->slots[mount->index];
	int rc = 0;

	pthread_mutex_lock(&slot->lock);
	if (!slot->backend)
		rc = mount->ops->open(table->config, mount->authority, &slot->backend);
	*out = slot->backend;
	pthread_mutex_unlock(&slot->lock);
	return rc;
}
