/* SPDX-License-Identifier: MIT */
/* The loader of profile.bpf.c, see sampler.h. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/mapped.h"
#include "bpf/sampler.h"
#include "bpf/load.h"
#include "bpf/profile.skel.h"

#define POLL_MOST 64

struct hak_sampler {
	struct profile_bpf *bpf;
	struct ring_buffer *ring;
	struct bpf_link *link[2];
	void (*sample)(const struct hak_site_event *e, void *arg);
	void *arg;
	unsigned taken; /* by this call of hak_sampler_poll() */
};

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	return getenv("HAKMEMCTL_BPF_LOG") ? vfprintf(stderr, format, args) : 0;
}

static int told(void *arg, void *data, size_t bytes)
{
	struct hak_sampler *s = arg;

	if (bytes >= sizeof(struct hak_site_event))
		s->sample(data, s->arg);
	/*
	 * A process that allocates faster than stacks are unwound would keep the poll busy for
	 * ever.
	 */
	return ++s->taken < POLL_MOST ? 0 : -EAGAIN;
}

static int attach(struct hak_sampler *s, pid_t pid, const char *library, char why[HAK_WHY_TEXT])
{
	const struct {
		struct bpf_program *program;
		const char *name;
	} probes[] = {
		/* frees first: a sample whose free was missed would look like a leak */
		{ s->bpf->progs.on_free, "free" },
		{ s->bpf->progs.on_alloc, "alloc" },
	};
	int fd = hak_open_mapped(pid, library), r = fd < 0 ? fd : 0;
	char path[32];

	if (fd < 0)
		snprintf(why, HAK_WHY_TEXT, "its %.200s cannot be opened: %s", library,
			 strerror(-fd));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (size_t i = 0; r == 0 && i < sizeof(probes) / sizeof(probes[0]); i++) {
		s->link[i] = bpf_program__attach_usdt(probes[i].program, pid, path, "otel_memory",
						      probes[i].name, NULL);
		if (s->link[i])
			continue;
		r = -errno;
		if (r == -ENOENT) {
			snprintf(why, HAK_WHY_TEXT,
				 "%.200s has no probe otel_memory:%s: it is older than this "
				 "hakmemctl, or of a machine without probes",
				 library, probes[i].name);
			r = -EOPNOTSUPP;
			break;
		}
		snprintf(why, HAK_WHY_TEXT, "no program can be attached to otel_memory:%s: %s",
			 probes[i].name, strerror(-r));
	}
	if (fd >= 0)
		close(fd);
	return r;
}

int hak_sampler_open(pid_t pid, const char *library,
		     void (*sample)(const struct hak_site_event *e, void *arg), void *arg,
		     struct hak_sampler **ret, char why[HAK_WHY_TEXT])
{
	struct hak_sampler *s = calloc(1, sizeof(*s));
	struct hak_filter machine;
	int r;

	if (!s) {
		snprintf(why, HAK_WHY_TEXT, "out of memory");
		return -ENOMEM;
	}
	s->sample = sample;
	s->arg = arg;
	libbpf_set_print(quiet);
	s->bpf = profile_bpf__open();
	r = s->bpf ? 0 : -errno;
	if (r == 0) {
		hak_machine(&machine);
		s->bpf->rodata->options.regs_words = machine.regs_words;
		s->bpf->rodata->options.regs_sp = machine.regs_sp;
		r = profile_bpf__load(s->bpf);
	}
	if (r == 0) {
		s->ring = ring_buffer__new(bpf_map__fd(s->bpf->maps.samples), told, s, NULL);
		r = s->ring ? 0 : -errno;
	}
	if (r < 0)
		r = hak_bpf_refused(r, why);
	else
		r = attach(s, pid, library, why);
	if (r < 0) {
		hak_sampler_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void hak_sampler_close(struct hak_sampler *s)
{
	if (!s)
		return;
	bpf_link__destroy(s->link[1]);
	bpf_link__destroy(s->link[0]);
	ring_buffer__free(s->ring);
	profile_bpf__destroy(s->bpf);
	free(s);
}

int hak_sampler_poll(struct hak_sampler *s, int timeout_ms)
{
	int r;

	s->taken = 0;
	r = ring_buffer__poll(s->ring, timeout_ms);
	return s->taken ? (int)s->taken : r < 0 ? r : 0;
}

int hak_sampler_totals(const struct hak_sampler *s, struct hak_profile_totals *ret)
{
	uint32_t zero = 0;

	memset(ret, 0, sizeof(*ret));
	return hak_sum_processors(bpf_map__fd(s->bpf->maps.totals), &zero, ret, sizeof(*ret));
}

void hak_sampler_each_live(const struct hak_sampler *s, void (*see)(uint64_t number, void *arg),
			   void *arg)
{
	int fd = bpf_map__fd(s->bpf->maps.live);
	uint64_t key, number, *previous = NULL;

	while (bpf_map_get_next_key(fd, previous, &key) == 0) {
		if (bpf_map_lookup_elem(fd, &key, &number) == 0)
			see(number, arg);
		previous = &key;
	}
}
