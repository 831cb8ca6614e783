/*
 * path.c: is this path ours?
 *
 * A look at its bytes clears nearly every path of a program (prefix.c), unless it starts from a descriptor or a working
 * directory of ours.
 * A symbolic link on the real system that points into a prefix is looked for only after the real call failed (wrap.c).
 */
#include "shim/path.h"
#include "shim/op.h"
#include "shim/session.h"
#include "shim/sys.h"

#include <string.h>

/* ---- the working directory ----------------------------------------------------------------------------------------- */

#define CWD_UNKNOWN (-2)
#define CWD_REAL    (-1)

static _Atomic int cwd = CWD_UNKNOWN; /* or a record */

void cwd_changed(void)
{
	atomic_store_explicit(&cwd, CWD_UNKNOWN, memory_order_release);
}

/* "device:inode:" of a removed directory: no other has both while this is somebody's working directory. */
#define CWD_PROOF 48

static char told[CWD_TEXT];

static unsigned cwd_proof(char out[CWD_PROOF], uint64_t dev, uint64_t ino)
{
	unsigned n = sys_number(out, dev);

	out[n++] = ':';
	n += sys_number(out + n, ino);
	out[n++] = ':';
	return n;
}

void cwd_told(const char *text)
{
	size_t n = strlen(text);

	if (n < sizeof told)
		memcpy(told, text, n + 1);
	cwd_changed();
}

/* What of the text told is a path, if it is about this directory; else NULL. */
static const char *cwd_told_of(const struct stat *st)
{
	char proof[CWD_PROOF];
	unsigned n = cwd_proof(proof, st->st_dev, st->st_ino);

	return st->st_nlink || strncmp(told, proof, n) ? NULL : told + n;
}

const char *cwd_tell(char *out, int dirfd)
{
	struct session_record *rec = NULL;
	struct stat st;
	struct ofd of;
	unsigned n;

	out[0] = '\0';
	if (!shim.inside)
		return out;
	if (dirfd != AT_FDCWD)
		rec = ofd_find(&of, dirfd, KIND(DIRECTORY) | KIND(PATH)) ? of.rec : NULL;
	else if (*told && !sys_fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH) && cwd_told_of(&st))
		return memcpy(out, told, strlen(told) + 1);
	else
		rec = record_get(cwd_record());
	if (!rec || atomic_load(&rec->deleted))
		return out;
	n = cwd_proof(out, rec->kernel_dev, rec->kernel_ino);
	if (record_path(rec, out + n))
		out[0] = '\0';
	return out;
}

/* The working directory is one of ours, but of another session: into the same one of this session. */
static COLD int cwd_enter(const char *path)
{
	struct where w;
	struct stat st;
	long rc;

	w.record = w.fd = -1;
	w.end = PATH_NAME;
	memcpy(w.path, path, strlen(path) + 1);
	rc = op_chdir(&w);
	if (!rc && !sys_fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH))
		return record_lookup(st.st_dev, st.st_ino);
	shim_log("cannot enter the working directory", path, rc);
	return CWD_REAL;
}

/* A working directory of ours is a removed directory: nothing else of the kernel's has no link. */
static int cwd_ask(void)
{
	struct stat st;
	int record;

	/* Not ".", which takes a permission that another user has not got. */
	if (sys_fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH) || st.st_nlink)
		return CWD_REAL;
	record = record_lookup(st.st_dev, st.st_ino);
	return record < 0 && cwd_told_of(&st) ? cwd_enter(cwd_told_of(&st)) : record;
}

int cwd_record(void)
{
	int known = atomic_load_explicit(&cwd, memory_order_acquire);

	if (known != CWD_UNKNOWN)
		return known;
	known = cwd_ask();
	if (!session_vfork_child())
		atomic_store_explicit(&cwd, known, memory_order_release);
	return known;
}

/* ---- could it be ours? --------------------------------------------------------------------------------------------- */

/* In a directory of ours every name is; else the text says it. */
bool path_relative(int dirfd, const char *path)
{
	if (dirfd == AT_FDCWD ? cwd_record() != CWD_REAL : fdtab_word(dirfd) != FD_NATIVE)
		return path[0] != '\0'; /* ENOENT, from libc */
	return prefix_relative(path);
}

/* ---- names of descriptors ------------------------------------------------------------------------------------------------ */

static const char *number_parse(const char *text, int *out)
{
	long v = 0;

	if (*text < '0' || *text > '9')
		return NULL;
	while (*text >= '0' && *text <= '9' && v < 10000000)
		v = v * 10 + (*text++ - '0');
	*out = (int)v;
	return *text == '\0' || *text == '/' ? text : NULL;
}

