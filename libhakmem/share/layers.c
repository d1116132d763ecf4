/* SPDX-License-Identifier: MIT */
/* The layers from which values of tunables come. See layers.h. */
#include "layers.h"

#include "base/probe.h"
#include "base/stats.h"
#include "base/values.h"
#include "share.h"
#include "system/os.h"

enum { OWN_LAYERS = HAK_ORIGIN_ENVIRONMENT + 1 };

/* No part of this is shared memory. */
static struct {
	uint64_t layer[OWN_LAYERS][HAK_TUNABLES]; /* that of the default is unused */
	uint32_t set[HAK_TUNABLES];		  /* a bit for each origin of own layers */
	struct hak_tune_slot slot[HAK_TUNABLES][HAK_LAYERS_OUTSIDE];
	uint64_t asked[HAK_TUNABLES];
	_Atomic uint64_t deadline; /* the earliest in force; UINT64_MAX: none */
#if HAK_DEBUG
	uint64_t evaluated; /* ns: when the layers were last evaluated; 0: never */
#endif
} st = { .deadline = UINT64_MAX };

void hak_layers_set(enum hak_origin origin, enum hak_tunable t, uint64_t value)
{
	st.layer[origin][t] = value;
	st.set[t] |= 1u << origin;
}

/*
 * Returns the origins whose layers are set and have not expired, and the nearest deadline among
 * them.
 */
static uint32_t origins_set(enum hak_tunable t, uint64_t now, uint64_t *deadline)
{
	uint32_t set = st.set[t] | 1u << HAK_ORIGIN_DEFAULT;

	for (int who = HAK_LAYER_POLICY; who < HAK_LAYERS_OUTSIDE; who++) {
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

bool hak_layers_locked(void)
{
	return st.set[HAK_T_CONTROL_LOCK] && hak_tun(HAK_T_CONTROL_LOCK);
}

/* The value that the layers have at a time; `layer` is left out. */
static struct hak_ack_value value_at(enum hak_tunable t, uint64_t now, uint64_t *deadline)
{
	const struct hak_tunable_desc *d = &hak_tunable_desc[t];
	const uint32_t outside = 1u << HAK_ORIGIN_POLICY | 1u << HAK_ORIGIN_ADMIN;
	struct hak_ack_value v = { .set = origins_set(t, now, deadline) };

	if ((v.set & outside) && (d->when == HAK_WHEN_START || hak_layers_locked())) {
		v.refused = 1;
		v.set &= ~outside;
	}
	v.origin = 31u - (uint32_t)__builtin_clz(v.set);
	v.asked = layer_value(t, v.origin);
	v.value = v.asked < d->min ? d->min : v.asked > d->max ? d->max : v.asked;
	v.clamped = v.value != v.asked;
	return v;
}

/* ---- invariants ---- */

#if HAK_DEBUG

static void check_answer(enum hak_tunable t, const struct hak_ack_value *v)
{
	const struct hak_ack_value *to = &hak_ack->value[t];

	hak_assert(to->value == v->value && to->asked == v->asked);
	hak_assert(to->set == v->set && to->origin == v->origin);
	hak_assert(to->clamped == v->clamped && to->refused == v->refused);
	for (unsigned int i = 0; i < OWN_LAYERS; i++)
		hak_assert(to->layer[i] == layer_value(t, i));
}

void hak_layers_check(void)
{
	const uint32_t own = 1u << HAK_ORIGIN_PROGRAM | 1u << HAK_ORIGIN_ENVIRONMENT;
	uint64_t deadline = UINT64_MAX;

	if (!st.evaluated) /* nothing was asked for, and unit tests store values */
		return;
	for (unsigned int t = 0; t < HAK_TUNABLES; t++) {
		const struct hak_tunable_desc *d = &hak_tunable_desc[t];
		struct hak_ack_value v = value_at(t, st.evaluated, &deadline);

		hak_assert(!(st.set[t] & ~own));
		hak_assert(hak_tun(t) >= d->min && hak_tun(t) <= d->max);
		hak_assert(hak_tun(t) == v.value);
		hak_assert(st.asked[t] == v.asked);
		if (hak_ack)
			check_answer(t, &v);
	}
	hak_assert(deadline == atomic_load_explicit(&st.deadline, memory_order_relaxed));
}

#endif

/* Returns true if the value in force changed. */
static bool evaluate_one(enum hak_tunable t, uint64_t now, uint64_t *deadline)
{
	struct hak_ack_value v = value_at(t, now, deadline);
	bool changed;

	if (v.clamped && v.asked != st.asked[t])
		hak_count(HAK_C_TUNE_CLAMPED, 1);
	st.asked[t] = v.asked;
	changed = hak_tun(t) != v.value;
	atomic_store_explicit(&hak_tun_values[t], v.value, memory_order_relaxed);
	acknowledge(t, &v);
	if (changed)
		hak_probe(hakmem, tunable_applied, hak_tunable_desc[t].id, v.value, v.origin);
	return changed;
}

bool hak_layers_evaluate(void)
{
	uint64_t now = hak_os_boottime_ns(), deadline = UINT64_MAX;
	bool changed = false;

	for (unsigned int t = 0; t < HAK_TUNABLES; t++)
		changed |= evaluate_one(t, now, &deadline);
	atomic_store_explicit(&st.deadline, deadline, memory_order_relaxed);
#if HAK_DEBUG
	st.evaluated = now;
#endif
	return changed;
}

static void count_refusals(void)
{
	for (unsigned int t = 0; t < HAK_TUNABLES; t++)
		if ((st.slot[t][HAK_LAYER_POLICY].set || st.slot[t][HAK_LAYER_ADMIN].set) &&
		    (hak_layers_locked() || hak_tunable_desc[t].when == HAK_WHEN_START))
			hak_count(HAK_C_TUNE_REFUSED, 1);
}

void hak_layers_copy(const struct hak_tune_slot slot[HAK_TUNABLES][HAK_LAYERS_OUTSIDE])
{
	__builtin_memcpy(st.slot, slot, sizeof(st.slot));
	count_refusals();
}

void hak_layers_fill(struct hak_tune *page)
{
	for (unsigned int t = 0; t < HAK_TUNABLES; t++) {
		page->slot[t].policy = st.slot[t][HAK_LAYER_POLICY];
		page->slot[t].admin = st.slot[t][HAK_LAYER_ADMIN];
	}
}

uint64_t hak_layers_until_deadline(void)
{
	uint64_t deadline = atomic_load_explicit(&st.deadline, memory_order_relaxed), now;

	if (deadline == UINT64_MAX)
		return UINT64_MAX;
	now = hak_os_boottime_ns();
	return now < deadline ? deadline - now : 0;
}
