/* SPDX-License-Identifier: MIT */
/*
 * Writes a process's tune page and reads the answers: tunables, purge requests.
 *
 * For hakmemctl, hakmemd and tests. Writers of all programs take turns by an OFD lock on byte 0 of
 * the tune memfd, held for microseconds and only by F_OFD_SETLK. A process that never releases it
 * costs a bounded number of attempts.
 *
 * The page belongs to a process that may do anything to it except shrink it. So the page is mapped,
 * but values read from it only serve to count on from them.
 */
#ifndef HAK_TUNEWRITE_H
#define HAK_TUNEWRITE_H

#include "control/segment.h"

/* One outside layer of one tunable, to be set or removed. */
struct hak_change {
	uint32_t index; /* in the segment's tunables */
	bool set;	/* false: remove the layer; value and deadline are ignored */
	uint64_t value;
	uint64_t deadline_ns; /* in the process's CLOCK_BOOTTIME, see hak_segment_now_ns(); 0: none
			       */
};

/*
 * Writes `n` changes of one layer (HAK_ORIGIN_POLICY or HAK_ORIGIN_ADMIN) as one generation, and
 * wakes the process's agent. *ret is what hak_tune_wait() waits for. Returns 0, or with a sentence
 * in `why`:
 *   -EACCES	the segment was not opened for writing, or cannot be
 *   -EPERM	control.lock is on
 *   -EBUSY	another writer holds the lock; `why` names it if it is found
 *   -EBADMSG	the page lost its magic: a hole was punched into it
 *   -ESRCH	the process ended
 */
int hak_tune_write(const struct hak_segment *seg, enum hak_origin origin,
		   const struct hak_change *changes, size_t n, uint64_t *ret,
		   char why[HAK_WHY_TEXT]);

/*
 * Says in `why` why a segment that was opened for writing is not writable, and who can change it.
 */
void hak_tune_say_unreachable(const struct hak_segment *seg, char why[HAK_WHY_TEXT]);

/* Waits until the process has applied that generation or a later one. Returns 0, -ETIMEDOUT (the
 * process sleeps) or -ESRCH. */
int hak_tune_wait(const struct hak_segment *seg, uint64_t generation, uint64_t timeout_ns);

/* Requests a purge. Errors as for hak_tune_write(). *ret is what hak_purge_wait() waits for. */
int hak_purge_ask(const struct hak_segment *seg, enum hak_purge_level level, uint64_t *ret,
		  char why[HAK_WHY_TEXT]);

/* Reads the answer. Returns 0, -ETIMEDOUT (the process sleeps), -ESTALE (a later request was
 * answered instead) or -ESRCH. */
int hak_purge_wait(const struct hak_segment *seg, uint64_t id, uint64_t timeout_ns,
		   struct hak_purge_answer *ret);

/* Makes the process look again, at locks as well: its agent wakes, or its next slow path does.
 * Returns 0 or -errno. */
int hak_tune_wake(const struct hak_segment *seg);

/* Returns true while a thread of the process waits for requests. */
bool hak_agent_waits(const struct hak_segment *seg);

#endif
