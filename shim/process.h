/*
 * process.h: what a process does to its descriptors.
 */
#ifndef SLIPSTREAM_SHIM_PROCESS_H
#define SLIPSTREAM_SHIM_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* The process is about to end: close what was written here and wait for its publication. streams: and flush them first. */
void process_exit(bool streams);

/* close() without errno: 0 or -errno. */
long process_close(int fd);
/* After something else closed fd, which was of this word: table and publication. 0 or -errno. */
long process_closed(int fd, unsigned word);
/* A new number for what word says; forgets what was there. */
void process_opened(int fd, unsigned word);

/* The mask of this process, known without changing it. */
mode_t process_umask(void);

/* syscall(SYS_fcntl...) and friends share these with the functions. */
int process_dup(int fd);
int process_dup3(int from, int to, int flags, bool is_dup2);
long process_fcntl(int fd, int command, long argument);

#endif
