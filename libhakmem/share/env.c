/* SPDX-License-Identifier: MIT */
/* The environment variable HAKMEM. See env.h. */
#include "env.h"

#include "base/stats.h"
#include "base/text.h"
#include "base/values.h"
#include "base/vdso.h"
#include "layers.h"

static void complain(const char *entry, size_t bytes, const struct hak_tunable_desc *d)
{
	char line[256];
	struct hak_text t = { line, sizeof(line), 0 };

	hak_text_put(&t, "hakmem: HAKMEM: \"");
	hak_text_put_escaped(&t, entry, bytes > 64 ? 64 : bytes);
	hak_text_put(&t,
		     d ? "\" skipped: " : "\" skipped: no such tunable, see hakmem-tunables(7)");
	if (d) {
		hak_text_put(&t, d->name);
		hak_text_put(&t, " takes ");
		hak_text_put_accepted(&t, d);
	}
	hak_text_say(&t);
	hak_count(HAK_C_ENV_ERRORS, 1);
}

/* Reads NAME=VALUE. control=off is short for control.segment=off. */
static void read_entry(const char *entry, size_t bytes)
{
	enum hak_tunable t;
	uint64_t value;
	size_t name = 0;

	while (name < bytes && entry[name] != '=')
		name++;
	t = name == 7 && !__builtin_memcmp(entry, "control", 7) ? HAK_T_CONTROL_SEGMENT
								: hak_tunable_find(entry, name);
	if (t == HAK_TUNABLES) {
		complain(entry, bytes, NULL);
		return;
	}
	if (name == bytes ||
	    hak_text_parse(&hak_tunable_desc[t], entry + name + 1, bytes - name - 1, &value)) {
		complain(entry, bytes, &hak_tunable_desc[t]);
		return;
	}
	hak_layers_set(HAK_ORIGIN_ENVIRONMENT, t, value);
}

void hak_env_read(void)
{
	const char *s = hak_environment("HAKMEM");

	while (s && *s) {
		size_t bytes = 0;

		while (s[bytes] && s[bytes] != ',')
			bytes++;
		if (bytes)
			read_entry(s, bytes);
		s += bytes + (s[bytes] == ',');
	}
}
