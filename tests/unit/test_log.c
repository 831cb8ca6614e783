/* test_log.c: SLIPSTREAM_LOG=level[,file], and where lines go without a file. */
#include "client/log.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/slipstream-log-XXXXXX";
static char named[64], fallback[64];

/* Does this file have a line that ends so? */
static bool has(const char *path, const char *end)
{
	char text[4096] = "";
	FILE *f = fopen(path, "r");

	if (!f)
		return false;
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	return strstr(text, end) != NULL;
}

static const char *spec(const char *level, const char *file)
{
	static char text[128];

	snprintf(text, sizeof text, "%s,%s", level, file);
	return text;
}

static void levels(void **state)
{
	(void)state;
	assert_int_equal(log_open(spec("warn", named), NULL), 0);
	log_error("one");
	log_warn("two");
	log_note("three");
	assert_true(has(named, "error: one\n"));
	assert_true(has(named, "warn: two\n"));
	assert_false(has(named, "three"));
	assert_int_equal(log_open(spec("DEBUG", named), NULL), 0);
	log_debug("four");
	assert_true(has(named, "debug: four\n"));
}

/* A keeper names its session's log before it has read the settings, and they may say another level only. */
static void a_fallback_stays(void **state)
{
	(void)state;
	assert_int_equal(log_open(NULL, fallback), 0);
	log_warn("five");
	assert_int_equal(log_open("warn", NULL), 0);
	log_warn("six");
	assert_int_equal(log_open(spec("warn", named), NULL), 0);
	log_warn("seven");
	assert_false(has(fallback, "five"));
	assert_true(has(fallback, "warn: six\n"));
	assert_false(has(fallback, "seven"));
	assert_true(has(named, "warn: seven\n"));
}

static void a_line_stays_one(void **state)
{
	(void)state;
	assert_int_equal(log_open(spec("error", named), NULL), 0);
	log_error("nine\n2000-01-01 error: \033[2J\177é");
	assert_true(has(named, "error: nine?2000-01-01 error: ?[2J?é\n"));
	error_note("%s", "\ta\r");
	assert_string_equal(error_noted(), "?a?");
}

static void mistakes_are_named(void **state)
{
	(void)state;
	assert_int_equal(log_open("loud", NULL), -EINVAL);
	assert_non_null(strstr(error_noted(), "SLIPSTREAM_LOG=loud"));
	assert_int_equal(log_open("error,/nonexistent/log", NULL), -ENOENT);
	assert_non_null(strstr(error_noted(), "/nonexistent/log"));
	log_error("eight"); /* the log is as it was */
	assert_true(has(named, "error: eight\n"));
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(named, sizeof named, "%s/named", dir);
	snprintf(fallback, sizeof fallback, "%s/fallback", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(named);
	unlink(fallback);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(a_fallback_stays),
		cmocka_unit_test(a_line_stays_one),
		cmocka_unit_test(mistakes_are_named),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
