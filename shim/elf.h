/*
 * elf.h: what a program or a library is linked with, and where ld.so would look for that.
 *
 * Async-signal-safe. Threads: any, of one struct one at a time.
 */
#ifndef SLIPSTREAM_SHIM_ELF_H
#define SLIPSTREAM_SHIM_ELF_H

#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>

/* A file, mapped: nothing in it is believed before it is looked at. */
struct elf {
	const char *file;
	size_t size;
	const ElfW(Dyn) * dynamic;
	size_t entries;
	const char *strings;
	size_t string_bytes;
};

/* False: cannot be mapped. What is no ELF file of this machine's kind needs nothing. */
bool elf_map(struct elf *, int fd);
void elf_unmap(struct elf *);

/* The string that an entry names (DT_SONAME, DT_RPATH, DT_RUNPATH), or NULL. */
const char *elf_named(const struct elf *, ElfW(Sxword) tag);
/* The names of what it needs, from entry *i on; NULL at the end. */
const char *elf_needed(const struct elf *, size_t *i);

/* A library or program, where it lies, and who wants it (NULL: nobody). */
struct elf_site {
	const struct elf_site *wanted_by;
	const char *path;
	const char *rpath, *runpath; /* NULL: none */
};

/*
 * The path of what it needs by this name, below a prefix or not: in its RPATH and in those of who wants it, unless it has a RUNPATH; in
 * list (LD_LIBRARY_PATH, or NULL); in its RUNPATH. False: not there; ld.so may know others.
 */
bool elf_find(const struct elf_site *, const char *list, const char *name, char out[PATH_MAX]);

/* Is any of a list's places below a prefix? NULL is no list. */
bool elf_any_ours(const char *list);

#endif
