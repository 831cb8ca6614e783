/* test_process.c: what dup, fork, vfork, exec and posix_spawn share. */
#include "check.h"
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <linux/close_range.h>

extern char **environ;

TEST(dup, shares_the_offset)
{
	int a = CHECK(open(scratch("f"), O_RDWR | O_CREAT, 0600)), b = CHECK(dup(a));

	CHECK_INT(write(a, "hello", 5), 5);
	CHECK_INT(lseek(b, 0, SEEK_CUR), 5);
	CHECK_INT(close(a), 0);
	CHECK_INT(write(b, "!", 1), 1); /* the description outlives one descriptor */
	CHECK_INT(close(b), 0);
	CHECK_STR(content(scratch("f")), "hello!");
}

TEST(dup, onto_a_number)
{
	int a = CHECK(open(make_file("f", "abc"), O_RDONLY)), b = CHECK(open(make_file("g", "xyz"), O_RDONLY));
	char c;

	CHECK_INT(dup2(a, b), b);
	CHECK_INT(read(b, &c, 1), 1);
	CHECK_INT(c, 'a');
	CHECK_INT(dup2(a, a), a);
	CHECK_ERRNO(dup2(99, a), EBADF);
	CHECK_ERRNO(dup3(a, a, 0), EINVAL);
	CHECK_INT(dup3(a, b, O_CLOEXEC), b);
	CHECK_INT(fcntl(b, F_GETFD), FD_CLOEXEC);
	CHECK_TRUE(CHECK(fcntl(a, F_DUPFD, 50)) >= 50);
	CHECK_INT(read(50, &c, 1), 1);
	CHECK_INT(c, 'b');
	CHECK_INT(close(50), 0);
	close(a);
	close(b);
}

TEST(dup, replaced_writer_is_published)
{
	int a = CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644)), null = CHECK(open("/dev/null", O_WRONLY));

	CHECK_INT(write(a, "text", 4), 4);
	CHECK_INT(dup2(null, a), a);
	CHECK_STR(content(scratch("f")), "text");
	close(a);
	close(null);
}

TEST(fork, shares_the_offset)
{
	char c;
	int fd = CHECK(open(make_file("f", "abcdef"), O_RDONLY));

	CHECK_INT(IN_CHILD(CHECK_INT(read(fd, &c, 1), 1); CHECK_INT(c, 'a')), 0);
	CHECK_INT(read(fd, &c, 1), 1);
	CHECK_INT(c, 'b');
	CHECK_INT(IN_CHILD(CHECK_INT(lseek(fd, 5, SEEK_SET), 5); close(fd)), 0);
	CHECK_INT(read(fd, &c, 1), 1);
	CHECK_INT(c, 'f');
	close(fd);
}

TEST(fork, both_write)
{
	int fd = CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644));

	CHECK_INT(write(fd, "parent ", 7), 7);
	CHECK_INT(IN_CHILD(CHECK_INT(write(fd, "child ", 6), 6)), 0);
	CHECK_INT(write(fd, "parent", 6), 6);
	CHECK_INT(close(fd), 0);
	CHECK_STR(content(scratch("f")), "parent child parent");
}

TEST(fork, child_opens_and_lists)
{
	make_file("f", "text");
	CHECK_INT(IN_CHILD({
			  DIR *d = opendir(scratch(""));
			  CHECK_TRUE(d != NULL);
			  CHECK_STR(content(scratch("f")), "text");
			  make_file("g", "of the child");
			  closedir(d);
		  }),
		  0);
	CHECK_STR(content(scratch("g")), "of the child");
}

