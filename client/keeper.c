/*
 * keeper.c: `slipstream keeper`: start and end. One per session; it can be killed and started again at any time, for what
 * matters lies in the session's directory and in the staging files.
 */
#include "client/keeper.h"
#include "client/log.h"
#include "proto/rpc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define CACHE_DEFAULT_MAX (1ull << 30)

static int failed(int rc, const char *what)
{
	log_error("keeper: %s: %s%s%s", what, strerror(-rc), *error_noted() ? ": " : "", error_noted());
	fprintf(stderr, "slipstream keeper: %s: %s\n", what, *error_noted() ? error_noted() : strerror(-rc));
	return 1;
}

/* ---- start ------------------------------------------------------------------------------------------------------ */

static int session_take(struct keeper *k, int lock)
{
	k->dir_fd = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->dir_fd < 0)
		return -errno;
	if (lock >= 0)
		return 0;
	lock = openat(k->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		return -errno;
	/* Held, and so left open, as long as we live. */
	return flock(lock, LOCK_EX | LOCK_NB) ? -errno : 0;
}

/* The kernel ends both of these for us when they are due; threads made later inherit what is blocked. */
static void signals_block(bool inside)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	sigaddset(&signals, SIGIO);
	sigaddset(&signals, LEASE_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (!inside)
		signal(SIGPIPE, SIG_IGN);
}

static void limits_take(struct keeper *k)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	if (!k->inside) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	k->files_max = files.rlim_cur;
}

static void identity_set(struct keeper *k)
{
	const char *user = config_text(k->client->config, CONFIG_USER);

	k->uid = geteuid();
	k->gid = getegid();
	if (!*user)
		user = getenv("USER");
	if (user && *user)
		snprintf(k->user, sizeof k->user, "%s", user);
	else
		snprintf(k->user, sizeof k->user, "%u", k->uid);
}

static uint64_t cache_bytes(const struct config *config)
{
	uint64_t bytes = config_u64(config, CONFIG_PAGE_CACHE_MAX);
	struct sysinfo memory;

	if (bytes || config_source(config, CONFIG_PAGE_CACHE_MAX) != CONFIG_FROM_DEFAULT || sysinfo(&memory))
		return bytes;
	bytes = (uint64_t)memory.totalram * memory.mem_unit / 8;
	return bytes < CACHE_DEFAULT_MAX ? bytes : CACHE_DEFAULT_MAX;
}

static void settings_take(struct keeper *k)
{
	const struct config *config = k->client->config;
	uint64_t page = 4096;
	int rc;

	while (page * 2 <= config_u64(config, CONFIG_PAGE_SIZE))
		page *= 2;
	k->page_max = page;
	k->ttl_ms = (int64_t)config_u64(config, CONFIG_METADATA_TTL_MS);
	k->fsync_publishes = config_u64(config, CONFIG_FSYNC) == FSYNC_PUBLISHES;
	k->write_behind = config_bool(config, CONFIG_WRITE_BEHIND);
	k->stage_max = config_u64(config, CONFIG_STAGE_MAX);
	rc = page_cache_new(page, cache_bytes(config), &k->pages);
	if (rc)
		log_note("no page cache: %s", strerror(-rc));
}

static void locks_init(struct keeper *k)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&k->tree, &attr);
	pthread_rwlockattr_destroy(&attr);
	for (unsigned i = 0; i < NAME_STRIPES; i++)
		lock_init(&k->name[i], LOCK_NAME);
	lock_init(&k->lock, LOCK_INODE);
	publisher_init(&k->publisher);
	pthread_cond_init(&k->caught_up, NULL);
}

/* Where an earlier keeper of this session stopped. */
static void session_adopt(struct keeper *k)
{
	lock_take(&k->lock);
	inodes_adopt(k);
	lock_drop(&k->lock);
	if (records_live(k->records))
		placeholders_check(k, false);
	lock_take(&k->lock);
	publish_all(k, true);
	lock_drop(&k->lock);
}

/* For whoever finds this session's directory when nobody is there to ask. */
static void mounts_note(struct keeper *k)
{
	int fd = openat(k->dir_fd, "mounts", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	const struct mount *mount;

	for (unsigned i = 0; fd >= 0 && (mount = mount_at(k->client->mounts, i)); i++)
		dprintf(fd, "%s=%s\n", mount->prefix, mount->url);
	if (fd >= 0)
		close(fd);
	else
		log_warn("%s/mounts: %s", k->dir, strerror(errno));
}

static int session_open(struct keeper *k)
{
	int rc = placeholder_start(k);

	if (!rc)
		rc = records_open(k->dir_fd, &k->records);
	if (!rc)
		rc = stage_open(k->dir_fd, config_text(k->client->config, CONFIG_STAGE), &k->stage);
	if (!rc && !k->stage_max)
		k->stage_max = stage_free(k->stage) / 10 * 9;
	if (!rc)
		rc = watch_start(k);
	return rc;
}

static void ready_tell(int fd)
{
	if (fd < 0)
		return;
	if (write(fd, "ready\n", 6) != 6)
		log_warn("nobody waits to hear that we are ready");
	close(fd);
}

/* ---- end -------------------------------------------------------------------------------------------------------- */

static void directory_empty(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && unlinkat(fd, e->d_name, 0))
			unlinkat(fd, e->d_name, AT_REMOVEDIR);
	if (dir)
		closedir(dir);
	unlinkat(dir_fd, name, AT_REMOVEDIR);
}

