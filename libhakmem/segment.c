/* SPDX-License-Identifier: MIT */
/*
 * The two memfds of a process. See segment.h for the rules and control/abi.h for the layout.
 *
 * hakmem-stats, by page: header, descriptors and class sizes (written once by pwrite, not mapped
 * here); struct live; the lazy table; the heaps' counters. Only pages that are in use exist: what
 * a process pays at start is counted in pages, since the first touch of one costs more than any of
 * the system calls below.
 */
#include "segment.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "class.h"
#include "heap.h"
#include "lock.h"
#include "os.h"
#include "stats.h"
#include "stop.h"
#include "sys.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/*
 * Descriptors are kept out of the way of programs, but low: fork copies the table up to the
 * highest.
 */
enum { FD_FIRST = 100, FD_LAST = 999 };

/* ---- what is published once ---- */

#define UNIT(u) HAK_UNIT_##u
const struct hak_tunable_desc hak_tunable_desc[HAK_TUNABLES] = {
#define TUNABLE(id_, sym, name_, type_, unit_, dflt_, min_, max_, when_, values_, doc) \
	{ .id = id_,                                                                   \
	  .type = HAK_TYPE_##type_,                                                    \
	  .unit = UNIT(unit_),                                                         \
	  .when = HAK_WHEN_##when_,                                                    \
	  .dflt = dflt_,                                                               \
	  .min = min_,                                                                 \
	  .max = max_,                                                                 \
	  .name = name_,                                                               \
	  .values = values_ },
#include "../control/tunables.def"
#undef TUNABLE
};
_Static_assert(HAK_TUNABLES <= HAK_MAX_TUNABLES, "each tunable has its slot");

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
#include "../control/counters.def"
#undef COUNTER
};
enum { COUNTERS = sizeof(counter_desc) / sizeof(counter_desc[0]) };
_Static_assert(COUNTERS <= HAK_MAX_COUNTERS, "readers refuse more");

/* ---- state ---- */

static struct {
	struct live *live; /* mapping of [layout.live, layout.heaps) */
	struct hak_lazy_table *lazy; /* within it; its pages exist once lazy_ready */
	struct hak_tune *tune; /* mapping of the tune memfd */
	int stats_fd, tune_fd; /* -1: not kept, or the program's by now */
	ino_t stats_ino, tune_ino;
	dev_t dev;
	unsigned int writable; /* slots [0, this) of the heaps' counters may be touched */
	bool exists;
	_Atomic bool lazy_ready; /* read under HAK_LOCK_RING alone */
} seg = { .stats_fd = -1, .tune_fd = -1 };

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

/* ---- descriptors ---- */

static void close_fd(int fd)
{
	if (fd >= 0)
		hak_sys(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* A duplicate between FD_FIRST and FD_LAST; below a smaller limit the last ten numbers; else -1. */
static int move_up(int fd)
{
	struct rlimit limit;
	long to = hak_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, FD_FIRST, 0, 0, 0);

	if (to == -EINVAL && !hak_sys(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit, 0, 0) &&
	    limit.rlim_cur > 20)
		to = hak_sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, (long)limit.rlim_cur - 10, 0, 0, 0);
	close_fd(fd);
	if (to > FD_LAST) {
		close_fd((int)to);
		return -1;
	}
	return failed(to) ? -1 : (int)to;
}

/* An empty memfd whose number is still whatever was free, or -errno. */
static int new_memfd(const char *name)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	long fd = hak_sys(SYS_memfd_create, (long)name, flags | MFD_NOEXEC_SEAL, 0, 0, 0, 0);

	if (fd == -EINVAL) /* before 6.3 */
		fd = hak_sys(SYS_memfd_create, (long)name, flags, 0, 0, 0, 0);
	return (int)fd;
}

static bool is_still(int fd, ino_t ino)
{
	struct stat st;
	bool still = fd >= 0 && !hak_sys(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) &&
		     st.st_ino == ino && st.st_dev == seg.dev;

	hak_stop("fd.after_fstat");
	return still;
}

