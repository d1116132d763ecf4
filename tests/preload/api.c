// SPDX-License-Identifier: MIT
/*
 * Conformance of the C API: every function of the malloc family, with glibc's semantics, errno
 * rules, refusals and corner cases. sizes.c tests sizes in bulk, misuse.c wrong frees, cxx.cc C++
 * operators, info.c mallinfo and similar functions.
 */
#include "harness.h"

#include <sys/mman.h>

#if !__GLIBC_PREREQ(2, 33)
#define mallinfo2 mallinfo
#endif

static const size_t too_large[] = {
	(size_t)PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1,
	SIZE_MAX - 65536,    SIZE_MAX - 4096,
	SIZE_MAX - 64,	     SIZE_MAX - 16,
	SIZE_MAX - 15,	     SIZE_MAX - 8,
	SIZE_MAX - 1,	     SIZE_MAX,
};
enum { TOO_LARGE = sizeof(too_large) / sizeof(too_large[0]) };

static const size_t bad_aligns[] = { 0, 1, 2, 3, 4, 7, 9, 12, 24, 40, 4095, 4097, SIZE_MAX };
enum { BAD_ALIGNS = sizeof(bad_aligns) / sizeof(bad_aligns[0]) };

/* Functions that older glibc headers lack, found as a program would find them. */
typedef void free_sized_fn(void *, size_t);
typedef void free_aligned_sized_fn(void *, size_t, size_t);

static void *symbol(const char *name)
{
	void *fn = dlsym(RTLD_DEFAULT, name);

	if (!fn && on_hakmem())
		CHECK(fn, "%s is not exported", name);
	if (!fn)
		SKIP("this malloc has no %s", name);
	return fn;
}

static void zero_sizes(void)
{
	void *p[64], *q;
	size_t i, j;

	for (i = 0; i < 64; i++) {
		p[i] = malloc(opaque(0));
		CHECK(p[i] && aligned_to(p[i], 16));
		for (j = 0; j < i; j++)
			CHECK(p[i] != p[j], "malloc(0) gave %p twice", p[i]);
	}
	for (i = 0; i < 64; i++)
		free(p[i]);
	CHECK((q = calloc(opaque(0), 8)) != NULL);
	free(q);
	CHECK((q = calloc(8, opaque(0))) != NULL);
	free(q);
	CHECK((q = realloc(NULL, opaque(0))) != NULL);
	free(q);
	CHECK((q = aligned_alloc(64, opaque(0))) != NULL && aligned_to(q, 64));
	free(q);
	CHECK((q = memalign(4096, opaque(0))) != NULL && aligned_to(q, 4096));
	free(q);
	q = NULL;
	CHECK(posix_memalign(&q, 64, opaque(0)) == 0 && q && aligned_to(q, 64));
	free(q);
	CHECK((q = valloc(opaque(0))) != NULL && aligned_to(q, 4096));
	free(q);
	CHECK((q = pvalloc(opaque(0))) != NULL && aligned_to(q, 4096));
	free(q);
}

static void small_blocks_are_16_aligned(void)
{
	size_t n, i;
	void *p[40];

	for (n = 0; n <= 1100; n++) {
		for (i = 0; i < 40; i++) {
			p[i] = i % 2 ? malloc(n) : calloc(1, n);
			CHECK(aligned_to(p[i], 16), "%p for %zu bytes", p[i], n);
		}
		for (i = 0; i < 40; i++)
			free(p[i]);
	}
}

static void malloc_too_large(void)
{
	size_t i;

	for (i = 0; i < TOO_LARGE; i++) {
		errno = 0;
		CHECK(!malloc(opaque(too_large[i])), "malloc(%zu)", too_large[i]);
		CHECK(errno == ENOMEM, "malloc(%zu): errno %d", too_large[i], errno);
	}
}

static void calloc_too_large(void)
{
	static const size_t pair[][2] = {
		{ SIZE_MAX, 2 },
		{ 2, SIZE_MAX },
		{ SIZE_MAX / 2 + 1, 2 },
		{ (size_t)1 << 33, (size_t)1 << 33 },
		{ SIZE_MAX / 16 + 1, 16 },
		{ (size_t)1 << 32, (size_t)1 << 32 },
		{ SIZE_MAX, SIZE_MAX },
		{ (size_t)PTRDIFF_MAX + 1, 1 },
		{ (size_t)1 << 62, 2 },
		{ SIZE_MAX / 3 + 1, 3 },
		{ ((size_t)1 << 61) + 2, 8 },
	};
	size_t i;

	for (i = 0; i < sizeof(pair) / sizeof(pair[0]); i++) {
		errno = 0;
		CHECK(!calloc(opaque(pair[i][0]), opaque(pair[i][1])), "calloc(%zu, %zu)",
		      pair[i][0], pair[i][1]);
		CHECK(errno == ENOMEM, "calloc(%zu, %zu): errno %d", pair[i][0], pair[i][1], errno);
	}
}

