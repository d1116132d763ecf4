/* SPDX-License-Identifier: MIT */
/*
 * The document of a trace, see trace.h. Every figure that is shown is computed here, once.
 *
 * Bytes given back are those of the ranges of calls, whether or not these ranges had pages. Bytes
 * freed are pages that the kernel gained from these calls. Bytes refilled are pages. Measured and
 * estimated figures have keys of their own, and are added only in "cost".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/grow.h"
#include "hakmemctl/trace/trace.h"

struct figures {
	struct trace *t;
	struct hak_space_totals space;
	struct hak_fault_totals fault;
	struct hak_flush_totals flush;
	struct ctl_prices prices;
	uint64_t given, given_calls, freed, call_ns;
	uint64_t refilled, late, fault_ns, faults, untimed;
	__u64 distance[HAK_HISTOGRAM_SLOTS]; /* pages */
};

static void collect(struct figures *f, struct trace *t)
{
	*f = (struct figures){ .t = t };
	hak_space_read(t->session, &f->space);
	hak_fault_read(t->session, &f->fault);
	hak_flush_read(t->session, &f->flush);
	ctl_prices(&f->prices);
	for (int i = 0; i < HAK_CALLS; i++) {
		f->given += f->space.call[i].given;
		f->freed += f->space.call[i].freed;
		f->call_ns += f->space.call[i].ns;
	}
	for (int i = 0; i < HAK_HISTOGRAM_SLOTS; i++) {
		f->given_calls += f->space.size_slots[i];
		f->distance[i] = f->fault.distance_slots[i] + f->space.populated_slots[i];
	}
	for (int i = 0; i < HAK_FAULTS; i++) {
		f->fault_ns += f->fault.ns[i];
		f->faults += f->fault.faults[i];
		f->untimed += f->fault.faults[i] - f->fault.timed[i];
	}
	f->refilled = f->fault.refilled + f->space.populated;
	f->late = f->fault.refilled_late + f->space.populated_late;
}

/* -- pieces ------------------------------------------------------------------------------------ */
static struct json_object *child(struct json_object *o, const char *key)
{
	struct json_object *c = json_object_new_object();

	json_object_object_add(o, key, c);
	return c;
}

static struct json_object *list(struct json_object *o, const char *key)
{
	struct json_object *c = json_object_new_array();

	json_object_object_add(o, key, c);
	return c;
}

/* Writes the slots that are not empty: a slot begins at 2^slot, the first one at 0. */
static void histogram(struct json_object *o, const char *key, const __u64 *slots, uint64_t unit)
{
	struct json_object *rows = list(o, key);

	for (int i = 0; i < HAK_HISTOGRAM_SLOTS; i++) {
		struct json_object *row;

		if (!slots[i])
			continue;
		row = json_object_new_object();
		hak_json_number(row, "from", i ? 1ull << i : 0);
		hak_json_number(row, "to", 2ull << i);
		hak_json_number(row, "count", slots[i] * unit);
		json_object_array_add(rows, row);
	}
}

