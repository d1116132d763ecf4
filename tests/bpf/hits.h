/* SPDX-License-Identifier: MIT */
/* What hits.bpf.c and hits.c agree on. */
#ifndef HAK_TEST_HITS_H
#define HAK_TEST_HITS_H

#define HITS_MAX 16

struct hits {
	unsigned long long n, sum[3];
};

#endif
