/* SPDX-License-Identifier: MIT */
/* The table of places. See structs.h. */
#include "structs.h"

#include "page/extent.h"
#include "page/region.h"
#include "page/slab.h"
#include "page/slice.h"

#if HAK_CONTROL

#define BYTES_OF(name, member) sizeof(((struct hak_##name *)0)->member)

const struct hak_structs hak_structs = {
	.magic = HAK_STRUCTS_MAGIC,
	.version = HAK_STRUCTS_VERSION,
	.bytes = sizeof(hak_structs),
	.row = {
#define FIELD(sym, name, member) \
	[HAK_S_##sym] = { offsetof(struct hak_##name, member), BYTES_OF(name, member) },
#define SIZE(sym, name)	  [HAK_S_##sym] = { sizeof(struct hak_##name), 0 },
#define VALUE(sym, value) [HAK_S_##sym] = { (uint32_t)(value), 0 },
#include "control/abi/structs.def"
	},
	.names =
#include "control/abi/structs.def"
};

void hak_structs_name(struct hak_stats_header *h)
{
	h->structs = (uint64_t)(uintptr_t)&hak_structs;
	h->leaves = (uint64_t)(uintptr_t)hak_leaves;
	h->extents = (uint64_t)(uintptr_t)&hak_extents;
}

#endif
