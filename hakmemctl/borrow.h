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
 * process alone, and nothing that it returns is used but as a number. The process may also execute
 * another program at any time, one with more rights, where what was forged must have no effect. So
 * nothing is changed before the thread has stopped and its memory is found to have the segment and
 * the code. Then the thread cannot execute a program without a stop, which ends the attempt. If
 * another thread does, all changes go to the memory before, or to a thread that is dead.
 */
#ifndef HAK_CTL_BORROW_H
#define HAK_CTL_BORROW_H

#include <stdint.h>
#include <sys/types.h>

#include "control/segment.h"

/*
 * Makes the thread `tid` of the process run the code that its segment names. Returns what the code
 * returned, 0 or below, or:
 *   -ESRCH		the thread ended, or executes another program
 *   -EBADMSG		the code does not lie in the file that the library's code lies in
 *   -EPERM		the kernel does not allow it
 *   -ETIMEDOUT		the thread did not stop
 *   -EINPROGRESS	the thread was not at its end in time: it goes on by itself
 *   -ECANCELED		a signal stopped the process
 *   -EADDRNOTAVAIL	its stack has no room
 *   -EALREADY		it is in a critical section of rseq(2)
 *   -ENOEXEC		it does not run code of this program's architecture
 *   -ENOSYS		this program was not built for a machine on which this is possible
 */
int ctl_borrow(const struct hak_segment *seg, pid_t tid, uint64_t until_ns);

#endif
