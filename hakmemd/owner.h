/* SPDX-License-Identifier: MIT */
/*
 * Whether a caller on the bus is the owner of a process: whether the kernel would let the caller
 * trace it. The rules are those of __ptrace_may_access() in the kernel's kernel/ptrace.c and of
 * cap_ptrace_access_check() in security/commoncap.c. For call.c and askers.c.
 *
 * The kernel judges by the caller's credentials at the moment of the access. The daemon has those
 * that the bus took when the caller connected: user, groups, process and security label. The rest
 * is read from /proc, where the caller may have executed a setuid program since. So /proc only
 * takes rights away here: a caller whose process shows other ids than the bus does is not an
 * owner, and capabilities of the caller do not count at all. The primary group, which the bus
 * does not name, has to be one of the groups that the bus does name.
 *
 * The answer is "no" whenever something cannot be determined; polkit is asked then. The kernel says
 * yes and this module says no to:
 *   - a caller with capabilities (CAP_SYS_PTRACE, or those that the process has);
 *   - a caller whose ids differ from each other, or which may not be traced by its own user;
 *   - a caller in another user namespace than the daemon, or a daemon in one that does not map all
 *     users;
 *   - a process of another user, in a user namespace that the caller has made;
 *   - a caller and a process with different security labels;
 *   - a process that asks about itself, and may not be traced by its own user.
 * Where the bus hands out no pidfd (dbus-daemon before 1.15.8) the caller's process is known by its
 * number, which another process of the same user and groups may have taken over.
 */
#ifndef HAK_OWNER_H
#define HAK_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HAK_CALLER_GROUPS 64
#define HAK_CALLER_LABEL  256

/* What the bus says of a connection. */
struct hak_caller {
	uid_t uid;			/* effective */
	pid_t pid;			/* 0: unknown */
	int pidfd;			/* -1: the bus has none */
	size_t groups;			/* 0: unknown, or too many */
	gid_t group[HAK_CALLER_GROUPS]; /* the primary one is among them */
	char label[HAK_CALLER_LABEL];	/* of the security module; "": there is none */
};

/* Whether the kernel would let `caller`, who is not root, trace the process behind /proc/PID. */
bool hak_owner_may(const struct hak_caller *caller, int procfd);

#endif
