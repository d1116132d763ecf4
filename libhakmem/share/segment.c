/* SPDX-License-Identifier: MIT */
/*
 * The two memfds of a process. See segment.h for the rules and control/abi.h for the layout.
 *
 * hakmem-stats, by page: header, descriptors and class sizes (written once by pwrite, mapped for
 * readers alone and never touched here); struct live; the lazy table; the heaps' counters. Only
 * pages that are in use exist: what a process pays at start is counted in pages, since the first
 * touch of one costs more than any of the system calls below.
 *
 * All of hakmem-stats is mapped from the start, so that its descriptor can be closed: a heap's
 * counters are made accessible by mprotect, and a reader reaches each byte through the mappings.
 * Of hakmem-tune one descriptor stays, for whom and when it does not: doc/control.md.
 */
#include "segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "base/class.h"
#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/sys.h"
#include "heap/heap.h"
#include "page/lazy.h"
#include "system/memfd.h"
#include "system/os.h"

/* ---- what is published once ---- */

#define UNIT(u) HAK_UNIT_##u

struct hak_ack *hak_ack;

#if HAK_CONTROL

/*
 * What the process itself writes, but for the heaps. The page or two that hold it are always
 * there.
 */
struct live {
	_Atomic uint64_t proc[HAK_PROC_COUNTERS];
	struct hak_ack ack;
};
/* Behind it is a hole, which nobody touches. */
#define LIVE_USED (offsetof(struct live, ack.value) + HAK_TUNABLES * sizeof(struct hak_ack_value))

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
#include "control/counters.def"
#undef COUNTER
};
enum { COUNTERS = sizeof(counter_desc) / sizeof(counter_desc[0]) };
_Static_assert(COUNTERS <= HAK_MAX_COUNTERS, "readers refuse more");

/* ---- state ---- */

static struct {
	char *constant;		     /* mapping of [0, layout.heaps), read-only up to layout.live */
	struct live *live;	     /* within it */
	struct hak_lazy_table *lazy; /* within it; its pages exist once lazy_ready */
	struct hak_tune *tune;	     /* mapping of the tune memfd */
	struct hak_memfd stats_fd, tune_fd;
	unsigned int writable; /* slots [0, this) of the heaps' counters may be touched */
	_Atomic bool exists;   /* read without a lock, by the agent */
	bool lazy_ready;
} seg = { .stats_fd.fd = -1, .tune_fd.fd = -1 };

static bool exists(void)
{
	/* acquire: pairs with set_exists(); what the segment's pages lie at */
	return atomic_load_explicit(&seg.exists, memory_order_acquire);
}

static void set_exists(bool yes)
{
	/* release: pairs with exists() */
	atomic_store_explicit(&seg.exists, yes, memory_order_release);
}

/* Of the counters half. */
static size_t heaps_bytes(void)
{
	return (size_t)hak_heap_max() * HAK_HEAP_STRIDE;
}

struct layout {
	size_t live, lazy, heaps, bytes; /* offsets in hakmem-stats, whole pages */
};

static struct layout layout_of_pages(void)
{
	struct layout l;
	size_t constant = sizeof(struct hak_stats_header) + sizeof(counter_desc) +
			  sizeof(hak_tunable_desc) + sizeof(hak_class_bytes);

	l.live = hak_align_up(constant, hak_page);
	l.lazy = l.live + hak_align_up(sizeof(struct live), hak_page);
	l.heaps = l.lazy + hak_align_up(sizeof(struct hak_lazy_table), hak_page);
	l.bytes = l.heaps + heaps_bytes();
	return l;
}

static bool failed(long r)
{
	return r < 0 && r > -4096;
}

static char *counters_base(void)
{
	return hak_heap_base() + HAK_HEAP_DELTA;
}

/* ---- mapping ---- */

static void *map_shared(void *at, size_t bytes, int prot, int fd, size_t offset)
{
	long r = hak_sys(SYS_mmap, (long)at, (long)bytes, prot, MAP_SHARED | (at ? MAP_FIXED : 0),
			 fd, (long)offset);

	return failed(r) ? NULL : (void *)r;
}

