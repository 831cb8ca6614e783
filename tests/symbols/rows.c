/*
 * rows.c: one test per row of shim/symbols.def, drawn from it.
 *
 *     rows DIRECTORY          DIRECTORY: below a prefix, with a file "big" whose bytes come by range
 *
 * Every wrapper whose first arguments are a path, a dirfd and a path, or a descriptor is called with something that is not
 * ours: result and errno must be libc's own. Then with something of ours: a path that is not there gives ENOENT, and what the
 * row declines gives the errno that the row says. All other arguments are 0; on what is not there no function looks at them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/lib-names.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct row {
	const char *symbol, *route, *fails, *handler, *parameters;
} rows[] = {
#define WRAP(route, fails, ret, sym, op, params, args) {#sym, #route, #fails, #op, #params},
#define HAND(where, ret, sym, params)                  {#sym, "HAND", "ERRNO", "", #params},
#define ALIAS(sym, alias)
#define SAME(sym, alias)
#define READY(...)
#define NATIVE(sym, why)
#define LATER(sym, why)
#include "shim/symbols.def"
};

/* What a row that declines answers. */
static const struct {
	const char *handler;
	int error; /* 0: success */
} answers[] = {
	{"op_eopnotsupp", EOPNOTSUPP}, {"op_eperm", EPERM}, {"op_einval", EINVAL},
	{"op_ebadf", EBADF},           {"op_nothing", 0},
};

/* On a path of ours that is not there: what comes before ENOENT. */
static const struct {
	const char *symbol;
	int error;
} first[] = {
	{"readlink", EINVAL}, /* the buffer has no room */
	{"readlinkat", EINVAL},
	{"__readlink_chk", EINVAL},
	{"__readlinkat_chk", EINVAL},
};

/* Rows that a call with zeros cannot test: they end the process, replace it, or take NULL for an argument that must be there. */
static const char *const left_out[] = {
	"_exit",
	"closefrom",
	"daemon",
	"forkpty",
	"login_tty",
	"syscall",
	"umask",
	"system",
	"posix_spawn",
	"posix_spawnp",
	"execl",
	"execlp",
	"execle",
	"execvpe",
	"execvp",
	"execv",
	"fexecve",
	"nftw",
	"ftw",
	"wordexp",
	"glob",
	"mmap",
	"close_range",
	"recvmsg",
	"recvmmsg",
	"symlink",
	"symlinkat",
	"link",
	"linkat",
	"rename",
	"renameat",
	"renameat2",
	"fdopen",
	"fopen",
	"dlopen",
	"freopen",
	"setmntent",
	"popen",
	"mktemp",
	"opendir",
	"fdopendir",
	"realpath",
	"__realpath_chk",
	"canonicalize_file_name",
	"ftok",
	"__xstat",
	"__lxstat",
	"__fxstat",
	"__fxstatat",
	"__xmknod",
	"__xmknodat",
};

static int failures, tested;

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool is_left_out(const struct row *row)
{
	for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
		if (!strcmp(row->symbol, left_out[i]))
			return true;
	return false;
}

struct answer {
	long result; /* -1, or not */
	int error;
};

/* As the ABI of this machine passes them: whatever a parameter's type, it is a register. */
typedef long call_fn(long, long, long, long, long, long);

static struct answer call(const struct row *row, void *function, long a, long b)
{
	struct answer out;
	long rc;

	errno = 0;
	rc = ((call_fn *)function)(a, b, 0, 0, 0, 0);
	if (!strcmp(row->fails, "ERRNUM")) {
		out = (struct answer){(int)rc ? -1 : 0, (int)rc};
	} else {
		out = (struct answer){(int)rc == -1 ? -1 : 0, (int)rc == -1 ? errno : 0};
	}
	return out;
}

static void expect(const struct row *row, const char *what, struct answer got, struct answer wanted)
{
	tested++;
	if (got.result == wanted.result && got.error == wanted.error)
		return;
	failures++;
	printf("%s: %s: %ld (%s), wanted %ld (%s)\n", row->symbol, what, got.result, strerror(got.error), wanted.result,
	       strerror(wanted.error));
}

/* The errno of a row that declines, or -1: it does not. */
static int declines(const struct row *row)
{
	size_t n = strlen(row->route);

	if (n < 3 || strcmp(row->route + n - 2, "NO"))
		return -1;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		if (!strcmp(answers[i].handler, row->handler))
			return answers[i].error;
	return -1;
}

static struct answer answer(int error)
{
	return (struct answer){error ? -1 : 0, error};
}

static void test_path(const struct row *row, void *ours, void *libc, const char *directory, bool at)
{
	const char *native = "/nothing-of-that-name/x";
	char path[4096];
	int error = declines(row) < 0 ? ENOENT : declines(row);
	long fd = at ? AT_FDCWD : 0;

	expect(row, "an ordinary path", call(row, ours, at ? fd : (long)native, at ? (long)native : 0),
	       call(row, libc, at ? fd : (long)native, at ? (long)native : 0));
	for (size_t i = 0; i < sizeof first / sizeof *first; i++)
		if (!strcmp(first[i].symbol, row->symbol))
			error = first[i].error;
	snprintf(path, sizeof path, "%s/nothing/x", directory);
	expect(row, "a path of ours", call(row, ours, at ? fd : (long)path, at ? (long)path : 0), answer(error));
}

static void test_fd(const struct row *row, void *ours, void *libc, int range)
{
	int error = declines(row);

	expect(row, "no descriptor", call(row, ours, -1, 0), call(row, libc, -1, 0));
	if (error >= 0 && !begins(row->route, "PATH") && !begins(row->route, "AT"))
		expect(row, "a descriptor of ours", call(row, ours, range, 0), answer(error));
}

int main(int argc, char **argv)
{
	char big[4096];
	void *libc = dlopen(LIBC_SO, RTLD_NOW | RTLD_NOLOAD);
	int range;

	if (argc != 2 || !libc) {
		fprintf(stderr, "usage: rows DIRECTORY\n");
		return 2;
	}
	snprintf(big, sizeof big, "%s/big", argv[1]);
	range = open(big, O_RDONLY);
	if (range < 0) {
		perror(big);
		return 1;
	}
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		void *ours = dlsym(RTLD_DEFAULT, row->symbol), *native = dlsym(libc, row->symbol);

		if (is_left_out(row) || !native) /* a later libc's */
			continue;
		if (!ours || ours == native) {
			printf("%s: not interposed\n", row->symbol);
			failures++;
		} else if (begins(row->parameters, "(const char *path")) {
			test_path(row, ours, native, argv[1], false);
		} else if (begins(row->parameters, "(int dirfd, const char *path")) {
			test_path(row, ours, native, argv[1], true);
		} else if (begins(row->parameters, "(int fd")) {
			test_fd(row, ours, native, range);
		}
	}
	printf("%d answers of rows, %d wrong\n", tested, failures);
	return failures != 0;
}
