/* SPDX-License-Identifier: MIT */
/*
 * The key of pthread_key_create(3) by whose destructor the end of a thread is heard.
 */
#ifndef HAK_TSD_H
#define HAK_TSD_H

#include <stdbool.h>

/*
 * Makes the key, once. False: it is being made, by another thread or further up on this one's
 * stack. True says nothing of the outcome.
 */
bool hak_tsd_make(void (*destructor)(void *value));
bool hak_tsd_made(void);
/* 0, or an error number: no destructor will come for this thread. */
int hak_tsd_set(void *value);
/* The thread that was making the key may have stayed in the parent. */
void hak_tsd_fork_child(void);

#endif
