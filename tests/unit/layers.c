// SPDX-License-Identifier: MIT
/*
 * libhakmem/share/layers.c: the highest layer that is set and not expired is in force, within the
 * range of the row. In debug builds its check finds what is corrupted.
 */
#include "../../libhakmem/share/layers.c"

#include "libhakmem/base/lock.h"
#include "libhakmem/process/attach.h"
#include "libhakmem/share/tune.h"
#include "unit.h"

#define T     HAK_T_PURGE_DELAY_MS
#define OTHER HAK_T_REGION_EVICT_BATCH

static struct hak_tune_slot slots[HAK_TUNABLES][HAK_LAYERS_OUTSIDE];

/* Sets both outside layers of T: the value of each, 0 for none, and the policy's deadline. */
static void ask(uint64_t policy, uint64_t deadline_ns, uint64_t admin)
{
	slots[T][HAK_LAYER_POLICY] = (struct hak_tune_slot){ .set = policy != 0,
							     .value = policy,
							     .deadline_ns = deadline_ns };
	slots[T][HAK_LAYER_ADMIN] = (struct hak_tune_slot){ .set = admin != 0, .value = admin };
	hak_lock(HAK_LOCK_TUNE);
	hak_layers_copy(slots);
	hak_layers_evaluate();
	hak_layers_check();
	hak_unlock(HAK_LOCK_TUNE);
}

static void set_own(enum hak_origin origin, uint64_t value)
{
	hak_lock(HAK_LOCK_TUNE);
	hak_layers_set(origin, T, value);
	hak_layers_evaluate();
	hak_layers_check();
	hak_unlock(HAK_LOCK_TUNE);
}

#define IN_FORCE(v) EXPECT(hak_tun(T) == (v), "%" PRIu64, hak_tun(T))

static void the_highest_is_in_force(void)
{
	const struct hak_tunable_desc *d = &hak_tunable_desc[T];
	uint64_t now = hak_os_boottime_ns(), hour = 3600ull * 1000000000;

	IN_FORCE(d->dflt);
	set_own(HAK_ORIGIN_ENVIRONMENT, 301);
	IN_FORCE(301);
	set_own(HAK_ORIGIN_PROGRAM, 302);
	IN_FORCE(301);
	ask(303, now + hour, 0);
	IN_FORCE(303);
	EXPECT(hak_layers_until_deadline() - 1 < hour, "%" PRIu64, hak_layers_until_deadline());
	ask(303, now + hour, 304);
	IN_FORCE(304);
	ask(303, now, 0);
	IN_FORCE(301);
	EXPECT(hak_layers_until_deadline() == UINT64_MAX, "a deadline that passed");
	ask(0, 0, UINT64_MAX);
	IN_FORCE(d->max);
}

#if HAK_DEBUG

#define LAYERS_FIND(text, ...) FINDS(text, hak_layers_check(), __VA_ARGS__)

static void corruption_of_layers_is_found(void)
{
	uint64_t far = hak_os_boottime_ns() + 3600ull * 1000000000;

	set_own(HAK_ORIGIN_ENVIRONMENT, 301);
	ask(303, far, 0);
	LAYERS_FIND("!(st.set[t] & ~own)", st.set[OTHER] |= 1u << HAK_ORIGIN_ADMIN);
	LAYERS_FIND("hak_tun(t) >= d->min && ",
		    hak_tun_values[OTHER] = hak_tunable_desc[OTHER].max + 1);
	LAYERS_FIND("hak_tun(t) >= d->min && ",
		    hak_tun_values[OTHER] = hak_tunable_desc[OTHER].min - 1);
	LAYERS_FIND("hak_tun(t) == v.value", hak_tun_values[T]--);
	LAYERS_FIND("hak_tun(t) == v.value", st.slot[T][HAK_LAYER_POLICY].value++);
	LAYERS_FIND("hak_tun(t) == v.value", st.slot[T][HAK_LAYER_POLICY].set = 0);
	LAYERS_FIND("hak_tun(t) == v.value", st.slot[T][HAK_LAYER_ADMIN].set = 1);
	LAYERS_FIND("hak_tun(t) == v.value", st.evaluated = far);
	LAYERS_FIND("st.asked[t] == v.asked", st.asked[T]++);
	LAYERS_FIND("deadline == ", st.deadline++);
	hak_layers_check();
	ask(0, 0, 0);
	LAYERS_FIND("hak_tun(t) == v.value", st.layer[HAK_ORIGIN_ENVIRONMENT][T]++);
	LAYERS_FIND("hak_tun(t) == v.value", st.set[T] = 0);
	hak_layers_check();
}

#if HAK_CONTROL

#define ANSWER (hak_ack->value[T])

static void corruption_of_answers_is_found(void)
{
	hak_heap_attach();
	hak_tune_start(false);
	CHECK(hak_ack, "no segment");
	set_own(HAK_ORIGIN_ENVIRONMENT, 301);
	LAYERS_FIND("to->value == v->value && ", ANSWER.value++);
	LAYERS_FIND("to->value == v->value && ", ANSWER.asked++);
	LAYERS_FIND("to->set == v->set && ", ANSWER.set++);
	LAYERS_FIND("to->set == v->set && ", ANSWER.origin++);
	LAYERS_FIND("to->clamped == v->clamped && ", ANSWER.clamped++);
	LAYERS_FIND("to->clamped == v->clamped && ", ANSWER.refused++);
	LAYERS_FIND("to->layer[i] == ", ANSWER.layer[HAK_ORIGIN_ENVIRONMENT]++);
	LAYERS_FIND("to->layer[i] == ", ANSWER.layer[HAK_ORIGIN_PROGRAM]++);
	/* an own layer that is not the one in force */
	LAYERS_FIND("to->layer[i] == ", st.layer[HAK_ORIGIN_PROGRAM][T]++);
	hak_layers_check();
}

#endif
#endif

static const struct tcase cases[] = {
	{ "the_highest_is_in_force", the_highest_is_in_force },
#if HAK_DEBUG
	{ "corruption_of_layers_is_found", corruption_of_layers_is_found },
#if HAK_CONTROL
	{ "corruption_of_answers_is_found", corruption_of_answers_is_found },
#endif
#endif
};

CASES(cases)
