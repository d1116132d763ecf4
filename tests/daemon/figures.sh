#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: figures.sh BUILD [PROCESSES]
# Measures how much of other users' time one user's processes take: PROCESSES (100) of `dear
# descriptors`, as user nobody. Prints when hakmemd was ready, how soon another user's calls were
# answered, how long `hakmemctl list` took as root, the same during a flood of calls, and a scrape
# of hakmem-exporter beside 200 silent connections. For root. It is no test, because the figures
# depend on the machine.
build=$(realpath "${1:?}") n=${2:-100}
tools=$(realpath "${HAK_TOOLS:-$build}") # may be another build
tmp=$(mktemp -d) && chmod 755 "$tmp" && cd "$tmp" || exit 1
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$tmp/bus HAKMEM_POLICY_PATH=$tmp HAKMEMD_CONF_PATH=$tmp
export NOTIFY_SOCKET=$tmp/notify RUNTIME_DIRECTORY=$tmp/run
mkdir "$tmp/run"
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$tmp"' EXIT
ulimit -n 20000
nobody=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
daemon_user=(setpriv --reuid=daemon --regid=daemon --clear-groups)
cp -L "$tools"/tests/daemon/{dear,caller} "$tools/libhakmem/.libs/libhakmem.so" "$tmp"
chmod 755 dear caller libhakmem.so
now() { date +%s.%N; }
since() { awk "BEGIN { printf \"%.3f\", $(now) - $1 }"; }

cat >bus.conf <<END_CONF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
	"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>$DBUS_SYSTEM_BUS_ADDRESS</listen>
<policy context="default"><allow user="*"/><allow own="*"/>
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy></busconfig>
END_CONF
# It logs each call beyond its limit.
env -u NOTIFY_SOCKET dbus-daemon --config-file=bus.conf --nofork 2>/dev/null &
for ((i = 0; i < 20; i++)); do
	LD_PRELOAD=$tmp/libhakmem.so "${daemon_user[@]}" sleep 100000 &
	honest=$!
done
for ((i = 0; i < n; i++)); do
	"${nobody[@]}" ./dear descriptors 19800 >>ready < <(exec sleep 100000) &
done
until [ "$(grep -c ready ready 2>/dev/null)" = "$n" ]; do sleep 0.2; done

# Receives READY=1 in place of systemd, with the time.
python3 - <<'END_PY' &
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(os.environ["NOTIFY_SOCKET"])
while True:
    if b"READY=1" in s.recv(4096).split(b"\n"):
        open("told", "w").write(str(time.time()))
END_PY
until [ -S notify ]; do sleep 0.1; done
begun=$(now)
"$build/hakmemd/hakmemd" --bus="$DBUS_SYSTEM_BUS_ADDRESS" 2>said &
hakmemd=$!
until [ -s told ]; do sleep 0.05; [ "$SECONDS" -lt 400 ] || break; done
echo "$n processes of one user, $(awk '{ print $1 }' /proc/loadavg) load"
echo "READY=1 after      $(awk "BEGIN { printf \"%.3f\", $(cat told) - $begun }") s," \
	"$(awk '{ print ($14 + $15) / 100 }' /proc/$hakmemd/stat) s of processor"

# calls N: another user's GetProcess.
calls()
{
	"${daemon_user[@]}" timeout 200 ./caller -t "$1" /org/hakmem/Hakmem1 Manager GetProcess u \
		"$honest" | sort -n | awk '{ t[NR] = $1 } END {
		printf "median %.1f ms, 90 %% %.1f ms, worst %.1f ms, of %d\n",
			t[int((NR + 1) / 2)], t[int(NR * 0.9)], t[NR], NR }'
}
./caller /org/hakmem/Hakmem1 Manager ListProcesses s all >list
echo "known of 20        $(grep -c '^s sleep' list)"
echo "another user's calls $(calls 100)"
t=$(now)
timeout 120 "$build/hakmemctl/hakmemctl" --no-pager list -q >list 2>&1
echo "hakmemctl list     $(since "$t") s, exit $?, $(grep -c sleep list) of 20 there," \
	"$(grep -c 'too long' list) left out"
for ((i = 0; i < 40; i++)); do
	"${nobody[@]}" timeout 20 ./caller -f 1000 /org/hakmem/Hakmem1 \
		org.freedesktop.DBus.ObjectManager GetManagedObjects >/dev/null \
		< <(exec sleep 5) &
done
sleep 1
echo "during a flood     $(calls 20)"
busctl get-property org.hakmem.Hakmem1 /org/hakmem/Hakmem1 org.hakmem.Hakmem1.Manager PutOff \
	2>/dev/null | sed 's/^t /put off or refused /'
"$build/hakmemd/hakmem-exporter" --listen=127.0.0.1:9965 --socket="$tmp/run/metrics" &
sleep 1
python3 - <<'END_PY'
import socket, time
silent = [socket.create_connection(("127.0.0.1", 9965)) for i in range(200)]
t = time.time()
s = socket.create_connection(("127.0.0.1", 9965))
s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
got = b""
while piece := s.recv(65536):
    got += piece
print("a scrape beside    %.3f s, %d bytes, 200 silent connections" % (time.time() - t, len(got)))
END_PY
