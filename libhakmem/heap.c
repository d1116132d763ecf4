/* SPDX-License-Identifier: MIT */
/* Birth, death and adoption of heaps. See heap.h. */
#include "heap.h"

#include <pthread.h>
#include <string.h>

#include "agent.h"
#include "epoch.h"
#include "filter.h"
#include "fork.h"
#include "lock.h"
#include "os.h"
#include "purge.h"
#include "stats.h"
#include "stop.h"

/* A slot for each so many bytes of RLIMIT_AS: a 256th of it. Further threads share a heap. */
#define LIMIT_PER_SLOT (256 * 2 * (size_t)HAK_HEAP_STRIDE)
#define FEWEST_SLOTS   64u
/* destructor rounds we wait out, so that others' destructors still find the heap */
#define REARM_ROUNDS 2u

struct hak_cache hak_cache_none, hak_cache_zombie;
__thread struct hak_cache *hak_self HAK_TLS = &hak_cache_none;

struct hak_heap *hak_heaps;
static char *base; /* of the caches; their counters at + HAK_HEAP_DELTA */

/* HAK_LOCK_REGISTRY, but read without it where a stale value is harmless. */
static unsigned int slots;	  /* reserved; whole chunks */
static unsigned int enabled;	  /* slots with memory behind */
static _Atomic unsigned int used; /* slots ever handed out */
static _Atomic unsigned int live;
static struct hak_heap *dead;
/* of threads without one of their own; made when first needed; HAK_LOCK_ZOMBIE */
static struct hak_heap *shared;
static _Atomic unsigned int kept; /* of those, how many still hold slabs */
static bool ready, failed_for_good;
static pthread_key_t key;
/* Made by the first thread, without a lock: another library's pthread_key_create may allocate. */
static _Atomic int key_state;
enum { NO_KEY, MAKING_KEY, HAVE_KEY, KEY_FAILED };

static void destructor(void *arg);

/* From the address alone: the cache itself may have been wiped by fork. */
static struct hak_heap *heap_of(const struct hak_cache *c)
{
	return &hak_heaps[(size_t)((const char *)c - base) / HAK_HEAP_STRIDE];
}

struct hak_mpsc *hak_owner_queue(void *owner)
{
	return &heap_of(owner)->remote;
}

static struct hak_cache *cache_at(unsigned int i)
{
	return (struct hak_cache *)(base + (size_t)i * HAK_HEAP_STRIDE + HAK_CACHE_OFFSET);
}

char *hak_heap_base(void)
{
	return base;
}

unsigned int hak_heap_count(void)
{
	return atomic_load_explicit(&used, memory_order_acquire);
}

unsigned int hak_heap_live(void)
{
	return atomic_load_explicit(&live, memory_order_acquire);
}

struct hak_heap_block *hak_heap_block_at(unsigned int i)
{
	return hak_counters(cache_at(i));
}

/* ---- slots; HAK_LOCK_REGISTRY ---- */

/* The first slot alone: a process with one thread pays for no more. */
static bool enable_to(unsigned int to)
{
	unsigned int from = enabled;
	/* what the page that holds the end of the last heap holds is there already */
	size_t first = hak_align_up((size_t)from * sizeof(struct hak_heap), hak_page);
	size_t last = hak_align_up((size_t)to * sizeof(struct hak_heap), hak_page);

	if (hak_os_enable_kept(base + (size_t)from * HAK_HEAP_STRIDE,
			       (size_t)(to - from) * HAK_HEAP_STRIDE) ||
	    (first < last && hak_os_enable((char *)hak_heaps + first, last - first)) ||
	    hak_segment_populate(from, to - from) < 0)
		return false;
	enabled = to;
	return true;
}

/* Lists empty, counters as they are: the bin's length is 0 whatever they say. */
static void init_cache(struct hak_heap *h)
{
	struct hak_cache *c = h->cache;

	memset(c, 0, sizeof(*c));
	c->heap = h;
	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		int64_t zero =
			(int64_t)(hak_counters(c)->hot[k].allocs - hak_counters(c)->hot[k].frees);
		int64_t *length = hak_bin_base(h, k);

		if (*length != zero) /* untouched pages stay so */
			*length = zero;
		if (k < HAK_SLAB_CLASSES)
			c->bin[k].inverse = hak_class_inverse[k];
	}
	hak_sample_begin(c);
	c->magic = HAK_CACHE_MAGIC;
}

/*
 * The first word of the memory that fork wipes, unlike caches never written again: gone in a copy
 * of the process that has run no fork handlers yet.
 */
static uint64_t *mark(void)
{
	return (uint64_t *)base;
}

