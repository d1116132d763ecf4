/* SPDX-License-Identifier: MIT */
/*
 * The processes on hakmem that the daemon knows: their table, and the state that the parts of the
 * daemon share.
 *
 * The daemon has one thread and one event loop. Nothing in it waits for a process: requests are
 * written, and later looks read the answers. A process is identified by its PID and its start time.
 * It is in the table from the moment its segment was found valid until its pidfd reports its end.
 * Pointers to it are valid until `removed` has returned. Its descriptors belong to this structure
 * alone, and none of them goes to the descriptor store.
 *
 * From the bottom up: process.c keeps the table. apply.c carries policies out. purge.c requests
 * purges, and pressure.c decides when. unmet.c reports what a process does not do. lazy.c pages out
 * lazily freed memory. state.c keeps over a restart what is in no file. discover.c fills the table.
 * look.c sets the pace of all this.
 * manager.c reads the configuration. The bus and the metrics are observers. The metrics keep the
 * counts of ended processes.
 */
#ifndef HAK_PROCESS_H
#define HAK_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "control/budget.h"
#include "control/identity.h"
#include "control/policy.h"
#include "control/segment.h"
#include "control/snapshot.h"
#include "control/tunewrite.h"
#include "hakmemd/conf.h"
#include "hakmemd/known.h"
#include "hakmemd/program.h"

struct hak_manager;
struct hak_part;
struct hak_pressure;

/* One tunable of one process, as last read. */
struct hak_value {
	uint64_t value; /* in force */
	uint8_t origin; /* enum hak_origin */
};

struct hak_process {
	struct hak_manager *manager;
	struct hak_process *next_hash;	 /* in manager->bucket */
	struct hak_process *prev, *next; /* in manager->processes, in order of arrival */

	struct hak_identity id;		 /* pid and start_ticks are the key */
	struct hak_known_account *known; /* of id.account, in manager->known */
	struct hak_segment *seg;	 /* opened for writing where allowed, never waits */
	sd_event_source *end;		 /* of the pidfd */

	struct hak_effect effect;		  /* of manager->policies */
	struct hak_value value[HAK_MAX_TUNABLES]; /* in the order of the segment */
	uint64_t generation;			  /* of the tune page, as last read */
	bool dirty_policy;			  /* effect was not written yet: locked, or new */
	unsigned repairs;			  /* of the policy layer, since the last reload */
	bool locked;				  /* control.lock: can be read, not changed */
	uint64_t busy_since_ns;			  /* another process locks its tunables; 0: no */
	char trouble[HAK_WHY_TEXT];		  /* why it could not be written; or "" */
	uint64_t told_since_ns;			  /* the minute in which reports are counted */
	unsigned told_n;
	struct hak_program program; /* that the process runs */

	/* purge.c: one request at a time */
	uint64_t purge_id; /* 0: no request */
	const char *purge_why;
	uint64_t purge_asked_ns, purge_rss;
	uint64_t purge_not_before_ns; /* monotonic; later when purges return little */
	unsigned purge_backoff;	      /* the number of such purges in a row */
	bool purge_late;	      /* a missing answer was reported */
	uint64_t cached_bytes;	      /* free and resident, as last measured */
	uint64_t activity;	      /* a sum of counters that change when the process allocates */
	uint64_t active_ns;	      /* when `activity` last changed */
	uint64_t measured_ns;	      /* 0: never, 1: must be measured again */
	uint64_t digest;	      /* of all counters at that time */
	bool idle_purged;	      /* since active_ns */
	uint64_t limit_excess;	      /* when a purge for CachedMax= was requested; 0: none */
	uint64_t limit_returned;      /* by that purge */
	uint32_t limit_held;	      /* the threads that kept their caches then */
	bool limit_answered;

	struct {
		bool limit;	      /* CachedMax= is exceeded, and a purge did not help */
		bool answer;	      /* the request of purge_id is late */
		uint64_t agent_error; /* errno; 0: none */
	} unmet;		      /* unmet.c's */

	/* lazy.c */
	bool attached; /* the daemon holds the lock on byte 1 */
	uint64_t lazy_seq, lazy_done_seq, lazy_next_ns;

	uint64_t returned_bytes; /* by requested purges and by paging out */
	unsigned looks;		 /* since the process is known */
	struct hak_turn turn;	 /* of manager->shares */
	bool reloaded;		 /* not looked at since the reload */
	struct hak_part *part;	 /* exposition.c's; NULL: none */
};

