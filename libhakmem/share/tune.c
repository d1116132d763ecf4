/* SPDX-License-Identifier: MIT */
/*
 * The tune page, and what follows from it. See tune.h.
 *
 * Protocol of the page (tests/models/tune.pml): a controller makes generation_seq odd, writes
 * slots, makes it even, then adds 1 to wake. apply() runs under HAK_LOCK_TUNE and reads wake, then
 * the generation, the slots, and the generation again. If the generation is odd or has moved, the
 * change is left to the poll that the writer's next wake causes. `applied` is stored after values,
 * effects and answers.
 *
 * A purge request is taken under the lock (so by one thread only) and carried out without the lock.
 */
#include "tune.h"

#include <errno.h>
#include <linux/futex.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/sys.h"
#include "cache/purge.h"
#include "env.h"
#include "heap/heap.h"
#include "heap/takeover.h"
#include "layers.h"
#include "page/lazy.h"
#include "share.h"
#include "slots.h"
#include "system/os.h"

static _Atomic uint32_t private_wake;
_Atomic(_Atomic uint32_t *) hak_tune_wake = &private_wake;
_Atomic uint32_t hak_tune_seen;

/* Guarded by HAK_LOCK_TUNE, except the atomic fields. No part of this is shared memory. */
static struct {
	uint64_t generation;	    /* of the page when it was last copied */
	uint64_t taken;		    /* id of the purge request last taken */
	_Atomic uint64_t looked_ms; /* when byte 1 was last asked for */
	_Atomic bool look;	    /* a controller has written to the page since */
	_Atomic bool forking;
	long pid;	 /* of the process to which this memory belongs */
	bool no_segment; /* no segment is ever made: AT_SECURE */
	bool agent;	 /* a thread waits on the wake word */
} st;

/* ---- the page ---- */

static void copy_slot(struct hak_tune_slot *to, const struct hak_tune_slot *from)
{
	to->set = __atomic_load_n(&from->set, __ATOMIC_RELAXED);
	to->value = __atomic_load_n(&from->value, __ATOMIC_RELAXED);
	to->deadline_ns = __atomic_load_n(&from->deadline_ns, __ATOMIC_RELAXED);
	to->writer_pid = __atomic_load_n(&from->writer_pid, __ATOMIC_RELAXED);
	to->writer_uid = __atomic_load_n(&from->writer_uid, __ATOMIC_RELAXED);
	to->reserved = 0;
}

static bool magic_is_there(const struct hak_tune *page)
{
	uint64_t want, have = __atomic_load_n((const uint64_t *)(const void *)page->magic,
					      __ATOMIC_RELAXED);

	__builtin_memcpy(&want, HAK_TUNE_MAGIC, sizeof(want));
	return have == want;
}

/* Returns true if the page had a new generation, which is now copied. */
static bool copy_page(const struct hak_tune *page)
{
	struct hak_tune_slot copy[HAK_TUNABLES][HAK_LAYERS_OUTSIDE];
	/*
	 * acquire: pairs with the release of the writer's even generation; the slots are at least
	 * as new
	 */
	uint64_t generation = __atomic_load_n(&page->generation_seq, __ATOMIC_ACQUIRE);

	if (generation == st.generation || (generation & 1) || !magic_is_there(page))
		return false;
	for (unsigned int t = 0; t < HAK_TUNABLES; t++) {
		copy_slot(&copy[t][HAK_LAYER_POLICY], &page->slot[t].policy);
		copy_slot(&copy[t][HAK_LAYER_ADMIN], &page->slot[t].admin);
	}
	/* acquire: the slots are read before the generation is read again */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&page->generation_seq, __ATOMIC_RELAXED) != generation)
		return false;
	hak_layers_copy(copy);
	st.generation = generation;
	return true;
}

/* ---- the segment ---- */

static void listen_to(struct hak_tune *page)
{
	_Atomic uint32_t *wake = page ? (_Atomic uint32_t *)&page->wake : &private_wake;

	atomic_store_explicit(&hak_tune_seen, atomic_load_explicit(wake, memory_order_relaxed),
			      memory_order_relaxed);
	/* release: pairs with hak_tune_word() */
	atomic_store_explicit(&hak_tune_wake, wake, memory_order_release);
}

/* First content of a tune page: the outside layers, which only a fork child has. */
static void fill_page(struct hak_tune *page)
{
	__builtin_memset(page, 0, sizeof(*page));
	hak_layers_fill(page);
	page->generation_seq = st.generation;
}

static void begin_to_listen(void)
{
	st.taken = 0;
	listen_to(hak_share_tune());
	__atomic_store_n(&hak_ack->applied, st.generation, __ATOMIC_RELEASE);
	hak_layers_evaluate();
	if (hak_tun(HAK_T_REGION_EVICT) == HAK_EVICT_FREE)
		hak_share_lazy_prepare();
}

static void make_segment(void)
{
	struct hak_tune page;

	fill_page(&page);
	if (!hak_share_create(&page, hak_layers_locked()))
		begin_to_listen();
}

