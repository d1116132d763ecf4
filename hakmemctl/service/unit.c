/* SPDX-License-Identifier: MIT */
/*
 * A systemd service as its files describe it, see unit.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/conf.h"
#include "control/grow.h"
#include "hakmemctl/service/unit.h"

/* The folders of systemd, the one with the highest precedence first; systemd.unit(5), "System Unit
 * Search Path". */
static const char *const folders[] = {
	"/etc/systemd/system.control", "/run/systemd/system.control",
	"/run/systemd/transient",      "/run/systemd/generator.early",
	"/etc/systemd/system",	       "/etc/systemd/system.attached",
	"/run/systemd/system",	       "/run/systemd/system.attached",
	"/run/systemd/generator",      "/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system",     "/lib/systemd/system",
	"/run/systemd/generator.late",
};
#define FOLDERS (sizeof(folders) / sizeof(folders[0]))

/* The limits on all files of a unit together and on their settings: more than a person writes, and
 * less than would slow this program down. */
#define BYTES_MAX    (1u << 20)
#define SETTINGS_MAX 2048u

/* -- words ------------------------------------------------------------------------------------- */
/* The character of `n` digits, or -1. */
static long digits(const char *p, size_t n, int base)
{
	char text[9], *end;
	long c;

	snprintf(text, sizeof(text), "%.*s", (int)n, p);
	if (strspn(text, "0123456789abcdefABCDEF") != n)
		return -1;
	c = strtol(text, &end, base);
	return *end || c == 0 ? -1 : c;
}

static char *put_utf8(char *out, long c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*out++ = (char)(0xe0 | c >> 12);
		} else {
			*out++ = (char)(0xf0 | c >> 18);
			*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (c & 0x3f));
	return out;
}

/* Resolves the escape after a backslash and moves *at after it. The result is not longer than the
 * escape. False: it is no escape. */
static bool unescape(const char **at, char **out)
{
	static const char letters[] = "abfnrtv\\\"'s", meant[] = "\a\b\f\n\r\t\v\\\"' ";
	const char *letter = **at ? strchr(letters, **at) : NULL;
	size_t n = 0, skip = 1;
	int base = 16;
	long c;

	if (letter) {
		*(*out)++ = meant[letter - letters];
		++*at;
		return true;
	}
	switch (**at) {
	case 'x':
		n = 2;
		break;
	case 'u':
		n = 4;
		break;
	case 'U':
		n = 8;
		break;
	case '0' ... '3':
		n = 3, skip = 0, base = 8;
		break;
	default:
		return false;
	}
	c = digits(*at + skip, n, base);
	if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return false;
	if (n <= 3)
		*(*out)++ = (char)c;
	else
		*out = put_utf8(*out, c);
	*at += skip + n;
	return true;
}

char *ctl_next_word(const char **at)
{
	const char *p = *at + strspn(*at, " \t\n\r");
	char *word, *out, quote = 0;

	if (!*p)
		return NULL;
	word = out = malloc(strlen(p) + 1);
	if (!word)
		return NULL;
	while (*p && (quote || !strchr(" \t\n\r", *p))) {
		char c = *p++;

		if (quote ? c == quote : c == '"' || c == '\'') {
			quote = quote ? 0 : c;
		} else if (c != '\\') {
			*out++ = c;
		} else if (!unescape(&p, &out)) {
			free(word);
			return NULL;
		}
	}
	*out = '\0';
	*at = p;
	return word;
}

/* -- settings ---------------------------------------------------------------------------------- */
struct reader {
	struct ctl_unit *unit;
	bool manager; /* the file is systemd's, of which one setting is read */
	int error;
	const char *path; /* as systemd sees it */
};

/* Settings that a unit may contain more than once, of which each counts. */
static bool is_list(const char *name)
{
	static const char *const lists[] = {
		"BindPaths",	   "BindReadOnlyPaths", "DefaultEnvironment",  "Environment",
		"EnvironmentFile", "ExecPaths",		"ExecStart",	       "InaccessiblePaths",
		"NoExecPaths",	   "PassEnvironment",	"TemporaryFileSystem", "UnsetEnvironment",
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcmp(lists[i], name) == 0)
			return true;
	return false;
}

