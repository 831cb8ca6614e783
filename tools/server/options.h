/* options.h: the command line of `slipstream server`. */
#ifndef SLIPSTREAM_SERVER_OPTIONS_H
#define SLIPSTREAM_SERVER_OPTIONS_H

#include "proto/rpc.h"

struct options {
	char *root;           /* --root */
	int port;             /* --port; 0: any */
	int worker_port;      /* --worker-port, of the first worker; the others follow. 0: any */
	enum rpc_auth auth;   /* --auth */
	int64_t block_size;   /* --block-size; 0: as the client asks */
	int workers;          /* --workers */
	char *ufs;            /* --ufs; NULL: ROOT/ufs; "": none */
	int persist_delay_ms; /* --persist-delay */
	char **faults;        /* every --fault, then NULL; NULL: none */
	char *address_file;   /* --address-file, or NULL */
	int parent_fd;        /* --exit-with-parent-fd, or -1 */
};

/* 0; 1 when there is nothing more to do (--help); 2 for a mistake, which has been told. */
int options_parse(struct options *, int argc, char **argv);
void options_release(struct options *);

#endif
