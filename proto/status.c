#include "proto/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Which calls a row is for. */
enum {
	NAMES = 1, /* the master's, and whatever else is over at once */
	DATA = 2,  /* streams of a block's bytes */
	SPACE = 4, /* those that ask for space */
	ANY = NAMES | DATA | SPACE,
};

/* The first row that fits counts. CANCELLED is a peer's word: what we cancel ourselves never gets here. */
static const struct row {
	int code;
	const char *text; /* that the message contains; NULL: any */
	int calls;
	int error;
} rows[] = {
	{RPC_NOT_FOUND, "is not a directory", NAMES, ENOTDIR},
	{RPC_NOT_FOUND, NULL, ANY, ENOENT},
	{RPC_ALREADY_EXISTS, NULL, ANY, EEXIST},
	{RPC_PERMISSION_DENIED, NULL, ANY, EACCES},
	{RPC_UNAUTHENTICATED, NULL, ANY, EACCES},
	{RPC_INVALID_ARGUMENT, "is not a directory", NAMES, ENOTDIR},
	{RPC_INVALID_ARGUMENT, NULL, ANY, EINVAL},
	{RPC_FAILED_PRECONDITION, "is not a directory", NAMES, ENOTDIR},
	{RPC_FAILED_PRECONDITION, "is not empty", ANY, ENOTEMPTY},
	{RPC_FAILED_PRECONDITION, "is incomplete", ANY, EBUSY},
	{RPC_FAILED_PRECONDITION, "Is a directory", ANY, EISDIR},
	{RPC_FAILED_PRECONDITION, NULL, NAMES, EINVAL},
	{RPC_FAILED_PRECONDITION, NULL, ANY, EIO},
	{RPC_RESOURCE_EXHAUSTED, NULL, SPACE, ENOSPC},
	{RPC_RESOURCE_EXHAUSTED, NULL, ANY, EIO},
	{RPC_OUT_OF_RANGE, NULL, ANY, EINVAL},
	{RPC_UNIMPLEMENTED, NULL, ANY, EOPNOTSUPP},
	{RPC_DEADLINE_EXCEEDED, NULL, ANY, ETIMEDOUT},
	{RPC_UNAVAILABLE, NULL, NAMES, EHOSTUNREACH},
	{RPC_UNAVAILABLE, NULL, ANY, EIO},
	{RPC_CANCELLED, NULL, ANY, EIO},
	{RPC_UNKNOWN, NULL, ANY, EIO},
	{RPC_ABORTED, NULL, ANY, EIO},
	{RPC_INTERNAL, NULL, ANY, EIO},
	{RPC_DATA_LOSS, NULL, ANY, EIO},
};

static int calls_of(enum rpc_id id)
{
	switch (id) {
	case RPC_CREATE_FILE:
		return NAMES | SPACE;
	case RPC_WRITE_BLOCK:
		return DATA | SPACE;
	case RPC_READ_BLOCK:
	case RPC_OPEN_LOCAL_BLOCK:
		return DATA;
	default:
		return NAMES;
	}
}

int status_errno(enum rpc_id id, int code, const char *text)
{
	int calls = calls_of(id);

	if (code == RPC_OK)
		return 0;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];

		if (row->code == code && (row->calls & calls) && (!row->text || (text && strstr(text, row->text))))
			return -row->error;
	}
	return -EIO; /* a code that gRPC does not have */
}

/* Spec goosefs 6.1, last column. */
static bool code_retriable(int code)
{
	return code == RPC_UNAVAILABLE || code == RPC_DEADLINE_EXCEEDED || code == RPC_ABORTED ||
	       code == RPC_UNAUTHENTICATED;
}

void status_say(struct rpc_error *error, int code, const char *text, size_t n)
{
	if (!error)
		return;
	memset(error, 0, sizeof *error);
	error->code = code;
	error->retriable = code_retriable(code);
	error->unauthenticated = code == RPC_UNAUTHENTICATED;
	if (n >= sizeof error->message)
		n = sizeof error->message - 1;
	for (size_t i = 0; i < n; i++)
		error->message[i] = (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i];
}

int status_none(struct rpc_error *error, int rc, const char *format, ...)
{
	va_list args;

	if (!error)
		return rc;
	memset(error, 0, sizeof *error);
	error->code = -1;
	error->retriable = rc == -ETIMEDOUT || rc == -EHOSTUNREACH;
	va_start(args, format);
	vsnprintf(error->message, sizeof error->message, format, args);
	va_end(args);
	return rc;
}