static void realloc_too_large_keeps_the_block(void)
{
	size_t i, j;

	for (j = 0; j < TIER_SIZES; j++) {
		size_t n = tier_sizes[j];
		void *p = malloc(n);

		CHECK(p);
		fill(p, n, j);
		for (i = 0; i < TOO_LARGE; i++) {
			errno = 0;
			CHECK(!realloc(launder(p), opaque(too_large[i])), "realloc(%zu, %zu)", n,
			      too_large[i]);
			CHECK(errno == ENOMEM, "realloc(%zu): errno %d", too_large[i], errno);
		}
		errno = 0;
		CHECK(!reallocarray(launder(p), opaque(SIZE_MAX / 2), 3) && errno == ENOMEM);
		check_block(p, n, j);
		free(p);
	}
}

static void aligned_too_large(void)
{
	static char untouched;
	void *p = &untouched;
	size_t i;

	for (i = 0; i < TOO_LARGE; i++) {
		size_t n = opaque(too_large[i]), align;

		for (align = 16; align && align <= GIB; align <<= 2) {
			errno = 0;
			CHECK(!memalign(align, n) && errno == ENOMEM,
			      "memalign(%zu, %zu): errno %d", align, n, errno);
			errno = 0;
			CHECK(!aligned_alloc(align, n) && errno == ENOMEM,
			      "aligned_alloc(%zu, %zu): errno %d", align, n, errno);
			CHECK(posix_memalign(&p, align, n) == ENOMEM, "%zu, %zu", align, n);
			CHECK(p == &untouched);
		}
		errno = 0;
		CHECK(!valloc(n) && errno == ENOMEM, "valloc(%zu): errno %d", n, errno);
		errno = 0;
		CHECK(!pvalloc(n) && errno == ENOMEM, "pvalloc(%zu): errno %d", n, errno);
	}
	/* The sum of size and alignment overflows; neither does alone. */
	errno = 0;
	CHECK(!memalign(opaque((size_t)1 << 62), opaque((size_t)1 << 62)));
	CHECK(errno == ENOMEM);
	errno = 0;
	CHECK(!aligned_alloc(opaque((size_t)1 << 63), opaque(16)));
	CHECK(errno == ENOMEM || errno == EINVAL, "errno %d", errno);
}

static void reallocarray_rules(void)
{
	unsigned char *p = reallocarray(NULL, 3, 7);

	CHECK(p && malloc_usable_size(p) >= 21);
	memset(p, 0x5a, 21);
	p = reallocarray(p, 1000, 33);
	CHECK(p && malloc_usable_size(p) >= 33000 && p[0] == 0x5a && p[20] == 0x5a);
	errno = 0;
	CHECK(!reallocarray(launder(p), opaque((size_t)1 << 33), (size_t)1 << 33));
	CHECK(errno == ENOMEM);
	CHECK(p[0] == 0x5a && p[20] == 0x5a);
	CHECK(!reallocarray(p, opaque(0), 8)); /* frees, as realloc(p, 0) does */
}

/* A leak of a mebibyte in each turn would be noticed. */
static void realloc_to_zero_frees(void)
{
	static const size_t sizes[] = { 24, 2000, 40000, 300000, MIB, 3 * MIB };
	size_t i, s;

	for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t turns = 256 * MIB / sizes[s] < 200000 ? 256 * MIB / sizes[s] : 200000;
		long before = rss_kib(), after;

		for (i = 0; i < turns; i++) {
			char *p = malloc(sizes[s]);

			CHECK(p);
			memset(p, 1, sizes[s] < 4096 ? sizes[s] : 4096);
			if (sizes[s] > 4096)
				memset(p + sizes[s] - 4096, 1, 4096);
			errno = 0;
			CHECK(!realloc(launder(p), opaque(0)));
			CHECK(errno == 0, "realloc(p, 0) set errno %d", errno);
		}
		after = rss_kib();
		if (turns * 24 > 8 * MIB || sizes[s] > 1000)
			CHECK(after - before < 48 * 1024, "%zu times realloc(%zu, 0): %ld KiB",
			      turns, sizes[s], after - before);
	}
}