/* "/proc/self/rest" and its other spellings, or another process's: rest. */
static const char *proc_entry(const char *path, bool *self)
{
	static const char *const spelt[] = {"/proc/self/", "/proc/thread-self/"};
	int pid;

	*self = true;
	for (unsigned i = 0; i < 2; i++)
		if (!strncmp(path, spelt[i], strlen(spelt[i])))
			return path + strlen(spelt[i]);
	if (strncmp(path, "/proc/", 6))
		return NULL;
	path = number_parse(path + 6, &pid);
	*self = path && pid == (int)sys0(SYS_getpid);
	return path && *path == '/' ? path + 1 : NULL;
}

/* "/dev/fd/3/rest": 3, and what follows; NULL if path names no descriptor of this process. */
static const char *fd_name(const char *path, int *fd)
{
	static const char *const std[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
	const char *rest;
	bool self;

	for (int i = 0; i < 3; i++)
		if (!strcmp(path, std[i])) {
			*fd = i;
			return "";
		}
	if (!strncmp(path, "/dev/fd/", 8))
		return number_parse(path + 8, fd);
	rest = proc_entry(path, &self);
	return rest && self && !strncmp(rest, "fd/", 3) ? number_parse(rest + 3, fd) : NULL;
}

/* "fd/3/rest" or "cwd/rest" in /proc/N: rest; NULL for what is no link to a file. */
static const char *proc_link(const char *entry)
{
	int fd;

	if (!strncmp(entry, "fd/", 3))
		return number_parse(entry + 3, &fd);
	return !strncmp(entry, "cwd", 3) && (entry[3] == '/' || !entry[3]) ? entry + 3 : NULL;
}

/* The record of what another process has open, or works in. */
static int proc_record(struct where *w, const char *path, const char *rest)
{
	struct stat st;

	memcpy(w->path, path, (size_t)(rest - path));
	w->path[rest - path] = '\0';
	if (sys_fstatat(AT_FDCWD, w->path, &st, 0) || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return -1;
	return record_lookup(st.st_dev, st.st_ino);
}

/* What runs in the process whose /proc/N/exe this is. */
static int find_image(struct where *w, const char *path)
{
	static const char before[] = "/memfd:" IMAGE_NAME, after[] = " (deleted)";
	long n = sys_readlink(path, w->path, sizeof w->path - 1) - (long)(sizeof after - 1);

	if (n <= (long)(sizeof before - 1) || memcmp(w->path, before, sizeof before - 1))
		return 0;
	n -= (long)(sizeof before - 1);
	memmove(w->path, w->path + sizeof before - 1, (size_t)n);
	w->path[n] = '\0';
	w->end = PATH_LINK;
	return prefix_of(w->path) != NULL;
}

/* ---- all of it ---------------------------------------------------------------------------------------------------------------- */

/* In a directory that was removed nothing is found, whatever has its name now; its parent still is. */
static int record_base(char *base, struct session_record *rec, const char *path)
{
	if (rec && atomic_load(&rec->deleted) && strncmp(path, "..", 2))
		return -ENOENT;
	return record_path(rec, base) ?: 1;
}

/* The absolute name of what the relative path starts from. 1: of ours; 0: of the kernel's. */
static int find_base(char *base, int dirfd, const char *path)
{
	char link[SYS_FD_NAME];
	struct ofd of;
	int record = dirfd == AT_FDCWD ? cwd_record() : -1;
	long n;

	if (dirfd != AT_FDCWD && ofd_find(&of, dirfd, ANY_KIND)) {
		if (!S_ISDIR(of.rec->attr.mode))
			return -ENOTDIR;
		record = of.record;
	}
	if (record >= 0)
		return record_base(base, record_get(record), path);
	if (dirfd == AT_FDCWD) {
		n = sys2(SYS_getcwd, base, PATH_MAX);
		return n < 0 || base[0] != '/' ? -ENOENT : 0;
	}
	if (dirfd < 0)
		return -EBADF;
	n = sys_readlink(sys_fd_name(link, dirfd), base, PATH_MAX - 1);
	if (n <= 0)
		return n < 0 ? (int)n : -ENOENT;
	base[n] = '\0';
	return base[0] == '/' ? 0 : -ENOTDIR;
}

/* A relative path; w->path is what it starts from, and ours says whose that is. */
static int find_below(struct where *w, int ours, const char *path)
{
	bool through = false;
	int rc = prefix_join(w->path, w->path, path, &w->end, &through);

	if (rc)
		return ours ? rc : 0;
	if (prefix_of(w->path))
		return 1;
	if (ours || through)
		w->native = w->path;
	return 0;
}

/* By way of a link of the kernel's to something of ours; rest is what follows it. */
static int find_linked(struct where *w, int record, int fd, const char *rest)
{
	struct session_record *rec = record_get(record);
	const char *name = rest + strspn(rest, "/");
	int rc;

	if (*rest && rec && !S_ISDIR(rec->attr.mode))
		return -ENOTDIR;
	if (*name) {
		rc = record_base(w->path, rec, name);
		return rc < 0 ? rc : find_below(w, rc, name);
	}
	w->record = record;
	w->fd = fd;
	w->end = *rest ? PATH_SLASH : PATH_LINK;
	return record_path(rec, w->path) ?: 1;
}

/* What a name in /dev or /proc leads to; 0: nothing of ours. */
static int find_link(struct where *w, const char *path)
{
	const char *entry, *rest;
	struct ofd of;
	int fd, record;
	bool self;

	rest = fd_name(path, &fd);
	if (rest)
		return ofd_find(&of, fd, ANY_KIND) ? find_linked(w, of.record, fd, rest) : 0;
	entry = proc_entry(path, &self);
	if (!entry)
		return 0;
	if (!strcmp(entry, "exe"))
		return find_image(w, path);
	rest = proc_link(entry);
	if (!rest)
		return 0;
	record = self ? cwd_record() : proc_record(w, path, rest);
	return record >= 0 ? find_linked(w, record, -1, rest) : 0;
}

static int find_absolute(struct where *w, const char *path)
{
	bool through = false;
	int rc = path[1] == 'd' || path[1] == 'p' ? find_link(w, path) : 0;

	if (rc)
		return rc;
	w->end = PATH_NAME;
	rc = prefix_join(w->path, "/", path, &w->end, &through);
	if (rc)
		return through ? rc : 0;
	if (prefix_of(w->path))
		return 1;
	if (through)
		w->native = w->path; /* in and out again: the kernel cannot walk that */
	return 0;
}

int path_find(struct where *w, int dirfd, const char *path)
{
	int ours, rc;

	w->native = path;
	w->record = w->fd = -1;
	w->end = PATH_NAME;
	if (strnlen(path, PATH_MAX) == PATH_MAX) /* however short what it means */
		return -ENAMETOOLONG;
	if (path[0] == '/')
		return find_absolute(w, path);
	rc = prefix_of_url(path, w->path, &w->end);
	if (rc)
		return rc;
	if (path[0] == '\0')
		return 0;
	ours = find_base(w->path, dirfd, path);
	if (ours < 0)
		return ours == -ENOTDIR ? ours : 0; /* the kernel says it better */
	return find_below(w, ours, path);
}

int path_find_empty(struct where *w, int dirfd, const char *path, int flags)
{
	struct ofd of;
	int record;

	if ((path && path[0]) || !(flags & AT_EMPTY_PATH))
		return path ? path_find(w, dirfd, path) : 0;
	w->native = path;
	w->fd = w->record = -1;
	w->end = PATH_NAME;
	if (dirfd == AT_FDCWD) {
		record = cwd_record();
	} else {
		record = ofd_find(&of, dirfd, ANY_KIND) ? of.record : -1;
		w->fd = dirfd;
	}
	if (record < 0)
		return 0;
	w->record = record;
	return record_path(record_get(record), w->path) ?: 1;
}

/* The first end bytes of path are a link's name, as w->path says: where does that lead, with what follows? */
static COLD bool link_leads(struct where *w, int dirfd, const char *path, size_t end, size_t n)
{
	char target[PATH_MAX];
	long bytes = sys4(SYS_readlinkat, dirfd, w->path, target, sizeof target - 1);

	if (bytes <= 0 || target[0] != '/' || (size_t)bytes + (n - end) >= sizeof target)
		return false;
	memcpy(target + bytes, path + end, n - end + 1);
	return path_maybe(AT_FDCWD, target) && path_find(w, AT_FDCWD, target) > 0 && w->record < 0;
}

/* The longest part of the path that is a link, if it leads to us. */
bool path_missed(struct where *w, int dirfd, const char *path, int why)
{
	size_t n;

	__asm__("" : "+r"(path));
	if (!shim.active || (why != ENOENT && why != ENOTDIR) || !path)
		return false;
	n = strnlen(path, sizeof w->path);
	if (n >= sizeof w->path)
		return false;
	memcpy(w->path, path, n + 1);
	for (size_t end = n; end; end--) {
		char byte;
		long bytes;

		if (path[end] != '/' && path[end] != '\0')
			continue;
		w->path[end] = '\0';
		bytes = sys4(SYS_readlinkat, dirfd, w->path, &byte, 1);
		if (bytes == -EINVAL)
			return false; /* exists and is none: what is missing is below it */
		if (bytes > 0)
			return link_leads(w, dirfd, path, end, n);
	}
	return false;
}
