/* SPDX-License-Identifier: MIT */
/*
 * The malloc family: glibc's semantics over the tiers. Only this file sets errno, and only to
 * ENOMEM or EINVAL; free leaves errno alone. The fast paths come first. Everything behind
 * hak_unlikely() is out of line.
 */
#define HAK_LIBC_COPY
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/abstain.h"
#include "base/stats.h"
#include "base/stop.h"
#include "cache/bin.h"
#include "cache/flush.h"
#include "cache/purge.h"
#include "cache/refill.h"
#include "cache/whale.h"
#include "hakmem.h"
#include "heap/heap.h"
#include "heap/misuse.h"
#include "heap/sample.h"
#include "heap/takeover.h"
#include "page/extent.h"
#include "page/run.h"
#include "process/attach.h"
#include "process/life.h"
#include "process/tick.h"
#include "share/tune.h"
#include "system/loader.h"
#include "system/os.h"

/* ---- fast paths ---- */

static HAK_NOINLINE void *malloc_slow(unsigned int cls, size_t size);
static HAK_NOINLINE void *malloc_large(size_t size, bool *ret_zero);
static HAK_NOINLINE void free_slow(void *p);
static HAK_NOINLINE void free_full(struct hak_cache *c, size_t cls, void **p);

/* `p` is the first block of the bin. The block leaves the bin. */
static inline void *unlink_block(struct hak_cache *c, unsigned int cls, void **p)
{
	c->bin[cls].head = p[0];
	hak_stop("malloc.uncounted");
	__builtin_prefetch(p[0]);
	p[1] = NULL;
	hak_counters(c)->hot[cls].allocs++;
	return p;
}

/* NULL: the bin is empty, its first block was written to, or another thread has the cache. */
static inline void *pop(struct hak_cache *c, unsigned int cls)
{
	void **p;

	hak_fast_begin(c);
	/* before the block is looked at: a thread that has the cache may have unmapped it */
	if (hak_unlikely(hak_fast_is_taken(c)))
		return NULL;
	p = c->bin[cls].head;
	if (hak_unlikely(!p || !hak_key_is_free(p)))
		return NULL;
	unlink_block(c, cls, p);
	hak_fast_end(c);
	return p;
}

static inline void *malloc_class(unsigned int cls, size_t size)
{
	void *p = pop(hak_self, cls);

	return hak_likely(p != NULL) ? p : malloc_slow(cls, size);
}

static HAK_INLINE void *allocate(size_t size)
{
	bool zero;

	if (hak_likely(size <= HAK_TINY_MAX))
		return malloc_class(hak_class_of_tiny(size), size);
	if (hak_likely(size <= HAK_SLAB_MAX))
		return malloc_class(hak_class_of_mid(size), size);
	return malloc_large(size, &zero);
}

static inline void link_free(struct hak_cache *c, size_t cls, void **p)
{
	p[0] = c->bin[cls].head;
	/*
	 * atomic only to keep the compiler from packing the two words into one vector store,
	 * because malloc loads them one by one
	 */
	__atomic_store_n(&p[1], (void *)hak_key_of(p, 0), __ATOMIC_RELAXED);
	c->bin[cls].head = p;
	hak_stop("free.uncounted");
	hak_counters(c)->hot[cls].frees++;
}

/*
 * Pushes a block of a slab of any owner. The block goes to the bin of the calling thread, and finds
 * its slab when the bin is flushed. The inverse is checked first: it is wrong where another thread
 * has the cache.
 */
static inline void push(struct hak_cache *c, size_t cls, void **p)
{
	struct hak_bin *b = &c->bin[cls];

	hak_fast_begin(c);
	if (hak_unlikely(!hak_multiple(hak_fast_inverse(b), (uint16_t)(uintptr_t)p) ||
			 p == b->head || --b->room < 0)) {
		free_full(c, cls, p);
		return;
	}
	link_free(c, cls, p);
	hak_fast_end(c);
}

HAK_EXPORT void *malloc(size_t size)
{
	return allocate(size);
}

HAK_EXPORT void free(void *p)
{
	size_t tag = hak_slice_tag(p);

	if (hak_likely(tag))
		push(hak_self, tag - 1, p);
	else
		free_slow(p);
}

