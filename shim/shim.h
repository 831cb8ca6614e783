/*
 * shim.h: what all of the shim shares: its one piece of global state, and the words of its wrappers.
 */
#ifndef SLIPSTREAM_SHIM_SHIM_H
#define SLIPSTREAM_SHIM_SHIM_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/session.h"

#define EXPORT      __attribute__((visibility("default")))
#define HIDDEN      __attribute__((visibility("hidden"))) /* -fvisibility does not say it of what is extern */
#define COLD        __attribute__((noinline, cold))
#define STARTUP     __attribute__((section(".text.startup"))) /* what every process runs, on few pages */
#define NEAR        __attribute__((section(".data"))) /* what it touches, on the page that was written to before */
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define URL_MAX 256

struct prefix {
	const char *path; /* "/goosefs": absolute, normalised, not "/" */
	unsigned bytes;
	const char *last; /* its last component: whoever gets in from outside has to write it */
	const char *url;  /* "goosefs://host:9200" */
	unsigned url_bytes;
	unsigned scheme_bytes; /* of url: "goosefs"; 0: no path is a URL of it */
	const char *root;      /* what follows in the mount's URL, normalised: "/data", or "" */
	unsigned root_bytes;
};

struct shim {
	bool active;                   /* false: every wrapper is libc's function and a compare */
	bool inherit;                  /* children keep our environment */
	bool alone;                    /* nobody runs the session: we start its keeper */
	bool inside;                   /* ... in this process */
	bool report;                   /* count what is done, and tell it at the end */
	bool log_own;                  /* log is a file that SLIPSTREAM_LOG names, not the session's */
	uint8_t begins[UCHAR_MAX + 1]; /* how a path of ours may begin (prefix.c) */
	unsigned prefix_count;
	struct prefix prefix[SESSION_MOUNTS_MAX];
	const char *session;       /* its directory */
	const char *log, *records; /* files in it: named once, for a thread's stack may be small */
	const char *preload;       /* our own entry of LD_PRELOAD, for children; "" if we came by another way */
	const char *mounts;        /* as SLIPSTREAM_MOUNTS */
	unsigned timeout_ms;       /* longest wait for the keeper; 0: no limit */
};

extern HIDDEN struct shim shim; /* written by the constructor alone */

/* One line into the log; standard error belongs to the program. Async-signal-safe. */
void shim_log(const char *what, const char *detail, long rc) COLD;

#endif
