/* SPDX-License-Identifier: MIT */
/*
 * The session, see session.h: the table of probes, processes, events.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/probes.h"
#include "bpf/session.h"

#define POLL_MOST 512 /* events handled by one poll */

/* All but hak_life_*, which makes the maps that these use. */
static const struct probe {
	int (*load)(struct hak_session *s);
	int (*start)(struct hak_session *s);
	void (*close)(struct hak_session *s);
	bool counts; /* a session has at least one of the probes that count */
} probes[] = {
	{ hak_fault_load, hak_fault_start, hak_fault_close, true },
	{ hak_space_load, hak_space_start, hak_space_close, true },
	{ hak_flush_load, hak_flush_start, hak_flush_close, false },
	{ hak_vmas_load, NULL, hak_vmas_close, false },
};
#define PROBES (sizeof(probes) / sizeof(probes[0]))

/* -- the session ------------------------------------------------------------------------------- */
/* libbpf's own messages are for developers of this program. */
static int say(enum libbpf_print_level level, const char *format, va_list args)
{
	if (!getenv("HAKMEMCTL_BPF_LOG"))
		return 0;
	return vfprintf(stderr, format, args);
}

static int told(void *arg, void *data, size_t bytes)
{
	struct hak_session *s = arg;

	if (bytes >= sizeof(struct hak_event) && s->options.told)
		s->options.told(data, s->options.arg);
	/*
	 * Processes that make events faster than these are handled would keep the poll busy for
	 * ever.
	 */
	return ++s->taken < POLL_MOST ? 0 : -EAGAIN;
}

/* Returns 0 if a probe that counts was loaded, or the error of the last of those. */
static int load_probes(struct hak_session *s)
{
	int r = -ENOENT;

	for (size_t i = 0; i < PROBES; i++) {
		int error = probes[i].load(s);

		if (error == 0)
			s->loaded |= 1u << i;
		if (probes[i].counts && r != 0)
			r = error;
	}
	return r;
}

static int start_probes(struct hak_session *s)
{
	int r = -ENOENT;

	for (size_t i = 0; i < PROBES; i++) {
		int error = s->loaded & 1u << i && probes[i].start ? probes[i].start(s) : -ENOENT;

		if (probes[i].counts && r != 0)
			r = error;
	}
	return r;
}

int hak_session_open(const struct hak_session_options *options, struct hak_session **ret,
		     char why[HAK_WHY_TEXT])
{
	struct hak_session *s = calloc(1, sizeof(*s));
	uint32_t zero = 0, cgroup = (uint32_t)options->cgroup_fd;
	int r;

	if (!s) {
		snprintf(why, HAK_WHY_TEXT, "out of memory");
		return -ENOMEM;
	}
	for (int i = 0; i < HAK_SHARED_MAPS; i++)
		s->shared[i] = -1;
	s->options = *options;
	s->filter.window_ns = options->window_ns;
	s->filter.by_cgroup = options->cgroup_fd >= 0;
	s->filter.events = options->events;
	s->filter.sites = options->sites;
	hak_machine(&s->filter);
	libbpf_set_print(say);

	r = hak_life_load(s);
	if (r == 0 && options->cgroup_fd >= 0 &&
	    bpf_map_update_elem(s->shared[HAK_MAP_CGROUPS], &zero, &cgroup, BPF_ANY) < 0) {
		r = -errno;
		snprintf(why, HAK_WHY_TEXT, "that cgroup cannot be watched: %s", strerror(-r));
		hak_session_close(s);
		return r;
	}
	if (r == 0)
		r = load_probes(s);
	if (r == 0) {
		s->ring = ring_buffer__new(s->shared[HAK_MAP_EVENTS], told, s, NULL);
		r = s->ring ? 0 : -errno;
	}
	if (r < 0) {
		r = hak_bpf_refused(r, why);
		hak_session_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void hak_session_close(struct hak_session *s)
{
	if (!s)
		return;
	while (s->links)
		bpf_link__destroy(s->link[--s->links]);
	free(s->link);
	ring_buffer__free(s->ring);
	for (size_t i = PROBES; i-- > 0;)
		probes[i].close(s);
	hak_life_close(s);
	for (int i = 0; i < HAK_SHARED_MAPS; i++)
		if (s->shared[i] >= 0)
			close(s->shared[i]);
	free(s);
}

/* Called before programs run, which would count as well. */
static void note_lost_process(struct hak_session *s)
{
	uint32_t note = HAK_NOTE_LOST_PROCS;
	uint64_t n = hak_session_note(s, note) + 1;

	bpf_map_update_elem(s->shared[HAK_MAP_NOTES], &note, &n, BPF_ANY);
}

int hak_session_watch(struct hak_session *s, pid_t pid)
{
	uint32_t tgid = (uint32_t)pid, note = HAK_NOTE_OWNERS;
	struct hak_proc proc = { 0 };
	uint64_t owners = 0;
	int r;

	if (bpf_map_lookup_elem(s->shared[HAK_MAP_NOTES], &note, &owners) < 0)
		return -errno;
	/* Once programs run they give out owners as well. */
	proc.owner = owners + 1 + ((uint64_t)tgid << 32);
	if (bpf_map_update_elem(s->shared[HAK_MAP_PROCS], &tgid, &proc, BPF_NOEXIST) == 0 ||
	    errno == EEXIST)
		return 0;
	r = -errno;
	if (r == -E2BIG)
		note_lost_process(s);
	return r;
}

uint64_t hak_session_owner(const struct hak_session *s, pid_t pid)
{
	uint32_t tgid = (uint32_t)pid;
	struct hak_proc proc = { 0 };

	bpf_map_lookup_elem(s->shared[HAK_MAP_PROCS], &tgid, &proc);
	return proc.owner;
}

size_t hak_session_watched(const struct hak_session *s)
{
	uint32_t key, *previous = NULL;
	size_t n = 0;

	while (bpf_map_get_next_key(s->shared[HAK_MAP_PROCS], previous, &key) == 0) {
		previous = &key;
		if (++n > 1 << 16) /* keys change during the walk */
			break;
	}
	return n;
}

int hak_session_start(struct hak_session *s, char why[HAK_WHY_TEXT])
{
	int r = hak_life_start(s);

	if (r == 0)
		r = start_probes(s);
	if (r == 0)
		return 0;
	snprintf(why, HAK_WHY_TEXT, "no program can be attached: %s", strerror(-r));
	return r;
}

void hak_session_stop(struct hak_session *s)
{
	uint32_t key, note = HAK_NOTE_QUIET;
	uint64_t on = 1;

	if (!s->ring)
		return;
	bpf_map_update_elem(s->shared[HAK_MAP_NOTES], &note, &on, BPF_ANY);
	while (bpf_map_get_next_key(s->shared[HAK_MAP_PROCS], NULL, &key) == 0)
		bpf_map_delete_elem(s->shared[HAK_MAP_PROCS], &key);
	/* Takes the events told until now; no program adds any more. */
	do {
		s->taken = 0;
	} while (ring_buffer__consume(s->ring) == -EAGAIN);
}

int hak_session_poll(struct hak_session *s, int timeout_ms)
{
	int r;

	s->taken = 0;
	r = ring_buffer__poll(s->ring, timeout_ms);
	return r < 0 && r != -EAGAIN ? r : 0;
}
