/* SPDX-License-Identifier: MIT */
/* The life of the agent. agent.h lists what it may not do. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/sys.h"
#include "cache/purge.h"
#include "heap/heap.h"
#include "share/layers.h"
#include "share/share.h"
#include "share/tune.h"
#include "system/os.h"
#include "system/real.h"
#include "tick.h"

#if HAK_CONTROL

enum state {
	NONE,
	STARTING, /* a thread starts it; others wait on the word */
	STOPPING, /* a thread stops it; others wait on the word */
	RUNNING,
	ENDED, /* by itself; still to be joined */
};

/* Beside thread-local storage, which libc puts on the stack too. */
enum { STACK_BYTES = 128 << 10, STACK_MOST_BYTES = 64 << 20 };

static _Atomic uint32_t state;
static _Atomic bool stop_asked, unwelcome;
static _Atomic uint32_t over; /* set by the agent when it looks at nothing any more */
static pthread_t agent;	      /* valid in RUNNING and ENDED, and for its starter or stopper */

static void set_state(enum state s)
{
	atomic_store_explicit(&state, s, memory_order_release);
	hak_sys(SYS_futex, (long)&state, FUTEX_WAKE_PRIVATE, 1 << 30, 0, 0, 0);
}

static bool change_state(enum state from, enum state to)
{
	uint32_t s = from;

	/* acquire: pairs with set_state(); `agent` is read after this */
	return atomic_compare_exchange_strong_explicit(&state, &s, to, memory_order_acquire,
						       memory_order_relaxed);
}

static bool wanted(void)
{
	return hak_tun(HAK_T_CONTROL_AGENT) != HAK_AGENT_OFF && hak_share_tune() &&
	       !hak_os_sandboxed() && !atomic_load_explicit(&stop_asked, memory_order_relaxed);
}

static bool only_when_threaded(void)
{
	return hak_tun(HAK_T_CONTROL_AGENT) == HAK_AGENT_AUTO;
}

/*
 * Returns whether there is one thread apart from the agent. /proc also counts threads that never
 * allocated.
 */
