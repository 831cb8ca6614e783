/*
 * keeper.h: the session keeper inside: this library behind a socket and shared memory. What its files share.
 *
 *   keeper.c    start, stop       alone.c, inside.c  sessions without `run`
 *   serve.c     connections, requests, threads
 *   watch.c     what the kernel reports: closes, broken leases, time
 *   resolve.c   a path to what it names     open.c  which form a descriptor gets
 *   names.c     MKDIR, RENAME...            attrs.c  STAT, CHMOD...     list.c  LIST
 *   inode.c     the files staged here       publish.c, upload.c, behind.c  and their way to the cluster
 *   meta.c      what the server said of names, and what only the session knows of files
 *   range.c     RANGE descriptions          placeholder.c  the kernel objects behind RANGE and DIRECTORY
 */
#ifndef SLIPSTREAM_CLIENT_KEEPER_H
#define SLIPSTREAM_CLIENT_KEEPER_H

#include "client/client.h"
#include "client/inode.h"
#include "client/lock.h"
#include "client/meta.h"
#include "client/page_cache.h"
#include "client/publish.h"
#include "client/records.h"
#include "client/session.h"
#include "client/stage.h"

#include <sys/stat.h>

#define NAME_STRIPES 256

struct range;
struct slot;
struct listing;
struct local;

struct keeper {
	struct slip_client *client; /* not ours */
	char dir[PATH_MAX];
	const char *given;                /* dir as SLIPSTREAM_SESSION says it; not ours */
	int dir_fd, listen_fd, parent_fd; /* parent_fd -1: nobody to wait for */
	uid_t uid;
	gid_t gid;
	char user[64]; /* who the session authenticates as */
	int64_t ttl_ms, linger_ms;
	bool fsync_publishes, write_behind, inside;
	uint64_t stage_max, page_max, files_max; /* files_max: descriptors we may have; 0: not known */

	struct records *records;
	struct page_cache *pages; /* NULL: none */
	struct stage *stage;
	int epoll_fd, inotify_fd, signal_fd, wake_fd;
	int stage_watch, slots_watch;
	bool unwatched; /* something has no watch: there are no more */
	_Atomic int connections, idle, threads;
	_Atomic bool stopping; /* told to leave: everything is being published */
	_Atomic bool settled;  /* it is */

	pthread_rwlock_t tree;          /* LOCK_TREE */
	struct lock name[NAME_STRIPES]; /* LOCK_NAME */

	struct lock lock; /* LOCK_INODE, guards the rest */
	struct inodes inodes;
	struct metas metas;
	struct publisher publisher;
	int64_t watch_until_ms;           /* the watching thread sleeps until then, at most */
	void *of_record[SESSION_RECORDS]; /* struct inode, local, range or listing, as the record's kind says */
	struct local *locals;             /* by mount and id */
	unsigned local_count, locals_overridden, locals_unleased;
	int watch_of[SESSION_RECORDS];       /* of a DIRECTORY: its inotify watch, 0: none */
	uint32_t missed_at[SESSION_RECORDS]; /* serial + 1 of the record when a census did not find it; 0: it did */
	uint64_t slots_free[SESSION_RECORDS];
	unsigned slots_free_count;
	struct slot *slots;
	uint64_t slots_made, directories_made;
	uint64_t asked, heard; /* watch_catch_up() */
	pthread_cond_t caught_up;
};

/* One request, while it is being answered. */
struct request {
	struct keeper *k;
	const struct session_request *head;
	char path[PATH_MAX];  /* normalised; "" when record says it */
	char path2[PATH_MAX]; /* RENAME; SYMLINK: the text */
	const char *data;     /* what follows path in the payload */
	size_t data_bytes;
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary ones */
	size_t group_count;
	struct session_reply *reply;
	char *out;                 /* SESSION_PAYLOAD_MAX; reply->bytes of it are sent */
	int fd;                    /* sent along; -1: none */
	bool fd_lent;              /* not to be closed after sending */
	_Atomic uint32_t *passing; /* fd's record counts it until our copy is closed; NULL: none */
};

/* Every record of these kinds. */
#define RECORDS_EACH(k, i, kinds)                                                                                      \
	for (int i = records_next((k)->records, 0, kinds); i >= 0; i = records_next((k)->records, i + 1, kinds))

/* Answers one request: reply.rc. */
typedef int64_t request_handler(struct request *);

#define SESSION_OP(ID, name, again) request_handler request_##name;
#include "client/session.def"
#undef SESSION_OP

/* ---- keeper.c ------------------------------------------------------------------------------------------------------- */

