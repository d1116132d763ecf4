/* SPDX-License-Identifier: MIT */
/*
 * Holes: pages of a partly used slab on which every block is free. A slab to which no block came
 * back for a while gives these pages to the kernel. The slab takes them into use again when it has
 * nothing else to hand out. See slab.h for `dropped`.
 */
#ifndef HAK_HOLES_H
#define HAK_HOLES_H

#include "page/slab.h"

/*
 * Called by the owner when blocks came back in epoch `now` of the purge clock: new holes may exist.
 */
static inline void hak_slab_came_back(struct hak_slab *s, uint32_t now)
{
	s->trimmed = false;
	s->epoch = (uint8_t)now;
}

/*
 * Returns whether no block came back for `age` epochs and the slab was not searched for holes
 * since.
 */
static inline bool hak_slab_stale(const struct hak_slab *s, uint32_t now, uint32_t age)
{
	return !s->trimmed && (uint8_t)(now - s->epoch) >= age;
}

/*
 * Gives back the pages on which every block is free. Returns bytes as hak_purge_count() counts
 * them. Makes a system call: no lock may be held but HAK_LOCK_PURGE. Called by the owner.
 */
uint64_t hak_holes_trim(struct hak_slab *s);
/*
 * Returns whether p lies on a hole, where no block in use lies. Any thread that was given p may
 * call.
 */
bool hak_holes_has(const struct hak_slab *s, const void *p);
/*
 * Takes pages of holes into use again until a block is on the list. Returns false if there is no
 * hole.
 */
bool hak_holes_untrim(struct hak_slab *s);

#endif
