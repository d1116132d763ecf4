/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: any text as a service's files below a root, split at zero bytes into the unit file, a
 * drop-in, an environment file and the executable. The target reads all that hakmemctl enable,
 * disable and status read of a service.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hakmemctl/service/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const files[] = {
	"etc/systemd/system/x.service",
	"etc/systemd/system/x.service.d/a.conf",
	"etc/default/x",
	"usr/bin/x",
};
#define FILES (sizeof(files) / sizeof(files[0]))

static int new_root(void)
{
	static const char *const folders[] = {
		"etc",
		"etc/default",
		"etc/systemd",
		"etc/systemd/system",
		"etc/systemd/system/x.service.d",
		"usr",
		"usr/bin",
		"usr/lib",
	};
	char path[] = "root.XXXXXX";
	int root;

	if (!mkdtemp(path))
		abort();
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mkdirat(root, folders[i], 0755) < 0)
			abort();
	return root;
}

static void put(int root, const char *name, const uint8_t *data, size_t size)
{
	int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

static void use(const struct ctl_unit *unit)
{
	struct ctl_verdict verdict;
	char *value = NULL, path[PATH_MAX];

	ctl_unit_preload(unit, true, &value);
	free(value);
	ctl_unit_drop_in(unit, false, path);
	ctl_preloadable(unit, "/usr/lib/libhakmem.so.0", &verdict);
	if (!memchr(verdict.why, '\0', sizeof(verdict.why)) || verdict.notes > CTL_NOTES)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int root = -1;
	char why[HAK_WHY_TEXT] = "";
	struct ctl_unit *unit;

	if (root < 0)
		root = new_root();
	for (size_t i = 0; i < FILES; i++) {
		const uint8_t *end = i < FILES - 1 && size ? memchr(data, 0, size) : NULL;
		size_t n = end ? (size_t)(end - data) : size;

		put(root, files[i], data, n);
		data += n + (end != NULL);
		size -= n + (end != NULL);
	}
	if (ctl_unit_load(root, "x.service", &unit, why) == 0) {
		use(unit);
		ctl_unit_free(unit);
	} else if (!why[0]) {
		abort();
	}
	return 0;
}
