/* SPDX-License-Identifier: MIT */
/*
 * Processes that show the administrator false segments. In each case a process shows a segment with
 * one fault. The reader must return the right error and a reason, must not crash, and must not
 * wait. An alarm ends a reader that waits.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/pageout.h"
#include "control/snapshot.h"
#include "control/target.h"
#include "control/tunewrite.h"
#include "tests/check.h"
#include "tests/control/fake.h"

enum { READER_SECONDS = 20 };

/* One faulty process. The functions run in it; afterwards it waits to be killed. */
struct liar {
	const char *name;
	void (*before_seal)(struct fake *f);
	void (*after_seal)(struct fake *f);
	int error; /* of hak_segment_open() */
	const char *says;
	bool no_seals;
	bool of_file; /* only a reader that can open the memfd, root, sees the fault */
};

/* -- lies about the content -------------------------------------------------------------------- */
#define LIE(name_, statement)             \
	static void name_(struct fake *f) \
	{                                 \
		statement;                \
	}

LIE(magic, f->header->magic[7] = '2')
LIE(layout, f->header->abi_major = HAK_ABI_MAJOR + 1)
LIE(claims_less, f->header->file_bytes -= 4096)
LIE(claims_more, f->header->file_bytes = 1ull << 62)
LIE(header_short, f->header->header_bytes = 8)
LIE(header_long, f->header->header_bytes = 0xffffffff)
LIE(many_counters, f->header->counters = 0xffffffff)
LIE(few_more_counters, f->header->counters = HAK_MAX_COUNTERS)
LIE(many_tunables, f->header->tunables = HAK_MAX_TUNABLES + 1)
LIE(many_classes, f->header->classes = 0x40000001)
LIE(many_heaps, f->header->heaps_max = 0x80000000)
LIE(more_heaps, f->header->heaps_max = FAKE_HEAPS + 1)
LIE(counters_behind, f->header->counters_off = 0xfffffff8)
LIE(counters_in_header, f->header->counters_off = 8)
LIE(counters_crooked, f->header->counters_off += 4)
LIE(desc_empty, f->header->counter_desc_bytes = 0)
LIE(desc_huge, f->header->tunable_desc_bytes = 0xfffffff8)
LIE(classes_behind, f->header->classes_off = (uint32_t)f->bytes - 8)
LIE(ack_behind, f->header->ack_off = (uint32_t)f->bytes - 64)
LIE(ack_short, f->header->ack_bytes = 8)
LIE(ack_long, f->header->ack_bytes = 0xfffffff0)
LIE(lazy_behind, f->header->lazy_off = (uint32_t)f->bytes - 16)
LIE(lazy_many, f->header->lazy_ranges = 0xffffffff)
LIE(proc_behind, f->header->proc_off = (uint32_t)f->bytes)
LIE(proc_long, f->header->proc_bytes = 0xfffffff8)
LIE(heaps_behind, f->header->heaps_off = (uint32_t)f->bytes - 8192)
LIE(heaps_wide, f->header->heap_stride = 0xfffffff8)
LIE(heaps_crooked, f->header->heap_stride = HAK_HEAP_STRIDE - 4)
LIE(counter_outside, f->counter[30].offset = HAK_HEAP_STRIDE)
LIE(counter_wraps, f->counter[30].offset = 0xfffffff8)
LIE(counter_strides, f->counter[0].stride = 0xfff8)
LIE(counter_crooked, f->counter[1].offset += 1)
LIE(proc_counter_outside, f->counter[hak_counter_rows_n - 1].offset = 0x7ffffff8)
LIE(counter_nameless, f->counter[5].name[0] = '\0')
LIE(counter_endless, memset(f->counter[5].name, 'x', sizeof(f->counter[5].name)))
LIE(tunable_endless, memset(f->tunable[2].name, 'x', sizeof(f->tunable[2].name)))
LIE(values_endless, memset(f->tunable[2].values, '|', sizeof(f->tunable[2].values)))
LIE(range_reversed, f->tunable[2].min = 9; f->tunable[2].max = 1)
LIE(other_pid, f->header->pid = 1)
LIE(too_old, f->header->created_ns = 1)
LIE(tune_of_another, f->header->tune_ino += 1)

static void too_short(struct fake *f)
{
	munmap(f->map + 4096, f->bytes - 4096);
	if (ftruncate(f->stats_fd, 100) < 0)
		err(99, "ftruncate");
}

