/* SPDX-License-Identifier: MIT */
/*
 * Seccomp filters under which the process was started, as in most containers and many services. A
 * filter answers a call that it does not allow with an error or with death, and only trying tells
 * which. So a child tries. It shares the memory, or before Linux 5.16 has a copy, and runs while
 * this process waits. It makes every call that this library makes and glibc's malloc does not. If a
 * call fails or the child dies, the library behaves as in a sandbox (os.h): without a segment, and
 * with the calls of glibc's malloc only.
 *
 * The interposed prctl (interpose.c) sees filters that the program puts on itself later.
 */
#ifndef HAK_FILTER_H
#define HAK_FILTER_H

/*
 * Called before any such call, at the first allocation or in the constructor. Idempotent; costs one
 * prctl.
 */
void hak_filter_look(void);

#endif
