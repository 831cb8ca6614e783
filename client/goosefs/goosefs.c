#include "client/goosefs/goosefs.h"
#include "client/goosefs/names.h"

#include <errno.h>
#include <stdlib.h>

static void goosefs_close(struct backend *b)
{
	if (!b)
		return;
	workers_free(b->workers);
	master_free(b->master);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* Connects to nobody yet. */
static int goosefs_open(const struct config *config, const char *authority, struct backend **out)
{
	struct backend *b = calloc(1, sizeof *b);
	int rc;

	if (!b)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	b->config = config;
	b->rpc_timeout_ms = (unsigned)config_u64(config, CONFIG_RPC_TIMEOUT);
	b->chunk_size = config_i64(config, CONFIG_CHUNK_SIZE);
	b->short_circuit = config_bool(config, CONFIG_SHORT_CIRCUIT);
	rc = master_new(config, authority, &b->master);
	if (!rc)
		rc = workers_new(config, b->master, &b->workers);
	if (rc) {
		goosefs_close(b);
		return rc;
	}
	*out = b;
	return 0;
}

const struct backend_ops goosefs_backend = {
	.scheme = "goosefs",
	.open = goosefs_open,
	.close = goosefs_close,
	.stat = goosefs_stat,
	.lookup = goosefs_lookup,
	.release = goosefs_release,
	.list = goosefs_list,
	.mkdir = goosefs_mkdir,
	.remove = goosefs_remove,
	.rename = goosefs_rename,
	.symlink = goosefs_symlink,
	.readlink = goosefs_readlink,
	.set_attribute = goosefs_set_attribute,
	.capacity = goosefs_capacity,
	.reader_open = block_reader_open,
	.reader_read = block_reader_read,
	.reader_lend = block_reader_lend,
	.reader_close = block_reader_close,
	.open_local = local_block_open,
	.create = block_writer_create,
	.resume = block_writer_resume,
	.writer_write = block_writer_write,
	.writer_complete = block_writer_complete,
	.writer_abort = block_writer_abort,
	.writer_free = block_writer_free,
};
