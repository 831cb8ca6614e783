/* faults.c: the table of faults.def, read and printed. */
#include "tools/server/faults.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum kind { ON, NUMBER, WORKER, AT };

static const struct {
	const char *name;
	enum kind kind;
	int64_t second;
	const char *help;
} table[FAULT_COUNT] = {
#define FAULT(ID, name, kind, second, help) [FAULT_##ID] = {name, kind, second, help},
#include "tools/server/faults.def"
#undef FAULT
};

void faults_clear(struct faults *faults)
{
	for (int i = 0; i < FAULT_COUNT; i++) {
		atomic_store(&faults->of[i].on, false);
		atomic_store(&faults->of[i].value, 0);
		atomic_store(&faults->of[i].second, 0);
	}
}

void faults_assign(struct faults *faults, const struct faults *from)
{
	for (int i = 0; i < FAULT_COUNT; i++) {
		atomic_store(&faults->of[i].value, atomic_load(&from->of[i].value));
		atomic_store(&faults->of[i].second, atomic_load(&from->of[i].second));
		atomic_store(&faults->of[i].on, atomic_load(&from->of[i].on));
	}
}

/* A number that is not negative, ended by one of `ends` or by the end of the text. */
static bool parse_number(const char *text, const char *ends, int64_t *out, const char **end)
{
	char *stop;

	errno = 0;
	*out = strtoll(text, &stop, 10);
	*end = stop;
	return stop != text && !errno && *out >= 0 && (!*stop || strchr(ends, *stop));
}

/* False when the value does not fit the kind. */
static bool parse_value(enum kind kind, const char *text, int64_t *value, int64_t *second)
{
	const char *end;

	if (kind == ON)
		return !text;
	if (!text || !parse_number(text, kind == AT ? "@" : "", value, &end))
		return false;
	if (kind == WORKER)
		return *value >= 1 && *value < 63;
	return kind != AT || !*end || parse_number(end + 1, "", second, &end);
}

static int find(const char *name, size_t bytes)
{
	for (int i = 0; i < FAULT_COUNT; i++)
		if (strlen(table[i].name) == bytes && !memcmp(table[i].name, name, bytes))
			return i;
	return -1;
}

int faults_set(struct faults *faults, const char *text, char *why, size_t why_bytes)
{
	const char *equals = strchr(text, '=');
	int id = find(text, equals ? (size_t)(equals - text) : strlen(text));
	int64_t value = 0, second;

	if (id < 0) {
		snprintf(why, why_bytes, "'%s': no such fault", text);
		return -EINVAL;
	}
	second = table[id].second;
	if (!parse_value(table[id].kind, equals ? equals + 1 : NULL, &value, &second)) {
		snprintf(why, why_bytes, "'%s': it is %s%.*s", text, table[id].name,
			 *table[id].help == '=' ? (int)strcspn(table[id].help, ":") : 0, table[id].help);
		return -EINVAL;
	}
	if (table[id].kind == WORKER)
		value = atomic_load(&faults->of[id].value) | (int64_t)1 << value;
	atomic_store(&faults->of[id].value, value);
	atomic_store(&faults->of[id].second, second);
	atomic_store(&faults->of[id].on, true);
	return 0;
}

int faults_read(struct faults *faults, const char *path, char *why, size_t why_bytes)
{
	FILE *file = fopen(path, "re");
	char line[128];
	int rc = 0;

	if (!file && errno == ENOENT)
		return 0;
	if (!file) {
		rc = -errno;
		snprintf(why, why_bytes, "%s", strerror(errno));
		return rc;
	}
	while (!rc && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (*line && *line != '#')
			rc = faults_set(faults, line, why, why_bytes);
	}
	fclose(file);
	return rc;
}

static void print_one(const struct faults *faults, int id, FILE *out)
{
	int64_t value = fault_value(faults, id);

	if (table[id].kind == ON) {
		fputs(table[id].name, out);
	} else if (table[id].kind == WORKER) {
		for (int worker = 1, n = 0; worker < 63; worker++)
			if (value >> worker & 1)
				fprintf(out, "%s%s=%d", n++ ? "," : "", table[id].name, worker);
	} else {
		fprintf(out, "%s=%lld", table[id].name, (long long)value);
		if (table[id].kind == AT)
			fprintf(out, "@%lld", (long long)atomic_load(&faults->of[id].second));
	}
}

void faults_print(const struct faults *faults, FILE *out)
{
	int n = 0;

	for (int i = 0; i < FAULT_COUNT; i++) {
		if (!fault_on(faults, i))
			continue;
		if (n++)
			fputc(',', out);
		print_one(faults, i, out);
	}
	if (!n)
		fputs("none", out);
}

void faults_help(FILE *out)
{
	fputs("\nFaults, for tests of a client. Also read from DIR/faults, one to a line, at start and on SIGUSR1:\n",
	      out);
	for (int i = 0; i < FAULT_COUNT; i++) {
		const char *help = table[i].help;
		int value = *help == '=' ? (int)strcspn(help, ":") : 0;
		int width = fprintf(out, "  %s%.*s", table[i].name, value, help);

		fprintf(out, "%*s%s\n", width < 28 ? 28 - width : 1, "", help + value + (value ? 2 : 0));
	}
}

bool fault_take(struct faults *faults, enum fault_id id)
{
	_Atomic int64_t *left = table[id].kind == AT ? &faults->of[id].second : &faults->of[id].value;

	if (!fault_on(faults, id))
		return false;
	if (atomic_fetch_sub(left, 1) > 0)
		return true;
	atomic_store(&faults->of[id].on, false);
	return false;
}

void fault_wait(const struct faults *faults, enum fault_id id)
{
	int64_t ms = fault_on(faults, id) ? fault_value(faults, id) : 0;
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	while (ms && nanosleep(&left, &left) && errno == EINTR)
		;
}
