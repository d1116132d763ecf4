/* SPDX-License-Identifier: MIT */
/*
 * Borrows a thread of another process: stops it by ptrace(2), makes it run the library's code for
 * this purpose (libhakmem/process/called.h), and gives it its registers, vector registers, signal
 * mask and interrupted system call back.
 *
 * The caller is a process that does nothing else, because its end is what lets a thread go that
 * does not stop, or that is not at its end in time. At each moment the death of the caller leaves a
 * thread that goes on by itself: the one change before the thread runs is PTRACE_SETREGS, and the
 * code ends in rt_sigreturn(). Then a system call that was interrupted may return EINTR, as after a
 * signal handler.
 *
 * Everything that is read from the process may be forged. The code runs with the rights of the
 * process alone, and nothing that it returns is used but as a number.
 */
#ifndef HAK_CTL_BORROW_H
#define HAK_CTL_BORROW_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Makes the thread `tid` of the process, whose /proc/PID is `procfd`, run the code at `call`.
 * Returns what the code returned, 0 or below, or:
 *   -ESRCH		the thread ended
 *   -EPERM		the kernel does not allow it
 *   -ETIMEDOUT		the thread did not stop
 *   -EINPROGRESS	the thread was not at its end in time: it goes on by itself
 *   -ECANCELED		a signal stopped the process
 *   -EADDRNOTAVAIL	its stack has no room
 *   -EALREADY		it is in a critical section of rseq(2)
 *   -ENOEXEC		it does not run code of this program's architecture
 *   -ENOSYS		this program was not built for a machine on which this is possible
 */
int ctl_borrow(int procfd, pid_t tid, uint64_t call, uint64_t until_ns);

#endif
