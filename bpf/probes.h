/* SPDX-License-Identifier: MIT */
/*
 * The probes: life (which processes are watched), space, fault, flush and vmas, one file each. Each
 * loads its programs in the best form that this kernel takes, and notes what is missing.
 *
 * Figures are sums over processors, read after hak_session_stop(). While programs run, figures may
 * be off by what changes meanwhile. All functions return 0 or -errno.
 */
#ifndef HAK_BPF_PROBES_H
#define HAK_BPF_PROBES_H

#include "bpf/fault.h"
#include "bpf/flush.h"
#include "bpf/load.h"
#include "bpf/space.h"
#include "bpf/vmas.h"

int hak_life_load(struct hak_session *s);
int hak_life_start(struct hak_session *s);
void hak_life_close(struct hak_session *s);

int hak_space_load(struct hak_session *s);
int hak_space_start(struct hak_session *s);
int hak_space_read(const struct hak_session *s, struct hak_space_totals *ret);
int hak_space_read_owner(const struct hak_session *s, uint64_t owner, struct hak_space_owner *ret);
/* Calls `see` for each call site. */
void hak_space_each_site(const struct hak_session *s,
			 void (*see)(const struct hak_site_key *key, const struct hak_site *site,
				     void *arg),
			 void *arg);
/* Stores return addresses found by frame pointers; returns how many. */
size_t hak_space_stack(const struct hak_session *s, int32_t stack, uint64_t ret[HAK_STACK_DEPTH]);
void hak_space_close(struct hak_session *s);

int hak_fault_load(struct hak_session *s);
int hak_fault_start(struct hak_session *s);
int hak_fault_read(const struct hak_session *s, struct hak_fault_totals *ret);
int hak_fault_read_owner(const struct hak_session *s, uint64_t owner, struct hak_fault_owner *ret);
void hak_fault_close(struct hak_session *s);

int hak_flush_load(struct hak_session *s);
int hak_flush_start(struct hak_session *s);
int hak_flush_read(const struct hak_session *s, struct hak_flush_totals *ret);
void hak_flush_close(struct hak_session *s);

int hak_vmas_load(struct hak_session *s);
/*
 * Stores the regions of a process, by address, in a new array for the caller to free. Returns 0 or
 * -errno.
 */
int hak_vmas_read(const struct hak_session *s, pid_t pid, struct hak_vma **ret, size_t *ret_n);
void hak_vmas_close(struct hak_session *s);

#endif
