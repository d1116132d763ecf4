/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl trace --map, see trace.h: writes one SVG file without scripts or external parts. The
 * upper part shows what was given back and taken again over time. The lower part has a bar for each
 * area of the address space. A bar consists of columns, which are filled from below by the share of
 * their pages in each state. States differ by pattern as well as by colour, so that the picture can
 * be read without colours.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/grow.h"
#include "control/reader.h"
#include "hakmemctl/svg.h"
#include "hakmemctl/trace/trace.h"

enum state { RESIDENT, REFILLED, LAZY, GIVEN, UNKNOWN, EMPTY, STATES };

#define WIDTH	      960
#define MARGIN	      20
#define BAR_MOST      620 /* length of the largest area; others by the logarithm of their size */
#define BAR_LEAST     40
#define BAR_HEIGHT    26
#define ROW_HEIGHT    38
#define COLUMN_WIDTH  4
#define AREAS_SHOWN   40
#define SAMPLED_PAGES 512 /* the pages of one column that are read from pagemap at once */

#define OUTLINE "stroke=\"#000\""

#define VM_ACCESS 7 /* VM_READ, VM_WRITE, VM_EXEC */

/* A sequence of adjacent regions, and of addresses that were regions. */
struct area {
	uint64_t start, end;
	bool accessible;
	const struct hak_vma *largest;	/* NULL: unmapped meanwhile */
	uint64_t pages[STATES], active; /* active: pages given back or taken again */
};

struct column {
	double share[STATES];
};

struct picture {
	FILE *to;
	struct trace *t;
	const struct trace_process *p;
	struct hak_vma *now;
	size_t now_n;
	struct area *area;
	size_t areas, room;
	int pagemap;
	uint32_t page_shift;
};

static const struct {
	const char *id, *label;
} states[STATES] = {
	{ "resident", "resident" },
	{ "refilled", "given back and taken again" },
	{ "lazy", "freed lazily, still there" },
	{ "given", "given back" },
	{ "unknown", "not known, since it ended" },
	{ "empty", "no page" },
};

static const char patterns[] =
	"<pattern id='resident' width='4' height='4' patternUnits='userSpaceOnUse'>"
	"<rect width='4' height='4' fill='#3b4a6b'/></pattern>\n"
	"<pattern id='refilled' width='6' height='6' patternUnits='userSpaceOnUse'>"
	"<rect width='6' height='6' fill='#e58a1f'/>"
	"<path d='M0 0L6 6M6 0L0 6' stroke='#000' stroke-width='1'/></pattern>\n"
	"<pattern id='lazy' width='5' height='5' patternUnits='userSpaceOnUse'>"
	"<rect width='5' height='5' fill='#cfe3cf'/>"
	"<circle cx='2.5' cy='2.5' r='1.3' fill='#1f5f2f'/></pattern>\n"
	"<pattern id='given' width='6' height='6' patternUnits='userSpaceOnUse'>"
	"<rect width='6' height='6' fill='#dfe9f7'/>"
	"<path d='M0 6L6 0' stroke='#4a6fa5' stroke-width='1'/></pattern>\n"
	"<pattern id='unknown' width='8' height='8' patternUnits='userSpaceOnUse'>"
	"<rect width='8' height='8' fill='#f2f2f2'/>"
	"<circle cx='4' cy='4' r='.7' fill='#777'/></pattern>\n"
	"<pattern id='empty' width='4' height='4' patternUnits='userSpaceOnUse'>"
	"<rect width='4' height='4' fill='#fff'/></pattern>\n";

