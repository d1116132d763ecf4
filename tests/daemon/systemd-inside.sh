# SPDX-License-Identifier: MIT
# The part of tests/daemon/systemd.test that runs under the real systemd, as root.
. /hk/lib.sh
. /hk/environment
export PATH
unset LD_PRELOAD
slots=whale.ring_slots
tunable=2ec758b08de447379b7fcf0bc7d5e3c8
purge=5e82c1f4522d4eb7b71567e71c866467
pressure=254d48bed860437b830c3eb0fb14838b
limit=1b1b759856124f918e6607bae1790ecd
unanswered=831e27723801446c86aaff2c80037941
no_agent=59840141671b4703af7c9510269e3206

main_pid() { systemctl show -P MainPID "$1"; }
# Without work that was put off, which there may be on a busy machine.
status_text() { systemctl show -P StatusText hakmemd | sed 's/, put off .*//'; }

value() { values hakmemctl get "$1" "$2"; }

becomes()
{
	has() { [ "$(value "$1" "$2")" = "$3" ]; }
	wait_for 40 has "$@" || fail "$2 of process $1 is $(value "$1" "$2"), not $3;
$(hakmemctl get "$1" "$2" 2>&1)
$(journalctl -u hakmemd --no-pager -n 30)"
}

# in_journal ID FIELD=VALUE...: checks that there is an event with these fields.
in_journal()
{
	local id=$1
	shift
	journalctl --sync 2>/dev/null
	[ -n "$(journalctl -q --no-pager -o cat MESSAGE_ID="$id" \
		_SYSTEMD_UNIT=hakmemd.service "$@")" ]
}

# The host's pressure is used later.
mkdir -p /etc/hakmem/policy.d /etc/hakmem/hakmemd.conf.d
cat >/etc/hakmem/hakmemd.conf.d/test.conf <<END
[Daemon]
PageOutEvery=1s
[HostPressure]
Enable=no
END
cat >/etc/hakmem/policy.d/redis.policy <<END
[Match]
Unit=redis-server.service
[Tunables]
$slots=40
purge.delay_ms=1d
[Pressure]
Threshold=5ms
Window=2s
Cooldown=1s
END
cat >/etc/systemd/system/hakmemd.service.d/test.conf <<END
[Service]
WatchdogSec=4s
TimeoutAbortSec=1s
END
systemctl daemon-reload

# --- start: ready, its capabilities and no others, hardened ------------------------------------
systemctl start hakmemd || fail "hakmemd does not start: $(journalctl -u hakmemd --no-pager)"
[[ $(status_text) =~ ^[0-9]+\ process(es)?,\ 1\ policy,\ .*\ returned$ ]] ||
	fail "status: $(status_text)"
capabilities=$(awk '/^CapEff/ { print $2 }' "/proc/$(main_pid hakmemd)/status")
# SYS_PTRACE, DAC_READ_SEARCH, CHECKPOINT_RESTORE, SYS_NICE
[ "$capabilities" = 0000010000880004 ] || fail "capabilities: $capabilities"
exposure=$(systemd-analyze security hakmemd --no-pager | tail -n 1)
echo "systemd-analyze security: $exposure"
[[ $exposure == *OK* ]] || fail "exposure: $exposure"

# --- it is the only one, except for trials beside it -------------------------------------------
said=$(hakmemd 2>&1)
[ $? = 2 ] && [[ $said == *"hakmemd is running, process $(main_pid hakmemd) "* ]] ||
	fail "a second hakmemd: $said"
systemd-run -q --unit=trial -p Type=notify "$(command -v hakmemd)" --only=no-such-command ||
	fail "--only beside it does not start: $(journalctl -u trial --no-pager)"
systemctl stop trial
hakmemctl metrics --daemon >/dev/null || fail "a hakmemd with --only took the metrics away"

