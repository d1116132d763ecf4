/* SPDX-License-Identifier: MIT */
/*
 * A small reader, to be compiled against older and newer tables. It prints the content of a
 * process's segment, by the segment's own names, then sets two tunables by name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/snapshot.h"
#include "control/tunewrite.h"

static int set(const struct hak_segment *seg, const char *name, uint64_t value)
{
	struct hak_change change = { .set = true, .value = value };
	struct hak_tunable_state *states;
	char why[HAK_WHY_TEXT];
	uint64_t generation;
	int index = hak_segment_tunable(seg, name);

	if (index < 0)
		return 1;
	change.index = (uint32_t)index;
	if (hak_tune_write(seg, HAK_ORIGIN_ADMIN, &change, 1, &generation, why) < 0 ||
	    hak_tune_wait(seg, generation, 20000000000) < 0 || hak_tunables_read(seg, &states) < 0)
		return 1;
	printf("set %s %" PRIu64 "\n", name, states[index].ack.value);
	change.set = false;
	free(states);
	if (hak_tune_write(seg, HAK_ORIGIN_ADMIN, &change, 1, &generation, why) < 0)
		return 1;
	return hak_tune_wait(seg, generation, 20000000000) < 0;
}

int main(int argc, char **argv)
{
	struct hak_tunable_state *states;
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	struct hak_snapshot snap;

	if (argc != 2)
		return 2;
	if (hak_segment_open((pid_t)atoi(argv[1]), HAK_SEGMENT_WRITE, &seg, why) < 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	if (hak_snapshot_take(seg, &snap) < 0 || hak_tunables_read(seg, &states) < 0)
		return 1;
	for (uint32_t i = 0; i < snap.counters; i++) {
		uint32_t per_class = seg->counter[i].scope <= HAK_SCOPE_CLASS;

		/* Of one class: the test sets only the first. */
		printf("counter %u %s %" PRIu64 "\n", seg->counter[i].id, seg->counter[i].name,
		       per_class ? snap.by_class[(size_t)i * snap.classes] : snap.total[i]);
	}
	for (uint32_t i = 0; i < seg->header.tunables; i++) {
		struct hak_spec spec = hak_spec_of_desc(&seg->tunable[i]);
		char text[HAK_VALUE_TEXT];

		hak_value_format(&spec, states[i].ack.value, text);
		printf("tunable %u %s %s\n", seg->tunable[i].id, seg->tunable[i].name, text);
	}
	hak_snapshot_free(&snap);
	free(states);
	if (set(seg, "whale.ring_slots", 17) || set(seg, "control.agent", 2))
		return 1;
	hak_segment_close(seg);
	return 0;
}
