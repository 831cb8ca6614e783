/*
 * process.h: what gRPC does to the process it lives in, kept within bounds.
 *
 * Threads that gRPC makes inherit the signal mask of whoever caused them, and they must block every signal: so what makes
 * threads (the library's start, a channel, a server) is done between signals_block() and signals_restore(). One leak is
 * known: under load gRPC adds threads to its executor, two per core at most, from within any call. In our own processes
 * every thread that calls blocks signals itself.
 */
#ifndef SLIPSTREAM_PROTO_PROCESS_H
#define SLIPSTREAM_PROTO_PROCESS_H

#include <grpc/support/time.h>

#include <signal.h>
#include <stdbool.h>

/* Start the library, once. It is never shut down: that would cost each exit 4 ms (spec grpc-core, "Start-up"). */
void process_start(void);

void signals_block(sigset_t *saved);
void signals_restore(const sigset_t *saved);

/* That long from now; 0: never. */
gpr_timespec deadline_after(unsigned timeout_ms);
bool deadline_passed(gpr_timespec deadline);

#endif
