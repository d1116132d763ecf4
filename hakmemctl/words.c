/* SPDX-License-Identifier: MIT */
/* What the words of stats and list mean, see words.h. */
#include <stdio.h>
#include <string.h>

#include "control/report.h"
#include "control/snapshot.h"
#include "hakmemctl/words.h"

static const char *const places[CTL_WORD_PLACES] = {
	[CTL_WORD_LIST] = "a column of list",
	[CTL_WORD_MEMORY] = "a line of MEMORY in stats",
	[CTL_WORD_RESIDENT] = "a line of RESIDENT in stats",
	[CTL_WORD_TIERS] = "a column of the tiers in stats",
	[CTL_WORD_CLASSES] = "a column of stats --classes",
	[CTL_WORD_CALLS] = "a column of the system calls in stats",
	[CTL_WORD_TIER] = "a tier, in stats",
	[CTL_WORD_NOTE] = "a NOTE in list",
	[CTL_WORD_HEADING] = "a heading of stats",
};

/* By the key of a column, or by the word itself. A line without an entry has only its remark. */
static const struct meaning {
	enum ctl_word_place place;
	const char *key, *doc;
} meanings[] = {
	{ CTL_WORD_LIST, "pid", "The number of the process." },
	{ CTL_WORD_LIST, "comm", "The command, as ps shows it." },
	{ CTL_WORD_LIST, "uid", "The effective user of the process." },
	{ CTL_WORD_LIST, "version", "The version of the libhakmem that the process runs." },
	{ CTL_WORD_LIST, "abi", "The version of the layout of its shared memory." },
	{ CTL_WORD_LIST, "heaps", "The heaps in use: one for each thread that allocated." },
	{ CTL_WORD_LIST, "rss", "The resident memory of the process, whatever it is for." },
	{ CTL_WORD_LIST, "in_use", "The usable bytes of all blocks that the program holds." },
	{ CTL_WORD_LIST, "free_resident",
	  "The most of the free memory of all states that is resident: what a purge could give "
	  "back, and what is free in slabs." },
	{ CTL_WORD_LIST, "thread_cached_resident",
	  "The most of the memory in thread caches that is resident. A purge empties the caches." },
	{ CTL_WORD_LIST, "slab_free_resident",
	  "The most of the free memory between blocks in use, in slabs, that is resident." },
	{ CTL_WORD_LIST, "dirty_resident",
	  "The most of the dirty memory that is resident: free, kept for reuse, and given back "
	  "when it was free for purge.delay_ms." },
	{ CTL_WORD_LIST, "lazy_resident",
	  "The most of the lazily freed memory that is resident: the kernel takes it when it "
	  "needs memory." },
	{ CTL_WORD_LIST, "thread_cached", "The memory in thread caches, resident or not." },
	{ CTL_WORD_LIST, "dirty", "The dirty memory, resident or not." },
	{ CTL_WORD_LIST, "lazy", "The lazily freed memory, resident or not." },
	{ CTL_WORD_LIST, "pss",
	  "The resident memory, with each page divided by the number of processes that map it." },
	{ CTL_WORD_LIST, "private", "The resident pages that no other process maps." },
	{ CTL_WORD_LIST, "huge", "The anonymous memory in transparent huge pages." },
	{ CTL_WORD_LIST, "swap", "The memory of the process in swap, which is not in RSS." },
	{ CTL_WORD_LIST, "changed",
	  "The number of tunables whose value is not the default; get shows them." },
	{ CTL_WORD_LIST, "agent",
	  "Whether the process has a thread that applies changes while the program sleeps; see "
	  "control.agent." },
	{ CTL_WORD_LIST, "locked",
	  "Whether control.lock is on, so that nothing can be changed from outside." },
	{ CTL_WORD_LIST, "debug", "Whether the library was built with --enable-debug." },
	{ CTL_WORD_LIST, "library", "The file of the library that the process runs." },
	{ CTL_WORD_LIST, "note", "What an administrator should know about the process." },

	{ CTL_WORD_TIERS, "tier", "A range of sizes: tiny, mid, large or whale." },
	{ CTL_WORD_TIERS, "allocs", "The blocks that were allocated since the start." },
	{ CTL_WORD_TIERS, "frees", "The blocks that were freed since the start." },
	{ CTL_WORD_TIERS, "in_use", "The number of blocks that the program holds." },
	{ CTL_WORD_TIERS, "in_use_bytes",
	  "The usable bytes of the blocks that the program holds." },
	{ CTL_WORD_TIERS, "requested_bytes",
	  "The bytes that the program asked for, of the blocks that it holds: estimated from "
	  "samples, exact for whales." },
	{ CTL_WORD_TIERS, "cached", "The number of free blocks in thread caches." },
	{ CTL_WORD_TIERS, "cached_bytes", "The bytes of the free blocks in thread caches." },

	{ CTL_WORD_CLASSES, "class", "The number of the size class." },
	{ CTL_WORD_CLASSES, "size", "The usable bytes of each block of the class." },
	{ CTL_WORD_CLASSES, "tier", "The tier to which the class belongs." },
	{ CTL_WORD_CLASSES, "allocs", "The blocks of the class that were allocated." },
	{ CTL_WORD_CLASSES, "frees", "The blocks of the class that were freed." },
	{ CTL_WORD_CLASSES, "in_use", "The blocks of the class that the program holds." },
	{ CTL_WORD_CLASSES, "in_use_bytes", "The bytes of these blocks." },
	{ CTL_WORD_CLASSES, "cached", "The free blocks of the class in thread caches." },
	{ CTL_WORD_CLASSES, "refilled",
	  "The blocks that thread caches took, because malloc found their list empty." },
	{ CTL_WORD_CLASSES, "flushed",
	  "The blocks that thread caches gave back to slabs, because their list was full." },
	{ CTL_WORD_CLASSES, "flushed_remote",
	  "Of the flushed blocks, those that went to the slab of another thread." },
	{ CTL_WORD_CLASSES, "inherited",
	  "The blocks that were in use when the process was created by fork." },
	{ CTL_WORD_CLASSES, "requested_samples", "The blocks whose requested size was sampled." },
	{ CTL_WORD_CLASSES, "requested_bytes", "The requested bytes of the sampled blocks." },

	{ CTL_WORD_CALLS, "call",
	  "The system call, or what it was made for; the counters sys.CALL have the same." },
	{ CTL_WORD_CALLS, "calls", "The number of these calls." },
	{ CTL_WORD_CALLS, "bytes", "The address space that these calls were made for." },
	{ CTL_WORD_CALLS, "ns", "The time in these calls, while stats.timing is on." },

	{ CTL_WORD_TIER, "tiny", "Blocks up to 1024 bytes, which come from slabs of their size." },
	{ CTL_WORD_TIER, "mid", "Blocks above 1024 bytes and up to 64 KiB." },
	{ CTL_WORD_TIER, "large", "Blocks above 64 KiB and below 1 MiB, each a run of pages." },
	{ CTL_WORD_TIER, "whale", "Blocks of 1 MiB and more, each with a mapping of its own." },

	{ CTL_WORD_NOTE, "locked",
	  "control.lock is on: no tunable can be set and no purge requested from outside." },
	{ CTL_WORD_NOTE, "debug", "The library checks itself, and is slow." },
	{ CTL_WORD_NOTE, "library deleted",
	  "The file of the library was deleted since the process started. Restart the process." },
	{ CTL_WORD_NOTE, "library replaced",
	  "The file of the library was replaced since the process started, for example by an "
	  "upgrade. The process runs the old one until it is restarted." },
	{ CTL_WORD_NOTE, "agent failed",
	  "The thread that control.agent asks for could not be started; see the journal." },
	{ CTL_WORD_NOTE, "purge pending",
	  "The process has not carried the last purge out yet, most likely because it sleeps; see "
	  "hakmemctl purge --attach." },
	{ CTL_WORD_NOTE, "limit unmet",
	  "The process keeps more free memory than CachedMax= of its policy allows; hakmemctl "
	  "policy verify says why." },

	{ CTL_WORD_HEADING, "MEMORY", "The memory of malloc by its state." },
	{ CTL_WORD_HEADING, "SPACE", "The address space in that state." },
	{ CTL_WORD_HEADING, "RESIDENT",
	  "The most of it that is resident; as a section, the resident memory of the process by "
	  "what it is for." },
	{ CTL_WORD_HEADING, "WHALES",
	  "Blocks of 1 MiB and more: how many got a kept region, and how many a new mapping." },
	{ CTL_WORD_HEADING, "REFILLS",
	  "How often empty lists of thread caches were filled, and from "
	  "where." },
	{ CTL_WORD_HEADING, "FREES", "The frees that left the fast path, by what they did." },
	{ CTL_WORD_HEADING, "REALLOC AND CALLOC",
	  "The copies that realloc made or was spared, and the clearing of calloc." },
	{ CTL_WORD_HEADING, "PURGES", "The free memory that went back to the kernel." },
	{ CTL_WORD_HEADING, "OTHERS", "The other counters that are not 0." },
	{ CTL_WORD_HEADING, "SYSTEM CALLS", "The calls that the allocator made for its memory." },
	{ CTL_WORD_HEADING, "CLASSES", "The size classes that were used." },
};
#define MEANINGS (sizeof(meanings) / sizeof(meanings[0]))

