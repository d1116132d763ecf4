/* SPDX-License-Identifier: MIT */
/*
 * Blocks of the dynamic loader's own early allocator may reach free() later; they lie in its data
 * pages.
 */
#ifndef HAK_LOADER_H
#define HAK_LOADER_H

#include <stdbool.h>

bool hak_loader_owns(const void *p); /* any thread, no lock, no allocation */

#endif
