#include "client/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static size_t drop_last(const char *out, size_t n)
{
	while (n && out[--n] != '/')
		;
	return n;
}

int path_normalise(const char *path, char out[PATH_MAX])
{
	size_t n = 0;

	if (*path != '/')
		return -EINVAL;
	while (*path) {
		size_t length;

		while (*path == '/')
			path++;
		length = strcspn(path, "/");
		if (length == 2 && !memcmp(path, "..", 2)) {
			n = drop_last(out, n);
		} else if (length && !(length == 1 && *path == '.')) {
			if (length > NAME_MAX || n + 1 + length >= PATH_MAX)
				return -ENAMETOOLONG;
			out[n++] = '/';
			memcpy(out + n, path, length);
			n += length;
		}
		path += length;
	}
	if (!n)
		out[n++] = '/';
	out[n] = '\0';
	return 0;
}

bool path_below(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	if (n <= 1)
		return true;
	return !strncmp(path, directory, n) && (!path[n] || path[n] == '/');
}

const char *path_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void path_parent(const char *path, char out[PATH_MAX])
{
	size_t n = drop_last(path, strlen(path));

	if (!n)
		n = 1;
	memcpy(out, path, n);
	out[n] = '\0';
}

int path_join(char out[PATH_MAX], const char *directory, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", strcmp(directory, "/") ? directory : "", name);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}
