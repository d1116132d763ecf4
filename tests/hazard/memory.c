// SPDX-License-Identifier: MIT
/*
 * Memory on its way back to the kernel. A purging thread is held directly before its call while
 * other threads are handed memory, resize and empty it (hazards 11, 36). Addresses get another
 * owner the moment they are unmapped (12).
 */
#include "hazard.h"

static struct actor purger, third;
static struct peer self;

/* ---- a purger held right before its call ---- */

static void *run_once(void *arg)
{
	struct actor *a = arg;

	a->fn(a->arg);
	return NULL;
}

/*
 * Runs fn in a thread that then ends: its cache goes back to slabs and extents, regardless of the
 * units that a purge holds.
 */
static void in_thread(void (*fn)(void *), void *arg)
{
	struct actor a = { .fn = fn, .arg = arg };

	CHECK(!pthread_create(&a.t, NULL, run_once, &a));
	CHECK(!pthread_join(a.t, NULL));
}

static void give_all(void *arg)
{
	struct blocks *b = arg;

	blocks_give_some(b, 0, b->n);
}

static void purge_dirty(void *arg)
{
	(void)arg;
	purge(HAKMEM_PURGE_DIRTY);
}

static void whales_meanwhile(void *arg)
{
	struct blocks *b = arg;

	blocks_take(b);
	set("whale.ring_slots", "1");
	set("whale.ring_slots", "64");
	b->p[0] = launder(realloc(b->p[0], 9 * MIB));
	CHECK(b->p[0]);
	check_block(b->p[0], b->size, b->seed);
	fill(b->p[0], malloc_usable_size(b->p[0]), b->seed);
	b->p[1] = launder(realloc(b->p[1], MIB));
	CHECK(b->p[1]);
	fill(b->p[1], malloc_usable_size(b->p[1]), b->seed + 1);
	blocks_give_some(b, 2, 4);
	b->p[2] = launder(malloc(opaque(b->size)));
	fill(b->p[2], malloc_usable_size(b->p[2]), b->seed + 2);
}

static void whales_while_evicting_at(const char *stop, const char *mode)
{
	struct blocks old = { .size = 2 * MIB, .n = 6, .seed = 1 };
	struct blocks now = { .size = 2 * MIB, .n = 6, .seed = 7 };

	set("region.evict", mode);
	actor_start(&purger);
	actor_start(&third);
	blocks_take(&old);
	blocks_give(&old);
	actor_hold(&purger, stop, purge_dirty, NULL);
	actor_do(&third, whales_meanwhile, &now);
	blocks_take(&old);
	blocks_check(&now);
	actor_release(&purger);
	blocks_check(&now);
	blocks_check(&old);
	blocks_give(&now);
	blocks_give(&old);
	purge(HAKMEM_PURGE_DIRTY);
	for (int i = 0; i < 6; i++)
		free(take_zeroed(2 * MIB + i * 65536));
	purge(HAKMEM_PURGE_ALL);
	check_books();
	CHECK(counter("ring.regions") == 0 && whales_in_use() == 0);
	actor_end(&purger);
	actor_end(&third);
}

static void whales_while_evicting(void)
{
	hazard_begin();
	set("region.free_force", "on");
	for (int m = 0; m < 4; m++) {
		whales_while_evicting_at("rcache.evicting", modes[m == 3 ? 0 : m]);
		whales_while_evicting_at("purge.before_madvise.whale", modes[m == 3 ? 0 : m]);
	}
}

static void resize_ring(void *arg)
{
	(void)arg;
	set("whale.ring_slots", "1");
}

