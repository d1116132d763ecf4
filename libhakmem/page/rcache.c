/* SPDX-License-Identifier: MIT */
/* The limits of the region cache, and the hot regions before it. See rcache.h. */
#include "rcache.h"

#include <string.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "allowance.h"
#include "epoch.h"
#include "extent.h"
#include "kept.h"
#include "meta.h"
#include "system/os.h"
#include "system/room.h"

#define BATCH_MAX  256u
#define NEVER	   0x40000000u	/* epochs ago: no region is that old */
#define HOT_PUTS   64u		/* whales that a thread must free within an epoch to keep one */
#define LAZY_LEAST (256u << 20) /* LAZY bytes that may stay even if less may be dirty */
#define LOOK_BYTES (16u << 20)	/* growth since the last look at the limits that causes another */

/* Guarded by HAK_LOCK_RCACHE. The regions are in hak_kept. */
static struct {
	uint64_t looked; /* bytes when RLIMIT_AS and RLIMIT_DATA were last read */
	/* threads that may keep a region, and how much; counted as if in the region cache */
	uint32_t hot_n;
	_Atomic uint64_t hot_bytes; /* also read without the lock */
	struct hak_hot *all_hot;    /* each that ever held a region; linked by next */
} rcache;

static uint64_t hot_total(void)
{
	return atomic_load_explicit(&rcache.hot_bytes, memory_order_relaxed);
}

static uint64_t within_room(uint64_t bytes)
{
	uint64_t room = hak_room_data();

	return bytes < room ? bytes : room;
}

uint64_t hak_rcache_in_use(void)
{
	uint64_t all = atomic_load_explicit(&hak_mapped[HAK_MAPPED_REGION_BYTES].now,
					    memory_order_relaxed);
	uint64_t kept = __atomic_load_n(&hak_kept.bytes, __ATOMIC_RELAXED) + hot_total();

	return all > kept ? all - kept : 0;
}

static uint64_t most_allowed(void)
{
	return hak_tun(HAK_T_PURGE_DELAY_MS) ? hak_tun(HAK_T_REGION_EVICT_BYTES) : 0;
}

/* What the control groups leave room for when `more` bytes are in use than now. */
static uint64_t group_room(uint64_t more)
{
	return hak_room_resident(hak_rcache_in_use() + hak_extent_used() + more);
}

/* Why no more may be DIRTY. */
enum bound { BY_SETTING, BY_ALLOWANCE, BY_GROUP };

/* The bytes that may be DIRTY, hot regions included, when `more` bytes are in use than now. */
static uint64_t most_dirty(uint64_t more, enum bound *ret_by)
{
	uint64_t most = within_room(most_allowed()), room = group_room(more);
	uint64_t allowed = hak_allowance(&hak_allowance_regions);

	*ret_by = BY_SETTING;
	if (allowed < most && hak_tun(HAK_T_PURGE_DELAY_MS) < HAK_DELAY_NEVER) {
		*ret_by = BY_ALLOWANCE;
		most = allowed;
	}
	if (room >= most)
		return most;
	*ret_by = BY_GROUP;
	return room;
}

/* What hot regions may have of it: half of what the allowance may become. */
static uint64_t most_hot(uint64_t more)
{
	uint64_t most = within_room(most_allowed()), room = group_room(more);

	return (most < room ? most : room) / 2;
}

static uint64_t most_lazy(void)
{
	uint64_t most = hak_tun(HAK_T_REGION_EVICT_BYTES);

	return within_room(most > LAZY_LEAST ? most : LAZY_LEAST);
}

/* ---- invariants ---- */

#if HAK_DEBUG

static void check_hot(void)
{
	uint64_t bytes = 0;
	uint32_t n = 0;

	for (const struct hak_hot *f = rcache.all_hot; f; f = f->next) {
		size_t most = atomic_load_explicit(&f->most, memory_order_relaxed);

		hak_assert(f->life == hak_kept.life);
		bytes += most;
		n += most != 0;
	}
	hak_assert(n == rcache.hot_n);
	hak_assert(bytes == hot_total());
}

void hak_rcache_check(void)
{
	hak_kept_check();
	hak_allowance_check(&hak_allowance_regions);
	check_hot();
}

#endif

/* Releases HAK_LOCK_RCACHE. With many regions not every change causes a walk. */
static inline void leave(void)
{
	static uint32_t leaves;

	if (hak_check_due(&leaves, 1 + hak_kept.regions / 32))
		hak_rcache_check();
	hak_unlock(HAK_LOCK_RCACHE);
}

/* ---- in and out; no lock held ---- */

/*
 * Makes a descriptor for the next split while no lock is held, because that may take a system call.
 */
