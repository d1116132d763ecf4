/* SPDX-License-Identifier: MIT */
/*
 * Layers of tunables and the tune page. See tune.h.
 *
 * Protocol of the page (tests/models/tune.pml): a controller makes generation_seq odd, writes
 * slots, makes it even, then adds 1 to wake. apply() runs under HAK_LOCK_TUNE and reads wake, then
 * the generation, the slots, the generation again; a generation that is odd or moved is left to the
 * poll that its writer's next wake brings. `applied` is stored after values, effects and answers.
 *
 * A purge request is taken under the lock (so by one thread only) and carried out without it.
 */
#include "tune.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "abstain.h"
#include "agent.h"
#include "attach.h"
#include "filter.h"
#include "granule.h"
#include "heap.h"
#include "lazy.h"
#include "limit.h"
#include "lock.h"
#include "os.h"
#include "probe.h"
#include "purge.h"
#include "segment.h"
#include "stats.h"
#include "stop.h"
#include "sys.h"
#include "text.h"
#include "vdso.h"

static _Atomic uint32_t private_wake;
_Atomic(_Atomic uint32_t *) hak_tune_wake = &private_wake;
_Atomic uint32_t hak_tune_seen;

enum { OWN_LAYERS = HAK_ORIGIN_ENVIRONMENT + 1, POLICY = 0, ADMIN, OUTSIDE };

/* All of it under HAK_LOCK_TUNE but for what is atomic. Nothing here is shared memory. */
static struct {
	uint64_t layer[OWN_LAYERS][HAK_TUNABLES];	  /* the default's is not used */
	uint32_t set[HAK_TUNABLES];			  /* bit per origin, of own layers */
	struct hak_tune_slot slot[HAK_TUNABLES][OUTSIDE]; /* the page as last copied */
	uint64_t asked[HAK_TUNABLES];
	uint64_t generation;	    /* of that copy */
	uint64_t taken;		    /* id of the purge request last taken */
	_Atomic uint64_t deadline;  /* earliest in force; UINT64_MAX: none */
	_Atomic uint64_t looked_ms; /* when byte 1 was last asked for */
	_Atomic bool look;	    /* somebody wrote to the page since */
	_Atomic bool forking;
	long pid;	 /* of the process that this memory belongs to */
	bool no_segment; /* never make one: AT_SECURE */
} st = { .deadline = UINT64_MAX };

/* ---- values ---- */

/* The origins whose layers are set and have not expired, and the nearest deadline among them. */
static uint32_t origins_set(enum hak_tunable t, uint64_t now, uint64_t *deadline)
{
	uint32_t set = st.set[t] | 1u << HAK_ORIGIN_DEFAULT;

	for (int who = POLICY; who < OUTSIDE; who++) {
		const struct hak_tune_slot *s = &st.slot[t][who];

		if (!s->set || (s->deadline_ns && now >= s->deadline_ns))
			continue;
		set |= 1u << (HAK_ORIGIN_POLICY + who);
		if (s->deadline_ns && s->deadline_ns < *deadline)
			*deadline = s->deadline_ns;
	}
	return set;
}

static uint64_t layer_value(enum hak_tunable t, unsigned int origin)
{
	if (origin == HAK_ORIGIN_DEFAULT)
		return hak_tunable_desc[t].dflt;
	if (origin < OWN_LAYERS)
		return st.layer[origin][t];
	return st.slot[t][origin - HAK_ORIGIN_POLICY].value;
}

static void acknowledge(enum hak_tunable t, const struct hak_ack_value *v)
{
	struct hak_ack_value *to;

	if (!hak_ack)
		return;
	to = &hak_ack->value[t];
	__atomic_store_n(&to->value, v->value, __ATOMIC_RELAXED);
	__atomic_store_n(&to->asked, v->asked, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < OWN_LAYERS; i++)
		__atomic_store_n(&to->layer[i], layer_value(t, i), __ATOMIC_RELAXED);
	__atomic_store_n(&to->set, v->set, __ATOMIC_RELAXED);
	__atomic_store_n(&to->origin, v->origin, __ATOMIC_RELAXED);
	__atomic_store_n(&to->clamped, v->clamped, __ATOMIC_RELAXED);
	__atomic_store_n(&to->refused, v->refused, __ATOMIC_RELAXED);
}

