/*
 * needed.c: ld.so opens the libraries of a program before we are there, and where $ORIGIN leads from a memfd there is nothing. So
 * whoever executes the program opens those that are ours, and has ld.so preload them by the numbers of their descriptors: what is
 * preloaded is found by its SONAME when its turn comes, and they come in the order in which ld.so would have loaded them.
 *
 * One that has none, or another than the name it is wanted by, gets a link of that name in a directory of the session, in front of
 * LD_LIBRARY_PATH.
 *
 * LD_PRELOAD=...:/proc/self/fd/7:/proc/self/fd/8 is for ld.so, SLIPSTREAM_NEEDED="0:0:7:24:/goosefs/app/lib/libone.so8:..." tells the next program
 * which they are, and first of that directory. All of it is gone before its main().
 */
#include "shim/needed.h"
#include "shim/elf.h"
#include "shim/env.h"
#include "shim/library.h"
#include "shim/path.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/sys.h"
#include "shim/text.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#define NUMBERS    32 /* two numbers and their colons */
#define FOLDER_MAX 256
#define LINK_BYTES (PATH_MAX + NAME_MAX + 2)

extern char **environ;

/* ---- for who executes it --------------------------------------------------------------------------------------------- */

/* The program, then what it needs, then what that needs. */
struct member {
	struct elf_site site;
	struct elf elf;
	int fd;
	bool preloads; /* its SONAME is the name it is wanted by */
	char path[PATH_MAX];
};

struct needed_list {
	unsigned count;
	struct where w;
	struct member member[1 + NEEDED_MAX];
};

static const char *file_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static bool is_there(const struct needed_list *list, const char *name)
{
	for (unsigned i = 1; i < list->count; i++)
		if (!strcmp(file_name(list->member[i].path), name))
			return true;
	return false;
}

/* The descriptor is the member's. */
static bool member_add(struct needed_list *list, int fd, const struct elf_site *wanted_by)
{
	struct member *m = &list->member[list->count];
	const char *soname;

	if (!elf_map(&m->elf, fd))
		return false;
	soname = elf_named(&m->elf, DT_SONAME);
	m->fd = fd;
	m->preloads = soname && !strcmp(soname, file_name(m->path));
	m->site = (struct elf_site){.wanted_by = wanted_by,
				    .path = m->path,
				    .rpath = elf_named(&m->elf, DT_RPATH),
				    .runpath = elf_named(&m->elf, DT_RUNPATH)};
	list->count++;
	return true;
}

/* One that is not ours, or not there, is ld.so's to find. */
static void library_add(struct needed_list *list, const struct elf_site *by, const char *libraries, const char *name)
{
	char *path = list->member[list->count].path;
	int fd;

	if (list->count > NEEDED_MAX || is_there(list, name) || !elf_find(by, libraries, name, path) ||
	    !path_maybe(AT_FDCWD, path) || path_find(&list->w, AT_FDCWD, path) <= 0)
		return;
	fd = library_content(&list->w);
	if (fd >= 0 && !member_add(list, fd, by))
		process_close(fd);
	if (fd < 0 && fd != SESSION_ELSEWHERE)
		shim_log("ld.so cannot be given", path, fd);
}

static void all_needed(struct needed_list *list, const char *libraries)
{
	for (unsigned i = 0; i < list->count; i++) {
		struct member *m = &list->member[i];
		size_t entry = 0;
		const char *name;

		while ((name = elf_needed(&m->elf, &entry)))
			library_add(list, &m->site, libraries, name);
	}
}

static void list_free(struct needed_list *list)
{
	for (unsigned i = 0; i < list->count; i++)
		elf_unmap(&list->member[i].elf);
	sys2(SYS_munmap, list, sizeof *list);
}