static void returns_json(struct json_object *o, const struct figures *f)
{
	uint64_t page = 1ull << f->t->session->filter.page_shift;
	struct json_object *c = child(o, "given_back");
	uint64_t again = f->refilled + f->late, back = f->given;
	uint64_t fresh = f->fault.refilled_fresh + f->space.populated;
	bool known = f->t->session->knows_freed, whole;

	/* Relative to memory where that is known, because ranges may have had no pages. */
	if (known)
		back = f->freed + f->space.given_lazy;
	/* More was taken again than calls are known to have freed, so some calls freed memory
	 * unseen. */
	whole = fresh <= back;

	hak_json_number(c, "bytes", f->given);
	hak_json_number(c, "calls", f->given_calls);
	if (known)
		hak_json_number(c, "freed_bytes", f->freed);
	else
		hak_json_null(c, "freed_bytes");
	hak_json_number(c, "lazy_bytes", f->space.given_lazy);
	histogram(c, "sizes", f->space.size_slots, 1);

	c = child(o, "refilled");
	hak_json_number(c, "bytes", f->refilled);
	hak_json_part(c, "ratio", f->refilled, f->given);
	if (known && whole)
		hak_json_part(c, "ratio_of_memory", fresh, back);
	else
		hak_json_null(c, "ratio_of_memory");
	hak_json_number(c, "fresh_bytes", fresh);
	hak_json_number(c, "late_bytes", f->late);
	if (whole)
		hak_json_number(c, "never_bytes", back > again ? back - again : 0);
	else
		hak_json_null(c, "never_bytes");
	hak_json_number(c, "by_call_bytes", f->space.populated);
	hak_json_number(c, "lazy_bytes", f->fault.refilled_lazy);
	/* The use of a page that MADV_FREE gave back and the kernel did not take causes no
	 * event. */
	hak_json_bool(c, "lower_bound", f->space.given_lazy > 0);
	histogram(c, "distance_ns", f->distance, page);

	c = child(o, "address_reuse");
	hak_json_number(c, "maps", f->space.maps);
	hak_json_number(c, "exact", f->space.exact);
	hak_json_part(c, "exact_ratio", f->space.exact, f->space.maps);
	hak_json_number(c, "exact_bytes", f->space.exact_bytes);
	hak_json_number(c, "overlapping", f->space.overlapping);
	hak_json_number(c, "overlapping_bytes", f->space.overlapping_bytes);
	histogram(c, "exact_distance_ns", f->space.exact_slots, 1);
}

static void calls_json(struct json_object *o, const struct figures *f)
{
	struct json_object *rows = list(o, "calls");

	for (int i = 0; i < HAK_CALLS; i++) {
		const struct hak_call_totals *c = &f->space.call[i];
		struct json_object *row;

		if (!c->calls)
			continue;
		row = json_object_new_object();
		hak_json_text(row, "call", trace_call_word((enum hak_call)i));
		hak_json_number(row, "calls", c->calls);
		hak_json_number(row, "failed", c->failed);
		hak_json_number(row, "bytes", c->bytes);
		hak_json_number(row, "given_bytes", c->given);
		hak_json_number(row, "freed_bytes", c->freed);
		hak_json_number(row, "ns", c->ns);
		hak_json_number(row, "mean_ns", c->ns / c->calls);
		histogram(row, "duration_ns", c->ns_slots, 1);
		json_object_array_add(rows, row);
	}
}

static void faults_json(struct json_object *o, const struct figures *f)
{
	static const char *const words[] = { "minor", "huge page", "major" };
	struct json_object *rows = list(o, "faults");

	for (int i = 0; i < HAK_FAULTS; i++) {
		struct json_object *row = json_object_new_object();

		hak_json_text(row, "fault", words[i]);
		hak_json_number(row, "faults", f->fault.faults[i]);
		hak_json_number(row, "timed", f->fault.timed[i]);
		hak_json_number(row, "ns", f->fault.ns[i]);
		if (f->fault.timed[i])
			hak_json_number(row, "mean_ns", f->fault.ns[i] / f->fault.timed[i]);
		else
			hak_json_null(row, "mean_ns");
		histogram(row, "duration_ns", f->fault.ns_slots[i], 1);
		json_object_array_add(rows, row);
	}
	hak_json_number(o, "zeroed_bytes", f->fault.zeroed);
	hak_json_number(o, "zeroed_tables_bytes", f->fault.tables);
}

static void flush_json(struct json_object *o, const struct figures *f)
{
	struct json_object *c;

	if (!f->t->session->flush) {
		hak_json_null(o, "tlb");
		return;
	}
	c = child(o, "tlb");
	hak_json_number(c, "shootdowns", f->flush.sent);
	hak_json_number(c, "shootdown_pages", f->flush.sent_pages);
	hak_json_number(c, "shootdowns_of_all", f->flush.sent_all);
	hak_json_number(c, "interrupts", f->flush.received);
	hak_json_number(c, "local", f->flush.local);
}