static int run(char *const argv[], int in, int out)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (in >= 0)
			dup2(in, 0);
		if (out >= 0)
			dup2(out, 1);
		execv(argv[0], argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(exec, inherits_descriptors)
{
	int in = CHECK(open(make_file("f", "line one\nline two\n"), O_RDONLY)),
	    out = CHECK(open(scratch("g"), O_WRONLY | O_CREAT, 0644));
	char c;

	CHECK_INT(read(in, &c, 1), 1);
	CHECK_INT(run((char *[]){"/bin/cat", NULL}, in, out), 0);
	CHECK_INT(write(out, "after\n", 6), 6);
	CHECK_INT(close(out), 0);
	CHECK_INT(lseek(in, 0, SEEK_CUR), 18);
	close(in);
	CHECK_STR(content(scratch("g")), "ine one\nline two\nafter\n");
}

TEST(exec, of_a_program_here)
{
	char buf[64] = "";
	int out[2];

	CHECK_INT(run((char *[]){"/bin/cp", "/bin/echo", scratch("prog"), NULL}, -1, -1), 0);
	CHECK_INT(chmod(scratch("prog"), 0755), 0);
	CHECK_INT(pipe(out), 0);
	CHECK_INT(run((char *[]){scratch("prog"), "hello", NULL}, -1, out[1]), 0);
	close(out[1]);
	CHECK_INT(read(out[0], buf, sizeof buf), 6);
	CHECK_STR(buf, "hello\n");
	close(out[0]);
	CHECK_INT(chmod(scratch("prog"), 0644), 0);
	CHECK_INT(run((char *[]){scratch("prog"), NULL}, -1, -1), 127);
}

static char *make_program(const char *name, const char *text)
{
	char *path = make_file(name, text);

	CHECK_INT(chmod(path, 0755), 0);
	return path;
}

/* What a command prints, its newlines and all; static. */
static const char *printed(const char *command)
{
	static char text[4096];
	FILE *p = popen(command, "r");
	size_t n = p ? fread(text, 1, sizeof text - 1, p) : 0;

	text[n] = '\0';
	if (p)
		pclose(p);
	return text;
}

TEST(exec, of_scripts_here)
{
	char text[PATH_MAX + 64], wanted[2 * PATH_MAX], *path;
	int out[2], n;

	CHECK_INT(run((char *[]){"/bin/cp", "/bin/sh", scratch("shell"), NULL}, -1, -1), 0);
	path = make_program("plain", "#!/bin/sh -u\necho \"$0 $#: $1\"\n");
	snprintf(wanted, sizeof wanted, "%s 1: a b\n", path);
	CHECK_INT(pipe(out), 0);
	CHECK_INT(run((char *[]){path, "a b", NULL}, -1, out[1]), 0);
	n = CHECK(read(out[0], text, sizeof text - 1));
	text[n > 0 ? n : 0] = '\0';
	CHECK_STR(text, wanted);
	snprintf(text, sizeof text, "#!%s\necho \"by a shell here: $0\"\n", scratch("shell"));
	path = make_program("ours", text);
	snprintf(wanted, sizeof wanted, "by a shell here: %s\n", path);
	CHECK_INT(run((char *[]){path, NULL}, -1, out[1]), 0);
	n = CHECK(read(out[0], text, sizeof text - 1));
	text[n > 0 ? n : 0] = '\0';
	CHECK_STR(text, wanted);
	close(out[0]);
	close(out[1]);
	make_program("nothing", "#!/no/such/interpreter\n");
	CHECK_ERRNO(execl(scratch("nothing"), "nothing", NULL), ENOENT);
	make_program("bare", "echo by the shell\n");
	CHECK_ERRNO(execl(scratch("bare"), "bare", NULL), ENOEXEC);
	CHECK_ERRNO(execl(make_file("data", "#!/bin/sh\n"), "data", NULL), EACCES);
	CHECK_ERRNO(execl(scratch("missing"), "missing", NULL), ENOENT);
	CHECK_ERRNO(execl(scratch(""), "directory", NULL), EACCES);
	CHECK_ERRNO(execl(scratch("plain/x"), "x", NULL), ENOTDIR);
}

TEST(exec, by_the_path)
{
	char search[2 * PATH_MAX];
	char *saved = strdup(getenv("PATH"));
	int status = -1;
	pid_t pid;

	make_program("say-it", "#!/usr/bin/env -S sh -e\necho \"said $1\"\n");
	make_program("bare", "echo \"bare $1\"\n");
	snprintf(search, sizeof search, "/nowhere:%s:%s", scratch(""), saved);
	setenv("PATH", search, 1);
	CHECK_STR(printed("say-it one"), "said one\n");
	CHECK_STR(printed("env say-it two"), "said two\n");
	CHECK_STR(printed("bare three"), "bare three\n");
	CHECK_STR(printed("exec env -i PATH=\"$PATH\" say-it four"), "said four\n");
	CHECK_INT(posix_spawnp(&pid, "say-it", NULL, NULL, (char *[]){"say-it", "five", NULL}, environ), 0);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 0);
	CHECK_INT(posix_spawnp(&pid, "say-nothing", NULL, NULL, (char *[]){"say-nothing", NULL}, environ), ENOENT);
	CHECK_INT(IN_CHILD(execlp("say-it", "say-it", "six", NULL)), 0);
	CHECK_STR(
		printed("cd \"${PATH#*:}\" 2>/dev/null; cd \"$(dirname \"$(command -v say-it)\")\" && ./say-it seven"),
		"said seven\n");
	setenv("PATH", saved, 1);
	free(saved);
}