/* -- areas ------------------------------------------------------------------------------------- */
static int add_area(struct picture *pic, uint64_t start, uint64_t end, const struct hak_vma *vma)
{
	struct area *grown = hak_grow(pic->area, pic->areas, &pic->room, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	pic->area = grown;
	pic->area[pic->areas++] = (struct area){
		.start = start,
		.end = end,
		.largest = vma,
		.accessible = vma && vma->flags & VM_ACCESS,
	};
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct area *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static uint64_t bytes_of(const struct hak_vma *v)
{
	return v ? v->end - v->start : 0;
}

/* Joins areas that overlap, and areas of one kind that are adjacent. */
static void join_areas(struct picture *pic)
{
	struct area *last = NULL;
	size_t n = 0;

	if (pic->areas)
		qsort(pic->area, pic->areas, sizeof(pic->area[0]), by_start);
	for (size_t i = 0; i < pic->areas; i++) {
		struct area *a = &pic->area[i];

		if (last && (a->start < last->end ||
			     (a->start == last->end && a->accessible == last->accessible))) {
			last->end = a->end > last->end ? a->end : last->end;
			last->accessible = last->accessible || a->accessible;
			if (bytes_of(a->largest) > bytes_of(last->largest))
				last->largest = a->largest;
			continue;
		}
		last = &pic->area[n];
		pic->area[n++] = *a;
	}
	pic->areas = n;
}

/* -- pages ------------------------------------------------------------------------------------- */
/* Reads from pagemap whether a page is present. False if that cannot be read, as for a process that
 * has ended. */
static bool read_present(const struct picture *pic, uint64_t start, size_t pages, bool *present)
{
	uint64_t entry[SAMPLED_PAGES];
	ssize_t n;

	memset(present, 0, pages);
	n = hak_reader_at(pic->pagemap, entry, pages * sizeof(entry[0]),
			  (start >> pic->page_shift) * sizeof(entry[0]));
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(entry[0]); i++)
		present[i] = entry[i] >> 63;
	return n > 0;
}

static enum state state_of(const struct hak_block *block, unsigned page, bool known, bool present)
{
	uint64_t bit = 1ull << (page % 64);
	unsigned w = page / 64;

	if (block->given[w] & bit)
		return block->lazy[w] & bit && present ? LAZY : GIVEN;
	if (block->again[w] & bit)
		return REFILLED;
	if (!known)
		return UNKNOWN;
	return present ? RESIDENT : EMPTY;
}

/* Reads the pages of one column, or of its beginning if there are many. */
static void read_column(const struct picture *pic, struct area *a, uint64_t start, uint64_t pages,
			struct column *ret)
{
	size_t sample = pages < SAMPLED_PAGES ? (size_t)pages : SAMPLED_PAGES;
	uint64_t count[STATES] = { 0 }, at = UINT64_MAX;
	bool present[SAMPLED_PAGES] = { false }, known = true;
	struct hak_block block = { 0 };

	if (a->accessible)
		known = read_present(pic, start, sample, present);
	for (size_t i = 0; i < sample; i++) {
		uint64_t address = start + ((uint64_t)i << pic->page_shift);
		unsigned page = (unsigned)(address & ((1u << HAK_BLOCK_SHIFT) - 1)) >>
				pic->page_shift;

		if (address >> HAK_BLOCK_SHIFT != at) {
			at = address >> HAK_BLOCK_SHIFT;
			hak_session_block(pic->t->session, pic->p->owner, at, &block);
		}
		count[state_of(&block, page, known, present[i])]++;
	}
	for (int s = 0; s < STATES; s++) {
		ret->share[s] = (double)count[s] / (double)sample;
		a->pages[s] += (uint64_t)(ret->share[s] * (double)pages + 0.5);
	}
	a->active = a->pages[REFILLED] + a->pages[LAZY] + a->pages[GIVEN];
}

/* -- drawing ----------------------------------------------------------------------------------- */
static int log2_of(uint64_t v)
{
	return v ? 63 - __builtin_clzll(v) : 0;
}

static int columns_of(const struct picture *pic, const struct area *a, int most)
{
	uint64_t pages = (a->end - a->start) >> pic->page_shift;
	int size = log2_of(pages), pixels;

	pixels = BAR_LEAST + (most ? (BAR_MOST - BAR_LEAST) * size / most : 0);
	return (uint64_t)pixels / COLUMN_WIDTH < pages ? pixels / COLUMN_WIDTH
						       : (int)(pages ? pages : 1);
}

static const char *name_of(const struct picture *pic, const struct area *a)
{
	static const char *const words[] = { "anonymous", "heap", "stack", "" };

	if (!a->largest)
		return pic->pagemap < 0 ? "not known" : "unmapped";
	return a->largest->kind == HAK_VMA_FILE ? a->largest->name : words[a->largest->kind % 4];
}

static void draw_label(const struct picture *pic, const struct area *a, int y)
{
	char size[HAK_VALUE_TEXT], title[256];
	size_t n;

	hak_bytes_format(a->end - a->start, size);
	svg_text(pic->to, MARGIN, y + 12, NULL, "%012" PRIx64, a->start);
	svg_text(pic->to, MARGIN, y + 25, "small", "%s %s", size, name_of(pic, a));
	n = (size_t)snprintf(title, sizeof(title), "%012" PRIx64 " to %012" PRIx64, a->start,
			     a->end);
	for (int s = 0; s < EMPTY && n < sizeof(title); s++) {
		hak_bytes_format(a->pages[s] << pic->page_shift, size);
		n += (size_t)snprintf(title + n, sizeof(title) - n, "; %s: %s", states[s].label,
				      size);
	}
	svg_title(pic->to, "%s", title);
}

static void draw_part(const struct picture *pic, const struct svg_box *box, enum state state,
		      const char *more)
{
	char fill[32];

	snprintf(fill, sizeof(fill), "url(#%s)", states[state].id);
	svg_rect(pic->to, box, fill, more);
}

/* Neighbours that look the same become one rectangle. */
static void draw_bar(const struct picture *pic, struct column *column, int n, int x, int y)
{
	for (int i = 0; i < n;) {
		int same = 1;
		double from = 0;

		while (i + same < n &&
		       memcmp(&column[i], &column[i + same], sizeof(column[0])) == 0)
			same++;
		for (int s = 0; s < EMPTY; s++) {
			double height = column[i].share[s] * BAR_HEIGHT;
			struct svg_box part = { x + i * COLUMN_WIDTH,
						y + BAR_HEIGHT - from - height, same * COLUMN_WIDTH,
						height };

			if (height == 0)
				continue;
			from += height;
			draw_part(pic, &part, s, NULL);
		}
		i += same;
	}
	svg_rect(pic->to, &(struct svg_box){ x, y, n * COLUMN_WIDTH, BAR_HEIGHT }, "none", OUTLINE);
}

static int by_interest(const void *a, const void *b)
{
	const struct area *x = a, *y = b;

	if (x->active != y->active)
		return x->active < y->active ? 1 : -1;
	if (x->pages[RESIDENT] != y->pages[RESIDENT])
		return x->pages[RESIDENT] < y->pages[RESIDENT] ? 1 : -1;
	return by_start(a, b);
}

static int read_areas(struct picture *pic, struct column **columns, int most)
{
	int all = BAR_MOST / COLUMN_WIDTH + 1;

	*columns = calloc((size_t)all, sizeof(**columns));
	if (!*columns)
		return -ENOMEM;
	for (size_t i = 0; i < pic->areas; i++) {
		struct area *a = &pic->area[i];
		uint64_t pages = (a->end - a->start) >> pic->page_shift;
		int n = columns_of(pic, a, most);

		for (int c = 0; c < n; c++) {
			uint64_t first = pages * (uint64_t)c / (uint64_t)n;
			uint64_t last = pages * (uint64_t)(c + 1) / (uint64_t)n;

			read_column(pic, a, a->start + (first << pic->page_shift),
				    last > first ? last - first : 1, &(*columns)[c]);
		}
	}
	return 0;
}

static void draw_area(struct picture *pic, struct area *a, struct column *columns, int most, int y)
{
	uint64_t pages = (a->end - a->start) >> pic->page_shift;
	struct area again = *a;
	int n = columns_of(pic, a, most);

	for (int c = 0; c < n; c++) {
		uint64_t first = pages * (uint64_t)c / (uint64_t)n;
		uint64_t last = pages * (uint64_t)(c + 1) / (uint64_t)n;

		read_column(pic, &again, a->start + (first << pic->page_shift),
			    last > first ? last - first : 1, &columns[c]);
	}
	svg_group(pic->to);
	draw_label(pic, a, y);
	draw_bar(pic, columns, n, WIDTH - MARGIN - BAR_MOST, y);
	svg_group_end(pic->to);
}

/* Draws two rows of strokes on one scale of time: given back downwards, taken again upwards. */
static void draw_times(const struct picture *pic, int y)
{
	const struct trace *t = pic->t;
	uint64_t most = 1, span = t->stopped_ns - t->started_ns;
	char text[HAK_VALUE_TEXT];

	for (size_t i = 1; i < t->moments; i++) {
		uint64_t given = t->moment[i].given - t->moment[i - 1].given;
		uint64_t again = t->moment[i].refilled - t->moment[i - 1].refilled;

		most = given > most ? given : most;
		most = again > most ? again : most;
	}
	svg_text(pic->to, MARGIN, y + 22, NULL, "over time");
	for (size_t i = 1; i < t->moments && span; i++) {
		double x = WIDTH - MARGIN - BAR_MOST +
			   (double)BAR_MOST * (double)(t->moment[i - 1].ns - t->started_ns) /
				   (double)span;
		double width = (double)BAR_MOST * (double)(t->moment[i].ns - t->moment[i - 1].ns) /
			       (double)span;
		double given =
			30.0 * (double)(t->moment[i].given - t->moment[i - 1].given) / (double)most;
		double again = 30.0 * (double)(t->moment[i].refilled - t->moment[i - 1].refilled) /
			       (double)most;

		if (again > 0)
			draw_part(pic, &(struct svg_box){ x, y + 32 - again, width, again },
				  REFILLED, NULL);
		if (given > 0)
			draw_part(pic, &(struct svg_box){ x, y + 34, width, given }, GIVEN,
				  "stroke=\"#4a6fa5\" stroke-width=\".3\"");
	}
	svg_line(pic->to, WIDTH - MARGIN - BAR_MOST, y + 33, BAR_MOST);
	hak_ns_format(span, text);
	svg_text(pic->to, WIDTH - MARGIN - BAR_MOST, y + 76, "small",
		 "up: taken again; down: given back; across: %s", text);
}

static void draw_legend(const struct picture *pic, int y)
{
	int x = MARGIN;

	for (int s = 0; s < STATES; s++) {
		if (pic->pagemap < 0 ? s == RESIDENT || s == LAZY : s == UNKNOWN)
			continue;
		draw_part(pic, &(struct svg_box){ x, y, 24, 14 }, s, OUTLINE);
		svg_text(pic->to, x + 30, y + 12, NULL, "%s", states[s].label);
		x += 50 + 8 * (int)strlen(states[s].label);
	}
}

static int draw(struct picture *pic)
{
	struct column *columns = NULL;
	int most = 0, r, y = 200, height;
	size_t shown;

	for (size_t i = 0; i < pic->areas; i++) {
		int size = log2_of((pic->area[i].end - pic->area[i].start) >> pic->page_shift);

		most = size > most ? size : most;
	}
	r = read_areas(pic, &columns, most);
	if (r < 0)
		return r;
	if (pic->areas)
		qsort(pic->area, pic->areas, sizeof(pic->area[0]), by_interest);
	shown = pic->areas < AREAS_SHOWN ? pic->areas : AREAS_SHOWN;
	if (shown)
		qsort(pic->area, shown, sizeof(pic->area[0]), by_start);
	height = y + (int)shown * ROW_HEIGHT + 40;
	svg_begin(pic->to, WIDTH, height, patterns);
	svg_text(pic->to, MARGIN, 32, "title", "Address space of %d %s%s", (int)pic->p->pid,
		 pic->p->comm, pic->p->ended ? ", which ended" : "");
	draw_legend(pic, 48);
	draw_times(pic, 84);
	for (size_t i = 0; i < shown; i++, y += ROW_HEIGHT)
		draw_area(pic, &pic->area[i], columns, most, y);
	if (pic->areas > shown)
		svg_text(pic->to, MARGIN, y + 14, "small",
			 "and %zu more areas, in which less happened", pic->areas - shown);
	svg_end(pic->to);
	free(columns);
	return 0;
}

/* Collects ranges of whole blocks in which memory was given back or taken again, also if nothing is
 * mapped there any more. */
struct gather {
	struct picture *pic;
	int error;
};

static void add_block(const struct hak_block_key *key, const struct hak_block *block, void *arg)
{
	struct gather *g = arg;
	uint64_t base = key->block << HAK_BLOCK_SHIFT;

	if (key->owner != g->pic->p->owner)
		return;
	for (unsigned page = 0; page < 1u << (HAK_BLOCK_SHIFT - g->pic->page_shift);) {
		unsigned from = page;

		while (page < 512 &&
		       (block->given[page / 64] | block->again[page / 64]) >> (page % 64) & 1)
			page++;
		if (page == from) {
			page++;
			continue;
		}
		if (add_area(g->pic, base + ((uint64_t)from << g->pic->page_shift),
			     base + ((uint64_t)page << g->pic->page_shift), NULL) < 0)
			g->error = -ENOMEM;
	}
}

static int gather_areas(struct picture *pic)
{
	struct gather g = { .pic = pic };
	int r = 0;

	for (size_t i = 0; r == 0 && i < pic->now_n; i++)
		r = add_area(pic, pic->now[i].start, pic->now[i].end, &pic->now[i]);
	hak_session_each_block(pic->t->session, add_block, &g);
	join_areas(pic);
	return r ? r : g.error;
}

/* The process with most activity. */
static const struct trace_process *choose(struct trace *t)
{
	const struct trace_process *best = NULL;
	uint64_t most = 0;

	for (size_t i = 0; i < t->processes; i++) {
		struct hak_space_owner o;

		hak_space_read_owner(t->session, t->process[i].owner, &o);
		if (!best || o.given > most)
			best = &t->process[i], most = o.given;
	}
	return best;
}

int trace_map(struct trace *t, FILE *to)
{
	struct picture pic = { .to = to, .t = t, .p = choose(t), .pagemap = -1 };
	char pagemap[32];
	int r;

	if (!pic.p)
		return -ESRCH;
	pic.page_shift = t->session->filter.page_shift;
	pic.now = pic.p->after;
	pic.now_n = pic.p->after_n;
	snprintf(pagemap, sizeof(pagemap), "/proc/%d/pagemap", (int)pic.p->pid);
	if (!pic.p->ended)
		pic.pagemap = hak_reader_open(-1, pagemap, O_RDONLY);
	r = gather_areas(&pic);
	if (r == 0)
		r = draw(&pic);
	if (pic.pagemap >= 0)
		close(pic.pagemap);
	free(pic.area);
	return r;
}
