# SPDX-License-Identifier: MIT
# The part of tests/daemon/enable-systemd.test that runs under the real systemd, as root.
. /hk/lib.sh
. /hk/environment
export PATH HAKMEMCTL=hakmemctl PYTHONDONTWRITEBYTECODE=1
unset LD_PRELOAD
unit="redis-server.service"
drop_in=/etc/systemd/system/$unit.d/50-hakmem.conf

main_pid() { systemctl show -P MainPID "$1"; }

# field PATH COMMAND...: prints a field of the command's JSON.
field()
{
	local path=$1
	shift
	"$@" --json=short | python3 -c '
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("/"):
    value = value[int(key) if isinstance(value, list) else key]
print(value)' "$path"
}

is()
{
	[ "$2" = "$3" ] || fail "$1: $2, not $3"
}

state() { field "units/0/$1" hakmemctl status $unit; }
value() { field values/0/text hakmemctl get "$redis" "$1"; }

# --- enable --------------------------------------------------------------------------------------
systemctl start $unit || fail "redis-server: $(journalctl -u $unit --no-pager)"
redis=$(main_pid $unit)
is "before" "$(state enabled) $(state processes/0/on_hakmem)" "no False"
# Debian's unit lets only files in /usr/lib be executed.
case $library in
/usr/lib/*) ;;
*)
	hakmemctl enable $unit >/hk/refused && fail "enabled what may not be executed"
	grep -q NoExecPaths= /hk/refused || fail "refused: $(cat /hk/refused)" ;;
esac
[ ! -e $drop_in ] || fail "refused, and written"
export HAKMEM_LIB=/usr/lib/hakmem-test/libhakmem.so.0
[ "$(field units/0/next hakmemctl enable $unit)" = "systemctl restart $unit" ] ||
	fail "enable: $(hakmemctl enable $unit)"
is "systemd was reloaded" "$(systemctl show -P NeedDaemonReload $unit)" no
systemctl show -P Environment $unit | grep -qF "LD_PRELOAD=$HAKMEM_LIB" ||
	fail "systemd has $(systemctl show -P Environment $unit)"
is "enabled, not restarted" "$(state enabled) $(state restart) $(state processes/0/on_hakmem)" \
	"yes True False"
systemctl restart $unit || fail "redis-server does not start on hakmem"
redis=$(main_pid $unit)
is "restarted" "$(state restart) $(state processes/0/on_hakmem) $(state processes/0/pid)" \
	"False True $redis"
redis-cli set a b | grep -q OK || fail "redis-server does not answer"

# A unit that has an LD_PRELOAD: both are loaded.
other=$(ls /usr/lib/*/libjemalloc.so.2 /usr/lib/*/libz.so.1 2>/dev/null | head -1)
cat >/etc/systemd/system/two.service <<END
[Service]
Environment="LD_PRELOAD=$other"
Environment=B=1
ExecStart=/bin/sleep 1000
END
hakmemctl enable two -q >/dev/null || fail "enable two"
systemctl start two
grep -q libhakmem.so "/proc/$(main_pid two)/maps" || fail "two is not on hakmem"
grep -qF "${other##*/}" "/proc/$(main_pid two)/maps" || fail "two lost what it had"
tr '\0' '\n' <"/proc/$(main_pid two)/environ" | grep -q ^B=1 || fail "two lost a variable"

# A template: its instances are what runs, and what to restart.
printf '[Service]\nExecStart=/bin/sleep 1000\n' >/etc/systemd/system/many@.service
systemctl daemon-reload
systemctl start 'many@a\x2db' many@c
is "next" "$(field units/0/next hakmemctl enable many@)" "systemctl restart 'many@*.service'"
is "next" "$(field units/0/next hakmemctl enable 'many@a\x2db')" \
	"systemctl restart 'many@a\\x2db.service'"
bash -c "$(field units/0/next hakmemctl enable many@)" || fail "restart of all instances"
for one in 'many@a\x2db' many@c; do
	grep -q libhakmem.so "/proc/$(main_pid "$one")/maps" || fail "$one is not on hakmem"
done
field units/0/processes hakmemctl status many@ | grep -o "'pid'" | wc -l >/hk/n
is "instances" "$(cat /hk/n)" 2
hakmemctl set many@.service purge.delay_ms=7s >/dev/null || fail "set many@"
of_all() { journalctl --sync; [ "$(hakmemctl history many@.service -q | wc -l)" = 2 ]; }
wait_for 30 of_all || fail "history of a template: $(hakmemctl history)"
of_one() { [ "$(hakmemctl history many@c.service -q | wc -l)" = 1 ]; }
of_one || fail "history of an instance: $(hakmemctl history)"
hakmemctl history system.slice >/dev/null 2>/hk/slice
is "history of a slice" "$? $(grep -c slices /hk/slice)" "2 1"
hakmemctl disable many@ 'many@a\x2db' >/dev/null || fail "disable many@"
systemctl stop 'many@*'

