/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: any bytes as /tmp/perf-PID.map. The ranges are in order and do not overlap, and names
 * lie in the text. A line appended to the text names all its addresses, whatever came before.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/perfmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const uint8_t *data, size_t size, const char *more, struct hak_perfmap_names *ret)
{
	size_t bytes = size + strlen(more);
	char *text = malloc(bytes + 1);

	if (!text)
		abort();
	if (size)
		memcpy(text, data, size);
	memcpy(text + size, more, strlen(more));
	if (hak_perfmap_parse(text, bytes, ret) < 0)
		abort();
	for (size_t i = 0; i < ret->n; i++) {
		const struct hak_perfmap_range *r = &ret->range[i];

		if (r->start >= r->end || (i && r->start < r[-1].end) || r->name < text ||
		    r->name > text + bytes || strlen(r->name) > HAK_PERFMAP_NAME)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hak_perfmap_names names;
	uint64_t named = 0;

	parse(data, size, "", &names);
	hak_perfmap_names_free(&names);
	parse(data, size, "\n1004 1000 last", &names);
	for (size_t i = 0; i < names.n; i++)
		if (names.range[i].start >= 0x1004 && names.range[i].end <= 0x2004 &&
		    strcmp(names.range[i].name, "last") == 0)
			named += names.range[i].end - names.range[i].start;
	if (named < 0x1000 && !names.cut)
		abort();
	hak_perfmap_names_free(&names);
	return 0;
}
