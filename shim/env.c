#include "shim/env.h"
#include "shim/shim.h"
#include "shim/sys.h"
#include "shim/text.h"

#include <string.h>

const char *env_value(char *const envp[], const char *name)
{
	size_t n = strlen(name);

	for (; envp && *envp; envp++)
		if (!strncmp(*envp, name, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

/* "name=a:b" at *to, which is moved behind it; what it is. b may be NULL. */
static char *env_put(char **to, const char *name, const char *a, const char *b)
{
	const char *const parts[] = {name, a, b ? ":" : "", b ? b : ""};
	char *text = *to, *at = text;

	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
		size_t n = strlen(parts[i]);

		memcpy(at, parts[i], n);
		at += n;
	}
	*at = '\0';
	*to = at + 1;
	return text;
}

/* value "": it is not there. */
static bool env_same(char *const envp[], const char *name, const char *value)
{
	const char *have = env_value(envp, name);

	return have ? !strcmp(have, value) : !*value;
}

/* Another session, that is there: what `slipstream run` below this one says of its own. */
static bool env_elsewhere(char *const envp[])
{
	const char *session = env_value(envp, "SLIPSTREAM_SESSION");
	struct stat st;

	return session && *session == '/' && strcmp(session, shim.session) != 0 &&
	       !sys_fstatat(AT_FDCWD, session, &st, 0) && env_value(envp, "SLIPSTREAM_MOUNTS");
}

bool env_leads(char *const envp[], const char *cwd)
{
	const char *preload = env_value(envp, "LD_PRELOAD"), *inherit = env_value(envp, "SLIPSTREAM_INHERIT");

	if (!shim.inherit || text_no(inherit))
		return true;
	if (*shim.preload && !(preload && strstr(preload, shim.preload)))
		return false;
	return env_elsewhere(envp) || (env_same(envp, "SLIPSTREAM_MOUNTS", shim.mounts) &&
				       (shim.alone || env_same(envp, "SLIPSTREAM_SESSION", shim.session)) &&
				       env_same(envp, "SLIPSTREAM_CWD", cwd));
}

size_t env_count(char *const envp[])
{
	size_t n = 0;

	while (envp && envp[n])
		n++;
	return n;
}

size_t env_bytes(char *const envp[], const char *cwd)
{
	const char *preload = env_value(envp, "LD_PRELOAD");

	return strlen(shim.preload) + (preload ? strlen(preload) : 0) + strlen(shim.session) + strlen(shim.mounts) +
	       strlen(cwd) + sizeof "LD_PRELOAD=:SLIPSTREAM_SESSION=SLIPSTREAM_MOUNTS=SLIPSTREAM_CWD=" + 4;
}

void env_lead(char **out, char *const envp[], const char *cwd, char *text)
{
	static const char *const ours[] = {
		"LD_PRELOAD=", "SLIPSTREAM_SESSION=", "SLIPSTREAM_MOUNTS=", "SLIPSTREAM_CWD="};
	const char *preload = env_value(envp, "LD_PRELOAD");

	for (; envp && *envp; envp++) {
		bool replaced = false;

		for (unsigned i = 0; i < sizeof ours / sizeof *ours; i++)
			replaced |= !strncmp(*envp, ours[i], strlen(ours[i]));
		if (!replaced)
			*out++ = *envp;
	}
	if (preload && (strstr(preload, shim.preload) || !*preload || !*shim.preload))
		*out = env_put(&text, "LD_PRELOAD=", *preload ? preload : shim.preload, NULL);
	else
		*out = env_put(&text, "LD_PRELOAD=", shim.preload, preload);
	out += (*out)[strlen("LD_PRELOAD=")] != '\0';
	if (!shim.alone) /* those who are find the session by its mounts */
		*out++ = env_put(&text, "SLIPSTREAM_SESSION=", shim.session, NULL);
	*out++ = env_put(&text, "SLIPSTREAM_MOUNTS=", shim.mounts, NULL);
	if (*cwd)
		*out++ = env_put(&text, "SLIPSTREAM_CWD=", cwd, NULL);
	*out = NULL;
}
