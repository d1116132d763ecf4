/* SPDX-License-Identifier: MIT */
/*
 * The session, see session.h: shared maps, events, what is missing, and tracepoints where tracefs
 * is not mounted.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/session.h"
#include "control/grow.h"

#ifndef SYS_fsopen
#define SYS_fsopen   430
#define SYS_fsconfig 431
#define SYS_fsmount  432
#endif
#define POLL_MOST	     512	 /* events dealt with by one poll */
#define FIRST_PID_NS	     0xeffffffcu /* PROC_PID_INIT_INO of linux/proc_ns.h */
#define FSCONFIG_CMD_CREATE_ 6		 /* of linux/mount.h, which quarrels with sys/mount.h */

static const char *const shared_names[HAK_SHARED_MAPS] = {
	[HAK_MAP_PROCS] = "procs",     [HAK_MAP_NOTES] = "notes",   [HAK_MAP_EVENTS] = "events",
	[HAK_MAP_CGROUPS] = "cgroups", [HAK_MAP_BLOCKS] = "blocks", [HAK_MAP_THREADS] = "threads",
};

/* -- for the questions ------------------------------------------------------------------------- */
int hak_session_lend(struct hak_session *s, struct bpf_object *object)
{
	for (int i = 0; i < HAK_SHARED_MAPS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, shared_names[i]);
		int r = map && s->shared[i] >= 0 ? bpf_map__reuse_fd(map, s->shared[i]) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

void hak_session_keep(struct hak_session *s, struct bpf_object *object)
{
	for (int i = 0; i < HAK_SHARED_MAPS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, shared_names[i]);

		if (map && s->shared[i] < 0)
			s->shared[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
	}
}

int hak_session_add_link(struct hak_session *s, struct bpf_link *link)
{
	struct bpf_link **grown;

	if (!link)
		return -errno;
	grown = hak_grow(s->link, s->links, &s->links_room, sizeof(*grown));
	if (!grown) {
		bpf_link__destroy(link);
		return -ENOMEM;
	}
	s->link = grown;
	s->link[s->links++] = link;
	return 0;
}

void hak_session_lacks(struct hak_session *s, const char *what, const char *why, ...)
{
	struct hak_missing *m = &s->missing[s->missing_n];
	va_list args;

	if (s->missing_n == HAK_MISSING_MAX)
		return;
	s->missing_n++;
	m->what = what;
	va_start(args, why);
	vsnprintf(m->why, sizeof(m->why), why, args);
	va_end(args);
}

bool hak_has_btf_tracepoint(const char *name)
{
	struct btf *btf = btf__load_vmlinux_btf();
	char type[64];
	int id;

	if (!btf)
		return false;
	snprintf(type, sizeof(type), "btf_trace_%s", name);
	id = btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF);
	btf__free(btf);
	return id > 0;
}

/* A tracefs that is mounted nowhere: it is seen through the descriptor alone and goes with it. */
static int open_own_tracefs(void)
{
	int fs = (int)syscall(SYS_fsopen, "tracefs", 1 /* FSOPEN_CLOEXEC */), mount = -1;

	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE_, NULL, NULL, 0) == 0)
		mount = (int)syscall(SYS_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, 0);
	if (mount < 0)
		mount = -errno;
	close(fs);
	return mount;
}

static int open_tracefs(void)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && faccessat(fd, "events", X_OK, 0) == 0)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return open_own_tracefs();
}

int hak_open_tracepoint(const char *name)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT,
					.size = sizeof(attr),
					.sample_period = 1,
					.wakeup_events = 1 };
	char path[96], text[24] = "";
	int tracefs = open_tracefs(), fd, r;

	if (tracefs < 0)
		return tracefs;
	snprintf(path, sizeof(path), "events/%s/id", name);
	fd = openat(tracefs, path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	if (r == 0 && read(fd, text, sizeof(text) - 1) <= 0)
		r = -EIO;
	if (fd >= 0)
		close(fd);
	close(tracefs);
	if (r < 0)
		return r;
	attr.config = strtoull(text, NULL, 10);
	/* One event on one processor is enough: its program runs wherever the tracepoint is hit. */
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int hak_sum_processors(int map_fd, const void *key, void *ret, size_t bytes)
{
	int n = libbpf_num_possible_cpus(), r;
	uint64_t *sum = ret, *values;

	if (n < 0)
		return n;
	values = calloc((size_t)n, bytes);
	if (!values)
		return -ENOMEM;
	r = bpf_map_lookup_elem(map_fd, key, values);
	if (r == 0) {
		memset(ret, 0, bytes);
		for (size_t i = 0; i < (size_t)n * (bytes / 8); i++)
			sum[i % (bytes / 8)] += values[i];
	}
	free(values);
	return r < 0 ? -errno : 0;
}

/* -- the session ------------------------------------------------------------------------------- */
/* libbpf's own words are for whoever looks for a fault of ours. */
static int say(enum libbpf_print_level level, const char *format, va_list args)
{
	if (!getenv("HAKMEMCTL_BPF_LOG"))
		return 0;
	return vfprintf(stderr, format, args);
}

/* Of the first namespace programs need not look for it. */
static uint32_t own_pid_ns(void)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino == FIRST_PID_NS)
		return 0;
	return (uint32_t)st.st_ino;
}

