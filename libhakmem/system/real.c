/* SPDX-License-Identifier: MIT */
/*
 * Functions that this library replaces, as the next library has them. See real.h.
 *
 * symbol.c finds the next definition, if this library was loaded at the start of the program.
 * Otherwise dlsym() does. dlsym() may be replaced itself: one in a library before this one finds
 * this library's own function.
 *
 * A look-up takes the loader's lock. That is safe at first use: a first pthread_create or dlopen
 * that runs while another thread holds that lock and waits for this one would need a second thread,
 * which only an earlier pthread_create can have made.
 */
#include "real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

#include "base/symbol.h"

extern const char hak_first[] __asm__("__ehdr_start") HAK_HIDDEN;
extern const char hak_last[] __asm__("_end") HAK_HIDDEN;

static bool is_ours(const void *f)
{
	return (uintptr_t)f - (uintptr_t)hak_first < (uintptr_t)(hak_last - hak_first);
}

/*
 * Finds the next definition and remembers it. The answer does not depend on which thread asks
 * first.
 */
static void *next_symbol(_Atomic(void *) *cache, const char *name)
{
	void *f = atomic_load_explicit(cache, memory_order_relaxed);

	if (hak_unlikely(!f)) {
		f = hak_symbol_next(name);
		if (!f)
			f = dlsym(RTLD_NEXT, name);
		if (is_ours(f))
			f = NULL;
		atomic_store_explicit(cache, f, memory_order_relaxed);
	}
	return f;
}

void *hak_real_dlopen(void)
{
	static _Atomic(void *) cache;
	void *f = next_symbol(&cache, "dlopen");

	if (!f)
		hak_die("no dlopen in any library after this one", NULL);
	return f;
}

#if HAK_CONTROL

int hak_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			    void *arg)
{
	static _Atomic(void *) cache;
	int (*f)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	void *p = next_symbol(&cache, "pthread_create");

	if (!p)
		return ENOSYS;
	__builtin_memcpy(&f, &p, sizeof(f));
	return f(thread, attr, run, arg);
}

size_t hak_real_minstack(const pthread_attr_t *attr)
{
	void *p = hak_symbol_next("__pthread_get_minstack");
	size_t (*f)(const pthread_attr_t *);

	if (!p)
		return 0;
	__builtin_memcpy(&f, &p, sizeof(f));
	return f(attr);
}

#endif
