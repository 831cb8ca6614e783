/*
 * db.c: SQLite behind prepared statements.
 *
 * Durability. In WAL mode a commit is one write() to the log, which belongs to the kernel as soon as it returns:
 * SIGKILL of the server loses nothing that was acknowledged, with or without fsync. synchronous=NORMAL adds the fsyncs
 * that keep the database consistent (though not the last moments complete) over a power loss, and pays them at
 * checkpoints, not at commits. The lock on the root directory keeps others out, so locking_mode=EXCLUSIVE saves the
 * shared index and its locks.
 */
#include "tools/server/db.h"
#include "tools/server/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_VERSION 2

struct db {
	sqlite3 *sqlite;
	sqlite3_stmt *stmt[SQL_COUNT];
	bool full; /* see db_pretend_full() */
};

static const char *const sql_text[SQL_COUNT] = {
#define SQL(ID, text) [SQL_##ID] = text,
#include "tools/server/sql.def"
#undef SQL
};

static const char pragmas[] = "PRAGMA locking_mode = EXCLUSIVE;"
			      "PRAGMA journal_mode = WAL;"
			      "PRAGMA synchronous = NORMAL;"
			      "PRAGMA wal_autocheckpoint = 4000;"
			      "PRAGMA cache_size = -65536;"
			      "PRAGMA temp_store = MEMORY;";

