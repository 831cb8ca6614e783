/*
 * run.c: `slipstream run`: make a session, run a program in it, return when all it wrote is published.
 *
 * The session's directory and its listening socket are ours; the keeper inherits the socket, so that a keeper that
 * dies is replaced without a program noticing more than a pause: connections queue until the next one accepts them.
 */
#include "tools/image.h"
#include "tools/session.h"
#include "tools/tools.h"
#include "client/command.h"

#include <errno.h>
#include <fcntl.h>
#include <popt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_UNPUBLISHED 125
#define KEEPER_RESTARTS    100 /* in one session; more means that it cannot live */

struct session {
	char dir[PATH_MAX];
	int listen_fd;
	int hold_fd;  /* keeps the embedded server, or -1; the keeper keeps it too */
	int alive[2]; /* we hold [1]; the keeper sees the end of [0] when we are gone */
	pid_t keeper;
	unsigned restarts;
};

/* ---- the keeper ------------------------------------------------------------------------------------------------------ */

static void exec_keeper(const struct session *s, int ready)
{
	char program[PATH_MAX], listen_fd[16], ready_fd[16], parent_fd[16];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	caller_leave();
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || install_program(program))
		_exit(complain(127, "no session: its keeper cannot be started"));
	if (s->hold_fd >= 0)
		fcntl(s->hold_fd, F_SETFD, 0);
	fcntl(s->listen_fd, F_SETFD, 0);
	fcntl(ready, F_SETFD, 0);
	fcntl(s->alive[0], F_SETFD, 0);
	snprintf(listen_fd, sizeof listen_fd, "%d", s->listen_fd);
	snprintf(ready_fd, sizeof ready_fd, "%d", ready);
	snprintf(parent_fd, sizeof parent_fd, "%d", s->alive[0]);
	execl(program, "slipstream", "keeper", "--session", s->dir, "--listen-fd", listen_fd, "--ready-fd", ready_fd,
	      "--parent-fd", parent_fd, (char *)NULL);
	_exit(complain(127, "%s: %s", program, strerror(errno)));
}

/* It has said why, unless it was killed. */
static int keeper_failed(pid_t keeper)
{
	int status = 0;

	while (waitpid(keeper, &status, 0) < 0 && errno == EINTR)
		;
	return WIFSIGNALED(status) ? complain(-ECHILD, "no session: %s", strsignal(WTERMSIG(status))) : -ECHILD;
}

/* Start the keeper. With wait, return when it serves; -ECHILD: it does not, and why has been said. */
static int keeper_start(struct session *s, bool wait)
{
	int ready[2];
	char byte;
	ssize_t n;

	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	s->keeper = fork();
	if (s->keeper == 0)
		exec_keeper(s, ready[1]);
	close(ready[1]);
	if (s->keeper < 0 || !wait) {
		close(ready[0]);
		return s->keeper < 0 ? -EAGAIN : 0;
	}
	while ((n = read(ready[0], &byte, 1)) < 0 && errno == EINTR)
		;
	close(ready[0]);
	return n == 1 ? 0 : keeper_failed(s->keeper);
}

/* ---- the program --------------------------------------------------------------------------------------------------------- */

static int set_environment(const struct session *s, const char *mounts)
{
	char shim[PATH_MAX];
	const char *others = getenv("LD_PRELOAD");
	char *preload = NULL;
	int rc = install_shim(shim);

	if (rc)
		return complain(rc, "libslipstream.so is neither beside this program nor in ../lib/slipstream");
	if (asprintf(&preload, "%s%s%s", shim, others && *others ? ":" : "", others ? others : "") < 0)
		return -ENOMEM;
	rc = setenv("LD_PRELOAD", preload, 1) || setenv("SLIPSTREAM_SESSION", s->dir, 1) ||
	     setenv("SLIPSTREAM_MOUNTS", mounts, 1);
	free(preload);
	return rc ? -ENOMEM : 0;
}

/* Is this name below a mount, or a URL? */
static bool below_a_mount(const char *name, const char *mounts)
{
	if (strstr(name, "://"))
		return true;
	for (const char *m = mounts; *m;) {
		size_t n;

		m += strspn(m, " \t\n");
		n = strcspn(m, "=");

		if (!strncmp(name, m, n) && (name[n] == '/' || name[n] == '\0'))
			return true;
		m += strcspn(m, ";");
		m += *m == ';';
	}
	return false;
}

