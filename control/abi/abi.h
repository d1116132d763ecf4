/* SPDX-License-Identifier: MIT */
/*
 * The layout of the segment, the shared memory of one process. It consists of two memfds.
 *
 *   "hakmem-stats"  written by the process alone, sealed SHRINK|GROW|SEAL|FUTURE_WRITE:
 *	struct hak_stats_header          constant; a reader copies it once, validates the copy
 *	struct hak_counter_desc[]        names, kinds, units and places of all counters
 *	struct hak_tunable_desc[]        names, types and ranges of all tunables
 *	u32 class_size[]                 block size of each class, in bytes
 *	struct hak_ack                   what the library answers to controllers
 *	struct hak_lazy_table            lazily freed ranges, under a seqlock
 *	u64 proc[]                       counters of scope PROC
 *	struct hak_heap_block[]          one per heap slot; only the populated ones have pages
 *   "hakmem-tune"   written by controllers, sealed SHRINK|GROW|SEAL: struct hak_tune
 *
 * For the library, hakmemctl and hakmemd. All fields are native-endian; every multi-byte field that
 * changes while shared is accessed by one relaxed or stronger atomic of its own size. All programs
 * outside the process treat both memfds as hostile input (see segment.h); the library treats
 * "hakmem-tune" as hostile input (see tune.h).
 *
 * ABI major 0: the layout may change until 1.0. A reader finds values by the descriptors' offsets,
 * never by its own tables, so an older reader can print a newer library.
 */
#ifndef HAK_ABI_H
#define HAK_ABI_H

#include <stddef.h>
#include <stdint.h>

#define HAK_STATS_NAME	"hakmem-stats"
#define HAK_TUNE_NAME	"hakmem-tune"
#define HAK_STATS_MAGIC "HAKSTAT1"
#define HAK_TUNE_MAGIC	"HAKTUNE1"
#define HAK_ABI_MAJOR	0
#define HAK_ABI_MINOR	4

/* No valid stats memfd is larger; a reader refuses larger ones. */
#define HAK_STATS_MAX_BYTES (64u << 20)
#define HAK_TUNE_MAX_BYTES  (64u << 10)
#define HAK_MAX_HEAPS	    4096u
#define HAK_MAX_TUNABLES    48u
#define HAK_MAX_COUNTERS    256u
#define HAK_NAME_BYTES	    40

enum hak_scope { HAK_SCOPE_HOT, HAK_SCOPE_CLASS, HAK_SCOPE_HEAP, HAK_SCOPE_PROC };
/*
 * GROSS: a gauge of regions kept for reuse. Its cell includes whales in use, so that a whale costs
 * no count as it comes and goes. The reader subtracts those: their number (allocs - frees +
 * inherited) or their bytes, as the counter's unit says.
 */
enum hak_kind { HAK_KIND_COUNTER, HAK_KIND_GAUGE, HAK_KIND_GROSS };
enum hak_unit {
	HAK_UNIT_NONE,
	HAK_UNIT_COUNT,
	HAK_UNIT_BYTES,
	HAK_UNIT_NS,
	HAK_UNIT_CYCLES,
	HAK_UNIT_MS
};
enum hak_type { HAK_TYPE_BOOL, HAK_TYPE_UINT, HAK_TYPE_ENUM };
enum hak_when { HAK_WHEN_LIVE, HAK_WHEN_NEXT, HAK_WHEN_START };

/* From lowest to highest: the highest that is set is in force. */
enum hak_origin {
	HAK_ORIGIN_DEFAULT,
	HAK_ORIGIN_PROGRAM,
	HAK_ORIGIN_ENVIRONMENT,
	HAK_ORIGIN_POLICY,
	HAK_ORIGIN_ADMIN,
	HAK_ORIGINS
};

/* Indices of the library's values and of the slots in hak_tune: HAK_T_<SYM>, in table order. */
enum hak_tunable {
#define TUNABLE(id, sym, ...) HAK_T_##sym,
#include "tunables.def"
#undef TUNABLE
	HAK_TUNABLES
};

/* Indices by scope: HAK_C_<SYM>. HOT has exactly two. */
#define HAK_CTR_HOT(sym)
#define HAK_CTR_CLASS(sym)
#define HAK_CTR_HEAP(sym)
#define HAK_CTR_PROC(sym)
#define COUNTER(id, scope, sym, ...) HAK_CTR_##scope(sym)
#undef HAK_CTR_CLASS
#define HAK_CTR_CLASS(sym) HAK_C_##sym,
enum hak_class_counter {
#include "counters.def"
	HAK_CLASS_COUNTERS
};
#undef HAK_CTR_CLASS
#define HAK_CTR_CLASS(sym)
#undef HAK_CTR_HEAP
#define HAK_CTR_HEAP(sym) HAK_C_##sym,
enum hak_heap_counter {
#include "counters.def"
	HAK_HEAP_COUNTERS
};
#undef HAK_CTR_HEAP
#define HAK_CTR_HEAP(sym)
#undef HAK_CTR_PROC
#define HAK_CTR_PROC(sym) HAK_C_##sym,
enum hak_proc_counter {
#include "counters.def"
	HAK_PROC_COUNTERS
};
#undef HAK_CTR_PROC
#undef HAK_CTR_HEAP
#undef HAK_CTR_CLASS
#undef HAK_CTR_HOT
#undef COUNTER

