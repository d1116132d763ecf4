/* SPDX-License-Identifier: MIT */
/* The agent's life. See agent.h for what it may not do. */
#include "agent.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>

#include "heap.h"
#include "interpose.h"
#include "os.h"
#include "segment.h"
#include "stats.h"
#include "sys.h"
#include "tune.h"

#if HAK_CONTROL

enum state {
	NONE,
	BUSY,		/* somebody starts or stops it; wait on the word */
	RUNNING,
	ENDED,		/* by itself; still to be joined */
};

enum { STACK_BYTES = 128 << 10, LONGEST_WAIT_S = 60 };

static _Atomic uint32_t state;
static _Atomic bool stop_asked, threads_seen, unwelcome;
static pthread_t agent;		/* valid in RUNNING and ENDED, and in BUSY for whoever set it */

static void set_state(enum state s)
{
	atomic_store_explicit(&state, s, memory_order_release);
	hak_sys(SYS_futex, (long)&state, FUTEX_WAKE_PRIVATE, 1 << 30, 0, 0, 0);
}

static bool change_state(enum state from)
{
	uint32_t s = from;

	/* acquire: pairs with set_state(); `agent` is read after it */
	return atomic_compare_exchange_strong_explicit(&state, &s, BUSY, memory_order_acquire, memory_order_relaxed);
}

static bool wanted(void)
{
	return hak_tun(HAK_T_CONTROL_AGENT) != HAK_AGENT_OFF && hak_segment_tune() && !hak_os_sandboxed() &&
	       !atomic_load_explicit(&stop_asked, memory_order_relaxed);
}

/* Waits until *word is no longer `value`, a deadline comes, or a minute passed: time that was suspended is not waited. */
static void wait_for_news(_Atomic uint32_t *word, uint32_t value)
{
	uint64_t ns = hak_tune_until_deadline();
	struct timespec ts;

	ts.tv_sec = ns / 1000000000u < LONGEST_WAIT_S ? (time_t)(ns / 1000000000u) : LONGEST_WAIT_S;
	ts.tv_nsec = ns / 1000000000u < LONGEST_WAIT_S ? (long)(ns % 1000000000u) : 0;
	if (ns < 1000000)	/* somebody else is expiring it */
		ts.tv_nsec = 1000000;
	/* Shared, not private: controllers wake it through their own mapping. */
	hak_sys(SYS_futex, (long)word, FUTEX_WAIT, value, ns == UINT64_MAX ? 0 : (long)&ts, 0, 0);
}

static void *run(void *unused)
{
	uint32_t running = RUNNING;

	hak_sys(SYS_prctl, PR_SET_NAME, (long)"hakmem-agent", 0, 0, 0, 0);
	hak_tune_set_agent(true);
	for (;;) {
		_Atomic uint32_t *word = hak_tune_wake;
		/* Before anything is looked at: a change after this ends the wait at once. */
		uint32_t value = atomic_load_explicit(word, memory_order_acquire);

		if (!wanted())
			break;
		hak_tune_poll_wait();
		hak_tune_tick();
		if (wanted())
			wait_for_news(word, value);
	}
	hak_tune_set_agent(false);
	/* Fails if a stopper is waiting to join. */
	atomic_compare_exchange_strong_explicit(&state, &running, ENDED, memory_order_release, memory_order_relaxed);
	return unused;
}

/* pthread_sigmask leaves out 32 and 33, which a raw system call would block too, and hang setuid() for ever. */
static int create(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r)
		return r;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = hak_real_pthread_create(&agent, &attr, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return r;
}

static void join(void)
{
	int old;

	/* A thread that ends may still be cancelled. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	pthread_join(agent, NULL);
	pthread_setcancelstate(old, NULL);
}

void hak_agent_start(void)
{
	bool corpse = false;

	if (atomic_load_explicit(&state, memory_order_relaxed) == RUNNING ||
	    atomic_load_explicit(&unwelcome, memory_order_relaxed))
		return;
	atomic_store_explicit(&stop_asked, false, memory_order_relaxed);
	if (!wanted() || !hak_heap_live())
		return;
	if (!change_state(NONE)) {
		corpse = change_state(ENDED);
		if (!corpse)
			return;
	}
	if (corpse)
		join();
	set_state(create() ? NONE : RUNNING);
}

void hak_agent_wake(void)
{
	_Atomic uint32_t *word = hak_tune_wake;

	atomic_fetch_add_explicit(word, 1, memory_order_release);
	hak_sys(SYS_futex, (long)word, FUTEX_WAKE, 1 << 30, 0, 0, 0);
}

void hak_agent_stop(void)
{
	for (;;) {
		uint32_t s = atomic_load_explicit(&state, memory_order_relaxed);

		if (s == NONE)
			return;
		if (s == BUSY) {
			hak_sys(SYS_futex, (long)&state, FUTEX_WAIT_PRIVATE, BUSY, 0, 0, 0);
			continue;
		}
		if (!change_state(s))
			continue;
		atomic_store_explicit(&stop_asked, true, memory_order_relaxed);
		hak_agent_wake();
		join();
		atomic_store_explicit(&stop_asked, false, memory_order_relaxed);
		set_state(NONE);
		return;
	}
}

/* The thread stayed in the parent, and so did whoever was starting or stopping it. */
void hak_agent_fork_child(void)
{
	atomic_store_explicit(&stop_asked, false, memory_order_relaxed);
	atomic_store_explicit(&threads_seen, false, memory_order_relaxed);
	atomic_store_explicit(&state, NONE, memory_order_relaxed);
}

bool hak_agent_threads_seen(void)
{
	return atomic_load_explicit(&threads_seen, memory_order_relaxed);
}

int hak_agent_create_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	int r;

	atomic_store_explicit(&threads_seen, true, memory_order_relaxed);
	hak_agent_start();
	r = hak_real_pthread_create(thread, attr, start, arg);
	if (r != EAGAIN || atomic_load_explicit(&state, memory_order_relaxed) != RUNNING)
		return r;
	/* A limit on threads: the program's own goes first, now and later. */
	atomic_store_explicit(&unwelcome, true, memory_order_relaxed);
	hak_agent_stop();
	return hak_real_pthread_create(thread, attr, start, arg);
}

#else /* !HAK_CONTROL */

void hak_agent_start(void)
{
}

void hak_agent_stop(void)
{
}

void hak_agent_wake(void)
{
}

void hak_agent_fork_child(void)
{
}

bool hak_agent_threads_seen(void)
{
	return true;
}

#endif
