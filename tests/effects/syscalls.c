// SPDX-License-Identifier: MIT
/*
 * The counters of system calls against strace's record, exactly, in calls and bytes. The subject
 * runs under strace from its start. It works between two marks, which are system calls of the
 * subject; the case reads the counters while the subject stands at a mark. The C library makes no
 * calls of its own meanwhile.
 */
#include "effects.h"

#include <pthread.h>

static struct remote r;
static char log_path[4096];

/* ---- the subject ---- */

static long mark(long a, long b)
{
	(void)b;
	return prctl(PR_SET_NAME, a ? "end" : "begin", 0, 0, 0);
}

static void each_size(size_t from, size_t to)
{
	for (size_t n = from; n < to; n += n / 3 + 1)
		free(launder(malloc(opaque(n))));
}

static long work(long seed, long b)
{
	uint64_t s = (uint64_t)seed;

	(void)b;
	each_size(1, 32 * MIB);
	for (int i = 0; i < 300; i++)
		take_bare((long)(1 + rnd(&s) % (rnd(&s) % 8 ? 100000 : 6 * MIB)), 1);
	for (int i = 0; i < 60; i++) {
		long k = (long)(rnd(&s) % (uint64_t)kept_n);

		kept[k] = launder(realloc(kept[k], opaque(1 + rnd(&s) % (12 * MIB))));
		CHECK(kept[k]);
	}
	drop(0, 2);
	free(launder(aligned_alloc(8 * MIB, opaque(3 * MIB))));
	free(launder(calloc(1, opaque(5 * MIB))));
	take(3 * MIB, 5);
	drop(0, 1);
	return 0;
}

static void *works(void *arg)
{
	for (int i = 0; i < 3; i++)
		each_size(1, 8 * MIB);
	return arg;
}

/* The stacks are the test's: the C library calls madvise for its own when a thread ends. */
static long thread_work(long a, long b)
{
	static char stack[3][1 << 18] __attribute__((aligned(4096)));
	pthread_attr_t attr;
	pthread_t t[3];

	(void)a;
	(void)b;
	CHECK(pthread_attr_init(&attr) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK(pthread_attr_setstack(&attr, stack[i], sizeof(stack[i])) == 0);
		CHECK(pthread_create(&t[i], &attr, works, NULL) == 0);
	}
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	return 0;
}

/* ---- the outsider ---- */

enum kind { MMAP, MUNMAP, MREMAP, DONTNEED, FREE, HUGEPAGE, METADATA, KINDS };
static const char *const kind_name[KINDS] = { "mmap", "munmap",	  "mremap",  "dontneed",
					      "free", "hugepage", "metadata" };

struct calls {
	uint64_t n[KINDS], bytes[KINDS];
};

static struct calls counters_now(void)
{
	struct calls c;

	for (int k = 0; k < KINDS; k++) {
		char name[40];

		snprintf(name, sizeof(name), "sys.%s.calls", kind_name[k]);
		c.n[k] = count(&r, name);
		snprintf(name, sizeof(name), "sys.%s.bytes", kind_name[k]);
		c.bytes[k] = count(&r, name);
	}
	return c;
}

/*
 * Classifies one line of strace's record; KINDS: no call of hakmem. *bytes: the bytes that it
 * covers.
 */
static enum kind classify(const char *call, unsigned long *bytes)
{
	int has = 0;

	if (sscanf(call, "mmap(%*[^,], %lu%n", bytes, &has) == 1 && has) {
		if (!strstr(call, "MAP_PRIVATE|MAP_ANONYMOUS") &&
		    !strstr(call, "MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS"))
			return KINDS;
		return strstr(call, "MAP_NORESERVE") ? METADATA : MMAP;
	}
	if (sscanf(call, "munmap(%*[^,], %lu%n", bytes, &has) == 1 && has)
		return MUNMAP;
	if (sscanf(call, "mremap(%*[^,], %*[^,], %lu%n", bytes, &has) == 1 && has)
		/* a table grows from a page; a whale grows in place or moves to a given address */
		return strstr(call, "MREMAP_MAYMOVE") && !strstr(call, "MREMAP_FIXED") ? METADATA
										       : MREMAP;
	if (sscanf(call, "mincore(%*[^,], %lu%n", bytes, &has) == 1 && has)
		return METADATA;
	if (sscanf(call, "mprotect(%*[^,], %lu%n", bytes, &has) == 1 && has)
		return strstr(call, "PROT_READ") ? METADATA : KINDS;
	if (sscanf(call, "madvise(%*[^,], %lu%n", bytes, &has) != 1 || !has)
		return KINDS;
	return strstr(call, "MADV_DONTNEED")	 ? DONTNEED
	       : strstr(call, "MADV_FREE")	 ? FREE
	       : strstr(call, "MADV_WIPEONFORK") ? METADATA
	       : strstr(call, "HUGEPAGE")	 ? HUGEPAGE
						 : KINDS;
}

/* The subject ends, because strace writes its last lines then. */
static struct calls traced(void)
{
	static char line[4096];
	struct calls c = { { 0 }, { 0 } };
	int status, within = 0, marks = 0;
	FILE *f;