/* ---- allocation, out of line ---- */

static HAK_COLD void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/*
 * Counts for the calling thread if it has a cache. The thread need not be inside: a thread that
 * takes the cache over does not write these counters.
 */
#define count_own_n(sym, n)                                 \
	do {                                                \
		if (hak_has_cache())                        \
			hak_heap_count_n(hak_self, sym, n); \
	} while (0)
#define count_own(sym) count_own_n(sym, 1)

/* The entry of slow paths of a thread's own cache: handles requests, tunables and time. */
static void enter(struct hak_cache *c)
{
	hak_heap_enter(c);
	hak_tune_poll();
	hak_tick(c);
}

static bool fill(struct hak_cache *c, unsigned int cls, size_t size)
{
	return hak_cache_refill(c, cls, size) || (hak_reclaim() && hak_cache_refill(c, cls, size));
}

/*
 * The loop ends even if block after block was written to: each time a list of a finite slab is
 * dropped.
 */
static void *refill(struct hak_cache *c, unsigned int cls, size_t size)
{
	if (hak_unlikely(c->heap->sample.bytes)) {
		void *p = hak_sample_block(c, cls);

		if (p)
			return p;
	}
	for (;;) {
		if (!c->bin[cls].head && !fill(c, cls, size))
			return NULL;
		if (hak_likely(hak_key_is_free(c->bin[cls].head)))
			return unlink_block(c, cls, c->bin[cls].head);
		hak_cache_broken(c, cls);
	}
}

static HAK_COLD void *shared_block(unsigned int cls, size_t size)
{
	struct hak_cache *c = hak_heap_shared_enter();
	void *p = NULL;

	if (c)
		p = refill(c, cls, size);
	hak_heap_shared_leave(c);
	return p ? p : no_memory();
}

/*
 * Returns the calling thread's cache, attached; NULL if the thread must use the shared one. Leaves
 * errno alone.
 */
static inline struct hak_cache *self(void)
{
	struct hak_cache *c = hak_self;

	if (hak_unlikely(c->magic != HAK_CACHE_MAGIC)) {
		int saved = errno;

		c = hak_heap_attach();
		errno = saved;
		if (c == &hak_cache_shared)
			return NULL;
	}
	return c;
}

static HAK_NOINLINE void *malloc_slow(unsigned int cls, size_t size)
{
	struct hak_cache *c;
	void *p;

	if (hak_abstain())
		return __interceptor_malloc(size);
	c = self();
	if (hak_unlikely(!c))
		return shared_block(cls, size);
	enter(c);
	hak_heap_count1(c, SLOW_MALLOC);
	p = refill(c, cls, size);
	hak_heap_leave(c);
	return hak_likely(p != NULL) ? p : no_memory();
}

/* A run from the bin, otherwise from an extent; *ret_zero as for whales. */
static void *take_run(struct hak_cache *c, unsigned int cls, size_t size, size_t align,
		      bool *ret_zero)
{
	void **p = align <= HAK_UNIT ? c->bin[cls].head : NULL;

	*ret_zero = false;
	if (hak_unlikely(p && !hak_run_is_cached(p, cls))) {
		hak_cache_broken(c, cls);
		p = NULL;
	}
	if (p) {
		struct hak_extent *e =
			atomic_load_explicit(&hak_slice_ours(p)->word, memory_order_relaxed);

		c->bin[cls].head = p[0];
		c->heap->budget += (int64_t)hak_class_size(cls);
		*hak_run_start(e, p) = (uint8_t)(cls + 1);
		hak_counters(c)->hot[cls].allocs++;
	} else {
		p = hak_run_new(cls, align, ret_zero);
		if (!p)
			return NULL;
		hak_heap_count1(c, REFILL_RUN);
		hak_bin_count_taken(c, cls);
		hak_bin_count_size(c, cls, size);
	}
	if (hak_unlikely(c->heap->sample.bytes))
		hak_sample_run(c, p, cls);
	return p;
}

static HAK_COLD void sample_whale(struct hak_cache *c, void *p)
{
	hak_sample_whale(c, atomic_load_explicit(&hak_slice_ours(p)->word, memory_order_relaxed));
}

