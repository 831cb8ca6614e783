/*
 * op.h: the handlers. Each answers as a system call does: a result or -errno. Those with a struct where may answer
 * SESSION_ELSEWHERE: w->native is then the ordinary path to use instead.
 */
#ifndef SLIPSTREAM_SHIM_OP_H
#define SLIPSTREAM_SHIM_OP_H

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <utime.h>
#include <sys/time.h>

#include "shim/ofd.h"
#include "shim/path.h"
#include "shim/session.h"

struct statx;

/* file.c: bytes */
long op_open(struct where *w, int flags, mode_t mode);
long op_read(struct ofd *of, void *buf, size_t n);
long op_pread(struct ofd *of, void *buf, size_t n, off_t off);
long op_readv(struct ofd *of, const struct iovec *iov, int count);
long op_preadv(struct ofd *of, const struct iovec *iov, int count, off_t off);
long op_preadv2(struct ofd *of, const struct iovec *iov, int count, off_t off, int flags);
long op_lseek(struct ofd *of, off_t off, int whence);
long op_sync(struct ofd *of);
long op_syncfs(struct ofd *of);
long op_allocate(struct ofd *of, off_t off, off_t n);
long op_hint(struct ofd *of, off_t off, off_t n, int advice);
long op_truncate(struct where *w, off_t length);
/* Turn a RANGE descriptor into a content-backed one, under its number, at its offset. 0 or -errno. */
long ofd_content(struct ofd *of);
/* The same for a number, if it is one. */
void fd_content(int fd);
void fd_lockable(int fd, bool shared);
/* For each descriptor a list of aio requests reads from. */
struct aiocb;
void aio_content(struct aiocb *const list[], int count);
/* Note a descriptor the keeper sent. */
long fd_received(struct call *c, int flags);

/* attr.c: attributes */
void attr_stat(const struct session_attr *attr, struct stat *st);
int64_t ofd_size(struct ofd *of); /* or -errno */
/* Was its file opened for writing since? Then its record tells of the old content. */
bool ofd_follows(const struct ofd *of);
long op_stat(struct where *w, struct stat *st);
long op_lstat(struct where *w, struct stat *st);
long op_fstat(struct ofd *of, struct stat *st);
long op_fstatat(struct where *w, struct stat *st, int flags);
long op_statx(struct where *w, int flags, unsigned mask, struct statx *stx);
long op_access(struct where *w, int mode);
long op_euidaccess(struct where *w, int mode);
long op_faccessat(struct where *w, int mode, int flags);
long op_chmod(struct where *w, mode_t mode);
long op_lchmod(struct where *w, mode_t mode);
long op_fchmodat(struct where *w, mode_t mode, int flags);
long op_fchmod(struct ofd *of, mode_t mode);
long op_chown(struct where *w, uid_t uid, gid_t gid);
long op_lchown(struct where *w, uid_t uid, gid_t gid);
long op_fchownat(struct where *w, uid_t uid, gid_t gid, int flags);
long op_fchown(struct ofd *of, uid_t uid, gid_t gid);
long op_utimensat(struct where *w, const struct timespec *times, int flags);
long op_futimens(struct ofd *of, const struct timespec *times);
long op_utimes(struct where *w, const struct timeval *times);
long op_lutimes(struct where *w, const struct timeval *times);
long op_futimes(struct ofd *of, const struct timeval *times);
long op_utime(struct where *w, const struct utimbuf *times);
long op_statfs(struct where *w, struct statfs *out);
long op_fstatfs(struct ofd *of, struct statfs *out);
long op_statvfs(struct where *w, struct statvfs *out);
long op_fstatvfs(struct ofd *of, struct statvfs *out);
long op_pathconf(struct where *w, int name);
long op_ftok(struct where *w, int project);
long op_no_attribute(struct where *w);
long op_no_attribute_link(struct where *w);
long op_no_attributes(struct where *w);
long op_no_attributes_link(struct where *w);
long op_fpathconf(struct ofd *of, int name);

/* name.c: names */
/* "name/." is none to make, remove or move: -why, if it is there. */
long op_dot(struct where *w, int why);
long op_mkdir(struct where *w, mode_t mode);
long op_rmdir(struct where *w);
long op_unlink(struct where *w);
long op_unlinkat(struct where *w, int flags);
long op_remove(struct where *w);
long op_readlink(struct where *w, char *out, size_t n);
long op_mknod(struct where *w, mode_t mode, dev_t dev);
long op_mkfifo(struct where *w, mode_t mode);
long op_chdir(struct where *w);
long op_fchdir(struct ofd *of);

/* dir.c */
long op_getdents64(struct ofd *of, void *buf, size_t n);

/* exec.c: all of fd in a memfd that can be executed: a read-only descriptor of it, or -errno. */
int image_copy(int fd, const char *named);

/* What a file of ours does not do: one reason per errno. */
long op_eopnotsupp(void);
long op_eperm(void);
long op_einval(void);
long op_nothing(void);

#endif
