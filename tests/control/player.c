/* SPDX-License-Identifier: MIT */
/*
 * A process with a fabricated segment that answers, for tests of readers and of hakmemctl. Every
 * counter is 1000 + its id, twice that where two heaps have it. Prints "ready".
 */
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/control/fake.h"

static void set_counters(struct fake *f)
{
	for (uint32_t i = 0; i < f->header->counters; i++) {
		const struct hak_counter_desc *d = &f->counter[i];
		uint64_t value = 1000 + d->id;

		if (d->scope == HAK_SCOPE_PROC) {
			memcpy((char *)f->proc + d->offset, &value, sizeof(value));
			continue;
		}
		for (unsigned heap = 0; heap < 2; heap++)
			memcpy((char *)fake_heap(f, heap) + d->offset, &value, sizeof(value));
	}
}

int main(void)
{
	struct fake f;

	fake_create(&f);
	fake_seal(&f);
	set_counters(&f);
	f.ack->agent = 1;
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	for (;;) {
		uint32_t wake = __atomic_load_n(&f.tune->wake, __ATOMIC_ACQUIRE);

		if (!fake_apply(&f) && !fake_answer(&f, 4096, 1000))
			syscall(SYS_futex, &f.tune->wake, FUTEX_WAIT, wake, NULL, NULL, 0);
	}
}
