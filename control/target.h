/* SPDX-License-Identifier: MIT */
/*
 * TARGET: the processes that a command is about. PID, a systemd unit, cgroup:/PATH, comm:NAME or
 * all.
 *
 * For hakmemctl and hakmemd. There is no registry: the processes are those that map a segment at
 * the moment of the look. A process that starts or ends meanwhile may be missed or be gone when it
 * is opened.
 */
#ifndef HAK_TARGET_H
#define HAK_TARGET_H

#include <stddef.h>
#include <sys/types.h>

#include "control/budget.h"
#include "control/cgroup.h"
#include "control/segment.h"

enum hak_target_kind {
	HAK_TARGET_PID,
	HAK_TARGET_UNIT,   /* also a slice: all processes below it */
	HAK_TARGET_CGROUP, /* in any hierarchy, and all below */
	HAK_TARGET_COMM,
	HAK_TARGET_ALL,
};

struct hak_target {
	enum hak_target_kind kind;
	pid_t pid;
	char comm[HAK_COMM_BYTES];   /* raw */
	char path[HAK_CGROUP_BYTES]; /* UNIT: its name; CGROUP: without the prefix */
};

/* Returns 0, or -EINVAL with a sentence in `why`. */
int hak_target_parse(const char *text, struct hak_target *ret, char why[HAK_WHY_TEXT]);

/*
 * Stores the pids of the target, rising, in a new array for the caller to free. A PID is taken
 * unchecked. The others are processes that seem to have a segment, or for which no time is left in
 * `shares` (NULL: no limit). Returns 0 or -errno; none found is 0 and *ret_n = 0.
 */
int hak_target_pids(const struct hak_target *target, struct hak_shares *shares, pid_t **ret,
		    size_t *ret_n);

/* Does the same, but takes those of comm:NAME whether or not they run hakmem. */
int hak_target_any_pids(const struct hak_target *target, pid_t **ret, size_t *ret_n);

/* Makes the shares of one command that looks at many processes. */
void hak_target_shares(struct hak_shares *ret);

/* Calls hak_segment_open() within `shares` (NULL: no limit). Returns -ETIME also where no time is
 * left for that user's processes. A segment that is not valid is looked at twice, since the process
 * may be making it at that moment. */
int hak_target_open(struct hak_shares *shares, pid_t pid, unsigned flags, struct hak_segment **ret,
		    char why[HAK_WHY_TEXT]);

#endif
