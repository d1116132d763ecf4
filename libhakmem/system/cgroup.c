/* SPDX-License-Identifier: MIT */
/* The memory limit of the control groups. See cgroup.h. */
#include "cgroup.h"

#include <stdbool.h>
#include <string.h>

#include "os.h"

#define PATH_BYTES 512u
#define V2_ROOT	   "/sys/fs/cgroup"
#define V1_ROOT	   "/sys/fs/cgroup/memory"

/* Limits of 2^62 and more stand for none: v1 has no other word for it. */
#define NO_LIMIT ((uint64_t)1 << 62)

static uint64_t read_limit(const char *group, size_t bytes, const char *file)
{
	char path[PATH_BYTES + 32], text[32];
	uint64_t n = 0;
	const char *at = text;

	memcpy(path, group, bytes);
	memcpy(path + bytes, file, strlen(file) + 1);
	if (!hak_os_read_text(path, text, sizeof(text)) || *at < '0' || *at > '9')
		return UINT64_MAX; /* "max", or no such file: the root has none */
	for (; *at >= '0' && *at <= '9' && n < NO_LIMIT; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n < NO_LIMIT ? n : UINT64_MAX;
}

/* Returns the next `c` of the line, or where the line ends. */
static const char *find(const char *s, char c)
{
	while (*s && *s != c)
		s++;
	return s;
}

/* The words of a list, each behind the character before it, have `separator` between them. */
static bool has_word(const char *s, const char *end, char separator, const char *word)
{
	size_t bytes = strlen(word);

	while (s < end) {
		const char *at = ++s;

		while (s < end && *s != separator)
			s++;
		if ((size_t)(s - at) == bytes && !memcmp(at, word, bytes))
			return true;
	}
	return false;
}

struct search {
	char path[PATH_BYTES];
	size_t bytes; /* of `path`; 0: no group, or none that can be read */
	bool v1, v2;  /* found */
};

static void set_path(struct search *s, const char *root, const char *group)
{
	size_t bytes = strlen(group), of_root = strlen(root);

	s->bytes = 0;
	/* a group outside of the cgroup namespace, whose name could lead to any file */
	if (*group != '/' || of_root + bytes >= PATH_BYTES ||
	    has_word(group, group + bytes, '/', ".."))
		return;
	memcpy(s->path, root, of_root);
	memcpy(s->path + of_root, group, bytes);
	s->bytes = of_root + bytes;
}

/* A line is "number:controllers:/path", and "0::/path" that of v2. */
static void see_group(const char *line, void *arg)
{
	struct search *s = arg;
	const char *controllers = find(line, ':');
	const char *group = *controllers ? find(controllers + 1, ':') : controllers;

	if (!*group || s->v1)
		return;
	if (has_word(controllers, group, ',', "memory")) {
		s->v1 = true;
		set_path(s, V1_ROOT, group + 1);
	} else if (!s->v2 && group == controllers + 1) {
		s->v2 = true;
		set_path(s, V2_ROOT, group + 1);
	}
}

uint64_t hak_cgroup_memory_limit(void)
{
	struct search s = { .bytes = 0 };
	char line[2 * PATH_BYTES]; /* of a longer one the path is too long as well */
	uint64_t least = UINT64_MAX;
	size_t bytes, root;

	if (hak_os_sandboxed())
		return UINT64_MAX;
	hak_os_each_line("/proc/self/cgroup", line, sizeof(line), see_group, &s);
	bytes = s.bytes;
	root = s.v1 ? strlen(V1_ROOT) : strlen(V2_ROOT);
	/* in a container the path may be the host's; the root is the container's group then */
	while (bytes >= root && bytes) {
		uint64_t most =
			read_limit(s.path, bytes, s.v1 ? "/memory.limit_in_bytes" : "/memory.max");
		uint64_t high = s.v1 ? UINT64_MAX : read_limit(s.path, bytes, "/memory.high");

		least = most < least ? most : least;
		least = high < least ? high : least;
		while (bytes && s.path[--bytes] != '/')
			;
	}
	return least;
}