void needed_open(struct needed *needed, int image, const char *path, char *const envp[])
{
	const char *preload = env_value(envp, "LD_PRELOAD"), *libraries = env_value(envp, "LD_LIBRARY_PATH");
	struct needed_list *list;
	long at;

	needed->count = 0;
	if (!*shim.preload || !preload || !strstr(preload, shim.preload))
		return;
	at = sys6(SYS_mmap, 0, sizeof *list, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0 && at > -4096)
		return;
	list = (struct needed_list *)at;
	strcpy(list->member[0].path, path);
	if (member_add(list, image, NULL))
		all_needed(list, libraries);
	needed->text_bytes = sizeof "LD_PRELOAD=LD_LIBRARY_PATH=" NEEDED_NAME "=" + strlen(preload) +
			     strlen(libraries ?: "") + 2 * (NUMBERS + FOLDER_MAX);
	for (unsigned i = 1; i < list->count; i++) {
		needed->fd[needed->count++] = list->member[i].fd;
		needed->text_bytes += SYS_FD_NAME + NUMBERS + strlen(list->member[i].path);
	}
	needed->list = list;
	if (!needed->count)
		list_free(list);
}

/* "number:bytes:path" */
static char *entry_put(char *at, int number, const char *path)
{
	at += sys_number(at, (unsigned long)number);
	*at++ = ':';
	at += sys_number(at, strlen(path));
	*at++ = ':';
	return stpcpy(at, path);
}

/* The directory for links; "" if there are none to make, or it cannot be made. */
static void folder_make(char out[FOLDER_MAX], const struct needed_list *list)
{
	unsigned links = 0, serial = 0;
	int rc = -EEXIST;
	char *at;

	for (unsigned i = 1; i < list->count; i++)
		links += !list->member[i].preloads;
	*out = '\0';
	if (!links || strlen(shim.session) + sizeof "/needed-" + NUMBERS > FOLDER_MAX)
		return;
	at = stpcpy(stpcpy(out, shim.session), "/needed-");
	for (; rc == -EEXIST && serial < 1000; serial++) {
		at[sys_number(at, (unsigned long)sys0(SYS_getpid) * 1000 + serial)] = '\0';
		rc = (int)sys3(SYS_mkdirat, AT_FDCWD, out, 0700);
	}
	if (rc) {
		shim_log("no links to libraries can be made in", shim.session, rc);
		*out = '\0';
	}
}

/* The folder's link to a library of that path; the folder's path for its own. */
static void link_of(char out[LINK_BYTES], const char *folder, const char *path)
{
	const char *name = file_name(path);

	*out = '\0';
	if (*folder && strlen(name) <= NAME_MAX)
		stpcpy(stpcpy(stpcpy(out, folder), "/"), name);
}

static void link_make(const char *folder, const char *path, int fd)
{
	char link[LINK_BYTES], number[SYS_FD_NAME];

	link_of(link, folder, path);
	sys3(SYS_symlinkat, sys_fd_name(number, fd), AT_FDCWD, link);
}

/* ---- what tells of them ------------------------------------------------------------------------------------------------- */

static const char *number_read(const char *at, unsigned long *out)
{
	for (*out = 0; *at >= '0' && *at <= '9'; at++)
		*out = *out * 10 + (unsigned long)(*at - '0');
	return *at == ':' ? at + 1 : NULL;
}

/* What follows the entry at this place, or NULL: there is none. */
static const char *entry_read(const char *at, int *number, char path[PATH_MAX])
{
	unsigned long fd, bytes;

	at = number_read(at, &fd);
	at = at ? number_read(at, &bytes) : NULL;
	if (!at || bytes >= PATH_MAX || bytes > strlen(at))
		return NULL;
	*number = (int)fd;
	memcpy(path, at, bytes);
	path[bytes] = '\0';
	return at + bytes;
}

static void folder_remove(const char *tells)
{
	char folder[PATH_MAX], path[PATH_MAX], link[LINK_BYTES];
	int number;

	tells = entry_read(tells, &number, folder);
	if (!tells || !*folder)
		return;
	while ((tells = entry_read(tells, &number, path))) {
		link_of(link, folder, path);
		sys3(SYS_unlinkat, AT_FDCWD, link, 0);
	}
	sys3(SYS_unlinkat, AT_FDCWD, folder, AT_REMOVEDIR);
}

