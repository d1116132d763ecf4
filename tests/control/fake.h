/* SPDX-License-Identifier: MIT */
/*
 * The process's side of the segment without an allocator. Tests fabricate valid and invalid
 * segments with it, and play the process that answers. It is made from abi.h and the tables alone,
 * so it also shows whether those suffice to write a library.
 *
 * Failures of the fake itself end the test.
 */
#ifndef HAK_TEST_FAKE_H
#define HAK_TEST_FAKE_H

#include <stdbool.h>

#include "control/abi/abi.h"

#define FAKE_HEAPS 16u

struct fake {
	int stats_fd, tune_fd;
	char *map; /* all of the stats memfd */
	size_t bytes;
	struct hak_stats_header *header;
	struct hak_counter_desc *counter;
	struct hak_tunable_desc *tunable;
	uint32_t *class_size;
	struct hak_ack *ack;
	struct hak_lazy_table *lazy;
	uint64_t *proc;
	char *heaps;
	struct hak_tune *tune;
};

/* Makes both memfds, mapped and filled in for this process, not sealed yet. */
void fake_create(struct fake *f);
void fake_seal(struct fake *f);

/* Applies the tune page if its generation moved, as libhakmem/share/tune.c does. Returns true if
 * something was applied. */
bool fake_apply(struct fake *f);

/* Answers the last purge request unless it was answered already. Returns true if it did. */
bool fake_answer(struct fake *f, uint64_t bytes, uint64_t ns);

struct hak_heap_block *fake_heap(struct fake *f, unsigned i);

#endif
