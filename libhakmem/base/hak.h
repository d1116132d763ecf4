/* SPDX-License-Identifier: MIT */
/* What every file of the library needs: branch hints, assertions, the way to die. */
#ifndef HAK_HAK_H
#define HAK_HAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define hak_likely(x)	__builtin_expect(!!(x), 1)
#define hak_unlikely(x) __builtin_expect(!!(x), 0)
#define HAK_HIDDEN	__attribute__((visibility("hidden")))
#define HAK_EXPORT	__attribute__((visibility("default")))
#define HAK_NOINLINE	__attribute__((noinline))
#define HAK_INLINE	inline __attribute__((always_inline))
#define HAK_COLD	__attribute__((cold, noinline))
#define HAK_TLS		__attribute__((tls_model("initial-exec")))

/*
 * Another library may replace these functions, and the compiler emits calls of them while locks are
 * held. All files therefore call the versions in plain.c, except malloc.c, which copies the
 * program's blocks.
 */
#ifndef HAK_LIBC_COPY
void *memcpy(void *, const void *, size_t) __asm__("hak_memcpy") HAK_HIDDEN;
void *memmove(void *, const void *, size_t) __asm__("hak_memmove") HAK_HIDDEN;
void *memset(void *, int, size_t) __asm__("hak_memset") HAK_HIDDEN;
int memcmp(const void *, const void *, size_t) __asm__("hak_memcmp") HAK_HIDDEN;
size_t strlen(const char *) __asm__("hak_strlen") HAK_HIDDEN;
int strcmp(const char *, const char *) __asm__("hak_strcmp") HAK_HIDDEN;
#ifdef __clang__
/* GCC calls its built-in functions by these names. For clang the assembler renames them. */
__asm__("memcpy = hak_memcpy\n\tmemmove = hak_memmove\n\tmemset = hak_memset\n\t"
	"memcmp = hak_memcmp\n\tbcmp = hak_memcmp\n\tstrlen = hak_strlen\n\t"
	"strcmp = hak_strcmp");
#endif
#endif

/*
 * Ends the process on proven corruption or misuse: writes "hakmem: WHAT POINTER" to descriptor 2 by
 * a raw write, then aborts. Never allocates and takes no lock; may be called anywhere.
 */
_Noreturn void hak_die(const char *what, const void *pointer);
/* Writes the same line and returns. */
void hak_warn(const char *what, const void *pointer);

#if HAK_DEBUG
#define hak_assert(x)                                               \
	do {                                                        \
		if (hak_unlikely(!(x)))                             \
			hak_die("assertion failed: " #x, __func__); \
	} while (0)
#else
#define hak_assert(x) ((void)sizeof(!!(x)))
#endif

/*
 * The functions hak_*_check() walk a structure and assert each rule of its header. They exist in
 * debug builds only, run where the structure changes, take no lock, and can be called from a
 * debugger. A walk that costs more than the change runs only at every n-th change, which this
 * counts under the lock that guards the structure.
 */
static inline bool hak_check_due(uint32_t *count, uint32_t n)
{
	return HAK_DEBUG && !(++*count % n);
}

/*
 * glibc 2.32 and later clear this word before the first second thread is created by any call. While
 * it is true, atomics that only guard against other threads are skipped. On an older glibc they
 * never are.
 */
extern __attribute__((weak)) char __libc_single_threaded;

static inline bool hak_single_threaded(void)
{
	return &__libc_single_threaded && __libc_single_threaded;
}

static inline size_t hak_align_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static inline size_t hak_align_down(size_t n, size_t align)
{
	return n & ~(align - 1);
}

#endif
