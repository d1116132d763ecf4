/* SPDX-License-Identifier: MIT */
/*
 * A segment without an allocator, see fake.h.
 */
#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/missing.h"
#include "control/abi/schema.h"
#include "tests/control/fake.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/*
 * Makes a memfd at the lowest free number from 256 on, where the library has that of its tunables.
 */
static int make_memfd(const char *name, size_t bytes, void **map)
{
	int low = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), fd;

	if (low < 0)
		err(99, "memfd_create");
	fd = fcntl(low, F_DUPFD_CLOEXEC, 256);
	close(low);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		err(99, "memfd");
	*map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*map == MAP_FAILED)
		err(99, "mmap");
	return fd;
}

static void describe_counters(struct fake *f)
{
	unsigned hot = 0, cls = 0, heap = 0, proc = 0;

	for (size_t i = 0; i < hak_counter_rows_n; i++) {
		const struct hak_counter_row *row = &hak_counter_rows[i];
		struct hak_counter_desc *d = &f->counter[i];

		*d = (struct hak_counter_desc){
			.id = row->id, .kind = row->kind, .unit = row->unit, .scope = row->scope
		};
		strncpy(d->name, row->name, sizeof(d->name) - 1);
		switch (row->scope) {
		case HAK_SCOPE_HOT:
			d->offset = (uint32_t)offsetof(struct hak_heap_block, hot) + 8 * hot++;
			d->stride = 16;
			break;
		case HAK_SCOPE_CLASS:
			d->offset = (uint32_t)offsetof(struct hak_heap_block, cls) +
				    8 * HAK_CLASSES * cls++;
			d->stride = 8;
			break;
		case HAK_SCOPE_HEAP:
			d->offset = (uint32_t)offsetof(struct hak_heap_block, heap) + 8 * heap++;
			break;
		default:
			d->offset = 8 * proc++;
		}
	}
}

static void describe_tunables(struct fake *f)
{
	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		const struct hak_tunable_row *row = &hak_tunable_rows[i];
		struct hak_tunable_desc *d = &f->tunable[i];

		*d = (struct hak_tunable_desc){ .id = row->id,
						.type = row->type,
						.unit = row->unit,
						.when = row->when,
						.dflt = row->dflt,
						.min = row->min,
						.max = row->max };
		strncpy(d->name, row->name, sizeof(d->name) - 1);
		strncpy(d->values, row->values, sizeof(d->values) - 1);
		f->ack->value[i] = (struct hak_ack_value){
			.value = row->dflt, .asked = row->dflt, .set = 1, .layer = { row->dflt }
		};
	}
}

/* Returns a place for `bytes` at *end, rounded up to 64. */
static uint32_t place(size_t *end, size_t bytes)
{
	size_t at = *end;

	*end = (at + bytes + 63) / 64 * 64;
	return (uint32_t)at;
}

void fake_create(struct fake *f)
{
	struct hak_stats_header h = {
		.magic = HAK_STATS_MAGIC,
		.abi_major = HAK_ABI_MAJOR,
		.abi_minor = HAK_ABI_MINOR,
		.header_bytes = sizeof(h),
		.pid = (uint32_t)getpid(),
		.version = "fake",
		.counters = (uint32_t)hak_counter_rows_n,
		.counter_desc_bytes = sizeof(struct hak_counter_desc),
		.tunables = (uint32_t)hak_tunable_rows_n,
		.tunable_desc_bytes = sizeof(struct hak_tunable_desc),
		.classes = HAK_CLASSES,
		.ack_bytes = sizeof(struct hak_ack),
		.lazy_ranges = HAK_LAZY_RANGES,
		.proc_bytes = 8 * HAK_PROC_COUNTERS,
		.heap_stride = HAK_HEAP_STRIDE,
		.heaps_max = FAKE_HEAPS,
		.slab_classes = HAK_SLAB_CLASSES,
	};
	size_t end = (sizeof(h) + 63) / 64 * 64;
	struct stat stats, tune;
	void *map;

	h.counters_off = place(&end, h.counters * sizeof(struct hak_counter_desc));
	h.tunables_off = place(&end, h.tunables * sizeof(struct hak_tunable_desc));
	h.classes_off = place(&end, h.classes * sizeof(uint32_t));
	h.ack_off = place(&end, h.ack_bytes);
	h.lazy_off = place(&end, sizeof(struct hak_lazy_table));
	h.proc_off = place(&end, h.proc_bytes);
	h.heaps_off = place(&end, (size_t)h.heaps_max * h.heap_stride);
	h.file_bytes = f->bytes = end;

	f->tune_fd = make_memfd(HAK_TUNE_NAME, 4096, &map);
	f->tune = map;
	f->stats_fd = make_memfd(HAK_STATS_NAME, f->bytes, &map);
	f->map = map;
	if (fstat(f->stats_fd, &stats) < 0 || fstat(f->tune_fd, &tune) < 0)
		err(99, "fstat");
	h.tune_ino = tune.st_ino;
	h.tune_fd = f->tune_fd;
	h.created_ns = now_ns();
	memcpy(f->map, &h, sizeof(h));
	f->header = (void *)f->map;
	f->counter = (void *)(f->map + h.counters_off);
	f->tunable = (void *)(f->map + h.tunables_off);
	f->class_size = (void *)(f->map + h.classes_off);
	f->ack = (void *)(f->map + h.ack_off);
	f->lazy = (void *)(f->map + h.lazy_off);
	f->proc = (void *)(f->map + h.proc_off);
	f->heaps = f->map + h.heaps_off;
	for (uint32_t i = 0; i < HAK_CLASSES; i++)
		f->class_size[i] = i < HAK_SLAB_CLASSES ? 16 * (i + 1)
							: 16384 * (i - HAK_SLAB_CLASSES + 2);
	describe_counters(f);
	describe_tunables(f);
	f->ack->heaps_populated = 2;
	*f->tune = (struct hak_tune){ .magic = HAK_TUNE_MAGIC,
				      .abi_major = HAK_ABI_MAJOR,
				      .tunables = h.tunables,
				      .stats_ino = stats.st_ino };
}

