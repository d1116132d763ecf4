/* SPDX-License-Identifier: MIT */
/*
 * The processes of a trace, see trace.h: their identity, their malloc, and the call sites that give
 * memory back. All readings of live processes are made here, as early as possible.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "control/abi/abi.h"
#include "control/escape.h"
#include "control/grow.h"
#include "control/root.h"
#include "hakmemctl/trace/trace.h"

static const char *const call_words[HAK_CALLS] = {
	[HAK_CALL_NONE] = "none",
	[HAK_CALL_MMAP] = "mmap",
	[HAK_CALL_MUNMAP] = "munmap",
	[HAK_CALL_MREMAP] = "mremap",
	[HAK_CALL_BRK] = "brk",
#define ADVICE(name, number) [HAK_CALL_##name] = "madvise(" #name ")",
	HAK_ADVICES(ADVICE)
#undef ADVICE
		[HAK_CALL_ADVISE] = "madvise(other)",
	[HAK_CALL_PROCESS_MADVISE] = "process_madvise",
};

const char *trace_call_word(enum hak_call call)
{
	return (unsigned)call < HAK_CALLS ? call_words[call] : "?";
}

/* Whether `name` is that call, or all of its kind: madvise is madvise(DONTNEED) too. */
static bool is_call(const char *name, size_t bytes, enum hak_call call)
{
	const char *word = call_words[call];

	return strncasecmp(word, name, bytes) == 0 && (!word[bytes] || word[bytes] == '(');
}

static uint64_t events_named(const char *name, size_t bytes)
{
	uint64_t events = 0;

	_Static_assert(HAK_CALLS < 63, "a bit for each call, and one for refills");
	if (bytes == 3 && strncasecmp(name, "all", 3) == 0)
		return UINT64_MAX;
	if (bytes == 6 && strncasecmp(name, "refill", 6) == 0)
		return HAK_REFILLS;
	for (int call = HAK_CALL_NONE + 1; bytes && call < HAK_CALLS; call++)
		if (is_call(name, bytes, (enum hak_call)call))
			events |= 1ull << call;
	return events;
}

static const char events_there[] = "all, mmap, munmap, mremap, brk, madvise, process_madvise, "
				   "refill, and a single advice such as madvise(DONTNEED)";

int trace_events(const char *names, uint64_t *events, char why[HAK_WHY_TEXT])
{
	for (;;) {
		size_t bytes = strcspn(names, ",");
		uint64_t named = events_named(names, bytes);

		if (!named) {
			snprintf(why, HAK_WHY_TEXT, "there is no event \"%.*s\"; there are %s",
				 bytes < 40 ? (int)bytes : 40, names, events_there);
			return -EINVAL;
		}
		*events |= named;
		if (!names[bytes])
			return 0;
		names += bytes + 1;
	}
}

