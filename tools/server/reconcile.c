/*
 * reconcile.c: after a crash, metadata and block files may disagree by what was in flight.
 *
 * A file without a row: the commit was not acknowledged, or the removal was and the file is late. The inode tells: if
 * it is there the block counts (also of an incomplete file: a writer may come back), else it goes. A row without a
 * file, or of another length: only a power loss does that, or somebody's hands. The row goes, with a warning.
 */
#include "tools/server/worker.h"
#include "tools/server/log.h"
#include "tools/server/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* 1 with the length, 0, -errno. */
static int row_of_block(struct worker *worker, int64_t id, int64_t *bytes)
{
	sqlite3_stmt *row;
	int rc = db_row(worker->store->db, &row, SQL_BLOCK_GET, "ii", id, (int64_t)worker->id);

	if (rc <= 0)
		return rc;
	*bytes = sqlite3_column_int64(row, 0);
	db_done(row);
	return 1;
}

static int drop_block(struct worker *worker, int64_t id)
{
	int rc = db_run(worker->store->db, SQL_BLOCK_DELETE, "ii", id, (int64_t)worker->id);

	return rc ? rc : blocks_remove(&worker->blocks, id);
}

static int reconcile_file(void *context, int64_t id, int64_t bytes)
{
	struct worker *worker = context;
	struct inode inode;
	struct fault fault;
	int64_t expected;
	int rc = row_of_block(worker, id, &expected);

	if (rc < 0 || (rc && expected == bytes))
		return rc < 0 ? rc : 0;
	if (rc) {
		log_warn("block %" PRId64 " has %" PRId64 " bytes, not %" PRId64 ": removed", id, bytes, expected);
		return drop_block(worker, id);
	}
	if (tree_get(worker->store, FILE_OF_BLOCK(id), &inode, &fault))
		return fault.code == RPC_NOT_FOUND ? blocks_remove(&worker->blocks, id) : -EIO;
	return db_run(worker->store->db, SQL_BLOCK_SET, "iii", id, (int64_t)worker->id, bytes);
}

/* Up to 1000 rows after `last`; how many there were, or -errno. */
static int reconcile_rows(struct worker *worker, int64_t *last)
{
	int64_t ids[1000], bytes;
	sqlite3_stmt *row;
	int n = 0, rc = db_row(worker->store->db, &row, SQL_BLOCK_OF_WORKER, "ii", (int64_t)worker->id, *last);

	while (rc > 0) {
		ids[n++] = sqlite3_column_int64(row, 0);
		rc = db_next(worker->store->db, row);
	}
	for (int i = 0; !rc && i < n; i++) {
		*last = ids[i];
		if (blocks_has(&worker->blocks, ids[i], &bytes))
			continue;
		log_warn("block %" PRId64 " of worker %d is gone from the disk", ids[i], worker->id);
		rc = drop_block(worker, ids[i]);
	}
	return rc ? rc : n;
}

int worker_reconcile(struct worker *worker)
{
	int64_t last = 0;
	int rc = store_begin(worker->store);

	if (rc)
		return rc;
	rc = blocks_each(&worker->blocks, reconcile_file, worker);
	if (!rc)
		do
			rc = reconcile_rows(worker, &last);
		while (rc > 0);
	if (rc) {
		store_rollback(worker->store);
		return rc;
	}
	return store_commit(worker->store);
}
