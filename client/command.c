/*
 * command.c: doors for the command, nothing behind them.
 */
#include "client/command.h"
#include "client/client.h"
#include "client/stage.h"

#include <string.h>
#include <strings.h>

#define PREFIX "SLIPSTREAM_"

_Static_assert(CONFIG_NAME_MAX == 128, "as command.h has it");

const char *slip_setting(const struct slip_client *client, const char *name)
{
	for (unsigned id = 0; id < CONFIG_COUNT; id++)
		if (!strcasecmp(config_name(id) + strlen(PREFIX), name))
			return config_text(client->config, id);
	return NULL;
}

bool slip_unknown_setting(unsigned i, char name[128], const char **nearest)
{
	return config_unknown(i, name, nearest);
}

bool slip_stage_candidate(const struct slip_client *client, unsigned i, char out[PATH_MAX])
{
	return stage_candidate(i, config_text(client->config, CONFIG_STAGE), out);
}

int slip_stage_probe(const char *dir)
{
	return stage_probe(dir);
}