static void set_mark(void)
{
	__atomic_store_n(mark(), HAK_CACHE_MAGIC, __ATOMIC_RELAXED);
}

bool hak_heap_is_copy(void)
{
	return hak_heap_count() && __atomic_load_n(mark(), __ATOMIC_RELAXED) != HAK_CACHE_MAGIC;
}

/* One slot is kept back for the shared heap. */
static struct hak_heap *new_slot(bool for_shared)
{
	unsigned int i = hak_heap_count(), to = i ? (i / HAK_HEAP_CHUNK + 1) * HAK_HEAP_CHUNK : 1;
	struct hak_heap *h;

	if (i >= slots - !for_shared)
		return NULL;
	if (i >= enabled && !enable_to(to))
		return NULL;
	h = &hak_heaps[i];
	h->index = i;
	h->cache = cache_at(i);
	if (!i)
		set_mark();
	atomic_store_explicit(&used, i + 1, memory_order_release);
	return h;
}

/* Caches and counters, HAK_HEAP_DELTA apart. */
static char *reserve_pair(size_t bytes)
{
	char *high, *low;

	if (bytes == HAK_HEAP_REGION)
		return hak_os_reserve(2 * HAK_HEAP_REGION, false);
	/* the kernel maps top-down: below what it gives there is room, above there is not */
	high = hak_os_reserve(bytes, false);
	if (!high)
		return NULL;
	low = hak_os_reserve_at(high - HAK_HEAP_DELTA, bytes);
	if (!low)
		hak_os_unmap(high, bytes);
	return low;
}

static unsigned int slots_under(size_t limit)
{
	size_t n = limit / LIMIT_PER_SLOT / HAK_HEAP_CHUNK * HAK_HEAP_CHUNK;

	if (n < FEWEST_SLOTS)
		return FEWEST_SLOTS;
	return n < HAK_MAX_HEAPS ? (unsigned int)n : HAK_MAX_HEAPS;
}

bool hak_heap_reserve(void)
{
	unsigned int n;

	if (base)
		return true;
	hak_os_init();
	hak_filter_look();
	n = slots_under(hak_os_address_limit());
	hak_heaps = hak_os_reserve(sizeof(struct hak_heap) * n, false);
	base = hak_heaps ? reserve_pair((size_t)n * HAK_HEAP_STRIDE) : NULL;
	if (!base)
		return false;
	/* all of it at once: later a sandbox might forbid it */
	hak_os_wipe_on_fork(base, (size_t)n * HAK_HEAP_STRIDE);
	slots = n;
	return true;
}

void hak_heap_fit(void)
{
	unsigned int n = slots_under(hak_os_address_limit());
	size_t records, bytes;

	hak_lock(HAK_LOCK_REGISTRY);
	if (n < enabled)
		n = enabled < FEWEST_SLOTS ? FEWEST_SLOTS : enabled;
	if (base && n < slots) {
		records = hak_align_up(sizeof(struct hak_heap) * n, hak_page);
		bytes = (size_t)(slots - n) * HAK_HEAP_STRIDE;
		hak_os_unmap((char *)hak_heaps + records,
			     hak_align_up(sizeof(struct hak_heap) * slots, hak_page) - records);
		hak_os_unmap(base + (size_t)n * HAK_HEAP_STRIDE, bytes);
		hak_os_unmap(base + (size_t)n * HAK_HEAP_STRIDE + HAK_HEAP_DELTA, bytes);
		slots = n;
	}
	hak_unlock(HAK_LOCK_REGISTRY);
}

void hak_heap_keep_on_fork(bool keep)
{
	if (base)
		hak_os_keep_on_fork(base, (size_t)slots * HAK_HEAP_STRIDE, keep);
}

unsigned int hak_heap_max(void)
{
	return slots;
}

static bool init_registry(void)
{
	if (ready || failed_for_good)
		return ready;
	if (!hak_heap_reserve()) {
		failed_for_good = true;
		return false;
	}
	ready = true;
	return true;
}

static void set_state(struct hak_heap *h, enum hak_heap_state state)
{
	h->state = state;
#if HAK_CONTROL
	hak_counters(h->cache)->state = state;
#endif
}

static void forget_kept(struct hak_heap *h)
{
	if (h->kept)
		atomic_fetch_sub_explicit(&kept, 1, memory_order_relaxed);
	h->kept = false;
}

static struct hak_heap *take_heap(void)
{
	struct hak_heap *h = NULL;

