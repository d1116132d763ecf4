/* SPDX-License-Identifier: MIT */
/*
 * The two memfds of a process. See share.h for the rules and control/abi/abi.h for the layout.
 *
 * hakmem-stats consists, by page, of: header, descriptors and class sizes (written once by pwrite,
 * mapped for readers alone and never touched here); struct hak_live; the lazy table; the heaps'
 * counters. Only pages that are in use exist. The cost at the start of a process is counted in
 * pages, because the first touch of a page costs more than any of the system calls below.
 *
 * All of hakmem-stats is mapped from the start, so that its descriptor can be closed. mprotect
 * makes a heap's counters accessible, and a reader reaches each byte through the mappings. One
 * descriptor of hakmem-tune stays; doc/control.md says for which readers, and when it does not.
 */
#include "share.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/sys.h"
#include "heap/heap.h"
#include "layout.h"
#include "page/lazy.h"
#include "shared.h"
#include "slots.h"
#include "system/memfd.h"
#include "system/os.h"

struct hak_ack *hak_ack;

#if HAK_CONTROL

/* ---- state ---- */

static struct {
	char *constant;		     /* mapping of [0, layout.heaps), read-only up to layout.live */
	struct hak_live *live;	     /* in the same mapping */
	struct hak_lazy_table *lazy; /* in the same mapping; its pages exist once lazy_ready */
	struct hak_tune *tune;	     /* mapping of the tune memfd */
	struct hak_memfd stats_fd, tune_fd;
	_Atomic bool exists; /* the agent reads it without a lock */
	bool lazy_ready;
} seg = { .stats_fd.fd = -1, .tune_fd.fd = -1 };

static bool exists(void)
{
	/* acquire: pairs with set_exists(); the contents of the segment's pages */
	return atomic_load_explicit(&seg.exists, memory_order_acquire);
}

static void set_exists(bool yes)
{
	/* release: pairs with exists() */
	atomic_store_explicit(&seg.exists, yes, memory_order_release);
}

static void publish_populated(unsigned int slots)
{
	if (hak_ack)
		__atomic_store_n(&hak_ack->heaps_populated, slots, __ATOMIC_RELEASE);
}

int hak_share_populate(unsigned int first, unsigned int count)
{
	bool shared = exists();
	int r = shared ? hak_slots_populate(first, count) : hak_slots_enable(first, count);

	if (!r && shared)
		publish_populated(first + count);
	return r;
}

/* ---- creation ---- */

/* First content of the tune page: the slots that a fork child inherits. */
static void fill_tune(struct hak_tune *to, const struct hak_tune *layers)
{
	to->abi_major = HAK_ABI_MAJOR;
	to->tunables = HAK_TUNABLES;
	to->generation_seq = layers->generation_seq;
	__builtin_memcpy(to->slot, layers->slot, HAK_TUNABLES * sizeof(to->slot[0]));
	__builtin_memcpy(to->magic, HAK_TUNE_MAGIC, sizeof(to->magic));
}

/*
 * Makes, maps and seals the tune memfd. Where no controller may write to the page, its descriptor
 * is closed.
 */