# --- a service on hakmem gets its policy when it starts ----------------------------------------
systemctl start redis-server || fail "redis-server: $(journalctl -u redis-server --no-pager)"
redis=$(main_pid redis-server)
grep -q libhakmem "/proc/$redis/maps" || fail "redis-server is not on hakmem"
becomes "$redis" $slots 40/policy
hakmemctl policy verify "$redis" || fail "verify: $?"
for target in redis-server.service system.slice cgroup:/system.slice/redis-server.service \
	cgroup:/system.slice; do
	hakmemctl get $target $slots --no-legend -o PID | grep -qw "$redis" || fail "get $target"
done
hakmemctl get cgroup:/system.slice/redis $slots >/dev/null 2>&1 && fail "a group that is none"
wait_for 20 in_journal $tunable HAKMEM_TUNABLE=$slots HAKMEM_OLD=128 HAKMEM_NEW=40 \
	HAKMEM_RULE=redis HAKMEM_UNIT=redis-server.service OBJECT_PID="$redis" ||
	fail "no event: $(journalctl -u hakmemd -o verbose --no-pager | tail -n 40)"

# --- live change by reload; a bad file costs itself only ---------------------------------------
sed -i "s/^$slots=.*/$slots=50/" /etc/hakmem/policy.d/redis.policy
printf '[Match]\nUnit=x\n[Tunables]\nno.such=1\n' >/etc/hakmem/policy.d/bad.policy
systemctl reload hakmemd && fail "a reload with a bad file is said to be well done"
becomes "$redis" $slots 50/policy
[[ $(systemctl status hakmemd --no-pager) == *"problem in files"* ]] ||
	fail "$(systemctl status hakmemd --no-pager)"
[ "$(systemctl show -P StatusErrno hakmemd)" = 22 ] || fail "no errno of the bad file"
wait_for 20 in_journal 8cd01dbac3d84abea23f382f3cddf138 HAKMEM_RULE_LINE=4 ||
	fail "no event of the bad file"
hakmemctl policy verify >/dev/null 2>&1 && fail "verify passed over a bad file"
rm /etc/hakmem/policy.d/bad.policy
systemctl reload hakmemd || fail "reload: $(journalctl -u hakmemd --no-pager | tail)"
[ "$(systemctl show -P StatusErrno hakmemd)" = 0 ] || fail "the errno stays"
catalog=$(find / -xdev -name hakmem.catalog -path '*/systemd/catalog/*' 2>/dev/null | head -n 1)
[ -n "$catalog" ] || fail "no catalog was installed"
mkdir -p /usr/lib/systemd/catalog && cp -n "$catalog" /usr/lib/systemd/catalog/
journalctl --update-catalog || fail "the catalog is not right"
journalctl -q -x --no-pager MESSAGE_ID=$tunable | grep -q 'A tunable of hakmem changed' ||
	fail "the catalog explains nothing"

# --- pressure in the unit's cgroup: RSS falls, the data stays ----------------------------------
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$redis/status"; }
# Leaves redis-server with few keys and much free memory.
fill()
{
	python3 -c '
for i in range(120000):
    v = ("%06d" % i) * 100
    print("*3\r\n$3\r\nSET\r\n$7\r\nk%06d\r\n$%d\r\n%s\r" % (i, len(v), v))' |
		redis-cli --pipe >/dev/null || fail "redis-cli"
	seq -f 'DEL k%06.0f' 2000 119999 | redis-cli >/dev/null
	[ "$(redis-cli dbsize)" = 2000 ] || fail "redis: $(redis-cli dbsize) keys"
	full=$(rss)
	((full > 40000)) || fail "redis-server holds too little to give back: $full KiB"
}
fill
digest=$(redis-cli debug digest)
memory=/sys/fs/cgroup/memory unified=/sys/fs/cgroup/unified
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
	# The controller may still be one of version 1, which nothing here shows.
	memory=/run/memory unified=/sys/fs/cgroup
	mkdir $memory
	mount -t cgroup -o memory cgroup $memory 2>/dev/null || rmdir $memory
fi
if [ "$(stat -f -c %T /hk/file)" = tmpfs ]; then
	echo "pressure not tried: no file is on a disk here"
