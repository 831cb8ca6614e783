/*
 * library.c: dlopen() below a prefix. ld.so opens files by system calls of its own, so it is given the name in /proc of a
 * descriptor with the content under it, and told the library's own name afterwards, by which it knows it from then on: for
 * who opens it again, and for dladdr(). Under two names it is one library, by the kernel file's inode.
 *
 * What the library needs itself ld.so looks for where its RPATH says, seen from $ORIGIN, which is /proc now: so that is loaded
 * first, and found by its name when its turn comes. Until dlopen() is done, and so in a constructor, dladdr() says /proc.
 *
 * ld.so looks at who calls dlopen(), whose RUNPATH counts for a name without a slash. What is not ours is therefore a jump.
 */
#include "shim/library.h"
#include "shim/elf.h"
#include "shim/op.h"
#include "shim/process.h"
#include "shim/real.h"
#include "shim/sys.h"

#include <stdlib.h>
#include <string.h>

/* ---- a name for ld.so --------------------------------------------------------------------------------------------------- */

/* Can what is at fd be opened by its name, and executed? A staging file may lie where nothing can, or be another user's. */
static bool loadable(int fd)
{
	char name[SYS_FD_NAME];
	struct statfs fs;
	int again = sys_open(sys_fd_name(name, fd), O_RDONLY | O_CLOEXEC, 0);

	if (again < 0)
		return false;
	sys_close(again);
	return !sys2(SYS_fstatfs, fd, &fs) && !(fs.f_flags & ST_NOEXEC);
}

int library_content(struct where *w)
{
	int fd = (int)op_open(w, O_RDONLY | O_CLOEXEC, 0), image;
	struct ofd of;

	if (fd < 0)
		return fd;
	fd_content(fd);
	if (ofd_find(&of, fd, KIND(STAGED) | KIND(LOCAL)) && !loadable(fd)) {
		image = image_copy(fd, "slipstream-library");
		process_close(fd);
		fd = image;
	}
	return fd;
}

/* Never the same twice, for ld.so remembers names: "/proc/self/fd/./7", with slashes and dots as a counter says. */
static void name_once(char out[LIBRARY_NAME], int fd)
{
	static _Atomic uint32_t count = 1;
	char plain[SYS_FD_NAME], *name = sys_fd_name(plain, fd), *number = strrchr(name, '/'), *at = out;

	memcpy(at, name, (size_t)(number - name));
	at += number - name;
	for (uint32_t serial = atomic_fetch_add(&count, 1); serial; serial >>= 1) {
		*at++ = '/';
		if (serial & 1)
			*at++ = '.';
	}
	memcpy(at, number, strlen(number) + 1);
}

int library_file(struct where *w, char name[LIBRARY_NAME])
{
	int fd = library_content(w);

	if (fd >= 0)
		name_once(name, fd);
	return fd;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

#define DEPTH 32

/* A library that is being opened, and on whose behalf. */
struct library {
	struct elf_site site; /* its path is w.path; wanted by another of these */
	unsigned depth;
	bool has_ns; /* dlmopen() */
	Lmid_t ns;
	int mode;
	const char *called; /* by the program */
	struct where w;
	char name[LIBRARY_NAME]; /* for ld.so */
	struct elf elf;
	char found[PATH_MAX]; /* of what it needs */
};

static void *library_open(struct library *lib);

static void *real_open(const struct library *lib, const char *name, int mode)
{
	return lib->has_ns ? REAL(dlmopen)(lib->ns, name, mode) : REAL(dlopen)(name, mode);
}

static bool being_opened(const struct elf_site *site, const char *path)
{
	while (site && strcmp(site->path, path))
		site = site->wanted_by;
	return site;
}

static void *needed_open(struct library *by, const char *name)
{
	void *handle = real_open(by, name, RTLD_LAZY | RTLD_NOLOAD);
	const char *path = by->found;
	struct library *lib =
		handle || by->depth == DEPTH || !elf_find(&by->site, getenv("LD_LIBRARY_PATH"), name, by->found)
			? NULL
			: malloc(sizeof *lib);

	if (!lib)
		return handle;
	lib->site = (struct elf_site){.wanted_by = &by->site, .path = lib->w.path};
	lib->depth = by->depth + 1;
	lib->has_ns = by->has_ns;
	lib->ns = by->ns;
	lib->mode = RTLD_LAZY;
	lib->called = path;
	if (!path_maybe(AT_FDCWD, path) || path_find(&lib->w, AT_FDCWD, path) <= 0)
		handle = real_open(by, path, RTLD_LAZY);
	else if (!being_opened(&by->site, lib->w.path))
		handle = library_open(lib);
	free(lib);
	return handle;
}

static struct link_map *map_of(void *handle)
{
	struct link_map *map;

	return handle && !dlinfo(handle, RTLD_DI_LINKMAP, &map) ? map : NULL;
}

/* No name is freed: another thread may be reading it. */
void library_call(struct link_map *map, const char *name)
{
	char *copy = strdup(name);

	if (copy)
		map->l_name = copy;
}

/* struct link_map as ld.so knows it, and its list of names (glibc 2.3.4 and later, include/link.h): there is no other way to add one. */
struct names {
	const char *name;
	struct names *next;
	int dont_free;
};

struct link_map_inside {
	struct link_map map;
	struct link_map *real;
	Lmid_t ns;
	struct names *names;
};

static bool has_soname(const struct link_map *map)
{
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_SONAME)
			return true;
	return false;
}