static void drop(struct ctl_unit *unit, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < unit->n; i++) {
		if (strcmp(unit->settings[i].name, name) == 0) {
			free(unit->settings[i].name);
			free(unit->settings[i].value);
		} else {
			unit->settings[kept++] = unit->settings[i];
		}
	}
	unit->n = kept;
}

static int on_line(const struct hak_conf_line *line, void *arg, char why[HAK_WHY_TEXT])
{
	struct reader *reader = arg;
	struct ctl_unit *unit = reader->unit;
	struct ctl_setting *grown, *s;

	if (strcmp(line->section, reader->manager ? "Manager" : "Service") != 0 ||
	    (strcmp(line->name, "DefaultEnvironment") == 0) != reader->manager)
		return 0;
	if (!*line->value || !is_list(line->name))
		drop(unit, line->name);
	if (!*line->value)
		return 0;
	if (unit->n == SETTINGS_MAX) {
		reader->error = -E2BIG;
		return 0;
	}
	grown = hak_grow(unit->settings, unit->n, &unit->room, sizeof(*grown));
	if (!grown) {
		reader->error = -ENOMEM;
		return 0;
	}
	unit->settings = grown;
	s = &grown[unit->n++];
	s->name = strdup(line->name);
	s->value = strdup(line->value);
	s->path = reader->path;
	if (!s->name || !s->value)
		reader->error = -ENOMEM;
	return 0;
}

/* systemd reports what it does with an invalid line. It is ignored here, as systemd does. */
static void on_bad(const char *path, unsigned line, const char *section, const char *why, void *arg)
{
}

static int cannot_read(const char *path, int error, char why[HAK_WHY_TEXT])
{
	const char *text = error == -EFBIG    ? "it is too large"
			   : error == -E2BIG  ? "with this file the unit has too many settings"
			   : error == -EINVAL ? "it is no regular text file"
					      : strerror(-error);

	snprintf(why, HAK_WHY_TEXT, "%.200s: %.60s", path, text);
	return error;
}

/* A copy of the path that lives as long as the unit; NULL: no memory. */
static const char *keep_path(struct ctl_unit *unit, const char *path)
{
	size_t bytes = strlen(path) + 1;
	struct ctl_file *file = malloc(sizeof(*file) + bytes);

	if (!file)
		return NULL;
	memcpy(file->path, path, bytes);
	file->next = unit->files;
	unit->files = file;
	return file->path;
}

/* Reads an open file and closes it. `fd` may be the -errno of an open. */
static int read_opened(struct ctl_unit *unit, int fd, const char *path, bool manager,
		       char why[HAK_WHY_TEXT])
{
	struct reader reader = { .unit = unit, .manager = manager };
	const struct hak_conf_reader callbacks = { .see = on_line, .bad = on_bad, .arg = &reader };
	size_t bytes;
	char *text;
	int r = fd < 0 ? fd : hak_conf_text_of(fd, &text, &bytes);

	if (fd >= 0)
		close(fd);
	if (r < 0)
		return cannot_read(path, r, why);
	unit->bytes += bytes;
	reader.path = keep_path(unit, path);
	if (!reader.path)
		reader.error = -ENOMEM;
	else if (unit->bytes > BYTES_MAX)
		reader.error = -EFBIG;
	else
		hak_conf_parse(path, text, bytes, &callbacks);
	free(text);
	return reader.error < 0 ? cannot_read(path, reader.error, why) : 0;
}

/* -- files ------------------------------------------------------------------------------------- */
/* The template foo@.service of "foo@bar.service", which has no file of its own; "" for other
 * names. */
static void template_of(const char *name, char out[HAK_UNIT_NAME_BYTES])
{
	const char *at = strchr(name, '@'), *suffix = strrchr(name, '.');

	out[0] = '\0';
	if (at && suffix && suffix > at + 1)
		snprintf(out, HAK_UNIT_NAME_BYTES, "%.*s%s", (int)(at + 1 - name), name, suffix);
}

