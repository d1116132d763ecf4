/* SPDX-License-Identifier: MIT */
/*
 * The last line of a process whose memory is corrupt, and the line about a misuse. This file makes
 * raw system calls only, because libc's functions may be replaced by functions that allocate.
 */

#include <signal.h>
#include <stdatomic.h>

#include "hak.h"
#include "sys.h"

static size_t put_text(char *to, size_t at, size_t max, const char *s)
{
	while (*s && at < max)
		to[at++] = *s++;
	return at;
}

void hak_warn(const char *what, const void *pointer)
{
	char line[256];
	size_t n = 0;
	int shift = 60;

	n = put_text(line, n, 200, "hakmem: ");
	n = put_text(line, n, 200, what);
	n = put_text(line, n, 204, " 0x");
	while (shift > 0 && !((uintptr_t)pointer >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		line[n++] = "0123456789abcdef"[((uintptr_t)pointer >> shift) & 15];
	line[n++] = '\n';
	hak_sys(SYS_write, 2, (long)line, (long)n, 0, 0, 0);
}

/*
 * Ends the process as abort() does. abort() itself may be replaced by a function that allocates or
 * returns. The signal goes to the program's handler first; where that handler returns, or comes
 * here again, the signal is sent once more with the default action.
 */
static _Noreturn void end_process(void)
{
	/* the kernel's struct sigaction; all zeros mean the default action */
	static const unsigned long by_default[8];
	static _Atomic long dying;
	const unsigned long only_abort = 1ul << (SIGABRT - 1);
	const long set_bytes = sizeof(only_abort);
	long tid = hak_sys(SYS_gettid, 0, 0, 0, 0, 0, 0);
	bool again = atomic_exchange_explicit(&dying, tid, memory_order_relaxed) == tid;

	for (int i = again; i < 2; i++) {
		if (i)
			hak_sys(SYS_rt_sigaction, SIGABRT, (long)by_default, 0, set_bytes, 0, 0);
		hak_sys(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&only_abort, 0, set_bytes, 0, 0);
		hak_sys(SYS_tgkill, hak_sys(SYS_getpid, 0, 0, 0, 0, 0, 0), tid, SIGABRT, 0, 0, 0);
	}
	for (;;)
		__builtin_trap();
}

_Noreturn void hak_die(const char *what, const void *pointer)
{
	hak_warn(what, pointer);
	end_process();
}