struct keeper_options {
	struct slip_client *client;
	const char *const *settings; /* as slip_client_new() */
	const char *dir;
	int listen_fd, ready_fd, parent_fd; /* -1: none, but for listen_fd */
	int lock_fd;                        /* of DIR/lock, held already; -1: to be taken */
	int64_t linger_ms;                  /* 0: until the parent is gone; else this long after the last program */
	bool inside;           /* threads of a program (inside.c): nothing of the process is ours to change */
	void (*ready)(void *); /* inside: called when it serves */
	void *ready_context;
};

#define ALONE_LINGER_MS 10000

/* Read the settings, make the client, keeper_run(). An exit status; nothing may be returned to after it. */
int keeper_start(struct keeper_options *);
/* Start a session's keeper in the background, unless it has one. 0, -ECHILD (it has said why not) or -errno. */
int keeper_alone(const char *dir);
/* DIR/lock, made with its directory: a descriptor; -EWOULDBLOCK: somebody keeps it; -EAGAIN: it was removed meanwhile. */
int session_lock(const char *dir);
/* DIR/s, bound anew: a descriptor or -errno. By the holder of the lock. */
int session_listen(const char *dir);
/* Take the socket's name away; false, and it is back, if somebody came. */
bool keeper_withdraw(struct keeper *);
/* Serve until told to leave. An exit status. Blocks the signals it handles in the calling thread, for good. */
int keeper_run(const struct keeper_options *);

/* ---- resolve.c ------------------------------------------------------------------------------------------------------ */

/* What a path names, after symbolic links. */
struct spot {
	struct keeper *keeper;
	struct place at;     /* the backend's view of path */
	char path[PATH_MAX]; /* the program's view, links followed */
	enum slip_type type;
	struct session_attr attr;
	struct slip_stat st;      /* what the server said; of an inode: only type, size, mode, id */
	struct inode *inode;      /* staged here; a reference: spot_release() */
	struct backend_file file; /* valid if has_file */
	bool has_file;
	bool dotted;      /* by a link to "name/.": nothing is made there */
	uint64_t changes; /* metas.changes when it was found */
	int64_t until_ms; /* what the server said of it is believed so long; 0: no longer than now */
};

enum {
	SPOT_FOLLOW = 1,
	SPOT_FILE = 2,   /* bring what it takes to read it, if the server must be asked anyway */
	SPOT_CREATE = 4, /* -EISDIR for a link to "name/": open() makes no directory */
};

/*
 * 0; -ENOENT (path and at say where it would be made, if its directory is there: then *at.path is not ""), -ENOTDIR, -ELOOP,
 * SESSION_ELSEWHERE (path: the ordinary path), ... The caller releases it in every case.
 */
int spot_find(struct keeper *, const char *path, unsigned how, struct spot *);
void spot_release(struct spot *);
int spot_file(struct spot *); /* make has_file true */

/* The file of a request: by its record or its path, links followed as flags say. ELSEWHERE goes into the reply. */
int request_spot(struct request *, unsigned how, struct spot *);
/*
 * A call on path met ENOENT or ENOTDIR: is there a symbolic link among its directories? 1: path is rewritten, try again;
 * 0: no, and its directory is there; -ENOENT, -ENOTDIR, SESSION_ELSEWHERE (path: the ordinary path)...
 */
int path_rewalk(struct keeper *, char path[PATH_MAX]);
int64_t reply_elsewhere(struct request *, const char *path);

bool in_group(const struct request *, gid_t); /* is the caller a member? */
/* 0 or -EACCES. want: R_OK | W_OK | X_OK */
int attr_allows(const struct request *, const struct session_attr *, int want);
/* May the caller look into each directory above path? What is no directory, or not there, is for the call to find. */
int search_allows(struct request *, const char *path);
int parent_allows(struct request *, const char *path, int want);
/* The same, and that directory must be there whoever asks: -ENOENT, -ENOTDIR. */
int parent_find(struct request *, const char *path, int want);
/* May the caller remove or move what is there, if its directory has the sticky bit? 0 or -EPERM. */
int sticky_allows(struct request *, const char *path);
/* To make or take away a name. -EEXIST, -ENOENT: as for a kernel, which looks a name up before it asks for leave. */
int change_allows(struct request *, const char *path, bool makes);

/* ---- serialising changes of names: names.c --------------------------------------------------------------------------- */

void names_lock(struct keeper *, const char *path, const char *path2, bool tree);
void names_unlock(struct keeper *, const char *path, const char *path2, bool tree);
/* For who makes something of that name: 0, with the name locked; or why he may not, and it is not. */
int name_claim(struct request *, const char *path, const struct place *);
void hidden_path(const char *path, uint64_t id, char out[PATH_MAX]); /* in path's directory */
uint64_t hidden_id(void);

