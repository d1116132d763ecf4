/* SPDX-License-Identifier: MIT */
/* Runs. See run.h. */
#include "run.h"

#include "base/stats.h"
#include "slice.h"
#include "units.h"

static unsigned int units_of(unsigned int cls)
{
	return (unsigned int)(hak_align_up(hak_class_size(cls), HAK_UNIT) / HAK_UNIT);
}

void *hak_run_new(unsigned int cls, size_t align, bool *ret_zero)
{
	unsigned int units = units_of(cls);
	unsigned int align_units = align <= HAK_UNIT ? 1 : (unsigned int)(align / HAK_UNIT);
	struct hak_extent *e;
	bool new;
	char *p;

	p = hak_units_take(HAK_EXTENT_RUNS, units, align_units, units * HAK_UNIT, &e, ret_zero,
			   &new);
	if (!p)
		return NULL;
	*hak_run_start(e, p) = (uint8_t)(cls + 1);
	hak_count(HAK_C_MEM_RUN, (int64_t)(units * HAK_UNIT));
	return p;
}

void hak_run_set_sampled(void *p)
{
	struct hak_extent *e = atomic_load_explicit(&hak_slice_ours(p)->word, memory_order_relaxed);

	hak_run_start(e, p)[1] = HAK_RUN_SAMPLED;
}

bool hak_run_is_cached(const void *p, unsigned int cls)
{
	const struct hak_slice *g = hak_slice(p);

	return hak_slice_kind(g) == HAK_RUNS && !((uintptr_t)p & (HAK_UNIT - 1)) &&
	       *hak_run_start(atomic_load_explicit(&g->word, memory_order_relaxed), p) ==
		       ((cls + 1) | HAK_RUN_CACHED);
}

void hak_run_release(void *p)
{
	struct hak_extent *e = atomic_load_explicit(&hak_slice_ours(p)->word, memory_order_relaxed);
	uint8_t *start = hak_run_start(e, p);
	unsigned int cls = (*start & ~(unsigned int)HAK_RUN_CACHED) - 1;
	unsigned int units = units_of(cls);

	*start = 0;
	hak_count(HAK_C_MEM_RUN, -(int64_t)(units * HAK_UNIT));
	hak_units_give(e, p, units, units);
}

bool hak_run_resize(void *p, unsigned int cls, unsigned int *ret_before)
{
	struct hak_extent *e = atomic_load_explicit(&hak_slice_ours(p)->word, memory_order_relaxed);
	uint8_t *start = hak_run_start(e, p);
	unsigned int before = *start - 1u, units = units_of(before), now = units_of(cls);

	if (before < HAK_SLAB_CLASSES || hak_run_is_sampled(start))
		return false;
	if (now > units && !hak_units_extend(e, p, units, now - units))
		return false;
	*start = (uint8_t)(cls + 1);
	if (now < units)
		hak_units_give(e, (char *)p + now * HAK_UNIT, units - now, units - now);
	hak_count(HAK_C_MEM_RUN, ((int64_t)now - units) * (int64_t)HAK_UNIT);
	*ret_before = before;
	return true;
}