/* Private zeroes over whatever is mapped there. */
static int map_private_over(void *at, size_t bytes, int prot)
{
	long r = hak_sys(SYS_mmap, (long)at, (long)bytes, prot,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	if (!failed(r) && prot == PROT_NONE)
		hak_os_dump(at, bytes, false);
	return failed(r) ? (int)r : 0;
}

/*
 * Gives the pages of a shared mapping memory, or says why not; a touch would answer SIGBUS
 * instead.
 */
static int populate(void *p, size_t bytes)
{
	long r;

	if (hak_os_sandboxed())
		return -EPERM;
	r = hak_stop_fault(HAK_FAULT_FALLOCATE);
	if (r)
		return (int)r;
	r = hak_sys(SYS_madvise, (long)p, (long)bytes, MADV_POPULATE_WRITE, 0, 0, 0);
	if (r != -EINVAL)
		return (int)r;
	/* Before 5.14: locking faults the pages in and reports errors too. */
	r = hak_sys(SYS_mlock, (long)p, (long)bytes, 0, 0, 0, 0);
	if (!r)
		r = hak_sys(SYS_munlock, (long)p, (long)bytes, 0, 0, 0, 0);
	return (int)r;
}

/* ---- heaps' counters ---- */

static void publish_populated(unsigned int slots)
{
	if (hak_ack)
		__atomic_store_n(&hak_ack->heaps_populated, slots, __ATOMIC_RELEASE);
}

int hak_segment_populate(unsigned int first, unsigned int count)
{
	size_t from = hak_align_up((size_t)first * HAK_HEAP_STRIDE, hak_page);
	size_t to = hak_align_up((size_t)(first + count) * HAK_HEAP_STRIDE, hak_page);
	char *p = counters_base() + from;
	int r = 0;

	if (!exists()) {
		r = from < to ? hak_os_enable(p, to - from) : 0;
		if (!r)
			seg.writable = first + count;
		return r;
	}
	if (from < to)
		r = (int)hak_sys(SYS_mprotect, (long)p, (long)(to - from), PROT_READ | PROT_WRITE,
				 0, 0, 0);
	if (!r && from < to)
		r = populate(p, to - from);
	if (!r)
		hak_os_dump(p, to - from, true);
	if (r) {
		r = map_private_over(p, to - from, PROT_READ | PROT_WRITE);
		if (r)
			return r;
		seg.writable = first + count;
		return 1;
	}
	seg.writable = first + count;
	publish_populated(first + count);
	return 0;
}

/* Maps the memfd over the counters, of which `slots` are already in the file. */
static int map_heaps(int fd, const struct layout *l, unsigned int slots)
{
	size_t used = hak_align_up((size_t)slots * HAK_HEAP_STRIDE, hak_page);
	char *base = counters_base();

	/* The unused part first: if it fails, nothing has changed yet. */
	if (used < heaps_bytes() &&
	    !map_shared(base + used, heaps_bytes() - used, PROT_NONE, fd, l->heaps + used))
		return -ENOMEM;
	/* whoever reads the holes of a memfd, as a dump does, has them filled */
	hak_os_dump(base + used, heaps_bytes() - used, false);
	if (!used || map_shared(base, used, PROT_READ | PROT_WRITE, fd, l->heaps))
		return 0;
	map_private_over(base + used, heaps_bytes() - used, PROT_NONE);
	return -ENOMEM;
}

/* Pages become private, with what they hold. Nobody else may write there meanwhile. */
static int make_private(void *at, size_t bytes)
{
	long copy = hak_sys(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long r;

	if (failed(copy))
		return (int)copy;
	__builtin_memcpy((void *)copy, at, bytes);
	hak_stop("segment.copied");
	r = hak_sys(SYS_mremap, copy, (long)bytes, (long)bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		    (long)at, 0);
	if (!failed(r))
		return 0;
	hak_sys(SYS_munmap, copy, (long)bytes, 0, 0, 0, 0);
	return (int)r;
}

/*
 * Slots [first, last). Their pages lie there alone; a count that got lost would make the lengths of
 * bins wrong.
 */
static int unshare(unsigned int first, unsigned int last)
{
	return make_private(counters_base() + (size_t)first * HAK_HEAP_STRIDE,
			    hak_align_up((size_t)(last - first) * HAK_HEAP_STRIDE, hak_page));
}

static void unshare_unused(void)
{
	size_t used = hak_align_up((size_t)seg.writable * HAK_HEAP_STRIDE, hak_page);

	if (used < heaps_bytes())
		map_private_over(counters_base() + used, heaps_bytes() - used, PROT_NONE);
}

/* Whether no thread but the caller can be counting in a slot of its own. */
static bool alone(void)
{
	return hak_heap_live() == (hak_self->magic == HAK_CACHE_MAGIC);
}

/* ---- creation ---- */

static void fill_header(struct hak_stats_header *h, const struct layout *l)
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
		.tune_ino = seg.tune_fd.ino,
		.code = (uint64_t)(uintptr_t)fill_header,
		.counters = COUNTERS,
		.counter_desc_bytes = sizeof(counter_desc[0]),
		.tunables = HAK_TUNABLES,
		.tunable_desc_bytes = sizeof(hak_tunable_desc[0]),
		.classes = HAK_CLASSES,
		.slab_classes = HAK_SLAB_CLASSES,
		.ack_off = (uint32_t)(l->live + offsetof(struct live, ack)),
		.ack_bytes = sizeof(struct hak_ack),
		.lazy_off = (uint32_t)l->lazy,
		.lazy_ranges = HAK_LAZY_RANGES,
		.proc_off = (uint32_t)l->live,
		.proc_bytes = 8 * HAK_PROC_COUNTERS,
		.heaps_off = (uint32_t)l->heaps,
		.heap_stride = HAK_HEAP_STRIDE,
		.heaps_max = hak_heap_max(),
		.debug = HAK_DEBUG,
		.tune_fd = seg.tune_fd.fd,
	};
	h->counters_off = (uint32_t)at;
	at += sizeof(counter_desc);
	h->tunables_off = (uint32_t)at;
	at += sizeof(hak_tunable_desc);
	h->classes_off = (uint32_t)at;
}

