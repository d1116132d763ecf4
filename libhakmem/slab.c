/* SPDX-License-Identifier: MIT */
/* Slabs, blocks given back by strangers, the pool. See slab.h for the protocol. */
#include "slab.h"

#include <string.h>

#include "epoch.h"
#include "extent.h"
#include "lock.h"
#include "misuse.h"
#include "os.h"
#include "probe.h"
#include "stats.h"
#include "stop.h"
#include "values.h"

const char hak_pool = 0;
static struct hak_mpsc pool_queue;

/* Per class, slabs with room and without; HAK_LOCK_POOL. */
static struct {
	struct hak_slab *room, *full;
} pool[HAK_SLAB_CLASSES];
static uint8_t pool_life;

#if HAK_DEBUG
void hak_slab_check(const struct hak_slab *s)
{
	unsigned int n = 0;

	hak_assert(s->used + s->nfree + s->dropped == s->carved && s->carved <= s->capacity);
	hak_assert(s->capacity == HAK_SLAB_BYTES / hak_class_size(s->cls));
	for (void *p = s->free; p; p = *(void **)p, n++) {
		hak_assert(hak_slab_is_block(s, p));
		hak_assert(n < s->nfree);
	}
	hak_assert(n == s->nfree);
}
#else
void hak_slab_check(const struct hak_slab *s)
{
	(void)s;
}
#endif

bool hak_slab_is_block(const struct hak_slab *s, const void *p)
{
	size_t offset = (size_t)((const char *)p - s->base);

	/* behind the last block there may be a rest that is none */
	return offset + hak_class_size(s->cls) <= HAK_SLAB_BYTES &&
	       hak_class_divides(s->cls, (uint32_t)offset);
}

bool hak_slab_idle(const struct hak_slab *s)
{
	/* acquire: what the last stranger wrote into its block comes before the slab's next life */
	return !s->used && !atomic_load_explicit(&s->remote, memory_order_acquire);
}

/* Single slabs that munmap refused to take, linked through next; HAK_LOCK_POOL. */
static struct hak_slab *kept_singles;

static char *kept_single(void)
{
	struct hak_slab *s;

	if (hak_likely(!__atomic_load_n(&kept_singles, __ATOMIC_RELAXED)))
		return NULL;
	hak_lock(HAK_LOCK_POOL);
	s = kept_singles;
	if (s)
		kept_singles = s->next;
	hak_unlock(HAK_LOCK_POOL);
	if (!s)
		return NULL;
	hak_count(HAK_C_MEM_CLEAN, -(int64_t)HAK_SLAB_BYTES);
	hak_count(HAK_C_SLABS_SINGLE, 1);
	return s->base;
}

static char *map_single(bool *ret_zero)
{
	char *p = kept_single();

	if (hak_unlikely(p != NULL)) {
		*ret_zero = false; /* its pages may not have gone, either */
		return p;
	}
	*ret_zero = true;
	p = hak_os_map(HAK_SLAB_BYTES, HAK_GRANULE);
	if (!p)
		return NULL;
	if (hak_granule_prepare(p, HAK_SLAB_BYTES, true)) {
		hak_os_unmap(p, HAK_SLAB_BYTES);
		return NULL;
	}
	hak_count(HAK_C_SLABS_SINGLE, 1);
	hak_mapped_extent(HAK_SLAB_BYTES);
	return p;
}

struct hak_slab *hak_slab_new(void *owner, unsigned int cls, bool *ret_extent)
{
	struct hak_extent *e = NULL;
	struct hak_slab *s;
	bool zero = true;
	char *p;