static void empty(struct fake *f)
{
	munmap(f->map + 4096, f->bytes - 4096);
	if (ftruncate(f->stats_fd, 0) < 0)
		err(99, "ftruncate");
}

static void huge(struct fake *f)
{
	f->header->file_bytes = 1ull << 40;
	if (ftruncate(f->stats_fd, 1ll << 40) < 0)
		err(99, "ftruncate");
}

static void half_sealed(struct fake *f)
{
	if (fcntl(f->stats_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		err(99, "F_ADD_SEALS");
}

/* -- lies about descriptors and mappings ------------------------------------------------------- */
static void fifo_at(int fd)
{
	char path[] = "/tmp/hakmem-fifo.XXXXXX";
	int fifo;

	if (!mkdtemp(path) || chdir(path) < 0 || mkfifo("f", 0666) < 0)
		err(99, "mkfifo");
	fifo = open("f", O_RDWR | O_CLOEXEC);
	if (fifo < 0 || dup2(fifo, fd) < 0)
		err(99, "fifo");
	unlink("f");
	rmdir(path);
}

LIE(fifo, fifo_at(f->stats_fd))

/* It has the same name and even the same content, but is not what is mapped. */
static void swapped(struct fake *f)
{
	struct fake other;

	fake_create(&other);
	strcpy(other.header->version, "another");
	fake_seal(&other);
	munmap(other.map, other.bytes);
	munmap(other.tune, 4096);
	if (dup2(other.stats_fd, f->stats_fd) < 0)
		err(99, "dup2");
	close(other.stats_fd);
	close(other.tune_fd);
}

static void descriptors_closed(struct fake *f)
{
	close(f->stats_fd);
	close(f->tune_fd);
}

static void name_only(struct fake *f)
{
	descriptors_closed(f);
	munmap(f->map, f->bytes);
	munmap(f->tune, 4096);
}

/* 20 MB of maps in front of the segment: mappings of one file with a very long path. */
static void endless_maps(struct fake *f __attribute__((unused)))
{
	char folder[201], base[] = "/tmp/hakmem-deep.XXXXXX";
	int fd;

	memset(folder, 'd', sizeof(folder) - 1);
	folder[sizeof(folder) - 1] = '\0';
	if (!mkdtemp(base) || chdir(base) < 0)
		err(99, "mkdtemp");
	for (int i = 0; i < 19; i++)
		if (mkdir(folder, 0700) < 0 || chdir(folder) < 0)
			err(99, "mkdir");
	fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 4096) < 0)
		err(99, "file");
	/*
	 * Downwards from the top, in the kernel's order, so that all of these come before the
	 * segment.
	 */
	for (int i = 0; i < 6000; i++)
		if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
			err(99, "mmap");
	unlink("f");
	for (int i = 0; i < 19; i++)
		if (chdir("..") < 0 || rmdir(folder) < 0)
			err(99, "rmdir");
	rmdir(base);
}

