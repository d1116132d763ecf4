/* SPDX-License-Identifier: MIT */
/*
 * Counts the known processes, of each account (control/cgroup.h) and of all. A process takes up to
 * 36 KB of the daemon's memory, because the process decides the length of its tables, up to a
 * limit. The number of known processes therefore has two limits. No account has more than
 * HAK_KNOWN_OF_ACCOUNT. When all accounts together have HAK_KNOWN_MAX, a process of an account that
 * has less than an equal part of that displaces the newest process of the account that has most.
 * Root's processes are not counted.
 *
 * For manager.c and discover.c. An account is in the table while one of its processes is known.
 */
#ifndef HAK_KNOWN_H
#define HAK_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HAK_KNOWN_OF_ACCOUNT 2048u
#define HAK_KNOWN_MAX	     16384u
#define HAK_KNOWN_BUCKETS    1024u /* a power of two */

struct hak_known_account {
	struct hak_known_account *next; /* in a bucket */
	uid_t account;
	unsigned n; /* processes */
};

struct hak_known {
	struct hak_known_account *bucket[HAK_KNOWN_BUCKETS];
	unsigned accounts, n; /* of processes, without root's */
};

enum hak_known_room {
	HAK_KNOWN_FULL,
	HAK_KNOWN_FREE,
	HAK_KNOWN_DISPLACE, /* if the newest process of hak_known_largest() is removed */
};

/* Whether there is room for one more process of this account. */
enum hak_known_room hak_known_room(const struct hak_known *known, uid_t account, uint32_t secret);
const struct hak_known_account *hak_known_largest(const struct hak_known *known);

/* Counts one process more; NULL if out of memory. hak_known_leave() counts one less, and frees `a`
 * with its last process. */
struct hak_known_account *hak_known_enter(struct hak_known *known, uid_t account, uint32_t secret);
void hak_known_leave(struct hak_known *known, struct hak_known_account *a, uint32_t secret);

#endif
