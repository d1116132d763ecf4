/* SPDX-License-Identifier: MIT */
/*
 * What the tests of this folder share: expectations, and numbers that are random and the same each
 * time. A test that compares a module with a naive model of it ends at the first difference: what
 * follows would be noise.
 */
#ifndef HAK_TEST_UNIT_H
#define HAK_TEST_UNIT_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int failures;

#define EXPECT(cond, ...)                                                 \
	do {                                                              \
		if (!(cond)) {                                            \
			printf("%s:%d: %s: ", __FILE__, __LINE__, #cond); \
			printf(__VA_ARGS__);                              \
			putchar('\n');                                    \
			failures++;                                       \
		}                                                         \
	} while (0)

/* And no further. */
#define MUST(cond, ...)                    \
	do {                               \
		EXPECT(cond, __VA_ARGS__); \
		if (failures) {            \
			fflush(stdout);    \
			_Exit(1);          \
		}                          \
	} while (0)

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
