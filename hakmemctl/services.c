/* SPDX-License-Identifier: MIT */
/*
 * The checks of hakmemctl doctor for what hakmem uses where it is there: programs in the kernel,
 * systemd, the journal, D-Bus, polkit and hakmemd. See doctor.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/scrape.h"
#include "hakmemctl/changelog.h"
#include "hakmemctl/doctor.h"

static void limited(struct finding *f, const char *found, const char *remedy)
{
	snprintf(f->found, sizeof(f->found), "%s", found);
	f->result = doctor_limited;
	f->remedy = remedy;
}

void doctor_bpf(struct finding *f)
{
	char why[HAK_WHY_TEXT];
	int r;

	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0) {
		snprintf(why, sizeof(why), "no trace, no profile: /sys/kernel/btf/vmlinux: %s",
			 strerror(errno));
		limited(f, why, "boot a kernel with CONFIG_DEBUG_INFO_BTF=y; mount /sys");
		return;
	}
	r = ctl_bpf_check(f->found);
	if (r == 0)
		return;
	f->result = doctor_limited;
	f->remedy = r == -ENOSYS	? "configure --with-bpf says what is missing"
		    : geteuid() != 0	? "sudo hakmemctl doctor; trace and profile need root"
		    : r == -EINPROGRESS ? "trace and profile leave these figures out"
					: "HAKMEMCTL_BPF_LOG=1 hakmemctl trace -- true";
}

void doctor_systemd(struct finding *f)
{
	if (access("/run/systemd/system", F_OK) == 0)
		snprintf(f->found, sizeof(f->found), "systemd runs this machine");
	else
		limited(f, "systemd does not run this machine: no enable, no status",
			"start programs with: hakmemctl run -- COMMAND");
}

void doctor_journal(struct finding *f)
{
	int r = ctl_journal_check(f->found);

	if (r == 0) {
		snprintf(f->found, sizeof(f->found), "changes are recorded and can be read");
		return;
	}
	f->result = doctor_limited;
	f->remedy = r == -EACCES   ? "sudo hakmemctl history"
		    : r == -ENOSYS ? "configure --with-systemd says what is missing"
				   : "systemctl start systemd-journald; needed by history, undo";
}

/* -- what is on the bus ------------------------------------------------------------------------ */
/* The look is made once for three checks. */
static int look_at_bus(const struct ctl_bus_look **ret, const char **ret_why)
{
	static struct ctl_bus_look look;
	static char why[HAK_WHY_TEXT];
	static bool looked;
	static int r;

	if (!looked)
		r = ctl_bus_look(&look, why);
	looked = true;
	*ret = &look;
	*ret_why = why;
	return r;
}

void doctor_bus(struct finding *f)
{
	const struct ctl_bus_look *look;
	const char *why;
	int r = look_at_bus(&look, &why);

	if (r == 0)
		snprintf(f->found, sizeof(f->found), "the system bus answers");
	else
		limited(f, why,
			r == -ENOSYS ? "configure --with-systemd says what is missing"
				     : "systemctl start dbus; needed for processes of other users");
}

void doctor_polkit(struct finding *f)
{
	const struct ctl_bus_look *look;
	const char *why;

	if (look_at_bus(&look, &why) < 0)
		limited(f, "not asked without a system bus", "only owners and root have access");
	else if (!look->polkit)
		limited(f, "polkit does not answer: hakmemd serves owners and root only",
			"systemctl start polkit; install it if there is none");
	else if (!look->actions)
		limited(f, "polkit does not know the actions of hakmem",
			"install org.hakmem.Hakmem1.policy in /usr/share/polkit-1/actions");
	else
		snprintf(f->found, sizeof(f->found), "polkit answers and knows hakmem's actions");
}

static bool unit_is_installed(void)
{
	static const char *const paths[] = {
		"/etc/systemd/system/hakmemd.service",
		"/run/systemd/system/hakmemd.service",
		"/usr/local/lib/systemd/system/hakmemd.service",
		"/usr/lib/systemd/system/hakmemd.service",
		"/lib/systemd/system/hakmemd.service",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], F_OK) == 0)
			return true;
	return false;
}

/* hakmemd serves metrics on a socket in a folder of root's, with a bus or without. */
static bool serves_metrics(void)
{
	const struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = HAK_METRICS_SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool does = fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;

	if (fd >= 0)
		close(fd);
	return does;
}

void doctor_daemon(struct finding *f)
{
	const struct ctl_bus_look *look;
	const char *why;
	bool bus = look_at_bus(&look, &why) == 0, installed = unit_is_installed();

	if (bus && look->daemon && look->problems) {
		limited(f, "", "hakmemctl policy verify");
		snprintf(f->found, sizeof(f->found), "hakmemd runs, and left %zu line%s out of %s",
			 look->problems, look->problems == 1 ? "" : "s", "its policy files");
	} else if (bus && look->daemon) {
		snprintf(f->found, sizeof(f->found), "hakmemd runs, and answers on the bus");
	} else if (serves_metrics()) {
		limited(f, "hakmemd runs, and is not on the bus", "systemctl start dbus");
	} else if (!installed) {
		limited(f, "hakmemd does not run; its unit is not where systemd looks",
			"configure --prefix=/usr, make install; needed for policies");
	} else {
		limited(f,
			bus && look->daemon_starts
				? "hakmemd does not run; D-Bus starts it when it is asked"
				: "hakmemd does not run, and D-Bus cannot start it",
			"systemctl enable --now hakmemd; needed for policies");
	}
}
