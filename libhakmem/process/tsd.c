/* SPDX-License-Identifier: MIT */
/* The key whose destructor tells that a thread ends. See tsd.h. */
#include "tsd.h"

#include <pthread.h>
#include <stdatomic.h>

static pthread_key_t key;
/*
 * The first thread makes the key without a lock, because another library's pthread_key_create may
 * allocate.
 */
static _Atomic int key_state;
enum { NO_KEY, MAKING_KEY, HAVE_KEY, KEY_FAILED };

bool hak_tsd_make(void (*destructor)(void *value))
{
	int state = NO_KEY;

	/* acquire: pairs with the release below; `key` is read after this */
	if (!atomic_compare_exchange_strong_explicit(&key_state, &state, MAKING_KEY,
						     memory_order_acquire, memory_order_acquire))
		return state != MAKING_KEY;
	state = pthread_key_create(&key, destructor) ? KEY_FAILED : HAVE_KEY;
	atomic_store_explicit(&key_state, state, memory_order_release);
	return true;
}

bool hak_tsd_made(void)
{
	return atomic_load_explicit(&key_state, memory_order_relaxed) == HAVE_KEY;
}

int hak_tsd_set(void *value)
{
	return pthread_setspecific(key, value);
}

void hak_tsd_fork_child(void)
{
	if (atomic_load_explicit(&key_state, memory_order_relaxed) == MAKING_KEY)
		atomic_store_explicit(&key_state, NO_KEY, memory_order_relaxed);
}
