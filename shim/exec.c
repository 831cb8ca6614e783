/*
 * exec.c: exec, spawn, system: what a program leaves to the one that follows it.
 *
 * Descriptors need no help: they are the kernel's. Left to do are the environment, which must lead the shim into the next
 * image even if the program cleans it; files of ours that are executed, whose content goes into a memfd, or whose
 * interpreter is run on their name; and descriptors of ours that a program without the shim inherits, which
 * must have their content under them.
 *
 * All of it works in a vfork child: nothing is allocated, and the table of descriptors is not believed.
 */
#include "shim/elf.h"
#include "shim/env.h"
#include "shim/inside.h"
#include "shim/needed.h"
#include "shim/op.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/session.h"
#include "shim/sys.h"
#include "shim/text.h"

#include <elf.h>
#include <paths.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>

extern char **environ;

#define HEAD_BYTES   256 /* of a file the kernel looks at */
#define SCRIPT_DEPTH 5   /* interpreters that are scripts themselves */
#define EXEC_PATHS   (PATH_MAX + NAME_MAX + 2)
#define IMAGE_LOW    100 /* a number that a child's file actions are unlikely to use */

static long failed(long rc)
{
	errno = (int)-rc;
	return -1;
}

/* ---- images ------------------------------------------------------------------------------------------------------------ */

struct script {
	char line[HEAD_BYTES + 1];
	const char *interpreter, *argument; /* argument NULL: none */
};

/* "#!interpreter argument", as the kernel reads it: one argument, with its blanks. */
static bool script_parse(struct script *s, const char *head, size_t n)
{
	char *at = s->line + 2, *end;

	if (n < 3 || head[0] != '#' || head[1] != '!')
		return false;
	memcpy(s->line, head, n);
	s->line[n] = '\0';
	end = strchr(at, '\n');
	if (end)
		*end = '\0';
	else
		end = at + strlen(at);
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	at += strspn(at, " \t");
	s->interpreter = at;
	at += strcspn(at, " \t");
	s->argument = NULL;
	if (*at) {
		*at++ = '\0';
		s->argument = at + strspn(at, " \t");
	}
	return *s->interpreter != '\0';
}

#define SCRIPT_ADDED 4

/* argv of the interpreter: its argument, the script's name, then the script's own. */
static void script_argv(char **out, const struct script *s, const char *path, char *const argv[])
{
	*out++ = (char *)s->interpreter;
	if (s->argument)
		*out++ = (char *)s->argument;
	*out++ = (char *)path;
	for (size_t i = 1; argv && argv[0] && argv[i]; i++)
		*out++ = argv[i];
	*out = NULL;
}

static long head_read(int fd, char head[HEAD_BYTES])
{
	return sys4(SYS_pread64, fd, head, HEAD_BYTES, 0);
}

