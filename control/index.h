/* SPDX-License-Identifier: MIT */
/*
 * Which element of an array has a key, where other processes choose the keys and how many: a table
 * of hashes with open addressing, at most half full. The hash has a secret, so that nobody can make
 * keys that all meet in one place.
 *
 * For: hakmemctl. An index that is zero is empty; one thread.
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
	size_t slots, n; /* slots: a power of two */
};

/* `seed` joins several parts into one key; 0 for the first. */
uint32_t hak_index_hash(const void *key, size_t bytes, uint32_t seed);

/* The element with that hash for which `same` is true; -1: there is none. */
ssize_t hak_index_find(const struct hak_index *index, uint32_t hash,
		       bool (*same)(size_t number, const void *arg), const void *arg);

/* An element that is not in it. 0 or -ENOMEM. */
int hak_index_add(struct hak_index *index, uint32_t hash, size_t number);

void hak_index_free(struct hak_index *index);

#endif
