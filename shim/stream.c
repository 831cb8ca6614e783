/*
 * stream.c: FILE *. A file of ours is made content-backed before a stream is laid over it, so that the stream is libc's own,
 * at libc's speed, and nothing but opening and closing has to pass here. Inside libc fclose() closes natively, so the
 * publication is asked for after it, and its error is fclose()'s.
 */
#include "shim/stream.h"
#include "shim/op.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/sys.h"

#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

/* ---- streams that hold bytes of ours at exit --------------------------------------------------------------------- */

#define STREAMS 256

static _Atomic(FILE *) written[STREAMS]; /* opened here for writing, not closed yet */
static _Atomic bool missed;              /* there were more */

static void stream_note(FILE *f)
{
	for (int i = 0; i < STREAMS; i++) {
		FILE *none = NULL;

		if (atomic_compare_exchange_strong(&written[i], &none, f))
			return;
	}
	atomic_store(&missed, true);
}

static void stream_drop(FILE *f)
{
	for (int i = 0; i < STREAMS; i++) {
		FILE *this = f;

		if (atomic_compare_exchange_strong(&written[i], &this, NULL))
			return;
	}
}

static bool flush_one(FILE *f)
{
	if (!f)
		return true;
	if (ftrylockfile(f))
		return false; /* another thread is in it: what it writes is published after our end */
	fflush_unlocked(f);
	funlockfile(f);
	return true;
}

bool stream_flush_ours(void)
{
	bool all = !atomic_load(&missed);

	for (int i = 0; i < STREAMS; i++)
		all &= flush_one(atomic_load(&written[i]));
	all &= flush_one(stdout);
	all &= flush_one(stderr);
	return all;
}

/* ---- streams that libc does not read alone ----------------------------------------------------------------------- */

NEAR _Atomic bool stream_unready;

/*
 * A stream over a block file moves onto the new content, as read() would move the descriptor, if the file was written since. Until
 * that happens to any file of the session, a program that reads letter by letter pays a load for each.
 */
static const _Atomic uint32_t never;
const _Atomic uint32_t *_Atomic stream_overrides = &never;

static void stream_note_local(uint32_t word)
{
	struct session_records *table = word >= FD_OURS && fdtab_kind(word) == SESSION_LOCAL ? records_map() : NULL;

	if (table)
		atomic_store(&stream_overrides, &table->overrides);
}

/*
 * stdin is the one stream that nobody opens: descriptor 0 may have come by exec, dup2() or open() with its bytes by range.
 * It is made content-backed when libc is about to read it, and not before: a shell whose script it is reads by read(2) and
 * shares the offset with its children. The new descriptor has an offset of its own, so that is given back at the end.
 */
static NEAR struct {
	_Atomic int process; /* that took it over; 0: none */
	int record;
	uint32_t serial; /* of the record: it may be another's meanwhile */
	int64_t off;
} taken;

STARTUP void stream_note_stdin(uint32_t word)
{
	bool unready = word == FD_UNKNOWN || (word >= FD_OURS && fdtab_kind(word) == SESSION_RANGE);

	atomic_store(&taken.process, 0);
	atomic_store(&stream_unready, unready);
	stream_note_local(word);
}

static void stdin_ready(FILE *f)
{
	uint32_t serial;
	struct ofd of;
	int64_t off;

	/* To ask is to know: the answer is noted. */
	if (ofd_find(&of, STDIN_FILENO, KIND(RANGE)) && f && fileno_unlocked(f) == STDIN_FILENO) {
		serial = atomic_load(&of.rec->serial);
		off = atomic_load(&of.rec->off);
		if (!ofd_content(&of)) {
			taken.record = of.record;
			taken.serial = serial;
			taken.off = off;
			atomic_store(&taken.process, (int)sys0(SYS_getpid));
		}
	}
}

void stream_ready_slow(FILE *f)
{
	int saved = errno;
	struct ofd of;

	if (atomic_load_explicit(&stream_unready, memory_order_relaxed))
		stdin_ready(f);
	if (f)
		ofd_find(&of, fileno_unlocked(f), KIND(RANGE)); /* which moves it */
	errno = saved;
}

