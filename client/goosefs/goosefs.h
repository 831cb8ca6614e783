/*
 * goosefs.h: what the parts of this backend share.
 */
#ifndef SLIPSTREAM_CLIENT_GOOSEFS_GOOSEFS_H
#define SLIPSTREAM_CLIENT_GOOSEFS_GOOSEFS_H

#include "client/backend.h"
#include "client/config.h"
#include "client/goosefs/file.h"
#include "client/goosefs/master.h"
#include "client/goosefs/worker.h"

#include <pthread.h>

enum { NOT_LOCAL_MAX = 64, NOT_LOCAL_MS = 5000, CANDIDATES_MAX = 64, TYPED_MAX = 8 };

struct backend {
	const struct config *config; /* not ours; outlives us */
	struct master *master;
	struct workers *workers;
	unsigned rpc_timeout_ms; /* also for the next bytes of a stream */
	int64_t chunk_size;

	pthread_mutex_t lock; /* guards what follows */

	/* blocks that lately had no usable local file */
	struct {
		int64_t block_id, until_ms;
	} not_local[NOT_LOCAL_MAX];
	unsigned not_local_next;
	bool short_circuit; /* off for good once a block file could not be opened for lack of permission */

	struct typed_directory { /* what directories said of files made in them: write_type.c */
		char path[512];
		int type;
		int64_t until_ms;
	} typed[TYPED_MAX];
	unsigned typed_next;
};

/* block_reader.c */
int block_reader_open(struct backend *, const struct backend_file *, struct backend_reader **out);
ssize_t block_reader_read(struct backend_reader *, void *buf, size_t n, int64_t off, bool sequential);
ssize_t block_reader_lend(struct backend_reader *, struct iovec *parts, unsigned *nparts, size_t n, int64_t off,
			  bool sequential);
void block_reader_close(struct backend_reader *);

/* Workers that may serve a block: those who have it, then those who should. At most max; 0 when there are none. */
unsigned block_candidates(struct backend *, const struct ring *, const struct backend_layout *, const struct segment *,
			  const struct ring_worker **out, unsigned max);

/* local_block.c */
int local_block_open(struct backend *, const struct backend_file *);

/* block_writer.c */
int block_writer_create(struct backend *, const char *path, uint32_t mode, struct backend_writer **out, uint64_t *id);
int block_writer_resume(struct backend *, const char *path, uint64_t id, struct backend_writer **out);
int block_writer_write(struct backend_writer *, const void *buf, size_t n,
		       int (*refill)(void *context, void *buf, size_t n, int64_t off), void *context);
int block_writer_complete(struct backend_writer *, const char *path);
void block_writer_abort(struct backend_writer *, bool remove_name);
void block_writer_free(struct backend_writer *);

/* names.c: calls that several parts make */
int goosefs_sayable(const char *name); /* 0, or -EILSEQ: a string of the protocol is UTF-8 */
int goosefs_fetch(struct backend *, const char *path, struct gfs_file_reply *reply); /* GetStatus; release the reply */
int goosefs_remove(struct backend *, const char *path, bool recursive);
int goosefs_discard(struct backend *, const char *path); /* an incomplete file of ours, or its copy */
int goosefs_forget(struct backend *, const char *path);  /* the name alone: what is in the under file system stays */
int goosefs_import(struct backend *, const char *path, struct gfs_file_reply *reply); /* GetStatus of what is there */

#endif
