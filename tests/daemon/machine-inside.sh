# SPDX-License-Identifier: MIT
# The part of tests/daemon/machine.test that runs under the real systemd, as root.
. /hk/lib.sh
. /hk/environment
export PATH
slots=whale.ring_slots

# --- the container: this root once more, with services of its own ------------------------------
box=/run/box
mkdir $box && mount -t tmpfs none $box && mkdir $box/upper $box/work $box/root
mount -t overlay none -o lowerdir=/,upperdir=$box/upper,workdir=$box/work $box/root 2>/hk/log ||
	skip "no overlay of this root: $(cat /hk/log)"
etc=$box/root/etc
: >$etc/machine-id
mkdir -p $etc/hakmem/policy.d
printf '[Match]\nUnit=served.service\n[Tunables]\npurge.delay_ms=12s\n' \
	>$etc/hakmem/policy.d/box.policy
cat >$etc/systemd/system/box.target <<END
[Unit]
Requires=basic.target
Wants=dbus.service hakmemd.service served.service
After=basic.target
END
cat >$etc/systemd/system/served.service <<END
[Service]
Environment=LD_PRELOAD=/usr/lib/hakmem-test/libhakmem.so.0 HAKMEM=control.agent=on
ExecStart=/bin/sleep 1000
END
systemctl start systemd-machined || skip "systemd-machined does not start"
systemd-run -q --unit=box -p Delegate=yes -p KillMode=mixed -p Type=notify \
	systemd-nspawn --quiet --keep-unit --machine=box --directory=$box/root \
	--link-journal=no --boot -- --unit=box.target --log-target=console ||
	skip "systemd-nspawn: $(journalctl -u box --no-pager -n 20)"

why()
{
	hakmemctl -M box list
	journalctl -u box --no-pager -n 40
}

# --- what runs there, by its unit and by its pid there -----------------------------------------
there()
{
	hakmemctl -M box get served.service $slots --no-legend -o PID >/hk/pid 2>/hk/log
}
wait_for 60 there || fail "served.service is not found: $(cat /hk/log; why)"
pid=$(tr -d ' ' </hk/pid)
leader=$(machinectl show box -p Leader --value)
outside=$(pgrep -x -f '/bin/sleep 1000')
[ "$(awk '/^NSpid:/ { print $NF }' /proc/"$outside"/status)" = "$pid" ] ||
	fail "served.service is $outside here, not $pid there"
[ "$(readlink /proc/"$outside"/ns/pid)" = "$(readlink /proc/"$leader"/ns/pid)" ] ||
	fail "$outside does not run in the container"
hakmemctl -M box list --no-legend -o PID | grep -qw "$pid" || fail "list: $(why)"

# --- its policy, a change, seen from both sides, and taken back; a purge -----------------------
is() { [ "$(values "${@:2}")" = "$1" ]; }
wait_for 60 is 12s/policy hakmemctl -M box get "$pid" purge.delay_ms || fail "policy: $(why)"
hakmemctl -M box set served.service $slots=33 --timeout=30s || fail "set: $?, $(why)"
is 33/admin hakmemctl -M box get "$pid" $slots || fail "after set: $(why)"
is 33/admin hakmemctl get "$outside" $slots || fail "after set, from outside"
hakmemctl -M box reset served.service $slots --timeout=30s || fail "reset: $?, $(why)"
is 128/default hakmemctl get "$outside" $slots || fail "after reset, from outside"
hakmemctl -M box purge "$pid" --timeout=30s || fail "purge: $?, $(why)"

# --- none of that name; a user without the right; one that has stopped -------------------------
hakmemctl -M none list >/hk/log 2>&1 && fail "there is no such container: $(cat /hk/log)"
grep -q '^hakmemctl: .*none' /hk/log || fail "it does not say which: $(cat /hk/log)"
cat /hk/log
setpriv --reuid=65533 --regid=65533 --clear-groups "$(type -P hakmemctl)" -M box list \
	>/hk/log 2>&1 && fail "anybody may: $(cat /hk/log)"
grep -q '^hakmemctl: .*box' /hk/log || fail "it does not say which: $(cat /hk/log)"
cat /hk/log
machinectl poweroff box
gone() { ! machinectl show box >/dev/null 2>&1; }
wait_for 60 gone || fail "it does not stop: $(why)"
hakmemctl -M box list >/hk/log 2>&1 && fail "it has stopped: $(cat /hk/log)"
cat /hk/log
echo "in a container"