void hak_tune_call(void)
{
	_Atomic uint32_t *word = hak_tune_word();

	atomic_fetch_add_explicit(word, 1, memory_order_release);
	hak_sys(SYS_futex, (long)word, FUTEX_WAKE, 1 << 30, 0, 0, 0);
}

static void drop_segment(void)
{
	struct hak_tune *page = hak_share_tune();

	hak_tune_call(); /* while the word that the agent waits on is still the shared one */
	listen_to(NULL);
	if (hak_share_drop())
		listen_to(page);
	else
		hak_purge_tuned(); /* makes other threads look, and move their counters */
}

static void follow_segment_switch(bool was_on)
{
	bool on = hak_tun(HAK_T_CONTROL_SEGMENT);

	if (!on && hak_share_tune())
		drop_segment();
	else if (on && !was_on && !st.no_segment)
		make_segment();
}

/* ---- invariants ---- */

#if HAK_DEBUG

/* st.pid is left out: a vfork child runs on the state of its parent. */
void hak_tune_check(void)
{
	struct hak_tune *page = hak_share_tune();

	hak_assert(!(st.generation & 1));
	hak_assert(!st.no_segment || !page);
	hak_assert(!page == !hak_ack);
	hak_assert(hak_tune_word() == (page ? (_Atomic uint32_t *)&page->wake : &private_wake));
	hak_assert(!hak_ack || hak_ack->applied == st.generation);
	hak_assert(!hak_ack || hak_ack->agent <= 1);
	hak_layers_check();
}

#endif

/* ---- applying ---- */

/* HAK_LOCK_TUNE held. */
static void apply(bool reevaluate)
{
	struct hak_tune *page = hak_share_tune();
	bool was_on = hak_tun(HAK_T_CONTROL_SEGMENT), news = false;

	if (page) {
		/*
		 * acquire: pairs with the writer's increment; what was written before it is seen
		 * below
		 */
		uint32_t wake = atomic_load_explicit(hak_tune_word(), memory_order_acquire);

		if (wake != atomic_load_explicit(&hak_tune_seen, memory_order_relaxed))
			atomic_store_explicit(&st.look, true, memory_order_relaxed);
		news = copy_page(page);
		atomic_store_explicit(&hak_tune_seen, wake, memory_order_relaxed);
	}
	if ((news || reevaluate) && hak_layers_evaluate())
		hak_purge_tuned();
	if (news) {
		hak_count(HAK_C_TUNE_APPLIED, 1);
		/* release: a reader of this generation also sees its values and effects */
		__atomic_store_n(&hak_ack->applied, st.generation, __ATOMIC_RELEASE);
	}
	follow_segment_switch(was_on);
	if (hak_tun(HAK_T_REGION_EVICT) == HAK_EVICT_FREE)
		hak_share_lazy_prepare();
	hak_stats_fold();
	hak_tune_check();
}

/*
 * HAK_LOCK_TUNE held. Returns the id of a purge request that was not taken yet, taken now; 0 if
 * there is none.
 */
static uint64_t take_purge(uint32_t *ret_level)
{
	struct hak_tune *page = hak_share_tune();
	uint64_t request;

	if (!page || !magic_is_there(page))
		return 0;
	request = __atomic_load_n(&page->purge_request, __ATOMIC_ACQUIRE);
	if (request >> 8 == st.taken)
		return 0;
	st.taken = request >> 8;
	*ret_level = request & 0xff;
	return st.taken;
}

static void write_answer(uint64_t id, uint32_t level, const struct hak_purged *p, uint64_t ns,
			 uint32_t status)
{
	struct hak_purge_answer *a;

	if (!hak_ack)
		return;
	a = &hak_ack->answer[id % HAK_ANSWERS];
	/* This thread was slow, and another one answered a later request, which covers this one. */
	if ((int64_t)(a->id - id) > 0)
		return;
	__atomic_store_n(&a->seq, a->seq + 1, __ATOMIC_RELAXED);
	/* release fence: the odd number comes first; partner: the reader's acquire */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&a->id, id, __ATOMIC_RELAXED);
	__atomic_store_n(&a->bytes, p->bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&a->ns, ns, __ATOMIC_RELAXED);
	__atomic_store_n(&a->level, level | p->held << 8, __ATOMIC_RELAXED);
	__atomic_store_n(&a->status, status, __ATOMIC_RELAXED);
	__atomic_store_n(&a->seq, a->seq + 1, __ATOMIC_RELEASE);
	hak_count(HAK_C_PURGE_REQUESTS, 1);
}

static void carry_out(uint64_t id, uint32_t level)
{
	bool known = level >= HAK_PURGE_CACHE && level <= HAK_PURGE_ALL;
	uint32_t status = hak_layers_locked() ? EPERM : known ? 0 : EINVAL;
	uint64_t start = hak_os_now_ns(), ns;
	struct hak_purged p = { 0 };

	if (!status)
		hak_purge(level, &p);
	ns = hak_os_now_ns() - start;
	hak_lock(HAK_LOCK_TUNE);
	write_answer(id, level, &p, ns, status);
	hak_unlock(HAK_LOCK_TUNE);
}

