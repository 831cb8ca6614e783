#include "client/goosefs/write_type.h"
#include "client/goosefs/clock.h"
#include "client/path.h"

#include <string.h>
#include <strings.h>

/* The attribute's value is a name, in any case; what it does not know says nothing. */
static int type_named(const void *name, size_t n)
{
	static const char *const names[] = {"MUST_CACHE", "TRY_CACHE", "CACHE_THROUGH", "THROUGH", "ASYNC_THROUGH"};

	for (int i = 0; i < 5; i++)
		if (strlen(names[i]) == n && !strncasecmp(names[i], name, n))
			return GFS_MUST_CACHE + i;
	return GFS_WT_UNSET;
}

static int type_of_directory(const struct gfs_file_info *info)
{
	for (size_t i = 0; i < info->nxattr; i++)
		if (!strcmp(info->xattr[i].name, "innerWriteType"))
			return type_named(info->xattr[i].value, info->xattr[i].bytes);
	return GFS_WT_UNSET;
}

/* False: not known, or not any more. */
static bool remembered(struct backend *b, const char *directory, int *type)
{
	bool found = false;

	pthread_mutex_lock(&b->lock);
	for (unsigned i = 0; i < TYPED_MAX && !found; i++) {
		const struct typed_directory *known = &b->typed[i];

		found = now_ms() < known->until_ms && !strcmp(known->path, directory);
		if (found)
			*type = known->type;
	}
	pthread_mutex_unlock(&b->lock);
	return found;
}

static void remember(struct backend *b, const char *directory, int type)
{
	struct typed_directory *known;
	size_t n = strlen(directory);

	if (n >= sizeof known->path)
		return;
	pthread_mutex_lock(&b->lock);
	known = &b->typed[b->typed_next++ % TYPED_MAX];
	memcpy(known->path, directory, n + 1);
	known->type = type;
	known->until_ms = now_ms() + config_i64(b->config, CONFIG_METADATA_TTL_MS);
	pthread_mutex_unlock(&b->lock);
}

static int ask(struct backend *b, const char *directory)
{
	struct gfs_file_reply reply;
	int type;

	if (goosefs_fetch(b, directory, &reply))
		return GFS_WT_UNSET;
	type = type_of_directory(&reply.info);
	rpc_release(&reply);
	remember(b, directory, type);
	return type;
}

int write_type_of(struct backend *b, const char *path)
{
	int configured = (int)config_u64(b->config, CONFIG_WRITE_TYPE) + GFS_MUST_CACHE, type;
	char directory[PATH_MAX];

	if (config_source(b->config, CONFIG_WRITE_TYPE) <= CONFIG_FROM_ENVIRONMENT)
		return configured;
	path_parent(path, directory);
	if (!remembered(b, directory, &type))
		type = ask(b, directory);
	return type == GFS_WT_UNSET ? configured : type;
}