/* Whether the file is a link to /dev/null, which a root folder need not contain. */
static bool is_masked(const struct ctl_unit *unit, const char *folder, const char *name)
{
	int fd = hak_open_in(unit->root, folder, O_PATH | O_DIRECTORY);
	char to[16];
	ssize_t n;

	if (fd < 0)
		return false;
	n = readlinkat(fd, name, to, sizeof(to));
	close(fd);
	return n == 9 && memcmp(to, "/dev/null", 9) == 0;
}

/* Finds the unit file and sets unit->fragment. Returns a descriptor, -ENOENT, -ERFKILL or
 * -errno. */
static int find_fragment(struct ctl_unit *unit, const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, r;

	for (size_t i = 0; i < FOLDERS; i++) {
		if (is_masked(unit, folders[i], name))
			return -ERFKILL;
		snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		fd = hak_open_in(unit->root, path, O_PATH);
		if (fd < 0)
			continue;
		r = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0
			    ? -ERFKILL
			    : hak_path_in(unit->root, fd, unit->fragment);
		close(fd);
		return r < 0 ? r : hak_open_file_in(unit->root, path);
	}
	return -ENOENT;
}

/* foo-bar.service also uses foo-.service.d: cuts a name after its last dash but one. */
static bool shorten(char name[HAK_UNIT_NAME_BYTES])
{
	char *end = strrchr(name, '.'), suffix[32];

	if (!end || end == name || strlen(end) >= sizeof(suffix))
		return false;
	strcpy(suffix, end);
	if (end[-1] == '-')
		end--;
	while (end > name && end[-1] != '-')
		end--;
	if (end == name)
		return false;
	strcpy(end, suffix);
	return true;
}

static int add_folder(char **list, const char *folder, const char *name)
{
	char *longer;

	if (asprintf(&longer, "%s%s%s/%s.d", *list ? *list : "", *list ? ":" : "", folder, name) <
	    0)
		return -ENOMEM;
	free(*list);
	*list = longer;
	return 0;
}

/* The names of the unit's folders with drop-ins below one folder. */
static int add_variants(char **list, const char *folder, const struct ctl_unit *unit)
{
	char variant[HAK_UNIT_NAME_BYTES];
	int r = add_folder(list, folder, unit->name);

	template_of(unit->name, variant);
	if (r == 0 && variant[0])
		r = add_folder(list, folder, variant);
	strcpy(variant, unit->name);
	while (r == 0 && shorten(variant))
		r = add_folder(list, folder, variant);
	return r;
}

/* All folders with drop-ins of the unit, the one with the highest precedence first, separated by
 * colons. A folder precedes, with all names of the unit, the next one. */
static int drop_in_folders(const struct ctl_unit *unit, char **ret)
{
	int r = 0;

	*ret = NULL;
	for (size_t i = 0; r == 0 && i < FOLDERS; i++)
		r = add_variants(ret, folders[i], unit);
	for (size_t i = 0; r == 0 && i < FOLDERS; i++)
		r = add_folder(ret, folders[i], "service");
	return r;
}

/* Reads all files of these folders, which are separated by colons. */
static int read_folders(struct ctl_unit *unit, const char *path, bool manager,
			char why[HAK_WHY_TEXT])
{
	struct hak_conf_file *files;
	size_t n;
	int r = hak_conf_files_in(unit->root, path, ".conf", &files, &n);

	if (r < 0) {
		snprintf(why, HAK_WHY_TEXT, "the files of %.200s: %.60s", unit->name,
			 r == -E2BIG ? "there are too many in one place" : strerror(-r));
		return r;
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		int fd = files[i].masked ? -ENOENT : hak_open_file_in(unit->root, files[i].path);

		/* A file that was removed meanwhile, or a link to nothing, does not exist for
		 * systemd. */
		if (fd != -ENOENT)
			r = read_opened(unit, fd, files[i].path, manager, why);
	}
	hak_conf_files_free(files, n);
	return r;
}

