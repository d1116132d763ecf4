/* SPDX-License-Identifier: MIT */
/*
 * control/cgroup: units and slices from /proc/PID/cgroup, as the three layouts write it and with
 * hostile names of control groups.
 */
#include <string.h>
#include <unistd.h>

#include "control/cgroup.h"
#include "control/target.h"
#include "tests/check.h"

static const char unified[] = "0::/system.slice/nginx.service\n";
static const char hybrid[] =
	"12:memory:/batch/night\n"
	"2:cpu,cpuacct:/\n"
	"1:name=systemd:/user.slice/user-1000.slice/user@1000.service/app.slice/_cpu.service\n"
	"0::/user.slice/user-1000.slice/user@1000.service/app.slice/_cpu.service\n";
static const char legacy[] = "4:memory:/\n1:name=systemd:/system.slice/system-getty.slice/"
			     "getty@tty1.service (deleted)\n";
static const char container[] = "0::/../../kube:pods/x.service.d/a.service\n";

static struct hak_cgroups of(const char *text)
{
	struct hak_cgroups groups = { "" };

	snprintf(groups.text, sizeof(groups.text), "%s", text);
	return groups;
}

static void layout(const char *text, const char *path, const char *unit, const char *slice)
{
	struct hak_cgroups groups = of(text);
	char got[HAK_CGROUP_BYTES], name[HAK_UNIT_NAME_BYTES];

	hak_cgroup_path(&groups, got);
	EXPECT(strcmp(got, path) == 0, "path %s, not %s", got, path);
	EXPECT(hak_cgroup_unit(got, name) == (*unit != 0), "%s: unit or none", text);
	EXPECT(strcmp(name, unit) == 0, "unit %s, not %s", name, unit);
	hak_cgroup_slice(got, name);
	EXPECT(strcmp(name, slice) == 0, "slice %s, not %s", name, slice);
}

static void memory_path(const char *text, const char *path)
{
	struct hak_cgroups groups = of(text);
	char got[HAK_CGROUP_BYTES];

	hak_cgroup_memory_path(&groups, got);
	EXPECT(strcmp(got, path) == 0, "path %s, not %s", got, path);
}

static void memory_controller(void)
{
	memory_path(unified, "/system.slice/nginx.service");
	memory_path(hybrid, "/batch/night");
	memory_path(legacy, "/");
	memory_path("0::/u\n4:hugetlb,memory:/a\n5:cpu:/b\n", "/a");
	memory_path("4:memory2,xmemory:/a\n0::/u\n", "/u");
	memory_path("1:name=systemd:/s\n4:cpu:/a\n", "");
	memory_path("", "");
}

static void layouts(void)
{
	layout(unified, "/system.slice/nginx.service", "nginx.service", "system.slice");
	layout(hybrid, "/user.slice/user-1000.slice/user@1000.service/app.slice/_cpu.service",
	       "user@1000.service", "user-1000.slice");
	layout(legacy, "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service",
	       "system-getty.slice");
	layout(container, "/../../kube:pods/x.service.d/a.service", "", "-.slice");
	layout("1:name=systemd:/\n0::/system.slice/a.service\n", "/system.slice/a.service",
	       "a.service", "system.slice");
	layout("1:name=systemd:/system.slice/a.service\n0::/\n", "/system.slice/a.service",
	       "a.service", "system.slice");
	layout("0::/\n", "/", "", "-.slice");
	layout("0::/init.scope\n", "/init.scope", "init.scope", "-.slice");
	layout("3:memory:/a.service\n", "", "", "-.slice");
	layout("", "", "", "-.slice");
	layout("0::/cut.service", "", "", "-.slice");
	layout("0:/no\n::\n0::relative\n", "", "", "-.slice");
	layout("0::/__odd.service\n", "/__odd.service", "_odd.service", "-.slice");
}

