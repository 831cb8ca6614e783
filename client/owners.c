/*
 * owners.c: names and numbers of users and groups. Looked up here, never inside a program; remembered for good.
 */
#include "client/keeper.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define NOBODY     65534u
#define OWNERS_MAX 4096u

struct owner {
	UT_hash_handle hh;
	uint32_t id;
	char name[64];
};

static struct {
	struct lock lock; /* LOCK_OWNERS */
	struct owner *users, *groups;
} owners = {.lock = {PTHREAD_MUTEX_INITIALIZER, LOCK_OWNERS}};

static bool number(const char *name, uint32_t *id)
{
	char *end;
	unsigned long v = strtoul(name, &end, 10);

	*id = (uint32_t)v;
	return *name >= '0' && *name <= '9' && !*end && v < UINT32_MAX;
}

static uint32_t user_ask(const char *name)
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	return !getpwnam_r(name, &pw, buf, sizeof buf, &found) && found ? found->pw_uid : NOBODY;
}

static uint32_t group_ask(const char *name)
{
	struct group gr, *found = NULL;
	char buf[16384];

	return !getgrnam_r(name, &gr, buf, sizeof buf, &found) && found ? found->gr_gid : NOBODY;
}

static uint32_t lookup(struct owner **table, const char *name, uint32_t (*ask)(const char *))
{
	struct owner *o;
	uint32_t id;

	if (number(name, &id))
		return id;
	lock_take(&owners.lock);
	HASH_FIND_STR(*table, name, o);
	id = o ? o->id : ask(name);
	if (!o && HASH_COUNT(*table) < OWNERS_MAX && (o = calloc(1, sizeof *o))) {
		snprintf(o->name, sizeof o->name, "%s", name);
		o->id = id;
		HASH_ADD_STR(*table, name, o);
	}
	lock_drop(&owners.lock);
	return id;
}

uid_t owner_uid(const struct keeper *k, const char *name)
{
	return !strcmp(name, k->user) || !*name ? k->uid : lookup(&owners.users, name, user_ask);
}

/* The server may call the group of a user by the user's name. */
gid_t owner_gid(const struct keeper *k, const char *name)
{
	uint32_t gid = *name ? lookup(&owners.groups, name, group_ask) : k->gid;

	return gid == NOBODY && !strcmp(name, k->user) ? k->gid : gid;
}

void owner_name(const struct keeper *k, uid_t uid, char out[64])
{
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (uid == k->uid && *k->user)
		snprintf(out, 64, "%s", k->user);
	else if (!getpwuid_r(uid, &pw, buf, sizeof buf, &found) && found)
		snprintf(out, 64, "%s", found->pw_name);
	else
		snprintf(out, 64, "%u", uid);
}

void owner_group(const struct keeper *k, gid_t gid, char out[64])
{
	struct group gr, *found = NULL;
	char buf[16384];

	(void)k;
	if (!getgrgid_r(gid, &gr, buf, sizeof buf, &found) && found)
		snprintf(out, 64, "%s", found->gr_name);
	else
		snprintf(out, 64, "%u", gid);
}

/* In the session of an ordinary user all is his; root's may hold programs that have become others. */
bool owner_of_new(const struct request *r, uint32_t *uid, uint32_t *gid)
{
	*uid = r->k->uid ? r->k->uid : r->uid;
	*gid = r->k->uid ? r->k->gid : r->gid;
	return *uid != r->k->uid || *gid != r->k->gid;
}
