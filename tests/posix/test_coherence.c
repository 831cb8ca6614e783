/*
 * test_coherence.c: what one descriptor, name or process does to a file that was there before, all others see. The files
 * are large, so that a file system that fetches small ones whole has to show what it does with those it does not.
 */
#include "check.h"
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define BIG 200000

static char pattern[BIG + 1];

static char *old_file(const char *name)
{
	for (int i = 0; i < BIG; i++)
		pattern[i] = (char)('a' + (i / 7 + i / 4096) % 26);
	return put_file(name, pattern, BIG);
}

/* What fd says from off on is this. */
static bool reads(int fd, off_t off, const char *text, size_t n)
{
	char buf[4096];
	size_t done = 0;

	while (done < n) {
		size_t want = n - done < sizeof buf ? n - done : sizeof buf;
		ssize_t got = pread(fd, buf, want, off + (off_t)done);

		if (got <= 0 || memcmp(buf, text + done, (size_t)got))
			return false;
		done += (size_t)got;
	}
	return true;
}

static bool holds(const char *path, const char *text, size_t n)
{
	int fd = open(path, O_RDONLY);
	char c;
	bool same = fd >= 0 && reads(fd, 0, text, n) && pread(fd, &c, 1, (off_t)n) == 0;

	close(fd);
	return same;
}

static off_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : st.st_size;
}

static ino_t ino_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

static void append(const char *path, const char *text)
{
	int fd = CHECK(open(path, O_WRONLY | O_APPEND));

	CHECK_INT(write(fd, text, strlen(text)), strlen(text));
	CHECK_INT(close(fd), 0);
}

TEST(coherence, copies_share_the_offset_also_while_written)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), d = CHECK(dup(r)), other = CHECK(open(scratch("f"), O_RDONLY));
	char buf[1000];

	CHECK_INT(read(r, buf, 10), 10);
	append(scratch("f"), "more");
	CHECK_INT(read(d, buf, 10), 10);
	CHECK_INT(lseek(r, 0, SEEK_CUR), 20);
	CHECK_INT(read(r, buf, 1000), 1000);
	CHECK_INT(memcmp(buf, pattern + 20, 1000), 0);
	CHECK_INT(lseek(d, 0, SEEK_CUR), 1020);
	CHECK_INT(lseek(other, 0, SEEK_CUR), 0);
	CHECK_INT(read(other, buf, 5), 5);
	CHECK_INT(lseek(r, 7, SEEK_SET), 7);
	CHECK_INT(lseek(d, 0, SEEK_CUR), 7);
	CHECK_INT(lseek(other, 0, SEEK_CUR), 5);
	CHECK_INT(flock(d, LOCK_SH | LOCK_NB), 0);
	CHECK_INT(read(d, buf, 10), 10);
	CHECK_INT(lseek(r, 0, SEEK_CUR), 17);
}

TEST(coherence, a_reader_allocates_nothing)
{
	int r = CHECK(open(old_file("f"), O_RDONLY));

	CHECK_INT(posix_fallocate(r, 0, 0), EINVAL);
	CHECK_INT(posix_fallocate(r, -1, 10), EINVAL);
	CHECK_INT(posix_fallocate(r, 0, 10), EBADF);
	CHECK_INT(size_of(r), BIG);
	close(r);
}

TEST(coherence, a_reader_sees_what_is_written)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), w;
	char buf[16];

	CHECK_TRUE(reads(r, 0, pattern, BIG));
	w = CHECK(open(scratch("f"), O_WRONLY));
	CHECK_TRUE(reads(r, 0, pattern, BIG));
	CHECK_INT(pwrite(w, "NEW", 3, 100000), 3);
	CHECK_TRUE(reads(r, 99999, (char[]){pattern[99999], 'N', 'E', 'W', pattern[100003]}, 5));
	CHECK_INT(pwrite(w, "tail", 4, BIG), 4);
	CHECK_INT(size_of(r), BIG + 4);
	CHECK_INT(lseek(r, -4, SEEK_END), BIG);
	CHECK_INT(read(r, buf, sizeof buf), 4);
	CHECK_TRUE(!memcmp(buf, "tail", 4));
	CHECK_INT(ftruncate(w, 1000), 0);
	CHECK_INT(size_of(r), 1000);
	CHECK_INT(pread(r, buf, 10, 1000), 0);
	CHECK_INT(lseek(r, 0, SEEK_END), 1000);
	CHECK_INT(close(w), 0);
	CHECK_INT(size_of(r), 1000);
	CHECK_TRUE(reads(r, 0, pattern, 1000));
	append(scratch("f"), "again");
	CHECK_TRUE(reads(r, 1000, "again", 5));
	CHECK_INT(size_of(r), 1005);
	CHECK_INT(unlink(scratch("f")), 0);
	CHECK_TRUE(reads(r, 1000, "again", 5));
	CHECK_INT(size_of(r), 1005);
	CHECK_INT(close(r), 0);
}

TEST(coherence, flags_outlive_writing)
{
	const int flags = O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC;
	int r = CHECK(open(old_file("f"), O_RDONLY | O_APPEND | O_DSYNC)), w;
	int n = CHECK(open(scratch("f"), O_RDONLY | O_NONBLOCK));
	char c;

	CHECK_INT(fcntl(r, F_GETFL) & flags, O_APPEND | O_DSYNC);
	CHECK_INT(fcntl(n, F_SETFL, O_APPEND), 0);
	w = CHECK(open(scratch("f"), O_WRONLY | O_APPEND));
	CHECK_INT(write(w, "more", 4), 4);
	CHECK_INT(read(r, &c, 1), 1);
	CHECK_INT(read(n, &c, 1), 1);
	CHECK_INT(fcntl(r, F_GETFL) & flags, O_APPEND | O_DSYNC);
	CHECK_INT(fcntl(n, F_GETFL) & flags, O_APPEND);
	CHECK_INT(flock(r, LOCK_SH), 0);
	CHECK_INT(fcntl(r, F_SETFL, O_NONBLOCK), 0);
	CHECK_INT(fcntl(r, F_GETFL) & flags, O_NONBLOCK | O_DSYNC);
	CHECK_INT(close(w), 0);
	close(r);
	close(n);
}

