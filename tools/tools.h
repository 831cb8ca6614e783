/*
 * tools.h: what the subcommands of `slipstream` share.
 */
#ifndef SLIPSTREAM_TOOLS_H
#define SLIPSTREAM_TOOLS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct slip_client;

/* Subcommands: argv[0] is the subcommand's name. They return an exit status. */
int run_main(int argc, char **argv);
int fs_main(int argc, char **argv);
int status_main(int argc, char **argv);
int recover_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int server_main(int argc, char **argv); /* tools/server */

/* "slipstream: " and the text, on standard error; returns status. */
int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- install.c: where our own files are ---------------------------------------------------------------------- */

/* Absolute path of this program; 0 or -errno. */
int install_program(char out[PATH_MAX]);
/* Absolute path of the preload library: beside the program, or in ../lib/slipstream. 0 or -ENOENT. */
int install_shim(char out[PATH_MAX]);
/*
 * In a child that is to become a keeper or a server: the session the caller is in is not its own, and what he had open, but
 * for the first three, is closed at exec.
 */
void caller_leave(void);

/* ---- cluster.c: what we talk to ---------------------------------------------------------------------------------- */

/*
 * The mounts in force, and the embedded server behind them when no cluster is configured.
 *
 * A server on one root is shared by all who hold ROOT/hold, a FIFO, open for writing; it stops when nobody does.
 * Whoever takes hold or starts a server, and a server about to stop, has ROOT/run.lock: so nobody holds a server that is leaving.
 */
struct cluster {
	char *mounts; /* "/goosefs=goosefs://127.0.0.1:9200/" */
	int hold_fd;  /* -1, or what keeps the embedded server alive; not close-on-exec is the caller's choice */
	char *root;   /* the embedded server's data, absolute; NULL: there is a cluster */
};

/*
 * root: --root, or NULL. mounts: --mount options joined by ';', or NULL. 0, or -errno after complaining.
 */
int cluster_open(const char *root, const char *mounts, struct cluster *);
void cluster_close(struct cluster *);
/* A client of what is open: 0, or -errno after complaining. */
int cluster_client(const struct cluster *, struct slip_client **);
/* Is there something at this prefix on this machine that a mount hides? An empty directory is a place to mount. */
bool cluster_hides(const char *prefix);
/* mkdir -p, private. 0 or -errno. */
int make_directories(const char *path);
/* Where the embedded server keeps its data unless told. 0 or -errno. */
int cluster_default_root(char out[PATH_MAX]);

#endif
