#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# run.py - compares allocators by the workloads of this folder.
#
#   run.py [--hakmem FILE] [--lib NAME=FILE]...   all allocators, ratio tables, geometric means
#   run.py --pair A.so B.so                       two builds of one library, with an interval
#   run.py --insns                                instructions per pair, counted by callgrind
#   run.py --cgroup                               the smallest cgroup a workload ends well in
#
# Rounds are interleaved (A B C, B C A, ...), so that a machine that gets slower or busier in the
# meantime does so for all of them. See README for what the figures mean.
import argparse
import fnmatch
import json
import math
import os
import platform
import signal
import sys
import time

sys.dont_write_bytecode = True  # the source tree may be read-only, and is not ours to fill

import cgroup  # noqa: E402
import insns  # noqa: E402
import report  # noqa: E402
from measure import Allocator, Bench, Failure, steering_variables  # noqa: E402
from workloads import all_workloads  # noqa: E402

SCHEMA = 1


def say(line=""):
    print(line, flush=True)


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def named_file(text):
    name, sep, file = text.partition("=")
    if not sep or not name or not os.path.isfile(file):
        raise argparse.ArgumentTypeError(f"{text}: not NAME=FILE with a file that exists")
    return Allocator(name, os.path.realpath(file))


def setting(text):
    name, sep, assignment = text.partition(":")
    variable, equals, value = assignment.partition("=")
    if not (sep and equals and name and variable):
        raise argparse.ArgumentTypeError(f"{text}: not NAME:VARIABLE=VALUE")
    return name, variable, value


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def parse_arguments():
    parser = argparse.ArgumentParser(description="Compare memory allocators.")
    add = parser.add_argument
    add("--bindir", default=os.path.dirname(os.path.realpath(__file__)),
        help="where the workload programs were built (default: here)")
    add("--hakmem", metavar="FILE", help="libhakmem.so; left out, with a note, if it is absent")
    add("--lib", metavar="NAME=FILE", type=named_file, action="append", default=[],
        help="one more allocator")
    add("--env", metavar="NAME:VAR=VALUE", type=setting, action="append", default=[],
        help="environment for one allocator (A or B with --pair)")
    add("--no-peers", action="store_true", help="only --hakmem and --lib")
    add("--only", metavar="WORKLOAD,...", help="these workloads; patterns as in a shell")
    add("--rounds", metavar="N", type=positive,
        help="default 5; 2 with --quick, 15 with --pair, 3 with --cgroup")
    add("--quick", action="store_true", help="less of everything: to see that it works")
    add("--clock", choices=("wall", "cpu"), default="wall",
        help="cpu: processor time for single-threaded workloads, for a busy machine")
    add("--base", metavar="NAME", help="what ratios refer to (default: hakmem, else glibc)")
    add("--timeout", metavar="SECONDS", type=positive, help="for each run")
    add("--json", metavar="FILE", help="write all samples and results there")
    add("--list", action="store_true", help="list workloads and allocators")
    add("--pair", nargs=2, metavar=("A.so", "B.so"), help="B relative to A, paired by round")
    add("--limit", metavar="PERCENT", type=float,
        help="with --pair: fail if B is slower over all by more, with 95 %% confidence")
    add("--insns", action="store_true", help="count instructions per pair")
    add("--cgroup", action="store_true",
        help="find the smallest memory cgroup each of ten workloads ends well in")
    return parser, parser.parse_args()


def choose_workloads(parser, patterns):
    workloads = all_workloads()
    if not patterns:
        return workloads
    chosen = []
    for pattern in patterns.split(","):
        matching = [w for w in workloads if fnmatch.fnmatchcase(w.name, pattern)]
        if not matching:
            parser.error(f"no workload {pattern}; see --list")
        chosen += [w for w in matching if w not in chosen]
    return chosen


