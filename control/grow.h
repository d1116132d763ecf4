/* SPDX-License-Identifier: MIT */
/*
 * Arrays that grow by one element at a time and double. No state.
 *
 * For control/, bpf/, hakmemctl and hakmemd.
 */
#ifndef HAK_GROW_H
#define HAK_GROW_H

#include <stdlib.h>

/*
 * Returns the array with room for one more than its `n` elements of `bytes` each; it may have
 * moved. Returns NULL if there is no memory, and the array is unchanged. `*room` is 0 where `array`
 * is NULL.
 */
static inline void *hak_grow(void *array, size_t n, size_t *room, size_t bytes)
{
	size_t more = *room ? 2 * *room : 16;
	void *grown;

	if (n < *room)
		return array;
	grown = reallocarray(array, more, bytes);
	if (grown)
		*room = more;
	return grown;
}

#endif
