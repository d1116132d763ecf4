/* SPDX-License-Identifier: MIT */
/*
 * The acts of tests/bpf/actor share these: its books, and how it takes and uses memory.
 */
#ifndef HAK_TEST_ACTOR_H
#define HAK_TEST_ACTOR_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define PAGE	4096ul
#define BLOCK	(2ul << 20)
#define RW	(PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

/* What the process had used before the act. */
extern struct rusage from;

/* Adds to the book. */
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
/* Ends the process: the kernel lacks what the act needs; the act failed, unless ok. */
void lacks(const char *what);
void must(int ok, const char *what);

char *map(size_t bytes);
void touch(char *p, size_t pages);

/* The acts of actor-processes.c. */
void act_threads(void);
void act_shootdowns(void);
void act_fork(void);
void act_crowd(void);
void act_throng(void);
void act_vfork(void);

#endif
