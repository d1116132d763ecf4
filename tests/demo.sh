#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: tests/demo.sh BUILD-FOLDER
# Starts a redis-server, as the distribution built it, on hakmem, watches it from outside, and
# changes it while it runs. Without kept regions the kernel has to make every page of each whale
# anew, which shows in its own count of page faults. Prints the commands and their output, nothing
# else. Needs neither root nor systemd; exits 1 where the tunable had no effect.
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

# Debian's redis-tools contains the server, too, under the name of another program; package
# redis-server only adds the link, and a service that would be started.
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

# show COMMAND-LINE: prints and runs it, as at a prompt.
show()
{
	printf '\n$ %s\n' "$1"
	eval "$1" || die "failed: $1"
}

minor_faults()
{
	awk '{ print $10 }' "/proc/$server/stat"
}

memory()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$server/status"
}

# whales: 500 values of 4 MiB come and go. Sets faults to the page faults that this took.
whales()
{
	local before
	before=$(minor_faults)
	show "redis-cli -s sock eval \"$script\" 0"
	show "hakmemctl stats $server | grep ' hits, '"
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

script="for i = 1, 300000 do redis.call('set', 'key' .. i, string.rep('x', 100)) end"
show "redis-cli -s sock eval \"$script\" 0"
show "redis-cli -s sock flushall"
show "hakmemctl stats $server"
show "grep VmRSS /proc/$server/status"
show "hakmemctl purge $server --level=all"
show "grep VmRSS /proc/$server/status"
# The rest goes when redis's own thread next frees a block.
show "redis-cli -s sock set key value"
left=$(memory)
for ((i = 0; i < 100 && left > 15000; i++)); do
	redis-cli -s sock ping >/dev/null
	sleep $tick
	left=$(memory)
done
show "grep VmRSS /proc/$server/status"
show "redis-cli -s sock shutdown nosave"

# With kept regions only the first whale is new to the kernel, without them each is. The number of
# faults for a whale depends on the size of the kernel's pages, so the ratio is compared.
[ "$without" -ge 500 ] || die "500 whales without the ring took only $without page faults"
[ $((with * 10)) -lt "$without" ] || die "page faults with the ring $with, without $without"
[ $((again * 10)) -lt "$without" ] || die "page faults with the ring again $again, without $without"
