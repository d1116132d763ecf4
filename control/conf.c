/* SPDX-License-Identifier: MIT */
/*
 * Configuration files, see conf.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/conf.h"
#include "control/grow.h"
#include "control/root.h"

/* -- one file ---------------------------------------------------------------------------------- */
struct parser {
	const char *path;
	const struct hak_conf_reader *reader;
	char section[64];
	bool in_section; /* a valid one; a bad head was reported with its lines */
	bool skip;	 /* leave out the lines below a bad head */
};

static char *trim(char *text)
{
	size_t n;

	text += strspn(text, " \t\r");
	n = strlen(text);
	while (n && strchr(" \t\r", text[n - 1]))
		text[--n] = '\0';
	return text;
}

static void bad(struct parser *p, unsigned line, const char *why)
{
	p->reader->bad(p->path, line, p->in_section ? p->section : "", why, p->reader->arg);
}

static void take_section(struct parser *p, unsigned number, char *text)
{
	size_t n = strlen(text);

	p->in_section = false;
	p->skip = true;
	if (n < 3 || text[n - 1] != ']' || n - 2 >= sizeof(p->section)) {
		bad(p, number, "this is no [Section]; what follows it is left out");
		return;
	}
	memcpy(p->section, text + 1, n - 2);
	p->section[n - 2] = '\0';
	p->in_section = true;
	p->skip = false;
}

static void take_line(struct parser *p, unsigned number, char *text)
{
	struct hak_conf_line line = { .path = p->path, .line = number, .section = p->section };
	char why[HAK_WHY_TEXT] = "", *equals;

	text = trim(text);
	if (!*text || *text == '#' || *text == ';')
		return;
	if (*text == '[') {
		take_section(p, number, text);
		return;
	}
	if (p->skip)
		return;
	equals = strchr(text, '=');
	if (!p->in_section) {
		bad(p, number,
		    "this line stands before the first [Section], so all lines up to there "
		    "are ignored");
		p->skip = true;
		return;
	}
	if (!equals || equals == text) {
		bad(p, number, "this is not NAME=VALUE");
		return;
	}
	*equals = '\0';
	line.name = trim(text);
	line.value = trim(equals + 1);
	if (p->reader->see(&line, p->reader->arg, why) < 0)
		bad(p, number, why);
}

static bool is_comment(const char *line, size_t bytes)
{
	size_t i = 0;

	while (i < bytes && strchr(" \t\r", line[i]))
		i++;
	return i < bytes && strchr("#;", line[i]);
}

/* A backslash at the end continues a line, unless another backslash escapes it. */
static bool continues(const char *line, size_t bytes)
{
	size_t n = 0;

	while (n < bytes && line[bytes - 1 - n] == '\\')
		n++;
	return n % 2;
}

void hak_conf_parse(const char *path, const char *text, size_t bytes,
		    const struct hak_conf_reader *reader)
{
	struct parser p = { .path = path, .reader = reader };
	char buf[HAK_CONF_LINE_BYTES];
	size_t used = 0, at = 0;
	unsigned line = 0, first = 1;
	bool too_long = false;

	while (at < bytes) {
		const char *end = memchr(text + at, '\n', bytes - at);
		size_t n = end ? (size_t)(end - text) - at : bytes - at;
		bool comment = is_comment(text + at, n);
		/* A comment between the lines of a value is left out of the value. */
		bool goes_on = comment ? used > 0 : continues(text + at, n);

		line++;
		if (!comment && used + n + 1 >= sizeof(buf))
			too_long = true;
		if (!comment && !too_long) {
			memcpy(buf + used, text + at, n);
			used += n;
			if (goes_on)
				buf[used - 1] = ' ';
		}
		at += n + 1;
		if (goes_on && at < bytes)
			continue;
		buf[used] = '\0';
		if (too_long)
			bad(&p, first, "it is too long");
		else
			take_line(&p, first, buf);
		used = 0;
		too_long = false;
		first = line + 1;
	}
}

int hak_conf_text_of(int fd, char **ret, size_t *ret_bytes)
{
	char *text = malloc(HAK_CONF_MAX_BYTES + 2);
	struct stat st;
	size_t n = 0;
	int r = 0;

	if (!text)
		r = -ENOMEM;
	else if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	while (r == 0 && n <= HAK_CONF_MAX_BYTES) {
		ssize_t got = read(fd, text + n, HAK_CONF_MAX_BYTES + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			r = -errno;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	if (r == 0 && n > HAK_CONF_MAX_BYTES)
		r = -EFBIG;
	if (r == 0 && memchr(text, '\0', n))
		r = -EINVAL;
	if (r < 0) {
		free(text);
		return r;
	}
	text[n] = '\0';
	*ret = text;
	*ret_bytes = n;
	return 0;
}

int hak_conf_text(const char *path, char **ret, size_t *ret_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;

	if (fd < 0)
		return -errno;
	r = hak_conf_text_of(fd, ret, ret_bytes);
	close(fd);
	return r;
}

int hak_conf_read(const char *path, const struct hak_conf_reader *reader)
{
	size_t bytes;
	char *text;
	int r = hak_conf_text(path, &text, &bytes);

	if (r < 0) {
		reader->bad(path, 0, "",
			    r == -EFBIG	   ? "it is too large"
			    : r == -EINVAL ? "it is no text file"
					   : strerror(-r),
			    reader->arg);
		return r;
	}
	hak_conf_parse(path, text, bytes, reader);
	free(text);
	return 0;
}

/* -- all files --------------------------------------------------------------------------------- */
struct list {
	struct hak_conf_file *file;
	size_t n, room;
	int root; /* the folder below which the files are */
};

static bool has_name(const struct list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->file[i].name, name) == 0)
			return true;
	return false;
}