	close(r.fd);
	CHECK(wait(&status) > 0);
	f = fopen(log_path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		const char *call = line + strspn(line, "0123456789 ");
		unsigned long bytes = 0;
		enum kind k;

		if (strncmp(call, "prctl(PR_SET_NAME, \"begin\"", 26) == 0)
			within = 1, marks++;
		if (strncmp(call, "prctl(PR_SET_NAME, \"end\"", 24) == 0)
			within = 0, marks++;
		k = within ? classify(call, &bytes) : KINDS;
		if (k < KINDS) {
			/* a refused call moved no bytes */
			c.n[k]++;
			c.bytes[k] += strstr(call, ") = -1 ") ? 0 : bytes;
		}
	}
	fclose(f);
	unlink(log_path);
	CHECK(marks == 2, "%d marks", marks);
	return c;
}

static void begin(const char *hakmem)
{
	const char *tmp = getenv("HAK_TMP");
	char *const argv[] = { (char *)"strace",
			       (char *)"-f",
			       (char *)"-qq",
			       (char *)"--seccomp-bpf",
			       (char *)"-e",
			       (char *)"trace=mmap,munmap,mremap,madvise,mprotect,mincore,prctl",
			       (char *)"-o",
			       log_path,
			       self_path,
			       (char *)"--serve",
			       NULL };

	if (system("LD_PRELOAD= strace -f -qq --seccomp-bpf -e trace=mmap -o /dev/null true "
		   ">/dev/null 2>&1") != 0)
		SKIP("no strace, or it may not trace");
	snprintf(log_path, sizeof(log_path), "%s/strace.%d", tmp ? tmp : "/tmp", getpid());
	start_as(&r, hakmem, argv, -1);
}

static void compare(job what, long a)
{
	struct calls before, after, t;

	ask(&r, mark, 0, 0);
	before = counters_now();
	ask(&r, what, a, 0);
	after = counters_now();
	ask(&r, mark, 1, 0);
	t = traced();
	for (int k = 0; k < KINDS; k++) {
		CHECK(t.n[k] == after.n[k] - before.n[k], "%lu calls of %s traced, %lu counted",
		      t.n[k], kind_name[k], after.n[k] - before.n[k]);
		CHECK(t.bytes[k] == after.bytes[k] - before.bytes[k],
		      "%lu bytes of %s traced, %lu counted", t.bytes[k], kind_name[k],
		      after.bytes[k] - before.bytes[k]);
	}
	CHECK(t.n[MMAP] >= 20 && t.n[MMAP] + t.n[MUNMAP] + t.n[DONTNEED] >= 60,
	      "only %lu mmap, %lu munmap, %lu dontneed to compare", t.n[MMAP], t.n[MUNMAP],
	      t.n[DONTNEED]);
	say("# mmap %lu munmap %lu mremap %lu dontneed %lu free %lu hugepage %lu own %lu\n",
	    t.n[MMAP], t.n[MUNMAP], t.n[MREMAP], t.n[DONTNEED], t.n[FREE], t.n[HUGEPAGE],
	    t.n[METADATA]);
}

static void defaults(void)
{
	begin(NULL);
	compare(work, 1);
}

static void nothing_kept(void)
{
	begin("whale.ring_slots=0,superslab.retain=0,superslab.enable=off,purge.delay_ms=0");
	compare(work, 2);
}

static void every_advice(void)
{
	begin("thp.mode=always,purge.delay_ms=0,region.evict=free,region.evict_bytes=0");
	compare(work, 3);
}

static void adaptive_remapped(void)
{
	begin("thp.mode=adaptive,region.evict=remap,region.evict_bytes=1M,purge.delay_ms=1");
	compare(work, 4);
}

static void several_threads(void)
{
	begin("control.agent=off,whale.ring_slots=0,purge.delay_ms=1");
	/* Afterwards the heaps exist: pages of the segment made for new ones are not counted. */
	ask(&r, thread_work, 0, 0);
	compare(thread_work, 0);
}

static long whale_job(long a, long b)
{
	whales(a, 100);
	return b;
}

/* The meaning of ring_slots=0, by strace's account alone: one munmap per free. */
static void one_munmap_per_free(void)
{
	struct calls t;

	begin("whale.ring_slots=0,purge.delay_ms=1d");
	for (int live = 0; live < 2; live++) {
		if (live) {
			begin("purge.delay_ms=1d");
			set(&r, "whale.ring_slots", 0);
		}
		ask(&r, mark, 0, 0);
		ask(&r, whale_job, 2 * MIB, 0);
		ask(&r, mark, 1, 0);
		t = traced();
		CHECK(t.n[MUNMAP] == 100 && t.n[MMAP] == 100 && t.bytes[MUNMAP] == 200 * MIB,
		      "%lu munmap, %lu mmap", t.n[MUNMAP], t.n[MMAP]);
	}
	begin("purge.delay_ms=1d,whale.ring_slots=0");
	reset(&r, "whale.ring_slots");
	set(&r, "whale.ring_slots", 16);
	ask(&r, whale_job, 2 * MIB, 0);
	ask(&r, mark, 0, 0);
	ask(&r, whale_job, 2 * MIB, 0);
	ask(&r, mark, 1, 0);
	t = traced();
	for (int k = 0; k < KINDS; k++)
		CHECK(t.n[k] == 0, "%lu calls of %s", t.n[k], kind_name[k]);
}

static const struct tcase cases[] = {
	{ "defaults", defaults, 90 },
	{ "nothing_kept", nothing_kept, 90 },
	{ "every_advice", every_advice, 90 },
	{ "adaptive_remapped", adaptive_remapped, 90 },
	{ "several_threads", several_threads, 90 },
	{ "one_munmap_per_free", one_munmap_per_free, 90 },
};

EFFECTS_MAIN(cases)