# Privileges: what the dynamic linker would ignore is refused, what it accepts is not.
cp /bin/sleep /usr/bin/suid-sleep
chmod 4755 /usr/bin/suid-sleep
for more in "User=nobody" $'User=nobody\nNoNewPrivileges=yes' "Nice=1" "DynamicUser=yes" \
	$'User=nobody\nPrivateDevices=yes' $'User=nobody\nPrivateTmp=yes'; do
	printf '[Service]\nExecStart=/usr/bin/suid-sleep 1000\n%s\n' "$more" \
		>/etc/systemd/system/suid.service
	result=$(field units/0/result hakmemctl enable suid 2>/dev/null)
	# Checks what happens if the refusal is overridden.
	mkdir -p /etc/systemd/system/suid.service.d
	printf '[Service]\nEnvironment=LD_PRELOAD=%s\n' $HAKMEM_LIB \
		>/etc/systemd/system/suid.service.d/50-hakmem.conf
	systemctl daemon-reload
	systemctl restart suid || fail "suid with $more"
	running() { [ "$(readlink "/proc/$(main_pid suid)/exe")" = /usr/bin/suid-sleep ]; }
	wait_for 30 running || fail "suid with $more does not run"
	# Long enough for the dynamic linker: it sleeps.
	asleep() { grep -q clock_nanosleep "/proc/$(main_pid suid)/wchan" ||
		grep -q '^State:.*sleeping' "/proc/$(main_pid suid)/status"; }
	wait_for 30 asleep
	really=refused
	! grep -q libhakmem.so "/proc/$(main_pid suid)/maps" || really=enabled
	is "suid with ${more//$'\n'/ }" "$result" $really
	rm -r /etc/systemd/system/suid.service.d
done
systemctl daemon-reload
systemctl stop suid

# --- history, undo -------------------------------------------------------------------------------
change() { field "changes/$1/id" hakmemctl history "$redis"; }
entries() { journalctl --sync; hakmemctl history "$redis" -q | wc -l; }
await()
{
	at_least() { [ "$(entries)" -ge "$1" ]; }
	wait_for 30 at_least "$1" || fail "less than $1: $(hakmemctl history "$redis")"
	is "number of entries" "$(entries)" "$1"
}
is "no change yet" "$(entries)" 0
hakmemctl set "$redis" whale.ring_slots=30 purge.delay_ms=7s >/dev/null || fail "set"
await 2
first=$(change 0)
is "one command, one change" "$(change 1)" "$first"
is "who" "$(field changes/0/who hakmemctl history "$redis")" "user root"
is "of a unit" "$(field changes/0/unit hakmemctl history $unit)" $unit
is "old" "$(field changes/0/old hakmemctl history "$redis")" 128
is "new" "$(field changes/0/new hakmemctl history "$redis")" 30
hakmemctl set "$redis" whale.ring_slots=31 >/dev/null
await 3
second=$(change 2)
# A dry run changes nothing, and makes no entry.
applied() { field processes/0/counters/control.applied hakmemctl stats "$redis"; }
generations=$(applied)
hakmemctl undo "$second" -n >/hk/undo || fail "undo -n: $(cat /hk/undo)"
grep -qE 'whale.ring_slots +31 +30 .*dry-run' /hk/undo || fail "undo -n: $(cat /hk/undo)"
hakmemctl undo "$first" -n >/hk/undo && fail "undo -n would undo what was changed since"
grep -q 'purge.delay_ms.*dry-run' /hk/undo || fail "undo -n: $(cat /hk/undo)"
grep -q 'whale.ring_slots.*refused' /hk/undo || fail "undo -n: $(cat /hk/undo)"
is "after a dry run" "$(value whale.ring_slots) $(value purge.delay_ms) $(applied)" \
	"31 7s $generations"
await 3
hakmemctl undo "$first" >/hk/undo && fail "undid what was changed since"
grep -q 'whale.ring_slots.*refused.*it is 31 now; its page names user 0' /hk/undo ||
	fail "$(cat /hk/undo)"
is "the other of the two" "$(value purge.delay_ms)" 1s
is "not touched" "$(value whale.ring_slots)" 31
hakmemctl undo "$second" >/dev/null || fail "undo"
is "undone" "$(value whale.ring_slots)" 30
hakmemctl undo "$first" --force >/dev/null || fail "undo --force"
is "undone" "$(value whale.ring_slots) $(field values/0/origin hakmemctl get "$redis" \
	whale.ring_slots)" "128 default"