#define BAD -EBADMSG
static const struct liar liars[] = {
	{ "good", NULL, NULL, 0, "" },
	{ "magic", magic, NULL, BAD, "does not begin" },
	{ "layout", layout, NULL, -EPROTONOSUPPORT, "layout" },
	{ "claims less", claims_less, NULL, BAD, "another size" },
	{ "claims more", claims_more, NULL, BAD, "another size" },
	{ "header short", header_short, NULL, BAD, "header" },
	{ "header long", header_long, NULL, BAD, "header" },
	{ "many counters", many_counters, NULL, BAD, "more rows" },
	{ "a few more counters", few_more_counters, NULL, BAD, "" },
	{ "many tunables", many_tunables, NULL, BAD, "more rows" },
	{ "many classes", many_classes, NULL, BAD, "more rows" },
	{ "many heaps", many_heaps, NULL, BAD, "more rows" },
	{ "one heap more", more_heaps, NULL, BAD, "outside" },
	{ "counters behind the end", counters_behind, NULL, BAD, "outside" },
	{ "counters in the header", counters_in_header, NULL, BAD, "outside" },
	{ "counters crooked", counters_crooked, NULL, BAD, "outside" },
	{ "empty descriptors", desc_empty, NULL, BAD, "descriptors" },
	{ "huge descriptors", desc_huge, NULL, BAD, "descriptors" },
	{ "classes behind the end", classes_behind, NULL, BAD, "outside" },
	{ "answers behind the end", ack_behind, NULL, BAD, "answers" },
	{ "answers short", ack_short, NULL, BAD, "answers" },
	{ "answers long", ack_long, NULL, BAD, "answers" },
	{ "lazy table behind the end", lazy_behind, NULL, BAD, "outside" },
	{ "lazy table long", lazy_many, NULL, BAD, "more rows" },
	{ "process counters behind the end", proc_behind, NULL, BAD, "outside" },
	{ "process counters long", proc_long, NULL, BAD, "wrong size" },
	{ "heaps behind the end", heaps_behind, NULL, BAD, "outside" },
	{ "heaps wide", heaps_wide, NULL, BAD, "heaps" },
	{ "heaps crooked", heaps_crooked, NULL, BAD, "heaps" },
	{ "counter outside", counter_outside, NULL, BAD, "counter" },
	{ "counter wraps", counter_wraps, NULL, BAD, "counter" },
	{ "counter strides out", counter_strides, NULL, BAD, "counter" },
	{ "counter crooked", counter_crooked, NULL, BAD, "counter" },
	{ "process counter outside", proc_counter_outside, NULL, BAD, "counter" },
	{ "counter without a name", counter_nameless, NULL, BAD, "name" },
	{ "counter with an endless name", counter_endless, NULL, BAD, "name" },
	{ "tunable with an endless name", tunable_endless, NULL, BAD, "name" },
	{ "tunable with endless values", values_endless, NULL, BAD, "name" },
	{ "tunable with a reversed range", range_reversed, NULL, BAD, "range" },
	{ "another's pid", other_pid, NULL, -ESTALE, "another process" },
	{ "older than its process", too_old, NULL, -ESTALE, "another process" },
	{ "too short", too_short, NULL, BAD, "too short", .of_file = true },
	{ "empty", empty, NULL, BAD, "too short", .of_file = true },
	{ "huge", huge, NULL, BAD, "too large", .of_file = true },
	{ "not sealed", NULL, NULL, BAD, "not sealed", .no_seals = true, .of_file = true },
	{ "half sealed", half_sealed, NULL, BAD, "not sealed", .no_seals = true, .of_file = true },
	{ "name only", NULL, name_only, -ENOENT, "does not run hakmem" },
	{ "endless maps", NULL, endless_maps, -E2BIG, "" },
};

/* -- the reader -------------------------------------------------------------------------------- */
/* Starts a process that shows the faulty segment; returns when it is ready. */
static pid_t start(const struct liar *liar)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe2(ready, O_CLOEXEC) < 0)
		err(99, "pipe2");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(99, "fork");
	if (pid == 0) {
		struct fake f;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fake_create(&f);
		if (liar->before_seal)
			liar->before_seal(&f);
		if (!liar->no_seals)
			fake_seal(&f);
		if (liar->after_seal)
			liar->after_seal(&f);
		if (write(ready[1], "", 1) != 1)
			_exit(99);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		errx(99, "%s: did not start", liar->name);
	close(ready[0]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void try_liar(const struct liar *liar)
{
	char why[HAK_WHY_TEXT] = "";
	struct hak_segment *seg;
	pid_t pid;
	int r;

	if (liar->of_file && geteuid() != 0)
		return;
	pid = start(liar);
	alarm(READER_SECONDS);
	r = hak_segment_open(pid, HAK_SEGMENT_WRITE, &seg, why);
	alarm(0);
	EXPECT(r == liar->error, "%s: %d (%s), expected %d", liar->name, r, why, liar->error);
	EXPECT(r == 0 || strstr(why, liar->says), "%s: \"%s\" does not say \"%s\"", liar->name, why,
	       liar->says);
	if (r == 0)
		hak_segment_close(seg);
	stop(pid);
}

static struct hak_segment *open_good(pid_t pid)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	int r = hak_segment_open(pid, HAK_SEGMENT_WRITE, &seg, why);

	if (r < 0)
		errx(1, "cannot open: %s", why);
	return seg;
}

/*
 * The mapping decides, not what a descriptor of that number shows. Where the descriptor shows
 * something else, the mapping itself is opened, which only root may do.
 */
static void descriptors(void)
{
	static const struct liar cases[] = {
		{ "fifo", NULL, fifo },
		{ "swapped", NULL, swapped },
		{ "closed", NULL, descriptors_closed },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid_t pid = start(&cases[i]);
		char why[HAK_WHY_TEXT] = "";
		struct hak_segment *seg;
		int r;

		alarm(READER_SECONDS);
		r = hak_segment_open(pid, 0, &seg, why);
		alarm(0);
		EXPECT(r == 0 || (r == -EPERM && strstr(why, "only root")), "%s: %d (%s)",
		       cases[i].name, r, why);
		EXPECT(geteuid() != 0 || r == 0, "%s: root got %d (%s)", cases[i].name, r, why);
		if (r == 0) {
			EXPECT(strcmp(seg->header.version, "fake") == 0,
			       "%s: took what is not mapped", cases[i].name);
			hak_segment_close(seg);
		}
		stop(pid);
	}
}

/* Impossible figures are shown unchanged, or held within bounds; nothing is read beyond the
 * segment. */
static void wild_figures(struct fake *f)
{
	f->ack->heaps_populated = 0xffffffff;
	f->ack->applied = ~0ull;
	for (uint32_t i = 0; i < HAK_CLASSES; i++)
		f->class_size[i] = 0xffffffff;
	for (size_t i = 0; i < HAK_PROC_COUNTERS; i++)
		f->proc[i] = ~0ull;
	memset(f->heaps, 0xff, (size_t)FAKE_HEAPS * HAK_HEAP_STRIDE);
	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		f->ack->value[i].origin = 0xffffffff;
		f->ack->value[i].value = ~0ull;
	}
	f->lazy->count = 0xffffffff;
	f->lazy->seq = 2;
	for (unsigned i = 0; i < HAK_LAZY_RANGES; i++) {
		f->lazy->range[i].addr = ~0ull - i;
		f->lazy->range[i].bytes = ~0ull;
	}
}

