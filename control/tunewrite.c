/* SPDX-License-Identifier: MIT */
/*
 * The writer's half of the tune page's protocol (control/abi/abi.h, struct hak_tune; modelled in
 * tests/models). Its partner is libhakmem/share/tune.c: the release stores to generation_seq and
 * purge_request here pair with its acquire loads.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "control/lockholder.h"
#include "control/tunewrite.h"

/* A writer needs microseconds; 50 attempts of 2 ms are for a writer that was scheduled away in
 * between. */
#define LOCK_ATTEMPTS 50
#define LOCK_PAUSE_NS 2000000
/* Pauses while waiting for an answer: from what an agent needs to what a person notices. */
#define PAUSE_MIN_NS 50000
#define PAUSE_MAX_NS 20000000

static int lock_writer(const struct hak_segment *seg, char why[HAK_WHY_TEXT])
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = HAK_LOCK_WRITER, .l_len = 1
	};
	char holder[128];

	for (unsigned i = 0; i < LOCK_ATTEMPTS; i++) {
		if (i && seg->nowait) {
			snprintf(why, HAK_WHY_TEXT, "its tunables are locked by another process");
			return -EBUSY;
		}
		if (fcntl(seg->tune_fd, F_OFD_SETLK, &lock) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
			int r = -errno;

			snprintf(why, HAK_WHY_TEXT, "cannot lock its tunables: %s", strerror(-r));
			return r;
		}
		if (!seg->nowait)
			nanosleep(&pause, NULL);
	}
	if (hak_lock_holder(seg->tune_fd, HAK_LOCK_WRITER, holder, sizeof(holder)) == 0)
		snprintf(why, HAK_WHY_TEXT, "its tunables are locked by %s", holder);
	else
		snprintf(why, HAK_WHY_TEXT,
			 "its tunables are locked by a process that cannot be seen");
	return -EBUSY;
}

static void unlock_writer(const struct hak_segment *seg)
{
	struct flock lock = {
		.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = HAK_LOCK_WRITER, .l_len = 1
	};

	fcntl(seg->tune_fd, F_OFD_SETLK, &lock);
}

static bool is_tune_page(const struct hak_tune *tune, const struct hak_segment *seg)
{
	return memcmp(tune->magic, HAK_TUNE_MAGIC, sizeof(tune->magic)) == 0 &&
	       tune->abi_major == HAK_ABI_MAJOR && tune->stats_ino == seg->stats_ino;
}

void hak_tune_say_unreachable(const struct hak_segment *seg, char why[HAK_WHY_TEXT])
{
	static const char cannot[] = "its tunables cannot be opened for writing";
	static const char who[] = "only root and hakmemd can change it";

	if (geteuid() == 0)
		snprintf(why, HAK_WHY_TEXT, "%s", cannot);
	else if (seg->header.tune_fd < 0)
		snprintf(why, HAK_WHY_TEXT,
			 "%s, it keeps no descriptor of them (control.fd, or a "
			 "low limit of descriptors): %s",
			 cannot, who);
	else
		snprintf(why, HAK_WHY_TEXT, "%s, descriptor %d does not lead there any more: %s",
			 cannot, (int)seg->header.tune_fd, who);
}

/* Maps the page and takes the lock. The seals keep the page from being shrunk, so touching it never
 * faults for good. */
static int begin(const struct hak_segment *seg, struct hak_tune **ret, char why[HAK_WHY_TEXT])
{
	struct hak_tune *tune;
	int r;

	if (seg->header.locked) {
		snprintf(why, HAK_WHY_TEXT,
			 "control.lock is on: it cannot be changed from outside");
		return -EPERM;
	}
	if (!seg->tune_writable) {
		hak_tune_say_unreachable(seg, why);
		return -EACCES;
	}
	r = lock_writer(seg, why);
	if (r < 0)
		return r;
	tune = mmap(NULL, sizeof(*tune), PROT_READ | PROT_WRITE, MAP_SHARED, seg->tune_fd, 0);
	if (tune == MAP_FAILED) {
		r = -errno;
		snprintf(why, HAK_WHY_TEXT, "cannot map its tunables: %s", strerror(-r));
	} else if (!is_tune_page(tune, seg)) {
		munmap(tune, sizeof(*tune));
		snprintf(why, HAK_WHY_TEXT, "its tunables are damaged (the page lost its magic)");
		r = -EBADMSG;
	}
	if (r < 0)
		unlock_writer(seg);
	else
		*ret = tune;
	return r;
}

