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

/* The bytes of the character at p; 0: it is none (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF). */
static size_t utf8_bytes(const unsigned char *p)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf8 ? 4 : 0;
	unsigned code = n > 1 ? *p & (0x7fu >> n) : 0;

	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	return n > 1 && (code < least[n] || code > 0x10ffff || (code & ~0x7ffu) == 0xd800) ? 0 : n;
}

bool path_is_utf8(const char *path)
{
	const unsigned char *p = (const unsigned char *)path;

	while (*p) {
		size_t n = utf8_bytes(p);

		if (!n)
			return false;
		p += n;
	}
	return true;
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
