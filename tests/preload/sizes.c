// SPDX-License-Identifier: MIT
/*
 * Every size: each from 0 to 70000, and those around every power of two to 1 GiB for every
 * alignment to 1 GiB. Blocks are filled to their usable size with a content of their own while
 * neighbours live. So the test sees two blocks that share a byte, a wrong usable size, and a
 * realloc that drops the end.
 */
#include "harness.h"

enum { LAST_SIZE = 70000, WINDOW = 64 };

struct held {
	void *p;
	size_t n, usable;
};

static struct held window[WINDOW];

static void release(struct held *h)
{
	if (!h->p)
		return;
	CHECK(malloc_usable_size(h->p) == h->usable, "usable size of %p changed", h->p);
	check_block(h->p, h->usable, h->n);
	free(h->p);
	h->p = NULL;
}

static void release_all(void)
{
	size_t i;

	for (i = 0; i < WINDOW; i++)
		release(&window[i]);
}

static void hold(struct held *h, void *p, size_t n)
{
	CHECK(p, "%zu bytes: %s", n, strerror(errno));
	CHECK(aligned_to(p, 16), "%p for %zu bytes", p, n);
	h->p = p;
	h->n = n;
	h->usable = malloc_usable_size(p);
	CHECK(h->usable >= n, "usable %zu of %zu", h->usable, n);
	fill(launder(p), h->usable, n);
}

static void every_size_malloc(void)
{
	size_t n;

	for (n = 0; n <= LAST_SIZE; n++) {
		release(&window[n % WINDOW]);
		hold(&window[n % WINDOW], malloc(n), n);
	}
	release_all();
}

static void every_size_calloc(void)
{
	size_t n;

	for (n = 0; n <= LAST_SIZE; n++) {
		struct held *h = &window[n % WINDOW];
		void *p;

		release(h);
		p = n % 5 == 0 ? calloc(n / 5, 5) : calloc(1, n);
		CHECK(p);
		CHECK(nonzero_at(p, n) == n, "calloc of %zu: offset %zu", n, nonzero_at(p, n));
		hold(h, p, n);
	}
	release_all();
}

/* The bytes beyond n but within the usable size are the caller's as well. */
static void every_size_realloc_keeps_the_usable_size_30(void)
{
	size_t n;

	for (n = 1; n <= LAST_SIZE; n += n < 5000 ? 1 : 3) {
		void *p = malloc(n);
		size_t u;

		CHECK(p);
		u = malloc_usable_size(p);
		fill(launder(p), u, n);
		p = realloc(p, u + 1 + n / 7);
		CHECK(p);
		check_block(p, u, n);
		p = realloc(p, n);
		CHECK(p);
		check_block(p, n, n);
		hold(&window[0], p, n);
		release(&window[0]);
	}
}

static void every_size_memalign(void)
{
	size_t n, align;

	for (n = 0; n <= LAST_SIZE; n += n < 3000 ? 1 : 7) {
		for (align = 32; align <= 65536; align <<= 1) {
			char *p = n % 2 ? memalign(align, n) : aligned_alloc(align, n);
			size_t u;

			CHECK(p && aligned_to(p, align), "memalign(%zu, %zu) = %p", align, n, p);
			u = malloc_usable_size(p);
			CHECK(u >= n, "memalign(%zu, %zu): usable %zu", align, n, u);
			if (u) {
				p[0] = 1;
				p[u - 1] = 2;
			}
			if (window[align % 63].p) {
				unsigned char *old = window[align % 63].p;
				size_t last = window[align % 63].usable;

				CHECK(!last || old[last - 1] == 2, "%p changed", old);
				free(old);
			}
			window[align % 63] = (struct held){ p, n, u };
		}
	}
}

