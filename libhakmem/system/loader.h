/* SPDX-License-Identifier: MIT */
/*
 * Blocks of the dynamic loader's own early allocator may reach free() later. They lie in the
 * loader's data pages.
 */
#ifndef HAK_LOADER_H
#define HAK_LOADER_H

#include <stdbool.h>

bool hak_loader_owns(const void *p); /* callable by any thread; takes no lock, does not allocate */

#endif
