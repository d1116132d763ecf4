/* SPDX-License-Identifier: MIT */
/*
 * Functions of other objects, found without the dynamic loader: in the vDSO, and in the libraries
 * that come after this one. The loader's own look-up, dlsym(), is a function that another library
 * may replace, and takes the loader's lock.
 */
#ifndef HAK_SYMBOL_H
#define HAK_SYMBOL_H

#include <link.h>
#include <stdint.h>

/*
 * The address of a function, or NULL. `version` NULL: the default version. Every table that is read
 * lies in [low, high); an object with tables elsewhere has no functions.
 */
void *hak_symbol_find(uintptr_t load, const ElfW(Dyn) * dynamic, uintptr_t low, uintptr_t high,
		      const char *name, const char *version);
/*
 * The next definition after ours, as by dlsym(RTLD_NEXT). NULL: there is none, or this library is
 * not among those that the program started with.
 */
void *hak_symbol_next(const char *name);

#endif
