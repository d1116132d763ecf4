/* SPDX-License-Identifier: MIT */
/*
 * What the tests of this folder share: numbers that are random and the same each time. A test that
 * compares a module with a naive model of it ends at the first difference (CHECK, not EXPECT): what
 * follows would be noise.
 */
#ifndef HAK_TEST_UNIT_H
#define HAK_TEST_UNIT_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/check.h"

/* xorshift64* */
static inline uint64_t random_word(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717u;
}

static inline unsigned int random_below(unsigned int n)
{
	return (unsigned int)((random_word() >> 32) % n);
}

#endif