TEST(coherence, followed_at_its_end)
{
	int r = CHECK(open(old_file("log"), O_RDONLY));
	char buf[16];

	CHECK_INT(lseek(r, 0, SEEK_END), BIG);
	CHECK_INT(read(r, buf, sizeof buf), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_INT(IN_CHILD(append(scratch("log"), "line\n")), 0);
		CHECK_INT(size_of(r), BIG + 5 * (i + 1));
		CHECK_INT(read(r, buf, sizeof buf), 5);
		CHECK_TRUE(!memcmp(buf, "line\n", 5));
		CHECK_INT(read(r, buf, sizeof buf), 0);
	}
	close(r);
}

TEST(coherence, a_stream_goes_on_reading)
{
	FILE *f = fopen(old_file("f"), "r");
	char buf[4096];
	size_t n, total = 0;

	CHECK_TRUE(f != NULL);
	while (f && (n = fread(buf, 1, sizeof buf, f)))
		total += n;
	CHECK_INT(total, BIG);
	append(scratch("f"), "more");
	clearerr(f);
	CHECK_INT(fread(buf, 1, sizeof buf, f), 4);
	fclose(f);
}

/* By every letter, and over a descriptor; from the middle, where libc has read ahead, and from the end. */
TEST(coherence, a_stream_of_letters_goes_on_too)
{
	FILE *f = fopen(make_file("f", "old\n"), "r"), *g = fdopen((int)CHECK(open(scratch("f"), O_RDONLY)), "r");
	char *line = NULL;
	size_t room = 0;
	int count = 0;

	CHECK_INT(getc(f), 'o');
	CHECK_INT(getline(&line, &room, g), 4);
	CHECK_INT(getc(g), EOF);
	append(scratch("f"), "new\n");
	while (getc_unlocked(f) != EOF)
		count++;
	CHECK_INT(count, 7);
	clearerr(g);
	CHECK_INT(getline(&line, &room, g), 4);
	CHECK_STR(line, "new\n");
	append(scratch("f"), "end");
	CHECK_INT(fseek(g, -3, SEEK_END), 0);
	CHECK_INT(getc(g), 'e');
	free(line);
	fclose(f);
	fclose(g);
}

/* A lock on a directory is its description's: shared by dup and fork, gone with the last. */
TEST(coherence, directories_are_locked_as_files_are)
{
	int a, b, copy, go[2];
	pid_t child;
	char byte;

	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	CHECK_INT(mkdir(scratch("e"), 0755), 0);
	a = (int)CHECK(open(scratch("d"), O_RDONLY | O_DIRECTORY));
	b = (int)CHECK(open(scratch("e/../d"), O_RDONLY));
	CHECK_INT(flock(a, LOCK_SH), 0);
	CHECK_INT(flock(b, LOCK_SH | LOCK_NB), 0);
	CHECK_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_INT(flock(b, LOCK_UN), 0);
	CHECK_INT(flock(a, LOCK_EX), 0);
	CHECK_ERRNO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	CHECK_INT(flock(a, LOCK_EX | LOCK_NB), 0);
	CHECK_ERRNO(flock(a, 77), EINVAL);
	copy = (int)CHECK(open(scratch("e"), O_RDONLY)); /* another directory */
	CHECK_INT(flock(copy, LOCK_EX | LOCK_NB), 0);
	close(copy);
	copy = (int)CHECK(dup(a));
	close(a);
	CHECK_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHECK_INT(pipe(go), 0);
	child = fork();
	if (!child) { /* has it, too, and lets go late */
		close(go[1]);
		close(b);
		if (!read(go[0], &byte, 1))
			usleep(20000);
		_exit(flock(copy, LOCK_EX | LOCK_NB));
	}
	close(go[0]);
	close(copy);
	CHECK_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	close(go[1]);
	CHECK_INT(flock(b, LOCK_EX), 0);
	CHECK_INT(waitpid(child, &a, 0), child);
	CHECK_INT(a, 0);
	close(b);
}

TEST(coherence, a_reader_sees_truncation_at_open)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), w;
	char c;

	CHECK_INT(read(r, &c, 1), 1);
	w = CHECK(open(scratch("f"), O_WRONLY | O_TRUNC));
	CHECK_INT(read(r, &c, 1), 0);
	CHECK_INT(size_of(r), 0);
	CHECK_INT(write(w, "xyz", 3), 3);
	CHECK_INT(read(r, &c, 1), 1);
	CHECK_INT(c, 'y');
	close(w);
	close(r);
	r = CHECK(open(scratch("f"), O_RDONLY | O_TRUNC));
	CHECK_INT(read(r, &c, 1), 0);
	close(r);
	CHECK_TRUE(holds(scratch("f"), "", 0));
}

TEST(coherence, offset_is_shared_also_while_written)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), copy = CHECK(dup(r)), w;
	char c;

	CHECK_INT(read(r, &c, 1), 1);
	w = CHECK(open(scratch("f"), O_WRONLY));
	CHECK_INT(pwrite(w, "0123456789", 10, 0), 10);
	CHECK_INT(read(copy, &c, 1), 1);
	CHECK_INT(c, '1');
	CHECK_INT(IN_CHILD(CHECK_INT(read(copy, &c, 1), 1); CHECK_INT(c, '2')), 0);
	CHECK_INT(read(r, &c, 1), 1);
	CHECK_INT(c, '3');
	CHECK_INT(close(w), 0);
	CHECK_INT(IN_CHILD(CHECK_INT(lseek(r, 8, SEEK_SET), 8)), 0);
	CHECK_INT(read(copy, &c, 1), 1);
	CHECK_INT(c, '8');
	close(r);
	close(copy);
}

TEST(coherence, unlinked_and_made_anew)
{
	int r = CHECK(open(old_file("f"), O_RDONLY));
	struct stat st, again;

	CHECK_INT(unlink(scratch("f")), 0);
	CHECK_ERRNO(open(scratch("f"), O_RDONLY), ENOENT);
	CHECK_TRUE(reads(r, 0, pattern, BIG));
	CHECK_INT(fstat(r, &st), 0);
	CHECK_INT(st.st_nlink, 0);
	CHECK_INT(st.st_size, BIG);
	make_file("f", "another");
	CHECK_TRUE(reads(r, 0, pattern, BIG));
	CHECK_INT(size_of(r), BIG);
	CHECK_INT(stat(scratch("f"), &again), 0);
	CHECK_TRUE(again.st_ino != st.st_ino);
	CHECK_INT(again.st_nlink, 1);
	CHECK_STR(content(scratch("f")), "another");
	append(scratch("f"), "!");
	CHECK_TRUE(reads(r, 0, pattern, BIG));
	close(r);
}

