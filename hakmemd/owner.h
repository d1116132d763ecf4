/* SPDX-License-Identifier: MIT */
/*
 * Whether a caller on the bus is the owner of a process, which means that the kernel allows the
 * caller to trace it. The rules are those of __ptrace_may_access() in the kernel's kernel/ptrace.c
 * and of cap_ptrace_access_check() in security/commoncap.c. For call.c and askers.c.
 *
 * The kernel judges the caller's credentials at the moment of the access. The daemon has the
 * credentials that the bus recorded when the caller connected: user, groups, process and security
 * label. All else is read from /proc, where the caller may have executed a setuid program since.
 * /proc therefore only removes rights here. A caller whose process has other ids than the bus
 * reports is not an owner, and capabilities of the caller do not count. The primary group, which
 * the bus does not name, must be one of the groups that the bus names.
 *
 * The answer is "no" if anything cannot be determined. Then polkit is asked. In these cases the
 * kernel says yes and this module says no:
 *   - the caller has capabilities (CAP_SYS_PTRACE, or those that the process has);
 *   - the ids of the caller differ from each other, or its own user may not trace it;
 *   - the caller is in another user namespace than the daemon, or the daemon is in a namespace that
 *     does not map all users;
 *   - the process is of another user, in a user namespace that the caller created;
 *   - the caller and the process have different security labels;
 *   - a process asks about itself, and its own user may not trace it.
 *
 * If the bus passes no pidfd (dbus-daemon before 1.15.8), the process of the caller is identified
 * by its number, which another process of the same user and groups may have taken over.
 */
#ifndef HAK_OWNER_H
#define HAK_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HAK_CALLER_GROUPS 64
#define HAK_CALLER_LABEL  256

/* A caller as the bus reports it. */
struct hak_caller {
	uid_t uid;			/* effective */
	pid_t pid;			/* 0: unknown */
	int pidfd;			/* -1: the bus has none */
	size_t groups;			/* 0: unknown, or too many */
	gid_t group[HAK_CALLER_GROUPS]; /* includes the primary group */
	char label[HAK_CALLER_LABEL];	/* of the security module; "": none */
};

/* Whether the kernel allows `caller`, which is not root, to trace the process of /proc/PID. */
bool hak_owner_may(const struct hak_caller *caller, int procfd);

#endif
