// SPDX-License-Identifier: MIT
/*
 * For secure.test: a program linked to the library, because LD_PRELOAD does not reach a program
 * that runs with other rights than its caller's. It prints what it sees of itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "libhakmem/hakmem.h"

int main(void)
{
	int mapped = 0;
	uint64_t slots = 0;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && fgets(line, sizeof(line), f))
		mapped += strstr(line, "memfd:hakmem-") != NULL;
	if (hakmem_get("whale.ring_slots", &slots))
		return 1;
	printf("secure=%lu mapped=%d ring_slots=%lu\n", getauxval(AT_SECURE), mapped > 0,
	       (unsigned long)slots);
	free(malloc(3 << 20));
	return 0;
}
