/*
 * user.c: the kernel tells of a whole range at once (MADV_POPULATE_WRITE), and makes its pages present, which the copy would do one
 * by one. Where it does not (an older kernel, memory of a device) a byte of each page is written by the kernel and not by us.
 *
 * A range that was found good is believed until another is asked about: programs use their buffers again. Who unmaps it in between
 * and names it all the same crashes, as in any function of libc.
 */
#include "shim/user.h"
#include "shim/sys.h"

#include <string.h>

#define PAGE           4096ul
#define EXPECT_MAX     (8ul << 20)
#define POPULATE_WRITE 23 /* MADV_POPULATE_WRITE, since Linux 5.14 */

static __thread __attribute__((tls_model("initial-exec"))) struct {
	uintptr_t from, to;
} good;

/* One byte, which is to be overwritten anyway. */
static bool byte_takes(uintptr_t at)
{
	long rc;

	do
		rc = sys3(SYS_getrandom, at, 1, 0);
	while (rc == -EINTR);
	return rc != -EFAULT;
}

static bool range_known(uintptr_t at, size_t n)
{
	return at >= good.from && at <= good.to && n <= good.to - at;
}

static bool range_takes(uintptr_t at, size_t n)
{
	uintptr_t from = at & ~(PAGE - 1), to = (at + n + PAGE - 1) & ~(PAGE - 1);

	if (likely(range_known(at, n)))
		return true;
	if (at + n < at || sys3(SYS_madvise, from, to - from, POPULATE_WRITE))
		return false;
	good.from = from;
	good.to = to;
	return true;
}

void user_expect(void *to, size_t n)
{
	range_takes((uintptr_t)to, n < EXPECT_MAX ? n : EXPECT_MAX);
}

bool user_takes(void *to, size_t n)
{
	uintptr_t at = (uintptr_t)to;

	return !n || range_takes(at, n) || (byte_takes(at) && byte_takes(at + n - 1));
}

size_t user_put(void *to, const void *from, size_t n)
{
	uintptr_t at = (uintptr_t)to;

	if (likely(range_takes(at, n))) {
		memcpy(to, from, n);
		return n;
	}
	for (size_t done = 0; done < n;) {
		size_t part = PAGE - ((at + done) & (PAGE - 1));

		if (!byte_takes(at + done))
			return done;
		part = part < n - done ? part : n - done;
		memcpy((char *)to + done, (const char *)from + done, part);
		done += part;
	}
	return n;
}
