/*
 * config.c: walks config.def once per source, weakest source first, so that a stronger one simply overwrites.
 *
 * Strictness differs on purpose. Our own file and overrides are checked: a misspelt name or a bad value is an error
 * that names the nearest match. A name in the environment is worth a warning only (config_unknown()), for other versions
 * of us may be around; a value there is checked. GooseFS's own sources follow the SDK: what is unknown or unfit there is ignored (spec goosefs 14.1).
 */
#include "client/config.h"
#include "client/log.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "SLIPSTREAM_"

enum type { TYPE_TEXT, TYPE_BYTES, TYPE_MS, TYPE_COUNT, TYPE_RATIO, TYPE_BOOL, TYPE_CHOICE };

static const struct setting {
	const char *name;
	enum type type;
	const char *detail, *fallback, *help;
} settings[CONFIG_COUNT] = {
#define SETTING(ID, TYPE, DETAIL, DEFAULT, HELP) [CONFIG_##ID] = {PREFIX #ID, TYPE_##TYPE, DETAIL, DEFAULT, HELP},
#define GOOSEFS(...)
#include "client/config.def"
#undef SETTING
#undef GOOSEFS
};

static const struct alias {
	enum config_id id;
	const char *property, *environment;
} aliases[] = {
#define SETTING(...)
#define GOOSEFS(ID, PROPERTY, ENVIRONMENT) {CONFIG_##ID, PROPERTY, ENVIRONMENT},
#include "client/config.def"
#undef SETTING
#undef GOOSEFS
};
#define NALIASES (sizeof aliases / sizeof *aliases)

struct config {
	struct value {
		char *text;
		int64_t number;
		enum config_source source;
	} values[CONFIG_COUNT];
};

extern char **environ;

/* ---- values ----------------------------------------------------------------------------------------------------- */

/* Decimal digits, perhaps signed, and what follows them. */
static int parse_number(const char *text, int64_t *number, const char **rest)
{
	char *end;

	errno = 0;
	*number = strtoll(text, &end, 10);
	if (end == text || errno)
		return -EINVAL;
	while (isblank((unsigned char)*end))
		end++;
	*rest = end;
	return 0;
}

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit byte_units[] = {
	{"", 1},           {"b", 1},           {"k", 1LL << 10},
	{"kb", 1LL << 10}, {"kib", 1LL << 10}, {"m", 1LL << 20},
	{"mb", 1LL << 20}, {"mib", 1LL << 20}, {"g", 1LL << 30},
	{"gb", 1LL << 30}, {"gib", 1LL << 30}, {"t", 1LL << 40},
	{"tb", 1LL << 40}, {"tib", 1LL << 40}, {NULL, 0},
};

static const struct unit time_units[] = {
	{"", 1},          {"ms", 1},         {"millisecond", 1}, {"s", 1000},       {"sec", 1000},
	{"second", 1000}, {"m", 60000},      {"min", 60000},     {"minute", 60000}, {"h", 3600000},
	{"hr", 3600000},  {"hour", 3600000}, {"d", 86400000},    {"day", 86400000}, {NULL, 0},
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static int parse_quantity(const char *text, const struct unit *units, int64_t *number)
{
	const char *rest;

	if (parse_number(text, number, &rest))
		return -EINVAL;
	for (const struct unit *u = units; u->name; u++)
		if (!strcasecmp(rest, u->name))
			return __builtin_mul_overflow(*number, u->factor, number) ? -EINVAL : 0;
	return -EINVAL;
}

/* detail: "min..max" */
static bool in_range(const char *detail, int64_t number)
{
	char *end;
	int64_t min = strtoll(detail, &end, 10);

	return number >= min && number <= strtoll(end + 2, NULL, 10);
}

/* "0.015", in millionths; further digits are dropped. Not by strtod(), to which a program's locale may mean a comma. */
static int parse_ratio(const char *text, int64_t *number)
{
	int64_t unit = 100000;

	if (*text != '0')
		return isdigit((unsigned char)*text) ? -ERANGE : -EINVAL;
	text++;
	if (*text == '.')
		for (text++; isdigit((unsigned char)*text); text++, unit /= 10)
			*number += (*text - '0') * unit;
	return *text ? -EINVAL : 0;
}

static int parse_bool(const char *text, int64_t *number)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
		if (!strcasecmp(text, words[i])) {
			*number = i & 1;
			return 0;
		}
	}
	return -EINVAL;
}

