/* SPDX-License-Identifier: MIT */
/* The auxiliary vector, the environment and the vDSO. See vdso.h. */
#include "vdso.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "symbol.h"

#if defined(__x86_64__)
#define CLOCK_NAME    "__vdso_clock_gettime"
#define CLOCK_VERSION "LINUX_2.6"
#elif defined(__aarch64__)
#define CLOCK_NAME    "__kernel_clock_gettime"
#define CLOCK_VERSION "LINUX_2.6.39"
#elif defined(__riscv)
#define CLOCK_NAME    "__vdso_clock_gettime"
#define CLOCK_VERSION "LINUX_4.15"
#elif defined(__s390x__)
#define CLOCK_NAME    "__kernel_clock_gettime"
#define CLOCK_VERSION "LINUX_2.6.29"
#elif defined(__loongarch__)
#define CLOCK_NAME    "__vdso_clock_gettime"
#define CLOCK_VERSION "LINUX_5.10"
#endif

/* ---- the auxiliary vector ---- */

#if defined(__GLIBC__)

/*
 * Points to where the kernel put argc, followed by the arguments, the environment and the auxiliary
 * vector. It is data, not a function.
 */
extern void *__libc_stack_end;

/*
 * A vector has small types, ends within 64 entries and names the page size and the program. Neither
 * pointers nor a count of arguments look like that.
 */
static bool is_vector(const ElfW(auxv_t) * a)
{
	bool page = false, program = false;

	for (unsigned int i = 0; i < 64 && a[i].a_type < 256; i++) {
		uintptr_t value = a[i].a_un.a_val;

		if (a[i].a_type == AT_NULL)
			return page && program;
		page |= a[i].a_type == AT_PAGESZ && value >= 4096 && !(value & (value - 1));
		program |= a[i].a_type == AT_PHDR && value >= 4096;
	}
	return false;
}

/*
 * The search does not count the null pointers in between, because a program may have put further
 * ones into its environment before it loads this library. It ends at the vector itself.
 */
static const ElfW(auxv_t) * find_vector(void)
{
	static _Atomic(const ElfW(auxv_t) *) found;
	const ElfW(auxv_t) *a = atomic_load_explicit(&found, memory_order_relaxed);
	const uintptr_t *word =
		(const uintptr_t *)hak_align_up((uintptr_t)__libc_stack_end, sizeof(*word));

	if (a || !word)
		return a;
	while (!is_vector((const ElfW(auxv_t) *)word))
		word++;
	a = (const ElfW(auxv_t) *)word;
	atomic_store_explicit(&found, a, memory_order_relaxed);
	return a;
}

unsigned long hak_auxv(unsigned long type)
{
	const ElfW(auxv_t) *a = find_vector();

	for (; a && a->a_type != AT_NULL; a++)
		if (a->a_type == type)
			return a->a_un.a_val;
	return 0;
}

#else

unsigned long hak_auxv(unsigned long type)
{
	return getauxval(type);
}

#endif

const char *hak_environment(const char *name)
{
	size_t bytes = strlen(name);

	if (hak_auxv(AT_SECURE))
		return NULL;
	for (char **at = environ; at && *at; at++) {
		size_t i = 0;

		while (i < bytes && (*at)[i] == name[i])
			i++;
		if (i == bytes && (*at)[i] == '=')
			return *at + bytes + 1;
	}
	return NULL;
}

/* ---- the clock ---- */

#ifdef CLOCK_NAME

typedef int clock_fn(clockid_t, struct timespec *);

static int no_clock(clockid_t clock, struct timespec *ret)
{
	(void)clock, (void)ret;
	return -ENOSYS;
}

/* The kernel maps the vDSO as one segment with its headers in front. */
static clock_fn *find_clock(void)
{
	uintptr_t base = hak_auxv(AT_SYSINFO_EHDR), load = base, end = base;
	const ElfW(Ehdr) *head = (const void *)base;
	const ElfW(Phdr) * part;
	const ElfW(Dyn) *dynamic = NULL;
	clock_fn *f = no_clock;
	void *at;

	if (!base || memcmp(head->e_ident, ELFMAG, SELFMAG) ||
	    head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_phentsize != sizeof(*part) ||
	    head->e_phoff + head->e_phnum * sizeof(*part) > 4096)
		return no_clock;
	part = (const void *)(base + head->e_phoff);
	for (unsigned int i = 0; i < head->e_phnum; i++) {
		if (part[i].p_type == PT_LOAD && end == base) {
			load = base + part[i].p_offset - part[i].p_vaddr;
			end = base + part[i].p_offset + part[i].p_memsz;
		} else if (part[i].p_type == PT_DYNAMIC) {
			dynamic = (const void *)(base + part[i].p_offset);
		}
	}
	at = dynamic ? hak_symbol_find(load, dynamic, base, end, CLOCK_NAME, CLOCK_VERSION) : NULL;
	if (at)
		memcpy(&f, &at, sizeof(f));
	return f;
}

static clock_fn find_and_read;
static _Atomic(clock_fn *) read_clock = find_and_read;

static int find_and_read(clockid_t clock, struct timespec *ret)
{
	clock_fn *f = find_clock();

	atomic_store_explicit(&read_clock, f, memory_order_relaxed);
	return f(clock, ret);
}

bool hak_vdso_clock(clockid_t clock, struct timespec *ret)
{
	return atomic_load_explicit(&read_clock, memory_order_relaxed)(clock, ret) == 0;
}

#else

bool hak_vdso_clock(clockid_t clock, struct timespec *ret)
{
	(void)clock, (void)ret;
	return false;
}

#endif
