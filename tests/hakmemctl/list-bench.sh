#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: tests/hakmemctl/list-bench.sh HAKMEMCTL [PROCESSES [OF-THEM-ON-HAKMEM [ROUNDS]]]
# A figure, not a test: how long `hakmemctl list` takes with that many more processes (500, 50, 21).
# Prints the median, the extremes and the CPU time of one round.
hakmemctl=$1 processes=${2:-500} hakmem=${3:-50} rounds=${4:-21}
[ -x "$hakmemctl" ] || exit 2

pids=()
trap 'kill "${pids[@]}"' EXIT
for ((i = hakmem; i < processes; i++)); do
	sleep 1000 &
	pids+=($!)
done
for ((i = 0; i < hakmem; i++)); do
	"$hakmemctl" run -- sleep 1000 &
	pids+=($!)
done
listed() { "$hakmemctl" list -q -o PID | tr -d ' ' | grep -cxF -f <(printf '%d\n' "${pids[@]}"); }
until [ "$(listed)" -ge "$hakmem" ]; do
	sleep .1
done

for ((i = 0; i < rounds; i++)); do
	start=${EPOCHREALTIME/./}
	"$hakmemctl" list --json=short >/dev/null || exit 1
	echo $((${EPOCHREALTIME/./} - start))
done | sort -n | awk '{ t[NR] = $1 / 1000 }
	END { printf "list: median %.1f ms, from %.1f to %.1f, %d rounds\n",
		t[int((NR + 1) / 2)], t[1], t[NR], NR }'
TIMEFORMAT='CPU time of one: %U s user, %S s system'
time "$hakmemctl" list >/dev/null
set -- /proc/[0-9]*
echo "$# processes on this machine, load $(cut -d ' ' -f 1 /proc/loadavg)"
