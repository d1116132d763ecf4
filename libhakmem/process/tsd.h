/* SPDX-License-Identifier: MIT */
/* The key of pthread_key_create(3) whose destructor tells that a thread ends. */
#ifndef HAK_TSD_H
#define HAK_TSD_H

#include <stdbool.h>

/*
 * Makes the key, once. Returns false while it is being made, by another thread or further up on the
 * stack of this one. True does not mean that making it succeeded.
 */
bool hak_tsd_make(void (*destructor)(void *value));
bool hak_tsd_made(void);
/* Returns 0, or an error number: no destructor will run for this thread. */
int hak_tsd_set(void *value);
/* For a fork child: the thread that was making the key may have stayed in the parent. */
void hak_tsd_fork_child(void);

#endif
