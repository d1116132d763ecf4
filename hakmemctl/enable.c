/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl enable and disable: a drop-in that puts the library into a service's LD_PRELOAD, in
 * front of what is there; and its removal, without a trace. Files alone: it works where no systemd
 * runs, and for a root folder that is not this machine's. Nothing is restarted: what to restart is
 * said.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hakmemctl/ctl.h"
#include "hakmemctl/unit.h"

#define MARK "# Written by hakmemctl enable; hakmemctl disable removes it."

static const struct hak_column columns[] = {
	{ "UNIT", "unit", HAK_SHOW_TEXT },
	{ "RESULT", "result", HAK_SHOW_RESULT },
	{ "REASON", "reason", HAK_SHOW_TEXT },
	{ "DROP-IN", "drop_in", HAK_SHOW_TEXT },
	{ "NEXT", "next", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct command {
	char root[PATH_MAX];	/* "" for this machine's / */
	bool runtime, reload, changed;
	struct json_object *rows;
};

/* What became of one unit. */
struct outcome {
	const char *result;
	char reason[HAK_WHY_TEXT], next[HAK_UNIT_NAME_BYTES + 64], drop_in[PATH_MAX];
};

/* -- files ------------------------------------------------------------------------------------- */
/* The folder of a drop-in and all above it, as systemctl makes them. */
static int make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (r < 0)
			return r;
	}
	return 0;
}

/* 0, -ENOENT, -EEXIST (somebody else's) or -errno. */
static int is_ours(const char *path)
{
	char line[sizeof(MARK) + 1] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return strncmp(line, MARK, strlen(MARK)) == 0 ? 0 : -EEXIST;
}

/* The value within double quotes, as systemd.syntax(7) has it; the library's own % doubled, for
 * systemd expands those. */
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

/* -- which library ----------------------------------------------------------------------------- */
/*
 * By the name that stays when the next version is installed. A folder that is another machine's has
 * it where this hakmemctl was made for.
 */
