/*
 * kept.h: a file that could not be published is kept, and beside it a note of what it is, so that `slipstream recover`
 * finds it when the session and its records are gone.
 *
 * STAGE/<number>.kept: "name=value" strings, each ended by a NUL:
 *   path    as programs name it        mount   "/prefix=goosefs://host:port/root" it belongs to
 *   mode    its permissions, octal     root    data of the embedded server it was meant for; not there for a cluster
 *   error   why it is not published
 * Written when a publication fails, again when the file is renamed; removed with the file, or once it is published.
 * For a session that was killed, DIR/mounts, DIR/root and the records say the same (session.h).
 *
 * Locks: the keeper's, held.
 */
#ifndef SLIPSTREAM_CLIENT_KEPT_H
#define SLIPSTREAM_CLIENT_KEPT_H

#include <stdbool.h>

struct keeper;
struct inode;

#define KEPT_SUFFIX ".kept"

void kept_write(struct keeper *, struct inode *); /* error_note() may say more of its error */
void kept_remove(struct keeper *, struct inode *);
bool kept_there(struct keeper *, const struct inode *); /* from an earlier keeper */

#endif
