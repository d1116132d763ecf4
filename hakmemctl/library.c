/* SPDX-License-Identifier: MIT */
/*
 * Finds the libhakmem of this hakmemctl: the library of the same build folder, or else the one
 * installed beside it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hakmemctl/ctl.h"

/* The folder that this program was started from; false if /proc does not show it. */
static bool own_folder(char *out, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", out, bytes - 1);
	char *slash;

	if (n <= 0)
		return false;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

static bool usable(const char *folder, const char *relative, char path[HAK_PATH_BYTES])
{
	char joined[PATH_MAX], real[PATH_MAX];

	if (snprintf(joined, sizeof(joined), "%s/%s", folder, relative) >= (int)sizeof(joined) ||
	    !realpath(joined, real) || strlen(real) >= HAK_PATH_BYTES || access(real, R_OK) < 0)
		return false;
	strcpy(path, real);
	return true;
}

int ctl_find_library(char path[HAK_PATH_BYTES], char why[HAK_WHY_TEXT])
{
	const char *named = getenv("HAKMEM_LIB");
	char folder[PATH_MAX];

	if (named && *named) {
		if (strlen(named) < HAK_PATH_BYTES && realpath(named, folder) &&
		    strlen(folder) < HAK_PATH_BYTES) {
			strcpy(path, folder);
			return 0;
		}
		snprintf(why, HAK_WHY_TEXT, "HAKMEM_LIB names %.200s, which is not there", named);
		return -ENOENT;
	}
	if (own_folder(folder, sizeof(folder)) &&
	    (usable(folder, "../libhakmem/.libs/libhakmem.so", path) ||
	     usable(folder, "../lib/libhakmem.so.0", path)))
		return 0;
	if (usable(HAK_LIBDIR, "libhakmem.so.0", path))
		return 0;
	snprintf(why, HAK_WHY_TEXT, "libhakmem.so.0 is not in %.200s; install it or set HAKMEM_LIB",
		 HAK_LIBDIR);
	return -ENOENT;
}

/* ld.so takes spaces and colons as separators. */
static bool names_library(const char *list, const char *library)
{
	size_t bytes = strlen(library);

	while (*list) {
		size_t n = strcspn(list, ": ");

		if (n == bytes && memcmp(list, library, n) == 0)
			return true;
		list += n + (list[n] != '\0');
	}
	return false;
}

char *ctl_preload_with(const char *library, const char *old)
{
	char *merged = NULL;

	if (!old || !*old)
		return strdup(library);
	if (names_library(old, library))
		return strdup(old);
	return asprintf(&merged, "%s:%s", library, old) < 0 ? NULL : merged;
}
