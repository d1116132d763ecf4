# SPDX-License-Identifier: MIT
# Functions for shell tests, read with . "${srcdir:?}/tests/lib.sh" under tests/run-test. Otherwise
# a test ends here, before it makes and removes files under an empty name.
: "${HAK_TMP:?}"

fail()
{
	echo "FAIL: $*"
	exit 1
}

skip()
{
	echo "SKIP: $*"
	exit 77
}

# need COMMAND...: skip unless each is installed.
need()
{
	local command
	for command; do
		command -v "$command" >/dev/null || skip "$command is not installed"
	done
}

# config WORD: true if the build under test has it: control, debug, ctl, systemd, daemon, exporter,
# bpf, demangle, address, undefined, thread.
config()
{
	[[ " $HAK_CONFIG " == *" $1 "* ]]
}

# need_config WORD...: skip unless the build has each.
need_config()
{
	local word
	for word; do
		config "$word" || skip "this build is without $word"
	done
}

need_root()
{
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# wait_for SECONDS COMMAND...: waits until it succeeds. The seconds only bound the wait.
wait_for()
{
	local end=$((SECONDS + $1)) tick=.02
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep $tick
	done
}

# values hakmemctl get ...: prints its answers, TEXT/ORIGIN, a line each.
values()
{
	"$@" --json=short 2>/dev/null | python3 -c '
import json, sys
for v in json.load(sys.stdin)["values"]:
    print("%s/%s" % (v["text"], v["origin"]))'
}

# as_user COMMAND...: runs as a user without rights who owns nothing; unchanged if this is not root.
as_user()
{
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=65533 --regid=65533 --clear-groups "$@"
	else
		"$@"
	fi
}

# logged COMMAND...: shows the output only if the command fails, which ends the test.
logged()
{
	"$@" >"$HAK_TMP/log" 2>&1 && return
	tail -n 40 "$HAK_TMP/log"
	fail "$*"
}

# variant NAME ARGUMENT...: configure and make the same sources with these arguments in
# $HAK_TMP/NAME. configure gets CC and CXX by the environment, so that only the requested options
# differ.
variant()
{
	local dir=$HAK_TMP/$1
	shift
	mkdir "$dir" || exit 1
	(
		cd "$dir" || exit 1
		CC=$CC CXX=$CXX "$srcdir/configure" -q "$@" &&
			$MAKE -s -j2
	) >"$dir.log" 2>&1 || {
		tail -n 30 "$dir.log"
		fail "build with $*"
	}
}

# variant_check DIR TEST...: runs these tests of a variant. If one fails, shows the harness's
# output, and at its end the cases that failed and what they said, because a reader may see the end
# alone. If all are programs, no others are built.
variant_check()
{
	local dir=$1
	local -a only=()
	shift
	[[ " $*" == *.test* ]] || only=(check_PROGRAMS="$*" check_DATA=)
	(cd "$dir" && $MAKE -s -k -j2 check TESTS="$*" "${only[@]}") >"$dir.check" 2>&1 && return
	grep -E '^(FAIL|ERROR|XPASS)' "$dir.check"
	cat "$dir/test-suite.log" 2>/dev/null || tail -n 30 "$dir.check"
	grep -hE '^(FAIL|ERROR): tests/| failed: |^(# )?not ok ' "$dir/test-suite.log" 2>/dev/null |
		tail -n 20
	fail "tests of ${dir##*/}"
}

# cases NAME...: runs the functions of these names as the test's cases, or those that CASE names,
# each in a shell of its own, so that changes of variables and traps do not reach another case. Ends
# the test. A case passes if it returns 0 or calls `exit 0`; fail and skip end it.
cases()
{
	local name status n=0 failed=0 skipped=0
	local -a run=()
	for name; do
		[[ -n ${CASE:-} && " $CASE " != *" $name "* ]] || run+=("$name")
	done
	[ ${#run[@]} -gt 0 ] || fail "no such case: $CASE; there are: $*"
	# Not for the tests that a case runs itself.
	unset CASE
	echo "1..${#run[@]}"
	for name in "${run[@]}"; do
		("$name")
		status=$?
		n=$((n + 1))
		case $status in
		0) echo "ok $n - $name" ;;
		77)
			skipped=$((skipped + 1))
			echo "ok $n - $name # SKIP" ;;
		*)
			failed=$((failed + 1))
			echo "not ok $n - $name" ;;
		esac
	done
	[ $failed = 0 ] || exit 1
	[ $skipped != $n ] || exit 77
	exit 0
}
