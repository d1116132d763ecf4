/* SPDX-License-Identifier: MIT */
/*
 * glibc's functions that ask a malloc about itself, answered for hakmem: mallinfo, mallinfo2,
 * malloc_stats, malloc_info, malloc_trim, mallopt. The sums over all heaps are taken without a lock
 * and are exact while no other thread allocates. Figures that hakmem does not have are 0 or left
 * out. The file has no state.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>

#include "base/class.h"
#include "base/hak.h"
#include "base/stats.h"
#include "base/text.h"
#include "cache/purge.h"
#include "process/attach.h"
#include "share/totals.h"
#include "share/tune.h"

#if !__GLIBC_PREREQ(2, 33)
struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks,
		keepcost;
};
struct mallinfo2 mallinfo2(void);
#endif

/*
 * glibc's view of hakmem's memory. To mallinfo, which reports what is in use, an "arena" is all
 * memory for blocks that is not a whale in use. To malloc_stats and malloc_info, which report what
 * is mapped now and was at most, it is all memory that is not a region. The two differ because
 * glibc unmaps a large block when it is freed while hakmem may keep the region, and because a peak
 * is known only for what is mapped (stats.h).
 */
struct view {
	struct hak_totals t;
	uint64_t arena, arena_used, arena_free; /* bytes */
	uint64_t cached_blocks;
	struct {
		uint64_t now, most;
	} mapped[HAK_MAPPED_KINDS];
};

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void look(struct view *v)
{
	hak_stats_totals(&v->t);
	v->arena = minus(v->t.proc[HAK_C_MEM_MAPPED], v->t.whale_bytes);
	v->arena_used = minus(v->t.in_use_bytes, v->t.whale_bytes);
	v->arena_free = minus(v->arena, v->arena_used);
	v->cached_blocks = 0;
	for (unsigned int k = 0; k < HAK_CLASSES; k++)
		v->cached_blocks += v->t.cls[k].cached;
	for (unsigned int i = 0; i < HAK_MAPPED_KINDS; i++) {
		uint64_t now = atomic_load_explicit(&hak_mapped[i].now, memory_order_relaxed);
		uint64_t most = atomic_load_explicit(&hak_mapped[i].most, memory_order_relaxed);

		/* another thread may run between the two loads */
		v->mapped[i].now = now;
		v->mapped[i].most = most > now ? most : now;
	}
}

HAK_EXPORT struct mallinfo2 mallinfo2(void)
{
	struct view v;

	look(&v);
	return (struct mallinfo2){
		.arena = v.arena,
		.ordblks = v.cached_blocks + v.t.proc[HAK_C_RING_REGIONS],
		.smblks = v.cached_blocks,
		.hblks = v.t.whales,
		.hblkhd = v.t.whale_bytes,
		.fsmblks = v.t.cached_bytes,
		.uordblks = v.arena_used,
		.fordblks = v.arena_free,
		.keepcost = v.t.proc[HAK_C_MEM_DIRTY],
	};
}

static int to_int(size_t n)
{
	return n > INT_MAX ? INT_MAX : (int)n;
}

HAK_EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 m = mallinfo2();

	return (struct mallinfo){
		.arena = to_int(m.arena),
		.ordblks = to_int(m.ordblks),
		.smblks = to_int(m.smblks),
		.hblks = to_int(m.hblks),
		.hblkhd = to_int(m.hblkhd),
		.fsmblks = to_int(m.fsmblks),
		.uordblks = to_int(m.uordblks),
		.fordblks = to_int(m.fordblks),
		.keepcost = to_int(m.keepcost),
	};
}

/* ---- for people ---- */

static void put_line(struct hak_text *out, const char *what, uint64_t bytes)
{
	size_t start = out->at;

	hak_text_put(out, what);
	while (out->at - start < 17)
		hak_text_put(out, " ");
	hak_text_put(out, "= ");
	hak_text_put_number(out, bytes);
	hak_text_put(out, "\n");
}

HAK_EXPORT void malloc_stats(void)
{
	char buf[1024];
	struct hak_text out = { buf, sizeof(buf), 0 };
	struct view v;

	look(&v);
	hak_text_put(&out, "Arena 0:\n");
	put_line(&out, "system bytes", v.mapped[HAK_MAPPED_EXTENTS].now);
	put_line(&out, "in use bytes", v.arena_used);
	hak_text_put(&out, "Total (incl. mmap):\n");
	put_line(&out, "system bytes", v.mapped[HAK_MAPPED_ALL].now);
	put_line(&out, "in use bytes", v.t.in_use_bytes);
	put_line(&out, "max mmap regions", v.mapped[HAK_MAPPED_REGIONS].most);
	put_line(&out, "max mmap bytes", v.mapped[HAK_MAPPED_REGION_BYTES].most);
	put_line(&out, "mmap regions", v.mapped[HAK_MAPPED_REGIONS].now);
	put_line(&out, "mmap bytes", v.mapped[HAK_MAPPED_REGION_BYTES].now);
	put_line(&out, "cached bytes", v.t.cached_bytes);
	put_line(&out, "dirty bytes", v.t.proc[HAK_C_MEM_DIRTY]);
	put_line(&out, "lazy bytes", v.t.proc[HAK_C_MEM_LAZY]);
	put_line(&out, "clean bytes", v.t.proc[HAK_C_MEM_CLEAN]);
	out.at--; /* drops the newline, which hak_text_say() adds */
	hak_text_say(&out);
}

