/*
 * prefix.c: nearly every path of a program is none of ours, and a look at its bytes has to say so.
 *
 * An absolute path leads into a prefix by beginning with it, whatever "//" and "/./" are in between; or by a way round,
 * which has ".." in it and names the prefix's last component. A relative one begins with a component of it, or goes round as
 * well, or is a URL. So the byte it begins with and a search for two dots clear what is not ours; what they do not clear is
 * looked at again, more slowly.
 */
#include "shim/prefix.h"
#include "shim/text.h"

/* Blocks reach beyond the path's end, which is what the address sanitizer looks for. */
#if defined(__SSE2__) && !defined(__SANITIZE_ADDRESS__)
#define BY_BLOCKS
#include <emmintrin.h>
#endif
#include <errno.h>
#include <string.h>

/* ---- the list -------------------------------------------------------------------------------------------------------- */

/* shim.begins: what may follow the slash of an absolute path, and what a relative one may begin with. */
enum { ABSOLUTE = 1, RELATIVE = 2 };

static inline void begins_with(const char *bytes, uint8_t kind)
{
	for (; *bytes; bytes++)
		shim.begins[(unsigned char)*bytes] |= kind;
}

static inline void begins_add(const struct prefix *p)
{
	begins_with("/.", ABSOLUTE);     /* nothing is said yet */
	begins_with("dp", ABSOLUTE);     /* /dev/fd/3, /proc/self/fd/3 */
	begins_with("*?[{\\", RELATIVE); /* a pattern: glob() asks, too */
	shim.begins[(unsigned char)p->path[1]] |= ABSOLUTE;
	for (const char *at = p->path; *at; at++)
		if (*at == '/')
			shim.begins[(unsigned char)at[1]] |= RELATIVE;
	if (p->scheme_bytes)
		shim.begins[(unsigned char)p->url[0]] |= RELATIVE;
}

/* "goosefs://host:port/data": which paths are URLs of it, and what is mounted of it. */
static STARTUP void url_set(struct prefix *p, const char *url, const char *end)
{
	const char *at = url;
	char given[URL_MAX], path[URL_MAX];
	size_t n = 0;

	p->url = p->root = "";
	while (at < end && !text_begins(at, "://"))
		at++;
	if (at == end || end - url >= URL_MAX)
		return;
	p->scheme_bytes = (unsigned)(at - url);
	for (at += 3; at < end && *at != '/'; at++)
		;
	p->url_bytes = (unsigned)(at - url);
	p->url = text_keep(url, p->url_bytes) ?: "";
	while (at < end)
		given[n++] = *at++;
	given[n] = '\0';
	if (!*p->url || prefix_join(path, "/", given, NULL, NULL))
		p->scheme_bytes = 0;
	else if (path[1])
		p->root = text_join(path, "", "") ?: "";
	while (p->root[p->root_bytes])
		p->root_bytes++;
}

/* One "/goosefs=goosefs://host:port/" of the list, which ends at end. */
static STARTUP void prefix_add(const char *entry, const char *end)
{
	struct prefix *p = &shim.prefix[shim.prefix_count];
	char given[SESSION_PREFIX_MAX], path[SESSION_PREFIX_MAX];
	size_t n = 0;

	if (entry[0] != '/' || shim.prefix_count == SESSION_MOUNTS_MAX)
		return;
	for (; entry < end && *entry != '='; entry++) {
		if (n == SESSION_PREFIX_MAX - 1)
			return;
		given[n++] = *entry;
	}
	given[n] = '\0';
	if (entry == end || prefix_join(path, "/", given, NULL, NULL) || !path[1])
		return;
	*p = (struct prefix){.path = text_join(path, "", "")};
	if (!p->path)
		return;
	for (; p->path[p->bytes]; p->bytes++)
		if (p->path[p->bytes] == '/')
			p->last = p->path + p->bytes + 1;
	url_set(p, entry + 1, end);
	begins_add(p);
	shim.prefix_count++;
}

/* The client passes over them, too (client/mount.c). */
static inline bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

STARTUP void prefix_parse(const char *mounts)
{
	while (*mounts) {
		const char *entry, *end;

		while (blank(*mounts))
			mounts++;
		entry = mounts;
		while (*mounts && *mounts != ';')
			mounts++;
		end = mounts;
		while (end > entry && blank(end[-1]))
			end--;
		prefix_add(entry, end);
		mounts += *mounts == ';';
	}
}

/* ---- exactly --------------------------------------------------------------------------------------------------------- */

const struct prefix *prefix_of(const char *path)
{
	for (unsigned i = 0; i < shim.prefix_count; i++) {
		const struct prefix *p = &shim.prefix[i];

		if (text_begins(path, p->path) && (path[p->bytes] == '/' || path[p->bytes] == '\0'))
			return p;
	}
	return NULL;
}

/* Does path begin as URLs of this mount do, "goosefs://host:9200/" or "goosefs:///"? What follows, or NULL. */
static const char *url_rest(const struct prefix *p, const char *path)
{
	const char *after = path + p->scheme_bytes + 3;

	if (!p->scheme_bytes || strncmp(path, p->url, p->scheme_bytes + 3) != 0)
		return NULL;
	if (*after == '/')
		return after;
	after = path + p->url_bytes;
	return text_begins(path, p->url) && (*after == '/' || !*after) ? after : NULL;
}

static bool is_url(const char *path)
{
	for (unsigned i = 0; i < shim.prefix_count; i++)
		if (url_rest(&shim.prefix[i], path))
			return true;
	return false;
}