#define HAK_SLAB_CLASSES 64u /* 16 bytes to 16 KiB, blocks of slabs */
#define HAK_RUN_CLASSES	 48u /* above 16 KiB, below 1 MiB, runs */
#define HAK_CLASSES	 (HAK_SLAB_CLASSES + HAK_RUN_CLASSES)

struct hak_counter_desc {
	uint16_t id;
	uint8_t kind, unit, scope, reserved8;
	uint16_t stride; /* HOT, CLASS: bytes from one class to the next */
	uint32_t offset; /* in bytes, into proc[] (PROC), otherwise into struct hak_heap_block */
	uint32_t reserved32;
	char name[HAK_NAME_BYTES];
};

struct hak_tunable_desc {
	uint16_t id;
	uint8_t type, unit, when, reserved8[3];
	uint64_t dflt, min, max;
	char name[HAK_NAME_BYTES];
	char values[56]; /* ENUM: "a|b|c" */
};

struct hak_stats_header {
	char magic[8];
	uint32_t abi_major, abi_minor;
	uint32_t header_bytes;		 /* sizeof(struct hak_stats_header) of the writer */
	uint32_t pid;			 /* in the process's own pid namespace */
	uint64_t file_bytes;		 /* size of the memfd */
	uint64_t created_ns;		 /* CLOCK_BOOTTIME; never before its process's start time */
	uint64_t tune_ino;		 /* inode of the tune memfd that belongs to this memfd */
	uint64_t code;			 /* an address in the library, to tell its file */
	char version[24];		 /* of the library */
	uint32_t counters, counters_off; /* struct hak_counter_desc[], elements and byte offset */
	uint32_t counter_desc_bytes;
	uint32_t tunables, tunables_off; /* struct hak_tunable_desc[] */
	uint32_t tunable_desc_bytes;
	uint32_t classes, classes_off; /* u32[] */
	uint32_t ack_off, ack_bytes;
	uint32_t lazy_off, lazy_ranges;
	uint32_t proc_off, proc_bytes;
	uint32_t heaps_off, heap_stride, heaps_max;
	uint32_t slab_classes;
	uint32_t locked; /* control.lock: writes from outside are ignored */
	uint32_t debug;	 /* built with invariant checks */
	int32_t tune_fd; /* the process's descriptor of the tune memfd; -1: none */
	uint32_t reserved32;
	uint64_t call; /* address of hak_called_entry (called.h); 0: none. Since layout 0.3 */
	/*
	 * Addresses, 0: none. Since layout 0.4: struct hak_structs; the address map (hak_leaves);
	 * struct hak_extents. They lie in memory that this file does not describe.
	 */
	uint64_t structs, leaves, extents;
};

/* ---- the heap in the memory of the process ---- */
/* Indices of the rows of structs.def: HAK_S_<SYM>, in table order. */
enum hak_struct_row {
#define FIELD(sym, ...) HAK_S_##sym,
#define SIZE(sym, ...)	HAK_S_##sym,
#define VALUE(sym, ...) HAK_S_##sym,
#include "structs.def"
	HAK_STRUCT_ROWS
};

#define HAK_STRUCTS_MAGIC   "HAKHEAP1"
#define HAK_STRUCTS_VERSION 1

/* Constant data of the library, not part of the segment: the layout of its structures. */
struct hak_structs {
	char magic[8];
	uint32_t version, bytes; /* HAK_STRUCTS_VERSION, sizeof(struct hak_structs) */
	struct hak_struct_place {
		uint32_t at; /* FIELD: offset; SIZE, VALUE: the number */
		uint32_t bytes;
	} row[HAK_STRUCT_ROWS];
	char names[1024]; /* of all rows, in order, with a space after each */
};

/* The answer for one tunable. Written by the process, to be read after hak_ack.applied. */
struct hak_ack_value {
	uint64_t value;		     /* in force */
	uint64_t asked;		     /* of the layer in force, before clamping */
	uint64_t layer[HAK_ORIGINS]; /* default, program, environment; the others: hak_tune */
	uint32_t set;		     /* a bit for each origin: that layer is set and not expired */
	uint32_t origin;	     /* of the value in force */
	uint32_t clamped, refused;   /* refused: START after start, or control.lock */
};

