// SPDX-License-Identifier: MIT
/*
 * Tunables in a running process: layers and their order, deadlines, clamping, refusals, and what
 * the library acknowledges and when. This process is both the subject and the controller; the
 * controller uses the ways of an outside process.
 */
#include "peer.h"

#include <sched.h>

static struct peer p;

static uint64_t get(const char *name)
{
	uint64_t v = ~0ull;

	CHECK(HAKMEM(hakmem_get, hakmem_get_fn)(name, &v) == 0);
	return v;
}

static void set_and_wait(const char *name, uint64_t value)
{
	uint64_t g = peer_set(&p, name, value);

	WAIT_FOR(poked() && peer_has_applied(&p, g));
}

/* ---- plumbing ---- */

/* Stores two values within the range of a tunable, neither its default if the range has three. */
static void two_values(const struct hak_tunable_desc *d, uint64_t v[2])
{
	v[0] = d->dflt == d->min ? d->max : d->min;
	v[1] = d->max - d->min > 1 ? d->min + (d->max - d->min) / 2 : d->dflt;
}

static void every_tunable_can_be_set(void)
{
	peer_open(&p, getpid());
	for (unsigned i = 0; i < p.h.tunables; i++) {
		const struct hak_tunable_desc *d = &p.tunable[i];
		uint64_t v[2];

		if (d->when == HAK_WHEN_START || strcmp(d->name, "control.segment") == 0)
			continue;
		two_values(d, v);
		for (int k = 0; k < 2; k++) {
			struct hak_ack_value a;

			set_and_wait(d->name, v[k]);
			a = peer_ack(&p, d->name);
			CHECK(a.value == v[k] && get(d->name) == v[k], "%s: %lu", d->name, v[k]);
			CHECK(a.asked == v[k] && !a.clamped && !a.refused, "%s", d->name);
			CHECK(a.origin == HAK_ORIGIN_ADMIN && (a.set & 1u << HAK_ORIGIN_ADMIN));
		}
		uint64_t g = peer_reset(&p, d->name);

		WAIT_FOR(poked() && peer_has_applied(&p, g));
		CHECK(get(d->name) == d->dflt, "%s after reset", d->name);
		CHECK(peer_ack(&p, d->name).origin == HAK_ORIGIN_DEFAULT);
	}
}

static void defaults_are_those_of_the_table(void)
{
	peer_open(&p, getpid());
	CHECK(p.h.tunables >= 16);
	for (unsigned i = 0; i < p.h.tunables; i++) {
		struct hak_ack_value a = peer_ack(&p, p.tunable[i].name);

		CHECK(a.value == p.tunable[i].dflt, "%s", p.tunable[i].name);
		CHECK(a.origin == HAK_ORIGIN_DEFAULT && a.set == 1u << HAK_ORIGIN_DEFAULT);
	}
}

/* ---- layers ---- */

static void the_highest_layer_wins(void)
{
	uint64_t g;

	peer_open(&p, getpid());
	CHECK(get("whale.ring_slots") == 20 &&
	      peer_ack(&p, "whale.ring_slots").origin == HAK_ORIGIN_ENVIRONMENT);
	CHECK(HAKMEM(hakmem_set, hakmem_set_fn)("whale.ring_slots", 10) == 0);
	CHECK(get("whale.ring_slots") == 20, "the program overrides the environment");
	g = peer_write(&p, "whale.ring_slots", HAK_ORIGIN_POLICY, 1, 30, 0);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(get("whale.ring_slots") == 30);
	set_and_wait("whale.ring_slots", 40);
	CHECK(get("whale.ring_slots") == 40);
	g = peer_write(&p, "whale.ring_slots", HAK_ORIGIN_POLICY, 1, 31, 0);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(get("whale.ring_slots") == 40, "policy overrides the admin");
	CHECK(peer_ack(&p, "whale.ring_slots").set == 0x1f);
	CHECK(peer_ack(&p, "whale.ring_slots").layer[HAK_ORIGIN_PROGRAM] == 10);
	CHECK(peer_ack(&p, "whale.ring_slots").layer[HAK_ORIGIN_ENVIRONMENT] == 20);
	g = peer_reset(&p, "whale.ring_slots");
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(get("whale.ring_slots") == 31);
	g = peer_write(&p, "whale.ring_slots", HAK_ORIGIN_POLICY, 0, 0, 0);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(get("whale.ring_slots") == 20, "reset removes one layer");
}

