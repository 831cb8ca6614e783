/* test_prefix.c: what the text of a path says, against the plain way of finding it out. */
#include "tests/unit/unit.h"

#include "shim/prefix.c" /* what is static in it is tested here, too */
#include "shim/text.c"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MOUNTS                                                                                                         \
	"/goosefs=goosefs://h:1/ ; /mnt/../srv/./data//lake=alluxio://h:2/d/;\n\t/home/u/mnt=goosefs://h:3/e/./f\n"    \
	";relative=goosefs://h:4/;"

struct shim shim;

/* ---- the plain way --------------------------------------------------------------------------------------------------- */

/* Without "//" and "/./". */
static void squeeze(const char *path, char *out)
{
	for (; *path; path++)
		if (path[0] == '/' && path[1] == '/')
			continue;
		else if (path[0] == '/' && path[1] == '.' && path[2] == '/')
			path++;
		else
			*out++ = *path;
	*out = '\0';
}

static bool starts(const char *path, const char *with)
{
	return !strncmp(path, with, strlen(with));
}

static bool goes_round(const char *path)
{
	return strstr(path, "..") && (strstr(path, "goosefs") || strstr(path, "lake") || strstr(path, "mnt"));
}

static bool absolute_plainly(const char *path)
{
	const char *process = starts(path, "/proc/") ? strchr(path + 6, '/') : NULL;
	char squeezed[PATH_MAX];

	squeeze(path, squeezed);
	return prefix_of(squeezed) || starts(path, "/dev/std") || starts(path, "/dev/fd") || goes_round(path) ||
	       (process && (starts(process, "/fd/") || starts(process, "/cwd") || starts(process, "/exe")));
}

/* As no path leads into a prefix that this does not find: seen from directories of all kinds that are not ours. */
static bool reaches(const char *path)
{
	static const char *const from[] = {"/",    "/srv",   "/srv/data",    "/home", "/home/u",
					   "/tmp", "/goose", "/goosefs.d/a", "/m/n/o"};
	bool through = false;
	char out[PATH_MAX];

	for (unsigned i = 0; i < (path[0] == '/' ? 1 : sizeof from / sizeof *from); i++)
		if (prefix_join(out, from[i], path, NULL, &through))
			return false;
	return through;
}

/* ---- text that is hard to read past ---------------------------------------------------------------------------------- */

static char *page; /* between two that cannot be touched */

static void page_init(void)
{
	page = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(page != MAP_FAILED);
	page += 4096;
	assert_int_equal(mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
}

/* At the page's beginning, at its end, or so many bytes from its end, among dots. */
static const char *placed(const char *path, size_t from_end)
{
	size_t n = strlen(path) + 1;
	char *at = from_end > 4096 - n ? page : page + 4096 - n - from_end;

	memset(page, '.', 4096);
	return memcpy(at, path, n);
}

static void random_path(char *out, size_t size)
{
	static const char *const parts[] = {
		"goosefs", "goosefs", "lake", "srv",        "data", "mnt",  "home",
		"u",       "..",      "..",   ".",          "/",    "/",    "/",
		"/",       "/",       "dev/", "proc/",      "self", "fd/",  "fd",
		"cwd",     "stdin",   "3",    "a",          "b.c",  "...",  ".g",
		"x..y",    "goose",   "fs",   "goosefs://", "*",    "usr/", "libfoo.so.6.0.1"};
	size_t n = 0;

	out[0] = '\0';
	if (rand() % 4)
		n = (size_t)sprintf(out, "/");
	for (int left = rand() % 9; left; left--) {
		const char *part = parts[rand() % (sizeof parts / sizeof *parts)];

		if (n + strlen(part) + 2 > size)
			return;
		n += (size_t)sprintf(out + n, "%s%s", part, rand() % 3 ? "" : "/");
	}
}

/* ---- tests ----------------------------------------------------------------------------------------------------------- */

static void cases(void **state)
{
	static const char *const ours[] = {"/goosefs",
					   "/goosefs/",
					   "/goosefs/a/b",
					   "//goosefs",
					   "/./goosefs/.",
					   "/.//./goosefs/../tmp",
					   "/tmp/../goosefs/a",
					   "/usr/lib/../../goosefs",
					   "/srv/data/lake",
					   "/srv/./data//lake/f",
					   "/srv/x/../data/lake",
					   "/home/u/mnt/f",
					   "/dev/stdin",
					   "/dev/fd/7",
					   "/proc/self/fd/7",
					   "/proc/self/cwd",
					   "/proc/1234/cwd/f"};
	static const char *const others[] = {"/",
					     "",
					     "/goosefsx",
					     "/goose",
					     "/g",
					     "/srv/data",
					     "/srv/data/lakes",
					     "/home/u/.config",
					     "/home/u/a/mnt",
					     "/usr/share/goosefs/f",
					     "/usr/lib/../lib/libc.so.6",
					     "/./",
					     "//",
					     "/.",
					     "/dev/null",
					     "/data",
					     "/proc/self/stat",
					     "/proc/meminfo",
					     "/proc"};
	static const char *const ours_relative[] = {
		"goosefs/a",       "./goosefs",    "../goosefs",        "a/../../goosefs", "data/lake", "mnt",
		"goosefs://h:1/a", "goosefs:///a", "alluxio://h:2/d/x", "u/mnt/x",         "*/goosefs"};
	static const char *const others_relative[] = {"",          ".",        "..",  "../a", "./a",
						      "b/goosefs", "Makefile", "goo", "./.",  "alluxio://x"};

	(void)state;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (!prefix_absolute(ours[i]))
			fail_msg("not ours: %s", ours[i]);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i][0] && prefix_absolute(others[i]))
			fail_msg("ours: %s", others[i]);
	for (size_t i = 0; i < sizeof ours_relative / sizeof *ours_relative; i++)
		if (!prefix_relative(ours_relative[i]))
			fail_msg("not ours: %s", ours_relative[i]);
	for (size_t i = 0; i < sizeof others_relative / sizeof *others_relative; i++)
		if (prefix_relative(others_relative[i]))
			fail_msg("ours: %s", others_relative[i]);
}

