/* SPDX-License-Identifier: MIT */
/*
 * One trace, from loading the programs to the figures. A session owns every descriptor of it: the
 * maps that the programs share, the programs, their links. Nothing is pinned, nothing is mounted:
 * the kernel removes all of it when the process ends, however it ends.
 *
 * For: hakmemctl. One thread. What a probe lacks never fails a session, unless nothing is left.
 */
#ifndef HAK_BPF_SESSION_H
#define HAK_BPF_SESSION_H

#include "bpf/load.h"
#include "bpf/probes.h"

/*
 * Loads the programs; nothing runs yet. 0, or with a sentence in `why`: -EPERM (capabilities),
 * -EOPNOTSUPP (no BPF or no BTF in this kernel), -ENOMEM, other.
 */
int hak_session_open(const struct hak_session_options *options, struct hak_session **ret,
		     char why[HAK_WHY_TEXT]);
void hak_session_close(struct hak_session *s);

/* Watches a process from now on. 0, -E2BIG (no room) or -errno; one watched already is fine. */
int hak_session_watch(struct hak_session *s, pid_t pid);
/* The id of a watched process; 0: it is not watched. */
uint64_t hak_session_owner(const struct hak_session *s, pid_t pid);
/* How many processes are watched just now. */
size_t hak_session_watched(const struct hak_session *s);

/* 0 or -errno with a sentence. */
int hak_session_start(struct hak_session *s, char why[HAK_WHY_TEXT]);
/*
 * Stops watching all processes at once. The programs themselves go with the
 * session: taking one off its tracepoint takes the kernel a grace period each.
 */
void hak_session_stop(struct hak_session *s);

/*
 * Delivers events that arrived, perhaps not all of them; waits up to timeout_ms for one. 0, or
 * -EINTR on a signal.
 */
int hak_session_poll(struct hak_session *s, int timeout_ms);

#endif
