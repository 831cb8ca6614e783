/*
 * client.h: the struct that owns everything below the public API. The keeper builds upon it.
 */
#ifndef SLIPSTREAM_CLIENT_CLIENT_H
#define SLIPSTREAM_CLIENT_CLIENT_H

#include "client/config.h"
#include "client/mount.h"

struct slip_client {
	struct config *config;
	struct mount_table *mounts;
};

#endif