/* What is set of a file without a name is shown by all who have it open, and by nobody else. */
TEST(coherence, unlinked_and_changed)
{
	const struct timespec times[2] = {{1000, 0}, {2000, 0}};
	int r = CHECK(open(old_file("f"), O_RDONLY)), other = CHECK(open(scratch("f"), O_RDONLY));
	struct stat st, was;

	CHECK_INT(fstat(r, &was), 0);
	CHECK_INT(unlink(scratch("f")), 0);
	make_file("f", "another");
	CHECK_INT(fchmod(r, 0640), 0);
	CHECK_INT(fchown(r, getuid(), getgid()), 0);
	CHECK_INT(futimens(r, times), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_INT(fstat(i ? other : r, &st), 0);
		CHECK_INT(st.st_mode, S_IFREG | 0640);
		CHECK_INT(st.st_mtime, 2000);
		CHECK_INT(st.st_size, BIG);
		CHECK_INT(st.st_ino, was.st_ino);
		CHECK_INT(st.st_nlink, 0);
	}
	CHECK_TRUE(reads(r, 0, pattern, BIG));
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mode, S_IFREG | 0644);
	CHECK_TRUE(st.st_mtime > 2000);
	close(r);
	close(other);
}

TEST(coherence, a_writer_without_a_name)
{
	int w = CHECK(open(old_file("f"), O_RDWR)), r;
	struct stat st;

	CHECK_INT(pwrite(w, "NEW", 3, 0), 3);
	r = CHECK(open(scratch("f"), O_RDONLY));
	CHECK_INT(unlink(scratch("f")), 0);
	CHECK_INT(pwrite(w, "END", 3, BIG), 3);
	CHECK_TRUE(reads(r, BIG, "END", 3));
	CHECK_INT(fstat(w, &st), 0);
	CHECK_INT(st.st_nlink, 0);
	CHECK_INT(fchmod(w, 0600), 0);
	CHECK_INT(fstat(r, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	CHECK_INT(close(w), 0);
	CHECK_TRUE(reads(r, 0, "NEW", 3));
	CHECK_ERRNO(stat(scratch("f"), &st), ENOENT);
	close(r);
	CHECK_ERRNO(stat(scratch("f"), &st), ENOENT);
}

TEST(coherence, replaced_by_rename)
{
	int r = CHECK(open(old_file("f"), O_RDONLY));
	struct stat st;

	make_file("g", "of g");
	CHECK_INT(rename(scratch("g"), scratch("f")), 0);
	CHECK_TRUE(reads(r, 0, pattern, BIG));
	CHECK_INT(fstat(r, &st), 0);
	CHECK_INT(st.st_nlink, 0);
	CHECK_STR(content(scratch("f")), "of g");
	CHECK_ERRNO(stat(scratch("g"), &st), ENOENT);
	append(scratch("f"), "!");
	CHECK_TRUE(reads(r, 0, pattern, BIG));
	CHECK_STR(content(scratch("f")), "of g!");
	close(r);
}

TEST(coherence, renamed_while_open)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), w = CHECK(open(scratch("f"), O_WRONLY | O_APPEND)), again;
	ino_t ino = ino_of(scratch("f"));
	struct stat st;

	CHECK_INT(write(w, "one", 3), 3);
	CHECK_INT(rename(scratch("f"), scratch("g")), 0);
	CHECK_INT(write(w, "two", 3), 3);
	CHECK_TRUE(reads(r, BIG, "onetwo", 6));
	CHECK_INT(ino_of(scratch("g")), ino);
	CHECK_INT(fstat(r, &st), 0);
	CHECK_INT(st.st_ino, ino);
	CHECK_INT(st.st_nlink, 1);
	CHECK_INT(close(w), 0);
	CHECK_INT(ino_of(scratch("g")), ino);
	again = CHECK(open(scratch("g"), O_RDONLY));
	CHECK_TRUE(reads(again, BIG, "onetwo", 6));
	close(again);
	append(scratch("g"), "three");
	CHECK_TRUE(reads(r, BIG, "onetwothree", 11));
	CHECK_ERRNO(stat(scratch("f"), &st), ENOENT);
	close(r);
}

TEST(coherence, pending_files_follow_their_directory)
{
	int w, old;

	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	CHECK_INT(mkdir(scratch("d/sub"), 0755), 0);
	old = CHECK(open(old_file("d/sub/old"), O_RDONLY));
	w = CHECK(open(scratch("d/sub/new"), O_WRONLY | O_CREAT | O_EXCL, 0644));
	CHECK_INT(write(w, "pend", 4), 4);
	CHECK_ERRNO(rmdir(scratch("d/sub")), ENOTEMPTY);
	CHECK_INT(rename(scratch("d"), scratch("e")), 0);
	CHECK_STR(content(scratch("e/sub/new")), "pend");
	CHECK_ERRNO(open(scratch("d/sub/new"), O_RDONLY), ENOENT);
	CHECK_INT(write(w, "ing", 3), 3);
	CHECK_INT(close(w), 0);
	CHECK_STR(content(scratch("e/sub/new")), "pending");
	CHECK_TRUE(reads(old, 0, pattern, BIG));
	append(scratch("e/sub/old"), "+");
	CHECK_TRUE(reads(old, BIG, "+", 1));
	CHECK_INT(unlink(scratch("e/sub/new")), 0);
	CHECK_INT(unlink(scratch("e/sub/old")), 0);
	CHECK_INT(rmdir(scratch("e/sub")), 0);
	CHECK_INT(rmdir(scratch("e")), 0);
	close(old);
}

TEST(coherence, unlink_cancels)
{
	int w;

	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	w = CHECK(open(scratch("d/f"), O_WRONLY | O_CREAT, 0644));
	CHECK_INT(write(w, "x", 1), 1);
	CHECK_ERRNO(rmdir(scratch("d")), ENOTEMPTY);
	CHECK_INT(unlink(scratch("d/f")), 0);
	CHECK_INT(rmdir(scratch("d")), 0);
	CHECK_INT(write(w, "y", 1), 1);
	CHECK_INT(close(w), 0);
	CHECK_ERRNO(access(scratch("d"), F_OK), ENOENT);
}