static void units(void)
{
	struct hak_cgroups groups = of(hybrid);
	char path[HAK_CGROUP_BYTES];

	hak_cgroup_path(&groups, path);
	EXPECT(hak_cgroup_in_unit(path, "user.slice"), "a slice holds what lies below");
	EXPECT(hak_cgroup_in_unit(path, "user@1000.service"), "a service with groups of its own");
	EXPECT(hak_cgroup_in_unit("/_cpu.service", "cpu.service"), "a name that was escaped");
	EXPECT(!hak_cgroup_in_unit("/_cpu.service", "_cpu.service"), "the escape is no part of it");
	EXPECT(!hak_cgroup_in_unit_of(path, "cpu.service", 0), "a user's unit is not the system's");
	EXPECT(!hak_cgroup_in_unit_of(path, "app.slice", 0), "nor a user's slice");
	EXPECT(hak_cgroup_in_unit_of(path, "cpu.service", 1000), "to that user it is his");
	EXPECT(hak_cgroup_in_unit_of(path, "app.slice", 1000), "and his slice");
	EXPECT(!hak_cgroup_in_unit_of(path, "cpu.service", 100), "not to another user");
	EXPECT(!hak_cgroup_in_unit_of("/system.slice/docker-1.scope/nginx.service", "nginx.service",
				      0),
	       "a container names its groups as it likes");
	EXPECT(!hak_cgroup_in_unit_of("/system.slice/docker-1.scope/user.slice/user-7.slice/"
				      "user@7.service/a.service",
				      "a.service", 7),
	       "in a container there is no user's manager");
	EXPECT(!hak_cgroup_in_unit(path, "user-100.slice"), "whole names only");
	EXPECT(!hak_cgroup_in_unit("", "user.slice"), "a process without a path");
	EXPECT(hak_cgroup_in_unit(path, "user@.service"), "a template has its instances");
	EXPECT(!hak_cgroup_in_unit(path, "user@.slice"), "of its kind alone");
	EXPECT(!hak_cgroup_in_unit(path, "use@.service"), "and of its name");
	EXPECT(!hak_cgroup_in_unit(path, "user@1.service"), "an instance is one");
	EXPECT(!hak_cgroup_in_unit("/user@.service", "user@1.service"), "a template is none");
}

static void below(void)
{
	struct hak_cgroups groups = of(hybrid);

	EXPECT(hak_cgroup_below(&groups, "/batch"), "any hierarchy");
	EXPECT(hak_cgroup_below(&groups, "/batch/night/"), "a slash at the end");
	EXPECT(!hak_cgroup_below(&groups, "/bat"), "whole components only");
	EXPECT(!hak_cgroup_below(&groups, "/batch/night/x"), "not above");
	EXPECT(hak_cgroup_below(&groups, "/"), "everything lies below the root");
	groups = of("");
	EXPECT(!hak_cgroup_below(&groups, "/"), "what lies nowhere");
}

/* Names that are too long count as absent, and nothing behind them is read. */
static void long_names(void)
{
	char text[4096], path[HAK_CGROUP_BYTES], unit[HAK_UNIT_NAME_BYTES];
	struct hak_cgroups groups;

	snprintf(text, sizeof(text), "0::/%0300d.service/x.service\n", 1);
	groups = of(text);
	hak_cgroup_path(&groups, path);
	EXPECT(*path, "300 bytes are a path");
	EXPECT(!hak_cgroup_unit(path, unit) && !*unit, "and no unit");
	EXPECT(!hak_cgroup_in_unit(path, "x.service"), "nor what lies below");
	snprintf(text, sizeof(text), "0::/%02000d\n", 1);
	groups = of(text);
	hak_cgroup_path(&groups, path);
	EXPECT(!*path, "2000 bytes are none");
	EXPECT(hak_cgroup_below(&groups, "/"), "but it is below the root");
}

