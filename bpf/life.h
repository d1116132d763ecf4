/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * The births and deaths of watched processes are told as events (struct hak_event) and kept in the
 * map `procs`; there is nothing to count.
 *
 * For: bpf/life.bpf.c, bpf/life.c.
 */
#ifndef HAK_BPF_LIFE_H
#define HAK_BPF_LIFE_H

#include "bpf/target.h"

#endif