void fake_seal(struct fake *f)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	if (fcntl(f->stats_fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE) < 0 ||
	    fcntl(f->tune_fd, F_ADD_SEALS, seals) < 0)
		err(99, "F_ADD_SEALS");
}

struct hak_heap_block *fake_heap(struct fake *f, unsigned i)
{
	return (void *)(f->heaps + (size_t)i * HAK_HEAP_STRIDE);
}

/* -- the process that answers ------------------------------------------------------------------ */
static uint64_t clamp(const struct hak_tunable_desc *d, uint64_t value)
{
	return value < d->min ? d->min : value > d->max ? d->max : value;
}

static void apply_one(struct fake *f, uint32_t i, const struct hak_tune_slot *policy,
		      const struct hak_tune_slot *admin)
{
	struct hak_ack_value *v = &f->ack->value[i];

	v->set = 1u << HAK_ORIGIN_DEFAULT;
	v->origin = HAK_ORIGIN_DEFAULT;
	v->asked = f->tunable[i].dflt;
	if (policy->set)
		v->set |= 1u << HAK_ORIGIN_POLICY, v->origin = HAK_ORIGIN_POLICY,
						   v->asked = policy->value;
	if (admin->set)
		v->set |= 1u << HAK_ORIGIN_ADMIN, v->origin = HAK_ORIGIN_ADMIN,
						  v->asked = admin->value;
	v->value = clamp(&f->tunable[i], v->asked);
	v->clamped = v->value != v->asked;
}

bool fake_apply(struct fake *f)
{
	uint64_t generation = __atomic_load_n(&f->tune->generation_seq, __ATOMIC_ACQUIRE);
	struct hak_tune copy;

	if (generation % 2 || generation == f->ack->applied)
		return false;
	for (size_t i = 0; i < sizeof(copy) / 8; i++)
		((uint64_t *)&copy)[i] = __atomic_load_n((uint64_t *)f->tune + i, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&f->tune->generation_seq, __ATOMIC_RELAXED) != generation ||
	    memcmp(copy.magic, HAK_TUNE_MAGIC, sizeof(copy.magic)) != 0)
		return false;
	for (uint32_t i = 0; i < f->header->tunables; i++)
		apply_one(f, i, &copy.slot[i].policy, &copy.slot[i].admin);
	__atomic_store_n(&f->ack->applied, generation, __ATOMIC_RELEASE);
	return true;
}

bool fake_answer(struct fake *f, uint64_t bytes, uint64_t ns)
{
	uint64_t request = __atomic_load_n(&f->tune->purge_request, __ATOMIC_ACQUIRE),
		 id = request >> 8;
	struct hak_purge_answer *a = &f->ack->answer[id % HAK_ANSWERS];

	if (id == 0 || a->id == id)
		return false;
	__atomic_store_n(&a->seq, a->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	a->id = id;
	a->bytes = bytes;
	a->ns = ns;
	a->level = request & 0xff;
	a->status = 0;
	__atomic_store_n(&a->seq, a->seq + 1, __ATOMIC_RELEASE);
	return true;
}