static int read_drop_ins(struct ctl_unit *unit, char why[HAK_WHY_TEXT])
{
	char *path;
	int r = drop_in_folders(unit, &path);

	r = r < 0 ? cannot_read(unit->name, r, why) : read_folders(unit, path, false, why);
	free(path);
	return r;
}

/* Reads the settings that the manager gives to all services; systemd-system.conf(5). */
static int read_manager(struct ctl_unit *unit, char why[HAK_WHY_TEXT])
{
	static const char *const places[] = { "/etc/systemd", "/run/systemd",
					      "/usr/local/lib/systemd", "/usr/lib/systemd" };
	char path[PATH_MAX], *path_list = NULL;
	bool have_main = false;
	int r = 0, fd;

	for (size_t i = 0; r == 0 && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/system.conf", places[i]);
		fd = have_main ? -ENOENT : hak_open_file_in(unit->root, path);
		if (fd != -ENOENT && fd != -ENOTDIR) {
			have_main = true;
			r = read_opened(unit, fd, path, true, why);
		}
	}
	for (size_t i = 0; r == 0 && i < sizeof(places) / sizeof(places[0]); i++)
		if (add_folder(&path_list, places[i], "system.conf") < 0)
			r = cannot_read(unit->name, -ENOMEM, why);
	if (r == 0)
		r = read_folders(unit, path_list, true, why);
	free(path_list);
	return r;
}

void ctl_unit_drop_in(const struct ctl_unit *unit, bool runtime, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/systemd/system/%s.d/" CTL_DROP_IN, runtime ? "/run" : "/etc",
		 unit->name);
}