static int write_constant_part(const struct layout *l, bool locked)
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

	fill_header(&h, l);
	h.locked = locked;
	for (unsigned int i = 0; i < 4; i++)
		bytes += part[i].iov_len;
	r = hak_sys(SYS_pwritev, seg.stats_fd.fd, (long)part, 4, 0, 0, 0);
	return r == (long)bytes ? 0 : failed(r) ? (int)r : -ENOSPC;
}

/* First content of the tune page: the slots a fork child inherits. */
static void fill_tune(struct hak_tune *to, const struct hak_tune *layers)
{
	to->abi_major = HAK_ABI_MAJOR;
	to->tunables = HAK_TUNABLES;
	to->generation_seq = layers->generation_seq;
	__builtin_memcpy(to->slot, layers->slot, HAK_TUNABLES * sizeof(to->slot[0]));
	__builtin_memcpy(to->magic, HAK_TUNE_MAGIC, sizeof(to->magic));
}

/*
 * The tune memfd, mapped and sealed. Where nobody outside may write to the page, nobody needs its
 * descriptor.
 */
static int create_tune(const struct hak_tune *layers, bool locked)
{
	int r = hak_memfd_new(&seg.tune_fd, HAK_TUNE_NAME);
	void *p;

	/* Sets the size, too. */
	if (!r)
		r = hak_stop_fault(HAK_FAULT_FALLOCATE);
	if (!r)
		r = (int)hak_sys(SYS_fallocate, seg.tune_fd.fd, 0, 0, (long)hak_page, 0, 0);
	if (r)
		return r;
	p = map_shared(seg.tune, hak_page, PROT_READ | PROT_WRITE, seg.tune_fd.fd, 0);
	if (!p)
		return -ENOMEM;
	seg.tune = p;
	fill_tune(seg.tune, layers);
	r = hak_memfd_seal(&seg.tune_fd, 0);
	if (r)
		return r;
	if (locked || !hak_tun(HAK_T_CONTROL_FD))
		hak_memfd_discard(&seg.tune_fd);
	else
		hak_memfd_settle(&seg.tune_fd);
	return 0;
}

