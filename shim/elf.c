#include "shim/elf.h"
#include "shim/path.h"
#include "shim/sys.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const void *elf_at(const struct elf *e, uint64_t off, uint64_t n)
{
	return off > e->size || n > e->size - off ? NULL : e->file + off;
}

/* ... of what is used as it lies. */
static const void *elf_table(const struct elf *e, uint64_t off, uint64_t n)
{
	return off % sizeof(ElfW(Addr)) ? NULL : elf_at(e, off, n);
}

static const ElfW(Phdr) * elf_part(const struct elf *e, unsigned i)
{
	const ElfW(Ehdr) *head = elf_at(e, 0, sizeof *head);

	return !head || i >= head->e_phnum || head->e_phentsize != sizeof(ElfW(Phdr))
		       ? NULL
		       : elf_table(e, head->e_phoff + (uint64_t)i * sizeof(ElfW(Phdr)), sizeof(ElfW(Phdr)));
}

/* Where in the file is what will be at this address? */
static uint64_t elf_offset(const struct elf *e, uint64_t address)
{
	const ElfW(Phdr) * part;

	for (unsigned i = 0; (part = elf_part(e, i)); i++)
		if (part->p_type == PT_LOAD && address - part->p_vaddr < part->p_filesz)
			return address - part->p_vaddr + part->p_offset;
	return UINT64_MAX;
}

static uint64_t elf_value(const struct elf *e, ElfW(Sxword) tag)
{
	for (size_t i = 0; i < e->entries && e->dynamic[i].d_tag != DT_NULL; i++)
		if (e->dynamic[i].d_tag == tag)
			return e->dynamic[i].d_un.d_val;
	return UINT64_MAX;
}

static const char *elf_string(const struct elf *e, uint64_t off)
{
	return off < e->string_bytes && memchr(e->strings + off, 0, e->string_bytes - off) ? e->strings + off : NULL;
}

const char *elf_named(const struct elf *e, ElfW(Sxword) tag)
{
	return elf_string(e, elf_value(e, tag));
}

const char *elf_needed(const struct elf *e, size_t *i)
{
	const char *name = NULL;

	for (; !name && *i < e->entries && e->dynamic[*i].d_tag != DT_NULL; ++*i)
		if (e->dynamic[*i].d_tag == DT_NEEDED)
			name = elf_string(e, e->dynamic[*i].d_un.d_val);
	return name;
}

bool elf_map(struct elf *e, int fd)
{
	const ElfW(Phdr) * part;
	struct stat st;
	long at;

	*e = (struct elf){0};
	if (sys_fstat(fd, &st) || st.st_size < (off_t)sizeof(ElfW(Ehdr)))
		return false;
	at = sys6(SYS_mmap, 0, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at < 0 && at > -4096)
		return false;
	e->file = (const char *)at;
	e->size = (size_t)st.st_size;
	if (memcmp(e->file, ELFMAG, SELFMAG) || e->file[EI_CLASS] != ELFCLASS64)
		return true; /* ld.so will say so */
	for (unsigned i = 0; (part = elf_part(e, i)); i++)
		if (part->p_type == PT_DYNAMIC) {
			e->dynamic = elf_table(e, part->p_offset, part->p_filesz);
			e->entries = e->dynamic ? part->p_filesz / sizeof *e->dynamic : 0;
		}
	e->string_bytes = elf_value(e, DT_STRSZ);
	e->strings = elf_at(e, elf_offset(e, elf_value(e, DT_STRTAB)), e->string_bytes);
	if (!e->strings)
		e->string_bytes = 0;
	return true;
}

void elf_unmap(struct elf *e)
{
	sys2(SYS_munmap, e->file, e->size);
}

/* ---- looking for what it needs ---------------------------------------------------------------------------------------- */

/* The place that list begins with, name in it. "$ORIGIN" is where what lies at path does. False: no place, or no room. */
static bool place(const char *path, const char *list, size_t n, const char *name, char out[PATH_MAX])
{
	static const char *const origins[] = {"$ORIGIN", "${ORIGIN}"};
	size_t origin = 0, bytes = 0;

	for (unsigned i = 0; i < 2; i++)
		if (n >= strlen(origins[i]) && !strncmp(list, origins[i], strlen(origins[i])))
			origin = strlen(origins[i]);
	if (origin)
		bytes = (size_t)(strrchr(path, '/') - path);
	if (!n || bytes + n - origin + strlen(name) + 2 > PATH_MAX)
		return false;
	memcpy(out, path, bytes);
	memcpy(out + bytes, list + origin, n - origin);
	bytes += n - origin;
	out[bytes++] = '/';
	memcpy(out + bytes, name, strlen(name) + 1);
	return true;
}

static bool found_in(const char *path, const char *list, const char *name, char out[PATH_MAX])
{
	while (list) {
		size_t n = strcspn(list, ":");

		if (place(path, list, n, name, out) && !access(out, R_OK))
			return true;
		list = list[n] ? list + n + 1 : NULL;
	}
	return false;
}

bool elf_find(const struct elf_site *site, const char *list, const char *name, char out[PATH_MAX])
{
	if (strchr(name, '/')) {
		bool fits = strlen(name) < PATH_MAX;

		if (fits)
			strcpy(out, name);
		return fits;
	}
	for (const struct elf_site *s = site->runpath ? NULL : site; s; s = s->wanted_by)
		if (!s->runpath && found_in(s->path, s->rpath, name, out))
			return true;
	return found_in(site->path, list, name, out) || found_in(site->path, site->runpath, name, out);
}

bool elf_any_ours(const char *list)
{
	char out[PATH_MAX];

	while (list) {
		size_t n = strcspn(list, ":");

		if (place("/", list, n, "", out) && path_maybe(AT_FDCWD, out))
			return true;
		list = list[n] ? list + n + 1 : NULL;
	}
	return false;
}
