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

#if HAK_DEBUG

/* Of pieces that overlap each other one lies within the other's size behind it. */
static void check_free(enum hak_meta_kind kind)
{
	for (const char *p = meta.free[kind]; p; p = *(char *const *)p) {
		const char *next = *(char *const *)p;

		hak_assert(!((uintptr_t)p & 63));
		hak_assert(!next || next + meta_bytes[kind] <= p || p + meta_bytes[kind] <= next);
		/* not of the memory that nothing was cut from */
		hak_assert(p + meta_bytes[kind] <= meta.at || p >= meta.end);
	}
}

void hak_meta_check(void)
{
	hak_assert(meta.at <= meta.enabled && meta.enabled <= meta.end);
	hak_assert(!((uintptr_t)meta.at & 63) && !((uintptr_t)meta.enabled & (hak_page - 1)));
	for (unsigned int kind = 0; kind < HAK_META_KINDS; kind++)
		check_free(kind);
}

#endif

/* Lets HAK_LOCK_META go. The free lists may be long: a walk is not worth each change. */
static inline void leave(void)
{
	static uint32_t leaves;

	if (hak_check_due(&leaves, 16))
		hak_meta_check();
	hak_unlock(HAK_LOCK_META);
}

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
	leave();
	if (p)
		memset(p, 0, meta_bytes[kind]);
	return p;
}

void hak_meta_put(enum hak_meta_kind kind, void *p)
{
	hak_lock(HAK_LOCK_META);
	*(void **)p = meta.free[kind];
	meta.free[kind] = p;
	leave();
}

void hak_meta_abandon(void)
{
	memset(&meta, 0, sizeof(meta));
}
