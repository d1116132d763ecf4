# SPDX-License-Identifier: MIT
#
# report.py - medians, noise, ratios, geometric means, and the tables made of them.
#
# Ratios are "this allocator / base": 1.30 is 30 % more time, or memory, than the base takes.
# Noise is the interquartile range over the median of the rounds, in percent. Pure functions of
# the samples; nothing here measures or reads the machine.
import math
import statistics

from measure import after_key

# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom; 1.96 beyond.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
       2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
       2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)


def noise_percent(values):
    """Half of the values lie within this much of each other."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    middle = statistics.median(values)
    return 100 * (high - low) / middle if middle else 0.0


def geometric_mean(ratios):
    return math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None


def confidence(logs):
    """Geometric mean and 95 % interval of ratios whose logarithms are given (paired rounds)."""
    middle = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(middle), 0.0, math.inf
    t = T95[len(logs) - 2] if len(logs) - 2 < len(T95) else 1.96
    reach = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle), math.exp(middle - reach), math.exp(middle + reach)


def ratio(value, base):
    """None where there is nothing to compare; a figure of 0 (per-thread growth) has no ratio."""
    return value / base if value and base else None


def text_ratio(value):
    return "-" if value is None else f"{value:.2f}"


def text_ns(ns):
    for unit, scale in ("ns", 1), ("us", 1e3), ("ms", 1e6):
        if ns < 1000 * scale:
            return f"{ns / scale:.{2 if ns < 100 * scale else 1}f} {unit}"
    return f"{ns / 1e9:.3f} s"


def text_kib(kib):
    return f"{kib:.4g} KiB" if kib < 9999.5 else f"{kib / 1024:.1f} MiB"


def table(rows, left=1):
    """Aligned columns; the first `left` are text, the others numbers. Rows are lists of text."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(w) if i < left else cell.rjust(w)
                 for i, (cell, w) in enumerate(zip(row, widths))]
        yield "  ".join(cells).rstrip()


class Result:
    """What one allocator did with one workload."""

    def __init__(self):
        self.samples = []
        self.failures = []

    @property
    def ok(self):
        return bool(self.samples) and not self.failures

    def values(self, key):
        return [s[key] for s in self.samples if key in s]

    def median(self, key):
        """None when it failed even once: a figure from the lucky rounds would hide that."""
        values = self.values(key) if self.ok and key else []
        return statistics.median(values) if values else None

    def as_json(self):
        keys = self.samples[0] if self.ok else ()
        return {
            "status": "ok" if self.ok else "failed",
            "failures": self.failures,
            "median": {k: self.median(k) for k in keys},
            "noise_percent": {k: round(noise_percent(self.values(k)), 2) for k in keys},
            "samples": self.samples,
        }


def memory_over_time(workload):
    """Title and key of each figure of memory, in the order of time; the last one is the result."""
    if workload.after:
        return [("peak RSS", "peak_rss_kib"),
                *((f"after {t:g} s", after_key(t)) for t in workload.after)]
    title = {"peak_rss_kib": "peak RSS", "rss_idle_kib": "RSS left"}.get(workload.rss, "dirty")
    return [(title, workload.rss)]


def workload_table(workload, time, results, base):
    """`results`: allocator name -> Result, in the order to print."""
    unit = f"time/{workload.unit}"
    memory = memory_over_time(workload)
    rows = [["", unit, "noise", "least", f"/{base}", "cycles", *(t for t, _ in memory),
             f"/{base}"]]
    base_time = results[base].median(time)
    base_rss = results[base].median(workload.rss)
    for name, result in results.items():
        if not result.ok:
            rows.append([name, "FAILED"])
            continue
        ns, kib = result.median(time), result.median(workload.rss)
        # By the counter's rate, so that they fit the time shown, be it wall or processor time.
        rate = ratio(result.median("cycles_per_op"), result.median("ns_per_op"))
        cycles = ns * rate if ns and rate else None
        rows.append([
            name,
            "-" if ns is None else text_ns(ns),
            "-" if ns is None else f"{noise_percent(result.values(time)):.1f} %",
            "-" if ns is None else text_ns(min(result.values(time))),
            text_ratio(ratio(ns, base_time)),
            "-" if cycles is None else f"{cycles:.0f}",
            *("-" if k is None else text_kib(k) for k in
              (result.median(key) for _, key in memory)),
            text_ratio(ratio(kib, base_rss)),
        ])
    yield f"{workload.name}: {workload.about}"
    for line in table(rows):
        yield "  " + line
    for name, result in results.items():
        for failure in sorted(set(result.failures)):
            yield (f"  {name} FAILED {result.failures.count(failure)} of "
                   f"{len(result.failures) + len(result.samples)} rounds: {failure}")
    yield ""


def cgroup_table(workloads, key, results, names):
    rows = [["smallest cgroup", *names]]
    for workload in workloads:
        by_name = results[workload.name]
        rows.append([workload.name, *("FAILED" if not by_name[n].ok else
                                      text_kib(by_name[n].median(key)) for n in names)])
    yield from table(rows)
    for workload in workloads:
        for name, result in results[workload.name].items():
            for failure in result.failures:
                yield f"{workload.name} {name} FAILED: {failure}"
    yield ""


def figures(workloads, key_of):
    """One figure of each workload that has it, as rows of ratio_matrix() and behind_best()."""
    return [(w.name, w.name, key_of(w)) for w in workloads if key_of(w)]


def figures_over_time(workloads):
    return [(f"{w.name} {title}", w.name, key) for w in workloads if w.after
            for title, key in memory_over_time(w)]


def ratio_matrix(title, figures, results, names, base):
    """Ratios, the best allocator of each row, and the geometric means. `figures`: label, name of
    the workload and key of the figure."""
    rows = [[title, *names, "best"]]
    columns = {name: [] for name in names}
    for label, workload, key in figures:
        values = {n: results[workload][n].median(key) for n in names}
        row = [label]
        for name in names:
            value = ratio(values[name], values[base])
            if value:
                columns[name].append(value)
            row.append("FAILED" if not results[workload][name].ok else text_ratio(value))
        known = [n for n in names if values[n] is not None]
        rows.append([*row, min(known, key=values.get) if known else "-"])
    count = len(rows) - 1
    means = {n: geometric_mean(columns[n]) for n in names}
    rows.append(["geometric mean", *(text_ratio(means[n]) for n in names), ""])
    rows.append(["of workloads", *(f"{len(columns[n])}/{count}" for n in names), ""])
    return means, list(table(rows)) if count else []


def behind_best(figures, results, names, base):
    """base / best peer, per row: what is left to gain."""
    ratios = {}
    for label, workload, key in figures:
        peers = [results[workload][n].median(key) for n in names if n != base]
        best = min((p for p in peers if p), default=None)
        value = ratio(results[workload][base].median(key), best)
        if value:
            ratios[label] = value
    return ratios
