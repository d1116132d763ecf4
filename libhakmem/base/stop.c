/* SPDX-License-Identifier: MIT */
/* Stops at which tests hold threads, and calls that tests let fail. See stop.h. */
#include "hak.h"
#include "stop.h"

#if HAK_DEBUG

#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "sys.h"
#include "vdso.h"

static struct hak_stops *stops;

void hak_stop_init(void)
{
	const char *s = hak_environment("HAKMEM_STOPS");
	long p;
	int fd = 0;

	if (!s || !*s)
		return;
	for (; *s >= '0' && *s <= '9'; s++)
		fd = fd * 10 + (*s - '0');
	p = hak_sys(SYS_mmap, 0, sizeof(*stops), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p > 0 || p <= -4096)
		stops = (struct hak_stops *)p;
}

static void hold(struct hak_stop_slot *slot)
{
	slot->tid = (uint32_t)hak_sys(SYS_gettid, 0, 0, 0, 0, 0, 0);
	atomic_store(&slot->state, HAK_STOP_REACHED);
	hak_sys(SYS_futex, (long)&slot->state, FUTEX_WAKE, 1 << 30, 0, 0, 0);
	while (atomic_load(&slot->state) == HAK_STOP_REACHED)
		hak_sys(SYS_futex, (long)&slot->state, FUTEX_WAIT, HAK_STOP_REACHED, 0, 0, 0);
	atomic_store(&slot->state, HAK_STOP_FREE);
	hak_sys(SYS_futex, (long)&slot->state, FUTEX_WAKE, 1 << 30, 0, 0, 0);
}

void hak_stop(const char *name)
{
	if (hak_likely(!stops))
		return;
	for (unsigned int i = 0; i < HAK_STOP_SLOTS; i++) {
		struct hak_stop_slot *slot = &stops->slot[i];
		uint32_t armed = HAK_STOP_ARMED;

		if (atomic_load(&slot->state) != HAK_STOP_ARMED || strcmp(slot->name, name))
			continue;
		if (atomic_load(&slot->skip)) {
			atomic_fetch_sub(&slot->skip, 1);
			continue;
		}
		/* One thread takes the slot; it sets REACHED once its id is stored there. */
		if (atomic_compare_exchange_strong(&slot->state, &armed, HAK_STOP_FREE))
			hold(slot);
	}
}

/*
 * Tests arm a kind while only one thread makes such calls, so the three words need not change as
 * one.
 */
int hak_stop_fault(enum hak_fault kind)
{
	struct hak_stop_fault *f;

	if (hak_likely(!stops))
		return 0;
	f = &stops->fault[kind];
	atomic_fetch_add(&f->calls, 1);
	if (!atomic_load(&f->times))
		return 0;
	if (atomic_load(&f->skip)) {
		atomic_fetch_sub(&f->skip, 1);
		return 0;
	}
	atomic_fetch_sub(&f->times, 1);
	return -atomic_load(&f->err);
}

int64_t hak_stop_clock_ms(void)
{
	return hak_likely(!stops) ? 0 : atomic_load(&stops->clock_ms);
}

static long faults_of_thread(void)
{
	struct rusage u;

	hak_sys(SYS_getrusage, RUSAGE_THREAD, (long)&u, 0, 0, 0, 0);
	return u.ru_minflt + u.ru_majflt;
}

void hak_stop_watch(int taken)
{
	static __thread int locks HAK_TLS;
	static __thread long before HAK_TLS;

	if (hak_likely(!stops) || !atomic_load(&stops->watch)) {
		locks = 0;
		return;
	}
	if (taken > 0 && locks++ == 0)
		before = faults_of_thread();
	else if (taken < 0 && locks > 0 && --locks == 0)
		atomic_fetch_add(&stops->faults_under_lock,
				 (uint32_t)(faults_of_thread() - before));
}

#endif