/* Content and size of the stats memfd. */
static int fill_stats(const struct layout *l, bool fresh, bool locked)
{
	static const char zero[LIVE_USED];
	const struct hak_memfd *m = &seg.stats_fd;
	size_t heap_bytes = (size_t)seg.writable * HAK_HEAP_STRIDE;
	int r = write_constant_part(l, locked);

	if (!r)
		r = hak_memfd_write(m, zero, sizeof(zero), l->live);
	if (!r && !fresh && heap_bytes)
		r = hak_memfd_write(m, counters_base(), heap_bytes, l->heaps);
	if (!r)
		r = (int)hak_sys(SYS_ftruncate, m->fd, (long)l->bytes, 0, 0, 0, 0);
	if (!r && fresh && heap_bytes)
		r = hak_stop_fault(HAK_FAULT_FALLOCATE);
	if (!r && fresh && heap_bytes)
		r = (int)hak_sys(SYS_fallocate, m->fd, 0, (long)l->heaps, (long)heap_bytes, 0, 0);
	return r;
}

static int map_stats(const struct layout *l)
{
	char *p = map_shared(seg.constant, l->heaps, PROT_READ | PROT_WRITE, seg.stats_fd.fd, 0);
	int r;

	if (!p)
		return -ENOMEM;
	seg.constant = p;
	seg.live = (void *)(p + l->live);
	seg.lazy = (void *)(p + l->lazy);
	hak_os_dump(seg.lazy, l->heaps - l->lazy, false);
	/* No stray pointer of the program's changes what readers go by. */
	r = (int)hak_sys(SYS_mprotect, (long)p, (long)l->live, PROT_READ, 0, 0, 0);
	return r ? r : map_heaps(seg.stats_fd.fd, l, seg.writable);
}

/* Sealed, and its descriptor closed: the mappings are all that is needed from then on. */
static int create_stats(const struct layout *l, bool fresh, bool locked)
{
	int r = hak_memfd_new(&seg.stats_fd, HAK_STATS_NAME);

	if (r)
		return r;
	r = fill_stats(l, fresh, locked);
	if (!r)
		r = map_stats(l);
	if (!r) {
		/* Not before: it forbids writable mappings. */
		r = hak_memfd_seal(&seg.stats_fd, F_SEAL_FUTURE_WRITE);
		if (r) {
			unshare(0, seg.writable);
			unshare_unused();
		}
	}
	hak_memfd_discard(&seg.stats_fd);
	return r;
}

/* A limit below the size of the memfd would be answered by SIGXFSZ, not by an error. */
static int check_limits(const struct layout *l)
{
	struct rlimit limit;
	long r = hak_sys(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0);

	return r ? (int)r : limit.rlim_cur < l->bytes ? -EFBIG : 0;
}

/*
 * What stays mapped after the segment is gone: whoever loaded a pointer into it just before may
 * still use it. The next segment takes the same addresses. With `answers` a controller that reads
 * the process's memory still finds the last ones there.
 */
static void cover_small_maps(bool answers)
{
	struct layout l = layout_of_pages();
	size_t kept = l.live + hak_align_up(LIVE_USED, hak_page);

	hak_ack = NULL;
	hak_lazy_use(NULL);
	seg.lazy_ready = false;
	set_exists(false);
	if (seg.constant && answers && !make_private(seg.live, kept - l.live)) {
		map_private_over(seg.constant, l.live, PROT_READ | PROT_WRITE);
		map_private_over(seg.constant + kept, l.heaps - kept, PROT_READ | PROT_WRITE);
	} else if (seg.constant) {
		map_private_over(seg.constant, l.heaps, PROT_READ | PROT_WRITE);
	}
	if (seg.tune)
		map_private_over(seg.tune, hak_page, PROT_READ | PROT_WRITE);
}