/* The limit falls while whales are taken and freed: regions to be unmapped belong to no thread. */
static void whales_while_resizing(void)
{
	struct blocks old = { .size = 2 * MIB, .n = 6, .seed = 1 };
	struct blocks now = { .size = 2 * MIB, .n = 6, .seed = 7 };

	hazard_begin();
	for (uint32_t skip = 0; skip < 2; skip++) {
		actor_start(&purger);
		blocks_take(&old);
		/* kept apart, because neighbours would be joined */
		blocks_give_some(&old, 0, 1);
		blocks_give_some(&old, 2, 3);
		blocks_give_some(&old, 4, 5);
		actor_hold(&purger, "rcache.resized", resize_ring, NULL);
		blocks_take(&now);
		blocks_give_some(&now, 0, 3);
		actor_release(&purger);
		blocks_check(&now);
		blocks_check(&old);
		blocks_give(&now);
		blocks_give(&old);
		CHECK(counter("ring.regions") <= 1);
		set("whale.ring_slots", "64");
		actor_end(&purger);
	}
	purge(HAKMEM_PURGE_ALL);
	check_books();
}

static void one_size_in_turn(void *arg)
{
	for (unsigned int i = 0; i < 100; i++)
		free(memset(take(2 * MIB), (int)i, 2 * MIB));
	*(void **)arg = take(2 * MIB);
}

static void give_pointer(void *arg)
{
	free(*(void **)arg);
}

/*
 * A whale becomes the thread's hot region while that is taken away: the region is kept once, or
 * gone.
 */
static void front_while_dropped(void)
{
	static const char *const stop[] = { "hot.before_put", "hot.after_put" };
	struct blocks b = { .size = 2 * MIB, .n = 4, .seed = 5 };
	void *p;

	hazard_begin();
	for (int i = 0; i < 4; i++) {
		set("whale.ring_slots", "64");
		actor_start(&third);
		actor_do(&third, one_size_in_turn, &p);
		actor_hold(&third, stop[i % 2], give_pointer, &p);
		if (i < 2) {
			/* neither the hot region nor the region cache may hold anything any more */
			set("whale.ring_slots", "0");
			actor_release(&third);
			CHECK(counter("ring.regions") == 0, "%s: %lu", stop[i],
			      counter("ring.regions"));
		} else {
			purge(HAKMEM_PURGE_DIRTY);
			blocks_take(&b);
			actor_release(&third);
			blocks_check(&b);
			blocks_give(&b);
		}
		check_books();
		actor_end(&third);
		purge(HAKMEM_PURGE_ALL);
		CHECK(counter("ring.regions") == 0 && whales_in_use() == 0);
		check_books();
	}
}

static void drop_all_hot(void *arg)
{
	(void)arg;
	set("whale.ring_slots", "32");
}

/* The thread gets its hot region back while another thread is about to take it away: one has it. */
static void front_while_taken(void)
{
	struct blocks mine = { .size = 2 * MIB, .n = 1, .seed = 5 };
	struct blocks others = { .size = 2 * MIB, .n = 4, .seed = 6 };
	void *p;

	hazard_begin();
	actor_start(&third);
	actor_start(&purger);
	actor_do(&third, one_size_in_turn, &p);
	actor_do(&third, give_pointer, &p);
	actor_hold(&purger, "hot.dropping", drop_all_hot, NULL);
	actor_do(&third, blocks_take, &mine);
	actor_release(&purger);
	blocks_take(&others);
	blocks_check(&mine);
	blocks_check(&others);
	blocks_give(&others);
	actor_do(&third, blocks_give, &mine);
	actor_end(&third);
	actor_end(&purger);
	purge(HAKMEM_PURGE_ALL);
	CHECK(counter("ring.regions") == 0 && whales_in_use() == 0);
	check_books();
}

/* Requests to all threads from before a thread began do not concern it. */
static void new_thread_obeys_nothing(void)
{
	struct blocks b = { .size = 2 * MIB, .n = 2, .seed = 5 };
	uint64_t unmaps;

	hazard_begin();
	purge(HAKMEM_PURGE_ALL);
	blocks_take(&b);
	blocks_give_some(&b, 0, 1);
	unmaps = counter("ring.unmaps");
	actor_start(&third);
	actor_do(&third, blocks_take, &b);
	CHECK(counter("ring.unmaps") == unmaps);
	actor_end(&third);
}

/* ---- extents ---- */

