/* SPDX-License-Identifier: MIT */
/* Remote blocks. See remote.h, and slab.h for the protocol. */
#include "remote.h"

#include "base/stop.h"
#include "heap.h"
#include "misuse.h"

const char hak_pool = 0;
struct hak_mpsc hak_pool_queue;

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
	return owner == &hak_pool ? &hak_pool_queue : hak_owner_queue(owner);
}

static void enqueue(struct hak_slab *s)
{
	/* The owner is read after QUEUED was turned on, since when it cannot change. */
	struct hak_mpsc *q = queue_of(hak_slab_owner(s));
	struct hak_slab *head = atomic_load_explicit(&q->head, memory_order_relaxed);

	hak_stop("remote.before_link");
	do {
		s->mpsc_next = head;
		/* release: publishes the link; pairs with the acquire in hak_mpsc_take */
	} while (!atomic_compare_exchange_weak_explicit(&q->head, &head, s, memory_order_release,
							memory_order_relaxed));
}

bool hak_remote_push(struct hak_slab *s, const struct hak_chain *c)
{
	uint64_t old = atomic_load_explicit(&s->remote, memory_order_relaxed), new;

	do {
		*(void **)c->tail = block_at(s, HAK_REMOTE_FIRST(old));
		new = block_index(s, c->head) | (uint64_t)(HAK_REMOTE_COUNT(old) + c->n) << 16 |
		      HAK_REMOTE_QUEUED;
		hak_stop("remote.before_cas");
		/*
		 * release: publishes the links in the blocks to the owner's exchange. acquire: the
		 * owner's name, read next, may not be older than the clear QUEUED bit (pairs with
		 * the exchange in claim/unclaim and drain).
		 */
	} while (!atomic_compare_exchange_weak_explicit(&s->remote, &old, new, memory_order_acq_rel,
							memory_order_relaxed));
	if (old & HAK_REMOTE_QUEUED)
		return false;
	hak_stop("remote.after_cas");
	enqueue(s);
	return true;
}

/* Moves the blocks of `word` to the slab's own list. */
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

uint32_t hak_remote_take(struct hak_slab *s)
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

struct hak_slab *hak_remote_drain(struct hak_slab *s, uint32_t *ret_blocks)
{
	/* read before QUEUED is cleared, since the field then belongs to the next pusher */
	struct hak_slab *next = s->mpsc_next;
	uint64_t word;

	hak_stop("drain.before_xchg");
	/*
	 * acquire: the pushers' links. release: the next thread that turns QUEUED on sees all
	 * changes, above all the owner's name
	 */
	word = atomic_exchange_explicit(&s->remote, 0, memory_order_acq_rel);
	hak_stop("drain.after_xchg");
	*ret_blocks = splice(s, word);
	return next;
}

bool hak_remote_claim(struct hak_slab *s)
{
	uint64_t old = atomic_load_explicit(&s->remote, memory_order_relaxed);

	while (!(old & HAK_REMOTE_QUEUED))
		if (atomic_compare_exchange_weak_explicit(&s->remote, &old, old | HAK_REMOTE_QUEUED,
							  memory_order_acq_rel,
							  memory_order_relaxed))
			return true;
	return false;
}

void hak_remote_unclaim(struct hak_slab *s)
{
	/* release: publishes the owner's name to the next thread that turns QUEUED on */
	splice(s, atomic_exchange_explicit(&s->remote, 0, memory_order_acq_rel));
}

#if HAK_DEBUG
void hak_mpsc_check(const struct hak_mpsc *q, const void *owner)
{
	/* acquire: the links; pairs with enqueue() */
	const struct hak_slab *s = atomic_load_explicit(&q->head, memory_order_acquire);

	for (; s; s = s->mpsc_next) {
		hak_assert(hak_slab_owner(s) == owner);
		hak_assert(atomic_load_explicit(&s->remote, memory_order_relaxed) &
			   HAK_REMOTE_QUEUED);
	}
}
#endif
