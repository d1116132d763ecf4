/* SPDX-License-Identifier: MIT */
/* The contract between hits.bpf.c and hits.c. */
#ifndef HAK_TEST_HITS_H
#define HAK_TEST_HITS_H

#define HITS_MAX 16

struct hits {
	unsigned long long n, sum[3];
};

#endif