TEST(coherence, renamed_over_a_pending_file)
{
	int w = CHECK(open(scratch("f"), O_WRONLY | O_CREAT, 0644));

	CHECK_INT(write(w, "pending", 7), 7);
	old_file("g");
	CHECK_INT(rename(scratch("g"), scratch("f")), 0);
	CHECK_INT(write(w, "more", 4), 4);
	CHECK_INT(close(w), 0);
	CHECK_TRUE(holds(scratch("f"), pattern, BIG));
	w = CHECK(open(scratch("h"), O_WRONLY | O_CREAT, 0644));
	CHECK_INT(write(w, "pend", 4), 4);
	CHECK_INT(rename(scratch("h"), scratch("f")), 0);
	CHECK_STR(content(scratch("f")), "pend");
	CHECK_INT(write(w, "ing", 3), 3);
	CHECK_INT(close(w), 0);
	CHECK_STR(content(scratch("f")), "pending");
	CHECK_ERRNO(access(scratch("h"), F_OK), ENOENT);
}

TEST(coherence, appended_by_many)
{
	enum { PROCESSES = 6, LINES = 300 };
	char line[64];
	int seen[PROCESSES] = {0}, n = 0;
	FILE *f;

	make_file("f", "head\n");
	fflush(stdout);
	for (int p = 0; p < PROCESSES; p++)
		if (!fork()) {
			int fd = open(scratch("f"), O_WRONLY | O_APPEND);

			for (int i = 0; i < LINES; i++) {
				int bytes = snprintf(line, sizeof line, "process %d line %d of many\n", p, i);

				if (write(fd, line, (size_t)bytes) != bytes)
					_exit(1);
				if (i % 50 == 49) { /* another description */
					if (close(fd))
						_exit(2);
					fd = open(scratch("f"), O_WRONLY | O_APPEND);
				}
			}
			_exit(close(fd) ? 3 : 0);
		}
	for (int p = 0, status; p < PROCESSES; p++) {
		wait(&status);
		CHECK_INT(status, 0);
	}
	f = fopen(scratch("f"), "r");
	CHECK_TRUE(f && fgets(line, sizeof line, f) && !strcmp(line, "head\n"));
	while (f && fgets(line, sizeof line, f)) {
		int p, i;

		if (sscanf(line, "process %d line %d of many\n", &p, &i) == 2 && p >= 0 && p < PROCESSES &&
		    seen[p] == i)
			seen[p]++;
		n++;
	}
	CHECK_INT(n, PROCESSES * LINES);
	for (int p = 0; p < PROCESSES; p++)
		CHECK_INT(seen[p], LINES);
	fclose(f);
}

TEST(coherence, written_in_the_middle)
{
	int a = CHECK(open(old_file("f"), O_RDWR)), b = CHECK(open(scratch("f"), O_RDWR));
	char buf[8];

	CHECK_INT(pwrite(a, "AAAA", 4, 1000), 4);
	CHECK_INT(pread(b, buf, 4, 1000), 4);
	CHECK_TRUE(!memcmp(buf, "AAAA", 4));
	CHECK_INT(pwrite(b, "BB", 2, 1002), 2);
	CHECK_INT(pread(a, buf, 4, 1000), 4);
	CHECK_TRUE(!memcmp(buf, "AABB", 4));
	CHECK_INT(close(a), 0);
	CHECK_INT(pwrite(b, "CC", 2, 150000), 2);
	CHECK_INT(ftruncate(b, 160000), 0);
	CHECK_INT(ftruncate(b, 160010), 0);
	CHECK_INT(close(b), 0);
	memcpy(pattern + 1000, "AABB", 4);
	memcpy(pattern + 150000, "CC", 2);
	memset(pattern + 160000, 0, 10);
	CHECK_TRUE(holds(scratch("f"), pattern, 160010));
	CHECK_INT(truncate(scratch("f"), 170000), 0);
	memset(pattern + 160010, 0, 9990);
	CHECK_TRUE(holds(scratch("f"), pattern, 170000));
	CHECK_INT(truncate(scratch("f"), 5), 0);
	CHECK_TRUE(holds(scratch("f"), pattern, 5));
}

TEST(coherence, identity)
{
	struct stat st, other, open_one;
	struct dirent *e;
	int r = CHECK(open(old_file("f"), O_RDONLY)), w;
	DIR *dir;

	old_file("g");
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(stat(scratch("g"), &other), 0);
	CHECK_TRUE(st.st_ino != other.st_ino && st.st_dev == other.st_dev);
	CHECK_INT(fstat(r, &open_one), 0);
	CHECK_INT(open_one.st_ino, st.st_ino);
	CHECK_INT(open_one.st_dev, st.st_dev);
	CHECK_INT(open_one.st_mode, st.st_mode);
	w = CHECK(open(scratch("f"), O_RDWR));
	CHECK_INT(fstat(w, &open_one), 0);
	CHECK_INT(open_one.st_ino, st.st_ino);
	CHECK_INT(write(w, "x", 1), 1);
	CHECK_INT(close(w), 0);
	CHECK_INT(ino_of(scratch("f")), st.st_ino);
	CHECK_INT(rename(scratch("f"), scratch("h")), 0);
	CHECK_INT(ino_of(scratch("h")), st.st_ino);
	append(scratch("h"), "y");
	CHECK_INT(ino_of(scratch("h")), st.st_ino);
	dir = opendir(scratch(""));
	while (dir && (e = readdir(dir)))
		if (!strcmp(e->d_name, "h"))
			CHECK_INT(e->d_ino, st.st_ino);
	closedir(dir);
	CHECK_INT(stat(scratch(""), &open_one), 0);
	CHECK_INT(open_one.st_dev, st.st_dev);
	close(r);
}

