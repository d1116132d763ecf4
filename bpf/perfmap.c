/* SPDX-License-Identifier: MIT */
/*
 * Names of code that a process makes, see perfmap.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/perfmap.h"
#include "control/grow.h"
#include "control/proc.h"
#include "control/reader.h"
#include "control/root.h"
#include "control/segment.h"

#define MEETS_MAX 64   /* how often all mappings may be read */
#define AREAS_MAX 4096 /* executable mappings that are kept */

struct area {
	uint64_t start, end;
};

struct hak_perfmap {
	int proc, root;
	int file;	  /* as it was opened last; -1: never */
	int error;	  /* 0, or why the file is not read */
	uid_t owner, uid; /* of the file that was refused, and of the process */
	char path[32];
	struct area *area;
	size_t areas, areas_room;
	unsigned meets;
	bool is_read, missing;
	struct hak_perfmap_names names;
};

/* -- the text ---------------------------------------------------------------------------------- */
struct line {
	struct hak_perfmap_range range;
	size_t number;
};

static bool take_hex(char **at, uint64_t *ret)
{
	char *end;

	/* strtoull() takes signs and blanks as well. */
	if (!strchr("0123456789abcdefABCDEF", **at) || !**at)
		return false;
	errno = 0;
	*ret = strtoull(*at, &end, 16);
	if (errno || *end != ' ')
		return false;
	*at = end + 1;
	return true;
}

/* "START SIZE NAME", both numbers in hex; the name may have blanks. */
static bool parse_line(char *at, struct hak_perfmap_range *ret)
{
	uint64_t bytes;

	if (!take_hex(&at, &ret->start) || !take_hex(&at, &bytes) || !bytes ||
	    ret->start + bytes < ret->start || !*at)
		return false;
	ret->end = ret->start + bytes;
	ret->name = at;
	if (strlen(at) > HAK_PERFMAP_NAME)
		at[HAK_PERFMAP_NAME] = '\0';
	return true;
}

static int by_start(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return (x->range.start > y->range.start) - (x->range.start < y->range.start);
}

/* A heap of lines, in which the one that was written last is on top. */
static void sift_down(const struct line **heap, size_t n)
{
	for (size_t i = 0, big; 2 * i + 1 < n; i = big) {
		const struct line *moved = heap[i];

		big = 2 * i + 1;
		if (big + 1 < n && heap[big + 1]->number > heap[big]->number)
			big++;
		if (heap[big]->number < moved->number)
			return;
		heap[i] = heap[big];
		heap[big] = moved;
	}
}

static void sift_up(const struct line **heap, size_t i)
{
	for (size_t up; i && heap[up = (i - 1) / 2]->number < heap[i]->number; i = up) {
		const struct line *moved = heap[i];

		heap[i] = heap[up];
		heap[up] = moved;
	}
}

/* Adds the part to the ranges, or to the last one if it goes on there. */
static void add_part(struct hak_perfmap_names *names, const struct line *from, uint64_t start,
		     uint64_t end)
{
	struct hak_perfmap_range *last = names->n ? &names->range[names->n - 1] : NULL;

	if (last && last->end == start && last->name == from->range.name)
		last->end = end;
	else
		names->range[names->n++] =
			(struct hak_perfmap_range){ start, end, from->range.name };
}

/*
 * Walks over the addresses from start to start. Of the lines that are open at an address, the top
 * of the heap counts. A line adds a part where it begins or ends, at most two in all.
 */
static void flatten(struct hak_perfmap_names *names, const struct line *line, size_t lines,
		    const struct line **heap)
{
	uint64_t at = 0;
	size_t open = 0, i = 0;

	while (i < lines || open) {
		uint64_t end;

		if (!open)
			at = line[i].range.start;
		for (; i < lines && line[i].range.start <= at; i++) {
			heap[open] = &line[i];
			sift_up(heap, open++);
		}
		end = heap[0]->range.end;
		if (end <= at) {
			heap[0] = heap[--open];
			sift_down(heap, open);
			continue;
		}
		if (i < lines && line[i].range.start < end)
			end = line[i].range.start;
		add_part(names, heap[0], at, end);
		at = end;
	}
}

