/* SPDX-License-Identifier: MIT */
/* The start of the library, and of a sandbox. See start.h. */
#include "start.h"

#include <stdlib.h>
#include <sys/auxv.h>

#include "base/abstain.h"
#include "base/lock.h"
#include "base/stop.h"
#include "base/values.h"
#include "base/vdso.h"
#include "cache/limit.h"
#include "heap/heap.h"
#include "page/slice.h"
#include "process/agent.h"
#include "process/attach.h"
#include "process/called.h"
#include "share/layout.h"
#include "share/tune.h"
#include "page/allowance.h"
#include "system/filter.h"
#include "system/os.h"

extern const char hak_first[] __asm__("__ehdr_start") HAK_HIDDEN;
extern const char hak_last[] __asm__("_end") HAK_HIDDEN;

/*
 * Returns whether the program's malloc is this library's. It is not in a second copy of the
 * library, nor where the program brings its own malloc; publishing such an unused heap would
 * mislead. The address of malloc tells, as far as possible. In a program that is not
 * position-independent the address lies in the program itself; there a call is made, and the owner
 * of the block tells.
 */
static bool is_bound(void)
{
	void *(*volatile by_name)(size_t) = malloc;
	void *p;
	bool ours;

	if ((uintptr_t)by_name - (uintptr_t)hak_first < (uintptr_t)(hak_last - hak_first))
		return true;
	p = by_name(1);
	ours = hak_slice_tag(p) != 0;
	free(p);
	return ours;
}

__attribute__((constructor(101))) void hak_start(void)
{
	static _Atomic bool started;

	if (atomic_exchange_explicit(&started, true, memory_order_relaxed) || hak_abstain())
		return;
	hak_os_init();
	hak_filter_look();
	hak_stop_init();
	hak_allowance_start();
	hak_heap_reserve();
	hak_layout_call = hak_called_entry;
	hak_tune_start(hak_auxv(AT_SECURE) || !is_bound());
	hak_heap_attach();
	if (hak_tun(HAK_T_CONTROL_AGENT) == HAK_AGENT_ON)
		hak_agent_start();
}

void hak_start_sandbox(void)
{
	hak_start();
	if (!hak_tune_is_own_process()) {
		/* otherwise this is a vfork child's sandbox, and all state is the parent's */
		if (!hak_heap_is_copy())
			return;
		hak_heap_attach();
	}
	hak_limit_look(); /* for the last time */
	/* comes first, so that no other thread starts an agent once this one is gone */
	hak_lock(HAK_LOCK_TUNE);
	hak_os_enter_sandbox();
	hak_unlock(HAK_LOCK_TUNE);
	hak_agent_stop();
}
