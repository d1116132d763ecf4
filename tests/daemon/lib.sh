# SPDX-License-Identifier: MIT
# For tests of a hakmemd that systemd did not start. Read after tests/lib.sh and
# tests/hakmemctl/lib.sh.
# Other tests run beside it, and their processes must not matter: the commands of all processes that
# it knows begin with `me`. It hears no pressure of the host and has only its own bus.
export HAKMEM_POLICY_PATH=$HAK_TMP/policies HAKMEMD_CONF_PATH=$HAK_TMP/conf
mkdir -p "$HAKMEM_POLICY_PATH" "$HAKMEMD_CONF_PATH"
cat >"$HAKMEMD_CONF_PATH/hakmemd.conf" <<'END'
[Daemon]
LookEvery=100ms
PageOut=no
[HostPressure]
Enable=no
END

# policy NAME <TEXT: replaces the file at once.
policy()
{
	cat >"$HAKMEM_POLICY_PATH/$1.new"
	mv "$HAKMEM_POLICY_PATH/$1.new" "$HAKMEM_POLICY_PATH/$1.policy"
}

# daemon_start [COMMAND...]: starts hakmemd through COMMAND, for commands that begin with $me. Its
# output is in $HAK_TMP/said, its messages to systemd in $HAK_TMP/told. Sets daemon.
daemon_start()
{
	rm -f "$HAK_TMP/notify"
	: >"$HAK_TMP/told"
	chmod 666 "$HAK_TMP/told"
	python3 "$srcdir/tests/daemon/listen.py" "$HAK_TMP/notify" "$HAK_TMP/told" &
	listener=$!
	wait_for 30 test -S "$HAK_TMP/notify" || fail "no listener"
	chmod 777 "$HAK_TMP/notify"
	NOTIFY_SOCKET=$HAK_TMP/notify WATCHDOG_USEC=10000000 \
		DBUS_SYSTEM_BUS_ADDRESS=unix:path=$HAK_TMP/no-bus \
		"$@" "$HAKMEMD" --log-level=debug --only="$me*" >>"$HAK_TMP/said" 2>&1 &
	daemon=$!
	wait_for 60 told READY=1 || fail "hakmemd is not ready: $(cat "$HAK_TMP/said")"
}

daemon_stop()
{
	kill -TERM "$daemon"
	wait "$daemon"
	is "exit status of hakmemd" $? 0
	wait_for 30 told STOPPING=1 || fail "hakmemd did not say that it stops"
	kill "$listener"
	wait "$listener" 2>/dev/null
	true
}

# reload: reloads and waits for the end of it.
reload()
{
	local before
	before=$(grep -c '^READY=1$' "$HAK_TMP/told")
	kill -HUP "$daemon"
	again() { [ "$(grep -c '^READY=1$' "$HAK_TMP/told")" -gt "$before" ]; }
	wait_for 30 again || fail "no READY=1 after a reload: $(cat "$HAK_TMP/said")"
}

told()
{
	grep -q "^$1" "$HAK_TMP/told"
}

said()
{
	grep -qF -- "$1" "$HAK_TMP/said"
}

# value PID NAME: prints the value in force, with its origin.
value() { values ctl get "$1" "$2"; }

# becomes PID NAME VALUE/ORIGIN
becomes()
{
	has() { [ "$(value "$1" "$2")" = "$3" ]; }
	wait_for 60 has "$@" || fail "$2 of process $1 is $(value "$1" "$2"), not $3;
$(tail -n 30 "$HAK_TMP/said")"
}