static void figures(void)
{
	const struct liar liar = { "wild figures", wild_figures };
	pid_t pid = start(&liar);
	struct hak_segment *seg = open_good(pid);
	struct hak_tunable_state *states;
	struct hak_snapshot snap;
	struct hak_memory memory;
	uint64_t bytes;

	EXPECT(hak_snapshot_take(seg, &snap) == 0, "snapshot");
	EXPECT(snap.heaps == FAKE_HEAPS, "%u heaps", snap.heaps);
	memory = hak_memory_of(seg, &snap);
	EXPECT(memory.thread_cached == 0, "negative cached blocks came out as %llu",
	       (unsigned long long)memory.thread_cached);
	hak_snapshot_free(&snap);
	EXPECT(hak_tunables_read(seg, &states) == 0, "tunables");
	EXPECT(states[0].ack.value == ~0ull, "a value");
	free(states);
	EXPECT(hak_pageout_run(seg, &bytes) == 0 && bytes == 0,
	       "page-out of ranges that cannot be");
	hak_segment_close(seg);
	stop(pid);
}

/* -- the tune page ----------------------------------------------------------------------------- */
static void punched(struct fake *f)
{
	if (fallocate(f->tune_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0)
		err(99, "fallocate");
}

static void lock_kept(struct fake *f)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = HAK_LOCK_WRITER, .l_len = 1 };

	if (fcntl(f->tune_fd, F_OFD_SETLK, &lock) < 0)
		err(99, "F_OFD_SETLK");
	prctl(PR_SET_NAME, "\033[2Jkeeper");
}

static void tune_unsealed(struct fake *f)
{
	if (fcntl(f->stats_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | 0x10) < 0)
		err(99, "F_ADD_SEALS");
}

LIE(locked, f->header->locked = 1)
LIE(tune_magic, f->tune->magic[0] = 'X')
LIE(tune_owner, f->tune->stats_ino += 1)

