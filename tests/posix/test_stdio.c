/* test_stdio.c: FILE streams. */
#include "check.h"
#include <wchar.h>

TEST(stdio, modes)
{
	char line[64];
	FILE *f = fopen(scratch("f"), "w");

	CHECK_TRUE(f != NULL);
	CHECK_TRUE(fprintf(f, "one %d\n", 1) > 0);
	CHECK_INT(fputs("two\n", f) < 0, 0);
	CHECK_INT(ftell(f), 10);
	CHECK_INT(fclose(f), 0);
	f = fopen(scratch("f"), "a");
	CHECK_INT(fwrite("three\n", 1, 6, f), 6);
	CHECK_INT(fclose(f), 0);
	f = fopen(scratch("f"), "r+");
	CHECK_TRUE(fgets(line, sizeof line, f) != NULL);
	CHECK_STR(line, "one 1\n");
	CHECK_INT(fseek(f, 0, SEEK_SET), 0);
	CHECK_INT(fwrite("ONE", 1, 3, f), 3);
	CHECK_INT(fflush(f), 0);
	CHECK_INT(fclose(f), 0);
	CHECK_STR(content(scratch("f")), "ONE 1\ntwo\nthree\n");
	CHECK_TRUE(!fopen(scratch("nothing"), "r") && errno == ENOENT);
	CHECK_TRUE(!fopen(scratch("f"), "wx") && errno == EEXIST);
	CHECK_TRUE(!fopen(scratch(""), "w") && errno == EISDIR);
	f = fopen(scratch("f"), "re");
	CHECK_INT(fcntl(fileno(f), F_GETFD), FD_CLOEXEC);
	CHECK_INT(getc(f), 'O');
	CHECK_INT(ungetc('X', f), 'X');
	CHECK_INT(getc(f), 'X');
	CHECK_INT(fseek(f, -2, SEEK_END), 0);
	CHECK_INT(getc(f), 'e');
	CHECK_INT(getc(f), '\n');
	CHECK_INT(getc(f), EOF);
	CHECK_TRUE(feof(f));
	CHECK_INT(fclose(f), 0);
}

TEST(stdio, reopened)
{
	FILE *f = fopen(make_file("f", "first"), "r");
	char line[16];

	f = freopen(make_file("g", "second"), "r", f);
	CHECK_TRUE(f && fgets(line, sizeof line, f));
	CHECK_STR(line, "second");
	CHECK_INT(fclose(f), 0);
	CHECK_INT(IN_CHILD({
			  CHECK_TRUE(freopen(scratch("out"), "w", stdout) != NULL);
			  printf("to a file\n");
			  CHECK_INT(fclose(stdout), 0);
		  }),
		  0);
	CHECK_STR(content(scratch("out")), "to a file\n");
}

/* As libc has it: a stream that only appends begins at the end, one that reads too at the start. */
TEST(stdio, where_appending_begins)
{
	FILE *f;

	make_file("f", "four");
	f = fopen(scratch("f"), "a");
	CHECK_INT(ftell(f), 4);
	CHECK_INT(fputs("more", f) >= 0, 1);
	CHECK_INT(ftell(f), 8);
	f = freopen(scratch("f"), "a", f);
	CHECK_INT(ftell(f), 8);
	CHECK_INT(fclose(f), 0);
	f = fopen(scratch("f"), "a+");
	CHECK_INT(ftell(f), 0);
	CHECK_INT(fgetc(f), 'f');
	f = freopen(scratch("f"), "a+", f);
	CHECK_INT(ftell(f), 0);
	CHECK_INT(fputs("end", f) >= 0, 1);
	CHECK_INT(fseek(f, 0, SEEK_CUR), 0);
	CHECK_INT(ftell(f), 11);
	CHECK_INT(fgetc(f), EOF);
	f = freopen(NULL, "a+", f);
	CHECK_INT(fputs("!", f) >= 0, 1);
	CHECK_INT(ftell(f), 12);
	CHECK_INT(fclose(f), 0);
}

/* What is written goes to the end that the file has by then. */
TEST(stdio, appending_after_another)
{
	FILE *f = fopen(make_file("other", ""), "r");
	int fd;

	f = freopen(make_file("f", "four"), "a", f);
	CHECK_INT(fputs("more", f) >= 0, 1);
	fd = CHECK(open(scratch("f"), O_WRONLY | O_APPEND));
	CHECK_INT(write(fd, "between", 7), 7);
	CHECK_INT(ftell(f), 15);
	CHECK_INT(fclose(f), 0);
	CHECK_INT(close(fd), 0);
	CHECK_STR(content(scratch("f")), "fourbetweenmore");
}

TEST(stdio, from_a_descriptor)
{
	int fd = CHECK(open(scratch("f"), O_RDWR | O_CREAT, 0644));
	FILE *f = fdopen(fd, "w+");
	wchar_t wide[16];

	CHECK_INT(fileno(f), fd);
	fputs("text here\n", f);
	CHECK_INT(fclose(f), 0);
	CHECK_ERRNO(close(fd), EBADF);
	f = fopen(scratch("f"), "r"); /* wide or narrow, not both */
	CHECK_TRUE(fgetws(wide, 16, f) != NULL);
	CHECK_TRUE(!wcscmp(wide, L"text here\n"));
	CHECK_INT(fclose(f), 0);
	fd = CHECK(open(scratch("g"), O_WRONLY | O_CREAT, 0644));
	CHECK_INT(dprintf(fd, "%s %d", "dprintf", 7), 9);
	close(fd);
	CHECK_STR(content(scratch("g")), "dprintf 7");
}

TEST(stdio, lines)
{
	FILE *f = fopen(scratch("f"), "w");
	char *line = NULL;
	size_t room = 0;
	long total = 0, n = 0;

	for (int i = 0; i < 20000; i++)
		fprintf(f, "line %d\n", i);
	CHECK_INT(fclose(f), 0);
	f = fopen(scratch("f"), "r");
	for (ssize_t got; (got = getline(&line, &room, f)) > 0; n++)
		total += got;
	CHECK_INT(n, 20000);
	CHECK_INT(total, ftell(f));
	CHECK_INT(fclose(f), 0);
	free(line);
}

TEST(stdio, left_open_at_exit)
{
	CHECK_INT(IN_CHILD({
			  FILE *f = fopen(scratch("f"), "w");
			  fputs("flushed by exit", f);
			  exit(f ? 0 : 1);
		  }),
		  0);
	CHECK_STR(content(scratch("f")), "flushed by exit");
}

TEST(stdio, standard_input)
{
	int fd = CHECK(open(make_file("f", "a b c\n"), O_RDONLY));

	CHECK_INT(IN_CHILD({
			  char word[8];
			  dup2(fd, 0);
			  CHECK_INT(scanf("%7s", word), 1);
			  CHECK_STR(word, "a");
			  CHECK_INT(getchar(), ' ');
		  }),
		  0);
	close(fd);
}
