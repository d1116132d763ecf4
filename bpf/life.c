/* SPDX-License-Identifier: MIT */
/*
 * Loads the programs on births and deaths, see life.bpf.c. This object is loaded first: it makes
 * the maps that all programs share, and without them there is no trace.
 */
#include <bpf/libbpf.h>
#include <errno.h>

#include "bpf/probes.h"
#include "bpf/life.skel.h"

int hak_life_load(struct hak_session *s)
{
	struct life_bpf *b = life_bpf__open();
	int r;

	if (!b)
		return -errno;
	b->rodata->filter = s->filter;
	r = life_bpf__load(b);
	if (r < 0) {
		life_bpf__destroy(b);
		return r;
	}
	hak_session_keep(s, b->obj);
	s->life = b;
	return 0;
}

int hak_life_start(struct hak_session *s)
{
	struct bpf_program *const all[] = { s->life->progs.forked, s->life->progs.execed,
					    s->life->progs.exited };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(all) / sizeof(all[0]); i++)
		r = hak_session_add_link(s, bpf_program__attach(all[i]));
	return r;
}

void hak_life_close(struct hak_session *s)
{
	life_bpf__destroy(s->life);
}