static bool locked(void)
{
	return st.set[HAK_T_CONTROL_LOCK] && hak_tun(HAK_T_CONTROL_LOCK);
}

/* True if the value in force changed. */
static bool evaluate_one(enum hak_tunable t, uint64_t now, uint64_t *deadline)
{
	const struct hak_tunable_desc *d = &hak_tunable_desc[t];
	const uint32_t outside = 1u << HAK_ORIGIN_POLICY | 1u << HAK_ORIGIN_ADMIN;
	struct hak_ack_value v = { .set = origins_set(t, now, deadline) };
	bool changed;

	if ((v.set & outside) && (d->when == HAK_WHEN_START || locked())) {
		v.refused = 1;
		v.set &= ~outside;
	}
	v.origin = 31u - (uint32_t)__builtin_clz(v.set);
	v.asked = layer_value(t, v.origin);
	v.value = v.asked < d->min ? d->min : v.asked > d->max ? d->max : v.asked;
	v.clamped = v.value != v.asked;
	if (v.clamped && v.asked != st.asked[t])
		hak_count(HAK_C_TUNE_CLAMPED, 1);
	st.asked[t] = v.asked;
	changed = hak_tun(t) != v.value;
	atomic_store_explicit(&hak_tun_values[t], v.value, memory_order_relaxed);
	acknowledge(t, &v);
	if (changed)
		hak_probe(hakmem, tunable_applied, d->id, v.value, v.origin);
	return changed;
}

static bool evaluate(void)
{
	uint64_t now = hak_os_boottime_ns(), deadline = UINT64_MAX;
	bool changed = false;

	for (unsigned int t = 0; t < HAK_TUNABLES; t++)
		changed |= evaluate_one(t, now, &deadline);
	atomic_store_explicit(&st.deadline, deadline, memory_order_relaxed);
	return changed;
}

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

static void count_refusals(void)
{
	for (unsigned int t = 0; t < HAK_TUNABLES; t++)
		if ((st.slot[t][POLICY].set || st.slot[t][ADMIN].set) &&
		    (locked() || hak_tunable_desc[t].when == HAK_WHEN_START))
			hak_count(HAK_C_TUNE_REFUSED, 1);
}

/* True if the page had a generation we did not know, now copied. */
static bool copy_page(const struct hak_tune *page)
{
	struct hak_tune_slot copy[HAK_TUNABLES][OUTSIDE];
	/*
	 * acquire: pairs with the release of the writer's even generation; the slots are at
	 * least as new
	 */
	uint64_t generation = __atomic_load_n(&page->generation_seq, __ATOMIC_ACQUIRE);

	if (generation == st.generation || (generation & 1) || !magic_is_there(page))
		return false;
	for (unsigned int t = 0; t < HAK_TUNABLES; t++) {
		copy_slot(&copy[t][POLICY], &page->slot[t].policy);
		copy_slot(&copy[t][ADMIN], &page->slot[t].admin);
	}
	/* acquire: the slots are read before the generation is read again */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&page->generation_seq, __ATOMIC_RELAXED) != generation)
		return false;
	__builtin_memcpy(st.slot, copy, sizeof(st.slot));
	st.generation = generation;
	count_refusals();
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
	for (unsigned int t = 0; t < HAK_TUNABLES; t++) {
		page->slot[t].policy = st.slot[t][POLICY];
		page->slot[t].admin = st.slot[t][ADMIN];
	}
	page->generation_seq = st.generation;
}