static void cost_json(struct json_object *o, const struct figures *f)
{
	uint64_t untimed = f->untimed * f->prices.minor_fault_ns;
	uint64_t interrupts = f->flush.received * f->prices.shootdown_ns;
	uint64_t ns = f->t->stopped_ns - f->t->started_ns;
	struct json_object *c = child(o, "cost"), *m = child(c, "measured"),
			   *e = child(c, "estimated"), *p = child(c, "prices");

	hak_json_number(m, "calls_ns", f->call_ns);
	hak_json_number(m, "faults_ns", f->fault_ns);
	hak_json_number(m, "ns", f->call_ns + f->fault_ns);
	hak_json_number(e, "untimed_faults_ns", untimed);
	hak_json_number(e, "interrupts_ns", interrupts);
	hak_json_number(e, "ns", untimed + interrupts);
	hak_json_number(c, "ns", f->call_ns + f->fault_ns + untimed + interrupts);
	hak_json_part(c, "of_one_processor", f->call_ns + f->fault_ns + untimed + interrupts, ns);
	/* This is a part of the time of faults and calls, and not additional. */
	hak_json_number(c, "zeroing_within_ns_estimated",
			(uint64_t)((double)f->fault.zeroed / (1 << HAK_BLOCK_SHIFT) *
				   (double)f->prices.clear_block_ns));
	hak_json_number(p, "minor_fault_ns", f->prices.minor_fault_ns);
	hak_json_number(p, "clear_2m_ns", f->prices.clear_block_ns);
	hak_json_number(p, "shootdown_ns", f->prices.shootdown_ns);
}

/* -- processes --------------------------------------------------------------------------------- */
static void kept_json(struct json_object *o, const struct trace_kept *a, const struct trace_kept *b)
{
	struct json_object *c = child(o, "kept_reuse");
	uint64_t hits = b->hits - a->hits, misses = b->misses - a->misses;

	hak_json_number(c, "hits", hits);
	hak_json_number(c, "misses", misses);
	hak_json_part(c, "ratio", hits, hits + misses);
	hak_json_number(c, "evictions", b->evictions - a->evictions);
	hak_json_number(c, "evicted_bytes", b->evicted_bytes - a->evicted_bytes);
}

static void process_json(struct json_object *rows, const struct figures *f,
			 const struct trace_process *p)
{
	static const char *const born[] = { "running", "forked", "executed", "met" };
	struct hak_space_owner space;
	struct hak_fault_owner fault;
	struct json_object *o = json_object_new_object(), *v;

	hak_space_read_owner(f->t->session, p->owner, &space);
	hak_fault_read_owner(f->t->session, p->owner, &fault);
	hak_json_number(o, "pid", (uint64_t)p->pid);
	hak_json_text(o, "comm", p->comm);
	hak_json_text(o, "allocator", p->allocator[0] ? p->allocator : NULL);
	hak_json_text(o, "born", born[p->born]);
	hak_json_bool(o, "ended", p->ended);
	hak_json_number(o, "calls", space.calls);
	hak_json_number(o, "calls_ns", space.ns);
	hak_json_number(o, "given_bytes", space.given);
	hak_json_number(o, "freed_bytes", space.freed);
	hak_json_number(o, "faults", fault.faults);
	hak_json_number(o, "faults_ns", fault.ns);
	hak_json_number(o, "refilled_bytes", fault.refilled);
	v = child(o, "regions");
	hak_json_number(v, "first", p->vmas_first);
	hak_json_number(v, "last",
			p->vmas_last > space.vmas && !p->ended ? p->vmas_last : space.vmas);
	hak_json_number(v, "most",
			space.vmas_most > p->vmas_first ? space.vmas_most : p->vmas_first);
	if (p->on_hakmem)
		kept_json(o, &p->kept_first, &p->kept_last);
	else
		hak_json_null(o, "kept_reuse");
	json_object_array_add(rows, o);
}