TEST(coherence, times)
{
	const struct timespec times[2] = {{1000000000, 123000000}, {1100000000, 456000000}};
	struct stat st;
	int w, r = CHECK(open(old_file("f"), O_RDONLY));

	CHECK_INT(utimensat(AT_FDCWD, scratch("f"), times, 0), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mtim.tv_sec, 1100000000);
	CHECK_INT(st.st_mtim.tv_nsec, 456000000);
	CHECK_INT(fstat(r, &st), 0);
	CHECK_INT(st.st_mtim.tv_sec, 1100000000);
	w = CHECK(open(scratch("f"), O_WRONLY));
	CHECK_INT(fstat(w, &st), 0);
	CHECK_INT(st.st_mtim.tv_sec, 1100000000); /* opened is not written */
	CHECK_INT(write(w, "x", 1), 1);
	CHECK_INT(fstat(w, &st), 0);
	CHECK_TRUE(st.st_mtim.tv_sec > 1100000000);
	CHECK_INT(futimens(w, times), 0);
	CHECK_INT(close(w), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mtim.tv_sec, 1100000000);
	CHECK_INT(st.st_mtim.tv_nsec, 456000000);
	CHECK_INT(rename(scratch("f"), scratch("g")), 0);
	CHECK_INT(stat(scratch("g"), &st), 0);
	CHECK_INT(st.st_mtim.tv_sec, 1100000000);
	w = CHECK(open(scratch("g"), O_WRONLY | O_TRUNC));
	CHECK_INT(fstat(w, &st), 0);
	CHECK_TRUE(st.st_mtim.tv_sec > 1100000000);
	CHECK_INT(futimens(r, times), 0);
	CHECK_INT(fstat(w, &st), 0);
	CHECK_INT(st.st_mtim.tv_sec, 1100000000);
	CHECK_INT(close(w), 0);
	CHECK_INT(fstat(r, &st), 0);
	CHECK_INT(st.st_mtim.tv_sec, 1100000000);
	close(r);
}

/* So that what comes next has a time of its own, whatever the kernel's clock ticks in. */
static void past_the_tick(void)
{
	struct timespec from, now;

	clock_gettime(CLOCK_REALTIME_COARSE, &from);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (now.tv_sec == from.tv_sec && now.tv_nsec == from.tv_nsec);
}

static long long ns_of(struct timespec t)
{
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct stat before;
static int stamped_fd;

/* The time of change moved, if it was to, and is the same by name and by descriptor; that of modification did not. */
static bool stamped(const char *name, bool is)
{
	struct stat st, open_one;
	bool same =
		!fstatat(AT_FDCWD, scratch(name), &st, AT_SYMLINK_NOFOLLOW) &&
		(stamped_fd < 0 || (!fstat(stamped_fd, &open_one) && ns_of(open_one.st_ctim) == ns_of(st.st_ctim))) &&
		(ns_of(st.st_ctim) > ns_of(before.st_ctim)) == is &&
		(is || ns_of(st.st_ctim) == ns_of(before.st_ctim)) && ns_of(st.st_mtim) == ns_of(before.st_mtim);

	if (!same)
		printf("%s: of change %lld and %lld after %lld, of modification %lld after %lld\n", name,
		       ns_of(st.st_ctim), stamped_fd < 0 ? 0 : ns_of(open_one.st_ctim), ns_of(before.st_ctim),
		       ns_of(st.st_mtim), ns_of(before.st_mtim));
	before = st;
	past_the_tick();
	return same;
}

static void changes(const char *name, const char *other, int fd)
{
	const struct timespec accessed[2] = {{1000, 0}, {0, UTIME_OMIT}},
			      nothing[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};

	stamped_fd = fd;
	CHECK_INT(fstatat(AT_FDCWD, scratch(name), &before, AT_SYMLINK_NOFOLLOW), 0);
	past_the_tick();
	CHECK_TRUE(stamped(name, false));
	if (!S_ISLNK(before.st_mode)) {
		CHECK_INT(chmod(scratch(name), before.st_mode & 07777), 0);
		CHECK_TRUE(stamped(name, true));
		CHECK_INT(chmod(scratch(name), 0751), 0);
		CHECK_TRUE(stamped(name, true));
	}
	CHECK_INT(lchown(scratch(name), (uid_t)-1, (gid_t)-1), 0);
	CHECK_TRUE(stamped(name, true));
	CHECK_INT(lchown(scratch(name), getuid(), getgid()), 0);
	CHECK_TRUE(stamped(name, true));
	CHECK_INT(utimensat(AT_FDCWD, scratch(name), accessed, AT_SYMLINK_NOFOLLOW), 0);
	CHECK_TRUE(stamped(name, true));
	CHECK_INT(utimensat(AT_FDCWD, scratch(name), nothing, AT_SYMLINK_NOFOLLOW), 0);
	CHECK_TRUE(stamped(name, false));
	CHECK_ERRNO(chmod(scratch("nothing"), 0700), ENOENT);
	CHECK_INT(rename(scratch(name), scratch(other)), 0);
	CHECK_TRUE(stamped(other, true));
}

TEST(coherence, times_of_change)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), w;
	struct stat st;

	changes("f", "g", r);
	CHECK_TRUE(holds(scratch("g"), pattern, BIG));
	CHECK_TRUE(stamped("g", false));
	w = CHECK(open(scratch("g"), O_RDWR));
	CHECK_TRUE(stamped("g", false)); /* opened is not written */
	changes("g", "h", w);
	CHECK_INT(pwrite(w, "x", 1, 0), 1);
	CHECK_INT(stat(scratch("h"), &st), 0);
	CHECK_TRUE(ns_of(st.st_ctim) > ns_of(before.st_ctim) && ns_of(st.st_mtim) > ns_of(before.st_mtim));
	changes("h", "i", w);
	CHECK_INT(close(w), 0);
	stamped_fd = r;
	CHECK_TRUE(stamped("i", false)); /* nor is published */
	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	CHECK_INT(rename(scratch("i"), scratch("d/i")), 0);
	CHECK_TRUE(stamped("d/i", true));
	stamped_fd = CHECK(open(scratch("d"), O_RDONLY));
	changes("d", "e", stamped_fd);
	CHECK_INT(close(stamped_fd), 0);
	CHECK_INT(unlink(scratch("e/i")), 0);
	CHECK_INT(fstat(r, &st), 0);
	CHECK_TRUE(ns_of(st.st_ctim) > ns_of(before.st_ctim));
	CHECK_INT(symlink("nowhere", scratch("l")), 0);
	changes("l", "m", -1);
	put_file("small", "abc", 3);
	changes("small", "s", -1);
	CHECK_STR(content(scratch("s")), "abc");
	CHECK_TRUE(stamped("s", false)); /* nor is read */
	changes("s", "t", -1);
	close(r);
}