static int create(const struct hak_tune *layers, bool fresh, bool locked)
{
	struct layout l = layout_of_pages();
	int r = check_limits(&l);

	if (!r)
		r = create_tune(layers, locked);
	if (!r)
		r = create_stats(&l, fresh, locked);
	if (r) {
		hak_memfd_discard(&seg.tune_fd);
		cover_small_maps(false);
		return r;
	}
	seg.tune->stats_ino = seg.stats_fd.ino;
	set_exists(true);
	hak_ack = &seg.live->ack;
	publish_populated(seg.writable);
	hak_stats_move(seg.live->proc);
	return 0;
}

_Atomic bool hak_segment_leaving;
static uint8_t still_shared[HAK_MAX_HEAPS]; /* slots whose thread has not moved them yet */

int hak_segment_create(const struct hak_tune *layers, bool locked)
{
	int r = -EAGAIN;

	if (exists())
		return 0;
	if (hak_os_sandboxed())
		return -EPERM;
	hak_lock(HAK_LOCK_ZOMBIE);
	hak_lock(HAK_LOCK_REGISTRY);
	if (hak_heap_base() && alone()) {
		/* that of a segment that was dropped while there were other threads */
		hak_memfd_close(&seg.tune_fd);
		r = create(layers, false, locked);
		/* of threads that ended before they moved: no business of the new segment's */
		if (!r &&
		    atomic_exchange_explicit(&hak_segment_leaving, false, memory_order_relaxed))
			__builtin_memset(still_shared, 0, sizeof(still_shared));
	}
	hak_unlock(HAK_LOCK_REGISTRY);
	hak_unlock(HAK_LOCK_ZOMBIE);
	return r;
}

struct hak_tune *hak_segment_tune(void)
{
	return exists() ? seg.tune : NULL;
}

/* ---- dropping and leaving ---- */

/*
 * A slot that no running thread owns is the dropper's to move, under the locks of those it serves.
 */
static bool is_mine(unsigned int slot)
{
	const struct hak_heap_block *b = hak_heap_block_at(slot);
	struct hak_cache *shared = hak_heap_shared();

	return b->state != HAK_HEAP_LIVE || b == hak_counters(hak_self) ||
	       (shared && b == hak_counters(shared));
}

static void drop_slots(void)
{
	bool left = false;

	hak_lock(HAK_LOCK_ZOMBIE);
	hak_lock(HAK_LOCK_REGISTRY);
	unshare_unused();
	if (alone()) {
		left = unshare(0, seg.writable);
		__builtin_memset(still_shared, left, seg.writable);
	} else {
		for (unsigned int i = 0; i < seg.writable; i++) {
			still_shared[i] = !is_mine(i) || unshare(i, i + 1);
			left |= still_shared[i];
		}
	}
	hak_unlock(HAK_LOCK_REGISTRY);
	hak_unlock(HAK_LOCK_ZOMBIE);
	/* release: pairs with hak_segment_settle(), which reads the table */
	atomic_store_explicit(&hak_segment_leaving, left, memory_order_release);
}

static _Atomic bool threads_seen;

void hak_segment_note_threads(bool there_are)
{
	atomic_store_explicit(&threads_seen, there_are, memory_order_relaxed);
}

int hak_segment_drop(void)
{
	bool may_close = !atomic_load_explicit(&threads_seen, memory_order_relaxed);

	if (!exists())
		return 0;
	/* Where a page holds the counters of several heaps, no thread can move its own alone. */
	if (hak_page > HAK_HEAP_STRIDE && !alone())
		return -EBUSY;
	hak_stats_move(NULL);
	cover_small_maps(true);
	drop_slots();
	if (may_close && !hak_os_sandboxed())
		hak_memfd_close(&seg.tune_fd);
	return 0;
}