static void processes_json(struct json_object *o, const struct figures *f)
{
	struct json_object *rows = list(o, "processes");
	struct trace_kept first = { 0 }, last = { 0 };
	bool kept = false;

	for (size_t i = 0; i < f->t->processes; i++) {
		const struct trace_process *p = &f->t->process[i];

		process_json(rows, f, p);
		if (!p->on_hakmem)
			continue;
		kept = true;
		first.hits += p->kept_first.hits, last.hits += p->kept_last.hits;
		first.misses += p->kept_first.misses, last.misses += p->kept_last.misses;
		first.evictions += p->kept_first.evictions;
		last.evictions += p->kept_last.evictions;
		first.evicted_bytes += p->kept_first.evicted_bytes;
		last.evicted_bytes += p->kept_last.evicted_bytes;
	}
	if (kept)
		kept_json(o, &first, &last);
	else
		hak_json_null(o, "kept_reuse");
	hak_json_number(o, "regions_changed", f->space.vmas_changed);
}

/* -- call sites -------------------------------------------------------------------------------- */
/* A row of the answer. Several keys may be one path, of several threads or processes. */
struct place {
	const struct trace_site *site; /* NULL: reported too late to be unwound */
	uint32_t call;
	uint64_t calls, bytes, freed, ns;
};

struct places {
	const struct figures *f;
	struct place *place;
	size_t n, room;
	uint64_t bytes, freed;
};

static const struct trace_site *site_of(const struct trace *t, const struct hak_site_key *key)
{
	for (size_t i = 0; i < t->sites; i++)
		if (memcmp(&t->site[i].key, key, sizeof(*key)) == 0)
			return &t->site[i];
	return NULL;
}

static bool same_path(const struct trace_site *a, const struct trace_site *b)
{
	if (!a || !b)
		return a == b;
	return a->frames && a->frames == b->frames && a->path == b->path;
}

static void add_place(const struct hak_site_key *key, const struct hak_site *site, void *arg)
{
	struct places *p = arg;
	const struct trace_site *from = site_of(p->f->t, key);
	struct place *at = NULL;

	for (size_t i = 0; !at && i < p->n; i++)
		if (p->place[i].call == key->call && same_path(p->place[i].site, from))
			at = &p->place[i];
	if (!at) {
		struct place *grown = hak_grow(p->place, p->n, &p->room, sizeof(*grown));

		if (!grown)
			return;
		p->place = grown;
		at = &p->place[p->n++];
		*at = (struct place){ .site = from, .call = key->call };
	}
	at->calls += site->calls;
	at->bytes += site->bytes;
	at->freed += site->freed;
	at->ns += site->ns;
	p->bytes += site->bytes;
	p->freed += site->freed;
}

static int by_bytes(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->freed != y->freed)
		return x->freed < y->freed ? 1 : -1;
	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static struct json_object *frame_json(const struct hak_symbols *symbols, uint64_t address)
{
	struct json_object *o = json_object_new_object();
	struct hak_symbol s = { .address = address, .offset = address };
	char id[2 * sizeof(s.build_id) + 1] = "", name[1024];

	if (symbols)
		hak_symbols_find(symbols, address, &s);
	if (s.plain)
		snprintf(name, sizeof(name), "%s", s.function);
	else if (s.function)
		hak_symbols_spell(s.function, name, sizeof(name));
	hak_json_number(o, "address", address);
	hak_json_text(o, "function", s.function ? name : NULL);
	hak_json_text(o, "symbol", s.function);
	hak_json_number(o, "offset", s.offset);
	hak_json_text(o, "module", s.module);
	hak_json_number(o, "module_offset", s.module_offset);
	for (size_t i = 0; i < s.build_id_bytes; i++)
		snprintf(id + 2 * i, 3, "%02x", s.build_id[i]);
	hak_json_text(o, "build_id", id[0] ? id : NULL);
	hak_json_text(o, "source", s.source);
	if (s.source)
		hak_json_number(o, "line", (uint64_t)s.line);
	else
		hak_json_null(o, "line");
	return o;
}

#define PLACES_SHOWN 10 /* in JSON; the text has the first few */

