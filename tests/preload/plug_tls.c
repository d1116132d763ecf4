// SPDX-License-Identifier: MIT
/*
 * Thread-local storage in bulk, built in two ways. With PLUG_TLS_STATIC and few bytes it uses up
 * the surplus of static TLS. Without it, and with many bytes, ld.so has to allocate a block in each
 * thread at the first touch.
 */
#include <stdlib.h>
#include <string.h>

#ifndef PLUG_TLS_BYTES
#define PLUG_TLS_BYTES 65536
#endif

char *plug_tls_touch(int value);

#ifdef PLUG_TLS_STATIC
static __thread char area[PLUG_TLS_BYTES] __attribute__((tls_model("initial-exec")));
#else
static __thread char area[PLUG_TLS_BYTES] __attribute__((tls_model("global-dynamic")));
#endif

char *plug_tls_touch(int value)
{
	char *p = malloc(1000);

	memset(area, value, sizeof(area));
	if (p)
		memset(p, value, 1000);
	free(p);
	return area;
}
