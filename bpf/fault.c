/* SPDX-License-Identifier: MIT */
/*
 * Loads the programs on page faults, see fault.bpf.c: all of them, or as many as the kernel takes.
 * The event that ends a fault is opened on every processor.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/probes.h"
#include "control/proc.h"
#include "bpf/fault.skel.h"

static int load(struct hak_session *s, bool begins, bool pages)
{
	struct fault_bpf *b = fault_bpf__open();
	int r;

	if (!b)
		return -errno;
	b->rodata->filter = s->filter;
	bpf_program__set_autoload(b->progs.user_fault, begins);
	bpf_program__set_autoload(b->progs.kernel_fault, begins);
	bpf_program__set_autoload(b->progs.page_alloc, pages);
	r = hak_session_lend(s, b->obj);
	if (r == 0)
		r = fault_bpf__load(b);
	if (r < 0) {
		fault_bpf__destroy(b);
		return r;
	}
	s->fault = b;
	return 0;
}

int hak_fault_load(struct hak_session *s)
{
	bool begins = hak_has_btf_tracepoint("page_fault_user") &&
		      hak_has_btf_tracepoint("page_fault_kernel");
	bool pages = hak_has_btf_tracepoint("mm_page_alloc");
	int r = load(s, begins, pages);

	if (r < 0 && pages) {
		pages = false;
		r = load(s, begins, pages);
	}
	if (r < 0 && begins) {
		begins = false;
		r = load(s, begins, pages);
	}
	if (r < 0) {
		hak_session_lacks(s, "page faults and refills", "their programs are not taken: %s",
				  strerror(-r));
		return r;
	}
	if (!begins)
		hak_session_lacks(s, "the time of faults",
				  "this kernel has no tracepoint where they begin");
	if (!pages || !begins)
		hak_session_lacks(s, "huge pages and cleared pages",
				  "this kernel does not tell which pages a fault is given");
	return 0;
}

static int attach_end(struct hak_session *s, struct bpf_program *program, int cpu, uint64_t config)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = config,
					.sample_period = 1,
					.sample_type = PERF_SAMPLE_ADDR };
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return errno == ENODEV ? 0 : -errno; /* that processor is off */
	return hak_session_add_link(s, bpf_program__attach_perf_event(program, fd));
}

static int attach_ends(struct hak_session *s)
{
	int cpus = libbpf_num_possible_cpus(), r = 0;

	for (int cpu = 0; r == 0 && cpu < cpus; cpu++) {
		r = attach_end(s, s->fault->progs.minor_done, cpu, PERF_COUNT_SW_PAGE_FAULTS_MIN);
		if (r == 0)
			r = attach_end(s, s->fault->progs.major_done, cpu,
				       PERF_COUNT_SW_PAGE_FAULTS_MAJ);
	}
	return r;
}

/* Kernels of Debian and others have a level at which only the administrator may use perf. */
static void lacks_perf(struct hak_session *s, int error)
{
	const char *what = "page faults and refills";
	char level[16];

	if (error == -EACCES &&
	    hak_proc_read(AT_FDCWD, "/proc/sys/kernel/perf_event_paranoid", level, sizeof(level)) >
		    0 &&
	    atoi(level) > 2)
		hak_session_lacks(s, what,
				  "perf does not tell them: with "
				  "kernel.perf_event_paranoid=%d that takes CAP_SYS_ADMIN",
				  atoi(level));
	else
		hak_session_lacks(s, what, "perf does not tell them: %s", strerror(-error));
}

int hak_fault_start(struct hak_session *s)
{
	struct bpf_program *const begin[] = { s->fault->progs.page_alloc,
					      s->fault->progs.user_fault,
					      s->fault->progs.kernel_fault };
	int r = attach_ends(s);

	if (r < 0) {
		lacks_perf(s, r);
		return r;
	}
	for (size_t i = 0; i < sizeof(begin) / sizeof(begin[0]); i++) {
		if (!bpf_program__autoload(begin[i]))
			continue;
		r = hak_session_add_link(s, bpf_program__attach(begin[i]));
		if (r < 0)
			hak_session_lacks(s, "the time of faults", "no tracepoint %s: %s",
					  bpf_program__name(begin[i]), strerror(-r));
	}
	return 0;
}

int hak_fault_read(const struct hak_session *s, struct hak_fault_totals *ret)
{
	uint32_t zero = 0;

	memset(ret, 0, sizeof(*ret));
	if (!s->fault)
		return -ENOENT;
	return hak_sum_processors(bpf_map__fd(s->fault->maps.fault_totals), &zero, ret,
				  sizeof(*ret));
}

int hak_fault_read_owner(const struct hak_session *s, uint64_t owner, struct hak_fault_owner *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!s->fault)
		return -ENOENT;
	return hak_sum_processors(bpf_map__fd(s->fault->maps.fault_owners), &owner, ret,
				  sizeof(*ret));
}

void hak_fault_close(struct hak_session *s)
{
	fault_bpf__destroy(s->fault);
}