/* One change of a value, whatever caused it. */
struct hak_value_change {
	uint32_t index; /* in the segment's tunables */
	struct hak_value old, new;
	bool ours;			 /* the daemon wrote this value into the policy layer */
	uint32_t writer_pid, writer_uid; /* as the process reports; 0 if not from outside */
	const char *rule;		 /* the policy that sets a value; NULL: none */
};

/* Any of these may be NULL. None may add or remove processes. */
struct hak_observer {
	void (*added)(struct hak_process *p, void *arg);
	void (*removed)(struct hak_process *p, void *arg); /* its counters can still be read */
	void (*changed)(struct hak_process *p, void *arg); /* its policy, unit or trouble */
	void (*value)(struct hak_process *p, const struct hak_value_change *change, void *arg);
	void (*purged)(struct hak_process *p, uint64_t bytes, const char *why, void *arg);
	void (*reloaded)(struct hak_manager *m, void *arg); /* policies or configuration */
	void (*tick)(struct hak_manager *m, void *arg);	    /* each look, about a second */
};

#define HAK_OBSERVERS 8
/* The priority of the sources of calls and requests of other processes. All other sources precede
 * them, and they take turns. */
#define HAK_QUESTIONS_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)
/* The priority of the sources that report the end of a process. A look finds the end as well. */
#define HAK_ENDS_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 20)
/* The amount paged out of one process in one look, so that one process does not delay the
 * others. */
#define HAK_PAGE_OUT_BYTES (1ull << 30)
#define HAK_BUCKETS	   1024 /* a power of two */

struct hak_manager {
	sd_event *event;
	struct hak_conf conf;
	struct hak_policy_set *policies; /* never NULL after the start */

	struct hak_process *processes;		 /* list */
	struct hak_process *bucket[HAK_BUCKETS]; /* by PID */
	size_t processes_n;
	struct hak_known known;

	uint64_t refused;	 /* calls on the bus, counted by bus.c */
	uint64_t reads_put_off;	 /* for metrics and calls */
	bool state_stale;	 /* the state that state.c keeps has changed */
	uint64_t returned_bytes; /* since the first start, over restarts */

	struct {
		const struct hak_observer *observer;
		void *arg;
	} observers[HAK_OBSERVERS];
	unsigned observers_n;
	struct {
		sd_event_source *timer;
		uint64_t next_us; /* when the next look begins */
		bool going;	  /* a look has begun and is not complete */
	} pace;			  /* look.c's */
	unsigned look;		  /* counts the looks at all processes */
	struct hak_shares shares; /* for the looks at known processes */
	struct hak_process *at;	  /* the next process in this look; NULL: the look is complete */
	const char *only;	  /* glob of commands; NULL: all processes */
	bool can_page_out;
	bool pressure_stale; /* the triggers differ from those of the effects */
	char status[128];    /* as last sent */

	struct hak_discovery *discovery; /* each part keeps its own; NULL when it is off */
	struct hak_pressure *pressure;
	struct hak_store *store; /* state.c's */
};

/* The lines and files that are left out of what the files configure. */
static inline size_t hak_manager_problems(const struct hak_manager *m)
{
	return m->policies->problems_n + m->conf.bad_lines;
}

/* Returns -ENOSPC beyond HAK_OBSERVERS. */
int hak_processes_observe(struct hak_manager *m, const struct hak_observer *observer, void *arg);

/* Returns NULL if there is none. start_ticks 0: the process that has the PID now. */
struct hak_process *hak_process_find(const struct hak_manager *m, pid_t pid, uint64_t start_ticks);

/* Adds the process and its segment to the table. Returns -EDQUOT if too many are known
 * (known.h), or -ENOMEM; the process still belongs to the caller then. hak_tell_added() tells
 * the observers. */
int hak_process_enter(struct hak_process *p);
/* The account of the process may have changed. */
void hak_process_recount(struct hak_process *p);
/* The process ended: tells the observers and frees it. */
void hak_process_remove(struct hak_process *p);
/* Frees all processes, and tells no observer. */
void hak_processes_free(struct hak_manager *m);

/* Tell all observers. The bytes of purges are added to the sums. */
void hak_tell_added(struct hak_process *p);
void hak_tell_changed(struct hak_process *p);
void hak_tell_value(struct hak_process *p, const struct hak_value_change *change);
void hak_tell_purged(struct hak_process *p, uint64_t bytes, const char *why);
void hak_tell_reloaded(struct hak_manager *m);
void hak_tell_tick(struct hak_manager *m);

#endif
