/*
 * image.c: reads the ELF header, the program headers and nothing else.
 */
#include "tools/image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HEAD_BYTES   256
#define SCRIPT_DEPTH 4
#define NOTE_MAX     4096

/* ---- finding ---------------------------------------------------------------------------------------------------- */

static int executable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	return S_ISREG(st.st_mode) && !access(path, X_OK) ? 0 : -EACCES;
}

int image_find(const char *command, char out[PATH_MAX])
{
	const char *path = getenv("PATH");
	int rc = -ENOENT;

	if (strchr(command, '/')) {
		if (snprintf(out, PATH_MAX, "%s", command) >= PATH_MAX)
			return -ENAMETOOLONG;
		return executable(out);
	}
	for (path = path ? path : "/bin:/usr/bin"; *command && *path;) {
		size_t n = strcspn(path, ":");
		int found = -ENAMETOOLONG;

		if (snprintf(out, PATH_MAX, "%.*s/%s", n ? (int)n : 1, n ? path : ".", command) < PATH_MAX)
			found = executable(out);
		if (!found)
			return 0;
		if (found == -EACCES)
			rc = found;
		path += n + (path[n] == ':');
	}
	return rc;
}

/* ---- scripts ---------------------------------------------------------------------------------------------------- */

/* "#! interpreter argument", as the kernel reads it: one argument, with its blanks. */
static void script_parse(char *line, struct image *image)
{
	size_t n;

	line += 2 + strspn(line + 2, " \t");
	line[strcspn(line, "\n")] = '\0';
	n = strcspn(line, " \t");
	image->kind = IMAGE_SCRIPT;
	snprintf(image->interpreter, sizeof image->interpreter, "%.*s", (int)n, line);
	line += n;
	line += strspn(line, " \t");
	snprintf(image->argument, sizeof image->argument, "%s", line);
}

/* The program among env(1)'s arguments: after options and assignments. */
static const char *env_program(char *arguments)
{
	char *save = NULL;

	for (char *word = strtok_r(arguments, " \t", &save); word; word = strtok_r(NULL, " \t", &save))
		if (*word != '-' && !strchr(word, '='))
			return word;
	return NULL;
}

int image_next(const struct image *script, struct image *next)
{
	const char *slash = strrchr(script->interpreter, '/');
	char words[PATH_MAX], path[PATH_MAX];
	const char *program;
	int rc;

	snprintf(words, sizeof words, "%s", script->argument);
	program = slash && !strcmp(slash + 1, "env") ? env_program(words) : NULL;
	if (!program)
		return image_look(script->interpreter, next);
	rc = image_find(program, path);
	return rc ? rc : image_look(path, next);
}

/* ---- ELF -------------------------------------------------------------------------------------------------------- */

/* Go leaves a note of that name in what it links. */
static bool note_of_go(int fd, const Elf64_Phdr *part)
{
	char buf[NOTE_MAX] __attribute__((aligned(4)));
	ssize_t n = pread(fd, buf, part->p_filesz < sizeof buf ? part->p_filesz : sizeof buf, (off_t)part->p_offset);

	for (ssize_t at = 0; at + (ssize_t)sizeof(Elf64_Nhdr) + 4 <= n;) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)(buf + at);

		if (note->n_namesz == 4 && !memcmp(note + 1, "Go\0", 4))
			return true;
		if (note->n_namesz > NOTE_MAX || note->n_descsz > NOTE_MAX)
			return false;
		at += (ssize_t)(sizeof *note + ((note->n_namesz + 3) & ~3u) + ((note->n_descsz + 3) & ~3u));
	}
	return false;
}

static void elf_parts(int fd, const Elf64_Ehdr *elf, struct image *image)
{
	Elf64_Phdr part;

	for (unsigned i = 0; i < elf->e_phnum; i++) {
		off_t off = (off_t)(elf->e_phoff + (uint64_t)i * elf->e_phentsize);

		if (pread(fd, &part, sizeof part, off) != sizeof part)
			return;
		if (part.p_type == PT_INTERP && part.p_filesz < sizeof image->interpreter) {
			image->kind = IMAGE_DYNAMIC;
			if (pread(fd, image->interpreter, part.p_filesz, (off_t)part.p_offset) < 0)
				image->interpreter[0] = '\0';
		}
		if (part.p_type == PT_NOTE)
			image->go |= note_of_go(fd, &part);
	}
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Compared with this program, whose architecture and loader are those of our library. */
static void elf_look(int fd, const Elf64_Ehdr *elf, struct image *image)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct image mine = {.kind = IMAGE_STATIC};
	Elf64_Ehdr own;

	if (self >= 0 && pread(self, &own, sizeof own, 0) == sizeof own)
		elf_parts(self, &own, &mine);
	else
		own = *elf;
	if (self >= 0)
		close(self);
	image->kind = IMAGE_FOREIGN;
	if (elf->e_ident[EI_CLASS] != own.e_ident[EI_CLASS] || elf->e_machine != own.e_machine)
		return;
	image->kind = IMAGE_STATIC;
	elf_parts(fd, elf, image);
	image->other_libc = image->kind == IMAGE_DYNAMIC && !same_file(mine.interpreter, image->interpreter);
}

static bool privileged(int fd, const struct stat *st)
{
	if ((st->st_mode & S_ISUID) && st->st_uid != geteuid())
		return true;
	if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st->st_gid != getegid())
		return true;
	return geteuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

int image_look(const char *path, struct image *image)
{
	union {
		char text[HEAD_BYTES + 1];
		Elf64_Ehdr elf;
	} head = {.text = ""};
	struct stat st;
	ssize_t n;
	int fd;

	*image = (struct image){.kind = IMAGE_OTHER};
	if (snprintf(image->path, sizeof image->path, "%s", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pread(fd, head.text, HEAD_BYTES, 0);
	if (!fstat(fd, &st))
		image->privileged = privileged(fd, &st);
	if (n > 2 && head.text[0] == '#' && head.text[1] == '!')
		script_parse(head.text, image);
	else if (n >= (ssize_t)sizeof head.elf && !memcmp(head.text, ELFMAG, SELFMAG))
		elf_look(fd, &head.elf, image);
	close(fd);
	return 0;
}

/* ---- what it means ---------------------------------------------------------------------------------------------- */

const char *image_obstacle(const char *path, struct image *out)
{
	struct image next;
	int rc = image_look(path, out);

	for (unsigned depth = 0; !rc && out->kind == IMAGE_SCRIPT && depth < SCRIPT_DEPTH; depth++) {
		rc = image_next(out, &next);
		if (!rc)
			*out = next;
	}
	if (rc)
		return NULL; /* exec will say what is wrong */
	if (out->kind == IMAGE_STATIC)
		return "is statically linked";
	if (out->kind == IMAGE_FOREIGN)
		return "is built for another architecture";
	if (out->privileged && out->kind == IMAGE_DYNAMIC)
		return "runs with another user's or group's rights";
	if (out->go)
		return "is a Go program, which makes its system calls itself";
	return NULL;
}