/* The session is over: nobody is there who could use what is in its directory. A log that nobody has read stays. */
static void session_remove(struct keeper *k)
{
	static const char *const files[] = {"log", "s", "records", "mounts", "root", "lock"};
	struct stat st;
	bool unread = (k->linger_ms || k->inside) && !fstatat(k->dir_fd, "log", &st, 0) && st.st_size;

	lock_take(&k->lock);
	locals_trim(k, 0); /* they may refer to an inode */
	inodes_trim(k, true);
	lock_drop(&k->lock);
	records_end(k->records);
	stage_remove_all(k->stage, k->dir_fd);
	directory_empty(k->dir_fd, "slots");
	directory_empty(k->dir_fd, "d");
	for (unsigned i = unread; i < sizeof files / sizeof *files; i++)
		unlinkat(k->dir_fd, files[i], 0);
	if (rmdir(k->dir))
		log_note("%s stays: %s", k->dir, strerror(errno));
}

int keeper_run(const struct keeper_options *options)
{
	struct keeper *k = calloc(1, sizeof *k);
	int rc;

	if (!k)
		return failed(-ENOMEM, "start");
	k->inside = options->inside;
	signals_block(k->inside);
	k->client = options->client;
	k->listen_fd = options->listen_fd;
	k->parent_fd = options->parent_fd;
	k->linger_ms = options->linger_ms;
	k->given = options->dir;
	if (!realpath(options->dir, k->dir))
		return failed(-errno, options->dir);
	rc = session_take(k, options->lock_fd);
	if (rc)
		return failed(rc, rc == -EWOULDBLOCK ? "this session has a keeper already" : k->dir);
	umask(077);
	limits_take(k);
	locks_init(k);
	identity_set(k);
	settings_take(k);
	rc = session_open(k);
	if (rc)
		return failed(rc, k->dir);
	mounts_note(k);
	session_adopt(k);
	records_set_keeper(k->records, getpid());
	rc = serve_start(k);
	if (rc)
		return failed(rc, "serve");
	ready_tell(options->ready_fd);
	if (options->ready)
		options->ready(options->ready_context);
	watch_run(k);
	if (k->linger_ms || k->inside || (options->parent_fd >= 0 && k->parent_fd < 0))
		session_remove(k);
	return 0; /* threads may still be at work; the process ends with them, and all that matters is on disk */
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static int fd_argument(const char *text)
{
	char *end;
	long fd = strtol(text, &end, 10);

	if (!*text || *end || fd < 0 || fd > INT_MAX || fcntl((int)fd, F_SETFD, FD_CLOEXEC))
		return -EBADF;
	return (int)fd;
}

static int usage(void)
{
	fputs("Usage: slipstream keeper --session DIR --listen-fd N [--ready-fd N] [--parent-fd N]\n"
	      "       slipstream keeper --alone DIR\n"
	      "Keeps a session: `slipstream run` starts it, or the first program of a session without.\n",
	      stderr);
	return 2;
}

static int options_parse(int argc, char **argv, struct keeper_options *out, bool *alone)
{
	static const struct option options[] = {
		{"session", required_argument, NULL, 's'},
		{"listen-fd", required_argument, NULL, 'l'},
		{"ready-fd", required_argument, NULL, 'r'},
		{"parent-fd", required_argument, NULL, 'p'},
		{"alone", required_argument, NULL, 'a'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, *fd;

	*out = (struct keeper_options){.listen_fd = -1, .ready_fd = -1, .parent_fd = -1, .lock_fd = -1};
	*alone = false;
	optind = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 's' || c == 'a') {
			out->dir = optarg;
			*alone |= c == 'a';
			continue;
		}
		fd = c == 'l' ? &out->listen_fd : c == 'r' ? &out->ready_fd : c == 'p' ? &out->parent_fd : NULL;
		if (!fd)
			return -EINVAL;
		*fd = fd_argument(optarg);
		if (*fd < 0)
			return *fd;
	}
	return optind == argc && out->dir && (*alone || out->listen_fd >= 0) ? 0 : -EINVAL;
}

int keeper_start(struct keeper_options *options)
{
	char log[PATH_MAX];
	int rc;

	if (!options->inside)
		rpc_tune_own_process();
	signals_block(options->inside);
	snprintf(log, sizeof log, "%s/log", options->dir);
	rc = log_open(NULL, log); /* before the settings, which may change its level, say the first thing */
	if (rc)
		return failed(rc, log);
	rc = slip_client_new(options->settings, &options->client);
	return rc ? failed(rc, "settings") : keeper_run(options);
}

int slip_keeper_main(int argc, char **argv)
{
	struct keeper_options options;
	bool alone;
	int rc = options_parse(argc, argv, &options, &alone);

	if (rc)
		return usage();
	if (alone) {
		rc = keeper_alone(options.dir);
		return rc && rc != -ECHILD ? failed(rc, options.dir) : rc != 0;
	}
	rc = keeper_start(&options);
	fflush(stderr);
	_exit(rc); /* with threads of ours in the library, its own end would be theirs in mid-air */
}