TEST(coherence, modes)
{
	struct stat st;
	int r = CHECK(open(old_file("f"), O_RDONLY)), w;

	CHECK_INT(chmod(scratch("f"), 0751), 0);
	CHECK_INT(fstat(r, &st), 0);
	CHECK_INT(st.st_mode, S_IFREG | 0751);
	CHECK_INT(fchmod(r, 0640), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mode, S_IFREG | 0640);
	w = CHECK(open(scratch("f"), O_WRONLY | O_APPEND));
	CHECK_INT(fchmod(w, 0600), 0);
	CHECK_INT(write(w, "x", 1), 1);
	CHECK_INT(close(w), 0);
	CHECK_INT(stat(scratch("f"), &st), 0);
	CHECK_INT(st.st_mode, S_IFREG | 0600);
	CHECK_INT(fstat(r, &st), 0);
	CHECK_INT(st.st_mode, S_IFREG | 0600);
	close(r);
	w = CHECK(open(scratch("m"), O_WRONLY | O_CREAT, 0200));
	CHECK_INT(write(w, "x", 1), 1);
	CHECK_INT(fstat(w, &st), 0);
	CHECK_INT(st.st_mode, S_IFREG | 0200);
	CHECK_INT(close(w), 0);
	CHECK_INT(stat(scratch("m"), &st), 0);
	CHECK_INT(st.st_mode, S_IFREG | 0200);
}

TEST(coherence, opened_again_by_number)
{
	char name[64];
	int r = CHECK(open(old_file("f"), O_RDONLY)), w, again;

	snprintf(name, sizeof name, "/proc/self/fd/%d", r);
	w = CHECK(open(name, O_WRONLY));
	CHECK_INT(write(w, "NEW", 3), 3);
	CHECK_TRUE(reads(r, 0, "NEW", 3));
	CHECK_INT(unlink(scratch("f")), 0);
	again = CHECK(open(name, O_RDONLY));
	CHECK_TRUE(reads(again, 0, "NEW", 3));
	CHECK_TRUE(reads(again, 3, pattern + 3, BIG - 3));
	close(again);
	CHECK_INT(close(w), 0);
	CHECK_TRUE(reads(r, 0, "NEW", 3));
	close(r);
	r = CHECK(open(old_file("g"), O_RDONLY));
	CHECK_INT(unlink(scratch("g")), 0);
	snprintf(name, sizeof name, "/dev/fd/%d", r);
	again = CHECK(open(name, O_RDONLY));
	CHECK_TRUE(reads(again, 0, pattern, BIG));
	close(again);
	close(r);
}

TEST(coherence, names_of_descriptors)
{
	char name[64], link[PATH_MAX];
	int r = CHECK(open(old_file("f"), O_RDONLY));
	ssize_t n;

	snprintf(name, sizeof name, "/proc/self/fd/%d", r);
	CHECK_INT(rename(scratch("f"), scratch("g")), 0);
	n = readlink(name, link, sizeof link - 1);
	link[n > 0 ? n : 0] = '\0';
	CHECK_STR(link, scratch("g"));
	CHECK_INT(unlink(scratch("g")), 0);
	n = readlink(name, link, sizeof link - 1);
	link[n > 0 ? n : 0] = '\0';
	CHECK_TRUE(n > 10 && !strcmp(link + n - 10, " (deleted)"));
	close(r);
}

TEST(coherence, mapped)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), w;
	char *private = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 0), *shared, *seen;

	CHECK_TRUE(private != MAP_FAILED && !memcmp(private, pattern, BIG));
	private[0] = '!';
	CHECK_TRUE(reads(r, 0, pattern, BIG));
	CHECK_INT(munmap(private, BIG), 0);
	close(r);
	w = CHECK(open(scratch("f"), O_RDWR));
	shared = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0);
	CHECK_TRUE(shared != MAP_FAILED);
	CHECK_INT(close(w), 0);
	r = CHECK(open(scratch("f"), O_RDONLY));
	seen = mmap(NULL, BIG, PROT_READ, MAP_SHARED, r, 0);
	memcpy(shared + 123456, "mapped", 6);
	CHECK_TRUE(reads(r, 123456, "mapped", 6));
	CHECK_TRUE(!memcmp(seen + 123456, "mapped", 6));
	CHECK_INT(IN_CHILD(memcpy(shared, "child", 5)), 0);
	CHECK_TRUE(reads(r, 0, "child", 5));
	CHECK_INT(msync(shared, BIG, MS_SYNC), 0);
	CHECK_INT(munmap(shared, BIG), 0);
	munmap(seen, BIG);
	close(r);
	memcpy(pattern, "child", 5);
	memcpy(pattern + 123456, "mapped", 6);
	CHECK_TRUE(holds(scratch("f"), pattern, BIG));
}

TEST(coherence, mapped_before_it_is_written)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), w;
	char *seen = mmap(NULL, BIG, PROT_READ, MAP_SHARED, r, 0);

	CHECK_TRUE(seen != MAP_FAILED && !memcmp(seen, pattern, BIG));
	w = CHECK(open(scratch("f"), O_WRONLY));
	CHECK_INT(pwrite(w, "new", 3, 150000), 3);
	CHECK_TRUE(!memcmp(seen + 150000, "new", 3));
	CHECK_INT(close(w), 0);
	append(scratch("f"), "more");
	CHECK_TRUE(!memcmp(seen + 149999, (char[]){pattern[149999], 'n', 'e', 'w'}, 4));
	munmap(seen, BIG);
	close(r);
}

TEST(coherence, listed_while_changed)
{
	int seen[100] = {0}, early[100] = {0}, others = 0;
	char name[16];
	struct dirent *e;
	DIR *dir;

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "f%02d", i);
		close(CHECK(open(scratch(name), O_WRONLY | O_CREAT, 0644)));
	}
	dir = opendir(scratch(""));
	for (int n = 0; n < 10 && (e = readdir(dir)); n++)
		if (*e->d_name == 'f')
			seen[atoi(e->d_name + 1)]++;
	memcpy(early, seen, sizeof seen);
	for (int i = 50; i < 60; i++) {
		snprintf(name, sizeof name, "f%02d", i);
		close(CHECK(open(scratch(name), O_WRONLY | O_CREAT, 0644)));
	}
	for (int i = 0; i < 50; i += 2) {
		snprintf(name, sizeof name, "f%02d", i);
		CHECK_INT(unlink(scratch(name)), 0);
	}
	while ((e = readdir(dir)))
		if (*e->d_name == 'f')
			seen[atoi(e->d_name + 1)]++;
	for (int i = 1; i < 50; i += 2)
		CHECK_INT(seen[i], 1); /* what stayed is told once */
	for (int i = 0; i < 60; i++)
		others += seen[i] > 1;
	CHECK_INT(others, 0);
	rewinddir(dir);
	memset(seen, 0, sizeof seen);
	while ((e = readdir(dir)))
		if (*e->d_name == 'f')
			seen[atoi(e->d_name + 1)]++;
	for (int i = 0; i < 60; i++)
		CHECK_INT(seen[i], i >= 50 || i % 2);
	closedir(dir);
}

