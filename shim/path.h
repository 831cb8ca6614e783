/*
 * path.h: is this path ours, and what is it called there?
 *
 * Threads: any. Async-signal-safe. Without system calls unless the answer may be yes.
 */
#ifndef SLIPSTREAM_SHIM_PATH_H
#define SLIPSTREAM_SHIM_PATH_H

#include "shim/prefix.h"

struct where {
	const char *native; /* not ours: what libc is to be called with */
	int record;         /* not -1: a descriptor of ours is meant (/dev/fd/N, AT_EMPTY_PATH), path is its name */
	int fd;             /* of that record, if it is open here */
	enum path_end end;
	char path[PATH_MAX];
};

/* Could a path that does not begin with a slash be ours? False is certain. */
bool path_relative(int dirfd, const char *path);

/*
 * A program of ours runs from a memfd, and this is the beginning of that one's name; the program's follows. So whoever reads the
 * link /proc/N/exe can tell.
 */
#define IMAGE_NAME  "slipstream:"
#define IMAGE_BYTES 249 /* of a memfd's name, at most */

/* Is that link meant? All but the name it leads to is the kernel's. */
static inline bool path_is_image(const struct where *w)
{
	return w->end == PATH_LINK && w->record < 0;
}

/*
 * Nothing is mapped in the first page, nor in the last, where MAP_FAILED and other errors point: the kernel will say EFAULT. libc's
 * headers promise that no path is NULL; its callers do not. To know it of any other address would take a system call.
 */
static inline bool path_is_text(const char *path)
{
	__asm__("" : "+r"(path));
	return (uintptr_t)path - 4096 < -(uintptr_t)8192;
}

/* The first test of every wrapper with a path. */
static inline bool path_maybe(int dirfd, const char *path)
{
	return likely(shim.active && path_is_text(path)) &&
	       unlikely(likely(path[0] == '/') ? prefix_absolute(path) : path_relative(dirfd, path));
}

/* 1: ours, w says where; 0: libc's, as w->native; -errno. */
int path_find(struct where *w, int dirfd, const char *path);

/* As path_find; an empty path means dirfd itself (AT_EMPTY_PATH). */
int path_find_empty(struct where *w, int dirfd, const char *path, int flags);

/*
 * libc failed, why says how: perhaps, in a session, because a real symbolic link on the way points into a prefix. Looked for only then, so that it costs
 * nobody else anything. True: w says where it leads.
 */
bool path_missed(struct where *w, int dirfd, const char *path, int why);

/* The working directory's record, or -1 when it is a real one. */
int cwd_record(void);
/* It changed; asked anew at the next use. */
void cwd_changed(void);

/*
 * With a client in each program (SLIPSTREAM_CLIENT=process) the next one has records of its own. SLIPSTREAM_CWD tells it what its
 * working directory, here dirfd, is called: "device:inode:path", "" if it is none of ours. Returns out, for which there is CWD_ROOM.
 */
#define CWD_TEXT (PATH_MAX + 48)
#define CWD_ROOM (shim.inside ? CWD_TEXT : 1)
const char *cwd_tell(char *out, int dirfd);
/* What cwd_tell() said, in the program before, or in a session that was ended since: asked when a relative name is used. */
void cwd_told(const char *text);

#endif
