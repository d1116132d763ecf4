/* SPDX-License-Identifier: MIT */
/*
 * Holes: pages of a partly used slab on which every block is free. A slab to which no block came
 * back for a while gives them to the kernel, and takes them into use again when it has nothing else
 * to hand out. See slab.h for `dropped`.
 */
#ifndef HAK_HOLES_H
#define HAK_HOLES_H

#include "page/slab.h"

/* Blocks came back in epoch `now` of the purge clock: there may be new holes. By the owner. */
static inline void hak_slab_came_back(struct hak_slab *s, uint32_t now)
{
	s->trimmed = false;
	s->epoch = (uint8_t)now;
}

/* Nothing came back for `age` epochs, and nobody looked for holes since. */
static inline bool hak_slab_stale(const struct hak_slab *s, uint32_t now, uint32_t age)
{
	return !s->trimmed && (uint8_t)(now - s->epoch) >= age;
}

/*
 * Gives the pages back on which every block is free; bytes as hak_purge_count() counts them. A
 * system call: no lock held but HAK_LOCK_PURGE. By the owner.
 */
uint64_t hak_holes_trim(struct hak_slab *s);
/* Whether p lies on a hole: no block in use does. Any thread that was given p. */
bool hak_holes_has(const struct hak_slab *s, const void *p);
/* Takes pages of holes into use again until a block is on the list. False: there is no hole. */
bool hak_holes_untrim(struct hak_slab *s);

#endif
