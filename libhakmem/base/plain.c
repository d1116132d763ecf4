/* SPDX-License-Identifier: MIT */
/*
 * memcpy and similar functions under hak_ names (hak.h). They copy few bytes, rarely, and often
 * while a lock is held. The barriers keep the compiler from recognising the loops and replacing
 * each by a call of the function itself.
 */
#include <string.h>

#include "hak.h"

#define BARRIER() __asm__ volatile("" : : : "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	char *t = to;
	const char *f = from;

#if defined(__x86_64__)
	__asm__ volatile("rep movsb" : "+D"(t), "+S"(f), "+c"(n) : : "memory");
#else
	for (; n; n--) {
		*t++ = *f++;
		BARRIER();
	}
#endif
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;

	if ((uintptr_t)t - (uintptr_t)f >= n)
		return memcpy(to, from, n);
	while (n--) {
		t[n] = f[n];
		BARRIER();
	}
	return to;
}

void *memset(void *to, int value, size_t n)
{
	char *t = to;

#if defined(__x86_64__)
	__asm__ volatile("rep stosb" : "+D"(t), "+c"(n) : "a"(value) : "memory");
#else
	for (; n; n--) {
		*t++ = (char)value;
		BARRIER();
	}
#endif
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
		BARRIER();
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		BARRIER();
	return n;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		BARRIER();
	return (unsigned char)*a - (unsigned char)*b;
}