TEST(spawn, actions_open_files)
{
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t pid;

	make_file("in", "spawned\n");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, scratch("in"), O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, scratch("out"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	CHECK_INT(posix_spawn(&pid, "/bin/cat", &actions, NULL, (char *[]){"cat", NULL}, environ), 0);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 0);
	posix_spawn_file_actions_destroy(&actions);
	CHECK_STR(content(scratch("out")), "spawned\n");
}

TEST(vfork, child_redirects)
{
	int fd = CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644)), saved = CHECK(open("/dev/null", O_RDONLY)),
	    status;
	static char *argv[] = {"/bin/echo", "vforked", NULL};
	pid_t pid;
	char c;

	fflush(stdout);
	pid = vfork();
	if (pid == 0) {
		dup2(fd, 1);
		close(saved);
		execv(argv[0], argv);
		_exit(127);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(read(saved, &c, 1), 0); /* still open here */
	CHECK_INT(write(fd, "parent\n", 7), 7);
	CHECK_INT(close(fd), 0);
	close(saved);
	CHECK_STR(content(scratch("f")), "vforked\nparent\n");
}

TEST(spawn, system_and_popen)
{
	char command[PATH_MAX + 64], line[64];
	FILE *p;

	snprintf(command, sizeof command, "echo text > %s", scratch("f"));
	CHECK_INT(system(command), 0);
	CHECK_STR(content(scratch("f")), "text\n");
	snprintf(command, sizeof command, "cat %s", scratch("f"));
	p = popen(command, "r");
	CHECK_TRUE(p && fgets(line, sizeof line, p));
	CHECK_STR(line, "text\n");
	CHECK_INT(pclose(p), 0);
}

TEST(close, ranges)
{
	int a = CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644));

	CHECK_INT(IN_CHILD({
			  int b = dup2(a, 60);
			  CHECK_INT(close_range(50, 70, 0), 0);
			  CHECK_ERRNO(write(b, "x", 1), EBADF);
			  CHECK_INT(write(a, "kept", 4), 4);
			  closefrom(3);
			  CHECK_ERRNO(write(a, "x", 1), EBADF);
			  CHECK_STR(content(scratch("f")), "kept");
		  }),
		  0);
	CHECK_INT(close(a), 0);
	CHECK_STR(content(scratch("f")), "kept");
}

TEST(socket, passes_a_descriptor)
{
	int pair[2], fd = CHECK(open(make_file("f", "passed"), O_RDONLY)), got = -1;
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'x', buf[8];
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	CHECK_INT(sendmsg(pair[0], &m, 0), 1);
	CHECK_INT(close(fd), 0);
	CHECK_INT(recvmsg(pair[1], &m, 0), 1);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
	CHECK_INT(read(got, buf, sizeof buf), 6);
	close(got);
	close(pair[0]);
	close(pair[1]);
}

TEST(process, killed_writer_is_not_lost)
{
	int status, fds[2];
	char c;
	pid_t pid;

	CHECK_INT(pipe(fds), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd = open(scratch("f"), O_WRONLY | O_CREAT, 0644);

		if (write(fd, "written", 7) == 7 && write(fds[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	CHECK_INT(read(fds[0], &c, 1), 1);
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_STR(content(scratch("f")), "written");
	close(fds[0]);
	close(fds[1]);
}

TEST(process, full_descriptor_table)
{
	CHECK_INT(IN_CHILD({
			  struct rlimit l;
			  int last = -1;
			  CHECK_STR(content(make_file("f", "x")), "x");
			  getrlimit(RLIMIT_NOFILE, &l);
			  l.rlim_cur = 32;
			  CHECK_INT(setrlimit(RLIMIT_NOFILE, &l), 0);
			  for (int fd; (fd = dup(0)) >= 0;)
				  last = fd;
			  CHECK_ERRNO(open(scratch("f"), O_RDONLY), EMFILE);
			  close(last);
			  CHECK_TRUE(open(scratch("f"), O_RDONLY) >= 0);
		  }),
		  0);
}