static int library_path(const char *root, char path[HAK_PATH_BYTES], char why[HAK_WHY_TEXT])
{
	char stable[PATH_MAX], found[PATH_MAX];
	const char *named = getenv("HAKMEM_LIB");
	int r = 0;

	if (!*root) {
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
		r = ctl_in_root(root, path, found);
		if (r < 0)
			snprintf(why, HAK_WHY_TEXT, "%.200s is not in %.80s", path, root);
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

	if (*cmd->root || !ctl_unit_runs(unit->name))
		return;
	/* To be pasted: a backslash and a star are not for the shell. */
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
		fprintf(stderr, "hakmemctl: note: %s\n", v->note[i]);
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

static void enable_loaded(struct command *cmd, const struct ctl_unit *unit, const char *library,
			  struct outcome *o)
{
	char full[2 * PATH_MAX], *old, *text;
	int r;

	ctl_unit_drop_in(unit, cmd->runtime, o->drop_in);
	snprintf(full, sizeof(full), "%s%s", cmd->root, o->drop_in);
	r = is_ours(full);
	if (r == -EEXIST) {
		o->result = "refused";
		snprintf(o->reason, sizeof(o->reason),
			 "there is a file of that name which hakmemctl did not write");
		return;
	}
	ctl_unit_preload(unit, false, &old);
	text = drop_in_text(library, old);
	free(old);
	r = text ? make_folders(full) : -ENOMEM;
	if (r == 0)
		r = ctl_replace(full, text, strlen(text));
	free(text);
	if (r < 0) {
		*strrchr(full, '/') = '\0';
		rmdir(full);
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

	if (r == 0 && library_path(cmd->root, library, o.reason) == 0) {
		ctl_preloadable(unit, library, &verdict);
		snprintf(o.reason, sizeof(o.reason), "%s", verdict.why);
		if (!verdict.why[0])
			enable_loaded(cmd, unit, library, &o);
	}
	add_row(cmd, unit ? unit->name : name, &o, &verdict);
	ctl_unit_free(unit);
	return r == -ENOENT ? CTL_NOTHING : strcmp(o.result, "enabled") == 0 ? CTL_OK : CTL_FAILED;
}

/* Removes one drop-in, and its folder if nothing else is in it. 1: done; 0: there is none. */
static int remove_drop_in(struct command *cmd, const struct ctl_unit *unit, bool runtime,
			  struct outcome *o)
{
	char full[2 * PATH_MAX];
	int r;

	ctl_unit_drop_in(unit, runtime, o->drop_in);
	snprintf(full, sizeof(full), "%s%s", cmd->root, o->drop_in);
	r = is_ours(full);
	if (r == -ENOENT)
		return 0;
	if (r == -EEXIST) {
		o->result = "refused";
		snprintf(o->reason, sizeof(o->reason), "hakmemctl did not write this file");
		return r;
	}
	if (r == 0 && unlink(full) < 0)
		r = -errno;
	if (r < 0) {
		failed(o, r);
		return r;
	}
	*strrchr(full, '/') = '\0';
	rmdir(full);
	cmd->changed = true;
	return 1;
}

/* A unit that is masked or gone keeps its drop-ins, which would act again when it comes back. */
static int load_to_disable(const struct command *cmd, const char *name, struct ctl_unit **ret,
			   char why[HAK_WHY_TEXT])
{
	struct ctl_unit *unit;
	char ignored[HAK_WHY_TEXT];
	int r = ctl_unit_load(cmd->root, name, ret, why);

	if ((r != -ENOENT && r != -ERFKILL) ||
	    ctl_unit_named(cmd->root, name, &unit, ignored) < 0)
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

	for (int runtime = cmd->runtime; r == 0 && runtime < 2; runtime++) {
		int one = remove_drop_in(cmd, unit, runtime, &o);

		removed += one > 0;
		r = one < 0 ? one : 0;
	}
	if (r == 0) {
		o.result = removed ? "disabled" : "not enabled";
		o.drop_in[0] = '\0';
		if (removed)
			tell_restart(cmd, unit, &o);
	}
	add_row(cmd, unit ? unit->name : name, &o, NULL);
	ctl_unit_free(unit);
	return r == -ENOENT ? CTL_NOTHING : r < 0 ? CTL_FAILED : CTL_OK;
}

/* -- the verbs --------------------------------------------------------------------------------- */
int ctl_root_option(struct ctl *ctl, char root[PATH_MAX])
{
	if (!realpath(ctl->argument, root))
		return ctl_usage(ctl, "--root: %.200s: %s", ctl->argument, strerror(errno));
	if (strcmp(root, "/") == 0)
		root[0] = '\0';
	if (strchr(root, ':'))
		return ctl_usage(ctl, "--root: it cannot have a colon: %.200s", root);
	return CTL_OK;
}

/* 0; else that was it, with ctl->failure. */
static int options(struct ctl *ctl, int argc, char **argv, struct command *cmd)
{
	int option, r = CTL_OK;

	cmd->reload = true;
	while (r == CTL_OK && (option = ctl_option(ctl, argc, argv)) != -1) {
		if (option == -2)
			return -1;
		if (option == 'r')
			cmd->runtime = true;
		else if (option == 'n')
			cmd->reload = false;
		else
			r = ctl_root_option(ctl, cmd->root);
	}
	if (r == CTL_OK && optind == argc)
		r = ctl_usage(ctl, "it takes names of services");
	return r;
}

static int reload(struct command *cmd)
{
	char why[HAK_WHY_TEXT];
	int r;

	if (!cmd->changed || !cmd->reload || *cmd->root)
		return CTL_OK;
	r = ctl_reload_systemd(why);
	if (r == 0 || r == -ENOTCONN)
		return CTL_OK;
	fprintf(stderr, "hakmemctl: systemd does not know yet: %s; systemctl daemon-reload\n", why);
	return CTL_FAILED;
}

static int run(struct ctl *ctl, int argc, char **argv,
	       int (*one)(struct command *cmd, const char *name))
{
	struct command cmd = { .root = "" };
	struct json_object *document;
	char why[HAK_WHY_TEXT];
	int r, printed, result = CTL_OK;

	if (options(ctl, argc, argv, &cmd) != 0)
		return ctl->failure;
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