/* Without a SONAME ld.so knows a library by the names it was opened by. One that we gave, in its place, is the proof of that place. */
static void library_known_as(struct link_map *map, const char *name)
{
	struct link_map_inside *inside = (struct link_map_inside *)map;
	struct names *last, *more;

	if (has_soname(map) || inside->real != map || !inside->names ||
	    strncmp(inside->names->name, "/proc/self/fd/", 14))
		return;
	for (last = inside->names; strcmp(last->name, name) && last->next; last = last->next)
		;
	more = strcmp(last->name, name) ? malloc(sizeof *more + strlen(name) + 1) : NULL;
	if (!more)
		return;
	*more = (struct names){strcpy((char *)(more + 1), name), NULL, 0}; /* ld.so frees it, with the library */
	__atomic_store_n(&last->next, more, __ATOMIC_RELEASE);
}

/* From entry i on: what it needs, and then the library itself. */
static void *open_with_needed(struct library *lib, size_t i)
{
	const char *name = elf_needed(&lib->elf, &i);
	void *needed, *handle;

	if (!name)
		return real_open(lib, lib->name, lib->mode);
	needed = needed_open(lib, name);
	if (map_of(needed))
		library_known_as(map_of(needed), name);
	handle = open_with_needed(lib, i);
	if (needed && handle) /* who failed is to have his dlerror() */
		dlclose(needed);
	return handle;
}

static void *library_load(struct library *lib, int fd)
{
	void *handle;

	/* With a namespace of its own it starts from nothing, and each call would make one more. */
	if ((lib->mode & RTLD_NOLOAD) || (lib->has_ns && lib->ns == LM_ID_NEWLM) || !elf_map(&lib->elf, fd))
		return real_open(lib, lib->name, lib->mode);
	lib->site.rpath = elf_named(&lib->elf, DT_RPATH);
	lib->site.runpath = elf_named(&lib->elf, DT_RUNPATH);
	handle = open_with_needed(lib, 0);
	elf_unmap(&lib->elf);
	return handle;
}

/* ---- dlerror() calls the library as it is called ------------------------------------------------------------------------- */

static _Thread_local struct {
	char name[LIBRARY_NAME]; /* of the last that failed, to ld.so */
	char *path, *text;
} failed;

static void failure_note(const struct library *lib)
{
	free(failed.path);
	failed.path = strdup(lib->called);
	memcpy(failed.name, lib->name, sizeof failed.name);
}

EXPORT char *dlerror(void)
{
	char *said = REAL(dlerror)();
	size_t n = strlen(failed.name), bytes;

	if (likely(!n) || !said || !failed.path || strncmp(said, failed.name, n))
		return said;
	free(failed.text);
	bytes = strlen(failed.path);
	failed.text = malloc(bytes + strlen(said + n) + 1);
	if (!failed.text)
		return said;
	memcpy(failed.text, failed.path, bytes);
	strcpy(failed.text + bytes, said + n);
	return failed.text;
}

/* ---- dlopen() ------------------------------------------------------------------------------------------------------------ */

/* NULL: dlerror() says why. */
static void *library_open(struct library *lib)
{
	void *handle = real_open(lib, lib->called, lib->mode | RTLD_NOLOAD);
	int fd = handle ? -1 : library_file(&lib->w, lib->name);
	struct link_map *map;

	if (fd == SESSION_ELSEWHERE)
		return real_open(lib, lib->w.native, lib->mode);
	if (fd < 0 && !handle && fd != -ENOENT) /* ld.so says that it is not there */
		shim_log("cannot load", lib->w.path, fd);
	if (fd >= 0) {
		handle = library_load(lib, fd);
		process_close(fd);
		map = map_of(handle);
		if (map && !strcmp(map->l_name, lib->name)) /* not loaded before, by another name */
			library_call(map, lib->called);
		else if (!handle)
			failure_note(lib);
	}
	return handle;
}

/* Afterwards, as elsewhere, it is too late to look whether a link on the way leads to us: what follows is a jump. */
static bool library_find(struct where *w, const char *path)
{
	int missing = path_maybe(AT_FDCWD, path) ? 0 : (int)sys3(SYS_faccessat, AT_FDCWD, path, F_OK);

	return missing ? path_missed(w, AT_FDCWD, path, -missing) : path_find(w, AT_FDCWD, path) > 0;
}

