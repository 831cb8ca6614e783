/*
 * store.h: what the master remembers: the database, its lock, its transactions, and the ids it gives out.
 *
 * Threads: everything below is called between store_lock() and store_unlock(), unless it says otherwise.
 */
#ifndef SLIPSTREAM_SERVER_STORE_H
#define SLIPSTREAM_SERVER_STORE_H

#include "tools/server/db.h"

#include <pthread.h>

/* What an operation came to: a gRPC status code, 0 for success, and its words. */
struct fault {
	int code;
	char text[256];
};

/* Fill it and return code. */
int fault_set(struct fault *, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a -errno of the database. */
int fault_of_db(struct fault *, int rc);

struct store {
	pthread_mutex_t lock; /* guards the rest */
	struct db *db;
	int64_t next_container; /* the next to give out */
	int64_t reserved_to;    /* below this the database knows that they are taken */
	int64_t op_seq;         /* newest row of the operation cache */
	int64_t job_seq;        /* newest order for the under file system */
	int64_t jobs_done;      /* how far they are carried out */
};

/* 0 or -errno, and why in words. */
int store_open(struct store *, const char *path, char *why, size_t why_bytes);
void store_close(struct store *);

void store_lock(struct store *);
void store_unlock(struct store *);

int store_begin(struct store *);  /* 0 or -errno */
int store_commit(struct store *); /* 0 or -errno, and then nothing has happened */
void store_rollback(struct store *);

/* Ids (spec goosefs 7.1): 40 bits of container, 24 of sequence; a file is its container's last id. */
#define SEQUENCE_MASK      0xFFFFFFLL
#define CONTAINER_MAX      ((1LL << 39) - 1) /* ids stay positive */
#define FILE_ID(container) (((int64_t)(container) << 24) | SEQUENCE_MASK)
#define FILE_OF_BLOCK(id)  ((id) | SEQUENCE_MASK)
#define FIRST_BLOCK(file)  ((file) & ~SEQUENCE_MASK)

/* A file id never used before, also not before a crash. 0 or -errno. */
int store_new_id(struct store *, int64_t *id);
/* True for every file id that store_new_id() may have given out. */
bool store_id_was_given(const struct store *, int64_t file_id);

#endif