static bool any_below_a_mount(const char *list, const char *mounts)
{
	char *rest = list ? strdup(list) : NULL, *all = rest, *place;
	bool below = false;

	while (!below && (place = strsep(&rest, ":")))
		below = *place && below_a_mount(place, mounts);
	free(all);
	return below;
}

/* Can the command, or a library it is linked with, be found by a program alone that has the shim? */
static bool shim_finds(const char *command, const char *mounts)
{
	return below_a_mount(command, mounts) || (!strchr(command, '/') && any_below_a_mount(getenv("PATH"), mounts)) ||
	       any_below_a_mount(getenv("LD_LIBRARY_PATH"), mounts);
}

/* One sentence on what will disappoint. */
static void obstacle_tell(const char *command)
{
	char path[PATH_MAX];
	struct image image;
	const char *why = image_find(command, path) ? NULL : image_obstacle(path, &image);

	if (why)
		complain(0, "%s %s: it will not see the mounts", image.path, why);
}

static void exec_command(const struct session *s, const char *mounts, char **command)
{
	static char *shell[] = {NULL, NULL};
	int error;

	if (set_environment(s, mounts))
		_exit(126);
	if (!*command) {
		shell[0] = getenv("SHELL");
		if (!shell[0] || access(shell[0], X_OK))
			shell[0] = "/bin/sh";
		command = shell;
	}
	if (shim_finds(*command, mounts)) {
		size_t n = 0;
		char **argv;

		while (command[n])
			n++;
		argv = calloc(n + 5, sizeof *argv);
		if (!argv)
			_exit(126);
		memcpy(argv, (char *[]){"sh", "-c", "exec \"$@\"", "sh"}, 4 * sizeof *argv);
		memcpy(argv + 4, command, n * sizeof *argv);
		execv("/bin/sh", argv);
	} else {
		obstacle_tell(*command);
		execvp(*command, command);
	}
	error = errno;
	complain(0, "%s: %s", *command, strerror(error));
	_exit(error == ENOENT ? 127 : 126);
}

static volatile sig_atomic_t program;

static void forward(int signal)
{
	if (program > 0)
		kill(program, signal);
}

/* Wait for the program; meanwhile replace a keeper that died. Returns the wait status. */
static int supervise(struct session *s, pid_t pid)
{
	int status;

	for (;;) {
		pid_t died = waitpid(-1, &status, 0);

		if (died == pid)
			return status;
		if (died < 0 && errno != EINTR)
			return 127 << 8;
		if (died == s->keeper && s->restarts++ < KEEPER_RESTARTS && keeper_start(s, false))
			complain(0, "the session's keeper ended and could not be started again");
	}
}

/* Wait until everything is published; tell what is not. Returns how many files are not. */
static int settle(struct session *s)
{
	char *text = calloc(1, SESSION_PAYLOAD_MAX + 1);
	int64_t failures = -EPIPE;
	int status;

	for (unsigned i = 0; text && i < 3; i++) {
		failures = session_ask(s->dir, SESSION_SETTLE, 0, text, SESSION_PAYLOAD_MAX + 1);
		if (failures != -EPIPE)
			break;
		if (waitpid(s->keeper, &status, WNOHANG) == s->keeper)
			keeper_start(s, true);
	}
	for (char *line = text; line && *line;) {
		size_t n = strcspn(line, "\n");

		complain(0, "not published: %.*s", (int)n, line);
		line += n + (line[n] == '\n');
	}
	if (failures < 0)
		complain(0, "the session's keeper does not answer: what was written may not be published");
	if (failures && text && !strstr(text, "staged in memory"))
		complain(0, "what was written is kept: see slipstream recover --list");
	free(text);
	return failures < 0 ? 1 : (int)failures;
}

/* ---- the end -------------------------------------------------------------------------------------------------------------- */

static void state_directory(char out[PATH_MAX])
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	out[0] = '\0';
	if (state && *state == '/')
		snprintf(out, PATH_MAX, "%s", state);
	else if (home && *home == '/') {
		snprintf(out, PATH_MAX, "%s/.local", home);
		mkdir(out, 0700);
		snprintf(out, PATH_MAX, "%s/.local/state", home);
	}
	if (*out) {
		size_t n = strlen(out);

		mkdir(out, 0700);
		snprintf(out + n, PATH_MAX - n, "/slipstream");
		mkdir(out, 0700);
	}
}