static bool have_drop_in(const struct ctl_unit *unit, bool runtime)
{
	char path[PATH_MAX];
	int fd;

	ctl_unit_drop_in(unit, runtime, path);
	fd = hak_open_in(unit->root, path, O_PATH);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void find_ours(struct ctl_unit *unit)
{
	unit->ours_etc = have_drop_in(unit, false);
	unit->ours_run = have_drop_in(unit, true);
}

static int name_unit(struct ctl_unit *unit, const char *name, char why[HAK_WHY_TEXT])
{
	const char *suffix = strrchr(name, '.');
	int n = snprintf(unit->name, sizeof(unit->name), "%s%s", name,
			 suffix && hak_unit_name_valid(name) ? "" : ".service");

	if (n >= (int)sizeof(unit->name) || strchr(name, '/') || !hak_unit_name_valid(unit->name)) {
		snprintf(why, HAK_WHY_TEXT, "\"%.60s\" is no name of a unit", name);
		return -EINVAL;
	}
	suffix = strrchr(unit->name, '.');
	if (strcmp(suffix, ".service") != 0) {
		snprintf(why, HAK_WHY_TEXT,
			 "%.200s is no service: systemd gives an environment to services only",
			 unit->name);
		return -EINVAL;
	}
	return 0;
}

/* A link to the file of another unit is an alias, and one to another template is an alias of its
 * instance. A link to any other file is not. */
static void take_own_name(struct ctl_unit *unit, const char *template)
{
	const char *own = strrchr(unit->fragment, '/') + 1, *end = strstr(own, "@.");
	char name[HAK_UNIT_NAME_BYTES];
	int n;

	if (!hak_unit_name_valid(own) || strcmp(own, template) == 0 || (template[0] && !end))
		return;
	n = template[0] ? snprintf(name, sizeof(name), "%.*s%s", (int)(end - own), own,
				   strchr(unit->name, '@'))
			: snprintf(name, sizeof(name), "%s", own);
	if (n < (int)sizeof(name))
		strcpy(unit->name, name);
}

static int load(struct ctl_unit *unit, char why[HAK_WHY_TEXT])
{
	char template[HAK_UNIT_NAME_BYTES];
	int fd = find_fragment(unit, unit->name), r;

	template_of(unit->name, template);
	if (fd == -ENOENT && template[0])
		fd = find_fragment(unit, template);
	if (fd == -ENOENT)
		snprintf(why, HAK_WHY_TEXT, "there is no unit %.200s", unit->name);
	else if (fd == -ERFKILL)
		snprintf(why, HAK_WHY_TEXT, "%.200s is masked", unit->name);
	else if (fd < 0)
		cannot_read(unit->name, fd, why);
	if (fd < 0)
		return fd;
	take_own_name(unit, template);
	r = read_manager(unit, why);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = read_opened(unit, fd, unit->fragment, false, why);
	return r < 0 ? r : read_drop_ins(unit, why);
}

int ctl_unit_named(int root, const char *name, struct ctl_unit **ret, char why[HAK_WHY_TEXT])
{
	struct ctl_unit *unit = calloc(1, sizeof(*unit));
	int r;

	if (!unit) {
		snprintf(why, HAK_WHY_TEXT, "out of memory");
		return -ENOMEM;
	}
	unit->root = root;
	r = name_unit(unit, name, why);
	if (r < 0) {
		ctl_unit_free(unit);
		return r;
	}
	find_ours(unit);
	*ret = unit;
	return 0;
}

int ctl_unit_load(int root, const char *name, struct ctl_unit **ret, char why[HAK_WHY_TEXT])
{
	struct ctl_unit *unit;
	int r = ctl_unit_named(root, name, &unit, why);

	if (r < 0)
		return r;
	r = load(unit, why);
	if (r < 0) {
		ctl_unit_free(unit);
		return r;
	}
	/* An alias has another name. */
	find_ours(unit);
	*ret = unit;
	return 0;
}

void ctl_unit_free(struct ctl_unit *unit)
{
	if (!unit)
		return;
	for (size_t i = 0; i < unit->n; i++) {
		free(unit->settings[i].name);
		free(unit->settings[i].value);
	}
	free(unit->settings);
	for (struct ctl_file *file = unit->files, *next; file; file = next) {
		next = file->next;
		free(file);
	}
	free(unit);
}

/* -- questions --------------------------------------------------------------------------------- */
const struct ctl_setting *ctl_unit_nth(const struct ctl_unit *unit, const char *name, size_t i)
{
	for (size_t j = 0; j < unit->n; j++)
		if (strcmp(unit->settings[j].name, name) == 0 && i-- == 0)
			return &unit->settings[j];
	return NULL;
}

const char *ctl_unit_last(const struct ctl_unit *unit, const char *name)
{
	const struct ctl_setting *s = NULL, *next;

	for (size_t i = 0; (next = ctl_unit_nth(unit, name, i)); i++)
		s = next;
	return s ? s->value : NULL;
}

bool ctl_unit_true(const struct ctl_unit *unit, const char *name)
{
	static const char *const words[] = { "1", "yes", "y", "true", "t", "on" };
	const char *value = ctl_unit_last(unit, name);

	for (size_t i = 0; value && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(words[i], value) == 0)
			return true;
	return false;
}

/* Finds the last LD_PRELOAD of all settings of that name. *from and *value stay if there is
 * none. */
static void find_preload(const struct ctl_unit *unit, const char *name, bool with_ours,
			 const struct ctl_setting **from, char **value)
{
	const struct ctl_setting *s;

	for (size_t i = 0; (s = ctl_unit_nth(unit, name, i)); i++) {
		const char *at = s->value, *file = strrchr(s->path, '/');
		char *word;

		if (!with_ours && file && strcmp(file + 1, CTL_DROP_IN) == 0)
			continue;
		while ((word = ctl_next_word(&at))) {
			if (strncmp(word, "LD_PRELOAD=", 11) == 0) {
				free(*value);
				*value = strdup(word + 11);
				*from = s;
			}
			free(word);
		}
	}
}

const struct ctl_setting *ctl_unit_preload(const struct ctl_unit *unit, bool with_ours,
					   char **ret_value)
{
	const struct ctl_setting *from = NULL;

	*ret_value = NULL;
	find_preload(unit, "DefaultEnvironment", true, &from, ret_value);
	find_preload(unit, "Environment", with_ours, &from, ret_value);
	return *ret_value ? from : NULL;
}