STARTUP void stream_give_back(void)
{
	int process = atomic_exchange(&taken.process, 0);
	struct session_record *rec;
	off_t off;

	if (!process || process != (int)sys0(SYS_getpid) || ftrylockfile(stdin))
		return;
	fflush_unlocked(stdin); /* back to what was read, as libc does at the end */
	funlockfile(stdin);
	off = sys_lseek(STDIN_FILENO, 0, SEEK_CUR);
	rec = record_get(taken.record);
	if (rec && off >= 0 && atomic_load(&rec->kind) == SESSION_RANGE && atomic_load(&rec->serial) == taken.serial)
		atomic_compare_exchange_strong(&rec->off, &taken.off, off);
}

/* ---- scanf: the variadic ones join those with a va_list, which are rows ------------------------------------------ */

int __isoc99_vfscanf(FILE *f, const char *format, va_list more);
int __isoc23_vfscanf(FILE *f, const char *format, va_list more);
int __isoc99_vfwscanf(FILE *f, const wchar_t *format, va_list more);
int __isoc23_vfwscanf(FILE *f, const wchar_t *format, va_list more);

#define SCANF(name, fname, vfname, text)                                                                               \
	EXPORT int name(const text *format, ...)                                                                       \
	{                                                                                                              \
		va_list more;                                                                                          \
		int n;                                                                                                 \
                                                                                                                       \
		va_start(more, format);                                                                                \
		n = vfname(stdin, format, more);                                                                       \
		va_end(more);                                                                                          \
		return n;                                                                                              \
	}                                                                                                              \
	EXPORT int fname(FILE *f, const text *format, ...)                                                             \
	{                                                                                                              \
		va_list more;                                                                                          \
		int n;                                                                                                 \
                                                                                                                       \
		va_start(more, format);                                                                                \
		n = vfname(f, format, more);                                                                           \
		va_end(more);                                                                                          \
		return n;                                                                                              \
	}

SCANF(scanf, fscanf, vfscanf, char)
SCANF(__isoc99_scanf, __isoc99_fscanf, __isoc99_vfscanf, char)
SCANF(__isoc23_scanf, __isoc23_fscanf, __isoc23_vfscanf, char)
SCANF(wscanf, fwscanf, vfwscanf, wchar_t)
SCANF(__isoc99_wscanf, __isoc99_fwscanf, __isoc99_vfwscanf, wchar_t)
SCANF(__isoc23_wscanf, __isoc23_fwscanf, __isoc23_vfwscanf, wchar_t)

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* The flags of a mode, or -1. */
static int mode_flags(const char *mode)
{
	int flags;

	switch (*mode) {
	case 'r':
		flags = O_RDONLY;
		break;
	case 'w':
		flags = O_WRONLY | O_CREAT | O_TRUNC;
		break;
	case 'a':
		flags = O_WRONLY | O_CREAT | O_APPEND;
		break;
	default:
		return -1;
	}
	for (int i = 1; i < 7 && mode[i] && mode[i] != ','; i++)
		switch (mode[i]) {
		case '+':
			flags = (flags & ~O_ACCMODE) | O_RDWR;
			break;
		case 'x':
			flags |= O_EXCL;
			break;
		case 'e':
			flags |= O_CLOEXEC;
			break;
		default:
			break;
		}
	return flags;
}

/* A file's descriptor for a stream. That only appends begins at the end, as ftell() tells before anything is written. */
static long open_for_stream(struct where *w, int flags)
{
	long fd = op_open(w, flags, 0666);

	if (fd >= 0)
		fd_content((int)fd);
	if (fd >= 0 && (flags & O_APPEND) && (flags & O_ACCMODE) == O_WRONLY)
		sys_lseek((int)fd, 0, SEEK_END);
	return fd;
}

/* The name may be ours: its descriptor, or -1 and errno, or -2 and the native name. */
static long open_where(struct where *w, const char *path, int flags)
{
	int ours = path_find(w, AT_FDCWD, path);
	long fd = ours;

	if (ours == 0)
		return -2;
	if (ours > 0)
		fd = open_for_stream(w, flags);
	if (fd == SESSION_ELSEWHERE)
		return -2;
	if (fd >= 0)
		return fd;
	errno = (int)-fd;
	return -1;
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
	struct ofd of;
	FILE *f;

	fd_content(fd);
	stream_note_local(fdtab_word(fd));
	f = REAL(fdopen)(fd, mode);
	if (f && unlikely(ofd_find(&of, fd, KIND(STAGED))) && of.writable)
		stream_note(f);
	return f;
}
EXPORT_ALIAS(fdopen, _IO_fdopen)