/* The session's log outlives the session if there is anything in it. With tell, its name is said. */
static void keep_log(const struct session *s, bool tell)
{
	char from[PATH_MAX + 8], state[PATH_MAX], to[PATH_MAX + 64], buf[4096];
	struct stat st;
	int in, out;
	ssize_t n;

	snprintf(from, sizeof from, "%s/log", s->dir);
	if (stat(from, &st) || !st.st_size)
		return;
	state_directory(state);
	snprintf(to, sizeof to, "%s/session-%ld.log", *state ? state : "/tmp", (long)getpid());
	in = open(from, O_RDONLY | O_CLOEXEC);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	while (in >= 0 && out >= 0 && (n = read(in, buf, sizeof buf)) > 0)
		if (write(out, buf, n) != n)
			break;
	if (in >= 0)
		close(in);
	if (out >= 0) {
		close(out);
		if (tell)
			complain(0, "the session's log: %s", to);
	}
}

/*
 * Let the keeper go. It leaves at once if nobody else uses the session; otherwise it stays for the programs that are
 * still there, and removes the directory itself when the last is gone.
 */
static void session_end(struct session *s)
{
	close(s->alive[1]);
	close(s->listen_fd);
	for (int waited_ms = 0; waited_ms < 200; waited_ms += 5) {
		if (waitpid(s->keeper, NULL, WNOHANG) != 0)
			return;
		usleep(5000);
	}
}

/* The mounts of the session we are in, whose directory is dir, if it is the one that is wanted; else NULL. */
static const char *joined(const char *root, const char *mounts, char dir[PATH_MAX])
{
	const char *given = getenv("SLIPSTREAM_SESSION"), *have = getenv("SLIPSTREAM_MOUNTS");
	int fd;

	if (!given || !have || root || (mounts && strcmp(mounts, have)))
		return NULL;
	snprintf(dir, PATH_MAX, "%s", given);
	fd = session_connect(dir);
	if (fd < 0)
		return NULL;
	close(fd);
	return have;
}

/* Names need a user: a login's USER is not everywhere. */
static void set_user(void)
{
	struct passwd *pw;

	if (getenv("USER") || getenv("GOOSEFS_AUTH_USERNAME"))
		return;
	pw = getpwuid(geteuid());
	if (pw)
		setenv("USER", pw->pw_name, 0);
}

/* A variable whose value, from its byte at on, is a file's name. */
static void name_from_here(const char *variable, size_t at)
{
	const char *value = getenv(variable);
	char here[PATH_MAX], *text;

	if (!value || !value[at] || value[at] == '/' || !getcwd(here, sizeof here) ||
	    asprintf(&text, "%.*s%s/%s", (int)at, value, here, value + at) < 0)
		return;
	setenv(variable, text, 1);
	free(text);
}

/* The programs of the session have working directories of their own. */
static void names_from_here(void)
{
	const char *log = getenv("SLIPSTREAM_LOG"), *file = log ? strchr(log, ',') : NULL;

	if (file)
		name_from_here("SLIPSTREAM_LOG", (size_t)(file + 1 - log) + strspn(file + 1, " "));
	if (getenv("SLIPSTREAM_CONFIG"))
		name_from_here("SLIPSTREAM_CONFIG", 0);
}

/* What is on this machine's disk at a mount's prefix is not to be seen in the session. */
static void hidden_tell(const struct slip_client *client)
{
	const char *prefix, *url;

	for (unsigned i = 0; !slip_mount_at(client, i, &prefix, &url); i++)
		if (cluster_hides(prefix))
			complain(0, "%s is on this machine, too: programs in the session see the mount instead",
				 prefix);
}

/* What the preloaded library asks the environment for, which does not read the settings file: for want of another value, the file's. */
static int settings_pass_on(const struct cluster *cluster)
{
	static const struct {
		const char *name, *usual;
	} settings[] = {{"INHERIT", "true"}, {"REPORT", ""}, {"SHIM_TIMEOUT_MS", ""}};
	struct slip_client *client;
	const char *report;
	char variable[64];
	int rc = cluster_client(cluster, &client);

	if (rc)
		return rc;
	hidden_tell(client);
	for (unsigned i = 0; !rc && i < sizeof settings / sizeof *settings; i++) {
		const char *value = slip_setting(client, settings[i].name);

		snprintf(variable, sizeof variable, "SLIPSTREAM_%s", settings[i].name);
		rc = value && strcmp(value, settings[i].usual) && setenv(variable, value, 1) ? -ENOMEM : 0;
	}
	slip_client_free(client);
	report = getenv("SLIPSTREAM_REPORT");
	if (report && strcmp(report, "0") && strcmp(report, "1"))
		name_from_here("SLIPSTREAM_REPORT", 0);
	return rc;
}

