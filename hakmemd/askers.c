/* SPDX-License-Identifier: MIT */
/* Limits the time that each user's calls on the bus may take, see askers.h. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "control/budget.h"
#include "control/cgroup.h"
#include "control/segment.h"
#include "hakmemd/askers.h"
#include "hakmemd/credentials.h"

/* Connections whose user is remembered. dbus-daemon lets a user have 256. */
#define SETS	   1024u /* a power of two */
#define WAYS	   4u
#define NAME_BYTES 24u	 /* ":1.4711"; the user of a longer name is asked for each time */
#define USERS	   1024u /* a power of two */
#define SHARE	   10u	 /* one part in this many */
#define FREE_NS	   250000000
/* The largest debt: no user is refused for longer than SHARE times this. A call may cost more than
 * FREE_NS, and is charged. */
#define DEBT_NS (20ll * FREE_NS)
/* The number of refusals that are answered at once; one more is answered after each
 * ANSWER_NS. */
#define ANSWERS	  64u
#define ANSWER_NS 10000000u
/* The time to discard messages in one turn of the event loop. */
#define DRAIN_NS 20000000
/* The number of answers that dbus-daemon has not taken yet, beyond which the daemon waits, and the
 * longest single wait. */
#define UNSENT_MAX 16u
#define ROOM_MS	   100
#define ROOM_TRIES 10u
/* Higher than the priority of the bus's own sources, so that only the daemon's work is charged. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL - 10)

struct sender {
	char name[NAME_BYTES]; /* "": this place is free */
	struct hak_asker asker;
};

/* The state of one account, or of several accounts that share a place. A process gets no new share
 * by changing its user. */
struct user {
	int64_t left_ns; /* the rest of its time at `seen_ns` */
	uint64_t seen_ns;
	uint64_t answers_ns; /* when the refusals answered so far will be paid for */
};

struct hak_askers {
	sd_event_source *after;
	struct sender senders[SETS][WAYS]; /* in each set, the most recent sender is first */
	uint64_t secret;		   /* no sender can choose its set */
	struct user users[USERS];
	struct user *now; /* whose message is being handled; NULL: none that counts */
	int64_t begun_ns; /* of the daemon's processor time */
	sd_bus *bus;
	struct hak_credentials *credentials;
	uint64_t *refusals;
	bool refused; /* the previous message */
};

/* -- users ------------------------------------------------------------------------------------- */
/* The entry of the user, with the time that has accrued until now. */
static struct user *user_now(struct hak_askers *a, uid_t account, uint64_t now)
{
	struct user *u = &a->users[hak_account_place(account, (uint32_t)a->secret, USERS)];
	uint64_t passed = u->seen_ns ? now - u->seen_ns : 0;

	u->seen_ns = now;
	if (passed > (DEBT_NS + FREE_NS) * SHARE)
		passed = (DEBT_NS + FREE_NS) * SHARE;
	u->left_ns += (int64_t)(passed / SHARE);
	if (u->left_ns > FREE_NS)
		u->left_ns = FREE_NS;
	return u;
}

static void take(struct user *u, int64_t ns)
{
	u->left_ns -= ns;
	if (u->left_ns < -DEBT_NS)
		u->left_ns = -DEBT_NS;
}

/* Charges the message that was handled, if any, to its user. */
static void charge(struct hak_askers *a)
{
	if (a->now)
		take(a->now, hak_processor_ns() - a->begun_ns);
	a->now = NULL;
}

void hak_askers_charge(struct hak_askers *a, uid_t account, int64_t ns)
{
	if (account)
		take(user_now(a, account, hak_monotonic_ns()), ns);
}

bool hak_askers_owes(struct hak_askers *a, uid_t account)
{
	return account && user_now(a, account, hak_monotonic_ns())->left_ns <= 0;
}

/* -- the loop ---------------------------------------------------------------------------------- */
static bool has_room(const struct hak_askers *a)
{
	uint64_t unsent;

	return sd_bus_get_n_queued_write(a->bus, &unsent) < 0 || unsent <= UNSENT_MAX;
}

/*
 * Lets dbus-daemon take the answers to its earlier messages before the daemon reads more.
 * sd_bus_flush() does not serve: it also waits for incoming messages, so it does not wait at all
 * while there are calls, and would keep the processor from dbus-daemon.
 */
static void wait_for_room(struct hak_askers *a)
{
	struct pollfd p = { .fd = sd_bus_get_fd(a->bus), .events = POLLOUT };

	for (unsigned i = 0; i < ROOM_TRIES && !has_room(a); i++) {
		if (poll(&p, 1, ROOM_MS) < 0 || sd_bus_process(a->bus, NULL) < 0)
			return;
		charge(a);
	}
}