/* Physical memory bounds what heuristic overcommit lets a mapping be. */
static size_t affordable(void)
{
	return (size_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 2;
}

static void touch_ends(char *p, size_t u, char c)
{
	if (!u)
		return;
	p[0] = c;
	p[u / 2] = c;
	p[u - 1] = c;
}

static void one_edge(size_t align, size_t n)
{
	char *p, *low = malloc(100), *high;

	p = align == 1 ? malloc(n) : memalign(align, n);
	if (!p && (n > affordable() || align > affordable())) {
		free(low);
		return;
	}
	high = malloc(100);
	CHECK(p && low && high, "memalign(%zu, %zu): %s", align, n, strerror(errno));
	CHECK(aligned_to(p, align) && aligned_to(p, 16), "memalign(%zu, %zu) = %p", align, n, p);
	fill(low, 100, align);
	fill(high, 100, n);
	CHECK(malloc_usable_size(p) >= n, "memalign(%zu, %zu): usable %zu", align, n,
	      malloc_usable_size(p));
	touch_ends(p, malloc_usable_size(p), 7);
	check_block(low, 100, align);
	check_block(high, 100, n);
	CHECK(p[0] == 7);
	free(low);
	free(p);
	check_block(high, 100, n);
	free(high);
}

static void powers_of_two_for_every_alignment_14(void)
{
	static const int near[] = { -4096, -65, -17, -16, -15, -8, -1, 0, 1, 8, 16, 17, 4096 };
	size_t bit, align, i;

	for (bit = 0; bit <= 30; bit++) {
		for (align = 1; align <= GIB; align <<= 1) {
			for (i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
				size_t n = ((size_t)1 << bit) + near[i];

				if (near[i] < 0 && (size_t)-near[i] > (size_t)1 << bit)
					continue;
				one_edge(align, n);
			}
		}
	}
}

/* Several over-aligned blocks live at once and share no byte. */
static void aligned_blocks_do_not_overlap_14(void)
{
	enum { N = 24 };
	size_t align, n, i;

	for (align = 32; align <= 2 * MIB; align <<= 1) {
		for (n = 1; n <= 4 * MIB; n = n * 5 + 3) {
			void *p[N];
			size_t u[N];

			for (i = 0; i < N; i++) {
				p[i] = memalign(align, n);
				CHECK(p[i] && aligned_to(p[i], align), "%p", p[i]);
				u[i] = malloc_usable_size(p[i]);
				u[i] = u[i] < 65536 ? u[i] : 65536;
				fill(p[i], u[i], i);
			}
			for (i = 0; i < N; i += 2) {
				check_block(p[i], u[i], i);
				free(p[i]);
			}
			for (i = 1; i < N; i += 2) {
				check_block(p[i], u[i], i);
				free(p[i]);
			}
		}
	}
}

/* A block never moves into bytes that malloc_usable_size promised another. */
static void usable_bytes_are_disjoint(void)
{
	static struct held h[20000];
	uint64_t s = 4711;
	size_t i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < 20000; i++) {
			size_t n = rnd(&s) % (i % 50 ? 600 : 40000);

			if (round && i % 3 == round)
				release(&h[i]);
			if (!h[i].p)
				hold(&h[i], malloc(n), n);
		}
	}
	for (i = 0; i < 20000; i++)
		release(&h[i]);
}

/* realloc one byte at a time loses no byte, and does not move without a reason. */
static void grow_byte_by_byte(void)
{
	size_t n, moves = 0;
	unsigned char *p = malloc(1);

	CHECK(p);
	p[0] = 0;
	for (n = 2; n <= 70000; n++) {
		unsigned char *q = realloc(p, n);

		CHECK(q);
		moves += q != p;
		p = q;
		p[n - 1] = (unsigned char)(n - 1);
		if (n % 997 == 0) {
			size_t i;

			for (i = 0; i < n; i++)
				CHECK(p[i] == (unsigned char)i, "byte %zu of %zu", i, n);
		}
	}
	CHECK(moves < 400, "%zu moves", moves);
	while (--n > 0) {
		p = realloc(p, n);
		CHECK(p && p[n - 1] == (unsigned char)(n - 1));
	}
	free(p);
}

static const struct tcase cases[] = {
	{ "every_size_malloc", every_size_malloc },
	{ "every_size_calloc", every_size_calloc },
	{ "every_size_realloc_keeps_the_usable_size_30",
	  every_size_realloc_keeps_the_usable_size_30 },
	{ "every_size_memalign", every_size_memalign },
	{ "powers_of_two_for_every_alignment_14", powers_of_two_for_every_alignment_14, 60 },
	{ "aligned_blocks_do_not_overlap_14", aligned_blocks_do_not_overlap_14, 60 },
	{ "usable_bytes_are_disjoint", usable_bytes_are_disjoint },
	{ "grow_byte_by_byte", grow_byte_by_byte },
};

MAIN(cases)