/* Free units of an extent are held; other threads allocate, and free the rest of it. */
static void blocks_while_purging(void)
{
	struct blocks run = { .size = 100000, .n = 12, .seed = 1 };
	struct blocks slab = { .size = 1000, .n = 250, .seed = 2 };
	struct blocks run2 = { .size = 100000, .n = 24, .seed = 3 };
	struct blocks slab2 = { .size = 3000, .n = 250, .seed = 4 };

	hazard_begin();
	for (uint32_t skip = 0; skip < 3; skip++) {
		actor_start(&purger);
		blocks_take(&run);
		blocks_take(&slab);
		blocks_give_some(&run, 3, 9);
		blocks_give_some(&slab, 64, 192);
		purge(HAKMEM_PURGE_CACHE);
		actor_begin(&purger, purge_dirty, NULL);
		actor_finish(&purger);
		blocks_give_some(&run, 9, 11);
		blocks_give_some(&slab, 0, 64);
		purge(HAKMEM_PURGE_CACHE);
		actor_hold(&purger, "purge.before_madvise.extent", purge_dirty, NULL);
		blocks_take(&run2);
		blocks_take(&slab2);
		/* the rest goes: the extents are empty, except for what the purge holds */
		in_thread(give_all, &run);
		in_thread(give_all, &slab);
		blocks_check(&run2);
		blocks_check(&slab2);
		actor_release(&purger);
		blocks_check(&run2);
		blocks_check(&slab2);
		blocks_give(&run2);
		blocks_give(&slab2);
		check_books();
		actor_end(&purger);
	}
	purge(HAKMEM_PURGE_ALL);
	CHECK(counter("extent.live") == 0 && counter("superslab.free") == 0);
	check_books();
}

/*
 * An empty extent of which a purge holds units is not free: it may neither be taken into use again
 * nor be unmapped.
 */
enum { REVIVE, UNMAP, EMPTY };

static void empty_extent_while_purging(int what)
{
	struct blocks run = { .size = 100000, .n = what == EMPTY ? 3 : 1, .seed = 1 };
	struct blocks next = { .size = 100000, .n = 12, .seed = 3 };
	uint64_t mapped;

	hazard_begin();
	set("superslab.retain", "64");
	purge(HAKMEM_PURGE_ALL);
	CHECK(counter("extent.live") == 0);
	blocks_take(&run);
	CHECK(counter("extent.live") == 1);
	actor_start(&purger);
	if (what == EMPTY) {
		/* the rest of it empties while the purge holds this */
		blocks_give_some(&run, 0, 2);
		purge(HAKMEM_PURGE_CACHE);
	} else {
		blocks_give(&run);
	}
	actor_hold(&purger, "purge.before_madvise.extent", purge_dirty, NULL);
	if (what == EMPTY)
		in_thread(give_all, &run);
	if (what == UNMAP) {
		/* no other extent either: what is taken next is mapped, perhaps at this address */
		set("superslab.retain", "0");
		set("superslab.retain", "64");
	}
	if (what == EMPTY) {
		actor_release(&purger);
		CHECK(counter("extent.live") == 0 && counter("superslab.free") == 1);
		blocks_take(&next);
	} else {
		mapped = counter("mem.mapped");
		blocks_take(&next);
		CHECK(counter("mem.mapped") == mapped + 2 * MIB, "%lu mapped more",
		      counter("mem.mapped") - mapped);
		actor_release(&purger);
	}
	blocks_check(&next);
	blocks_give(&next);
	check_books();
	purge(HAKMEM_PURGE_ALL);
	CHECK(counter("extent.live") == 0 && counter("superslab.free") == 0);
	check_books();
}

static void revived_while_purging(void)
{
	empty_extent_while_purging(REVIVE);
}

static void unmapped_while_purging(void)
{
	empty_extent_while_purging(UNMAP);
}

static void emptied_while_purging(void)
{
	empty_extent_while_purging(EMPTY);
}

static void give_middle(void *arg)
{
	blocks_give_some(arg, 60, 128);
}

