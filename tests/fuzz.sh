# SPDX-License-Identifier: MIT
# What the tests that fuzz share: each compiles fuzzers with AddressSanitizer and UBSan and runs a
# fixed number of inputs from a fixed seed. Read after tests/lib.sh. A long run:
#	make check TESTS=tests/control/fuzz.test HAK_FUZZ_RUNS=100000000 HAK_TEST_TIMEOUT=36000
need clang
fuzz_flags=(-std=gnu11 -D_GNU_SOURCE -include "$top_builddir/config.h" -I"$srcdir" -g -O1
	-fno-sanitize-recover=all)

echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return 0; }' >"$HAK_TMP/probe.c"
clang "${fuzz_flags[@]}" -fsanitize=fuzzer,address,undefined -o "$HAK_TMP/probe" \
	"$HAK_TMP/probe.c" 2>/dev/null || skip "this clang has no libFuzzer"

# Of control/, what prints tables is left out, and without json-c what makes documents.
fuzz_cflags=() fuzz_libs=() control=()
json=false
if config ctl || config daemon; then json=true; fi
for file in "$srcdir"/control/{,abi/}*.c; do
	case ${file##*/} in
	emit.c) ;;
	json.c | documents.c | report.c | request.c | changes.c) ! $json || control+=("$file") ;;
	*) control+=("$file") ;;
	esac
done
for package in $(! $json || echo json-c) $(! config systemd || echo libsystemd); do
	fuzz_cflags+=($(pkg-config --cflags "$package"))
	fuzz_libs+=($(pkg-config --libs "$package"))
done

# objects NAME SOURCE...: compiles these once into NAME.a, of which a fuzzer takes what it needs.
objects()
{
	local name=$1
	shift
	mkdir "$HAK_TMP/$name"
	(cd "$HAK_TMP/$name" && printf '%s\0' "$@" | xargs -0 -n 1 -P 2 clang "${fuzz_flags[@]}" \
		-fsanitize=fuzzer-no-link,address,undefined "${fuzz_cflags[@]}" -c &&
		ar rcs "$HAK_TMP/$name.a" ./*.o) || fail "$name does not compile"
}
objects control "${control[@]}"

# seeds FOLDER: a copy of its files, to which the fuzzer adds.
seeds()
{
	cp -r "$1" "$HAK_TMP" || fail "no seeds in $1"
	chmod -R u+w "$HAK_TMP/${1##*/}"
}

# fuzz FILE RUNS OPTION... -- SOURCE...: the fuzzer tests/FILE.c with these sources or archives and
# what it needs of control/, run from the seeds in NAME.in with these options of libFuzzer.
fuzz()
{
	local file=$1 runs=$2 what=${1##*/}
	local -a options=()
	shift 2
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	clang "${fuzz_flags[@]}" -fsanitize=fuzzer,address,undefined -o "$HAK_TMP/$what" \
		"${fuzz_cflags[@]}" "$srcdir/tests/$file.c" "$@" "$HAK_TMP/control.a" -pthread \
		"${fuzz_libs[@]}" || fail "$what does not compile"
	(cd "$HAK_TMP" && "./$what" -runs="$runs" -seed=1 -len_control=0 -verbosity=0 \
		-print_final_stats=1 "${options[@]}" "$what.in" >"$what.out" 2>&1) || {
		tail -n 40 "$HAK_TMP/$what.out"
		fail "$what"
	}
	grep -E 'executed_units|average_exec' "$HAK_TMP/$what.out"
}