static int create_tune(const struct hak_tune *layers, bool locked)
{
	int r = hak_memfd_new(&seg.tune_fd, HAK_TUNE_NAME);
	void *p;

	/* Sets the size as well. */
	if (!r)
		r = hak_stop_fault(HAK_FAULT_FALLOCATE);
	if (!r)
		r = (int)hak_sys(SYS_fallocate, seg.tune_fd.fd, 0, 0, (long)hak_page, 0, 0);
	if (r)
		return r;
	p = hak_shared_map(seg.tune, hak_page, PROT_READ | PROT_WRITE, seg.tune_fd.fd, 0);
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

/* Gives the slots that are in use memory: zeros, or the counts so far. */
static int fill_slots(const struct hak_memfd *m, size_t at, bool fresh)
{
	int r = fresh && hak_slots_writable ? hak_stop_fault(HAK_FAULT_FALLOCATE) : 0;

	for (unsigned int i = 0; !r && i < hak_slots_writable; i++) {
		size_t from = (size_t)i * HAK_HEAP_STRIDE, bytes = hak_slots_part(i);

		r = fresh ? (int)hak_sys(SYS_fallocate, m->fd, 0, (long)(at + from), (long)bytes, 0,
					 0)
			  : hak_memfd_write(m, hak_slots_base() + from, bytes, at + from);
	}
	return r;
}

/* Sets content and size of the stats memfd. */
static int fill_stats(const struct hak_layout *l, bool fresh, bool locked)
{
	static const char zero[HAK_LIVE_USED];
	const struct hak_memfd *m = &seg.stats_fd;
	int r = hak_layout_write(l, m, &seg.tune_fd, locked);

	if (!r)
		r = hak_memfd_write(m, zero, sizeof(zero), l->live);
	if (!r)
		r = (int)hak_sys(SYS_ftruncate, m->fd, (long)l->bytes, 0, 0, 0, 0);
	return r ? r : fill_slots(m, l->heaps, fresh);
}

static int map_stats(const struct hak_layout *l)
{
	char *p =
		hak_shared_map(seg.constant, l->heaps, PROT_READ | PROT_WRITE, seg.stats_fd.fd, 0);
	int r;

	if (!p)
		return -ENOMEM;
	seg.constant = p;
	seg.live = (void *)(p + l->live);
	seg.lazy = (void *)(p + l->lazy);
	hak_os_dump(seg.lazy, l->heaps - l->lazy, false);
	/* A stray pointer of the program cannot change what readers rely on. */
	r = (int)hak_sys(SYS_mprotect, (long)p, (long)l->live, PROT_READ, 0, 0, 0);
	return r ? r : hak_slots_map(seg.stats_fd.fd, l->heaps);
}

/* Makes and seals the memfd and closes its descriptor: from then on the mappings are enough. */
static int create_stats(const struct hak_layout *l, bool fresh, bool locked)
{
	int r = hak_memfd_new(&seg.stats_fd, HAK_STATS_NAME);

	if (r)
		return r;
	r = fill_stats(l, fresh, locked);
	if (!r)
		r = map_stats(l);
	if (!r) {
		/* Last, because this seal forbids writable mappings. */
		r = hak_memfd_seal(&seg.stats_fd, F_SEAL_FUTURE_WRITE);
		if (r) {
			hak_slots_unshare();
			hak_slots_unshare_unused();
		}
	}
	hak_memfd_discard(&seg.stats_fd);
	return r;
}

/* A file size limit below the size of the memfd would cause SIGXFSZ instead of an error. */
static int check_limits(const struct hak_layout *l)
{
	struct rlimit limit;
	long r = hak_sys(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0);

	return r ? (int)r : limit.rlim_cur < l->bytes ? -EFBIG : 0;
}

/*
 * Covers what stays mapped after the segment is gone, because a thread that loaded a pointer into
 * it before may still use that pointer. The next segment takes the same addresses. With `answers` a
 * controller that reads the process's memory still finds the last answers there.
 */
static void cover_small_maps(bool answers)
{
	struct hak_layout l = hak_layout_of_pages();
	size_t kept = l.live + hak_align_up(HAK_LIVE_USED, hak_page);

	hak_ack = NULL;
	hak_lazy_use(NULL);
	seg.lazy_ready = false;
	set_exists(false);
	if (seg.constant && answers && !hak_shared_copy(seg.live, kept - l.live)) {
		hak_shared_cover(seg.constant, l.live, PROT_READ | PROT_WRITE);
		hak_shared_cover(seg.constant + kept, l.heaps - kept, PROT_READ | PROT_WRITE);
	} else if (seg.constant) {
		hak_shared_cover(seg.constant, l.heaps, PROT_READ | PROT_WRITE);
	}
	if (seg.tune)
		hak_shared_cover(seg.tune, hak_page, PROT_READ | PROT_WRITE);
}

static int create(const struct hak_tune *layers, bool fresh, bool locked)
{
	struct hak_layout l = hak_layout_of_pages();
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
	publish_populated(hak_slots_writable);
	hak_stats_move(seg.live->proc);
	return 0;
}

int hak_share_create(const struct hak_tune *layers, bool locked)
{
	int r = -EAGAIN;

	if (exists())
		return 0;
	if (hak_os_sandboxed())
		return -EPERM;
	hak_lock(HAK_LOCK_SHARED);
	hak_lock(HAK_LOCK_REGISTRY);
	if (hak_heap_base() && hak_slots_alone()) {
		/* the descriptor of a segment that was dropped while there were other threads */
		hak_memfd_close(&seg.tune_fd);
		r = create(layers, false, locked);
		/*
		 * slots of threads that ended before they moved them do not concern the new segment
		 */
		if (!r && atomic_exchange_explicit(&hak_slots_leaving, false, memory_order_relaxed))
			hak_slots_forget();
	}
	hak_unlock(HAK_LOCK_REGISTRY);
	hak_unlock(HAK_LOCK_SHARED);
	return r;
}

struct hak_tune *hak_share_tune(void)
{
	return exists() ? seg.tune : NULL;
}

/* ---- dropping and leaving ---- */

static _Atomic bool threads_seen;

void hak_share_note_threads(bool there_are)
{
	atomic_store_explicit(&threads_seen, there_are, memory_order_relaxed);
}

int hak_share_drop(void)
{
	bool may_close = !atomic_load_explicit(&threads_seen, memory_order_relaxed);

	if (!exists())
		return 0;
	/* Where a page holds the counters of several heaps, no thread can move its own alone. */
	if (hak_page > HAK_HEAP_STRIDE && !hak_slots_alone())
		return -EBUSY;
	hak_stats_move(NULL);
	cover_small_maps(true);
	hak_slots_drop();
	if (may_close && !hak_os_sandboxed())
		hak_memfd_close(&seg.tune_fd);
	return 0;
}

bool hak_share_unshare(void)
{
	int r;

	if (!exists() && !atomic_load_explicit(&hak_slots_leaving, memory_order_relaxed))
		return true;
	/* the parent goes on changing its table, and no controller reads the copy */
	hak_lazy_use(NULL);
	if (hak_os_sandboxed())
		return false;
	r = hak_shared_copy(seg.live, hak_align_up(HAK_LIVE_USED, hak_page));
	if (!r && seg.lazy_ready)
		r = hak_shared_copy(seg.lazy, hak_align_up(sizeof(*seg.lazy), hak_page));
	if (!r && hak_slots_writable)
		r = hak_slots_unshare();
	hak_slots_unshare_unused();
	return !r;
}

int hak_share_leave(const struct hak_tune *layers, bool locked)
{
	int r = -ENODEV;

	hak_stats_fork_child();
	if (!exists() && !atomic_load_explicit(&hak_slots_leaving, memory_order_relaxed)) {
		/* what is inherited is counted anew */
		hak_slots_cover();
		return r;
	}
	atomic_store_explicit(&hak_slots_leaving, false, memory_order_relaxed);
	if (!hak_os_sandboxed())
		hak_memfd_close(&seg.tune_fd);
	/* The new segment is mapped over the old one. */
	if (exists() && layers && !hak_os_sandboxed()) {
		hak_lazy_use(NULL);
		seg.lazy_ready = false;
		set_exists(false);
		r = create(layers, true, locked);
	}
	if (r) {
		hak_slots_cover();
		cover_small_maps(false);
	}
	return r;
}

/* ---- page-out ---- */

void hak_share_lazy_prepare(void)
{
	if (!exists() || seg.lazy_ready)
		return;
	seg.lazy_ready = !hak_shared_populate(seg.lazy, hak_align_up(sizeof(*seg.lazy), hak_page));
	if (!seg.lazy_ready)
		return;
	hak_os_dump(seg.lazy, hak_align_up(sizeof(*seg.lazy), hak_page), true);
	hak_lazy_use(seg.lazy);
}

bool hak_share_pageout_locked(void)
{
	return exists() && !hak_os_sandboxed() &&
	       hak_memfd_is_locked(&seg.tune_fd, HAK_LOCK_PAGEOUT);
}

#else /* !HAK_CONTROL */

int hak_share_create(const struct hak_tune *layers, bool locked)
{
	(void)layers, (void)locked;
	return -EOPNOTSUPP;
}

int hak_share_populate(unsigned int first, unsigned int count)
{
	return hak_slots_enable(first, count);
}

int hak_share_drop(void)
{
	return 0;
}

int hak_share_leave(const struct hak_tune *layers, bool locked)
{
	(void)layers, (void)locked;
	hak_stats_fork_child();
	return -EOPNOTSUPP;
}

struct hak_tune *hak_share_tune(void)
{
	return NULL;
}

void hak_share_lazy_prepare(void)
{
}

bool hak_share_unshare(void)
{
	return true;
}

bool hak_share_pageout_locked(void)
{
	return false;
}

#endif
