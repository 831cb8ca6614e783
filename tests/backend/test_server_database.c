/*
 * test_server_database.c: the embedded server on a database that it did not leave so: of an earlier version, of a later one,
 * and with orders that a crash left undone. sqlite3(1) makes them.
 */
#include "tests/backend/raw.h"

/* Run this on the database of a server that is not running; the first line that comes of it. */
static const char *sql(const char *statements)
{
	static char line[256];
	char command[2048];
	FILE *out;

	snprintf(command, sizeof(command), "sqlite3 -bail '%s/meta.db' \"%s\"", server.root, statements);
	out = popen(command, "r");
	assert_non_null(out);
	if (!fgets(line, sizeof(line), out))
		*line = '\0';
	line[strcspn(line, "\n")] = '\0';
	assert_int_equal(pclose(out), 0);
	return line;
}

static bool below(const char *path)
{
	char full[300];

	snprintf(full, sizeof(full), "%s/ufs%s", server.root, path);
	return !access(full, F_OK);
}

/* ---- versions --------------------------------------------------------------------------------------------------- */

/* Version 2 added what is known of an under file system. */
static void a_database_of_version_1_is_taken_over(void **state)
{
	(void)state;
	put_file("/old", 2 * BLOCK + 10);
	assert_int_equal(make_dir("/d"), 0);
	put_file("/d/f", 0);
	fixture_stop(&server);
	sql("DROP INDEX inode_persist; DROP TABLE ufs_job; UPDATE setting SET value = 1 WHERE key = 'version';"
	    "ALTER TABLE inode DROP COLUMN ufs; ALTER TABLE inode DROP COLUMN ufs_stamp;"
	    "ALTER TABLE inode DROP COLUMN loaded; ALTER TABLE inode DROP COLUMN persist_due");
	restart();
	check_file("/old", 2 * BLOCK + 10);
	check_file("/d/f", 0);
	assert_int_equal(put_ufs("/new", "x", 1), 0);
	assert_int_equal(move("/old", "/d/old"), 0);
	check_file("/d/old", 2 * BLOCK + 10);
	fixture_stop(&server);
	assert_string_equal(sql("SELECT value FROM setting WHERE key = 'version'"), "2");
	restart();
	check_file("/d/old", 2 * BLOCK + 10);
}

static void a_database_of_a_later_version_is_left_alone(void **state)
{
	char command[5000], said[512] = "";
	FILE *out;

	(void)state;
	put_file("/kept", 100);
	fixture_stop(&server);
	sql("UPDATE setting SET value = 3 WHERE key = 'version'");
	snprintf(command, sizeof(command), "'%s' server --root '%s' 2>&1", fixture_program(), server.root);
	out = popen(command, "r");
	assert_non_null(out);
	said[fread(said, 1, sizeof(said) - 1, out)] = '\0';
	assert_int_not_equal(pclose(out), 0);
	assert_non_null(strstr(said, "schema version 3"));
	sql("UPDATE setting SET value = 2 WHERE key = 'version'");
	restart();
	check_file("/kept", 100);
}

/* ---- orders ----------------------------------------------------------------------------------------------------- */

/* Given with a commit, to be done after it. Those that were done before the crash are done again, and it makes no difference. */
static void orders_left_undone_are_done_at_the_start(void **state)
{
	(void)state;
	assert_int_equal(put_ufs("/from", "from", 4), 0);
	assert_int_equal(put_ufs("/gone", "gone", 4), 0);
	for (int i = 0; i < 2; i++) {
		fixture_kill(&server);
		sql("INSERT INTO ufs_job VALUES (1, '/from', '/to'); INSERT INTO ufs_job VALUES (2, '/gone', NULL);"
		    "INSERT INTO ufs_job VALUES (3, '/never/was', '/nor/is'); INSERT INTO ufs_job VALUES (4, '/none', "
		    "NULL)");
		restart();
		assert_true(below("/to") && !below("/from") && !below("/gone") && !below("/nor"));
	}
	fixture_stop(&server);
	assert_string_equal(sql("SELECT count(*) FROM ufs_job"), "0");
	restart();
	put_file("/after", 100); /* and it goes on */
	assert_int_equal(erase("/after", false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_database_of_version_1_is_taken_over),
		TEST(a_database_of_a_later_version_is_left_alone),
		TEST(orders_left_undone_are_done_at_the_start),
	};

	return cmocka_run_group_tests_name("server_database", tests, set_up_server, tear_down_server);
}
