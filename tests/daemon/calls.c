/* SPDX-License-Identifier: MIT */
/*
 * hakmemd/call.c with a clock, a bus and processes of the test's own. Work after a process has
 * answered is charged to the asking user, ends after a while, goes on with another user's, and
 * leaves out users who owe time. When too many calls wait, the user with most of them loses one.
 */
#include "hakmemd/call.c"
#include "tests/check.h"

#define MS 1000000

static int64_t processor_ns = 1, answer_ns; /* processor time for each answer */
static int64_t charged[64];		    /* by user */
static bool owes[64], has_answered;
static uid_t asker;
static unsigned answers, order[64]; /* users, in the order in which they were answered */
static struct hak_process process = { .id = { .pid = 1, .start_ticks = 2 } };
static struct hak_segment segment;
static struct hak_manager manager;
static struct hak_bus bus = { .manager = &manager };

/* -- what call.c needs of the others ----------------------------------------------------------- */
int64_t hak_processor_ns(void)
{
	return processor_ns;
}

uint64_t hak_monotonic_ns(void)
{
	return (uint64_t)processor_ns;
}

void hak_budget_enter(struct hak_budget *b, int64_t ns)
{
}

bool hak_budget_leave(struct hak_budget *b)
{
	return false;
}

uint64_t hak_json_get(struct json_object *o, const char *key)
{
	return 0;
}

void hak_change_id(char ret[HAK_CHANGE_ID_BYTES])
{
}

unsigned hak_changes_journal(struct json_object *rows, int procfd, const char *id, const char *who,
			     const char *why, unsigned max)
{
	return 0;
}

unsigned hak_told_left(uid_t account)
{
	return 0;
}

void hak_told_add(uid_t account, unsigned n)
{
}

int hak_askers_who(struct hak_askers *a, sd_bus_message *message, struct hak_asker *ret)
{
	*ret = (struct hak_asker){ .uid = asker, .account = asker ? 1 + (asker - 1) % 50 : 0 };
	return 0;
}

int hak_askers_caller(struct hak_askers *a, sd_bus_message *message, struct hak_caller *ret)
{
	*ret = (struct hak_caller){ .uid = asker, .pidfd = -1 };
	return 0;
}

void hak_askers_charge(struct hak_askers *a, uid_t uid, int64_t ns)
{
	charged[uid] += ns;
}

bool hak_askers_owes(struct hak_askers *a, uid_t uid)
{
	return owes[uid];
}

bool hak_owner_may(const struct hak_caller *caller, int procfd)
{
	return true;
}

struct hak_process *hak_process_find(const struct hak_manager *m, pid_t pid, uint64_t start_ticks)
{
	return &process;
}

bool hak_discovery_still(struct hak_process *p)
{
	return true;
}

void hak_tell_purged(struct hak_process *p, uint64_t bytes, const char *why)
{
}

int hak_request_wait(const struct hak_segment *seg, struct hak_request *a, uint64_t timeout_ns)
{
	return has_answered ? 0 : -ETIMEDOUT;
}

struct json_object *hak_request_answer(const struct hak_segment *seg, struct hak_request *a,
				       int waited)
{
	processor_ns += answer_ns;
	return json_object_new_array();
}

void hak_request_free(struct hak_request *a)
{
}

int hak_polkit_ask(sd_bus *b, sd_bus_message *message, const char *action,
		   const struct hak_process *p,
		   void (*done)(int result, const char *why, void *arg), void *arg,
		   sd_bus_slot **ret)
{
	return -ENOSYS;
}

int hak_bus_error(sd_bus_error *error, const char *name, const char *format, ...)
{
	return -EIO;
}

sd_bus_message *sd_bus_message_ref(sd_bus_message *m)
{
	return m;
}

sd_bus_message *sd_bus_message_unref(sd_bus_message *m)
{
	return NULL;
}

int sd_bus_message_peek_type(sd_bus_message *m, char *type, const char **contents)
{
	return 0;
}

int sd_bus_message_rewind(sd_bus_message *m, int complete)
{
	return 0;
}

int sd_bus_track_new(sd_bus *b, sd_bus_track **ret, sd_bus_track_handler_t handler, void *arg)
{
	return 0;
}

int sd_bus_track_add_sender(sd_bus_track *track, sd_bus_message *m)
{
	return 0;
}

