/* SPDX-License-Identifier: MIT */
/*
 * The identity of a process for an administrator: its unit, cgroup, executable, command and user.
 *
 * For hakmemd and hakmemctl. Read from /proc through a descriptor of /proc/PID, never from the
 * process's own memory: the command is what ps shows, and not the arguments, because a hostile
 * process could make this program wait for those. The strings are raw, as policies match them; they
 * are escaped before they are shown.
 */
#ifndef HAK_IDENTITY_H
#define HAK_IDENTITY_H

#include <stdint.h>
#include <sys/types.h>

#include "control/cgroup.h"
#include "control/segment.h"

#define HAK_USER_BYTES 33

struct hak_identity {
	pid_t pid;
	uint64_t start_ticks; /* since boot; unique together with the pid */
	uid_t uid;	      /* effective */
	uid_t account;	      /* see hak_account() */
	char comm[HAK_COMM_BYTES];
	char exe[HAK_PATH_BYTES];	     /* "" when it cannot be read */
	char cgroup[HAK_CGROUP_BYTES];	     /* "/" and what follows it; "" when it has none */
	char unit[HAK_UNIT_NAME_BYTES];	     /* "redis.service"; "" outside of units */
	char user_unit[HAK_UNIT_NAME_BYTES]; /* of that user's own manager; "" elsewhere */
	char slice[HAK_UNIT_NAME_BYTES];     /* the innermost; "-.slice" if there is none */
	char user[HAK_USER_BYTES];	     /* name, or number where there is no name; see below */
};

/* Returns 0, -ESRCH when the process is gone, or another -errno. `user` is left "". */
int hak_identity_read(int procfd, pid_t pid, struct hak_identity *ret);

/* Reads again what may change while the process runs one program: all but start time and
 * executable. `user` stays. Errors as above; on failure *id is unchanged. */
int hak_identity_refresh(int procfd, struct hak_identity *id);

/* Reads the start time alone, in ticks since boot. */
int hak_start_ticks(int procfd, uint64_t *ret);

/*
 * Fills in `user`. A separate function, because it asks the name service: once for each user, then
 * from memory.
 */
void hak_identity_name_user(struct hak_identity *id);
/* Makes the next look-ups ask the name service again. */
void hak_identity_forget_users(void);

#endif
