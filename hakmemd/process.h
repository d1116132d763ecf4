/* SPDX-License-Identifier: MIT */
/*
 * What the daemon knows of processes on hakmem: the table of them, and what its parts share.
 *
 * One thread, one event loop; nothing in the daemon waits for a process: requests are written and
 * their answers looked for later. A process is known by its pid and its start time, and is in the
 * table from the moment its segment was found valid until its pidfd says that it ended. Pointers to
 * it are good until `removed` has returned. Its descriptors belong to it alone; of these none goes
 * to the descriptor store.
 *
 * From below: process.c keeps the table; apply.c carries policies out, purge.c has memory given
 * back, pressure.c says when, lazy.c takes lazily freed memory away, state.c carries over a restart
 * what the files do not say; discover.c fills the table; look.c sets the pace of all; manager.c
 * reads the configuration. Whoever shows things to others (bus, metrics) observes; the metrics keep
 * what processes counted that are no more.
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

/* One tunable of one process as last seen. */
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
	uint64_t generation;			  /* of the tune page, as last looked at */
	bool dirty_policy;			  /* effect was not written yet: locked, or new */
	unsigned repairs;			  /* of our layer, since the last reload */
	bool locked;				  /* control.lock: can be seen, not changed */
	uint64_t busy_since_ns;			  /* its tunables are locked by another; 0: no */
	char trouble[HAK_WHY_TEXT];		  /* why it could not be written; "" */
	uint64_t told_since_ns;			  /* what was told of it in a minute */
	unsigned told_n;
	struct hak_program program; /* that it runs */

	/* purge.c: one request at a time */
	uint64_t purge_id; /* 0: none is out */
	const char *purge_why;
	uint64_t purge_asked_ns, purge_rss;
	uint64_t purge_not_before_ns; /* monotonic; later when purges return little */
	unsigned purge_backoff;	      /* how often in a row they did */
	bool purge_late;	      /* told already that it has not answered */
	uint64_t cached_bytes;	      /* as last measured */
	uint64_t activity;	      /* a sum of counters that move when it allocates */
	uint64_t active_ns;	      /* when that was last seen to have moved */
	uint64_t measured_ns;	      /* 0: never, 1: must be anew */
	uint64_t digest;	      /* of all counters then */
	bool idle_purged;	      /* since then */

	/* lazy.c */
	bool attached; /* the lock on byte 1 is ours */
	uint64_t lazy_seq, lazy_done_seq, lazy_next_ns;

	uint64_t returned_bytes; /* by purges that we asked for, and paged out */
	unsigned looks;		 /* since it is known */
	struct hak_turn turn;	 /* of manager->shares */
	bool reloaded;		 /* since then it was not looked at */
	struct hak_part *part;	 /* exposition.c's; NULL: it has none */
};

/* One change of a value, whoever made it. */
struct hak_value_change {
	uint32_t index; /* in the segment's tunables */
	struct hak_value old, new;
	bool ours;			 /* it is what we wrote into the policy layer */
	uint32_t writer_pid, writer_uid; /* in the process's words; 0 if not from outside */
	const char *rule;		 /* policy that wants a value; NULL */
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
/* Of the event sources by which strangers ask: all else goes first, and they go in turn. */
#define HAK_QUESTIONS_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)
/* Of those that tell of a process's end; a look finds them as well. */
#define HAK_ENDS_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 20)
/* Taken from one process in one look, so that none keeps us from the others. */
#define HAK_PAGE_OUT_BYTES (1ull << 30)
#define HAK_BUCKETS	   1024 /* a power of two */

struct hak_manager {
	sd_event *event;
	struct hak_conf conf;
	struct hak_policy_set *policies; /* never NULL once started */

	struct hak_process *processes;		 /* list */
	struct hak_process *bucket[HAK_BUCKETS]; /* by pid */
	size_t processes_n;
	struct hak_known known;

	uint64_t refused;	 /* calls on the bus; bus.c counts */
	uint64_t reads_put_off;	 /* for metrics and calls */
	bool state_stale;	 /* what state.c keeps has changed */
	uint64_t returned_bytes; /* since the first start, over restarts */

	struct {
		const struct hak_observer *observer;
		void *arg;
	} observers[HAK_OBSERVERS];
	unsigned observers_n;
	struct {
		sd_event_source *timer;
		uint64_t next_us; /* when the next look begins */
		bool going;	  /* a look has begun, and has not come to all */
	} pace;			  /* look.c's */
	unsigned look;		  /* counts the looks at all processes */
	struct hak_shares shares; /* of the looks at those that are known */
	struct hak_process *at;	  /* who is next in this look; NULL: it is over */
	const char *only;	  /* glob of commands; NULL: all processes */
	bool can_page_out;
	bool pressure_stale; /* triggers are not those that the effects want */
	char status[128];    /* as last sent */

	struct hak_discovery *discovery; /* each part keeps its own; NULL when it is off */
	struct hak_pressure *pressure;
	struct hak_store *store; /* state.c's */
};

/* -ENOSPC beyond HAK_OBSERVERS. */
int hak_processes_observe(struct hak_manager *m, const struct hak_observer *observer, void *arg);

/* NULL if there is none; start_ticks 0: whichever has that pid now. */
struct hak_process *hak_process_find(const struct hak_manager *m, pid_t pid, uint64_t start_ticks);

/* Takes the process into the table, segment and all. -EDQUOT: too many are known (known.h);
 * -ENOMEM; the process is the caller's still. Observers are told by hak_tell_added(). */
int hak_process_enter(struct hak_process *p);
/* Its account may be another than it was. */
void hak_process_recount(struct hak_process *p);
/* The process ended: counted, told, freed. */
void hak_process_remove(struct hak_process *p);
/* All of them; nobody is told. */
void hak_processes_free(struct hak_manager *m);

/* To all observers. Of purges the bytes are added up on the way. */
void hak_tell_added(struct hak_process *p);
void hak_tell_changed(struct hak_process *p);
void hak_tell_value(struct hak_process *p, const struct hak_value_change *change);
void hak_tell_purged(struct hak_process *p, uint64_t bytes, const char *why);
void hak_tell_reloaded(struct hak_manager *m);
void hak_tell_tick(struct hak_manager *m);

#endif
