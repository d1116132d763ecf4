/* SPDX-License-Identifier: MIT */
/*
 * Writing tunables and purge requests, against a process that plays the library's part: it sleeps
 * in the futex of the tune page and applies the changes. It reports what it saw in counters of its
 * own segment.
 */
#include <err.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/snapshot.h"
#include "control/tunewrite.h"
#include "tests/check.h"
#include "tests/control/fake.h"

enum { WRITES = 400, SLOT = HAK_T_WHALE_RING_BYTES };
static const uint64_t long_ns = 20000000000; /* longer than any of this takes */

/* Applies and answers for ever; counts slots whose value and deadline do not belong together. */
static void serve(struct fake *f)
{
	for (;;) {
		uint32_t wake = __atomic_load_n(&f->tune->wake, __ATOMIC_ACQUIRE);
		bool busy = fake_apply(f);

		busy = fake_answer(f, 12345, 678) || busy;
		if (f->ack->value[SLOT].origin == HAK_ORIGIN_ADMIN && busy) {
			/* Uses the copy that was applied, not the page, which may move on. */
			f->proc[0] += f->ack->value[SLOT].asked % 7 != 0;
			f->proc[1]++;
		}
		if (!busy)
			syscall(SYS_futex, &f->tune->wake, FUTEX_WAIT, wake, NULL, NULL, 0);
	}
}

/* Starts a process with a segment that `prepare` changed before any reader sees it; it then runs
 * `run`, if any. */
static pid_t start(void (*prepare)(struct fake *f), void (*run)(struct fake *f))
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready) < 0)
		err(99, "pipe");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct fake f;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fake_create(&f);
		if (prepare)
			prepare(&f);
		fake_seal(&f);
		f.ack->agent = run != NULL;
		if (write(ready[1], "", 1) != 1)
			_exit(99);
		if (run)
			run(&f);
		for (;;)
			pause();
	}
	if (read(ready[0], &c, 1) != 1)
		errx(99, "a process did not start");
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct hak_segment *open_for_writing(pid_t pid)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;

	if (hak_segment_open(pid, HAK_SEGMENT_WRITE, &seg, why) < 0)
		errx(1, "cannot open: %s", why);
	return seg;
}

static struct hak_tunable_state state_of(const struct hak_segment *seg, uint32_t index)
{
	struct hak_tunable_state *all, one;

	if (hak_tunables_read(seg, &all) < 0)
		errx(1, "cannot read tunables");
	one = all[index];
	free(all);
	return one;
}

static uint64_t set(const struct hak_segment *seg, enum hak_origin origin,
		    const struct hak_change *change)
{
	char why[HAK_WHY_TEXT] = "";
	uint64_t generation = 0;
	int r = hak_tune_write(seg, origin, change, 1, &generation, why);

	EXPECT(r == 0, "write: %d (%s)", r, why);
	return generation;
}

/* Layers, clamping and deadlines, as an answering process shows them. */
static void answered(void)
{
	struct hak_change change = { .index = HAK_T_WHALE_RING_SLOTS, .set = true, .value = 5 };
	pid_t pid = start(NULL, serve);
	struct hak_segment *seg = open_for_writing(pid);
	struct hak_tunable_state s;
	uint64_t generation;

	generation = set(seg, HAK_ORIGIN_POLICY, &change);
	EXPECT(generation == 2, "the first generation is %llu", (unsigned long long)generation);
	EXPECT(hak_tune_wait(seg, generation, long_ns) == 0, "the process was not woken");
	s = state_of(seg, change.index);
	EXPECT(s.ack.value == 5 && s.ack.origin == HAK_ORIGIN_POLICY && !s.pending,
	       "policy: %llu from %u", (unsigned long long)s.ack.value, s.ack.origin);

	change.value = 99999;
	change.deadline_ns = hak_segment_now_ns(seg) + 3600000000000;
	EXPECT(hak_tune_wait(seg, set(seg, HAK_ORIGIN_ADMIN, &change), long_ns) == 0,
	       "not woken again");
	s = state_of(seg, change.index);
	EXPECT(s.ack.value == 1024 && s.ack.clamped && s.ack.origin == HAK_ORIGIN_ADMIN,
	       "admin: %llu from %u", (unsigned long long)s.ack.value, s.ack.origin);
	EXPECT(s.expires_ns > 3000000000000 && s.expires_ns <= 3600000000000, "expires in %llu ns",
	       (unsigned long long)s.expires_ns);
	EXPECT(s.slot[HAK_ORIGIN_ADMIN].writer_pid == (uint32_t)getpid(),
	       "the writer does not name itself");

	change.set = false;
	EXPECT(hak_tune_wait(seg, set(seg, HAK_ORIGIN_ADMIN, &change), long_ns) == 0, "not woken");
	s = state_of(seg, change.index);
	EXPECT(s.ack.value == 5 && s.ack.origin == HAK_ORIGIN_POLICY && s.expires_ns == 0,
	       "reset left %llu from %u", (unsigned long long)s.ack.value, s.ack.origin);
	hak_segment_close(seg);
	stop(pid);
}

