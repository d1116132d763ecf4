/* SPDX-License-Identifier: MIT */
/*
 * Reads the regions of a process, see vmas.bpf.c. The kernel runs an iterator over that process
 * alone, or over all processes where it is older than 6.1.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/probes.h"
#include "bpf/vmas.skel.h"
#include "control/grow.h"

/* max_map_count can be set higher; an address space with more regions is not drawn. */
#define REGIONS_MAX (1u << 20)

int hak_vmas_load(struct hak_session *s)
{
	struct vmas_bpf *b = vmas_bpf__open();
	int r = -errno;

	if (b) {
		b->rodata->pid_ns = s->filter.pid_ns;
		r = vmas_bpf__load(b);
	}
	if (r < 0) {
		hak_session_lacks(s, "regions", "their iterator is not taken: %s", strerror(-r));
		vmas_bpf__destroy(b);
		return r;
	}
	s->vmas = b;
	return 0;
}

static struct bpf_link *attach(struct hak_session *s, pid_t pid)
{
	union bpf_iter_link_info info = { .task.pid = (uint32_t)pid };
	LIBBPF_OPTS(bpf_iter_attach_opts, one, .link_info = &info, .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(s->vmas->progs.regions, &one);

	return link ? link : bpf_program__attach_iter(s->vmas->progs.regions, NULL);
}

static int read_all(int fd, pid_t pid, struct hak_vma **ret, size_t *ret_n)
{
	struct hak_vma *list = NULL, *grown, buffer[64];
	size_t n = 0, room = 0;
	ssize_t got;

	/* Records are never split: the kernel returns whole runs of the program. */
	while ((got = read(fd, buffer, sizeof(buffer))) > 0 || (got < 0 && errno == EAGAIN)) {
		for (size_t i = 0; got > 0 && i < (size_t)got / sizeof(buffer[0]); i++) {
			if (buffer[i].pid != (uint32_t)pid || n == REGIONS_MAX)
				continue;
			grown = hak_grow(list, n, &room, sizeof(*list));
			if (!grown) {
				free(list);
				return -ENOMEM;
			}
			list = grown;
			buffer[i].name[sizeof(buffer[i].name) - 1] = '\0';
			list[n++] = buffer[i];
		}
	}
	if (got < 0) {
		free(list);
		return -errno;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int hak_vmas_read(const struct hak_session *s, pid_t pid, struct hak_vma **ret, size_t *ret_n)
{
	struct bpf_link *link;
	int fd, r;

	if (!s->vmas)
		return -ENOENT;
	link = attach((struct hak_session *)s, pid);
	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	r = fd < 0 ? -errno : read_all(fd, pid, ret, ret_n);
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return r;
}

void hak_vmas_close(struct hak_session *s)
{
	vmas_bpf__destroy(s->vmas);
}
