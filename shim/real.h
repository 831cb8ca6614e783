/*
 * real.h: the libc behind us. Each slot looks itself up on first use: calls come before our constructor does.
 */
#ifndef SLIPSTREAM_SHIM_REAL_H
#define SLIPSTREAM_SHIM_REAL_H

#include <features.h>
/* Names are exported as they are written here: the headers would make scanf() __isoc99_scanf(), later ones __isoc23_scanf(). */
#undef __GLIBC_USE_DEPRECATED_SCANF
#define __GLIBC_USE_DEPRECATED_SCANF 1
#undef __GLIBC_USE_C2X_STRTOL
#define __GLIBC_USE_C2X_STRTOL 0
#undef __GLIBC_USE_C23_STRTOL
#define __GLIBC_USE_C23_STRTOL 0
#undef __USE_EXTERN_INLINES /* nor are they inline functions or macros */

#include <aio.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <mntent.h>
#include <nl_types.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
#include <utmp.h>
#include <wchar.h>
#include <wordexp.h>

#include "shim/shim.h"

struct real {
#define WRAP(route, fails, ret, sym, op, params, args) ret(*sym) params;
#define HAND(where, ret, sym, params)                  ret(*sym) params;
#define READY(prepare, ret, sym, params, args)         ret(*sym) params;
#define ALIAS(sym, alias)
#define SAME(sym, alias)
#define NATIVE(sym, why)
#define LATER(sym, why)
#include "shim/symbols.def"
#undef WRAP
#undef HAND
#undef READY
#undef ALIAS
#undef SAME
#undef NATIVE
#undef LATER
};

extern HIDDEN struct real real;

/* What dlsym(RTLD_NEXT) would give, and dlerror() says after it what it would have said before; aborts if libc has no such function, as the dynamic linker would have. */
void *real_find(void **slot, const char *name) COLD;

/* The first library behind us, in ld.so's list. */
struct link_map *real_next(void);

#define REAL(sym) (likely(real.sym) ? real.sym : (__typeof__(real.sym))real_find((void **)&real.sym, #sym))

/* A second name of an exported function, whatever type libc's headers give it. */
#define EXPORT_ALIAS(sym, alias) __asm__(".globl " #alias "\n\t.set " #alias ", " #sym);

#endif
