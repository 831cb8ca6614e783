/* test_config.c: where a setting comes from, who wins, and how a mistake is told. */
#include "client/config.h"
#include "client/log.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/slipstream-config-XXXXXX";
static char conf[64], properties[64];

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Nothing of this machine's settings reaches a test. */
static int set_up(void **state)
{
	(void)state;
	clearenv();
	setenv("HOME", dir, 1);
	setenv("USER", "tester", 1);
	setenv("SLIPSTREAM_CONFIG", conf, 1);
	setenv("GOOSEFS_CONFIG_FILE", properties, 1);
	write_file(conf, "");
	write_file(properties, "");
	return 0;
}

static struct config *load(const char *const *overrides)
{
	struct config *config;

	assert_int_equal(config_new(overrides, &config), 0);
	return config;
}

static void expect_u64(const char *const *overrides, enum config_id id, uint64_t value)
{
	struct config *config = load(overrides);

	assert_int_equal(config_u64(config, id), value);
	config_free(config);
}

static void expect_text(enum config_id id, const char *value)
{
	struct config *config = load(NULL);

	assert_string_equal(config_text(config, id), value);
	config_free(config);
}

static void expect_refused(const char *const *overrides, const char *said)
{
	struct config *config;

	assert_int_equal(config_new(overrides, &config), -EINVAL);
	assert_non_null(strstr(error_noted(), said));
}

#define OVERRIDES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void defaults(void **state)
{
	struct config *config = load(NULL);

	(void)state;
	assert_string_equal(config_text(config, CONFIG_MASTER), "127.0.0.1:9200");
	assert_int_equal(config_u64(config, CONFIG_AUTH), 1);
	assert_string_equal(config_text(config, CONFIG_USER), "tester");
	assert_int_equal(config_u64(config, CONFIG_BLOCK_SIZE), 64 << 20);
	assert_int_equal(config_u64(config, CONFIG_CHUNK_SIZE), 1 << 20);
	assert_int_equal(config_u64(config, CONFIG_RPC_TIMEOUT), 300000);
	assert_true(config_i64(config, CONFIG_SYNC_INTERVAL) == -1);
	assert_int_equal(config_u64(config, CONFIG_CHECKSUM), 2);
	assert_int_equal(config_u64(config, CONFIG_LOAD_TYPE), 1);
	assert_true(config_bool(config, CONFIG_SHORT_CIRCUIT));
	assert_int_equal(config_u64(config, CONFIG_METADATA_TTL_MS), 1000);
	assert_int_equal(config_u64(config, CONFIG_CLIENT), CLIENT_IN_SESSION);
	assert_int_equal(config_source(config, CONFIG_MASTER), CONFIG_FROM_DEFAULT);
	config_free(config);
}

/* Each source is added in turn, and each beats those before it. */
static void the_stronger_source_wins(void **state)
{
	(void)state;
	write_file(properties, "goosefs.user.block.size.bytes.default = 8MB\n");
	expect_u64(NULL, CONFIG_BLOCK_SIZE, 8 << 20);
	write_file(conf, "block_size = 9M\n");
	expect_u64(NULL, CONFIG_BLOCK_SIZE, 9 << 20);
	setenv("GOOSEFS_BLOCK_SIZE", "10485760", 1);
	expect_u64(NULL, CONFIG_BLOCK_SIZE, 10 << 20);
	setenv("SLIPSTREAM_BLOCK_SIZE", "11MiB", 1);
	expect_u64(NULL, CONFIG_BLOCK_SIZE, 11 << 20);
	expect_u64(OVERRIDES("block_size=12M"), CONFIG_BLOCK_SIZE, 12 << 20);
	expect_u64(OVERRIDES("SLIPSTREAM_BLOCK_SIZE=12M"), CONFIG_BLOCK_SIZE, 12 << 20);
}

