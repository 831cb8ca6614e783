/* nothing.c: a process that does nothing; with an argument, one that reads that file. */
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buf[4096];
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;

	return argc > 1 && (fd < 0 || read(fd, buf, sizeof buf) < 0 || close(fd));
}
