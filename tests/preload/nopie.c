// SPDX-License-Identifier: MIT
/*
 * A program linked at fixed addresses (-no-pie) that takes malloc's address, so that its own PLT
 * entry becomes the malloc that every dlsym and pointer comparison finds, as in node and many older
 * builds. loader.c runs it with the library preloaded; it prints on one line what it sees.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	static char line[4096];
	FILE *f = fopen("/proc/self/maps", "r");
	void *(*volatile taken)(size_t) = malloc; /* in code: by its PLT entry */
	char *p = taken(100000);
	int segment = 0;

	while (f && fgets(line, sizeof(line), f))
		segment |= strstr(line, "memfd:hakmem-stats") != NULL;
	if (p)
		memset(p, 1, 100000);
	p = realloc(p, 3000000);
	printf("%s %s\n", p && p[99999] == 1 ? "usable" : "broken", segment ? "segment" : "unseen");
	free(p);
	return 0;
}
