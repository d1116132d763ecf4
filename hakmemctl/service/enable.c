/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl enable and disable: write a drop-in that puts the library into a service's LD_PRELOAD,
 * in front of its old content, and remove the drop-in without a trace. Both work on files alone, so
 * they work without a running systemd, and for a root folder of another system. They restart
 * nothing, and print what has to be restarted. All files are named relative to descriptors of
 * folders that the kernel resolved below that root.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/output.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/service/unit.h"

#define MARK "# Written by hakmemctl enable; hakmemctl disable removes it."

static const struct hak_column columns[] = {
	{ "UNIT", "unit", HAK_SHOW_TEXT },     { "RESULT", "result", HAK_SHOW_RESULT },
	{ "REASON", "reason", HAK_SHOW_TEXT }, { "DROP-IN", "drop_in", HAK_SHOW_TEXT },
	{ "NEXT", "next", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct command {
	int root; /* see control/root.h */
	char root_name[PATH_MAX];
	bool runtime, reload, dry_run, changed;
	struct json_object *rows;
};

/* The result for one unit. */
struct outcome {
	const char *result;
	char reason[HAK_WHY_TEXT], next[HAK_UNIT_NAME_BYTES + 64], drop_in[PATH_MAX];
};

/* -- files ------------------------------------------------------------------------------------- */
/* A drop-in, by the folder that contains it. */
struct folder {
	int fd, parent;	     /* -1: not open */
	const char *name;    /* in the parent */
	char path[PATH_MAX]; /* as systemd sees it */
};

static void folder_close(struct folder *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->parent >= 0)
		close(f->parent);
}

/* Opens the next folder of the path, `path` from the root on. A missing folder is created as
 * systemctl does. */
static int open_or_make(int root, int parent, const char *path, bool make)
{
	int fd = hak_open_in(root, path, O_PATH | O_DIRECTORY);

	if (fd != -ENOENT || !make)
		return fd;
	if (mkdirat(parent, strrchr(path, '/') + 1, 0755) < 0 && errno != EEXIST)
		return -errno;
	return hak_open_in(root, path, O_PATH | O_DIRECTORY);
}

/* Opens the folder of this drop-in, and with `make` creates all folders above it. 0, or -errno with
 * nothing open. */
static int folder_open(int root, const char *drop_in, bool make, struct folder *ret)
{
	char *slash;
	int r = 0;

	*ret = (struct folder){ .parent = -1, .fd = hak_open_in(root, "/", O_PATH | O_DIRECTORY) };
	if (ret->fd < 0)
		return ret->fd;
	snprintf(ret->path, sizeof(ret->path), "%s", drop_in);
	*strrchr(ret->path, '/') = '\0';
	for (slash = ret->path; r == 0 && slash; slash = strchr(slash + 1, '/')) {
		char *end = strchrnul(slash + 1, '/'), kept = *end;
		int fd;

		*end = '\0';
		fd = open_or_make(root, ret->fd, ret->path, make);
		*end = kept;
		if (fd < 0) {
			r = fd;
			break;
		}
		if (ret->parent >= 0)
			close(ret->parent);
		ret->parent = ret->fd;
		ret->fd = fd;
	}
	ret->name = strrchr(ret->path, '/') + 1;
	if (r < 0)
		folder_close(ret);
	return r;
}

/* Removes the folder if it is empty. If it is a link to a folder, it stays. */
static void folder_remove(const struct folder *f)
{
	unlinkat(f->parent, f->name, AT_REMOVEDIR);
}

/* Returns 0, -ENOENT, -EEXIST (the drop-in was not written by enable) or -errno. */
static int is_ours(const struct folder *f)
{
	char line[sizeof(MARK)] = "";
	int fd = hak_open_file_at(f->fd, CTL_DROP_IN), r;

	if (fd < 0)
		return fd == -EINVAL || fd == -EISDIR || fd == -ELOOP ? -EEXIST : fd;
	r = pread(fd, line, strlen(MARK), 0) < 0 ? -errno : strcmp(line, MARK) == 0 ? 0 : -EEXIST;
	close(fd);
	return r;
}

/* Writes the value in double quotes, by systemd.syntax(7). % in the library's path is doubled,
 * because systemd expands it. */
static void put_quoted(FILE *to, const char *value, bool expand)
{
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putc('\\', to);
		if (*value == '%' && !expand)
			putc('%', to);
		if ((unsigned char)*value < ' ')
			fprintf(to, "\\x%02x", *value);
		else
			putc(*value, to);
	}
}

