/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl version: prints the version of this program, and the library that `run` preloads.
 */
#include <getopt.h>
#include <stdio.h>

#include "control/escape.h"
#include "hakmemctl/ctl.h"

int verb_version(struct ctl *ctl, int argc, char **argv)
{
	char path[HAK_PATH_BYTES], why[HAK_WHY_TEXT], layout[32];
	struct json_object *document;
	char shown[4 * HAK_PATH_BYTES];
	int found;

	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	if (optind < argc)
		return ctl_usage(ctl, "expects no arguments");
	found = ctl_find_library(path, why);
	snprintf(layout, sizeof(layout), "%d.%d", HAK_ABI_MAJOR, HAK_ABI_MINOR);
	if (ctl->json == HAK_JSON_OFF) {
		printf("hakmemctl %s, segment layout %s\n", PACKAGE_VERSION, layout);
		hak_escape(found < 0 ? why : path, shown, sizeof(shown));
		printf("library %s\n", shown);
		return CTL_OK;
	}
	document = hak_json_document("version");
	hak_json_text(document, "version", PACKAGE_VERSION);
	hak_json_text(document, "abi", layout);
	hak_json_text(document, "library", found < 0 ? NULL : path);
	hak_emit_json(stdout, document, ctl->json);
	json_object_put(document);
	return CTL_OK;
}
