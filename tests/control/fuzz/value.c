/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: any text as a value, a duration, a target and a string to be escaped. An accepted text
 * must print and read back as the same value; a refused one must come with a reason.
 */
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "control/target.h"
#include "control/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const struct hak_spec *spec, const char *text)
{
	char why[HAK_WHY_TEXT] = "", printed[HAK_VALUE_TEXT];
	uint64_t value, back;

	if (hak_value_parse(spec, text, &value, why) < 0) {
		if (!why[0])
			abort();
		return;
	}
	hak_value_format(spec, value, printed);
	if (hak_value_parse(spec, printed, &back, why) < 0 || back != value)
		abort();
}

static void escape(const char *text, size_t size)
{
	char *out = malloc(4 * size + 1), little[5];

	if (!out)
		abort();
	hak_escape(text, out, 4 * size + 1);
	for (const char *p = out; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			abort();
	if (strlen(out) < strlen(text))
		abort();
	hak_escape(text, little, sizeof(little));
	if (strlen(little) >= sizeof(little))
		abort();
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), why[HAK_WHY_TEXT];
	struct hak_target target;
	uint64_t ns;

	if (!text)
		abort();
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		struct hak_spec spec = hak_spec_of_row(&hak_tunable_rows[i]);

		parse(&spec, text);
	}
	hak_duration_parse(text, &ns, why);
	hak_target_parse(text, &target, why);
	escape(text, size);
	free(text);
	return 0;
}
