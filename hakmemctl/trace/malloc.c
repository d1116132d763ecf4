/* SPDX-License-Identifier: MIT */
/*
 * Finds the malloc that a process uses, see trace.h. It is in the first object with a malloc that
 * the dynamic linker of the process has loaded, because symbols are searched in this order. The
 * linker keeps the objects in a list for debuggers, which is read from the memory of the process.
 * The process may write any list, so the number of entries and the length of names are limited.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "control/reader.h"
#include "hakmemctl/trace/trace.h"

#define OBJECTS_MAX 1024
#define ENTRIES_MAX 512 /* of program headers, and of the dynamic section */

static const struct {
	const char *file, *name;
} mallocs[] = {
	{ "libhakmem.so", "hakmem" },  { "libjemalloc", "jemalloc" }, { "libtcmalloc", "tcmalloc" },
	{ "libmimalloc", "mimalloc" }, { "libc.so.6", "glibc" },
};

static bool read_at(int mem, uint64_t address, void *to, size_t bytes)
{
	return address <= INT64_MAX && hak_reader_at(mem, to, bytes, address) == (ssize_t)bytes;
}

/* Finds the address and the number of the program's headers. */
static bool find_headers(int procfd, uint64_t *ret, uint64_t *ret_n)
{
	ElfW(auxv_t) aux[64];
	ssize_t n = hak_reader_text(procfd, "auxv", (char *)aux, sizeof(aux));

	*ret = *ret_n = 0;
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(aux[0]); i++) {
		if (aux[i].a_type == AT_PHDR)
			*ret = aux[i].a_un.a_val;
		else if (aux[i].a_type == AT_PHNUM)
			*ret_n = aux[i].a_un.a_val;
	}
	return *ret != 0;
}

/* The first entry of the linker's list; 0: none, or none yet. */
static uint64_t find_objects(int procfd, int mem)
{
	uint64_t headers, n, bias = 0, dynamic = 0;
	struct r_debug debug;
	ElfW(Phdr) ph;
	ElfW(Dyn) dyn;

	if (!find_headers(procfd, &headers, &n))
		return 0;
	for (uint64_t i = 0; i < n && i < ENTRIES_MAX; i++) {
		if (!read_at(mem, headers + i * sizeof(ph), &ph, sizeof(ph)))
			return 0;
		if (ph.p_type == PT_PHDR)
			bias = headers - ph.p_vaddr;
		else if (ph.p_type == PT_DYNAMIC)
			dynamic = ph.p_vaddr;
	}
	for (uint64_t i = 0; dynamic && i < ENTRIES_MAX; i++) {
		if (!read_at(mem, bias + dynamic + i * sizeof(dyn), &dyn, sizeof(dyn)) ||
		    dyn.d_tag == DT_NULL)
			break;
		if (dyn.d_tag == DT_DEBUG && read_at(mem, dyn.d_un.d_ptr, &debug, sizeof(debug)))
			return (uint64_t)debug.r_map;
	}
	return 0;
}

/* The last part of a path in the process; "" if it cannot be read. */
static const char *read_name(int mem, uint64_t address, char path[HAK_PATH_BYTES])
{
	ssize_t n = address > INT64_MAX ? -1
					: hak_reader_at(mem, path, HAK_PATH_BYTES - 1, address);
	const char *slash;

	path[n < 0 ? 0 : n] = '\0';
	slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

const char *trace_malloc_of(int procfd)
{
	int mem = hak_reader_open(procfd, "mem", O_RDONLY);
	uint64_t at = mem < 0 ? 0 : find_objects(procfd, mem);
	const char *found = NULL, *name;
	char path[HAK_PATH_BYTES];
	struct link_map object;

	for (int i = 0; at && !found && i < OBJECTS_MAX; i++) {
		if (!read_at(mem, at, &object, sizeof(object)))
			break;
		name = read_name(mem, (uint64_t)object.l_name, path);
		for (size_t k = 0; !found && k < sizeof(mallocs) / sizeof(mallocs[0]); k++)
			if (strncmp(name, mallocs[k].file, strlen(mallocs[k].file)) == 0)
				found = mallocs[k].name;
		at = (uint64_t)object.l_next;
	}
	if (mem >= 0)
		close(mem);
	return found;
}
