/* SPDX-License-Identifier: MIT */
/*
 * Writing a process's tune page and reading what came of it: tunables, purge requests.
 *
 * For: hakmemctl, hakmemd, tests. Writers of all programs take turns by an OFD lock on byte 0 of
 * the tune memfd, held for microseconds and only by F_OFD_SETLK: a process that keeps it for ever
 * costs a bounded number of attempts.
 *
 * The page belongs to a process that may do anything to it, short of shrinking it: it is mapped,
 * but what is read from it is used for nothing but counting on.
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
 * wakes the process's agent. *ret is what hak_tune_wait() waits for. 0, or with a sentence in
 * `why`: -EACCES	the segment was not opened for writing, or cannot be -EPERM	locked:
 * control.lock is on -EBUSY	another writer holds the lock; `why` names it where it can be found
 *   -EBADMSG	the page lost its magic: a hole was punched into it
 *   -ESRCH	the process ended
 */
int hak_tune_write(const struct hak_segment *seg, enum hak_origin origin,
		   const struct hak_change *changes, size_t n, uint64_t *ret,
		   char why[HAK_WHY_TEXT]);

/* Why a segment that was opened for writing is not writable, and who can change it. */
void hak_tune_say_unreachable(const struct hak_segment *seg, char why[HAK_WHY_TEXT]);

/* Until the process has applied that generation or a later one: 0, -ETIMEDOUT (it sleeps), -ESRCH.
 */
int hak_tune_wait(const struct hak_segment *seg, uint64_t generation, uint64_t timeout_ns);

/* Asks for a purge; errors as hak_tune_write(). *ret is what hak_purge_wait() waits for. */
int hak_purge_ask(const struct hak_segment *seg, enum hak_purge_level level, uint64_t *ret,
		  char why[HAK_WHY_TEXT]);

/* The answer: 0, -ETIMEDOUT (the process sleeps), -ESTALE (a later request was answered instead),
 * -ESRCH. */
int hak_purge_wait(const struct hak_segment *seg, uint64_t id, uint64_t timeout_ns,
		   struct hak_purge_answer *ret);

/* Has the process look again, at locks as well: its agent wakes, or else its next slow path does. 0
 * or -errno. */
int hak_tune_wake(const struct hak_segment *seg);

/* True while a thread of the process waits for requests. */
bool hak_agent_waits(const struct hak_segment *seg);

#endif
