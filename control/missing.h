/* SPDX-License-Identifier: MIT */
/*
 * Numbers of the kernel that the headers of glibc 2.31 do not know. This header includes the
 * headers that would define them, so that they are never defined twice.
 *
 * For control/, bpf/, hakmemctl and tests.
 */
#ifndef HAK_MISSING_H
#define HAK_MISSING_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000u
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#endif