void hak_machine(struct hak_filter *f)
{
	uint32_t shift = 0;

	while ((1l << shift) < sysconf(_SC_PAGESIZE))
		shift++;
	f->page_shift = shift;
	f->pid_ns = own_pid_ns();
	f->self = (uint32_t)getpid();
#if defined(__x86_64__)
	f->regs_words = 21, f->regs_ip = 16, f->regs_sp = 19;
#elif defined(__aarch64__)
	f->regs_words = 34, f->regs_sp = 31, f->regs_ip = 32;
#endif
}

int hak_bpf_refused(int error, char why[HAK_WHY_TEXT])
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0) {
		snprintf(why, HAK_WHY_TEXT,
			 "this kernel does not describe its types (/sys/kernel/btf/vmlinux)");
		return -EOPNOTSUPP;
	}
	if (error == -EPERM || error == -EACCES)
		snprintf(why, HAK_WHY_TEXT,
			 "BPF programs may not be loaded: that takes root, or "
			 "CAP_BPF and CAP_PERFMON");
	else if (error == -ENOSYS)
		snprintf(why, HAK_WHY_TEXT, "this kernel has no BPF");
	else
		snprintf(why, HAK_WHY_TEXT, "the kernel takes none of our programs: %s",
			 strerror(-error));
	return error == -ENOSYS ? -EOPNOTSUPP : error;
}

static int told(void *arg, void *data, size_t bytes)
{
	struct hak_session *s = arg;

	if (bytes >= sizeof(struct hak_event) && s->options.told)
		s->options.told(data, s->options.arg);
	/* Who makes events faster than they are dealt with would never let us go. */
	return ++s->taken < POLL_MOST ? 0 : -EAGAIN;
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
	if (r == 0) {
		int space = hak_space_load(s), fault = hak_fault_load(s);

		hak_flush_load(s);
		hak_vmas_load(s);
		r = space < 0 && fault < 0 ? space : 0;
	}
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
	hak_vmas_close(s);
	hak_flush_close(s);
	hak_fault_close(s);
	hak_space_close(s);
	hak_life_close(s);
	for (int i = 0; i < HAK_SHARED_MAPS; i++)
		if (s->shared[i] >= 0)
			close(s->shared[i]);
	free(s);
}

/* Before programs run, which would count as well. */
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
	/* Owners are given out by programs as well once they run. */
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
		if (++n > 1 << 16) /* keys change while they are walked */
			break;
	}
	return n;
}

int hak_session_start(struct hak_session *s, char why[HAK_WHY_TEXT])
{
	int life = hak_life_start(s), space, fault;

	/* Those that end a call or a fault come with those that begin it. */
	fault = s->fault ? hak_fault_start(s) : -ENOENT;
	space = s->space ? hak_space_start(s) : -ENOENT;
	if (s->flush)
		hak_flush_start(s);
	if (life == 0 && (space == 0 || fault == 0))
		return 0;
	life = life ? life : space;
	snprintf(why, HAK_WHY_TEXT, "no program can be attached: %s", strerror(-life));
	return life;
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
	/* What was told until now: nobody adds to it any more. */
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

uint64_t hak_session_note(const struct hak_session *s, enum hak_note note)
{
	uint32_t key = note;
	uint64_t value = 0;

	bpf_map_lookup_elem(s->shared[HAK_MAP_NOTES], &key, &value);
	return value;
}

void hak_session_each_block(const struct hak_session *s,
			    void (*see)(const struct hak_block_key *key,
					const struct hak_block *block, void *arg),
			    void *arg)
{
	struct hak_block_key key, *previous = NULL;
	struct hak_block block;

	while (bpf_map_get_next_key(s->shared[HAK_MAP_BLOCKS], previous, &key) == 0) {
		if (bpf_map_lookup_elem(s->shared[HAK_MAP_BLOCKS], &key, &block) == 0)
			see(&key, &block, arg);
		previous = &key;
	}
}

void hak_session_block(const struct hak_session *s, uint64_t owner, uint64_t block,
		       struct hak_block *ret)
{
	struct hak_block_key key = { .owner = owner, .block = block };

	memset(ret, 0, sizeof(*ret));
	if (s->shared[HAK_MAP_BLOCKS] >= 0)
		bpf_map_lookup_elem(s->shared[HAK_MAP_BLOCKS], &key, ret);
}

static void add_given(const struct hak_block_key *key, const struct hak_block *block, void *arg)
{
	for (int w = 0; w < HAK_BLOCK_WORDS; w++)
		*(uint64_t *)arg += (uint64_t)__builtin_popcountll(block->given[w]);
}

uint64_t hak_session_dropped_pages(const struct hak_session *s)
{
	uint64_t here = 0, out;

	if (s->shared[HAK_MAP_BLOCKS] < 0)
		return 0;
	hak_session_each_block(s, add_given, &here);
	out = hak_session_note(s, HAK_NOTE_PAGES_ADDED) - hak_session_note(s, HAK_NOTE_PAGES_TAKEN);
	return out > here ? out - here : 0;
}
