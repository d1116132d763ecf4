// SPDX-License-Identifier: MIT
/*
 * unitview UNIT: what hakmemctl enable reads of a service's files, as JSON, for a comparison with
 * what systemd has of it (tests/daemon/unitview.py). Lists of words are split into words.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/json.h"
#include "hakmemctl/service/unit.h"

static const char *state(int r)
{
	return r == 0 ? "loaded" : r == -ERFKILL ? "masked" : r == -ENOENT ? "not-found" : "error";
}

/* All values of the setting. */
static struct json_object *values(const struct ctl_unit *unit, const char *name)
{
	struct json_object *all = json_object_new_array();
	const struct ctl_setting *s;

	for (size_t i = 0; (s = ctl_unit_nth(unit, name, i)); i++)
		json_object_array_add(all, json_object_new_string(s->value));
	return all;
}

static struct json_object *words(const struct ctl_unit *unit, const char *name)
{
	struct json_object *all = json_object_new_array();
	const struct ctl_setting *s;

	for (size_t i = 0; (s = ctl_unit_nth(unit, name, i)); i++) {
		const char *at = s->value;
		char *word;

		while ((word = ctl_next_word(&at))) {
			json_object_array_add(all, json_object_new_string(word));
			free(word);
		}
	}
	return all;
}

int main(int argc, char **argv)
{
	struct json_object *o = json_object_new_object();
	struct ctl_unit *unit = NULL;
	char why[HAK_WHY_TEXT] = "";
	int r;

	if (argc != 2)
		return 2;
	r = ctl_unit_load(HAK_OWN_ROOT, argv[1], &unit, why);
	hak_json_text(o, "LoadState", state(r));
	if (r == 0) {
		hak_json_text(o, "Id", unit->name);
		hak_json_text(o, "FragmentPath", unit->fragment);
		hak_json_text(o, "User", ctl_unit_last(unit, "User"));
		json_object_object_add(o, "Environment", words(unit, "Environment"));
		json_object_object_add(o, "EnvironmentFiles", values(unit, "EnvironmentFile"));
		json_object_object_add(o, "ExecStart", values(unit, "ExecStart"));
		json_object_object_add(o, "UnsetEnvironment", words(unit, "UnsetEnvironment"));
		hak_json_bool(o, "DynamicUser", ctl_unit_true(unit, "DynamicUser"));
		hak_json_bool(o, "PrivateDevices", ctl_unit_true(unit, "PrivateDevices"));
	}
	ctl_unit_free(unit);
	hak_emit_json(stdout, o, HAK_JSON_SHORT);
	json_object_put(o);
	return 0;
}