static void begin_to_listen(void)
{
	st.taken = 0;
	listen_to(hak_segment_tune());
	__atomic_store_n(&hak_ack->applied, st.generation, __ATOMIC_RELEASE);
	evaluate();
	if (hak_tun(HAK_T_REGION_EVICT) == HAK_EVICT_FREE)
		hak_segment_lazy_prepare();
}

static void make_segment(void)
{
	struct hak_tune page;

	fill_page(&page);
	if (!hak_segment_create(&page, locked()))
		begin_to_listen();
}

static void drop_segment(void)
{
	struct hak_tune *page = hak_segment_tune();

	hak_agent_wake(); /* while the word it waits on is still the shared one */
	listen_to(NULL);
	if (hak_segment_drop(!hak_agent_threads_seen()))
		listen_to(page);
	else
		hak_purge_tuned(); /* makes the other threads look, and move their counters */
}

static void follow_segment_switch(bool was_on)
{
	bool on = hak_tun(HAK_T_CONTROL_SEGMENT);

	if (!on && hak_segment_tune())
		drop_segment();
	else if (on && !was_on && !st.no_segment)
		make_segment();
}

/* ---- applying ---- */

/* Under HAK_LOCK_TUNE. */
static void apply(bool reevaluate)
{
	struct hak_tune *page = hak_segment_tune();
	bool was_on = hak_tun(HAK_T_CONTROL_SEGMENT), news = false;

	if (page) {
		/*
		 * acquire: pairs with the writer's increment; what was written before it is
		 * seen below
		 */
		uint32_t wake = atomic_load_explicit(hak_tune_word(), memory_order_acquire);

		if (wake != atomic_load_explicit(&hak_tune_seen, memory_order_relaxed))
			atomic_store_explicit(&st.look, true, memory_order_relaxed);
		news = copy_page(page);
		atomic_store_explicit(&hak_tune_seen, wake, memory_order_relaxed);
	}
	if ((news || reevaluate) && evaluate())
		hak_purge_tuned();
	if (news) {
		hak_count(HAK_C_TUNE_APPLIED, 1);
		/* release: whoever reads this generation sees its values and effects */
		__atomic_store_n(&hak_ack->applied, st.generation, __ATOMIC_RELEASE);
	}
	follow_segment_switch(was_on);
	if (hak_tun(HAK_T_REGION_EVICT) == HAK_EVICT_FREE)
		hak_segment_lazy_prepare();
	hak_stats_fold();
}

/*
 * Under HAK_LOCK_TUNE: the id of a purge request that nobody took yet, taken now; 0 if there is
 * none.
 */
static uint64_t take_purge(uint32_t *ret_level)
{
	struct hak_tune *page = hak_segment_tune();
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

static void write_answer(uint64_t id, uint32_t level, uint64_t bytes, uint64_t ns, uint32_t status)
{
	struct hak_purge_answer *a;

	if (!hak_ack)
		return;
	a = &hak_ack->answer[id % HAK_ANSWERS];
	/* This worker was slow, and somebody answered a later request: that covers ours. */
	if ((int64_t)(a->id - id) > 0)
		return;
	__atomic_store_n(&a->seq, a->seq + 1, __ATOMIC_RELAXED);
	/* release fence: the odd number comes first; partner: the reader's acquire */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&a->id, id, __ATOMIC_RELAXED);
	__atomic_store_n(&a->bytes, bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&a->ns, ns, __ATOMIC_RELAXED);
	__atomic_store_n(&a->level, level, __ATOMIC_RELAXED);
	__atomic_store_n(&a->status, status, __ATOMIC_RELAXED);
	__atomic_store_n(&a->seq, a->seq + 1, __ATOMIC_RELEASE);
	hak_count(HAK_C_PURGE_REQUESTS, 1);
}