static void stock_spare(void)
{
	struct hak_region *d;

	if (hak_likely(__atomic_load_n(&hak_kept.spare, __ATOMIC_RELAXED)))
		return;
	d = hak_meta_get(HAK_META_REGION);
	if (!d)
		return;
	hak_lock(HAK_LOCK_RCACHE);
	if (!hak_kept.spare) {
		__atomic_store_n(&hak_kept.spare, d, __ATOMIC_RELAXED);
		d = NULL;
	}
	leave();
	if (d)
		hak_meta_put(HAK_META_REGION, d);
}

/* ---- hot regions; HAK_LOCK_RCACHE ---- */

static void drop_hot(struct hak_hot *f)
{
	size_t most = atomic_load_explicit(&f->most, memory_order_relaxed);
	struct hak_region *r;

	if (most) {
		if (hak_likely(f->life == hak_kept.life)) {
			rcache.hot_n--;
			atomic_fetch_sub_explicit(&rcache.hot_bytes, most, memory_order_relaxed);
		}
		atomic_store(&f->most, 0);
	}
	hak_stop("hot.dropping");
	r = atomic_exchange(&f->region, NULL);
	if (r)
		hak_kept_add(r, true);
}

/* Takes the hot regions of threads that freed no whale since epoch `before`. */
static void drop_all_hot(uint32_t before)
{
	for (struct hak_hot *f = rcache.all_hot; f; f = f->next)
		if ((int32_t)(atomic_load_explicit(&f->epoch, memory_order_relaxed) - before) < 0)
			drop_hot(f);
}

static void list_hot(struct hak_hot *f)
{
	if (f->life == hak_kept.life)
		return;
	f->life = hak_kept.life;
	f->next = rcache.all_hot;
	rcache.all_hot = f;
}

/*
 * Decides whether a thread that puts a region of so many bytes into the region cache may keep a
 * region of that size from now on. All threads together may keep at most half of what may stay
 * dirty.
 */
static void earn_hot(struct hak_hot *f, size_t bytes, uint32_t epoch)
{
	uint64_t kept = hot_total() + bytes;

	if (atomic_load_explicit(&f->epoch, memory_order_relaxed) != epoch) {
		atomic_store_explicit(&f->epoch, epoch, memory_order_relaxed);
		f->puts = 0;
	}
	if (++f->puts < HOT_PUTS || !hak_tun(HAK_T_PURGE_DELAY_MS) || kept > most_hot(0) ||
	    hak_kept.regions + rcache.hot_n >= hak_tun(HAK_T_WHALE_RING_SLOTS) ||
	    hak_kept.bytes + kept > hak_rcache_most_bytes())
		return;
	drop_hot(f); /* the thread may have kept a smaller one */
	list_hot(f);
	f->puts = 0;
	rcache.hot_n++;
	atomic_fetch_add_explicit(&rcache.hot_bytes, bytes, memory_order_relaxed);
	atomic_store(&f->most, bytes);
}

void hak_hot_leave(struct hak_hot *f)
{
	hak_lock(HAK_LOCK_RCACHE);
	drop_hot(f);
	leave();
}

void hak_hot_forget(struct hak_hot *f)
{
	struct hak_hot **link = &rcache.all_hot;

	if (!f->life)
		return;
	hak_lock(HAK_LOCK_RCACHE);
	if (f->life == hak_kept.life) {
		while (*link != f)
			link = &(*link)->next;
		*link = f->next;
	}
	f->life = 0;
	leave();
}

/* ---- out of the region cache ---- */

void hak_rcache_unmap(struct hak_region *r)
{
	if (hak_region_unmap(r))
		return;
	hak_lock(HAK_LOCK_RCACHE);
	hak_kept_add(r, false);
	leave();
}

static uint64_t unmap_list(struct hak_region *r)
{
	uint64_t bytes = 0;

	while (r) {
		struct hak_region *next = r->next;

		if (r->state != HAK_REGION_CLEAN)
			bytes += hak_purge_count(r->base, r->bytes);
		hak_count(HAK_C_RING_UNMAPS, 1);
		hak_rcache_unmap(r);
		r = next;
	}
	return bytes;
}

/* Sets of states. */
#define DIRTY (1u << HAK_REGION_DIRTY)
#define LAZY  (1u << HAK_REGION_LAZY)

/*
 * Takes up to `max` regions in one of the states out of the region cache, oldest first. Regions put
 * there in epoch `before` or later stay, unless more than `over` bytes are in those states.
 */
static unsigned int take(struct hak_region **out, unsigned int max, unsigned int states,
			 uint32_t before, uint64_t over)
{
	unsigned int n = 0;
	uint64_t left;

	hak_lock(HAK_LOCK_RCACHE);
	left = (states & DIRTY ? hak_kept_dirty() : 0) + (states & LAZY ? hak_kept_lazy() : 0);
	for (struct hak_region *r = hak_kept.oldest, *newer; r && n < max; r = newer) {
		newer = r->newer;
		if (!(states >> r->state & 1))
			continue;
		if ((int32_t)(r->epoch - before) >= 0 && left <= over)
			continue; /* a joined region may be older than its place */
		left -= r->bytes;
		hak_kept_remove(r);
		out[n++] = r;
	}
	leave();
	return n;
}

