/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's target for policy files: the input is a file, which is parsed, shown and matched
 * against a process whose names are taken from the input's end. Run by tests/daemon/fuzz.test.
 */
#include <stdlib.h>
#include <string.h>

#include "control/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void take(const uint8_t *data, size_t bytes, size_t *used, char *out, size_t room)
{
	size_t n = 0;

	while (*used < bytes && n < room - 1 && data[bytes - 1 - *used])
		out[n++] = (char)data[bytes - 1 - (*used)++];
	out[n] = '\0';
	++*used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct hak_policy_set *set = calloc(1, sizeof(*set));
	struct hak_identity id = { .pid = 1, .uid = 7 };
	struct hak_effect effect;
	char text[HAK_VALUE_TEXT];
	size_t used = 0;

	if (!set)
		return 0;
	take(data, bytes, &used, id.comm, 16);
	take(data, bytes, &used, id.unit, sizeof(id.unit));
	take(data, bytes, &used, id.slice, sizeof(id.slice));
	take(data, bytes, &used, id.cgroup, sizeof(id.cgroup));
	take(data, bytes, &used, id.exe, sizeof(id.exe));
	strcpy(id.user, "seven");
	hak_policy_add(set, "a.policy", (const char *)data, bytes);
	hak_policy_add(set, "b.policy", (const char *)data, bytes / 2);
	hak_policy_sort(set);
	hak_policy_effect(set, &id, &effect);
	for (size_t i = 0; i < set->n; i++)
		for (unsigned j = 0; j < HAK_SETTINGS; j++)
			if (set->policy[i]->has[j])
				hak_setting_format(set->policy[i], j, text);
	for (unsigned i = 0; i < HAK_TUNABLES; i++) {
		const struct hak_policy *of = effect.tunable_of[i];
		struct hak_spec spec = hak_spec_of_row(&hak_tunable_rows[i]);

		/* Values in force are always in range. */
		if (of && hak_spec_clamp(&spec, effect.tunable[i]) != effect.tunable[i])
			abort();
	}
	if (effect.threshold_us > effect.window_us)
		abort();
	hak_policy_free(set);
	return 0;
}
