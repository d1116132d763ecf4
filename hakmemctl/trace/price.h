/* SPDX-License-Identifier: MIT */
/*
 * The costs of operations on this machine, measured now, for what cannot be measured where it
 * happens.
 *
 * For hakmemctl trace and advise. The measurement takes some milliseconds and 62 MiB, and must not
 * run during another one.
 */
#ifndef HAK_CTL_PRICE_H
#define HAK_CTL_PRICE_H

#include <stdint.h>

struct ctl_prices {
	uint64_t minor_fault_ns; /* median, small page */
	uint64_t clear_block_ns; /* clearing 2 MiB that are not in a cache */
	uint64_t shootdown_ns;	 /* what an interrupted processor loses; 0: unknown */
	uint64_t map_ns;	 /* an mmap and its munmap, without touching a page */
};
void ctl_prices(struct ctl_prices *ret);

#endif
