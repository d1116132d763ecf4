/* SPDX-License-Identifier: MIT */
/* Serves a request on a thread that a tracer borrows. See called.h. */
#include "called.h"

#if HAK_CONTROL && defined(__x86_64__)

#include <errno.h>
#include <signal.h>

#include "base/lock.h"
#include "base/sys.h"
#include "heap/heap.h"
#include "share/tune.h"
#include "system/os.h"

static bool is_inside(void)
{
	const struct hak_cache *c = hak_self;

	if (hak_lock_held_any())
		return true;
	return c->magic == HAK_CACHE_MAGIC && (c->working || c->inside);
}

/* Such a stack may have no room for a purge. */
static bool on_alternate_stack(void)
{
	stack_t stack = { 0 };

	return hak_sys(SYS_sigaltstack, 0, (long)&stack, 0, 0, 0, 0) ||
	       (stack.ss_flags & SS_ONSTACK);
}

long hak_called(void)
{
	if (hak_os_sandboxed())
		return -EOPNOTSUPP;
	if (is_inside())
		return -EBUSY;
	if (!hak_tune_is_own_process() || hak_heap_is_copy())
		return -ESRCH;
	if (on_alternate_stack())
		return -EDEADLK;
	hak_tune_poll_slow();
	return 0;
}

#endif