	hak_lock(HAK_LOCK_REGISTRY);
	if (init_registry() && atomic_load_explicit(&key_state, memory_order_relaxed) == HAVE_KEY) {
		h = dead;
		if (h) {
			dead = h->next_dead;
			hak_stop("adopt.off_list");
			forget_kept(h);
			hak_count(HAK_C_HEAPS_DEAD, -1);
			hak_count(HAK_C_HEAPS_ADOPTED, 1);
		} else {
			h = new_slot(false);
		}
	}
	if (h) {
		init_cache(h);
		h->rounds = 0;
		hak_cache_reset_limits(h->cache);
		/* what was asked of all threads before this one began, it need not do */
		h->flushed = atomic_load_explicit(&hak_purge_asked, memory_order_relaxed);
		set_state(h, HAK_HEAP_LIVE);
		hak_count(HAK_C_HEAPS_LIVE, 1);
		atomic_fetch_add_explicit(&live, 1, memory_order_release);
	} else {
		hak_count(HAK_C_HEAPS_UNPUBLISHED, 1);
	}
	hak_unlock(HAK_LOCK_REGISTRY);
	return h;
}

/* HAK_LOCK_REGISTRY; `kept` is the caller's to count. */
static void add_dead(struct hak_heap *h)
{
	set_state(h, HAK_HEAP_DEAD);
	h->kept = true;
	h->died = hak_purge_epoch();
	h->next_dead = dead;
	dead = h;
}

static void give_heap(struct hak_heap *h)
{
	hak_lock(HAK_LOCK_REGISTRY);
	add_dead(h);
	atomic_fetch_add_explicit(&kept, 1, memory_order_relaxed);
	hak_count(HAK_C_HEAPS_LIVE, -1);
	hak_count(HAK_C_HEAPS_DEAD, 1);
	hak_unlock(HAK_LOCK_REGISTRY);
}

/*
 * The thread ends. Its slabs stay with the heap: the next thread adopts it whole, most often, and
 * until then whoever needs a slab takes them from there before a new one (hak_heap_scavenge).
 * Others' destructors may still allocate in later rounds (glibc makes four): wait out the first
 * ones. What comes after the heap is given up is served by the shared heap.
 */
static void destructor(void *arg)
{
	struct hak_cache *c = arg;

	if (c != hak_self || c->magic != HAK_CACHE_MAGIC)
		return;
	if (c->heap->rounds++ < REARM_ROUNDS && !pthread_setspecific(key, c))
		return;
	hak_cache_flush(c);
	hak_front_leave(&c->heap->front);
	hak_self = &hak_cache_zombie;
	hak_stop("exit.before_give");
	give_heap(c->heap);
	hak_agent_heap_gone(atomic_fetch_sub_explicit(&live, 1, memory_order_acq_rel) - 1);
}

/* False: it is being made, by another thread or further up on this one's stack. */
static bool make_key(void)
{
	int state = NO_KEY;

	/* acquire: pairs with the release below; `key` is read after it */
	if (!atomic_compare_exchange_strong_explicit(&key_state, &state, MAKING_KEY,
						     memory_order_acquire, memory_order_acquire))
		return state != MAKING_KEY;
	state = pthread_key_create(&key, destructor) ? KEY_FAILED : HAVE_KEY;
	atomic_store_explicit(&key_state, state, memory_order_release);
	return true;
}

struct hak_cache *hak_heap_attach(void)
{
	struct hak_cache *c = hak_self;
	struct hak_heap *h;

	if (c->magic == HAK_CACHE_MAGIC)
		return c;
	if ((c == &hak_cache_none || c == &hak_cache_zombie) && hak_unlikely(hak_heap_is_copy()))
		hak_fork_copied(NULL);
	if (c == &hak_cache_zombie)
		return c;
	if (c != &hak_cache_none) {
		/* wiped: this is a copy of the process that ran no fork handlers */
		hak_fork_copied(c);
		return c;
	}
	if (hak_unlikely(!make_key()))
		return &hak_cache_zombie; /* this once */
	h = take_heap();
	if (!h) {
		hak_self = &hak_cache_zombie;
		return hak_self;
	}
	hak_stop("adopt.before_publish");
	/* published first: setspecific may allocate, registering handlers does */
	hak_self = h->cache;
	if (pthread_setspecific(key, h->cache)) {
		/* no destructor will come: nobody would ever get this heap back */
		hak_cache_flush(h->cache);
		hak_front_leave(&h->front);
		hak_self = &hak_cache_zombie;
		give_heap(h);
		atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
		return hak_self;
	}
	hak_fork_register();
	return hak_self;
}

