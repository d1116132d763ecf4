/* SPDX-License-Identifier: MIT */
/*
 * The list of all objects, from hakmemd/bus-process.c: beyond a thousand processes only root gets
 * it, and introspection of other objects does not make one.
 */
#include "hakmemd/bus-process.c"
#include "tests/check.h"

static uid_t asker;
static bool introspects;
static unsigned refused;

/* -- what bus-process.c needs of the others ---------------------------------------------------- */
int hak_askers_who(struct hak_askers *a, sd_bus_message *message, struct hak_asker *ret)
{
	*ret = (struct hak_asker){ .uid = asker, .account = asker };
	return 0;
}

struct hak_process *hak_process_find(const struct hak_manager *m, pid_t pid, uint64_t start_ticks)
{
	return NULL;
}

int hak_bus_error(sd_bus_error *error, const char *name, const char *format, ...)
{
	refused++;
	return -EIO;
}

int hak_call_begin(struct hak_bus *bus, sd_bus_message *message, struct hak_process *p,
		   const struct hak_method *method, sd_bus_error *error)
{
	return 0;
}

sd_bus_message *hak_call_message(const struct hak_call *call)
{
	return NULL;
}

int hak_call_wait(struct hak_call *call, struct hak_request *request, uint64_t timeout_us)
{
	return 0;
}

sd_bus_message *sd_bus_get_current_message(sd_bus *bus)
{
	return (sd_bus_message *)&asker;
}

int sd_bus_message_is_method_call(sd_bus_message *m, const char *interface, const char *member)
{
	return introspects == (strstr(interface, "Introspectable") != NULL);
}

/* -- the tests --------------------------------------------------------------------------------- */
/* Returns how many objects there are, -1 for an error. */
static int objects(struct hak_manager *m, const char *prefix)
{
	struct hak_bus bus = { .manager = m };
	char **paths = NULL;
	int r = enumerate(NULL, prefix, &bus, &paths, NULL), n = 0;

	for (; paths && paths[n]; n++)
		free(paths[n]);
	free(paths);
	return r < 0 ? -1 : n;
}

static void all_or_an_error(void)
{
	static struct hak_process process[1001];
	struct hak_manager m = { .processes_n = 1000 };

	for (int i = 0; i < 1000; i++) {
		process[i].next = m.processes;
		m.processes = &process[i];
	}
	asker = 1;
	EXPECT(objects(&m, HAK_BUS_PATH) == 1000, "a thousand for everybody");
	introspects = true;
	EXPECT(objects(&m, HAK_BUS_PROCESSES) == 1000, "a thousand children");
	process[1000].next = m.processes;
	m.processes = &process[1000];
	m.processes_n++;
	EXPECT(objects(&m, HAK_BUS_PROCESSES) == -1, "more than a thousand children");
	EXPECT(objects(&m, HAK_BUS_PROCESSES "/1_2") == 0, "children of a process");
	EXPECT(objects(&m, HAK_BUS_PATH) == 0, "children of children");
	introspects = false;
	EXPECT(objects(&m, HAK_BUS_PATH) == -1, "more than a thousand for everybody");
	EXPECT(refused == 2, "an error has a name");
	asker = 0;
	EXPECT(objects(&m, HAK_BUS_PATH) == 1001, "root gets all");
}

static const struct tcase cases[] = {
	{ "all_or_an_error", all_or_an_error },
};

CASES(cases)