/* GooseFS writes MUST_CACHE, must_cache, no_sasl and nosasl: neither case nor underscores matter. */
static bool same_word(const char *a, const char *b, size_t blen)
{
	const char *bend = b + blen;

	for (;;) {
		while (*a == '_' || *a == '-')
			a++;
		while (b < bend && (*b == '_' || *b == '-'))
			b++;
		if (b == bend)
			return !*a;
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		a++, b++;
	}
}

static int parse_choice(const char *choices, const char *text, int64_t *number)
{
	if (!strncasecmp(text, "CHECKSUM_", 9)) /* the long form of checksum types (spec goosefs 10.6) */
		text += 9;
	*number = 0;
	for (const char *c = choices; *c; ++*number) {
		size_t n = strcspn(c, "|");

		if (same_word(text, c, n))
			return 0;
		c += n + (c[n] == '|');
	}
	return -EINVAL;
}

static int value_parse(const struct setting *s, const char *text, int64_t *number)
{
	int rc = 0;

	*number = 0;
	switch (s->type) {
	case TYPE_TEXT:
		return 0;
	case TYPE_BOOL:
		return parse_bool(text, number);
	case TYPE_RATIO:
		return parse_ratio(text, number);
	case TYPE_CHOICE:
		return parse_choice(s->detail, text, number);
	case TYPE_BYTES:
		rc = parse_quantity(text, byte_units, number);
		break;
	case TYPE_MS:
		rc = parse_quantity(text, time_units, number);
		break;
	case TYPE_COUNT:
		rc = parse_quantity(text, no_units, number);
		break;
	}
	return rc ? rc : in_range(s->detail, *number) ? 0 : -ERANGE;
}

static int value_set(struct config *config, enum config_id id, const char *text, enum config_source source)
{
	struct value *value = &config->values[id];
	int64_t number = 0;
	char *copy;
	int rc;

	/* An empty value puts the default back; only a default itself may be empty without a meaning of its own. */
	if (!*text)
		text = settings[id].fallback;
	if (*text) {
		rc = value_parse(&settings[id], text, &number);
		if (rc)
			return rc;
	}
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(value->text);
	*value = (struct value){copy, number, source};
	return 0;
}

static const char *what_fits(const struct setting *s)
{
	switch (s->type) {
	case TYPE_BOOL:
		return "true or false";
	case TYPE_BYTES:
		return "a size such as 4096, 64K or 1M, within";
	case TYPE_MS:
		return "a duration such as 500ms, 2s or 5m, in milliseconds within";
	case TYPE_COUNT:
		return "a number within";
	case TYPE_RATIO:
		return "a part such as 0.1, within";
	default:
		return "one of";
	}
}

static int complain(const char *where, const char *format, const char *a, const char *b, const char *c)
{
	char text[512];

	snprintf(text, sizeof text, format, a, b, c);
	error_note("%s: %s", where, text);
	return -EINVAL;
}

static int value_refused(const char *where, enum config_id id, const char *text, int rc)
{
	const struct setting *s = &settings[id];
	char wanted[256];

	if (rc == -ENOMEM)
		return rc;
	snprintf(wanted, sizeof wanted, "%s %s", what_fits(s), s->detail);
	return complain(where, "%s=%s: expected %s", s->name, text, wanted);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* Edits between two names: how far apart they are (Levenshtein). */
static unsigned name_distance(const char *a, const char *b)
{
	unsigned row[64], diagonal, above;
	size_t n = strlen(b);

	if (n >= sizeof row / sizeof *row)
		return UINT_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			unsigned change = diagonal + (toupper((unsigned char)a[i]) != toupper((unsigned char)b[j]));

			above = row[j + 1];
			if (change > above + 1)
				change = above + 1;
			if (change > row[j] + 1)
				change = row[j] + 1;
			diagonal = above;
			row[j + 1] = change;
		}
	}
	return row[n];
}

static const char *without_prefix(const char *name)
{
	return strncasecmp(name, PREFIX, sizeof PREFIX - 1) ? name : name + sizeof PREFIX - 1;
}

static const char *nearest_name(const char *name)
{
	unsigned best = UINT_MAX;
	const char *found = "";

	for (unsigned id = 0; id < CONFIG_COUNT; id++) {
		unsigned d = name_distance(without_prefix(name), without_prefix(settings[id].name));

		if (d < best) {
			best = d;
			found = settings[id].name;
		}
	}
	return found;
}

