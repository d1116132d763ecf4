/* SPDX-License-Identifier: MIT */
/*
 * One trace, from loading the programs to the figures. A session owns all its descriptors: the maps
 * that the programs share, the programs, their links. Nothing is pinned and nothing is mounted, so
 * the kernel removes all of it when the process ends, in any way.
 *
 * For hakmemctl. One thread. A missing feature of a probe fails a session only if nothing is left.
 */
#ifndef HAK_BPF_SESSION_H
#define HAK_BPF_SESSION_H

#include "bpf/load.h"
#include "bpf/probes.h"

/*
 * Loads the programs; nothing runs yet. Returns 0, or with a sentence in `why`: -EPERM
 * (capabilities), -EOPNOTSUPP (no BPF or no BTF in this kernel), -ENOMEM, other.
 */
int hak_session_open(const struct hak_session_options *options, struct hak_session **ret,
		     char why[HAK_WHY_TEXT]);
void hak_session_close(struct hak_session *s);

/*
 * Watches a process from now on, if it is not watched already. Returns 0, -E2BIG (no room) or
 * -errno.
 */
int hak_session_watch(struct hak_session *s, pid_t pid);
/* Returns the id of a watched process; 0: it is not watched. */
uint64_t hak_session_owner(const struct hak_session *s, pid_t pid);
/* Returns how many processes are watched at this moment. */
size_t hak_session_watched(const struct hak_session *s);

/* Returns 0 or -errno with a sentence. */
int hak_session_start(struct hak_session *s, char why[HAK_WHY_TEXT]);
/*
 * Stops watching all processes at once. The programs stay until the session is closed, because the
 * kernel needs a grace period to take one off its tracepoint.
 */
void hak_session_stop(struct hak_session *s);

/*
 * Delivers events that arrived, perhaps not all of them; waits up to timeout_ms for one. Returns 0,
 * or -EINTR on a signal.
 */
int hak_session_poll(struct hak_session *s, int timeout_ms);

#endif