def runnable(parser, workloads):
    """Without those that need a program that is not installed."""
    for workload in workloads:
        if workload.missing:
            say(f"note: {workload.name} is left out: {workload.missing}")
    return [w for w in workloads if not w.missing] or parser.error("no workload can run here")


def choose_allocators(parser, options, bench):
    allocators = []
    if options.hakmem and os.path.exists(options.hakmem):
        allocators.append(Allocator("hakmem", os.path.realpath(options.hakmem)))
    elif options.hakmem:
        say(f"note: {options.hakmem} is not there; comparing the others")
    if not options.no_peers:
        shortest = next(w for w in all_workloads() if w.name == "idle-dirty")
        allocators += bench.find_peers(shortest)
    for extra in options.lib:
        allocators = [a for a in allocators if a.name != extra.name] + [extra]
    for name, variable, value in options.env:
        chosen = [a for a in allocators if a.name == name]
        if not chosen:
            parser.error(f"--env: no allocator {name}")
        chosen[0].environment[variable] = value
    if not allocators:
        parser.error("no allocator to measure")
    return allocators


def pair_allocators(parser, options):
    allocators = [named_file(f"{name}={file}") if os.path.isfile(file)
                  else parser.error(f"{file}: no such file")
                  for name, file in zip("AB", options.pair)]
    for name, variable, value in options.env:
        if name not in ("A", "B"):
            parser.error(f"--env: with --pair the allocators are A and B, not {name}")
        allocators["AB".index(name)].environment[variable] = value
    return allocators


def time_key(workload, clock):
    if clock == "cpu" and workload.time == "ns_per_op" and workload.threads == 1:
        return "cpu_ns_per_op"
    return workload.time


def measure_workload(bench, workload, allocators, rounds):
    """allocator name -> Result. Each round starts with another allocator than the last."""
    results = {a.name: report.Result() for a in allocators}
    rounds = min(rounds, workload.rounds or rounds)
    for number in range(rounds):
        shift = number % len(allocators)
        for allocator in allocators[shift:] + allocators[:shift]:
            progress(f"{workload.name} {number + 1}/{rounds} {allocator.name}")
            result = results[allocator.name]
            try:
                result.samples.append(bench.run(workload, allocator))
            except Failure as failure:
                result.failures.append(str(failure))
    progress("")
    return results


def machine():
    def first_line(path):
        try:
            with open(path) as file:
                return file.readline().strip()
        except OSError:
            return ""

    model = ""
    try:
        with open("/proc/cpuinfo") as file:
            model = next((line.split(":", 1)[1].strip() for line in file
                          if line.startswith("model name")), "")
    except OSError:
        pass
    return {
        "cpu": model, "cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()), "arch": platform.machine(),
        "thp": first_line("/sys/kernel/mm/transparent_hugepage/enabled"),
        "loadavg": [round(x, 2) for x in os.getloadavg()],
    }


def print_heading(options, allocators, host):
    say(f"{host['cpu'] or host['arch']}, {host['cpus']} processors, Linux {host['kernel']}, "
        f"{host['libc']}, THP {host['thp'] or 'absent'}, load {host['loadavg'][0]}")
    for a in allocators:
        settings = " ".join(f"{k}={v}" for k, v in a.environment.items())
        say(f"  {a.name}: {a.file or 'the C library'} {settings}".rstrip())
    ignored = steering_variables()
    if ignored:
        say(f"ignored from the environment: {' '.join(ignored)}")
    if options.quick:
        say("quick: less work than the figures need; do not quote them")
    say()


def warn_if_busy(workloads, results):
    """A single-threaded run whose wall time far exceeds its processor time had to wait."""
    waited = total = 0
    for workload in workloads:
        # Those that sleep, or that start processes, wait for other reasons.
        if workload.threads > 1 or workload.program in ("idle", "spawn", "trivial"):
            continue
        for result in results[workload.name].values():
            for sample in result.samples:
                total += 1
                waited += sample["ns_per_op"] > 1.1 * sample["cpu_ns_per_op"]
    if waited > total / 20:
        say(f"busy machine: {waited} of {total} single-threaded runs waited for a processor for "
            "over 10 % of their time; --clock cpu leaves that out")


