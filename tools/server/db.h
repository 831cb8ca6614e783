/*
 * db.h: SQLite, as far as the server needs it: one connection, statements by name, short bindings.
 *
 * Threads: none of its own; store.h holds the one lock around it.
 */
#ifndef SLIPSTREAM_SERVER_DB_H
#define SLIPSTREAM_SERVER_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sqlite3.h>

#define INODE_COLUMNS                                                                                                  \
	"id, parent, name, type, owner, grp, mode, created, modified, accessed, completed, length, block_size, "       \
	"write_type, crc_type, crc_value, target, ufs, ufs_stamp, loaded"

enum sql_id {
#define SQL(ID, text) SQL_##ID,
#include "tools/server/sql.def"
#undef SQL
	SQL_COUNT
};

struct db;

/* Open or make the database; 0 or -errno, and why in words. */
int db_open(const char *path, struct db **, char *why, size_t why_bytes);
void db_close(struct db *);

/*
 * Bind the arguments by format: i int64_t, s string, t string and size_t length, n NULL.
 *
 * db_run   runs to the end. 0, -ENOSPC or -EIO (logged).
 * db_row   steps to the first row: 1 with *row to read and then db_done(), 0 without one, -errno.
 */
int db_run(struct db *, enum sql_id, const char *format, ...);
int db_row(struct db *, sqlite3_stmt **row, enum sql_id, const char *format, ...);
int db_next(struct db *, sqlite3_stmt *row); /* 1, 0, -errno */
void db_done(sqlite3_stmt *row);

void db_pretend_full(struct db *, bool full); /* then whatever writes is -ENOSPC */
bool db_in_transaction(const struct db *);    /* an error may have ended it already */

#endif
