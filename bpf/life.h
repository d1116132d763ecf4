/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * Births and deaths of watched processes are reported as events (struct hak_event) and kept in the
 * map `procs`. There are no counts.
 *
 * For bpf/life.bpf.c and bpf/life.c.
 */
#ifndef HAK_BPF_LIFE_H
#define HAK_BPF_LIFE_H

#include "bpf/target.h"

#endif