	*ret_extent = false;
	if (hak_tun(HAK_T_SUPERSLAB_ENABLE))
		p = hak_extent_take(HAK_EXTENT_SLABS, HAK_SLAB_UNITS, HAK_SLAB_UNITS,
				    hak_class_size(cls), &e, &zero, ret_extent);
	else
		p = map_single(&zero);
	if (!p)
		return NULL;
	s = hak_slab_of(p);
	hak_assert(s->state == HAK_SLAB_NONE &&
		   !atomic_load_explicit(&s->remote, memory_order_relaxed));
	s->free = NULL;
	s->base = p;
	s->prev = s->next = NULL;
	s->extent = e;
	s->used = s->nfree = s->carved = s->dropped = s->holes = 0;
	s->capacity = (uint16_t)(HAK_SLAB_BYTES / hak_class_size(cls));
	s->cls = (uint8_t)cls;
	s->dirty = !zero;
	s->state = HAK_SLAB_CURRENT;
	hak_slab_granule(s)->cls = (uint8_t)cls;
	hak_granule_set(hak_slab_granule(s), HAK_SLAB, owner);
	hak_granule_set_tag(p, cls + 1);
	hak_count(HAK_C_SLABS, 1);
	hak_count(HAK_C_MEM_SLAB, HAK_SLAB_BYTES);
	if (*ret_extent)
		hak_probe(hakmem, superslab_new, (uintptr_t)p, hak_class_size(cls), 0);
	return s;
}

/* If munmap refuses (max_map_count), the pages go and the address space waits for the next one. */
static void unmap_single(struct hak_slab *s)
{
	char *p = s->base;

	hak_count(HAK_C_SLABS_SINGLE, -1);
	hak_purge_note(p, HAK_SLAB_BYTES);
	if (hak_os_unmap(p, HAK_SLAB_BYTES)) {
		hak_count(HAK_C_UNMAP_KEPT, 1);
		hak_os_dontneed(p, HAK_SLAB_BYTES);
		hak_count(HAK_C_MEM_CLEAN, HAK_SLAB_BYTES);
		hak_lock(HAK_LOCK_POOL);
		s->next = kept_singles;
		kept_singles = s;
		hak_unlock(HAK_LOCK_POOL);
		return;
	}
	hak_stop("map.after_munmap.slab");
	hak_mapped_extent(-(int64_t)HAK_SLAB_BYTES);
}

/* Memory by state follows the holes. */
static void count_holes(unsigned int holes, int sign)
{
	int64_t bytes = sign * (int64_t)__builtin_popcount(holes) * (int64_t)HAK_UNIT;

	hak_count(HAK_C_MEM_SLAB, -bytes);
	hak_count(HAK_C_MEM_CLEAN, bytes);
}

void hak_slab_release(struct hak_slab *s)
{
	/* what lies behind the carved blocks is as it was taken */
	size_t touched = s->dirty ? HAK_SLAB_UNITS
				  : (s->carved * hak_class_size(s->cls) + HAK_UNIT - 1) / HAK_UNIT;
	struct hak_extent *e = s->extent;
	char *p = s->base;

	hak_assert(hak_slab_idle(s));
	count_holes(s->holes, -1);
	hak_granule_set_tag(p, 0);
	hak_granule_clear(hak_slab_granule(s));
	s->state = HAK_SLAB_NONE;
	hak_count(HAK_C_SLABS, -1);
	hak_count(HAK_C_MEM_SLAB, -(int64_t)HAK_SLAB_BYTES);
	if (e)
		hak_extent_give(e, p, HAK_SLAB_UNITS, (unsigned int)touched);
	else
		unmap_single(s);
}

uint32_t hak_slab_carve(struct hak_slab *s, uint32_t n, struct hak_chain *ret)
{
	size_t size = hak_class_size(s->cls);
	uint32_t left = (uint32_t)(s->capacity - s->carved);
	char *p = s->base + s->carved * size;

	if (n > left)
		n = left;
	if (!n || (s->extent && !hak_extent_make(s->extent, p, n * size)))
		return 0;
	ret->head = p;
	ret->n = n;
	for (uint32_t i = 1; i < n; i++, p += size) {
		*(void **)p = p + size;
		((uintptr_t *)p)[1] = hak_key_of(p, 0);
	}
	*(void **)p = NULL;
	((uintptr_t *)p)[1] = hak_key_of(p, 0);
	ret->tail = p;
	s->carved += (uint16_t)n;
	s->used += (uint16_t)n;
	return n;
}

/* ---- holes ---- */

static uint32_t index_of(const struct hak_slab *s, size_t offset)
{
	return (uint32_t)((uint64_t)offset * hak_class_inverse[s->cls] >> 32);
}