static void the_program_sets_at_once(void)
{
	hakmem_text_fn get_text = HAKMEM(hakmem_get_text, hakmem_text_fn);
	hakmem_set_text_fn set_text = HAKMEM(hakmem_set_text, hakmem_set_text_fn);
	hakmem_set_fn set = HAKMEM(hakmem_set, hakmem_set_fn);
	char text[32];

	CHECK(set_text("purge.delay_ms", "1.5s") == 0 && get("purge.delay_ms") == 1500);
	CHECK(get_text("purge.delay_ms", text, sizeof(text)) == 8 && strcmp(text, "1s 500ms") == 0);
	CHECK(get_text("purge.delay_ms", text, 3) == 8 && strcmp(text, "1s") == 0);
	CHECK(get_text("purge.delay_ms", NULL, 0) == 8);
	CHECK(set_text("purge.delay_ms", "2min 5s") == 0 && get("purge.delay_ms") == 125000);
	CHECK(set_text("purge.delay_ms", "2min 5") == -EINVAL);
	CHECK(set_text("purge.delay_ms", "1500ms") == 0);
	CHECK(set_text("region.evict", "remap") == 0 && get("region.evict") == 2);
	CHECK(set_text("region.evict", "remapp") == -EINVAL && get("region.evict") == 2);
	CHECK(set_text("whale.ring_bytes", "2G") == 0 && get("whale.ring_bytes") == 2ull << 30);
	CHECK(set("whale.ring_slots", 1025) == -ERANGE && get("whale.ring_slots") == 128);
	CHECK(set("control.lock", 1) == -EPERM && get("control.lock") == 0);
	CHECK(set("no.such", 1) == -ENOENT);
	peer_open(&p, getpid());
	CHECK(peer_ack(&p, "purge.delay_ms").origin == HAK_ORIGIN_PROGRAM);
	CHECK(peer_value(&p, "purge.delay_ms") == 1500);
}

/* ---- what a value meets on its way ---- */

static void values_out_of_range_are_clamped(void)
{
	uint64_t clamped;

	peer_open(&p, getpid());
	clamped = peer_counter(&p, "control.clamped");
	set_and_wait("whale.ring_slots", 5000);
	CHECK(get("whale.ring_slots") == 1024);
	CHECK(peer_ack(&p, "whale.ring_slots").clamped);
	CHECK(peer_ack(&p, "whale.ring_slots").asked == 5000);
	set_and_wait("region.evict_batch", 0);
	CHECK(get("region.evict_batch") == 1);
	set_and_wait("superslab.enable", ~0ull);
	CHECK(get("superslab.enable") == 1);
	set_and_wait("region.evict", 77);
	CHECK(get("region.evict") == 4);
	CHECK(peer_counter(&p, "control.clamped") == clamped + 4);
	set_and_wait("whale.ring_slots", 7);
	CHECK(!peer_ack(&p, "whale.ring_slots").clamped);
}

static void start_only_is_refused_later(void)
{
	uint64_t refused;

	peer_open(&p, getpid());
	refused = peer_counter(&p, "control.refused");
	set_and_wait("control.lock", 1);
	CHECK(get("control.lock") == 0 && peer_ack(&p, "control.lock").refused);
	CHECK(peer_ack(&p, "control.lock").origin == HAK_ORIGIN_DEFAULT);
	CHECK(peer_counter(&p, "control.refused") == refused + 1);
}

static void locked_means_locked(void)
{
	struct hak_purge_answer a;
	uint64_t id;

	peer_open(&p, getpid());
	CHECK(p.h.locked == 1);
	set_and_wait("whale.ring_slots", 5);
	CHECK(get("whale.ring_slots") == 128 && peer_ack(&p, "whale.ring_slots").refused);
	id = peer_purge(&p, HAK_PURGE_ALL);
	WAIT_FOR(poked() && (a = peer_answer(&p, id)).id == id);
	CHECK(a.status == EPERM && a.bytes == 0);
	CHECK(HAKMEM(hakmem_set, hakmem_set_fn)("whale.ring_slots", 6) == 0, "the program may");
	CHECK(get("whale.ring_slots") == 6);
}

/* ---- time ---- */

