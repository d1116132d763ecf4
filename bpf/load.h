/* SPDX-License-Identifier: MIT */
/*
 * Code that the probes share: the session's maps, links and list of what is missing; the
 * tracepoints of this kernel; the figures that belong to no single probe.
 *
 * For bpf/session.c and the probes.
 */
#ifndef HAK_BPF_LOAD_H
#define HAK_BPF_LOAD_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/target.h"
#include "control/value.h"

struct bpf_object;
struct bpf_link;
struct bpf_program;

struct hak_session_options {
	uint64_t window_ns;
	int cgroup_fd;	 /* of a v2 cgroup whose processes are watched; or -1 */
	uint64_t events; /* see struct hak_filter */
	bool sites;
	/* Called by hak_session_poll(), with a struct hak_site_event for HAK_EVENT_SITE. */
	void (*told)(const struct hak_event *e, void *arg);
	void *arg;
};

#define HAK_MISSING_MAX 16

struct hak_missing {
	const char *what; /* missing from the figures */
	char why[160];
};

enum hak_shared_map {
	HAK_MAP_PROCS,
	HAK_MAP_NOTES,
	HAK_MAP_EVENTS,
	HAK_MAP_CGROUPS,
	HAK_MAP_BLOCKS,
	HAK_MAP_THREADS,
	HAK_SHARED_MAPS,
};

struct life_bpf;
struct space_bpf;
struct fault_bpf;
struct flush_bpf;
struct vmas_bpf;
struct ring_buffer;

struct hak_session {
	struct hak_session_options options;
	struct hak_filter filter;
	int shared[HAK_SHARED_MAPS]; /* -1: not made yet */
	struct bpf_link **link;	     /* all but those of skeletons */
	size_t links, links_room;
	struct life_bpf *life;
	struct space_bpf *space;
	struct fault_bpf *fault;
	struct flush_bpf *flush;
	struct vmas_bpf *vmas;
	struct ring_buffer *ring;
	unsigned taken;	       /* events taken by this poll */
	bool space_everywhere; /* uses the tracepoints of all system calls */
	bool knows_freed;      /* knows which pages calls freed */
	struct hak_missing missing[HAK_MISSING_MAX];
	size_t missing_n;
	unsigned loaded; /* bits of session.c's probes */
};

/*
 * Before loading, makes the object use the shared maps that exist. After it, keeps those that the
 * object made.
 */
int hak_session_lend(struct hak_session *s, struct bpf_object *object);
void hak_session_keep(struct hak_session *s, struct bpf_object *object);
int hak_session_add_link(struct hak_session *s, struct bpf_link *link); /* NULL: -errno */
void hak_session_lacks(struct hak_session *s, const char *what, const char *why, ...)
	__attribute__((format(printf, 3, 4)));
/* Returns whether the kernel has a tracepoint to which programs can attach by its type. */
bool hak_has_btf_tracepoint(const char *name);
/*
 * Opens a tracepoint such as "syscalls/sys_enter_mmap" for programs. Returns a perf event, or
 * -errno.
 */
int hak_open_tracepoint(const char *name);
/* Fills in what programs must know of this machine, and of this program's place in it. */
void hak_machine(struct hak_filter *f);
/* Says in `why`, from libbpf's error, why programs were not loaded. Returns the error to return. */
int hak_bpf_refused(int error, char why[HAK_WHY_TEXT]);
/* Adds the per-processor values of one entry, which consist of __u64 only. Returns 0 or -errno. */
int hak_sum_processors(int map_fd, const void *key, void *ret, size_t bytes);

/* -- reading ----------------------------------------------------------------------------------- */
/* Returns one of the shared numbers. */
uint64_t hak_session_note(const struct hak_session *s, enum hak_note note);
/* Returns the pages of blocks that the full table dropped before they were populated again. */
uint64_t hak_session_dropped_pages(const struct hak_session *s);

/* Calls `see` for each block of the table, in no order. */
void hak_session_each_block(const struct hak_session *s,
			    void (*see)(const struct hak_block_key *key,
					const struct hak_block *block, void *arg),
			    void *arg);

/* Reads one block; zeros if the table has none. */
void hak_session_block(const struct hak_session *s, uint64_t owner, uint64_t block,
		       struct hak_block *ret);

#endif
