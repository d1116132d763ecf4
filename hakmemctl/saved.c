/* SPDX-License-Identifier: MIT */
/*
 * Reads the answer of `hakmemctl stats --json` from a file, see saved.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/documents.h"
#include "hakmemctl/saved.h"

/* Reads up to `room` bytes. Returns their number, or -errno. */
static ssize_t read_up_to(int fd, char *text, size_t room)
{
	size_t n = 0;

	while (n < room) {
		ssize_t got = read(fd, text + n, room - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

/* Returns the file as a string in *ret, or -errno with a sentence. */
static int read_text(const char *path, char **ret, char why[HAK_WHY_TEXT])
{
	const size_t room = HAK_DOCUMENT_BYTES + 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text = fd < 0 ? NULL : malloc(room + 1);
	ssize_t n = fd < 0 ? -errno : text ? read_up_to(fd, text, room) : -ENOMEM;

	if (fd >= 0)
		close(fd);
	if (n >= 0) {
		text[n] = '\0';
		*ret = text;
		if (strlen(text) == (size_t)n)
			return 0;
		snprintf(why, HAK_WHY_TEXT, "it holds a NUL byte, and is no JSON");
		n = -EBADMSG;
	} else {
		snprintf(why, HAK_WHY_TEXT, "%s", strerror((int)-n));
	}
	free(text);
	return (int)n;
}

/* A file of another verb, or of a later hakmemctl that changed a meaning, is no snapshot. */
static int check_kind(struct json_object *o, char why[HAK_WHY_TEXT])
{
	uint64_t schema = hak_json_get(o, "schema");

	if (schema != HAK_JSON_SCHEMA)
		snprintf(why, HAK_WHY_TEXT, "`schema` is %" PRIu64 ", and this hakmemctl reads %d",
			 schema, HAK_JSON_SCHEMA);
	else if (strcmp(hak_json_get_text(o, "verb"), "stats") != 0)
		snprintf(why, HAK_WHY_TEXT, "`verb` is not \"stats\"");
	else if (json_object_array_length(hak_json_member(o, "processes")) == 0)
		snprintf(why, HAK_WHY_TEXT, "`processes` is empty");
	else
		return 0;
	return -EBADMSG;
}

int ctl_saved_read(const char *path, struct json_object **ret, char why[HAK_WHY_TEXT])
{
	struct json_object *o;
	char *text = NULL;
	int r = read_text(path, &text, why);

	if (r < 0)
		return r;
	r = hak_document_read(text, HAK_DOCUMENT_SNAPSHOT, false, &o, why);
	free(text);
	if (r < 0)
		return r;
	r = check_kind(o, why);
	if (r < 0) {
		json_object_put(o);
		return r;
	}
	*ret = o;
	return 0;
}
