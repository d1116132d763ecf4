/* SPDX-License-Identifier: MIT */
/*
 * The layout of hakmem-stats (abi.h), and the part of it that is written once: header, descriptors
 * and class sizes.
 */
#ifndef HAK_LAYOUT_H
#define HAK_LAYOUT_H

#include "base/hak.h"
#include "control/abi/abi.h"
#include "system/memfd.h"

/*
 * What the process itself writes, apart from the heaps. The page or two that hold it always exist.
 */
struct hak_live {
	_Atomic uint64_t proc[HAK_PROC_COUNTERS];
	struct hak_ack ack;
};
/* The rest of the page range is a hole, which is never touched. */
#define HAK_LIVE_USED \
	(offsetof(struct hak_live, ack.value) + HAK_TUNABLES * sizeof(struct hak_ack_value))

struct hak_layout {
	size_t live, lazy, heaps, bytes; /* offsets in hakmem-stats, whole pages */
};

/* The code that a tracer may have a thread run (called.h), for the header. Set before the start. */
extern HAK_HIDDEN const char *hak_layout_call;

struct hak_layout hak_layout_of_pages(void);
/*
 * Writes the part that does not change. The header names the tune memfd; `locked` says that
 * controllers may change nothing. Returns 0 or -errno.
 */
int hak_layout_write(const struct hak_layout *l, const struct hak_memfd *stats,
		     const struct hak_memfd *tune, bool locked);

#endif
