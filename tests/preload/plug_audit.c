// SPDX-License-Identifier: MIT
/*
 * An LD_AUDIT library. It lives in a namespace of its own, with a libc of its own, and allocates
 * while the program's libraries are loaded.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <link.h>
#include <stdlib.h>
#include <string.h>

static char *names[256];
static unsigned int count;

unsigned int la_version(unsigned int version)
{
	free(malloc(100));
	return version < LAV_CURRENT ? version : LAV_CURRENT;
}

unsigned int la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie)
{
	(void)lmid;
	(void)cookie;
	free(names[count % 256]);
	names[count % 256] = strdup(map->l_name);
	count++;
	return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

void la_preinit(uintptr_t *cookie)
{
	(void)cookie;
	free(realloc(malloc(10), 100000));
}