static void files_have_comments_and_blanks(void **state)
{
	(void)state;
	write_file(conf,
		   "# a comment\n\n   \n  SLIPSTREAM_MOUNTS =  /a=goosefs://h:1/ ; /b=goosefs:///x  \nRpc_Timeout=2s");
	expect_text(CONFIG_MOUNTS, "/a=goosefs://h:1/ ; /b=goosefs:///x");
	expect_u64(NULL, CONFIG_RPC_TIMEOUT, 2000);
}

static void units(void **state)
{
	(void)state;
	expect_u64(OVERRIDES("STAGE_MAX=3T"), CONFIG_STAGE_MAX, 3ULL << 40);
	expect_u64(OVERRIDES("STAGE_MAX=17"), CONFIG_STAGE_MAX, 17);
	expect_u64(OVERRIDES("RPC_TIMEOUT=1500"), CONFIG_RPC_TIMEOUT, 1500);
	expect_u64(OVERRIDES("RPC_TIMEOUT=2 min"), CONFIG_RPC_TIMEOUT, 120000);
	expect_u64(OVERRIDES("FSYNC=session"), CONFIG_FSYNC, FSYNC_STAYS_IN_SESSION);
	expect_u64(OVERRIDES("SHORT_CIRCUIT=off"), CONFIG_SHORT_CIRCUIT, 0);
	expect_u64(OVERRIDES("AUTH=NO_SASL"), CONFIG_AUTH, 0);
	expect_u64(OVERRIDES("CHECKSUM=CHECKSUM_CRC32"), CONFIG_CHECKSUM, 1);
	expect_u64(OVERRIDES("WRITE_TYPE=TRY_CACHE"), CONFIG_WRITE_TYPE, 1);
	expect_u64(OVERRIDES("WRITE_TYPE=AsyncThrough"), CONFIG_WRITE_TYPE, 4);
	expect_u64(OVERRIDES("SPACE_READ_RATIO="), CONFIG_SPACE_READ_RATIO, 100000);
	expect_u64(OVERRIDES("SPACE_MIN_RATIO=0.1234567"), CONFIG_SPACE_MIN_RATIO, 123456);
	expect_u64(OVERRIDES("SPACE_MIN_RATIO=0"), CONFIG_SPACE_MIN_RATIO, 0);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	expect_refused(OVERRIDES("BLOKSIZE=1"), "SLIPSTREAM_BLOCK_SIZE");
	expect_refused(OVERRIDES("BLOCK_SIZE=1X"), "a size such as");
	expect_refused(OVERRIDES("BLOCK_SIZE=0"), "1..1099511627776");
	expect_refused(OVERRIDES("BLOCK_SIZE=99999999999999999999"), "BLOCK_SIZE");
	expect_refused(OVERRIDES("RPC_TIMEOUT=-2"), "a duration");
	expect_refused(OVERRIDES("AUTH=kerberos"), "nosasl|simple");
	expect_refused(OVERRIDES("WRITE_TYPE=write_back"), "must_cache|try_cache|cache_through|through|async_through");
	expect_refused(OVERRIDES("SPACE_MIN_RATIO=1"), "such as 0.1");
	expect_refused(OVERRIDES("SPACE_MIN_RATIO=0,1"), "such as 0.1");
	expect_refused(OVERRIDES("SPACE_MIN_RATIO=.1"), "such as 0.1");
	expect_refused(OVERRIDES("nonsense"), "name=value");
	expect_refused(OVERRIDES("BLOCK_SIZE=1K", "CHUNK_SIZE=2K"), "larger");
	write_file(conf, "\nmount = /a=b\n");
	expect_refused(NULL, "conf:2: no setting is called mount; did you mean SLIPSTREAM_MOUNTS?");
	write_file(conf, "");
	setenv("SLIPSTREAM_RPC_TIMEOUT", "soon", 1);
	expect_refused(NULL, "environment");
	unsetenv("SLIPSTREAM_RPC_TIMEOUT");
	setenv("SLIPSTREAM_CONFIG", "/nonexistent/slipstream.conf", 1);
	expect_refused(NULL, "cannot be opened");
}