static bool id_of(const char *name, enum config_id *id)
{
	const char *plain = without_prefix(name);

	for (unsigned i = 0; i < CONFIG_COUNT; i++) {
		if (!strcasecmp(plain, without_prefix(settings[i].name))) {
			*id = i;
			return true;
		}
	}
	return false;
}

/* ---- sources ---------------------------------------------------------------------------------------------------- */

static int load_defaults(struct config *config)
{
	for (unsigned id = 0; id < CONFIG_COUNT; id++) {
		int rc = value_set(config, id, settings[id].fallback, CONFIG_FROM_DEFAULT);

		if (rc)
			return rc;
	}
	return 0;
}

/* Cut blanks from both ends, in place. */
static char *trim(char *s)
{
	size_t n;

	while (isspace((unsigned char)*s))
		s++;
	n = strlen(s);
	while (n && isspace((unsigned char)s[n - 1]))
		n--;
	s[n] = '\0';
	return s;
}

/* "name<separator>value" in place; the first '=' separates, or with other, the first other if there is no '='. */
static bool split(char *line, char other, char **name, char **value)
{
	char *at = strchr(line, '=');

	if (!at && other)
		at = strchr(line, other);
	if (!at)
		return false;
	*at = '\0';
	*name = trim(line);
	*value = trim(at + 1);
	return true;
}

typedef int line_fn(struct config *, char *line, const char *where, void *context);

static int each_line(struct config *config, FILE *file, const char *path, line_fn *each, void *context)
{
	char *line = NULL, where[PATH_MAX + 32];
	size_t room = 0;
	unsigned number = 0;
	int rc = 0;

	while (!rc && getline(&line, &room, file) >= 0) {
		char *text = trim(line);

		snprintf(where, sizeof where, "%s:%u", path, ++number);
		if (*text && *text != '#')
			rc = each(config, text, where, context);
	}
	if (!rc && ferror(file))
		rc = complain(path, "%s%s%s", "cannot be read", "", "");
	free(line);
	return rc;
}

static int file_line(struct config *config, char *line, const char *where, void *context)
{
	char *name, *value;
	enum config_id id;
	int rc;

	(void)context;
	if (!split(line, 0, &name, &value))
		return complain(where, "not \"name = value\": %s%s%s", line, "", "");
	if (!id_of(name, &id))
		return complain(where, "no setting is called %s; did you mean %s?%s", name, nearest_name(name), "");
	rc = value_set(config, id, value, CONFIG_FROM_FILE);
	return rc ? value_refused(where, id, value, rc) : 0;
}

/* Directory and rest, or "" if the directory is not known. */
static void join(char out[PATH_MAX], const char *directory, const char *rest)
{
	if (!directory || !*directory || snprintf(out, PATH_MAX, "%s%s", directory, rest) >= PATH_MAX)
		*out = '\0';
}

static int load_file(struct config *config, const char *named)
{
	char path[3][PATH_MAX];
	FILE *file = NULL;
	int rc;

	if (named && *named) {
		file = fopen(named, "re");
		if (!file)
			return complain(named, "%s%s%s", "cannot be opened: ", strerror(errno), "");
		rc = each_line(config, file, named, file_line, NULL);
		fclose(file);
		return rc;
	}
	join(path[0], getenv("XDG_CONFIG_HOME"), "/slipstream/slipstream.conf");
	join(path[1], getenv("HOME"), "/.config/slipstream/slipstream.conf");
	join(path[2], "/etc", "/slipstream.conf");
	for (unsigned i = 0; i < 3; i++) {
		file = *path[i] ? fopen(path[i], "re") : NULL;
		if (!file)
			continue;
		rc = each_line(config, file, path[i], file_line, NULL);
		fclose(file);
		return rc;
	}
	return 0;
}

/* Values of GooseFS's own sources that do not fit are passed over, as the SDK does; a note says so. */
static int alias_set(struct config *config, const struct alias *alias, const char *where, const char *text,
		     enum config_source source)
{
	int rc;

	if (!*text)
		return 0;
	rc = value_set(config, alias->id, text, source);
	if (rc == -ENOMEM)
		return rc;
	if (rc)
		log_note("%s: \"%s\" does not fit %s and is ignored", where, text, settings[alias->id].name);
	return 0;
}

struct properties {
	char *host, *port; /* goosefs.master.hostname, .rpc.port: used when there is no list */
	char *alias_text[NALIASES];
};

static int keep(char **slot, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*slot);
	*slot = copy;
	return 0;
}