struct hak_cache *hak_heap_zombie_enter(void)
{
	hak_lock(HAK_LOCK_ZOMBIE);
	if (hak_likely(shared)) {
		hak_sample_tune(shared->cache);
		return shared->cache;
	}
	hak_lock(HAK_LOCK_REGISTRY);
	shared = init_registry() ? new_slot(true) : NULL;
	hak_unlock(HAK_LOCK_REGISTRY);
	if (!shared)
		return NULL;
	init_cache(shared);
	hak_cache_reset_limits(shared->cache);
	set_state(shared, HAK_HEAP_LIVE);
	return shared->cache;
}

struct hak_cache *hak_heap_shared(void)
{
	return shared ? shared->cache : NULL;
}

void hak_heap_zombie_leave(struct hak_cache *c)
{
	/* others' blocks are not held back: nobody knows when the next zombie comes */
	if (c)
		hak_cache_flush_remote(c);
	hak_unlock(HAK_LOCK_ZOMBIE);
}

/* ---- heaps without a thread ---- */

void hak_heap_poke(void)
{
	unsigned int n = hak_heap_count();

	for (unsigned int i = 0; i < n; i++) {
		struct hak_cache *c = cache_at(i);

		__atomic_store_n(&c->ticks, UINT32_MAX - 1, __ATOMIC_RELAXED);
		for (unsigned int k = 0; k < HAK_CLASSES; k++)
			__atomic_store_n(&c->bin[k].room, 0, __ATOMIC_RELAXED);
	}
}

void hak_heap_drain_dead(uint32_t age)
{
	uint32_t now = hak_purge_epoch();

	hak_lock(HAK_LOCK_REGISTRY);
	for (struct hak_heap *h = dead; h; h = h->next_dead)
		if ((h->kept && now - h->died >= age) ||
		    atomic_load_explicit(&h->remote.head, memory_order_relaxed)) {
			forget_kept(h);
			hak_cache_retire(h->cache);
		}
	hak_unlock(HAK_LOCK_REGISTRY);
}

bool hak_heap_scavenge(void)
{
	struct hak_heap *h;

	if (hak_likely(!atomic_load_explicit(&kept, memory_order_relaxed)))
		return false;
	hak_lock(HAK_LOCK_REGISTRY);
	for (h = dead; h && !h->kept; h = h->next_dead)
		;
	if (h) {
		forget_kept(h);
		hak_cache_retire(h->cache);
	}
	hak_unlock(HAK_LOCK_REGISTRY);
	return h;
}

void hak_heap_revive(struct hak_cache *c)
{
	init_cache(heap_of(c));
	atomic_store_explicit(&heap_of(c)->busy, 0, memory_order_relaxed);
}

/* The lists that whoever adopts the heap will find, in the books of the child. */
static void count_spares(struct hak_heap *h)
{
#if HAK_CONTROL
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		if (h->cls[k].spare_n)
			hak_class_count_n(h->cache, REFILLED, k, h->cls[k].spare_n);
#else
	(void)h;
#endif
}

void hak_heap_fork_child(struct hak_cache *self)
{
	unsigned int n = hak_heap_count(), dead_now = 0;

	if (n)
		set_mark();
	if (atomic_load_explicit(&key_state, memory_order_relaxed) == MAKING_KEY)
		atomic_store_explicit(&key_state, NO_KEY, memory_order_relaxed);
	dead = NULL;
	for (unsigned int i = 0; i < n; i++) {
		struct hak_heap *h = &hak_heaps[i];

		if (h->cache == self) {
			set_state(h, HAK_HEAP_LIVE);
			continue;
		}
		init_cache(h);
		hak_front_leave(&h->front);
		if (h == shared) {
			/* in a copy without handlers: another is made when one is needed */
			if (atomic_load_explicit(&h->busy, memory_order_acquire))
				shared = NULL;
			continue;
		}
		count_spares(h);
		/* cut in the middle of a change: its lists cannot be trusted, nobody gets it */
		if (h->state != HAK_HEAP_DEAD &&
		    atomic_load_explicit(&h->busy, memory_order_acquire)) {
			set_state(h, HAK_HEAP_UNUSED);
			continue;
		}
		if (h->state == HAK_HEAP_UNUSED)
			continue;
		add_dead(h);
		dead_now++;
	}
	atomic_store_explicit(&kept, dead_now, memory_order_relaxed);
	atomic_store_explicit(&live, self != NULL, memory_order_relaxed);
#if HAK_CONTROL
	atomic_store_explicit(hak_proc_at(HAK_C_HEAPS_LIVE), self != NULL, memory_order_relaxed);
	atomic_store_explicit(hak_proc_at(HAK_C_HEAPS_DEAD), dead_now, memory_order_relaxed);
#endif
}