/* HAK_LOCK_RCACHE held. */
static bool over(uint64_t slots, uint64_t bytes)
{
	return hak_kept.regions + rcache.hot_n > slots || hak_kept.bytes + hot_total() > bytes;
}

/* Takes out, oldest first, the regions over the limits, linked by next. HAK_LOCK_RCACHE held. */
static struct hak_region *over_limits(uint64_t slots, uint64_t bytes)
{
	struct hak_region *list = NULL;

	while (hak_kept.oldest && over(slots, bytes)) {
		struct hak_region *r = hak_kept.oldest;

		hak_kept_remove(r);
		r->next = list;
		list = r;
	}
	return list;
}

/*
 * Does the same by the present limits, which may have been lowered since the caller last read them.
 * HAK_LOCK_RCACHE held.
 */
static struct hak_region *over_tuned(void)
{
	uint64_t slots = hak_tun(HAK_T_WHALE_RING_SLOTS), bytes = hak_rcache_most_bytes();

	if (hak_likely(!over(slots, bytes)))
		return NULL;
	return over_limits(slots, bytes);
}

static void put_back(struct hak_region **r, unsigned int n)
{
	struct hak_region *list, *open = NULL;

	hak_lock(HAK_LOCK_RCACHE);
	for (unsigned int i = 0; i < n; i++) {
		if (hak_unlikely(r[i]->state == HAK_REGION_CLEAN && !r[i]->closed)) {
			r[i]->next = open;
			open = r[i];
			continue;
		}
		/* neighbours that were evicted together become one region */
		hak_kept_add(r[i], false);
	}
	list = over_tuned();
	leave();
	unmap_list(list);
	unmap_list(open);
}

/* Returns how many regions were tried. *bytes grows by the bytes given back. */
static unsigned int evict_batch(uint64_t mode, unsigned int states, uint32_t before, uint64_t over,
				uint64_t *bytes)
{
	struct hak_region *r[BATCH_MAX];
	unsigned int n;

	if (mode == HAK_EVICT_KEEP)
		return 0;
	n = take(r, (unsigned int)hak_tun(HAK_T_REGION_EVICT_BATCH), states, before, over);
	if (mode == HAK_EVICT_MUNMAP) {
		for (unsigned int i = 0; i < n; i++) {
			*bytes += hak_purge_count(r[i]->base, r[i]->bytes);
			hak_count(HAK_C_RING_UNMAPS, 1);
			hak_rcache_unmap(r[i]);
		}
		return n;
	}
	*bytes += hak_region_evict(r, n, mode);
	put_back(r, n);
	return n;
}

uint64_t hak_rcache_evict(uint32_t before, bool forced)
{
	uint64_t mode = hak_region_evict_mode(forced), bytes = 0;

	hak_lock(HAK_LOCK_RCACHE);
	drop_all_hot(before);
	leave();
	/*
	 * What was freed lazily before this request goes now: a controller that pages out had the
	 * time for it.
	 */
	if (forced && mode == HAK_EVICT_FREE)
		while (evict_batch(HAK_EVICT_DONTNEED, LAZY, before, UINT64_MAX, &bytes))
			;
	while (evict_batch(mode, mode == HAK_EVICT_FREE ? DIRTY : DIRTY | LAZY, before, UINT64_MAX,
			   &bytes))
		;
	return bytes;
}

static uint64_t shrink_to(uint64_t slots, uint64_t bytes)
{
	struct hak_region *list;

	hak_lock(HAK_LOCK_RCACHE);
	drop_all_hot(hak_purge_epoch() + 1);
	list = over_limits(slots, bytes);
	leave();
	hak_stop("rcache.resized");
	return unmap_list(list);
}

uint64_t hak_rcache_empty(void)
{
	return shrink_to(0, 0);
}

void hak_rcache_tuned(void)
{
	shrink_to(hak_tun(HAK_T_WHALE_RING_SLOTS), hak_rcache_most_bytes());
}

/* ---- for whales ---- */

struct hak_region *hak_rcache_get(struct hak_hot *f, struct hak_region *other, size_t bytes,
				  size_t align)
{
	uint64_t before, clean;
	struct hak_region *r;

	stock_spare();
	hak_lock(HAK_LOCK_RCACHE);
	if (other) {
		hak_kept_add(other, true);
		drop_hot(f);
	}
	before = hak_kept_dirty();
	r = hak_kept_find(bytes, align);
	clean = !r || r->state == HAK_REGION_CLEAN ? bytes : 0;
	hak_allowance_taken(&hak_allowance_regions, before, hak_kept_dirty(), clean,
			    most_allowed());
	leave();
	return r;
}

