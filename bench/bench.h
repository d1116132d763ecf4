/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what every benchmark program shares: clocks, random numbers, options, figures.
 *
 * A program declares its options in a table, calls bench_init(), runs one warm-up and one measured
 * phase and prints its figures, one "key value" per line, on stdout. It exits 0 or says why not.
 *
 * Nothing here allocates: harness memory comes from mmap (bench_map), /proc is read into the stack
 * and output goes through write(2) (even dprintf allocates), so the allocator under test serves
 * the workload alone.
 *
 * Peak memory is VmHWM. It belongs to the address space made by execve, so a freshly started
 * program does not inherit its parent's (ru_maxrss it does inherit; see spawn.c).
 *
 * Cycles are ticks of the time stamp counter (reference cycles, not core cycles), on x86 only.
 */
#ifndef BENCH_H
#define BENCH_H

/* Included first, for dladdr and clock_nanosleep. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
#endif

#define BENCH_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Ends the program with one line on stderr; the runner reports it as failed. */
__attribute__((format(printf, 1, 2), noreturn, unused)) static void bench_die(const char *format,
									      ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line) - 1, format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)n + 1);
	_exit(1);
}

/* Zeroed memory that the allocator under test never sees. */
static inline void *bench_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_die("mmap of %zu bytes: %s", bytes, strerror(errno));
	return p;
}

/* The calls under test; failing is an error of the run, never a fast result. */
static inline __attribute__((always_inline)) void *bench_malloc(size_t size)
{
	void *p = malloc(size);

	if (__builtin_expect(!p, 0))
		bench_die("malloc(%zu) failed", size);
	return p;
}

/*
 * Stand-ins of known cost (two instructions, one instruction) that let --null measure the loop
 * around the allocator, for counting instructions. The compiler must call them blindly, as it
 * does malloc: the empty asm hides what they do, noipa which registers they leave alone.
 */
#if defined(__has_attribute) && !defined(__clang__)
#define BENCH_BLIND __attribute__((noipa, unused))
#else
#define BENCH_BLIND __attribute__((noinline, unused))
#endif

static char bench_null_block[64] __attribute__((aligned(16), unused));

BENCH_BLIND static void *bench_null_malloc(size_t size)
{
	void *p = bench_null_block;

	(void)size;
	__asm__ volatile("" : "+r"(p));
	return p;
}