/* Pages a block touches, a bit each. */
static unsigned int pages_of(size_t offset, size_t size)
{
	unsigned int first = (unsigned int)(offset / HAK_UNIT);
	unsigned int last = (unsigned int)((offset + size - 1) / HAK_UNIT);

	return ((2u << last) - 1) & ~((1u << first) - 1);
}

struct block_map {
	uint64_t free[HAK_SLAB_BYTES / 16 / 64];
};

static bool all_free(const struct block_map *m, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i <= last; i++)
		if (!(m->free[i / 64] >> (i % 64) & 1))
			return false;
	return true;
}

/* By the owner. Atomic for hak_slab_in_hole(). */
static void set_holes(struct hak_slab *s, unsigned int holes)
{
	__atomic_store_n(&s->holes, (uint16_t)holes, __ATOMIC_RELAXED);
}

/*
 * The blocks on the list. Returns NULL, or one that was freed again, or written, while it lay
 * there: it comes twice, or its link leads nowhere or elsewhere. One block too many is no fault: in
 * a copy of the process made inside the allocator the number may lag behind.
 */
static const void *map_list(const struct hak_slab *s, struct block_map *m)
{
	const char *p = s->free, *last = p;

	for (uint32_t n = 0; n < s->nfree; n++) {
		uint32_t i;

		if (hak_unlikely(!p || !hak_slab_is_block(s, p)))
			return last;
		i = index_of(s, (size_t)(p - s->base));
		if (hak_unlikely(m->free[i / 64] >> (i % 64) & 1))
			return p;
		m->free[i / 64] |= (uint64_t)1 << (i % 64);
		last = p;
		p = *(char *const *)p;
	}
	return NULL;
}

/* Pages that were carved whole, are no holes, and hold no block in use. */
static unsigned int find_holes(struct hak_slab *s)
{
	size_t size = hak_class_size(s->cls), carved = s->carved * size;
	struct block_map m = { { 0 } };
	const void *broken = map_list(s, &m);
	unsigned int found = 0;
	uint32_t i;

	if (hak_unlikely(broken)) {
		hak_misuse("double free(), or memory written after free():", broken);
		/* the links cannot be trusted: what is on the list is lost */
		s->used += s->nfree;
		s->nfree = 0;
		s->free = NULL;
		return 0;
	}
	for (i = 0; s->dropped && i < s->carved; i++)
		if (pages_of(i * size, size) & s->holes)
			m.free[i / 64] |= (uint64_t)1 << (i % 64);
	for (unsigned int page = 0; (page + 1) * HAK_UNIT <= carved; page++)
		if (all_free(&m, index_of(s, page * HAK_UNIT),
			     index_of(s, (page + 1) * HAK_UNIT - 1)))
			found |= 1u << page;
	return found & ~s->holes;
}

/* Blocks on holes leave the list, before their links go with the pages. */
static void drop_blocks(struct hak_slab *s)
{
	size_t size = hak_class_size(s->cls);
	void **link = &s->free;
	uint32_t n = s->nfree;

	for (char *p = s->free; p && n; n--) {
		char *next = *(char **)p;

		if (pages_of((size_t)(p - s->base), size) & s->holes) {
			/*
			 * zeros, as the page will read; whoever writes here from now on is found
			 * out
			 */
			((uintptr_t *)p)[0] = ((uintptr_t *)p)[1] = 0;
			s->nfree--;
			s->dropped++;
		} else {
			*link = p;
			link = (void **)p;
		}
		p = next;
	}
	*link = NULL;
}

uint64_t hak_slab_trim(struct hak_slab *s)
{
	unsigned int found;
	uint64_t bytes = 0;

	s->trimmed = true;
	/* a hole is a page */
	if (hak_page != HAK_UNIT || s->nfree * hak_class_size(s->cls) < HAK_UNIT)
		return 0;
	found = find_holes(s);
	if (!found)
		return 0;
	set_holes(s, s->holes | found);
	drop_blocks(s);
	hak_stop("holes.dropped");
	count_holes(found, 1);
	while (found) {
		unsigned int first = (unsigned int)__builtin_ctz(found);
		unsigned int n = (unsigned int)__builtin_ctz(~(found >> first));
		char *p = s->base + first * HAK_UNIT;
		uint64_t resident = hak_purge_count(p, n * HAK_UNIT);

		hak_stop("purge.before_madvise.holes");
		/* on failure (locked memory) they stay resident, and no less free */
		if (!hak_os_dontneed(p, n * HAK_UNIT))
			bytes += resident;
		found &= ~(((1u << n) - 1) << first);
	}
	hak_slab_check(s);
	return bytes;
}

