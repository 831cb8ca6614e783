/*
 * image.h: what an executable file is, as far as it decides whether our preloaded library gets into it.
 */
#ifndef SLIPSTREAM_TOOLS_IMAGE_H
#define SLIPSTREAM_TOOLS_IMAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum image_kind {
	IMAGE_DYNAMIC, /* a dynamic loader of this architecture starts it */
	IMAGE_STATIC,
	IMAGE_FOREIGN, /* of another architecture, or 32 bit */
	IMAGE_SCRIPT,
	IMAGE_OTHER, /* nothing the kernel would start as far as we know */
};

struct image {
	char path[PATH_MAX];
	enum image_kind kind;
	bool privileged; /* setuid, setgid, or with capabilities: for this user, the loader ignores preloads */
	bool go;         /* a Go program: makes its system calls without libc */
	bool other_libc; /* its loader is not the one of this program */
	char interpreter[PATH_MAX]; /* DYNAMIC: the loader; SCRIPT: after #! */
	char argument[PATH_MAX];    /* SCRIPT: what follows the interpreter, or "" */
};

/* The file a shell would execute for this command: 0, -ENOENT, -EACCES. */
int image_find(const char *command, char out[PATH_MAX]);
int image_look(const char *path, struct image *);

/* The image that runs a script: its interpreter, and the program it names if that is env(1). 0 or -errno. */
int image_next(const struct image *script, struct image *next);

/*
 * Why a program started by this path will not see the mounts: "is statically linked", or NULL if nothing is known against
 * it. out: the image it is about, the path's or of an interpreter.
 */
const char *image_obstacle(const char *path, struct image *out);

#endif
