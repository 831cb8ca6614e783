/*
 * env.h: the environment of the next program, which is to have the shim in it, in the same session.
 *
 * Async-signal-safe; nothing is allocated.
 */
#ifndef SLIPSTREAM_SHIM_ENV_H
#define SLIPSTREAM_SHIM_ENV_H

#include <stdbool.h>
#include <stddef.h>

#define ENV_ADDED 5 /* four of ours, and the end */

const char *env_value(char *const envp[], const char *name);
size_t env_count(char *const envp[]);

/* Does this environment lead the shim into the next program, and to its working directory? Or does somebody not want it to? */
bool env_leads(char *const envp[], const char *cwd);
/* Room for the text of ours: no more than it takes, for the stack may be small. */
size_t env_bytes(char *const envp[], const char *cwd);
/* envp with ours in it; out has room for ENV_ADDED more, text for env_bytes(). */
void env_lead(char **out, char *const envp[], const char *cwd, char *text);

#endif