/* A program the dynamic loader starts, and with our library in it? */
static bool elf_enters(int fd, const char *head, size_t n)
{
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)head;
	Elf64_Phdr part;

	if (n < sizeof *elf || memcmp(elf->e_ident, ELFMAG, SELFMAG) || elf->e_ident[EI_CLASS] != ELFCLASS64)
		return false;
	for (unsigned i = 0; i < elf->e_phnum; i++) {
		if (sys4(SYS_pread64, fd, &part, sizeof part, (long)(elf->e_phoff + (uint64_t)i * elf->e_phentsize)) !=
		    sizeof part)
			return false;
		if (part.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* Can the shim follow into this ordinary file? An unreadable or missing one is exec's to refuse. */
static bool image_enters(const char *path, unsigned depth)
{
	char head[HEAD_BYTES] __attribute__((aligned(8)));
	struct script script;
	struct stat st;
	int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	bool enters = true;
	long n;

	if (fd < 0)
		return true;
	n = head_read(fd, head);
	if (n > 0 && script_parse(&script, head, (size_t)n))
		enters = depth >= SCRIPT_DEPTH || image_enters(script.interpreter, depth + 1);
	else if (n > 4)
		enters = elf_enters(fd, head, (size_t)n) && !sys_fstat(fd, &st) &&
			 !((st.st_mode & S_ISUID) && st.st_uid != (uid_t)sys0(SYS_geteuid)) &&
			 !((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
			   st.st_gid != (gid_t)sys0(SYS_getegid));
	sys_close(fd);
	return enters;
}

/* ---- descriptors that a program without the shim inherits ------------------------------------------------------------- */

static bool by_range(int fd)
{
	int flags = sys_fcntl(fd, F_GETFL, 0);

	return flags >= 0 && (flags & O_ACCMODE) == O_ACCMODE;
}

static int last_number(void)
{
	int highest = fdtab_highest();

	return highest < 2 ? 2 : highest;
}

/* leaving: those alone that stay open over exec. */
static bool any_by_range(bool leaving)
{
	for (int fd = 0; fd <= last_number(); fd++)
		if (by_range(fd) && (!leaving || !(sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC)))
			return true;
	return false;
}

static void content_for_all(void)
{
	struct ofd of;

	for (int fd = 0; fd <= last_number(); fd++)
		if (by_range(fd) && ofd_ask(&of, fd) && of.kind == SESSION_RANGE)
			ofd_content(&of);
}

/* With a client in each program the next one has another session: it cannot read by range what is of this one. */
static void content_for(const char *path, bool leaving)
{
	if (any_by_range(leaving) && (shim.inside || !image_enters(path, 0)))
		content_for_all();
}

static void content_for_image(int image, bool leaving)
{
	char head[HEAD_BYTES] __attribute__((aligned(8)));
	long n = any_by_range(leaving) ? head_read(image, head) : 0;

	if (n > 0 && (shim.inside || !elf_enters(image, head, (size_t)n)))
		content_for_all();
}

static bool any_written(void)
{
	for (int fd = 0; fd <= fdtab_highest(); fd++)
		if (fdtab_word(fd) >= FD_OURS && fdtab_writable(fdtab_word(fd)))
			return true;
	return false;
}

/* ---- files of ours, executed ------------------------------------------------------------------------------------------- */

/* The name of what runs, for /proc/N/exe; just ours if it is too long for that. */
static void image_name(char out[IMAGE_BYTES + 1], const struct ofd *of, char path[PATH_MAX])
{
	size_t n = record_path(of->rec, path) ? 0 : strlen(path);

	memcpy(out, IMAGE_NAME, sizeof IMAGE_NAME);
	if (sizeof IMAGE_NAME + n <= IMAGE_BYTES + 1)
		memcpy(out + sizeof IMAGE_NAME - 1, path, n + 1);
}

/* All of fd in a memfd that can be executed; staging and block files are neither executable nor surely on such a mount. */
int image_copy(int fd, const char *named)
{
	int image = (int)sys2(SYS_memfd_create, named, MFD_CLOEXEC), reader;
	char name[SYS_FD_NAME];
	off_t off = 0;
	long n;

	if (image < 0)
		return image;
	while ((n = sys4(SYS_sendfile, image, fd, &off, 0x7ffff000)) > 0 || n == -EINTR)
		;
	/* What is executed must not be open for writing: ETXTBSY. */
	reader = n < 0 ? (int)n : sys_open(sys_fd_name(name, image), O_RDONLY | O_CLOEXEC, 0);
	sys_close(image);
	return reader;
}

/*
 * What it takes to execute a file of ours. > 0: script is its interpreter; 0: *image is a descriptor of its content, to be executed;
 * SESSION_ELSEWHERE; -errno.
 */
static long image_open(struct where *w, struct script *script, int *image)
{
	char head[HEAD_BYTES] __attribute__((aligned(8))), name[IMAGE_BYTES + 1];
	struct ofd of;
	long rc = path_is_image(w) ? SESSION_ELSEWHERE : op_faccessat(w, X_OK, AT_EACCESS), n;
	int fd;

	if (rc)
		return rc;
	rc = op_open(w, O_RDONLY | O_CLOEXEC, 0);
	if (rc < 0)
		return rc;
	fd = (int)rc;
	rc = -EACCES;
	if (!ofd_ask(&of, fd) || of.kind == SESSION_DIRECTORY)
		goto out;
	rc = of.kind == SESSION_RANGE ? ofd_content(&of) : 0;
	if (rc)
		goto out;
	n = head_read(fd, head);
	rc = n < 0 ? n : n == 0 ? -ENOEXEC : 0;
	if (!rc && script_parse(script, head, (size_t)n))
		rc = 1;
	else if (!rc) {
		image_name(name, &of, w->path);
		rc = *image = image_copy(fd, name);
	}
	if (*image >= 0)
		rc = 0;
out:
	process_close(fd);
	return rc;
}

/* ---- exec -------------------------------------------------------------------------------------------------------------- */

static long exec_named(int dirfd, const char *path, char *const argv[], char *const envp[], unsigned depth);

static long exec_script(const struct script *s, const char *path, char *const argv[], char *const envp[],
			unsigned depth)
{
	char *with[env_count(argv) + SCRIPT_ADDED];

	if (depth >= SCRIPT_DEPTH)
		return -ELOOP;
	script_argv(with, s, path, argv);
	return exec_named(AT_FDCWD, s->interpreter, with, envp, depth + 1);
}

/* The client in this process ends with it. */
static bool session_may_end(const char *path)
{
	bool may = !inside_here() || !any_written();

	if (!may)
		shim_log("files open for writing cannot outlive the client in this process "
			 "(SLIPSTREAM_CLIENT=process): no exec of",
			 path, 0);
	return may;
}

/* Right before exec, for good: gRPC does not begin again in this process. */
static void session_end(void)
{
	char cwd[CWD_ROOM];

	if (!inside_here())
		return;
	cwd_tell(cwd, AT_FDCWD);
	inside_end();
	cwd_told(cwd);
}

/* ... unless there is nothing of that name, as along PATH. */
static void session_end_for(int dirfd, const char *path)
{
	long rc = inside_here() ? sys3(SYS_faccessat, dirfd, path, F_OK) : 0;

	if (rc != -ENOENT && rc != -ENOTDIR)
		session_end();
}

/* The ordinary program that an exec of path starts, for reading, and where it lies. */
static int program_open(const char *path, char lies[PATH_MAX])
{
	char head[HEAD_BYTES] __attribute__((aligned(8))), name[SYS_FD_NAME];
	struct script script;
	long n;

	*lies = '/';
	for (unsigned depth = 0; depth <= SCRIPT_DEPTH; depth++) {
		int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);

		if (fd < 0)
			return fd;
		n = head_read(fd, head);
		if (n <= 0 || !script_parse(&script, head, (size_t)n)) {
			n = sys4(SYS_readlinkat, AT_FDCWD, sys_fd_name(name, fd), lies, PATH_MAX - 1);
			lies[n < 1 ? 1 : n] = '\0';
			return fd;
		}
		sys_close(fd);
		path = script.interpreter;
	}
	return -ELOOP;
}

/* The libraries of ours that image is linked with, which lies at path, or that a program of path is, if image is -1. */
static void needed_for(struct needed *needed, int image, const char *path, char *const envp[])
{
	char lies[PATH_MAX];
	int fd;

	needed->count = 0;
	if (image >= 0)
		needed_open(needed, image, path, envp);
	else if (elf_any_ours(env_value(envp, "LD_LIBRARY_PATH")) && image_enters(path, 0)) {
		fd = program_open(path, lies);
		if (fd < 0)
			return;
		needed_open(needed, fd, lies, envp);
		sys_close(fd);
	}
}

static long exec_now(int image, const char *path, char *const argv[], char *const envp[])
{
	if (image >= 0)
		return sys5(SYS_execveat, image, "", argv, envp, AT_EMPTY_PATH);
	return REAL(execve)(path, argv, envp) ? -errno : 0;
}

/* Of image, which lies at path, or of path if image is -1: with the libraries of ours that it is linked with. */
static long exec_linked(int image, const char *path, char *const argv[], char *const envp[])
{
	struct needed needed;
	long rc;

	needed_for(&needed, image, path, envp);
	if (image >= 0)
		session_end();
	else
		session_end_for(AT_FDCWD, path);
	if (needed.count) {
		char *with[env_count(envp) + NEEDED_ADDED], text[needed.text_bytes];

		needed_environment(&needed, with, envp, text);
		needed_inherit(&needed);
		rc = exec_now(image, path, argv, with);
		needed_close(&needed, false);
	} else
		rc = exec_now(image, path, argv, envp);
	return rc;
}

static long exec_image(int image, const char *path, char *const argv[], char *const envp[])
{
	long rc;

	content_for_image(image, true);
	rc = exec_linked(image, path, argv, envp);
	sys_close(image);
	return rc;
}

/* The kernel says ENOENT for a script whose interpreter is in a prefix. */
static long exec_missed(int dirfd, const char *path, char *const argv[], char *const envp[], unsigned depth)
{
	char head[HEAD_BYTES];
	struct script script;
	int fd = (int)sys4(SYS_openat, dirfd, path, O_RDONLY | O_CLOEXEC, 0);
	long n = fd < 0 ? fd : head_read(fd, head);

	if (fd >= 0)
		sys_close(fd);
	if (n <= 0 || !script_parse(&script, head, (size_t)n) || !path_maybe(AT_FDCWD, script.interpreter))
		return -ENOENT;
	return exec_script(&script, path, argv, envp, depth);
}

static long exec_native(int dirfd, const char *path, char *const argv[], char *const envp[], unsigned depth)
{
	long rc;

	if (dirfd == AT_FDCWD) {
		content_for(path, true);
		rc = exec_linked(-1, path, argv, envp);
	} else {
		session_end_for(dirfd, path);
		rc = sys5(SYS_execveat, dirfd, path, argv, envp, 0);
	}
	return rc == -ENOENT ? exec_missed(dirfd, path, argv, envp, depth) : rc;
}

/* Returns only if it fails: -errno. */
static long exec_named(int dirfd, const char *path, char *const argv[], char *const envp[], unsigned depth)
{
	struct script script;
	struct where w;
	int image = -1;
	long rc;

	if (!path_maybe(dirfd, path))
		return exec_native(dirfd, path, argv, envp, depth);
	rc = path_find(&w, dirfd, path);
	if (rc <= 0)
		return rc < 0 ? rc : exec_native(w.native == path ? dirfd : AT_FDCWD, w.native, argv, envp, depth);
	rc = image_open(&w, &script, &image);
	if (rc == SESSION_ELSEWHERE)
		return exec_native(AT_FDCWD, w.native, argv, envp, depth);
	if (rc > 0)
		return exec_script(&script, path, argv, envp, depth);
	return rc < 0 ? rc : exec_image(image, w.path, argv, envp);
}

/* With an environment that leads us along. */
static COLD long exec_leading(int dirfd, const char *path, char *const argv[], char *const envp[])
{
	char cwd[CWD_ROOM];
	bool leads = env_leads(envp, cwd_tell(cwd, AT_FDCWD));
	char *with[leads ? 1 : env_count(envp) + ENV_ADDED], text[leads ? 1 : env_bytes(envp, cwd)];

	if (!session_may_end(path))
		return -EBUSY;
	if (leads)
		return exec_named(dirfd, path, argv, envp, 0);
	env_lead(with, envp, cwd, text);
	return exec_named(dirfd, path, argv, with, 0);
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	if (likely(!shim.active))
		return REAL(execve)(path, argv, envp);
	return (int)failed(exec_leading(AT_FDCWD, path, argv, envp));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

/* A file without "#!" that is no program is the shell's (POSIX, execvp). */
static long exec_or_shell(const char *path, char *const argv[], char *const envp[])
{
	long rc = exec_leading(AT_FDCWD, path, argv, envp);
	size_t n = env_count(argv);
	char *with[n + 3];

	if (rc != -ENOEXEC)
		return rc;
	with[0] = (char *)_PATH_BSHELL;
	with[1] = (char *)path;
	for (size_t i = 1; i < n; i++)
		with[i + 1] = argv[i];
	with[n < 1 ? 2 : n + 1] = NULL;
	return exec_leading(AT_FDCWD, _PATH_BSHELL, with, envp);
}

/* The next place of PATH joined with file; NULL when there is none. */
static const char *path_next(const char **rest, const char *file, char out[EXEC_PATHS])
{
	while (*rest) {
		size_t n = strcspn(*rest, ":"), bytes = strlen(file);
		const char *at = *rest;

		*rest = at[n] ? at + n + 1 : NULL;
		if (n >= PATH_MAX || bytes > NAME_MAX)
			continue;
		memcpy(out, at, n);
		if (n)
			out[n++] = '/';
		memcpy(out + n, file, bytes + 1);
		return out;
	}
	return NULL;
}

static const char *path_list(void)
{
	const char *list = getenv("PATH");

	return list ? list : "/bin:/usr/bin";
}

static bool keeps_looking(long rc)
{
	return rc == -EACCES || rc == -ENOENT || rc == -ESTALE || rc == -ENOTDIR || rc == -ENODEV || rc == -ETIMEDOUT;
}

static COLD long exec_search(const char *file, char *const argv[], char *const envp[])
{
	const char *rest = path_list();
	char path[EXEC_PATHS];
	bool denied = false;
	long rc = -ENOENT;

	if (!*file)
		return -ENOENT;
	if (strchr(file, '/'))
		return exec_or_shell(file, argv, envp);
	while (path_next(&rest, file, path)) {
		rc = exec_or_shell(path, argv, envp);
		if (!keeps_looking(rc))
			return rc;
		denied |= rc == -EACCES;
	}
	return denied ? -EACCES : rc;
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	if (likely(!shim.active))
		return REAL(execvpe)(file, argv, envp);
	return (int)failed(exec_search(file, argv, envp));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* The arguments of execl and its kin as an array; with them, for execle, the environment behind their end. */
#define ARGUMENTS(argv, first, last)                                                                                   \
	va_list more;                                                                                                  \
	size_t argc = 1;                                                                                               \
	va_start(more, first);                                                                                         \
	while (va_arg(more, char *))                                                                                   \
		argc++;                                                                                                \
	va_end(more);                                                                                                  \
	char *argv[argc + 1];                                                                                          \
	argv[0] = (char *)(first);                                                                                     \
	va_start(more, first);                                                                                         \
	for (size_t i = 1; i <= argc; i++)                                                                             \
		argv[i] = va_arg(more, char *);                                                                        \
	last;                                                                                                          \
	va_end(more)

EXPORT int execl(const char *path, const char *first, ...)
{
	ARGUMENTS(argv, first, );
	return execve(path, argv, environ);
}

EXPORT int execlp(const char *file, const char *first, ...)
{
	ARGUMENTS(argv, first, );
	return execvpe(file, argv, environ);
}

EXPORT int execle(const char *path, const char *first, ...)
{
	char *const *envp;

	ARGUMENTS(argv, first, envp = va_arg(more, char *const *));
	return execve(path, argv, envp);
}

static COLD long exec_fd(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
	char cwd[CWD_ROOM];
	bool leads = env_leads(envp, cwd_tell(cwd, AT_FDCWD));
	char *with[leads ? 1 : env_count(envp) + ENV_ADDED], text[leads ? 1 : env_bytes(envp, cwd)];
	struct script script;
	struct where w;
	int image = -1;
	long rc;

	if (!leads) {
		env_lead(with, envp, cwd, text);
		envp = with;
	}
	if (!session_may_end(path ? path : ""))
		return -EBUSY;
	if (path && path[0] && !flags)
		return exec_named(fd, path, argv, envp, 0);
	rc = path && path[0] ? 0 : path_find_empty(&w, fd, "", flags);
	if (rc < 0)
		return rc;
	if (!rc) {
		content_for_image(fd, true);
		session_end();
		return sys5(SYS_execveat, fd, path, argv, envp, flags);
	}
	rc = image_open(&w, &script, &image);
	if (rc > 0)
		return exec_script(&script, w.path, argv, envp, 0);
	return rc < 0 ? rc : exec_image(image, w.path, argv, envp);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	if (likely(!shim.active))
		return REAL(fexecve)(fd, argv, envp);
	return (int)failed(fd < 0 ? -EINVAL : exec_fd(fd, "", argv, envp, AT_EMPTY_PATH));
}

EXPORT int execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	if (likely(!shim.active))
		return REAL(execveat)(dirfd, path, argv, envp, flags);
	return (int)failed(exec_fd(dirfd, path, argv, envp, flags));
}

/* ---- system and popen: libc spawns the shell, with environ ---------------------------------------------------------------- */

#define WITH_ENVIRONMENT(cwd, call)                                                                                    \
	do {                                                                                                           \
		char *with_[env_count(environ) + ENV_ADDED], **was_ = environ;                                         \
		char text_[env_bytes(environ, cwd)];                                                                   \
		env_lead(with_, environ, cwd, text_);                                                                  \
		environ = with_;                                                                                       \
		call;                                                                                                  \
		environ = was_;                                                                                        \
	} while (0)

EXPORT int system(const char *command)
{
	char cwd[CWD_ROOM];
	int status;

	if (likely(!shim.active || !command || env_leads(environ, cwd_tell(cwd, AT_FDCWD))))
		return REAL(system)(command);
	WITH_ENVIRONMENT(cwd, status = REAL(system)(command));
	return status;
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	char cwd[CWD_ROOM];
	FILE *f;

	if (likely(!shim.active || env_leads(environ, cwd_tell(cwd, AT_FDCWD))))
		return REAL(popen)(command, mode);
	WITH_ENVIRONMENT(cwd, f = REAL(popen)(command, mode));
	return f;
}
EXPORT_ALIAS(popen, _IO_popen)

/* ---- spawn ------------------------------------------------------------------------------------------------------------------ */

/*
 * Every action as libc keeps it (glibc 2.29 and later, spawn_int.h): it has no way to read the list back, and the child runs it with
 * calls that do not pass here.
 */
enum spawn_tag { DO_CLOSE, DO_DUP2, DO_OPEN, DO_CHDIR, DO_FCHDIR, DO_CLOSEFROM, DO_TCSETPGRP };

struct spawn_action {
	enum spawn_tag tag;
	union {
		int fd; /* close, fchdir, closefrom, tcsetpgrp */
		struct {
			int fd, newfd;
		} dup2;
		struct {
			int fd;
			char *path;
			int flags;
			mode_t mode;
		} open;
		char *chdir;
	} u;
};

#define OPENED_MAX 64

struct spawn {
	const posix_spawn_file_actions_t *given, *actions; /* the caller's, and what is done */
	posix_spawn_file_actions_t own;                    /* where that is not the same */
	int cwd;                /* where relative names start in the child; AT_FDCWD: as here */
	int opened[OPENED_MAX]; /* here, for the child */
	unsigned count;
};

static const struct spawn_action *actions_of(const posix_spawn_file_actions_t *list)
{
	return (const struct spawn_action *)list->__actions;
}

/* Does any of them concern a prefix? */
static bool actions_ours(const posix_spawn_file_actions_t *list)
{
	const struct spawn_action *a = list ? actions_of(list) : NULL;
	bool moved = false;

	for (int i = 0; list && i < list->__used; i++) {
		if (a[i].tag == DO_OPEN && path_maybe(AT_FDCWD, a[i].u.open.path))
			return true;
		if (a[i].tag == DO_CHDIR && path_maybe(AT_FDCWD, a[i].u.chdir))
			return true;
		moved |= a[i].tag == DO_FCHDIR && fdtab_resolve(a[i].u.fd) >= FD_OURS;
	}
	return moved;
}

/* Opened here, on behalf of the child; a descriptor of this process, or -errno, or -2000: not ours. */
#define NOT_OURS (-2000)

static long open_for_child(struct spawn *s, const char *path, int flags, mode_t mode)
{
	struct where w;
	long rc;

	if (!path_maybe(s->cwd, path))
		return NOT_OURS;
	rc = path_find(&w, s->cwd, path);
	if (rc > 0)
		rc = op_open(&w, flags | O_CLOEXEC, mode);
	else if (!rc)
		return NOT_OURS;
	if (rc == SESSION_ELSEWHERE)
		rc = sys_open(w.native, flags | O_CLOEXEC, mode);
	if (rc >= 0 && s->count == OPENED_MAX) {
		process_close((int)rc);
		rc = -EMFILE;
	}
	if (rc >= 0)
		s->opened[s->count++] = (int)rc;
	return rc;
}

static long translate_open(struct spawn *s, const struct spawn_action *a)
{
	long fd = open_for_child(s, a->u.open.path, a->u.open.flags, a->u.open.mode);

	if (fd == NOT_OURS)
		return -posix_spawn_file_actions_addopen(&s->own, a->u.open.fd, a->u.open.path, a->u.open.flags,
							 a->u.open.mode);
	return fd < 0 ? fd : -posix_spawn_file_actions_adddup2(&s->own, (int)fd, a->u.open.fd);
}

static long translate_chdir(struct spawn *s, const struct spawn_action *a)
{
	long fd = open_for_child(s, a->u.chdir, O_RDONLY | O_DIRECTORY, 0);

	if (fd == NOT_OURS) {
		if (s->cwd == AT_FDCWD || a->u.chdir[0] == '/')
			fd = sys_open(a->u.chdir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0); /* for the names that follow */
		if (fd >= 0 && s->count < OPENED_MAX)
			s->opened[s->count++] = (int)fd;
	}
	if (fd < 0)
		return fd;
	s->cwd = (int)fd;
	return -posix_spawn_file_actions_addfchdir_np(&s->own, (int)fd);
}

static long translate(struct spawn *s, const struct spawn_action *a)
{
	switch (a->tag) {
	case DO_CLOSE:
		return -posix_spawn_file_actions_addclose(&s->own, a->u.fd);
	case DO_DUP2:
		return -posix_spawn_file_actions_adddup2(&s->own, a->u.dup2.fd, a->u.dup2.newfd);
	case DO_OPEN:
		return translate_open(s, a);
	case DO_CHDIR:
		return translate_chdir(s, a);
	case DO_FCHDIR:
		s->cwd = a->u.fd;
		return -posix_spawn_file_actions_addfchdir_np(&s->own, a->u.fd);
	case DO_CLOSEFROM:
		return -posix_spawn_file_actions_addclosefrom_np(&s->own, a->u.fd);
	case DO_TCSETPGRP:
		return -posix_spawn_file_actions_addtcsetpgrp_np(&s->own, a->u.fd);
	default:
		return -ENOSYS;
	}
}

/* The same actions, in a list of ours. */
static long spawn_own(struct spawn *s)
{
	long rc = s->actions == &s->own ? 0 : -posix_spawn_file_actions_init(&s->own);

	if (rc || s->actions == &s->own)
		return rc;
	s->actions = &s->own;
	for (int i = 0; !rc && s->given && i < s->given->__used; i++)
		rc = translate(s, &actions_of(s->given)[i]);
	return rc;
}

static long spawn_begin(struct spawn *s, const posix_spawn_file_actions_t *list)
{
	s->given = s->actions = list;
	s->cwd = AT_FDCWD;
	s->count = 0;
	return actions_ours(list) ? spawn_own(s) : 0;
}

static void spawn_end(struct spawn *s)
{
	for (unsigned i = 0; i < s->count; i++)
		process_close(s->opened[i]);
	if (s->actions == &s->own)
		posix_spawn_file_actions_destroy(&s->own);
}

/* What spawn needs besides the program: passed along. */
struct spawn_call {
	pid_t *pid;
	struct spawn spawn;
	const posix_spawnattr_t *attr;
	char *const *envp;
};

static long spawn_named(struct spawn_call *c, const char *path, char *const argv[], unsigned depth);

/* For the child: out of the way of the numbers that its actions use, if there is room. */
static int number_high(int fd)
{
	int high = sys_fcntl(fd, F_DUPFD_CLOEXEC, IMAGE_LOW);

	if (high < 0)
		return fd;
	process_close(fd);
	return high;
}

/* As the last of its actions the child keeps them over exec. */
static long spawn_inherit(struct spawn *s, struct needed *needed)
{
	long rc = spawn_own(s);

	for (unsigned i = 0; !rc && i < needed->count; i++)
		rc = -posix_spawn_file_actions_adddup2(&s->own, needed->fd[i], needed->fd[i]);
	return rc;
}

/* name is what the child calls it: path, or a number of image. */
static long spawn_linked(struct spawn_call *c, int image, const char *name, const char *path, char *const argv[])
{
	struct needed needed;
	long rc;

	needed_for(&needed, image, path, c->envp);
	if (!needed.count)
		return -REAL(posix_spawn)(c->pid, name, c->spawn.actions, c->attr, argv, c->envp);

	char *with[env_count(c->envp) + NEEDED_ADDED], text[needed.text_bytes];

	for (unsigned i = 0; i < needed.count; i++)
		needed.fd[i] = number_high(needed.fd[i]);
	needed_environment(&needed, with, c->envp, text);
	rc = spawn_inherit(&c->spawn, &needed);
	if (!rc)
		rc = -REAL(posix_spawn)(c->pid, name, c->spawn.actions, c->attr, argv, with);
	needed_close(&needed, !rc);
	return rc;
}

static long spawn_native(struct spawn_call *c, const char *path, char *const argv[])
{
	content_for(path, false);
	return spawn_linked(c, -1, path, path, argv);
}

static long spawn_script(struct spawn_call *c, const struct script *s, const char *path, char *const argv[],
			 unsigned depth)
{
	char *with[env_count(argv) + SCRIPT_ADDED];

	if (depth >= SCRIPT_DEPTH)
		return -ELOOP;
	script_argv(with, s, path, argv);
	return spawn_named(c, s->interpreter, with, depth + 1);
}

/* The child finds the image by the number it inherits, which is gone at exec. */
static long spawn_image(struct spawn_call *c, int image, const char *path, char *const argv[])
{
	char name[SYS_FD_NAME];
	long rc;

	image = number_high(image);
	content_for_image(image, false);
	rc = spawn_linked(c, image, sys_fd_name(name, image), path, argv);
	sys_close(image);
	return rc;
}

static long spawn_named(struct spawn_call *c, const char *path, char *const argv[], unsigned depth)
{
	struct script script;
	struct where w;
	int image = -1;
	long rc;

	if (!path_maybe(c->spawn.cwd, path))
		return spawn_native(c, path, argv);
	rc = path_find(&w, c->spawn.cwd, path);
	if (rc <= 0)
		return rc < 0 ? rc : spawn_native(c, w.native, argv);
	rc = image_open(&w, &script, &image);
	if (rc == SESSION_ELSEWHERE)
		return spawn_native(c, w.native, argv);
	if (rc > 0)
		return spawn_script(c, &script, path, argv, depth);
	return rc < 0 ? rc : spawn_image(c, image, w.path, argv);
}

static COLD long spawn_search(struct spawn_call *c, const char *file, char *const argv[])
{
	const char *rest = path_list();
	char path[EXEC_PATHS];
	bool denied = false;

	if (strchr(file, '/'))
		return spawn_named(c, file, argv, 0);
	while (path_next(&rest, file, path)) {
		if (!access(path, X_OK))
			return spawn_named(c, path, argv, 0);
		denied |= errno == EACCES;
	}
	return denied ? -EACCES : -ENOENT;
}

static COLD long spawn_ours(struct spawn_call given, const posix_spawn_file_actions_t *actions, const char *file,
			    char *const argv[], bool search)
{
	struct spawn_call *c = &given;
	int saved = errno;
	char cwd[CWD_ROOM];
	long rc = spawn_begin(&c->spawn, actions);
	bool leads = env_leads(c->envp, cwd_tell(cwd, c->spawn.cwd));
	char *with[leads ? 1 : env_count(c->envp) + ENV_ADDED], text[leads ? 1 : env_bytes(c->envp, cwd)];

	if (!leads) {
		env_lead(with, c->envp, cwd, text);
		c->envp = with;
	}
	if (!rc)
		rc = search ? spawn_search(c, file, argv) : spawn_named(c, file, argv, 0);
	spawn_end(&c->spawn);
	errno = saved;
	return rc;
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct spawn_call c = {.pid = pid, .attr = attr, .envp = envp};

	if (likely(!shim.active))
		return REAL(posix_spawn)(pid, path, actions, attr, argv, envp);
	return (int)-spawn_ours(c, actions, path, argv, false);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	struct spawn_call c = {.pid = pid, .attr = attr, .envp = envp};

	if (likely(!shim.active))
		return REAL(posix_spawnp)(pid, file, actions, attr, argv, envp);
	return (int)-spawn_ours(c, actions, file, argv, true);
}