/* Called with HAK_LOCK_TUNE held, returns without. */
static void apply_and_unlock(void)
{
	uint32_t level = 0;
	uint64_t id;

	apply(false);
	id = take_purge(&level);
	hak_unlock(HAK_LOCK_TUNE);
	if (id)
		carry_out(id, level);
}

HAK_COLD void hak_tune_poll_slow(void)
{
	if (atomic_load_explicit(&st.forking, memory_order_relaxed) || !hak_trylock(HAK_LOCK_TUNE))
		return;
	apply_and_unlock();
}

void hak_tune_poll_wait(void)
{
	hak_lock(HAK_LOCK_TUNE);
	apply_and_unlock();
}

/*
 * Looking at the lock on a byte costs two system calls, and an unnoticed filter may not allow them.
 * So the look is made when a controller woke the process, and regularly while one is attached.
 */
enum { LOOK_MS = 100 };

static void look_for_pageout(void)
{
	bool attached = hak_lazy_pageout_attached();
	uint64_t now, last;

	if (!attached && !atomic_load_explicit(&st.look, memory_order_relaxed))
		return;
	now = hak_os_now_ms();
	last = atomic_load_explicit(&st.looked_ms, memory_order_relaxed);
	if (!hak_share_tune() || now - last < LOOK_MS || !hak_trylock(HAK_LOCK_TUNE))
		return;
	atomic_store_explicit(&st.looked_ms, now, memory_order_relaxed);
	atomic_store_explicit(&st.look, false, memory_order_relaxed);
	attached = hak_share_pageout_locked();
	if (attached)
		hak_share_lazy_prepare();
	hak_lazy_set_pageout(attached);
	hak_unlock(HAK_LOCK_TUNE);
}

void hak_tune_tick(void)
{
	if (atomic_load_explicit(&st.forking, memory_order_relaxed))
		return;
	if (hak_unlikely(!hak_layers_until_deadline()) && hak_trylock(HAK_LOCK_TUNE)) {
		apply(true);
		hak_unlock(HAK_LOCK_TUNE);
	}
	look_for_pageout();
	if (hak_unlikely(atomic_load_explicit(&hak_slots_leaving, memory_order_relaxed)) &&
	    hak_has_cache())
		hak_slots_settle(hak_self);
}

int hak_tune_program(enum hak_tunable t, uint64_t value)
{
	const struct hak_tunable_desc *d = &hak_tunable_desc[t];
	struct hak_cache *c;

	if (d->when == HAK_WHEN_START)
		return -EPERM;
	if (value < d->min || value > d->max)
		return -ERANGE;
	/* counters that move to other memory are not to be written meanwhile */
	c = hak_heap_enter_own();
	hak_lock(HAK_LOCK_TUNE);
	hak_layers_set(HAK_ORIGIN_PROGRAM, t, value);
	apply(true);
	/* the agent waits for as long as the old values said */
	if (st.agent && hak_share_tune())
		hak_tune_call();
	hak_unlock(HAK_LOCK_TUNE);
	hak_heap_leave_own(c);
	return 0;
}

void hak_tune_set_agent(bool runs)
{
	hak_lock(HAK_LOCK_TUNE);
	st.agent = runs;
	if (hak_ack)
		__atomic_store_n(&hak_ack->agent, runs, __ATOMIC_RELAXED);
	hak_count(HAK_C_AGENT, runs ? 1 : -1);
	hak_tune_check();
	hak_unlock(HAK_LOCK_TUNE);
}

/* ---- start and fork ---- */

void hak_tune_start(bool no_segment)
{
	st.pid = hak_sys(SYS_getpid, 0, 0, 0, 0, 0, 0);
	st.no_segment = no_segment;
	hak_lock(HAK_LOCK_TUNE);
	hak_env_read();
	if (hak_layers_evaluate())
		hak_purge_tuned();
	if (!st.no_segment && hak_tun(HAK_T_CONTROL_SEGMENT))
		make_segment();
	hak_tune_check();
	hak_unlock(HAK_LOCK_TUNE);
}

bool hak_tune_is_own_process(void)
{
	return hak_sys(SYS_getpid, 0, 0, 0, 0, 0, 0) == st.pid;
}

void hak_tune_fork_prepare(void)
{
	atomic_store_explicit(&st.forking, true, memory_order_relaxed);
	hak_stats_fork_prepare();
}

void hak_tune_fork_parent(void)
{
	atomic_store_explicit(&st.forking, false, memory_order_relaxed);
}

void hak_tune_fork_child(void)
{
	struct hak_tune page;

	if (!atomic_load_explicit(&st.forking, memory_order_relaxed))
		hak_stats_fork_prepare(); /* no handler did; as exact as is possible now */
	st.pid = hak_sys(SYS_getpid, 0, 0, 0, 0, 0, 0);
	st.agent = false;
	listen_to(NULL);
	hak_lazy_set_pageout(false);
	fill_page(&page);
	if (!hak_share_leave(hak_tun(HAK_T_CONTROL_SEGMENT) ? &page : NULL, hak_layers_locked()))
		begin_to_listen();
	hak_tune_check();
	atomic_store_explicit(&st.forking, false, memory_order_relaxed);
}