/* A masked file is a link to /dev/null, which a root folder need not have, or an empty file. */
static bool is_masked(int root, const char *path)
{
	int fd = hak_open_in(root, path, O_PATH | O_NOFOLLOW);
	struct stat st = { .st_mode = 0 }, null;
	char to[16];

	if (fd >= 0 && readlinkat(fd, "", to, sizeof(to)) == 9 && memcmp(to, "/dev/null", 9) == 0) {
		close(fd);
		return true;
	}
	if (fd >= 0)
		close(fd);
	fd = hak_open_in(root, path, O_PATH);
	if (fd < 0 || fstat(fd, &st) < 0)
		st.st_mode = 0;
	if (fd >= 0)
		close(fd);
	if (S_ISCHR(st.st_mode) && stat("/dev/null", &null) == 0)
		return st.st_rdev == null.st_rdev;
	return S_ISREG(st.st_mode) && st.st_size == 0;
}

static int add_file(struct list *list, const char *folder, const char *name)
{
	struct hak_conf_file *file, *grown;

	if (list->n == HAK_CONF_MAX_FILES)
		return -E2BIG;
	grown = hak_grow(list->file, list->n, &list->room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->file = grown;
	file = &list->file[list->n];
	if (asprintf(&file->path, "%s/%s", folder, name) < 0)
		return -ENOMEM;
	file->name = file->path + strlen(folder) + 1;
	file->masked = is_masked(list->root, file->path);
	list->n++;
	return 0;
}

static int add_folder(struct list *list, const char *folder, const char *suffix)
{
	int fd = hak_open_in(list->root, folder, O_RDONLY | O_DIRECTORY), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d && fd >= 0)
		close(fd);
	if (!d)
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd < 0 ? fd : -ENOMEM;
	while (r == 0 && (entry = readdir(d))) {
		size_t n = strlen(entry->d_name), s = strlen(suffix);

		if (entry->d_name[0] != '.' && n > s &&
		    strcmp(entry->d_name + n - s, suffix) == 0 && !has_name(list, entry->d_name))
			r = add_file(list, folder, entry->d_name);
	}
	closedir(d);
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct hak_conf_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int hak_conf_files_in(int root, const char *path, const char *suffix, struct hak_conf_file **ret,
		      size_t *ret_n)
{
	struct list list = { .root = root };
	int r = 0;

	while (r == 0 && *path) {
		size_t n = strcspn(path, ":");
		char *folder = strndup(path, n);

		r = folder ? 0 : -ENOMEM;
		if (folder && n)
			r = add_folder(&list, folder, suffix);
		free(folder);
		path += n + (path[n] == ':');
	}
	if (r < 0) {
		hak_conf_files_free(list.file, list.n);
		return r;
	}
	if (list.n)
		qsort(list.file, list.n, sizeof(*list.file), by_name);
	*ret = list.file;
	*ret_n = list.n;
	return 0;
}

int hak_conf_files(const char *path, const char *suffix, struct hak_conf_file **ret, size_t *ret_n)
{
	return hak_conf_files_in(HAK_OWN_ROOT, path, suffix, ret, ret_n);
}

void hak_conf_files_free(struct hak_conf_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(files[i].path);
	free(files);
}

/* Adds the file of that name in the folder of highest precedence that has it. */
static int add_first(struct list *list, const char *path, const char *name)
{
	int r = 0;

	while (r == 0 && *path && list->n == 0) {
		size_t n = strcspn(path, ":");
		char *folder = strndup(path, n), *file = NULL;

		if (!folder || asprintf(&file, "%s/%s", folder, name) < 0)
			r = -ENOMEM;
		else if (n && access(file, F_OK) == 0)
			r = add_file(list, folder, name);
		free(file);
		free(folder);
		path += n + (path[n] == ':');
	}
	return r;
}

int hak_conf_daemon_files(struct hak_conf_file **ret, size_t *ret_n)
{
	struct list list = { .root = HAK_OWN_ROOT }, more = { .root = HAK_OWN_ROOT };
	char *path = hak_conf_path("", "HAKMEMD_CONF_PATH");
	char *folders = hak_conf_path("hakmemd.conf.d", "HAKMEMD_CONF_PATH");
	int r = path && folders ? add_first(&list, path, "hakmemd.conf") : -ENOMEM;

	if (r == 0)
		r = hak_conf_files(folders, ".conf", &more.file, &more.n);
	for (size_t i = 0; r == 0 && i < more.n; i++) {
		char *slash = strrchr(more.file[i].path, '/');
		bool main_file = strcmp(more.file[i].name, "hakmemd.conf") == 0;

		*slash = '\0';
		if (!main_file)
			r = add_file(&list, more.file[i].path, slash + 1);
		*slash = '/';
	}
	hak_conf_files_free(more.file, more.n);
	free(folders);
	free(path);
	if (r < 0) {
		hak_conf_files_free(list.file, list.n);
		return r;
	}
	*ret = list.file;
	*ret_n = list.n;
	return 0;
}

char *hak_conf_path(const char *name, const char *variable)
{
	const char *given = secure_getenv(variable);
	const char *slash = *name ? "/" : "";
	char *path;

	if (given && *given)
		return strdup(given);
	if (asprintf(&path,
		     "/etc/hakmem%s%s:/run/hakmem%s%s:/usr/local/lib/hakmem%s%s:"
		     "/usr/lib/hakmem%s%s",
		     slash, name, slash, name, slash, name, slash, name) < 0)
		return NULL;
	return path;
}