static void carry_out(uint64_t id, uint32_t level)
{
	bool known = level >= HAK_PURGE_CACHE && level <= HAK_PURGE_ALL;
	uint32_t status = locked() ? EPERM : known ? 0 : EINVAL;
	uint64_t start = hak_os_now_ns(), bytes = 0, ns;

	if (!status)
		bytes = hak_purge(level);
	ns = hak_os_now_ns() - start;
	hak_lock(HAK_LOCK_TUNE);
	write_answer(id, level, bytes, ns, status);
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

uint64_t hak_tune_until_deadline(void)
{
	uint64_t deadline = atomic_load_explicit(&st.deadline, memory_order_relaxed), now;

	if (deadline == UINT64_MAX)
		return UINT64_MAX;
	now = hak_os_boottime_ns();
	return now < deadline ? deadline - now : 0;
}

/*
 * A lock on a byte costs two system calls to look at, and a filter that nobody told us of may not
 * know them. So we look when a controller woke us, and from time to time while one is attached.
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
	if (!hak_segment_tune() || now - last < LOOK_MS || !hak_trylock(HAK_LOCK_TUNE))
		return;
	atomic_store_explicit(&st.looked_ms, now, memory_order_relaxed);
	atomic_store_explicit(&st.look, false, memory_order_relaxed);
	attached = hak_segment_pageout_locked();
	if (attached)
		hak_segment_lazy_prepare();
	hak_lazy_set_pageout(attached);
	hak_unlock(HAK_LOCK_TUNE);
}

void hak_tune_tick(void)
{
	if (atomic_load_explicit(&st.forking, memory_order_relaxed))
		return;
	if (hak_unlikely(!hak_tune_until_deadline()) && hak_trylock(HAK_LOCK_TUNE)) {
		apply(true);
		hak_unlock(HAK_LOCK_TUNE);
	}
	look_for_pageout();
	if (hak_unlikely(atomic_load_explicit(&hak_segment_leaving, memory_order_relaxed)) &&
	    hak_self->magic == HAK_CACHE_MAGIC)
		hak_segment_settle(hak_self);
}

int hak_tune_program(enum hak_tunable t, uint64_t value)
{
	const struct hak_tunable_desc *d = &hak_tunable_desc[t];

	if (d->when == HAK_WHEN_START)
		return -EPERM;
	if (value < d->min || value > d->max)
		return -ERANGE;
	hak_lock(HAK_LOCK_TUNE);
	st.layer[HAK_ORIGIN_PROGRAM][t] = value;
	st.set[t] |= 1u << HAK_ORIGIN_PROGRAM;
	apply(true);
	hak_unlock(HAK_LOCK_TUNE);
	return 0;
}

void hak_tune_set_agent(bool runs)
{
	hak_lock(HAK_LOCK_TUNE);
	if (hak_ack)
		__atomic_store_n(&hak_ack->agent, runs, __ATOMIC_RELAXED);
	hak_count(HAK_C_AGENT, runs ? 1 : -1);
	hak_unlock(HAK_LOCK_TUNE);
}

/* ---- the environment ---- */

static void complain(const char *entry, size_t bytes, const struct hak_tunable_desc *d)
{
	char line[256];
	struct hak_text t = { line, sizeof(line), 0 };

	hak_text_put(&t, "hakmem: HAKMEM: \"");
	hak_text_put_escaped(&t, entry, bytes > 64 ? 64 : bytes);
	hak_text_put(&t,
		     d ? "\" skipped: " : "\" skipped: no such tunable, see hakmem-tunables(7)");
	if (d) {
		hak_text_put(&t, d->name);
		hak_text_put(&t, " takes ");
		hak_text_put_accepted(&t, d);
	}
	hak_text_say(&t);
	hak_count(HAK_C_ENV_ERRORS, 1);
}

/* NAME=VALUE; control=off is short for control.segment=off. */
static void read_entry(const char *entry, size_t bytes)
{
	enum hak_tunable t;
	uint64_t value;
	size_t name = 0;

	while (name < bytes && entry[name] != '=')
		name++;
	t = name == 7 && !__builtin_memcmp(entry, "control", 7) ? HAK_T_CONTROL_SEGMENT
								: hak_tunable_find(entry, name);
	if (t == HAK_TUNABLES) {
		complain(entry, bytes, NULL);
		return;
	}
	if (name == bytes ||
	    hak_text_parse(&hak_tunable_desc[t], entry + name + 1, bytes - name - 1, &value)) {
		complain(entry, bytes, &hak_tunable_desc[t]);
		return;
	}
	st.layer[HAK_ORIGIN_ENVIRONMENT][t] = value;
	st.set[t] |= 1u << HAK_ORIGIN_ENVIRONMENT;
}

static void read_environment(void)
{
	const char *s = hak_environment("HAKMEM");

	while (s && *s) {
		size_t bytes = 0;

		while (s[bytes] && s[bytes] != ',')
			bytes++;
		if (bytes)
			read_entry(s, bytes);
		s += bytes + (s[bytes] == ',');
	}
}

/* ---- start ---- */

extern const char hak_first[] __asm__("__ehdr_start") HAK_HIDDEN;
extern const char hak_last[] __asm__("_end") HAK_HIDDEN;

/*
 * Whether the program's malloc is ours. Not in a second copy of the library, nor where the program
 * brings its own: they would publish a heap that nobody uses. By its address, as far as that tells;
 * in a program that is not position-independent the address is one of the program's own, so there
 * the question is whose block a call returns.
 */
static bool is_bound(void)
{
	void *(*volatile by_name)(size_t) = malloc;
	void *p;
	bool ours;

	if ((uintptr_t)by_name - (uintptr_t)hak_first < (uintptr_t)(hak_last - hak_first))
		return true;
	p = by_name(1);
	ours = hak_granule_tag(p) != 0;
	free(p);
	return ours;
}

__attribute__((constructor(101))) void hak_tune_init(void)
{
	static _Atomic bool started;

	if (atomic_exchange_explicit(&started, true, memory_order_relaxed) || hak_abstain())
		return;
	hak_os_init();
	hak_filter_look();
	hak_stop_init();
	hak_heap_reserve();
	st.pid = hak_sys(SYS_getpid, 0, 0, 0, 0, 0, 0);
	st.no_segment = hak_auxv(AT_SECURE) || !is_bound();
	hak_lock(HAK_LOCK_TUNE);
	read_environment();
	if (evaluate())
		hak_purge_tuned();
	if (!st.no_segment && hak_tun(HAK_T_CONTROL_SEGMENT))
		make_segment();
	hak_unlock(HAK_LOCK_TUNE);
	hak_heap_attach();
	if (hak_tun(HAK_T_CONTROL_AGENT) == HAK_AGENT_ON)
		hak_agent_start();
}

void hak_tune_sandbox(void)
{
	hak_tune_init();
	if (hak_sys(SYS_getpid, 0, 0, 0, 0, 0, 0) != st.pid) {
		/* else a vfork child's sandbox: everything here is its parent's */
		if (!hak_heap_is_copy())
			return;
		hak_heap_attach();
	}
	hak_limit_look(); /* for the last time */
	/* first, so that no other thread starts an agent once this one is gone */
	hak_lock(HAK_LOCK_TUNE);
	hak_os_enter_sandbox();
	hak_unlock(HAK_LOCK_TUNE);
	hak_agent_stop();
}

/* ---- fork ---- */

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
		hak_stats_fork_prepare(); /* no handler did: as good as can be had now */
	st.pid = hak_sys(SYS_getpid, 0, 0, 0, 0, 0, 0);
	listen_to(NULL);
	hak_agent_fork_child();
	hak_lazy_set_pageout(false);
	fill_page(&page);
	if (!hak_segment_leave(hak_tun(HAK_T_CONTROL_SEGMENT) ? &page : NULL, locked()))
		begin_to_listen();
	atomic_store_explicit(&st.forking, false, memory_order_relaxed);
}