static void sites_json(struct json_object *o, const struct figures *f)
{
	struct json_object *rows = list(o, "sites");
	struct places p = { .f = f };

	hak_space_each_site(f->t->session, add_place, &p);
	if (p.n)
		qsort(p.place, p.n, sizeof(p.place[0]), by_bytes);
	hak_json_number(o, "sites_found", p.n);
	for (size_t i = 0; i < p.n && i < PLACES_SHOWN; i++) {
		struct json_object *row = json_object_new_object(), *frames;
		const struct trace_site *site = p.place[i].site;

		hak_json_text(row, "call", trace_call_word((enum hak_call)p.place[i].call));
		hak_json_number(row, "calls", p.place[i].calls);
		hak_json_number(row, "bytes", p.place[i].bytes);
		hak_json_number(row, "freed_bytes", p.place[i].freed);
		hak_json_number(row, "ns", p.place[i].ns);
		if (p.freed)
			hak_json_part(row, "share", p.place[i].freed, p.freed);
		else
			hak_json_part(row, "share", p.place[i].bytes, p.bytes);
		frames = list(row, "frames");
		for (size_t j = 0; site && j < site->frames; j++)
			json_object_array_add(frames, frame_json(site->symbols, site->address[j]));
		json_object_array_add(rows, row);
	}
	free(p.place);
}

/* -- missing figures --------------------------------------------------------------------------- */
static void missing_json(struct json_object *rows, const char *what, const char *why)
{
	struct json_object *row = json_object_new_object();

	hak_json_text(row, "what", what);
	hak_json_text(row, "why", why);
	json_object_array_add(rows, row);
}

#define NAMELESS_SHOWN 8 /* processes without names of code that they make */

static void nameless_json(struct json_object *rows, const struct trace *t)
{
	char what[64 + sizeof(HAK_SYMBOLS_MISSING)], why[HAK_WHY_TEXT];
	size_t shown = 0;

	for (size_t i = 0; i < t->processes && shown < NAMELESS_SHOWN; i++) {
		const struct trace_process *p = &t->process[i];

		if (!p->symbols || !hak_symbols_missing(p->symbols, why))
			continue;
		snprintf(what, sizeof(what), "process %d: " HAK_SYMBOLS_MISSING, (int)p->pid);
		missing_json(rows, what, why);
		shown++;
	}
}

static void doubts_json(struct json_object *o, const struct figures *f)
{
	static const struct {
		const char *key;
		enum hak_note note;
	} lost[] = {
		{ "events", HAK_NOTE_LOST_EVENTS },
		{ "processes", HAK_NOTE_LOST_PROCS },
		{ "threads", HAK_NOTE_LOST_THREADS },
		{ "sites", HAK_NOTE_LOST_SITES },
	};
	const struct hak_session *s = f->t->session;
	struct json_object *c = child(o, "lost"), *rows;
	size_t narrow = 0;

	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
		hak_json_number(c, lost[i].key, hak_session_note(s, lost[i].note));
	/* Memory that was given back and is no longer recorded may have been refilled unseen. */
	hak_json_number(
		c, "unfollowed_bytes",
		(hak_session_dropped_pages(s) + hak_session_note(s, HAK_NOTE_PAGES_UNFOLLOWED))
			<< s->filter.page_shift);
	hak_json_bool(o, "all_calls_taxed", s->space_everywhere);
	rows = list(o, "missing");
	for (size_t i = 0; i < s->missing_n; i++)
		missing_json(rows, s->missing[i].what, s->missing[i].why);
	for (size_t i = 0; i < f->t->processes; i++)
		narrow += f->t->process[i].of_32_bits;
	if (narrow)
		missing_json(rows, "system calls of some processes",
			     "programs of 32 bits do not make those that are watched");
	nameless_json(rows, f->t);
}

struct json_object *trace_figures(struct trace *t)
{
	struct json_object *o = hak_json_document("trace");
	struct figures f;

	collect(&f, t);
	hak_json_text(o, "target", t->target);
	hak_json_number(o, "ns", t->stopped_ns - t->started_ns);
	hak_json_number(o, "window_ns", t->window_ns);
	returns_json(o, &f);
	calls_json(o, &f);
	faults_json(o, &f);
	flush_json(o, &f);
	processes_json(o, &f);
	cost_json(o, &f);
	sites_json(o, &f);
	doubts_json(o, &f);
	ctl_progress_end();
	return o;
}