int prefix_of_url(const char *path, char *out, enum path_end *end)
{
	for (unsigned i = 0; i < shim.prefix_count; i++) {
		const struct prefix *p = &shim.prefix[i];
		const char *rest = url_rest(p, path), *below = out + p->root_bytes;
		int rc = rest ? prefix_join(out, "/", rest, end, NULL) : 0;
		size_t n;

		if (rc)
			return rc;
		if (!rest || !text_begins(out, p->root) || (*below && *below != '/'))
			continue;
		n = below[*below == '/'] ? strlen(below) : 0;
		if (p->bytes + n >= PATH_MAX)
			return -ENAMETOOLONG;
		memmove(out + p->bytes, below, n);
		memcpy(out, p->path, p->bytes);
		out[p->bytes + n] = '\0';
		return 1;
	}
	return 0;
}

STARTUP int prefix_join(char *out, const char *base, const char *path, enum path_end *end, bool *through)
{
	enum path_end last = PATH_NAME;
	size_t n = 0;

	for (; base[n]; n++) {
		if (n == PATH_MAX - 1)
			return -ENAMETOOLONG;
		out[n] = base[n];
	}
	if (n == 1)
		n = 0; /* "/": components bring their own slash */
	while (*path) {
		size_t bytes = 0;

		while (path[bytes] && path[bytes] != '/')
			bytes++;
		if (bytes == 2 && path[0] == '.' && path[1] == '.') {
			while (n && out[--n] != '/')
				;
			last = PATH_DOTDOT;
		} else if (bytes == 1 && path[0] == '.') {
			last = PATH_DOT;
		} else if (bytes) {
			last = path[bytes] == '/' ? PATH_SLASH : PATH_NAME;
			if (n + bytes + 1 >= PATH_MAX || bytes > NAME_MAX)
				return -ENAMETOOLONG;
			out[n++] = '/';
			for (size_t i = 0; i < bytes; i++)
				out[n++] = path[i];
		}
		out[n] = '\0';
		if (through && prefix_of(out))
			*through = true;
		path += bytes + (path[bytes] == '/');
	}
	if (!n)
		out[n++] = '/';
	out[n] = '\0';
	if (end)
		*end = last;
	return 0;
}

/* ---- at a look ------------------------------------------------------------------------------------------------------- */

/* Past what means nothing. */
static inline const char *first_component(const char *path)
{
	while (path[0] == '/' || (path[0] == '.' && path[1] == '/'))
		path++;
	return path;
}

/*
 * Are there two dots in a row? Blocks of sixteen bytes, each within a page, so that nothing is touched that is not mapped;
 * what is around the path in the first and the last of them does not count.
 */
static inline bool climbs(const char *path)
{
#ifdef BY_BLOCKS
	const __m128i *block = (const __m128i *)((uintptr_t)path & ~(uintptr_t)15);
	unsigned counts = ~0u << ((uintptr_t)path & 15), dot_before = 0, four = 0x2e2e2e2e;
	__m128i dot;

	__asm__("" : "+r"(four)); /* made here: a constant would be another line of memory */
	dot = _mm_set1_epi32((int)four);
	for (;; counts = ~0u) {
		__m128i bytes = _mm_load_si128(block++);
		unsigned dots = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, dot)) & counts;
		unsigned ends = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128())) & counts;
		unsigned pairs = dots & (dots << 1 | dot_before);

		if (ends)
			return (pairs & ((1u << __builtin_ctz(ends)) - 1)) != 0;
		if (pairs)
			return true;
		dot_before = dots >> 15;
	}
#else
	for (; *path; path++)
		if (path[0] == '.' && path[1] == '.')
			return true;
	return false;
#endif
}

/* A way round has to write the name of where it gets in. */
static bool names_prefix(const char *path)
{
	for (unsigned i = 0; i < shim.prefix_count; i++)
		if (strstr(path, shim.prefix[i].last))
			return true;
	return false;
}

/* "/goosefs/a", "//goosefs", "/./goosefs/a" */
static bool leads(const struct prefix *p, const char *path)
{
	for (const char *of = p->path; *of; of++, path++) {
		if (*path != *of)
			return false;
		if (*of == '/')
			path = first_component(path) - 1;
	}
	return *path == '/' || *path == '\0';
}

/* "/proc/self/fd/3", "/proc/123/cwd" */
static bool of_process(const char *path)
{
	if (!text_begins(path, "/proc/"))
		return false;
	path += strcspn(path + 6, "/") + 6;
	return text_begins(path, "/fd/") || text_begins(path, "/cwd") || text_begins(path, "/exe");
}

static __attribute__((noinline)) bool absolute_look(const char *path)
{
	for (unsigned i = 0; i < shim.prefix_count; i++)
		if (leads(&shim.prefix[i], path))
			return true;
	return text_begins(path, "/dev/std") || text_begins(path, "/dev/fd") || of_process(path) ||
	       (climbs(path) && names_prefix(path));
}

static __attribute__((noinline)) bool relative_look(const char *path)
{
	return names_prefix(path) || is_url(path);
}

/*
 * These two are in the way of every path, with the kernel between two calls: every line of memory they take has to be
 * fetched again. What is seldom is left to the others, so that nothing has to be saved for them.
 */
__attribute__((aligned(64))) bool prefix_absolute(const char *path)
{
	if (likely(!(shim.begins[(unsigned char)path[1]] & ABSOLUTE) && !climbs(path)))
		return false;
	return absolute_look(path);
}

bool prefix_relative(const char *path)
{
	if (likely(!(shim.begins[(unsigned char)*first_component(path)] & RELATIVE) && !climbs(path)))
		return false;
	return relative_look(path);
}
