/* SPDX-License-Identifier: MIT */
/*
 * Code that the probes share, see load.h: maps, links, the list of what is missing, and tracepoints
 * where tracefs is not mounted.
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

#include "bpf/load.h"
#include "control/grow.h"

#ifndef SYS_fsopen
#define SYS_fsopen   430
#define SYS_fsconfig 431
#define SYS_fsmount  432
#endif
#define FIRST_PID_NS	     0xeffffffcu /* PROC_PID_INIT_INO of linux/proc_ns.h */
#define FSCONFIG_CMD_CREATE_ 6		 /* of linux/mount.h, which conflicts with sys/mount.h */

static const char *const shared_names[HAK_SHARED_MAPS] = {
	[HAK_MAP_PROCS] = "procs",     [HAK_MAP_NOTES] = "notes",   [HAK_MAP_EVENTS] = "events",
	[HAK_MAP_CGROUPS] = "cgroups", [HAK_MAP_BLOCKS] = "blocks", [HAK_MAP_THREADS] = "threads",
};

/* -- loading ----------------------------------------------------------------------------------- */
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

/*
 * Opens a tracefs that is mounted nowhere: only the descriptor reaches it, and it goes with the
 * descriptor.
 */
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

/* -- this machine ------------------------------------------------------------------------------ */
/* Returns 0 in the first namespace, where programs need no look-up. */
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

/* -- reading ----------------------------------------------------------------------------------- */
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
