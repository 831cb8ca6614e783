/*
 * leftover.h: files that sessions wrote and did not publish: what failed (client/kept.h), and what killed sessions left.
 *
 * They are found from the staging directories: those in the usual places, and those that the sessions there are lead to. A
 * staging directory whose keeper is gone is locked while we look at it, so that two of us are not at one.
 */
#ifndef SLIPSTREAM_TOOLS_LEFTOVER_H
#define SLIPSTREAM_TOOLS_LEFTOVER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct leftover_stage {
	char path[PATH_MAX];
	char session[PATH_MAX]; /* its session's directory, "" when that is gone */
	bool alive;             /* somebody keeps it: hands off */
	bool empty;
	bool told; /* for whoever tells of it */
	int lock;  /* -1: none */
};

struct leftover {
	const struct leftover_stage *stage;
	char id[64];   /* how to name it if its path is not known, or not enough */
	char name[32]; /* in the staging directory */
	char *path;    /* as programs named it; NULL: not known */
	char *mount;   /* "/prefix=URL" it was meant for; NULL: not known */
	char *root;    /* data of the embedded server it was meant for; NULL: a cluster */
	char *why;
	uint32_t mode;
	int64_t bytes, mtime_ms;
	bool gone; /* for whoever deals with it */
};

struct leftovers {
	struct leftover_stage **stages;
	size_t stage_count;
	struct leftover *e; /* oldest first */
	size_t n;
};

/* from: look there instead, a staging directory or one that has some; or NULL. 0, or -errno after complaining. */
int leftovers_find(const char *from, struct leftovers *);
void leftovers_release(struct leftovers *);

int leftover_open(const struct leftover *); /* its content: a descriptor or -errno */
int leftover_remove(struct leftover *);     /* and it is gone */
/* A dead session of which nothing is left to recover: remove its directories, and what it had cached. */
void leftover_stage_remove(struct leftover_stage *);

#endif
