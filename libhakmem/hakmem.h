/* SPDX-License-Identifier: MIT */
/*
 * hakmem, as a program may use it. Nothing here is needed: malloc and free work without this
 * header, and whatever it offers can be done from outside by hakmemctl(1).
 *
 * All functions may be called from any thread, before main and while exiting; none is
 * async-signal-safe. None allocates or changes errno; errors are returned as negative errno values
 * (-ENOENT, ...). In a fork child they answer for the child.
 *
 * Names and units of tunables: hakmem-tunables(7); of counters: hakmem-counters(7).
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
 * The value in force of the tunable `name`, in the tunable's unit: a number, 0 or 1 for a switch,
 * the place in the list for one of several words.
 * 0, or -ENOENT: there is no tunable of that name.
 */
HAKMEM_API int hakmem_get(const char *name, uint64_t *value) HAKMEM_NONNULL(1, 2);

/*
 * Sets the program's layer of a tunable. It gives way to the environment, to policy and to the
 * administrator: what is in force afterwards, hakmem_get() tells. In effect when the call returns.
 * 0; -ENOENT; -ERANGE: outside of the tunable's range, nothing changed; -EPERM: can be set at start
 * only, by HAKMEM= in the environment.
 */
HAKMEM_API int hakmem_set(const char *name, uint64_t value) HAKMEM_NONNULL(1);

/*
 * The same in words: "64M", "1.5G", "500ms", "on", "dontneed". hakmem_get_text() writes at most
 * `bytes` bytes, always terminated if bytes is not 0, and returns the length of the whole text, or
 * -ENOENT. hakmem_set_text() also returns -EINVAL: not a value of this tunable.
 */
HAKMEM_API int hakmem_get_text(const char *name, char *text, size_t bytes) HAKMEM_NONNULL(1);
HAKMEM_API int hakmem_set_text(const char *name, const char *text) HAKMEM_NONNULL(1, 2);

/*
 * One counter by name, summed over all heaps and size classes. Exact while no other thread
 * allocates. 0, or -ENOENT, or -EOPNOTSUPP: built with --disable-control, nothing is counted.
 */
HAKMEM_API int hakmem_counter(const char *name, uint64_t *value) HAKMEM_NONNULL(1, 2);

/*
 * A snapshot of what matters most. Set `size` to sizeof(struct hakmem_stats) before the call: an
 * older or newer library fills in as much as both know and sets `size` to that; the rest is zeroed.
 * All figures in bytes but those named _count. Exact while no other thread allocates.
 */
struct hakmem_stats {
	size_t size;
	uint64_t in_use;   /* usable bytes of all blocks handed out */
	uint64_t cached;   /* free blocks in thread caches */
	uint64_t mapped;   /* address space for blocks, in whatever state */
	uint64_t dirty;	   /* free pages not yet given back to the kernel */
	uint64_t lazy;	   /* lazily freed: counted in RSS until the kernel takes it */
	uint64_t clean;	   /* free, with no memory behind it */
	uint64_t metadata; /* the allocator's own tables */
	uint64_t alloc_count, free_count;
	uint64_t purge_count;
	uint64_t purged; /* given back to the kernel by purges, so far */
};
/* 0; -EINVAL: size is smaller than the first two members; -EOPNOTSUPP: as above. */
HAKMEM_API int hakmem_stats(struct hakmem_stats *stats) HAKMEM_NONNULL(1);

/*
 * Gives free memory back to the kernel, now, and stores the bytes by which the resident set shrank
 * in *bytes (may be NULL). The calling thread's cache is emptied at once, those of other threads
 * the next time they leave their fast path.
 * 0, or -EINVAL: not a level.
 */
enum hakmem_purge_level {
	HAKMEM_PURGE_CACHE = 1, /* caches go back to their slabs; nothing leaves the process */
	HAKMEM_PURGE_DIRTY = 2, /* and free pages are given back, mappings kept */
	HAKMEM_PURGE_ALL = 3	/* and kept mappings are unmapped */
};
HAKMEM_API int hakmem_purge(enum hakmem_purge_level level, uint64_t *bytes);

#ifdef __cplusplus
}
#endif

#endif
