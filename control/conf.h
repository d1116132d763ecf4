/* SPDX-License-Identifier: MIT */
/*
 * Configuration files in systemd's manner: which files there are, and what stands in one.
 *
 * For: hakmemd, hakmemctl. Files of one name in several folders: the first folder wins; a link to
 * /dev/null or an empty file masks those behind it. Sections, NAME=VALUE, comments by # and ; at
 * the begin of a line, lines continued by a backslash. A bad line is told to `bad` and left out;
 * what that means for the rest of the file is the caller's to decide.
 */
#ifndef HAK_CONF_H
#define HAK_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "control/value.h"

/* A file, and a line of one, beyond which nothing that a person wrote goes. */
#define HAK_CONF_MAX_BYTES  (256u << 10)
#define HAK_CONF_LINE_BYTES 4096u
#define HAK_CONF_MAX_FILES  1024u

struct hak_conf_line {
	const char *path;
	unsigned line;
	const char *section, *name, *value; /* trimmed; value may be "" */
};

/* `see` answers 0, or a negative errno with a sentence in `why`: the line is bad. */
struct hak_conf_reader {
	int (*see)(const struct hak_conf_line *line, void *arg, char why[HAK_WHY_TEXT]);
	void (*bad)(const char *path, unsigned line, const char *section, const char *why,
		    void *arg);
	void *arg;
};

/* The text of one file. */
void hak_conf_parse(const char *path, const char *text, size_t bytes,
		    const struct hak_conf_reader *reader);

/* Reads and parses. 0, or -errno when it cannot be read; told to `bad` as line 0. */
int hak_conf_read(const char *path, const struct hak_conf_reader *reader);

/* The whole file in a new string; -EFBIG beyond HAK_CONF_MAX_BYTES, -EINVAL with a NUL in it. */
int hak_conf_text(const char *path, char **ret, size_t *ret_bytes);
int hak_conf_text_of(int fd, char **ret, size_t *ret_bytes);

struct hak_conf_file {
	char *path;
	const char *name; /* points into path, behind the last / */
	bool masked;
};

/*
 * All files of that suffix in the folders of `path`, which are separated by colons, the strongest
 * first; one for each name, in order of names. Masked ones are listed, marked. 0 or -errno; a
 * folder that is not there holds none.
 */
int hak_conf_files(const char *path, const char *suffix, struct hak_conf_file **ret, size_t *ret_n);
/* The same below a root folder, see control/root.h. */
int hak_conf_files_in(int root, const char *path, const char *suffix, struct hak_conf_file **ret,
		      size_t *ret_n);
void hak_conf_files_free(struct hak_conf_file *files, size_t n);

/* The folders hakmem/NAME ("": hakmem itself), in a new string: those of the environment
 * variable if it is set, else below /etc, /run, /usr/local/lib and /usr/lib. */
char *hak_conf_path(const char *name, const char *variable);

/* hakmemd.conf, the strongest there is, then what is in hakmemd.conf.d/, in the order in which they
 * are read ($HAKMEMD_CONF_PATH holds folders instead). 0 or -errno. */
int hak_conf_daemon_files(struct hak_conf_file **ret, size_t *ret_n);

#endif