def failed_runs(results):
    return sum(len(r.failures) for by_name in results.values() for r in by_name.values())


def write_json(options, mode, allocators, host, workloads, results, summary):
    if not options.json:
        return
    document = {
        "schema": SCHEMA, "mode": mode, "quick": options.quick, "clock": options.clock,
        "started": options.started, "machine": host,
        "allocators": [vars(a) for a in allocators],
        "workloads": [{
            "name": w.name, "about": w.about, "unit": w.unit,
            "program": w.program, "args": w.args, "quick_args": w.quick,
            "time_key": time_key(w, options.clock), "rss_key": w.rss,
            "results": {n: r.as_json() for n, r in results[w.name].items()},
        } for w in workloads],
        "failed_runs": failed_runs(results),
        **summary,
    }
    with open(options.json, "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")


def print_matrix(what, title, figures, results, names, base):
    """Ratios to the base, and what they come to; returns the latter for the summary."""
    means, lines = report.ratio_matrix(f"{title} / {base}", figures, results, names, base)
    behind = report.behind_best(figures, results, names, base)
    for line in lines:
        say(line)
    if behind:
        worst = max(behind, key=behind.get)
        say(f"{base} takes {report.geometric_mean(list(behind.values())):.2f} of the best "
            f"peer's (geometric mean), {behind[worst]:.2f} at worst ({worst})")
    if lines:
        say()
    return {f"geomean_{what}": means, f"{what}_of_best_peer": behind}


def names_and_base(parser, options, allocators):
    names = [a.name for a in allocators]
    base = options.base or ("hakmem" if "hakmem" in names else names[0])
    if base not in names:
        parser.error(f"--base {base}: the allocators are {', '.join(names)}")
    return names, base


def compare(parser, options, bench, workloads):
    allocators = choose_allocators(parser, options, bench)
    names, base = names_and_base(parser, options, allocators)
    host = machine()
    print_heading(options, allocators, host)
    if options.list:
        return print_list(workloads)

    rounds = options.rounds or (2 if options.quick else 5)
    results = {}
    for workload in workloads:
        results[workload.name] = measure_workload(bench, workload, allocators, rounds)
        for line in report.workload_table(workload, time_key(workload, options.clock),
                                          results[workload.name], base):
            say(line)
    summary = {"base": base, "rounds": rounds}
    for what, title, figures in (
            ("time", "time", report.figures(workloads, lambda w: time_key(w, options.clock))),
            ("rss", "memory", report.figures(workloads, lambda w: w.rss)),
            ("rss_over_time", "memory that comes back", report.figures_over_time(workloads))):
        summary.update(print_matrix(what, title, figures, results, names, base))
    return finish(options, "compare", allocators, host, workloads, results, summary)


def finish(options, mode, allocators, host, workloads, results, summary):
    """Warnings, the JSON file, and the exit status: a failed run is never a footnote."""
    if options.clock == "wall" and mode != "cgroup":
        warn_if_busy(workloads, results)
    write_json(options, mode, allocators, host, workloads, results, summary)
    failed = failed_runs(results)
    if failed:
        say(f"{failed} runs failed")
    return 1 if failed else 0


def compare_cgroups(parser, options, bench, workloads):
    """The smallest memory cgroup each workload ends well in."""
    reason = cgroup.missing()
    if reason:
        say(f"skipped: {reason}")
        return 0
    allocators = choose_allocators(parser, options, bench)
    names, base = names_and_base(parser, options, allocators)
    host = machine()
    print_heading(options, allocators, host)
    rounds = options.rounds or (1 if options.quick else 3)
    results = {}
    for workload in workloads:
        progress(workload.name)
        results[workload.name] = cgroup.find(rounds, bench, workload, allocators)
    progress("")
    for line in report.cgroup_table(workloads, cgroup.KEY, results, names):
        say(line)
    summary = print_matrix("cgroup", "cgroup", report.figures(workloads, lambda w: cgroup.KEY),
                           results, names, base)
    return finish(options, "cgroup", allocators, host, workloads, results,
                  {"base": base, "rounds": rounds, **summary})