# The first undo takes back one change, the second one, the third two.
await 7
hakmemctl undo "$(change 6)" >/dev/null || fail "undo of an undo"
is "done again" "$(value whale.ring_slots)" 30
hakmemctl undo 123456789abc 2>/dev/null
is "no such change" $? 3
# A value with a deadline is restored with the rest of its time.
hakmemctl set "$redis" whale.ring_slots=40 --for=1h >/dev/null
hakmemctl set "$redis" whale.ring_slots=41 >/dev/null
await 11
hakmemctl undo "$(change 10)" >/dev/null || fail "undo of a value with an end"
left=$(field values/0/expires_ns hakmemctl get "$redis" whale.ring_slots)
((left > 3000000000000 && left <= 3600000000000)) || fail "left of an hour: $left"

# A change that a process has not applied can be taken back as well.
printf '[Service]\nEnvironment=LD_PRELOAD=%s HAKMEM=control.agent=off\nExecStart=%s\n' \
	$HAKMEM_LIB "/bin/sleep 1000" >/etc/systemd/system/sleeps.service
systemctl daemon-reload
systemctl start sleeps
ready() { hakmemctl get sleeps.service purge.delay_ms >/dev/null 2>&1; }
wait_for 30 ready || fail "sleeps does not run on hakmem"
# In clock_nanosleep(), of x86-64 or of the generic table: before that the process may still
# allocate.
asleep() { grep -qE '^(230|115) ' "/proc/$(systemctl show -P MainPID sleeps)/syscall"; }
wait_for 30 asleep || fail "sleeps does not sleep"
hakmemctl set sleeps.service purge.delay_ms=8s --timeout=50ms >/hk/set || fail "set"
grep -q pending /hk/set || fail "no sleeper: $(cat /hk/set)"
written() { journalctl --sync; field changes/0/id hakmemctl history sleeps.service; }
wait_for 30 written >/hk/id 2>/dev/null || fail "history"
is "pending" "$(for f in old new result; do
	field changes/0/$f hakmemctl history sleeps.service; done | xargs)" "1s 8s pending"
hakmemctl undo "$(written)" --timeout=50ms >/hk/undo || fail "undo: $(cat /hk/undo)"
is "undone" "$(field values/0/layers/admin hakmemctl get sleeps.service purge.delay_ms)" None
systemctl stop sleeps

# Every user may write such entries: they count for the user's own processes.
setpriv --reuid=65533 --regid=65533 --clear-groups python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(("MESSAGE=x\nMESSAGE_ID=2ec758b08de447379b7fcf0bc7d5e3c8\nOBJECT_PID=%s\n"
          "HAKMEM_TUNABLE=whale.ring_slots\nHAKMEM_CHANGE=feedfeedfeed\nHAKMEM_WHO=user root\n"
          "HAKMEM_LAYER_OLD=1\nHAKMEM_LAYER_NEW=40\n" % sys.argv[1]).encode(),
         "/run/systemd/journal/socket")' "$redis" || fail "no entry"
forged() { journalctl --sync; hakmemctl history | grep -q feedfeedfeed; }
wait_for 30 forged || fail "the entry is not there"
# A user who may not read the journal learns that there may be more.
for change in history "undo 123456789abc"; do
	# shellcheck disable=SC2086
	setpriv --reuid=65532 --regid=65532 --clear-groups \
		"$(command -v hakmemctl)" $change >/hk/out 2>&1
	status=$?
	[[ "$change $status" =~ history\ [34]|undo.*\ 3 ]] ||
		fail "$change: $status, $(cat /hk/out)"
	grep -qE 'journal.* you may read|you may read.* journal' /hk/out || fail "$(cat /hk/out)"
done
hakmemctl history | grep feedfeedfeed | grep -q '65533 (unverified)' ||
	fail "believes a stranger to be root"
hakmemctl undo feedfeedfeed >/hk/undo && fail "undid what a stranger made up"
grep -q "neither by root nor" /hk/undo || fail "$(cat /hk/undo)"
is "not touched" "$(value whale.ring_slots)" 40
# They neither replace an entry of root's with the same text, nor are they completed. The last of
# them is hakmemd's about a change by the other user, which no command reported.
python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(("MESSAGE=x\nMESSAGE_ID=2ec758b08de447379b7fcf0bc7d5e3c8\nOBJECT_PID=%s\n"
          "HAKMEM_TUNABLE=purge.delay_ms\nHAKMEM_OLD=1s\nHAKMEM_NEW=77s\n"
          "HAKMEM_WHO=user 65533\n" % sys.argv[1]).encode(),
         "/run/systemd/journal/socket")' "$redis" || fail "no entry"