static void purged(void)
{
	pid_t pid = start(NULL, serve), sleeper = start(NULL, NULL);
	struct hak_segment *seg = open_for_writing(pid);
	struct hak_purge_answer answer = { 0 };
	char why[HAK_WHY_TEXT];
	uint64_t id;

	for (uint64_t i = 1; i <= 3 * HAK_ANSWERS; i++) {
		EXPECT(hak_purge_ask(seg, HAK_PURGE_ALL, &id, why) == 0 && id == i, "request %llu",
		       (unsigned long long)id);
		EXPECT(hak_purge_wait(seg, id, long_ns, &answer) == 0, "no answer");
		EXPECT(answer.bytes == 12345 && answer.ns == 678 && answer.level == HAK_PURGE_ALL &&
			       answer.id == i,
		       "%llu bytes, level %u", (unsigned long long)answer.bytes, answer.level);
	}
	hak_segment_close(seg);
	stop(pid);

	seg = open_for_writing(sleeper);
	EXPECT(!hak_agent_waits(seg), "an agent that is not there");
	EXPECT(hak_purge_ask(seg, HAK_PURGE_CACHE, &id, why) == 0, "ask: %s", why);
	EXPECT(hak_purge_wait(seg, id, 1000000, &answer) == -ETIMEDOUT,
	       "an answer from one who sleeps");
	hak_segment_close(seg);
	stop(sleeper);
}

/* A sleeping process: all its changed tunables are pending until it wakes. */
static void pending(void)
{
	const struct hak_change change = { .index = 1, .set = true, .value = 7 };
	pid_t pid = start(NULL, NULL);
	struct hak_segment *seg = open_for_writing(pid);
	uint64_t generation = set(seg, HAK_ORIGIN_ADMIN, &change);
	struct hak_tunable_state s = state_of(seg, 1);

	EXPECT(hak_tune_wait(seg, generation, 1000000) == -ETIMEDOUT,
	       "a sleeper applied something");
	EXPECT(s.pending && s.ack.origin == HAK_ORIGIN_DEFAULT &&
		       s.slot[HAK_ORIGIN_ADMIN].value == 7,
	       "not pending");
	EXPECT(!hak_segment_stopped(seg), "it is not stopped");
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	EXPECT(hak_segment_stopped(seg), "it is stopped");
	hak_segment_close(seg);
	stop(pid);
}

/*
 * What a writer leaves that was killed: an odd generation, and a slot half written. The next writer
 * continues.
 */
static void leave_half(struct fake *f)
{
	f->tune->generation_seq = 7;
	f->tune->slot[SLOT].admin.set = 0;
	f->tune->slot[SLOT].admin.value = 1;
}

static void after_a_killed_one(void)
{
	const struct hak_change change = { .index = 0, .set = true, .value = 0 };
	pid_t pid = start(leave_half, serve);
	struct hak_segment *seg = open_for_writing(pid);
	uint64_t generation = set(seg, HAK_ORIGIN_ADMIN, &change);

	EXPECT(generation == 8, "after 7 comes %llu", (unsigned long long)generation);
	EXPECT(hak_tune_wait(seg, generation, long_ns) == 0, "not applied");
	EXPECT(state_of(seg, SLOT).ack.origin == HAK_ORIGIN_DEFAULT,
	       "the half-written slot counts");
	hak_segment_close(seg);
	stop(pid);
}

static void write_many(pid_t target, uint64_t first)
{
	struct hak_segment *seg = open_for_writing(target);

	for (uint64_t i = 0; i < WRITES; i++) {
		/* The process checks that it never applies a value that no writer wrote: all are
		 * multiples of 7. */
		struct hak_change change = { .index = SLOT, .set = true, .value = 7 * (first + i) };

		set(seg, HAK_ORIGIN_ADMIN, &change);
	}
	hak_segment_close(seg);
	fflush(stdout);
	_exit(expectations_failed ? 1 : 0);
}

/* Two writers at once: every write is a generation of its own, and the process ends with the
 * last. */
static void both_at_once(void)
{
	pid_t pid = start(NULL, serve), writers[2];
	struct hak_segment *seg = open_for_writing(pid);
	struct hak_snapshot snap;
	struct hak_tune tune;
	int status;

	for (int i = 0; i < 2; i++) {
		fflush(stdout);
		writers[i] = fork();
		if (writers[i] == 0)
			write_many(pid, 1000000 * (uint64_t)(i + 1));
	}
	for (int i = 0; i < 2; i++)
		EXPECT(waitpid(writers[i], &status, 0) > 0 && status == 0, "writer %d: status %d",
		       i, status);
	EXPECT(hak_segment_read_tune(seg, &tune) == 0, "tune page");
	EXPECT(tune.generation_seq == 2 * 2 * WRITES, "%llu generations of %u",
	       (unsigned long long)tune.generation_seq, 2 * 2 * WRITES);
	EXPECT(tune.wake == 2 * WRITES, "%u changes of the futex", tune.wake);
	EXPECT(hak_tune_wait(seg, tune.generation_seq, long_ns) == 0,
	       "the last one was not applied");
	EXPECT(state_of(seg, SLOT).ack.asked == tune.slot[SLOT].admin.value, "not the last one");
	EXPECT(hak_snapshot_take(seg, &snap) == 0, "snapshot");
	EXPECT(snap.applied == tune.generation_seq, "applied %llu",
	       (unsigned long long)snap.applied);
	hak_snapshot_free(&snap);
	hak_segment_close(seg);
	stop(pid);
}

