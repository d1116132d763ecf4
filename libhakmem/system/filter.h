/* SPDX-License-Identifier: MIT */
/*
 * Seccomp filters that the process was started under, as in most containers and many services. They
 * answer a call they do not know with an error, or with death, and nothing tells which before it is
 * tried. So a child tries: it shares our memory, or before Linux 5.16 has a copy, runs while we
 * wait, and makes every call that this library makes and glibc's malloc would not. If it fails or
 * dies, the library behaves as in a sandbox (os.h): no segment, and only calls that glibc's malloc
 * makes too.
 *
 * Filters that the program puts on itself later are seen by the interposed prctl (interpose.c).
 */
#ifndef HAK_FILTER_H
#define HAK_FILTER_H

/* Before any such call; at the first allocation or in the constructor. Idempotent, one prctl. */
void hak_filter_look(void);

#endif