static void realloc_moves_contents_between_all_tiers(void)
{
	size_t i, j;

	for (i = 0; i < TIER_SIZES; i++) {
		for (j = 0; j < TIER_SIZES; j++) {
			size_t from = tier_sizes[i], to = tier_sizes[j];
			size_t kept = from < to ? from : to;
			void *p = malloc(from);

			CHECK(p);
			fill(p, from, i);
			p = realloc(p, to);
			CHECK(p && aligned_to(p, 16), "realloc %zu to %zu", from, to);
			check_block(p, kept, i);
			fill(p, to, j);
			check_block(p, to, j);
			free(p);
		}
	}
}

static void realloc_of_aligned_blocks(void)
{
	size_t align, i;

	for (align = 16; align <= 4 * MIB; align <<= 1) {
		for (i = 0; i < TIER_SIZES; i++) {
			size_t n = tier_sizes[i];
			void *p = memalign(align, n);

			CHECK(p && aligned_to(p, align), "memalign(%zu, %zu)", align, n);
			fill(p, n, align);
			p = realloc(p, n * 2);
			CHECK(p);
			check_block(p, n, align);
			p = realloc(p, n / 2 + 1);
			CHECK(p);
			check_block(p, n / 2, align);
			free(p);
		}
	}
}

static void free_null_and_errno(void)
{
	size_t i, round;

	errno = 4242;
	free(NULL);
	CHECK(errno == 4242);
	/* Often enough for every tier to take its slow paths too. */
	for (round = 0; round < 40; round++) {
		for (i = 0; i < TIER_SIZES; i++) {
			void *p = malloc(tier_sizes[i]), *q = malloc(tier_sizes[i]);

			CHECK(p && q);
			errno = 4242;
			free(p);
			CHECK(errno == 4242, "free of %zu bytes: errno %d", tier_sizes[i], errno);
			free(q);
			CHECK(errno == 4242, "free of %zu bytes: errno %d", tier_sizes[i], errno);
		}
	}
}

/* munmap or madvise fails inside free, here on sealed or locked memory. */
static void free_keeps_errno_when_the_kernel_refuses(void)
{
	size_t i;

	for (i = 0; i < 64; i++) {
		size_t n = 2 * MIB + i * 65536;
		char *p = malloc(n);

		CHECK(p);
		memset(p, 1, n);
		if (mlock(p + 65536, 4096) != 0)
			SKIP("mlock: %s", strerror(errno));
		errno = 4242;
		free(p);
		CHECK(errno == 4242, "errno %d", errno);
	}
}

static void free_sized_functions(void)
{
	free_sized_fn *fs = (free_sized_fn *)symbol("free_sized");
	free_aligned_sized_fn *fas = (free_aligned_sized_fn *)symbol("free_aligned_sized");
	size_t i, round;

	fs(NULL, 0);
	fs(NULL, 100);
	fas(NULL, 64, 64);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < TIER_SIZES; i++) {
			size_t n = tier_sizes[i];
			void *p = malloc(n), *q = aligned_alloc(256, (n + 255) / 256 * 256);

			CHECK(p && q);
			memset(p, 1, n);
			memset(q, 2, n);
			errno = 4242;
			fs(p, n);
			fas(q, 256, (n + 255) / 256 * 256);
			CHECK(errno == 4242, "errno %d", errno);
			p = calloc(1, n);
			CHECK(p && nonzero_at(p, n) == n);
			fs(p, n);
			p = realloc(NULL, n);
			CHECK(p);
			fs(p, n);
		}
	}
}

static void posix_memalign_rules(void)
{
	static char untouched;
	void *p = &untouched;
	size_t i, align;

	for (i = 0; i < BAD_ALIGNS; i++) {
		errno = 4242;
		CHECK(posix_memalign(&p, opaque(bad_aligns[i]), 100) == EINVAL, "alignment %zu",
		      bad_aligns[i]);
		CHECK(p == &untouched);
		CHECK(errno == 4242, "errno %d", errno);
	}
	for (align = sizeof(void *); align <= 64 * MIB; align <<= 1) {
		errno = 4242;
		CHECK(posix_memalign(&p, align, align / 2 + 3) == 0);
		CHECK(p && aligned_to(p, align) && aligned_to(p, 16), "%p, %zu", p, align);
		CHECK(errno == 4242);
		free(p);
		p = &untouched;
	}
	errno = 4242; /* the manual does not say that errno is set, but glibc does it */
	CHECK(posix_memalign(&p, 64, opaque(SIZE_MAX)) == ENOMEM && p == &untouched);
	CHECK(errno == ENOMEM, "errno %d", errno);
}

