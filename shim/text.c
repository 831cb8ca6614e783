/* text.c: what is kept stands one behind another, so that it takes a page, and not one for each. */
#include "shim/text.h"

extern char **environ;

static char kept[4 * PATH_MAX + SESSION_MOUNTS_MAX * (SESSION_PREFIX_MAX + 2 * URL_MAX)];
static NEAR size_t kept_bytes;

STARTUP const char *text_env(const char *name)
{
	for (char **entry = environ; entry && *entry; entry++) {
		const char *text = *entry, *at = name;

		while (*at && *text == *at)
			text++, at++;
		if (!*at && *text == '=')
			return text + 1;
	}
	return NULL;
}

bool text_no(const char *value)
{
	static const char words[][8] = {"0", "false", "no", "off"};

	for (size_t i = 0; value && i < sizeof words / sizeof *words; i++) {
		const char *at = value, *word = words[i];

		while (*word && (*at | 0x20) == *word) /* in any case */
			at++, word++;
		if (!*word && !*at)
			return true;
	}
	return false;
}

/* Behind the n bytes of a text that is being made. NULL in, or no room: NULL. */
static inline char *put(char *made, size_t *n, const char *text, size_t most)
{
	while (made && most-- && *text) {
		if (*n == PATH_MAX - 1 || kept_bytes + *n == sizeof kept - 1)
			return NULL;
		made[(*n)++] = *text++;
	}
	return made;
}

static inline const char *done(char *made, size_t n)
{
	if (made) {
		made[n] = '\0';
		kept_bytes += n + 1;
	}
	return made;
}

STARTUP const char *text_keep(const char *text, size_t most)
{
	char *made = kept + kept_bytes;
	size_t n = 0;

	made = put(made, &n, text, most);
	return done(made, n);
}

STARTUP const char *text_join(const char *a, const char *b, const char *c)
{
	char *made = kept + kept_bytes;
	size_t n = 0;

	made = put(made, &n, a, SIZE_MAX);
	made = put(made, &n, b, SIZE_MAX);
	made = put(made, &n, c, SIZE_MAX);
	return done(made, n);
}
