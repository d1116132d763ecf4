/* SPDX-License-Identifier: MIT */
/*
 * Calls of the program that the library must see: pthread_create (the agent), prctl (sandboxes),
 * dlopen (RTLD_DEEPBIND, see dlopen.S). Each does what libc's does. libc's own are looked up at
 * first use, never in a constructor, which would cost every process.
 */
#ifndef HAK_INTERPOSE_H
#define HAK_INTERPOSE_H

#include <pthread.h>

#include "hak.h"

/* libc's. ENOSYS if there is none, which a program that could call pthread_create never sees. */
int hak_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			    void *arg);

/* For dlopen.S: libc's dlopen. Never NULL. */
HAK_HIDDEN void *hak_real_dlopen(void);

#endif
