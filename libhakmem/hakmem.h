/* SPDX-License-Identifier: MIT */
/*
 * The interface of hakmem for programs. A program needs nothing of this: malloc and free work
 * without this header, and hakmemctl(1) offers the same from outside.
 *
 * All functions may be called from any thread, before main and during exit; none is
 * async-signal-safe. None allocates or changes errno; errors are returned as negative errno values
 * (-ENOENT, ...). In a fork child the functions answer for the child.
 *
 * hakmem-tunables(7) lists names and units of tunables, hakmem-counters(7) those of counters.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HAKMEM_API	    __attribute__((visibility("default")))
#define HAKMEM_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#else
#define HAKMEM_API
#define HAKMEM_NONNULL(...)
#endif

/* "MAJOR.MINOR.PATCH" of the library in use. Constant, never NULL. */
HAKMEM_API const char *hakmem_version(void);

/*
 * Stores the value in force of the tunable `name`, in the tunable's unit: a number, 0 or 1 for a
 * switch, the place in the list for one of several words. Returns 0, or -ENOENT: there is no
 * tunable of that name.
 */
HAKMEM_API int hakmem_get(const char *name, uint64_t *value) HAKMEM_NONNULL(1, 2);

/*
 * Sets the program's layer of a tunable. The layers of environment, policy and administrator take
 * precedence; hakmem_get() returns the value that is in force afterwards. The value is in effect
 * when the call returns. Returns 0; -ENOENT; -ERANGE: outside of the tunable's range, nothing
 * changed; -EPERM: the tunable can be set at start only, by HAKMEM= in the environment.
 */
HAKMEM_API int hakmem_set(const char *name, uint64_t value) HAKMEM_NONNULL(1);

/*
 * The same two calls with values as text: "64M", "1.5G", "500ms", "on", "dontneed".
 * hakmem_get_text() writes at most `bytes` bytes, always terminated if bytes is not 0, and returns
 * the length of the whole text, or -ENOENT. hakmem_set_text() also returns -EINVAL: the text is no
 * value of this tunable.
 */
HAKMEM_API int hakmem_get_text(const char *name, char *text, size_t bytes) HAKMEM_NONNULL(1);
HAKMEM_API int hakmem_set_text(const char *name, const char *text) HAKMEM_NONNULL(1, 2);

/*
 * Reads one counter by name, summed over all heaps and size classes. The sum is exact while no
 * other thread allocates. Returns 0, -ENOENT, or -EOPNOTSUPP: the library was built with
 * --disable-control and counts nothing.
 */
HAKMEM_API int hakmem_counter(const char *name, uint64_t *value) HAKMEM_NONNULL(1, 2);

/*
 * A snapshot of the most important figures. Set `size` to sizeof(struct hakmem_stats) before the
 * call. An older or newer library fills in as much as both know and sets `size` to that; the rest
 * is zeroed. All figures are in bytes, except those named _count. They are exact while no other
 * thread allocates.
 */
struct hakmem_stats {
	size_t size;
	uint64_t in_use;   /* usable bytes of all blocks handed out */
	uint64_t cached;   /* free blocks in thread caches */
	uint64_t mapped;   /* address space for blocks, in any state */
	uint64_t dirty;	   /* free pages not yet given back to the kernel */
	uint64_t lazy;	   /* lazily freed: counted in RSS until the kernel takes it */
	uint64_t clean;	   /* free, with no memory behind it */
	uint64_t metadata; /* the allocator's own tables */
	uint64_t alloc_count, free_count;
	uint64_t purge_count;
	uint64_t purged; /* given back to the kernel by purges, so far */
};
/* Returns 0; -EINVAL: size is smaller than the first two members; -EOPNOTSUPP: as above. */
HAKMEM_API int hakmem_stats(struct hakmem_stats *stats) HAKMEM_NONNULL(1);

/*
 * Gives free memory back to the kernel at once, and stores the bytes by which the resident set
 * shrank in *bytes (may be NULL). The calling thread's cache is emptied at once, the caches of
 * other threads the next time they leave their fast path. Returns 0, or -EINVAL: not a level.
 */
enum hakmem_purge_level {
	HAKMEM_PURGE_CACHE = 1, /* caches go back to their slabs; nothing leaves the process */
	HAKMEM_PURGE_DIRTY = 2, /* also gives free pages back; mappings are kept */
	HAKMEM_PURGE_ALL = 3	/* also unmaps kept mappings */
};
HAKMEM_API int hakmem_purge(enum hakmem_purge_level level, uint64_t *bytes);

#ifdef __cplusplus
}
#endif

#endif
