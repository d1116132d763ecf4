/* SPDX-License-Identifier: MIT */
/*
 * The format of a file that the user names, by the suffix of its name, and the line that says what
 * was written.
 */
#include <string.h>
#include <strings.h>

#include "hakmemctl/ctl.h"

static const struct {
	const char *suffix, *word;
} formats[] = {
	[CTL_FORMAT_NONE] = { NULL, NULL },
	[CTL_FORMAT_TEXT] = { ".txt", "text" },
	[CTL_FORMAT_JSON] = { ".json", "JSON" },
	[CTL_FORMAT_SVG] = { ".svg", "SVG" },
	[CTL_FORMAT_FOLDED] = { ".folded", "folded stacks" },
	[CTL_FORMAT_PPROF] = { ".pb.gz", "pprof" },
};

enum ctl_format ctl_format_of(const char *path)
{
	const size_t n = strlen(path);

	for (int f = CTL_FORMAT_TEXT; f < CTL_FORMATS; f++) {
		const size_t k = strlen(formats[f].suffix);

		if (n > k && strcasecmp(path + n - k, formats[f].suffix) == 0)
			return (enum ctl_format)f;
	}
	return CTL_FORMAT_NONE;
}

const char *ctl_format_word(enum ctl_format format)
{
	return formats[format].word;
}

int ctl_contradiction(struct ctl *ctl, const char *option, enum ctl_format format)
{
	return ctl_usage(ctl, "%s contradicts --output=FILE%s, whose suffix means %s", option,
			 formats[format].suffix, formats[format].word);
}

void ctl_say_written(const char *what, enum ctl_format format, size_t bytes, const char *path)
{
	char size[HAK_VALUE_TEXT];

	hak_bytes_format(bytes, size);
	ctl_complain("hakmemctl: wrote %s (%s, %s) to %s\n", what, formats[format].word, size,
		     path);
}
