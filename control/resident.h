/* SPDX-License-Identifier: MIT */
/*
 * The resident memory of one process, as the kernel counts it at the moment of the call, and the
 * most of malloc's memory that can be part of it. The counters of a segment are address space: a
 * page of a free block counts whether it was touched or not, and whether the kernel took it since.
 *
 * For hakmemctl and hakmemd. All files are read through reader.h. No state.
 */
#ifndef HAK_RESIDENT_H
#define HAK_RESIDENT_H

#include "control/segment.h"
#include "control/snapshot.h"

/* Each source costs more than the one before, and tells more. */
enum hak_resident_source {
	HAK_RESIDENT_UNKNOWN,
	HAK_RESIDENT_COUNTED, /* statm: the kernel's own count */
	HAK_RESIDENT_SUMMED,  /* smaps_rollup: a walk over the page tables */
	HAK_RESIDENT_SPLIT,   /* smaps: the same walk, mapping by mapping */
};

/* Bytes. rss = anonymous + files + shared. */
struct hak_resident {
	enum hak_resident_source source;
	/* COUNTED */
	uint64_t rss;
	uint64_t anonymous; /* with pages of private file mappings that were written */
	/* SUMMED */
	uint64_t lazy_free; /* of `anonymous`: the kernel may take it at any moment */
	uint64_t pss;	    /* each page divided by the number of its users */
	uint64_t private;   /* pages that no other process maps */
	uint64_t huge;	    /* of `anonymous`: in huge pages */
	uint64_t swap;	    /* not resident */
	/* SPLIT */
	uint64_t stack;	  /* of `anonymous`: the stack of the first thread */
	uint64_t unnamed; /* of `anonymous`: what can be malloc's; otherwise all of it */
	uint64_t files;
	uint64_t shared; /* memfds, System V, /dev/shm and shared anonymous mappings */
};

/*
 * Reads as much as `wanted` says, or less: with a budget (budget.h) the processes beyond 4 GiB have
 * COUNTED only, and a process of too many mappings is not SPLIT. ret->source says what was read.
 */
void hak_resident_read(const struct hak_segment *seg, enum hak_resident_source wanted,
		       struct hak_resident *ret);

/*
 * Returns the most of each state that can be resident: never more than the process has. The states
 * may share one resident page, so their sum may be more than ret->mapped, which is the most of
 * malloc's memory that can be resident. All fields are 0 where nothing is known.
 */
struct hak_memory hak_resident_bound(const struct hak_resident *r, const struct hak_memory *m);

/*
 * Returns the most of what CachedMax= limits that can be resident: free memory that is in caches,
 * waits for a purge or is lazily freed. Reads COUNTED, and SUMMED if much is lazily freed; returns
 * the address space where nothing is known.
 */
uint64_t hak_resident_cached(const struct hak_segment *seg, const struct hak_memory *m);

/*
 * Returns the most that the process could give back to the kernel: free memory in thread caches, in
 * slabs, kept for reuse or lazily freed, as far as it can be resident. `most` is the result of
 * hak_resident_bound().
 */
uint64_t hak_resident_free(const struct hak_resident *r, const struct hak_memory *most);

#endif
