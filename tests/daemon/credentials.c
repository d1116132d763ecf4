/* SPDX-License-Identifier: MIT */
/*
 * hakmemd/credentials.c and a dbus-daemon of the test's own, which also passes the process as a
 * descriptor. All that it says arrives over one connection, which is replaced when another
 * connection writes to it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hakmemd/bus.h"
#include "hakmemd/credentials.h"
#include "tests/check.h"

#define UID   4711u
#define GROUP 815u

/* -- what credentials.c needs of the others ---------------------------------------------------- */
int hak_bus_open(const char *address, sd_bus **ret)
{
	int r = sd_bus_new(ret);

	if (r >= 0)
		r = sd_bus_set_address(*ret, address);
	return r < 0 ? r : sd_bus_set_bus_client(*ret, true);
}

/* -- dbus-daemon ------------------------------------------------------------------------------- */
static unsigned connection; /* counts */

static int tell_credentials(sd_bus_message *m)
{
	sd_bus_message *reply = NULL;
	const gid_t groups[] = { GROUP };
	const char *name;
	int fd = (int)syscall(SYS_pidfd_open, getppid(), 0), r = sd_bus_message_read(m, "s", &name);

	if (r >= 0 && strcmp(name, ":1.9") == 0)
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "gone");
	if (r >= 0)
		r = sd_bus_message_new_method_return(m, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "UnixUserID", "u", UID,
					  "ProcessID", "u", connection, "Other", "s", "thing");
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}", "UnixGroupIDs", "au", 1, groups[0]);
	/* As in dbus-daemon: not to a connection that takes no descriptor. */
	if (r >= 0 && sd_bus_can_send(sd_bus_message_get_bus(m), SD_BUS_TYPE_UNIX_FD) > 0)
		r = sd_bus_message_append(reply, "{sv}", "ProcessFD", "h", fd);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	close(fd);
	return r < 0 ? r : 1;
}

static int disturb(sd_bus *bus)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_signal(bus, &m, "/a", "b.c", "D");

	if (r >= 0)
		r = sd_bus_message_set_sender(m, ":1.7");
	if (r >= 0)
		r = sd_bus_send(bus, m, NULL);
	sd_bus_message_unref(m);
	return r;
}

static int on_message(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const char *member = sd_bus_message_get_member(m);

	if (member && strcmp(member, "Hello") == 0)
		return sd_bus_reply_method_return(m, "s", ":1.1");
	if (!member || strcmp(member, "GetConnectionCredentials") != 0)
		return 0;
	if (connection == 1)
		disturb(sd_bus_message_get_bus(m));
	return tell_credentials(m);
}

static void serve(int listening)
{
	for (;;) {
		int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC), r;
		sd_bus *bus = NULL;

		connection++;
		r = fd < 0 ? -errno : sd_bus_new(&bus);
		if (r >= 0)
			r = sd_bus_set_fd(bus, fd, fd);
		if (r >= 0)
			r = sd_bus_set_server(bus, true, (sd_id128_t){ .bytes = { 1 } });
		if (r >= 0)
			r = sd_bus_negotiate_fds(bus, true);
		if (r >= 0)
			r = sd_bus_add_filter(bus, NULL, on_message, NULL);
		if (r >= 0)
			r = sd_bus_start(bus);
		while (r >= 0) {
			r = sd_bus_process(bus, NULL);
			if (r == 0)
				r = sd_bus_wait(bus, UINT64_MAX);
		}
		sd_bus_close_unref(bus);
	}
}

static pid_t start(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	strcpy(address.sun_path, path);
	EXPECT(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 8) == 0,
	       "%s", path);
	pid = fork();
	if (pid == 0)
		serve(fd);
	close(fd);
	return pid;
}

static void asked_once(void)
{
	const char *tmp = getenv("HAK_TMP");
	struct hak_caller caller = { .pidfd = -1 };
	struct hak_credentials *c;
	char path[100], address[120];
	unsigned first;
	pid_t daemon;
	int r;

	snprintf(path, sizeof(path), "%.80s/bus", tmp ? tmp : ".");
	snprintf(address, sizeof(address), "unix:path=%s", path);
	daemon = start(path);
	EXPECT(hak_credentials_new(address, &c) == 0, "credentials");
	r = hak_credentials_of(c, ":1.2", &caller);
	EXPECT(r == 0, "an answer: %s", strerror(-r));
	EXPECT(caller.uid == UID && caller.groups == 1 && caller.group[0] == GROUP,
	       "user and group");
	EXPECT(caller.pidfd >= 0, "the process as a descriptor");
	close(caller.pidfd);
	/* Another connection wrote to the first one. */
	EXPECT(hak_credentials_of(c, ":1.2", &caller) == 0, "a second answer");
	first = (unsigned)caller.pid;
	EXPECT(first == 2, "connection %u", first);
	close(caller.pidfd);
	EXPECT(hak_credentials_of(c, ":1.9", &caller) == -ENXIO, "one that is gone");
	EXPECT(hak_credentials_of(c, ":1.2", &caller) == 0 && (unsigned)caller.pid == first,
	       "the same connection");
	close(caller.pidfd);
	hak_credentials_free(c);
	kill(daemon, SIGKILL);
	waitpid(daemon, NULL, 0);
}

static const struct tcase cases[] = {
	{ "asked_once", asked_once },
};

CASES(cases)
