/* SPDX-License-Identifier: MIT */
/*
 * Configuration files in systemd's manner: finds the files, and parses each.
 *
 * For hakmemd and hakmemctl. Of files with one name in several folders the first folder's is used.
 * A link to /dev/null or an empty file masks the files behind it. Files consist of sections,
 * NAME=VALUE, comments by # and ; at the beginning of a line, and lines continued by a backslash. A
 * bad line is reported to `bad` and left out; the caller decides what that means for the rest of
 * the file.
 */
#ifndef HAK_CONF_H
#define HAK_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "control/value.h"

/* Limits on the size of a file and of a line, far above what a person writes. */
#define HAK_CONF_MAX_BYTES  (256u << 10)
#define HAK_CONF_LINE_BYTES 4096u
#define HAK_CONF_MAX_FILES  1024u

struct hak_conf_line {
	const char *path;
	unsigned line;
	const char *section, *name, *value; /* trimmed; value may be "" */
};

/* `see` returns 0, or a negative errno with a sentence in `why` if the line is bad. */
struct hak_conf_reader {
	int (*see)(const struct hak_conf_line *line, void *arg, char why[HAK_WHY_TEXT]);
	void (*bad)(const char *path, unsigned line, const char *section, const char *why,
		    void *arg);
	void *arg;
};

/* Parses the text of one file. */
void hak_conf_parse(const char *path, const char *text, size_t bytes,
		    const struct hak_conf_reader *reader);

/* Reads and parses a file. Returns 0, or -errno when it cannot be read; `bad` then gets line 0. */
int hak_conf_read(const char *path, const struct hak_conf_reader *reader);

/*
 * Reads the whole file into a new string. Returns -EFBIG beyond HAK_CONF_MAX_BYTES, -EINVAL if
 * there is a NUL in it.
 */
int hak_conf_text(const char *path, char **ret, size_t *ret_bytes);
int hak_conf_text_of(int fd, char **ret, size_t *ret_bytes);

struct hak_conf_file {
	char *path;
	const char *name; /* points into path, behind the last / */
	bool masked;
};

/*
 * Finds all files of that suffix in the folders of `path`, which are separated by colons, the one
 * of highest precedence first. The list has one file for each name, in order of names; masked ones
 * are marked. Returns 0 or -errno; an absent folder counts as empty.
 */
int hak_conf_files(const char *path, const char *suffix, struct hak_conf_file **ret, size_t *ret_n);
/* Does the same below a root folder, see control/root.h. */
int hak_conf_files_in(int root, const char *path, const char *suffix, struct hak_conf_file **ret,
		      size_t *ret_n);
void hak_conf_files_free(struct hak_conf_file *files, size_t n);

/* Returns the folders hakmem/NAME ("": hakmem itself) in a new string: those of the environment
 * variable if it is set, otherwise those below /etc, /run, /usr/local/lib and /usr/lib. */
char *hak_conf_path(const char *name, const char *variable);

/* Finds the hakmemd.conf of highest precedence and the files of hakmemd.conf.d/, in the order in
 * which they are read. $HAKMEMD_CONF_PATH replaces the folders. Returns 0 or -errno. */
int hak_conf_daemon_files(struct hak_conf_file **ret, size_t *ret_n);

#endif
