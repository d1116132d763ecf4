# SPDX-License-Identifier: MIT
# Shared by the tests of real programs; read with . "$srcdir/tests/programs/programs.sh".
. "${srcdir:?}/tests/lib.sh"
hold=$top_builddir/tests/programs/hold.so

# Messages of the test bypass the capture of a program's own output.
exec 3>&1
fail()
{
	echo "FAIL: $*" >&3
	exit 1
}

# on_hakmem COMMAND...: runs with the library under test. All other commands run on glibc.
on_hakmem()
{
	env LD_PRELOAD="$HAK_LIB" "$@"
}

# allocations PID: prints how many blocks that process got from hakmem so far, from its segment.
allocations()
{
	"$HAKMEMCTL" stats "$1" --json=short | tr ',{' '\n\n' |
		awk -F: '/^"(class|whale)\.allocs":/ { sum += $2 } END { print sum + 0 }'
}

# can_count: whether this build can count them.
can_count()
{
	config control && config ctl
}

# at_least PID FLOOR: fails unless that process itself made so many allocations on hakmem.
at_least()
{
	local n
	can_count || return 0
	n=$(allocations "$1")
	[ "${n:-0}" -ge "$2" ] || fail "process $1 made ${n:-no} allocations on hakmem, not $2"
	echo "process $1 made $n allocations on hakmem" >&3
}

# held FLOOR PART COMMAND...: runs the command on hakmem, holds its first process whose command line
# has PART in it at its end, and fails unless that process made FLOOR allocations. The command's
# status is returned, its output passed on.
held()
{
	local floor=$1 part=$2 dir command status
	shift 2
	can_count || { on_hakmem "$@"; return; }
	dir=$(mktemp -d "$HAK_TMP/hold.XXXXXX")
	mkfifo "$dir/go"
	env HAK_HOLD="$dir" HAK_HOLD_FOR="$part" LD_PRELOAD="$HAK_LIB:$hold" "$@" <&0 &
	command=$!
	wait_for 100 eval '[ -e "$dir/pid" ] || ! kill -0 $command 2>/dev/null'
	if [ -e "$dir/pid" ]; then
		at_least "$(cat "$dir/pid")" "$floor"
		: >"$dir/go"
	else
		wait $command
		fail "no process with \"$part\" in its command line came to its end (status $?)"
	fi
	wait $command
	status=$?
	return $status
}

# same FLOOR PART COMMAND...: the output on hakmem (standard output and status) is that on glibc.
same()
{
	local floor=$1 part=$2 want got
	shift 2
	"$@" >"$HAK_TMP/want" 2>"$HAK_TMP/want.err"
	want=$?
	[ $want = 0 ] || fail "$* fails on glibc with $want: $(cat "$HAK_TMP/want.err")"
	held "$floor" "$part" "$@" >"$HAK_TMP/got" 2>"$HAK_TMP/got.err"
	got=$?
	[ $got = $want ] || { cat "$HAK_TMP/got.err"; fail "$*: status $got, on glibc $want"; }
	[ -s "$HAK_TMP/want" ] || fail "$*: no output to compare"
	cmp "$HAK_TMP/want" "$HAK_TMP/got" || fail "$*: output differs from that on glibc"
	grep hakmem: "$HAK_TMP/got.err" && fail "$*: hakmem complained"
	echo "same output: $*" | cut -c 1-90
}
