/* test_stage.c: what staging rests on: events that merge, and a lease that sees every writer there is. */
#include "tests/unit/unit.h"
#include "client/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];
static int dir_fd, fd, events;
static struct stage *stage;
static uint64_t number;

static int start(void **state)
{
	(void)state;
	strcpy(dir, "/dev/shm/slipstream-stage-XXXXXX");
	assert_non_null(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(stage_open(dir_fd, "/dev/shm", &stage), 0);
	assert_non_null(stage_dir(stage));
	fd = stage_create(stage, &number);
	assert_true(fd >= 0);
	events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	assert_true(inotify_add_watch(events, stage_dir(stage), IN_CLOSE_WRITE) >= 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	close(fd);
	close(events);
	stage_remove(stage, number);
	stage_remove_all(stage, dir_fd);
	stage_close(stage);
	close(dir_fd);
	rmdir(dir);
	return 0;
}

/* How many events there are; each names the file. */
static int events_read(void)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n = read(events, buf, sizeof buf);
	int count = 0;

	for (char *at = buf; n > 0 && at < buf + n; count++) {
		struct inotify_event *e = (struct inotify_event *)at;

		assert_int_equal(stage_number(e->name), number);
		at += sizeof *e + e->len;
	}
	return count;
}

static void free_now(void)
{
	assert_int_equal(lease_unwritten(fd), 0);
	assert_int_equal(lease_drop(fd), 0);
}

static void merges_events(void **state)
{
	int writers[10];

	(void)state;
	for (int i = 0; i < 10; i++)
		writers[i] = fd_reopen(fd, O_WRONLY);
	for (int i = 0; i < 10; i++)
		close(writers[i]);
	assert_int_equal(events_read(), 1); /* so they cannot be counted */
	free_now();
}

static void sees_a_mapping_after_close(void **state)
{
	int writer = fd_reopen(fd, O_RDWR);
	char *map;

	(void)state;
	assert_int_equal(ftruncate(writer, 4096), 0);
	assert_int_equal(lease_unwritten(fd), -EAGAIN);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0);
	close(writer);
	assert_int_equal(lease_unwritten(fd), -EAGAIN);
	assert_int_equal(events_read(), 0);
	munmap(map, 4096);
	assert_int_equal(events_read(), 1);
	free_now();
}

static void sees_a_reopen_by_another_process(void **state)
{
	int go[2], status;
	char name[64], byte = 0;
	pid_t child;

	(void)state;
	snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)getpid(), fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, go), 0);
	child = fork();
	if (!child) {
		int writer = open(name, O_WRONLY);

		_exit(writer < 0 || write(go[1], &byte, 1) != 1 || read(go[1], &byte, 1) != 1);
	}
	assert_int_equal(read(go[0], &byte, 1), 1);
	assert_int_equal(lease_unwritten(fd), -EAGAIN);
	kill(child, SIGKILL); /* the kernel closes */
	waitpid(child, &status, 0);
	assert_int_equal(events_read(), 1);
	free_now();
	close(go[0]);
	close(go[1]);
}

static void sees_a_descriptor_in_flight(void **state)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {"x", 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int writer = fd_reopen(fd, O_WRONLY), pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof writer);
	memcpy(CMSG_DATA(c), &writer, sizeof writer);
	assert_int_equal(sendmsg(pair[0], &m, 0), 1);
	close(writer);
	assert_int_equal(lease_unwritten(fd), -EAGAIN); /* nobody has a number for it */
	close(pair[0]);
	close(pair[1]);
	free_now();
}

static void tells_of_a_writer_who_comes_back(void **state)
{
	struct pollfd ready;
	struct signalfd_siginfo info;
	sigset_t set;
	char name[64];
	int status;
	pid_t child;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, LEASE_SIGNAL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ready = (struct pollfd){.fd = signalfd(-1, &set, SFD_CLOEXEC), .events = POLLIN};
	assert_int_equal(lease_unwritten(fd), 0);
	snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)getpid(), fd);
	child = fork();
	if (!child)
		_exit(open(name, O_WRONLY) < 0);
	assert_int_equal(poll(&ready, 1, 5000), 1);
	assert_int_equal(waitpid(child, &status, WNOHANG), 0); /* it waits */
	assert_int_equal(read(ready.fd, &info, sizeof info), sizeof info);
	assert_int_equal(info.ssi_fd, fd);
	assert_int_equal(lease_drop(fd), 0);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	close(ready.fd);
}

static void knows_when_it_is_alone(void **state)
{
	int reader = fd_reopen(fd, O_RDONLY);

	(void)state;
	assert_false(lease_alone(fd));
	close(reader);
	assert_true(lease_alone(fd));
	free_now(); /* and left none */
}

static void comes_back_to_its_directory(void **state)
{
	struct stage *again;
	struct stat a, b;
	int other;

	(void)state;
	assert_int_equal(stage_open(dir_fd, "/nowhere", &again), 0);
	assert_string_equal(stage_dir(again), stage_dir(stage));
	other = stage_adopt(again, number);
	assert_true(other >= 0);
	fstat(fd, &a);
	fstat(other, &b);
	assert_true(a.st_ino == b.st_ino);
	close(other);
	assert_int_equal(stage_adopt(again, 1), -ENOENT);
	stage_close(again);
	assert_int_equal(stage_number("notours!"), 0);
	assert_false(stage_room(stage, 100, 101));
}

static void probes(void **state)
{
	(void)state;
	assert_int_equal(stage_probe("/dev/shm"), 0);
	assert_int_not_equal(stage_probe("/proc"), 0);
	assert_int_not_equal(stage_probe("/nowhere"), 0);
}

static void tells_by_times(void **state)
{
	struct stat before, after;
	int writer = fd_reopen(fd, O_WRONLY);

	(void)state;
	assert_false(stage_times(stage).mapped); /* tmpfs */
	assert_int_equal(write(writer, "a", 1), 1);
	fstat(fd, &before);
	if (!stage_times(stage).each)
		poll(NULL, 0, 20);
	assert_int_equal(write(writer, "b", 1), 1);
	fstat(fd, &after);
	assert_memory_not_equal(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim);
	close(writer);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(merges_events),
		T(sees_a_mapping_after_close),
		T(sees_a_reopen_by_another_process),
		T(sees_a_descriptor_in_flight),
		T(tells_of_a_writer_who_comes_back),
		T(knows_when_it_is_alone),
		T(comes_back_to_its_directory),
		T(tells_by_times),
		cmocka_unit_test(probes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
