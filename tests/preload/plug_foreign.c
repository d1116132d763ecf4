// SPDX-License-Identifier: MIT
/*
 * A library that replaces every function of another library that the allocator calls or once called
 * (tests/foreign.list), as an overlay, a time faker or a profiler does. PLUG_FOREIGN says how:
 *
 *   malloc  each of them allocates, reallocates and frees
 *   yield   each of them lets other threads run first
 *   fail    each of them fails where the allocator is the caller; the clock stands still
 *   still   the clock stands still
 *   gone    each of them traps once this library's destructor has run
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

unsigned long plug_foreign_calls;

static volatile int gone;
/* volatile: the headers say that libc never calls back */
static __thread volatile int busy __attribute__((tls_model("initial-exec")));

static char mode(void)
{
	static char found;
	static const char name[] = "PLUG_FOREIGN=";

	for (char **at = environ; !found && at && *at; at++) {
		size_t i = 0;

		while (name[i] && (*at)[i] == name[i])
			i++;
		if (!name[i])
			found = (*at)[i];
	}
	return found;
}

static void misbehave(void)
{
	void *p;

	if (mode() == 'g' && gone)
		__builtin_trap();
	if (mode() == 'y')
		syscall(SYS_sched_yield);
	__atomic_fetch_add(&plug_foreign_calls, 1, __ATOMIC_RELAXED);
	if (mode() != 'm' || busy)
		return;
	busy++;
	p = malloc(100);
	p = realloc(p, 5000);
	free(malloc(1500000));
	free(p);
	busy--;
}

static void *real(const char *name)
{
	static const char *const versions[] = { "GLIBC_2.34", "GLIBC_2.32", "GLIBC_2.17",
						"GLIBC_2.3.2", "GLIBC_2.2.5" };
	void *f = NULL;

	busy++;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]) && !f; i++)
		f = dlvsym(RTLD_NEXT, name, versions[i]);
	busy--;
	if (!f)
		__builtin_trap();
	return f;
}

static int fails(const void *caller)
{
	static void *ours;
	Dl_info info;

	if (mode() != 'f')
		return 0;
	if (!ours) {
		void *(*look)(void *, const char *) = real("dlsym");
		void *version = look(RTLD_DEFAULT, "hakmem_version");

		if (!version || !dladdr(version, &info))
			return 0;
		ours = info.dli_fbase;
	}
	return dladdr(caller, &info) && info.dli_fbase == ours;
}

/* REPLACE(result, name, (parameters), (arguments), result of a failure) */
#define REPLACE(type, name, parameters, arguments, failure)     \
	type name parameters                                    \
	{                                                       \
		static type(*next) parameters;                  \
		if (!next)                                      \
			next = (type(*) parameters)real(#name); \
		misbehave();                                    \
		if (fails(__builtin_return_address(0)))         \
			return failure;                         \
		return next arguments;                          \
	}

REPLACE(int, pthread_key_create, (pthread_key_t * k, void (*f)(void *)), (k, f), EAGAIN)
REPLACE(int, pthread_setspecific, (pthread_key_t k, const void *p), (k, p), ENOMEM)
REPLACE(int, pthread_attr_init, (pthread_attr_t * a), (a), ENOMEM)
REPLACE(int, pthread_attr_setstacksize, (pthread_attr_t * a, size_t n), (a, n), EINVAL)
REPLACE(int, pthread_attr_destroy, (pthread_attr_t * a), (a), EINVAL)
REPLACE(int, pthread_setcancelstate, (int to, int *old), (to, old), EINVAL)
REPLACE(int, pthread_join, (pthread_t t, void **ret), (t, ret), ESRCH)
REPLACE(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old),
	EINVAL)
REPLACE(int, sigfillset, (sigset_t * set), (set), -1)
REPLACE(int, uname, (struct utsname * u), (u), -1)
REPLACE(unsigned long, getauxval, (unsigned long t), (t), 1)
REPLACE(char *, secure_getenv, (const char *name), (name), NULL)
REPLACE(int, dlclose, (void *handle), (handle), -1)
REPLACE(int, __register_atfork, (void (*a)(void), void (*b)(void), void (*c)(void), void *dso),
	(a, b, c, dso), ENOMEM)
REPLACE(size_t, fwrite, (const void *p, size_t n, size_t m, FILE *f), (p, n, m, f), 0)

/* The clock stands still for all callers. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	misbehave();
	if (mode() == 'f' || mode() == 's') {
		ts->tv_sec = 1000;
		ts->tv_nsec = 0;
		return 0;
	}
	return (int)syscall(SYS_clock_gettime, clock, ts);
}

void abort(void)
{
	void (*next)(void) = (void (*)(void))real("abort");

	misbehave();
	if (!fails(__builtin_return_address(0)))
		next();
	exit(3);
}

/* As in wrappers of dlsym(): the real one takes this library for the caller. */
void *dlsym(void *handle, const char *name)
{
	static void *(*next)(void *, const char *);

	if (!next)
		next = (void *(*)(void *, const char *))real("dlsym");
	misbehave();
	return fails(__builtin_return_address(0)) ? NULL : next(handle, name);
}

int fprintf(FILE *f, const char *format, ...)
{
	va_list ap;
	int n;

	misbehave();
	va_start(ap, format);
	n = vfprintf(f, format, ap);
	va_end(ap);
	return n;
}

/* Without these no library works, so they neither fail nor trap. */
int *__errno_location(void)
{
	static int *(*next)(void);
	static int meanwhile;

	/* a look-up that fails allocates its message, and so comes here */
	if (!next && busy)
		return &meanwhile;
	if (!next)
		next = (int *(*)(void))real("__errno_location");
	if (!gone)
		misbehave();
	return next();
}

void *memset(void *to, int value, size_t n)
{
	if (!gone)
		misbehave();
	for (size_t i = 0; i < n; i++)
		((volatile char *)to)[i] = (char)value;
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	if (!gone)
		misbehave();
	for (size_t i = 0; i < n; i++)
		((volatile char *)to)[i] = ((const char *)from)[i];
	return to;
}

__attribute__((destructor)) static void end(void)
{
	gone = 1;
}
