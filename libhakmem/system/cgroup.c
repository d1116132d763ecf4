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
	while (*s && *s != '\n' && *s != c)
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

/*
 * Puts the folder of the group with the memory controller into `path`: a line of /proc/self/cgroup
 * is "number:controllers:/path", and "0::/path" that of v2. Returns its bytes, 0 if there is none.
 */
static size_t find_group(char *path, bool *ret_v1)
{
	char text[2 * PATH_BYTES];
	const char *line = text, *root = V2_ROOT, *best = NULL;
	size_t bytes;

	if (!hak_os_read_text("/proc/self/cgroup", text, sizeof(text)))
		return 0;
	*ret_v1 = false;
	while (*line) {
		const char *controllers = find(line, ':');
		const char *group = *controllers == ':' ? find(controllers + 1, ':') : NULL;

		if (!group || *group != ':')
			break; /* cut off */
		if (has_word(controllers, group, ',', "memory")) {
			*ret_v1 = true;
			root = V1_ROOT;
			best = group + 1;
		} else if (!best && group == controllers + 1) {
			best = group + 1;
		}
		line = find(group, '\n');
		line += *line == '\n';
	}
	if (!best || *best != '/')
		return 0;
	bytes = (size_t)(find(best, '\n') - best);
	/* a group outside of the cgroup namespace, whose name could lead to any file */
	if (strlen(root) + bytes >= PATH_BYTES || has_word(best, best + bytes, '/', ".."))
		return 0;
	memcpy(path, root, strlen(root));
	memcpy(path + strlen(root), best, bytes);
	return strlen(root) + bytes;
}

uint64_t hak_cgroup_memory_limit(void)
{
	char path[PATH_BYTES];
	uint64_t least = UINT64_MAX;
	size_t bytes, root;
	bool v1;

	if (hak_os_sandboxed())
		return UINT64_MAX;
	bytes = find_group(path, &v1);
	root = v1 ? strlen(V1_ROOT) : strlen(V2_ROOT);
	/* in a container the path may be the host's; the root is the container's group then */
	while (bytes >= root && bytes) {
		uint64_t most =
			read_limit(path, bytes, v1 ? "/memory.limit_in_bytes" : "/memory.max");
		uint64_t high = v1 ? UINT64_MAX : read_limit(path, bytes, "/memory.high");

		least = most < least ? most : least;
		least = high < least ? high : least;
		while (bytes && path[--bytes] != '/')
			;
	}
	return least;
}
