# SPDX-License-Identifier: MIT
#
# cgroup.py - the smallest memory cgroup in which a workload ends well, under each allocator.
#
# What a container must be given, found by bisection over memory.limit_in_bytes: unlike the peak
# of RSS it counts what the kernel needs (page tables, stacks of threads), and it forgives memory
# that the kernel can take back (MADV_FREE). Each run is in a new group below
# /sys/fs/cgroup/memory, for cgroup v1 and root. The runner itself stays outside.
import contextlib
import math
import os
import tempfile
import time
from dataclasses import replace

import report
from measure import Failure

ROOT = "/sys/fs/cgroup/memory"
KEY = "smallest_cgroup_kib"
WORKLOADS = ("live-100k", "larson-mid-4t", "all2all-4t", "large-mix-pages", "realloc-append",
             "return-threads", "return-ended-1000", "return-phases", "python", "redis")
STEP = 64                       # the result is exact to one part of so many
EXTRA_S = 2                     # a run may take four times as long as without a limit, and this

# $0 is the group's list of processes. What the shell has allocated before stays outside.
ENTER = ("/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"')


def missing():
    """Why there is nothing to measure here, or "" if there is."""
    if not os.path.exists(f"{ROOT}/memory.limit_in_bytes"):
        return f"no memory controller of cgroup v1 at {ROOT}"
    if not os.access(f"{ROOT}/memory.limit_in_bytes", os.W_OK) or not os.access(ROOT, os.W_OK):
        return f"no permission to make groups in {ROOT}; root has it"
    return ""


def write(path, value):
    with open(path, "w") as file:
        file.write(str(value))


@contextlib.contextmanager
def group(limit=0):
    """A group of its own, removed in the end; a limit includes swap."""
    path = tempfile.mkdtemp(prefix=f"bench-{os.getpid()}-", dir=ROOT)
    try:
        if limit:
            write(f"{path}/memory.limit_in_bytes", limit)
            if os.path.exists(f"{path}/memory.memsw.limit_in_bytes"):
                write(f"{path}/memory.memsw.limit_in_bytes", limit)
        yield path
    finally:
        remove(path)


def remove(path):
    """A process that was killed leaves its group a little later than it is waited for."""
    for _ in range(100):
        try:
            return os.rmdir(path)
        except OSError:
            time.sleep(0.01)
    os.rmdir(path)


def run_in(path, bench, workload, allocator):
    return bench.run(workload, allocator, (*ENTER, f"{path}/cgroup.procs"))


def ends_well(limit, rounds, bench, workload, allocator):
    """Each time: how much is purged before the limit is hit may depend on the scheduler."""
    for _ in range(rounds):
        with group(limit) as path:
            try:
                run_in(path, bench, workload, allocator)
            except Failure:
                return False
    return True


def smallest(rounds, bench, workload, allocator):
    """In KiB. What a run without a limit had charged at most is a limit it ends well in."""
    # Nothing is read while it sleeps, so it need not sleep.
    workload = replace(workload, after=(), time="", rss="")
    start = time.monotonic()
    with group() as path:
        run_in(path, bench, workload, allocator)
        with open(f"{path}/memory.max_usage_in_bytes") as file:
            high = int(file.read())
    workload = replace(workload, timeout=math.ceil(4 * (time.monotonic() - start) + EXTRA_S))
    low = 0
    while high - low > high / STEP:
        middle = (low + high) // 2
        if ends_well(middle, rounds, bench, workload, allocator):
            high = middle
        else:
            low = middle
    return {KEY: high / 1024}


def find(rounds, bench, workload, allocators):
    """allocator name -> Result, of one bisection each."""
    results = {a.name: report.Result() for a in allocators}
    for allocator in allocators:
        result = results[allocator.name]
        try:
            result.samples.append(smallest(rounds, bench, workload, allocator))
        except Failure as failure:
            result.failures.append(str(failure))
    return results


def chosen(workloads):
    return [w for name in WORKLOADS for w in workloads if w.name == name]