/* Version 1. Every database begins so, and goes through the steps after it. */
static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS inode ("
	" id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name TEXT NOT NULL, type INTEGER NOT NULL,"
	" owner TEXT NOT NULL, grp TEXT NOT NULL, mode INTEGER NOT NULL,"
	" created INTEGER NOT NULL, modified INTEGER NOT NULL, accessed INTEGER NOT NULL,"
	" completed INTEGER NOT NULL, length INTEGER NOT NULL, block_size INTEGER NOT NULL,"
	" write_type INTEGER NOT NULL, crc_type INTEGER, crc_value INTEGER, target TEXT);"
	"CREATE UNIQUE INDEX IF NOT EXISTS inode_name ON inode (parent, name);"
	"CREATE TABLE IF NOT EXISTS block (id INTEGER NOT NULL, worker INTEGER NOT NULL, length INTEGER NOT NULL,"
	" PRIMARY KEY (id, worker)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS op (seq INTEGER PRIMARY KEY, most INTEGER NOT NULL, least INTEGER NOT NULL,"
	" rpc INTEGER NOT NULL, code INTEGER NOT NULL, text TEXT NOT NULL, inode INTEGER NOT NULL);"
	"CREATE UNIQUE INDEX IF NOT EXISTS op_id ON op (most, least, rpc);"
	"INSERT OR IGNORE INTO setting VALUES ('version', 1), ('next_container', 2);"
	"COMMIT;";

/* step[v] leads from version v to v + 1. */
static const char *const step[SCHEMA_VERSION] = {
	[1] = "BEGIN IMMEDIATE;"
	      "ALTER TABLE inode ADD COLUMN ufs INTEGER NOT NULL DEFAULT 0;"
	      "ALTER TABLE inode ADD COLUMN ufs_stamp INTEGER NOT NULL DEFAULT 0;"
	      "ALTER TABLE inode ADD COLUMN loaded INTEGER NOT NULL DEFAULT 0;"
	      "ALTER TABLE inode ADD COLUMN persist_due INTEGER;"
	      "CREATE INDEX inode_persist ON inode (persist_due) WHERE persist_due IS NOT NULL;"
	      "CREATE TABLE ufs_job (seq INTEGER PRIMARY KEY, path TEXT NOT NULL, target TEXT);"
	      "UPDATE setting SET value = 2 WHERE key = 'version';"
	      "COMMIT;",
};

static int db_fault(struct db *db, const char *doing)
{
	int code = sqlite3_errcode(db->sqlite);

	log_error("database: %s: %s", doing, sqlite3_errmsg(db->sqlite));
	return (code & 0xff) == SQLITE_FULL ? -ENOSPC : -EIO;
}

/* Those from first to last that are not prepared yet. */
static int db_prepare(struct db *db, int first, int last)
{
	for (int i = first; i <= last; i++)
		if (!db->stmt[i] &&
		    sqlite3_prepare_v3(db->sqlite, sql_text[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmt[i], NULL))
			return -EIO;
	return 0;
}

static int db_version(struct db *db, int64_t *version)
{
	sqlite3_stmt *row;
	int rc = db_row(db, &row, SQL_SETTING_GET, "s", "version");

	if (rc < 0)
		return rc;
	*version = rc ? sqlite3_column_int64(row, 0) : 0;
	if (rc)
		db_done(row);
	return 0;
}

static int db_upgrade(struct db *db, char *why, size_t why_bytes)
{
	int64_t version = 0;
	int rc = db_version(db, &version);

	if (!rc && (version < 1 || version > SCHEMA_VERSION)) {
		snprintf(why, why_bytes, "the database has schema version %lld, this program knows %d",
			 (long long)version, SCHEMA_VERSION);
		return -EINVAL;
	}
	for (; !rc && version < SCHEMA_VERSION; version++)
		if (sqlite3_exec(db->sqlite, step[version], NULL, NULL, NULL))
			rc = -EIO;
	return rc;
}

int db_open(const char *path, struct db **out, char *why, size_t why_bytes)
{
	struct db *db = calloc(1, sizeof(*db));
	int rc = -EIO;

	if (!db) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	*why = 0;
	if (sqlite3_open_v2(path, &db->sqlite,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
			    NULL))
		goto fail;
	if (sqlite3_exec(db->sqlite, pragmas, NULL, NULL, NULL) || sqlite3_exec(db->sqlite, schema, NULL, NULL, NULL))
		goto fail;
	/* The version first: statements over another schema would fail in worse words. */
	if (db_prepare(db, SQL_SETTING_GET, SQL_SETTING_GET))
		goto fail;
	rc = db_upgrade(db, why, why_bytes);
	if (!rc)
		rc = db_prepare(db, 0, SQL_COUNT - 1);
	if (rc)
		goto fail;
	*out = db;
	return 0;
fail:
	if (!*why)
		snprintf(why, why_bytes, "%s", db->sqlite ? sqlite3_errmsg(db->sqlite) : "out of memory");
	db_close(db);
	return rc;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	for (int i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(db->stmt[i]);
	if (db->sqlite && sqlite3_close(db->sqlite))
		log_error("database: close: %s", sqlite3_errmsg(db->sqlite));
	free(db);
}

/* What is bound stays the caller's until the statement is reset, so nothing is copied. */
static int db_bind(sqlite3_stmt *stmt, const char *format, va_list args)
{
	int rc = SQLITE_OK;

	for (int i = 1; *format && rc == SQLITE_OK; format++, i++) {
		const char *text;
		size_t bytes;

		switch (*format) {
		case 'i':
			rc = sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
			break;
		case 's':
			rc = sqlite3_bind_text(stmt, i, va_arg(args, const char *), -1, SQLITE_STATIC);
			break;
		case 't':
			text = va_arg(args, const char *);
			bytes = va_arg(args, size_t);
			rc = sqlite3_bind_text(stmt, i, text, (int)bytes, SQLITE_STATIC);
			break;
		default:
			rc = sqlite3_bind_null(stmt, i);
		}
	}
	return rc;
}

int db_next(struct db *db, sqlite3_stmt *row)
{
	int rc = sqlite3_step(row);

	if (rc == SQLITE_ROW)
		return 1;
	rc = rc == SQLITE_DONE ? 0 : db_fault(db, sqlite3_sql(row));
	db_done(row);
	return rc;
}

void db_done(sqlite3_stmt *row)
{
	sqlite3_reset(row);
	sqlite3_clear_bindings(row);
}

static int db_start(struct db *db, sqlite3_stmt **row, enum sql_id id, const char *format, va_list args)
{
	sqlite3_stmt *stmt = db->stmt[id];
	int rc;

	*row = stmt;
	if (db->full && !sqlite3_stmt_readonly(stmt))
		return -ENOSPC;
	if (db_bind(stmt, format, args) == SQLITE_OK)
		return db_next(db, stmt);
	rc = db_fault(db, sqlite3_sql(stmt));
	db_done(stmt);
	return rc;
}

int db_row(struct db *db, sqlite3_stmt **row, enum sql_id id, const char *format, ...)
{
	va_list args;
	int rc;

	va_start(args, format);
	rc = db_start(db, row, id, format, args);
	va_end(args);
	return rc;
}

int db_run(struct db *db, enum sql_id id, const char *format, ...)
{
	sqlite3_stmt *row;
	va_list args;
	int rc;

	va_start(args, format);
	rc = db_start(db, &row, id, format, args);
	va_end(args);
	while (rc > 0)
		rc = db_next(db, row);
	return rc;
}

void db_pretend_full(struct db *db, bool full)
{
	db->full = full;
}

bool db_in_transaction(const struct db *db)
{
	return !sqlite3_get_autocommit(db->sqlite);
}