/* ---- open.c --------------------------------------------------------------------------------------------------------- */

/* Fetch a file's content into a new inode, under no name. */
int inode_fetch(struct keeper *, struct spot *, bool content, struct inode **);
/* path's inode, made if need be, for writing. A reference. The caller holds the name. */
int inode_for_writing(struct keeper *, struct spot *, bool content, struct inode **);
/* The inode of a STAGED record, or NULL; a reference, given back by inode_release(). */
struct inode *staged_get(struct keeper *, int record);
void inode_release(struct keeper *, struct inode *);
/* Files that may be kept open as a cache, of each kind. */
unsigned cached_max(const struct keeper *);
/* Out of descriptors or records: let go what is only a cache. */
void caches_empty(struct keeper *);
/* Locked: down to so many of those that nobody has open; those whose file was written since go in any case. */
void locals_trim(struct keeper *, unsigned keep);
/* Locked: no process has this LOCAL record's file open. */
void local_unheld(struct keeper *, int record);
/* Locked: the inode whose content a LOCAL record's readers are to see by now, or NULL. */
struct inode *local_inode(struct keeper *, int record);

/* ---- attrs.c -------------------------------------------------------------------------------------------------------- */

/* Its times say that it was written now, though nothing was. */
void attr_written(struct request *, struct spot *);

/* ---- placeholder.c --------------------------------------------------------------------------------------------------- */

int placeholder_start(struct keeper *);
int slot_open(struct keeper *, uint64_t *slot, struct stat *); /* an acc3 descriptor */
void slot_drop(struct keeper *, uint64_t slot);                /* not seen: never again */
/* Events of the watch on the slots: the one of that name was opened; a descriptor of it was closed. */
void slot_opened(struct keeper *, const char *name);
void slot_closed(struct keeper *, const char *name);
/* A descriptor on a removed directory, or with O_PATH on something else that is removed, its watch, and its record. */
int directory_open(struct keeper *, const struct spot *, int flags, int *record);
int directory_record(struct keeper *, int watch);
/*
 * Records of RANGE and DIRECTORY whose descriptors may have gone unseen: after a restart, or an overflow of the queue. again:
 * this is done time and again, so what is not found is given up the second time only.
 */
void placeholders_check(struct keeper *, bool again);
void locals_check(struct keeper *); /* LOCAL records of which no lease tells */

/* ---- range.c: RANGE ------------------------------------------------------------------------------------------------ */

/* A RANGE description of the spot's file, which it takes over. An acc3 descriptor, or -errno. */
int range_open(struct keeper *, struct spot *, int flags, int *record);
void range_close(struct keeper *, int record);           /* nobody has the description any more */
void ranges_overridden(struct keeper *, struct inode *); /* locked: inode's path was opened for writing */
struct inode *range_inode(struct keeper *, int record);  /* locked: as local_inode() */
bool ranges_named(struct keeper *, const char *path);    /* locked: has anybody that file open by range? */
/* Locked. Their file has only this hidden name any more, beside path; it goes with the last of them. */
void ranges_unlinked(struct keeper *, const char *path, uint64_t hidden);
/* The file behind a record, to be fetched; with an inode if it has been written since. */
int range_spot(struct keeper *, int record, struct spot *);

/* ---- list.c --------------------------------------------------------------------------------------------------------- */

void listing_free(struct listing *);

/* ---- watch.c -------------------------------------------------------------------------------------------------------- */

int watch_start(struct keeper *);
void watch_run(struct keeper *); /* returns when the keeper is to leave */
void watch_wake(struct keeper *);
/* Locked, and let go meanwhile: what the kernel had to tell before, it has told. */
void watch_catch_up(struct keeper *);

/* ---- inhabitants.c --------------------------------------------------------------------------------------------------- */

bool session_inhabited(const char *name);

/* ---- serve.c -------------------------------------------------------------------------------------------------------- */

int serve_start(struct keeper *);
const char *op_name(uint32_t op);

/* ---- owners.c ------------------------------------------------------------------------------------------------------- */

uid_t owner_uid(const struct keeper *, const char *name);
gid_t owner_gid(const struct keeper *, const char *name);
void owner_name(const struct keeper *, uid_t, char out[64]);
void owner_group(const struct keeper *, gid_t, char out[64]);
/* Whose is what this request makes? True: not the session's user's, and the server is to be told. */
bool owner_of_new(const struct request *, uint32_t *uid, uint32_t *gid);

/* ---- time ----------------------------------------------------------------------------------------------------------- */

int64_t now_ms(void);    /* monotonic */
int64_t coarse_ns(void); /* what the kernel would stamp on a file now, or a little less */

#endif