static COLD FILE *fopen_slow(const char *path, const char *mode)
{
	struct where w;
	int flags = mode_flags(mode);
	FILE *f;
	long fd;

	if (flags < 0) {
		errno = EINVAL;
		return NULL;
	}
	fd = open_where(&w, path, flags);
	if (fd == -2)
		return REAL(fopen)(w.native, mode);
	if (fd < 0)
		return NULL;
	f = fdopen((int)fd, mode);
	if (!f) {
		int why = errno;

		process_close((int)fd);
		errno = why;
	}
	return f;
}

/* A stream over a descriptor that something inside libc opened: the number is not of ours, whatever it was before. */
EXPORT FILE *fopen(const char *path, const char *mode)
{
	if (likely(!path_maybe(AT_FDCWD, path)))
		return REAL(fopen)(path, mode);
	return fopen_slow(path, mode);
}
EXPORT_ALIAS(fopen, fopen64)
EXPORT_ALIAS(fopen, _IO_fopen)

/* ---- closing ----------------------------------------------------------------------------------------------------- */

/* The word of the descriptor under a stream that libc is about to close, taken out of the table. */
static uint32_t stream_take(FILE *f)
{
	int fd = shim.active && f ? fileno(f) : -1;
	uint32_t word = fd < 0 ? FD_NATIVE : fdtab_resolve(fd);

	if (fd == STDIN_FILENO)
		stream_give_back();
	if (word < FD_OURS || session_vfork_child())
		return FD_NATIVE;
	stream_drop(f);
	fdtab_set(fd, FD_NATIVE);
	return word;
}

EXPORT int fclose(FILE *f)
{
	uint32_t word;
	long rc, published;

	if (likely(!shim.active))
		return REAL(fclose)(f);
	word = stream_take(f);
	rc = REAL(fclose)(f);
	if (likely(word == FD_NATIVE))
		return (int)rc;
	published = process_closed(-1, word);
	if (rc || !published)
		return (int)rc;
	errno = (int)-published;
	return EOF;
}
EXPORT_ALIAS(fclose, _IO_fclose)

/*
 * freopen() keeps the FILE and its number. libc opens and closes inside; for a file of ours a native stand-in is opened, and
 * our descriptor is put over its number, which is where the stream reads and writes from then on.
 */
static FILE *freopen_ours(long fd, const char *mode, FILE *f)
{
	char plain[8] = {mode[0], strchr(mode, '+') ? '+' : '\0'};
	struct ofd of;
	FILE *again;
	int rc;

	again = REAL(freopen)("/dev/null", plain, f);
	if (again) {
		rc = process_dup3((int)fd, fileno(again), strchr(mode, 'e') ? O_CLOEXEC : 0, false);
		if (rc >= 0 && ofd_find(&of, rc, KIND(STAGED)) && of.writable)
			stream_note(again);
		stream_note_local(fdtab_word(rc));
		if (rc >= 0 && plain[0] == 'a' && !plain[1])
			fseeko(again, 0, SEEK_END); /* libc has looked for it in the stand-in */
		if (rc < 0) {
			REAL(fclose)(again);
			errno = -rc;
			again = NULL;
		}
	}
	process_close((int)fd);
	return again;
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *f)
{
	struct where w;
	uint32_t word;
	FILE *again;
	long fd = -2;
	int flags;

	if (likely(!shim.active))
		return REAL(freopen)(path, mode, f);
	flags = mode_flags(mode);
	if (flags >= 0 && path_maybe(AT_FDCWD, path)) {
		fflush(f);
		fd = open_where(&w, path, flags);
		path = fd == -2 ? w.native : path;
	} else if (!path && fdtab_word(fileno(f)) != FD_NATIVE) {
		struct ofd of;

		if (ofd_find(&of, fileno(f), ANY_KIND)) { /* the same file in another mode */
			fflush(f);
			w.record = of.record;
			w.fd = of.fd;
			w.end = PATH_NAME;
			fd = record_path(of.rec, w.path) ?: open_for_stream(&w, flags & ~(O_CREAT | O_EXCL));
			if (fd < 0) {
				errno = (int)-fd;
				fd = -1;
			}
		}
	}
	word = stream_take(f);
	if (fd == -1) {
		int why = errno;

		REAL(fclose)(f);
		process_closed(-1, word);
		errno = why;
		return NULL;
	}
	again = fd >= 0 ? freopen_ours(fd, mode, f) : REAL(freopen)(path, mode, f);
	process_closed(-1, word);
	return again;
}
EXPORT_ALIAS(freopen, freopen64)

