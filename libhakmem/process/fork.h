/* SPDX-License-Identifier: MIT */
/*
 * What fork copies of the library's state, and what the child makes of the copy.
 *
 * fork() runs three handlers of the library. prepare takes every lock in order (lock.h) and saves
 * the forking thread's cache, which lies in memory that fork wipes. The child puts the cache back
 * and gets a segment of its own (tune.h). It declares the heaps of all other threads dead, or lost
 * if they were cut in the middle of a change. The blocks in the bins of other threads are lost to
 * the child, at most their cache budgets.
 *
 * A signal handler may fork wherever it interrupted its thread, and the child may return from the
 * handler: see child_inside() in fork.c. A child that stays in the handler, or whose thread left a
 * slow path by longjmp before, remains such a copy: it counts in private memory, and no controller
 * reaches it. A raw clone or _Fork runs no handlers: the child's first malloc or free finds the
 * cache wiped and calls hak_fork_copied(). vfork shares the memory and makes no copy, so nothing is
 * wiped.
 */
#ifndef HAK_FORK_H
#define HAK_FORK_H

struct hak_cache;

/* called once, after the first heap exists, because registering allocates */
void hak_fork_register(void);
/*
 * For the only thread of a copy in which no handlers ran. c is its wiped cache, or NULL if it had
 * none.
 */
void hak_fork_copied(struct hak_cache *c);

#endif
