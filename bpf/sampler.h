/* SPDX-License-Identifier: MIT */
/*
 * Listens to the sampled allocations of one process: the loader of profile.bpf.c. A sampler owns
 * program, maps and links. Nothing is pinned, so the kernel drops all of it with the process, and
 * counts the probes' semaphores down again.
 *
 * For hakmemctl. One thread. Figures are read after hak_sampler_poll() has returned all samples.
 */
#ifndef HAK_BPF_SAMPLER_H
#define HAK_BPF_SAMPLER_H

#include <linux/types.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/profile.h"
#include "control/value.h"

struct hak_sampler;

/*
 * Attaches to the probes in `library`, a path as the process sees it. hak_sampler_poll() calls
 * `sample`. Returns 0, or with a sentence in `why`: -EPERM (capabilities), -EOPNOTSUPP (this
 * kernel, or a library without the probes), other.
 */
int hak_sampler_open(pid_t pid, const char *library,
		     void (*sample)(const struct hak_site_event *e, void *arg), void *arg,
		     struct hak_sampler **ret, char why[HAK_WHY_TEXT]);
void hak_sampler_close(struct hak_sampler *s);

/*
 * Passes samples to `sample`, perhaps not all there are; waits up to timeout_ms for one. Returns
 * their number, or -errno.
 */
int hak_sampler_poll(struct hak_sampler *s, int timeout_ms);

int hak_sampler_totals(const struct hak_sampler *s, struct hak_profile_totals *ret);
/* Calls `see` with the number of each sample whose block is in use. */
void hak_sampler_each_live(const struct hak_sampler *s, void (*see)(uint64_t number, void *arg),
			   void *arg);

#endif