/* NULL: it is not of ours. */
static COLD struct library *library_named(const char *path)
{
	struct library *lib = malloc(sizeof *lib);

	if (lib && library_find(&lib->w, path))
		return lib;
	free(lib);
	return NULL;
}

/* Where the code at this address was loaded from. False: that leads nobody to us. */
static bool site_of(struct elf_site *site, struct where *w, const void *code)
{
	struct link_map *map;
	const char *strings = NULL;
	Dl_info info;

	*site = (struct elf_site){.path = "/"};
	if (!dladdr1(code, &info, (void **)&map, RTLD_DL_LINKMAP))
		return false;
	site->path = map->l_name;
	if (!*map->l_name) /* the program, which may be one of ours */
		site->path = path_find(w, AT_FDCWD, "/proc/self/exe") > 0 ? w->path : "/";
	for (const ElfW(Dyn) *d = map->l_ld; d && d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_STRTAB)
			strings = (const char *)d->d_un.d_ptr;
	for (const ElfW(Dyn) *d = map->l_ld; d && d->d_tag != DT_NULL; d++)
		if (strings && d->d_tag == DT_RPATH)
			site->rpath = strings + d->d_un.d_val;
		else if (strings && d->d_tag == DT_RUNPATH)
			site->runpath = strings + d->d_un.d_val;
	return *site->path == '/' &&
	       (path_maybe(AT_FDCWD, site->path) || elf_any_ours(site->rpath) || elf_any_ours(site->runpath));
}

/* A name alone, which code asks for: where ld.so would look, from where that code is. NULL: it is not there, or not ours. */
static COLD struct library *library_searched(const char *name, const void *code)
{
	const char *list = getenv("LD_LIBRARY_PATH");
	struct library *lib = malloc(sizeof *lib);
	struct elf_site site;
	bool leads = lib && site_of(&site, &lib->w, code);

	if (lib && (leads || elf_any_ours(list)) && elf_find(&site, list, name, lib->found) &&
	    path_maybe(AT_FDCWD, lib->found) && path_find(&lib->w, AT_FDCWD, lib->found) > 0)
		return lib;
	free(lib);
	return NULL;
}

static inline struct library *library_ours(const char *path, const void *code)
{
	if (likely(!shim.active) || !path || !*path)
		return NULL;
	return strchr(path, '/') ? library_named(path) : library_searched(path, code);
}

static COLD void *library_open_for(struct library *lib, const char *path, bool has_ns, Lmid_t ns, int mode)
{
	void *handle;

	lib->site = (struct elf_site){.path = lib->w.path};
	lib->depth = 0;
	lib->has_ns = has_ns;
	lib->ns = ns;
	lib->mode = mode;
	lib->called = strchr(path, '/') ? path : lib->w.path;
	handle = library_open(lib);
	free(lib);
	return handle;
}

/* The call at the end is a jump, however we are compiled. */
#ifdef __clang__
#define JUMPS
#define JUMP __attribute__((musttail)) return
#else
#define JUMPS __attribute__((optimize("O2")))
#define JUMP  return
#endif

JUMPS EXPORT void *dlopen(const char *path, int mode)
{
	struct library *lib = library_ours(path, __builtin_return_address(0));

	if (unlikely(lib))
		return library_open_for(lib, path, false, LM_ID_BASE, mode);
	JUMP REAL(dlopen)(path, mode);
}

JUMPS EXPORT void *dlmopen(Lmid_t ns, const char *path, int mode)
{
	struct library *lib = library_ours(path, __builtin_return_address(0));

	if (unlikely(lib))
		return library_open_for(lib, path, true, ns, mode);
	JUMP REAL(dlmopen)(ns, path, mode);
}

/* ---- message catalogues --------------------------------------------------------------------------------------------------- */

static COLD nl_catd catalogue_open(const char *name, int flags)
{
	char known[LIBRARY_NAME];
	struct where w;
	nl_catd catalogue;
	int fd = path_find(&w, AT_FDCWD, name);

	if (fd > 0)
		fd = library_file(&w, known);
	else if (!fd)
		fd = SESSION_ELSEWHERE;
	if (fd == SESSION_ELSEWHERE)
		return REAL(catopen)(w.native, flags);
	if (fd < 0) {
		errno = -fd;
		return (nl_catd)-1;
	}
	catalogue = REAL(catopen)(known, flags);
	process_close(fd);
	return catalogue;
}

/* What has no slash is looked for in NLSPATH, by libc alone. */
EXPORT nl_catd catopen(const char *name, int flags)
{
	if (likely(!shim.active || !strchr(name, '/') || !path_maybe(AT_FDCWD, name)))
		return REAL(catopen)(name, flags);
	return catalogue_open(name, flags);
}