/* Sums over heaps and classes, and the derived figures, against numbers chosen here. */
static void fill(struct fake *f)
{
	uint32_t c = 10; /* any class; of 176 bytes here */
	struct hak_heap_block *a = fake_heap(f, 0), *b = fake_heap(f, 1), *hidden = fake_heap(f, 2);

	a->hot[c].allocs = 100, a->hot[c].frees = 30;
	b->hot[c].allocs = 50, b->hot[c].frees = 60;
	a->cls[HAK_C_FLUSHED_REMOTE][c] = 5;
	a->cls[HAK_C_REFILLED][c] = 120, b->cls[HAK_C_REFILLED][c] = 64;
	b->cls[HAK_C_FLUSHED][c] = 40;
	a->cls[HAK_C_INHERITED][c] = 3;
	a->cls[HAK_C_REQ_SAMPLES][c] = 4, a->cls[HAK_C_REQ_BYTES][c] = 640;
	a->heap[HAK_C_WHALE_ALLOCS] = 10, a->heap[HAK_C_WHALE_FREES] = 9;
	a->heap[HAK_C_WHALE_ALLOC_BYTES] = 10 << 21, a->heap[HAK_C_WHALE_FREE_BYTES] = 9 << 21;
	a->heap[HAK_C_WHALE_REQ_ALLOC] = 10000000, a->heap[HAK_C_WHALE_REQ_FREE] = 9000000;
	a->hot[c + 1].frees = 3; /* as it looks when a free is read before its malloc */
	a->cls[HAK_C_FLUSHED][c + 1] = 7;
	hidden->hot[c].allocs = 1000000; /* not populated: it must not be counted */
	f->proc[HAK_C_MEM_SLAB] = 65536;
	f->proc[HAK_C_MEM_DIRTY] = (1 << 21) + 4096;
	f->proc[HAK_C_MEM_MAPPED] = (8 << 20);
}

static void sums(void)
{
	enum {
		SIZE = 176,
		IN_USE = 100 + 50 + 3 - 30 - 60,
		CACHED = 120 + 64 + 30 + 60 - 150 - 40
	};
	pid_t pid = start(fill, NULL);
	struct hak_segment *seg = open_for_writing(pid);
	struct hak_snapshot snap;
	struct hak_memory m;
	struct hak_use use;

	EXPECT(hak_snapshot_take(seg, &snap) == 0, "snapshot");
	EXPECT(hak_total(seg, &snap, HAK_ID_ALLOCS) == 150, "allocs %llu",
	       (unsigned long long)hak_total(seg, &snap, HAK_ID_ALLOCS));
	EXPECT(hak_of_class(seg, &snap, HAK_ID_FREES, 10) == 90 &&
		       hak_of_class(seg, &snap, HAK_ID_FREES, 9) == 0,
	       "frees of the class");
	use = hak_class_use(seg, &snap, 10);
	EXPECT(use.in_use == IN_USE && use.in_use_bytes == IN_USE * SIZE, "in use %llu",
	       (unsigned long long)use.in_use);
	EXPECT(use.cached == CACHED && use.requested_bytes == IN_USE * 160,
	       "cached %llu, requested %llu", (unsigned long long)use.cached,
	       (unsigned long long)use.requested_bytes);
	use = hak_class_use(seg, &snap, 11);
	EXPECT(use.in_use == 0 && use.cached == 0, "less than nothing in use: %llu, cached %llu",
	       (unsigned long long)use.in_use, (unsigned long long)use.cached);
	use = hak_tier_use(seg, &snap, HAK_TIER_WHALE);
	EXPECT(use.in_use == 1 && use.in_use_bytes == 1 << 21 && use.requested_bytes == 1000000,
	       "whales");
	m = hak_memory_of(seg, &snap);
	EXPECT(m.in_use == IN_USE * SIZE + (1 << 21) && m.thread_cached == CACHED * SIZE,
	       "memory in use");
	EXPECT(m.slab_free == 65536 - (IN_USE + CACHED) * SIZE, "free in slabs %llu",
	       (unsigned long long)m.slab_free);
	EXPECT(m.in_use + m.thread_cached + m.slab_free + m.dirty + m.lazy + m.clean + m.reserved ==
		       m.mapped,
	       "the states do not add up to what is mapped");
	hak_snapshot_free(&snap);
	hak_segment_close(seg);
	stop(pid);
}

static const struct tcase cases[] = {
	{ "answered", answered },	  { "purged", purged },
	{ "pending", pending },		  { "after_a_killed_one", after_a_killed_one },
	{ "both_at_once", both_at_once }, { "sums", sums },
};

CASES(cases)
