/* SPDX-License-Identifier: MIT */
/*
 * Raw system calls. They set no errno, are no cancellation points, and may be used before
 * constructors and in a vfork child. The result is the kernel's: a negative errno on failure.
 */
#ifndef HAK_SYS_H
#define HAK_SYS_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Inlined also without optimization: when a call returns twice on one stack (filter.c), the child
 * would overwrite the frame of a function. */
#define HAK_SYS_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
HAK_SYS_INLINE long hak_sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
HAK_SYS_INLINE long hak_sys(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return x0;
}
#else
HAK_SYS_INLINE long hak_sys(long nr, long a, long b, long c, long d, long e, long f)
{
	int saved = errno;
	long ret = syscall(nr, a, b, c, d, e, f);

	if (ret == -1) {
		ret = -errno;
		errno = saved;
	}
	return ret;
}
#endif

#endif
