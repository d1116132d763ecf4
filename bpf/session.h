/* SPDX-License-Identifier: MIT */
/*
 * One trace, from loading the programs to the figures. A session owns every descriptor of it: the
 * maps that the programs share, the programs, their links. Nothing is pinned, nothing is mounted:
 * the kernel drops all of it with the process, however that ends.
 *
 * For: hakmemctl. One thread. The questions (life, space, fault, flush, vmas) are one file each;
 * each loads its programs in the best form that this kernel takes and says what it had to do
 * without. What is missing never fails a session, unless nothing is left.
 *
 * Figures are sums over processors, read after hak_session_stop(); while programs run they may be
 * off by what changes meanwhile.
 */
#ifndef HAK_BPF_SESSION_H
#define HAK_BPF_SESSION_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/fault.h"
#include "bpf/flush.h"
#include "bpf/space.h"
#include "bpf/vmas.h"
#include "control/value.h"

struct bpf_object;
struct bpf_link;
struct bpf_program;

struct hak_session_options {
	uint64_t window_ns;
	int cgroup_fd; /* of a v2 cgroup whose processes are watched; or -1 */
	bool events, sites;
	/* Called by hak_session_poll(); struct hak_site_event for HAK_EVENT_SITE. */
	void (*told)(const struct hak_event *e, void *arg);
	void *arg;
};

#define HAK_MISSING_MAX 16

struct hak_missing {
	const char *what; /* is not in the figures */
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
	unsigned taken;	       /* events, by this poll */
	bool space_everywhere; /* system calls by the tracepoints of all of them */
	bool knows_freed;      /* which pages calls freed */
	struct hak_missing missing[HAK_MISSING_MAX];
	size_t missing_n;
};

/*
 * Loads the programs; nothing runs yet. 0, or with a sentence in `why`: -EPERM (capabilities),
 * -EOPNOTSUPP (no BPF or no BTF in this kernel), -ENOMEM, other.
 */
int hak_session_open(const struct hak_session_options *options, struct hak_session **ret,
		     char why[HAK_WHY_TEXT]);
void hak_session_close(struct hak_session *s);

/* Watches a process from now on. 0, -E2BIG (no room) or -errno; one watched already is fine. */
int hak_session_watch(struct hak_session *s, pid_t pid);
/* Who a watched process is; 0: nobody. */
uint64_t hak_session_owner(const struct hak_session *s, pid_t pid);
/* How many processes are watched just now. */
size_t hak_session_watched(const struct hak_session *s);

/* 0 or -errno with a sentence. */
int hak_session_start(struct hak_session *s, char why[HAK_WHY_TEXT]);
/*
 * Nobody is watched any more, from one moment to the next. The programs themselves go with the
 * session: taking one off its tracepoint takes the kernel a grace period each.
 */
void hak_session_stop(struct hak_session *s);

/* Hands out what was told, not all there may be; waits for something up to timeout_ms. 0, or -EINTR
 * on a signal. */
int hak_session_poll(struct hak_session *s, int timeout_ms);

/* One of the shared numbers. */
uint64_t hak_session_note(const struct hak_session *s, enum hak_note note);
/* Pages of blocks that the table dropped, for lack of room, before they were populated again. */
uint64_t hak_session_dropped_pages(const struct hak_session *s);

/* Calls `see` for each block of the table, in no order. */
void hak_session_each_block(const struct hak_session *s,
			    void (*see)(const struct hak_block_key *key,
					const struct hak_block *block, void *arg),
			    void *arg);

/* One block; zeros if the table has none. */
void hak_session_block(const struct hak_session *s, uint64_t owner, uint64_t block,
		       struct hak_block *ret);

/* -- for the files of the questions ------------------------------------------------------------ */
/* Before loading: the shared maps that exist are used. After it: those it made are kept. */
int hak_session_lend(struct hak_session *s, struct bpf_object *object);
void hak_session_keep(struct hak_session *s, struct bpf_object *object);
int hak_session_add_link(struct hak_session *s, struct bpf_link *link); /* NULL: -errno */
void hak_session_lacks(struct hak_session *s, const char *what, const char *why, ...)
	__attribute__((format(printf, 3, 4)));
/* Whether the kernel has a tracepoint that programs can attach to by its type. */
bool hak_has_btf_tracepoint(const char *name);
/* Opens the tracepoint "syscalls/sys_enter_mmap" for programs: a perf event, or -errno. */
int hak_open_tracepoint(const char *name);
/* What programs must know of this machine, and of where we are in it. */
void hak_machine(struct hak_filter *f);
/* Why programs were not loaded, from libbpf's error; the error to return. */
int hak_bpf_refused(int error, char why[HAK_WHY_TEXT]);
/* Adds the per-processor values of one entry, which consist of __u64 only. 0 or -errno. */
int hak_sum_processors(int map_fd, const void *key, void *ret, size_t bytes);

int hak_life_load(struct hak_session *s);
int hak_life_start(struct hak_session *s);
void hak_life_close(struct hak_session *s);

int hak_space_load(struct hak_session *s);
int hak_space_start(struct hak_session *s);
int hak_space_read(const struct hak_session *s, struct hak_space_totals *ret);
int hak_space_read_owner(const struct hak_session *s, uint64_t owner, struct hak_space_owner *ret);
/* Calls `see` for each call site. */
void hak_space_each_site(const struct hak_session *s,
			 void (*see)(const struct hak_site_key *key, const struct hak_site *site,
				     void *arg),
			 void *arg);
/* Return addresses by frame pointers: how many. */
size_t hak_space_stack(const struct hak_session *s, int32_t stack, uint64_t ret[HAK_STACK_DEPTH]);
void hak_space_close(struct hak_session *s);

int hak_fault_load(struct hak_session *s);
int hak_fault_start(struct hak_session *s);
int hak_fault_read(const struct hak_session *s, struct hak_fault_totals *ret);
int hak_fault_read_owner(const struct hak_session *s, uint64_t owner, struct hak_fault_owner *ret);
void hak_fault_close(struct hak_session *s);

int hak_flush_load(struct hak_session *s);
int hak_flush_start(struct hak_session *s);
int hak_flush_read(const struct hak_session *s, struct hak_flush_totals *ret);
void hak_flush_close(struct hak_session *s);

int hak_vmas_load(struct hak_session *s);
/* The regions of a process in a new array for the caller to free, by address. 0 or -errno. */
int hak_vmas_read(const struct hak_session *s, pid_t pid, struct hak_vma **ret, size_t *ret_n);
void hak_vmas_close(struct hak_session *s);

#endif
