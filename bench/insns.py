# SPDX-License-Identifier: MIT
#
# insns.py - instructions an allocator executes per malloc+free pair, counted by callgrind.
#
# Unlike time, the count is the same in every run and on a busy machine, so that a change of one
# instruction shows. Each loop runs with two lengths; the difference of the counts over the
# difference of the lengths leaves out start-up. The same loop with --null, whose stand-ins for
# malloc and free take three instructions together, gives the cost of the loop to subtract.
import fnmatch
import json
import re
import shutil

import report
from measure import Failure, clean_environment, execute

# Name, program, arguments, the shorter length (the longer one is three times that), and whether
# the program has --null. The large ones are few: under valgrind a system call takes an age.
LOOPS = (
    ("pair-64", "churn", "--batch 1 --min 64 --max 64", 100000, True),
    ("lifo-100", "churn", "--batch 100 --order lifo", 100000, True),
    ("random-100", "churn", "--batch 100 --order random", 100000, True),
    ("fifo-20000", "churn", "--batch 20000 --order fifo", 100000, True),
    ("live-1k", "live", "--count 1000", 100000, True),
    ("live-100k", "live", "--count 100000", 100000, True),
    ("2m-first", "whale", "--size 2M", 3000, False),
    ("evict-16-ends", "whale", "--size 1M --step 256k --count 16 --touch ends", 3000, False),
)
NULL_PAIR = 3                   # bench_null_malloc: lea, ret; bench_null_free: ret


def collected(bench, program, args, length, allocator):
    """Instructions of one whole run, and the operations it did, warm-up included."""
    argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
            bench.program(program), *args, "--ops", str(length)]
    environment = {**clean_environment(), **(allocator.environment if allocator else {})}
    if allocator and allocator.file:
        environment["LD_PRELOAD"] = allocator.file
    out, err = execute(argv, environment, bench.timeout or 600)
    instructions = re.search(r"Collected : (\d+)", err)
    operations = re.search(r"^total_ops (\S+)$", out, re.M)
    if not instructions or not operations:
        raise Failure("callgrind printed no count")
    return int(instructions[1]), float(operations[1])


def per_pair(bench, program, args, length, allocator):
    short, long = (collected(bench, program, args, n, allocator) for n in (length, 3 * length))
    return (long[0] - short[0]) / (long[1] - short[1])


def count(bench, allocators, options, say):
    if not shutil.which("valgrind"):
        raise SystemExit("run.py: --insns needs valgrind")
    chosen = [loop for loop in LOOPS if not options.only or
              any(fnmatch.fnmatchcase(loop[0], p) for p in options.only.split(","))]
    if not chosen:
        raise SystemExit(f"run.py: --insns has no loop {options.only}: "
                         + " ".join(loop[0] for loop in LOOPS))
    rows = [["instructions/pair", *(a.name for a in allocators), "(loop)"]]
    counts, failures = {}, []
    for name, program, args, length, has_null in chosen:
        args = args.split()
        loop = 0.0
        if has_null:
            loop = per_pair(bench, program, [*args, "--null"], length, None) - NULL_PAIR
        row = [name]
        for allocator in allocators:
            try:
                value = per_pair(bench, program, args, length, allocator) - loop
                counts.setdefault(name, {})[allocator.name] = round(value, 2)
                row.append(f"{value:.1f}")
            except Failure as failure:
                failures.append(f"{name} {allocator.name}: {failure}")
                row.append("FAILED")
        rows.append([*row, f"{loop:.1f}" if has_null else "included"])
    for line in report.table(rows):
        say(line)
    for failure in failures:
        say(f"FAILED {failure}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"schema": 1, "mode": "insns", "allocators": [vars(a) for a in allocators],
                       "instructions_per_pair": counts, "failures": failures}, file, indent=1)
            file.write("\n")
    return 1 if failures else 0