/* The owner gives pages of its own slabs back while other threads free blocks of those slabs. */
static void blocks_while_trimming(void)
{
	struct blocks b = { .size = 500, .n = 256, .seed = 1 };
	struct blocks c = { .size = 500, .n = 200, .seed = 2 };

	hazard_begin();
	for (int round = 0; round < 4; round++) {
		const char *stop = round & 1 ? "holes.dropped" : "purge.before_madvise.holes";

		actor_start(&purger);
		actor_start(&third);
		actor_do(&purger, blocks_take, &b);
		blocks_give_some(&b, 2, 60);
		blocks_give_some(&b, 130, 250);
		purge(HAKMEM_PURGE_CACHE);
		actor_hold(&purger, stop, purge_dirty, NULL);
		in_thread(give_middle, &b);
		actor_do(&third, blocks_take, &c);
		actor_release(&purger);
		blocks_check(&c);
		blocks_check(&b);
		actor_do(&purger, blocks_give, &b);
		actor_do(&purger, blocks_take, &b);
		blocks_check(&c);
		blocks_give(&b);
		blocks_give(&c);
		actor_end(&purger);
		actor_end(&third);
		check_books();
	}
}

/* ---- addresses that have another owner by now ---- */

static char *gone;
static size_t gone_bytes;

/* Frees `gone` so that its mapping goes. */
static void let_go(void *arg)
{
	free(launder(gone));
	purge(*(int *)arg);
}

/* All that lies there is foreign: no pointer into it is taken for a block. */
static void is_foreign(char *p, size_t bytes)
{
	uint64_t bad = counter("free.bad"), n = 0;
	char text[4096];
	int err = memfd_create("err", 0), was = dup(2);

	CHECK(err >= 0 && was >= 0 && dup2(err, 2) == 2);
	for (size_t at = 0; at < bytes; at += 65536) {
		CHECK(malloc_usable_size(launder(p + at)) == 0);
		CHECK(malloc_usable_size(launder(p + at + 4096)) == 0);
		free(launder(p + at));
		free(launder(p + at + 4096));
		n += 2;
	}
	CHECK(dup2(was, 2) == 2);
	close(was);
	CHECK(counter("free.bad") == bad + n, "%lu of %lu", counter("free.bad") - bad, n);
	memset(text, 0, sizeof(text));
	for (off_t at = 0; pread(err, text, sizeof(text) - 1, at) > 0; at += strlen(text)) {
		char *end = strrchr(text, '\n');

		CHECK(end);
		end[1] = '\0';
		for (char *line = text; *line; line = strchr(line, '\n') + 1)
			CHECK(strstr(line, "not ours") &&
				      strstr(line, "not ours") < strchr(line, '\n'),
			      "%s", line);
	}
	close(err);
}

static void take_gone(void *arg)
{
	size_t size = *(size_t *)arg;

	gone = launder(malloc(opaque(size)));
	CHECK(gone);
	memset(gone, 1, size);
}

static void address_is_reused(const char *stop, size_t size, const char *tunable, const char *value,
			      enum hakmem_purge_level level)
{
	int arg = (int)level;
	char *theirs;

