/* SPDX-License-Identifier: MIT */
/* Reads the memory of the process, and which of its pages are resident. See map.h. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control/reader.h"
#include "hakmemctl/map/map.h"

#define ENTRIES		(HAK_READER_BYTES / sizeof(uint64_t))
#define ENTRY_PRESENT	((uint64_t)1 << 63)
#define ENTRY_SWAPPED	((uint64_t)1 << 62)
#define PAGE_BYTES_MOST (1u << 16)

int map_memory_open(struct map_memory *m, const struct hak_segment *seg, char why[HAK_WHY_TEXT])
{
	const long page_bytes = sysconf(_SC_PAGESIZE);

	m->pagemap = -1;
	m->mem = hak_segment_open_file(seg, "mem", why);
	if (m->mem < 0)
		return m->mem;
	if (page_bytes < (long)MAP_BLOCK || page_bytes > (long)PAGE_BYTES_MOST)
		return -EOPNOTSUPP;
	m->page_bytes = (uint32_t)page_bytes;
	m->pagemap = hak_segment_open_file(seg, "pagemap", why);
	return m->pagemap < 0 ? m->pagemap : 0;
}

void map_memory_close(struct map_memory *m)
{
	if (m->mem >= 0)
		close(m->mem);
	if (m->pagemap >= 0)
		close(m->pagemap);
	m->mem = m->pagemap = -1;
}

int map_memory_read_all(struct map_memory *m, uint64_t address, void *buf, size_t bytes)
{
	char *to = buf;

	/* pread takes a signed offset; no program has memory there */
	if (address > INT64_MAX - bytes)
		return -EIO;
	while (bytes) {
		ssize_t n = hak_reader_at(m->mem, to, bytes, address);

		if (n <= 0)
			return n < 0 ? (int)n : -ESRCH;
		to += n, address += (uint64_t)n, bytes -= (size_t)n;
		m->read_bytes += (uint64_t)n;
	}
	return 0;
}

int map_memory_read(struct map_memory *m, uint64_t address, void *buf, size_t bytes)
{
	char *to = buf;

	while (bytes) {
		uint64_t at = address & ~(uint64_t)(MAP_BLOCK - 1), into = address - at;
		size_t n = MAP_BLOCK - into < bytes ? MAP_BLOCK - (size_t)into : bytes;
		int r = 0;

		if (!at)
			return -EIO;
		if (at != m->kept_at) {
			m->kept_at = 0;
			r = map_memory_read_all(m, at, m->kept, MAP_BLOCK);
		}
		if (r < 0)
			return r;
		m->kept_at = at;
		memcpy(to, m->kept + into, n);
		to += n, address += n, bytes -= n;
	}
	return 0;
}

int map_memory_pages(struct map_memory *m, uint64_t address, size_t pages, uint8_t *ret)
{
	uint64_t entry[ENTRIES], first = address / m->page_bytes;

	memset(ret, 0, pages);
	while (pages) {
		size_t n = pages < ENTRIES ? pages : ENTRIES;
		ssize_t got = hak_reader_at(m->pagemap, entry, n * sizeof(entry[0]),
					    first * sizeof(entry[0]));

		if (got < 0)
			return (int)got;
		/* behind the address space the file ends */
		for (size_t i = 0; i < (size_t)got / sizeof(entry[0]); i++)
			ret[i] = (uint8_t)((entry[i] & ENTRY_PRESENT ? MAP_RESIDENT : 0) |
					   (entry[i] & ENTRY_SWAPPED ? MAP_SWAPPED : 0));
		if ((size_t)got < sizeof(entry[0]))
			return 0;
		n = (size_t)got / sizeof(entry[0]);
		ret += n, first += n, pages -= n;
	}
	return 0;
}