/* The rules of glibc 2.38 and C17: no power of two is EINVAL; any size is accepted. */
static void aligned_alloc_rules(void)
{
	size_t i, align, n;

	if (on_hakmem()) {
		for (i = 0; i < BAD_ALIGNS; i++) {
			size_t a = opaque(bad_aligns[i]);

			if (a && (a & (a - 1)) == 0)
				continue;
			errno = 0;
			CHECK(!aligned_alloc(a, 96), "alignment %zu", a);
			CHECK(errno == EINVAL, "alignment %zu: errno %d", a, errno);
		}
	}
	for (align = 1; align <= 64 * MIB; align <<= 1) {
		for (n = 1; n < 100000; n = n * 3 + 1) {
			void *p = aligned_alloc(opaque(align), opaque(n));

			CHECK(p && aligned_to(p, align) && aligned_to(p, 16),
			      "aligned_alloc(%zu, %zu) = %p", align, n, p);
			CHECK(malloc_usable_size(p) >= n);
			free(p);
		}
	}
}

/* glibc rounds memalign's alignment up to a power of two. */
static void memalign_rules(void)
{
	size_t align;
	void *p;

	for (align = 1; align <= 64 * MIB; align <<= 1) {
		CHECK((p = memalign(opaque(align), 100)) != NULL);
		CHECK(aligned_to(p, align) && aligned_to(p, 16), "%zu: %p", align, p);
		memset(p, 1, malloc_usable_size(p));
		free(p);
	}
	for (align = 3; align < 100000; align = align * 3) {
		size_t up = 16;

		while (up < align)
			up <<= 1;
		p = memalign(opaque(align), 100);
		CHECK(p && aligned_to(p, up), "memalign(%zu) = %p", align, p);
		free(p);
	}
	CHECK((p = memalign(opaque(0), 100)) != NULL && aligned_to(p, 16));
	free(p);
	errno = 0;
	CHECK(!memalign(opaque(SIZE_MAX), 100));
	CHECK(errno == EINVAL || errno == ENOMEM, "errno %d", errno);
	errno = 0;
	CHECK(!memalign(opaque(((size_t)1 << 63) + 1), 100));
	CHECK(errno == EINVAL || errno == ENOMEM, "errno %d", errno);
}

static void valloc_and_pvalloc(void)
{
	size_t page = sysconf(_SC_PAGESIZE), i;

	for (i = 0; i < TIER_SIZES; i++) {
		size_t n = tier_sizes[i], up = (n + page - 1) / page * page;
		void *v = valloc(n), *p = pvalloc(n);

		CHECK(v && aligned_to(v, page) && malloc_usable_size(v) >= n);
		CHECK(p && aligned_to(p, page) && malloc_usable_size(p) >= up,
		      "pvalloc(%zu): usable %zu", n, malloc_usable_size(p));
		memset(v, 1, n);
		memset(p, 2, up);
		CHECK(((char *)v)[n - 1] == 1);
		free(v);
		free(p);
	}
}

static void usable_size(void)
{
	size_t i, u;
	void *p;

	CHECK(malloc_usable_size(NULL) == 0);
	for (i = 0; i < TIER_SIZES; i++) {
		CHECK((p = malloc(tier_sizes[i])) != NULL);
		u = malloc_usable_size(p);
		CHECK(u >= tier_sizes[i], "%zu for %zu", u, tier_sizes[i]);
		fill(launder(p), u, i);
		CHECK(malloc_usable_size(p) == u);
		check_block(p, u, i);
		free(p);
	}
}

static void libc_aliases(void)
{
	void *(*lmalloc)(size_t) = (void *(*)(size_t))symbol("__libc_malloc");
	void *(*lcalloc)(size_t, size_t) = (void *(*)(size_t, size_t))symbol("__libc_calloc");
	void *(*lrealloc)(void *, size_t) = (void *(*)(void *, size_t))symbol("__libc_realloc");
	void *(*lmemalign)(size_t, size_t) = (void *(*)(size_t, size_t))symbol("__libc_memalign");
	void *(*lvalloc)(size_t) = (void *(*)(size_t))symbol("__libc_valloc");
	void *(*lpvalloc)(size_t) = (void *(*)(size_t))symbol("__libc_pvalloc");
	void (*lfree)(void *) = (void (*)(void *))symbol("__libc_free");
	size_t i;

	for (i = 0; i < TIER_SIZES; i++) {
		size_t n = tier_sizes[i];
		void *p = lmalloc(n), *q = lcalloc(1, n), *r = lmemalign(128, n);

		CHECK(p && q && r && aligned_to(r, 128));
		CHECK(nonzero_at(q, n) == n);
		fill(p, n, i);
		p = lrealloc(p, 2 * n);
		CHECK(p);
		check_block(p, n, i);
		CHECK(malloc_usable_size(q) >= n);
		free(p);
		free(q);
		free(r);
		lfree(malloc(n));
		free(lvalloc(n));
		free(lpvalloc(n));
	}
}

