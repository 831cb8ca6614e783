/*
 * upload.h: one attempt to give the cluster a staged file's content.
 */
#ifndef SLIPSTREAM_CLIENT_UPLOAD_H
#define SLIPSTREAM_CLIENT_UPLOAD_H

#include <stdbool.h>

struct keeper;
struct inode;

/*
 * The caller has made the inode busy and holds no lock. sync: somebody may be writing; otherwise nobody is, and
 * -ECANCELED is returned when somebody wants to, or the name was removed. 0: the server's file has the content.
 */
int upload(struct keeper *, struct inode *, bool sync);

/* No name leads to it any more: end what the server still has of it. Unlocked, not busy. remove: the reserved name too. */
void upload_forget(struct keeper *, struct inode *, bool remove);

#endif
