// SPDX-License-Identifier: MIT
/*
 * libhakmem/share/tune.c: the program's values. In debug builds the check of the tune page's state
 * finds what is corrupted.
 */
#include "../../libhakmem/share/tune.c"

#include "libhakmem/process/attach.h"
#include "unit.h"

static void programs_values(void)
{
	const struct hak_tunable_desc *d = &hak_tunable_desc[HAK_T_REGION_EVICT_BATCH];

	EXPECT(!hak_tune_program(HAK_T_REGION_EVICT_BATCH, d->max), "refused");
	EXPECT(hak_tun(HAK_T_REGION_EVICT_BATCH) == d->max, "not in force");
	EXPECT(hak_tune_program(HAK_T_REGION_EVICT_BATCH, d->max + 1) == -ERANGE, "too large");
	EXPECT(hak_tune_program(HAK_T_CONTROL_LOCK, 1) == -EPERM, "after the start");
	EXPECT(hak_tun(HAK_T_REGION_EVICT_BATCH) == d->max && !hak_layers_locked(), "changed");
}

#if HAK_DEBUG

#define TUNE_FINDS(text, ...) FINDS(text, hak_tune_check(), __VA_ARGS__)

static void corruption_is_found(void)
{
	hak_heap_attach();
	hak_tune_start(false);
	TUNE_FINDS("!(st.generation & 1)", st.generation++);
	TUNE_FINDS("hak_tun(t) == v.value", hak_tun_values[HAK_T_REGION_EVICT_BATCH]--);
#if HAK_CONTROL
	CHECK(hak_ack && hak_share_tune(), "no segment");
	TUNE_FINDS("!st.no_segment || !page", st.no_segment = true);
	TUNE_FINDS("!page == !hak_ack", hak_ack = NULL);
	TUNE_FINDS("hak_tune_word() == ", hak_tune_wake = &private_wake);
	TUNE_FINDS("!hak_ack || hak_ack->applied == ", st.generation += 2);
	TUNE_FINDS("!hak_ack || hak_ack->applied == ", hak_ack->applied += 2);
	TUNE_FINDS("!hak_ack || hak_ack->agent <= 1", hak_ack->agent = 2);
#endif
	hak_tune_check();
}

#endif

static const struct tcase cases[] = {
	{ "programs_values", programs_values },
#if HAK_DEBUG
	{ "corruption_is_found", corruption_is_found },
#endif
};

CASES(cases)
