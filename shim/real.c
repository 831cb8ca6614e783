/*
 * real.c: looked up without dlsym(), which forgets what the program's dlerror() was to say: in the libraries behind us, in ld.so's order, by
 * the hash table each of them has. No lock that a forked child could find held, and nothing calls back into us. What is found
 * out in another way, of a library without such a table, or by a function that chooses (IFUNC), is left to dlsym().
 */
#include "shim/real.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_BITS (8 * (unsigned)sizeof(ElfW(Addr)))
#define HIDDEN_BIT   0x8000u /* of a symbol's version: not the one that a name alone means */

struct real real;

/* DT_GNU_HASH: the head, then bloom, buckets and chains. */
struct gnu_hash {
	uint32_t buckets, first_symbol, bloom_words, bloom_shift;
	ElfW(Addr) bloom[];
};

struct symbols {
	const ElfW(Sym) * symbol;
	const char *strings;
	const struct gnu_hash *hash;
	const ElfW(Half) * version; /* NULL: without any */
};

static uint32_t name_hash(const char *name)
{
	uint32_t h = 5381;

	while (*name)
		h = h * 33 + (unsigned char)*name++;
	return h;
}

/* Some machines' ld.so leaves the addresses as they are in the file. */
static const void *address(const struct link_map *map, ElfW(Addr) value)
{
	return (const void *)(value < map->l_addr ? value + map->l_addr : value);
}

static void symbols_find(struct symbols *s, const struct link_map *map)
{
	*s = (struct symbols){0};
	for (const ElfW(Dyn) *d = map->l_ld; d && d->d_tag != DT_NULL; d++)
		switch (d->d_tag) {
		case DT_SYMTAB:
			s->symbol = address(map, d->d_un.d_ptr);
			break;
		case DT_STRTAB:
			s->strings = address(map, d->d_un.d_ptr);
			break;
		case DT_GNU_HASH:
			s->hash = address(map, d->d_un.d_ptr);
			break;
		case DT_VERSYM:
			s->version = address(map, d->d_un.d_ptr);
			break;
		default:
			break;
		}
}

static bool is_defined(const struct symbols *s, uint32_t i, const char *name)
{
	const ElfW(Sym) *symbol = &s->symbol[i];

	return symbol->st_shndx != SHN_UNDEF && symbol->st_value && !(s->version && (s->version[i] & HIDDEN_BIT)) &&
	       !strcmp(s->strings + symbol->st_name, name);
}

static const ElfW(Sym) * symbol_find(const struct symbols *s, const char *name, uint32_t h)
{
	const struct gnu_hash *hash = s->hash;
	const uint32_t *bucket = (const uint32_t *)(hash->bloom + hash->bloom_words), *chain = bucket + hash->buckets;
	ElfW(Addr) word = hash->bloom[(h / ADDRESS_BITS) & (hash->bloom_words - 1)];
	uint32_t i;

	if (!(word >> (h % ADDRESS_BITS) & word >> ((h >> hash->bloom_shift) % ADDRESS_BITS) & 1))
		return NULL;
	i = bucket[h % hash->buckets];
	if (i < hash->first_symbol)
		return NULL;
	for (;; i++) {
		uint32_t have = chain[i - hash->first_symbol];

		if ((have | 1) == (h | 1) && is_defined(s, i, name))
			return &s->symbol[i];
		if (have & 1)
			return NULL;
	}
}

/* Our own place in ld.so's list. What is behind it at the start stays as long as the process. */
static const struct link_map *self(void)
{
	static struct link_map *map;
	Dl_info info;

	if (!map && !dladdr1(&real, &info, (void **)&map, RTLD_DL_LINKMAP))
		map = NULL;
	return map;
}

struct link_map *real_next(void)
{
	const struct link_map *map = self();

	return map ? map->l_next : NULL;
}

static void *behind_us(const char *name)
{
	uint32_t h = name_hash(name);
	const ElfW(Sym) * found;
	struct symbols s;

	for (const struct link_map *map = real_next(); map; map = map->l_next) {
		symbols_find(&s, map);
		if (!s.symbol || !s.strings || !s.hash || !s.hash->buckets)
			return NULL;
		found = symbol_find(&s, name, h);
		if (found)
			return ELF64_ST_TYPE(found->st_info) == STT_FUNC ? (char *)map->l_addr + found->st_value : NULL;
	}
	return NULL;
}

void *real_find(void **slot, const char *name)
{
	void *found = behind_us(name);

	if (!found)
		found = dlsym(RTLD_NEXT, name);
	if (!found) {
		shim_log("libc has no function", name, 0);
		abort();
	}
	__atomic_store_n(slot, found, __ATOMIC_RELEASE);
	return found;
}