/* Whoever recovers what the session leaves must know which server it was meant for: its address will be another one. */
static int root_note(const struct session *s, const char *root)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof path, "%s/root", s->dir);
	return root && symlink(root, path) ? -errno : 0;
}

/* It did not come about: nothing stays of it but its log. */
static void session_undo(struct session *s)
{
	keep_log(s, false);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	if (s->keeper > 0)
		waitpid(s->keeper, NULL, 0);
	session_remove(s->dir);
}

static int run_session(const char *root, const char *mounts, char **command)
{
	struct session s = {.listen_fd = -1, .hold_fd = -1, .alive = {-1, -1}};
	struct cluster cluster;
	int status, failures, rc;
	pid_t pid;

	set_user();
	names_from_here();
	rc = cluster_open(root, mounts, &cluster);
	if (rc)
		return STATUS_UNPUBLISHED;
	rc = settings_pass_on(&cluster);
	if (rc) {
		cluster_close(&cluster);
		return STATUS_UNPUBLISHED;
	}
	rc = session_new(s.dir);
	if (!rc)
		rc = s.listen_fd = session_listen(s.dir);
	if (rc >= 0)
		rc = root_note(&s, cluster.root);
	if (!rc && pipe2(s.alive, O_CLOEXEC))
		rc = -errno;
	if (!rc) {
		s.hold_fd = cluster.hold_fd;
		setenv("SLIPSTREAM_MOUNTS", cluster.mounts, 1);
		rc = keeper_start(&s, true);
	}
	if (rc) {
		if (rc != -ECHILD)
			complain(0, "no session: %s", strerror(-rc));
		if (*s.dir)
			session_undo(&s);
		cluster_close(&cluster);
		return STATUS_UNPUBLISHED;
	}
	pid = fork();
	if (pid == 0)
		exec_command(&s, cluster.mounts, command);
	program = pid;
	signal(SIGINT, SIG_IGN); /* the program's, as under a shell */
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTERM, forward);
	signal(SIGHUP, forward);
	status = pid < 0 ? 126 << 8 : supervise(&s, pid);
	program = 0;
	failures = settle(&s);
	keep_log(&s, true);
	session_end(&s);
	cluster_close(&cluster);
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		prctl(PR_SET_DUMPABLE, 0); /* the program has dumped its own core */
		raise(WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	status = WEXITSTATUS(status);
	return failures && status == 0 ? STATUS_UNPUBLISHED : status;
}

static int add_mount(char **all, const char *one)
{
	char *more;

	if (asprintf(&more, "%s%s%s", *all ? *all : "", *all ? ";" : "", one) < 0)
		return -ENOMEM;
	free(*all);
	*all = more;
	return 0;
}

int run_main(int argc, char **argv)
{
	char *root = NULL, *mount = NULL, *mounts = NULL;
	struct poptOption options[] = {
		{"root", 0, POPT_ARG_STRING, &root, 0,
		 "data of the embedded server (default: $XDG_DATA_HOME/slipstream)", "DIR"},
		{"mount", 'm', POPT_ARG_STRING, &mount, 'm', "a mount; may be given several times", "PREFIX=URL"},
		POPT_AUTOHELP POPT_TABLEEND,
	};
	poptContext popt =
		poptGetContext("slipstream run", argc, (const char **)argv, options, POPT_CONTEXT_POSIXMEHARDER);
	struct session s = {.listen_fd = -1, .hold_fd = -1};
	const char **rest, *have;
	int rc;

	poptSetOtherOptionHelp(popt, "[OPTION]... [--] [CMD [ARG]...]");
	while ((rc = poptGetNextOpt(popt)) > 0)
		if (rc == 'm' && add_mount(&mounts, mount))
			return complain(STATUS_UNPUBLISHED, "out of memory");
	if (rc < -1)
		return complain(STATUS_UNPUBLISHED, "run: %s: %s", poptBadOption(popt, 0), poptStrerror(rc));
	rest = poptGetArgs(popt);
	if (root && mounts)
		return complain(STATUS_UNPUBLISHED,
				"run: --root is for the embedded server, --mount for a cluster; give one");
	have = joined(root, mounts, s.dir);
	if (have) {
		unsetenv("LD_PRELOAD"); /* we are in it already */
		exec_command(&s, have, rest ? (char **)rest : (char *[]){NULL});
	}
	rc = run_session(root, mounts, rest ? (char **)rest : (char *[]){NULL});
	free(mounts);
	poptFreeContext(popt);
	return rc;
}
