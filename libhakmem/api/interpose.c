/* SPDX-License-Identifier: MIT */
/*
 * Calls of the program that the library must see: pthread_create (the agent), prctl (sandboxes),
 * dlopen (RTLD_DEEPBIND, see dlopen.S). Each does what libc's function does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <pthread.h>
#include <sys/prctl.h>

#include "base/sys.h"
#include "process/agent.h"
#include "start.h"
#include "system/real.h"

#if HAK_CONTROL

HAK_EXPORT int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr,
			      void *(*run)(void *), void *restrict arg)
{
	/*
	 * Another library's constructor runs before this library's. What must be done while the
	 * process has one thread is done now.
	 */
	hak_start();
	return hak_agent_create_thread(thread, attr, run, arg);
}

/* A call without a filter program only asks whether filters exist. */
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
		hak_start_sandbox();
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
 * Without assembly the caller seems to be this library, so its RUNPATH is searched instead of the
 * caller's.
 */
HAK_EXPORT void *dlopen(const char *file, int mode)
{
	void *(*f)(const char *, int);
	void *p = hak_real_dlopen();

	__builtin_memcpy(&f, &p, sizeof(f));
	return f(file, mode & ~RTLD_DEEPBIND);
}

#endif
