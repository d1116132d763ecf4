/* SPDX-License-Identifier: MIT */
/*
 * Loads the programs on system calls, see space.bpf.c: on the tracepoints of six calls, or on those
 * of all calls where tracefs cannot be reached.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/probes.h"
#include "bpf/space.skel.h"
#include "control/missing.h"

static const char *const calls[] = {
	"mmap", "munmap", "mremap", "brk", "madvise", "process_madvise"
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static int load(struct hak_session *s, bool everywhere, bool pages)
{
	struct space_bpf *b = space_bpf__open();
	int r;

	if (!b)
		return -errno;
	b->rodata->filter = s->filter;
	b->rodata->numbers = (struct hak_numbers){
		.mmap = SYS_mmap,
		.munmap = SYS_munmap,
		.mremap = SYS_mremap,
		.brk = SYS_brk,
		.madvise = SYS_madvise,
		.process_madvise = SYS_process_madvise,
	};
	bpf_program__set_autoload(b->progs.calls_enter, !everywhere);
	bpf_program__set_autoload(b->progs.calls_exit, !everywhere);
	bpf_program__set_autoload(b->progs.all_enter, everywhere);
	bpf_program__set_autoload(b->progs.all_exit, everywhere);
	bpf_program__set_autoload(b->progs.page_free, pages);
	b->rodata->pages_told = pages;
	r = hak_session_lend(s, b->obj);
	if (r == 0)
		r = space_bpf__load(b);
	if (r < 0) {
		space_bpf__destroy(b);
		return r;
	}
	s->space = b;
	s->space_everywhere = everywhere;
	return 0;
}

int hak_space_load(struct hak_session *s)
{
	int probe = hak_open_tracepoint("syscalls/sys_enter_munmap"), r;
	bool pages = hak_has_btf_tracepoint("mm_page_free");

	if (probe >= 0)
		close(probe);
	r = probe >= 0 ? load(s, false, pages) : probe;
	if (r < 0)
		r = load(s, true, pages);
	if (r < 0 && pages) {
		pages = false;
		r = load(s, true, pages);
	}
	if (r < 0)
		hak_session_lacks(s, "system calls", "their programs are not taken: %s",
				  strerror(-r));
	else if (!pages)
		hak_session_lacks(s, "the memory that calls freed",
				  "this kernel does not tell which pages it gets");
	return r;
}

static int attach_one(struct hak_session *s, struct bpf_program *program, const char *when,
		      const char *call)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "syscalls/sys_%s_%s", when, call);
	fd = hak_open_tracepoint(name);
	if (fd < 0)
		return fd;
	/* The link takes the descriptor over. */
	return hak_session_add_link(s, bpf_program__attach_perf_event(program, fd));
}

int hak_space_start(struct hak_session *s)
{
	int r = 0;

	if (bpf_program__autoload(s->space->progs.page_free)) {
		r = hak_session_add_link(s, bpf_program__attach(s->space->progs.page_free));
		s->knows_freed = r == 0;
		if (r < 0)
			hak_session_lacks(s, "the memory that calls freed", "no tracepoint: %s",
					  strerror(-r));
	}
	if (s->space_everywhere) {
		r = hak_session_add_link(s, bpf_program__attach(s->space->progs.all_exit));
		return r ? r
			 : hak_session_add_link(s, bpf_program__attach(s->space->progs.all_enter));
	}
	for (size_t i = 0; i < CALLS; i++) {
		r = attach_one(s, s->space->progs.calls_exit, "exit", calls[i]);
		if (r == 0)
			r = attach_one(s, s->space->progs.calls_enter, "enter", calls[i]);
		if (r < 0)
			hak_session_lacks(s, calls[i], "no tracepoint for it: %s", strerror(-r));
	}
	return r;
}

int hak_space_read(const struct hak_session *s, struct hak_space_totals *ret)
{
	uint32_t zero = 0;

	memset(ret, 0, sizeof(*ret));
	if (!s->space)
		return -ENOENT;
	return hak_sum_processors(bpf_map__fd(s->space->maps.space_totals), &zero, ret,
				  sizeof(*ret));
}

/* Two members are no sums: of the number of regions, the latest and the largest count. */
int hak_space_read_owner(const struct hak_session *s, uint64_t owner, struct hak_space_owner *ret)
{
	int n = libbpf_num_possible_cpus(), r = 0;
	struct hak_space_owner *values;

	memset(ret, 0, sizeof(*ret));
	if (n < 0 || !s->space)
		return n < 0 ? n : -ENOENT;
	values = calloc((size_t)n, sizeof(*values));
	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(bpf_map__fd(s->space->maps.space_owners), &owner, values) < 0)
		r = -errno;
	for (int i = 0; r == 0 && i < n; i++) {
		ret->calls += values[i].calls;
		ret->given += values[i].given;
		ret->freed += values[i].freed;
		ret->ns += values[i].ns;
		if (values[i].vmas_most > ret->vmas_most)
			ret->vmas_most = values[i].vmas_most;
		if (values[i].vmas_ns >= ret->vmas_ns)
			ret->vmas_ns = values[i].vmas_ns, ret->vmas = values[i].vmas;
	}
	free(values);
	return r;
}

void hak_space_each_site(const struct hak_session *s,
			 void (*see)(const struct hak_site_key *key, const struct hak_site *site,
				     void *arg),
			 void *arg)
{
	struct hak_site_key key, *previous = NULL;
	struct hak_site site;
	int fd;

	if (!s->space)
		return;
	fd = bpf_map__fd(s->space->maps.sites);
	while (bpf_map_get_next_key(fd, previous, &key) == 0) {
		if (hak_sum_processors(fd, &key, &site, sizeof(site)) == 0)
			see(&key, &site, arg);
		previous = &key;
	}
}

size_t hak_space_stack(const struct hak_session *s, int32_t stack, uint64_t ret[HAK_STACK_DEPTH])
{
	uint32_t key = (uint32_t)stack;
	size_t n = 0;

	if (stack < 0 || bpf_map_lookup_elem(bpf_map__fd(s->space->maps.stacks), &key, ret) < 0)
		return 0;
	while (n < HAK_STACK_DEPTH && ret[n])
		n++;
	return n;
}

void hak_space_close(struct hak_session *s)
{
	space_bpf__destroy(s->space);
}
