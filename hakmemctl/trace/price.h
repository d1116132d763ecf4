/* SPDX-License-Identifier: MIT */
/*
 * What things cost on this machine, tried out now: for what cannot be measured where it happens.
 *
 * For: hakmemctl trace and advise. Takes some milliseconds and 62 MiB; to be asked when nothing is
 * being measured.
 */
#ifndef HAK_CTL_PRICE_H
#define HAK_CTL_PRICE_H

#include <stdint.h>

struct ctl_prices {
	uint64_t minor_fault_ns; /* median, small page */
	uint64_t clear_block_ns; /* clearing 2 MiB that are not in a cache */
	uint64_t shootdown_ns;	 /* what an interrupted processor loses; 0: not to be found out */
	uint64_t map_ns;	 /* an mmap and its munmap, no page touched */
};
void ctl_prices(struct ctl_prices *ret);

#endif