static struct line *parse_lines(char *text, size_t *ret_n, struct hak_perfmap_names *names)
{
	struct line *line = NULL, *grown;
	size_t n = 0, room = 0;

	for (char *next; text; text = next) {
		next = strchr(text, '\n');
		if (next)
			*next++ = '\0';
		if (!*text)
			continue;
		if (n + names->strange == HAK_PERFMAP_LINES) {
			names->cut = true;
			break;
		}
		grown = hak_grow(line, n, &room, sizeof(*line));
		if (!grown)
			break;
		line = grown;
		line[n].number = n;
		if (parse_line(text, &line[n].range))
			n++;
		else
			names->strange++;
	}
	*ret_n = n;
	return line;
}

int hak_perfmap_parse(char *text, size_t bytes, struct hak_perfmap_names *ret)
{
	const struct line **heap;
	struct line *line;
	size_t lines;

	*ret = (struct hak_perfmap_names){ .text = text };
	/* A zero byte would end the text. */
	for (char *at = text; (at = memchr(at, '\0', bytes - (size_t)(at - text))); at++)
		*at = '\x1a';
	text[bytes] = '\0';
	line = parse_lines(text, &lines, ret);
	heap = lines ? calloc(lines, sizeof(*heap)) : NULL;
	ret->range = lines ? calloc(2 * lines, sizeof(*ret->range)) : NULL;
	if (heap && ret->range) {
		qsort(line, lines, sizeof(*line), by_start);
		flatten(ret, line, lines, heap);
	}
	free(heap);
	free(line);
	return lines && !ret->n ? -ENOMEM : 0;
}

void hak_perfmap_names_free(struct hak_perfmap_names *names)
{
	free(names->range);
	free(names->text);
}

/* -- the file ---------------------------------------------------------------------------------- */
static int read_identity(struct hak_perfmap *m)
{
	char status[HAK_PROC_STATUS_BYTES];
	uint32_t pid;
	ssize_t r = hak_proc_read(m->proc, "status", status, sizeof(status));

	if (r < 0)
		return (int)r;
	if (!hak_proc_own_pid(status, &pid) || hak_proc_euid(status, &m->uid) < 0)
		return -EIO;
	snprintf(m->path, sizeof(m->path), "/tmp/perf-%" PRIu32 ".map", pid);
	return 0;
}

struct hak_perfmap *hak_perfmap_open(pid_t pid)
{
	struct hak_perfmap *m = calloc(1, sizeof(*m));
	char path[32];

	if (!m)
		return NULL;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	m->file = m->root = -1;
	m->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->proc >= 0 && read_identity(m) == 0)
		m->root = openat(m->proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->root < 0) {
		hak_perfmap_close(m);
		return NULL;
	}
	return m;
}