int sd_bus_reply_method_errno(sd_bus_message *m, int error, const sd_bus_error *e)
{
	return 0;
}

/* -- the tests --------------------------------------------------------------------------------- */
/* The message is the user who sent it. */
static int answer(sd_bus_message *message, struct json_object *rows)
{
	order[answers++ % 64] = (unsigned)(uintptr_t)message;
	json_object_put(rows);
	return 0;
}

static int wait_for_process(struct hak_call *call, struct hak_process *p, sd_bus_error *error)
{
	return hak_call_wait(call, (struct hak_request *)&process, 1000000);
}

static int ask(uid_t uid)
{
	static const struct hak_method method = { "purge", true, wait_for_process, answer };

	asker = uid;
	return hak_call_begin(&bus, (sd_bus_message *)(uintptr_t)uid, &process, &method, NULL);
}

static void begin(void)
{
	if (!manager.event) {
		process.seg = &segment;
		CHECK(sd_event_new(&manager.event) >= 0, "an event loop");
	}
	hak_calls_drop(&bus);
	memset(charged, 0, sizeof(charged));
	memset(owes, 0, sizeof(owes));
	answers = 0;
	answer_ns = MS;
	has_answered = true;
}

static void look(void)
{
	look_at_all(bus.look, 0, &bus);
}

static void check_charge(void)
{
	begin();
	for (unsigned i = 0; i < 3; i++)
		ask(1);
	ask(2);
	look();
	EXPECT(answers == 4 && charged[1] == 3 * MS && charged[2] == MS,
	       "%u answers, charged %d %d", answers, (int)charged[1], (int)charged[2]);
	ask(3);
	has_answered = false;
	hak_calls_of_process_end(&bus, &process);
	EXPECT(answers == 5 && charged[3] == MS, "what an end costs is for nothing");
}

/* A user with many finished calls gets one answer for each of every other user's. */
static void check_turns(void)
{
	begin();
	for (unsigned i = 0; i < 20; i++)
		ask(1);
	for (unsigned i = 0; i < 2; i++)
		ask(2);
	look();
	EXPECT(answers == LOOK_NS / MS, "%u answers in one turn", answers);
	EXPECT(order[0] == 1 && order[1] == 2 && order[2] == 1 && order[3] == 2 && order[4] == 1,
	       "the order is %u %u %u %u %u", order[0], order[1], order[2], order[3], order[4]);
	for (unsigned i = 0; i < 4; i++)
		look();
	EXPECT(answers == 22 && bus.calls_n == 0, "%u answers at last", answers);
}

static void check_debt(void)
{
	begin();
	owes[1] = true;
	ask(1);
	ask(2);
	look();
	EXPECT(answers == 1 && order[0] == 2, "one who owes is answered");
	owes[1] = false;
	look();
	EXPECT(answers == 2 && bus.calls_n == 0, "one who owed is never answered");
}

/* A person with many users counts once; root is served when all others wait. */
static void check_limit(void)
{
	unsigned accepted = 0;

	begin();
	has_answered = false;
	for (unsigned i = 0; i < 100; i++)
		accepted += ask(1 + 50 * (i % 10)) >= 0;
	EXPECT(accepted == HAK_CALLS_OF_USER, "%u calls of one with ten users", accepted);
	for (uid_t uid = 2; uid <= 8; uid++)
		for (unsigned i = 0; i < HAK_CALLS_OF_USER; i++)
			ask(uid);
	EXPECT(bus.calls_n == HAK_CALLS_MAX, "%u calls wait", bus.calls_n);
	EXPECT(ask(0) >= 0 && answers == 0 && bus.calls_n == HAK_CALLS_MAX + 1, "root is refused");
	EXPECT(ask(9) >= 0 && answers == 1 && order[0] == 1, "who asks little is refused");
	for (unsigned i = 0; i < 7; i++)
		ask(9);
	EXPECT(answers == 8 && calls_of(&bus, 9) == 8, "%u lost a call for 8 of another", answers);
	for (unsigned i = 0; i < answers; i++)
		EXPECT(order[i] == i + 1, "lost: one of user %u, not %u", order[i], i + 1);
}

static const struct tcase cases[] = {
	{ "charge", check_charge },
	{ "turns", check_turns },
	{ "debt", check_debt },
	{ "limit", check_limit },
};

CASES(cases)
