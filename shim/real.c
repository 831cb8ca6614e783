/* real.c: dlsym() takes no lock that a forked child could find held, and does not call back into us. */
#include "shim/real.h"

#include <dlfcn.h>
#include <stdlib.h>

struct real real;

void *real_find(void **slot, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found) {
		shim_log("libc has no function", name, 0);
		abort();
	}
	__atomic_store_n(slot, found, __ATOMIC_RELEASE);
	return found;
}