static int identify(int fd, ino_t *ret)
{
	struct stat st;
	long r = hak_sys(SYS_fstat, fd, (long)&st, 0, 0, 0, 0);

	if (r)
		return (int)r;
	*ret = st.st_ino;
	seg.dev = st.st_dev;
	return 0;
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

	if (!seg.exists) {
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
	if (!used || map_shared(base, used, PROT_READ | PROT_WRITE, fd, l->heaps))
		return 0;
	map_private_over(base + used, heaps_bytes() - used, PROT_NONE);
	return -ENOMEM;
}

/*
 * Slots [first, last) become private, with their counts. Their pages lie there alone, and nobody
 * else may count there meanwhile: a count that got lost would make the lengths of bins wrong.
 */
static int unshare(unsigned int first, unsigned int last)
{
	char *at = counters_base() + (size_t)first * HAK_HEAP_STRIDE;
	size_t bytes = hak_align_up((size_t)(last - first) * HAK_HEAP_STRIDE, hak_page);
	long copy = hak_sys(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long r;

	if (failed(copy))
		return (int)copy;
	__builtin_memcpy((void *)copy, at, bytes);
	r = hak_sys(SYS_mremap, copy, (long)bytes, (long)bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		    (long)at, 0);
	if (!failed(r))
		return 0;
	hak_sys(SYS_munmap, copy, (long)bytes, 0, 0, 0, 0);
	return (int)r;
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
		.tune_ino = seg.tune_ino,
		.tune_dev = seg.dev,
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
	};
	h->counters_off = (uint32_t)at;
	at += sizeof(counter_desc);
	h->tunables_off = (uint32_t)at;
	at += sizeof(hak_tunable_desc);
	h->classes_off = (uint32_t)at;
}

static int write_at(int fd, const void *p, size_t bytes, size_t offset)
{
	long r = hak_sys(SYS_pwrite64, fd, (long)p, (long)bytes, (long)offset, 0, 0);

	return r == (long)bytes ? 0 : failed(r) ? (int)r : -ENOSPC;
}

static int write_constant_part(int fd, const struct layout *l, bool locked)
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
	r = hak_sys(SYS_pwritev, fd, (long)part, 4, 0, 0, 0);
	return r == (long)bytes ? 0 : failed(r) ? (int)r : -ENOSPC;
}

