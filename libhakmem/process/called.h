/* SPDX-License-Identifier: MIT */
/*
 * A thread that a tracer borrows. A process that sleeps and has no agent answers no request. A
 * tracer (hakmemctl purge --attach) stops one of its threads, makes the thread run
 * hak_called_entry, and gives the thread its registers back.
 *
 * The contract with the tracer. The address of hak_called_entry is in the header of hakmem-stats.
 * The tracer writes a struct ucontext of the kernel, with the state of the thread, below the
 * thread's red zone, sets the stack pointer to it (a multiple of 16), and blocks all signals. The
 * code calls hak_called(), and then rt_sigreturn(), which restores that state. The tracer stops the
 * thread at the entry of this call, reads the result in rbx, and restores the state itself, with
 * the restart of an interrupted system call. If the tracer is gone by then, the call is made, and
 * the thread goes on as after a signal handler.
 */
#ifndef HAK_CALLED_H
#define HAK_CALLED_H

#include "base/hak.h"

/*
 * Carries out the requests in the tune page. Returns 0, or for a thread that must not do this now
 * -EBUSY: it is inside the allocator or holds one of its locks; -EDEADLK: it is on its alternate
 * signal stack; -ESRCH: it belongs to another process, with which it shares this memory;
 * -EOPNOTSUPP: the process is in a sandbox.
 */
HAK_HIDDEN long hak_called(void);

/* The code, in entry.S; NULL: there is none for this machine. */
#if HAK_CONTROL && defined(__x86_64__)
extern HAK_HIDDEN const char hak_called_entry[];
#else
#define hak_called_entry NULL
#endif

#endif
