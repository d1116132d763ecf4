/* SPDX-License-Identifier: MIT */
/*
 * Finds functions of other objects without the dynamic loader: in the vDSO, and in the libraries
 * that come after this one. The loader's own look-up, dlsym(), takes the loader's lock, and another
 * library may replace it.
 */
#ifndef HAK_SYMBOL_H
#define HAK_SYMBOL_H

#include <link.h>
#include <stdint.h>

/*
 * Returns the address of a function, or NULL. A `version` of NULL means the default version. Every
 * table that is read lies in [low, high); an object with tables elsewhere has no functions.
 */
void *hak_symbol_find(uintptr_t load, const ElfW(Dyn) * dynamic, uintptr_t low, uintptr_t high,
		      const char *name, const char *version);
/*
 * Returns the next definition after this library's, like dlsym(RTLD_NEXT). Returns NULL if there is
 * none, or if this library is not among those that the program started with.
 */
void *hak_symbol_next(const char *name);

#endif