static int after(sd_event_source *source, void *arg)
{
	struct hak_askers *a = arg;
	int64_t end_ns = hak_processor_ns() + DRAIN_NS;

	charge(a);
	wait_for_room(a);
	while (a->refused && hak_processor_ns() < end_ns) {
		a->refused = false;
		if (sd_bus_process(a->bus, NULL) <= 0)
			break;
		charge(a);
	}
	return 0;
}

int hak_askers_new(sd_event *event, sd_bus *bus, const char *address, uint64_t *refused,
		   struct hak_askers **ret)
{
	struct hak_askers *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	if (getrandom(&a->secret, sizeof(a->secret), GRND_NONBLOCK) != sizeof(a->secret))
		a->secret = hak_monotonic_ns();
	for (unsigned i = 0; i < USERS; i++)
		a->users[i].left_ns = FREE_NS;
	a->bus = bus;
	a->refusals = refused;
	r = hak_credentials_new(address, &a->credentials);
	if (r >= 0)
		r = sd_event_add_post(event, &a->after, after, a);
	if (r >= 0)
		r = sd_event_source_set_priority(a->after, PRIORITY);
	if (r < 0) {
		hak_askers_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

void hak_askers_free(struct hak_askers *a)
{
	if (!a)
		return;
	sd_event_source_disable_unref(a->after);
	hak_credentials_free(a->credentials);
	free(a);
}

/* -- senders ----------------------------------------------------------------------------------- */
/* The first place of the set. */
static struct sender *set_of(struct hak_askers *a, const char *name)
{
	uint64_t hash = a->secret;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x9e3779b97f4a7c15u;
	return a->senders[(hash ^ hash >> 32) & (SETS - 1)];
}

/* Moves a known sender to the first place of its set; false if the sender is not known. */
static bool find_sender(struct sender *set, const char *name)
{
	struct sender found;

	for (unsigned i = 0; i < WAYS; i++) {
		if (strcmp(set[i].name, name) != 0)
			continue;
		found = set[i];
		memmove(set + 1, set, i * sizeof(*set));
		set[0] = found;
		return true;
	}
	return false;
}

/* Replaces the sender of this set that has been silent longest. */
static void add_sender(struct sender *set, const char *name, const struct hak_asker *asker)
{
	if (strlen(name) >= NAME_BYTES)
		return;
	memmove(set + 1, set, (WAYS - 1) * sizeof(*set));
	*set = (struct sender){ .asker = *asker };
	strcpy(set->name, name);
}

int hak_askers_caller(struct hak_askers *a, sd_bus_message *message, struct hak_caller *ret)
{
	const char *name = sd_bus_message_get_sender(message);

	return name ? hak_credentials_of(a->credentials, name, ret) : -ENXIO;
}

static int ask_daemon(struct hak_askers *a, const char *name, struct hak_asker *ret)
{
	struct hak_caller caller;
	int r = hak_credentials_of(a->credentials, name, &caller);

	if (r < 0)
		return r;
	ret->uid = caller.uid;
	ret->account = hak_account_of_peer(caller.pid, caller.uid);
	if (caller.pidfd >= 0)
		close(caller.pidfd);
	return 0;
}

/* A unique name on the bus belongs to one connection, and is never given to another one. */
int hak_askers_who(struct hak_askers *a, sd_bus_message *message, struct hak_asker *ret)
{
	const char *name = sd_bus_message_get_sender(message);
	struct hak_asker asker;
	struct sender *set;
	int r;

	if (!name)
		return -ENXIO;
	set = set_of(a, name);
	if (find_sender(set, name)) {
		*ret = set->asker;
		return 0;
	}
	r = ask_daemon(a, name, &asker);
	if (r < 0)
		return r;
	add_sender(set, name, &asker);
	*ret = asker;
	return 0;
}

/* -- questions --------------------------------------------------------------------------------- */
/* Whether a refusal is answered. */
static bool is_answered(struct user *u, uint64_t now)
{
	if (u->answers_ns < now)
		u->answers_ns = now;
	if (u->answers_ns - now >= ANSWERS * ANSWER_NS)
		return false;
	u->answers_ns += ANSWER_NS;
	return true;
}

int hak_askers_begin(struct hak_askers *a, sd_bus_message *message)
{
	uint64_t now = hak_monotonic_ns();
	int64_t begun_ns = hak_processor_ns();
	struct user *u;
	struct hak_asker asker;
	int r = hak_askers_who(a, message, &asker);

	if (r < 0 || asker.account == 0)
		return r;
	u = user_now(a, asker.account, now);
	a->now = u;
	a->begun_ns = begun_ns;
	if (u->left_ns > 0)
		return 0;
	a->refused = true;
	++*a->refusals;
	return is_answered(u, now) ? -EDQUOT : -EBUSY;
}