elif [ -d $memory ] && [ -d $unified ]; then
	mkdir $memory/thrash $unified/system.slice/redis-server.service/thrash
	echo $((20 << 20)) >$memory/thrash/memory.limit_in_bytes
	sh -c "echo \$\$ >$memory/thrash/cgroup.procs
		echo \$\$ >$unified/system.slice/redis-server.service/thrash/cgroup.procs
		exec python3 /hk/thrash.py /hk/file" >/dev/null &
	thrash=$!
	fell() { (($(rss) < full / 2)); }
	wait_for 60 fell || fail "RSS is $(rss) KiB, was $full; $(
		cat $unified/system.slice/redis-server.service/memory.pressure
		hakmemctl stats $redis; journalctl -u hakmemd --no-pager -n 20)"
	kill $thrash
	wait_for 20 in_journal $purge OBJECT_PID="$redis" HAKMEM_WHY=pressure ||
		fail "no event of the purge: $(journalctl -u hakmemd --no-pager -n 20)"
	in_journal $pressure HAKMEM_CGROUP=/system.slice/redis-server.service HAKMEM_ASKED=1 ||
		fail "no event of the pressure: $(journalctl -u hakmemd --no-pager -n 20)"
	echo "under pressure: RSS of redis-server from $full to $(rss) KiB"
	[ "$(redis-cli debug digest)" = "$digest" ] || fail "the data of redis-server changed"
	[[ $(status_text) =~ [0-9]M\ returned$ ]] || fail "status: $(status_text)"

	# The same by the host's pressure, of which all processes on hakmem are part.
	sed -i '/^\[Pressure\]/,$d' /etc/hakmem/policy.d/redis.policy
	printf '[HostPressure]\nThreshold=1ms\nCooldown=1s\n' \
		>/etc/hakmem/hakmemd.conf.d/test.conf
	systemctl reload hakmemd
	fill
	sh -c "echo \$\$ >$memory/thrash/cgroup.procs; exec python3 /hk/thrash.py /hk/file" \
		>/dev/null &
	thrash=$!
	wait_for 60 fell || fail "RSS is $(rss) KiB, was $full; $(cat /proc/pressure/memory;
		journalctl -u hakmemd --no-pager -n 20)"
	kill $thrash
	journalctl --sync
	journalctl -q -o cat MESSAGE_ID=$pressure | grep -q 'pressure on the host' ||
		fail "no event of the host's pressure"
	[ "$(redis-cli debug digest)" = "$digest" ] || fail "the data of redis-server changed"
else
	echo "pressure not tried: no memory controller of version 1 beside version 2"
fi

# --- memory freed lazily by one that sleeps; one that closed its descriptors --------------------
printf '[Daemon]\nPageOutEvery=1s\n[HostPressure]\nEnable=no\n' \
	>/etc/hakmem/hakmemd.conf.d/test.conf
