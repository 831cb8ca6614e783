/*
 * message_worker.c: workers, as the master knows them, and metrics.
 */
#include "proto/message_codec.h"

#include "goosefs/metric.pb-c.h"
#include "goosefs/worker_manager.pb-c.h"

#include <errno.h>

/* ---- GetWorkerInfoList ------------------------------------------------------------------------------------------- */

static void worker_fill(GRPC(Block__WorkerInfo) * out, GRPC(WorkerNetAddress) * address, const struct gfs_worker *in)
{
	*out = (GRPC(Block__WorkerInfo))GRPC_INIT(BLOCK__WORKER_INFO);
	*address = (GRPC(WorkerNetAddress))GRPC_INIT(WORKER_NET_ADDRESS);
	address->host = sent(in->host);
	address->domainsocketpath = sent(in->domain_socket);
	SET(address, rpcport, in->rpc_port);
	out->address = address;
	if (in->has_id)
		SET(out, id, in->id);
	SET(out, state, (GRPC(WorkerStatus))in->state);
	SET(out, capacitybytes, in->capacity_bytes);
	SET(out, usedbytes, in->used_bytes);
	SET(out, persistusedbytes, in->persist_used_bytes);
	if (in->has_virtual_nodes)
		SET(out, virtualnodenum, in->virtual_nodes);
	SET(out, alive, in->alive);
	SET(out, forbidwrite, in->forbid_write);
}

int worker_list_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_worker_list *in = message;
	GRPC(Block__GetWorkerInfoListPResponse) wire = GRPC_INIT(BLOCK__GET_WORKER_INFO_LIST_PRESPONSE);
	GRPC(Block__WorkerInfo) *workers = arena_array(arena, in->n, sizeof(*workers));
	GRPC(WorkerNetAddress) *addresses = arena_array(arena, in->n, sizeof(*addresses));

	if (in->n && (!workers || !addresses))
		return -ENOMEM;
	for (size_t i = 0; i < in->n; i++)
		worker_fill(&workers[i], &addresses[i], &in->workers[i]);
	wire.workerinfos = arena_pointers(arena, workers, in->n, sizeof(*workers));
	wire.n_workerinfos = in->n;
	return emit(&wire, arena, out);
}

/* Ports and virtual nodes are the ring's to judge: one odd worker should not cost us the others. */
static int worker_read(const GRPC(Block__WorkerInfo) * in, struct gfs_worker *out)
{
	const GRPC(WorkerNetAddress) *address = in->address;

	*out = (struct gfs_worker){
		.id = in->id,
		.has_id = in->has_id,
		.host = received(address ? address->host : NULL),
		.rpc_port = address ? address->rpcport : 0,
		.domain_socket = received(address ? address->domainsocketpath : NULL),
		.capacity_bytes = in->capacitybytes,
		.used_bytes = in->usedbytes,
		.persist_used_bytes = in->persistusedbytes,
		.virtual_nodes = in->virtualnodenum,
		.has_virtual_nodes = in->has_virtualnodenum,
		.state = (int)in->state,
		.alive = in->alive,
		.forbid_write = in->forbidwrite,
	};
	return REFUSE_NEGATIVES({"WorkerInfo.id", in->id}, {"WorkerInfo.capacityBytes", in->capacitybytes},
				{"WorkerInfo.usedBytes", in->usedbytes},
				{"WorkerInfo.persistUsedBytes", in->persistusedbytes});
}

int worker_list_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(Block__GetWorkerInfoListPResponse) *in = wire;
	struct gfs_worker_list *out = message;
	struct gfs_worker *workers = arena_array(arena, in->n_workerinfos, sizeof(*workers));
	int rc = 0;

	if (in->n_workerinfos && !workers)
		return arena_failure(arena);
	for (size_t i = 0; !rc && i < in->n_workerinfos; i++)
		rc = worker_read(in->workerinfos[i], &workers[i]);
	out->workers = workers;
	out->n = in->n_workerinfos;
	return rc;
}

/* ---- MetricsHeartbeat -------------------------------------------------------------------------------------------- */

static void metric_fill(GRPC(Metric) * out, const struct gfs_metric *in)
{
	*out = (GRPC(Metric))GRPC_INIT(METRIC);
	out->instance = sent(in->instance);
	out->source = sent(in->source);
	out->name = sent(in->name);
	SET(out, value, in->value);
	out->metrictype = (GRPC(MetricType))in->type;
}

/* All of one client: its metrics have one source (spec goosefs 18.2). */
int metrics_heartbeat_pack(const void *message, struct arena *arena, grpc_slice *out)
{
	const struct gfs_metrics_heartbeat *in = message;
	GRPC(Metric__MetricsHeartbeatPRequest) wire = GRPC_INIT(METRIC__METRICS_HEARTBEAT_PREQUEST);
	GRPC(Metric__MetricsHeartbeatPOptions) options = GRPC_INIT(METRIC__METRICS_HEARTBEAT_POPTIONS);
	GRPC(Metric__ClientMetrics) client = GRPC_INIT(METRIC__CLIENT_METRICS), *clients[] = {&client};
	GRPC(Metric) *metrics = arena_array(arena, in->n, sizeof(*metrics));

	for (size_t i = 0; metrics && i < in->n; i++)
		metric_fill(&metrics[i], &in->metrics[i]);
	client.source = sent(in->n ? in->metrics[0].source : NULL);
	client.metrics = metrics ? arena_pointers(arena, metrics, in->n, sizeof(*metrics)) : NULL;
	client.n_metrics = in->n;
	options.clientmetrics = clients;
	options.n_clientmetrics = in->n ? 1 : 0;
	wire.options = &options;
	return emit(&wire, arena, out);
}

static struct gfs_metric metric_read(const GRPC(Metric) * in)
{
	return (struct gfs_metric){
		.instance = received(in->instance),
		.source = received(in->source),
		.name = received(in->name),
		.value = in->value,
		.type = (int)in->metrictype,
	};
}

int metrics_heartbeat_unpack(const void *wire, void *message, struct arena *arena)
{
	const GRPC(Metric__MetricsHeartbeatPRequest) *in = wire;
	const GRPC(Metric__MetricsHeartbeatPOptions) *options = in->options;
	struct gfs_metrics_heartbeat *out = message;
	size_t nclients = options ? options->n_clientmetrics : 0, n = 0;
	struct gfs_metric *metrics;

	for (size_t i = 0; i < nclients; i++)
		n += options->clientmetrics[i]->n_metrics;
	metrics = arena_array(arena, n, sizeof(*metrics));
	if (n && !metrics)
		return arena_failure(arena);
	out->metrics = metrics;
	for (size_t i = 0; i < nclients; i++)
		for (size_t j = 0; j < options->clientmetrics[i]->n_metrics; j++)
			metrics[out->n++] = metric_read(options->clientmetrics[i]->metrics[j]);
	return 0;
}