/* -- identity ---------------------------------------------------------------------------------- */
static int open_proc(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void read_comm(int procfd, char comm[HAK_COMM_BYTES])
{
	int fd = openat(procfd, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, comm, HAK_COMM_BYTES - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	comm[n] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
}

static bool is_of_32_bits(int procfd)
{
	int fd = hak_open_file_of(openat(procfd, "exe", O_PATH | O_CLOEXEC));
	unsigned char id[EI_NIDENT] = { 0 };
	bool yes;

	yes = fd >= 0 && read(fd, id, sizeof(id)) == sizeof(id) && id[EI_CLASS] == ELFCLASS32;
	if (fd >= 0)
		close(fd);
	return yes;
}

static int count_mapping(const struct hak_mapping *map, void *arg)
{
	++*(uint64_t *)arg;
	return 0;
}

static void look_at_maps(struct trace_process *p, int procfd)
{
	uint64_t mappings = 0;

	if (hak_each_mapping(procfd, count_mapping, &mappings) != 0 || !mappings)
		return;
	/* The kernel lists one mapping that belongs to no region of the process. */
	p->vmas_last = mappings;
	if (!p->vmas_first)
		p->vmas_first = p->vmas_last;
}

/* -- hakmem's own counters --------------------------------------------------------------------- */
static void look_at_counters(struct trace_process *p)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	struct hak_snapshot snap;

	if (hak_segment_open(p->pid, 0, &seg, why) < 0)
		return;
	if (hak_snapshot_take(seg, &snap) == 0) {
		p->kept_last = (struct trace_kept){
			.hits = hak_total(seg, &snap, HAK_ID_WHALE_HITS),
			.misses = hak_total(seg, &snap, HAK_ID_WHALE_MISSES),
			.evictions = hak_total(seg, &snap, HAK_ID_RING_EVICTIONS),
			.evicted_bytes = hak_total(seg, &snap, HAK_ID_RING_EVICTED_BYTES),
		};
		/* The counters of a process that is created during the trace start at zero. */
		if (!p->on_hakmem && p->born == BORN_BEFORE)
			p->kept_first = p->kept_last;
		p->on_hakmem = true;
		hak_snapshot_free(&snap);
	}
	hak_segment_close(seg);
}

/* -- the list ---------------------------------------------------------------------------------- */
static struct trace_process *find(struct trace *t, pid_t pid)
{
	for (size_t i = t->processes; i-- > 0;)
		if (t->process[i].pid == pid && !t->process[i].ended)
			return &t->process[i];
	return NULL;
}

static struct trace_process *find_owner(struct trace *t, uint64_t owner)
{
	for (size_t i = t->processes; i-- > 0;)
		if (t->process[i].owner == owner)
			return &t->process[i];
	return NULL;
}

static void look_at(struct trace *t, struct trace_process *p)
{
	int procfd = open_proc(p->pid);
	struct hak_vma *regions;
	const char *uses;
	size_t n;

	if (procfd < 0)
		return;
	/* Read once, because the process may have executed another program meanwhile. */
	if (!p->comm[0])
		read_comm(procfd, p->comm);
	p->of_32_bits = p->of_32_bits || is_of_32_bits(procfd);
	look_at_maps(p, procfd);
	look_at_counters(p);
	uses = p->on_hakmem ? "hakmem" : trace_malloc_of(procfd);
	if (uses)
		snprintf(p->allocator, sizeof(p->allocator), "%s", uses);
	close(procfd);
	if (!t->map || hak_vmas_read(t->session, p->pid, &regions, &n) < 0)
		return;
	if (n == 0) {
		free(regions);
		return;
	}
	free(p->after);
	p->after = regions;
	p->after_n = n;
}

int trace_add(struct trace *t, pid_t pid, int born, uint64_t owner)
{
	struct trace_process *p;

	p = hak_grow(t->process, t->processes, &t->processes_room, sizeof(*p));
	if (!p)
		return -ENOMEM;
	t->process = p;
	p = &t->process[t->processes++];
	*p = (struct trace_process){ .pid = pid, .owner = owner, .born = born };
	look_at(t, p);
	return 0;
}

void trace_look(struct trace *t, bool last)
{
	for (size_t i = 0; i < t->processes; i++)
		if (!t->process[i].ended && (last || t->process[i].born != BORN_BEFORE))
			look_at(t, &t->process[i]);
}

void trace_free(struct trace *t)
{
	for (size_t i = 0; i < t->processes; i++) {
		hak_symbols_close(t->process[i].symbols);
		free(t->process[i].after);
	}
	free(t->process);
	free(t->site);
	free(t->moment);
}

void trace_note_moment(struct trace *t, bool last)
{
	struct hak_space_totals space;
	struct hak_fault_totals fault;
	uint64_t now = hak_monotonic_ns();
	struct trace_moment *m;

	/* A long trace is recorded in as many moments as a short one. When there are twice as many
	 * moments as can be drawn, every other one is dropped. */
	if (!last && t->moments && now - t->moment[t->moments - 1].ns < t->moment_ns)
		return;
	if (t->moments == 2 * TRACE_MOMENTS) {
		for (size_t i = 1; i < TRACE_MOMENTS; i++)
			t->moment[i] = t->moment[2 * i];
		t->moments = TRACE_MOMENTS;
		t->moment_ns *= 2;
	}
	m = hak_grow(t->moment, t->moments, &t->moments_room, sizeof(*m));
	if (!m)
		return;
	t->moment = m;
	hak_space_read(t->session, &space);
	hak_fault_read(t->session, &fault);
	m = &t->moment[t->moments++];
	*m = (struct trace_moment){ .ns = now, .refilled = fault.refilled + space.populated };
	for (int i = 0; i < HAK_CALLS; i++)
		m->given += space.call[i].given;
}

/* -- call sites -------------------------------------------------------------------------------- */
static struct hak_symbols *symbols_with(struct trace_process *p, uint64_t ip)
{
	if (!p->symbols && (p->ended || hak_symbols_open(p->pid, &p->symbols) < 0))
		p->symbols = NULL;
	if (p->symbols && !hak_symbols_covers(p->symbols, ip))
		hak_symbols_refresh(p->symbols);
	return p->symbols && hak_symbols_covers(p->symbols, ip) ? p->symbols : NULL;
}

/* The symbols for an address. A child that executed no program uses the symbols of its parent for
 * files that the parent maps at the same place, so that the files of many children are read once,
 * also after a child has ended. */
static struct hak_symbols *find_symbols(struct trace *t, struct trace_process *p, uint64_t ip)
{
	struct trace_process *first = p;
	struct hak_symbols *s;

	while (first->parent && t->process[first->parent - 1].owner == first->parents_owner)
		first = &t->process[first->parent - 1];
	s = symbols_with(first, ip);
	if (!s && first != p)
		s = symbols_with(p, ip);
	return s ? s : p->symbols ? p->symbols : first->symbols;
}

static uint64_t path_of(const struct trace_site *site)
{
	uint64_t h = site->frames;

	for (size_t i = 0; i < site->frames; i++) {
		uint64_t place = site->symbols ? hak_symbols_place(site->symbols, site->address[i])
					       : 0;

		/* An address outside all files belongs to its process alone. */
		if (!place)
			place = site->address[i] ^ site->key.owner << 48;
		h = (h ^ place) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	return h;
}

static void add_site(struct trace *t, struct trace_process *p, const struct hak_site_event *e)
{
	struct trace_site *site;
	struct hak_symbols *symbols;

	if (t->sites == TRACE_SITES_MAX)
		return;
	site = hak_grow(t->site, t->sites, &t->sites_room, sizeof(*site));
	if (!site)
		return;
	t->site = site;
	symbols = find_symbols(t, p, e->regs[t->session->filter.regs_ip]);
	site = &t->site[t->sites++];
	*site = (struct trace_site){ .key = e->key, .symbols = symbols };
	if (symbols)
		site->frames = hak_symbols_unwind(symbols, e, site->address);
	/* For code without call frame information, frame pointers may give more frames. */
	if (site->frames < 2) {
		uint64_t by_pointers[HAK_STACK_DEPTH];
		size_t n = hak_space_stack(t->session, e->key.stack, by_pointers);

		n = n < HAK_FRAMES_MAX ? n : HAK_FRAMES_MAX;
		if (n > site->frames) {
			memcpy(site->address, by_pointers, n * sizeof(by_pointers[0]));
			site->frames = n;
		}
	}
	site->path = path_of(site);
}

/* -- events ------------------------------------------------------------------------------------ */
static void print_call(const struct hak_event *e, double at)
{
	bool bad = (int64_t)e->d < 0 && (int64_t)e->d > -4096;
	char bytes[HAK_VALUE_TEXT], ns[HAK_VALUE_TEXT];

	hak_bytes_format(e->c, bytes);
	hak_ns_format(e->e, ns);
	printf("%10.6f %7u %7u %-18s 0x%012" PRIx64 " %8s %8s%s%s\n", at, e->pid, e->tid,
	       trace_call_word((enum hak_call)e->a), (uint64_t)e->b, bytes, ns, bad ? "  " : "",
	       bad ? strerror((int)-(int64_t)e->d) : "");
}

static void print_event(const struct trace *t, const struct hak_event *e)
{
	double at = ((double)e->time_ns - (double)t->started_ns) / 1e9;
	char bytes[HAK_VALUE_TEXT], ns[HAK_VALUE_TEXT];
	struct json_object *o;

	if (t->ctl->json == HAK_JSON_OFF) {
		hak_bytes_format(e->b, bytes);
		hak_ns_format(e->c, ns);
		if (e->type == HAK_EVENT_CALL)
			print_call(e, at);
		else
			printf("%10.6f %7u %7u %-18s 0x%012" PRIx64 " %8s %8s after\n", at, e->pid,
			       e->tid, "refill", (uint64_t)e->a, bytes, ns);
		return;
	}
	o = json_object_new_object();
	hak_json_text(o, "event", e->type == HAK_EVENT_CALL ? "call" : "refill");
	hak_json_signed(o, "time_ns", (int64_t)(e->time_ns - t->started_ns));
	hak_json_number(o, "pid", e->pid);
	hak_json_number(o, "tid", e->tid);
	if (e->type == HAK_EVENT_CALL) {
		hak_json_text(o, "call", trace_call_word((enum hak_call)e->a));
		hak_json_number(o, "address", e->b);
		hak_json_number(o, "bytes", e->c);
		hak_json_signed(o, "result", (int64_t)e->d);
		hak_json_number(o, "ns", e->e);
	} else {
		hak_json_number(o, "address", e->a);
		hak_json_number(o, "bytes", e->b);
		hak_json_number(o, "distance_ns", e->c);
	}
	/* One line for each event, in whatever format the document is printed. */
	hak_emit_json(stdout, o, HAK_JSON_SHORT);
	json_object_put(o);
}

static void name(struct trace_process *p, const struct hak_event *e)
{
	snprintf(p->comm, sizeof(p->comm), "%.*s", (int)sizeof(e->name), e->name);
}

/* Until the child is read, and if it ends before that, it has the identity of its parent. */
static void forked(struct trace *t, const struct hak_event *e)
{
	const struct trace_process *parent;
	struct trace_process *p;

	if (trace_add(t, (pid_t)e->pid, BORN_FORKED, e->owner) < 0)
		return;
	p = &t->process[t->processes - 1];
	name(p, e);
	parent = find(t, (pid_t)e->a);
	if (!parent)
		return;
	p->parent = (size_t)(parent - t->process) + 1;
	p->parents_owner = parent->owner;
	if (!p->allocator[0])
		memcpy(p->allocator, parent->allocator, sizeof(p->allocator));
}

static void executed(struct trace *t, struct trace_process *p, const struct hak_event *e)
{
	struct hak_space_owner before;

	/* The process executes another program. A process with events of its own, or with children
	 * that have some, stays in the list beside the new program. A process that shared its
	 * parent's address space had none of its own. */
	if (!p || p->symbols ||
	    (hak_space_read_owner(t->session, p->owner, &before) == 0 && before.calls)) {
		if (p)
			p->ended = true;
		if (trace_add(t, (pid_t)e->pid, BORN_EXEC, e->owner) < 0)
			return;
		p = &t->process[t->processes - 1];
	} else {
		free(p->after);
		*p = (struct trace_process){ .pid = p->pid, .owner = e->owner, .born = BORN_EXEC };
		look_at(t, p);
	}
	name(p, e);
}

void trace_told(const struct hak_event *e, void *arg)
{
	struct trace *t = arg;
	struct trace_process *p = find(t, (pid_t)e->pid);

	switch (e->type) {
	case HAK_EVENT_FORK:
		forked(t, e);
		break;
	case HAK_EVENT_MET:
		if (trace_add(t, (pid_t)e->pid, BORN_MET, e->owner) == 0)
			name(&t->process[t->processes - 1], e);
		break;
	case HAK_EVENT_EXEC:
		executed(t, p, e);
		break;
	case HAK_EVENT_EXIT:
		if (p)
			p->ended = true;
		break;
	case HAK_EVENT_SITE:
		p = find_owner(t, e->owner);
		if (p)
			add_site(t, p, (const struct hak_site_event *)e);
		break;
	case HAK_EVENT_CALL:
	case HAK_EVENT_REFILL:
		if (t->events)
			print_event(t, e);
		break;
	}
}
