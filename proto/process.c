#include "proto/process.h"
#include "proto/rpc.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

/* A message is a megabyte. By default glibc returns each to the kernel, and faults it in again for the next. */
void rpc_tune_own_process(void)
{
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_TOP_PAD, 16 << 20);
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

void signals_block(sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

void signals_restore(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

static void log_nothing(gpr_log_func_args *args)
{
	(void)args;
}

/* Standard error belongs to the program. If it uses gRPC itself, then so does gRPC's log. */
static void start(void)
{
	sigset_t saved;

	if (!grpc_is_initialized() && !getenv("GRPC_VERBOSITY"))
		gpr_set_log_function(log_nothing);
	signals_block(&saved);
	grpc_init();
	signals_restore(&saved);
}

void process_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start);
}

gpr_timespec deadline_after(unsigned timeout_ms)
{
	if (!timeout_ms)
		return gpr_inf_future(GPR_CLOCK_MONOTONIC);
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
}

bool deadline_passed(gpr_timespec deadline)
{
	return gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), deadline) >= 0;
}