static int property_line(struct config *config, char *line, const char *where, void *context)
{
	struct properties *p = context;
	char *name, *value;

	(void)config;
	(void)where;
	if (*line == '!' || !split(line, ':', &name, &value))
		return 0;
	if (!strcmp(name, "goosefs.master.hostname"))
		return keep(&p->host, value);
	if (!strcmp(name, "goosefs.master.rpc.port"))
		return keep(&p->port, value);
	for (unsigned i = 0; i < NALIASES; i++)
		if (!strcmp(name, aliases[i].property))
			return keep(&p->alias_text[i], value);
	return 0;
}

static FILE *properties_open(char path[PATH_MAX])
{
	static const struct {
		const char *variable, *rest;
	} places[] = {
		{"GOOSEFS_CONFIG_FILE", ""},
		{"GOOSEFS_CONF_DIR", "/goosefs-site.properties"},
		{"GOOSEFS_HOME", "/conf/goosefs-site.properties"},
		{"HOME", "/.goosefs/goosefs-site.properties"},
		{NULL, "/etc/goosefs/goosefs-site.properties"},
	};

	for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
		FILE *file;

		if (places[i].variable)
			join(path, getenv(places[i].variable), places[i].rest);
		else
			snprintf(path, PATH_MAX, "%s", places[i].rest);
		file = *path ? fopen(path, "re") : NULL;
		if (file)
			return file;
	}
	return NULL;
}

static int properties_apply(struct config *config, const struct properties *p, const char *path)
{
	int rc = 0;

	if (p->host && *p->host) {
		char address[512];

		snprintf(address, sizeof address, "%s:%s", p->host, p->port && *p->port ? p->port : "9200");
		rc = value_set(config, CONFIG_MASTER, address, CONFIG_FROM_PROPERTIES);
	}
	for (unsigned i = 0; !rc && i < NALIASES; i++)
		if (p->alias_text[i])
			rc = alias_set(config, &aliases[i], path, p->alias_text[i], CONFIG_FROM_PROPERTIES);
	return rc;
}

static int load_properties(struct config *config)
{
	struct properties p = {0};
	char path[PATH_MAX];
	FILE *file = properties_open(path);
	int rc;

	if (!file)
		return 0;
	rc = each_line(config, file, path, property_line, &p);
	if (!rc)
		rc = properties_apply(config, &p, path);
	fclose(file);
	free(p.host);
	free(p.port);
	for (unsigned i = 0; i < NALIASES; i++)
		free(p.alias_text[i]);
	return rc;
}

/* GOOSEFS_MASTER_ADDR alone may also be gfs://h1:p1,h2:p2[/root]; the root is not applied to paths (spec goosefs 14.1).
 */
static void strip_gfs(const char *text, char *out, size_t size)
{
	if (strncmp(text, "gfs://", 6)) {
		snprintf(out, size, "%s", text);
		return;
	}
	snprintf(out, size, "%.*s", (int)strcspn(text + 6, "/"), text + 6);
	if (!*out)
		log_warn("GOOSEFS_MASTER_ADDR=%s is malformed and ignored", text);
}

static int load_goosefs_environment(struct config *config)
{
	for (unsigned i = 0; i < NALIASES; i++) {
		const char *text = *aliases[i].environment ? getenv(aliases[i].environment) : NULL;
		char address[4096];
		int rc;

		if (!text)
			continue;
		if (aliases[i].id == CONFIG_MASTER) {
			strip_gfs(text, address, sizeof address);
			text = address;
		}
		rc = alias_set(config, &aliases[i], aliases[i].environment, text, CONFIG_FROM_GOOSEFS_ENVIRONMENT);
		if (rc)
			return rc;
	}
	return 0;
}

bool config_unknown(unsigned i, char name[CONFIG_NAME_MAX], const char **nearest)
{
	enum config_id id;

	for (char **e = environ; e && *e; e++) {
		size_t n = strcspn(*e, "=");

		if (strncmp(*e, PREFIX, sizeof PREFIX - 1) || n >= CONFIG_NAME_MAX)
			continue;
		memcpy(name, *e, n);
		name[n] = '\0';
		if (id_of(name, &id) || i--)
			continue;
		*nearest = nearest_name(name);
		return true;
	}
	return false;
}

static int load_environment(struct config *config)
{
	for (unsigned id = 0; id < CONFIG_COUNT; id++) {
		const char *text = getenv(settings[id].name);
		int rc;

		if (!text || !*text)
			continue;
		rc = value_set(config, id, text, CONFIG_FROM_ENVIRONMENT);
		if (rc)
			return value_refused("environment", id, text, rc);
	}
	return 0;
}

