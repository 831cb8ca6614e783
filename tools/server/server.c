/*
 * server.c: START HERE. Options, root, store, workers, master; then wait for a reason to stop.
 *
 * One process plays all the roles: workers tell the master of their commits by a function call, under its lock.
 */
#include "tools/server/server.h"
#include "tools/server/jobs.h"
#include "tools/server/log.h"
#include "tools/server/master.h"
#include "tools/server/options.h"
#include "tools/server/reserve.h"
#include "tools/server/root.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MASTER_HOST "127.0.0.1"

/* Whom things belong to when a client does not say who it is. */
static void name_ourselves(struct master *master)
{
	const struct passwd *user = getpwuid(geteuid());
	const struct group *group = getgrgid(getegid());

	snprintf(master->owner, sizeof(master->owner), "%s", user ? user->pw_name : "root");
	snprintf(master->group, sizeof(master->group), "%s", group ? group->gr_name : "root");
}

static int open_store(struct master *master)
{
	char path[PATH_MAX + 32], why[256];
	struct fault fault = {0};
	int rc;

	snprintf(path, sizeof(path), "%s/meta.db", master->root);
	rc = store_open(&master->store, path, why, sizeof(why));
	if (rc) {
		log_error("%s: %s", path, why);
		return rc;
	}
	store_lock(&master->store);
	if (tree_init(&master->store, master->owner, master->group, &fault)) {
		log_error("%s: %s", path, fault.text);
		rc = -EIO;
	}
	store_unlock(&master->store);
	if (rc)
		store_close(&master->store);
	return rc;
}