static void cfree_by_dlsym(void)
{
	void (*cfree_fn)(void *) = (void (*)(void *))symbol("cfree");
	size_t i;

	for (i = 0; i < 100000; i++) {
		char *p = malloc(4000);

		CHECK(p);
		memset(p, 1, 4000);
		cfree_fn(p);
	}
	cfree_fn(NULL);
	CHECK(rss_kib() < 64 * 1024, "cfree leaks: %ld KiB", rss_kib());
}

/* One name left to libc would hand out memory that the library's free refuses. */
static void every_name_is_interposed(void)
{
	static const char *const names[] = {
		"malloc",
		"calloc",
		"realloc",
		"reallocarray",
		"free",
		"free_sized",
		"free_aligned_sized",
		"posix_memalign",
		"aligned_alloc",
		"memalign",
		"valloc",
		"pvalloc",
		"malloc_usable_size",
		"malloc_trim",
		"mallinfo",
		"mallinfo2",
		"malloc_stats",
		"malloc_info",
		"mallopt",
		"cfree",
		"__libc_malloc",
		"__libc_calloc",
		"__libc_realloc",
		"__libc_free",
		"__libc_memalign",
		"__libc_valloc",
		"__libc_pvalloc",
		"__posix_memalign",
		"_Znwm",
		"_Znam",
		"_ZdlPv",
		"_ZdaPv",
		"_ZdlPvm",
		"_ZdaPvm",
		"_ZnwmSt11align_val_t",
		"_ZnamSt11align_val_t",
		"_ZdlPvSt11align_val_t",
		"_ZdaPvSt11align_val_t",
		"_ZdlPvmSt11align_val_t",
		"_ZdaPvmSt11align_val_t",
		"_ZnwmRKSt9nothrow_t",
		"_ZnamRKSt9nothrow_t",
		"_ZdlPvRKSt9nothrow_t",
		"_ZdaPvRKSt9nothrow_t",
		"_ZnwmSt11align_val_tRKSt9nothrow_t",
		"_ZnamSt11align_val_tRKSt9nothrow_t",
		"_ZdlPvSt11align_val_tRKSt9nothrow_t",
		"_ZdaPvSt11align_val_tRKSt9nothrow_t",
		"pthread_create",
		"prctl",
		"dlopen",
	};
	Dl_info ours, theirs;
	size_t i;

	need_hakmem();
	CHECK(dladdr(dlsym(RTLD_DEFAULT, "hakmem_version"), &ours));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *at = dlsym(RTLD_NEXT, names[i]);

		CHECK(at, "%s is nowhere", names[i]);
		CHECK(dladdr(at, &theirs) && theirs.dli_fbase == ours.dli_fbase, "%s comes from %s",
		      names[i], theirs.dli_fname);
	}
}

/* libc allocates for the program, which frees, or the other way round. */
static void memory_that_libc_hands_out(void)
{
	char *text = NULL, *line = NULL, *s = strdup("strdup"), *n = strndup("strndup", 4);
	size_t len = 0, cap = 0;
	FILE *f = open_memstream(&text, &len);

	CHECK(s && n && f);
	CHECK(fprintf(f, "%0*d\nsecond", 5000, 7) > 5000);
	CHECK(fclose(f) == 0 && len == 5007);
	f = fmemopen(text, len, "r");
	CHECK(f && getline(&line, &cap, f) == 5001 && cap >= 5001);
	line = realloc(line, 10);
	CHECK(line && line[0] == '0');
	fclose(f);
	free(line);
	free(text);
	free(s);
	free(n);
	CHECK(asprintf(&s, "%s", "asprintf") == 8);
	free(s);
	s = realpath("/", NULL);
	CHECK(s && strcmp(s, "/") == 0);
	free(s);
	s = getcwd(NULL, 0);
	free(s);
	f = fopen("/dev/null", "w");
	CHECK(f && setvbuf(f, NULL, _IOFBF, 65536) == 0);
	fputs("x", f);
	CHECK(fclose(f) == 0);
}

