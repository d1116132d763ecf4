# SPDX-License-Identifier: MIT
# A bus of the test's own with hakmemd on it. Read after tests/daemon/lib.sh.
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$HAK_TMP/bus
caller=$top_builddir/tests/daemon/caller

# bus_up: starts a dbus-daemon that allows everything to every user. bus_down ends it.
bus_up()
{
	cat >"$HAK_TMP/bus.conf" <<-END
		<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
			"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
		<busconfig>
			<listen>$DBUS_SYSTEM_BUS_ADDRESS</listen>
			<limit name="max_replies_per_connection">2000</limit>
			<policy context="default">
				<allow user="*"/>
				<allow own="*"/>
				<allow send_destination="*" eavesdrop="true"/>
				<allow eavesdrop="true"/>
			</policy>
		</busconfig>
	END
	rm -f "$HAK_TMP/bus" "$HAK_TMP/bus.out"
	dbus-daemon --config-file="$HAK_TMP/bus.conf" --nofork --print-address \
		>"$HAK_TMP/bus.out" 2>"$HAK_TMP/bus.log" &
	bus=$!
	wait_for 30 grep -qs unix: "$HAK_TMP/bus.out" || fail "no bus: $(<"$HAK_TMP/bus.log")"
}

bus_down()
{
	kill "$bus"
	wait "$bus" 2>/dev/null
}

on_bus()
{
	busctl call org.hakmem.Hakmem1 /org/hakmem/Hakmem1 org.freedesktop.DBus.Peer Ping \
		>/dev/null 2>&1
}

# daemon_begin: starts hakmemd, whose output goes to $HAK_TMP/said. daemon_up: waits until it is on
# the bus.
daemon_begin()
{
	"$HAKMEMD" --log-level=debug --only="$me*" --bus="$DBUS_SYSTEM_BUS_ADDRESS" \
		>>"$HAK_TMP/said" 2>&1 &
	daemon=$!
}

daemon_up()
{
	daemon_begin
	wait_for 30 on_bus || fail "hakmemd is not on the bus: $(<"$HAK_TMP/said")"
}

daemon_down()
{
	kill "$daemon"
	wait "$daemon"
	is "exit status of hakmemd" $? 0
}

# object PID: sets $object to its path, as soon as hakmemd knows the process.
object()
{
	object=
	wait_for 30 find_object "$1" || fail "hakmemd does not find process $1"
}

find_object()
{
	object=$("$caller" /org/hakmem/Hakmem1 Manager GetProcess u "$1") && object=${object#o }
}

# on_process METHOD SIGNATURE ARGUMENT...: of $object.
on_process()
{
	"$caller" "$object" Process "$@"
}

# manager METHOD SIGNATURE ARGUMENT...
manager()
{
	"$caller" /org/hakmem/Hakmem1 Manager "$@"
}
