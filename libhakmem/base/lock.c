/* SPDX-License-Identifier: MIT */
/* Futex locks in a fixed order. See lock.h. */
#include "lock.h"

#include <linux/futex.h>

#include "hak.h"
#include "stop.h"
#include "sys.h"

struct hak_lock hak_locks[HAK_LOCKS] __attribute__((aligned(64)));

/* The forking thread between prepare and parent or child. It holds every lock and may re-enter. */
static _Atomic uint64_t forker;

/* See hak_lock_fork_inside(). A process in which this is set has one thread. */
static void (*call_when_free)(void);

static uint64_t self(void)
{
	static __thread char name HAK_TLS __attribute__((aligned(2)));

	return (uint64_t)(uintptr_t)&name;
}

static bool forking(void)
{
	uint64_t f = atomic_load_explicit(&forker, memory_order_relaxed);

	return hak_unlikely(f) && f == self();
}

static uint64_t holder(const struct hak_lock *l)
{
	return atomic_load_explicit(&l->word, memory_order_relaxed) & ~HAK_LOCK_WAITED;
}

#if HAK_DEBUG
static void check_order(enum hak_lock_id id)
{
	for (int i = id; i < HAK_LOCKS; i++)
		hak_assert(holder(&hak_locks[i]) != self());
}

/*
 * POOL, EXTENT and RCACHE: under them a thread that the kernel throttles in a call would hold up
 * all other threads.
 */
static bool is_inner(enum hak_lock_id id)
{
	return id >= HAK_LOCK_POOL && id <= HAK_LOCK_RCACHE;
}

void hak_lock_check_call(void)
{
	for (int i = HAK_LOCK_POOL; i <= HAK_LOCK_RCACHE && !forking(); i++)
		hak_assert(holder(&hak_locks[i]) != self());
}

static bool taken(enum hak_lock_id id)
{
	static const char *const name[HAK_LOCKS] = {
		[HAK_LOCK_TUNE] = "lock.TUNE",	   [HAK_LOCK_SHARED] = "lock.SHARED",
		[HAK_LOCK_PURGE] = "lock.PURGE",   [HAK_LOCK_REGISTRY] = "lock.REGISTRY",
		[HAK_LOCK_POOL] = "lock.POOL",	   [HAK_LOCK_EXTENT] = "lock.EXTENT",
		[HAK_LOCK_RCACHE] = "lock.RCACHE", [HAK_LOCK_META] = "lock.META",
	};

	hak_stop(name[id]);
	if (is_inner(id))
		hak_stop_watch(1);
	return true;
}

static void leaving(enum hak_lock_id id)
{
	if (is_inner(id))
		hak_stop_watch(-1);
}
#else
static inline void check_order(enum hak_lock_id id)
{
	(void)id;
}

static inline bool taken(enum hak_lock_id id)
{
	(void)id;
	return true;
}

static inline void leaving(enum hak_lock_id id)
{
	(void)id;
}
#endif

static inline bool take(struct hak_lock *l, uint64_t as)
{
	uint64_t free = 0;

	if (hak_single_threaded()) {
		if (atomic_load_explicit(&l->word, memory_order_relaxed))
			return false;
		atomic_store_explicit(&l->word, as, memory_order_relaxed);
		return true;
	}
	/* acquire: pairs with the release in hak_unlock */
	return atomic_compare_exchange_strong_explicit(&l->word, &free, as, memory_order_acquire,
						       memory_order_relaxed);
}

bool hak_trylock(enum hak_lock_id id)
{
	return forking() || (take(&hak_locks[id], self()) && taken(id));
}

/* The futex is the half of the word that holds bit 0. */
static uint32_t *futex_of(struct hak_lock *l)
{
	return (uint32_t *)&l->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static HAK_COLD void lock_slow(enum hak_lock_id id)
{
	struct hak_lock *l = &hak_locks[id];
	uint64_t seen;

	if (holder(l) == self())
		hak_die("allocator entered again by the thread inside it (signal handler?), lock",
			(void *)(uintptr_t)id);
	for (int spin = 0; spin < 64; spin++) {
		if (!atomic_load_explicit(&l->word, memory_order_relaxed) && take(l, self()))
			return;
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
	}
	/* a thread that has waited takes the lock as "waited", because another may still sleep */
	while (!take(l, self() | HAK_LOCK_WAITED)) {
		seen = atomic_load_explicit(&l->word, memory_order_relaxed);
		if (!seen)
			continue;
		if (!(seen & HAK_LOCK_WAITED) &&
		    !atomic_compare_exchange_weak_explicit(&l->word, &seen, seen | HAK_LOCK_WAITED,
							   memory_order_relaxed,
							   memory_order_relaxed))
			continue;
		hak_sys(SYS_futex, (long)futex_of(l), FUTEX_WAIT_PRIVATE,
			(uint32_t)(seen | HAK_LOCK_WAITED), 0, 0, 0);
	}
}

void hak_lock(enum hak_lock_id id)
{
	if (forking())
		return;
	check_order(id);
	if (hak_unlikely(!take(&hak_locks[id], self())))
		lock_slow(id);
	taken(id);
}

static void let_go(struct hak_lock *l)
{
	uint64_t was;

	if (hak_single_threaded()) {
		atomic_store_explicit(&l->word, 0, memory_order_relaxed);
		return;
	}
	/* release: pairs with the acquire of the next holder */
	was = atomic_exchange_explicit(&l->word, 0, memory_order_release);
	if (hak_unlikely(was & HAK_LOCK_WAITED))
		hak_sys(SYS_futex, (long)futex_of(l), FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

void hak_unlock(enum hak_lock_id id)
{
	void (*call)(void);

	if (forking())
		return;
	leaving(id);
	let_go(&hak_locks[id]);
	call = call_when_free;
	if (hak_unlikely(call) && !hak_lock_held_any()) {
		call_when_free = NULL;
		call();
	}
}

bool hak_lock_taken(enum hak_lock_id id)
{
	return holder(&hak_locks[id]) != 0;
}

bool hak_lock_held(enum hak_lock_id id)
{
	return forking() || holder(&hak_locks[id]) == self();
}

bool hak_lock_held_any(void)
{
	for (int i = 0; i < HAK_LOCKS; i++)
		if (hak_lock_held(i))
			return true;
	return false;
}

void hak_lock_fork_prepare(void)
{
	for (int i = 0; i < HAK_LOCKS; i++)
		hak_lock(i);
	atomic_store_explicit(&forker, self(), memory_order_relaxed);
}

void hak_lock_fork_parent(void)
{
	atomic_store_explicit(&forker, 0, memory_order_relaxed);
	for (int i = HAK_LOCKS - 1; i >= 0; i--)
		hak_unlock(i);
}

void hak_lock_fork_child(void)
{
	/* No other thread exists, and what the locks say concerns the parent only. */
	call_when_free = NULL;
	atomic_store_explicit(&forker, 0, memory_order_relaxed);
	for (int i = 0; i < HAK_LOCKS; i++)
		atomic_store_explicit(&hak_locks[i].word, 0, memory_order_relaxed);
}

void hak_lock_fork_inside(void (*when_free)(void))
{
	for (int i = 0; i < HAK_LOCKS; i++)
		if (!hak_lock_held(i))
			atomic_store_explicit(&hak_locks[i].word, 0, memory_order_relaxed);
	call_when_free = when_free;
}