static int load_overrides(struct config *config, const char *const *overrides)
{
	for (; overrides && *overrides; overrides++) {
		char line[4096], *name, *value;
		enum config_id id;
		int rc;

		if (snprintf(line, sizeof line, "%s", *overrides) >= (int)sizeof line || !split(line, 0, &name, &value))
			return complain("override", "not \"name=value\": %s%s%s", *overrides, "", "");
		if (!id_of(name, &id))
			return complain("override", "no setting is called %s; did you mean %s?%s", name,
					nearest_name(name), "");
		rc = value_set(config, id, value, CONFIG_FROM_OVERRIDE);
		if (rc)
			return value_refused("override", id, value, rc);
	}
	return 0;
}

/* Which settings file? That must be known before any is read. */
static int config_file_named(const char *const *overrides, char path[PATH_MAX])
{
	const char *found = getenv(PREFIX "CONFIG");

	for (; overrides && *overrides; overrides++) {
		const char *plain = without_prefix(*overrides);

		if (!strncasecmp(plain, "CONFIG=", 7))
			found = plain + 7;
	}
	*path = '\0';
	if (found && snprintf(path, PATH_MAX, "%s", found) >= PATH_MAX)
		return complain("SLIPSTREAM_CONFIG", "%s%s%s", "the name is too long", "", "");
	return 0;
}

/* ---- what the sources leave open -------------------------------------------------------------------------------- */

static int default_user(struct config *config)
{
	static const char *const variables[] = {"USER", "LOGNAME", "USERNAME"};
	char number[16];

	if (*config->values[CONFIG_USER].text)
		return 0;
	for (unsigned i = 0; i < 3; i++) {
		const char *name = getenv(variables[i]);

		if (name && *name)
			return value_set(config, CONFIG_USER, name, CONFIG_FROM_DEFAULT);
	}
	snprintf(number, sizeof number, "%u", (unsigned)geteuid());
	return value_set(config, CONFIG_USER, number, CONFIG_FROM_DEFAULT);
}

/* A chunk never exceeds a block. One of the two may be a default, and then it gives way. */
static int fit_chunk(struct config *config)
{
	struct value *chunk = &config->values[CONFIG_CHUNK_SIZE], *block = &config->values[CONFIG_BLOCK_SIZE];
	char text[32];

	if (chunk->number <= block->number)
		return 0;
	if (chunk->source != CONFIG_FROM_DEFAULT)
		return complain("settings", "SLIPSTREAM_CHUNK_SIZE=%s is larger than SLIPSTREAM_BLOCK_SIZE=%s%s",
				chunk->text, block->text, "");
	snprintf(text, sizeof text, "%lld", (long long)block->number);
	return value_set(config, CONFIG_CHUNK_SIZE, text, CONFIG_FROM_DEFAULT);
}

int config_new(const char *const *overrides, struct config **out)
{
	struct config *config = calloc(1, sizeof *config);
	char path[PATH_MAX];
	int rc;

	if (!config)
		return -ENOMEM;
	rc = config_file_named(overrides, path);
	if (!rc)
		rc = load_defaults(config);
	if (!rc)
		rc = load_properties(config);
	if (!rc)
		rc = load_file(config, path);
	if (!rc)
		rc = load_goosefs_environment(config);
	if (!rc)
		rc = load_environment(config);
	if (!rc)
		rc = load_overrides(config, overrides);
	if (!rc)
		rc = default_user(config);
	if (!rc)
		rc = fit_chunk(config);
	if (rc) {
		config_free(config);
		return rc;
	}
	*out = config;
	return 0;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (unsigned id = 0; id < CONFIG_COUNT; id++)
		free(config->values[id].text);
	free(config);
}

uint64_t config_u64(const struct config *config, enum config_id id)
{
	return (uint64_t)config->values[id].number;
}

int64_t config_i64(const struct config *config, enum config_id id)
{
	return config->values[id].number;
}

bool config_bool(const struct config *config, enum config_id id)
{
	return config->values[id].number;
}

const char *config_text(const struct config *config, enum config_id id)
{
	return config->values[id].text;
}

enum config_source config_source(const struct config *config, enum config_id id)
{
	return config->values[id].source;
}

const char *config_name(enum config_id id)
{
	return settings[id].name;
}

const char *config_help(enum config_id id)
{
	return settings[id].help;
}

const char *config_default(enum config_id id)
{
	return settings[id].fallback;
}
