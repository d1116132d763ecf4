/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: any text as /proc/PID/maps, where the kernel writes no zero byte. The walk reads in
 * pieces. It must see the same mappings wherever the pieces end, or report that the text is too
 * long.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t sum;
	size_t n;
};

static uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x9e3779b97f4a7c15u + (sum >> 29);
}

static int see(const struct hak_mapping *map, void *arg)
{
	struct seen *s = arg;

	s->n++;
	s->sum = mix(mix(mix(mix(s->sum, map->start), map->end), map->ino), map->offset);
	for (const char *p = map->path; *p; p++)
		s->sum = mix(s->sum, (unsigned char)*p);
	return 0;
}

/* Walks the same text with `shift` bytes in front of it that are no mapping, so that the pieces end
 * elsewhere. */
static int walk(int folder, const uint8_t *data, size_t size, size_t shift, struct seen *ret)
{
	static const char blank[] = "-\n-\n-\n-\n-\n-\n-\n-\n-\n-\n-\n-\n-\n-\n-\n-\n";
	int fd = openat(folder, "maps", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	*ret = (struct seen){ 0 };
	if (fd < 0 || write(fd, blank, shift * 2) != (ssize_t)shift * 2 ||
	    write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
	return hak_each_mapping(folder, see, ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int folder = -1;
	struct seen a, b;
	char path[] = "proc.XXXXXX";
	uint8_t *text = malloc(size + 1);
	int r, again;

	if (!text)
		abort();
	for (size_t i = 0; i < size; i++)
		text[i] = data[i] ? data[i] : '0';

	if (folder < 0) {
		if (!mkdtemp(path))
			abort();
		folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	r = walk(folder, text, size, 0, &a);
	again = walk(folder, text, size, size % 15, &b);
	if (r == 0 && again == 0 && (a.n != b.n || a.sum != b.sum))
		abort();
	if (r > 0 || again > 0)
		abort();
	hak_maybe_segment(folder, ".");
	free(text);
	return 0;
}
