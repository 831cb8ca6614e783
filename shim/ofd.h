/*
 * ofd.h: open file descriptions of ours, as the session's records tell of them.
 *
 * A struct ofd is a view for one call, no reference: the kernel descriptor keeps the record alive.
 */
#ifndef SLIPSTREAM_SHIM_OFD_H
#define SLIPSTREAM_SHIM_OFD_H

#include <sys/stat.h>

#include "shim/fdtab.h"

struct ofd {
	int fd;
	int record;
	enum session_kind kind;
	bool writable, inherited;
	struct session_record *rec;
};

#define KIND(k)   (1u << SESSION_##k)
#define USED_KIND (KIND(STAGED) | KIND(LOCAL) | KIND(RANGE) | KIND(DIRECTORY))
#define ANY_KIND  (USED_KIND | KIND(PATH))

bool ofd_find_slow(struct ofd *of, int fd, unsigned kinds) COLD;
/* Was the file behind a LOCAL descriptor opened for writing in this session since? One load. */
bool ofd_overridden(uint32_t word);

/*
 * Is fd one of ours, of one of these kinds? Who asks for RANGE is about to use the content: a LOCAL descriptor whose file has
 * been written since is moved onto the new content first, and is libc's from then on.
 */
static inline bool ofd_find(struct ofd *of, int fd, unsigned kinds)
{
	uint32_t word = fdtab_word(fd);

	if (likely(word == FD_NATIVE))
		return false;
	/* Content-backed descriptors move their bytes natively: no more than this for them either. */
	if (word >= FD_OURS && !(kinds >> fdtab_kind(word) & 1) &&
	    (fdtab_kind(word) != SESSION_LOCAL || !(kinds & KIND(RANGE)) || likely(!ofd_overridden(word))))
		return false;
	return ofd_find_slow(of, fd, kinds);
}

/* The same by asking the kernel, past the table: for a vfork child. */
bool ofd_ask(struct ofd *of, int fd);

/* The session's records, mapped on first use; NULL if there are none. */
struct session_records *records_map(void);
struct session_record *record_get(int index);
/* The record of a kernel file, or -1. */
int record_lookup(uint64_t dev, uint64_t ino);
/* Consistent copies of what the keeper may be changing. path: PATH_MAX bytes. */
void record_attr(struct session_record *rec, struct session_attr *attr);
int record_path(struct session_record *rec, char *path);

#endif