/* Another version of us may know it. */
static void unknown_environment_is_no_error(void **state)
{
	char name[CONFIG_NAME_MAX];
	const char *nearest;

	(void)state;
	assert_false(config_unknown(0, name, &nearest));
	setenv("SLIPSTREAM_NOT_YET_INVENTED", "1", 1);
	setenv("SLIPSTREAM_MOUNT", "/a=goosefs:///", 1);
	expect_u64(NULL, CONFIG_RPC_TIMEOUT, 300000);
	assert_true(config_unknown(0, name, &nearest));
	assert_true(config_unknown(1, name, &nearest));
	assert_string_equal(name, "SLIPSTREAM_MOUNT");
	assert_string_equal(nearest, "SLIPSTREAM_MOUNTS");
	assert_false(config_unknown(2, name, &nearest));
}

static void a_small_block_shrinks_the_default_chunk(void **state)
{
	(void)state;
	expect_u64(OVERRIDES("BLOCK_SIZE=64K"), CONFIG_CHUNK_SIZE, 65536);
}

static void goosefs_properties(void **state)
{
	(void)state;
	write_file(properties,
		   "! comment\n# comment\ngoosefs.master.hostname: m1\nunknown.key=1\n"
		   "goosefs.user.network.rpc.timeout=5 sec\ngoosefs.user.file.writetype.default=CACHE_THROUGH\n"
		   "goosefs.user.file.replication.number=nonsense\n");
	expect_text(CONFIG_MASTER, "m1:9200");
	expect_u64(NULL, CONFIG_RPC_TIMEOUT, 5000);
	expect_u64(NULL, CONFIG_WRITE_TYPE, 2);
	expect_u64(NULL, CONFIG_REPLICATION, 1);
	write_file(properties, "goosefs.master.hostname=m1\ngoosefs.master.rpc.port=9300\n");
	expect_text(CONFIG_MASTER, "m1:9300");
	write_file(properties, "goosefs.master.hostname=m1\ngoosefs.master.rpc.addresses=a:1,b:2\n");
	expect_text(CONFIG_MASTER, "a:1,b:2");
	setenv("GOOSEFS_MASTER_ADDR", "gfs://c:1,d:2/root", 1);
	expect_text(CONFIG_MASTER, "c:1,d:2");
}

/* What a cluster's users say of replicas and persistence reaches us under GooseFS's names. */
static void goosefs_write_types(void **state)
{
	(void)state;
	write_file(properties, "goosefs.user.file.replication.durable=3\ngoosefs.user.file.replication.durable.min=1\n"
			       "goosefs.user.file.persistence.initial.wait.time=-1\n"
			       "goosefs.user.local.ufs.client.ignore.block.stream.unknown.status=false\n"
			       "goosefs.user.block.worker.available.min.remain.bytes=1024\n"
			       "goosefs.user.block.worker.available.min.remain.ratio=0.02\n"
			       "goosefs.worker.read.cache.min.ratio=1.5\n");
	expect_u64(NULL, CONFIG_REPLICATION_DURABLE, 3);
	expect_u64(NULL, CONFIG_REPLICATION_DURABLE_MIN, 1);
	expect_u64(NULL, CONFIG_PERSISTENCE_WAIT, (uint64_t)-1);
	expect_u64(NULL, CONFIG_UFS_FALLBACK, 0);
	expect_u64(NULL, CONFIG_SPACE_MIN, 1024);
	expect_u64(NULL, CONFIG_SPACE_MIN_RATIO, 20000);
	expect_u64(NULL, CONFIG_SPACE_READ_RATIO, 100000); /* what does not fit counts as the default */
	setenv("GOOSEFS_WRITE_TYPE", "ASYNC_THROUGH", 1);
	setenv("GOOSEFS_USER_FILE_PERSISTENCE_INITIAL_WAIT_TIME", "2500", 1);
	expect_u64(NULL, CONFIG_WRITE_TYPE, 4);
	expect_u64(NULL, CONFIG_PERSISTENCE_WAIT, 2500);
}

enum kind { TEXT, BYTES, MS, COUNT, RATIO, BOOL, CHOICE };