/* Gives the list back: whoever called vfork() would keep it. */
void needed_environment(struct needed *needed, char **out, char *const envp[], char *text)
{
	const char *given = env_value(envp, "LD_LIBRARY_PATH");
	const struct member *m = needed->list->member + 1;
	char folder[FOLDER_MAX], name[SYS_FD_NAME], *preload = text, *libraries, *tells, *at;

	folder_make(folder, needed->list);
	at = stpcpy(stpcpy(text, "LD_PRELOAD="), env_value(envp, "LD_PRELOAD"));
	for (unsigned i = 0; i < needed->count; i++)
		if (m[i].preloads)
			at = stpcpy(stpcpy(at, ":"), sys_fd_name(name, needed->fd[i]));
		else
			link_make(folder, m[i].path, needed->fd[i]);
	*at++ = '\0';
	libraries = at;
	at = stpcpy(stpcpy(at, "LD_LIBRARY_PATH="), folder);
	if (given && *given)
		at = stpcpy(stpcpy(at, ":"), given);
	*at++ = '\0';
	needed->tells = tells = at;
	at = entry_put(stpcpy(at, NEEDED_NAME "="), 0, folder);
	for (unsigned i = 0; i < needed->count; i++)
		at = entry_put(at, needed->fd[i], m[i].path);
	*at = '\0';
	for (; *envp; envp++)
		if (!*folder || !text_begins(*envp, "LD_LIBRARY_PATH="))
			*out++ = text_begins(*envp, "LD_PRELOAD=") ? preload : *envp;
	if (*folder)
		*out++ = libraries;
	*out++ = tells;
	*out = NULL;
	list_free(needed->list);
}

void needed_inherit(const struct needed *needed)
{
	for (unsigned i = 0; i < needed->count; i++)
		sys_fcntl(needed->fd[i], F_SETFD, 0);
}

void needed_close(struct needed *needed, bool arrives)
{
	if (!arrives)
		folder_remove(needed->tells + sizeof NEEDED_NAME);
	for (unsigned i = 0; i < needed->count; i++)
		process_close(needed->fd[i]);
}

/* ---- in the program -------------------------------------------------------------------------------------------------------- */

/* From one of the names that ld.so found it by. */
static void library_arrive(const char *folder, int fd, const char *path)
{
	char number[SYS_FD_NAME], link[LINK_BYTES];

	link_of(link, folder, path);
	for (struct link_map *map = real_next(); map; map = map->l_next)
		if (!strcmp(map->l_name, sys_fd_name(number, fd)) || (*link && !strcmp(map->l_name, link)))
			library_call(map, path);
	sys_close(fd);
}

/* A list without what we put there. The environment is ours to write over: it is the process's copy. */
static void list_clean(char *list, const char *folder)
{
	char *to = list;

	for (const char *at = list; list && *at;) {
		size_t n = strcspn(at, ":");

		if (!text_begins(at, "/proc/self/fd/") && !(n == strlen(folder) && !memcmp(at, folder, n))) {
			if (to != list)
				*to++ = ':';
			memmove(to, at, n);
			to += n;
		}
		at += n + (at[n] == ':');
	}
	if (list)
		*to = '\0';
}

static void variable_remove(const char *name)
{
	char **entry = environ;

	while (*entry && !text_begins(*entry, name))
		entry++;
	for (; *entry; entry++)
		entry[0] = entry[1];
}

COLD void needed_arrive(const char *tells)
{
	char *libraries = (char *)text_env("LD_LIBRARY_PATH"), folder[PATH_MAX] = "", path[PATH_MAX];
	int fd;
	const char *at = entry_read(tells, &fd, folder);

	folder_remove(tells);
	while (at && (at = entry_read(at, &fd, path)))
		library_arrive(folder, fd, path);
	list_clean((char *)text_env("LD_PRELOAD"), folder);
	if (*folder) {
		list_clean(libraries, folder);
		if (libraries && !*libraries)
			variable_remove("LD_LIBRARY_PATH=");
	}
	variable_remove(NEEDED_NAME "=");
}
