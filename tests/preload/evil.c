// SPDX-License-Identifier: MIT
/*
 * A malloc with one bug, to prove that the stress test finds bugs. It is preloaded over glibc's own
 * functions. EVIL names the bug, which about every 3000th call has:
 * 	none      no bug, as the control
 * 	twice     a live block is handed out a second time
 * 	inside    a block is handed out that lies inside a live one
 * 	misalign  a pointer is 8 bytes off its alignment
 * 	align     memalign forgets the alignment
 * 	realloc   one byte is lost on the way
 * 	calloc    one byte is not zero
 * 	late      a freed block is written to after it has a new owner
 * 	usable    malloc_usable_size promises 64 bytes too many
 * 	forkzero  a child finds a page of zeros in a block of its parent's
 * Blocks that a bug made are never freed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PERIOD = 3000, KEPT = 4096 };

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t m, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static const char *bug;
static unsigned long calls;
static void *spoilt[KEPT]; /* never to be given to glibc's free */
static unsigned int spoilt_count;
static pthread_mutex_t spoilt_lock = PTHREAD_MUTEX_INITIALIZER;
static char *recent; /* a block that is probably live */
static size_t recent_size;
static char *freed;

static int now(const char *which)
{
	if (!bug) {
		const char *s = getenv("EVIL");

		bug = s ? s : "none";
	}
	if (strcmp(bug, which) != 0)
		return 0;
	return __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % PERIOD == 0;
}

static void *spoil(void *p)
{
	pthread_mutex_lock(&spoilt_lock);
	spoilt[spoilt_count++ % KEPT] = p;
	pthread_mutex_unlock(&spoilt_lock);
	return p;
}

static int is_spoilt(void *p)
{
	unsigned int i, n = __atomic_load_n(&spoilt_count, __ATOMIC_RELAXED);

	for (i = 0; i < n && i < KEPT; i++)
		if (spoilt[i] == p)
			return 1;
	return 0;
}

static void *remember(void *p, size_t n)
{
	if (p && n >= 256) {
		recent = p;
		recent_size = n;
	}
	return p;
}

void *malloc(size_t n)
{
	if (recent && n <= recent_size && now("twice"))
		return spoil(recent);
	if (recent && n + 64 <= recent_size && now("inside"))
		return spoil(recent + 64);
	if (now("misalign"))
		return spoil((char *)__libc_malloc(n + 8) + 8);
	return remember(__libc_malloc(n), n);
}

void *calloc(size_t m, size_t n)
{
	char *p = __libc_calloc(m, n);

	if (p && m * n > 40 && now("calloc"))
		p[m * n - 3] = 1;
	return p;
}

void *realloc(void *p, size_t n)
{
	size_t was = p ? malloc_usable_size(p) : 0;
	char *q;

	if (p && is_spoilt(p)) {
		q = malloc(n);
		if (q)
			memcpy(q, p, n < was ? n : was);
		return q;
	}
	q = __libc_realloc(p, n);
	if (p && q && n > 40 && was > 40 && now("realloc"))
		q[(n < was ? n : was) / 2] ^= 1;
	return remember(q, n);
}

void free(void *p)
{
	if (p && is_spoilt(p))
		return;
	if (p && now("late") && malloc_usable_size(p) > 200) {
		__libc_free(p);
		freed = p;
		return;
	}
	if (freed && calls % 64 == 0) {
		freed[100] ^= 1;
		freed = NULL;
	}
	__libc_free(p);
}

void *memalign(size_t align, size_t n)
{
	if (align > 16 && now("align"))
		return spoil((char *)__libc_memalign(align, n + 16) + 16);
	return __libc_memalign(align, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
	*p = memalign(align, n);
	return *p ? 0 : 12;
}

/* glibc's arithmetic, because a look-up of its function would find this one. */
size_t malloc_usable_size(void *p)
{
	size_t head, usable;

	if (!p)
		return 0;
	head = ((size_t *)p)[-1];
	usable = (head & ~(size_t)7) - (head & 2 ? 16 : 8);
	return usable > 100 && usable < 400 && now("usable") ? usable + 64 : usable;
}

static void spoil_the_child(void)
{
	if (bug && strcmp(bug, "forkzero") == 0 && recent)
		memset(recent + 16, 0, recent_size - 16);
}

__attribute__((constructor)) static void begin(void)
{
	pthread_atfork(NULL, NULL, spoil_the_child);
	now("none");
}