static const struct {
	enum kind kind;
	const char *detail;
} kinds[] = {
#define SETTING(ID, type, detail, fallback, help) [CONFIG_##ID] = {type, detail},
#define GOOSEFS(ID, property, environment)
#include "client/config.def"
#undef SETTING
#undef GOOSEFS
};

static const struct {
	enum config_id id;
	const char *property, *environment;
} names[] = {
#define SETTING(ID, type, detail, fallback, help)
#define GOOSEFS(ID, property, environment) {CONFIG_##ID, property, environment},
#include "client/config.def"
#undef SETTING
#undef GOOSEFS
};

/* Some value that this setting may have. */
static const char *some_value(enum config_id id)
{
	static const char *const values[] = {"host:1", "64K", "2s", "2", "0.25", "true"};
	const char *last = strrchr(kinds[id].detail, '|');

	return kinds[id].kind == CHOICE ? last + 1 : values[kinds[id].kind];
}

static void expect_source(enum config_id id, enum config_source source)
{
	struct config *config = load(NULL);

	assert_int_equal(config_source(config, id), source);
	assert_string_equal(config_text(config, id), some_value(id));
	config_free(config);
}

/* Each name that GooseFS has for something we know, in the file and in the environment. */
static void every_name_of_goosefs_counts(void **state)
{
	char line[256];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(line, sizeof line, "%s=%s\n", names[i].property, some_value(names[i].id));
		write_file(properties, line);
		expect_source(names[i].id, CONFIG_FROM_PROPERTIES);
		write_file(properties, "");
		if (!*names[i].environment)
			continue;
		setenv(names[i].environment, some_value(names[i].id), 1);
		expect_source(names[i].id, CONFIG_FROM_GOOSEFS_ENVIRONMENT);
		unsetenv(names[i].environment);
	}
}

/* One after the other is put in its place; each counts more than those before. */
static void properties_are_searched_for(void **state)
{
	static const char *const places[] = {".goosefs", ".goosefs/conf", "named"};
	char path[3][128], text[64];

	(void)state;
	unsetenv("GOOSEFS_CONFIG_FILE");
	snprintf(path[0], sizeof path[0], "%s/.goosefs", dir);
	setenv("GOOSEFS_HOME", path[0], 1);
	for (int i = 0; i < 3; i++) {
		snprintf(path[i], sizeof path[i], "%s/%s", dir, places[i]);
		if (i == 2)
			setenv("GOOSEFS_CONF_DIR", path[i], 1);
		assert_int_equal(mkdir(path[i], 0700), 0);
		strcat(path[i], "/goosefs-site.properties");
		snprintf(text, sizeof text, "goosefs.master.hostname=%d\n", i);
		write_file(path[i], text);
		snprintf(text, sizeof text, "%d:9200", i);
		expect_text(CONFIG_MASTER, text);
	}
	for (int i = 2; i >= 0; i--) {
		unlink(path[i]);
		*strrchr(path[i], '/') = '\0';
		rmdir(path[i]);
	}
}

static int group_set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(conf, sizeof conf, "%s/conf", dir);
	snprintf(properties, sizeof properties, "%s/properties", dir);
	return log_open("error", "/dev/null");
}

static int group_tear_down(void **state)
{
	(void)state;
	unlink(conf);
	unlink(properties);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(defaults, set_up),
		cmocka_unit_test_setup(the_stronger_source_wins, set_up),
		cmocka_unit_test_setup(files_have_comments_and_blanks, set_up),
		cmocka_unit_test_setup(units, set_up),
		cmocka_unit_test_setup(mistakes_are_named, set_up),
		cmocka_unit_test_setup(unknown_environment_is_no_error, set_up),
		cmocka_unit_test_setup(a_small_block_shrinks_the_default_chunk, set_up),
		cmocka_unit_test_setup(goosefs_properties, set_up),
		cmocka_unit_test_setup(goosefs_write_types, set_up),
		cmocka_unit_test_setup(every_name_of_goosefs_counts, set_up),
		cmocka_unit_test_setup(properties_are_searched_for, set_up),
	};

	return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
