/* SPDX-License-Identifier: MIT */
/*
 * Regions: mappings of whole slices, each the memory of one whale (whale.h) or kept for the next
 * one (rcache.h). This module maps, counts and advises regions, and gives their pages back to the
 * kernel, in the way that region.evict names or in a stronger one.
 *
 * A region belongs to a program, to the region cache under HAK_LOCK_RCACHE, or to the thread that
 * took it out of the region cache. That thread holds no lock when it calls functions that make
 * system calls.
 *
 * State of a region's pages:
 *   DIRTY  in use, or as the last owner left them       CLEAN  reads as zeros, no pages
 *   LAZY   MADV_FREEd: each page is either the old one or zero
 * `zero` is set last, for fresh mappings and after an eviction of the whole region succeeded. It is
 * cleared when the region is handed out.
 *
 * The kernel charges for memory that may be written, touched or not: all programs together where
 * vm.overcommit_memory is 2, this one by RLIMIT_DATA. So a CLEAN region is `closed` (PROT_NONE),
 * and is opened when it is handed out. A region that cannot be closed is not kept, unless munmap
 * refuses it as well.
 */
#ifndef HAK_REGION_H
#define HAK_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hak_region_state { HAK_REGION_DIRTY, HAK_REGION_LAZY, HAK_REGION_CLEAN };

struct hak_region {
	char *base;	  /* the address that malloc returned; whole slices */
	size_t bytes;	  /* of the mapping; all usable */
	size_t requested; /* by the program, exact */
	uint8_t state;
	uint8_t life; /* number of the region cache that it is or was in */
	bool in_use;  /* handed out to the program */
	bool zero;
	uint8_t thp;  /* enum hak_thp_advice */
	bool closed;  /* PROT_NONE; CLEAN */
	bool sampled; /* in use, and reported to a profiler (sample.h) */
	/* times it was found filled when freed, 2 at most; thp.mode=adaptive */
	uint8_t filled;
	/* of the purge clock, when it was kept; the one after now where an eviction failed */
	uint32_t epoch;
	struct hak_region *prev, *next;	  /* bucket */
	struct hak_region *older, *newer; /* by age, oldest first out */
};

static inline bool hak_region_fits(const struct hak_region *r, size_t bytes, size_t most,
				   size_t align)
{
	return r->bytes >= bytes && r->bytes <= most && !((uintptr_t)r->base & (align - 1));
}

/* Returns a fresh region, DIRTY because its receiver will write to it; NULL: no memory. */
struct hak_region *hak_region_map(size_t bytes, size_t align);
/*
 * Unmaps a region. Returns false if munmap refused (max_map_count): the pages went, if possible,
 * and the region still belongs to the caller.
 */
bool hak_region_unmap(struct hak_region *r);
/* Opens a region if it is closed. Returns 0 or -errno; a part of it may be open then. */
int hak_region_open(struct hak_region *r);
/* The region must belong to the caller alone. */
void hak_region_set_state(struct hak_region *r, enum hak_region_state state);
/* Counts the bytes by which a region's mapping grew, or shrank. */
void hak_region_count_bytes(const struct hak_region *r, int64_t bytes);
/* Gives the advice of thp.mode, if that is not off. Regions with different advice do not join. */
void hak_region_advise(struct hak_region *r);

/*
 * Returns what happens to regions that are evicted now: a value of region.evict. `forced`: not
 * "keep".
 */
uint64_t hak_region_evict_mode(bool forced);
/*
 * Gives the pages of n regions back and closes the regions, neighbours by one call. Sorts r by
 * address. `mode` is neither "keep" nor "munmap". Returns the bytes that were resident.
 */
uint64_t hak_region_evict(struct hak_region **r, unsigned int n, uint64_t mode);

#endif
