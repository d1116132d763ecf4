/* SPDX-License-Identifier: MIT */
/* The policy of check.free. See misuse.h. */
#include "misuse.h"

#include "heap.h"

enum { CHECK_ABORT, CHECK_REPORT, CHECK_OFF }; /* values of check.free */

void hak_misuse(const char *what, const void *p)
{
	struct hak_cache *c = hak_self;
	uint64_t check = hak_tun(HAK_T_CHECK_FREE);

	if (c->magic == HAK_CACHE_MAGIC)
		hak_heap_count1(c, FREE_BAD);
	if (check == CHECK_ABORT)
		hak_die(what, p);
	if (check == CHECK_REPORT)
		hak_warn(what, p);
}
