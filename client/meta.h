/*
 * meta.h: what the server said of names, for a while; and what only the session knows of files: the ino they had before
 * they were replaced, mode bits the protocol has no room for, times.
 *
 * Everything here is called with the keeper's lock held.
 */
#ifndef SLIPSTREAM_CLIENT_META_H
#define SLIPSTREAM_CLIENT_META_H

#include "client/session.h"
#include "client/slipstream.h"

struct keeper;
struct meta;
struct held;
struct dated;

struct metas {
	struct meta *by_path;
	struct held *by_id;
	struct dated *dated;
	uint64_t changes; /* of names, by this session: an answer asked for before the last one is not kept */
};

/* 0 or -ENOENT as the server said; -EAGAIN: nothing known. */
int meta_get(struct keeper *, const char *path, struct slip_stat *);
int64_t meta_until(struct keeper *, const char *path); /* by now_ms(); 0: nothing known */
/* rc 0 or -ENOENT. changes: metas.changes when the question was asked. */
void meta_put(struct keeper *, const char *path, int rc, const struct slip_stat *, uint64_t changes);
void meta_drop(struct keeper *, const char *path);       /* and what its directory's attributes say */
void meta_drop_below(struct keeper *, const char *path); /* and everything below */
void metas_free(struct keeper *);                        /* all that is known, and what is held */

#define HELD_INO   1u
#define HELD_MODE  2u
#define HELD_MTIME 4u
#define HELD_ATIME 8u
#define HELD_CTIME 16u

struct held_value {
	unsigned set; /* HELD_* */
	uint64_t ino;
	uint32_t mode; /* bits above 0777 */
	int64_t mtime_ns, atime_ns, ctime_ns;
};

void held_put(struct keeper *, unsigned mount, uint64_t id, const struct held_value *); /* adds to what is held */
bool held_get(struct keeper *, unsigned mount, uint64_t id, struct held_value *);

/* A directory's HELD_MTIME was set; it holds until something is made, moved or removed in it. */
void dated_put(struct keeper *, const char *path, unsigned mount, uint64_t id);
void dated_changed(struct keeper *, const char *path); /* of what was made, moved or removed */
void dated_move(struct keeper *, const char *from, const char *to);

/* A server's answer as programs see it. */
void attr_of_stat(struct keeper *, unsigned mount, const struct slip_stat *, struct session_attr *);
uint64_t mount_dev(unsigned mount);

/*
 * st_ino of a file's id. All of a server's ids end in the same 24 bits (spec goosefs 7.1), and programs hash the low ones: what is
 * before them tells files apart. Bit 63 is for files without an id, bit 62 for ids of another form.
 */
static inline uint64_t inode_number(uint64_t id)
{
	return (id & 0xffffff) == 0xffffff ? id >> 24 : id | 1ull << 62;
}

#endif
