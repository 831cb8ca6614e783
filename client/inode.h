/*
 * inode.h: the files of this session whose content is in a staging file: being written, waiting to be published, or
 * published and kept as a cache.
 *
 * An inode has one staging file, and so one kernel inode, for its whole life; every open of it is a fresh description of that.
 * It goes when no name leads to it or it is clean, nobody refers to it here, and the kernel says that nobody has it open.
 *
 * Everything here is called with the keeper's lock held, but for inode_new(), which may be.
 */
#ifndef SLIPSTREAM_CLIENT_INODE_H
#define SLIPSTREAM_CLIENT_INODE_H

#include "client/backend.h"
#include "client/behind.h"
#include "client/session.h"

#include <pthread.h>
#include <uthash.h>

struct keeper;

enum inode_state {
	INODE_CLEAN,  /* the cluster has this content, as the file `id` */
	INODE_DIRTY,  /* it may not */
	INODE_FAILED, /* it could not be given it: `error`. Kept, and told by SETTLE */
};

struct inode {
	UT_hash_handle by_path, by_stage;
	struct inode *next_queued;
	unsigned refs; /* of this process; the kernel knows of the others */
	char *path;    /* as programs name it */
	bool linked;   /* found by that name */
	bool nameless; /* it never had one, and may get one */
	unsigned mount;
	uint64_t stage; /* number of the staging file */
	int fd;         /* read-only */
	int record;
	uint64_t ino;  /* as programs see it, for good */
	uint32_t mode; /* permission bits, twelve */
	uint32_t uid, gid;
	bool set_mode, set_owner; /* to be told to the server once it is published */
	int64_t ctime_ns;         /* of what the staging file does not have: session_ctime() */
	int64_t filled_ns;        /* the staging file's own when it was fetched; 0: it was not, or is another by now */

	uint64_t id;                   /* the backend's file: see state and reserved */
	bool reserved;                 /* id is an incomplete file of ours under its own name */
	bool begun;                    /* bytes of it may have been sent: no new writer can take it up */
	struct backend_writer *writer; /* of it, or of a replacement; NULL after a restart, and by another name */
	uint64_t hidden;               /* a replacement on its way has this hidden name; 0: none */
	struct sent sent;              /* to the writer, while it is being written */

	enum inode_state state;
	int error;
	bool kept;         /* a note of it lies beside the staging file: kept.h */
	int64_t opened_ns; /* first opened for writing, since it was clean, at this time */
	int64_t found_ns;  /* its time of change then */
	bool modified;     /* surely; otherwise the kernel's time of change says */
	bool mappable;     /* opened for reading and writing */
	bool mapped;       /* may have been: then the time of change says nothing */
	uint64_t changes;  /* times it was opened for writing */
	uint64_t appeared; /* metas.changes when the server last got it */

	bool busy;              /* being uploaded, or queued for it */
	bool again;             /* asked for meanwhile */
	unsigned held;          /* so many want its name: no upload begins */
	bool leased;            /* nobody writes: the kernel holds back whoever wants to */
	_Atomic bool cancel;    /* stop the upload */
	unsigned probes;        /* since the last event */
	int64_t probe_ms;       /* when to look again; 0: when there is an event */
	pthread_cond_t settled; /* busy became false */
	uint64_t used;
};

struct inodes {
	struct inode *by_path, *by_stage;
	uint64_t clock;
	int64_t weighed_ms;    /* 0: look again at the next occasion */
	uint64_t staged_bytes; /* then */
};

/* A new staging file with a record, under no name yet. attr: ino and mode, uid, gid. One reference. -ENOSPC, -EMFILE, -ENFILE... */
int inode_new(struct keeper *, const char *path, unsigned mount, const struct session_attr *, uint64_t id,
	      struct inode **);
void inode_get(struct inode *);
void inode_put(struct keeper *, struct inode *);

struct inode *inode_find(struct keeper *, const char *path); /* no reference */
struct inode *inode_by_stage(struct keeper *, uint64_t number);
bool inode_any_below(struct keeper *, const char *directory);

void inode_link(struct keeper *, struct inode *); /* its path leads to it, and to no other */
/* No name leads to it any more. deleted: because it was removed or replaced here; the record says so. */
void inode_unlink(struct keeper *, struct inode *, bool deleted);
void inode_rename(struct keeper *, struct inode *, const char *path);
/* A nameless one is an incomplete file of that name, made for it: -ENOMEM, or it has taken the writer over. */
int inode_name(struct keeper *, struct inode *, const char *path, struct backend_writer *, uint64_t id);

/* Clean, and of this file of the server's? */
bool inode_is(const struct inode *, uint64_t id);
void inode_attr(const struct inode *, struct session_attr *);
void inode_stat(struct keeper *, const struct inode *, struct slip_stat *); /* as the server will tell it */
void inode_save(struct keeper *, struct inode *); /* what must survive this process into the record */

bool inode_reclaim(struct keeper *, struct inode *); /* if nobody needs it; true: it is gone */
void inodes_trim(struct keeper *, bool all); /* the cache down to its bound, and what has no name; all: all of it */
/* Room for so many bytes more (0: for a file that begins), made by letting go of published ones. */
bool inodes_room(struct keeper *, uint64_t wanted);
void inodes_weigh(struct keeper *, const struct inode *); /* it was published: does it fill the disk? */
void inodes_adopt(struct keeper *);                       /* at start: those of an earlier keeper */
bool inodes_unpublished(struct keeper *);
unsigned inodes_failed(struct keeper *);

#endif
