/*
 * records.h: the session's record table (session.h), as the keeper writes it. DIR/records, shared and sparse.
 *
 * A record is found by the identity of a kernel file. The table outlives the keeper: a new one takes it up as it is.
 * Threads: any. Locks: LOCK_RECORDS, a leaf.
 */
#ifndef SLIPSTREAM_CLIENT_RECORDS_H
#define SLIPSTREAM_CLIENT_RECORDS_H

#include "client/session.h"

#include <stdbool.h>
#include <sys/types.h>

struct records;

/* What the keeper itself must know of a record after a restart. Kept in session_record.pad. */
struct record_private {
	uint64_t file_id; /* the backend's id of the content, or of the file made at open */
	uint64_t place;   /* STAGED: number of the staging file; RANGE: of the slot */
	uint64_t hidden;  /* RANGE: hidden name of an unlinked file; STAGED: of a replacement on its way; 0: none */
	uint32_t flags;   /* RECORD_* */
	uint32_t spare;
};

#define RECORD_DIRTY    1u /* STAGED: may hold what is not published */
#define RECORD_RESERVED 2u /* STAGED: file_id is an incomplete file under its own name */
#define RECORD_BEGUN    4u /* STAGED: of which bytes may have been sent */
#define RECORD_NAMELESS 8u /* STAGED: it has no name yet, and may get one */

#define RECORD_KIND(k) (1u << SESSION_##k)
/* Known by name: what becomes of the name, the record has to be told. */
#define RECORD_NAMED (RECORD_KIND(LOCAL) | RECORD_KIND(RANGE) | RECORD_KIND(DIRECTORY) | RECORD_KIND(PATH))

struct record_identity {
	enum session_kind kind;
	dev_t dev;
	ino_t ino;
	unsigned mount;
};

/* Map DIR/records, making it if it is not there. -EPROTO: another version's. */
int records_open(int dir_fd, struct records **out);
void records_close(struct records *);

/* A new record: its index, or -ENFILE, -ENOSPC. path is cut at PATH_MAX. */
int record_new(struct records *, const struct record_identity *, const struct session_attr *, const char *path,
	       const struct record_private *);
void record_free(struct records *, int index);
int record_find(struct records *, dev_t dev, ino_t ino); /* index, or -ENOENT */

/* NULL: no such index. The record may be free. */
struct session_record *record_at(struct records *, int index);
int records_high(struct records *); /* one past the highest index ever used */
/* The first record from an index on that is of one of these kinds (RECORD_KIND), or -1. The table itself is not touched. */
int records_next(struct records *, int from, unsigned kinds);
unsigned records_live(struct records *);
void records_set_keeper(struct records *, pid_t);
void records_end(struct records *); /* the session is over: who has them mapped looks for another */

/* A LOCAL record's content is another by now. */
void record_override(struct records *, int index);
/* ---- what was answered about names lately (session.h) ---- */

uint64_t records_generation(struct records *); /* to be asked for before it is found out what is kept */
void records_changed(struct records *);        /* names or attributes were, by the session */
/* rc 0 or -ENOENT. Nothing is kept that changed since that generation. */
void record_name(struct records *, const char *path, int rc, const struct session_attr *, uint64_t generation,
		 int64_t until_ms);

void record_set_attr(struct records *, int index, const struct session_attr *);
void record_set_path(struct records *, int index, const char *path);
void record_set_private(struct records *, int index, const struct record_private *);
struct record_private record_private(struct records *, int index);

#endif
