/* SPDX-License-Identifier: MIT */
/* The layout of hakmem-stats. See layout.h. */
#include "layout.h"

#include <errno.h>
#include <sys/uio.h>

#include "base/class.h"
#include "base/sys.h"
#include "base/values.h"
#include "heap/heap.h"
#include "shared.h"
#include "slots.h"
#include "structs.h"
#include "system/os.h"

const char *hak_layout_call;

#if HAK_CONTROL

#define UNIT(u) HAK_UNIT_##u

/* Bytes of one element of hak_heap_block.hot, two counters of 8 bytes. */
enum { HOT_ALLOCS = 0, HOT_FREES = 8, HOT_STRIDE = 16 };
_Static_assert(sizeof(((struct hak_heap_block *)0)->hot[0]) == HOT_STRIDE &&
		       offsetof(struct hak_heap_block, hot[0].frees) == HOT_FREES,
	       "two counters per class");
#define PLACE_HOT(sym)	 .offset = HOT_##sym, .stride = HOT_STRIDE
#define PLACE_CLASS(sym) .offset = offsetof(struct hak_heap_block, cls[HAK_C_##sym]), .stride = 8
#define PLACE_HEAP(sym)	 .offset = offsetof(struct hak_heap_block, heap[HAK_C_##sym])
#define PLACE_PROC(sym)	 .offset = 8 * HAK_C_##sym

static const struct hak_counter_desc counter_desc[] = {
#define COUNTER(id_, scope_, sym, name_, kind_, unit_, doc) \
	{ .id = id_,                                        \
	  .kind = HAK_KIND_##kind_,                         \
	  .unit = UNIT(unit_),                              \
	  .scope = HAK_SCOPE_##scope_,                      \
	  .name = name_,                                    \
	  PLACE_##scope_(sym) },
#include "control/abi/counters.def"
#undef COUNTER
};
enum { COUNTERS = sizeof(counter_desc) / sizeof(counter_desc[0]) };
_Static_assert(COUNTERS <= HAK_MAX_COUNTERS, "readers refuse more");

struct hak_layout hak_layout_of_pages(void)
{
	struct hak_layout l;
	size_t constant = sizeof(struct hak_stats_header) + sizeof(counter_desc) +
			  sizeof(hak_tunable_desc) + sizeof(hak_class_bytes);

	l.live = hak_align_up(constant, hak_page);
	l.lazy = l.live + hak_align_up(sizeof(struct hak_live), hak_page);
	l.heaps = l.lazy + hak_align_up(sizeof(struct hak_lazy_table), hak_page);
	l.bytes = l.heaps + hak_slots_bytes();
	return l;
}

static void fill_header(struct hak_stats_header *h, const struct hak_layout *l,
			const struct hak_memfd *tune)
{
	size_t at = sizeof(*h);

	*h = (struct hak_stats_header){
		.magic = HAK_STATS_MAGIC,
		.abi_major = HAK_ABI_MAJOR,
		.abi_minor = HAK_ABI_MINOR,
		.header_bytes = sizeof(*h),
		.file_bytes = l->bytes,
		.version = PACKAGE_VERSION,
		.pid = (uint32_t)hak_sys(SYS_getpid, 0, 0, 0, 0, 0, 0),
		.created_ns = hak_os_boottime_ns(),
		.tune_ino = tune->ino,
		.code = (uint64_t)(uintptr_t)fill_header,
		.counters = COUNTERS,
		.counter_desc_bytes = sizeof(counter_desc[0]),
		.tunables = HAK_TUNABLES,
		.tunable_desc_bytes = sizeof(hak_tunable_desc[0]),
		.classes = HAK_CLASSES,
		.slab_classes = HAK_SLAB_CLASSES,
		.ack_off = (uint32_t)(l->live + offsetof(struct hak_live, ack)),
		.ack_bytes = sizeof(struct hak_ack),
		.lazy_off = (uint32_t)l->lazy,
		.lazy_ranges = HAK_LAZY_RANGES,
		.proc_off = (uint32_t)l->live,
		.proc_bytes = 8 * HAK_PROC_COUNTERS,
		.heaps_off = (uint32_t)l->heaps,
		.heap_stride = HAK_HEAP_STRIDE,
		.heaps_max = hak_heap_max(),
		.debug = HAK_DEBUG,
		.tune_fd = tune->fd,
		.call = (uint64_t)(uintptr_t)hak_layout_call,
	};
	h->counters_off = (uint32_t)at;
	at += sizeof(counter_desc);
	h->tunables_off = (uint32_t)at;
	at += sizeof(hak_tunable_desc);
	h->classes_off = (uint32_t)at;
	hak_structs_name(h);
}

int hak_layout_write(const struct hak_layout *l, const struct hak_memfd *stats,
		     const struct hak_memfd *tune, bool locked)
{
	struct hak_stats_header h;
	struct iovec part[] = {
		{ &h, sizeof(h) },
		{ (void *)counter_desc, sizeof(counter_desc) },
		{ (void *)hak_tunable_desc, sizeof(hak_tunable_desc) },
		{ (void *)hak_class_bytes, sizeof(hak_class_bytes) },
	};
	size_t bytes = 0;
	long r;

	fill_header(&h, l, tune);
	h.locked = locked;
	for (unsigned int i = 0; i < 4; i++)
		bytes += part[i].iov_len;
	r = hak_sys(SYS_pwritev, stats->fd, (long)part, 4, 0, 0, 0);
	return r == (long)bytes ? 0 : hak_shared_failed(r) ? (int)r : -ENOSPC;
}

#endif
