/*
 * write_type.h: how new files are written: what the settings of this session say, else what the directory they are made in says
 * (its attribute innerWriteType, spec goosefs 10.2), else what the cluster's configuration says.
 *
 * Threads: any.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_WRITE_TYPE_H
#define SLIPSTREAM_CLIENT_GOOSEFS_WRITE_TYPE_H

#include "client/goosefs/goosefs.h"

/* Of what is to be made at path: one of enum gfs_write_type. May ask the master; what it said of a directory is believed as long as attributes are. */
int write_type_of(struct backend *, const char *path);

#endif