static char *drop_in_text(const char *library, const char *old)
{
	char *text = NULL, *merged = ctl_preload_with(library, old);
	size_t bytes;
	FILE *to = merged ? open_memstream(&text, &bytes) : NULL;

	if (to) {
		fprintf(to, MARK "\n[Service]\nEnvironment=\"LD_PRELOAD=");
		if (strncmp(merged, library, strlen(library)) == 0) {
			put_quoted(to, library, false);
			put_quoted(to, merged + strlen(library), true);
		} else {
			put_quoted(to, merged, true);
		}
		fputs("\"\n", to);
		if (fclose(to) != 0) {
			free(text);
			text = NULL;
		}
	}
	free(merged);
	return text;
}

/* -- the library ------------------------------------------------------------------------------- */
/*
 * The path of the library that stays the same when the next version is installed. In the root
 * folder of another system, the library has the path for which this hakmemctl was built.
 */
static int library_path(const struct command *cmd, char path[HAK_PATH_BYTES],
			char why[HAK_WHY_TEXT])
{
	char stable[PATH_MAX], found[PATH_MAX];
	const char *named = getenv("HAKMEM_LIB");
	int r = 0, fd;

	if (cmd->root == HAK_OWN_ROOT) {
		r = ctl_find_library(path, why);
		if (r < 0)
			return r;
		snprintf(stable, sizeof(stable), "%.*s/libhakmem.so.0",
			 (int)(strrchr(path, '/') - path), path);
		if (realpath(stable, found) && strcmp(found, path) == 0)
			snprintf(path, HAK_PATH_BYTES, "%.500s", stable);
	} else {
		snprintf(path, HAK_PATH_BYTES, "%.500s",
			 named && *named == '/' ? named : HAK_LIBDIR "/libhakmem.so.0");
		fd = hak_open_in(cmd->root, path, O_PATH);
		if (fd >= 0)
			close(fd);
		r = fd < 0 ? fd : 0;
		if (r < 0)
			snprintf(why, HAK_WHY_TEXT, "%.200s is not in %.80s", path, cmd->root_name);
	}
	if (r == 0 && strpbrk(path, " :")) {
		snprintf(why, HAK_WHY_TEXT,
			 "LD_PRELOAD cannot hold a path with spaces or colons: %.200s", path);
		r = -EINVAL;
	}
	return r;
}

/* -- one unit ---------------------------------------------------------------------------------- */
static void failed(struct outcome *o, int error)
{
	o->result = "failed";
	snprintf(o->reason, sizeof(o->reason), "%.200s: %.60s", o->drop_in, strerror(-error));
}

static void tell_restart(const struct command *cmd, const struct ctl_unit *unit, struct outcome *o)
{
	bool template = strstr(unit->name, "@.");
	size_t stem = strcspn(unit->name, "@") + template;
	const char *quote;

	if (cmd->root != HAK_OWN_ROOT || !ctl_unit_runs(unit->name))
		return;
	/* The output is meant to be pasted into a shell, so a backslash and a star are quoted. */
	quote = template || strchr(unit->name, '\\') ? "'" : "";
	snprintf(o->next, sizeof(o->next), "systemctl restart %s%.*s%s%s%s", quote, (int)stem,
		 unit->name, template ? "*" : "", unit->name + stem, quote);
}

static void notes_json(struct json_object *row, const struct ctl_verdict *v)
{
	struct json_object *notes = json_object_new_array();

	for (size_t i = 0; v && i < v->notes; i++) {
		struct json_object *o = json_object_new_object();

		hak_json_text(o, "note", v->note[i]);
		json_object_array_add(notes, json_object_get(json_object_object_get(o, "note")));
		json_object_put(o);
		ctl_complain("hakmemctl: note: %s\n", v->note[i]);
	}
	json_object_object_add(row, "notes", notes);
}