	hazard_begin();
	set("check.free", "report");
	free(launder(malloc(16)));
	if (tunable)
		set(tunable, value);
	purge(HAKMEM_PURGE_ALL);
	/* alone in its extent, or a mapping of its own */
	actor_start(&purger);
	actor_do(&purger, take_gone, &size);
	gone_bytes = size < MIB ? 65536 : malloc_usable_size(gone);
	gone = (char *)((uintptr_t)gone & ~(uintptr_t)(gone_bytes < MIB ? 65535 : 0));
	actor_hold(&purger, stop, let_go, &arg);
	theirs = mmap(gone, gone_bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(theirs == gone, "mmap: %s", strerror(errno));
	fill(theirs, gone_bytes, 11);
	is_foreign(theirs, gone_bytes);
	actor_release(&purger);
	is_foreign(theirs, gone_bytes);
	churn(NULL);
	is_foreign(theirs, gone_bytes);
	check_block(theirs, gone_bytes, 11);
	munmap(theirs, gone_bytes);
	churn(NULL);
	actor_end(&purger);
	purge(HAKMEM_PURGE_ALL);
	check_books();
}

static void whale_is_unmapped(void)
{
	address_is_reused("map.after_munmap.whale", 3 * MIB, "whale.ring_slots", "0",
			  HAKMEM_PURGE_CACHE);
}

static void ring_is_unmapped(void)
{
	address_is_reused("map.after_munmap.whale", 3 * MIB, NULL, NULL, HAKMEM_PURGE_ALL);
}

static void extent_is_unmapped(void)
{
	address_is_reused("map.after_munmap.extent", 500000, "superslab.retain", "0",
			  HAKMEM_PURGE_CACHE);
}

static void free_extent_is_unmapped(void)
{
	address_is_reused("map.after_munmap.extent", 500000, NULL, NULL, HAKMEM_PURGE_ALL);
}

static void slab_is_unmapped(void)
{
	address_is_reused("map.after_munmap.slab", 16384, "superslab.enable", "off",
			  HAKMEM_PURGE_CACHE);
}

static void *moved;

static void move(void *arg)
{
	(void)arg;
	moved = launder(realloc(launder(gone), 9 * MIB));
}

static void whale_is_moved(void)
{
	char *theirs, *wall;

	hazard_begin();
	set("check.free", "report");
	free(launder(malloc(16)));
	gone = launder(malloc(opaque(3 * MIB)));
	gone_bytes = malloc_usable_size(gone);
	fill(gone, gone_bytes, 12);
	wall = mmap(gone + gone_bytes, 4096, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	actor_start(&purger);
	actor_hold(&purger, "map.after_mremap", move, NULL);
	theirs = mmap(gone, gone_bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(theirs == gone, "mmap: %s", strerror(errno));
	fill(theirs, gone_bytes, 11);
	is_foreign(theirs, gone_bytes);
	actor_release(&purger);
	is_foreign(theirs, gone_bytes);
	CHECK(moved && moved != gone);
	check_block(moved, gone_bytes, 12);
	check_block(theirs, gone_bytes, 11);
	munmap(theirs, gone_bytes);
	if (wall != MAP_FAILED)
		munmap(wall, 4096);
	free(moved);
	churn(NULL);
	check_books();
}

/* ---- the lazy table ---- */

/*
 * Returns true if [p, p + bytes) and a published range overlap; *ret_torn: the table is being
 * written.
 */
static int published(const void *p, size_t bytes, int *ret_torn)
{
	struct hak_lazy_table t;
	uint64_t from = (uintptr_t)p, to = from + bytes;

	peer_read(&self, &t, sizeof(t), self.h.lazy_off);
	*ret_torn = (int)(t.seq & 1);
	for (unsigned int i = 0; i < t.count && i < HAK_LAZY_RANGES; i++)
		if (t.range[i].addr < to && from < t.range[i].addr + t.range[i].bytes)
			return 1;
	return 0;
}

/* Attaches a controller that pages out; freed whales go to the kernel lazily, at once. */
static void attach(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = HAK_LOCK_PAGEOUT, .l_len = 1 };

	hazard_begin();
	peer_open(&self, getpid());
	CHECK(fcntl(self.tune_fd, F_OFD_SETLK, &l) == 0);
	set("region.free_force", "on");
	set("region.evict_bytes", "0");
	for (int i = 0; i < 2; i++) {
		atomic_fetch_add(&stops->clock_ms, 1000);
		peer_wake(&self);
		poke();
	}
	purge(HAKMEM_PURGE_ALL);
}

static void take_one(void *arg)
{
	struct blocks *b = arg;

	b->p[0] = launder(malloc(opaque(b->size)));
}

static void give_one(void *arg)
{
	struct blocks *b = arg;

	free(b->p[0]);
}

/*
 * A whale leaves the region cache: before its taker has it, its range is out of the table, whole or
 * in part.
 */
static void unpublished_before_get(size_t have, size_t want)
{
	struct blocks b = { .size = have, .n = 1 };
	uint64_t hits;
	int torn;

	actor_start(&third);
	/* the thread obeys the earlier request to all threads; then the region cache is emptied */
	actor_do(&third, churn, NULL);
	set("whale.ring_slots", "0");
	set("whale.ring_slots", "64");
	take_one(&b);
	memset(b.p[0], 1, have);
	give_one(&b);
	CHECK(published(b.p[0], want, &torn) && !torn, "not lazily freed");
	b.size = want;
	hits = counter("whale.hits");
	actor_hold(&third, "rcache.got", take_one, &b);
	CHECK(!published(b.p[0], want, &torn) && !torn);
	actor_release(&third);
	CHECK(counter("whale.hits") == hits + 1);
	CHECK(!published(b.p[0], want, &torn) && !torn);
	fill(b.p[0], want, 4);
	check_block(b.p[0], want, 4);
	free(b.p[0]);
	actor_end(&third);
	purge(HAKMEM_PURGE_ALL);
}

static void lazy_and_get(void)
{
	attach();
	unpublished_before_get(4 * MIB, 4 * MIB);
	/* only the first part is handed out */
	unpublished_before_get(9 * MIB, 2 * MIB);
}

/* While the table is written its number is odd, and readers wait. */
static void lazy_is_torn(void)
{
	static const char *const stop[] = { "lazy.adding", "lazy.added", "lazy.removing" };
	struct blocks b = { .size = 4 * MIB, .n = 1 };
	int torn;

	attach();
	actor_start(&third);
	for (int i = 0; i < 3; i++) {
		take_one(&b);
		memset(b.p[0], 1, b.size);
		if (i == 2)
			give_one(&b);
		actor_hold(&third, stop[i], i == 2 ? take_one : give_one, &b);
		published(b.p[0], b.size, &torn);
		CHECK(torn == (i != 1), "%s", stop[i]);
		actor_release(&third);
		CHECK(published(b.p[0], b.size, &torn) == (i != 2) && !torn);
		if (i == 2)
			give_one(&b);
		purge(HAKMEM_PURGE_ALL);
	}
	actor_end(&third);
}

static const struct tcase cases[] = {
	{ "whales_while_evicting_11", whales_while_evicting, 60, QUIET, stops_prepare },
	{ "whales_while_resizing_11", whales_while_resizing, 60, QUIET, stops_prepare },
	{ "front_while_dropped_11", front_while_dropped, 60, QUIET, stops_prepare },
	{ "front_while_taken_11", front_while_taken, 60, QUIET, stops_prepare },
	{ "new_thread_obeys_nothing", new_thread_obeys_nothing, 60, QUIET, stops_prepare },
	{ "blocks_while_purging_11", blocks_while_purging, 60, QUIET, stops_prepare },
	{ "blocks_while_trimming_11", blocks_while_trimming, 60, QUIET, stops_prepare },
	{ "revived_while_purging_11", revived_while_purging, 60, QUIET, stops_prepare },
	{ "unmapped_while_purging_11", unmapped_while_purging, 60, QUIET, stops_prepare },
	{ "emptied_while_purging_11", emptied_while_purging, 60, QUIET, stops_prepare },
	{ "whale_is_unmapped_12", whale_is_unmapped, 60, QUIET, stops_prepare },
	{ "ring_is_unmapped_12", ring_is_unmapped, 60, QUIET, stops_prepare },
	{ "extent_is_unmapped_12", extent_is_unmapped, 60, QUIET, stops_prepare },
	{ "free_extent_is_unmapped_12", free_extent_is_unmapped, 60, QUIET, stops_prepare },
	{ "slab_is_unmapped_12", slab_is_unmapped, 60, QUIET, stops_prepare },
	{ "whale_is_moved_12", whale_is_moved, 60, QUIET, stops_prepare },
	{ "lazy_and_get_36", lazy_and_get, 60, QUIET, stops_prepare },
	{ "lazy_is_torn_36", lazy_is_torn, 60, QUIET, stops_prepare },
};

HAZARD_MAIN(cases)