#define HAK_ANSWERS 8u
struct hak_purge_answer {
	uint64_t seq;	/* odd while being written */
	uint64_t id;	/* of the request */
	uint64_t bytes; /* of free memory given back, touched or not */
	uint64_t ns;
	uint32_t level;	 /* HAK_ANSWER_LEVEL, and the threads that keep their caches */
	uint32_t status; /* 0 or errno */
};
#define HAK_ANSWER_LEVEL(level) ((level)&0xff)
#define HAK_ANSWER_HELD(level)	((level) >> 8) /* threads; 0 from libraries that did not tell */

struct hak_ack {
	uint64_t applied;	  /* even generation_seq last applied; stored after values */
	uint32_t heaps_populated; /* slots [0, this) have pages and may be read */
	uint32_t agent;		  /* 1 while a thread waits on hak_tune.wake */
	struct hak_purge_answer answer[HAK_ANSWERS]; /* to request id at [id % HAK_ANSWERS] */
	struct hak_ack_value value[HAK_MAX_TUNABLES];
};

#define HAK_LAZY_RANGES 255u
struct hak_lazy_table {
	uint64_t seq; /* odd while being written */
	uint32_t count;
	uint32_t overflow; /* ranges that found no room since the table was last empty */
	struct {
		uint64_t addr, bytes;
	} range[HAK_LAZY_RANGES];
};

enum hak_heap_state { HAK_HEAP_UNUSED, HAK_HEAP_LIVE, HAK_HEAP_DEAD };

/*
 * One heap's counters. malloc and free reach hot[] at a constant distance from the heap itself.
 *
 * The class counters from HAK_FIRST_TALLY on are tallies: the process counts those of heap i in the
 * block i % HAK_TALLY_BLOCKS. So of the other blocks only the first half is ever written, and only
 * that has memory: the memory of a memfd that is sealed cannot go back when a thread ends. To
 * readers, who add up all blocks, this makes no difference.
 */
#define HAK_HEAP_STRIDE	 8192u
#define HAK_HEAP_HALF	 (HAK_HEAP_STRIDE / 2)
#define HAK_FIRST_TALLY	 HAK_C_FLUSHED_REMOTE
#define HAK_TALLY_BLOCKS 16u
struct hak_heap_block {
	struct {
		uint64_t allocs, frees;
	} hot[HAK_CLASSES];
	uint64_t heap[HAK_HEAP_COUNTERS];
	uint32_t state, reserved; /* enum hak_heap_state */
	uint64_t pad[HAK_HEAP_HALF / 8 - (2 + HAK_FIRST_TALLY) * HAK_CLASSES - HAK_HEAP_COUNTERS -
		     1];
	uint64_t cls[HAK_CLASS_COUNTERS][HAK_CLASSES];
};
_Static_assert(sizeof(struct hak_heap_block) <= HAK_HEAP_STRIDE, "a heap's counters fit its slot");
_Static_assert(offsetof(struct hak_heap_block, cls[HAK_FIRST_TALLY]) == HAK_HEAP_HALF,
	       "the tallies are the second half");

/* ---- the tune page ---- */
enum hak_purge_level { HAK_PURGE_CACHE = 1, HAK_PURGE_DIRTY = 2, HAK_PURGE_ALL = 3 };

/* One outside layer of one tunable. Written only while generation_seq is odd. */
struct hak_tune_slot {
	uint64_t value;
	uint64_t deadline_ns; /* CLOCK_BOOTTIME; 0: none */
	uint32_t set;
	uint32_t writer_pid;
	uint32_t writer_uid;
	uint32_t reserved;
};

struct hak_tune {
	char magic[8];
	uint32_t abi_major;
	uint32_t tunables;
	uint64_t stats_ino;
	/*
	 * A seqlock: odd while a writer is at work, or died at work (the next writer continues).
	 * The library loads it under its lock, and keeps its values if it is odd. Otherwise the
	 * library copies the slots, loads it again, and applies nothing if it moved. A writer:
	 * generation |= 1, then per slot set = 0, value, deadline, set = 1, then generation =
	 * (generation | 1) + 1 (release), then wake + 1 and FUTEX_WAKE. Compared by signed
	 * difference.
	 */
	uint64_t generation_seq;
	uint64_t purge_request; /* id << 8 | level, one store; 0: none yet; ids grow by 1 */
	uint32_t wake;		/* futex (shared): +1 after every change, then FUTEX_WAKE */
	uint32_t reserved32;
	uint8_t reserved[64];
	struct {
		struct hak_tune_slot policy, admin;
	} slot[HAK_MAX_TUNABLES];
};
_Static_assert(sizeof(struct hak_tune) <= 4096, "one page");

/*
 * OFD locks on the tune memfd, F_OFD_SETLK only: byte 0 for the writer, byte 1 for the controller
 * that can page out.
 */
#define HAK_LOCK_WRITER	 0
#define HAK_LOCK_PAGEOUT 1

#endif