static int seal(int fd, int more)
{
	return (int)hak_sys(SYS_fcntl, fd, F_ADD_SEALS,
			    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | more, 0, 0, 0);
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

/* The tune memfd, mapped and sealed; its descriptor, or -errno. */
static int create_tune(const struct hak_tune *layers)
{
	int fd = new_memfd(HAK_TUNE_NAME), r;
	void *p;

	if (fd < 0)
		return fd;
	/* Sets the size, too. */
	r = (int)hak_sys(SYS_fallocate, fd, 0, 0, (long)hak_page, 0, 0);
	if (!r)
		r = identify(fd, &seg.tune_ino);
	if (!r) {
		p = map_shared(seg.tune, hak_page, PROT_READ | PROT_WRITE, fd, 0);
		r = p ? 0 : -ENOMEM;
	}
	if (!r) {
		seg.tune = p;
		fill_tune(seg.tune, layers);
		r = seal(fd, 0);
	}
	if (!r)
		return fd;
	close_fd(fd);
	return r;
}

/* Content, size and mapping of the stats memfd. */
static int fill_stats(int fd, const struct layout *l, bool fresh, bool locked)
{
	static const char zero[LIVE_USED];
	unsigned int slots = seg.writable;
	size_t heap_bytes = (size_t)slots * HAK_HEAP_STRIDE;
	void *p;
	int r = write_constant_part(fd, l, locked);

	if (!r)
		r = write_at(fd, zero, sizeof(zero), l->live);
	if (!r && !fresh && slots)
		r = write_at(fd, counters_base(), heap_bytes, l->heaps);
	if (!r)
		r = (int)hak_sys(SYS_ftruncate, fd, (long)l->bytes, 0, 0, 0, 0);
	if (!r && fresh && slots)
		r = (int)hak_sys(SYS_fallocate, fd, 0, (long)l->heaps, (long)heap_bytes, 0, 0);
	if (r)
		return r;
	p = map_shared(seg.live, l->heaps - l->live, PROT_READ | PROT_WRITE, fd, l->live);
	if (!p)
		return -ENOMEM;
	seg.live = p;
	seg.lazy = (void *)((char *)p + (l->lazy - l->live));
	return map_heaps(fd, l, slots);
}

static int create_stats(const struct layout *l, bool fresh, bool locked)
{
	int fd = new_memfd(HAK_STATS_NAME), r;

	if (fd < 0)
		return fd;
	r = identify(fd, &seg.stats_ino);
	if (!r)
		r = fill_stats(fd, l, fresh, locked);
	if (!r) {
		/* Not before: it forbids writable mappings. */
		r = seal(fd, F_SEAL_FUTURE_WRITE);
		if (!r)
			return fd;
		unshare(0, seg.writable);
		unshare_unused();
	}
	close_fd(fd);
	return r;
}

/*
 * For a filter that kills: a child that may die makes every call, with the arguments that
 * count, of which the rest of this file makes any. In the memory of its parent, so it cleans up
 * there.
 */
int hak_segment_probe(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	struct rlimit limit;
	struct stat st;
	char byte = 0;
	struct iovec part = { &byte, 1 };
	int fd = new_memfd(HAK_STATS_NAME);
	void *p;

	if (fd < 0)
		return fd;
	hak_sys(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0);
	hak_sys(SYS_fstat, fd, (long)&st, 0, 0, 0, 0);
	write_at(fd, &byte, 1, 0);
	hak_sys(SYS_pwritev, fd, (long)&part, 1, 0, 0, 0);
	hak_sys(SYS_ftruncate, fd, (long)hak_page, 0, 0, 0, 0);
	hak_sys(SYS_fallocate, fd, 0, 0, (long)hak_page, 0, 0);
	p = map_shared(NULL, hak_page, PROT_READ | PROT_WRITE, fd, 0);
	if (p) {
		populate(p, hak_page);
		hak_sys(SYS_munmap, (long)p, (long)hak_page, 0, 0, 0, 0);
	}
	hak_sys(SYS_fcntl, fd, F_OFD_GETLK, (long)&lock, 0, 0, 0);
	seal(fd, F_SEAL_FUTURE_WRITE);
	return move_up(fd) < 0 ? -EMFILE : 0;
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
 * still use it. The next segment takes the same addresses.
 */
static void cover_small_maps(void)
{
	struct layout l = layout_of_pages();

	hak_ack = NULL;
	atomic_store_explicit(&seg.lazy_ready, false, memory_order_relaxed);
	seg.exists = false;
	if (seg.live)
		map_private_over(seg.live, l.heaps - l.live, PROT_READ | PROT_WRITE);
	if (seg.tune)
		map_private_over(seg.tune, hak_page, PROT_READ | PROT_WRITE);
}

int hak_segment_create(const struct hak_tune *layers, bool fresh, bool locked)
{
	struct layout l = layout_of_pages();
	int tune_fd, stats_fd, r;

	if (seg.exists)
		return 0;
	if (hak_os_sandboxed())
		return -EPERM;
	if (!hak_heap_base() || (!fresh && !alone()))
		return -EAGAIN;
	r = check_limits(&l);
	if (r)
		return r;
	tune_fd = create_tune(layers);
	stats_fd = tune_fd < 0 ? tune_fd : create_stats(&l, fresh, locked);
	if (stats_fd < 0) {
		close_fd(tune_fd);
		cover_small_maps();
		return stats_fd;
	}
	seg.tune->stats_ino = seg.stats_ino;
	seg.tune_fd = move_up(tune_fd);
	seg.stats_fd = move_up(stats_fd);
	seg.exists = true;
	hak_ack = &seg.live->ack;
	publish_populated(seg.writable);
	hak_stats_move(seg.live->proc);
	return 0;
}

struct hak_tune *hak_segment_tune(void)
{
	return seg.exists ? seg.tune : NULL;
}

/* ---- leaving ---- */

static void close_own(void)
{
	if (is_still(seg.tune_fd, seg.tune_ino))
		close_fd(seg.tune_fd);
	if (is_still(seg.stats_fd, seg.stats_ino))
		close_fd(seg.stats_fd);
	seg.tune_fd = -1;
	seg.stats_fd = -1;
}

/* ---- dropping ---- */

_Atomic bool hak_segment_leaving;
static uint8_t still_shared[HAK_MAX_HEAPS]; /* slots whose thread has not moved them yet */

/*
 * A slot that no running thread owns is the dropper's to move, under the locks of those it
 * serves.
 */
static bool is_mine(unsigned int slot)
{
	return slot == 0 || hak_heap_block_at(slot)->state != HAK_HEAP_LIVE ||
	       hak_heap_block_at(slot) == hak_counters(hak_self);
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

int hak_segment_drop(bool may_close)
{
	if (!seg.exists)
		return 0;
	/* Where a page holds the counters of several heaps, no thread can move its own alone. */
	if (hak_page > HAK_HEAP_STRIDE && !alone())
		return -EBUSY;
	hak_stats_move(NULL);
	cover_small_maps();
	drop_slots();
	if (may_close && !hak_os_sandboxed())
		close_own();
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

int hak_segment_leave(const struct hak_tune *layers, bool locked)
{
	int r = -ENODEV;

	hak_stats_fork_child();
	if (!seg.exists && !atomic_load_explicit(&hak_segment_leaving, memory_order_relaxed))
		return r;
	atomic_store_explicit(&hak_segment_leaving, false, memory_order_relaxed);
	if (!hak_os_sandboxed())
		close_own();
	/* The new one is mapped over the old one. */
	if (seg.exists && layers) {
		atomic_store_explicit(&seg.lazy_ready, false, memory_order_relaxed);
		seg.exists = false;
		r = hak_segment_create(layers, true, locked);
	}
	if (r) {
		cover_heaps();
		cover_small_maps();
	}
	return r;
}

/* ---- lazily freed ranges ---- */

static void lazy_begin(struct hak_lazy_table *t)
{
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELAXED);
	/* release fence: the odd number before any of the changes; partner: the reader's acquire */
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void lazy_end(struct hak_lazy_table *t)
{
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);
}

void hak_segment_lazy_prepare(void)
{
	if (!seg.exists || atomic_load_explicit(&seg.lazy_ready, memory_order_relaxed))
		return;
	if (!populate(seg.lazy, hak_align_up(sizeof(*seg.lazy), hak_page)))
		atomic_store_explicit(&seg.lazy_ready, true, memory_order_release);
}

static void lazy_set(struct hak_lazy_table *t, unsigned int i, uint64_t addr, uint64_t bytes)
{
	__atomic_store_n(&t->range[i].addr, addr, __ATOMIC_RELAXED);
	__atomic_store_n(&t->range[i].bytes, bytes, __ATOMIC_RELAXED);
}

/* Largest first; a full table forgets its smallest range. */
bool hak_segment_lazy_add(void *p, size_t bytes)
{
	struct hak_lazy_table *t = seg.lazy;
	unsigned int i, n;

	if (!atomic_load_explicit(&seg.lazy_ready, memory_order_acquire))
		return false;
	n = t->count;
	lazy_begin(t);
	if (n == HAK_LAZY_RANGES) {
		hak_count(HAK_C_LAZY_OVERFLOW, 1);
		__atomic_store_n(&t->overflow, t->overflow + 1, __ATOMIC_RELAXED);
		if (t->range[n - 1].bytes >= bytes) {
			lazy_end(t);
			return false;
		}
		n--;
	}
	for (i = n; i > 0 && t->range[i - 1].bytes < bytes; i--)
		lazy_set(t, i, t->range[i - 1].addr, t->range[i - 1].bytes);
	lazy_set(t, i, (uintptr_t)p, bytes);
	__atomic_store_n(&t->count, n + 1, __ATOMIC_RELAXED);
	lazy_end(t);
	return true;
}

void hak_segment_lazy_remove(void *p, size_t bytes)
{
	struct hak_lazy_table *t = seg.lazy;
	unsigned int i = 0, n;

	(void)bytes;
	if (!atomic_load_explicit(&seg.lazy_ready, memory_order_acquire))
		return;
	n = t->count;
	while (i < n && t->range[i].addr != (uintptr_t)p)
		i++;
	if (i == n)
		return;
	lazy_begin(t);
	for (; i + 1 < n; i++)
		lazy_set(t, i, t->range[i + 1].addr, t->range[i + 1].bytes);
	__atomic_store_n(&t->count, n - 1, __ATOMIC_RELAXED);
	if (n == 1)
		__atomic_store_n(&t->overflow, 0, __ATOMIC_RELAXED);
	lazy_end(t);
}

bool hak_segment_pageout_locked(void)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = HAK_LOCK_PAGEOUT, .l_len = 1
	};

	if (!seg.exists || hak_os_sandboxed())
		return false;
	if (!is_still(seg.tune_fd, seg.tune_ino)) {
		seg.tune_fd = -1;
		return false;
	}
	return !hak_sys(SYS_fcntl, seg.tune_fd, F_OFD_GETLK, (long)&lock, 0, 0, 0) &&
	       lock.l_type != F_UNLCK;
}

#else /* !HAK_CONTROL */

_Atomic bool hak_segment_leaving;

void hak_segment_settle(struct hak_cache *c)
{
	(void)c;
}

int hak_segment_probe(void)
{
	return -EOPNOTSUPP;
}

int hak_segment_create(const struct hak_tune *layers, bool fresh, bool locked)
{
	(void)layers, (void)fresh, (void)locked;
	return -EOPNOTSUPP;
}

int hak_segment_populate(unsigned int first, unsigned int count)
{
	size_t from = hak_align_up((size_t)first * HAK_HEAP_STRIDE, hak_page);
	size_t to = hak_align_up((size_t)(first + count) * HAK_HEAP_STRIDE, hak_page);

	return from < to ? hak_os_enable(hak_heap_base() + HAK_HEAP_DELTA + from, to - from) : 0;
}

int hak_segment_drop(bool may_close)
{
	(void)may_close;
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

bool hak_segment_lazy_add(void *p, size_t bytes)
{
	(void)p, (void)bytes;
	return false;
}

void hak_segment_lazy_remove(void *p, size_t bytes)
{
	(void)p, (void)bytes;
}

void hak_segment_lazy_prepare(void)
{
}

bool hak_segment_pageout_locked(void)
{
	return false;
}

#endif