void hak_perfmap_close(struct hak_perfmap *m)
{
	if (!m)
		return;
	for (const int *fd = (const int[]){ m->proc, m->root, m->file, -2 }; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	hak_perfmap_names_free(&m->names);
	free(m->area);
	free(m);
}

/* Keeps what was opened before if the file is gone, as it may be after the end of the process. */
static void open_file(struct hak_perfmap *m)
{
	int fd = hak_open_file_of(hak_open_in(m->root, m->path, O_PATH | O_NOFOLLOW));
	struct stat st;

	m->error = 0;
	if (fd < 0) {
		m->error = fd;
	} else if (fstat(fd, &st) < 0) {
		m->error = -errno;
	} else if (st.st_uid != 0 && st.st_uid != m->uid) {
		m->error = -EPERM;
		m->owner = st.st_uid;
	} else if (st.st_nlink > 1) {
		m->error = -EMLINK;
	}
	if (m->error && fd >= 0)
		close(fd);
	if (m->error == -ENOENT && m->file >= 0)
		m->error = 0;
	if (m->error || fd < 0)
		return;
	if (m->file >= 0)
		close(m->file);
	m->file = fd;
}

/* The size is that of this moment; what the process adds meanwhile is not read. */
static int read_text(struct hak_perfmap *m, char **ret, size_t *ret_bytes, bool *ret_cut)
{
	struct stat st;
	size_t bytes, have = 0;
	char *text;

	if (fstat(m->file, &st) < 0)
		return -errno;
	*ret_cut = st.st_size > HAK_PERFMAP_BYTES;
	bytes = *ret_cut ? HAK_PERFMAP_BYTES : (size_t)st.st_size;
	text = malloc(bytes + 1);
	if (!text)
		return -ENOMEM;
	while (have < bytes) {
		size_t most = bytes - have < HAK_READER_BYTES ? bytes - have : HAK_READER_BYTES;
		ssize_t n = hak_reader_at(m->file, text + have, most, have);

		if (n < 0) {
			free(text);
			return (int)n;
		}
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*ret = text;
	*ret_bytes = have;
	return 0;
}

static void read_names(struct hak_perfmap *m)
{
	char *text = NULL;
	size_t bytes = 0;
	bool cut = false;

	open_file(m);
	if (!m->error)
		m->error = read_text(m, &text, &bytes, &cut);
	if (m->error)
		return;
	m->error = hak_perfmap_parse(text, bytes, &m->names);
	m->names.cut |= cut;
}

/* -- addresses --------------------------------------------------------------------------------- */
static bool is_noted(const struct hak_perfmap *m, uint64_t address)
{
	for (size_t i = 0; i < m->areas; i++)
		if (address >= m->area[i].start && address < m->area[i].end)
			return true;
	return false;
}

/* Compilers that map their code twice, to write and to execute it, do so by a memfd. */
static int note_area(const struct hak_mapping *map, void *arg)
{
	struct hak_perfmap *m = arg;
	struct area *grown;

	if (map->perms[2] != 'x' || m->areas == AREAS_MAX ||
	    (is_noted(m, map->start) && is_noted(m, map->end - 1)))
		return 0;
	if (map->ino ? strncmp(map->path, "/memfd:", 7) != 0
		     : map->path[0] == '[' && strncmp(map->path, "[anon", 5) != 0)
		return 0;
	grown = hak_grow(m->area, m->areas, &m->areas_room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	m->area = grown;
	m->area[m->areas++] = (struct area){ map->start, map->end };
	return 0;
}

void hak_perfmap_meet(struct hak_perfmap *m, uint64_t address)
{
	if (!m || is_noted(m, address) || m->meets++ >= MEETS_MAX)
		return;
	hak_each_mapping(m->proc, note_area, m);
	if (is_noted(m, address))
		open_file(m);
}

const struct hak_perfmap_range *hak_perfmap_find(struct hak_perfmap *m, uint64_t address)
{
	size_t low = 0, high;

	if (!m)
		return NULL;
	if (!m->is_read) {
		m->is_read = true;
		read_names(m);
	}
	for (high = m->names.n; low < high;) {
		size_t middle = low + (high - low) / 2;
		const struct hak_perfmap_range *r = &m->names.range[middle];

		if (address < r->start)
			high = middle;
		else if (address >= r->end)
			low = middle + 1;
		else
			return r;
	}
	m->missing = m->missing || is_noted(m, address);
	return NULL;
}

bool hak_perfmap_missing(const struct hak_perfmap *m, char why[HAK_WHY_TEXT])
{
	if (!m || !m->missing)
		return false;
	if (m->error == -EPERM)
		snprintf(why, HAK_WHY_TEXT,
			 "%s belongs to user %u and not to user %u of the process", m->path,
			 (unsigned)m->owner, (unsigned)m->uid);
	else if (m->error == -ELOOP || m->error == -EMLINK)
		snprintf(why, HAK_WHY_TEXT, "%s is a link", m->path);
	else if (m->error == -EINVAL || m->error == -EISDIR)
		snprintf(why, HAK_WHY_TEXT, "%s is not a regular file", m->path);
	else if (m->error)
		snprintf(why, HAK_WHY_TEXT, "%s: %s", m->path, strerror(-m->error));
	else if (m->names.cut)
		snprintf(why, HAK_WHY_TEXT, "%s is too long: only its beginning was read", m->path);
	else if (m->names.strange)
		snprintf(why, HAK_WHY_TEXT,
			 "%s has no name for some addresses; %zu of its lines are not understood",
			 m->path, m->names.strange);
	else
		snprintf(why, HAK_WHY_TEXT, "%s has no name for some addresses", m->path);
	return true;
}
