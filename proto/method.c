#include "proto/method.h"

#include <string.h>

/* Replies that are bodies have no struct. */
struct body {
	char none;
};
#define BYTES(reply) (sizeof(struct reply) > sizeof(struct body) ? sizeof(struct reply) : 0)

const struct method methods[RPC_COUNT] = {
#define RPC(ID, service, name, kind, request, reply, deadline, again)                                                  \
	{"/" service "/" name, METHOD_##kind, BYTES(reply), deadline},
#include "proto/rpc.def"
#undef RPC
};

enum rpc_id method_lookup(grpc_slice path)
{
	size_t n = GRPC_SLICE_LENGTH(path);
	int id = 0;

	while (id < RPC_COUNT &&
	       (strlen(methods[id].path) != n || memcmp(methods[id].path, GRPC_SLICE_START_PTR(path), n)))
		id++;
	return (enum rpc_id)id;
}

unsigned method_deadline_ms(enum rpc_id id, unsigned cap_ms)
{
	unsigned deadline_ms = methods[id].deadline_ms;

	return cap_ms && (!deadline_ms || cap_ms < deadline_ms) ? cap_ms : deadline_ms;
}
