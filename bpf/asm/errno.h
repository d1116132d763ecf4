/* SPDX-License-Identifier: MIT */
/*
 * For libbpf's usdt.bpf.h where the system keeps asm/ in a folder per machine that a compiler for
 * BPF does not know: all our machines have the generic numbers.
 */
#include <asm-generic/errno.h>
