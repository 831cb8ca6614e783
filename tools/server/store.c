/*
 * store.c: the lock, the transactions, the ids.
 *
 * Ids come from memory; the database only knows an upper bound, raised in steps, so that a create is not slowed
 * and an id is never given twice: blocks, caches and open descriptors of the first owner may still be about.
 */
#include "tools/server/store.h"
#include "tools/server/log.h"
#include "proto/rpc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ID_STEP 1024

int fault_set(struct fault *fault, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	fault->code = code;
	return code;
}

int fault_of_db(struct fault *fault, int rc)
{
	if (rc == -ENOSPC)
		return fault_set(fault, RPC_RESOURCE_EXHAUSTED, "No space left for metadata");
	return fault_set(fault, RPC_INTERNAL, "Metadata cannot be read or written");
}

/* One number of the database, or its errno. */
static int read_number(struct db *db, int64_t *out, enum sql_id id, const char *format, const char *key)
{
	sqlite3_stmt *row;
	int rc = db_row(db, &row, id, format, key);

	if (rc <= 0)
		return rc ? rc : -ENOENT;
	*out = sqlite3_column_int64(row, 0);
	db_done(row);
	return 0;
}

int store_open(struct store *store, const char *path, char *why, size_t why_bytes)
{
	int rc;

	memset(store, 0, sizeof(*store));
	pthread_mutex_init(&store->lock, NULL);
	rc = db_open(path, &store->db, why, why_bytes);
	if (rc)
		return rc;
	rc = read_number(store->db, &store->next_container, SQL_SETTING_GET, "s", "next_container");
	if (!rc)
		rc = read_number(store->db, &store->op_seq, SQL_OP_NEWEST, "", NULL);
	if (!rc)
		rc = read_number(store->db, &store->job_seq, SQL_UFS_JOB_NEWEST, "", NULL);
	store->reserved_to = store->next_container;
	if (rc) {
		snprintf(why, why_bytes, "its settings cannot be read");
		store_close(store);
	}
	return rc;
}

void store_close(struct store *store)
{
	db_close(store->db);
	store->db = NULL;
	pthread_mutex_destroy(&store->lock);
}

void store_lock(struct store *store)
{
	pthread_mutex_lock(&store->lock);
}

void store_unlock(struct store *store)
{
	pthread_mutex_unlock(&store->lock);
}

int store_begin(struct store *store)
{
	return db_run(store->db, SQL_BEGIN, "");
}

int store_commit(struct store *store)
{
	int rc = db_run(store->db, SQL_COMMIT, "");

	if (rc)
		store_rollback(store);
	return rc;
}

void store_rollback(struct store *store)
{
	/* What the database held as reserved may be undone: reserve again, above all that was given. */
	store->reserved_to = store->next_container;
	if (db_in_transaction(store->db))
		db_run(store->db, SQL_ROLLBACK, "");
}

int store_new_id(struct store *store, int64_t *id)
{
	int rc;

	if (store->next_container > CONTAINER_MAX)
		return -ENOSPC;
	if (store->next_container >= store->reserved_to) {
		int64_t bound = store->next_container + ID_STEP;

		rc = db_run(store->db, SQL_SETTING_SET, "si", "next_container", bound);
		if (rc)
			return rc;
		store->reserved_to = bound;
	}
	*id = FILE_ID(store->next_container++);
	return 0;
}

bool store_id_was_given(const struct store *store, int64_t file_id)
{
	return file_id >> 24 < store->next_container;
}