seen() { journalctl --sync; hakmemctl history "$redis" | grep -q 77s; }
wait_for 30 seen || fail "the entry of hakmemd's is not there"
trusted() { hakmemctl history "$redis" --json=short | grep -o '"trusted":true' | wc -l; }
before=$(trusted)
hakmemctl history "$redis" --json=short >/hk/rows && chmod 644 /hk/rows
setpriv --reuid=65533 --regid=65533 --clear-groups python3 -c '
import json, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
rows = json.load(open("/hk/rows"))["changes"]
for row in rows:
    for change in "aaaaaaaaaaaa", "$(id>/hk/run)":
        s.sendto(("MESSAGE=x\nMESSAGE_ID=2ec758b08de447379b7fcf0bc7d5e3c8\nOBJECT_PID=%d\n"
                  "HAKMEM_TUNABLE=%s\nHAKMEM_NEW=%s\nHAKMEM_CHANGE=%s\n"
                  "HAKMEM_WHY=\x1b[31mwhy\nHAKMEM_OLD=\u202eold\nHAKMEM_COMMAND=\x9bc\n"
                  % (row["pid"], row["name"], row["new"], change)).encode(),
                 "/run/systemd/journal/socket")
' || fail "no entries"
forged_again() { journalctl --sync; hakmemctl history "$redis" | grep -q aaaaaaaaaaaa; }
wait_for 30 forged_again || fail "the entries are not there"
for mode in off short; do
	hakmemctl history "$redis" --json=$mode >/hk/raw
	grep -q why /hk/raw || fail "no reason in the history"
	LC_ALL=C grep -q $'\033\|\xc2\x9b\|\xe2\x80\xae' /hk/raw && fail "$(cat -v /hk/raw)"
done
hakmemctl undo aaaaaaaaaaaa >/hk/raw 2>&1 && fail "undid what a stranger made up, again"
LC_ALL=C grep -q $'\033\|\xc2\x9b\|\xe2\x80\xae' /hk/raw && fail "$(cat -v /hk/raw)"
is "entries that root or hakmemd wrote" "$(trusted)" "$before"
hakmemctl __complete undo '' >/hk/offered
grep -qF aaaaaaaaaaaa /hk/offered && fail "offers what a stranger made up"
grep -q '[^0-9a-f]' /hk/offered && fail "offers $(cat /hk/offered)"

# --- metrics: by the exporter, over restarts of the daemon ---------------------------------------
mkdir -p /etc/hakmem/policy.d
systemctl start hakmemd hakmem-exporter.socket || fail "start"
metrics()
{
	python3 /hk/metrics.py "
import time, urllib.request
def scraped():
    for i in range(600):
        try:
            with urllib.request.urlopen('http://127.0.0.1:9964/metrics', timeout=60) as r:
                return r.read().decode()
        except urllib.error.HTTPError as e:
            assert e.code == 503, e
            time.sleep(.1)
def get():
    return parse(scraped(), False)
$1" || fail "metrics: $1
$(journalctl -u hakmem-exporter -u hakmemd --no-pager -n 30)"
}
known() { metrics "print(int(total(get(), 'hakmem_processes')))"; }
all_known() { [ "$(known)" = 2 ]; }
wait_for 60 all_known || fail "not both: $(known)"
metrics "s = get()
same_as_stats(s, 'two.service', unit='two.service', command='sleep')
assert total(s, 'hakmem_processes', unit='$unit') == 1"

# A change by the daemon on behalf of a user is in the history as well, and can be taken back.
manager="/org/hakmem/Hakmem1 org.hakmem.Hakmem1.Manager"
process=$(busctl -j call org.hakmem.Hakmem1 $manager GetProcess u "$redis" |
	sed 's/.*"\(\/[^"]*\)".*/\1/')
n=$(hakmemctl history "$redis" -q | wc -l)
busctl call org.hakmem.Hakmem1 "$process" org.hakmem.Hakmem1.Process Set sst \
	purge.delay_ms 9s 0 >/dev/null || fail "Set over D-Bus"