static int lock_of(int fd, int command, short type, off_t off, off_t n)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = off, .l_len = n};

	return fcntl(fd, command, &l);
}

static short lock_seen(int fd, int command, short type, off_t off, off_t n, pid_t *pid)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = off, .l_len = n};

	if (fcntl(fd, command, &l))
		return -1;
	*pid = l.l_pid;
	return l.l_type;
}

TEST(coherence, record_locks)
{
	int r = CHECK(open(old_file("f"), O_RDONLY));
	pid_t pid = 0, me = getpid();

	CHECK_INT(lock_of(r, F_SETLK, F_RDLCK, 10, 10), 0);
	CHECK_INT(IN_CHILD({
			  int w = CHECK(open(scratch("f"), O_RDWR));
			  CHECK_ERRNO(lock_of(w, F_SETLK, F_WRLCK, 15, 1), EAGAIN);
			  CHECK_INT(lock_of(w, F_SETLK, F_WRLCK, 20, 1), 0);
			  CHECK_INT(lock_of(w, F_SETLK, F_RDLCK, 15, 1), 0);
			  CHECK_INT(lock_seen(w, F_GETLK, F_WRLCK, 10, 1, &pid), F_RDLCK);
			  CHECK_INT(pid, me);
		  }),
		  0);
	CHECK_TRUE(reads(r, 0, pattern, BIG));
	CHECK_ERRNO(lock_of(r, F_SETLK, F_WRLCK, 0, 1), EBADF);
	CHECK_INT(lock_of(r, F_SETLK, F_UNLCK, 0, 0), 0);
	close(r);
}

TEST(coherence, description_locks)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), w = CHECK(open(scratch("f"), O_RDWR));

	CHECK_INT(lock_of(r, F_OFD_SETLK, F_RDLCK, 0, 100), 0);
	CHECK_ERRNO(lock_of(w, F_OFD_SETLK, F_WRLCK, 50, 1), EAGAIN);
	CHECK_INT(lock_of(w, F_OFD_SETLK, F_WRLCK, 100, 1), 0);
	CHECK_INT(lockf(w, F_TEST, 0), -1);
	close(r);
	CHECK_INT(lock_of(w, F_OFD_SETLK, F_WRLCK, 50, 1), 0);
	close(w);
}

