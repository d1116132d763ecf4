/* SPDX-License-Identifier: MIT */
/*
 * Page-out, see pageout.h. The ranges are read under their seqlock and sorted. One walk then
 * matches them with the mappings of the process, which are in order of address as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control/budget.h"
#include "control/missing.h"
#include "control/pageout.h"
#include "control/reader.h"
#include "control/tunewrite.h"

#define BATCH	    HAK_READER_PARTS /* ranges in one system call */
#define PIECE_BYTES (16u << 20)	     /* of one range in one call, which cannot be stopped */
#define MAX_BYTES   (64ull << 30)
#define MAX_NS	    (5ull * 1000000000)

static bool has_sys_nice(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_SYS_NICE / 32].effective & (1u << (CAP_SYS_NICE % 32));
}

/*
 * Returns 1, 0, or -errno. The file has a header line, then a line for each device or file in use.
 */
static int has_swap(void)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[512];
	int lines = 0;

	if (!f)
		return -errno;
	while (lines < 2 && fgets(line, sizeof(line), f))
		lines++;
	fclose(f);
	return lines > 1;
}

int hak_pageout_possible(char why[HAK_WHY_TEXT])
{
	int swap;

	if (!has_sys_nice()) {
		snprintf(why, HAK_WHY_TEXT, "paging out needs CAP_SYS_NICE (root)");
		return -EPERM;
	}
	swap = has_swap();
	if (swap < 0) {
		snprintf(why, HAK_WHY_TEXT, "whether there is swap is unknown: /proc/swaps: %s",
			 strerror(-swap));
		return -ENODEV;
	}
	if (swap) {
		snprintf(why, HAK_WHY_TEXT,
			 "with swap, paging out could write memory in use to disk");
		return -EBUSY;
	}
	if (syscall(SYS_process_madvise, -1, NULL, 0, MADV_PAGEOUT, 0) < 0 && errno == ENOSYS) {
		snprintf(why, HAK_WHY_TEXT, "paging out needs process_madvise (Linux 5.10)");
		return -ENOSYS;
	}
	return 0;
}

static int set_lock(const struct hak_segment *seg, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = HAK_LOCK_PAGEOUT, .l_len = 1
	};

	if (!seg->tune_writable)
		return -EACCES;
	if (fcntl(seg->tune_fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* The process looks at the lock only when it is woken. */
int hak_pageout_attach(const struct hak_segment *seg)
{
	int r = set_lock(seg, F_WRLCK);

	return r < 0 ? r : hak_tune_wake(seg);
}

void hak_pageout_detach(const struct hak_segment *seg)
{
	set_lock(seg, F_UNLCK);
	hak_tune_wake(seg);
}

/* -- what to page out -------------------------------------------------------------------------- */
struct range {
	uint64_t start, end;
};

struct plan {
	struct range lazy[HAK_LAZY_RANGES]; /* as published, sorted */
	unsigned lazy_n, next;
	struct iovec part[2 * HAK_LAZY_RANGES]; /* the private and anonymous parts of these */
	unsigned parts;
	uint64_t bytes, max_bytes;
	uint64_t stats_ino; /* of the segment */
	bool mapped;	    /* by the process: the memory belongs to the program of the segment */
};

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static int read_ranges(const struct hak_segment *seg, struct plan *plan)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct hak_lazy_table table;
	int r = hak_segment_read_lazy(seg, &table);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < table.count && i < HAK_LAZY_RANGES; i++) {
		uint64_t start = (table.range[i].addr + page - 1) / page * page, end;

		if (__builtin_add_overflow(table.range[i].addr, table.range[i].bytes, &end) ||
		    start < page)
			continue;
		end = end / page * page;
		if (end > start)
			plan->lazy[plan->lazy_n++] = (struct range){ start, end };
	}
	qsort(plan->lazy, plan->lazy_n, sizeof(plan->lazy[0]), by_start);
	return 0;
}

static bool is_private_anonymous(const struct hak_mapping *map)
{
	return map->perms[3] == 'p' && map->ino == 0 && map->major == 0 && map->minor == 0 &&
	       (map->path[0] == '\0' || strcmp(map->path, "[heap]") == 0 ||
		strncmp(map->path, "[anon:", 6) == 0);
}

/* Collects the parts of published ranges within this mapping. Ranges that begin behind it wait for
 * the next mapping. */