EXPORT FILE *setmntent(const char *path, const char *mode)
{
	FILE *f;

	if (likely(!path_maybe(AT_FDCWD, path)))
		return REAL(setmntent)(path, mode);
	f = fopen(path, mode);
	if (f)
		__fsetlocking(f, FSETLOCKING_BYCALLER);
	return f;
}
EXPORT_ALIAS(setmntent, __setmntent)

/* ---- temporary files: the names are made here, the rest is open() and mkdir() ------------------------------------ */

#define NAME_TRIES 1000

static int name_fill(char *six)
{
	static const char letters[62] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	unsigned char dice[6];
	long n = sys3(SYS_getrandom, dice, sizeof dice, 0);

	if (n != sizeof dice)
		return n < 0 ? (int)n : -EIO;
	for (int i = 0; i < 6; i++)
		six[i] = letters[dice[i] % 62];
	return 0;
}

/* Where the six X of a template are, or NULL and EINVAL. */
static char *six_of(char *template, int suffix)
{
	size_t n = strlen(template);
	char *six;

	if (suffix < 0 || n < 6 + (size_t)suffix) {
		errno = EINVAL;
		return NULL;
	}
	six = template + n - 6 - (size_t)suffix;
	if (!strncmp(six, "XXXXXX", 6))
		return six;
	errno = EINVAL;
	return NULL;
}

static int make_temporary(char *template, int suffix, int flags, bool directory)
{
	char *six = six_of(template, suffix);
	int fd = -1, saved = errno;

	for (int i = 0; six && i < NAME_TRIES; i++) {
		if (name_fill(six))
			break;
		fd = directory ? mkdir(template, 0700)
			       : open(template, (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd >= 0)
			errno = saved;
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return fd;
}

EXPORT int mkostemps(char *template, int suffix, int flags)
{
	if (likely(!path_maybe(AT_FDCWD, template)))
		return REAL(mkostemps)(template, suffix, flags);
	return make_temporary(template, suffix, flags, false);
}
EXPORT_ALIAS(mkostemps, mkostemps64)

EXPORT int mkstemps(char *template, int suffix)
{
	return mkostemps(template, suffix, 0);
}
EXPORT_ALIAS(mkstemps, mkstemps64)

EXPORT int mkostemp(char *template, int flags)
{
	return mkostemps(template, 0, flags);
}
EXPORT_ALIAS(mkostemp, mkostemp64)

EXPORT int mkstemp(char *template)
{
	return mkostemps(template, 0, 0);
}
EXPORT_ALIAS(mkstemp, mkstemp64)

/* A name that nobody has, if nobody takes it: "" if there is none. */
EXPORT char *mktemp(char *template)
{
	struct stat st;
	char *six;

	if (likely(!path_maybe(AT_FDCWD, template)))
		return REAL(mktemp)(template);
	six = six_of(template, 0);
	for (int i = 0; six && i < NAME_TRIES && !name_fill(six); i++) {
		int saved = errno;

		if (!lstat(template, &st))
			continue;
		if (errno != ENOENT)
			break;
		errno = saved;
		return template;
	}
	template[0] = '\0';
	return template;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return path && !stat(path, &st) && S_ISDIR(st.st_mode);
}

EXPORT char *tempnam(const char *dir, const char *prefix)
{
	const char *set = secure_getenv("TMPDIR");
	char *name;

	if (likely(!path_maybe(AT_FDCWD, set) && !path_maybe(AT_FDCWD, dir)))
		return REAL(tempnam)(dir, prefix);
	dir = is_directory(set) ? set : is_directory(dir) ? dir : P_tmpdir;
	if (asprintf(&name, "%s/%.5sXXXXXX", dir, prefix && *prefix ? prefix : "file") < 0)
		return NULL;
	if (*mktemp(name))
		return name;
	free(name);
	return NULL;
}

EXPORT char *mkdtemp(char *template)
{
	if (likely(!path_maybe(AT_FDCWD, template)))
		return REAL(mkdtemp)(template);
	return make_temporary(template, 0, 0, true) < 0 ? NULL : template;
}