BENCH_BLIND static void bench_null_free(void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

/* ---- clocks ---- */

struct bench_clock {
	uint64_t wall_ns;
	uint64_t cpu_ns; /* of all threads of this process */
	uint64_t cycles;
};

static inline uint64_t bench_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t bench_cycles(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __rdtsc();
#else
	return 0;
#endif
}

static inline struct bench_clock bench_now(void)
{
	struct bench_clock now = {
		.cpu_ns = bench_ns(CLOCK_PROCESS_CPUTIME_ID),
		.wall_ns = bench_ns(CLOCK_MONOTONIC),
		.cycles = bench_cycles(),
	};

	return now;
}

static inline void bench_sleep_ms(uint64_t ms)
{
	struct timespec ts = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

/* ---- processors ---- */

static inline void bench_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	_mm_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

/* Binds the calling thread to the nth processor it may use, counted round and round. */
static inline void bench_bind(unsigned int n)
{
	cpu_set_t may, set;
	int cpu = -1;

	if (sched_getaffinity(0, sizeof(may), &may))
		bench_die("sched_getaffinity: %s", strerror(errno));
	n %= (unsigned int)CPU_COUNT(&may);
	do
		n -= CPU_ISSET(++cpu, &may) ? 1 : 0;
	while (n != UINT32_MAX);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bench_die("sched_setaffinity: %s", strerror(errno));
}

/* ---- phases: a stretch of work bounded by operations or by time ---- */

struct bench_phase {
	uint64_t ops; /* stop after so many; 0: by time */
	uint64_t until_ns;
	uint64_t done; /* the workload adds what it did */
	struct bench_clock start, end;
};

static inline struct bench_phase bench_begin(uint64_t ops, uint64_t ms)
{
	struct bench_phase phase = { .ops = ops, .start = bench_now() };

	phase.until_ns = phase.start.wall_ns + ms * 1000000u;
	return phase;
}

static inline bool bench_more(const struct bench_phase *phase)
{
	if (phase->ops)
		return phase->done < phase->ops;
	return bench_ns(CLOCK_MONOTONIC) < phase->until_ns;
}

static inline void bench_end(struct bench_phase *phase)
{
	phase->end = bench_now();
}

/* ---- random numbers: xorshift64*, seeded, the same sequence in every run ---- */

struct bench_rng {
	uint64_t state;
};

static inline struct bench_rng bench_rng(uint64_t seed)
{
	/* splitmix64, so that seeds 1, 2, 3 start far apart and none is zero */
	uint64_t z = seed + 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (struct bench_rng){ (z ^ (z >> 31)) | 1 };
}

static inline uint64_t bench_random(struct bench_rng *rng)
{
	uint64_t s = rng->state;

	s ^= s >> 12;
	s ^= s << 25;
	s ^= s >> 27;
	rng->state = s;
	return s * 0x2545f4914f6cdd1du;
}

/* Uniform in [0, n), n below 2^32. */
static inline uint32_t bench_below(struct bench_rng *rng, uint32_t n)
{
	return (uint32_t)((bench_random(rng) >> 32) * n >> 32);
}

static inline size_t bench_uniform(struct bench_rng *rng, size_t min, size_t max)
{
	return min + bench_below(rng, (uint32_t)(max - min + 1));
}

/* Each doubling between min and max is equally likely, and uniform inside: small ones prevail. */
static inline size_t bench_log_uniform(struct bench_rng *rng, size_t min, size_t max)
{
	unsigned int low = 63 - (unsigned int)__builtin_clzl(min);
	unsigned int high = 63 - (unsigned int)__builtin_clzl(max);

	for (;;) {
		size_t base = (size_t)1 << (low + bench_below(rng, high - low + 1));
		size_t size = base + bench_below(rng, (uint32_t)base);

		if (size >= min && size <= max)
			return size;
	}
}

/* Sizes drawn beforehand: drawing in the loop would cost as much as the allocator. */
#define BENCH_SIZES 1024u

static inline void bench_fill_sizes(uint32_t sizes[BENCH_SIZES], size_t min, size_t max,
				    uint64_t seed)
{
	struct bench_rng rng = bench_rng(seed);

	if (!min || min > max || max > UINT32_MAX / 2)
		bench_die("sizes from %zu to %zu make no sense", min, max);
	for (unsigned int i = 0; i < BENCH_SIZES; i++)
		sizes[i] = (uint32_t)bench_log_uniform(&rng, min, max);
}

static inline void bench_shuffle(uint32_t *order, uint32_t n, uint64_t seed)
{
	struct bench_rng rng = bench_rng(seed);

	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = bench_below(&rng, i), t = order[i - 1];

		order[i - 1] = order[j];
		order[j] = t;
	}
}

/* ---- touching memory ---- */

enum bench_touch { BENCH_TOUCH_FIRST, BENCH_TOUCH_ENDS, BENCH_TOUCH_PAGES };

static const char *const bench_touch_names[] = { "first", "ends", "pages", NULL };

static inline void bench_touch(void *block, size_t size, enum bench_touch how, size_t page)
{
	volatile char *p = block;

	p[0] = 1;
	if (how == BENCH_TOUCH_FIRST)
		return;
	if (how == BENCH_TOUCH_PAGES)
		for (size_t at = page; at < size; at += page)
			p[at] = 1;
	p[size - 1] = 1;
}

static inline size_t bench_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- options: --name NUMBER[k|M|G] (binary), --name WORD, or a bare --name ---- */

struct bench_option {
	const char *name; /* NULL ends the table */
	uint64_t *value;
	const char *help;
	const char *const *words; /* the value is the index of one of these */
	bool flag;		  /* takes no value, sets 1 */
};

static inline uint64_t bench_parse(const struct bench_option *option, const char *text)
{
	static const char suffixes[] = "kMG";
	const char *suffix;
	char *end;
	uint64_t n;

	if (option->words) {
		for (unsigned int i = 0; option->words[i]; i++)
			if (!strcmp(text, option->words[i]))
				return i;
		bench_die("--%s %s: unknown word", option->name, text);
	}
	errno = 0;
	n = strtoull(text, &end, 10);
	if (end == text || errno || text[0] == '-')
		bench_die("--%s %s: not a number", option->name, text);
	suffix = *end ? strchr(suffixes, *end) : NULL;
	if (*end && (!suffix || end[1]))
		bench_die("--%s %s: not a number", option->name, text);
	return suffix ? n << (10 * (suffix - suffixes + 1)) : n;
}

static inline void bench_usage(const char *program, const struct bench_option *options)
{
	dprintf(STDOUT_FILENO, "usage: %s [OPTION]...\n", program);
	for (const struct bench_option *o = options; o->name; o++) {
		dprintf(STDOUT_FILENO, "  --%-12s %s", o->name, o->help);
		if (o->words) {
			for (unsigned int i = 0; o->words[i]; i++)
				dprintf(STDOUT_FILENO, "%s%s", i ? " | " : ": ", o->words[i]);
			dprintf(STDOUT_FILENO, " (%s)\n", o->words[*o->value]);
		} else if (o->flag) {
			dprintf(STDOUT_FILENO, "\n");
		} else {
			dprintf(STDOUT_FILENO, " (%llu)\n", (unsigned long long)*o->value);
		}
	}
	_exit(0);
}

/* Returns the index of the first argument after "--", or argc. */
static inline int bench_init(int argc, char **argv, const struct bench_option *options)
{
	for (int i = 1; i < argc; i++) {
		const struct bench_option *o = options;

		if (!strcmp(argv[i], "--"))
			return i + 1;
		if (!strcmp(argv[i], "--help"))
			bench_usage(argv[0], options);
		if (strncmp(argv[i], "--", 2))
			bench_die("%s: unexpected argument %s", argv[0], argv[i]);
		while (o->name && strcmp(argv[i] + 2, o->name))
			o++;
		if (!o->name)
			bench_die("%s: unknown option %s", argv[0], argv[i]);
		if (o->flag)
			*o->value = 1;
		else if (++i < argc)
			*o->value = bench_parse(o, argv[i]);
		else
			bench_die("%s: --%s needs a value", argv[0], o->name);
	}
	return argc;
}

/* ---- /proc ---- */

/* Sums the "KEY  N kB" lines of a /proc file; -1 when there is none. Reads in small pieces. */
static inline long bench_proc_kib(const char *path, const char *key)
{
	char buf[1024];
	size_t have = 0, length = strlen(key);
	long sum = -1;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	while ((n = read(fd, buf + have, sizeof(buf) - have)) > 0) {
		char *line = buf, *eol, *end = buf + have + n;

		while ((eol = memchr(line, '\n', (size_t)(end - line)))) {
			*eol = '\0';
			if (!strncmp(line, key, length))
				sum = (sum < 0 ? 0 : sum) + strtol(line + length, NULL, 10);
			line = eol + 1;
		}
		have = (size_t)(end - line);
		if (have == sizeof(buf))
			have = 0; /* a line that long is a path, not a figure */
		memmove(buf, line, have);
	}
	close(fd);
	return sum;
}

static inline long bench_rss_kib(void)
{
	return bench_proc_kib("/proc/self/status", "VmRSS:");
}

static inline long bench_peak_kib(void)
{
	return bench_proc_kib("/proc/self/status", "VmHWM:");
}

static inline long bench_private_dirty_kib(void)
{
	long kib = bench_proc_kib("/proc/self/smaps_rollup", "Private_Dirty:");

	return kib >= 0 ? kib : bench_proc_kib("/proc/self/smaps", "Private_Dirty:");
}

/* ---- figures ---- */

static inline void bench_print_text(const char *key, const char *value)
{
	char line[4200];
	int n = snprintf(line, sizeof(line), "%s %s\n", key, value);

	if (n >= (int)sizeof(line) || write(STDOUT_FILENO, line, (size_t)n) != n)
		bench_die("cannot write %s: %s", key, strerror(errno));
}

static inline void bench_print(const char *key, double value)
{
	char number[32];

	snprintf(number, sizeof(number), "%.10g", value);
	bench_print_text(key, number);
}

/* The figures of one measured phase, then of the process. Called once, at the end. */
static inline void bench_report(const struct bench_phase *phase)
{
	double done = (double)phase->done;
	struct rusage usage;
	Dl_info info;

	if (!phase->done)
		bench_die("nothing was measured");
	getrusage(RUSAGE_SELF, &usage);
	bench_print("ops", done);
	bench_print("ns_per_op", (double)(phase->end.wall_ns - phase->start.wall_ns) / done);
	bench_print("cpu_ns_per_op", (double)(phase->end.cpu_ns - phase->start.cpu_ns) / done);
	if (phase->end.cycles)
		bench_print("cycles_per_op",
			    (double)(phase->end.cycles - phase->start.cycles) / done);
	bench_print("peak_rss_kib", (double)bench_peak_kib());
	bench_print("minor_faults", (double)usage.ru_minflt);
	bench_print("system_ms",
		    (double)usage.ru_stime.tv_sec * 1e3 + (double)usage.ru_stime.tv_usec / 1e3);
	/* A library that could not be preloaded is a warning of ld.so's only: say who served. */
	if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) && info.dli_fname)
		bench_print_text("malloc_from", info.dli_fname);
}

#endif
