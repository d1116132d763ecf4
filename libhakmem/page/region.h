/* SPDX-License-Identifier: MIT */
/*
 * Regions: mappings of whole slices, each the memory of one whale (whale.h) or kept for the next
 * one (rcache.h). Here: how they are mapped, counted, advised, and how their pages go back to the
 * kernel, by the means that region.evict names or by a stronger one.
 *
 * A region belongs to whoever has it: to a program, to the region cache under HAK_LOCK_RCACHE, or
 * to the thread that took it out of the region cache, which holds no lock when it calls what makes
 * system calls.
 *
 * State of a region's pages:
 *   DIRTY  in use, or as the last owner left them       CLEAN  reads as zeros, no pages
 *   LAZY   MADV_FREEd: each page is either the old one or zero
 * `zero` is set last, for fresh mappings and after an eviction of the whole region succeeded, and
 * cleared when it is handed out.
 *
 * The kernel charges for memory that may be written, touched or not: to all programs where
 * vm.overcommit_memory is 2, to this one by RLIMIT_DATA. So a CLEAN region is `closed` (PROT_NONE)
 * and opened when it is handed out. One that cannot be closed is not kept, unless munmap refuses it
 * as well.
 */
#ifndef HAK_REGION_H
#define HAK_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hak_region_state { HAK_REGION_DIRTY, HAK_REGION_LAZY, HAK_REGION_CLEAN };

struct hak_region {
	char *base;	  /* what malloc returned; whole slices */
	size_t bytes;	  /* of the mapping: all usable */
	size_t requested; /* by the program, exact */
	uint8_t state;
	uint8_t life; /* of the region cache that it is or was in */
	bool in_use;  /* a program has it */
	bool zero;
	bool thp;     /* advised for huge pages */
	bool closed;  /* PROT_NONE; CLEAN */
	bool sampled; /* in use, and a profiler was told (sample.h) */
	/* times it was found filled when freed; thp.mode=adaptive */
	uint8_t filled;
	uint32_t epoch; /* of the purge clock, when it was put into the region cache */
	struct hak_region *prev, *next; /* bucket */
	struct hak_region *older, *newer;
};

static inline bool hak_region_fits(const struct hak_region *r, size_t bytes, size_t most,
				   size_t align)
{
	return r->bytes >= bytes && r->bytes <= most && !((uintptr_t)r->base & (align - 1));
}

/* A fresh region, DIRTY as whoever gets it will make it; NULL: no memory. */
struct hak_region *hak_region_map(size_t bytes, size_t align);
/*
 * Gives the mapping up. False: munmap refused (max_map_count); the pages went, if they could, and
 * the region is still the caller's.
 */
bool hak_region_unmap(struct hak_region *r);
/* Memory to be used, if it was closed. 0 or -errno: part of it may be open then. */
int hak_region_open(struct hak_region *r);
/* The region is the caller's alone. */
void hak_region_set_state(struct hak_region *r, enum hak_region_state state);
/* Its mapping grew by so many bytes, or shrank. */
void hak_region_count_bytes(const struct hak_region *r, int64_t bytes);
/* For huge pages, if thp.mode is not off. Regions that are advised differently do not join. */
void hak_region_advise(struct hak_region *r);

/* What happens to regions that are evicted now: a value of region.evict. `forced`: not "keep". */
uint64_t hak_region_evict_mode(bool forced);
/*
 * Gives the pages of n regions back and closes them, neighbours by one call; r is sorted by
 * address. `mode` is neither "keep" nor "munmap". Returns bytes that were resident.
 */
uint64_t hak_region_evict(struct hak_region **r, unsigned int n, uint64_t mode);

#endif
