/* SPDX-License-Identifier: MIT */
/* The credentials of a connection as dbus-daemon reports them, see credentials.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hakmemd/bus.h"
#include "hakmemd/credentials.h"

#define ASK_US 5000000u /* a dbus-daemon that has not answered by then will not */

struct hak_credentials {
	const char *address;
	sd_bus *bus; /* NULL: not connected */
};

int hak_credentials_new(const char *address, struct hak_credentials **ret)
{
	struct hak_credentials *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->address = address;
	*ret = c;
	return 0;
}

void hak_credentials_free(struct hak_credentials *c)
{
	if (c)
		sd_bus_close_unref(c->bus);
	free(c);
}

/* -- the connection ---------------------------------------------------------------------------- */
static int open_connection(struct hak_credentials *c)
{
	int r;

	if (c->bus)
		return 0;
	r = hak_bus_open(c->address, &c->bus);
	/* dbus-daemon may report the process as a descriptor. */
	if (r >= 0)
		r = sd_bus_negotiate_fds(c->bus, true);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(c->bus, ASK_US);
	if (r >= 0)
		r = sd_bus_start(c->bus);
	return r;
}

/* Only the greeting and the answers of dbus-daemon may arrive on this connection. */
static bool is_disturbed(struct hak_credentials *c)
{
	sd_bus_message *m = NULL;
	bool disturbed = false;
	int r;

	while (!disturbed && (r = sd_bus_process(c->bus, &m)) != 0) {
		const char *sender = m ? sd_bus_message_get_sender(m) : NULL;

		disturbed = r < 0 || (sender && sender[0] == ':');
		m = sd_bus_message_unref(m);
	}
	return disturbed;
}

/* -- the answer -------------------------------------------------------------------------------- */
static int read_groups(sd_bus_message *reply, struct hak_caller *ret)
{
	const void *groups;
	size_t bytes;
	int r = sd_bus_message_enter_container(reply, 'v', "au");

	if (r >= 0)
		r = sd_bus_message_read_array(reply, 'u', &groups, &bytes);
	if (r < 0)
		return r;
	if (bytes <= sizeof(ret->group)) {
		memcpy(ret->group, groups, bytes);
		ret->groups = bytes / sizeof(ret->group[0]);
	}
	return sd_bus_message_exit_container(reply);
}

/* Reads a label with or without a NUL at its end. A label that is too long is cut, and equals no
 * other label. */
static int read_label(sd_bus_message *reply, struct hak_caller *ret)
{
	const void *label;
	size_t bytes;
	int r = sd_bus_message_enter_container(reply, 'v', "ay");

	if (r >= 0)
		r = sd_bus_message_read_array(reply, 'y', &label, &bytes);
	if (r < 0)
		return r;
	snprintf(ret->label, sizeof(ret->label), "%.*s", (int)bytes, (const char *)label);
	return sd_bus_message_exit_container(reply);
}

static int read_pidfd(sd_bus_message *reply, struct hak_caller *ret)
{
	int fd, r = sd_bus_message_read(reply, "v", "h", &fd);

	if (r < 0)
		return r;
	if (ret->pidfd < 0)
		ret->pidfd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return ret->pidfd < 0 ? -errno : 0;
}

static int read_credential(sd_bus_message *reply, struct hak_caller *ret)
{
	const char *key;
	uint32_t number;
	int r = sd_bus_message_read(reply, "s", &key);

	if (r < 0)
		return r;
	if (strcmp(key, "UnixGroupIDs") == 0)
		return read_groups(reply, ret);
	if (strcmp(key, "LinuxSecurityLabel") == 0)
		return read_label(reply, ret);
	if (strcmp(key, "ProcessFD") == 0)
		return read_pidfd(reply, ret);
	if (strcmp(key, "UnixUserID") != 0 && strcmp(key, "ProcessID") != 0)
		return sd_bus_message_skip(reply, "v");
	r = sd_bus_message_read(reply, "v", "u", &number);
	if (r >= 0 && key[0] == 'U')
		ret->uid = number;
	else if (r >= 0)
		ret->pid = (pid_t)number;
	return r;
}

static int read_all(sd_bus_message *reply, struct hak_caller *ret)
{
	int r = sd_bus_message_enter_container(reply, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = read_credential(reply, ret);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	return r >= 0 && ret->uid == (uid_t)-1 ? -ENXIO : r;
}

int hak_credentials_of(struct hak_credentials *c, const char *name, struct hak_caller *ret)
{
	static const char daemon[] = "org.freedesktop.DBus";
	struct hak_caller caller = { .uid = (uid_t)-1, .pidfd = -1 };
	sd_bus_message *reply = NULL;
	int r = open_connection(c);

	if (r >= 0)
		r = sd_bus_call_method(c->bus, daemon, "/org/freedesktop/DBus", daemon,
				       "GetConnectionCredentials", NULL, &reply, "s", name);
	if (r >= 0)
		r = read_all(reply, &caller);
	sd_bus_message_unref(reply);
	if (c->bus && ((r < 0 && r != -ENXIO) || is_disturbed(c)))
		c->bus = sd_bus_close_unref(c->bus);
	if (r < 0 && caller.pidfd >= 0)
		close(caller.pidfd);
	if (r < 0)
		return r;
	*ret = caller;
	return 0;
}