def compare_pair(parser, options, bench, workloads):
    """B relative to A: per round the ratio of two runs next to each other, then their mean."""
    allocators = pair_allocators(parser, options)
    host = machine()
    print_heading(options, allocators, host)
    rounds = options.rounds or (4 if options.quick else 15)
    rows = [["B / A", "A", "B", "ratio", "95 % interval", "", "RSS"]]
    results, pairs, logs_by_round = {}, {}, {}
    for workload in workloads:
        by_name = results[workload.name] = measure_workload(bench, workload, allocators, rounds)
        a, b = by_name["A"], by_name["B"]
        key = time_key(workload, options.clock)
        if not (a.ok and b.ok):
            reasons = "; ".join(sorted({f"{n}: {f}" for n, r in by_name.items()
                                        for f in r.failures}))
            rows.append([workload.name, "FAILED", reasons])
            continue
        rss = report.text_ratio(report.ratio(b.median(workload.rss), a.median(workload.rss)))
        if not key:
            rows.append([workload.name, "-", "-", "-", "-", "", rss])
            continue
        logs = [math.log(y / x) for x, y in zip(a.values(key), b.values(key))]
        for number, value in enumerate(logs):
            logs_by_round.setdefault(number, []).append(value)
        middle, low, high = pairs[workload.name] = report.confidence(logs)
        rows.append([workload.name, report.text_ns(a.median(key)), report.text_ns(b.median(key)),
                     f"{middle:.3f}", f"{low:.3f} .. {high:.3f}", verdict(low, high), rss])
    summary = {"rounds": rounds, "pairs": {n: pair_json(*p) for n, p in pairs.items()}}
    # Only rounds that every workload took part in have comparable means.
    whole = [sum(v) / len(v) for v in logs_by_round.values() if len(v) == len(pairs)]
    over = report.confidence(whole) if whole else None
    if over:
        summary["overall"] = pair_json(*over)
        rows.append(["geometric mean", "", "", f"{over[0]:.3f}",
                     f"{over[1]:.3f} .. {over[2]:.3f}", verdict(*over[1:]), ""])
    for line in report.table(rows):
        say(line)
    status = finish(options, "pair", allocators, host, workloads, results, summary)
    if over and options.limit is not None and over[1] > 1 + options.limit / 100:
        say(f"B is slower by more than {options.limit:g} %")
        return 1
    return status


def pair_json(middle, low, high):
    return {"ratio": middle, "low": low, "high": high if math.isfinite(high) else None}


def verdict(low, high):
    return "slower" if low > 1 else "faster" if high < 1 else ""


def print_list(workloads):
    for line in report.table([[w.name, w.about + (f" (cannot run: {w.missing})" if w.missing
                                                 else "")] for w in workloads], left=2):
        say(line)
    return 0


def main():
    parser, options = parse_arguments()
    options.started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    bench = Bench(options.bindir, options.quick, options.timeout or 0)
    if options.insns:
        allocators = (pair_allocators(parser, options) if options.pair
                      else choose_allocators(parser, options, bench))
        return insns.count(bench, allocators, options, say)
    workloads = choose_workloads(parser, options.only)
    if options.cgroup and not options.only:
        workloads = cgroup.chosen(workloads)
    if not options.list:
        workloads = runnable(parser, workloads)
    if options.cgroup:
        return compare_cgroups(parser, options, bench, workloads)
    if options.pair:
        return compare_pair(parser, options, bench, workloads)
    return compare(parser, options, bench, workloads)


if __name__ == "__main__":
    # An exception, so that the workload that runs at the moment is ended as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
