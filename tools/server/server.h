/*
 * server.h: `slipstream server`: master and workers of the GooseFS protocol over a local directory.
 *
 * The code, in the order to read it: server.c (start, stop), master.c and worker.c (what is answered, and where), tree.c
 * (the namespace), store.c and db.c (where it is kept), blocks.c (the bytes), ufs.c, load.c, jobs.c and persist.c (the under
 * file system), faults.def (how to make it fail).
 */
#ifndef SLIPSTREAM_SERVER_SERVER_H
#define SLIPSTREAM_SERVER_SERVER_H

/* argv[0] is "server". Returns the exit status: 0 after SIGTERM, SIGINT or the parent's end, 1 failure, 2 usage. */
int server_main(int argc, char **argv);

#endif
