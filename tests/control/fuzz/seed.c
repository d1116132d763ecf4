/* SPDX-License-Identifier: MIT */
/*
 * Writes a valid segment to stdout, for the fuzzer to begin with.
 */
#include <unistd.h>

#include "tests/control/fake.h"

int main(void)
{
	struct fake f;

	fake_create(&f);
	return write(STDOUT_FILENO, f.map, f.bytes) != (ssize_t)f.bytes;
}
