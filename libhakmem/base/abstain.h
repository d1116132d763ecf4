/* SPDX-License-Identifier: MIT */
/*
 * Sanitizers bring an allocator of their own, which must see every block. Where one of their
 * run-time libraries is present in the process, hak_abstain() returns true, the library hands every
 * call on to that allocator and sets up nothing. The names below are those under which the
 * sanitizers export the functions that they replace.
 */
#ifndef HAK_ABSTAIN_H
#define HAK_ABSTAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "hak.h"

extern __attribute__((weak)) void *__interceptor_malloc(size_t);
extern __attribute__((weak)) void *__interceptor_calloc(size_t, size_t);
extern __attribute__((weak)) void *__interceptor_realloc(void *, size_t);
extern __attribute__((weak)) void __interceptor_free(void *);
extern __attribute__((weak)) int __interceptor_posix_memalign(void **, size_t, size_t);
extern __attribute__((weak)) size_t __interceptor_malloc_usable_size(void *);

static inline bool hak_abstain(void)
{
	return hak_unlikely(__interceptor_malloc != NULL);
}

#endif