bool hak_slab_in_hole(const struct hak_slab *s, const void *p)
{
	size_t offset = (size_t)((const char *)p - s->base);
	/* relaxed: the owner makes no page a hole, nor stops it being one, under a block in use */
	unsigned int holes = __atomic_load_n(&s->holes, __ATOMIC_RELAXED);

	return hak_unlikely(holes) && (pages_of(offset, hak_class_size(s->cls)) & holes);
}

bool hak_slab_untrim(struct hak_slab *s)
{
	size_t size = hak_class_size(s->cls);

	while (s->holes && !s->nfree) {
		unsigned int page = (unsigned int)__builtin_ctz(s->holes);
		uint32_t i = index_of(s, page * HAK_UNIT),
			 last = index_of(s, (page + 1) * HAK_UNIT - 1);

		set_holes(s, s->holes & ~(1u << page));
		count_holes(1, -1);
		for (; i <= last && i < s->carved; i++) {
			char *p = s->base + i * size;

			/* a block that reaches into the next hole waits for it */
			if (pages_of(i * size, size) & s->holes)
				continue;
			s->dropped--;
			if (hak_unlikely(((uintptr_t *)p)[0] || ((uintptr_t *)p)[1])) {
				hak_misuse("double free(), or memory written after free():", p);
				s->used++; /* left out for good */
				continue;
			}
			*(void **)p = s->free;
			((uintptr_t *)p)[1] = hak_key_of(p, 0);
			s->free = p;
			s->nfree++;
		}
	}
	hak_slab_check(s);
	return s->nfree;
}

/* ---- blocks from strangers ---- */

static uint32_t block_index(const struct hak_slab *s, const void *p)
{
	return (uint32_t)(((const char *)p - s->base) >> 4) + 1;
}

static void *block_at(const struct hak_slab *s, uint32_t index)
{
	return index ? s->base + ((size_t)(index - 1) << 4) : NULL;
}

static struct hak_mpsc *queue_of(void *owner)
{
	return owner == &hak_pool ? &pool_queue : hak_owner_queue(owner);
}

static void enqueue(struct hak_slab *s)
{
	/* The owner as of now: read after QUEUED was turned on, since when it cannot change. */
	struct hak_mpsc *q = queue_of(hak_slab_owner(s));
	struct hak_slab *head = atomic_load_explicit(&q->head, memory_order_relaxed);

	hak_stop("remote.before_link");
	do {
		s->mpsc_next = head;
		/* release: the link; pairs with the acquire in hak_mpsc_take */
	} while (!atomic_compare_exchange_weak_explicit(&q->head, &head, s, memory_order_release,
							memory_order_relaxed));
}