static inline void *large(struct hak_cache *c, size_t size, size_t align, bool *ret_zero)
{
	if (size >= HAK_WHALE_MIN || align > HAK_EXTENT / 2) {
		void *p = hak_whale_alloc(c, &c->heap->hot_region, size, align, ret_zero);

		if (hak_unlikely(c->heap->sample.bytes) && p)
			sample_whale(c, p);
		return p;
	}
	return take_run(c, hak_class_of_run(size > HAK_SLAB_MAX ? size : HAK_SLAB_MAX + 1), size,
			align, ret_zero);
}

static HAK_COLD void *sanitizer_aligned(size_t align, size_t size)
{
	void *p;

	return __interceptor_posix_memalign(&p, align, size) ? no_memory() : p;
}

static inline void *large_attached(struct hak_cache *c, size_t size, size_t align, bool *ret_zero)
{
	void *p;

	enter(c);
	hak_heap_count1(c, SLOW_MALLOC);
	p = large(c, size, align, ret_zero);
	if (hak_unlikely(!p) && hak_reclaim())
		p = large(c, size, align, ret_zero);
	hak_heap_leave(c);
	return hak_likely(p != NULL) ? p : no_memory();
}

static HAK_NOINLINE void *large_unattached(size_t size, size_t align, bool *ret_zero)
{
	struct hak_cache *c;
	void *p;

	if (hak_abstain())
		return align <= HAK_UNIT ? __interceptor_malloc(size)
					 : sanitizer_aligned(align, size);
	c = self();
	if (hak_likely(c != NULL))
		return large_attached(c, size, align, ret_zero);
	c = hak_heap_shared_enter();
	p = c ? large(c, size, align, ret_zero) : NULL;
	hak_heap_shared_leave(c);
	return p ? p : no_memory();
}

static inline void *large_aligned(size_t size, size_t align, bool *ret_zero)
{
	struct hak_cache *c = hak_self;

	if (hak_unlikely(size >> HAK_ADDRESS_BITS || align >> HAK_ADDRESS_BITS))
		return no_memory();
	if (hak_unlikely(c->magic != HAK_CACHE_MAGIC))
		return large_unattached(size, align, ret_zero);
	return large_attached(c, size, align, ret_zero);
}

static HAK_NOINLINE void *malloc_large(size_t size, bool *ret_zero)
{
	return large_aligned(size, HAK_UNIT, ret_zero);
}

/* `align` is a power of two. */
static void *allocate_aligned(size_t align, size_t size)
{
	bool zero;

	if (align <= 16)
		return allocate(size);
	if (hak_abstain())
		return sanitizer_aligned(align, size);
	if (hak_unlikely(size > PTRDIFF_MAX - align))
		return no_memory();
	/* there is a class whose size is a multiple of the alignment: class.h */
	if (align <= HAK_SLAB_MAX && size <= HAK_SLAB_MAX)
		return allocate(size ? hak_align_up(size, align) : align);
	if (align <= HAK_UNIT)
		return allocate(size);
	return large_aligned(size, align, &zero);
}

/* ---- free, out of line ---- */

/* The caller is inside. The bin has no room, p lies in the bin already, or p is no block. */
static void free_checked(struct hak_cache *c, unsigned int cls, void **p)
{
	if (hak_unlikely(!hak_class_divides(cls, (uint16_t)(uintptr_t)p))) {
		hak_misuse("free() of a pointer inside a block:", p);
		return;
	}
	if (hak_key_is_free(p)) {
		hak_misuse("double free():", p);
		return;
	}
	if (c->bin[cls].room < 0) {
		hak_heap_count1(c, SLOW_FREE);
		/* not with the shared cache, whose lock is held */
		if (hak_likely(c == hak_self)) {
			hak_tune_poll();
			hak_tick(c);
		}
		if (hak_cache_trip(c, cls, p))
			return;
	}
	link_free(c, cls, p);
	if (hak_unlikely(c->heap->sample.bytes))
		hak_cache_bound(c, cls);
}

