/* SPDX-License-Identifier: MIT */
/*
 * USDT probes: places that a tracer (BPF, perf, SystemTap) may observe. Each is one 5-byte nop (4
 * bytes on aarch64) with an ELF note that names it, in a function of its own. The arguments of that
 * function lie where a call leaves them, so tracers may take them from there as well as from the
 * note. A test of the probe's semaphore, which a tracer increments, precedes each probe. Without a
 * tracer a probe costs two instructions, on slow paths only.
 *
 * The rows are PROBE(provider, name, arguments). Arguments are 64-bit words; hakmem(7) describes
 * them for users.
 */
#ifndef HAK_PROBE_H
#define HAK_PROBE_H

#include "hak.h"

#if defined(__x86_64__) || defined(__aarch64__)
#define HAK_HAVE_PROBES 1
#else
#define HAK_HAVE_PROBES 0
#endif

/*
 * whale_get: a block of 1 MiB or more was handed out: address, usable bytes, 1 if a kept region
 * 	served it (whale.hits), 0 if it was mapped (whale.misses).
 * whale_put: such a block is about to be kept, or unmapped (whale.frees): address, usable bytes.
 * region_evict: a kept region's pages were given back (ring.evictions): address, bytes, how: a
 * 	value of region.evict.
 * purge_begin: level: 0 by age, otherwise the level of the request: 1 cache, 2 dirty, 3 all.
 * purge_end: level, bytes given back. purge.count leaves out purges by age that found nothing.
 * superslab_new: an extent for slabs was mapped or taken from those kept empty
 * 	(refill.new_superslab): the first slab's address, its block size.
 * refill: an empty bin was filled: block size, blocks, 1 if from the spare list (refill.spare).
 * tunable_applied: a value in force has changed: id of the tunable, value, origin.
 *
 * otel_memory is a contract with profilers (OpenTelemetry's eBPF profiler, design document 00003).
 * alloc: a sampled block was handed out: address, usable bytes, and the bytes of all blocks that it
 * stands for (sample.h). free: a sampled block is about to be freed.
 */
#define HAK_PROBES(PROBE)                 \
	PROBE(hakmem, whale_get, 3)       \
	PROBE(hakmem, whale_put, 2)       \
	PROBE(hakmem, region_evict, 3)    \
	PROBE(hakmem, purge_begin, 1)     \
	PROBE(hakmem, purge_end, 2)       \
	PROBE(hakmem, superslab_new, 2)   \
	PROBE(hakmem, refill, 3)          \
	PROBE(hakmem, tunable_applied, 3) \
	PROBE(otel_memory, alloc, 3)      \
	PROBE(otel_memory, free, 1)

#if HAK_HAVE_PROBES
#define HAK_PROBE_DECLARE(provider, name, n)                                     \
	extern HAK_HIDDEN volatile unsigned short provider##_##name##_semaphore; \
	void hak_probe_##provider##_##name(uint64_t a, uint64_t b, uint64_t c);
HAK_PROBES(HAK_PROBE_DECLARE)
#undef HAK_PROBE_DECLARE

#define hak_probe(provider, name, a, b, c)                                          \
	do {                                                                        \
		if (hak_unlikely(provider##_##name##_semaphore))                    \
			hak_probe_##provider##_##name((uint64_t)(a), (uint64_t)(b), \
						      (uint64_t)(c));               \
	} while (0)
#else
#define hak_probe(provider, name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

#endif