/* "" if there is none, which describe.test finds. */
static const char *meaning_of(enum ctl_word_place place, const char *key)
{
	for (size_t i = 0; i < MEANINGS; i++)
		if (meanings[i].place == place && strcmp(meanings[i].key, key) == 0)
			return meanings[i].doc;
	return "";
}

static void see_one(enum ctl_word_place place, const char *word, const char *doc, ctl_see_word see,
		    void *arg)
{
	see(&(struct ctl_word){ word, places[place], doc }, arg);
}

void ctl_column_words(enum ctl_word_place place, const struct hak_column *columns, size_t n,
		      ctl_see_word see, void *arg)
{
	for (size_t i = 0; i < n; i++)
		see_one(place, columns[i].head, meaning_of(place, columns[i].key), see, arg);
}

void ctl_line_word(enum ctl_word_place place, const char *label, const char *remark,
		   ctl_see_word see, void *arg)
{
	see_one(place, label + strspn(label, " "), remark, see, arg);
}

void ctl_words(ctl_see_word see, void *arg)
{
	ctl_list_words(see, arg);
	ctl_stats_words(see, arg);
	for (enum hak_tier tier = 0; tier < HAK_TIERS; tier++)
		see_one(CTL_WORD_TIER, hak_tier_word(tier),
			meaning_of(CTL_WORD_TIER, hak_tier_word(tier)), see, arg);
	for (enum hak_list_note note = 0; note < HAK_LIST_NOTES; note++)
		see_one(CTL_WORD_NOTE, hak_note_word(note),
			meaning_of(CTL_WORD_NOTE, hak_note_word(note)), see, arg);
	for (size_t i = 0; i < MEANINGS; i++)
		if (meanings[i].place == CTL_WORD_HEADING)
			see_one(CTL_WORD_HEADING, meanings[i].key, meanings[i].doc, see, arg);
}
