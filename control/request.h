/* SPDX-License-Identifier: MIT */
/*
 * What one process is asked for, and what came of it: tunables to be set or reset, memory to be
 * given back. The answer is an array of JSON rows, made here and nowhere else, so that it is the
 * same whether hakmemctl asks the process or hakmemd does on its behalf.
 *
 * For: hakmemctl, hakmemd. A request is made and sent by hak_request_change() or
 * hak_request_purge(), looked after by hak_request_wait() as often as one likes, and turned into
 * its answer by hak_request_answer(), which frees it. All changes of one request reach the process
 * as one generation: it applies all of them or none yet. Making one fails only for want of memory
 * (NULL); what else goes wrong is in the answer.
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
	uint64_t for_ns; /* 0: for good */
	bool dry_run;
};

struct hak_purge_how {
	enum hak_purge_level level;
	bool attach;   /* become the page-out controller for the time of the request */
	bool page_out; /* take afterwards what was freed lazily */
	bool exact;    /* resident memory by smaps_rollup */
};

struct hak_request;

struct hak_request *hak_request_change(const struct hak_segment *seg,
				       const struct hak_wishes *wishes);
struct hak_request *hak_request_purge(const struct hak_segment *seg,
				      const struct hak_purge_how *how);

/* 0: there is an answer; -ETIMEDOUT: not yet; -ESRCH, -ESTALE or the error of a read: there will be
 * none. With a timeout of 0 it does not wait. */
int hak_request_wait(const struct hak_segment *seg, struct hak_request *request,
		     uint64_t timeout_ns);

/* Frees the request. `waited` is what hak_request_wait() returned last. */
struct json_object *hak_request_answer(const struct hak_segment *seg, struct hak_request *request,
				       int waited);
void hak_request_free(struct hak_request *request); /* without an answer */

#endif
