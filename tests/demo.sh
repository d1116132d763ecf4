#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: tests/demo.sh BUILD-FOLDER
# A redis-server, as the distribution built it, is started on hakmem, watched from outside, and
# steered while it runs: without the ring of kept whales the kernel has to make every page of them
# anew, which shows in its own count of page faults. Printed are the commands and what they say,
# nothing else. Needs neither root nor systemd; exits 1 where the tunable had no effect.
set -u
build=$(cd "$1" && pwd) || exit 1
dir=$(mktemp -d "${TMPDIR:-/tmp}/hakmem-demo.XXXXXX") || exit 1
server=
finish()
{
	[ -n "$server" ] && kill "$server" 2>/dev/null
	wait
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 143' INT TERM HUP
cd "$dir" || exit 1
PATH=$build/hakmemctl:$PATH

# Debian's redis-tools holds the server, too, under the name of a part of it; package redis-server
# only adds the link, and a service that would be started.
if ! command -v redis-server >/dev/null; then
	program=$(command -v redis-check-rdb) || {
		echo "demo: redis is not installed" >&2
		exit 77
	}
	mkdir bin && ln -s "$program" bin/redis-server
	PATH=$dir/bin:$PATH
fi

die()
{
	echo "demo: $*" >&2
	cat redis.log >&2 2>/dev/null
	exit 1
}

# show COMMAND-LINE: as at a prompt.
show()
{
	printf '\n$ %s\n' "$1"
	eval "$1" || die "failed: $1"
}

minor_faults()
{
	awk '{ print $10 }' "/proc/$server/stat"
}

# whales: 500 values of 4 MiB come and go. Sets faults to what the kernel had to do for it.
whales()
{
	local before
	before=$(minor_faults)
	show "redis-cli -s sock eval \"$script\" 0"
	show "hakmemctl stats $server | grep -E 'whale|munmap'"
	show "awk '{ print \$10, \"page faults\" }' /proc/$server/stat"
	faults=$(($(minor_faults) - before))
}
script="for i = 1, 500 do \
redis.call('setrange', 'whale', 4194304, 'x'); redis.call('del', 'whale') end"

show "hakmemctl run -- redis-server --port 0 --unixsocket sock --save '' >redis.log 2>&1 &"
tick=.05
for _ in $(seq 200); do
	[ "$(redis-cli -s sock ping 2>/dev/null)" = PONG ] && break
	sleep $tick
done
server=$(redis-cli -s sock info server | tr -d '\r' | sed -n 's/^process_id://p')
[ -n "$server" ] || die "redis-server does not answer"

show "hakmemctl list"
whales
with=$faults
show "hakmemctl set $server whale.ring_slots=0"
whales
without=$faults
show "hakmemctl reset $server whale.ring_slots"
whales
again=$faults

show "redis-cli -s sock debug populate 500000"
show "redis-cli -s sock flushall"
show "grep VmRSS /proc/$server/status"
show "hakmemctl purge $server --level=all"
show "grep VmRSS /proc/$server/status"
show "redis-cli -s sock shutdown nosave"

# The first run fills the ring, so it is the one after that must cost next to nothing.
[ "$without" -ge 500 ] || die "without the ring: only $without page faults"
[ "$again" -lt 250 ] || die "with the ring again: $again page faults"
[ "$with" -lt $((without / 2)) ] || die "page faults with the ring $with, without it $without"
