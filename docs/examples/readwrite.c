/*
 * readwrite.c: write a file, list its directory, read it back and compare. All it links is libslipstream-client.so:
 *
 *	LIB=/usr/lib/slipstream    (or PREFIX/lib/slipstream, wherever it was installed)
 *	cc readwrite.c -L$LIB -Wl,-rpath,$LIB -lslipstream-client -o readwrite
 *	SLIPSTREAM_MOUNTS=/goosefs=goosefs://127.0.0.1:9200/ ./readwrite /goosefs/example
 */
#include <slipstream.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 3 << 20, PIECE = 100000 };

static int failed(const char *what, int rc)
{
	fprintf(stderr, "%s: %s (%s)\n", what, strerror(-rc), slip_last_error());
	return rc;
}

static int write_file(struct slip_client *client, const char *path, const char *data)
{
	struct slip_file *file;
	int rc = slip_open(client, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &file);

	if (rc)
		return failed("open for writing", rc);
	for (size_t off = 0; off < SIZE; off += PIECE) {
		size_t n = SIZE - off < PIECE ? SIZE - off : PIECE;
		ssize_t put = slip_write(file, data + off, n);

		if (put < 0) {
			slip_abort(file);
			return failed("write", (int)put);
		}
	}
	rc = slip_close(file); /* only now does the file exist for others */
	return rc ? failed("close", rc) : 0;
}

static int show(void *context, const char *name, const struct slip_stat *st)
{
	(void)context;
	printf("%10lld  %s\n", (long long)st->size, name);
	return 0;
}

static int read_back(struct slip_client *client, const char *path, const char *data)
{
	char *buf = malloc(SIZE + 1);
	struct slip_file *file;
	ssize_t n;
	int rc;

	if (!buf)
		return -ENOMEM;
	rc = slip_open(client, path, O_RDONLY, 0, &file);
	if (rc) {
		free(buf);
		return failed("open for reading", rc);
	}
	n = slip_read(file, buf, SIZE + 1);
	if (n < 0)
		rc = failed("read", (int)n);
	else if (n != SIZE || memcmp(buf, data, SIZE))
		rc = failed("compare", -EIO);
	slip_close(file);
	free(buf);
	return rc;
}

static int demonstrate(struct slip_client *client, const char *directory, const char *data)
{
	char path[4096];
	int rc = slip_mkdir(client, directory, 0755);

	if (rc && rc != -EEXIST)
		return failed("mkdir", rc);
	snprintf(path, sizeof path, "%s/readwrite.bin", directory);
	rc = write_file(client, path, data);
	if (!rc && (rc = slip_list(client, directory, show, NULL)))
		failed("list", rc);
	if (!rc)
		rc = read_back(client, path, data);
	if (!rc)
		printf("%s: %d bytes, as written\n", path, SIZE);
	return rc;
}

int main(int argc, char **argv)
{
	struct slip_client *client;
	char *data;
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY (below a mount)\n", argv[0]);
		return 2;
	}
	rc = slip_client_new(NULL, &client);
	if (rc) {
		failed("settings", rc);
		return 1;
	}
	data = malloc(SIZE);
	if (data) {
		for (size_t i = 0; i < SIZE; i++)
			data[i] = (char)(i * 31 >> 3);
		rc = demonstrate(client, argv[1], data);
	}
	slip_client_free(client);
	rc = rc || !data;
	free(data);
	return rc;
}