static bool alone(void)
{
	struct stat st;

	if (hak_heap_live() > 1)
		return false;
	if (hak_sys(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/task", (long)&st, 0, 0, 0))
		return true;
	return st.st_nlink <= 2 + 2;
}

/*
 * Waits until *word is no longer `value`, a deadline comes, or `longest_ms` passed. Time in which
 * the machine was suspended does not count.
 */
static void wait_for_news(_Atomic uint32_t *word, uint32_t value, unsigned int longest_ms)
{
	uint64_t ns = hak_layers_until_deadline(), longest = longest_ms * 1000000ull;
	struct timespec ts;

	if (ns > longest)
		ns = longest;
	if (ns < 1000000) /* another thread is expiring the deadline */
		ns = 1000000;
	ts.tv_sec = (time_t)(ns / 1000000000u);
	ts.tv_nsec = (long)(ns % 1000000000u);
	/* Shared, not private, because controllers wake the word through their own mapping. */
	hak_sys(SYS_futex, (long)word, FUTEX_WAIT, value, (long)&ts, 0, 0);
}

/*
 * One round: carries out requests and what is due, then waits. Returns false when the agent shall
 * end: not before all that is free has been given back.
 */
static bool serve(void)
{
	_Atomic uint32_t *word = hak_tune_word();
	/* Read before anything is looked at, so that a later change ends the wait at once. */
	uint32_t value = atomic_load_explicit(word, memory_order_acquire);
	unsigned int longest_ms;
	bool idle;

	if (!wanted())
		return false;
	hak_tune_poll_wait();
	hak_tune_tick();
	longest_ms = hak_tick_idle(&idle);
	if (!wanted() || (idle && only_when_threaded() && alone()))
		return false;
	wait_for_news(word, value, longest_ms);
	return true;
}

static void *run(void *unused)
{
	uint32_t running = RUNNING;

	hak_sys(SYS_prctl, PR_SET_NAME, (long)"hakmem-agent", 0, 0, 0, 0);
	hak_tune_set_agent(true);
	/* what was calm before is no news of the thread that is about to begin */
	hak_purge_disturb();
	while (serve())
		;
	hak_tune_set_agent(false);
	/*
	 * The thread that starts the agent may not have set RUNNING yet; a thread that stops the
	 * agent waits to join it.
	 */
	while (atomic_load_explicit(&state, memory_order_relaxed) == STARTING)
		hak_sys(SYS_futex, (long)&state, FUTEX_WAIT_PRIVATE, STARTING, 0, 0, 0);
	atomic_compare_exchange_strong_explicit(&state, &running, ENDED, memory_order_release,
						memory_order_relaxed);
	atomic_store_explicit(&over, 1, memory_order_release);
	hak_sys(SYS_futex, (long)&over, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
	return unused;
}

/*
 * Tries larger stacks where libc refuses one as too small: thread-local storage of the program and
 * its libraries may take any part of it, and older libcs do not say how much.
 */
static int create_with_stack(pthread_attr_t *attr)
{
	size_t bytes = STACK_BYTES + hak_real_minstack(attr);
	int r;

	do {
		r = pthread_attr_setstacksize(attr, bytes);
		if (!r)
			r = hak_real_pthread_create(&agent, attr, run, NULL);
		bytes *= 2;
	} while (r == EINVAL && bytes <= STACK_MOST_BYTES);
	return r;
}

/* 0, or the errno for which there is no agent, as hakmemctl tells it. */
static void set_error(int error)
{
	static int last; /* of the thread that starts the agent */

	hak_count(HAK_C_AGENT_ERROR, error - last);
	last = error;
}

/* Blocks all signals but 32 and 33, which are libc's: without them setuid() would hang. */
static int create(void)
{
	const uint64_t all = ~((uint64_t)3 << (32 - 1));
	uint64_t old = 0;
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r)
		return r;
	hak_sys(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old, sizeof(all), 0, 0);
	atomic_store_explicit(&over, 0, memory_order_relaxed);
	r = create_with_stack(&attr);
	hak_sys(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old), 0, 0);
	pthread_attr_destroy(&attr);
	return r;
}

/* Waits for `over` first: if pthread_join() fails, there is still never a second agent. */
static void join(void)
{
	int old;

	while (!atomic_load_explicit(&over, memory_order_acquire))
		hak_sys(SYS_futex, (long)&over, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);

	/* A thread that ends may still be cancelled. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	pthread_join(agent, NULL);
	pthread_setcancelstate(old, NULL);
}

void hak_agent_start(void)
{
	bool corpse = false;
	int error;

	if (atomic_load_explicit(&state, memory_order_relaxed) == RUNNING ||
	    atomic_load_explicit(&unwelcome, memory_order_relaxed))
		return;
	if (!wanted() || !hak_heap_live())
		return;
	if (!change_state(NONE, STARTING)) {
		corpse = change_state(ENDED, STARTING);
		if (!corpse)
			return;
	}
	if (corpse)
		join();
	error = create();
	set_error(error);
	set_state(error ? NONE : RUNNING);
}

void hak_agent_stop(void)
{
	for (;;) {
		uint32_t s = atomic_load_explicit(&state, memory_order_relaxed);

		if (s == NONE)
			return;
		if (s == STARTING || s == STOPPING) {
			hak_sys(SYS_futex, (long)&state, FUTEX_WAIT_PRIVATE, s, 0, 0, 0);
			continue;
		}
		if (!change_state(s, STOPPING))
			continue;
		atomic_store_explicit(&stop_asked, true, memory_order_relaxed);
		hak_tune_call();
		join();
		atomic_store_explicit(&stop_asked, false, memory_order_relaxed);
		set_state(NONE);
		return;
	}
}

void hak_agent_heap_gone(unsigned int live)
{
	if (live == 0)
		hak_agent_stop();
	else if (live == 1 && atomic_load_explicit(&state, memory_order_relaxed) == RUNNING) {
		/* the thread is still there when the agent looks: not once only */
		hak_purge_disturb();
		hak_tune_call();
	}
}

/* The agent stayed in the parent, and so did a thread that was starting or stopping it. */
void hak_agent_fork_child(void)
{
	atomic_store_explicit(&stop_asked, false, memory_order_relaxed);
	hak_share_note_threads(false);
	atomic_store_explicit(&state, NONE, memory_order_relaxed);
}

int hak_agent_create_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			    void *arg)
{
	int r;

	hak_share_note_threads(true);
	/* cheap while there is one thread */
	hak_os_barrier_prepare();
	hak_agent_start();
	r = hak_real_pthread_create(thread, attr, start, arg);
	if (r != EAGAIN || atomic_load_explicit(&state, memory_order_relaxed) != RUNNING)
		return r;
	/* A limit on threads is reached: the program's threads take precedence, now and later. */
	atomic_store_explicit(&unwelcome, true, memory_order_relaxed);
	hak_agent_stop();
	set_error(EAGAIN);
	return hak_real_pthread_create(thread, attr, start, arg);
}

#else /* !HAK_CONTROL */

void hak_agent_start(void)
{
}

void hak_agent_stop(void)
{
}

void hak_agent_heap_gone(unsigned int live)
{
	(void)live;
}

void hak_agent_fork_child(void)
{
}

#endif