void hak_segment_settle(struct hak_cache *c)
{
	unsigned int slot = (unsigned int)((size_t)((char *)c - hak_heap_base()) / HAK_HEAP_STRIDE);

	/* acquire: pairs with drop_slots() */
	if (!atomic_load_explicit(&hak_segment_leaving, memory_order_acquire) ||
	    !still_shared[slot])
		return;
	still_shared[slot] = unshare(slot, slot + 1) != 0;
}

static void cover_heaps(void)
{
	size_t used = hak_align_up((size_t)seg.writable * HAK_HEAP_STRIDE, hak_page);

	unshare_unused();
	map_private_over(counters_base(), used, PROT_READ | PROT_WRITE);
}

bool hak_segment_unshare(void)
{
	int r;

	if (!exists())
		return true;
	if (hak_os_sandboxed())
		return false;
	r = make_private(seg.live, hak_align_up(LIVE_USED, hak_page));
	if (!r && seg.lazy_ready)
		r = make_private(seg.lazy, hak_align_up(sizeof(*seg.lazy), hak_page));
	if (!r && seg.writable)
		r = unshare(0, seg.writable);
	unshare_unused();
	return !r;
}

int hak_segment_leave(const struct hak_tune *layers, bool locked)
{
	int r = -ENODEV;

	hak_stats_fork_child();
	if (!exists() && !atomic_load_explicit(&hak_segment_leaving, memory_order_relaxed))
		return r;
	atomic_store_explicit(&hak_segment_leaving, false, memory_order_relaxed);
	if (!hak_os_sandboxed())
		hak_memfd_close(&seg.tune_fd);
	/* The new one is mapped over the old one. */
	if (exists() && layers && !hak_os_sandboxed()) {
		hak_lazy_use(NULL);
		seg.lazy_ready = false;
		set_exists(false);
		r = create(layers, true, locked);
	}
	if (r) {
		cover_heaps();
		cover_small_maps(false);
	}
	return r;
}

/* ---- page-out ---- */

void hak_segment_lazy_prepare(void)
{
	if (!exists() || seg.lazy_ready)
		return;
	seg.lazy_ready = !populate(seg.lazy, hak_align_up(sizeof(*seg.lazy), hak_page));
	if (!seg.lazy_ready)
		return;
	hak_os_dump(seg.lazy, hak_align_up(sizeof(*seg.lazy), hak_page), true);
	hak_lazy_use(seg.lazy);
}

bool hak_segment_pageout_locked(void)
{
	return exists() && !hak_os_sandboxed() &&
	       hak_memfd_is_locked(&seg.tune_fd, HAK_LOCK_PAGEOUT);
}

#else /* !HAK_CONTROL */

_Atomic bool hak_segment_leaving;

void hak_segment_settle(struct hak_cache *c)
{
	(void)c;
}

int hak_segment_create(const struct hak_tune *layers, bool locked)
{
	(void)layers, (void)locked;
	return -EOPNOTSUPP;
}

int hak_segment_populate(unsigned int first, unsigned int count)
{
	size_t from = hak_align_up((size_t)first * HAK_HEAP_STRIDE, hak_page);
	size_t to = hak_align_up((size_t)(first + count) * HAK_HEAP_STRIDE, hak_page);

	return from < to ? hak_os_enable(hak_heap_base() + HAK_HEAP_DELTA + from, to - from) : 0;
}

int hak_segment_drop(void)
{
	return 0;
}

int hak_segment_leave(const struct hak_tune *layers, bool locked)
{
	(void)layers, (void)locked;
	hak_stats_fork_child();
	return -EOPNOTSUPP;
}

struct hak_tune *hak_segment_tune(void)
{
	return NULL;
}

void hak_segment_lazy_prepare(void)
{
}

bool hak_segment_unshare(void)
{
	return true;
}

bool hak_segment_pageout_locked(void)
{
	return false;
}

#endif
