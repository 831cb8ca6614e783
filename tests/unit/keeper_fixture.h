/*
 * keeper_fixture.h: a keeper process over a local directory, asked as a program asks it; and that directory, seen from outside.
 */
#include "tests/unit/unit.h"
#include "tests/unit/local_backend.h"
#include "tests/unit/session_fixture.h"
#include "client/keeper.h"
#include "client/log.h"

#include <poll.h>

static struct session s;
static char root[64];
static const char *staged_in = "stage=/dev/shm";

static int keeper_child(struct session *session, int ready)
{
	const char *const settings[] = {"mounts=/t=goosefs://x:1/", staged_in, "page_size=64K", "page_cache_max=8M",
					NULL};
	struct keeper_options options = {.lock_fd = -1,
					 .dir = session->dir,
					 .listen_fd = session->listen_fd,
					 .ready_fd = ready,
					 .parent_fd = session->alive[0]};
	char log[96];

	snprintf(log, sizeof log, "%s/log", session->dir);
	log_open(getenv("KEEPER_LOG") ? getenv("KEEPER_LOG") : "error", getenv("KEEPER_LOG") ? NULL : log);
	if (slip_client_new(settings, &options.client))
		return 1;
	((struct mount *)mount_at(options.client->mounts, 0))->ops = &local_backend;
	fcntl(session->alive[0], F_SETFL, O_NONBLOCK);
	return keeper_run(&options);
}

static int start(void **state)
{
	(void)state;
	local_knobs = mmap(NULL, sizeof *local_knobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	strcpy(root, "/dev/shm/slipstream-root-XXXXXX");
	assert_non_null(mkdtemp(root));
	chmod(root, 0755);
	strcpy(local_knobs->root, root);
	session_make(&s);
	session_keeper(&s, keeper_child);
	session_map(&s);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	session_release(&s);
	nftw(root, session_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	munmap(local_knobs, sizeof *local_knobs);
	return 0;
}

/* ---- the cluster, seen from outside ------------------------------------------------------------------------------- */

static inline const char *outside(const char *path)
{
	static char full[512];

	snprintf(full, sizeof full, "%s%s", root, path);
	return full;
}

/* Content of a complete file; NULL: none. */
static inline const char *published(const char *path)
{
	static char text[1 << 20];
	int fd = open(outside(path), O_RDONLY);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return NULL;
	fstat(fd, &st);
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return st.st_mode & S_ISVTX ? NULL : text;
}

static inline void put_outside(const char *path, const char *text, size_t n)
{
	int fd = open(outside(path), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

static inline bool eventually(bool (*is)(const void *), const void *context)
{
	for (int i = 0; i < 500; i++) {
		if (is(context))
			return true;
		poll(NULL, 0, 10);
	}
	return false;
}

static inline bool is_published(const void *path)
{
	return published(path) != NULL;
}

static inline bool record_is_free(const void *record)
{
	return atomic_load(&s.records->record[*(const int *)record].kind) == SESSION_FREE;
}
