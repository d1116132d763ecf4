/* SPDX-License-Identifier: MIT */
/*
 * Validates a segment's content and reads from it. find.c finds and opens segments. All arithmetic
 * on fields of a header is done in 64 bits on 32-bit fields, where no sum or product can wrap.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/escape.h"
#include "control/missing.h"
#include "control/reader.h"
#include "control/segment.h"

/* Attempts to read the lazy table between two changes. */
#define SEQ_ATTEMPTS 100

#define STATS_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE)
/* The size in layout 0.1. The fields behind it are unknown in a shorter header. */
#define HEADER_BYTES_MIN offsetof(struct hak_stats_header, tune_fd)

__attribute__((format(printf, 2, 3))) static int bad(char why[HAK_WHY_TEXT], const char *format,
						     ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, HAK_WHY_TEXT, format, args);
	va_end(args);
	return -EBADMSG;
}

static int read_at(int fd, uint64_t offset, void *buf, size_t bytes, int at_end)
{
	char *to = buf;

	while (bytes) {
		ssize_t n = pread(fd, to, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return at_end;
		to += n, offset += (uint64_t)n, bytes -= (size_t)n;
	}
	return 0;
}

/*
 * Reads /proc/PID/mem in the same way. Where the address space is gone, by exit or exec, nothing is
 * read.
 */
static int read_memory(int fd, uint64_t address, void *buf, size_t bytes)
{
	char *to = buf;

	while (bytes) {
		ssize_t n = hak_reader_at(fd, to, bytes, address);

		if (n <= 0)
			return n < 0 ? (int)n : -ESRCH;
		to += n, address += (uint64_t)n, bytes -= (size_t)n;
	}
	return 0;
}

/* Reads from the piece that holds `offset`; -EBADMSG if that byte is not mapped. */
static int read_piece(const struct hak_segment *seg, uint64_t offset, void *buf, size_t *bytes)
{
	for (unsigned i = 0; i < seg->pieces; i++) {
		const struct hak_piece *p = &seg->piece[i];
		uint64_t into = offset - p->offset;
		int r;

		if (offset < p->offset || into >= p->bytes)
			continue;
		if (*bytes > p->bytes - into)
			*bytes = (size_t)(p->bytes - into);
		r = read_memory(seg->stats_fd, p->start + into, buf, *bytes);
		return r == -EIO ? -EBADMSG : r;
	}
	return -EBADMSG;
}

int hak_segment_read(const struct hak_segment *seg, uint64_t offset, void *buf, size_t bytes)
{
	char *to = buf;

	if (!seg->pieces)
		return read_at(seg->stats_fd, offset, buf, bytes, -EBADMSG);
	while (bytes) {
		size_t n = bytes;
		int r = read_piece(seg, offset, to, &n);

		if (r < 0)
			return r;
		to += n, offset += n, bytes -= n;
	}
	return 0;
}

/* -- validation -------------------------------------------------------------------------------- */
/* Checks that [off, off + bytes) lies in the file behind the header, aligned for u64. */
static bool lies_within(const struct hak_stats_header *h, uint64_t off, uint64_t bytes)
{
	return off % 8 == 0 && off >= h->header_bytes && bytes <= h->file_bytes &&
	       off <= h->file_bytes - bytes;
}

static int check_header(const struct hak_stats_header *h, uint64_t file_bytes,
			char why[HAK_WHY_TEXT])
{
	if (memcmp(h->magic, HAK_STATS_MAGIC, sizeof(h->magic)) != 0)
		return bad(why, "its segment does not begin with %s", HAK_STATS_MAGIC);
	if (h->abi_major != HAK_ABI_MAJOR) {
		bad(why, "its segment has layout %u, this program reads layout %u", h->abi_major,
		    HAK_ABI_MAJOR);
		return -EPROTONOSUPPORT;
	}
	if (h->file_bytes != file_bytes)
		return bad(why, "its segment claims another size than it has");
	if (h->header_bytes < HEADER_BYTES_MIN || h->header_bytes > file_bytes)
		return bad(why, "its segment's header has a wrong size");
	if (h->counters > HAK_MAX_COUNTERS || h->tunables > HAK_MAX_TUNABLES ||
	    h->classes > HAK_READER_CLASSES || h->heaps_max > HAK_MAX_HEAPS ||
	    h->lazy_ranges > HAK_LAZY_RANGES)
		return bad(why, "its segment claims more rows than there can be");
	if (h->counter_desc_bytes < sizeof(struct hak_counter_desc) ||
	    h->counter_desc_bytes > 4096 ||
	    h->tunable_desc_bytes < sizeof(struct hak_tunable_desc) ||
	    h->tunable_desc_bytes > 4096 || h->counter_desc_bytes % 8 || h->tunable_desc_bytes % 8)
		return bad(why, "its segment's descriptors have a wrong size");
	if (h->heap_stride > HAK_READER_HEAP_BYTES || h->heap_stride % 8 || h->proc_bytes % 8 ||
	    h->proc_bytes > HAK_READER_HEAP_BYTES)
		return bad(why, "its segment's heaps have a wrong size");
	if (!lies_within(h, h->counters_off, (uint64_t)h->counters * h->counter_desc_bytes) ||
	    !lies_within(h, h->tunables_off, (uint64_t)h->tunables * h->tunable_desc_bytes) ||
	    !lies_within(h, h->classes_off, (uint64_t)h->classes * sizeof(uint32_t)) ||
	    !lies_within(h, h->proc_off, h->proc_bytes) ||
	    !lies_within(h, h->lazy_off, sizeof(struct hak_lazy_table)) ||
	    !lies_within(h, h->heaps_off, (uint64_t)h->heaps_max * h->heap_stride))
		return bad(why, "a table of its segment lies outside it");
	if (h->ack_bytes < sizeof(struct hak_ack) || !lies_within(h, h->ack_off, h->ack_bytes))
		return bad(why, "the answers of its segment lie outside it");
	return 0;
}

static bool has_end(const char *text, size_t bytes)
{
	return text[0] && memchr(text, '\0', bytes);
}

static int check_counter(const struct hak_stats_header *h, const struct hak_counter_desc *d,
			 char why[HAK_WHY_TEXT])
{
	uint64_t end = (uint64_t)d->offset + 8, limit = h->heap_stride;

	if (!has_end(d->name, sizeof(d->name)))
		return bad(why, "a counter of its segment has no proper name");
	if (d->scope == HAK_SCOPE_PROC)
		limit = h->proc_bytes;
	else if (d->scope == HAK_SCOPE_HOT || d->scope == HAK_SCOPE_CLASS)
		end += h->classes ? (uint64_t)(h->classes - 1) * d->stride : 0;
	else if (d->scope != HAK_SCOPE_HEAP)
		return 0; /* a kind that was added later; shown as unknown */
	if (end > limit || d->offset % 8 || d->stride % 8)
		return bad(why, "counter %u of its segment lies outside it", d->id);
	return 0;
}

static int check_tunable(const struct hak_tunable_desc *d, char why[HAK_WHY_TEXT])
{
	if (!has_end(d->name, sizeof(d->name)) || !memchr(d->values, '\0', sizeof(d->values)))
		return bad(why, "a tunable of its segment has no proper name");
	if (d->min > d->max)
		return bad(why, "tunable %u of its segment has a range upside down", d->id);
	return 0;
}

/*
 * All later code, here and in the programs, takes these names for printable. An unprintable name
 * grows by this, and is cut where it fills its field; hakmem itself has no such names.
 */
static void escape_names(struct hak_segment *seg)
{
	hak_escape_in_place(seg->header.version, sizeof(seg->header.version));
	for (uint32_t i = 0; i < seg->header.counters; i++)
		hak_escape_in_place(seg->counter[i].name, sizeof(seg->counter[i].name));
	for (uint32_t i = 0; i < seg->header.tunables; i++) {
		hak_escape_in_place(seg->tunable[i].name, sizeof(seg->tunable[i].name));
		hak_escape_in_place(seg->tunable[i].values, sizeof(seg->tunable[i].values));
	}
}

/* Copies `n` descriptors of `size` bytes, of which the first `want` are known here, packed into a
 * new array. */
static int copy_table(const struct hak_segment *seg, uint64_t off, uint32_t n, uint32_t size,
		      size_t want, void **ret)
{
	char *from = calloc(n + 1, size), *to = calloc(n + 1, want);
	int r = -ENOMEM;

	if (from && to)
		r = hak_segment_read(seg, off, from, (size_t)n * size);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		memcpy(to + i * want, from + (size_t)i * size, want);
	free(from);
	if (r < 0)
		free(to);
	else
		*ret = to;
	return r;
}

static int copy_tables(struct hak_segment *seg, char why[HAK_WHY_TEXT])
{
	const struct hak_stats_header *h = &seg->header;
	void *p;
	int r;

	r = copy_table(seg, h->counters_off, h->counters, h->counter_desc_bytes,
		       sizeof(*seg->counter), &p);
	if (r < 0)
		return r;
	seg->counter = p;
	r = copy_table(seg, h->tunables_off, h->tunables, h->tunable_desc_bytes,
		       sizeof(*seg->tunable), &p);
	if (r < 0)
		return r;
	seg->tunable = p;
	r = copy_table(seg, h->classes_off, h->classes, sizeof(uint32_t), sizeof(uint32_t), &p);
	if (r < 0)
		return r;
	seg->class_size = p;
	for (uint32_t i = 0; i < h->counters; i++) {
		r = check_counter(h, &seg->counter[i], why);
		if (r < 0)
			return r;
	}
	for (uint32_t i = 0; i < h->tunables; i++) {
		r = check_tunable(&seg->tunable[i], why);
		if (r < 0)
			return r;
	}
	return 0;
}

void hak_segment_unload(struct hak_segment *seg)
{
	if (seg->stats_fd >= 0)
		close(seg->stats_fd);
	seg->stats_fd = -1;
	free(seg->counter);
	free(seg->tunable);
	free(seg->class_size);
	seg->counter = NULL;
	seg->tunable = NULL;
	seg->class_size = NULL;
}

/* Stores the size of hakmem-stats: of the memfd, or of its mappings. */
static int size_of(struct hak_segment *seg, uint64_t *ret, char why[HAK_WHY_TEXT])
{
	struct stat st;
	int seals;

	*ret = 0;
	for (unsigned i = 0; i < seg->pieces; i++) {
		const struct hak_piece *p = &seg->piece[i];

		/*
		 * compares without a sum, because a mapping may reach to the last possible offset
		 */
		if (p->offset > HAK_STATS_MAX_BYTES || p->bytes > HAK_STATS_MAX_BYTES)
			return bad(why, "its segment is too large");
		if (p->offset + p->bytes > *ret)
			*ret = p->offset + p->bytes;
	}
	if (seg->pieces)
		return 0;
	seals = fcntl(seg->stats_fd, F_GET_SEALS);
	if (seals < 0 || (seals & STATS_SEALS) != STATS_SEALS)
		return bad(why, "its segment is not sealed");
	if (fstat(seg->stats_fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	seg->stats_ino = st.st_ino;
	return 0;
}

static int load(struct hak_segment *seg, char why[HAK_WHY_TEXT])
{
	uint64_t bytes;
	int r = size_of(seg, &bytes, why);

	if (r < 0)
		return r;
	if (bytes < sizeof(seg->header))
		return bad(why, "its segment is too short");
	if (bytes > HAK_STATS_MAX_BYTES)
		return bad(why, "its segment is too large");
	snprintf(why, HAK_WHY_TEXT, "its segment cannot be read");
	r = hak_segment_read(seg, 0, &seg->header, sizeof(seg->header));
	if (r < 0)
		return r;
	/* A mapping ends at a page boundary, the file within that page. */
	if (seg->pieces && seg->header.file_bytes <= bytes &&
	    bytes - seg->header.file_bytes < (uint64_t)sysconf(_SC_PAGESIZE))
		bytes = seg->header.file_bytes;
	r = check_header(&seg->header, bytes, why);
	if (r < 0)
		return r;
	if (seg->header.header_bytes < HEADER_BYTES_MIN + sizeof(seg->header.tune_fd))
		seg->header.tune_fd = -1;
	if (seg->header.header_bytes < offsetof(struct hak_stats_header, structs))
		seg->header.call = 0;
	if (seg->header.header_bytes < sizeof(seg->header))
		seg->header.structs = 0;
	r = copy_tables(seg, why);
	if (r == 0)
		escape_names(seg);
	return r;
}

int hak_segment_load(struct hak_segment *seg, int stats_fd, char why[HAK_WHY_TEXT])
{
	int r;

	seg->stats_fd = stats_fd;
	r = load(seg, why);
	if (r < 0) {
		seg->stats_fd = -1; /* the descriptor stays the caller's */
		hak_segment_unload(seg);
	}
	return r;
}

/* -- use --------------------------------------------------------------------------------------- */
void hak_segment_close(struct hak_segment *seg)
{
	const int fds[] = { seg->tune_fd, seg->procfd, seg->pidfd };

	hak_segment_unload(seg);
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(seg);
}

int hak_segment_alive(const struct hak_segment *seg)
{
	struct pollfd p = { .fd = seg->pidfd, .events = POLLIN };

	if (seg->pidfd >= 0)
		return poll(&p, 1, 0) == 1 ? -ESRCH : 0;
	return faccessat(seg->procfd, "stat", F_OK, 0) < 0 ? -ESRCH : 0;
}

int hak_segment_read_lazy(const struct hak_segment *seg, struct hak_lazy_table *ret)
{
	const uint64_t offset = seg->header.lazy_off;
	const uint32_t n = seg->header.lazy_ranges;
	const size_t bytes = offsetof(struct hak_lazy_table, range) +
			     (n < HAK_LAZY_RANGES ? n : HAK_LAZY_RANGES) * sizeof(ret->range[0]);
	uint64_t before = 1, after = 1;
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	/*
	 * The sequence is read by reads of its own: within one read the kernel may copy in any
	 * order.
	 */
	for (int i = 0; i < SEQ_ATTEMPTS && r == 0; i++) {
		r = hak_segment_read(seg, offset, &before, sizeof(before));
		if (r == 0)
			r = hak_segment_read(seg, offset, ret, bytes);
		if (r == 0)
			r = hak_segment_read(seg, offset, &after, sizeof(after));
		if (before % 2 == 0 && before == after)
			break;
	}
	if (r < 0)
		return r;
	return before % 2 || before != after ? -EAGAIN : 0;
}

int hak_segment_read_tune(const struct hak_segment *seg, struct hak_tune *ret)
{
	int r;

	if (seg->tune_fd < 0)
		return -EACCES;
	r = read_at(seg->tune_fd, 0, ret, sizeof(*ret), -EBADMSG);
	if (r < 0)
		return r;
	if (memcmp(ret->magic, HAK_TUNE_MAGIC, sizeof(ret->magic)) != 0 ||
	    ret->abi_major != HAK_ABI_MAJOR || ret->stats_ino != seg->stats_ino)
		return -EBADMSG;
	return 0;
}

int hak_segment_tunable(const struct hak_segment *seg, const char *name)
{
	for (uint32_t i = 0; i < seg->header.tunables; i++)
		if (strcmp(seg->tunable[i].name, name) == 0)
			return (int)i;
	return -1;
}

int hak_segment_counter(const struct hak_segment *seg, uint16_t id)
{
	for (uint32_t i = 0; i < seg->header.counters; i++)
		if (seg->counter[i].id == id)
			return (int)i;
	return -1;
}

uint64_t hak_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t hak_realtime_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

uint64_t hak_segment_now_ns(const struct hak_segment *seg)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + (uint64_t)seg->clock_ns;
}