systemctl reload hakmemd
library=/usr/lib/hakmem-test/libhakmem.so.0
if [ "$(wc -l </proc/swaps)" -le 1 ]; then
	mkfifo /run/letters
	exec {letters}<>/run/letters
	systemd-run -q --unit=sleeper -p StandardInput=file:/run/letters \
		-p StandardOutput=file:/run/answers -p Environment=LD_PRELOAD=$library \
		-p Environment=HAKMEM=control.agent=off,purge.delay_ms=0,region.evict_bytes=0 \
		/hk/workload || fail "systemd-run"
	answers() { [ "$(grep -c "$1" /run/answers)" -ge "$2" ]; }
	wait_for 20 answers ready 1 || fail "no answer of the sleeper"
	sleeper=$(main_pid sleeper)
	for fd in /proc/"$sleeper"/fd/*; do
		[[ $(readlink "$fd") != *hakmem-tune* ]] || page=$(stat -Lc %i "$fd")
	done
	held() { grep -qs "WRITE .*:$page 1 1$" /proc/"$(main_pid hakmemd)"/fdinfo/*; }
	wait_for 20 held || fail "hakmemd is not attached to the sleeper"
	lazy()
	{
		hakmemctl stats "$sleeper" --json=short | python3 -c '
import json, sys
sys.exit(json.load(sys.stdin)["processes"][0]["memory"]["lazy"] < 20 << 20)'
	}
	small() { (($(awk '/^VmRSS/ { print $2 }' "/proc/$sleeper/status") < 20 << 10)); }
	# Its slow paths see that a controller is attached, then it frees lazily, then it sleeps.
	for letter in w d w; do
		echo $letter >&$letters
	done
	wait_for 20 answers done 3 || fail "no answer of the sleeper"
	wait_for 20 lazy || fail "not freed lazily: $(hakmemctl stats "$sleeper")"
	wait_for 30 small || fail "not paged out: $(hakmemctl stats "$sleeper")"
	echo d >&$letters
	wait_for 20 answers done 4 || fail "the sleeper did not go on"
	systemctl stop sleeper
else
	echo "page-out not tried: there is swap"
fi
cat >/etc/hakmem/policy.d/closed.policy <<END
[Match]
Unit=closed.service
[Tunables]
$slots=60
END
systemctl reload hakmemd
systemd-run -q --unit=closed -p Environment=LD_PRELOAD=$library -p User=nobody /bin/bash -c '
	for fd in {256..280}; do eval "exec $fd>&-"; done
	while read -r -t 1000 line; do :; done < <(exec sleep 1000)' || fail "systemd-run"
closed=$(main_pid closed)
# It sleeps, so its answer may take long.
written()
{
	[[ $(hakmemctl policy verify "$closed" --no-legend -o NAME,WANTED,RESULT) =~ \
		^$slots\ +60\ +(ok|pending)$ ]]
}
wait_for 20 written || fail "who closed its descriptors is not reached:
$(hakmemctl policy verify "$closed")"
readlink /proc/"$closed"/fd/* | grep -q memfd && fail "it did not close its descriptors"
systemctl stop closed
rm /etc/hakmem/policy.d/closed.policy

# --- what a process does not do: start its agent, answer a purge, meet a limit -------------------
cat >/etc/hakmem/policy.d/tight.policy <<END
[Match]
Unit=tight.service
[Limit]
CachedMax=8M
END
systemctl reload hakmemd
mkfifo /run/tight
exec {tight}<>/run/tight
systemd-run -q --unit=tight -p TasksMax=1 -p StandardInput=file:/run/tight \
	-p StandardOutput=file:/run/tight.out -p Environment=LD_PRELOAD=$library \
	-p Environment=HAKMEM=control.agent=on,purge.delay_ms=1d /hk/workload || fail "systemd-run"
finds() { grep -q "$1" /run/tight.out; }
wait_for 20 finds ready || fail "no answer of the tight one"
echo d >&$tight
wait_for 20 finds done || fail "no answer of the tight one"
pid=$(main_pid tight)
entries() { journalctl -u hakmemd --no-pager -n 20; }
without_an_agent()
{
	wait_for 60 in_journal $no_agent OBJECT_PID="$pid" ERRNO=11 HAKMEM_UNIT=tight.service ||
		fail "no event of the agent: $(entries)"
	wait_for 60 in_journal $unanswered OBJECT_PID="$pid" HAKMEM_WHY=limit HAKMEM_AGENT=no \
		HAKMEM_RULE=tight || fail "no event of a purge without an answer: $(entries)"
	wait_for 60 in_journal $limit OBJECT_PID="$pid" HAKMEM_LIMIT=8388608 HAKMEM_RULE=tight ||
		fail "no event of a limit that is not met: $(entries)"
	explained=$(journalctl -q -x --no-pager OBJECT_PID="$pid")
	for text in 'could not start its agent' 'does not answer a purge' \
		'does not meet the limit'; do
		[[ $explained == *"Process $pid $text"* ]] || fail "no \"$text\": $explained"
	done
	verified=$(hakmemctl policy verify "$pid" -o NAME,WANTED,RESULT,REASON) && fail "$verified"
	[[ $verified == *CachedMax*8M*unmet*"could not be started: Resource temporarily"* ]] ||
		fail "$verified"
	[[ $(hakmemctl list) == *"$pid "*"agent failed, purge pending, limit unmet"* ]] ||
		fail "$(hakmemctl list)"
	# gauge NAME: prints the sum over the processes of the unit.
	gauge()
	{
		hakmemctl metrics --daemon | awk -v name="$1{" \
			'index($0, name) == 1 && /tight.service/ { n += $2 } END { print n + 0 }'
	}
	counted()
	{
		[ "$(gauge hakmem_agents_failed)/$(gauge hakmem_purges_unanswered)/$(
			gauge hakmem_limits_unmet)" = "$1" ]
	}
	wait_for 20 counted 1/1/1 ||
		fail "metrics: $(hakmemctl metrics --daemon | grep tight.service)"
	advice=$(hakmemctl advise "$pid" --seconds=300ms --no-trace)
	[[ $advice == *limit-unmet* ]] || fail "$advice"
	# It wakes, and answers.
	echo w >&$tight
	wait_for 60 in_journal $purge OBJECT_PID="$pid" HAKMEM_WHY=limit ||
		fail "no event of the purge: $(entries)"
	echo "what is not done is told"
}
if [ "$(systemctl show -P TasksCurrent tight)" = "[not set]" ]; then
	echo "no controller of pids: each process has its agent"
else
	without_an_agent
fi
systemctl stop tight
rm /etc/hakmem/policy.d/tight.policy

# --- a user that gets its name while its processes run -----------------------------------------
cat >/etc/hakmem/policy.d/named.policy <<END
[Match]
User=hakmem-late
[Tunables]
$slots=61
END
systemctl reload hakmemd
systemd-run -q --unit=late -p Environment=LD_PRELOAD=$library \
	setpriv --reuid=5555 --regid=5555 --clear-groups sleep 1000 || fail "systemd-run"
late=$(main_pid late)
found() { hakmemctl metrics --daemon | grep -q 'unit="late.service",command="sleep"'; }
wait_for 40 found || fail "hakmemd does not find late.service:
$(systemctl status late --no-pager)"
echo "hakmem-late:x:5555:5555::/:/bin/false" >>/etc/passwd
systemctl reload hakmemd
# It sleeps as well.
named()
{
	[[ $(hakmemctl policy verify "$late" --no-legend -o NAME,WANTED,RESULT) =~ \
		^$slots\ +61\ +(ok|pending)$ ]]
}
wait_for 20 named || fail "no policy for a user who came later:
$(hakmemctl policy verify "$late")"
systemctl stop late
rm /etc/hakmem/policy.d/named.policy
systemctl reload hakmemd

# --- hung: the watchdog kills it, and what it knew is there again ------------------------------
returned=$(status_text)
returned=${returned##*, }
before=$(main_pid hakmemd)
kill -STOP "$before"
restarted()
{
	[ "$(main_pid hakmemd)" != "$before" ] && [ "$(main_pid hakmemd)" != 0 ] &&
		systemctl -q is-active hakmemd
}
wait_for 60 restarted || fail "the watchdog did nothing: $(systemctl status hakmemd --no-pager)"
[ "$(systemctl show -P Result hakmemd)" = success ] || systemctl reset-failed hakmemd
again=$(status_text)
[ "${again##*, }" = "$returned" ] || fail "after the restart: $again, before: $returned"
[ "$(value "$redis" $slots)" = 50/policy ] || fail "$(value "$redis" $slots) after the restart"

# --- /proc that hides processes; a user who forks all the time ---------------------------------
mount -o remount,hidepid=2 /proc && systemctl restart hakmemd || fail "hidepid"
sh -c 'while :; do /bin/true; done' &
storm=$!
systemctl restart redis-server
redis=$(main_pid redis-server)
becomes "$redis" $slots 50/policy
kill $storm

# --- its end changes nothing; a policy that goes takes back what it set ------------------------
systemctl stop hakmemd
[ "$(value "$redis" $slots)" = 50/policy ] || fail "$(value "$redis" $slots) after the stop"
rm /etc/hakmem/policy.d/redis.policy
[ "$(hakmemctl policy verify "$redis" --no-legend -o NAME,RESULT | grep -c 'left over')" = 2 ] ||
	fail "verify: $(hakmemctl policy verify "$redis")"
systemctl start hakmemd
becomes "$redis" $slots 128/default
[ "$(redis-cli ping)" = PONG ] || fail "redis-server does not answer"
echo "under systemd"