static int meet_mapping(const struct hak_mapping *map, void *arg)
{
	struct plan *plan = arg;

	/* inodes of other file systems have the same numbers */
	plan->mapped |= map->ino == plan->stats_ino && hak_is_memfd_device(map->major, map->minor);
	while (plan->next < plan->lazy_n && plan->lazy[plan->next].end <= map->start)
		plan->next++;
	for (unsigned i = plan->next; i < plan->lazy_n && plan->lazy[i].start < map->end; i++) {
		uint64_t start = plan->lazy[i].start > map->start ? plan->lazy[i].start
								  : map->start;
		uint64_t end = plan->lazy[i].end < map->end ? plan->lazy[i].end : map->end;

		if (end <= start || !is_private_anonymous(map))
			continue;
		if (plan->parts == sizeof(plan->part) / sizeof(plan->part[0]) ||
		    plan->bytes >= plan->max_bytes) {
			plan->next = plan->lazy_n;
			break;
		}
		if (end - start > plan->max_bytes - plan->bytes)
			end = start + (plan->max_bytes - plan->bytes);
		plan->part[plan->parts++] = (struct iovec){ (void *)(uintptr_t)start, end - start };
		plan->bytes += end - start;
	}
	return plan->next == plan->lazy_n && plan->mapped;
}

/* Takes up to PIECE_BYTES, in up to BATCH ranges, from the parts that begin at *part. */
static unsigned take_batch(struct iovec **part, struct iovec *end, struct iovec batch[BATCH])
{
	size_t room = PIECE_BYTES;
	unsigned n = 0;

	for (; *part < end && n < BATCH && room; n++) {
		struct iovec *from = *part;

		batch[n] = *from;
		if (batch[n].iov_len > room)
			batch[n].iov_len = room;
		room -= batch[n].iov_len;
		from->iov_base = (char *)from->iov_base + batch[n].iov_len;
		from->iov_len -= batch[n].iov_len;
		*part += from->iov_len == 0;
	}
	return n;
}

/* One bad range fails its batch half-way. The rest of the batch is then tried range by range. */
static int page_out(int pidfd, struct iovec *part, unsigned parts)
{
	struct iovec *end = part + parts, batch[BATCH];
	uint64_t start = hak_monotonic_ns();
	unsigned n;
	int r = 0;

	while (hak_monotonic_ns() - start < MAX_NS && (n = take_batch(&part, end, batch))) {
		ssize_t done = hak_reader_advise(pidfd, batch, n, MADV_PAGEOUT);

		if (done == -ESRCH || done == -EPERM || done == -ENOSYS || done == -ETIME)
			return (int)done;
		for (unsigned j = 0; done < 0 && j < n; j++) {
			ssize_t one = hak_reader_advise(pidfd, batch + j, 1, MADV_PAGEOUT);

			if (one == -ETIME)
				return -ETIME;
			if (one < 0 && r == 0)
				r = (int)one;
		}
		if (part < end && hak_budget_spent())
			return -ETIME;
	}
	return r;
}

static int run(const struct hak_segment *seg, uint64_t max_bytes, bool exact, uint64_t *ret)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	uint64_t before, after;
	int r;

	if (!plan)
		return -ENOMEM;
	*ret = 0;
	plan->max_bytes = max_bytes;
	plan->stats_ino = seg->stats_ino;
	r = read_ranges(seg, plan);
	if (r == 0 && plan->lazy_n)
		r = hak_each_mapping(seg->procfd, meet_mapping, plan);
	/* Another program was executed, whose memory at these addresses was never published. */
	if (r >= 0 && plan->parts && !plan->mapped)
		r = -ESRCH;
	if (r >= 0 && plan->parts) {
		before = hak_segment_rss(seg, exact);
		r = page_out(seg->pidfd, plan->part, plan->parts);
		after = hak_segment_rss(seg, exact);
		*ret = before > after ? before - after : 0;
	}
	free(plan);
	return r < 0 ? r : 0;
}

int hak_pageout_run(const struct hak_segment *seg, uint64_t *ret)
{
	return run(seg, MAX_BYTES, true, ret);
}

int hak_pageout_some(const struct hak_segment *seg, uint64_t max_bytes, uint64_t *ret)
{
	return run(seg, max_bytes, false, ret);
}
