/* SPDX-License-Identifier: MIT */
/*
 * Functions that this library replaces (interpose.c), as the next library has them. They are looked
 * up at first use. A look-up in a constructor would cost every process.
 */
#ifndef HAK_REAL_H
#define HAK_REAL_H

#include <pthread.h>

#include "base/hak.h"

/*
 * Calls libc's function. Returns ENOSYS if there is none, which no program that could call
 * pthread_create sees.
 */
int hak_real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			    void *arg);

/*
 * Returns the smallest stack that libc accepts for a thread with these attributes, thread-local
 * storage included; 0 if libc does not say so (before glibc 2.34, which has it in libpthread too).
 */
size_t hak_real_minstack(const pthread_attr_t *attr);

/* For dlopen.S: returns libc's dlopen, never NULL. */
HAK_HIDDEN void *hak_real_dlopen(void);

#endif