struct hak_region *hak_rcache_get_roomy(size_t bytes, size_t least)
{
	struct hak_region *r;
	uint64_t before;

	stock_spare();
	hak_lock(HAK_LOCK_RCACHE);
	before = hak_kept_dirty();
	r = hak_kept_take_roomy(bytes, least);
	hak_allowance_taken(&hak_allowance_regions, before, hak_kept_dirty(), 0, 0);
	leave();
	return r;
}

bool hak_rcache_extend(struct hak_region *r, size_t more)
{
	uint64_t before;
	bool extended;

	hak_lock(HAK_LOCK_RCACHE);
	before = hak_kept_dirty();
	extended = hak_kept_extend(r, more);
	hak_allowance_taken(&hak_allowance_regions, before, hak_kept_dirty(), 0, 0);
	leave();
	return extended;
}

static void note_exceeded(uint64_t bytes)
{
	hak_lock(HAK_LOCK_RCACHE);
	hak_allowance_gone(&hak_allowance_regions, hak_kept_dirty(), bytes);
	leave();
}

/*
 * Evicts one batch of the oldest regions. Returns false if none went. *bytes grows by the bytes
 * given back of the dirty ones. HAK_LOCK_PURGE held.
 */
static bool evict_over(uint64_t dirty, uint64_t lazy, uint64_t *bytes)
{
	/*
	 * memory for which a limit on the process leaves no room goes even with region.evict=keep
	 */
	uint64_t mode = hak_region_evict_mode(hak_room_data() != UINT64_MAX), unused = 0;
	uint32_t before = hak_purge_epoch() - NEVER;
	/* dirty memory may become lazy first */
	uint64_t was = 2 * hak_kept_dirty() + hak_kept_lazy();

	if (hak_kept_dirty() > dirty)
		evict_batch(mode, DIRTY, before, dirty, bytes);
	if (hak_unlikely(hak_kept_lazy() > lazy))
		evict_batch(HAK_EVICT_DONTNEED, LAZY, before, lazy, &unused);
	return 2 * hak_kept_dirty() + hak_kept_lazy() < was;
}

/* Returns the bytes given back because of the limit of the control groups. */
static uint64_t evict_over_budget(uint64_t more, bool all)
{
	enum bound by;
	uint64_t dirty = most_dirty(more, &by), lazy = most_lazy(), hot = hot_total();
	uint64_t bytes = 0;

	dirty -= hot < dirty ? hot : dirty;
	if (hak_likely(hak_kept_dirty() <= dirty && hak_kept_lazy() <= lazy))
		return 0;
	/* If another thread is purging, the next free sees what is over the limits now. */
	if (!hak_trylock(HAK_LOCK_PURGE))
		return 0;
	while (evict_over(dirty, lazy, &bytes) && all)
		;
	hak_unlock(HAK_LOCK_PURGE);
	if (by == BY_ALLOWANCE && bytes)
		note_exceeded(bytes);
	return by == BY_GROUP ? bytes : 0;
}

bool hak_rcache_put(struct hak_hot *f, struct hak_region *r)
{
	struct hak_region *list;
	bool look;

	hak_lock(HAK_LOCK_RCACHE);
	earn_hot(f, r->bytes, r->epoch);
	hak_allowance_given(&hak_allowance_regions, hak_kept_dirty());
	hak_kept_add(r, true);
	list = over_tuned();
	look = hak_kept.bytes > rcache.looked + LOOK_BYTES;
	leave();
	if (hak_unlikely(list != NULL))
		unmap_list(list);
	hak_purge_count_limit(evict_over_budget(0, false));
	return look;
}

uint64_t hak_rcache_dirty(void)
{
	return hak_kept_dirty() + hot_total();
}

uint64_t hak_rcache_kept(void)
{
	uint64_t kept;

	hak_lock(HAK_LOCK_RCACHE);
	kept = hak_kept.bytes + hot_total();
	rcache.looked = hak_kept.bytes;
	leave();
	return kept;
}

uint64_t hak_rcache_fit(uint64_t more)
{
	struct hak_region *list;

	hak_lock(HAK_LOCK_RCACHE);
	if (hot_total() > most_hot(more))
		drop_all_hot(hak_purge_epoch() + 1);
	list = over_tuned();
	leave();
	unmap_list(list);
	return evict_over_budget(more, true);
}

void hak_rcache_abandon(void)
{
	memset(&rcache, 0, sizeof(rcache));
	hak_kept_abandon();
}

bool hak_rcache_holds_dirty(void)
{
	return hak_kept_dirty() || hot_total();
}
