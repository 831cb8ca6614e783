/*
 * opcache.c: a ring by sequence number. The tail is cut off now and then, not at every row: half a cache more on disk
 * costs less than a second write per mutation.
 */
#include "tools/server/opcache.h"

#include <stdio.h>

#define OPS_KEPT  2048
#define CUT_EVERY 256

static bool op_absent(struct gfs_op_id op)
{
	return !op.most && !op.least;
}

int opcache_find(struct store *store, struct gfs_op_id op, enum rpc_id id, struct fault *fault, int64_t *inode)
{
	sqlite3_stmt *row;
	int rc;

	if (op_absent(op))
		return 0;
	rc = db_row(store->db, &row, SQL_OP_GET, "iii", op.most, op.least, (int64_t)id);
	if (rc <= 0)
		return rc;
	fault_set(fault, sqlite3_column_int(row, 0), "%s", (const char *)sqlite3_column_text(row, 1));
	*inode = sqlite3_column_int64(row, 2);
	db_done(row);
	return 1;
}

int opcache_add(struct store *store, struct gfs_op_id op, enum rpc_id id, const struct fault *fault, int64_t inode)
{
	int rc;

	if (op_absent(op))
		return 0;
	rc = db_run(store->db, SQL_OP_ADD, "iiiiisi", store->op_seq + 1, op.most, op.least, (int64_t)id,
		    (int64_t)fault->code, fault->text, inode);
	if (rc)
		return rc;
	store->op_seq++;
	if (store->op_seq % CUT_EVERY)
		return 0;
	return db_run(store->db, SQL_OP_FORGET, "i", store->op_seq - OPS_KEPT);
}
