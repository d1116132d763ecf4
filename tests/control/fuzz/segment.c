/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: any bytes as the content of a stats memfd. The reader must refuse them or show
 * figures; it must not read outside, overflow or loop. The target does all that hakmemctl would do
 * with such a segment.
 *
 * In every other input, bytes that only a valid segment has (magic, sizes) are corrected, so that
 * the fuzzer passes the first checks without having to guess them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/missing.h"
#include "control/pageout.h"
#include "control/snapshot.h"
#include "control/tunewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sealed_memfd(const void *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE) < 0)
		abort();
	return fd;
}

static void use(struct hak_segment *seg)
{
	struct hak_tunable_state *states;
	struct hak_purge_answer answer;
	struct hak_snapshot snap;
	uint64_t bytes;

	if (hak_snapshot_take(seg, &snap) == 0) {
		hak_memory_of(seg, &snap);
		if (snap.heaps > HAK_MAX_HEAPS)
			abort();
		for (uint32_t c = 0; c < snap.classes; c++)
			hak_class_use(seg, &snap, c);
		hak_snapshot_free(&snap);
	}
	if (hak_tunables_read(seg, &states) == 0) {
		for (uint32_t i = 0; i < seg->header.tunables; i++) {
			struct hak_spec spec = hak_spec_of_desc(&seg->tunable[i]);
			char text[HAK_VALUE_TEXT], why[HAK_WHY_TEXT];
			uint64_t value;

			hak_value_format(&spec, states[i].ack.value, text);
			hak_value_parse(&spec, text, &value, why);
			hak_spec_accepts(&spec, why);
		}
		free(states);
	}
	hak_tune_wait(seg, 2, 0);
	hak_purge_wait(seg, 1, 0, &answer);
	hak_pageout_run(seg, &bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hak_segment seg = { .pidfd = -1, .stats_fd = -1, .tune_fd = -1 };
	char why[HAK_WHY_TEXT], *copy = malloc(size + 1);
	int fd;

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	if (size >= sizeof(struct hak_stats_header) && data[size - 1] % 2) {
		struct hak_stats_header *h = (void *)copy;

		memcpy(h->magic, HAK_STATS_MAGIC, sizeof(h->magic));
		h->abi_major = HAK_ABI_MAJOR;
		h->file_bytes = size;
	}
	fd = sealed_memfd(copy, size);
	free(copy);
	/* An empty folder, so that no process's mappings are looked at. */
	seg.procfd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (hak_segment_load(&seg, fd, why) == 0) {
		use(&seg);
		hak_segment_unload(&seg);
	} else {
		if (!memchr(why, '\0', sizeof(why)))
			abort();
		close(fd);
	}
	close(seg.procfd);
	return 0;
}