static void url(const char *path, const char *wanted)
{
	char out[PATH_MAX];
	int rc = prefix_of_url(path, out, &(enum path_end){0});

	if (rc != (wanted != NULL) || (wanted && strcmp(out, wanted)))
		fail_msg("%s: %d, %s", path, rc, rc > 0 ? out : "");
}

static void urls(void **state)
{
	(void)state;
	url("goosefs:///a//b/../c", "/goosefs/a/c");
	url("goosefs:///", "/goosefs");
	url("goosefs://h:1", "/goosefs");
	url("goosefs://h:1/../a/", "/goosefs/a");
	url("goosefs://h:3/e/f", "/home/u/mnt");
	url("goosefs://h:3/e/f/g", "/home/u/mnt/g");
	url("goosefs://h:3/e/fg", NULL);
	url("goosefs://h:3/e/f/../g", NULL);
	url("goosefs://h:3/", NULL);
	url("alluxio:///d/a", "/srv/data/lake/a");
	url("alluxio:///a", NULL);
	url("goosefs://h:4/", NULL);
	url("goosefs:/a", NULL);
}

static void generated(void **state)
{
	char path[256];
	unsigned found = 0, names = 0;

	(void)state;
	for (unsigned i = 0; i < 300000; i++) {
		const char *at;
		bool said;

		random_path(path, sizeof path);
		at = placed(path, i % 3 ? (unsigned)rand() % 70 : 0);
		said = path[0] == '/' ? prefix_absolute(at) : prefix_relative(at);
		if (reaches(path) && !said)
			fail_msg("not ours: %s", path);
		if (path[0] == '/' && said != absolute_plainly(path))
			fail_msg("%s: %s", said ? "ours" : "not ours", path);
		if (path[0] != '/' && said && !strstr(path, "://") && !strstr(path, "goosefs") &&
		    !strstr(path, "lake") && !strstr(path, "mnt"))
			fail_msg("ours: %s", path);
		found += said;
		names += reaches(path);
	}
	assert_true(found > 30000 && found < 250000 && names > 10000);
}

/* Every length and place within a block, and two dots at every place. */
static void two_dots(void **state)
{
	char path[80];

	(void)state;
	for (size_t n = 0; n < 67; n++)
		for (size_t from_end = 0; from_end < 17; from_end++)
			for (size_t dot = 0; dot <= n; dot++) {
				memset(path, 'a', n);
				path[n] = '\0';
				for (size_t i = dot; i < n && i < dot + 2; i++)
					path[i] = '.';
				if (climbs(placed(path, from_end)) != (dot + 2 <= n) ||
				    climbs(placed(path, SIZE_MAX)) != (dot + 2 <= n))
					fail_msg("%s, %zu from the end of a page", path, from_end);
				path[dot] = dot < n ? '/' : '\0';
				if (climbs(placed(path, from_end)))
					fail_msg("%s, %zu from the end of a page", path, from_end);
			}
}

static int parse(void **state)
{
	(void)state;
	prefix_parse(MOUNTS);
	assert_int_equal(shim.prefix_count, 3);
	assert_string_equal(shim.prefix[1].path, "/srv/data/lake");
	page_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases),
		cmocka_unit_test(urls),
		cmocka_unit_test(generated),
		cmocka_unit_test(two_dots),
	};

	return cmocka_run_group_tests(tests, parse, NULL);
}