static uint64_t boottime_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void deadlines_pass(void)
{
	uint64_t g;

	peer_open(&p, getpid());
	set_and_wait("whale.ring_slots", 3);
	g = peer_write(&p, "whale.ring_slots", HAK_ORIGIN_POLICY, 1, 50, 0);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	/* The deadline passed before the value was read: never in force. */
	g = peer_write(&p, "whale.ring_slots", HAK_ORIGIN_ADMIN, 1, 4, 1);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(get("whale.ring_slots") == 50);
	CHECK(!(peer_ack(&p, "whale.ring_slots").set & 1u << HAK_ORIGIN_ADMIN));
	/* The deadline is far away: in force. */
	g = peer_write(&p, "whale.ring_slots", HAK_ORIGIN_ADMIN, 1, 5,
		       boottime_ns() + 3600000000000ull);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(get("whale.ring_slots") == 5);
	/* The deadline is close: in force until then; afterwards the layer below is. */
	g = peer_write(&p, "whale.ring_slots", HAK_ORIGIN_ADMIN, 1, 6, boottime_ns() + 300000000);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	WAIT_FOR(poked() && get("whale.ring_slots") == 50);
	CHECK(peer_ack(&p, "whale.ring_slots").origin == HAK_ORIGIN_POLICY);
	CHECK(peer_applied(&p) == g);
}

/* ---- the protocol ---- */

static void pending_until_the_slow_path(void)
{
	uint64_t g;

	peer_open(&p, getpid());
	g = peer_set(&p, "whale.ring_slots", 9);
	/* This thread is the only one and has not allocated since. */
	CHECK(!peer_has_applied(&p, g) && get("whale.ring_slots") == 128);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(get("whale.ring_slots") == 9);
}

/*
 * A writer that died half-way leaves an odd generation. Nothing is applied until the next write is
 * complete.
 */
static void an_odd_generation_changes_nothing(void)
{
	struct hak_tune_slot *s;
	uint64_t g, applied;

	peer_open(&p, getpid());
	applied = peer_applied(&p);
	s = peer_slot(&p, "whale.ring_slots", HAK_ORIGIN_ADMIN);
	g = p.tune->generation_seq | 1;
	__atomic_store_n(&p.tune->generation_seq, g, __ATOMIC_SEQ_CST);
	s->value = 11;
	s->set = 1;
	peer_wake(&p);
	poke();
	CHECK(get("whale.ring_slots") == 128 && peer_applied(&p) == applied);
	set_and_wait("region.evict_batch", 8);
	CHECK(get("region.evict_batch") == 8 && get("whale.ring_slots") == 11);
}

static void writers_from_two_processes(void)
{
	enum { ROUNDS = 300 };
	pid_t pid;
	uint64_t g;

	peer_open(&p, getpid());
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		/* The parent's page is still mapped here: `p` is the parent's. */
		for (int i = 0; i < ROUNDS; i++) {
			struct flock l = { .l_type = F_WRLCK,
					   .l_start = HAK_LOCK_WRITER,
					   .l_len = 1 };
			char path[64];
			int fd;

			snprintf(path, sizeof(path), "/proc/self/fd/%d", p.tune_fd);
			fd = open(path, O_RDWR);
			while (fcntl(fd, F_OFD_SETLK, &l) < 0)
				sched_yield();
			peer_write(&p, "region.evict_batch", HAK_ORIGIN_POLICY, 1, 1 + i % 200, 0);
			close(fd);
		}
		_exit(0);
	}
	for (int i = 0; i < ROUNDS; i++) {
		struct flock l = { .l_type = F_WRLCK, .l_start = HAK_LOCK_WRITER, .l_len = 1 };

		while (fcntl(p.tune_fd, F_OFD_SETLK, &l) < 0)
			sched_yield();
		g = peer_write(&p, "whale.ring_slots", HAK_ORIGIN_ADMIN, 1, i, 0);
		l.l_type = F_UNLCK;
		CHECK(fcntl(p.tune_fd, F_OFD_SETLK, &l) == 0);
		WAIT_FOR(poked() && peer_has_applied(&p, g));
		CHECK(get("whale.ring_slots") == (uint64_t)i);
	}
	reap(pid, "the other writer");
	WAIT_FOR(poked() && peer_has_applied(&p, p.tune->generation_seq));
	CHECK(get("region.evict_batch") == 1 + (ROUNDS - 1) % 200);
}

/* ---- the environment ---- */

