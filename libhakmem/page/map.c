/* SPDX-License-Identifier: MIT */
/* The check of the whole address map. See map.h. */
#include "map.h"

#include "extent.h"
#include "region.h"
#include "slab.h"
#include "slice.h"

#if HAK_DEBUG

/* The region that the walk is in: slices up to its end belong to it. */
static struct {
	const struct hak_region *region;
	char *end;
} in;

static void check_slab(char *p)
{
	const struct hak_slab *s = hak_slab_of(p);

	hak_assert(s->base == p);
	hak_assert(s->state != HAK_SLAB_NONE);
	if (!s->extent)
		return;
	hak_assert(s->extent->kind == HAK_EXTENT_SLABS);
	hak_assert(s->extent->base == (char *)hak_align_down((uintptr_t)p, HAK_EXTENT));
}

static void check_runs(char *p, const struct hak_extent *e)
{
	hak_assert(e->kind == HAK_EXTENT_RUNS);
	hak_assert(e->base == (char *)hak_align_down((uintptr_t)p, HAK_EXTENT));
}

static void begin_region(char *p, const struct hak_region *r)
{
	hak_assert(r->base == p);
	hak_assert(r->bytes && !(r->bytes & (HAK_SLICE - 1)));
	in.region = r;
	in.end = p + r->bytes;
}

static void check_kept(char *p, const struct hak_region *r)
{
	hak_assert(!r->in_use);
	if (p < in.end) {
		hak_assert(r == in.region && p + HAK_SLICE == in.end);
		return;
	}
	begin_region(p, r);
	hak_assert(hak_slice_kind(hak_slice(in.end - 1)) == HAK_KEPT);
	hak_assert(atomic_load_explicit(&hak_slice(in.end - 1)->word, memory_order_relaxed) == r);
}

static void check_owner(char *p, const struct hak_slice *g)
{
	const void *owner = atomic_load_explicit(&g->word, memory_order_relaxed);
	enum hak_kind_of_slice kind = hak_slice_kind(g);

	hak_assert(p >= in.end || kind == HAK_KEPT);
	switch (kind) {
	case HAK_SLAB:
		check_slab(p);
		break;
	case HAK_RUNS:
		check_runs(p, owner);
		break;
	case HAK_WHALE:
		begin_region(p, owner);
		break;
	case HAK_KEPT:
		check_kept(p, owner);
		break;
	default:
		break;
	}
}

void hak_map_check(void)
{
	in.region = NULL;
	in.end = NULL;
	hak_slice_check(check_owner);
}

#endif