static HAK_NOINLINE void free_look(struct hak_cache *c, unsigned int cls, void **p)
{
	if (hak_unlikely(c->magic != HAK_CACHE_MAGIC)) {
		/* no cache yet, or none any more, or a copy of the process without fork handlers */
		c->bin[cls].room = -1;
		free_slow(p);
		return;
	}
	hak_heap_enter(c);
	free_checked(c, cls, p);
	hak_heap_leave(c);
}

/* What the fast path of free could not do. */
static HAK_NOINLINE void free_full(struct hak_cache *c, size_t cls, void **p)
{
	if (hak_likely(hak_flush_direct(c, cls, p)))
		hak_fast_end(c);
	else
		free_look(c, (unsigned int)cls, p);
}

static void free_run(struct hak_cache *c, void **p)
{
	struct hak_extent *e = atomic_load_explicit(&hak_slice_ours(p)->word, memory_order_relaxed);
	uint8_t *start;
	unsigned int cls;

	if (hak_unlikely(!e || ((uintptr_t)p & (HAK_UNIT - 1)))) {
		hak_misuse("free() of a pointer inside a block:", p);
		return;
	}
	start = hak_run_start(e, p);
	cls = *start;
	if (hak_unlikely(!cls || (cls & HAK_RUN_CACHED))) {
		cls &= HAK_RUN_CACHED - 1; /* 0 for the mark of a sampled run */
		hak_misuse(cls ? "double free():" : "free() of a pointer inside a block, or twice:",
			   p);
		return;
	}
	cls--;
	if (hak_unlikely(cls < HAK_SLAB_CLASSES)) {
		hak_sample_free_block(c, p, cls);
		return;
	}
	if (hak_unlikely(hak_run_is_sampled(start))) {
		start[1] = 0;
		hak_sample_gone(c, p);
	}
	*start = (uint8_t)((cls + 1) | HAK_RUN_CACHED);
	c->heap->budget -= (int64_t)hak_class_size(cls);
	if (hak_unlikely(--c->bin[cls].room < 0 || c->heap->budget < 0)) {
		hak_cache_trip(c, cls, p);
		if (c->heap->budget < 0) {
			hak_cache_pass_run(c, cls, p);
			return;
		}
	}
	p[0] = c->bin[cls].head;
	c->bin[cls].head = p;
	hak_counters(c)->hot[cls].frees++;
}

static void free_whale(struct hak_cache *c, void *p)
{
	struct hak_region *r = atomic_load_explicit(&hak_slice_ours(p)->word, memory_order_relaxed);

	if (hak_unlikely(!r || p != r->base || !r->in_use)) {
		hak_misuse(r && p == r->base ? "double free():"
					     : "free() of a pointer inside a block:",
			   p);
		return;
	}
	if (hak_unlikely(r->sampled))
		hak_sample_whale_gone(c, r);
	hak_whale_free(c, &c->heap->hot_region, r);
}

static void free_foreign(struct hak_cache *c, void *p)
{
	if (hak_loader_owns(p)) {
		hak_heap_count1(c, FREE_LOADER);
		return;
	}
	hak_misuse("free() of a pointer that is not ours, or was freed before:", p);
}

static inline void free_any(struct hak_cache *c, void *p)
{
	const struct hak_slice *g = hak_slice(p);

	switch (hak_slice_kind(g)) {
	case HAK_SLAB:
		push(c, g->cls, p);
		break;
	case HAK_RUNS:
		free_run(c, p);
		break;
	case HAK_WHALE:
		free_whale(c, p);
		break;
	default:
		free_foreign(c, p);
	}
}

static HAK_NOINLINE void free_slow(void *p)
{
	struct hak_cache *c;

	if (hak_abstain()) {
		__interceptor_free(p);
		return;
	}
	if (!p) {
		count_own(FREE_NULL);
		return;
	}
	c = self();
	if (hak_unlikely(!c)) {
		c = hak_heap_shared_enter();
		if (c) {
			hak_heap_count1(c, FREE_SHARED);
			free_any(c, p);
		}
		hak_heap_shared_leave(c);
		return;
	}
	enter(c);
	hak_heap_count1(c, SLOW_FREE);
	free_any(c, p);
	hak_heap_leave(c);
}

/* ---- the rest of the family ---- */