static void tune_pages(void)
{
	static const struct {
		struct liar liar;
		int error;
		const char *says;
	} cases[] = {
		{ { "tune page is fine" }, 0, "" },
		{ { "tune page punched", NULL, punched }, -EBADMSG, "lost its magic" },
		{ { "tune page has another magic", tune_magic }, -EBADMSG, "lost its magic" },
		{ { "tune page of another segment", tune_owner }, -EBADMSG, "lost its magic" },
		{ { "tune page unsealed", tune_unsealed, .no_seals = true },
		  -EACCES,
		  "cannot be opened" },
		{ { "tune page not the one named", tune_of_another }, -EACCES, "cannot be opened" },
		{ { "lock kept", NULL, lock_kept }, -EBUSY, "(\\x1b[2Jkeeper)" },
		{ { "locked", locked }, -EPERM, "control.lock" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct hak_change change = { .index = 0, .set = true, .value = 1 };
		pid_t pid = start(&cases[i].liar);
		struct hak_segment *seg = open_good(pid);
		char why[HAK_WHY_TEXT] = "";
		struct hak_tune tune;
		uint64_t ticket = 0;
		bool unreadable = cases[i].error == -EBADMSG || cases[i].error == -EACCES;
		int r;

		alarm(READER_SECONDS);
		r = hak_segment_read_tune(seg, &tune);
		EXPECT(r == (unreadable ? cases[i].error : 0), "%s: read: %d", cases[i].liar.name,
		       r);
		r = hak_tune_write(seg, HAK_ORIGIN_ADMIN, &change, 1, &ticket, why);
		EXPECT(r == cases[i].error, "%s: set: %d (%s)", cases[i].liar.name, r, why);
		EXPECT(r == 0 || strstr(why, cases[i].says), "%s: \"%s\"", cases[i].liar.name, why);
		r = hak_purge_ask(seg, HAK_PURGE_ALL, &ticket, why);
		EXPECT(r == cases[i].error, "%s: purge: %d (%s)", cases[i].liar.name, r, why);
		alarm(0);
		hak_segment_close(seg);
		stop(pid);
	}
}

/* An answer that stays half-written, and one to a request of the future. */
static void half_answer(struct fake *f)
{
	f->ack->answer[1] = (struct hak_purge_answer){ .seq = 3, .id = 1, .bytes = 1 };
	f->lazy->seq = 3;
}

static void future_answer(struct fake *f)
{
	f->ack->answer[2] = (struct hak_purge_answer){ .seq = 2, .id = 2, .bytes = 1 };
}

static void answers(void)
{
	const struct liar half = { "half answer", half_answer },
			  future = { "future answer", future_answer };
	struct hak_purge_answer answer = { .bytes = 4711 };
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	uint64_t id, bytes;
	pid_t pid = start(&half);

	alarm(READER_SECONDS);
	seg = open_good(pid);
	EXPECT(hak_purge_ask(seg, HAK_PURGE_DIRTY, &id, why) == 0 && id == 1, "ask");
	EXPECT(hak_purge_wait(seg, id, 50000000, &answer) == -ETIMEDOUT && answer.bytes == 4711,
	       "half an answer");
	EXPECT(hak_pageout_run(seg, &bytes) == -EAGAIN, "half a table of ranges");
	EXPECT(hak_tune_wait(seg, 2, 50000000) == -ETIMEDOUT, "no thread applies it");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT(hak_tune_wait(seg, 2, 10000000000) == -ESRCH, "waiting for the dead");
	EXPECT(hak_segment_alive(seg) == -ESRCH, "dead");
	hak_segment_close(seg);

	pid = start(&future);
	seg = open_good(pid);
	EXPECT(hak_purge_ask(seg, HAK_PURGE_DIRTY, &id, why) == 0 && id == 1, "ask");
	EXPECT(hak_purge_wait(seg, id, 10000000000, &answer) == -ESTALE,
	       "an answer to a later request");
	hak_segment_close(seg);
	alarm(0);
	stop(pid);
}

/* -- page-out ---------------------------------------------------------------------------------- */
enum { SPAN = 16 << 20 };

/* Private anonymous memory, lazily freed; a file; shared memory; and a range that covers all three
 * and holes. */
static void publish_ranges(struct fake *f)
{
	char *reserve = mmap(NULL, 8 * SPAN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *lazy = mmap(reserve + SPAN, SPAN, PROT_READ | PROT_WRITE,
			  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared = mmap(reserve + 3 * SPAN, SPAN, PROT_READ | PROT_WRITE,
			    MAP_FIXED | MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (reserve == MAP_FAILED || lazy == MAP_FAILED || shared == MAP_FAILED)
		err(99, "mmap");
	memset(lazy, 1, SPAN);
	memset(shared, 1, SPAN);
	if (madvise(lazy, SPAN, MADV_FREE) < 0)
		err(99, "MADV_FREE");
	f->lazy->range[0].addr = (uintptr_t)reserve;
	f->lazy->range[0].bytes = 8 * SPAN;
	f->lazy->range[1].addr = (uintptr_t)f->map;
	f->lazy->range[1].bytes = f->bytes;
	f->lazy->count = 2;
}

static uint64_t rss_line(pid_t pid, const char *key)
{
	char path[64], line[256];
	uint64_t kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtoull(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return kib << 10;
}

static void page_out(void)
{
	const struct liar liar = { "ranges", publish_ranges };
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg, *second;
	uint64_t anon, shared, bytes = 0;
	pid_t pid;

	if (hak_pageout_possible(why) < 0) {
		printf("page-out not tried: %s\n", why);
		return;
	}
	pid = start(&liar);
	seg = open_good(pid);
	second = open_good(pid);
	EXPECT(hak_pageout_attach(seg) == 0 && hak_pageout_attach(second) == -EBUSY,
	       "one controller at a time");
	hak_pageout_detach(seg);
	EXPECT(hak_pageout_attach(second) == 0, "the next one");
	hak_segment_close(second);
	EXPECT(hak_pageout_attach(seg) == 0, "closing gave the lock back");
	anon = rss_line(pid, "RssAnon:");
	shared = rss_line(pid, "RssShmem:");
	EXPECT(hak_pageout_run(seg, &bytes) == 0, "page-out");
	EXPECT(bytes >= SPAN / 2, "%llu bytes paged out of %u", (unsigned long long)bytes, SPAN);
	EXPECT(anon - rss_line(pid, "RssAnon:") >= SPAN / 2, "private memory stayed");
	EXPECT(rss_line(pid, "RssShmem:") == shared, "shared memory was paged out");
	hak_segment_close(seg);
	stop(pid);

	/*
	 * The published ranges belong to a program that the process no longer runs: it maps no
	 * segment.
	 */
	pid = start(&liar);
	seg = open_good(pid);
	seg->stats_ino = UINT64_MAX;
	anon = rss_line(pid, "RssAnon:");
	CHECK(hak_pageout_run(seg, &bytes) == -ESRCH && bytes == 0, "page-out of another program");
	CHECK(rss_line(pid, "RssAnon:") == anon, "another program's memory was paged out");
	hak_segment_close(seg);
	stop(pid);
}

/* A real child that has not made its own segment yet. */
static void real_child(void)
{
	const struct liar parent = { "parent" };
	struct fake f;
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	int ready[2];
	pid_t pid;
	char c;

	fake_create(&f);
	fake_seal(&f);
	if (pipe2(ready, O_CLOEXEC) < 0)
		err(99, "pipe2");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (write(ready[1], "", 1) != 1)
			_exit(99);
		for (;;)
			pause();
	}
	if (read(ready[0], &c, 1) != 1)
		err(99, "read");
	EXPECT(hak_segment_open(pid, 0, &seg, why) == -ESTALE,
	       "%s: a child was taken for its parent", parent.name);
	EXPECT(hak_segment_open(getpid(), 0, &seg, why) == 0, "the parent: %s", why);
	hak_segment_close(seg);
	stop(pid);
	EXPECT(hak_segment_open(pid, 0, &seg, why) == -ESRCH, "a pid that is no more: %s", why);
	munmap(f.map, f.bytes);
	munmap(f.tune, 4096);
	close(f.stats_fd);
	close(f.tune_fd);
}

static uint64_t *mended; /* corrected at the second look; NULL: nothing is */
static uint64_t good_word;
static unsigned pauses;

int nanosleep(const struct timespec *request, struct timespec *remain)
{
	pauses++;
	if (mended)
		*mended = good_word;
	return 0;
}

/*
 * A process may be making its segment at that moment: a bad one is looked at twice, a good one
 * once.
 */
static void second_look(void)
{
	struct fake f;
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	int r;

	pauses = 0;
	fake_create(&f);
	fake_seal(&f);
	r = hak_target_open(NULL, getpid(), 0, &seg, why);
	EXPECT(r == 0 && pauses == 0, "a good segment: %s", why);
	hak_segment_close(seg);
	mended = (uint64_t *)f.header;
	good_word = *mended;
	*mended = 0;
	r = hak_target_open(NULL, getpid(), 0, &seg, why);
	EXPECT(r == 0 && pauses == 1, "one that becomes good: %s", why);
	if (r == 0)
		hak_segment_close(seg);
	*mended = 0;
	mended = NULL;
	for (unsigned i = 0; i < 100; i++)
		EXPECT(hak_target_open(NULL, getpid(), 0, &seg, why) == -EBADMSG, "a bad one");
	EXPECT(pauses >= 2 && pauses < 50, "%u pauses for 100 bad ones", pauses);
	munmap(f.map, f.bytes);
	munmap(f.tune, 4096);
	close(f.stats_fd);
	close(f.tune_fd);
}

static void all_liars(void)
{
	for (size_t i = 0; i < sizeof(liars) / sizeof(liars[0]); i++)
		try_liar(&liars[i]);
}

static const struct tcase cases[] = {
	{ "all_liars", all_liars },   { "descriptors", descriptors }, { "figures", figures },
	{ "tune_pages", tune_pages }, { "answers", answers },	      { "page_out", page_out },
	{ "real_child", real_child }, { "second_look", second_look },
};

CASES(cases)
