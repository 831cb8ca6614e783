/*
 * channel.h: what calls need of their channel.
 */
#ifndef SLIPSTREAM_PROTO_CHANNEL_H
#define SLIPSTREAM_PROTO_CHANNEL_H

#include "proto/exchange.h"
#include "proto/rpc.h"

#include <pthread.h>

struct rpc_channel {
	atomic_uint refs;
	grpc_channel *channel;
	grpc_slice id; /* the "channel-id" of every call */
	unsigned rpc_timeout_ms;

	bool has_session;
	atomic_bool dead;
	pthread_mutex_t session_lock; /* guards session */
	struct exchange session;      /* the handshake's call */
};

#endif
