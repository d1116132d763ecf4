/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: any text as a document that arrives from hakmemd or in a file. The first byte chooses
 * its kind. A document that is accepted must pass its check again, hold nothing on which a terminal
 * would act, and read back.
 */
#include <stdlib.h>
#include <string.h>

#include "control/documents.h"
#include "control/escape.h"
#include "control/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_printable(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_string:
		if (!hak_is_printable(json_object_get_string(o)))
			abort();
		break;
	case json_type_array:
		for (size_t i = 0; i < json_object_array_length(o); i++)
			must_be_printable(json_object_array_get_idx(o, i));
		break;
	case json_type_object: {
		json_object_object_foreach(o, key, value)
		{
			if (!hak_is_printable(key))
				abort();
			must_be_printable(value);
		}
		break;
	}
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum hak_document document = HAK_DOCUMENT_PROCESS;
	char *text, why[HAK_WHY_TEXT] = "";
	struct json_object *o = NULL, *again;
	bool rows = false;

	if (!size)
		return 0;
	document += (data[0] & 0x7f) % HAK_DOCUMENT_SAVED;
	rows = data[0] & 0x80;
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		abort();
	if (hak_document_read(text, document, rows, &o, why) == 0) {
		must_be_printable(o);
		if (hak_document_check(o, document, rows, why) < 0)
			abort();
		if (hak_document_read(json_object_to_json_string(o), document, rows, &again, why) <
		    0)
			abort();
		json_object_put(again);
		json_object_put(o);
	} else if (!why[0] || !hak_is_printable(why)) {
		abort();
	}
	free(text);
	return 0;
}
