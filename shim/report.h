/*
 * report.h: what this process did under the prefixes, told at its end (SLIPSTREAM_REPORT).
 *
 * Threads: any. Async-signal-safe. Nothing is counted unless it is asked for.
 */
#ifndef SLIPSTREAM_SHIM_REPORT_H
#define SLIPSTREAM_SHIM_REPORT_H

#include "client/session.h"
#include "shim/shim.h"

enum stat_id {
#define STAT(ID, unit, text) STAT_##ID,
#include "shim/stats.def"
#undef STAT
	STAT_COUNT
};

extern HIDDEN _Atomic uint64_t report_stats[STAT_COUNT];
extern HIDDEN _Atomic uint64_t report_requests[SESSION_OP_COUNT];

static inline void report_add(enum stat_id id, uint64_t n)
{
	if (unlikely(shim.report))
		atomic_fetch_add_explicit(&report_stats[id], n, memory_order_relaxed);
}

static inline void report_request(enum session_op op)
{
	if (unlikely(shim.report))
		atomic_fetch_add_explicit(&report_requests[op], 1, memory_order_relaxed);
}

/* SLIPSTREAM_REPORT as it was found. Keeps a copy of standard error: many programs close theirs before they end. */
void report_init(const char *where);

/* At the end of the process, once: to standard error, or appended to the file that SLIPSTREAM_REPORT names. */
void report_tell(void);

#endif