static void add_row(struct command *cmd, const char *unit, const struct outcome *o,
		    const struct ctl_verdict *v)
{
	struct json_object *row = json_object_new_object();

	hak_json_text(row, "unit", unit);
	hak_json_text(row, "result", o->result);
	hak_json_text(row, "reason", o->reason[0] ? o->reason : NULL);
	hak_json_text(row, "drop_in", o->drop_in[0] ? o->drop_in : NULL);
	hak_json_text(row, "next", o->next[0] ? o->next : NULL);
	notes_json(row, v);
	json_object_array_add(cmd->rows, row);
}

static void foretold(const struct command *cmd, const struct ctl_unit *unit, struct outcome *o)
{
	o->result = "dry-run";
	tell_restart(cmd, unit, o);
}

static void enable_loaded(struct command *cmd, const struct ctl_unit *unit, const char *library,
			  struct outcome *o)
{
	struct folder folder;
	char *old, *text;
	int r;

	ctl_unit_drop_in(unit, cmd->runtime, o->drop_in);
	r = folder_open(cmd->root, o->drop_in, !cmd->dry_run, &folder);
	if (cmd->dry_run && r == -ENOENT) {
		foretold(cmd, unit, o);
		return;
	}
	if (r < 0) {
		failed(o, r);
		return;
	}
	r = is_ours(&folder);
	if (r == -EEXIST) {
		o->result = "refused";
		snprintf(o->reason, sizeof(o->reason),
			 "there is a file of that name which hakmemctl did not write");
	} else if (cmd->dry_run) {
		foretold(cmd, unit, o);
	}
	if (r == -EEXIST || cmd->dry_run) {
		folder_close(&folder);
		return;
	}
	ctl_unit_preload(unit, false, &old);
	text = drop_in_text(library, old);
	free(old);
	r = text ? hak_replace_at(folder.fd, CTL_DROP_IN, text, strlen(text)) : -ENOMEM;
	free(text);
	if (r < 0)
		folder_remove(&folder);
	folder_close(&folder);
	if (r < 0) {
		failed(o, r);
		return;
	}
	o->result = "enabled";
	cmd->changed = true;
	tell_restart(cmd, unit, o);
}

static int enable_one(struct command *cmd, const char *name)
{
	struct outcome o = { .result = "refused" };
	struct ctl_verdict verdict = { .notes = 0 };
	char library[HAK_PATH_BYTES];
	struct ctl_unit *unit = NULL;
	int r = ctl_unit_load(cmd->root, name, &unit, o.reason);

	if (r == 0 && library_path(cmd, library, o.reason) == 0) {
		ctl_preloadable(unit, library, &verdict);
		snprintf(o.reason, sizeof(o.reason), "%s", verdict.why);
		if (!verdict.why[0])
			enable_loaded(cmd, unit, library, &o);
	}
	add_row(cmd, unit ? unit->name : name, &o, &verdict);
	ctl_unit_free(unit);
	if (r == -ENOENT)
		return CTL_NOTHING;
	return strcmp(o.result, cmd->dry_run ? "dry-run" : "enabled") == 0 ? CTL_OK : CTL_FAILED;
}

/* Removes one drop-in, and its folder if that is empty then. 1: done; 0: there is none. */
static int remove_drop_in(struct command *cmd, const struct ctl_unit *unit, bool runtime,
			  struct outcome *o)
{
	struct folder folder;
	int r;

	ctl_unit_drop_in(unit, runtime, o->drop_in);
	r = folder_open(cmd->root, o->drop_in, false, &folder);
	if (r == 0) {
		r = is_ours(&folder);
		if (r == 0 && !cmd->dry_run && unlinkat(folder.fd, CTL_DROP_IN, 0) < 0)
			r = -errno;
		if (r == 0 && !cmd->dry_run)
			folder_remove(&folder);
		folder_close(&folder);
	}
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == -EEXIST) {
		o->result = "refused";
		snprintf(o->reason, sizeof(o->reason), "hakmemctl did not write this file");
		return r;
	}
	if (r < 0) {
		failed(o, r);
		return r;
	}
	cmd->changed = !cmd->dry_run;
	return 1;
}

/* A unit that is masked or removed keeps its drop-ins, which would take effect again when the unit
 * returns. */
