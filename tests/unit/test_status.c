/* test_status.c: what a peer's status becomes (spec goosefs 6.1, 6.2). */
#include "proto/status.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static void each_code_has_its_errno(void **state)
{
	static const struct {
		enum rpc_id id;
		int code;
		const char *text;
		int error;
	} vectors[] = {
		{RPC_GET_STATUS, RPC_OK, "", 0},
		{RPC_GET_STATUS, RPC_NOT_FOUND, "Path \"/a\" does not exist.", ENOENT},
		{RPC_CREATE_FILE, RPC_NOT_FOUND, "Parent \"/a\" is not a directory", ENOTDIR},
		{RPC_READ_BLOCK, RPC_NOT_FOUND, "it is not a directory", ENOENT},
		{RPC_RENAME, RPC_ALREADY_EXISTS, NULL, EEXIST},
		{RPC_GET_STATUS, RPC_PERMISSION_DENIED, NULL, EACCES},
		{RPC_GET_STATUS, RPC_UNAUTHENTICATED, NULL, EACCES},
		{RPC_GET_STATUS, RPC_INVALID_ARGUMENT, NULL, EINVAL},
		{RPC_REMOVE, RPC_FAILED_PRECONDITION, "Directory /d is not empty and is incomplete", ENOTEMPTY},
		{RPC_REMOVE, RPC_FAILED_PRECONDITION, "File is incomplete. Is a directory", EBUSY},
		{RPC_GET_STATUS, RPC_FAILED_PRECONDITION, "Is a directory", EISDIR},
		{RPC_GET_STATUS, RPC_FAILED_PRECONDITION, "is a directory", EINVAL},
		{RPC_WRITE_BLOCK, RPC_FAILED_PRECONDITION, "what?", EIO},
		{RPC_CREATE_FILE, RPC_RESOURCE_EXHAUSTED, NULL, ENOSPC},
		{RPC_WRITE_BLOCK, RPC_RESOURCE_EXHAUSTED, NULL, ENOSPC},
		{RPC_READ_BLOCK, RPC_RESOURCE_EXHAUSTED, NULL, EIO},
		{RPC_RENAME, RPC_RESOURCE_EXHAUSTED, NULL, EIO},
		{RPC_READ_BLOCK, RPC_OUT_OF_RANGE, NULL, EINVAL},
		{RPC_GET_STATUS, RPC_UNIMPLEMENTED, NULL, EOPNOTSUPP},
		{RPC_GET_STATUS, RPC_DEADLINE_EXCEEDED, NULL, ETIMEDOUT},
		{RPC_GET_STATUS, RPC_UNAVAILABLE, NULL, EHOSTUNREACH},
		{RPC_READ_BLOCK, RPC_UNAVAILABLE, NULL, EIO},
		{RPC_WRITE_BLOCK, RPC_UNAVAILABLE, NULL, EIO},
		{RPC_GET_STATUS, RPC_CANCELLED, NULL, EIO},
		{RPC_GET_STATUS, RPC_ABORTED, NULL, EIO},
		{RPC_GET_STATUS, RPC_INTERNAL, NULL, EIO},
		{RPC_GET_STATUS, RPC_UNKNOWN, NULL, EIO},
		{RPC_GET_STATUS, RPC_DATA_LOSS, NULL, EIO},
		{RPC_GET_STATUS, 17, NULL, EIO},
		{RPC_GET_STATUS, -1, NULL, EIO},
	};

	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
		assert_int_equal(status_errno(vectors[i].id, vectors[i].code, vectors[i].text), -vectors[i].error);
}

static void four_codes_are_worth_another_try(void **state)
{
	struct rpc_error error;

	(void)state;
	for (int code = 0; code <= 16; code++) {
		status_say(&error, code, "", 0);
		assert_int_equal(error.code, code);
		assert_int_equal(error.retriable, code == RPC_UNAVAILABLE || code == RPC_DEADLINE_EXCEEDED ||
							  code == RPC_ABORTED || code == RPC_UNAUTHENTICATED);
		assert_int_equal(error.unauthenticated, code == RPC_UNAUTHENTICATED);
	}
}

static void what_a_peer_says_is_cut_and_cleaned(void **state)
{
	struct rpc_error error;
	char text[1000];

	(void)state;
	status_say(&error, RPC_INTERNAL, "one\ntwo\0three\033[2J", 17);
	assert_string_equal(error.message, "one?two?three?[2J");
	memset(text, 'x', sizeof text);
	status_say(&error, RPC_INTERNAL, text, sizeof text);
	assert_int_equal(strlen(error.message), sizeof error.message - 1);
	status_say(NULL, RPC_INTERNAL, text, sizeof text);
}

static void without_a_status_the_code_is_minus_one(void **state)
{
	struct rpc_error error;

	(void)state;
	assert_int_equal(status_none(&error, -ETIMEDOUT, "silent for %d ms", 5), -ETIMEDOUT);
	assert_int_equal(error.code, -1);
	assert_true(error.retriable);
	assert_string_equal(error.message, "silent for 5 ms");
	assert_int_equal(status_none(&error, -EPROTO, "rubbish"), -EPROTO);
	assert_false(error.retriable);
	assert_int_equal(status_none(NULL, -EPROTO, "rubbish"), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_has_its_errno),
		cmocka_unit_test(four_codes_are_worth_another_try),
		cmocka_unit_test(what_a_peer_says_is_cut_and_cleaned),
		cmocka_unit_test(without_a_status_the_code_is_minus_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
