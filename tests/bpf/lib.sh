# SPDX-License-Identifier: MIT
# For tests of hakmemctl trace. Read after tests/lib.sh.

# Seconds until a wait is given up. Where processors are emulated, everything takes longer.
patience=$((30 * ${HAK_WATCHDOG_FACTOR:-4}))

need_bpf()
{
	need_config bpf
	need_root
	need python3
	[ -r /sys/kernel/btf/vmlinux ] || skip "this kernel does not describe its types (BTF)"
	# Where programs cannot be loaded at all, hakmemctl prints the reason.
	"$HAKMEMCTL" trace --seconds=1ms -- true >"$HAK_TMP/probe" 2>&1
	case $? in
	0) ;;
	4 | 5) skip "$(tail -n 1 "$HAK_TMP/probe")" ;;
	*) fail "$(cat "$HAK_TMP/probe")" ;;
	esac
}

# tracing PID: true once this hakmemctl waits for events, which it does only when all programs run.
tracing()
{
	local nr
	read -r nr _ 2>/dev/null <"/proc/$1/syscall" || return 1
	# epoll_wait and epoll_pwait of x86-64, epoll_pwait of aarch64
	[[ $nr == 232 || $nr == 281 || $nr == 22 ]]
}

# perform ACT [OPTION]...: traces tests/bpf/actor at that act. The book is in $HAK_TMP/book, the
# document in $HAK_TMP/trace, the exit code in $status.
perform()
{
	local act=$1 in=$HAK_TMP/in out=$HAK_TMP/book actor trace go
	shift
	rm -f "$in" "$out"
	mkfifo "$in"
	"$top_builddir/tests/bpf/actor" "$act" <"$in" >"$out" &
	actor=$!
	exec {go}>"$in"
	wait_for $patience grep -qs ready "$out" || fail "$act: the actor does not come up"
	"$HAKMEMCTL" trace "$actor" --seconds=1h --json=short "$@" >"$HAK_TMP/trace" \
		2>"$HAK_TMP/err" {go}>&- &
	trace=$!
	wait_for $patience tracing $trace || fail "$act: no trace: $(cat "$HAK_TMP/err")"
	echo >&"$go"
	exec {go}>&-
	status=0
	wait "$actor" || status=$?
	wait "$trace" || fail "$act: trace: $(cat "$HAK_TMP/err")"
}
