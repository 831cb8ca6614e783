/*
 * names.h: the namespace calls of the vtable (backend.h says what they promise).
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_NAMES_H
#define SLIPSTREAM_CLIENT_GOOSEFS_NAMES_H

#include "client/goosefs/goosefs.h"

int goosefs_stat(struct backend *, const char *path, struct slip_stat *);
int goosefs_lookup(struct backend *, const char *path, struct backend_file *out);
void goosefs_release(struct backend *, struct backend_file *);
int goosefs_list(struct backend *, const char *path, slip_list_fn *each, void *context);
int goosefs_mkdir(struct backend *, const char *path, uint32_t mode);
int goosefs_rename(struct backend *, const char *from, const char *to);
int goosefs_symlink(struct backend *, const char *target, const char *path);
int goosefs_readlink(struct backend *, const char *path, char *buf, size_t size);
int goosefs_set_attribute(struct backend *, const char *path, const uint32_t *mode, const char *owner,
			  const char *group);
int goosefs_capacity(struct backend *, int64_t *total_bytes, int64_t *used_bytes);

#endif
