/* SPDX-License-Identifier: MIT */
/*
 * The interposed calls. See interpose.h.
 *
 * The next definition is found by symbol.c, where this library was there from the start. Otherwise
 * by dlsym(), which may be replaced: one in a library before this one finds this one.
 *
 * Looking a function up takes the loader's lock. That is safe at first use: a first pthread_create
 * or dlopen that runs while another thread holds that lock and waits for it would need a second
 * thread, which only an earlier pthread_create can have made.
 */
#include "interpose.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "agent.h"
#include "symbol.h"
#include "sys.h"
#include "tune.h"

extern const char hak_first[] __asm__("__ehdr_start") HAK_HIDDEN;
extern const char hak_last[] __asm__("_end") HAK_HIDDEN;

static bool is_ours(const void *f)
{
	return (uintptr_t)f - (uintptr_t)hak_first < (uintptr_t)(hak_last - hak_first);
}

/* The next definition after ours, remembered: the same answer whoever asks first. */
static void *next_symbol(_Atomic(void *) *cache, const char *name)
{
	void *f = atomic_load_explicit(cache, memory_order_relaxed);

	if (hak_unlikely(!f)) {
		f = hak_symbol_next(name);
		if (!f)
			f = dlsym(RTLD_NEXT, name);
		if (is_ours(f))
			f = NULL;
		atomic_store_explicit(cache, f, memory_order_relaxed);
	}
	return f;
}

void *hak_real_dlopen(void)
{
	static _Atomic(void *) cache;
	void *f = next_symbol(&cache, "dlopen");

	if (!f)
		hak_die("no dlopen in any library after this one", NULL);
	return f;
}

#if HAK_CONTROL

int hak_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			    void *arg)
{
	static _Atomic(void *) cache;
	int (*f)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	void *p = next_symbol(&cache, "pthread_create");

	if (!p)
		return ENOSYS;
	__builtin_memcpy(&f, &p, sizeof(f));
	return f(thread, attr, run, arg);
}

HAK_EXPORT int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr,
			      void *(*run)(void *), void *restrict arg)
{
	return hak_agent_create_thread(thread, attr, run, arg);
}

/* A filter without a program only asks whether filters exist. */
static bool enters_sandbox(int option, const unsigned long arg[4])
{
	if (option == PR_SET_NO_NEW_PRIVS)
		return arg[0] == 1;
	return option == PR_SET_SECCOMP && (arg[0] == SECCOMP_MODE_STRICT || arg[1]);
}

HAK_EXPORT int prctl(int option, ...)
{
	unsigned long arg[4];
	va_list ap;
	long r;

	va_start(ap, option);
	for (int i = 0; i < 4; i++)
		arg[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (enters_sandbox(option, arg))
		hak_tune_sandbox();
	r = hak_sys(SYS_prctl, option, (long)arg[0], (long)arg[1], (long)arg[2], (long)arg[3], 0);
	if (r < 0 && r > -4096) {
		errno = (int)-r;
		return -1;
	}
	return (int)r;
}

#endif

#if !defined(__x86_64__) && !defined(__aarch64__)

/*
 * Without assembly the caller seems to be this library, so that its RUNPATH and not the
 * caller's is searched.
 */
HAK_EXPORT void *dlopen(const char *file, int mode)
{
	void *(*f)(const char *, int);
	void *p = hak_real_dlopen();

	__builtin_memcpy(&f, &p, sizeof(f));
	return f(file, mode & ~RTLD_DEEPBIND);
}

#endif
