// SPDX-License-Identifier: MIT
/*
 * A plug-in that is loaded as PHP's extensions are: with RTLD_DEEPBIND and, for its own leaf
 * library, a search path of $ORIGIN/plug.d. With DEEPBIND its calls reach libc's malloc before a
 * preloaded one, unless the flag is cleared.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *plug_deep_strdup(const char *s);
void plug_deep_free(void *p);
char *plug_deep_exchange(char *theirs, int turn);
int plug_deep_leaf(int flags);
const char *plug_deep_leaf_error(void);

char *plug_deep_strdup(const char *s)
{
	return strdup(s);
}

void plug_deep_free(void *p)
{
	free(p);
}

/* Frees or grows a block of the caller and returns one of its own. */
char *plug_deep_exchange(char *theirs, int turn)
{
	char *line = NULL;

	if (turn % 3 == 0)
		return realloc(theirs, 100000);
	free(theirs);
	if (turn % 3 == 1 && asprintf(&line, "turn %d", turn) > 0)
		return line;
	return calloc(1, 3000000);
}

static const char *leaf_error = "";

/* Only this object's DT_RUNPATH finds the leaf, so only its return address does. */
int plug_deep_leaf(int flags)
{
	int (*answer)(void);
	void *leaf = dlopen("plug_leaf.so", flags);
	int r = 0;

	if (!leaf) {
		leaf_error = dlerror();
		return -1;
	}
	answer = (int (*)(void))dlsym(leaf, "plug_leaf_answer");
	r = answer ? answer() : -2;
	dlclose(leaf);
	return r;
}

const char *plug_deep_leaf_error(void)
{
	return leaf_error;
}