/* ---- XML ---- */

static void put_sizes(FILE *f, const struct view *v)
{
	size_t below = 0;

	fputs("<sizes>\n", f);
	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		size_t size = hak_class_size(k);
		uint64_t n = v->t.cls[k].cached;

		/* of two classes of one size the first is not used */
		if (n && size > below)
			fprintf(f,
				"  <size from=\"%zu\" to=\"%zu\" total=\"%llu\" count=\"%llu\"/>\n",
				below + 1, size, (unsigned long long)(n * size),
				(unsigned long long)n);
		if (k + 1 < HAK_CLASSES && hak_class_size(k + 1) > size)
			below = size;
	}
	fputs("</sizes>\n", f);
}

static void put_element(FILE *f, const char *element, const char *type, uint64_t size)
{
	fprintf(f, "<%s type=\"%s\" size=\"%llu\"/>\n", element, type, (unsigned long long)size);
}

static void put_total(FILE *f, const char *type, uint64_t count, uint64_t size)
{
	fprintf(f, "<total type=\"%s\" count=\"%llu\" size=\"%llu\"/>\n", type,
		(unsigned long long)count, (unsigned long long)size);
}

/* Prints free memory: "fast" is in thread caches, "rest" is the remainder, in `pieces` pieces. */
static void put_free(FILE *f, const struct view *v, uint64_t pieces, uint64_t system)
{
	put_total(f, "fast", v->cached_blocks, v->t.cached_bytes);
	put_total(f, "rest", pieces, minus(system, v->arena_used + v->t.cached_bytes));
}

static void put_system(FILE *f, uint64_t now, uint64_t most)
{
	put_element(f, "system", "current", now);
	put_element(f, "system", "max", most);
	put_element(f, "aspace", "total", now);
	put_element(f, "aspace", "mprotect", now);
}

/*
 * Counts as malloc_stats does. "mmap" are the whales in use; other memory that is mapped and not in
 * use is free.
 */
HAK_EXPORT int malloc_info(int options, FILE *f)
{
	uint64_t extents;
	struct view v;

	if (options)
		return EINVAL;
	look(&v);
	extents = v.t.proc[HAK_C_SUPERSLABS] + v.t.proc[HAK_C_EXTENTS] +
		  v.t.proc[HAK_C_SUPERSLABS_FREE] + v.t.proc[HAK_C_SLABS_SINGLE];
	fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n", f);
	put_sizes(f, &v);
	put_free(f, &v, extents, v.mapped[HAK_MAPPED_EXTENTS].now);
	put_system(f, v.mapped[HAK_MAPPED_EXTENTS].now, v.mapped[HAK_MAPPED_EXTENTS].most);
	fputs("</heap>\n", f);
	put_free(f, &v, extents + v.t.proc[HAK_C_RING_REGIONS],
		 minus(v.mapped[HAK_MAPPED_ALL].now, v.t.whale_bytes));
	put_total(f, "mmap", v.t.whales, v.t.whale_bytes);
	put_system(f, v.mapped[HAK_MAPPED_ALL].now, v.mapped[HAK_MAPPED_ALL].most);
	fputs("</malloc>\n", f);
	return 0;
}

/* ---- steering ---- */

HAK_EXPORT int malloc_trim(size_t pad)
{
	(void)pad; /* superslab.retain and the caches decide how much stays */
	hak_attach_copy();
	return hak_reclaim() > 0;
}

/* glibc's bits: 1 prints, 2 aborts. */
static int set_check_action(int value)
{
	enum { ABORT, REPORT, OFF }; /* as in tunables.def */

	return !hak_tune_program(HAK_T_CHECK_FREE, value & 2 ? ABORT : value & 1 ? REPORT : OFF);
}

/*
 * In glibc this bounds the top of the heap before it is trimmed. The nearest figure here is the
 * memory that the region cache keeps resident.
 */
static int set_trim_threshold(int value)
{
	const uint64_t never = hak_tunable_desc[HAK_T_REGION_EVICT_BYTES].max;

	return !hak_tune_program(HAK_T_REGION_EVICT_BYTES, value < 0 ? never : (uint64_t)value);
}

/*
 * Returns 1 for all parameters but those that glibc refuses. Parameters about arenas, padding or
 * perturbing, none of which hakmem has, are accepted and change nothing.
 */
HAK_EXPORT int mallopt(int param, int value)
{
	enum { MXFAST_MAX = 80 * sizeof(size_t) / 4 };

	switch (param) {
	case M_CHECK_ACTION:
		return set_check_action(value);
	case M_TRIM_THRESHOLD:
		return set_trim_threshold(value);
	case M_MXFAST:
		return value >= 0 && value <= MXFAST_MAX;
	default:
		return 1;
	}
}
