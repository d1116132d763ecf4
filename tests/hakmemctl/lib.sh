# SPDX-License-Identifier: MIT
# For tests of hakmemctl on live processes. Read after tests/lib.sh.

# start NAME [RUN-OPTION]... -- [ARGUMENT]...: tests/hakmemctl/workload under `hakmemctl run`, by a
# name of its own, ready and waiting. Sets pid. tell PID LETTER: makes it do something and waits for
# it.
declare -A to from
start()
{
	local name=$1
	local -a options
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	cp -n "$top_builddir/tests/hakmemctl/workload" "$HAK_TMP/$name" || fail "no workload"
	local in=$HAK_TMP/in.$RANDOM out=$HAK_TMP/out.$RANDOM fd_in fd_out
	mkfifo "$in" "$out"
	"$HAKMEMCTL" run "${options[@]}" -- "$HAK_TMP/$name" "$@" <"$in" >"$out" &
	pid=$!
	exec {fd_in}>"$in" {fd_out}<"$out"
	rm "$in" "$out"
	to[$pid]=$fd_in from[$pid]=$fd_out
	local line=
	read -r -t 30 -u "$fd_out" line
	is "$name" "$line" ready
}

tell()
{
	local line=
	echo "$2" >&"${to[$1]}"
	read -r -t 30 -u "${from[$1]}" line
	is "answer of process $1" "$line" "done"
}

stop()
{
	local in=${to[$1]} out=${from[$1]}
	kill -KILL "$1"
	wait "$1" 2>/dev/null
	exec {in}>&- {out}<&-
}

ctl()
{
	"$HAKMEMCTL" --no-pager "$@"
}

# expect STATUS COMMAND...: output in $out, errors in $err.
expect()
{
	local want=$1 got=0
	shift
	out=$("$@" 2>"$HAK_TMP/err") || got=$?
	err=$(<"$HAK_TMP/err")
	[ $got = "$want" ] || fail "exit code $got, not $want: $* -- $out $err"
}

# json PATH...: reads $out, by paths such as processes/0/counters/whale.hits, joined by /. Also
# proves that it is JSON.
json()
{
	python3 -c '
import json, sys
document = json.loads(sys.argv[1])
def word(path):
    value = document
    for key in path.split("/"):
        value = value[int(key) if isinstance(value, list) else key]
    return value if isinstance(value, str) else json.dumps(value)
print("/".join(map(word, sys.argv[2:])))' "$out" "$@"
}

is()
{
	[ "$2" = "$3" ] || fail "$1: $2, not $3"
}

# python SCRIPT: checks the document $out, with the names `doc` and `pid`.
python()
{
	python3 -c "import json, os, sys
doc, pid = json.loads(sys.argv[1]), int(sys.argv[2])
$1" "$out" "${pid:-0}"
}
