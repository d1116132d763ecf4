/* SPDX-License-Identifier: MIT */
/* Descriptor allocator. See meta.h. */
#include "meta.h"

#include <string.h>

#include "base/lock.h"
#include "system/os.h"

#define RESERVE ((size_t)1 << 20)
#define PIECE	((size_t)16 << 10) /* or a page, if that is larger */

static const uint32_t meta_bytes[HAK_META_KINDS] = {
	[HAK_META_EXTENT] = HAK_META_EXTENT_BYTES,
	[HAK_META_REGION] = HAK_META_REGION_BYTES,
};
_Static_assert(!(HAK_META_EXTENT_BYTES % 64) && !(HAK_META_REGION_BYTES % 64), "whole lines");

/* Guarded by HAK_LOCK_META. [at, enabled) is writable and unused, [enabled, end) is reserved. */
static struct {
	char *at, *enabled, *end;
	void *free[HAK_META_KINDS];
} meta;

static void *cut(size_t bytes)
{
	void *p;

	if (!meta.at || (size_t)(meta.end - meta.at) < bytes) {
		char *more = hak_os_reserve(RESERVE, false);

		if (!more)
			return NULL;
		meta.at = meta.enabled = more;
		meta.end = more + RESERVE;
	}
	if ((size_t)(meta.enabled - meta.at) < bytes) {
		size_t piece = hak_page > PIECE ? hak_page : PIECE;

		if (hak_os_enable(meta.enabled, piece))
			return NULL;
		meta.enabled += piece;
	}
	p = meta.at;
	meta.at += bytes;
	return p;
}

void *hak_meta_get(enum hak_meta_kind kind)
{
	void *p;

	hak_lock(HAK_LOCK_META);
	p = meta.free[kind];
	if (p)
		meta.free[kind] = *(void **)p;
	else
		p = cut(meta_bytes[kind]);
	hak_unlock(HAK_LOCK_META);
	if (p)
		memset(p, 0, meta_bytes[kind]);
	return p;
}

void hak_meta_put(enum hak_meta_kind kind, void *p)
{
	hak_lock(HAK_LOCK_META);
	*(void **)p = meta.free[kind];
	meta.free[kind] = p;
	hak_unlock(HAK_LOCK_META);
}

void hak_meta_abandon(void)
{
	memset(&meta, 0, sizeof(meta));
}