static int open_ufs(struct master *master, const struct options *o)
{
	char path[PATH_MAX + 8];
	int rc;

	master->ufs.dir_fd = -1;
	master->persist_delay_ms = o->persist_delay_ms;
	if (o->ufs && !*o->ufs)
		return 0;
	snprintf(path, sizeof(path), o->ufs ? "%s" : "%s/ufs", o->ufs ? o->ufs : master->root);
	rc = ufs_open(&master->ufs, path, master->root);
	if (rc == -EINVAL)
		log_error("--ufs=%s: it holds the server's own root", path);
	else if (rc)
		log_error("%s: %s", path, strerror(-rc));
	if (rc)
		return rc;
	store_lock(&master->store);
	jobs_run(&master->store, &master->ufs); /* what a crash has left undone */
	store_unlock(&master->store);
	ufs_empty_trash(&master->ufs);
	return 0;
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* Those of the command line and those of the file, in the place of what held before. */
static int read_faults(struct master *master, const struct options *o)
{
	char path[PATH_MAX + 8], why[128];
	struct faults faults;
	int rc;

	faults_clear(&faults);
	for (char **fault = o->faults; fault && *fault; fault++)
		faults_set(&faults, *fault, why, sizeof(why));
	snprintf(path, sizeof(path), "%s/faults", master->root);
	rc = faults_read(&faults, path, why, sizeof(why));
	if (rc)
		log_error("%s: %s", path, why);
	else
		faults_assign(&master->faults, &faults);
	return rc;
}

/* Workers have different names even on one machine: clients that want replicas skip equal ones (spec goosefs 11.4). */
static void name_worker(struct worker *worker)
{
	if (worker->id == 1)
		strcpy(worker->host, "127.0.0.1");
	else if (worker->id == 2)
		strcpy(worker->host, "localhost");
	else
		snprintf(worker->host, sizeof(worker->host), "127.0.0.%d", worker->id);
}

/* On worker->port, or any free one. */
static int worker_listen(struct worker *worker, const struct options *o)
{
	struct rpc_server_options serve = {
		.host = worker->id <= 2 ? MASTER_HOST : worker->host,
		.port = worker->port,
		.auth = o->auth,
		.handlers = worker_handlers,
		.context = worker,
	};
	int rc = rpc_server_new(&serve, &worker->server, &worker->port);

	if (rc)
		log_error("worker %d cannot listen on %s:%d: %s", worker->id, serve.host, serve.port, strerror(-rc));
	return rc;
}

static int start_worker(struct master *master, int id, const struct options *o)
{
	struct worker *worker = &master->workers[id - 1];
	int rc;

	worker->id = id;
	worker->port = o->worker_port ? o->worker_port + id - 1 : 0;
	worker->store = &master->store;
	worker->ufs = &master->ufs;
	worker->faults = &master->faults;
	name_worker(worker);
	rc = blocks_open(&worker->blocks, master->root, id);
	if (!rc)
		rc = worker_reconcile(worker);
	if (rc) {
		log_error("%s/blocks/%d: %s", master->root, id, strerror(-rc));
		return rc;
	}
	return worker_listen(worker, o);
}

static int start_all(struct master *master, const struct options *o, int *port)
{
	struct rpc_server_options serve = {
		.host = MASTER_HOST,
		.port = o->port,
		.auth = o->auth,
		.handlers = master_handlers,
		.context = master,
	};
	int rc = 0;

	master->nworkers = o->workers;
	for (int i = 0; i < MAX_WORKERS; i++)
		master->workers[i].blocks.dir_fd = -1;
	for (int id = 1; !rc && id <= o->workers; id++)
		rc = start_worker(master, id, o);
	if (rc)
		return rc;
	rc = persist_start(master);
	if (rc) {
		log_error("a thread cannot be started: %s", strerror(-rc));
		return rc;
	}
	rc = rpc_server_new(&serve, &master->server, port);
	if (rc)
		log_error("the master cannot listen on %s:%d: %s", serve.host, serve.port, strerror(-rc));
	return rc;
}

/* Those that are not a question asked when the time comes, but something to do now. */
static void apply_faults(struct master *master, const struct options *o)
{
	const struct faults *faults = &master->faults;

	store_lock(&master->store);
	db_pretend_full(master->store.db, fault_on(faults, FAULT_METADATA_FULL));
	store_unlock(&master->store);
	if (fault_on(faults, FAULT_REVOKE))
		rpc_server_revoke_all(master->server);
	for (int i = 0; i < master->nworkers; i++) {
		struct worker *worker = &master->workers[i];
		bool gone = fault_of_worker(faults, FAULT_WORKER_GONE, worker->id);

		worker_unstick(worker);
		if (gone && worker->server) {
			rpc_server_free(worker->server);
			worker->server = NULL;
		} else if (!gone && !worker->server) {
			worker_listen(worker, o);
		}
		if (worker->server && fault_on(faults, FAULT_REVOKE))
			rpc_server_revoke_all(worker->server);
	}
}

/* The one line that says what holds now. */
static void change_faults(struct master *master, const struct options *o)
{
	if (!read_faults(master, o))
		apply_faults(master, o);
	printf("slipstream server faults: ");
	faults_print(&master->faults, stdout);
	putchar('\n');
	fflush(stdout);
}

static void stop_all(struct master *master)
{
	if (master->server)
		rpc_server_free(master->server);
	persist_stop(master);
	for (int i = 0; i < master->nworkers; i++) {
		if (master->workers[i].server)
			rpc_server_free(master->workers[i].server);
		blocks_close(&master->workers[i].blocks);
	}
}

/* The one line that says we are ready. */
static int announce(const struct master *master, int port)
{
	printf("slipstream server ready: master=" MASTER_HOST ":%d workers=", port);
	for (int i = 0; i < master->nworkers; i++)
		printf("%s%s:%d", i ? "," : "", master->workers[i].host, master->workers[i].port);
	putchar('\n');
	if (!fflush(stdout))
		return 0;
	log_error("standard output: %s", strerror(errno));
	return -EIO;
}

/* True when nobody writes to the pipe any more. */
static bool pipe_is_abandoned(int fd)
{
	struct pollfd end = {.fd = fd, .events = POLLIN};
	char unread[256];

	while (poll(&end, 1, 0) > 0 && (end.revents & POLLIN))
		if (read(fd, unread, sizeof(unread)) <= 0)
			return true;
	return end.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/*
 * Who joins a server opens the pipe again while holding run.lock. So look again once we have the lock: after that
 * nobody can come, and we keep the lock until we are gone.
 */
static bool parent_is_gone(struct root *root, int fd)
{
	if (!pipe_is_abandoned(fd))
		return false;
	if (!root_leave(root, true) || pipe_is_abandoned(fd))
		return true;
	root_stay(root);
	return false;
}

/* True for one that stops us. */
static bool signal_stops(int signals)
{
	struct signalfd_siginfo info;

	return read(signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo != SIGUSR1;
}

static void wait_for_end(struct root *root, struct master *master, const struct options *o, int signals)
{
	struct pollfd events[2] = {{.fd = signals, .events = POLLIN}, {.fd = o->parent_fd, .events = POLLIN}};

	for (;;) {
		if (poll(events, 2, -1) < 0 && errno != EINTR) {
			log_error("poll: %s", strerror(errno));
			return;
		}
		if (events[0].revents && signal_stops(signals)) {
			/* With the lock if we can get it, without if not: a signal is an order. */
			root_leave(root, false);
			return;
		}
		if (events[0].revents)
			change_faults(master, o);
		if (events[1].revents && parent_is_gone(root, o->parent_fd))
			return;
	}
}

/* Signals come through a descriptor; blocked before any thread is made, so that none of them takes one. */
static int catch_signals(void)
{
	sigset_t stop;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	fd = signalfd(-1, &stop, SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int serve(struct root *root, const struct options *o, int signals)
{
	struct master *master = calloc(1, sizeof(*master));
	char address[64];
	int rc, port;

	if (!master)
		return -ENOMEM;
	master->root = root->path;
	master->block_size = o->block_size;
	name_ourselves(master);
	rc = read_faults(master, o);
	if (rc)
		goto out;
	rc = open_store(master);
	if (rc)
		goto out;
	rc = open_ufs(master, o);
	if (!rc)
		rc = start_all(master, o, &port);
	if (rc)
		goto stop;
	apply_faults(master, o);
	snprintf(address, sizeof(address), MASTER_HOST ":%d", port);
	rc = root_publish(root, address, o->address_file);
	if (!rc) {
		atomic_store(&master->reserve_spent, reserve_make(root->path) != 0);
		rc = announce(master, port);
	}
	if (!rc) {
		log_ready();
		wait_for_end(root, master, o, signals);
	}
	root_unpublish(root, o->address_file);
stop:
	stop_all(master);
	ufs_close(&master->ufs);
	store_close(&master->store);
out:
	free(master);
	return rc;
}

int server_main(int argc, char **argv)
{
	struct options options;
	struct root root;
	int signals, rc = log_open(getenv("SLIPSTREAM_LOG"));

	if (rc)
		return 2;
	rc = options_parse(&options, argc, argv);
	if (rc) {
		options_release(&options);
		return rc == 1 ? 0 : rc;
	}
	rpc_tune_own_process();
	signals = catch_signals();
	rc = signals < 0 ? signals : root_open(&root, options.root);
	if (!rc) {
		rc = serve(&root, &options, signals);
		if (options.parent_fd >= 0)
			close(options.parent_fd); /* before the lock: whoever has that may take an open pipe for a server */
		root_close(&root);
	}
	if (signals >= 0)
		close(signals);
	options_release(&options);
	return rc ? 1 : 0;
}
