/* SPDX-License-Identifier: MIT */
/*
 * An index of an array by a key, where other processes choose the keys and their number: a hash
 * table with open addressing, at most half full. The hash has a secret, so that no process can
 * choose keys that collide.
 *
 * For hakmemctl. An index that is all zero is empty. One thread.
 */
#ifndef HAK_INDEX_H
#define HAK_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct hak_index {
	struct hak_index_slot {
		uint32_t hash, number; /* number + 1; 0: free */
	} * slot;
	size_t slots, n; /* slots is a power of two */
};

/* `seed` joins several parts into one key; 0 for the first. */
uint32_t hak_index_hash(const void *key, size_t bytes, uint32_t seed);

/* Returns the element with that hash for which `same` is true; -1 if there is none. */
ssize_t hak_index_find(const struct hak_index *index, uint32_t hash,
		       bool (*same)(size_t number, const void *arg), const void *arg);

/* Adds an element that is not in the index. Returns 0 or -ENOMEM. */
int hak_index_add(struct hak_index *index, uint32_t hash, size_t number);

void hak_index_free(struct hak_index *index);

#endif