static void wake(struct hak_tune *tune)
{
	__atomic_fetch_add(&tune->wake, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &tune->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Takes no lock: the word only counts up, and nothing else is written. */
int hak_tune_wake(const struct hak_segment *seg)
{
	struct hak_tune *tune;

	if (!seg->tune_writable)
		return -EACCES;
	tune = mmap(NULL, sizeof(*tune), PROT_READ | PROT_WRITE, MAP_SHARED, seg->tune_fd, 0);
	if (tune == MAP_FAILED)
		return -errno;
	wake(tune);
	munmap(tune, sizeof(*tune));
	return 0;
}

/* Wakes the agent and gives everything back. Returns -EBADMSG if the page was destroyed meanwhile,
 * so that no process will read it. */
static int end(const struct hak_segment *seg, struct hak_tune *tune, char why[HAK_WHY_TEXT])
{
	int r = 0;

	wake(tune);
	if (!is_tune_page(tune, seg)) {
		snprintf(why, HAK_WHY_TEXT, "its tunables were damaged while they were written");
		r = -EBADMSG;
	}
	munmap(tune, sizeof(*tune));
	unlock_writer(seg);
	return r;
}

static void write_slot(struct hak_tune_slot *slot, const struct hak_change *change)
{
	__atomic_store_n(&slot->set, 0, __ATOMIC_RELAXED);
	if (!change->set)
		return;
	__atomic_store_n(&slot->value, change->value, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->deadline_ns, change->deadline_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->writer_pid, (uint32_t)getpid(), __ATOMIC_RELAXED);
	__atomic_store_n(&slot->writer_uid, (uint32_t)geteuid(), __ATOMIC_RELAXED);
	__atomic_store_n(&slot->set, 1, __ATOMIC_RELAXED);
}

int hak_tune_write(const struct hak_segment *seg, enum hak_origin origin,
		   const struct hak_change *changes, size_t n, uint64_t *ret,
		   char why[HAK_WHY_TEXT])
{
	struct hak_tune *tune;
	uint64_t generation;
	int r = begin(seg, &tune, why);

	if (r < 0)
		return r;
	/* Odd, and seen to be odd before any slot changes; then even, after all of them. */
	generation = __atomic_load_n(&tune->generation_seq, __ATOMIC_RELAXED) | 1;
	__atomic_store_n(&tune->generation_seq, generation, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (size_t i = 0; i < n; i++) {
		uint32_t slot = changes[i].index;

		write_slot(origin == HAK_ORIGIN_POLICY ? &tune->slot[slot].policy
						       : &tune->slot[slot].admin,
			   &changes[i]);
	}
	__atomic_store_n(&tune->generation_seq, generation + 1, __ATOMIC_RELEASE);
	*ret = generation + 1;
	return end(seg, tune, why);
}

int hak_purge_ask(const struct hak_segment *seg, enum hak_purge_level level, uint64_t *ret,
		  char why[HAK_WHY_TEXT])
{
	struct hak_tune *tune;
	int r = begin(seg, &tune, why);

	if (r < 0)
		return r;
	*ret = (__atomic_load_n(&tune->purge_request, __ATOMIC_RELAXED) >> 8) + 1;
	__atomic_store_n(&tune->purge_request, *ret << 8 | level, __ATOMIC_RELEASE);
	return end(seg, tune, why);
}

/* -- answers ----------------------------------------------------------------------------------- */
/*
 * Calls `done` with growing pauses until it returns another value than -EAGAIN. The stats memfd is
 * not mapped here and has no futex; the pauses end early when the process does.
 */
static int wait_until(const struct hak_segment *seg, uint64_t timeout_ns,
		      int (*done)(const struct hak_segment *seg, void *arg), void *arg)
{
	uint64_t start = hak_monotonic_ns(), pause = PAUSE_MIN_NS;

	for (;;) {
		struct pollfd p = { .fd = seg->pidfd, .events = POLLIN };
		struct timespec t;
		int r = done(seg, arg);

		if (r != -EAGAIN)
			return r;
		if (hak_monotonic_ns() - start >= timeout_ns)
			return -ETIMEDOUT;
		t = (struct timespec){ .tv_nsec = (long)pause };
		if (ppoll(&p, seg->pidfd >= 0, &t, NULL) > 0)
			return -ESRCH;
		pause = pause * 2 < PAUSE_MAX_NS ? pause * 2 : PAUSE_MAX_NS;
	}
}

static int applied(const struct hak_segment *seg, void *arg)
{
	const uint64_t *generation = arg;
	uint64_t value;
	int r = hak_segment_read(seg, seg->header.ack_off + offsetof(struct hak_ack, applied),
				 &value, sizeof(value));

	if (r < 0)
		return r;
	return (int64_t)(value - *generation) >= 0 ? 0 : -EAGAIN;
}

int hak_tune_wait(const struct hak_segment *seg, uint64_t generation, uint64_t timeout_ns)
{
	return wait_until(seg, timeout_ns, applied, &generation);
}

struct expected_answer {
	uint64_t id;
	struct hak_purge_answer *ret;
};

/*
 * Returns 0 when the slot holds the answer and did not change during the read. The sequence is read
 * before and after the rest, by reads of its own: within one read the kernel may copy in any order.
 */
static int answered(const struct hak_segment *seg, void *arg)
{
	const struct expected_answer *expected = arg;
	uint64_t place = seg->header.ack_off + offsetof(struct hak_ack, answer), before, after;
	struct hak_purge_answer all[HAK_ANSWERS], *mine = &all[expected->id % HAK_ANSWERS];
	uint64_t seq_place = place + (expected->id % HAK_ANSWERS) * sizeof(all[0]) +
			     offsetof(struct hak_purge_answer, seq);
	int r = hak_segment_read(seg, seq_place, &before, sizeof(before));

	if (r == 0)
		r = hak_segment_read(seg, place, all, sizeof(all));
	if (r == 0)
		r = hak_segment_read(seg, seq_place, &after, sizeof(after));
	if (r < 0)
		return r;
	if (before % 2 == 0 && before == after && before != 0 && mine->id == expected->id) {
		*expected->ret = *mine;
		return 0;
	}
	for (unsigned i = 0; i < HAK_ANSWERS; i++)
		if (all[i].seq && all[i].seq % 2 == 0 && (int64_t)(all[i].id - expected->id) > 0)
			return -ESTALE;
	return -EAGAIN;
}

int hak_purge_wait(const struct hak_segment *seg, uint64_t id, uint64_t timeout_ns,
		   struct hak_purge_answer *ret)
{
	struct expected_answer expected = { .id = id, .ret = ret };

	return wait_until(seg, timeout_ns, answered, &expected);
}

bool hak_agent_waits(const struct hak_segment *seg)
{
	uint32_t agent = 0;

	hak_segment_read(seg, seg->header.ack_off + offsetof(struct hak_ack, agent), &agent,
			 sizeof(agent));
	return agent;
}