/* Returns the usable bytes; 0 if p is no block. */
static size_t usable(const void *p)
{
	const struct hak_slice *g = hak_slice(p);
	struct hak_region *r;
	unsigned int cls;

	switch (hak_slice_kind(g)) {
	case HAK_SLAB:
		return hak_class_divides(g->cls, (uint16_t)(uintptr_t)p) ? hak_class_size(g->cls)
									 : 0;
	case HAK_RUNS:
		cls = *hak_run_start(atomic_load_explicit(&g->word, memory_order_relaxed), p);
		return cls && !(cls & HAK_RUN_CACHED) && !((uintptr_t)p & (HAK_UNIT - 1))
			       ? hak_class_size(cls - 1)
			       : 0;
	case HAK_WHALE:
		r = atomic_load_explicit(&g->word, memory_order_relaxed);
		return p == r->base && r->in_use ? r->bytes : 0;
	default:
		return 0;
	}
}

HAK_EXPORT size_t malloc_usable_size(void *p)
{
	if (hak_abstain())
		return __interceptor_malloc_usable_size(p);
	return p ? usable(p) : 0;
}

HAK_EXPORT void *calloc(size_t n, size_t size)
{
	size_t bytes;
	bool zero = false;
	void *p;

	if (hak_abstain())
		return __interceptor_calloc(n, size);
	if (hak_unlikely(__builtin_mul_overflow(n, size, &bytes)))
		return no_memory();
	if (hak_likely(bytes <= HAK_SLAB_MAX)) {
		/* copies the whole usable size, because programs use it */
		p = allocate(bytes);
		return p ? memset(p, 0, usable(p)) : NULL;
	}
	p = malloc_large(bytes, &zero);
	if (!p)
		return NULL;
	if (!zero)
		memset(p, 0, usable(p));
	if (zero)
		count_own(CALLOC_SKIP);
	else
		count_own(CALLOC_CLEAR);
	return p;
}

static void *realloc_whale(struct hak_cache *c, void *p, size_t size)
{
	struct hak_region *r = atomic_load_explicit(&hak_slice_ours(p)->word, memory_order_relaxed);

	/*
	 * a block that is a whale only by its alignment, or that shrinks below a whale, stays in
	 * place while half is used
	 */
	if (size < HAK_WHALE_MIN && (size > r->bytes || size <= r->bytes / 2))
		return NULL;
	p = hak_whale_resize(c, r, size);
	if (!p)
		return NULL;
	if (hak_unlikely(r->sampled)) /* the block stayed in place */
		hak_sample_whale_gone(c, r);
	if (hak_unlikely(c->heap->sample.bytes))
		hak_sample_whale(c, r);
	return p;
}

/* Runs with the thread's own cache, or with the shared one. */
static void *realloc_large(struct hak_cache *c, void *p, size_t size)
{
	void *q;

	if (hak_likely(c)) {
		enter(c);
		q = realloc_whale(c, p, size);
		hak_heap_leave(c);
		return q;
	}
	c = hak_heap_shared_enter();
	q = c ? realloc_whale(c, p, size) : NULL;
	hak_heap_shared_leave(c);
	return q;
}

/* A run grows into free units behind it, and gives back those that it does not need. */
static bool realloc_run(struct hak_cache *c, void *p, size_t size)
{
	bool done;

	/* whether the block is sampled depends on where it begins */
	if (size <= HAK_SLAB_MAX || size >= HAK_WHALE_MIN || !c || c->heap->sample.bytes)
		return false;
	enter(c);
	done = hak_cache_resize_run(c, p, size);
	hak_heap_leave(c);
	return done;
}

static void *realloc_copy(void *p, size_t old, size_t size)
{
	size_t keep = old < size ? old : size;
	void *q = allocate(size);

	if (!q)
		return NULL;
	memcpy(q, p, keep);
	count_own(REALLOC_COPY);
	count_own_n(REALLOC_COPY_BYTES, keep);
	free(p);
	return q;
}

