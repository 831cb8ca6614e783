/* test_replica_set.c: how many copies of a block, and who has room for one (spec goosefs 10.5, 17.10). */
#include "client/goosefs/replica_set.h"
#include "client/log.h"
#include "proto/goosefs.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config *config_of(unsigned copies, unsigned durable, unsigned needed)
{
	char a[32], b[40], c[48];
	const char *overrides[] = {a, b, c, "CONFIG=/dev/null", NULL};
	struct config *config;

	snprintf(a, sizeof a, "REPLICATION=%u", copies);
	snprintf(b, sizeof b, "REPLICATION_DURABLE=%u", durable);
	snprintf(c, sizeof c, "REPLICATION_DURABLE_MIN=%u", needed);
	assert_int_equal(config_new(overrides, &config), 0);
	return config;
}

static void expect_plan(int type, unsigned copies, unsigned durable, unsigned min, unsigned wanted, unsigned needed)
{
	struct config *config = config_of(copies, durable, min);
	struct replica_plan plan;

	assert_int_equal(replica_plan_make(config, type, &plan), 0);
	assert_int_equal(plan.durable, type == GFS_ASYNC_THROUGH);
	assert_int_equal(plan.wanted, wanted);
	assert_int_equal(plan.needed, needed);
	config_free(config);
}

static void plans(void **state)
{
	struct config *config = config_of(1, 1, 2);
	struct replica_plan plan;

	(void)state;
	expect_plan(GFS_ASYNC_THROUGH, 1, 2, 2, 2, 2);
	expect_plan(GFS_ASYNC_THROUGH, 3, 2, 2, 3, 2);
	expect_plan(GFS_ASYNC_THROUGH, 1, 1, 1, 1, 1);
	expect_plan(GFS_MUST_CACHE, 2, 3, 2, 2, 1); /* where there are fewer workers, fewer will do */
	expect_plan(GFS_CACHE_THROUGH, 3, 2, 2, 3, 1);
	assert_int_equal(replica_plan_make(config, GFS_ASYNC_THROUGH, &plan), -EINVAL);
	assert_non_null(strstr(error_noted(), "SLIPSTREAM_REPLICATION_DURABLE_MIN=2"));
	assert_int_equal(replica_plan_make(config, GFS_CACHE_THROUGH, &plan), 0);
	config_free(config);
}

static void room(void **state)
{
	struct config *config = config_of(1, 2, 2);
	const int64_t gib = 1 << 30, room = 966367642; /* nine tenths, rounded up */

	(void)state;
	assert_true(replica_fits(config, 149130810, 0));
	assert_true(replica_fits(config, 149130808, 0));
	assert_false(replica_fits(config, 149130807, 0));
	assert_false(replica_fits(config, 0, 0));
	assert_true(replica_fits(config, gib, room - (128 << 20)));
	assert_false(replica_fits(config, gib, room - (128 << 20) + 1));
	assert_false(replica_fits(config, gib, 2 * gib));
	assert_true(replica_fits(config, 100 * gib, 100 * room - (int64_t)(100 * room * 0.0151)));
	assert_false(replica_fits(config, 100 * gib, 100 * room - (int64_t)(100 * room * 0.0149)));
	assert_true(replica_fits(config, INT64_MAX, 0));
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),
		cmocka_unit_test(room),
	};

	log_open("error,/dev/null", NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
