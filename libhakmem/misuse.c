/* SPDX-License-Identifier: MIT */
#include "misuse.h"

#include "heap.h"
#include "tune.h"

enum { CHECK_ABORT, CHECK_REPORT, CHECK_OFF };	/* values of check.free */

void hak_misuse(struct hak_cache *c, const char *what, const void *p)
{
	uint64_t check = hak_tun(HAK_T_CHECK_FREE);

	hak_heap_count1(c, FREE_BAD);
	if (check == CHECK_ABORT)
		hak_die(what, p);
	if (check == CHECK_REPORT)
		hak_warn(what, p);
}