static void grammar(void)
{
	static const struct {
		const char *text;
		int kind;
	} cases[] = {
		{ "1", HAK_TARGET_PID },
		{ "all", HAK_TARGET_ALL },
		{ "comm:a", HAK_TARGET_COMM },
		{ "nginx.service", HAK_TARGET_UNIT },
		{ "a-b.slice", HAK_TARGET_UNIT },
		{ "-.slice", HAK_TARGET_UNIT },
		{ "getty@tty1.service", HAK_TARGET_UNIT },
		{ "run-r1\\x2d2.scope", HAK_TARGET_UNIT },
		{ "cgroup:/", HAK_TARGET_CGROUP },
		{ "cgroup:/a b/c", HAK_TARGET_CGROUP },
		{ "nginx", HAK_TARGET_UNIT },
		{ "php8.2-fpm", HAK_TARGET_UNIT },
		{ "foo@", HAK_TARGET_UNIT },
		{ "12x", -1 },
		{ "-x", -1 },
		{ ".service", -1 },
		{ "a/b.service", -1 },
		{ "a.timer", -1 },
		{ "a.service ", -1 },
		{ "@x.service", -1 },
		{ "cgroup:", -1 },
		{ "cgroup:system.slice", -1 },
		{ "1.service", HAK_TARGET_UNIT },
		{ "0", -1 },
		{ "", -1 },
		{ "comm:", -1 },
	};
	char why[HAK_WHY_TEXT], text[1200];
	struct hak_target target;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = hak_target_parse(cases[i].text, &target, why);

		EXPECT(r == (cases[i].kind < 0 ? -22 : 0), "%s: %d", cases[i].text, r);
		EXPECT(r < 0 || (int)target.kind == cases[i].kind, "%s: kind %d", cases[i].text,
		       (int)target.kind);
		EXPECT(r == 0 || *why, "%s: no reason", cases[i].text);
	}
	EXPECT(hak_target_parse("redis-server", &target, why) == 0, "%s", why);
	EXPECT(strcmp(target.path, "redis-server.service") == 0, "%s", target.path);
	snprintf(text, sizeof(text), "a%0255d", 1);
	EXPECT(hak_target_parse(text, &target, why) < 0, "a service longer than any");
	snprintf(text, sizeof(text), "cgroup:/%01100d", 1);
	EXPECT(hak_target_parse(text, &target, why) < 0, "a path longer than any");
	snprintf(text, sizeof(text), "%0300d.service", 1);
	EXPECT(hak_target_parse(text, &target, why) < 0, "a unit longer than any");
}

static void check_account(const char *path, uid_t uid, uid_t expected)
{
	uid_t got = hak_cgroup_account(path, uid);

	EXPECT(got == expected, "%s, user %u: account %u, not %u", path, (unsigned)uid,
	       (unsigned)got, (unsigned)expected);
}

static void check_accounts(void)
{
	check_account("/user.slice/user-1000.slice/session-2.scope", 1000, 1000);
	check_account("/user.slice/user-1000.slice/user@1000.service/app.slice", 100007, 1000);
	check_account("/user.slice/user-1000.slice/session-2.scope", 0, 0);
	check_account("/user.slice/user-0.slice/session-2.scope", 1000, 1000);
	check_account("/user.slice/user-1000.slice", 100007, 100007);
	check_account("/user.slice/user-1000x.slice/a", 7, 7);
	check_account("/user.slice/user-4294967295.slice/a", 7, 7);
	check_account("/user.slice/user-42949672961000.slice/a", 7, 7);
	check_account("/system.slice/user.slice/user-1000.slice/a", 7, 7);
	check_account("/../user.slice/user-1000.slice/a", 7, 7);
	check_account("", 7, 7);
	EXPECT(hak_account_of_peer(getpid(), getuid() + 1) == HAK_ACCOUNT_UNKNOWN,
	       "the account of another's process");
	EXPECT(hak_account_of_peer(0, 7) == HAK_ACCOUNT_UNKNOWN, "the account of no process");
	EXPECT(hak_account_of_peer(0, 0) == 0, "root's account");
}

static const struct tcase cases[] = {
	{ "memory_controller", memory_controller },
	{ "layouts", layouts },
	{ "units", units },
	{ "below", below },
	{ "memory_controller", memory_controller },
	{ "long_names", long_names },
	{ "grammar", grammar },
	{ "accounts", check_accounts },
};

CASES(cases)
