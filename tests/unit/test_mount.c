/* test_mount.c: whose path is it, and what is it called there? */
#include "client/config.h"
#include "client/log.h"
#include "client/mount.h"
#include "client/path.h"
#include "client/session.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void normalise(const char *path, const char *wanted)
{
	char out[PATH_MAX];

	assert_int_equal(path_normalise(path, out), 0);
	assert_string_equal(out, wanted);
}

static void paths(void **state)
{
	char out[PATH_MAX], longer[PATH_MAX + 8];

	(void)state;
	normalise("/", "/");
	normalise("//", "/");
	normalise("/a/b", "/a/b");
	normalise("/a//b/./c/", "/a/b/c");
	normalise("/a/../b", "/b");
	normalise("/../../a/..", "/");
	normalise("/a/b/../../../c", "/c");
	normalise("/...", "/...");
	normalise("/.a/..b", "/.a/..b");
	assert_int_equal(path_normalise("a", out), -EINVAL);
	assert_int_equal(path_normalise("", out), -EINVAL);
	memset(longer, 'a', sizeof longer);
	longer[0] = '/';
	longer[257] = '\0';
	assert_int_equal(path_normalise(longer, out), -ENAMETOOLONG);
	longer[256] = '\0';
	normalise(longer, longer);
	for (size_t i = 0; i < sizeof longer; i++)
		longer[i] = i % 2 ? 'a' : '/';
	longer[PATH_MAX] = '\0';
	assert_int_equal(path_normalise(longer, out), -ENAMETOOLONG);
	assert_true(path_below("/a/b", "/a"));
	assert_true(path_below("/a", "/a"));
	assert_false(path_below("/ab", "/a"));
	assert_true(path_below("/x", "/"));
	path_parent("/a/b", out);
	assert_string_equal(out, "/a");
	path_parent("/a", out);
	assert_string_equal(out, "/");
	path_parent("/", out);
	assert_string_equal(out, "/");
	assert_string_equal(path_name("/a/b"), "b");
}

static struct mount_table *make(const char *text)
{
	struct mount_table *table;

	assert_int_equal(mount_table_new(NULL, text, &table), 0);
	return table;
}

static void expect(const struct mount_table *table, const char *path, int index, const char *wanted)
{
	char below[PATH_MAX];
	const struct mount *m = mount_find(table, path, below);

	if (index < 0) {
		assert_null(m);
		return;
	}
	assert_non_null(m);
	assert_int_equal(m->index, index);
	assert_string_equal(below, wanted);
}

static void finding(void **state)
{
	struct mount_table *table = make("/goosefs=goosefs://h:1/; /data/=goosefs://h:2/root/x/ ;");

	(void)state;
	assert_string_equal(mount_at(table, 0)->prefix, "/goosefs");
	assert_string_equal(mount_at(table, 0)->authority, "h:1");
	assert_string_equal(mount_at(table, 0)->root, "");
	assert_string_equal(mount_at(table, 1)->prefix, "/data");
	assert_string_equal(mount_at(table, 1)->root, "/root/x");
	assert_null(mount_at(table, 2));
	expect(table, "/goosefs", 0, "/");
	expect(table, "/goosefs/", 0, "/");
	expect(table, "/goosefs/a/../b", 0, "/b");
	expect(table, "/goosefs/..", -1, NULL);
	expect(table, "/x/../goosefs/a", 0, "/a");
	expect(table, "/goosefsy", -1, NULL);
	expect(table, "/goosefs/../goosefs", 0, "/");
	expect(table, "/data", 1, "/root/x");
	expect(table, "/data/a b", 1, "/root/x/a b");
	expect(table, "/data/../../etc/passwd", -1, NULL);
	expect(table, "goosefs", -1, NULL);
	expect(table, "/", -1, NULL);
	mount_table_free(table);
}

static void urls(void **state)
{
	struct mount_table *table = make("/goosefs=goosefs://h:1;/data=goosefs://h:2/root");

	(void)state;
	expect(table, "goosefs:///in/a.txt", 0, "/in/a.txt");
	expect(table, "goosefs://", 0, "/");
	expect(table, "goosefs://h:1", 0, "/");
	expect(table, "goosefs://h:1/../a//b", 0, "/a/b");
	expect(table, "goosefs://h:2/root/a", 1, "/root/a");
	expect(table, "goosefs://h:2/root/../etc", -1, NULL);
	expect(table, "goosefs://h:3/a", -1, NULL);
	expect(table, "http://h:1/a", -1, NULL);
	mount_table_free(table);
}

static void refused(const char *text, const char *said)
{
	struct mount_table *table;

	assert_int_equal(mount_table_new(NULL, text, &table), -EINVAL);
	assert_non_null(strstr(error_noted(), said));
}

static void mistakes_are_quoted(void **state)
{
	(void)state;
	refused("/a=goosefs://h:1;nonsense", "\"nonsense\"");
	refused("a=goosefs://h:1", "absolute");
	refused("/a=http://h:1", "goosefs://");
	refused("/=goosefs://h:1", "root directory");
	refused("/a=goosefs://h:1;/a/b=goosefs://h:2", "overlaps");
	refused("/a/b=goosefs://h:1;/a=goosefs://h:2", "overlaps");
	refused("/a=goosefs://h:0", "port");
	refused("/a=goosefs://h:65536", "port");
	refused("/a=goosefs://h:x/", "port");
	refused("/a=goosefs://:1/", "host:port");
	refused("/a=goosefs://h:1,/", "host:port");
	refused("/a=goosefs://[::1:1/", "host:port");
	mount_table_free(make("/a=goosefs://h:1,i:65535,j/x;/b=goosefs:///;/c=goosefs://[::1]:1"));
	mount_table_free(make(""));
	mount_table_free(make(" ; ;"));
}

/* What a shim has no room for would be a local path to programs. */
static void what_a_shim_cannot_hold_is_refused(void **state)
{
	char text[SESSION_MOUNTS_MAX * 32 + 64], prefix[SESSION_PREFIX_MAX + 1];
	int n = 0;

	(void)state;
	for (int i = 0; i < SESSION_MOUNTS_MAX; i++)
		n += sprintf(text + n, "/m%d=goosefs://h:1;", i);
	mount_table_free(make(text));
	strcpy(text + n, "/more=goosefs://h:1");
	refused(text, "too many");
	memset(prefix, 'p', sizeof prefix);
	prefix[0] = prefix[200] = '/';
	prefix[SESSION_PREFIX_MAX] = '\0';
	snprintf(text, sizeof text, "%s=goosefs://h:1", prefix);
	refused(text, "too long");
	prefix[SESSION_PREFIX_MAX - 1] = '\0';
	snprintf(text, sizeof text, "%s=goosefs://h:1", prefix);
	mount_table_free(make(text));
}

static int group_set_up(void **state)
{
	(void)state;
	return log_open("error", "/dev/null");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(finding),
		cmocka_unit_test(urls),
		cmocka_unit_test(mistakes_are_quoted),
		cmocka_unit_test(what_a_shim_cannot_hold_is_refused),
	};

	return cmocka_run_group_tests(tests, group_set_up, NULL);
}