static void run_env(const char *env, struct outcome *o, char *out, size_t bytes)
{
	int fds[2], err[2];
	ssize_t n;
	pid_t pid;

	CHECK(pipe(fds) == 0 && pipe(err) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], 1);
		dup2(err[1], 2);
		close(fds[0]), close(err[0]), close(fds[1]), close(err[1]);
		setenv("HAKMEM", env, 1);
		setenv("HAKT_LOG_FD", "1", 1);
		execl(self_path, self_path, "--one", "print_values", (char *)NULL);
		_exit(126);
	}
	close(fds[1]), close(err[1]);
	o->len = 0;
	while ((n = read(err[0], o->err + o->len, sizeof(o->err) - 1 - o->len)) > 0)
		o->len += n;
	o->err[o->len] = '\0';
	for (size_t len = 0; (n = read(fds[0], out + len, bytes - 1 - len)) > 0; len += n)
		out[len + n] = '\0';
	close(fds[0]), close(err[0]);
	CHECK(waitpid(pid, &o->status, 0) == pid && o->status == 0);
}

/* The next case runs this in a process of its own. */
static void print_values(void)
{
	struct hak_ack_value a;
	int segment = peer_try_open(&p, getpid());

	say("ring_slots=%lu evict=%lu delay=%lu lock=%lu segment=%d\n", get("whale.ring_slots"),
	    get("region.evict"), get("purge.delay_ms"), get("control.lock"), segment);
	if (segment) {
		a = peer_ack(&p, "whale.ring_slots");
		say("origin=%u errors=%lu\n", a.origin, peer_counter(&p, "control.env_errors"));
	}
}

static int lines(const char *s)
{
	int n = 0;

	while ((s = strchr(s, '\n'))) {
		n++;
		s++;
	}
	return n;
}

static void env_is_read_and_mistakes_are_told(void)
{
	static struct outcome o;
	char out[512];

	run_env("whale.ring_slots=32,region.evict=free,purge.delay_ms=1.5s", &o, out, sizeof(out));
	CHECK(strstr(out, "ring_slots=32 evict=1 delay=1500 "), "%s", out);
	CHECK(strstr(out, "origin=2 errors=0") && o.len == 0, "%s%s", out, o.err);

	run_env("foo=1,whale.ring_slots=9999,,region.evict=freee,purge.delay_ms=7,thp.mode", &o,
		out, sizeof(out));
	CHECK(strstr(out, "ring_slots=128 evict=0 delay=7 "), "%s", out);
	CHECK(strstr(out, "errors=4"), "%s", out);
	CHECK(lines(o.err) == 4, "%s", o.err);
	CHECK(strstr(o.err, "\"foo=1\"") && strstr(o.err, "\"whale.ring_slots=9999\""), "%s",
	      o.err);
	CHECK(strstr(o.err, "0 to 1024") && strstr(o.err, "dontneed|free|remap"), "%s", o.err);

	run_env("control=off", &o, out, sizeof(out));
	CHECK(strstr(out, "segment=0") && o.len == 0, "%s%s", out, o.err);
	run_env("control.segment=no", &o, out, sizeof(out));
	CHECK(strstr(out, "segment=0"), "%s", out);
	run_env("control=on,control.lock=yes", &o, out, sizeof(out));
	CHECK(strstr(out, "lock=1 segment=1"), "%s", out);

	run_env("a\033[31m=\n1", &o, out, sizeof(out));
	CHECK(!strchr(o.err, '\033') && lines(o.err) == 1, "%s", o.err);
	run_env("", &o, out, sizeof(out));
	CHECK(o.len == 0);
}

static const struct tcase cases[] = {
	{ "every_tunable_can_be_set", every_tunable_can_be_set, 60 },
	{ "defaults_are_those_of_the_table", defaults_are_those_of_the_table },
	{ "the_highest_layer_wins", the_highest_layer_wins, 0, "whale.ring_slots=20" },
	{ "the_program_sets_at_once", the_program_sets_at_once },
	{ "values_out_of_range_are_clamped", values_out_of_range_are_clamped },
	{ "start_only_is_refused_later", start_only_is_refused_later },
	{ "locked_means_locked", locked_means_locked, 0, "control.lock=on" },
	{ "deadlines_pass", deadlines_pass },
	{ "pending_until_the_slow_path", pending_until_the_slow_path },
	{ "an_odd_generation_changes_nothing", an_odd_generation_changes_nothing },
	{ "writers_from_two_processes", writers_from_two_processes, 60 },
	{ "print_values", print_values },
	{ "env_is_read_and_mistakes_are_told", env_is_read_and_mistakes_are_told },
};

CONTROL_MAIN(cases)
