# SPDX-License-Identifier: MIT
# The part of tests/daemon/bus-system.test that runs under the real systemd, as root.
. /hk/lib.sh
. /hk/environment
export PATH
nobody=(setpriv --reuid="$(id -u nobody)" --regid="$(id -g nobody)" --clear-groups)

# expect STATUS COMMAND...: output in $out, with errors.
expect()
{
	local want=$1 got=0
	shift
	out=$("$@" 2>&1 </dev/null) || got=$?
	[ $got = "$want" ] || fail "exit code $got, not $want: $* -- $out
$(journalctl --no-pager -n 20 -u hakmemd -u polkit -u dbus)"
}

ctl()
{
	hakmemctl --no-pager "$@"
}

mine()
{
	"${nobody[@]}" "$(command -v hakmemctl)" --no-pager "$@"
}

active()
{
	[ "$(systemctl is-active hakmemd)" = "$1" ]
}

for unit in victim other; do
	systemd-run -q --unit=$unit -E LD_PRELOAD="$library" -E HAKMEM=control.agent=on \
		sleep infinity || fail "no $unit.service"
done

# --- asked for by an ordinary user, it starts --------------------------------------------------
active inactive || fail "hakmemd runs already"
victim=$(systemctl show -P MainPID victim)
runs_hakmem()
{
	ctl get "$victim" control.lock >/dev/null 2>&1
}
wait_for 20 runs_hakmem || fail "victim.service is not on hakmem: $(ctl get "$victim" 2>&1)"
# A list does not start the daemon, a process by name does.
expect 3 mine list
active inactive || fail "a mere list started hakmemd"
expect 4 mine get "$victim"
active active || fail "asking for org.hakmem.Hakmem1 did not start hakmemd: $out"
known()
{
	[[ "$(busctl call org.hakmem.Hakmem1 /org/hakmem/Hakmem1 org.hakmem.Hakmem1.Manager \
		ListProcesses s "$1" 2>/dev/null)" == "a(uuso) 1 "* ]]
}
wait_for 20 known victim.service || fail "hakmemd does not know victim.service"
wait_for 20 known other.service || fail "hakmemd does not know other.service"
process=$(busctl -j call org.hakmem.Hakmem1 /org/hakmem/Hakmem1 org.hakmem.Hakmem1.Manager \
	GetProcess u "$victim" | sed 's/.*"\(\/[^"]*\)".*/\1/')
[ "$(busctl get-property org.hakmem.Hakmem1 "$process" org.hakmem.Hakmem1.Process Unit)" = \
	's "victim.service"' ] || fail "its unit"

# --- no other process may have the name --------------------------------------------------------
expect 1 "${nobody[@]}" busctl call org.freedesktop.DBus /org/freedesktop/DBus \
	org.freedesktop.DBus RequestName su org.hakmem.Hakmem1 2
[[ $out == *denied* ]] || fail "$out"

# --- polkit refuses ----------------------------------------------------------------------------
for action in inspect set-tunable purge manage-policy; do
	expect 0 pkaction --action-id org.hakmem.Hakmem1.$action --verbose
	[[ $out == *auth_admin* ]] || fail "$out"
done
expect 4 mine get victim.service
expect 4 mine set "$victim" whale.ring_slots=5
expect 4 mine purge victim.service
[[ $out == *polkit* ]] || fail "$out"
expect 1 "${nobody[@]}" busctl call org.hakmem.Hakmem1 /org/hakmem/Hakmem1 \
	org.hakmem.Hakmem1.Manager Reload

# --- a rule gives leave, for one unit and two actions ------------------------------------------
cat >/etc/polkit-1/rules.d/10-hakmem.rules <<'END'
polkit.addRule(function(action, subject) {
	if ((action.id == "org.hakmem.Hakmem1.inspect" ||
	     action.id == "org.hakmem.Hakmem1.set-tunable") &&
	    subject.user == "nobody" && action.lookup("unit") == "victim.service")
		return polkit.Result.YES;
});
END
allowed()
{
	mine get victim.service >/dev/null 2>&1
}
wait_for 20 allowed || fail "the rule has no effect: $(mine get victim.service 2>&1)"
expect 0 mine set victim.service whale.ring_slots=5 --timeout=20s -q -o RESULT
[ "$out" = applied ] || fail "$out"
expect 0 ctl get "$victim" whale.ring_slots -q -o VALUE,ORIGIN
[ "$(echo $out)" = "5 admin" ] || fail "$out"
expect 0 mine stats victim.service
[[ $out == *MEMORY* ]] || fail "$out"
expect 4 mine get other.service
expect 4 mine purge victim.service
expect 0 mine list -q -o PID
[ "$(echo $out)" = "$victim" ] || fail "list: $out, not $victim"

# --- root's ways -------------------------------------------------------------------------------
expect 0 busctl call org.hakmem.Hakmem1 /org/hakmem/Hakmem1 org.hakmem.Hakmem1.Manager Reload
expect 0 ctl -M .host get victim.service whale.ring_slots -q -o VALUE
[ "$out" = 5 ] || fail "by way of a container that is the host: $out"
expect 1 ctl -M no-such-container list
[[ $out == *no-such-container* ]] || fail "$out"

# --- doctor sees them all ----------------------------------------------------------------------
out=$(ctl doctor -q -o CHECK,RESULT,FOUND)
for check in systemd journal D-Bus polkit hakmemd; do
	grep -qE "^$check +ok " <<<"$out" || fail "doctor: $check: $out"
done
out=$(mine doctor -q -o CHECK,RESULT)
grep -qE "^journal +limited" <<<"$out" || fail "doctor, of a user without rights: $out"
grep -qE "^polkit +ok" <<<"$out" || fail "doctor, of a user without rights: $out"

# --- one that tries policies out beside it has not the name, whichever comes first -------------
systemctl stop hakmemd || fail "it does not stop"
systemd-run -q --unit=trial -p Type=notify "$(command -v hakmemd)" --only=no-such-command ||
	fail "--only does not start: $(journalctl -u trial --no-pager)"
systemctl start hakmemd || fail "it does not start beside --only"
wait_for 20 known victim.service || fail "hakmemd is not on the bus beside --only"
systemctl stop trial

# --- it ends, and comes again when asked -------------------------------------------------------
systemctl stop hakmemd || fail "it does not stop"
expect 0 ctl get "$victim" whale.ring_slots -q -o VALUE
[ "$out" = 5 ] || fail "its end changed a process: $out"
expect 0 busctl call org.hakmem.Hakmem1 /org/hakmem/Hakmem1 org.freedesktop.DBus.Peer Ping
active active || fail "it did not come again"
