// SPDX-License-Identifier: MIT
/*
 * The library that plug_deep.so finds through its own search path. Its constructor and destructor
 * allocate, as those of plug-ins do.
 */
#include <stdlib.h>
#include <string.h>

int plug_leaf_answer(void);

static char *kept;

__attribute__((constructor)) static void begin(void)
{
	kept = strdup("forty-two");
}

__attribute__((destructor)) static void end(void)
{
	free(kept);
}

int plug_leaf_answer(void)
{
	return kept && strcmp(kept, "forty-two") == 0 ? 42 : -3;
}