static int load_to_disable(const struct command *cmd, const char *name, struct ctl_unit **ret,
			   char why[HAK_WHY_TEXT])
{
	struct ctl_unit *unit;
	char ignored[HAK_WHY_TEXT];
	int r = ctl_unit_load(cmd->root, name, ret, why);

	if ((r != -ENOENT && r != -ERFKILL) || ctl_unit_named(cmd->root, name, &unit, ignored) < 0)
		return r;
	if (!unit->ours_etc && !unit->ours_run) {
		ctl_unit_free(unit);
		return r;
	}
	why[0] = '\0';
	*ret = unit;
	return 0;
}

static int disable_one(struct command *cmd, const char *name)
{
	struct outcome o = { .result = "refused" };
	struct ctl_unit *unit = NULL;
	int r = load_to_disable(cmd, name, &unit, o.reason), removed = 0;
	char first[PATH_MAX] = "";

	for (int runtime = cmd->runtime; r == 0 && runtime < 2; runtime++) {
		int one = remove_drop_in(cmd, unit, runtime, &o);

		if (one > 0 && !removed++)
			snprintf(first, sizeof(first), "%s", o.drop_in);
		r = one < 0 ? one : 0;
	}
	if (r == 0) {
		o.result = !removed ? "not enabled" : cmd->dry_run ? "dry-run" : "disabled";
		snprintf(o.drop_in, sizeof(o.drop_in), "%s", cmd->dry_run ? first : "");
		if (removed)
			tell_restart(cmd, unit, &o);
	}
	add_row(cmd, unit ? unit->name : name, &o, NULL);
	ctl_unit_free(unit);
	return r == -ENOENT ? CTL_NOTHING : r < 0 ? CTL_FAILED : CTL_OK;
}

/* -- the verbs --------------------------------------------------------------------------------- */

static int root_option(struct ctl *ctl, struct command *cmd)
{
	snprintf(cmd->root_name, sizeof(cmd->root_name), "%s", ctl->argument);
	return ctl_root_option(ctl, &cmd->root);
}

/* Returns CTL_OK, the exit code of an error, or -1 with ctl->failure. */
static int options(struct ctl *ctl, int argc, char **argv, struct command *cmd)
{
	int option, r = CTL_OK;

	cmd->reload = true;
	while (r == CTL_OK && (option = ctl_option(ctl, argc, argv)) != -1) {
		if (option == -2)
			return -1;
		if (option == CTL_RUNTIME)
			cmd->runtime = true;
		else if (option == 'n')
			cmd->dry_run = true;
		else if (option == CTL_NO_RELOAD)
			cmd->reload = false;
		else
			r = root_option(ctl, cmd);
	}
	if (r == CTL_OK && optind == argc)
		r = ctl_usage(ctl, "expects names of services");
	return r;
}

static int reload(struct command *cmd)
{
	char why[HAK_WHY_TEXT];
	int r;

	if (!cmd->changed || !cmd->reload || cmd->root != HAK_OWN_ROOT)
		return CTL_OK;
	r = ctl_reload_systemd(why);
	if (r == 0 || r == -ENOTCONN)
		return CTL_OK;
	ctl_complain("hakmemctl: systemd does not know yet: %s; systemctl daemon-reload\n", why);
	return CTL_FAILED;
}

static int run(struct ctl *ctl, int argc, char **argv,
	       int (*one)(struct command *cmd, const char *name))
{
	struct command cmd = { .root = HAK_OWN_ROOT };
	struct json_object *document;
	char why[HAK_WHY_TEXT];
	int r, printed, result = CTL_OK;

	r = options(ctl, argc, argv, &cmd);
	if (r != CTL_OK)
		return r < 0 ? ctl->failure : r;
	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document(ctl->verb->name);
	cmd.rows = json_object_new_array();
	json_object_object_add(document, "units", cmd.rows);
	for (int i = optind; i < argc; i++) {
		r = one(&cmd, argv[i]);
		result = result ? result : r;
	}
	r = reload(&cmd);
	result = result ? result : r;
	printed = ctl_answer(ctl, document, cmd.rows, columns, COLUMNS);
	return result ? result : printed;
}

int verb_enable(struct ctl *ctl, int argc, char **argv)
{
	return run(ctl, argc, argv, enable_one);
}

int verb_disable(struct ctl *ctl, int argc, char **argv)
{
	return run(ctl, argc, argv, disable_one);
}