is "over D-Bus" "$(value purge.delay_ms)" 9s
# The daemon saw it in the process as well; one report is enough.
seen()
{
	journalctl --sync
	[ "$(journalctl -q --no-pager -o cat _SYSTEMD_UNIT=hakmemd.service "HAKMEM_NEW=$1" \
		HAKMEM_TUNABLE=purge.delay_ms "OBJECT_PID=$redis" | wc -l)" -ge "$2" ]
}
wait_for 30 seen 9s 2 || fail "hakmemd saw nothing: $(journalctl -u hakmemd -n 20 --no-pager)"
await $((n + 1))
is "who" "$(field changes/$n/who hakmemctl history "$redis")" "user root"
is "why" "$(field changes/$n/why hakmemctl history "$redis")" "over D-Bus"
hakmemctl undo "$(change "$n")" >/dev/null || fail "undo of a change over D-Bus"
is "undone" "$(value purge.delay_ms)" 1s
wait_for 30 seen 1s 1 || fail "hakmemd saw nothing: $(journalctl -u hakmemd -n 20 --no-pager)"
await $((n + 2))

status=/proc/$(main_pid hakmem-exporter)/status
is "capabilities of the exporter" "$(awk '/^CapEff/ { print $2 }' "$status")" 0000000000000000
[ "$(awk '/^Uid/ { print $2 }' "$status")" -ge 61184 ] || fail "no dynamic user"
[ -e "/proc/$(main_pid hakmem-exporter)/maps" ] || fail "no exporter"
# Its socket is systemd's: it outlives the exporter.
systemctl restart hakmem-exporter || fail "$(journalctl -u hakmem-exporter --no-pager -n 20)"
all_known || fail "after a restart of the exporter: $(known)"
systemctl stop hakmem-exporter || fail "the exporter does not stop"
all_known || fail "after a stop of the exporter: $(known)"
exposure=$(systemd-analyze security hakmem-exporter --no-pager | tail -n 1)
echo "systemd-analyze security: $exposure"
[[ $exposure == *SAFE* ]] || fail "$exposure"

# Ended while it runs, ended while it does not, killed: nothing falls, nothing counts twice. The
# sleep of "two" allocates when it starts, and never again; redis-server does all the time. The
# exporter's figures may be a second older than the daemon's, so each is compared with its own.
live()
{
	begun() { grep -q '^State:.*sleeping' "/proc/$(main_pid two)/status" &&
		[ "$(field processes/0/comm hakmemctl stats two.service 2>/dev/null)" = sleep ]; }
	wait_for 30 begun || fail "two does not run"
	field processes/0/counters/class.allocs hakmemctl stats two.service
}
counted()
{
	metrics "print(int(total(get(), 'hakmem_class_allocs_total', unit='two.service')))"
}
settle()
{
	settled() { [ "$(counted)" = "$expected" ]; }
	wait_for 60 settled || fail "$1: $(counted) counted, not $expected"
	hakmemctl metrics --daemon >/hk/after || fail "metrics"
	metrics "
grown(parse(open('/hk/before').read(), True), parse(open('/hk/after').read(), True))
grown(parse(open('/hk/scraped').read(), False), get())"
}
expected=$(live)
for how in ends restart kill ends-meanwhile; do
	redis-cli set a "$how" | grep -q OK || fail "redis-server does not answer"
	metrics "print(scraped(), end='')" >/hk/scraped
	hakmemctl metrics --daemon >/hk/before || fail "metrics"
	before=$(main_pid hakmemd)
	case $how in
	ends) systemctl restart two ;;
	restart) systemctl restart hakmemd ;;
	kill) kill -KILL "$before" ;;
	ends-meanwhile)
		kill -STOP "$before"
		systemctl restart two
		kill -KILL "$before" ;;
	esac
	again() { [ "$(main_pid hakmemd)" != "$before" ] && systemctl -q is-active hakmemd; }
	[ $how = ends ] || wait_for 60 again || fail "hakmemd: $how"
	more=$(live) || fail "$more"
	[[ $how != ends* ]] || expected=$((expected + more))
	settle $how
done

# --- disable -------------------------------------------------------------------------------------
hakmemctl disable $unit two >/dev/null || fail "disable"
[ ! -e /etc/systemd/system/$unit.d ] || fail "left: $(ls /etc/systemd/system/$unit.d)"
is "disabled, not restarted" "$(state enabled) $(state restart) $(state processes/0/on_hakmem)" \
	"no True True"
systemctl restart $unit
is "off" "$(state restart) $(state processes/0/on_hakmem)" "False False"
hakmemctl enable --runtime $unit >/dev/null || fail "enable --runtime"
systemctl restart $unit
is "runtime" "$(state enabled) $(state processes/0/on_hakmem)" "runtime True"
hakmemctl disable $unit >/dev/null
redis-cli ping | grep -q PONG || fail "redis-server does not answer"
echo "enabled, undone, scraped, disabled"
