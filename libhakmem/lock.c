/* SPDX-License-Identifier: MIT */
/* Futex locks in a fixed order. See lock.h. */
#include "lock.h"

#include <linux/futex.h>

#include "hak.h"
#include "sys.h"

struct hak_lock hak_locks[HAK_LOCKS] __attribute__((aligned(64)));

/* The forking thread between prepare and parent/child: it holds everything and may re-enter. */
static _Atomic uint32_t forker;

static __thread HAK_TLS uint32_t self;	/* cached thread id; cleared in a fork child */

static uint32_t tid(void)
{
	if (hak_unlikely(!self))
		self = (uint32_t)hak_sys(SYS_gettid, 0, 0, 0, 0, 0, 0);
	return self;
}

static bool forking(void)
{
	uint32_t f = atomic_load_explicit(&forker, memory_order_relaxed);

	return hak_unlikely(f) && f == tid();
}

#if HAK_DEBUG
static void check_order(enum hak_lock_id id)
{
	for (int i = id; i < HAK_LOCKS; i++)
		hak_assert(atomic_load_explicit(&hak_locks[i].owner, memory_order_relaxed) != tid());
}
#else
static inline void check_order(enum hak_lock_id id)
{
	(void)id;
}
#endif

bool hak_trylock(enum hak_lock_id id)
{
	struct hak_lock *l = &hak_locks[id];
	uint32_t free = 0;

	if (forking())
		return true;
	/* acquire: pairs with the release in hak_unlock */
	if (!atomic_compare_exchange_strong_explicit(&l->state, &free, 1, memory_order_acquire, memory_order_relaxed))
		return false;
	atomic_store_explicit(&l->owner, tid(), memory_order_relaxed);
	return true;
}

static HAK_COLD void lock_slow(enum hak_lock_id id)
{
	struct hak_lock *l = &hak_locks[id];

	if (atomic_load_explicit(&l->owner, memory_order_relaxed) == tid())
		hak_die("allocator entered again by the thread inside it (signal handler?), lock", (void *)(uintptr_t)id);
	for (int spin = 0; spin < 64; spin++) {
		uint32_t free = 0;

		if (atomic_compare_exchange_weak_explicit(&l->state, &free, 1, memory_order_acquire,
							  memory_order_relaxed))
			return;
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
	}
	while (atomic_exchange_explicit(&l->state, 2, memory_order_acquire))
		hak_sys(SYS_futex, (long)&l->state, FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
}

void hak_lock(enum hak_lock_id id)
{
	struct hak_lock *l = &hak_locks[id];
	uint32_t free = 0;

	if (forking())
		return;
	check_order(id);
	if (hak_single_threaded() && !atomic_load_explicit(&l->state, memory_order_relaxed)) {
		atomic_store_explicit(&l->state, 1, memory_order_relaxed);
		atomic_store_explicit(&l->owner, tid(), memory_order_relaxed);
		return;
	}
	if (hak_unlikely(!atomic_compare_exchange_strong_explicit(&l->state, &free, 1, memory_order_acquire,
								  memory_order_relaxed)))
		lock_slow(id);
	atomic_store_explicit(&l->owner, tid(), memory_order_relaxed);
}

void hak_unlock(enum hak_lock_id id)
{
	struct hak_lock *l = &hak_locks[id];

	if (forking())
		return;
	atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
	if (hak_single_threaded()) {
		/* nobody waits, nobody watches; a signal handler in between finds it free or held */
		atomic_store_explicit(&l->state, 0, memory_order_release);
		return;
	}
	/* release: pairs with the acquire of the next holder */
	if (hak_unlikely(atomic_exchange_explicit(&l->state, 0, memory_order_release) == 2))
		hak_sys(SYS_futex, (long)&l->state, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

bool hak_lock_held(enum hak_lock_id id)
{
	return forking() || atomic_load_explicit(&hak_locks[id].owner, memory_order_relaxed) == tid();
}

void hak_lock_fork_prepare(void)
{
	for (int i = 0; i < HAK_LOCKS; i++)
		hak_lock(i);
	atomic_store_explicit(&forker, tid(), memory_order_relaxed);
}

void hak_lock_fork_parent(void)
{
	atomic_store_explicit(&forker, 0, memory_order_relaxed);
	for (int i = HAK_LOCKS - 1; i >= 0; i--)
		hak_unlock(i);
}

void hak_lock_fork_child(void)
{
	/* No other thread exists: whatever the locks say is the parent's business. */
	self = 0;
	atomic_store_explicit(&forker, 0, memory_order_relaxed);
	for (int i = 0; i < HAK_LOCKS; i++) {
		atomic_store_explicit(&hak_locks[i].owner, 0, memory_order_relaxed);
		atomic_store_explicit(&hak_locks[i].state, 0, memory_order_relaxed);
	}
}