/* Dirty memory of every size is freed; memory that calloc then returns is zero. */
static void calloc_zeroes_dirty_memory(void)
{
	static void *p[512];
	size_t i, round, n;

	for (n = 1; n <= 6 * MIB; n = n < 64 ? n + 7 : n + n / 3) {
		size_t count = 16 * MIB / n;

		count = count > 512 ? 512 : count < 3 ? 3 : count;
		for (round = 0; round < 3; round++) {
			for (i = 0; i < count; i++) {
				CHECK((p[i] = malloc(n)) != NULL);
				memset(p[i], 0xa5, malloc_usable_size(p[i]));
			}
			for (i = 0; i < count; i++)
				free(p[round == 1 ? count - 1 - i : i]);
			for (i = 0; i < count; i++) {
				size_t u;

				p[i] = calloc(round + 1, (n + round) / (round + 1));
				CHECK(p[i]);
				u = on_hakmem() ? malloc_usable_size(p[i]) : n;
				CHECK(nonzero_at(p[i], u) == u, "calloc of %zu: offset %zu of %p",
				      n, nonzero_at(p[i], u), p[i]);
				memset(p[i], 0x5a, malloc_usable_size(p[i]));
			}
			for (i = 0; i < count; i++)
				free(p[i]);
		}
	}
}

static void everything_fails_with_enomem(void)
{
	struct rlimit as = { 0, 0 };
	void *p, *q = malloc(100);
	char *last = NULL;

	CHECK(q);
	as.rlim_max = (size_t)proc_kib("/proc/self/status", "\nVmSize:") * KIB + 48 * MIB;
	as.rlim_cur = as.rlim_max;
	CHECK(setrlimit(RLIMIT_AS, &as) == 0);
	while ((p = malloc(MIB)) != NULL) {
		*(char **)p = last;
		last = p;
	}
	CHECK(errno == ENOMEM, "malloc: errno %d", errno);
	errno = 0;
	CHECK(!calloc(64, MIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!realloc(q, 64 * MIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!reallocarray(q, 64, MIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!memalign(4096, 64 * MIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!aligned_alloc(4096, 64 * MIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!valloc(64 * MIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!pvalloc(64 * MIB) && errno == ENOMEM);
	errno = 0;
	CHECK(posix_memalign(&p, 64, 64 * MIB) == ENOMEM && errno == ENOMEM);
	errno = 4242;
	while (last) {
		char *next = *(char **)last;

		free(last);
		last = next;
	}
	free(q);
	CHECK(errno == 4242, "free: errno %d", errno);
	exercise_all_tiers(3);
}

static const struct tcase cases[] = {
	{ "zero_sizes", zero_sizes },
	{ "small_blocks_are_16_aligned", small_blocks_are_16_aligned },
	{ "malloc_too_large", malloc_too_large },
	{ "calloc_too_large", calloc_too_large },
	{ "realloc_too_large_keeps_the_block", realloc_too_large_keeps_the_block },
	{ "aligned_too_large", aligned_too_large },
	{ "reallocarray_rules", reallocarray_rules },
	{ "realloc_to_zero_frees", realloc_to_zero_frees },
	{ "realloc_moves_contents_between_all_tiers", realloc_moves_contents_between_all_tiers },
	{ "realloc_of_aligned_blocks", realloc_of_aligned_blocks },
	{ "free_null_and_errno", free_null_and_errno },
	{ "free_keeps_errno_when_the_kernel_refuses", free_keeps_errno_when_the_kernel_refuses },
	{ "free_sized_functions", free_sized_functions },
	{ "posix_memalign_rules", posix_memalign_rules },
	{ "aligned_alloc_rules", aligned_alloc_rules },
	{ "memalign_rules", memalign_rules },
	{ "valloc_and_pvalloc", valloc_and_pvalloc },
	{ "usable_size", usable_size },
	{ "libc_aliases", libc_aliases },
	{ "cfree_by_dlsym", cfree_by_dlsym },
	{ "every_name_is_interposed", every_name_is_interposed },
	{ "memory_that_libc_hands_out", memory_that_libc_hands_out },
	{ "calloc_zeroes_dirty_memory", calloc_zeroes_dirty_memory },
	{ "everything_fails_with_enomem", everything_fails_with_enomem },
};

MAIN(cases)
