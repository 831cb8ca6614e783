/*
 * inside.c: a thread with a descriptor table and a umask of its own loads the client library and becomes the keeper. The
 * rest of the shim speaks to it over the session's socket, as it would to a process.
 *
 * The library is bound to libc, not to us (RTLD_DEEPBIND): its descriptors are numbers of another table. A forked child has
 * no such thread; it goes on with its parent's. What SIGKILL takes with it is lost to the cluster: it lies in the staging directory.
 */
#include "shim/inside.h"
#include "shim/real.h"
#include "shim/session.h"
#include "shim/start.h"
#include "shim/sys.h"

#include <dlfcn.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { NOT_STARTED, STARTING, SERVING, ENDED };

#define START_S 30

static _Atomic uint32_t state;
static _Atomic int keeper_tid, keeper_pid;

static void state_set(uint32_t to)
{
	atomic_store(&state, to);
	sys3(SYS_futex, &state, FUTEX_WAKE_PRIVATE, INT_MAX);
}

/* Until it is no longer `from`; false after START_S. */
static bool state_wait(uint32_t from, bool limited)
{
	struct timespec limit = {START_S, 0};
	long rc = 0;

	while (atomic_load(&state) == from && rc != -ETIMEDOUT)
		rc = sys4(SYS_futex, &state, FUTEX_WAIT_PRIVATE, from, limited ? &limit : NULL);
	return atomic_load(&state) != from;
}

static void serving(void *unused)
{
	(void)unused;
	state_set(SERVING);
}

/* Nothing of the program's stays open here: a pipe would not end. */
static bool own_table(void)
{
	if (sys1(SYS_unshare, CLONE_FS | CLONE_FILES) || sys3(SYS_close_range, 0, ~0u, 0))
		return false;
	for (int fd = 0; fd < 3; fd++)
		if (sys_open("/dev/null", O_RDWR, 0) != fd)
			return false;
	return true;
}

static void *keeper_thread(void *unused)
{
	int (*keep)(const char *, const char *, void (*)(void *), void *) = NULL;
	char library[PATH_MAX];
	void *client;
	int rc = -1;

	(void)unused;
	atomic_store(&keeper_tid, (int)sys0(SYS_gettid));
	if (own_table() && start_client(library)) {
		client = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
		if (client)
			*(void **)&keep = dlsym(client, "slip_keeper_inside");
		if (!keep)
			shim_log("cannot load the client", dlerror(), 0);
	}
	if (keep)
		rc = keep(shim.session, shim.mounts, serving, NULL);
	if (rc)
		shim_log("no keeper in this process", shim.session, 0);
	state_set(ENDED);
	return NULL;
}

static int thread_start(void)
{
	sigset_t all, before;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, NULL, keeper_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return -rc;
	pthread_detach(thread);
	return 0;
}

STARTUP bool inside_here(void)
{
	return shim.inside && atomic_load(&state) == SERVING && atomic_load(&keeper_pid) == (int)sys0(SYS_getpid);
}

int inside_start(void)
{
	uint32_t was = NOT_STARTED;
	int pid = (int)sys0(SYS_getpid), owner = atomic_load(&keeper_pid);

	if (session_vfork_child() || (owner && owner != pid)) {
		shim_log("a child outlived, or came before, the client in its parent", shim.session, 0);
		return -EIO;
	}
	if (atomic_load(&state) == ENDED)
		atomic_compare_exchange_strong(&state, &(uint32_t){ENDED}, NOT_STARTED);
	if (atomic_compare_exchange_strong(&state, &was, STARTING)) {
		atomic_store(&keeper_pid, pid);
		if (thread_start())
			state_set(ENDED);
	}
	state_wait(STARTING, true);
	return atomic_load(&state) == SERVING ? 0 : -EIO;
}

STARTUP void inside_end(void)
{
	if (!inside_here())
		return;
	session_drop(); /* connections of ours would keep it waiting */
	sys3(SYS_tgkill, sys0(SYS_getpid), atomic_load(&keeper_tid), SIGTERM);
	state_wait(SERVING, false);
}