TEST(coherence, whole_file_locks)
{
	int r = CHECK(open(old_file("f"), O_RDONLY));

	CHECK_INT(flock(r, LOCK_EX), 0);
	CHECK_INT(IN_CHILD({
			  int other = CHECK(open(scratch("f"), O_RDONLY));
			  int w = CHECK(open(scratch("f"), O_WRONLY));
			  CHECK_ERRNO(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
			  CHECK_ERRNO(flock(w, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		  }),
		  0);
	CHECK_INT(IN_CHILD(CHECK_INT(flock(r, LOCK_UN), 0)), 0); /* the description's: everybody's who has it */
	CHECK_INT(IN_CHILD(CHECK_INT(flock(open(scratch("f"), O_RDONLY), LOCK_EX | LOCK_NB), 0)), 0);
	close(r);
}

TEST(coherence, locks_go_with_the_last_close)
{
	old_file("f");
	for (int i = 0; i < 300; i++) {
		int fd = CHECK(open(scratch("f"), O_RDONLY));

		CHECK_INT(flock(fd, LOCK_EX | LOCK_NB), 0);
		CHECK_INT(close(fd), 0);
	}
	for (int i = 0; i < 300; i++) {
		int fd = CHECK(open(scratch("g"), O_WRONLY | O_CREAT, 0644));

		CHECK_INT(flock(fd, LOCK_EX | LOCK_NB), 0);
		CHECK_INT(close(fd), 0);
	}
}

TEST(coherence, locks_of_an_empty_file)
{
	int w = CHECK(open(scratch("lock"), O_WRONLY | O_CREAT, 0644));

	CHECK_INT(flock(w, LOCK_EX), 0);
	CHECK_INT(IN_CHILD({
			  int r = CHECK(open(scratch("lock"), O_RDONLY | O_CREAT, 0644));
			  CHECK_ERRNO(flock(r, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		  }),
		  0);
	close(w);
	CHECK_INT(IN_CHILD(CHECK_INT(flock(open(scratch("lock"), O_RDONLY), LOCK_EX | LOCK_NB), 0)), 0);
}

TEST(coherence, locks_wait)
{
	int r = CHECK(open(old_file("f"), O_RDONLY)), fds[2], status = -1;
	char c;
	pid_t pid;

	CHECK_INT(pipe(fds), 0);
	CHECK_INT(flock(r, LOCK_EX), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int w = open(scratch("f"), O_WRONLY | O_APPEND);

		if (w < 0 || write(fds[1], "o", 1) != 1 || flock(w, LOCK_EX) || write(fds[1], "l", 1) != 1)
			_exit(1);
		_exit(0);
	}
	CHECK_INT(read(fds[0], &c, 1), 1);
	CHECK_INT(c, 'o');
	CHECK_INT(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	CHECK_ERRNO(read(fds[0], &c, 1), EAGAIN);
	CHECK_INT(flock(r, LOCK_UN), 0);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 0);
	CHECK_INT(read(fds[0], &c, 1), 1);
	close(r);
	close(fds[0]);
	close(fds[1]);
}

/* ---- holders of other kinds ------------------------------------------------------------------------------------------- */

static int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'x';
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return (int)sendmsg(socket, &m, 0);
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	int fd = -1;

	if (recvmsg(socket, &m, 0) == 1)
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	return fd;
}

TEST(holder, of_a_descriptor_in_flight)
{
	int pair[2], w = CHECK(open(old_file("f"), O_WRONLY | O_APPEND)), r = CHECK(open(scratch("f"), O_RDONLY));

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	CHECK_INT(send_fd(pair[0], w), 1);
	CHECK_INT(send_fd(pair[0], r), 1);
	CHECK_INT(write(w, "one", 3), 3);
	CHECK_INT(close(w), 0);
	close(r);
	CHECK_TRUE(access(scratch("f"), W_OK) == 0);
	CHECK_INT(IN_CHILD({
			  int got = receive_fd(pair[1]);
			  int reader = receive_fd(pair[1]);
			  CHECK_INT(write(got, "two", 3), 3);
			  CHECK_TRUE(reads(reader, BIG, "onetwo", 6));
			  CHECK_INT(close(got), 0);
			  CHECK_TRUE(reads(reader, BIG, "onetwo", 6));
		  }),
		  0);
	r = CHECK(open(scratch("f"), O_RDONLY));
	CHECK_TRUE(reads(r, BIG, "onetwo", 6));
	close(r);
	/* nobody receives it: gone with the sockets */
	w = CHECK(open(scratch("g"), O_WRONLY | O_CREAT, 0644));
	CHECK_INT(write(w, "flown", 5), 5);
	CHECK_INT(send_fd(pair[0], w), 1);
	CHECK_INT(close(w), 0);
	close(pair[0]);
	close(pair[1]);
	CHECK_STR(content(scratch("g")), "flown");
}

TEST(holder, that_is_stopped)
{
	int status, fds[2];
	char c;
	pid_t pid;

	old_file("f");
	CHECK_INT(pipe(fds), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int w = open(scratch("f"), O_RDWR);

		if (pwrite(w, "stop", 4, 0) == 4 && write(fds[1], "x", 1) == 1)
			raise(SIGSTOP);
		_exit(pwrite(w, "cont", 4, BIG) == 4 ? 0 : 1);
	}
	CHECK_INT(read(fds[0], &c, 1), 1);
	CHECK_INT(waitpid(pid, &status, WUNTRACED), pid);
	CHECK_TRUE(WIFSTOPPED(status));
	memcpy(pattern, "stop", 4);
	CHECK_TRUE(holds(scratch("f"), pattern, BIG));
	append(scratch("f"), "");
	kill(pid, SIGCONT);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 0);
	memcpy(pattern, "stop", 4);
	CHECK_TRUE(reads(open(scratch("f"), O_RDONLY), BIG, "cont", 4));
	close(fds[0]);
	close(fds[1]);
}

TEST(holder, closed_by_exec)
{
	int status;
	pid_t pid;

	old_file("f");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int w = open(scratch("f"), O_WRONLY | O_CLOEXEC), r = open(scratch("f"), O_RDONLY | O_CLOEXEC);

		if (r < 0 || write(w, "exec", 4) == 4)
			execl("/bin/true", "true", NULL);
		_exit(127);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 0);
	memcpy(pattern, "exec", 4);
	CHECK_TRUE(holds(scratch("f"), pattern, BIG));
}

TEST(holder, that_vforked)
{
	static char name[PATH_MAX], other[PATH_MAX];
	static int w, r;
	int status;
	pid_t pid;

	snprintf(name, sizeof name, "%s", old_file("f"));
	snprintf(other, sizeof other, "%s", scratch("g"));
	fflush(stdout);
	pid = vfork();
	if (!pid) {
		static char *argv[] = {"/bin/sh", "-c", "head -c 5 >/dev/null; echo made >&7", NULL};

		r = open(name, O_RDONLY);
		w = open(other, O_WRONLY | O_CREAT, 0644);
		dup2(r, 0);
		dup2(w, 7);
		execv(argv[0], argv);
		_exit(127);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 0);
	CHECK_ERRNO(fcntl(w, F_GETFD), EBADF); /* it was the child's */
	CHECK_ERRNO(fcntl(r, F_GETFD), EBADF);
	CHECK_STR(content(other), "made\n");
	w = CHECK(open(scratch("h"), O_WRONLY | O_CREAT, 0644));
	CHECK_INT(write(w, "h", 1), 1);
	CHECK_INT(close(w), 0);
	CHECK_STR(content(scratch("h")), "h");
}

TEST(holder, parent_of_an_inherited_directory)
{
	int dir, fds[2];
	char text[PATH_MAX] = "";

	CHECK_INT(mkdir(scratch("d"), 0755), 0);
	make_file("here", "");
	dir = CHECK(open(scratch("d"), O_RDONLY | O_DIRECTORY));
	CHECK_INT(pipe(fds), 0);
	CHECK_INT(IN_CHILD({
			  dup2(fds[1], 1);
			  CHECK_INT(fchdir(dir), 0);
			  execl("/bin/sh", "sh", "-c", "ls -a .. | grep here; ls -d ../here; ls -a", NULL);
			  _exit(127);
		  }),
		  0);
	CHECK_TRUE(read(fds[0], text, sizeof text - 1) > 0);
	CHECK_STR(text, "here\n../here\n.\n..\n");
	close(dir);
	close(fds[0]);
	close(fds[1]);
}

/* ---- attributes, asked for again and again ------------------------------------------------------------------------ */

static char seen_of(const char *name)
{
	struct stat st;

	if (lstat(name, &st))
		return errno == ENOENT ? '-' : '?';
	return S_ISDIR(st.st_mode) ? (st.st_mode & 0777) == 0700 ? 'p' : 'd' : S_ISLNK(st.st_mode) ? 'l' : 'f';
}

static void change(const char *what)
{
	int fd = -1;

	switch (*what) {
	case 'm':
		_exit(mkdir("d", 0755) != 0);
	case 'c':
		_exit(chmod("d", 0700) != 0);
	case 'r':
		_exit(rename("d", "e") != 0);
	case 'x':
		_exit(rmdir("e") != 0);
	case 's':
		_exit(symlink("nowhere", "d") != 0);
	case 'u':
		_exit(unlink("d") != 0);
	case 'f':
		fd = open("d", O_WRONLY | O_CREAT, 0644);
		_exit(fd < 0 || write(fd, "x", 1) != 1 || close(fd));
	default:
		_exit(9);
	}
}

TEST(coherence, attributes_follow_every_change_at_once)
{
	/* what a child does, and what "d" and "e" are afterwards */
	static const char *const steps[] = {"m d-", "c p-", "r -p", "x --", "s l-", "u --", "f f-", "u --", NULL};
	int status;

	CHECK_INT(chdir(scratch("")), 0);
	for (int round = 0; round < 5; round++)
		for (const char *const *step = steps; *step; step++) {
			pid_t pid = CHECK(fork());

			if (pid == 0)
				change(*step);
			CHECK_INT(waitpid(pid, &status, 0), pid);
			CHECK_INT(status, 0);
			for (int again = 0; again < 3; again++) {
				CHECK_INT(seen_of("d"), (*step)[2]);
				CHECK_INT(seen_of("e"), (*step)[3]);
			}
		}
}