HAK_EXPORT void *realloc(void *p, size_t size)
{
	struct hak_cache *c;
	enum hak_kind_of_slice kind;
	size_t old;
	int saved;
	void *q;

	if (hak_abstain())
		return __interceptor_realloc(p, size);
	if (!p)
		return allocate(size);
	if (!size) {
		free(p);
		return NULL;
	}
	if (hak_unlikely(size > PTRDIFF_MAX))
		return no_memory();
	c = self();
	old = usable(p);
	if (hak_unlikely(!old)) {
		c = hak_heap_enter_own();
		hak_misuse("realloc() of a pointer that is no block of ours:", p);
		hak_heap_leave_own(c);
		return no_memory();
	}
	kind = hak_slice_kind(hak_slice(p));
	if (kind == HAK_WHALE) {
		q = realloc_large(c, p, size);
		if (q)
			return q;
	} else if (size <= old && (size > old / 2 || old <= 32)) {
		/* the block stays in place while at least half stays in use */
		count_own(REALLOC_IN_PLACE);
		return p;
	} else if (kind == HAK_RUNS && realloc_run(c, p, size)) {
		return p;
	}
	saved = errno;
	q = realloc_copy(p, old, size);
	if (hak_unlikely(!q) && size <= old) {
		/* programs assume that a block can always be made smaller */
		errno = saved;
		return p;
	}
	return q;
}

HAK_EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (hak_unlikely(__builtin_mul_overflow(n, size, &bytes)))
		return no_memory();
	return realloc(p, bytes);
}

static bool power_of_two(size_t n)
{
	return n && !(n & (n - 1));
}

HAK_EXPORT int posix_memalign(void **ret, size_t align, size_t size)
{
	int saved = errno;
	void *p;

	if (!power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	p = allocate_aligned(align, size);
	if (!p)
		return ENOMEM; /* and errno is set, as glibc does */
	errno = saved;
	*ret = p;
	return 0;
}

HAK_EXPORT void *aligned_alloc(size_t align, size_t size)
{
	if (hak_unlikely(!power_of_two(align))) {
		errno = EINVAL;
		return NULL;
	}
	return allocate_aligned(align, size);
}

/* glibc's memalign rounds an alignment that is no power of two up to the next one. */
HAK_EXPORT void *memalign(size_t align, size_t size)
{
	if (hak_unlikely(align > SIZE_MAX / 2 + 1)) {
		errno = EINVAL;
		return NULL;
	}
	if (hak_unlikely(!power_of_two(align)))
		align = align ? (size_t)1 << (64 - __builtin_clzl(align)) : 1;
	return allocate_aligned(align, size);
}

HAK_EXPORT void *valloc(size_t size)
{
	return allocate_aligned(hak_page, size);
}

HAK_EXPORT void *pvalloc(size_t size)
{
	if (hak_unlikely(size > PTRDIFF_MAX - hak_page))
		return no_memory();
	return allocate_aligned(hak_page, size ? hak_align_up(size, hak_page) : hak_page);
}

/* C23, and a name that glibc dropped from its headers: not all supported headers declare these. */
void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t align, size_t size);
void cfree(void *p);

HAK_EXPORT void free_sized(void *p, size_t size)
{
	(void)size;
	free(p);
}

HAK_EXPORT void free_aligned_sized(void *p, size_t align, size_t size)
{
	(void)align, (void)size;
	free(p);
}

HAK_EXPORT void cfree(void *p)
{
	free(p);
}

/* glibc's internal names, called by old programs and by shims of other allocators. */
#if defined(__has_attribute) && __has_attribute(copy)
#define ALIAS(name) __attribute__((alias(#name), visibility("default"), copy(name)))
#else
#define ALIAS(name) __attribute__((alias(#name), visibility("default")))
#endif
extern void *__libc_malloc(size_t) ALIAS(malloc);
extern void *__libc_calloc(size_t, size_t) ALIAS(calloc);
extern void *__libc_realloc(void *, size_t) ALIAS(realloc);
extern void __libc_free(void *) ALIAS(free);
extern void __libc_cfree(void *) ALIAS(cfree);
extern void *__libc_memalign(size_t, size_t) ALIAS(memalign);
extern void *__libc_valloc(size_t) ALIAS(valloc);
extern void *__libc_pvalloc(size_t) ALIAS(pvalloc);
extern int __posix_memalign(void **, size_t, size_t) ALIAS(posix_memalign);
