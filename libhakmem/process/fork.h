/* SPDX-License-Identifier: MIT */
/*
 * fork: what it copies of us, and what the child makes of it.
 *
 * fork() runs our handlers: prepare takes every lock in order (lock.h) and saves the forking
 * thread's cache, which lies in memory that fork wipes; the child puts it back, gets a segment of
 * its own (tune.h), and declares the heaps of all other threads dead, or lost if they were cut in
 * the middle of a change. What lay in the bins of other threads is lost to the child: at most their
 * cache budgets. A signal handler may fork wherever it interrupted its thread, and the child may
 * return from it: see child_inside() in fork.c. A raw clone or _Fork runs no handlers: its first
 * malloc or free finds the cache wiped and calls hak_fork_copied(). vfork shares our memory and is
 * no copy: nothing is wiped.
 */
#ifndef HAK_FORK_H
#define HAK_FORK_H

struct hak_cache;

/* once, after the first heap exists: registering allocates */
void hak_fork_register(void);
/* In a copy without handlers, by its only thread; c: its wiped cache, NULL: it had none. */
void hak_fork_copied(struct hak_cache *c);

#endif
