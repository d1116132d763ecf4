/* SPDX-License-Identifier: MIT */
/*
 * Requests to one process and their answers: tunables to be set or reset, memory to be given back.
 * An answer is an array of JSON rows. Only this module makes them, so that they are the same
 * whether hakmemctl asks the process or hakmemd does on its behalf.
 *
 * For hakmemctl and hakmemd. hak_request_change() or hak_request_purge() makes and sends a request.
 * hak_request_wait() may be called any number of times. hak_request_answer() makes the answer and
 * frees the request. All changes of one request reach the process as one generation, so the process
 * has applied either all of them or none. Making a request fails only for want of memory (NULL);
 * other errors are in the answer.
 */
#ifndef HAK_REQUEST_H
#define HAK_REQUEST_H

#include "control/json.h"
#include "control/segment.h"
#include "control/tunewrite.h"

struct hak_wish {
	char name[HAK_NAME_BYTES];
	const char *text; /* the value; NULL: reset. Not kept */
};

struct hak_wishes {
	const struct hak_wish *wish;
	size_t n;	 /* 0: reset every tunable that has an admin layer */
	uint64_t for_ns; /* 0: without a deadline */
	bool dry_run;
};

struct hak_purge_how {
	enum hak_purge_level level;
	bool attach;   /* act as the page-out controller during the request */
	bool page_out; /* afterwards page out what was freed lazily */
	bool exact;    /* resident memory by smaps_rollup */
};

struct hak_request;

struct hak_request *hak_request_change(const struct hak_segment *seg,
				       const struct hak_wishes *wishes);
struct hak_request *hak_request_purge(const struct hak_segment *seg,
				      const struct hak_purge_how *how);

/* Returns 0: there is an answer; -ETIMEDOUT: not yet; -ESRCH, -ESTALE or the error of a read: there
 * will be none. With a timeout of 0 the call does not wait. */
int hak_request_wait(const struct hak_segment *seg, struct hak_request *request,
		     uint64_t timeout_ns);

/* Says why nothing more is done about a purge that is not answered yet. Its result is "refused". */
void hak_request_refuse(struct hak_request *request, const char *why);

/* Frees the request. `waited` is what hak_request_wait() returned last. */
struct json_object *hak_request_answer(const struct hak_segment *seg, struct hak_request *request,
				       int waited);
void hak_request_free(struct hak_request *request); /* without an answer */

#endif
