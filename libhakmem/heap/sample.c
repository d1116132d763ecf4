/* SPDX-License-Identifier: MIT */
/* Chooses the allocations that are sampled. See sample.h. */
#include "sample.h"

#include "base/probe.h"
#include "base/stats.h"
#include "heap.h"
#include "page/region.h"
#include "page/run.h"
#include "system/os.h"

#define MANY_POINTS 64u /* blocks with more points: points by division, not drawn */

/* ---- distances ---- */

/* SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t next_random(struct hak_sample *s)
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t part_of(uint64_t random, uint64_t whole)
{
	return (uint64_t)((unsigned __int128)random * whole >> 64);
}

/*
 * Exponentially distributed with a mean of s->bytes, by comparisons alone: von Neumann, "Various
 * techniques used in connection with random digits", 1951. A descending run that begins with u has
 * an odd length with probability exp(-u).
 */
static uint64_t distance(struct hak_sample *s)
{
	for (uint64_t whole = 0;; whole += s->bytes) {
		uint64_t first = next_random(s), last = first, next;
		bool odd = true;

		while ((next = next_random(s)) < last) {
			last = next;
			odd = !odd;
		}
		if (odd)
			return whole + part_of(first, s->bytes);
	}
}

/*
 * Called when a point was met and `bytes` of the block lie behind it. Returns how many points the
 * block has, and in *ret_left how far behind its end the next point lies.
 */
static uint64_t points(struct hak_sample *s, uint64_t bytes, uint64_t *ret_left)
{
	uint64_t n = 1, next;

	if (bytes / s->bytes >= MANY_POINTS) {
		n += bytes / s->bytes;
		bytes %= s->bytes;
	}
	while ((next = distance(s)) < bytes) {
		bytes -= next;
		n++;
	}
	*ret_left = next - bytes;
	return n;
}

/* Sets the next point of a class `left` bytes behind the blocks handed out so far. */
static void set_due(struct hak_cache *c, unsigned int cls, uint64_t left)
{
	uint64_t size = hak_class_size(cls);

	c->heap->sample.cls[cls].due = hak_counters(c)->hot[cls].allocs + 1 + left / size;
	c->heap->sample.cls[cls].rest = size - left % size;
}

uint64_t hak_sample_ahead(struct hak_cache *c, unsigned int cls)
{
	int64_t n = (int64_t)(c->heap->sample.cls[cls].due - hak_counters(c)->hot[cls].allocs);

	return n > 0 ? (uint64_t)n - 1 : 0;
}

/* ---- beginnings ---- */

static void begin(struct hak_cache *c, uint64_t bytes)
{
	struct hak_sample *s = &c->heap->sample;

	s->bytes = bytes;
	if (!bytes)
		return;
	s->left = distance(s);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		set_due(c, k, distance(s));
}

void hak_sample_begin(struct hak_cache *c)
{
	/* a thread that adopts a heap continues: repeating the numbers would add up to an error */
	if (!c->heap->sample.random)
		c->heap->sample.random = c->heap->index + 1;
	begin(c, hak_tun(HAK_T_PROFILE_SAMPLE_BYTES));
}

void hak_sample_tune(struct hak_cache *c)
{
	if (hak_unlikely(c->heap->sample.bytes != hak_tun(HAK_T_PROFILE_SAMPLE_BYTES)))
		hak_sample_begin(c);
}

void hak_sample_fork_child(struct hak_cache *c)
{
	if (!c->heap->sample.bytes)
		return;
	c->heap->sample.random += hak_os_now_ns();
	begin(c, hak_tun(HAK_T_PROFILE_SAMPLE_BYTES));
}

/* ---- blocks ---- */

static void sampled(struct hak_cache *c, const void *p, uint64_t size, uint64_t n)
{
	uint64_t weight = n * c->heap->sample.bytes;

	hak_heap_count1(c, PROFILE_SAMPLES);
	hak_heap_count_n(c, PROFILE_BYTES, weight);
	hak_probe(otel_memory, alloc, (uintptr_t)p, size, weight);
}

void *hak_sample_block(struct hak_cache *c, unsigned int cls)
{
	struct hak_sample *s = &c->heap->sample;
	size_t size = hak_class_size(cls), align = size & -size;
	uint64_t n, left;
	bool zero;
	void *p;

	if (hak_sample_ahead(c, cls))
		return NULL;
	p = hak_run_new(cls, align, &zero);
	if (hak_unlikely(!p)) {
		/* a slab may still have a block: then the next one is sampled instead */
		s->cls[cls].due = hak_counters(c)->hot[cls].allocs + 2;
		return NULL;
	}
	n = points(s, s->cls[cls].rest, &left);
	hak_bin_count_taken(c, cls);
	set_due(c, cls, left);
	sampled(c, p, size, n);
	return p;
}

/* Returns the points of a run or a whale of `size` bytes. */
static uint64_t large_points(struct hak_sample *s, uint64_t size)
{
	if (s->left >= size) {
		s->left -= size;
		return 0;
	}
	return points(s, size - s->left, &s->left);
}

void hak_sample_run(struct hak_cache *c, void *p, unsigned int cls)
{
	uint64_t n = large_points(&c->heap->sample, hak_class_size(cls));

	if (!n)
		return;
	hak_run_set_sampled(p);
	sampled(c, p, hak_class_size(cls), n);
}

void hak_sample_whale(struct hak_cache *c, struct hak_region *r)
{
	uint64_t n = c->heap->sample.bytes ? large_points(&c->heap->sample, r->bytes) : 0;

	if (!n)
		return;
	r->sampled = true;
	sampled(c, r->base, r->bytes, n);
}

void hak_sample_gone(struct hak_cache *c, const void *p)
{
	hak_heap_count1(c, PROFILE_FREES);
	hak_probe(otel_memory, free, (uintptr_t)p, 0, 0);
}

void hak_sample_whale_gone(struct hak_cache *c, struct hak_region *r)
{
	r->sampled = false;
	hak_sample_gone(c, r->base);
}

void hak_sample_free_block(struct hak_cache *c, void *p, unsigned int cls)
{
	hak_sample_gone(c, p);
	hak_bin_count_given(c, cls);
	hak_run_release(p);
}