bool hak_slab_remote_push(struct hak_slab *s, const struct hak_chain *c)
{
	uint64_t old = atomic_load_explicit(&s->remote, memory_order_relaxed), new;

	do {
		*(void **)c->tail = block_at(s, HAK_REMOTE_FIRST(old));
		new = block_index(s, c->head) | (uint64_t)(HAK_REMOTE_COUNT(old) + c->n) << 16 |
		      HAK_REMOTE_QUEUED;
		hak_stop("remote.before_cas");
		/*
		 * release: the links in the blocks, for the owner's exchange. acquire: the owner's
		 * name, read next, may not be older than the QUEUED we saw clear (pairs with the
		 * exchange in claim/unclaim and drain).
		 */
	} while (!atomic_compare_exchange_weak_explicit(&s->remote, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	if (old & HAK_REMOTE_QUEUED)
		return false;
	hak_stop("remote.after_cas");
	enqueue(s);
	return true;
}

/* Blocks from `word` to the slab's own list. */
static uint32_t splice(struct hak_slab *s, uint64_t word)
{
	uint32_t n = HAK_REMOTE_COUNT(word);
	void *head = block_at(s, HAK_REMOTE_FIRST(word)), *p;

	if (!n)
		return 0;
	if (s->free) {
		p = head;
		for (uint32_t i = 1; i < n; i++) {
			void *next = *(void **)p;

			if (hak_unlikely(!next || !hak_slab_is_block(s, next))) {
				/* the rest of the list is lost, and stays counted as used */
				hak_misuse("double free(), or memory written after free():", p);
				n = i;
				break;
			}
			p = next;
		}
		*(void **)p = s->free;
	}
	s->free = head;
	s->nfree += (uint16_t)n;
	s->used -= (uint16_t)n;
	return n;
}

uint32_t hak_slab_take_remote(struct hak_slab *s)
{
	uint64_t old = atomic_load_explicit(&s->remote, memory_order_relaxed);

	hak_stop("remote.before_take");
	/* acquire: pairs with the pushers' release */
	while (HAK_REMOTE_COUNT(old))
		if (atomic_compare_exchange_weak_explicit(&s->remote, &old, HAK_REMOTE_QUEUED,
							  memory_order_acquire,
							  memory_order_relaxed))
			return splice(s, old);
	return 0;
}

struct hak_slab *hak_mpsc_take(struct hak_mpsc *q)
{
	if (!atomic_load_explicit(&q->head, memory_order_relaxed))
		return NULL;
	return atomic_exchange_explicit(&q->head, NULL, memory_order_acquire);
}

struct hak_slab *hak_slab_drain(struct hak_slab *s, uint32_t *ret_blocks)
{
	/* before QUEUED is cleared: then it is the next pusher's */
	struct hak_slab *next = s->mpsc_next;
	uint64_t word;

	hak_stop("drain.before_xchg");
	/*
	 * acquire: the pushers' links. release: whoever turns QUEUED on next sees all we did, the
	 * owner's name above all
	 */
	word = atomic_exchange_explicit(&s->remote, 0, memory_order_acq_rel);
	hak_stop("drain.after_xchg");
	*ret_blocks = splice(s, word);
	return next;
}

/* ---- the pool ---- */

/* Turns QUEUED on so that nobody else links the slab. False: somebody did before. */
static bool claim(struct hak_slab *s)
{
	uint64_t old = atomic_load_explicit(&s->remote, memory_order_relaxed);

	while (!(old & HAK_REMOTE_QUEUED))
		if (atomic_compare_exchange_weak_explicit(&s->remote, &old, old | HAK_REMOTE_QUEUED,
							  memory_order_acq_rel,
							  memory_order_relaxed))
			return true;
	return false;
}

static void unclaim(struct hak_slab *s)
{
	/* release: the owner's name, for who turns QUEUED on next */
	splice(s, atomic_exchange_explicit(&s->remote, 0, memory_order_acq_rel));
}

static void pool_link(struct hak_slab *s)
{
	bool full = s->used == s->capacity;
	struct hak_slab **head = full ? &pool[s->cls].full : &pool[s->cls].room;

	s->state = full ? HAK_SLAB_POOLED_FULL : HAK_SLAB_POOLED;
	s->life = pool_life;
	s->prev = NULL;
	s->next = *head;
	if (*head)
		(*head)->prev = s;
	*head = s;
	hak_count(HAK_C_SLABS_POOLED, 1);
}

static void pool_unlink(struct hak_slab *s)
{
	hak_assert(s->state == HAK_SLAB_POOLED || s->state == HAK_SLAB_POOLED_FULL);
	if (s->prev)
		s->prev->next = s->next;
	else if (s->state == HAK_SLAB_POOLED_FULL)
		pool[s->cls].full = s->next;
	else
		pool[s->cls].room = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = s->next = NULL;
	hak_count(HAK_C_SLABS_POOLED, -1);
}

/* Into the pool's lists or, if nothing of it is in use, into the caller's of idle ones. */
static void pool_sort(struct hak_slab *s, struct hak_slab **idle)
{
	if (hak_slab_idle(s)) {
		s->next = *idle;
		*idle = s;
	} else {
		pool_link(s);
	}
}

/* Idle slabs leave the pool's lists under its lock and are released after it. */
static void release_list(struct hak_slab *s)
{
	while (s) {
		struct hak_slab *next = s->next;

		s->prev = s->next = NULL;
		hak_slab_release(s);
		s = next;
	}
}

static struct hak_slab *drain_locked(void)
{
	struct hak_slab *s = hak_mpsc_take(&pool_queue), *idle = NULL;
	uint32_t n;

	while (s) {
		struct hak_slab *next = hak_slab_drain(s, &n);

		if (hak_unlikely(s->life != pool_life)) {
			s = next;
			continue;
		}
		if (n)
			hak_slab_came_back(s, hak_purge_epoch());
		pool_unlink(s);
		pool_sort(s, &idle);
		s = next;
	}
	return idle;
}

bool hak_pool_put(struct hak_slab *s)
{
	bool idle;

	hak_lock(HAK_LOCK_POOL);
	if (!claim(s)) {
		hak_unlock(HAK_LOCK_POOL);
		return false;
	}
	hak_stop("pool.put_claimed");
	hak_slab_set_owner(s, (void *)&hak_pool);
	unclaim(s);
	hak_slab_check(s);
	idle = hak_slab_idle(s);
	if (!idle)
		pool_link(s);
	hak_unlock(HAK_LOCK_POOL);
	if (idle)
		hak_slab_release(s);
	return true;
}

static struct hak_slab *pick(unsigned int cls)
{
	struct hak_slab *best = NULL;
	unsigned int seen = 0;

	for (struct hak_slab *s = pool[cls].room; s && seen < 8; s = s->next, seen++)
		if (!best || s->used > best->used)
			best = s;
	return best;
}

struct hak_slab *hak_pool_get(void *owner, unsigned int cls)
{
	struct hak_slab *idle, *s;

	hak_lock(HAK_LOCK_POOL);
	idle = drain_locked();
	s = pick(cls);
	hak_stop("pool.pop");
	/* A slab that a stranger is queueing right now comes back through the pool's queue. */
	if (s && claim(s)) {
		hak_stop("pool.get_claimed");
		pool_unlink(s);
		hak_slab_set_owner(s, owner);
		unclaim(s);
		hak_slab_check(s);
		s->state = HAK_SLAB_CURRENT;
	} else {
		s = NULL;
	}
	hak_unlock(HAK_LOCK_POOL);
	release_list(idle);
	return s;
}

void hak_pool_drain(void)
{
	struct hak_slab *idle;

	hak_lock(HAK_LOCK_POOL);
	idle = drain_locked();
	hak_unlock(HAK_LOCK_POOL);
	release_list(idle);
}

/*
 * Takes out of a class's list what is to be trimmed, at most *most: claimed, so that neither
 * strangers queue it nor anybody adopts it meanwhile.
 */
static struct hak_slab *take_stale(unsigned int cls, uint32_t age, uint32_t *most)
{
	struct hak_slab *list = NULL, *next;

	hak_lock(HAK_LOCK_POOL);
	for (struct hak_slab *s = pool[cls].room; s && *most; s = next) {
		next = s->next;
		if (!hak_slab_stale(s, hak_purge_epoch(), age) || !claim(s))
			continue;
		pool_unlink(s);
		s->next = list;
		list = s;
		--*most;
	}
	hak_unlock(HAK_LOCK_POOL);
	return list;
}

/* Back to the pool; returns those that became idle. */
static struct hak_slab *return_trimmed(struct hak_slab *s)
{
	struct hak_slab *idle = NULL, *next;

	hak_lock(HAK_LOCK_POOL);
	for (; s; s = next) {
		next = s->next;
		unclaim(s);
		pool_sort(s, &idle);
	}
	hak_unlock(HAK_LOCK_POOL);
	return idle;
}

uint64_t hak_pool_trim(uint32_t age, uint32_t most)
{
	uint64_t bytes = 0;

	for (unsigned int k = 0; k < HAK_SLAB_CLASSES && most; k++) {
		struct hak_slab *list = take_stale(k, age, &most);

		for (struct hak_slab *s = list; s; s = s->next)
			bytes += hak_slab_trim(s);
		release_list(return_trimmed(list));
	}
	return bytes;
}

void hak_pool_abandon(void)
{
	memset(pool, 0, sizeof(pool));
	kept_singles = NULL;
	pool_life++;
}
